"""How does Zendesk call out?  Signed webhook deliveries of both kinds, retries, signed first page loads."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from integrations.twins.outgoing import Attempt, post
from integrations.twins.zendesk_desk import Desk, Thing, text_of

TIMEOUT = 10.0
TRIES = 5
TRIES_CONFLICT = 3
BUILDER_KEY = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="  # the documented secret of the builder's test button
EVENT, TRIGGER = "zen:event-type:ticket.created", "conditional_ticket_events"


@dataclass(slots=True)
class Delivery:
    """One invocation of a webhook with all its tries."""

    invocation_id: str
    ticket_id: int
    kind: str
    url: str
    body: bytes
    headers: dict[str, str]
    webhook_id: str
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def status(self) -> int | None:
        return self.attempts[-1].status if self.attempts else None

    def as_json(self) -> Thing:
        return {
            "invocation_id": self.invocation_id,
            "ticket_id": self.ticket_id,
            "kind": self.kind,
            "url": self.url,
            "webhook_id": self.webhook_id,
            "body": self.body.decode("utf-8", "replace"),
            "attempts": [{"status": each.status, "error": each.error} for each in self.attempts],
        }


def sign(secret: str, timestamp: str, body: bytes) -> str:
    return base64.b64encode(hmac.new(secret.encode(), timestamp.encode() + body, hashlib.sha256).digest()).decode()


def event_body(desk: Desk, ticket: Thing, now: datetime, *, actor_id: int | None = None, kind: str = EVENT) -> bytes:
    """The fixed body of an event subscription: ids are strings, enumerations are upper case."""

    def shout(value: Any) -> Any:
        return str(value).upper() if value is not None else None

    def number(value: Any) -> str | None:
        return str(value) if value is not None else None

    detail = {
        "actor_id": number(actor_id or ticket["submitter_id"]),
        "assignee_id": number(ticket["assignee_id"]),
        "brand_id": number(ticket["brand_id"]),
        "created_at": ticket["created_at"],
        "custom_status": number(ticket["custom_status_id"]),
        "description": ticket["description"],
        "external_id": ticket["external_id"],
        "form_id": number(ticket["ticket_form_id"]),
        "group_id": number(ticket["group_id"]),
        "id": str(ticket["id"]),
        "is_public": ticket["is_public"],
        "organization_id": number(ticket["organization_id"]),
        "priority": shout(ticket["priority"]),
        "requester_id": number(ticket["requester_id"]),
        "status": shout(ticket["status"]),
        "subject": ticket["subject"],
        "submitter_id": number(ticket["submitter_id"]),
        "tags": ticket["tags"],
        "type": shout(ticket["type"]),
        "updated_at": ticket["updated_at"],
        "via": {"channel": ticket["via"]["channel"]},
    }
    return json.dumps(
        {
            "account_id": desk.account_id,
            "id": str(uuid.uuid4()),
            "type": kind,
            "time": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z",
            "subject": f"zen:ticket:{ticket['id']}",
            "zendesk_event_version": "2022-11-06",
            "detail": detail,
            "event": {},
        }
    ).encode()


def trigger_body(ticket_id: int) -> bytes:
    return json.dumps({"ticket_id": str(ticket_id), "source": "trigger"}).encode()


def prepare(
    desk: Desk,
    ticket: Thing,
    url: str,
    now: datetime,
    *,
    kind: str = "event",
    secret: str,
    webhook_id: str,
    invocation_id: str | None = None,
    timestamp: str | None = None,
    body: bytes | None = None,
    actor_id: int | None = None,
) -> Delivery:
    """A rightly signed delivery that has not been sent."""
    if kind not in {"event", "trigger"}:
        raise ValueError(f"kind is event or trigger, not {kind}")
    if body is None:
        fixed = event_body(desk, ticket, now, actor_id=actor_id)
        body = fixed if kind == "event" else trigger_body(ticket["id"])
    timestamp, invocation_id = timestamp or text_of(now), invocation_id or uuid.uuid4().hex.upper()
    headers = {
        "User-Agent": "Zendesk Webhook",
        "Content-Type": "application/json; charset=utf-8",
        "Accept": "*/*",
        "x-zendesk-account-id": str(desk.account_id),
        "x-zendesk-webhook-id": webhook_id,
        "x-zendesk-webhook-invocation-id": invocation_id,
        "x-zendesk-webhook-signature-timestamp": timestamp,
        "x-zendesk-webhook-signature": sign(secret, timestamp, body),
    }
    return Delivery(invocation_id, ticket["id"], kind, url, body, headers, webhook_id)


def spoil(delivery: Delivery, how: str) -> None:
    """Break a rightly signed delivery in one named way."""
    headers = delivery.headers
    match how:
        case "body":
            delivery.body = delivery.body[:-1] + bytes([delivery.body[-1] ^ 1])
        case "signature":
            headers["x-zendesk-webhook-signature"] = base64.b64encode(b"\0" * 32).decode()
        case "timestamp":
            held = datetime.fromisoformat(headers["x-zendesk-webhook-signature-timestamp"])
            headers["x-zendesk-webhook-signature-timestamp"] = text_of(held.replace(second=(held.second + 1) % 60))
        case "account":
            headers["x-zendesk-account-id"] = "1"
        case _ if how.startswith("without "):
            del headers[how.removeprefix("without ")]
        case _:
            raise ValueError(f"unknown way to tamper: {how}")


def send(
    delivery: Delivery,
    *,
    retries: bool,
    wait: Callable[[float], object],
    timeout: float = TIMEOUT,
    context: ssl.SSLContext | None = None,
) -> None:
    """Try, and try again after 409, 429 or 503 with Retry-After, or silence; every try is kept on the delivery."""
    while True:
        attempt = post(delivery.url, delivery.headers, delivery.body, timeout, context)
        delivery.attempts.append(attempt)
        tries = len(delivery.attempts)
        match attempt.status:
            case None if attempt.error == "TimeoutError":
                again, pause = tries < TRIES, 1.0
            case 409:
                again, pause = tries < TRIES_CONFLICT, 1.0
            case 429 | 503 if (attempt.retry_after or "").isdigit() and int(attempt.retry_after or 0) < 60:
                again, pause = tries < TRIES, float(attempt.retry_after or 0)
            case _:
                return
        if not retries or not again:
            return
        wait(pause)


# -- the signed first page load ------------------------------------------------------------------------------
def launch_token(
    desk: Desk,
    agent_id: int,
    installation_id: int,
    now: datetime,
    *,
    key: rsa.RSAPrivateKey,
    leave_out: tuple[str, ...],
    headers: dict[str, Any] | None,
    overrides: Mapping[str, Any],
) -> str:
    host, seconds = f"{desk.subdomain}.zendesk.com", int(now.timestamp())
    claims: Thing = {
        "aud": f"https://{host}/api/v2/apps/installations/{installation_id}.json",
        "iss": host,
        "sub": f"https://{host}/api/v2/users/{agent_id}.json",
        "iat": seconds,
        "exp": seconds + 300,
        "jti": uuid.uuid4().hex,
        "context": {"product": "support", "location": "ticket_sidebar"},
    } | dict(overrides)
    kept = {name: value for name, value in claims.items() if name not in leave_out}
    return jwt.encode(kept, key, algorithm="RS256", headers=headers)
