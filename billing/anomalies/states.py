"""In which state are the subscriptions, and does the state fit what the text says?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from billing.anomalies.scene import Scene, anomaly, day, money
from billing.evidence import Wish
from billing.joins import paid
from billing.reading.codes import TextCode
from billing.records import Invoice, Subscription
from billing.snapshot import Anomaly

_TRIAL_WINDOW = timedelta(days=7)
_UNPAID_PAUSE = frozenset({"first_payment_failure", "final_payment_failure"})


def incomplete(scene: Scene) -> Iterator[Anomaly]:
    for subscription in scene.joins.subscriptions.values():
        if subscription.status == "incomplete":
            says = "The first payment of a new subscription is not complete."
            yield anomaly("first_payment_incomplete", says, [subscription.id, *_open(scene, subscription)])
        elif subscription.status == "incomplete_expired":
            says = "A new subscription was never paid and has expired; nothing is owed."
            yield anomaly("incomplete_expired", says, [subscription.id])


def behind(scene: Scene) -> Iterator[Anomaly]:
    for subscription in scene.joins.subscriptions.values():
        if subscription.status == "past_due":
            says = "The latest payment of the subscription is past due."
            yield anomaly("past_due", says, [subscription.id, *_open(scene, subscription)])
        elif subscription.status == "unpaid":
            says = "The subscription is unpaid after all retries; nothing more is charged by itself."
            yield anomaly("unpaid_after_retries", says, [subscription.id])
        elif subscription.status == "canceled" and subscription.cancellation_reason == "payment_failed":
            says = f"The subscription ended{_on(subscription.ended_at)} because payments failed."
            yield anomaly("canceled_for_nonpayment", says, [subscription.id])


def paused(scene: Scene) -> Iterator[Anomaly]:
    """A pause that somebody asked for stands out in no way; without a type it can only be the end of a trial."""
    for subscription in scene.joins.subscriptions.values():
        if subscription.status != "paused":
            continue
        kind = subscription.paused_type
        if kind in _UNPAID_PAUSE:
            says = "The subscription is paused because a payment failed."
            yield anomaly("paused_for_nonpayment", says, [subscription.id])
        elif kind == "trial_end_without_payment_method" or (kind is None and subscription.trial_end is not None):
            says = "The subscription is paused: its trial ended without a card."
            yield anomaly("paused_trial_end", says, [subscription.id])


def trials(scene: Scene) -> Iterator[Anomaly]:
    for subscription in scene.joins.subscriptions.values():
        if subscription.status == "trialing":
            says = f"The subscription is in trial{_until(subscription.trial_end)}."
            yield anomaly("trialing", says, [subscription.id])
        elif subscription.trial_end is not None and subscription.trial_end <= scene.now:
            first = _first_payment(scene, subscription, subscription.trial_end)
            if first is not None and scene.now - (first.paid_at or first.created) <= _TRIAL_WINDOW:
                says = (
                    f"The trial ended on {day(subscription.trial_end)}, and {money(first.amount_paid, first.currency)} "
                    f"was paid on {day(first.paid_at or first.created)}."
                )
                yield anomaly("trial_converted", says, [subscription.id])


def already_canceled(scene: Scene) -> Iterator[Anomaly]:
    """Asked to cancel, and all that is there has ended: the one that ended last is meant."""
    if not (scene.wants(Wish.CANCEL) or scene.says(TextCode.TXT_WANTS_CANCEL)) or scene.joins.live:
        return
    ended = [s for s in scene.joins.subscriptions.values() if s.status == "canceled"]
    if ended:
        last = max(ended, key=lambda s: (s.ended_at or s.canceled_at or s.created, s.id))
        yield anomaly("already_canceled", f"The subscription ended already{_on(last.ended_at)}.", [last.id])


def paid_and_active(scene: Scene) -> Iterator[Anomaly]:
    """Only when the text misses access: otherwise paid and active is how it should be."""
    if not (scene.wants(Wish.RESTORE_ACCESS) or scene.says(TextCode.TXT_NO_ACCESS)):
        return
    for subscription in scene.joins.subscriptions.values():
        final = (i for i in scene.joins.invoices_for(subscription.id) if i.status not in {"draft", "void"})
        newest = next(final, None)
        if subscription.status == "active" and newest is not None and newest.status == "paid":
            says = f"The subscription is active, and paid on {day(newest.paid_at or newest.created)}."
            yield anomaly("paid_and_active", says, [subscription.id])


def charged_after_cancellation(scene: Scene) -> Iterator[Anomaly]:
    """A payment that started after the end. Usage of the last period may be billed after it and is left out."""
    for subscription in scene.joins.subscriptions.values():
        end = _took_effect(subscription, scene.now)
        if end is None:
            continue
        for invoice in scene.joins.invoices_for(subscription.id):
            if invoice.lines and all(line.metered or line.proration for line in invoice.lines):
                continue
            late = [c for c in scene.joins.charges_for(invoice.id) if paid(c) and c.created > end]
            for charge in late:
                taken = f"{money(charge.amount_captured, charge.currency)} was taken on {day(charge.created)}"
                says = f"{taken}, after the subscription ended on {day(end)}."
                yield anomaly("charged_after_cancellation", says, [charge.id, invoice.id])


def _took_effect(subscription: Subscription, now: datetime) -> datetime | None:
    if subscription.ended_at is not None:
        return subscription.ended_at
    if subscription.status == "canceled":
        return subscription.canceled_at
    if subscription.cancel_at is not None and subscription.cancel_at <= now:
        return subscription.cancel_at
    return None


def _first_payment(scene: Scene, subscription: Subscription, since: datetime) -> Invoice | None:
    invoices = scene.joins.invoices_for(subscription.id)
    paying = [i for i in invoices if i.status == "paid" and i.amount_paid > 0 and i.created >= since]
    return min(paying, key=lambda i: i.created, default=None)


def _open(scene: Scene, subscription: Subscription) -> list[str]:
    return [invoice.id for invoice in scene.joins.invoices_for(subscription.id) if invoice.status == "open"]


def _on(moment: datetime | None) -> str:
    return f" on {day(moment)}" if moment else ""


def _until(moment: datetime | None) -> str:
    return f" until {day(moment)}" if moment else ""


RULES = (
    incomplete,
    behind,
    paused,
    trials,
    already_canceled,
    paid_and_active,
    charged_after_cancellation,
)
