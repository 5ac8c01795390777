"""Which small worlds do the core's tests live in? Builders with defaults: every test names only what matters to it.

Import as `from tests.billing.builders import …`. Ids are short (`sub_A`, `in_A_1103`), times are UTC, `NOW` is fixed.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from typing import Any

from billing.evidence import (
    Identifier,
    IdentifierKind,
    Requester,
    TextSignal,
    TicketEvidence,
    Verification,
    Wish,
)
from billing.identity import Identity, Level
from billing.records import (
    BalanceTransaction,
    Charge,
    CheckoutSession,
    CreditNote,
    Customer,
    Discount,
    Dispute,
    EarlyFraudWarning,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    PaymentIntent,
    PaymentMethod,
    PendingItem,
    PortalConfiguration,
    Price,
    Refund,
    Subscription,
    SubscriptionItem,
)
from billing.snapshot import BillingSnapshot, Hint, Missing

MAYA = "maya@oliva.example"
_LISTS: dict[type, str] = {
    Customer: "customers",
    Hint: "hints",
    Subscription: "subscriptions",
    Invoice: "invoices",
    Charge: "charges",
    PaymentMethod: "payment_methods",
    PaymentIntent: "payment_intents",
    CheckoutSession: "checkout_sessions",
    Dispute: "disputes",
    EarlyFraudWarning: "early_fraud_warnings",
    CreditNote: "credit_notes",
    BalanceTransaction: "balance_transactions",
    PendingItem: "pending_items",
    Missing: "missing",
}


def at(moment: str | datetime) -> datetime:
    """`2026-11-12` or `2026-11-12T09:30` in UTC; a datetime stays what it is."""
    return moment if isinstance(moment, datetime) else datetime.fromisoformat(moment).replace(tzinfo=UTC)


NOW = at("2026-11-22T10:00")


def later(moment: datetime, interval: str | None, count: int = 1) -> datetime:
    """One billing interval on; a month without that day ends on its last one."""
    if interval in {"month", "year"}:
        months = moment.month - 1 + count * (12 if interval == "year" else 1)
        year, month = moment.year + months // 12, months % 12 + 1
        return moment.replace(year=year, month=month, day=min(moment.day, monthrange(year, month)[1]))
    return moment + timedelta(days=count * (7 if interval == "week" else 1))


def price(
    id: str = "price_pro_monthly",
    product: str = "prod_pro",
    product_name: str = "Pro",
    amount: int | None = 2900,
    currency: str = "usd",
    interval: str | None = "month",
    **fields: Any,
) -> Price:
    return Price(
        id=id,
        product=product,
        product_name=product_name,
        unit_amount=amount,
        currency=currency,
        interval=interval,
        **fields,
    )


PRO = price()
PRO_YEARLY = price(id="price_pro_yearly", amount=29000, interval="year")
ULTRA = price(id="price_ultra_monthly", product="prod_ultra", product_name="Ultra", amount=5900)
TEAM = price(id="price_team_monthly", product="prod_team", product_name="Team", amount=1200)
METERED = price(id="price_usage", product="prod_pro", amount=None, usage_type="metered")


def customer(id: str = "cus_A", email: str | None = MAYA, created: str | datetime = "2026-01-10", **fields: Any):
    return Customer(id=id, email=email, created=at(created), **({"name": "Maya Oliva", "country": "US"} | fields))


def item(price: Price = PRO, quantity: int = 1, start: str | datetime = "2026-11-03", **fields: Any):
    begin = at(start)
    fields.setdefault("id", f"si_{price.id.removeprefix('price_')}")
    fields.setdefault("current_period_end", later(begin, price.interval, price.interval_count))
    return SubscriptionItem(price=price, quantity=quantity, current_period_start=begin, **fields)


def subscription(
    id: str = "sub_A",
    customer: str = "cus_A",
    price: Price = PRO,
    quantity: int = 1,
    created: str | datetime = "2026-09-03",
    status: str = "active",
    **fields: Any,
) -> Subscription:
    """One item whose period holds NOW (or starts at `created`, when that is later); `items=` overrides it."""
    start = begin = at(created)
    while (following := later(begin, price.interval, price.interval_count)) <= NOW:
        begin = following
    fields.setdefault("items", (item(price, quantity, begin, id=f"si_{id.removeprefix('sub_')}"),))
    fields.setdefault("start_date", start)
    fields.setdefault("currency", price.currency)
    return Subscription(id=id, customer=customer, status=status, created=start, **fields)


def line(amount: int = 2900, price: Price | None = PRO, **fields: Any) -> InvoiceLine:
    fields.setdefault("id", "il_1")
    if price is not None:
        fields = {"price": price.id, "product": price.product, "quantity": 1} | fields
    return InvoiceLine(amount=amount, **fields)


def invoice(
    id: str = "in_A",
    amount: int = 2900,
    created: str | datetime = "2026-11-03",
    status: str = "paid",
    subscription: str | None = "sub_A",
    customer: str = "cus_A",
    **fields: Any,
) -> Invoice:
    """Amounts follow `amount` and `status`; its payment is `pi_<rest of the id>`."""
    paid = amount if status == "paid" else 0
    opening: dict[str, Any] = {
        "currency": "usd",
        "number": f"OLIVA-{id.removeprefix('in_')}",
        "billing_reason": "subscription_cycle" if subscription else "manual",
        "subtotal": amount,
        "total": amount,
        "amount_due": amount,
        "amount_paid": paid,
        "amount_remaining": 0 if status in {"paid", "void"} else amount,
        "period_start": at(created),
        "period_end": later(at(created), "month"),
        "paid_at": at(created) if status == "paid" else None,
        "attempt_count": 1 if status in {"paid", "open"} else 0,
        "lines": (line(amount),),
        "payments": (
            InvoicePayment(
                id=f"inpay_{id.removeprefix('in_')}",
                status="paid" if status == "paid" else "open",
                amount_paid=paid,
                payment_intent=f"pi_{id.removeprefix('in_')}",
                paid_at=at(created) if status == "paid" else None,
            ),
        ),
    }
    return Invoice(
        id=id, customer=customer, status=status, created=at(created), subscription=subscription, **(opening | fields)
    )


def charge(
    id: str = "ch_A",
    amount: int = 2900,
    created: str | datetime = "2026-11-03",
    status: str = "succeeded",
    invoice: str | None = None,
    customer: str | None = "cus_A",
    **fields: Any,
) -> Charge:
    """A Visa card charge; captured when it succeeded; payment intent `pi_<rest of the id>`."""
    captured = bool(fields.get("captured", status == "succeeded"))
    opening: dict[str, Any] = {
        "currency": "usd",
        "captured": captured,
        "amount_captured": amount if captured else 0,
        "payment_intent": f"pi_{id.removeprefix('ch_')}",
        "payment_method": "pm_A",
        "method_type": "card",
        "brand": "visa",
        "last4": "4242",
        "outcome_type": "authorized" if status == "succeeded" else "issuer_declined",
    }
    return Charge(
        id=id, amount=amount, created=at(created), status=status, invoice=invoice, customer=customer,
        **(opening | fields),
    )  # fmt: skip


def refund(id: str = "re_A", amount: int = 2900, created: str | datetime = "2026-11-20", **fields: Any) -> Refund:
    return Refund(id=id, amount=amount, created=at(created), **({"currency": "usd", "status": "succeeded"} | fields))


def paid_period(
    subscription: Subscription, start: str | datetime, amount: int | None = None, **fields: Any
) -> tuple[Invoice, Charge]:
    """One paid period of a subscription: `in_A_1103` and `ch_A_1103` for sub_A from 3 November; `fields` for both."""
    begin = at(start)
    first = subscription.items[0]
    due = (first.price.unit_amount or 0) * first.quantity if amount is None else amount
    name = f"{subscription.id.removeprefix('sub_')}_{begin:%m%d}"
    paid = invoice(
        id=f"in_{name}",
        amount=due,
        created=begin,
        subscription=subscription.id,
        customer=subscription.customer,
        currency=subscription.currency,
        billing_reason="subscription_create" if begin == subscription.start_date else "subscription_cycle",
        period_end=later(begin, first.price.interval, first.price.interval_count),
        lines=(line(due, first.price, quantity=first.quantity),),
    )
    return paid, charge(
        id=f"ch_{name}",
        amount=due,
        created=begin,
        invoice=paid.id,
        customer=subscription.customer,
        **({"currency": subscription.currency} | fields),
    )


def payment_method(id: str = "pm_A", customer: str = "cus_A", created: str | datetime = "2026-01-10", **fields: Any):
    card = {"type": "card", "brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2029}
    return PaymentMethod(id=id, customer=customer, created=at(created), **(card | fields))


def payment_intent(id: str = "pi_A", status: str = "succeeded", created: str | datetime = "2026-11-03", **fields: Any):
    return PaymentIntent(
        id=id, status=status, created=at(created), **({"customer": "cus_A", "amount": 2900, "currency": "usd"} | fields)
    )


def checkout_session(id: str = "cs_A", status: str = "open", created: str | datetime = "2026-11-21", **fields: Any):
    opening: dict[str, Any] = {
        "customer": "cus_A",
        "email": MAYA,
        "payment_status": "unpaid",
        "amount_total": 2900,
        "currency": "usd",
    }
    return CheckoutSession(id=id, status=status, created=at(created), **(opening | fields))


def dispute(id: str = "dp_A", charge: str = "ch_A", status: str = "needs_response", **fields: Any) -> Dispute:
    opening: dict[str, Any] = {"amount": 2900, "currency": "usd", "created": at("2026-11-15")}
    return Dispute(id=id, charge=charge, status=status, **(opening | fields))


def discount(id: str = "di_A", **fields: Any) -> Discount:
    return Discount(id=id, **({"coupon": "LOYAL", "percent_off": 20.0, "duration": "forever"} | fields))


PORTAL = PortalConfiguration(
    id="bpc_A",
    login_page_url="https://billing.stripe.example/p/login/A",
    cancel=True,
    update_payment_method=True,
    invoice_history=True,
    customer_update=True,
    tax_id_update=True,
    subscription_update=True,
)


def snapshot(*records: Any, portal: PortalConfiguration | None = PORTAL, taken_at: datetime = NOW, **fields: Any):
    """The records (also tuples of them) sorted into their lists, newest first, as Stripe gives them."""
    lists: dict[str, list[Any]] = {}
    waiting = list(reversed(records))
    while waiting:
        record = waiting.pop()
        if isinstance(record, (tuple, list)):
            waiting.extend(reversed(record))
        else:
            lists.setdefault(_LISTS[type(record)], []).append(record)
    for name, found in lists.items():
        if name not in {"hints", "missing"}:
            found.sort(key=lambda record: record.created, reverse=True)
    collected = {name: tuple(found) for name, found in lists.items()}
    return BillingSnapshot(taken_at=taken_at, portal=portal, **(collected | fields))


def ticket(
    text: str = "Something is wrong with my bill.",
    email: str | None = MAYA,
    verification: str = "full",
    flags: tuple[int, ...] = (),
    wishes: tuple[str, ...] = (),
    codes: tuple[str, ...] = (),
    identifiers: tuple[tuple[str, str], ...] = (),
    requester: dict[str, Any] | None = None,
    **fields: Any,
) -> TicketEvidence:
    """Evidence as a reader would give it: `codes` are text signal codes, `identifiers` pairs of kind and value."""
    person: dict[str, Any] = {
        "email": email,
        "name": "Maya Oliva",
        "verification": Verification(verification),
        "comment_flags": frozenset(flags),
    }
    opening: dict[str, Any] = {
        "ticket_id": 48213,
        "requester": Requester(**(person | (requester or {}))),
        "text": text,
        "has_text": bool(text),
        "wishes": tuple(Wish(wish) for wish in wishes),
        "signals": tuple(TextSignal(code=code, quote=text, group=code, weights={}) for code in codes),
        "identifiers": tuple(
            Identifier(kind=IdentifierKind(kind), value=value, quote=value) for kind, value in identifiers
        ),
    }
    return TicketEvidence(**(opening | fields))


def identity(*candidates: str, level: str = "verified", chosen: str | None = None, **fields: Any) -> Identity:
    """A verified identity of `cus_A`, when nothing else is said."""
    named = candidates or ("cus_A",)
    return Identity(
        level=Level(level),
        reasons=fields.pop("reasons", ()),
        candidates=named,
        chosen=chosen or (named[0] if len(named) == 1 else None),
        **fields,
    )


def ordinary(*more: Any, **fields: Any) -> BillingSnapshot:
    """Maya pays for Pro each month since September, and nothing is wrong."""
    pro = subscription()
    periods = [paid_period(pro, day) for day in ("2026-09-03", "2026-10-03", "2026-11-03")]
    return snapshot(customer(), pro, periods, payment_method(), *more, **fields)


def duplicate(*more: Any, **fields: Any) -> BillingSnapshot:
    """The classical world: Maya pays for Pro since September and bought it a second time on 12 November."""
    extra = subscription(id="sub_B", created="2026-11-12")
    return ordinary(extra, paid_period(extra, "2026-11-12"), *more, **fields)
