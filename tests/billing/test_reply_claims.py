"""Which sentence of an edited reply is not borne out by the plan and its receipts?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.money import Money
from billing.plan import Plan, PlannedStep, Receipt
from billing.replies.claims import claims_in, sentences
from billing.reply import check, draft
from billing.steps import RefundCharge
from tests.billing.builders import customer, paid_period, price, snapshot, subscription
from tests.billing.judging import judge
from tests.billing.replying import LINKS, POLICY, TWICE, WRITTEN, decisions, receipt

DECISION = decisions()["duplicate_same_price"]
FACTS = draft(DECISION, POLICY).facts
DONE = tuple(receipt(planned) for planned in DECISION.plan.steps)
PENDING = tuple(receipt(planned, "done", "pending") for planned in DECISION.plan.steps)
REFUNDED = "says that money was refunded, and no receipt shows it"
ON_ITS_WAY = "says that a refund is on its way, and no receipt shows one"
CANCELED = "says that something was cancelled, and no receipt shows it"
CREDITED = "says that credit was given, and no receipt shows it"


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ("We have refunded $29.00.", (REFUNDED,)),
        ("You were reimbursed.", (REFUNDED,)),
        ("Your refund has been issued.", (ON_ITS_WAY,)),
        ("The refund of $29.00 is on its way.", (ON_ITS_WAY,)),
        ("Your subscription is cancelled.", (CANCELED,)),
        ("We have canceled it.", (CANCELED,)),
        ("We have credited $29.00.", (CREDITED,)),
        ("We will refund $29.00.", ()),
        ("It has not been refunded yet.", ()),
        ("Once it is refunded, you get a mail.", ()),
        ("It can't be refunded.", ()),
        ("Nothing was cancelled.", ()),
        ("We will refund it. We have refunded it.", (REFUNDED,)),
    ],
)
def test_a_claim_needs_a_receipt_and_a_promise_does_not(body, problems):
    assert check(body, FACTS, ()) == problems


@pytest.mark.parametrize(
    "body",
    ["We have refunded $29.00.", "The refund of $29.00 is on its way.", "The second one is cancelled.", "We will see."],
)
def test_what_receipts_prove_may_be_said(body):
    assert check(body, FACTS, DONE) == ()


def test_a_refund_that_is_pending_is_on_its_way_and_not_refunded():
    assert check("We have refunded $29.00.", FACTS, PENDING) == (REFUNDED,)
    assert check("The refund of $29.00 is on its way.", FACTS, PENDING) == ()


@given(st.sampled_from(["refused", "unknown", "skipped", "canceled", "undone", "pending", "holding"]))
def test_no_outcome_but_done_proves_anything(outcome):
    receipts = tuple(receipt(planned, outcome) for planned in DECISION.plan.steps)
    assert check("We have refunded $29.00.", FACTS, receipts) == (REFUNDED,)
    assert check("It is cancelled.", FACTS, receipts) == (CANCELED,)


def test_what_stripe_shows_already_may_be_said_without_a_receipt():
    facts = draft(decisions()["already_refunded"], POLICY).facts
    assert check("We refunded $29.00 on November 20.", facts, ()) == ()
    assert check("We have credited it.", facts, ()) == (CREDITED,)
    ended = draft(decisions()["cancellation_scheduled"], POLICY).facts
    assert check("It is cancelled and ends on December 3.", ended, ()) == ()


def test_a_refund_may_only_be_claimed_with_its_own_amount():
    step = RefundCharge(charge="ch_B_1112", amount=Money(1000, "usd"))
    planned = PlannedStep(id="s1", step=step, says="", title="", running="", done="")
    from dataclasses import replace

    plan = replace(DECISION.plan, steps=(planned,))
    facts = draft(replace(DECISION, plan=plan), POLICY).facts
    proof = (Receipt(step_id="s1", outcome="done", status="succeeded"),)
    assert check("We have refunded $10.00.", facts, proof) == ()
    assert check("We have refunded $29.00.", facts, proof) == ("$ 29.00 is not an amount that was refunded",)


@pytest.mark.parametrize(
    "written",
    ["$29.00", "$29", "US$29.00", "29.00 USD", "USD 29.00", "USD\u00a029.00", "29,00 $", "29,00\u00a0US$", "A$29.00"],
)
def test_an_amount_of_the_plan_is_recognised_however_it_is_written(written):
    known = written != "A$29.00"
    assert (check(f"It is about {written} only.", FACTS, ()) == ()) is known


@pytest.mark.parametrize("written", ["$290.00", "29.00 EUR", "€29", "$2.90", "30 USD", "$29.005"])
def test_an_amount_that_is_not_of_the_plan_is_named(written):
    assert any("is not an amount of this plan" in problem for problem in check(f"We talk of {written}.", FACTS, ()))


@pytest.mark.parametrize("text", ["29 days", "The FAQ 12 is here", "5 to 10 business days", "VAT 19", "in 2 parts"])
def test_numbers_that_are_no_amounts_are_left_alone(text):
    assert check(text, FACTS, ()) == ()


@pytest.mark.parametrize(
    ("currency", "good", "bad"),
    [
        ("jpy", ("¥2,900", "￥2,900", "2900 JPY", "JPY 2,900"), ("¥29", "¥29.00")),
        ("kwd", ("KWD 2.900", "2,900 KWD"), ("KWD 2900", "KWD 29.00")),
        ("eur", ("€29.00", "29,00 €", "EUR 29"), ("€2,900", "$29.00")),
        ("chf", ("CHF 29.00", "CHF 29"), ("€29.00",)),
    ],
)
def test_amounts_are_read_in_their_currencys_own_decimals(currency, good, bad):
    plan = price(amount=2900, currency=currency)
    one, two = subscription(price=plan), subscription(id="sub_B", price=plan, created="2026-11-12")
    world = snapshot(customer(), one, two, paid_period(one, "2026-11-03"), paid_period(two, "2026-11-12"))
    facts = draft(judge(TWICE, world), POLICY).facts
    assert [written for written in good if check(f"It was {written} then.", facts, ())] == []
    assert [written for written in bad if not check(f"It was {written} then.", facts, ())] == []


def test_thousands_are_read_with_any_separator():
    plan = price(amount=129000)
    one, two = subscription(price=plan), subscription(id="sub_B", price=plan, created="2026-11-12")
    world = snapshot(customer(), one, two, paid_period(one, "2026-11-03"), paid_period(two, "2026-11-12"))
    facts = draft(judge(TWICE, world), POLICY).facts
    for written in ("$1,290.00", "1.290,00 $", "1’290.00 USD", "1 290,00 USD", "$1290"):
        assert check(f"It was {written} then.", facts, ()) == ()


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("November 12", True), ("12 November", True), ("12 Nov", True), ("Nov 12, 2026", True),
        ("the 12th of November", True),
        ("2026-11-12", True), ("11月12日", True), ("2026年11月12日", True), ("11월 12일", True),
        ("November 13", False), ("Nov 12, 2025", False), ("2026-11-13", False), ("11月13日", False),
        ("2025年11月12日", False),
    ],
)  # fmt: skip
def test_a_day_is_one_of_the_plan(written, known):
    assert (check(f"It happened on {written} already", FACTS, ()) == ()) is known


def test_today_may_always_be_named():
    assert check("Today is November 22.", FACTS, ()) == ()


@pytest.mark.parametrize(
    ("language", "written", "wrong"),
    [
        ("de", "am 12. November 2026 gebucht", "am 13. November gebucht"),
        ("es", "el 12 de noviembre de 2026", "el 13 de noviembre"),
        ("fr", "le 12 novembre", "le 1er novembre"),
        ("pt", "em 12 de novembro", "em 13 de novembro"),
        ("ja", "11月12日", "11月13日"),
    ],
)
def test_days_are_read_in_the_language_of_the_reply(language, written, wrong):
    facts = {**FACTS, "language": language}
    assert check(written, facts, ()) == ()
    assert any("is not a date of this plan" in problem for problem in check(wrong, facts, ()))


@pytest.mark.parametrize(
    "link",
    ["https://evil.example/pay", "http://x.example", "www.evil.example/login", "evil.example/pay?x=1"],
)
def test_a_link_that_is_not_ours_is_named(link):
    assert any("is not a link of this plan" in problem for problem in check(f"See {link}.", FACTS, ()))


def test_our_links_are_fine_and_a_portal_session_never_is():
    facts = {**FACTS, "links": LINKS}
    assert check(f"See {LINKS['portal_link']}.", facts, ()) == ()
    found = check("See https://billing.stripe.com/p/session/live_x", facts, ())
    assert found == ("a portal session link opens the account to whoever has it",)


@pytest.mark.parametrize("text", ["Hi {name}", "Hi {{ticket.id}}", "{% if x %}"])
def test_a_placeholder_that_was_left_is_named(text):
    assert check(text, FACTS, ()) == ("a placeholder was left in the text",)


@pytest.mark.parametrize("name", sorted(LINKS))
def test_the_four_links_may_still_be_placeholders(name):
    assert check(f"Here: {{{name}}}", FACTS, ()) == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Write to maya@oliva.example", "an e-mail address stands in the text"),
        ("It was sub_1QKept", "an internal id stands in the text"),
        ("Your card 4242 4242 4242 4242", "a long number stands in the text"),
        ("Your card was stolen", 'the word "stolen" does not belong in a reply'),
        ("You are a Fraudster", 'the word "Fraudster" does not belong in a reply'),
        ("Bucket self_serve_gap", 'the word "self_serve_gap" does not belong in a reply'),
    ],
)
def test_what_never_belongs_in_a_reply_is_named(text, problem):
    assert problem in check(text, FACTS, ())


def test_a_problem_is_named_once():
    assert check("We refunded it. We refunded it.", FACTS, ()) == (REFUNDED,)


def test_an_empty_reply_has_no_problem():
    assert check("", FACTS, ()) == ()


@pytest.mark.parametrize("product", ["$49 Plan", "Risk Radar", "Lost & Found", "Plan 2025-01-01", "Plan for 12 March"])
def test_a_products_own_name_is_no_problem(product):
    plan = price(product_name=product)
    one, two = subscription(price=plan), subscription(id="sub_B", price=plan, created="2026-11-12")
    world = snapshot(customer(), one, two, paid_period(one, "2026-11-03"), paid_period(two, "2026-11-12"))
    reply = draft(judge(TWICE, world), POLICY)
    assert product in reply.body
    assert check(reply.body, reply.facts, ()) == ()
    assert check(f"{product}: the card was stolen", reply.facts, ()) != ()


def test_a_language_without_phrases_is_checked_in_english():
    assert check("We have refunded it.", {**FACTS, "language": "nl"}, ()) == (REFUNDED,)


@pytest.mark.parametrize("language", WRITTEN)
def test_claims_are_seen_whatever_the_case_of_the_letters(language):
    from billing.replies import phrases

    said = phrases(language).variants("done", "refund")[-1].upper()
    assert "refunded" in {claim for s in sentences(said, (language,)) for claim in claims_in(s, language)}


def test_a_numbered_day_does_not_end_a_sentence():
    assert sentences("Am 12. November wird es beendet. Danach nichts.", ("de",)) == [
        "Am 12. November wird es beendet.", "Danach nichts.",
    ]  # fmt: skip
    assert sentences("It is 12. Then it ends.", ("de",)) == ["It is 12.", "Then it ends."]


@given(st.text(max_size=200))
def test_any_text_can_be_checked(body):
    assert isinstance(check(body, FACTS, DONE), tuple)


def test_a_plan_without_steps_proves_nothing():
    from dataclasses import replace

    facts = draft(replace(DECISION, plan=Plan()), POLICY).facts
    assert check("It is cancelled.", facts, DONE) == (CANCELED,)
