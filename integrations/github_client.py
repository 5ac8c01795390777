"""What does the repository's issue tracker hold, and how do we write to it one thing at a time?

Vendor pages: docs.github.com/rest (issues, labels), best practices and rate limits for the REST API.
GitHub has no idempotency key: after an unknown outcome look for the marker (`issues_by_label`) before creating again.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import jwt
from marshmallow import Schema, ValidationError

from integrations.errors import Garbled, Moved, NotFound, RateLimited, Refused, Unauthorized
from integrations.github_schemas import (
    Issue,
    IssueComment,
    IssueCommentSchema,
    IssueSchema,
    Label,
    LabelSchema,
    Repository,
    RepositorySchema,
)
from integrations.http import Door
from integrations.replies import Call, Refusal, Reply, plain_dialect, retry_after
from integrations.settings import Settings
from integrations.tokens import Granted, TokenCache

CREATE_SPACING_SECONDS = 4.0  # the documented 80 a minute is not reached in practice; 15 a minute is
_WRITE_SPACING_SECONDS = 1.0
_SECONDARY_PAUSE = 60.0  # what GitHub asks for when it names no time
_MOST_PAUSE = 3600.0
_MOST_QUEUE = 30.0
_JWT_SECONDS = 480  # GitHub refuses more than 600
_TOKEN_SECONDS = 3600.0
_PAGE = 100
_MOST_PAGES = 20
_REPOSITORY = "/repos/{owner}/{repository}"
_ISSUE = _REPOSITORY + "/issues/{number}"
# What a redirect may point at; `/repositories/{id}` is GitHub's own way to name a repository whatever it is called.
_PLACE = re.compile(
    r"(?:/repositories/(?P<id>[0-9]{1,19})|/repos/(?P<owner>[A-Za-z0-9-]{1,39})/(?P<repository>[A-Za-z0-9._-]{1,100}))"
    r"(?:/issues/(?P<number>[0-9]{1,19}))?"
)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A personal token, fine-grained to the one repository."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The issues of a label as they are now; `etag` asks cheaply whether anything changed since."""

    issues: tuple[Issue, ...]
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AppKey:
    """A GitHub App installed on the repository; `private_key` is PEM."""

    app_id: str
    installation_id: str
    private_key: str = field(repr=False)


def configured(settings: Settings) -> AccessToken | AppKey:
    """The credentials that the settings name; an App counts before a token."""
    if not settings.github_app_id:
        return AccessToken(token=settings.github_token)
    return AppKey(
        app_id=settings.github_app_id,
        installation_id=settings.github_app_installation_id,
        private_key=settings.github_app_private_key,
    )


class _Turns:
    """One write at a time, with the asked-for distance, and none before a pause is over."""

    def __init__(self, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._clock, self._sleep = clock, sleep
        self._one = threading.Lock()
        self._next = self._paused_until = clock() - 1.0

    @contextlib.contextmanager
    def turn(self, spacing: float, call: Call) -> Iterator[None]:
        """Waits for the turn; raises RateLimited when a pause is on or the queue is too long."""
        self.refuse_in_pause(call)
        if not self._one.acquire(timeout=_MOST_QUEUE):
            raise RateLimited(service="github", method=call.method, path=call.path, retry_after=_MOST_QUEUE)
        try:
            self.refuse_in_pause(call)
            wait = self._next - self._clock()
            if wait > 0:
                self._sleep(wait)
            yield
        finally:
            self._next = self._clock() + spacing
            self._one.release()

    def refuse_in_pause(self, call: Call) -> None:
        left = self._paused_until - self._clock()
        if left > 0:
            raise RateLimited(service="github", method=call.method, path=call.path, retry_after=left)

    def pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, self._clock() + seconds)


class GitHubClient:
    """The issues and labels of one repository (`owner/name`). Thread-safe; writes are serial.

    Each method raises OutsideError: NotFound (404, 410), Moved (301: renamed or transferred), Forbidden with the
    missing permission, RateLimited with the seconds to stay away. `repository` and `issue` look once where a move
    points, on the same host only, and their answer tells where the thing is now; writes never go anywhere else.
    """

    def __init__(
        self,
        door: Door,
        repository: str,
        credentials: AccessToken | AppKey,
        *,
        create_spacing_seconds: float = CREATE_SPACING_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        owner, _, name = repository.partition("/")
        self._door, self._credentials = door, credentials
        self._ids: dict[str, int | str] = {"owner": owner, "repository": name}
        self._create_spacing = create_spacing_seconds
        self._write_spacing = min(_WRITE_SPACING_SECONDS, create_spacing_seconds)
        self._turns = _Turns(clock, sleep)
        self._tokens = TokenCache(self._fetch_token, clock=clock)

    def repository(self) -> Repository:
        """The repository, and what may be done in it."""
        return _one(self._found(Call(method="GET", path=_REPOSITORY, ids=self._ids)), _REPOSITORY_SCHEMA, Repository)

    def issue(self, number: int) -> Issue:
        """One issue as it is now."""
        return _one(self._found(self._call("GET", _ISSUE, number=number)), _ISSUE_SCHEMA, Issue)

    def listing(self, label: str, *, etag: str = "") -> Listing | None:
        """All issues with the label, the last changed first; None when nothing changed since `etag` (costs nothing)."""
        query: dict[str, str | int] = {"labels": label, "state": "all", "sort": "updated", "direction": "desc"}
        headers = {"If-None-Match": etag} if etag else {}
        pages = self._pages(Call(method="GET", path=_REPOSITORY + "/issues", ids=self._ids, query=query), headers)
        try:
            replies = list(pages)
        except Garbled as error:
            if error.status == 304:
                return None
            raise
        found = tuple(_loaded(reply, row, _ISSUE_SCHEMA, Issue) for reply in replies for row in reply.as_list())
        return Listing(issues=tuple(one for one in found if not one.pull_request), etag=_etag(replies[0]))

    def issues_by_label(
        self, label: str, *, state: str = "all", creator: str | None = None, since: datetime | None = None
    ) -> tuple[Issue, ...]:
        """All issues with the label, newest first, without pull requests. A listing, not the search, which lags."""
        query: dict[str, str | int] = {"labels": label, "state": state, "sort": "created", "direction": "desc"}
        if creator is not None:
            query["creator"] = creator
        if since is not None:
            query["since"] = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        found: list[Issue] = []
        for reply in self._pages(Call(method="GET", path=_REPOSITORY + "/issues", ids=self._ids, query=query)):
            found.extend(_loaded(reply, row, _ISSUE_SCHEMA, Issue) for row in reply.as_list())
        return tuple(issue for issue in found if not issue.pull_request)

    def create_issue(self, *, title: str, body: str, labels: Iterable[str] = ()) -> Issue:
        """A new issue. After an unknown outcome it may exist: look before creating again."""
        call = self._call("POST", _REPOSITORY + "/issues", {"title": title, "body": body, "labels": list(labels)})
        return _one(self._write(call, self._create_spacing), _ISSUE_SCHEMA, Issue)

    def update_issue(
        self,
        number: int,
        *,
        body: str | None = None,
        state: str | None = None,
        labels: Iterable[str] | None = None,
        state_reason: str | None = None,
    ) -> Issue:
        """Changes what is given and leaves the rest. `labels` replaces the whole set."""
        wanted = {"body": body, "state": state, "state_reason": state_reason}
        change: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
        if labels is not None:
            change["labels"] = list(labels)
        call = self._call("PATCH", _ISSUE, change, number=number)
        return _one(self._write(call, self._write_spacing), _ISSUE_SCHEMA, Issue)

    def comment(self, number: int, body: str) -> IssueComment:
        """A new comment under the issue."""
        call = self._call("POST", _ISSUE + "/comments", {"body": body}, number=number)
        return _one(self._write(call, self._create_spacing), _COMMENT_SCHEMA, IssueComment)

    def comments(self, number: int) -> tuple[IssueComment, ...]:
        """The issue's comments, oldest first."""
        call = self._call("GET", _ISSUE + "/comments", number=number)
        rows = [(reply, row) for reply in self._pages(call) for row in reply.as_list()]
        return tuple(_loaded(reply, row, _COMMENT_SCHEMA, IssueComment) for reply, row in rows)

    def add_label(self, number: int, name: str) -> None:
        """Puts a label on the issue beside the others."""
        self._write(self._call("POST", _ISSUE + "/labels", {"labels": [name]}, number=number), self._write_spacing)

    def remove_label(self, number: int, name: str) -> None:
        """Takes the label off the issue; one that is not there is no fault."""
        with contextlib.suppress(NotFound):
            self._write(self._call("DELETE", _ISSUE + "/labels/{name}", number=number, name=name), self._write_spacing)

    def labels(self) -> tuple[Label, ...]:
        """All labels of the repository."""
        found: list[Label] = []
        for reply in self._pages(Call(method="GET", path=_REPOSITORY + "/labels", ids=self._ids)):
            found.extend(_loaded(reply, row, _LABEL_SCHEMA, Label) for row in reply.as_list())
        return tuple(found)

    def ensure_label(self, name: str, *, color: str = "ededed", description: str = "") -> Label:
        """The label, created when it is not there; one that exists keeps its looks."""
        path = _REPOSITORY + "/labels/{name}"
        with contextlib.suppress(NotFound):
            return _one(self._send(self._call("GET", path, name=name)), _LABEL_SCHEMA, Label)
        body = {"name": name, "color": color, "description": description}
        try:
            reply = self._write(self._call("POST", _REPOSITORY + "/labels", body), self._write_spacing)
        except Refused as error:
            if error.code != "already_exists":  # somebody else was faster
                raise
            reply = self._send(self._call("GET", path, name=name))
        return _one(reply, _LABEL_SCHEMA, Label)

    # --- the wire ---

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None, **ids: int | str) -> Call:
        return Call(method=method, path=path, ids={**self._ids, **ids}, body=body)

    def _found(self, call: Call) -> Reply:
        """The answer, also where GitHub says that the thing is somewhere else by now: one look, on the same host."""
        try:
            return self._send(call)
        except Moved as error:
            there = _followed(call, self._door.base_url, error.location)
            if there is None:
                raise
            return self._send(there)

    def _pages(self, call: Call, first: Mapping[str, str] | None = None) -> Iterator[Reply]:
        """Counts pages itself and never follows an address out of an answer. `first`: headers of the first page."""
        for page in range(1, _MOST_PAGES + 1):
            query = {**call.query, "per_page": _PAGE, "page": page}
            reply = self._send(replace(call, query=query, headers=(first or {}) if page == 1 else {}))
            yield reply
            if len(reply.as_list()) < _PAGE:
                return

    def _write(self, call: Call, spacing: float) -> Reply:
        with self._turns.turn(spacing, call):
            return self._send(call)

    def _send(self, call: Call) -> Reply:
        self._turns.refuse_in_pause(call)
        try:
            return self._authorized(call)
        except RateLimited as error:
            self._turns.pause(error.retry_after if error.retry_after is not None else _SECONDARY_PAUSE)
            raise

    def _authorized(self, call: Call) -> Reply:
        if isinstance(self._credentials, AccessToken):
            return self._door.send(_dressed(call, self._credentials.token))
        granted = self._tokens.current()
        try:
            return self._door.send(_dressed(call, granted.token))
        except Unauthorized:  # revoked early; a 401 did nothing, so one new try is safe
            self._tokens.drop(granted)
        return self._door.send(_dressed(call, self._tokens.current().token))

    def _fetch_token(self) -> Granted:
        """An installation token, limited to the one repository."""
        app = self._credentials
        if not isinstance(app, AppKey):
            raise TypeError("a personal token is not exchanged")
        call = Call(
            method="POST",
            path="/app/installations/{installation_id}/access_tokens",
            ids={"installation_id": app.installation_id},
            body={"repositories": [self._ids["repository"]]},
            idempotent=True,
        )
        reply = self._door.send(_dressed(call, app_jwt(app, datetime.now(UTC))))
        token, expires = reply.as_object().get("token"), reply.as_object().get("expires_at")
        if not isinstance(token, str) or not token:
            reply.garbled()
        return Granted(token=token, seconds=_seconds_until(expires))


def app_jwt(app: AppKey, now: datetime) -> str:
    """The App's own proof, issued a minute ago because GitHub's clock may be behind ours."""
    issued = int(now.timestamp()) - 60
    claims = {"iat": issued, "exp": issued + 60 + _JWT_SECONDS, "iss": app.app_id}
    return jwt.encode(claims, app.private_key, algorithm="RS256")


def github_dialect(reply: Reply) -> Refusal:
    """GitHub says "later" with 403 as well as 429, and names missing permissions in a header."""
    refusal = plain_dialect(reply)
    body = reply.body if isinstance(reply.body, dict) else {}
    message = str(body.get("message") or "").lower()
    headers = reply.headers
    exhausted = headers.get("X-RateLimit-Remaining") == "0"
    limited = reply.status in (403, 429) and (
        reply.status == 429 or exhausted or retry_after(headers) is not None or "rate limit" in message
    )
    if limited:
        pause = retry_after(headers)
        if pause is None and exhausted:
            pause = _seconds_to_reset(headers.get("X-RateLimit-Reset", ""))
        return replace(refusal, rate_limited=True, retry_after=_SECONDARY_PAUSE if pause is None else pause)
    wanted = (headers.get("X-Accepted-GitHub-Permissions") or "").partition(";")[0].partition(",")[0].strip()
    return replace(refusal, permission=wanted or None)


def _followed(call: Call, base_url: str, location: str | None) -> Call | None:
    """The same question to where `location` points; None unless that is the same kind of thing on the same host."""
    try:
        there, base = urlsplit(location or ""), urlsplit(base_url)
        same = (there.scheme, there.netloc) == (base.scheme, base.netloc)
    except ValueError:
        return None
    place = _PLACE.fullmatch(there.path.removeprefix(base.path)) if same and not there.query else None
    if place is None or ("number" in call.ids) != (place["number"] is not None):
        return None
    ids = {name: value for name, value in place.groupdict().items() if value is not None}
    path = "/repositories/{id}" if place["id"] else _REPOSITORY
    return replace(call, path=path + ("/issues/{number}" if place["number"] else ""), ids=ids)


def _etag(reply: Reply) -> str:
    """The answer's ETag; empty for one that is no plain header value."""
    etag = reply.headers.get("ETag") or ""
    return etag if len(etag) <= 200 and etag.isascii() and etag.isprintable() else ""


def _seconds_to_reset(epoch: str) -> float | None:
    return min(max(0.0, int(epoch) - time.time()), _MOST_PAUSE) if epoch.isdecimal() and len(epoch) < 12 else None


def _seconds_until(expires: object) -> float:
    try:
        seconds = (datetime.fromisoformat(str(expires)) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return _TOKEN_SECONDS
    return min(max(seconds, 0.0), _TOKEN_SECONDS)


def _dressed(call: Call, token: str) -> Call:
    headers = {
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
        "Authorization": f"Bearer {token}",
    }
    return replace(call, headers={**call.headers, **headers}, dialect=github_dialect)


_ISSUE_SCHEMA = IssueSchema()
_COMMENT_SCHEMA = IssueCommentSchema()
_LABEL_SCHEMA = LabelSchema()
_REPOSITORY_SCHEMA = RepositorySchema()


def _one(reply: Reply, schema: Schema, kind: type[T]) -> T:
    return _loaded(reply, reply.as_object(), schema, kind)


def _loaded(reply: Reply, row: object, schema: Schema, kind: type[T]) -> T:
    if not isinstance(row, dict):
        reply.garbled()
    try:
        value = schema.load(row)
    except ValidationError:
        reply.garbled()
    return value if isinstance(value, kind) else reply.garbled()
