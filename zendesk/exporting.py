"""Which tickets did Zendesk's webhook fail to tell us of? A safety net that reads the list of changed tickets.

A new ticket of which no delivery came gets the same reading as a delivered one, once. The list starts a minute in the
past (Zendesk's rule) and the first time at now: nothing older than the installation is ever read. Where an admin's
trigger chooses which tickets we are told of, the choice stands and the net stays out.
Vendor page: developer.zendesk.com/api-reference/ticketing/ticket-management/incremental_exports
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import sqlalchemy as sa

from integrations.errors import Refused
from integrations.store import cards, deliveries, marks
from integrations.store.tables import delivery
from integrations.zendesk_schemas import Ticket
from zendesk.desk import Desk
from zendesk.webhook import ask

log = logging.getLogger(__name__)
EVERY_SECONDS = 300.0
MOST_PAGES = 3  # a round: Zendesk grants ten calls a minute to everybody together
LATE = timedelta(minutes=2)  # a delivery that is still on its way is none that was missed
_SINCE, _CURSOR = "export_since", "export_cursor"
_OVER = frozenset({"solved", "closed", "deleted"})


def catch_missed(desk: Desk) -> None:
    """One round. Raises OutsideError: the next round goes on from the same place."""
    with desk.engine.begin() as connection:
        since, cursor = marks.read(connection, _SINCE), marks.read(connection, _CURSOR)
        if since is None:
            marks.write(connection, _SINCE, desk.now().isoformat(), desk.now())
            return
        if _chosen_by_triggers(connection):
            return
    began = datetime.fromisoformat(since)
    if desk.now() - began < LATE:
        return
    for _ in range(MOST_PAGES):
        try:
            tickets, after, more = desk.zendesk.changed_tickets(cursor=cursor, since=began)
        except Refused as error:
            if cursor is None or error.status != 400:
                raise
            cursor = None  # Zendesk does not know the cursor any more: from the beginning, which repeats nothing
            continue
        late = _take_in(desk, tickets, began)
        if late or after is None:
            return  # the same page again next time, when the late deliveries have come
        with desk.engine.begin() as connection:
            marks.write(connection, _CURSOR, after, desk.now())
        if not more:
            return
        cursor = after


def _take_in(desk: Desk, tickets: tuple[Ticket, ...], began: datetime) -> bool:
    """Ask for a reading of those that were missed; whether one is too young to tell."""
    late = False
    for ticket in tickets:
        if ticket.created_at is None or ticket.created_at < began or ticket.status in _OVER:
            continue
        with desk.engine.begin() as connection:
            if cards.read(connection, ticket.id) is not None:
                continue
            if desk.now() - ticket.created_at < LATE:
                late = True
                continue
            identifier = deliveries.accept(
                connection, source="export", key=f"ticket:{ticket.id}", ticket_id=ticket.id,
                body={"ticket_id": ticket.id}, now=desk.now(),
            )  # fmt: skip
            if identifier is not None:
                ask(desk, connection, ticket.id)
                deliveries.finish(connection, identifier, "done")
                log.warning("delivery_missed", extra={"ticket_id": ticket.id, "delivery_id": identifier})
    return late


def _chosen_by_triggers(connection: sa.Connection) -> bool:
    """Whether the newest delivery of Zendesk's was a trigger's own."""
    newest = (
        sa.select(delivery.c.key).where(delivery.c.source == "zendesk").order_by(delivery.c.received_at.desc()).limit(1)
    )
    return str(connection.execute(newest).scalar() or "").startswith("trigger:")
