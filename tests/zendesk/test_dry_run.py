"""Is nothing applied in dry run, whatever is clicked, and is what agents said about the plans kept and told?"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

import app as product_app
from billing.policy import PolicyError, parse
from billing.steps import decode
from integrations.checks import Question, State, examine
from integrations.settings import Settings
from integrations.store import approvals, audit
from integrations.store.approvals import Action, Approval
from testkit.indoors import Indoors, indoors
from testkit.rig import WRITE_KEY
from testkit.worlds import Duplicate, duplicate
from zendesk import gap_week
from zendesk.agreement import agreement, report
from zendesk.applying import Applying
from zendesk.gaps import GapFiling

DRY = "[refunds]\nhold_seconds = 0\n[people]\ndry_run = true\n[stripe]\nreads_per_second = 500\n"
REAL = "[refunds]\nhold_seconds = 0\n"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    """In dry run, and without any key that could write at Stripe."""
    with indoors(tmp_path, policy=DRY, stripe_write_key="") as made:
        yield made


def seed(desk: Indoors, number: int = 1) -> Duplicate:
    rig: Any = desk
    known = [one for one in desk.stripe.state()["prices"] if one["unit_amount"] == 2900]
    if not known:
        desk.world.portal_configuration()
    return duplicate(rig, known[0] if known else desk.world.price(desk.world.product("Pro"), 2900), number)


def approve(desk: Indoors, card: dict[str, Any], **changes: Any) -> Any:
    body = {
        "plan_digest": card["plan"]["digest"], "steps": [step["id"] for step in card["plan"]["steps"]],
        "follow_up": {"body": card["follow_up"]["body"], "deliver": "draft"}, "file_issue": True,
    } | changes  # fmt: skip
    return desk.post(f"/api/tickets/{card['ticket_id']}/approvals", body)


def stored(desk: Indoors, approval_id: str) -> tuple[Approval, tuple[Action, ...]]:
    with desk.product.engine.connect() as connection:
        found = approvals.read(connection, approval_id)
        assert found is not None
        return found, approvals.actions(connection, approval_id)


def writes(desk: Indoors) -> list[str]:
    """What left for any vendor and was no read; Zendesk's own note, tags and fields of a reading among them."""
    return [
        f"{one.method} {one.target}"
        for twin in (desk.stripe, desk.zendesk, desk.github)
        for one in twin.wire
        if one.method not in {"GET", "HEAD"} and "/oauth/" not in one.target
    ]


@contextmanager
def switched(desk: Indoors, policy: str, *, write_key: str | None = None) -> Iterator[None]:
    """The same installation after a restart with this policy."""
    Path(desk.settings.policy_path).write_text(policy, encoding="utf-8")
    settings = dataclasses.replace(desk.settings, stripe_write_key=write_key or desk.settings.stripe_write_key)
    before = desk.product, desk.client
    made = product_app.build(settings, now=desk.clock)
    desk.product = dataclasses.replace(made, desk=dataclasses.replace(made.desk, zendesk=before[0].desk.zendesk))
    desk.client = desk.product.web().test_client()
    try:
        yield
    finally:
        made.engine.dispose()
        desk.product, desk.client = before


# --- nothing leaves ---------------------------------------------------------------------------------------------------


def test_an_approval_is_recorded_and_nothing_at_all_is_sent(desk: Indoors) -> None:
    card = desk.card(seed(desk).ticket)
    before, jobs = writes(desk), desk.jobs()
    answer = approve(desk, card, follow_up={"body": card["follow_up"]["body"], "deliver": "public_reply"})
    assert answer.status_code == 202
    approval_id = answer.get_json()["approval_id"]
    found, actions = stored(desk, approval_id)
    assert (found.state, found.reason, found.finished_at) == ("stopped", "dry_run", desk.clock())
    assert {(one.state, one.reason, one.sent_at) for one in actions} == {("skipped", "dry_run", None)}
    assert {"refund_charge", "write_internal_note", "file_issue", "public_reply"} <= {one.kind for one in actions}
    assert Applying(desk.product.desk).turn(approval_id) is None
    desk.work()
    assert (writes(desk), desk.jobs(), desk.stripe.refunds()) == (before, jobs, [])
    document = desk.get(f"/api/approvals/{approval_id}").get_json()
    assert (document["money_moved"], document["money_pending"], document["reply"]["state"]) == ({}, {}, "none")
    assert document["says"] == "Dry run: recorded, and nothing was applied."
    with desk.product.engine.connect() as connection:
        entries = [one for one in audit.entries(connection) if one.event == "approved_in_dry_run"]
        assert [(one.actor, one.body["moved"]) for one in entries] == [(f"agent:{desk.agent['id']}", {"usd": 2900})]
        assert audit.first_broken(connection) is None


def test_no_limit_is_spent_and_no_second_person_is_asked(tmp_path: Path) -> None:
    caps = "[refunds]\nhold_seconds = 0\nsecond_approval_above = {usd = 100}\nper_agent_per_day = {usd = 2900}\n"
    with indoors(tmp_path, policy=caps + "[people]\ndry_run = true\n") as desk:
        for number in (1, 2):
            answer = approve(desk, desk.card(seed(desk, number).ticket))
            assert (answer.status_code, answer.get_json()["state"]) == (202, "stopped")
        with desk.product.engine.connect() as connection:
            assert approvals.spent(connection, "usd", desk.clock() - timedelta(days=1)) == 0
        assert desk.stripe_writes() == []


def test_the_same_click_twice_is_one_answer_and_a_colleague_hears_whose_it_was(desk: Indoors) -> None:
    card = desk.card(seed(desk).ticket)
    first, again = approve(desk, card), approve(desk, card)
    assert first.get_json()["approval_id"] == again.get_json()["approval_id"]
    other = approve(desk, card, steps=[card["plan"]["steps"][0]["id"]], file_issue=False)
    assert other.status_code in {409, 422}


def test_the_executor_holds_no_key_that_could_write(tmp_path: Path) -> None:
    with indoors(tmp_path, policy=DRY) as desk:
        card = desk.card(seed(desk).ticket)
        executor = desk.product.desk.executor
        assert executor is not None
        assert desk.settings.stripe_write_key
        step = next(one for one in card["plan"]["steps"] if one["kind"] == "refund_charge")
        _, actions = stored(desk, approve(desk, card).get_json()["approval_id"])
        action = next(one for one in actions if one.kind == step["kind"])
        forced = executor.perform(decode(action.step), step_id="s", action=action.id, ticket=1, key="k")
        assert (forced.outcome, forced.reason) == ("refused", "not_permitted")
        assert desk.stripe.refunds() == []


def test_a_hand_over_is_recorded_and_an_undo_is_refused(desk: Indoors) -> None:
    card = desk.card(seed(desk).ticket)
    before = writes(desk)
    assert desk.post(f"/api/tickets/{card['ticket_id']}/handover").status_code == 200
    approval_id = approve(desk, desk.get(f"/api/tickets/{card['ticket_id']}/card").get_json()).get_json()["approval_id"]
    answer = desk.post(f"/api/approvals/{approval_id}/undo", {"step": "s1"})
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (409, "not_reversible")
    assert writes(desk) == before


# --- begin and end ----------------------------------------------------------------------------------------------------


def test_after_the_dry_run_the_plan_is_shown_again_and_approved_for_real_once(desk: Indoors) -> None:
    seeded = seed(desk)
    card = desk.card(seeded.ticket)
    first = approve(desk, card).get_json()["approval_id"]
    with switched(desk, REAL, write_key=WRITE_KEY):
        fresh = desk.get(f"/api/tickets/{seeded.ticket}/card").get_json()
        assert (fresh["approval"], fresh["state"]) == (None, "ready")
        assert fresh["plan"]["digest"] != card["plan"]["digest"]
        late = approve(desk, card)  # a page that was open all the time
        assert late.get_json()["approval_id"] == first
        assert desk.stripe_writes() == []
        approval_id = approve(desk, fresh).get_json()["approval_id"]
        while Applying(desk.product.desk).turn(approval_id) is not None:
            pass
        found, _ = stored(desk, approval_id)
    assert (found.state, len(desk.stripe.refunds())) == ("done", 1)


def test_a_look_anew_in_dry_run_shows_the_plan_and_it_can_be_approved_again(desk: Indoors) -> None:
    seeded = seed(desk)
    first = approve(desk, desk.card(seeded.ticket)).get_json()["approval_id"]
    assert desk.get(f"/api/tickets/{seeded.ticket}/card").get_json()["approval"]["id"] == first
    desk.clock.advance(timedelta(seconds=30))
    fresh = desk.post(f"/api/tickets/{seeded.ticket}/refresh").get_json()
    assert fresh["approval"] is None
    second = approve(desk, fresh).get_json()["approval_id"]
    assert second != first
    assert stored(desk, second)[0].reason == "dry_run"


def test_a_plan_that_waits_when_the_dry_run_begins_is_stopped_before_its_first_byte(tmp_path: Path) -> None:
    with indoors(tmp_path, policy=REAL) as desk:
        approval_id = approve(desk, desk.card(seed(desk).ticket)).get_json()["approval_id"]
        before = writes(desk)
        with switched(desk, DRY):
            applying = Applying(desk.product.desk)
            assert [applying.turn(approval_id) for _ in range(2)] == [0.0, None]
        found, actions = stored(desk, approval_id)
        assert (found.state, found.reason) == ("stopped", "dry_run")
        assert {one.state for one in actions} == {"canceled"}
        assert writes(desk) == before


def test_what_was_sent_before_the_dry_run_is_looked_up_and_the_rest_never_goes_out(tmp_path: Path) -> None:
    with indoors(tmp_path, policy=REAL) as desk:
        approval_id = approve(desk, desk.card(seed(desk).ticket)).get_json()["approval_id"]
        applying = Applying(desk.product.desk)
        while not desk.stripe_writes():
            applying.turn(approval_id)
        sent = desk.stripe_writes()
        assert desk.stripe.refunds() == []
        with switched(desk, DRY):
            dry = Applying(desk.product.desk)
            while dry.turn(approval_id) is not None:
                pass
            issue = next(one for one in stored(desk, approval_id)[1] if one.kind == "file_issue")
            assert GapFiling(desk.product.desk).turn(issue.id) == 3600
        found, actions = stored(desk, approval_id)
        assert found.state == "partly_done"
        refund = next(one for one in actions if one.kind == "refund_charge")
        assert (refund.state, refund.reason) == ("canceled", "dry_run")
        assert (desk.stripe_writes(), desk.github.writes()) == (sent, [])


def test_a_lost_answer_from_before_is_found_or_left_to_a_person_and_never_sent_again(tmp_path: Path) -> None:
    with indoors(tmp_path, policy=REAL) as desk:
        approval_id = approve(desk, desk.card(seed(desk).ticket)).get_json()["approval_id"]
        with desk.product.engine.begin() as connection:
            for one in approvals.actions(connection, approval_id):
                if one.kind == "refund_charge":
                    approvals.change_action(connection, one.id, desk.clock(), state="unknown", sent_at=desk.clock())
        before = desk.stripe_writes()
        with switched(desk, DRY):
            dry = Applying(desk.product.desk)
            while dry.turn(approval_id) is not None:
                pass
            assert "billing_desk_parked_steps 1" in desk.client.get("/metrics").text
        found, actions = stored(desk, approval_id)
        assert found.state == "needs_person"
        refund = next(one for one in actions if one.kind == "refund_charge")
        assert (refund.state, refund.reason, desk.stripe_writes()) == ("unknown", "ask_a_person", before)


# --- what is shown ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("locale", "button", "note", "after"),
    [
        ("en-US", "Would refund $29.00", "<b>Dry run.</b>", "Would have refunded <b>$29.00</b>"),
        ("de", "Würde 29,00", "<b>Probelauf.</b>", "wären erstattet worden"),
    ],
)
def test_the_sidebar_says_would_before_and_after(
    desk: Indoors, locale: str, button: str, note: str, after: str
) -> None:
    agent = desk.zendesk.add_agent("Lea Kraus", "lea@acme.example", locale=locale)
    token = desk.page_token(int(agent["id"]))
    card = desk.card(seed(desk).ticket)
    path = f"/api/tickets/{card['ticket_id']}/card"
    shown = desk.get(path + "?view=review", token, html=True).text.replace("\xa0", " ")
    assert button in shown
    assert note in shown
    assert "Approve and" not in shown
    assert "Read only" not in shown  # without a write key as well: nothing would be written
    approve(desk, card)
    ended = desk.get(path, token, html=True).text.replace("\xa0", " ")
    assert after in ended
    assert "fail-note" not in ended


def test_doctor_has_one_line_for_it_and_none_otherwise() -> None:
    lines = [
        [
            check
            for check in examine(Question(settings=Settings(), dry_run=on, seconds=0.2)).checks
            if check.name == "Mode"
        ]
        for on in (True, False)
    ]
    assert [(one.state, one.evidence) for one in lines[0]] == [(State.WARN, "dry run: nothing is applied")]
    assert lines[1] == []


@pytest.mark.parametrize("value", ['"true"', "1", "[]"])
def test_what_is_neither_true_nor_false_is_refused_with_its_line(value: str) -> None:
    with pytest.raises(PolicyError, match=r"line 2: people\.dry_run is true or false"):
        parse(f"[people]\ndry_run = {value}\n")


# --- agreement --------------------------------------------------------------------------------------------------------


def test_agreement_counts_each_proposal_once_by_what_was_said_to_it(desk: Indoors) -> None:
    cards = [desk.card(seed(desk, number).ticket) for number in range(1, 7)]
    approve(desk, cards[0])
    approve(desk, cards[1], follow_up={"body": "Hello, we look into this. Ana", "deliver": "draft"})
    optional = next(step for step in cards[2]["plan"]["steps"] if step["optional"] and step["kind"] != "file_issue")
    kept = [step["id"] for step in cards[2]["plan"]["steps"] if step["id"] != optional["id"]]
    approve(desk, cards[2], steps=kept)
    correction = {"bucket": "other_billing", "why": "it is about a discount"}
    assert desk.post(f"/api/tickets/{cards[3]['ticket_id']}/correction", correction).status_code == 202
    assert desk.post(f"/api/tickets/{cards[4]['ticket_id']}/handover").status_code == 200
    approve(desk, cards[0])  # the same click once more
    with desk.product.engine.connect() as connection:
        found = report(connection, desk.clock() - timedelta(hours=1), desk.clock())
        week = gap_week.report(connection, gap_week.week_of(desk.clock()), desk.clock())
        earlier = report(connection, desk.clock() - timedelta(hours=2), desk.clock() - timedelta(hours=1))
    assert found["proposals"] == 6
    assert found["answers"] == {
        "as_proposed": 1, "reply_edited": 1, "steps_skipped": 1, "corrected": 1, "handed_over": 1, "not_answered": 1,
    }  # fmt: skip
    assert list(found["buckets"]) == ["duplicate_subscription"]
    refunds = 3 - (optional["kind"] == "refund_charge")
    assert found["would_have_moved"] == {"to_customers": {"usd": 2900 * refunds}, "charged": {}}
    assert earlier["proposals"] == 0
    assert week["suggestions"] == {"accepted": 1, "edited": 2, "overruled": 1}
    assert week["refunded"] == {"sums": {}, "charges": 0}
    assert desk.stripe_writes() == []


def test_the_command_tells_it_in_words_and_as_json(desk: Indoors) -> None:
    approve(desk, desk.card(seed(desk).ticket))
    run = CliRunner().invoke
    text = run(agreement, [], obj=lambda: desk.product.desk)
    assert text.exit_code == 0
    assert "Approved as proposed" in text.output
    assert "100 %" in text.output
    assert "given back: 29.00 USD" in text.output
    assert all(len(line) <= 80 for line in text.output.splitlines())
    document = json.loads(run(agreement, ["--json", "--since", "2020-01-01"], obj=lambda: desk.product.desk).output)
    assert document["answers"]["as_proposed"] == 1
    assert run(agreement, ["--since", "yesterday"], obj=lambda: desk.product.desk).exit_code == 2


def test_recorded_approvals_are_no_money_in_the_figures(desk: Indoors) -> None:
    approve(desk, desk.card(seed(desk).ticket))
    figures = desk.client.get("/metrics").text
    assert 'billing_desk_runs_total{result="stopped"} 1' in figures
    assert "billing_desk_money_moved_minor{" not in figures
    assert "billing_desk_parked_steps 0" in figures
    with desk.product.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM gap_ticket")).scalar() == 0
