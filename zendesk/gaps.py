"""How does the gap behind an approved plan reach GitHub? A job of its own that never delays a customer."""

from __future__ import annotations

from billing.plan import FileIssue, Receipt, decode
from integrations.errors import OutsideError, RateLimited, Refused
from integrations.store import approvals, cards
from zendesk.applying import settle
from zendesk.desk import Desk
from zendesk.notes import occurrence


class GapFiling:
    """Argument of a job: the action's id."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def turn(self, action_id: str) -> float | None:
        """File or count; seconds until the next try, or None when it is settled."""
        desk = self._desk
        with desk.engine.connect() as connection:
            action = approvals.read_action(connection, action_id)
            if action is None or action.state not in {"sending", "unknown"}:
                return None
            approval = approvals.read(connection, action.approval_id)
            actions = approvals.actions(connection, action.approval_id)
            stored = approval and cards.read(connection, approval.ticket_id)
        step = decode(action.step)
        if approval is None or not isinstance(step, FileIssue):
            return None
        if approval.state not in approvals.ENDED:
            return 0.3  # the sums of this ticket are known when its own steps have ended
        if desk.filing is None:
            receipt = Receipt(step_id=action.step_id, outcome="refused", reason="not_configured")
        else:
            document = stored.document if stored and stored.document else {}
            try:
                filed = desk.filing.file(
                    step.gap, occurrence(approval, actions, document, desk.now()), customer=approval.customer
                )
            except OutsideError as error:
                if not isinstance(error, Refused) or error.retryable:
                    return self._again(action, error)
                receipt = Receipt(step_id=action.step_id, outcome="refused", reason=(error.code or error.kind)[:80])
            else:
                receipt = Receipt(step_id=action.step_id, outcome="done", object=str(filed.number), status=filed.url)
        with desk.engine.begin() as connection:
            settle(desk, connection, approval, action, receipt)
        return None

    def _again(self, action: approvals.Action, error: OutsideError) -> float:
        ladder = self._desk.ladder
        with self._desk.engine.begin() as connection:
            approvals.change_action(
                connection, action.id, self._desk.now(), was=["sending", "unknown"], state="sending",
                reason="github_no_answer", attempts=action.attempts + 1,
            )  # fmt: skip
        asked = error.retry_after if isinstance(error, RateLimited) else None
        wait = ladder[min(action.attempts, len(ladder) - 1)].total_seconds()
        return max(wait, asked or 0.0) if asked else wait
