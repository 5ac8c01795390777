"""How far is an approval? The document of contract section 10, for the API, the card and the sidebar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from billing.steps import KINDS
from integrations.store import approvals, cards
from integrations.store.approvals import Action, Approval
from zendesk import gap_news
from zendesk.card import stamp
from zendesk.desk import Desk
from zendesk.notes import reply_body
from zendesk.plans import in_round
from zendesk.settling import money_moved, money_pending

# What a reason code means, for the agent; codes we do not know are shown as they are.
SAYS: Mapping[str, str] = {
    "plan_changed": "The billing state changed since this plan was made.",
    "stopped_by_agent": "Stopped before it was sent.",
    "dry_run": "Dry run: recorded, and nothing was applied.",
    "earlier_step_failed": "Not sent, because a step before it did not succeed.",
    "ask_a_person": "Stripe's answer was lost and could not be found again. Look in Stripe before you repeat it.",
    "charge_already_refunded": "The charge was refunded already.",
    "charge_disputed": "The charge is disputed; the bank decides now.",
    "already_canceled": "The subscription has ended already.",
    "schedule_managed": "A schedule manages this subscription.",
    "not_configured": "This part is not set up here.",
    "amount_changed": "The open amount is another one by now.",
    "invoice_not_open": "The invoice is not open any more.",
    "unauthorized": "Stripe refused our key, so nothing was done. It waits until the key is mended.",
    "not_permitted": "Our Stripe key may not do this, so nothing was done. It waits until the key is mended.",
    "zendesk_401": "Zendesk refused our credentials, so nothing was written. It waits until they are mended.",
    "zendesk_403": "Our Zendesk credentials may not do this, so nothing was written. It waits until they are mended.",
    "idempotency_error": "Stripe knows this step with other figures. It is not repeated. Look in Stripe.",
    "rate_limited": "The service is busy, so nothing was done yet. It is tried again.",
    "too_busy": "The service was too busy for a day. Nothing was done.",
    "refund_failed": "The refund failed at the bank. The customer has not got the money.",
    "refund_canceled": "The refund was canceled. The customer has not got the money.",
    "refund_still_pending": "Stripe has not finished this refund for a month. Look in Stripe.",
    "already_scheduled": "It was set to end already, and not by this run.",
    "currency_differs": "The charge or invoice is in another currency.",
    "amount_too_large": "More than is left of this charge.",
    "no_payment_intent": "There is no payment to cancel.",
    "resource_missing": "Stripe has no such object any more.",
    "no_answer": "No answer yet; it is tried again.",
    "github_no_answer": "GitHub does not answer; the ticket is saved and filed later.",
}

NOTHING_READ: Mapping[str, Any] = {
    "customer": {"identity": "unknown", "why": [], "candidates": [], "chosen": None},
    "billing_state": {
        "subscriptions": [], "invoices": [], "charges": [], "payment_method": None, "anomalies": [], "missing": [],
    },
    "decision": {
        "bucket": "undecided", "confidence": 0.0, "for": [], "against": [], "why": "The ticket has not been read yet.",
    },
    "plan": {"digest": None, "steps": [], "revenue_impact": {"refund": {}, "mrr": {}}, "blocked": []},
    "follow_up": {"locale": "en", "body": ""},
    "product_gap": None,
}  # fmt: skip
"""The parts of the card (contract, section 5) where no reading has ended: a reader finds every key."""


def card_document(desk: Desk, stored: cards.StoredCard) -> dict[str, Any]:
    """The stored card with its version and, when there is one, its newest approval as it stands now."""
    document = dict(stored.document or {"ticket_id": stored.ticket_id, "as_of": None})
    document["state"] = stored.state
    document["version"] = stored.version
    document["integrations"] = {"github": desk.filing is not None, "stripe_write": desk.executor is not None}
    document["integrations"]["dry_run"] = desk.policy.dry_run
    document["approval"] = None
    with desk.engine.connect() as connection:
        document["news"] = gap_news.of_ticket(connection, stored.ticket_id)
    if document.get("plan"):
        document["plan"] = {**document["plan"], "digest": in_round(document["plan"]["digest"], stored.round)}
    if stored.approval_id and document.get("plan"):
        with desk.engine.connect() as connection:
            approval = approvals.read(connection, stored.approval_id)
            actions = approvals.actions(connection, stored.approval_id)
        if approval is not None and _current(desk, approval, stored):
            document["approval"] = approval_document(desk, approval, actions, document)
            document["plan"] = {**document["plan"], "steps": _frozen_steps(approval, stored.document or {})}
            if approval.state != "stopped":
                document["plan"]["digest"] = approval.digest  # steps and digest are of one plan
            if approval.state == "done":
                document["state"] = "done"  # also when Stripe's own events had the ticket read again
        elif approval is not None and approval.state == "done":
            document["earlier"] = _earlier(approval, actions, stored.document or {})
    return document


def _current(desk: Desk, approval: Approval, stored: cards.StoredCard) -> bool:
    """What ended leaves the way free: done, for a new message; stopped before its end, for the next plan."""
    if approval.state == "done":
        return not _asked_again(approval, stored)
    if approval.state not in {"stopped", "partly_done"}:
        return True
    anew = stored.as_of is not None and approval.finished_at is not None and stored.as_of > approval.finished_at
    over = approval.reason == approvals.DRY_RUN and not desk.policy.dry_run
    return not (anew or over or approval.reason == "plan_changed")


def _asked_again(approval: Approval, stored: cards.StoredCard) -> bool:
    """Whether the customer has written since, and the fresh reading has another answer than the one that was given."""
    document = stored.document or {}
    asked, answered = document.get("asked_at"), approval.follow_up.get("asked_at")
    another = in_round(document["plan"]["digest"], approval.round) != approval.digest
    return bool(asked and answered and asked != answered and another and document["plan"]["steps"])


def _earlier(approval: Approval, actions: Sequence[Action], document: Mapping[str, Any]) -> dict[str, Any]:
    """The receipt of what was done before the customer wrote again."""
    done = {action.step_id: action for action in actions if action.state == "done"}
    steps = [step for step in _frozen_steps(approval, document) if step["id"] in done]
    return {
        "id": approval.id, "by": approval.agent_name, "finished_at": stamp(approval.finished_at),
        "money_moved": money_moved(actions),
        "steps": [{**step, "receipt": (done[step["id"]].receipt or {}).get("object")} for step in steps],
    }  # fmt: skip


def _frozen_steps(approval: Approval, document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The approved plan's steps as the card shows steps, also when a newer plan has been made meanwhile."""
    same = approval.digest == in_round(document["plan"]["digest"], approval.round)
    shown = {step["id"]: step for step in document["plan"]["steps"]} if same else {}
    steps = []
    for frozen in approval.plan["steps"]:
        kind = KINDS[frozen["step"]["kind"]]
        amount = frozen["step"].get("amount")
        steps.append(
            shown.get(frozen["id"])
            or {
                "id": frozen["id"], "kind": kind.kind, "says": frozen["says"], "title": frozen["title"],
                "running": frozen["running"], "done": frozen["done"], "detail": frozen["detail"],
                "reversible": kind.reversible, "final": not kind.reversible, "requires": frozen["requires"],
                "object": frozen["step"].get(kind.acts_on) if kind.acts_on else None,
                "undo_until": _stamped(frozen["undo_until"]), "optional": frozen["optional"],
                "topic": _topic(frozen["step"]),
                **({"amount": amount["amount"], "currency": amount["currency"]} if amount else {}),
            }
        )  # fmt: skip
    return steps


def _stamped(moment: str | None) -> str | None:
    """A stored moment in the card's form."""
    return stamp(datetime.fromisoformat(moment)) if moment else None


def _topic(step: Mapping[str, Any]) -> str | None:
    """As `card.topic_of`, of a stored step."""
    return next((step[name] for name in ("question", "topic", "reason") if step.get(name)), None)


def approval_document(
    desk: Desk, approval: Approval, actions: Sequence[Action], document: Mapping[str, Any]
) -> dict[str, Any]:
    """State, money moved and every step with its receipt or reason."""
    filed = next((a for a in actions if a.kind == "file_issue" and a.state == "done"), None)
    return {
        "id": approval.id,
        "ticket_id": approval.ticket_id,
        "state": approval.state,
        "reason": approval.reason,
        "says": SAYS.get(approval.reason or "", None),
        "by": approval.agent_name,
        "at": stamp(approval.created_at),
        "finished_at": stamp(approval.finished_at),
        "money_moved": money_moved(actions),
        "money_pending": money_pending(actions),
        "hold_until": stamp(approval.hold_until) if approval.state == "holding" else None,
        "steps": [_step(action) for action in actions if action.kind != "public_reply"],
        "reply": _reply(desk, approval, actions, document),
        "issue": {"number": int(filed.receipt["object"]), "url": filed.receipt.get("status")}
        if filed and filed.receipt
        else None,
    }


def _step(action: Action) -> dict[str, Any]:
    receipt = None
    if action.state == "done" and action.receipt:
        receipt = {
            "object": action.receipt.get("object"),
            "at": stamp(datetime.fromisoformat(action.receipt["at"])),
            "status": action.receipt.get("status"),
        }
        refund = action.receipt.get("object") if action.kind == "refund_charge" else action.receipt.get("refund")
        if refund:
            receipt["refund"] = refund
    undoable = action.state == "done" and action.kind in UNDOABLE
    return {
        "id": action.step_id, "kind": action.kind, "state": action.state, "receipt": receipt, "reason": action.reason,
        "says": SAYS.get(action.reason or "", None), "undoable": undoable,
    }  # fmt: skip


UNDOABLE = frozenset(
    {"schedule_cancellation", "undo_cancellation", "hold_invoice", "pause_collection", "resume_collection"}
)


def _reply(desk: Desk, approval: Approval, actions: Sequence[Action], document: Mapping[str, Any]) -> dict[str, Any]:
    state = approval.reply_state
    settled = state in {"ready", "sent"}
    body = reply_body(desk, approval, actions, document) if settled else str(approval.follow_up["body"])
    return {"deliver": approval.follow_up["deliver"], "body": body, "state": state}


def read_approval(
    desk: Desk, connection: sa.Connection, approval_id: str
) -> tuple[Approval, tuple[Action, ...]] | None:
    approval = approvals.read(connection, approval_id)
    return (approval, approvals.actions(connection, approval_id)) if approval else None
