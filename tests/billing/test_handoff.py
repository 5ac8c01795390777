"""Does a colleague see in a minute who it is, what is there, what we make of it and what was done? In 80 columns."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.diagnosis import Signal, Source
from billing.handoff import handoff
from billing.plan import Blocked, Impact, Plan
from billing.proposals.table import TABLE
from billing.replies.layout import columns, width_of, wrapped
from billing.snapshot import Anomaly, Hint, Missing, Why
from tests.billing.builders import (
    TEAM,
    at,
    customer,
    duplicate,
    invoice,
    item,
    ordinary,
    paid_period,
    price,
    snapshot,
    subscription,
    ticket,
)
from tests.billing.judging import judge
from tests.billing.replying import POLICY, TWICE, decisions, receipt, unnamed
from tests.billing.test_texts_and_states import ask

SECTIONS = ["CUSTOMER", "BILLING STATE", "DECISION", "ACTION TAKEN", "FOLLOW-UP", "PRODUCT GAP"]
DUPLICATE = decisions()["duplicate_same_price"]


def _lines(decision, section, receipts=()):
    return handoff(decision, POLICY, receipts).as_mapping()[section]


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_situation_fits_six_sections_of_eighty_columns(name):
    for receipts in ((), [receipt(planned) for planned in decisions()[name].plan.steps]):
        told = handoff(decisions()[name], POLICY, receipts)
        text = told.text()
        assert list(told.as_mapping()) == SECTIONS
        assert all(lines for lines in told.as_mapping().values())
        assert max(width_of(line) for line in text.split("\n")) <= 80
        assert [line for line in text.split("\n") if line in SECTIONS] == SECTIONS


def test_the_classical_handoff_reads_as_drawn():
    text = handoff(DUPLICATE, POLICY).text()
    assert text.startswith(
        "CUSTOMER\n"
        "- Maya Oliva / maya@oliva.example\n"
        "- cus_A (matched by e-mail, ticket sender verified)\n"
        "- Zendesk verified that address\n"
        "\n"
        "BILLING STATE\n"
        "- sub_B  Pro monthly  29.00 USD  active  since 2026-11-12, next 2026-12-12\n"
        "- sub_A  Pro monthly  29.00 USD  active  since 2026-09-03, next 2026-12-03\n"
        "- invoices: 4 paid, 0 open, 0 failed\n"
        "- refunds: none; disputes: none\n"
    )
    assert (
        "ACTION TAKEN\n"
        "- none yet; 5 steps, safest first:\n"
        "  1 Send the billing portal link             can be undone\n"
        "  2 Stop Pro at 12 Dec                       undo until 2026-12-12\n"
        "  3 Refund the 12 Nov charge      29.00 USD  FINAL\n"
        "  4 Write an internal note                   stays\n"
        "  5 Tell the product team                    can be undone\n"
        "- money out 29.00 USD, revenue -29.00 USD a month\n"
    ) in text
    assert "- no_duplicate_guard: Checkout lets an active subscriber buy the same plan again" in text


# --- who may be shown -----------------------------------------------------------------------------------------------


def test_of_somebody_elses_customer_nothing_is_shown():
    asked = ticket("Refund in_A_1103", email="x@else.example", wishes=("refund",))
    found = judge(asked, duplicate(Hint(object="in_A_1103", found=True, customer="cus_A")), POLICY)
    found = replace(
        found, plan=replace(found.plan, blocked=(Blocked(step="refund_charge", object="ch_A", why="identity"),))
    )
    text = handoff(found, POLICY).text()
    assert found.identity.level == "mismatch"
    assert "belongs to another address" in text
    assert "not shown: the requester is not known to be the payer" in text
    assert "not offered: refund charge (identity)" in text
    for secret in ("cus_A", "sub_A", "ch_A", "maya@", "29.00", "Pro ", "4242", "OLIVA"):
        assert secret not in text


def test_nobody_found_is_said_so():
    assert "no customer found" in _lines(unnamed()["nobody"], "CUSTOMER")


def test_nobody_named_is_said_so():
    requester = replace(unnamed()["nobody"].evidence.requester, email=None, name=None)
    found = unnamed()["nobody"]
    assert (
        _lines(replace(found, evidence=replace(found.evidence, requester=requester)), "CUSTOMER")[0]
        == "nobody is named"
    )


def test_of_several_customers_the_chosen_one_is_marked():
    lines = _lines(decisions()["duplicate_across_customers"], "CUSTOMER")
    assert sum("chosen" in line for line in lines) == 1
    assert any("2 customers have this address" in line for line in lines)


# --- what is there --------------------------------------------------------------------------------------------------


def test_seats_intervals_and_ends_are_told():
    odd = price(id="price_odd", interval="month", interval_count=3)
    rest = price(id="price_rest", interval="fortnight")
    once = price(id="price_once", interval=None, amount=None)
    world = snapshot(
        customer(),
        subscription(price=TEAM, quantity=5),
        subscription(id="sub_B", price=odd, cancel_at_period_end=True),
        subscription(id="sub_C", status="canceled", ended_at=at("2026-10-01")),
        subscription(id="sub_D", status="incomplete_expired"),
        subscription(id="sub_E", items=()),
        subscription(id="sub_F", items=(item(replace(rest, product_name="Atlas")),)),
        subscription(id="sub_G", items=(item(once),)),
    )
    text = "\n".join(_lines(judge(ticket("?"), world, POLICY), "BILLING STATE"))
    for told in (
        "Team monthly  12.00 USD x 5", "every 3 months", "ends 2026-12-03", "ended 2026-10-01", "not live",
        "sub_E  active", "Atlas fortnight", "sub_G  Pro  active",
    ):  # fmt: skip
        assert told in text


def test_an_account_without_subscriptions_says_so():
    lines = _lines(decisions()["paid_twice"], "BILLING STATE")
    assert "subscriptions: none" in lines


def test_open_failed_and_given_back_amounts_are_counted_per_currency():
    euro = invoice("in_E", status="open", currency="eur", created="2026-11-20", attempt_count=0)
    world = decisions()["soft_decline"].snapshot
    found = judge(ticket("?"), replace(world, invoices=(*world.invoices, euro)), POLICY)
    assert "invoices: 0 paid, 2 open (29.00 EUR + 29.00 USD), 1 failed" in _lines(found, "BILLING STATE")
    assert "refunds: 29.00 USD; disputes: none" in _lines(decisions()["already_refunded"], "BILLING STATE")
    assert "refunds: none; disputes: dp_A needs response" in _lines(decisions()["dispute_open"], "BILLING STATE")


def test_long_lists_are_cut_and_counted():
    many = [subscription(id=f"sub_{n}", price=price(product=f"prod_{n}", product_name=f"P{n}")) for n in range(11)]
    found = judge(ticket("?"), snapshot(customer(), many), POLICY)
    found = replace(found, anomalies=tuple(Anomaly(code="past_due", says=f"No. {n}") for n in range(10)))
    lines = _lines(found, "BILLING STATE")
    assert "and 3 more subscriptions" in lines
    assert "and 2 more anomalies" in lines


def test_what_could_not_be_read_is_said_so():
    found = judge(TWICE, duplicate(Missing(part="payment_methods", why=Why.NO_ANSWER)), POLICY)
    assert "not read in full: payment methods (no answer)" in _lines(found, "BILLING STATE")


def test_nothing_odd_is_said_so():
    assert "anomalies: none" in _lines(judge(ticket("?"), ordinary(), POLICY), "BILLING STATE")


# --- what we make of it ---------------------------------------------------------------------------------------------


def _reasons(*says):
    return tuple(Signal(code=f"c{n}", says=text, weight=1.0, source=Source.TICKET) for n, text in enumerate(says))


def test_each_reason_is_listed_once_and_neither_the_why_nor_a_reason_for_it_speaks_against_it():
    diagnosis = replace(
        DUPLICATE.diagnosis,
        why="Because.",
        signals_for=_reasons("Because.", "One.", "One.", "Two.", "Three.", "Four."),
        signals_against=_reasons("Four.", "Because.", "Doubt.", "Doubt.", "Other doubt.", "Third doubt."),
        would_change=None,
    )
    lines = _lines(replace(DUPLICATE, diagnosis=diagnosis), "DECISION")
    assert lines[1:] == [
        "why: Because.", "for: One.", "for: Two.", "for: Three.", "against: Doubt.", "against: Other doubt.",
    ]  # fmt: skip


def test_words_as_a_whole_are_told_in_a_sentence_with_the_bucket_they_are_like():
    found = ask("Why is the bill 60 dollars when the website says 12?", "12")
    lines = _lines(found, "DECISION")
    assert "for: As a whole it reads like tickets about seats or teams." in lines
    assert "against: As a whole it reads like tickets about another question about money." in lines
    every = (*found.diagnosis.signals_for, *found.diagnosis.signals_against)
    assert all(len(signal.says) > 24 for signal in every if signal.quote == "")


@pytest.mark.parametrize(
    ("email", "hints", "first"),
    [
        (None, (Hint(object="cus_A", found=True, customer="cus_A", typed=True),), "Maya Oliva / maya@oliva.example"),
        ("maya@oliva.example", (), "Maya Oliva / maya@oliva.example"),
    ],
)
def test_a_look_up_names_the_customer_and_speaks_of_no_ticket_sender(email, hints, first):
    asked = ticket("", email=email, requester={"named_by_operator": True, "name": None})
    lines = _lines(judge(asked, replace(duplicate(), hints=hints), POLICY), "CUSTOMER")
    assert lines == [first, "cus_A (looked up by the operator, no ticket sender to verify)"]


def test_a_look_up_that_finds_nobody_says_so_once():
    asked = ticket("", email=None, requester={"named_by_operator": True, "name": None})
    assert _lines(judge(asked, snapshot(), POLICY), "CUSTOMER") == ["a look-up by the operator", "no customer found"]


def test_where_a_person_decides_the_band_says_so():
    assert "(a person decides, " in _lines(decisions()["dispute_open"], "DECISION")[0]


# --- what was done --------------------------------------------------------------------------------------------------


def _with(outcome, status=None, **fields):
    return [replace(receipt(p, outcome, status), **fields) for p in DUPLICATE.plan.steps]


def test_receipts_stand_beside_their_steps():
    lines = _lines(DUPLICATE, "ACTION TAKEN", _with("done", "succeeded", object="re_1"))
    assert lines[2] == "3 Refund the 12 Nov charge  29.00 USD  done (re_1, succeeded)"
    assert lines[5] == "money out 29.00 USD, revenue -29.00 USD a month"


@pytest.mark.parametrize(
    ("outcome", "status"), [("refused", None), ("unknown", None), ("skipped", None), ("canceled", None)]
)
def test_money_that_did_not_move_is_not_counted(outcome, status):
    lines = _lines(DUPLICATE, "ACTION TAKEN", _with(outcome, status, reason="charge_disputed"))
    assert lines[2] == f"3 Refund the 12 Nov charge  29.00 USD  {outcome} (charge_disputed)"
    assert "no money out, revenue unchanged" in lines


def test_a_failed_refund_is_no_money_out():
    assert any("no money out" in line for line in _lines(DUPLICATE, "ACTION TAKEN", _with("done", "failed")))


def test_a_step_without_a_receipt_was_not_approved():
    lines = _lines(DUPLICATE, "ACTION TAKEN", _with("done", "succeeded")[:1])
    assert lines[2].endswith("not approved")
    assert "no money out, revenue unchanged" in lines


def test_what_is_not_offered_is_told_with_its_reason():
    lines = _lines(decisions()["dispute_open"], "ACTION TAKEN")
    assert "not offered: refund charge ch_A_1103 (disputed)" in lines


def test_an_empty_plan_says_so():
    lines = _lines(replace(DUPLICATE, plan=Plan(impact=Impact())), "ACTION TAKEN")
    assert lines == ["none; nothing is proposed", "no money out, revenue unchanged"]


def test_one_step_is_one_step():
    alone = Plan(steps=DUPLICATE.plan.steps[:1])
    assert "none yet; 1 step, safest first:" in _lines(replace(DUPLICATE, plan=alone), "ACTION TAKEN")


def test_the_follow_up_is_the_draft_and_after_the_receipts_the_last_word():
    assert any("We will refund $29.00" in line for line in _lines(DUPLICATE, "FOLLOW-UP"))
    done = _lines(DUPLICATE, "FOLLOW-UP", _with("done", "succeeded"))
    assert any("We have refunded $29.00" in line for line in done)
    assert not any("We will" in line for line in done)


@pytest.mark.parametrize("kind", [None, "a_kind_of_tomorrow"])
def test_no_gap_is_none(kind):
    assert _lines(replace(DUPLICATE, gap=kind), "PRODUCT GAP") == ["none"]


# --- layout ---------------------------------------------------------------------------------------------------------


def test_wide_letters_take_two_columns_and_marks_none():
    assert width_of("abc") == 3
    assert width_of("日本") == 4
    assert width_of("e\u0301") == 1


@given(st.text(alphabet="ab 日本語-é\u0301", max_size=300), st.integers(min_value=12, max_value=80))
def test_no_wrapped_line_is_wider_than_asked_and_no_letter_is_lost(text, width):
    line = " ".join(text.split())
    pieces = list(wrapped(line, width, first="- ", rest="  "))
    assert all(width_of(piece) <= width for piece in pieces)
    assert "".join(piece[2:] for piece in pieces).replace(" ", "") == line.replace(" ", "")


def test_columns_are_set_under_each_other_where_they_fit():
    assert list(columns(["a  bb", "ccc  d", "plain", "x  y"], 40)) == ["a    bb", "ccc  d", "plain", "x  y"]
    assert list(columns(["a  bb", "ccc  d"], 5)) == ["a  bb", "ccc  d"]
    assert list(columns(["1 a  9.00 USD  done", "2 bbb  done"], 40)) == [
        "1 a    9.00 USD  done",
        "2 bbb            done",
    ]
    assert list(columns(["a  b", "1 a  b  c"], 40)) == ["a  b", "1 a  b  c"]


def test_a_name_cannot_forge_a_section():
    plan = price(product_name="Pro\n\nACTION TAKEN\n- refunded")
    one = subscription(price=plan)
    found = judge(ticket("?"), snapshot(customer(), one, paid_period(one, "2026-11-03")), POLICY)
    text = handoff(found, POLICY).text()
    assert [line for line in text.split("\n") if line in SECTIONS] == SECTIONS
