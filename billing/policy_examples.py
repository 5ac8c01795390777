"""Does policy.toml still give what its examples state? Each is judged as a small world of one verified payer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from billing.decision import decide
from billing.evidence import Requester, TicketText, Verification
from billing.policy import Example, ExampleSubscription, Policy, PolicyError, failing
from billing.reading.ticket import read_ticket
from billing.records import (
    Charge,
    Customer,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    Price,
    Subscription,
    SubscriptionItem,
)
from billing.snapshot import BillingSnapshot

_NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)
_ADDRESS = "payer@example.org"
_DAYS = {"day": 1, "week": 7, "month": 31, "year": 365}


def broken(policy: Policy, origin: str = "policy.toml") -> Iterator[PolicyError]:
    """The examples whose bucket is not the stated one any more, with their lines."""
    for error in failing(policy, lambda example: bucket_of(example, policy)):
        yield PolicyError(error.line, error.message, origin)


def bucket_of(example: Example, policy: Policy) -> str:
    """The bucket that this policy gives the example."""
    requester = Requester(email=_ADDRESS, verification=Verification.FULL)
    evidence = read_ticket(TicketText(subject="", body=example.text), requester, None)
    return decide(evidence, _world(example, policy), policy).diagnosis.bucket.value


def _world(example: Example, policy: Policy) -> BillingSnapshot:
    payer = Customer(id="cus_1", email=_ADDRESS, created=_NOW - timedelta(days=800))
    subscriptions, invoices, charges = [], [], []
    for number, sold in enumerate(example.subscriptions):
        price = _price(sold)
        subscription = _subscription(number, sold, price, policy)
        invoice, charge = _paid(subscription, sold, price)
        subscriptions.append(subscription)
        invoices.append(invoice)
        charges.append(charge)
    return BillingSnapshot(
        taken_at=_NOW,
        customers=(payer,),
        subscriptions=tuple(reversed(subscriptions)),
        invoices=tuple(reversed(invoices)),
        charges=tuple(reversed(charges)),
    )


def _price(sold: ExampleSubscription) -> Price:
    return Price(
        id=f"price_{sold.product}_{sold.interval}_{sold.amount}",
        product=sold.product,
        product_name=sold.product,
        unit_amount=sold.amount,
        currency=sold.currency,
        interval=sold.interval,
    )


def _subscription(number: int, sold: ExampleSubscription, price: Price, policy: Policy) -> Subscription:
    """In the middle of a period, so that nothing is due and nothing just renewed."""
    period = timedelta(days=_DAYS[sold.interval])
    start = _NOW - period / 2 / (number + 1)  # the first of an example is the oldest
    first = start - period * (2 if number == 0 else 0)
    item = SubscriptionItem(
        id=f"si_{number}", price=price, quantity=sold.quantity, current_period_start=start,
        current_period_end=start + period,
    )  # fmt: skip
    owner = {policy.products.owner_keys[0]: sold.owner} if sold.owner and policy.products.owner_keys else {}
    return Subscription(
        id=f"sub_{number}", customer="cus_1", status="active", created=first, start_date=first, currency=sold.currency,
        items=(item,), metadata=owner,
    )  # fmt: skip


def _paid(subscription: Subscription, sold: ExampleSubscription, price: Price) -> tuple[Invoice, Charge]:
    start, amount = subscription.items[0].current_period_start, sold.amount * sold.quantity
    name = subscription.id.removeprefix("sub_")
    line = InvoiceLine(id=f"il_{name}", amount=amount, price=price.id, product=price.product, quantity=sold.quantity)
    payment = InvoicePayment(
        id=f"inpay_{name}", status="paid", amount_paid=amount, payment_intent=f"pi_{name}", paid_at=start
    )
    reason = "subscription_create" if subscription.start_date == start else "subscription_cycle"
    invoice = Invoice(
        id=f"in_{name}", customer="cus_1", status="paid", created=start, subscription=subscription.id,
        currency=sold.currency, billing_reason=reason, subtotal=amount, total=amount, amount_due=amount,
        amount_paid=amount, amount_remaining=0, period_start=start, period_end=subscription.current_period_end,
        paid_at=start, attempt_count=1, lines=(line,), payments=(payment,),
    )  # fmt: skip
    charge = Charge(
        id=f"ch_{name}", amount=amount, created=start, status="succeeded", invoice=invoice.id, customer="cus_1",
        currency=sold.currency, captured=True, amount_captured=amount, payment_intent=f"pi_{name}",
    )  # fmt: skip
    return invoice, charge
