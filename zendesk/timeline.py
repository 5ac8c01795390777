"""How does the billing history of a customer look as lanes on one time axis?

From the card's `billing_state` to positions in percent of the width and texts; the template only draws. One lane is
one subscription. Nothing here depends on the width, except which labels would collide on the narrowest panel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup

from zendesk.marks import Bar, Mark, Row, Window, bar, merged, placed, ticks, window_of
from zendesk.wording import Wording, moment

LANES = 5
TABLE_ROWS = 12
_LIVE = frozenset({"active", "trialing", "past_due", "unpaid", "paused", "incomplete"})
_PROBLEM = frozenset({"past_due", "unpaid", "incomplete", "paused"})
_TONES = {
    "active": "success",
    "trialing": "info",
    "past_due": "danger",
    "unpaid": "danger",
    "incomplete": "warning",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    name: str
    tag: Markup | None
    tone: str
    price: str
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]
    says: Markup

    @property
    def labelled(self) -> bool:
        return any(mark.label for mark in self.marks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the table."""

    date: str
    name: str
    what: Markup
    amount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    lanes: tuple[Lane, ...]
    more: int
    ticks: tuple[tuple[float, str], ...]
    today: float
    legend: tuple[tuple[str, Markup], ...]
    summary: Markup
    table: tuple[Entry, ...]
    earlier: int


def timeline(state: Mapping[str, Any], now: datetime, say: Wording) -> Timeline | None:
    """The drawing for a card's `billing_state`; None when there is neither a subscription nor a charge."""
    subscriptions: list[Row] = list(state.get("subscriptions") or ())
    charges: list[Row] = list(state.get("charges") or ())
    if not subscriptions and not charges:
        return None
    history = _History(state, say, now)
    window = window_of(subscriptions, charges, now)
    shown = sorted(subscriptions, key=lambda sub: (_rank(sub, history), str(sub.get("created") or "")))
    kept = sorted(shown[:LANES], key=lambda sub: (sub.get("role") == "extra", str(sub.get("created") or "")))
    lanes = [history.lane(sub, window) for sub in kept]
    loose = history.loose()
    if loose and len(lanes) < LANES:
        lanes.append(history.loose_lane(loose, window))
    entries = history.table()
    kinds = {mark.kind for lane in lanes for mark in lane.marks}
    legend = tuple(
        (kind, history.word(kind)) for kind in ("paid", "fail", "back", "disp", "next", "end") if kind in kinds
    )
    today = window.percent(now)
    head = say("timeline.several", n=len(subscriptions)) if subscriptions else Markup("")
    return Timeline(
        lanes=tuple(lanes),
        more=max(0, len(subscriptions) - LANES),
        ticks=tuple(ticks(window, today, say)),
        today=today,
        legend=legend,
        summary=Markup(" ").join(part for part in (head, *(lane.says for lane in lanes)) if part),
        table=tuple(entries[:TABLE_ROWS]),
        earlier=max(0, len(entries) - TABLE_ROWS),
    )


def interval_name(sub: Row, say: Wording) -> Markup:
    """`monthly`, `every 3 months`; empty when the subscription names no interval."""
    return _by_interval("interval", sub, say)


def price(sub: Row, say: Wording) -> str:
    """`$29.00 / mo`, `3 × $29.00 / mo`; empty when the amount is not known."""
    amount, currency = sub.get("amount"), sub.get("currency")
    if not isinstance(amount, int) or not currency:
        return ""
    quantity = sub.get("quantity") or 1
    even = quantity > 1 and amount % quantity == 0  # the amount is the total of all items
    shown = f"{quantity} × {say.money(amount // quantity, currency)}" if even else say.money(amount, currency)
    return str(_by_interval("per", sub, say, amount=shown) or shown)


def _by_interval(family: str, sub: Row, say: Wording, **values: object) -> Markup:
    interval, count = sub.get("interval"), sub.get("interval_count") or 1
    if interval not in {"day", "week", "month", "year"}:
        return Markup("")
    return say(f"{family}.{interval}_n", n=count, **values) if count > 1 else say(f"{family}.{interval}", **values)


def _rank(sub: Row, history: _History) -> int:
    """Problem lanes come first when not all fit."""
    if sub.get("role") == "extra" or sub.get("status") in _PROBLEM or history.disputed(sub):
        return 0
    return 1 if sub.get("status") in _LIVE else 2


class _History:
    """The rows of a billing state, joined for drawing."""

    def __init__(self, state: Mapping[str, Any], say: Wording, now: datetime) -> None:
        self._say, self._now = say, now
        self._subscriptions: list[Row] = list(state.get("subscriptions") or ())
        self._invoices: list[Row] = list(state.get("invoices") or ())
        self._charges: list[Row] = list(state.get("charges") or ())
        self._refunds: list[Row] = list(state.get("refunds") or ())
        self._disputes = {row.get("charge"): row for row in state.get("disputes") or ()}
        self._owner = {row.get("id"): row.get("subscription") for row in self._invoices}
        self._several = len({row.get("customer") for row in self._subscriptions}) > 1

    def lane(self, sub: Row, window: Window) -> Lane:
        charges = [row for row in self._charges if self._subscription(row) == sub.get("id")]
        marks = self._happened(charges, window) + self._coming(sub, window)
        tag, tone = self._tag(sub)
        name, cost = self._name(sub), price(sub, self._say)
        says = [self._say("timeline.lane", name=name, status=tag, price=cost or "–"), *self._sentences(marks)]
        bars, shown = self._bars(sub, window), placed(merged(marks, self._say))
        return Lane(name=name, tag=tag, tone=tone, price=cost, bars=bars, marks=shown, says=Markup(" ").join(says))

    def loose(self) -> list[Row]:
        """Charges which belong to none of the subscriptions."""
        known = {row.get("id") for row in self._subscriptions}
        return [row for row in self._charges if self._subscription(row) not in known]

    def loose_lane(self, charges: Sequence[Row], window: Window) -> Lane:
        marks = self._happened(charges, window)
        name = str(self._say("timeline.one_off"))
        says = [self._say("timeline.lane_plain", name=name), *self._sentences(marks)]
        shown = placed(merged(marks, self._say))
        return Lane(name=name, tag=None, tone="", price="", bars=(), marks=shown, says=Markup(" ").join(says))

    def disputed(self, sub: Row) -> bool:
        return any(self._disputed(row) for row in self._charges if self._subscription(row) == sub.get("id"))

    def word(self, kind: str) -> Markup:
        retry = kind == "next" and any(row.get("next_payment_attempt") for row in self._invoices)
        return self._say("mark.retry" if retry else f"mark.{kind}")

    def table(self) -> list[Entry]:
        """Every charge, refund and planned charge, newest first."""
        say, rows = self._say, list[tuple[datetime, Entry]]()
        names = {sub.get("id"): self._name(sub, long=True) for sub in self._subscriptions}
        for row in self._charges:
            if at := moment(row.get("created")):
                name = names.get(self._subscription(row), str(say("timeline.one_off")))
                what = self._outcome(row)
                rows.append((at, Entry(date=say.date(at), name=name, what=what, amount=self._amount(row))))
        for row in self._refunds:
            if at := moment(row.get("created")):
                amount = say.money(-row["amount"], row["currency"]) if _priced(row) else ""
                rows.append((at, Entry(date=say.date(at), name="", what=say("mark.back"), amount=amount)))
        for sub in self._subscriptions:
            for mark in self._coming(sub, None):
                if mark.kind == "next":
                    entry = Entry(
                        date=say.date(mark.at),
                        name=names[sub.get("id")],
                        what=say("mark.next"),
                        amount=self._amount(sub),
                    )
                    rows.append((mark.at, entry))
        return [entry for _, entry in sorted(rows, key=lambda pair: pair[0], reverse=True)]

    def _subscription(self, charge: Row) -> Any:
        return charge.get("subscription") or self._owner.get(charge.get("invoice"))

    def _disputed(self, charge: Row) -> bool:
        return bool(charge.get("disputed")) or charge.get("id") in self._disputes

    def _amount(self, row: Row) -> str:
        return self._say.money(row["amount"], row["currency"]) if _priced(row) else ""

    def _name(self, sub: Row, *, long: bool = False) -> str:
        product = str(sub.get("product_name") or self._say("timeline.plan"))
        if self._several and sub.get("customer_name"):
            return str(sub["customer_name"])
        interval = interval_name(sub, self._say)
        name = str(self._say("timeline.named", name=product, interval=interval).unescape()) if interval else product
        return f"{name} ({self._say('mark.extra')})" if long and sub.get("role") == "extra" else name

    def _tag(self, sub: Row) -> tuple[Markup, str]:
        say, status = self._say, str(sub.get("status") or "")
        if self.disputed(sub):
            return say("sub.disputed"), "danger"
        if sub.get("role") == "extra" and status == "active":
            return say("sub.active_extra"), "warning"
        ends = moment(sub.get("cancel_at")) or (
            moment(sub.get("current_period_end")) if sub.get("cancel_at_period_end") else None
        )
        if status in {"active", "trialing"} and ends:
            return say("sub.ending", date=say.date(ends)), ""
        return say.known("sub", status), _TONES.get(status, "")

    def _outcome(self, charge: Row) -> Markup:
        if self._disputed(charge):
            return self._say("mark.disp")
        status = charge.get("status")
        if status == "failed":
            return self._say("mark.fail")
        if status == "pending" or charge.get("captured") is False:
            return self._say("mark.pending")
        refunded = charge.get("amount_refunded") or 0
        return self._say("mark.back" if refunded and refunded >= (charge.get("amount") or 0) else "mark.paid")

    def _happened(self, charges: Sequence[Row], window: Window) -> list[Mark]:
        marks = []
        for row in charges:
            at = moment(row.get("created"))
            if at is None or not window.holds(at):
                continue
            kind, label = "paid", ""
            if self._disputed(row):
                opened = self._opened(row, window)
                marks += opened
                if not opened:
                    kind, label = "disp", str(self._say("timeline.disputed_label", date=self._say.date(at)))
            elif row.get("status") == "failed":
                kind, label = "fail", self._say.date(at)
            elif row.get("status") == "pending" or row.get("captured") is False:
                kind = "next"
            affected = bool(row.get("affected"))
            contested = self._disputed(row) and kind == "paid"
            if contested or (affected and kind in {"paid", "next"}):
                label = str(self._say("timeline.label", amount=self._amount(row), date=self._say.date(at)))
            strong = bool(label) and not contested
            marks.append(Mark(kind=kind, at=at, x=window.percent(at), label=label, strong=strong, halo=affected))
        return marks + self._returned({row.get("id") for row in charges}, window)

    def _opened(self, charge: Row, window: Window) -> list[Mark]:
        """When the charge's dispute was opened; none where that is not known or not in the window."""
        at = moment((self._disputes.get(charge.get("id")) or {}).get("created"))
        if at is None or not window.holds(at):
            return []
        label = str(self._say("timeline.dispute_label", date=self._say.date(at)))
        return [Mark(kind="disp", at=at, x=window.percent(at), label=label, strong=True)]

    def _returned(self, charges: set[Any], window: Window) -> list[Mark]:
        marks = []
        for row in self._refunds:
            at = moment(row.get("created"))
            if row.get("charge") in charges and at is not None and window.holds(at):
                amount = self._say.money(-row["amount"], row["currency"]) if _priced(row) else ""
                label = str(self._say("timeline.label", amount=amount, date=self._say.date(at)))
                marks.append(Mark(kind="back", at=at, x=window.percent(at), label=label, strong=True))
        return marks

    def _coming(self, sub: Row, window: Window | None) -> list[Mark]:
        """The next charge or try, and the end; for the table (`window` None) the next charge only."""
        status, ends = sub.get("status"), moment(sub.get("ended_at")) or moment(sub.get("cancel_at"))
        if ends is None and sub.get("cancel_at_period_end"):
            ends = moment(sub.get("current_period_end"))
        following = moment(sub.get("current_period_end"))
        if status in {"past_due", "unpaid", "incomplete"}:
            tries = [
                row.get("next_payment_attempt") for row in self._invoices if row.get("subscription") == sub.get("id")
            ]
            following = min((at for value in tries if (at := moment(value))), default=None)
        found = []
        if ends is not None:
            found.append(("end", ends))
        elif status in _LIVE - {"paused"} and following and following > self._now:
            found.append(("next", following))
        return [
            Mark(kind=kind, at=at, x=window.percent(at) if window else 0.0)
            for kind, at in found
            if window is None or window.holds(at)
        ]

    def _bars(self, sub: Row, window: Window) -> tuple[Bar, ...]:
        status, now = sub.get("status"), window.now
        begin = moment(sub.get("created")) or moment(sub.get("current_period_start")) or window.start
        ended = moment(sub.get("ended_at")) or (moment(sub.get("canceled_at")) if status == "canceled" else None)
        until = min(ended or now, now)
        warn = sub.get("role") == "extra"
        bars: list[Bar] = []
        trial = moment(sub.get("trial_end"))
        if trial and trial > begin:
            bars += bar("bar--off", begin, min(trial, until), window)
            begin = min(trial, until)
        unpaid = self._unpaid_since(sub) if status in {"past_due", "unpaid"} else None
        css = "bar--warn" if warn else "bar--off" if status in {"paused", "incomplete", "incomplete_expired"} else "bar"
        bars += bar(css, begin, min(unpaid or until, until), window, hatched=warn)
        if unpaid:
            bars += bar("bar--bad", unpaid, until, window, hatched=True)
        if ended is None and status in _LIVE:
            stops = moment(sub.get("cancel_at"))
            if stops is None and sub.get("cancel_at_period_end"):
                stops = moment(sub.get("current_period_end"))
            bars += bar("bar--warn-next" if warn else "bar--next", now, min(stops or window.end, window.end), window)
        return tuple(bars)

    def _unpaid_since(self, sub: Row) -> datetime | None:
        opened = [
            at
            for row in self._invoices
            if row.get("subscription") == sub.get("id") and row.get("status") in {"open", "uncollectible"}
            if (at := moment(row.get("created")))
        ]
        return min(opened, default=moment(sub.get("current_period_start")))

    def _sentences(self, marks: Sequence[Mark]) -> list[Markup]:
        say = self._say
        retry = any(row.get("next_payment_attempt") for row in self._invoices)
        kinds = {
            "paid": "paid_on",
            "fail": "failed_on",
            "disp": "disputed_on",
            "back": "refunded_on",
            "end": "ended_on",
        }
        kinds["next"] = "retry_on" if retry else "next_on"
        if any(moment(row.get("created")) for row in self._disputes.values()):
            kinds["disp"] = "dispute_on"
        said = []
        for kind, key in kinds.items():
            dates = [say.date(mark.at) for mark in sorted(marks, key=lambda mark: mark.at) if mark.kind == kind]
            if dates:
                said.append(say(f"timeline.{key}", dates=say.listed(dates)))
        return said


def _priced(row: Row) -> bool:
    return isinstance(row.get("amount"), int) and bool(row.get("currency"))
