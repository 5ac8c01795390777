"""Amounts: integers in minor units, whatever the currency's exponent."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.money import Money, exponent, parse_decimal, totals

CURRENCIES = st.sampled_from(["usd", "eur", "jpy", "krw", "kwd", "tnd", "isk"])
AMOUNTS = st.integers(min_value=-(10**12), max_value=10**12)


@pytest.mark.parametrize(
    ("amount", "currency", "plain"),
    [
        (2900, "usd", "29.00 USD"),
        (5, "eur", "0.05 EUR"),
        (-2900, "usd", "-29.00 USD"),
        (500, "jpy", "500 JPY"),
        (12345, "kwd", "12.345 KWD"),
        (0, "krw", "0 KRW"),
    ],
)
def test_an_amount_is_written_with_the_decimals_of_its_currency(amount, currency, plain):
    assert Money(amount, currency).plain() == plain


@pytest.mark.parametrize(("currency", "places"), [("jpy", 0), ("vnd", 0), ("usd", 2), ("huf", 2), ("kwd", 3)])
def test_the_exponent_is_the_one_stripe_uses(currency, places):
    assert exponent(currency) == places


@pytest.mark.parametrize("amount", [29.0, "2900", True, Decimal(2900)])
def test_only_an_integer_is_an_amount(amount):
    with pytest.raises(TypeError, match="minor units"):
        Money(amount, "usd")


@pytest.mark.parametrize("currency", ["USD", "us", "usdd", "üsd", ""])
def test_only_three_lower_case_letters_are_a_currency(currency):
    with pytest.raises(ValueError, match="three lower-case"):
        Money(1, currency)


@pytest.mark.parametrize(
    "combine", [lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a < b, lambda a, b: a <= b], ids="+-<≤"
)
def test_two_currencies_never_mix(combine):
    with pytest.raises(ValueError, match="do not add up"):
        combine(Money(1, "usd"), Money(1, "eur"))


@pytest.mark.parametrize(
    ("typed", "currency", "amount"),
    [
        ("29.00", "usd", 2900),
        ("29,00", "eur", 2900),
        (" 29 ", "usd", 2900),
        ("1,290.00", "usd", 129000),
        ("1.290,00", "eur", 129000),
        ("1'290.00", "chf", 129000),
        ("1\u00a0290,00", "eur", 129000),
        ("1\u202f290,00", "eur", 129000),
        ("1,290", "usd", 129000),
        ("1,290,000", "usd", 129000000),
        (".50", "usd", 50),
        ("1 290,00", "eur", 129000),
        ("1.290.000", "eur", 129000000),
        ("29,00 ", "eur", 2900),
        ("0" * 36 + "2900", "jpy", 2900),
        ("500", "jpy", 500),
        ("1,500", "jpy", 1500),
        ("12.345", "kwd", 12345),
        ("12", "kwd", 12000),
    ],
)
def test_an_amount_is_read_as_a_person_typed_it(typed, currency, amount):
    assert parse_decimal(typed, currency) == Money(amount, currency)


@pytest.mark.parametrize(
    ("typed", "currency"),
    [
        ("", "usd"),
        ("  ", "usd"),
        ("29.0", "usd"),
        ("29.", "usd"),
        ("29.000.0", "usd"),
        ("-29.00", "usd"),
        ("$29.00", "usd"),
        ("29 usd", "usd"),
        ("٢٩", "usd"),
        ("1e9", "usd"),
        ("0" * 37 + "2900", "jpy"),
        (".", "usd"),
        (",", "jpy"),
        ("'", "usd"),
        (".500", "usd"),
        (".5", "usd"),
        ("29.0000", "kwd"),
        ("29X", "usd"),
        ("5.0", "jpy"),
        ("12.34", "kwd"),
    ],
)
def test_what_needs_a_guess_is_not_read(typed, currency):
    assert parse_decimal(typed, currency) is None


@given(AMOUNTS, CURRENCIES)
def test_what_is_written_is_read_back(amount, currency):
    money = Money(abs(amount), currency)
    assert parse_decimal(f"{money.decimal:f}", currency) == money


@given(st.text(max_size=40), CURRENCIES)
def test_reading_never_raises_and_never_goes_below_zero(text, currency):
    read = parse_decimal(text, currency)
    assert read is None or (read.amount >= 0 and read.currency == currency)


@given(AMOUNTS, AMOUNTS, CURRENCIES)
def test_adding_and_taking_away_are_exact(one, other, currency):
    a, b = Money(one, currency), Money(other, currency)
    assert a + b == b + a
    assert (a + b) - b == a
    assert Money(0, currency) - a == -a
    assert (a <= b) == (one <= other)
    assert (a < b) == (one < other)


@given(st.lists(st.tuples(AMOUNTS, CURRENCIES)))
def test_totals_are_the_sums_per_currency_without_the_empty_ones(pairs):
    found = totals(Money(amount, currency) for amount, currency in pairs)
    assert all(found.values())
    assert list(found) == sorted(found)
    for currency in {currency for _, currency in pairs}:
        assert found.get(currency, 0) == sum(amount for amount, named in pairs if named == currency)
