"""Does the plan meet a truth that the test planted itself? Histories with one known mistake, and what may be done."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from billing.evidence import Bucket
from billing.reading.codes import TextCode
from billing.records import CreditNote
from tests.billing.builders import (
    NOW,
    PRO,
    TEAM,
    ULTRA,
    charge,
    customer,
    paid_period,
    payment_method,
    price,
    refund,
    snapshot,
    subscription,
    ticket,
)
from tests.billing.judging import judge, kinds, writes
from tests.billing.test_properties import FAMILY, QUICK, tickets, worlds

# Besides everything that speaks of cancelling: who regrets a renewal, or has gone.
LEAVING = {
    TextCode.TXT_ACCOUNT_DELETED, TextCode.TXT_FORGOT_CANCEL, TextCode.TXT_RENEWAL_SURPRISE, TextCode.TXT_UNUSED,
    TextCode.TXT_MISTAKE,
}  # fmt: skip
YEN = price(id="price_yen", product="prod_yen", product_name="Yen", amount=2900, currency="jpy")
DINAR = price(id="price_kwd", product="prod_kwd", product_name="Kwd", amount=2900, currency="kwd")
PLANS = [PRO, ULTRA, TEAM, YEN, DINAR]
REFUND = ticket("I was charged twice, refund one.", codes=("TXT_DUP_TWICE", "TXT_WANTS_REFUND"), wishes=("refund",))


def ago(days):
    return NOW.replace(hour=5) - timedelta(days=days)


@st.composite
def twice(draw):
    """A kept subscription with its history, a second one bought by mistake, and its only payment: the truth."""
    plan = draw(st.sampled_from(PLANS))
    kept_for, twice_for = draw(st.integers(40, 200)), draw(st.integers(1, 27))
    assume(kept_for % 30 != twice_for)
    kept = subscription(created=ago(kept_for), price=plan)
    extra = subscription(id="sub_B", created=ago(twice_for), price=plan)
    periods = [paid_period(kept, ago(days)) for days in range(kept_for, 0, -30)]
    bill, wrong = paid_period(extra, ago(twice_for))
    back = draw(st.one_of(st.just(0), st.integers(1, wrong.amount - 1)))
    if back:
        wrong = replace(wrong, amount_refunded=back, refunds=(refund(amount=back, currency=wrong.currency),))
    records = [customer(), payment_method(), kept, extra, periods, bill, wrong]
    return records, wrong, back


def refunds(found):
    return [step for step in (planned.step for planned in found.plan.steps) if step.kind == "refund_charge"]


@QUICK
@given(twice())
def test_the_charge_that_is_given_back_is_the_one_that_was_planted(planted):
    records, wrong, back = planted
    found = judge(REFUND, snapshot(*records))
    assert ("schedule_cancellation", "sub_B", None) in writes(found)
    assert ("schedule_cancellation", "sub_A", None) not in writes(found)
    assert "cancel_subscription" not in kinds(found)
    offered = refunds(found)
    assert [step.charge for step in offered] in ([wrong.id], [] if back else [wrong.id])
    for step in offered:
        assert (step.amount.amount, step.amount.currency) == (wrong.amount - back, wrong.currency)


@QUICK
@given(twice(), st.sampled_from(["refund", "pending", "credit_note", "dispute"]))
def test_a_mistake_that_was_made_good_already_is_not_made_good_again(planted, how):
    records, wrong, _ = planted
    *others, bill, last = records
    whole = replace(wrong, amount_refunded=0, refunds=())
    match how:
        case "refund" | "pending":
            status = "succeeded" if how == "refund" else "pending"
            back = refund(amount=wrong.amount, currency=wrong.currency, status=status)
            last = replace(whole, amount_refunded=wrong.amount, refunded=how == "refund", refunds=(back,))
        case "credit_note":
            last, bill = whole, replace(bill, post_payment_credit_notes_amount=wrong.amount)
            note = {"id": "cn_1", "invoice": bill.id, "customer": "cus_A", "status": "issued", "created": ago(0)}
            others.append(CreditNote(amount=wrong.amount, currency=wrong.currency, **note))
        case _:
            last = replace(whole, disputed=True)
    found = judge(REFUND, snapshot(*others, bill, last))
    assert wrong.id not in [step.charge for step in refunds(found)]
    assert not {"create_credit_note", "grant_balance_credit"} & set(kinds(found))


@QUICK
@given(tickets(), worlds())
def test_somebody_who_did_not_ask_to_leave_keeps_a_subscription(evidence, world):
    """Who disputes a payment at the bank has left (situation 43), as has who wants a renewal's money back."""
    assume("cancel" not in evidence.wishes)
    assume(not any(signal.code in LEAVING or signal.group == "cancel" for signal in evidence.signals))
    assume(not world.disputes)
    found = judge(evidence, world, FAMILY)
    assume("refund" not in evidence.wishes or found.diagnosis.bucket is not Bucket.OTHER_BILLING)
    ends = {"schedule_cancellation", "cancel_subscription"}
    stopped = {planned.step.object for planned in found.plan.steps if planned.step.kind in ends}
    live = {s.id for s in world.subscriptions if s.live and s.customer in found.identity.candidates}
    assert not stopped or live - stopped


@QUICK
@given(tickets(), worlds())
def test_no_period_is_given_back_twice(evidence, world):
    found = judge(evidence, world, FAMILY)
    charges = {record.id: record for record in world.charges}
    periods = Counter(charges[step.charge].invoice or step.charge for step in refunds(found))
    assert all(times == 1 for times in periods.values())
    noted = {p.step.object for p in found.plan.steps if p.step.kind == "create_credit_note"}
    assert not noted & periods.keys()


@QUICK
@given(tickets(), worlds())
def test_what_changes_nothing_at_stripe_comes_first_then_what_can_be_undone_then_what_is_final(evidence, world):
    rank = [
        2 if not p.step.reversible else 1 if p.step.moves else 0
        for p in judge(evidence, world, FAMILY).plan.steps
        if p.step.kind != "release_schedule"
    ]
    assert rank == sorted(rank)


@QUICK
@given(twice(), st.sampled_from(["amount", "status", "dispute", "ending", "captured"]))
def test_the_digest_changes_when_a_fact_that_a_step_relies_on_changes(planted, what):
    records, wrong, back = planted
    assume(wrong.amount - back > 1)
    before = judge(REFUND, snapshot(*records))
    assume(refunds(before))
    *others, extra, periods, bill, last = records
    match what:
        case "amount":
            last = replace(last, amount_refunded=back + 1, refunds=(refund(amount=back + 1, currency=last.currency),))
        case "status":
            extra = replace(extra, status="past_due")
        case "dispute":
            last = replace(last, disputed=True)
        case "ending":
            extra = replace(extra, cancel_at=ago(-5))
        case _:
            last = replace(last, captured=False, amount_captured=0)
    after = judge(REFUND, snapshot(*others, extra, periods, bill, last))
    assert after.plan.digest != before.plan.digest


@QUICK
@given(twice(), st.text(max_size=40), st.integers(2027, 2040))
def test_the_digest_does_not_change_with_what_no_step_relies_on(planted, name, year):
    records, _, _ = planted
    _, _, *others = records
    renamed = customer(name=name, metadata={"note": name}), payment_method(exp_year=year)
    strangers = charge("ch_Z", customer="cus_Z"), customer("cus_Z", email="zoe@else.example")
    before, after = judge(REFUND, snapshot(*records)), judge(REFUND, snapshot(*renamed, *strangers, *others))
    assert after.plan.digest == before.plan.digest
