"""Does the demo's workspace host the sidebar as Zendesk does, in a real browser, and tell what happened?"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from playwright.sync_api import Frame, Page, expect

from integrations.twins.demo_world import seed
from integrations.twins.github_twin import GitHubTwin
from integrations.twins.server import Request, Response, Twin
from integrations.twins.stripe_twin import DEFAULT_KEY, StripeTwin
from integrations.twins.workspace import Workspace
from integrations.twins.workspace.wire import masked, shortened
from integrations.twins.zendesk_twin import ZendeskTwin

NOW = datetime(2026, 11, 22, 10, 2, tzinfo=UTC)
STUB = b"""
window.heard = [];
const client = window.client = ZAFClient.init();
client.on('app.registered', context => { heard.push(['registered', context]); document.body.dataset.ready = '1'; });
for (const name of ['app.activated', 'colorScheme.changed', 'ticket.conversation.changed', 'ticket.saved'])
  client.on(name, given => heard.push([name, given]));
"""


class Product(Twin):
    """Answers the launch as the product does: once per token, with the vendored SDK and a strict policy."""

    service = "product"
    workspace: Workspace

    def handle(self, request: Request) -> Response:
        if request.path == "/stub.js":
            return Response(200, STUB, {"Content-Type": "text/javascript"})
        if request.method != "POST":
            return Response(404, {})
        policy = (
            f"default-src 'none'; script-src 'self' {self.workspace.url}; base-uri 'none'; "
            f"frame-ancestors {self.workspace.url}"
        )
        html = (
            f"<!doctype html><title>Stub</title><script src='{self.workspace.sdk_url}'></script>"
            "<body>Stub<script src='/stub.js'></script>"
        )
        return Response(200, html, {"Content-Type": "text/html", "Content-Security-Policy": policy})

    def launches(self) -> list[dict[str, str]]:
        """What every launch carried: its form and its query."""
        made = [entry for entry in list(self.wire) if entry.method == "POST"]
        return [
            dict(urllib.parse.parse_qsl(entry.request_body.decode()))
            | dict(urllib.parse.parse_qsl(entry.target.partition("?")[2]))
            for entry in made
        ]


class Stage:
    """The three twins, the workspace and the stub, running."""

    def __init__(self) -> None:
        self.resets: list[str] = []
        self.stripe = StripeTwin(clock=lambda: NOW).start()
        self.zendesk = ZendeskTwin(clock=lambda: NOW, subdomain="brightpath").start()
        self.github = GitHubTwin(clock=lambda: NOW).start()
        self.product = Product(clock=lambda: NOW).start()
        self.workspace = Workspace(
            self.stripe, self.zendesk, self.github, world=seed(self.stripe, self.zendesk, self.github, now=NOW),
            on_reset=lambda: self.resets.append("asked"), now=lambda: NOW,
        ).start()  # fmt: skip
        self.workspace.product_url = self.product.url
        self.product.workspace = self.workspace

    def stop(self) -> None:
        for each in (self.workspace, self.product, self.stripe, self.zendesk, self.github):
            each.stop()
        assert not self.workspace.crashes

    def call_stripe(self, path: str, body: str | None = None) -> None:
        asked = urllib.request.Request(  # noqa: S310  loopback
            self.stripe.url + path, None if body is None else body.encode(), {"Authorization": f"Bearer {DEFAULT_KEY}"}
        )
        with urllib.request.urlopen(asked) as answer:  # noqa: S310
            assert answer.status == 200

    def maya(self, kind: str) -> dict[str, Any]:
        return self.stripe.store.where(kind, customer=self.workspace.world.tickets[0].customers[0])[0]


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.stop()


@pytest.fixture
def opened(stage: Stage, page: Page) -> tuple[Page, Frame]:
    """The workspace on its first ticket, with the stub registered in the frame."""
    page.goto(stage.workspace.url)
    return page, app_frame(page)


def app_frame(page: Page) -> Frame:
    """The app's frame, ready: one that a new one replaces while we look is no longer in the page, so we look again."""
    for _ in range(50):
        expect(page.frame_locator("#app").locator("body[data-ready]")).to_be_visible()
        if frame := page.locator("#app").element_handle().content_frame():
            return frame
    raise AssertionError("the app's frame is replaced again and again")


def ask(stage: Stage, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    content = None if body is None else json.dumps(body).encode()
    sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    asked = urllib.request.Request(stage.workspace.url + path, content, sent)  # noqa: S310  loopback
    try:
        with urllib.request.build_opener(NoRedirect).open(asked) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, dict(refused.headers), refused.read()


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def changed(stage: Stage, ticket: int = 48213) -> dict[str, tuple[str, str]]:
    return {one["name"]: (one["before"], one["now"]) for one in stage.workspace.changes.of(ticket)}


# -- launch and messages --------------------------------------------------------------------------------------------
def test_the_frame_is_launched_with_a_signed_token_our_origin_and_the_colour_scheme(
    stage: Stage, opened: tuple[Page, Frame]
) -> None:
    (launch,) = stage.product.launches()
    claims = jwt.decode(
        launch["token"], stage.zendesk.public_key_pem, ["RS256"], options={"verify_aud": False, "verify_exp": False,
        "verify_iat": False},
    )  # fmt: skip

    assert claims["sub"].endswith(f"/users/{stage.workspace.agent_id}.json")
    assert (launch["origin"], launch["colorScheme"]) == (stage.workspace.url, "light")
    assert len(launch["app_guid"]) == 36


def test_every_opening_of_a_ticket_brings_a_fresh_token(stage: Stage, opened: tuple[Page, Frame]) -> None:
    page, _ = opened
    page.get_by_role("link", name="How do I cancel?").click()
    app_frame(page)
    page.get_by_role("button", name="Reload Billing").click()
    app_frame(page)
    expect(page).to_have_url(f"{stage.workspace.url}/agent/tickets/48203")

    tokens = [one["token"] for one in stage.product.launches()]
    assert len(tokens) == len(set(tokens)) == 3


def test_the_app_is_registered_with_its_ticket(opened: tuple[Page, Frame]) -> None:
    _, frame = opened
    context = frame.evaluate("() => client.context()")
    metadata = frame.evaluate("() => client.metadata()")

    assert (context["location"], context["ticketId"], context["account"]["subdomain"]) == (
        "ticket_sidebar", 48213, "brightpath",
    )  # fmt: skip
    assert metadata["installationId"] == 4471


def test_an_array_get_answers_what_is_known_and_puts_errors_beside_it(opened: tuple[Page, Frame]) -> None:
    got = opened[1].evaluate(
        "() => client.get(['ticket.id', 'ticket.requester.id', 'currentUser.locale', 'colorScheme', 'comment.type',"
        " 'comment.text', 'ticket.nope'])"
    )
    errors = got.pop("errors")

    assert got == {
        "ticket.id": 48213, "ticket.requester.id": 362001, "currentUser.locale": "en-US", "colorScheme": "light",
        "comment.type": "publicReply", "comment.text": "",
    }  # fmt: skip
    assert errors["ticket.nope"]["name"] == "APIError"


def test_a_single_get_or_invoke_of_something_unknown_is_rejected(opened: tuple[Page, Frame]) -> None:
    says = opened[1].evaluate("() => client.get('ticket.nope').catch(error => `${error.name}: ${error.message}`)")
    also = opened[1].evaluate("() => client.invoke('nonsense').catch(error => error.message)")

    assert says == 'APIError: "ticket.nope" is not supported'
    assert also == '"nonsense" is not supported'


@pytest.mark.expected_complaints("inline event handler")  # the handlers in what is inserted must not run
def test_inserted_html_becomes_paragraphs_without_scripts_and_appending_keeps_them(opened: tuple[Page, Frame]) -> None:
    page, frame = opened
    editor = page.get_by_role("textbox", name="Reply")
    given = "<p>Hi Maya,</p><p onclick='x()'>one<br>two</p><img src=x onerror=x()>"
    frame.evaluate("given => client.invoke('ticket.editor.insert', given)", given)
    expect(editor.locator("p")).to_have_count(2)
    frame.evaluate("() => client.invoke('comment.appendHtml', '<p>and three</p><script>x()</script>')")
    expect(editor.locator("p")).to_have_count(3)

    assert editor.inner_html() == "<p>Hi Maya,</p><p>one<br>two</p><p>and three</p>"
    assert "and three" in frame.evaluate("() => client.get('comment.text')")["comment.text"]
    expect(page.locator(".tour [aria-current=step]")).to_have_text("3 See what changed")
    expect(page.locator("#changes div", has_text="Reply")).to_have_text("Replyempty → drafted")


def test_a_draft_stays_with_its_ticket(opened: tuple[Page, Frame]) -> None:
    page, _ = opened
    editor = page.get_by_role("textbox", name="Reply")
    editor.fill("half a sentence")
    page.get_by_role("link", name="Double charge").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Double charge")
    expect(editor).to_have_text("")
    page.get_by_role("link", name="Charged twice this month??").click()
    expect(editor).to_have_text("half a sentence")


def test_the_app_switches_the_composer_to_an_internal_note_and_back(opened: tuple[Page, Frame]) -> None:
    page, frame = opened
    frame.evaluate("() => client.set('comment.type', 'internalNote')")
    expect(page.get_by_role("button", name="Internal note")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Public reply").click()

    assert frame.evaluate("() => client.get('comment.type')")["comment.type"] == "publicReply"
    assert "takes" in frame.evaluate("() => client.set('comment.type', 'shout').catch(error => error.message)")


def test_the_frame_takes_the_height_the_app_asks_for_and_notices_are_shown(opened: tuple[Page, Frame]) -> None:
    page, frame = opened
    frame.evaluate("() => client.invoke('resize', {width: '100%', height: '517px'})")
    frame.evaluate("() => client.invoke('resize', {height: 'expression(1)'})")
    frame.evaluate("() => client.invoke('notify', 'Reply is ready to send')")

    expect(page.locator("#app")).to_have_css("height", "517px")
    expect(page.locator("#toast")).to_have_text("Reply is ready to send")


def test_switching_to_dark_tells_the_app_without_reloading_it(stage: Stage, opened: tuple[Page, Frame]) -> None:
    page, frame = opened
    page.get_by_role("button", name="Dark").click()
    expect(page.get_by_role("button", name="Light")).to_be_visible()
    expect(page.locator("html")).to_have_css("color-scheme", "dark")

    assert frame.evaluate("() => client.get('colorScheme')")["colorScheme"] == "dark"
    assert ["colorScheme.changed", "dark"] in frame.evaluate("() => heard")
    assert len(stage.product.launches()) == 1


def test_a_message_from_another_window_is_not_answered(opened: tuple[Page, Frame]) -> None:
    page, frame = opened
    forged = {"id": 1, "request": "invoke", "params": {"notify": ["from myself"]}}
    page.evaluate("forged => postMessage(JSON.stringify(forged), location.origin)", forged)
    frame.evaluate("() => client.get('ticket.id')")

    expect(page.locator("#toast")).to_have_text("")


# -- conversation ---------------------------------------------------------------------------------------------------
def test_the_conversation_marks_the_words_that_matter(opened: tuple[Page, Frame]) -> None:
    page, _ = opened

    expect(page.locator("mark")).to_have_text("charged twice this month")
    expect(page.locator(".status")).to_have_text("Open")
    expect(page.locator("#unsolved")).to_have_text("10")


def test_a_note_the_product_writes_appears_by_itself(stage: Stage, opened: tuple[Page, Frame]) -> None:
    stage.zendesk.add_comment(48213, stage.zendesk.desk.service_user, "Read by billing-desk", public=False)

    expect(opened[0].locator("article.note")).to_contain_text("internal note")
    assert changed(stage)["Internal notes"] == ("0", "1")


def test_submitting_sends_the_reply_solves_the_ticket_and_tells_the_app(
    stage: Stage, opened: tuple[Page, Frame]
) -> None:
    page, frame = opened
    frame.evaluate("() => client.invoke('ticket.editor.insert', '<p>Hi Maya,</p><p>done.</p>')")
    page.get_by_role("button", name="Submit as Solved").click()
    expect(page.locator(".status")).to_have_text("Solved")
    expect(page.locator("#unsolved")).to_have_text("9")

    sent = stage.zendesk.desk.comments[48213][-1]
    assert (sent["public"], sent["author_id"], sent["plain_body"]) == (True, 361001, "Hi Maya,\n\ndone.")
    assert {"ticket.saved", "ticket.conversation.changed"} <= {one[0] for one in frame.evaluate("() => heard")}
    assert changed(stage)["Reply"] == ("empty", "1 sent")


def test_ticket_links_work_by_keyboard_and_by_address(stage: Stage, page: Page) -> None:
    page.goto(f"{stage.workspace.url}/agent/tickets/48185")
    expect(page.get_by_role("heading", level=1)).to_have_text("Double charge")
    page.get_by_role("link", name="Charged twice this month??").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Charged twice this month??")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Double charge")


# -- the wire, what changed -----------------------------------------------------------------------------------------
def test_a_request_to_a_twin_appears_on_the_wire_without_the_address(stage: Stage, opened: tuple[Page, Frame]) -> None:
    page, _ = opened
    stage.call_stripe("/v1/customers?email=maya.okafor%40brightpath.example&limit=10")

    row = page.locator("#wire tr").last
    expect(row).to_contain_text("GET /v1/customers?email=m…@brightpath.example")
    expect(row.locator("td").last).to_have_text("200")
    expect(page.locator("#count")).to_have_text("1")


def test_writes_are_marked_and_what_they_changed_is_shown_before_and_after(
    stage: Stage, opened: tuple[Page, Frame]
) -> None:
    page, _ = opened
    stage.call_stripe("/v1/customers?limit=1")
    expect(page.locator("#wire tr")).to_have_count(1)
    stage.call_stripe(f"/v1/subscriptions/{stage.maya('subscription')['id']}", "cancel_at_period_end=true")
    stage.call_stripe("/v1/refunds", f"charge={stage.maya('charge')['id']}")

    expect(page.locator("#wire tr.wrote")).to_have_count(2)
    expect(page.locator("#changes div", has_text="Renewing plans")).to_have_text("Renewing plans2 → 1")
    expect(page.locator("#changes div", has_text="Refunded")).to_have_text("Refunded to Maya$0.00 → $29.00")
    expect(page.locator("#changes div", has_text="Next charge")).to_have_text("Next charge3 Dec + 12 Dec → 3 Dec")
    expect(page.locator(".tour [aria-current=step]")).to_have_text("2 Approve the plan")


def test_tags_and_the_issue_that_counts_the_ticket_are_among_the_changes(stage: Stage) -> None:
    stage.zendesk.desk.tickets[48213]["tags"] = ["billing_desk", "billing_duplicate"]
    body = "| Cases | **15** |\n[48213](https://brightpath.zendesk.com/agent/tickets/48213)"
    made = stage.github.add_issue("brightpath/web", "Checkout sells the same plan twice", body)

    assert changed(stage)["Ticket tags"] == ("none", "billing_desk billing_duplicate")
    assert changed(stage)["Issue"] == ("none", f"#{made['number']}, 15 cases")
    assert changed(stage, 48203)["Issue"] == ("none", "none")


def test_a_refund_made_before_the_demo_is_no_change(stage: Stage) -> None:
    assert changed(stage, 48185)["Refunded to Ben"] == ("$29.00", "$29.00")


def test_webhooks_to_the_product_are_on_the_wire_too(stage: Stage) -> None:
    stage.zendesk.add_webhook(f"{stage.product.url}/webhooks/zendesk", secret="s" * 20)
    stage.workspace.announce()
    stage.zendesk.settle()
    lines = stage.workspace.wiretap.after(0)

    assert {one["target"] for one in lines} == {
        f"/webhooks/zendesk (ticket {each.id})" for each in stage.workspace.world.tickets
    }
    assert all(one["incoming"] and one["status"] == 200 for one in lines)


def test_a_slow_request_recorded_after_a_younger_one_is_not_lost(stage: Stage) -> None:
    old, young = stage.stripe.fresh_number(), stage.stripe.fresh_number()
    asked = Request("GET", "/v1/charges", [], {}, b"", "/v1/charges")
    stage.stripe.record(young, asked, Response(200, {}), None, None)
    assert len(stage.workspace.wiretap.after(0)) == 1
    stage.stripe.record(old, asked, Response(200, {}), None, "latency")

    assert [one["fault"] for one in stage.workspace.wiretap.after(1)] == ["latency"]


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/v1/customers?email=a.b%2Bc%40d.example&limit=100", "/v1/customers?email=a…@d.example"),
        ("/v1/subscriptions/sub_1TwinA0000000555?expand%5B%5D=items", "/v1/subscriptions/sub_…0555"),
        ("/v1/customers/search?query=email%3A%22x%40y.example%22", '/v1/customers/search?query=email:"x…@y.example"'),
        ("/repos/brightpath/web/issues?labels=gap%3Aa_b", "/repos/brightpath/web/issues?labels=gap:a_b"),
        ("/v1/" + "x" * 300, "/v1/" + "x" * 115 + "…"),
    ],
)
def test_targets_are_short_and_without_addresses(target: str, shown: str) -> None:
    assert shortened(target) == shown


def test_effects_are_masked_like_targets() -> None:
    effect = "refund 29.00 usd on ch_1TwinA0000000007 for a@b.example"

    assert masked(effect) == "refund 29.00 usd on ch_…0007 for a…@b.example"


# -- faults, reset, doors -------------------------------------------------------------------------------------------
def test_the_fault_switch_arms_and_disarms_stripe(stage: Stage, opened: tuple[Page, Frame]) -> None:
    page, _ = opened
    kept = stage.stripe.faults.add("latency", times=None, seconds=0.0)
    choice = page.get_by_label("What goes wrong at Stripe")

    def armed(value: str) -> list[tuple[str, str | None, int | None]]:
        with page.expect_response("**/fault"):
            choice.select_option(value)
        return [(one.kind, one.method, one.times) for one in stage.stripe.faults.armed if one is not kept]

    assert armed("late") == [("latency", "POST", None)]
    assert armed("lost") == [("reset_after", "POST", 1)]
    assert armed("down") == [("status", None, None)]
    with pytest.raises(urllib.error.HTTPError, match="500"):
        stage.call_stripe("/v1/customers")
    assert armed("off") == []
    stage.call_stripe("/v1/customers")
    assert stage.stripe.faults.armed == [kept]


def test_on_the_flaky_ticket_stripe_fails_twice_and_then_recovers(stage: Stage) -> None:
    flaky = stage.workspace.world.flaky_ticket
    charge = stage.maya("charge")["id"]

    assert json.loads(ask(stage, f"/tickets/{flaky}/launch", {})[2])["fault"] == "twice"
    for _ in range(2):
        with pytest.raises(urllib.error.HTTPError, match="500"):
            stage.call_stripe("/v1/refunds", f"charge={charge}")
    stage.call_stripe("/v1/refunds", f"charge={charge}")
    assert json.loads(ask(stage, f"/wire?ticket={flaky}")[2])["fault"] == "off"
    assert json.loads(ask(stage, f"/tickets/{flaky}/launch", {})[2])["fault"] == "off"


def test_leaving_the_flaky_ticket_takes_its_fault_away(stage: Stage) -> None:
    ask(stage, f"/tickets/{stage.workspace.world.flaky_ticket}/launch", {})

    assert json.loads(ask(stage, "/tickets/48213/launch", {})[2])["fault"] == "off"
    assert stage.stripe.faults.armed == []


def test_a_lost_reply_is_lost_once_and_then_the_switch_is_off(stage: Stage) -> None:
    ask(stage, "/fault", {"name": "lost"})
    with pytest.raises(OSError, match="reset"):
        stage.call_stripe("/v1/refunds", f"charge={stage.maya('charge')['id']}")

    assert changed(stage)["Refunded to Maya"] == ("$0.00", "$29.00")
    assert json.loads(ask(stage, "/wire")[2])["fault"] == "off"
    assert stage.workspace.wiretap.after(0)[-1]["fault"] == "reset_after"


def test_start_over_brings_everything_back_and_asks_the_product_to_forget(
    stage: Stage, opened: tuple[Page, Frame]
) -> None:
    page, frame = opened
    stage.zendesk.add_webhook(f"{stage.product.url}/webhooks/zendesk", secret="s" * 20)
    stage.call_stripe("/v1/refunds", f"charge={stage.maya('charge')['id']}")
    frame.evaluate("() => client.invoke('ticket.editor.insert', '<p>Hi</p>')")
    expect(page.locator("#changes b")).to_have_count(2)
    page.get_by_role("button", name="Start over").click()
    expect(page.locator("#changes b")).to_have_count(0)
    expect(page.locator("#count")).to_have_text("10")

    assert stage.resets == ["asked"]
    assert len(stage.stripe.refunds()) == 1
    expect(page.get_by_role("textbox", name="Reply")).to_have_text("")
    expect(page.locator(".tour [aria-current=step]")).to_have_text("1 Read the card")
    assert not page.locator("#wire tr", has_text="refunds").count()


def test_the_sdk_may_be_loaded_by_any_page(stage: Stage) -> None:
    status, headers, body = ask(stage, "/zaf_sdk.js")

    assert status == 200
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert headers["Content-Type"].startswith("text/javascript")
    assert b"Apache License" in body
    assert stage.workspace.sdk_url == f"{stage.workspace.url}/zaf_sdk.js"


def test_the_page_has_a_strict_policy_that_frames_only_the_product(stage: Stage) -> None:
    _, headers, body = ask(stage, "/agent/tickets/48213")
    policy = headers["Content-Security-Policy"]

    assert f"frame-src {stage.product.url};" in policy
    assert "unsafe" not in policy
    assert b"style=" not in body
    assert b"onclick" not in body


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/tickets/48213/launch", {}, {"Host": "evil.example"}, 421),
        ("/tickets/48213/launch", {}, {"Content_Type": "text/plain"}, 415),
        ("/reset", {}, {"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ("/tickets/1", None, {}, 404),
        ("/static/../server.py", None, {}, 404),
        ("/nothing", None, {}, 404),
        ("/fault", {"name": "earthquake"}, {}, 400),
    ],
)
def test_other_doors_stay_shut(stage: Stage, path: str, body: object, headers: dict[str, str], status: int) -> None:
    assert ask(stage, path, body, **headers)[0] == status
    assert stage.resets == []


def test_the_name_localhost_leads_to_the_address_the_product_knows(stage: Stage) -> None:
    status, headers, _ = ask(stage, "/agent/tickets/48213", Host=f"localhost:{stage.workspace.port}")

    assert (status, headers["Location"]) == (307, f"{stage.workspace.url}/agent/tickets/48213")
