"""Situations 12 to 17: seats, workspaces and colleagues. Nothing here is doubled, so nothing is taken away."""

from __future__ import annotations

import pytest

from billing.records import PendingItem
from tests.billing.builders import (
    PORTAL,
    TEAM,
    at,
    charge,
    customer,
    discount,
    invoice,
    line,
    paid_period,
    payment_method,
    snapshot,
    subscription,
    ticket,
)
from tests.billing.judging import helps, judge, writes

WHY = ticket("Why do I pay five times?", codes=("TXT_DUP_TWICE", "TXT_TEAM"), wishes=("explain_charge",))


def _seats(quantity, **fields):
    team = subscription(price=TEAM, quantity=quantity, **fields)
    return snapshot(customer(), team, paid_period(team, "2026-11-03"), payment_method())


def test_seats_on_one_subscription_are_explained_and_kept():
    found = judge(WHY, _seats(5))
    assert found.diagnosis.bucket == "team_seats"
    assert found.diagnosis.situation == "seats_on_one_subscription"
    assert writes(found) == []
    assert helps(found) == [("explain", "sub_A")]
    assert found.gap == "no_seat_explanation"


def test_one_seat_is_no_seat_situation():
    assert judge(WHY, _seats(1)).diagnosis.situation != "seats_on_one_subscription"


def test_a_change_of_seats_is_left_to_the_portal():
    found = judge(ticket("Remove a seat", codes=("TXT_SEAT_CHANGE",), wishes=("change_seats",)), _seats(5))
    assert writes(found) == []
    assert helps(found)[0] == ("create_portal_session", "cus_A")


def test_without_a_portal_for_seats_the_number_is_asked():
    team = subscription(price=TEAM, quantity=5)
    from dataclasses import replace

    world = snapshot(
        customer(), team, paid_period(team, "2026-11-03"), portal=replace(PORTAL, subscription_update=False)
    )
    found = judge(ticket("Remove a seat", codes=("TXT_SEAT_CHANGE",), wishes=("change_seats",)), world)
    assert writes(found) == []
    assert ("ask_customer", "sub_A") in helps(found)


def _pair(first, second):
    one = subscription(metadata=first)
    two = subscription(id="sub_B", created="2026-11-12", metadata=second)
    return snapshot(customer(), one, two, paid_period(one, "2026-11-03"), paid_period(two, "2026-11-12"))


def test_two_workspaces_of_one_payer_stay():
    found = judge(WHY, _pair({"workspace": "w1"}, {"workspace": "w2"}))
    assert found.diagnosis.bucket == "team_seats"
    assert found.diagnosis.situation == "separate_workspaces"
    assert writes(found) == []
    assert set(found.plan.kept) == {"sub_A", "sub_B"}


def test_the_same_workspace_twice_is_a_duplicate():
    found = judge(WHY, _pair({"workspace": "w1"}, {"workspace": "w1"}))
    assert found.diagnosis.bucket == "duplicate_subscription"
    assert ("schedule_cancellation", "sub_B", None) in writes(found)


def test_subscriptions_of_colleagues_stay_and_the_product_team_hears_of_it():
    found = judge(WHY, _pair({"user_id": "u1"}, {"user_id": "u2"}))
    assert found.diagnosis.situation == "separate_users"
    assert writes(found) == []
    assert found.gap == "no_org_billing"


def _proration(reason="subscription_update"):
    team = subscription(price=TEAM, quantity=3)
    change = invoice(
        "in_P",
        amount=800,
        created="2026-11-10",
        billing_reason=reason,
        lines=(
            line(-800, TEAM, id="il_a", proration=True, quantity=2),
            line(1600, TEAM, id="il_b", proration=True, quantity=3),
        ),
    )
    return snapshot(
        customer(), team, paid_period(team, "2026-11-03"), change,
        charge("ch_P", amount=800, created="2026-11-10", invoice="in_P"),
    )  # fmt: skip


def test_seat_prorations_are_explained_and_not_refunded():
    asked = ticket("What is this?", codes=("TXT_SEAT_PRORATION", "TXT_WANTS_REFUND"), wishes=("refund",))
    found = judge(asked, _proration())
    assert found.diagnosis.bucket == "team_seats"
    assert found.diagnosis.situation == "seat_proration"
    assert writes(found) == []
    assert helps(found) == [("explain", "in_P")]


def test_annual_seats_that_wait_for_renewal_are_explained_with_amount_and_date():
    from tests.billing.builders import price

    yearly = price(id="price_team_yearly", product="prod_team", product_name="Team", amount=12000, interval="year")
    team = subscription(price=yearly, quantity=3, created="2026-03-03")
    waiting = PendingItem(
        id="ii_1", customer="cus_A", amount=4200, currency="usd", created=at("2026-11-10"), subscription="sub_A",
        proration=True,
    )  # fmt: skip
    found = judge(WHY, snapshot(customer(), team, paid_period(team, "2026-03-03"), waiting))
    assert found.diagnosis.situation == "pending_seat_proration"
    assert writes(found) == []
    assert "42.00 USD" in found.diagnosis.why
    assert "3 Mar 2027" in found.diagnosis.why


def _coupon(total):
    free = subscription(
        price=TEAM, quantity=2, created="2026-11-03", discounts=(discount(percent_off=100.0, duration="forever"),)
    )
    first = invoice("in_0", amount=total, created="2026-11-03", billing_reason="subscription_create")
    update = invoice(
        "in_U", amount=1200, created="2026-11-10", billing_reason="subscription_update",
        lines=(line(1200, TEAM, proration=True, quantity=2),),
    )  # fmt: skip
    return snapshot(customer(), free, first, update, charge("ch_U", amount=1200, created="2026-11-10", invoice="in_U"))


def test_a_seat_that_the_free_coupon_missed_is_credited_exactly():
    found = judge(WHY, _coupon(0))
    assert found.diagnosis.bucket == "team_seats"
    assert writes(found) == [("create_credit_note", "in_U", 1200)]


def test_a_seat_on_a_paid_plan_is_not_credited():
    assert writes(judge(WHY, _coupon(2400))) == []


@pytest.mark.parametrize("kind", ["change_quantity", "cancel_subscription", "refund_charge"])
def test_seats_are_never_cut_nor_paid_back_unasked(kind):
    for world in (_seats(5), _proration(), _pair({"workspace": "w1"}, {"workspace": "w2"})):
        assert kind not in [name for name, _, _ in writes(judge(WHY, world))]
