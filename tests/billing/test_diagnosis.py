"""Text and state are weighed together; state overrules, text only lowers rights, and what is unknown is said so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from billing.diagnosis import Band
from billing.evidence import Bucket, TextSignal
from billing.reading.scoring import weights
from billing.snapshot import Hint, Missing, Why
from tests.billing.builders import duplicate, ordinary, snapshot, ticket
from tests.billing.judging import judge, writes


def said(*codes, wishes=(), **fields):
    """A ticket whose claims carry the weights that the reader gives them."""
    table = weights().codes
    signals = tuple(TextSignal(code=c, quote="quoted", group=table[c][0], weights=table[c][1]) for c in codes)
    return replace(ticket("text", wishes=wishes, **fields), signals=signals)


TWICE = said("TXT_DUP_TWICE", wishes=("refund",))


def test_text_and_state_that_agree_are_suggested():
    found = judge(TWICE, duplicate()).diagnosis
    assert (found.bucket, found.band) == (Bucket.DUPLICATE_SUBSCRIPTION, Band.SUGGEST)
    assert found.confidence > 0.95


def test_state_overrules_text():
    quality = said("TXT_CHARGED_AFTER_CANCEL", "TXT_CLAIMS_CANCELLED")
    assert judge(quality, duplicate()).diagnosis.bucket is Bucket.DUPLICATE_SUBSCRIPTION


def test_a_claim_that_stripe_denies_counts_against_itself():
    found = judge(TWICE, ordinary()).diagnosis
    assert found.bucket is not Bucket.DUPLICATE_SUBSCRIPTION
    alone = judge(TWICE, snapshot()).diagnosis
    assert alone.bucket is Bucket.DUPLICATE_SUBSCRIPTION


def test_what_could_not_be_read_denies_nothing():
    unread = ordinary(Missing(part="charges", why=Why.NO_ANSWER))
    assert judge(TWICE, unread).diagnosis.bucket is Bucket.DUPLICATE_SUBSCRIPTION


def test_signals_carry_quotes_or_objects_and_add_up():
    found = judge(TWICE, duplicate()).diagnosis
    assert all(signal.quote or signal.objects for signal in found.signals_for)
    assert [signal.weight for signal in found.signals_for] == sorted(
        (signal.weight for signal in found.signals_for), reverse=True
    )
    assert all(signal.weight < 0 for signal in found.signals_against)


@pytest.mark.parametrize("text", ["", "?"])
def test_nothing_to_act_on_is_undecided_and_needs_a_person(text):
    empty = replace(ticket(text), has_text=False)
    found = judge(empty, ordinary())
    assert found.diagnosis.bucket is Bucket.UNDECIDED
    assert found.diagnosis.needs_human
    assert writes(found) == []


def test_a_state_that_tells_little_does_not_stand_in_for_a_missing_text():
    from tests.billing.test_situation_seats import _seats

    found = judge(replace(ticket(""), has_text=False), _seats(5))
    assert found.diagnosis.bucket is Bucket.UNDECIDED


def test_an_operator_who_asks_without_text_gets_what_the_state_says():
    asked = ticket("", requester={"named_by_operator": True})
    found = judge(asked, duplicate())
    assert found.diagnosis.bucket is Bucket.DUPLICATE_SUBSCRIPTION
    assert not found.diagnosis.needs_human


def test_words_alone_decide_without_a_customer_and_never_move_money():
    found = judge(said("TXT_SEAT_CHANGE", "TXT_TEAM", email="new@else.example"), snapshot())
    assert found.diagnosis.bucket is Bucket.TEAM_SEATS
    assert writes(found) == []


def test_spam_is_not_billing_and_needs_nobody():
    found = judge(said("TXT_PITCH", email="spam@else.example"), snapshot()).diagnosis
    assert (found.bucket, found.needs_human) == (Bucket.NOT_BILLING, False)


@pytest.mark.parametrize("email", ["new@else.example", None])
def test_a_request_that_needs_a_write_from_nobody_known_needs_a_person(email):
    assert judge(said("TXT_WANTS_REFUND", wishes=("refund",), email=email), snapshot()).diagnosis.needs_human


def test_a_mismatch_needs_a_person():
    world = snapshot(Hint(object="in_Z", found=True, customer="cus_Z"))
    found = judge(said("TXT_WANTS_REFUND", wishes=("refund",), email="new@else.example"), world)
    assert found.diagnosis.band is Band.PERSON


def test_instructions_to_a_machine_lower_the_band_and_nothing_else():
    poisoned = replace(TWICE, instructions_to_machine=True)
    clean, found = judge(TWICE, duplicate()), judge(poisoned, duplicate())
    assert found.diagnosis.band is Band.CHECK
    assert found.plan.digest == clean.plan.digest


def test_an_agents_correction_sets_the_bucket_and_grants_nothing():
    found = judge(TWICE, ordinary(), correction=Bucket.DUPLICATE_SUBSCRIPTION)
    assert found.diagnosis.bucket is Bucket.DUPLICATE_SUBSCRIPTION
    assert any(signal.source == "agent" for signal in found.diagnosis.signals_for)
    assert writes(found) == []


def test_a_correction_takes_the_money_away_that_the_other_bucket_allowed():
    found = judge(TWICE, duplicate(), correction=Bucket.NOT_BILLING)
    assert found.plan.steps == ()


def test_a_correction_that_the_state_supports_gives_that_plan():
    invoice = said("TXT_INVOICE", wishes=("invoice",))
    assert writes(judge(invoice, duplicate())) == []
    found = judge(invoice, duplicate(), correction=Bucket.DUPLICATE_SUBSCRIPTION)
    assert [kind for kind, _, _ in writes(found)] == ["schedule_cancellation", "refund_charge"]


def test_two_readings_within_the_margin_need_a_person():
    torn = said("TXT_DECLINED", "TXT_QUOTE", "TXT_NO_ACCESS", "TXT_INVOICE")
    found = judge(replace(torn, requester=replace(torn.requester, email="new@else.example")), snapshot()).diagnosis
    assert found.needs_human
    assert found.second is not None
    assert found.confidence - found.second[1] < 0.25


def test_a_legal_threat_is_checked_and_not_taken_for_doubt():
    found = judge(replace(TWICE, signals=(*TWICE.signals, TextSignal(
        code="TXT_LEGAL_THREAT", quote="lawyer", group="tone", weights={}))), duplicate()).diagnosis  # fmt: skip
    assert (found.band, found.needs_human) == (Band.CHECK, False)
