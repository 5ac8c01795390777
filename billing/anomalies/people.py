"""Is it clear whose records these are? Several customers, deleted ones, ids of somebody else, the other mode."""

from __future__ import annotations

from collections.abc import Iterator

from billing.anomalies.scene import Scene, anomaly
from billing.identity import Level, foreign_hints, own_customers
from billing.records import Customer
from billing.snapshot import Anomaly


def _sharing_an_address(scene: Scene) -> tuple[Customer, ...]:
    """All of them, also beyond the five candidates."""
    own = own_customers(scene.evidence, scene.snapshot)
    return own if len(own) > 1 else tuple(scene.joins.customers.values())


def several_customers(scene: Scene) -> Iterator[Anomaly]:
    own = _sharing_an_address(scene)
    if len(own) < 2:
        return
    ids = [customer.id for customer in own]
    yield anomaly("several_customers", f"{len(ids)} customers have the requester's e-mail.", ids)
    addresses = {customer.email.strip() for customer in own if customer.email}
    if len(addresses) > 1 and len({address.lower() for address in addresses}) < len(addresses):
        yield anomaly("email_case_variant", "Their addresses differ in letter case only.", ids)


def customer_deleted(scene: Scene) -> Iterator[Anomaly]:
    for hint in scene.snapshot.hints:
        if hint.deleted:
            says = "An id in the text leads to a customer that was deleted."
            yield anomaly("customer_deleted", says, [hint.customer or hint.object])
    for customer in scene.snapshot.customers:
        if customer.deleted:
            yield anomaly("customer_deleted", "The customer was deleted, and its subscriptions with it.", [customer.id])


def identity_mismatch(scene: Scene) -> Iterator[Anomaly]:
    for hint in foreign_hints(scene.evidence, scene.snapshot, scene.identity):
        says = "An id in the text belongs to somebody with another e-mail."
        yield anomaly("identity_mismatch", says, [hint.object])


def no_customer(scene: Scene) -> Iterator[Anomaly]:
    found = any(hint.found for hint in scene.snapshot.hints) or scene.joins.checkout_sessions or scene.joins.customers
    if scene.identity.level is Level.UNKNOWN and not found:
        yield anomaly("no_customer", "Nothing at Stripe belongs to this requester.")


def wrong_mode(scene: Scene) -> Iterator[Anomaly]:
    if any(hint.wrong_mode for hint in scene.snapshot.hints):
        mode = "test" if scene.snapshot.livemode else "live"
        yield anomaly("wrong_mode", f"An id in the text belongs to {mode} mode, which was not read.")


RULES = (several_customers, customer_deleted, identity_mismatch, no_customer, wrong_mode)
