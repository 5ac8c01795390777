"""What did a reversible step find, and which change puts exactly that back?

The state before is read by the step itself and kept by the caller before the first byte leaves. It is put back only
where the object still stands as the step left it: what somebody else decided since is not overwritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from billing import steps
from billing.steps import Step
from integrations.stripe_wire import ENDED, No, StripeWire, Written, ours, status_of, written

Before = Mapping[str, Any]
UNDOABLE = (
    steps.ScheduleCancellation
    | steps.UndoCancellation
    | steps.PauseCollection
    | steps.ResumeCollection
    | steps.HoldInvoice
)


def before_of(step: Step, current: Any) -> Before | None:
    """The fields that the step is about to change, as they are; None for a step that cannot be taken back."""
    match step:
        case steps.ScheduleCancellation() | steps.UndoCancellation():
            ends = getattr(current, "cancel_at", None)
            stops = getattr(current, "cancel_at_period_end", None) is True
            return {"cancel_at_period_end": stops, "cancel_at": ends if isinstance(ends, int) else None}
        case steps.PauseCollection() | steps.ResumeCollection():
            pause = getattr(current, "pause_collection", None)
            kept = {name: getattr(pause, name, None) for name in ("behavior", "resumes_at")}
            return {"pause_collection": kept if pause is not None else None}
        case steps.HoldInvoice():
            return {"auto_advance": getattr(current, "auto_advance", None) is True}
        case _:
            return None


def put_back(
    wire: StripeWire, step: Step, before: Before, marks: dict[str, str], options: dict[str, Any], now: datetime
) -> Written:  # fmt: skip
    """Restore the state before the step. Raises No with the reason why it cannot be, and OutsideError."""
    if not isinstance(step, UNDOABLE):
        raise No("not_reversible")
    current = _current(wire, step)
    if before_of(step, current) == before:
        return written(current)  # as before already; perhaps by this very call, with the answer lost
    if not _as_left(step, current):
        raise No("changed_since")
    params = {"metadata": marks, **_params(step, before, now)}
    if isinstance(step, steps.HoldInvoice):
        return wire.one("POST", "/v1/invoices/{id}", wire.v1.invoices.update, step.invoice, params, options)
    return wire.one("POST", "/v1/subscriptions/{id}", wire.v1.subscriptions.update, step.subscription, params, options)


def find_put_back(wire: StripeWire, step: Step, action: str) -> Written | None:
    """An earlier `put_back` of this action, by our metadata. Raises OutsideError."""
    return ours([_read(wire, step)], action) if isinstance(step, UNDOABLE) else None


def _read(wire: StripeWire, step: UNDOABLE) -> Any:
    return wire.invoice(step.invoice) if isinstance(step, steps.HoldInvoice) else wire.subscription(step.subscription)


def _current(wire: StripeWire, step: UNDOABLE) -> Any:
    current = _read(wire, step)
    if isinstance(step, steps.HoldInvoice):
        if status_of(current) not in {"draft", "open"}:
            raise No("invoice_not_open")
    elif status_of(current) in ENDED:
        raise No("already_canceled")
    elif getattr(current, "schedule", None):
        raise No("schedule_managed")
    return current


def _as_left(step: UNDOABLE, current: Any) -> bool:
    """Whether the object still stands as the step left it."""
    now = before_of(step, current) or {}
    match step:
        case steps.ScheduleCancellation():
            return now["cancel_at_period_end"] is True
        case steps.UndoCancellation():
            return now == {"cancel_at_period_end": False, "cancel_at": None}
        case steps.PauseCollection():
            return (now["pause_collection"] or {}).get("behavior") == step.behavior
        case steps.ResumeCollection():
            return now["pause_collection"] is None
        case steps.HoldInvoice():
            return now["auto_advance"] is False


def _params(step: UNDOABLE, before: Before, now: datetime) -> dict[str, Any]:
    if isinstance(step, steps.HoldInvoice):
        return {"auto_advance": before["auto_advance"]}
    if isinstance(step, steps.PauseCollection | steps.ResumeCollection):
        pause = before["pause_collection"]
        if pause is None:
            return {"pause_collection": ""}
        kept = {name: value for name, value in pause.items() if value is not None}
        _check_ahead(kept.get("resumes_at"), now)
        return {"pause_collection": kept}
    _check_ahead(before["cancel_at"], now)
    if before["cancel_at_period_end"]:
        return {"cancel_at_period_end": True}
    return {"cancel_at": before["cancel_at"]} if before["cancel_at"] else {"cancel_at_period_end": False}


def _check_ahead(moment: int | None, now: datetime) -> None:
    """A day that was to come and has passed cannot be put back: another one would be somebody's new decision."""
    if moment is not None and moment <= now.timestamp():
        raise No("date_passed")
