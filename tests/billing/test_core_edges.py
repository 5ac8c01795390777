"""Edges that only a broken, foreign or half-read account reaches; each refuses, and says why, rather than guesses."""

from __future__ import annotations

from importlib.resources import files

import pytest

from billing.evidence import Bucket
from billing.policy import Policy
from billing.proposals import money, steps
from billing.proposals.draft import Draft
from billing.reading import model
from billing.reading.identifiers import identifiers_in
from billing.reading.view import compile_pattern
from billing.records import Schedule
from billing.situations.scene import Scene
from billing.snapshot import Anomaly
from tests.billing.builders import (
    at,
    charge,
    customer,
    dispute,
    identity,
    invoice,
    ordinary,
    payment_method,
    snapshot,
    subscription,
    ticket,
)
from tests.billing.judging import blocked, judge, kinds, writes
from tests.billing.worlds import plan_change


def draft(world, *anomalies, **fields):
    who = identity(**fields)
    scene = Scene(evidence=ticket(), snapshot=world, identity=who, anomalies=anomalies, policy=Policy())
    return Draft(scene, None)


def refusal(one):
    return [(entry.step, entry.object, entry.why) for entry in one.blocked]


# --- money ------------------------------------------------------------------------------------------------------------


def test_a_charge_with_a_value_we_do_not_know_is_not_refunded():
    odd = Anomaly(code="unknown_value", says="", objects=("ch_1",))
    one = draft(snapshot(customer(), charge("ch_1")), odd)
    assert not money.refund(one, "ch_1", 2900)
    assert refusal(one) == [("refund_charge", "ch_1", "unknown_value")]


def test_a_charge_that_the_bank_is_still_processing_is_not_refunded():
    one = draft(snapshot(customer(), charge("ch_1", status="pending")))
    assert not money.refund(one, "ch_1", 2900)
    assert refusal(one) == [("refund_charge", "ch_1", "payment_processing")]


@pytest.mark.parametrize("status", ["warning_needs_response", "warning_under_review"])
@pytest.mark.parametrize(("refundable", "why"), [(False, [("refund_charge", "ch_1", "disputed")]), (True, [])])
def test_an_inquiry_is_refunded_only_where_stripe_lets_it(status, refundable, why):
    asked = dispute("dp_1", "ch_1", status, is_charge_refundable=refundable)
    one = draft(snapshot(customer(), charge("ch_1"), asked))
    assert money.refund(one, "ch_1", 2900) is refundable
    assert refusal(one) == why


def test_a_charge_that_was_never_captured_has_nothing_to_give_back():
    assert charge("ch_1", captured=False).refundable == 0
    assert charge("ch_1", status="failed").refundable == 0


def test_a_paused_subscription_whose_invoice_may_not_be_collected_stays_paused():
    card = payment_method("pm_B", created="2026-11-15")
    failed = charge(status="failed", invoice="in_A", decline_code="generic_decline")
    world = snapshot(
        customer(default_payment_method="pm_B"), subscription(status="paused", paused_type="final_payment_failure"),
        card, invoice(status="open", connected=True), failed,
    )  # fmt: skip
    found = judge(ticket("My card is new, resume", codes=("TXT_PAST_DUE",)), world)
    assert writes(found) == []
    assert ("pay_invoice", "in_A", "connected_account") in blocked(found)


# --- steps ------------------------------------------------------------------------------------------------------------


def test_nobody_and_a_deleted_customer_get_no_portal():
    assert not steps.portal(draft(ordinary()), None)
    assert not steps.portal(draft(snapshot(customer(deleted=True))), "cus_A")


def test_a_distrusted_sender_gets_no_copy_of_an_invoice():
    one = draft(ordinary(), distrusted=True)
    assert not steps.document(one, "in_A_1103")
    assert one.steps == []


@pytest.mark.parametrize("codes", [("TXT_FRAUD_UNAUTHORISED",), ("TXT_FRAUD_UNAUTHORISED", "TXT_UNKNOWN_CHARGE")])
def test_a_payment_that_was_not_authorised_goes_to_a_person(codes):
    found = judge(ticket("I did not authorise this.", codes=codes), ordinary())
    assert "hand_over" in kinds(found)
    assert "refund_charge" not in kinds(found)


def test_nothing_but_words_for_a_machine_is_not_about_billing():
    found = judge(ticket("", instructions_to_machine=True), ordinary())
    assert found.diagnosis.bucket == "not_billing"
    assert writes(found) == []


def test_a_regret_over_a_renewal_that_an_agent_named_so_stops_the_next_one():
    surprised = ticket("I forgot, end it.", codes=("TXT_RENEWAL_SURPRISE",), wishes=("cancel",))
    found = judge(surprised, ordinary(), correction=Bucket.OTHER_BILLING)
    assert found.diagnosis.situation == "recent_payment_regretted"
    assert writes(found) == [("schedule_cancellation", "sub_A", None)]


# --- what a name leads to ---------------------------------------------------------------------------------------------


def test_a_schedule_leads_to_its_subscription_and_an_unknown_one_to_none():
    held = subscription(schedule=Schedule(id="sub_sched_1", status="active", phases=2))
    scene = draft(snapshot(customer(), subscription(id="sub_0"), held)).scene
    assert scene.subscription_behind("sub_sched_1") == held
    assert scene.subscription_behind("sub_sched_2") is None


def test_a_subscription_without_items_starts_and_ends_when_it_was_made():
    bare = subscription(items=())
    assert bare.current_period_start == bare.current_period_end == at("2026-09-03")


def test_a_proration_that_seats_explain_is_less_a_change_of_plan():
    plain = judge(ticket("Why this bill?", codes=("TXT_EXPLAIN",)), plan_change())
    seats = judge(ticket("Why this bill for our seats?", codes=("TXT_EXPLAIN", "TXT_TEAM")), plan_change())
    assert plain.diagnosis.situation == "proration_charge"
    assert seats.diagnosis.confidence != plain.diagnosis.confidence


# --- reading ----------------------------------------------------------------------------------------------------------


def test_an_amount_with_an_odd_number_of_decimals_is_no_amount():
    found = identifiers_in("You took 29.0 USD and 31.50 USD.", "en")
    assert [one.value for one in found if one.kind == "amount"] == ["3150 usd"]


def test_an_empty_choice_in_a_pattern_is_passed_over():
    assert compile_pattern("one||two", sets={}, by_words=True) == compile_pattern("one|two", sets={}, by_words=True)


def test_the_model_is_packed_as_it_is_read():
    raw = (files("billing.reading") / "model.bin").read_bytes()
    scale, intercepts, table = model._model()
    assert model.packed(scale, list(intercepts), bytes(table)) == raw


@pytest.mark.parametrize("damage", [lambda raw: b"other!" + raw[6:], lambda raw: raw[:-1]])
def test_a_model_of_another_version_is_refused(damage):
    raw = (files("billing.reading") / "model.bin").read_bytes()
    with pytest.raises(ValueError, match=r"model\.bin does not fit"):
        model.unpacked(damage(raw))
