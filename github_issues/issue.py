"""What does the issue for a product gap say? Pure text: facts from our own records, never a customer's words.

Between the two markers stands the managed block, made anew each time; all else belongs to the people who read it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from billing.gap import CATALOGUE, QUIET
from billing.money import Money
from github_issues.outgoing import fenced, scrubbed
from github_issues.seeing import STEPS

BEGIN, END = "<!-- billing-desk:begin -->", "<!-- billing-desk:end -->"
LATEST = 10
MILESTONES = (3, 10, 30)
_CASES = (30, 10, 3, 1)
_SIGNATURE = re.compile(r"<!-- billing-desk signature=([0-9a-f]{32}) -->")
_PATTERN = re.compile(r"[a-z0-9 ]{1,80}")
_EVERY = {"month": "monthly", "year": "yearly", "week": "weekly", "day": "daily", "one_time": "one-time"}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SHARED = 2  # a plan's name that fewer customers have may be one customer's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One ticket behind the gap. `refunded`, `at_risk`: minor units per currency; `pattern`: our own words.

    `charges`: refunds in `refunded`; `seconds`: from the reading of the facts to the approval; `plan`, `every`: the
    product's name in Stripe and its interval; `customer`: a hash; `promised`: the reply promised news.
    """

    ticket_id: int
    seen_at: datetime
    pattern: str
    refunded: Mapping[str, int]
    at_risk: Mapping[str, int]
    charges: int = 0
    seconds: int | None = None
    plan: str | None = None
    every: str | None = None
    customer: str | None = None
    promised: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What every text of one gap needs. `tickets`: Zendesk's origin for links; `keys`: the first signs, all verify;
    `public`: everybody can read the repository, so no table and no amounts."""

    kind: str
    fingerprint: str
    tickets: str
    keys: tuple[str, ...]
    now: datetime
    public: bool


def marker(fingerprint: str) -> str:
    return f"<!-- billing-desk gap={fingerprint} -->"


def labels(kind: str, common: Sequence[str], count: int) -> tuple[str, ...]:
    return (*common, f"gap:{kind}", cases_label(count))


def cases_label(count: int) -> str:
    """`cases: 10+`: the highest of 1, 3, 10, 30 that was reached."""
    return f"cases: {next((step for step in _CASES if count >= step), 1)}+"


def other_cases_labels(count: int) -> frozenset[str]:
    """The labels of the other steps, which come off."""
    return frozenset(f"cases: {step}+" for step in _CASES) - {cases_label(count)}


def body(frame: Frame, occurrences: Sequence[Occurrence]) -> str:
    """The whole text of a new issue."""
    gap = CATALOGUE[frame.kind]
    boxes = "\n".join(f"- [ ] {line}" for line in gap.done_when)
    steps = "\n".join(f"{number}. {step}" for number, step in enumerate(STEPS[frame.kind], start=1))
    return "\n\n".join(
        [
            marker(frame.fingerprint),
            f"### What happens\n\n{gap.happens}",
            f"### What should happen\n\n{gap.should}",
            block(frame, occurrences),
            f"### How to see it\n\n{steps}",
            f"### Done when\n\n{boxes}",
            "---",
            "Evidence is rewritten by billing-desk from approved tickets. Text you add above or below it stays. No "
            "names, e-mail addresses, card data or customer ids are stored here.",
        ]
    )


def block(frame: Frame, occurrences: Sequence[Occurrence]) -> str:
    """The managed block: how often, since when, what it cost, and the latest tickets."""
    ordered = sorted(occurrences, key=lambda one: (one.seen_at, one.ticket_id))
    recent = sum(one.seen_at > frame.now - timedelta(days=7) for one in ordered)
    week = f", of which {recent} this week" if 0 < recent < len(ordered) else ""
    lines = [BEGIN, "### Evidence", "", "| | |", "|---|---|", f"| Cases | **{len(ordered)}**{week} |"]
    if ordered:
        lines.append(f"| Seen | {day(ordered[0].seen_at)} to {day(ordered[-1].seen_at)} |")
    if not frame.public:
        lines += [*_sums(ordered), *_table(ordered, frame.tickets), *_plans(ordered)]
    return "\n".join([*lines, "", f"<!-- billing-desk signature={_sign(frame.keys[0], frame.fingerprint)} -->", END])


def with_block(text: str, new: str) -> str | None:
    """`text` with its managed block replaced; None when the markers are not there exactly once and in order."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        return None
    return text[: text.index(BEGIN)] + new + text[text.index(END) + len(END) :]


def ticked(text: str) -> str:
    """`text` with the box ticked that says how long no new ticket came; a box that somebody changed stays."""
    return text.replace(f"- [ ] {QUIET}", f"- [x] {QUIET}", 1)


def carries(text: str, fingerprint: str, keys: Sequence[str]) -> bool:
    """Whether an issue body is ours for this gap: the marker opens it, so a quoted one does not count, and a signature
    of ours stands in it, so nobody else can make one."""
    signed = _SIGNATURE.findall(text[:100_000])
    good = any(hmac.compare_digest(one, _sign(key, fingerprint)) for one in signed[:5] for key in keys)
    return good and text.lstrip().startswith(marker(fingerprint))


def said(key: str) -> str:
    """The hidden first line of a comment, by which it is found again."""
    return f"<!-- billing-desk said={key} -->"


def milestone_comment(count: int, occurrences: Sequence[Occurrence], *, public: bool) -> str:
    refunded = "" if public else f" Refunded so far: {_amounts([one.refunded for one in occurrences])}."
    return f"**{count} tickets** have this cause by now.{refunded}"


def after_comment(closed_at: datetime) -> str:
    return (
        f"A ticket with this cause came in after the issue was closed on {day(closed_at)}. A second one opens it again."
    )


def back_comment(closed_at: datetime) -> str:
    return (
        f"A second ticket with this cause came in after the issue was closed on {day(closed_at)}, so it is open again. "
        "If you close it once more, it stays closed, and its tickets are counted above."
    )


LOST_COMMENT = (
    "The two hidden markers around the evidence are no longer in the text above, so it is not kept current any more, "
    "and the text stays as you left it. To have it back, put these two lines where it belongs:\n\n"
    f"```text\n{BEGIN}\n{END}\n```"
)


def day(moment: datetime) -> str:
    """`3 Sep 2026`."""
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def _sign(key: str, fingerprint: str) -> str:
    return hmac.new(key.encode(), b"billing-desk issue\n" + fingerprint.encode(), hashlib.sha256).hexdigest()[:32]


def _sums(ordered: Sequence[Occurrence]) -> list[str]:
    charges = sum(one.charges for one in ordered)
    counted = f" in {charges} charge{'' if charges == 1 else 's'}" if charges else ""
    risk = _amounts([one.at_risk for one in ordered])
    lines = [
        f"| Refunded | {_amounts([one.refunded for one in ordered])}{counted} |",
        f"| Still at risk | {'nothing (all fixed by support)' if risk == 'nothing' else f'{risk} a month'} |",
    ]
    took = [one.seconds for one in ordered if one.seconds is not None]
    if took:
        lines.append(f"| Time to approve | {_time(median(took))} median, {_time(sum(took))} in total |")
    every = Counter(_EVERY[one.every] for one in ordered if one.every in _EVERY)
    if every:
        lines.append(f"| Plans | {', '.join(f'{name} {count}' for name, count in every.most_common())} |")
    return lines


def _table(ordered: Sequence[Occurrence], tickets: str) -> list[str]:
    lines = ["", "### Latest cases", "", "| # | Seen | Pattern | Refunded | Ticket |", "|---|---|---|---|---|"]
    numbered = list(enumerate(ordered, start=1))[-LATEST:]
    for number, one in reversed(numbered):
        link = f"[{one.ticket_id}]({tickets}/agent/tickets/{one.ticket_id})"
        pattern = one.pattern.capitalize() if _PATTERN.fullmatch(one.pattern) else "Not named"
        lines.append(f"| {number} | {day(one.seen_at)} | {pattern} | {_amounts([one.refunded])} | {link} |")
    return [*lines, "", "Tickets open only for people with Zendesk access."]


def _plans(ordered: Sequence[Occurrence]) -> list[str]:
    """The plans by name: Stripe's words, so only in a fence, only without doubt, and only when customers share them."""
    named: dict[str, list[Occurrence]] = {}
    for one in ordered:
        name = scrubbed(one.plan) if one.plan else None
        if name is not None:
            named.setdefault(name, []).append(one)
    shared = {name: of for name, of in named.items() if len({one.customer for one in of if one.customer}) >= _SHARED}
    rows = sorted(shared.items(), key=lambda pair: (-len(pair[1]), pair[0]))[:LATEST]
    return ["", "Plans by name:", "", fenced([f"{len(of):>4}  {name}" for name, of in rows])] if rows else []


def _amounts(parts: Sequence[Mapping[str, int]]) -> str:
    sums: dict[str, int] = {}
    for part in parts:
        for currency, amount in part.items():
            sums[currency] = sums.get(currency, 0) + amount
    return ", ".join(Money(sums[c], c).plain() for c in sorted(sums) if sums[c]) or "nothing"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{round(seconds)} s"
    return f"{round(seconds / 60)} min" if seconds < 7200 else f"{round(seconds / 3600)} h"
