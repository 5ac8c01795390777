"""Which rules do people overrule most often? What spoke for a bucket that an agent, or the past, put aside; reads only.

A rule is the code of a signal: a phrase of the ticket (`TXT_…`) or a situation of Stripe's state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from integrations.store.tables import card, correction

BY_HAND = "agent_correction"  # the signal of an earlier correction: no rule of ours


@dataclass(slots=True)
class Overruled:
    """Of how many tickets each rule spoke for our bucket, on how many of them people said another, and which."""

    tickets: int = 0
    overruled: int = 0
    changes: Counter[tuple[str, str]] = field(default_factory=Counter)  # (ours, theirs)
    seen: Counter[str] = field(default_factory=Counter)
    against: Counter[str] = field(default_factory=Counter)

    def add(self, codes: Iterable[str], ours: str, theirs: str) -> None:
        rules = set(codes) - {BY_HAND}
        self.tickets += 1
        self.seen.update(rules)
        if ours != theirs:
            self.overruled += 1
            self.changes[ours, theirs] += 1
            self.against.update(rules)

    def document(self) -> dict[str, Any]:
        """Most often overruled first; a rule that nobody overruled is left out."""
        order = sorted(self.against, key=lambda code: (-self.against[code], self.seen[code], code))
        changes = sorted(self.changes.items(), key=lambda one: (-one[1], one[0]))
        return {
            "tickets": self.tickets,
            "overruled": self.overruled,
            "changes": [{"ours": ours, "theirs": theirs, "tickets": count} for (ours, theirs), count in changes],
            "rules": [{"rule": code, "overruled": self.against[code], "tickets": self.seen[code]} for code in order],
        }


def by_agents(connection: sa.Connection) -> Overruled:
    """From the stored corrections, against all cards that are still kept.

    A ticket that was corrected twice counts once: from what we said first to what was said last.
    """
    first: dict[int, tuple[str, Mapping[str, Any]]] = {}
    last: dict[int, str] = {}
    for row in connection.execute(sa.select(correction).order_by(correction.c.id)):
        first.setdefault(row.ticket_id, (row.was, row.evidence))
        last[row.ticket_id] = row.bucket
    found = Overruled()
    for ticket_id, (was, evidence) in first.items():
        found.add(evidence.get("for", ()), was, last[ticket_id])
    decided = sa.select(card.c.ticket_id, card.c.document["decision"].label("decision")).where(
        card.c.document.is_not(None)
    )
    for ticket_id, decision in connection.execute(decided.execution_options(yield_per=200)):
        if decision and ticket_id not in first:
            codes = (str(one.get("code")) for one in decision.get("for", ()))
            found.add(codes, decision["bucket"], decision["bucket"])
    return found
