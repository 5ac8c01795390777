"""Only exactly the approved plan runs, on exactly the same facts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from billing.guard import Cleared, Refused, Stale, recheck
from billing.plan import Fact, Plan, PlannedStep
from billing.steps import ScheduleCancellation, WriteInternalNote
from tests.billing.builders import NOW, at, dispute, duplicate, refund, ticket
from tests.billing.judging import judge
from tests.billing.test_situation_duplicates import TWICE, _paid_twice

APPROVED = judge(TWICE, duplicate()).plan
ALL = [planned.id for planned in APPROVED.steps]


def test_the_same_facts_clear_the_chosen_steps_in_their_order():
    verdict = recheck(APPROVED, ["s5", "s4"], judge(TWICE, duplicate(taken_at=NOW + timedelta(minutes=3))))
    assert isinstance(verdict, Cleared)
    assert [planned.step.kind for planned in verdict.steps] == ["schedule_cancellation", "refund_charge"]


def _with_charge(**fields):
    world = duplicate()
    return replace(world, charges=tuple(replace(c, **fields) if c.id == "ch_B_1112" else c for c in world.charges))


def _with_subscription(name, **fields):
    world = duplicate()
    return replace(world, subscriptions=tuple(replace(s, **fields) if s.id == name else s for s in world.subscriptions))


@pytest.mark.parametrize(
    "world",
    [
        _with_charge(amount_refunded=1000, refunds=(refund(amount=1000),)),
        _with_charge(disputed=True),
        _with_subscription("sub_B", cancel_at=at("2026-12-12")),
        _with_subscription("sub_A", status="canceled", ended_at=at("2026-11-22")),
        _with_subscription("sub_A", status="past_due"),
        duplicate(dispute(charge="ch_B_1112")),
        duplicate(portal=None),
    ],
)
def test_any_drift_makes_the_plan_stale_and_names_what_moved(world):
    verdict = recheck(APPROVED, ALL, judge(TWICE, world))
    assert isinstance(verdict, Stale)
    assert verdict.moved


def test_what_moved_is_named_with_its_new_value():
    verdict = recheck(APPROVED, ALL, judge(TWICE, _with_charge(amount_refunded=1000, refunds=(refund(amount=1000),))))
    assert isinstance(verdict, Stale)
    assert ("ch_B_1112", "amount_refunded", "1000") in [(f.object, f.field, f.value) for f in verdict.moved]


def test_an_approval_of_nothing_or_of_a_foreign_step_is_refused():
    fresh = judge(TWICE, duplicate())
    assert recheck(APPROVED, [], fresh) == Refused(reason="no_steps")
    assert recheck(APPROVED, ["s9"], fresh) == Refused(reason="unknown_step")
    assert recheck(APPROVED, ["s2", "s9"], fresh) == Refused(reason="unknown_step")


def test_a_refund_without_taking_its_credit_back_is_refused():
    fresh = judge(TWICE, _paid_twice(-2900, amount_overpaid=2900))
    ids = {planned.step.kind: planned.id for planned in fresh.plan.steps}
    assert recheck(fresh.plan, [ids["refund_charge"]], fresh) == Refused(reason="needs_other_step")
    both = recheck(fresh.plan, [ids["refund_charge"], ids["reverse_balance_credit"]], fresh)
    assert isinstance(both, Cleared)


def test_a_sender_who_became_distrusted_makes_the_plan_stale():
    flagged = replace(TWICE, requester=replace(TWICE.requester, comment_flags=frozenset({14})))
    assert isinstance(recheck(APPROVED, ALL, judge(flagged, duplicate())), Stale)


def test_a_requester_who_is_no_longer_verified_makes_the_plan_stale():
    doubted = replace(TWICE, requester=ticket(verification="none").requester)
    verdict = recheck(APPROVED, ALL, judge(doubted, duplicate()))
    assert isinstance(verdict, Stale)
    assert ("sub_B", "schedule_cancellation", "offered requester_verified") in [
        (f.object, f.field, f.value) for f in verdict.moved
    ]


def test_a_plan_without_facts_is_compared_by_its_steps():
    before, after = judge(ticket("?", email="x@else.example"), duplicate(customers=())), judge(TWICE, duplicate())
    assert isinstance(recheck(before.plan, ["s1"], after), Stale)


# --- what moved, by plans that are written by hand --------------------------------------------------------------------


def by_hand(*steps):
    """A decision whose plan is exactly these (object of a cancellation, needs, facts)."""
    planned = tuple(
        PlannedStep(
            id=f"s{number}", step=ScheduleCancellation(subscription=name) if name else WriteInternalNote(),
            says="", title="", running="", done="", requires=needs,
            facts=tuple(Fact(object=o, field=f, value=v) for o, f, v in facts),
        )
        for number, (name, needs, facts) in enumerate(steps, start=1)
    )  # fmt: skip
    return replace(judge(TWICE, duplicate()), plan=Plan(steps=planned))


def moved(before, after):
    verdict = recheck(before.plan, ["s1"], after)
    assert isinstance(verdict, Stale)
    return [(fact.object, fact.field, fact.value) for fact in verdict.moved]


def test_facts_that_came_went_and_changed_are_all_named_and_equal_ones_are_not():
    before = by_hand(("sub_A", (), [("sub_A", "status", "active"), ("sub_A", "a", "1"), ("sub_A", "same", "1")]))
    after = by_hand(("sub_A", (), [("sub_A", "status", "paused"), ("sub_A", "z", "2"), ("sub_A", "same", "1")]))
    assert moved(before, after) == [("sub_A", "a", "-"), ("sub_A", "status", "paused"), ("sub_A", "z", "2")]


def test_steps_that_came_went_and_changed_their_conditions_are_all_named_when_no_fact_moved():
    before = by_hand(("sub_A", (), []), ("sub_B", (), []), ("sub_C", (), []), (None, (), []))
    after = by_hand(("sub_A", (), []), ("sub_B", ("second_approval", "x"), []), ("sub_D", (), []))
    assert moved(before, after) == [
        ("sub_B", "schedule_cancellation", "offered second_approval x"),
        ("sub_C", "schedule_cancellation", "-"),
        ("sub_D", "schedule_cancellation", "offered"),
        ("-", "write_internal_note", "-"),
    ]
    assert moved(after, before)[-1] == ("-", "write_internal_note", "offered")


def test_steps_that_need_each_other_run_together_and_another_condition_is_no_step():
    pair = by_hand(("sub_A", ("step:s2", "second_approval"), []), ("sub_B", ("step:s1",), []))
    assert isinstance(recheck(pair.plan, ["s1", "s2"], pair), Cleared)
    assert recheck(pair.plan, ["s1"], pair) == Refused(reason="needs_other_step")
