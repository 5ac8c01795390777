"""May an agent's own words go out? Only when the approved steps bear them out, at the approval and once they ran."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from integrations.store import approvals, cards
from testkit.indoors import Indoors, indoors
from testkit.worlds import duplicate
from zendesk.applying import Applying
from zendesk.notes import Writer, reply_body, untrue_now

TRUE = "Hi Maya, the second payment of $29.00 was a mistake. We have refunded $29.00 to your card."


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path, policy="[refunds]\nhold_seconds = 0\n") as made:
        yield made


@pytest.fixture
def card(desk: Indoors) -> dict[str, Any]:
    rig: Any = desk
    desk.world.portal_configuration()
    return dict(desk.card(duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900), 1).ticket))


def approve(
    desk: Indoors, card: dict[str, Any], body: str, deliver: str = "draft", without: str | None = None
) -> TestResponse:
    steps = [step["id"] for step in card["plan"]["steps"] if step["kind"] != without]
    follow_up = {"body": body, "deliver": deliver}
    wanted = {"plan_digest": card["plan"]["digest"], "steps": steps, "follow_up": follow_up, "file_issue": False}
    return desk.post(f"/api/tickets/{card['ticket_id']}/approvals", wanted)


def run(desk: Indoors, approval_id: str) -> dict[str, Any]:
    while Applying(desk.product.desk).turn(approval_id) is not None:
        pass
    return dict(desk.get(f"/api/approvals/{approval_id}").get_json())


@pytest.mark.parametrize(
    ("body", "without", "named"),
    [
        ("We have refunded $49.00 to your card.", None, "49.00 is not an amount of this plan"),
        ("We will refund $49.00.", None, "49.00 is not an amount of this plan"),
        (TRUE, "refund_charge", "says that money was refunded, and no receipt shows it"),
        ("Your refund is on its way.", "refund_charge", "says that a refund is on its way"),
        ("We have credited your account.", None, "says that credit was given"),
        ("Log in at https://billing.stripe.com/p/session/live_x", None, "opens the account to whoever has it"),
        ("Your card is 4242 4242 4242 4242.", None, "a long number"),
    ],
)
def test_words_that_the_approved_steps_do_not_bear_out_are_named_and_nothing_happens(desk, card, body, without, named):
    answer = approve(desk, card, body, without=without)
    error = answer.get_json()
    assert (answer.status_code, error["error"]["code"]) == (422, "reply_claims")
    assert named in error["error"]["message"]
    assert any(named in claim for claim in error["claims"])
    assert desk.stripe_writes() == []
    assert not any(job.startswith("apply:") for job in desk.jobs())


@pytest.mark.parametrize(
    "body",
    [
        TRUE,
        "Thanks for waiting, back on 4 January. More at https://help.acme.example/refunds, sorry you lost access.",
        "",
    ],
)
def test_words_that_are_true_or_the_agents_own_business_go_out_as_written(desk, card, body):
    answer = approve(desk, card, body)
    assert answer.status_code == 202
    done = run(desk, answer.get_json()["approval_id"])
    assert done["state"] == "done"
    assert done["reply"]["body"] == body


def test_a_claim_that_is_sent_nowhere_is_nobodys_promise(desk, card):
    assert approve(desk, card, "We have refunded $49.00.", deliver="none").status_code == 202


def test_line_ends_that_a_form_changes_are_no_edit(desk, card):
    body = card["follow_up"]["body"].replace("\n", "\r\n")
    answer = approve(desk, card, body)
    done = run(desk, answer.get_json()["approval_id"])
    assert "We have refunded" in done["reply"]["body"]


def refused_refund(desk: Indoors, approval_id: str) -> tuple[Any, Any]:
    """The approval as it would stand had Stripe refused the refund."""
    with desk.product.engine.connect() as connection:
        approval = approvals.read(connection, approval_id)
        actions = approvals.actions(connection, approval_id)
    assert approval is not None
    states = [replace(a, state="refused" if a.kind == "refund_charge" else "done") for a in actions]
    return approval, states


def test_a_draft_that_turned_out_untrue_is_replaced_by_words_bound_to_the_receipts(desk, card):
    approval_id = approve(desk, card, TRUE).get_json()["approval_id"]
    approval, actions = refused_refund(desk, approval_id)
    with desk.product.engine.connect() as connection:
        stored = cards.read(connection, card["ticket_id"])
    assert stored is not None
    assert untrue_now(approval, actions)
    body = reply_body(desk.product.desk, approval, actions, stored.document or {})
    assert "We have refunded" not in body
    assert "did not go through" in body


def test_a_public_reply_that_turned_out_untrue_is_not_sent(desk, card):
    answer = approve(desk, card, TRUE, deliver="public_reply")
    approval, actions = refused_refund(desk, answer.get_json()["approval_id"])
    with desk.product.engine.begin() as connection:
        for action in actions:
            if action.step_id != "reply":
                approvals.change_action(connection, action.id, desk.clock(), was=["pending"], state=action.state)
    reply = next(action for action in actions if action.step_id == "reply")
    before = len(desk.zendesk.wire)
    receipt = Writer(desk.product.desk).perform(approval, reply, "failed")
    assert (receipt.outcome, receipt.reason) == ("refused", "reply_claims")
    assert len(desk.zendesk.wire) == before
