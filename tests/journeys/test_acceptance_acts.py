"""Can the agent do everything the sidebar offers, in the real Chromium against the demo's real process?"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Frame, Page, expect

from testkit.rig import wait_for
from testkit.workspace import Demo, running_demo

REVIEW = re.compile(r"Review \d+ steps?|\d+ Schritte? (prüfen|ansehen)|View details")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One demo for all acts: each test has a ticket of its own or leaves its ticket as it was."""
    with running_demo(tmp_path_factory.mktemp("acts")) as made:
        yield made


def ticket(demo: Demo, subject: str) -> int:
    found = requests.get(demo.url + "/tickets", timeout=10).json()["tickets"]
    return next(int(one["id"]) for one in found if subject in one["subject"])


def opened(page: Page, demo: Demo, subject: str) -> Frame:
    page.goto(f"{demo.url}/agent/tickets/{ticket(demo, subject)}")
    page.frame_locator("iframe").locator("#card:not([data-stage=loading])").wait_for(timeout=30_000)
    return next(frame for frame in page.frames if frame != page.main_frame)


def reviewed(page: Page, demo: Demo, subject: str) -> Frame:
    frame = opened(page, demo, subject)
    frame.get_by_role("button", name=REVIEW).click()
    expect(frame.locator("#h-plan")).to_be_visible()
    return frame


def customers(demo: Demo) -> dict[str, str]:
    """Stripe's customers by address."""
    return {one["email"]: one["id"] for one in demo.state("stripe")["customers"] if one.get("email")}


def test_an_unknown_sender_is_looked_up_by_address_and_by_any_stripe_id(demo: Demo, page: Page) -> None:
    frame = opened(page, demo, "Where is my receipt")
    expect(frame.locator("#verdict")).to_have_text("No billing account for this email")
    known = customers(demo)
    address = next(one for one in known if one.startswith("eva"))
    stripe = demo.state("stripe")
    subscription = next(one["id"] for one in stripe["subscriptions"] if one["customer"] == known[address])
    for query in (address, known[address], subscription):
        frame.evaluate("document.getElementById('card').dataset.before = 'yes'")
        if not frame.locator("#q").is_visible():
            frame.get_by_text("Not this customer").click()
        frame.locator("#q").fill(query)
        frame.get_by_role("button", name="Look up").click()
        frame.locator("#card:not([data-before])").wait_for()
        expect(frame.locator("#card")).to_contain_text("Another email than the sender’s")
        if frame.get_by_role("button", name=REVIEW).is_visible():
            frame.get_by_role("button", name=REVIEW).click()
            expect(frame.locator("#h-plan")).to_be_visible()
        assert "$" not in frame.locator("#go").inner_text(), "no money for an account that is not theirs"


def test_the_classification_is_changed_and_the_plan_follows(demo: Demo, page: Page) -> None:
    frame = reviewed(page, demo, "How do I cancel?")
    frame.get_by_text("Change classification").click()
    frame.get_by_label("Not billing").check()
    frame.get_by_label("Why (optional)").fill("It is about the app")
    frame.get_by_role("button", name="Use this and plan again").click()
    expect(frame.locator(".tag").first).to_have_text("Not billing")
    frame.get_by_text("Change classification").click()
    frame.get_by_label("Missing self-serve control").check()
    frame.get_by_role("button", name="Use this and plan again").click()
    expect(frame.locator(".tag").first).to_have_text("Missing self-serve control")


def test_a_skipped_step_an_edited_reply_and_no_issue_are_what_is_sent(demo: Demo, page: Page) -> None:
    frame = reviewed(page, demo, "Invoice for my tax office")
    frame.locator("[data-skip]").first.click()
    frame.locator("#reply").fill("Hello Aiko, your invoices are in the portal.")
    frame.get_by_label("Send when the last step succeeds").check()
    if frame.locator("[name=file_issue]").count():
        frame.locator("[name=file_issue]").uncheck()
    with page.expect_request(re.compile("/approvals")) as asked:
        frame.locator("#go").click()
    sent = asked.value.post_data or ""
    assert "name=s1" not in sent
    assert "steps=s1" not in sent
    assert "public_reply" in sent
    assert "file_issue" not in sent
    expect(frame.locator("#verdict")).to_have_text(re.compile("Fixed in|Done"), timeout=30_000)
    expect(page.locator("#messages")).to_contain_text("your invoices are in the portal", timeout=15_000)


def test_a_foreign_ticket_shows_its_reply_in_the_agent_s_language(demo: Demo, page: Page) -> None:
    frame = reviewed(page, demo, "Zahlung geht nicht durch")
    expect(frame.locator("#reply")).to_have_attribute("lang", "de")
    frame.get_by_text("Show in English").click()
    expect(frame.locator('#reply ~ details p[lang="en"]')).to_contain_text("card")


def test_done_is_taken_back_and_shown_as_undone(demo: Demo, page: Page) -> None:
    frame = reviewed(page, demo, "Charged twice this month")
    frame.locator("#go").click()
    frame.get_by_role("button", name="Stop here").click(timeout=15_000)
    expect(frame.locator("#verdict")).to_have_text(re.compile("Stopped"), timeout=20_000)
    frame.get_by_role("button", name=re.compile("Put back")).click()
    expect(frame.locator('.step[data-s="undone"]')).to_have_count(1, timeout=15_000)
    frame.get_by_role("button", name="Make a new plan").click()
    expect(frame.locator("#go, .btn--line").first).to_be_visible()


def test_the_menu_hands_over_and_copies_the_summary(demo: Demo, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    frame = reviewed(page, demo, "Double charge")
    frame.get_by_role("button", name="More:").click()
    frame.get_by_role("button", name="Copy summary", exact=True).click()
    expect(page.locator("#toast")).to_have_text("Summary copied.")
    assert "CUSTOMER" in page.evaluate("navigator.clipboard.readText()")
    if not frame.locator("#menu").is_visible():
        frame.get_by_role("button", name="More:").click()
    frame.locator("#menu").get_by_role("button", name="Hand to a person").click()
    expect(page.locator("#messages")).to_contain_text(re.compile("hand", re.IGNORECASE), timeout=15_000)


def test_refresh_reads_stripe_again(demo: Demo, page: Page) -> None:
    frame = opened(page, demo, "did we get billed 4 times?")
    before = demo.sent("GET", "/v1/subscriptions")
    frame.get_by_role("button", name="Refresh").click()
    wait_for(lambda: demo.sent("GET", "/v1/subscriptions") > before, 15, "Stripe was not asked again")


def test_another_ticket_while_the_app_is_open_shows_its_own_card(demo: Demo, page: Page) -> None:
    frame = opened(page, demo, "did we get billed 4 times?")
    expect(frame.locator("#verdict")).to_contain_text("seats")
    page.get_by_role("link", name=re.compile("Card declined again")).click()
    page.frame_locator("iframe").locator("#verdict", has_text="Card declined").wait_for(timeout=15_000)


def test_an_ended_session_says_what_to_do(demo: Demo, page: Page) -> None:
    frame = opened(page, demo, "did we get billed 4 times?")
    page.route(
        "**/api/tickets/*/card*",
        lambda route: route.continue_(headers={**route.request.headers, "authorization": "Bearer gone"}),
    )
    frame.get_by_role("button", name=REVIEW).click()
    expect(frame.locator("#verdict")).to_have_text("This session has ended")
    expect(frame.locator("#card")).to_contain_text("Reload the app to go on.")
