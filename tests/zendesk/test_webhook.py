"""Is a delivery of Zendesk's durable before it is answered, counted once, and no work when it is not Zendesk's?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from integrations.twins.zendesk_delivery import BUILDER_KEY, Delivery, sign
from testkit.indoors import NOBODY, Indoors, indoors
from testkit.rig import WEBHOOK_SECRET

SIGNATURE = "x-zendesk-webhook-signature"
STAMP = "x-zendesk-webhook-signature-timestamp"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path) as made:
        yield made


@pytest.fixture
def ticket(desk: Indoors) -> int:
    return desk.ticket("maya@acme.example", "Charged twice", "I was charged twice, please refund one.")


def prepared(desk: Indoors, ticket: int, **how: Any) -> Delivery:
    return desk.zendesk.deliver_webhook(ticket, NOBODY, secret=how.pop("secret", WEBHOOK_SECRET), **how)


def signed_headers(desk: Indoors, body: bytes, **more: str) -> dict[str, str]:
    stamp = desk.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
    return {STAMP: stamp, SIGNATURE: sign(WEBHOOK_SECRET, stamp, body), "Content-Type": "application/json"} | more


def no_trace(desk: Indoors, asked: int) -> None:
    assert desk.deliveries() == []
    assert desk.jobs() == []
    assert desk.stored(1) is None
    assert desk.asked() == asked


# --- attacks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["event", "trigger"])
@pytest.mark.parametrize("tamper", ["body", "signature", "timestamp", f"without {SIGNATURE}", f"without {STAMP}"])
def test_a_forged_delivery_is_refused_and_leaves_no_trace(desk: Indoors, ticket: int, kind: str, tamper: str) -> None:
    asked = desk.asked()
    answer = desk.deliver(ticket, kind=kind, tamper=tamper)
    assert answer.status_code == 401
    assert answer.get_json()["error"]["code"] == "unauthorized"
    no_trace(desk, asked)


@pytest.mark.parametrize("secret", [BUILDER_KEY, "another", " " + WEBHOOK_SECRET])
def test_the_signature_of_any_other_secret_is_refused(desk: Indoors, ticket: int, secret: str) -> None:
    made = prepared(desk, ticket, secret=secret)
    assert desk.post_webhook(made.headers, made.body).status_code == 401
    no_trace(desk, 0)


@pytest.mark.parametrize("doubled", [SIGNATURE, STAMP])
@pytest.mark.parametrize("first", [True, False])
def test_doubled_headers_are_refused_whichever_comes_first(
    desk: Indoors, ticket: int, doubled: str, first: bool
) -> None:
    made = prepared(desk, ticket)
    headers = list(made.headers.items())
    headers.insert(0 if first else len(headers), (doubled, "2020-01-01T00:00:00Z"))
    assert desk.post_webhook(headers, made.body).status_code == 401
    no_trace(desk, 0)


@pytest.mark.parametrize(("seconds", "status"), [(300, 202), (301, 401), (-300, 202), (-301, 401)])
def test_the_window_is_five_minutes_to_the_second(desk: Indoors, ticket: int, seconds: int, status: int) -> None:
    made = prepared(desk, ticket)
    desk.clock.advance(timedelta(seconds=seconds))
    assert desk.post_webhook(made.headers, made.body).status_code == status
    assert len(desk.jobs()) == (status == 202)


def test_a_get_is_no_delivery(desk: Indoors) -> None:
    assert desk.client.get("/webhooks/zendesk").status_code == 405


def test_an_attack_is_not_answered_in_detail(desk: Indoors, ticket: int) -> None:
    answers = [
        desk.deliver(ticket, tamper=how).get_json()["error"] for how in ("body", "timestamp", f"without {SIGNATURE}")
    ]
    assert len({answer["message"] for answer in answers}) == 1
    assert WEBHOOK_SECRET not in str(answers)


# --- what is accepted -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["event", "trigger"])
def test_both_kinds_are_stored_and_enqueued_before_the_answer(desk: Indoors, ticket: int, kind: str) -> None:
    answer = desk.deliver(ticket, kind=kind)
    assert answer.status_code == 202
    (row,) = desk.deliveries()
    assert (row.id, row.ticket_id, row.state) == (answer.get_json()["delivery_id"], ticket, "done")
    assert row.body == {"ticket_id": ticket}  # ids only: a subject or a description is never stored
    assert desk.jobs() == [f"enrich:{ticket}:1"]
    stored = desk.stored(ticket)
    assert stored is not None
    assert stored.state == "enriching"


@pytest.mark.parametrize("kind", ["event", "trigger"])
def test_the_same_delivery_again_is_seen_and_makes_no_second_job(desk: Indoors, ticket: int, kind: str) -> None:
    made = prepared(desk, ticket, kind=kind)
    statuses = [desk.post_webhook(made.headers, made.body).status_code for _ in range(3)]
    assert statuses == [202, 200, 200]
    assert len(desk.jobs()) == len(desk.deliveries()) == 1


def test_a_resend_of_the_same_event_under_a_new_invocation_is_still_one(desk: Indoors, ticket: int) -> None:
    first = prepared(desk, ticket)
    desk.clock.advance(timedelta(minutes=6))
    second = prepared(desk, ticket, body=first.body)
    assert first.invocation_id != second.invocation_id
    assert [desk.post_webhook(one.headers, one.body).status_code for one in (second, second)] == [202, 200]
    third = prepared(desk, ticket, body=first.body)
    assert desk.post_webhook(third.headers, third.body).status_code == 200
    assert len(desk.jobs()) == 1


def test_two_events_of_one_ticket_are_two_jobs_in_one_line(desk: Indoors, ticket: int) -> None:
    assert [desk.deliver(ticket).status_code for _ in range(2)] == [202, 202]
    assert desk.jobs() == [f"enrich:{ticket}:1", f"enrich:{ticket}:2"]


def test_two_runs_of_a_trigger_are_told_apart_by_their_invocation(desk: Indoors, ticket: int) -> None:
    for number in ("A", "B", "A"):
        desk.deliver(ticket, kind="trigger", invocation_id=number)
    assert len(desk.jobs()) == 2


def test_a_trigger_without_an_invocation_is_told_by_its_body(desk: Indoors, ticket: int) -> None:
    body = json.dumps({"ticket_id": str(ticket)}).encode()
    headers = signed_headers(desk, body)
    assert [desk.post_webhook(headers, body).status_code for _ in range(2)] == [202, 200]


def test_while_secrets_rotate_deliveries_of_both_are_accepted(tmp_path: Path) -> None:
    with indoors(tmp_path, zendesk_webhook_secrets=("whs-new", WEBHOOK_SECRET)) as desk:
        ticket = desk.ticket("maya@acme.example", "Charged twice", "I was charged twice.")
        for secret in ("whs-new", WEBHOOK_SECRET):
            made = prepared(desk, ticket, secret=secret)
            assert desk.post_webhook(made.headers, made.body).status_code == 202
        made = prepared(desk, ticket, secret="whs-older")
        assert desk.post_webhook(made.headers, made.body).status_code == 401


# --- what makes no sense --------------------------------------------------------------------------------------------

EVENT = {
    "zendesk_event_version": "2022-11-06",
    "id": "01H",
    "type": "zen:event-type:ticket.created",
    "detail": {"id": "1"},
}
SENSELESS: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"ticket_id=1",
    "half of it": b'{"ticket_id": 1',
    "no UTF-8": b'{"ticket_id": "\xff\xfe"}',
    "deep": b"[" * 100_000,
    "deep inside a right body": b'{"ticket_id": 1, "x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "a list": b"[1]",
    "a number": b"1",
    "null": b"null",
    "an empty object": b"{}",
    "another vendor's": b'{"type": "charge.refunded", "data": {"object": {"id": "ch_1"}}}',
    "a huge number": b'{"ticket_id": ' + b"9" * 5000 + b"}",
    "beyond 64 bits": b'{"ticket_id": 9223372036854775808}',
    "beyond 64 bits in letters": b'{"ticket_id": "99999999999999999999"}',
    "infinity": b'{"ticket_id": Infinity}',
    "1e400": b'{"ticket_id": 1e400}',
    "a fraction": b'{"ticket_id": 1.5}',
    "true": b'{"ticket_id": true}',
    "null as id": b'{"ticket_id": null}',
    "zero": b'{"ticket_id": 0}',
    "negative": b'{"ticket_id": "-1"}',
    "an object as id": b'{"ticket_id": {"$gt": 0}}',
    "other digits": '{"ticket_id": "１"}'.encode(),
    "Liquid that was not filled in": b'{"ticket_id": "{{ticket.id}}"}',
    "an event without an id": json.dumps(EVENT | {"id": ""}).encode(),
    "an event whose id is half a letter": json.dumps(EVENT | {"id": "\ud800"}).encode(),
    "an event whose id holds a zero byte": json.dumps(EVENT | {"id": "a\x00b"}).encode(),
    "an event with a list as detail": json.dumps(EVENT | {"detail": []}).encode(),
    "an event without a ticket": json.dumps(EVENT | {"detail": {"subject": "1"}}).encode(),
}


@pytest.mark.parametrize("name", SENSELESS)
def test_a_signed_body_of_no_known_shape_is_a_bad_request(desk: Indoors, name: str) -> None:
    body = SENSELESS[name]
    answer = desk.post_webhook(signed_headers(desk, body), body)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (400, "bad_request")
    no_trace(desk, 0)


def test_a_body_that_is_too_large_is_refused_as_such(desk: Indoors) -> None:
    body = b'{"ticket_id": 1, "x": "' + b"x" * 1024 * 1024 + b'"}'
    answer = desk.post_webhook(signed_headers(desk, body), body)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (413, "too_large")
    no_trace(desk, 0)


def test_a_large_but_allowed_event_is_accepted(desk: Indoors, ticket: int) -> None:
    desk.zendesk.desk.tickets[ticket]["description"] = "long " * 40_000
    assert desk.deliver(ticket).status_code == 202


def test_the_largest_ticket_number_is_a_ticket_number(desk: Indoors) -> None:
    body = b'{"ticket_id": "9223372036854775807"}'
    assert desk.post_webhook(signed_headers(desk, body), body).status_code == 202


# --- a store that cannot --------------------------------------------------------------------------------------------


def test_when_the_store_cannot_take_it_zendesk_is_asked_to_come_again(desk: Indoors, ticket: int) -> None:
    with desk.product.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE delivery RENAME TO away"))
    answer = desk.deliver(ticket)
    assert answer.status_code == 503
    assert 0 < int(answer.headers["Retry-After"]) < 60  # Zendesk comes again only for less than a minute
    assert answer.get_json()["error"]["code"] == "store_unavailable"
    with desk.product.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO delivery"))
    assert desk.jobs() == []
    assert desk.deliver(ticket).status_code == 202


def test_when_the_job_cannot_be_enqueued_the_delivery_is_not_counted_either(desk: Indoors, ticket: int) -> None:
    made = prepared(desk, ticket)
    with desk.product.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE workflow_status RENAME TO away"))
    assert desk.post_webhook(made.headers, made.body).status_code == 503
    assert desk.deliveries() == []
    with desk.product.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO workflow_status"))
    assert desk.post_webhook(made.headers, made.body).status_code == 202
    assert len(desk.jobs()) == len(desk.deliveries()) == 1


# --- a bug of ours --------------------------------------------------------------------------------------------------


def test_a_bug_in_the_decision_ends_in_an_error_card_and_not_in_an_endless_retry(
    desk: Indoors, ticket: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zendesk import desk as desk_module
    from zendesk.enrichment import Enriching

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("maya@acme.example has no divisor")

    monkeypatch.setattr(desk_module, "decide", broken)
    desk.deliver(ticket)
    assert Enriching(desk.product.desk).turn(f"{ticket}:1") is None
    document = desk.get(f"/api/tickets/{ticket}/card").get_json()
    assert document["state"] == "failed"
    assert document["error"]["code"] == "reading_failed"
    assert "divisor" not in json.dumps(document)
    assert desk.stripe_writes() == []
    monkeypatch.undo()
    desk.post(f"/api/tickets/{ticket}/refresh")
    assert desk.get(f"/api/tickets/{ticket}/card").get_json()["state"] != "failed"
