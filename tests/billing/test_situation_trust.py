"""Situations 30, 43 to 47, 50 and 51: disputes, refunds under way, access, connected accounts, strangers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from billing.records import EarlyFraudWarning
from billing.snapshot import Hint
from tests.billing.builders import (
    at,
    charge,
    customer,
    dispute,
    duplicate,
    invoice,
    ordinary,
    payment_method,
    refund,
    snapshot,
    subscription,
    ticket,
)
from tests.billing.judging import blocked, helps, judge, kinds, writes

REFUND = ticket("Give me my money back.", codes=("TXT_WANTS_REFUND",), wishes=("refund",))
STOP = [("schedule_cancellation", "sub_A", None)]


@pytest.mark.parametrize("status", ["needs_response", "under_review"])
def test_an_open_dispute_is_never_refunded_and_a_person_decides(status):
    found = judge(REFUND, ordinary(dispute(charge="ch_A_1103", status=status)))
    assert found.diagnosis.bucket == "other_billing"
    assert found.diagnosis.situation == "dispute_open"
    assert found.diagnosis.needs_human
    assert writes(found) == STOP
    assert ("refund_charge", "ch_A_1103", "disputed") in blocked(found)
    assert ("hand_over", "dp_A") in helps(found)


def test_an_inquiry_may_be_refunded_when_stripe_allows_it():
    found = judge(
        REFUND, ordinary(dispute(charge="ch_A_1103", status="warning_needs_response", is_charge_refundable=True))
    )
    assert writes(found) == [("refund_charge", "ch_A_1103", 2900)]
    assert ("hand_over", "dp_A") in helps(found)


def test_an_inquiry_that_stripe_does_not_let_refund_is_blocked():
    found = judge(REFUND, ordinary(dispute(charge="ch_A_1103", status="warning_needs_response")))
    assert writes(found) == []
    assert ("refund_charge", "ch_A_1103", "disputed") in blocked(found)


def test_a_disputed_duplicate_is_stopped_and_not_refunded():
    found = judge(REFUND, duplicate(dispute(charge="ch_B_1112")))
    assert "refund_charge" not in kinds(found)
    assert ("refund_charge", "ch_B_1112", "disputed") in blocked(found)
    assert found.diagnosis.needs_human


@pytest.mark.parametrize("actionable", [True, False])
def test_an_actionable_warning_suggests_a_full_refund_without_calling_it_fraud(actionable):
    warning = EarlyFraudWarning(id="issfr_1", charge="ch_A_1103", actionable=actionable, created=at("2026-11-20"))
    found = judge(ticket("?"), ordinary(warning))
    assert writes(found) == ([*STOP, ("refund_charge", "ch_A_1103", 2900)] if actionable else [])
    reasons = [p.step.reason for p in found.plan.steps if p.step.kind == "refund_charge"]
    assert "fraudulent" not in reasons


def _refunded(status, **fields):
    back = refund(status=status, **fields)
    gone = charge(
        invoice="in_A",
        amount_refunded=2900 if status != "failed" else 0,
        refunded=status == "succeeded",
        refunds=(back,),
    )
    return snapshot(customer(), subscription(), invoice(), gone, payment_method())


@pytest.mark.parametrize("status", ["pending", "succeeded"])
def test_what_was_given_back_is_not_given_back_again(status):
    asked = ticket("Where is my refund?", codes=("TXT_REFUND_STATUS",), wishes=("refund_status",))
    found = judge(asked, _refunded(status))
    assert found.diagnosis.bucket == "other_billing"
    assert writes(found) == []
    assert ("refund_charge", "ch_A", "already_refunded") in blocked(found)
    assert helps(found) == [("explain", "ch_A")]
    assert found.gap == "no_refund_status"


def test_a_failed_refund_goes_to_a_person_and_is_not_repeated():
    found = judge(REFUND, _refunded("failed", failure_reason="expired_or_canceled_card"))
    assert found.diagnosis.situation == "refund_failed"
    assert writes(found) == []
    assert "hand_over" in kinds(found)


def test_paid_without_access_restores_access_before_any_refund():
    asked = ticket("Paid, still locked out, refund me", codes=("TXT_NO_ACCESS", "TXT_PAID"), wishes=("refund",))
    found = judge(asked, ordinary())
    assert found.diagnosis.bucket == "product_failure"
    assert writes(found) == []
    assert ("hand_over", "sub_A") in helps(found)
    assert found.gap == "access_not_granted"


def test_without_payment_missing_access_is_a_payment_question():
    world = snapshot(
        customer(), subscription(status="past_due"), payment_method(), invoice(status="open"),
        charge(status="failed", invoice="in_A", decline_code="generic_decline"),
    )  # fmt: skip
    found = judge(ticket("Locked out", codes=("TXT_NO_ACCESS",)), world)
    assert found.diagnosis.bucket == "failed_payment"


def test_a_charge_of_a_connected_account_is_handed_over():
    world = ordinary()
    world = replace(world, charges=tuple(replace(c, connected=True) for c in world.charges))
    found = judge(REFUND, world)
    assert writes(found) == []
    assert found.diagnosis.needs_human
    assert ("refund_charge", "ch_A_1103", "connected_account") in blocked(found)


def test_a_connected_duplicate_charge_is_not_refunded():
    world = duplicate()
    world = replace(world, charges=tuple(replace(c, connected=c.id == "ch_B_1112") for c in world.charges))
    found = judge(REFUND, world)
    assert ("refund_charge", "ch_B_1112", "connected_account") in blocked(found)
    assert "refund_charge" not in kinds(found)
    assert found.diagnosis.needs_human


def test_an_unknown_value_on_the_charge_blocks_its_refund():
    world = duplicate()
    odd = tuple(
        replace(c, refunds=(refund(status="teleported", amount=1),)) if c.id == "ch_B_1112" else c
        for c in world.charges
    )
    found = judge(REFUND, replace(world, charges=odd))
    assert "refund_charge" not in kinds(found)
    assert found.diagnosis.needs_human


def test_an_account_as_customer_needs_a_person():
    world = duplicate()
    world = replace(world, customers=tuple(replace(c, customer_account="acct_1") for c in world.customers))
    found = judge(REFUND, world)
    assert writes(found) == []
    assert found.diagnosis.needs_human


FOREIGN = Hint(object="in_Z", found=True, customer="cus_Z")


def test_an_id_of_somebody_else_reveals_nothing_and_moves_nothing():
    found = judge(ticket("Refund in_Z", email="x@else.example", wishes=("refund",)), snapshot(FOREIGN))
    assert found.identity.level == "mismatch"
    assert writes(found) == []
    assert helps(found) == [("ask_customer", None)]
    assert found.diagnosis.needs_human
    assert "cus_Z" not in repr(found.plan)
    assert found.gap is None


def test_nobody_found_is_asked_to_write_from_the_billing_address():
    found = judge(ticket("Refund me", email="x@else.example", wishes=("refund",)), snapshot())
    assert helps(found) == [("ask_customer", None)]
    assert ("refund_charge", None, "identity") in blocked(found)
    assert found.diagnosis.needs_human


def test_a_customer_who_names_a_foreign_id_gets_no_write_for_it():
    found = judge(REFUND, duplicate(FOREIGN))
    assert writes(found) == []
    assert "ask_customer" in kinds(found)


@pytest.mark.parametrize("flag", [0, 2, 3, 11, 14, 20, 21, 22])
def test_a_flagged_comment_gets_no_write_and_no_portal(flag):
    found = judge(replace(REFUND, requester=replace(REFUND.requester, comment_flags=frozenset({flag}))), duplicate())
    assert writes(found) == []
    assert {"send_portal_login", "create_portal_session"}.isdisjoint(kinds(found))
    assert ("refund_charge", "ch_B_1112", "identity") in blocked(found)


def test_an_unverified_address_makes_every_write_wait_for_proof():
    found = judge(ticket(verification="none"), duplicate())
    assert len(writes(found)) == 2
    assert all("requester_verified" in p.requires for p in found.plan.steps if p.step.moves)
