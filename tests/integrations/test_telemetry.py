"""Does anything personal or secret leave the process in a log line or an error report?"""

from __future__ import annotations

import io
import json
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
import requests
import responses
import sentry_sdk
from flask import Flask, request
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from integrations.errors import Forbidden
from integrations.telemetry import allowed_event, configure

CANARIES = {
    "body": "BODYCANARY please refund me",
    "email": "jane.canary@example.org",
    "card": "4242424242424242",
    "key": "rk_live_CANARYKEY",
    "nested header": "ghs_CANARYHEADER",
    "query token": "QUERYCANARY",
    "outgoing token": "OUTGOINGCANARY",
    "zendesk signature": "ZSIGCANARY",
    "stripe signature": "t=1,v1=SSIGCANARY",
    "cookie": "COOKIECANARY",
    "authorization": "AUTHCANARY",
    "referer": "REFERERCANARY",
    "address": "203.0.113.77",
}


@dataclass(frozen=True)
class Settings:
    sentry_dsn: str = ""
    log_level: str = "info"
    log_format: str = "json"


class Captured(Transport):
    """What would have gone over the wire, envelope headers included."""

    sent: list[str] = []  # noqa: RUF012  shared on purpose: the SDK makes the instance

    def capture_envelope(self, envelope: Envelope) -> None:
        self.sent.append(envelope.serialize().decode())

    def flush(self, timeout: float, callback: Any = None) -> None:
        """Nothing waits."""

    def kill(self) -> None:
        """Nothing runs."""


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stripe = logging.getLogger("stripe")
    kept = (stripe.level, stripe.propagate, stripe.handlers[:])
    Captured.sent.clear()
    yield io.StringIO()
    root.handlers[:], root.level = handlers, level
    stripe.setLevel(kept[0])
    stripe.propagate, stripe.handlers[:] = kept[1], kept[2]
    sentry_sdk.get_client().close()
    sentry_sdk.init()


def set_up(stream: io.StringIO, **changes: str) -> None:
    configure(Settings(**changes), release="billing-desk@1", stream=stream, transport=Captured, environment={})


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def failing_app() -> Flask:
    app = Flask("billing_desk")

    @app.post("/webhooks/zendesk")
    def receive() -> str:
        ticket_body = request.get_json()["ticket"]["description"]
        requester_email = CANARIES["email"]
        headers = {"Authorization": CANARIES["nested header"]}
        logging.getLogger("zendesk.webhook").warning("processing %s", requester_email)
        with responses.RequestsMock() as mock:
            mock.get("https://acme.zendesk.com/api/v2/search.json", json={})
            address = f"query={quote(requester_email)}&token={CANARIES['outgoing token']}"
            requests.get(f"https://acme.zendesk.com/api/v2/search.json?{address}", headers=headers, timeout=1)
        sentry_sdk.set_user({"email": requester_email, "ip_address": CANARIES["address"]})
        sentry_sdk.set_extra("ticket", ticket_body)
        sentry_sdk.set_tag("mail", requester_email)
        sentry_sdk.set_tag("reference", "ref_7Hq2")
        try:
            raise KeyError(CANARIES["card"])
        except KeyError as error:
            raise ValueError(f"cannot map {requester_email} card {CANARIES['card']} {CANARIES['key']}") from error

    return app


def post_a_ticket() -> None:
    response = (
        failing_app()
        .test_client()
        .post(
            f"/webhooks/zendesk?jwt={CANARIES['query token']}",
            json={"ticket": {"description": CANARIES["body"]}},
            headers={
                "X-Zendesk-Webhook-Signature": CANARIES["zendesk signature"],
                "Stripe-Signature": CANARIES["stripe signature"],
                "Cookie": f"session={CANARIES['cookie']}",
                "Authorization": f"Basic {CANARIES['authorization']}",
                "Referer": f"https://x/?token={CANARIES['referer']}",
                "X-Forwarded-For": CANARIES["address"],
            },
        )
    )
    assert response.status_code == 500


def test_no_canary_reaches_sentry_when_a_request_fails(stream: io.StringIO) -> None:
    set_up(stream, sentry_dsn="https://key@sentry.invalid/1")
    post_a_ticket()
    sentry_sdk.flush()
    wire = "\n".join(Captured.sent)
    assert '"ValueError"' in wire
    assert '"KeyError"' in wire
    assert "ref_7Hq2" in wire
    assert '"function":"receive"' in wire
    assert '"route":"/webhooks/zendesk"' in wire
    assert '"release":"billing-desk@1"' in wire
    leaks = [name for name, value in CANARIES.items() if value in wire or quote(value) in wire]
    assert leaks == []
    assert socket.gethostname() not in wire
    for word in ("vars", "context_line", "breadcrumbs", "contexts", '"request"', '"user"', '"extra"', "transaction"):
        assert word not in wire, word


def test_no_canary_reaches_the_log_when_a_request_fails(stream: io.StringIO) -> None:
    set_up(stream)
    post_a_ticket()
    written = stream.getvalue()
    assert written
    assert [name for name, value in CANARIES.items() if value in written] == []
    failed = next(line for line in lines(stream) if line.get("exception") == "ValueError")
    assert any(".receive:" in place for place in failed["places"])


def test_our_trace_headers_are_not_sent_to_anybody(stream: io.StringIO) -> None:
    set_up(stream, sentry_dsn="https://key@sentry.invalid/1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        heads: list[bytes] = []

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                heads.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with requests.Session() as session:
            session.get(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout=2)
        thread.join()
    assert b"sentry-trace" not in heads[0]
    assert b"baggage" not in heads[0]


def test_transactions_are_not_sent(stream: io.StringIO) -> None:
    set_up(stream, sentry_dsn="https://key@sentry.invalid/1")
    with sentry_sdk.start_transaction(name=CANARIES["email"], sampled=True):
        pass
    sentry_sdk.flush()
    assert Captured.sent == []


def test_an_event_that_is_all_canaries_comes_out_empty() -> None:
    poison = CANARIES["email"]
    event = {
        "event_id": "0" * 32,
        "level": poison,
        "logger": poison,
        "release": poison,
        "transaction": poison,
        "server_name": poison,
        "message": poison,
        "logentry": {"message": poison},
        "request": {"url": poison},
        "tags": {"reference": poison, poison: poison},
        "exception": {
            "values": [
                {
                    "type": poison,
                    "value": poison,
                    "module": poison,
                    "stacktrace": {"frames": [{"module": poison, "function": poison, "filename": poison, "vars": {}}]},
                }
            ]
        },
    }
    assert poison not in json.dumps(allowed_event(event, {}))


def test_our_own_error_is_reported_with_its_code_and_service(stream: io.StringIO) -> None:
    set_up(stream, sentry_dsn="https://key@sentry.invalid/1")
    try:
        raise Forbidden(service="stripe", method="GET", path="/v1/charges", status=403, code="no_access")
    except Forbidden:
        logging.getLogger("zendesk.enrichment").exception("enrichment_failed", extra={"ticket_id": 5})
    sentry_sdk.flush()
    wire = "\n".join(Captured.sent)
    assert '"code":"no_access"' in wire
    assert '"service":"stripe"' in wire
    line = lines(stream)[0]
    assert (line["exception"], line["service"], line["status"], line["path"]) == (
        "Forbidden",
        "stripe",
        403,
        "/v1/charges",
    )


def test_a_log_line_holds_the_event_and_allowed_keys_only(stream: io.StringIO) -> None:
    set_up(stream)
    extra = {
        "ticket_id": 5,
        "bucket": "team_seats",
        "email": CANARIES["email"],
        "state": "a sentence of the customer",
        "object_id": CANARIES["key"],
        "reference": "4242 4242 4242 4242",
        "operation": CANARIES["card"],
        "parts": ["charges", CANARIES["email"]],
        "kind": {"a": "mapping"},
    }
    logging.getLogger("zendesk.enrichment").info("ticket_enriched", extra=extra)
    line = lines(stream)[0]
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "zendesk.enrichment",
        "event": "ticket_enriched",
        "ticket_id": 5,
        "bucket": "team_seats",
        "parts": ["charges"],
    }


def test_a_message_that_is_not_a_constant_event_is_told_by_its_place(stream: io.StringIO) -> None:
    set_up(stream)
    logging.getLogger("zendesk.webhook").info("mail from %s", CANARIES["email"])
    logging.getLogger("vendor").warning("secret_word_of_a_vendor")
    assert all(line["event"].startswith("message_from_test_telemetry_") for line in lines(stream))
    assert len(lines(stream)) == 2


def test_the_text_format_says_the_same_on_one_line(stream: io.StringIO) -> None:
    set_up(stream, log_format="text")
    logging.getLogger("integrations.http").warning("call_failed", extra={"service": "stripe", "email": "x@y.z"})
    assert stream.getvalue().endswith(" warning integrations.http call_failed service=stripe\n")


def test_configuring_again_does_not_double_the_lines(stream: io.StringIO) -> None:
    set_up(stream, log_format="text")
    set_up(stream)
    logging.getLogger("app").info("started_up")
    assert len(stream.getvalue().splitlines()) == 1


def test_below_the_level_nothing_is_written(stream: io.StringIO) -> None:
    set_up(stream, log_level="warning")
    logging.getLogger("app").info("started_up")
    assert stream.getvalue() == ""


def test_stripe_and_urllib3_cannot_log_addresses(stream: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"STRIPE_LOG": "debug"}
    configure(Settings(log_level="debug"), stream=stream, environment=environment)
    logging.getLogger("stripe").warning("message of https://api.stripe.com/?email=jane")
    logging.getLogger("stripe").info("request of jane")
    logging.getLogger("urllib3.connectionpool").debug("GET /search?query=jane")
    assert environment == {}
    assert "jane" not in stream.getvalue()
    assert capsys.readouterr().err == ""
    assert logging.getLogger("stripe").level == logging.WARNING
    assert logging.getLogger("stripe").propagate is False


def test_without_a_dsn_nothing_is_reported(stream: io.StringIO) -> None:
    set_up(stream)
    sentry_sdk.capture_message("something_happened")
    sentry_sdk.flush()
    assert Captured.sent == []
