"""How plans are built: gates, order, wording, impact, facts, and what is missing in the product."""

from __future__ import annotations

from dataclasses import replace

import pytest

from billing.proposals.table import TABLE
from billing.records import BalanceTransaction, CreditNote
from tests.billing.builders import (
    NOW,
    PORTAL,
    at,
    customer,
    duplicate,
    ordinary,
    paid_period,
    refund,
    snapshot,
    subscription,
    ticket,
)
from tests.billing.judging import blocked, helps, judge, kinds, writes

TWICE = ticket("Twice!", codes=("TXT_DUP_TWICE",), wishes=("refund",))
REFUND_B = ("refund_charge", "ch_B_1112", 2900)


def _step(found, kind):
    return next(planned for planned in found.plan.steps if planned.step.kind == kind)


def test_a_refund_says_amount_day_and_method_in_three_tenses():
    planned = _step(judge(TWICE, duplicate()), "refund_charge")
    assert planned.title == "Refund the 12 Nov charge"
    assert planned.running == "Refunding the 12 Nov charge"
    assert planned.done == "12 Nov charge refunded"
    assert "29.00 USD" in planned.says
    assert "12 Nov" in planned.says
    assert "Visa ending 4242" in planned.says


def test_a_stop_can_be_undone_until_the_paid_period_ends():
    planned = _step(judge(TWICE, duplicate()), "schedule_cancellation")
    assert planned.undo_until == at("2026-12-12")
    assert "12 Dec" in planned.says


def test_a_day_of_another_year_carries_its_year():
    found = judge(ticket("Cancel", wishes=("cancel",)), _annual())
    assert "2027" in _step(found, "schedule_cancellation").says


def _annual():
    from tests.billing.builders import PRO_YEARLY

    pro = subscription(price=PRO_YEARLY, created="2026-05-10")
    return snapshot(customer(), pro, paid_period(pro, "2026-05-10"))


def test_the_facts_of_a_write_name_every_object_it_relies_on():
    objects = {fact.object for fact in _step(judge(TWICE, duplicate()), "refund_charge").facts}
    assert {"ch_B_1112", "in_B_1112", "sub_A", "sub_B", "cus_A"} <= objects


@pytest.mark.parametrize(
    ("portal", "step"),
    [
        (PORTAL, ("send_portal_login", "cus_A")),
        (replace(PORTAL, login_page_url=None), ("create_portal_session", "cus_A")),
    ],
)
def test_the_login_page_is_preferred_and_a_session_stands_in(portal, step):
    assert helps(judge(TWICE, duplicate(portal=portal)))[0] == step


def test_an_unverified_requester_gets_the_login_page_and_no_open_session():
    asked = ticket("Card", wishes=("update_card",), verification="none")
    assert helps(judge(asked, ordinary())) == [("send_portal_login", "cus_A")]


def test_credit_for_the_same_money_excludes_the_refund():
    granted = BalanceTransaction(
        id="cbtxn_1", customer="cus_A", amount=-2900, currency="usd", created=at("2026-11-15"), type="adjustment"
    )
    found = judge(TWICE, duplicate(granted))
    assert ("refund_charge", "ch_B_1112", "nothing_refundable") in blocked(found)
    assert REFUND_B not in writes(found)


@pytest.mark.parametrize(
    "granted",
    [
        {"amount": -500},
        {"amount": -2900, "created": at("2026-10-01")},
        {"amount": 2900},
        {"amount": -2900, "currency": "eur"},
    ],
)
def test_credit_for_something_else_does_not(granted):
    fields = {"amount": -2900, "currency": "usd", "created": at("2026-11-15")} | granted
    other = BalanceTransaction(id="cbtxn_1", customer="cus_A", type="adjustment", **fields)
    assert REFUND_B in writes(judge(TWICE, duplicate(other)))


def test_a_credit_note_for_part_leaves_the_rest_to_refund():
    world = duplicate(CreditNote(id="cn_1", invoice="in_B_1112", customer="cus_A", amount=900, currency="usd",
                                 status="issued", created=at("2026-11-15")))  # fmt: skip
    noted = tuple(
        replace(i, post_payment_credit_notes_amount=900) if i.id == "in_B_1112" else i for i in world.invoices
    )
    assert ("refund_charge", "ch_B_1112", 2000) in writes(judge(TWICE, replace(world, invoices=noted)))


def test_a_pending_refund_is_not_repeated():
    extra = subscription(id="sub_B", created="2026-11-12")
    paid, taken = paid_period(extra, "2026-11-12", refunds=(refund(status="pending"),), amount_refunded=2900)
    found = judge(TWICE, ordinary(extra, paid, taken))
    assert "refund_charge" not in kinds(found)


def test_the_plan_says_what_stays():
    kept = "The Pro subscription of 3 Sep and its payments are not touched."
    assert judge(TWICE, duplicate()).plan.untouched == kept
    assert judge(ticket("?"), ordinary()).plan.untouched == "Nothing changes in Stripe."


def test_stopping_a_trial_takes_no_revenue_away():
    trial = subscription(status="trialing", created="2026-11-15", trial_end=at("2026-11-29"))
    found = judge(ticket("Cancel", wishes=("cancel",)), snapshot(customer(), trial))
    assert writes(found) == [("schedule_cancellation", "sub_A", None)]
    assert found.plan.impact.mrr == {}


def test_a_managed_subscription_is_not_refunded():
    world = duplicate()
    managed = tuple(replace(s, managed_payments=s.id == "sub_B") for s in world.subscriptions)
    assert ("refund_charge", "ch_B_1112", "not_permitted") in blocked(
        judge(TWICE, replace(world, subscriptions=managed))
    )


def test_the_portal_that_could_not_be_read_is_not_called_missing():
    from billing.snapshot import Missing, Why

    found = judge(
        ticket("Cancel", wishes=("cancel",)), ordinary(Missing(part="portal", why=Why.NOT_PERMITTED), portal=None)
    )
    assert found.gap is None
    assert ("create_portal_session", "cus_A", "not_permitted") in blocked(found)


def test_note_and_issue_stand_before_what_is_written_to_stripe():
    assert kinds(judge(TWICE, duplicate()))[1:3] == ["write_internal_note", "file_issue"]


def test_every_line_of_the_table_is_a_known_situation_of_the_replies():
    assert len(TABLE) == len(set(TABLE))
    assert NOW.year == 2026
