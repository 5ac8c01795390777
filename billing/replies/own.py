"""Which of the snapshot's records belong to the requester? Only these may be spoken of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from billing.diagnosis import Diagnosis
from billing.records import Charge, Invoice, Subscription
from billing.snapshot import BillingSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """`objects` are the ids of the recognised situation. Records are newest first."""

    subscriptions: dict[str, Subscription]
    invoices: dict[str, Invoice]
    charges: dict[str, Charge]
    objects: tuple[str, ...]

    def invoice(self) -> Invoice | None:
        """The invoice that the situation is about."""
        return next((self.invoices[name] for name in self.objects if name in self.invoices), None)

    def charge(self, affected: Sequence[str]) -> Charge | None:
        """The charge that is given back, else the one that the situation is about."""
        names = (*affected, *self.objects)
        found = next((self.charges[name] for name in names if name in self.charges), None)
        invoice = self.invoice()
        return self.paid_for(invoice.id) if found is None and invoice is not None else found

    def paid_for(self, invoice: str) -> Charge | None:
        return next((c for c in self.charges.values() if c.invoice == invoice and c.status == "succeeded"), None)

    def newest_paid(self, subscription: str) -> Charge | None:
        names = {invoice.id for invoice in self.invoices.values() if invoice.subscription == subscription}
        paid = (c for c in self.charges.values() if c.invoice in names and c.status == "succeeded" and c.captured)
        return next(paid, None)

    def open_invoice(self, subscription: str) -> Invoice | None:
        return next((i for i in self.invoices.values() if i.subscription == subscription and i.status == "open"), None)

    def product(self, subscription: str) -> str:
        items = self.subscriptions[subscription].items
        name = items[0].price.product_name if items else ""
        return "" if name.startswith("prod_") else name


def own(snapshot: BillingSnapshot, candidates: Sequence[str], diagnosis: Diagnosis | None = None) -> Own:
    """The records of these customers, and payments of guest checkouts made with the requester's address."""
    guests = {s.payment_intent for s in snapshot.checkout_sessions if s.customer is None and s.payment_intent}
    signals = diagnosis.signals_for if diagnosis else ()
    situation = diagnosis.situation if diagnosis else None
    return Own(
        subscriptions={s.id: s for s in snapshot.subscriptions if s.customer in candidates},
        invoices={i.id: i for i in snapshot.invoices if i.customer in candidates},
        charges={
            c.id: c
            for c in snapshot.charges
            if c.customer in candidates or (c.customer is None and c.payment_intent in guests)
        },
        objects=next((signal.objects for signal in signals if signal.code == situation), ()),
    )
