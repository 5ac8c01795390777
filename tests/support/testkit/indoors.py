"""How do tests ask the product without processes? The real application over real twins, in this process, on SQLite.

The clock is the test's: `product.now` moves only when the test says so. The engine does not run; `Indoors.work` runs
the handlers of the jobs that were enqueued, and counts them in the engine's own table.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import app as product_app
from integrations.http import Door
from integrations.settings import Settings
from integrations.store import cards
from integrations.store.tables import card, delivery
from integrations.twins.github_twin import GitHubTwin
from integrations.twins.stripe_twin import StripeTwin, World
from integrations.twins.zendesk_twin import ZendeskTwin
from integrations.zendesk_client import ZendeskClient
from integrations.zendesk_wire import SCOPES, OAuthClient
from testkit.rig import (
    READ_KEY,
    READ_PERMISSIONS,
    REPOSITORY,
    ROOT,
    STRIPE_SECRET,
    WEBHOOK_SECRET,
    WRITE_KEY,
    WRITE_PERMISSIONS,
)
from zendesk.enrichment import Enriching
from zendesk.signatures import PageTokens

ORIGIN = "https://acme.zendesk.com"
SECRET_KEY = "s" * 40


@dataclass
class Clock:
    """Starts at a whole second and stands still."""

    moment: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, step: timedelta) -> None:
        self.moment += step


@dataclass
class Indoors:
    """Twins, the wired product, and a client that speaks HTTP to its web application."""

    clock: Clock
    stripe: StripeTwin
    zendesk: ZendeskTwin
    github: GitHubTwin
    world: World
    settings: Settings
    product: product_app.Product
    client: FlaskClient
    agent: dict[str, Any]

    def requester(self, email: str, name: str = "Maya Okafor", **identity: Any) -> int:
        return int(self.zendesk.add_user(name, email, **({"verification_method": "full"} | identity))["id"])

    def ticket(self, email: str, subject: str, text: str, **fields: Any) -> int:
        """A ticket by a verified requester of that address, made when there is none; its id."""
        known = self.zendesk.desk.by_email(email)
        who = int(known["id"]) if known else self.requester(email)
        return int(self.zendesk.add_ticket(subject, text, who, deliver=False, **fields)["id"])

    def post_webhook(self, headers: list[tuple[str, str]] | dict[str, str], body: bytes) -> TestResponse:
        return self.client.post("/webhooks/zendesk", data=body, headers=headers)

    def launch(self, token: str, origin: str | None = ORIGIN, **more: Any) -> TestResponse:
        query = {"app_guid": "a1b2c3d4-0000"} | ({"origin": origin} if origin is not None else {})
        return self.client.post("/zendesk/sidebar", query_string=query, data={"token": token}, **more)

    def page_token(self, agent_id: int | None = None) -> str:
        """A page token as the launch gives it."""
        return PageTokens(self.settings.secret_keys, "acme").issue(agent_id or int(self.agent["id"]), self.clock())

    def get(self, path: str, token: str | None = None, *, html: bool = False) -> TestResponse:
        return self.client.get(path, headers=_headers(token or self.page_token(), html))

    def post(self, path: str, document: Any = None, token: str | None = None, *, html: bool = False) -> TestResponse:
        headers = _headers(token or self.page_token(), html)
        return self.client.post(path, json=document if document is not None else {}, headers=headers)

    def deliver(self, ticket_id: int, **how: Any) -> TestResponse:
        """A rightly signed delivery of the twin's making, unless `how` spoils it."""
        made = self.zendesk.deliver_webhook(ticket_id, NOBODY, secret=WEBHOOK_SECRET, **how)
        return self.post_webhook(made.headers, made.body)

    def work(self) -> None:
        """Run the readings that were asked for, each once."""
        handler = Enriching(self.product.desk)
        with self.product.engine.connect() as connection:
            waiting = list(connection.execute(sa.select(card.c.ticket_id, card.c.requests)))
        for ticket_id, number in waiting:
            handler.turn(f"{ticket_id}:{number}")

    def stored(self, ticket_id: int) -> cards.StoredCard | None:
        with self.product.engine.connect() as connection:
            return cards.read(connection, ticket_id)

    def card(self, ticket_id: int) -> dict[str, Any]:
        """Deliver, read, and answer what the sidebar gets."""
        assert self.deliver(ticket_id).status_code == 202
        self.work()
        answer = self.get(f"/api/tickets/{ticket_id}/card")
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())

    def deliveries(self) -> list[Any]:
        with self.product.engine.connect() as connection:
            return list(connection.execute(sa.select(delivery).order_by(delivery.c.received_at)))

    def jobs(self) -> list[str]:
        """Ids of all jobs the engine has ever been given."""
        with self.product.engine.connect() as connection:
            return list(connection.execute(sa.text("SELECT workflow_uuid FROM workflow_status")).scalars())

    def asked(self) -> int:
        """How many requests have left the product."""
        return len(self.stripe.wire) + len(self.zendesk.wire) + len(self.github.wire)

    def stripe_writes(self) -> list[str]:
        return [f"{one.method} {one.target}" for one in self.stripe.writes()]


NOBODY = "http://127.0.0.1:9/webhooks/zendesk"  # the discard port: what is "delivered" there is only prepared


@contextlib.contextmanager
def indoors(folder: Path, *, policy: str = "", **changes: Any) -> Iterator[Indoors]:
    """`changes` replace settings."""
    clock = Clock()
    with contextlib.ExitStack() as stack:
        stripe = stack.enter_context(StripeTwin(clock=clock, check_responses=False))
        zendesk = stack.enter_context(ZendeskTwin(clock=clock))
        github = stack.enter_context(GitHubTwin(clock=clock))
        zendesk.update_limit = zendesk.auto_deliver = False
        zendesk.account_limit = 1_000_000  # the client learns its pace from what the account grants
        stripe.add_key(READ_KEY, READ_PERMISSIONS)
        stripe.add_key(WRITE_KEY, READ_PERMISSIONS | WRITE_PERMISSIONS)
        github.add_repository(REPOSITORY)
        settings = dataclasses.replace(_settings(folder, stripe, zendesk, github, policy), **changes)
        product = product_app.build(settings, now=clock)
        stack.callback(product.engine.dispose)
        product = dataclasses.replace(product, desk=dataclasses.replace(product.desk, zendesk=_hurried(zendesk)))
        yield Indoors(
            clock=clock, stripe=stripe, zendesk=zendesk, github=github, world=World(stripe), settings=settings,
            product=product, client=product.web().test_client(),
            agent=zendesk.add_agent("Ana Ruiz", "ana@acme.example"),
        )  # fmt: skip


def _settings(folder: Path, stripe: StripeTwin, zendesk: ZendeskTwin, github: GitHubTwin, policy: str) -> Settings:
    if policy:
        (folder / "policy.toml").write_text(policy, encoding="utf-8")
    return Settings(
        database_url=f"sqlite:///{migrated_copy(folder / 'desk.db')}",
        secret_keys=(SECRET_KEY,),
        policy_path=str(folder / "policy.toml") if policy else "",
        zendesk_subdomain="acme",
        zendesk_api_base=zendesk.url,
        zendesk_oauth_client_id=zendesk.client_id,
        zendesk_oauth_client_secret=zendesk.client_secret,
        zendesk_webhook_secrets=(WEBHOOK_SECRET,),
        zendesk_app_id=str(zendesk.app_id),
        zendesk_installation_id=str(zendesk.installation_id),
        zendesk_app_public_key=zendesk.public_key_pem,
        stripe_read_key=READ_KEY,
        stripe_write_key=WRITE_KEY,
        stripe_api_base=stripe.url,
        stripe_webhook_secrets=(STRIPE_SECRET,),
        github_repository=REPOSITORY,
        github_token=github.add_token(repositories=[REPOSITORY]),
        github_api_base=github.url,
        log_level="error",
    )


def _hurried(zendesk: ZendeskTwin) -> ZendeskClient:
    """The client without the pace that spares a real Zendesk: nothing here waits."""
    door = Door("zendesk", zendesk.url, total_seconds=10.0, concurrency=8)
    credentials = OAuthClient(client_id=zendesk.client_id, client_secret=zendesk.client_secret, scopes=SCOPES)
    return ZendeskClient(door, credentials)


def migrated_copy(path: Path) -> Path:
    """A migrated SQLite store of the test's own; `migrate` itself runs once for the whole test process."""
    shutil.copyfile(_migrated(), path)
    return path


@cache
def _migrated() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="billing-desk-template-", dir=os.environ.get("BILLING_DESK_TEST_RUN")))
    path = folder / "desk.db"
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{path}", "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-m", "app", "migrate"], cwd=folder, env=environment, check=True, capture_output=True
    )
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def _headers(token: str, html: bool) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} | ({"Accept": "text/html"} if html else {})
