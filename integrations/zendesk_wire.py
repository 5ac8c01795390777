"""How does a call reach Zendesk with valid credentials, and how is its answer read?"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from marshmallow import Schema, ValidationError

from integrations.errors import Unauthorized
from integrations.http import Door
from integrations.replies import Call, Refusal, Reply, plain_dialect
from integrations.settings import Settings
from integrations.tokens import Granted, TokenCache
from integrations.zendesk_schemas import (
    AppInstallationSchema,
    AppJobSchema,
    CommentSchema,
    GroupMembershipSchema,
    GroupSchema,
    TicketFieldSchema,
    TicketSchema,
    TriggerSchema,
    UserIdentitySchema,
    UserSchema,
    WebhookSchema,
)

SCOPES = frozenset({"tickets:read", "tickets:write", "users:read"})
_ASSUMED_LIFE = 1800.0  # seconds, when the answer leaves `expires_in` empty
_OUR_SHARE = 0.8  # of what the account grants; other apps call it too

_SCHEMAS: dict[str, Schema] = {
    "ticket": TicketSchema(),
    "comment": CommentSchema(),
    "user": UserSchema(),
    "identity": UserIdentitySchema(),
    "membership": GroupMembershipSchema(),
    "group": GroupSchema(),
    "webhook": WebhookSchema(),
    "ticket_field": TicketFieldSchema(),
    "trigger": TriggerSchema(),
    "installation": AppInstallationSchema(),
    "job": AppJobSchema(),
}
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthClient:
    """Client-credentials grant of a confidential OAuth client, tied to a dedicated service agent."""

    client_id: str
    client_secret: str = field(repr=False)
    scopes: frozenset[str] = SCOPES


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """Legacy: an agent's address with an API token. Zendesk stops accepting these on 2027-04-30."""

    email: str = field(repr=False)
    token: str = field(repr=False)


def configured(settings: Settings, scopes: frozenset[str]) -> OAuthClient | ApiToken:
    """The credentials that the settings name; an OAuth client counts before a token, which knows no scopes."""
    if not settings.zendesk_oauth_client_id:
        return ApiToken(email=settings.zendesk_email, token=settings.zendesk_api_token)
    return OAuthClient(
        client_id=settings.zendesk_oauth_client_id,
        client_secret=settings.zendesk_oauth_client_secret,
        scopes=scopes,
    )


class ZendeskWire:
    """Sends calls of one account, keeps its access token, follows its cursors."""

    def __init__(self, door: Door, credentials: OAuthClient | ApiToken) -> None:
        self.door, self._credentials = door, credentials
        self._tokens = TokenCache(self._fetch_token)
        self._granted = ""

    def send(self, call: Call) -> Reply:
        """Sends with credentials; a rejected token is replaced once, which is safe: a 401 did nothing."""
        if isinstance(self._credentials, ApiToken):
            pair = f"{self._credentials.email}/token:{self._credentials.token}"
            return self._with(call, f"Basic {base64.b64encode(pair.encode()).decode()}")
        granted = self._tokens.current()
        try:
            return self._with(call, f"Bearer {granted.token}")
        except Unauthorized:
            self._tokens.drop(granted)
        return self._with(call, f"Bearer {self._tokens.current().token}")

    def _with(self, call: Call, authorization: str) -> Reply:
        headers = {**call.headers, "Authorization": authorization}
        reply = self.door.send(replace(call, headers=headers, dialect=self._dialect))
        granted = reply.headers.get("x-rate-limit", "")
        if granted != self._granted and granted.isdecimal() and int(granted) > 0:
            # Plans differ from 200 to 2,500 a minute; the rest is for the account's other apps.
            self._granted = granted
            self.door.learn(int(granted) / 60 * _OUR_SHARE)
        return reply

    def _dialect(self, reply: Reply) -> Refusal:
        refusal = zendesk_dialect(reply)
        if reply.status == 403 and isinstance(self._credentials, OAuthClient):
            missing = missing_scopes(self.wanted_scopes(), self._tokens.current().scopes)
            return replace(refusal, permission=min(missing, default=None))
        return refusal

    def wanted_scopes(self) -> frozenset[str]:
        return self._credentials.scopes if isinstance(self._credentials, OAuthClient) else frozenset()

    def _fetch_token(self) -> Granted:
        client = self._credentials
        if not isinstance(client, OAuthClient):
            raise TypeError("an API token is not exchanged")
        body = {
            "grant_type": "client_credentials",
            "client_id": client.client_id,
            "client_secret": client.client_secret,
            "scope": " ".join(sorted(client.scopes)),
        }
        call = Call(method="POST", path="/oauth/tokens", body=body, idempotent=True, dialect=zendesk_dialect)
        reply = self.door.send(call)
        answer = reply.as_object()
        token, seconds, scope = (answer.get(key) for key in ("access_token", "expires_in", "scope"))
        if not isinstance(token, str) or not token:
            reply.garbled()
        life = float(seconds) if isinstance(seconds, int) and seconds > 0 else _ASSUMED_LIFE
        return Granted(token=token, seconds=life, scopes=frozenset(scope.split() if isinstance(scope, str) else ()))

    def pages(self, call: Call, key: str, schema: str, kind: type[T], most: int) -> tuple[T, ...]:
        """Follows cursors, never an address out of an answer."""
        found: list[T] = []
        cursor: Mapping[str, str | int] = {}
        for _ in range(most):
            reply = self.send(replace(call, query={**call.query, "page[size]": 100, **cursor}))
            rows = reply.as_object().get(key)
            if not isinstance(rows, list):
                reply.garbled()
            found.extend(loaded(reply, schema, row, kind) for row in rows)
            meta = reply.as_object().get("meta")
            after = meta.get("after_cursor") if isinstance(meta, dict) and meta.get("has_more") else None
            if not isinstance(after, str):
                break
            cursor = {"page[after]": after}
        return tuple(found)


def missing_scopes(wanted: frozenset[str], granted: frozenset[str]) -> frozenset[str]:
    """The wanted scopes that were not granted; `read` and `write` cover all that end so."""
    return frozenset(scope for scope in wanted if scope not in granted and scope.rpartition(":")[2] not in granted)


def zendesk_dialect(reply: Reply) -> Refusal:
    """Zendesk's four error envelopes, and where it says when to come back."""
    refusal = plain_dialect(reply)
    if isinstance(reply.body, dict) and reply.status == 422:
        details = reply.body.get("details")
        if isinstance(details, dict) and "status" in details:
            refusal = replace(refusal, code="ticket_closed")
    if refusal.retry_after is None and (reset := reply.headers.get("ratelimit-reset", "")).isdecimal():
        refusal = replace(refusal, retry_after=min(float(reset), 3600.0))
    return refusal


def one(reply: Reply, key: str | None, schema: str, kind: type[T]) -> T:
    body = reply.as_object()
    return loaded(reply, schema, body if key is None else body.get(key), kind)


def loaded(reply: Reply, schema: str, row: object, kind: type[T]) -> T:
    if not isinstance(row, dict):
        reply.garbled()
    try:
        value = _SCHEMAS[schema].load(row)
    except ValidationError:
        reply.garbled()
    return value if isinstance(value, kind) else reply.garbled()
