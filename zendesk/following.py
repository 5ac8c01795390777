"""What becomes of what has no outcome when its run ends? Refunds on their way, and undos whose answer was lost.

A refund that Stripe took may fail days later. It is asked about again by a ladder that grows with its age, and at once
when Stripe tells of a change. What failed is shown, noted on the ticket and no longer counted as money that moved.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from billing.money import Money
from integrations.errors import OutsideError, Refused
from integrations.store import approvals, audit, cards
from integrations.store.approvals import ON_ITS_WAY, Action, Approval
from integrations.stripe_wire import NEVER_PAID
from integrations.zendesk_client import escape_html, operation_of
from zendesk import undoing
from zendesk.applying import FAILED_LATER
from zendesk.desk import Desk
from zendesk.gap_counting import recount
from zendesk.notes import edited

SOONEST, LATEST = 60.0, 12 * 3600.0  # seconds between two looks
LONGEST = timedelta(days=30)  # Stripe's own end: after it a person decides
NOTE_AGAIN = 120.0
DRY_RUN_WAIT = 3600.0  # nothing is put back while nothing is applied


class Following:
    """Argument of a job: the action's id; `id:event` for one look because Stripe told of a change."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def turn(self, argument: str) -> float | None:
        """Look once; seconds until the next look, or None when the outcome is known."""
        identifier, _, told = argument.partition(":")
        with self._desk.engine.connect() as connection:
            action = approvals.read_action(connection, identifier)
            approval = approvals.read(connection, action.approval_id) if action else None
        if action is None or approval is None:
            return None
        if action.kind == approvals.UNDO:
            if self._desk.policy.dry_run:
                return DRY_RUN_WAIT
            return undoing.go_on(self._desk, action)
        if _refund(action) is None:
            return None
        if action.state == "done":
            again = self._look(approval, action)
            return None if told and again != 0 else again
        return self._tell(approval, action) if action.reason in FAILED_LATER else None

    def _look(self, approval: Approval, action: Action) -> float | None:
        """0 when it failed and the ticket has to be told."""
        desk, receipt, refund = self._desk, action.receipt or {}, _refund(action)
        if desk.executor is None or refund is None:
            return None
        age = desk.now() - datetime.fromisoformat(receipt["at"])
        try:
            status, why = desk.executor.refund_status(refund)
        except OutsideError:
            status, why = None, None
        if status in NEVER_PAID:
            self._failed(approval, action, str(status), why)
            return 0.0
        if status == "succeeded":
            if receipt.get("status") in ON_ITS_WAY:
                self._succeeded(approval, action)
            return None
        if age > LONGEST:
            self._left_to_a_person(approval, action)
            return None
        return max(SOONEST, min(age.total_seconds() / 2, LATEST))

    def _succeeded(self, approval: Approval, action: Action) -> None:
        now = self._desk.now()
        with self._desk.engine.begin() as connection:
            receipt = {**(action.receipt or {}), "status": "succeeded"}
            if approvals.change_action(connection, action.id, now, was=["done"], receipt=receipt):
                recount(self._desk, connection, approval.ticket_id)
                body = {"approval": approval.id, "action": action.id, "receipt": _refund(action)}
                audit.append(
                    connection, at=now, actor="system", event="refund_succeeded", ticket_id=approval.ticket_id,
                    body=body,
                )  # fmt: skip

    def _failed(self, approval: Approval, action: Action, status: str, why: str | None) -> None:
        """The money did not move, or came back: the step is no longer done, and a person decides."""
        now, reason = self._desk.now(), f"refund_{status}"
        receipt = {**(action.receipt or {}), "outcome": "refused", "status": status, "failure": why}
        with self._desk.engine.begin() as connection:
            if not approvals.change_action(
                connection, action.id, now, was=["done"], state="refused", reason=reason, receipt=receipt
            ):
                return
            approvals.change(
                connection, approval.id, was=approvals.ENDED, state="needs_person", reason=reason,
                reply_state=_reply_after(approval),
            )  # fmt: skip
            cards.change(connection, approval.ticket_id, now, version=None, state="needs_human")
            recount(self._desk, connection, approval.ticket_id)
            body = {
                "approval": approval.id, "action": action.id, "receipt": _refund(action), "reason": reason,
                "failure": why, "amount": action.amount, "currency": action.currency,
            }  # fmt: skip
            audit.append(
                connection, at=now, actor="system", event="refund_failed", ticket_id=approval.ticket_id, body=body
            )

    def _left_to_a_person(self, approval: Approval, action: Action) -> None:
        now = self._desk.now()
        with self._desk.engine.begin() as connection:
            approvals.change(
                connection, approval.id, was=approvals.ENDED, state="needs_person", reason="refund_still_pending"
            )
            cards.change(connection, approval.ticket_id, now, version=None, state="needs_human")
            body = {"approval": approval.id, "action": action.id, "reason": "refund_still_pending"}
            audit.append(
                connection, at=now, actor="system", event="refund_unresolved", ticket_id=approval.ticket_id, body=body
            )

    def _tell(self, approval: Approval, action: Action) -> float | None:
        """One internal note, once: whoever answered the customer has to know."""
        receipt = dict(action.receipt or {})
        if receipt.get("told"):
            return None
        try:
            self._desk.zendesk.update_ticket(
                approval.ticket_id, operation_id=operation_of(f"{action.id}:failed"), stage="refund_failed",
                note_html=_note(approval, action), add_tags=("billing_desk",), look_first=True,
            )  # fmt: skip
        except OutsideError as error:
            if not isinstance(error, Refused) or error.retryable or error.unknown_outcome:
                return NOTE_AGAIN
        with self._desk.engine.begin() as connection:
            approvals.change_action(
                connection, action.id, self._desk.now(), was=["refused"], receipt={**receipt, "told": True}
            )
        return None


def _refund(action: Action) -> str | None:
    """The refund through which the step gives money back: its own object, or that of its credit note."""
    receipt = action.receipt or {}
    made = receipt.get("refund") or (receipt.get("object") if action.kind == "refund_charge" else None)
    return str(made) if made else None


def _reply_after(approval: Approval) -> str:
    """Our own unsent draft is written anew from the receipts; an agent's words about a refund are not offered on."""
    theirs = edited(approval.follow_up) or not approval.follow_up.get("facts")
    return "none" if approval.reply_state == "ready" and theirs else approval.reply_state


def _note(approval: Approval, action: Action) -> str:
    receipt = action.receipt or {}
    money = Money(action.amount or 0, action.currency or "usd").plain()
    why = f" ({str(receipt['failure']).replace('_', ' ')})" if receipt.get("failure") else ""
    sent = approval.reply_state == "sent" or approval.follow_up["deliver"] != "none"
    customer = " The reply to the customer spoke of this refund: please write again." if sent else ""
    said = f"The refund of {money} ({_refund(action)}) did not reach the customer{why}. No money moved.{customer}"
    return f"<p><b>Billing: a refund failed</b></p><p>{escape_html(said)}</p>"
