"""What do we write on the ticket? One note when it was read, one when a plan has run, and the reply if so approved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from billing.decision import Decision
from billing.money import Money
from billing.plan import Receipt
from billing.replies import LINKS
from billing.reply import fill_links, final, same_words, untrue
from billing.steps import KINDS
from integrations.errors import Forbidden, OutsideError, Refused, Unauthorized
from integrations.store import approvals, cards
from integrations.store.approvals import Action, Approval
from integrations.zendesk_client import TicketUpdate, escape_html
from zendesk import in_step
from zendesk.card import state_of
from zendesk.desk import Desk
from zendesk.plans import thaw


class Writer:
    """Writes to Zendesk for an approval; outcomes are receipts, as for Stripe."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def perform(self, approval: Approval, action: Action, card_state: str) -> Receipt:
        """The step's note or reply, in one safe update that carries the action's id; `card_state` as the run ends."""
        with self._desk.engine.connect() as connection:
            stored = cards.read(connection, approval.ticket_id)
            actions = approvals.actions(connection, approval.id)
        document = stored.document if stored and stored.document else {}
        if action.kind == "public_reply" and untrue_now(approval, actions):
            return Receipt(step_id=action.step_id, outcome="refused", reason="reply_claims")
        try:
            if action.kind == "public_reply":
                reply = paragraphs(reply_body(self._desk, approval, actions, document))
                written = self._update(approval, action, public_reply_html=reply)
            else:
                written = self._note(approval, action, stored, _run_note(document, approval, actions), card_state)
        except OutsideError as error:
            return _failed(action, error)
        return Receipt(step_id=action.step_id, outcome="done", object=str(written.audit_id or approval.ticket_id))

    def _note(
        self, approval: Approval, action: Action, stored: cards.StoredCard | None, html: str, card_state: str
    ) -> TicketUpdate:
        """The note brings tags and fields as they will stand; should the run end otherwise, `in_step` mends it."""
        document = stored.document if stored and stored.document else {}
        tags = ("billing_desk", f"billing_{document.get('decision', {}).get('bucket', 'undecided')}")
        standing = None
        if stored is not None and self._desk.policy.write:
            with self._desk.engine.connect() as connection:
                standing = in_step.wanted(self._desk, connection, replace(stored, state=card_state))
        if stored is None or standing is None:
            return self._update(approval, action, note_html=html, add_tags=tags)
        brought = {"add_tags": tags} | in_step.change(stored.written, standing)
        try:
            written = self._update(approval, action, note_html=html, **brought)
        except Refused as error:
            if error.retryable or error.unknown_outcome:
                raise
            # A field that somebody deleted does not cost the note.
            return self._update(approval, action, note_html=html, add_tags=tags)
        if not written.repeated:  # else the note stands from an earlier attempt, perhaps without the fields
            with self._desk.engine.begin() as connection:
                cards.change(connection, approval.ticket_id, self._desk.now(), version=None, written=standing)
        return written

    def _update(self, approval: Approval, action: Action, **change: Any) -> TicketUpdate:
        return self._desk.zendesk.update_ticket(
            approval.ticket_id, operation_id=action.id, stage=action.kind, look_first=action.sent_at is not None,
            **change,
        )  # fmt: skip

    def look(self, approval: Approval, action: Action) -> Receipt | None:
        """The receipt of an earlier write of this action; None when the ticket shows none. Raises OutsideError."""
        found = self._desk.zendesk.find_operation(approval.ticket_id, action.id)
        if found is None:
            return None
        return Receipt(step_id=action.step_id, outcome="done", object=str(found.audit_id or found.id))


def reply_body(desk: Desk, approval: Approval, actions: Sequence[Action], document: Mapping[str, Any]) -> str:
    """What the customer is told: the agent's own words, or ours bound to the receipts.

    Ours are told where nothing was edited, and where the agent's words turned out not to be true.
    """
    body, facts = str(approval.follow_up["body"]), approval.follow_up.get("facts")
    if facts and (not edited(approval.follow_up) or untrue_now(approval, actions)):
        body = final(facts, receipts_of(actions), desk.policy)
    return fill_links(body, desk.links(thaw(approval.plan), document))


def edited(follow_up: Mapping[str, Any]) -> bool:
    """Whether the agent changed the reply that we drafted."""
    return not same_words(str(follow_up.get("body", "")), str(follow_up.get("planned", "")))


def untrue_now(approval: Approval, actions: Sequence[Action]) -> tuple[str, ...]:
    """What an edited reply says against the receipts: its steps were approved, and one of them did not happen."""
    facts = approval.follow_up.get("facts")
    if not facts or not edited(approval.follow_up):
        return ()
    return untrue(str(approval.follow_up["body"]), facts, receipts_of(actions))


def receipts_of(actions: Sequence[Action]) -> tuple[Receipt, ...]:
    """The outcome of every step as the reply may state it; what did not happen is there too, as what it is."""
    return tuple(
        Receipt(
            step_id=action.step_id, outcome=action.state, object=(action.receipt or {}).get("object"),
            status=(action.receipt or {}).get("status"), reason=action.reason,
            at=datetime.fromisoformat(action.receipt["at"]) if action.receipt else None,
        )
        for action in actions
    )  # fmt: skip


def enrichment_note(decision: Decision, sections: Mapping[str, Sequence[str]]) -> str:
    """The internal note of a ticket that was just read: the handoff's six parts as HTML."""
    heading = "Needs a person" if state_of(decision) == "needs_human" else decision.headline
    return f"<p><b>Billing: {escape_html(heading)}</b></p>" + sections_html(sections)


def paragraphs(text: str) -> str:
    """Plain text as HTML paragraphs, everything in it escaped."""
    blocks = [block.strip() for block in text.replace("\r\n", "\n").split("\n\n") if block.strip()]
    return "".join(f"<p>{escape_html(block).replace(chr(10), '<br>')}</p>" for block in blocks)


def _run_note(document: Mapping[str, Any], approval: Approval, actions: Sequence[Action]) -> str:
    sections = dict(document.get("handoff", {}).get("sections", {}))
    sections["ACTION TAKEN"] = [_told(approval, action) for action in actions if action.kind != "public_reply"]
    return f"<p><b>Billing: approved by {escape_html(approval.agent_name)}</b></p>" + sections_html(sections)


def _told(approval: Approval, action: Action) -> str:
    planned = next((s for s in approval.plan["steps"] if s["id"] == action.step_id), None)
    title = planned["title"] if planned else action.kind.replace("_", " ")
    if action.kind == "write_internal_note":
        return "This note"
    amount = f", {Money(action.amount, action.currency).plain()}" if action.amount and action.currency else ""
    receipt = (action.receipt or {}).get("object")
    if action.state == "done":
        done = planned["done"] if planned else title
        return f"{done}{amount}" + (f" ({receipt})" if receipt and KINDS[action.kind].moves else "")
    states = {"pending": "not yet", "sending": "under way", "refused": "refused"}
    return f"{title}{amount}: {states.get(action.state, action.state)}" + (
        f" ({action.reason})" if action.reason else ""
    )


def sections_html(sections: Mapping[str, Sequence[str]]) -> str:
    parts = []
    for name, lines in sections.items():
        items = "".join(f"<li>{escape_html(_without_fields(line))}</li>" for line in lines)
        parts.append(f"<p><b>{escape_html(name)}</b></p><ul>{items}</ul>")
    return "".join(parts)


def _without_fields(line: str) -> str:
    """A link that will stand in the reply is not known yet; in a note its name in brackets does."""
    for name in LINKS:
        line = line.replace("{" + name + "}", f"[{name.replace('_', ' ')}]")
    return line


def _failed(action: Action, error: OutsideError) -> Receipt:
    if isinstance(error, Refused) and not error.retryable and not error.unknown_outcome:
        ours = isinstance(error, Unauthorized | Forbidden)  # about our credentials, whatever code Zendesk gives
        reason = (None if ours else error.code) or f"zendesk_{error.status}"
        return Receipt(step_id=action.step_id, outcome="refused", reason=reason[:80])
    return Receipt(step_id=action.step_id, outcome="unknown", reason=error.kind.replace(" ", "_"))
