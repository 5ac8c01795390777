"""How does a ticket reach a person who decides? An internal note with the six parts, and a tag for views to find it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrations.errors import OutsideError
from integrations.store import audit, cards
from integrations.zendesk_client import escape_html, operation_of
from zendesk.agents import Agent
from zendesk.desk import Desk
from zendesk.notes import sections_html
from zendesk.refusals import Refusal

TAG = "billing_handover"


def hand_over(desk: Desk, ticket_id: int, agent: Agent) -> None:
    """Write the note and the tag once for each state of the card. Raises Refusal when Zendesk does not take it.

    In dry run the hand-over is only recorded.
    """
    with desk.engine.connect() as connection:
        stored = cards.read(connection, ticket_id)
    if stored is None or stored.document is None:
        raise Refusal("not_found", "There is no card for this ticket yet.")
    if not desk.policy.dry_run:
        _write(desk, ticket_id, stored.document, agent)
    now = desk.now()
    with desk.engine.begin() as connection:
        cards.change(connection, ticket_id, now, version=None, state="needs_human")
        audit.append(connection, at=now, actor=f"agent:{agent.id}", event="handed_over", ticket_id=ticket_id, body={})


def _write(desk: Desk, ticket_id: int, document: Mapping[str, Any], agent: Agent) -> None:
    sections = (document.get("handoff") or {}).get("sections", {})
    mark = f"{ticket_id}:{document.get('as_of')}:{agent.id}"
    note = f"<p><b>Billing: handed over by {escape_html(agent.name)}</b></p>{sections_html(sections)}"
    try:
        desk.zendesk.update_ticket(
            ticket_id, operation_id=operation_of(mark), stage="hand_over", note_html=note,
            add_tags=("billing_desk", TAG), look_first=True,
        )  # fmt: skip
    except OutsideError as error:
        raise Refusal("upstream_no_answer", "Zendesk did not take the note. No money moved. Try again.") from error
