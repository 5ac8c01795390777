"""How do the table tests look at a decision? The whole core runs; only what it decided is compared."""

from __future__ import annotations

from typing import Any

from billing.decision import Decision, decide
from billing.evidence import TicketEvidence
from billing.policy import Policy
from billing.snapshot import BillingSnapshot

Write = tuple[str, str | None, int | None]


def judge(evidence: TicketEvidence, snapshot: BillingSnapshot, policy: Policy | None = None, **fields: Any) -> Decision:
    return decide(evidence, snapshot, policy or Policy(), **fields)


def writes(decision: Decision) -> list[Write]:
    """Kind, object and amount of each step that writes to Stripe, in the order they run."""
    return [
        (p.step.kind, p.step.object, p.step.money.amount if p.step.money else None)
        for p in decision.plan.steps
        if p.step.moves
    ]


def kinds(decision: Decision) -> list[str]:
    return [planned.step.kind for planned in decision.plan.steps]


def helps(decision: Decision) -> list[tuple[str, str | None]]:
    """The steps for the customer that leave Stripe as it is, without the note and the issue."""
    return [
        (p.step.kind, p.step.object)
        for p in decision.plan.steps
        if not p.step.moves and p.step.kind not in {"write_internal_note", "file_issue"}
    ]


def blocked(decision: Decision) -> list[tuple[str, str | None, str]]:
    return [(entry.step, entry.object, entry.why) for entry in decision.plan.blocked]
