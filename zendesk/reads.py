"""May a ticket still be read whole by itself, or are Stripe's reads running out? Agents' own readings always may."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa

from integrations.store import reads

log = logging.getLogger(__name__)


class Reads:
    """What all processes of this installation have read, as the store counts it.

    `made`: how many requests this process has made so far; `budget`: reads in 30 days (policy.toml).
    """

    def __init__(self, engine: sa.Engine, made: Callable[[], int], budget: int, now: Callable[[], datetime]) -> None:
        self._engine, self._made, self._budget, self._now = engine, made, budget, now
        self._lock = threading.Lock()
        self._settled = 0
        self._share = 0.0

    def settle(self) -> None:
        """Put what was read since the last time into the store. A store that is away or slow stops no reading."""
        if not self._lock.acquire(blocking=False):
            return  # somebody is at it; what is left over goes with the next reading
        try:
            fresh = self._made() - self._settled
            if fresh <= 0:
                return
            with self._engine.begin() as connection:
                reads.add(connection, fresh, self._budget, self._now())
                share = reads.spent(connection, self._now()) / self._budget
            self._settled += fresh
            if share >= reads.WARNED > self._share:
                log.warning("stripe_reads_running_out", extra={"count": round(share * self._budget)})
            self._share = share
        except sa.exc.SQLAlchemyError as error:
            log.warning("reads_not_counted", extra={"failure": type(error).__name__})
        finally:
            self._lock.release()

    def tight(self) -> bool:
        """Whether so much is spent that what reads itself has to do with the quick tier. Raises SQLAlchemyError."""
        with self._engine.connect() as connection:
            return reads.spent(connection, self._now()) >= reads.TIGHT * self._budget
