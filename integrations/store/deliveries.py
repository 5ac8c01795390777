"""Which webhook deliveries were accepted? Each (source, key) counts once and is stored before the answer."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from integrations.store.tables import delivery


def insert_ignore(connection: sa.Connection, table: sa.Table, **values: Any) -> bool:
    """Insert unless a row of the same unique key exists; whether a row was inserted. Works on both databases."""
    build = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    key = next(iter(table.primary_key.columns))
    inserted = build(table).values(**values).on_conflict_do_nothing().returning(key)
    return connection.execute(inserted).first() is not None


def accept(
    connection: sa.Connection, *, source: str, key: str, ticket_id: int | None, body: Mapping[str, Any], now: datetime
) -> str | None:
    """The id of the new delivery, or None for one that was already accepted."""
    identifier = "dl_" + secrets.token_hex(12)
    new = insert_ignore(
        connection, delivery, id=identifier, source=source, key=key[:200], ticket_id=ticket_id, state="accepted",
        body=dict(body), received_at=now,
    )  # fmt: skip
    return identifier if new else None


def finish(connection: sa.Connection, identifier: str, state: str, reason: str | None = None) -> None:
    """`state`: done, ignored or quarantined (kept for a person, with a reason code)."""
    connection.execute(sa.update(delivery).where(delivery.c.id == identifier).values(state=state, reason=reason))


def find(connection: sa.Connection, identifier: str) -> Mapping[str, Any] | None:
    row = connection.execute(sa.select(delivery).where(delivery.c.id == identifier)).mappings().first()
    return dict(row) if row else None


def of_ticket(connection: sa.Connection, ticket_id: int) -> int:
    """How many deliveries are stored for the ticket."""
    count = sa.select(sa.func.count()).select_from(delivery).where(delivery.c.ticket_id == ticket_id)
    return int(connection.execute(count).scalar_one())
