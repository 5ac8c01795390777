"""Does the demo keep the sidebar's acceptance list, check by check, in the real Chromium against the real process?

Checks 3 to 12 of the list. Those that need no process stand in test_acceptance_states.py, the whole flow (14) in
test_demo.py.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Frame, Page, expect

from testkit.rig import wait_for
from testkit.workspace import Demo, running_demo
from zendesk import assets

REVIEW = re.compile(r"Review \d+ steps?")
REFUND = "Approve and refund $29.00"
DUPLICATE = 48213


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as made:
        yield made


@pytest.fixture
def demo(process: Demo) -> Demo:
    """The demo as it begins: seeded again, no fault armed."""
    process.start_over()
    return process


def card(page: Page) -> Frame:
    """The sidebar's frame, once it shows a card."""
    page.frame_locator("iframe").locator("#card:not([data-stage=loading])").wait_for(timeout=30_000)
    return next(frame for frame in page.frames if frame != page.main_frame)


def opened(page: Page, demo: Demo, ticket: int = DUPLICATE) -> Frame:
    page.goto(f"{demo.url}/agent/tickets/{ticket}")
    return card(page)


def reviewed(page: Page, demo: Demo) -> Frame:
    frame = opened(page, demo)
    frame.get_by_role("button", name=REVIEW).click()
    expect(frame.locator("#go")).to_have_text(REFUND)
    return frame


def finished(frame: Frame) -> None:
    frame.get_by_role("button", name="Refund now").click(timeout=15_000)
    expect(frame.locator("#verdict")).to_have_text(re.compile("Fixed in"), timeout=30_000)


def test_nothing_inline_reaches_the_page_and_the_policy_reports_nothing(demo: Demo, page: Page) -> None:
    frame = reviewed(page, demo)
    assert frame.evaluate("document.querySelectorAll('[style], style, script:not([src])').length") == 0
    assert "unsafe" not in requests.get(demo.url, timeout=10).headers["Content-Security-Policy"]


def test_the_card_page_weighs_at_most_30_kilobytes_a_review_6_and_the_first_view_has_no_filled_button(
    demo: Demo, page: Page
) -> None:
    sent: list[str] = []
    page.on("request", lambda one: sent.append(one.headers.get("authorization", "")) if "/card" in one.url else None)
    with page.expect_response(re.compile("/zendesk/sidebar")) as launched:
        opened(page, demo)
    product = launched.value.url.split("/zendesk/")[0]
    headers = {"Authorization": sent[-1], "Accept": "text/html"}

    def fragment(ticket: int, view: str) -> bytes:
        url = f"{product}/api/tickets/{ticket}/card?view={view}"
        answers: list[bytes] = []

        def read() -> bool:  # the first opening of a ticket that is not about billing reads Stripe once more
            answers.append(requests.get(url, headers=headers, timeout=10).content)
            return b'data-stage="loading"' not in answers[-1]

        wait_for(read, 20, f"ticket {ticket} stays loading")
        return answers[-1]

    files = sum(len(gzip.compress(assets.content(name))) for name in ("app.css", "htmx.min.js", "sidebar.js"))
    shell = len(gzip.compress(launched.value.body()))
    for ticket in demo.tickets():
        first = fragment(ticket, "glance")
        assert b"Billing state" in first or b"Look up" in first, ticket
        assert b"btn--fill" not in first, ticket
        assert files + shell + len(gzip.compress(first)) <= 30 * 1024, ticket
        assert len(gzip.compress(fragment(ticket, "review"))) <= 6 * 1024, ticket


def test_the_filled_button_names_the_plan_s_total_when_money_moves(demo: Demo, page: Page) -> None:
    frame = reviewed(page, demo)
    total = frame.locator(".sum b").inner_text()
    assert total == "$29.00"
    assert total in frame.locator(".btn--fill").inner_text()


def test_the_approve_bar_is_seen_at_320_by_640_and_never_hides_what_has_the_focus(demo: Demo, page: Page) -> None:
    frame = reviewed(page, demo)
    page.evaluate("Object.assign(document.getElementById('app').style, {width: '320px', height: '640px'})")
    page.set_viewport_size({"width": 1280, "height": 900})
    frame.wait_for_function("innerWidth === 320 && innerHeight <= 640")
    assert frame.evaluate(
        "scrollY === 0 || document.getElementById('go').getBoundingClientRect().bottom <= innerHeight"
    )
    go = frame.locator("#go").evaluate("one => one.getBoundingClientRect().toJSON()")
    assert go["bottom"] <= frame.evaluate("innerHeight")
    frame.locator("#h-dec").focus()
    hidden = []
    for _ in range(40):
        page.keyboard.press("Tab")
        if frame.evaluate("document.activeElement === document.body"):
            break
        hidden += frame.evaluate("""() => {
          const one = document.activeElement, bar = document.querySelector('.bar-approve');
          if (bar.contains(one)) return [];
          const box = one.getBoundingClientRect(), edge = bar.getBoundingClientRect().top;
          return box.top >= edge || box.bottom <= 0 ? [one.outerHTML.slice(0, 90)] : [];
        }""")
    assert hidden == []


def test_a_double_click_on_approve_is_one_refund_on_the_wire_and_polling_ends_with_the_run(
    demo: Demo, page: Page
) -> None:
    frame = reviewed(page, demo)
    before = demo.refunds()
    frame.locator("#go").dblclick()
    finished(frame)
    expect(page.locator("#editor")).to_contain_text("29.00")
    expect(frame.locator("#card")).not_to_have_attribute("hx-trigger", re.compile("every"), timeout=25_000)
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if "/api/" in one.url else None)
    page.wait_for_timeout(3_000)
    assert len(asked) <= 1, asked
    assert len(demo.refunds() - before) == 1
    assert demo.sent("POST", "/v1/refunds") == 1


def test_stop_in_the_hold_is_no_refund_on_the_wire(demo: Demo, page: Page) -> None:
    frame = reviewed(page, demo)
    frame.locator("#go").click()
    frame.get_by_role("button", name="Stop here").click(timeout=15_000)
    expect(frame.locator("#verdict")).to_have_text(re.compile("Stopped"), timeout=20_000)
    expect(frame.locator("#card")).to_contain_text("No money moved.")
    assert demo.sent("POST", "/v1/refunds") == 0
    assert page.locator("#editor").inner_text().strip() == ""


def test_the_reply_box_stays_empty_when_the_refund_fails(demo: Demo, page: Page) -> None:
    frame = reviewed(page, demo)
    body = {"error": {"type": "invalid_request_error", "code": "charge_disputed", "message": "disputed"}}
    demo.break_stripe("status", method="POST", path="/v1/refunds", times=None, status=400, body=body)
    frame.locator("#go").click()
    frame.get_by_role("button", name="Refund now").click(timeout=15_000)
    expect(frame.locator("#verdict")).to_have_text(re.compile("Stopped at step"), timeout=30_000)
    expect(frame.locator("#card")).to_contain_text("No money moved.")
    assert page.locator("#editor").inner_text().strip() == ""


def test_the_colour_scheme_changes_without_a_reload(demo: Demo, page: Page) -> None:
    frame = opened(page, demo)
    frame.evaluate("window.kept = true")
    page.get_by_role("button", name="Dark").click()
    expect(frame.locator("html")).to_have_attribute("data-scheme", "dark")
    page.get_by_role("button", name="Light").click()
    expect(frame.locator("html")).to_have_attribute("data-scheme", "light")
    assert frame.evaluate("window.kept")


def test_the_workspace_page_itself_passes_axe(demo: Demo, page: Page) -> None:
    frame = opened(page, demo)
    expect(frame.locator("#verdict")).to_be_visible()
    axe = (Path(__file__).parents[1] / "support" / "axe" / "axe.min.js").read_text()
    page.evaluate(axe)
    found = page.evaluate(
        "axe.run(document, {iframes: false}).then(r => r.violations.map(v => v.id + ': ' + v.nodes[0].target))"
    )
    assert found == []
