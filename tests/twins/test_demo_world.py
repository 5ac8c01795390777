"""Is the demo's world coherent, the same every time, and told in each of the three services?"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.twins.demo_letters import ordinal
from integrations.twins.demo_world import World, announce, renew, seed
from integrations.twins.github_twin import GitHubTwin
from integrations.twins.server import Request, Response, Twin
from integrations.twins.stripe_twin import StripeTwin
from integrations.twins.zendesk_twin import ZendeskTwin

NOW = datetime(2026, 11, 22, 10, 2, tzinfo=UTC)
Three = tuple[StripeTwin, ZendeskTwin, GitHubTwin]


class Receiver(Twin):
    service = "receiver"

    def handle(self, request: Request) -> Response:
        return Response(202, {})


def twins(now: datetime = NOW) -> Three:
    def clock() -> datetime:
        return now

    return StripeTwin(clock=clock), ZendeskTwin(clock=clock, subdomain="brightpath"), GitHubTwin(clock=clock)


@pytest.fixture
def three() -> Three:
    return twins()


@pytest.fixture
def world(three: Three) -> World:
    return seed(*three, now=NOW)


@pytest.fixture
def of(three: Three, world: World) -> Callable[[str, str], list[dict[str, Any]]]:
    """Everything of a kind that Stripe holds for the requester with this first name, newest first."""

    def found(first_name: str, kind: str) -> list[dict[str, Any]]:
        ticket = next(each for each in world.tickets if each.requester.startswith(first_name))
        return [made for owner in ticket.customers for made in three[0].store.where(kind, customer=owner)]

    return found


Of = Callable[[str, str], list[dict[str, Any]]]


def day(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def test_ten_tickets_wait_in_zendesk_with_verified_requesters(three: Three, world: World) -> None:
    desk = three[1].desk

    assert [each.id for each in world.tickets] == sorted(desk.tickets, reverse=True)
    assert len(world.tickets) == 10
    assert world.tickets[0].id == 48213
    for each in world.tickets:
        ticket = desk.tickets[each.id]
        assert (ticket["subject"], ticket["requester_id"]) == (each.subject, each.requester_id)
        assert ticket["status"] == "open"
        assert [one["verification_method"] for one in desk.identities[each.requester_id]] == ["full"]
        assert ticket["updated_at"] == (NOW - timedelta(minutes=each.minutes_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_highlighted_words_stand_in_what_the_requester_wrote(three: Three, world: World) -> None:
    for each in world.tickets:
        assert each.highlight.lower() in three[1].desk.comments[each.id][0]["plain_body"].lower()


def test_maya_pays_for_pro_twice_since_ten_days(three: Three, of: Of) -> None:
    extra, kept = of("Maya", "subscription")
    charges = of("Maya", "charge")

    assert [day(kept["created"]), day(extra["created"])] == ["2024-03-03", "2026-11-12"]
    assert {one["items"]["data"][0]["price"]["unit_amount"] for one in (kept, extra)} == {2900}
    assert [day(one["created"]) for one in charges[:2]] == ["2026-11-12", "2026-11-03"]
    assert all(one["paid"] and one["amount"] == 2900 for one in charges)
    assert charges[0]["payment_method_details"]["card"]["last4"] == "4242"
    assert "on the 3rd and again on the 12th" in three[1].desk.comments[48213][0]["plain_body"]


def test_jonas_owes_one_invoice_after_three_attempts_with_an_expired_card(three: Three, of: Of) -> None:
    invoice, card = of("Jonas", "invoice")[0], of("Jonas", "payment_method")[0]["card"]
    failed = [one for one in of("Jonas", "charge") if one["status"] == "failed"]

    assert of("Jonas", "subscription")[0]["status"] == "past_due"
    assert (invoice["status"], invoice["amount_remaining"], invoice["currency"]) == ("open", 1900, "eur")
    assert (invoice["attempt_count"], len(failed)) == (3, 3)
    assert {one["failure_code"] for one in failed} == {"expired_card"}
    assert len({one["payment_intent"] for one in failed}) == 1
    assert (card["brand"], card["last4"], card["exp_month"], card["exp_year"]) == ("mastercard", "0341", 10, 2026)


def test_priya_has_one_subscription_with_four_seats(of: Of) -> None:
    (subscription,) = of("Priya", "subscription")

    assert subscription["items"]["data"][0]["quantity"] == 4
    assert {one["amount"] for one in of("Priya", "charge")} == {4800}


def test_danas_address_has_two_customers_and_an_open_dispute(three: Three, world: World, of: Of) -> None:
    store = three[0].store
    dana = world.ticket(48206)

    assert {store.objects[one]["email"] for one in dana.customers} == {"dana.marsh@marshconsulting.example"}
    (charge,) = of("Dana", "charge")
    (dispute,) = store.of_kind("dispute")
    assert (charge["customer"], charge["amount"], charge["disputed"]) == (dana.customers[0], 118_800, True)
    assert (dispute["charge"], dispute["status"]) == (charge["id"], "needs_response")


def test_the_portal_has_a_login_page_but_lets_nobody_cancel(three: Three, world: World) -> None:
    (portal,) = three[0].store.of_kind("billing_portal.configuration")

    assert portal["login_page"]["enabled"]
    assert not portal["features"]["subscription_cancel"]["enabled"]


def test_aiko_has_only_paid_invoices_in_yen(of: Of) -> None:
    invoices = of("Aiko", "invoice")

    assert len(invoices) > 5
    assert {(one["status"], one["currency"], one["amount_paid"]) for one in invoices} == {("paid", "jpy", 3900)}


def test_sams_upgrade_is_paid_and_active(of: Of) -> None:
    (subscription,), invoice = of("Sam", "subscription"), of("Sam", "invoice")[0]

    assert (subscription["status"], subscription["items"]["data"][0]["price"]["unit_amount"]) == ("active", 9900)
    assert (invoice["billing_reason"], invoice["status"]) == ("subscription_update", "paid")
    assert invoice["total"] == sum(line["amount"] for line in invoice["lines"]["data"])
    assert invoice["total"] == of("Sam", "charge")[0]["amount"]


def test_noors_address_is_not_the_one_stripe_knows(three: Three, world: World) -> None:
    noor, store = world.ticket(48191), three[0].store
    addresses = {one["email"] for one in store.of_kind("customer")}

    assert three[1].desk.users[noor.requester_id]["email"] not in addresses
    assert noor.customer_email in addresses


def test_bens_double_charge_was_refunded_yesterday_by_a_colleague(three: Three, of: Of) -> None:
    (refund,) = three[0].refunds()
    extra = next(one for one in of("Ben", "subscription") if one["status"] == "canceled")
    comments = three[1].desk.comments[48185]

    assert (day(refund["created"]), refund["amount"], refund["status"]) == ("2026-11-21", 2900, "succeeded")
    assert refund["charge"] in {one["id"] for one in of("Ben", "charge")}
    assert day(extra["canceled_at"]) == "2026-11-21"
    assert three[1].desk.users[comments[1]["author_id"]]["role"] == "agent"
    assert [one["created_at"] for one in comments] == sorted(one["created_at"] for one in comments)


def test_evas_card_meets_a_soft_decline_and_her_ticket_is_the_flaky_one(world: World, of: Of) -> None:
    invoice, charge = of("Eva", "invoice")[0], of("Eva", "charge")[0]

    assert world.flaky_ticket == world.ticket(48179).id
    assert (invoice["status"], invoice["attempt_count"]) == ("open", 2)
    assert charge["outcome"]["reason"] == "insufficient_funds"
    assert charge["outcome"]["advice_code"] == "try_again_later"


def test_no_history_lies_in_the_future(three: Three, world: World) -> None:
    moments = [made["created"] for made in three[0].store.objects.values() if made.get("created")]

    assert max(moments) <= int(NOW.timestamp())
    assert not three[0].crashes


@pytest.mark.parametrize(
    "now",
    [
        datetime(2027, 3, 1, 0, 0, tzinfo=UTC),
        datetime(2027, 3, 31, 23, 59, tzinfo=UTC),
        datetime(2028, 2, 29, 12, 0, tzinfo=UTC),
        datetime(2026, 12, 31, 6, 0, tzinfo=UTC),
        datetime(2027, 1, 10, 8, 0, tzinfo=UTC),
    ],
)
def test_the_story_holds_on_any_day(now: datetime) -> None:
    stripe, zendesk, github = twins(now)
    world = seed(stripe, zendesk, github, now=now)
    moments = [made["created"] for made in stripe.store.objects.values() if made.get("created")]
    maya = stripe.store.where("subscription", customer=world.tickets[0].customers[0])

    assert max(moments) <= int(now.timestamp())
    assert [one["status"] for one in maya] == ["active", "active"]
    assert all(one["items"]["data"][0]["current_period_end"] > now.timestamp() for one in maya)
    jonas = stripe.store.where("invoice", customer=world.tickets[1].customers[0])
    assert [one["status"] for one in jonas].count("open") == 1


def test_people_of_every_role_are_there(three: Three, world: World) -> None:
    users = three[1].desk.users

    assert [users[one]["role"] for one in (world.agent_id, world.admin_id, world.light_agent_id)] == [
        "agent",
        "admin",
        "agent",
    ]
    assert users[world.agent_id]["name"] == "Ana Ruiz"
    assert users[world.light_agent_id]["only_private_comments"]


def test_the_repository_is_private_and_has_no_billing_issue(three: Three, world: World) -> None:
    held = three[2].hub.repositories[world.repository]

    assert held.private
    assert not any("billing-gap" in json.dumps(issue) for issue in held.issues.values())


def test_renewing_gives_the_same_world_and_keeps_the_set_up(three: Three, world: World) -> None:
    stripe, zendesk, github = three
    stripe.add_key("rk_test_demo", ["rak_charge_read"])
    zendesk.add_webhook("http://127.0.0.1:9/hook", secret="s" * 20)
    field = zendesk.add_field("Billing bucket")
    github.add_token("github_pat_demo")
    stripe.store.objects.clear()
    zendesk.desk.tickets[48213]["tags"] = ["touched"]
    stripe.faults.add("latency", times=None)

    assert renew(*three, now=NOW) == world
    assert "rk_test_demo" in stripe.keys
    assert len(zendesk.desk.webhooks) == 1
    assert "github_pat_demo" in github.hub.grants
    assert zendesk.desk.tickets[48213]["tags"] == []
    assert [each["id"] for each in zendesk.desk.tickets[48213]["custom_fields"]] == [field["id"]]
    assert stripe.faults.armed == []


def test_announcing_delivers_every_ticket_once(three: Three, world: World) -> None:
    zendesk = three[1]
    with Receiver() as receiver:
        zendesk.add_webhook(f"{receiver.url}/hook", secret="s" * 20)
        announce(zendesk, world)
        zendesk.settle()

    assert sorted(one.ticket_id for one in zendesk.deliveries) == sorted(each.id for each in world.tickets)
    assert {one.status for one in zendesk.deliveries} == {202}


@pytest.mark.parametrize(
    ("number", "word"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (11, "11th"), (12, "12th"), (23, "23rd")]
)
def test_days_are_written_as_people_write_them(number: int, word: str) -> None:
    assert ordinal(number) == word
