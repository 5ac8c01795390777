"""Which checks are made, and how do they run? All at once, within one bound, none in the way of another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from integrations.checks import github_access, server, stored, stripe_access, stripe_webhook, zendesk_access
from integrations.checks.asking import Clocks, Inquiry, gather, late
from integrations.checks.report import Ability, Report, ordered
from integrations.settings import Settings

MOST_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is examined. `repositories`: those that gaps are routed to besides GITHUB_REPOSITORY.

    `only`: one group instead of all. `environment` and `dotenv`: where the settings came from, for the modes of the
    files with secrets.
    """

    settings: Settings
    labels: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    dry_run: bool = False
    writes_fields: bool = True
    only: str = ""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    dotenv: Path | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    seconds: float = MOST_SECONDS


def examine(question: Question) -> Report:
    """Make every check. Raises nothing: what cannot be asked is a FAIL of its own."""
    settings, clocks = question.settings, Clocks(now=question.now)
    inquiries = [one for one in _inquiries(question, clocks) if question.only in ("", one.stands_for.group)]
    asked = gather(inquiries, question.seconds)
    here = [
        *server.optional_webhooks(settings),
        *server.dry_run(question.dry_run),
        server.files(settings, question.environment, question.dotenv),
        server.clock(clocks),
        server.sentry(settings),
    ]
    found = [one for one in (server.complete(settings), *asked, *here) if question.only in ("", one.group)]
    return Report(checks=ordered(found), places=_places(settings))


def _inquiries(question: Question, clocks: Clocks) -> list[Inquiry]:
    settings, seconds = question.settings, question.seconds
    parts = [
        (
            "Zendesk",
            "Credentials",
            zendesk_access.account(settings, clocks, writes_fields=question.writes_fields),
            Ability.CARDS,
        ),
        ("Zendesk", "Forged webhook", zendesk_access.forged(settings), Ability.CARDS),
        ("Stripe", "Read key", stripe_access.keys(settings, clocks, writing=False), Ability.CARDS),
        ("Stripe", "Write key", stripe_access.keys(settings, clocks, writing=True), Ability.FIXES),
        ("Stripe", "Customer portal", stripe_access.portal(settings, clocks), Ability.SELF_SERVICE),
        ("Stripe", "Reads", stored.reads_left(settings), Ability.NONE),
        ("Stripe", "Webhook", stripe_webhook.endpoint(settings, clocks), Ability.NONE),
        ("Server", "Store", server.store(settings), Ability.NONE),
        ("Server", "Public address", server.certificate(settings), Ability.CARDS),
    ]
    repositories = (
        dict.fromkeys((settings.github_repository, *question.repositories)) if settings.github else {"": None}
    )
    parts += [
        ("GitHub", "Repository", github_access.repository(settings, name, question.labels, clocks), Ability.ISSUES)
        for name in repositories
    ]
    return [Inquiry(ask=ask, stands_for=late(group, name, seconds, ability)) for group, name, ask, ability in parts]


def _places(settings: Settings) -> tuple[tuple[str, str], ...]:
    """What each group is about, as it may be shown."""
    places = [("Zendesk", urlsplit(settings.zendesk_origin).netloc if settings.zendesk_subdomain else "")]
    if settings.stripe_read_key:
        places.append(("Stripe", "live mode" if stripe_access.live(settings.stripe_read_key) else "test mode"))
    places.append(("GitHub", settings.github_repository))
    return tuple((group, place) for group, place in places if place)
