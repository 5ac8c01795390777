"""Is a ticket read of which Zendesk never told us, once, and nothing else?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from testkit.indoors import Indoors, indoors
from zendesk.exporting import catch_missed

MINUTES = timedelta(minutes=5)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path) as made:
        made.ticket("old@acme.example", "Before us", "I was charged twice.")
        made.clock.advance(timedelta(hours=1))
        catch_missed(made.product.desk)  # begins at now
        made.clock.advance(MINUTES)
        yield made


def ticket(desk: Indoors, **fields: Any) -> int:
    return desk.ticket("maya@acme.example", "Charged twice", "I was charged twice, please refund one.", **fields)


def round_of(desk: Indoors) -> list[str]:
    """One round some minutes later; the jobs it enqueued."""
    desk.clock.advance(MINUTES)
    before = desk.jobs()
    catch_missed(desk.product.desk)
    return sorted(set(desk.jobs()) - set(before))


def test_a_ticket_without_a_delivery_is_read_once(desk: Indoors) -> None:
    missed = ticket(desk)
    assert round_of(desk) == [f"enrich:{missed}:1"]
    desk.work()
    for _ in range(3):  # our own note changed the ticket, so it is listed again
        assert round_of(desk) == []
    comments = desk.zendesk.desk.comments[missed]
    assert [one["public"] for one in comments].count(False) == 1


def test_a_delivery_that_comes_after_all_writes_no_second_note(desk: Indoors) -> None:
    missed = ticket(desk)
    assert round_of(desk)
    desk.work()
    assert desk.deliver(missed).status_code == 202
    desk.work()
    assert [one["public"] for one in desk.zendesk.desk.comments[missed]].count(False) == 1


def test_what_was_delivered_is_solved_or_older_than_we_are_is_not_read(desk: Indoors) -> None:
    delivered, solved = ticket(desk), ticket(desk, status="solved")
    assert desk.deliver(delivered).status_code == 202
    desk.zendesk.desk.tickets[1]["updated_at"] = desk.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
    assert round_of(desk) == []
    assert {delivered, solved} == {2, 3}


def test_a_young_ticket_waits_for_its_delivery_and_is_not_passed_over(desk: Indoors) -> None:
    desk.clock.advance(MINUTES)
    young = ticket(desk)
    catch_missed(desk.product.desk)
    assert desk.jobs() == []
    assert round_of(desk) == [f"enrich:{young}:1"]


def test_many_changes_are_read_page_by_page_from_where_the_last_round_ended(
    desk: Indoors, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [ticket(desk) for _ in range(7)]
    twin_page = desk.product.desk.zendesk
    send = twin_page.send

    def two_a_page(call: Any) -> Any:
        if "incremental" in call.path:
            call.query["per_page"] = 2
        return send(call)

    monkeypatch.setattr(twin_page, "send", two_a_page)
    assert len(round_of(desk)) == 6  # three pages a round
    assert len(round_of(desk)) == 1
    assert round_of(desk) == []
    assert len(numbers) == 7


def test_where_triggers_choose_the_tickets_the_net_stays_out(desk: Indoors) -> None:
    chosen = ticket(desk)
    assert desk.deliver(chosen, kind="trigger").status_code == 202
    ticket(desk)
    asked = len(desk.zendesk.wire)
    assert round_of(desk) == []
    assert len(desk.zendesk.wire) == asked


def test_a_cursor_that_zendesk_forgot_begins_anew_and_repeats_nothing(desk: Indoors) -> None:
    from integrations.store import marks

    first = ticket(desk)
    assert round_of(desk) == [f"enrich:{first}:1"]
    with desk.product.engine.begin() as connection:
        marks.write(connection, "export_cursor", "gone", desk.clock())
    second = ticket(desk)
    assert round_of(desk) == [f"enrich:{second}:1"]
