"""Is it a question of seats, members or workspaces: several on purpose?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from billing.evidence import Bucket, Wish
from billing.records import Invoice, Subscription
from billing.situations.scene import Scene
from billing.situations.situation import Situation
from billing.situations.wording import day, plain, short

TEAM_WORDS = ("TXT_TEAM", "TXT_SEAT_CHANGE", "TXT_SEAT_PRORATION", "TXT_QUOTE", "TXT_OWNERSHIP")
_CURIOUS = ("TXT_EXPLAIN", "TXT_DUP_TWICE", "TXT_DUP_SUBSCRIPTIONS", "TXT_PRICE_ROSE", "TXT_PRICE_QUESTION")


def recognise(scene: Scene) -> Iterator[Situation]:
    yield from _apart(scene)
    yield from _coupon_then_seat(scene)
    yield from _prorations(scene)
    yield from _pending(scene)
    yield from _several_seats(scene)


def _affinity(scene: Scene) -> float:
    if scene.speaks(*TEAM_WORDS) or scene.wants(Wish.CHANGE_SEATS):
        return 2.0
    return 1.5 if scene.speaks(*_CURIOUS) or scene.wants(Wish.EXPLAIN_CHARGE) or scene.silent else 0.0


def _apart(scene: Scene) -> Iterator[Situation]:
    """Separate workspaces or separate people, one payer: nothing is doubled."""
    for anomaly in scene.found("separate_workspaces", "separate_users"):
        kept = tuple(name for name in anomaly.objects if name in scene.subscriptions)
        if len(kept) < 2:
            continue
        people = anomaly.code == "separate_users"
        thing = "people" if people else "workspaces"
        yield Situation(
            name=anomaly.code,
            bucket=Bucket.TEAM_SEATS,
            overrules=(Bucket.DUPLICATE_SUBSCRIPTION, Bucket.OTHER_BILLING),
            strength=4.5,
            affinity=min(1.5, _affinity(scene)),
            headline=short(f"{_count(len(kept))} {thing}, not mistakes"),
            says=f"{len(kept)} subscriptions, one for each of {len(kept)} {thing}; none of them is a duplicate.",
            objects=kept,
            gap="no_org_billing" if people else "no_seat_explanation",
            keep=kept,
            subscription=kept[0],
            customer=scene.customer_of(kept[0]),
            would_change="The same owner on two subscriptions would make one of them a duplicate.",
        )


def _count(number: int) -> str:
    words = ("Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
    return words[number - 2] if 2 <= number <= 9 else str(number)


def _coupon_then_seat(scene: Scene) -> Iterator[Situation]:
    """A free subscription was charged in full for a seat that came later: the coupon did not reach it."""
    for subscription in scene.live:
        free = any(d.percent_off == 100 and _holds(scene, d.end) for d in subscription.discounts)
        invoices = scene.invoices_of(subscription.id)
        if not free or not invoices or invoices[-1].total != 0:
            continue
        charged = [i for i in invoices if i.billing_reason == "subscription_update" and i.amount_paid > 0]
        for invoice in charged[:1]:
            excess = invoice.amount_paid - invoice.post_payment_credit_notes_amount
            if excess > 0:
                yield _missed_coupon(scene, subscription, invoice, excess)


def _holds(scene: Scene, end: datetime | None) -> bool:
    return end is None or end > scene.snapshot.taken_at


def _missed_coupon(scene: Scene, subscription: Subscription, invoice: Invoice, excess: int) -> Situation:
    paid = scene.charges_for(invoice.id)
    return Situation(
        name="coupon_missed_seat",
        bucket=Bucket.TEAM_SEATS,
        strength=4.5,
        affinity=_affinity(scene),
        headline="The coupon missed a seat",
        says=f"The subscription is free by coupon, yet {plain(excess, invoice.currency)} was taken for an added seat.",
        objects=(subscription.id, invoice.id),
        gap="no_seat_explanation",
        subscription=subscription.id,
        invoice=invoice.id,
        charges=tuple(charge.id for charge in paid),
        owed=((invoice.id, excess),),
        customer=subscription.customer,
    )


def _prorations(scene: Scene) -> Iterator[Situation]:
    names = tuple(name for name in scene.objects("seat_proration") if name in scene.invoices)
    if names:
        newest = scene.invoices[max(names, key=lambda name: (scene.invoices[name].created, name))]
        yield Situation(
            name="seat_proration",
            bucket=Bucket.TEAM_SEATS,
            overrules=(Bucket.DUPLICATE_SUBSCRIPTION,),
            strength=2.5,
            affinity=_affinity(scene),
            headline="Seat changes, billed by day",
            says=f"{len(names)} invoice(s) bill seats for the days they were added; each seat is billed once.",
            objects=names,
            gap="no_seat_explanation",
            subscription=newest.subscription,
            invoice=newest.id,
            customer=newest.customer,
        )


def _pending(scene: Scene) -> Iterator[Situation]:
    """Prorations that wait for the next invoice; of seats, or of a plan change."""
    names = scene.objects("pending_proration")
    waiting = [item for item in scene.snapshot.pending_items if item.id in names and item.customer in scene.customers]
    if not waiting:
        return
    subscription = scene.subscriptions.get(waiting[0].subscription or "")
    team = scene.speaks(*TEAM_WORDS) or any(item.quantity > 1 for s in scene.live for item in s.items)
    due = day(subscription.current_period_end, scene.snapshot.taken_at) if subscription else "the next invoice"
    total = sum(item.amount for item in waiting if item.currency == waiting[0].currency)
    yield Situation(
        name="pending_seat_proration" if team else "pending_proration",
        bucket=Bucket.TEAM_SEATS if team else Bucket.OTHER_BILLING,
        overrules=(Bucket.DUPLICATE_SUBSCRIPTION,),
        strength=2.7 if team else 2.0,
        affinity=_affinity(scene) if team else (1.0 if scene.speaks("TXT_PLAN_PRORATION", "TXT_EXPLAIN") else 0.0),
        headline="Charges wait for renewal",
        says=f"{plain(total, waiting[0].currency)} for changes already made waits for the invoice of {due}.",
        objects=tuple(sorted(item.id for item in waiting)),
        gap="no_seat_explanation" if team else None,
        subscription=subscription.id if subscription else None,
        customer=waiting[0].customer,
    )


def _seats(number: int) -> str:
    return "one seat" if number == 1 else f"{number} seats"


def _several_seats(scene: Scene) -> Iterator[Situation]:
    wants_change = scene.wants(Wish.CHANGE_SEATS)
    found = scene.named_subscriptions("multiple_seats") or (scene.live if len(scene.live) == 1 and wants_change else ())
    for subscription in found[:1]:
        seats = max((item.quantity for item in subscription.items), default=1)
        yield Situation(
            name="seats_change_wanted" if wants_change else "seats_on_one_subscription",
            bucket=Bucket.TEAM_SEATS,
            overrules=(Bucket.DUPLICATE_SUBSCRIPTION, Bucket.OTHER_BILLING),
            strength=2.0 if wants_change else 2.5,
            affinity=_affinity(scene),
            headline=short(f"{_seats(seats)} on one subscription", _seats(seats)),
            says=f"One {scene.product(subscription.id)} subscription with {_seats(seats)}; the amount is per seat.",
            objects=(subscription.id,),
            gap=None if wants_change else "no_seat_explanation",
            subscription=subscription.id,
            keep=(subscription.id,),
            customer=subscription.customer,
            would_change="A second live subscription would make it a duplicate.",
        )
