"""Where on the time axis does something stand, and which labels fit beside each other?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from zendesk.wording import Wording, moment

Row = Mapping[str, Any]
_NARROWEST = 288.0  # pixels of a lane in a 320 pixel panel
_LETTER = 6.0
_MERGE = 14.0  # failures nearer than this many pixels become one pill


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A stretch of time on a lane, `x` and `width` in percent."""

    css: str
    x: float
    width: float
    hatched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something that happened at one moment: `kind` names the drawing, `count` > 1 a pill of merged failures."""

    kind: str
    at: datetime
    x: float
    label: str = ""
    strong: bool = False
    halo: bool = False
    count: int = 1
    anchor: str = "middle"
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    start: datetime
    end: datetime
    now: datetime

    def percent(self, at: datetime) -> float:
        share = (at - self.start) / (self.end - self.start) * 100
        return round(min(100.0, max(0.0, share)), 2)

    def holds(self, at: datetime | None) -> bool:
        return at is not None and self.start <= at <= self.end


def window_of(subscriptions: Sequence[Row], charges: Sequence[Row], now: datetime) -> Window:
    """About three periods back and the next charge: ~100 days, up to 14 months for annual plans only."""
    yearly = bool(subscriptions) and all(sub.get("interval") == "year" for sub in subscriptions)
    back = timedelta(days=75)
    if yearly:
        seen = [at for row in charges if (at := moment(row.get("created"))) and now - at < timedelta(days=395)]
        back = max([back, *(now - at + timedelta(days=12) for at in seen)])
    start = (now - back).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    coming = [at for sub in subscriptions if (at := moment(sub.get("current_period_end"))) and at > now]
    near = [at for at in coming if at - now < timedelta(days=34)]
    ahead = max((at - now for at in near), default=timedelta(days=20)) + timedelta(days=4)
    return Window(start, now + max(ahead, (now - start) / 5), now)


def ticks(window: Window, today: float, say: Wording) -> list[tuple[float, str]]:
    """Month starts; a label is dropped when it would touch "Today" or the label before it."""
    at, found, last = window.start, [], -100.0
    while at <= window.end:
        x = window.percent(at)
        clear = x - today > 13 or today - x > 11
        label = say.month(at) if clear and x - last >= 12 and x < 96 else ""
        last = x if label else last
        found.append((x, label))
        at = (at.replace(day=1) + timedelta(days=32)).replace(day=1)
    return found


def bar(css: str, begin: datetime, end: datetime, window: Window, *, hatched: bool = False) -> list[Bar]:
    x, stop = window.percent(begin), window.percent(end)
    return [Bar(css=css, x=x, width=round(stop - x, 2), hatched=hatched)] if stop > x else []


def merged(marks: Sequence[Mark], say: Wording) -> list[Mark]:
    """Failures that would overlap become one pill with their number and days."""
    kept: list[Mark] = []
    days: list[datetime] = []
    before = 0.0
    for mark in sorted(marks, key=lambda mark: mark.at):
        last = kept[-1] if kept else None
        near = last is not None and (mark.x - before) / 100 * _NARROWEST < _MERGE
        before = mark.x
        if last is not None and near and last.kind == mark.kind == "fail":
            days.append(mark.at)
            label = ", ".join([*(f"{day.astimezone(say.zone).day}" for day in days[:-1]), say.date(days[-1])])
            x = round((kept[-1].x * last.count + mark.x) / (last.count + 1), 2)
            kept[-1] = replace(last, x=x, label=label, strong=True, count=last.count + 1, halo=last.halo or mark.halo)
            continue
        days = [mark.at]
        kept.append(mark)
    return kept


def placed(marks: Sequence[Mark]) -> tuple[Mark, ...]:
    """Labels kept from the edges, and dropped where they would overlap: strong ones first, then the later ones."""
    edged = []
    for mark in marks:
        half = (len(mark.label) * _LETTER / 2 + 2) / _NARROWEST * 100
        if mark.x < half:
            mark = replace(mark, anchor="start", shift=-min(7, int(mark.x / 100 * _NARROWEST)))
        elif mark.x > 100 - half:
            mark = replace(mark, anchor="end", shift=min(7, int((100 - mark.x) / 100 * _NARROWEST)))
        edged.append(mark)
    taken: list[tuple[float, float]] = []
    dropped = set()
    for mark in sorted((mark for mark in edged if mark.label), key=lambda mark: (not mark.strong, -mark.x)):
        width, center = len(mark.label) * _LETTER + 8, mark.x / 100 * _NARROWEST
        low = {"middle": center - width / 2, "start": center - 7, "end": center + 7 - width}[mark.anchor]
        if any(low < b and low + width > a for a, b in taken):
            dropped.add(mark)
        else:
            taken.append((low, low + width))
    return tuple(replace(mark, label="") if mark in dropped else mark for mark in edged)
