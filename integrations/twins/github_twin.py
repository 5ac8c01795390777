"""How does GitHub behave towards billing-desk?  Its REST API for one kind of work (issues), on the loopback.

Knows repositories, issues, comments, labels, App and user tokens, the limits and the webhooks. Search is blind for new
issues on purpose: its index lags. Pages followed: https://docs.github.com/rest/issues and
https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from integrations.twins import github_handlers as handlers
from integrations.twins.github_account import APP_KEY, Delivery, GitHubAccount
from integrations.twins.github_auth import Refused, app_of, grant_of, installation_token
from integrations.twins.github_tables import (
    Grant,
    Repository,
    Thing,
    account,
    repository_json,
    stamp,
)
from integrations.twins.outgoing import app_key, in_background, post, public_pem
from integrations.twins.server import Request, Response

VERSIONS = frozenset({"2022-11-28", "2026-03-10"})
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


class GitHubTwin(GitHubAccount):
    """One GitHub that answers requests and calls hooks; seeds and switches are in GitHubAccount."""

    # -- webhooks --------------------------------------------------------------------------------------------
    def deliver(
        self,
        url: str,
        secret: str,
        *,
        repository: str,
        number: int,
        action: str = "closed",
        event: str = "issues",
        delivery_id: str | None = None,
        tamper: str | None = None,
    ) -> Delivery:
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

    def _prepared(
        self, url: str, secret: str, event: str, action: str, repository: Repository, issue: Thing, sender: Thing
    ) -> Delivery:
        number = str(uuid.uuid4())
        body = json.dumps(
            {"action": action, "issue": issue, "repository": repository_json(repository, {}), "sender": sender}
        ).encode()
        headers = {
            "User-Agent": "GitHub-Hookshot/twin",
            "Content-Type": "application/json",
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": number,
            "X-GitHub-Hook-ID": "1",
            "X-GitHub-Hook-Installation-Target-Type": "repository",
            "X-GitHub-Hook-Installation-Target-ID": str(repository.number),
            "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        }
        made = Delivery(number, url, body, headers)
        self.deliveries.append(made)
        return made

    def happened(self, event: str, action: str, repository: Repository, issue: Thing, sender: Thing) -> None:
        for url, secret in self.hooks:
            made = self._prepared(url, secret, event, action, repository, issue, sender)
            self._threads.append(in_background(partial(self.redeliver, made)))

    # -- requests --------------------------------------------------------------------------------------------
    def handle(self, request: Request) -> Response:
        try:
            response = self._checked(request)
        except Refused as refused:
            response = refused.response
        response.body = response.encoded()  # now, under the lock: the objects in it live on
        if request.method == "GET" and response.status == 200:
            etag = f'W/"{hashlib.sha256(response.body).hexdigest()}"'
            if request.headers.get("if-none-match") == etag:
                self.hub.used -= 1  # an unchanged answer counts for nothing
                response = Response(304, b"")
            response.headers["ETag"] = etag
        left = max(0, self.requests_per_hour - self.hub.used)
        response.headers = {
            "X-GitHub-Request-Id": f"TW1N:{len(self.wire) + 1:X}",
            "X-GitHub-Media-Type": "github.v3; format=json",
            "x-github-api-version-selected": request.headers.get("x-github-api-version", "2022-11-28"),
            "x-ratelimit-limit": str(self.requests_per_hour),
            "x-ratelimit-remaining": str(left),
            "x-ratelimit-used": str(self.hub.used),
            "x-ratelimit-resource": "core",
            "x-ratelimit-reset": str(int(self.now().timestamp()) + 3600),
        } | response.headers
        return response

    def _checked(self, request: Request) -> Response:
        if not request.headers.get("user-agent"):
            raise Refused(
                403, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header"
            )
        version = request.headers.get("x-github-api-version")
        if version is not None and version not in VERSIONS:
            raise Refused(400, f"'{version}' is not a supported version")
        if request.path == "/rate_limit":
            core = {
                "limit": self.requests_per_hour,
                "used": self.hub.used,
                "reset": int(self.now().timestamp()) + 3600,
                "remaining": max(0, self.requests_per_hour - self.hub.used),
            }
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
        repository, rest = self._named(request)
        call = handlers.Call(
            self.hub,
            request,
            repository,
            grant,
            self.now(),
            self.effect,
            self._count_creation,
            self.app,
            self.url,
            self.happened,
        )
        for methods, pattern, handler in _COMPILED:
            parts = pattern.fullmatch(rest)
            if parts and request.method in methods:
                return handler(call, *parts.groups())
        raise Refused(404, "Not Found")

    def _named(self, request: Request) -> tuple[Repository, str]:
        """The repository and the rest of the path; an old name is answered with where the repository is now."""
        by_id = re.fullmatch(r"/repositories/([0-9]{1,19})(/.*)?", request.path)
        if by_id:
            held = (each for each in self.hub.repositories.values() if each.number == int(by_id[1]))
            repository = next(held, None)
            if repository is not None:
                return repository, by_id[2] or ""
        found = re.fullmatch(r"/repos/([^/]+)/([^/]+)(/.*)?", request.path)
        if found is None:
            raise Refused(404, "Not Found")
        repository = self.hub.find(found[1], found[2])
        if repository is None:
            number = self.hub.renamed.get(f"{found[1]}/{found[2]}".lower())
            if number is None:
                raise Refused(404, "Not Found")
            place = f"{self.url}/repositories/{number}{found[3] or ''}"
            moved = 301 if request.method == "GET" else 307
            raise Refused(moved, "Moved Permanently", {"Location": place}, url=place)
        return repository, found[3] or ""

    def _as_app(self, request: Request) -> Response:
        app = app_of(request, self.app, public_pem(app_key(APP_KEY)), self.now())
        if (request.method, request.path) == ("GET", "/app"):
            return Response(200, app | {"installations_count": len(self.hub.installations)})
        found = re.fullmatch(r"/app/installations/(\d+)(/access_tokens)?", request.path)
        if found and found[2] and request.method == "POST":
            return installation_token(self.hub, int(found[1]), request, app, self.now())
        if found and not found[2] and request.method == "GET" and int(found[1]) in self.hub.installations:
            held = self.hub.installations[int(found[1])]
            return Response(
                200,
                {
                    "id": held["id"],
                    "app_id": app["id"],
                    "app_slug": app["slug"],
                    "account": account(held["account"], "Organization"),
                    "permissions": held["permissions"],
                    "repository_selection": "selected",
                    "suspended_at": stamp(self.now()) if held["suspended"] else None,
                },
            )
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
        items = [
            issue
            for repository in self.hub.repositories.values()
            if grant is not None or not repository.private
            for issue in repository.issues.values()
            if issue["id"] in self.hub.indexed
            and all(word in f"{issue['title']} {issue['body']}".lower() for word in words)
        ]
        return Response(200, {"total_count": len(items), "incomplete_results": False, "items": items})

    def _count_creation(self) -> None:
        """The secondary limit on content creation. Refused tries count as well: pressing on does not help."""
        now = self.now()
        self.hub.creations = [at for at in self.hub.creations if now - at < timedelta(hours=1)]
        minute = sum(now - at < timedelta(minutes=1) for at in self.hub.creations)
        self.hub.creations.append(now)
        for used, limit, wait in (
            (minute, self.creations_per_minute, 60),
            (len(self.hub.creations) - 1, self.creations_per_hour, 600),
        ):
            if limit is not None and used >= limit:
                raise Refused(
                    403,
                    "You have exceeded a secondary rate limit and have been temporarily blocked from "
                    "content creation. Please retry your request again later.",
                    {"retry-after": str(wait)},
                )
