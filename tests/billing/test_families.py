"""Duplicates: one family, one owner, which one stays, and what was paid twice."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.families import (
    Reason,
    bound,
    duplicate_groups,
    family,
    monthly_amount,
    overlap_charges,
    owner,
)
from billing.money import Money
from billing.policy import Policy, Products
from tests.billing.builders import (
    METERED,
    NOW,
    PRO,
    PRO_YEARLY,
    ULTRA,
    at,
    charge,
    customer,
    discount,
    duplicate,
    invoice,
    item,
    line,
    ordinary,
    paid_period,
    price,
    refund,
    snapshot,
    subscription,
)

POLICY = Policy()
FAMILIES = Policy(products=Products(families=(("Pro", "prod_ultra"), ("Solo", "Duo"))))
OLD_PRO = price(id="price_pro_2024", amount=1900)
FIRST, SECOND = "2026-09-03", "2026-11-12"


def pair(first=None, second=None, customers=None, policy=POLICY, more=()):
    """The groups of sub_A (older) and sub_B (newer), each described by its differences."""
    one = subscription(**({"id": "sub_A", "created": FIRST} | (first or {})))
    two = subscription(**({"id": "sub_B", "created": SECOND} | (second or {})))
    return duplicate_groups(snapshot(*(customers or [customer()]), one, two, *more), policy)


# --- family and owner ---------------------------------------------------------------------------------------------


def test_a_product_alone_is_its_own_family():
    assert family(PRO, POLICY) == "Pro"
    assert family(ULTRA, POLICY) == "Ultra"


def test_configured_products_are_one_family_by_name_or_id():
    assert family(PRO, FAMILIES) == family(ULTRA, FAMILIES) == "Pro"
    assert family(price(product_name="DUO"), FAMILIES) == "Solo"


def test_an_owner_is_the_metadata_of_the_subscription_completed_by_its_customers():
    one = subscription(metadata={"workspaceId": "w1", "color": "blue", "team": ""})
    assert owner(one, customer(metadata={"user_id": "7"}), POLICY) == {("workspace", "w1"), ("user", "7")}
    assert owner(one, None, POLICY) == {("workspace", "w1")}
    assert owner(subscription(), customer(), POLICY) == frozenset()


def test_own_metadata_binds_more_firmly_than_the_customers():
    known = customer(metadata={"user_id": "7"})
    assert bound(subscription(metadata={"org": "acme"}), None, POLICY) == 2
    assert bound(subscription(), known, POLICY) == 1
    assert bound(subscription(), customer(), POLICY) == 0
    assert bound(subscription(), None, POLICY) == 0


# --- groups -------------------------------------------------------------------------------------------------------


def test_one_subscription_is_no_duplicate():
    assert duplicate_groups(ordinary(), POLICY) == ()


def test_the_same_plan_twice_is_a_duplicate_and_the_older_stays():
    (group,) = duplicate_groups(duplicate(), POLICY)
    assert group.family == "Pro"
    assert group.members == ("sub_A", "sub_B")
    assert (group.keeper, group.extras, group.reason) == ("sub_A", ("sub_B",), Reason.OLDER)
    assert group.same_plan
    assert not group.tie
    assert group.doubts == ()


@pytest.mark.parametrize("status", ["trialing", "past_due", "unpaid", "paused"])
def test_every_live_status_counts_as_a_duplicate(status):
    assert pair(second={"status": status})


@pytest.mark.parametrize("status", ["canceled", "incomplete", "incomplete_expired", "brand_new_status"])
def test_what_is_not_live_does_not_count(status):
    assert pair(second={"status": status}) == ()


def test_two_customers_of_one_address_are_looked_at_together():
    both = [customer(), customer(id="cus_B")]
    assert pair(second={"customer": "cus_B"}, customers=both)
    one = subscription()
    two = subscription(id="sub_B", customer="cus_B")
    assert duplicate_groups(snapshot(*both, one, two), POLICY, customers=["cus_A"]) == ()


def test_different_products_are_no_duplicates_unless_policy_says_one_family():
    assert pair(second={"price": ULTRA}) == ()
    (group,) = pair(second={"price": ULTRA}, policy=FAMILIES)
    assert not group.same_plan


def test_monthly_beside_yearly_is_not_the_same_plan():
    (group,) = pair(second={"price": PRO_YEARLY})
    assert not group.same_plan


def test_a_shared_add_on_makes_one_group_and_not_two():
    addon = price(id="price_addon", product="prod_addon", product_name="Add-on", amount=500)
    both = {"items": (item(PRO), item(addon))}
    assert len(pair(both, both)) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"workspace": "w1"}, {"workspace": "w2"}),
        ({"user_id": "1"}, {"user_id": "2"}),
        ({"org_id": "acme"}, {"user_id": "2"}),
        ({"workspace": "w1", "user_id": "7"}, {"workspace": "w2", "user_id": "7"}),
    ],
)
def test_different_owners_are_no_duplicates(first, second):
    assert pair({"metadata": first}, {"metadata": second}) == ()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"workspace": "w1"}, {"workspace": "w1"}),
        ({"workspace": "w1"}, {"workspace_id": "w1"}),
        ({"workspace": "w1"}, {}),
        ({"workspace": "w1", "user_id": "7"}, {"user_id": "7"}),
        ({"campaign": "spring"}, {"campaign": "autumn"}),
    ],
)
def test_equal_or_missing_owners_are_duplicates(first, second):
    assert pair({"metadata": first}, {"metadata": second})


def test_an_unbound_subscription_beside_two_workspaces_is_nobodys_duplicate():
    third = subscription(id="sub_C", created="2026-10-01")
    assert pair({"metadata": {"org": "a"}}, {"metadata": {"org": "b"}}, more=[third]) == ()


def test_more_than_twenty_owners_are_an_organisation():
    many = [subscription(id=f"sub_{n}", metadata={"org": str(n)}) for n in range(21)]
    loose = subscription(id="sub_loose")
    assert duplicate_groups(snapshot(customer(), *many, loose), POLICY) == ()
    twice = subscription(id="sub_twice", metadata={"org": "3"}, created="2026-11-12")
    (group,) = duplicate_groups(snapshot(customer(), *many, loose, twice), POLICY)
    assert group.members == ("sub_3", "sub_twice")


def test_seats_are_meant_unless_both_name_the_same_owner():
    assert pair(second={"quantity": 5}) == ()
    assert pair({"quantity": 5}, {"quantity": 5}) == ()
    same = {"metadata": {"org": "acme"}}
    assert pair(same | {"quantity": 5}, same | {"quantity": 5})


def test_a_large_metered_quantity_is_not_a_number_of_seats():
    assert pair({"items": (item(PRO), item(METERED, 40))})


# --- keeper -------------------------------------------------------------------------------------------------------

ENDING = {"cancel_at_period_end": True}
KEPT = [
    ({}, {"metadata": {"org": "acme"}}, "sub_B", Reason.BOUND),
    ({"discounts": (discount(),)}, {"metadata": {"org": "acme"}}, "sub_B", Reason.BOUND),
    (ENDING, {}, "sub_B", Reason.RENEWING),
    ({}, ENDING, "sub_A", Reason.RENEWING),
    ({}, {"cancel_at": at("2026-12-12")}, "sub_A", Reason.RENEWING),
    ({}, {"status": "trialing"}, "sub_A", Reason.WORKING),
    ({"status": "trialing"}, {}, "sub_B", Reason.WORKING),
    ({"status": "past_due"}, {}, "sub_B", Reason.WORKING),
    ({"status": "unpaid"}, {"status": "past_due"}, "sub_B", Reason.WORKING),
    ({}, {"discounts": (discount(),)}, "sub_B", Reason.RICHER),
    ({}, {"discounts": (discount(duration="once"),)}, "sub_A", Reason.OLDER),
    ({}, {"price": PRO_YEARLY}, "sub_B", Reason.RICHER),
    ({}, {"price": ULTRA}, "sub_B", Reason.RICHER),
    ({"price": ULTRA}, {}, "sub_A", Reason.RICHER),
    ({"price": OLD_PRO}, {}, "sub_A", Reason.OLDER),  # a cheaper price of the same product is not the poorer contract
    ({}, {}, "sub_A", Reason.OLDER),
    ({}, {"created": FIRST}, None, Reason.TIE),
    ({"price": PRO_YEARLY}, {"discounts": (discount(),)}, None, Reason.TIE),
    ({"price": PRO_YEARLY}, {"price": ULTRA}, None, Reason.TIE),
    (ENDING | {"metadata": {"org": "acme"}}, {}, None, Reason.TIE),
    (ENDING | {"metadata": {"org": "acme"}}, ENDING, "sub_A", Reason.BOUND),
]


@pytest.mark.parametrize(("first", "second", "keeper", "reason"), KEPT)
def test_the_keeper_is_bound_then_renewing_then_working_then_richer_then_older(first, second, keeper, reason):
    (group,) = pair(first, second, policy=FAMILIES)
    assert (group.keeper, group.reason) == (keeper, reason)
    assert group.tie == (keeper is None)
    assert set(group.extras) == ({"sub_A", "sub_B"} - {keeper} if keeper else set())


def test_the_customer_that_carries_the_products_key_keeps_its_subscription():
    both = [customer(), customer(id="cus_B", metadata={"user_id": "7"})]
    (group,) = pair(second={"customer": "cus_B"}, customers=both)
    assert (group.keeper, group.reason) == ("sub_B", Reason.BOUND)


def test_plans_in_two_currencies_are_not_compared_by_price():
    euros = price(id="price_ultra_eur", product="prod_ultra", product_name="Ultra", amount=9900, currency="eur")
    (group,) = pair(second={"price": euros}, policy=FAMILIES)
    assert (group.keeper, group.reason) == ("sub_A", Reason.OLDER)


def test_long_use_on_both_sides_and_strange_names_raise_doubts():
    both = [customer(), customer(id="cus_B", name="Studio Nord")]
    second = subscription(id="sub_B", customer="cus_B", created="2026-05-12")
    periods = [paid_period(second, "2026-05-12"), paid_period(second, "2026-06-12")]
    first = subscription(created="2026-01-12")
    (group,) = duplicate_groups(snapshot(*both, first, second, periods), POLICY)
    assert group.doubts == ("names_differ", "far_apart")


@pytest.mark.parametrize("name", ["Oliva, Maya", "oliva design", None])
def test_a_shared_or_missing_name_raises_no_doubt(name):
    both = [customer(), customer(id="cus_B", name=name)]
    (group,) = pair(second={"customer": "cus_B"}, customers=both)
    assert group.doubts == ()


@pytest.mark.parametrize(("started", "doubts"), [("2026-07-14", ()), ("2026-07-13", ("far_apart",))])
def test_more_than_sixty_days_between_them_are_far_apart(started, doubts):
    first, second = subscription(created=started), subscription(id="sub_B", created="2026-09-12")
    periods = [paid_period(second, "2026-09-12"), paid_period(second, "2026-10-12")]
    (group,) = duplicate_groups(snapshot(customer(), first, second, periods), POLICY)
    assert group.doubts == doubts


# --- monthly amount -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "amount"),
    [
        ({}, 2900),
        ({"quantity": 3}, 8700),
        ({"price": PRO_YEARLY}, 2416),
        ({"price": price(interval="month", interval_count=3)}, 966),
        ({"price": price(amount=700, interval="week")}, 3041),
        ({"price": price(amount=100, interval="day")}, 3041),
        ({"price": price(interval=None)}, 0),
        ({"price": price(amount=None)}, 0),
        ({"items": (item(PRO), item(METERED, 1))}, 2900),
        ({"items": ()}, 0),
        ({"items": (), "discounts": (discount(percent_off=None, amount_off=500),)}, 0),
        ({"discounts": (discount(),)}, 2320),
        ({"discounts": (discount(percent_off=33.3),)}, 1934),
        ({"discounts": (discount(duration="once"),)}, 2900),
        ({"discounts": (discount(percent_off=None, amount_off=500),)}, 2400),
        ({"price": PRO_YEARLY, "discounts": (discount(percent_off=None, amount_off=1200),)}, 2316),
        ({"discounts": (discount(percent_off=None, amount_off=9900),)}, 0),
        ({"discounts": (discount(percent_off=None),)}, 2900),
    ],
)
def test_recurring_revenue_is_normalised_to_a_month_and_floored_once(fields, amount):
    assert monthly_amount(subscription(**fields)) == Money(amount, "usd")


def test_recurring_revenue_keeps_the_currencys_minor_unit():
    assert monthly_amount(subscription(price=price(amount=1000, currency="jpy", interval="year"))) == Money(83, "jpy")


@given(st.integers(0, 10**7), st.integers(1, 500), st.sampled_from(["day", "week", "month", "year"]))
def test_recurring_revenue_is_never_more_than_what_is_billed_in_a_year(amount, quantity, interval):
    found = monthly_amount(subscription(price=price(amount=amount, interval=interval), quantity=quantity))
    times = {"day": 365, "week": 365 / 7, "month": 12, "year": 1}[interval]
    assert 0 <= found.amount * 12 <= amount * quantity * times * 1.0001


# --- overlap ------------------------------------------------------------------------------------------------------


def test_payments_of_the_extra_that_fall_into_the_keepers_life_come_newest_first():
    pro, extra = subscription(), subscription(id="sub_B", created="2026-10-12")
    periods = [paid_period(extra, day) for day in ("2026-10-12", "2026-11-12")]
    found = overlap_charges("sub_B", "sub_A", snapshot(customer(), pro, extra, periods))
    assert [one.charge for one in found] == ["ch_B_1112", "ch_B_1012"]
    assert all(one.whole and one.share == one.amount == one.refundable == Money(2900, "usd") for one in found)


def test_a_period_that_overlaps_in_part_gives_its_share_by_time():
    old, new = subscription(), subscription(id="sub_B", price=ULTRA, created="2026-11-18")
    world = snapshot(customer(), old, new, paid_period(old, "2026-10-03"), paid_period(old, "2026-11-03"))
    (found,) = overlap_charges("sub_A", "sub_B", world)
    assert found.charge == "ch_A_1103"
    assert not found.whole
    assert found.share == Money(1450, "usd")


def test_line_periods_say_what_an_invoice_pays_for():
    pro, extra = subscription(created="2026-11-01"), subscription(id="sub_B", created="2026-09-12")
    month = line(period_start=at("2026-10-01"), period_end=at("2026-11-01"))
    before = invoice("in_B", subscription="sub_B", created="2026-11-02", lines=(month,))
    assert overlap_charges("sub_B", "sub_A", snapshot(customer(), pro, extra, before, charge("ch_B"))) == ()


def test_what_is_no_payment_for_the_plan_is_no_overlap():
    pro, extra = subscription(), subscription(id="sub_B", created=SECOND)
    proration = invoice("in_B", subscription="sub_B", created=SECOND, lines=(line(proration=True),))
    empty = invoice("in_C", subscription="sub_B", created=SECOND, lines=())
    world = snapshot(
        customer(), pro, extra, proration, empty, charge("ch_B", created=SECOND), charge("ch_C", status="failed")
    )
    assert overlap_charges("sub_B", "sub_A", world) == ()


def test_a_keeper_that_has_ended_overlaps_until_its_end_only():
    ended = subscription(status="canceled", ended_at=at("2026-11-10"))
    extra = subscription(id="sub_B", created=SECOND)
    assert overlap_charges("sub_B", "sub_A", snapshot(customer(), ended, extra, paid_period(extra, SECOND))) == ()


def test_a_refunded_payment_is_listed_with_nothing_left():
    extra = subscription(id="sub_B", created=SECOND)
    paid, taken = paid_period(extra, SECOND, amount_refunded=2900, refunds=(refund(),), refunded=True)
    (found,) = overlap_charges("sub_B", "sub_A", ordinary(extra, paid, taken))
    assert found.refundable == Money(0, "usd")


def test_unknown_subscriptions_have_no_overlap():
    assert overlap_charges("sub_X", "sub_A", ordinary()) == ()
    assert overlap_charges("sub_A", "sub_X", ordinary()) == ()


def test_an_extra_without_items_is_taken_as_monthly():
    extra = subscription(id="sub_B", created=SECOND, items=())
    bill = invoice("in_B", subscription="sub_B", created=SECOND)
    (found,) = overlap_charges("sub_B", "sub_A", ordinary(extra, bill, charge("ch_B", created=SECOND)))
    assert found.end - found.start == timedelta(days=30)


@given(st.integers(1, 400), st.integers(1, 10**6))
def test_a_share_is_never_more_than_was_paid(days_ago, amount):
    begun = NOW - timedelta(days=days_ago)
    extra = subscription(id="sub_B", created=SECOND, price=PRO_YEARLY)
    bill = invoice("in_B", subscription="sub_B", created=begun, amount=amount)
    world = ordinary(extra, bill, charge("ch_B", created=begun, amount=amount))
    for found in overlap_charges("sub_B", "sub_A", world):
        assert Money(0, "usd") <= found.share <= found.amount
        assert not found.whole or found.share == found.amount
