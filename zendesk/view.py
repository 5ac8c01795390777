"""How does a card look in the ticket sidebar? From the card document to HTML, and nothing else.

The page is `render_page`; every answer to the sidebar's forms is `render_card`, whose root is `<main id="card">`.
Fields the forms send: approvals: `plan_digest`, `steps` (repeated), `follow_up_body`, `deliver` (draft, public_reply,
none), `file_issue` (true or absent), `confirm`; undo: `step`; correction: `bucket`, `why`; lookup: `query`; choose:
`customer`. Every form's address carries `?view=glance|review`: the view to answer with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import ChainableUndefined, Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from zendesk import assets, button, progress, sections
from zendesk.assets import asset, asset_url
from zendesk.sections import Card, part, rows, texts
from zendesk.sentences import localized
from zendesk.timeline import timeline
from zendesk.wording import LANGUAGES, Wording, cleaned, language, moment

__all__ = ["Viewer", "asset", "asset_url", "language", "render_card", "render_page"]

_SCHEMES = ("light", "dark")
_JS_TEXTS = ("reply_in", "reply_added", "reply_failed", "offline", "copied", "copy_failed")
_SETTLES = timedelta(minutes=30)  # how long a finished card still asks whether GitHub has taken the issue
_TAG = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_CLOSED = frozenset({"no_access_to_ticket", "unauthorized"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Who looks. `needed`: the roles that may approve, in words; `id` 0 when the agent is not known."""

    id: int = 0
    name: str = ""
    role: str = ""
    may_approve: bool = True
    needed: str = ""


def render_page(
    *,
    token: str,
    scheme: str = "light",
    lang: str = "en",
    ticket_id: int | None = None,
    card: Card | None = None,
    sdk_url: str,
    agent: Viewer | None = None,
    now: datetime | None = None,
    zone: tzinfo = UTC,
) -> str:
    """The whole page. Without a card it shows the skeleton, and the script asks for the card of its ticket."""
    lang = language(lang)
    at = now or datetime.now(UTC)
    say = Wording(lang=lang, now=at, zone=zone)
    body = (
        Markup(render_card(card, lang=lang, agent=agent, now=at, zone=zone))  # noqa: S704 - our own rendering
        if card is not None
        else Markup(_rendered("loading.html", _base(say, ticket_id, "glance"), poll="", count=None))  # noqa: S704
    )
    boot: dict[str, Any] = {"token": token, "ticket": ticket_id, "loaded": card is not None, "lang": lang}
    boot["texts"] = {key: str(say(f"js.{key}").unescape()) for key in _JS_TEXTS}
    return _rendered(
        "page.html",
        say=say,
        lang=lang,
        scheme=scheme if scheme in _SCHEMES else None,
        ticket_id=ticket_id,
        boot=_script_json(boot),
        body=body,
        sdk_url=sdk_url,
        asset_url=asset_url,
        integrity=assets.integrity,
        sprite=assets.sprite(),
    )


def render_card(
    card: Card,
    *,
    view: str = "glance",
    lang: str = "en",
    agent: Viewer | None = None,
    now: datetime,
    zone: tzinfo = UTC,
) -> str:
    """The fragment for one state of the card; texts from outside are stripped of controls and escaped."""
    card = cleaned(card)
    viewer = agent or Viewer()
    say = Wording(lang=language(lang), now=now, zone=zone, with_code=sections.several_currencies(card))
    card = localized(card, say)
    ticket = card.get("ticket_id")
    base = _base(say, ticket if isinstance(ticket, int) else None, "review" if view == "review" else "glance")
    base |= {"card": card, "viewer": viewer}
    error, decided = part(card, "error"), bool(part(card, "decision"))
    if card.get("state") == "enriching":
        return _rendered("loading.html", base, poll=base["card_url"], count=card.get("progress"))
    if error.get("code") in _CLOSED:
        return _rendered("closed.html", base)
    if part(card, "approval"):
        return _run(card, viewer, base, say)
    if (error and not decided) or (card.get("state") == "failed" and (base["view"] == "glance" or not decided)):
        return _rendered("error.html", base, error=error, moved=_moved(error, say), last=decided)
    if _unidentified(card) and base["view"] == "glance":
        return _rendered("empty.html", base, steps=len(rows(part(card, "plan"), "steps")))
    return _plan(card, viewer, base, say, error)


def _plan(card: Card, viewer: Viewer, base: dict[str, Any], say: Wording, error: Mapping[str, Any]) -> str:
    """The card before an approval: at a glance or in review."""
    plan, state = part(card, "plan"), part(card, "billing_state")
    stale, failed = error.get("code") == "plan_changed", card.get("state") == "failed"
    undecided = len(rows(part(card, "customer"), "candidates")) > 1 and not part(card, "customer").get("chosen")
    waits = undecided and not any(step.get("kind") == "hand_over" for step in rows(plan, "steps"))
    reasons = sections.reasons(card, say)
    read_at, old = _stamp(card, say.now)
    return _rendered(
        "plan.html",
        base,
        verdict=sections.verdict(card, say),
        effects=sections.effects(card, say),
        customer=_customer(card, say),
        waits=waits,
        drawing=timeline(state, moment(card.get("as_of")) or say.now, say),
        key_values=sections.key_values(card, say),
        missing=_missing(state, say),
        callouts=sections.callouts(card),
        reasons=reasons[:3],
        more_reasons=reasons[3:],
        buckets=sections.BUCKETS,
        steps=sections.plan_steps(card, say),
        plan_meta=sections.plan_meta(card, say),
        plan_total=button.plan_total(card, say, sections.rows(plan, "steps")),
        blocked=sections.blocked(card, say),
        button=button.approval_button(card, say, ready=viewer.may_approve and not (stale or failed or waits)),
        plan=plan,
        error=error,
        stale=stale,
        moved=_moved(error, say),
        github=_github(card),
        read_at=read_at,
        old=old,
        handoff=handoff_text(card),
        earlier=progress.earlier(card, say),
        tongue=_tongue(part(card, "follow_up").get("locale"), say.lang),
        read_only=part(card, "integrations").get("stripe_write") is False,
    )


def _run(card: Card, viewer: Viewer, base: dict[str, Any], say: Wording) -> str:
    """The card after an approval: waiting for a second person, running, on hold, done or stopped."""
    approval, run = part(card, "approval"), progress.run(card, say)
    mine = (
        approval.get("by_id") == viewer.id if approval.get("by_id") else approval.get("by") in {viewer.name, None, ""}
    )
    path = f"/api/approvals/{quote(run.id, safe='')}"
    since = say.now - (moment(approval.get("finished_at")) or say.now)
    pace = {"running": "1s", "hold": "1s", "waiting": "5s"}.get(run.stage, "")
    if run.filing and since < _SETTLES:
        pace = "60s" if run.filing == "later" else "4s"
    read_at, old = _stamp(card, say.now)
    return _rendered(
        "run.html",
        base,
        run=run,
        bucket=sections.verdict(card, say).bucket,
        approval=approval,
        approval_url=path,
        pace=pace,
        mine=mine,
        handled=run.stage == "done" and not mine,
        refunded=progress.moved(approval, say),
        second_label=button.money_label(card, say),
        issue=part(approval, "issue"),
        error=part(card, "error"),
        # A later refusal is told beside what this approval has moved: money that went out is never "no money".
        moved=_moved({"money_moved": part(card, "error").get("money_moved") or approval.get("money_moved")}, say),
        read_at=read_at,
        old=old,
    )


def handoff_text(card: Card) -> str:
    """The six sections as plain text, for copying."""
    found = part(part(card, "handoff"), "sections")
    blocks = [f"{name}\n" + "\n".join(str(line) for line in lines) for name, lines in found.items()]
    return "\n\n".join(blocks)


def _stamp(card: Card, now: datetime) -> tuple[Any, bool]:
    """When Stripe was read, and whether that is more than ten minutes ago."""
    at = moment(card.get("as_of"))
    return at, at is not None and (now - at).total_seconds() > 600


def _base(say: Wording, ticket_id: int | None, view: str) -> dict[str, Any]:
    api = f"/api/tickets/{ticket_id or 0}"
    return {
        "say": say,
        "lang": say.lang,
        "view": view,
        "api": api,
        "card_url": f"{api}/card?view={view}",
        "ticket_id": ticket_id,
        "link": sections.link,
        "initials": sections.initials,
        "told": lambda error: _told(error or {}, say),
    }


def _customer(card: Card, say: Wording) -> dict[str, Any]:
    customer = part(card, "customer")
    address = part(card, "links").get("stripe_customer")
    for candidate in rows(customer, "candidates"):
        if candidate.get("id") == customer.get("chosen"):
            address = address or candidate.get("stripe_url")
    return {
        "name": str(customer.get("name") or ""),
        "email": str(customer.get("email") or ""),
        "first": sections.first_name(card),
        "url": sections.link(address),
        "meta": sections.matched(card, say),
        "facts": sections.facts(card, say),
        "candidates": [{**row, "summary": _summary(row, say)} for row in rows(customer, "candidates")],
        "siblings": rows(customer, "siblings")[:3],
        "chosen": customer.get("chosen"),
        "identity": customer.get("identity"),
    }


def _summary(candidate: Mapping[str, Any], say: Wording) -> Markup | str:
    live, paid = candidate.get("live"), candidate.get("paid")
    if not isinstance(live, int) or not isinstance(paid, int):
        return str(candidate.get("summary") or "")
    return say("customer.summary", n=live, paid=paid) if live or paid else say("customer.no_payments")


def _unidentified(card: Card) -> bool:
    customer = part(card, "customer")
    return customer.get("identity") == "unknown" and not customer.get("chosen") and not customer.get("candidates")


def _missing(state: Mapping[str, Any], say: Wording) -> Markup | None:
    found = [
        say("notice.missing_one", part=say.known("part", row.get("part")), why=say.known("why", row.get("why")))
        for row in rows(state, "missing")
        if row.get("why") != "not_read"
    ]
    return say("notice.missing", parts=say.listed(found)) if found else None


def _tongue(locale: Any, otherwise: str) -> str:
    """The language tag of the reply; one that no browser would know is not passed on."""
    return locale if isinstance(locale, str) and _TAG.fullmatch(locale) else otherwise


def _github(card: Card) -> str:
    """`down`, `off` or empty: whether the product gap can be filed now."""
    if part(card, "integrations").get("github") is False:
        return "off"
    return "down" if "github" in texts(part(card, "error"), "parts") else ""


def _moved(error: Mapping[str, Any], say: Wording) -> Markup:
    """Every failure says whether money moved; an amount when the server knows it."""
    amount = error.get("money_moved")
    if isinstance(amount, Mapping) and (text := say.moneys(amount)):
        return say("error.moved", amount=text)
    return say("error.no_money") if not amount else Markup("")


def _told(error: Mapping[str, Any], say: Wording) -> Markup | str:
    """What was refused: the exact English sentence, or in another language that of its code."""
    message, key = str(error.get("message") or ""), f"refusal.{error.get('code')}"
    if (say.lang == LANGUAGES[0] and message) or not say.has(key):
        return message
    return say(key) + f" {message}" * (error.get("code") == "reply_claims")  # which words it is, in English


def _script_json(document: Mapping[str, Any]) -> Markup:
    """JSON that cannot end the script block it stands in."""
    text = json.dumps(document, ensure_ascii=True)
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return Markup(text)  # noqa: S704 - every character with a meaning in HTML is escaped above


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("zendesk"),
        autoescape=select_autoescape(["html"]),
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _rendered(name: str, base: Mapping[str, Any] | None = None, **more: Any) -> str:
    return _environment().get_template(name).render(base or {}, **more)
