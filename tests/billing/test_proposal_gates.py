"""What is not offered, and with which reason: every gate between a situation and its steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from billing.evidence import Bucket, TextSignal
from billing.records import InvoicePayment, Schedule
from tests.billing.builders import (
    PRO_YEARLY,
    TEAM,
    at,
    charge,
    checkout_session,
    customer,
    discount,
    dispute,
    duplicate,
    invoice,
    line,
    ordinary,
    paid_period,
    payment_method,
    snapshot,
    subscription,
    ticket,
)
from tests.billing.judging import blocked, helps, judge, kinds, writes
from tests.billing.test_diagnosis import said

TWICE = ticket("Twice!", codes=("TXT_DUP_TWICE",), wishes=("refund",))
CANCEL = ticket("Cancel.", codes=("TXT_WANTS_CANCEL",), wishes=("cancel",))
FAILS = ticket("Fails.", codes=("TXT_DECLINED",))


def _charges(world, **fields):
    return replace(world, charges=tuple(replace(c, **fields) if c.id == "ch_B_1112" else c for c in world.charges))


def _refund(found):
    return next(p for p in found.plan.steps if p.step.kind == "refund_charge")


def test_an_unknown_dispute_status_blocks_the_refund():
    found = judge(ticket("Twice", codes=("TXT_DUP_TWICE",)), duplicate(dispute(charge="ch_B_1112", status="frozen")))
    assert ("refund_charge", "ch_B_1112", "unknown_value") in blocked(found)
    assert "refund_charge" not in kinds(found)


def test_a_subscription_in_an_unknown_status_is_not_cancelled():
    odd = subscription(status="hibernating")
    found = judge(
        said("TXT_WANTS_CANCEL", wishes=("cancel",)), snapshot(customer(), odd, paid_period(odd, "2026-11-03"))
    )
    assert writes(found) == []
    assert found.diagnosis.needs_human
    assert ("schedule_cancellation", "sub_A", "unknown_value") in blocked(found)


def test_a_connected_subscription_is_not_cancelled_by_us():
    pro = subscription(connected=True)
    found = judge(CANCEL, snapshot(customer(), pro, paid_period(pro, "2026-11-03")))
    assert ("schedule_cancellation", "sub_A", "connected_account") in blocked(found)
    assert found.diagnosis.needs_human


def test_a_schedule_is_not_let_go_while_a_person_has_to_decide():
    pro = subscription(schedule=Schedule(id="sub_sched_1", status="active", phases=2))
    paid = paid_period(pro, "2026-11-03")
    asked = replace(CANCEL, wishes=(*CANCEL.wishes, *TWICE.wishes))
    found = judge(asked, snapshot(customer(), pro, paid, dispute(charge="ch_A_1103")))
    assert "release_schedule" not in kinds(found)
    assert ("schedule_cancellation", "sub_A", "schedule_managed") in blocked(found)


def test_a_scheduled_subscription_of_a_connected_account_is_not_released():
    pro = subscription(connected=True, schedule=Schedule(id="sub_sched_1", status="active", phases=2))
    found = judge(CANCEL, snapshot(customer(), pro, paid_period(pro, "2026-11-03")))
    assert writes(found) == []
    assert ("schedule_cancellation", "sub_A", "schedule_managed") in blocked(found)


def test_a_scheduled_end_under_a_schedule_is_not_taken_back():
    pro = subscription(cancel_at=at("2026-12-03"), schedule=Schedule(id="sub_sched_1", status="active"))
    found = judge(ticket("Stay", wishes=("keep",)), snapshot(customer(), pro, paid_period(pro, "2026-11-03")))
    assert ("undo_cancellation", "sub_A", "schedule_managed") in blocked(found)
    assert writes(found) == []


def test_a_connected_pause_is_not_resumed():
    pro = subscription(pause_collection="void", connected=True)
    assert writes(judge(ticket("?"), snapshot(customer(), pro))) == []
    paused = subscription(status="paused", paused_type="trial_end_without_payment_method", connected=True,
                          trial_end=at("2026-11-17"))  # fmt: skip
    assert writes(judge(FAILS, snapshot(customer(), paused, payment_method(created="2026-11-20")))) == []


def test_the_refund_tells_about_tax_age_and_the_amount_that_was_seen():
    world = _charges(duplicate(), presentment_amount=2700, presentment_currency="eur", brand=None)
    taxed = tuple(replace(i, tax=400) if i.id == "in_B_1112" else i for i in world.invoices)
    planned = _refund(judge(TWICE, replace(world, invoices=taxed)))
    assert "tax" in planned.detail
    assert "27.00 EUR" in planned.detail
    assert "the way it was paid" in planned.says


def test_an_old_charge_says_that_the_bank_may_take_longer():
    pro = subscription(created="2026-03-03")
    world = snapshot(customer(), pro, paid_period(pro, "2026-03-03"),
                     dispute(charge="ch_A_0303", status="warning_under_review", is_charge_refundable=True))  # fmt: skip
    assert "180 days" in _refund(judge(TWICE, world)).detail


def _overpaid(**fields):
    first = subscription()
    paid, one = paid_period(first, "2026-11-03")
    payments = (*paid.payments, InvoicePayment(id="inpay_2", status="paid", amount_paid=2900, payment_intent="pi_X"))
    doubled = invoice("in_A_1103", payments=payments, amount_overpaid=2900)
    again = charge("ch_X", created="2026-11-03T00:04", invoice="in_A_1103", **fields)
    return snapshot(customer(balance=-2900), first, doubled, one, again)


def test_an_overpayment_on_a_disputed_charge_leaves_credit_and_money_alone():
    found = judge(TWICE, _overpaid(disputed=True))
    assert writes(found) == []
    assert ("refund_charge", "ch_X", "disputed") in blocked(found)


def test_an_overpayment_of_an_unproven_sender_is_left_alone():
    flagged = replace(TWICE, requester=replace(TWICE.requester, comment_flags=frozenset({14})))
    assert writes(judge(flagged, _overpaid())) == []


def test_a_missed_coupon_on_a_connected_charge_is_not_credited():
    free = subscription(price=TEAM, quantity=2, created="2026-11-03", discounts=(discount(percent_off=100.0),))
    first = invoice("in_0", amount=0, created="2026-11-03", billing_reason="subscription_create")
    update = invoice("in_U", amount=1200, created="2026-11-10", billing_reason="subscription_update",
                     lines=(line(1200, TEAM, proration=True, quantity=2),))  # fmt: skip
    taken = charge("ch_U", amount=1200, created="2026-11-10", invoice="in_U", connected=True)
    found = judge(ticket("Coupon", codes=("TXT_TEAM",)), snapshot(customer(), free, first, update, taken))
    assert writes(found) == []
    assert ("create_credit_note", "in_U", "connected_account") in blocked(found)


def _behind(status="past_due", connected=False, bill=False, card=True):
    methods = (payment_method("pm_B", created="2026-11-15"),) if card else ()
    return snapshot(
        customer(default_payment_method="pm_B" if card else None), subscription(status=status, connected=connected),
        methods, invoice(status="open", connected=bill),
        charge(status="failed", invoice="in_A", decline_code="generic_decline"),
    )  # fmt: skip


@pytest.mark.parametrize("world", [_behind(connected=True), _behind(bill=True)])
def test_a_connected_invoice_is_not_collected_and_a_link_stands_in(world):
    found = judge(FAILS, world)
    assert writes(found) == []
    assert "connected_account" in {why for _, _, why in blocked(found)}
    assert ("send_invoice_link", "in_A") in helps(found)


def test_stopping_beside_a_failed_payment_is_offered_with_the_card_link():
    asked = ticket(
        "Card fails, cancel it", codes=("TXT_DECLINED", "TXT_WANTS_CANCEL"), wishes=("cancel", "update_card")
    )
    found = judge(asked, _behind(card=False))
    assert found.diagnosis.bucket in {"failed_payment", "self_serve_gap"}
    assert writes(found) == [("schedule_cancellation", "sub_A", None)]


def test_a_cancellation_under_payment_trouble_collects_nothing():
    assert "pay_invoice" not in kinds(judge(CANCEL, _behind()))


def test_a_payment_with_nothing_behind_it_restores_access_first():
    paid = checkout_session(
        "cs_1", status="complete", payment_status="paid", payment_intent="pi_1", created="2026-11-20"
    )
    found = judge(ticket("Paid, nothing", codes=("TXT_PAID", "TXT_NO_ACCESS")),
                  snapshot(customer(), charge("ch_1", created="2026-11-20"), paid))  # fmt: skip
    assert found.diagnosis.situation == "paid_nothing_behind"
    assert (writes(found), found.gap) == ([], "access_not_granted")


def test_words_of_a_ban_or_a_change_by_us_name_the_gap():
    banned = said("TXT_BANNED", "TXT_BANNED")
    assert judge(banned, ordinary()).gap == "billed_without_service"
    assert judge(said("TXT_PLAN_CHANGED_BY_THEM"), ordinary()).gap == "plan_changed_without_consent"


@pytest.mark.parametrize(
    ("codes", "step"),
    [
        (("TXT_PAYMENT_METHODS",), ("create_portal_session", "cus_A")),
        (("TXT_SEAT_CHANGE", "TXT_TEAM"), ("explain", "sub_A")),
        (("TXT_PORTAL",), ("send_portal_login", "cus_A")),
        (("TXT_QUALITY",), ("hand_over", "sub_A")),
    ],
)
def test_words_alone_beside_an_ordinary_state_lead_to_a_step_without_money(codes, step):
    found = judge(said(*codes), ordinary())
    assert writes(found) == []
    assert helps(found) == [step]


def test_a_claim_of_failure_that_stripe_denies_loses_weight():
    found = judge(said("TXT_DECLINED"), ordinary())
    assert any(signal.code == "claims_failed_found_paid" for signal in
               (*found.diagnosis.signals_for, *found.diagnosis.signals_against))  # fmt: skip


def test_a_monthly_payment_that_is_regretted_is_stopped_when_asked():
    asked = ticket("Mistake, cancel and refund", codes=("TXT_MISTAKE",), wishes=("cancel", "refund"))
    found = judge(asked, ordinary())
    assert writes(found) == [("schedule_cancellation", "sub_A", None)]


def test_a_trial_in_progress_is_explained():
    trial = subscription(status="trialing", created="2026-11-15", trial_end=at("2026-11-29"))
    found = judge(said("TXT_TRIAL"), snapshot(customer(), trial))
    assert found.diagnosis.situation == "trialing"
    assert (writes(found), helps(found)) == ([], [("explain", "sub_A")])


def test_a_quality_complaint_after_a_trial_is_no_trial_question():
    pro = subscription(created="2026-11-04", trial_end=at("2026-11-18"))
    found = judge(said("TXT_QUALITY", "TXT_WANTS_REFUND"), snapshot(customer(), pro, paid_period(pro, "2026-11-18")))
    assert found.diagnosis.situation != "trial_converted"


def test_access_is_not_the_question_when_two_subscriptions_run():
    found = judge(said("TXT_NO_ACCESS", "TXT_DUP_SUBSCRIPTIONS"), duplicate())
    assert found.diagnosis.bucket is Bucket.DUPLICATE_SUBSCRIPTION


def test_cancelling_with_duplicates_asks_about_the_one_that_stays():
    found = judge(CANCEL, duplicate())
    assert ("schedule_cancellation", "sub_B", None) in writes(found)
    assert "ask_customer" in kinds(found)


def test_a_yearly_renewal_without_a_charge_is_only_stopped():
    pro = subscription(price=PRO_YEARLY, created="2025-11-10")
    paid, _ = paid_period(pro, "2026-11-10")
    found = judge(
        ticket("Renewed!", codes=("TXT_RENEWAL_SURPRISE",), wishes=("refund",)), snapshot(customer(), pro, paid)
    )
    assert writes(found) == [("schedule_cancellation", "sub_A", None)]


def test_an_agents_word_on_an_undecided_ticket_gives_a_plan_without_money():
    signal = TextSignal(code="TXT_MODEL", quote="", group="model", weights={})
    vague = replace(ticket("hm"), signals=(signal,))
    for bucket in (Bucket.SELF_SERVE_GAP, Bucket.FAILED_PAYMENT, Bucket.TEAM_SEATS, Bucket.OTHER_BILLING):
        found = judge(vague, ordinary(), correction=bucket)
        assert writes(found) == []
        assert found.diagnosis.bucket is bucket


@pytest.mark.parametrize("status", ["lost", "prevented"])
def test_what_the_bank_has_already_given_back_is_not_refunded_again(status):
    found = judge(TWICE, replace(duplicate(), disputes=(dispute(charge="ch_B_1112", status=status),)))
    assert ("refund_charge", "ch_B_1112", "disputed") in blocked(found)
    assert "refund_charge" not in kinds(found)
