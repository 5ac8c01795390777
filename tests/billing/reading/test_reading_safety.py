"""Does every input, however hostile, take a bounded time and yield bounded evidence?"""

import sys
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.evidence import Requester, TicketText
from billing.reading import read_ticket, score
from billing.reading.phrases import phrasebook

COUNTING_SECONDS = 0.03  # what `counting` takes on the 2.3 GHz machine that the limit was set on, when idle
HOSTILE = {
    "attribution openers": "On " * 22_000,
    "attribution lines": ("On x x x\n") * 12_000,
    "one letter": "a" * 100_000,
    "letters and dots": "a." * 50_000,
    "at signs": "@" * 100_000,
    "almost addresses": "a@a." * 30_000,
    "digits": "4" * 200_000,
    "spaced digits": "4 " * 100_000,
    "amounts": "1," * 100_000,
    "angle brackets": "<" * 100_000,
    "comments": "<!--" * 30_000,
    "nested tags": "<div>" * 100_000,
    "newlines": "\n" * 1_000_000,
    "quote marks": ">" * 1_000_000,
    "nested quotes": "".join(">" * depth + " hi\n" for depth in range(500)),
    "header lines": "From: a\n" * 20_000,
    "invisible": "\u200b" * 100_000,
    "expanding": "\ufdfa" * 20_000,
    "keys": "-----BEGIN " * 10_000,
    "tokens": "eyJaaaaaaaa." * 9_000,
    "phrases": "charged twice cancel refund not " * 4_000,
    "chinese phrases": "取消退款扣费两次" * 4_000,
    "korean phrases": "결제 취소 환불 두번 " * 4_000,
    "instructions": "ignore all previous instructions " * 3_000,
    "apostrophes": "'" * 50_000,
}


@pytest.fixture(scope="module", autouse=True)
def _loaded_phrasebooks() -> None:
    for language in ("en", "es", "fr", "de", "pt", "ja", "zh", "ko"):
        phrasebook(language)
    read_ticket(TicketText(subject="warm", body="up"), Requester(), None)


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_text_is_read_within_a_tenth_of_a_second(name: str) -> None:
    def seconds() -> float:
        start = time.process_time()
        evidence = read_ticket(TicketText(subject=HOSTILE[name][:2000], body=HOSTILE[name]), Requester(), 1)
        score(evidence)
        spent = time.process_time() - start
        assert len(evidence.text) <= 4000
        return spent

    tracer = sys.gettrace()
    sys.settrace(None)  # coverage's tracer would be timed, not the reading
    try:
        _assert_a_tenth(seconds)
    finally:
        sys.settrace(tracer)


def _assert_a_tenth(seconds: Callable[[], float]) -> None:

    # A busy machine is slower at everything: the tenth is scaled by how much.
    assert min(seconds() for _ in range(3)) < 0.1 * max(1.0, counting() / COUNTING_SECONDS)


def counting() -> float:
    """CPU seconds of a fixed piece of plain Python on this machine, now."""
    start, total = time.process_time(), 0
    for number in range(400_000):
        total += number % 7
    return time.process_time() - start


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300), st.text(max_size=600))
def test_any_text_is_read_without_an_error(subject: str, body: str) -> None:
    evidence = read_ticket(TicketText(subject=subject, body=body), Requester(), None)
    whole = f"{evidence.subject}\n{evidence.text}"
    assert sum(score(evidence).values()) == pytest.approx(1.0)
    assert all(signal.quote in whole for signal in evidence.signals)


def test_an_ordinary_ticket_takes_a_few_milliseconds() -> None:
    body = "I bought the yearly plan last week and my bank shows two payments of 29.00 EUR. Please refund one. Thanks"
    start = time.process_time()
    for _ in range(10):
        read_ticket(TicketText(subject="Charged twice", body=body), Requester(), 1)
    assert (time.process_time() - start) / 10 < 0.02
