"""Is there one issue a gap, whatever breaks, and does everything that people write in it stay?"""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa

from billing.gap import CATALOGUE, fingerprint
from github_issues import issue as texts
from github_issues.filing import UNANSWERED
from github_issues.pace import SPACING, NotYet
from integrations.errors import NotFound, OutsideError, RateLimited, Refused
from integrations.store.tables import gap
from testkit.filing_bench import KEYS, KIND, OTHER, WEB, Bench, bench, routed

ISSUES = f"/repos/{WEB}/issues"


def test_the_first_ticket_makes_the_issue_and_the_next_ones_count_in_it(desk: Bench) -> None:
    first, second = desk.file(1), desk.file(2, refunded={"usd": 100, "eur": 50})
    assert (first.created, second.created, first.number, second.cases) == (True, False, second.number, 2)
    (made,) = desk.issues()
    assert made["title"] == CATALOGUE[KIND].title
    assert {label["name"] for label in made["labels"]} == {"billing-gap", f"gap:{KIND}", "cases: 1+"}
    assert made["body"].startswith(texts.marker(fingerprint(KIND, WEB)))
    for said in ("| Cases | **2** |", "| Refunded | 0.50 EUR, 30.00 USD in 2 charges |", "monthly 2", "How to see it"):
        assert said in made["body"]
    assert made["live"]["mentions"] == made["live"]["references"] == made["live"]["images"] == []


def test_the_same_ticket_counts_once_and_an_unchanged_block_is_not_written(desk: Bench) -> None:
    desk.file(1)
    desk.file(1)
    assert "| Cases | **1** |" in desk.issues()[0]["body"]
    assert [one.method for one in desk.github.wire if one.method == "PATCH"] == []


@pytest.mark.parametrize("fault", ["reset_after", "status"])
def test_after_a_lost_answer_the_issue_is_found_again(desk: Bench, fault: str) -> None:
    more = {"status": 502} if fault == "status" else {}
    desk.github.faults.add(fault, method="POST", path=ISSUES, **more)
    with pytest.raises(OutsideError):
        desk.filing.file(KIND, desk.occurrence(1), customer="cus_1")
    if not desk.issues():  # GitHub broke before it did anything: nothing is created while it may still happen
        desk.clock.advance(2 * SPACING)
        with pytest.raises(NotYet):
            desk.another().file(KIND, desk.occurrence(1), customer="cus_1")
        desk.clock.advance(UNANSWERED)
    desk.file(1, filing=desk.another())
    assert len(desk.issues()) == 1
    assert desk.row().creating is None


def test_a_definite_no_leaves_nothing_behind(desk: Bench) -> None:
    desk.github.faults.add("status", method="POST", path=ISSUES, status=422)
    with pytest.raises(Refused):
        desk.filing.file(KIND, desk.occurrence(1), customer=None)
    assert desk.row().creating is None
    desk.file(1)
    assert len(desk.issues()) == 1


def test_a_store_that_forgot_finds_the_issue_by_its_signed_marker(desk: Bench) -> None:
    desk.file(1)
    with desk.engine.begin() as connection:
        connection.execute(sa.update(gap).values(issue_number=None))
    assert desk.file(2).number == 1
    assert len(desk.issues()) == 1


def test_a_key_that_was_rotated_out_of_first_place_still_counts(desk: Bench) -> None:
    desk.file(1)
    with desk.engine.begin() as connection:
        connection.execute(sa.update(gap).values(issue_number=None))
    assert desk.file(2, filing=desk.another(keys=("new" * 12, KEYS[0]))).number == 1
    assert len(desk.issues()) == 1


def test_a_stolen_marker_or_a_quoted_one_is_not_our_issue(desk: Bench) -> None:
    mark = texts.marker(fingerprint(KIND, WEB))
    signed = f"<!-- billing-desk signature={'0' * 32} -->"
    for text in (mark, f"{mark}\n{signed}", f"> {mark}", f"look\n{mark}"):
        desk.github.add_issue(WEB, "spoof", text, labels=[f"gap:{KIND}"])
    assert desk.file(1).number == 5


def test_what_people_write_around_the_block_and_in_the_title_stays(desk: Bench) -> None:
    desk.file(1)
    text = desk.issues()[0]["body"].replace("### What happens", "Ours: ask @anna.\n\n### What happens") + "\nP.S. ours"
    desk.github.edit_issue(WEB, 1, title="Our own title", body=text)
    desk.file(2)
    (held,) = desk.issues()
    assert held["title"] == "Our own title"
    assert "Ours: ask @anna." in held["body"]
    assert held["body"].endswith("P.S. ours")
    assert "| Cases | **2** |" in held["body"]


@pytest.mark.parametrize("how", ["gone", "twice", "turned"])
def test_a_block_that_was_edited_away_stays_away_and_is_spoken_of_once(desk: Bench, how: str) -> None:
    desk.file(1)
    body = desk.issues()[0]["body"]
    changed = {
        "gone": body.replace(texts.BEGIN, ""),
        "twice": body + texts.BEGIN,
        "turned": body.replace(texts.BEGIN, "x").replace(texts.END, texts.BEGIN).replace("x", texts.END, 1),
    }[how]
    desk.github.edit_issue(WEB, 1, body=changed)
    for ticket in (2, 3, 4):
        desk.file(ticket)
    assert desk.issues()[0]["body"] == changed
    assert len([one for one in desk.comments() if "no longer in the text" in one]) == 1
    assert desk.row().block_lost_at is not None
    desk.github.edit_issue(WEB, 1, body=body)
    desk.file(5)
    assert desk.row().block_lost_at is None


def test_comments_come_at_three_ten_and_thirty_only_and_the_label_follows(desk: Bench) -> None:
    spoken = {}
    for ticket in range(1, 32):
        before = len(desk.comments()) if desk.issues() else 0
        desk.file(ticket)
        if len(desk.comments()) > before:
            spoken[ticket] = desk.comments()[-1]
    assert list(spoken) == [3, 10, 30]
    assert "**10 tickets**" in spoken[10]
    assert "290.00 USD" in spoken[10]
    names = {label["name"] for label in desk.issues()[0]["labels"]}
    assert names == {"billing-gap", f"gap:{KIND}", "cases: 30+"}


def test_a_comment_whose_answer_was_lost_is_not_made_twice(desk: Bench) -> None:
    desk.file(1)
    desk.file(2)
    desk.clock.advance(SPACING)
    desk.github.faults.add("reset_after", method="POST", path=f"{ISSUES}/1/comments")
    with pytest.raises(OutsideError):
        desk.filing.file(KIND, desk.occurrence(3), customer=None)
    desk.file(3)
    assert len(desk.comments()) == 1


def test_a_closed_issue_gets_a_comment_for_the_first_new_ticket_and_opens_for_the_second(desk: Bench) -> None:
    desk.file(1)
    desk.clock.advance(timedelta(days=1))
    desk.github.close_issue(WEB, 1)
    desk.file(2, seen_at=desk.clock() - timedelta(hours=1))  # came before the fix
    assert desk.comments() == []
    desk.clock.advance(timedelta(days=1))
    desk.file(3)
    assert len([one for one in desk.comments() if "after the issue was closed" in one]) == 1
    assert desk.issues()[0]["state"] == "closed"
    desk.file(4)
    assert desk.issues()[0]["state"] == "open"
    assert desk.row().came_back_at is not None
    spoken = len(desk.comments())
    desk.clock.advance(timedelta(days=1))
    desk.github.close_issue(WEB, 1)
    desk.clock.advance(timedelta(days=1))
    for ticket in (5, 6, 7):
        desk.file(ticket)
    assert desk.issues()[0]["state"] == "closed"
    assert len(desk.comments()) == spoken
    assert "| Cases | **7**" in desk.issues()[0]["body"]


@pytest.mark.parametrize("reason", ["not_planned", "duplicate"])
def test_an_issue_that_was_decided_against_is_counted_in_and_left_closed(desk: Bench, reason: str) -> None:
    desk.file(1)
    desk.github.close_issue(WEB, 1, reason=reason)
    desk.clock.advance(timedelta(days=1))
    desk.file(2)
    assert desk.issues()[0]["state"] == "closed"
    assert desk.comments() == []
    assert "| Cases | **2**" in desk.issues()[0]["body"]


def test_a_deleted_issue_is_made_anew_by_the_next_ticket(desk: Bench) -> None:
    desk.file(1)
    desk.github.delete_issue(WEB, 1)
    assert desk.file(2).number == 2
    assert "| Cases | **2** |" in desk.issues()[0]["body"]


def test_a_transferred_issue_is_followed(desk: Bench) -> None:
    desk.file(1)
    desk.github.add_issue(OTHER, "something else")
    desk.github.transfer_issue(WEB, 1, OTHER)
    filed = desk.file(2)
    assert (filed.number, filed.created, desk.row().issue_repository) == (2, False, OTHER)
    moved = next(one for one in desk.issues(OTHER) if one["number"] == 2)
    assert "| Cases | **2** |" in moved["body"]
    assert desk.issues() == []
    assert desk.file(3).number == 2


def test_an_issue_that_moved_to_a_public_repository_loses_its_table(desk: Bench) -> None:
    desk.github.add_repository("acme/moved", private=False)
    desk.file(1)
    desk.github.transfer_issue(WEB, 1, "acme/moved")
    desk.file(2)
    body = desk.issues("acme/moved")[0]["body"]
    assert "| Cases | **2** |" in body
    assert "USD" not in body
    assert "/agent/tickets/" not in body


def test_a_renamed_repository_is_followed_for_old_and_new_issues(desk: Bench) -> None:
    desk.file(1)
    desk.github.rename_repository(WEB, "acme/moved")
    assert desk.file(2).number == 1
    assert desk.file(3, kind="no_invoice_access").number == 2
    assert len(desk.issues("acme/moved")) == 2


def test_a_public_repository_gets_no_table_and_no_amounts(tmp_path: Path) -> None:
    with bench(tmp_path, private=False) as desk:
        for ticket in range(1, 5):
            desk.file(ticket)
        body = desk.issues()[0]["body"]
        assert "| Cases | **4** |" in body
        for hidden in ("USD", "29.00", "/agent/tickets/", "Refunded", "Latest"):
            assert hidden not in body
            assert all(hidden not in one for one in desk.comments())


def test_a_repository_that_became_public_is_noticed_by_the_next_ticket(desk: Bench) -> None:
    desk.file(1)
    desk.github.hub.repositories[WEB].private = False
    desk.file(2)
    assert "USD" not in desk.issues()[0]["body"]


def test_kinds_go_to_the_repositories_that_the_policy_names(tmp_path: Path) -> None:
    with bench(tmp_path, routed(no_invoice_access=OTHER)) as desk:
        desk.file(1)
        desk.file(1, kind="no_invoice_access")
        assert len(desk.issues()) == len(desk.issues(OTHER)) == 1


def test_creations_keep_four_seconds_apart_over_all_processes(desk: Bench) -> None:
    kinds, at = sorted(CATALOGUE)[:4], []
    for number, kind in enumerate(kinds):
        desk.file(number, kind=kind, filing=desk.another())
        at.append(desk.clock())
    assert [later - earlier for earlier, later in pairwise(at)] == [SPACING] * 3


@pytest.mark.parametrize(("headers", "seconds"), [({"retry-after": "75"}, 75.0), ({}, 60.0)])
def test_a_pause_that_github_asks_for_holds_for_every_process(
    desk: Bench, headers: dict[str, str], seconds: float
) -> None:
    body = b'{"message": "You have exceeded a secondary rate limit"}'
    desk.github.faults.add("status", method="POST", path=ISSUES, status=403, headers=headers, body=body)
    with pytest.raises(RateLimited):
        desk.filing.file(KIND, desk.occurrence(1), customer=None)
    asked = len(desk.github.wire)
    with pytest.raises(NotYet) as caught:
        desk.another().file(KIND, desk.occurrence(2), customer=None)
    assert caught.value.retry_after == pytest.approx(seconds)
    assert len(desk.github.wire) == asked
    desk.file(2, filing=desk.another())
    assert "| Cases | **2** |" in desk.issues()[0]["body"]


def test_without_access_nothing_is_made_and_the_answer_is_no(desk: Bench) -> None:
    desk.github.faults.add("status", times=None, status=404)
    with pytest.raises(NotFound):
        desk.filing.file(KIND, desk.occurrence(1), customer=None)


def test_every_kind_has_an_issue_that_github_would_show_without_acting_on_it(desk: Bench) -> None:
    for number, kind in enumerate(CATALOGUE, start=1):
        frame = texts.Frame(
            kind=kind, fingerprint=fingerprint(kind, WEB), tickets="https://acme.zendesk.com", keys=KEYS,
            now=desk.clock(), public=False,
        )  # fmt: skip
        made = desk.github.add_issue(WEB, CATALOGUE[kind].title, texts.body(frame, [desk.occurrence(number)]))
        live = desk.github.live(WEB, made["number"])
        assert live.mentions == live.references == live.closing == live.images == live.html_tags == []
        assert not live.unclosed_fence
