"""How do tests file gaps without a whole product? The real Filing over a GitHub twin and a real store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from billing.gap import fingerprint
from billing.policy import GitHub, Policy
from github_issues.filing import Filed, Filing
from github_issues.issue import Occurrence
from github_issues.pace import NotYet
from github_issues.watching import Watching
from integrations.github_client import AccessToken, GitHubClient
from integrations.http import Door
from integrations.store import database
from integrations.store.tables import gap, gap_news
from integrations.twins.github_twin import GitHubTwin
from testkit.indoors import Clock, migrated_copy

WEB, OTHER = "acme/web", "acme/billing"
KIND = "no_duplicate_guard"
TICKETS = "https://acme.zendesk.com"
KEYS = ("k" * 40, "old" * 10)


@dataclass
class Bench:
    """One repository, one store; `now` is the test's clock and the twin's."""

    clock: Clock
    github: GitHubTwin
    engine: sa.Engine
    filing: Filing
    watching: Watching
    token: str

    def another(self, policy: Policy | None = None, keys: tuple[str, ...] = KEYS) -> Filing:
        """A Filing of its own, as another process has one."""
        return _filing(self.github, self.token, self.engine, self.clock, policy or Policy(), keys)

    def occurrence(self, ticket: int, **changes: Any) -> Occurrence:
        values: dict[str, Any] = {
            "ticket_id": ticket, "seen_at": self.clock(), "pattern": "duplicate same price", "refunded": {"usd": 2900},
            "at_risk": {}, "charges": 1, "every": "month",
        }  # fmt: skip
        return Occurrence(**(values | changes))

    def file(self, ticket: int, *, kind: str = KIND, filing: Filing | None = None, **changes: Any) -> Filed:
        """File, waiting for our own pace by moving the clock; what stays unsaid is said."""
        filing = filing or self.filing
        seen = self.occurrence(ticket, **changes)
        filed: Filed = self.patiently(lambda: filing.file(kind, seen, customer=f"cus_{ticket}"))
        if filed.unsaid:
            self.patiently(lambda: filing.catch_up(filed.fingerprint))
        return filed

    def patiently(self, act: Any) -> Any:
        for _ in range(20):
            try:
                return act()
            except NotYet as pace:
                self.clock.advance(timedelta(seconds=pace.retry_after or 1))
        raise AssertionError("never its turn")

    def look(self, kind: str = KIND) -> None:
        self.watching.look(fingerprint(kind, WEB))

    def issues(self, repository: str = WEB) -> list[dict[str, Any]]:
        return list(self.github.state()["repositories"][repository]["issues"])

    def comments(self, number: int = 1, repository: str = WEB) -> list[str]:
        issue = next(one for one in self.issues(repository) if one["number"] == number)
        return [one["body"] for one in issue["comment_list"]]

    def row(self, kind: str = KIND, repository: str = WEB) -> Any:
        with self.engine.connect() as connection:
            mine = gap.c.fingerprint == fingerprint(kind, repository)
            return connection.execute(sa.select(gap).where(mine)).one()

    def news(self) -> dict[int, tuple[str, str]]:
        """Ticket -> outcome and state."""
        with self.engine.connect() as connection:
            return {row.ticket_id: (row.outcome, row.state) for row in connection.execute(sa.select(gap_news))}

    def told(self) -> None:
        """As if every ticket had heard what it was to hear."""
        with self.engine.begin() as connection:
            connection.execute(sa.update(gap_news).values(state="told", body="draft"))


@contextlib.contextmanager
def bench(folder: Path, policy: Policy | None = None, *, private: bool = True) -> Iterator[Bench]:
    clock = Clock()
    with GitHubTwin(clock=clock) as github:
        for name in (WEB, OTHER):
            github.add_repository(name, private=private)
        token = github.add_token(repositories=[WEB, OTHER, "acme/moved"])
        engine = database.open_engine(f"sqlite:///{migrated_copy(folder / 'desk.db')}")
        filing = _filing(github, token, engine, clock, policy or Policy(), KEYS)
        yield Bench(
            clock=clock, github=github, engine=engine, filing=filing, watching=Watching(engine, filing, clock),
            token=token,
        )  # fmt: skip
        assert github.crashes == []
        engine.dispose()


def routed(**routes: str) -> Policy:
    return Policy(github=GitHub(routes=routes))


def _filing(
    github: GitHubTwin, token: str, engine: sa.Engine, clock: Clock, policy: Policy, keys: tuple[str, ...]
) -> Filing:
    made: dict[str, GitHubClient] = {}

    def client_of(repository: str) -> GitHubClient:
        if repository not in made:
            door = Door("github", github.url, total_seconds=10.0, concurrency=4, read_attempts=1)
            made[repository] = GitHubClient(
                door, repository, AccessToken(token=token), create_spacing_seconds=0.0, sleep=lambda _: None
            )
        return made[repository]

    return Filing(engine, client_of, WEB, policy, clock, tickets=TICKETS, keys=keys)
