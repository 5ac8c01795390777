"""Does a restored old store take effect twice, forget what moved, or act before it has looked?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import app as product_app
from billing.money import Money
from billing.steps import CreateCreditNote, encode
from integrations.settings import Settings
from integrations.store import approvals, audit, marks
from integrations.store.tables import action as action_table
from testkit.indoors import Indoors, indoors
from testkit.time_travel import backup, restore
from testkit.worlds import Duplicate, duplicate, extra_invoice
from zendesk.applying import Applying
from zendesk.following import Following
from zendesk.restoring import ALIVE, FOUND, WAIT_SECONDS, Restoring
from zendesk.settling import money_moved

QUICK = "[refunds]\nhold_seconds = 0\n"
LATER = timedelta(hours=25)  # Stripe has forgotten the keys by then


@pytest.fixture(params=["sqlite", "postgresql"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Indoors]:
    changes: dict[str, Any] = {}
    if request.param == "postgresql":
        changes["database_url"] = str(request.getfixturevalue("postgres_database"))
        product_app.migrate(Settings(database_url=changes["database_url"]))
    with indoors(tmp_path, policy=QUICK, **changes) as made:
        made.world.portal_configuration()
        yield made


@pytest.fixture
def seeded(desk: Indoors) -> Duplicate:
    rig: Any = desk
    return duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900))


def approve(desk: Indoors, seeded: Duplicate) -> str:
    card = desk.card(seeded.ticket)
    body = {
        "plan_digest": card["plan"]["digest"], "steps": [step["id"] for step in card["plan"]["steps"]],
        "follow_up": {"body": card["follow_up"]["body"], "deliver": "public_reply"}, "file_issue": False,
    }  # fmt: skip
    answer = desk.post(f"/api/tickets/{seeded.ticket}/approvals", body)
    assert answer.status_code == 202, answer.text
    return str(answer.get_json()["approval_id"])


def worker(desk: Indoors) -> Restoring:
    """What a freshly started process has."""
    return Restoring(desk.product.desk, Applying(desk.product.desk).turn)


def run(desk: Indoors, handler: Any, approval_id: str) -> None:
    for _ in range(60):
        again = handler(approval_id)
        if again is None:
            return
        desk.clock.advance(timedelta(seconds=again))
    raise AssertionError("the approval does not end")


def effects(desk: Indoors, ticket_id: int) -> tuple[int, int, int]:
    """Refunds at Stripe; internal notes and public replies of ours on the ticket."""
    ticket = next(one for one in desk.zendesk.state()["tickets"] if one["id"] == ticket_id)
    stages = [(one["metadata"].get("custom") or {}).get("billing_desk", {}).get("stage") for one in ticket["comments"]]
    return len(desk.stripe.state()["refunds"]), stages.count("write_internal_note"), stages.count("public_reply")


def events(desk: Indoors, name: str) -> list[dict[str, Any]]:
    with desk.product.engine.connect() as connection:
        assert audit.first_broken(connection) is None
        return [dict(one.body) for one in audit.entries(connection) if one.event == name]


def test_what_an_old_copy_believes_to_be_unsent_is_not_sent_again(desk: Indoors, seeded: Duplicate) -> None:
    approval_id = approve(desk, seeded)
    kept = backup(desk.product.engine)
    run(desk, Applying(desk.product.desk).turn, approval_id)
    assert effects(desk, seeded.ticket) == (1, 1, 1)

    desk.clock.advance(LATER)
    restore(desk.product.engine, kept)
    run(desk, worker(desk).turn, approval_id)

    assert effects(desk, seeded.ticket) == (1, 1, 1)
    with desk.product.engine.connect() as connection:
        found = approvals.read(connection, approval_id)
        states = {one.kind: one.state for one in approvals.actions(connection, approval_id)}
    assert found is not None
    assert found.state == "done", states
    assert {one["step"] for one in events(desk, FOUND)} >= {"refund_charge", "write_internal_note", "public_reply"}


def test_a_credit_note_of_the_lost_time_is_found_with_its_refund_which_is_then_followed(
    desk: Indoors, seeded: Duplicate
) -> None:
    approval_id = approve(desk, seeded)
    note = CreateCreditNote(invoice=extra_invoice(desk, seeded), amount=Money(2900, "usd"))
    with desk.product.engine.begin() as connection:
        (mine,) = [one.id for one in approvals.actions(connection, approval_id) if one.kind == "refund_charge"]
        values = {"kind": note.kind, "step": encode(note)}
        connection.execute(sa.update(action_table).where(action_table.c.id == mine).values(values))
    kept = backup(desk.product.engine)
    run(desk, Applying(desk.product.desk).turn, approval_id)
    desk.clock.advance(LATER)
    restore(desk.product.engine, kept)
    run(desk, worker(desk).turn, approval_id)

    with desk.product.engine.connect() as connection:
        found = approvals.by_refund(connection, desk.stripe.refunds()[0]["id"])
    assert found is not None
    assert (found.id, found.state, (found.receipt or {})["status"]) == (mine, "done", "pending")
    Following(desk.product.desk).turn(mine)
    with desk.product.engine.connect() as connection:
        assert money_moved(approvals.actions(connection, approval_id)) == {"usd": 2900}
    assert len(desk.stripe.refunds()) == 1


def test_without_looking_first_the_copy_would_not_know_that_the_money_went(desk: Indoors, seeded: Duplicate) -> None:
    """The test above can fail: the handler alone stops at facts that moved, and says that nothing was done."""
    approval_id = approve(desk, seeded)
    kept = backup(desk.product.engine)
    run(desk, Applying(desk.product.desk).turn, approval_id)
    desk.clock.advance(LATER)
    restore(desk.product.engine, kept)
    run(desk, Applying(desk.product.desk).turn, approval_id)
    with desk.product.engine.connect() as connection:
        found = approvals.read(connection, approval_id)
    assert found is not None
    assert found.state == "stopped"


def test_an_approval_that_the_copy_never_saw_is_written_down_counted_and_read_again(
    desk: Indoors, seeded: Duplicate
) -> None:
    desk.card(seeded.ticket)
    worker(desk).beat()
    kept = backup(desk.product.engine)
    approval_id = approve(desk, seeded)
    run(desk, Applying(desk.product.desk).turn, approval_id)
    with desk.product.engine.connect() as connection:
        refund = next(one for one in approvals.actions(connection, approval_id) if one.kind == "refund_charge")

    restore(desk.product.engine, kept)
    asked = desk.stored(seeded.ticket)
    for _ in range(2):  # the second look goes back over the same hour, and writes down nothing twice
        desk.clock.advance(timedelta(minutes=10))
        asked_before = len(desk.stripe.wire)
        worker(desk).beat()
        assert len(desk.stripe.wire) > asked_before

    told = [one for one in events(desk, FOUND) if one["action"] == refund.id]
    assert [(one["object"], one["amount"], one["currency"]) for one in told] == [(seeded.charge, 2900, "usd")]
    with desk.product.engine.connect() as connection:
        since = desk.clock() - timedelta(days=3)
        assert approvals.spent(connection, "usd", since) == 2900
        assert approvals.spent(connection, "usd", since, customer=seeded.customer) in {0, 2900}
        rows = connection.execute(sa.select(action_table.c.id).where(action_table.c.id == refund.id)).all()
    assert len(rows) == 1
    now = desk.stored(seeded.ticket)
    assert asked is not None
    assert now is not None
    assert now.requests > asked.requests
    assert effects(desk, seeded.ticket)[0] == 1


def test_applying_waits_until_stripe_has_answered_once(desk: Indoors, seeded: Duplicate) -> None:
    approval_id = approve(desk, seeded)
    desk.clock.advance(LATER)
    called: list[str] = []
    fresh = Restoring(desk.product.desk, lambda argument: called.append(argument))
    lost = dataclasses.replace(desk.product.desk, reader=_deaf(desk))
    waiting = Restoring(lost, lambda argument: called.append(argument))
    assert waiting.turn(approval_id) == WAIT_SECONDS
    waiting.beat()
    with desk.product.engine.connect() as connection:
        assert marks.read(connection, ALIVE) is None
    assert called == []
    assert fresh.turn(approval_id) is None
    assert called == [approval_id]


def _deaf(desk: Indoors) -> Any:
    from integrations.http import capped_session
    from integrations.stripe_reader import StripeReader

    return StripeReader("rk_test_x", "http://127.0.0.1:9", session=capped_session(total_seconds=0.5, concurrency=1))


def test_a_store_that_was_at_work_a_moment_ago_asks_nothing(desk: Indoors, seeded: Duplicate) -> None:
    approve(desk, seeded)
    worker(desk).beat()
    desk.clock.advance(timedelta(minutes=2))
    asked = len(desk.stripe.wire)
    worker(desk).beat()
    assert len(desk.stripe.wire) == asked
