"""How does GitHub behave towards billing-desk?  Its REST API for one kind of work (issues), on the loopback.

Knows repositories, issues, comments, labels, App and user tokens, the limits and the webhooks. Search is blind for new
issues on purpose: its index lags. Pages followed: https://docs.github.com/rest/issues and
https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from integrations.twins import github_handlers as handlers
from integrations.twins.github_auth import Refused, app_of, grant_of, installation_token
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
from integrations.twins.outgoing import Attempt, app_key, in_background, post, private_pem, public_pem
from integrations.twins.server import Request, Response, Twin

VERSIONS = frozenset({"2022-11-28", "2026-03-10"})
_APP_KEY = 7  # the number of this App's key among the keys of the process
_ROUTES: tuple[tuple[str, str, Callable[..., Response]], ...] = (
    ("GET", r"", handlers.show_repository),
    ("GET", r"/issues", handlers.list_issues),
    ("POST", r"/issues", handlers.create_issue),
    ("GET", r"/issues/(\d+)", handlers.show_issue),
    ("PATCH", r"/issues/(\d+)", handlers.change_issue),
    ("GET", r"/issues/(\d+)/comments", handlers.list_comments),
    ("POST", r"/issues/(\d+)/comments", handlers.create_comment),
    ("PATCH", r"/issues/comments/(\d+)", handlers.change_comment),
    ("GET|POST|PUT", r"/issues/(\d+)/labels", handlers.issue_labels),
    ("DELETE", r"/issues/(\d+)/labels/(.+)", handlers.remove_label),
    ("GET", r"/labels", handlers.list_labels),
    ("POST", r"/labels", handlers.create_label),
    ("GET", r"/labels/(.+)", handlers.show_label),
    ("PATCH", r"/labels/(.+)", handlers.change_label),
)
_COMPILED = tuple((methods.split("|"), re.compile(path), handler) for methods, path, handler in _ROUTES)


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


class GitHubTwin(Twin):
    """One GitHub. Attributes marked (switch) may be set at any time."""

    service = "github"

    def __init__(
        self, *, port: int = 0, clock: Callable[[], datetime] | None = None, slug: str = "billing-desk"
    ) -> None:
        super().__init__(port=port, clock=clock)
        self.app: Thing = {
            "id": 81234, "slug": slug, "node_id": "A_81234", "client_id": "Iv23liTwin", "name": slug,
            "owner": account("acme", "Organization"), "html_url": f"https://github.com/apps/{slug}",
            "events": ["issues"],
            "permissions": {"issues": "write", "metadata": "read"}, "created_at": stamp(self.now()),
        }
        self.creations_per_minute: int | None = 80  # (switch) the secondary limit; None: off
        self.creations_per_hour: int | None = 500   # (switch)
        self.requests_per_hour = 5000               # (switch) the primary limit, counted until reset()
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
                "issues": [issue | {"comment_list": repository.comments[number],
                                    "live": scan(issue["body"] or "").as_json()}
                           for number, issue in repository.issues.items()]}
        return copy.deepcopy({
            "repositories": shown, "app_id": self.app["id"], "installations": sorted(self.hub.installations),
            "private_key": self.app_private_key, "deliveries": [{"id": each.id, "url": each.url, "status": each.status}
                                                                for each in self.deliveries], "crashes": self.crashes})

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
    def add_repository(self, full_name: str, *, private: bool = True, has_issues: bool = True, archived: bool = False,
                       labels: Iterable[str] = ()) -> Repository:
        with self.lock:
            owner, _, name = full_name.partition("/")
            made = Repository(owner, name, self.hub.number(), private, has_issues, archived)
            self.hub.repositories[full_name.lower()] = made
            for label in labels:
                new_label(self.hub, made, label)
            return made

    def add_issue(self, repository: str, title: str, body: str | None = None, *, labels: Iterable[str] = (),
                  author: str = "octocat", pull_request: bool = False, indexed: bool = True) -> Thing:
        with self.lock:
            held = self.hub.repositories[repository.lower()]
            made = new_issue(self.hub, held, self.now(), account(author), title, body, labels=list(labels),
                             pull_request=pull_request)
            if indexed:
                self.hub.indexed.add(made["id"])
            return made

    def add_comment(self, repository: str, number: int, body: str, *, author: str = "octocat") -> Thing:
        with self.lock:
            held = self.hub.repositories[repository.lower()]
            return new_comment(self.hub, held, held.issues[number], self.now(), account(author), body)

    def add_token(self, value: str = "", *, login: str = "octocat", repositories: Iterable[str] | None = None,
                  permissions: dict[str, str] | None = None, expires: datetime | None = None) -> str:
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
            self.hub.installations[number] = {"id": number, "permissions": rights, "repositories": names,
                                              "account": min(names).partition("/")[0], "suspended": False}
            return number

    def add_hook(self, url: str, secret: str) -> None:
        """A repository webhook: called for every change of an issue."""
        self.hooks.append((url, secret))

    def transfer_issue(self, repository: str, number: int, to: str) -> None:
        with self.lock:
            held, target = self.hub.repositories[repository.lower()], self.hub.repositories[to.lower()]
            issue = held.issues.pop(number)
            made = new_issue(self.hub, target, self.now(), issue["user"], issue["title"], issue["body"],
                             labels=[each["name"] for each in issue["labels"]])
            target.comments[made["number"]] = held.comments.pop(number)
            held.transferred[number] = made["url"]

    def delete_issue(self, repository: str, number: int) -> None:
        with self.lock:
            held = self.hub.repositories[repository.lower()]
            held.issues.pop(number)
            held.deleted.add(number)

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
            self._happened("issues", action, held, held.issues[number], account(actor))

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
        return private_pem(app_key(_APP_KEY))

    # -- webhooks --------------------------------------------------------------------------------------------
    def deliver(self, url: str, secret: str, *, repository: str, number: int, action: str = "closed",
                event: str = "issues", delivery_id: str | None = None, tamper: str | None = None) -> Delivery:
        """Deliver now, in this thread. tamper: body, signature, or "without <header>"."""
        with self.lock:
            held = self.hub.repositories[repository.lower()]
            delivery = self._prepared(url, secret, event, action, held, held.issues[number], account("octocat"))
            if delivery_id is not None:
                delivery.id = delivery.headers["X-GitHub-Delivery"] = delivery_id
            if tamper == "body":
                delivery.body = delivery.body[:-1] + bytes([delivery.body[-1] ^ 1])
            elif tamper == "signature":
                delivery.headers["X-Hub-Signature-256"] = "sha256=" + "0" * 64
            elif tamper is not None:
                del delivery.headers[tamper.removeprefix("without ")]
        self.redeliver(delivery)
        return delivery

    def redeliver(self, delivery: Delivery) -> None:
        """Send it (again), byte for byte."""
        delivery.attempts.append(post(delivery.url, delivery.headers, delivery.body, 10.0, None))

    def settle(self, seconds: float = 5.0) -> None:
        """Wait until all hook deliveries have ended."""
        for thread in list(self._threads):
            thread.join(seconds)

    def _prepared(self, url: str, secret: str, event: str, action: str, repository: Repository, issue: Thing,
                  sender: Thing) -> Delivery:
        number = str(uuid.uuid4())
        body = json.dumps({"action": action, "issue": issue, "repository": repository_json(repository, {}),
                           "sender": sender}).encode()
        headers = {
            "User-Agent": "GitHub-Hookshot/twin", "Content-Type": "application/json", "X-GitHub-Event": event,
            "X-GitHub-Delivery": number, "X-GitHub-Hook-ID": "1",
            "X-GitHub-Hook-Installation-Target-Type": "repository",
            "X-GitHub-Hook-Installation-Target-ID": str(repository.number),
            "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        }
        made = Delivery(number, url, body, headers)
        self.deliveries.append(made)
        return made

    def _happened(self, event: str, action: str, repository: Repository, issue: Thing, sender: Thing) -> None:
        for url, secret in self.hooks:
            made = self._prepared(url, secret, event, action, repository, issue, sender)
            self._threads.append(in_background(partial(self.redeliver, made)))

    # -- requests --------------------------------------------------------------------------------------------
    def handle(self, request: Request) -> Response:
        try:
            response = self._checked(request)
        except Refused as refused:
            response = refused.response
        left = max(0, self.requests_per_hour - self.hub.used)
        response.headers = {
            "X-GitHub-Request-Id": f"TW1N:{len(self.wire) + 1:X}", "X-GitHub-Media-Type": "github.v3; format=json",
            "x-github-api-version-selected": request.headers.get("x-github-api-version", "2022-11-28"),
            "x-ratelimit-limit": str(self.requests_per_hour), "x-ratelimit-remaining": str(left),
            "x-ratelimit-used": str(self.hub.used), "x-ratelimit-resource": "core",
            "x-ratelimit-reset": str(int(self.now().timestamp()) + 3600),
        } | response.headers
        return response

    def _checked(self, request: Request) -> Response:
        if not request.headers.get("user-agent"):
            raise Refused(403, "Request forbidden by administrative rules. Please make sure your request has a "
                               "User-Agent header")
        version = request.headers.get("x-github-api-version")
        if version is not None and version not in VERSIONS:
            raise Refused(400, f"'{version}' is not a supported version")
        if request.path == "/rate_limit":
            core = {"limit": self.requests_per_hour, "used": self.hub.used, "reset": int(self.now().timestamp()) + 3600,
                    "remaining": max(0, self.requests_per_hour - self.hub.used)}
            return Response(200, {"resources": {"core": core}, "rate": core})
        self.hub.used += 1
        if self.hub.used > self.requests_per_hour:
            raise Refused(403, "API rate limit exceeded for installation ID 91.")
        return self._route(request)

    def _route(self, request: Request) -> Response:
        if request.path == "/app" or request.path.startswith("/app/"):
            return self._as_app(request)
        grant = grant_of(self.hub, request, self.now())
        if request.path == "/user" and request.method == "GET":
            return self._user(grant)
        if request.path == "/search/issues" and request.method == "GET":
            return self._search(request, grant)
        found = re.fullmatch(r"/repos/([^/]+)/([^/]+)(/.*)?", request.path)
        repository = self.hub.find(found[1], found[2]) if found else None
        if found is None or repository is None:
            raise Refused(404, "Not Found")
        call = handlers.Call(self.hub, request, repository, grant, self.now(), self.effect, self._count_creation,
                             self.app, self.url, self._happened)
        for methods, pattern, handler in _COMPILED:
            rest = pattern.fullmatch(found[3] or "")
            if rest and request.method in methods:
                return handler(call, *rest.groups())
        raise Refused(404, "Not Found")

    def _as_app(self, request: Request) -> Response:
        app = app_of(request, self.app, public_pem(app_key(_APP_KEY)), self.now())
        if (request.method, request.path) == ("GET", "/app"):
            return Response(200, app | {"installations_count": len(self.hub.installations)})
        found = re.fullmatch(r"/app/installations/(\d+)(/access_tokens)?", request.path)
        if found and found[2] and request.method == "POST":
            made = installation_token(self.hub, int(found[1]), request, app, self.now())
            self.effect("installation token made")
            return made
        if found and not found[2] and request.method == "GET" and int(found[1]) in self.hub.installations:
            held = self.hub.installations[int(found[1])]
            return Response(200, {"id": held["id"], "app_id": app["id"], "app_slug": app["slug"],
                                  "account": account(held["account"], "Organization"),
                                  "permissions": held["permissions"], "repository_selection": "selected",
                                  "suspended_at": stamp(self.now()) if held["suspended"] else None})
        raise Refused(404, "Not Found")

    def _user(self, grant: Grant | None) -> Response:
        if grant is None:
            raise Refused(401, "Requires authentication")
        if grant.kind == "installation":
            raise Refused(403, "Resource not accessible by integration")
        scopes = {"X-OAuth-Scopes": "repo"} if grant.kind == "classic" else {}
        return Response(200, account(grant.login), scopes)

    def _search(self, request: Request, grant: Grant | None) -> Response:
        """Only what the index holds: seeded issues, and nothing that came after them."""
        words = [word for word in dict(request.query).get("q", "").lower().split() if ":" not in word]
        items = [issue for repository in self.hub.repositories.values()
                 if grant is not None or not repository.private
                 for issue in repository.issues.values() if issue["id"] in self.hub.indexed
                 and all(word in f"{issue['title']} {issue['body']}".lower() for word in words)]
        return Response(200, {"total_count": len(items), "incomplete_results": False, "items": items})

    def _count_creation(self) -> None:
        """The secondary limit on content creation. Refused tries count as well: pressing on does not help."""
        now = self.now()
        self.hub.creations = [at for at in self.hub.creations if now - at < timedelta(hours=1)]
        minute = sum(now - at < timedelta(minutes=1) for at in self.hub.creations)
        self.hub.creations.append(now)
        for used, limit, wait in ((minute, self.creations_per_minute, 60),
                                  (len(self.hub.creations) - 1, self.creations_per_hour, 600)):
            if limit is not None and used >= limit:
                raise Refused(403, "You have exceeded a secondary rate limit and have been temporarily blocked from "
                                   "content creation. Please retry your request again later.",
                              {"retry-after": str(wait)})
