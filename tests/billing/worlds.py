"""Which states does Stripe show in the 51 acceptance situations? One world for each, over the builders.

`WORLDS` maps the situation's number (with a letter for a variant) to a function that builds its snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from billing.policy import Policy, Products
from billing.records import EarlyFraudWarning, InvoiceLine, InvoicePayment, PendingItem, Schedule
from billing.snapshot import BillingSnapshot, Hint, Missing, Why
from tests.billing.builders import (
    METERED,
    PORTAL,
    PRO,
    PRO_YEARLY,
    TEAM,
    ULTRA,
    at,
    charge,
    checkout_session,
    customer,
    discount,
    dispute,
    duplicate,
    invoice,
    item,
    line,
    ordinary,
    paid_period,
    payment_intent,
    payment_method,
    price,
    refund,
    snapshot,
    subscription,
)

FAMILY = Policy(products=Products(families=(("Pro", "Ultra"),)))
TEAM_YEARLY = price(id="price_team_yearly", product="prod_team", product_name="Team", amount=12000, interval="year")
World = Callable[[], BillingSnapshot]


def second(start: str = "2026-11-12", **fields: Any) -> tuple[Any, ...]:
    """A second subscription sub_B with its first paid period."""
    extra = subscription(id="sub_B", created=start, **fields)
    return extra, *paid_period(extra, start)


def other_customer(email: str = "maya@oliva.example") -> BillingSnapshot:
    return ordinary(customer("cus_B", email=email), second(customer="cus_B"))


def yearly_beside() -> BillingSnapshot:
    yearly = subscription(id="sub_Y", price=PRO_YEARLY, created="2026-10-20")
    return ordinary(yearly, paid_period(yearly, "2026-10-20"))


def two_tiers() -> BillingSnapshot:
    upper = subscription(id="sub_U", price=ULTRA, created="2026-10-28")
    return ordinary(upper, paid_period(upper, "2026-10-28"))


def in_trial_beside() -> BillingSnapshot:
    return ordinary(subscription(id="sub_T", created="2026-11-18", status="trialing", trial_end=at("2026-12-02")))


def incomplete_twin() -> BillingSnapshot:
    twin = subscription(id="sub_B", created="2026-11-22T08:00", status="incomplete")
    open_one = invoice("in_B", created="2026-11-22T08:00", status="open", subscription="sub_B")
    intent = payment_intent("pi_B", "requires_payment_method", "2026-11-22T08:00", invoice="in_B")
    return ordinary(twin, open_one, intent)


def overpaid(balance: int = -2900) -> BillingSnapshot:
    first = subscription()
    paid, one = paid_period(first, "2026-11-03")
    payments = (*paid.payments, InvoicePayment(id="inpay_2", status="paid", amount_paid=2900, payment_intent="pi_X"))
    doubled = invoice("in_A_1103", payments=payments, amount_overpaid=2900)
    again = charge("ch_X", created="2026-11-03T00:04", invoice="in_A_1103")
    return snapshot(customer(balance=balance), first, doubled, one, again, payment_method())


def one_off_twice(*references: str) -> BillingSnapshot:
    orders = [{"order": reference} for reference in references] or [{}, {}]
    first = charge("ch_1", created="2026-11-20T10:00", metadata=orders[0])
    return snapshot(customer(), first, charge("ch_2", created="2026-11-20T10:03", metadata=orders[1]))


def hold() -> BillingSnapshot:
    return ordinary(charge("ch_H", created="2026-11-03T00:05", captured=False))


def seats(quantity: int = 5) -> BillingSnapshot:
    team = subscription(price=TEAM, quantity=quantity)
    return snapshot(customer(), team, paid_period(team, "2026-11-03"), payment_method())


def pair(first: dict[str, str], other: dict[str, str]) -> BillingSnapshot:
    one = subscription(metadata=first)
    two = subscription(id="sub_B", created="2026-11-12", metadata=other)
    return snapshot(customer(), one, two, paid_period(one, "2026-11-03"), paid_period(two, "2026-11-12"))


def seat_prorations() -> BillingSnapshot:
    team = subscription(price=TEAM, quantity=3)
    lines = (
        line(-800, TEAM, id="il_a", proration=True, quantity=2),
        line(1600, TEAM, id="il_b", proration=True, quantity=3),
    )
    change = invoice("in_P", amount=800, created="2026-11-10", billing_reason="subscription_update", lines=lines)
    taken = charge("ch_P", amount=800, created="2026-11-10", invoice="in_P")
    return snapshot(customer(), team, paid_period(team, "2026-11-03"), change, taken)


def annual_seats_waiting() -> BillingSnapshot:
    team = subscription(price=TEAM_YEARLY, quantity=3, created="2026-03-03")
    waiting = PendingItem(
        id="ii_1", customer="cus_A", subscription="sub_A", amount=4000, currency="usd", proration=True,
        created=at("2026-11-10"),
    )  # fmt: skip
    return snapshot(customer(), team, paid_period(team, "2026-03-03"), waiting)


def coupon_then_seat() -> BillingSnapshot:
    team = subscription(price=TEAM, quantity=2, discounts=(discount(percent_off=100.0),))
    first = invoice("in_0", amount=0, created="2026-09-03", billing_reason="subscription_create")
    lines = (line(1200, TEAM, id="il_b", proration=True, quantity=2),)
    update = invoice("in_U", amount=1200, created="2026-11-10", billing_reason="subscription_update", lines=lines)
    taken = charge("ch_U", amount=1200, created="2026-11-10", invoice="in_U")
    return snapshot(customer(), team, first, update, taken, payment_method())


def renewed_yearly(renewed: str = "2026-11-10", **fields: Any) -> BillingSnapshot:
    pro = subscription(price=PRO_YEARLY, created=f"2025-{renewed[5:]}", **fields)
    return snapshot(customer(), pro, paid_period(pro, renewed), payment_method())


def trial_paid(ended: str = "2026-11-18", **fields: Any) -> BillingSnapshot:
    pro = subscription(
        created="2026-11-04", trial_start=at("2026-11-04"), trial_end=at(ended), items=(item(start=ended),), **fields
    )
    return snapshot(customer(), pro, paid_period(pro, ended), payment_method())


def behind(
    *more: Any, card: Any = None, failure: dict[str, Any] | None = None, status: str = "past_due", **opened: Any
) -> BillingSnapshot:
    """An open invoice of 3 November with one failed attempt."""
    card = card or payment_method()
    attempt = charge(status="failed", invoice="in_A", **({"decline_code": "generic_decline"} | (failure or {})))
    holder = customer(default_payment_method=card.id)
    return snapshot(holder, subscription(status=status), card, invoice(status="open", **opened), attempt, *more)


EXPIRED = {"failure_code": "expired_card", "decline_code": "expired_card"}
LOST = {"decline_code": "lost_card", "advice_code": "do_not_try_again"}
POOR = {"decline_code": "insufficient_funds", "advice_code": "try_again_later"}


def card_expired() -> BillingSnapshot:
    return behind(card=payment_method(exp_month=10, exp_year=2026), failure=EXPIRED)


def card_fixed() -> BillingSnapshot:
    return behind(card=payment_method("pm_B", created="2026-11-15"), failure=POOR)


def bank_confirmation() -> BillingSnapshot:
    waiting = payment_intent(status="requires_action", invoice="in_A")
    return snapshot(customer(), subscription(status="past_due"), payment_method(), invoice(status="open"), waiting)


def first_incomplete() -> BillingSnapshot:
    fresh = subscription(status="incomplete", created="2026-11-22T05:00")
    return snapshot(customer(), fresh, invoice(status="open", created="2026-11-22T05:00"))


def lapsed() -> BillingSnapshot:
    gone = subscription(status="incomplete_expired", created="2026-11-19")
    return snapshot(customer(), gone, invoice(status="void", created="2026-11-19"))


def processing() -> BillingSnapshot:
    pending = charge("ch_P", status="pending", created="2026-11-20", method_type="sepa_debit", brand=None, last4="3000")
    return snapshot(customer(), pending)


def ended_unpaid() -> BillingSnapshot:
    gone = {"canceled_at": at("2026-11-20"), "ended_at": at("2026-11-20"), "cancellation_reason": "payment_failed"}
    ended = subscription(status="canceled", **gone)
    failed = charge(status="failed", invoice="in_A", decline_code="generic_decline")
    return snapshot(customer(), ended, invoice(status="open"), failed)


def paused(kind: str, *more: Any, **fields: Any) -> BillingSnapshot:
    return snapshot(customer(), subscription(status="paused", paused_type=kind, **fields), *more)


def paused_unpaid() -> BillingSnapshot:
    failed = charge(status="failed", invoice="in_A", decline_code="generic_decline")
    return paused("final_payment_failure", payment_method(), invoice(status="open"), failed)


def paused_trial() -> BillingSnapshot:
    return paused("trial_end_without_payment_method", trial_end=at("2026-11-17"))


def ending(**fields: Any) -> BillingSnapshot:
    pro = subscription(**(fields or {"cancel_at": at("2026-12-03"), "canceled_at": at("2026-11-14")}))
    return snapshot(customer(), pro, paid_period(pro, "2026-11-03"), payment_method())


def no_cancel_flow() -> BillingSnapshot:
    return ordinary(portal=replace(PORTAL, cancel=False))


def no_invoice_list() -> BillingSnapshot:
    return ordinary(portal=replace(PORTAL, invoice_history=False))


def scheduled() -> BillingSnapshot:
    pro = subscription(schedule=Schedule(id="sub_sched_1", status="active", phases=2))
    return snapshot(customer(), pro, paid_period(pro, "2026-11-03"))


def collection_paused() -> BillingSnapshot:
    pro = subscription(pause_collection="void")
    return snapshot(customer(), pro, paid_period(pro, "2026-10-03"))


def open_after_end() -> BillingSnapshot:
    ended = subscription(status="canceled", canceled_at=at("2026-11-01"), ended_at=at("2026-11-01"))
    return snapshot(customer(), ended, invoice("in_O", status="open", created="2026-10-03"))


def charged_after_end() -> BillingSnapshot:
    ended = subscription(status="canceled", canceled_at=at("2026-10-20"), ended_at=at("2026-10-20"))
    return snapshot(customer(), ended, paid_period(ended, "2026-10-03"), paid_period(ended, "2026-11-03"))


def warned() -> BillingSnapshot:
    return ordinary(EarlyFraudWarning(id="issfr_1", charge="ch_A_1103", actionable=True, created=at("2026-11-20")))


def refunded(status: str = "succeeded", **fields: Any) -> BillingSnapshot:
    done = status == "succeeded"
    gone = charge(
        invoice="in_A", amount_refunded=0 if status == "failed" else 2900, refunded=done,
        refunds=(refund(status=status, **fields),),
    )  # fmt: skip
    return snapshot(customer(), subscription(), invoice(), gone, payment_method())


def price_rose() -> BillingSnapshot:
    pro = subscription(price=price(id="price_pro_v2", amount=3900))
    before, after = paid_period(pro, "2026-10-03", 2900), paid_period(pro, "2026-11-03", 3900)
    cheap = replace(before[0], lines=(line(2900, PRO),))
    return snapshot(customer(), pro, cheap, after[0], before[1], after[1])


def in_currency(currency: str, amount: int) -> BillingSnapshot:
    plan = price(amount=amount, currency=currency)
    one, two = subscription(price=plan), subscription(id="sub_B", price=plan, created="2026-11-12")
    return snapshot(customer(), one, two, paid_period(one, "2026-11-03"), paid_period(two, "2026-11-12"))


def connected() -> BillingSnapshot:
    world = duplicate()
    return replace(world, charges=tuple(replace(c, connected=True) for c in world.charges))


def usage() -> BillingSnapshot:
    return ordinary(invoice("in_M", amount=4100, created="2026-11-10", lines=(line(4100, METERED, metered=True),)))


def plan_change() -> BillingSnapshot:
    lines = (
        InvoiceLine(id="il_a", amount=-1500, proration=True, price=PRO.id, product=PRO.product, quantity=1),
        InvoiceLine(id="il_b", amount=2700, proration=True, price=ULTRA.id, product=ULTRA.product, quantity=1),
    )
    change = invoice("in_P", amount=1200, created="2026-11-10", billing_reason="subscription_update", lines=lines)
    return ordinary(change, charge("ch_P", amount=1200, created="2026-11-10", invoice="in_P"))


def overdue() -> BillingSnapshot:
    terms = {"collection_method": "send_invoice", "due_date": at("2026-11-10")}
    live = subscription(collection_method="send_invoice")
    return snapshot(customer(), live, invoice(status="open", attempt_count=0, **terms))


def credit() -> BillingSnapshot:
    pro = subscription()
    paid, taken = paid_period(pro, "2026-11-03")
    used = replace(paid, starting_balance=-1000, amount_due=1900, amount_paid=1900)
    return snapshot(customer(), pro, used, replace(taken, amount=1900, amount_captured=1900))


def deleted() -> BillingSnapshot:
    gone = subscription(status="canceled", canceled_at=at("2026-11-10"), ended_at=at("2026-11-10"))
    return snapshot(customer(deleted=True), gone)


WORLDS: dict[str, World] = {
    "1": duplicate,
    "2": other_customer,
    "3": lambda: other_customer("Maya@Oliva.example"),
    "4": yearly_beside,
    "5": two_tiers,
    "6": in_trial_beside,
    "7": lambda: ordinary(second(cancel_at=at("2026-12-12"))),
    "8": incomplete_twin,
    "9": overpaid,
    "9b": lambda: overpaid(0),
    "10": one_off_twice,
    "10b": lambda: one_off_twice("17", "18"),
    "11": hold,
    "12": seats,
    "13": lambda: pair({"workspace": "w1"}, {"workspace": "w2"}),
    "14": lambda: pair({"user_id": "u1"}, {"user_id": "u2"}),
    "15": seat_prorations,
    "16": annual_seats_waiting,
    "17": coupon_then_seat,
    "18": renewed_yearly,
    "19": trial_paid,
    "20": lambda: trial_paid("2026-11-14", canceled_at=at("2026-11-16"), cancel_at=at("2026-12-14")),
    "21": card_expired,
    "22": lambda: behind(failure=LOST),
    "23": lambda: behind(failure=POOR, next_payment_attempt=at("2026-11-24")),
    "24": card_fixed,
    "25": bank_confirmation,
    "26": first_incomplete,
    "27": lapsed,
    "28": lambda: snapshot(customer(), checkout_session()),
    "29": processing,
    "30": ordinary,
    "31": lambda: behind(invoice("in_0", status="open", created="2026-10-03"), status="unpaid"),
    "32": ended_unpaid,
    "33": paused_unpaid,
    "34": paused_trial,
    "35": ending,
    "36": ending,
    "37": lambda: ordinary(portal=None),
    "37b": no_cancel_flow,
    "38": no_invoice_list,
    "39": ordinary,
    "40": scheduled,
    "41": collection_paused,
    "42": open_after_end,
    "42b": charged_after_end,
    "43": lambda: ordinary(dispute(charge="ch_A_1103", due_by=at("2026-11-29"))),
    "44": lambda: ordinary(dispute(charge="ch_A_1103", status="warning_needs_response", is_charge_refundable=True)),
    "45": warned,
    "46": refunded,
    "46b": lambda: refunded("pending"),
    "47": lambda: refunded("failed", failure_reason="expired_or_canceled_card"),
    "48": price_rose,
    "49": lambda: in_currency("jpy", 2900),
    "49b": lambda: in_currency("kwd", 2900),
    "50": connected,
    "51": lambda: snapshot(Hint(object="in_Zz12345678", found=True, customer="cus_Z")),
    "nobody": lambda: snapshot(),
    "deleted": deleted,
    "overdue": overdue,
    "usage": usage,
    "plan_change": plan_change,
    "credit": credit,
    "cut_off": lambda: duplicate(Missing(part="charges", why=Why.CUT_OFF)),
    "ordinary": ordinary,
}
