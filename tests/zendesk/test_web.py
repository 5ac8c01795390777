"""Does every answer carry its headers and every error its envelope, whatever is asked of the application?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.store import marks
from testkit.indoors import Indoors, indoors
from zendesk.restoring import ALIVE, Restoring

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path) as made:
        yield made


def test_the_process_is_alive_and_ready(desk: Indoors) -> None:
    assert desk.client.get("/healthz").get_json() == {"status": "alive"}
    assert desk.client.get("/readyz").get_json() == {"status": "ready", "failing": [], "worker_age_seconds": None}
    assert desk.asked() == 0


def test_a_store_of_another_schema_is_alive_and_not_ready(desk: Indoors) -> None:
    with desk.product.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    answer = desk.client.get("/readyz")
    assert (answer.status_code, answer.get_json()["failing"]) == (503, ["schema"])
    assert desk.client.get("/healthz").status_code == 200


def test_a_store_that_is_gone_is_alive_and_not_ready(desk: Indoors, tmp_path: Path) -> None:
    desk.product.engine.dispose()
    for file in tmp_path.glob("desk.db*"):
        file.unlink()
    (tmp_path / "desk.db").mkdir()
    answer = desk.client.get("/readyz")
    assert (answer.status_code, answer.get_json()["failing"]) == (503, ["store"])
    assert desk.client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/nothing", "/api/tickets/1/card", "/webhooks/zendesk", "/zendesk/sidebar"]
)
@pytest.mark.parametrize("method", METHODS)
def test_every_answer_has_its_headers_and_every_error_its_envelope(desk: Indoors, method: str, path: str) -> None:
    answer = desk.client.open(path, method=method)
    assert answer.headers["X-Request-Id"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    assert "Access-Control-Allow-Origin" not in answer.headers
    if answer.mimetype == "text/html":
        assert "frame-ancestors https://acme.zendesk.com" in answer.headers["Content-Security-Policy"]
    if answer.status_code >= 400 and method != "HEAD" and answer.mimetype == "application/json":
        assert answer.get_json()["error"]["request_id"] == answer.headers["X-Request-Id"]
    assert answer.status_code < 500


def test_a_method_that_is_not_taken_is_405_and_an_unknown_address_404(desk: Indoors) -> None:
    for path, status, code in (("/webhooks/zendesk", 405, "method_not_allowed"), ("/x", 404, "not_found")):
        answer = desk.client.put(path)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (status, code)


def test_two_answers_never_share_a_request_id(desk: Indoors) -> None:
    assert len({desk.client.get("/healthz").headers["X-Request-Id"] for _ in range(50)}) == 50


@pytest.mark.parametrize("given_id", ["<script>", "a" * 65, "x\ty-12345678", "é" * 10, "../../etc", ""])
def test_a_request_id_of_the_caller_that_is_none_is_replaced(desk: Indoors, given_id: str) -> None:
    answer = desk.client.get("/healthz", headers={"X-Request-Id": given_id})
    assert re.fullmatch(r"rq_[0-9a-f]{20}", answer.headers["X-Request-Id"])


def test_static_files_come_by_name_only_and_are_kept_for_ever(desk: Indoors) -> None:
    page = desk.launch(desk.zendesk.launch_token(desk.agent["id"])).text
    names = set(re.findall(r"/static/([\w.-]+)", page))
    assert len(names) >= 3
    for name in names:
        answer = desk.client.get(f"/static/{name}")
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
    for name in ("..%2fapp.py", "%2e%2e/app.py", "app.py", "templates/page.html", "garden.LICENSE.txt%00"):
        assert desk.client.get(f"/static/{name}").status_code == 404


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.one_of(
        st.text(st.characters(codec="utf-8", exclude_characters="?#"), max_size=40).map(lambda text: "/" + text),
        st.integers(-5, 2**70).map(lambda number: f"/api/tickets/{number}/card"),
        st.text(max_size=20).map(lambda text: f"/api/approvals/{text}"),
    ),
    body=st.one_of(st.binary(max_size=60), st.dictionaries(st.text(max_size=8), st.text(max_size=8)).map(json.dumps)),
    method=st.sampled_from(["GET", "POST"]),
    html=st.booleans(),
)
def test_no_address_and_no_body_ever_makes_a_server_error(
    desk: Indoors, path: str, body: str | bytes, method: str, html: bool
) -> None:
    headers = {"Authorization": f"Bearer {desk.page_token()}", "Content-Type": "application/json"}
    try:
        path.encode("ascii", "surrogatepass")
    except UnicodeEncodeError:
        path = path.encode("utf-8", "replace").decode("latin-1")
    answer = desk.client.open(
        path, method=method, data=body, headers=headers | ({"Accept": "text/html"} if html else {})
    )
    assert answer.status_code < 500, (path, answer.text)


def test_readiness_tells_how_old_the_workers_sign_of_life_is(desk: Indoors) -> None:
    Restoring(desk.product.desk, lambda _: None).beat()
    assert desk.client.get("/readyz").get_json()["worker_age_seconds"] == 0
    desk.clock.advance(timedelta(minutes=7))
    answer = desk.client.get("/readyz")
    assert (answer.status_code, answer.get_json()["worker_age_seconds"]) == (200, 420)
    assert "billing_desk_worker_age_seconds 420\n" in desk.client.get("/metrics").text


def test_a_worker_that_waits_for_stripe_before_it_applies_is_alive(desk: Indoors) -> None:
    with desk.product.engine.begin() as connection:
        marks.write(connection, ALIVE, (desk.clock() - timedelta(days=1)).isoformat(), desk.clock())
    desk.stripe.faults.add("status", times=None, status=503)
    Restoring(desk.product.desk, lambda _: None).beat()
    assert desk.client.get("/readyz").get_json()["worker_age_seconds"] == 0
