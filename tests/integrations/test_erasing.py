"""Do texts about people leave the store, on both databases, while sums, open work and the record stay?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from integrations.store import approvals, audit, cards, database, deliveries, erasing
from integrations.store.tables import action, approval, card, correction, delivery, metadata

NOW = datetime(2026, 11, 22, 10, 2, 11, tzinfo=UTC)
OLD = NOW - timedelta(days=400)
BEFORE = NOW - timedelta(days=365)
MAYA = "maya.okafor@acme.example"
PLAN: dict[str, Any] = {
    "steps": [
        {
            "id": "s1",
            "step": {"kind": "refund_charge", "charge": "ch_1", "amount": {"amount": 2900, "currency": "usd"}},
            "says": f"Refund {MAYA}", "title": f"Refund {MAYA}", "running": MAYA, "done": MAYA, "detail": MAYA,
            "requires": [], "facts": [["cus_1", "email", MAYA]], "optional": False, "undo_until": None,
        }
    ],
    "impact": {"refund": {"usd": 2900}, "mrr": {}}, "blocked": [], "untouched": f"{MAYA} keeps Pro.",
    "affected_charges": ["ch_1"], "kept": [], "extra": [],
}  # fmt: skip


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    url = f"sqlite:///{tmp_path / 'desk.db'}"
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgres_database"))
    made = database.open_engine(url)
    database.upgrade(made)
    yield made
    made.dispose()


def ticket(engine: sa.Engine, number: int, at: datetime, *, state: str = "done", step: str = "done") -> None:
    """A ticket with everything we ever store about one."""
    with engine.begin() as connection:
        cards.ask_for(connection, number, at)
        cards.change(
            connection, number, at, version=None, state="ready", plan=PLAN, lookup=MAYA, approval_id=f"ap_{number}",
            document={"customer": {"chosen": "cus_1", "email": MAYA}, "words": f"I am {MAYA}."}, noted_at=at,
        )  # fmt: skip
        row = {
            "id": f"ap_{number}", "ticket_id": number, "customer": "cus_1", "digest": "sha256:1", "round": 1,
            "request_hash": "h", "agent_id": 7, "agent_name": "Ana", "state": state, "plan": PLAN,
            "follow_up": {"body": f"Dear {MAYA}", "planned": MAYA, "facts": {"name": MAYA}, "deliver": "draft"},
            "attempts": 0, "reply_state": "sent", "created_at": at, "finished_at": at if state == "done" else None,
            "problem": MAYA,
        }  # fmt: skip
        step_row = {
            "id": f"ac_{number}", "approval_id": f"ap_{number}", "step_id": "s1", "position": 0,
            "kind": "refund_charge", "step": PLAN["steps"][0]["step"], "key": f"k{number}", "state": step,
            "amount": 2900, "currency": "usd", "agent_id": 7, "customer": "cus_1", "attempts": 0, "created_at": at,
            "updated_at": at,
        }  # fmt: skip
        approvals.insert(connection, row, [step_row])
        why = {"ticket_id": number, "agent_id": 7, "was": "a", "bucket": "b", "why": MAYA, "evidence": {"m": MAYA}}
        connection.execute(sa.insert(correction).values(**why, at=at))
        deliveries.accept(
            connection, source="zendesk", key=f"event:{number}", ticket_id=number, body={"ticket_id": number}, now=at
        )
        connection.execute(sa.update(delivery).values(state="done"))
        body = {"amount": 2900, "object": "ch_1"}
        audit.append(connection, at=at, actor="agent:7", event="step_done", ticket_id=number, body=body)


def everything(engine: sa.Engine, number: int | None = None) -> str:
    """All rows of all tables, or those of one ticket, as one text."""
    found: list[Any] = []
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            rows = connection.execute(sa.select(table)).mappings()
            found += [dict(row) for row in rows if number is None or row.get("ticket_id") == number]
    return json.dumps(found, default=str)


def prune(engine: sa.Engine) -> list[int]:
    with engine.begin() as connection:
        found = erasing.resting(connection, BEFORE)
        for number in found:
            erasing.erase(connection, number, NOW)
    return found


def test_only_tickets_that_rest_long_enough_are_pruned_and_sums_and_record_stay(engine: sa.Engine) -> None:
    ticket(engine, 1, OLD)
    ticket(engine, 2, BEFORE + timedelta(days=1))
    assert prune(engine) == [1]
    assert prune(engine) == []
    assert MAYA not in everything(engine, 1)
    assert MAYA in everything(engine, 2)
    with engine.connect() as connection:
        assert approvals.spent(connection, "usd", OLD) == 5800
        assert audit.first_broken(connection) is None
        stored = cards.read(connection, 1)
    assert stored is not None
    assert stored.erased
    assert stored.noted_at == OLD  # else a later reading would write the note again


@pytest.mark.parametrize(
    ("state", "step"), [("applying", "sending"), ("waiting_second", "pending"), ("needs_person", "unknown")]
)
def test_what_an_open_approval_needs_is_never_pruned(engine: sa.Engine, state: str, step: str) -> None:
    ticket(engine, 1, OLD, state=state, step=step)
    assert prune(engine) == []
    with engine.connect() as connection:
        assert erasing.is_open(connection, 1)


def test_a_ticket_that_was_asked_for_lately_is_not_resting(engine: sa.Engine) -> None:
    ticket(engine, 1, OLD)
    with engine.begin() as connection:
        cards.ask_for(connection, 1, NOW)
    assert prune(engine) == []


def test_an_erased_card_is_read_again_when_somebody_asks(engine: sa.Engine) -> None:
    ticket(engine, 1, OLD)
    prune(engine)
    with engine.begin() as connection:
        assert cards.ask_for(connection, 1, NOW) == 2
        stored = cards.read(connection, 1)
    assert stored is not None
    assert (stored.erased, stored.state) == (False, "enriching")


def test_handled_deliveries_lose_their_bodies_and_still_count_once(engine: sa.Engine) -> None:
    ticket(engine, 1, OLD)
    ticket(engine, 2, NOW)
    with engine.begin() as connection:
        assert erasing.empty_deliveries(connection, BEFORE) == 1
        assert erasing.empty_deliveries(connection, BEFORE) == 0
        again = deliveries.accept(connection, source="zendesk", key="event:1", ticket_id=1, body={}, now=NOW)
    assert again is None


def test_a_person_is_found_by_address_in_every_text_and_never_by_half_of_one(engine: sa.Engine) -> None:
    ticket(engine, 1, NOW)
    with engine.begin() as connection:
        for number, address in ((2, "big." + MAYA), (3, MAYA + ".org"), (4, "x" + MAYA)):
            cards.ask_for(connection, number, NOW)
            cards.change(connection, number, NOW, version=None, document={"words": f"Write to {address}"})
        cards.ask_for(connection, 5, NOW)
        cards.change(connection, 5, NOW, version=None, document={"words": ["(Maya.Okafor@Acme.Example)."]})
        cards.ask_for(connection, 6, NOW)
        cards.change(connection, 6, NOW, version=None, document={"words": "müller@straße.example, 100% sure_"})
        assert erasing.tickets_of_address(connection, MAYA.upper()) == [1, 5]
        assert erasing.tickets_of_address(connection, "Müller@straße.example") == [6]
        assert erasing.tickets_of_address(connection, "m_ller@straße.example") == []  # a wildcard is a letter here
        assert erasing.tickets_of_customer(connection, "cus_1") == [1]
        assert erasing.tickets_of_customer(connection, "cus_") == []


def test_the_columns_that_hold_texts_are_all_known_here() -> None:
    """A new column for words or JSON must be looked at: is it erased, or free of texts about people?"""
    free = {
        "delivery.body", "card.written", "gap.said", "gap_ticket.refunded", "gap_ticket.at_risk", "action.step",
        "action.receipt", "action.before", "audit.body",
    }  # fmt: skip
    erased = {
        "card.document", "card.plan", "approval.plan", "approval.follow_up", "correction.evidence", "gap_news.body",
    }  # fmt: skip
    wide = {
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, sa.JSON | sa.Text)
    }
    assert wide == free | erased


def test_only_one_ticket_is_touched(engine: sa.Engine) -> None:
    ticket(engine, 1, NOW)
    ticket(engine, 2, NOW)
    before = everything(engine, 2)
    with engine.begin() as connection:
        told = erasing.erase(connection, 1, NOW, customer_too=True)
    assert (told.card, told.approvals, told.corrections) == (True, 1, 1)
    assert everything(engine, 2) == before
    with engine.connect() as connection:
        kept = connection.execute(sa.select(action.c.amount, action.c.step).where(action.c.id == "ac_1")).one()
        plan = connection.execute(sa.select(approval.c.plan).where(approval.c.id == "ap_1")).scalar_one()
        chosen = connection.execute(sa.select(card.c.requests).where(card.c.ticket_id == 1)).scalar_one()
    assert (kept.amount, kept.step["charge"], chosen) == (2900, "ch_1", 1)
    assert plan["steps"][0]["title"] == "refund charge"
