"""Anomalies of subscriptions: several of them, their states, and what the text claims about them."""

from datetime import timedelta

import pytest

from billing.anomalies import find_anomalies
from billing.identity import identify
from billing.policy import Policy, Products
from billing.records import Schedule
from tests.billing.builders import (
    METERED,
    NOW,
    PRO,
    PRO_YEARLY,
    ULTRA,
    at,
    charge,
    customer,
    invoice,
    item,
    line,
    ordinary,
    paid_period,
    price,
    snapshot,
    subscription,
    ticket,
)

FAMILIES = Policy(products=Products(families=(("Pro", "Ultra"),)))


def anomalies(*records, evidence=None, policy=FAMILIES):
    evidence = evidence or ticket()
    world = snapshot(customer(), *records)
    found = {}
    for one in find_anomalies(evidence, world, identify(evidence, world, policy=policy), policy):
        found.setdefault(one.code, []).extend(one.objects)
    return found


SECOND = {"id": "sub_B", "created": "2026-11-12"}


# --- several of them ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [ULTRA, PRO_YEARLY, price(id="price_new", amount=3900)])
def test_another_price_or_interval_is_an_overlap_and_a_duplicate(other):
    found = anomalies(subscription(), subscription(price=other, **SECOND))
    assert found == {
        "duplicate_active_subscription": ["sub_A", "sub_B"],
        "overlapping_plans": ["sub_A", "sub_B"],
    }


def test_two_price_objects_that_cost_the_same_are_one_plan():
    twin = price(id="price_pro_copy")
    assert "overlapping_plans" not in anomalies(subscription(), subscription(price=twin, **SECOND))


def test_other_products_are_no_duplicates():
    assert anomalies(subscription(), subscription(price=ULTRA, **SECOND), policy=Policy()) == {}


def test_seats_on_one_subscription_are_seats():
    assert anomalies(subscription(quantity=5)) == {"multiple_seats": ["sub_A"]}
    assert anomalies(subscription(quantity=5, status="canceled")) == {}
    assert anomalies(subscription(items=(item(PRO), item(METERED, 900)))) == {}


@pytest.mark.parametrize(
    ("one", "other", "code"),
    [
        ({"workspace": "w1"}, {"workspace": "w2"}, "separate_workspaces"),
        ({"org_id": "a"}, {"org_id": "b"}, "separate_workspaces"),
        ({"user_id": "1"}, {"user_id": "2"}, "separate_users"),
        ({"workspace": "w1", "user_id": "1"}, {"workspace": "w1", "user_id": "2"}, "separate_users"),
        ({"workspace": "w1", "user_id": "1"}, {"workspace": "w2", "user_id": "2"}, "separate_workspaces"),
        ({"workspace": "w1"}, {"user_id": "2"}, "separate_workspaces"),
    ],
)
def test_different_owners_are_named_and_are_no_duplicates(one, other, code):
    third = subscription(id="sub_C", status="canceled", metadata={"workspace": "w3"})
    assert anomalies(subscription(metadata=one), subscription(metadata=other, **SECOND), third) == {
        code: ["sub_B", "sub_A"]
    }


def test_one_owner_or_none_is_not_separate():
    found = anomalies(
        subscription(metadata={"org": "a"}), subscription(**SECOND), subscription(id="sub_C", price=ULTRA)
    )
    assert "separate_workspaces" not in found


def test_thirty_workspaces_are_all_named():
    many = [subscription(id=f"sub_{n}", metadata={"org": str(n)}) for n in range(30)]
    assert len(anomalies(*many)["separate_workspaces"]) == 30


def test_live_subscriptions_in_two_currencies_are_named():
    euro = price(id="price_eur", product="prod_eu", product_name="EU", currency="eur")
    assert anomalies(subscription(), subscription(price=euro, **SECOND)) == {"several_currencies": ["sub_B", "sub_A"]}
    ended = subscription(price=euro, status="canceled", **SECOND)
    assert anomalies(subscription(), ended) == {}


# --- states -------------------------------------------------------------------------------------------------------

SCHEDULE = Schedule(id="sub_sched_A", status="active", phases=2)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"status": "incomplete"}, {"first_payment_incomplete": ["sub_A"]}),
        ({"status": "incomplete_expired"}, {"incomplete_expired": ["sub_A"]}),
        ({"status": "past_due"}, {"past_due": ["sub_A"]}),
        ({"status": "unpaid"}, {"unpaid_after_retries": ["sub_A"]}),
        ({"status": "canceled", "cancellation_reason": "payment_failed"}, {"canceled_for_nonpayment": ["sub_A"]}),
        ({"status": "canceled", "cancellation_reason": "cancellation_requested"}, {}),
        ({"status": "paused", "paused_type": "final_payment_failure"}, {"paused_for_nonpayment": ["sub_A"]}),
        ({"status": "paused", "paused_type": "first_payment_failure"}, {"paused_for_nonpayment": ["sub_A"]}),
        ({"status": "paused", "paused_type": "trial_end_without_payment_method"}, {"paused_trial_end": ["sub_A"]}),
        ({"status": "paused", "trial_end": at("2026-11-01")}, {"paused_trial_end": ["sub_A"]}),
        ({"status": "paused", "paused_type": "pause_requested"}, {}),
        ({"status": "trialing"}, {"trialing": ["sub_A"]}),
        ({"status": "trialing", "trial_end": at("2026-12-01")}, {"trialing": ["sub_A"]}),
        ({"cancel_at_period_end": True}, {"cancellation_scheduled": ["sub_A"]}),
        ({"cancel_at": at("2026-12-03")}, {"cancellation_scheduled": ["sub_A"]}),
        ({"pause_collection": "void"}, {"collection_paused": ["sub_A"]}),
        ({"schedule": SCHEDULE}, {"schedule_managed": ["sub_A", "sub_sched_A"]}),
        ({"schedule": SCHEDULE, "status": "canceled"}, {}),
    ],
)
def test_a_state_has_its_code(fields, expected):
    assert anomalies(subscription(**fields)) == expected


@pytest.mark.parametrize(("status", "code"), [("past_due", "past_due"), ("incomplete", "first_payment_incomplete")])
def test_the_open_invoice_stands_beside_the_subscription(status, code):
    found = anomalies(subscription(status=status), invoice("in_B", status="open"), invoice("in_A"))
    assert found[code] == ["sub_A", "in_B"]


# --- trials -------------------------------------------------------------------------------------------------------


def converted(trial_end, paid_on, **fields):
    one = subscription(created="2026-10-20", trial_end=at(trial_end), **fields)
    return [one, invoice("in_0", 0, "2026-10-20"), invoice("in_1", 2900, paid_on)]


def test_the_first_payment_after_a_trial_counts_for_seven_days():
    assert anomalies(*converted("2026-11-19", "2026-11-19")) == {"trial_converted": ["sub_A"]}
    assert anomalies(*converted("2026-11-10", "2026-11-10")) == {}
    assert anomalies(*converted("2026-11-30", "2026-11-19")) == {}


def test_a_cancellation_after_the_trial_does_not_hide_the_payment():
    ended = converted("2026-11-19", "2026-11-19", status="canceled", canceled_at=at("2026-11-20"))
    assert anomalies(*ended) == {"trial_converted": ["sub_A"]}


def test_a_later_payment_is_not_the_first():
    records = [*converted("2026-10-27", "2026-10-27"), invoice("in_2", 2900, "2026-11-20")]
    assert anomalies(*records) == {}


def test_a_trial_that_ended_without_a_payment_is_not_converted():
    assert anomalies(subscription(trial_end=at("2026-11-19"))) == {}


# --- against the text ---------------------------------------------------------------------------------------------

ASKS_TO_CANCEL = ticket(wishes=("cancel",))
NO_ACCESS = ticket(codes=("TXT_NO_ACCESS",))


def test_asked_to_cancel_what_has_ended_names_the_one_that_ended_last():
    ended = [
        subscription(status="canceled", ended_at=at("2026-11-01")),
        subscription(id="sub_B", status="canceled", ended_at=at("2026-08-01")),
    ]
    assert anomalies(*ended, evidence=ASKS_TO_CANCEL) == {"already_canceled": ["sub_A"]}
    assert anomalies(*ended, evidence=ticket(codes=("TXT_WANTS_CANCEL",))) == {"already_canceled": ["sub_A"]}
    assert anomalies(*ended) == {}
    assert anomalies(*ended, subscription(id="sub_C"), evidence=ASKS_TO_CANCEL) == {}
    assert anomalies(evidence=ASKS_TO_CANCEL) == {}


def test_paid_and_active_is_said_only_when_access_is_missed():
    assert anomalies(ordinary().subscriptions, ordinary().invoices, evidence=NO_ACCESS) == {
        "paid_and_active": ["sub_A"]
    }
    assert "paid_and_active" in anomalies(subscription(), invoice(), evidence=ticket(wishes=("restore_access",)))
    assert anomalies(subscription(), invoice()) == {}


def test_a_void_invoice_does_not_hide_a_paid_one_and_an_open_one_does():
    assert "paid_and_active" in anomalies(
        subscription(), invoice(), invoice("in_B", status="void", created="2026-11-04"), evidence=NO_ACCESS
    )
    assert "paid_and_active" not in anomalies(
        subscription(), invoice(), invoice("in_B", status="open", created="2026-11-04"), evidence=NO_ACCESS
    )
    assert "paid_and_active" not in anomalies(subscription(), evidence=NO_ACCESS)
    assert "paid_and_active" not in anomalies(subscription(status="past_due"), invoice(), evidence=NO_ACCESS)


# --- charged after the end ----------------------------------------------------------------------------------------

LATE = {"id": "in_L", "created": "2026-11-10"}


@pytest.mark.parametrize(
    "end",
    [
        {"status": "canceled", "ended_at": at("2026-11-05")},
        {"status": "canceled", "canceled_at": at("2026-11-05")},
        {"cancel_at": at("2026-11-05")},
    ],
)
def test_a_payment_after_the_end_names_charge_and_invoice(end):
    found = anomalies(subscription(**end), invoice(**LATE), charge("ch_L", created="2026-11-10"))
    assert found["charged_after_cancellation"] == ["ch_L", "in_L"]


@pytest.mark.parametrize(
    "end",
    [
        {},
        {"cancel_at": at("2026-12-03")},
        {"status": "canceled"},
        {"status": "canceled", "ended_at": at("2026-11-10")},
    ],
)
def test_a_payment_before_the_end_is_none_of_these(end):
    found = anomalies(subscription(**end), invoice(**LATE), charge("ch_L", created="2026-11-10"))
    assert "charged_after_cancellation" not in found


def test_an_end_that_is_right_now_has_taken_effect():
    ended = subscription(cancel_at=NOW - timedelta(minutes=5))
    assert "charged_after_cancellation" in anomalies(
        ended, invoice(created=NOW, id="in_L"), charge("ch_L", created=NOW)
    )


def test_the_last_usage_may_be_billed_after_the_end():
    ended = subscription(status="canceled", ended_at=at("2026-11-05"))
    used = invoice(lines=(line(metered=True),), **LATE)
    assert anomalies(ended, used, charge("ch_L", created="2026-11-10")) == {}


def test_a_failed_attempt_after_the_end_took_nothing():
    ended = subscription(status="canceled", ended_at=at("2026-11-05"))
    found = anomalies(ended, invoice(**LATE, status="void"), charge("ch_L", created="2026-11-10", status="failed"))
    assert found == {}


def test_two_customers_are_looked_at_together():
    other = customer(id="cus_B", created="2026-02-01")
    extra = subscription(customer="cus_B", **SECOND)
    found = anomalies(other, subscription(), extra, paid_period(extra, NOW - timedelta(days=10)))
    assert found["duplicate_active_subscription"] == ["sub_A", "sub_B"]
