"""What was approved, by whom, and how far is it? One row an approval, one row a step: intent first, outcome later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from integrations.store.tables import action, approval, gate

ENDED = ("done", "partly_done", "stopped", "needs_person")
# What these actions moved, or may have moved, counts against the limits: unknown is spent until it is known.
SPENT = ("pending", "holding", "sending", "done", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    id: str
    ticket_id: int
    customer: str | None
    digest: str
    round: int
    request_hash: str
    agent_id: int
    agent_name: str
    second_agent_id: int | None
    state: str
    reason: str | None
    problem: str | None
    plan: Mapping[str, Any]
    follow_up: Mapping[str, Any]
    checked_at: datetime | None
    hold_until: datetime | None
    attempts: int
    reply_state: str
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    id: str
    approval_id: str
    step_id: str
    position: int
    kind: str
    step: Mapping[str, Any]
    key: str
    state: str
    amount: int | None
    currency: str | None
    agent_id: int
    customer: str | None
    receipt: Mapping[str, Any] | None
    reason: str | None
    attempts: int
    sent_at: datetime | None
    created_at: datetime
    updated_at: datetime


def pass_gate(connection: sa.Connection) -> None:
    """Queue up behind every other approval: the first write of a transaction that counts limits."""
    connection.execute(sa.update(gate).where(gate.c.name == "money").values(passes=gate.c.passes + 1))


def insert(connection: sa.Connection, row: Mapping[str, Any], actions: Sequence[Mapping[str, Any]]) -> None:
    connection.execute(sa.insert(approval).values(**row))
    connection.execute(sa.insert(action), list(actions))


def read(connection: sa.Connection, approval_id: str) -> Approval | None:
    row = connection.execute(sa.select(approval).where(approval.c.id == approval_id)).first()
    return Approval(**row._mapping) if row else None


def of_plan(connection: sa.Connection, ticket_id: int, digest: str) -> Approval | None:
    """The newest approval of exactly this plan."""
    found = (
        sa.select(approval)
        .where(approval.c.ticket_id == ticket_id, approval.c.digest == digest)
        .order_by(approval.c.round.desc())
    )
    row = connection.execute(found).first()
    return Approval(**row._mapping) if row else None


def under_way(connection: sa.Connection, ticket_id: int) -> Approval | None:
    """The ticket's approval that has not ended, if there is one."""
    found = sa.select(approval).where(approval.c.ticket_id == ticket_id, approval.c.state.not_in(ENDED))
    row = connection.execute(found).first()
    return Approval(**row._mapping) if row else None


def actions(connection: sa.Connection, approval_id: str) -> tuple[Action, ...]:
    """The approval's steps in the order they run."""
    rows = connection.execute(sa.select(action).where(action.c.approval_id == approval_id).order_by(action.c.position))
    return tuple(Action(**row._mapping) for row in rows)


def read_action(connection: sa.Connection, action_id: str) -> Action | None:
    row = connection.execute(sa.select(action).where(action.c.id == action_id)).first()
    return Action(**row._mapping) if row else None


def change(connection: sa.Connection, approval_id: str, *, was: Sequence[str] | None = None, **values: Any) -> bool:
    """Set columns; False when the approval's state is not one of `was`."""
    statement = sa.update(approval).where(approval.c.id == approval_id)
    if was is not None:
        statement = statement.where(approval.c.state.in_(was))
    return connection.execute(statement.values(**values)).rowcount == 1


def change_action(
    connection: sa.Connection, action_id: str, now: datetime, *, was: Sequence[str] | None = None, **values: Any
) -> bool:
    """Set columns; False when the action's state is not one of `was`: somebody else moved it on."""
    statement = sa.update(action).where(action.c.id == action_id)
    if was is not None:
        statement = statement.where(action.c.state.in_(was))
    return connection.execute(statement.values(updated_at=now, **values)).rowcount == 1


def spent(
    connection: sa.Connection, currency: str, since: datetime, *, agent_id: int | None = None,
    customer: str | None = None,
) -> int:  # fmt: skip
    """Minor units of `currency` that money steps moved, may have moved or are about to move since `since`."""
    statement = sa.select(sa.func.coalesce(sa.func.sum(action.c.amount), 0)).where(
        action.c.currency == currency, action.c.created_at >= since, action.c.state.in_(SPENT)
    )
    if agent_id is not None:
        statement = statement.where(action.c.agent_id == agent_id)
    if customer is not None:
        statement = statement.where(action.c.customer == customer)
    return int(connection.execute(statement).scalar_one())


def unfiled(connection: sa.Connection, most: int = 200) -> tuple[Action, ...]:
    """Issue steps of ended approvals that GitHub has not confirmed yet, oldest first."""
    waiting = (
        sa.select(action)
        .join(approval, approval.c.id == action.c.approval_id)
        .where(action.c.kind == "file_issue", action.c.state.in_(("sending", "unknown")), approval.c.state.in_(ENDED))
        .order_by(action.c.created_at)
        .limit(most)
    )
    return tuple(Action(**row._mapping) for row in connection.execute(waiting))


def unfinished(connection: sa.Connection) -> list[str]:
    """Ids of approvals that are on their way, oldest first."""
    waiting = sa.select(approval.c.id).where(approval.c.state.not_in(ENDED)).order_by(approval.c.created_at)
    return list(connection.execute(waiting).scalars())
