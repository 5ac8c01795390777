"""Does a twin answer real HTTP, record what came, and fail in exactly the ordered way?"""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import trustme

from integrations.twins import __main__ as command
from integrations.twins.faults import AFTER, BEFORE, KINDS
from integrations.twins.server import BODY_LIMIT, Request, Response, Twin

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


class Counter(Twin):
    """Counts POSTs; GET tells the count."""

    service = "counter"
    count = 0

    def handle(self, request: Request) -> Response:
        if request.path == "/crash":
            raise RuntimeError("on purpose")
        if request.method == "POST":
            self.count += 1
            self.effect(f"count {self.count}")
        return Response(200, {"count": self.count, "path": request.path, "query": request.query})

    def copy_state(self) -> object:
        return (self.count,)

    def swap_state(self, state: object) -> object:
        before = (self.count,)
        if isinstance(state, tuple):
            self.count = state[0]
        return before


@pytest.fixture
def twin() -> Iterator[Counter]:
    with Counter(clock=lambda: NOW) as running:
        yield running


def get(twin: Twin, path: str = "/x", **more: Any) -> requests.Response:
    return requests.get(twin.url + path, timeout=more.pop("timeout", 5), **more)


def post(twin: Twin, path: str = "/x", **more: Any) -> requests.Response:
    return requests.post(twin.url + path, timeout=more.pop("timeout", 5), **more)


def test_a_request_arrives_decoded_and_is_recorded(twin: Counter) -> None:
    answer = post(twin, "/a%20b//c?x=1&x=2", data=b"hello", headers={"Idempotency-Key": "k"})

    assert answer.json() == {"count": 1, "path": "/a b//c", "query": [["x", "1"], ["x", "2"]]}
    entry = twin.wire[0]
    assert (entry.number, entry.at, entry.service, entry.method) == (1, NOW, "counter", "POST")
    assert (entry.target, entry.status, entry.idempotency_key) == ("/a%20b//c?x=1&x=2", 200, "k")
    assert (entry.request_body, entry.effect, entry.fault) == (b"hello", "count 1", None)


def test_a_path_with_two_slashes_stays_a_path(twin: Counter) -> None:
    assert get(twin, "//host/x").json()["path"] == "//host/x"


def test_only_requests_with_an_effect_are_writes(twin: Counter) -> None:
    get(twin)
    post(twin)

    assert [entry.method for entry in twin.writes()] == ["POST"]


def test_a_connection_is_kept_and_fast(twin: Counter) -> None:
    with requests.Session() as session:
        begun = time.perf_counter()
        for _ in range(20):
            session.post(twin.url + "/x", data=b"body", timeout=5)
        took = time.perf_counter() - begun

    assert twin.count == 20
    assert took < 0.4  # without TCP_NODELAY the answers alone would take 0.8 s


def test_a_body_over_the_limit_is_refused(twin: Counter) -> None:
    with socket.create_connection(("127.0.0.1", twin.port), timeout=5) as raw:
        raw.sendall(f"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY_LIMIT + 1}\r\n\r\n".encode())
        assert b" 413 " in raw.recv(200)
    assert twin.count == 0


@pytest.mark.parametrize("body", [b"", b"a=1"])
def test_half_a_request_has_no_effect(twin: Counter, body: bytes) -> None:
    address = urlsplit(twin.url)
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=5) as client:
        client.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n" + body)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""
    assert (twin.count, list(twin.wire), twin.crashes) == (0, [], [])


def test_a_crash_of_a_handler_is_a_500_and_kept_for_the_test(twin: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    assert get(twin, "/crash").status_code == 500
    assert "on purpose" in twin.crashes[0]


# -- faults -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "close_after"])
def test_a_cut_connection_gives_no_answer(twin: Counter, kind: str) -> None:
    twin.faults.add(kind)

    with pytest.raises(BROKEN) as caught:
        post(twin)

    assert ("reset" in str(caught.value).lower()) == kind.startswith("reset")
    assert (twin.count, twin.wire[0].status, twin.wire[0].fault) == (0 if kind in BEFORE else 1, None, kind)
    assert post(twin).status_code == 200


@pytest.mark.parametrize("kind", ["hang_before", "hang_after", "drip", "drip_header"])
def test_a_slow_answer_runs_into_the_reader_s_patience(twin: Counter, kind: str) -> None:
    twin.faults.add(kind, seconds=5)

    with pytest.raises(requests.RequestException):
        post(twin, timeout=0.1)

    assert twin.count == (0 if kind in BEFORE else 1)


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        ("html_200", 200, b"<!doctype"),
        ("html_502", 502, b"<html>"),
        ("bad_json", 200, b'{"count": 1'),
        ("empty", 200, b""),
        ("json_null", 200, b"null"),
        ("json_list", 200, b"[]"),
        ("rate_limited", 429, b'{"error"'),
        ("status", 500, b'{"error"'),
    ],
)
def test_a_wrong_answer_is_wrong_once(twin: Counter, kind: str, status: int, body: bytes) -> None:
    twin.faults.add(kind)

    answer = post(twin)

    assert (answer.status_code, answer.content[: len(body)]) == (status, body)
    assert twin.count == (0 if kind in BEFORE else 1)
    with_json = post(twin).json()
    assert with_json["count"] == twin.count


def test_bad_json_does_not_parse(twin: Counter) -> None:
    twin.faults.add("bad_json")

    with pytest.raises(requests.JSONDecodeError):
        get(twin).json()


def test_a_truncated_answer_announces_more_than_it_sends(twin: Counter) -> None:
    twin.faults.add("truncated")

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        post(twin)
    assert twin.count == 1


def test_a_status_fault_takes_body_headers_and_if_wanted_the_effect(twin: Counter) -> None:
    twin.faults.add("status", status=503, body={"why": "tea"}, headers={"Retry-After": "7"}, effect=True)

    answer = post(twin)

    assert (answer.status_code, answer.json(), answer.headers["Retry-After"]) == (503, {"why": "tea"}, "7")
    assert twin.count == 1


def test_rate_limited_says_when_only_if_told(twin: Counter) -> None:
    twin.faults.add("rate_limited")
    twin.faults.add("rate_limited", retry_after=3)

    assert "Retry-After" not in get(twin).headers
    assert get(twin).headers["Retry-After"] == "3"


def test_a_redirect_points_where_it_is_told(twin: Counter) -> None:
    twin.faults.add("redirect", status=307, location="http://127.0.0.1:9/steal")

    answer = post(twin, allow_redirects=False)

    assert (answer.status_code, answer.headers["Location"], twin.count) == (307, "http://127.0.0.1:9/steal", 0)


def test_huge_and_bomb_are_as_large_as_told(twin: Counter) -> None:
    twin.faults.add("huge", megabytes=2)
    twin.faults.add("gzip_bomb", megabytes=2)

    assert len(get(twin).content) == 2 * 1024 * 1024
    bomb = get(twin)
    assert int(bomb.headers["Content-Length"]) < 20_000
    assert len(bomb.content) == 2 * 1024 * 1024


def test_latency_waits_and_then_answers(twin: Counter) -> None:
    twin.faults.add("latency", seconds=0.05)
    begun = time.perf_counter()

    assert get(twin).status_code == 200
    assert time.perf_counter() - begun >= 0.05
    assert twin.wire[0].fault == "latency"


def test_a_stale_read_shows_the_state_before_the_last_write(twin: Counter) -> None:
    twin.faults.add("stale")
    post(twin)

    assert (get(twin).json()["count"], get(twin).json()["count"]) == (0, 1)


def test_a_fault_strikes_only_its_method_path_and_number(twin: Counter) -> None:
    armed = twin.faults.add("status", method="POST", path="/pay", times=2)
    pattern = twin.faults.add("status", path=r"/v1/\w+/end", times=None)

    assert [get(twin, "/pay").status_code, post(twin, "/x").status_code] == [200, 200]
    assert [post(twin, "/pay/1").status_code for _ in range(3)] == [500, 500, 200]
    assert [get(twin, path).status_code for path in ("/v1/a/end", "/v1/a/b/end")] == [500, 200]
    assert (armed.hits, pattern.hits) == (2, 1)


def test_chance_is_repeatable_for_one_seed(twin: Counter) -> None:
    drawn = []
    for _ in range(2):
        twin.faults.clear()
        twin.faults.probability("status", 0.5, seed=7)
        drawn.append([get(twin).status_code for _ in range(12)])

    assert drawn[0] == drawn[1]
    assert set(drawn[0]) == {200, 500}


def test_an_unknown_fault_is_refused(twin: Counter) -> None:
    assert {"latency", "stale"} == KINDS - BEFORE - AFTER
    with pytest.raises(ValueError, match="unknown fault"):
        twin.faults.add("meteor")


# -- clock, admin, life ------------------------------------------------------------------------------------------------
def test_the_clock_moves_and_the_record_follows(twin: Counter) -> None:
    twin.advance(timedelta(days=2))
    get(twin)

    assert twin.wire[0].at == NOW + timedelta(days=2)


def test_the_admin_routes_work_and_leave_no_trace(twin: Counter) -> None:
    armed = post(twin, "/_twin/faults", json={"kind": "status", "status": 418, "times": 5})
    teapot = get(twin).status_code
    cleared = requests.delete(twin.url + "/_twin/faults", timeout=5)
    post(twin, "/y", data=b"\xff!")
    moved = post(twin, "/_twin/clock", json={"now": "2027-01-01T00:00:00+00:00"}).json()
    entries = get(twin, "/_twin/wire?after=1").json()["entries"]

    assert (armed.status_code, teapot, cleared.status_code) == (200, 418, 200)
    assert moved == {"now": "2027-01-01T00:00:00+00:00"}
    assert [(entry["number"], entry["effect"], entry["request_body"]) for entry in entries] == [
        (2, "count 1", "\ufffd!")
    ]
    assert get(twin, "/_twin/state").json() == {}
    assert post(twin, "/_twin/reset").status_code == 200
    assert (twin.wire, twin.now()) == ([], NOW)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/_twin/faults", {"kind": "meteor"}, 400),
        ("/_twin/faults", {"method": "GET"}, 404),
        ("/_twin/seed", {}, 400),
        ("/_twin/clock", {"now": "soon"}, 400),
        ("/_twin/nothing", {}, 404),
    ],
)
def test_a_wrong_admin_request_is_refused(twin: Counter, path: str, body: dict[str, str], status: int) -> None:
    assert post(twin, path, json=body).status_code == status


def test_a_stopped_twin_cuts_its_connections_and_hanging_requests() -> None:
    twin = Counter().start()
    twin.faults.add("hang_before", seconds=60)
    with socket.create_connection(("127.0.0.1", twin.port), timeout=5) as raw:
        raw.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        while not twin.wire:
            time.sleep(0.001)
        twin.stop()
        assert raw.recv(10) == b""
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", twin.port), timeout=1)
    twin.stop()


def test_a_twin_comes_back_on_its_port() -> None:
    twin = Counter().start()
    port = twin.port
    twin.stop()
    with twin.start():
        assert (twin.port, get(twin).status_code) == (port, 200)


def test_a_twin_speaks_tls_and_breaks_there_too(tmp_path: Any) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with Counter().start(ssl_context=context) as twin:
        assert twin.url.startswith("https://")
        assert get(twin, verify=str(tmp_path / "ca.pem")).status_code == 200
        twin.faults.add("reset_after")
        with pytest.raises(BROKEN):
            get(twin, verify=str(tmp_path / "ca.pem"))
        with pytest.raises(requests.exceptions.SSLError):
            get(twin)


@pytest.mark.parametrize("service", sorted(command.SERVICES))
def test_every_service_of_the_command_line_is_a_twin(service: str) -> None:
    assert command.build(service, 0).service == service


def test_the_command_prints_its_address_and_serves() -> None:
    words = [sys.executable, "-m", "integrations.twins", "stripe", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert requests.get(url + "/_twin/state", timeout=5).json()["customers"] == []
        finally:
            process.terminate()
