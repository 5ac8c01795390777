"""Which states does Stripe show when nothing looks like worlds.py: other products, sums, order, records beside?

Teo Brandt pays in euros for Atlas, Crew and Backup; other_worlds.py gives these states their names.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from billing.policy import Policy, Products
from billing.records import InvoicePayment, PendingItem
from billing.snapshot import BillingSnapshot
from tests.billing.builders import (
    at,
    charge,
    customer,
    invoice,
    item,
    line,
    paid_period,
    payment_intent,
    payment_method,
    price,
    snapshot,
    subscription,
)

TEO = "teo@brandt.example"
LITE = price("price_lite", "prod_atlas", "Atlas", 1190, "eur")
LITE_YEAR = price("price_lite_y", "prod_atlas", "Atlas", 11900, "eur", "year")
MAX = price("price_max", "prod_max", "Atlas Max", 4900, "eur")
BACKUP = price("price_backup", "prod_backup", "Backup", 700, "eur")
CREW = price("price_crew", "prod_crew", "Crew", 800, "eur")
CREW_YEAR = price("price_crew_y", "prod_crew", "Crew", 9600, "eur", "year")
YEN = price("price_yen", "prod_kumo", "Kumo", 980, "jpy")
DINAR = price("price_dinar", "prod_falaj", "Falaj", 12500, "kwd")
POLICY = Policy(products=Products(families=(("Atlas", "Atlas Max"),)))
Write = tuple[str, str | None, int | None]


def teo(id: str = "cus_T7", email: str = TEO, **fields: Any) -> Any:
    return customer(id, email, "2025-02-02", **({"name": "Teo Brandt", "country": "DE"} | fields))


def sub(id: str, plan: Any = LITE, created: str = "2026-06-17", customer: str = "cus_T7", **fields: Any) -> Any:
    return subscription(id, customer, plan, created=created, **fields)


def paid(of: Any, *days: str, amount: int | None = None, **fields: Any) -> list[Any]:
    return [paid_period(of, day, amount, **fields) for day in days]


def backup() -> Any:
    """Another product of the same payer, quietly paid."""
    other = sub("sub_k", BACKUP, "2026-01-08")
    return other, paid(other, "2026-10-08", "2026-11-08")


def stop(name: str) -> Write:
    return ("schedule_cancellation", name, None)


def back(name: str, amount: int) -> Write:
    return ("refund_charge", name, amount)


def world(*more: Any, **fields: Any) -> BillingSnapshot:
    return snapshot(teo(), payment_method("pm_T", "cus_T7", brand="mastercard", last4="0077"), *more, **fields)


def twice(plan: Any = LITE, *more: Any, **fields: Any) -> BillingSnapshot:
    """Bought on 17 June, and the same again on 9 November."""
    first, again = sub("sub_p", plan), sub("sub_q", plan, "2026-11-09")
    return world(*more, paid(again, "2026-11-09"), again, first, paid(first, "2026-10-17", "2026-11-17"), **fields)


def two_payers(email: str = TEO) -> BillingSnapshot:
    """The product writes its account into the newer customer."""
    old, new = sub("sub_p"), sub("sub_q", created="2026-11-09", customer="cus_U8")
    bound = teo("cus_U8", email, metadata={"user_id": "771"})
    return world(bound, old, new, paid(old, "2026-10-17", "2026-11-17"), paid(new, "2026-11-09"))


def yearly_too() -> BillingSnapshot:
    monthly, yearly = sub("sub_m"), sub("sub_y", LITE_YEAR, "2026-11-02")
    return world(yearly, paid(yearly, "2026-11-02"), monthly, paid(monthly, "2026-10-17", "2026-11-17"), backup())


def tiers() -> BillingSnapshot:
    low, high = sub("sub_l"), sub("sub_h", MAX, "2026-11-04")
    return world(low, high, paid(low, "2026-10-17", "2026-11-17"), paid(high, "2026-11-04"))


def trial_beside() -> BillingSnapshot:
    main = sub("sub_p")
    second = sub("sub_t", created="2026-11-16", status="trialing", trial_end=at("2026-11-30"))
    return world(second, main, paid(main, "2026-10-17", "2026-11-17"))


def extra_ending() -> BillingSnapshot:
    first, again = sub("sub_p"), sub("sub_q", created="2026-11-09", cancel_at_period_end=True)
    return world(first, again, paid(first, "2026-10-17", "2026-11-17"), paid(again, "2026-11-09"), backup())


def half_open_twin() -> BillingSnapshot:
    good, open_one = sub("sub_p"), sub("sub_q", created="2026-11-22T06:30", status="incomplete")
    bill = invoice("in_q", 1190, "2026-11-22T06:30", "open", "sub_q", "cus_T7", currency="eur")
    intent = payment_intent("pi_q", "requires_payment_method", "2026-11-22T06:30", customer="cus_T7", amount=1190,
                            currency="eur", invoice="in_q")  # fmt: skip
    return world(open_one, good, bill, intent, paid(good, "2026-10-17", "2026-11-17"))


def overpaid(balance: int) -> BillingSnapshot:
    main = sub("sub_p")
    bill, first = paid_period(main, "2026-11-17")
    both = (*bill.payments, InvoicePayment(id="inpay_z", status="paid", amount_paid=1190, payment_intent="pi_z"))
    again = charge("ch_z", 1190, "2026-11-17T00:09", invoice=bill.id, customer="cus_T7", currency="eur")
    over = replace(bill, payments=both, amount_overpaid=1190)
    return replace(world(main, over, first, again), customers=(teo(balance=balance),))


def orders(one: dict[str, str], two: dict[str, str], apart: str = "2026-11-21T09:06") -> BillingSnapshot:
    def bought(id: str, when: str, metadata: dict[str, str]) -> Any:
        return charge(id, 5600, when, customer="cus_T7", currency="eur", metadata=metadata)

    return world(bought("ch_v", apart, two), bought("ch_u", "2026-11-21T09:01", one), backup())


def released_hold() -> BillingSnapshot:
    main = sub("sub_p")
    held = charge("ch_hold", 1190, "2026-11-17T00:03", customer="cus_T7", currency="eur", captured=False)
    return world(main, paid(main, "2026-10-17", "2026-11-17"), held, backup())


def crew(
    quantity: int = 9, *more: Any, plan: Any = CREW, created: str = "2026-06-17", **fields: Any
) -> BillingSnapshot:
    team = sub("sub_c", plan, created, quantity=quantity, **fields)
    return world(team, paid(team, "2026-06-17" if plan is CREW_YEAR else "2026-11-17"), *more)


def owned(one: dict[str, str], two: dict[str, str]) -> BillingSnapshot:
    a, b = sub("sub_p", metadata=one), sub("sub_q", created="2026-11-09", metadata=two)
    return world(a, b, paid(a, "2026-10-17", "2026-11-17"), paid(b, "2026-11-09"))


def prorated() -> BillingSnapshot:
    team = sub("sub_c", CREW, quantity=6)
    sheets = []
    for number, day in ((4, "2026-11-05"), (6, "2026-11-12")):
        lines = (line(-310, CREW, id=f"il_a{day}", proration=True, quantity=number - 1),
                 line(620, CREW, id=f"il_b{day}", proration=True, quantity=number))  # fmt: skip
        sheets.append(invoice(f"in_s{day[8:]}", 310, day, customer="cus_T7", subscription="sub_c", currency="eur",
                              billing_reason="subscription_update", lines=lines))  # fmt: skip
        sheets.append(charge(f"ch_s{day[8:]}", 310, day, invoice=f"in_s{day[8:]}", customer="cus_T7", currency="eur"))
    return world(*sheets, team, paid(team, "2026-11-17"))


def parked() -> BillingSnapshot:
    waiting = [
        PendingItem(id=f"ii_{n}", customer="cus_T7", subscription="sub_c", amount=3100, currency="eur",
                    proration=True, created=at("2026-11-13")) for n in (7, 8)
    ]  # fmt: skip
    return crew(5, *waiting, plan=CREW_YEAR)


def renewed(**fields: Any) -> BillingSnapshot:
    year = sub("sub_y", LITE_YEAR, "2024-11-11", **fields)
    return world(year, paid(year, "2025-11-10", "2026-11-11"))


def converted(**fields: Any) -> BillingSnapshot:
    main = sub("sub_p", created="2026-11-05", trial_start=at("2026-11-05"), trial_end=at("2026-11-19"),
               items=(item(LITE, start="2026-11-19"),), **fields)  # fmt: skip
    first = invoice("in_free", 0, "2026-11-05", customer="cus_T7", subscription="sub_p", currency="eur",
                    billing_reason="subscription_create")  # fmt: skip
    return world(first, main, paid(main, "2026-11-19"))


def open_bill(day: str = "2026-10-17", **fields: Any) -> Any:
    lines = (line(1190, LITE),)
    return invoice("in_o", 1190, day, "open", "sub_p", "cus_T7", currency="eur", lines=lines, **fields)


def owing(
    *more: Any, card: Any = None, status: str = "past_due", failure: dict[str, Any] | None = None, **opened: Any
) -> Any:
    """Owing for 17 November, one failed attempt with the card on file."""
    card = card or payment_method("pm_T", "cus_T7", brand="mastercard", last4="0077")
    main = sub("sub_p", status=status)
    bill = open_bill("2026-11-17", **opened)
    tried = charge("ch_o", 1190, "2026-11-17", "failed", "in_o", "cus_T7", currency="eur", payment_method="pm_T",
                   **({"decline_code": "generic_decline"} | (failure or {})))  # fmt: skip
    owner = teo(default_payment_method=card.id)
    return snapshot(owner, card, tried, bill, main, paid(main, "2026-09-17", "2026-10-17"), *more)
