"""What does the agent see who looks a customer up by hand: the account found, and no more rights than before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testkit.indoors import Indoors, indoors

READS_ONLY = {"ask_customer", "explain", "hand_over", "wait", "write_internal_note", "file_issue"}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path) as made:
        yield made


def paying(desk: Indoors, email: str, name: str, *, plans: int = 1) -> tuple[str, list[str]]:
    price = desk.world.price(desk.world.product("Pro"), 4100)
    customer = desk.world.customer(email, name)
    desk.world.payment_method(customer, default=True)
    made = [desk.world.subscription(customer, price, created=desk.world.now - 40 * 86_400) for _ in range(plans)]
    return customer["id"], [one["id"] for one in made]


def look_up(desk: Indoors, ticket: int, query: str) -> dict[str, Any]:
    assert desk.deliver(ticket).status_code == 202
    desk.work()
    assert desk.post(f"/api/tickets/{ticket}/lookup", {"query": query}).status_code in {200, 202}
    desk.work()
    return desk.card(ticket)


@pytest.mark.parametrize("known", [False, True], ids=["by a stranger", "by another customer"])
@pytest.mark.parametrize("by", ["address", "subscription"])
def test_another_person_s_account_is_shown_to_the_agent_and_nothing_can_be_done_to_it(
    desk: Indoors, by: str, known: bool
) -> None:
    customer, subscriptions = paying(desk, "owner@firm.example", "Olga Ownersen", plans=2)
    if known:
        paying(desk, "writer@firm.example", "Will Writer")
    text = f"We pay twice for Pro, please refund one. It is {subscriptions[0]}."
    ticket = desk.ticket("writer@firm.example", "Paying twice", text)
    card = look_up(desk, ticket, "owner@firm.example" if by == "address" else subscriptions[0])
    assert (card["customer"]["identity"], card["customer"]["chosen"]) == ("mismatch", customer)
    assert {one["id"] for one in card["billing_state"]["subscriptions"]} == set(subscriptions)
    assert {step["kind"] for step in card["plan"]["steps"]} <= READS_ONLY
    assert card["state"] == "needs_human"
    revealing = ("Olga", "owner@", "41.00", "4242", "Pro")
    assert not [word for word in revealing if word in card["follow_up"]["body"]], card["follow_up"]["body"]


def test_a_look_up_that_finds_nothing_leaves_the_requester_s_own_account(desk: Indoors) -> None:
    customer, _ = paying(desk, "writer@firm.example", "Will Writer")
    ticket = desk.ticket("writer@firm.example", "Invoice", "Please send me my last invoice.")
    card = look_up(desk, ticket, "nobody@firm.example")
    assert (card["customer"]["identity"], card["customer"]["chosen"]) == ("verified", customer)
