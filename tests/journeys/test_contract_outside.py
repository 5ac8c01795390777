"""Is what the contract promises true for somebody who knows nothing else? The findings of a black-box examination."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import app
from testkit import contract_card
from testkit.indoors import migrated_copy
from testkit.stage import Stage, staged
from testkit.worlds import Duplicate, duplicate
from zendesk.commands import gaps

STORED = [["gaps", "--json"], ["audit", "verify", "--json"], ["replay", "dl_1"], ["parked", "--json"]]


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder without settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("STRIPE_READ_KEY", "DATABASE_URL", "ZENDESK_SUBDOMAIN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def command(folder: Path, *arguments: str, **environment: str) -> Result:
    environment = {"DATABASE_URL": f"sqlite:///{folder / 'desk.db'}", "LOG_LEVEL": "error"} | environment
    result = CliRunner().invoke(app.cli, arguments, env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", STORED, ids=" ".join)
def test_what_only_asks_the_store_needs_a_migrated_store_and_no_key(nowhere: Path, arguments: list[str]) -> None:
    empty = command(nowhere, *arguments)
    assert (empty.exit_code, empty.stderr) == (2, "Error: The store is empty. Run billing-desk migrate first.\n")
    migrated_copy(nowhere / "desk.db")
    asked = command(nowhere, *arguments)
    assert asked.exit_code == (5 if "replay" in arguments else 0), asked.output


def test_json_is_one_document_on_stdout_also_when_the_answer_is_no(nowhere: Path) -> None:
    refused = command(nowhere, "diagnose", "--email", "maya@acme.example", "--json")
    line = "STRIPE_READ_KEY is not set. Put it in the environment or .env."
    assert (refused.exit_code, refused.stderr) == (2, f"Error: {line}\n")
    assert json.loads(refused.stdout) == {"error": {"message": line, "exit_code": 2}}


def test_a_zendesk_api_token_is_taken_with_a_warning_that_names_its_end(nowhere: Path) -> None:
    migrated_copy(nowhere / "desk.db")
    asked = command(nowhere, "gaps", ZENDESK_EMAIL="desk@acme.example", ZENDESK_API_TOKEN="t" * 30)
    assert asked.exit_code == 0
    assert "2027-04-30" in asked.stderr
    assert all(len(line) <= 80 for line in asked.output.splitlines())


# --- a ticket's way ---------------------------------------------------------------------------------------------------


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path, policy="[refunds]\nhold_seconds = 60\n") as made:
        made.clear()
        yield made


@pytest.fixture
def seeded(stage: Stage) -> Duplicate:
    rig: Any = stage.desk
    stage.desk.world.portal_configuration()
    return duplicate(rig, stage.desk.world.price(stage.desk.world.product("Pro"), 2900))


def test_after_a_stop_in_the_hold_the_next_plan_is_shown_whole_and_can_be_approved(
    stage: Stage, seeded: Duplicate
) -> None:
    approval = stage.approve(seeded.ticket)
    for _ in range(2):
        app.Applying(stage.desk.product.desk).turn(approval)
    assert stage.desk.post(f"/api/approvals/{approval}/cancel").status_code == 202
    stage.run(approval)
    stopped = stage.document(approval)
    assert (stopped["state"], stopped["money_moved"]) == ("partly_done", {})
    stage.desk.clock.advance(timedelta(minutes=1))
    assert stage.desk.post(f"/api/tickets/{seeded.ticket}/refresh").status_code == 202
    card = stage.desk.get(f"/api/tickets/{seeded.ticket}/card").get_json()
    assert contract_card.faults(card) == []
    kinds = [step["kind"] for step in card["plan"]["steps"]]
    assert "refund_charge" in kinds
    assert "schedule_cancellation" not in kinds  # that much was done
    again = stage.approve(seeded.ticket)
    stage.run(again)
    assert stage.document(again)["money_moved"] == {"usd": 2900}
    assert [refund["charge"] for refund in stage.desk.stripe.refunds()] == [seeded.charge]


def test_steps_are_a_set_and_every_time_is_utc_with_a_z(stage: Stage, seeded: Duplicate) -> None:
    card = stage.desk.card(seeded.ticket)
    path, body = f"/api/tickets/{seeded.ticket}/approvals", stage.body(card)
    first = stage.desk.post(path, body | {"steps": [*body["steps"], body["steps"][0]]})
    assert first.status_code == 202, first.text
    assert stage.desk.post(path, body).get_json()["approval_id"] == first.get_json()["approval_id"]
    approval = first.get_json()["approval_id"]
    stage.run(approval)
    stage.file(stage.step(approval, "file_issue").id)
    times = [step["receipt"]["at"] for step in stage.document(approval)["steps"]]
    (row,) = stage.desk.get("/api/gaps").get_json()["gaps"]
    for time in (*times, row["first_seen"], row["last_seen"]):
        assert time.endswith("Z")
        assert datetime.fromisoformat(time)
    shown = CliRunner().invoke(gaps, [], obj=lambda: stage.desk.product.desk).stdout
    assert "refunded 29.00 USD, at risk a month nothing" in shown
    assert "customers 1, seen " in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_webhook_body_below_a_megabyte_is_taken(stage: Stage, seeded: Duplicate) -> None:
    body = json.dumps({"ticket_id": seeded.ticket, "more": "x" * 900_000}).encode()
    made = stage.desk.zendesk.deliver_webhook(
        seeded.ticket, "http://127.0.0.1:9/webhooks/zendesk", secret=stage.desk.settings.zendesk_webhook_secrets[0],
        body=body,
    )  # fmt: skip
    assert stage.desk.post_webhook(made.headers, made.body).status_code == 202
