"""What happens between a webhook and the card? Read, decide, store, and write one note with tags on the ticket.

`Enriching.turn` is called by the engine until the card is stored; a ticket that cannot be read ends in a card that
says so, never in an error. The note is written once a ticket: its operation id is stored before the call.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from billing.evidence import Requester, TicketText
from billing.reading import read_ticket
from integrations.errors import NotFound, OutsideError, RateLimited, Unauthorized
from integrations.store import approvals, cards
from integrations.zendesk_schemas import Ticket
from zendesk import in_step
from zendesk.card import error_document, to_card
from zendesk.desk import Depth, Desk, Reading
from zendesk.notes import enrichment_note
from zendesk.plans import freeze

log = logging.getLogger(__name__)
TRIES = 5
EVENT = "stripe"  # begins the number of a reading that an event of Stripe's asked for


class Enriching:
    """Argument of a job: `ticket id:request number:try`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._failures: dict[str, int] = {}
        # The phrase rules are compiled here, once: else the first tickets after a start all do it at the same time.
        read_ticket(TicketText(subject="", body="Please refund one of the two charges."), Requester(), None)

    def turn(self, argument: str) -> float | None:
        """Read the ticket and store its card; seconds until the next try, or None."""
        ticket_id = int(argument.partition(":")[0])
        try:
            # The first reading came by itself, or Stripe told of a change; every other one somebody asked for.
            number = argument.partition(":")[2].partition(":")[0]
            first, told = number == "1", number.startswith(EVENT)
            tight = (first or told) and self._desk.reads.tight()
            if told and tight:
                self._leave(ticket_id)
                return None
            depth = Depth.WHOSE if tight else Depth.IF_BILLING if first else Depth.WHOLE
            reading = self._desk.read(ticket_id, depth)
        except OutsideError as error:
            if not isinstance(error, NotFound) or error.service != "zendesk":
                return self._failed(argument, ticket_id, error)
            self._store_error(ticket_id, "ticket_not_found", "Zendesk has no such ticket.")
            return None
        except (DBAPIError, SQLAlchemyError):
            raise  # the store is away: the engine calls again
        except Exception as error:
            # Our own fault, and trying again would only repeat it: the ticket is kept for a person.
            log.exception("reading_failed", extra={"ticket_id": ticket_id, "failure": type(error).__name__})
            self._store_error(ticket_id, "reading_failed", "This ticket could not be read by us. A person has to look.")
            return None
        self._failures.pop(argument, None)
        store_reading(self._desk, reading)
        return self._write_note(reading)

    def _leave(self, ticket_id: int) -> None:
        """The card keeps its older facts and their time; opening it reads, and so does an approval."""
        with self._desk.engine.begin() as connection:
            cards.change(connection, ticket_id, self._desk.now(), version=None)
        log.info("reading_saved", extra={"ticket_id": ticket_id})

    def _failed(self, argument: str, ticket_id: int, error: OutsideError) -> float | None:
        """A card that names what did not answer, at once; then the ladder."""
        failures = self._failures[argument] = self._failures.get(argument, 0) + 1
        service = error.service.capitalize()
        wrong = (
            f"{service} refused our credentials." if isinstance(error, Unauthorized) else f"{service} did not answer."
        )
        self._store_error(ticket_id, f"{error.service}_no_answer", wrong)
        if failures >= TRIES:
            self._failures.pop(argument, None)
            return None
        if isinstance(error, RateLimited) and error.retry_after is not None:
            return min(float(error.retry_after), 300.0)
        return self._desk.ladder[min(failures, len(self._desk.ladder)) - 1].total_seconds()

    def _store_error(self, ticket_id: int, code: str, message: str) -> None:
        now = self._desk.now()
        with self._desk.engine.begin() as connection:
            stored = cards.read(connection, ticket_id)
            if stored is None or stored.state == "applying":
                return
            document = error_document(ticket_id, stored.document, code, message, now)
            cards.change(connection, ticket_id, now, version=stored.version, state="failed", document=document)

    def _write_note(self, reading: Reading) -> float | None:
        """One internal note, once for a ticket, with tags and fields in one update; later only what differs.

        The note's operation id is stored first.
        """
        desk, ticket = self._desk, reading.ticket
        if ticket.status == "closed" or not desk.policy.write or reading.sparing:
            return None
        with desk.engine.begin() as connection:
            stored = cards.read(connection, ticket.id)
            standing = in_step.wanted(desk, connection, stored) if stored else None
            if stored is None or standing is None or (stored.noted_at and standing == stored.written):
                return None
            operation = stored.noted or "op_" + secrets.token_hex(12)
            if stored.noted is None:
                cards.change(connection, ticket.id, desk.now(), version=stored.version, noted=operation)
        try:
            noted = stored.noted_at is not None or self._noted_before(ticket, stored.noted)
            note = enrichment_note(reading.decision, _sections(stored)) if "note" in desk.policy.write else None
            if standing != stored.written or not noted:
                desk.zendesk.update_ticket(
                    ticket.id, note_html=None if noted else note, operation_id=operation, stage="enrich",
                    known=ticket, **in_step.change(stored.written, standing),
                )  # fmt: skip
        except OutsideError as error:
            return 30.0 if error.retryable or error.unknown_outcome else None
        with desk.engine.begin() as connection:
            values = {"written": standing} | ({} if stored.noted_at else {"noted_at": desk.now()})
            cards.change(connection, ticket.id, desk.now(), version=None, **values)
        return None

    def _noted_before(self, ticket: Ticket, operation: str | None) -> bool:
        """Whether our note stands on the ticket: from a try that was cut short, or from before the store was lost."""
        if operation is not None:
            return self._desk.zendesk.find_operation(ticket.id, operation) is not None
        if in_step.OURS not in ticket.tags:
            return False
        comments = self._desk.zendesk.comments(ticket.id, pages=3)
        return any(one.operation and one.operation.stage == "enrich" for one in comments)


def store_reading(desk: Desk, reading: Reading) -> None:
    """Store the card of a fresh reading, unless an approval is running on the present one."""
    document = _card(desk, reading)
    plan = freeze(reading.decision.plan)
    state = document["state"]
    for _ in range(5):
        now = desk.now()
        with desk.engine.begin() as connection:
            stored = cards.read(connection, reading.ticket.id)
            if stored is None:
                cards.ask_for(connection, reading.ticket.id, now)
                continue
            kept = "applying" if stored.state == "applying" else state
            if cards.change(
                connection, reading.ticket.id, now, version=stored.version, state=kept, document=document, plan=plan,
                as_of=reading.decision.snapshot.taken_at,
            ):  # fmt: skip
                approvals.show(connection, reading.ticket.id, _shown(reading), now)
                return


def _shown(reading: Reading) -> set[str]:
    """By these a change at Stripe finds the ticket; the newest charges, since old ones change no more."""
    snapshot = reading.decision.snapshot
    return {one.id for one in snapshot.customers} | {one.id for one in snapshot.charges[:100]}


def _card(desk: Desk, reading: Reading) -> dict[str, Any]:
    gap, filing = reading.decision.gap, desk.filing
    if gap is None or filing is None:
        return to_card(reading.decision, desk.policy)
    return to_card(reading.decision, desk.policy, repository=filing.repository(gap), issue=filing.known(gap))


def _sections(stored: cards.StoredCard) -> Mapping[str, Sequence[str]]:
    sections: Mapping[str, Sequence[str]] = (stored.document or {}).get("handoff", {}).get("sections", {})
    return sections
