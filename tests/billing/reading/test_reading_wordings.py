"""Is a wish understood however it is worded? Ordinary wordings in eight languages, none taken from the phrase rules."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from billing.evidence import Requester, TicketText
from billing.reading import read_ticket

TABLE = tomllib.loads(Path(__file__).with_name("wordings.toml").read_text("utf-8"))
RESTORE = TABLE.pop("restore")
NO_MONEY = [text for wish in ("refund_status", "keep", "invoice", "update_card") for text in TABLE[wish]]
NO_END = [text for wish, texts in TABLE.items() if wish != "cancel" for text in texts]


def read(text: str):
    return read_ticket(TicketText(subject="", body=text), Requester(email=None), None)


@pytest.mark.parametrize(("wish", "text"), [(wish, text) for wish, texts in TABLE.items() for text in texts])
def test_an_ordinary_wording_of_a_wish_is_understood(wish, text):
    assert wish in read(text).wishes


@pytest.mark.parametrize("text", RESTORE)
def test_paid_and_still_free_is_missing_access(text):
    assert "TXT_NO_ACCESS" in read(text).codes()


@pytest.mark.parametrize("text", NO_MONEY)
def test_no_money_is_asked_for_where_none_is(text):
    assert "refund" not in read(text).wishes


@pytest.mark.parametrize("text", [*NO_END, *RESTORE])
def test_nothing_is_cancelled_that_was_not_asked_to_end(text):
    assert "cancel" not in read(text).wishes
