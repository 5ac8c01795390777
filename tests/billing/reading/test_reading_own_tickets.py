"""Does reading stay as good as it was on tickets that no rule was written for? `make eval FILE=…` prints figures."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from billing.reading.language import SUPPORTED
from billing.reading.phrases import phrasebook
from billing.reading.scoring import BUCKETS
from deploy.eval.evaluate import Judged, Row, accuracy, judged, macro, rows, tickets

OWN = Path(__file__).parents[3] / "deploy" / "eval" / "tickets_own.jsonl"
UNSEEN = {ticket["id"] for ticket in tickets(OWN) if ticket["split"] == "never_looked_at"}


@pytest.fixture(scope="module")
def read() -> list[Row]:
    return [row for row in rows(OWN)[0] if row.ticket in UNSEEN]


@pytest.fixture(scope="module")
def decided() -> list[Judged]:
    return [entry for entry in judged(OWN) if entry.row.ticket in UNSEEN]


def test_words_alone_tell_the_bucket_of_most_tickets(read: list[Row]) -> None:
    assert macro(read, BUCKETS) >= 0.80


def test_state_tells_more_than_the_words_where_it_proves_another_bucket(read: list[Row], decided: list[Judged]) -> None:
    words = {row.ticket: row.guess for row in read}
    by_words = sum(words[entry.row.ticket] == entry.row.gold for entry in decided)
    by_both = sum(entry.row.guess == entry.row.gold for entry in decided)
    assert by_both > by_words


def test_a_suggestion_is_nearly_always_right(decided: list[Judged]) -> None:
    assert accuracy([entry.row for entry in decided if entry.suggested]) >= 0.95


def test_no_billing_ticket_but_one_is_taken_for_something_else(read: list[Row]) -> None:
    assert sum(row.guess == "not_billing" != row.gold for row in read) <= 1


@pytest.mark.parametrize("language", SUPPORTED)
def test_two_long_lists_in_a_row_are_two_patterns(language: str) -> None:
    """A blank between two lists binds them: a forgotten quote once silenced the billing words of four languages."""
    book = phrasebook(language)
    for rule in (*book.rules, *book.wishes, book.instructions):
        for pattern in (*rule.patterns, *rule.vetoes):
            for one, two in pairwise(pattern):
                assert two.gap or len(one.alternatives) < 20, rule.name
