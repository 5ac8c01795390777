"""Does the answer fit who asked: language, time zone, and the agent's own words after a refusal?"""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from zendesk.reader import as_typed, reader_language, reader_zone

APP = Flask("reader")
CARD = {"follow_up": {"locale": "en", "body": "Proposed", "facts": {}}}


@pytest.mark.parametrize(("header", "expected"), [("de-AT", "de-AT"), ("", "fr")])
def test_the_page_names_the_language_and_the_agent_s_locale_stands_in(header: str, expected: str) -> None:
    with APP.test_request_context(headers={"Accept-Language": header} if header else {}):
        assert reader_language("fr") == expected


@pytest.mark.parametrize("name", ["", "Mars/Base", "../../etc/passwd", "x" * 80, "/etc/localtime"])
def test_a_time_zone_that_is_none_is_utc(name: str) -> None:
    with APP.test_request_context(headers={"X-Time-Zone": name}):
        assert reader_zone() is UTC


def test_a_known_time_zone_is_taken() -> None:
    with APP.test_request_context(headers={"X-Time-Zone": "Europe/Berlin"}):
        assert reader_zone() == ZoneInfo("Europe/Berlin")


def test_a_refused_approval_gives_the_agent_s_own_words_back() -> None:
    form = {"follow_up_body": "My words", "deliver": "public_reply"}
    with APP.test_request_context(method="POST", data=form):
        shown = as_typed(CARD, "confirmation_needed")["follow_up"]
        assert (shown["body"], shown["deliver"], shown["locale"]) == ("My words", "public_reply", "en")


@pytest.mark.parametrize(
    ("form", "code"),
    [({"follow_up_body": "My words"}, "plan_changed"), ({}, "invalid"), ({"follow_up_body": "x" * 20_001}, "invalid")],
)
def test_a_new_plan_and_what_is_no_reply_leave_the_proposal(form: dict[str, str], code: str) -> None:
    with APP.test_request_context(method="POST", data=form):
        assert as_typed(CARD, code) == {}
