"""Does one runner at a time send, and does one that was thought dead write nothing down?"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from billing.plan import Receipt
from integrations import jobs
from integrations.store import approvals
from integrations.store.approvals import Action
from testkit.indoors import Indoors, indoors
from testkit.worlds import duplicate
from zendesk import claims
from zendesk.applying import Applying
from zendesk.settling import settle

QUICK = "[refunds]\nhold_seconds = 0\n"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path, policy=QUICK) as made:
        yield made


def approved(desk: Indoors) -> tuple[str, int]:
    """An approval that has not begun, and its ticket."""
    rig: Any = desk
    desk.world.portal_configuration()
    seeded = duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900))
    card = desk.card(seeded.ticket)
    body = {
        "plan_digest": card["plan"]["digest"], "steps": [step["id"] for step in card["plan"]["steps"]],
        "follow_up": {"body": "Done.", "deliver": "public_reply"}, "file_issue": False,
    }  # fmt: skip
    answer = desk.post(f"/api/tickets/{seeded.ticket}/approvals", body)
    return str(answer.get_json()["approval_id"]), seeded.ticket


def step(desk: Indoors, approval_id: str, kind: str) -> Action:
    with desk.product.engine.connect() as connection:
        return next(one for one in approvals.actions(connection, approval_id) if one.kind == kind)


def written(desk: Indoors, ticket_id: int, stage: str) -> int:
    ticket = next(one for one in desk.zendesk.state()["tickets"] if one["id"] == ticket_id)
    marks = [(one["metadata"].get("custom") or {}).get("billing_desk") or {} for one in ticket["comments"]]
    return sum(mark.get("stage") == stage for mark in marks)


def updates(desk: Indoors) -> int:
    return sum(one.method == "PUT" for one in desk.zendesk.wire)


def test_six_runners_at_once_write_one_note_and_one_reply_while_zendesk_is_slow(desk: Indoors) -> None:
    """Zendesk's own stamp cannot tell two updates of one second apart: no second one may even be sent."""
    approval_id, ticket_id = approved(desk)
    before = updates(desk)
    desk.zendesk.faults.add("latency", method="PUT", path="/api/v2/tickets/.*", times=None, seconds=0.2)

    def runner(_: int) -> None:
        applying = Applying(desk.product.desk)
        for _ in range(40):
            if applying.turn(approval_id) is None:
                return

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(runner, range(6)))
    while Applying(desk.product.desk).turn(approval_id) is not None:
        desk.clock.advance(timedelta(seconds=5))
    assert (written(desk, ticket_id, "write_internal_note"), written(desk, ticket_id, "public_reply")) == (1, 1)
    assert updates(desk) - before == 2
    assert len(desk.stripe.refunds()) == 1


def test_what_a_runner_reports_late_is_not_written_over_the_one_that_took_over(desk: Indoors) -> None:
    approval_id, _ = approved(desk)
    now, refund = desk.clock(), step(desk, approval_id, "refund_charge")
    with desk.product.engine.begin() as connection:
        approval = approvals.read(connection, approval_id)
        assert approval is not None
        assert approvals.claim(connection, refund, now, "slot-1/1/a", now, ["pending"])
        assert not approvals.claim(connection, refund, now, "slot-2/1/b", now, ["pending"])
        assert not approvals.claim(connection, refund, now, "slot-2/1/b", now, ["sending"])  # it was seen unclaimed
        seen = replace(refund, claim="slot-1/1/a")
        assert approvals.claim(connection, seen, now, "slot-2/1/b", now, ["sending"])
        refused = Receipt(step_id=refund.step_id, outcome="refused", reason="card_declined")
        settle(desk.product.desk, connection, approval, refund, refused, "slot-1/1/a")
    assert step(desk, approval_id, "refund_charge").state == "sending"
    with desk.product.engine.begin() as connection:
        settle(desk.product.desk, connection, approval, refund, refused, "slot-2/1/b")
    assert step(desk, approval_id, "refund_charge").state == "refused"


@pytest.mark.parametrize(
    ("claim", "waits"),
    [(None, False), ("slot-3/1/a", False), ("slot-3/2/a", False), ("slot-4/1/a", True), ("none/5/a", True)],
)
def test_a_claim_ends_with_its_call_or_its_process_and_otherwise_with_its_time(
    desk: Indoors, monkeypatch: pytest.MonkeyPatch, claim: str | None, waits: bool
) -> None:
    """We are the second worker in slot 3; the first one's claims, and our own that are over, hold nobody up."""
    monkeypatch.setattr(jobs, "_RUNNER", ["slot-3/2"])
    action = step(desk, approved(desk)[0], "write_internal_note")
    held = replace(action, claim=claim, claimed_until=desk.clock() + claims.LEASE if claim else None)
    assert (claims.seconds_left(held, desk.clock()) > 0) is waits
    assert claims.seconds_left(held, desk.clock() + claims.LEASE) == 0
    with claims.claim() as token:
        assert claims.seconds_left(replace(held, claim=token, claimed_until=desk.clock() + claims.LEASE), desk.clock())
