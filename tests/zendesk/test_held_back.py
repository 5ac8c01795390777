"""Does a step that our credentials, a reused key or a busy vendor keep back wait, say why, and still run only once?"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result

from integrations.store import approvals, audit, database, erasing
from testkit.stage import Kept, Stage, staged
from testkit.time_travel import backup, restore
from testkit.worlds import Duplicate, duplicate, plan_of
from zendesk.applying import MOST_TRIES, Applying
from zendesk.retention import redact
from zendesk.upkeep_commands import parked

POLICY = "[refunds]\nhold_seconds = 0\n"
REFUSED: dict[str, Any] = {"status": 401, "body": {"error": {"message": "Invalid API Key", "code": "api_key_expired"}}}
FORBIDDEN: dict[str, Any] = {
    "status": 403,
    "body": {"error": {"message": "The key does not have the required permissions"}},
}


class Scene:
    """One approved plan on one stage, gone back to before each test."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        stage.clear()
        rig: Any = stage.desk
        self.seeded: Duplicate = duplicate(rig, plan_of(rig))
        self.approval_id = stage.approve(self.seeded.ticket)
        self._kept: Kept = stage.keep()

    def open(self) -> None:
        self.stage.back_to(self._kept)

    def spoil(self, path: str = "/v1/.*", **fault: Any) -> None:
        for method in ("POST", "DELETE"):
            self.stage.desk.stripe.faults.add("status", method=method, path=path, times=None, **fault)

    def mend(self) -> None:
        for twin in self.stage.twins:
            twin.faults.clear()

    def run(self) -> list[float]:
        return self.stage.run(self.approval_id)

    def states(self) -> dict[str, tuple[str, str | None]]:
        with self.stage.desk.product.engine.connect() as connection:
            found = approvals.actions(connection, self.approval_id)
        return {one.kind: (one.state, one.reason) for one in found}

    def parked(self, *arguments: str) -> Result:
        return CliRunner().invoke(parked, arguments, obj=lambda: self.stage.desk.product.desk)

    def resume(self, kind: str) -> None:
        assert self.parked("resume", self.stage.step(self.approval_id, kind).id).exit_code == 0
        self.run()

    def refunds(self) -> int:
        return len(self.stage.desk.stripe.refunds())

    def sent(self) -> list[Any]:
        wire = self.stage.desk.stripe.wire
        return [one for one in wire if one.method == "POST" and one.target.startswith("/v1/refunds")]

    def spent(self) -> int:
        with self.stage.desk.product.engine.connect() as connection:
            return approvals.spent(connection, "usd", self.stage.desk.clock() - timedelta(days=2))


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with staged(tmp_path_factory.mktemp("held"), policy=POLICY) as stage:
        yield Scene(stage)


@pytest.fixture
def scene(theatre: Scene) -> Iterator[Scene]:
    theatre.open()
    yield theatre
    assert [twin.crashes for twin in theatre.stage.twins] == [[], [], []]
    with theatre.stage.desk.product.engine.connect() as connection:
        assert audit.first_broken(connection) is None


# --- credentials ----------------------------------------------------------------------------------------------------


def test_a_revoked_key_parks_the_whole_plan_and_a_mended_one_runs_it_once(scene: Scene) -> None:
    scene.spoil(**REFUSED)
    assert scene.run() == []
    assert len(scene.stage.desk.stripe_writes()) == 0
    shown = scene.stage.document(scene.approval_id)
    steps = {one["kind"]: one for one in shown["steps"]}
    assert (shown["state"], shown["money_moved"]) == ("needs_person", {})
    assert (steps["schedule_cancellation"]["state"], steps["schedule_cancellation"]["reason"]) == (
        "refused", "unauthorized",
    )  # fmt: skip
    assert "waits until the key is mended" in steps["schedule_cancellation"]["says"]
    assert "the key is mended" in scene.stage.desk.get(f"/api/tickets/{scene.seeded.ticket}/card", html=True).text
    assert (steps["refund_charge"]["state"], steps["write_internal_note"]["state"]) == ("pending", "pending")
    assert scene.spent() == 2900
    assert "billing_desk_parked_steps 1" in scene.stage.desk.client.get("/metrics").text
    assert '"credentials_refused"' in "".join(scene.stage.logs.lines)

    scene.mend()
    scene.resume("schedule_cancellation")
    assert {state for state, _ in scene.states().values()} <= {"done", "sending"}  # GitHub has its own time
    assert scene.stage.approval(scene.approval_id).state == "done"
    assert (scene.refunds(), scene.spent()) == (1, 2900)
    assert scene.stage.notes(scene.seeded.ticket, "write_internal_note") == 1
    assert scene.parked().stdout == "No step waits for a person.\n"


def test_a_missing_permission_parks_only_what_needs_it_and_the_same_key_goes_out_again(scene: Scene) -> None:
    scene.spoil("/v1/refunds", **FORBIDDEN)
    scene.run()
    assert scene.states()["schedule_cancellation"] == ("done", None)
    assert scene.states()["refund_charge"] == ("refused", "not_permitted")
    (one,) = json.loads(scene.parked("--json").stdout)["parked"]
    assert (one["step"], one["amount"], one["reason"]) == ("refund_charge", 2900, "not_permitted")
    assert "then resume it" in one["check"]
    assert scene.spent() == 2900
    scene.resume("refund_charge")  # too early
    assert scene.states()["refund_charge"] == ("refused", "not_permitted")
    scene.mend()
    scene.stage.desk.clock.advance(timedelta(days=3))
    scene.resume("refund_charge")
    assert scene.stage.approval(scene.approval_id).state == "done"
    assert scene.refunds() == 1
    assert len({call.idempotency_key for call in scene.sent()}) == 1


def test_while_a_step_is_parked_nothing_else_is_approved_or_erased_for_the_ticket(scene: Scene) -> None:
    desk, ticket = scene.stage.desk, scene.seeded.ticket
    scene.spoil("/v1/refunds", **FORBIDDEN)
    scene.run()
    desk.post(f"/api/tickets/{ticket}/refresh")
    desk.work()
    stored = desk.stored(ticket)
    assert stored is not None
    assert stored.document is not None
    plan = stored.document["plan"]
    body = scene.stage.body({"plan": plan, "follow_up": {"body": ""}}) | {"file_issue": False}
    answer = desk.post(f"/api/tickets/{ticket}/approvals", body | {"follow_up": {"body": "", "deliver": "none"}})
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (409, "already_approved"), plan
    assert "waits for a person" in answer.get_json()["error"]["message"]
    assert redact(desk.product.desk, ticket, "operator:me") is None
    with desk.product.engine.connect() as connection:
        assert erasing.is_open(connection, ticket)


def test_what_moved_while_the_plan_was_parked_stops_it(scene: Scene) -> None:
    scene.spoil(**REFUSED)
    scene.run()
    scene.mend()
    scene.stage.desk.world.refund(scene.seeded.charge, 2900)
    scene.stage.desk.clock.advance(timedelta(hours=2))
    scene.resume("schedule_cancellation")
    found = scene.stage.approval(scene.approval_id)
    assert (found.state, found.reason) == ("stopped", "plan_changed")
    assert scene.stage.desk.stripe_writes() == []


def test_a_part_that_somebody_gave_back_meanwhile_is_not_given_back_on_top(scene: Scene) -> None:
    scene.spoil("/v1/refunds", **FORBIDDEN)
    scene.run()
    scene.mend()
    scene.stage.desk.clock.advance(timedelta(hours=2))
    scene.stage.desk.world.refund(scene.seeded.charge, 500)
    scene.resume("refund_charge")
    assert scene.states()["refund_charge"] == ("refused", "plan_changed")
    assert [one["amount"] for one in scene.stage.desk.stripe.refunds()] == [500]
    assert scene.stage.approval(scene.approval_id).state == "partly_done"


def test_a_refusal_after_a_lost_answer_proves_nothing_and_looking_later_finds_the_refund(scene: Scene) -> None:
    stripe = scene.stage.desk.stripe
    stripe.faults.add("reset_after", method="POST", path="/v1/refunds", times=1)
    while scene.states()["refund_charge"][0] != "unknown":
        Applying(scene.stage.desk.product.desk).turn(scene.approval_id)
    stripe.faults.add("status", times=None, **REFUSED)  # the key was taken away before we could look
    scene.run()
    assert scene.states()["refund_charge"] == ("unknown", "ask_a_person")
    scene.mend()
    scene.resume("refund_charge")
    assert scene.states()["refund_charge"][0] == "done"
    assert len(scene.sent()) == scene.refunds() == 1


def test_a_resumed_step_of_an_old_copy_is_found_and_not_sent_again(scene: Scene) -> None:
    scene.spoil("/v1/refunds", **FORBIDDEN)
    scene.run()
    kept = backup(scene.stage.desk.product.engine)
    scene.mend()
    scene.resume("refund_charge")
    scene.stage.desk.clock.advance(timedelta(hours=25))
    restore(scene.stage.desk.product.engine, kept)
    scene.resume("refund_charge")
    assert scene.states()["refund_charge"][0] == "done"
    assert scene.refunds() == 1


def test_a_note_that_zendesk_does_not_let_us_write_is_parked_and_written_once_later(scene: Scene) -> None:
    scene.stage.desk.zendesk.faults.add("status", method="PUT", path="/api/v2/tickets/", times=None, **FORBIDDEN)
    scene.run()
    assert scene.states()["write_internal_note"] == ("refused", "zendesk_403")
    found = scene.stage.document(scene.approval_id)
    assert (found["state"], found["money_moved"]) == ("needs_person", {"usd": 2900})
    scene.mend()
    scene.resume("write_internal_note")
    assert scene.stage.approval(scene.approval_id).state == "done"
    assert scene.stage.notes(scene.seeded.ticket, "write_internal_note") == 1


def test_a_person_may_give_a_parked_step_up_and_what_depends_on_it_is_not_done(scene: Scene) -> None:
    scene.spoil(**REFUSED)
    scene.run()
    scene.mend()
    step = scene.stage.step(scene.approval_id, "schedule_cancellation")
    assert scene.parked("settle", step.id, "refused").exit_code == 0
    scene.run()
    assert scene.states()["schedule_cancellation"] == ("refused", "settled_by_operator")
    assert scene.states()["refund_charge"] == ("canceled", "earlier_step_failed")
    assert (scene.stage.desk.stripe_writes(), scene.spent()) == ([], 0)
    assert scene.stage.approval(scene.approval_id).state == "stopped"


# --- a key that was used for something else -------------------------------------------------------------------------


def test_a_reused_key_is_never_tried_again_and_is_told_to_the_operator(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.spoil("/v1/refunds", status=400, body={"error": {"type": "idempotency_error", "message": "Keys …"}})
    with caplog.at_level(logging.ERROR):
        assert scene.run() == []
    assert len(scene.sent()) == 1
    assert scene.states()["refund_charge"] == ("unknown", "idempotency_error")
    assert scene.stage.approval(scene.approval_id).state == "needs_person"
    assert [one.levelname for one in caplog.records if one.message == "idempotency_key_reused"] == ["ERROR"]
    assert scene.parked().exit_code == 4
    assert scene.spent() == 2900


# --- a store that is busy -------------------------------------------------------------------------------------------


def test_a_store_that_stays_locked_is_told_within_the_patience_of_whoever_delivers(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = scene.stage.desk
    with desk.product.engine.connect() as connection:
        patience = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    assert patience == 5000  # milliseconds; Zendesk waits for ten seconds
    monkeypatch.setattr(database, "BUSY_MILLISECONDS", 100)
    desk.product.engine.dispose()
    other = sqlite3.connect(scene.stage.database_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused = desk.deliver(scene.seeded.ticket)
    assert (refused.status_code, int(refused.headers["Retry-After"]) > 0) == (503, True)
    assert desk.get(f"/api/approvals/{scene.approval_id}").status_code == 200
    other.execute("ROLLBACK")
    other.close()
    assert desk.deliver(scene.seeded.ticket).status_code == 202


# --- a vendor that is busy ------------------------------------------------------------------------------------------


def test_a_busy_stripe_is_asked_again_until_it_answers_and_nothing_else_takes_the_place(scene: Scene) -> None:
    scene.stage.desk.stripe.faults.add("rate_limited", method="POST", path="/v1/refunds", times=9)
    waits = scene.run()
    assert waits == [5, 30, 120, 600, 3600, 3600, 3600, 3600, 3600]
    assert scene.stage.approval(scene.approval_id).state == "done"
    assert (scene.refunds(), len({call.idempotency_key for call in scene.sent()})) == (1, 1)


def test_a_stripe_that_is_busy_for_a_day_ends_as_refused_because_nothing_was_done(scene: Scene) -> None:
    scene.stage.desk.stripe.faults.add("rate_limited", method="POST", path="/v1/refunds", times=None)
    waits = scene.run()
    assert 22 * 3600 < sum(waits) < 26 * 3600
    assert (len(scene.sent()), scene.refunds()) == (MOST_TRIES, 0)
    assert scene.states()["refund_charge"] == ("refused", "too_busy")
    shown = scene.stage.document(scene.approval_id)
    assert (shown["state"], shown["money_moved"], scene.spent()) == ("partly_done", {}, 0)
    assert "Nothing was done" in next(one["says"] for one in shown["steps"] if one["kind"] == "refund_charge")
    assert scene.parked().exit_code == 0


def test_busy_answers_cost_an_unknown_outcome_none_of_its_tries(scene: Scene) -> None:
    stripe = scene.stage.desk.stripe
    stripe.faults.add("rate_limited", method="POST", path="/v1/refunds", times=8)
    stripe.faults.add("reset_before", method="POST", path="/v1/refunds", times=2)
    waits = scene.run()
    assert waits[8:] == [5, 30]
    assert (scene.states()["refund_charge"][0], scene.refunds()) == ("done", 1)


def test_what_only_waits_for_a_busy_stripe_can_be_stopped_and_reads_the_facts_again(scene: Scene) -> None:
    desk = scene.stage.desk
    desk.stripe.faults.add("rate_limited", method="POST", path="/v1/subscriptions/.*", times=3)
    applying = Applying(desk.product.desk)
    assert applying.turn(scene.approval_id) == 0
    while (again := applying.turn(scene.approval_id)) == 0:
        pass
    assert again == 5
    desk.world.refund(scene.seeded.charge, 2900)
    desk.clock.advance(timedelta(minutes=2))
    scene.run()
    assert scene.stage.approval(scene.approval_id).reason == "plan_changed"
    assert desk.stripe_writes() == []


def test_a_stop_reaches_a_step_that_waits_for_a_busy_stripe(scene: Scene) -> None:
    desk = scene.stage.desk
    desk.stripe.faults.add("rate_limited", method="POST", path="/v1/refunds", times=None)
    applying = Applying(desk.product.desk)
    while not applying.turn(scene.approval_id):
        pass
    assert desk.post(f"/api/approvals/{scene.approval_id}/cancel").status_code == 202
    scene.run()
    assert scene.states()["refund_charge"] == ("canceled", "stopped_by_agent")
    assert len(scene.sent()) == 1
