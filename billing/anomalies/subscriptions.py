"""Are there more subscriptions than were meant? Duplicates, overlapping plans, seats, workspaces, currencies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from billing.anomalies.scene import Scene, anomaly, day
from billing.families import Owner, different_owners, groups_in, is_workplace, owner, seats
from billing.records import Subscription
from billing.snapshot import Anomaly


def duplicates(scene: Scene) -> Iterator[Anomaly]:
    """`overlapping_plans` comes with `duplicate_active_subscription` when price or interval differ."""
    for group in groups_in(scene.joins, scene.policy):
        started = " and ".join(day(scene.joins.subscriptions[member].created) for member in group.members[:3])
        says = f"{len(group.members)} live subscriptions of {group.family} for one owner, started {started}."
        yield anomaly("duplicate_active_subscription", says, group.members)
        if not group.same_plan:
            says = f"They pay for {group.family} at different prices or intervals at the same time."
            yield anomaly("overlapping_plans", says, group.members)


def multiple_seats(scene: Scene) -> Iterator[Anomaly]:
    for subscription in scene.joins.live:
        if seats(subscription):
            most = max(item.quantity for item in subscription.items if item.price.usage_type != "metered")
            yield anomaly("multiple_seats", f"One subscription with {most} seats.", [subscription.id])


def separate_owners(scene: Scene) -> Iterator[Anomaly]:
    """Different places go before different people: N colleagues in N workspaces are workspaces."""
    owners: dict[str, Owner] = {
        s.id: owner(s, scene.joins.customers.get(s.customer), scene.policy) for s in scene.joins.live
    }
    different = different_owners(tuple(owners.values()))
    if len(different) < 2:
        return
    objects = [id for id, who in owners.items() if who in different]
    places = {frozenset(pair for pair in who if is_workplace(pair[0])) for who in different}
    if len(places) > 1:
        says = f"{len(objects)} live subscriptions belong to different workspaces or organisations."
        yield anomaly("separate_workspaces", says, objects)
    else:
        yield anomaly("separate_users", f"{len(objects)} live subscriptions belong to different users.", objects)


def several_currencies(scene: Scene) -> Iterator[Anomaly]:
    live = scene.joins.live
    currencies = sorted({subscription.currency.upper() for subscription in live})
    if len(currencies) > 1:
        says = f"Live subscriptions are billed in {' and '.join(currencies)}."
        yield anomaly("several_currencies", says, [subscription.id for subscription in live])


def schedule_managed(scene: Scene) -> Iterator[Anomaly]:
    for subscription in scene.joins.subscriptions.values():
        if subscription.schedule is not None and subscription.status != "canceled":
            says = f"A schedule with {subscription.schedule.phases} phase(s) to come manages the subscription."
            yield anomaly("schedule_managed", says, [subscription.id, subscription.schedule.id])


def collection_paused(scene: Scene) -> Iterator[Anomaly]:
    for subscription in scene.joins.live:
        if subscription.pause_collection is not None:
            says = "Collection is paused: the subscription goes on, its invoices are not charged."
            yield anomaly("collection_paused", says, [subscription.id])


def cancellation_scheduled(scene: Scene) -> Iterator[Anomaly]:
    for subscription in scene.joins.live:
        if subscription.ending:
            says = f"The subscription is set to end on {day(_end(subscription))}."
            yield anomaly("cancellation_scheduled", says, [subscription.id])


def _end(subscription: Subscription) -> datetime:
    return subscription.cancel_at or subscription.current_period_end


RULES = (
    duplicates,
    multiple_seats,
    separate_owners,
    several_currencies,
    schedule_managed,
    collection_paused,
    cancellation_scheduled,
)
