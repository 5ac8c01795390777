"""Situations 1 to 11: paid for more than once, or only seemingly so. Each has a twin with one fact changed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing.policy import Policy, Products
from billing.records import InvoicePayment
from tests.billing.builders import (
    PRO_YEARLY,
    ULTRA,
    at,
    charge,
    customer,
    discount,
    duplicate,
    invoice,
    ordinary,
    paid_period,
    payment_method,
    refund,
    snapshot,
    subscription,
    ticket,
)
from tests.billing.judging import blocked, helps, judge, kinds, writes

TWICE = ticket("I was charged twice this month.", codes=("TXT_DUP_TWICE",), wishes=("refund",))
STOP_B_AND_REFUND = [("schedule_cancellation", "sub_B", None), ("refund_charge", "ch_B_1112", 2900)]
FAMILY = Policy(products=Products(families=(("Pro", "Ultra"),)))


def _second(**fields):
    extra = subscription(id="sub_B", created="2026-11-12", **fields)
    return extra, paid_period(extra, "2026-11-12")


def test_the_same_price_twice_stops_the_extra_and_refunds_its_charge():
    found = judge(TWICE, duplicate())
    assert found.diagnosis.bucket == "duplicate_subscription"
    assert found.diagnosis.situation == "duplicate_same_price"
    assert kinds(found) == [
        "send_portal_login", "write_internal_note", "file_issue", "schedule_cancellation", "refund_charge",
    ]  # fmt: skip
    assert writes(found) == STOP_B_AND_REFUND
    assert found.gap == "no_duplicate_guard"
    assert found.plan.kept == ("sub_A",)
    assert found.plan.affected_charges == ("ch_B_1112",)
    assert found.plan.impact.refund == {"usd": 2900}
    assert found.plan.impact.mrr == {"usd": -2900}
    assert not found.diagnosis.needs_human


def test_one_subscription_alone_is_no_duplicate_whatever_the_words_say():
    found = judge(TWICE, ordinary())
    assert writes(found) == []
    assert found.gap is None


def test_state_alone_is_enough_for_the_words_to_be_vague():
    assert writes(judge(ticket(), duplicate())) == STOP_B_AND_REFUND


def test_a_customer_who_wants_several_keeps_them_all():
    found = judge(ticket("I want both.", codes=("TXT_WANTS_SEVERAL", "TXT_DUP_TWICE")), duplicate())
    assert writes(found) == []


def test_an_invoice_request_is_not_answered_with_a_refund():
    found = judge(ticket(wishes=("invoice",), codes=("TXT_INVOICE",)), duplicate())
    assert found.diagnosis.bucket == "self_serve_gap"
    assert writes(found) == []


def test_the_subscription_the_product_is_bound_to_stays_even_when_it_is_the_newer_one():
    bound = subscription(id="sub_B", created="2026-11-12", metadata={"user_id": "u7"})
    found = judge(TWICE, ordinary(bound, paid_period(bound, "2026-11-12")))
    assert found.plan.kept == ("sub_B",)
    assert writes(found) == [("schedule_cancellation", "sub_A", None), ("refund_charge", "ch_A_1103", 2900)]


def test_a_lasting_discount_stays_and_an_equal_pair_of_plans_keeps_the_older():
    rich = _second(discounts=(discount(),))
    assert judge(TWICE, ordinary(rich)).plan.kept == ("sub_B",)
    assert judge(TWICE, duplicate()).plan.kept == ("sub_A",)


def test_a_tie_is_asked_and_not_guessed():
    twin = subscription(id="sub_B", created="2026-09-03")
    found = judge(TWICE, ordinary(twin, paid_period(twin, "2026-11-03")))
    assert writes(found) == []
    assert ("ask_customer", "sub_A") in helps(found) or ("ask_customer", "sub_B") in helps(found)


@pytest.mark.parametrize(
    ("address", "situation"),
    [("maya@oliva.example", "duplicate_across_customers"), ("Maya@Oliva.example", "duplicate_email_case")],
)
def test_two_customers_of_one_person_are_seen_together(address, situation):
    second = subscription(id="sub_B", customer="cus_B", created="2026-11-12")
    other = customer("cus_B", email=address)
    found = judge(TWICE, ordinary(other, second, paid_period(second, "2026-11-12")))
    assert found.diagnosis.situation == situation
    assert writes(found) == STOP_B_AND_REFUND


def test_the_customer_with_the_products_metadata_keeps_the_subscription():
    second = subscription(id="sub_B", customer="cus_B", created="2026-11-12")
    other = customer("cus_B", metadata={"user_id": "u7"})
    found = judge(TWICE, ordinary(other, second, paid_period(second, "2026-11-12")))
    assert found.plan.kept == ("sub_B",)
    assert writes(found)[0] == ("schedule_cancellation", "sub_A", None)


def test_a_customer_with_another_address_is_no_part_of_it():
    second = subscription(id="sub_B", customer="cus_B", created="2026-11-12")
    other = customer("cus_B", email="maya+2@oliva.example")
    assert writes(judge(TWICE, ordinary(other, second, paid_period(second, "2026-11-12")))) == []


def test_monthly_next_to_annual_stops_the_monthly_and_refunds_what_it_took_since():
    yearly = subscription(id="sub_Y", price=PRO_YEARLY, created="2026-10-20")
    found = judge(TWICE, ordinary(yearly, paid_period(yearly, "2026-10-20")))
    assert found.diagnosis.situation == "monthly_and_annual"
    assert writes(found) == [("schedule_cancellation", "sub_A", None), ("refund_charge", "ch_A_1103", 2900)]
    assert ("ask_customer", "sub_Y") in helps(found)
    assert found.plan.kept == ("sub_Y",)


def test_a_monthly_charge_from_before_the_annual_plan_is_not_refunded():
    yearly = subscription(id="sub_Y", price=PRO_YEARLY, created="2026-11-15")
    found = judge(TWICE, ordinary(yearly, paid_period(yearly, "2026-11-15")))
    assert writes(found) == [("schedule_cancellation", "sub_A", None)]


def test_two_tiers_stop_the_lower_and_refund_its_charge_in_the_overlap():
    upper = subscription(id="sub_U", price=ULTRA, created="2026-10-28")
    found = judge(TWICE, ordinary(upper, paid_period(upper, "2026-10-28")), FAMILY)
    assert found.diagnosis.situation == "two_tiers"
    assert writes(found) == [("schedule_cancellation", "sub_A", None), ("refund_charge", "ch_A_1103", 2900)]
    assert found.gap == "upgrade_opens_second_subscription"


def test_a_tier_paid_before_the_upgrade_gives_back_the_unused_days_only():
    upper = subscription(id="sub_U", price=ULTRA, created="2026-11-18")
    found = judge(TWICE, ordinary(upper, paid_period(upper, "2026-11-18")), FAMILY)
    share = 2900 * 15 // 30
    assert writes(found) == [("schedule_cancellation", "sub_A", None), ("refund_charge", "ch_A_1103", share)]


def test_different_products_are_no_duplicates():
    upper = subscription(id="sub_U", price=ULTRA, created="2026-10-28")
    assert writes(judge(TWICE, ordinary(upper, paid_period(upper, "2026-10-28")))) == []


def test_a_duplicate_in_trial_is_stopped_and_nothing_is_refunded():
    trial = subscription(id="sub_T", created="2026-11-18", status="trialing", trial_end=at("2026-12-02"))
    found = judge(TWICE, ordinary(trial))
    assert found.diagnosis.situation == "duplicate_in_trial"
    assert writes(found) == [("schedule_cancellation", "sub_T", None)]


@pytest.mark.parametrize("ending", [{"cancel_at": at("2026-12-12")}, {"cancel_at_period_end": True}])
def test_a_duplicate_that_ends_already_is_refunded_and_not_cancelled_again(ending):
    found = judge(TWICE, ordinary(_second(**ending)))
    assert found.diagnosis.situation == "duplicate_already_ending"
    assert writes(found) == [("refund_charge", "ch_B_1112", 2900)]


def test_an_unpaid_twin_of_a_checkout_lapses_by_itself():
    twin = subscription(id="sub_B", created="2026-11-22T08:00", status="incomplete")
    open_one = invoice("in_B", created="2026-11-22T08:00", status="open", subscription="sub_B")
    found = judge(ticket(codes=("TXT_DUP_TWICE",)), ordinary(twin, open_one))
    assert found.diagnosis.bucket == "failed_payment"
    assert writes(found) == []
    assert ("wait", "sub_B") in helps(found)


def _paid_twice(balance, **fields):
    first = subscription()
    paid, one = paid_period(first, "2026-11-03")
    payments = (*paid.payments, InvoicePayment(id="inpay_2", status="paid", amount_paid=2900, payment_intent="pi_X"))
    doubled = invoice("in_A_1103", payments=payments, **fields)
    again = charge("ch_X", created="2026-11-03T00:04", invoice="in_A_1103")
    return snapshot(customer(balance=balance), first, doubled, one, again, payment_method())


def test_an_overpaid_invoice_takes_the_credit_back_before_the_refund():
    found = judge(TWICE, _paid_twice(-2900, amount_overpaid=2900))
    assert found.diagnosis.bucket == "duplicate_subscription"
    assert writes(found) == [("reverse_balance_credit", "cus_A", 2900), ("refund_charge", "ch_X", 2900)]
    needs = {p.step.kind: p.requires for p in found.plan.steps}
    reverse = next(p.id for p in found.plan.steps if p.step.kind == "reverse_balance_credit")
    assert needs["refund_charge"] == (f"step:{reverse}",)


def test_an_overpayment_whose_credit_was_used_is_not_refunded_as_well():
    found = judge(TWICE, _paid_twice(0, amount_overpaid=2900))
    assert writes(found) == []
    assert ("refund_charge", "ch_X", "nothing_refundable") in blocked(found)


def test_a_second_payment_that_became_no_credit_is_refunded():
    assert writes(judge(TWICE, _paid_twice(0))) == [("refund_charge", "ch_X", 2900)]


def test_a_one_off_bought_twice_within_minutes_refunds_the_later():
    first, second = charge("ch_1", created="2026-11-20T10:00"), charge("ch_2", created="2026-11-20T10:03")
    found = judge(TWICE, snapshot(customer(), first, second))
    assert found.diagnosis.bucket == "duplicate_subscription"
    assert writes(found) == [("refund_charge", "ch_2", 2900)]


def test_two_orders_of_the_same_price_are_two_purchases():
    first = charge("ch_1", created="2026-11-20T10:00", metadata={"order": "17"})
    second = charge("ch_2", created="2026-11-20T10:03", metadata={"order": "18"})
    found = judge(TWICE, snapshot(customer(), first, second))
    assert found.diagnosis.bucket == "other_billing"
    assert writes(found) == []


def test_a_hold_is_explained_and_nothing_is_refunded():
    hold = charge("ch_H", created="2026-11-03T00:05", captured=False)
    found = judge(TWICE, ordinary(hold))
    assert found.diagnosis.bucket == "failed_payment"
    assert writes(found) == []
    assert ("refund_charge", "ch_H", "nothing_refundable") in blocked(found)
    assert found.gap == "no_hold_explanation"


def test_a_duplicate_outside_the_refund_window_is_stopped_only():
    old = subscription(id="sub_B", created="2026-10-12", status="past_due")
    found = judge(TWICE, ordinary(old, paid_period(old, "2026-10-12")))
    assert ("refund_charge", "ch_B_1012", "outside_policy") in blocked(found)
    assert ("schedule_cancellation", "sub_B", None) in writes(found)
    assert "refund_charge" not in kinds(found)


def test_what_was_refunded_in_part_is_refunded_up_to_the_rest():
    extra = subscription(id="sub_B", created="2026-11-12")
    paid, taken = paid_period(extra, "2026-11-12", amount_refunded=1000, refunds=(refund(amount=1000),))
    assert ("refund_charge", "ch_B_1112", 1900) in writes(judge(TWICE, ordinary(extra, paid, taken)))


def test_a_refunded_duplicate_charge_is_not_replaced_by_another_charge():
    extra = subscription(id="sub_B", created="2026-11-12")
    gone = {"refunded": True, "amount_refunded": 2900, "refunds": (refund(),)}
    paid, taken = paid_period(extra, "2026-11-12", **gone)
    found = judge(TWICE, ordinary(extra, paid, taken))
    assert "refund_charge" not in kinds(found)


def test_a_kept_plan_that_was_never_paid_makes_no_double_payment():
    unpaid = subscription(status="past_due", metadata={"user_id": "u7"})
    extra = subscription(id="sub_B", created="2026-11-12")
    world = snapshot(customer(), unpaid, invoice(status="open"), extra, paid_period(extra, "2026-11-12"))
    assert "refund_charge" not in kinds(judge(TWICE, world))


def test_a_schedule_on_the_extra_is_let_go_before_it_is_stopped():
    from billing.records import Schedule

    extra = _second(schedule=Schedule(id="sub_sched_1", status="active", phases=2))
    found = judge(TWICE, ordinary(extra))
    assert writes(found)[:2] == [("release_schedule", "sub_sched_1", None), ("schedule_cancellation", "sub_B", None)]


def test_the_same_facts_read_minutes_later_give_the_same_digest():
    world = duplicate()
    later = duplicate(taken_at=world.taken_at + timedelta(minutes=7))
    assert judge(TWICE, world).plan.digest == judge(TWICE, later).plan.digest
