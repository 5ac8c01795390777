"""Which earlier write of ours does Stripe show? By our metadata, or by the state that only this step leads to."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from billing import steps
from billing.steps import Step
from integrations.stripe_wire import ENDED, No, StripeWire, Written, as_refund, marked, ours, when, whole

_INVOICE_AFTER: Mapping[str, str] = {
    "pay_invoice": "paid", "mark_invoice_paid": "paid", "void_invoice": "void", "mark_uncollectible": "uncollectible",
}  # fmt: skip


def find(wire: StripeWire, step: Step, action: str) -> Written | None:
    """What the action made or changed; None when Stripe shows nothing of it. Raises OutsideError."""
    match step:
        case steps.RefundCharge():
            made = ours(_beside(wire, step), action)
            return as_refund(made) if made else None
        case steps.CreateCreditNote():
            note = marked(_beside(wire, step), action)
            return wire.noted(note) if note is not None else None
        case steps.GrantBalanceCredit() | steps.ReverseBalanceCredit():
            return ours(_beside(wire, step), action)
        case (
            steps.ScheduleCancellation() | steps.UndoCancellation() | steps.PauseCollection()
            | steps.ResumeCollection() | steps.ChangeQuantity() | steps.ChangePlan()
        ):  # fmt: skip
            return ours([wire.subscription(step.subscription)], action)
        case steps.HoldInvoice():
            return ours([wire.invoice(step.invoice)], action)
        case _:
            return _by_state(wire, step)


def given_since(wire: StripeWire, step: Step, since: datetime) -> bool:
    """Whether anything of the step's kind came to its object after `since`. Raises OutsideError."""
    return any(whole(one, "created") > since.timestamp() for one in _beside(wire, step))


def _beside(wire: StripeWire, step: Step) -> list[Any]:
    """The newest hundred of what a step that moves money makes, on the step's object; nothing for any other step."""
    v1 = wire.v1
    match step:
        case steps.RefundCharge():
            return wire.list("/v1/refunds", v1.refunds.list, {"charge": step.charge, "limit": 100})
        case steps.CreateCreditNote():
            return wire.list("/v1/credit_notes", v1.credit_notes.list, {"invoice": step.invoice, "limit": 100})
        case steps.GrantBalanceCredit() | steps.ReverseBalanceCredit():
            path = "/v1/customers/{id}/balance_transactions"
            return wire.list(path, v1.customers.balance_transactions.list, step.customer, {"limit": 100})
        case _:
            return []


def _by_state(wire: StripeWire, step: Step) -> Written | None:
    """For objects that take no metadata: done when the object is where this step takes it."""
    v1 = wire.v1
    match step:
        case steps.CancelSubscription():
            return when(wire.subscription(step.subscription), ENDED)
        case steps.ResumeSubscription():
            return when(wire.subscription(step.subscription), {"active", "trialing"})
        case steps.PayInvoice() | steps.MarkInvoicePaid() | steps.VoidInvoice() | steps.MarkUncollectible():
            return when(wire.invoice(step.invoice), {_INVOICE_AFTER[step.kind]})
        case steps.CancelPaymentIntent():
            with contextlib.suppress(No):
                path, intent = "/v1/payment_intents/{id}", wire.intent(step.payment_intent)
                return when(wire.call("GET", path, v1.payment_intents.retrieve, intent), {"canceled"})
            return None
        case steps.ExpireCheckoutSession():
            path = "/v1/checkout/sessions/{id}"
            return when(wire.call("GET", path, v1.checkout.sessions.retrieve, step.checkout_session), {"expired"})
        case steps.ReleaseSchedule():
            path = "/v1/subscription_schedules/{id}"
            return when(wire.call("GET", path, v1.subscription_schedules.retrieve, step.schedule), {"released"})
        case _:
            return None  # nothing at Stripe tells: the replay with the same key does
