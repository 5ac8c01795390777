"""What never leaves the reader?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.evidence import Requester, TicketText
from billing.reading import read_ticket
from billing.reading.redact import redacted

CARD = "4242424242424242"


@pytest.mark.parametrize(
    "written",
    [
        "4242424242424242",
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "3782 822463 10005",
        "4 2 4 2 4 2 4 2 4 2 4 2 4 2 4 2",
        "4242\u20114242\u20114242\u20114242",
    ],
)
def test_a_card_number_is_replaced_however_it_is_grouped(written: str) -> None:
    assert redacted(f"my card {written} thanks") == "my card [card number removed] thanks"


def test_a_number_in_front_of_the_card_does_not_hide_it() -> None:
    assert redacted("order 12345 4242 4242 4242 4242 ok") == "order 12345 [card number removed] ok"


@pytest.mark.parametrize(
    "harmless", ["4242424242424241", "12345678901", "2026-03-03 10:15", "+1 555 010 9999", "99000000000000000000000042"]
)
def test_other_long_numbers_stay(harmless: str) -> None:
    assert redacted(harmless) == harmless


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("key sk_live_abcdefghij012345 end", "key [key removed] end"),
        ("whsec_abcdefgh12345678", "[key removed]"),
        ("ghp_abcdefghijklmnop1234", "[key removed]"),
        ("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY----- bye", "[key removed] bye"),
        ("my cvc is 123 ok", "my cvc is [card code removed] ok"),
        ("password: hunter22", "password: [password removed]"),
        ("Passwort: geheim99", "Passwort: [password removed]"),
        ("密码：abc12345", "密码：[password removed]"),
    ],
)
def test_secrets_are_replaced(written: str, left: str) -> None:
    assert redacted(written) == left


def test_evidence_carries_no_card_number_anywhere() -> None:
    body = f"charged twice on {CARD}, card ４２４２ ４２４２ ４２４２ ４２４２, please refund"
    evidence = read_ticket(TicketText(subject=f"card {CARD}", body=body), Requester(), 7)
    assert "42424242" not in repr(evidence).replace(" ", "")


def test_a_card_number_across_the_length_limit_is_not_cut_in_half() -> None:
    evidence = read_ticket(TicketText(subject="", body="x" * 3990 + " " + CARD), Requester(), None)
    assert "4242" not in evidence.text


@given(st.text(alphabet="0123456789 -abk:_\n", max_size=200))
def test_redacting_twice_changes_nothing(text: str) -> None:
    once = redacted(text)
    assert redacted(once) == once
