"""Which names of things are found in a text, and which look-alikes are not?"""

import pytest

from billing.evidence import IdentifierKind
from billing.reading.identifiers import identifiers_in


def found(text: str, kind: IdentifierKind, language: str = "en") -> list[str]:
    return [identifier.value for identifier in identifiers_in(text, language) if identifier.kind is kind]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("write to jo.doe+shop@mail.example.", ["jo.doe+shop@mail.example"]),
        ("<a@b.co> or (c@d.org)", ["a@b.co", "c@d.org"]),
        ("a@b, @name, a@.com, a@b..com, @@@, x@y.1", []),
    ],
)
def test_mail_addresses(text: str, values: list[str]) -> None:
    assert found(text, IdentifierKind.EMAIL) == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("see cus_NffrFeUfNV2Hib and sub_sched_1Mr3YcLkdIwHu7ix", ["cus_NffrFeUfNV2Hib", "sub_sched_1Mr3YcLkdIwHu7ix"]),
        ("cs_live_a1b2c3d4e5f6", ["cs_live_a1b2c3d4e5f6"]),
        ("focus_group_meeting in_short in_ xcus_NffrFeUfNV2Hib", []),
    ],
)
def test_stripe_ids(text: str, values: list[str]) -> None:
    assert found(text, IdentifierKind.STRIPE_ID) == values


@pytest.mark.parametrize(
    ("text", "values"),
    [("invoice ABCD1234-0007.", ["ABCD1234-0007"]), ("12345678-0007 abcd1234-0007 ABCD1234-00071", [])],
)
def test_invoice_numbers(text: str, values: list[str]) -> None:
    assert found(text, IdentifierKind.INVOICE_NUMBER) == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("my card ending in 4242", ["4242"]),
        ("Karte endet auf 1881", ["1881"]),
        ("carte se terminant par 0005", ["0005"]),
        ("tarjeta terminada en 1111", ["1111"]),
        ("cartão final 9999", ["9999"]),
        ("尾号4242", ["4242"]),
        ("末尾4242", ["4242"]),
        ("끝자리 4242", ["4242"]),
        ("**** 4242", ["4242"]),
        ("in 2024 I paid 4242 and the room was 1881", []),
    ],
)
def test_the_last_four_digits_only_beside_a_card(text: str, values: list[str]) -> None:
    assert found(text, IdentifierKind.LAST4) == values


@pytest.mark.parametrize(
    ("text", "language", "values"),
    [
        ("charged $29", "en", ["2900 usd"]),
        ("29,90 € pro Monat", "de", ["2990 eur"]),
        ("R$ 49,90", "pt", ["4990 brl"]),
        ("1,290.00 USD", "en", ["129000 usd"]),
        ("¥1200", "ja", ["1200 jpy"]),
        ("¥68", "zh", ["6800 cny"]),
        ("9900원", "ko", ["9900 krw"]),
        ("it took 19.99 from me", "en", ["1999 ?"]),
        ("version 1.2.3, on 30.11, at 10:15", "en", []),
    ],
)
def test_amounts(text: str, language: str, values: list[str]) -> None:
    assert found(text, IdentifierKind.AMOUNT, language) == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("on 2026-03-05", ["2026-03-05"]),
        ("2026年3月5日", ["2026-03-05"]),
        ("2026년 3월 5일", ["2026-03-05"]),
        ("am 5.3.2026", ["2026-03-05"]),
        ("5 de marzo de 2026", ["2026-03-05"]),
        ("March 5th, 2026", ["2026-03-05"]),
        ("31/12/2026", ["2026-12-31"]),
        ("03/04/2026, 30 February 2026, 12 monkeys 2026", []),
    ],
)
def test_dates_with_one_reading_only(text: str, values: list[str]) -> None:
    assert found(text, IdentifierKind.DATE) == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("I am @octo-cat on github.com/mona", ["mona", "octo-cat"]),
        ("mail a@b.example, github.com/orgs, @-bad, @two--dashes", []),
    ],
)
def test_github_logins(text: str, values: list[str]) -> None:
    assert found(text, IdentifierKind.GITHUB_LOGIN) == values


def test_each_value_is_listed_once_and_a_flood_is_capped() -> None:
    assert found("cus_NffrFeUfNV2Hib " * 3, IdentifierKind.STRIPE_ID) == ["cus_NffrFeUfNV2Hib"]
    assert len(found(" ".join(f"u{n}@mail.example" for n in range(90)), IdentifierKind.EMAIL)) == 20
