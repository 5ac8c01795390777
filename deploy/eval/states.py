"""How does Stripe look in each state code of the codebook? A world per code, built from the tests' builders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from tests.billing import worlds
from tests.billing.builders import (
    MAYA,
    PRO,
    TEAM,
    at,
    charge,
    checkout_session,
    customer,
    dispute,
    duplicate,
    invoice,
    line,
    ordinary,
    paid_period,
    payment_method,
    refund,
    snapshot,
    subscription,
)


def _ended(**fields: Any) -> Any:
    gone = subscription(status="canceled", canceled_at=at("2026-11-20"), ended_at=at("2026-11-20"), **fields)
    return snapshot(customer(), gone, paid_period(gone, "2026-10-03"), paid_period(gone, "2026-11-03"))


def _team_of_customers() -> Any:
    one, two = subscription(metadata={"user_id": "u1"}), subscription(id="sub_B", metadata={"user_id": "u2"})
    return snapshot(customer(), one, two, paid_period(one, "2026-11-03"), paid_period(two, "2026-11-03"))


def _paid_once_more() -> Any:
    """One period of one subscription, paid by two charges."""
    again = charge("ch_X", created="2026-11-03T00:04", invoice="in_A_1103")
    return ordinary(again)


def _coupon_gone() -> Any:
    pro = subscription()
    before, after = paid_period(pro, "2026-10-03", 2320), paid_period(pro, "2026-11-03", 2900)
    cheap = replace(before[0], subtotal=2900, discount_amount=580, lines=(line(2900, PRO),))
    return snapshot(customer(), pro, cheap, before[1], after[0], after[1], payment_method())


def _taxed() -> Any:
    pro = subscription(automatic_tax=True)
    paid, taken = paid_period(pro, "2026-11-03", 3451)
    return snapshot(customer(), pro, replace(paid, subtotal=2900, tax=551), taken, payment_method())


def _refunded(status: str) -> Any:
    gone: dict[str, Any] = {
        "amount_refunded": 2900,
        "refunded": status == "succeeded",
        "refunds": (refund(status=status),),
    }
    pro = subscription()
    return snapshot(customer(), pro, paid_period(pro, "2026-11-03", **gone), payment_method())


def _trialing() -> Any:
    trial = subscription(created="2026-11-18", status="trialing", trial_end=at("2026-12-02"))
    return snapshot(customer(), trial, payment_method())


def _blocked() -> Any:
    return worlds.behind(failure={"outcome_type": "blocked", "decline_code": None})


def _no_subscription() -> Any:
    paid = charge("ch_1", created="2026-11-20", payment_intent="pi_1")
    session = checkout_session("cs_1", "complete", "2026-11-20", payment_status="paid", payment_intent="pi_1",
                               mode="subscription")  # fmt: skip
    return snapshot(customer(), paid, session)


def _open_invoice() -> Any:
    failed = charge("ch_F", created="2026-11-10", status="failed", invoice="in_O", decline_code="generic_decline")
    return ordinary(invoice("in_O", status="open", created="2026-11-10"), failed)


def _retried() -> Any:
    return ordinary(charge("ch_F", status="failed", created="2026-11-02T20:00", invoice="in_A_1103"))


def _seats() -> Any:
    team = subscription(price=TEAM, quantity=1)
    return snapshot(customer(), team, paid_period(team, "2026-11-03"), payment_method())


def _raised() -> Any:
    """The product changed the plan: the invoice of a change nobody asked for."""
    return worlds.plan_change()


STATES: Mapping[str, Callable[[], Any]] = MappingProxyType(
    {
        "ONE_ACTIVE": ordinary,
        "MULTI_ACTIVE_SAME": duplicate,
        "MULTI_ACTIVE_DIFF_PLAN": worlds.yearly_beside,
        "MULTI_CUSTOMER_TEAM": _team_of_customers,
        "DUP_CHARGE_ONE_SUB": _paid_once_more,
        "PI_SECOND_CANCELED": worlds.hold,
        "AUTH_ONLY": worlds.hold,
        "QTY_GT1": worlds.seats,
        "QTY_EQ1": _seats,
        "PI_FAILED": lambda: worlds.behind(failure=worlds.POOR),
        "PI_REQUIRES_ACTION": worlds.bank_confirmation,
        "RADAR_BLOCKED": _blocked,
        "SUB_INCOMPLETE": worlds.first_incomplete,
        "SUB_PAST_DUE": lambda: worlds.behind(failure=worlds.LOST),
        "INVOICE_OPEN": _open_invoice,
        "SUB_UNPAID_CANCELED": worlds.ended_unpaid,
        "INVOICE_RETRY_SUCCEEDED": _retried,
        "NEVER_CANCELED": ordinary,
        "CANCELED_BEFORE_CHARGE": worlds.charged_after_end,
        "CANCELED_AFTER_CHARGE": _ended,
        "CANCEL_AT_PERIOD_END": worlds.ending,
        "CANCELED": _ended,
        "PAID_ACTIVE_NO_ENTITLEMENT": ordinary,
        "PAID_NO_SUB": _no_subscription,
        "PLAN_CHANGED_BY_USER": worlds.plan_change,
        "PLAN_CHANGED_BY_SYSTEM": _raised,
        "PRORATION_LINES": worlds.plan_change,
        "CREDIT_BALANCE": worlds.credit,
        "COUPON_MISSING": _coupon_gone,
        "TAX_LINES": _taxed,
        "METERED_USAGE": worlds.usage,
        "TRIALING": _trialing,
        "TRIAL_CONVERTED": worlds.trial_paid,
        "REFUND_PENDING": lambda: _refunded("pending"),
        "REFUNDED": lambda: _refunded("succeeded"),
        "DISPUTE_OPEN": lambda: ordinary(dispute(charge="ch_A_1103")),
        "FRAUD_SIGNALS": worlds.warned,
        "NO_CUSTOMER": snapshot,
        "OTHER_EMAIL_CUSTOMER": lambda: snapshot(customer("cus_Z", "someone@else.example")),
    }
)
__all__ = ["MAYA", "STATES"]
