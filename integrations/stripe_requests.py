"""How is one thing read from Stripe, in the time that is left, and what do we make of an answer that is not whole?

A read is tried twice. A list is read up to 300 objects; a page that fails ends it, with the reason, and what was read
before stays. Objects that cannot be read are left out, with the reason.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar

from marshmallow import ValidationError

from billing.snapshot import Why
from integrations.errors import Forbidden, Garbled, OutsideError, RateLimited, Refused, Unreachable
from integrations.http import CappedSession, within
from integrations.stripe_calls import open_client, translated
from integrations.stripe_fields import dig, reference

PAGE, MOST_PAGES = 100, 3
_GRACE = 0.1  # seconds that a bounded request may need to notice that its time is over
_T = TypeVar("_T")
Params = dict[str, Any]
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Budget:
    """When each round of a reading has to end, in monotonic seconds: a hanging part leaves time for the others."""

    who: float
    named: float
    state: float
    rest: float

    @classmethod
    def of(cls, seconds: float) -> Budget:
        now = time.monotonic()
        return cls(who=now + 0.35 * seconds, named=now + 0.5 * seconds, state=now + 0.7 * seconds, rest=now + seconds)


@dataclass(slots=True)
class Lists:
    """What the rounds collect. Only the thread that leads a reading touches it."""

    found: dict[str, list[Any]] = field(default_factory=dict)
    missing: dict[str, Why] = field(default_factory=dict)

    def add(self, part: str, records: Iterable[Any]) -> None:
        self.found.setdefault(part, []).extend(records)

    def lack(self, part: str, why: Why | None) -> None:
        if why is not None:
            self.missing.setdefault(part, why)

    def of(self, part: str) -> tuple[Any, ...]:
        """Newest first, each id once."""
        unique = {record.id: record for record in self.found.get(part, [])}
        return tuple(sorted(unique.values(), key=lambda record: (record.created, record.id), reverse=True))


@dataclass(frozen=True, slots=True)
class Listing:
    """A list as far as it was read. `why`: it is not whole; `clipped`: (list, object) where a list inside goes on."""

    records: tuple[Any, ...]
    why: Why | None = None
    clipped: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A list to ask for. `load` makes a record of one object, or raises ValidationError.

    `owner`: the field and value that every object has to carry, filled in where absent.
    """

    part: str
    path: str
    params: Params
    load: Callable[[Any], Any]
    owner: tuple[str, str] | None = None
    inside: tuple[str, ...] = ()  # lists inside each object that Stripe cuts off at ten entries
    pages: int = MOST_PAGES


class StripeRequests:
    """Thread-safe. Every call ends soon after `ends` (monotonic seconds)."""

    def __init__(self, key: str, base: str, session: CappedSession, threads: int) -> None:
        self._seconds = session.total_seconds
        self._client = open_client(key, base, session)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="stripe-read")
        self._count = 0
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """How many requests were made: Stripe grants reads by the month."""
        return self._count

    def get(self, path: str, params: Params, ends: float) -> Document:
        """One GET, tried twice when the first got no clean answer. Raises OutsideError."""
        template = template_of(path)
        for last in (False, True):
            left = min(ends - time.monotonic(), self._seconds)
            if left <= 0:
                raise Unreachable(service="stripe", method="GET", path=template, sent=False, timed_out=True)
            try:
                return self._once(path, template, params, left)
            except OutsideError as error:
                if last or not error.retryable or isinstance(error, RateLimited):
                    raise
        raise AssertionError("unreachable")

    def _once(self, path: str, template: str, params: Params, seconds: float) -> Document:
        with self._lock:
            self._count += 1
        with within(seconds), translated("GET", template):
            answer = self._client.raw_request("get", path, **params).data
        if not isinstance(answer, dict):
            raise Garbled(service="stripe", method="GET", path=template, status=200, retryable=True)
        return answer

    def listed(self, query: Query, ends: float) -> Listing:
        """The objects of a list, newest first as Stripe gives them. Raises OutsideError when not even one page came."""
        try:
            return self._paged(query, query.params, None, ends)
        except Refused as error:
            # A key may read the list and not what hangs on it; another server may not know an expansion.
            if "expand" not in query.params or error.status not in {400, 403}:
                raise
            bare = {name: value for name, value in query.params.items() if name != "expand"}
            return self._paged(query, bare, why_of(error), ends)

    def _paged(self, query: Query, params: Params, why: Why | None, ends: float) -> Listing:
        records: list[Any] = []
        clipped: list[tuple[str, str]] = []
        after: Params = {}
        for number in range(query.pages):
            try:
                answer = self.get(query.path, {"limit": PAGE, **params, **after}, ends)
            except OutsideError as error:
                if number == 0:
                    raise
                return Listing(tuple(records), why_of(error), tuple(clipped))
            page = answer.get("data")
            found, unread = loaded(query.load, page, query.owner)
            records += found
            clipped += _clipped(page, query.inside)
            why = Why.UNREADABLE if unread else why
            last = reference(page[-1]) if isinstance(page, list) and page else None
            if answer.get("has_more") is not True or last is None:
                return Listing(tuple(records), why, tuple(clipped))
            after = {"starting_after": last}
        return Listing(tuple(records), Why.CUT_OFF, tuple(clipped))

    def go(self, call: Callable[..., _T], *args: Any) -> Future[_T]:
        """Run beside the others. Never wait inside `call` for something else that `go` runs."""
        return self._pool.submit(copy_context().run, call, *args)  # the thread knows for which request it works

    def settled(self, lists: Lists, part: str, future: Future[_T], ends: float) -> _T | None:
        """The result, or None with the part noted as missing."""
        try:
            return outcome(future, ends)
        except OutsideError as error:
            lists.lack(part, why_of(error))
            return None

    def collect(self, lists: Lists, queries: Iterable[Query], ends: float) -> list[tuple[str, str]]:
        """Ask all at once and add what came; gives the (list, object) pairs where a list inside goes on."""
        asked = [(query, self.go(self.listed, query, ends)) for query in queries]
        clipped: list[tuple[str, str]] = []
        for query, future in asked:
            listing = self.settled(lists, query.part, future, ends)
            if listing is not None:
                lists.add(query.part, listing.records)
                lists.lack(query.part, listing.why)
                clipped += listing.clipped
        return clipped


def outcome(future: Future[_T], ends: float) -> _T:
    """The future's result, or OutsideError a moment after `ends`, should it still wait for a free thread."""
    try:
        return future.result(timeout=max(0.0, ends - time.monotonic()) + _GRACE)
    except TimeoutError:
        future.cancel()
        raise Unreachable(service="stripe", method="GET", sent=False, timed_out=True) from None


def loaded(load: Callable[[Any], Any], page: object, owner: tuple[str, str] | None = None) -> tuple[list[Any], bool]:
    """The records of a page, and whether any object could not be read. Objects of another owner are left out."""
    if not isinstance(page, list):
        return [], True
    records, unread = [], False
    for document in page:
        if not isinstance(document, dict):
            unread = True
            continue
        owned = {owner[0]: owner[1], **document} if owner else document
        if owner and isinstance(owned[owner[0]], str | dict | None) and reference(owned[owner[0]]) != owner[1]:
            continue
        try:
            records.append(load(owned))
        except (ValidationError, ValueError, TypeError, KeyError, OverflowError):
            unread = True
    return records, unread


def _clipped(page: object, inside: tuple[str, ...]) -> list[tuple[str, str]]:
    found = []
    for document in page if isinstance(page, list) else []:
        for name in inside:
            identifier = reference(document)
            if identifier and dig(document, name, "has_more") is True:
                found.append((name, identifier))
    return found


def template_of(path: str) -> str:
    """The path with ids as `{id}`: the third part of a path, the fourth where two name the kind."""
    _, version, *parts = path.split("/")
    place = 2 if parts[0] in {"checkout", "billing_portal", "radar"} else 1
    shown = ["{id}" if number == place and part != "search" else part for number, part in enumerate(parts)]
    return "/".join(["", version, *shown])


def why_of(error: OutsideError) -> Why:
    if isinstance(error, Forbidden):
        return Why.NOT_PERMITTED
    return Why.NO_ANSWER if isinstance(error, Unreachable | RateLimited) or error.retryable else Why.UNREADABLE
