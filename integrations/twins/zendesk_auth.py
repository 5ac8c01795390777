"""Who is calling Zendesk, and with which scopes?  OAuth client credentials, and e-mail/token until that ends."""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from integrations.twins.server import Request, Response
from integrations.twins.zendesk_desk import Desk, Thing, text_of
from integrations.twins.zendesk_rules import TOKEN_REQUEST, Refused, known_keys, not_authenticated, token_refused

API_TOKENS_END = datetime(2027, 4, 30, tzinfo=UTC)
RESOURCES = frozenset(
    "tickets users auditlogs organizations hc apps triggers automations targets webhooks macros requests "
    "satisfaction_ratings dynamic_content any_channel web_widget zis".split()
)
KNOWN_SCOPES = frozenset({"read", "write", "impersonate"}) | {
    f"{resource}:{verb}" for resource in RESOURCES for verb in ("read", "write")
}
ANONYMOUS: Thing = {
    "id": None,
    "url": None,
    "name": "Anonymous user",
    "email": "invalid@example.com",
    "role": "end-user",
    "active": False,
    "suspended": False,
    "verified": False,
    "locale": "en-US",
    "ticket_restriction": "requested",
    "only_private_comments": False,
}


def add_client(desk: Desk, now: datetime, identifier: str, secret: str, user_id: int) -> None:
    """A confidential local OAuth client; its tokens act as `user_id`."""
    desk.clients[identifier] = {
        "id": desk.number(),
        "identifier": identifier,
        "secret": secret,
        "user_id": user_id,
        "created_at": text_of(now),
    }


def grant_token(desk: Desk, request: Request, now: datetime) -> Response:
    """POST /oauth/tokens. Unknown scopes are dropped without a word: such a token then gets 403 everywhere."""
    wanted = _token_request(request)
    client = desk.clients.get(str(wanted.get("client_id")))
    if wanted.get("grant_type") != "client_credentials":
        says = "The authorization grant type is not supported by the authorization server."
        raise Refused(400, {"error": "unsupported_grant_type", "error_description": says})
    if client is None or client["secret"] != wanted.get("client_secret"):
        says = "Client authentication failed due to unknown client, no client authentication included, or unsupported "
        raise Refused(401, {"error": "invalid_client", "error_description": says + "authentication method."})
    life = wanted.get("expires_in", 1800)
    if isinstance(life, bool) or not isinstance(life, int) or not 300 < life < 172_800:
        raise Refused(400, {"error": "invalid_request", "error_description": "expires_in is out of range"})
    scopes = [scope for scope in str(wanted.get("scope", "")).split() if scope in KNOWN_SCOPES]
    value = "zdt_" + secrets.token_hex(30)
    desk.tokens[value] = {
        "id": desk.number(),
        "user_id": client["user_id"],
        "client_id": client["id"],
        "scopes": scopes,
        "created_at": text_of(now),
        "expires": now + timedelta(seconds=life),
    }
    return Response(
        201,
        {
            "access_token": value,
            "token_type": "bearer",
            "scope": " ".join(scopes),
            "expires_in": life,
            "refresh_token": None,
            "refresh_token_expires_in": None,
        },
    )


def _token_request(request: Request) -> dict[str, Any]:
    if "json" not in request.headers.get("content-type", ""):
        raise Refused(415, {"error": "invalid_request", "error_description": "Content-Type must be application/json"})
    try:
        return known_keys(request.json(), TOKEN_REQUEST, "body")
    except ValueError:
        raise Refused(400, {"error": "invalid_request", "error_description": "The body is not JSON"}) from None


def authenticate(desk: Desk, request: Request, now: datetime) -> tuple[Thing, frozenset[str]]:
    """The acting user and the token's scopes; the anonymous user when nothing, or a password, was sent."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    match kind.lower():
        case "":
            return ANONYMOUS, frozenset()
        case "bearer":
            token = desk.tokens.get(value.strip())
            if token is None or token["expires"] <= now:
                raise token_refused()
            return desk.users[token["user_id"]], frozenset(token["scopes"])
        case "basic":
            return _basic(desk, value, now), frozenset({"read", "write"})
        case _:
            raise not_authenticated()


def _basic(desk: Desk, value: str, now: datetime) -> Thing:
    try:
        name, _, token = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        raise not_authenticated() from None
    if not name.endswith("/token"):
        return ANONYMOUS  # passwords are no longer accepted; users/me still answers 200
    user = desk.by_email(name.removesuffix("/token"))
    if user is None or token not in desk.api_tokens or now >= API_TOKENS_END:
        raise not_authenticated()
    return user


def allows(scopes: frozenset[str], wanted: str) -> bool:
    """`wanted` is resource:verb, or a bare verb where Zendesk demands the global scope."""
    return not wanted or wanted in scopes or wanted.rpartition(":")[2] in scopes


def current_token(desk: Desk, request: Request) -> Response:
    value = request.headers.get("authorization", "").partition(" ")[2].strip()
    token = desk.tokens.get(value)
    if token is None:
        raise Refused(404, {"error": "RecordNotFound", "description": "Not found"})
    shown = {name: token[name] for name in ("id", "user_id", "client_id", "scopes", "created_at")}
    return Response(
        200,
        {
            "token": shown
            | {
                "url": f"https://{desk.subdomain}.zendesk.com/api/v2/oauth/tokens/{token['id']}.json",
                "token": value[:10],
                "refresh_token": None,
                "used_at": token["created_at"],
                "expires_at": text_of(token["expires"]),
            }
        },
    )
