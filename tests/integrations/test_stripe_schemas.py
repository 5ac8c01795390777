"""Do Stripe's objects become records whatever a stand-in leaves out, and is a wrong type refused and never guessed?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from billing.records import Charge, Invoice, Subscription
from integrations import stripe_money_schemas as money
from integrations import stripe_schemas as schemas
from integrations.stripe_fields import dig, listed, moment, whole
from integrations.stripe_parts import completed, joined, period_around, with_lines
from integrations.stripe_requests import loaded, template_of

AT = 1_760_000_000
WHEN = datetime.fromtimestamp(AT, UTC)
Obj = dict[str, Any]
Load = Callable[[Any], Any]
ITEM: Obj = {"id": "si_1", "price": {"id": "price_1", "currency": "usd"}}
SMALLEST: list[tuple[Load, Obj]] = [
    (schemas.CUSTOMER.load, {"id": "cus_1"}),
    (schemas.SUBSCRIPTION.load, {"id": "sub_1", "customer": "cus_1", "status": "active", "created": AT,
                                 "items": {"data": [ITEM]}}),
    (schemas.CHECKOUT_SESSION.load, {"id": "cs_test_1", "created": AT}),
    (schemas.PORTAL.load, {"id": "bpc_1"}),
    (money.INVOICE.load, {"id": "in_1", "customer": "cus_1", "status": "open", "created": AT, "currency": "usd"}),
    (money.CHARGE.load, {"id": "ch_1", "status": "succeeded", "created": AT, "amount": 100, "currency": "usd"}),
    (money.REFUND.load, {"id": "re_1", "created": AT, "amount": 100, "currency": "usd"}),
    (money.PAYMENT_METHOD.load, {"id": "pm_1", "type": "card", "created": AT}),
    (money.PAYMENT_INTENT.load, {"id": "pi_1", "status": "canceled", "created": AT, "amount": 1, "currency": "usd"}),
    (money.DISPUTE.load, {"id": "dp_1", "charge": "ch_1", "status": "lost", "created": AT, "amount": 1,
                          "currency": "usd"}),
    (money.EARLY_FRAUD_WARNING.load, {"id": "issfr_1", "charge": {"id": "ch_1"}, "created": AT}),
    (money.CREDIT_NOTE.load, {"id": "cn_1", "invoice": "in_1", "customer": "cus_1", "amount": 1, "currency": "usd",
                              "status": "issued", "created": AT}),
    (money.BALANCE_TRANSACTION.load, {"id": "cbtxn_1", "customer": "cus_1", "amount": -1, "currency": "usd",
                                      "created": AT}),
    (money.PENDING_ITEM.load, {"id": "ii_1", "customer": "cus_1", "amount": 1, "currency": "usd", "date": AT}),
]  # fmt: skip
each = pytest.mark.parametrize(("load", "smallest"), SMALLEST, ids=[one[1]["id"] for one in SMALLEST])
FIELDS = sorted(
    {name for schema in (schemas.CUSTOMER, schemas.SUBSCRIPTION, schemas.CHECKOUT_SESSION, schemas.PORTAL,
                         money.INVOICE, money.CHARGE, money.REFUND, money.PAYMENT_METHOD, money.DISPUTE,
                         money.CREDIT_NOTE)
     for name in schema.fields}
)  # fmt: skip


@each
def test_the_smallest_object_loads_and_nulls_are_as_good_as_nothing(load: Load, smallest: Obj) -> None:
    assert load({**dict.fromkeys(FIELDS), **smallest}) == load(smallest)
    assert load(smallest).id == smallest["id"]


@each
def test_an_object_without_its_id_is_refused(load: Load, smallest: Obj) -> None:
    with pytest.raises(ValidationError):
        load({name: value for name, value in smallest.items() if name != "id"})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*FIELDS, "data", "id"]), inner),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SMALLEST), st.dictionaries(st.sampled_from(FIELDS), anything, max_size=5))
def test_whatever_a_field_holds_the_page_is_read_and_the_object_is_whole_or_left_out(
    one: tuple[Load, Obj], strange: Obj
) -> None:
    load, smallest = one
    records, unread = loaded(load, [{**smallest, **strange}, smallest])
    assert len(records) == (1 if unread else 2)
    assert records[-1] == load(smallest)


def subscription(**more: Any) -> Subscription:
    found = schemas.SUBSCRIPTION.load({**SMALLEST[1][1], **more})
    assert isinstance(found, Subscription)
    return found


def charge(**more: Any) -> Charge:
    found = money.CHARGE.load({**SMALLEST[5][1], **more})
    assert isinstance(found, Charge)
    return found


def invoice(**more: Any) -> Invoice:
    found = money.INVOICE.load({**SMALLEST[4][1], **more})
    assert isinstance(found, Invoice)
    return found


def test_a_subscription_without_periods_gets_the_one_that_holds_now() -> None:
    price = {"id": "price_1", "currency": "usd", "recurring": {"interval": "month", "interval_count": 1}}
    bare = subscription(items=[{"id": "si_1", "price": price, "quantity": 2}])
    (item,) = completed(bare, {"price_1": "Pro"}, datetime(2025, 12, 20, tzinfo=UTC)).items
    assert (item.current_period_start, item.current_period_end) == (
        datetime(2025, 12, 9, 8, 53, 20, tzinfo=UTC), datetime(2026, 1, 9, 8, 53, 20, tzinfo=UTC),
    )  # fmt: skip
    assert item.price.product_name == "Pro"


def test_a_period_at_the_level_of_the_subscription_counts_for_its_items() -> None:
    found = subscription(current_period_start=AT, current_period_end=AT + 100)
    assert (found.current_period_start, found.current_period_end) == (WHEN, datetime.fromtimestamp(AT + 100, UTC))


@pytest.mark.parametrize(
    ("interval", "count", "ends"),
    [("day", 10, "2026-02-10"), ("week", 1, "2026-02-07"), ("month", 1, "2026-02-28"), ("month", 3, "2026-04-30"),
     ("year", 1, "2027-01-31")],
)  # fmt: skip
def test_periods_end_on_the_last_day_of_a_shorter_month(interval: str, count: int, ends: str) -> None:
    price = subscription(items=[{**ITEM, "price": {**ITEM["price"], "recurring": {
        "interval": interval, "interval_count": count}}}]).items[0].price  # fmt: skip
    start = datetime(2026, 1, 31, tzinfo=UTC)
    assert period_around(start, price, start)[1].date().isoformat() == ends


def test_a_plan_stands_in_for_a_price_and_an_expanded_product_brings_its_name() -> None:
    product = {"id": "prod_1", "name": "X"}
    plan = {"id": "plan_1", "amount": 900, "currency": "eur", "interval": "year", "product": product}
    found = subscription(items=[{"id": "si_1", "plan": plan, "quantity": None}])
    (item,) = found.items
    assert (item.price.unit_amount, item.price.interval, item.quantity, found.currency) == (900, "year", 1, "eur")
    assert (item.price.product, item.price.product_name) == ("prod_1", "X")


def test_discounts_arrive_as_ids_with_an_unexpanded_or_an_expanded_coupon_and_in_the_old_place() -> None:
    coupon = {"id": "TEN", "amount_off": 1000, "duration": "once"}
    found = subscription(
        discounts=["di_1", {"id": "di_2", "source": {"coupon": "HALF"}}, {"id": "di_3", "source": {"coupon": coupon}}],
        discount={"id": "di_4", "coupon": {"id": "OLD", "percent_off": 12.5}, "end": AT},
    )
    assert [(d.id, d.coupon, d.amount_off, d.percent_off) for d in found.discounts] == [
        ("di_1", None, None, None), ("di_2", "HALF", None, None), ("di_3", "TEN", 1000, None),
        ("di_4", "OLD", None, 12.5),
    ]  # fmt: skip
    assert found.discounts[3].end == WHEN


def test_a_schedule_counts_the_phases_that_are_not_over_and_a_released_one_is_none() -> None:
    phases = [{"end_date": AT}, {"end_date": AT + 10}, {"end_date": AT + 20}]
    running = {"id": "sub_sched_1", "status": "active", "current_phase": {"start_date": AT}, "phases": phases}
    found = subscription(schedule=running).schedule
    assert found is not None
    assert found.phases == 2
    assert subscription(schedule={**running, "status": "released"}).schedule is None
    assert subscription(schedule="sub_sched_1").schedule is not None


def test_a_charge_without_capture_fields_is_captured_when_it_succeeded() -> None:
    refund = {**SMALLEST[6][1], "amount": 30, "status": "pending"}
    found = charge(refunds={"data": [refund]})
    assert (found.captured, found.amount_captured, found.amount_refunded, found.refundable) == (True, 100, 30, 70)
    assert charge(status="failed").refundable == 0
    assert charge(captured=False).amount_captured == 0
    assert charge(dispute="dp_1").disputed


def test_what_is_left_to_pay_follows_from_the_other_amounts() -> None:
    assert invoice(amount_due=500, amount_paid=200).amount_remaining == 300
    assert invoice(total=500, status="paid").amount_remaining == 0
    assert invoice(total=-500).amount_due == 0
    assert invoice(amount_due=500, amount_remaining=0).amount_remaining == 0


def test_the_places_of_older_versions_are_read() -> None:
    lines = [{"id": "il_1", "amount": 5, "proration": True, "price": {"id": "price_1", "product": "prod_1"}}]
    found = invoice(subscription="sub_1", lines={"data": lines})
    assert (found.subscription, found.lines[0].proration) == ("sub_1", True)
    assert (found.lines[0].price, found.lines[0].product) == ("price_1", "prod_1")
    (billed,), _ = joined((charge(invoice="in_1"),), (found,), ())
    (foreign,), _ = joined((charge(invoice="in_other"),), (found,), ())
    assert (billed.invoice, foreign.invoice) == ("in_1", None)
    assert with_lines((found,), {"in_1": ()}, ())[0].lines == ()


@pytest.mark.parametrize("wrong", ["29.00", 29.5, True, [29], {"amount": 29}])
def test_an_amount_of_a_wrong_type_refuses_the_object(wrong: object) -> None:
    for load, document in (
        (money.CHARGE.load, {**SMALLEST[5][1], "amount": wrong}),
        (money.INVOICE.load, {**SMALLEST[4][1], "lines": [{"id": "il_1", "amount": wrong}]}),
        (money.INVOICE.load, {**SMALLEST[4][1], "total_taxes": [{"amount": wrong}]}),
        (schemas.SUBSCRIPTION.load, {**SMALLEST[1][1], "items": [{**ITEM, "quantity": wrong}]}),
    ):
        with pytest.raises(ValidationError):
            load(document)


@pytest.mark.parametrize("wrong", ["now", -1, 10**12, True, 1.5])
def test_a_time_of_a_wrong_type_is_refused_and_no_overflow_gets_out(wrong: object) -> None:
    with pytest.raises(ValidationError):
        moment(wrong)
    assert loaded(money.CHARGE.load, [{**SMALLEST[5][1], "created": wrong}]) == ([], True)


def test_unknown_words_of_stripe_stay_as_they_are() -> None:
    assert subscription(status="hibernating", collection_method="barter").status == "hibernating"
    assert charge(status="teleported").status == "teleported"


def test_pages_of_a_strange_shape_are_unread_and_objects_of_others_are_left_out() -> None:
    strange: tuple[object, ...] = (None, {}, "x", 5)
    for page in strange:
        assert loaded(money.CHARGE.load, page) == ([], True)
    assert loaded(money.CHARGE.load, [5, None]) == ([], True)
    mine, other, silent = ({**SMALLEST[5][1], "id": f"ch_{n}"} for n in range(3))
    mine["customer"], other["customer"] = {"id": "cus_1"}, None
    records, unread = loaded(money.CHARGE.load, [mine, other, silent], ("customer", "cus_1"))
    assert [(one.id, one.customer) for one in records] == [("ch_0", "cus_1"), ("ch_2", "cus_1")]
    assert not unread


def test_paths_are_told_without_ids() -> None:
    for path, told in (
        ("/v1/customers", "/v1/customers"), ("/v1/customers/search", "/v1/customers/search"),
        ("/v1/customers/cus_1/payment_methods", "/v1/customers/{id}/payment_methods"),
        ("/v1/checkout/sessions/cs_test_1", "/v1/checkout/sessions/{id}"), ("/v1/products/gold", "/v1/products/{id}"),
        ("/v1/radar/early_fraud_warnings", "/v1/radar/early_fraud_warnings"),
        ("/v1/billing_portal/configurations", "/v1/billing_portal/configurations"),
    ):  # fmt: skip
        assert template_of(path) == told


def test_small_readers_take_what_is_there() -> None:
    assert dig({"a": {"b": 1}}, "a", "b") == 1
    assert dig({"a": [1]}, "a", "b") is None
    assert listed({"data": [{"id": 1}, 5]}) == listed([{"id": 1}]) == [{"id": 1}]
    assert listed("x") == []
    assert (whole(None, 7), whole(0, 7)) == (7, 0)


def test_a_portal_that_tells_of_no_feature_is_not_said_to_lack_one() -> None:
    told = {"subscription_cancel": {"enabled": True}}
    whole, part = (schemas.PORTAL.load({"id": "bpc_1"} | more) for more in ({}, {"features": told}))
    assert (whole.cancel, whole.update_payment_method, whole.invoice_history, whole.tax_id_update) == (True,) * 4
    assert (part.cancel, part.update_payment_method, part.invoice_history, part.tax_id_update) == (True, *[False] * 3)
