"""Do the tools that every other test trusts work: PostgreSQL, Chromium, the guard on connections, the ban on skips?"""

import ast
import asyncio
import http.server
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, expect

from testkit import loopback, postgres
from testkit.loopback import OutsideConnection, attempts_expected
from testkit.pages import BrowserSession, Complaints, in_browser_loop
from testkit.postgres import PostgresServer

ROOT = Path(__file__).parent.parent
OUTSIDE = "192.0.2.1"  # RFC 5737: an address that belongs to nobody
PAGE = b"""<!doctype html><title>foundation</title><button>press</button><p></p>
<script>document.querySelector("button").onclick = () => document.querySelector("p").textContent = "pressed"</script>"""
BLOCKED_PAGE = b"<!doctype html><title>blocked</title><script>document.title = 'not blocked'</script>"


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        blocked = self.path == "/blocked"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        if blocked:
            self.send_header("Content-Security-Policy", "script-src 'none'")
        self.end_headers()
        self.wfile.write(BLOCKED_PAGE if blocked else PAGE)

    def log_message(self, format: str, *arguments: object) -> None:
        return None


@pytest.fixture
def site() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


# --- the guard on connections ---


@pytest.mark.parametrize(
    "leave",
    [
        lambda link: link.connect((OUTSIDE, 80)),
        lambda link: link.connect_ex((OUTSIDE, 80)),
        lambda link: link.sendto(b"", (OUTSIDE, 53)),
        lambda link: link.sendto(b"", 0, (OUTSIDE, 53)),
    ],
    ids=["connect", "connect_ex", "sendto", "sendto with flags"],
)
def test_no_socket_leaves_this_machine(leave: Callable[[socket.socket], object]) -> None:
    with attempts_expected(), closing(socket.socket(type=socket.SOCK_DGRAM)) as link, pytest.raises(OutsideConnection):
        leave(link)


@pytest.mark.parametrize("look_up", [socket.gethostbyname, lambda name: socket.getaddrinfo(name, 443)])
def test_no_name_outside_this_machine_is_looked_up(look_up: Callable[[str], object]) -> None:
    with attempts_expected(), pytest.raises(OutsideConnection):
        look_up("api.stripe.com")


def test_an_attempt_whose_exception_was_swallowed_is_still_remembered() -> None:
    with attempts_expected():
        with pytest.raises(OutsideConnection):
            socket.create_connection(("api.stripe.com", 443))
        assert loopback.take_attempts() == ["api.stripe.com"]


def test_loopback_and_unix_sockets_stay_open() -> None:
    with closing(socket.create_server(("localhost", 0))) as server:
        socket.create_connection(server.getsockname()).close()
    left, right = socket.socketpair(socket.AF_UNIX)
    left.close()
    right.close()


# --- PostgreSQL ---


def test_every_test_gets_an_empty_database_of_its_own(postgres_database: str) -> None:
    with psycopg.connect(postgres_database) as connection:
        name, tables = connection.execute(
            "SELECT current_database(), (SELECT count(*) FROM pg_tables WHERE schemaname = 'public')"
        ).fetchone() or ("", -1)
    assert postgres_database.endswith(f"/{name}")
    assert name.startswith("test_")
    assert tables == 0


def test_what_postgres_committed_survives_an_immediate_stop(own_postgres: PostgresServer) -> None:
    with psycopg.connect(own_postgres.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS number")
        port = own_postgres.port
        own_postgres.stop("immediate")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert not own_postgres.running()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(own_postgres.url())

    own_postgres.start()

    assert own_postgres.port == port
    with psycopg.connect(own_postgres.url()) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (42,)


def test_postgres_goes_with_a_process_that_was_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as owner:
        server = PostgresServer.launch(owner_pid=owner.pid)
        owner.kill()
    deadline = time.monotonic() + 30
    while Path(server.folder).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(server.folder).exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.url())


def test_a_machine_without_postgres_uses_the_one_from_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_system_places", lambda: iter(()))
    with closing(PostgresServer.launch(durable=True)) as server, psycopg.connect(server.url()) as connection:
        assert server.binaries.rstrip("/").endswith("/bin")
        assert postgres.WHEEL in server.binaries
        assert connection.execute("SHOW fsync").fetchone() == ("on",)


# --- Chromium ---


def test_the_browser_renders_a_page_and_runs_its_script(page: Page, site: str) -> None:
    page.goto(site)
    page.get_by_role("button", name="press").click()
    expect(page.get_by_text("pressed")).to_be_visible()


def test_the_browser_cannot_leave_this_machine(page: Page) -> None:
    for address in (f"http://{OUTSIDE}/", "https://api.stripe.com/"):
        with pytest.raises(PlaywrightError, match="ERR_NAME_NOT_RESOLVED"):
            page.goto(address)


@pytest.mark.expected_complaints("page error: .*on purpose", "refused by CSP: .*script")
def test_page_errors_and_csp_refusals_are_heard(page: Page, site: str) -> None:
    page.goto(f"{site}/blocked")
    assert page.title() == "blocked"
    page.goto(site)
    page.evaluate("setTimeout(() => { throw new Error('on purpose') })")
    page.wait_for_timeout(50)


def test_a_complaint_that_nobody_expected_and_one_that_never_came_both_fail_the_test() -> None:
    heard = Complaints(seen=["page error: boom"])
    assert heard.verdict(()) == "not expected: page error: boom"
    assert heard.verdict(("boom",)) == ""
    assert heard.verdict(("boom", "CSP")) == "expected but not seen: CSP"


def test_between_two_uses_of_the_browser_no_event_loop_counts_as_running(browser_session: BrowserSession) -> None:
    for _ in range(2):
        with in_browser_loop(browser_session), browser_session.browser.new_context() as context:
            assert context.new_page().evaluate("1 + 1") == 2
        # What DBOS and asyncio.run need in this process.
        assert asyncio.run(_one()) == 1


async def _one() -> int:
    return 1


# --- the rules for tests and for the core ---


@pytest.mark.parametrize(
    "body",
    [
        "import pytest\ndef test_it():\n    pytest.skip('later')",
        "import pytest\n@pytest.mark.skipif(True, reason='later')\ndef test_it():\n    pass",
        "import pytest\n@pytest.mark.xfail\ndef test_it():\n    assert False",
        "import pytest\n@pytest.mark.xfail\ndef test_it():\n    pass",
        "import pytest\npytest.importorskip('no_such_module')\ndef test_it():\n    pass",
    ],
    ids=["skip", "skipif", "xfail", "xpass", "importorskip"],
)
def test_a_skipped_test_fails_the_run(body: str, tmp_path: Path) -> None:
    (tmp_path / "test_body.py").write_text(body)
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "testkit.outcomes", "-p", "no:cacheprovider", "test_body.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / "tests" / "support"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert finished.returncode in (1, 2), finished.stdout
    assert "here every test runs and passes" in finished.stdout


def test_the_core_reads_no_clock_and_writes_nothing() -> None:
    # What import-linter cannot see: datetime is welcome in the core, its clock is not. Reading the package's own
    # files through importlib.resources is fine, pathlib and os are refused by import-linter.
    forbidden = {"now", "utcnow", "today", "open", "print", "input", "write_text", "write_bytes"}
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno} calls {name}()"
        for path in sorted((ROOT / "billing").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and (name := _called_name(node)) in forbidden
    ]
    assert calls == []


def _called_name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
