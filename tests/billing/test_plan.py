"""A plan is data: every step survives being written down, and the digest covers exactly what an approval covers."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields, replace
from datetime import timedelta
from typing import get_args

import pytest

from billing.money import Money
from billing.plan import (
    Fact,
    Impact,
    Plan,
    PlannedStep,
    running_order,
)
from billing.steps import (
    KINDS,
    CreatePortalSession,
    Explain,
    FileIssue,
    RefundCharge,
    ScheduleCancellation,
    Step,
    Wait,
    WriteInternalNote,
    decode,
    encode,
)
from tests.billing.builders import NOW

REFUND = RefundCharge(charge="ch_A", amount=Money(2900, "usd"), reason="duplicate")


def filled(kind):
    """A step of this kind with something in every field."""
    values = {"amount": Money(2900, "usd"), "quantity": 3, "until": NOW}
    return KINDS[kind](**{spec.name: values.get(spec.name, f"{spec.name}_1") for spec in fields(KINDS[kind])})


def bare(kind):
    """A step of this kind with its defaults."""
    needed = [spec.name for spec in fields(KINDS[kind]) if spec.default is MISSING]
    full = filled(kind)
    return KINDS[kind](**{name: getattr(full, name) for name in needed})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("made", [filled, bare])
def test_a_step_that_was_written_down_is_read_back_the_same(kind, made):
    step = made(kind)
    assert decode(json.loads(json.dumps(encode(step)))) == step


def test_the_kinds_are_those_of_the_contract_and_every_step_has_its_own():
    assert len(KINDS) == len(get_args(Step)) == 32


def test_what_is_written_down_is_the_kind_and_the_fields_in_plain_json():
    assert encode(REFUND) == {
        "kind": "refund_charge",
        "charge": "ch_A",
        "amount": {"amount": 2900, "currency": "usd"},
        "reason": "duplicate",
    }
    assert encode(CreatePortalSession(customer="cus_A")) == {"kind": "create_portal_session", "customer": "cus_A"}
    assert encode(Wait(reason="r", until=NOW))["until"] == "2026-11-22T10:00:00+00:00"


@pytest.mark.parametrize("document", [{}, {"kind": "send_gift"}, {"kind": None}, {"kind": "Refund_charge"}])
def test_a_kind_that_this_version_does_not_know_is_refused(document):
    with pytest.raises(ValueError, match=r"\Aunknown step kind\Z"):
        decode(document)


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "refund_charge", "charge": "ch_A"},
        {**encode(REFUND), "speed": "fast"},
        {"kind": "write_internal_note", "body": "x"},
    ],
)
def test_a_field_too_few_or_too_many_is_refused(document):
    with pytest.raises(ValueError, match=r"\Anot a (refund_charge|write_internal_note) step\Z"):
        decode(document)


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_is_the_id_that_the_step_acts_on(kind):
    step = filled(kind)
    assert step.object == (f"{step.acts_on}_1" if step.acts_on else None)
    assert step.money == (Money(2900, "usd") if "amount" in encode(step) else None)


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_taken_back_always_writes_to_stripe(kind):
    assert KINDS[kind].reversible or KINDS[kind].moves


# --- the digest -----------------------------------------------------------------------------------------------------

FACTS = (Fact(object="ch_A", field="amount_refunded", value="0"), Fact(object="ch_A", field="disputed", value="False"))
FIRST = PlannedStep(id="s1", step=REFUND, says="a", title="b", running="c", done="d", requires=("x",), facts=FACTS)
SECOND = PlannedStep(id="s2", step=ScheduleCancellation(subscription="sub_B"), says="", title="", running="", done="")
PLAN = Plan(steps=(FIRST, SECOND))


def changed(**values):
    return replace(PLAN, steps=(replace(FIRST, **values), SECOND))


@pytest.mark.parametrize(
    "other",
    [
        changed(id="s9"),
        changed(step=replace(REFUND, charge="ch_B")),
        changed(step=replace(REFUND, amount=Money(2901, "usd"))),
        changed(step=replace(REFUND, amount=Money(2900, "eur"))),
        changed(step=replace(REFUND, reason="requested_by_customer")),
        changed(requires=()),
        changed(requires=("y",)),
        changed(facts=FACTS[:1]),
        changed(facts=(replace(FACTS[0], value="1"), FACTS[1])),
        changed(facts=(replace(FACTS[0], field="amount"), FACTS[1])),
        changed(facts=(replace(FACTS[0], object="ch_B"), FACTS[1])),
        replace(PLAN, steps=(SECOND, FIRST)),
        replace(PLAN, steps=(FIRST,)),
        Plan(),
    ],
)
def test_the_digest_changes_with_every_step_amount_condition_and_fact(other):
    assert other.digest != PLAN.digest


@pytest.mark.parametrize(
    "other",
    [
        changed(says="other words", title="t", running="r", done="d", detail="more"),
        changed(optional=False),
        changed(undo_until=NOW + timedelta(days=3)),
        changed(facts=FACTS[::-1]),
        replace(PLAN, impact=Impact(refund={"usd": 1}), untouched="x", kept=("sub_A",), extra=("sub_B",)),
    ],
)
def test_the_digest_does_not_change_with_words_or_with_the_order_of_facts(other):
    assert other.digest == PLAN.digest


def test_the_digest_stays_what_it_is_over_releases():
    # An approval that waits for a second person is compared by it: another text here strands what waits.
    assert PLAN.digest == "sha256:755f3ca00080a0a48c75b0598d14d26233a319ba5b963e9fcb8ef66f5f78e621"
    assert Plan().digest == "sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"


# --- the order ------------------------------------------------------------------------------------------------------


def planned(number, step):
    return PlannedStep(id=f"s{number}", step=step, says="", title="", running="", done="")


def test_the_note_and_the_issue_run_last_and_everything_else_keeps_its_place():
    steps = [
        planned(1, WriteInternalNote()),
        planned(2, Explain(topic="seats")),
        planned(3, FileIssue(gap="no_duplicate_guard")),
        planned(4, ScheduleCancellation(subscription="sub_B")),
        planned(5, REFUND),
    ]
    assert [step.id for step in running_order(steps)] == ["s2", "s4", "s5", "s1", "s3"]
