"""Which small world shows each line of the situation table? One decision for each, so that every reply can be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib.resources import files

from billing.decision import Decision
from billing.evidence import TicketEvidence
from billing.plan import PlannedStep, Receipt
from billing.policy import Policy, Products
from billing.records import EarlyFraudWarning, InvoicePayment, PendingItem, Schedule
from billing.replies import LANGUAGES
from billing.snapshot import BillingSnapshot
from tests.billing.builders import (
    METERED,
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
    ticket,
)
from tests.billing.judging import judge

POLICY = Policy(
    brand_name="Acme", sign_off="The Acme billing team", products=Products(families=(("Pro", "Ultra"),))
)  # fmt: skip
WRITTEN = tuple(name for name in LANGUAGES if (files("billing.replies") / f"{name}.toml").is_file())
LINKS = {
    "portal_link": "https://billing.stripe.example/p/login/A",
    "invoice_link": "https://invoice.stripe.example/i/A",
    "receipt_link": "https://pay.stripe.example/receipts/A",
    "checkout_link": "https://acme.example/checkout",
}
TWICE = ticket("I was charged twice.", codes=("TXT_DUP_TWICE",), wishes=("refund",))
FAILS = ticket("My payment fails.", codes=("TXT_DECLINED",))
WHY = ticket("Why this amount?", codes=("TXT_EXPLAIN",), wishes=("explain_charge",))
CANCEL = ticket("Cancel it.", codes=("TXT_WANTS_CANCEL",), wishes=("cancel",))
REFUND = ticket("Give me my money back.", codes=("TXT_WANTS_REFUND",), wishes=("refund",))
WHERE = ticket("Where is my refund?", codes=("TXT_REFUND_STATUS",), wishes=("refund_status",))
World = tuple[TicketEvidence, BillingSnapshot]


def _asked(*codes: str, wishes: tuple[str, ...] = ()) -> TicketEvidence:
    return ticket("A question.", codes=codes, wishes=wishes)


def duplicates() -> Iterator[tuple[str, World]]:
    second = subscription(id="sub_B", customer="cus_B", created="2026-11-12")
    theirs = (second, paid_period(second, "2026-11-12"))
    yearly = subscription(id="sub_Y", price=PRO_YEARLY, created="2026-10-20")
    upper = subscription(id="sub_U", price=ULTRA, created="2026-10-28")
    trial = subscription(id="sub_T", created="2026-11-18", status="trialing", trial_end=at("2026-12-02"))
    ending = subscription(id="sub_B", created="2026-11-12", cancel_at_period_end=True)
    twin = subscription(id="sub_B", created="2026-09-03")
    unpaid = subscription(id="sub_B", created="2026-11-22T08:00", status="incomplete")
    opened = invoice("in_B", created="2026-11-22T08:00", status="open", subscription="sub_B")
    one_off = [charge(f"ch_{n}", created=f"2026-11-20T10:0{n}") for n in (0, 3)]
    two = [replace(paid, metadata={"order": paid.id}) for paid in one_off]
    first = subscription()
    paid, taken = paid_period(first, "2026-11-03")
    again = InvoicePayment(id="inpay_2", status="paid", amount_paid=2900, payment_intent="pi_X")
    overpaid = invoice("in_A_1103", payments=(*paid.payments, again), amount_overpaid=2900)
    late = charge("ch_X", created="2026-11-03T00:04", invoice="in_A_1103")
    yield "duplicate_same_price", (TWICE, duplicate())
    yield "duplicate_across_customers", (TWICE, ordinary(customer("cus_B"), theirs))
    yield "duplicate_email_case", (TWICE, ordinary(customer("cus_B", email="Maya@Oliva.example"), theirs))
    yield "monthly_and_annual", (TWICE, ordinary(yearly, paid_period(yearly, "2026-10-20")))
    yield "two_tiers", (TWICE, ordinary(upper, paid_period(upper, "2026-10-28")))
    yield "duplicate_in_trial", (TWICE, ordinary(trial))
    yield "duplicate_already_ending", (TWICE, ordinary(ending, paid_period(ending, "2026-11-12")))
    yield "duplicate_tie", (TWICE, ordinary(twin, paid_period(twin, "2026-11-03")))
    yield "twin_incomplete", (_asked("TXT_DUP_TWICE"), ordinary(unpaid, opened))
    yield "paid_twice", (TWICE, snapshot(customer(), one_off))
    yield "two_purchases", (TWICE, snapshot(customer(), two))
    yield (
        "invoice_overpaid",
        (TWICE, snapshot(customer(balance=-2900), first, overpaid, taken, late, payment_method())),
    )
    yield "hold_on_card", (TWICE, ordinary(charge("ch_H", created="2026-11-03T00:05", captured=False)))


def seats() -> Iterator[tuple[str, World]]:
    five = subscription(price=TEAM, quantity=5)
    team = snapshot(customer(), five, paid_period(five, "2026-11-03"), payment_method())
    change = invoice(
        "in_P", amount=800, created="2026-11-10", billing_reason="subscription_update",
        lines=(line(-800, TEAM, id="il_a", proration=True, quantity=2), line(1600, TEAM, proration=True, quantity=3)),
    )  # fmt: skip
    three = subscription(price=TEAM, quantity=3)
    taken = charge("ch_P", amount=800, created="2026-11-10", invoice="in_P")
    waiting = PendingItem(
        id="ii_1", customer="cus_A", amount=4200, currency="usd", created=at("2026-11-10"), subscription="sub_A",
        proration=True,
    )  # fmt: skip
    free = subscription(
        price=TEAM, quantity=2, created="2026-11-03", discounts=(discount(percent_off=100.0, duration="forever"),)
    )
    begun = invoice("in_0", amount=0, created="2026-11-03", billing_reason="subscription_create")
    missed = invoice(
        "in_U", amount=1200, created="2026-11-10", billing_reason="subscription_update",
        lines=(line(1200, TEAM, proration=True, quantity=2),),
    )  # fmt: skip
    many = ticket("Why five times?", codes=("TXT_DUP_TWICE", "TXT_TEAM"), wishes=("explain_charge",))
    yield "seats_on_one_subscription", (many, team)
    yield "seats_change_wanted", (_asked("TXT_SEAT_CHANGE", wishes=("change_seats",)), team)
    for name, key in (("separate_workspaces", "workspace"), ("separate_users", "user_id")):
        one = subscription(metadata={key: "1"})
        two = subscription(id="sub_B", created="2026-11-12", metadata={key: "2"})
        bills = (paid_period(one, "2026-11-03"), paid_period(two, "2026-11-12"))
        yield name, (many, snapshot(customer(), one, two, bills))
    yield (
        "seat_proration",
        (_asked("TXT_SEAT_PRORATION"), snapshot(customer(), three, paid_period(three, "2026-11-03"), change, taken)),
    )
    yield "pending_seat_proration", (many, snapshot(customer(), three, paid_period(three, "2026-11-03"), waiting))
    gone = charge("ch_U", amount=1200, created="2026-11-10", invoice="in_U")
    yield "coupon_missed_seat", (many, snapshot(customer(), free, begun, missed, gone))


def _behind(*more, card=None, status="past_due", failure=None, **opened) -> BillingSnapshot:
    card = card or payment_method()
    attempt = charge(status="failed", invoice="in_A", **({"decline_code": "generic_decline"} | (failure or {})))
    payer = customer(default_payment_method=card.id)
    return snapshot(payer, subscription(status=status), card, invoice(status="open", **opened), attempt, *more)


def payments() -> Iterator[tuple[str, World]]:
    expired = {"failure_code": "expired_card", "decline_code": "expired_card"}
    poor = {"decline_code": "insufficient_funds", "advice_code": "try_again_later"}
    newer = payment_method("pm_B", created="2026-11-15")
    waiting = payment_intent(status="requires_action", invoice="in_A")
    fresh = subscription(status="incomplete", created="2026-11-22T05:00")
    lapsed = subscription(status="incomplete_expired", created="2026-11-19")
    ended = subscription(
        status="canceled", canceled_at=at("2026-11-20"), ended_at=at("2026-11-20"), cancellation_reason="payment_failed"
    )
    failed = charge(status="failed", invoice="in_A", decline_code="generic_decline")
    paused = subscription(status="paused", paused_type="final_payment_failure")
    trial = subscription(status="paused", paused_type="trial_end_without_payment_method", trial_end=at("2026-11-17"))
    pending = charge("ch_P", status="pending", created="2026-11-20", method_type="sepa_debit")
    retried = charge("ch_F", status="failed", created="2026-11-02T20:00", invoice="in_A_1103")
    worlds = {
        "card_expired": _behind(card=payment_method(exp_month=10, exp_year=2026), failure=expired),
        "hard_decline": _behind(failure={"decline_code": "lost_card", "advice_code": "do_not_try_again"}),
        "payment_blocked": _behind(failure={"outcome_type": "blocked"}),
        "soft_decline": _behind(failure=poor, next_payment_attempt=at("2026-11-24")),
        "card_replaced": _behind(card=newer, failure=poor),
        "unpaid_card_replaced": _behind(card=newer, failure=poor, status="unpaid"),
        "invoice_overdue": _behind(card=newer, collection_method="send_invoice", due_date=at("2026-11-10")),
        "bank_confirmation_needed": snapshot(
            customer(), subscription(status="past_due"), payment_method(), invoice(status="open"), waiting
        ),
        "first_payment_incomplete": snapshot(customer(), fresh, invoice(status="open", created="2026-11-22T05:00")),
        "incomplete_expired": snapshot(customer(), lapsed, invoice(status="void", created="2026-11-19")),
        "checkout_abandoned": snapshot(customer(), checkout_session()),
        "past_due": snapshot(customer(), subscription(status="past_due"), invoice("in_O", status="open")),
        "unpaid_after_retries": _behind(status="unpaid"),
        "canceled_for_nonpayment": snapshot(customer(), ended, invoice(status="open"), failed),
        "paused_for_nonpayment": snapshot(
            customer(default_payment_method="pm_B"), paused, newer, invoice(status="open"), failed
        ),
        "paused_trial_end": snapshot(customer(), trial, payment_method(created="2026-11-20")),
        "payment_processing": snapshot(customer(), pending),
        "recovered_on_retry": ordinary(retried),
    }
    for name, world in worlds.items():
        yield name, (FAILS, world)


def self_serve() -> Iterator[tuple[str, World]]:
    def ending(**fields):
        pro = subscription(**(fields or {"cancel_at": at("2026-12-03")}))
        return snapshot(customer(), pro, paid_period(pro, "2026-11-03"))

    gone = {"status": "canceled", "canceled_at": at("2026-10-20"), "ended_at": at("2026-10-20")}
    ended = subscription(**gone)
    other = subscription(id="sub_U", price=TEAM, created="2026-11-01")
    managed = subscription(schedule=Schedule(id="sub_sched_1", status="active", phases=2))
    left = invoice("in_O", status="open", created="2026-10-03")
    claimed = _asked("TXT_CLAIMS_CANCELLED", "TXT_CHARGED_AFTER_CANCEL")
    yield "cancellation_scheduled", (_asked("TXT_CANCEL_CONFIRM_QUESTION"), ending())
    yield "cancel_claimed", (_asked("TXT_CLAIMS_CANCELLED"), ordinary())
    yield "wants_to_stay", (_asked("TXT_KEEP", wishes=("keep",)), ending())
    yield "cancel_wanted", (CANCEL, ordinary())
    yield "cancel_which", (CANCEL, ordinary(other, paid_period(other, "2026-11-01")))
    yield "schedule_managed", (CANCEL, snapshot(customer(), managed, paid_period(managed, "2026-11-03")))
    yield "already_canceled", (CANCEL, snapshot(customer(), ended, paid_period(ended, "2026-10-03")))
    yield "account_deleted", (_asked("TXT_ACCOUNT_DELETED", wishes=("refund",)), ordinary())
    yield (
        "charged_after_cancellation",
        (claimed, snapshot(customer(), ended, paid_period(ended, "2026-10-03"), paid_period(ended, "2026-11-03"))),
    )
    yield "open_invoice_after_end", (_asked("TXT_PAST_DUE"), snapshot(customer(), subscription(**gone), left))
    yield "collection_paused", (ticket("Am I subscribed?"), ending(pause_collection="void"))
    yield "invoice_wanted", (_asked("TXT_INVOICE", wishes=("invoice",)), ordinary())
    yield "tax_details_wanted", (_asked("TXT_VAT", wishes=("tax_id",)), ordinary())
    yield "card_change_wanted", (_asked("TXT_CARD_UPDATE", wishes=("update_card",)), ordinary())
    yield "plan_change_wanted", (_asked("TXT_DOWNGRADE", wishes=("change_plan",)), ordinary())
    yield "settings_wanted", (_asked("TXT_PORTAL"), ordinary())


def _prorated(*lines) -> BillingSnapshot:
    change = invoice("in_P", amount=1200, created="2026-11-10", billing_reason="subscription_update", lines=lines)
    return ordinary(change, charge("ch_P", amount=1200, created="2026-11-10", invoice="in_P"))


def _two_cycles(first, second) -> BillingSnapshot:
    """Two cycle invoices; `first` and `second` replace fields of the October and the November one."""
    pro = subscription()
    october, november = paid_period(pro, "2026-10-03"), paid_period(pro, "2026-11-03")
    return snapshot(
        customer(), pro, replace(october[0], **first), replace(november[0], **second), october[1], november[1]
    )


def other() -> Iterator[tuple[str, World]]:
    def trial(ended, **fields):
        times = {"trial_start": at("2026-11-04"), "trial_end": at(ended), "items": (item(start=ended),)}
        pro = subscription(created="2026-11-04", **times, **fields)
        return snapshot(customer(), pro, paid_period(pro, ended), payment_method())

    yearly = subscription(price=PRO_YEARLY, created="2025-11-10")
    dear = price(id="price_pro_v2", amount=3900)
    usage = invoice("in_M", amount=4100, created="2026-11-10", lines=(line(4100, METERED, metered=True),))
    euro = subscription(
        id="sub_E", price=price(id="price_eur", product="prod_eu", product_name="Atlas", currency="eur")
    )
    late = {"canceled_at": at("2026-11-16"), "cancel_at": at("2026-12-14")}
    bound = PendingItem(
        id="ii_1", customer="cus_A", amount=700, currency="usd", created=at("2026-11-10"), subscription="sub_A",
        proration=True,
    )  # fmt: skip
    running = subscription(status="trialing", created="2026-11-15", trial_end=at("2026-11-29"))
    surprise = _asked("TXT_RENEWAL_SURPRISE", wishes=("refund",))
    back = (line(-1500, PRO, id="il_a", proration=True), line(2700, ULTRA, id="il_b", proration=True))
    shown = ordinary()
    shown = replace(
        shown,
        charges=tuple(replace(c, presentment_currency="eur", presentment_amount=2700) for c in shown.charges[:1]),
    )
    yield "annual_renewal", (surprise, snapshot(customer(), yearly, paid_period(yearly, "2026-11-10")))
    yield "trial_converted", (_asked("TXT_TRIAL", wishes=("refund",)), trial("2026-11-18"))
    yield "canceled_after_trial", (_asked("TXT_TRIAL", wishes=("refund",)), trial("2026-11-14", **late))
    yield "trialing", (_asked("TXT_TRIAL"), snapshot(customer(), running))
    yield "recent_payment_regretted", (_asked("TXT_MISTAKE", wishes=("refund",)), ordinary())
    yield "price_changed", (WHY, _two_cycles({}, {"total": 3900, "lines": (line(3900, dear),)}))
    yield "discount_ended", (WHY, _two_cycles({"discount_amount": 900, "total": 2000}, {}))
    yield "plan_changed", (WHY, _two_cycles({}, {"total": 5900, "lines": (line(5900, ULTRA),)}))
    yield "proration_charge", (_asked("TXT_PLAN_PRORATION", wishes=("explain_charge",)), _prorated(*back))
    yield "pending_proration", (WHY, ordinary(bound))
    yield "metered_usage", (_asked("TXT_USAGE", wishes=("explain_charge",)), ordinary(usage))
    yield (
        "credit_balance",
        (_asked("TXT_CREDIT", wishes=("explain_charge",)), snapshot(customer(balance=-500), subscription())),
    )
    taxed = _two_cycles({}, {"tax": 551, "total": 3451})
    yield "tax_on_invoice", (_asked("TXT_TAX", wishes=("explain_charge",)), taxed)
    yield "other_currency_shown", (WHY, shown)
    yield "several_currencies", (WHY, snapshot(customer(), subscription(), euro))


def trust() -> Iterator[tuple[str, World]]:
    def refunded(status, **fields):
        gone = {"amount_refunded": 2900, "refunded": status == "succeeded", "refunds": (refund(status=status),)}
        taken = charge(invoice="in_A", **(gone | fields))
        return snapshot(customer(), subscription(), invoice(), taken, payment_method())

    inquiry = dispute(charge="ch_A_1103", status="warning_needs_response", is_charge_refundable=True)
    warning = EarlyFraudWarning(id="issfr_1", charge="ch_A_1103", actionable=True, created=at("2026-11-20"))
    connected = ordinary()
    connected = replace(connected, charges=tuple(replace(c, connected=True) for c in connected.charges))
    yield "dispute_open", (REFUND, ordinary(dispute(charge="ch_A_1103")))
    yield "dispute_inquiry", (REFUND, ordinary(inquiry))
    yield "dispute_closed", (ticket("And now?"), ordinary(dispute(charge="ch_A_1103", status="won")))
    yield "early_fraud_warning", (ticket("?"), ordinary(warning))
    yield "refund_pending", (WHERE, refunded("pending"))
    yield "already_refunded", (WHERE, refunded("succeeded"))
    yield "partly_refunded", (WHERE, refunded("succeeded", amount_refunded=900, refunded=False))
    yield "refund_failed", (REFUND, refunded("failed", amount_refunded=0))
    yield "connected_charge", (REFUND, connected)
    yield "paid_no_access", (_asked("TXT_NO_ACCESS", "TXT_PAID"), ordinary())
    yield (
        "paid_nothing_behind",
        (_asked("TXT_NO_ACCESS", "TXT_PAID"), snapshot(customer(), charge(created="2026-11-20"))),
    )


@cache
def decisions() -> dict[str, Decision]:
    """The decision of each situation's world, by the situation's name."""
    worlds = (*duplicates(), *seats(), *payments(), *self_serve(), *other(), *trust())
    return {name: judge(asked, world, POLICY) for name, (asked, world) in worlds}


@cache
def unnamed() -> dict[str, Decision]:
    """What is decided where no line of the table holds, or nobody may be told anything."""
    stranger = ticket("Refund me", email="x@else.example", wishes=("refund",))
    flagged = ticket("I was charged twice.", codes=("TXT_DUP_TWICE",), wishes=("refund",), flags=(2,))
    return {
        "nobody": judge(stranger, snapshot(), POLICY),
        "flagged": judge(flagged, duplicate(), POLICY),
        "unproven": judge(ticket("Twice!", codes=("TXT_DUP_TWICE",), verification="none"), duplicate(), POLICY),
        "no duplicate": judge(_asked("TXT_DUP_SUBSCRIPTIONS"), ordinary(), POLICY),
        "silent": judge(ticket(""), ordinary(), POLICY),
        "guest": judge(FAILS, snapshot(checkout_session(customer=None)), POLICY),
    }


def receipt(planned: PlannedStep, outcome: str = "done", status: str | None = "succeeded") -> Receipt:
    """What the executor would say of this step; `status` is only said of refunds."""
    money_back = planned.step.kind in {"refund_charge", "create_credit_note"}
    return Receipt(step_id=planned.id, outcome=outcome, status=status if money_back else None)
