"""Who and what stands before the judge? The requester's own objects, the anomalies by code, and the words.

Only objects of the requester's customers are visible here; what an id in the text led to stays outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from billing.evidence import TicketEvidence, Wish
from billing.families import DuplicateGroup, family, groups_in
from billing.identity import Identity, Level
from billing.joins import Joins, join
from billing.policy import Policy
from billing.records import Charge, Customer, Dispute, Invoice, PaymentMethod, Price, Subscription
from billing.snapshot import Anomaly, BillingSnapshot

OPEN_DISPUTE = frozenset({"needs_response", "under_review"})


@dataclass(frozen=True)
class Scene:
    """Everything the situations are read from. `now` is the moment of the snapshot."""

    evidence: TicketEvidence
    snapshot: BillingSnapshot
    identity: Identity
    anomalies: tuple[Anomaly, ...]
    policy: Policy

    # --- words --------------------------------------------------------------------------------------------

    @cached_property
    def codes(self) -> frozenset[str]:
        return self.evidence.codes()

    @cached_property
    def silent(self) -> bool:
        """The words say nothing that is known. Words for a machine are no words: they must not tip the scales."""
        return self.codes <= {"TXT_INSTRUCTIONS"}

    def speaks(self, *codes: str) -> bool:
        """Whether the words say at least one of these things."""
        return not self.codes.isdisjoint(codes)

    def wants(self, *wishes: Wish) -> bool:
        return any(wish in self.evidence.wishes for wish in wishes)

    @cached_property
    def wants_refund(self) -> bool:
        return self.wants(Wish.REFUND) or self.speaks("TXT_WANTS_REFUND")

    @cached_property
    def asks_for_money(self) -> bool:
        return self.wants_refund or self.wants(Wish.REFUND_STATUS)

    @cached_property
    def wants_cancel(self) -> bool:
        """A cancellation is asked for now; having cancelled already, or asking whether it took, is not that."""
        return self.wants(Wish.CANCEL) or self.speaks("TXT_WANTS_CANCEL", "TXT_CANNOT_CANCEL")

    @cached_property
    def wants_to_stay(self) -> bool:
        return self.wants(Wish.KEEP) or self.speaks("TXT_KEEP")

    # --- the requester's own objects ----------------------------------------------------------------------

    @cached_property
    def known(self) -> bool:
        """Whether Stripe's state may be used at all: a customer with the requester's own address was found."""
        return self.identity.level in {Level.VERIFIED, Level.MATCHED} and bool(self.identity.candidates)

    @cached_property
    def customers(self) -> dict[str, Customer]:
        """In the order of the identity's candidates: most active first."""
        own = {customer.id: customer for customer in self.snapshot.customers}
        return {name: own[name] for name in self.identity.candidates if name in own} if self.known else {}

    @cached_property
    def readable(self) -> bool:
        """Whether what is not in the picture can be taken as not there."""
        return not any(self.snapshot.lacks(part) for part in ("customers", "subscriptions", "invoices", "charges"))

    def _own(self, customer: str | None) -> bool:
        return customer is not None and customer in self.customers

    @cached_property
    def subscriptions(self) -> dict[str, Subscription]:
        """Newest first."""
        found = sorted(self.snapshot.subscriptions, key=lambda s: (s.created, s.id), reverse=True)
        return {s.id: s for s in found if self._own(s.customer)}

    @cached_property
    def live(self) -> tuple[Subscription, ...]:
        return tuple(s for s in self.subscriptions.values() if s.live)

    @cached_property
    def invoices(self) -> dict[str, Invoice]:
        found = sorted(self.snapshot.invoices, key=lambda i: (i.created, i.id), reverse=True)
        return {i.id: i for i in found if self._own(i.customer)}

    @cached_property
    def charges(self) -> dict[str, Charge]:
        """With the payments of guest checkouts: a snapshot only holds those of the requester's address."""
        guests = {s.payment_intent for s in self.snapshot.checkout_sessions if s.customer is None and s.payment_intent}
        found = sorted(self.snapshot.charges, key=lambda c: (c.created, c.id), reverse=True)
        return {c.id: c for c in found if self._own(c.customer) or (c.customer is None and c.payment_intent in guests)}

    @cached_property
    def disputes(self) -> dict[str, Dispute]:
        """The newest dispute of each own charge, by charge."""
        found = sorted(self.snapshot.disputes, key=lambda d: (d.created, d.id))
        return {d.charge: d for d in found if d.charge in self.charges}

    def methods(self, customer: str) -> tuple[PaymentMethod, ...]:
        found = sorted(self.snapshot.payment_methods, key=lambda m: (m.created, m.id), reverse=True)
        return tuple(m for m in found if m.customer == customer)

    @cached_property
    def focus(self) -> str | None:
        """The customer whom general steps are about: the chosen one, else the most active one that exists."""
        if self.identity.chosen in self.customers:
            return self.identity.chosen
        return next((c.id for c in self.customers.values() if not c.deleted), None)

    @cached_property
    def groups(self) -> tuple[DuplicateGroup, ...]:
        """Live subscriptions of one thing for one owner, over all of the requester's customers."""
        return groups_in(self.joins, self.policy)

    @cached_property
    def joins(self) -> Joins:
        """The requester's own records with the maps between them."""
        return join(self.snapshot, tuple(self.customers))

    def same_family(self, one: Subscription, other: Subscription) -> bool:
        if not one.items or not other.items:
            return False
        return family(one.items[0].price, self.policy) == family(other.items[0].price, self.policy)

    def doubled(self, *subscriptions: Subscription) -> bool:
        """Whether all of these are duplicates of one another, and that is not what the customer wants."""
        names = {s.id for s in subscriptions}
        found = any(names <= set(group.members) for group in self.groups)
        return len(names) > 1 and found and not self.speaks("TXT_WANTS_SEVERAL")

    # --- joins --------------------------------------------------------------------------------------------

    def invoices_of(self, subscription: str) -> tuple[Invoice, ...]:
        """Newest first."""
        return tuple(i for i in self.invoices.values() if i.subscription == subscription)

    def charges_of(self, subscription: str) -> tuple[Charge, ...]:
        """Succeeded and captured ones, newest first."""
        names = {i.id for i in self.invoices_of(subscription)}
        return tuple(c for c in self.charges.values() if c.invoice in names and c.status == "succeeded" and c.captured)

    def charges_for(self, invoice: str) -> tuple[Charge, ...]:
        return tuple(
            c for c in self.charges.values() if c.invoice == invoice and c.status == "succeeded" and c.captured
        )

    def customer_of(self, *ids: str | None) -> str | None:
        """The customer of the first object that is known, else the focus."""
        for name in ids:
            for record in (self.subscriptions.get(name or ""), self.invoices.get(name or "")):
                if record is not None:
                    return record.customer
            charge = self.charges.get(name or "")
            if charge is not None and charge.customer is not None:
                return charge.customer
        return self.focus

    def price_of(self, subscription: str) -> Price | None:
        found = self.subscriptions.get(subscription)
        return found.items[0].price if found and found.items else None

    def product(self, subscription: str | None) -> str:
        """`Pro`: the first item's product name, or `the subscription`."""
        price = self.price_of(subscription) if subscription else None
        return price.product_name if price else "the subscription"

    # --- anomalies ----------------------------------------------------------------------------------------

    def found(self, *codes: str) -> tuple[Anomaly, ...]:
        return tuple(sorted((a for a in self.anomalies if a.code in codes), key=lambda a: (a.code, a.objects)))

    def objects(self, *codes: str) -> tuple[str, ...]:
        """The objects of all anomalies with these codes, without repeats, newest first."""
        names = {name for anomaly in self.found(*codes) for name in anomaly.objects}
        return tuple(sorted(names, key=lambda name: (-self._age(name), name)))

    def _age(self, name: str) -> float:
        record = self.subscriptions.get(name) or self.invoices.get(name) or self.charges.get(name)
        return record.created.timestamp() if record else 0.0

    def parts(self, *names: str | None) -> frozenset[str]:
        """These ids, and those of what hangs on them: a charge's refunds, disputes and warnings, items, schedules."""
        found = {name for name in names if name}
        for name in tuple(found):
            charge, subscription = self.charges.get(name), self.subscriptions.get(name)
            if charge is not None:
                found |= {refund.id for refund in charge.refunds}
                found |= {dispute.id for dispute in self.snapshot.disputes if dispute.charge == name}
            if subscription is not None:
                found |= {item.id for item in subscription.items} | {item.price.id for item in subscription.items}
        return frozenset(found)

    def unknown(self, *names: str | None) -> bool:
        """Whether an enum value that this version does not know stands on one of these, or on a part of it."""
        odd = {name for anomaly in self.found("unknown_value") for name in anomaly.objects}
        return bool(odd & self.parts(*names))

    def named_subscriptions(self, *codes: str) -> tuple[Subscription, ...]:
        """The own subscriptions that these anomalies speak of, directly or through their invoice or charge."""
        found: dict[str, Subscription] = {}
        for name in self.objects(*codes):
            subscription = self.subscription_behind(name)
            if subscription is not None:
                found.setdefault(subscription.id, subscription)
        return tuple(found.values())

    def subscription_behind(self, name: str) -> Subscription | None:
        if name in self.subscriptions:
            return self.subscriptions[name]
        if name in self.invoices:
            return self.subscriptions.get(self.invoices[name].subscription or "")
        if name in self.charges:
            return self.subscription_behind(self.charges[name].invoice or "")
        for subscription in self.subscriptions.values():
            if subscription.schedule is not None and subscription.schedule.id == name:
                return subscription
        return None

    def newest_paid(self, subscription: str) -> Charge | None:
        return next(iter(self.charges_of(subscription)), None)

    def within(self, moment: datetime | None, days: int) -> bool:
        return moment is not None and self.snapshot.taken_at - moment <= timedelta(days=days)
