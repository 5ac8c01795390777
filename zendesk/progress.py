"""What does the card say once a plan is approved? The same list of steps in its other two tenses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup

from billing.plan import TELLING
from zendesk.sections import (
    GIVES_BACK,
    Card,
    Chip,
    PlanStep,
    Row,
    currency_of,
    effects,
    first_name,
    moved_by,
    part,
    plan_steps,
    revenue,
    rows,
)
from zendesk.wording import LANGUAGES, Wording, moment

RUNNING = frozenset({"holding", "applying"})
MODES: Mapping[str, str] = {
    "pending": "wait",
    "holding": "hold",
    "sending": "run",
    "done": "done",
    "refused": "fail",
    "unknown": "unknown",
    "skipped": "skip",
    "canceled": "skip",
    "undone": "undone",
}
_ENDED = frozenset({"done", "stopped", "partly_done", "needs_person"})
_PATIENCE = timedelta(seconds=20)  # how long GitHub may take before the card says that it is waited for
_OVER = frozenset({"stopped", "partly_done", "needs_person"})
_STOPPED_BY = frozenset({"stopped_by_agent", "canceled", "stopped"})
_DRY_RUN = "dry_run"
_VERBS = {"schedule_cancellation": "put_back", "file_issue": "remove"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    id: str
    number: int
    mode: str
    title: str
    amount: str
    detail: str
    receipt: str
    chips: tuple[Chip, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    step: str
    title: str
    when: Markup
    verb: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    seconds: int
    total: int
    refund: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One approval as the agent sees it. `stage`: waiting, running, hold, done or stopped.

    `by_agent`: an agent stopped it and nothing failed. `filing`: empty, or whether the issue is filed `now` or `later`.
    """

    id: str
    stage: str
    tag: tuple[str, Markup]
    headline: Markup
    lede: Markup
    head: Markup
    meta: Markup | str
    effects: list[tuple[Markup, Markup | str]]
    steps: tuple[Step, ...]
    undo: tuple[Undo, ...]
    hold: Hold | None
    alerts: tuple[Markup, ...]
    by_agent: bool
    filing: str
    reply: Mapping[str, Any]


def run(card: Card, say: Wording) -> Run:
    approval, state = part(card, "approval"), str(part(card, "approval").get("state") or "applying")
    planned = plan_steps(card, say)
    states = {row.get("id"): row for row in rows(approval, "steps")}
    source = {str(row.get("id")): row for row in rows(part(card, "plan"), "steps")}
    filing = _filing(approval, say.now)
    steps = tuple(_step(step, source.get(step.id, {}), states.get(step.id), say, state, filing) for step in planned)
    hold = _hold(card, approval, steps, say.now) if state in RUNNING else None
    stage = "waiting" if state == "waiting_second" else "hold" if hold else "running" if state in RUNNING else "stopped"
    stage = "done" if state == "done" else stage
    dry = approval.get("reason") == _DRY_RUN
    done = sum(step.mode in {"done", "undone"} for step in steps)
    troubled = next((step for step in steps if step.mode in {"fail", "unknown"}), None)
    why = {approval["reason"]} if approval.get("reason") else {row.get("reason") for row in states.values()}
    by_agent = stage == "stopped" and troubled is None and bool(why & _STOPPED_BY)
    return Run(
        id=str(approval.get("id") or ""),
        stage=stage,
        tag=("info", say("stage.dry_run")) if dry else _tag(state, stage, by_agent, say),
        headline=say("dry_run.title") if dry else _headline(approval, stage, troubled, by_agent, say),
        lede=_would(source, states, say) if dry else _lede(card, approval, stage, done, hold, say),
        head=say("dry_run.head") if dry else say(f"head.{ {'hold': 'running'}.get(stage, stage) }"),
        meta=_meta(approval, stage, steps, done, say),
        effects=_effects(card, approval, stage, done, len(steps), say),
        steps=steps,
        undo=_undo(approval, source, steps, say) if stage in {"done", "stopped"} else (),
        hold=hold,
        alerts=() if dry or stage != "stopped" else tuple(_alerts(approval, steps, states, by_agent, say)),
        by_agent=by_agent,
        filing=filing,
        reply=part(approval, "reply"),
    )


def moved(approval: Mapping[str, Any], say: Wording) -> str:
    """What money moved, as an amount; empty when none did."""
    return say.moneys(approval.get("money_moved"))


def _filing(approval: Mapping[str, Any], now: datetime) -> str:
    """GitHub has its own time: an approval ends without it."""
    open_now = {"pending", "sending", "unknown"}
    row = next((x for x in rows(approval, "steps") if x.get("kind") == "file_issue" and x.get("state") in open_now), {})
    if not row or approval.get("state") not in _ENDED:
        return ""
    ended = moment(approval.get("finished_at")) or now
    return "later" if row.get("reason") == "github_no_answer" or now - ended > _PATIENCE else "now"


def _step(step: PlanStep, source: Row, state: Row | None, say: Wording, approval: str, filing: str) -> Step:
    mode = MODES.get(str((state or {}).get("state") or ("skipped" if state is None else "unknown")), "unknown")
    if (state or {}).get("reason") == _DRY_RUN:
        mode = "would"
    if approval == "waiting_second" and state is None:
        mode = "wait"
    if filing == "later" and step.kind == "file_issue":
        mode = "later"
    receipt = part(state or {}, "receipt")
    title = {"done": source.get("done"), "run": source.get("running")}.get(mode) or step.title
    detail = {
        "run": say("run.confirming") if source.get("object") else "",
        "hold": step.detail,
        "unknown": say("run.unknown"),
        "wait": say("run.not_run") if approval in _OVER else "",
        "skip": say("run.skipped") if state is None or state.get("state") == "skipped" else say("run.canceled"),
        "would": say("run.dry_run"),
        "undone": say("run.undone"),
        "later": say("run.filed_later"),
        "done": receipt.get("says") or "",
        "fail": _sentence(_why(state or {}, say)) if (state or {}).get("says") else "",
    }.get(mode, "")
    shown = str(receipt.get("object") or "") if mode == "done" and step.amount else ""
    chips = tuple(_chips(mode, step, receipt, state or {}, say, approval))
    return Step(
        id=step.id,
        number=step.number,
        mode=mode,
        title=str(title),
        amount=step.amount,
        detail=detail.unescape() if isinstance(detail, Markup) else str(detail),
        receipt=shown,
        chips=chips,
    )


def _why(state: Row, say: Wording) -> Markup | str:
    """Why a step did not happen: the sentence that came with it, or in another language that of its code."""
    says, code = str(state.get("says") or ""), state.get("reason") or "refused"
    return says if says and (say.lang == LANGUAGES[0] or not say.has(f"reason.{code}")) else say.known("reason", code)


def _ended(words: Markup | str) -> str:
    """A clause of the catalogue at the end of a sentence, or one of the core's sentences as it is."""
    text = words.unescape() if isinstance(words, Markup) else words
    return text if text.endswith(".") else text + "."


def _sentence(words: Markup | str) -> str:
    """A clause of the catalogue standing alone: capital and full stop."""
    text = _ended(words)
    return text[:1].upper() + text[1:]


def _chips(mode: str, step: PlanStep, receipt: Row, state: Row, say: Wording, approval: str) -> list[Chip]:
    chips = []
    if mode == "done" and receipt.get("at") and approval != "done":
        chips.append(Chip(kind="ok", says=say.time(receipt["at"], seconds=True)))
    if mode == "fail":
        at = say.time(receipt.get("at") or state.get("at"), seconds=True)
        chips.append(Chip(kind="bad", says=say("run.refused", time=at) if at else say("run.refused_any")))
    if mode == "wait" and step.final:
        chips.append(Chip(kind="final", says=say("plan.final")))
    if mode == "done" and approval != "done":
        chips += [chip for chip in step.chips if chip.kind == "undo" and step.kind != "create_portal_session"]
    return chips


def _hold(card: Card, approval: Mapping[str, Any], steps: Sequence[Step], now: datetime) -> Hold | None:
    until = moment(approval.get("hold_until"))
    held = [step for step in steps if step.mode == "hold"]
    if until is None or not (held or approval.get("state") == "holding"):
        return None
    seconds = max(0, math.ceil((until - now).total_seconds()))
    total = max(int(part(card, "plan").get("hold_seconds") or 10), seconds, 1)
    kinds = {row.get("id"): row.get("kind") for row in rows(part(card, "plan"), "steps")}
    refund = bool(held) and kinds.get(held[0].id) == "refund_charge"
    return Hold(seconds=seconds, total=total, refund=refund)


def _tag(state: str, stage: str, by_agent: bool, say: Wording) -> tuple[str, Markup]:
    if state == "needs_person":
        return "danger", say("stage.person")
    if state == "partly_done" or by_agent:
        return "warning", say("stage.stopped" if by_agent else "stage.partly")
    tones = {"waiting": "warning", "running": "info", "hold": "info", "done": "success", "stopped": "danger"}
    return tones[stage], say(f"stage.{'running' if stage == 'hold' else stage}")


def _headline(approval: Mapping[str, Any], stage: str, troubled: Step | None, by_agent: bool, say: Wording) -> Markup:
    if stage == "waiting":
        return say("second.title")
    if stage in {"running", "hold"}:
        return say("run.fixing")
    if stage == "done":
        begin, end = moment(approval.get("at")), moment(approval.get("finished_at"))
        if begin and end and 0 <= (end - begin).total_seconds() < 120:
            return say("done.in_seconds", n=max(1, round((end - begin).total_seconds())))
        return say("done.plain")
    if troubled is None:
        return say("stopped.by_agent" if by_agent else "stopped.you")
    if troubled.mode == "unknown":
        return say("stopped.unknown_at", n=troubled.number)
    return say("stopped.person_at" if approval.get("state") == "needs_person" else "stopped.at", n=troubled.number)


def _lede(card: Card, approval: Mapping[str, Any], stage: str, done: int, hold: Hold | None, say: Wording) -> Markup:
    amount, name = moved(approval, say), first_name(card)
    if stage == "waiting":
        return say("second.lede")
    if stage == "running":
        return say("run.first")
    if stage == "hold":
        return say("run.last_chance" if hold and hold.refund else "run.last_chance_final")
    if stage == "done":
        refund = any(step.get("kind") == "refund_charge" for step in rows(part(card, "plan"), "steps"))
        pending = say.moneys(approval.get("money_pending"))
        if pending and not amount:
            return say("done.pending", amount=pending)
        if not amount:
            return say("done.no_money")
        if not refund:
            return say("done.moved", amount=amount)
        return say("done.refunded", name=name, amount=amount) if name else say("done.refunded_any", amount=amount)
    count = say("stopped.steps", n=done) if done else say("stopped.none")
    money = say("stopped.moved", amount=amount) if amount else say("stopped.no_money")
    kept = part(approval, "reply").get("state") == "waiting"
    return Markup(" ").join([count, money, *([say("stopped.reply_kept")] if kept else [])])


def _would(source: Mapping[str, Row], states: Mapping[Any, Row], say: Wording) -> Markup:
    """Dry run: what the approved steps would have moved."""
    chosen = [row for key, row in source.items() if (states.get(key) or {}).get("reason") == _DRY_RUN]
    moving = [row for row in chosen if isinstance(row.get("amount"), int)]
    if not moving:
        return say("dry_run.none")
    kinds = frozenset(str(row.get("kind")) for row in moving)
    return say("dry_run.refund" if kinds <= GIVES_BACK else "dry_run.money", amount=say.moneys(moved_by(moving, kinds)))


def _meta(approval: Mapping[str, Any], stage: str, steps: Sequence[Step], done: int, say: Wording) -> Markup | str:
    if stage in {"running", "hold"}:
        return say("run.meta", done=min(done + 1, len(steps)), total=len(steps))
    at = say.time(approval.get("finished_at") or approval.get("at"))
    by = str(approval.get("by") or "")
    return say("run.by", time=at, name=by) if at and by else at


def _effects(
    card: Card, approval: Mapping[str, Any], stage: str, done: int, total: int, say: Wording
) -> list[tuple[Markup, Markup | str]]:
    planned = effects(card, say)
    amount = moved(approval, say) or say.money(0, currency_of(card))
    if stage == "done":
        return [(say("effect.refunded"), amount), (say("effect.revenue"), revenue(card, say)), planned[2]]
    if stage == "stopped":
        count = say("effect.steps", done=done, total=total)
        return [(say("effect.refunded"), amount), (say("effect.steps_done"), count), planned[2]]
    return planned


def _undo(
    approval: Mapping[str, Any], source: Mapping[str, Row], steps: Sequence[Step], say: Wording
) -> tuple[Undo, ...]:
    allowed = {row.get("id") for row in rows(approval, "steps") if row.get("undoable") and row.get("state") == "done"}
    found = []
    for step in steps:
        if step.id in allowed:
            row = source.get(step.id, {})
            until = say.date(row.get("undo_until"))
            when = say("undo.until", date=until) if until else say("undo.any_time")
            verb = say(f"undo.{_VERBS.get(str(row.get('kind')), 'button')}")
            found.append(Undo(step=step.id, title=step.title, when=when, verb=verb))
    return tuple(found)


def _alerts(
    approval: Mapping[str, Any], steps: Sequence[Step], states: Mapping[Any, Row], by_agent: bool, say: Wording
) -> list[Markup]:
    alerts = []
    for step in steps:
        state = states.get(step.id) or {}
        if step.mode == "unknown":
            alerts.append(say("stopped.alert_unknown", n=step.number))
        elif step.mode == "fail":
            alerts.append(say("stopped.alert", n=step.number, why=_ended(_why(state, say))))
    if by_agent:
        stands = any(step.mode in {"done", "undone"} for step in steps)
        alerts.append(say("stopped.alert_by_agent" if stands else "stopped.alert_by_agent_none"))
    elif not alerts and approval.get("reason"):
        alerts.append(say("stopped.alert_why", why=_sentence(_why(approval, say))))
    elif not alerts:
        alerts.append(say("stopped.alert_stopped_by"))
    return alerts


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What was done on this ticket before the customer wrote again: a line, and each step with amount and receipt."""

    head: Markup
    steps: tuple[tuple[str, str, str], ...]


def earlier(card: Card, say: Wording) -> Earlier | None:
    past = part(card, "earlier")
    if not past:
        return None
    at, by, amount = say.time(past.get("finished_at")), str(past.get("by") or ""), moved(past, say)
    return Earlier(
        head=say("earlier.money", amount=amount, time=at, name=by)
        if amount
        else say("earlier.plain", time=at, name=by),
        steps=tuple(
            (
                str(row.get("done") or row.get("title")),
                say.money(row["amount"], row["currency"]) if isinstance(row.get("amount"), int) else "",
                str(row.get("receipt") or "") if row.get("amount") else "",
            )
            for row in sorted(rows(past, "steps"), key=lambda row: row.get("kind") in TELLING)
        ),
    )
