"""What does the product team see? The ledger of product gaps as JSON and as a page, by page token or by signed link."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from flask import Blueprint, Response, request
from itsdangerous import BadData, URLSafeSerializer
from jinja2 import Environment, PackageLoader, select_autoescape

from billing.gap import CATALOGUE
from github_issues.filing import ledger
from integrations.settings import Settings
from zendesk import assets
from zendesk.answers import page, said, wants_html
from zendesk.desk import Desk
from zendesk.refusals import Refusal
from zendesk.sidebar import agent_of
from zendesk.signatures import PageTokens
from zendesk.wording import Wording

VALID = timedelta(days=7)
_SKEW = timedelta(minutes=1)


def signed_link(settings: Settings, now: datetime) -> str:
    """The address of the page for somebody without Zendesk, good for seven days; a path where no public URL is set."""
    claims = {"t": settings.zendesk_subdomain, "i": int(now.timestamp())}
    return f"{settings.public_url}/gaps?sig={_signer(settings).dumps(claims)}"


def check_signature(settings: Settings, signature: str, now: datetime) -> None:
    """Raise Refusal unless we signed it, for this Zendesk, within seven days."""
    try:
        if len(signature) > 1024:
            raise BadData("size")
        claims = _signer(settings).loads(signature)
        tenant, issued = claims["t"], datetime.fromtimestamp(claims["i"], UTC)
    except (BadData, KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise Refusal("unauthorized", "This link is not one of ours. Ask support for a new one.") from error
    if tenant != settings.zendesk_subdomain or not issued - _SKEW <= now < issued + VALID:
        raise Refusal("unauthorized", "This link has ended. Ask support for a new one.")


def blueprint(desk: Desk, tokens: PageTokens) -> Blueprint:
    routes = Blueprint("gaps", __name__)

    def admit() -> bool:
        """Whether the caller is an agent, who may pass the page on; else the link was good. Raises Refusal."""
        signature = request.args.get("sig")
        if signature is not None and "Authorization" not in request.headers:
            check_signature(desk.settings, signature, desk.now())
            return False
        agent_of(desk, tokens)
        return True

    @routes.get("/api/gaps")
    def gaps() -> Response:
        is_agent, rows = admit(), _rows(desk)
        return page(_html(desk, rows, is_agent)) if wants_html() else said({"gaps": rows})

    @routes.get("/gaps")
    def gaps_page() -> Response:
        is_agent = admit()
        return page(_html(desk, _rows(desk), is_agent, whole=True))

    return routes


def _rows(desk: Desk) -> list[dict[str, Any]]:
    with desk.engine.connect() as connection:
        return [
            {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
            for row in ledger(connection)
        ]


def _html(desk: Desk, rows: list[dict[str, Any]], is_agent: bool, *, whole: bool = False) -> str:
    now = desk.now()
    titles = {kind: gap.title for kind, gap in CATALOGUE.items()}
    link = signed_link(desk.settings, now) if is_agent and desk.settings.public_url else None
    say = Wording(lang="en", now=now, with_code=len(_currencies(rows)) > 1)
    return (
        _environment()
        .get_template("gaps_page.html" if whole else "gaps.html")
        .render(
            gaps=rows, titles=titles, say=say, link=link, until=now + VALID, stylesheet=assets.asset_url("app.css"),
            integrity=assets.integrity("app.css"),
        )
    )  # fmt: skip


def _currencies(rows: list[dict[str, Any]]) -> set[str]:
    return {currency for row in rows for sums in (row["refunded"], row["at_risk"]) for currency in sums}


def _signer(settings: Settings) -> URLSafeSerializer:
    """The first key signs, all verify."""
    return URLSafeSerializer(
        list(reversed(settings.secret_keys)), salt="billing-desk.gaps", signer_kwargs={"digest_method": hashlib.sha256}
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("zendesk"), autoescape=select_autoescape(["html"]), trim_blocks=True, lstrip_blocks=True
    )
