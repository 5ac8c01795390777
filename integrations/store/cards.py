"""What does the sidebar show for a ticket at once? One stored card a ticket, changed by compare-and-swap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from integrations.store import tables
from integrations.store.tables import card

NEXT_ROUND = card.c.round + 1  # for `change`: the same plan gets another digest


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCard:
    """`document` None: the first enrichment has not ended. Columns: tables.card."""

    ticket_id: int
    version: int
    requests: int
    state: str
    document: Mapping[str, Any] | None
    plan: Mapping[str, Any] | None
    approval_id: str | None
    correction: str | None
    chosen: str | None
    lookup: str | None
    noted: str | None
    noted_at: datetime | None
    as_of: datetime | None
    round: int
    requested_at: datetime
    updated_at: datetime
    written: Mapping[str, Any] | None

    @property
    def erased(self) -> bool:
        """Its texts are gone and nobody has asked to read the ticket since."""
        return self.document is None and self.updated_at > self.requested_at

    @property
    def read_quickly(self) -> bool:
        """By its words clearly not about billing, so that only whose it is was read: the state may say more."""
        state = (self.document or {}).get("billing_state") or {}
        return any(part.get("why") == "not_read" for part in state.get("missing", ()))

    @property
    def left_unread(self) -> bool:
        """A reading was asked for and, to save Stripe's reads, not made."""
        asked = self.as_of is not None and self.as_of < self.requested_at <= self.updated_at
        return asked and self.state not in {"failed", "applying"}


def read(connection: sa.Connection, ticket_id: int) -> StoredCard | None:
    row = connection.execute(sa.select(card).where(card.c.ticket_id == ticket_id)).first()
    return StoredCard(**row._mapping) if row else None


def ask_for(connection: sa.Connection, ticket_id: int, now: datetime) -> int:
    """Note that the ticket is to be read (again); the number of this request, for the job's key."""
    updated = connection.execute(
        sa.update(card)
        .where(card.c.ticket_id == ticket_id)
        .values(
            requests=card.c.requests + 1,
            requested_at=now,
            state=sa.case((card.c.document.is_(None), "enriching"), else_=card.c.state),
        )
        .returning(card.c.requests)
    ).scalar()
    if updated is not None:
        return int(updated)
    connection.execute(
        sa.insert(card).values(
            ticket_id=ticket_id, version=1, requests=1, state="enriching", requested_at=now, updated_at=now
        )
    )
    return 1


def change(connection: sa.Connection, ticket_id: int, now: datetime, *, version: int | None, **values: Any) -> bool:
    """Set columns and count the version; False when `version` is given and the card has moved on."""
    statement = sa.update(card).where(card.c.ticket_id == ticket_id)
    if version is not None:
        statement = statement.where(card.c.version == version)
    done = connection.execute(statement.values(version=card.c.version + 1, updated_at=now, **values))
    return done.rowcount == 1


def forget_everything(engine: sa.Engine) -> None:
    """The demo's "Start over": empty every table. A card keeps its request count, which is part of its jobs' keys."""
    with engine.begin() as connection:
        gaps = (tables.gap_news, tables.gap_ticket, tables.gap)
        for table in (tables.action, tables.approval, tables.card_object, tables.delivery, *gaps, tables.audit):
            connection.execute(sa.delete(table))
        connection.execute(
            sa.update(card).values(
                state="enriching", document=None, plan=None, approval_id=None, correction=None, chosen=None,
                lookup=None, noted=None, noted_at=None, as_of=None, version=card.c.version + 1,
            )
        )  # fmt: skip
