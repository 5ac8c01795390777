"""What does Zendesk's webhook get? A durable acceptance before the answer, or a clear no.

Both body kinds only say "go and look at ticket N": nothing else in them is believed, stored or acted on.
"""

from __future__ import annotations

import hashlib
from typing import Any

from flask import Blueprint, Response, request
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate
from sqlalchemy.exc import SQLAlchemyError

from integrations.jobs import Job
from integrations.store import cards, deliveries
from zendesk.answers import distrusted, misshapen, not_stored, read_object, said
from zendesk.desk import Desk
from zendesk.signatures import Untrusted, check_webhook

HEADERS = ("x-zendesk-webhook-signature", "x-zendesk-webhook-signature-timestamp", "x-zendesk-account-id")
_TICKET = validate.Range(min=1, max=2**63 - 1)
_PLAIN = validate.Regexp(r"[!-~]{1,100}\Z")  # what both databases can hold as a key


class Whole(fields.Int):
    """An id: a whole number, or its decimal digits as a string (events write ids as strings)."""

    def _validated(self, value: Any) -> int:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
            value = int(value)
        return super()._validated(value)


class _Detail(Schema):
    class Meta:
        unknown = EXCLUDE

    id = Whole(strict=True, required=True, validate=_TICKET)


class EventSchema(Schema):
    """Kind A: an event subscription (`zen:event-type:ticket.created`)."""

    class Meta:
        unknown = EXCLUDE

    zendesk_event_version = fields.Str(required=True)
    id = fields.Str(required=True, validate=_PLAIN)
    type = fields.Str(required=True, validate=validate.Length(1, 100))
    detail = fields.Nested(_Detail, required=True)


class TriggerSchema(Schema):
    """Kind B: a trigger's own small body."""

    class Meta:
        unknown = EXCLUDE

    ticket_id = Whole(strict=True, required=True, validate=_TICKET)
    source = fields.Str(load_default="trigger", validate=validate.Length(max=40))


_EVENT, _TRIGGER = EventSchema(), TriggerSchema()


def blueprint(desk: Desk) -> Blueprint:
    routes = Blueprint("webhook", __name__)

    @routes.post("/webhooks/zendesk")
    def zendesk() -> Response:
        body = request.get_data(cache=False)
        for name in HEADERS[:2]:
            if len(request.headers.getlist(name)) > 1:
                return distrusted("doubled_header")
        lower = {name.lower(): value for name, value in request.headers.items()}
        try:
            check_webhook(desk.settings.zendesk_webhook_secrets, lower, body, desk.now())
        except Untrusted as reason:
            return distrusted(str(reason))
        try:
            ticket_id, key = _read(body, lower.get("x-zendesk-webhook-invocation-id"), lower[HEADERS[1]])
        except ValueError:
            return misshapen("The body is none of the two shapes that Zendesk sends.")
        return _accept(desk, ticket_id, key)

    return routes


def _accept(desk: Desk, ticket_id: int, key: str) -> Response:
    """202 once it is durable, 200 for one that was seen, 503 when the store cannot."""
    try:
        with desk.engine.begin() as connection:
            body = {"ticket_id": ticket_id}
            identifier = deliveries.accept(
                connection, source="zendesk", key=key, ticket_id=ticket_id, body=body, now=desk.now()
            )
            if identifier is None:
                return said({"status": "already_seen"}, 200)
            ask(desk, connection, ticket_id)
            deliveries.finish(connection, identifier, "done")
    except SQLAlchemyError as error:
        return not_stored(error)
    return said({"status": "accepted", "delivery_id": identifier}, 202)


def ask(desk: Desk, connection: Any, ticket_id: int) -> None:
    """Enqueue a reading of the ticket in the open transaction."""
    number = cards.ask_for(connection, ticket_id, desk.now())
    argument = f"{ticket_id}:{number}"
    desk.queue.put(
        connection, Job(queue="enrich", key=f"enrich:{argument}", argument=argument, partition=str(ticket_id))
    )


def _read(body: bytes, invocation: str | None, sent: str) -> tuple[int, str]:
    """Ticket, and the key that makes this delivery count once. ValueError for anything else.

    A trigger says the same each time: without an invocation's id only the moment it was signed tells two runs apart.
    """
    document = read_object(body)
    try:
        if "zendesk_event_version" in document:
            event = _EVENT.load(document)
            return event["detail"]["id"], f"event:{event['id']}"
        trigger = _TRIGGER.load(document)
    except ValidationError as error:
        raise ValueError("unknown shape") from error
    named = invocation or hashlib.sha256(sent.encode() + body).hexdigest()
    return trigger["ticket_id"], f"trigger:{trigger['ticket_id']}:{named}"
