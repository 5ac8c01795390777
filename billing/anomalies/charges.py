"""What became of the money? Double payments, holds, refunds, disputes, and payments with nothing behind them."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from billing.anomalies.scene import Scene, anomaly, day, money
from billing.evidence import Wish
from billing.joins import paid, paid_for
from billing.reading.codes import TextCode
from billing.records import Charge, Invoice, Metadata
from billing.snapshot import Anomaly

_References = frozenset[tuple[str, str]]
_Purchase = tuple[int, str, _References, tuple[str | None, str | None]]  # amount, currency, order or else card

_REFERENCES = frozenset(
    {
        "order", "orderid", "ordernumber", "sku", "item", "itemid", "product", "productid", "cart", "cartid",
        "purchase", "purchaseid", "reference", "article", "articleid", "license", "licenseid", "course", "courseid",
    }
)  # fmt: skip
_ONE_PURCHASE = timedelta(hours=24)
_ONE_CLICK = timedelta(hours=1)  # without a reference only what follows at once is the same purchase
_RECENT = timedelta(days=60)
_HOLDS = (TextCode.TXT_HOLD, TextCode.TXT_DUP_TWICE, TextCode.TXT_PENDING)
_OPEN_DISPUTE = frozenset({"needs_response", "under_review"})
_INQUIRY = frozenset({"warning_needs_response", "warning_under_review"})
_CLOSED_DISPUTE = frozenset({"won", "lost", "prevented", "warning_closed"})


def duplicate_charges(scene: Scene) -> Iterator[Anomaly]:
    groups = [*_paid_twice(scene), *_periods_paid_twice(scene), *_purchases_paid_twice(scene)]
    for group in groups:
        first = group[-1]
        when = " and ".join(day(charge.created) for charge in reversed(group[:3]))
        says = f"{money(first.amount_captured, first.currency)} was taken {len(group)} times for one thing, on {when}."
        yield anomaly("duplicate_charge", says, [charge.id for charge in group])


def _paid_twice(scene: Scene) -> Iterator[Sequence[Charge]]:
    """One invoice with several payments."""
    for group in scene.joins.charges_of.values():
        taken = [charge for charge in group if paid(charge)]
        if len(taken) > 1:
            yield taken


def _periods_paid_twice(scene: Scene) -> Iterator[Sequence[Charge]]:
    """Two invoices of one subscription for the same plan and period; prorations and usage are something else."""
    periods: defaultdict[tuple[object, ...], list[Charge]] = defaultdict(list)
    for invoice in scene.joins.invoices.values():
        key = _period_key(invoice)
        taken = [charge for charge in scene.joins.charges_for(invoice.id) if paid(charge)]
        if key and taken:
            periods[key].append(taken[0])
    yield from (group for group in periods.values() if len(group) > 1)


def _period_key(invoice: Invoice) -> tuple[object, ...] | None:
    if not invoice.subscription or any(line.proration or line.metered for line in invoice.lines):
        return None
    bought = frozenset((line.price, line.quantity) for line in invoice.lines)
    if any(line.period_start for line in invoice.lines):
        return (invoice.subscription, bought, *paid_for(invoice))
    if invoice.period_start is None or invoice.period_start == invoice.period_end:
        return None
    return (invoice.subscription, bought, invoice.period_start, invoice.period_end)


def _purchases_paid_twice(scene: Scene) -> Iterator[Sequence[Charge]]:
    """One-off payments of one amount: the same order or item within a day, or no reference and the same minute."""
    alike: defaultdict[_Purchase, list[Charge]] = defaultdict(list)
    for charge in scene.joins.charges.values():
        if paid(charge) and charge.id not in scene.joins.invoiced:
            references = _references(scene, charge)
            card = (None, None) if references else (charge.last4, charge.description)
            alike[(charge.amount_captured, charge.currency, references, card)].append(charge)
    for (_, _, references, _), group in alike.items():
        yield from _close_together(group, _ONE_PURCHASE if references else _ONE_CLICK)


def _close_together(charges: Sequence[Charge], window: timedelta) -> Iterator[Sequence[Charge]]:
    """Runs (newest first) in which each payment follows the one before within the window."""
    run: list[Charge] = []
    for charge in charges:
        if run and run[-1].created - charge.created > window:
            if len(run) > 1:
                yield run
            run = []
        run.append(charge)
    if len(run) > 1:
        yield run


def _references(scene: Scene, charge: Charge) -> _References:
    session = scene.joins.session_of.get(charge.payment_intent or "")
    carried: tuple[Metadata, ...] = (session.metadata if session else {}, charge.metadata)
    named = {re.sub(r"[^a-z0-9]", "", key.lower()): value for metadata in carried for key, value in metadata.items()}
    return frozenset((key, value) for key, value in named.items() if key in _REFERENCES)


def pending_authorizations(scene: Scene) -> Iterator[Anomaly]:
    """Not captured, or let go. A failed charge counts when the text sees it as a hold or a second charge."""
    taken: defaultdict[tuple[int, str], list[datetime]] = defaultdict(list)
    for charge in sorted(scene.joins.charges.values(), key=lambda charge: charge.created):
        if paid(charge):
            taken[(charge.amount, charge.currency)].append(charge.created)
    claimed = scene.says(*_HOLDS)
    for charge in scene.joins.charges.values():
        held = charge.status == "succeeded" and not charge.captured
        failed = charge.status == "failed" and claimed and _near(charge, taken)
        if held or failed:
            amount = money(charge.amount, charge.currency)
            says = f"{amount} of {day(charge.created)} is only a hold on the card: nothing was taken."
            yield anomaly("pending_authorization", says, [charge.id])


def _near(charge: Charge, taken: dict[tuple[int, str], list[datetime]]) -> bool:
    moments = taken.get((charge.amount, charge.currency), [])
    nearest = bisect_left(moments, charge.created - _ONE_PURCHASE)
    return nearest < len(moments) and moments[nearest] <= charge.created + _ONE_PURCHASE


def paid_without_subscription(scene: Scene) -> Iterator[Anomaly]:
    """A checkout for a subscription that made none; a lone payment when the text misses access, or wholly unexplained.

    A one-off purchase has an order, a description or a checkout session behind it and is no anomaly by itself.
    """
    claimed = scene.wants(Wish.RESTORE_ACCESS) or scene.says(TextCode.TXT_NO_ACCESS)
    lonely = claimed and not scene.joins.live
    alone = [c for c in scene.joins.charges.values() if paid(c) and c.refundable and c.id not in scene.joins.invoiced]
    amounts = Counter((charge.amount, charge.currency) for charge in alone)
    for charge in alone:
        session = scene.joins.session_of.get(charge.payment_intent or "")
        broken = session is not None and session.mode == "subscription" and session.subscription is None
        bare = session is None and not charge.metadata and not charge.description and not scene.joins.subscriptions
        unexplained = bare and amounts[(charge.amount, charge.currency)] == 1
        recent = scene.now - charge.created <= _RECENT
        if broken or (recent and (unexplained or (lonely and not _references(scene, charge)))):
            taken = f"{money(charge.amount_captured, charge.currency)} was paid on {day(charge.created)}"
            yield anomaly("paid_without_subscription", f"{taken}, and no subscription came of it.", [charge.id])


def refunds(scene: Scene) -> Iterator[Anomaly]:
    for charge in scene.joins.charges.values():
        if not paid(charge):
            continue
        if charge.refunded or charge.amount_refunded >= charge.amount_captured:
            says = f"The payment of {day(charge.created)} was refunded in full."
            yield anomaly("already_refunded", says, [charge.id])
        elif charge.amount_refunded > 0:
            back = money(charge.amount_refunded, charge.currency)
            says = f"{back} of the payment of {day(charge.created)} was refunded."
            yield anomaly("partly_refunded", says, [charge.id])
        newest = max(charge.refunds, key=lambda refund: (refund.created, refund.id), default=None)
        if newest is None:
            continue
        amount = money(newest.amount, newest.currency)
        if newest.status in {"pending", "requires_action"}:
            yield anomaly("refund_pending", f"{amount} is on its way back since {day(newest.created)}.", [newest.id])
        elif newest.status == "failed":
            yield anomaly("refund_failed", f"The refund of {amount} on {day(newest.created)} failed.", [newest.id])


def disputes(scene: Scene) -> Iterator[Anomaly]:
    for dispute in scene.joins.disputes:
        amount = money(dispute.amount, dispute.currency)
        due = f"; the answer is due on {day(dispute.due_by)}" if dispute.due_by else ""
        if dispute.status in _OPEN_DISPUTE:
            yield anomaly("dispute_open", f"The bank disputes {amount}{due}.", [dispute.id])
        elif dispute.status in _INQUIRY:
            yield anomaly("dispute_inquiry", f"The bank asks about {amount}{due}.", [dispute.id])
        elif dispute.status in _CLOSED_DISPUTE:
            ended = dispute.status.removeprefix("warning_")
            yield anomaly("dispute_closed", f"A dispute of {amount} is over: {ended}.", [dispute.id])
    for warning in scene.joins.early_fraud_warnings:
        if warning.actionable:
            says = f"The card network sent an early warning about a payment on {day(warning.created)}."
            yield anomaly("early_fraud_warning", says, [warning.id])


def special_charges(scene: Scene) -> Iterator[Anomaly]:
    for charge in scene.joins.charges.values():
        if charge.connected:
            says = f"The payment of {day(charge.created)} went to a connected account."
            yield anomaly("connected_account_charge", says, [charge.id])
        shown = charge.presentment_currency
        if shown and shown != charge.currency:
            seen = money(charge.presentment_amount or 0, shown)
            says = f"The payer saw {seen} for {money(charge.amount, charge.currency)}."
            yield anomaly("other_currency_shown", says, [charge.id])


RULES = (
    duplicate_charges,
    pending_authorizations,
    paid_without_subscription,
    refunds,
    disputes,
    special_charges,
)
