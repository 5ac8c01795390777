"""How long, how often and how many at once may we call a neighbour?"""

from __future__ import annotations

import contextlib
import heapq
import ipaddress
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Clock = Callable[[], float]


class Congested(Exception):
    """Our own queue to a neighbour did not clear before the deadline; nothing was sent."""


class TokenBucket:
    """So many requests a second, with a burst; slower for a while after the neighbour complained. Thread-safe.

    Args:
        rate: requests a second in the long run.
        burst: how many may leave at once after a quiet time, at least 1.
        clock: monotonic seconds.
    """

    def __init__(self, rate: float, burst: float, *, clock: Clock = time.monotonic) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError("a bucket needs a positive rate and a burst of at least 1")
        self._rate, self._burst, self._clock = rate, burst, clock
        self._tokens = burst
        self._seen = clock()
        self._closed_until = self._slow_until = self._seen
        self._lock = threading.Lock()

    def reserve(self, *, most: float = float("inf")) -> float | None:
        """Takes one place and says how many seconds to wait for it; None, and no place taken, when beyond `most`."""
        with self._lock:
            now = self._refill()
            missing = max(0.0, 1.0 - self._tokens)
            wait = max(missing / self._pace(now), self._closed_until - now, 0.0)
            if wait > most:
                return None
            self._tokens -= 1.0
            return wait

    def complain(self, retry_after: float | None, *, slow_seconds: float = 60.0) -> None:
        """After a 429: closed for `retry_after` seconds, then half the rate for `slow_seconds`."""
        with self._lock:
            now = self._refill()
            self._closed_until = max(self._closed_until, now + (retry_after or 0.0))
            self._slow_until = max(self._slow_until, self._closed_until + slow_seconds)

    def learn(self, rate: float) -> None:
        """The neighbour said what it grants: so many a second from now on; the burst lasts as long as before."""
        with self._lock:
            self._refill()
            self._burst, self._rate = max(1.0, self._burst * rate / self._rate), rate

    def _pace(self, now: float) -> float:
        return self._rate / 2 if now < self._slow_until else self._rate

    def _refill(self) -> float:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._seen) * self._pace(now))
        self._seen = now
        return now


class Gate:
    """Lets so many calls through at once and so many a second; waiting never outlives the caller's deadline."""

    def __init__(
        self,
        concurrency: int,
        bucket: TokenBucket | None = None,
        *,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._places = threading.BoundedSemaphore(concurrency)
        self._bucket, self._clock, self._sleep = bucket, clock, sleep

    @contextlib.contextmanager
    def passing(self, ends: float) -> Iterator[None]:
        """Holds one place. Raises Congested when no place or token is free before `ends` (clock seconds)."""
        if not self._places.acquire(timeout=max(0.0, ends - self._clock())):
            raise Congested
        try:
            self._await_token(ends)
            yield
        finally:
            self._places.release()

    def _await_token(self, ends: float) -> None:
        if self._bucket is None:
            return
        wait = self._bucket.reserve(most=max(0.0, ends - self._clock()))
        if wait is None:
            raise Congested
        if wait:
            self._sleep(wait)

    def complain(self, retry_after: float | None) -> None:
        """The neighbour answered 429."""
        if self._bucket is not None:
            self._bucket.complain(retry_after)

    def learn(self, rate: float) -> None:
        """The neighbour grants so many requests a second."""
        if self._bucket is not None:
            self._bucket.learn(rate)


@dataclass(order=True, slots=True)
class Watch:
    """One guarded connection; `sock` None: released or shut."""

    ends: float
    number: int
    sock: socket.socket | None = field(compare=False)


class Watchdog:
    """Shuts a connection down at its deadline, whatever the peer does: a socket time-out only bounds single reads.

    It works on a duplicate of the file descriptor: that stays valid when TLS takes the original over, and can never
    name somebody else's connection after the original was closed. One daemon thread, started when first needed.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._watches: list[Watch] = []
        self._count = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def watch(self, descriptor: int, ends: float) -> Watch:
        """Shuts the connection behind `descriptor` down at `ends` unless released before."""
        with self._changed:
            self._count += 1
            watch = Watch(ends, self._count, socket.socket(fileno=os.dup(descriptor)))
            heapq.heappush(self._watches, watch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="http-deadline", daemon=True)
                self._thread.start()
            if self._watches[0] is watch:
                self._changed.notify()
        return watch

    def release(self, watch: Watch) -> bool:
        """The exchange is over: the connection is left alone. True when it had been shut already."""
        with self._changed:
            if watch.sock is None:
                return True
            watch.sock.close()
            watch.sock = None
            return False

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._watches or self._watches[0].ends > self._clock():
                    pause = max(0.0, self._watches[0].ends - self._clock()) if self._watches else None
                    self._changed.wait(pause)
                watch = heapq.heappop(self._watches)
                if watch.sock is not None:
                    with contextlib.suppress(OSError):  # the peer may have closed first
                        watch.sock.shutdown(socket.SHUT_RDWR)
                    watch.sock.close()
                    watch.sock = None


def resolve(host: str, port: int, seconds: float) -> tuple[str, ...]:
    """The numeric addresses of `host`, within `seconds`: the system's resolver has no time-out of its own.

    Raises:
        TimeoutError: it did not answer in time.
        OSError: there is no such host.
    """
    with contextlib.suppress(ValueError):
        return (str(ipaddress.ip_address(host.strip("[]"))),)
    found: list[str] = []
    failures: list[OSError] = []

    def look_up() -> None:
        try:
            found.extend(str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=look_up, name="resolve", daemon=True)
    thread.start()
    thread.join(max(0.0, seconds))
    if thread.is_alive():
        raise TimeoutError("the name was not resolved in time")
    if failures:
        raise failures[0]
    return tuple(found)
