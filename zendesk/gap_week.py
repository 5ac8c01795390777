"""What did one week bring? Counts and sums over our own store only; amounts are minor units, times UTC.

Refunds are the receipts of steps that are done, each counted once, so their sums by gap and by reason add up to the
receipts to the cent. What is told about gaps and owners is as GitHub last showed it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any

import sqlalchemy as sa

from billing.gap import CATALOGUE
from github_issues.ledger import sums
from integrations.store.approvals import left_out, paid
from integrations.store.tables import action, approval, audit, card, correction, delivery, gap, gap_ticket
from zendesk.gap_counting import plan_of
from zendesk.notes import edited
from zendesk.settling import GIVES_BACK

WEEKS = 8
_NAME = re.compile(r"([0-9]{4})-W([0-9]{2})")
_FIXED = frozenset({"completed", None})


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """An ISO week, Monday to Sunday in UTC: `start` counts, `end` does not."""

    name: str
    start: datetime

    @property
    def end(self) -> datetime:
        return self.start + timedelta(days=7)

    def before(self, weeks: int) -> Week:
        return week_of(self.start - timedelta(days=7 * weeks))

    def holds(self, at: datetime | None) -> bool:
        return at is not None and self.start <= at < self.end


def week_of(at: datetime) -> Week:
    """The week that holds the moment."""
    year, number, _ = at.astimezone(UTC).isocalendar()
    return _week(year, number)


def read_week(name: str) -> Week:
    """The week of a name like 2026-W47. Raises ValueError."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError("no week")
    return _week(int(found[1]), int(found[2]))


def _week(year: int, number: int) -> Week:
    monday = date.fromisocalendar(year, number, 1)
    return Week(name=f"{year}-W{number:02d}", start=datetime(monday.year, monday.month, monday.day, tzinfo=UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """One receipt: money that went back, under which gap and for which bucket."""

    ticket_id: int
    amount: int
    currency: str
    gap: str | None
    reason: str


def report(connection: sa.Connection, week: Week, now: datetime) -> dict[str, Any]:
    """The week as a JSON document."""
    documents = _tickets(connection, week)
    refunds = _refunds(connection, week)
    approvals = connection.execute(
        sa.select(approval).where(approval.c.created_at >= week.start, approval.c.created_at < week.end)
    ).all()
    overruled = _overruled(connection, week)
    fixed = _fixed(connection, week)
    handed = _handed(connection, week)
    edited = sum(_edited(connection, one) for one in approvals)
    return {
        "week": week.name,
        "from": week.start.date().isoformat(),
        "to": (week.end - timedelta(days=1)).date().isoformat(),
        "tickets": len(documents),
        "fixed": _part(fixed, len(documents)),
        "seconds_to_approve": _pace(connection, week),
        "refunded": {"sums": _total(refunds), "charges": len(refunds)},
        "handed_over": _part(handed, len(documents)),
        "overruled": _part(overruled, len(documents)),
        "suggestions": {"accepted": len(approvals) - edited, "edited": edited, "overruled": len(overruled)},
        "gaps": _gaps(connection, week, refunds, documents),
        "stayed_fixed": _stayed_fixed(connection, week, now),
        "came_back": _came_back(connection, week),
        "buckets": dict(Counter(sorted(_bucket(one) for one, _ in documents.values())).most_common()),
        "plans": _plans(documents),
        "refunds_by_reason": _by_reason(refunds),
    }


# --- tickets and what was done about them -----------------------------------------------------------------------------


def _tickets(connection: sa.Connection, week: Week) -> dict[int, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Billing tickets that first reached us, or were approved, in the week: their cards and plans."""
    first = sa.func.min(delivery.c.received_at)
    arrived = (
        sa.select(delivery.c.ticket_id).where(delivery.c.ticket_id.is_not(None)).group_by(delivery.c.ticket_id)
    ).having((first >= week.start) & (first < week.end))
    approved = sa.select(approval.c.ticket_id).where(
        approval.c.created_at >= week.start, approval.c.created_at < week.end
    )
    mine = sa.select(card.c.ticket_id, card.c.document, card.c.plan).where(
        card.c.ticket_id.in_(arrived) | card.c.ticket_id.in_(approved), card.c.document.is_not(None)
    )
    found = {row.ticket_id: (row.document or {}, row.plan or {}) for row in connection.execute(mine)}
    return {ticket: pair for ticket, pair in found.items() if _bucket(pair[0]) != "not_billing"}


def _fixed(connection: sa.Connection, week: Week) -> set[int]:
    mine = sa.select(approval.c.ticket_id).where(
        approval.c.state == "done", approval.c.finished_at >= week.start, approval.c.finished_at < week.end
    )
    return set(connection.execute(mine).scalars())


def _handed(connection: sa.Connection, week: Week) -> set[int]:
    """Handed over by an agent, or stopped at a step whose outcome a person must find out."""
    by_agent = sa.select(audit.c.ticket_id).where(
        audit.c.event == "handed_over", audit.c.at >= week.start, audit.c.at < week.end
    )
    unknown = sa.select(approval.c.ticket_id).where(
        approval.c.state == "needs_person", approval.c.finished_at >= week.start, approval.c.finished_at < week.end
    )
    return {one for mine in (by_agent, unknown) for one in connection.execute(mine).scalars() if one is not None}


def _overruled(connection: sa.Connection, week: Week) -> set[int]:
    mine = sa.select(correction.c.ticket_id).where(
        correction.c.at >= week.start, correction.c.at < week.end, correction.c.was != correction.c.bucket
    )
    return set(connection.execute(mine).scalars())


def _edited(connection: sa.Connection, row: Any) -> bool:
    """Whether the agent changed our reply or left steps out."""
    return edited(row.follow_up) or left_out(connection, row.id)


def _pace(connection: sa.Connection, week: Week) -> dict[str, int | None]:
    """Median seconds from the last delivery about a ticket to its approval, and the change against the week before."""
    this, last = _median(connection, week), _median(connection, week.before(1))
    return {"median": this, "change": this - last if this is not None and last is not None else None}


def _median(connection: sa.Connection, week: Week) -> int | None:
    rows = connection.execute(
        sa.select(approval.c.created_at, sa.func.max(delivery.c.received_at).label("received_at"))
        .join(delivery, delivery.c.ticket_id == approval.c.ticket_id)
        .where(delivery.c.received_at <= approval.c.created_at)
        .where(approval.c.created_at >= week.start, approval.c.created_at < week.end)
        .group_by(approval.c.id, approval.c.created_at)
    ).all()  # fmt: skip
    return round(median((row.created_at - row.received_at).total_seconds() for row in rows)) if rows else None


def _part(tickets: set[int], of: int) -> dict[str, int | None]:
    return {"tickets": len(tickets), "percent": round(100 * len(tickets) / of) if of else None}


def _bucket(document: Mapping[str, Any]) -> str:
    return str((document.get("decision") or {}).get("bucket") or "undecided")


def _plans(documents: Mapping[int, tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Which plans the tickets are about; the name is the product's in Stripe."""
    wanted = (
        plan_of(document, (*plan.get("extra", ()), *plan.get("kept", ()))) for document, plan in documents.values()
    )
    mix = Counter(pair for pair in wanted if pair[1] is not None)
    return [{"plan": name, "every": every, "tickets": count} for (name, every), count in mix.most_common()]


# --- money ------------------------------------------------------------------------------------------------------------


def _refunds(connection: sa.Connection, week: Week) -> list[Refund]:
    """Every receipt of the week. A step that was settled later than its receipt says counts where the receipt is."""
    receipts = connection.execute(
        sa.select(action, approval.c.ticket_id)
        .join(approval, approval.c.id == action.c.approval_id)
        .where(paid(), action.c.kind.in_(GIVES_BACK), action.c.updated_at >= week.start)
    ).all()
    mine = [one for one in receipts if week.holds(_received(one))]
    if not mine:
        return []
    filed = sa.select(action.c.approval_id, action.c.step).where(
        action.c.kind == "file_issue", action.c.state != "skipped",
        action.c.approval_id.in_({one.approval_id for one in mine}),
    )  # fmt: skip
    gaps = {row.approval_id: row.step.get("gap") for row in connection.execute(filed)}
    about = sa.select(card.c.ticket_id, card.c.document).where(card.c.ticket_id.in_({one.ticket_id for one in mine}))
    reasons = {row.ticket_id: _bucket(row.document or {}) for row in connection.execute(about)}
    return [
        Refund(
            ticket_id=one.ticket_id, amount=one.amount, currency=one.currency, gap=gaps.get(one.approval_id),
            reason=reasons.get(one.ticket_id, "undecided"),
        )
        for one in mine
    ]  # fmt: skip


def _received(row: Any) -> datetime:
    at = (row.receipt or {}).get("at")
    return datetime.fromisoformat(at) if at else row.updated_at


def _total(refunds: Iterable[Refund]) -> dict[str, int]:
    return sums({one.currency: one.amount} for one in refunds)


def _by_reason(refunds: list[Refund]) -> list[dict[str, Any]]:
    counted = Counter(one.reason for one in refunds)
    return [
        {"reason": reason, "sums": _total(one for one in refunds if one.reason == reason), "charges": count}
        for reason, count in counted.most_common()
    ]


# --- gaps -------------------------------------------------------------------------------------------------------------


def _gaps(
    connection: sa.Connection, week: Week, refunds: list[Refund],
    documents: Mapping[int, tuple[Mapping[str, Any], Mapping[str, Any]]],
) -> list[dict[str, Any]]:  # fmt: skip
    """Gaps with tickets in the week, the most tickets first."""
    weeks = [week.before(back) for back in reversed(range(WEEKS))]
    shown = []
    for row in connection.execute(sa.select(gap)):
        tickets = _seen(connection, row.fingerprint)
        mine = [one for one in tickets if week.holds(one.seen_at)]
        if mine:
            held = {one.ticket_id for one in tickets}
            buckets = Counter(_bucket(documents[one.ticket_id][0]) for one in mine if one.ticket_id in documents)
            shown.append(
                _named(row)
                | {
                    "weeks": [sum(one.holds(ticket.seen_at) for ticket in tickets) for one in weeks],
                    "tickets": len(mine),
                    "refunded": _total(one for one in refunds if one.gap == row.kind and one.ticket_id in held),
                    "at_risk": sums(one.at_risk for one in mine),
                    "owner": row.issue_owner,
                    "bucket": buckets.most_common(1)[0][0] if buckets else None,
                }
            )
    return sorted(shown, key=lambda one: (-one["tickets"], one["kind"]))


def _stayed_fixed(connection: sa.Connection, week: Week, now: datetime) -> list[dict[str, Any]]:
    """Closed as done in the last eight weeks, and no ticket since."""
    until, shown = min(week.end, now), []
    since = week.before(WEEKS - 1).start
    for row in connection.execute(sa.select(gap).where(gap.c.issue_state == "closed").order_by(gap.c.issue_closed_at)):
        closed_at = row.issue_closed_at
        if closed_at is None or row.issue_reason not in _FIXED or not since <= closed_at < until:
            continue
        tickets = [one.seen_at for one in _seen(connection, row.fingerprint)]
        if any(closed_at < at < until for at in tickets):
            continue
        before = sum(closed_at - timedelta(days=28) < at <= closed_at for at in tickets)
        quiet = (until - closed_at).days // 7
        shown.append(
            _named(row) | {"closed": closed_at.isoformat(), "quiet_weeks": quiet, "before": round(before / 4, 1)}
        )
    return shown


def _came_back(connection: sa.Connection, week: Week) -> list[dict[str, Any]]:
    """Closed as done, and tickets came all the same."""
    shown = []
    for row in connection.execute(sa.select(gap).where(gap.c.issue_closed_at.is_not(None))):
        if row.issue_state == "closed" and row.issue_reason not in _FIXED:
            continue
        later = [one for one in _seen(connection, row.fingerprint) if row.issue_closed_at < one.seen_at < week.end]
        if any(one.seen_at >= week.before(WEEKS - 1).start for one in later):
            reopened = row.came_back_at is not None
            closed = row.issue_closed_at.isoformat()
            shown.append(_named(row) | {"closed": closed, "tickets": len(later), "reopened": reopened})
    return sorted(shown, key=lambda one: (-one["tickets"], one["kind"]))


def _seen(connection: sa.Connection, fingerprint: str) -> list[Any]:
    columns = (gap_ticket.c.ticket_id, gap_ticket.c.seen_at, gap_ticket.c.at_risk)
    return list(connection.execute(sa.select(*columns).where(gap_ticket.c.fingerprint == fingerprint)))


def _named(row: Any) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "title": CATALOGUE[row.kind].title if row.kind in CATALOGUE else row.kind.replace("_", " "),
        "repository": row.issue_repository or row.repository,
        "issue": {"number": row.issue_number, "url": row.issue_url} if row.issue_number else None,
        "state": row.issue_state,
    }
