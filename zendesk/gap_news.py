"""Which tickets hear what became of the gap behind them? One internal note each, a tag, and a draft for the agent.

No customer is ever written to from here. A closed ticket is not touched, a solved one only when our reply had promised
news. Every write carries an operation id made of what it says, so that doing it again changes nothing.
"""

from __future__ import annotations

import logging
from typing import Any

import sqlalchemy as sa

from billing.gap import CATALOGUE
from github_issues.pace import NotYet
from github_issues.watching import WITHDRAWN, Watching
from integrations.errors import NotFound, OutsideError, RateLimited, Refused
from integrations.jobs import Job
from integrations.store import cards
from integrations.store.tables import gap, gap_news, gap_ticket
from integrations.zendesk_client import escape_html, operation_of
from zendesk.card import stamp
from zendesk.desk import Desk
from zendesk.gap_letters import letter

log = logging.getLogger(__name__)
PREFIX = "issue:"
FIXED_TAG, PROMISED_TAG = "gap_fixed", "news_promised"
POLL_SECONDS = 600.0
_RETRY = 30.0
_SAYS = {
    "fixed": "was closed as completed. A follow-up is prepared in the billing sidebar; read it before you send it.",
    "not_planned": "was closed as not planned: no change will come for now. A follow-up is prepared in the sidebar.",
    "duplicate": "was closed as a duplicate of another issue, where the work goes on. A follow-up is prepared.",
    WITHDRAWN: "is open again, so the prepared follow-up was withdrawn. If you have told the customer already, tell "
    "them that it is still being worked on.",
}


class GapNews:
    """Argument of a job: `issue:` and the gap's fingerprint."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._watching = Watching(desk.engine, desk.filing, desk.now) if desk.filing else None

    def turn(self, argument: str) -> float | None:
        """Look at the issue, say what waits there, tell the tickets; seconds until the next try, None when done."""
        fingerprint, filing = argument.removeprefix(PREFIX), self._desk.filing
        if self._watching is None or filing is None:
            return None
        try:
            self._watching.look(fingerprint)
            filing.catch_up(fingerprint)
        except NotYet as pace:
            return pace.retry_after
        except OutsideError as error:
            if not isinstance(error, Refused) or error.retryable:
                return _again(error)
            log.warning("github_refused", extra={"service": error.service, "status": error.status})
        return self._tell_all(fingerprint)

    def poll(self) -> None:
        """The round for deliveries that never came: one question a repository, then jobs for what is to be told."""
        if self._watching is None:
            return
        try:
            self._watching.poll()
        except OutsideError as error:
            log.warning("github_poll_failed", extra={"service": error.service, "status": error.status})
        now = self._desk.now()
        for fingerprint in self._watching.waiting():
            with self._desk.engine.begin() as connection:
                ask(self._desk, connection, fingerprint, f"poll-{int(now.timestamp() // POLL_SECONDS)}")

    def _tell_all(self, fingerprint: str) -> float | None:
        with self._desk.engine.connect() as connection:
            mine = sa.select(gap_news).where(gap_news.c.fingerprint == fingerprint, gap_news.c.state == "waiting")
            rows = connection.execute(mine.order_by(gap_news.c.ticket_id)).all()
            issue = connection.execute(sa.select(gap).where(gap.c.fingerprint == fingerprint)).first()
            promised = gap_ticket.c.promised.is_(True) & (gap_ticket.c.fingerprint == fingerprint)
            awaited = set(connection.execute(sa.select(gap_ticket.c.ticket_id).where(promised)).scalars())
        wait = None
        for row in rows:
            try:
                self._tell(row, issue, promised=row.ticket_id in awaited)
            except NotFound:
                self._settle(row, "left", "ticket_gone")
            except OutsideError as error:
                if isinstance(error, Refused) and not error.retryable:
                    self._settle(row, "left", error.code or "refused")
                    continue
                wait = max(wait or 0.0, _again(error))
        return wait

    def _tell(self, row: Any, issue: Any, *, promised: bool) -> None:
        desk = self._desk
        ticket = desk.zendesk.ticket(row.ticket_id)
        if ticket.status == "closed":
            return self._settle(row, "left", "ticket_closed")
        if ticket.status == "solved" and not promised and PROMISED_TAG not in ticket.tags and row.outcome != WITHDRAWN:
            return self._settle(row, "left", "ticket_solved", draft=True)
        fixed, withdrawn = row.outcome == "fixed", row.outcome == WITHDRAWN
        tags = "tags" in desk.policy.write
        desk.zendesk.update_ticket(
            row.ticket_id,
            operation_id=_operation(row),
            stage="gap_news",
            note_html=_note(row, issue) if "note" in desk.policy.write else None,
            add_tags=("billing_desk", *([FIXED_TAG] if fixed else [])) if tags else (),
            remove_tags=() if fixed or not tags else (FIXED_TAG,),
            status="open" if ticket.status == "solved" and not withdrawn else None,
            look_first=True,
        )
        return self._settle(row, "told", None, draft=not withdrawn)

    def _settle(self, row: Any, state: str, reason: str | None, *, draft: bool = False) -> None:
        """Only what is still wished is settled: the issue may have changed its mind while Zendesk answered."""
        now = self._desk.now()
        with self._desk.engine.begin() as connection:
            locale = body = None
            if draft:
                stored = cards.read(connection, row.ticket_id)
                follow_up = ((stored.document if stored else None) or {}).get("follow_up") or {}
                sign_off = self._desk.policy.sign_off or self._desk.policy.brand_name
                locale, body = letter(row.outcome, follow_up.get("locale"), sign_off)
            same = (
                (gap_news.c.fingerprint == row.fingerprint)
                & (gap_news.c.ticket_id == row.ticket_id)
                & (gap_news.c.outcome == row.outcome)
                & (gap_news.c.closed_at == row.closed_at)
            )
            values = {"state": state, "reason": reason[:40] if reason else None, "locale": locale, "body": body}
            connection.execute(sa.update(gap_news).where(same).values(**values, changed_at=now))
            cards.change(connection, row.ticket_id, now, version=None)  # the card shows the draft, or no more


def ask(desk: Desk, connection: sa.Connection, fingerprint: str, named: str) -> None:
    """Enqueue a look at the gap's issue in the open transaction; the same `named` is the same job."""
    argument = PREFIX + fingerprint
    desk.queue.put(connection, Job(queue="gap", key=f"{argument}:{named}", argument=argument, partition=argument))


def of_ticket(connection: sa.Connection, ticket_id: int) -> dict[str, Any] | None:
    """The prepared follow-up of a ticket, as the card shows it; None when there is none."""
    mine = (
        sa.select(gap_news, gap.c.kind, gap.c.issue_number, gap.c.issue_url)
        .join(gap, gap.c.fingerprint == gap_news.c.fingerprint)
        .where(gap_news.c.ticket_id == ticket_id, gap_news.c.body.is_not(None))
        .order_by(gap_news.c.changed_at.desc())
    )
    row = connection.execute(mine).first()
    if row is None:
        return None
    return {
        "id": _operation(row), "outcome": row.outcome, "at": stamp(row.closed_at),
        "locale": row.locale, "body": row.body, "title": CATALOGUE[row.kind].title if row.kind in CATALOGUE else "",
        "issue": {"number": row.issue_number, "url": row.issue_url} if row.issue_number else None,
    }  # fmt: skip


def _operation(row: Any) -> str:
    named = f"{row.fingerprint}:{row.ticket_id}:{row.outcome}:{row.closed_at.isoformat()}"
    return operation_of(named)


def _note(row: Any, issue: Any) -> str:
    title = CATALOGUE[issue.kind].title if issue.kind in CATALOGUE else issue.kind
    name = f"#{issue.issue_number}" if issue.issue_number else ""
    link = f'<a href="{escape_html(issue.issue_url)}">{name}</a>' if issue.issue_url else name
    return f"<p><b>Billing: product issue {link} {_SAYS[row.outcome]}</b></p><p>{escape_html(title)}</p>"


def _again(error: OutsideError) -> float:
    asked = error.retry_after if isinstance(error, RateLimited) else None
    return max(asked or 0.0, _RETRY)
