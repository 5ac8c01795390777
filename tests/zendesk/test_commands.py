"""Does every command answer in its promised shape, exit with its promised code, and write nothing?"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from integrations.store import audit as audit_log
from testkit import contract_card
from testkit.indoors import Indoors, indoors
from testkit.worlds import Duplicate, duplicate
from zendesk.commands import audit, diagnose, gaps, replay

SECTIONS = ["CUSTOMER", "BILLING STATE", "DECISION", "ACTION TAKEN", "FOLLOW-UP", "PRODUCT GAP"]
WROTE = "I was charged twice this month for Pro. Please refund one."


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path) as made:
        made.world.portal_configuration()
        yield made
        assert made.stripe_writes() == []
        assert [one for one in made.zendesk.wire if one.method != "GET" and one.target != "/oauth/tokens"] == []
        assert made.github.wire == []


@pytest.fixture
def seeded(desk: Indoors) -> Duplicate:
    rig: Any = desk
    found = duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900))
    desk.world.object(found.customer)["metadata"] = {"github": "maya-okafor"}
    return found


def run(desk: Indoors, command: click.Command, *arguments: str, text: str | None = None) -> Result:
    result = CliRunner().invoke(command, list(arguments), obj=lambda: desk.product.desk, input=text)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def columns(line: str) -> int:
    """How many columns a terminal needs for the line."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in line
    )


def six_sections(text: str) -> dict[str, str]:
    """The sections by name, after order and width were checked."""
    lines = text.rstrip("\n").split("\n")
    assert [line for line in lines if line in SECTIONS] == SECTIONS
    assert [line for line in lines if columns(line) > 80] == []
    parts, name = dict.fromkeys(SECTIONS, ""), ""
    for line in lines:
        name = line if line in SECTIONS else name
        parts[name] += line + "\n"
    assert all(part.count("\n") > 1 for part in parts.values())
    return parts


def names_of(desk: Indoors, seeded: Duplicate) -> list[tuple[str, str]]:
    invoices = [one["id"] for one in desk.stripe.state()["invoices"] if one["customer"] == seeded.customer]
    return [
        ("--email", seeded.email), ("--email", seeded.email.upper()), ("--customer", seeded.customer),
        ("--subscription", seeded.extra), ("--invoice", invoices[0]), ("--charge", seeded.charge),
        ("--github", "maya-okafor"), ("--ticket", str(seeded.ticket)),
    ]  # fmt: skip


def test_every_way_of_naming_somebody_leads_to_the_same_customer_in_six_sections(
    desk: Indoors, seeded: Duplicate
) -> None:
    for option, value in names_of(desk, seeded):
        result = run(desk, diagnose, option, value)
        assert result.exit_code in {0, 4}, (option, result.output)
        parts = six_sections(result.stdout)
        assert seeded.customer in parts["CUSTOMER"], option
        assert seeded.extra in parts["BILLING STATE"], option


def test_as_json_it_is_the_card_of_the_contract(desk: Indoors, seeded: Duplicate) -> None:
    for option, value in names_of(desk, seeded):
        for written in (None, WROTE):
            text = ["--text", "-"] if written else []
            result = run(desk, diagnose, option, value, "--json", *text, text=written)
            card = json.loads(result.stdout)
            assert contract_card.faults(card) == [], option
            assert card["customer"]["chosen"] == seeded.customer


def test_the_checker_of_the_card_can_fail(desk: Indoors, seeded: Duplicate) -> None:
    card = json.loads(run(desk, diagnose, "--ticket", str(seeded.ticket), "--json").stdout)
    assert contract_card.faults(card) == []
    step = next(one for one in card["plan"]["steps"] if one["kind"] == "refund_charge")
    for place, key, wrong in (
        (card, "state", "fine"), (card["decision"], "bucket", "refunds"), (card["decision"], "confidence", 1.5),
        (step, "amount", 29.0), (step, "kind", "refund"), (step, "reversible", True), (step, "currency", "USD"),
        (step, "object", "pi_1"), (card["customer"], "identity", "sure"), (card["plan"], "digest", "sha256:1"),
        (card, "as_of", "2026-11-22 10:00"), (card["billing_state"]["anomalies"][0], "code", "twice"),
        (card["billing_state"]["anomalies"][0], "objects", None), (card["plan"]["revenue_impact"], "refund", {}),
    ):  # fmt: skip
        right = place[key]
        place[key] = wrong
        assert contract_card.faults(card), (key, wrong)
        place[key] = right
    assert contract_card.faults(card) == []


def test_a_ticket_is_diagnosed_as_the_webhook_diagnosed_it(tmp_path: Path) -> None:
    with indoors(tmp_path) as desk:
        rig: Any = desk
        desk.world.portal_configuration()
        seeded = duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900))
        stored = desk.card(seeded.ticket)
        asked = run(desk, diagnose, "--ticket", str(seeded.ticket), "--json")
        card = json.loads(asked.stdout)
        assert asked.exit_code == 0
        of_the_store = {"version", "integrations", "news"}
        assert set(stored) - set(card) <= of_the_store
        assert {key: stored[key] for key in card} == card


def test_the_text_of_a_file_speaks_for_the_ticket(desk: Indoors, seeded: Duplicate, tmp_path: Path) -> None:
    file = tmp_path / "mail.txt"
    file.write_text("How do I get an invoice with our VAT number on it?", encoding="utf-8")
    card = json.loads(run(desk, diagnose, "--email", seeded.email, "--json", "--text", str(file)).stdout)
    assert card["decision"]["bucket"] == "self_serve_gap"
    twice = json.loads(run(desk, diagnose, "--email", seeded.email, "--json", "--text", "-", text=WROTE).stdout)
    assert twice["decision"]["bucket"] == "duplicate_subscription"


def test_another_now_changes_the_decision(desk: Indoors, seeded: Duplicate) -> None:
    def refunds(*at: str) -> list[Any]:
        arguments = ["--email", seeded.email, "--json", "--text", "-", *at]
        card = json.loads(run(desk, diagnose, *arguments, text=WROTE).stdout)
        return [step for step in card["plan"]["steps"] if step["kind"] == "refund_charge"]

    assert refunds()
    later = (desk.clock() + timedelta(days=200)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert refunds("--at", later) == []  # the charge is far outside the window of refunds


@pytest.mark.parametrize("at", ["2026-11-22", "2026-11-22T10:00:00Z", "2026-11-22T10:00:00+09:00", "2026-11-22T10:00"])
def test_a_time_may_be_written_in_these_ways(desk: Indoors, seeded: Duplicate, at: str) -> None:
    result = run(desk, diagnose, "--email", seeded.email, "--at", at, "--json")
    assert contract_card.faults(json.loads(result.stdout)) == []


@pytest.mark.parametrize("at", ["0001-01-01", "9999-12-31", "0001-01-01T00:00:00+23:00", "1970-01-01"])
def test_a_time_at_the_end_of_the_calendar_breaks_nothing(desk: Indoors, seeded: Duplicate, at: str) -> None:
    result = run(desk, diagnose, "--email", seeded.email, "--at", at)
    assert result.exit_code in {0, 2, 4}
    assert result.exit_code != 2 or result.stderr.count("\n") == 1


@pytest.mark.parametrize("email", ["nobody@acme.example", "no address", "a@b", "'; DROP TABLE card; --", "x" * 500])
def test_nobody_of_that_name_is_five(desk: Indoors, email: str) -> None:
    result = run(desk, diagnose, "--email", email)
    assert result.exit_code == 5, result.output
    assert six_sections(result.stdout)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--customer", "cus_missing"), ("--subscription", "sub_missing"), ("--invoice", "in_missing"),
     ("--charge", "ch_missing"), ("--github", "nobody"), ("--ticket", "999"), ("--customer", "nonsense")],
)  # fmt: skip
def test_what_is_not_there_is_five(desk: Indoors, option: str, value: str) -> None:
    result = run(desk, diagnose, option, value)
    assert result.exit_code == 5, result.output


def test_when_a_person_must_decide_it_is_four(desk: Indoors, seeded: Duplicate) -> None:
    desk.world.dispute(seeded.charge)
    result = run(desk, diagnose, "--email", seeded.email, "--text", "-", text=WROTE)
    assert result.exit_code == 4, result.output
    assert "person" in six_sections(result.stdout)["DECISION"]


@pytest.mark.parametrize(
    "arguments",
    [[], ["--email", "a@b.example", "--customer", "cus_1"], ["--ticket", "0"], ["--ticket", "x"], ["--ticket", "-1"],
     ["--email", ""], ["--customer", "  "], ["--email", "a@b.example", "--at", "yesterday"],
     ["--email", "a@b.example", "--text", "/nonexistent/file"], ["--nothing"]],
    ids=str,
)  # fmt: skip
def test_wrong_usage_is_two_and_asks_nobody(desk: Indoors, arguments: list[str]) -> None:
    result = run(desk, diagnose, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.rstrip().split("\n")[-1].startswith("Error: ")
    assert desk.asked() == 0


def test_a_text_that_is_no_text_is_two(desk: Indoors, tmp_path: Path) -> None:
    file = tmp_path / "mail.txt"
    file.write_bytes(b"\xff\xfe\x00")
    result = run(desk, diagnose, "--email", "a@b.example", "--text", str(file))
    assert (result.exit_code, result.stderr) == (2, "Error: --text is not UTF-8 text.\n")


def test_when_stripe_does_not_answer_it_is_three(desk: Indoors, seeded: Duplicate) -> None:
    desk.stripe.stop()
    for option, value in (("--email", seeded.email), ("--customer", seeded.customer)):
        result = run(desk, diagnose, option, value)
        assert (result.exit_code, result.stdout) == (3, ""), result.output
        assert result.stderr.startswith("Error: Stripe did not answer")
        assert seeded.email not in result.stderr


def test_when_zendesk_does_not_answer_it_is_three(desk: Indoors, seeded: Duplicate) -> None:
    desk.zendesk.stop()
    result = run(desk, diagnose, "--ticket", str(seeded.ticket))
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("Error: Zendesk did not answer")


def test_a_ticket_without_zendesk_is_wrong_settings(tmp_path: Path) -> None:
    with indoors(tmp_path, zendesk_oauth_client_id="", zendesk_api_token="") as desk:
        result = run(desk, diagnose, "--ticket", "1")
        assert result.exit_code == 2
        assert "ZENDESK_SUBDOMAIN" in result.stderr


@pytest.mark.parametrize(
    "name", ["\x1b[31mred\x1b[0m", "非常に長い名前" * 12, "W" * 200, "a\nCUSTOMER\nb", "\u202eevil\u200b"]
)
def test_hostile_names_neither_widen_nor_colour_nor_forge_a_line(desk: Indoors, seeded: Duplicate, name: str) -> None:
    desk.world.object(seeded.customer)["name"] = name
    for product in desk.stripe.store.of_kind("product"):
        product["name"] = name
    result = run(desk, diagnose, "--ticket", str(seeded.ticket))
    six_sections(result.stdout)
    assert not [letter for letter in result.stdout if unicodedata.category(letter) in {"Cc", "Cf"} and letter != "\n"]


# --- the other commands ---------------------------------------------------------------------------------------------


def test_an_empty_ledger_says_so(desk: Indoors) -> None:
    assert "No gap" in run(desk, gaps).stdout
    assert json.loads(run(desk, gaps, "--json").stdout) == {"gaps": []}


def test_the_audit_chain_is_verified_and_its_first_broken_entry_named(desk: Indoors) -> None:
    with desk.product.engine.begin() as connection:
        for number in range(5):
            audit_log.append(
                connection, at=desk.clock(), actor="agent:1", event="approved", ticket_id=number, body={"n": number}
            )
    whole = run(desk, audit, "verify")
    assert (whole.exit_code, whole.stdout) == (0, "5 entries, chain whole.\n")
    lines = run(desk, audit, "export").stdout.splitlines()
    assert [json.loads(line)["number"] for line in lines] == [1, 2, 3, 4, 5]
    with desk.product.engine.begin() as connection:
        connection.execute(sa.text("UPDATE audit SET actor = 'agent:2' WHERE number = 3"))
    broken = run(desk, audit, "verify")
    assert (broken.exit_code, broken.stderr) == (1, "Error: The audit chain is broken at entry 3.\n")


def test_a_stored_delivery_is_handled_again_and_an_unknown_one_is_five(desk: Indoors, seeded: Duplicate) -> None:
    delivery = desk.deliver(seeded.ticket).get_json()["delivery_id"]
    result = run(desk, replay, delivery)
    assert (result.exit_code, result.stdout) == (0, f"Ticket {seeded.ticket} is read again.\n")
    assert desk.jobs() == [f"enrich:{seeded.ticket}:1", f"enrich:{seeded.ticket}:2"]
    missing = run(desk, replay, "dl_unknown")
    assert (missing.exit_code, missing.stderr) == (5, "Error: There is no such delivery.\n")
