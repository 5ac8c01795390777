"""Who may open a page without Zendesk? The bearer of a link that we signed, for seven days."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from itsdangerous import BadData, URLSafeSerializer

from integrations.settings import Settings
from zendesk.refusals import Refusal

VALID = timedelta(days=7)
_SKEW = timedelta(minutes=1)


def signed_link(settings: Settings, page: str, now: datetime) -> str:
    """The address of `/page`, good for seven days and for that page only; a path where no public URL is set."""
    claims = {"t": settings.zendesk_subdomain, "i": int(now.timestamp())}
    return f"{settings.public_url}/{page}?sig={_signer(settings, page).dumps(claims)}"


def check_signature(settings: Settings, page: str, signature: str, now: datetime) -> None:
    """Raise Refusal unless we signed it, for this page and this Zendesk, within seven days."""
    try:
        if len(signature) > 1024:
            raise BadData("size")
        claims = _signer(settings, page).loads(signature)
        tenant, issued = claims["t"], datetime.fromtimestamp(claims["i"], UTC)
    except (BadData, KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise Refusal("unauthorized", "This link is not one of ours. Ask support for a new one.") from error
    if tenant != settings.zendesk_subdomain or not issued - _SKEW <= now < issued + VALID:
        raise Refusal("unauthorized", "This link has ended. Ask support for a new one.")


def _signer(settings: Settings, page: str) -> URLSafeSerializer:
    """The first key signs, all verify."""
    return URLSafeSerializer(
        list(reversed(settings.secret_keys)), salt=f"billing-desk.{page}",
        signer_kwargs={"digest_method": hashlib.sha256},
    )  # fmt: skip
