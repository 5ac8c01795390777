"""What became of a gap's issue, and which tickets have to hear of it? Always from a fresh read, never from a message.

The rows of `gap_news` say for each ticket what it should be told (`waiting`) or was told. They follow the issue as it
is now: read five times or out of order, the same state leaves the same rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from github_issues.filing import Filing, Place
from integrations.store import marks
from integrations.store.deliveries import insert_ignore
from integrations.store.tables import gap, gap_news, gap_ticket

OUTCOMES = {"completed": "fixed", "not_planned": "not_planned", "duplicate": "duplicate"}
WITHDRAWN = "withdrawn"


class Watching:
    """Reads issues and writes wishes; who tells the tickets is somebody else's work."""

    def __init__(self, engine: sa.Engine, filing: Filing, now: Callable[[], datetime]) -> None:
        self._engine, self._filing, self._now = engine, filing, now

    def look(self, fingerprint: str) -> None:
        """Bring our rows to the issue as it is now. Raises OutsideError."""
        row = self._row(fingerprint)
        if row is None or row.issue_number is None:
            return
        place = self._filing.find(fingerprint)
        if place is None:  # deleted: what was told stays true, and the next ticket makes a new issue
            with self._engine.begin() as connection:
                mine = sa.update(gap).where(gap.c.fingerprint == fingerprint, gap.c.issue_number == row.issue_number)
                connection.execute(mine.values(issue_number=None, issue_url=None, issue_state="deleted"))
            return
        self._take(fingerprint, place)

    def poll(self) -> None:
        """Ask each repository once whether anything changed; an unchanged one costs nothing. Raises OutsideError."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(gap).where(gap.c.issue_number.is_not(None))).all()
        by_repository: dict[str, list[Any]] = {}
        for row in rows:
            by_repository.setdefault(row.issue_repository or row.repository, []).append(row)
        for repository, held in sorted(by_repository.items()):
            self._poll(repository, held)
        self._filing.tick_quiet()

    def waiting(self) -> list[str]:
        """Fingerprints of gaps with tickets that are still to be told."""
        with self._engine.connect() as connection:
            mine = sa.select(gap_news.c.fingerprint).where(gap_news.c.state == "waiting").distinct()
            return sorted(connection.execute(mine).scalars())

    def _poll(self, repository: str, rows: list[Any]) -> None:
        client, label = self._filing.client(repository), self._filing.common_label
        if label is None:  # nothing that all our issues have in common: one by one
            for row in rows:
                self.look(row.fingerprint)
            return
        name = "github.etag." + hashlib.sha256(repository.lower().encode()).hexdigest()[:24]
        numbers = ",".join(str(row.issue_number) for row in sorted(rows, key=lambda row: row.fingerprint))
        known = hashlib.sha256(numbers.encode()).hexdigest()[:16]  # another set of issues has to be compared anew
        with self._engine.connect() as connection:
            before, _, etag = (marks.read(connection, name) or "").partition(" ")
        listing = client.listing(label, etag=etag if before == known else "")
        if listing is None:
            return
        found = {one.number: one for one in listing.issues}
        for row in rows:
            if row.issue_number in found:
                issue = found[row.issue_number]
                self._take(row.fingerprint, Place(client=client, repository=repository, issue=issue))
            else:
                self.look(row.fingerprint)  # moved, deleted, or somebody took the label off
        with self._engine.begin() as connection:
            marks.write(connection, name, f"{known} {listing.etag}", self._now())

    def _take(self, fingerprint: str, place: Place) -> None:
        row = self._row(fingerprint)
        issue = place.issue
        if row.issue_updated_at and issue.updated_at and issue.updated_at < row.issue_updated_at:
            return  # read before somebody else's newer read
        self._filing.keep(fingerprint, place)
        outcome = OUTCOMES.get(issue.state_reason or "completed") if issue.state == "closed" else None
        with self._engine.begin() as connection:
            if outcome is not None and issue.closed_at is not None:
                self._wish(connection, fingerprint, outcome, issue.closed_at)
            elif issue.state == "open":
                self._withdraw(connection, fingerprint)

    def _wish(self, connection: sa.Connection, fingerprint: str, outcome: str, closed_at: datetime) -> None:
        """Every ticket that came before the closing is to hear of it, once for each closing."""
        now = self._now()
        mine = sa.select(gap_ticket.c.ticket_id).where(
            gap_ticket.c.fingerprint == fingerprint, gap_ticket.c.seen_at <= closed_at
        )
        wish = {"outcome": outcome, "closed_at": closed_at, "state": "waiting", "reason": None, "body": None}
        for ticket_id in connection.execute(mine).scalars().all():
            key = {"fingerprint": fingerprint, "ticket_id": ticket_id}
            if insert_ignore(connection, gap_news, **key, **wish, changed_at=now):
                continue
            other = (gap_news.c.outcome != outcome) | (gap_news.c.closed_at != closed_at)
            same = (gap_news.c.fingerprint == fingerprint) & (gap_news.c.ticket_id == ticket_id)
            connection.execute(sa.update(gap_news).where(same, other).values(**wish, changed_at=now))

    def _withdraw(self, connection: sa.Connection, fingerprint: str) -> None:
        """It is open again: who was told hears so, and what was not told yet is forgotten."""
        mine = gap_news.c.fingerprint == fingerprint
        told = mine & (gap_news.c.outcome != WITHDRAWN) & (gap_news.c.state == "told")
        untold = mine & (gap_news.c.outcome != WITHDRAWN) & (gap_news.c.state != "told")
        connection.execute(sa.delete(gap_news).where(untold))
        change = {"outcome": WITHDRAWN, "state": "waiting", "body": None, "changed_at": self._now()}
        connection.execute(sa.update(gap_news).where(told).values(**change))

    def _row(self, fingerprint: str) -> Any:
        with self._engine.connect() as connection:
            return connection.execute(sa.select(gap).where(gap.c.fingerprint == fingerprint)).first()
