"""Are old texts and the engine's memory of ended runs pruned by the daily tasks, on both stores?"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import app as product_app
from integrations import jobs, slots
from integrations.settings import Settings
from integrations.store import audit, cards, database
from testkit.indoors import Clock, Indoors, indoors
from zendesk import retention

POLICY = "[retention]\ndays = 30\n"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path, policy=POLICY) as made:
        yield made


def test_texts_go_when_the_days_of_the_policy_are_over(desk: Indoors) -> None:
    ticket = desk.ticket("maya@acme.example", "Charged twice", "I was charged twice, please refund one.")
    desk.card(ticket)
    desk.clock.advance(timedelta(days=29))
    retention.prune(desk.product.desk)
    stored = desk.stored(ticket)
    assert stored is not None
    assert not stored.erased
    desk.clock.advance(timedelta(days=2))
    retention.prune(desk.product.desk)
    stored = desk.stored(ticket)
    assert stored is not None
    assert stored.erased
    assert [one.body for one in desk.deliveries()] == [None]
    assert desk.deliver(ticket).status_code in {200, 202}


def test_the_daily_tasks_are_registered(desk: Indoors) -> None:
    found = product_app.tasks(desk.product.desk)
    assert {"retention", "runs", "audit_head", "export"} <= set(found)
    without = dataclasses.replace(desk.product.desk, settings=Settings(database_url=desk.settings.database_url))
    assert "export" not in product_app.tasks(without)
    for name in ("retention", "audit_head", "export"):
        found[name].run()


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_ended_runs_are_forgotten_and_waiting_ones_kept(
    store: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    if store == "postgresql":
        url = str(request.getfixturevalue("postgres_database"))
    engine = database.open_engine(url)
    jobs.migrate(engine, url)
    ran: list[str] = []

    def handler(argument: str) -> float | None:
        ran.append(argument)
        return 3600.0 if argument == "waits" else None

    worker = jobs.Worker(engine, url, {"tidy": handler}, state=slots.folder(url))
    worker.start()
    try:
        queue = jobs.Queue(engine, url)
        for argument in ("ends", "waits"):
            with engine.begin() as connection:
                queue.put(connection, jobs.Job(queue="tidy", key=argument, argument=argument, partition=argument))
        # A run has ended when the engine has written it down, some time after its handler has.
        over = {"ends": "SUCCESS", "waits": "SUCCESS"}
        _wait(lambda: over.items() <= (found := _runs(engine)).items() and len(found) == 3)
        assert sorted(ran) == ["ends", "waits"]
        clock = Clock(moment=datetime.now(UTC))
        desk: Any = _Desk(now=clock)
        retention.prune_runs(desk)
        assert len(_runs(engine)) == 3
        clock.advance(retention.RUNS_KEPT + timedelta(minutes=1))
        retention.prune_runs(desk)
        assert list(_runs(engine)) == ["waits~1"]
    finally:
        worker.stop(seconds=1)
        engine.dispose()


@dataclasses.dataclass
class _Desk:
    """The part of a desk that the task uses."""

    now: Clock


def _runs(engine: sa.Engine) -> dict[str, str]:
    schema = "" if engine.dialect.name == "sqlite" else "dbos."
    with engine.connect() as connection:
        table = sa.text(f"SELECT workflow_uuid, status FROM {schema}workflow_status")  # noqa: S608  # a constant
        return dict(map(tuple, connection.execute(table)))


def _wait(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "the runs have not ended"
        time.sleep(0.02)


def test_a_long_audit_is_read_in_bounded_memory(tmp_path: Path) -> None:
    import tracemalloc

    from integrations.store.tables import audit as audit_table

    engine = database.open_engine(f"sqlite:///{tmp_path / 'long.db'}")
    database.upgrade(engine)
    rows = [
        {
            "number": number, "at": datetime.now(UTC), "actor": "system", "event": "step_done", "ticket_id": 1,
            "body": {"object": "ch_" + "x" * 400}, "previous": "0" * 64, "hash": "0" * 64,
        }
        for number in range(1, 10_001)
    ]  # fmt: skip
    with engine.begin() as connection:
        connection.execute(sa.insert(audit_table), rows)
        cards.ask_for(connection, 1, datetime.now(UTC))
    del rows
    with engine.connect() as connection:
        tracemalloc.start()
        count = sum(1 for _ in audit.entries(connection))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    engine.dispose()
    assert count == 10_000
    assert peak < 4_000_000  # all at once they are more than 15 MB
