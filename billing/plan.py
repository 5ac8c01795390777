"""What exactly would we do? A plan is data: steps with the facts they rely on, and a digest over all of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from billing.steps import Step, encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing a step relies on: when it reads differently, the plan is stale."""

    object: str
    field: str
    value: str  # canonical text of the value


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """A step with what the agent is told about it. `optional`: the agent may leave it out."""

    id: str  # s1, s2 … in the order they run
    step: Step
    says: str  # one sentence with the exact effect
    title: str  # imperative, short: "Refund the 12 Nov charge"
    running: str  # "Refunding the 12 Nov charge"
    done: str  # "12 Nov charge refunded"
    detail: str = ""
    requires: tuple[str, ...] = ()  # requester_verified, second_approval …
    facts: tuple[Fact, ...] = ()
    optional: bool = True
    undo_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """A step that was considered and is not offered; `why` is a code of design/codes.md."""

    step: str
    object: str | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """Revenue impact per currency in minor units: cash given back, and recurring revenue per month."""

    refund: Mapping[str, int] = field(default_factory=dict)
    mrr: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    steps: tuple[PlannedStep, ...] = ()
    impact: Impact = Impact()
    blocked: tuple[Blocked, ...] = ()
    untouched: str | None = None  # what stays as it is, in a sentence
    affected_charges: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()  # subscriptions that stay
    extra: tuple[str, ...] = ()  # subscriptions that go

    @property
    def digest(self) -> str:
        """`sha256:…` over every step with its amounts and the facts it relies on, and nothing else."""
        return _digest(self.steps)


def _digest(steps: Iterable[PlannedStep]) -> str:
    document = [
        [
            planned.id,
            encode(planned.step),
            list(planned.requires),
            sorted([f.object, f.field, f.value] for f in planned.facts),
        ]
        for planned in steps
    ]
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


TELLING = ("write_internal_note", "file_issue")
"""What tells of the other steps: listed with the reversible ones, run and shown after all of them."""


def running_order(steps: Iterable[PlannedStep]) -> list[PlannedStep]:
    """The steps in the order in which they run and are shown."""
    return sorted(steps, key=lambda planned: planned.step.kind in TELLING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of one step. `outcome`: done, refused, unknown, skipped, canceled or undone.

    `status` is Stripe's word for a refund that may still be on its way: pending, succeeded, failed …
    """

    step_id: str
    outcome: str
    object: str | None = None  # the id that Stripe, Zendesk or GitHub gave
    status: str | None = None
    at: datetime | None = None
    reason: str | None = None
    refund: str | None = None  # through which the money goes back; `status` is its status
