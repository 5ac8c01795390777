"""How do tests play the product turn by turn, on either store, with faults at every door and a clock of their own?

One stage serves many plays: twins and store are emptied between them, which is cheap. Nothing waits in real time: a
handler that asks to be called again is called at once, with the clock moved on. `restart` is what a killed process
leaves: the store and the vendors, and no memory.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import logging
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import sqlalchemy as sa
from psycopg import sql

import app as product_app
from github_issues.filing import Filing
from integrations.github_client import AccessToken, GitHubClient
from integrations.http import Door, capped_session
from integrations.store import approvals
from integrations.store.approvals import Action, Approval
from integrations.store.tables import gate, metadata
from integrations.stripe_executor import StripeExecutor
from integrations.stripe_reader import StripeReader
from integrations.telemetry import JsonFormatter
from integrations.twins.server import Twin
from integrations.twins.stripe_twin.idempotency import IdempotencyStore
from integrations.zendesk_client import ZendeskClient
from integrations.zendesk_wire import SCOPES, OAuthClient
from testkit.indoors import Indoors, indoors, migrated_copy
from testkit.rig import READ_KEY, READ_PERMISSIONS, REPOSITORY, WRITE_KEY, WRITE_PERMISSIONS
from zendesk.applying import Applying
from zendesk.gaps import GapFiling

PATIENT = 10.0  # seconds a call may take where nothing hangs
Bases = Mapping[str, str]
"""Another address for a door: stripe_read, stripe_write, zendesk, github."""


_OURS = [table for table in metadata.sorted_tables if table.name != gate.name]


@dataclass(frozen=True, slots=True)
class Kept:
    """The vendors' states and the store at one moment: a file of SQLite, or PostgreSQL's rows."""

    at: datetime
    states: list[object]
    file: bytes
    rows: Mapping[str, list[dict[str, Any]]]


@dataclass
class Stage:
    """`desk` is the product with its twins; `logs` are the lines that the product has written since `clear`."""

    desk: Indoors
    database_url: str
    logs: Lines = field(default_factory=lambda: Lines())

    # --- before a play ----------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Empty twins, an empty store, the present time, a fresh product."""
        self.desk.product.engine.dispose()
        self.desk.clock.moment = datetime.now(UTC).replace(microsecond=0)
        for twin in self.twins:
            twin.wire.clear()
            twin.faults.clear()
            twin.crashes.clear()
            twin.reset()
        stripe = self.desk.stripe
        stripe.broken.clear()
        stripe.add_key(READ_KEY, READ_PERMISSIONS)
        stripe.add_key(WRITE_KEY, READ_PERMISSIONS | WRITE_PERMISSIONS)
        self.desk.github.add_repository(REPOSITORY)
        token = self.desk.github.add_token(repositories=[REPOSITORY])
        self.desk.settings = dataclasses.replace(self.desk.settings, github_token=token)
        self.desk.agent = self.desk.zendesk.add_agent("Ana Ruiz", "ana@acme.example")
        self._empty_store()
        self.restart()
        self.logs.lines.clear()

    def restart(self, *, seconds: float = PATIENT, bases: Bases | None = None) -> None:
        """A new process: nothing of the old one's memory is left. `seconds`: how long a call may take at most."""
        self.desk.product.engine.dispose()
        at = {
            "stripe_read": self.desk.stripe.url, "stripe_write": self.desk.stripe.url,
            "zendesk": self.desk.zendesk.url, "github": self.desk.github.url,
        } | dict(bases or {})  # fmt: skip
        built = product_app.build(self.desk.settings, now=self.desk.clock)
        settings, desk = self.desk.settings, built.desk
        filing = Filing(
            built.engine, lambda name: self._github(name, at["github"], seconds), REPOSITORY, desk.policy,
            self.desk.clock, tickets=settings.zendesk_origin,
        )  # fmt: skip
        zendesk = ZendeskClient(
            Door("zendesk", at["zendesk"], total_seconds=seconds, concurrency=8, sleep=self._nap),
            OAuthClient(
                client_id=settings.zendesk_oauth_client_id, client_secret=settings.zendesk_oauth_client_secret,
                scopes=SCOPES,
            ),
        )  # fmt: skip
        self.desk.product = dataclasses.replace(
            built,
            desk=dataclasses.replace(
                desk, filing=filing, zendesk=zendesk, agents=type(desk.agents)(zendesk, desk.policy, self.desk.clock),
                reader=StripeReader(READ_KEY, at["stripe_read"], session=capped_session(total_seconds=seconds)),
                executor=StripeExecutor(WRITE_KEY, at["stripe_write"], session=capped_session(total_seconds=seconds)),
            ),
        )  # fmt: skip
        self.desk.client = self.desk.product.web().test_client()

    def keep(self) -> Kept:
        """All that a killed process leaves, to go back to."""
        self.desk.product.engine.dispose()  # the last connection to SQLite folds its log into the file
        file = Path(self.database_url.removeprefix("sqlite:///"))
        if self._sqlite:
            return Kept(self.desk.clock(), self._copies(), file.read_bytes(), {})
        with self.desk.product.engine.connect() as connection:
            rows = {table.name: connection.execute(sa.select(table)).mappings().all() for table in _OURS}
        return Kept(
            self.desk.clock(), self._copies(), b"", {name: [dict(row) for row in r] for name, r in rows.items()}
        )

    def back_to(self, kept: Kept) -> None:
        """As it was then, in a new process."""
        self.desk.product.engine.dispose()
        self.desk.clock.moment = kept.at
        for twin, state in zip(self.twins, kept.states, strict=True):
            twin.wire.clear()
            twin.faults.clear()
            twin.swap_state(copy.deepcopy(state))
        self.desk.stripe.idempotency = IdempotencyStore()
        self._empty_store(kept)
        self.restart()
        self.logs.lines.clear()

    def _copies(self) -> list[object]:
        return [twin.copy_state() for twin in self.twins]

    @property
    def _sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    def _github(self, name: str, base: str, seconds: float) -> GitHubClient:
        door = Door("github", base, total_seconds=seconds, concurrency=4, sleep=self._nap)
        token = AccessToken(token=self.desk.settings.github_token)
        return GitHubClient(door, name, token, clock=lambda: self.desk.clock().timestamp(), sleep=self._nap)

    def _nap(self, seconds: float) -> None:
        self.desk.clock.advance(timedelta(seconds=seconds))

    def _empty_store(self, kept: Kept | None = None) -> None:
        """Nothing is in the store, or what was in it then."""
        if self._sqlite:
            path = Path(self.database_url.removeprefix("sqlite:///"))
            for name in (path.name, path.name + "-wal", path.name + "-shm"):
                path.with_name(name).unlink(missing_ok=True)
            if kept is None:
                migrated_copy(path)
            else:
                path.write_bytes(kept.file)
            return
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            theirs = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'dbos'").fetchall()
            names = [sql.Identifier(table.name) for table in _OURS]
            names += [sql.Identifier("dbos", str(row[0])) for row in theirs if "migration" not in str(row[0])]
            connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.SQL(", ").join(names)))
        if kept is not None:
            with self.desk.product.engine.begin() as writing:
                for table in _OURS:
                    if kept.rows[table.name]:
                        writing.execute(sa.insert(table), kept.rows[table.name])

    @property
    def twins(self) -> tuple[Twin, Twin, Twin]:
        return self.desk.stripe, self.desk.zendesk, self.desk.github

    # --- a play -----------------------------------------------------------------------------------------------------

    def body(self, card: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
        """The approval of every step of the card's plan."""
        return {
            "plan_digest": card["plan"]["digest"], "steps": [step["id"] for step in card["plan"]["steps"]],
            "follow_up": {"body": card["follow_up"]["body"], "deliver": "draft"}, "file_issue": True,
        } | changes  # fmt: skip

    def approve(self, ticket: int) -> str:
        answer = self.desk.post(f"/api/tickets/{ticket}/approvals", self.body(self.desk.card(ticket)))
        assert answer.status_code == 202, answer.text
        return str(answer.get_json()["approval_id"])

    def run(self, approval_id: str, *, most: int = 80) -> list[float]:
        """Until the approval has ended, as the engine does it: call again after the time asked for. The waits."""
        return self._turns(Applying(self.desk.product.desk), approval_id, most)

    def file(self, action_id: str, *, most: int = 80) -> list[float]:
        """The same for the filing of an issue, for about an hour: while GitHub fails it goes on for ever."""
        return self._turns(GapFiling(self.desk.product.desk), action_id, most, seconds=4000)

    def _turns(self, handler: Applying | GapFiling, argument: str, most: int, seconds: float = 1e9) -> list[float]:
        waits: list[float] = []
        for _ in range(most):
            again = handler.turn(argument)
            if again is None or sum(waits) > seconds:
                break
            if again > 0:
                waits.append(again)
                self.desk.clock.advance(timedelta(seconds=again))
        return waits

    # --- what there is --------------------------------------------------------------------------------------------

    def approval(self, approval_id: str) -> Approval:
        with self.desk.product.engine.connect() as connection:
            found = approvals.read(connection, approval_id)
        assert found is not None
        return found

    def step(self, approval_id: str, kind: str) -> Action:
        with self.desk.product.engine.connect() as connection:
            return next(one for one in approvals.actions(connection, approval_id) if one.kind == kind)

    def document(self, approval_id: str) -> dict[str, Any]:
        return dict(self.desk.get(f"/api/approvals/{approval_id}").get_json())

    def notes(self, ticket: int, stage: str) -> int:
        """How many comments of this stage of ours the ticket carries."""
        marks = (one["metadata"].get("custom", {}) for one in self.desk.zendesk.desk.comments[ticket])
        return sum((one.get("billing_desk") or {}).get("stage") == stage for one in marks)

    def jobs(self) -> int:
        """How many jobs the engine holds."""
        table = "workflow_status" if self._sqlite else "dbos.workflow_status"
        with self.desk.product.engine.connect() as connection:
            return int(connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608  ours

    def issues(self) -> list[dict[str, Any]]:
        return list(self.desk.github.state()["repositories"][REPOSITORY]["issues"])

    def everything_shown(self, ticket: int, approval_id: str | None = None) -> str:
        """All that leaves: both faces of card and approval, what stands on the ticket and at GitHub, every log line."""
        shown = [self.desk.get(f"/api/tickets/{ticket}/card").text]
        shown += [self.desk.get(f"/api/tickets/{ticket}/card?view={v}", html=True).text for v in ("glance", "review")]
        if approval_id is not None:
            shown.append(self.desk.get(f"/api/approvals/{approval_id}").text)
        shown += [str(comment["html_body"]) for comment in self.desk.zendesk.desk.comments[ticket]]
        return "\n".join([*shown, json.dumps(self.issues()), *self.logs.lines])


class Lines(logging.Handler):
    """Every line as the product's own formatter writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._writes = JsonFormatter()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self._writes.format(record))


@contextlib.contextmanager
def staged(folder: Path, server_url: str | None = None, *, policy: str = "") -> Iterator[Stage]:
    """A stage on SQLite, or on a database of its own at the PostgreSQL server `server_url`."""
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(_database(server_url)) if server_url else f"sqlite:///{folder / 'stage.db'}"
        if not server_url:
            migrated_copy(folder / "stage.db")
        changes = {"database_url": url, "log_level": "info"}
        made = stack.enter_context(indoors(folder, policy=policy, **changes))
        if server_url:
            product_app.migrate(made.settings)
        stage = Stage(desk=made, database_url=url)
        root, level = logging.getLogger(), logging.getLogger().level
        root.addHandler(stage.logs)
        stack.callback(root.setLevel, level)
        stack.callback(root.removeHandler, stage.logs)
        stack.callback(lambda: stage.desk.product.engine.dispose())
        yield stage
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _database(server_url: str) -> Iterator[str]:
    name = f"stage_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
