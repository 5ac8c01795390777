"""What is asked of an upstream, and what does its answer mean: done, a definite no, or nothing to rely on?"""

from __future__ import annotations

import email.utils
import ipaddress
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

import requests

from integrations.errors import (
    Conflict,
    Failed,
    Forbidden,
    Garbled,
    NotFound,
    OutsideError,
    RateLimited,
    Refused,
    Unauthorized,
)

MOST_DEPTH = 64
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_MOST_PAUSE = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """How a vendor words a no. `rate_limited`: it means "later" although the status says otherwise."""

    code: str | None = None
    permission: str | None = None
    rate_limited: bool = False
    retry_after: float | None = None


Dialect = Callable[["Reply"], Refusal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. `path` is a template (`/tickets/{ticket_id}`) filled from `ids`; only the template is ever logged.

    `idempotent`: a POST that only reads. `text`: the answer is not JSON. `seconds`: a total deadline of its own.
    """

    method: str
    path: str
    ids: Mapping[str, int | str] = field(default_factory=dict)
    query: Mapping[str, str | int] = field(default_factory=dict, repr=False)
    body: object = field(default=None, repr=False)
    files: Mapping[str, tuple[str, bytes, str]] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    idempotent: bool = False
    seconds: float | None = None
    text: bool = False
    dialect: Dialect | None = field(default=None, repr=False)

    def repeatable(self) -> bool:
        """Only reads are repeated."""
        return self.idempotent or self.method in ("GET", "HEAD")

    def filled_path(self) -> str:
        """The path with its ids, each quoted so that none can leave its segment."""

        def fill(match: re.Match[str]) -> str:
            value = str(self.ids[match[1]])
            if value in ("", ".", ".."):
                raise ValueError(f"no usable id for {match[1]}")
            return quote(value, safe="")

        if not self.path.startswith("/") or self.path.startswith("//"):
            raise ValueError("a path starts with one slash")
        return _PLACEHOLDER.sub(fill, self.path)

    def encoded(self) -> bytes | None:
        """The JSON body."""
        return None if self.body is None else json.dumps(self.body, allow_nan=False).encode()

    def all_headers(self) -> dict[str, str]:
        """The headers, with the JSON ones where they belong."""
        kind = {} if self.body is None else {"Content-Type": "application/json"}
        return {"Accept": "*/*" if self.text else "application/json", **kind, **self.headers}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A readable answer. `body`: the parsed JSON, None when there was none (or `null`)."""

    service: str
    call: Call
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: object = field(repr=False)
    text: str = field(default="", repr=False)
    request_id: str | None = None

    def as_object(self) -> dict[str, Any]:
        """The body as a JSON object; raises Garbled for anything else."""
        return self.body if isinstance(self.body, dict) else self.garbled()

    def as_list(self) -> list[Any]:
        """The body as a JSON array; raises Garbled for anything else."""
        return self.body if isinstance(self.body, list) else self.garbled()

    def garbled(self) -> NoReturn:
        """Raises Garbled: the answer has not the promised shape."""
        raise _garbled(self.service, self.call, self.status, self.request_id)


def read_reply(service: str, call: Call, response: requests.Response) -> Reply:
    """The answer to `call`, or the error it stands for."""
    request_id = response.headers.get("Request-Id") or response.headers.get("X-Request-Id")
    request_id = request_id or response.headers.get("X-GitHub-Request-Id")
    good = 200 <= response.status_code < 300
    body: object = None
    text = ""
    try:
        if good and call.text:
            text = response.content.decode()
        elif response.content.strip():
            body = parse_json(response.content)
    except ValueError:
        if good:
            raise _garbled(service, call, response.status_code, request_id) from None
    reply = Reply(
        service=service,
        call=call,
        status=response.status_code,
        headers=response.headers,
        body=body,
        text=text,
        request_id=request_id,
    )
    if good:
        return reply
    raise _refusal(reply, (call.dialect or plain_dialect)(reply))


def parse_json(raw: bytes) -> object:
    """Strict JSON: UTF-8, no NaN, nested at most 64 deep. Raises ValueError for anything else."""

    def refuse(word: str) -> NoReturn:
        raise ValueError("not a JSON number")

    try:
        value: object = json.loads(raw.decode("utf-8"), parse_constant=refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if raw.count(b"[") + raw.count(b"{") > MOST_DEPTH and _depth(value) > MOST_DEPTH:
        raise ValueError("nested too deeply")
    return value


def _depth(value: object) -> int:
    level: list[object] = [value] if isinstance(value, dict | list) else []
    depth = 0
    while level and depth <= MOST_DEPTH:
        depth += 1
        inner: list[object] = []
        for container in level:
            children = container.values() if isinstance(container, dict) else container
            inner.extend(child for child in children if isinstance(child, dict | list))  # type: ignore[attr-defined]
        level = inner
    return depth


def plain_dialect(reply: Reply) -> Refusal:
    """The common wordings: `{"error": {"code"}}`, `{"error": "Word"}`, `{"code"}`, `{"errors": [{"code"}]}`."""
    body = reply.body
    code: object = None
    if isinstance(body, dict):
        error, errors = body.get("error"), body.get("errors")
        code = error.get("code") if isinstance(error, dict) else error or body.get("code")
        if code is None and isinstance(errors, list) and errors and isinstance(errors[0], dict):
            code = errors[0].get("code")
    return Refusal(code=code if isinstance(code, str) else None, retry_after=retry_after(reply.headers))


def _refusal(reply: Reply, refusal: Refusal) -> OutsideError:
    at: dict[str, Any] = {
        "service": reply.service,
        "method": reply.call.method,
        "path": reply.call.path,
        "status": reply.status,
        "request_id": reply.request_id,
    }
    if reply.status == 429 or refusal.rate_limited:
        return RateLimited(**at, retry_after=refusal.retry_after, code=refusal.code)
    if reply.status >= 500 or reply.status == 408:
        return Failed(**at, retryable=reply.status != 501)
    kinds: dict[int, type[Refused]] = {401: Unauthorized, 403: Forbidden, 404: NotFound, 409: Conflict, 410: NotFound}
    kind = kinds.get(reply.status, Refused)
    if not 400 <= reply.status < 500:  # 1xx and 304 are no answers to anything we ask
        return Garbled(**at)
    return kind(**at, code=refusal.code, permission=refusal.permission)


def _garbled(service: str, call: Call, status: int, request_id: str | None) -> Garbled:
    return Garbled(
        service=service, method=call.method, path=call.path, status=status, request_id=request_id, retryable=True
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from `Retry-After` (a number or an HTTP date), at most an hour; None when absent or unreadable."""
    value = (headers.get("Retry-After") or "").strip()
    if value.replace(".", "", 1).isdecimal() and value.isascii():
        return min(float(value), _MOST_PAUSE)
    then, now = _timestamp(value), _timestamp(headers.get("Date") or "")
    return None if then is None else min(max(0.0, then - (now or time.time())), _MOST_PAUSE)


def _timestamp(value: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(value).timestamp() if value else None
    except (ValueError, OverflowError):
        return None


def checked_base_url(base_url: str) -> str:
    """The base address without a trailing slash; ValueError unless it is https, or http on loopback."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if parts.username or parts.password or parts.query or parts.fragment or not host:
        raise ValueError("a base address is scheme, host and an optional path")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise ValueError("a base address must be https (http only on loopback)")
    return base_url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
