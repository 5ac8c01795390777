"""Is every reversible step taken back to exactly the state before, once, and is the rest told honestly as final?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from billing import steps
from billing.money import Money
from billing.plan import Plan, PlannedStep
from billing.steps import Step, encode
from integrations.store import approvals, audit
from integrations.store.approvals import Action
from testkit.indoors import Indoors, indoors
from testkit.worlds import Duplicate, duplicate
from zendesk.applying import Applying
from zendesk.following import Following
from zendesk.parked import waiting
from zendesk.plans import freeze

QUICK = "[refunds]\nhold_seconds = 0\n"
DAY = 86_400


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path, policy=QUICK) as made:
        yield made


@pytest.fixture
def seeded(desk: Indoors) -> Duplicate:
    rig: Any = desk
    desk.world.portal_configuration()
    return duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900))


def ran(desk: Indoors, seeded: Duplicate, step: Step, meanwhile: Callable[[], None] = lambda: None) -> str:
    """An approval of this one step that has run; its id. The step's id is s1. `meanwhile` happens at each wait."""
    desk.card(seeded.ticket)
    now, identifier = desk.clock(), f"ap_{step.kind}"
    planned = PlannedStep(id="s1", step=step, says="", title="T", running="R", done="D")
    row = {
        "id": identifier, "ticket_id": seeded.ticket, "customer": seeded.customer, "digest": step.kind, "round": 1,
        "request_hash": "", "agent_id": desk.agent["id"], "agent_name": "Ana", "state": "applying",
        "plan": freeze(Plan(steps=(planned,))), "follow_up": {"body": "", "deliver": "none"}, "checked_at": now,
        "attempts": 0, "reply_state": "waiting", "created_at": now,
    }  # fmt: skip
    action = {
        "id": f"ac_{step.kind}", "approval_id": identifier, "step_id": "s1", "position": 0, "kind": step.kind,
        "step": encode(step), "key": f"k:{step.kind}", "state": "pending", "agent_id": desk.agent["id"],
        "customer": seeded.customer, "attempts": 0, "created_at": now, "updated_at": now,
    }  # fmt: skip
    with desk.product.engine.begin() as connection:
        approvals.insert(connection, row, [action])
    applying = Applying(desk.product.desk)
    while (again := applying.turn(identifier)) is not None:
        desk.clock.advance(timedelta(seconds=again))
        if again:
            meanwhile()
    return identifier


def undo(desk: Indoors, approval_id: str) -> TestResponse:
    return desk.post(f"/api/approvals/{approval_id}/undo", {"step": "s1"})


def code(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, str(answer.get_json()["error"]["code"])


def standing(desk: Indoors, identifier: str) -> dict[str, Any]:
    """The object without what only says when and by whom it was changed."""
    made = deepcopy(desk.stripe.store.objects[identifier])
    for name in ("metadata", "canceled_at", "cancellation_details"):
        made.pop(name, None)
    return made


def undos(desk: Indoors, approval_id: str) -> tuple[Action, ...]:
    with desk.product.engine.connect() as connection:
        assert audit.first_broken(connection) is None
        return approvals.undos(connection, approval_id)


def ends(desk: Indoors, subscription: str) -> int:
    return int(desk.stripe.store.objects[subscription]["items"]["data"][0]["current_period_end"])


def renewing(desk: Indoors, seeded: Duplicate) -> tuple[str, Step]:
    return seeded.extra, steps.ScheduleCancellation(subscription=seeded.extra)


def ending_on_a_day(desk: Indoors, seeded: Duplicate) -> tuple[str, Step]:
    desk.stripe.store.objects[seeded.extra]["cancel_at"] = ends(desk, seeded.extra) + 40 * DAY
    return seeded.extra, steps.ScheduleCancellation(subscription=seeded.extra)


def stopped_at_the_end(desk: Indoors, seeded: Duplicate) -> tuple[str, Step]:
    at = {"cancel_at_period_end": True, "cancel_at": ends(desk, seeded.extra)}
    desk.stripe.store.objects[seeded.extra] |= at
    return seeded.extra, steps.UndoCancellation(subscription=seeded.extra)


def stopped_on_a_day(desk: Indoors, seeded: Duplicate) -> tuple[str, Step]:
    desk.stripe.store.objects[seeded.extra]["cancel_at"] = ends(desk, seeded.extra) + 9 * DAY
    return seeded.extra, steps.UndoCancellation(subscription=seeded.extra, clears="cancel_at")


def collecting(desk: Indoors, seeded: Duplicate) -> tuple[str, Step]:
    return seeded.extra, steps.PauseCollection(subscription=seeded.extra, behavior="void")


def paused_otherwise(desk: Indoors, seeded: Duplicate) -> tuple[str, Step]:
    pause = {"behavior": "mark_uncollectible", "resumes_at": desk.stripe.unix() + 5 * DAY}
    desk.stripe.store.objects[seeded.extra]["pause_collection"] = pause
    return seeded.extra, steps.PauseCollection(subscription=seeded.extra)


def paused(desk: Indoors, seeded: Duplicate) -> tuple[str, Step]:
    pause = {"behavior": "void", "resumes_at": desk.stripe.unix() + 5 * DAY}
    desk.stripe.store.objects[seeded.extra]["pause_collection"] = pause
    return seeded.extra, steps.ResumeCollection(subscription=seeded.extra)


def collected(desk: Indoors, seeded: Duplicate) -> tuple[str, Step]:
    made = desk.world.invoice(seeded.customer, 900)
    desk.stripe.store.objects[made["id"]]["auto_advance"] = True
    return made["id"], steps.HoldInvoice(invoice=made["id"])


WORLDS = [
    renewing,
    ending_on_a_day,
    stopped_at_the_end,
    stopped_on_a_day,
    collecting,
    paused_otherwise,
    paused,
    collected,
]


@pytest.mark.parametrize("world", WORLDS)
def test_every_reversible_step_goes_back_to_the_state_before_once_and_by_an_action_of_its_own(
    desk: Indoors, seeded: Duplicate, world: Any
) -> None:
    identifier, step = world(desk, seeded)
    before = standing(desk, identifier)
    approval_id = ran(desk, seeded, step)
    assert standing(desk, identifier) != before
    for _ in range(2):
        assert undo(desk, approval_id).status_code == 200
    assert standing(desk, identifier) == before
    (intent,) = undos(desk, approval_id)
    assert (intent.state, intent.receipt and intent.receipt["object"]) == ("done", identifier)
    done, undone = (entry.idempotency_key for entry in desk.stripe.writes())
    assert (done, undone) == (f"k:{step.kind}", intent.key)
    assert desk.stripe.store.objects[identifier]["metadata"]["billing_desk_action"] == intent.id
    shown = desk.get(f"/api/approvals/{approval_id}").get_json()
    assert [(one["id"], one["state"], one["undoable"]) for one in shown["steps"]] == [("s1", "undone", False)]


@pytest.mark.parametrize("fault", ["reset_after", "reset_before", "html_502"])
def test_an_undo_without_an_answer_goes_on_by_itself_with_its_own_key(
    desk: Indoors, seeded: Duplicate, fault: str
) -> None:
    before = standing(desk, seeded.extra)
    approval_id = ran(desk, seeded, steps.PauseCollection(subscription=seeded.extra))
    desk.stripe.faults.add(fault, method="POST", path="/v1/subscriptions/.*")
    assert code(undo(desk, approval_id)) == (503, "upstream_no_answer")
    (intent,) = undos(desk, approval_id)
    assert intent.state == "unknown"
    assert f"follow:{intent.id}" in desk.jobs()
    assert Following(desk.product.desk).turn(intent.id) is None
    assert standing(desk, seeded.extra) == before
    assert [one.state for one in undos(desk, approval_id)] == ["done"]
    assert len({entry.idempotency_key for entry in desk.stripe.writes()}) == 2
    assert undo(desk, approval_id).status_code == 200


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [(401, "invalid_request_error", "key is mended"), (400, "idempotency_error", "not repeated")],
)
def test_an_undo_that_our_key_or_its_key_keeps_back_says_so_and_the_next_click_begins_anew(
    desk: Indoors, seeded: Duplicate, status: int, kind: str, told: str
) -> None:
    before = standing(desk, seeded.extra)
    approval_id = ran(desk, seeded, steps.ScheduleCancellation(subscription=seeded.extra))
    body = {"error": {"type": kind, "message": "No"}}
    desk.stripe.faults.add("status", method="POST", path="/v1/subscriptions/.*", status=status, body=body)
    refused = undo(desk, approval_id)
    assert code(refused) == (409, "not_reversible")
    assert told in refused.get_json()["error"]["message"]
    (intent,) = undos(desk, approval_id)
    assert Following(desk.product.desk).turn(intent.id) is None
    assert undo(desk, approval_id).status_code == 200
    assert [one.state for one in undos(desk, approval_id)] == ["refused", "done"]
    assert standing(desk, seeded.extra) == before
    with desk.product.engine.connect() as connection:
        assert waiting(connection) == ()  # an undo is never parked: whoever clicks again begins anew


def test_a_second_click_takes_an_open_undo_up_again_with_the_same_key(desk: Indoors, seeded: Duplicate) -> None:
    approval_id = ran(desk, seeded, steps.ScheduleCancellation(subscription=seeded.extra))
    desk.stripe.faults.add("reset_before", method="POST", path="/v1/subscriptions/.*")
    assert code(undo(desk, approval_id)) == (503, "upstream_no_answer")
    assert undo(desk, approval_id).status_code == 200
    assert len(undos(desk, approval_id)) == 1


def test_an_undo_that_cannot_be_learned_is_given_up_and_the_next_click_looks_where_things_stand(
    desk: Indoors, seeded: Duplicate
) -> None:
    before = standing(desk, seeded.extra)
    approval_id = ran(desk, seeded, steps.ScheduleCancellation(subscription=seeded.extra))
    desk.stripe.faults.add("html_502", method="POST", path="/v1/subscriptions/.*", times=None)
    assert code(undo(desk, approval_id)) == (503, "upstream_no_answer")
    (intent,) = undos(desk, approval_id)
    desk.clock.advance(timedelta(hours=23, minutes=1))
    asked = len(desk.stripe.wire)
    assert Following(desk.product.desk).turn(intent.id) is None
    assert (undos(desk, approval_id)[0].state, undos(desk, approval_id)[0].reason) == ("canceled", "ask_a_person")
    assert [one.method for one in desk.stripe.wire[asked:]] == ["GET"]
    desk.stripe.faults.clear()
    assert undo(desk, approval_id).status_code == 200
    assert standing(desk, seeded.extra) == before
    assert [one.state for one in undos(desk, approval_id)] == ["canceled", "done"]


def changed_by_others(desk: Indoors, seeded: Duplicate) -> None:
    desk.stripe.store.objects[seeded.extra]["pause_collection"] = {"behavior": "void", "resumes_at": None}


def ended(desk: Indoors, seeded: Duplicate) -> None:
    desk.stripe.store.objects[seeded.extra] |= {"status": "canceled", "ended_at": desk.stripe.unix()}


def past(desk: Indoors, seeded: Duplicate) -> None:
    desk.clock.advance(timedelta(days=6))


@pytest.mark.parametrize(
    ("world", "then", "says"),
    [(paused_otherwise, changed_by_others, "changed it since"), (collecting, ended, "has ended"),
     (paused, past, "day it had before has passed")],
)  # fmt: skip
def test_what_cannot_be_put_back_any_more_is_refused_with_its_reason(
    desk: Indoors, seeded: Duplicate, world: Any, then: Any, says: str
) -> None:
    _, step = world(desk, seeded)
    approval_id = ran(desk, seeded, step)
    then(desk, seeded)
    answer = undo(desk, approval_id)
    assert code(answer) == (409, "not_reversible")
    assert says in answer.get_json()["error"]["message"]
    assert len(desk.stripe.writes()) == 1
    assert [one.state for one in undos(desk, approval_id)] == ["refused"]


def test_a_step_that_left_nothing_to_put_back_is_final(desk: Indoors, seeded: Duplicate) -> None:
    for step in (
        steps.RefundCharge(charge=seeded.charge, amount=Money(900, "usd")),
        steps.ResendInvoice(invoice=desk.world.invoice(seeded.customer, 9, collection_method="send_invoice")["id"]),
        steps.CancelSubscription(subscription=seeded.extra),
    ):
        assert code(undo(desk, ran(desk, seeded, step))) == (409, "not_reversible"), step.kind
    assert code(desk.post("/api/approvals/ap_refund_charge/undo", {"step": "s9"})) == (404, "not_found")


def test_nothing_is_taken_back_while_the_run_goes_on(tmp_path: Path) -> None:
    with indoors(tmp_path) as desk:
        rig: Any = desk
        desk.world.portal_configuration()
        seeded = duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900))
        card = desk.card(seeded.ticket)
        body = {
            "plan_digest": card["plan"]["digest"], "steps": [step["id"] for step in card["plan"]["steps"]],
            "follow_up": {"body": "", "deliver": "none"}, "file_issue": False,
        }  # fmt: skip
        approval_id = desk.post(f"/api/tickets/{seeded.ticket}/approvals", body).get_json()["approval_id"]
        applying = Applying(desk.product.desk)
        while not (again := applying.turn(approval_id)):
            assert again == 0  # until the hold
        step = next(one["id"] for one in card["plan"]["steps"] if one["kind"] == "schedule_cancellation")
        answer = desk.post(f"/api/approvals/{approval_id}/undo", {"step": step})
        assert code(answer) == (409, "too_late")
        assert desk.stripe.store.objects[seeded.extra]["cancel_at_period_end"] is True


def test_a_replay_never_overwrites_the_state_before(desk: Indoors, seeded: Duplicate) -> None:
    """The write's answer is lost and looking fails: the second call finds what the first one left."""
    before = standing(desk, seeded.extra)
    desk.stripe.faults.add("reset_after", method="POST", path="/v1/subscriptions/.*")

    def looking_fails() -> None:
        desk.stripe.faults.add("reset_before", method="GET", path="/v1/subscriptions/.*")

    approval_id = ran(desk, seeded, steps.PauseCollection(subscription=seeded.extra), looking_fails)
    assert len([one for one in desk.stripe.wire if one.method == "POST"]) == 2
    assert undo(desk, approval_id).status_code == 200
    assert standing(desk, seeded.extra) == before
