"""Does the backtest compare with what was done, say money first, and write nothing anywhere?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from click.testing import CliRunner, Result

from app import cli
from integrations.store.tables import metadata
from testkit.indoors import Indoors, indoors
from testkit.rig import READ_KEY
from testkit.worlds import Duplicate, duplicate
from zendesk.backtest import backtest

WROTE = "Hi, I was charged twice this month for Pro. Please refund one."


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    """Fails when anything was written: at a vendor, or in the store."""
    with indoors(tmp_path) as made:
        made.world.portal_configuration()
        before = store_of(made)
        yield made
        assert made.stripe_writes() == []
        assert made.zendesk.wire == []
        assert made.github.wire == []
        assert store_of(made) == before


@pytest.fixture
def seeded(desk: Indoors) -> Duplicate:
    rig: Any = desk
    return duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900))


def store_of(desk: Indoors) -> dict[str, list[Any]]:
    """Every row of every table of ours, and the engine's jobs."""
    with desk.product.engine.connect() as connection:
        rows = {one.name: [tuple(row) for row in connection.execute(sa.select(one))] for one in metadata.sorted_tables}
    return rows | {"jobs": [*desk.jobs()]}


def line_of(seeded: Duplicate, **changes: Any) -> dict[str, Any]:
    """The ticket as it was, refunded as we would have."""
    refund = {"charge": seeded.charge, "amount": 2900, "currency": "usd"}
    done = {"bucket": "duplicate_subscription", "refunds": [refund]}
    asked = {"id": 48213, "email": seeded.email, "subject": "Charged twice this month??", "text": WROTE, "done": done}
    return {name: value for name, value in (asked | changes).items() if value is not None}


def snapshot_of(desk: Indoors, seeded: Duplicate) -> dict[str, Any]:
    """What Stripe answers about the customer, list by list."""

    def listed(path: str, *expand: str, **params: str) -> Any:
        expanded = {f"expand[{number}]": name for number, name in enumerate(expand)}
        answer = requests.get(
            f"{desk.stripe.url}/v1/{path}", params={**params, **expanded}, timeout=5,
            headers={"Authorization": f"Bearer {READ_KEY}", "Stripe-Version": "2026-10-28.endive"},
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        return answer.json()

    (customer,) = [one for one in desk.stripe.state()["customers"] if one["id"] == seeded.customer]
    return {
        "customers": [customer],
        "subscriptions": listed("subscriptions", status="all", customer=seeded.customer),
        "invoices": listed("invoices", "data.payments", customer=seeded.customer),
        "charges": listed("charges", "data.refunds", customer=seeded.customer),
        "payment_methods": listed(f"customers/{seeded.customer}/payment_methods")["data"],
    }


def run(desk: Indoors, tmp_path: Path, *lines: Any, flags: tuple[str, ...] = ("--json",)) -> Result:
    path = tmp_path / "past.jsonl"
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines), encoding="utf-8")
    result = CliRunner().invoke(backtest, [str(path), *flags], obj=lambda: desk.product.desk)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def report_of(result: Result) -> dict[str, Any]:
    return dict(json.loads(result.stdout))


# --- comparing ------------------------------------------------------------------------------------------------------


def test_agreement_in_bucket_and_money_is_exit_0(desk: Indoors, seeded: Duplicate, tmp_path: Path) -> None:
    result = run(desk, tmp_path, line_of(seeded))
    assert result.exit_code == 0, result.output
    assert report_of(result) == {
        "tickets": 1, "agreed": 1, "buckets": {"duplicate_subscription": {"tickets": 1, "agreed": 1}},
        "money": {"differences": 0, "done": {"usd": 2900}, "proposed": {"usd": 2900}}, "disagreements": [],
        "overruled": {"tickets": 1, "overruled": 0, "changes": [], "rules": []},
    }  # fmt: skip


@pytest.mark.parametrize("change", [{"amount": 2800}, {"currency": "eur"}, {"charge": "ch_other"}, None])
def test_another_amount_currency_charge_or_none_at_all_is_exit_1(
    desk: Indoors, seeded: Duplicate, tmp_path: Path, change: dict[str, Any] | None
) -> None:
    line = line_of(seeded)
    line["done"]["refunds"] = [] if change is None else [line["done"]["refunds"][0] | change]
    result = run(desk, tmp_path, line)
    assert result.exit_code == 1
    found = report_of(result)
    assert found["money"]["differences"] == 1
    assert found["agreed"] == 1
    (off,) = found["disagreements"]
    assert (off["line"], off["id"]) == (1, "48213")
    assert off["done"]["refunds"] == line["done"]["refunds"]
    assert off["proposed"]["refunds"] == [{"charge": seeded.charge, "amount": 2900, "currency": "usd"}]


def test_another_bucket_with_the_same_money_is_listed_and_exit_0(
    desk: Indoors, seeded: Duplicate, tmp_path: Path
) -> None:
    line = line_of(seeded)
    line["done"]["bucket"] = "other_billing"
    result = run(desk, tmp_path, line, "", line_of(seeded, id="second"))
    assert result.exit_code == 0
    found = report_of(result)
    assert found["agreed"] == 1
    assert found["buckets"] == {
        "duplicate_subscription": {"tickets": 1, "agreed": 1}, "other_billing": {"tickets": 1, "agreed": 0},
    }  # fmt: skip
    (off,) = found["disagreements"]
    assert off["proposed"]["bucket"] == "duplicate_subscription"
    overruled = found["overruled"]
    assert (overruled["tickets"], overruled["overruled"]) == (2, 1)
    assert overruled["changes"] == [{"ours": "duplicate_subscription", "theirs": "other_billing", "tickets": 1}]
    assert {"rule": "TXT_DUP_TWICE", "overruled": 1, "tickets": 2} in overruled["rules"]
    assert {"rule": "duplicate_same_price", "overruled": 1, "tickets": 2} in overruled["rules"]


def test_the_text_says_money_first_and_fits_80_columns(desk: Indoors, seeded: Duplicate, tmp_path: Path) -> None:
    line = line_of(seeded, id="x" * 200)
    line["done"] = {"bucket": "other_billing"}
    result = run(desk, tmp_path, line, flags=())
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == "Money differs on 1 of 1 tickets."
    assert [one for one in lines if len(one) > 80] == []
    assert "  proposed  29.00 USD" in lines
    assert "  done      no refund" in lines
    assert "The bucket agrees on 0 of 1 tickets." in lines
    assert "The past overruled our bucket on 1 of 1 tickets." in lines
    assert "  duplicate_subscription -> other_billing: 1" in lines
    assert f"  {'TXT_DUP_TWICE':<32}    1 of 1" in lines


# --- where the state comes from -------------------------------------------------------------------------------------


def test_a_snapshot_gives_what_reading_stripe_gives_and_asks_stripe_nothing(
    desk: Indoors, seeded: Duplicate, tmp_path: Path
) -> None:
    snapshot = snapshot_of(desk, seeded)
    asked = len(desk.stripe.wire)
    result = run(desk, tmp_path, line_of(seeded, snapshot=snapshot, at=desk.clock().isoformat()))
    assert result.exit_code == 0, result.output
    assert report_of(result)["money"]["proposed"] == {"usd": 2900}
    assert len(desk.stripe.wire) == asked


def test_an_empty_snapshot_is_a_state_too_and_not_a_reason_to_ask_stripe(
    desk: Indoors, seeded: Duplicate, tmp_path: Path
) -> None:
    asked = len(desk.stripe.wire)
    result = run(desk, tmp_path, line_of(seeded, snapshot={}))
    assert result.exit_code == 1
    assert report_of(result)["money"]["proposed"] == {}
    assert len(desk.stripe.wire) == asked


def test_the_time_in_the_line_is_now_for_the_decision(desk: Indoors, seeded: Duplicate, tmp_path: Path) -> None:
    late = (desk.clock() + timedelta(days=200)).isoformat()
    result = run(desk, tmp_path, line_of(seeded, snapshot=snapshot_of(desk, seeded), at=late))
    assert result.exit_code == 1  # long after the refund window
    assert report_of(result)["money"]["proposed"] == {}


def test_an_unverified_requester_gets_no_refund_proposed_and_a_verified_one_does(
    desk: Indoors, seeded: Duplicate, tmp_path: Path
) -> None:
    full = {"email": seeded.email, "name": "Maya Okafor", "verification": "full"}
    lines = [line_of(seeded, email=None, requester=one) for one in (full, {"email": "stranger@evil.example"})]
    result = run(desk, tmp_path, *lines)
    assert result.exit_code == 1
    assert [one["line"] for one in report_of(result)["disagreements"]] == [2]


def test_a_stripe_that_does_not_answer_is_exit_3(desk: Indoors, seeded: Duplicate, tmp_path: Path) -> None:
    desk.stripe.keys.clear()
    result = run(desk, tmp_path, line_of(seeded))
    assert result.exit_code == 3, result.output
    assert result.stderr.startswith("Error: Line 1: Stripe did not answer")


# --- bad lines ------------------------------------------------------------------------------------------------------

BAD: dict[str, tuple[dict[str, Any] | str, str]] = {
    "not JSON": ("{", "Line 2 is not JSON."),
    "a list": ("[]", "Line 2 is not a JSON object."),
    "too deep": ("[" * 100_000, "Line 2 is not JSON."),
    "no text": ({"text": None}, "Line 2: text is missing or wrong."),
    "no outcome": ({"done": None}, "Line 2: done is missing or wrong."),
    "no such bucket": ({"done": {"bucket": "refunds"}}, "Line 2: done.bucket is missing or wrong."),
    "a float": (
        {"done": {"bucket": "team_seats", "refunds": [{"charge": "ch_1", "amount": 29.5, "currency": "usd"}]}},
        "Line 2: done.refunds.0.amount is missing or wrong.",
    ),
    "a large currency": (
        {"done": {"bucket": "team_seats", "refunds": [{"charge": "ch_1", "amount": 29, "currency": "USD"}]}},
        "Line 2: done.refunds.0.currency is missing or wrong.",
    ),
    "a misspelt name": ({"snapshots": {}}, "Line 2: snapshots is missing or wrong."),
    "a part nobody knows": ({"snapshot": {"cards": []}}, "Line 2: snapshot.cards.key is missing or wrong."),
    "an object without id": (
        {"snapshot": {"charges": [{"amount": 1}]}},
        "Line 2: snapshot.charges holds an object that cannot be read.",
    ),
    "no list": ({"snapshot": {"charges": "ch_1"}}, "Line 2: snapshot.charges holds an object that cannot be read."),
    "nobody": ({"email": None}, "Line 2: give either email or requester."),
    "both": ({"requester": {}}, "Line 2: give either email or requester."),
    "no time": ({"at": "yesterday"}, "Line 2: at is missing or wrong."),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_is_one_sentence_with_its_number_before_anything_is_read(
    desk: Indoors, seeded: Duplicate, tmp_path: Path, name: str
) -> None:
    change, sentence = BAD[name]
    asked = desk.asked()
    bad = change if isinstance(change, str) else line_of(seeded, **change)
    result = run(desk, tmp_path, line_of(seeded), bad)
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["message"] == sentence
    assert result.stderr == f"Error: {sentence}\n"
    assert desk.asked() == asked


def test_an_empty_file_and_one_that_is_no_text_are_wrong_usage(desk: Indoors, tmp_path: Path) -> None:
    assert run(desk, tmp_path, "", "  ").exit_code == 2
    path = tmp_path / "latin.jsonl"
    path.write_bytes(b"\xff\xfe{}")
    result = CliRunner().invoke(backtest, [str(path)], obj=lambda: desk.product.desk)
    assert result.exit_code == 2
    assert result.stderr == "Error: The file is not UTF-8 text.\n"


def test_the_command_is_on_the_command_line() -> None:
    assert "backtest" in cli.commands
