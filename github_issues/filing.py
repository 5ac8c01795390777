"""Is there one issue for the gap behind this ticket, and does it count the ticket? One issue a gap, whatever breaks.

Truth is our own table. After a lost answer the issue is found again by listing its label and looking for the marker,
never by search, which lags. Callers run one filing at a time (the queue's partition sees to that).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from billing.gap import CATALOGUE, fingerprint
from billing.policy import Policy
from github_issues import issue
from github_issues.issue import Occurrence
from integrations.errors import NotFound
from integrations.github_client import GitHubClient
from integrations.github_schemas import Issue
from integrations.store.deliveries import insert_ignore
from integrations.store.tables import gap, gap_ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """The issue that now counts the ticket."""

    number: int
    url: str
    cases: int
    created: bool


class Filing:
    """`client_of` gives the client of a repository (`owner/name`)."""

    def __init__(
        self,
        engine: sa.Engine,
        client_of: Callable[[str], GitHubClient],
        repository: str,
        policy: Policy,
        now: Callable[[], datetime],
        *,
        tickets: str,
    ) -> None:
        self._engine, self._client_of, self._default = engine, client_of, repository
        self._policy, self._now, self._tickets = policy, now, tickets
        self._public: dict[str, bool] = {}

    def repository(self, kind: str) -> str:
        """Where issues of this kind go."""
        return self._policy.github.routes.get(kind, self._default)

    def known(self, kind: str) -> Mapping[str, Any] | None:
        """The issue of this gap as the card shows it: number, url, cases; None when there is none yet."""
        mark = fingerprint(kind, self.repository(kind))
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(gap).where(gap.c.fingerprint == mark)).first()
            if row is None or row.issue_number is None:
                return None
            return {"number": row.issue_number, "url": row.issue_url, "cases": _cases(connection, mark)}

    def remember(self, kind: str, occurrence: Occurrence, *, customer: str | None) -> None:
        """Count the ticket in our own table only: the next `file` of the gap takes it along."""
        repository = self.repository(kind)
        with self._engine.begin() as connection:
            self._remember(connection, kind, repository, fingerprint(kind, repository), occurrence, customer)

    def file(self, kind: str, occurrence: Occurrence, *, customer: str | None) -> Filed:
        """Create the gap's issue or count the ticket in it. Raises OutsideError; calling again is always safe."""
        repository = self.repository(kind)
        mark = fingerprint(kind, repository)
        with self._engine.begin() as connection:
            self._remember(connection, kind, repository, mark, occurrence, customer)
            row = connection.execute(sa.select(gap).where(gap.c.fingerprint == mark)).one()
            occurrences = _occurrences(connection, mark)
        client = self._client_of(repository)
        public = self._is_public(client, repository)
        found = self._present(client, row.issue_number) or self._recovered(client, kind, mark)
        if found is None:
            made = self._create(client, kind, mark, occurrences, public=public)
        else:
            made = self._count(client, found, occurrences, public=public)
        self._keep(mark, made)
        return Filed(number=made.number, url=made.html_url, cases=len(occurrences), created=found is None)

    def _remember(
        self, connection: sa.Connection, kind: str, repository: str, mark: str, one: Occurrence, customer: str | None
    ) -> None:
        now = self._now()
        insert_ignore(
            connection, gap, fingerprint=mark, kind=kind, repository=repository, milestone=0, first_seen=now,
            last_seen=now,
        )  # fmt: skip
        connection.execute(sa.update(gap).where(gap.c.fingerprint == mark).values(last_seen=now))
        values = {
            "customer_hash": hashlib.sha256(customer.encode()).hexdigest() if customer else None,
            "pattern": one.pattern[:80], "refunded": dict(one.refunded), "at_risk": dict(one.at_risk),
            "seen_at": one.seen_at,
        }  # fmt: skip
        if not insert_ignore(connection, gap_ticket, fingerprint=mark, ticket_id=one.ticket_id, **values):
            values.pop("seen_at")
            mine = (gap_ticket.c.fingerprint == mark) & (gap_ticket.c.ticket_id == one.ticket_id)
            connection.execute(sa.update(gap_ticket).where(mine).values(**values))

    def _present(self, client: GitHubClient, number: int | None) -> Issue | None:
        """The issue our table names, unless somebody deleted it."""
        if number is None:
            return None
        try:
            return client.issue(number)
        except NotFound:
            return None

    def _recovered(self, client: GitHubClient, kind: str, mark: str) -> Issue | None:
        """An issue whose creation was never confirmed to us; the oldest when there are several."""
        listed = [one for one in client.issues_by_label(f"gap:{kind}") if issue.carries(one.body, mark)]
        return listed[-1] if listed else None

    def _create(
        self, client: GitHubClient, kind: str, mark: str, occurrences: list[Occurrence], *, public: bool
    ) -> Issue:
        names = issue.labels(kind, self._policy.github.labels)
        for name in names:
            client.ensure_label(name)
        text = issue.body(kind, mark, occurrences, public=public, tickets=self._tickets)
        return client.create_issue(title=CATALOGUE[kind].title, body=text, labels=names)

    def _count(self, client: GitHubClient, found: Issue, occurrences: list[Occurrence], *, public: bool) -> Issue:
        """Replace the managed block, when it says something else; people's own text stays as it is."""
        text = issue.with_block(found.body, issue.block(occurrences, public=public, tickets=self._tickets))
        return found if text is None or text == found.body else client.update_issue(found.number, body=text)

    def _keep(self, mark: str, made: Issue) -> None:
        values = {"issue_number": made.number, "issue_url": made.html_url[:300], "issue_state": made.state[:16]}
        with self._engine.begin() as connection:
            connection.execute(sa.update(gap).where(gap.c.fingerprint == mark).values(**values))

    def _is_public(self, client: GitHubClient, repository: str) -> bool:
        if repository not in self._public:
            self._public[repository] = not client.repository().private
        return self._public[repository]


def ledger(connection: sa.Connection) -> list[dict[str, Any]]:
    """One row a gap: kind, repository, tickets, distinct customers, refunds paid, revenue at risk, seen, issue."""
    rows = []
    for row in connection.execute(sa.select(gap).order_by(gap.c.last_seen.desc())):
        mine = gap_ticket.c.fingerprint == row.fingerprint
        tickets = connection.execute(sa.select(gap_ticket).where(mine)).all()
        rows.append(
            {
                "kind": row.kind,
                "repository": row.repository,
                "tickets": len(tickets),
                "customers": len({one.customer_hash or one.ticket_id for one in tickets}),
                "refunded": _sums([one.refunded for one in tickets]),
                "at_risk": _sums([one.at_risk for one in tickets]),
                "first_seen": row.first_seen,
                "last_seen": row.last_seen,
                "issue": {"number": row.issue_number, "url": row.issue_url} if row.issue_number else None,
            }
        )
    return rows


def _sums(parts: list[Mapping[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for part in parts:
        for currency, amount in part.items():
            sums[currency] = sums.get(currency, 0) + amount
    return {currency: sums[currency] for currency in sorted(sums)}


def _cases(connection: sa.Connection, mark: str) -> int:
    count = sa.select(sa.func.count()).select_from(gap_ticket).where(gap_ticket.c.fingerprint == mark)
    return int(connection.execute(count).scalar_one())


def _occurrences(connection: sa.Connection, mark: str) -> list[Occurrence]:
    rows = connection.execute(sa.select(gap_ticket).where(gap_ticket.c.fingerprint == mark))
    return [
        Occurrence(
            ticket_id=row.ticket_id, seen_at=row.seen_at, pattern=row.pattern, refunded=row.refunded,
            at_risk=row.at_risk,
        )
        for row in rows
    ]  # fmt: skip
