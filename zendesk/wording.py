"""In which words, amounts and dates does the agent read the card?

One catalogue per language (`messages/<language>.toml`), keyed by message id; a text with two forms counts with `n`.
Catalogue texts are ours and may hold simple markup; everything put into them is escaped.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any

from babel import Locale
from babel.dates import format_date, format_time
from babel.numbers import format_decimal, parse_pattern
from markupsafe import Markup

from billing.money import exponent, parse_decimal

LANGUAGES = ("en", "de")
_MINUS = "\u2212"
_KEPT_CONTROLS = "\n"
_PLAIN_AMOUNT = re.compile(r"(?<![\d.,])(\d{1,12}(?:\.\d{1,3})?) ([A-Z]{3})\b")
_Form = str | Mapping[str, str]


def language(tag: str | None) -> str:
    """The language we ship that is nearest to a Zendesk or browser locale (`de-AT` -> de), English otherwise."""
    first = re.split(r"[-_,;]", (tag or "").strip().lower(), maxsplit=1)[0]
    return first if first in LANGUAGES else LANGUAGES[0]


@cache
def catalogue(lang: str) -> Mapping[str, _Form]:
    """All texts of one language by message id."""
    source = resources.files("zendesk").joinpath("messages", f"{lang}.toml").read_text(encoding="utf-8")
    return _flat(tomllib.loads(source), "")


def _flat(tree: Mapping[str, Any], prefix: str) -> dict[str, _Form]:
    flat: dict[str, _Form] = {}
    for key, value in tree.items():
        if isinstance(value, str) or set(value) == {"one", "other"}:
            flat[prefix + key] = value
        else:
            flat |= _flat(value, f"{prefix}{key}.")
    return flat


def plain(text: str) -> str:
    """Without characters that change how neighbours are shown: controls, bidirectional marks, zero-width ones."""
    if text.isprintable():
        return text
    spaced = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    return "".join(c for c in spaced if c in _KEPT_CONTROLS or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co"})


def cleaned(value: Any) -> Any:
    """The same document with every text made `plain`; the card's values are strings, numbers, lists and mappings."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, Mapping):
        return {key: cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(item) for item in value]
    return value


def moment(value: Any) -> datetime | None:
    """A card's RFC 3339 time, or None for what is absent or not a time."""
    if not isinstance(value, str) or not value:
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """Texts for one reader. `now` decides whether a date needs its year; times are shown in `zone`."""

    lang: str
    now: datetime
    zone: tzinfo = UTC
    with_code: bool = False

    def __call__(self, key: str, **values: object) -> Markup:
        """The text of a message id; with `n` the singular or the plural."""
        form = catalogue(self.lang)[key]
        chosen = form if isinstance(form, str) else form["one" if values.get("n") == 1 else "other"]
        return Markup(chosen).format(**values)  # noqa: S704 - our own catalogue; `format` escapes the values

    def has(self, key: str) -> bool:
        return key in catalogue(self.lang)

    def known(self, family: str, code: object, fallback: str | None = None) -> Markup:
        """The text for a code of a closed list; an unknown code is shown as its own words, never guessed."""
        key = f"{family}.{code}"
        if key in catalogue(self.lang):
            return self(key)
        return Markup("{}").format(fallback if fallback is not None else str(code).replace("_", " "))

    def money(self, amount: int, currency: str) -> str:
        """`$29.00`, `29,00 €`, `−$29.00`: minor units in, the reader's notation out."""
        digits = exponent(currency.lower())
        pattern = parse_pattern(_locale(self.lang).currency_formats["standard"].pattern)
        pattern.frac_prec = (digits, digits)
        value = Decimal(amount).scaleb(-digits)
        text = str(pattern.apply(value, _locale(self.lang), currency=currency.upper(), currency_digits=False))
        text = re.sub(r"([A-Z])(\d)", "\\1\u00a0\\2", text).replace("-", _MINUS)  # a code stands apart from its amount
        return f"{text} {currency.upper()}" if self.with_code and currency.upper() not in text else text

    def moneys(self, sums: Mapping[str, int] | None, sign: int = 1) -> str:
        """Sums per currency, the larger one first, joined with a plus sign; empty when there is none."""
        pairs = sorted(((sums or {}).items()), key=lambda pair: -abs(pair[1]))
        return " + ".join(self.money(sign * amount, currency) for currency, amount in pairs if amount)

    def amounts(self, text: str, currencies: Set[str]) -> str:
        """A sentence of the core with its amounts (`29.00 USD`) in the reader's notation; only in these currencies."""

        def noted(found: re.Match[str]) -> str:
            money = parse_decimal(found[1], found[2].lower()) if found[2] in currencies else None
            return self.money(money.amount, money.currency) if money else found[0]

        return _PLAIN_AMOUNT.sub(noted, text)

    def typed(self, text: str) -> str:
        """An amount to type (`290.00`) with the reader's decimal mark."""
        mark = str(_locale(self.lang).number_symbols["latn"]["decimal"])
        return text.replace(".", mark)

    def number(self, value: int) -> str:
        return str(format_decimal(value, locale=_locale(self.lang)))

    def date(self, value: Any) -> str:
        """`12 Nov`; the year only when it is not this one; empty for an absent time."""
        at = value if isinstance(value, datetime) else moment(value)
        if at is None:
            return ""
        local, today = at.astimezone(self.zone), self.now.astimezone(self.zone)
        form = str(self("date.day" if local.year == today.year else "date.day_year"))
        return str(format_date(local.date(), form, locale=_locale(self.lang)))

    def month(self, at: datetime) -> str:
        return str(format_date(at.date(), "LLL", locale=_locale(self.lang))).rstrip(".")

    def time(self, value: Any, seconds: bool = False) -> str:
        """`10:02`, with the date before it when it is not today; empty for an absent time."""
        at = value if isinstance(value, datetime) else moment(value)
        if at is None:
            return ""
        local = at.astimezone(self.zone)
        clock = str(format_time(local.time(), "HH:mm:ss" if seconds else "HH:mm", locale=_locale(self.lang)))
        return clock if local.date() == self.now.astimezone(self.zone).date() else f"{self.date(at)} {clock}"

    def listed(self, parts: Sequence[object]) -> Markup:
        """`a, b and c`."""
        texts = [Markup("{}").format(part) for part in parts]
        if len(texts) < 2:
            return Markup("").join(texts)
        return self("and", first=Markup(", ").join(texts[:-1]), last=texts[-1])

    def tongue(self, code: str) -> str:
        """The name of a language (`de` -> German), or the code when it is not known."""
        return str(_locale(self.lang).languages.get(re.split(r"[-_]", code.lower())[0], code))


@cache
def _locale(lang: str) -> Locale:
    return Locale.parse(lang)
