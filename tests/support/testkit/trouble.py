"""Which troubles can meet a call to a vendor, and how may the call end? The rows of the fault matrix.

Facts: the required behaviour of each fault (reliability), section 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from integrations.twins.faults import Fault
from integrations.twins.server import Twin

CANARY = "CANARY-of-an-upstream-text"
BRIEF = 0.35  # seconds: longer than an answer of a twin takes, short enough to wait for


class End(StrEnum):
    """How a write ends that a trouble met."""

    LATER = "later"  # not done at first: the same write goes through later; where nothing ever does, unknown is shown
    LOST = "lost"  # done, but the answer was lost: it is found again, and never done twice
    REFUSED = "refused"  # a definite no: nothing was done, and it is not tried again
    BUSY = "busy"  # not done at first, and known to be not done: where it stays so, refused after a day
    PARKED = "parked"  # nothing was done, for a reason of ours: it waits for a person, and goes on when resumed
    REUSED = "reused"  # never tried again: unknown is shown at once, for a person
    RENEWED = "renewed"  # once: done after new credentials; always: refused


STRIPE, ZENDESK, GITHUB = "stripe_write", "zendesk_write", "github_create"
EVERYWHERE = frozenset({STRIPE, ZENDESK, GITHUB})


@dataclass(frozen=True, slots=True)
class Trouble:
    """One row. `kind` and `args` arm the twin; `base` is an address that replaces the vendor's instead."""

    name: str
    end: End
    kind: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)
    base: str = ""
    hangs: bool = False
    at: frozenset[str] = EVERYWHERE
    but: Mapping[str, End] = field(default_factory=dict)  # where one vendor's call ends in another way
    reads: bool = True  # it can meet a read as well

    def ends(self, column: str) -> End:
        return self.but.get(column, self.end)

    def met(self, column: str, *, once: bool) -> bool:
        """Whether it is worth playing: a refusal ends the same way at once, a lost answer is only harder for good.

        What is tried again later gives up the same way whatever the trouble was: four stand for all.
        """
        ends = self.ends(column)
        if once:
            return column in self.at and ends is not End.LOST
        if ends in {End.LATER, End.BUSY}:
            return column in self.at and self.name in _GIVES_UP
        return column in self.at and ends not in {End.REFUSED, End.REUSED}

    def arm(self, twin: Twin, method: str, path: str, times: int | None) -> Fault:
        return twin.faults.add(self.kind, method=method, path=path, times=times, **self.args)


def _status(status: int, code: str | None = None, **more: Any) -> dict[str, Any]:
    error = {"message": f"{CANARY} sk_live_canary pan 4242424242424242", "type": "api_error"}
    return {"status": status, "body": {"error": error | ({"code": code} if code else {})}, **more}


_GIVES_UP = {"connection refused", "time-out before the effect", "500", "429 without Retry-After"}
_STALLS = {"seconds": 3 * BRIEF}
_WRONG = {"id": ["x"], "status": 7, "amount": "many", "object": None}
_ONLY_STRIPE, _ONLY_ZENDESK = frozenset({STRIPE}), frozenset({ZENDESK})

TROUBLES: tuple[Trouble, ...] = (
    Trouble("connection refused", End.LATER, base="http://127.0.0.1:9"),
    Trouble("TLS fails", End.LATER, base="https://127.0.0.1:{port}"),
    Trouble("reset before the effect", End.LATER, "reset_before"),
    Trouble("reset after the effect", End.LOST, "reset_after"),
    Trouble("closed after the effect", End.LOST, "close_after"),
    Trouble("time-out before the effect", End.LATER, "hang_before", _STALLS, hangs=True),
    Trouble("time-out after the effect", End.LOST, "hang_after", _STALLS, hangs=True),
    Trouble("slow drip of the body", End.LOST, "drip", {"seconds": 0.05}, hangs=True),
    Trouble("slow drip of the headers", End.LOST, "drip_header", {"seconds": 0.05}, hangs=True),
    Trouble("429 with Retry-After", End.BUSY, "rate_limited", {"retry_after": 2}, but={GITHUB: End.LATER}),
    Trouble("429 without Retry-After", End.BUSY, "rate_limited", but={GITHUB: End.LATER}),
    Trouble("500", End.LATER, "status", _status(500)),
    Trouble("500 after the effect", End.LOST, "status", _status(500, effect=True)),
    Trouble("502 in HTML", End.LATER, "html_502"),
    Trouble("503 with Retry-After", End.LATER, "status", _status(503, headers={"Retry-After": "3"})),
    Trouble("200 in HTML", End.LOST, "html_200"),
    Trouble("broken JSON", End.LOST, "bad_json"),
    Trouble("empty body", End.LOST, "empty"),
    Trouble("truncated body", End.LOST, "truncated"),
    Trouble("null", End.LOST, "json_null"),
    Trouble("a list instead of an object", End.LOST, "json_list"),
    Trouble(
        "wrong types", End.LOST, "altered",
        {"fields": {**_WRONG, "ticket": _WRONG, "number": "first", "data": {**_WRONG, "created": "soon"}}},
    ),
    Trouble("an unknown word", End.LOST, "altered",
            {"fields": {"status": "teleported", "state": "teleported", "data": {"status": "teleported"}}}),
    Trouble("larger than the cap", End.LOST, "huge", {"megabytes": 12}),
    Trouble("a bomb of gzip", End.LOST, "gzip_bomb", {"megabytes": 64}),
    Trouble("redirected elsewhere", End.LATER, "redirect", {"status": 307}),
    Trouble("401", End.PARKED, "status", _status(401), but={ZENDESK: End.RENEWED, GITHUB: End.LATER}),
    Trouble("403", End.PARKED, "status", _status(403), but={GITHUB: End.LATER}),
    Trouble("404", End.REFUSED, "status", _status(404, "resource_missing")),
    Trouble("400", End.REFUSED, "status", _status(400, "parameter_invalid")),
    Trouble("409 key in use", End.LATER, "status", _status(409, "idempotency_key_in_use"),
            at=_ONLY_STRIPE, reads=False),
    Trouble("409 of somebody else's change", End.RENEWED, "status", _status(409, "RecordConflict"), at=_ONLY_ZENDESK),
    Trouble("400 of a reused key", End.REUSED, "status",
            {"status": 400, "body": {"error": {"type": "idempotency_error", "message": CANARY}}},
            at=_ONLY_STRIPE, reads=False),
    Trouble("429 of a lock", End.BUSY, "status", _status(429, "lock_timeout"), at=_ONLY_STRIPE),
)  # fmt: skip
