"""How does a request leave this process, and when is its answer good enough to believe?

Every upstream goes through `CappedSession` (also the one given to Stripe's SDK) and, but for Stripe, through `Door`.
Stock sessions follow redirects to foreign hosts, obey proxy and netrc files of the environment, wait for ever on a
peer that drips one byte at a time and unpack a bomb into memory; this one does none of it.
"""

from __future__ import annotations

import contextlib
import os
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

from integrations import correlation
from integrations.errors import Garbled, Moved, OutsideError, RateLimited, Unreachable
from integrations.limits import Congested, Gate, TokenBucket, Watch, Watchdog, resolve
from integrations.replies import Call, Reply, checked_base_url, read_reply, retry_after

DEFAULT_CAP = 8 * 1024 * 1024
CONNECT_SECONDS = 3.05  # a little over a multiple of TCP's 3 s retransmission
_SLACK = 0.01  # a socket shut at the deadline may be noticed this much before the clock says so

_watchdog = Watchdog()
_local = threading.local()
_override: ContextVar[float | None] = ContextVar("total_seconds", default=None)


class DeadlineExceeded(requests.exceptions.ReadTimeout):
    """The whole exchange took longer than it may; the request may have been received."""


class NotSent(requests.exceptions.ConnectTimeout):
    """The exchange failed before its first byte left: name, connection, TLS, or our own queue. Safe to repeat."""


class ResponseTooLarge(requests.exceptions.ContentDecodingError):
    """The answer, unpacked, is larger than the cap."""


class RedirectRefused(requests.exceptions.TooManyRedirects):
    """The upstream answered with a redirect; nothing was sent to where it points."""


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Sets the total deadline of each request made in this block, for callers that cannot pass it (Stripe's SDK)."""
    token = _override.set(seconds)
    try:
        yield
    finally:
        _override.reset(token)


class _Exchange:
    """One request and its answer: its end, and how far it got."""

    def __init__(self, ends: float) -> None:
        self.ends = ends
        self.connecting = self.sent = self.shut = False
        self._watch: Watch | None = None

    def remaining(self) -> float:
        return max(0.001, self.ends - time.monotonic())

    def guard(self, descriptor: int) -> None:
        self.release()
        self._watch = _watchdog.watch(descriptor, self.ends)

    def guarded(self) -> bool:
        return self._watch is not None

    def late(self) -> bool:
        """True once the time is up; a body that ends where we shut the socket only looks complete."""
        return self.shut or time.monotonic() >= self.ends - _SLACK

    def release(self) -> None:
        if self._watch is not None:
            self.shut = _watchdog.release(self._watch) or self.shut
            self._watch = None


class _Connection(HTTPConnection):
    """Guards its socket from the moment it exists, so a slow TLS handshake is bounded too."""

    def _new_conn(self) -> Any:
        exchange: _Exchange | None = getattr(_local, "exchange", None)
        if exchange is None:
            return super()._new_conn()
        exchange.connecting = True
        sock = self._dial(exchange)
        exchange.guard(sock.fileno())
        return sock

    def _dial(self, exchange: _Exchange) -> Any:
        limit = self.timeout if isinstance(self.timeout, int | float) else CONNECT_SECONDS
        ends = time.monotonic() + min(limit, exchange.remaining())
        failure: Exception = ConnectTimeoutError(self, "no address answered in time")
        try:
            addresses = resolve(self._dns_host, self.port, ends - time.monotonic())
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "the name was not resolved in time") from error
        except OSError as error:
            raise NameResolutionError(self.host, self, error) from error  # type: ignore[arg-type]  # gaierror or kin
        for address in addresses:
            left = ends - time.monotonic()
            if left <= 0:
                break
            try:
                return create_connection((address, self.port), left, socket_options=self.socket_options)
            except TimeoutError:
                failure = ConnectTimeoutError(self, "no address answered in time")
            except OSError as error:
                failure = NewConnectionError(self, f"not connected ({type(error).__name__})")
        raise failure

    def send(self, data: Any) -> None:
        exchange: _Exchange | None = getattr(_local, "exchange", None)
        if self.sock is None:
            self.connect()
        if exchange is not None and self.sock is not None:
            if not exchange.guarded():  # a connection kept alive from an earlier exchange
                exchange.guard(self.sock.fileno())
            exchange.sent = True
        super().send(data)


class _SecureConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, ssl_minimum_version=ssl.TLSVersion.TLSv1_2, **pool_kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}


class CappedSession(requests.Session):
    """A session with an end: total deadline, size cap, no redirects, no cookies, nothing from the environment.

    Safe to share between threads. `verify`: True, or the path of a CA bundle which then wins over what callers pass;
    switching verification off is not possible.
    """

    def __init__(
        self, *, total_seconds: float, cap_bytes: int = DEFAULT_CAP, gate: Gate | None = None, verify: bool | str = True
    ) -> None:
        super().__init__()
        if not verify:
            raise ValueError("certificates are always verified")
        if isinstance(verify, str) and not os.path.exists(verify):
            raise ValueError("the CA bundle does not exist")
        self.trust_env = False
        self.verify = verify
        self.total_seconds, self.cap_bytes = total_seconds, cap_bytes
        self.observer: tuple[str, Observer] | None = None  # a service's name and who wants to know of each exchange
        self.gate = gate or Gate(64)
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.headers.update({"User-Agent": "billing-desk", "Accept-Encoding": "gzip, deflate"})
        for scheme in ("https://", "http://"):
            self.mount(scheme, _Adapter(pool_connections=4, pool_maxsize=16))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: the base class would otherwise read a redirect's body, uncapped, to find the next request."""

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """Like the base class, with the whole body read. Raises only `requests` exceptions."""
        began = time.monotonic()
        ends = began + (_override.get() or self.total_seconds)
        if reference := correlation.reference():  # not X-Request-Id: some upstreams would take it for their own
            kwargs["headers"] = {**(kwargs.get("headers") or {}), "X-Billing-Desk-Reference": reference}
        status, failure = None, None
        try:
            with self.gate.passing(ends):
                response = self._exchange(_Exchange(ends), method, url, *args, **kwargs)
            status = response.status_code
            return response
        except Congested as error:
            failure = "Congested"
            raise NotSent("the queue did not clear in time") from error
        except requests.exceptions.RequestException as error:
            failure = type(error).__name__
            raise
        finally:
            if self.observer is not None:
                service, observe = self.observer
                seen = Observation(service, str(method), "", status, time.monotonic() - began, 1, failure)
                _tell(observe, seen)

    def _exchange(self, exchange: _Exchange, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs.update(stream=True, allow_redirects=False, timeout=_clip(kwargs.get("timeout"), exchange.remaining()))
        if kwargs.get("verify") is False:
            raise ValueError("certificates are always verified")
        if isinstance(self.verify, str):
            kwargs["verify"] = self.verify
        _local.exchange = exchange
        try:
            response = super().request(method, url, *args, **kwargs)
            self._drain(response)
        except requests.exceptions.RequestException as error:
            exchange.release()
            if exchange.connecting and not exchange.sent:
                raise NotSent("not connected", request=error.request) from error
            if exchange.late() and not isinstance(error, ResponseTooLarge | RedirectRefused):
                raise DeadlineExceeded("total deadline", request=error.request) from error
            raise
        finally:
            _local.exchange = None
            exchange.release()
        return self._judged(response, exchange)

    def _drain(self, response: requests.Response) -> None:
        """Reads the body piece by piece, unpacked, up to the cap."""
        body = bytearray()
        declared = response.headers.get("Content-Length", "")
        try:
            if 300 <= response.status_code < 400 and response.status_code != 304:
                raise RedirectRefused("redirects are not followed", response=response)
            if declared.isdecimal() and int(declared[:19]) > self.cap_bytes:
                raise ResponseTooLarge("answer larger than the cap")
            for piece in response.iter_content(65536):
                body += piece
                if len(body) > self.cap_bytes:
                    raise ResponseTooLarge("answer larger than the cap")
        except BaseException:
            response.close()
            raise
        # Private, but the documented way (`content`) would read the body without a cap.
        response._content = bytes(body)

    def _judged(self, response: requests.Response, exchange: _Exchange) -> requests.Response:
        if exchange.shut:
            raise DeadlineExceeded("total deadline")
        if response.status_code == 429:
            self.gate.complain(retry_after(response.headers))
        return response


def _clip(timeout: Any, remaining: float) -> tuple[float, float]:
    """Connect and read time-outs, neither longer than what is left of the whole."""
    connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    return min(connect or CONNECT_SECONDS, remaining), min(read or remaining, remaining)


def capped_session(
    *,
    total_seconds: float,
    cap_bytes: int = DEFAULT_CAP,
    concurrency: int = 16,
    rate_per_second: float | None = None,
    burst: float | None = None,
    verify: bool | str = True,
    observer: tuple[str, Observer] | None = None,
) -> CappedSession:
    """A shared session for a client that brings its own door, such as `stripe.RequestsClient(session=…)`.

    `observer`: a service's name and who is told of each exchange, where no Door tells.
    """
    bucket = TokenBucket(rate_per_second, burst or max(1.0, rate_per_second)) if rate_per_second else None
    session = CappedSession(
        total_seconds=total_seconds, cap_bytes=cap_bytes, gate=Gate(concurrency, bucket), verify=verify
    )
    session.observer = observer
    return session


@dataclass(frozen=True, slots=True)
class Observation:
    """One attempt, for metrics and logs. `path`: the template, empty where unknown; `failure`: the error's name."""

    service: str
    method: str
    path: str
    status: int | None
    seconds: float
    attempt: int
    failure: str | None


Observer = Callable[[Observation], None]


def _tell(observer: Observer, seen: Observation) -> None:
    with contextlib.suppress(Exception):  # a broken metric must not turn a paid refund into an error
        observer(seen)


class Door:
    """The way to one upstream. Thread-safe. Reads are repeated inside the deadline; writes never are.

    Args:
        base_url: https, or http on loopback; a path prefix is kept.
        total_seconds: hard end of a call, its repetitions and pauses included.
        read_attempts: how often a read is tried at most.
    """

    def __init__(
        self,
        service: str,
        base_url: str,
        *,
        total_seconds: float,
        cap_bytes: int = DEFAULT_CAP,
        concurrency: int = 16,
        rate_per_second: float | None = None,
        burst: float | None = None,
        verify: bool | str = True,
        read_attempts: int = 2,
        observer: Observer | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.service = service
        self.base_url = checked_base_url(base_url)
        self._total_seconds, self._read_attempts = total_seconds, read_attempts
        self._observer, self._sleep = observer, sleep
        self._session = capped_session(
            total_seconds=total_seconds,
            cap_bytes=cap_bytes,
            concurrency=concurrency,
            rate_per_second=rate_per_second,
            burst=burst,
            verify=verify,
        )

    def session(self) -> CappedSession:
        """The session below, with the same limits."""
        return self._session

    def learn(self, rate_per_second: float) -> None:
        """The upstream told how much it grants this account."""
        self._session.gate.learn(rate_per_second)

    def send(self, call: Call) -> Reply:
        """Sends one call and reads its answer.

        Raises:
            OutsideError: see `integrations.errors`; after a write, ask its `unknown_outcome`.
        """
        ends = time.monotonic() + (call.seconds or self._total_seconds)
        attempt = 1
        while True:
            try:
                return self._attempt(call, ends, attempt)
            except OutsideError as error:
                pause = _pause(error, attempt)
                too_late = time.monotonic() + pause >= ends
                if not (call.repeatable() and error.retryable) or attempt >= self._read_attempts or too_late:
                    raise
            self._sleep(pause)
            attempt += 1

    def _attempt(self, call: Call, ends: float, attempt: int) -> Reply:
        started, status, failure = time.monotonic(), None, None
        try:
            reply = read_reply(self.service, call, self._exchange(call, ends))
            status = reply.status
        except OutsideError as error:
            status, failure = error.status, type(error).__name__
            if isinstance(error, RateLimited) and error.status != 429:  # the session has seen the 429s already
                self._session.gate.complain(error.retry_after)
            raise
        finally:
            self._observe(call, status, time.monotonic() - started, attempt, failure)
        return reply

    def _exchange(self, call: Call, ends: float) -> requests.Response:
        at: dict[str, Any] = {"service": self.service, "method": call.method, "path": call.path}
        try:
            with within(max(0.001, ends - time.monotonic())):
                return self._session.request(
                    call.method,
                    self.base_url + call.filled_path(),
                    params=dict(call.query) or None,
                    data=call.encoded(),
                    files=dict(call.files) or None,
                    headers=call.all_headers(),
                )
        except requests.exceptions.ConnectTimeout as error:
            raise Unreachable(**at, sent=False, timed_out=not isinstance(error, NotSent)) from error
        except requests.exceptions.Timeout as error:
            raise Unreachable(**at, timed_out=True) from error
        except RedirectRefused as error:
            code = error.response.status_code if error.response is not None else None
            location = error.response.headers.get("Location") if error.response is not None else None
            raise Moved(**at, status=code, location=location) from error
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError) as error:
            raise Garbled(**at, retryable=not isinstance(error, ResponseTooLarge)) from error
        except requests.exceptions.RequestException as error:
            raise Unreachable(**at) from error

    def _observe(self, call: Call, status: int | None, seconds: float, attempt: int, failure: str | None) -> None:
        if self._observer is None:
            return
        _tell(self._observer, Observation(self.service, call.method, call.path, status, seconds, attempt, failure))


def _pause(error: OutsideError, attempt: int) -> float:
    """Seconds before the next try: what was asked for, or doubling from a quarter second; never in step with others."""
    asked = error.retry_after if isinstance(error, RateLimited) else None
    base = asked if asked is not None else 0.25 * 2.0 ** (attempt - 1)
    return base + random.uniform(0, 0.25)  # noqa: S311  spreads load, guards nothing
