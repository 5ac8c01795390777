"""How many requests does a ticket cost that reads itself, and is the quick look honest about what it did not read?"""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from testkit.indoors import Indoors, indoors
from testkit.worlds import duplicate

EXPORT = "Hi, how do I export my documents as PDF? The export menu is greyed out since the update. Thanks"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path) as made:
        made.world.portal_configuration()
        made.product.desk.zendesk.ticket(made.ticket("warm@acme.example", "Hello", "Hello"))  # the access token
        yield made


def spent(desk: Indoors, ticket: int) -> tuple[list[str], list[str], dict[str, Any]]:
    """Stripe's and Zendesk's requests for one delivered ticket, and its card."""
    before = len(desk.stripe.wire), len(desk.zendesk.wire)
    assert desk.deliver(ticket).status_code == 202
    desk.work()
    made = [f"{one.method} {one.target.partition('?')[0]}" for one in desk.stripe.wire[before[0] :]]
    asked = [f"{one.method} {one.target.partition('?')[0]}" for one in desk.zendesk.wire[before[1] :]]
    return made, asked, dict(desk.get(f"/api/tickets/{ticket}/card").get_json())


def test_a_ticket_that_is_clearly_not_about_billing_costs_two_reads_at_stripe_and_four_at_zendesk(
    desk: Indoors,
) -> None:
    ticket = desk.ticket("ada@acme.example", "Question about exports", EXPORT)
    at_stripe, at_zendesk, card = spent(desk, ticket)
    assert (card["decision"]["bucket"], card["state"]) == ("not_billing", "ready")
    assert len(at_stripe) <= 2, at_stripe
    assert len(at_zendesk) <= 4, at_zendesk
    assert {one["why"] for one in card["billing_state"]["missing"]} == {"not_read"}


def test_when_an_agent_asks_everything_is_read(desk: Indoors) -> None:
    rig: Any = desk
    seeded = duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900))
    ticket = desk.ticket(seeded.email, "Question about exports", EXPORT)
    _, _, quick = spent(desk, ticket)
    assert quick["customer"]["chosen"] == seeded.customer
    assert quick["billing_state"]["subscriptions"] == []
    assert desk.post(f"/api/tickets/{ticket}/refresh").status_code == 202
    full = desk.get(f"/api/tickets/{ticket}/card").get_json()
    assert len(full["billing_state"]["subscriptions"]) == 2
    assert full["billing_state"]["missing"] == []


def test_an_id_in_the_text_is_followed_whatever_the_rest_says(desk: Indoors) -> None:
    ticket = desk.ticket("ada@acme.example", "Exports", EXPORT + " My charge is ch_1TwinA0000000029.")
    _, _, card = spent(desk, ticket)
    assert "not_read" not in {one["why"] for one in card["billing_state"]["missing"]}


def test_a_billing_ticket_costs_four_requests_at_zendesk_and_its_second_opening_none(desk: Indoors) -> None:
    rig: Any = desk
    seeded = duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900))
    at_stripe, at_zendesk, card = spent(desk, seeded.ticket)
    assert card["decision"]["bucket"] == "duplicate_subscription"
    assert len(at_zendesk) == 4, at_zendesk
    assert len(at_stripe) <= 13, at_stripe
    before = desk.asked()
    for _ in range(2):
        assert desk.get(f"/api/tickets/{seeded.ticket}/card").status_code == 200
    assert desk.asked() == before


def test_a_quick_look_becomes_a_whole_one_when_an_agent_opens_the_ticket_and_shows_what_the_words_hid(
    desk: Indoors,
) -> None:
    rig: Any = desk
    seeded = duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900))
    desk.world.dispute(seeded.charge)
    ticket = desk.ticket(seeded.email, "Question about exports", EXPORT)
    made, _, _ = spent(desk, ticket)
    assert len(made) <= 2
    path = f"/api/tickets/{ticket}/card"
    opened = desk.get(path, html=True).text
    assert 'data-stage="loading"' in opened
    assert 'hx-trigger="every 1s"' in opened
    assert [job for job in desk.jobs() if job.startswith(f"enrich:{ticket}:")] == [
        f"enrich:{ticket}:1", f"enrich:{ticket}:2",
    ]  # fmt: skip
    desk.work()  # the worker; nobody clicks
    card = desk.get(path).get_json()
    assert [one["status"] for one in card["billing_state"]["disputes"]] == ["needs_response"]
    assert card["billing_state"]["missing"] == []
    shown = desk.get(path + "?view=review", html=True).text
    assert 'data-stage="review"' in shown
    (says,) = [one["says"] for one in card["billing_state"]["anomalies"] if one["code"] == "dispute_open"]
    assert unescape(says.split(". ")[0]) in unescape(shown)
    assert len([job for job in desk.jobs() if job.startswith(f"enrich:{ticket}:")]) == 2


def test_when_the_whole_reading_fails_the_agent_is_told_and_not_left_waiting(desk: Indoors) -> None:
    ticket = desk.ticket("ada@acme.example", "Question about exports", EXPORT)
    spent(desk, ticket)
    path = f"/api/tickets/{ticket}/card"
    assert 'data-stage="loading"' in desk.get(path, html=True).text
    desk.stripe.faults.add("status", method="GET", path="/v1/customers", times=None, status=503)
    desk.work()
    assert "Stripe did not answer" in desk.get(path, html=True).text
