"""Why is the amount another one? Price, discount, plan, tax or usage, by what the invoices themselves show."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from billing.anomalies.invoices import seat_change
from billing.anomalies.scene import Scene, anomaly, day, money
from billing.evidence import IdentifierKind
from billing.reading.codes import TextCode
from billing.records import Invoice, InvoiceLine
from billing.snapshot import Anomaly

_CHANGED = timedelta(days=30)
_REGULAR = frozenset({"subscription_cycle", "subscription_create"})


def changed_prices(scene: Scene) -> Iterator[Anomaly]:
    """The last two regular invoices of each subscription; what changed for another reason is none of these."""
    for subscription in scene.joins.subscriptions:
        newest = _last_two(scene.joins.invoices_for(subscription))
        if newest is None:
            continue
        newer, older = newest
        if _plan(newer) != _plan(older):
            continue
        before, after = money(older.total, older.currency), money(newer.total, newer.currency)
        if older.discount_amount > newer.discount_amount:
            says = f"A discount of {money(older.discount_amount, older.currency)} ended: {before} before, {after} now."
            yield anomaly("discount_ended", says, [newer.id])
        if _unit_amounts(newer) != _unit_amounts(older) and not _other_seats(newer, older):
            says = f"The price changed with the invoice of {day(newer.created)}: {before} before, {after} now."
            yield anomaly("price_changed", says, [newer.id])


def _last_two(invoices: tuple[Invoice, ...]) -> tuple[Invoice, Invoice] | None:
    """Newer and older, in one currency; the first invoice of a trial costs nothing and says nothing."""
    regular = [i for i in invoices if i.billing_reason in _REGULAR and i.status in {"paid", "open"} and _lines(i)]
    if len(regular) < 2 or regular[0].currency != regular[1].currency or regular[1].subtotal == 0:
        return None
    return regular[0], regular[1]


def _lines(invoice: Invoice) -> list[InvoiceLine]:
    return [line for line in invoice.lines if not line.proration and not line.metered]


def _plan(invoice: Invoice) -> frozenset[tuple[str | None, int | None]]:
    """Product and months paid for: another interval is another plan, not another price."""
    return frozenset((line.product, _months(line)) for line in _lines(invoice))


def _months(line: InvoiceLine) -> int | None:
    if line.period_start is None or line.period_end is None:
        return None
    return round((line.period_end - line.period_start) / timedelta(days=30.4))


def _other_seats(newer: Invoice, older: Invoice) -> bool:
    """The same price in another quantity: tiers may make the single seat cheaper or dearer."""
    one, other = _lines(newer), _lines(older)
    same_prices = {line.price for line in one} == {line.price for line in other}
    return same_prices and [line.quantity for line in one] != [line.quantity for line in other]


def _unit_amounts(invoice: Invoice) -> frozenset[tuple[str | None, int]]:
    """What one seat costs, so that another number of seats is not another price."""
    return frozenset((line.product, line.amount // (line.quantity or 1)) for line in _lines(invoice))


def changed_plans(scene: Scene) -> Iterator[Anomaly]:
    """A plan change in the last 30 days: a proration between two prices, or a renewal for another product."""
    for invoice in scene.joins.invoices.values():
        recent = scene.now - invoice.created <= _CHANGED and invoice.status not in {"draft", "void"}
        prices = {line.price for line in invoice.lines if line.proration and line.price}
        if recent and len(prices) > 1 and not seat_change(invoice):
            yield anomaly("plan_changed", f"The plan was changed on {day(invoice.created)}.", [invoice.id])
    for subscription in scene.joins.subscriptions:
        newest = _last_two(scene.joins.invoices_for(subscription))
        if newest and scene.now - newest[0].created <= _CHANGED and _plan(newest[0]) != _plan(newest[1]):
            says = f"Since {day(newest[0].created)} another plan is billed than before."
            yield anomaly("plan_changed", says, [newest[0].id])


def tax(scene: Scene) -> Iterator[Anomaly]:
    if scene.asks_about_an_amount():
        invoice = _asked_about(scene, [i for i in scene.joins.invoices.values() if _final(i) and i.tax > 0])
        if invoice is not None:
            says = (
                f"{money(invoice.tax, invoice.currency)} of {money(invoice.total, invoice.currency)} "
                f"on the invoice of {day(invoice.created)} is tax."
            )
            yield anomaly("tax_on_invoice", says, [invoice.id])


def usage(scene: Scene) -> Iterator[Anomaly]:
    if scene.asks_about_an_amount() or scene.says(TextCode.TXT_USAGE):
        metered = [i for i in scene.joins.invoices.values() if _final(i) and _usage(i) > 0]
        invoice = _asked_about(scene, metered)
        if invoice is not None:
            used = money(_usage(invoice), invoice.currency)
            says = f"{used} of the invoice of {day(invoice.created)} is for usage."
            yield anomaly("metered_usage", says, [invoice.id])


def _final(invoice: Invoice) -> bool:
    return invoice.status not in {"draft", "void"}


def _usage(invoice: Invoice) -> int:
    return sum(line.amount for line in invoice.lines if line.metered)


def _asked_about(scene: Scene, invoices: list[Invoice]) -> Invoice | None:
    """The newest that bears the amount in the text (total, tax or net), else the newest of all."""
    named = {i.value.partition(" ")[0] for i in scene.evidence.identifiers if i.kind is IdentifierKind.AMOUNT}
    for invoice in invoices:
        if named.intersection((str(invoice.total), str(invoice.tax), str(invoice.subtotal))):
            return invoice
    return invoices[0] if invoices else None


RULES = (
    changed_prices,
    changed_plans,
    tax,
    usage,
)
