"""Does a worker that wakes up on an old copy of its store learn from Stripe what was done before it does anything?"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from integrations.store.database import open_engine
from integrations.store.tables import audit, mark
from integrations.twins.stripe_twin.idempotency import IdempotencyStore
from testkit.ledgers import notes_of
from testkit.rig import Rig, rigged, wait_for
from testkit.worlds import duplicate, plan_of
from zendesk.restoring import ALIVE, FOUND

OLD = timedelta(hours=2)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """On SQLite; tests/zendesk/test_restoring.py plays the same and more on both stores, without processes."""
    with rigged(tmp_path, policy="[refunds]\nhold_seconds = 2\n") as made:
        yield made


def copied(url: str) -> str:
    """A copy of the whole store, while nobody works; its address."""
    path = Path(url.removeprefix("sqlite:///"))
    for name in (path.name, path.name + "-wal"):
        if path.with_name(name).exists():
            shutil.copy(path.with_name(name), path.with_name("copy-of-" + name))
    return f"sqlite:///{path.with_name('copy-of-' + path.name)}"


def age(url: str) -> None:
    """As if all that the store knows were of another time."""
    engine = open_engine(url)
    with engine.begin() as connection:
        told = connection.execute(sa.select(audit.c.number, audit.c.at)).all()
        for number, at in told:
            connection.execute(sa.update(audit).where(audit.c.number == number).values(at=at - OLD))
        connection.execute(sa.delete(mark).where(mark.c.name == ALIVE))
    engine.dispose()


def events(url: str) -> list[str]:
    engine = open_engine(url)
    with engine.connect() as connection:
        found = list(connection.execute(sa.select(audit.c.event).order_by(audit.c.number)).scalars())
    engine.dispose()
    return found


def test_a_refund_that_an_old_copy_has_forgotten_is_found_before_the_worker_does_anything(rig: Rig) -> None:
    seeded = duplicate(rig, plan_of(rig))
    rig.start()
    token = rig.launch()
    assert rig.deliver(seeded.ticket) == 202
    approved = rig.approve(rig.card(seeded.ticket, token), token, file_issue=False)
    approval_id = approved.json()["approval_id"]

    def state() -> str:
        return str(rig.get(f"/api/approvals/{approval_id}", token=token).json()["state"])

    wait_for(lambda: state() == "holding", 10, "the refund is not on hold")
    rig.kill_all()
    copy = copied(rig.database_url)
    rig.start()
    assert rig.finished(approval_id, token)["state"] == "done"
    assert len(rig.stripe.refunds()) == 1
    rig.kill_all()

    age(copy)
    rig.stripe.idempotency = IdempotencyStore()  # Stripe keeps a key for a day
    rig.stripe.wire.clear()
    rig.stripe.faults.add("latency", path="/v1/events", seconds=0.5)
    rig.environment["DATABASE_URL"] = copy
    rig.start()
    shown = rig.finished(approval_id, token)

    assert (shown["state"], shown["money_moved"]) == ("done", {"usd": 2900})
    assert [one.target for one in rig.stripe.wire if one.method != "GET"] == []
    assert rig.stripe.wire[0].target.startswith("/v1/events")
    assert len(rig.stripe.refunds()) == 1
    assert notes_of(rig, "write_internal_note")[seeded.ticket] == 1
    assert FOUND in events(copy)
