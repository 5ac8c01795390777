"""Is a refund that Stripe only took followed to its end, and is a failed one shown, noted and not counted as money?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from billing.money import Money
from billing.steps import CreateCreditNote, encode
from github_issues.ledger import ledger
from integrations.store import approvals, audit
from integrations.store.approvals import Action
from integrations.store.tables import action as action_table
from integrations.store.tables import approval, gap_ticket
from testkit.indoors import Indoors, indoors
from testkit.worlds import Duplicate, duplicate, extra_invoice
from zendesk import gap_week
from zendesk.applying import Applying
from zendesk.following import Following
from zendesk.gaps import GapFiling
from zendesk.settling import money_moved

QUICK = "[refunds]\nhold_seconds = 0\n"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path, policy=QUICK) as made:
        yield made


def seed(desk: Indoors, **refund: Any) -> Duplicate:
    """One whose refund becomes this: a status, and `ends` for what it becomes later."""
    rig: Any = desk
    desk.world.portal_configuration()
    seeded = duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900))
    desk.stripe.store.directives[seeded.charge] = {"next_refunds": [refund]}
    return seeded


def approved(
    desk: Indoors, seeded: Duplicate, deliver: str = "draft", body: str | None = None, *, file_issue: bool = False
) -> str:
    """An approval that has run to its end; its id."""
    card = desk.card(seeded.ticket)
    wanted = {
        "plan_digest": card["plan"]["digest"], "steps": [step["id"] for step in card["plan"]["steps"]],
        "follow_up": {"body": body or card["follow_up"]["body"], "deliver": deliver}, "file_issue": file_issue,
    }  # fmt: skip
    answer = desk.post(f"/api/tickets/{seeded.ticket}/approvals", wanted)
    assert answer.status_code == 202, answer.text
    applying = Applying(desk.product.desk)
    while (again := applying.turn(answer.get_json()["approval_id"])) is not None:
        desk.clock.advance(timedelta(seconds=again))
    return str(answer.get_json()["approval_id"])


def refund_of(desk: Indoors, approval_id: str) -> Action:
    with desk.product.engine.connect() as connection:
        return next(one for one in approvals.actions(connection, approval_id) if one.kind == "refund_charge")


def follow(desk: Indoors, approval_id: str) -> list[float]:
    """What the engine does with the job; the waits."""
    following, identifier, waits = Following(desk.product.desk), refund_of(desk, approval_id).id, list[float]()
    assert f"follow:{identifier}" in desk.jobs()
    while (again := following.turn(identifier)) is not None:
        if again:
            waits.append(again)
            desk.clock.advance(timedelta(seconds=again))
        assert len(waits) < 200
    return waits


def document(desk: Indoors, approval_id: str) -> dict[str, Any]:
    return dict(desk.get(f"/api/approvals/{approval_id}").get_json())


def notes(desk: Indoors, ticket_id: int) -> list[str]:
    ticket = next(one for one in desk.zendesk.state()["tickets"] if one["id"] == ticket_id)
    marks = [(one, (one["metadata"].get("custom") or {}).get("billing_desk") or {}) for one in ticket["comments"]]
    return [one["html_body"] for one, mark in marks if mark.get("stage") == "refund_failed" and not one["public"]]


def events(desk: Indoors) -> list[str]:
    with desk.product.engine.connect() as connection:
        assert audit.first_broken(connection) is None
        return [entry.event for entry in audit.entries(connection)]


def test_a_refund_on_its_way_is_not_yet_money_and_its_end_makes_the_reply_say_so(desk: Indoors) -> None:
    seeded = seed(desk, status="pending", ends={"status": "succeeded", "after": 3600})
    approval_id = approved(desk, seeded)
    taken = document(desk, approval_id)
    assert (taken["state"], taken["money_moved"], taken["money_pending"]) == ("done", {}, {"usd": 2900})
    step = next(one for one in taken["steps"] if one["kind"] == "refund_charge")
    assert (step["state"], step["receipt"]["status"]) == ("done", "pending")
    assert "is on its way" in desk.get(f"/api/tickets/{seeded.ticket}/card", html=True).text
    waits = follow(desk, approval_id)
    assert waits[0] == 60
    assert waits == sorted(waits)
    ended = document(desk, approval_id)
    assert (ended["state"], ended["money_moved"], ended["money_pending"]) == ("done", {"usd": 2900}, {})
    assert ended["reply"]["body"] != taken["reply"]["body"]
    assert "refund_succeeded" in events(desk)
    assert notes(desk, seeded.ticket) == []


def test_a_refund_that_fails_later_is_shown_noted_audited_and_not_counted(desk: Indoors) -> None:
    ends = {"status": "failed", "failure_reason": "expired_or_canceled_card", "after": 86_400}
    seeded = seed(desk, status="pending", ends=ends)
    approval_id = approved(desk, seeded)
    before = document(desk, approval_id)["reply"]
    follow(desk, approval_id)
    ended = document(desk, approval_id)
    assert (ended["state"], ended["money_moved"], ended["money_pending"]) == ("needs_person", {}, {})
    step = next(one for one in ended["steps"] if one["kind"] == "refund_charge")
    assert (step["state"], step["reason"]) == ("refused", "refund_failed")
    assert "has not got the money" in step["says"]
    assert (before["state"], ended["reply"]["state"]) == ("ready", "ready")
    assert ended["reply"]["body"] != before["body"]
    stored = desk.stored(seeded.ticket)
    assert stored is not None
    assert stored.state == "needs_human"
    (note,) = notes(desk, seeded.ticket)
    assert "expired or canceled card" in note
    assert "write again" in note
    assert "refund_failed" in events(desk)
    assert follow(desk, approval_id) == []
    assert len(notes(desk, seeded.ticket)) == 1


def test_what_failed_frees_the_limits_again(tmp_path: Path) -> None:
    with indoors(tmp_path, policy=QUICK + "per_agent_per_day = {usd = 2900}\n") as desk:
        approval_id = approved(desk, seed(desk, status="pending", ends={"status": "failed", "after": 10}))
        with desk.product.engine.connect() as connection:
            assert approvals.spent(connection, "usd", desk.clock() - timedelta(days=1)) == 2900
        follow(desk, approval_id)
        with desk.product.engine.connect() as connection:
            assert approvals.spent(connection, "usd", desk.clock() - timedelta(days=1)) == 0


def test_a_reply_that_was_sent_stays_and_the_note_asks_to_write_again(desk: Indoors) -> None:
    seeded = seed(desk, status="pending", ends={"status": "failed", "after": 10})
    approval_id = approved(desk, seeded, deliver="public_reply")
    assert document(desk, approval_id)["reply"]["state"] == "sent"
    follow(desk, approval_id)
    assert document(desk, approval_id)["reply"]["state"] == "sent"
    assert "write again" in notes(desk, seeded.ticket)[0]


def test_an_agents_own_words_are_not_offered_on_when_the_refund_failed(desk: Indoors) -> None:
    seeded = seed(desk, status="pending", ends={"status": "canceled", "after": 10})
    approval_id = approved(desk, seeded, body="We have refunded you.")
    assert document(desk, approval_id)["reply"]["state"] == "ready"
    follow(desk, approval_id)
    assert document(desk, approval_id)["reply"]["state"] == "none"
    assert refund_of(desk, approval_id).reason == "refund_canceled"


def test_a_refund_that_stripe_fails_at_once_was_never_done(desk: Indoors) -> None:
    approval_id = approved(desk, seed(desk, status="failed", failure_reason="declined"))
    found = document(desk, approval_id)
    assert (found["state"], found["money_moved"]) == ("needs_person", {})
    assert refund_of(desk, approval_id).reason == "refund_failed"
    assert not any(job.startswith("follow:") for job in desk.jobs())


def test_a_refund_that_failed_after_it_had_succeeded_is_found_when_stripe_tells(desk: Indoors) -> None:
    seeded = seed(desk, status="succeeded")
    approval_id = approved(desk, seeded)
    desk.stripe.settle_refund(desk.stripe.refunds()[0]["id"], "failed", failure_reason="declined")
    following, woken = Following(desk.product.desk), f"{refund_of(desk, approval_id).id}:evt_1"
    assert [following.turn(woken), following.turn(woken)] == [0.0, None]
    assert document(desk, approval_id)["money_moved"] == {}
    assert len(notes(desk, seeded.ticket)) == 1


def test_a_wake_that_comes_too_early_or_for_nothing_looks_once(desk: Indoors) -> None:
    approval_id = approved(desk, seed(desk, status="pending"))
    following, identifier = Following(desk.product.desk), refund_of(desk, approval_id).id
    assert following.turn(f"{identifier}:evt_1") is None
    assert following.turn("ac_nobody") is None
    assert refund_of(desk, approval_id).receipt == {**(refund_of(desk, approval_id).receipt or {}), "status": "pending"}


def test_while_stripe_does_not_answer_nothing_is_concluded(desk: Indoors) -> None:
    approval_id = approved(desk, seed(desk, status="pending", ends={"status": "succeeded", "after": 30}))
    desk.stripe.faults.add("reset_before", method="GET", path="/v1/refunds/.*", times=3)
    assert len(follow(desk, approval_id)) == 3
    assert document(desk, approval_id)["money_moved"] == {"usd": 2900}


def test_a_refund_without_an_end_goes_to_a_person_after_a_month(desk: Indoors) -> None:
    approval_id = approved(desk, seed(desk, status="requires_action"))
    desk.clock.advance(timedelta(days=29))
    assert follow(desk, approval_id) == [12 * 3600.0] * 3  # the third look is past the thirtieth day
    found = document(desk, approval_id)
    assert (found["state"], found["reason"], found["money_moved"]) == ("needs_person", "refund_still_pending", {})


def test_a_note_whose_answer_is_lost_stands_once(desk: Indoors) -> None:
    seeded = seed(desk, status="pending", ends={"status": "failed", "after": 10})
    approval_id = approved(desk, seeded)
    desk.zendesk.faults.add("reset_after", method="PUT", path="/api/v2/tickets/", times=2)
    follow(desk, approval_id)
    assert len(notes(desk, seeded.ticket)) == 1


# --- a credit note that refunds ---------------------------------------------------------------------------------------


def credited(desk: Indoors, **refund: Any) -> str:
    """An approval, run to its end, whose refund is made by a credit note on the charge's invoice."""
    seeded = seed(desk, **refund)
    card = desk.card(seeded.ticket)
    body = {
        "plan_digest": card["plan"]["digest"], "steps": [step["id"] for step in card["plan"]["steps"]],
        "follow_up": {"body": card["follow_up"]["body"], "deliver": "draft"}, "file_issue": False,
    }  # fmt: skip
    approval_id = str(desk.post(f"/api/tickets/{seeded.ticket}/approvals", body).get_json()["approval_id"])
    note = CreateCreditNote(invoice=extra_invoice(desk, seeded), amount=Money(2900, "usd"))
    with desk.product.engine.begin() as connection:
        mine = action_table.c.id == refund_of(desk, approval_id).id
        connection.execute(sa.update(action_table).where(mine).values(kind=note.kind, step=encode(note)))
    applying = Applying(desk.product.desk)
    while (again := applying.turn(approval_id)) is not None:
        desk.clock.advance(timedelta(seconds=again))
    return approval_id


@pytest.mark.parametrize(("becomes", "moved"), [("succeeded", {"usd": 2900}), ("failed", {})])
def test_the_refund_of_a_credit_note_is_followed_to_its_end(desk: Indoors, becomes: str, moved: Any) -> None:
    approval_id = credited(desk, status="pending", ends={"status": becomes, "after": 3600})
    shown = document(desk, approval_id)
    assert (shown["money_moved"], shown["money_pending"]) == ({}, {"usd": 2900})
    step = next(one for one in shown["steps"] if one["kind"] == "create_credit_note")
    assert (step["receipt"]["object"][:3], step["receipt"]["status"]) == ("cn_", "pending")
    assert step["receipt"]["refund"] == desk.stripe.refunds()[0]["id"]
    with desk.product.engine.connect() as connection:
        found = approvals.by_refund(connection, step["receipt"]["refund"])
    assert found is not None
    assert f"follow:{found.id}" in desk.jobs()
    desk.clock.advance(timedelta(hours=2))
    following = Following(desk.product.desk)
    while following.turn(found.id) is not None:
        pass
    ended = document(desk, approval_id)
    assert (ended["money_moved"], ended["money_pending"]) == (moved, {})
    assert ended["state"] == ("done" if moved else "needs_person")
    assert bool(notes(desk, shown["ticket_id"])) is not bool(moved)


# --- sums -------------------------------------------------------------------------------------------------------------


def told_sums(desk: Indoors) -> tuple[dict[str, int], int, dict[str, int], dict[str, int], str]:
    """What the gap's ledger, its charges, the approvals, the week and the figures say was refunded, at this moment."""
    with desk.product.engine.connect() as connection:
        (row,) = ledger(connection)
        charges = connection.execute(sa.select(gap_ticket.c.charges)).scalar_one()
        week = gap_week.report(connection, gap_week.week_of(began(connection)), desk.clock())["refunded"]["sums"]
        (approval_id,) = connection.execute(sa.select(approval.c.id)).scalars()
        moved = money_moved(approvals.actions(connection, approval_id))
    figures = [line for line in desk.client.get("/metrics").text.splitlines() if "money_moved_minor{" in line]
    return row["refunded"], charges, moved, week, figures[0].rpartition(" ")[2] if figures else "0"


def began(connection: sa.Connection) -> datetime:
    at: datetime = connection.execute(sa.select(approval.c.created_at)).scalar_one()
    return at


@pytest.mark.parametrize(
    ("ends", "after"),
    [
        ({"status": "succeeded", "after": 3600}, ({"usd": 2900}, 1, {"usd": 2900}, {"usd": 2900}, "2900")),
        ({"status": "failed", "after": 3600}, ({}, 0, {}, {}, "0")),
    ],
)
def test_a_refund_on_its_way_is_in_no_sum_until_it_succeeds(desk: Indoors, ends: Any, after: Any) -> None:
    approval_id = approved(desk, seed(desk, status="pending", ends=ends), file_issue=True)
    with desk.product.engine.connect() as connection:
        issue = next(one for one in approvals.actions(connection, approval_id) if one.kind == "file_issue")
    assert GapFiling(desk.product.desk).turn(issue.id) is None
    assert told_sums(desk) == ({}, 0, {}, {}, "0")
    before = {job for job in desk.jobs() if job.startswith("issue:")}
    follow(desk, approval_id)
    assert told_sums(desk) == after
    again = {job for job in desk.jobs() if job.startswith("issue:")} - before
    assert len(again) == bool(after[0])  # the issue's table is written anew only when a sum has changed


def test_a_refund_that_fails_after_it_had_succeeded_leaves_every_sum(desk: Indoors) -> None:
    approval_id = approved(
        desk, seed(desk, status="succeeded", ends={"status": "failed", "after": 60}), file_issue=True
    )
    with desk.product.engine.connect() as connection:
        issue = next(one for one in approvals.actions(connection, approval_id) if one.kind == "file_issue")
    GapFiling(desk.product.desk).turn(issue.id)
    assert told_sums(desk) == ({"usd": 2900}, 1, {"usd": 2900}, {"usd": 2900}, "2900")
    desk.clock.advance(timedelta(minutes=2))
    following = Following(desk.product.desk)
    assert following.turn(f"{refund_of(desk, approval_id).id}:evt_1") == 0
    assert told_sums(desk) == ({}, 0, {}, {}, "0")
