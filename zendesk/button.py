"""What does the approve button say, and what does it say when steps are left out? It always names the money."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from markupsafe import Markup

from billing.money import Money
from billing.steps import KINDS
from zendesk.sections import CHARGES, GIVES_BACK, Card, PlanStep, Row, currency_of, moved_by, part, plan_steps, rows
from zendesk.wording import Wording


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """The main button. `labels` is JSON for the page: what it says when steps are skipped, by chosen money steps."""

    label: Markup
    labels: str
    note: Markup
    confirm: str
    symbol: str
    ready: bool


def approval_button(card: Card, say: Wording, ready: bool) -> Approval:
    """The button that names the money, and the line under it."""
    plan = part(card, "plan")
    steps = plan_steps(card, say)
    source = {str(row.get("id")): row for row in rows(plan, "steps")}
    money = [step.id for step in steps if step.amount]
    dry = dry_run(card)
    second = bool(plan.get("second_approval")) and not dry
    optional = [step.id for step in steps if step.amount and step.optional]
    variants = {}
    for size in range(len(optional) + 1 if len(optional) <= 4 else 1):
        for gone in combinations(optional, size):
            kept = [step_id for step_id in money if step_id not in gone]
            chosen = [source[step_id] for step_id in kept]
            if kept:
                refund = moved_by(chosen, GIVES_BACK)
                variants[",".join(kept)] = [_money_label(chosen, say, second, dry), _plain_total(refund)]
    counts = [_steps_label(card, n, say) for n in range(len(steps) + 1)]
    label = Markup("{}").format(variants[",".join(money)][0]) if money else counts[-1]
    confirm = str(plan.get("confirm") or "")
    return Approval(
        label=label,
        labels=json.dumps({"money": variants, "count": [str(text) for text in counts]}, ensure_ascii=False),
        note=_bar_note(card, steps, say),
        confirm=confirm,
        symbol=currency_of(card).upper(),
        ready=ready and bool(steps),
    )


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
    if plan.get("second_approval"):
        return say("bar.second")
    if finals:
        hold = plan.get("hold_seconds") or 0
        key = "bar.final" if hold else "bar.final_now"
        return say(key, n=len(finals), steps=say.listed(finals), hold=hold)
    return say("bar.no_money") if part(card, "follow_up").get("body") else say("bar.no_money_plain")
