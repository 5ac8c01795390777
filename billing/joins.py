"""Which records belong together? Stripe's ids followed once, over the customers one may look at.

Nothing outside `customers` is in here: an object of somebody else, found through an id in a text, cannot leak out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from billing.records import (
    BalanceTransaction,
    Charge,
    CheckoutSession,
    Customer,
    Dispute,
    EarlyFraudWarning,
    Invoice,
    PaymentIntent,
    PaymentMethod,
    PendingItem,
    Price,
    Subscription,
)
from billing.snapshot import BillingSnapshot

_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}


@dataclass(frozen=True, slots=True, kw_only=True)
class Joins:
    """The records of some customers, newest first, with the maps between them. Guest records carry no customer."""

    customers: Mapping[str, Customer]
    subscriptions: Mapping[str, Subscription]
    invoices: Mapping[str, Invoice]
    charges: Mapping[str, Charge]
    payment_methods: Mapping[str, PaymentMethod]
    payment_intents: tuple[PaymentIntent, ...]
    checkout_sessions: tuple[CheckoutSession, ...]
    disputes: tuple[Dispute, ...]
    early_fraud_warnings: tuple[EarlyFraudWarning, ...]
    balance_transactions: tuple[BalanceTransaction, ...]
    pending_items: tuple[PendingItem, ...]
    invoices_of: Mapping[str, tuple[Invoice, ...]]  # subscription -> its invoices
    charges_of: Mapping[str, tuple[Charge, ...]]  # invoice -> its charges
    session_of: Mapping[str, CheckoutSession]  # payment intent -> the checkout session that made it
    invoiced: frozenset[str]  # charges that paid, or should have paid, an invoice
    live: tuple[Subscription, ...]

    def invoices_for(self, subscription: str) -> tuple[Invoice, ...]:
        return self.invoices_of.get(subscription, ())

    def charges_for(self, invoice: str) -> tuple[Charge, ...]:
        return self.charges_of.get(invoice, ())


def join(snapshot: BillingSnapshot, customers: Iterable[str], guests: Collection[str] = ()) -> Joins:
    """The records of `customers`, and the checkout sessions `guests` (ids) with their charges that have no customer."""
    own = frozenset(customers)
    sessions = tuple(s for s in snapshot.checkout_sessions if s.customer in own or s.id in guests)
    session_of = {s.payment_intent: s for s in reversed(sessions) if s.payment_intent}
    invoices = {i.id: i for i in snapshot.invoices if i.customer in own}
    charges = {
        c.id: c
        for c in snapshot.charges
        if c.customer in own or (c.customer is None and c.payment_intent in session_of)
    }
    subscriptions = {s.id: s for s in snapshot.subscriptions if s.customer in own}
    charges_of = _charges_of(invoices.values(), charges.values())
    return Joins(
        customers={c.id: c for c in snapshot.customers if c.id in own},
        subscriptions=subscriptions,
        invoices=invoices,
        charges=charges,
        payment_methods={p.id: p for p in snapshot.payment_methods if p.customer in own},
        payment_intents=tuple(p for p in snapshot.payment_intents if p.customer in own),
        checkout_sessions=sessions,
        disputes=tuple(d for d in snapshot.disputes if d.charge in charges),
        early_fraud_warnings=tuple(w for w in snapshot.early_fraud_warnings if w.charge in charges),
        balance_transactions=tuple(b for b in snapshot.balance_transactions if b.customer in own),
        pending_items=tuple(p for p in snapshot.pending_items if p.customer in own),
        invoices_of=_invoices_of(invoices.values()),
        charges_of=charges_of,
        session_of=session_of,
        invoiced=frozenset(charge.id for group in charges_of.values() for charge in group),
        live=tuple(s for s in subscriptions.values() if s.live),
    )


def _invoices_of(invoices: Iterable[Invoice]) -> dict[str, tuple[Invoice, ...]]:
    found: defaultdict[str, list[Invoice]] = defaultdict(list)
    for invoice in invoices:
        if invoice.subscription:
            found[invoice.subscription].append(invoice)
    return {subscription: tuple(group) for subscription, group in found.items()}


def _charges_of(invoices: Iterable[Invoice], charges: Iterable[Charge]) -> dict[str, tuple[Charge, ...]]:
    """By the reader's join, or over the invoice's payments when that is missing."""
    paid_by: dict[str, str] = {}
    for invoice in invoices:
        for payment in invoice.payments:
            for reference in (payment.payment_intent, payment.charge):
                if reference:
                    paid_by[reference] = invoice.id
    found: defaultdict[str, list[Charge]] = defaultdict(list)
    for charge in charges:
        invoice_id = charge.invoice or paid_by.get(charge.id) or paid_by.get(charge.payment_intent or "")
        if invoice_id:
            found[invoice_id].append(charge)
    return {invoice_id: tuple(group) for invoice_id, group in found.items()}


def paid(charge: Charge) -> bool:
    """Money was taken: succeeded and captured. An authorisation alone is not a payment."""
    return charge.status == "succeeded" and charge.captured and charge.amount_captured > 0


def paid_for(invoice: Invoice, price: Price | None = None) -> tuple[datetime, datetime]:
    """The time the invoice pays for, from its lines: Stripe's `period_*` of an invoice looks one period back.

    Without line periods: from the invoice's creation on, for one interval of `price` (30 or 365 days), else a month.
    """
    lines = [x for x in invoice.lines if x.period_start and x.period_end and not x.proration and not x.metered]
    starts = [x.period_start for x in lines if x.period_start]
    ends = [x.period_end for x in lines if x.period_end]
    if starts and ends:
        return min(starts), max(ends)
    days = _DAYS.get(price.interval or "", 30) * price.interval_count if price else 30
    return invoice.created, invoice.created + timedelta(days=days)
