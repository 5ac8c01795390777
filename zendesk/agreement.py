"""Did agents agree with what we proposed while nothing was applied? Counts over our own store; reads only.

A ticket counts once, by the strongest no it got: another cause, handed over, approved with changes, approved as it was.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import click
import sqlalchemy as sa

from billing.money import Money, totals
from integrations.store import approvals
from integrations.store.approvals import Approval
from integrations.store.tables import action, approval, audit, card, correction, delivery
from zendesk.commands import USAGE, Stop
from zendesk.desk import Desk
from zendesk.notes import edited
from zendesk.settling import GIVES_BACK

USUAL = timedelta(days=7)


class Answer(StrEnum):
    """What an agent said to a proposal, the strongest no first."""

    CORRECTED = "corrected"
    HANDED_OVER = "handed_over"
    SKIPPED = "steps_skipped"
    EDITED = "reply_edited"
    AS_PROPOSED = "as_proposed"
    OPEN = "not_answered"


_SAYS: Mapping[Answer, str] = {
    Answer.AS_PROPOSED: "Approved as proposed",
    Answer.EDITED: "Approved, reply edited",
    Answer.SKIPPED: "Approved, steps skipped",
    Answer.CORRECTED: "Another cause chosen",
    Answer.HANDED_OVER: "Handed to a person",
    Answer.OPEN: "Not answered",
}


def report(connection: sa.Connection, since: datetime, until: datetime) -> dict[str, Any]:
    """Proposals of billing tickets between two moments, what agents said, and what would have moved (minor units)."""
    answered = _approved(connection, since, until)
    corrected = _corrected(connection, since, until)
    handed = _tickets(connection, audit.c.ticket_id, audit.c.at, since, until, audit.c.event == "handed_over")
    proposed = _proposed(connection, since, until, {*answered, *corrected, *handed})
    said: dict[int, Answer] = {}
    for ticket in proposed:
        if ticket in corrected:
            said[ticket] = Answer.CORRECTED
        elif ticket in handed:
            said[ticket] = Answer.HANDED_OVER
        else:
            said[ticket] = _of_approval(connection, answered[ticket]) if ticket in answered else Answer.OPEN
    buckets = {ticket: corrected.get(ticket) or bucket for ticket, bucket in proposed.items()}
    return {
        "since": since.isoformat(), "until": until.isoformat(), "proposals": len(proposed),
        "answers": _counts(said.values()),
        "buckets": {
            bucket: _counts(said[ticket] for ticket in proposed if buckets[ticket] == bucket)
            for bucket in sorted(set(buckets.values()))
        },
        "would_have_moved": _would_have_moved(connection, [one.id for one in answered.values()]),
    }  # fmt: skip


def _counts(answers: Iterable[Answer]) -> dict[str, int]:
    counted = Counter(answers)
    return {answer.value: counted[answer] for answer in _SAYS}


def _approved(connection: sa.Connection, since: datetime, until: datetime) -> dict[int, Approval]:
    """The newest recorded approval of each ticket."""
    mine = sa.and_(approval.c.reason == approvals.DRY_RUN, *_between(approval.c.created_at, since, until))
    rows = connection.execute(sa.select(approval).where(mine).order_by(approval.c.created_at, approval.c.round))
    return {row.ticket_id: Approval(**row._mapping) for row in rows}


def _corrected(connection: sa.Connection, since: datetime, until: datetime) -> dict[int, str]:
    """Tickets whose cause an agent changed in the end, with what we had said first."""
    rows = connection.execute(
        sa.select(correction).where(*_between(correction.c.at, since, until)).order_by(correction.c.id)
    )
    first: dict[int, str] = {}
    last: dict[int, str] = {}
    for row in rows:
        first.setdefault(row.ticket_id, row.was)
        last[row.ticket_id] = row.bucket
    return {ticket: was for ticket, was in first.items() if last[ticket] != was}


def _proposed(connection: sa.Connection, since: datetime, until: datetime, answered: set[int]) -> dict[int, str]:
    """Billing tickets with steps to approve that first reached us in the time, or were answered in it; their causes."""
    first = sa.func.min(delivery.c.received_at)
    arrived = (
        sa.select(delivery.c.ticket_id)
        .where(delivery.c.ticket_id.is_not(None))
        .group_by(delivery.c.ticket_id)
        .having(sa.and_(*_between(first, since, until)))
    )
    wanted = card.c.ticket_id.in_(arrived) | card.c.ticket_id.in_(answered)
    found = sa.select(card.c.ticket_id, card.c.document["decision"]["bucket"].as_string(), card.c.plan).where(
        wanted, card.c.document.is_not(None)
    )
    rows = connection.execute(found.execution_options(yield_per=200))
    return {
        ticket: bucket
        for ticket, bucket, plan in rows
        if ticket in answered or (bucket not in {None, "not_billing"} and (plan or {}).get("steps"))
    }


def _tickets(
    connection: sa.Connection, ticket: sa.ColumnElement[Any], at: sa.ColumnElement[Any], since: datetime,
    until: datetime, *where: sa.ColumnElement[bool],
) -> set[int]:  # fmt: skip
    found = sa.select(ticket).where(ticket.is_not(None), *_between(at, since, until), *where)
    return set(connection.execute(found).scalars())


def _between(at: sa.ColumnElement[Any], since: datetime, until: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return at >= since, at <= until


def _of_approval(connection: sa.Connection, one: Approval) -> Answer:
    if approvals.left_out(connection, one.id):
        return Answer.SKIPPED
    return Answer.EDITED if edited(one.follow_up) else Answer.AS_PROPOSED


def _would_have_moved(connection: sa.Connection, recorded: list[str]) -> dict[str, dict[str, int]]:
    mine = sa.select(action.c.kind, action.c.amount, action.c.currency).where(
        action.c.approval_id.in_(recorded), action.c.reason == approvals.DRY_RUN, action.c.amount.is_not(None)
    )
    moved = [(row.kind, Money(row.amount, row.currency)) for row in connection.execute(mine)]
    return {
        "to_customers": totals(money for kind, money in moved if kind in GIVES_BACK),
        "charged": totals(money for kind, money in moved if kind not in GIVES_BACK),
    }


@click.command(help="What agents said to our proposals while policy.toml had dry_run on.")
@click.option("--since", help="from this moment, like 2026-11-15; seven days ago when not given")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@click.pass_obj
def agreement(desk_of: Callable[[], Desk], since: str | None, as_json: bool) -> None:
    begin = _moment(since) if since else None
    desk = desk_of()
    now = desk.now()
    with desk.engine.connect() as connection:
        document = report(connection, begin or now - USUAL, now)
    click.echo(json.dumps(document, indent=2) if as_json else _text(document))


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Stop("--since is no time. Write 2026-11-15 or 2026-11-15T10:00:00Z.", USAGE) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(document: Mapping[str, Any]) -> str:
    answers = document["answers"]
    given = document["proposals"] - answers[Answer.OPEN]
    lines = [f"Proposals from {document['since'][:10]} to {document['until'][:10]}: {document['proposals']}"]
    for answer, says in _SAYS.items():
        share = f"  {round(100 * answers[answer] / given):>3} %" if given and answer is not Answer.OPEN else ""
        lines.append(f"  {says:<25}{answers[answer]:>6}{share}")
    for name, sums in document["would_have_moved"].items():
        told = ", ".join(Money(amount, currency).plain() for currency, amount in sums.items() if amount) or "nothing"
        lines.append(f"Would have been {'given back' if name == 'to_customers' else 'charged'}: {told}")
    if document["buckets"]:
        lines.append("By cause: proposals, of these approved as proposed, answered")
    for bucket, counted in document["buckets"].items():
        total = sum(counted.values())
        agreed = counted[Answer.AS_PROPOSED]
        lines.append(f"  {bucket.replace('_', ' '):<25}{total:>6}{agreed:>6}{total - counted[Answer.OPEN]:>6}")
    return "\n".join(lines)
