"""Do stop, go, a second agent, outside changes and a dead GitHub work in the real processes, on either store?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from testkit.ledgers import notes_of, renewing_subscriptions
from testkit.rig import REPOSITORY, Rig, rigged, wait_for
from testkit.worlds import Duplicate, duplicate, plan_of


@pytest.fixture
def holding_rig(tmp_path: Path, store_url: str) -> Iterator[Rig]:
    """A rig that waits long before a final step."""
    with rigged(tmp_path, store_url, policy="[refunds]\nhold_seconds = 60\n") as made:
        yield made


def opened(rig: Rig, amount: int = 2900) -> tuple[Duplicate, dict[str, Any], str]:
    """A started product with one ticket's card; the agent's page token."""
    price = plan_of(rig) if amount == 2900 else rig.world.price(rig.world.product("Studio"), amount)
    seed = duplicate(rig, price)
    rig.start()
    assert rig.deliver(seed.ticket) == 202
    token = rig.launch()
    return seed, rig.card(seed.ticket, token), token


def held(rig: Rig, approval_id: str, token: str) -> None:
    def holding() -> bool:
        return bool(rig.get(f"/api/approvals/{approval_id}", token=token).json().get("state") == "holding")

    wait_for(holding, 20, "the hold never came")


def test_a_stop_in_the_hold_refunds_nothing_and_going_on_refunds_at_once(holding_rig: Rig) -> None:
    rig = holding_rig
    seed, card, token = opened(rig)
    other = duplicate(rig, plan_of(rig), 2)
    stopped = rig.approve(card, token).json()["approval_id"]
    held(rig, stopped, token)
    assert rig.post(f"/api/approvals/{stopped}/cancel", token=token).status_code == 202
    assert rig.finished(stopped, token)["money_moved"] == {}
    assert rig.stripe.refunds() == []
    assert rig.deliver(other.ticket) == 202
    going = rig.approve(rig.card(other.ticket, token), token).json()["approval_id"]
    held(rig, going, token)
    assert rig.post(f"/api/approvals/{going}/go", token=token).status_code == 202
    assert rig.finished(going, token, 20)["state"] == "done"
    assert [refund["charge"] for refund in rig.stripe.refunds()] == [other.charge]
    assert notes_of(rig, "write_internal_note") == {seed.ticket: 0, other.ticket: 1}


def test_a_large_refund_is_typed_and_waits_for_a_second_agent(rig: Rig) -> None:
    rig.world.portal_configuration()
    seed, card, token = opened(rig, 25_000)
    assert rig.approve(card, token).json()["error"]["code"] == "confirmation_needed"
    answer = rig.approve(card, token, confirm="250.00")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "second_approval_required")
    approval_id = answer.json()["approval_id"]
    assert rig.post(f"/api/approvals/{approval_id}/second", token=token).status_code == 403
    assert rig.stripe.writes() == []
    other = rig.launch(rig.zendesk.add_agent("Ben Ito", "ben@acme.example")["id"])
    assert rig.post(f"/api/approvals/{approval_id}/second", token=other).status_code == 202
    assert rig.finished(approval_id, token)["money_moved"] == {"usd": 25_000}
    assert [refund["charge"] for refund in rig.stripe.refunds()] == [seed.charge]


def test_what_changed_between_card_and_approval_stops_the_approval_with_the_new_plan(rig: Rig) -> None:
    seed, card, token = opened(rig)
    rig.world.refund(seed.charge, 2900)
    answer = rig.approve(card, token)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "plan_changed")
    assert answer.json()["card"]["plan"]["digest"] != card["plan"]["digest"]
    assert rig.stripe.writes() == []


@pytest.mark.timeout(180)
def test_what_changed_while_no_worker_ran_stops_the_approval_before_the_first_write(
    tmp_path: Path, postgres_database: str
) -> None:
    with rigged(tmp_path, postgres_database) as rig:
        seed, card, token = opened(rig)
        for pid in rig.workers:
            rig.end(pid)
        approval_id = rig.approve(card, token).json()["approval_id"]
        rig.world.refund(seed.charge, 2900)
        rig.age_approval(approval_id, timedelta(minutes=2))
        rig.start_worker()
        done = rig.finished(approval_id, token)
        assert (done["state"], done["reason"], done["money_moved"]) == ("stopped", "plan_changed", {})
        assert rig.stripe.writes() == []
        fresh = rig.card(seed.ticket, token)
        assert fresh["plan"]["digest"] != card["plan"]["digest"]


def test_github_that_is_down_delays_nothing_and_gets_its_one_issue_later(rig: Rig) -> None:
    rig.github.faults.add("status", times=None, status=500)
    first, card, token = opened(rig)
    seeds = [first, *(duplicate(rig, plan_of(rig), number) for number in (2, 3))]
    approved = [rig.approve(card, token).json()["approval_id"]]
    for seed in seeds[1:]:
        assert rig.deliver(seed.ticket) == 202
        approved.append(rig.approve(rig.card(seed.ticket, token), token).json()["approval_id"])

    def ended() -> bool:
        answers = [rig.get(f"/api/approvals/{approval_id}", token=token).json() for approval_id in approved]
        return all(answer["state"] == "done" for answer in answers)

    wait_for(ended, 20, "an approval waited for GitHub")
    assert {refund["charge"] for refund in rig.stripe.refunds()} == {seed.charge for seed in seeds}
    assert rig.github.state()["repositories"][REPOSITORY]["issues"] == []
    rig.github.faults.clear()
    numbers = {rig.finished(approval_id, token)["issue"]["number"] for approval_id in approved}
    (issue,) = rig.github.state()["repositories"][REPOSITORY]["issues"]
    assert numbers == {issue["number"]}
    assert "| Cases | **3** |" in issue["body"]


def test_a_note_whose_answer_was_lost_stands_once_and_an_undo_puts_the_renewal_back(rig: Rig) -> None:
    seed, card, token = opened(rig)
    wait_for(lambda: notes_of(rig, "enrich")[seed.ticket] == 1, 20, "no note of the reading")
    rig.zendesk.faults.add("reset_after", method="PUT", path="/api/v2/tickets/", times=2)
    approval_id = rig.approve(card, token, file_issue=False).json()["approval_id"]
    done = rig.finished(approval_id, token)
    assert done["state"] == "done"
    assert notes_of(rig, "write_internal_note") == {seed.ticket: 1}
    assert renewing_subscriptions(rig) == {seed.kept}
    assert rig.github.wire == []
    step = next(one for one in done["steps"] if one["kind"] == "schedule_cancellation")
    assert rig.post(f"/api/approvals/{approval_id}/undo", {"step": step["id"]}, token=token).status_code in {200, 202}
    assert renewing_subscriptions(rig) == {seed.kept, seed.extra}
