"""Who did what, and has anybody changed the record? Append-only entries, each with the hash of the one before."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Generator, Iterable, Mapping
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
    last = head(connection)
    number, previous = (last.number + 1, last.hash) if last else (1, _FIRST)
    at = at.astimezone(UTC).replace(microsecond=0)
    entry = {"number": number, "at": at, "actor": actor, "event": event, "ticket_id": ticket_id, "body": dict(body)}
    connection.execute(sa.insert(audit).values(**entry, previous=previous, hash=_hash(entry, previous)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of the chain at one moment; kept elsewhere, it shows later that nothing before it was cut off."""

    number: int
    hash: str

    @property
    def words(self) -> str:
        """`NUMBER:HASH`. In groups, because a long run of digits is taken for a card number and kept out of logs."""
        return f"{self.number}:{'_'.join(self.hash[at : at + 8] for at in range(0, len(self.hash), 8))}"

    @classmethod
    def of(cls, words: str) -> Head:
        """Reads `words`, with or without the grouping. Raises ValueError."""
        number, _, grouped = words.strip().partition(":")
        found = grouped.replace("_", "").lower()
        if not (number.isascii() and number.isdigit() and len(number) < 19 and re.fullmatch(r"[0-9a-f]{64}", found)):
            raise ValueError("a head is NUMBER:HASH")
        return cls(number=int(number), hash=found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`broken`: the number of the first entry that was changed, moved or lost; None when the chain is whole."""

    count: int
    broken: int | None


def head(connection: sa.Connection) -> Head | None:
    """The newest entry's number and hash; None while there is none."""
    last = connection.execute(sa.select(audit.c.number, audit.c.hash).order_by(audit.c.number.desc()).limit(1)).first()
    return Head(number=last.number, hash=last.hash) if last else None


def last_at(connection: sa.Connection) -> datetime | None:
    """When the newest entry was written."""
    return connection.execute(sa.select(audit.c.at).order_by(audit.c.number.desc()).limit(1)).scalar()


def entries(connection: sa.Connection) -> Generator[Entry, None, None]:
    """All entries in order, a few hundred in memory at a time."""
    found = sa.select(audit).order_by(audit.c.number).execution_options(yield_per=500)
    with connection.execute(found) as rows:
        for row in rows:
            yield Entry(**row._mapping)


def check(connection: sa.Connection, heads: Iterable[Head] = ()) -> Verdict:
    """Go through the whole chain once. `heads` were seen earlier: the chain must still lead through each of them."""
    expected: dict[int, set[str]] = {}
    for one in heads:
        expected.setdefault(one.number, set()).add(one.hash)
    previous, count = _FIRST, 0
    with contextlib.closing(entries(connection)) as chain:
        for entry in chain:
            document = {
                "number": entry.number, "at": entry.at, "actor": entry.actor, "event": entry.event,
                "ticket_id": entry.ticket_id, "body": entry.body,
            }  # fmt: skip
            right = entry.number == count + 1 and entry.previous == previous and entry.hash == _hash(document, previous)
            if not right or expected.pop(entry.number, {entry.hash}) != {entry.hash}:
                return Verdict(count=count, broken=count + 1)
            previous, count = entry.hash, count + 1
    # A head beyond the end, or before the beginning: what it stood on was cut off.
    return Verdict(count=count, broken=count + 1 if expected else None)


def first_broken(connection: sa.Connection) -> int | None:
    """`check` without heads, its answer alone."""
    return check(connection).broken


def _hash(entry: Mapping[str, Any], previous: str) -> str:
    document = dict(entry, at=entry["at"].isoformat(), previous=previous)
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
