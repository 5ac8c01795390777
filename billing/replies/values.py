"""How is a value written into the facts of a reply, so that JSON carries it and nothing hides in it?"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime

from billing.money import Money
from billing.records import Charge

Values = dict[str, object]
_BRANDS = {"visa": "Visa", "mastercard": "Mastercard", "amex": "American Express", "jcb": "JCB", "unionpay": "UnionPay"}


def clean(text: str, most: int = 80) -> str:
    """One line without control characters and braces: what others wrote can neither fill nor forge a field."""
    letters = (" " if unicodedata.category(c).startswith(("C", "Z")) else c for c in text if c not in "{}<>")
    return " ".join("".join(letters).split())[:most].strip()


def money_value(money: Money) -> Mapping[str, object]:
    return {"amount": money.amount, "currency": money.currency}


def day_value(moment: datetime | None) -> Mapping[str, str] | None:
    return {"day": moment.date().isoformat()} if moment else None


def card_value(charge: Charge | None) -> Mapping[str, str] | None:
    """Brand and last four digits, nothing else of a card."""
    if charge is None or not charge.brand or not charge.last4 or not re.fullmatch(r"\d{4}", charge.last4):
        return None
    return {"brand": brand(charge.brand), "last4": charge.last4}


def brand(name: str) -> str:
    return _BRANDS.get(name.lower(), clean(name.replace("_", " ").title(), 24))
