"""Can one reference be followed from the agent's screen through logs, error reports and upstream calls?"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from integrations import correlation
from integrations.settings import Settings, SettingsError, read_settings
from integrations.telemetry import configure
from testkit.indoors import Indoors, indoors
from testkit.rig import free_port
from zendesk.enrichment import Enriching
from zendesk.serving import serve_beside

DSN = "https://key@sentry.invalid/1"


class Captured(Transport):
    """Keeps what would be sent."""

    sent: list[str] = []  # noqa: RUF012 - Sentry makes the one instance itself

    def capture_envelope(self, envelope: Envelope) -> None:
        self.sent.append(envelope.serialize().decode())


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    Captured.sent.clear()
    written = io.StringIO()
    yield written
    root.handlers[:], root.level = handlers, level
    sentry_sdk.get_client().close()
    sentry_sdk.init()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path) as made:
        yield made


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_the_reference_of_a_failed_card_stands_in_the_log_and_in_the_error_report(
    desk: Indoors, stream: io.StringIO
) -> None:
    ticket = desk.ticket("maya@acme.example", "Charged twice", "I was charged twice this month.")
    assert desk.deliver(ticket).status_code == 202
    desk.stripe.faults.add("status", status=500, times=None)
    configure(Settings(log_level="info", sentry_dsn=DSN), stream=stream, transport=Captured, environment={})
    handler = correlation.job("enrich", Enriching(desk.product.desk).turn)
    for _ in range(10):
        handler(f"{ticket}:1")
    logging.getLogger("zendesk.enrichment").error("enrichment_failed")
    with correlation.working_for(f"enrich:{ticket}:1"):
        expected = correlation.reference()
        logging.getLogger("zendesk.enrichment").error("enrichment_failed")
    shown = desk.get(f"/api/tickets/{ticket}/card").get_json()
    assert shown["state"] == "failed"
    assert shown["error"]["reference"] == expected
    assert [one["event"] for one in lines(stream) if one.get("reference") == expected]
    sentry_sdk.flush()
    assert any(f'"reference":"{expected}"' in one for one in Captured.sent)


def test_a_request_carries_its_id_into_the_log_and_its_reference_to_the_upstream(
    desk: Indoors, stream: io.StringIO
) -> None:
    configure(Settings(log_level="info"), stream=stream, environment={})
    ticket = desk.ticket("maya@acme.example", "Hello", "Hello.")
    headers = {"Authorization": f"Bearer {desk.page_token()}", "X-Request-Id": "proxy-1234567890"}
    answer = desk.client.get(f"/api/tickets/{ticket}/card", headers=headers)
    assert answer.headers["X-Request-Id"] == "proxy-1234567890"
    mine = [one for one in lines(stream) if one.get("request_id") == "proxy-1234567890"]
    assert {"request_answered", "upstream_answered"} <= {one["event"] for one in mine}
    asked = [one for one in mine if one["event"] == "upstream_answered"]
    assert asked[0]["service"] == "zendesk"
    assert any(one["path"].startswith("/api/v2/") for one in asked)
    reference = correlation.reference("proxy-1234567890")
    sent = {name.lower(): value for name, value in desk.zendesk.wire[-1].request_headers.items()}
    assert sent["x-billing-desk-reference"] == reference


def test_stripes_answers_are_timed_too_and_its_threads_know_the_request(desk: Indoors, stream: io.StringIO) -> None:
    ticket = desk.ticket("maya@acme.example", "Charged twice", "I was charged twice this month.")
    desk.deliver(ticket)
    configure(Settings(log_level="info"), stream=stream, environment={})
    correlation.job("enrich", Enriching(desk.product.desk).turn)(f"{ticket}:1")
    stripe = [one for one in lines(stream) if one.get("service") == "stripe"]
    assert stripe
    assert {one["request_id"] for one in stripe} == {f"enrich:{ticket}:1"}
    assert 'billing_desk_upstream_seconds_count{service="stripe",status="200"}' in desk.client.get("/metrics").text


@pytest.mark.parametrize("name", ["", "a" * 64])
def test_a_reference_is_short_and_empty_only_without_a_name(name: str) -> None:
    assert bool(correlation.reference(name)) is bool(name)
    assert len(correlation.reference("enrich:1:1")) == 7


def test_a_worker_shows_health_readiness_and_its_own_figures(desk: Indoors) -> None:
    port = free_port()
    serve_beside(desk.product.probes(), "127.0.0.1", port)
    for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/gaps", 404)):
        assert requests.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code == status, path


def test_with_a_token_only_its_bearer_sees_the_figures(tmp_path: Path) -> None:
    token = "m" * 24
    with indoors(tmp_path, metrics_token=token) as desk:
        for headers, status in (
            ({}, 401), ({"Authorization": "Bearer wrong"}, 401), ({"Authorization": f"Basic {token}"}, 401),
            ({"Authorization": f"Bearer {token}"}, 200),
        ):  # fmt: skip
            assert desk.client.get("/metrics", headers=headers).status_code == status


def test_a_short_token_is_refused() -> None:
    with pytest.raises(SettingsError, match="BILLING_DESK_METRICS_TOKEN"):
        read_settings({"BILLING_DESK_METRICS_TOKEN": "short"}, dotenv=None)
