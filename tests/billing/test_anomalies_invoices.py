"""Anomalies of invoices: what they ask for, and why the amount is another one."""

from datetime import timedelta

import pytest

from billing.anomalies import find_anomalies
from billing.anomalies.invoices import seat_change
from billing.identity import identify
from billing.policy import Policy
from billing.records import PendingItem
from tests.billing.builders import (
    NOW,
    PRO,
    PRO_YEARLY,
    TEAM,
    ULTRA,
    at,
    customer,
    invoice,
    line,
    price,
    snapshot,
    subscription,
    ticket,
)

POLICY = Policy()
ASKS = ticket(wishes=("explain_charge",))


def anomalies(*records, evidence=None, payer=None):
    evidence = evidence or ticket()
    world = snapshot(payer or customer(), *records)
    found = {}
    for one in find_anomalies(evidence, world, identify(evidence, world), POLICY):
        found.setdefault(one.code, []).extend(one.objects)
    return found


# --- what is open -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "late"),
    [
        ({"due_date": at("2026-11-10")}, True),
        ({"due_date": at("2026-12-10")}, False),
        ({"due_date": None}, False),
        ({"due_date": at("2026-11-10"), "collection_method": "charge_automatically"}, False),
        ({"due_date": at("2026-11-10"), "status": "paid"}, False),
    ],
)
def test_an_invoice_on_terms_is_overdue_after_its_date(fields, late):
    bill = invoice(**({"status": "open", "collection_method": "send_invoice"} | fields))
    assert anomalies(bill) == ({"invoice_overdue": ["in_A"]} if late else {})


@pytest.mark.parametrize(
    ("status", "invoice_status", "payable"),
    [("canceled", "open", True), ("canceled", "void", False), ("canceled", "paid", False), ("past_due", "open", False)],
)
def test_an_open_invoice_outlives_its_subscription(status, invoice_status, payable):
    found = anomalies(subscription(status=status), invoice(status=invoice_status))
    assert found.get("open_invoice_after_cancellation", []) == (["in_A"] if payable else [])


def test_a_settled_open_invoice_is_not_payable():
    assert anomalies(subscription(status="canceled"), invoice(status="open", amount_remaining=0)) == {}


# --- prorations ---------------------------------------------------------------------------------------------------


def prorated(*lines, **fields):
    return invoice(billing_reason="subscription_update", lines=lines, **fields)


def part(amount, bought=TEAM, quantity=1, **fields):
    return line(amount, bought, quantity=quantity, proration=True, **fields)


def test_prorations_of_seats_and_of_plans_are_told_apart():
    seats = prorated(part(-800, quantity=2), part(1200, quantity=3))
    one_line = prorated(part(400, quantity=3), id="in_B")
    plan = prorated(part(-1000, PRO), part(2000, ULTRA), id="in_C", created="2026-09-03")
    same = prorated(part(700), id="in_D", created="2026-09-01")
    assert anomalies(seats, one_line, plan, same) == {
        "seat_proration": ["in_A", "in_B"],
        "proration_charge": ["in_C", "in_D"],
    }


def test_a_proration_without_quantities_is_no_seat_change():
    assert not seat_change(prorated(part(500, quantity=None)))


@pytest.mark.parametrize("status", ["draft", "void"])
def test_prorations_that_nobody_pays_are_not_named(status):
    assert anomalies(prorated(part(400, quantity=3), status=status)) == {}


@pytest.mark.parametrize("count", [1, 4])
def test_pending_items_are_named(count):
    items = [
        PendingItem(id=f"ii_{n}", customer="cus_A", amount=100 * n, currency="usd", created=NOW - timedelta(hours=n))
        for n in range(count)
    ]
    assert anomalies(*items) == {"pending_proration": [f"ii_{n}" for n in range(count)]}


# --- renewals and credit ------------------------------------------------------------------------------------------

YEAR = subscription(price=PRO_YEARLY, created="2025-11-10")


@pytest.mark.parametrize(
    ("fields", "renewed"),
    [
        ({}, True),
        ({"lines": (line(29000, None),)}, True),
        ({"created": "2026-10-10"}, False),
        ({"billing_reason": "subscription_create"}, False),
        ({"status": "open"}, False),
        ({"total": 0}, False),
        ({"subscription": None, "billing_reason": "subscription_cycle"}, False),
    ],
)
def test_a_yearly_renewal_counts_for_thirty_days(fields, renewed):
    opening = {"amount": 29000, "created": "2026-11-10", "lines": (line(29000, PRO_YEARLY),)}
    assert anomalies(YEAR, invoice(**(opening | fields))) == ({"annual_renewal": ["in_A"]} if renewed else {})


def test_a_monthly_renewal_is_no_annual_one_and_twelve_months_are_a_year():
    assert anomalies(subscription(), invoice(created="2026-11-10")) == {}
    twelve = price(id="price_12", interval="month", interval_count=12)
    assert anomalies(
        subscription(price=twelve, created="2025-11-10"), invoice(created="2026-11-10", lines=(line(2900, twelve),))
    ) == {"annual_renewal": ["in_A"]}


def test_credit_that_waits_or_was_used_names_customer_or_invoice():
    assert anomalies(payer=customer(balance=-500, currency="usd")) == {"credit_balance": ["cus_A"]}
    assert anomalies(payer=customer(balance=-500)) == {"credit_balance": ["cus_A"]}
    assert anomalies(subscription(), payer=customer(balance=-500)) == {"credit_balance": ["cus_A"]}
    assert anomalies(payer=customer(balance=500)) == {}
    assert anomalies(invoice(starting_balance=-500)) == {"credit_balance": ["in_A"]}
    assert anomalies(invoice(starting_balance=-500, created="2026-08-03")) == {}
    assert anomalies(invoice(starting_balance=-500, status="void")) == {}


# --- another amount than before -----------------------------------------------------------------------------------


def two(newer=None, older=None):
    first = {"id": "in_1", "created": "2026-10-03"} | (older or {})
    second = {"id": "in_2", "created": "2026-11-03"} | (newer or {})
    return anomalies(subscription(), invoice(**second), invoice(**first))


PRICIER = {"amount": 3900, "lines": (line(3900, price(id="price_2027", amount=3900)),)}
MONTHLY = {"period_start": at("2026-10-03"), "period_end": at("2026-11-03")}
YEARLY = {"period_start": at("2026-11-03"), "period_end": at("2027-11-03")}


@pytest.mark.parametrize(
    ("newer", "older", "expected"),
    [
        ({}, {}, {}),
        (PRICIER, {}, {"price_changed": ["in_2"]}),
        ({}, {"discount_amount": 900, "total": 2000}, {"discount_ended": ["in_2"]}),
        ({"discount_amount": 900}, {}, {}),
        (PRICIER, {"discount_amount": 900}, {"discount_ended": ["in_2"], "price_changed": ["in_2"]}),
        ({"amount": 5900, "lines": (line(5900, ULTRA),)}, {}, {"plan_changed": ["in_2"]}),
        ({"amount": 5800, "lines": (line(5800, quantity=2),)}, {}, {}),
        ({"amount": 5000, "lines": (line(5000, quantity=2),)}, {}, {}),
        (PRICIER, {"status": "void"}, {}),
        (PRICIER, {"currency": "eur"}, {}),
        (PRICIER, {"amount": 0, "lines": (line(0),)}, {}),
        (PRICIER, {"billing_reason": "subscription_create"}, {"price_changed": ["in_2"]}),
        (PRICIER, {"billing_reason": "manual"}, {}),
        (PRICIER, {"lines": (line(metered=True),)}, {}),
        (
            {"amount": 29000, "lines": (line(29000, PRO_YEARLY, **YEARLY),)},
            {"lines": (line(2900, PRO, **MONTHLY),)},
            {"plan_changed": ["in_2"]},
        ),
    ],
)
def test_the_last_two_regular_invoices_say_why_the_amount_changed(newer, older, expected):
    assert two(newer, older) == expected


def test_a_change_of_plan_counts_for_thirty_days():
    change = (part(-1000, PRO), part(2000, ULTRA))
    assert anomalies(prorated(*change))["plan_changed"] == ["in_A"]
    assert "plan_changed" not in anomalies(prorated(*change, created="2026-10-03"))
    assert "plan_changed" not in anomalies(prorated(*change, status="draft"))
    assert "plan_changed" not in two(
        {"created": "2026-10-10", "lines": (line(5900, ULTRA),)}, {"created": "2026-09-10"}
    )


# --- tax and usage ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codes", ["TXT_EXPLAIN", "TXT_TAX", "TXT_USAGE", "TXT_PRICE_ROSE", "TXT_PRICE_QUESTION"])
def test_tax_and_usage_are_named_when_the_text_asks_about_an_amount(codes):
    bill = invoice(tax=500, lines=(line(), line(700, metered=True)))
    evidence = ticket(codes=(codes,))
    assert anomalies(bill, evidence=evidence) == {"tax_on_invoice": ["in_A"], "metered_usage": ["in_A"]}
    assert anomalies(bill) == {}


@pytest.mark.parametrize("status", ["draft", "void"])
def test_an_invoice_that_nobody_pays_explains_nothing(status):
    assert anomalies(invoice(tax=500, status=status, lines=(line(1, metered=True),)), evidence=ASKS) == {}


def test_nothing_is_explained_by_what_is_not_there():
    assert anomalies(invoice(), evidence=ASKS) == {}


def test_the_invoice_that_bears_the_amount_in_the_text_is_meant_else_the_newest():
    bills = [invoice("in_1", tax=400, total=3300, created="2026-10-03"), invoice("in_2", tax=500, total=3400)]
    assert anomalies(*bills, evidence=ASKS)["tax_on_invoice"] == ["in_2"]
    for amount in ("3300 usd", "400 ?"):
        named = ticket(wishes=("explain_charge",), identifiers=(("amount", amount), ("date", "2026-10-03")))
        assert anomalies(*bills, evidence=named)["tax_on_invoice"] == ["in_1"]
