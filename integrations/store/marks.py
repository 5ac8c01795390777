"""How far has periodic work come? One remembered text a name: a cursor, a hash, a time."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from integrations.store.deliveries import insert_ignore
from integrations.store.tables import mark


def read(connection: sa.Connection, name: str) -> str | None:
    """The text under this name; None when there is none yet."""
    return connection.execute(sa.select(mark.c.value).where(mark.c.name == name)).scalar()


def write(connection: sa.Connection, name: str, value: str, now: datetime) -> None:
    """Remember the text, in the caller's transaction."""
    insert_ignore(connection, mark, name=name, value=value, at=now)
    connection.execute(sa.update(mark).where(mark.c.name == name).values(value=value, at=now))
