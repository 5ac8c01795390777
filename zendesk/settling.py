"""How is the outcome of a step written down, once, and what do the outcomes say about money?"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import sqlalchemy as sa

from billing.money import Money, totals
from billing.plan import Receipt
from billing.steps import KINDS, decode
from integrations.jobs import Job
from integrations.store import approvals, audit
from integrations.store.approvals import KEY_REUSED, NOT_LET_IN, ON_ITS_WAY, OPEN, Action, Approval
from zendesk.desk import Desk

log = logging.getLogger(__name__)
GIVES_BACK = frozenset({"refund_charge", "create_credit_note", "grant_balance_credit"})


def settle(
    desk: Desk, connection: sa.Connection, approval: Approval, action: Action, receipt: Receipt,
    token: str | None = None,
) -> None:  # fmt: skip
    """Write an outcome down, once: for the sidebar, for the audit, for the next step. `token`: the caller's claim."""
    now = desk.now()
    document = {
        "outcome": receipt.outcome, "object": receipt.object, "status": receipt.status,
        "at": (receipt.at or now).isoformat(), "reason": receipt.reason, "refund": receipt.refund,
    }  # fmt: skip
    changed = approvals.settle_action(
        connection, action.id, now, was=OPEN, claim=token, state=receipt.outcome, reason=receipt.reason,
        receipt=document,
    )  # fmt: skip
    if changed:
        note_audit(desk, connection, approval, action, receipt.outcome, receipt)
        _alert(approval, action, receipt)
    if changed and receipt.refund and receipt.outcome == "done" and receipt.status in ON_ITS_WAY:
        partition = approvals.partition(approval.customer, approval.ticket_id)
        desk.queue.put(
            connection, Job(queue="follow", key=f"follow:{action.id}", argument=action.id, partition=partition)
        )


def _alert(approval: Approval, action: Action, receipt: Receipt) -> None:
    """What an operator has to mend is told at once; the figure `parked_steps` shows it as long as it waits."""
    if receipt.reason in {KEY_REUSED, *NOT_LET_IN}:
        told = {"ticket_id": approval.ticket_id, "approval_id": approval.id, "action_id": action.id}
        event = "idempotency_key_reused" if receipt.reason == KEY_REUSED else "credentials_refused"
        log.error(event, extra=told | {"step": action.kind, "code": receipt.reason})


def note_audit(
    desk: Desk, connection: sa.Connection, approval: Approval, action: Action, event: str,
    receipt: Receipt | None = None,
) -> None:  # fmt: skip
    body = {
        "approval": approval.id, "action": action.id, "step": action.kind, "object": step_object(action),
        "amount": action.amount, "currency": action.currency, "key": action.key,
        "receipt": receipt.object if receipt else None, "reason": receipt.reason if receipt else None,
    }  # fmt: skip
    audit.append(
        connection, at=desk.now(), actor=f"agent:{approval.agent_id}", event=f"step_{event}",
        ticket_id=approval.ticket_id, body=body,
    )  # fmt: skip


def money_moved(actions: Iterable[Action]) -> dict[str, int]:
    """Minor units per currency that are known to have gone back to the customer."""
    return _sums(action for action in actions if has_moved(action))


def money_pending(actions: Iterable[Action]) -> dict[str, int]:
    """Minor units per currency of refunds that Stripe took and that may still fail."""
    return _sums(action for action in actions if _gives_back(action) and not has_moved(action))


def has_moved(action: Action) -> bool:
    """Whether its money is known to have gone back to the customer; `approvals.paid` asks the store the same."""
    return _gives_back(action) and (action.receipt or {}).get("status") not in ON_ITS_WAY


def _gives_back(action: Action) -> bool:
    return action.state == "done" and action.kind in GIVES_BACK


def _sums(actions: Iterable[Action]) -> dict[str, int]:
    return totals(Money(one.amount, one.currency) for one in actions if one.amount and one.currency)


def step_object(action: Action) -> str | None:
    """The id the step acts on."""
    return decode(action.step).object if action.kind in KINDS else None
