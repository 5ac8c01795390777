"""Does the product team see the ledger, by token or by a link that ends, and nobody else?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from integrations.store.tables import gap, gap_ticket
from testkit.indoors import SECRET_KEY, Indoors, indoors
from zendesk.gaps_page import VALID, signed_link

PUBLIC = "https://desk.acme.example"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path, public_url=PUBLIC) as made:
        yield made


def filed(desk: Indoors, kind: str = "no_duplicate_guard", tickets: int = 2, **changes: object) -> None:
    now = desk.clock()
    row = {
        "fingerprint": f"mark-{kind}", "kind": kind, "repository": "acme/web", "issue_number": 412,
        "issue_url": "https://github.com/acme/web/issues/412", "issue_state": "open", "milestone": 0,
        "first_seen": now - timedelta(days=3), "last_seen": now,
    }  # fmt: skip
    with desk.product.engine.begin() as connection:
        connection.execute(sa.insert(gap).values(**(row | changes)))
        for number in range(1, tickets + 1):
            one = sa.insert(gap_ticket).values(
                fingerprint=f"mark-{kind}", ticket_id=number, customer_hash="one", pattern="same_plan",
                refunded={"usd": 2900}, at_risk={"usd": 2900}, seen_at=now,
            )  # fmt: skip
            connection.execute(one)


def link_of(desk: Indoors) -> str:
    """The path and query of a fresh link."""
    link = signed_link(desk.settings, desk.clock())
    assert link.startswith(PUBLIC + "/gaps?sig=")
    return link.removeprefix(PUBLIC)


def test_an_agent_gets_the_ledger_as_json(desk: Indoors) -> None:
    filed(desk)
    answer = desk.get("/api/gaps")
    assert answer.status_code == 200
    (row,) = answer.get_json()["gaps"]
    assert row["kind"] == "no_duplicate_guard"
    assert (row["tickets"], row["customers"]) == (2, 1)
    assert row["refunded"] == {"usd": 5800}
    assert row["issue"] == {"number": 412, "url": "https://github.com/acme/web/issues/412"}
    assert row["last_seen"] == desk.clock().strftime("%Y-%m-%dT%H:%M:%SZ")


def test_asked_for_html_it_is_the_same_content_as_a_fragment(desk: Indoors) -> None:
    filed(desk)
    answer = desk.get("/api/gaps", html=True)
    assert answer.mimetype == "text/html"
    assert "<html" not in answer.text
    for said in ("no duplicate guard", "Checkout lets an active subscriber", "$58.00", "acme/web#412", "1 customer<"):
        assert said in answer.text


def test_the_page_opens_by_a_signed_link_without_any_token(desk: Indoors) -> None:
    filed(desk)
    answer = desk.client.get(link_of(desk))
    assert answer.status_code == 200
    assert "<html" in answer.text
    assert "$58.00" in answer.text
    assert 'href="/static/app.' in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_the_link_opens_the_json_too(desk: Indoors) -> None:
    assert desk.client.get("/api" + link_of(desk)).get_json() == {"gaps": []}


def test_a_link_is_good_for_seven_days_and_not_a_second_longer(desk: Indoors) -> None:
    link = link_of(desk)
    desk.clock.advance(VALID - timedelta(seconds=1))
    assert desk.client.get(link).status_code == 200
    desk.clock.advance(timedelta(seconds=1))
    answer = desk.client.get(link)
    assert answer.status_code == 401
    assert answer.get_json()["error"]["code"] == "unauthorized"


def test_a_link_from_the_future_is_refused(desk: Indoors) -> None:
    link = signed_link(desk.settings, desk.clock() + timedelta(minutes=5)).removeprefix(PUBLIC)
    assert desk.client.get(link).status_code == 401


def test_a_changed_link_is_refused(desk: Indoors) -> None:
    link = link_of(desk)
    other = "A" if link[-5] != "A" else "B"
    for changed in (link[:-5] + other + link[-4:], "/gaps?sig=", "/gaps?sig=a.b.c", "/gaps?sig=" + "x" * 5000):
        assert desk.client.get(changed).status_code == 401, changed


def test_a_link_signed_with_another_key_or_for_another_zendesk_is_refused(desk: Indoors) -> None:
    for change in ({"secret_keys": ("o" * 40,)}, {"zendesk_subdomain": "other"}):
        settings = dataclasses.replace(desk.settings, **change)
        link = signed_link(settings, desk.clock()).removeprefix(PUBLIC)
        assert desk.client.get(link).status_code == 401, change


def test_a_link_of_an_older_key_stays_good_while_keys_rotate(tmp_path: Path) -> None:
    with indoors(tmp_path, public_url=PUBLIC, secret_keys=("n" * 40, SECRET_KEY)) as desk:
        old = dataclasses.replace(desk.settings, secret_keys=(SECRET_KEY,))
        assert desk.client.get(signed_link(old, desk.clock()).removeprefix(PUBLIC)).status_code == 200


def test_a_page_token_is_no_link_and_a_link_is_no_page_token(desk: Indoors) -> None:
    assert desk.client.get("/gaps?sig=" + desk.page_token()).status_code == 401
    assert desk.get("/api/gaps", link_of(desk).partition("=")[2]).status_code == 401


@pytest.mark.parametrize("path", ["/gaps", "/api/gaps"])
def test_nobody_else_gets_in(desk: Indoors, path: str) -> None:
    assert desk.client.get(path).status_code == 401
    assert desk.get(path, "no.token").status_code == 401
    customer = desk.requester("cust@acme.example")
    assert desk.get(path, desk.page_token(customer)).status_code == 403


def test_only_an_agent_is_offered_a_link_to_pass_on(desk: Indoors) -> None:
    page = desk.get("/gaps").text
    start = page.index(PUBLIC + "/gaps?sig=")
    offered = page[start : page.index('"', start)].removeprefix(PUBLIC)
    answer = desk.client.get(offered)
    assert answer.status_code == 200
    assert "?sig=" not in answer.text


def test_without_a_public_address_no_link_is_offered(tmp_path: Path) -> None:
    with indoors(tmp_path) as desk:
        assert "?sig=" not in desk.get("/gaps").text


def test_an_empty_ledger_says_so(desk: Indoors) -> None:
    assert "No gap was filed yet" in desk.get("/gaps").text


def test_what_github_told_us_is_shown_as_text(desk: Indoors) -> None:
    filed(desk, kind="<b>odd", repository="acme/<i>", issue_number=None, issue_url=None)
    page = desk.get("/gaps").text
    assert "<b>odd" not in page
    assert "acme/<i>" not in page
    assert "no issue yet" in page
