"""Periodic work is put once a span, whatever the number of workers, and names its task."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from integrations import jobs
from integrations.store import database
from zendesk.upkeep import Task, Upkeep


def test_a_task_runs_by_its_name_and_an_unknown_name_is_left_alone() -> None:
    ran: list[str] = []
    upkeep = Upkeep({"retention": Task(every_seconds=60, run=lambda: ran.append("retention"))})
    assert upkeep.periods == {"retention": 60}
    assert upkeep.turn("retention") is None
    assert upkeep.turn("from_the_future") is None
    assert ran == ["retention"]


def test_two_workers_put_a_periodic_job_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'desk.db'}"
    engine = database.open_engine(url)
    jobs.migrate(engine, url)
    monkeypatch.setattr("integrations.jobs.time.time", lambda: 1_000_000.0)
    for number in (1, 2):
        worker = jobs.Worker(engine, url, {}, state=tmp_path / str(number), periodic={"retention": 3600.0})
        worker._put_periodic()
        worker._put_periodic()
    with engine.connect() as connection:
        keys = connection.execute(sa.text("SELECT workflow_uuid FROM workflow_status")).scalars().all()
    engine.dispose()
    assert keys == ["tidy:retention:277"]
