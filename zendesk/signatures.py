"""Is it really Zendesk who calls, and which agent looks? Webhook signatures, launch tokens and our page tokens.

Webhooks: base64(HMAC-SHA256(secret, timestamp + body)). Launch: an RS256 token in the first form post of the signed
iframe. Pages: our own signed token, because cookies do not survive in the frame.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt
from itsdangerous import BadData, URLSafeSerializer

WINDOW = timedelta(minutes=5)
BUILDER_SECRET = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="  # Zendesk's public test secret: never good enough
TOKEN_BYTES = 8 * 1024
LEEWAY = timedelta(seconds=30)
LONGEST_LAUNCH = timedelta(minutes=10)
PAGE_MINUTES, PAGE_HOURS = timedelta(minutes=15), timedelta(hours=8)
_SUBJECT = re.compile(r"(?:https://[a-z0-9.-]{1,100}/api/v2/users/)?([0-9]{1,19})(?:\.json)?")


class Untrusted(Exception):
    """The caller is not who it must be. The text is a reason code for our log, never shown."""


def check_webhook(
    secrets_: tuple[str, ...], headers: Mapping[str, str], body: bytes, now: datetime, *, account: str | None = None
) -> None:
    """Raise Untrusted unless the delivery carries one right, recent signature. `headers` in lower case."""
    signature = headers.get("x-zendesk-webhook-signature", "")
    stamp = headers.get("x-zendesk-webhook-signature-timestamp", "")
    if not signature or not stamp or "," in signature:
        raise Untrusted("missing")
    try:
        sent = datetime.fromisoformat(stamp)
    except ValueError as error:
        raise Untrusted("timestamp") from error
    if sent.tzinfo is None or abs(now - sent) > WINDOW:
        raise Untrusted("stale")
    known = [secret for secret in secrets_ if secret and secret != BUILDER_SECRET]
    expected = (hmac.new(secret.encode(), stamp.encode() + body, hashlib.sha256).digest() for secret in known)
    # Every secret is compared, and in constant time.
    matches = [hmac.compare_digest(base64.b64encode(one), signature.encode()) for one in expected]
    if not any(matches):
        raise Untrusted("signature")
    if account is not None and headers.get("x-zendesk-account-id") not in {None, account}:
        raise Untrusted("account")


def check_stripe_webhook(secrets_: tuple[str, ...], header: str, body: bytes, now: datetime) -> None:
    """Raise Untrusted unless `Stripe-Signature` holds one recent time and a right signature by one of the secrets.

    `t=seconds,v1=hex[,v1=hex…]`, HMAC-SHA256 over `t.body`: https://docs.stripe.com/webhooks#verify-manually
    """
    if len(header) > 4096:
        raise Untrusted("header_size")
    parts = [part.strip().partition("=") for part in header.split(",")]
    stamps = [value for name, _, value in parts if name == "t"]
    given = [value.encode() for name, _, value in parts if name == "v1"]
    if len(stamps) != 1 or not given:
        raise Untrusted("missing")
    if not (stamps[0].isascii() and stamps[0].isdigit() and len(stamps[0]) <= 12):
        raise Untrusted("timestamp")
    if abs(now.timestamp() - int(stamps[0])) > WINDOW.total_seconds():
        raise Untrusted("stale")
    signed = stamps[0].encode() + b"." + body
    expected = [hmac.new(one.encode(), signed, hashlib.sha256).hexdigest().encode() for one in secrets_ if one]
    # Every pair is compared, and in constant time.
    matches = [hmac.compare_digest(right, one) for right in expected for one in given]
    if not any(matches):
        raise Untrusted("signature")


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Whose launch token is good: the one installation of the one Zendesk."""

    subdomain: str
    installation_id: str
    public_keys: Callable[[], tuple[str, ...]]  # PEM, newest first

    @property
    def audience(self) -> str:
        return f"https://{self.subdomain}.zendesk.com/api/v2/apps/installations/{self.installation_id}.json"


def check_launch(launch: Launch, token: str, now: datetime) -> tuple[int, str]:
    """The agent's id and the token's own id (for use once). Raises Untrusted for anything that is not exactly right."""
    if not token or len(token) > TOKEN_BYTES:
        raise Untrusted("token_size")
    claims = _verified(launch, token)
    issued, expires = claims["iat"], claims["exp"]
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in (issued, expires)):
        raise Untrusted("times")
    moment = now.timestamp()
    leeway = LEEWAY.total_seconds()
    if expires <= moment - leeway or issued > moment + leeway:
        raise Untrusted("expired")
    if moment - issued > WINDOW.total_seconds() + leeway or expires - issued > LONGEST_LAUNCH.total_seconds():
        raise Untrusted("lifetime")
    not_before = claims.get("nbf")
    if not_before is not None and (not isinstance(not_before, int) or not_before > moment + leeway):
        raise Untrusted("not_yet")
    if claims["iss"] not in {f"{launch.subdomain}.zendesk.com", f"https://{launch.subdomain}.zendesk.com"}:
        raise Untrusted("issuer")
    context = claims.get("context")
    if isinstance(context, dict):
        if context.get("product", "support") != "support":
            raise Untrusted("product")
        if context.get("location", "ticket_sidebar") != "ticket_sidebar":
            raise Untrusted("location")
    subject = _SUBJECT.fullmatch(str(claims["sub"]))
    if subject is None:
        raise Untrusted("subject")
    return int(subject.group(1)), str(claims.get("jti") or hashlib.sha256(token.encode()).hexdigest())


def _verified(launch: Launch, token: str) -> dict[str, Any]:
    for key in launch.public_keys():
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=launch.audience,
                options={
                    "require": ["exp", "iat", "iss", "aud", "sub"], "strict_aud": True, "verify_exp": False,
                    "verify_iat": False, "verify_nbf": False, "verify_sub": False,
                },
            )  # fmt: skip
        except jwt.InvalidSignatureError:
            continue
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise Untrusted("token") from error
        return claims
    raise Untrusted("signature")


class PageTokens:
    """Tokens that our page carries: which agent, since when. The first key signs, all verify."""

    def __init__(self, keys: tuple[str, ...], tenant: str) -> None:
        self._signer = URLSafeSerializer(
            list(reversed(keys)), salt="billing-desk.page", signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._tenant = tenant

    def issue(self, agent_id: int, now: datetime, *, since: datetime | None = None) -> str:
        """A token for 15 minutes; `since` is when the agent launched, and eight hours after it no token is good."""
        began = int((since or now).timestamp())
        return str(
            self._signer.dumps(
                {"t": self._tenant, "a": agent_id, "s": began, "i": int(now.timestamp()), "n": secrets.token_hex(4)}
            )
        )

    def check(self, token: str, now: datetime) -> tuple[int, datetime]:
        """The agent's id and when they launched. Raises Untrusted."""
        if not token or len(token) > 2048:
            raise Untrusted("token_size")
        try:
            claims = self._signer.loads(token)
            tenant, agent, began, issued = claims["t"], claims["a"], claims["s"], claims["i"]
        except (BadData, KeyError, TypeError) as error:
            raise Untrusted("token") from error
        moment = now.timestamp()
        if tenant != self._tenant or not isinstance(agent, int):
            raise Untrusted("tenant")
        if not issued - 60 <= moment <= issued + PAGE_MINUTES.total_seconds():
            raise Untrusted("expired")
        if moment > began + PAGE_HOURS.total_seconds():
            raise Untrusted("expired")
        return agent, datetime.fromtimestamp(began, tz=now.tzinfo)
