"""What does the store remember that a check of an upstream needs? One question to it, and no trouble of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from integrations.checks.report import Check, State
from integrations.settings import Settings
from integrations.store import database, reads

T = TypeVar("T")


def asked(settings: Settings, question: Callable[[sa.Connection], T]) -> T | None:
    """The answer; None when the store does not give one, which its own line says."""
    if settings.sqlite and not Path(settings.database_url.removeprefix("sqlite:///")).is_file():
        return None  # looking would make it
    engine = database.open_engine(settings.database_url, pool=1)
    try:
        with engine.connect() as connection:
            return question(connection)
    except (sa.exc.SQLAlchemyError, OSError):
        return None
    finally:
        engine.dispose()


def reads_left(settings: Settings) -> Callable[[], Sequence[Check]]:
    """How much is left of the reads that Stripe grants."""

    def ask() -> Sequence[Check]:
        found = asked(settings, lambda c: (reads.spent(c, datetime.now(UTC)), reads.granted(c)))
        spent, granted = found or (0, None)
        if granted is None:
            return []  # nothing was read yet
        told = f"{spent:,} of {granted:,} in 30 days"
        if spent < reads.WARNED * granted:
            return [Check(group="Stripe", name="Reads", state=State.OK, evidence=told)]
        fix = (
            "deploy/docs/operations.md, BillingDeskReadsSpent: from 80 % on, tickets are no longer read whole at once."
        )
        return [Check(group="Stripe", name="Reads", state=State.WARN, evidence=told, fix=fix)]

    return ask
