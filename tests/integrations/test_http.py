"""Does the door hold against a peer that misbehaves, over plain TCP and over TLS?"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import responses
import trustme

from integrations.errors import (
    Conflict,
    Failed,
    Forbidden,
    Garbled,
    Moved,
    NotFound,
    OutsideError,
    RateLimited,
    Refused,
    Unauthorized,
    Unreachable,
)
from integrations.http import (
    CappedSession,
    DeadlineExceeded,
    Door,
    NotSent,
    Observation,
    RedirectRefused,
    ResponseTooLarge,
    capped_session,
    within,
)
from integrations.replies import Call, parse_json

OK = json.dumps({"id": "re_1", "object": "refund"}).encode()
BOMB = gzip.compress(b" " * (32 * 1024 * 1024))
DEADLINE = 0.4
CAP = 64 * 1024


class FaultServer:
    """A raw-socket HTTP server that misbehaves as told; `mode` may be a list, one entry a request."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.mode: str | list[str] = "ok"
        self.seen: list[bytes] = []
        self.connections = 0
        self.other = "http://127.0.0.1:1"
        self.stop = threading.Event()
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.stop.set()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self.mode == "silent_handshake":
                self.stop.wait(5)
                return
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            while self._one(connection):
                pass
        except (OSError, ValueError):
            pass
        finally:
            connection.close()

    def _one(self, connection: socket.socket) -> bool:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(65536)
            if not piece:
                return False
            head += piece
        head, _, rest = head.partition(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
        )
        while len(rest) < length:
            rest += connection.recv(65536)
        self.seen.append(head.split(b"\r\n")[0])
        mode = self.mode if isinstance(self.mode, str) else self.mode[min(len(self.seen), len(self.mode)) - 1]
        return self._fault(connection, mode)

    def _fault(self, connection: socket.socket, mode: str) -> bool:
        faults: dict[str, Callable[[socket.socket], None]] = {
            "drip": self._drip,
            "header_drip": self._header_drip,
            "huge": self._huge,
            "reset": self._reset,
        }
        if mode in faults:
            faults[mode](connection)
            return False
        if mode == "hang":
            self.stop.wait(5)
            return False
        connection.sendall(self._answer(mode))
        return mode not in ("truncated", "truncated_chunks", "no_length")

    def _answer(self, mode: str) -> bytes:
        if mode == "truncated_chunks":
            return b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"id":"re_1"'
        if mode == "no_length":
            return b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + OK
        if mode == "truncated":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n" + OK
        if mode.startswith("redirect"):
            status = mode.removeprefix("redirect") or "302"
            return head(status, BOMB, f"Location: {self.other}/steal\r\nContent-Encoding: gzip\r\n") + BOMB
        status, body, extra = {
            "ok": ("200", OK, ""),
            "bomb": ("200", BOMB, "Content-Encoding: gzip\r\n"),
            "html": ("200", b"<html>captive portal</html>", ""),
            "null": ("200", b"null", ""),
            "list": ("200", b"[]", ""),
            "empty": ("200", b"", ""),
            "deep": ("200", b"[" * 65 + b"]" * 65, ""),
            "abyss": ("200", b"[" * 20000, ""),
            "nan": ("200", b'{"amount": NaN}', ""),
            "latin": ("200", b'{"name": "\xe9"}', ""),
            "429": ("429", b"{}", "Retry-After: 0\r\n"),
            "429later": ("429", b"{}", "Retry-After: 60\r\n"),
            "502html": ("502", b"<html>Bad Gateway</html>", ""),
            "cookie": ("200", OK, "Set-Cookie: session=tracked; Path=/\r\n"),
        }.get(mode, (mode, b'{"error":{"code":"some_code","message":"card 4242 of jane@example.org"}}', ""))
        return head(status, body, extra) + body

    def _drip(self, connection: socket.socket) -> None:
        connection.sendall(head("200", OK * 100))
        for byte in OK * 100:
            connection.sendall(bytes([byte]))
            if self.stop.wait(0.02):
                return

    def _header_drip(self, connection: socket.socket) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX-Padding: " + b"a" * 400:
            connection.sendall(bytes([byte]))
            if self.stop.wait(0.02):
                return

    def _huge(self, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(200):
            connection.sendall(b" " * 1048576)

    def _reset(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


def head(status: str, body: bytes, extra: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nRequest-Id: req_1\r\n"
        f"Content-Length: {len(body)}\r\n{extra}\r\n"
    ).encode()


AUTHORITY = trustme.CA()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(str(path))
    return str(path)


def tls_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(params=["plain", "tls"])
def server(request: pytest.FixtureRequest) -> Iterator[FaultServer]:
    fault_server = FaultServer(tls_context() if request.param == "tls" else None)
    yield fault_server
    fault_server.close()


@pytest.fixture
def plain() -> Iterator[FaultServer]:
    fault_server = FaultServer()
    yield fault_server
    fault_server.close()


def open_door(server: FaultServer, bundle: str, **options: object) -> Door:
    settings: dict[str, object] = {"total_seconds": DEADLINE, "cap_bytes": CAP, "verify": bundle, **options}
    return Door("stripe", server.url, **settings)  # type: ignore[arg-type]  # a test's short-hand


GET = Call(method="GET", path="/v1/refunds/{refund}", ids={"refund": "re_1"})
POST = Call(method="POST", path="/v1/refunds", body={"amount": 100})


def failure(door: Door, call: Call) -> OutsideError:
    with pytest.raises(OutsideError) as caught:
        door.send(call)
    return caught.value


def test_an_ordinary_answer_is_read_and_the_connection_is_kept(server: FaultServer, bundle: str) -> None:
    door = open_door(server, bundle)
    for _ in range(3):
        assert door.send(POST).as_object()["id"] == "re_1"
    assert server.connections == 1


@pytest.mark.parametrize("mode", ["drip", "header_drip", "hang"])
def test_the_deadline_holds_whatever_the_peer_does(server: FaultServer, bundle: str, mode: str) -> None:
    server.mode = mode
    started = time.monotonic()
    error = failure(open_door(server, bundle), POST)
    assert time.monotonic() - started < DEADLINE + 0.5
    assert isinstance(error, Unreachable)
    assert error.timed_out
    assert error.unknown_outcome


def test_a_tls_handshake_that_never_ends_is_cut_and_nothing_was_sent(bundle: str) -> None:
    server = FaultServer(tls_context())
    server.mode = "silent_handshake"
    started = time.monotonic()
    error = failure(open_door(server, bundle), POST)
    server.close()
    assert time.monotonic() - started < DEADLINE + 0.5
    assert isinstance(error, Unreachable)
    assert not error.unknown_outcome


def test_a_body_cut_by_our_own_deadline_is_not_taken_for_complete(plain: FaultServer, bundle: str) -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n{}")
        plain.stop.wait(5)

    plain._header_drip = endless  # type: ignore[method-assign]  # the body ends where the connection does
    plain.mode = "header_drip"
    error = failure(open_door(plain, bundle), POST)
    assert isinstance(error, Unreachable)
    assert error.timed_out


@pytest.mark.parametrize("mode", ["huge", "bomb"])
def test_an_answer_beyond_the_cap_is_refused_early(server: FaultServer, bundle: str, mode: str) -> None:
    server.mode = mode
    error = failure(open_door(server, bundle, total_seconds=5.0), POST)
    assert isinstance(error, Garbled)
    assert error.unknown_outcome
    assert not error.retryable


@pytest.mark.parametrize("mode", ["redirect302", "redirect307", "redirect301"])
def test_a_redirect_is_an_error_and_the_other_host_sees_nothing(server: FaultServer, bundle: str, mode: str) -> None:
    other = FaultServer()
    server.mode, server.other = mode, other.url
    error = failure(open_door(server, bundle), POST)
    other.close()
    assert isinstance(error, Moved)
    assert error.status == int(mode[-3:])
    assert error.unknown_outcome
    assert other.connections == 0


@pytest.mark.parametrize("mode", ["truncated", "truncated_chunks", "html", "empty", "null", "list", "deep", "abyss"])
def test_an_unreadable_success_leaves_the_outcome_unknown(server: FaultServer, bundle: str, mode: str) -> None:
    server.mode = mode
    with pytest.raises(Garbled) as caught:
        open_door(server, bundle).send(POST).as_object()
    assert caught.value.unknown_outcome


@pytest.mark.parametrize("mode", ["nan", "latin"])
def test_json_that_is_not_strict_is_garbled(plain: FaultServer, bundle: str, mode: str) -> None:
    plain.mode = mode
    assert isinstance(failure(open_door(plain, bundle), POST), Garbled)


def test_a_body_that_ends_with_the_connection_is_read(server: FaultServer, bundle: str) -> None:
    server.mode = "no_length"
    assert open_door(server, bundle).send(POST).as_object()["id"] == "re_1"


def test_a_reset_after_the_request_leaves_the_outcome_unknown(server: FaultServer, bundle: str) -> None:
    server.mode = "reset"
    error = failure(open_door(server, bundle), POST)
    assert isinstance(error, Unreachable)
    assert error.sent
    assert len(server.seen) == 1


def test_a_refused_connection_is_known_not_to_have_sent_anything() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = failure(Door("zendesk", f"http://127.0.0.1:{port}", total_seconds=DEADLINE), POST)
    assert isinstance(error, Unreachable)
    assert not error.sent
    assert not error.unknown_outcome


def named(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Makes `localhost` resolve to these addresses, or to nothing."""
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *args: object, **kwargs: object) -> list[object]:
        if host != "localhost":
            return list(real(host, port, *args, **kwargs))  # type: ignore[arg-type]  # passed on as they came
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def test_a_name_that_is_not_known_is_known_not_to_have_sent_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    named(monkeypatch)
    error = failure(Door("zendesk", "http://localhost:1", total_seconds=DEADLINE), POST)
    assert isinstance(error, Unreachable)
    assert not error.sent


def test_the_second_address_is_tried_when_the_first_refuses(
    plain: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(monkeypatch, "127.0.0.2", "127.0.0.1")
    door = Door("zendesk", f"http://localhost:{plain.port}", total_seconds=1.0)
    assert door.send(POST).status == 200


def test_a_certificate_of_a_stranger_stops_the_request_before_it_leaves(bundle: str) -> None:
    server = FaultServer(tls_context())
    error = failure(Door("stripe", server.url, total_seconds=2.0), POST)
    server.close()
    assert isinstance(error, Unreachable)
    assert not error.unknown_outcome
    assert server.seen == []


def test_tls_below_1_2_is_never_offered(bundle: str) -> None:
    door = Door("stripe", "https://api.stripe.com", total_seconds=2.0, verify=bundle)
    pools = door.session().get_adapter("https://api.stripe.com").poolmanager  # type: ignore[attr-defined]
    assert pools.connection_pool_kw["ssl_minimum_version"] == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Refused),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (410, NotFound),
        (409, Conflict),
        (422, Refused),
        (429, RateLimited),
        (500, Failed),
        (503, Failed),
        (408, Failed),
    ],
)
def test_each_status_has_one_error_and_the_body_stays_out_of_it(
    plain: FaultServer, bundle: str, status: int, kind: type[OutsideError]
) -> None:
    plain.mode = str(status)
    error = failure(open_door(plain, bundle), POST)
    assert type(error) is kind
    assert error.unknown_outcome == (kind is Failed)
    assert (error.service, error.method, error.path, error.status) == ("stripe", "POST", "/v1/refunds", status)
    assert error.request_id == "req_1"
    assert "jane" not in str(error) + repr(error)
    assert "4242" not in str(error) + repr(error)


def test_a_read_is_repeated_once_after_a_broken_answer(server: FaultServer, bundle: str) -> None:
    server.mode = ["502html", "ok"]
    door = open_door(server, bundle, total_seconds=2.0)
    assert door.send(GET).as_object()["id"] == "re_1"
    assert len(server.seen) == 2


def test_a_write_is_never_repeated(server: FaultServer, bundle: str) -> None:
    for mode in ("502html", "reset", "429", "truncated"):
        server.mode, server.seen = mode, []
        failure(open_door(server, bundle, total_seconds=2.0, read_attempts=5), POST)
        assert len(server.seen) == 1, mode


def test_a_post_that_only_reads_may_be_repeated(plain: FaultServer, bundle: str) -> None:
    plain.mode = ["reset", "ok"]
    call = Call(method="POST", path="/search", body={}, idempotent=True)
    assert open_door(plain, bundle, total_seconds=2.0).send(call).status == 200


def test_a_refusal_is_not_repeated(plain: FaultServer, bundle: str) -> None:
    plain.mode = "404"
    failure(open_door(plain, bundle, read_attempts=5), GET)
    assert len(plain.seen) == 1


def test_retry_after_beyond_the_deadline_is_reported_instead_of_waited_for(plain: FaultServer, bundle: str) -> None:
    plain.mode = "429later"
    started = time.monotonic()
    error = failure(open_door(plain, bundle, total_seconds=5.0), GET)
    assert isinstance(error, RateLimited)
    assert error.retry_after == 60
    assert time.monotonic() - started < 1
    assert len(plain.seen) == 1


def test_after_a_429_the_next_call_waits_for_the_promised_time(plain: FaultServer, bundle: str) -> None:
    plain.mode = "429later"
    door = open_door(plain, bundle, rate_per_second=100.0)
    failure(door, POST)
    error = failure(door, POST)
    assert isinstance(error, Unreachable)
    assert not error.sent
    assert len(plain.seen) == 1


def test_a_single_call_may_have_its_own_deadline(plain: FaultServer, bundle: str) -> None:
    plain.mode = "hang"
    started = time.monotonic()
    failure(open_door(plain, bundle, total_seconds=5.0), Call(method="POST", path="/x", body={}, seconds=0.2))
    assert time.monotonic() - started < 0.8


def test_calls_beyond_the_concurrency_fail_at_their_deadline_without_being_sent(
    plain: FaultServer, bundle: str
) -> None:
    plain.mode = "hang"
    door = open_door(plain, bundle, concurrency=1, total_seconds=0.5)
    holder = threading.Thread(target=failure, args=(door, POST))
    holder.start()
    while not plain.seen:
        time.sleep(0.002)
    error = failure(door, Call(method="POST", path="/x", body={}, seconds=0.1))
    holder.join()
    assert isinstance(error, Unreachable)
    assert not error.sent
    assert len(plain.seen) == 1


def test_one_door_serves_many_threads(server: FaultServer, bundle: str) -> None:
    door = open_door(server, bundle, total_seconds=5.0)
    results: list[int] = []
    threads = [
        threading.Thread(target=lambda: results.extend(door.send(GET).status for _ in range(5))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [200] * 40


def test_proxy_and_netrc_of_the_environment_are_ignored(
    plain: FaultServer, bundle: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login thief password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    sent: list[requests.PreparedRequest] = []
    door = open_door(plain, bundle)
    door.session().hooks["response"].append(lambda response, **_: sent.append(response.request))
    door.send(Call(method="GET", path="/x", headers={"Authorization": "Bearer ours"}))
    assert sent[0].headers["Authorization"] == "Bearer ours"


def test_cookies_of_an_upstream_are_not_sent_back(plain: FaultServer, bundle: str) -> None:
    plain.mode = "cookie"
    door = open_door(plain, bundle)
    door.send(GET)
    assert len(door.session().cookies) == 0


def test_an_observer_sees_every_attempt_by_template_and_its_failure_does_no_harm(
    plain: FaultServer, bundle: str
) -> None:
    seen: list[Observation] = []

    def observe(observation: Observation) -> None:
        seen.append(observation)
        raise RuntimeError("a broken metric")

    plain.mode = ["502html", "ok"]
    open_door(plain, bundle, observer=observe, total_seconds=2.0).send(GET)
    assert [(o.path, o.status, o.attempt, o.failure) for o in seen] == [
        ("/v1/refunds/{refund}", 502, 1, "Failed"),
        ("/v1/refunds/{refund}", 200, 2, None),
    ]
    assert all(o.seconds > 0 for o in seen)


@pytest.mark.parametrize(
    "address",
    ["http://api.stripe.com", "https://user:pw@api.stripe.com", "https://api.stripe.com/?a=b", "ftp://x", "https://"],
)
def test_a_base_address_that_is_not_plainly_https_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="base address"):
        Door("stripe", address, total_seconds=1.0)


def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    call = Call(method="GET", path="/v1/charges/{charge}/refunds", ids={"charge": "../../x?y=1#z"})
    assert call.filled_path() == "/v1/charges/..%2F..%2Fx%3Fy%3D1%23z/refunds"
    with pytest.raises(ValueError, match="usable"):
        Call(method="GET", path="/v1/{charge}", ids={"charge": ".."}).filled_path()


def test_a_call_does_not_show_its_headers_or_body() -> None:
    call = Call(method="POST", path="/x", headers={"Authorization": "Bearer k"}, body={"mail": "jane"})
    assert "Bearer" not in repr(call)
    assert "jane" not in repr(call)


def test_nesting_of_exactly_64_is_still_read() -> None:
    assert parse_json(b"[" * 64 + b"]" * 64)
    with pytest.raises(ValueError, match="deep"):
        parse_json(b'{"a":' * 65 + b"1" + b"}" * 65)


class TestSession:
    """The session alone, as Stripe's SDK uses it."""

    def session(self, bundle: str) -> CappedSession:
        return capped_session(total_seconds=DEADLINE, cap_bytes=CAP, verify=bundle)

    def test_it_raises_only_exceptions_of_requests(self, server: FaultServer, bundle: str) -> None:
        kinds = {"drip": DeadlineExceeded, "huge": ResponseTooLarge, "redirect": RedirectRefused}
        for mode, kind in kinds.items():
            server.mode = mode
            with pytest.raises(kind):
                self.session(bundle).request("POST", server.url + "/v1/refunds", data="a=1", timeout=(1, 3))

    def test_a_connection_that_never_was_is_told_apart(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with pytest.raises(NotSent):
            capped_session(total_seconds=1.0).get(f"http://127.0.0.1:{port}/")

    def test_a_block_may_shorten_the_deadline(self, plain: FaultServer) -> None:
        plain.mode = "hang"
        session = capped_session(total_seconds=5.0)
        started = time.monotonic()
        with within(0.2), pytest.raises(DeadlineExceeded):
            session.get(plain.url)
        assert time.monotonic() - started < 0.8

    def test_verification_cannot_be_switched_off(self, plain: FaultServer) -> None:
        with pytest.raises(ValueError, match="always verified"):
            capped_session(total_seconds=1.0, verify=False)
        with pytest.raises(ValueError, match="always verified"):
            capped_session(total_seconds=1.0).get(plain.url, verify=False)

    def test_the_body_is_there_as_with_any_session(self, plain: FaultServer) -> None:
        answer = capped_session(total_seconds=1.0).get(plain.url)
        assert answer.content == OK
        assert answer.json()["id"] == "re_1"


@responses.activate
def test_the_door_can_be_tested_with_a_patched_adapter() -> None:
    responses.get("https://acme.zendesk.com/api/v2/tickets/5", json={"ticket": {"id": 5}})
    responses.put("https://acme.zendesk.com/api/v2/tickets/5", body=requests.ConnectionError("reset"))
    door = Door("zendesk", "https://acme.zendesk.com", total_seconds=1.0)
    path, ids = "/api/v2/tickets/{ticket_id}", {"ticket_id": 5}
    assert door.send(Call(method="GET", path=path, ids=ids)).as_object() == {"ticket": {"id": 5}}
    error = failure(door, Call(method="PUT", path=path, ids=ids, body={}))
    assert isinstance(error, Unreachable)
    assert error.unknown_outcome
