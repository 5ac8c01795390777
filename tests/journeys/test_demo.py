"""`billing-desk demo`, as a visitor has it: the real Chromium, the real SDK, and the twins' ledgers afterwards."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from testkit.rig import wait_for
from testkit.workspace import Demo, running_demo

REFUNDED = re.compile("refunded", re.IGNORECASE)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    with running_demo(tmp_path) as made:
        yield made


def test_a_visitor_goes_from_the_duplicate_ticket_to_exactly_one_refund_in_30_seconds(demo: Demo, page: Page) -> None:
    began = time.monotonic()
    page.goto(demo.url)
    card = page.frame_locator("iframe")
    card.get_by_role("button", name=re.compile(r"Review \d steps")).click(timeout=30_000)
    approve = card.get_by_role("button", name="Approve and refund $29.00")
    expect(approve).to_be_visible()
    assert demo.writes() == []
    before = demo.refunds()
    approve.click()
    expect(card.get_by_role("button", name="Stop here")).to_be_visible(timeout=15_000)
    assert demo.refunds() == before
    card.get_by_role("button", name=re.compile("Refund now")).click()
    expect(card.get_by_role("heading", name=re.compile("Fixed in"))).to_be_visible(timeout=30_000)
    expect(page.get_by_text(REFUNDED).first).to_be_visible()
    assert time.monotonic() - began <= 30

    stripe = demo.state("stripe")
    (refund,) = [one for one in stripe["refunds"] if one["id"] not in before]
    assert refund["amount"] == 2900
    mine = {s["customer"] for s in stripe["subscriptions"] if s["id"] in {e["id"] for e in _of(stripe, refund)}}
    renewing = [s for s in _of(stripe, refund) if not s["cancel_at"] and not s["cancel_at_period_end"]]
    assert len(mine) == 1
    assert len(renewing) == 1
    comments = next(t for t in demo.state("zendesk")["tickets"] if t["id"] == 48213)["comments"]
    run_notes = [c for c in comments if not c["public"] and "approved by" in str(c.get("plain_body") or c.get("body"))]
    assert len(run_notes) == 1
    assert [c for c in comments if c["public"]][1:] == []

    def issues() -> list[Any]:
        github = demo.state("github")["repositories"]
        return [i for repo in github.values() for i in repo["issues"] if "billing-gap" in str(i["labels"])]

    wait_for(lambda: len(issues()) == 1, 20, "no issue was filed")
    text = page.locator("#editor").inner_text()
    assert "Maya" in text
    assert "29.00" in text


def _of(stripe: Any, refund: Any) -> list[Any]:
    charge = next(c for c in stripe["charges"] if c["id"] == refund["charge"])
    return [s for s in stripe["subscriptions"] if s["customer"] == charge["customer"] and s["status"] == "active"]
