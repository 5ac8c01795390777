"""Do the ticket's tags and our own fields say what the card says? Written in one update, and only where they differ.

Fields are those that `billing-desk install` made; where it never ran, there are tags only. What was written last is
kept with the card, so that our own update starts nothing and a tag that people added is never taken away.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from integrations.errors import OutsideError
from integrations.store import approvals, cards
from integrations.store.cards import StoredCard
from integrations.store.tables import action, approval, installed
from zendesk.desk import Desk

OURS = "billing_desk"
RETRY_SECONDS = 30.0
_FIELDS = ("bucket", "confidence", "gap", "state")
Standing = Mapping[str, Any]  # {"tags": [...], "fields": {field id: value}}


def wanted(desk: Desk, connection: sa.Connection, stored: StoredCard) -> Standing | None:
    """What should stand on the ticket, as far as policy lets us write it; None while there is no judgement."""
    document = stored.document or {}
    decision = document.get("decision") or {}
    if not decision.get("bucket"):
        return None
    standing: dict[str, Any] = {"tags": [], "fields": {}}
    if "tags" in desk.policy.write:
        issues = [f"gh_issue_{number}" for number in _issues(connection, stored.ticket_id)]
        standing["tags"] = sorted({OURS, f"billing_{decision['bucket']}", *issues})
    if "fields" in desk.policy.write:
        values = {
            "bucket": f"billing_{decision['bucket']}",
            "confidence": f"billing_confidence_{decision.get('band') or 'person'}",
            "gap": (document.get("product_gap") or {}).get("kind"),
            "state": f"billing_state_{stored.state}",
        }
        standing["fields"] = {number: values[key] for key, number in _field_ids(connection).items()}
    return standing


def change(before: Standing | None, after: Standing) -> dict[str, Any]:
    """The arguments of `update_ticket` that lead from one to the other."""
    before = before or {"tags": [], "fields": {}}
    fields = {name: value for name, value in after["fields"].items() if before["fields"].get(name) != value}
    tags: dict[str, Any] = {}
    if after["tags"]:
        # A drop-down's value is a tag as well: one list that says both leaves nothing to chance.
        tags["add_tags"] = sorted({*after["tags"], *_as_tags(after)})
        tags["remove_tags"] = sorted({*before["tags"], *_as_tags(before)} - set(tags["add_tags"]))
    return {"fields": {int(name): value for name, value in fields.items()}, **tags}


def bring(desk: Desk, ticket_id: int) -> float | None:
    """Write what differs; seconds until the next try, or None when the ticket says what the card says."""
    with desk.engine.connect() as connection:
        stored = cards.read(connection, ticket_id)
        after = wanted(desk, connection, stored) if stored else None
    if stored is None or after is None or after == stored.written or not desk.policy.write:
        return None
    try:
        desk.zendesk.update_ticket(
            ticket_id, operation_id="op_" + secrets.token_hex(12), stage="in_step", **change(stored.written, after)
        )
    except OutsideError as error:
        return RETRY_SECONDS if error.retryable or error.unknown_outcome else None
    with desk.engine.begin() as connection:
        cards.change(connection, ticket_id, desk.now(), version=None, written=after)
    return None


def after(
    desk: Desk, handler: Callable[[str], float | None], ticket_of: Callable[[sa.Connection, str], int | None]
) -> Callable[[str], float | None]:
    """The same handler; once it has nothing left to do, its ticket is brought in step."""

    def turn(argument: str) -> float | None:
        again = handler(argument)
        if again is not None:
            return again
        with desk.engine.connect() as connection:
            ticket_id = ticket_of(connection, argument)
        return bring(desk, ticket_id) if ticket_id is not None else None

    return turn


def ticket_of_approval(connection: sa.Connection, approval_id: str) -> int | None:
    found = approvals.read(connection, approval_id)
    return found.ticket_id if found else None


def ticket_of_action(connection: sa.Connection, action_id: str) -> int | None:
    found = approvals.read_action(connection, action_id.partition(":")[0])
    return ticket_of_approval(connection, found.approval_id) if found else None


def _as_tags(standing: Standing) -> set[str]:
    return {value for value in standing["fields"].values() if isinstance(value, str) and value.startswith("billing_")}


def _issues(connection: sa.Connection, ticket_id: int) -> list[int]:
    """Numbers of the issues that count this ticket."""
    filed = (
        sa.select(action.c.receipt)
        .join(approval, approval.c.id == action.c.approval_id)
        .where(approval.c.ticket_id == ticket_id, action.c.kind == "file_issue", action.c.state == "done")
    )
    numbers = [str((receipt or {}).get("object")) for receipt in connection.execute(filed).scalars()]
    return [int(number) for number in numbers if number.isascii() and number.isdigit()]


def _field_ids(connection: sa.Connection) -> dict[str, str]:
    """Our fields' ids by key, as far as they are installed."""
    names = {f"field_{key}": key for key in _FIELDS}
    rows = connection.execute(sa.select(installed.c.name, installed.c.value).where(installed.c.name.in_(names)))
    return {names[row.name]: row.value for row in rows if row.value.isdigit()}
