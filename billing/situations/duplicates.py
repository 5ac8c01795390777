"""Is more than one subscription or payment running for one thing, where one was meant?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

from billing.evidence import Bucket, Wish
from billing.families import DuplicateGroup, overlaps_in, plan
from billing.records import Charge, Subscription
from billing.situations.scene import Scene
from billing.situations.situation import Situation
from billing.situations.wording import day, plain, short

DUPLICATE_WORDS = ("TXT_DUP_TWICE", "TXT_DUP_SUBSCRIPTIONS", "TXT_TWO_ACCOUNTS", "TXT_MONTHLY_AND_ANNUAL")
_SLACK = timedelta(days=3)  # a charge made this shortly before the second subscription began paid for the overlap


def recognise(scene: Scene) -> Iterator[Situation]:
    for group in scene.groups:
        members = tuple(scene.subscriptions[name] for name in group.members)
        yield _undecided(scene, members) if group.keeper is None else _doubled(scene, group, members)
    yield from _payments(scene)
    yield from _twin_incomplete(scene)
    yield from _hold(scene)
    yield from _two_purchases(scene)


def _doubled(scene: Scene, group: DuplicateGroup, members: tuple[Subscription, ...]) -> Situation:
    kept = scene.subscriptions[group.keeper or ""]
    extras = tuple(s for s in members if s.id != kept.id)
    stays = scene.wants_to_stay and all(extra.ending for extra in extras)  # the one that ends is wanted after all
    owed = tuple(pair for extra in extras for pair in affected(scene, kept, extra))
    product = scene.product(kept.id)
    started = day(max(s.created for s in members), scene.snapshot.taken_at)
    return Situation(
        name=_name(scene, group, kept, extras),
        bucket=Bucket.DUPLICATE_SUBSCRIPTION,
        strength=_strength(scene),
        overrules=_overruled(scene),
        affinity=-6.0 if stays else _affinity(scene) - 0.5 * len(group.doubts),
        headline=short(f"Paying twice for {product}" if owed else f"Two subscriptions to {product}", "Paying twice"),
        says=f"{len(members)} live subscriptions to {product} run side by side since {started}; one was meant.",
        objects=tuple(sorted(s.id for s in members)),
        gap=_gap(kept, extras),
        keep=(kept.id,),
        extra=tuple(s.id for s in extras),
        subscription=kept.id,
        charges=tuple(charge for charge, _ in owed),
        owed=owed,
        customer=kept.customer,
        would_change="Different people or workspaces behind the subscriptions would make this a team question.",
    )


def _undecided(scene: Scene, members: tuple[Subscription, ...]) -> Situation:
    """Nothing says which one stays: asked, not guessed."""
    product = scene.product(members[0].id)
    return Situation(
        name="duplicate_tie",
        bucket=Bucket.DUPLICATE_SUBSCRIPTION,
        strength=_strength(scene),
        overrules=_overruled(scene),
        affinity=_affinity(scene),
        headline=short(f"Two subscriptions to {product}", "Two subscriptions"),
        says=f"{len(members)} live subscriptions to {product} run side by side; nothing tells which one is used.",
        objects=tuple(sorted(s.id for s in members)),
        gap="no_duplicate_guard",
        subscription=members[0].id,
        customer=members[0].customer,
        tie=True,
        would_change="The customer's word on which one is used decides which one stays.",
    )


def _name(scene: Scene, group: DuplicateGroup, kept: Subscription, extras: tuple[Subscription, ...]) -> str:
    if all(extra.ending for extra in extras):
        return "duplicate_already_ending"
    if any(extra.status == "trialing" for extra in extras) and kept.status != "trialing":
        return "duplicate_in_trial"
    if any(_interval(extra) != _interval(kept) for extra in extras):
        return "monthly_and_annual"
    if not group.same_plan:
        return "two_tiers"
    if any(extra.customer != kept.customer for extra in extras):
        addresses = {scene.customers[s.customer].email for s in (kept, *extras)}
        return "duplicate_email_case" if len(addresses) > 1 else "duplicate_across_customers"
    return "duplicate_same_price"


def _interval(subscription: Subscription) -> tuple[str | None, int] | None:
    price = subscription.items[0].price if subscription.items else None
    return (price.interval, price.interval_count) if price else None


def _gap(kept: Subscription, extras: tuple[Subscription, ...]) -> str:
    """An upgrade that opened a second subscription leaves an older one of another plan behind."""
    upgraded = any(plan(e) != plan(kept) and e.created < kept.created for e in extras)
    return "upgrade_opens_second_subscription" if upgraded else "no_duplicate_guard"


def _strength(scene: Scene) -> float:
    """State speaks loudly, unless the words ask for something else entirely."""
    if scene.speaks(*DUPLICATE_WORDS) or scene.wants_refund or scene.wants(Wish.EXPLAIN_CHARGE):
        return 5.0
    routine = scene.wants(Wish.INVOICE, Wish.TAX_ID, Wish.UPDATE_CARD, Wish.REFUND_STATUS)
    return 2.0 if routine else 4.5


def _overruled(scene: Scene) -> tuple[Bucket, ...]:
    """Two subscriptions explain a charge after cancelling, a renewal, an amount; not a request for an invoice."""
    if _strength(scene) < 4.0:
        return ()
    return (
        Bucket.SELF_SERVE_GAP,
        Bucket.PRODUCT_FAILURE,
        Bucket.OTHER_BILLING,
        Bucket.TEAM_SEATS,
        Bucket.FAILED_PAYMENT,
    )


def _affinity(scene: Scene) -> float:
    if scene.speaks("TXT_WANTS_SEVERAL"):
        return -6.0  # the measured veto: a customer who wants several subscriptions
    return 1.0 if scene.speaks(*DUPLICATE_WORDS) else 0.0


def affected(scene: Scene, kept: Subscription, extra: Subscription) -> tuple[tuple[str, int], ...]:
    """The extra's newest charge that paid for time in which the kept one was paid too, with the amount in question.

    Same plan: the whole charge, one of two equal payments. A charge from before the kept plan began: a tier's
    unused share by time; nothing across intervals, where the charge was right when it was made.
    """
    if not any(i.status == "paid" and i.total > 0 for i in scene.invoices_of(kept.id)):
        return ()
    for overlap in overlaps_in(extra.id, kept.id, scene.joins)[:1]:
        if plan(extra) == plan(kept) or overlap.created >= kept.start_date - _SLACK:
            return ((overlap.charge, overlap.amount.amount),)
        if _interval(extra) == _interval(kept):
            return ((overlap.charge, overlap.share.amount),)
    return ()


def _payments(scene: Scene) -> Iterator[Situation]:
    """One invoice, one period or one order paid more than once."""
    seen: set[str] = set()
    for anomaly in scene.found("duplicate_charge"):
        paid = [scene.charges[name] for name in anomaly.objects if name in scene.charges]
        paid.sort(key=lambda charge: (charge.created, charge.id), reverse=True)
        if len(paid) < 2:
            continue
        invoices = {charge.invoice for charge in paid}
        if len(invoices) == 1 and (invoice := invoices.pop()) is not None:
            seen.add(invoice)
            yield _overpaid(scene, invoice, tuple(paid))
        else:
            yield _twice(scene, tuple(paid))
    for name in scene.objects("invoice_overpaid"):
        if name in scene.invoices and name not in seen:
            yield _overpaid(scene, name, scene.charges_for(name))


def _twice(scene: Scene, paid: tuple[Charge, ...]) -> Situation:
    later = paid[:-1]
    now = scene.snapshot.taken_at
    first = paid[-1]
    return Situation(
        name="paid_twice",
        bucket=Bucket.DUPLICATE_SUBSCRIPTION,
        strength=_strength(scene),
        affinity=_affinity(scene),
        headline="Charged twice for one thing",
        says=f"{plain(first.amount, first.currency)} was paid on {day(first.created, now)} and again on "
        f"{day(later[0].created, now)} for the same thing.",
        objects=tuple(charge.id for charge in paid),
        gap="no_duplicate_guard",
        charges=tuple(charge.id for charge in later),
        owed=tuple((charge.id, charge.amount_captured) for charge in later),
        invoice=first.invoice,
        customer=first.customer,
        would_change="Different orders behind the two payments would make them two purchases.",
    )


def _overpaid(scene: Scene, name: str, paid: tuple[Charge, ...]) -> Situation:
    invoice = scene.invoices[name]
    settled = sum(charge.amount_captured for charge in paid)
    excess = invoice.amount_overpaid or max(0, settled - invoice.total)
    later = paid[0] if paid else None
    return Situation(
        name="invoice_overpaid",
        bucket=Bucket.DUPLICATE_SUBSCRIPTION,
        strength=_strength(scene),
        affinity=_affinity(scene),
        headline="One invoice paid twice",
        says=f"Invoice {invoice.number or invoice.id} was paid {plain(excess, invoice.currency)} too much.",
        objects=(name, *(charge.id for charge in paid)),
        gap="no_duplicate_guard",
        charges=(later.id,) if later else (),
        owed=((later.id, min(excess, later.amount_captured)),) if later and excess else (),
        invoice=name,
        customer=invoice.customer,
    )


def _twin_incomplete(scene: Scene) -> Iterator[Situation]:
    """A first payment that never came through, next to a subscription that is paid."""
    for twin in scene.subscriptions.values():
        beside = [s for s in scene.live if twin.status == "incomplete" and scene.same_family(s, twin)]
        if beside and any(i.status == "paid" for i in scene.invoices_of(beside[0].id)):
            yield Situation(
                name="twin_incomplete",
                bucket=Bucket.FAILED_PAYMENT,
                strength=4.5,
                affinity=1.0 if scene.speaks(*DUPLICATE_WORDS, "TXT_HOLD", "TXT_PENDING") else 0.0,
                overrules=(Bucket.DUPLICATE_SUBSCRIPTION, Bucket.OTHER_BILLING, Bucket.PRODUCT_FAILURE),
                headline="Second checkout never paid",
                says=f"A second checkout for {scene.product(twin.id)} was started and not paid; it lapses by itself.",
                objects=(twin.id,),
                gap="no_hold_explanation",
                subscription=twin.id,
                keep=(beside[0].id,),
                customer=twin.customer,
                would_change="A captured payment on the second checkout would make it a duplicate.",
            )


def _hold(scene: Scene) -> Iterator[Situation]:
    names = tuple(name for name in scene.objects("pending_authorization"))
    if names:
        told = scene.speaks(*DUPLICATE_WORDS, "TXT_HOLD", "TXT_PENDING") or scene.wants_refund
        twice = scene.speaks(*DUPLICATE_WORDS)  # then to "cancel one" means one of the payments
        seeming = (Bucket.DUPLICATE_SUBSCRIPTION, *((Bucket.SELF_SERVE_GAP, Bucket.TEAM_SEATS) if twice else ()))
        yield Situation(
            name="hold_on_card",
            bucket=Bucket.FAILED_PAYMENT,
            strength=4.0,
            affinity=1.0 if told else 0.0,
            overrules=(*seeming, Bucket.OTHER_BILLING, Bucket.PRODUCT_FAILURE),
            headline="One payment, one bank hold",
            says="One payment was taken; the other line is a hold that was never captured and the bank lets go.",
            objects=names,
            gap="no_hold_explanation",
            charges=tuple(name for name in names if name in scene.charges),
            customer=scene.customer_of(*names),
            would_change="A second captured payment would make it a duplicate.",
        )


def _two_purchases(scene: Scene) -> Iterator[Situation]:
    """Two equal one-off payments that were not found to be one order, while the words speak of a double charge."""
    if not scene.speaks("TXT_DUP_TWICE") or scene.found("duplicate_charge"):
        return
    single = [c for c in scene.charges.values() if c.invoice is None and c.status == "succeeded" and c.captured]
    for later, earlier in pairwise(single):
        if (later.amount, later.currency) == (earlier.amount, earlier.currency):
            yield Situation(
                name="two_purchases",
                bucket=Bucket.OTHER_BILLING,
                strength=4.5,
                overrules=(Bucket.DUPLICATE_SUBSCRIPTION,),
                headline="Two purchases, not a duplicate",
                says="The two equal payments belong to two different purchases.",
                objects=(later.id, earlier.id),
                customer=later.customer,
                would_change="The same order behind both payments would make the later one a duplicate.",
            )
            return
