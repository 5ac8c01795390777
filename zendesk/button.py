"""What does the approve button say, and what does it say when steps are left out? It always names the money."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from markupsafe import Markup

from billing.money import Money
from billing.steps import KINDS
from zendesk.sections import (
    CHARGES,
    GIVES_BACK,
    Card,
    PlanStep,
    Row,
    currency_of,
    first_name,
    moved_by,
    needs_person,
    part,
    plan_steps,
    rows,
)
from zendesk.wording import Wording

_MOST_CHOICES = 5  # steps that can be left out one by one; the button has a text for each choice among them


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """The main button. `texts` is JSON for the page: what is said when steps are skipped, by the weighty steps kept."""

    label: Markup
    texts: str
    note: Markup
    confirm: str
    symbol: str
    ready: bool


def approval_button(card: Card, say: Wording, ready: bool) -> Approval:
    """The button that names the money, and the line under it."""
    steps = plan_steps(card, say)
    weighty = [step for step in steps if step.weighty]
    free = [step for step in weighty if step.optional]
    chosen = {}
    for size in range(len(free) + 1 if len(free) <= _MOST_CHOICES else 1):
        for gone in combinations(free, size):
            kept = [step for step in steps if step not in gone]
            chosen[",".join(step.id for step in weighty if step in kept)] = _texts(card, kept, say)
    counts = [str(_steps_label(card, n, say).unescape()) for n in range(len(steps) + 1)]
    whole = chosen[",".join(step.id for step in weighty)]
    return Approval(
        label=Markup("{}").format(whole["go"] or counts[-1]),
        texts=json.dumps({"chosen": chosen, "count": counts}, ensure_ascii=False),
        note=_bar_note(card, steps, say),
        confirm=str(part(card, "plan").get("confirm") or ""),
        symbol=currency_of(card).upper(),
        ready=ready and bool(steps),
    )


def _texts(card: Card, kept: Sequence[PlanStep], say: Wording) -> dict[str, Any]:
    """What button, amount to type, note and total say when these steps are kept; `go` None: it counts the steps."""
    plan, ids = part(card, "plan"), {step.id for step in kept}
    source = [row for row in rows(plan, "steps") if row.get("id") in ids]
    money = [row for row in source if isinstance(row.get("amount"), int)]
    dry = dry_run(card)
    total = plan_total(card, say, source)
    return {
        "go": _money_label(money, say, bool(plan.get("second_approval")) and not dry, dry) if money else None,
        "type": _plain_total(moved_by(money, GIVES_BACK)),
        "note": str(_bar_note(card, kept, say).unescape()),
        "sum": [str(text) for text in total] if total else None,
    }


def plan_total(card: Card, say: Wording, steps: Sequence[Row]) -> tuple[Markup, str] | None:
    """The line under the steps that are kept; none when a person takes over."""
    if not steps or needs_person(card):
        return None
    refund, charged = moved_by(steps, GIVES_BACK), moved_by(steps, CHARGES)
    if refund:
        name = first_name(card)
        return (say("plan.gets", name=name) if name else say("plan.gets_any")), say.moneys(refund)
    if charged:
        return say("plan.charged"), say.moneys(charged)
    moving = [step for step in steps if isinstance(step.get("amount"), int)]
    return None if moving else (say("plan.total"), say.money(0, currency_of(card)))


def dry_run(card: Card) -> bool:
    """Whether approving is recorded only."""
    return bool(part(card, "integrations").get("dry_run"))


def money_label(card: Card, say: Wording) -> str:
    """What the button for the entire plan says, without any word about a second person."""
    steps = rows(part(card, "plan"), "steps")
    moving = [step for step in steps if isinstance(step.get("amount"), int)]
    return _money_label(moving, say, False) if moving else str(_steps_label(card, len(steps), say).unescape())


def _plain_total(sums: Mapping[str, int]) -> str:
    return f"{Money(*next((a, c) for c, a in sums.items())).decimal:f}" if len(sums) == 1 else ""


def _money_label(chosen: Sequence[Row], say: Wording, second: bool, dry: bool = False) -> str:
    refund, charged = moved_by(chosen, GIVES_BACK), moved_by(chosen, CHARGES)
    kinds, verb = {row.get("kind") for row in chosen}, "would" if dry else "approve"
    if kinds <= GIVES_BACK:
        label = say(f"bar.{verb}_refund", amount=say.moneys(refund))
    elif kinds <= CHARGES:
        label = say(f"bar.{verb}_charge", amount=say.moneys(charged))
    else:
        label = say(f"bar.{verb}_money", amount=" + ".join(say.money(row["amount"], row["currency"]) for row in chosen))
    return str((say("bar.ask_second", label=label) if second else label).unescape())


def _steps_label(card: Card, n: int, say: Wording) -> Markup:
    steps = rows(part(card, "plan"), "steps")
    moves = any(KINDS[step["kind"]].moves for step in steps if step.get("kind") in KINDS)
    handed = next((step for step in steps if step.get("kind") == "hand_over"), None)
    if handed and not moves:  # a write never hides behind a name
        return Markup("{}").format(handed.get("title") or say("bar.hand_over"))
    return say("bar.would" if dry_run(card) else "bar.approve", n=n)


def _bar_note(card: Card, steps: Sequence[PlanStep], say: Wording) -> Markup:
    plan = part(card, "plan")
    if dry_run(card):
        return say("bar.dry_run")
    finals = [str(step.number) for step in steps if step.final]
    if plan.get("second_approval") and any(step.amount for step in steps):
        return say("bar.second")
    if finals:
        hold = plan.get("hold_seconds") or 0
        key = "bar.final" if hold else "bar.final_now"
        return say(key, n=len(finals), steps=say.listed(finals), hold=hold)
    return say("bar.no_money") if part(card, "follow_up").get("body") else say("bar.no_money_plain")
