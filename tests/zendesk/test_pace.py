"""Do we call Zendesk as fast as the account grants, and never write over our own write?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.http import Door
from integrations.limits import TokenBucket
from integrations.zendesk_client import ZendeskClient
from integrations.zendesk_wire import SCOPES, OAuthClient
from testkit.indoors import Indoors, indoors

learned: list[float] = []


class ListeningDoor(Door):
    """Keeps what it is told."""

    def learn(self, rate_per_second: float) -> None:
        learned.append(rate_per_second)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path) as made:
        yield made


def test_a_bucket_that_learned_a_pace_keeps_its_burst_as_long_as_before() -> None:
    now = [0.0]
    bucket = TokenBucket(6, 30, clock=lambda: now[0])
    bucket.learn(12)
    now[0] = 100.0
    assert [bucket.reserve() for _ in range(60)] == [0.0] * 60
    assert bucket.reserve() == pytest.approx(1 / 12)


def test_a_bucket_that_learned_a_smaller_pace_slows_down_at_once() -> None:
    bucket = TokenBucket(6, 30, clock=lambda: 0.0)
    bucket.learn(2)
    waits = [bucket.reserve() for _ in range(31)]
    assert waits[-1] is not None
    assert waits[-1] > 0


def test_the_client_learns_its_pace_from_what_the_account_grants(desk: Indoors) -> None:
    desk.zendesk.account_limit = 600
    ticket = desk.ticket("maya@acme.example", "Hello", "Hello")
    door = ListeningDoor("zendesk", desk.zendesk.url, total_seconds=10.0)
    twin = desk.zendesk
    client = ZendeskClient(door, OAuthClient(client_id=twin.client_id, client_secret=twin.client_secret, scopes=SCOPES))
    for _ in range(3):
        client.ticket(ticket)
    assert learned == [8.0]  # four fifths of ten a second, told once


def test_a_conflict_with_our_own_write_by_another_worker_is_seen_and_not_repeated(desk: Indoors) -> None:
    ticket, client = desk.ticket("maya@acme.example", "Hello", "Hello"), desk.product.desk.zendesk
    desk.zendesk.faults.add("status", method="PUT", path="/api/v2/tickets/", status=409, effect=True)
    written = client.update_ticket(ticket, operation_id="op_1", stage="test", note_html="<p>done</p>")
    assert written.repeated
    comments = next(one for one in desk.zendesk.state()["tickets"] if one["id"] == ticket)["comments"]
    assert len(comments) == 2
