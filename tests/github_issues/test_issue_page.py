"""Does an issue, rendered as GitHub renders it, look like the design's picture, whatever gap it is about?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page

from billing.gap import CATALOGUE, fingerprint
from github_issues.issue import Frame, Occurrence, body, labels
from github_issues.outgoing import check
from github_issues.seeing import STEPS
from testkit import issue_page

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
SEEN = tuple(
    Occurrence(
        ticket_id=48213 - 100 * back, seen_at=NOW - timedelta(days=2 * back), pattern="duplicate same price",
        refunded={"usd": 2900}, at_risk={}, charges=1, seconds=41 + back, plan="Pro" if back % 4 else "Plus",
        every="month", customer=str(back),
    )
    for back in range(15)
)  # fmt: skip


def written(kind: str, *, public: bool = False) -> str:
    mark = fingerprint(kind, "acme/web")
    frame = Frame(
        kind=kind, fingerprint=mark, tickets="https://acme.zendesk.com", keys=("k" * 40,), now=NOW, public=public
    )
    return body(frame, SEEN)


def picture() -> str:
    """The page that `make gallery` lays beside the design's picture."""
    kind = "no_duplicate_guard"
    return issue_page.page(CATALOGUE[kind].title, 412, labels(kind, ("billing-gap",), len(SEEN)), written(kind))


def test_every_kind_of_gap_says_how_to_see_it_in_steps_that_end_in_what_is_expected() -> None:
    assert set(STEPS) == set(CATALOGUE)
    for kind, steps in STEPS.items():
        assert len(steps) == 3, kind
        assert "Expected: " in steps[-1], kind
        assert all(step[0].isupper() and step.endswith(".") and len(step) <= 120 for step in steps), kind
        assert check("\n".join(steps)), kind


def test_a_rendered_issue_has_its_tables_steps_and_boxes_and_shows_none_of_its_marks(
    open_page: Callable[..., Page],
) -> None:
    page = open_page(viewport={"width": 896, "height": 900})
    page.set_content("".join(f"<section>{issue_page.rendered(written(kind))}</section>" for kind in CATALOGUE))
    for kind, section in zip(CATALOGUE, page.locator("section").all(), strict=True):
        assert section.locator("table").count() == 2, kind
        assert section.locator("table").nth(1).locator("tbody tr").count() == 10, kind
        assert section.locator("ol li").all_inner_texts() == list(STEPS[kind])
        assert section.locator("input[type=checkbox]").count() == len(CATALOGUE[kind].done_when), kind
        assert section.locator("h3").all_inner_texts() == [
            "What happens", "What should happen", "Evidence", "Latest cases", "How to see it", "Done when",
        ]  # fmt: skip
    shown = page.inner_text("body")
    assert not [mark for mark in ("<!--", "-->", "billing-desk:", "signature=", "gap=", "| |", "###") if mark in shown]
    first = page.locator("section").first
    evidence = first.locator("table").first.locator("tbody tr").first
    assert evidence.locator("td").all_inner_texts() == ["Cases", "15, of which 4 this week"]
    assert (
        first.get_by_role("link", name="48213").get_attribute("href") == "https://acme.zendesk.com/agent/tickets/48213"
    )


@pytest.mark.parametrize("kind", ["no_duplicate_guard"])
def test_in_a_public_repository_neither_tickets_nor_amounts_are_rendered(kind: str) -> None:
    html = issue_page.rendered(written(kind, public=True))
    assert (html.count("<table>"), "48213" in html, "USD" in html) == (1, False, False)
