"""How do headlines, dates and amounts read in a situation or a step? Agent English, short, exact."""

from __future__ import annotations

from datetime import datetime

from billing.money import Money

_HEADLINE = 32


def short(text: str, otherwise: str = "") -> str:
    """`text` when it fits a headline, else `otherwise`, else its first words."""
    for candidate in (text, otherwise):
        if candidate and len(candidate) <= _HEADLINE:
            return candidate
    return text[: _HEADLINE + 1].rsplit(" ", 1)[0][:_HEADLINE]


def day(moment: datetime | None, now: datetime) -> str:
    """`12 Nov`, with the year when it is not this one."""
    if moment is None:
        return "an unknown date"
    plain = f"{moment.day} {moment:%b}"
    return plain if moment.year == now.year else f"{plain} {moment.year}"


def plain(amount: int, currency: str) -> str:
    return Money(amount, currency).plain()
