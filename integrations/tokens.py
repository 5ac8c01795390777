"""Which access token is valid right now? Fetched once for all threads, renewed before it runs out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from integrations.errors import OutsideError, Unreachable

RENEW_AT = 0.8
"""The part of a token's life after which it is replaced, so that none dies under a running call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A token, how many seconds it lives, and the scopes that came with it."""

    token: str = field(repr=False)
    seconds: float
    scopes: frozenset[str] = frozenset()


class TokenCache:
    """Holds one token. Threads that arrive while it is fetched wait for that one fetch (single flight)."""

    def __init__(self, fetch: Callable[[], Granted], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self._lock = threading.Lock()
        self._granted: Granted | None = None
        self._renew = 0.0

    def current(self) -> Granted:
        """The token to use now.

        Raises:
            OutsideError: it was not obtained; never of unknown outcome, as the call that needs it has not left.
        """
        with self._lock:
            if self._granted is None or self._clock() >= self._renew:
                started = self._clock()
                self._granted = self._fetched()
                self._renew = started + RENEW_AT * self._granted.seconds
            return self._granted

    def _fetched(self) -> Granted:
        try:
            return self._fetch()
        except OutsideError as error:
            if not error.unknown_outcome:
                raise
            raise Unreachable(
                service=error.service,
                method=error.method,
                path=error.path,
                status=error.status,
                request_id=error.request_id,
                sent=False,
            ) from error

    def drop(self, refused: Granted) -> None:
        """Forgets `refused`; a newer token, fetched meanwhile by another thread, stays."""
        with self._lock:
            if self._granted is refused:
                self._granted = None
