"""What does Stripe's webhook start? Another look at what an event names, once, and never anything that it says."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from click.testing import CliRunner
from werkzeug.test import TestResponse

from integrations.store import approvals, erasing
from integrations.twins.stripe_twin import DEFAULT_KEY
from testkit.indoors import Indoors, indoors
from testkit.rig import STRIPE_SECRET
from testkit.worlds import Duplicate, duplicate
from zendesk.applying import Applying
from zendesk.commands import replay
from zendesk.enrichment import Enriching

QUICK = "[refunds]\nhold_seconds = 0\n"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path, policy=QUICK) as made:
        made.stripe.webhooks.secret, made.stripe.webhooks.holding = STRIPE_SECRET, True
        yield made


@pytest.fixture
def seeded(desk: Indoors) -> Duplicate:
    rig: Any = desk
    desk.world.portal_configuration()
    return duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900))


def outsider(desk: Indoors, path: str, **params: str) -> None:
    """Somebody else changes something at Stripe, with another key and no key of ours."""
    headers = {"Authorization": f"Bearer {DEFAULT_KEY}"}
    requests.post(desk.stripe.url + path, data=params, headers=headers, timeout=5).raise_for_status()


def arrive(desk: Indoors) -> list[TestResponse]:
    """Deliver what the twin holds, in the order in which it came about."""
    held, desk.stripe.webhooks.held = desk.stripe.webhooks.held, []
    return [post(desk, body, signature) for body, signature in held]


def post(desk: Indoors, body: bytes, signature: str | None) -> TestResponse:
    headers = {"Content-Type": "application/json"} | ({"Stripe-Signature": signature} if signature is not None else {})
    return desk.client.post("/webhooks/stripe", data=body, headers=headers)


def signed(desk: Indoors, body: bytes, secret: str = STRIPE_SECRET, ago: float = 0) -> str:
    stamp = int(desk.clock().timestamp() - ago)
    return f"t={stamp},v1={hmac.new(secret.encode(), f'{stamp}.'.encode() + body, hashlib.sha256).hexdigest()}"


def event(number: int = 1, **changes: Any) -> bytes:
    document = {
        "id": f"evt_{number}", "object": "event", "type": "customer.updated", "livemode": False,
        "request": {"id": None, "idempotency_key": None}, "data": {"object": {"id": "cus_1", "object": "customer"}},
    }  # fmt: skip
    return json.dumps(document | changes).encode()


def readings(desk: Indoors) -> list[str]:
    return [job for job in desk.jobs() if ":stripe" in job]


def outcome(answer: TestResponse) -> tuple[int, str | None]:
    return answer.status_code, answer.get_json().get("reason") or answer.get_json().get("status")


# --- who may speak --------------------------------------------------------------------------------------------------


SPOILT = [
    None, "", "t=1", "v1=" + "0" * 64, "t=NOW,v1=" + "0" * 64, "t=NOW,v0=RIGHT", "t=STALE,v1=STALE_RIGHT",
    "t=FUTURE,v1=FUTURE_RIGHT", "t=NOW,t=NOW,v1=RIGHT", "t=٣,v1=RIGHT", "t=-1,v1=RIGHT", "t=NOW,v1=" + "é" * 64,
    "t=NOW,v1=RIGHT," + "v1=0," * 2000,
]  # fmt: skip


def test_a_missing_wrong_stale_or_odd_signature_is_refused(desk: Indoors) -> None:
    body = event()
    for header in SPOILT:
        for name, ago in (("STALE", 301.0), ("FUTURE", -302.0), ("", 0.0)):
            stamp, _, right = signed(desk, body, ago=ago).partition(",v1=")
            if header is not None:
                header = header.replace(f"{name}_RIGHT" if name else "RIGHT", right)
                header = header.replace(name or "NOW", stamp.removeprefix("t="))
        encoded = header.encode().decode("latin-1") if header is not None else None
        answer = post(desk, body, encoded)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (401, "unauthorized"), header
    assert desk.deliveries() == []
    assert post(desk, body, signed(desk, body, ago=299)).status_code == 202


def test_while_a_secret_is_changed_either_is_good_and_so_is_one_right_signature_of_several(tmp_path: Path) -> None:
    with indoors(tmp_path, stripe_webhook_secrets=("whsec_new", STRIPE_SECRET)) as desk:
        for number, secret in enumerate(("whsec_new", STRIPE_SECRET)):
            body = event(number)
            assert post(desk, body, signed(desk, body, secret)).status_code == 202
        body = event(7)
        assert (
            post(desk, body, signed(desk, body, "other") + "," + signed(desk, body).partition(",")[2]).status_code
            == 202
        )
        assert post(desk, body, signed(desk, body, "")).status_code == 401


def test_a_doubled_signature_header_is_refused(desk: Indoors) -> None:
    right = signed(desk, event())
    headers = [("Stripe-Signature", right), ("Stripe-Signature", right)]
    assert desk.client.post("/webhooks/stripe", data=event(), headers=headers).status_code == 401


def test_without_a_secret_there_is_no_such_address(tmp_path: Path) -> None:
    with indoors(tmp_path, stripe_webhook_secrets=()) as desk:
        assert post(desk, event(), signed(desk, event())).status_code == 404


def test_what_is_no_event_is_refused_and_not_kept(desk: Indoors) -> None:
    for body in (
        b"", b"{", b"[]", b"null", b"[" * 100_000, b"\xff", event(id="evt_\n"), event(id=5), event(object="customer"),
        event(livemode="true"), event(data=None), event(data={"object": []}), event(type=""), event(request="x"),
    ):  # fmt: skip
        assert post(desk, body, signed(desk, body)).status_code == 400, body[:80]
    assert desk.deliveries() == []


def test_a_body_that_is_too_large_is_refused(desk: Indoors) -> None:
    body = event(padding="x" * 1024 * 1024)
    assert post(desk, body, signed(desk, body)).status_code == 413


# --- once -----------------------------------------------------------------------------------------------------------


def test_a_delivery_counts_once_and_keeps_nothing_of_what_it_says(desk: Indoors) -> None:
    body = event(data={"object": {"id": "cus_1", "email": "maya@acme.example", "name": "Maya"}})
    assert outcome(post(desk, body, signed(desk, body))) == (202, "nobody_asks")
    assert outcome(post(desk, body, signed(desk, body))) == (200, "already_seen")
    (kept,) = desk.deliveries()
    assert (kept.source, kept.key, kept.body) == ("stripe", "evt_1", {"type": "customer.updated", "names": ["cus_1"]})
    assert "maya" not in repr(kept).lower()


def test_when_the_store_cannot_take_it_stripe_is_asked_to_come_again(desk: Indoors) -> None:
    with desk.product.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE delivery RENAME TO away"))
    answer = post(desk, event(), signed(desk, event()))
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (503, "store_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    with desk.product.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO delivery"))
    assert post(desk, event(), signed(desk, event())).status_code == 202


@pytest.mark.parametrize(
    ("changes", "reason"), [({"livemode": True}, "other_mode"), ({"account": "acct_9"}, "connected_account")]
)
def test_events_of_another_mode_or_account_are_ignored_with_the_reason(
    desk: Indoors, seeded: Duplicate, changes: dict[str, Any], reason: str
) -> None:
    desk.card(seeded.ticket)
    body = event(data={"object": {"id": seeded.customer}}, **changes)
    assert outcome(post(desk, body, signed(desk, body))) == (202, reason)
    assert desk.deliveries()[-1].state == "ignored"
    assert readings(desk) == []


# --- what it starts -------------------------------------------------------------------------------------------------


def test_an_outside_refund_has_the_card_read_again_and_its_old_plan_can_no_longer_be_approved(
    desk: Indoors, seeded: Duplicate
) -> None:
    card = desk.card(seeded.ticket)
    outsider(desk, "/v1/refunds", charge=seeded.charge)
    assert {answer.status_code for answer in arrive(desk)} == {202}
    (job,) = readings(desk)
    Enriching(desk.product.desk).turn(job.removeprefix("enrich:"))
    fresh = desk.get(f"/api/tickets/{seeded.ticket}/card").get_json()
    assert fresh["plan"]["digest"] != card["plan"]["digest"]
    follow_up = {"body": "Hello", "deliver": "none"}
    steps = [step["id"] for step in card["plan"]["steps"]]
    old = {"plan_digest": card["plan"]["digest"], "steps": steps, "follow_up": follow_up, "file_issue": False}
    answer = desk.post(f"/api/tickets/{seeded.ticket}/approvals", old)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (409, "plan_changed")
    assert answer.get_json()["card"]["plan"]["digest"] == fresh["plan"]["digest"]


def test_what_names_the_customer_or_a_charge_of_the_card_finds_it(desk: Indoors, seeded: Duplicate) -> None:
    desk.card(seeded.ticket)
    named: tuple[dict[str, Any], ...] = (
        {"customer": seeded.customer}, {"customer": {"id": seeded.customer}}, {"charge": seeded.charge},
    )  # fmt: skip
    for number, changed in enumerate(named):
        body = event(number, type="charge.dispute.created", data={"object": {"id": "du_9", **changed}})
        assert outcome(post(desk, body, signed(desk, body))) == (202, "accepted")
        desk.clock.advance(timedelta(seconds=16))
    assert len(readings(desk)) == 3


def test_odd_names_find_nothing(desk: Indoors) -> None:
    odd: list[Any] = [5, None, [], {"id": 5}, "cus_' or 1=1", "x" * 10_000, "cus_" + "a" * 10_000]
    for number, name in enumerate(odd):
        body = event(number, data={"object": {"id": name, "customer": name, "charge": name, "metadata": name}})
        assert outcome(post(desk, body, signed(desk, body))) == (202, "nobody_asks")


def test_a_storm_of_changes_twice_delivered_in_any_order_is_one_reading_in_a_while(
    desk: Indoors, seeded: Duplicate
) -> None:
    desk.card(seeded.ticket)
    desk.stripe.webhooks.copies = 2
    for number in range(6):
        outsider(desk, f"/v1/subscriptions/{seeded.kept}", description=f"note {number}")
    desk.stripe.webhooks.held.reverse()
    told = [outcome(answer)[1] for answer in arrive(desk)]
    assert told.count("accepted") == told.count("already_seen") == 6
    assert len(readings(desk)) == 1
    desk.clock.advance(timedelta(seconds=16))
    outsider(desk, f"/v1/subscriptions/{seeded.kept}", description="later")
    arrive(desk)
    assert len(readings(desk)) == 2


def test_an_approval_that_has_not_begun_looks_again_before_its_first_write(desk: Indoors, seeded: Duplicate) -> None:
    approval_id = approve(desk, seeded)
    outsider(desk, "/v1/refunds", charge=seeded.charge)
    arrive(desk)
    run(desk, approval_id)
    with desk.product.engine.connect() as connection:
        found = approvals.read(connection, approval_id)
    assert found is not None
    assert (found.state, found.reason) == ("stopped", "plan_changed")
    assert len(desk.stripe.refunds()) == 1


def test_our_own_writes_start_nothing(desk: Indoors, seeded: Duplicate) -> None:
    run(desk, approve(desk, seeded))
    answers = [outcome(answer) for answer in arrive(desk)]
    assert len(answers) >= 3
    assert set(answers) == {(202, "our_own_change")}
    assert readings(desk) == []


def test_an_old_mark_of_ours_does_not_hide_what_somebody_else_changes_later(desk: Indoors, seeded: Duplicate) -> None:
    run(desk, approve(desk, seeded))
    arrive(desk)
    outsider(desk, f"/v1/subscriptions/{seeded.extra}", cancel_at_period_end="false")
    (answer,) = arrive(desk)
    assert "billing_desk_action" in desk.stripe.store.objects[seeded.extra]["metadata"]
    assert outcome(answer) == (202, "accepted")


def test_a_mark_that_came_with_the_change_is_ours_when_stripe_names_no_key(desk: Indoors, seeded: Duplicate) -> None:
    approval_id = approve(desk, seeded)
    with desk.product.engine.connect() as connection:
        action = approvals.actions(connection, approval_id)[0]
    marked = {"id": "sub_1", "customer": seeded.customer, "metadata": {"billing_desk_action": action.id}}
    before = {"metadata": {"billing_desk_action": None}}
    fresh = event(1, type="customer.subscription.updated", data={"object": marked, "previous_attributes": before})
    old = event(2, type="customer.subscription.updated", data={"object": marked, "previous_attributes": {"items": {}}})
    assert outcome(post(desk, fresh, signed(desk, fresh))) == (202, "our_own_change")
    assert outcome(post(desk, old, signed(desk, old))) == (202, "accepted")


def test_a_change_of_our_refund_asks_about_it_now(desk: Indoors, seeded: Duplicate) -> None:
    desk.stripe.store.directives[seeded.charge] = {"next_refunds": [{"status": "pending"}]}
    approval_id = approve(desk, seeded)
    run(desk, approval_id)
    arrive(desk)
    refund = desk.stripe.refunds()[0]["id"]
    desk.stripe.settle_refund(refund, "succeeded")
    (answer,) = arrive(desk)
    assert outcome(answer) == (202, "accepted")
    with desk.product.engine.connect() as connection:
        action = next(one for one in approvals.actions(connection, approval_id) if one.kind == "refund_charge")
    woken = [job for job in desk.jobs() if job.startswith(f"follow:{action.id}:evt_")]
    assert len(woken) == 1


def test_a_stored_delivery_is_handled_again_by_hand(desk: Indoors, seeded: Duplicate) -> None:
    desk.card(seeded.ticket)
    outsider(desk, f"/v1/subscriptions/{seeded.kept}", description="x")
    delivery = arrive(desk)[0].get_json()["delivery_id"]
    desk.clock.advance(timedelta(seconds=16))
    told = CliRunner().invoke(replay, [delivery], obj=lambda: desk.product.desk)
    assert (told.exit_code, told.output) == (0, f"Tickets that are read again: {seeded.ticket}.\n")
    assert len(readings(desk)) == 2


def approve(desk: Indoors, seeded: Duplicate) -> str:
    card = desk.card(seeded.ticket)
    body = {
        "plan_digest": card["plan"]["digest"], "steps": [step["id"] for step in card["plan"]["steps"]],
        "follow_up": {"body": card["follow_up"]["body"], "deliver": "draft"}, "file_issue": False,
    }  # fmt: skip
    return str(desk.post(f"/api/tickets/{seeded.ticket}/approvals", body).get_json()["approval_id"])


def run(desk: Indoors, approval_id: str) -> None:
    applying = Applying(desk.product.desk)
    while applying.turn(approval_id) is not None:
        pass


def test_the_live_key_takes_live_events(tmp_path: Path) -> None:
    with indoors(tmp_path) as desk:
        live = dataclasses.replace(desk.settings, stripe_read_key="rk_live_" + "r" * 20)
        product = dataclasses.replace(desk.product, desk=dataclasses.replace(desk.product.desk, settings=live))
        client = product.web().test_client()
        for number, mode, reason in ((1, True, "nobody_asks"), (2, False, "other_mode")):
            body = event(number, livemode=mode)
            headers = {"Stripe-Signature": signed(desk, body), "Content-Type": "application/json"}
            assert outcome(client.post("/webhooks/stripe", data=body, headers=headers)) == (202, reason)


def test_a_ticket_whose_texts_were_erased_is_not_read_again(desk: Indoors, seeded: Duplicate) -> None:
    desk.card(seeded.ticket)
    with desk.product.engine.begin() as connection:
        erasing.erase(connection, seeded.ticket, desk.clock())
    body = event(data={"object": {"id": seeded.customer}})
    assert outcome(post(desk, body, signed(desk, body))) == (202, "nobody_asks")
    assert readings(desk) == []
