"""Do tags and fields on the ticket say what the card says, in one update, and does our own update start nothing?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from integrations.checks.expected import FIELDS
from integrations.store import approvals
from integrations.store.approvals import Action
from integrations.store.tables import card as card_table
from integrations.store.tables import installed
from testkit.indoors import Indoors, indoors
from testkit.worlds import Duplicate, duplicate
from zendesk import in_step
from zendesk.applying import Applying
from zendesk.gaps import GapFiling

QUICK = "[refunds]\nhold_seconds = 0\n"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path, policy=QUICK) as made:
        made.world.portal_configuration()
        yield made


@pytest.fixture
def seeded(desk: Indoors) -> Duplicate:
    rig: Any = desk
    return duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900))


@pytest.fixture
def fields(desk: Indoors) -> dict[str, int]:
    """Our ticket fields, as `install` leaves them."""
    ids = {}
    for one in FIELDS:
        made = desk.product.desk.zendesk.create_ticket_field(type=one.type, title=one.title, options=one.options)
        ids[one.key] = made.id
        with desk.product.engine.begin() as connection:
            row = {"name": f"field_{one.key}", "value": str(made.id), "at": desk.clock()}
            connection.execute(sa.insert(installed).values(**row))
    return ids


def on_ticket(desk: Indoors, seeded: Duplicate, fields: dict[str, int]) -> tuple[set[str], dict[str, Any]]:
    ticket = next(one for one in desk.zendesk.state()["tickets"] if one["id"] == seeded.ticket)
    values = {one["id"]: one["value"] for one in ticket["custom_fields"]}
    return set(ticket["tags"]), {key: values.get(number) for key, number in fields.items()}


def puts(desk: Indoors) -> int:
    return sum(one.method == "PUT" for one in desk.zendesk.wire)


def approve_and_run(desk: Indoors, seeded: Duplicate) -> str:
    card = desk.get(f"/api/tickets/{seeded.ticket}/card").get_json()
    body = {
        "plan_digest": card["plan"]["digest"], "steps": [step["id"] for step in card["plan"]["steps"]],
        "follow_up": {"body": card["follow_up"]["body"], "deliver": "draft"}, "file_issue": True,
    }  # fmt: skip
    approval_id = str(desk.post(f"/api/tickets/{seeded.ticket}/approvals", body).get_json()["approval_id"])
    run(
        desk,
        in_step.after(desk.product.desk, Applying(desk.product.desk).turn, in_step.ticket_of_approval),
        approval_id,
    )
    return approval_id


def run(desk: Indoors, handler: Any, argument: str) -> None:
    for _ in range(60):
        again = handler(argument)
        if again is None:
            return
        desk.clock.advance(timedelta(seconds=again))
    raise AssertionError("it does not end")


def test_note_tags_and_fields_are_one_update(desk: Indoors, seeded: Duplicate, fields: dict[str, int]) -> None:
    desk.card(seeded.ticket)
    assert puts(desk) == 1
    tags, values = on_ticket(desk, seeded, fields)
    assert tags >= {"billing_desk", "billing_duplicate_subscription"}
    assert values["bucket"] == "billing_duplicate_subscription"
    assert values["state"] == "billing_state_ready"
    assert str(values["confidence"]).startswith("billing_confidence_")
    assert values["gap"]


def test_without_installed_fields_there_are_tags_and_nothing_breaks(desk: Indoors, seeded: Duplicate) -> None:
    desk.card(seeded.ticket)
    assert on_ticket(desk, seeded, {})[0] == {"billing_desk", "billing_duplicate_subscription"}


def test_reading_again_what_stayed_the_same_writes_nothing(
    desk: Indoors, seeded: Duplicate, fields: dict[str, int]
) -> None:
    """So that a trigger of an admin's that fires on our own update comes to rest."""
    desk.card(seeded.ticket)
    for _ in range(3):
        assert desk.deliver(seeded.ticket, kind="trigger").status_code == 202
        desk.work()
        desk.clock.advance(timedelta(minutes=1))
    assert puts(desk) == 1


def test_a_correction_takes_the_old_bucket_away_and_leaves_what_people_added(
    desk: Indoors, seeded: Duplicate, fields: dict[str, int]
) -> None:
    desk.card(seeded.ticket)
    desk.zendesk.desk.tickets[seeded.ticket]["tags"] += ["vip", "billing_escalated"]
    changed = {"bucket": "self_serve_gap", "why": "They only want to know where the button is."}
    assert desk.post(f"/api/tickets/{seeded.ticket}/correction", changed).status_code in {200, 202}
    desk.work()
    tags, values = on_ticket(desk, seeded, fields)
    assert tags >= {"vip", "billing_escalated", "billing_desk", "billing_self_serve_gap"}
    assert "billing_duplicate_subscription" not in tags
    assert values["bucket"] == "billing_self_serve_gap"


def test_the_state_follows_the_approval_and_the_issue_gives_its_number(
    desk: Indoors, seeded: Duplicate, fields: dict[str, int]
) -> None:
    desk.card(seeded.ticket)
    approval_id = approve_and_run(desk, seeded)
    tags, values = on_ticket(desk, seeded, fields)
    assert values["state"] == "billing_state_done"
    assert "billing_state_ready" not in tags
    with desk.product.engine.connect() as connection:
        filed = next(one for one in approvals.actions(connection, approval_id) if one.kind == "file_issue")
    turn = in_step.after(desk.product.desk, GapFiling(desk.product.desk).turn, in_step.ticket_of_action)
    run(desk, turn, filed.id)
    with desk.product.engine.connect() as connection:
        done = approvals.read_action(connection, filed.id)
    assert done is not None
    assert f"gh_issue_{(done.receipt or {})['object']}" in on_ticket(desk, seeded, fields)[0]
    before = puts(desk)
    run(desk, turn, filed.id)
    assert puts(desk) == before


def test_an_approval_costs_the_ticket_one_update_and_the_issue_one_more(
    desk: Indoors, seeded: Duplicate, fields: dict[str, int]
) -> None:
    desk.card(seeded.ticket)
    before = puts(desk)
    approval_id = approve_and_run(desk, seeded)
    assert puts(desk) - before == 1
    tags, values = on_ticket(desk, seeded, fields)
    assert values["state"] == "billing_state_done"
    assert "billing_state_ready" not in tags
    with desk.product.engine.connect() as connection:
        filed = next(one for one in approvals.actions(connection, approval_id) if one.kind == "file_issue")
    run(desk, in_step.after(desk.product.desk, GapFiling(desk.product.desk).turn, in_step.ticket_of_action), filed.id)
    assert puts(desk) - before == 2


def test_a_run_that_ends_otherwise_than_its_note_foretold_is_mended(
    desk: Indoors, seeded: Duplicate, fields: dict[str, int]
) -> None:
    """The note goes before the reply, and Zendesk refuses the reply."""
    desk.card(seeded.ticket)
    card = desk.get(f"/api/tickets/{seeded.ticket}/card").get_json()
    body = {
        "plan_digest": card["plan"]["digest"], "steps": [step["id"] for step in card["plan"]["steps"]],
        "follow_up": {"body": card["follow_up"]["body"], "deliver": "public_reply"}, "file_issue": False,
    }  # fmt: skip
    approval_id = str(desk.post(f"/api/tickets/{seeded.ticket}/approvals", body).get_json()["approval_id"])
    applying = Applying(desk.product.desk)
    while note_of(desk, approval_id).state != "done":
        applying.turn(approval_id)
    desk.zendesk.faults.add("status", method="PUT", path="/api/v2/tickets/", times=1, status=422)
    run(desk, in_step.after(desk.product.desk, applying.turn, in_step.ticket_of_approval), approval_id)
    assert on_ticket(desk, seeded, fields)[1]["state"] == "billing_state_failed"


def test_a_field_that_zendesk_refuses_does_not_cost_the_note(
    desk: Indoors, seeded: Duplicate, fields: dict[str, int]
) -> None:
    desk.card(seeded.ticket)
    before = puts(desk)
    card = desk.get(f"/api/tickets/{seeded.ticket}/card").get_json()
    assert card["state"] == "ready"
    desk.zendesk.faults.add("status", method="PUT", path="/api/v2/tickets/", times=1, status=422)
    approval_id = approve_and_run(desk, seeded)
    assert note_of(desk, approval_id).state == "done"
    assert puts(desk) - before == 3  # refused, the bare note, and the fields anew


def note_of(desk: Indoors, approval_id: str) -> Action:
    with desk.product.engine.connect() as connection:
        return next(one for one in approvals.actions(connection, approval_id) if one.kind == "write_internal_note")


def test_a_closed_ticket_is_left_alone(desk: Indoors, seeded: Duplicate, fields: dict[str, int]) -> None:
    desk.card(seeded.ticket)
    desk.zendesk.desk.tickets[seeded.ticket]["status"] = "closed"
    with desk.product.engine.begin() as connection:
        connection.execute(sa.update(card_table).values(state="done"))
    assert in_step.bring(desk.product.desk, seeded.ticket) is None


def test_a_store_that_lost_the_note_finds_it_on_the_ticket(desk: Indoors, seeded: Duplicate) -> None:
    desk.card(seeded.ticket)
    with desk.product.engine.begin() as connection:
        connection.execute(sa.update(card_table).values(noted=None, noted_at=None, written=sa.null()))
    desk.work()
    ticket = next(one for one in desk.zendesk.state()["tickets"] if one["id"] == seeded.ticket)
    assert [one["public"] for one in ticket["comments"]].count(False) == 1


@pytest.mark.parametrize(
    ("write", "tags", "bucket"),
    [('["note"]', set(), None), ('["fields"]', {"billing_duplicate_subscription"}, "billing_duplicate_subscription")],
)
def test_only_what_policy_lets_us_write_is_written(
    tmp_path: Path, write: str, tags: set[str], bucket: str | None
) -> None:
    with indoors(tmp_path, policy=f"{QUICK}[enrichment]\nwrite = {write}\n") as desk:
        desk.world.portal_configuration()
        rig: Any = desk
        seeded = duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900))
        made = desk.product.desk.zendesk.create_ticket_field(
            type="tagger", title=FIELDS[0].title, options=FIELDS[0].options
        )
        with desk.product.engine.begin() as connection:
            row = {"name": "field_bucket", "value": str(made.id), "at": desk.clock()}
            connection.execute(sa.insert(installed).values(**row))
        desk.card(seeded.ticket)
        assert on_ticket(desk, seeded, {"bucket": made.id}) == (tags, {"bucket": bucket})
