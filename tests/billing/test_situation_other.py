"""Situations 18 to 20, 48, 49 and the rest: renewals, trials, prices, credit, and what Stripe could not tell."""

from __future__ import annotations

from dataclasses import replace

import pytest

from billing.records import InvoiceLine
from billing.snapshot import Missing, Why
from tests.billing.builders import (
    METERED,
    PRO,
    PRO_YEARLY,
    ULTRA,
    at,
    charge,
    customer,
    duplicate,
    invoice,
    item,
    line,
    ordinary,
    paid_period,
    payment_method,
    price,
    snapshot,
    subscription,
    ticket,
)
from tests.billing.judging import blocked, helps, judge, kinds, writes

RENEWED = ticket("I did not expect this.", codes=("TXT_RENEWAL_SURPRISE",), wishes=("refund",))
STOP = ("schedule_cancellation", "sub_A", None)


def _yearly(renewed="2026-11-10", **fields):
    pro = subscription(price=PRO_YEARLY, created=f"2025-{renewed[5:]}", **fields)
    return snapshot(customer(), pro, paid_period(pro, renewed), payment_method())


def test_an_unexpected_yearly_renewal_is_stopped_and_refunded_within_the_window():
    found = judge(RENEWED, _yearly())
    assert found.diagnosis.bucket == "other_billing"
    assert found.diagnosis.situation == "annual_renewal"
    assert writes(found) == [STOP, ("refund_charge", "ch_A_1110", 29000)]
    assert found.gap == "no_renewal_notice"
    assert found.plan.impact.mrr == {"usd": -2416}


def test_outside_the_window_of_the_policy_only_the_renewal_is_stopped():
    from billing.policy import Policy, Refunds

    tight = Policy(refunds=Refunds(window_days={"month": 30, "year": 7, "one_time": 30}))
    found = judge(RENEWED, _yearly(), tight)
    assert writes(found) == [STOP]
    assert ("refund_charge", "ch_A_1110", "outside_policy") in blocked(found)


def test_a_yearly_renewal_that_could_not_be_cancelled_is_self_serve():
    asked = ticket("No button!", codes=("TXT_RENEWAL_SURPRISE", "TXT_CANNOT_CANCEL"), wishes=("refund",))
    assert judge(asked, _yearly()).diagnosis.bucket == "self_serve_gap"


def test_a_renewal_nobody_complains_about_is_only_explained():
    found = judge(ticket("What is this amount?", codes=("TXT_EXPLAIN",), wishes=("explain_charge",)), _yearly())
    assert writes(found) == []


def _trial(ended, **fields):
    pro = subscription(
        created="2026-11-04", trial_start=at("2026-11-04"), trial_end=at(ended), items=(item(start=ended),), **fields
    )
    return snapshot(customer(), pro, paid_period(pro, ended), payment_method())


def test_a_trial_that_became_paid_is_stopped_and_that_one_charge_refunded():
    found = judge(ticket("Trial!", codes=("TXT_TRIAL",), wishes=("refund",)), _trial("2026-11-18"))
    assert found.diagnosis.bucket == "self_serve_gap"
    assert found.diagnosis.situation == "trial_converted"
    assert writes(found) == [STOP, ("refund_charge", "ch_A_1118", 2900)]
    assert found.gap == "no_trial_end_notice"


def test_a_trial_charge_that_nobody_wants_back_is_not_refunded():
    found = judge(ticket("Trial?", codes=("TXT_TRIAL",)), _trial("2026-11-18"))
    assert "refund_charge" not in kinds(found)


def test_cancelling_after_the_trial_shows_the_times_and_follows_policy():
    world = _trial("2026-11-14", canceled_at=at("2026-11-16"), cancel_at=at("2026-12-14"))
    found = judge(ticket("I cancelled the trial", codes=("TXT_TRIAL",), wishes=("refund",)), world)
    assert found.diagnosis.situation == "canceled_after_trial"
    assert writes(found) == [("refund_charge", "ch_A_1114", 2900)]
    assert "16 Nov" in found.diagnosis.why
    assert ("explain", "sub_A") in helps(found)


def test_a_price_that_rose_is_explained_and_not_refunded():
    pro = subscription(price=price(amount=3900))
    before, after = paid_period(pro, "2026-10-03", 2900), paid_period(pro, "2026-11-03", 3900)
    cheap = replace(before[0], lines=(line(2900, PRO),))
    dear = replace(after[0], lines=(line(3900, price(id="price_pro_v2", amount=3900)),))
    world = snapshot(customer(), pro, cheap, dear, before[1], after[1])
    found = judge(ticket("Why more?", codes=("TXT_PRICE_ROSE",), wishes=("explain_charge",)), world)
    assert found.diagnosis.bucket == "other_billing"
    assert found.diagnosis.situation in {"price_changed", "discount_ended"}
    assert writes(found) == []
    assert found.gap == "no_price_change_notice"


def test_a_plan_change_is_explained_by_its_days():
    lines = (
        InvoiceLine(id="il_a", amount=-1500, proration=True, price=PRO.id, product=PRO.product, quantity=1),
        InvoiceLine(id="il_b", amount=2700, proration=True, price=ULTRA.id, product=ULTRA.product, quantity=1),
    )
    change = invoice("in_P", amount=1200, created="2026-11-10", billing_reason="subscription_update", lines=lines)
    world = ordinary(change, charge("ch_P", amount=1200, created="2026-11-10", invoice="in_P"))
    found = judge(ticket("12 dollars?", codes=("TXT_PLAN_PRORATION",), wishes=("explain_charge",)), world)
    assert found.diagnosis.bucket == "other_billing"
    assert writes(found) == []
    assert helps(found) == [("explain", "in_P")]


def test_usage_is_explained():
    world = ordinary(invoice("in_M", amount=4100, created="2026-11-10", lines=(line(4100, METERED, metered=True),)))
    found = judge(ticket("41 dollars?", codes=("TXT_USAGE",), wishes=("explain_charge",)), world)
    assert found.diagnosis.situation == "metered_usage"
    assert found.gap == "no_usage_visibility"


@pytest.mark.parametrize(
    ("currency", "amount", "shown"), [("jpy", 2900, "2900 JPY"), ("kwd", 2900, "2.900 KWD"), ("usd", 2900, "29.00 USD")]
)
def test_amounts_stay_in_the_minor_unit_of_their_currency(currency, amount, shown):
    plan = price(amount=amount, currency=currency)
    one, two = subscription(price=plan), subscription(id="sub_B", price=plan, created="2026-11-12")
    world = snapshot(customer(), one, two, paid_period(one, "2026-11-03"), paid_period(two, "2026-11-12"))
    found = judge(ticket(codes=("TXT_DUP_TWICE",)), world)
    assert ("refund_charge", "ch_B_1112", amount) in writes(found)
    assert any(shown in p.says for p in found.plan.steps if p.step.kind == "refund_charge")


def test_an_ordinary_payment_that_is_regretted_is_a_persons_decision():
    found = judge(ticket("Bought by mistake", codes=("TXT_MISTAKE",), wishes=("refund",)), ordinary())
    assert found.diagnosis.bucket == "other_billing"
    assert writes(found) == []
    assert "hand_over" in kinds(found)


def test_a_deleted_customer_gets_no_portal_and_no_write():
    gone = subscription(status="canceled", canceled_at=at("2026-11-10"), ended_at=at("2026-11-10"))
    found = judge(ticket("?", wishes=("refund",)), snapshot(customer(deleted=True), gone))
    assert writes(found) == []
    assert "send_portal_login" not in kinds(found)


def test_charges_that_could_not_be_read_are_not_refunded():
    world = duplicate(Missing(part="charges", why=Why.NO_ANSWER))
    found = judge(ticket(codes=("TXT_DUP_TWICE",)), world)
    assert "refund_charge" not in kinds(found)
    assert ("refund_charge", "ch_B_1112", "not_permitted") in blocked(found)


def test_a_list_that_was_cut_off_does_not_hide_its_newest_charges():
    world = duplicate(Missing(part="charges", why=Why.CUT_OFF))
    assert "refund_charge" in kinds(judge(ticket(codes=("TXT_DUP_TWICE",)), world))


def test_what_is_not_about_billing_gets_no_step_at_all():
    from billing.evidence import Bucket, TextSignal

    pitch = replace(
        ticket("Buy our links"),
        signals=(TextSignal(code="TXT_PITCH", quote="links", group="gate", weights={Bucket.NOT_BILLING: 3.5}),),
    )
    found = judge(pitch, snapshot())
    assert found.diagnosis.bucket == "not_billing"
    assert found.plan.steps == ()
