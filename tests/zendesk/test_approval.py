"""Who may approve what, how much, and how often? Every refusal leaves Stripe, the limits and the plan as they were."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from billing.money import Money
from billing.plan import Plan, PlannedStep
from billing.steps import RefundCharge, encode
from integrations.store import approvals, audit
from integrations.store.tables import approval as approval_table
from testkit.indoors import Indoors, indoors
from testkit.worlds import Duplicate, duplicate
from zendesk.applying import Applying
from zendesk.plans import freeze

QUICK = "[refunds]\nhold_seconds = 0\n"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path, policy=QUICK) as made:
        yield made


def seed(desk: Indoors, number: int = 1, amount: int = 2900) -> Duplicate:
    rig: Any = desk
    known = [one for one in desk.stripe.state()["prices"] if one["unit_amount"] == amount]
    if not known:
        desk.world.portal_configuration()
    price = known[0] if known else desk.world.price(desk.world.product(f"Pro {amount}"), amount)
    return duplicate(rig, price, number)


def wanted(card: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "plan_digest": card["plan"]["digest"], "steps": [step["id"] for step in card["plan"]["steps"]],
        "follow_up": {"body": card["follow_up"]["body"], "deliver": "draft"}, "file_issue": True,
    } | changes  # fmt: skip


def approve(desk: Indoors, card: dict[str, Any], token: str | None = None, **changes: Any) -> TestResponse:
    return desk.post(f"/api/tickets/{card['ticket_id']}/approvals", wanted(card, **changes), token)


def code(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, str(answer.get_json()["error"]["code"])


def count(desk: Indoors) -> int:
    with desk.product.engine.connect() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(approval_table)).scalar_one())


def colleague(desk: Indoors, name: str = "Ben Ito", **fields: Any) -> str:
    agent = desk.zendesk.add_agent(name, f"{name.split()[0].lower()}@acme.example", **fields)
    return desk.page_token(int(agent["id"]))


def nothing_happened(desk: Indoors) -> None:
    assert count(desk) == 0
    assert desk.stripe_writes() == []
    assert not any(job.startswith("apply:") for job in desk.jobs())


def partial(charge: str, amount: int) -> PlannedStep:
    step = RefundCharge(charge=charge, amount=Money(amount, "usd"))
    return PlannedStep(id="s1", step=step, says="", title="T", running="R", done="D")


def by_hand(desk: Indoors, seeded: Duplicate, plan: Plan, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rows of an approval of this plan, its facts just checked."""
    now, identifier = desk.clock(), f"ap_{number}"
    desk.card(seeded.ticket)
    row = {
        "id": identifier, "ticket_id": seeded.ticket, "customer": seeded.customer, "digest": f"{plan.digest}{number}",
        "round": 1, "request_hash": "", "agent_id": 1, "agent_name": "Ana", "state": "applying", "plan": freeze(plan),
        "follow_up": {"body": "", "deliver": "none"}, "checked_at": now, "attempts": 0, "reply_state": "waiting",
        "created_at": now,
    }  # fmt: skip
    step = plan.steps[0].step
    action = {
        "id": f"ac_{number}", "approval_id": identifier, "step_id": "s1", "position": 0, "kind": step.kind,
        "step": encode(step), "key": f"k:{number}", "state": "pending", "agent_id": 1, "customer": seeded.customer,
        "attempts": 0, "created_at": now, "updated_at": now,
    }  # fmt: skip
    return row, action


# --- once -----------------------------------------------------------------------------------------------------------


def test_an_approval_stores_an_intent_for_every_step_and_one_job(desk: Indoors) -> None:
    card = desk.card(seed(desk).ticket)
    approval_id = approve(desk, card).get_json()["approval_id"]
    with desk.product.engine.connect() as connection:
        actions = approvals.actions(connection, approval_id)
        entries = [entry for entry in audit.entries(connection) if entry.event == "approved"]
        assert audit.first_broken(connection) is None
    assert {one.step_id for one in actions} == {step["id"] for step in card["plan"]["steps"]}
    assert {one.state for one in actions} == {"pending"}
    assert len({one.key for one in actions}) == len(actions)
    assert [job for job in desk.jobs() if job.startswith("apply:")] == [f"apply:{approval_id}"]
    assert [entry.actor for entry in entries] == [f"agent:{desk.agent['id']}"]
    assert desk.stripe_writes() == []


def test_the_same_approval_twice_is_one_and_another_agents_gets_the_firsts_name(desk: Indoors) -> None:
    card = desk.card(seed(desk).ticket)
    first, again = approve(desk, card), approve(desk, card)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.get_json()["approval_id"] == again.get_json()["approval_id"]
    other = approve(desk, card, colleague(desk))
    assert code(other) == (409, "already_approved")
    assert "Ana Ruiz" in other.get_json()["error"]["message"]
    assert other.get_json()["approval_id"] == first.get_json()["approval_id"]
    assert code(approve(desk, card, file_issue=False)) == (409, "already_approved")
    assert count(desk) == 1


def test_fifty_clicks_at_once_are_one_approval(desk: Indoors) -> None:
    card = desk.card(seed(desk).ticket)
    body, token, other = wanted(card), desk.page_token(), colleague(desk)
    path = f"/api/tickets/{card['ticket_id']}/approvals"

    def click(number: int) -> TestResponse:
        client = desk.product.web().test_client() if number < 0 else desk.client.application.test_client()
        return client.post(path, json=body, headers={"Authorization": f"Bearer {other if number % 5 == 4 else token}"})

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(click, range(50)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.get_json()["approval_id"] for answer in answers}) == 1
    assert count(desk) == 1


def test_a_late_copy_of_an_approval_that_was_stopped_approves_nothing(desk: Indoors) -> None:
    card = desk.card(seed(desk).ticket)
    first = approve(desk, card).get_json()["approval_id"]
    assert desk.post(f"/api/approvals/{first}/cancel").status_code == 202
    assert approve(desk, card).get_json()["approval_id"] == first  # it has not come to its end yet
    while Applying(desk.product.desk).turn(first) is not None:
        pass
    late = approve(desk, card)
    assert code(late) == code(approve(desk, card)) == (409, "plan_changed")
    assert count(desk) == 1
    fresh = late.get_json()["card"]
    assert fresh["plan"]["digest"] != card["plan"]["digest"]
    assert fresh["plan"]["steps"] == card["plan"]["steps"]
    again = approve(desk, fresh)
    assert again.status_code == 202
    assert again.get_json()["approval_id"] != first
    assert code(approve(desk, card)) == (409, "plan_changed")
    assert count(desk) == 2


def test_a_late_copy_of_one_that_was_stopped_before_the_second_agent_agreed_approves_nothing(desk: Indoors) -> None:
    card = desk.card(seed(desk, amount=25_000).ticket)
    approval_id = approve(desk, card, confirm="250.00").get_json()["approval_id"]
    assert desk.post(f"/api/approvals/{approval_id}/cancel").status_code == 202
    assert code(approve(desk, card, confirm="250.00")) == (409, "plan_changed")
    fresh = desk.get(f"/api/tickets/{card['ticket_id']}/card").get_json()
    assert code(approve(desk, fresh, confirm="250.00")) == (403, "second_approval_required")


def test_two_equal_partial_refunds_by_two_plans_are_both_paid(desk: Indoors) -> None:
    """Equal in charge, amount and ticket: only the approval tells them apart."""
    seeded = seed(desk)
    for number in (1, 2):
        plan = Plan(steps=(partial(seeded.charge, 900),))
        with desk.product.engine.begin() as connection:
            row, action = by_hand(desk, seeded, plan, number)
            approvals.insert(connection, row, [action])
        while Applying(desk.product.desk).turn(row["id"]) is not None:
            pass
    refunds = desk.stripe.refunds()
    assert [(one["charge"], one["amount"]) for one in refunds] == [(seeded.charge, 900)] * 2
    assert len({one["metadata"]["billing_desk_action"] for one in refunds}) == 2


# --- refusals -------------------------------------------------------------------------------------------------------


def test_somebody_who_may_not_approve_is_told_which_role_may(tmp_path: Path) -> None:
    with indoors(tmp_path, policy=QUICK + '[people]\napprove = ["admin"]\n') as desk:
        card = desk.card(seed(desk).ticket)
        answer = approve(desk, card, colleague(desk))
        assert code(answer) == (403, "not_allowed")
        assert "admin" in answer.get_json()["error"]["message"]
        nothing_happened(desk)


def test_rights_that_were_taken_away_a_second_ago_count(desk: Indoors) -> None:
    card = desk.card(seed(desk).ticket)
    token = colleague(desk)
    assert desk.get(f"/api/tickets/{card['ticket_id']}/card", token).status_code == 200
    ben = next(one for one in desk.zendesk.desk.users.values() if one["name"] == "Ben Ito")
    ben["suspended"] = True
    assert code(approve(desk, card, token)) == (403, "not_allowed")
    nothing_happened(desk)


def test_a_ticket_without_a_plan_cannot_be_approved(desk: Indoors) -> None:
    card = desk.card(seed(desk).ticket)
    ticket = desk.ticket("nobody@acme.example", "Hello", "Refund please")
    answer = approve(desk, {**card, "ticket_id": ticket})
    assert code(answer) == (404, "not_found")


def test_another_digest_gets_the_new_plan_and_nothing_happens(desk: Indoors) -> None:
    card = desk.card(seed(desk).ticket)
    answer = approve(desk, card, plan_digest="sha256:" + "0" * 64)
    assert code(answer) == (409, "plan_changed")
    assert answer.get_json()["card"]["plan"]["digest"] == card["plan"]["digest"]
    nothing_happened(desk)


@pytest.mark.parametrize("steps", [["s99"], []])
def test_steps_that_are_not_the_plans_are_refused(desk: Indoors, steps: list[str]) -> None:
    card = desk.card(seed(desk).ticket)
    assert approve(desk, card, steps=steps).status_code == 422
    nothing_happened(desk)


@pytest.mark.parametrize("kind", ["send_portal_login", "write_internal_note", "schedule_cancellation", "refund_charge"])
def test_an_optional_step_that_was_left_out_is_skipped_and_the_others_run(desk: Indoors, kind: str) -> None:
    card = desk.card(seed(desk).ticket)
    left_out = next(step for step in card["plan"]["steps"] if step["kind"] == kind)
    assert left_out["optional"]
    steps = [step["id"] for step in card["plan"]["steps"] if step is not left_out]
    approval_id = approve(desk, card, steps=steps).get_json()["approval_id"]
    while Applying(desk.product.desk).turn(approval_id) is not None:
        pass
    document = desk.get(f"/api/approvals/{approval_id}").get_json()
    assert document["state"] == "done"
    assert {step["kind"] for step in document["steps"] if step["state"] == "skipped"} == {kind}
    assert len(desk.stripe.refunds()) == (kind != "refund_charge")
    assert len(desk.stripe_writes()) == 2 - (kind in {"schedule_cancellation", "refund_charge"})


def test_without_file_issue_the_issue_step_is_skipped_and_the_rest_is_done(desk: Indoors) -> None:
    card = desk.card(seed(desk).ticket)
    approval_id = approve(desk, card, file_issue=False).get_json()["approval_id"]
    while Applying(desk.product.desk).turn(approval_id) is not None:
        pass
    document = desk.get(f"/api/approvals/{approval_id}").get_json()
    assert document["state"] == "done"
    assert {step["state"] for step in document["steps"] if step["kind"] == "file_issue"} == {"skipped"}
    assert desk.github.wire == []


def test_an_unverified_requester_gets_nothing_changed_in_stripe(desk: Indoors) -> None:
    desk.zendesk.add_user("Maya Okafor", "maya1@acme.example", verification_method="none")
    card = desk.card(seed(desk).ticket)
    assert card["customer"]["identity"] == "matched"
    assert any("requester_verified" in step["requires"] for step in card["plan"]["steps"])
    assert code(approve(desk, card)) == (403, "requester_not_verified")
    nothing_happened(desk)


def test_facts_that_moved_since_the_card_bring_the_new_plan_and_no_write(desk: Indoors) -> None:
    seeded = seed(desk)
    card = desk.card(seeded.ticket)
    desk.world.refund(seeded.charge, 2900)
    answer = approve(desk, card)
    assert code(answer) == (409, "plan_changed")
    assert answer.get_json()["card"]["plan"]["digest"] != card["plan"]["digest"]
    nothing_happened(desk)


def test_a_vendor_that_does_not_answer_means_nothing_was_done(desk: Indoors) -> None:
    card = desk.card(seed(desk).ticket)
    desk.zendesk.faults.add("reset_before", method="GET", path=r"/api/v2/tickets/\d+/comments.*", times=None)
    answer = approve(desk, card)
    assert code(answer) == (503, "upstream_no_answer")
    nothing_happened(desk)
    desk.zendesk.faults.clear()
    assert approve(desk, card).status_code == 202


# --- amounts --------------------------------------------------------------------------------------------------------


def test_above_the_one_click_limit_the_amount_is_typed(desk: Indoors) -> None:
    card = desk.card(seed(desk, amount=12_000).ticket)
    for typed in (None, "", "12", "119.99", "12000", "120.001", "€120.00"):
        answer = approve(desk, card, confirm=typed)
        assert code(answer) == (422, "confirmation_needed"), typed
        assert answer.get_json()["confirm"] == "120.00"
    nothing_happened(desk)
    assert approve(desk, card, confirm="120.00").status_code == 202


def test_above_the_second_limit_another_agent_has_to_agree(desk: Indoors) -> None:
    card = desk.card(seed(desk, amount=25_000).ticket)
    answer = approve(desk, card, confirm="250.00")
    assert code(answer) == (403, "second_approval_required")
    approval_id = answer.get_json()["approval_id"]
    assert not any(job.startswith("apply:") for job in desk.jobs())
    assert Applying(desk.product.desk).turn(approval_id) is None
    path = f"/api/approvals/{approval_id}/second"
    assert code(desk.post(path)) == (403, "not_allowed")
    assert desk.post(path, token=colleague(desk)).status_code == 202
    assert code(desk.post(path, token=colleague(desk, "Cleo Ek"))) == (409, "already_approved")
    assert f"apply:{approval_id}" in desk.jobs()
    assert desk.stripe_writes() == []


def test_an_approval_that_waits_for_a_second_agent_can_be_stopped(desk: Indoors) -> None:
    card = desk.card(seed(desk, amount=25_000).ticket)
    approval_id = approve(desk, card, confirm="250.00").get_json()["approval_id"]
    assert desk.post(f"/api/approvals/{approval_id}/cancel").status_code == 202
    assert desk.get(f"/api/approvals/{approval_id}").get_json()["state"] == "stopped"
    assert code(desk.post(f"/api/approvals/{approval_id}/second", token=colleague(desk))) == (409, "already_approved")
    assert desk.stripe_writes() == []


@pytest.mark.parametrize(
    ("limits", "whose"),
    [
        ("per_step = {usd = 2899}", "one step"),
        ("per_agent_per_day = {usd = 2899}", "you in 24 hours"),
        ("per_day = {usd = 2899}", "everybody"),
        ("per_customer_30_days = {usd = 2899}", "one customer"),
    ],
)
def test_each_limit_refuses_what_lies_above_it(tmp_path: Path, limits: str, whose: str) -> None:
    with indoors(tmp_path, policy=f"{QUICK}{limits}\n") as desk:
        answer = approve(desk, desk.card(seed(desk).ticket))
        assert code(answer) == (403, "limit_exceeded")
        assert whose in answer.get_json()["error"]["message"]
        nothing_happened(desk)


def test_a_limit_counts_what_runs_and_forgets_what_was_stopped_or_is_older_than_a_day(tmp_path: Path) -> None:
    with indoors(tmp_path, policy=QUICK + "per_agent_per_day = {usd = 2900}\n") as desk:
        first, second, third = (desk.card(seed(desk, number).ticket) for number in (1, 2, 3))
        approval_id = approve(desk, first).get_json()["approval_id"]
        assert code(approve(desk, second)) == (403, "limit_exceeded")
        desk.post(f"/api/approvals/{approval_id}/cancel")
        assert approve(desk, second).status_code == 202
        assert code(approve(desk, third)) == (403, "limit_exceeded")
        assert approve(desk, third, colleague(desk)).status_code == 202
        desk.clock.advance(timedelta(hours=25))
        fourth = desk.card(seed(desk, 4).ticket)
        assert approve(desk, fourth).status_code == 202


def test_a_ticket_runs_one_plan_at_a_time(desk: Indoors) -> None:
    seeded = seed(desk)
    card = desk.card(seeded.ticket)
    assert approve(desk, card).status_code == 202
    desk.world.refund(seeded.charge, 900)
    assert desk.post(f"/api/tickets/{seeded.ticket}/refresh").status_code == 202
    desk.work()
    newer = desk.get(f"/api/tickets/{seeded.ticket}/card").get_json()
    stored = desk.stored(seeded.ticket)
    assert stored is not None
    assert stored.state == "applying"
    assert stored.plan is not None
    if newer["plan"]["digest"] != card["plan"]["digest"]:
        refused = approve(desk, newer, steps=[step["id"] for step in newer["plan"]["steps"]])
        assert refused.status_code in {409, 422}
    assert count(desk) == 1


def test_an_approval_nobody_knows_is_not_found(desk: Indoors) -> None:
    for what in ("second", "cancel", "go"):
        assert code(desk.post(f"/api/approvals/ap_nobody/{what}")) == (404, "not_found")
