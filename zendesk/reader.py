"""For whom is this answer written? Language, time zone, and what a refused form said, from the request at hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask import request

_MOST_TYPED = 20_000


def reader_language(otherwise: str = "") -> str:
    """What the page asks for (the agent's Zendesk locale), else the given one; `wording.language` narrows it."""
    return request.headers.get("Accept-Language") or otherwise


def reader_zone() -> tzinfo:
    """The agent's own time zone, as the page names it; UTC for anything else."""
    name = request.headers.get("X-Time-Zone", "")
    try:
        return ZoneInfo(name) if 0 < len(name) < 64 else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def as_typed(document: Mapping[str, Any], code: str) -> dict[str, Any]:
    """A refused approval gives the agent's own words back; a new plan comes with its own reply."""
    body, reply = request.form.get("follow_up_body"), document.get("follow_up")
    if not body or not reply or code == "plan_changed" or len(body) > _MOST_TYPED:
        return {}
    return {"follow_up": {**reply, "body": body, "deliver": request.form.get("deliver")}}
