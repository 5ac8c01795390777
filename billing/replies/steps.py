"""What does one step mean to the customer? Its part in the reply, its phrase, and the values it is told with."""

from __future__ import annotations

from billing.money import Money
from billing.plan import Plan, PlannedStep
from billing.records import Charge, Invoice
from billing.replies import ALIASES
from billing.replies.own import Own
from billing.replies.values import Values, card_value, clean, day_value, money_value
from billing.steps import (
    AskCustomer,
    CancelPaymentIntent,
    CancelSubscription,
    ChangeQuantity,
    CreateCreditNote,
    CreatePortalSession,
    Explain,
    HandOver,
    RefundCharge,
    ScheduleCancellation,
    SendInvoiceCopy,
    SendInvoiceLink,
    Step,
    Wait,
)

SILENT = "silent"  # notes and issues: nothing of them reaches the customer
ACTION = "action"
_PLAIN = {
    "undo_cancellation": "keep_going",
    "hold_invoice": "hold_invoice",
    "resend_invoice": "resend_invoice",
    "pause_collection": "pause_collection",
    "resume_collection": "resume_collection",
    "change_plan": "change_plan",
    "grant_balance_credit": "credit",
    "reverse_balance_credit": "reverse_credit",
    "pay_invoice": "pay",
    "resume_subscription": "resume",
    "mark_invoice_paid": "marked_paid",
    "void_invoice": "not_owed",
    "mark_uncollectible": "not_owed",
    "expire_checkout_session": "close_checkout",
}
_SETTLED = {"refund": "refund", "credit": "credit", "open": "reduce"}
_FLOWS = {
    "payment_method_update": "portal_card",
    "subscription_cancel": "portal_cancel",
    "subscription_update": "portal_plan",
}


def step_facts(planned: PlannedStep, found: Own, plan: Plan) -> dict[str, object]:
    """`part`: action, link, ask, wait, explain, hand_over or silent; `phrase`: a key of the phrase tables."""
    part, phrase, values = _told(planned.step, found, plan)
    known = {name: value for name, value in values.items() if value not in (None, "")}
    return {"id": planned.id, "kind": planned.step.kind, "part": part, "phrase": phrase, "values": known}


def _told(step: Step, found: Own, plan: Plan) -> tuple[str, str, Values]:
    match step:
        case AskCustomer():
            return "ask", f"ask.{step.question}", {}
        case HandOver():
            return "hand_over", "closing.restore" if step.reason == "restore_access" else "closing.hand_over", {}
        case Explain():
            return "explain", f"situation.{ALIASES.get(step.topic, step.topic)}", {}
        case Wait():
            return "wait", f"wait.{step.reason}", {"until": day_value(step.until)}
        case _ if not step.moves:
            return _link(step, found)
        case _:
            return ACTION, *_action(step, found, plan)


def _link(step: Step, found: Own) -> tuple[str, str, Values]:
    match step:
        case CreatePortalSession():
            return "link", f"link.{_FLOWS.get(step.flow or '', 'portal')}", {}
        case SendInvoiceLink():
            return "link", "link.pay_invoice", _invoice(found.invoices.get(step.invoice))
        case SendInvoiceCopy():
            invoice = found.invoices.get(step.document)
            return "link", "link.invoice_copy" if invoice else "link.receipt", _invoice(invoice)
        case _:
            links = {"send_portal_login": "link.portal", "send_checkout_link": "link.checkout"}
            return ("link", links[step.kind], {}) if step.kind in links else (SILENT, "", {})


def _action(step: Step, found: Own, plan: Plan) -> tuple[str, Values]:
    match step:
        case ScheduleCancellation():
            beside = step.subscription in plan.extra and bool(plan.kept)
            return "stop_extra" if beside else "stop", _subscription(step.subscription, found)
        case CancelSubscription():
            return "end_now", _subscription(step.subscription, found)
        case ChangeQuantity():
            return "seats", _subscription(step.subscription, found) | {"seats": step.quantity}
        case RefundCharge():
            return "refund", _charge(found.charges.get(step.charge)) | _money(step.money)
        case CreateCreditNote():
            invoice = found.invoices.get(step.invoice)
            paid = found.paid_for(step.invoice) if step.settle == "refund" else None
            card: Values = {"card": card_value(paid)}
            return _SETTLED.get(step.settle, "reduce"), _invoice(invoice) | card | _money(step.money)
        case CancelPaymentIntent():
            held = next((c for c in found.charges.values() if c.payment_intent == step.payment_intent), None)
            return "release_hold", _money(Money(held.amount, held.currency) if held else None)
        case _ if step.kind in _PLAIN:
            name = step.object or ""
            about = _subscription(name, found) | _invoice(found.invoices.get(name))
            return _PLAIN[step.kind], about | _money(step.money)
        case _:
            return "", {}  # a schedule is let go only for the step after it, which is told


def _money(money: Money | None) -> Values:
    return {"amount": money_value(money)} if money else {}


def _charge(charge: Charge | None) -> Values:
    return {"card": card_value(charge), "date": day_value(charge.created)} if charge else {}


def _invoice(invoice: Invoice | None) -> Values:
    if invoice is None:
        return {}
    owed = Money(invoice.amount_remaining, invoice.currency)
    return {
        "invoice": clean(invoice.number or "", 40),
        "open_amount": money_value(owed) if owed.amount > 0 else None,
    }


def _subscription(name: str, found: Own) -> Values:
    subscription = found.subscriptions.get(name)
    if subscription is None:
        return {}
    return {
        "product": clean(found.product(name)),
        "date": day_value(subscription.cancel_at or subscription.current_period_end),
    }
