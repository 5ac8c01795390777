"""What does a ticket add to its gap? Our own words and sums from approvals and receipts; nothing of the customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from github_issues.issue import Occurrence
from integrations.store import approvals, cards
from integrations.store.approvals import Action, Approval
from integrations.store.tables import action as steps
from integrations.store.tables import approval as approval_table
from integrations.store.tables import delivery, gap, gap_ticket
from zendesk.desk import Desk
from zendesk.gap_letters import promises
from zendesk.gap_news import ask
from zendesk.plans import thaw
from zendesk.settling import has_moved, money_moved


def counted(connection: sa.Connection, action: Action) -> tuple[Occurrence, str | None]:
    """The ticket behind an issue step as the gap counts it, and its customer.

    A ticket may have been approved more than once: what it cost is the sum of all its receipts under this gap.
    """
    approval = approvals.read(connection, action.approval_id)
    if approval is None:
        raise LookupError("an action without its approval")
    stored = cards.read(connection, approval.ticket_id)
    document = (stored.document if stored else None) or {}
    receipts = _receipts(connection, approval.ticket_id, action.step)
    decided = document.get("decision") or {}
    plan = thaw(approval.plan)
    name, every = plan_of(document, (*plan.extra, *plan.kept))
    occurrence = Occurrence(
        ticket_id=approval.ticket_id,
        seen_at=_seen(connection, approval),
        pattern=str(decided.get("situation") or decided.get("bucket") or "").replace("_", " "),
        refunded=money_moved(receipts),
        # What support has mended is no longer at risk.
        at_risk={} if approval.state == "done" else {c: abs(amount) for c, amount in plan.impact.mrr.items()},
        charges=sum(map(has_moved, receipts)),
        seconds=_seconds(stored, approval),
        plan=name,
        every=every,
        promised=promises(str(approval.follow_up.get("body") or "")),
    )
    return occurrence, approval.customer


def recount(desk: Desk, connection: sa.Connection, ticket_id: int) -> None:
    """A refund of the ticket ended after it was counted: its gaps' sums follow, and then their issues."""
    filed = (
        sa.select(steps.c.step)
        .join(approval_table, approval_table.c.id == steps.c.approval_id)
        .where(approval_table.c.ticket_id == ticket_id, steps.c.kind == "file_issue", steps.c.state == "done")
    )
    by_kind = {step["gap"]: step for step in connection.execute(filed).scalars()}
    counts = sa.select(gap_ticket, gap.c.kind).join(gap, gap.c.fingerprint == gap_ticket.c.fingerprint)
    for row in connection.execute(counts.where(gap_ticket.c.ticket_id == ticket_id)).all():
        if row.kind not in by_kind:
            continue
        receipts = _receipts(connection, ticket_id, by_kind[row.kind])
        values = {"refunded": money_moved(receipts), "charges": sum(map(has_moved, receipts))}
        if values != {"refunded": row.refunded, "charges": row.charges or 0}:
            mine = (gap_ticket.c.fingerprint == row.fingerprint) & (gap_ticket.c.ticket_id == ticket_id)
            connection.execute(sa.update(gap_ticket).where(mine).values(**values))
            ask(desk, connection, row.fingerprint, f"sum-{ticket_id}-{int(desk.now().timestamp())}")


def _receipts(connection: sa.Connection, ticket_id: int, step: Mapping[str, Any]) -> list[Action]:
    """The steps of all the ticket's approvals that were filed under the same gap."""
    mine = sa.select(approval_table.c.id).where(approval_table.c.ticket_id == ticket_id)
    runs = [approvals.actions(connection, one) for one in connection.execute(mine).scalars().all()]
    return [
        one
        for run in runs
        if any(a.kind == "file_issue" and a.step == step and a.state != "skipped" for a in run)
        for one in run
    ]


def _seen(connection: sa.Connection, approval: Approval) -> datetime:
    """When the ticket first reached us: one from before a fix is not held against the fix."""
    first = sa.select(sa.func.min(delivery.c.received_at)).where(delivery.c.ticket_id == approval.ticket_id)
    received = connection.execute(first).scalar()
    return min(received, approval.created_at) if received else approval.created_at


def _seconds(stored: cards.StoredCard | None, approval: Approval) -> int | None:
    """From the reading that the card shows to the approval; unknown when the card was read again since."""
    if stored is None or stored.as_of is None or stored.as_of > approval.created_at:
        return None
    return int((approval.created_at - stored.as_of).total_seconds())


def plan_of(document: Mapping[str, Any], wanted: Sequence[str]) -> tuple[str | None, str | None]:
    """Product and interval of the subscription that the plan is about, else of the newest one."""
    held = (document.get("billing_state") or {}).get("subscriptions") or []
    found = next((one for name in wanted for one in held if one.get("id") == name), held[0] if held else {})
    name, every = found.get("product_name"), found.get("interval")
    return (name if isinstance(name, str) else None), (every if isinstance(every, str) else None)
