"""What does the card show when the customer writes again after the receipt: a fresh plan, and what was done before?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from testkit.indoors import Indoors, indoors
from testkit.worlds import duplicate
from zendesk.applying import Applying

POLICY = "[refunds]\nhold_seconds = 0\n[stripe]\nreads_per_second = 500\n"
HELD = "[refunds]\nhold_seconds = 10\n[stripe]\nreads_per_second = 500\n"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path, policy=POLICY) as made:
        yield made


def seeded(desk: Indoors) -> int:
    rig: Any = desk
    desk.world.portal_configuration()
    return duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900), 1).ticket


def approve(desk: Indoors, card: dict[str, Any]) -> Any:
    body = {
        "plan_digest": card["plan"]["digest"], "steps": [step["id"] for step in card["plan"]["steps"]],
        "follow_up": {"body": card["follow_up"]["body"], "deliver": "draft"}, "file_issue": False,
    }  # fmt: skip
    return desk.post(f"/api/tickets/{card['ticket_id']}/approvals", body)


def run(desk: Indoors, card: dict[str, Any]) -> str:
    answer = approve(desk, card)
    assert answer.status_code == 202, answer.text
    approval = str(answer.get_json()["approval_id"])
    while Applying(desk.product.desk).turn(approval) is not None:
        pass
    return approval


def reread(desk: Indoors, ticket: int) -> dict[str, Any]:
    desk.clock.advance(timedelta(minutes=1))
    assert desk.post(f"/api/tickets/{ticket}/refresh").status_code == 202
    desk.work()
    return dict(desk.get(f"/api/tickets/{ticket}/card").get_json())


def test_a_new_message_is_answered_by_a_new_plan_and_the_receipt_stays_as_history(desk: Indoors) -> None:
    ticket = seeded(desk)
    first = desk.card(ticket)
    approval = run(desk, first)
    refunds = desk.stripe.refunds()
    assert len(refunds) == 1

    kept = reread(desk, ticket)  # Stripe's own events have it read again: nobody has written
    assert (kept["state"], kept["approval"]["id"]) == ("done", approval)
    assert "earlier" not in kept

    requester = desk.zendesk.desk.tickets[ticket]["requester_id"]
    desk.zendesk.add_comment(ticket, requester, "Thank you. Please cancel my other Pro subscription too.")
    again = reread(desk, ticket)
    assert again["approval"] is None
    assert again["earlier"]["id"] == approval
    assert again["earlier"]["money_moved"] == {"usd": 2900}
    receipts = {step["kind"]: step["receipt"] for step in again["earlier"]["steps"]}
    assert receipts["refund_charge"] == refunds[0]["id"]
    assert again["plan"]["digest"] != first["plan"]["digest"]
    assert "refund_charge" not in {step["kind"] for step in again["plan"]["steps"]}, "the same money is not given twice"
    shown = desk.get(f"/api/tickets/{ticket}/card?view=glance", html=True).text
    assert "given back</b> before" in shown

    second = run(desk, again)
    last = desk.get(f"/api/tickets/{ticket}/card").get_json()
    assert (last["approval"]["id"], last["state"]) == (second, "done")
    assert desk.stripe.refunds() == refunds


def test_what_an_agent_stopped_leaves_the_card_ready_and_the_way_free(tmp_path: Path) -> None:
    with indoors(tmp_path, policy=HELD) as desk:
        ticket = seeded(desk)
        card = desk.card(ticket)
        approval = str(approve(desk, card).get_json()["approval_id"])
        work = Applying(desk.product.desk)
        while desk.get(f"/api/approvals/{approval}").get_json()["state"] != "holding":
            work.turn(approval)
        assert desk.post(f"/api/approvals/{approval}/cancel").status_code == 202
        while work.turn(approval) is not None:
            pass
        stopped = desk.get(f"/api/tickets/{ticket}/card").get_json()
        assert (stopped["state"], stopped["approval"]["reason"]) == ("ready", "stopped_by_agent")
        assert desk.stripe.refunds() == []
        fresh = reread(desk, ticket)
        assert fresh["approval"] is None
        assert approve(desk, fresh).status_code == 202
