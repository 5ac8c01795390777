"""Is this machine in order: settings, store, clock, files with secrets, error reports?"""

from __future__ import annotations

import socket
import ssl
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import sqlalchemy as sa

from integrations import metrics, slots
from integrations.checks.asking import CALL_SECONDS, Clocks
from integrations.checks.report import Check, State
from integrations.settings import NAMES, Settings, SettingsError, require
from integrations.store import database, tables

GROUP = "Server"
SERVING = (
    "BILLING_DESK_SECRET_KEY", "ZENDESK_SUBDOMAIN", "ZENDESK_OAUTH_CLIENT_ID", "ZENDESK_WEBHOOK_SECRET",
    "STRIPE_READ_KEY",
)  # fmt: skip
"""Without these, `serve` and `worker` do not start."""
LATE_SECONDS = 300.0  # of work that should be running
WARN_DAYS = 14  # before a certificate ends; Caddy renews 30 days before
_CERTIFICATE = "Let the proxy renew its certificate, with the whole chain, for the name in BILLING_DESK_PUBLIC_URL."
WARN_SECONDS, FAIL_SECONDS = 30.0, 240.0  # a webhook's signature is good for five minutes


def complete(settings: Settings) -> Check:
    """Whether `serve` would start."""
    missing = [name for name in SERVING if _lacks(settings, name)]
    if missing:
        told = f"serve does not start without {', '.join(missing)}"
        return _check("Settings", State.FAIL, told, "Set each in the environment or in .env; see deploy/env.example.")
    if not settings.public_url:
        told = "complete, but BILLING_DESK_PUBLIC_URL is not set"
        return _check("Settings", State.WARN, told, "Set it to the https address that Zendesk reaches us at.")
    return _check("Settings", State.OK, "complete")


def _lacks(settings: Settings, name: str) -> bool:
    try:
        require(settings, name)
    except SettingsError:
        return True
    return False


def dry_run(on: bool) -> Sequence[Check]:
    """One line while policy.toml says so, that nobody waits for a refund."""
    mend = "When agents agree (billing-desk agreement), remove dry_run from policy.toml and restart."
    return [_check("Mode", State.WARN, "dry run: nothing is applied", mend)] if on else []


def store(settings: Settings) -> Callable[[], Sequence[Check]]:
    """Whether the store answers and its schema is this version's."""

    def ask() -> Sequence[Check]:
        kind = "SQLite" if settings.sqlite else "PostgreSQL"
        if settings.sqlite and not _sqlite_file(settings).is_file():
            return [_check("Store", State.FAIL, "the store is empty", "Run billing-desk migrate.")]
        engine = database.open_engine(settings.database_url, pool=1)
        try:
            started = time.monotonic()
            with engine.connect() as connection:
                connection.execute(sa.select(1))
                version = ".".join(str(part) for part in (connection.dialect.server_version_info or ())[:2])
            milliseconds = (time.monotonic() - started) * 1000
            database.check_schema(engine)
            at_work, lost = _worker(settings, engine), _lost_blocks(engine)
        except database.SchemaMismatch as error:
            told, _, fix = str(error).partition(". ")
            return [_check("Store", State.FAIL, f"{kind}: {told[0].lower()}{told[1:]}", fix)]
        except (sa.exc.SQLAlchemyError, OSError):
            fix = "Check DATABASE_URL, that the database runs, and its user's rights."
            return [_check("Store", State.FAIL, f"{kind} does not answer", fix)]
        finally:
            engine.dispose()
        return [_check("Store", State.OK, f"{kind} {version}, schema current, {milliseconds:.0f} ms"), at_work, *lost]

    return ask


def _lost_blocks(engine: sa.Engine) -> list[Check]:
    """Issues whose figures are not kept current because people edited the hidden markers away."""
    mine = sa.select(tables.gap.c.issue_number).where(tables.gap.c.block_lost_at.is_not(None))
    with engine.connect() as connection:
        numbers = sorted(one for one in connection.execute(mine).scalars() if one is not None)
    if not numbers:
        return []
    named = ", ".join(f"#{number}" for number in numbers[:5]) + (" …" if len(numbers) > 5 else "")
    fix = "Put the two lines back that our comment on the issue shows."
    return [_check("Issue figures", State.WARN, f"no longer kept current, markers edited away: {named}", fix)]


def _worker(settings: Settings, engine: sa.Engine) -> Check:
    """Whether anybody does the background work, and how long the oldest of it waits."""
    start = "Start billing-desk serve." if settings.sqlite else "Start billing-desk worker."
    try:
        running = slots.live(settings.database_url)
    except (OSError, psycopg.Error):
        return _check("Worker", State.WARN, "not seen: this user may not look", "Run doctor as the user of serve.")
    with engine.connect() as connection:
        oldest = metrics.oldest_job_seconds(connection, datetime.now(UTC))
    told = f"{running} running, oldest job {oldest:.0f} s"
    if not running:
        return _check("Worker", State.FAIL, "none is running: nothing is read and nothing is applied", start)
    if oldest > LATE_SECONDS:
        return _check("Worker", State.WARN, told, "Read its log; deploy/docs/operations.md, alert BillingDeskJobsLate.")
    return _check("Worker", State.OK, told)


def certificate(settings: Settings, context: ssl.SSLContext | None = None) -> Callable[[], Sequence[Check]]:
    """Whether our public address speaks TLS with a certificate that Zendesk trusts, and for how long."""
    name, parts = "Public address", urlsplit(settings.public_url)
    if not parts.hostname:
        told = "BILLING_DESK_PUBLIC_URL is not set; it enables this check"
        return lambda: [_check(name, State.SKIP, told)]
    host, port = parts.hostname, parts.port or 443

    def ask() -> Sequence[Check]:
        if parts.scheme != "https":
            return [_check(name, State.SKIP, "http, good on this machine only; https enables this check")]
        try:
            with (
                socket.create_connection((host, port), CALL_SECONDS) as connection,
                (context or ssl.create_default_context()).wrap_socket(connection, server_hostname=host) as secure,
            ):
                shown = dict(secure.getpeercert() or {})
                version = secure.version()
        except ssl.SSLError as error:
            why = getattr(error, "verify_message", "") or "no TLS"
            return [_check(name, State.FAIL, f"its certificate is not trusted: {why}", _CERTIFICATE)]
        except OSError:
            fix = "Check DNS, the firewall and that the proxy runs."
            return [_check(name, State.FAIL, "does not answer", fix)]
        days = (ssl.cert_time_to_seconds(str(shown["notAfter"])) - time.time()) / 86400
        state = State.WARN if days < WARN_DAYS else State.OK
        fix = _CERTIFICATE if state is State.WARN else ""
        return [_check(name, state, f"{version}, certificate good for {days:.0f} days", fix)]

    return ask


def clock(clocks: Clocks) -> Check:
    """How far this machine's clock is off; asked after everybody has answered."""
    skew = clocks.skew()
    if skew is None:
        return _check("Clock", State.SKIP, "no upstream told its time")
    off = abs(skew)
    told = f"{off:.0f} s {'ahead' if skew > 0 else 'behind'}" if off >= 2 else f"{off:.1f} s off"
    fix = "Let this machine keep its time (systemd-timesyncd, chrony or ntpd)."
    if off > FAIL_SECONDS:
        return _check("Clock", State.FAIL, f"{told}: signatures are refused", fix)
    return _check("Clock", State.WARN, told, fix) if off > WARN_SECONDS else _check("Clock", State.OK, told)


def files(settings: Settings, environment: Mapping[str, str], dotenv: Path | None) -> Check:
    """Whether files that hold secrets or customers' billing are for their owner only."""
    paths = {Path(environment[f"{name}_FILE"]): f"{name}_FILE" for name in NAMES if environment.get(f"{name}_FILE")}
    if dotenv is not None and dotenv.is_file():
        paths[dotenv] = str(dotenv)
    if settings.sqlite and _sqlite_file(settings).is_file():
        paths[_sqlite_file(settings)] = _sqlite_file(settings).name
    open_ = [named for path, named in paths.items() if _readable_by_others(path)]
    if open_:
        told = f"everybody on this machine can read: {', '.join(open_)}"
        return _check("Secret files", State.WARN, told, "Run chmod o-rwx on each of them.")
    number = len(paths)
    if not number:
        return _check("Secret files", State.SKIP, "there are none")
    return _check("Secret files", State.OK, f"{number} file{'' if number == 1 else 's'}, closed to others")


def sentry(settings: Settings) -> Check:
    if settings.sentry_dsn:
        return _check("Sentry", State.OK, "SENTRY_DSN is set")
    return _check("Sentry", State.SKIP, "SENTRY_DSN is not set (optional); it enables error reports")


def optional_webhooks(settings: Settings) -> list[Check]:
    """The vendors' own webhooks to us; nothing depends on them but what they enable."""
    told = (
        ("Stripe", "STRIPE_WEBHOOK_SECRET", settings.stripe_webhook_secrets, "cards that follow Stripe at once"),
        ("GitHub", "GITHUB_WEBHOOK_SECRET", settings.github_webhook_secrets, "hearing of closed issues at once"),
    )
    checks = [
        Check(
            group=group, name="Webhook secret", state=State.OK if secrets else State.SKIP,
            evidence=f"{name} is set" if secrets else f"{name} is not set (optional); it enables {gives}",
        )
        for group, name, secrets, gives in told
    ]  # fmt: skip
    if settings.github and not settings.github_webhook_secrets:
        address = settings.public_url.rstrip("/") + "/webhooks/github"
        checks[1] = Check(
            group="GitHub", name="Webhook secret", state=State.WARN,
            evidence="GITHUB_WEBHOOK_SECRET is not set: closed issues are only noticed every ten minutes",
            fix=f"Repository > Settings > Webhooks: Issues to {address}, as JSON, with the secret you set here.",
        )  # fmt: skip
    return checks


def _sqlite_file(settings: Settings) -> Path:
    return Path(settings.database_url.removeprefix("sqlite:///"))


def _readable_by_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH))
    except OSError:
        return False


def _check(name: str, state: State, evidence: str, fix: str = "") -> Check:
    return Check(group=GROUP, name=name, state=state, evidence=evidence, fix=fix)
