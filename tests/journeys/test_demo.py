"""`billing-desk demo`, as a visitor has it: the real Chromium, the real SDK, and the twins' ledgers afterwards."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect

from testkit.rig import ROOT, wait_for

REFUNDED = re.compile("refunded", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo: its workspace's address and those of the three twins."""

    url: str
    twins: dict[str, str]

    def state(self, service: str) -> Any:
        return requests.get(self.twins[service] + "/_twin/state", timeout=10).json()

    def refunds(self) -> set[str]:
        return {refund["id"] for refund in self.state("stripe")["refunds"]}

    def writes(self) -> list[dict[str, Any]]:
        entries = requests.get(self.twins["stripe"] + "/_twin/wire", timeout=10).json()["entries"]
        return [entry for entry in entries if entry["effect"]]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("w") as told, err.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "demo"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=told,
            stderr=said,
        )
        try:
            wait_for(lambda: "Open http" in out.read_text(), 60, lambda: err.read_text())
            twins = dict(re.findall(r"(stripe|zendesk|github) (http://\S+)", err.read_text()))
            found = re.search(r"http://\S+", out.read_text())
            assert found
            yield Demo(found.group(), twins)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def test_a_visitor_goes_from_the_duplicate_ticket_to_exactly_one_refund(demo: Demo, page: Page) -> None:
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


def test_stopping_in_the_hold_refunds_nothing(demo: Demo, page: Page) -> None:
    before = demo.refunds()
    page.goto(demo.url)
    card = page.frame_locator("iframe")
    card.get_by_role("button", name=re.compile(r"Review \d steps")).click(timeout=30_000)
    card.get_by_role("button", name="Approve and refund $29.00").click()
    card.get_by_role("button", name="Stop here").click(timeout=15_000)
    expect(card.get_by_role("heading", name=re.compile("Stopped|stopped")).first).to_be_visible(timeout=20_000)
    assert demo.refunds() == before


def _of(stripe: Any, refund: Any) -> list[Any]:
    charge = next(c for c in stripe["charges"] if c["id"] == refund["charge"])
    return [s for s in stripe["subscriptions"] if s["customer"] == charge["customer"] and s["status"] == "active"]
