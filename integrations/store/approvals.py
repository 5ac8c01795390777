"""What was approved, by whom, and how far is it? One row an approval, one row a step: intent first, outcome later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from integrations.store.deliveries import insert_ignore
from integrations.store.tables import action, approval, card_object, gate

ENDED = ("done", "partly_done", "stopped", "needs_person")
OPEN = ("pending", "holding", "sending", "unknown")  # a step that runs, waits, or is for a person to settle
UNDO = "undo"  # kind of an action that takes another one back
DRY_RUN = "dry_run"  # reason of an approval and its steps that were recorded only: policy applies nothing
ON_ITS_WAY = frozenset({"pending", "requires_action"})  # a refund's status while nobody knows how it ends
# What these actions moved, or may have moved, counts against the limits: unknown is spent until it is known.
SPENT = ("pending", "holding", "sending", "done", "unknown")
ASK_A_PERSON = "ask_a_person"
KEY_REUSED = "idempotency_error"  # Stripe knows the key with other parameters: what became of those is not known
RATE_LIMITED = "rate_limited"
RESUMED = "resumed"
LEFT_TO_A_PERSON = (ASK_A_PERSON, KEY_REUSED)
# Reasons of a refusal that is about our credentials and not about the customer: nothing was done, and once they are
# mended the same step may go on.
NOT_LET_IN = ("unauthorized", "not_permitted", "zendesk_401", "zendesk_403")
_NEVER_HELD = (UNDO, "file_issue")  # whoever clicks again begins anew; GitHub has ways of its own
_HELD = sa.and_(action.c.state == "refused", action.c.reason.in_(NOT_LET_IN), action.c.kind.not_in(_NEVER_HELD))
PARKED = sa.or_(sa.and_(action.c.state == "unknown", action.c.reason.in_(LEFT_TO_A_PERSON)), _HELD)  # for a person


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
    before: Mapping[str, Any] | None
    claim: str | None
    claimed_until: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def held(self) -> bool:
        """Whether it was refused for our credentials only: it waits for those, and what follows it waits too."""
        return self.state == "refused" and self.reason in NOT_LET_IN and self.kind not in _NEVER_HELD


def pass_gate(connection: sa.Connection) -> None:
    """Queue up behind every other approval: the first write of a transaction that counts limits."""
    connection.execute(sa.update(gate).where(gate.c.name == "money").values(passes=gate.c.passes + 1))


def insert_action(connection: sa.Connection, row: Mapping[str, Any]) -> bool:
    """One more action of an approval; False when there is one with this step id already."""
    return insert_ignore(connection, action, **row)


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
    """The ticket's approval that has not ended, or of which a step waits for a person, if there is one."""
    waits = sa.exists().where(action.c.approval_id == approval.c.id, PARKED)
    found = sa.select(approval).where(
        approval.c.ticket_id == ticket_id, sa.or_(approval.c.state.not_in(ENDED), waits)
    )  # fmt: skip
    row = connection.execute(found).first()
    return Approval(**row._mapping) if row else None


def actions(connection: sa.Connection, approval_id: str) -> tuple[Action, ...]:
    """The approval's steps in the order they run."""
    return tuple(one for one in _all(connection, approval_id) if one.kind != UNDO)


def undos(connection: sa.Connection, approval_id: str) -> tuple[Action, ...]:
    """The attempts to take steps of the approval back, oldest first; `step` holds the id of the undone action."""
    return tuple(one for one in _all(connection, approval_id) if one.kind == UNDO)


def _all(connection: sa.Connection, approval_id: str) -> list[Action]:
    rows = connection.execute(sa.select(action).where(action.c.approval_id == approval_id).order_by(action.c.position))
    return [Action(**row._mapping) for row in rows]


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


def claim(
    connection: sa.Connection, one: Action, now: datetime, token: str, until: datetime, was: Sequence[str]
) -> bool:  # fmt: skip
    """Take the action for one call, durable before the first byte; False when somebody else moved it on or took it."""
    statement = sa.update(action).where(
        action.c.id == one.id, action.c.state.in_(was), action.c.claim.is_not_distinct_from(one.claim)
    )
    values = {"state": "sending", "claim": token, "claimed_until": until, "sent_at": one.sent_at or now}
    return connection.execute(statement.values(updated_at=now, **values)).rowcount == 1


def settle_action(
    connection: sa.Connection, action_id: str, now: datetime, *, was: Sequence[str], claim: str | None, **values: Any
) -> bool:
    """`change_action` by the holder of `claim` only: a runner that was thought dead changes nothing. None: anybody."""
    statement = sa.update(action).where(action.c.id == action_id, action.c.state.in_(was))
    if claim is not None:
        statement = statement.where(action.c.claim == claim)
    return connection.execute(statement.values(updated_at=now, **values)).rowcount == 1


def remember(connection: sa.Connection, action_id: str, before: Mapping[str, Any]) -> None:
    """Keep what the step found, the first time only: a replay finds what the first call left."""
    statement = sa.update(action).where(action.c.id == action_id, action.c.before.is_(None))
    connection.execute(statement.values(before=dict(before)))


def paid() -> sa.ColumnElement[bool]:
    """Steps whose sum has moved: done, and no refund that Stripe only took and that may still fail."""
    status = action.c.receipt["status"].as_string()
    confirmed = sa.or_(status.is_(None), status.not_in(ON_ITS_WAY))
    return sa.and_(action.c.state == "done", action.c.amount.is_not(None), action.c.currency.is_not(None), confirmed)


def left_out(connection: sa.Connection, approval_id: str) -> bool:
    """Whether the agent left steps out; an issue is no part of the fix, and is not asked where GitHub is not set up."""
    mine = sa.and_(action.c.approval_id == approval_id, action.c.state == "skipped", action.c.kind != "file_issue")
    found = sa.select(action.c.id).where(mine, action.c.reason.is_(None))
    return connection.execute(found).first() is not None


def by_refund(connection: sa.Connection, refund: str) -> Action | None:
    """The step that gave money back through this refund of Stripe's."""
    own = sa.and_(action.c.kind == "refund_charge", action.c.receipt["object"].as_string() == refund)
    named = sa.or_(own, action.c.receipt["refund"].as_string() == refund)
    row = connection.execute(sa.select(action).where(named)).first()
    return Action(**row._mapping) if row else None


def sent_with(connection: sa.Connection, key: str) -> bool:
    """Whether a write of ours went out with this idempotency key."""
    return connection.execute(sa.select(action.c.id).where(action.c.key == key)).first() is not None


def partition(customer: str | None, ticket_id: int) -> str:
    """Jobs of one partition run one after the other: one customer's, or one ticket's where nobody was found."""
    return customer or f"ticket:{ticket_id}"


def show(connection: sa.Connection, ticket_id: int, objects: Iterable[str], now: datetime) -> None:
    """Note which customers and charges the ticket's card shows."""
    mine = sa.select(card_object.c.object).where(card_object.c.ticket_id == ticket_id)
    new = set(objects) - set(connection.execute(mine).scalars())
    rows = [{"object": name, "ticket_id": ticket_id, "at": now} for name in sorted(new) if len(name) <= 80]
    if rows:
        build = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        connection.execute(build(card_object).on_conflict_do_nothing(), rows)


def shown_on(connection: sa.Connection, objects: Iterable[str], since: datetime, most: int) -> tuple[int, ...]:
    """Tickets whose cards show one of the objects, the newest first; first seen since `since`."""
    newest = sa.func.max(card_object.c.at)
    found = (
        sa.select(card_object.c.ticket_id)
        .where(card_object.c.object.in_(list(objects)), card_object.c.at >= since)
        .group_by(card_object.c.ticket_id)
        .order_by(newest.desc())
        .limit(most)
    )
    return tuple(connection.execute(found).scalars())


def forget_checks(connection: sa.Connection, ticket_id: int) -> None:
    """What waits to run for this ticket reads the facts again before its first write."""
    mine = sa.and_(approval.c.ticket_id == ticket_id, approval.c.state.not_in(ENDED))
    connection.execute(sa.update(approval).where(mine).values(checked_at=None))


def spent(
    connection: sa.Connection, currency: str, since: datetime, *, agent_id: int | None = None,
    customer: str | None = None,
) -> int:  # fmt: skip
    """Minor units of `currency` that money steps moved, may have moved or may yet move since `since`."""
    statement = sa.select(sa.func.coalesce(sa.func.sum(action.c.amount), 0)).where(
        action.c.currency == currency, action.c.created_at >= since, sa.or_(action.c.state.in_(SPENT), _HELD)
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
