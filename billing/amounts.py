"""How do amounts and days read in the reader's language? Babel's patterns, Stripe's decimals, never a float."""

from __future__ import annotations

import re
from copy import copy
from datetime import date
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton

from billing.money import Money, exponent

_TOUCHING = re.compile(r"(?<=[A-Za-z])(?=\d)")


@lru_cache(maxsize=64)
def locale_for(language: str, region: str | None = None) -> Locale:
    """The locale of a language, with the region of a tag such as `en-GB` when it speaks the same language.

    An unknown language reads as English.
    """
    for tag in (region or "", language):
        try:
            found = Locale.parse(tag.replace("-", "_"))
        except (ValueError, UnknownLocaleError):
            continue
        if found.language == language.lower()[:2]:
            return found
    return Locale("en")


def amount(money: Money, locale: Locale) -> str:
    """`$29.00`, `29,00 €`, `￥500`: with as many decimals as Stripe counts in, which CLDR would round for some."""
    pattern = copy(locale.currency_formats["standard"])
    places = exponent(money.currency)
    pattern.frac_prec = (places, places)
    text: str = pattern.apply(money.decimal, locale, currency=money.currency.upper(), currency_digits=False)
    text = _TOUCHING.sub("\u00a0", text)  # CLDR's rule for codes such as KWD, which Babel leaves out
    return text.replace("\u202f", "\u00a0")


def day(moment: date, locale: Locale, today: date) -> str:
    """`November 12`, with the year when it is not this one."""
    if moment.year == today.year:
        return format_skeleton("MMMMd", moment, locale=locale)
    return format_date(moment, "long", locale=locale)
