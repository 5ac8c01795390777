"""How do tests run the whole product? Real twins, real processes, real HTTP, on either store.

The twins live in the test's process, so their ledgers can be read directly; the product runs as child processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests
import sqlalchemy as sa

from integrations.store.tables import approval
from integrations.twins.github_twin import GitHubTwin
from integrations.twins.stripe_twin import StripeTwin, World
from integrations.twins.zendesk_twin import ZendeskTwin
from testkit.nursery import Nursery, alive, kill, run_to_end

ROOT = Path(__file__).resolve().parents[3]
WEBHOOK_SECRET = "whs-" + "k" * 24
STRIPE_SECRET = "whsec_" + "e" * 32
READ_KEY, WRITE_KEY = "rk_test_read" + "r" * 20, "rk_test_write" + "w" * 20
REPOSITORY = "acme/web"
# The permissions that the documentation asks for, and no others (facts: restricted keys).
READ_PERMISSIONS = frozenset(
    f"rak_{name}_read"
    for name in (
        "customer", "subscription", "invoice", "charge", "payment_intent", "payment_method", "checkout_session",
        "product", "plan", "dispute", "radar", "credit_note", "event", "customer_portal",
    )
)  # fmt: skip
WRITE_PERMISSIONS = frozenset(
    f"rak_{name}_write"
    for name in (
        "subscription", "invoice", "charge", "refund", "customer_portal", "customer", "credit_note",
        "checkout_session", "payment_intent",
    )
)  # fmt: skip
POLICY = "[refunds]\nhold_seconds = 0\n"


@dataclass
class Rig:
    """Twins plus the product. `agent` approves, `customer_of` finds nobody yet: seed the worlds first."""

    folder: Path
    database_url: str
    stripe: StripeTwin
    zendesk: ZendeskTwin
    github: GitHubTwin
    world: World
    nursery: Nursery
    policy: str = POLICY
    agent: dict[str, Any] = field(default_factory=dict)
    port: int = 0
    web: int = 0
    workers: list[int] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    # --- processes ------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Seed what every test needs, write the settings, migrate the store."""
        self.stripe.add_key(READ_KEY, READ_PERMISSIONS)
        self.stripe.add_key(WRITE_KEY, READ_PERMISSIONS | WRITE_PERMISSIONS)
        self.agent = self.zendesk.add_agent("Ana Ruiz", "ana@acme.example")
        self.github.add_repository(REPOSITORY)
        token = self.github.add_token(repositories=[REPOSITORY])
        (self.folder / "policy.toml").write_text(self.policy, encoding="utf-8")
        self.port = free_port()
        self.environment = {
            "DATABASE_URL": self.database_url,
            "BILLING_DESK_SECRET_KEY": "s" * 40,
            "BILLING_DESK_POLICY": str(self.folder / "policy.toml"),
            "ZENDESK_SUBDOMAIN": "acme",
            "ZENDESK_API_BASE": self.zendesk.url,
            "ZENDESK_OAUTH_CLIENT_ID": self.zendesk.client_id,
            "ZENDESK_OAUTH_CLIENT_SECRET": self.zendesk.client_secret,
            "ZENDESK_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "ZENDESK_APP_ID": str(self.zendesk.app_id),
            "ZENDESK_INSTALLATION_ID": str(self.zendesk.installation_id),
            "STRIPE_READ_KEY": READ_KEY,
            "STRIPE_WRITE_KEY": WRITE_KEY,
            "STRIPE_API_BASE": self.stripe.url,
            "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_TOKEN": token,
            "GITHUB_API_BASE": self.github.url,
            "LOG_LEVEL": "warning",
        }
        done = self.cli("migrate")
        assert done.returncode == 0, done.stderr

    def cli(self, *arguments: str, text: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one command of the product to its end, in its own process."""
        return run_to_end(list(arguments), {**os.environ, **self.environment, **environment}, text=text or "")

    def start_web(self) -> int:
        log = self.folder / "web.log"
        self.web = self.nursery.start(["serve", "--port", str(self.port)], self.environment, log)
        return self.web

    def start_worker(self) -> int:
        pid = self.nursery.start(["worker"], self.environment, self.folder / "worker.log")
        self.workers.append(pid)
        return pid

    def start(self) -> None:
        """Web, and on PostgreSQL one worker; returns when the web process is ready."""
        self.start_web()
        if not self.database_url.startswith("sqlite"):
            self.start_worker()
        self.wait_ready()

    def wait_ready(self, seconds: float = 30.0) -> None:
        wait_for(lambda: self.get("/readyz", token=None).status_code == 200, seconds, "the web process is not ready")

    def kill_all(self) -> None:
        for pid in [self.web, *self.workers]:
            kill(pid)
        self.workers.clear()

    def end(self, pid: int) -> None:
        """SIGKILL, and wait until the process is gone."""
        kill(pid)
        wait_for(lambda: not alive(pid), 10, "SIGKILL did not end the process")

    def age_approval(self, approval_id: str, step: timedelta) -> None:
        """As if the facts of the approval had been read so much earlier."""
        engine = sa.create_engine(self.database_url.replace("postgresql://", "postgresql+psycopg://", 1))
        with engine.begin() as connection:
            mine = approval.c.id == approval_id
            checked = connection.execute(sa.select(approval.c.checked_at).where(mine)).scalar_one()
            connection.execute(sa.update(approval).where(mine).values(checked_at=checked - step))
        engine.dispose()

    @property
    def twins(self) -> tuple[StripeTwin, ZendeskTwin, GitHubTwin]:
        return self.stripe, self.zendesk, self.github

    # --- HTTP -------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def deliver(self, ticket_id: int, kind: str = "event", **tamper: Any) -> int:
        """Zendesk's webhook for the ticket; the status of the answer."""
        delivery = self.zendesk.deliver_webhook(
            ticket_id, self.url + "/webhooks/zendesk", kind=kind, secret=WEBHOOK_SECRET, **tamper
        )
        return delivery.status or 0

    def launch(self, agent_id: int | None = None) -> str:
        """Open the sidebar as Zendesk's browser would; the page token."""
        token = self.zendesk.launch_token(agent_id or self.agent["id"])
        answer = requests.post(
            self.url + "/zendesk/sidebar",
            params={"origin": "https://acme.zendesk.com", "app_guid": "a" * 12},
            data={"token": token},
            timeout=20,
        )
        assert answer.status_code == 200, answer.text
        start = answer.text.index('id="boot"')
        body = answer.text[answer.text.index(">", start) + 1 : answer.text.index("</script>", start)]
        return str(json.loads(body)["token"])

    def get(self, path: str, *, token: str | None, accept: str = "application/json") -> requests.Response:
        headers = {"Accept": accept} | ({"Authorization": f"Bearer {token}"} if token else {})
        try:
            return requests.get(self.url + path, headers=headers, timeout=20)
        except requests.RequestException:
            return _nobody()

    def post(self, path: str, document: Any = None, *, token: str | None) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            return requests.post(self.url + path, json=document or {}, headers=headers, timeout=20)
        except requests.RequestException:
            return _nobody()

    def card(self, ticket_id: int, token: str, seconds: float = 30.0) -> dict[str, Any]:
        """The card once the first enrichment has ended."""
        found: list[dict[str, Any]] = []

        def ready() -> bool:
            answer = self.get(f"/api/tickets/{ticket_id}/card", token=token)
            if answer.status_code == 200:
                found.append(answer.json())
            return bool(found)

        wait_for(ready, seconds, f"no card for ticket {ticket_id}")
        return found[-1]

    def approve(self, card: dict[str, Any], token: str, **changes: Any) -> requests.Response:
        """Approve every step of the card's plan."""
        body = {
            "plan_digest": card["plan"]["digest"],
            "steps": [step["id"] for step in card["plan"]["steps"]],
            "follow_up": {"body": card["follow_up"]["body"], "deliver": "draft"},
            "file_issue": True,
        } | changes
        return self.post(f"/api/tickets/{card['ticket_id']}/approvals", body, token=token)

    def finished(self, approval_id: str, token: str, seconds: float = 60.0) -> dict[str, Any]:
        """The approval once it has ended and GitHub has answered."""
        found: list[dict[str, Any]] = []

        def ended() -> bool:
            answer = self.get(f"/api/approvals/{approval_id}", token=token)
            if answer.status_code != 200:
                return False
            document = answer.json()
            found.append(document)
            open_states = {"pending", "sending", "holding"}
            return bool(document["finished_at"]) and not any(s["state"] in open_states for s in document["steps"])

        wait_for(ended, seconds, lambda: f"approval {approval_id} has not ended: {found[-1:]}")
        return found[-1]

    # --- seeds ------------------------------------------------------------------------------------------------------

    def requester(self, email: str, name: str = "Maya Okafor", **identity: Any) -> dict[str, Any]:
        return self.zendesk.add_user(name, email, **({"verification_method": "full"} | identity))

    def ticket(self, email: str, subject: str, text: str, **fields: Any) -> int:
        """A ticket by a verified requester of that address; its id."""
        known = [user for user in self.zendesk.state()["users"] if user.get("email") == email]
        user = known[0] if known else self.requester(email)
        return int(self.zendesk.add_ticket(subject, text, user["id"], deliver=False, **fields)["id"])


@contextlib.contextmanager
def rigged(folder: Path, database_url: str | None = None, *, policy: str = POLICY) -> Iterator[Rig]:
    """A rig with started twins and a migrated store; the product is not started yet."""
    url = database_url or f"sqlite:///{folder / 'desk.db'}"
    with contextlib.ExitStack() as stack:
        stripe = stack.enter_context(StripeTwin(check_responses=False))
        zendesk, github = stack.enter_context(ZendeskTwin()), stack.enter_context(GitHubTwin())
        zendesk.update_limit = zendesk.auto_deliver = False
        nursery = stack.enter_context(Nursery())
        rig = Rig(
            folder=folder, database_url=url, stripe=stripe, zendesk=zendesk, github=github, world=World(stripe),
            nursery=nursery, policy=policy,
        )  # fmt: skip
        rig.prepare()
        yield rig


def wait_for(condition: Callable[[], bool], seconds: float, otherwise: str | Callable[[], str]) -> None:
    """Poll until the condition holds; fail with the sentence when the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.03)
    raise AssertionError(otherwise if isinstance(otherwise, str) else otherwise())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _nobody() -> requests.Response:
    answer = requests.Response()
    answer.status_code = 0
    return answer
