"""How does one approved step reach Stripe? The only module that writes there.

The caller stored the step and its key before. Each write looks at its object first, goes out once with that key, and
ends as a receipt: done, refused (a definite no) or unknown. `look` finds an earlier write of ours by our metadata, or
by the state that only this step leads to. What is checked before a write never stands in the way of a replay.
Failure codes and rules: https://docs.stripe.com/api, and the situations table of the developers' facts.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, assert_never

from billing import steps
from billing.money import Money
from billing.plan import Receipt
from billing.steps import Step
from integrations.errors import OutsideError, Refused
from integrations.http import CappedSession, Observer, capped_session
from integrations.stripe_finding import find, given_since
from integrations.stripe_restoring import Before, before_of, find_put_back, put_back
from integrations.stripe_wire import (
    ENDED,
    MARK,
    No,
    StripeWire,
    Written,
    as_refund,
    done,
    failed,
    ours,
    receipt,
    status_of,
    whole,
    written,
)

TOTAL_SECONDS = 30.0
Remember = Callable[[Before], None]


class StripeExecutor:
    """Thread-safe. `ticket` and `action` are stamped on every object that takes metadata.

    A call takes no longer than the session's `total_seconds`, whatever it asks on the way.
    """

    def __init__(
        self, key: str, base: str, *, session: CappedSession | None = None, per_second: int = 10,
        observer: Observer | None = None,
    ) -> None:  # fmt: skip
        session = session or capped_session(
            total_seconds=TOTAL_SECONDS, concurrency=6, rate_per_second=per_second, burst=per_second,
            observer=("stripe", observer) if observer else None,
        )  # fmt: skip
        self._wire = StripeWire(key, base, session)
        self._v1 = self._wire.v1

    def perform(
        self, step: Step, *, step_id: str, action: str, ticket: int | None, key: str, remember: Remember | None = None,
        since: datetime | None = None,
    ) -> Receipt:  # fmt: skip
        """Do the step once. Never raises for what the outside does; the receipt tells.

        `remember` gets the state before, of a step that can be taken back, before the write leaves. Only the first
        call's is true: a replay finds what the first call left. `since`: of a first call that had to wait, when the
        facts were read; it is refused as `plan_changed` where money was given back on the same object after that.
        """

        def write() -> Written:
            with self._wire.bounded():
                if since is not None and given_since(self._wire, step, since):
                    raise No("plan_changed")
                return self._write(step, _marks(action, ticket), {"idempotency_key": key}, remember or (lambda _: None))

        return _told(step_id, write)

    def look(self, step: Step, *, step_id: str, action: str) -> Receipt | None:
        """The receipt of an earlier write of this very action; None when Stripe shows none. Raises OutsideError."""
        with self._wire.bounded():
            found = find(self._wire, step, action)
        return done(step_id, found) if found else None

    def put_back(
        self, step: Step, before: Before, *, step_id: str, action: str, ticket: int | None, key: str, now: datetime
    ) -> Receipt:  # fmt: skip
        """Restore what the step found. Refused: not_reversible, changed_since, date_passed or Stripe's own code."""

        def write() -> Written:
            with self._wire.bounded():
                return put_back(self._wire, step, before, _marks(action, ticket), {"idempotency_key": key}, now)

        return _told(step_id, write)

    def look_put_back(self, step: Step, *, step_id: str, action: str) -> Receipt | None:
        """The receipt of an earlier `put_back` of this action; None when Stripe shows none. Raises OutsideError."""
        with self._wire.bounded():
            found = find_put_back(self._wire, step, action)
        return done(step_id, found) if found else None

    def refund_status(self, refund: str) -> tuple[str | None, str | None]:
        """A refund's status as Stripe has it now, and its failure reason. Raises OutsideError."""
        with self._wire.bounded():
            found = self._wire.call("GET", "/v1/refunds/{id}", self._v1.refunds.retrieve, refund)
        reason = getattr(found, "failure_reason", None)
        return status_of(found), reason if isinstance(reason, str) else None

    # --- writing ----------------------------------------------------------------------------------------------------

    def _write(self, step: Step, marks: dict[str, str], options: dict[str, Any], remember: Remember) -> Written:
        match step:
            case (
                steps.SendPortalLogin() | steps.SendInvoiceLink() | steps.SendInvoiceCopy() | steps.SendCheckoutLink()
                | steps.AskCustomer() | steps.HandOver() | steps.Explain() | steps.Wait() | steps.WriteInternalNote()
                | steps.FileIssue()
            ):  # fmt: skip
                return Written(step.object or "", None)  # they live in the reply, the note and the issue
            case steps.CreatePortalSession():
                return self._portal_session(step, options)
            case (
                steps.ScheduleCancellation() | steps.UndoCancellation() | steps.PauseCollection()
                | steps.ResumeCollection() | steps.ChangeQuantity() | steps.ChangePlan()
            ):  # fmt: skip
                return self._update_subscription(step, marks, options, remember)
            case steps.CancelSubscription():
                return self._cancel(step)
            case steps.ResumeSubscription():
                return self._resume(step, options)
            case steps.ReleaseSchedule():
                return self._release(step, options)
            case steps.RefundCharge():
                return self._refund(step, marks, options)
            case steps.CreateCreditNote():
                return self._credit_note(step, marks, options)
            case steps.GrantBalanceCredit():
                return self._balance(step.customer, -step.amount, marks, options)
            case steps.ReverseBalanceCredit():
                return self._balance(step.customer, step.amount, marks, options)
            case (
                steps.HoldInvoice() | steps.ResendInvoice() | steps.PayInvoice() | steps.MarkInvoicePaid()
                | steps.VoidInvoice() | steps.MarkUncollectible()
            ):  # fmt: skip
                return self._invoice(step, marks, options, remember)
            case steps.CancelPaymentIntent():
                return self._cancel_intent(step, options)
            case steps.ExpireCheckoutSession():
                return self._expire(step, options)
            case _:
                assert_never(step)

    def _portal_session(self, step: steps.CreatePortalSession, options: dict[str, Any]) -> Written:
        params: dict[str, Any] = {"customer": step.customer, "after_expiration": {"type": "customer_login"}}
        if step.flow:
            flow: dict[str, Any] = {"type": step.flow}
            if step.subscription and step.flow.startswith("subscription_"):
                flow[step.flow] = {"subscription": step.subscription}
            params["flow_data"] = flow
        # The link in the answer lets its holder in: it is not kept.
        path = "/v1/billing_portal/sessions"
        return self._wire.one("POST", path, self._v1.billing_portal.sessions.create, params, options)

    def _update_subscription(
        self, step: Any, marks: dict[str, str], options: dict[str, Any], remember: Remember
    ) -> Written:  # fmt: skip
        current = self._wire.subscription(step.subscription)
        if status_of(current) in ENDED:
            raise No("already_canceled")
        if getattr(current, "schedule", None):
            raise No("schedule_managed")
        stops = getattr(current, "cancel_at_period_end", None) is True
        if isinstance(step, steps.ScheduleCancellation) and stops and not ours([current], marks[MARK]):
            raise No("already_scheduled")  # undoing ours would take back what somebody else decided
        _note(step, current, remember)
        params: dict[str, Any] = {"metadata": marks, **_subscription_change(step)}
        path = "/v1/subscriptions/{id}"
        return self._wire.one("POST", path, self._v1.subscriptions.update, step.subscription, params, options)

    def _cancel(self, step: steps.CancelSubscription) -> Written:
        # A DELETE knows no idempotency key: what counts is the state, so an ended subscription is a success.
        current = self._wire.subscription(step.subscription)
        if status_of(current) in ENDED:
            return written(current)
        params: dict[str, Any] = {"invoice_now": False, "prorate": False}
        path = "/v1/subscriptions/{id}"
        try:
            return self._wire.one("DELETE", path, self._v1.subscriptions.cancel, step.subscription, params, {})
        except Refused as error:
            current = self._wire.subscription(step.subscription)
            if status_of(current) not in ENDED:
                raise error from None
            return written(current)

    def _resume(self, step: steps.ResumeSubscription, options: dict[str, Any]) -> Written:
        params: dict[str, Any] = {
            "billing_cycle_anchor": {"type": "unchanged"}, "payment_behavior": "resume_on_payment_success",
        }  # fmt: skip
        path = "/v1/subscriptions/{id}/resume"
        return self._wire.one("POST", path, self._v1.subscriptions.resume, step.subscription, params, options)

    def _release(self, step: steps.ReleaseSchedule, options: dict[str, Any]) -> Written:
        params = {"preserve_cancel_date": True}
        path = "/v1/subscription_schedules/{id}/release"
        return self._wire.one("POST", path, self._v1.subscription_schedules.release, step.schedule, params, options)

    def _refund(self, step: steps.RefundCharge, marks: dict[str, str], options: dict[str, Any]) -> Written:
        charge = self._wire.charge(step.charge)
        _check_currency(charge, step.amount)
        params = {
            "charge": step.charge, "amount": step.amount.amount, "reason": step.reason, "metadata": marks,
        }  # fmt: skip
        try:
            return as_refund(self._wire.one("POST", "/v1/refunds", self._v1.refunds.create, params, options))
        except Refused as error:
            # Stripe has no code for this; asked only now, because after a lost answer the rest is smaller by our own.
            left = whole(charge, "amount_captured") - whole(charge, "amount_refunded")
            if error.status == 400 and error.code is None and step.amount.amount > left:
                raise No("amount_too_large") from None
            raise

    def _credit_note(self, step: steps.CreateCreditNote, marks: dict[str, str], options: dict[str, Any]) -> Written:
        _check_currency(self._wire.invoice(step.invoice), step.amount)
        params: dict[str, Any] = {
            "invoice": step.invoice, "amount": step.amount.amount, "reason": step.reason, "metadata": marks,
            "email_type": "none",
        }  # fmt: skip
        if step.settle != "open":
            params["refund_amount" if step.settle == "refund" else "credit_amount"] = step.amount.amount
        note = self._wire.call("POST", "/v1/credit_notes", self._v1.credit_notes.create, params, options)
        return self._wire.noted(note)

    def _balance(self, customer: str, amount: Money, marks: dict[str, str], options: dict[str, Any]) -> Written:
        params = {"amount": amount.amount, "currency": amount.currency, "metadata": marks}
        path = "/v1/customers/{id}/balance_transactions"
        create = self._v1.customers.balance_transactions.create
        return self._wire.one("POST", path, create, customer, params, options)

    def _invoice(self, step: Any, marks: dict[str, str], options: dict[str, Any], remember: Remember) -> Written:
        invoices = self._v1.invoices
        call: Callable[..., Any]
        params: dict[str, Any] = {}
        match step:
            case steps.HoldInvoice():
                current = self._wire.invoice(step.invoice)
                if status_of(current) not in {"draft", "open"}:
                    raise No("invoice_not_open")
                _note(step, current, remember)
                call, params, name = invoices.update, {"auto_advance": False, "metadata": marks}, ""
            case steps.ResendInvoice():
                call, name = invoices.send_invoice, "/send"
            case steps.PayInvoice():
                self._check_due(step)
                call, name = invoices.pay, "/pay"
                if step.payment_method:
                    params = {"payment_method": step.payment_method}
            case steps.MarkInvoicePaid():
                call, params, name = invoices.pay, {"paid_out_of_band": True}, "/pay"
            case steps.VoidInvoice():
                call, name = invoices.void_invoice, "/void"
            case _:
                call, name = invoices.mark_uncollectible, "/mark_uncollectible"
        return self._wire.one("POST", "/v1/invoices/{id}" + name, call, step.invoice, params, options)

    def _check_due(self, step: steps.PayInvoice) -> None:
        invoice = self._wire.invoice(step.invoice)
        status = status_of(invoice)
        if status == "paid":
            return  # perhaps by us, with the answer lost: the key gets that answer, any other key Stripe's no
        if status != "open":
            raise No("invoice_not_open")
        _check_currency(invoice, step.amount)
        if whole(invoice, "amount_remaining") != step.amount.amount:
            raise No("amount_changed")

    def _cancel_intent(self, step: steps.CancelPaymentIntent, options: dict[str, Any]) -> Written:
        path, intent = "/v1/payment_intents/{id}/cancel", self._wire.intent(step.payment_intent)
        return self._wire.one("POST", path, self._v1.payment_intents.cancel, intent, {}, options)

    def _expire(self, step: steps.ExpireCheckoutSession, options: dict[str, Any]) -> Written:
        path = "/v1/checkout/sessions/{id}/expire"
        return self._wire.one("POST", path, self._v1.checkout.sessions.expire, step.checkout_session, {}, options)


def _subscription_change(step: Any) -> dict[str, Any]:
    match step:
        case steps.ScheduleCancellation():
            return {"cancel_at_period_end": True}
        case steps.UndoCancellation():
            return {"cancel_at": ""} if step.clears == "cancel_at" else {"cancel_at_period_end": False}
        case steps.PauseCollection():
            return {"pause_collection": {"behavior": step.behavior}}
        case steps.ResumeCollection():
            return {"pause_collection": ""}
        case steps.ChangeQuantity():
            items = [{"id": step.item, "quantity": step.quantity}]
            return {"items": items, "proration_behavior": step.proration_behavior}
        case _:
            items = [{"id": step.item, "price": step.price}]
            return {"items": items, "proration_behavior": step.proration_behavior}


def _marks(action: str, ticket: int | None) -> dict[str, str]:
    return {MARK: action} | ({"zendesk_ticket": str(ticket)} if ticket is not None else {})


def _told(step_id: str, write: Callable[[], Written]) -> Receipt:
    """What became of a write: done, refused or unknown."""
    try:
        return done(step_id, write())
    except No as no:
        return receipt(step_id, "refused", reason=str(no))
    except OutsideError as error:
        return failed(step_id, error)


def _note(step: Step, current: Any, remember: Remember) -> None:
    before = before_of(step, current)
    if before is not None:
        remember(before)


def _check_currency(one: Any, amount: Money) -> None:
    if getattr(one, "currency", None) != amount.currency:
        raise No("currency_differs")
