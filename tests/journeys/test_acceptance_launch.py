"""Does the sidebar open as Zendesk opens it, and do the acts of several people work there in the real Chromium?

A page of https://acme.zendesk.com posts a signed token into a frame that the product serves over TLS, under its own
policy and with the real SDK at Zendesk's address. The agents' browsers are real; the product's jobs are run by hand.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from playwright.sync_api import BrowserContext, Frame, Page, Route, expect
from werkzeug.serving import make_server

from integrations.store.tables import approval, gap, gap_news
from integrations.twins import workspace
from testkit.indoors import Indoors, indoors
from testkit.rig import wait_for
from zendesk.applying import Applying
from zendesk.sidebar import SDK

NAME = "desk.localhost"
STATIC = Path(workspace.__file__).parent / "static"
ORIGIN = "https://acme.zendesk.com"
POLICY = """[refunds]
hold_seconds = 10
second_approval_above = {usd = 5000}
[stripe]
reads_per_second = 500
"""
HOST = """<!doctype html><title>Ticket</title><div id="editor"></div>
<iframe name="app" sandbox="allow-scripts allow-same-origin allow-forms allow-popups" width="320" height="640"></iframe>
<form method="post" target="app"><input type="hidden" name="token"></form>
<script type="module">
import { Host } from '/static/protocol.js';
const given = JSON.parse(document.getElementById('given').textContent), frame = document.querySelector('iframe');
const editor = document.getElementById('editor'), read = (value => () => value);
new Host({
  frame: () => frame, origin: () => given.product,
  describe: () => ({ metadata: { appId: 1, installationId: 2 }, context: { product: 'support' } }),
  read: { 'ticket.id': read(given.ticket), 'ticket.requester.id': read(9), 'currentUser.locale': read('en-US'),
    'colorScheme': read('dark'), 'comment.text': () => editor.textContent, 'comment.type': read('publicReply') },
  write: {},
  actions: { resize: ({ height }) => { frame.style.height = height; }, notify: () => null,
    'ticket.editor.insert': html => { editor.innerHTML = html; } },
});
const form = document.forms[0];
form.action = given.product + '/zendesk/sidebar?origin=' + encodeURIComponent(location.origin) + '&app_guid=a1b2';
form.elements.token.value = given.token;
form.submit();
</script>"""


@dataclass(frozen=True, slots=True)
class Office:
    """The product behind TLS, and the pages of the agents who have it open."""

    desk: Indoors
    url: str
    open_page: Callable[..., Page]

    def opened(self, ticket: int, agent: int | None = None) -> Frame:
        """The sidebar's frame in a browser of the agent's own, once it shows a card."""
        page = self.open_page(ignore_https_errors=True)
        given = {"product": self.url, "ticket": ticket, "token": self.token(agent)}
        # Zendesk and a real product are both out on the net; here one is this machine, which a page must be let.
        page.context.grant_permissions(["local-network-access"], origin=ORIGIN)
        page.context.route(f"{ORIGIN}/**", lambda route: _host(route, given))
        page.context.route(SDK, lambda route: route.fulfill(path=STATIC / "zaf_sdk.js"))
        page.goto(f"{ORIGIN}/agent/tickets/{ticket}")
        page.frame_locator("iframe").locator("#card:not([data-stage=loading])").wait_for()
        return next(frame for frame in page.frames if frame != page.main_frame)

    def token(self, agent: int | None = None) -> str:
        return str(self.desk.zendesk.launch_token(agent or self.desk.agent["id"]))

    def read(self, ticket: int) -> int:
        """Let the product read the ticket, as its webhook has it do."""
        assert self.desk.deliver(ticket).status_code == 202
        self.desk.work()
        return ticket

    def run(self, wanted: str) -> None:
        """Let the product work on the newest approval until it is in this state."""
        engine, work = self.desk.product.engine, Applying(self.desk.product.desk)

        def turned() -> bool:
            with engine.connect() as connection:
                newest = connection.execute(sa.select(approval).order_by(approval.c.created_at.desc())).first()
                state = newest.state if newest else None
            if newest and state != wanted:
                work.turn(newest.id)
            return bool(state == wanted)

        wait_for(turned, 15, f"the approval does not become {wanted}")


def _host(route: Route, given: dict[str, Any]) -> None:
    if route.request.url.endswith("/static/protocol.js"):
        route.fulfill(path=STATIC / "protocol.js")
    else:
        told = f'<script type="application/json" id="given">{json.dumps(given)}</script>'
        route.fulfill(body=HOST.replace("<div", told + "<div", 1), content_type="text/html")


def certificate(folder: Path) -> ssl.SSLContext:
    """For our name, signed by itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "both.pem").write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Indoors, str]]:
    folder = tmp_path_factory.mktemp("launch")
    with indoors(folder, policy=POLICY) as desk:
        desk.world.portal_configuration()
        server = make_server("127.0.0.1", 0, desk.product.web(), threaded=True, ssl_context=certificate(folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield desk, f"https://{NAME}:{server.server_port}"
        server.shutdown()


@pytest.fixture
def office(served: tuple[Indoors, str], open_page: Callable[..., Page]) -> Office:
    return Office(*served, open_page)


def paying(desk: Indoors, email: str, amount: int, *, plans: int = 1, **fields: Any) -> str:
    """A customer with so many equal subscriptions, the newest ten days old."""
    price = desk.world.price(desk.world.product("Pro"), amount)
    customer = desk.world.customer(email, "Maya Okafor", **fields)
    desk.world.payment_method(customer, default=True)
    for number in range(plans):
        desk.world.subscription(customer, price, created=desk.world.now - (80 - 70 * number) * 86_400)
    return str(customer["id"])


def reviewed(frame: Frame) -> Frame:
    frame.get_by_role("button", name="Review").click()
    expect(frame.locator("#h-plan")).to_be_visible()
    return frame


def test_a_signed_launch_over_tls_opens_the_card_once_without_cookies_and_a_stop_there_is_no_refund(
    office: Office,
) -> None:
    desk = office.desk
    paying(desk, "one@acme.example", 2900, plans=2)
    ticket = office.read(desk.ticket("one@acme.example", "Twice", "I was charged twice this month for Pro."))
    frame = office.opened(ticket)
    expect(frame.locator("#verdict")).to_have_text("Paying twice for Pro")
    assert frame.url.startswith(office.url)
    assert frame.evaluate("[isSecureContext, document.cookie, document.documentElement.dataset.scheme]") == [
        True, "", "dark",
    ]  # fmt: skip
    assert frame.locator(f'script[src="{SDK}"]').count() == 1
    height = frame.page.locator("iframe").evaluate("one => one.style.height")
    assert height.endswith("px"), "the real SDK brought the height to the host"
    context: BrowserContext = frame.page.context
    assert context.cookies() == []
    token = office.token()
    assert desk.launch(token).status_code == 200
    assert desk.launch(token).status_code == 401, "a token is good for one launch"

    before = desk.stripe.refunds()
    reviewed(frame)
    frame.get_by_role("button", name="Approve and refund $29.00").click()
    office.run("holding")
    frame.get_by_role("button", name="Stop here").click()
    office.run("partly_done")
    expect(frame.locator("#verdict")).to_have_text("Stopped by an agent")
    expect(frame.locator("#card")).to_contain_text("No money moved.")
    desk.clock.advance(timedelta(seconds=2))
    frame.get_by_role("button", name="Make a new plan").click()
    expect(frame.locator("#go")).to_be_visible()
    assert desk.stripe.refunds() == before


def test_a_login_at_github_and_a_choice_among_customers_lead_to_the_account_that_is_meant(office: Office) -> None:
    desk = office.desk
    mine = [paying(desk, "two@acme.example", 2900), paying(desk, "two@acme.example", 2900)]
    known = paying(desk, "dev@acme.example", 2900, metadata={"github_login": "octo-maya"})
    ticket = office.read(desk.ticket("two@acme.example", "My plan", "Please cancel my subscription."))
    frame = office.opened(ticket)
    expect(frame.locator("input[name=customer]")).to_have_count(2)
    frame.locator(f"input[name=customer][value={mine[0]}]").check()
    frame.evaluate("document.getElementById('card').dataset.before = 'yes'")
    frame.get_by_role("button", name="Use this customer").click()
    expect(frame.locator(f"#card:not([data-before]) input[value={mine[0]}]")).to_be_checked()
    stored = desk.stored(ticket)
    assert stored is not None
    assert (stored.chosen, (stored.document or {})["customer"]["chosen"]) == (mine[0], mine[0])

    stranger = office.read(desk.ticket("who@else.example", "My plan", "Please cancel my subscription."))
    frame = office.opened(stranger)
    frame.get_by_label("GitHub login").fill("octo-maya")
    frame.get_by_role("button", name="Look up").click()
    expect(frame.locator(".who")).to_contain_text("dev@acme.example")
    expect(frame.locator("#card")).to_contain_text("Another email than the sender’s")
    found = desk.stored(stranger)
    assert found is not None
    assert (found.document or {})["customer"]["candidates"][0]["id"] == known


def test_one_agent_asks_another_agrees_and_lets_it_go_and_what_can_be_is_taken_back(office: Office) -> None:
    desk = office.desk
    desk.clock.advance(timedelta(seconds=1))  # the newest approval is this one
    bo = desk.zendesk.add_agent("Bo Lind", "bo@acme.example")
    paying(desk, "four@acme.example", 5900, plans=2)
    ticket = office.read(desk.ticket("four@acme.example", "Twice", "I was charged twice this month for Pro."))
    before = len(desk.stripe.refunds())
    ana = reviewed(office.opened(ticket))
    ana.get_by_role("button", name="Ask a second person").click()
    expect(ana.locator("#verdict")).to_have_text("Waiting for a second person")
    expect(ana.locator("#card")).to_contain_text("You asked for this, so someone else must confirm it.")
    expect(ana.locator("#second")).to_have_count(0)

    other = office.opened(ticket, bo["id"])
    expect(other.locator("#card")).to_contain_text("Ana Ruiz asked for this")
    other.locator("#second button").click()
    office.run("holding")
    expect(other.locator("#hold-t")).to_contain_text("Refund starts in 10 s.")
    assert len(desk.stripe.refunds()) == before
    other.get_by_role("button", name="Refund now").click()
    office.run("done")
    expect(other.locator("#verdict")).to_contain_text("Refunded $59.00")
    expect(ana.locator("#verdict")).to_contain_text("Fixed in")
    expect(ana.page.locator("#editor")).to_contain_text("59.00")
    expect(other.page.locator("#editor")).to_be_empty()
    assert len(desk.stripe.refunds()) == before + 1
    ana.get_by_role("button", name="Put back").click()
    expect(ana.locator('.step[data-s="undone"]')).to_have_count(1)


def test_news_about_the_product_gap_is_put_in_the_box_by_a_click_and_not_before(office: Office) -> None:
    desk = office.desk
    paying(desk, "news@acme.example", 2900)
    ticket = office.read(desk.ticket("news@acme.example", "My invoice", "Please send me my last invoice."))
    now, issue = desk.clock(), f"{desk.github.url}/acme/web/issues/7"
    with desk.product.engine.begin() as connection:
        connection.execute(
            sa.insert(gap).values(
                fingerprint="f1", kind="no_billing_portal", repository="acme/web", issue_number=7, issue_url=issue,
                first_seen=now, last_seen=now,
            )
        )  # fmt: skip
        connection.execute(
            sa.insert(gap_news).values(
                fingerprint="f1", ticket_id=ticket, outcome="fixed", closed_at=now, state="told", locale="en",
                body="Hi Maya,\n\nyou can <b>now</b> manage it yourself.", changed_at=now,
            )
        )  # fmt: skip
    frame = office.opened(ticket)
    editor = frame.page.locator("#editor")
    expect(editor).to_be_empty()
    frame.get_by_role("button", name="Put the follow-up in the box").click()
    expect(editor).to_have_text("Hi Maya,you can <b>now</b> manage it yourself.")
    expect(frame.get_by_role("button", name="Put the follow-up in the box")).to_be_hidden()
