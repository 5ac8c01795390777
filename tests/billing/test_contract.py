"""Contract shapes: what each forbids, and what an agent is warned about."""

from datetime import timedelta

import pytest

from billing.contract import WRITES, shape
from billing.policy import Policy, Products
from billing.records import PendingItem, Schedule
from billing.steps import KINDS
from tests.billing.builders import (
    METERED,
    NOW,
    PRO,
    PRO_YEARLY,
    TEAM,
    customer,
    discount,
    invoice,
    item,
    price,
    snapshot,
    subscription,
)

FLAGS = """
annual team several_items mixed_intervals pending_proration pending_update trial scheduled metered connected taxed
discounted managed send_invoice paused collection_paused account_customer unknown ended
""".split()
DEFAULT = Policy()
TWO_YEARS = price(id="price_24", interval="month", interval_count=24)
WAITING = PendingItem(
    id="ii_A", customer="cus_A", amount=500, currency="usd", created=NOW - timedelta(days=1), subscription="sub_A"
)


def seen(*records, policy=DEFAULT, **fields):
    one = subscription(**fields)
    return shape(one, snapshot(customer(), one, *records), policy)


def flags(found):
    return {flag for flag in FLAGS if getattr(found, flag)}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, set()),
        ({"price": PRO_YEARLY}, {"annual"}),
        ({"price": TWO_YEARS}, {"annual"}),
        ({"quantity": 3}, {"team"}),
        ({"items": (item(PRO), item(METERED))}, {"several_items", "metered"}),
        ({"items": (item(PRO), item(PRO_YEARLY))}, {"several_items", "mixed_intervals", "annual"}),
        ({"pending_update": True}, {"pending_update"}),
        ({"status": "trialing"}, {"trial"}),
        ({"schedule": Schedule(id="sub_sched_A", status="active")}, {"scheduled"}),
        ({"schedule": Schedule(id="sub_sched_A", status="released")}, set()),
        ({"connected": True}, {"connected"}),
        ({"automatic_tax": True}, {"taxed"}),
        ({"discounts": (discount(),)}, {"discounted"}),
        ({"managed_payments": True}, {"managed"}),
        ({"collection_method": "send_invoice"}, {"send_invoice"}),
        ({"status": "paused"}, {"paused"}),
        ({"pause_collection": "void"}, {"collection_paused"}),
        ({"status": "frozen"}, {"unknown"}),
        ({"collection_method": "by_pigeon"}, {"unknown"}),
        ({"status": "canceled"}, {"ended"}),
        ({"status": "incomplete_expired"}, {"ended"}),
        ({"items": ()}, set()),
    ],
)
def test_a_shape_is_read_off_the_subscription(fields, expected):
    assert flags(seen(**fields)) == expected


def test_a_team_product_is_one_by_name_or_id_whatever_its_quantity():
    assert seen(price=TEAM, policy=Policy(products=Products(team=("team",)))).team
    assert seen(price=TEAM, policy=Policy(products=Products(team=("prod_team",)))).team
    assert not seen(price=PRO, policy=Policy(products=Products(team=("team",)))).team


def test_pending_items_and_taxed_invoices_count_for_their_own_subscription_only():
    taxed = invoice(tax=500)
    assert flags(seen(WAITING, taxed)) == {"pending_proration", "taxed"}
    assert flags(seen(WAITING, taxed, id="sub_B")) == set()


def test_an_account_as_customer_allows_no_write():
    one = subscription()
    found = shape(one, snapshot(customer(customer_account="acct_1"), one), Policy())
    assert found.account_customer
    assert {found.why_not(step) for step in WRITES} == {"not_permitted"}


@pytest.mark.parametrize(
    ("fields", "step", "why"),
    [
        ({}, "schedule_cancellation", None),
        ({}, "refund_charge", None),
        ({}, "release_schedule", "not_permitted"),
        ({}, "resume_subscription", "not_permitted"),
        ({}, "resume_collection", "not_permitted"),
        ({"status": "paused"}, "resume_subscription", None),
        ({"pause_collection": "void"}, "resume_collection", None),
        ({"schedule": Schedule(id="s", status="active")}, "schedule_cancellation", "schedule_managed"),
        ({"schedule": Schedule(id="s", status="not_started")}, "change_plan", "schedule_managed"),
        ({"schedule": Schedule(id="s", status="active")}, "release_schedule", None),
        ({"schedule": Schedule(id="s", status="active")}, "refund_charge", None),
        ({"connected": True}, "refund_charge", "connected_account"),
        ({"connected": True, "status": "new"}, "refund_charge", "unknown_value"),
        ({"status": "new"}, "schedule_cancellation", "unknown_value"),
        ({"managed_payments": True}, "refund_charge", "not_permitted"),
        ({"managed_payments": True}, "schedule_cancellation", None),
        ({"status": "canceled"}, "schedule_cancellation", "not_permitted"),
        ({"status": "canceled"}, "void_invoice", None),
        ({"pending_update": True}, "change_quantity", "not_permitted"),
        ({"collection_method": "send_invoice"}, "pay_invoice", "not_permitted"),
        ({"collection_method": "send_invoice"}, "resend_invoice", None),
    ],
)
def test_a_shape_forbids_a_step_with_its_reason(fields, step, why):
    found = seen(**fields)
    assert found.why_not(step) == why
    assert (step in found.forbids) == (why is not None)


def test_every_write_the_product_knows_is_covered_and_nothing_else():
    about_elsewhere = {"cancel_payment_intent", "expire_checkout_session"}  # no subscription stands behind these
    assert set(WRITES) == {kind for kind, step in KINDS.items() if step.moves} - about_elsewhere


def test_warnings_name_what_a_change_would_touch():
    assert seen().warnings == ()
    warned = " ".join(seen(WAITING, price=PRO_YEARLY, quantity=2, discounts=(discount(),)).warnings)
    assert "A year is paid" in warned
    assert "Several people" in warned
    assert "Prorations wait" in warned
    assert "discount" in warned
