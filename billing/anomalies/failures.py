"""Why does a payment not complete, and was it made up for since?

Decline and advice codes: https://docs.stripe.com/declines/codes. The reason is for the agent only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from billing.anomalies.scene import Scene, anomaly, day, money
from billing.joins import paid
from billing.records import Charge, Invoice, PaymentMethod
from billing.snapshot import Anomaly

_FINAL = frozenset(
    {
        "lost_card", "stolen_card", "pickup_card", "fraudulent", "merchant_blacklist", "invalid_account",
        "revocation_of_authorization", "revocation_of_all_authorizations", "stop_payment_order", "card_not_supported",
    }
)  # fmt: skip
_RECENT = timedelta(days=30)
_MADE_UP = timedelta(days=1)
_RECOVERED = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class _Failure:
    """The newest failed charge of something that is still not paid."""

    charge: Charge
    invoice: Invoice | None

    @property
    def objects(self) -> tuple[str, ...]:
        return (self.charge.id,) if self.invoice is None else (self.charge.id, self.invoice.id)

    @property
    def expired(self) -> bool:
        return "expired_card" in (self.charge.decline_code, self.charge.failure_code)

    @property
    def blocked(self) -> bool:
        return self.charge.outcome_type == "blocked"

    @property
    def final(self) -> bool:
        return self.charge.advice_code == "do_not_try_again" or self.charge.decline_code in _FINAL

    @property
    def authentication(self) -> bool:
        return "authentication_required" in (self.charge.decline_code, self.charge.failure_code)


def _failures(scene: Scene) -> Iterator[_Failure]:
    for invoice in scene.joins.invoices.values():
        if invoice.status == "open":
            tried = scene.joins.charges_for(invoice.id)
            if tried and tried[0].status == "failed":
                yield _Failure(tried[0], invoice)
    yield from _failures_without_invoice(scene)


def _failures_without_invoice(scene: Scene) -> Iterator[_Failure]:
    """The newest of each payment intent, in the last 30 days, unless the same amount was paid within a day."""
    payment: dict[tuple[int, str], datetime] = {}  # the nearest later payment of an amount
    seen: set[str] = set()
    for charge in scene.joins.charges.values():
        amount, intent = (charge.amount, charge.currency), charge.payment_intent or charge.id
        if paid(charge):
            payment[amount] = charge.created
        elif charge.status == "failed" and charge.id not in scene.joins.invoiced and intent not in seen:
            later = payment.get(amount)
            made_up = later is not None and later - charge.created <= _MADE_UP
            if not made_up and scene.now - charge.created <= _RECENT:
                yield _Failure(charge, None)
        seen.add(intent)


def declines(scene: Scene) -> Iterator[Anomaly]:
    """One reason for each failure; an expired card with the advice not to try again carries both codes."""
    for failure in _failures(scene):
        when = f"{money(failure.charge.amount, failure.charge.currency)} failed on {day(failure.charge.created)}"
        if failure.blocked:
            yield anomaly("payment_blocked", f"{when}: blocked before it reached the bank.", failure.objects)
            continue
        if failure.expired:
            objects = (*failure.objects, failure.charge.payment_method)
            yield anomaly("card_expired", f"{when}: the card has run out.", objects)
        if failure.final:
            yield anomaly("hard_decline", f"{when}: the bank says not to try this card again.", failure.objects)
        elif failure.authentication:
            says = f"{when}: the bank wants the payer to confirm it."
            objects = (failure.invoice.id if failure.invoice else None, failure.charge.id)
            yield anomaly("authentication_required", says, objects)
        elif not failure.expired:
            yield anomaly("soft_decline", f"{when}{_next(failure.invoice)}; it may be tried again.", failure.objects)


def _next(invoice: Invoice | None) -> str:
    if invoice is None or invoice.next_payment_attempt is None:
        return ""
    return f", next attempt on {day(invoice.next_payment_attempt)}"


def expired_cards(scene: Scene) -> Iterator[Anomaly]:
    """The card that a live subscription or an open invoice is to be paid with is over its last month."""
    open_payers = {invoice.customer for invoice in scene.joins.invoices.values() if invoice.status == "open"}
    in_use = {_default_method(scene, customer, None) for customer in open_payers}
    in_use |= {_default_method(scene, s.customer, s.default_payment_method) for s in scene.joins.live}
    for method in scene.joins.payment_methods.values():
        if method.id in in_use and _expired(method, scene.now):
            says = f"The {method.brand or 'card'} on file ran out in {method.exp_month:02d}/{method.exp_year}."
            yield anomaly("card_expired", says, [method.id])


def _default_method(scene: Scene, customer: str, preferred: str | None) -> str | None:
    if preferred:
        return preferred
    record = scene.joins.customers.get(customer)
    return record.default_payment_method if record else None


def _expired(method: PaymentMethod, now: datetime) -> bool:
    """A card is good until the end of its month."""
    if method.exp_year is None or method.exp_month is None:
        return False
    return (method.exp_year, method.exp_month) < (now.year, now.month)


def newer_cards(scene: Scene) -> Iterator[Anomaly]:
    for failure in _failures(scene):
        if failure.invoice is None:
            continue
        subscription = scene.joins.subscriptions.get(failure.invoice.subscription or "")
        preferred = subscription.default_payment_method if subscription else None
        default = _default_method(scene, failure.invoice.customer, preferred)
        method = scene.joins.payment_methods.get(default or "")
        if method is not None and method.created > failure.charge.created:
            says = (
                f"A new payment method was saved on {day(method.created)}, "
                f"after the payment failed on {day(failure.charge.created)}."
            )
            yield anomaly("card_newer_than_failure", says, [method.id, failure.invoice.id])


def waiting_intents(scene: Scene) -> Iterator[Anomaly]:
    """Payment intents that wait for the payer's bank; `payment_processing` is about a charge that is on its way."""
    invoice_of = {
        payment.payment_intent: invoice.id
        for invoice in scene.joins.invoices.values()
        if invoice.status == "open"
        for payment in invoice.payments
        if payment.payment_intent
    }
    for intent in scene.joins.payment_intents:
        if intent.status == "requires_action":
            says = f"{money(intent.amount, intent.currency)} waits for the payer to confirm it with their bank."
            objects = (invoice_of.get(intent.id) or intent.invoice, intent.id)
            yield anomaly("authentication_required", says, objects)
        elif intent.status == "processing" and intent.latest_charge not in scene.joins.charges:
            says = f"{money(intent.amount, intent.currency)} is on its way and not confirmed."
            yield anomaly("payment_processing", says, [intent.latest_charge, intent.id])
    for charge in scene.joins.charges.values():
        if charge.status == "pending":
            says = f"{money(charge.amount, charge.currency)} of {day(charge.created)} is on its way and not confirmed."
            yield anomaly("payment_processing", says, [charge.id])


def abandoned_checkouts(scene: Scene) -> Iterator[Anomaly]:
    for session in scene.joins.checkout_sessions:
        if session.status in {"open", "expired"} and session.payment_status == "unpaid":
            state = "is still open" if session.status == "open" else "has expired"
            says = f"A checkout of {day(session.created)} was not paid and {state}."
            yield anomaly("checkout_abandoned", says, [session.id])


def recovered(scene: Scene) -> Iterator[Anomaly]:
    """Failed, then paid, in the last 60 days: what looked like a problem is over."""
    for invoice in scene.joins.invoices.values():
        when = invoice.paid_at or invoice.created
        if invoice.status != "paid" or scene.now - when > _RECOVERED:
            continue
        if any(c.status == "failed" for c in scene.joins.charges_for(invoice.id)) or invoice.attempt_count > 1:
            says = f"The payment failed first and went through on {day(when)}."
            yield anomaly("recovered_on_retry", says, [invoice.id])


RULES = (
    declines,
    expired_cards,
    newer_cards,
    waiting_intents,
    abandoned_checkouts,
    recovered,
)
