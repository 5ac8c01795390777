"""Which live subscriptions are one thing bought twice, whose are they, and which one stays?

A group is a suspicion with its reasons, never an order: a person approves what follows from it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache

from billing.joins import Joins, join, paid, paid_for
from billing.money import Money
from billing.policy import Policy
from billing.records import Charge, Customer, Metadata, Price, Subscription, SubscriptionItem
from billing.snapshot import BillingSnapshot

Owner = frozenset[tuple[str, str]]  # normalised owner key and value, e.g. ("workspace", "w1")

NOBODY: Owner = frozenset()
_WORKPLACES = ("workspace", "org", "organization", "organisation", "team", "company", "account", "tenant")
_HEALTH = {"active": 3, "trialing": 2, "past_due": 1, "paused": 1, "unpaid": 0}
_MONTHS = {
    "day": Fraction(12, 365),
    "week": Fraction(12 * 7, 365),
    "month": Fraction(1),
    "year": Fraction(12),
}
_MANY_OWNERS = 20  # more different owners than this are an organisation, not an accident
_FAR_APART = timedelta(days=60)


class Reason(StrEnum):
    """Why one of a group stays: the first thing in which the keeper differs from the others."""

    BOUND = "bound"  # the product is bound to it: it carries owner metadata
    RENEWING = "renewing"  # the others are set to end already
    WORKING = "working"  # it is paid and active, the others are in trial, unpaid or paused
    RICHER = "richer"  # a lasting discount, a longer interval or the larger plan
    OLDER = "older"
    TIE = "tie"  # nothing decides: ask


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateGroup:
    """Live subscriptions of one family for one owner, oldest first in `members`.

    `keeper` is None and `extras` empty when `tie`. `same_plan`: price and interval are equal throughout. `doubts`
    lower the confidence only: `names_differ` (the customers share no word of their names), `far_apart` (60 days
    between them, and both renewed).
    """

    family: str
    members: tuple[str, ...]
    keeper: str | None
    extras: tuple[str, ...]
    tie: bool
    reason: Reason
    same_plan: bool
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapCharge:
    """A payment for an extra subscription whose period falls (partly, when not `whole`) into the keeper's life.

    `refundable` is what Stripe still lets one give back; `share` is the part of the paid amount that overlaps, by
    time, floored to the minor unit.
    """

    charge: str
    invoice: str
    created: datetime
    start: datetime
    end: datetime
    whole: bool
    amount: Money
    refundable: Money
    share: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rank:
    subscription: Subscription
    bound: int
    renewing: int
    working: int
    advantages: tuple[Fraction, ...]


# --- what is it, and whose ----------------------------------------------------------------------------------------


def family(price: Price, policy: Policy) -> str:
    """The configured family of the price's product (by id or name), else the product's own name."""
    names = {price.product.casefold(), price.product_name.casefold()}
    for group in policy.products.families:
        if any(member.casefold() in names for member in group):
            return group[0]
    return price.product_name


def owner(subscription: Subscription, customer: Customer | None, policy: Policy) -> Owner:
    """Who uses it: the owner metadata of the subscription, completed by its customer's."""
    inherited = dict(_owner_pairs(customer.metadata, policy)) if customer else {}
    return frozenset((inherited | dict(_owner_pairs(subscription.metadata, policy))).items())


def bound(subscription: Subscription, customer: Customer | None, policy: Policy) -> int:
    """How firmly the product is bound to it: 2 by its own metadata, 1 by its customer's, 0 not at all."""
    if _owner_pairs(subscription.metadata, policy):
        return 2
    return 1 if customer and _owner_pairs(customer.metadata, policy) else 0


def carries_owner(metadata: Metadata, policy: Policy) -> bool:
    """Whether the product left its own key there."""
    return bool(_owner_pairs(metadata, policy))


def is_workplace(key: str) -> bool:
    """Whether a normalised owner key names a place (workspace, organisation, team) and not a person."""
    return key.startswith(_WORKPLACES)


def _owner_pairs(metadata: Metadata, policy: Policy) -> Owner:
    if not metadata:
        return NOBODY
    known = _known(policy.products.owner_keys)
    pairs = ((_plain(key), value) for key, value in metadata.items() if value)
    return frozenset(pair for pair in pairs if pair[0] in known)


@lru_cache(maxsize=64)
def _known(keys: tuple[str, ...]) -> frozenset[str]:
    return frozenset(_plain(key) for key in keys)


def _plain(key: str) -> str:
    """`workspace_id`, `workspaceId` and `workspace` are one key."""
    letters = re.sub(r"[^a-z0-9]", "", key.lower())
    return letters.removesuffix("id") or letters


# --- what does it cost --------------------------------------------------------------------------------------------


def monthly_amount(subscription: Subscription) -> Money:
    """Recurring revenue per month, without tax and usage, after discounts that last for ever.

    A year counts as 12 months or 365 days; exact fractions, floored once to the minor unit at the very end.
    """
    total = sum((_monthly(item) for item in subscription.items), Fraction(0))
    months = _months(subscription.items[0].price) if subscription.items else Fraction(1)
    for discount in subscription.discounts:
        if discount.duration != "forever":
            continue
        if discount.percent_off is not None:
            total *= 1 - Fraction(str(discount.percent_off)) / 100
        elif discount.amount_off is not None:
            total -= Fraction(discount.amount_off) / months
    return Money(max(0, int(total)), subscription.currency)


def _monthly(item: SubscriptionItem) -> Fraction:
    price = item.price
    if price.unit_amount is None or price.interval is None or price.usage_type == "metered":
        return Fraction(0)
    return Fraction(price.unit_amount * item.quantity) / _months(price)


def _months(price: Price) -> Fraction:
    return _MONTHS.get(price.interval or "", Fraction(1)) * price.interval_count


# --- who is doubled -----------------------------------------------------------------------------------------------


def duplicate_groups(
    snapshot: BillingSnapshot, policy: Policy, customers: Sequence[str] | None = None
) -> tuple[DuplicateGroup, ...]:
    """Every suspicion over all of `customers` together (default: all customers of the snapshot)."""
    own = [c.id for c in snapshot.customers] if customers is None else customers
    return groups_in(join(snapshot, own), policy)


def groups_in(joins: Joins, policy: Policy) -> tuple[DuplicateGroup, ...]:
    """The same over records that are joined already."""
    by_family: defaultdict[str, list[Subscription]] = defaultdict(list)
    for subscription in joins.live:
        for name in {family(item.price, policy) for item in subscription.items}:
            by_family[name].append(subscription)
    groups: dict[frozenset[str], DuplicateGroup] = {}
    for name in sorted(by_family):
        for members in _one_owner(by_family[name], joins.customers, policy):
            ids = frozenset(s.id for s in members)
            if ids not in groups:
                groups[ids] = _group(name, members, joins, policy)
    return tuple(groups.values())


def _one_owner(
    subscriptions: Sequence[Subscription], customers: Mapping[str, Customer], policy: Policy
) -> list[list[Subscription]]:
    """Split one family by owner, and leave out what has seats: those are meant, unless both name the same owner."""
    if len(subscriptions) < 2:
        return []
    by_owner: defaultdict[Owner, list[Subscription]] = defaultdict(list)
    for subscription in subscriptions:
        by_owner[owner(subscription, customers.get(subscription.customer), policy)].append(subscription)
    for smaller, larger in _same_people(list(by_owner)).items():
        by_owner[larger].extend(by_owner.pop(smaller))
    found = []
    for who, members in by_owner.items():
        meant = members if who and _all_bound(members, policy) else [s for s in members if not seats(s)]
        if len(meant) > 1:
            found.append(sorted(meant, key=lambda s: (s.created, s.id)))
    return found


def _all_bound(members: Sequence[Subscription], policy: Policy) -> bool:
    return all(_owner_pairs(s.metadata, policy) for s in members)


def _same_people(owners: list[Owner]) -> dict[Owner, Owner]:
    """An owner that says less than exactly one other may be the same: nobody beside one workspace, for instance."""
    if len(owners) > _MANY_OWNERS:
        return {}
    full = [who for who in owners if not any(who < other for other in owners)]
    wider = {less: [more for more in full if less < more] for less in owners if less not in full}
    return {less: more[0] for less, more in wider.items() if len(more) == 1}


def different_owners(owners: Sequence[Owner]) -> frozenset[Owner]:
    """The owners that are certainly not the same, without those that only say less than another."""
    named = {who for who in owners if who}
    if len(named) > _MANY_OWNERS:
        return frozenset(named)
    return frozenset(who for who in named if not any(who < other for other in named))


def seats(subscription: Subscription) -> bool:
    """Some licensed item has a quantity above 1."""
    return any(item.quantity > 1 and item.price.usage_type != "metered" for item in subscription.items)


def plan(subscription: Subscription) -> frozenset[tuple[str, int | None, str, str | None, int]]:
    """What is paid how often: equal for two price objects that cost the same."""
    return frozenset(
        (i.price.product, i.price.unit_amount, i.price.currency, i.price.interval, i.price.interval_count)
        for i in subscription.items
    )


# --- which one stays ----------------------------------------------------------------------------------------------


def _group(name: str, members: Sequence[Subscription], joins: Joins, policy: Policy) -> DuplicateGroup:
    keeper, reason = _keeper(members, joins.customers, policy)
    ids = tuple(s.id for s in members)
    return DuplicateGroup(
        family=name,
        members=ids,
        keeper=keeper,
        extras=tuple(i for i in ids if keeper and i != keeper),
        tie=keeper is None,
        reason=reason,
        same_plan=len({plan(s) for s in members}) == 1,
        doubts=_doubts(members, joins),
    )


def _keeper(
    members: Sequence[Subscription], customers: Mapping[str, Customer], policy: Policy
) -> tuple[str | None, Reason]:
    """Bound, then renewing, then working, then richer, then older; whatever contradicts itself is a tie."""
    comparable = len({s.currency for s in members}) == 1 and len({_products(s) for s in members}) > 1
    left = [_rank(s, comparable, customers, policy) for s in members]
    reason: Reason | None = None
    for step, key in ((Reason.BOUND, "bound"), (Reason.RENEWING, "renewing"), (Reason.WORKING, "working")):
        best = max(getattr(rank, key) for rank in left)
        kept = [rank for rank in left if getattr(rank, key) == best]
        reason = reason or (step if len(kept) < len(left) else None)
        left = kept
    if not left[0].renewing and any(not s.ending for s in members):
        return None, Reason.TIE  # the product's own one ends while another goes on: nobody but the customer knows
    most = tuple(max(column) for column in zip(*(rank.advantages for rank in left), strict=True))
    richest = [rank for rank in left if rank.advantages == most]
    if not richest:
        return None, Reason.TIE
    reason = reason or (Reason.RICHER if len(richest) < len(left) else None)
    oldest = [rank for rank in richest if rank.subscription.created == richest[0].subscription.created]
    if len(oldest) > 1:
        return None, Reason.TIE
    return oldest[0].subscription.id, reason or Reason.OLDER


def _rank(subscription: Subscription, comparable: bool, customers: Mapping[str, Customer], policy: Policy) -> _Rank:
    """`comparable`: the plans differ in product and share a currency, so that one of them is the larger plan."""
    lasting = any(d.duration == "forever" for d in subscription.discounts)
    longest = max(_months(item.price) for item in subscription.items)
    larger = int(sum(_monthly(item) for item in subscription.items)) if comparable else 0
    return _Rank(
        subscription=subscription,
        bound=bound(subscription, customers.get(subscription.customer), policy),
        renewing=int(not subscription.ending),
        working=_HEALTH[subscription.status],
        advantages=(Fraction(lasting), Fraction(longest >= 12), Fraction(larger)),
    )


def _products(subscription: Subscription) -> frozenset[str]:
    return frozenset(item.price.product for item in subscription.items)


def _doubts(members: Sequence[Subscription], joins: Joins) -> tuple[str, ...]:
    """Two things that speak for two people. Payments that go on for long on both sides look meant."""
    payers = [joins.customers[payer] for payer in {s.customer for s in members} if payer in joins.customers]
    names = [frozenset((payer.name or "").casefold().split()) for payer in payers]
    strangers = len(names) > 1 and all(names) and not frozenset.intersection(*names)
    renewed = sum(invoice.status == "paid" for invoice in joins.invoices_for(members[-1].id)) > 1
    apart = renewed and members[-1].created - members[0].created > _FAR_APART
    return ("names_differ",) * strangers + ("far_apart",) * apart


# --- what was paid twice ------------------------------------------------------------------------------------------


def overlap_charges(extra: str, keeper: str, snapshot: BillingSnapshot) -> tuple[OverlapCharge, ...]:
    """Payments for `extra` that fall into the life of `keeper`, newest first; both are ids of subscriptions.

    Refunded ones are listed too, with `refundable` 0. Prorations and usage are not overlap and are left out.
    """
    joins = join(snapshot, [c.id for c in snapshot.customers])
    return overlaps_in(extra, keeper, joins)


def overlaps_in(extra: str, keeper: str, joins: Joins) -> tuple[OverlapCharge, ...]:
    """The same over records that are joined already."""
    kept, gone = joins.subscriptions.get(keeper), joins.subscriptions.get(extra)
    if kept is None or gone is None:
        return ()
    price = gone.items[0].price if gone.items else None
    found: list[OverlapCharge] = []
    for invoice in joins.invoices_for(extra):
        if invoice.lines and all(line.proration or line.metered for line in invoice.lines):
            continue
        start, end = paid_for(invoice, price)
        common = min(end, kept.ended_at or end) - max(start, kept.start_date)
        if common > timedelta(0):
            charges = [charge for charge in joins.charges_for(invoice.id) if paid(charge)]
            found.extend(_overlap(charge, invoice.id, (start, end), common) for charge in charges)
    return tuple(sorted(found, key=lambda o: (o.created, o.charge), reverse=True))


def _overlap(charge: Charge, invoice: str, period: tuple[datetime, datetime], common: timedelta) -> OverlapCharge:
    start, end = period
    tick = timedelta(microseconds=1)
    share = charge.amount_captured * (common // tick) // ((end - start) // tick)
    return OverlapCharge(
        charge=charge.id,
        invoice=invoice,
        created=charge.created,
        start=start,
        end=end,
        whole=common == end - start,
        amount=Money(charge.amount_captured, charge.currency),
        refundable=Money(charge.refundable, charge.currency),
        share=Money(share, charge.currency),
    )
