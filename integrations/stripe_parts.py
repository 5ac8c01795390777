"""What do we ask Stripe about a customer, and how do the answers hang together?

Round two asks for the state; round three only for what this state makes worth a request. Stripe took the link between
charges and invoices out of its API: it is joined here, over the invoices' payments.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from billing.records import Charge, Customer, Invoice, InvoiceLine, PaymentIntent, Price, Subscription, SubscriptionItem
from integrations import stripe_money_schemas as money
from integrations import stripe_schemas as schemas
from integrations.stripe_requests import Lists, Query

FEW = 20  # as many payment methods and checkout sessions as one page gives
WARNED_FOR = timedelta(days=60)  # issuers warn within days; a charge this old has been disputed or left alone
_UNFINISHED = frozenset({"incomplete", "past_due"})
_MOST_PERIODS = 20_000


def state_queries(customers: Iterable[Customer]) -> Iterator[Query]:
    """Round two: five lists for each customer."""
    for customer in customers:
        of, owner = {"customer": customer.id}, ("customer", customer.id)
        expand = ["data.discounts.source.coupon", "data.schedule"]
        yield Query(
            part="subscriptions", path="/v1/subscriptions", params={**of, "status": "all", "expand": expand},
            load=schemas.SUBSCRIPTION.load, owner=owner,
        )  # fmt: skip
        yield Query(
            part="invoices", path="/v1/invoices", params={**of, "expand": ["data.payments"]},
            load=money.INVOICE.load, owner=owner, inside=("lines", "payments"),
        )  # fmt: skip
        yield Query(
            part="charges", path="/v1/charges", params={**of, "expand": ["data.refunds"]}, load=money.CHARGE.load,
            owner=owner, inside=("refunds",),
        )  # fmt: skip
        path = f"/v1/customers/{quote(customer.id, safe='')}/payment_methods"
        yield Query(
            part="payment_methods", path=path, params={"limit": FEW}, load=money.PAYMENT_METHOD.load, owner=owner
        )
        yield Query(
            part="checkout_sessions", path="/v1/checkout/sessions", params={**of, "limit": FEW},
            load=schemas.CHECKOUT_SESSION.load, owner=owner,
        )  # fmt: skip


def further_queries(customers: Iterable[Customer], lists: Lists) -> Iterator[Query]:
    """Round three, but for early fraud warnings: what the state of round two asks for."""
    charges: tuple[Charge, ...] = lists.of("charges")
    for charge in charges:
        if charge.disputed:
            yield Query(
                part="disputes", path="/v1/disputes", params={"charge": charge.id}, load=money.DISPUTE.load,
                owner=("charge", charge.id),
            )  # fmt: skip
    invoices: tuple[Invoice, ...] = lists.of("invoices")
    unfinished = _unfinished(lists, invoices)
    for customer in customers:
        yield from _asked_by_state(customer, [i for i in invoices if i.customer == customer.id], lists, unfinished)


def _unfinished(lists: Lists, invoices: Iterable[Invoice]) -> set[str]:
    """Customers with a payment that may still be under way."""
    found = {s.customer for s in lists.of("subscriptions") if s.status in _UNFINISHED}
    found |= {i.customer for i in invoices if i.status == "open"}
    found |= {s.customer for s in lists.of("checkout_sessions") if s.payment_status == "unpaid" and s.customer}
    return found | {c.customer for c in lists.of("charges") if c.status == "pending" or _held(c)}


def _held(charge: Charge) -> bool:
    """Authorized and not captured: its payment intent is what can be canceled."""
    return charge.status == "succeeded" and not charge.captured


def _asked_by_state(customer: Customer, invoices: list[Invoice], lists: Lists, unfinished: set[str]) -> Iterator[Query]:
    of, owner = {"customer": customer.id}, ("customer", customer.id)
    if any(i.pre_payment_credit_notes_amount or i.post_payment_credit_notes_amount for i in invoices):
        yield Query(part="credit_notes", path="/v1/credit_notes", params=of, load=money.CREDIT_NOTE.load, owner=owner)
    if customer.balance or any(i.starting_balance or i.amount_overpaid for i in invoices):
        path = f"/v1/customers/{quote(customer.id, safe='')}/balance_transactions"
        yield Query(part="balance_transactions", path=path, params={}, load=money.BALANCE_TRANSACTION.load, owner=owner)
    if customer.id in unfinished:
        yield Query(
            part="payment_intents", path="/v1/payment_intents", params=of, load=money.PAYMENT_INTENT.load, owner=owner
        )
    if any(s.live and s.customer == customer.id for s in lists.of("subscriptions")):
        yield Query(
            part="pending_items", path="/v1/invoiceitems", params={**of, "pending": "true"},
            load=money.PENDING_ITEM.load, owner=owner,
        )  # fmt: skip


def lines_query(invoice: str) -> Query:
    """All lines of an invoice with more than the ten that come with it."""
    path = f"/v1/invoices/{quote(invoice, safe='')}/lines"
    return Query(part="invoice_lines", path=path, params={}, load=money.line)


def warned(charges: Iterable[Charge], now: datetime) -> list[Charge]:
    """The charges for which an early fraud warning would change what is proposed."""
    return [c for c in charges if c.status == "succeeded" and c.refundable and now - c.created < WARNED_FOR]


def warning_query(charges: list[Charge]) -> Query:
    """The account's newest warnings in one page: fewer requests than one for each charge."""
    params: dict[str, Any] = {"created": {"gte": int(charges[-1].created.timestamp())}}
    if len(charges) == 1:
        params = {"charge": charges[0].id}
    return Query(
        part="early_fraud_warnings", path="/v1/radar/early_fraud_warnings", params=params,
        load=money.EARLY_FRAUD_WARNING.load, pages=1,
    )  # fmt: skip


# --- joins --------------------------------------------------------------------------------------------------------


def joined(
    charges: tuple[Charge, ...], invoices: tuple[Invoice, ...], intents: tuple[PaymentIntent, ...]
) -> tuple[tuple[Charge, ...], tuple[PaymentIntent, ...]]:
    """Charges and payment intents with their invoice."""
    by_charge: dict[str, str] = {}
    by_intent: dict[str, str] = {}
    for invoice in invoices:
        for payment in invoice.payments:
            if payment.charge:
                by_charge[payment.charge] = invoice.id
            if payment.payment_intent:
                by_intent[payment.payment_intent] = invoice.id
    known = {invoice.id for invoice in invoices}

    def billed(charge: Charge) -> str | None:
        found = by_charge.get(charge.id) or by_intent.get(charge.payment_intent or "")
        return found or (charge.invoice if charge.invoice in known else None)

    return (
        tuple(replace(charge, invoice=billed(charge)) for charge in charges),
        tuple(replace(intent, invoice=by_intent.get(intent.id)) for intent in intents),
    )


def with_lines(
    invoices: tuple[Invoice, ...], lines: Mapping[str, tuple[InvoiceLine, ...]], subscriptions: Iterable[Subscription]
) -> tuple[Invoice, ...]:
    """Invoices with the lines that were read later, and lines of metered prices marked as such."""
    metered = {i.price.id for s in subscriptions for i in s.items if i.price.usage_type == "metered"}

    def marked(line: InvoiceLine) -> InvoiceLine:
        return replace(line, metered=True) if line.price in metered else line

    return tuple(replace(i, lines=tuple(marked(x) for x in lines.get(i.id, i.lines))) for i in invoices)


def completed(subscription: Subscription, names: Mapping[str, str], now: datetime) -> Subscription:
    """With the products' names, and with the period worked out where Stripe's stand-in gave none."""

    def named(price: Price) -> Price:
        return replace(price, product_name=names.get(price.product, price.product_name))

    def whole(item: SubscriptionItem) -> SubscriptionItem:
        item = replace(item, price=named(item.price))
        if item.current_period_end > item.current_period_start or not item.price.interval:
            return item
        begins, ends = period_around(item.current_period_start, item.price, min(now, subscription.ended_at or now))
        return replace(item, current_period_start=begins, current_period_end=ends)

    return replace(subscription, items=tuple(whole(item) for item in subscription.items))


def period_around(start: datetime, price: Price, now: datetime) -> tuple[datetime, datetime]:
    """The billing period of this price that holds `now`, counted from `start`."""
    number = 0
    while number < _MOST_PERIODS and _later(start, price, number + 1) <= now:
        number += 1
    return _later(start, price, number), _later(start, price, number + 1)


def _later(start: datetime, price: Price, number: int) -> datetime:
    count = number * max(1, price.interval_count)
    if price.interval in {"day", "week"}:
        return start + timedelta(days=count * (7 if price.interval == "week" else 1))
    months = start.month - 1 + count * (12 if price.interval == "year" else 1)
    year, month = start.year + months // 12, months % 12 + 1
    return start.replace(year=year, month=month, day=min(start.day, calendar.monthrange(year, month)[1]))
