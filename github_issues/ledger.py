"""Which gaps are there, with how many tickets and what sums? From our own tables; amounts are minor units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from github_issues.issue import Occurrence
from integrations.store.tables import gap, gap_ticket


def ledger(connection: sa.Connection) -> list[dict[str, Any]]:
    """One row a gap: kind, repository, tickets, distinct customers, refunds paid, revenue at risk, seen, issue."""
    rows = []
    for row in connection.execute(sa.select(gap).order_by(gap.c.last_seen.desc())):
        mine = gap_ticket.c.fingerprint == row.fingerprint
        tickets = connection.execute(sa.select(gap_ticket).where(mine)).all()
        rows.append(
            {
                "kind": row.kind,
                "repository": row.issue_repository or row.repository,
                "tickets": len(tickets),
                "customers": len({one.customer_hash or one.ticket_id for one in tickets}),
                "refunded": sums(one.refunded for one in tickets),
                "at_risk": sums(one.at_risk for one in tickets),
                "first_seen": row.first_seen,
                "last_seen": row.last_seen,
                "issue": {"number": row.issue_number, "url": row.issue_url} if row.issue_number else None,
                "state": row.issue_state,
                "owner": row.issue_owner,
            }
        )
    return rows


def occurrences(connection: sa.Connection, fingerprint: str) -> list[Occurrence]:
    """The gap's tickets, the first seen first."""
    mine = sa.select(gap_ticket).where(gap_ticket.c.fingerprint == fingerprint)
    return [
        Occurrence(
            ticket_id=row.ticket_id, seen_at=row.seen_at, pattern=row.pattern, refunded=row.refunded,
            at_risk=row.at_risk, charges=row.charges or 0, seconds=row.seconds, plan=row.plan, every=row.every,
            customer=row.customer_hash, promised=bool(row.promised),
        )
        for row in connection.execute(mine.order_by(gap_ticket.c.seen_at, gap_ticket.c.ticket_id))
    ]  # fmt: skip


def sums(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Added up by currency, currencies in order."""
    added: dict[str, int] = {}
    for part in parts:
        for currency, amount in part.items():
            added[currency] = added.get(currency, 0) + amount
    return {currency: added[currency] for currency in sorted(added)}
