"""Does a closed issue reach the tickets behind it: signed, once, with a draft, and never as a reply of its own?"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from integrations.store import database
from integrations.store.tables import gap_news, gap_ticket
from integrations.twins.github_account import Delivery
from testkit.indoors import Indoors, indoors
from testkit.rig import REPOSITORY
from testkit.worlds import duplicate
from zendesk.applying import Applying
from zendesk.gap_letters import BODY, GREETING, letter, promises
from zendesk.gap_news import GapNews
from zendesk.gaps import GapFiling

SECRETS = ("new-secret-" + "n" * 10, "old-secret-" + "o" * 10)
NOWHERE = "http://127.0.0.1:9/webhooks/github"
QUICK = '[refunds]\nhold_seconds = 0\n[brand]\nsign_off = "The Acme team"\n'
HOUR = timedelta(hours=1)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path, policy=QUICK, github_webhook_secrets=SECRETS) as made:
        yield made


def filed(desk: Indoors, number: int = 1, **follow_up: Any) -> int:
    """A ticket whose gap stands on GitHub; its id."""
    rig: Any = desk
    known = [one for one in desk.stripe.state()["prices"] if one["unit_amount"] == 2900]
    if not known:
        desk.world.portal_configuration()
    price = known[0] if known else desk.world.price(desk.world.product("Pro"), 2900)
    seeded = duplicate(rig, price, number)
    card = desk.card(seeded.ticket)
    body = {
        "plan_digest": card["plan"]["digest"], "steps": [step["id"] for step in card["plan"]["steps"]],
        "follow_up": {"body": card["follow_up"]["body"], "deliver": "draft"} | follow_up, "file_issue": True,
    }  # fmt: skip
    approval = str(desk.post(f"/api/tickets/{seeded.ticket}/approvals", body).get_json()["approval_id"])
    applying = Applying(desk.product.desk)
    while applying.turn(approval) is not None:
        pass
    handler = GapFiling(desk.product.desk)
    for job in [one for one in desk.jobs() if one.startswith("gap:")]:
        while (wait := handler.turn(job.removeprefix("gap:"))) is not None:
            desk.clock.advance(timedelta(seconds=wait))
    return seeded.ticket


def delivery(desk: Indoors, action: str = "closed", **how: Any) -> Delivery:
    secret = how.pop("secret", SECRETS[0])
    return desk.github.deliver(NOWHERE, secret, repository=REPOSITORY, number=1, action=action, **how)


def send(desk: Indoors, made: Delivery) -> TestResponse:
    return desk.client.post("/webhooks/github", data=made.body, headers=made.headers)


def work(desk: Indoors) -> list[float]:
    """Run every look that was asked for; the waits."""
    handler, waits = GapFiling(desk.product.desk), list[float]()
    for job in [one for one in desk.jobs() if one.startswith("issue:")]:
        argument = ":".join(job.split(":")[:2])
        for _ in range(5):
            wait = handler.turn(argument)
            if wait is None:
                break
            waits.append(wait)
            desk.clock.advance(timedelta(seconds=wait))
    return waits


def close(desk: Indoors, reason: str = "completed") -> None:
    desk.clock.advance(HOUR)
    desk.github.close_issue(REPOSITORY, 1, reason=reason)
    desk.clock.advance(HOUR)


def reopen(desk: Indoors) -> None:
    desk.github.reopen_issue(REPOSITORY, 1)
    desk.clock.advance(HOUR)


def ticket(desk: Indoors, ticket_id: int) -> dict[str, Any]:
    return dict(next(one for one in desk.zendesk.state()["tickets"] if one["id"] == ticket_id))


def notes(desk: Indoors, ticket_id: int) -> list[dict[str, Any]]:
    def stage(one: dict[str, Any]) -> str:
        return str(((one["metadata"].get("custom") or {}).get("billing_desk") or {}).get("stage"))

    return [one for one in ticket(desk, ticket_id)["comments"] if stage(one) == "gap_news"]


def draft(desk: Indoors, ticket_id: int) -> dict[str, Any] | None:
    found = desk.get(f"/api/tickets/{ticket_id}/card").get_json()["news"]
    return dict(found) if found else None


# --- the webhook ------------------------------------------------------------------------------------------------------


def test_a_delivery_is_accepted_once_and_then_known(desk: Indoors) -> None:
    filed(desk)
    made = delivery(desk)
    answers = [send(desk, made) for _ in range(5)]
    assert [one.status_code for one in answers] == [202, 200, 200, 200, 200]
    assert len([one for one in desk.deliveries() if one.source == "github"]) == 1
    assert len([one for one in desk.jobs() if one.startswith("issue:")]) == 1


def test_an_older_secret_is_good_while_they_are_rotated(desk: Indoors) -> None:
    filed(desk)
    assert send(desk, delivery(desk, secret=SECRETS[1])).status_code == 202
    assert send(desk, delivery(desk, secret="another")).status_code == 401


@pytest.mark.parametrize("tamper", ["body", "signature", "without X-Hub-Signature-256"])
def test_what_was_changed_on_the_way_is_refused(desk: Indoors, tamper: str) -> None:
    answer = send(desk, delivery_without_issue(desk, tamper))
    assert answer.status_code == 401
    assert answer.get_json()["error"]["code"] == "unauthorized"


def delivery_without_issue(desk: Indoors, tamper: str) -> Delivery:
    desk.github.add_issue(REPOSITORY, "anything")
    return delivery(desk, tamper=tamper)


@pytest.mark.parametrize(
    "signature", ["", "sha256=", "sha256=00", "sha1=" + "0" * 40, "sha256=" + "0" * 63, "sha256=" + "é" * 64, "0" * 64]
)
def test_a_short_or_odd_signature_is_refused_and_never_an_error(desk: Indoors, signature: str) -> None:
    headers = {"X-Hub-Signature-256": signature, "X-GitHub-Event": "ping", "X-GitHub-Delivery": "a-1"}
    assert desk.client.post("/webhooks/github", data=b"{}", headers=headers).status_code == 401


def signed(desk: Indoors, body: bytes, event: str = "issues", key: str = "a-1") -> TestResponse:
    proof = "sha256=" + hmac.new(SECRETS[0].encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": proof, "X-GitHub-Event": event, "X-GitHub-Delivery": key}
    return desk.client.post("/webhooks/github", data=body, headers=headers)


def test_the_header_may_not_come_twice(desk: Indoors) -> None:
    proof = "sha256=" + hmac.new(SECRETS[0].encode(), b"{}", hashlib.sha256).hexdigest()
    headers = [("X-Hub-Signature-256", proof), ("X-Hub-Signature-256", proof), ("X-GitHub-Event", "ping")]
    assert desk.client.post("/webhooks/github", data=b"{}", headers=headers).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"nonsense",
        b"\xff",
        b"[" * 100_000,
        b'{"action": "closed"}',
        b'{"action": 1, "issue": {"number": "1"}}',
    ],
)
def test_what_is_no_event_is_a_bad_request(desk: Indoors, body: bytes) -> None:
    assert signed(desk, body).status_code == 400


def test_a_delivery_without_an_id_is_a_bad_request(desk: Indoors) -> None:
    assert signed(desk, b'{"zen": "x"}', "ping", key="").status_code == 400


def test_ping_is_answered_and_other_events_are_left_alone(desk: Indoors) -> None:
    filed(desk)
    assert signed(desk, b'{"zen": "x"}', "ping").get_json() == {"status": "ignored", "reason": "ping"}
    assert signed(desk, b"{}", "push").get_json() == {"status": "ignored", "reason": "other_event"}
    for action, number, reason in (("pinned", 1, "other_action"), ("closed", 99, "not_our_issue")):
        body = {"action": action, "issue": {"number": number}, "repository": {"full_name": REPOSITORY}}
        answer = signed(desk, json.dumps(body).encode())
        assert (answer.status_code, answer.get_json()["reason"]) == (200, reason)
    assert [one for one in desk.jobs() if one.startswith("issue:")] == []


def test_without_a_secret_there_is_nothing_at_the_address(tmp_path: Path) -> None:
    with indoors(tmp_path) as desk:
        assert signed(desk, b"{}").status_code == 404


def test_a_store_that_cannot_take_it_says_when_to_come_again(desk: Indoors) -> None:
    filed(desk)
    with desk.product.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE delivery"))
    answer = send(desk, delivery(desk))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")


# --- the tickets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "outcome"), [("completed", "fixed"), ("not_planned", "not_planned"), ("duplicate", "duplicate")]
)
def test_each_close_reason_five_times_leaves_one_note_and_one_draft_a_ticket(
    desk: Indoors, reason: str, outcome: str
) -> None:
    ticket_id = filed(desk)
    public = [one["id"] for one in ticket(desk, ticket_id)["comments"] if one["public"]]
    close(desk, reason)
    made = delivery(desk)
    for _ in range(5):
        send(desk, made)
        work(desk)
    (note,) = notes(desk, ticket_id)
    assert note["public"] is False
    assert ("gap_fixed" in ticket(desk, ticket_id)["tags"]) is (reason == "completed")
    found = draft(desk, ticket_id)
    assert found is not None
    assert (found["outcome"], found["issue"]["number"]) == (outcome, 1)
    assert BODY[outcome]["en"] in found["body"]
    assert found["body"].endswith("The Acme team")
    assert [one["id"] for one in ticket(desk, ticket_id)["comments"] if one["public"]] == public


def test_closed_and_opened_out_of_order_ends_as_the_issue_is(desk: Indoors) -> None:
    ticket_id = filed(desk)
    close(desk)
    early = delivery(desk)
    send(desk, early)
    work(desk)
    assert draft(desk, ticket_id) is not None
    reopen(desk)
    late = delivery(desk, "reopened")
    for made in (late, early, late, delivery(desk, "closed"), late):
        send(desk, made)
        work(desk)
    assert draft(desk, ticket_id) is None
    assert len(notes(desk, ticket_id)) == 2
    assert "gap_fixed" not in ticket(desk, ticket_id)["tags"]


def test_a_closing_that_was_taken_back_before_anybody_heard_is_never_told(desk: Indoors) -> None:
    ticket_id = filed(desk)
    close(desk)
    reopen(desk)
    send(desk, delivery(desk))
    work(desk)
    assert notes(desk, ticket_id) == []
    assert draft(desk, ticket_id) is None


@pytest.mark.parametrize(
    ("status", "promised", "touched", "drafted"),
    [
        ("open", False, True, True),
        ("solved", False, False, True),
        ("solved", True, True, True),
        ("closed", True, False, False),
    ],
)
def test_a_solved_ticket_is_touched_only_after_a_promise_and_a_closed_one_never(
    desk: Indoors, status: str, promised: bool, touched: bool, drafted: bool
) -> None:
    words: dict[str, Any] = (
        {"body": "We fixed your bill and will let you know when the cause is gone."} if promised else {}
    )
    ticket_id = filed(desk, **words)
    held = next(one for one in desk.zendesk.desk.tickets.values() if one["id"] == ticket_id)
    held["status"] = status
    before = ticket(desk, ticket_id)
    close(desk)
    send(desk, delivery(desk))
    work(desk)
    assert len(notes(desk, ticket_id)) == int(touched)
    assert (draft(desk, ticket_id) is not None) is drafted
    after = ticket(desk, ticket_id)
    assert after["status"] == ("open" if touched else status)
    if not touched:
        assert after["updated_at"] == before["updated_at"]


def test_a_lost_answer_of_zendesk_leaves_one_note(desk: Indoors) -> None:
    ticket_id = filed(desk)
    close(desk)
    send(desk, delivery(desk))
    desk.zendesk.faults.add("reset_after", method="PUT", times=1)
    work(desk)
    work(desk)
    assert len(notes(desk, ticket_id)) == 1
    assert draft(desk, ticket_id) is not None


def test_what_no_delivery_told_the_poll_finds(desk: Indoors) -> None:
    ticket_id = filed(desk)
    close(desk)
    news = GapNews(desk.product.desk)
    for _ in range(3):
        news.poll()
    assert len([one for one in desk.jobs() if one.startswith("issue:")]) == 1
    work(desk)
    assert draft(desk, ticket_id) is not None


def test_github_down_is_tried_again_and_harms_nothing(desk: Indoors) -> None:
    ticket_id = filed(desk)
    close(desk)
    send(desk, delivery(desk))
    desk.github.faults.add("status", times=None, status=503)
    GapNews(desk.product.desk).poll()
    handler = GapFiling(desk.product.desk)
    (job,) = [one for one in desk.jobs() if one.startswith("issue:")]
    assert handler.turn(job.rpartition(":")[0]) == 30.0
    desk.github.faults.clear()
    work(desk)
    assert draft(desk, ticket_id) is not None


def test_what_may_not_be_written_by_itself_is_not_written(tmp_path: Path) -> None:
    policy = QUICK + '[enrichment]\nwrite = ["tags"]\n'
    with indoors(tmp_path, policy=policy, github_webhook_secrets=SECRETS) as desk:
        ticket_id = filed(desk)
        close(desk)
        send(desk, delivery(desk))
        work(desk)
        assert notes(desk, ticket_id) == []
        assert "gap_fixed" in ticket(desk, ticket_id)["tags"]


# --- texts and promises -----------------------------------------------------------------------------------------------


def test_every_language_has_every_text() -> None:
    for texts in BODY.values():
        assert set(texts) == set(GREETING)
    assert letter("fixed", "pt-BR", "")[0] == "pt"
    assert letter("fixed", "xx", "A")[0] == "en"


@pytest.mark.parametrize(
    ("reply", "is_one"),
    [
        ("We'll let you\nknow.", True),
        ("Wir geben Ihnen Bescheid.", True),
        ("Your refund is on its way.", False),
        ("", False),
    ],
)
def test_a_promise_of_news_is_heard(reply: str, is_one: bool) -> None:
    assert promises(reply) is is_one


def test_what_the_ticket_cost_is_the_sum_of_its_receipts(desk: Indoors) -> None:
    ticket_id = filed(desk)
    with desk.product.engine.connect() as connection:
        row = connection.execute(sa.select(gap_ticket).where(gap_ticket.c.ticket_id == ticket_id)).one()
        assert connection.execute(sa.select(gap_news)).all() == []
    assert row.refunded == {"usd": sum(one["amount"] for one in desk.stripe.refunds())}
    assert (row.charges, row.plan, row.every) == (1, "Pro", "month")
    assert row.seconds is not None
    database.check_schema(desk.product.engine)
