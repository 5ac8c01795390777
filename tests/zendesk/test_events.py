"""Does a stream tell each change once, end by itself, and leave room for others?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from integrations.store.tables import approval
from testkit.indoors import Indoors, indoors
from testkit.worlds import duplicate
from zendesk.events import LONGEST_SECONDS, MOST_STREAMS, POLL_SECONDS, events


class Hands:
    """A clock that moves only while somebody sleeps, and what is read on each look."""

    def __init__(self, *documents: Any) -> None:
        self.documents, self.moment, self.looks = list(documents), 0.0, 0

    def read(self) -> Any:
        self.looks += 1
        found = self.documents.pop(0) if len(self.documents) > 1 else self.documents[0]
        if isinstance(found, Exception):
            raise found
        return found

    def sleep(self, seconds: float) -> None:
        self.moment += seconds

    def told(self) -> list[Any]:
        return [document_of(one) for one in events(self.read, sleep=self.sleep, clock=lambda: self.moment)]


def document_of(event: str) -> Any:
    """The document of one event, after its form was checked."""
    number, kind, data, *rest = event.split("\n")
    assert rest == ["", ""]
    assert number.startswith("id: ")
    assert kind == "event: progress"
    return json.loads(data.removeprefix("data: "))


APPLYING, HOLDING, DONE = {"state": "applying"}, {"state": "holding"}, {"state": "done"}


def test_each_change_is_told_once_and_the_end_ends_it() -> None:
    hands = Hands(HOLDING, HOLDING, APPLYING, APPLYING, DONE)
    assert hands.told() == [HOLDING, APPLYING, DONE]
    assert hands.looks == 5
    assert hands.moment == 4 * POLL_SECONDS


@pytest.mark.parametrize("state", ["done", "partly_done", "stopped", "needs_person"])
def test_a_run_that_has_ended_is_one_event(state: str) -> None:
    hands = Hands({"state": state})
    assert hands.told() == [{"state": state}]
    assert hands.moment == 0


def test_a_run_that_does_not_move_ends_the_stream_after_25_seconds() -> None:
    hands = Hands(APPLYING)
    assert hands.told() == [APPLYING]
    assert LONGEST_SECONDS - POLL_SECONDS <= hands.moment <= LONGEST_SECONDS == 25


def test_a_run_that_is_gone_and_a_store_that_is_away_end_the_stream() -> None:
    assert Hands(APPLYING, None).told() == [APPLYING]
    assert Hands(APPLYING, sa.exc.OperationalError("", {}, Exception())).told() == [APPLYING]


def test_a_line_break_inside_a_text_does_not_break_the_event() -> None:
    document = {"state": "done", "says": "one\ntwo\r\n\ndata: three\u2028"}
    assert Hands(document).told() == [document]


# --- over HTTP ------------------------------------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path) as made:
        yield made


@pytest.fixture
def approved(desk: Indoors) -> str:
    """An approval whose run has not begun."""
    rig: Any = desk
    desk.world.portal_configuration()
    ticket = duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900)).ticket
    card = desk.card(ticket)
    body = {"plan_digest": card["plan"]["digest"], "steps": [one["id"] for one in card["plan"]["steps"]]}
    answer = desk.post(f"/api/tickets/{ticket}/approvals", body)
    assert answer.status_code == 202, answer.text
    return str(answer.get_json()["approval_id"])


def stream(desk: Indoors, approval_id: str, token: str | None = None) -> TestResponse:
    headers = {"Authorization": f"Bearer {token or desk.page_token()}", "Accept": "text/event-stream"}
    return desk.client.get(f"/api/approvals/{approval_id}", headers=headers)


def end(desk: Indoors, approval_id: str) -> None:
    with desk.product.engine.begin() as connection:
        connection.execute(sa.update(approval).where(approval.c.id == approval_id).values(state="stopped"))


def test_the_stream_tells_the_same_document_as_asking(desk: Indoors, approved: str) -> None:
    end(desk, approved)
    answer = stream(desk, approved)
    assert answer.status_code == 200
    assert answer.mimetype == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store"
    assert document_of(answer.text) == desk.get(f"/api/approvals/{approved}").get_json()


def test_a_change_reaches_a_stream_that_is_open(desk: Indoors, approved: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zendesk.events.POLL_SECONDS", 0.001)
    answer = stream(desk, approved)
    told = iter(answer.iter_encoded())
    assert document_of(next(told).decode())["state"] == "applying"
    end(desk, approved)
    assert [document_of(one.decode())["state"] for one in told] == ["stopped"]


def test_the_fifth_stream_is_asked_to_come_again_and_a_closed_one_makes_room(desk: Indoors, approved: str) -> None:
    opened = [stream(desk, approved) for _ in range(MOST_STREAMS)]
    assert [one.status_code for one in opened] == [200] * 4
    busy = stream(desk, approved)
    assert busy.status_code == 503
    assert busy.headers["Retry-After"] == "2"
    error = busy.get_json()["error"]
    assert error["code"] == "too_many_streams"
    assert error["request_id"] == busy.headers["X-Request-Id"]
    assert desk.get(f"/api/approvals/{approved}").status_code == 200  # asking goes on
    opened[0].close()
    opened[0].close()  # gives its place back once
    again = stream(desk, approved)
    assert again.status_code == 200
    assert stream(desk, approved).status_code == 503
    for one in (*opened, again):
        one.close()


def test_a_stream_that_was_read_to_its_end_gives_its_place_back(desk: Indoors, approved: str) -> None:
    end(desk, approved)
    for _ in range(MOST_STREAMS + 1):
        assert stream(desk, approved).text


def test_a_stream_is_for_agents_who_may_see_the_ticket(desk: Indoors, approved: str) -> None:
    assert stream(desk, approved, "no.token").status_code == 401
    assert stream(desk, "ap_none").status_code == 404
    limited = desk.zendesk.add_agent("Lim", "lim@acme.example", ticket_restriction="assigned")
    assert stream(desk, approved, desk.page_token(int(limited["id"]))).status_code == 403
