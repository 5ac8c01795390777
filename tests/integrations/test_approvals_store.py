"""Do claims, receipts and the way from a customer to its tickets work alike on both databases?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from integrations.store import approvals, database
from integrations.store.approvals import Action

NOW = datetime(2026, 11, 22, 10, 2, 11, tzinfo=UTC)
LATER = NOW + timedelta(seconds=60)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    url = f"sqlite:///{tmp_path / 'desk.db'}"
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgres_database"))
    made = database.open_engine(url)
    database.upgrade(made)
    with made.begin() as connection:
        approvals.insert(connection, APPROVAL, [ACTION])
    yield made
    made.dispose()


APPROVAL = {
    "id": "ap_1", "ticket_id": 7, "customer": "cus_1", "digest": "d", "round": 1, "request_hash": "h", "agent_id": 1,
    "agent_name": "Ana", "state": "applying", "plan": {}, "follow_up": {}, "checked_at": NOW, "attempts": 0,
    "reply_state": "waiting", "created_at": NOW,
}  # fmt: skip
ACTION = {
    "id": "ac_1", "approval_id": "ap_1", "step_id": "s1", "position": 0, "kind": "refund_charge", "step": {},
    "key": "k:1", "state": "pending", "amount": 900, "currency": "usd", "agent_id": 1, "customer": "cus_1",
    "attempts": 0, "created_at": NOW, "updated_at": NOW,
}  # fmt: skip


def read(connection: sa.Connection) -> Action:
    (action,) = approvals.actions(connection, "ap_1")
    return action


def test_a_claim_is_taken_once_and_only_its_holder_settles(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        fresh = read(connection)
        assert approvals.claim(connection, fresh, NOW, "a", LATER, ["pending"])
        assert not approvals.claim(connection, fresh, NOW, "b", LATER, ["pending", "sending"])
        claimed = read(connection)
        assert (claimed.state, claimed.claim, claimed.claimed_until, claimed.sent_at) == ("sending", "a", LATER, NOW)
        assert approvals.claim(connection, claimed, LATER, "b", LATER, ["sending"])
        assert read(connection).sent_at == NOW
        assert not approvals.settle_action(connection, "ac_1", NOW, was=["sending"], claim="a", state="refused")
        receipt = {"object": "re_1"}
        assert approvals.settle_action(
            connection, "ac_1", NOW, was=["sending"], claim="b", state="done", receipt=receipt
        )
        assert read(connection).receipt == receipt


def test_only_the_first_state_before_is_kept(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        assert read(connection).before is None
        approvals.remember(connection, "ac_1", {"cancel_at": None})
        approvals.remember(connection, "ac_1", {"cancel_at": 5})
        assert read(connection).before == {"cancel_at": None}


def test_a_refund_leads_to_its_step_and_a_key_to_our_write(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        approvals.change_action(connection, "ac_1", NOW, receipt={"object": "re_1"})
        found = approvals.by_refund(connection, "re_1")
        assert found == replace(read(connection))
        assert approvals.by_refund(connection, "re_2") is None
        assert approvals.sent_with(connection, "k:1")
        assert not approvals.sent_with(connection, "k:2")


def test_an_undo_is_an_action_beside_the_steps(engine: sa.Engine) -> None:
    undo = {**ACTION, "id": "ac_2", "step_id": "undo1-s1", "kind": approvals.UNDO, "key": "k:2", "amount": None}
    with engine.begin() as connection:
        assert approvals.insert_action(connection, undo)
        assert not approvals.insert_action(connection, {**undo, "id": "ac_3", "key": "k:3"})
        assert [one.id for one in approvals.actions(connection, "ap_1")] == ["ac_1"]
        assert [one.id for one in approvals.undos(connection, "ap_1")] == ["ac_2"]
        assert approvals.spent(connection, "usd", NOW) == 900


def test_customers_and_charges_lead_to_the_newest_tickets_that_show_them(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        for number in range(4):
            approvals.show(connection, number, ["cus_1", f"ch_{number}", "x" * 81], NOW + timedelta(hours=number))
        approvals.show(connection, 0, ["cus_1", "ch_9"], NOW + timedelta(days=1))
        approvals.show(connection, 0, [], NOW)
        assert approvals.shown_on(connection, ["cus_1"], NOW, 3) == (3, 2, 1)
        assert approvals.shown_on(connection, ["ch_9", "ch_2"], NOW, 9) == (0, 2)
        assert approvals.shown_on(connection, ["cus_1"], NOW + timedelta(hours=3), 9) == (3,)
        assert approvals.shown_on(connection, ["cus_2"], NOW, 9) == ()


def test_what_waits_to_run_looks_again_after_a_change(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        approvals.forget_checks(connection, 8)
        kept = approvals.read(connection, "ap_1")
        approvals.forget_checks(connection, 7)
        forgotten = approvals.read(connection, "ap_1")
    assert kept is not None
    assert forgotten is not None
    assert (kept.checked_at, forgotten.checked_at) == (NOW, None)
