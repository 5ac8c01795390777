"""May something be created on GitHub now? One creation each four seconds and no call in a pause, over all processes.

Vendor page: docs.github.com/rest, best practices (secondary limits). Who goes on while limited may be shut out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from integrations.errors import RateLimited
from integrations.store import marks
from integrations.store.deliveries import insert_ignore
from integrations.store.tables import mark

SPACING = timedelta(seconds=4)
_CREATED, _PAUSED = "github.created", "github.paused_until"
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class NotYet(RateLimited):
    """Our own "later": nothing was asked of GitHub, so no try is counted."""


def not_yet(seconds: float) -> NotYet:
    return NotYet(service="github", retry_after=max(0.1, seconds))


class Pace:
    """The store remembers, so that any number of workers keep one pace."""

    def __init__(self, engine: sa.Engine, now: Callable[[], datetime]) -> None:
        self._engine, self._now = engine, now

    def check_pause(self) -> None:
        """Raise NotYet while GitHub has asked to be left alone."""
        with self._engine.connect() as connection:
            until = marks.read(connection, _PAUSED)
        left = (datetime.fromisoformat(until) - self._now()).total_seconds() if until else 0.0
        if left > 0:
            raise not_yet(left)

    def pause(self, seconds: float) -> None:
        """Leave GitHub alone for so long."""
        now = self._now()
        with self._engine.begin() as connection:
            marks.write(connection, _PAUSED, (now + timedelta(seconds=seconds)).isoformat(), now)

    def take(self) -> None:
        """Take the next place for an issue or a comment. Raises NotYet when the last one is too near."""
        now = self._now()
        with self._engine.begin() as connection:
            insert_ignore(connection, mark, name=_CREATED, value="", at=_LONG_AGO)
            mine = sa.update(mark).where(mark.c.name == _CREATED, mark.c.at <= now - SPACING)
            if connection.execute(mine.values(at=now)).rowcount:
                return
            last = connection.execute(sa.select(mark.c.at).where(mark.c.name == _CREATED)).scalar_one()
        raise not_yet((last + SPACING - now).total_seconds())
