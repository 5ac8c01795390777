"""Which states does Stripe show when nothing looks like worlds.py, by the name of the row of again.toml?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from billing.records import EarlyFraudWarning, Schedule
from billing.snapshot import BillingSnapshot, Hint, Missing, Why
from tests.billing.builders import (
    PORTAL,
    at,
    charge,
    checkout_session,
    discount,
    dispute,
    invoice,
    line,
    paid_period,
    payment_intent,
    payment_method,
    price,
    refund,
    snapshot,
)
from tests.billing.teo import (
    CREW,
    DINAR,
    LITE,
    MAX,
    TEO,
    YEN,
    backup,
    converted,
    crew,
    extra_ending,
    half_open_twin,
    open_bill,
    orders,
    overpaid,
    owing,
    owned,
    paid,
    parked,
    prorated,
    released_hold,
    renewed,
    sub,
    teo,
    tiers,
    trial_beside,
    twice,
    two_payers,
    world,
    yearly_too,
)


def gone(reason: str | None, *more: Any, **fields: Any) -> BillingSnapshot:
    ended = sub("sub_p", status="canceled", canceled_at=at("2026-11-18"), ended_at=at("2026-11-18"),
                cancellation_reason=reason, **fields)  # fmt: skip
    return world(ended, paid(ended, "2026-09-17"), *more)


def quiet(*more: Any, plan: Any = LITE, **fields: Any) -> BillingSnapshot:
    """One subscription, paid each month, nothing odd; `portal=` and other fields of the snapshot."""
    main = sub("sub_p", plan)
    return world(main, paid(main, "2026-09-17", "2026-10-17", "2026-11-17"), *more, **fields)


def given_back(status: str, **fields: Any) -> BillingSnapshot:
    main = sub("sub_p")
    returned = {"amount_refunded": 0 if status == "failed" else 1190, "refunded": status == "succeeded",
                "refunds": (refund("re_t", 1190, "2026-11-19", currency="eur", status=status, **fields),)}  # fmt: skip
    return world(main, paid(main, "2026-10-17"), paid(main, "2026-11-17", **returned))


def dearer(**fields: Any) -> BillingSnapshot:
    """1.90 more than the month before."""
    newer = price("price_lite_v2", "prod_atlas", "Atlas", 1380, "eur")
    main = sub("sub_p", newer)
    old, new = paid_period(main, "2026-10-17", 1190), paid_period(main, "2026-11-17", 1380)
    return world(main, replace(old[0], lines=(line(1190, LITE),)), replace(new[0], **fields), old[1], new[1])


def coupon_gone() -> BillingSnapshot:
    main = sub("sub_p")
    old, new = paid_period(main, "2026-10-17", 590), paid_period(main, "2026-11-17", 1190)
    cheap = replace(old[0], subtotal=1190, discount_amount=600, lines=(line(1190, LITE),))
    return world(main, cheap, new, old[1])


def free_crew(first_sum: int = 0) -> BillingSnapshot:
    """A crew for nothing by coupon, and one more member on 12 November, taken in full."""
    gift = discount("di_gift", percent_off=100.0, duration="forever")
    team = sub("sub_c", CREW, quantity=3, discounts=(gift,))
    begun = invoice("in_c0", first_sum, "2026-10-17", customer="cus_T7", subscription="sub_c", currency="eur",
                    billing_reason="subscription_create")  # fmt: skip
    grown = invoice("in_c1", 620, "2026-11-12", customer="cus_T7", subscription="sub_c", currency="eur",
                    billing_reason="subscription_update",
                    lines=(line(620, CREW, proration=True, quantity=3),))  # fmt: skip
    return world(team, begun, grown, charge("ch_c1", 620, "2026-11-12", invoice="in_c1", customer="cus_T7",
                                            currency="eur"))  # fmt: skip


def first_try(status: str, day: str, bill: str) -> BillingSnapshot:
    main = sub("sub_p", created=day, status=status)
    return world(main, invoice("in_o", 1190, day, bill, "sub_p", "cus_T7", currency="eur",
                               billing_reason="subscription_create"))  # fmt: skip


def paused(kind: str, *more: Any, **fields: Any) -> BillingSnapshot:
    return world(sub("sub_p", status="paused", paused_type=kind, **fields), *more)


def unverified_id() -> BillingSnapshot:
    return quiet(Hint(object="sub_ForeignAa11", found=True, customer="cus_X9"))


def partly() -> Any:
    main = sub("sub_p")
    part = {"amount_refunded": 500, "refunds": (refund("re_t", 500, "2026-11-19", currency="eur"),)}
    return world(main, paid(main, "2026-10-17"), paid(main, "2026-11-17", **part))


def retried() -> Any:
    main = sub("sub_p")
    bill, good = paid_period(main, "2026-11-17")
    bad = charge(
        "ch_bad", 1190, "2026-11-16T20:00", "failed", bill.id, "cus_T7", currency="eur", decline_code="generic_decline"
    )
    return world(main, bill, replace(good, created=at("2026-11-18")), bad, paid(main, "2026-10-17"))


def late_charge() -> Any:
    ended = sub(
        "sub_p",
        status="canceled",
        canceled_at=at("2026-10-30"),
        ended_at=at("2026-10-30"),
        cancellation_reason="cancellation_requested",
    )
    return world(ended, paid(ended, "2026-10-17", "2026-11-17"), backup())


def bought_nothing() -> Any:
    got = charge("ch_v", 4900, "2026-11-20", customer="cus_T7", currency="eur", payment_intent="pi_v")
    return world(
        got,
        checkout_session(
            "cs_v",
            "complete",
            "2026-11-20",
            customer="cus_T7",
            email=TEO,
            payment_status="paid",
            payment_intent="pi_v",
            mode="subscription",
            amount_total=4900,
            currency="eur",
        ),
    )


def changed_plan() -> Any:
    main = sub("sub_p", MAX)
    lines = (line(-600, LITE, id="il_a", proration=True), line(2100, MAX, id="il_b", proration=True))
    bill = invoice(
        "in_w",
        1500,
        "2026-11-08",
        subscription="sub_p",
        customer="cus_T7",
        currency="eur",
        billing_reason="subscription_update",
        lines=lines,
    )
    return world(
        main,
        bill,
        charge("ch_w", 1500, "2026-11-08", invoice="in_w", customer="cus_T7", currency="eur"),
        paid(main, "2026-11-17"),
    )


def two_currencies() -> Any:
    one, two = sub("sub_p"), sub("sub_u", price("price_lib", "prod_lib", "Library", 900, "usd"), "2026-08-02")
    return world(one, two, paid(one, "2026-11-17"), paid(two, "2026-11-02"))


def shown_in_other() -> Any:
    main = sub("sub_p")
    bill, got = paid_period(main, "2026-11-17")
    return world(main, bill, replace(got, presentment_amount=1299, presentment_currency="usd"))


def odd(status: str = "frozen") -> BillingSnapshot:
    w = quiet()
    return replace(w, subscriptions=tuple(replace(s, status=status) for s in w.subscriptions))


def in_trial() -> Any:
    return world(sub("sub_p", created="2026-11-15", status="trialing", trial_end=at("2026-11-29")))


def over() -> BillingSnapshot:
    first, again = sub("sub_p"), sub("sub_q", created="2026-09-20")
    return world(first, again, paid(first, "2026-09-17", "2026-10-17"), [paid_period(again, "2026-09-20")])


def no_charges_right() -> Any:
    return twice(LITE, Missing(part="charges", why=Why.NOT_PERMITTED))


WORLDS: dict[str, Callable[[], BillingSnapshot]] = {
    "same plan twice": twice,
    "same plan twice, with another product beside": lambda: twice(LITE, backup()),
    "three times the same": lambda: twice(
        LITE, sub("sub_r", created="2026-11-10"), paid(sub("sub_r", created="2026-11-10"), "2026-11-10")
    ),
    "bound twin is the newer": lambda: owned({}, {"workspace": "blau"}),
    "two customers of one address": two_payers,
    "address in capitals": lambda: two_payers("TEO@brandt.example"),
    "monthly beside yearly": yearly_too,
    "two tiers": tiers,
    "trial beside paid": trial_beside,
    "extra is ending already": extra_ending,
    "twin never paid": half_open_twin,
    "invoice paid twice, credited": lambda: overpaid(-1190),
    "invoice paid twice, credit used up": lambda: overpaid(0),
    "one order twice": lambda: orders({"order": "K-17"}, {"order": "K-17"}),
    "two orders": lambda: orders({"order_id": "K-17"}, {"order_id": "K-18"}),
    "two skus": lambda: orders({"sku": "poster"}, {"sku": "mug"}),
    "hold, not a charge": released_hold,
    "a free crew that grew": free_crew,
    "nine seats": crew,
    "two places": lambda: owned({"org_id": "n"}, {"org_id": "s"}),
    "two people": lambda: owned({"member": "ana"}, {"member": "leo"}),
    "seats billed by day": prorated,
    "seats wait for the renewal": parked,
    "yearly renewal, money back": renewed,
    "yearly renewal, tried to leave": renewed,
    "yearly renewal, only a receipt wanted": renewed,
    "trial became paid": converted,
    "left after the trial": lambda: converted(canceled_at=at("2026-11-20"), cancel_at=at("2026-12-19")),
    "card ran out": lambda: owing(
        card=payment_method("pm_T", "cus_T7", exp_month=9, exp_year=2026),
        failure={"failure_code": "expired_card", "decline_code": "expired_card"},
    ),
    "stolen card": lambda: owing(failure={"decline_code": "stolen_card", "advice_code": "do_not_try_again"}),
    "no money that day": lambda: owing(
        failure={"decline_code": "insufficient_funds", "advice_code": "try_again_later"},
        next_payment_attempt=at("2026-11-25T06:00"),
    ),
    "blocked payment": lambda: owing(failure={"outcome_type": "blocked", "decline_code": None}),
    "new card since": lambda: owing(
        card=payment_method("pm_new", "cus_T7", "2026-11-19"), failure={"decline_code": "insufficient_funds"}
    ),
    "bank must confirm": lambda: world(
        sub("sub_p", status="past_due"),
        open_bill("2026-11-17"),
        payment_intent("pi_o", "requires_action", "2026-11-17", customer="cus_T7", invoice="in_o"),
    ),
    "first payment unfinished": lambda: first_try("incomplete", "2026-11-22T01:00", "open"),
    "first payment lapsed": lambda: first_try("incomplete_expired", "2026-11-18", "void"),
    "checkout left, expired but recoverable": lambda: world(
        checkout_session("cs_t", "expired", "2026-11-20", customer="cus_T7", email=TEO, recoverable=True)
    ),
    "bank debit on its way": lambda: world(
        charge("ch_w", 1190, "2026-11-20", "pending", customer="cus_T7", currency="eur", method_type="sepa_debit")
    ),
    "paid, shut out": quiet,
    "paid, shut out and angry": quiet,
    "unpaid after all retries": lambda: owing(
        invoice("in_older", 1190, "2026-10-17T01:00", "open", "sub_p", "cus_T7", currency="eur"), status="unpaid"
    ),
    "ended by dunning": lambda: gone("payment_failed", open_bill()),
    "paused for a failed payment": lambda: paused(
        "first_payment_failure",
        open_bill("2026-11-17"),
        charge("ch_o", 1190, "2026-11-17", "failed", "in_o", "cus_T7", decline_code="generic_decline"),
    ),
    "paused after a trial without card": lambda: replace(
        paused("trial_end_without_payment_method", trial_end=at("2026-11-15")), payment_methods=()
    ),
    "did it work": lambda: world(
        sub("sub_p", cancel_at=at("2026-12-17"), canceled_at=at("2026-11-12")), paid(sub("sub_p"), "2026-11-17")
    ),
    "wants to stay": lambda: world(sub("sub_p", cancel_at_period_end=True), paid(sub("sub_p"), "2026-11-17"), backup()),
    "no portal": lambda: quiet(portal=None),
    "portal without cancelling": lambda: quiet(portal=replace(PORTAL, cancel=False)),
    "receipt for a guest's purchase": lambda: world(
        charge("ch_once", 5600, "2026-10-30", customer="cus_T7", currency="eur")
    ),
    "invoices off": lambda: quiet(portal=replace(PORTAL, invoice_history=False)),
    "account gone, billing goes on": quiet,
    "held by a schedule": lambda: world(
        sub("sub_p", schedule=Schedule(id="sub_sched_9", status="active", phases=3)), paid(sub("sub_p"), "2026-11-17")
    ),
    "collection paused": lambda: world(
        sub("sub_p", pause_collection="keep_as_draft"), paid(sub("sub_p"), "2026-09-17")
    ),
    "old bill after the end": lambda: gone("cancellation_requested", open_bill()),
    "dispute open": lambda: quiet(dispute("du_1", "ch_p_1117", "under_review", amount=1190, currency="eur")),
    "dispute open, receipt wanted": lambda: quiet(dispute("du_1", "ch_p_1117", amount=1190, currency="eur")),
    "bank asks": lambda: quiet(
        dispute("du_2", "ch_p_1117", "warning_under_review", amount=1190, currency="eur", is_charge_refundable=True)
    ),
    "dispute won long ago": lambda: quiet(
        dispute("du_3", "ch_p_0917", "won", amount=1190, currency="eur", created=at("2026-09-20"))
    ),
    "early warning": lambda: quiet(
        EarlyFraudWarning(id="issfr_9", charge="ch_p_1117", actionable=True, created=at("2026-11-21"))
    ),
    "refunded already": lambda: given_back("succeeded"),
    "refund on its way, asked again": lambda: given_back("pending"),
    "refund came back": lambda: given_back("failed", failure_reason="declined"),
    "dearer": dearer,
    "coupon ran out": coupon_gone,
    "twice in yen": lambda: twice(YEN),
    "twice in dinar": lambda: twice(DINAR),
    "marketplace money": lambda: (lambda w: replace(w, charges=tuple(replace(c, connected=True) for c in w.charges)))(
        twice()
    ),
    "somebody else's id": unverified_id,
    "nobody": lambda: snapshot(),
    "net terms, overdue": lambda: world(
        sub("sub_p", collection_method="send_invoice"),
        open_bill(collection_method="send_invoice", due_date=at("2026-11-16"), attempt_count=0),
    ),
    "credit paid a part": lambda: (
        lambda m: world(
            m,
            replace(paid_period(m, "2026-11-17")[0], starting_balance=-500, amount_due=690, amount_paid=690),
            charge("ch_p_1117", 690, "2026-11-17", invoice="in_p_1117", customer="cus_T7", currency="eur"),
        )
    )(sub("sub_p")),
    "usage": lambda: quiet(
        invoice(
            "in_u",
            7700,
            "2026-11-20",
            subscription="sub_p",
            customer="cus_T7",
            currency="eur",
            lines=(
                line(7700, price("price_use", "prod_atlas", "Atlas", None, "eur", usage_type="metered"), metered=True),
            ),
        )
    ),
    "tax": lambda: (
        lambda m: world(
            m,
            replace(paid_period(m, "2026-11-17", 1416)[0], subtotal=1190, tax=226),
            paid_period(m, "2026-11-17", 1416)[1],
        )
    )(sub("sub_p", automatic_tax=True)),
    "different products": lambda: quiet(backup()),
    "which of two products": lambda: quiet(backup()),
    "two kept on purpose": twice,
    "stop while behind": lambda: owing(failure={"decline_code": "insufficient_funds"}),
    "pitch to a customer": quiet,
    "part came back": partly,
    "failed, then paid": retried,
    "charged after the end": late_charge,
    "paid, nothing behind": bought_nothing,
    "plan changed": changed_plan,
    "two currencies": two_currencies,
    "another currency was shown": shown_in_other,
    "a status nobody knows": odd,
    "in trial": in_trial,
    "trial, wants out": in_trial,
    "ended already": lambda: gone("cancellation_requested"),
    "duplicate outside the window": over,
    "charges not readable": no_charges_right,
    "list cut off": lambda: twice(LITE, Missing(part="invoices", why=Why.CUT_OFF)),
    "deleted customer": lambda: replace(gone("cancellation_requested"), customers=(teo(deleted=True),)),
    "tax number wanted, no field for it": lambda: quiet(portal=replace(PORTAL, tax_id_update=False)),
    "moved by the vendor": quiet,
    "banned and billed": quiet,
    "more seats": crew,
    "new card wanted": quiet,
    "smaller plan wanted": lambda: quiet(plan=MAX),
    "money back for bad quality": quiet,
    "nothing to go by": quiet,
    "vague": quiet,
    "overcharged, says who": quiet,
    "duplicate, only an invoice wanted": twice,
    "duplicate, card refused": lambda: twice(LITE),
    "hostile text": twice,
    "asks for more than it was": twice,
    "paid twice, wants nothing back": twice,
}
