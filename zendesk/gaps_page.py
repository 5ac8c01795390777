"""What does the product team see? The ledger of product gaps as JSON and as a page, by page token or by signed link."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, request
from jinja2 import Environment, PackageLoader, select_autoescape

from billing.gap import CATALOGUE
from github_issues.filing import ledger
from integrations.settings import Settings
from zendesk import assets, gap_week, gap_week_text, links
from zendesk.answers import page, said, wants_html
from zendesk.card import stamp
from zendesk.desk import Desk
from zendesk.refusals import Refusal
from zendesk.sidebar import agent_of
from zendesk.signatures import PageTokens
from zendesk.wording import Wording

VALID = links.VALID
_TONES = {
    "duplicate_subscription": " tag--warning", "failed_payment": " tag--danger", "product_failure": " tag--danger",
    "self_serve_gap": " tag--info",
}  # fmt: skip


def signed_link(settings: Settings, now: datetime) -> str:
    """The address of the page for somebody without Zendesk, good for seven days."""
    return links.signed_link(settings, "gaps", now)


def blueprint(desk: Desk, tokens: PageTokens) -> Blueprint:
    routes = Blueprint("gaps", __name__)

    def admit() -> bool:
        """Whether the caller is an agent, who may pass the page on; else the link was good. Raises Refusal."""
        signature = request.args.get("sig")
        if signature is not None and "Authorization" not in request.headers:
            links.check_signature(desk.settings, "gaps", signature, desk.now())
            return False
        agent_of(desk, tokens)
        return True

    @routes.get("/api/gaps")
    def gaps() -> Response:
        is_agent, rows = admit(), _rows(desk)
        if wants_html():
            return page(_html(desk, rows, is_agent))
        return said({"gaps": rows} | ({"week": _report(desk)} if "week" in request.args else {}))

    @routes.get("/gaps")
    def gaps_page() -> Response:
        is_agent = admit()
        if request.args.get("format") == "markdown":
            return Response(gap_week_text.markdown(_report(desk)), mimetype="text/markdown")
        return page(_html(desk, _rows(desk), is_agent, whole=True))

    return routes


def _report(desk: Desk) -> dict[str, Any]:
    """The week that is asked for, this one by default. Raises Refusal."""
    try:
        name = request.args.get("week")
        week = gap_week.read_week(name) if name else gap_week.week_of(desk.now())
    except ValueError as error:
        raise Refusal("bad_request", "week is no week. Write it like 2026-W47.") from error
    with desk.engine.connect() as connection:
        return gap_week.report(connection, week, desk.now())


def _rows(desk: Desk) -> list[dict[str, Any]]:
    with desk.engine.connect() as connection:
        return [
            {name: stamp(value) if isinstance(value, datetime) else value for name, value in row.items()}
            for row in ledger(connection)
        ]


def _html(desk: Desk, rows: list[dict[str, Any]], is_agent: bool, *, whole: bool = False) -> str:
    now = desk.now()
    titles = {kind: gap.title for kind, gap in CATALOGUE.items()}
    link = signed_link(desk.settings, now) if is_agent and desk.settings.public_url else None
    say = Wording(lang="en", now=now, with_code=len(_currencies(rows)) > 1)
    shown = _week(desk, link) if whole else {}
    return (
        _environment()
        .get_template("gaps_page.html" if whole else "gaps.html")
        .render(gaps=rows, titles=titles, say=say, link=link, until=now + VALID, whole=whole, **shown)
    )


def _week(desk: Desk, link: str | None) -> dict[str, Any]:
    """What the report's part of the page needs. Its links carry a signature: a page token cannot stand in one."""
    week = _report(desk)
    signature = request.args.get("sig") or (link or "").partition("?sig=")[2]
    earlier = gap_week.read_week(week["week"]).before(1).name
    return {
        "week": week, "span": gap_week_text.span(week), "numbers": gap_week_text.numbers(week), "tones": _TONES,
        "status": gap_week_text.status, "plan_name": gap_week_text.plan_name, "asset_url": assets.asset_url,
        "integrity": assets.integrity,
        "earlier": "/gaps?" + urlencode({"week": earlier, "sig": signature}) if signature else None,
        "markdown": "/gaps?" + urlencode({"week": week["week"], "format": "markdown", "sig": signature}),
    }  # fmt: skip


def _currencies(rows: list[dict[str, Any]]) -> set[str]:
    return {currency for row in rows for sums in (row["refunded"], row["at_risk"]) for currency in sums}


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("zendesk"), autoescape=select_autoescape(["html"]), trim_blocks=True, lstrip_blocks=True
    )
