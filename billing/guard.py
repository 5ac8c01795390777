"""May the approved steps still run? Only when a fresh look gives exactly the same plan on the same facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from billing.decision import Decision
from billing.plan import Fact, Plan, PlannedStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """The approved steps, in the order in which they run."""

    steps: tuple[PlannedStep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """The facts that moved, with the value they have now; `-` where the object is not in the plan any more."""

    moved: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """`reason`: no_steps, unknown_step or needs_other_step."""

    reason: str


Verdict: TypeAlias = Cleared | Stale | Refused


def recheck(approved: Plan, step_ids: Sequence[str], fresh: Decision) -> Verdict:
    """Compare the approved plan with the one that the newest facts give, then look at the chosen steps alone."""
    if approved.digest != fresh.plan.digest:
        return Stale(moved=_moved(approved, fresh.plan))
    chosen = set(step_ids)
    steps = tuple(planned for planned in fresh.plan.steps if planned.id in chosen)
    if not steps:
        return Refused(reason="no_steps" if not chosen else "unknown_step")
    if len(steps) != len(chosen):
        return Refused(reason="unknown_step")
    needed = {need.removeprefix("step:") for step in steps for need in step.requires if need.startswith("step:")}
    if not needed <= chosen:
        return Refused(reason="needs_other_step")
    return Cleared(steps=steps)


def _moved(approved: Plan, fresh: Plan) -> tuple[Fact, ...]:
    """Every fact that reads differently; when only the steps differ, what became of the steps."""
    before = {(f.object, f.field): f.value for planned in approved.steps for f in planned.facts}
    after = {(f.object, f.field): f.value for planned in fresh.steps for f in planned.facts}
    changed = [
        Fact(object=name, field=field, value=after.get((name, field), "-"))
        for name, field in sorted(before.keys() | after.keys())
        if before.get((name, field)) != after.get((name, field))
    ]
    if changed:
        return tuple(changed)
    old = {(p.step.kind, p.step.object or "-"): p.requires for p in approved.steps}
    new = {(p.step.kind, p.step.object or "-"): p.requires for p in fresh.steps}
    odd = [entry for entry in sorted(old.keys() | new.keys()) if old.get(entry) != new.get(entry)]
    return tuple(
        Fact(object=name, field=kind, value=" ".join(("offered", *new[kind, name])) if (kind, name) in new else "-")
        for kind, name in odd
    )
