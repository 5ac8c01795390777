"""What does a step rely on? The fields that would make it wrong when they read differently, as canonical text."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from billing.plan import Fact
from billing.records import Charge, Customer, Invoice, PaymentMethod, PortalConfiguration, Subscription
from billing.situations.scene import Scene


def facts(scene: Scene, ids: Iterable[str | None]) -> tuple[Fact, ...]:
    """The facts of each object once, sorted; the customer of each object is always among them."""
    names = [name for name in dict.fromkeys(ids) if name]
    owners = [scene.customer_of(name) for name in names if name not in scene.customers]
    found: set[Fact] = set()
    for name in [*names, *filter(None, owners)]:
        found |= {Fact(object=name, field=field, value=text(value)) for field, value in _fields(scene, name)}
    return tuple(sorted(found, key=lambda fact: (fact.object, fact.field, fact.value)))


def portal_facts(portal: PortalConfiguration) -> tuple[Fact, ...]:
    values = {"active": portal.active, "login_page_url": portal.login_page_url, "cancel": portal.cancel,
              "update_payment_method": portal.update_payment_method}  # fmt: skip
    return tuple(Fact(object=portal.id, field=field, value=text(value)) for field, value in sorted(values.items()))


def text(value: object) -> str:
    """One spelling for each value: `-` for nothing, RFC 3339 for times."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _fields(scene: Scene, name: str) -> Iterable[tuple[str, object]]:
    if name in scene.subscriptions:
        return _subscription(scene.subscriptions[name])
    if name in scene.invoices:
        return _invoice(scene.invoices[name])
    if name in scene.charges:
        return _charge(scene, scene.charges[name])
    if name in scene.customers:
        return _customer(scene, scene.customers[name])
    method = next((m for m in scene.snapshot.payment_methods if m.id == name), None)
    if method is not None:
        return _method(method)
    session = next((s for s in scene.snapshot.checkout_sessions if s.id == name), None)
    return (("status", session.status), ("payment_status", session.payment_status)) if session else ()


def _subscription(record: Subscription) -> Iterable[tuple[str, object]]:
    items = sorted(f"{item.price.id} x {item.quantity}" for item in record.items)
    return (
        ("status", record.status),
        ("cancel_at", record.cancel_at),
        ("cancel_at_period_end", record.cancel_at_period_end),
        ("current_period_end", record.current_period_end),
        ("items", ", ".join(items)),
        ("schedule", record.schedule.id if record.schedule else None),
        ("pause_collection", record.pause_collection),
        ("collection_method", record.collection_method),
    )


def _invoice(record: Invoice) -> Iterable[tuple[str, object]]:
    return (
        ("status", record.status),
        ("amount_paid", record.amount_paid),
        ("amount_remaining", record.amount_remaining),
        ("amount_overpaid", record.amount_overpaid),
        ("post_payment_credit_notes_amount", record.post_payment_credit_notes_amount),
        ("attempt_count", record.attempt_count),
    )


def _charge(scene: Scene, record: Charge) -> Iterable[tuple[str, object]]:
    dispute = scene.disputes.get(record.id)
    refunds = sorted(f"{refund.id} {refund.status} {refund.amount}" for refund in record.refunds)
    warned = sorted(w.id for w in scene.snapshot.early_fraud_warnings if w.charge == record.id and w.actionable)
    return (
        ("status", record.status),
        ("captured", record.captured),
        ("amount_captured", f"{record.amount_captured} {record.currency}"),
        ("amount_refunded", record.amount_refunded),
        ("refunds", ", ".join(refunds)),
        ("disputed", record.disputed),
        ("dispute", f"{dispute.id} {dispute.status}" if dispute else None),
        ("warnings", ", ".join(warned)),
    )


def _customer(scene: Scene, record: Customer) -> Iterable[tuple[str, object]]:
    live = sorted(s.id for s in scene.live if s.customer == record.id)
    return (
        ("balance", record.balance),
        ("deleted", record.deleted),
        ("default_payment_method", record.default_payment_method),
        ("live_subscriptions", ", ".join(live)),
    )


def _method(record: PaymentMethod) -> Iterable[tuple[str, object]]:
    return (("type", record.type), ("last4", record.last4), ("expires", f"{record.exp_month}/{record.exp_year}"))
