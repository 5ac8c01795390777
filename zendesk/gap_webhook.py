"""What does GitHub's webhook get? A durable acceptance before the answer, or a clear no."""

from __future__ import annotations

import re

from flask import Blueprint, Response, request
from sqlalchemy.exc import SQLAlchemyError

from github_issues import webhook
from github_issues.webhook import Event
from integrations.store import deliveries
from zendesk.answers import distrusted, misshapen, not_stored, read_object, refused, said
from zendesk.desk import Desk
from zendesk.gap_news import ask
from zendesk.refusals import Refusal

_DELIVERY = re.compile(r"[A-Za-z0-9-]{1,100}")
_HEADERS = ("X-Hub-Signature-256", "X-GitHub-Delivery", "X-GitHub-Event")


def blueprint(desk: Desk) -> Blueprint:
    routes = Blueprint("gap_webhook", __name__)

    @routes.post("/webhooks/github")
    def github() -> Response:
        secrets = desk.settings.github_webhook_secrets
        if not secrets or desk.filing is None:
            return refused(Refusal("not_found", "GitHub's webhook is not set up here."))
        body = request.get_data(cache=False)
        doubled = any(len(request.headers.getlist(name)) > 1 for name in _HEADERS)
        if doubled or not webhook.trusted(secrets, request.headers.get("X-Hub-Signature-256"), body):
            return distrusted("signature")
        try:
            return _received(desk, body)
        except ValueError:
            return misshapen("The body is not an event of GitHub's as JSON.")

    return routes


def _received(desk: Desk, body: bytes) -> Response:
    """Answer a trusted delivery. Raises ValueError for another shape."""
    document, key = read_object(body), request.headers.get("X-GitHub-Delivery", "")
    kind = request.headers.get("X-GitHub-Event", "")
    if not _DELIVERY.fullmatch(key) or not kind:
        raise ValueError("no delivery id or event")
    if kind == "ping":
        return said({"status": "ignored", "reason": "ping"})
    if kind != "issues":
        return said({"status": "ignored", "reason": "other_event"})
    event = webhook.read(document)
    if event.action not in webhook.ACTIONS:
        return said({"status": "ignored", "reason": "other_action"})
    return _accept(desk, event, key)


def _accept(desk: Desk, event: Event, key: str) -> Response:
    """202 once it is durable, 200 for one that was seen or is not ours, 503 when the store cannot."""
    try:
        with desk.engine.begin() as connection:
            fingerprint = webhook.gap_of(connection, event)
            if fingerprint is None:
                return said({"status": "ignored", "reason": "not_our_issue"})
            body = {"action": event.action, "issue": event.number, "fingerprint": fingerprint}
            identifier = deliveries.accept(
                connection, source="github", key=key, ticket_id=None, body=body, now=desk.now()
            )
            if identifier is None:
                return said({"status": "already_seen"})
            ask(desk, connection, fingerprint, identifier)
            deliveries.finish(connection, identifier, "done")
    except SQLAlchemyError as error:
        return not_stored(error)
    return said({"status": "accepted", "delivery_id": identifier}, 202)
