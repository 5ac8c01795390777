"""Which steps wait for a person, and how does one end the waiting?

Their outcome could not be learned, or our credentials were refused before anything was done. Nothing is repeated
blindly: a resumed step is looked up first; one that may have been sent goes out again only while Stripe still knows
its key, and one that was refused only where the facts are still those that were approved.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from billing.plan import Receipt
from billing.steps import KINDS
from integrations.jobs import Job
from integrations.store import approvals, audit
from integrations.store.approvals import Action, Approval
from integrations.store.tables import action as actions
from integrations.stripe_wire import MARK
from zendesk.desk import Desk
from zendesk.gap_counting import recount
from zendesk.settling import settle, step_object

_CHECK: Mapping[str, str] = {
    "refund_charge": "a refund of this charge",
    "create_credit_note": "a credit note of this invoice",
    "grant_balance_credit": "an entry in this customer's balance",
    "reverse_balance_credit": "an entry in this customer's balance",
    "public_reply": "our public reply on the ticket, in Zendesk",
    "write_internal_note": "our internal note on the ticket, in Zendesk",
}
_MEND = "mend our credentials (billing-desk doctor names them), then resume it: nothing was done"


class NotParked(Exception):
    """No step of this id waits for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """One step that waits. `check`: what a person has to do about it."""

    action: Action
    approval: Approval
    object: str | None
    check: str


def waiting(connection: sa.Connection) -> tuple[Parked, ...]:
    """All of them, the longest waiting first."""
    rows = sa.select(actions.c.id).where(approvals.PARKED).order_by(actions.c.sent_at, actions.c.id)
    return tuple(_parked(connection, identifier) for identifier in connection.execute(rows).scalars().all())


def resume(desk: Desk, action_id: str, operator: str) -> None:
    """Look for the step's effect again, and try it again while its key still holds. Raises NotParked."""
    with desk.engine.begin() as connection:
        parked = _claimed(connection, action_id)
        # What was refused has never been sent: it begins anew, with the key that Stripe does not know.
        values = {"state": "pending", "sent_at": None} if parked.action.held else {"state": "unknown"}
        approvals.change_action(connection, action_id, desk.now(), reason=approvals.RESUMED, attempts=0, **values)
        _go_on(desk, connection, parked, operator, "parked_resumed")


def settle_as(desk: Desk, action_id: str, outcome: str, operator: str, *, found: str | None = None) -> None:
    """Write down what a person saw: `done` (with the id of what they `found`) or `refused`. Raises NotParked."""
    with desk.engine.begin() as connection:
        parked = _claimed(connection, action_id)
        approvals.change_action(connection, action_id, desk.now(), state="unknown")  # what `settle` ends
        receipt = Receipt(
            step_id=parked.action.step_id, outcome=outcome, object=found, status=None,
            reason=None if outcome == "done" else "settled_by_operator", at=desk.now() if outcome == "done" else None,
        )  # fmt: skip
        settle(desk, connection, parked.approval, parked.action, receipt)
        recount(desk, connection, parked.approval.ticket_id)
        _go_on(desk, connection, parked, operator, f"parked_{outcome}")


def _claimed(connection: sa.Connection, action_id: str) -> Parked:
    approvals.pass_gate(connection)  # two operators at once: the second finds nothing waiting
    if connection.execute(sa.select(actions.c.id).where(approvals.PARKED, actions.c.id == action_id)).first() is None:
        raise NotParked(action_id)
    return _parked(connection, action_id)


def _go_on(desk: Desk, connection: sa.Connection, parked: Parked, operator: str, event: str) -> None:
    """The approval runs again, as far as it can, and ends anew."""
    approval, action = parked.approval, parked.action
    approvals.change(connection, approval.id, was=approvals.ENDED, state="applying", finished_at=None)
    body = {"approval": approval.id, "action": action.id, "step": action.kind, "object": parked.object}
    audit.append(
        connection, at=desk.now(), actor=operator, event=event, ticket_id=approval.ticket_id, body=body
    )  # fmt: skip
    job = Job(
        queue="apply", key=f"apply:{approval.id}:{secrets.token_hex(4)}", argument=approval.id,
        partition=approvals.partition(approval.customer, approval.ticket_id),
    )  # fmt: skip
    desk.queue.put(connection, job)


def _parked(connection: sa.Connection, action_id: str) -> Parked:
    action = approvals.read_action(connection, action_id)
    approval = approvals.read(connection, action.approval_id) if action else None
    if action is None or approval is None:
        raise NotParked(action_id)
    of_ours = f" with metadata {MARK} = {action.id}" if action.kind in KINDS else ""
    look = "look for " + _CHECK.get(action.kind, "whether this object is as the step would leave it") + of_ours
    return Parked(
        action=action,
        approval=approval,
        object=step_object(action) if action.kind in KINDS else None,
        check=_MEND if action.held else look,
    )
