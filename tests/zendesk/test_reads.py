"""When Stripe's reads run out, does what reads itself hold back, and is everything read for an agent all the same?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from integrations.checks.stored import reads_left
from integrations.metrics import exposition
from integrations.store import database, marks, reads
from testkit.indoors import Clock, Indoors, indoors
from testkit.worlds import duplicate
from zendesk.enrichment import Enriching
from zendesk.reads import Reads
from zendesk.stripe_events import look_again

BUDGET = 100


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path, policy=f"[stripe]\nreads_per_month = {BUDGET}\n") as made:
        made.world.portal_configuration()
        yield made


def spend(desk: Indoors, number: int, days_ago: int = 0) -> None:
    with desk.product.engine.begin() as connection:
        reads.add(connection, number, BUDGET, desk.clock() - timedelta(days=days_ago))


def figure(desk: Indoors, name: str) -> float | None:
    lines = exposition(desk.product.engine, desk.clock()).splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith(f"billing_desk_{name} ")), None)


def seeded(desk: Indoors) -> Any:
    rig: Any = desk
    return duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900))


def test_what_is_read_is_counted_for_all_processes_and_survives_them(desk: Indoors) -> None:
    desk.card(seeded(desk).ticket)
    counted = len(desk.stripe.wire)
    assert figure(desk, "stripe_reads_spent") == counted > 5
    another = Reads(desk.product.engine, lambda: 7, BUDGET, desk.clock)
    another.settle()
    another.settle()
    assert figure(desk, "stripe_reads_spent") == counted + 7
    assert figure(desk, "stripe_reads_granted") == BUDGET


def test_reads_of_more_than_thirty_days_ago_do_not_count_and_are_forgotten(desk: Indoors) -> None:
    for days_ago in (30, 29, 1):
        spend(desk, 10, days_ago)
    assert figure(desk, "stripe_reads_spent") == 20
    spend(desk, 5)
    with desk.product.engine.connect() as connection:
        assert marks.read(connection, f"stripe_reads:{desk.clock() - timedelta(days=30):%Y-%m-%d}") is None
        assert marks.read(connection, f"stripe_reads:{desk.clock() - timedelta(days=29):%Y-%m-%d}") == "10"


def test_from_eighty_percent_on_a_new_ticket_gets_a_quick_look_and_its_opening_the_whole(desk: Indoors) -> None:
    spend(desk, 80)
    ticket = seeded(desk).ticket
    assert desk.deliver(ticket).status_code == 202
    before = len(desk.stripe.wire)
    desk.work()
    assert len(desk.stripe.wire) - before <= 2
    assert desk.zendesk.writes() == []  # a note is written once, so not on half the facts
    desk.get(f"/api/tickets/{ticket}/card")  # an agent opens it
    desk.work()
    card = desk.get(f"/api/tickets/{ticket}/card").get_json()
    assert card["billing_state"]["missing"] == []
    assert card["plan"]["steps"] != []
    assert len(desk.zendesk.writes()) == 1


def test_below_eighty_percent_everything_is_read(desk: Indoors) -> None:
    spend(desk, 79)
    assert desk.card(seeded(desk).ticket)["billing_state"]["missing"] == []


def test_a_change_at_stripe_is_not_read_any_more_until_an_agent_opens_the_ticket(desk: Indoors) -> None:
    world = seeded(desk)
    desk.card(world.ticket)
    spend(desk, 80)
    desk.clock.advance(timedelta(minutes=5))
    with desk.product.engine.begin() as connection:
        assert look_again(desk.product.desk, connection, [world.customer]) == (world.ticket,)
    desk.clock.advance(timedelta(seconds=20))
    before = len(desk.stripe.wire)
    (number,) = [job.partition(":")[2] for job in desk.jobs() if ":stripe" in job]
    assert Enriching(desk.product.desk).turn(number) is None
    assert len(desk.stripe.wire) == before
    stored = desk.stored(world.ticket)
    assert stored is not None
    assert (stored.left_unread, figure(desk, "oldest_job_seconds")) == (True, 0)
    desk.clock.advance(timedelta(minutes=1))
    desk.get(f"/api/tickets/{world.ticket}/card")
    desk.work()
    stored = desk.stored(world.ticket)
    assert stored is not None
    assert (stored.as_of, stored.left_unread) == (desk.clock(), False)


@pytest.mark.parametrize(("spent", "state"), [(59, "ok"), (60, "warn")])
def test_doctor_tells_from_sixty_percent_on(desk: Indoors, spent: int, state: str) -> None:
    spend(desk, spent)
    (check,) = reads_left(desk.settings)()
    assert (check.state, check.evidence) == (state, f"{spent} of {BUDGET} in 30 days")
    assert bool(check.fix) is (state == "warn")


def test_a_store_that_is_away_stops_no_reading_and_is_told_later(desk: Indoors) -> None:
    made = [3]
    counting = Reads(desk.product.engine, lambda: made[0], BUDGET, desk.clock)
    with desk.product.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE mark RENAME TO elsewhere"))
    counting.settle()
    with desk.product.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO mark"))
    made[0] = 5
    counting.settle()
    assert figure(desk, "stripe_reads_spent") == 5


def test_two_processes_on_postgresql_lose_none_of_each_others_reads(postgres_database: str) -> None:
    engine, clock = database.open_engine(postgres_database), Clock()
    database.upgrade(engine)
    processes = [Reads(engine, itertools.count(1).__next__, BUDGET, clock) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda process: [process.settle() for _ in range(25)], processes))
    with engine.connect() as connection:
        assert reads.spent(connection, clock()) == 50
    assert [process.tight() for process in processes] == [False, False]
    engine.dispose()
