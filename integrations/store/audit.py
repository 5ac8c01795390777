"""Who did what, and has anybody changed the record? Append-only entries, each with the hash of the one before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from integrations.store.tables import audit, gate

_FIRST = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    number: int
    at: datetime
    actor: str
    event: str
    ticket_id: int | None
    body: Mapping[str, Any]
    previous: str
    hash: str


def append(
    connection: sa.Connection, *, at: datetime, actor: str, event: str, ticket_id: int | None, body: Mapping[str, Any]
) -> None:
    """Add one entry in the caller's transaction. `body` holds ids, amounts and codes; never text or addresses."""
    # Writers queue up at the gate row, so numbers have no holes and the chain no forks.
    connection.execute(sa.update(gate).where(gate.c.name == "money").values(passes=gate.c.passes + 1))
    last = connection.execute(sa.select(audit.c.number, audit.c.hash).order_by(audit.c.number.desc()).limit(1)).first()
    number, previous = (last.number + 1, last.hash) if last else (1, _FIRST)
    at = at.astimezone(UTC).replace(microsecond=0)
    entry = {"number": number, "at": at, "actor": actor, "event": event, "ticket_id": ticket_id, "body": dict(body)}
    connection.execute(sa.insert(audit).values(**entry, previous=previous, hash=_hash(entry, previous)))


def entries(connection: sa.Connection) -> Iterator[Entry]:
    """All entries in order."""
    for row in connection.execute(sa.select(audit).order_by(audit.c.number)):
        yield Entry(**row._mapping)


def first_broken(connection: sa.Connection) -> int | None:
    """The number of the first entry that was changed, moved or lost; None when the chain is whole."""
    previous, expected = _FIRST, 1
    for entry in entries(connection):
        document = {
            "number": entry.number, "at": entry.at, "actor": entry.actor, "event": entry.event,
            "ticket_id": entry.ticket_id, "body": entry.body,
        }  # fmt: skip
        if entry.number != expected or entry.previous != previous or entry.hash != _hash(document, previous):
            return expected
        previous, expected = entry.hash, expected + 1
    return None


def _hash(entry: Mapping[str, Any], previous: str) -> str:
    document = dict(entry, at=entry["at"].isoformat(), previous=previous)
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
