"""With which policy, clients and keys does this installation work? From its settings to an open desk."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from billing.policy import Policy, PolicyError, parse
from billing.policy_examples import broken
from github_issues.filing import Filing
from integrations import github_client, jobs, metrics, zendesk_wire
from integrations.errors import OutsideError
from integrations.github_client import GitHubClient
from integrations.http import Door
from integrations.language_model import CAP_BYTES, SECONDS, LanguageModel
from integrations.settings import Settings, SettingsError
from integrations.store import database
from integrations.stripe_executor import StripeExecutor
from integrations.stripe_reader import StripeReader
from integrations.zendesk_client import ZendeskClient
from integrations.zendesk_wire import SCOPES
from zendesk.agents import Agents
from zendesk.desk import Desk
from zendesk.reads import Reads

KEY_KEPT_SECONDS = 300.0


def open_desk(settings: Settings, now: Callable[[], datetime]) -> Desk:
    """Raises SettingsError; opens no connection but the database's pool."""
    policy = read_policy(settings)
    engine = database.open_engine(settings.database_url)
    client = zendesk_client(settings)
    reader = StripeReader(
        settings.stripe_read_key or "rk_test_missing",
        settings.stripe_api_base,
        per_second=policy.stripe_reads_per_second,
        observer=metrics.observed,
    )
    return Desk(
        settings=settings,
        policy=policy,
        engine=engine,
        queue=jobs.Queue(engine, settings.database_url),
        zendesk=client,
        reader=reader,
        reads=Reads(engine, lambda: reader.requests_made, policy.stripe_reads_per_month, now),
        executor=stripe_executor(settings, policy),
        filing=filing(settings, policy, engine, now) if settings.github else None,
        agents=Agents(client, policy, now),
        now=now,
        installation=installation(settings),
        language_model=language_model(settings),
    )


def read_policy(settings: Settings) -> Policy:
    """policy.toml, or the built-in defaults. Raises SettingsError with the line that is wrong."""
    if not settings.policy_path:
        return Policy()
    try:
        policy = parse(Path(settings.policy_path).read_text(encoding="utf-8"), settings.policy_path)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("BILLING_DESK_POLICY names a file that cannot be read.") from error
    except PolicyError as error:
        raise SettingsError(str(error)) from error
    for wrong in broken(policy, settings.policy_path):
        raise SettingsError(str(wrong))
    return policy


def zendesk_client(settings: Settings) -> ZendeskClient:
    base = settings.zendesk_base or "https://not-configured.zendesk.com"
    door = Door(
        "zendesk", base, total_seconds=10.0, concurrency=8, rate_per_second=6, burst=30, observer=metrics.observed
    )
    # The app's public key is fetched where it is not configured.
    scopes = SCOPES if settings.zendesk_app_public_key else SCOPES | {"apps:read"}
    return ZendeskClient(door, zendesk_wire.configured(settings, scopes))


def stripe_executor(settings: Settings, policy: Policy) -> StripeExecutor | None:
    """What writes at Stripe. In dry run it holds the key that only reads: earlier writes can still be looked up."""
    key = settings.stripe_read_key if policy.dry_run else settings.stripe_write_key
    if not key:
        return None
    return StripeExecutor(
        key, settings.stripe_api_base, per_second=policy.stripe_writes_per_second, observer=metrics.observed
    )


def filing(settings: Settings, policy: Policy, engine: sa.Engine, now: Callable[[], datetime]) -> Filing:
    clients: dict[str, GitHubClient] = {}
    lock = threading.Lock()
    credentials = github_client.configured(settings)

    def client_of(repository: str) -> GitHubClient:
        with lock:
            if repository not in clients:
                door = Door(
                    "github", settings.github_api_base, total_seconds=15.0, concurrency=4, observer=metrics.observed
                )
                clients[repository] = GitHubClient(door, repository, credentials)
            return clients[repository]

    origin = settings.zendesk_origin
    return Filing(engine, client_of, settings.github_repository, policy, now, tickets=origin, keys=settings.secret_keys)


def language_model(settings: Settings) -> LanguageModel | None:
    """The second reader; None while no address is set, which is the usual case."""
    if not settings.language_model_url:
        return None
    door = Door(
        "language_model", settings.language_model_url, total_seconds=SECONDS, cap_bytes=CAP_BYTES, concurrency=4,
        rate_per_second=2, burst=20, observer=metrics.observed,
    )  # fmt: skip
    return LanguageModel(door, settings.language_model_name, settings.language_model_key)


def public_keys(settings: Settings, client: ZendeskClient) -> Callable[[], tuple[str, ...]]:
    """The app's public key: from the settings, or fetched once and then at most every five minutes."""
    kept: list[tuple[float, str]] = []
    lock = threading.Lock()

    def keys() -> tuple[str, ...]:
        if settings.zendesk_app_public_key:
            return (settings.zendesk_app_public_key,)
        with lock:
            if (not kept or time.monotonic() - kept[0][0] > KEY_KEPT_SECONDS) and settings.zendesk_app_id.isdigit():
                try:
                    kept[:] = [(time.monotonic(), client.public_key(int(settings.zendesk_app_id)))]
                except OutsideError:
                    if not kept:
                        return ()
            return tuple(key for _, key in kept)

    return keys


def installation(settings: Settings) -> str:
    """Prefix of our idempotency keys: the same for every process of one installation, and no secret."""
    named = f"{settings.zendesk_subdomain}|{settings.zendesk_installation_id}"
    return "bd" + hashlib.sha256(named.encode()).hexdigest()[:12]
