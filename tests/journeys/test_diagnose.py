"""Does `billing-desk diagnose` as a process keep its promises: six sections, exit codes, JSON on stdout, no write?"""

from __future__ import annotations

import json
from typing import Any

from testkit import contract_card
from testkit.rig import Rig
from testkit.worlds import Duplicate, duplicate

SECTIONS = ["CUSTOMER", "BILLING STATE", "DECISION", "ACTION TAKEN", "FOLLOW-UP", "PRODUCT GAP"]
VOLATILE = {"version", "integrations", "as_of"}


def seed(rig: Rig) -> Duplicate:
    rig.world.portal_configuration()
    return duplicate(rig, rig.world.price(rig.world.product("Pro"), 2900))


def writes(rig: Rig) -> list[str]:
    asked = [*rig.stripe.wire, *rig.zendesk.wire, *rig.github.wire]
    return [f"{one.method} {one.target}" for one in asked if one.method != "GET" and one.target != "/oauth/tokens"]


def without_volatile(card: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in card.items() if key not in VOLATILE}


def test_each_way_of_asking_answers_in_six_sections_and_writes_nowhere(small_rig: Rig) -> None:
    seeded = seed(small_rig)
    for option, value in (("--email", seeded.email), ("--charge", seeded.charge), ("--ticket", str(seeded.ticket))):
        ended = small_rig.cli("diagnose", option, value)
        assert ended.returncode in {0, 4}, ended.stderr
        lines = ended.stdout.splitlines()
        assert [line for line in lines if line in SECTIONS] == SECTIONS
        assert max(map(len, lines)) <= 80
        assert "\x1b" not in ended.stdout
    assert writes(small_rig) == []
    assert small_rig.stripe.refunds() == []


def test_json_is_alone_on_stdout_while_the_log_goes_to_stderr(small_rig: Rig) -> None:
    seeded = seed(small_rig)
    ended = small_rig.cli(
        "diagnose", "--email", seeded.email, "--text", "-", "--json", text="I was charged twice, refund one.",
        LOG_LEVEL="debug",
    )  # fmt: skip
    assert contract_card.faults(json.loads(ended.stdout)) == []
    assert ended.returncode == 0
    assert small_rig.cli("diagnose", "--email", "nobody@acme.example", "--json").returncode == 5
    assert small_rig.cli("diagnose", "--email", seeded.email, STRIPE_API_BASE="http://127.0.0.1:9").returncode == 3
    assert small_rig.cli("diagnose").returncode == 2
    assert writes(small_rig) == []


def test_a_store_is_not_needed_to_diagnose(small_rig: Rig) -> None:
    seeded = seed(small_rig)
    elsewhere = f"sqlite:///{small_rig.folder / 'none.db'}"
    ended = small_rig.cli("diagnose", "--email", seeded.email, "--json", DATABASE_URL=elsewhere)
    assert ended.returncode in {0, 4}, ended.stderr
    assert not (small_rig.folder / "none.db").exists()


def test_the_command_and_the_webhook_give_the_same_card_on_both_stores(rig: Rig) -> None:
    seeded = seed(rig)
    rig.start()
    assert rig.deliver(seeded.ticket) == 202
    stored = rig.card(seeded.ticket, rig.launch())
    ended = rig.cli("diagnose", "--ticket", str(seeded.ticket), "--json")
    card = json.loads(ended.stdout)
    assert without_volatile(card) == without_volatile(stored)
    assert contract_card.faults(stored) == []
    assert rig.stripe.writes() == []
