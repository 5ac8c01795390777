"""How is the web process served and stopped? waitress with hard limits, and a stop that finishes what it began."""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import ErrorTask
from waitress.wasyncore import dispatcher

DRAIN_SECONDS = 12.0
TURN_SECONDS, QUIET_TURNS = 0.05, 5
STOP_SECONDS = 14.0  # whoever stops us kills after 15


class PortTaken(Exception):
    """Somebody else listens at the address; the text is one sentence."""


_REFUSED = {
    413: ("too_large", "The body is larger than 1 MiB."),
    431: ("bad_request", "The headers are larger than 32 KiB."),
    500: ("server_error", "Something broke on our side. The reference helps us find it."),
}


class _Refused(ErrorTask):
    """What the server refuses before the application sees it, in the application's own envelope."""

    def execute(self) -> None:
        error: Any = getattr(self.request, "error", None)  # the type stubs do not know it
        code, message = _REFUSED.get(error.code, ("bad_request", "The request could not be read."))
        request_id = "rq_" + secrets.token_hex(10)
        body = json.dumps({"error": {"code": code, "message": message, "request_id": request_id}}).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers = [
            ("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("X-Request-Id", request_id),
            ("X-Content-Type-Options", "nosniff"), ("Connection", "close"),
        ]  # fmt: skip
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):
    error_task_class = _Refused


class _Answer:
    """An answer that goes out piece by piece, as an event stream must, and counts until the server closes it."""

    def __init__(self, answer: Iterable[bytes], closed: Callable[[], None]) -> None:
        self._answer, self._closed = answer, closed

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer)

    def close(self) -> None:
        try:
            getattr(self._answer, "close", lambda: None)()
        finally:
            self._closed()


class InFlight:
    """Counts requests that are being answered, so that a stop can wait for them."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app, self._lock, self.running = app, threading.Lock(), 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self._count(1)
        try:
            answer = self._app(environ, start_response)
        except BaseException:
            self._count(-1)
            raise
        return _Answer(answer, lambda: self._count(-1))

    def _count(self, change: int) -> None:
        with self._lock:
            self.running += change


def serve(
    app: Callable[..., Iterable[bytes]], host: str, port: int, threads: int, *,
    on_start: Callable[[], None] = lambda: None, on_stop: Callable[[int], None],
) -> None:  # fmt: skip
    """Serve until SIGTERM or SIGINT; then stop accepting, finish what runs, call `on_stop`, and leave.

    Raises PortTaken before `on_start`, which is called once the address is ours. `on_stop` gets the seconds it has.
    """
    counted = InFlight(app)
    server, socket_map = _listening(counted, host, port, threads)
    on_start()
    stopping = threading.Event()

    def stop(_signal: int, _frame: object) -> None:
        if not stopping.is_set():
            stopping.set()
            for one in [one for one in socket_map.values() if one.accepting]:
                while select.select([one.socket], [], [], 0)[0]:
                    one.handle_accept()  # who has knocked already is let in: closing would turn them away
                dispatcher.close(one)  # the listening sockets only: answers still need the server's trigger
            threading.Thread(target=_leave, args=(counted, on_stop), daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    while True:
        try:
            server.run()
            break
        except OSError:
            if not stopping.is_set():  # else: the socket that was closed above was being waited for
                raise
    while stopping.is_set():
        time.sleep(1.0)  # the leaving thread ends the process


def serve_beside(app: Callable[..., Iterable[bytes]], host: str, port: int) -> None:
    """Answer a few probes beside the real work, as long as the process lives. Raises PortTaken."""
    server, _ = _listening(app, host, port, threads=2)
    threading.Thread(target=server.run, name="probes", daemon=True).start()


def _listening(app: Callable[..., Iterable[bytes]], host: str, port: int, threads: int) -> tuple[Any, dict[int, Any]]:
    """waitress at the address, not yet running, and its sockets."""
    sockets: dict[int, Any] = {}
    try:
        server = create_server(
            app, map=sockets, host=host, port=port, threads=threads, connection_limit=1000, channel_timeout=20,
            max_request_body_size=1024 * 1024 + 4096, max_request_header_size=32 * 1024, ident="billing-desk",
            clear_untrusted_proxy_headers=True,
        )  # fmt: skip
    except OSError as error:
        told = f"{host}:{port} is taken or not ours. Stop what listens there, or choose another --port"
        raise PortTaken(f"{told} (a worker: --probe-port).") from error
    for one in sockets.values():
        one.channel_class = _Channel
    return server, sockets


def _leave(counted: InFlight, on_stop: Callable[[int], None]) -> None:
    began = time.monotonic()
    quiet = 0  # turns without a request: the last one's bytes go out, and who was let in last begins to be read
    while quiet < QUIET_TURNS and time.monotonic() < began + DRAIN_SECONDS:
        time.sleep(TURN_SECONDS)
        quiet = 0 if counted.running else quiet + 1
    on_stop(max(1, int(STOP_SECONDS - (time.monotonic() - began))))
    # The engine's threads are not daemons and would keep the process alive (design/engine.md, finding 3).
    os._exit(0)


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
