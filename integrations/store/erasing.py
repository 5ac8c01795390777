"""Which texts about people does the store hold, and how do they leave it while sums and record stay?

Texts are in the card, in the words of an approved plan and its reply, in corrections and in prepared news. What stays
has ids, amounts, times and codes: it is what the limits, the reports and the audit chain stand on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from integrations.store.approvals import ENDED, OPEN, PARKED
from integrations.store.tables import action, approval, card, card_object, correction, delivery, gap_news, gap_ticket

_NO_REPLY = {"body": "", "planned": "", "facts": None}
_INSIDE = (".", "_", "-", "+", "%")  # may stand before the part of an address that was looked for
_PREPARED = ("told", "left")  # news that nobody waits for


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What one ticket's erasure took out: the card, and how many rows of each other kind lost their texts."""

    ticket_id: int
    card: bool
    approvals: int
    corrections: int
    news: int

    @property
    def anything(self) -> bool:
        return self.card or self.approvals + self.corrections + self.news > 0


def is_open(connection: sa.Connection, ticket_id: int) -> bool:
    """Whether an approval of the ticket still runs, or a step of one waits for an answer or a person."""
    return bool(connection.execute(sa.select(_open(sa.literal(ticket_id)))).scalar())


def resting(connection: sa.Connection, before: datetime, most: int = 200) -> list[int]:
    """Tickets that hold texts, where nothing has happened since `before` and nothing is open; lowest number first."""
    lately = sa.exists().where(
        approval.c.ticket_id == card.c.ticket_id,
        sa.func.coalesce(approval.c.finished_at, approval.c.created_at) >= before,
    )
    found = (
        sa.select(card.c.ticket_id)
        .where(
            sa.or_(card.c.document.is_not(None), card.c.plan.is_not(None), card.c.lookup.is_not(None)),
            card.c.updated_at < before, card.c.requested_at < before, ~lately, ~_open(card.c.ticket_id),
        )
        .order_by(card.c.ticket_id)
        .limit(most)
    )  # fmt: skip
    return list(connection.execute(found).scalars())


def erase(connection: sa.Connection, ticket_id: int, now: datetime, *, customer_too: bool = False) -> Erased:
    """Take the ticket's texts out. `customer_too`: what links it to other tickets of the same customer as well."""
    mine = card.c.ticket_id == ticket_id
    had_card = sa.or_(card.c.document.is_not(None), card.c.plan.is_not(None), card.c.lookup.is_not(None))
    erased_card = connection.execute(
        sa.update(card)
        .where(mine, had_card)
        .values(document=sa.null(), plan=sa.null(), lookup=None, version=card.c.version + 1, updated_at=now)
    )
    # A change at Stripe must not have the ticket read, and its texts stored, again.
    connection.execute(sa.delete(card_object).where(card_object.c.ticket_id == ticket_id))
    approvals = 0
    for row in connection.execute(sa.select(approval).where(approval.c.ticket_id == ticket_id)).all():
        plan, follow_up = _bare_plan(row.plan), {**row.follow_up, **_NO_REPLY}
        if (plan, follow_up, None) != (row.plan, row.follow_up, row.problem):
            change = sa.update(approval).where(approval.c.id == row.id)
            connection.execute(change.values(plan=plan, follow_up=follow_up, problem=None))
            approvals += 1
    corrections = connection.execute(
        sa.update(correction)
        .where(correction.c.ticket_id == ticket_id, correction.c.why != "")
        .values(why="", evidence={})
    )
    news = connection.execute(
        sa.update(gap_news)
        .where(gap_news.c.ticket_id == ticket_id, gap_news.c.body.is_not(None), gap_news.c.state.in_(_PREPARED))
        .values(body=None)
    )
    if customer_too:
        connection.execute(sa.update(gap_ticket).where(gap_ticket.c.ticket_id == ticket_id).values(customer_hash=None))
    return Erased(
        ticket_id=ticket_id, card=erased_card.rowcount > 0, approvals=approvals,
        corrections=corrections.rowcount, news=news.rowcount,
    )  # fmt: skip


def empty_deliveries(connection: sa.Connection, before: datetime) -> int:
    """Drop the bodies of deliveries that were handled before then; their keys stay, so that none counts twice."""
    handled = sa.update(delivery).where(
        delivery.c.received_at < before, delivery.c.body.is_not(None), delivery.c.state.in_(("done", "ignored"))
    )
    return connection.execute(handled.values(body=sa.null())).rowcount


# --- whose tickets are they ------------------------------------------------------------------------------------------


def tickets_of_customer(connection: sa.Connection, customer: str) -> list[int]:
    """Tickets whose card or approval is about this Stripe customer."""
    named = card.c.document["customer"]["chosen"].as_string() == customer
    of_cards = sa.select(card.c.ticket_id).where(sa.or_(card.c.chosen == customer, card.c.lookup == customer, named))
    of_approvals = sa.select(approval.c.ticket_id).where(approval.c.customer == customer)
    return sorted(set(connection.execute(of_cards.union(of_approvals)).scalars()))


def tickets_of_address(connection: sa.Connection, address: str) -> list[int]:
    """Tickets in whose texts this e-mail address stands, in whatever case."""
    wanted = address.strip().casefold()
    # Inside a stored document only plain letters look as they are written: the longest run of them narrows the search.
    plain = max(re.split(r"[^!#-\[\]-~]+", address.strip().lower()), key=len)
    found: set[int] = set()
    for number, *columns in (
        (card.c.ticket_id, card.c.document, card.c.plan, card.c.lookup),
        (approval.c.ticket_id, approval.c.plan, approval.c.follow_up),
        (correction.c.ticket_id, correction.c.why, correction.c.evidence),
        (gap_news.c.ticket_id, gap_news.c.body),
    ):
        likely = sa.or_(
            *(sa.func.lower(sa.cast(column, sa.Text)).contains(plain, autoescape=True) for column in columns)
        )
        rows = connection.execute(sa.select(number, *columns).where(likely).execution_options(yield_per=200))
        found |= {row[0] for row in rows if any(_stands_in(wanted, value) for value in row[1:])}
    return sorted(found)


def _stands_in(address: str, value: Any) -> bool:
    """Whether the address stands somewhere in the value, and not merely as the tail of a longer one."""
    if isinstance(value, Mapping):
        return any(_stands_in(address, one) for one in value.values())
    if isinstance(value, list):
        return any(_stands_in(address, one) for one in value)
    if not isinstance(value, str):
        return False
    text, at = value.casefold(), -1
    while (at := text.find(address, at + 1)) >= 0:
        before, after = text[:at][-1:], text[at + len(address) :][:2]
        if not (before.isalnum() or before in _INSIDE) and not (after[:1].isalnum() or _goes_on(after)):
            return True
    return False


def _goes_on(after: str) -> bool:
    """Whether a host name goes on here: a full stop alone ends a sentence."""
    return after[:1] == "-" or (after[:1] == "." and after[1:].isalnum())


def _open(ticket: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    runs = sa.exists().where(approval.c.ticket_id == ticket, approval.c.state.not_in(ENDED))
    waits = sa.exists().where(
        approval.c.ticket_id == ticket, action.c.approval_id == approval.c.id,
        sa.or_(action.c.state.in_(OPEN), PARKED),
    )  # fmt: skip
    return sa.or_(runs, waits)


def _bare_plan(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The plan with its ids and amounts, and each step's kind in place of our words about it."""
    steps = []
    for step in plan.get("steps", ()):
        words = str(step["step"]["kind"]).replace("_", " ")
        bare = {"says": words, "title": words, "running": words, "done": words, "detail": "", "facts": []}
        steps.append({**step, **bare})
    return {**plan, "steps": steps, "untouched": None}
