"""A second reader's word takes confidence away; it moves no bucket, no plan and no right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from billing.diagnosis import Band
from billing.evidence import Bucket, SecondReading
from tests.billing.builders import duplicate, snapshot
from tests.billing.judging import judge
from tests.billing.test_diagnosis import TWICE, said


def read_as(bucket, evidence=TWICE):
    return judge(replace(evidence, second_reading=SecondReading(bucket=bucket, quote="quoted")), duplicate())


OTHERS = [b for b in Bucket if b not in {Bucket.DUPLICATE_SUBSCRIPTION, Bucket.UNDECIDED}]


@pytest.mark.parametrize("bucket", OTHERS)
def test_another_opinion_turns_a_suggestion_into_a_check_and_leaves_the_plan(bucket):
    alone, doubted = judge(TWICE, duplicate()), read_as(bucket)
    assert (alone.diagnosis.band, doubted.diagnosis.band) == (Band.SUGGEST, Band.CHECK)
    assert doubted.diagnosis.bucket is alone.diagnosis.bucket
    assert doubted.diagnosis.confidence < alone.diagnosis.confidence
    assert doubted.plan == alone.plan
    (row,) = [one for one in doubted.diagnosis.signals_against if one.code == "second_reader"]
    assert (row.weight, row.quote) == (-0.5, "quoted")


def test_agreement_proves_nothing():
    assert read_as(Bucket.DUPLICATE_SUBSCRIPTION).diagnosis == judge(TWICE, duplicate()).diagnosis


def test_what_nobody_decided_and_an_agents_word_are_not_touched():
    silent = replace(said(), second_reading=SecondReading(bucket=Bucket.TEAM_SEATS, quote="quoted"))
    assert judge(silent, snapshot()).diagnosis == judge(said(), snapshot()).diagnosis
    told = replace(TWICE, second_reading=SecondReading(bucket=Bucket.TEAM_SEATS, quote="quoted"))
    chosen = judge(told, duplicate(), correction=Bucket.DUPLICATE_SUBSCRIPTION).diagnosis
    assert all(row.code != "second_reader" for row in chosen.signals_against)
