"""How can the outside world fail us, and may the effect have happened all the same?

    OutsideError
    ├── Unreachable      no complete answer: DNS, refused, TLS, time-out, reset      unknown if bytes may have left
    ├── Failed           a 5xx (or 408): it broke while it worked                    unknown
    ├── Garbled          an answer came that cannot be read, or of a wrong shape     unknown, unless a 4xx
    │   └── Moved        a 3xx; redirects are never followed                         unknown
    ├── RateLimited      429: not done, come back after `retry_after` seconds        not done
    └── Refused          another 4xx: a definite no, with the vendor's `code`        not done
        ├── Unauthorized 401
        ├── Forbidden    403, naming the missing `permission` where the vendor does
        ├── NotFound     404, 410
        └── Conflict     409                                                         see below

A writer asks `unknown_outcome`, never the class: True means that the effect may exist and only a replay with the same
key or a read-back can tell. No message ever carries a body, an address, a key, a card field or a query string.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

_CODE = re.compile(r"[A-Za-z][A-Za-z_.-]{0,63}\Z|[A-Za-z][A-Za-z0-9]{0,11}(?:[_.-][A-Za-z0-9]{1,16}){0,6}\Z")
_PERMISSION = re.compile(r"[A-Za-z][A-Za-z_]{0,60}(?:[:=][a-z]{1,10})?\Z")
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:=-]{0,79}\Z")
_SEGMENT = re.compile(r"[A-Za-z0-9_.\-{}]{1,64}\Z")
_SECRET = re.compile(r"(?:\b|_)(?:[srp]k_|whsec_|gh[pousr]_|github_pat_|xox[a-z]-|AKIA|eyJ)|-----BEGIN")

_IN_PROGRESS = "idempotency_key_in_use"
"""Stripe's code for: another request with this very key is under way, so its outcome is not known yet."""


def looks_secret(value: str) -> bool:
    """True when the text holds something that begins as a vendor's keys and tokens do."""
    return _SECRET.search(value) is not None


def safe_code(value: object) -> str | None:
    """The vendor's short code when it looks like one; None for anything that may be text, a number or a secret."""
    if isinstance(value, str) and _CODE.match(value) and not looks_secret(value):
        return value
    return None


def safe_permission(value: object) -> str | None:
    """A permission's name, such as `tickets:write`, `issues=write` or `rak_charge_read`."""
    return value if isinstance(value, str) and _PERMISSION.match(value) and not looks_secret(value) else None


def safe_request_id(value: object) -> str | None:
    """The vendor's request id when it looks like one."""
    if isinstance(value, str) and _REQUEST_ID.match(value) and not (value.isdigit() or looks_secret(value)):
        return value
    return None


def safe_path(path: str) -> str:
    """The path without query and fragment; a segment that is neither a word nor an id becomes an ellipsis."""
    bare = path.partition("?")[0].partition("#")[0]
    return "/".join(
        part if not part or (_SEGMENT.match(part) and not looks_secret(part)) else "…" for part in bare.split("/")
    )


class OutsideError(Exception):
    """An upstream did not do, or may not have done, what was asked.

    `path` is a template (`/api/v2/tickets/{ticket_id}`); `retryable`: asking again later may succeed unchanged.
    """

    kind = "failed"

    def __init__(
        self,
        *,
        service: str,
        method: str = "",
        path: str = "",
        status: int | None = None,
        request_id: str | None = None,
        retryable: bool = False,
    ) -> None:
        self.service = service
        self.method = method
        self.path = safe_path(path)
        self.status = status
        self.request_id = safe_request_id(request_id)
        self.retryable = retryable
        super().__init__()

    @property
    def unknown_outcome(self) -> bool:
        """True when the effect of a write may exist although this was raised; never of a read."""
        return self.method not in ("GET", "HEAD") and self._may_exist()

    def _may_exist(self) -> bool:
        return False

    def detail(self) -> str:
        """What this kind of failure adds to the message, free of anything personal."""
        return ""

    def __str__(self) -> str:
        where = " ".join(part for part in (self.service, self.method, self.path) if part)
        facts = [self.detail()]
        if self.status is not None:
            facts.append(f"status {self.status}")
        if self.request_id:
            facts.append(f"request {self.request_id}")
        told = ", ".join(fact for fact in facts if fact)
        return f"{where}: {self.kind} ({told})" if told else f"{where}: {self.kind}"

    def __reduce__(self) -> tuple[Callable[[], OutsideError], tuple[()]]:
        # The durable engine pickles exceptions; the default protocol cannot pass keyword-only fields.
        kept = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return partial(type(self), **kept), ()


class Unreachable(OutsideError):
    """No complete answer came. `sent` False: it is certain that no byte of the request left this machine."""

    kind = "no answer"

    def __init__(
        self,
        *,
        service: str,
        method: str = "",
        path: str = "",
        status: int | None = None,
        request_id: str | None = None,
        retryable: bool = True,
        sent: bool = True,
        timed_out: bool = False,
    ) -> None:
        super().__init__(
            service=service, method=method, path=path, status=status, request_id=request_id, retryable=retryable
        )
        self.sent = sent
        self.timed_out = timed_out

    def _may_exist(self) -> bool:
        return self.sent

    def detail(self) -> str:
        return ("timed out" if self.timed_out else "") + ("" if self.sent else " before sending")


class Failed(OutsideError):
    """A 5xx: the upstream broke while it worked on the request."""

    kind = "upstream failed"

    def _may_exist(self) -> bool:
        return True


class Garbled(OutsideError):
    """An answer came, but it was cut short, too large, no JSON, or not of the promised shape."""

    kind = "unreadable answer"

    def _may_exist(self) -> bool:
        return True


class Moved(Garbled):
    """A redirect. It is not followed; `location` is where it pointed, as sent and never shown: check it before use."""

    kind = "redirected"

    def __init__(self, *, location: str | None = None, **at: Any) -> None:
        super().__init__(**at)
        self.location = location


class RateLimited(OutsideError):
    """Nothing was done. `retry_after`: seconds the upstream asked for, None when it did not say."""

    kind = "rate limited"

    def __init__(
        self,
        *,
        service: str,
        method: str = "",
        path: str = "",
        status: int | None = None,
        request_id: str | None = None,
        retryable: bool = True,
        retry_after: float | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(
            service=service, method=method, path=path, status=status, request_id=request_id, retryable=retryable
        )
        self.retry_after = retry_after
        self.code = safe_code(code)

    def detail(self) -> str:
        return "" if self.retry_after is None else f"retry after {self.retry_after:g} s"


class Refused(OutsideError):
    """A definite no: nothing was done. `code` is the vendor's own short code, None when it gave none."""

    kind = "refused"

    def __init__(
        self,
        *,
        service: str,
        method: str = "",
        path: str = "",
        status: int | None = None,
        request_id: str | None = None,
        retryable: bool = False,
        code: str | None = None,
        permission: str | None = None,
    ) -> None:
        super().__init__(
            service=service, method=method, path=path, status=status, request_id=request_id, retryable=retryable
        )
        self.code = safe_code(code)
        self.permission = safe_permission(permission)

    def detail(self) -> str:
        return ", ".join(part for part in (self.code, self.permission and f"needs {self.permission}") if part)


class Unauthorized(Refused):
    """401: the credential is wrong, expired or revoked."""

    kind = "credentials rejected"


class Forbidden(Refused):
    """403: the credential is known and may not do this."""

    kind = "not permitted"


class NotFound(Refused):
    """404 or 410, also a vendor's way to hide what the credential may not see."""

    kind = "not found"


class Conflict(Refused):
    """409: somebody else changed it meanwhile, or the same idempotency key is in use right now."""

    kind = "conflict"

    def _may_exist(self) -> bool:
        return self.code == _IN_PROGRESS
