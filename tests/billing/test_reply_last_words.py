"""What may a reply not say, not ask and not promise? What a customer would stumble over, in every language."""

from __future__ import annotations

import re

import pytest

from billing.evidence import Wish
from billing.plan import Receipt
from billing.policy import Policy
from billing.replies import LANGUAGES, phrases
from billing.replies.rendering import render
from billing.reply import check, draft, same_words
from tests.billing.builders import charge, customer, duplicate, snapshot, ticket
from tests.billing.judging import blocked, judge
from tests.billing.test_texts_and_states import ROWS, ask
from tests.billing.worlds import seats, yearly_beside

POLICY = Policy()
REFUND = ticket("Twice! Refund one.", codes=("TXT_DUP_TWICE", "TXT_WANTS_REFUND"), wishes=("refund",))
OLD = snapshot(
    customer(), charge("ch_1", created="2026-09-01T10:00"), charge("ch_2", created="2026-09-01T10:03")
)  # fmt: skip


def said(facts, language, receipts=None):
    body, spoken = render(facts, receipts, language)
    assert spoken == language
    return body


def done(decision):
    return tuple(Receipt(step_id=p.id, outcome="done", status="succeeded") for p in decision.plan.steps)


def words(body):
    """Words, or two letters of a script without spaces for one."""
    wide = re.findall(r"[\u3040-\u30ff\u3400-\u9fff]", body)
    return len(body.split()) + len(wide) // 2


@pytest.fixture(scope="module")
def decided():
    """What is decided for the first mail of every row."""
    return [ask(row.mails[0], row.world) for row in ROWS]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reply_is_short_and_in_one_language(decided, language):
    for found in decided:
        facts = draft(found, POLICY).facts | {"language": language}
        for receipts in (None, done(found)):
            body = said(facts, language, receipts)
            assert words(body) <= (110 if language == "en" else 130), body
            assert "!" not in body
            assert "  " not in body


# --- money that our own rules keep ------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_who_asks_for_money_that_is_too_old_is_told_so_and_that_a_person_looks(language):
    found = judge(REFUND, OLD)
    assert blocked(found) == [("refund_charge", "ch_2", "outside_policy")]
    facts = draft(found, POLICY).facts | {"language": language}
    told = phrases(language).variants("refund", "outside_policy")[0]
    body = said(facts, language)
    assert told[-12:] in body
    assert check(body, facts, ()) == ()


def test_the_amount_and_the_day_of_the_old_payment_are_named():
    body = draft(judge(REFUND, OLD), POLICY).body
    assert "The payment of $29.00 on September 1 is older than our usual refund period." in body


def test_a_refund_that_nobody_asked_for_or_that_is_given_needs_no_such_word():
    vague = ticket("Twice!", codes=("TXT_DUP_TWICE",))
    assert Wish.REFUND not in vague.wishes
    assert "refund period" not in draft(judge(vague, OLD), POLICY).body
    assert "refund period" not in draft(judge(REFUND, duplicate()), POLICY).body


# --- questions that answer themselves ---------------------------------------------------------------------------------


def test_which_one_is_to_stay_is_no_question_when_the_plan_stops_the_other():
    found = judge(REFUND, yearly_beside())
    assert "ask_customer" in [p.step.kind for p in found.plan.steps]
    reply = draft(found, POLICY)
    assert "Which subscription" not in reply.body
    assert "If you would rather keep the other subscription, tell us." in reply.body
    left_out = tuple(
        Receipt(step_id=p.id, outcome="skipped" if p.step.moves else "done", status=None) for p in found.plan.steps
    )
    assert "Which subscription do you want to keep" in said(reply.facts, "en", left_out)


def test_the_one_that_stays_is_called_the_other_one():
    assert "Your other Pro subscription stays active" in draft(judge(REFUND, duplicate()), POLICY).body


@pytest.mark.parametrize("language", LANGUAGES)
def test_one_seat_is_not_told_as_several(language):
    facts = draft(judge(ticket("Seats?", codes=("TXT_TEAM",)), seats(1)), POLICY).facts
    one = {"product": "Team", "seats": 1}
    facts = facts | {"opening": "situation.seats_on_one_subscription", "values": one, "language": language}
    assert "1 seats" not in said(facts, language)


# --- an agent's edit --------------------------------------------------------------------------------------------------


def test_line_ends_and_spaces_are_no_edit_and_words_are():
    assert same_words("Hi Maya,\r\n\r\nbye ", "Hi Maya,\n\nbye")
    assert not same_words("Hi Maya,\n\nbye", "Hi Maya,\n\nbye now")
