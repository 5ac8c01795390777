"""Can this step be taken back, and how? What it found before is put back by an action of its own.

The undo's intent and key are stored before the call. Its outcome is done, refused or unknown, as for any step; an
unknown one is looked up first, then sent again with the same key. After a day it is given up: whoever clicks again
starts a new one, which first looks where the object stands.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from billing.plan import Receipt
from billing.steps import decode
from integrations.errors import OutsideError
from integrations.jobs import Job
from integrations.store import approvals, audit
from integrations.store.approvals import ASK_A_PERSON, KEY_REUSED, OPEN, Action, Approval
from integrations.stripe_executor import StripeExecutor
from integrations.stripe_restoring import Before
from zendesk.agents import Agent
from zendesk.applying import REPLAYABLE
from zendesk.desk import Desk
from zendesk.refusals import Refusal

log = logging.getLogger(__name__)
AFTER = 40.0  # seconds: longer than the call itself may take
WHY = {
    "changed_since": "Somebody changed it since. It stays as it is now; look in Stripe.",
    "date_passed": "The day it had before has passed, so that it cannot be put back.",
    "already_canceled": "The subscription has ended already, so that it cannot be put back.",
    "invoice_not_open": "The invoice is not open any more, so that it cannot be put back.",
    "schedule_managed": "A schedule manages this subscription by now.",
    "unauthorized": "Stripe refused our key, so nothing was put back. Try again once the key is mended.",
    "not_permitted": "Our Stripe key may not do this, so nothing was put back. Try again once the key is mended.",
    KEY_REUSED: "Stripe knows this undo with other figures, so it is not repeated. Look in Stripe.",
}


def undo(desk: Desk, approval_id: str, step_id: str, agent: Agent) -> None:
    """Put back what one done step changed.

    Raises Refusal: not_reversible for every other step and where the state before cannot be put back any more,
    too_late while the run goes on, upstream_no_answer when the outcome is not known yet and goes on by itself.
    """
    if desk.policy.dry_run:
        raise Refusal("not_reversible", "This is a dry run: nothing is applied, and nothing is taken back.")
    with desk.engine.begin() as connection:
        approval = approvals.read(connection, approval_id)
        action = next((one for one in approvals.actions(connection, approval_id) if one.step_id == step_id), None)
        if approval is None or action is None:
            raise Refusal("not_found", "There is no such step.")
        if action.state == "undone":
            return
        if action.state != "done" or action.before is None or desk.executor is None:
            raise Refusal("not_reversible", "This step cannot be taken back.")
        if approval.state not in approvals.ENDED:
            raise Refusal("too_late", "The run is still going on. Stop it, or wait for its end.")
        intent = _intent(desk, connection, approval, action, agent)
    receipt = _put_back(desk.executor, approval, action, action.before, intent, desk.now())
    _conclude(desk, approval, action, intent, receipt)
    if receipt.outcome == "refused":
        raise Refusal("not_reversible", WHY.get(receipt.reason or "", "Stripe refused to put this back."))
    if receipt.outcome == "unknown":
        raise Refusal("upstream_no_answer", "Stripe did not confirm that it was taken back; it is tried on by itself.")


def _intent(desk: Desk, connection: sa.Connection, approval: Approval, action: Action, agent: Agent) -> Action:
    """The undo's own row, durable before the first byte. An open one is taken up again with its key."""
    tried = [one for one in approvals.undos(connection, approval.id) if one.step["action"] == action.id]
    if tried and tried[-1].state in OPEN:
        return tried[-1]
    now, identifier = desk.now(), "ac_" + secrets.token_hex(16)
    row: dict[str, Any] = {
        "id": identifier, "approval_id": approval.id, "step_id": f"undo{len(tried) + 1}-{action.step_id}"[:16],
        "position": 1000 + len(tried), "kind": approvals.UNDO, "step": {"kind": approvals.UNDO, "action": action.id},
        "key": f"{desk.installation}:{identifier}", "state": "sending", "agent_id": agent.id,
        "customer": action.customer, "attempts": 0, "sent_at": now, "created_at": now, "updated_at": now,
    }  # fmt: skip
    if not approvals.insert_action(connection, row):
        raise Refusal("too_late", "Somebody else is taking this back at this moment.")
    body = {"approval": approval.id, "action": identifier, "undoes": action.id, "step": action.kind}
    audit.append(
        connection, at=now, actor=f"agent:{agent.id}", event="undo_sending", ticket_id=approval.ticket_id, body=body
    )
    # Should this process die, or the answer be lost, the job goes on; it finds nothing to do after a clear answer.
    partition = approvals.partition(action.customer, approval.ticket_id)
    job = Job(queue="follow", key=f"follow:{identifier}", argument=identifier, partition=partition, after=AFTER)
    desk.queue.put(connection, job)
    return next(one for one in approvals.undos(connection, approval.id) if one.id == identifier)


def _put_back(
    executor: StripeExecutor, approval: Approval, action: Action, before: Before, intent: Action, now: datetime
) -> Receipt:
    receipt = executor.put_back(
        decode(action.step), before, step_id=intent.step_id, action=intent.id, ticket=approval.ticket_id,
        key=intent.key, now=now,
    )  # fmt: skip
    if receipt.reason != KEY_REUSED:
        return receipt
    log.error("idempotency_key_reused", extra={"ticket_id": approval.ticket_id, "action_id": intent.id})
    return replace(receipt, outcome="refused")  # never tried again; another click looks where the object stands


def _conclude(desk: Desk, approval: Approval, action: Action, intent: Action, receipt: Receipt) -> None:
    """Write the undo's outcome down, once."""
    now = desk.now()
    with desk.engine.begin() as connection:
        if receipt.outcome == "unknown":
            approvals.change_action(
                connection, intent.id, now, was=OPEN, state="unknown", reason=receipt.reason,
                attempts=intent.attempts + 1,
            )  # fmt: skip
            return
        document = {"outcome": receipt.outcome, "object": receipt.object, "at": now.isoformat()}
        if not approvals.change_action(
            connection, intent.id, now, was=OPEN, state=receipt.outcome, reason=receipt.reason, receipt=document
        ):
            return
        if receipt.outcome == "done":
            approvals.change_action(connection, action.id, now, was=["done"], state="undone")
        _note(connection, now, approval, action, intent, receipt)


def _note(
    connection: sa.Connection, now: datetime, approval: Approval, action: Action, intent: Action, receipt: Receipt
) -> None:  # fmt: skip
    event = "step_undone" if receipt.outcome == "done" else "undo_refused"
    body = {
        "approval": approval.id, "action": intent.id, "undoes": action.id, "step": action.kind,
        "receipt": receipt.object, "reason": receipt.reason, "put_back": dict(action.before or {}),
    }  # fmt: skip
    audit.append(
        connection, at=now, actor=f"agent:{intent.agent_id}", event=event, ticket_id=approval.ticket_id, body=body
    )


def go_on(desk: Desk, intent: Action) -> float | None:
    """An undo without a known outcome: look, replay, or give it up. Seconds until the next call, or None."""
    with desk.engine.connect() as connection:
        approval = approvals.read(connection, intent.approval_id)
        action = approvals.read_action(connection, str(intent.step["action"]))
    if intent.state not in OPEN or approval is None or action is None:
        return None
    if desk.executor is None or action.before is None:
        return None
    receipt = _found(desk.executor, action, intent)
    old = intent.sent_at is not None and desk.now() - intent.sent_at > REPLAYABLE
    if receipt is None and (old or intent.attempts > len(desk.ladder)):
        with desk.engine.begin() as connection:
            approvals.change_action(connection, intent.id, desk.now(), was=OPEN, state="canceled", reason=ASK_A_PERSON)
        return None
    receipt = receipt or _put_back(desk.executor, approval, action, action.before, intent, desk.now())
    _conclude(desk, approval, action, intent, receipt)
    if receipt.outcome != "unknown":
        return None
    return desk.ladder[min(intent.attempts, len(desk.ladder) - 1)].total_seconds()


def _found(executor: StripeExecutor, action: Action, intent: Action) -> Receipt | None:
    try:
        return executor.look_put_back(decode(action.step), step_id=intent.step_id, action=intent.id)
    except OutsideError:
        return None
