"""How does the week read as Markdown? For a discussion, a chat or a terminal; the names of plans stay in a fence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from billing.money import Money
from github_issues.outgoing import fenced
from zendesk.wording import plain

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_BARS = "▁▂▃▄▅▆▇█"
_EVERY = {"month": "monthly", "year": "yearly"}


def span(week: Mapping[str, Any]) -> str:
    """`16 to 22 November 2026`."""
    first, last = date.fromisoformat(week["from"]), date.fromisoformat(week["to"])
    end = f"{last.day} {_MONTHS[last.month - 1]} {last.year}"
    if first.month == last.month:
        return f"{first.day} to {end}"
    year = f" {first.year}" if first.year != last.year else ""
    return f"{first.day} {_MONTHS[first.month - 1]}{year} to {end}"


def numbers(week: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The five numbers: name, value, and what stands beside it; amounts are left to the caller's notation."""
    pace = week["seconds_to_approve"]
    charges = week["refunded"]["charges"]
    return [
        ("Fixed in the sidebar", str(week["fixed"]["tickets"]), _percent(week["fixed"])),
        ("Median time to approve", duration(pace["median"]), _change(pace["change"])),
        ("Refunded", "", f"{charges} charge{'' if charges == 1 else 's'}"),
        ("Handed to a person", str(week["handed_over"]["tickets"]), _percent(week["handed_over"])),
        ("Agents chose another cause", str(week["overruled"]["tickets"]), _percent(week["overruled"])),
    ]


def markdown(week: Mapping[str, Any]) -> str:
    """The whole report."""
    tickets = week["tickets"]
    lines = [f"## Billing gaps, {span(week)}", "", f"{tickets} billing ticket{'' if tickets == 1 else 's'}.", ""]
    for name, value, beside in numbers(week):
        lines.append(f"- {name}: **{value or amounts(week['refunded']['sums'])}**{f' ({beside})' if beside else ''}")
    lines += ["", "### Gaps by tickets this week", ""]
    lines += _gaps(week["gaps"]) if week["gaps"] else ["None."]
    lines += ["", "### Fixed, and stayed fixed", "", *([_quiet(one) for one in week["stayed_fixed"]] or ["None."])]
    lines += ["", "### Came back", "", *([_back(one) for one in week["came_back"]] or ["None."])]
    lines += ["", "### What the tickets were about", "", *_about(week)]
    lines += ["", "Counts come from our own records. No customer names, e-mail addresses or card details are in them."]
    return "\n".join(lines) + "\n"


def amounts(sums: Mapping[str, int]) -> str:
    return ", ".join(Money(amount, currency).plain() for currency, amount in sums.items() if amount) or "nothing"


def duration(seconds: int | None) -> str:
    """`41 s`, `12 min`, `3 h`; a dash when it is not known."""
    if seconds is None:
        return "–"
    if seconds < 120:
        return f"{seconds} s"
    return f"{round(seconds / 60)} min" if seconds < 7200 else f"{round(seconds / 3600)} h"


def status(gap: Mapping[str, Any]) -> str:
    """The issue's state in a word or two."""
    if gap["issue"] is None:
        return "No issue yet"
    if gap["state"] == "closed":
        return "Closed"
    return "In progress" if gap.get("owner") else "Open"


def _percent(part: Mapping[str, Any]) -> str:
    return f"{part['percent']} %" if part["percent"] is not None else ""


def _change(seconds: int | None) -> str:
    if seconds is None:
        return ""
    return f"{'−' if seconds < 0 else '+'}{duration(abs(seconds))}" if seconds else "as before"


def _name(gap: Mapping[str, Any]) -> str:
    return f"[{gap['title']}]({gap['issue']['url']})" if gap["issue"] else gap["title"]


def _gaps(gaps: list[Mapping[str, Any]]) -> list[str]:
    lines = ["| Gap | 8 weeks | Tickets | Refunded | At risk a month | Owner |", "|---|---|--:|--:|--:|---|"]
    for one in gaps:
        most = max(one["weeks"]) or 1
        bars = "".join(_BARS[round(count / most * (len(_BARS) - 1))] for count in one["weeks"])
        owner = f"`{one['owner']}`" if one["owner"] else "**No owner**"  # as code: nobody is called by a report
        cells = (_name(one), bars, one["tickets"], amounts(one["refunded"]), amounts(one["at_risk"]), owner)
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return lines


def _quiet(one: Mapping[str, Any]) -> str:
    return f"- {_name(one)}: no ticket in {one['quiet_weeks']} weeks, {one['before']:g} a week before"


def _back(one: Mapping[str, Any]) -> str:
    return f"- {_name(one)}: {one['tickets']} since it was closed{', open again' if one['reopened'] else ''}"


def _about(week: Mapping[str, Any]) -> list[str]:
    buckets, given = week["buckets"], week["suggestions"]
    lines = [
        f"- Seat confusion: {buckets.get('team_seats', 0)}; failed renewals: {buckets.get('failed_payment', 0)}; "
        f"yearly: {_of(week, 'year')}, monthly: {_of(week, 'month')}",
        f"- Suggestions: {given['accepted']} accepted, {given['edited']} edited, {given['overruled']} overruled",
    ]
    for one in week["refunds_by_reason"]:
        lines.append(f"- Refunds, {one['reason'].replace('_', ' ')}: {amounts(one['sums'])} in {one['charges']}")
    if week["plans"]:
        rows = [f"{one['tickets']:>4}  {plan_name(one)}" for one in week["plans"][:10]]
        lines += ["", fenced(rows)]
    return lines


def plan_name(plan: Mapping[str, Any]) -> str:
    return f"{plain(plan['plan'] or 'no name')[:60]}, {_EVERY.get(plan['every'], plan['every'])}"


def _of(week: Mapping[str, Any], every: str) -> int:
    return sum(one["tickets"] for one in week["plans"] if one["every"] == every)
