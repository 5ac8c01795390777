"""What does Stripe's webhook get, and what does it start? A durable acceptance, and another look at what it names.

Nothing in an event is believed: it only names a customer, a charge or a refund. Cards that show it are read again, and
a refund of ours is asked about. Events may come late, twice or in any order; correctness never depends on them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, request
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate
from sqlalchemy.exc import SQLAlchemyError

from integrations.jobs import Job
from integrations.store import approvals, cards, deliveries
from integrations.stripe_wire import MARK
from zendesk.answers import distrusted, misshapen, not_stored, read_object, refused, said
from zendesk.desk import Desk
from zendesk.enrichment import EVENT
from zendesk.refusals import Refusal
from zendesk.signatures import Untrusted, check_stripe_webhook

HEADER = "Stripe-Signature"
CALM = 15  # seconds in which all changes of one customer lead to one reading
RECENT = timedelta(days=90)  # cards that are older are read again when their ticket is opened
MOST_TICKETS = 20
REFUND_CHANGES = frozenset({"refund.updated", "refund.failed", "charge.refund.updated"})
_NAMES = re.compile(r"(?:cus|ch|py)_[A-Za-z0-9_]{1,70}")
_REFUND = re.compile(r"(?:re|pyr)_[A-Za-z0-9_]{1,70}")


class _Request(Schema):
    class Meta:
        unknown = EXCLUDE

    idempotency_key = fields.Str(load_default=None, allow_none=True, validate=validate.Length(max=255))


class _Data(Schema):
    class Meta:
        unknown = EXCLUDE

    object = fields.Dict(keys=fields.Str(), required=True)
    previous_attributes = fields.Dict(keys=fields.Str(), load_default=dict, allow_none=True)


class StripeEventSchema(Schema):
    """A snapshot event (`"object": "event"`), of which only names are used."""

    class Meta:
        unknown = EXCLUDE

    id = fields.Str(required=True, validate=validate.Regexp(r"evt_[A-Za-z0-9_]{1,90}\Z"))
    object = fields.Str(required=True, validate=validate.OneOf(["event"]))
    type = fields.Str(required=True, validate=validate.Length(1, 100))
    livemode = fields.Bool(required=True, truthy={True}, falsy={False})
    account = fields.Str(load_default=None, allow_none=True, validate=validate.Length(max=64))
    request = fields.Nested(_Request, load_default=None, allow_none=True)
    data = fields.Nested(_Data, required=True)


_EVENT = StripeEventSchema()
Event = Mapping[str, Any]


def blueprint(desk: Desk) -> Blueprint:
    routes = Blueprint("stripe_events", __name__)

    @routes.post("/webhooks/stripe")
    def stripe() -> Response:
        if not desk.settings.stripe_webhook_secrets:
            return refused(Refusal("not_found", "There is no such address here."))
        body = request.get_data(cache=False)
        signatures = request.headers.getlist(HEADER)
        try:
            if len(signatures) != 1:
                raise Untrusted("missing" if not signatures else "doubled_header")
            check_stripe_webhook(desk.settings.stripe_webhook_secrets, signatures[0], body, desk.now())
        except Untrusted as reason:
            return distrusted(str(reason))
        try:
            event = _read(body)
        except ValueError:
            return misshapen("The body is no event of Stripe's.")
        return _accept(desk, event)

    return routes


def _read(body: bytes) -> Event:
    """The event's names. ValueError for anything else."""
    try:
        return dict(_EVENT.load(read_object(body)))
    except ValidationError as error:
        raise ValueError("not an event") from error


def _accept(desk: Desk, event: Event) -> Response:
    """202 once it is durable, also when it starts nothing; 200 for one that was seen, 503 when the store cannot."""
    try:
        with desk.engine.begin() as connection:
            identifier = deliveries.accept(
                connection, source="stripe", key=event["id"], ticket_id=None,
                body={"type": event["type"], "names": _names(event["data"]["object"])}, now=desk.now(),
            )  # fmt: skip
            if identifier is None:
                return said({"status": "already_seen"}, 200)
            ignored = _why_ignored(desk, connection, event)
            if ignored is None and not _start(desk, connection, event):
                ignored = "nobody_asks"
            deliveries.finish(connection, identifier, "ignored" if ignored else "done", ignored)
    except SQLAlchemyError as error:
        return not_stored(error)
    if ignored:
        return said({"status": "ignored", "reason": ignored, "delivery_id": identifier}, 202)
    return said({"status": "accepted", "delivery_id": identifier}, 202)


def _why_ignored(desk: Desk, connection: sa.Connection, event: Event) -> str | None:
    if event["livemode"] is not ("_live_" in desk.settings.stripe_read_key):
        return "other_mode"
    if event["account"]:
        return "connected_account"
    return "our_own_change" if _ours(connection, event) else None


def _ours(connection: sa.Connection, event: Event) -> bool:
    """Whether a write of ours caused it. An old mark alone says nothing: it stays on what others change later."""
    key = (event["request"] or {}).get("idempotency_key")
    if key:
        return approvals.sent_with(connection, key)
    metadata, before = event["data"]["object"].get("metadata"), event["data"]["previous_attributes"] or {}
    action = metadata.get(MARK) if isinstance(metadata, Mapping) else None
    written = before.get("metadata") if event["type"].endswith(".updated") else {MARK: None}
    fresh = event["type"].endswith((".created", ".updated")) and isinstance(written, Mapping) and MARK in written
    return fresh and isinstance(action, str) and approvals.read_action(connection, action) is not None


def _start(desk: Desk, connection: sa.Connection, event: Event) -> bool:
    """Look again at what the event names; whether there was anything to look at."""
    woken = event["type"] in REFUND_CHANGES and _wake(desk, connection, event)
    return bool(look_again(desk, connection, _names(event["data"]["object"]))) or woken


def look_again(desk: Desk, connection: sa.Connection, names: Sequence[str]) -> tuple[int, ...]:
    """Have the cards read again that show one of these customers or charges; their tickets."""
    tickets = approvals.shown_on(connection, names, desk.now() - RECENT, MOST_TICKETS) if names else ()
    for ticket_id in tickets:
        _read_again(desk, connection, ticket_id)
    return tickets


def _wake(desk: Desk, connection: sa.Connection, event: Event) -> bool:
    """Ask now about a refund of ours, instead of at the ladder's next rung."""
    refund = event["data"]["object"].get("id")
    if not isinstance(refund, str) or not _REFUND.fullmatch(refund):
        return False
    action = approvals.by_refund(connection, refund)
    approval = approvals.read(connection, action.approval_id) if action else None
    if action is None or approval is None:
        return False
    argument = f"{action.id}:{event['id']}"
    partition = approvals.partition(approval.customer, approval.ticket_id)
    desk.queue.put(connection, Job(queue="follow", key=f"follow:{argument}", argument=argument, partition=partition))
    return True


def _names(changed: Mapping[str, Any]) -> list[str]:
    """The customers and charges that the changed object is, or belongs to."""
    found = [changed.get("id"), changed.get("customer"), changed.get("charge")]
    plain = (one.get("id") if isinstance(one, Mapping) else one for one in found)
    return [one for one in plain if isinstance(one, str) and _NAMES.fullmatch(one)]


def _read_again(desk: Desk, connection: sa.Connection, ticket_id: int) -> None:
    """The card is out of date: one reading for all changes of a few seconds, and nothing runs on the old facts."""
    now = desk.now()
    if cards.read(connection, ticket_id) is None:
        return
    cards.ask_for(connection, ticket_id, now)
    approvals.forget_checks(connection, ticket_id)
    span, passed = divmod(now.timestamp(), CALM)
    argument = f"{ticket_id}:{EVENT}{int(span)}"
    desk.queue.put(
        connection,
        Job(queue="enrich", key=f"enrich:{argument}", argument=argument, partition=str(ticket_id), after=CALM - passed),
    )
