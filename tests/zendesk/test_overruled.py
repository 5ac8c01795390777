"""Which of our rules do agents overrule most often? From the corrections they really made, and without a write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from integrations.store.tables import metadata
from testkit.indoors import Indoors, indoors
from testkit.worlds import duplicate
from zendesk.backtest import backtest
from zendesk.overruled import Overruled


def test_most_often_overruled_comes_first_and_a_rule_that_held_is_left_out():
    found = Overruled()
    found.add(["a", "b", "a"], "team_seats", "duplicate_subscription")
    found.add(["a"], "team_seats", "other_billing")
    found.add(["b", "c"], "failed_payment", "failed_payment")
    found.add(["a", "agent_correction"], "team_seats", "other_billing")
    assert found.document() == {
        "tickets": 4,
        "overruled": 3,
        "changes": [
            {"ours": "team_seats", "theirs": "other_billing", "tickets": 2},
            {"ours": "team_seats", "theirs": "duplicate_subscription", "tickets": 1},
        ],
        "rules": [{"rule": "a", "overruled": 3, "tickets": 3}, {"rule": "b", "overruled": 1, "tickets": 2}],
    }


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Three tickets of people who pay twice; of one an agent says that it is about seats, then about something else."""
    with indoors(tmp_path_factory.mktemp("overruled")) as made:
        made.world.portal_configuration()
        rig: Any = made
        price = made.world.price(made.world.product("Pro"), 2900)
        cards = [made.card(duplicate(rig, price, number).ticket) for number in (1, 2, 3)]
        for bucket in ("team_seats", "other_billing"):
            body = {"bucket": bucket, "why": "they are two people"}
            assert made.post(f"/api/tickets/{cards[0]['ticket_id']}/correction", body).status_code < 300
            made.work()
        yield made


def run(desk: Indoors, *flags: str) -> Result:
    return CliRunner().invoke(backtest, list(flags), obj=lambda: desk.product.desk)


def store_of(desk: Indoors) -> dict[str, list[Any]]:
    with desk.product.engine.connect() as connection:
        return {t.name: [tuple(row) for row in connection.execute(sa.select(t))] for t in metadata.sorted_tables}


def test_a_ticket_counts_once_from_our_first_word_to_the_agents_last(desk):
    result = run(desk, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["agents"]
    assert (found["tickets"], found["overruled"]) == (3, 1)
    assert found["changes"] == [{"ours": "duplicate_subscription", "theirs": "other_billing", "tickets": 1}]
    rules = {rule["rule"]: (rule["overruled"], rule["tickets"]) for rule in found["rules"]}
    assert rules["duplicate_same_price"] == (1, 3)
    assert "agent_correction" not in rules


def test_the_text_fits_80_columns_and_carries_no_word_of_a_customer_or_agent(desk):
    result = run(desk)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "Agents overruled our bucket on 1 of 3 tickets."
    assert max(len(line) for line in result.stdout.splitlines()) <= 80
    assert "@" not in result.stdout
    assert "two people" not in result.stdout


def test_nothing_is_asked_or_written_anywhere(desk):
    before, asked = store_of(desk), desk.asked()
    run(desk)
    assert store_of(desk) == before
    assert desk.asked() == asked


def test_a_store_without_tables_is_one_sentence(tmp_path: Path):
    with indoors(tmp_path) as made:
        with made.product.engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE correction"))
        result = run(made)
    assert result.exit_code == 3
    assert result.stderr == "Error: The store does not answer, or was never set up: run billing-desk migrate.\n"
