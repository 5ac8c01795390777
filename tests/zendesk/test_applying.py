"""Does an approved plan take effect exactly once, step by step, whatever the vendors answer?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from integrations.store import approvals, audit
from integrations.store.approvals import Action, Approval
from integrations.store.tables import action as action_table
from testkit.indoors import Indoors, indoors
from testkit.rig import REPOSITORY
from testkit.worlds import Duplicate, duplicate
from zendesk.applying import Applying
from zendesk.gaps import GapFiling

QUICK = "[refunds]\nhold_seconds = 0\n"
LADDER = [5, 30, 120, 600, 3600, 21600]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path, policy=QUICK) as made:
        yield made


@pytest.fixture
def slow_desk(tmp_path: Path) -> Iterator[Indoors]:
    """With the default hold of ten seconds."""
    with indoors(tmp_path) as made:
        yield made


def seed(desk: Indoors, number: int = 1) -> Duplicate:
    rig: Any = desk
    known = [one for one in desk.stripe.state()["prices"] if one["unit_amount"] == 2900]
    if not known:
        desk.world.portal_configuration()
    return duplicate(rig, known[0] if known else desk.world.price(desk.world.product("Pro"), 2900), number)


def approve(desk: Indoors, seeded: Duplicate, **changes: Any) -> str:
    card = desk.card(seeded.ticket)
    body = {
        "plan_digest": card["plan"]["digest"], "steps": [step["id"] for step in card["plan"]["steps"]],
        "follow_up": {"body": card["follow_up"]["body"], "deliver": "draft"}, "file_issue": True,
    } | changes  # fmt: skip
    answer = desk.post(f"/api/tickets/{seeded.ticket}/approvals", body)
    assert answer.status_code == 202, answer.text
    return str(answer.get_json()["approval_id"])


def run(desk: Indoors, approval_id: str, most: int = 60) -> list[float]:
    """What the engine does: call again after the time the handler asks for. The waits."""
    applying, waits = Applying(desk.product.desk), list[float]()
    for _ in range(most):
        again = applying.turn(approval_id)
        if again is None:
            return waits
        if again > 0:
            waits.append(again)
            desk.clock.advance(timedelta(seconds=again))
    raise AssertionError(f"not ended after {most} turns: {waits}")


def turns_until(desk: Indoors, approval_id: str, kind: str, states: set[str]) -> None:
    applying = Applying(desk.product.desk)
    for _ in range(20):
        if step(desk, approval_id, kind).state in states:
            return
        applying.turn(approval_id)
    raise AssertionError(f"{kind} never came to {states}")


def read(desk: Indoors, approval_id: str) -> Approval:
    with desk.product.engine.connect() as connection:
        found = approvals.read(connection, approval_id)
    assert found is not None
    return found


def step(desk: Indoors, approval_id: str, kind: str) -> Action:
    with desk.product.engine.connect() as connection:
        return next(one for one in approvals.actions(connection, approval_id) if one.kind == kind)


def document(desk: Indoors, approval_id: str) -> dict[str, Any]:
    return dict(desk.get(f"/api/approvals/{approval_id}").get_json())


def refund_calls(desk: Indoors) -> list[Any]:
    return [one for one in desk.stripe.wire if one.method == "POST" and one.target.startswith("/v1/refunds")]


def notes(desk: Indoors, ticket_id: int, stage: str) -> list[dict[str, Any]]:
    ticket = next(one for one in desk.zendesk.state()["tickets"] if one["id"] == ticket_id)
    marks = [(one, (one["metadata"].get("custom") or {}).get("billing_desk") or {}) for one in ticket["comments"]]
    return [one for one, mark in marks if mark.get("stage") == stage]


# --- as planned -----------------------------------------------------------------------------------------------------


def test_every_step_runs_once_in_order_and_leaves_its_receipt(desk: Indoors) -> None:
    seeded = seed(desk)
    approval_id = approve(desk, seeded)
    assert run(desk, approval_id) == []
    assert [line.split("?")[0] for line in desk.stripe_writes()] == [
        f"POST /v1/subscriptions/{seeded.extra}", "POST /v1/refunds",
    ]  # fmt: skip
    found = document(desk, approval_id)
    assert (found["state"], found["money_moved"]) == ("done", {"usd": 2900})
    receipts = {one["kind"]: one["receipt"] for one in found["steps"] if one["receipt"]}
    assert receipts["refund_charge"]["refund"] == desk.stripe.refunds()[0]["id"]
    assert len(notes(desk, seeded.ticket, "write_internal_note")) == 1
    stored = desk.stored(seeded.ticket)
    assert stored is not None
    assert stored.state == "done"
    with desk.product.engine.connect() as connection:
        assert audit.first_broken(connection) is None


def test_the_issue_is_handed_over_when_all_else_has_ended_and_does_not_delay_it(desk: Indoors) -> None:
    approval_id = approve(desk, seed(desk))
    run(desk, approval_id)
    filing = step(desk, approval_id, "file_issue")
    assert filing.state == "sending"
    assert f"gap:{filing.id}" in desk.jobs()
    assert read(desk, approval_id).state == "done"


def test_an_ended_or_unknown_approval_asks_for_no_further_turn(desk: Indoors) -> None:
    approval_id = approve(desk, seed(desk))
    run(desk, approval_id)
    asked = desk.asked()
    assert Applying(desk.product.desk).turn(approval_id) is None
    assert Applying(desk.product.desk).turn("ap_nobody") is None
    assert desk.asked() == asked


def test_an_approved_reply_goes_out_once_with_the_receipts(desk: Indoors) -> None:
    seeded = seed(desk)
    card = desk.card(seeded.ticket)
    follow_up = {"body": card["follow_up"]["body"], "deliver": "public_reply"}
    desk.zendesk.faults.add("reset_after", method="PUT", path="/api/v2/tickets/", times=2)
    approval_id = approve(desk, seeded, follow_up=follow_up)
    run(desk, approval_id)
    sent = notes(desk, seeded.ticket, "public_reply")
    assert len(sent) == 1
    assert sent[0]["public"]
    assert document(desk, approval_id)["reply"]["state"] == "sent"


def test_eight_workers_at_once_still_move_the_money_once(desk: Indoors) -> None:
    approval_id = approve(desk, seed(desk))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: Applying(desk.product.desk).turn(approval_id), range(40)))
    run(desk, approval_id)
    assert len(desk.stripe.refunds()) == 1
    assert len({one.idempotency_key for one in refund_calls(desk)}) == 1
    assert document(desk, approval_id)["money_moved"] == {"usd": 2900}
    assert read(desk, approval_id).state == "done"


# --- answers that do not come ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["reset_after", "html_200", "bad_json", "empty", "truncated", "json_null"])
def test_a_lost_answer_is_looked_up_and_nothing_is_sent_twice(desk: Indoors, kind: str) -> None:
    approval_id = approve(desk, seed(desk))
    desk.stripe.faults.add(kind, method="POST", path="/v1/refunds")
    assert run(desk, approval_id) == [5]
    assert len(refund_calls(desk)) == 1
    assert len(desk.stripe.refunds()) == 1
    assert document(desk, approval_id)["money_moved"] == {"usd": 2900}


@pytest.mark.parametrize("kind", ["reset_before", "html_502"])
def test_a_call_that_never_arrived_is_repeated_with_the_same_key(desk: Indoors, kind: str) -> None:
    approval_id = approve(desk, seed(desk))
    desk.stripe.faults.add(kind, method="POST", path="/v1/refunds", times=2)
    assert run(desk, approval_id) == [5, 30]
    keys = {one.idempotency_key for one in refund_calls(desk)}
    assert len(keys) == 1
    assert len(desk.stripe.refunds()) == 1
    assert read(desk, approval_id).state == "done"


def test_a_500_that_stripe_keeps_replaying_is_seen_through_by_looking(desk: Indoors) -> None:
    approval_id = approve(desk, seed(desk))
    desk.stripe.break_next("/v1/refunds", after_effect=True)
    assert run(desk, approval_id) == [5]
    assert len(desk.stripe.refunds()) == 1
    assert read(desk, approval_id).state == "done"


def test_a_step_that_cannot_be_learned_climbs_the_ladder_and_ends_with_a_person(desk: Indoors) -> None:
    seeded = seed(desk)
    approval_id = approve(desk, seeded)
    desk.stripe.break_next("/v1/refunds", after_effect=False)
    assert run(desk, approval_id) == LADDER
    assert desk.stripe.refunds() == []
    assert len({one.idempotency_key for one in refund_calls(desk)}) == 1
    found = document(desk, approval_id)
    assert (found["state"], found["money_moved"]) == ("needs_person", {})
    refund = next(one for one in found["steps"] if one["kind"] == "refund_charge")
    assert (refund["state"], refund["reason"]) == ("unknown", "ask_a_person")
    stored = desk.stored(seeded.ticket)
    assert stored is not None
    assert stored.state == "needs_human"


def test_an_unknown_step_keeps_a_public_reply_from_going_out(desk: Indoors) -> None:
    seeded = seed(desk)
    approval_id = approve(desk, seeded, follow_up={"body": "Refunded.", "deliver": "public_reply"})
    desk.stripe.break_next("/v1/refunds", after_effect=False)
    run(desk, approval_id)
    reply = step(desk, approval_id, "public_reply")
    assert (reply.state, reply.reason) == ("canceled", "earlier_step_failed")
    assert notes(desk, seeded.ticket, "public_reply") == []


def test_a_crash_between_effect_and_record_repeats_nothing(desk: Indoors) -> None:
    approval_id = approve(desk, seed(desk))
    desk.stripe.faults.add("reset_after", method="POST", path="/v1/refunds")
    turns_until(desk, approval_id, "refund_charge", {"unknown"})
    crashed(desk, approval_id)
    run(desk, approval_id)
    assert len(refund_calls(desk)) == len(desk.stripe.refunds()) == 1


def test_crashes_before_the_call_cost_no_rung_of_the_ladder(desk: Indoors) -> None:
    approval_id = approve(desk, seed(desk))
    for _ in range(20):
        turns_until(desk, approval_id, "refund_charge", {"sending", "done"})
        if step(desk, approval_id, "refund_charge").state == "done":
            break
        crashed(desk, approval_id)
    crashed(desk, approval_id)
    assert step(desk, approval_id, "refund_charge").attempts == 0
    run(desk, approval_id)
    assert len(desk.stripe.refunds()) == 1
    assert read(desk, approval_id).state == "done"


def crashed(desk: Indoors, approval_id: str) -> None:
    """The refund's row as a process leaves it that dies during the call."""
    refund = step(desk, approval_id, "refund_charge")
    values = {"state": "sending", "receipt": None, "reason": None, "sent_at": desk.clock()}
    with desk.product.engine.begin() as connection:
        connection.execute(sa.update(action_table).where(action_table.c.id == refund.id).values(**values))


def test_a_key_that_stripe_may_have_forgotten_is_never_sent_again(desk: Indoors) -> None:
    approval_id = approve(desk, seed(desk))
    desk.stripe.faults.add("reset_before", method="POST", path="/v1/refunds")
    turns_until(desk, approval_id, "refund_charge", {"unknown"})
    desk.clock.advance(timedelta(hours=23, minutes=1))
    run(desk, approval_id)
    assert len(refund_calls(desk)) == 1
    assert desk.stripe.refunds() == []
    assert step(desk, approval_id, "refund_charge").reason == "ask_a_person"


def test_a_note_whose_answer_is_lost_is_on_the_ticket_once(desk: Indoors) -> None:
    seeded = seed(desk)
    approval_id = approve(desk, seeded)
    desk.zendesk.faults.add("reset_after", method="PUT", path="/api/v2/tickets/", times=3)
    run(desk, approval_id)
    assert len(notes(desk, seeded.ticket, "write_internal_note")) == 1
    assert read(desk, approval_id).state == "done"


def test_a_note_is_not_repeated_blindly_while_looking_fails_too(desk: Indoors) -> None:
    seeded = seed(desk)
    approval_id = approve(desk, seeded)
    desk.zendesk.faults.add("reset_after", method="PUT", path="/api/v2/tickets/")
    desk.zendesk.faults.add("reset_before", method="GET", path=r"/api/v2/tickets/\d+/comments.*", times=6)
    run(desk, approval_id)
    assert len(notes(desk, seeded.ticket, "write_internal_note")) == 1


# --- definite answers -----------------------------------------------------------------------------------------------


def test_a_refused_step_stops_what_depends_on_it_and_says_why(desk: Indoors) -> None:
    seeded = seed(desk)
    approval_id = approve(desk, seeded)
    desk.world.refund(seeded.charge, 2900)
    run(desk, approval_id)
    found = document(desk, approval_id)
    assert (found["state"], found["money_moved"]) == ("partly_done", {})
    refund = next(one for one in found["steps"] if one["kind"] == "refund_charge")
    assert (refund["state"], refund["reason"]) == ("refused", "charge_already_refunded")
    assert len(desk.stripe.refunds()) == 1  # somebody else's


def test_a_closed_ticket_takes_no_note_and_the_money_is_still_told(desk: Indoors) -> None:
    seeded = seed(desk)
    approval_id = approve(desk, seeded)
    desk.zendesk.desk.tickets[seeded.ticket]["status"] = "closed"
    run(desk, approval_id)
    note = step(desk, approval_id, "write_internal_note")
    assert (note.state, note.reason) == ("refused", "ticket_closed")
    found = document(desk, approval_id)
    assert (found["state"], found["money_moved"]) == ("partly_done", {"usd": 2900})


def test_without_a_write_key_every_stripe_step_is_refused(desk: Indoors) -> None:
    approval_id = approve(desk, seed(desk))
    bare = dataclasses.replace(desk.product.desk, executor=None)
    while Applying(bare).turn(approval_id) is not None:
        pass
    assert desk.stripe_writes() == []
    assert read(desk, approval_id).state == "stopped"


# --- facts ----------------------------------------------------------------------------------------------------------


def test_facts_that_moved_before_the_worker_came_stop_everything(desk: Indoors) -> None:
    seeded = seed(desk)
    approval_id = approve(desk, seeded)
    desk.world.refund(seeded.charge, 2900)
    desk.clock.advance(timedelta(seconds=61))
    run(desk, approval_id)
    assert desk.stripe_writes() == []
    found = read(desk, approval_id)
    assert (found.state, found.reason) == ("stopped", "plan_changed")
    card = desk.get(f"/api/tickets/{seeded.ticket}/card").get_json()
    assert card["plan"]["digest"] != found.digest
    assert card["approval"] is None


def test_facts_that_stayed_are_read_again_and_the_plan_runs(desk: Indoors) -> None:
    approval_id = approve(desk, seed(desk))
    desk.clock.advance(timedelta(hours=1))
    assert run(desk, approval_id) == []
    assert len(desk.stripe.refunds()) == 1


def test_facts_that_cannot_be_read_are_tried_four_times_and_then_nothing_is_done(desk: Indoors) -> None:
    approval_id = approve(desk, seed(desk))
    desk.clock.advance(timedelta(seconds=61))
    desk.zendesk.faults.add("reset_before", method="GET", times=None)
    assert run(desk, approval_id) == [5, 10, 20]
    assert desk.stripe_writes() == []
    found = read(desk, approval_id)
    assert (found.state, found.reason) == ("stopped", "zendesk_no_answer")


# --- the hold -------------------------------------------------------------------------------------------------------


def test_the_hold_lasts_its_ten_seconds_before_the_first_final_step(slow_desk: Indoors) -> None:
    approval_id = approve(slow_desk, seed(slow_desk))
    begun = slow_desk.clock()
    waits = run(slow_desk, approval_id)
    assert sum(waits) == 10
    refunded = next(one for one in slow_desk.stripe.wire if one.effect and one.target.startswith("/v1/refunds"))
    assert refunded.at - begun >= timedelta(seconds=10)


def test_a_stop_in_the_hold_means_no_refund_and_what_was_done_is_told(slow_desk: Indoors) -> None:
    approval_id = approve(slow_desk, seed(slow_desk))
    turns_until(slow_desk, approval_id, "refund_charge", {"holding"})
    assert slow_desk.post(f"/api/approvals/{approval_id}/cancel").status_code == 202
    run(slow_desk, approval_id)
    assert slow_desk.stripe.refunds() == []
    found = document(slow_desk, approval_id)
    assert (found["state"], found["money_moved"]) == ("partly_done", {})
    again = slow_desk.post(f"/api/approvals/{approval_id}/cancel")
    assert (again.status_code, again.get_json()["error"]["code"]) == (409, "too_late")


def test_going_on_at_once_skips_the_rest_of_the_hold(slow_desk: Indoors) -> None:
    approval_id = approve(slow_desk, seed(slow_desk))
    turns_until(slow_desk, approval_id, "refund_charge", {"holding"})
    assert slow_desk.post(f"/api/approvals/{approval_id}/go").status_code == 202
    assert run(slow_desk, approval_id) == []
    assert len(slow_desk.stripe.refunds()) == 1
    assert slow_desk.post(f"/api/approvals/{approval_id}/go").status_code == 409


def test_a_stop_before_anything_was_sent_leaves_the_plan_free_to_be_approved_anew(desk: Indoors) -> None:
    seeded = seed(desk)
    first = approve(desk, seeded)
    assert desk.post(f"/api/approvals/{first}/cancel").status_code == 202
    run(desk, first)
    assert read(desk, first).state == "stopped"
    assert desk.stripe_writes() == []
    second = approve(desk, seeded)
    assert second != first
    run(desk, second)
    assert (read(desk, second).round, read(desk, second).state) == (2, "done")
    assert len(desk.stripe.refunds()) == 1


# --- GitHub ---------------------------------------------------------------------------------------------------------


def test_one_write_to_github_counts_every_ticket_that_waits_for_the_same_issue(desk: Indoors) -> None:
    waiting = [approve(desk, seed(desk, number)) for number in range(3)]
    for approval_id in waiting:
        run(desk, approval_id)
    filings = [step(desk, approval_id, "file_issue") for approval_id in waiting]
    handler = GapFiling(desk.product.desk)
    assert [handler.turn(one.id) for one in filings] == [None, None, None]
    issues = desk.github.state()["repositories"][REPOSITORY]["issues"]
    assert len(issues) == 1
    assert "| Cases | **3** |" in issues[0]["body"]
    assert [one.target for one in desk.github.wire if one.method == "PATCH"] == []
    assert {document(desk, approval_id)["issue"]["number"] for approval_id in waiting} == {issues[0]["number"]}


def test_github_that_fails_is_asked_again_later_and_makes_one_issue(desk: Indoors) -> None:
    approval_id = approve(desk, seed(desk))
    run(desk, approval_id)
    desk.github.faults.add("status", times=None, status=500)
    handler, filing = GapFiling(desk.product.desk), step(desk, approval_id, "file_issue")
    assert [handler.turn(filing.id), handler.turn(filing.id)] == [5, 30]
    assert step(desk, approval_id, "file_issue").reason == "github_no_answer"
    desk.github.faults.clear()
    desk.github.faults.add("reset_after", method="POST", path=f"/repos/{REPOSITORY}/issues")
    assert handler.turn(filing.id) == 120
    assert handler.turn(filing.id) is None
    assert len(desk.github.state()["repositories"][REPOSITORY]["issues"]) == 1


def test_a_repository_that_says_no_is_told_and_not_asked_again(desk: Indoors) -> None:
    approval_id = approve(desk, seed(desk))
    run(desk, approval_id)
    desk.github.faults.add("status", times=None, status=404)
    filing = step(desk, approval_id, "file_issue")
    assert GapFiling(desk.product.desk).turn(filing.id) is None
    assert step(desk, approval_id, "file_issue").state == "refused"


# --- undo -----------------------------------------------------------------------------------------------------------


def test_undoing_a_scheduled_cancellation_puts_the_renewal_back(desk: Indoors) -> None:
    seeded = seed(desk)
    approval_id = approve(desk, seeded)
    run(desk, approval_id)
    scheduled = step(desk, approval_id, "schedule_cancellation").step_id
    for _ in range(2):
        answer = desk.post(f"/api/approvals/{approval_id}/undo", {"step": scheduled})
        assert answer.status_code in {200, 202}, answer.text
    extra = next(one for one in desk.stripe.state()["subscriptions"] if one["id"] == seeded.extra)
    assert not extra["cancel_at_period_end"]
    assert step(desk, approval_id, "schedule_cancellation").state == "undone"
    refund = step(desk, approval_id, "refund_charge").step_id
    answer = desk.post(f"/api/approvals/{approval_id}/undo", {"step": refund})
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (409, "not_reversible")
