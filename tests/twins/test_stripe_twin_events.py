"""Does the Stripe twin tell of changes as Stripe does: signed, perhaps twice, in any order? Do refunds end later?"""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests

from integrations.twins.stripe_twin import DEFAULT_KEY, StripeTwin, World


@pytest.fixture
def twin() -> Iterator[StripeTwin]:
    with StripeTwin() as running:
        customer = World(running).customer("ann@example.com", "Ann", id="cus_ann")
        ends = {"status": "failed", "failure_reason": "declined", "after": 60}
        World(running).charge(customer, 900, id="ch_one", next_refunds=[{"status": "pending", "ends": ends}])
        yield running
        assert running.crashes == []


@pytest.fixture
def listener() -> Iterator[tuple[str, list[tuple[bytes, str]]]]:
    """Where events are sent, and what came: body and signature."""
    came: list[tuple[bytes, str]] = []

    class Listens(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came.append((body, self.headers["Stripe-Signature"]))
            self.send_response(202)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            return None

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listens)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/webhooks/stripe", came
    server.shutdown()
    thread.join()
    server.server_close()


def refund(twin: StripeTwin, key: str) -> None:
    headers = {"Authorization": f"Bearer {DEFAULT_KEY}", "Idempotency-Key": key}
    requests.post(f"{twin.url}/v1/refunds", data={"charge": "ch_one"}, headers=headers, timeout=5).raise_for_status()


def test_events_are_held_sent_twice_and_in_the_order_that_is_asked_for(
    twin: StripeTwin, listener: tuple[str, list[tuple[bytes, str]]]
) -> None:
    url, came = listener
    twin.webhooks.copies, twin.webhooks.holding = 2, True
    refund(twin, "key-1")
    assert came == []
    kept = [json.loads(body)["type"] for body, _ in twin.webhooks.held]
    assert kept == ["refund.created", "refund.created", "charge.refunded", "charge.refunded"]
    twin.webhooks.url = url
    twin.webhooks.release()
    twin.webhooks.join()
    assert sorted(json.loads(body)["type"] for body, _ in came) == sorted(kept)
    assert len({json.loads(body)["id"] for body, _ in came}) == 2
    assert twin.webhooks.held == []
    for body, signature in came:
        stamp, _, given = signature.partition(",v1=")
        signed = stamp.removeprefix("t=").encode() + b"." + body
        assert given == hmac.new(twin.webhooks.secret.encode(), signed, hashlib.sha256).hexdigest()


def test_an_event_says_which_request_caused_it(twin: StripeTwin) -> None:
    twin.webhooks.holding = True
    refund(twin, "key-1")
    twin.settle_refund(twin.refunds()[0]["id"], "succeeded")
    caused = [json.loads(body)["request"] for body, _ in twin.webhooks.held]
    assert [one and one["idempotency_key"] for one in caused] == ["key-1", "key-1", None]


def test_a_refund_on_its_way_ends_as_its_seed_says_once_the_time_has_come(twin: StripeTwin) -> None:
    refund(twin, "key-1")
    (made,) = twin.refunds()
    url, headers = f"{twin.url}/v1/refunds/{made['id']}", {"Authorization": f"Bearer {DEFAULT_KEY}"}
    assert requests.get(url, headers=headers, timeout=5).json()["status"] == "pending"
    assert twin.store.objects["ch_one"]["amount_refunded"] == 900
    twin.advance(timedelta(seconds=61))
    ended = requests.get(url, headers=headers, timeout=5).json()
    assert (ended["status"], ended["failure_reason"]) == ("failed", "declined")
    assert twin.store.objects["ch_one"]["amount_refunded"] == 0
