"""Is everything set up? The checks of `billing-desk doctor` as a page, by page token of an admin or by signed link."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, request
from jinja2 import Environment, PackageLoader, select_autoescape

from billing.gap import CATALOGUE
from billing.policy import Policy
from integrations.checks import Check, Question, Report, State, examine
from integrations.checks.report import GROUPS
from integrations.settings import Settings
from zendesk import assets, links
from zendesk.answers import page
from zendesk.desk import Desk
from zendesk.refusals import Refusal
from zendesk.sidebar import agent_of
from zendesk.signatures import PageTokens

DOTENV = Path(".env")
KEPT_SECONDS = 10.0  # many who reload are one examination
_ICONS = {State.OK: "ok", State.WARN: "warning", State.FAIL: "error", State.SKIP: "more"}
_WORDS = {State.OK: "passes", State.WARN: "warning", State.FAIL: "problem", State.SKIP: "not set up"}


def question(settings: Settings, policy: Policy) -> Question:
    """What is examined, the same for the page and for the command."""
    return Question(
        settings=settings,
        labels=(*policy.github.labels, *(f"gap:{kind}" for kind in sorted(CATALOGUE))),
        repositories=tuple(sorted(set(policy.github.routes.values()))),
        dry_run=policy.dry_run,
        writes_fields="fields" in policy.write,
        environment=os.environ,
        dotenv=DOTENV,
    )


class Examiner:
    """One examination at a time; who comes meanwhile gets the same answer."""

    def __init__(self, ask: Callable[[], Report], now: Callable[[], datetime]) -> None:
        self._ask, self._now = ask, now
        self._lock = threading.Lock()
        self._kept: tuple[float, datetime, Report] | None = None

    def report(self) -> tuple[datetime, Report]:
        """When it was made, and what it says."""
        with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] > KEPT_SECONDS:
                report = self._ask()
                self._kept = (time.monotonic(), self._now(), report)
            return self._kept[1:]


def blueprint(desk: Desk, tokens: PageTokens) -> Blueprint:
    routes = Blueprint("setup", __name__)
    examiner = Examiner(lambda: examine(question(desk.settings, desk.policy)), desk.now)

    @routes.get("/setup")
    def setup() -> Response:
        signature = request.args.get("sig")
        if signature is not None and "Authorization" not in request.headers:
            links.check_signature(desk.settings, "setup", signature, desk.now())
        elif agent_of(desk, tokens).role != "admin":
            raise Refusal("not_allowed", "The set-up is shown to admins of this Zendesk.")
        at, report = examiner.report()
        return page(_html(report, at, f"?sig={signature}" if signature else ""))

    return routes


def _html(report: Report, at: datetime, again: str) -> str:
    places = dict(report.places)
    shown = [check for check in report.checks if not _folded(check)]
    groups = [(group, places.get(group, ""), [one for one in shown if one.group == group]) for group in GROUPS]
    return (
        _environment()
        .get_template("setup_page.html")
        .render(
            groups=[one for one in groups if one[2]], again=again, at=at.strftime("%H:%M"),
            asked=len(report.checks) - report.count(State.SKIP), passing=report.count(State.OK),
            failing=report.count(State.FAIL), warning=report.count(State.WARN),
            abilities=report.summary.partition(". ")[2], icons=_ICONS, words=_WORDS, asset_url=assets.asset_url,
            integrity=assets.integrity, sprite=assets.sprite(),
        )
    )  # fmt: skip


def _folded(check: Check) -> bool:
    """A permission that is there: the line of its key counts it."""
    return check.state is State.OK and check.evidence.startswith("rak_")


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("zendesk"), autoescape=select_autoescape(["html"]), trim_blocks=True, lstrip_blocks=True
    )
