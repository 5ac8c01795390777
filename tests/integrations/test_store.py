"""Does the store keep its promises on both databases: migrations, times, compare-and-swap, deliveries, the chain?"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from integrations.store import audit, cards, database, deliveries, tables

NOW = datetime(2026, 11, 22, 10, 2, 11, 654321, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """An engine on a store that was never migrated."""
    url = f"sqlite:///{tmp_path / 'desk.db'}"
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgres_database"))
    engine = database.open_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(empty: sa.Engine) -> sa.Engine:
    database.upgrade(empty)
    return empty


# --- migrations -----------------------------------------------------------------------------------------------------


def sentence(engine: sa.Engine) -> str:
    with pytest.raises(database.SchemaMismatch) as wrong:
        database.check_schema(engine)
    assert "\n" not in str(wrong.value)
    return str(wrong.value)


def test_an_empty_store_says_what_to_run(empty: sa.Engine) -> None:
    assert "billing-desk migrate" in sentence(empty)


def test_migrating_twice_changes_nothing(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        cards.ask_for(connection, 7, NOW)
        connection.execute(sa.update(tables.gate).values(passes=5))
    database.upgrade(engine)
    database.check_schema(engine)
    with engine.connect() as connection:
        assert cards.read(connection, 7) is not None
        assert list(connection.execute(sa.select(tables.gate))) == [("money", 5)]


def test_the_migrations_build_exactly_the_tables_of_the_code(engine: sa.Engine) -> None:
    def ours(_object: Any, name: str | None, kind: str, *_: Any) -> bool:
        return kind != "table" or name in tables.metadata.tables

    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "include_object": ours}
        )
        assert compare_metadata(context, tables.metadata) == []


@pytest.mark.parametrize(
    ("revision", "word", "mend"), [("9999", "newer", "Install the version"), ("0001", "older", "billing-desk migrate")]
)
def test_another_schema_is_named_as_what_it_is(engine: sa.Engine, revision: str, word: str, mend: str) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    assert word in sentence(engine)
    assert mend in sentence(engine)


def test_a_failed_migration_leaves_the_store_as_it_was(empty: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no space")

    monkeypatch.setattr(tables.gate, "insert", broken)
    monkeypatch.setattr(database.sa, "insert", broken)
    with pytest.raises(RuntimeError):
        database.upgrade(empty)
    monkeypatch.undo()
    assert "empty" in sentence(empty)
    database.upgrade(empty)
    database.check_schema(empty)


# --- times ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moment",
    [
        NOW,
        NOW.astimezone(timezone(timedelta(hours=9))),
        NOW.astimezone(timezone(timedelta(hours=-11, minutes=-30))),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ],
)
def test_a_time_comes_back_as_the_same_moment_in_utc(engine: sa.Engine, moment: datetime) -> None:
    with engine.begin() as connection:
        cards.ask_for(connection, 7, moment)
        read = cards.read(connection, 7)
    assert read is not None
    assert (read.requested_at, read.requested_at.tzinfo) == (moment, UTC)


def test_times_are_compared_as_moments(engine: sa.Engine) -> None:
    tokyo = timezone(timedelta(hours=9))
    with engine.begin() as connection:
        cards.ask_for(connection, 1, NOW)
        cards.ask_for(connection, 2, (NOW + timedelta(hours=1)).astimezone(tokyo))
        later = sa.select(tables.card.c.ticket_id).where(tables.card.c.requested_at > NOW + timedelta(minutes=30))
        assert list(connection.execute(later).scalars()) == [2]


def test_a_time_without_a_zone_is_refused(engine: sa.Engine) -> None:
    with pytest.raises(sa.exc.StatementError, match="without a zone"), engine.begin() as connection:
        cards.ask_for(connection, 7, datetime(2026, 11, 22))  # noqa: DTZ001 - the point of this test


# --- cards ----------------------------------------------------------------------------------------------------------


def test_asking_again_counts_and_keeps_the_card(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        assert [cards.ask_for(connection, 7, NOW + timedelta(minutes=n)) for n in range(3)] == [1, 2, 3]
        read = cards.read(connection, 7)
    assert read is not None
    assert (read.version, read.requests, read.state, read.document) == (1, 3, "enriching", None)


def test_a_change_wins_only_from_the_version_it_saw(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        cards.ask_for(connection, 7, NOW)
        assert cards.change(connection, 7, NOW, version=1, state="ready", document={"a": [1, {"b": "ü\u2028"}]})
        assert not cards.change(connection, 7, NOW, version=1, state="failed")
        assert cards.change(connection, 7, NOW, version=None, state="done")
        assert not cards.change(connection, 8, NOW, version=None, state="done")
        read = cards.read(connection, 7)
    assert read is not None
    assert (read.version, read.state, read.document) == (3, "done", {"a": [1, {"b": "ü\u2028"}]})


def test_of_many_changes_at_once_one_wins(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        cards.ask_for(connection, 7, NOW)
    won: list[int] = []
    start = threading.Barrier(12)

    def swap(number: int) -> None:
        start.wait()
        with engine.begin() as connection:
            if cards.change(connection, 7, NOW, version=1, state="ready", chosen=f"cus_{number}"):
                won.append(number)

    threads = [threading.Thread(target=swap, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with engine.connect() as connection:
        read = cards.read(connection, 7)
    assert read is not None
    assert (len(won), read.version, read.chosen) == (1, 2, f"cus_{won[0]}")


def test_the_largest_ticket_number_fits(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        cards.ask_for(connection, 2**63 - 1, NOW)
        assert cards.read(connection, 2**63 - 1) is not None


# --- deliveries -----------------------------------------------------------------------------------------------------


def accept(connection: sa.Connection, key: str, source: str = "zendesk") -> str | None:
    return deliveries.accept(connection, source=source, key=key, ticket_id=7, body={"ticket_id": 7}, now=NOW)


def test_a_delivery_counts_once_for_each_source(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        first = accept(connection, "a")
        assert first is not None
        assert accept(connection, "a") is None
        assert accept(connection, "a", "launch") not in {None, first}
        deliveries.finish(connection, first, "ignored", "our_own_change")
        found = deliveries.find(connection, first)
    assert found is not None
    assert (found["state"], found["reason"], found["received_at"]) == ("ignored", "our_own_change", NOW)


def test_what_was_not_committed_was_not_accepted(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        accept(connection, "a")
        connection.rollback()
    with engine.begin() as connection:
        assert accept(connection, "a") is not None


def test_of_many_equal_deliveries_at_once_one_is_accepted(engine: sa.Engine) -> None:
    found: list[str | None] = []
    start = threading.Barrier(12)

    def one() -> None:
        start.wait()
        with engine.begin() as connection:
            found.append(accept(connection, "a"))

    threads = [threading.Thread(target=one) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12
    assert sum(identifier is not None for identifier in found) == 1


def test_a_very_long_key_is_still_one_key(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        assert accept(connection, "k" * 500) is not None
        assert accept(connection, "k" * 500) is None


# --- the chain ------------------------------------------------------------------------------------------------------


def entry(connection: sa.Connection, number: int, at: datetime = NOW) -> None:
    body = {"amount": 2900 + number, "currency": "usd", "steps": ["s1", "s2"], "note": None}
    audit.append(connection, at=at, actor="agent:31", event="approved", ticket_id=number, body=body)


@pytest.fixture
def chain(engine: sa.Engine) -> sa.Engine:
    """Six entries, written in three transactions."""
    for first in (0, 2, 4):
        with engine.begin() as connection:
            entry(connection, first)
            entry(connection, first + 1)
    return engine


def broken_at(engine: sa.Engine) -> int | None:
    with engine.connect() as connection:
        return audit.first_broken(connection)


def test_a_chain_that_nobody_touched_is_whole(chain: sa.Engine) -> None:
    assert broken_at(chain) is None
    with chain.connect() as connection:
        assert [one.number for one in audit.entries(connection)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "change",
    ["actor = 'agent:32'", "event = 'stopped'", "ticket_id = 99", "ticket_id = NULL",
     "body = '{\"amount\": 1, \"currency\": \"usd\", \"note\": null, \"steps\": [\"s1\", \"s2\"]}'",
     "at = '2020-01-01 00:00:00'", "previous = '" + "0" * 64 + "'", "hash = '" + "0" * 64 + "'", "number = 44"],
)  # fmt: skip
def test_a_change_of_any_field_is_found_at_its_entry(chain: sa.Engine, change: str) -> None:
    with chain.begin() as connection:
        connection.execute(sa.text(f"UPDATE audit SET {change} WHERE number = 4"))  # noqa: S608 - fixed texts above
    assert broken_at(chain) == 4


def test_one_flipped_bit_of_a_hash_is_found(chain: sa.Engine) -> None:
    with chain.begin() as connection:
        kept = connection.execute(sa.select(tables.audit.c.hash).where(tables.audit.c.number == 2)).scalar_one()
        flipped = kept[:-1] + f"{int(kept[-1], 16) ^ 1:x}"
        connection.execute(sa.update(tables.audit).where(tables.audit.c.number == 2).values(hash=flipped))
    assert broken_at(chain) == 2


@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_deleted_entry_is_named(chain: sa.Engine, number: int) -> None:
    with chain.begin() as connection:
        connection.execute(sa.delete(tables.audit).where(tables.audit.c.number == number))
    assert broken_at(chain) == number


def test_entries_that_changed_places_are_found_at_the_first_of_them(chain: sa.Engine) -> None:
    with chain.begin() as connection:
        for old, new in ((3, 100), (5, 3), (100, 5)):
            connection.execute(sa.update(tables.audit).where(tables.audit.c.number == old).values(number=new))
    assert broken_at(chain) == 3


def test_a_deleted_entry_stays_found_when_the_others_move_up(chain: sa.Engine) -> None:
    with chain.begin() as connection:
        connection.execute(sa.delete(tables.audit).where(tables.audit.c.number == 3))
        for number in (4, 5, 6):
            connection.execute(sa.update(tables.audit).where(tables.audit.c.number == number).values(number=number - 1))
    assert broken_at(chain) == 3


def test_a_rewritten_entry_breaks_the_next_one(chain: sa.Engine) -> None:
    """Somebody who knows how the hash is made can mend one entry, but not without rewriting all that follow."""
    with chain.begin() as connection:
        rows = {one.number: one for one in audit.entries(connection)}
        connection.execute(sa.delete(tables.audit).where(tables.audit.c.number > 3))
        connection.execute(sa.delete(tables.audit).where(tables.audit.c.number == 3))
        entry(connection, 77)
        for number in (4, 5, 6):
            old = rows[number]
            connection.execute(sa.insert(tables.audit).values(
                number=number, at=old.at, actor=old.actor, event=old.event, ticket_id=old.ticket_id,
                body=dict(old.body), previous=old.previous, hash=old.hash,
            ))  # fmt: skip
    assert broken_at(chain) == 4


def test_what_is_appended_after_an_attack_does_not_hide_it(chain: sa.Engine) -> None:
    with chain.begin() as connection:
        connection.execute(sa.delete(tables.audit).where(tables.audit.c.number == 2))
        entry(connection, 50)
    assert broken_at(chain) == 2


def test_the_moment_of_an_entry_may_be_told_in_any_zone(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        entry(connection, 1, NOW.astimezone(timezone(timedelta(hours=9))))
    assert broken_at(engine) is None


def test_writers_at_once_leave_one_chain_without_holes(engine: sa.Engine) -> None:
    start = threading.Barrier(8)

    def write(number: int) -> None:
        start.wait()
        for _ in range(3):
            with engine.begin() as connection:
                entry(connection, number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broken_at(engine) is None
    with engine.connect() as connection:
        assert [one.number for one in audit.entries(connection)] == list(range(1, 25))


def test_an_entry_lives_and_dies_with_its_transaction(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        entry(connection, 1)
        connection.rollback()
    with engine.begin() as connection:
        entry(connection, 2)
    assert broken_at(engine) is None
