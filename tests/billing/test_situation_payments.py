"""Situations 21 to 34 without 30: payments that fail, wait or lapse. A card is only charged once, when it is newer."""

from __future__ import annotations

import pytest

from tests.billing.builders import (
    at,
    charge,
    checkout_session,
    customer,
    invoice,
    ordinary,
    payment_intent,
    payment_method,
    snapshot,
    subscription,
    ticket,
)
from tests.billing.judging import helps, judge, kinds, writes

FAILS = ticket("My payment fails.", codes=("TXT_DECLINED",))
CARD_LINK = ("create_portal_session", "cus_A")
PAY_PAGE = ("send_invoice_link", "in_A")


def _behind(*more, card=None, failure=None, status="past_due", **opened):
    """An open invoice of 3 November with one failed attempt."""
    card = card or payment_method()
    attempt = charge(status="failed", invoice="in_A", **({"decline_code": "generic_decline"} | (failure or {})))
    open_one = invoice(status="open", **opened)
    return snapshot(
        customer(default_payment_method=card.id), subscription(status=status), card, open_one, attempt, *more
    )


EXPIRED = {"failure_code": "expired_card", "decline_code": "expired_card"}
LOST = {"decline_code": "lost_card", "advice_code": "do_not_try_again"}
POOR = {"decline_code": "insufficient_funds", "advice_code": "try_again_later"}


@pytest.mark.parametrize(
    ("world", "situation"),
    [
        (_behind(card=payment_method(exp_month=10, exp_year=2026), failure=EXPIRED), "card_expired"),
        (_behind(failure=LOST), "hard_decline"),
        (_behind(failure={"outcome_type": "blocked"}), "payment_blocked"),
    ],
)
def test_a_card_that_cannot_pay_is_replaced_by_the_customer(world, situation):
    found = judge(FAILS, world)
    assert found.diagnosis.bucket == "failed_payment"
    assert found.diagnosis.situation == situation
    assert writes(found) == []
    assert helps(found)[:2] == [CARD_LINK, PAY_PAGE]


def test_a_soft_decline_waits_for_the_next_attempt():
    found = judge(FAILS, _behind(failure=POOR, next_payment_attempt=at("2026-11-24")))
    assert found.diagnosis.situation == "soft_decline"
    assert writes(found) == []
    waiting = next(p.step for p in found.plan.steps if p.step.kind == "wait")
    assert (waiting.object, waiting.until) == ("in_A", at("2026-11-24"))


def test_a_newer_card_pays_the_open_invoice_once():
    found = judge(FAILS, _behind(card=payment_method("pm_B", created="2026-11-15"), failure=POOR))
    assert found.diagnosis.situation == "card_replaced"
    assert writes(found) == [("pay_invoice", "in_A", 2900)]
    assert next(p.step for p in found.plan.steps if p.step.kind == "pay_invoice").payment_method == "pm_B"


def test_an_older_card_is_not_charged_again():
    found = judge(FAILS, _behind(card=payment_method("pm_B", created="2026-10-15"), failure=POOR))
    assert writes(found) == []


def test_an_invoice_to_be_paid_by_transfer_is_sent_again_and_never_collected():
    world = _behind(
        card=payment_method("pm_B", created="2026-11-15"), collection_method="send_invoice", due_date=at("2026-11-10")
    )
    found = judge(FAILS, world)
    assert found.diagnosis.situation == "invoice_overdue"
    assert writes(found) == [("resend_invoice", "in_A", None)]


def test_a_waiting_bank_confirmation_is_finished_on_the_payment_page():
    world = snapshot(
        customer(), subscription(status="past_due"), payment_method(), invoice(status="open"),
        payment_intent(status="requires_action", invoice="in_A"),
    )  # fmt: skip
    found = judge(FAILS, world)
    assert found.diagnosis.situation == "bank_confirmation_needed"
    assert writes(found) == []
    assert PAY_PAGE in helps(found)


def test_a_first_payment_is_finished_and_not_started_beside():
    fresh = subscription(status="incomplete", created="2026-11-22T05:00")
    world = snapshot(customer(), fresh, invoice(status="open", created="2026-11-22T05:00"))
    found = judge(FAILS, world)
    assert found.diagnosis.situation == "first_payment_incomplete"
    assert (writes(found), helps(found)) == ([], [PAY_PAGE])


def test_a_lapsed_first_payment_owes_nothing_and_starts_anew():
    lapsed = subscription(status="incomplete_expired", created="2026-11-19")
    found = judge(FAILS, snapshot(customer(), lapsed, invoice(status="void", created="2026-11-19")))
    assert found.diagnosis.situation == "incomplete_expired"
    assert writes(found) == []
    assert ("send_checkout_link", "price_pro_monthly") in helps(found)


@pytest.mark.parametrize(
    ("session", "target"),
    [
        (checkout_session(), "cs_A"),
        (checkout_session(status="expired", recoverable=True), "cs_A"),
        (checkout_session(status="expired"), None),
        (checkout_session(customer=None), "cs_A"),
    ],
)
def test_an_abandoned_checkout_gets_a_link_and_no_refund(session, target):
    found = judge(FAILS, snapshot(customer(), session))
    assert found.diagnosis.situation == "checkout_abandoned"
    assert writes(found) == []
    assert ("send_checkout_link", target) in helps(found)


def test_a_payment_on_its_way_is_waited_for():
    pending = charge("ch_P", status="pending", created="2026-11-20", method_type="sepa_debit")
    found = judge(ticket("Is it paid?", codes=("TXT_PENDING",), wishes=("refund",)), snapshot(customer(), pending))
    assert found.diagnosis.bucket == "failed_payment"
    assert writes(found) == []
    assert ("wait", "ch_P") in helps(found)


def test_unpaid_after_all_retries_needs_a_card_before_anything_is_collected():
    found = judge(FAILS, _behind(status="unpaid"))
    assert found.diagnosis.situation == "unpaid_after_retries"
    assert (writes(found), helps(found)) == ([], [CARD_LINK, PAY_PAGE])


def test_unpaid_with_a_newer_card_pays_the_latest_invoice_only():
    older = invoice("in_0", status="open", created="2026-10-03")
    world = _behind(older, card=payment_method("pm_B", created="2026-11-15"), status="unpaid")
    assert writes(judge(FAILS, world)) == [("pay_invoice", "in_A", 2900)]


def test_what_ended_for_nonpayment_cannot_be_resumed():
    ended = subscription(
        status="canceled", canceled_at=at("2026-11-20"), ended_at=at("2026-11-20"), cancellation_reason="payment_failed"
    )
    found = judge(FAILS, snapshot(customer(), ended, invoice(status="open"), charge(status="failed", invoice="in_A")))
    assert found.diagnosis.bucket == "failed_payment"
    assert found.diagnosis.situation == "canceled_for_nonpayment"
    assert writes(found) == []
    assert ("send_checkout_link", "price_pro_monthly") in helps(found)


def test_paused_for_nonpayment_is_not_resumed_blindly():
    world = snapshot(
        customer(), subscription(status="paused", paused_type="final_payment_failure"), payment_method(),
        invoice(status="open"), charge(status="failed", invoice="in_A", decline_code="generic_decline"),
    )  # fmt: skip
    found = judge(FAILS, world)
    assert found.diagnosis.situation == "paused_for_nonpayment"
    assert (writes(found), helps(found)) == ([], [CARD_LINK, PAY_PAGE])


def test_paused_for_nonpayment_with_a_newer_card_pays_and_then_resumes():
    card = payment_method("pm_B", created="2026-11-15")
    world = snapshot(
        customer(default_payment_method="pm_B"), subscription(status="paused", paused_type="final_payment_failure"),
        card, invoice(status="open"), charge(status="failed", invoice="in_A", decline_code="generic_decline"),
    )  # fmt: skip
    assert writes(judge(FAILS, world)) == [("pay_invoice", "in_A", 2900), ("resume_subscription", "sub_A", None)]


@pytest.mark.parametrize("card", [True, False])
def test_a_trial_that_ended_without_a_card_resumes_only_with_one(card):
    paused = subscription(status="paused", paused_type="trial_end_without_payment_method", trial_end=at("2026-11-17"))
    methods = (payment_method(created="2026-11-20"),) if card else ()
    found = judge(FAILS, snapshot(customer(), paused, methods))
    assert found.diagnosis.situation == "paused_trial_end"
    assert writes(found) == ([("resume_subscription", "sub_A", None)] if card else [])
    assert helps(found)[0] == CARD_LINK


def test_a_late_retry_that_went_through_is_explained():
    failed = charge("ch_F", status="failed", created="2026-11-02T20:00", invoice="in_A_1103")
    found = judge(ticket("Failed or twice?", codes=("TXT_DECLINED",)), ordinary(failed))
    assert found.diagnosis.situation == "recovered_on_retry"
    assert writes(found) == []


def test_wanting_to_stop_while_payment_fails_is_self_serve():
    found = judge(ticket("Cancel it.", codes=("TXT_WANTS_CANCEL",), wishes=("cancel",)), _behind(failure=POOR))
    assert found.diagnosis.bucket == "self_serve_gap"
    assert writes(found) == [("schedule_cancellation", "sub_A", None)]


def test_payment_trouble_never_starts_a_refund_or_a_second_subscription():
    for world in (_behind(failure=LOST), _behind(failure=POOR), _behind(status="unpaid")):
        assert {"refund_charge", "send_checkout_link", "cancel_subscription"}.isdisjoint(kinds(judge(FAILS, world)))
