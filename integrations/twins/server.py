"""How does a twin of an outside service answer real HTTP on the loopback, record it, and fail on purpose?

A twin is a subclass of Twin with a `service` name and `handle(request)`. Everything else lives here: sockets, TLS,
the wire record, the movable clock and the admin routes under /_twin/ (which are never recorded).
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote

from integrations.twins.answers import answer_plainly, answer_with
from integrations.twins.faults import Faults

BODY_LIMIT = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came: `path` is decoded and without query, `raw_target` is neither, header names are lower."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes
    raw_target: str

    def json(self) -> Any:
        """The body as JSON, {} when there is none. Raises ValueError."""
        return json.loads(self.body) if self.body else {}


@dataclass(slots=True)
class Response:
    """What a handler answers; a dict or list body becomes JSON."""

    status: int = 200
    body: bytes | str | dict[str, Any] | list[Any] = b""
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()

    def all_headers(self) -> dict[str, str]:
        given = {name.lower() for name in self.headers}
        plain = {} if "content-type" in given else {"Content-Type": "application/json; charset=utf-8"}
        return {**plain, **self.headers}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the wire record. `status` None: no answer was given. `effect`: what changed in the twin."""

    number: int
    at: datetime
    service: str
    method: str
    target: str
    status: int | None
    idempotency_key: str | None
    request_body: bytes
    request_headers: Mapping[str, str]
    effect: str | None
    fault: str | None
    response_body: bytes = b""

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "at": self.at.isoformat(),
            "service": self.service,
            "method": self.method,
            "target": self.target,
            "status": self.status,
            "idempotency_key": self.idempotency_key,
            "request_body": self.request_body.decode("utf-8", "replace"),
            "request_headers": dict(self.request_headers),
            "effect": self.effect,
            "fault": self.fault,
            "response_body": self.response_body.decode("utf-8", "replace"),
        }


class Twin:
    """A stand-in for one outside service. `handle` runs under `lock`; sleeping and sending do not."""

    service = "twin"

    def __init__(self, *, port: int = 0, clock: Callable[[], datetime] | None = None) -> None:
        self.port = port
        self.wire: list[Entry] = []
        self.faults = Faults()
        self.lock = threading.RLock()
        self.stopping = threading.Event()
        self.crashes: list[str] = []
        self._clock = clock or (lambda: datetime.now(UTC))
        self._shift = timedelta()
        self._effects: list[str] = []
        self._number = 0
        self._server: _Server | None = None
        self._before_write: object = None

    # -- what a subclass gives ----------------------------------------------------------------------------------
    def handle(self, request: Request) -> Response:
        raise NotImplementedError

    def admit(self, request: Request) -> Response | None:
        """Called under the lock before any latency; an answer here ends the request. Pairs with `release`."""

    def release(self, request: Request) -> None:
        """Called under the lock once an admitted request has been handled."""

    def state(self) -> dict[str, Any]:
        """The main objects as JSON."""
        return {}

    def seed(self, wanted: Any) -> dict[str, Any]:
        """Take in the JSON of POST /_twin/seed; the return value is the answer. Raises ValueError."""
        raise ValueError("this twin takes no seed")

    def reset(self) -> None:
        """Forget all objects; the base class forgets wire, faults and clock."""

    def usual_headers(self) -> dict[str, str]:
        """Headers of an answer that no handler made (a fault before the effect)."""
        return {}

    def copy_state(self) -> object:
        """A deep copy of the state, for the stale fault. None: this twin cannot answer stale."""

    def swap_state(self, state: object) -> object:
        """Put `state` in place and return the one it replaces."""
        raise NotImplementedError

    # -- clock, record --------------------------------------------------------------------------------------------
    def now(self) -> datetime:
        return self._clock() + self._shift

    def advance(self, step: timedelta) -> None:
        self._shift += step

    def set_clock(self, moment: datetime) -> None:
        self._shift = moment - self._clock()

    def effect(self, words: str) -> None:
        """Say what the request in hand changed; several are joined with '; '."""
        self._effects.append(words)

    def writes(self) -> list[Entry]:
        return [entry for entry in list(self.wire) if entry.effect is not None]

    def fresh_number(self) -> int:
        with self.lock:
            self._number += 1
            return self._number

    # -- life -----------------------------------------------------------------------------------------------------
    @property
    def url(self) -> str:
        scheme = "https" if self._server is not None and self._server.ssl_context else "http"
        return f"{scheme}://127.0.0.1:{self.port}"

    def start(self, ssl_context: ssl.SSLContext | None = None) -> Self:
        self.stopping.clear()
        self._server = _Server(self, ssl_context)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Refuse new connections and cut the open ones. Safe to call twice."""
        self.stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.cut()
            self._server = None

    def __enter__(self) -> Self:
        return self if self._server is not None else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- one request ----------------------------------------------------------------------------------------------
    def answer(self, request: Request, *, stale: bool) -> tuple[Response, str | None]:
        """Handle under the lock; a crash of the twin becomes a 500 and a line in `crashes`."""
        with self.lock:
            self._effects = []
            if request.method != "GET" and self.faults.watches_stale():
                self._before_write = self.copy_state()
            try:
                response = self._handle_stale(request) if stale and self._before_write else self.handle(request)
            except Exception:
                self.crashes.append(traceback.format_exc())
                traceback.print_exc(file=sys.stderr)
                response = Response(500, {"error": {"message": "the twin crashed", "type": "twin_error"}})
            return response, "; ".join(self._effects) or None

    def _handle_stale(self, request: Request) -> Response:
        present = self.swap_state(self._before_write)
        try:
            return self.handle(request)
        finally:
            self.swap_state(present)

    def record(
        self, number: int, request: Request, response: Response | None, effect: str | None, fault: str | None
    ) -> None:
        key = request.headers.get("idempotency-key")
        status, body = (None, b"") if response is None else (response.status, response.encoded())
        entry = Entry(
            number,
            self.now(),
            self.service,
            request.method,
            request.raw_target,
            status,
            key,
            request.body,
            request.headers,
            effect,
            fault,
            body,
        )
        with self.lock:
            self.wire.append(entry)

    # -- admin ------------------------------------------------------------------------------------------------------
    def administer(self, request: Request) -> Response:
        """The routes under /_twin/."""
        try:
            with self.lock:
                return Response(200, self._administer(request.method, request.path.removeprefix("/_twin/"), request))
        except LookupError as unknown:
            return Response(404, {"error": f"no such admin route or field: {unknown}"})
        except (ValueError, TypeError) as refused:
            return Response(400, {"error": str(refused)})

    def _administer(self, method: str, route: str, request: Request) -> dict[str, Any]:
        match method, route:
            case "GET", "wire":
                after = int(dict(request.query).get("after", "0"))
                return {"entries": [entry.as_json() for entry in self.wire if entry.number > after]}
            case "POST", "faults":
                self.faults.add_json(request.json())
            case "DELETE", "faults":
                self.faults.clear()
            case "GET", "state":
                return self.state()
            case "POST", "seed":
                return self.seed(request.json())
            case "POST", "reset":
                self.wire.clear()
                self.faults.clear()
                self._shift, self._before_write = timedelta(), None
                self.reset()
            case "POST", "clock":
                self.set_clock(_moment(str(request.json()["now"])))
                return {"now": self.now().isoformat()}
            case _:
                raise LookupError(f"{method} {request.path}")
        return {"ok": True}


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, twin: Twin, ssl_context: ssl.SSLContext | None) -> None:
        self.twin = twin
        self.ssl_context = ssl_context
        self.connections: set[socket.socket] = set()
        self.to_reset: set[socket.socket] = set()
        super().__init__(("127.0.0.1", twin.port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.ssl_context is not None:  # the handshake belongs to the connection's own thread, not to accept()
            connection = self.ssl_context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self.connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        if request in self.to_reset:  # no FIN first: the client must see a reset
            self.to_reset.discard(request)
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def cut(self) -> None:
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that went away is the point of many tests
            self.twin.crashes.append(traceback.format_exc())
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """The wire record replaces the log."""

    def _serve(self) -> None:
        twin, request = self.server.twin, self._read()
        if request is None:
            answer_plainly(self, 413, {}, b'{"error":"body too large or without length"}', close=True)
        elif request.path.startswith("/_twin/"):
            response = twin.administer(request)
            answer_plainly(self, response.status, response.all_headers(), response.encoded())
        else:
            self._exchange(twin, request)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _serve

    def _read(self) -> Request | None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdigit() or int(length) > BODY_LIMIT:
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):  # the client died while it sent: no vendor acts on half a request
            raise ConnectionResetError("the body did not arrive whole")
        target = self.requestline.split()[1]  # self.path has lost a leading slash, urlsplit would read //x as a host
        path, _, query_text = target.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = parse_qsl(query_text, keep_blank_values=True)
        return Request(self.command, unquote(path), query, headers, body, target)

    def _exchange(self, twin: Twin, request: Request) -> None:
        struck, number = twin.faults.strike(request.method, request.path), twin.fresh_number()
        fault = struck.fault
        response, effect = Response(headers=twin.usual_headers()), None
        if fault is None or fault.takes_effect:
            with twin.lock:
                refused = twin.admit(request)
            if struck.latency:
                twin.stopping.wait(struck.latency)
            if refused is not None:
                response = refused
            else:
                response, effect = self._handle(twin, request, stale=struck.stale)
        elif struck.latency:
            twin.stopping.wait(struck.latency)
        answer_with(
            self, twin, request, response, fault, lambda given: twin.record(number, request, given, effect, struck.name)
        )

    def _handle(self, twin: Twin, request: Request, *, stale: bool) -> tuple[Response, str | None]:
        try:
            return twin.answer(request, stale=stale)
        finally:
            with twin.lock:
                twin.release(request)
