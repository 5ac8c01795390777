"""How does one approved step reach Stripe? The only module that writes there.

The caller stored the step and its key before. Each write looks at its object first, goes out once with that key, and
ends as a receipt: done, refused (a definite no) or unknown. `look` finds an earlier write of ours by our metadata.
Failure codes and rules: https://docs.stripe.com/api, and the situations table of the developers' facts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, assert_never

import stripe

from billing import plan
from billing.money import Money
from billing.plan import Receipt, Step
from integrations.errors import NotFound, OutsideError, Refused
from integrations.http import CappedSession, capped_session
from integrations.stripe_calls import open_client, translated

TOTAL_SECONDS = 30.0
ENDED = frozenset({"canceled", "incomplete_expired"})
_Written = tuple[str, str | None]  # the object Stripe gave, and its status


class _No(Exception):
    """A precondition does not hold any more: nothing was sent. The text is the reason code."""


class StripeExecutor:
    """Thread-safe. `ticket` and `action` are stamped on every object that takes metadata."""

    def __init__(self, key: str, base: str, *, session: CappedSession | None = None) -> None:
        session = session or capped_session(total_seconds=TOTAL_SECONDS, concurrency=6, rate_per_second=10, burst=10)
        self._stripe = open_client(key, base, session).v1

    def perform(self, step: Step, *, step_id: str, action: str, ticket: int | None, key: str) -> Receipt:
        """Do the step once. Never raises for what the outside does; the receipt tells."""
        marks = {"billing_desk_action": action} | ({"zendesk_ticket": str(ticket)} if ticket is not None else {})
        try:
            written = self._write(step, marks, {"idempotency_key": key})
        except _No as no:
            return _receipt(step_id, "refused", reason=str(no))
        except OutsideError as error:
            return self._failed(step_id, error)
        identifier, status = written
        return _receipt(step_id, "done", identifier, status)

    def look(self, step: Step, *, step_id: str, action: str) -> Receipt | None:
        """The receipt of an earlier write of this very action; None when Stripe shows none. Raises OutsideError."""
        found = self._found(step, action)
        return _receipt(step_id, "done", *found) if found else None

    def _failed(self, step_id: str, error: OutsideError) -> Receipt:
        if isinstance(error, Refused) and not error.unknown_outcome and error.code != "idempotency_error":
            reason = error.code or ("not_permitted" if error.status == 403 else f"stripe_{error.status}")
            return _receipt(step_id, "refused", reason=reason[:80])
        code = error.code if isinstance(error, Refused) else None
        return _receipt(step_id, "unknown", reason=code or error.kind.replace(" ", "_"))

    # --- writing ----------------------------------------------------------------------------------------------------

    def _write(self, step: Step, marks: dict[str, str], options: dict[str, Any]) -> _Written:
        match step:
            case (
                plan.SendPortalLogin() | plan.SendInvoiceLink() | plan.SendInvoiceCopy() | plan.SendCheckoutLink()
                | plan.AskCustomer() | plan.HandOver() | plan.Explain() | plan.Wait() | plan.WriteInternalNote()
                | plan.FileIssue()
            ):  # fmt: skip
                return step.object or "", None  # they live in the reply, the note and the issue
            case plan.CreatePortalSession():
                return self._portal_session(step, options)
            case (
                plan.ScheduleCancellation() | plan.UndoCancellation() | plan.PauseCollection()
                | plan.ResumeCollection() | plan.ChangeQuantity() | plan.ChangePlan()
            ):  # fmt: skip
                return self._update_subscription(step, marks, options)
            case plan.CancelSubscription():
                return self._cancel(step, marks, options)
            case plan.ResumeSubscription():
                return self._resume(step, options)
            case plan.ReleaseSchedule():
                return self._release(step, options)
            case plan.RefundCharge():
                return self._refund(step, marks, options)
            case plan.CreateCreditNote():
                return self._credit_note(step, marks, options)
            case plan.GrantBalanceCredit():
                return self._balance(step.customer, -step.amount, marks, options)
            case plan.ReverseBalanceCredit():
                return self._balance(step.customer, step.amount, marks, options)
            case (
                plan.HoldInvoice() | plan.ResendInvoice() | plan.PayInvoice() | plan.MarkInvoicePaid()
                | plan.VoidInvoice() | plan.MarkUncollectible()
            ):  # fmt: skip
                return self._invoice(step, marks, options)
            case plan.CancelPaymentIntent():
                return self._cancel_intent(step, options)
            case plan.ExpireCheckoutSession():
                return self._expire(step, options)
            case _:
                assert_never(step)

    def _portal_session(self, step: plan.CreatePortalSession, options: dict[str, Any]) -> _Written:
        params: dict[str, Any] = {"customer": step.customer, "after_expiration": {"type": "customer_login"}}
        if step.flow:
            flow: dict[str, Any] = {"type": step.flow}
            if step.subscription and step.flow.startswith("subscription_"):
                flow[step.flow] = {"subscription": step.subscription}
            params["flow_data"] = flow
        # The link in the answer lets its holder in: it is not kept.
        session = self._call(
            "POST", "/v1/billing_portal/sessions", self._stripe.billing_portal.sessions.create, params, options
        )
        return session.id, None

    def _update_subscription(self, step: Any, marks: dict[str, str], options: dict[str, Any]) -> _Written:
        current = self._subscription(step.subscription)
        if current.status in ENDED:
            raise _No("already_canceled")
        if getattr(current, "schedule", None):
            raise _No("schedule_managed")
        params: dict[str, Any] = {"metadata": marks, **_subscription_change(step)}
        path = "/v1/subscriptions/{id}"
        changed = self._call("POST", path, self._stripe.subscriptions.update, step.subscription, params, options)
        return changed.id, changed.status

    def _cancel(self, step: plan.CancelSubscription, marks: dict[str, str], options: dict[str, Any]) -> _Written:
        # A DELETE knows no idempotency key: what counts is the state, so an ended subscription is a success.
        current = self._subscription(step.subscription)
        if current.status in ENDED:
            return current.id, current.status
        params: dict[str, Any] = {"invoice_now": False, "prorate": False}
        path = "/v1/subscriptions/{id}"
        try:
            ended = self._call("DELETE", path, self._stripe.subscriptions.cancel, step.subscription, params, {})
        except (NotFound, Refused):
            current = self._subscription(step.subscription)
            if current.status not in ENDED:
                raise
            return current.id, current.status
        return ended.id, ended.status

    def _resume(self, step: plan.ResumeSubscription, options: dict[str, Any]) -> _Written:
        params: dict[str, Any] = {
            "billing_cycle_anchor": "unchanged", "payment_behavior": "resume_on_payment_success",
        }  # fmt: skip
        path = "/v1/subscriptions/{id}/resume"
        resumed = self._call("POST", path, self._stripe.subscriptions.resume, step.subscription, params, options)
        return resumed.id, resumed.status

    def _release(self, step: plan.ReleaseSchedule, options: dict[str, Any]) -> _Written:
        params = {"preserve_cancel_date": True}
        path = "/v1/subscription_schedules/{id}/release"
        released = self._call("POST", path, self._stripe.subscription_schedules.release, step.schedule, params, options)
        return released.id, released.status

    def _refund(self, step: plan.RefundCharge, marks: dict[str, str], options: dict[str, Any]) -> _Written:
        charge = self._call("GET", "/v1/charges/{id}", self._stripe.charges.retrieve, step.charge)
        if charge.currency != step.amount.currency:
            raise _No("currency_differs")
        params = {
            "charge": step.charge, "amount": step.amount.amount, "reason": step.reason, "metadata": marks,
        }  # fmt: skip
        refund = self._call("POST", "/v1/refunds", self._stripe.refunds.create, params, options)
        return refund.id, refund.status

    def _credit_note(self, step: plan.CreateCreditNote, marks: dict[str, str], options: dict[str, Any]) -> _Written:
        params: dict[str, Any] = {
            "invoice": step.invoice, "amount": step.amount.amount, "reason": step.reason, "metadata": marks,
            "email_type": "none",
        }  # fmt: skip
        if step.settle != "open":
            params["refund_amount" if step.settle == "refund" else "credit_amount"] = step.amount.amount
        note = self._call("POST", "/v1/credit_notes", self._stripe.credit_notes.create, params, options)
        return note.id, note.status

    def _balance(self, customer: str, amount: Money, marks: dict[str, str], options: dict[str, Any]) -> _Written:
        params = {"amount": amount.amount, "currency": amount.currency, "metadata": marks}
        path = "/v1/customers/{id}/balance_transactions"
        entry = self._call("POST", path, self._stripe.customers.balance_transactions.create, customer, params, options)
        return entry.id, None

    def _invoice(self, step: Any, marks: dict[str, str], options: dict[str, Any]) -> _Written:
        invoices = self._stripe.invoices
        call: Callable[..., Any]
        params: dict[str, Any] = {}
        match step:
            case plan.HoldInvoice():
                call, params, name = invoices.update, {"auto_advance": False, "metadata": marks}, ""
            case plan.ResendInvoice():
                call, name = invoices.send_invoice, "/send"
            case plan.PayInvoice():
                self._check_due(step)
                call, name = invoices.pay, "/pay"
                if step.payment_method:
                    params = {"payment_method": step.payment_method}
            case plan.MarkInvoicePaid():
                call, params, name = invoices.pay, {"paid_out_of_band": True}, "/pay"
            case plan.VoidInvoice():
                call, name = invoices.void_invoice, "/void"
            case _:
                call, name = invoices.mark_uncollectible, "/mark_uncollectible"
        changed = self._call("POST", "/v1/invoices/{id}" + name, call, step.invoice, params, options)
        return changed.id, changed.status

    def _check_due(self, step: plan.PayInvoice) -> None:
        invoice = self._call("GET", "/v1/invoices/{id}", self._stripe.invoices.retrieve, step.invoice)
        if invoice.status != "open":
            raise _No("invoice_not_open")
        if (invoice.amount_remaining, invoice.currency) != (step.amount.amount, step.amount.currency):
            raise _No("amount_changed")

    def _cancel_intent(self, step: plan.CancelPaymentIntent, options: dict[str, Any]) -> _Written:
        intent = step.payment_intent
        if intent.startswith(("ch_", "py_")):
            charge = self._call("GET", "/v1/charges/{id}", self._stripe.charges.retrieve, intent)
            intent = str(charge.payment_intent)
        path = "/v1/payment_intents/{id}/cancel"
        canceled = self._call("POST", path, self._stripe.payment_intents.cancel, intent, {}, options)
        return canceled.id, canceled.status

    def _expire(self, step: plan.ExpireCheckoutSession, options: dict[str, Any]) -> _Written:
        path = "/v1/checkout/sessions/{id}/expire"
        expired = self._call("POST", path, self._stripe.checkout.sessions.expire, step.checkout_session, {}, options)
        return expired.id, expired.status

    # --- looking ----------------------------------------------------------------------------------------------------

    def _found(self, step: Step, action: str) -> _Written | None:
        match step:
            case plan.RefundCharge():
                listed = self._call(
                    "GET", "/v1/refunds", self._stripe.refunds.list, {"charge": step.charge, "limit": 100}
                )
                return _ours(listed.data, action)
            case plan.CreateCreditNote():
                params = {"invoice": step.invoice, "limit": 100}
                return _ours(self._call("GET", "/v1/credit_notes", self._stripe.credit_notes.list, params).data, action)
            case plan.GrantBalanceCredit() | plan.ReverseBalanceCredit():
                path = "/v1/customers/{id}/balance_transactions"
                entries = self._stripe.customers.balance_transactions.list
                return _ours(self._call("GET", path, entries, step.customer, {"limit": 100}).data, action)
            case plan.CancelSubscription():
                current = self._subscription(step.subscription)
                return (current.id, current.status) if current.status in ENDED else None
            case (
                plan.ScheduleCancellation() | plan.UndoCancellation() | plan.PauseCollection()
                | plan.ResumeCollection() | plan.ChangeQuantity() | plan.ChangePlan()
            ):  # fmt: skip
                return _ours([self._subscription(step.subscription)], action)
            case plan.HoldInvoice():
                invoice = self._call("GET", "/v1/invoices/{id}", self._stripe.invoices.retrieve, step.invoice)
                return _ours([invoice], action)
            case plan.PayInvoice() | plan.MarkInvoicePaid() | plan.VoidInvoice() | plan.MarkUncollectible():
                invoice = self._call("GET", "/v1/invoices/{id}", self._stripe.invoices.retrieve, step.invoice)
                return (invoice.id, invoice.status) if invoice.status == _INVOICE_AFTER[step.kind] else None
            case _:
                return None  # nothing at Stripe tells: the replay with the same key does

    def _subscription(self, identifier: str) -> Any:
        return self._call("GET", "/v1/subscriptions/{id}", self._stripe.subscriptions.retrieve, identifier)

    def _call(self, method: str, path: str, call: Callable[..., Any], *args: Any) -> Any:
        with translated(method, path):
            answer = call(*args)
            if not isinstance(answer, stripe.StripeObject) or not hasattr(answer, "object"):
                raise ValueError("not an object of Stripe's")
            return answer


_INVOICE_AFTER: Mapping[str, str] = {
    "pay_invoice": "paid", "mark_invoice_paid": "paid", "void_invoice": "void", "mark_uncollectible": "uncollectible",
}  # fmt: skip


def _subscription_change(step: Any) -> dict[str, Any]:
    match step:
        case plan.ScheduleCancellation():
            return {"cancel_at_period_end": True}
        case plan.UndoCancellation():
            return {"cancel_at": ""} if step.clears == "cancel_at" else {"cancel_at_period_end": False}
        case plan.PauseCollection():
            return {"pause_collection": {"behavior": step.behavior}}
        case plan.ResumeCollection():
            return {"pause_collection": ""}
        case plan.ChangeQuantity():
            items = [{"id": step.item, "quantity": step.quantity}]
            return {"items": items, "proration_behavior": step.proration_behavior}
        case _:
            items = [{"id": step.item, "price": step.price}]
            return {"items": items, "proration_behavior": step.proration_behavior}


def _ours(found: list[Any], action: str) -> _Written | None:
    for one in found:
        metadata = getattr(one, "metadata", None)
        if metadata is not None and getattr(metadata, "billing_desk_action", None) == action:
            return one.id, getattr(one, "status", None)
    return None


def _receipt(
    step_id: str, outcome: str, identifier: str | None = None, status: str | None = None, reason: str | None = None
) -> Receipt:
    at = datetime.now(UTC) if outcome == "done" else None
    return Receipt(step_id=step_id, outcome=outcome, object=identifier or None, status=status, at=at, reason=reason)
