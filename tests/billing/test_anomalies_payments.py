"""Anomalies of payments: failures, holds, double payments, refunds and disputes."""

from datetime import timedelta

import pytest

from billing.anomalies import find_anomalies
from billing.identity import identify
from billing.policy import Policy
from billing.records import EarlyFraudWarning
from tests.billing.builders import (
    NOW,
    at,
    charge,
    checkout_session,
    customer,
    dispute,
    invoice,
    line,
    payment_intent,
    payment_method,
    refund,
    snapshot,
    subscription,
    ticket,
)

POLICY = Policy()


def anomalies(*records, evidence=None, payer=None):
    evidence = evidence or ticket()
    world = snapshot(payer or customer(), *records)
    found = {}
    for one in find_anomalies(evidence, world, identify(evidence, world), POLICY):
        found.setdefault(one.code, []).extend(one.objects)
    return found


def one_off(id, created="2026-11-20T09:00", **fields):
    return charge(id, created=created, **({"description": "Course"} | fields))


OPEN = invoice(status="open")
WAITING = subscription(status="past_due")


# --- declines -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "codes"),
    [
        ({"decline_code": "insufficient_funds", "advice_code": "try_again_later"}, {"soft_decline"}),
        ({"decline_code": "generic_decline"}, {"soft_decline"}),
        ({"failure_code": "card_declined", "advice_code": "do_not_try_again"}, {"hard_decline"}),
        ({"decline_code": "lost_card"}, {"hard_decline"}),
        ({"decline_code": "stolen_card"}, {"hard_decline"}),
        ({"failure_code": "expired_card"}, {"card_expired"}),
        ({"decline_code": "expired_card", "advice_code": "do_not_try_again"}, {"card_expired", "hard_decline"}),
        ({"outcome_type": "blocked", "decline_code": "fraudulent"}, {"payment_blocked"}),
        ({"decline_code": "authentication_required"}, {"authentication_required"}),
    ],
)
def test_the_last_failure_of_an_open_invoice_has_its_reason(fields, codes):
    failed = charge(status="failed", **fields)
    found = anomalies(OPEN, failed)
    assert set(found) == codes
    assert all({"ch_A", "in_A"} <= set(objects) for objects in found.values())


def test_only_the_newest_attempt_counts():
    older = charge("ch_0", created="2026-11-03", status="failed", decline_code="lost_card", invoice="in_A")
    newer = charge("ch_1", created="2026-11-06", status="failed", decline_code="insufficient_funds", invoice="in_A")
    assert set(anomalies(OPEN, older, newer)) == {"soft_decline"}


@pytest.mark.parametrize("status", ["paid", "void", "uncollectible", "draft"])
def test_what_is_not_open_needs_no_payment(status):
    failed = charge("ch_A", status="failed", decline_code="lost_card")
    assert "hard_decline" not in anomalies(invoice(status=status), failed)


def test_the_next_attempt_is_told():
    retry = invoice(status="open", next_payment_attempt=at("2026-11-25"))
    evidence = ticket()
    world = snapshot(customer(), retry, charge(status="failed"))
    (soft,) = find_anomalies(evidence, world, identify(evidence, world), POLICY)
    assert "25 Nov 2026" in soft.says


def test_a_failure_without_an_invoice_counts_for_thirty_days():
    assert anomalies(one_off("ch_1", status="failed")) == {"soft_decline": ["ch_1"]}
    assert anomalies(one_off("ch_1", status="failed", decline_code="authentication_required")) == {
        "authentication_required": ["ch_1"]
    }
    assert anomalies(one_off("ch_1", created="2026-10-01", status="failed")) == {}


def test_a_failure_that_was_made_up_for_is_over():
    failed = one_off("ch_1", status="failed")
    assert anomalies(failed, one_off("ch_2", created="2026-11-20T09:05")) == {}
    assert anomalies(failed, one_off("ch_2", created="2026-11-22T09:05")) == {"soft_decline": ["ch_1"]}
    assert anomalies(failed, one_off("ch_2", created="2026-11-20T08:55")) == {"soft_decline": ["ch_1"]}
    same = {"payment_intent": "pi_1"}
    assert anomalies(one_off("ch_1", status="failed", **same), one_off("ch_2", created="2026-11-22", **same)) == {}


# --- cards --------------------------------------------------------------------------------------------------------

SPENT = {"exp_month": 10, "exp_year": 2026}


def test_a_card_that_has_run_out_is_named_when_something_is_to_be_paid_with_it():
    payer = customer(default_payment_method="pm_A")
    assert anomalies(subscription(), payment_method(**SPENT), payer=payer) == {"card_expired": ["pm_A"]}
    assert anomalies(invoice(status="open"), payment_method(**SPENT), payer=payer) == {"card_expired": ["pm_A"]}
    assert anomalies(payment_method(**SPENT), payer=payer) == {}
    own = subscription(default_payment_method="pm_B")
    assert anomalies(own, payment_method(**SPENT), payment_method("pm_B"), payer=payer) == {}


@pytest.mark.parametrize("expiry", [{"exp_month": 11, "exp_year": 2026}, {"exp_month": None, "exp_year": None}])
def test_a_card_is_good_until_the_end_of_its_month(expiry):
    payer = customer(default_payment_method="pm_A")
    assert anomalies(subscription(), payment_method(**expiry), payer=payer) == {}


def test_a_method_saved_after_the_failure_is_named_with_the_invoice():
    failed = charge(status="failed", decline_code="insufficient_funds", payment_method="pm_old")
    payer = customer(default_payment_method="pm_A")
    newer = payment_method(created="2026-11-05")
    assert anomalies(OPEN, failed, newer, payer=payer)["card_newer_than_failure"] == ["pm_A", "in_A"]
    assert "card_newer_than_failure" not in anomalies(OPEN, failed, payment_method(), payer=payer)
    assert "card_newer_than_failure" not in anomalies(OPEN, failed, newer)
    own = subscription(status="past_due", default_payment_method="pm_A")
    assert anomalies(own, OPEN, failed, newer)["card_newer_than_failure"] == ["pm_A", "in_A"]
    alone = one_off("ch_1", status="failed")
    assert "card_newer_than_failure" not in anomalies(alone, payment_method(created="2026-11-21"), payer=payer)


# --- waiting ------------------------------------------------------------------------------------------------------


def test_an_intent_that_waits_for_3d_secure_names_the_open_invoice():
    found = anomalies(OPEN, payment_intent(status="requires_action"))
    assert found == {"authentication_required": ["in_A", "pi_A"]}
    found = anomalies(payment_intent("pi_Z", status="requires_action", invoice="in_Z"))
    assert found == {"authentication_required": ["in_Z", "pi_Z"]}
    assert anomalies(payment_intent("pi_Z", status="requires_action")) == {"authentication_required": ["pi_Z"]}


def test_a_payment_on_its_way_names_its_charge():
    assert anomalies(one_off("ch_1", status="pending")) == {"payment_processing": ["ch_1"]}
    known = payment_intent("pi_1", status="processing", latest_charge="ch_1")
    assert anomalies(one_off("ch_1", status="pending"), known) == {"payment_processing": ["ch_1"]}
    assert anomalies(payment_intent("pi_1", status="processing", latest_charge="ch_9")) == {
        "payment_processing": ["ch_9", "pi_1"]
    }


@pytest.mark.parametrize(
    ("status", "payment_status", "abandoned"),
    [
        ("open", "unpaid", True),
        ("expired", "unpaid", True),
        ("complete", "unpaid", False),
        ("complete", "paid", False),
        ("expired", "no_payment_required", False),
    ],
)
def test_an_unpaid_checkout_that_is_open_or_expired_is_abandoned(status, payment_status, abandoned):
    found = anomalies(checkout_session(status=status, payment_status=payment_status))
    assert found == ({"checkout_abandoned": ["cs_A"]} if abandoned else {})


def test_failed_and_then_paid_is_recovered_for_sixty_days():
    failed = charge("ch_0", status="failed", created="2026-11-03", invoice="in_A")
    assert anomalies(invoice(), failed, charge(created="2026-11-05")) == {"recovered_on_retry": ["in_A"]}
    assert anomalies(invoice(attempt_count=2)) == {"recovered_on_retry": ["in_A"]}
    assert anomalies(invoice(attempt_count=2, created="2026-09-03")) == {}
    assert anomalies(invoice(attempt_count=2, status="open")) == {}


# --- double payments ----------------------------------------------------------------------------------------------


def test_one_invoice_paid_twice_names_both_charges():
    twice = [charge("ch_1", invoice="in_A"), charge("ch_2", invoice="in_A", created="2026-11-04")]
    assert anomalies(invoice(amount_overpaid=2900), *twice) == {
        "duplicate_charge": ["ch_2", "ch_1"],
        "invoice_overpaid": ["in_A"],
    }


def test_payments_are_joined_over_the_invoices_payments_when_the_reader_did_not():
    again = charge("ch_2", payment_intent="pi_A", created="2026-11-04")
    assert anomalies(invoice(), charge(), again) == {"duplicate_charge": ["ch_2", "ch_A"]}


MONTH = {"period_start": at("2026-11-03"), "period_end": at("2026-12-03")}


def test_two_invoices_for_one_period_are_one_thing_paid_twice():
    later = {"created": "2026-11-04"}
    both = [invoice("in_1", lines=(line(**MONTH),)), invoice("in_2", lines=(line(**MONTH),), **later)]
    paid = [charge("ch_1"), charge("ch_2", **later)]
    assert anomalies(*both, *paid) == {"duplicate_charge": ["ch_2", "ch_1"]}
    bare = [invoice("in_1", **MONTH), invoice("in_2", **later, **MONTH)]
    assert anomalies(*bare, *paid) == {"duplicate_charge": ["ch_2", "ch_1"]}


@pytest.mark.parametrize(
    "fields",
    [
        {"lines": (line(proration=True, **MONTH),)},
        {"lines": (line(metered=True, **MONTH),)},
        {"lines": (line(quantity=2, **MONTH),)},
        {"lines": (line(),), "period_start": at("2026-11-04"), "period_end": at("2026-11-04")},
        {"lines": (line(),), "period_start": None},
        {"lines": (line(**MONTH),), "subscription": None},
        {"lines": (line(**MONTH),), "subscription": "sub_B"},
    ],
)
def test_other_invoices_in_one_period_are_not_the_same_thing(fields):
    both = [invoice("in_1", lines=(line(**MONTH),), **MONTH), invoice("in_2", created="2026-11-04", **(MONTH | fields))]
    assert "duplicate_charge" not in anomalies(*both, charge("ch_1"), charge("ch_2", created="2026-11-04"))


@pytest.mark.parametrize(
    ("one", "other", "minutes", "duplicate"),
    [
        ({"order": "7"}, {"order": "7"}, 5, True),
        ({"order_id": "7"}, {"order_id": "7"}, 23 * 60, True),
        ({"sku": "A1", "note": "x"}, {"sku": "A1"}, 60 * 5, True),
        ({"order": "7"}, {"order": "7"}, 25 * 60, False),
        ({"order": "7"}, {"order": "8"}, 1, False),
        ({"item": "a"}, {"item": "b"}, 1, False),
        ({"order": "7"}, {}, 1, False),
        ({}, {}, 2, True),
        ({}, {}, 61, False),
    ],
)
def test_equal_one_off_payments_are_one_purchase_by_their_reference_and_time(one, other, minutes, duplicate):
    second = at("2026-11-20T09:00") + timedelta(minutes=minutes)
    found = anomalies(one_off("ch_1", metadata=one), one_off("ch_2", created=second, metadata=other))
    assert found == ({"duplicate_charge": ["ch_2", "ch_1"]} if duplicate else {})


@pytest.mark.parametrize("fields", [{"amount": 2901}, {"last4": "1881"}, {"description": "Book"}, {"currency": "eur"}])
def test_without_a_reference_the_card_and_the_thing_have_to_be_equal(fields):
    assert anomalies(one_off("ch_1"), one_off("ch_2", created="2026-11-20T09:01", **fields)) == {}


def test_payments_of_two_invoices_in_one_minute_are_no_double_purchase():
    bills = [invoice("in_1", subscription="sub_A"), invoice("in_2", subscription="sub_B")]
    assert anomalies(*bills, charge("ch_1"), charge("ch_2")) == {}
    assert anomalies(charge("ch_1", invoice="in_8"), charge("ch_2", invoice="in_9")) == {}


def test_a_failed_attempt_is_no_second_payment():
    assert "duplicate_charge" not in anomalies(one_off("ch_1", status="failed"), one_off("ch_2"))
    tried = [charge("ch_1", status="failed", invoice="in_A"), charge("ch_2", invoice="in_A")]
    assert "duplicate_charge" not in anomalies(invoice(), *tried)


def test_the_checkout_session_may_carry_the_reference():
    records = [one_off("ch_1"), one_off("ch_2", created="2026-11-20T09:01")]
    for n in ("1", "2"):
        records.append(
            checkout_session(
                f"cs_{n}", status="complete", payment_status="paid", mode="payment", payment_intent=f"pi_{n}",
                metadata={"order": n},
            )
        )  # fmt: skip
    assert anomalies(*records) == {}


def test_runs_of_payments_are_told_apart():
    moments = ["2026-11-18T09:00", "2026-11-18T09:01", "2026-11-19T09:00", "2026-11-20T09:00", "2026-11-20T09:01"]
    found = anomalies(*(one_off(f"ch_{n}", created=moment) for n, moment in enumerate(moments)))
    assert found == {"duplicate_charge": ["ch_4", "ch_3", "ch_1", "ch_0"]}


# --- holds --------------------------------------------------------------------------------------------------------


def test_an_uncaptured_or_released_authorisation_is_a_hold_and_no_payment():
    held = one_off("ch_H", captured=False)
    released = one_off("ch_R", captured=False, refunded=True, amount_refunded=2900, refunds=(refund(),))
    assert anomalies(held, one_off("ch_1", created="2026-11-20T09:01")) == {"pending_authorization": ["ch_H"]}
    assert anomalies(released) == {"pending_authorization": ["ch_R"]}


def test_a_failed_charge_is_a_hold_only_when_the_text_sees_one_beside_a_payment():
    failed = one_off("ch_F", status="failed")
    paid = one_off("ch_1", created="2026-11-20T09:01")
    claim = ticket(codes=("TXT_DUP_TWICE",))
    assert anomalies(failed, paid, evidence=claim) == {"pending_authorization": ["ch_F"]}
    assert anomalies(failed, paid) == {}
    assert "pending_authorization" not in anomalies(failed, evidence=claim)
    far = one_off("ch_1", created="2026-11-22T09:01")
    assert "pending_authorization" not in anomalies(failed, far, evidence=claim)


# --- nothing behind it --------------------------------------------------------------------------------------------

PAID_SESSION = {"status": "complete", "payment_status": "paid", "payment_intent": "pi_1", "created": "2026-11-20"}


def test_a_paid_checkout_for_a_subscription_without_one_names_the_charge():
    assert anomalies(one_off("ch_1"), checkout_session(**PAID_SESSION)) == {"paid_without_subscription": ["ch_1"]}
    good = checkout_session(subscription="sub_A", **PAID_SESSION)
    assert anomalies(one_off("ch_1"), good, subscription()) == {}


def test_a_guests_paid_checkout_is_seen_too():
    guest = checkout_session(customer=None, **PAID_SESSION)
    evidence = ticket()
    world = snapshot(guest, one_off("ch_1", customer=None))
    found = find_anomalies(evidence, world, identify(evidence, world), POLICY)
    assert [(one.code, one.objects) for one in found] == [("paid_without_subscription", ("ch_1",))]


def test_a_lone_payment_counts_when_access_is_missed_or_nothing_at_all_explains_it():
    missing = ticket(codes=("TXT_NO_ACCESS",))
    assert anomalies(one_off("ch_1"), evidence=missing) == {"paid_without_subscription": ["ch_1"]}
    assert anomalies(one_off("ch_1")) == {}
    assert anomalies(one_off("ch_1", description=None)) == {"paid_without_subscription": ["ch_1"]}
    assert anomalies(one_off("ch_1", description=None), one_off("ch_2", "2026-11-10", description=None)) == {}
    assert anomalies(one_off("ch_1", "2026-08-01", description=None)) == {}
    assert anomalies(one_off("ch_1", metadata={"order": "7"}), evidence=missing) == {}
    assert "paid_without_subscription" not in anomalies(one_off("ch_1"), subscription(), evidence=missing)
    gone = one_off("ch_1", amount_refunded=2900, refunded=True)
    assert anomalies(gone, evidence=missing) == {"already_refunded": ["ch_1"]}


# --- refunds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"amount_refunded": 2900}, {"already_refunded": ["ch_1"]}),
        ({"amount_refunded": 2900, "refunded": True, "refunds": (refund(),)}, {"already_refunded": ["ch_1"]}),
        ({"amount_refunded": 900, "refunds": (refund(amount=900),)}, {"partly_refunded": ["ch_1"]}),
        (
            {"amount_refunded": 2900, "refunds": (refund(status="pending"),)},
            {"already_refunded": ["ch_1"], "refund_pending": ["re_A"]},
        ),
        ({"refunds": (refund(status="requires_action"),)}, {"refund_pending": ["re_A"]}),
        ({"refunds": (refund(status="failed"),)}, {"refund_failed": ["re_A"]}),
        ({"refunds": (refund(status="canceled"),)}, {}),
        (
            {"refunds": (refund(status="failed"), refund("re_B", created="2026-11-21", status="pending"))},
            {"refund_pending": ["re_B"]},
        ),
    ],
)
def test_refunds_are_told_by_the_charge_and_by_the_newest_refund(fields, expected):
    assert anomalies(one_off("ch_1", **fields)) == expected


# --- disputes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("needs_response", "dispute_open"),
        ("under_review", "dispute_open"),
        ("warning_needs_response", "dispute_inquiry"),
        ("warning_under_review", "dispute_inquiry"),
        ("won", "dispute_closed"),
        ("lost", "dispute_closed"),
        ("prevented", "dispute_closed"),
        ("warning_closed", "dispute_closed"),
    ],
)
def test_a_dispute_has_the_code_of_its_status(status, code):
    contested = dispute(charge="ch_1", status=status, due_by=at("2026-11-30"))
    assert anomalies(one_off("ch_1", disputed=True), contested) == {code: ["dp_A"]}


def test_only_an_actionable_warning_counts():
    def warning(actionable):
        return EarlyFraudWarning(id="issfr_A", charge="ch_1", actionable=actionable, created=NOW)

    assert anomalies(one_off("ch_1"), warning(True)) == {"early_fraud_warning": ["issfr_A"]}
    assert anomalies(one_off("ch_1"), warning(False)) == {}


# --- special charges ----------------------------------------------------------------------------------------------


def test_connected_accounts_and_other_shown_currencies_name_the_charge():
    assert anomalies(one_off("ch_1", connected=True)) == {"connected_account_charge": ["ch_1"]}
    shown = {"presentment_amount": 2700, "presentment_currency": "eur"}
    assert anomalies(one_off("ch_1", **shown)) == {"other_currency_shown": ["ch_1"]}
    assert anomalies(one_off("ch_1", presentment_currency="usd")) == {}
    assert anomalies(one_off("ch_1", presentment_currency="eur")) == {"other_currency_shown": ["ch_1"]}
