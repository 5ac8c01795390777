"""How much, in which currency? Integer minor units everywhere, never a float.

Exponents follow Stripe's currency page: zero-decimal currencies have exponent 0, five have 3, all others 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

_ZERO_DECIMAL = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf".split())
_THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in the minor unit of `currency` (lower-case ISO 4217, as Stripe writes it); may be negative."""

    amount: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount) is not int:
            raise TypeError("an amount is an integer in minor units")
        if len(self.currency) != 3 or not self.currency.isascii() or not self.currency.islower():
            raise ValueError("a currency is three lower-case letters")

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount - other.amount, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.amount < other.amount

    def __le__(self, other: Money) -> bool:
        self._same(other)
        return self.amount <= other.amount

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not add up")

    @property
    def decimal(self) -> Decimal:
        """The amount in the major unit, exact: 2900 usd -> 29.00, 500 jpy -> 500."""
        return Decimal(self.amount).scaleb(-exponent(self.currency))

    def plain(self) -> str:
        """`29.00 USD`: the way amounts stand in plain text, logs and the command line."""
        return f"{self.decimal:f} {self.currency.upper()}"


def exponent(currency: str) -> int:
    """How many decimals the currency's major unit has at Stripe: 0, 2 or 3."""
    if currency in _ZERO_DECIMAL:
        return 0
    return 3 if currency in _THREE_DECIMAL else 2


def parse_decimal(text: str, currency: str) -> Money | None:
    """The amount a person typed (`29.00`, `1,290.00`, `29,00`) or None when it cannot be read without a guess."""
    cleaned = text.strip().replace("\u00a0", "").replace("\u202f", "").replace(" ", "").replace("'", "")
    if len(text) > 40 or not cleaned.isascii() or any(c not in "0123456789.," for c in cleaned):
        return None
    places = exponent(currency)
    point = max(cleaned.rfind("."), cleaned.rfind(","))
    behind = len(cleaned) - point - 1
    if places and point >= 0 and behind == places:
        digits = cleaned
    elif point < 0 < behind or (point > 0 and behind == 3):
        digits = cleaned + "0" * places
    else:
        return None
    return Money(int(digits.replace(".", "").replace(",", "")), currency)


def totals(amounts: Iterable[Money]) -> dict[str, int]:
    """Sum per currency in minor units, without currencies that come to nothing, sorted by currency."""
    sums: dict[str, int] = {}
    for money in amounts:
        sums[money.currency] = sums.get(money.currency, 0) + money.amount
    return {currency: sums[currency] for currency in sorted(sums) if sums[currency]}
