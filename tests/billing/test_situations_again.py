"""What does the core decide in the 51 situations when nothing looks like the other tests: products, sums, tongues?

The rows stand in again.toml, their states in other_worlds.py.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from billing.decision import Decision, decide
from billing.evidence import Requester, TicketText, Verification
from billing.policy import Policy, Products
from billing.reading import read_ticket
from tests.billing.judging import blocked, helps, kinds, writes
from tests.billing.other_worlds import WORLDS
from tests.billing.teo import TEO

POLICY = Policy(products=Products(families=(("Atlas", "Atlas Max"),)))
ROWS: list[dict[str, Any]] = tomllib.loads(Path(__file__).with_name("again.toml").read_text("utf-8"))["row"]
PAIRS = [pytest.param(row, mail, id=f"{row['name']}-{n}") for row in ROWS for n, mail in enumerate(row["mails"])]


def judged(name: str, mail: str, **person: Any) -> Decision:
    requester = Requester(**{"email": TEO, "name": "Teo Brandt", "verification": Verification.FULL} | person)
    return decide(read_ticket(TicketText(subject="", body=mail), requester, None), WORLDS[name](), POLICY)


def complaints(row: dict[str, Any], found: Decision) -> list[str]:
    said = []
    wanted = {(kind, name, amount or None) for kind, name, amount in row.get("writes", ())}
    if set(writes(found)) != wanted:
        said.append(f"writes {writes(found)}, not {wanted}")
    said += [f"no {kind} {name}" for kind, name in row.get("helps", ()) if (kind, name or None) not in helps(found)]
    said += [f"forbidden {kind}" for kind in row.get("never", ()) if kind in kinds(found)]
    said += [f"not blocked {entry}" for entry in row.get("blocked", ()) if tuple(entry) not in blocked(found)]
    for code, names in row.get("anomalies", ()):
        shown = [set(a.objects) for a in found.anomalies if a.code == code]
        if not shown or not set(names) <= set.union(*shown):
            said.append(f"anomaly {code} {shown}")
    if not row["bucket"]:
        return said
    answer = found.diagnosis.bucket.value, found.gap, found.diagnosis.needs_human
    if answer != (row["bucket"], row.get("gap"), row.get("human", False)):
        said.append(f"bucket, gap, needs_human: {answer}")
    return said


@pytest.mark.parametrize(("row", "mail"), PAIRS)
def test_the_same_facts_in_other_clothes_lead_to_the_same_answer(row: dict[str, Any], mail: str) -> None:
    found = judged(row["name"], mail)
    read = [s.code for s in found.evidence.signals], [w.value for w in found.evidence.wishes], found.diagnosis.situation
    assert not complaints(row, found), read


def test_every_world_has_its_row() -> None:
    assert {row["name"] for row in ROWS} == WORLDS.keys()


ASKING = [row for row in ROWS if row.get("writes") and row["name"] != "nobody"]


@pytest.mark.parametrize("row", ASKING, ids=lambda row: row["name"])
@pytest.mark.parametrize(
    "person",
    [{"email": "teo@brandt.exampIe"}, {"email": "teo+x@brandt.example"}, {"comment_flags": frozenset({14})}],
    ids=["capital-i", "plus", "spoofed"],
)
def test_who_is_not_proven_gets_no_write_and_no_portal(row: dict[str, Any], person: dict[str, Any]) -> None:
    found = judged(row["name"], row["mails"][0], **person)
    assert not writes(found)
    assert not {"send_portal_login", "create_portal_session"} & set(kinds(found))


@pytest.mark.parametrize("row", ASKING, ids=lambda row: row["name"])
def test_an_unverified_address_sees_the_same_steps_and_each_waits_for_the_proof(row: dict[str, Any]) -> None:
    found = judged(row["name"], row["mails"][0], verification=Verification.NONE)
    assert found.identity.level == "matched"
    moving = [planned for planned in found.plan.steps if planned.step.moves]
    assert moving
    assert all("requester_verified" in planned.requires for planned in moving)
