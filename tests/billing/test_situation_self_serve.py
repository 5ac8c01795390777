"""Situations 35 to 42, and documents: what a customer should be able to do alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from billing.records import Schedule
from tests.billing.builders import (
    PORTAL,
    ULTRA,
    at,
    charge,
    customer,
    duplicate,
    invoice,
    ordinary,
    paid_period,
    snapshot,
    subscription,
    ticket,
)
from tests.billing.judging import blocked, helps, judge, kinds, writes

CANCEL = ticket("Cancel my subscription.", codes=("TXT_WANTS_CANCEL",), wishes=("cancel",))
STOP = [("schedule_cancellation", "sub_A", None)]


def _ending(**fields):
    pro = subscription(**(fields or {"cancel_at": at("2026-12-03")}))
    return snapshot(customer(), pro, paid_period(pro, "2026-11-03"))


def test_a_cancellation_that_took_is_confirmed_and_not_repeated():
    asked = ticket("Did it work?", codes=("TXT_CANCEL_CONFIRM_QUESTION",))
    found = judge(asked, _ending())
    assert found.diagnosis.bucket == "self_serve_gap"
    assert found.diagnosis.situation == "cancellation_scheduled"
    assert writes(found) == []
    assert helps(found) == [("explain", "sub_A")]
    assert "3 Dec" in found.diagnosis.why


def test_a_cancellation_that_did_not_take_is_made_and_said_so():
    found = judge(ticket("I cancelled!", codes=("TXT_CLAIMS_CANCELLED",)), ordinary())
    assert found.diagnosis.bucket == "self_serve_gap"
    assert found.diagnosis.situation == "cancel_claimed"
    assert found.diagnosis.band == "check"
    assert writes(found) == STOP


@pytest.mark.parametrize(
    ("fields", "clears"),
    [({"cancel_at": at("2026-12-03")}, "cancel_at"), ({"cancel_at_period_end": True}, "cancel_at_period_end")],
)
def test_whoever_wants_to_stay_has_exactly_the_set_field_cleared(fields, clears):
    found = judge(ticket("I want to stay", codes=("TXT_KEEP",), wishes=("keep",)), _ending(**fields))
    assert writes(found) == [("undo_cancellation", "sub_A", None)]
    assert next(p.step.clears for p in found.plan.steps if p.step.moves) == clears


def test_staying_needs_no_write_when_nothing_ends():
    assert writes(judge(ticket("I want to stay", wishes=("keep",)), ordinary())) == []


@pytest.mark.parametrize(
    ("portal", "gap"),
    [(None, "no_billing_portal"), (replace(PORTAL, cancel=False), "no_cancellation_flow"), (PORTAL, None)],
)
def test_a_wish_to_cancel_ends_with_the_period_and_names_what_is_missing(portal, gap):
    found = judge(CANCEL, ordinary(portal=portal))
    assert found.diagnosis.bucket == "self_serve_gap"
    assert writes(found) == STOP
    assert found.gap == gap
    assert (("create_portal_session", "cus_A", "portal_missing") in blocked(found)) is (portal is None)
    assert found.plan.impact.mrr == {"usd": -2900}


def test_two_products_are_asked_about_and_neither_is_cancelled():
    other = subscription(id="sub_U", price=ULTRA, created="2026-11-01")
    found = judge(CANCEL, ordinary(other, paid_period(other, "2026-11-01")))
    assert writes(found) == []
    assert "ask_customer" in kinds(found)


def test_what_has_ended_is_not_cancelled_again():
    ended = subscription(status="canceled", canceled_at=at("2026-10-20"), ended_at=at("2026-10-20"))
    found = judge(CANCEL, snapshot(customer(), ended, paid_period(ended, "2026-10-03")))
    assert found.diagnosis.situation == "already_canceled"
    assert writes(found) == []


def test_an_invoice_copy_is_sent_and_nothing_is_issued_again():
    found = judge(ticket("Invoice?", codes=("TXT_INVOICE",), wishes=("invoice",)), ordinary())
    assert found.diagnosis.bucket == "self_serve_gap"
    assert writes(found) == []
    assert helps(found) == [("send_portal_login", "cus_A"), ("send_invoice_copy", "in_A_1103")]


def test_the_invoice_that_is_named_is_the_one_sent():
    asked = ticket("Invoice OLIVA-A_1003", wishes=("invoice",), identifiers=(("invoice_number", "OLIVA-A_1003"),))
    assert ("send_invoice_copy", "in_A_1003") in helps(judge(asked, ordinary()))


def test_a_receipt_is_the_document_where_there_is_no_invoice():
    found = judge(ticket("Receipt?", wishes=("invoice",)), snapshot(customer(), charge("ch_1")))
    assert ("send_invoice_copy", "ch_1") in helps(found)


@pytest.mark.parametrize(
    ("portal", "gap"), [(None, "no_billing_portal"), (replace(PORTAL, invoice_history=False), "no_invoice_access")]
)
def test_a_missing_invoice_list_is_a_product_gap(portal, gap):
    assert judge(ticket("Invoice?", wishes=("invoice",)), ordinary(portal=portal)).gap == gap


def test_a_tax_number_that_nobody_can_enter_is_a_product_gap():
    found = judge(ticket("VAT", wishes=("tax_id",)), ordinary(portal=replace(PORTAL, tax_id_update=False)))
    assert found.gap == "no_tax_id_entry"


def test_a_deleted_account_is_stopped_and_its_charge_refunded_when_asked():
    asked = ticket("I deleted my account", codes=("TXT_ACCOUNT_DELETED",), wishes=("refund",))
    found = judge(asked, ordinary())
    assert found.diagnosis.situation == "account_deleted"
    assert writes(found) == [*STOP, ("refund_charge", "ch_A_1103", 2900)]
    assert found.gap == "deletion_keeps_billing"


def test_a_deleted_account_without_a_wish_for_money_is_only_stopped():
    assert writes(judge(ticket("I deleted my account", codes=("TXT_ACCOUNT_DELETED",)), ordinary())) == STOP


def test_a_schedule_is_let_go_before_the_end_is_set():
    pro = subscription(schedule=Schedule(id="sub_sched_1", status="active", phases=2))
    found = judge(CANCEL, snapshot(customer(), pro, paid_period(pro, "2026-11-03")))
    assert found.diagnosis.situation == "schedule_managed"
    assert writes(found) == [("release_schedule", "sub_sched_1", None), *STOP]
    step = next(p for p in found.plan.steps if p.step.kind == "schedule_cancellation")
    release = next(p.id for p in found.plan.steps if p.step.kind == "release_schedule")
    assert step.requires == (f"step:{release}",)


def test_paused_collection_is_explained_and_may_be_resumed():
    pro = subscription(pause_collection="void")
    found = judge(ticket("Am I subscribed?"), snapshot(customer(), pro, paid_period(pro, "2026-10-03")))
    assert found.diagnosis.situation == "collection_paused"
    assert writes(found) == [("resume_collection", "sub_A", None)]


def test_an_old_open_invoice_of_an_ended_subscription_is_voided():
    ended = subscription(status="canceled", canceled_at=at("2026-11-01"), ended_at=at("2026-11-01"))
    left = invoice("in_O", status="open", created="2026-10-03")
    found = judge(ticket("Do I owe?", codes=("TXT_PAST_DUE",)), snapshot(customer(), ended, left))
    assert found.diagnosis.situation == "open_invoice_after_end"
    assert writes(found) == [("void_invoice", "in_O", None)]


def test_an_open_invoice_of_a_live_subscription_is_never_voided():
    world = snapshot(customer(), subscription(status="past_due"), invoice("in_O", status="open"))
    assert "void_invoice" not in kinds(judge(ticket("Do I owe?", codes=("TXT_PAST_DUE",)), world))


def _after_end(day):
    ended = subscription(status="canceled", canceled_at=at("2026-10-20"), ended_at=at("2026-10-20"))
    return snapshot(customer(), ended, paid_period(ended, "2026-10-03"), paid_period(ended, day))


def test_a_charge_after_the_end_is_ours_to_give_back():
    asked = ticket("I cancelled, you charged me", codes=("TXT_CLAIMS_CANCELLED", "TXT_CHARGED_AFTER_CANCEL"))
    found = judge(asked, _after_end("2026-11-03"))
    assert found.diagnosis.bucket == "product_failure"
    assert writes(found) == [("refund_charge", "ch_A_1103", 2900)]
    assert found.gap == "charged_after_cancellation"


def test_a_charge_before_the_end_is_not():
    asked = ticket("I cancelled, you charged me", codes=("TXT_CLAIMS_CANCELLED", "TXT_CHARGED_AFTER_CANCEL"))
    assert writes(judge(asked, _after_end("2026-09-03"))) == []


def test_a_cancellation_is_never_immediate():
    for world in (ordinary(), duplicate(), _ending()):
        assert "cancel_subscription" not in kinds(judge(CANCEL, world))
