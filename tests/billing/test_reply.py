"""What does the customer read? Every situation in every language: first what we will do, then only what is proven."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.amounts import amount, day, locale_for
from billing.evidence import Bucket
from billing.money import Money
from billing.plan import Plan, PlannedStep, Receipt
from billing.policy import Policy
from billing.proposals.table import TABLE
from billing.replies import FIELD, phrases
from billing.replies import LINKS as LINK_NAMES
from billing.replies.claims import claims_in, sentences
from billing.replies.facts import first_name, offered, reply_facts
from billing.replies.rendering import render
from billing.replies.values import clean
from billing.reply import check, draft, fill_links, final
from billing.steps import (
    CancelPaymentIntent,
    CancelSubscription,
    ChangePlan,
    ChangeQuantity,
    CreateCreditNote,
    ExpireCheckoutSession,
    GrantBalanceCredit,
    HoldInvoice,
    MarkInvoicePaid,
    MarkUncollectible,
    PauseCollection,
)
from tests.billing.builders import (
    MAYA,
    NOW,
    charge,
    customer,
    duplicate,
    ordinary,
    paid_period,
    price,
    refund,
    snapshot,
    subscription,
    ticket,
)
from tests.billing.judging import judge
from tests.billing.replying import LINKS, POLICY, TWICE, WHERE, WRITTEN, decisions, receipt, unnamed

NAMES = sorted(TABLE)
OUTCOMES = ("done", "refused", "unknown", "skipped", "canceled", "undone", "pending")
INTERNAL = re.compile(
    r"\b(?:sub|ch|cus|in|pi|re|cs|dp|price|prod)_[A-Za-z0-9]|_gap\b|confidence|stolen|\blost\b|fraud|\brisk",
    re.IGNORECASE,
)


def _in(language, decision):
    return replace(decision, evidence=replace(decision.evidence, language=language))


def _plain(body):
    """The reply without the names that hold an underscore in these worlds: our own invoice numbers."""
    return re.sub(r"OLIVA-\w+", "", body)


def _receipts(decision, outcome="done", status="succeeded"):
    return [receipt(planned, outcome, status) for planned in decision.plan.steps]


# --- every situation, every language --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_world_of_a_situation_is_recognised_as_it(name):
    assert decisions()[name].diagnosis.situation == name


@pytest.mark.parametrize("language", WRITTEN)
@pytest.mark.parametrize("name", NAMES)
def test_the_draft_of_every_situation_is_true_short_and_without_anything_internal(name, language):
    decision = _in(language, decisions()[name])
    reply = draft(decision, POLICY)
    assert check(reply.body, reply.facts, ()) == ()
    assert set(FIELD.findall(reply.body)) <= set(LINK_NAMES)
    assert not INTERNAL.search(_plain(reply.body))
    assert 40 < len(reply.body) < 1200
    assert reply.body.endswith("The Acme billing team")
    assert reply.locale == language
    assert (reply.english is None) is (language == "en")


@pytest.mark.parametrize("language", WRITTEN)
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_last_word_is_true_whatever_became_of_the_steps(outcome, language):
    for name, found in decisions().items():
        decision = _in(language, found)
        facts = draft(decision, POLICY).facts
        receipts = _receipts(decision, outcome)
        body = final(facts, receipts, POLICY)
        assert check(body, facts, receipts) == (), name
        assert set(FIELD.findall(body)) <= set(LINK_NAMES), name
        assert not INTERNAL.search(_plain(body)), name
        assert len(body) < 1200, name


@pytest.mark.parametrize("language", WRITTEN)
def test_a_draft_never_says_that_a_step_was_done(language):
    for name, found in decisions().items():
        reply = draft(_in(language, found), POLICY)
        for sentence in sentences(reply.body, (language,)):
            assert claims_in(sentence, language) <= set(reply.facts["proven"]), (name, sentence)


@pytest.mark.parametrize("language", WRITTEN)
def test_every_language_has_each_phrase_of_english_and_no_other_field(language):
    english, words = phrases("en").texts, phrases(language).texts
    assert words.keys() == english.keys()
    for key, variants in words.items():
        known = {field for variant in english[key] for field in FIELD.findall(variant)}
        assert {field for variant in variants for field in FIELD.findall(variant)} <= known, key
        fewest = min(len(set(FIELD.findall(variant))) for variant in english[key])
        assert min(len(set(FIELD.findall(variant))) for variant in variants) == fewest, key


@pytest.mark.parametrize("language", WRITTEN)
def test_the_sentence_for_each_thing_done_is_seen_as_a_claim_and_its_promise_is_not(language):
    words = phrases(language)
    proofs = {
        "done.refund": "refunded", "outcome.refund_pending": "on_its_way", "done.stop": "canceled",
        "done.stop_extra": "canceled", "done.end_now": "canceled", "done.credit": "credited",
    }  # fmt: skip
    for key, claim in proofs.items():
        for variant in words.variants(*key.split(".")):
            assert claim in {c for s in sentences(variant, (language,)) for c in claims_in(s, language)}, variant
    for key, variants in words.texts.items():
        if key.startswith(("plan.", "ask.", "link.", "closing.", "wait.", "frame.")):
            for variant in variants:
                said = {claim for s in sentences(variant, (language,)) for claim in claims_in(s, language)}
                assert not said, variant


# --- what a reply says ----------------------------------------------------------------------------------------------


def test_the_classical_reply_names_the_amount_the_days_and_what_stays():
    body = draft(decisions()["duplicate_same_price"], POLICY).body
    assert body.startswith("Hi Maya,\n\nWe're sorry: a second Pro subscription was started on November 12")
    assert "We will refund $29.00 to your Visa card ending in 4242." in body
    assert "it ends on December 12" in body
    assert "stays active and renews on December 3" in body
    assert "{portal_link}" in body


def test_after_the_receipts_the_future_is_gone():
    decision = decisions()["duplicate_same_price"]
    body = final(draft(decision, POLICY).facts, _receipts(decision), POLICY)
    assert "We have refunded $29.00 to your Visa card ending in 4242." in body
    assert "is now cancelled" in body
    assert "We will" not in body


@pytest.mark.parametrize(
    ("outcome", "status", "said", "unsaid"),
    [
        ("done", "succeeded", "We have refunded $29.00", "on its way"),
        ("done", "pending", "is on its way", "refunded"),
        ("done", "requires_action", "is on its way", "refunded"),
        ("done", None, "is on its way", "refunded"),
        ("done", "failed", "did not go through", "refunded"),
        ("done", "canceled", "did not go through", "refunded"),
        ("done", "teleported", "We are checking whether", "refunded"),
        ("refused", None, "did not go through", "refunded"),
        ("unknown", None, "We are checking whether", "refunded"),
        ("sending", None, "We are checking whether", "refunded"),
        ("skipped", None, "stays active", "refund "),
        ("canceled", None, "stays active", "refund "),
        ("undone", None, "stays active", "refund "),
    ],
)
def test_a_refund_is_told_by_its_own_receipt(outcome, status, said, unsaid):
    decision = decisions()["duplicate_same_price"]
    receipts = [
        replace(r, outcome=outcome, status=status) if p.step.kind == "refund_charge" else r
        for p, r in zip(decision.plan.steps, _receipts(decision), strict=True)
    ]
    body = final(draft(decision, POLICY).facts, receipts, POLICY)
    assert said in body
    assert unsaid not in body


def test_a_stop_that_was_refused_is_no_cancellation():
    decision = decisions()["cancel_wanted"]
    body = final(draft(decision, POLICY).facts, _receipts(decision, "refused"), POLICY)
    assert "One part of this is not finished yet." in body
    assert "cancelled" not in body


def test_without_any_receipt_nothing_is_claimed():
    decision = decisions()["duplicate_same_price"]
    body = final(draft(decision, POLICY).facts, (), POLICY)
    assert "refund" not in body
    assert "cancelled" not in body


@given(st.data())
def test_no_mixture_of_outcomes_makes_a_reply_claim_more_than_its_receipts(data):
    name = data.draw(st.sampled_from(NAMES))
    decision = decisions()[name]
    facts = draft(decision, POLICY).facts
    receipts = [
        receipt(
            planned,
            data.draw(st.sampled_from(OUTCOMES)),
            data.draw(st.sampled_from(["succeeded", "pending", "failed"])),
        )
        for planned in decision.plan.steps
        if data.draw(st.booleans())
    ]
    body = final(facts, receipts, POLICY)
    assert check(body, facts, receipts) == ()
    proof = any(r.outcome == "done" and r.status == "succeeded" for r in receipts) or "refunded" in facts["proven"]
    assert proof or not re.search(r"\bWe (?:have )?refunded\b", body)


def test_what_was_put_right_is_not_told_as_still_wrong():
    decision = decisions()["card_replaced"]
    facts = draft(decision, POLICY).facts
    assert "has not been paid yet" in draft(decision, POLICY).body
    assert "has not been paid yet" not in final(facts, _receipts(decision), POLICY)
    assert "has not been paid yet" in final(facts, _receipts(decision, "refused"), POLICY)


def test_who_is_stopped_by_us_is_not_sent_to_the_button_as_well():
    decision = decisions()["cancel_wanted"]
    facts = draft(decision, POLICY).facts
    button = "You can end your subscription yourself here"
    assert button not in draft(decision, POLICY).body
    assert button not in final(facts, _receipts(decision), POLICY)
    stop = next(p.id for p in decision.plan.steps if p.step.moves)
    skipped = [replace(r, outcome="skipped") if r.step_id == stop else r for r in _receipts(decision)]
    assert button in final(facts, skipped, POLICY)


def test_a_link_whose_step_failed_is_not_promised():
    decision = decisions()["card_expired"]
    body = final(draft(decision, POLICY).facts, _receipts(decision, "refused"), POLICY)
    assert "link}" not in body


def test_a_charge_of_the_older_subscription_is_not_blamed_on_the_second_one():
    second = subscription(id="sub_B", customer="cus_B", created="2026-11-12")
    bound = customer("cus_B", metadata={"user_id": "u7"})
    found = judge(TWICE, ordinary(bound, second, paid_period(second, "2026-11-12")))
    assert "ch_A_1103" in found.plan.affected_charges
    assert "on top of" not in draft(found, POLICY).body


def test_an_overpayment_without_credit_does_not_speak_of_credit_and_a_person_answers():
    found = decisions()["invoice_overpaid"]
    spent = replace(found.snapshot, customers=(customer(),))
    body = draft(judge(TWICE, spent), POLICY).body
    assert "paid more than once" in body
    assert "credit" not in body
    assert "A colleague will look at this personally" in body


def test_credit_that_stays_is_explained_beside_an_overpayment():
    found = decisions()["invoice_overpaid"]
    kept = tuple(p for p in found.plan.steps if not p.step.moves)
    body = draft(replace(found, plan=replace(found.plan, steps=kept)), POLICY).body
    assert "There is credit on your account" in body


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("already_refunded", "on its way"),
        ("open_invoice_after_end", "A checkout was started"),
        ("twin_incomplete", "Only one payment was taken"),
    ],
)
def test_a_situation_tells_its_own_story_once(name, said):
    assert said not in draft(decisions()[name], POLICY).body


def test_a_partial_refund_names_what_went_back_and_not_the_payment():
    gone = charge(invoice="in_A", amount_refunded=900, refunds=(refund(amount=900),))
    world = replace(decisions()["partly_refunded"].snapshot, charges=(gone,))
    assert "We refunded $9.00 of the payment on November 20." in draft(judge(WHERE, world), POLICY).body


def test_a_refund_that_stripe_does_not_list_is_told_by_the_charge():
    gone = charge(invoice="in_A", amount_refunded=2900, refunded=True)
    found = judge(WHERE, replace(decisions()["already_refunded"].snapshot, charges=(gone,)))
    assert reply_facts(found, POLICY)["values"]["refund_amount"] == {"amount": 2900, "currency": "usd"}


def test_a_wish_that_cannot_be_met_by_a_step_is_met_by_a_person():
    found = decisions()["wants_to_stay"]
    bare = draft(replace(found, plan=Plan()), POLICY).body
    assert "A colleague will look at this personally" in bare


@pytest.mark.parametrize("name", ["no duplicate", "silent"])
def test_a_reply_without_a_situation_says_what_comes_next(name):
    assert "A colleague will" in draft(unnamed()[name], POLICY).body


def test_an_undecided_ticket_is_asked_what_happened():
    found = unnamed()["silent"]
    asked = replace(found, plan=Plan(), diagnosis=replace(found.diagnosis, bucket=Bucket.UNDECIDED))
    assert "What happened, and which charge is it about?" in draft(asked, POLICY).body


def test_what_is_no_billing_ticket_gets_neither_situation_nor_question():
    found = decisions()["cancel_wanted"]
    diagnosis = replace(found.diagnosis, bucket=Bucket.NOT_BILLING, situation=None)
    body = draft(replace(found, plan=Plan(), diagnosis=diagnosis), POLICY).body
    assert "Thank you for your message." in body


# --- who may be told ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nobody", "flagged"])
@pytest.mark.parametrize("language", WRITTEN)
def test_who_is_not_the_payer_learns_nothing(name, language):
    reply = draft(_in(language, unnamed()[name]), POLICY)
    assert not re.search(r"29|Pro\b|Visa|4242|OLIVA|link}", reply.body)
    assert reply.facts["values"] == {}
    assert reply.facts["stays"] is None
    assert reply.facts["proven"] == []


def test_a_mailbox_that_is_not_trusted_is_not_greeted_by_name():
    assert draft(unnamed()["flagged"], POLICY).body.startswith("Hello,")


def test_a_stranger_without_a_plan_is_asked_to_write_from_the_billing_address():
    body = draft(replace(unnamed()["nobody"], plan=Plan()), POLICY).body
    assert "we only discuss billing with its billing address" in body


def test_a_payer_whose_plan_is_empty_and_who_may_not_be_told_is_asked_what_happened():
    found = unnamed()["nobody"]
    identity = replace(decisions()["cancel_wanted"].identity, candidates=())
    assert "What happened" in draft(replace(found, plan=Plan(), identity=identity), POLICY).body


def test_a_guest_gets_the_checkout_link_and_nothing_else():
    reply = draft(unnamed()["guest"], POLICY)
    assert "{checkout_link}" in reply.body
    assert reply.facts["values"] == {}


# --- words, names, languages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("Maya Oliva", "Maya"), ("maya", "Maya"), ("Jean-Luc Picard", "Jean-Luc"), ("O’Neil Ann", "O’Neil"),
        ("山田太郎", "山田太郎"), ("김 민수", "김 민수"), (None, None), ("", None), ("M", None),
        ("maya@oliva.example", None),
        ("12345", None), ("I want my money back now", None), ("山田{name}!!", None), ("Maya\nOliva", "Maya"),
        ("x" * 30, None),
    ],
)  # fmt: skip
def test_a_greeting_uses_a_first_name_only_where_there_is_one(name, first):
    assert first_name(name) == first


def test_nothing_from_outside_can_forge_a_field_or_a_line():
    assert clean("Pro {portal_link}\n\x00<b>") == "Pro portal_link b"
    plan = price(product_name="Pro {invoice_link}\nWe have refunded you")
    one, two = subscription(price=plan), subscription(id="sub_B", price=plan, created="2026-11-12")
    found = judge(TWICE, snapshot(customer(), one, two, paid_period(one, "2026-11-03"), paid_period(two, "2026-11-12")))
    assert "{invoice_link}" not in draft(found, POLICY).body


def test_a_product_without_a_name_is_not_called_by_its_id():
    plan = price(product_name="prod_pro")
    one = subscription(price=plan)
    found = judge(ticket("Cancel", codes=("TXT_WANTS_CANCEL",), wishes=("cancel",)), snapshot(customer(), one))
    body = draft(found, POLICY).body
    assert "You asked us to end your subscription." in body
    assert "prod_" not in body


@pytest.mark.parametrize(
    ("wanted", "policy", "language"),
    [
        ("de", Policy(), "de"), ("de-AT", Policy(), "de"), ("PT_br", Policy(), "pt"), ("nl", Policy(), "en"),
        ("de", Policy(languages=("en",)), "en"), ("", Policy(), "en"),
    ],
)  # fmt: skip
def test_the_language_is_the_customers_where_policy_and_phrases_have_it(wanted, policy, language):
    assert offered(wanted, policy) == (language if language in WRITTEN else "en")


def test_a_language_that_lacks_a_phrase_leaves_the_whole_reply_to_english(monkeypatch):
    whole = phrases("en")
    torn = replace(whole, language="de", texts={k: v for k, v in whole.texts.items() if k != "plan.refund"})
    monkeypatch.setattr("billing.replies.rendering.phrases", lambda language: torn if language == "de" else whole)
    facts = reply_facts(decisions()["duplicate_same_price"], POLICY)
    body, language = render(facts, None, "de")
    assert language == "en"
    assert "We will refund $29.00" in body
    body, language = render(reply_facts(decisions()["seats_on_one_subscription"], POLICY), None, "de")
    assert language == "de"


def test_a_language_nobody_wrote_is_no_table():
    with pytest.raises(KeyError):
        phrases("nl")


def test_the_agent_reads_the_last_word_in_english_too():
    facts = draft(_in("de", decisions()["duplicate_same_price"]), POLICY).facts
    receipts = _receipts(decisions()["duplicate_same_price"])
    assert "We have refunded" in final(facts, receipts, POLICY, "en")


def test_the_facts_survive_being_stored_as_json():
    decision = decisions()["duplicate_same_price"]
    facts = draft(decision, POLICY).facts
    stored = json.loads(json.dumps(facts))
    assert final(stored, _receipts(decision), POLICY) == final(facts, _receipts(decision), POLICY)


def test_the_same_decision_gives_the_same_reply():
    decision = decisions()["two_tiers"]
    assert draft(decision, POLICY) == draft(decision, POLICY)


def test_codes_that_no_phrase_knows_get_general_words():
    facts = reply_facts(decisions()["payment_processing"], POLICY)
    steps = [{**step, "phrase": "wait.new_reason"} if step["part"] == "wait" else step for step in facts["steps"]]
    odd = {**facts, "steps": steps, "opening": "situation.new_one"}
    body = final(odd, (), POLICY)
    assert "You don't need to do anything for now." in body
    assert "Thank you for your message about your billing." in body


# --- every step kind ------------------------------------------------------------------------------------------------

USD = Money(2900, "usd")
STEPS = (
    (CancelSubscription(subscription="sub_B"), "We will end the Pro subscription", "is cancelled and has ended"),
    (ChangeQuantity(subscription="sub_A", item="si_A", quantity=3), "subscription to 3.", "subscription is now 3."),
    (ChangePlan(subscription="sub_A", item="si_A", price="price_x"), "We will change your plan", "plan is changed"),
    (HoldInvoice(invoice="in_A_1103"), "stop collecting invoice", "is not being collected"),
    (PauseCollection(subscription="sub_A"), "We will pause the billing", "is paused"),
    (GrantBalanceCredit(customer="cus_A", amount=USD), "add a credit of $29.00", "have credited $29.00"),
    (CreateCreditNote(invoice="in_A_1103", amount=USD, settle="credit"), "add a credit", "have credited $29.00"),
    (CreateCreditNote(invoice="in_A_1103", amount=USD, settle="open"), "reduce invoice", "is reduced by $29.00"),
    (CreateCreditNote(invoice="in_none", amount=USD, settle="new"), "reduce the open invoice", "is reduced"),
    (MarkInvoicePaid(invoice="in_A_1103"), "mark invoice", "is marked as paid"),
    (MarkUncollectible(invoice="in_A_1103"), "We will close invoice", "is closed"),
    (CancelPaymentIntent(payment_intent="pi_A_1103"), "release the hold of $29.00", "hold of $29.00 on your card is"),
    (CancelPaymentIntent(payment_intent="pi_Z"), "release the hold on your card", "is released"),
    (ExpireCheckoutSession(checkout_session="cs_A"), "close the open checkout", "checkout is closed"),
)


@pytest.mark.parametrize(("step", "before", "after"), STEPS)
def test_steps_that_no_situation_offers_by_itself_have_their_words(step, before, after):
    planned = PlannedStep(id="s1", step=step, says="", title="", running="", done="")
    decision = replace(judge(TWICE, duplicate()), plan=Plan(steps=(planned,)))
    reply = draft(decision, POLICY)
    assert before in reply.body
    receipts = (Receipt(step_id="s1", outcome="done"),)
    body = final(reply.facts, receipts, POLICY)
    assert after in body
    assert check(reply.body, reply.facts, ()) == check(body, reply.facts, receipts) == ()


# --- amounts and days -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "minor", "language", "written"),
    [
        ("usd", 2900, "en", "$29.00"), ("jpy", 2900, "en", "¥2,900"), ("jpy", 2900, "ja", "￥2,900"),
        ("kwd", 2900, "en", "KWD\u00a02.900"), ("kwd", 2900, "de", "2,900\u00a0KWD"),
        ("eur", 2900, "de", "29,00\u00a0€"),
        ("eur", 129000, "fr", "1\u00a0290,00\u00a0€"), ("krw", 29000, "ko", "₩29,000"), ("usd", -500, "en", "-$5.00"),
        ("isk", 2900, "en", "ISK\u00a029.00"),
    ],
)  # fmt: skip
def test_amounts_have_as_many_decimals_as_stripe_counts_in(currency, minor, language, written):
    assert amount(Money(minor, currency), locale_for(language)) == written


@pytest.mark.parametrize(
    ("language", "region", "name"),
    [("en", "en-GB", "en_GB"), ("de", "en-GB", "de"), ("pt", "pt-BR", "pt_BR"), ("xx", None, "en"), ("en", "!", "en")],
)
def test_a_region_counts_when_it_speaks_the_language(language, region, name):
    assert str(locale_for(language, region)) == name


def test_a_day_has_its_year_when_it_is_not_this_one():
    today = NOW.date()
    assert day(today, locale_for("en"), today) == "November 22"
    assert day(today.replace(year=2027), locale_for("en"), today) == "November 22, 2027"
    assert day(today, locale_for("en", "en-GB"), today) == "22 November"


@pytest.mark.parametrize(("currency", "shown"), [("jpy", "¥2,900"), ("kwd", "KWD\u00a02.900")])
def test_a_reply_writes_yen_and_dinar_as_they_are(currency, shown):
    plan = price(amount=2900, currency=currency)
    one, two = subscription(price=plan), subscription(id="sub_B", price=plan, created="2026-11-12")
    found = judge(TWICE, snapshot(customer(), one, two, paid_period(one, "2026-11-03"), paid_period(two, "2026-11-12")))
    reply = draft(found, POLICY)
    assert f"We will refund {shown}" in reply.body
    assert check(reply.body, reply.facts, ()) == ()


# --- links ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_filled_links_leave_no_placeholder_and_pass_the_check(name):
    reply = draft(decisions()[name], POLICY)
    body = fill_links(reply.body, LINKS)
    assert "{" not in body
    assert check(body, {**reply.facts, "links": LINKS}, ()) == ()


def test_a_sentence_without_its_link_goes_and_the_rest_stays():
    body = "Hi,\n\nPay here: {invoice_link}\nManage it here: {portal_link}\n\nStays. Get it: {receipt_link}"
    assert (
        fill_links(body, {"invoice_link": LINKS["invoice_link"]})
        == f"Hi,\n\nPay here: {LINKS['invoice_link']}\n\nStays."
    )
    assert fill_links("一。在此 {portal_link}。二。", {}) == "一。二。"


@pytest.mark.parametrize(
    "bad",
    [
        "https://billing.stripe.com/p/session/live_YWNjdF8x",
        "http://acme.example/",
        "javascript:alert(1)",
        "https://a b",
        "https://acme.example/{portal_link}",
        "",
    ],
)
def test_a_link_that_opens_an_account_or_is_no_web_address_is_never_put_in(bad):
    assert fill_links("Manage it here: {portal_link}", {"portal_link": bad}) == ""


def test_other_braces_are_left_to_the_check():
    assert fill_links("Use {code} here", LINKS) == "Use {code} here"


def test_the_worlds_are_those_of_one_payer():
    assert decisions()["cancel_wanted"].evidence.requester.email == MAYA
