"""How does one approved step reach Stripe? The only module that writes there.

The caller stored the step and its key before. Each write looks at its object first, goes out once with that key, and
ends as a receipt: done, refused (a definite no) or unknown. `look` finds an earlier write of ours by our metadata, or
by the state that only this step leads to. What is checked before a write never stands in the way of a replay.
Failure codes and rules: https://docs.stripe.com/api, and the situations table of the developers' facts.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, assert_never

import stripe

from billing import plan
from billing.money import Money
from billing.plan import Receipt, Step
from integrations.errors import Garbled, OutsideError, Refused, Unreachable
from integrations.http import CappedSession, capped_session, within
from integrations.stripe_calls import open_client, translated

TOTAL_SECONDS = 30.0
_MARK = "billing_desk_action"
ENDED = frozenset({"canceled", "incomplete_expired"})
_Written = tuple[str, str | None]  # the object Stripe gave, and its status
_ends: ContextVar[float] = ContextVar("ends")  # of the step in hand, monotonic seconds


class _No(Exception):
    """A precondition does not hold any more: nothing was sent. The text is the reason code."""


class StripeExecutor:
    """Thread-safe. `ticket` and `action` are stamped on every object that takes metadata.

    A call takes no longer than the session's `total_seconds`, whatever it asks on the way.
    """

    def __init__(self, key: str, base: str, *, session: CappedSession | None = None, per_second: int = 10) -> None:
        session = session or capped_session(
            total_seconds=TOTAL_SECONDS, concurrency=6, rate_per_second=per_second, burst=per_second
        )
        self._seconds = session.total_seconds
        self._stripe = open_client(key, base, session).v1

    def perform(self, step: Step, *, step_id: str, action: str, ticket: int | None, key: str) -> Receipt:
        """Do the step once. Never raises for what the outside does; the receipt tells."""
        marks = {_MARK: action} | ({"zendesk_ticket": str(ticket)} if ticket is not None else {})
        try:
            with self._bounded():
                written = self._write(step, marks, {"idempotency_key": key})
        except _No as no:
            return _receipt(step_id, "refused", reason=str(no))
        except OutsideError as error:
            return _failed(step_id, error)
        identifier, status = written
        return _receipt(step_id, "done", identifier, status)

    def look(self, step: Step, *, step_id: str, action: str) -> Receipt | None:
        """The receipt of an earlier write of this very action; None when Stripe shows none. Raises OutsideError."""
        with self._bounded():
            found = self._found(step, action)
        return _receipt(step_id, "done", *found) if found else None

    @contextlib.contextmanager
    def _bounded(self) -> Iterator[None]:
        token = _ends.set(time.monotonic() + self._seconds)
        try:
            yield
        finally:
            _ends.reset(token)

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
                return self._cancel(step)
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
        path = "/v1/billing_portal/sessions"
        return self._one("POST", path, self._stripe.billing_portal.sessions.create, params, options)

    def _update_subscription(self, step: Any, marks: dict[str, str], options: dict[str, Any]) -> _Written:
        current = self._subscription(step.subscription)
        if _status(current) in ENDED:
            raise _No("already_canceled")
        if getattr(current, "schedule", None):
            raise _No("schedule_managed")
        stops = getattr(current, "cancel_at_period_end", None) is True
        if isinstance(step, plan.ScheduleCancellation) and stops and not _ours([current], marks[_MARK]):
            raise _No("already_scheduled")  # undoing ours would take back what somebody else decided
        params: dict[str, Any] = {"metadata": marks, **_subscription_change(step)}
        path = "/v1/subscriptions/{id}"
        return self._one("POST", path, self._stripe.subscriptions.update, step.subscription, params, options)

    def _cancel(self, step: plan.CancelSubscription) -> _Written:
        # A DELETE knows no idempotency key: what counts is the state, so an ended subscription is a success.
        current = self._subscription(step.subscription)
        if _status(current) in ENDED:
            return _written(current)
        params: dict[str, Any] = {"invoice_now": False, "prorate": False}
        path = "/v1/subscriptions/{id}"
        try:
            return self._one("DELETE", path, self._stripe.subscriptions.cancel, step.subscription, params, {})
        except Refused as error:
            current = self._subscription(step.subscription)
            if _status(current) not in ENDED:
                raise error from None
            return _written(current)

    def _resume(self, step: plan.ResumeSubscription, options: dict[str, Any]) -> _Written:
        params: dict[str, Any] = {
            "billing_cycle_anchor": {"type": "unchanged"}, "payment_behavior": "resume_on_payment_success",
        }  # fmt: skip
        path = "/v1/subscriptions/{id}/resume"
        return self._one("POST", path, self._stripe.subscriptions.resume, step.subscription, params, options)

    def _release(self, step: plan.ReleaseSchedule, options: dict[str, Any]) -> _Written:
        params = {"preserve_cancel_date": True}
        path = "/v1/subscription_schedules/{id}/release"
        return self._one("POST", path, self._stripe.subscription_schedules.release, step.schedule, params, options)

    def _refund(self, step: plan.RefundCharge, marks: dict[str, str], options: dict[str, Any]) -> _Written:
        charge = self._call("GET", "/v1/charges/{id}", self._stripe.charges.retrieve, step.charge)
        _check_currency(charge, step.amount)
        params = {
            "charge": step.charge, "amount": step.amount.amount, "reason": step.reason, "metadata": marks,
        }  # fmt: skip
        try:
            return self._one("POST", "/v1/refunds", self._stripe.refunds.create, params, options)
        except Refused as error:
            # Stripe has no code for this; asked only now, because after a lost answer the rest is smaller by our own.
            left = _whole(charge, "amount_captured") - _whole(charge, "amount_refunded")
            if error.status == 400 and error.code is None and step.amount.amount > left:
                raise _No("amount_too_large") from None
            raise

    def _credit_note(self, step: plan.CreateCreditNote, marks: dict[str, str], options: dict[str, Any]) -> _Written:
        _check_currency(self._read_invoice(step.invoice), step.amount)
        params: dict[str, Any] = {
            "invoice": step.invoice, "amount": step.amount.amount, "reason": step.reason, "metadata": marks,
            "email_type": "none",
        }  # fmt: skip
        if step.settle != "open":
            params["refund_amount" if step.settle == "refund" else "credit_amount"] = step.amount.amount
        return self._one("POST", "/v1/credit_notes", self._stripe.credit_notes.create, params, options)

    def _balance(self, customer: str, amount: Money, marks: dict[str, str], options: dict[str, Any]) -> _Written:
        params = {"amount": amount.amount, "currency": amount.currency, "metadata": marks}
        path = "/v1/customers/{id}/balance_transactions"
        create = self._stripe.customers.balance_transactions.create
        return self._one("POST", path, create, customer, params, options)

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
        return self._one("POST", "/v1/invoices/{id}" + name, call, step.invoice, params, options)

    def _check_due(self, step: plan.PayInvoice) -> None:
        invoice = self._read_invoice(step.invoice)
        status = _status(invoice)
        if status == "paid":
            return  # perhaps by us, with the answer lost: the key gets that answer, any other key Stripe's no
        if status != "open":
            raise _No("invoice_not_open")
        _check_currency(invoice, step.amount)
        if _whole(invoice, "amount_remaining") != step.amount.amount:
            raise _No("amount_changed")

    def _cancel_intent(self, step: plan.CancelPaymentIntent, options: dict[str, Any]) -> _Written:
        path, intent = "/v1/payment_intents/{id}/cancel", self._intent(step)
        return self._one("POST", path, self._stripe.payment_intents.cancel, intent, {}, options)

    def _intent(self, step: plan.CancelPaymentIntent) -> str:
        """The payment intent's id; a plan may name its charge."""
        if not step.payment_intent.startswith(("ch_", "py_")):
            return step.payment_intent
        charge = self._call("GET", "/v1/charges/{id}", self._stripe.charges.retrieve, step.payment_intent)
        intent = getattr(charge, "payment_intent", None)
        if not isinstance(intent, str):
            raise _No("no_payment_intent")
        return intent

    def _expire(self, step: plan.ExpireCheckoutSession, options: dict[str, Any]) -> _Written:
        path = "/v1/checkout/sessions/{id}/expire"
        return self._one("POST", path, self._stripe.checkout.sessions.expire, step.checkout_session, {}, options)

    # --- looking ----------------------------------------------------------------------------------------------------

    def _found(self, step: Step, action: str) -> _Written | None:
        match step:
            case plan.RefundCharge():
                params = {"charge": step.charge, "limit": 100}
                return _ours(self._list("/v1/refunds", self._stripe.refunds.list, params), action)
            case plan.CreateCreditNote():
                params = {"invoice": step.invoice, "limit": 100}
                return _ours(self._list("/v1/credit_notes", self._stripe.credit_notes.list, params), action)
            case plan.GrantBalanceCredit() | plan.ReverseBalanceCredit():
                path = "/v1/customers/{id}/balance_transactions"
                entries = self._stripe.customers.balance_transactions.list
                return _ours(self._list(path, entries, step.customer, {"limit": 100}), action)
            case (
                plan.ScheduleCancellation() | plan.UndoCancellation() | plan.PauseCollection()
                | plan.ResumeCollection() | plan.ChangeQuantity() | plan.ChangePlan()
            ):  # fmt: skip
                return _ours([self._subscription(step.subscription)], action)
            case plan.HoldInvoice():
                return _ours([self._read_invoice(step.invoice)], action)
            case _:
                return self._found_by_state(step)

    def _found_by_state(self, step: Step) -> _Written | None:
        """For objects that take no metadata: done when the object is where this step takes it."""
        match step:
            case plan.CancelSubscription():
                return _when(self._subscription(step.subscription), ENDED)
            case plan.ResumeSubscription():
                return _when(self._subscription(step.subscription), {"active", "trialing"})
            case plan.PayInvoice() | plan.MarkInvoicePaid() | plan.VoidInvoice() | plan.MarkUncollectible():
                return _when(self._read_invoice(step.invoice), {_INVOICE_AFTER[step.kind]})
            case plan.CancelPaymentIntent():
                with contextlib.suppress(_No):
                    intent, intents = self._intent(step), self._stripe.payment_intents
                    return _when(self._call("GET", "/v1/payment_intents/{id}", intents.retrieve, intent), {"canceled"})
                return None
            case plan.ExpireCheckoutSession():
                path, sessions = "/v1/checkout/sessions/{id}", self._stripe.checkout.sessions
                return _when(self._call("GET", path, sessions.retrieve, step.checkout_session), {"expired"})
            case plan.ReleaseSchedule():
                path, schedules = "/v1/subscription_schedules/{id}", self._stripe.subscription_schedules
                return _when(self._call("GET", path, schedules.retrieve, step.schedule), {"released"})
            case _:
                return None  # nothing at Stripe tells: the replay with the same key does

    # --- one request --------------------------------------------------------------------------------------------------

    def _subscription(self, identifier: str) -> stripe.StripeObject:
        return self._call("GET", "/v1/subscriptions/{id}", self._stripe.subscriptions.retrieve, identifier)

    def _read_invoice(self, identifier: str) -> stripe.StripeObject:
        return self._call("GET", "/v1/invoices/{id}", self._stripe.invoices.retrieve, identifier)

    def _one(self, method: str, path: str, call: Callable[..., Any], *args: Any) -> _Written:
        return _written(self._call(method, path, call, *args))

    def _call(self, method: str, path: str, call: Callable[..., Any], *args: Any) -> stripe.StripeObject:
        """The object that Stripe answers with. Raises OutsideError, Garbled for an answer without an id."""
        answer = _asked(method, path, call, *args)
        if not isinstance(answer, stripe.StripeObject) or not isinstance(getattr(answer, "id", None), str):
            raise Garbled(service="stripe", method=method, path=path, status=200)
        return answer

    def _list(self, path: str, call: Callable[..., Any], *args: Any) -> list[Any]:
        found = getattr(_asked("GET", path, call, *args), "data", None)
        if not isinstance(found, list):
            raise Garbled(service="stripe", method="GET", path=path, status=200)
        return found


def _asked(method: str, path: str, call: Callable[..., Any], *args: Any) -> object:
    left = _ends.get() - time.monotonic()
    if left <= 0:
        raise Unreachable(service="stripe", method=method, path=path, sent=False, timed_out=True)
    with within(left), translated(method, path):
        return call(*args)


def _failed(step_id: str, error: OutsideError) -> Receipt:
    """Refused only for a definite no. A 409 is none: the same key may be under way, and a replay is harmless."""
    if isinstance(error, Refused) and error.status != 409 and error.code != "idempotency_error":
        reason = error.code or _REFUSED.get(error.status or 0) or f"stripe_{error.status}"
        return _receipt(step_id, "refused", reason=reason)
    code = error.code if isinstance(error, Refused) else None
    return _receipt(step_id, "unknown", reason=code or error.kind.replace(" ", "_"))


_REFUSED: Mapping[int, str] = {401: "unauthorized", 403: "not_permitted", 404: "not_found"}
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
        if getattr(getattr(one, "metadata", None), _MARK, None) == action:
            return _written(one)
    return None


def _written(one: Any) -> _Written:
    return str(one.id), _status(one)


def _when(one: stripe.StripeObject, statuses: Collection[str]) -> _Written | None:
    return _written(one) if _status(one) in statuses else None


def _status(one: Any) -> str | None:
    status = getattr(one, "status", None)
    return status if isinstance(status, str) else None


def _whole(one: stripe.StripeObject, name: str) -> int:
    value = getattr(one, name, None)
    return value if isinstance(value, int) else 0


def _check_currency(one: stripe.StripeObject, amount: Money) -> None:
    if getattr(one, "currency", None) != amount.currency:
        raise _No("currency_differs")


def _receipt(
    step_id: str, outcome: str, identifier: str | None = None, status: str | None = None, reason: str | None = None
) -> Receipt:
    at = datetime.now(UTC) if outcome == "done" else None
    return Receipt(step_id=step_id, outcome=outcome, object=identifier or None, status=status, at=at, reason=reason)
