"""Which fixtures does every test have, and which rules hold for all of them?

The rules: no connection leaves the machine, nothing is skipped, a page error or a CSP refusal fails the test.
The fixtures: postgres_url, postgres_database, own_postgres; browser, page, open_page.
"""

import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import hypothesis
import hypothesis.configuration
import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from psycopg import sql

from testkit import loopback
from testkit.outcomes import pytest_make_collect_report, pytest_runtest_makereport
from testkit.pages import BrowserSession, Complaints, in_browser_loop, open_context, running_browser
from testkit.postgres import PostgresServer

__all__ = ["pytest_make_collect_report", "pytest_runtest_makereport"]

RUN_FOLDER = "BILLING_DESK_TEST_RUN"  # in the environment, so that the xdist workers inherit it
RUN_PID = "BILLING_DESK_TEST_PID"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "expected_complaints(*patterns): page errors or CSP refusals this test provokes")
    config.addinivalue_line(
        "markers", "long: takes a minute or more; starts first, so that no worker is left alone with it"
    )
    if not hasattr(config, "workerinput"):
        os.environ[RUN_FOLDER] = tempfile.mkdtemp(prefix="billing-desk-tests-")
        os.environ[RUN_PID] = str(os.getpid())
    hypothesis.configuration.set_hypothesis_home_dir(Path(os.environ[RUN_FOLDER], "hypothesis"))
    hypothesis.settings.register_profile("dev", deadline=None, database=None)
    hypothesis.settings.register_profile("ci", deadline=None, database=None, derandomize=True, print_blob=True)
    hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")
    loopback.install()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long tests open the workers' shares: xdist cuts the list into equal pieces, the idle take from the end."""
    long = [item for item in items if item.get_closest_marker("long")]
    others = [item for item in items if not item.get_closest_marker("long")]
    for number, item in enumerate(long):
        others.insert(number * len(items) // len(long), item)
    items[:] = others


def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or RUN_FOLDER not in os.environ:
        return
    folder = Path(os.environ.pop(RUN_FOLDER))
    described = folder / "postgres.json"
    if described.exists():
        PostgresServer.attach(described.read_text()).close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def stays_on_this_machine() -> Iterator[None]:
    """Fails a test that tried to leave the machine, even where the code under test swallowed the refusal."""
    loopback.take_attempts()
    yield
    attempts = loopback.take_attempts()
    assert not attempts, f"tried to reach {', '.join(attempts)}"


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """One server for the whole run, shared by the workers: TEST_DATABASE_URL, else one that we start."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        return given
    folder = Path(os.environ[RUN_FOLDER])
    described = folder / "postgres.json"
    with (folder / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not described.exists():
            described.write_text(PostgresServer.launch(owner_pid=int(os.environ[RUN_PID])).describe())
    return PostgresServer.attach(described.read_text()).url()


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """The URL of an empty database of this test's own, `postgresql://…`."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield _with_database(postgres_url, name)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server for this test alone, to be stopped and started: `.stop("immediate")`, `.start()`, `.url()`."""
    server = PostgresServer.launch()
    yield server
    server.close()


@pytest.fixture(scope="session")
def browser_session() -> Iterator[BrowserSession]:
    with running_browser() as session:
        yield session


@pytest.fixture
def browser(browser_session: BrowserSession) -> Iterator[Browser]:
    """The real Chromium, one process per worker. Prefer `page`, which also listens for complaints."""
    with in_browser_loop(browser_session):
        yield browser_session.browser


@pytest.fixture
def open_page(
    request: pytest.FixtureRequest, browser: Browser, browser_session: BrowserSession
) -> Iterator[Callable[..., Page]]:
    """Opens a page in a context of its own, with Playwright's context options: `open_page(color_scheme="dark")`."""
    complaints = Complaints()
    contexts: list[BrowserContext] = []

    def open_one(**options: object) -> Page:
        context, page = open_context(browser_session, complaints, **options)
        contexts.append(context)
        return page

    yield open_one
    for context in contexts:
        context.close()
    marker = request.node.get_closest_marker("expected_complaints")
    verdict = complaints.verdict(marker.args if marker else ())
    assert not verdict, verdict


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """A fresh page; a page error or a CSP refusal fails the test unless `expected_complaints` names it."""
    return open_page()


def _with_database(url: str, database: str) -> str:
    return urlsplit(url)._replace(path=f"/{database}").geturl()
