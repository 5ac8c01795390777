"""Do our rows follow the issue as it is, however often and in whatever order we are told to look?"""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing.gap import QUIET
from integrations.errors import Moved, OutsideError
from testkit.filing_bench import KIND, OTHER, WEB, Bench

HOUR = timedelta(hours=1)


def closed(desk: Bench, reason: str = "completed") -> None:
    desk.clock.advance(HOUR)
    desk.github.close_issue(WEB, 1, reason=reason)
    desk.clock.advance(HOUR)


def reopened(desk: Bench) -> None:
    desk.github.reopen_issue(WEB, 1)
    desk.clock.advance(HOUR)


@pytest.mark.parametrize(
    ("reason", "outcome"), [("completed", "fixed"), ("not_planned", "not_planned"), ("duplicate", "duplicate")]
)
def test_each_close_reason_leaves_one_wish_a_ticket_however_often_it_is_looked_at(
    desk: Bench, reason: str, outcome: str
) -> None:
    desk.file(1)
    desk.file(2)
    closed(desk, reason)
    for _ in range(5):
        desk.look()
    assert desk.news() == {1: (outcome, "waiting"), 2: (outcome, "waiting")}
    desk.told()
    for _ in range(5):
        desk.look()
    assert desk.news() == {1: (outcome, "told"), 2: (outcome, "told")}


def test_a_ticket_that_came_after_the_fix_is_not_told_that_it_is_fixed(desk: Bench) -> None:
    desk.file(1)
    closed(desk)
    desk.file(2)
    desk.look()
    assert desk.news() == {1: ("fixed", "waiting")}


def test_opened_again_what_was_told_is_withdrawn_and_what_was_not_is_forgotten(desk: Bench) -> None:
    desk.file(1)
    closed(desk)
    desk.look()
    reopened(desk)
    desk.look()
    assert desk.news() == {}
    closed(desk)
    desk.look()
    desk.told()
    reopened(desk)
    for _ in range(5):
        desk.look()
    assert desk.news() == {1: ("withdrawn", "waiting")}
    closed(desk, "not_planned")
    desk.look()
    assert desk.news() == {1: ("not_planned", "waiting")}


def test_our_own_opening_withdraws_what_was_told(desk: Bench) -> None:
    desk.file(1)
    closed(desk)
    desk.look()
    desk.told()
    desk.clock.advance(HOUR)
    desk.file(2)
    desk.file(3)
    desk.look()
    assert desk.news()[1] == ("withdrawn", "waiting")


def test_one_question_a_repository_and_none_that_counts_while_nothing_changed(desk: Bench) -> None:
    desk.file(1)
    desk.file(1, kind="no_invoice_access")
    desk.watching.poll()
    before, used = len(desk.github.wire), desk.github.hub.used
    for _ in range(3):
        desk.watching.poll()
    assert [one.status for one in desk.github.wire[before:]] == [304, 304, 304]
    assert desk.github.hub.used == used


def test_the_poll_finds_what_no_delivery_told(desk: Bench) -> None:
    desk.file(1)
    desk.watching.poll()
    closed(desk)
    desk.watching.poll()
    assert desk.news() == {1: ("fixed", "waiting")}
    assert desk.watching.waiting() == [desk.row().fingerprint]
    reopened(desk)
    desk.watching.poll()
    assert desk.news() == {}


def test_an_issue_that_stays_fixed_for_two_weeks_gets_its_box_ticked_once(desk: Bench) -> None:
    desk.file(1)
    closed(desk)
    desk.clock.advance(13 * 24 * HOUR)
    desk.watching.poll()
    assert f"- [ ] {QUIET}" in desk.issues()[0]["body"]
    desk.clock.advance(24 * HOUR)
    desk.watching.poll()
    assert f"- [x] {QUIET}" in desk.issues()[0]["body"]
    asked = len(desk.github.wire)
    desk.watching.poll()
    assert not [one for one in desk.github.wire[asked:] if one.method != "GET"]


def test_an_issue_that_got_a_ticket_after_its_fix_is_not_called_quiet(desk: Bench) -> None:
    desk.file(1)
    closed(desk)
    desk.file(2)
    desk.clock.advance(20 * 24 * HOUR)
    desk.watching.poll()
    assert f"- [ ] {QUIET}" in desk.issues()[0]["body"]


def test_the_poll_notices_a_missing_label_a_transfer_and_a_deletion(desk: Bench) -> None:
    for number, kind in enumerate((KIND, "no_invoice_access", "no_refund_status"), start=1):
        desk.file(number, kind=kind)
    desk.watching.poll()
    desk.github.hub.repositories[WEB].issues[1]["labels"] = []
    desk.github.close_issue(WEB, 1)
    desk.github.transfer_issue(WEB, 2, OTHER)
    desk.github.delete_issue(WEB, 3)
    desk.clock.advance(HOUR)
    desk.watching.poll()
    assert desk.row().issue_state == "closed"
    assert desk.row("no_invoice_access").issue_repository == OTHER
    assert (desk.row("no_refund_status").issue_number, desk.row("no_refund_status").issue_state) == (None, "deleted")


def test_who_has_taken_the_issue_is_known(desk: Bench) -> None:
    desk.file(1)
    desk.github.edit_issue(WEB, 1, assignees=["growth-anna"])
    desk.look()
    assert desk.row().issue_owner == "growth-anna"


def test_an_older_read_does_not_undo_a_newer_one(desk: Bench) -> None:
    desk.file(1)
    old = desk.filing.find(desk.row().fingerprint)
    assert old is not None
    closed(desk)
    desk.look()
    desk.watching._take(desk.row().fingerprint, old)
    assert desk.news() == {1: ("fixed", "waiting")}
    assert desk.row().issue_state == "closed"


@pytest.mark.parametrize(
    "place",
    ["https://evil.example/repos/acme/web/issues/9", "//evil.example/repos/acme/web/issues/9", "/repos/a/b", "", "http://[",
     "{url}/repositories/1/issues/9/../../user", "{url}/user", "{url}@evil.example/repos/a/b/issues/1"],
)  # fmt: skip
def test_a_move_to_anywhere_but_an_issue_on_the_same_host_is_not_followed(desk: Bench, place: str) -> None:
    desk.file(1)
    headers = {"Location": place.format(url=desk.github.url)}
    desk.github.faults.add("status", path=f"/repos/{WEB}/issues/1", status=301, headers=headers)
    asked = len(desk.github.wire)
    with pytest.raises(Moved):
        desk.filing.find(desk.row().fingerprint)
    assert len(desk.github.wire) == asked + 1


def test_a_move_that_leads_to_another_move_ends_there(desk: Bench) -> None:
    desk.file(1)
    headers = {"Location": f"{desk.github.url}/repos/{WEB}/issues/1"}
    desk.github.faults.add("status", path=f"/repos/{WEB}/issues/1", times=None, status=301, headers=headers)
    asked = len(desk.github.wire)
    with pytest.raises(OutsideError):
        desk.filing.find(desk.row().fingerprint)
    assert len(desk.github.wire) == asked + 2
