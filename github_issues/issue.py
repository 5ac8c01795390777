"""What does the issue for a product gap say? Pure text: facts from our own records, never a customer's words.

Between the two markers stands the managed block, made anew each time; all else belongs to the people who read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from billing.gap import CATALOGUE
from billing.money import Money

BEGIN, END = "<!-- billing-desk:begin -->", "<!-- billing-desk:end -->"
LATEST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One ticket behind the gap. `refunded`, `at_risk`: minor units per currency; `pattern`: our own words."""

    ticket_id: int
    seen_at: datetime
    pattern: str
    refunded: Mapping[str, int]
    at_risk: Mapping[str, int]


def marker(fingerprint: str) -> str:
    return f"<!-- billing-desk gap={fingerprint} -->"


def labels(kind: str, common: Sequence[str]) -> tuple[str, ...]:
    return (*common, f"gap:{kind}")


def body(kind: str, fingerprint: str, occurrences: Sequence[Occurrence], *, public: bool, tickets: str) -> str:
    """The whole text of a new issue. `tickets`: Zendesk's origin for links; `public`: no table and no amounts."""
    gap = CATALOGUE[kind]
    boxes = "\n".join(f"- [ ] {line}" for line in gap.done_when)
    return "\n\n".join(
        [
            marker(fingerprint),
            f"### What happens\n\n{gap.happens}",
            f"### What should happen\n\n{gap.should}",
            block(occurrences, public=public, tickets=tickets),
            f"### Done when\n\n{boxes}",
        ]
    )


def block(occurrences: Sequence[Occurrence], *, public: bool, tickets: str) -> str:
    """The managed block: how often, since when, what it cost, and the latest tickets."""
    ordered = sorted(occurrences, key=lambda one: (one.seen_at, one.ticket_id))
    lines = [BEGIN, "### Evidence", "", "| | |", "|---|---|", f"| Cases | **{len(ordered)}** |"]
    if ordered:
        lines.append(f"| Seen | {_day(ordered[0].seen_at)} to {_day(ordered[-1].seen_at)} |")
    if not public:
        lines.append(f"| Refunded | {_amounts([one.refunded for one in ordered])} |")
        lines.append(f"| At risk | {_amounts([one.at_risk for one in ordered])} a month |")
        lines += _table(ordered, tickets)
    return "\n".join([*lines, END])


def with_block(text: str, new: str) -> str | None:
    """`text` with its managed block replaced; None when the markers are not there exactly once and in order."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        return None
    return text[: text.index(BEGIN)] + new + text[text.index(END) + len(END) :]


def carries(text: str, fingerprint: str) -> bool:
    """Whether an issue body is ours for this gap: the marker opens it, so a quoted one does not count."""
    return text.lstrip().startswith(marker(fingerprint))


def _table(ordered: Sequence[Occurrence], tickets: str) -> list[str]:
    lines = ["", "### Latest cases", "", "| # | Seen | Pattern | Refunded | Ticket |", "|---|---|---|---|---|"]
    numbered = list(enumerate(ordered, start=1))[-LATEST:]
    for number, one in reversed(numbered):
        link = f"[{one.ticket_id}]({tickets}/agent/tickets/{one.ticket_id})"
        lines.append(f"| {number} | {_day(one.seen_at)} | {one.pattern} | {_amounts([one.refunded])} | {link} |")
    return [*lines, "", "Tickets open only for people with Zendesk access."]


def _amounts(parts: Sequence[Mapping[str, int]]) -> str:
    sums: dict[str, int] = {}
    for part in parts:
        for currency, amount in part.items():
            sums[currency] = sums.get(currency, 0) + amount
    return ", ".join(Money(sums[c], c).plain() for c in sorted(sums) if sums[c]) or "nothing"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
