"""How is a plan kept between the card and the approval? As JSON that gives back exactly the same plan."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from billing.plan import (
    Blocked,
    Fact,
    Impact,
    Plan,
    PlannedStep,
)
from billing.steps import decode, encode
from integrations.store.cards import StoredCard


def in_round(digest: str, round_: int) -> str:
    """The digest that is shown and approved.

    A plan that was stopped comes back in the next round under another one: a late copy of the first approval must
    approve nothing.
    """
    return digest if round_ == 1 else "sha256:" + hashlib.sha256(f"{digest}:{round_}".encode()).hexdigest()


def digest_of(stored: StoredCard) -> str | None:
    """The digest under which the card's plan can be approved; None without a plan."""
    return in_round(thaw(stored.plan).digest, stored.round) if stored.plan is not None else None


def freeze(plan: Plan) -> dict[str, Any]:
    """The whole plan as JSON; `thaw(freeze(plan)) == plan`."""
    return {
        "steps": [_freeze_step(step) for step in plan.steps],
        "impact": {"refund": dict(plan.impact.refund), "mrr": dict(plan.impact.mrr)},
        "blocked": [{"step": one.step, "object": one.object, "why": one.why} for one in plan.blocked],
        "untouched": plan.untouched,
        "affected_charges": list(plan.affected_charges),
        "kept": list(plan.kept),
        "extra": list(plan.extra),
    }


def thaw(document: Mapping[str, Any]) -> Plan:
    """The plan that `freeze` wrote. Raises ValueError for a step kind this version does not know."""
    return Plan(
        steps=tuple(_thaw_step(step) for step in document["steps"]),
        impact=Impact(refund=document["impact"]["refund"], mrr=document["impact"]["mrr"]),
        blocked=tuple(Blocked(**one) for one in document["blocked"]),
        untouched=document["untouched"],
        affected_charges=tuple(document["affected_charges"]),
        kept=tuple(document["kept"]),
        extra=tuple(document["extra"]),
    )


def _freeze_step(planned: PlannedStep) -> dict[str, Any]:
    return {
        "id": planned.id,
        "step": encode(planned.step),
        "says": planned.says,
        "title": planned.title,
        "running": planned.running,
        "done": planned.done,
        "detail": planned.detail,
        "requires": list(planned.requires),
        "facts": [[fact.object, fact.field, fact.value] for fact in planned.facts],
        "optional": planned.optional,
        "undo_until": planned.undo_until.isoformat() if planned.undo_until else None,
    }


def _thaw_step(document: Mapping[str, Any]) -> PlannedStep:
    return PlannedStep(
        id=document["id"],
        step=decode(document["step"]),
        says=document["says"],
        title=document["title"],
        running=document["running"],
        done=document["done"],
        detail=document["detail"],
        requires=tuple(document["requires"]),
        facts=tuple(Fact(object=fact[0], field=fact[1], value=fact[2]) for fact in document["facts"]),
        optional=document["optional"],
        undo_until=datetime.fromisoformat(document["undo_until"]) if document["undo_until"] else None,
    )
