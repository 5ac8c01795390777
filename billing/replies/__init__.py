"""Which words does a reply have in one language? Phrase tables as TOML beside this file, read at first use.

A phrase is a text or a list of texts, the most telling first: the first one whose fields are all known is said, and
when none is, the sentence is left out. Fields: see `billing/replies/facts.py`; links stay `{portal_link}` and so on.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

LANGUAGES = ("en", "es", "fr", "de", "pt", "ja", "zh", "ko")
LINKS = ("portal_link", "invoice_link", "receipt_link", "checkout_link")
FIELD = re.compile(r"\{([a-z_0-9]+)\}")

# several situations and topics that are told in the same words
ALIASES: Mapping[str, str] = {
    "duplicate_across_customers": "duplicate_same_price",
    "duplicate_email_case": "duplicate_same_price",
    "unpaid_card_replaced": "card_replaced",
    "pending_seat_proration": "pending_proration",
    "seats_change_wanted": "seats_on_one_subscription",
    "seats": "seats_on_one_subscription",
    "incomplete_expired": "first_payment_incomplete",
    "nothing_owed": "checkout_abandoned",
    "schedule_managed": "cancel_wanted",
    "schedule": "cancel_wanted",
    "not_cancelled": "cancel_claimed",
    "scheduled_end": "cancellation_scheduled",
    "early_fraud_warning": "dispute_inquiry",
    "inquiry": "dispute_inquiry",
    "dispute": "dispute_open",
    "hold": "hold_on_card",
    "coupon": "coupon_missed_seat",
    "trial_times": "canceled_after_trial",
    "refund_status": "refund_pending",
    "proration": "seat_proration",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Patterns that say that something has happened, and words that take the claim back when they stand close."""

    done: Mapping[str, re.Pattern[str]]  # refunded, on_its_way, canceled, credited
    future: re.Pattern[str] | None
    forbidden: re.Pattern[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """`texts`: `situation.cancel_wanted` and so on, to its variants. `space` stands between two sentences."""

    language: str
    space: str
    texts: Mapping[str, tuple[str, ...]]
    claims: Claims

    def variants(self, section: str, name: str) -> tuple[str, ...]:
        return self.texts.get(f"{section}.{name}", ())


@lru_cache(maxsize=1)
def available() -> tuple[str, ...]:
    """The languages that have a table."""
    return tuple(language for language in LANGUAGES if (files("billing.replies") / f"{language}.toml").is_file())


@lru_cache(maxsize=len(LANGUAGES))
def phrases(language: str) -> Phrases:
    """The table of one of `available()`. Raises KeyError for another."""
    if language not in available():
        raise KeyError(language)
    table = tomllib.loads((files("billing.replies") / f"{language}.toml").read_text(encoding="utf-8"))
    claims = table.pop("claims")
    texts = {
        f"{section}.{name}": (text,) if isinstance(text, str) else tuple(text)
        for section, entries in table.items()
        for name, text in entries.items()
    }
    return Phrases(
        language=language,
        space=texts.pop("frame.space")[0],
        texts=texts,
        claims=Claims(
            done={name: re.compile(pattern, re.IGNORECASE) for name, pattern in claims["done"].items()},
            future=re.compile(claims["future"], re.IGNORECASE) if claims["future"] else None,
            forbidden=re.compile(claims["forbidden"], re.IGNORECASE),
        ),
    )
