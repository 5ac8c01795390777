"""Can an operator check the record, erase a person and end a parked step, and does each say what it did?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from integrations.store import approvals, audit
from integrations.store.tables import action as action_table
from integrations.store.tables import audit as audit_table
from testkit.indoors import Indoors, indoors
from testkit.worlds import Duplicate, duplicate
from zendesk import audit_head
from zendesk.applying import Applying
from zendesk.commands import audit as audit_command
from zendesk.upkeep_commands import parked, redact

QUICK = "[refunds]\nhold_seconds = 0\n"
CANARY = "Zanzibar-Quokka"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path, policy=QUICK, audit_heads_path=str(tmp_path / "heads.log")) as made:
        made.world.portal_configuration()
        yield made


@pytest.fixture
def seeded(desk: Indoors) -> Duplicate:
    rig: Any = desk
    return duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900))


def run(desk: Indoors, command: click.Command, *arguments: str) -> Result:
    result = CliRunner().invoke(command, list(arguments), obj=lambda: desk.product.desk)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    if "--json" not in arguments and arguments[:1] != ("export",) and result.exit_code != 2:
        assert all(len(line) <= 80 for line in result.output.splitlines()), result.output
    return result


def approve(desk: Indoors, seeded: Duplicate, **changes: Any) -> str:
    card = desk.card(seeded.ticket)
    body = {
        "plan_digest": card["plan"]["digest"], "steps": [step["id"] for step in card["plan"]["steps"]],
        "follow_up": {"body": card["follow_up"]["body"] + f"\n\n{CANARY}", "deliver": "draft"}, "file_issue": False,
    } | changes  # fmt: skip
    answer = desk.post(f"/api/tickets/{seeded.ticket}/approvals", body)
    assert answer.status_code == 202, answer.text
    return str(answer.get_json()["approval_id"])


def work(desk: Indoors, approval_id: str) -> str:
    """Until it ends; the state."""
    applying = Applying(desk.product.desk)
    for _ in range(60):
        again = applying.turn(approval_id)
        if again is None:
            break
        desk.clock.advance(timedelta(seconds=again))
    with desk.product.engine.connect() as connection:
        found = approvals.read(connection, approval_id)
    assert found is not None
    return found.state


# --- audit ----------------------------------------------------------------------------------------------------------


def test_a_head_that_was_kept_elsewhere_shows_a_chain_that_was_cut_off_or_rewritten(
    desk: Indoors, seeded: Duplicate, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    work(desk, approve(desk, seeded))
    with caplog.at_level("INFO"):
        audit_head.keep(desk.product.desk)
    told = next(one for one in caplog.records if one.msg == "audit_head")
    head = str(told.__dict__["digest"])
    assert re.fullmatch(r"[0-9]+:[0-9a-f]{8}(_[0-9a-f]{8}){7}", head)
    assert (tmp_path / "heads.log").read_text().split()[1] == head
    assert run(desk, audit_command, "verify", "--head", head).exit_code == 0
    assert json.loads(run(desk, audit_command, "verify", "--json").stdout)["head"] == head

    last = int(head.partition(":")[0])
    with desk.product.engine.begin() as connection:
        connection.execute(sa.delete(audit_table).where(audit_table.c.number == last))
        connection.execute(sa.text("DELETE FROM mark"))
    for arguments in (["--head", head], []):  # the second knows it from the file
        cut = run(desk, audit_command, "verify", *arguments)
        assert (cut.exit_code, f"missing at entry {last}" in cut.stderr) == (1, True)
    (tmp_path / "heads.log").unlink()
    assert run(desk, audit_command, "verify").exit_code == 0  # the chain alone cannot tell
    other = f"1:{'0' * 64}"
    assert "entry 1" in run(desk, audit_command, "verify", "--head", other).stderr
    assert run(desk, audit_command, "verify", "--head", "nonsense").exit_code == 2


def test_a_line_that_a_crash_cut_off_does_not_spoil_the_file_of_heads(
    desk: Indoors, seeded: Duplicate, tmp_path: Path
) -> None:
    approve(desk, seeded)
    audit_head.keep(desk.product.desk)
    with (tmp_path / "heads.log").open("a") as file:
        file.write("2026-11-23T10:0")
    assert run(desk, audit_command, "verify").exit_code == 0


def test_the_audit_of_a_whole_approval_holds_nobodys_words_name_or_address(desk: Indoors, seeded: Duplicate) -> None:
    work(desk, approve(desk, seeded))
    lines = run(desk, audit_command, "export").stdout
    assert lines.count("\n") >= 4
    ticket = next(one for one in desk.zendesk.state()["tickets"] if one["id"] == seeded.ticket)
    for word in (seeded.email, "Maya", "Okafor", CANARY, "Ana Ruiz", ticket["subject"]):
        assert word not in lines


# --- erasure --------------------------------------------------------------------------------------------------------


def everything(desk: Indoors) -> str:
    with desk.product.engine.connect() as connection:
        tables = [sa.table(name) for name in sa.inspect(connection).get_table_names()]
        rows = [row for one in tables for row in connection.execute(sa.select(sa.text("*")).select_from(one))]
    return "\n".join(repr(tuple(row)) for row in rows)  # a row's own repr shortens long texts


@pytest.mark.parametrize("how", ["address", "ticket", "customer"])
def test_an_erasure_takes_every_text_and_leaves_sums_and_a_whole_chain(
    desk: Indoors, seeded: Duplicate, how: str
) -> None:
    approval_id = approve(desk, seeded)
    assert run(desk, redact, seeded.email).exit_code == 4  # it runs, and needs its texts
    assert CANARY in everything(desk)
    assert work(desk, approval_id) == "done"
    why = {"bucket": "other_billing", "why": f"{CANARY} said so"}
    assert desk.post(f"/api/tickets/{seeded.ticket}/correction", why).status_code in {200, 202}
    named = {
        "address": [seeded.email.upper()],
        "ticket": ["--ticket", "1"],
        "customer": ["--customer", seeded.customer],
    }
    told = run(desk, redact, *named[how], "--json")
    assert told.exit_code == 0
    erased = json.loads(told.stdout)["erased"]
    assert [(one["ticket_id"], one["card"], one["approvals"], one["corrections"]) for one in erased] == [
        (1, True, 1, 1)
    ]
    left = everything(desk)
    for word in (seeded.email, CANARY, "Okafor"):
        assert word not in left
    with desk.product.engine.connect() as connection:
        assert audit.first_broken(connection) is None
        assert approvals.spent(connection, "usd", desk.clock() - timedelta(days=1)) == 2900
    assert desk.get(f"/api/approvals/{approval_id}").get_json()["money_moved"] == {"usd": 2900}
    assert run(desk, redact, *named["ticket"]).exit_code == 5
    # Opened again, the ticket is simply read again.
    assert desk.get(f"/api/tickets/{seeded.ticket}/card").status_code == 202
    desk.work()
    assert desk.get(f"/api/tickets/{seeded.ticket}/card").status_code == 200


def test_an_erasure_wants_exactly_one_person(desk: Indoors) -> None:
    for wrong in ([], ["maya"], ["a@b.example", "--ticket", "1"], ["--customer", "sub_1"], ["--ticket", "0"]):
        assert run(desk, redact, *wrong).exit_code == 2, wrong
    assert run(desk, redact, "nobody@acme.example").exit_code == 5


# --- parked ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def stuck(desk: Indoors, seeded: Duplicate) -> tuple[str, str]:
    """An approval whose refund nobody knows the outcome of; its id and the step's."""
    approval_id = approve(desk, seeded)
    assert work(desk, approval_id) == "done"
    with desk.product.engine.begin() as connection:
        step = next(one for one in approvals.actions(connection, approval_id) if one.kind == "refund_charge")
        lost = {"state": "unknown", "reason": "ask_a_person", "receipt": sa.null()}
        connection.execute(sa.update(action_table).where(action_table.c.id == step.id).values(**lost))
        approvals.change(connection, approval_id, state="needs_person")
    return approval_id, step.id


def test_a_parked_step_is_listed_with_what_to_look_for(
    desk: Indoors, seeded: Duplicate, stuck: tuple[str, str]
) -> None:
    listed = run(desk, parked, "--json")
    assert listed.exit_code == 4
    (one,) = json.loads(listed.stdout)["parked"]
    assert (one["action"], one["ticket_id"], one["step"]) == (stuck[1], seeded.ticket, "refund_charge")
    assert (one["object"], one["amount"], one["currency"]) == (seeded.charge, 2900, "usd")
    assert stuck[1] in one["check"]
    shown = run(desk, parked).stdout
    assert "29.00" in shown
    assert "refund of this charge" in shown


def test_a_resumed_step_is_found_at_stripe_and_never_sent_again(desk: Indoors, stuck: tuple[str, str]) -> None:
    writes = len(desk.stripe_writes())
    assert run(desk, parked, "resume", stuck[1]).exit_code == 0
    assert run(desk, parked, "resume", stuck[1]).exit_code == 5  # two operators: one wins
    assert work(desk, stuck[0]) == "done"
    assert len(desk.stripe_writes()) == writes
    assert run(desk, parked).exit_code == 0
    assert any(job.startswith(f"apply:{stuck[0]}:") for job in desk.jobs())


@pytest.mark.parametrize(("outcome", "state", "spent"), [("done", "done", 2900), ("refused", "partly_done", 0)])
def test_what_a_person_saw_is_written_down_with_their_name(
    desk: Indoors, stuck: tuple[str, str], outcome: str, state: str, spent: int
) -> None:
    found = ["--object", "re_seen"] if outcome == "done" else []
    assert run(desk, parked, "settle", stuck[1], outcome, *found).exit_code == 0
    assert work(desk, stuck[0]) == state
    with desk.product.engine.connect() as connection:
        told = [one for one in audit.entries(connection) if one.event == f"parked_{outcome}"]
        step = approvals.read_action(connection, stuck[1])
        assert approvals.spent(connection, "usd", desk.clock() - timedelta(days=1)) == spent
    assert [one.actor.partition(":")[0] for one in told] == ["operator"]
    assert step is not None
    assert step.state == outcome
    assert (step.receipt or {}).get("object") == ("re_seen" if found else None)
    assert run(desk, parked, "settle", stuck[1], outcome).exit_code == 5


def test_an_id_that_waits_for_nobody_is_not_found(desk: Indoors) -> None:
    assert run(desk, parked, "resume", "ac_none").exit_code == 5
    assert run(desk, parked, "settle", "ac_none", "done", "--object", "re 1").exit_code == 2
    assert run(desk, parked).stdout == "No step waits for a person.\n"
