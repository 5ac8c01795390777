"""What shape has this contract, and which steps does the shape forbid or make delicate?"""

from __future__ import annotations

from dataclasses import dataclass

from billing.families import seats
from billing.policy import Policy
from billing.records import KNOWN, Subscription
from billing.snapshot import BillingSnapshot

_CHANGES = ("change_quantity", "change_plan")
_RENEWAL = ("schedule_cancellation", "undo_cancellation")
_MONEY_BACK = ("refund_charge", "create_credit_note", "grant_balance_credit", "reverse_balance_credit")
_COLLECTING = ("pause_collection", "resume_collection", "pay_invoice", "mark_invoice_paid", "void_invoice",
               "mark_uncollectible", "hold_invoice", "resend_invoice")  # fmt: skip
_ENDING = ("cancel_subscription", "resume_subscription", "release_schedule")
WRITES = (*_CHANGES, *_RENEWAL, *_MONEY_BACK, *_COLLECTING, *_ENDING)
_MANAGING = frozenset({"active", "not_started"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Forbidden:
    """A step kind that this contract rules out, with the code of `plan.blocked` that says why."""

    step: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractShape:
    """What a subscription is made of. `unknown`: an enum value this version does not know stands on it."""

    subscription: str
    annual: bool
    team: bool
    several_items: bool
    mixed_intervals: bool
    pending_proration: bool
    pending_update: bool
    trial: bool
    scheduled: bool
    metered: bool
    connected: bool
    taxed: bool
    discounted: bool
    managed: bool
    send_invoice: bool
    paused: bool
    collection_paused: bool
    account_customer: bool
    unknown: bool
    ended: bool

    @property
    def forbidden(self) -> tuple[Forbidden, ...]:
        """Every step kind that this shape rules out, once, with its gravest reason."""
        return tuple(Forbidden(step=step, why=why) for step, why in _forbidden(self).items())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for the agent about what a change would touch."""
        return tuple(says for applies, says in _warnings(self) if applies)

    @property
    def forbids(self) -> frozenset[str]:
        """The step kinds that must not be proposed for this contract."""
        return frozenset(entry.step for entry in self.forbidden)

    def why_not(self, step: str) -> str | None:
        """The code of `plan.blocked` for a step kind, or None when the shape allows it."""
        return next((entry.why for entry in self.forbidden if entry.step == step), None)


def shape(subscription: Subscription, snapshot: BillingSnapshot, policy: Policy) -> ContractShape:
    """Read the shape off one subscription, its customer and its pending invoice items."""
    items = subscription.items
    intervals = {(item.price.interval, item.price.interval_count) for item in items}
    customer = next((c for c in snapshot.customers if c.id == subscription.customer), None)
    return ContractShape(
        subscription=subscription.id,
        annual=any(_a_year(item.price.interval, item.price.interval_count) for item in items),
        team=seats(subscription) or any(_team(i.price.product, i.price.product_name, policy) for i in items),
        several_items=len(items) > 1,
        mixed_intervals=len(intervals) > 1,
        pending_proration=any(p.subscription == subscription.id for p in snapshot.pending_items),
        pending_update=subscription.pending_update,
        trial=subscription.status == "trialing",
        scheduled=subscription.schedule is not None and subscription.schedule.status in _MANAGING,
        metered=any(item.price.usage_type == "metered" for item in items),
        connected=subscription.connected,
        taxed=subscription.automatic_tax or _tax_billed(subscription, snapshot),
        discounted=bool(subscription.discounts),
        managed=subscription.managed_payments,
        send_invoice=subscription.collection_method == "send_invoice",
        paused=subscription.status == "paused",
        collection_paused=subscription.pause_collection is not None,
        account_customer=customer is not None and customer.customer_account is not None,
        unknown=_unknown(subscription),
        ended=subscription.status in {"canceled", "incomplete_expired"},
    )


def _forbidden(bare: ContractShape) -> dict[str, str]:
    """Step kind -> code; the rule named first wins, the gravest come first."""
    rules: tuple[tuple[bool, tuple[str, ...], str], ...] = (
        (bare.unknown, WRITES, "unknown_value"),
        (bare.connected, WRITES, "connected_account"),
        (bare.account_customer, WRITES, "not_permitted"),
        (bare.managed, (*_CHANGES, *_MONEY_BACK, *_COLLECTING, *_ENDING), "not_permitted"),
        (bare.scheduled, (*_CHANGES, *_RENEWAL, "cancel_subscription", "resume_subscription"), "schedule_managed"),
        (bare.ended, (*_CHANGES, *_RENEWAL, *_ENDING, "pause_collection", "resume_collection"), "not_permitted"),
        (not bare.scheduled, ("release_schedule",), "not_permitted"),
        (bare.pending_update, _CHANGES, "not_permitted"),
        (bare.send_invoice, ("pay_invoice",), "not_permitted"),
        (not bare.paused, ("resume_subscription",), "not_permitted"),
        (not bare.collection_paused, ("resume_collection",), "not_permitted"),
    )
    found: dict[str, str] = {}
    for applies, steps, why in rules:
        if applies:
            for step in steps:
                found.setdefault(step, why)
    return found


def _warnings(bare: ContractShape) -> tuple[tuple[bool, str], ...]:
    return (
        (bare.annual, "A year is paid in advance: check which part of it the request is about."),
        (bare.team, "Several people may work with it: a change touches all of them."),
        (bare.several_items, "It has several items: a change of one leaves the others."),
        (bare.mixed_intervals, "Its items renew at different times: a scheduled end applies to the nearest one."),
        (bare.pending_proration, "Prorations wait for the next invoice: cancelling at once drops them."),
        (bare.pending_update, "A change waits for its payment."),
        (bare.trial, "It is in trial: nothing was paid for it yet."),
        (bare.scheduled, "A schedule manages it: its coming phases are lost when it is released."),
        (bare.metered, "Usage since the last invoice is billed at the end."),
        (bare.connected, "The money goes to a connected account."),
        (bare.taxed, "Tax was billed: a refund of the charge does not correct the tax document, a credit note does."),
        (bare.discounted, "It carries a discount that a new subscription would not have."),
        (bare.managed, "Stripe is the seller of record."),
        (bare.send_invoice, "It is paid by invoice, on terms: it is not charged automatically."),
        (bare.collection_paused, "Collection is paused: invoices are made but not charged."),
    )


def _a_year(interval: str | None, count: int) -> bool:
    return interval == "year" or (interval == "month" and count >= 12)


def _team(product: str, name: str, policy: Policy) -> bool:
    return {product.casefold(), name.casefold()} & {team.casefold() for team in policy.products.team} != set()


def _tax_billed(subscription: Subscription, snapshot: BillingSnapshot) -> bool:
    return any(i.tax > 0 for i in snapshot.invoices if i.subscription == subscription.id)


def _unknown(subscription: Subscription) -> bool:
    return (
        subscription.status not in KNOWN["subscription.status"]
        or subscription.collection_method not in KNOWN["collection_method"]
    )
