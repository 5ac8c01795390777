"""What does a GitHub twin hold, and how is it seeded?  The state behind github_twin, without requests."""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from integrations.twins import github_handlers as handlers
from integrations.twins.github_markdown import Live, joined, scan
from integrations.twins.github_tables import (
    Grant,
    Hub,
    Repository,
    Thing,
    account,
    new_comment,
    new_issue,
    new_label,
    repository_json,
    stamp,
)
from integrations.twins.outgoing import Attempt, app_key, private_pem
from integrations.twins.server import Twin

APP_KEY = 7  # the number of this App's key among the keys of the process


@dataclass(slots=True)
class Delivery:
    """One webhook delivery; GitHub does not retry by itself, a redelivery keeps the id."""

    id: str
    url: str
    body: bytes
    headers: dict[str, str]
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def status(self) -> int | None:
        return self.attempts[-1].status if self.attempts else None


class GitHubAccount(Twin):
    """The state, the switches and the seeds. Attributes marked (switch) may be set at any time."""

    service = "github"

    def __init__(
        self, *, port: int = 0, clock: Callable[[], datetime] | None = None, slug: str = "billing-desk"
    ) -> None:
        super().__init__(port=port, clock=clock)
        self.app: Thing = {
            "id": 81234,
            "slug": slug,
            "node_id": "A_81234",
            "client_id": "Iv23liTwin",
            "name": slug,
            "owner": account("acme", "Organization"),
            "html_url": f"https://github.com/apps/{slug}",
            "events": ["issues"],
            "permissions": {"issues": "write", "metadata": "read"},
            "created_at": stamp(self.now()),
        }
        self.creations_per_minute: int | None = 80  # (switch) the secondary limit; None: off
        self.creations_per_hour: int | None = 500  # (switch)
        self.requests_per_hour = 5000  # (switch) the primary limit, counted until reset()
        self._threads: list[threading.Thread] = []
        self.reset()

    # -- state -----------------------------------------------------------------------------------------------
    def reset(self) -> None:
        self.hub = Hub()
        self.hooks: list[tuple[str, str]] = []
        self.deliveries: list[Delivery] = []

    def copy_state(self) -> object:
        return copy.deepcopy(self.hub)

    def swap_state(self, state: object) -> object:
        if not isinstance(state, Hub):
            raise TypeError("a GitHub twin swaps hubs only")
        self.hub, before = state, self.hub
        return before

    def state(self) -> dict[str, Any]:
        shown = {}
        for repository in self.hub.repositories.values():
            shown[repository.full_name] = repository_json(repository, {}) | {
                "labels": list(repository.labels.values()),
                "issues": [
                    issue | {"comment_list": repository.comments[number], "live": scan(issue["body"] or "").as_json()}
                    for number, issue in repository.issues.items()
                ],
            }
        return copy.deepcopy(
            {
                "repositories": shown,
                "app_id": self.app["id"],
                "installations": sorted(self.hub.installations),
                "private_key": self.app_private_key,
                "deliveries": [{"id": each.id, "url": each.url, "status": each.status} for each in self.deliveries],
                "crashes": self.crashes,
            }
        )

    def seed(self, wanted: Any) -> dict[str, Any]:
        """{"repositories": [{"full_name", ..}], "issues": [{"repository", "title", ..}], "tokens": [{"value", ..}],
        "installations": [{"id", "repositories"}], "hooks": [{"url", "secret"}], "switches": {..}}"""
        known = {"repositories", "issues", "tokens", "installations", "hooks", "switches"}
        if not isinstance(wanted, dict) or set(wanted) - known:
            raise ValueError(f"a seed is an object of {sorted(known)}")
        for name, value in wanted.get("switches", {}).items():
            if name not in {"creations_per_minute", "creations_per_hour", "requests_per_hour"}:
                raise ValueError(f"unknown switch: {name}")
            setattr(self, name, value)
        for each in wanted.get("repositories", []):
            self.add_repository(**each)
        issues = [self.add_issue(**each)["number"] for each in wanted.get("issues", [])]
        tokens = [self.add_token(**each) for each in wanted.get("tokens", [])]
        for each in wanted.get("installations", []):
            self.add_installation(each["repositories"], number=each["id"])
        for each in wanted.get("hooks", []):
            self.add_hook(each["url"], each["secret"])
        return {"issues": issues, "tokens": tokens}

    # -- seeding in Python -----------------------------------------------------------------------------------
    def add_repository(
        self,
        full_name: str,
        *,
        private: bool = True,
        has_issues: bool = True,
        archived: bool = False,
        labels: Iterable[str] = (),
    ) -> Repository:
        with self.lock:
            owner, _, name = full_name.partition("/")
            made = Repository(owner, name, self.hub.number(), private, has_issues, archived)
            self.hub.repositories[full_name.lower()] = made
            for label in labels:
                new_label(self.hub, made, label)
            return made

    def add_issue(
        self,
        repository: str,
        title: str,
        body: str | None = None,
        *,
        labels: Iterable[str] = (),
        author: str = "octocat",
        pull_request: bool = False,
        indexed: bool = True,
    ) -> Thing:
        with self.lock:
            held = self.hub.repositories[repository.lower()]
            made = new_issue(
                self.hub, held, self.now(), account(author), title, body, labels=list(labels), pull_request=pull_request
            )
            if indexed:
                self.hub.indexed.add(made["id"])
            return made

    def add_comment(self, repository: str, number: int, body: str, *, author: str = "octocat") -> Thing:
        with self.lock:
            held = self.hub.repositories[repository.lower()]
            return new_comment(self.hub, held, held.issues[number], self.now(), account(author), body)

    def add_token(
        self,
        value: str = "",
        *,
        login: str = "octocat",
        repositories: Iterable[str] | None = None,
        permissions: dict[str, str] | None = None,
        expires: datetime | None = None,
    ) -> str:
        """A user's token: fine-grained unless it begins with ghp_. Without permissions: issues write."""
        with self.lock:
            value = value or f"github_pat_{uuid.uuid4().hex}"
            kind = "classic" if value.startswith("ghp_") else "fine_grained"
            names = None if repositories is None else frozenset(each.lower() for each in repositories)
            rights = {"issues": "write"} if permissions is None else permissions
            self.hub.grants[value] = Grant(kind, login, rights | {"metadata": "read"}, names, expires)
            return value

    def add_installation(
        self, repositories: Iterable[str], *, number: int = 91, permissions: dict[str, str] | None = None
    ) -> int:
        with self.lock:
            names = frozenset(each.lower() for each in repositories)
            rights = {"issues": "write", "metadata": "read"} if permissions is None else permissions
            self.hub.installations[number] = {
                "id": number,
                "permissions": rights,
                "repositories": names,
                "account": min(names).partition("/")[0],
                "suspended": False,
            }
            return number

    def add_hook(self, url: str, secret: str) -> None:
        """A repository webhook: called for every change of an issue."""
        self.hooks.append((url, secret))

    def transfer_issue(self, repository: str, number: int, to: str) -> None:
        with self.lock:
            held, target = self.hub.repositories[repository.lower()], self.hub.repositories[to.lower()]
            issue = held.issues.pop(number)
            made = new_issue(
                self.hub,
                target,
                self.now(),
                issue["user"],
                issue["title"],
                issue["body"],
                labels=[each["name"] for each in issue["labels"]],
            )
            target.comments[made["number"]] = held.comments.pop(number)
            made["state"], made["state_reason"] = issue["state"], issue["state_reason"]
            made["closed_at"] = issue["closed_at"]
            held.transferred[number] = made["url"]
            self.happened("issues", "transferred", held, issue, account("octocat"))

    def delete_issue(self, repository: str, number: int) -> None:
        with self.lock:
            held = self.hub.repositories[repository.lower()]
            issue = held.issues.pop(number)
            held.deleted.add(number)
            self.happened("issues", "deleted", held, issue, account("octocat"))

    def rename_repository(self, repository: str, to: str) -> None:
        """Give it another name; the old one leads to it from then on. Tokens keep reaching it."""
        with self.lock:
            held = self.hub.repositories.pop(repository.lower())
            held.owner, _, held.name = to.partition("/")
            self.hub.repositories[to.lower()] = held
            self.hub.renamed[repository.lower()] = held.number
            for issue in held.issues.values():
                for name in ("url", "repository_url", "html_url", "comments_url"):
                    issue[name] = issue[name].replace(f"/{repository}", f"/{to}", 1)
            for grant in self.hub.grants.values():
                if grant.repositories is not None and repository.lower() in grant.repositories:
                    grant.repositories |= {to.lower()}

    def edit_issue(self, repository: str, number: int, *, actor: str = "octocat", **changes: Any) -> None:
        """What a person edits on the web page: title, body, assignees (logins)."""
        with self.lock:
            held = self.hub.repositories[repository.lower()]
            issue = held.issues[number]
            if "assignees" in changes:
                issue["assignees"] = [account(login) for login in changes.pop("assignees")]
                issue["assignee"] = next(iter(issue["assignees"]), None)
            issue |= changes | {"updated_at": stamp(self.now())}
            self.happened("issues", "edited", held, issue, account(actor))

    def close_issue(self, repository: str, number: int, *, reason: str = "completed", actor: str = "octocat") -> None:
        """What a person does on the web page; hooks are called."""
        self._move(repository, number, "closed", reason, actor)

    def reopen_issue(self, repository: str, number: int, *, actor: str = "octocat") -> None:
        self._move(repository, number, "open", None, actor)

    def _move(self, repository: str, number: int, state: str, reason: str | None, actor: str) -> None:
        with self.lock:
            held = self.hub.repositories[repository.lower()]
            handlers.move(held.issues[number], state, reason, self.now(), account(actor))
            held.issues[number]["updated_at"] = stamp(self.now())
            action = "closed" if state == "closed" else "reopened"
            self.happened("issues", action, held, held.issues[number], account(actor))

    def index_search(self) -> None:
        """Let the search index catch up; it never does so by itself."""
        with self.lock:
            self.hub.indexed = {each["id"] for held in self.hub.repositories.values() for each in held.issues.values()}

    def live(self, repository: str, number: int) -> Live:
        """What GitHub would act on in an issue's body and comments together."""
        held = self.hub.repositories[repository.lower()]
        texts = [held.issues[number]["body"] or "", *(each["body"] for each in held.comments[number])]
        return joined([scan(text) for text in texts])

    @property
    def app_private_key(self) -> str:
        return private_pem(app_key(APP_KEY))

    def happened(self, event: str, action: str, repository: Repository, issue: Thing, sender: Thing) -> None:
        """Call the hooks."""
        raise NotImplementedError
