"""Does the page work in the real Chromium: htmx, our script, the strict policy, and a frame that speaks ZAF?

The server below answers with `render_page` and `render_card`; the SDK is a stand-in that writes down what it is asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from flask import Flask, Response, request
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

from tests.zendesk import cards
from tests.zendesk.cards import NOW, STATES, Card
from zendesk.answers import content_policy
from zendesk.assets import asset
from zendesk.view import Viewer, render_card, render_page

ANA = Viewer(id=7, name="Ana Ruiz", role="agent")
REFUSAL = '{"error": {"code": "invalid", "message": "Not <b>like</b> this."}}'
SDK = """
(() => {
  const asked = window.asked = [], handlers = {}, box = window.box = { text: '', type: 'publicReply' };
  const known = { 'ticket.id': 48213, 'currentUser.locale': 'en-US', colorScheme: 'dark' };
  const value = path => path === 'comment.text' ? box.text : path === 'comment.type' ? box.type : known[path];
  const client = {
    on: (name, handler) => { handlers[name] = handler; if (name === 'app.registered') setTimeout(handler, 0); },
    get: async paths => Object.fromEntries(paths.map(path => [path, value(path)])),
    set: async (path, to) => { asked.push(['set', path, to]); },
    invoke: async (name, ...args) => { asked.push([name, ...args]); },
  };
  window.fire = (name, message) => handlers[name](message);
  window.ZAFClient = { init: () => client };
})();
"""


@dataclass
class Server:
    """What the page gets, and what it asked: `answers` maps a path to the card it is answered with."""

    url: str = ""
    answers: dict[str, Callable[[], Card]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, list[str]]]] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)

    def posts(self, ending: str) -> list[dict[str, list[str]]]:
        return [form for method, path, form in self.asked if method == "POST" and path.endswith(ending)]


def _application(server: Server) -> Flask:
    app = Flask("sidebar-for-tests", static_folder=None)

    @app.get("/sidebar")
    def sidebar() -> str:
        return render_page(token="secret-1", sdk_url="/sdk.js", now=NOW)

    @app.get("/sdk.js")
    def sdk() -> Response:
        return Response(SDK, mimetype="text/javascript")

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(status=204)

    @app.get("/static/<name>")
    def static_file(name: str) -> Response:
        content, media_type = asset(name)
        return Response(content, mimetype=media_type)

    @app.route("/api/<path:path>", methods=["GET", "POST"])
    def api(path: str) -> Response:
        server.asked.append((request.method, path, request.form.to_dict(flat=False)))
        server.tokens.add(request.headers.get("Authorization"))
        build = server.answers.get(path)
        if build is None:
            return Response(
                '{"error": {"code": "invalid", "message": "Not <b>like</b> this."}}', 422, mimetype="application/json"
            )
        return Response(
            render_card(build(), view=request.args.get("view", "glance"), agent=ANA, now=NOW), mimetype="text/html"
        )

    @app.after_request
    def strict(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = content_policy("'self'", "")
        return response

    return app


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(answers={"tickets/48213/card": cards.duplicate})
    listening = make_server("127.0.0.1", 0, _application(made), threaded=True)
    made.url = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield made
    listening.shutdown()
    thread.join()
    listening.server_close()


def opened(page: Page, server: Server) -> Page:
    page.set_viewport_size({"width": 320, "height": 700})
    page.goto(f"{server.url}/sidebar")
    expect(page.locator("#verdict")).to_have_text("Paying twice for Pro")
    return page


def reviewed(page: Page, server: Server) -> Page:
    opened(page, server).get_by_role("button", name="Review 5 steps").click()
    expect(page.locator("#go")).to_be_visible()
    return page


def test_the_card_of_the_frame_s_ticket_is_loaded_with_the_token_and_in_its_colours(page: Page, server: Server) -> None:
    opened(page, server)
    expect(page.locator("html")).to_have_attribute("data-scheme", "dark")
    assert server.tokens == {"Bearer secret-1"}
    assert page.evaluate("document.getElementById('boot')") is None
    page.evaluate("fire('colorScheme.changed', 'light')")
    expect(page.locator("html")).to_have_attribute("data-scheme", "light")


def test_review_moves_the_focus_and_bounds_the_frame(page: Page, server: Server) -> None:
    reviewed(page, server)
    expect(page.locator("#h-dec")).to_be_focused()
    page.wait_for_timeout(50)
    heights = page.evaluate("asked.filter(a => a[0] === 'resize').map(a => parseInt(a[1].height))")
    assert heights[-1] <= page.evaluate("Math.max(480, screen.availHeight - 160)")
    assert page.locator("#go").bounding_box() is not None


def test_skipping_the_refund_takes_it_from_the_button_and_from_what_is_sent(page: Page, server: Server) -> None:
    server.answers["tickets/48213/approvals"] = cards.running
    reviewed(page, server)
    expect(page.locator("#go")).to_have_text("Approve and refund $29.00")
    skip = page.get_by_role("button", name="Skip step 3")
    skip.click()
    expect(page.locator("#go")).to_have_text("Approve 4 steps")
    skip.click()
    expect(page.locator("#go")).to_have_text("Approve and refund $29.00")
    skip.click()
    page.locator("#go").click()
    expect(page.locator("#verdict")).to_have_text("Fixing it")
    assert server.posts("approvals")[0]["steps"] == ["s1", "s2", "s4", "s5"]


def test_in_dry_run_the_button_says_would_and_the_answer_is_recorded(page: Page, server: Server) -> None:
    server.answers |= {"tickets/48213/card": cards.dry_run, "tickets/48213/approvals": cards.dry_run_recorded}
    reviewed(page, server)
    expect(page.locator("#go")).to_have_text("Would refund $29.00")
    expect(page.locator("#bar-note")).to_have_text("Dry run: your approval is recorded, and nothing is applied.")
    page.get_by_role("button", name="Skip step 3").click()
    expect(page.locator("#go")).to_have_text("Would run 4 steps")
    page.get_by_role("button", name="Skip step 3").click()
    page.locator("#go").click()
    expect(page.locator("#verdict")).to_have_text("Recorded. Nothing was applied")
    expect(page.locator("#card")).to_contain_text("Would have refunded $29.00. No money moved.")
    expect(page.locator(".step", has_text="Would have run")).to_have_count(4)
    assert page.evaluate("asked.filter(a => /insert|append/.test(a[0])).length") == 0


def test_a_double_click_approves_once_and_sends_every_field(page: Page, server: Server) -> None:
    server.answers["tickets/48213/approvals"] = cards.running
    server.answers["approvals/ap_7Hq28F2C"] = cards.running
    reviewed(page, server)
    page.locator("#reply").fill("Hi Maya, changed.")
    page.locator("#go").dblclick()
    expect(page.locator("#verdict")).to_have_text("Fixing it")
    (form,) = server.posts("approvals")
    assert form["plan_digest"] == ["sha256:" + "ab" * 32]
    assert form["steps"] == ["s1", "s2", "s3", "s4", "s5"]
    assert form["follow_up_body"] == ["Hi Maya, changed."]
    assert form["deliver"] == ["draft"]
    assert form["file_issue"] == ["true"]


def test_a_run_is_followed_to_its_end_then_the_reply_is_put_in_the_box_once(page: Page, server: Server) -> None:
    server.answers |= {"tickets/48213/approvals": cards.hold, "approvals/ap_7Hq28F2C": cards.hold}
    reviewed(page, server).locator("#go").click()
    expect(page.locator("#hold-stop")).to_be_visible()
    expect(page.locator("#h-plan")).to_be_focused()
    assert "seconds before a final step" in (page.locator("#live").text_content() or "")
    assert page.evaluate("asked.filter(a => a[0].includes('insert')).length") == 0
    server.answers["approvals/ap_7Hq28F2C"] = cards.done
    expect(page.locator("#verdict")).to_have_text("Fixed in 14 s")
    expect(page.locator("#reply-says")).to_have_text("The reply is in the reply box, ready for you to send.")
    inserted = page.evaluate("asked.filter(a => a[0] === 'ticket.editor.insert').map(a => a[1])")
    assert len(inserted) == 1
    assert inserted[0].startswith("<p>Hi Maya,</p><p>You’re right")
    polled = len(server.asked)
    page.wait_for_timeout(1500)
    assert len(server.asked) == polled
    server.answers["tickets/48213/card"] = cards.done  # the agent sends it: the conversation has changed
    with page.expect_response("**/card?view=glance"):
        page.evaluate("fire('ticket.conversation.changed')")
    expect(page.locator("#reply-says")).to_have_text("The reply is in the reply box, ready for you to send.")
    expect(page.locator("[data-insert]")).to_be_hidden()
    assert page.evaluate("asked.filter(a => a[0] === 'ticket.editor.insert').length") == 1


def test_a_run_that_is_over_at_once_puts_the_reply_in_the_box_too(page: Page, server: Server) -> None:
    server.answers["tickets/48213/approvals"] = cards.done
    reviewed(page, server).locator("#go").click()
    expect(page.locator("#reply-says")).to_contain_text("in the reply box")


def test_a_colleague_s_run_puts_nothing_in_my_box(page: Page, server: Server) -> None:
    server.answers["tickets/48213/approvals"] = cards.handled_without_reply
    reviewed(page, server).locator("#go").click()
    expect(page.locator("#verdict")).to_have_text("Refunded $29.00")
    page.wait_for_timeout(100)
    assert page.evaluate("asked.filter(a => /insert|append/.test(a[0])).length") == 0


def test_what_the_agent_wrote_is_added_to_and_never_replaced(page: Page, server: Server) -> None:
    server.answers |= {"tickets/48213/approvals": cards.running, "approvals/ap_7Hq28F2C": cards.done}
    reviewed(page, server)
    page.evaluate("box.text = '<p>My own words</p>'")
    page.locator("#go").click()
    expect(page.locator("#reply-says")).to_have_text("The reply was added below what you had written.")
    kinds = page.evaluate("asked.map(a => a[0]).filter(name => name !== 'resize')")
    assert kinds == ["comment.appendHtml", "notify"]


def test_a_hostile_reply_is_put_in_the_box_as_text(page: Page, server: Server) -> None:
    server.answers |= {"tickets/48213/approvals": cards.running, "approvals/ap_7Hq28F2C": cards.hostile_run_of_mine}
    reviewed(page, server).locator("#go").click()
    expect(page.locator("#reply-says")).to_contain_text("reply box")
    (text,) = page.evaluate("asked.filter(a => a[0] === 'ticket.editor.insert').map(a => a[1])")
    assert text.count("<") == text.count("<p>") + text.count("</p>")


def test_a_refused_refund_leaves_the_box_empty_and_the_focus_on_the_reason(page: Page, server: Server) -> None:
    server.answers |= {"tickets/48213/approvals": cards.running, "approvals/ap_7Hq28F2C": cards.refused}
    reviewed(page, server).locator("#go").click()
    expect(page.locator("#verdict")).to_have_text("Stopped at step 3")
    expect(page.locator("#note")).to_be_focused()
    assert page.evaluate("asked.filter(a => /insert|append/.test(a[0])).length") == 0


def test_a_card_that_was_done_before_offers_the_reply_and_does_not_insert_it(page: Page, server: Server) -> None:
    server.answers["tickets/48213/card"] = cards.done
    page.goto(f"{server.url}/sidebar")
    page.get_by_role("button", name="Put the reply in the box").click()
    expect(page.locator("#reply-says")).to_contain_text("in the reply box")
    assert page.evaluate("asked.filter(a => a[0] === 'ticket.editor.insert').length") == 1


def test_above_the_limit_only_the_right_amount_opens_the_button(page: Page, server: Server) -> None:
    server.answers |= {"tickets/48213/card": cards.over_limit, "tickets/48213/approvals": cards.running}
    reviewed(page, server)
    page.locator("#amount").fill("29.00")
    expect(page.locator("#go")).to_have_attribute("aria-disabled", "true")
    page.locator("#amount").press("Enter")
    page.locator("#amount").fill("290.00")
    expect(page.locator("#go")).not_to_have_attribute("aria-disabled", "true")
    page.locator("#go").click()
    expect(page.locator("#verdict")).to_have_text("Fixing it")
    (form,) = server.posts("approvals")
    assert form["confirm"] == ["290.00"]


def test_stop_in_the_hold_is_one_request_and_its_answer_stays(page: Page, server: Server) -> None:
    server.answers |= {
        "tickets/48213/card": cards.hold, "approvals/ap_7Hq28F2C": cards.hold,
        "approvals/ap_7Hq28F2C/cancel": cards.stopped_by_agent,
    }  # fmt: skip
    page.goto(f"{server.url}/sidebar")
    page.get_by_role("button", name="Stop here").click()
    expect(page.locator("#verdict")).to_have_text("Stopped by an agent")
    page.wait_for_timeout(1200)
    expect(page.locator("#verdict")).to_have_text("Stopped by an agent")
    assert len(server.posts("/cancel")) == 1


def test_an_answer_that_is_no_card_is_shown_as_words_and_leaves_the_card(page: Page, server: Server) -> None:
    reviewed(page, server).locator("#go").click()
    expect(page.locator("#offline")).to_have_text("Not <b>like</b> this.")
    expect(page.locator("#verdict")).to_have_text("Paying twice for Pro")


def test_the_menu_opens_with_the_keyboard_and_hands_over(page: Page, server: Server) -> None:
    server.answers["tickets/48213/handover"] = cards.duplicate
    reviewed(page, server)
    page.get_by_role("button", name="More:").press("Enter")
    page.get_by_role("button", name="Hand to a person").click()
    expect(page.locator("#menu")).to_be_hidden()
    assert len(server.posts("handover")) == 1


def test_a_new_ticket_without_a_number_says_that_it_comes_first(page: Page, server: Server) -> None:
    page.route(
        "**/sdk.js", lambda route: route.fulfill(body=SDK.replace("48213", "undefined"), content_type="text/javascript")
    )
    page.goto(f"{server.url}/sidebar")
    expect(page.locator("#no-ticket")).to_contain_text("There is no ticket yet.")
    expect(page.locator("#card")).to_be_hidden()
    assert server.asked == []


def test_the_session_is_renewed_before_it_ends(page: Page, server: Server) -> None:
    page.clock.install()
    opened(page, server)
    with page.expect_response("**/api/session"):
        page.clock.run_for(600_001)
    assert len(server.posts("session")) == 1


def test_a_letter_that_comes_in_while_the_card_is_open_reads_it_anew(page: Page, server: Server) -> None:
    opened(page, server)
    server.answers["tickets/48213/card"] = cards.failed_payment
    page.evaluate("fire('ticket.conversation.changed')")
    expect(page.locator("#verdict")).to_have_text("Card expired, invoice unpaid")


def test_a_letter_never_takes_away_what_the_agent_reviews(page: Page, server: Server) -> None:
    reviewed(page, server).locator("#reply").fill("My own words")
    before = len(server.asked)
    page.evaluate("fire('ticket.conversation.changed')")
    page.wait_for_timeout(100)
    assert len(server.asked) == before
    expect(page.locator("#reply")).to_have_value("My own words")


HOSTILE = [name for name in STATES if name.startswith("hostile") or name in {"loading", "review", "hold"}]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_state_overflows_a_narrow_panel_and_nothing_hostile_runs(page: Page, server: Server, name: str) -> None:
    build, view = STATES[name]
    server.answers["tickets/48213/card"] = build
    page.set_viewport_size({"width": 258, "height": 640})
    page.goto(f"{server.url}/sidebar")
    expect(page.locator("#card")).not_to_have_attribute("data-stage", "loading" if name != "loading" else "none")
    if view == "review":
        page.evaluate("htmx.ajax('GET', '/api/tickets/48213/card?view=review', {target: '#card', swap: 'outerHTML'})")
        expect(page.locator(".bar-approve")).to_be_visible()
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= 258
