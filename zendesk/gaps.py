"""How does the gap behind an approved plan reach GitHub? A job of its own that never delays a customer."""

from __future__ import annotations

import logging

from billing.plan import Receipt
from billing.steps import FileIssue, decode
from github_issues.filing import Filed, Filing
from github_issues.pace import NotYet
from integrations.errors import Forbidden, OutsideError, RateLimited, Refused, Unauthorized
from integrations.store import approvals
from integrations.store.approvals import Action
from zendesk.desk import Desk
from zendesk.following import DRY_RUN_WAIT
from zendesk.gap_counting import counted
from zendesk.gap_news import PREFIX, GapNews, ask
from zendesk.settling import settle

log = logging.getLogger(__name__)


class GapFiling:
    """Argument of a job: the action's id, or what GapNews takes: all that is asked of GitHub is in one queue."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._news = GapNews(desk)

    def turn(self, argument: str) -> float | None:
        """The next bit of the work; seconds until the next try, or None when it is settled."""
        if self._desk.policy.dry_run:
            return DRY_RUN_WAIT  # what was approved before the dry run is filed after it
        return self._news.turn(argument) if argument.startswith(PREFIX) else self._filed(argument)

    def _filed(self, action_id: str) -> float | None:
        """File or count. GitHub wants time between writes: one write counts every ticket that waits for the issue."""
        with self._desk.engine.connect() as connection:
            action = approvals.read_action(connection, action_id)
            if action is None or action.state not in {"sending", "unknown"}:
                return None
            approval = approvals.read(connection, action.approval_id)
            others = [one for one in approvals.unfiled(connection) if one.id != action.id and one.step == action.step]
        step = decode(action.step)
        if approval is None or not isinstance(step, FileIssue):
            return None
        if self._desk.filing is None:
            self._settle([action], Receipt(step_id=action.step_id, outcome="refused", reason="not_configured"))
            return None
        try:
            filed = self._file(self._desk.filing, step, action, others)
        except NotYet as pace:
            return pace.retry_after
        except OutsideError as error:
            not_let_in = isinstance(error, Unauthorized | Forbidden)  # nothing of the gap is wrong: it waits for a mend
            if not_let_in:
                log.error("credentials_refused", extra={"action_id": action.id, "service": "github"})
            if not_let_in or not isinstance(error, Refused) or error.retryable:
                return self._again(action, error)
            reason = (error.code or error.kind)[:80]
            self._settle([action], Receipt(step_id=action.step_id, outcome="refused", reason=reason))
            return None
        receipt = Receipt(step_id=action.step_id, outcome="done", object=str(filed.number), status=filed.url)
        self._settle([action, *others], receipt)
        if filed.unsaid:
            with self._desk.engine.begin() as connection:
                ask(self._desk, connection, filed.fingerprint, f"say-{action.id}")
        return None

    def _file(self, filing: Filing, step: FileIssue, action: Action, others: list[Action]) -> Filed:
        with self._desk.engine.connect() as connection:
            (first, *rest) = [counted(connection, one) for one in (action, *others)]
        for seen, customer in rest:
            filing.remember(step.gap, seen, customer=customer)
        return filing.file(step.gap, first[0], customer=first[1])

    def _settle(self, actions: list[Action], receipt: Receipt) -> None:
        with self._desk.engine.begin() as connection:
            for action in actions:
                approval = approvals.read(connection, action.approval_id)
                if approval is not None:
                    settle(self._desk, connection, approval, action, receipt)

    def _again(self, action: Action, error: OutsideError) -> float:
        ladder = self._desk.ladder
        with self._desk.engine.begin() as connection:
            approvals.change_action(
                connection, action.id, self._desk.now(), was=["sending", "unknown"], state="sending",
                reason="github_no_answer", attempts=action.attempts + 1,
            )  # fmt: skip
        asked = error.retry_after if isinstance(error, RateLimited) else None
        wait = ladder[min(action.attempts, len(ladder) - 1)].total_seconds()
        return max(wait, asked or 0.0) if asked else wait
