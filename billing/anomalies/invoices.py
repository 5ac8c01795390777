"""What stands out on the invoices? Overpayment, terms that ran out, prorations, renewals, credit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from billing.anomalies.scene import Scene, anomaly, day, money
from billing.records import Invoice
from billing.snapshot import Anomaly

_RENEWED = timedelta(days=30)
_CREDITED = timedelta(days=60)


def overpaid(scene: Scene) -> Iterator[Anomaly]:
    for invoice in scene.joins.invoices.values():
        if invoice.amount_overpaid > 0:
            says = f"{money(invoice.amount_overpaid, invoice.currency)} more was paid than the invoice asked for."
            yield anomaly("invoice_overpaid", says, [invoice.id])


def overdue(scene: Scene) -> Iterator[Anomaly]:
    for invoice in scene.joins.invoices.values():
        on_terms = invoice.status == "open" and invoice.collection_method == "send_invoice"
        if on_terms and invoice.due_date is not None and invoice.due_date < scene.now:
            says = f"{money(invoice.amount_remaining, invoice.currency)} was due on {day(invoice.due_date)}."
            yield anomaly("invoice_overdue", says, [invoice.id])


def open_after_end(scene: Scene) -> Iterator[Anomaly]:
    for invoice in scene.joins.invoices.values():
        subscription = scene.joins.subscriptions.get(invoice.subscription or "")
        ended = subscription is not None and subscription.status in {"canceled", "incomplete_expired"}
        if ended and invoice.status == "open" and invoice.amount_remaining > 0:
            says = f"{money(invoice.amount_remaining, invoice.currency)} can still be paid, although the plan ended."
            yield anomaly("open_invoice_after_cancellation", says, [invoice.id])


def prorations(scene: Scene) -> Iterator[Anomaly]:
    seats: list[Invoice] = []
    plans: list[Invoice] = []
    for invoice in scene.joins.invoices.values():
        if invoice.status not in {"draft", "void"} and any(line.proration for line in invoice.lines):
            (seats if seat_change(invoice) else plans).append(invoice)
    if seats:
        yield anomaly("seat_proration", f"{_count(seats)} parts of a period for seats.", [i.id for i in seats])
    if plans:
        yield anomaly("proration_charge", f"{_count(plans)} parts of a period for a plan.", [i.id for i in plans])


def seat_change(invoice: Invoice) -> bool:
    """The prorated lines are about one price and several seats, or another number of them."""
    lines = [line for line in invoice.lines if line.proration]
    prices = {line.price or line.product for line in lines}
    quantities = {line.quantity for line in lines if line.quantity is not None}
    return len(prices) == 1 and (len(quantities) > 1 or any(quantity > 1 for quantity in quantities))


def _count(invoices: list[Invoice]) -> str:
    newest = f"the newest of {day(invoices[0].created)} over {money(invoices[0].total, invoices[0].currency)}"
    return f"1 invoice, {newest}, bills" if len(invoices) == 1 else f"{len(invoices)} invoices, {newest}, bill"


def pending_items(scene: Scene) -> Iterator[Anomaly]:
    items = scene.joins.pending_items
    if items:
        amounts = ", ".join(money(item.amount, item.currency) for item in items[:3])
        says = f"{len(items)} item(s) wait for the next invoice: {amounts}{', …' * (len(items) > 3)}."
        yield anomaly("pending_proration", says, [item.id for item in items])


def annual_renewals(scene: Scene) -> Iterator[Anomaly]:
    for invoice in scene.joins.invoices.values():
        when = invoice.paid_at or invoice.created
        cycle = invoice.billing_reason == "subscription_cycle" and invoice.status == "paid" and invoice.total > 0
        if cycle and scene.now - when <= _RENEWED and _yearly(scene, invoice):
            says = f"The yearly plan renewed on {day(when)} for {money(invoice.total, invoice.currency)}."
            yield anomaly("annual_renewal", says, [invoice.id])


def _yearly(scene: Scene, invoice: Invoice) -> bool:
    """By the interval of the prices on the invoice; by those of the subscription when its lines name others."""
    subscription = scene.joins.subscriptions.get(invoice.subscription or "")
    if subscription is None:
        return False
    billed = {line.price for line in invoice.lines}
    prices = [item.price for item in subscription.items]
    named = [price for price in prices if price.id in billed] or prices
    return any(
        price.interval == "year" or (price.interval == "month" and price.interval_count >= 12) for price in named
    )


def credit(scene: Scene) -> Iterator[Anomaly]:
    for customer in scene.joins.customers.values():
        if customer.balance < 0:
            currency = customer.currency or next((s.currency for s in scene.joins.live), None)
            waits = f"A credit of {money(-customer.balance, currency)}" if currency else "A credit"
            yield anomaly("credit_balance", f"{waits} waits for the next invoice.", [customer.id])
    for invoice in scene.joins.invoices.values():
        used = invoice.starting_balance < 0 and invoice.status != "void"
        if used and scene.now - invoice.created <= _CREDITED:
            says = f"An earlier credit was set off against the invoice of {day(invoice.created)}."
            yield anomaly("credit_balance", says, [invoice.id])


RULES = (
    overpaid,
    overdue,
    open_after_end,
    prorations,
    pending_items,
    annual_renewals,
    credit,
)
