"""How many of the reads that Stripe grants are spent? Counted by day for every process together, over 30 days.

Stripe counts reads over a rolling 30 days; one row of table `mark` holds a day's. docs.stripe.com/rate-limits
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from integrations.store import marks
from integrations.store.deliveries import insert_ignore
from integrations.store.tables import mark

DAYS = 30
WARNED, TIGHT = 0.6, 0.8  # of the budget
_DAY, _GRANTED = "stripe_reads:", "stripe_reads_granted"


def add(connection: sa.Connection, number: int, granted: int, now: datetime) -> None:
    """Count so many more reads of today; `granted`: the budget that policy.toml names, for those who have no policy."""
    name = _name(now)
    if insert_ignore(connection, mark, name=name, value="0", at=now):
        connection.execute(sa.delete(mark).where(mark.c.name.like(_DAY + "%"), mark.c.name < _oldest(now)))
    counted = sa.cast(sa.cast(mark.c.value, sa.BigInteger) + number, sa.String)
    connection.execute(sa.update(mark).where(mark.c.name == name).values(value=counted, at=now))
    if marks.read(connection, _GRANTED) != str(granted):
        marks.write(connection, _GRANTED, str(granted), now)


def spent(connection: sa.Connection, now: datetime) -> int:
    """Reads of the last 30 days, today included."""
    days = sa.select(sa.func.sum(sa.cast(mark.c.value, sa.BigInteger)))
    mine = days.where(mark.c.name.like(_DAY + "%"), mark.c.name >= _oldest(now))
    return int(connection.execute(mine).scalar() or 0)


def granted(connection: sa.Connection) -> int | None:
    """The budget as the process that counted last knew it; None before the first read."""
    kept = marks.read(connection, _GRANTED)
    return int(kept) if kept else None


def _name(day: datetime) -> str:
    return f"{_DAY}{day:%Y-%m-%d}"


def _oldest(now: datetime) -> str:
    return _name(now - timedelta(days=DAYS - 1))
