"""Does a reply, ours or an agent's edited one, say anything that the facts and receipts do not bear out?

Every amount, day, link and claim is looked for; what cannot be read is not reported. Problems are English, for agents.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

from babel import Locale
from babel.numbers import get_currency_symbol

from billing.money import Money, parse_decimal
from billing.plan import Receipt
from billing.replies import FIELD, LANGUAGES, LINKS, available, phrases
from billing.replies.rendering import Facts, outcome_phrase

_NUMBER = r"\d{1,3}(?:[.,'’\u00a0\u202f ]\d{3})+(?:[.,]\d{1,3})?|\d+(?:[.,]\d{1,3})?"
_CURRENCY = r"[A-Z]{0,3}[$€£¥￥₩₹₽₺₫₪฿][A-Z]{0,2}|(?<![A-Za-z])[A-Z]{3}(?![A-Za-z])"
_GAP = "[\u00a0\u202f ]?"
_AMOUNT = re.compile(f"(?P<c1>{_CURRENCY}){_GAP}(?P<n1>{_NUMBER})|(?P<n2>{_NUMBER}){_GAP}(?P<c2>{_CURRENCY})")
_WIDE_DAY = re.compile(r"(?:(\d{4})\s*[年년]\s*)?(\d{1,2})\s*[月월]\s*(\d{1,2})\s*[日일号]")
_ISO_DAY = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_SENTENCE = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")
_LINK = re.compile(r"https?://[^\s)>\]]+|\bwww\.\S+|\b[a-z0-9-]+(?:\.[a-z0-9-]+)+/[^\s)>\]]*", re.IGNORECASE)
_SESSION = re.compile(r"billing\.stripe\.com/p/session/", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s@]{1,64}@[^\s@]{1,190}\.[a-z]{2,}", re.IGNORECASE)
_VENDOR_ID = re.compile(r"\b(?:cus|sub|in|ch|py|re|pi|pm|si|price|prod|du|dp|cs|evt|il|ii|cn|bpc|sub_sched)_\w{3,}")
_CARD_NUMBER = re.compile(r"(?:\d[ -]?){12,19}")
_REFUND_CLAIMS = ("refunded", "on_its_way")
_CLAIM_WORDS = {
    "refunded": "says that money was refunded, and no receipt shows it",
    "on_its_way": "says that a refund is on its way, and no receipt shows one",
    "canceled": "says that something was cancelled, and no receipt shows it",
    "credited": "says that credit was given, and no receipt shows it",
}
_PROVES = {"stop": "canceled", "stop_extra": "canceled", "end_now": "canceled", "credit": "credited"}


def check(body: str, facts: Facts, receipts: Sequence[Receipt]) -> tuple[str, ...]:
    """Each problem once, empty when the reply is fine. `facts["links"]`, when set, are the links that were put in."""
    named, languages = _without_names(body, facts), _languages(facts)
    strange = (*_days(named, facts, languages), *_links(named, facts), *_words(named, languages))
    return tuple(dict.fromkeys((*untrue(body, facts, receipts), *strange)))


def untrue(body: str, facts: Facts, receipts: Sequence[Receipt]) -> tuple[str, ...]:
    """The problems that no reply may have, whoever wrote it: wrong amounts, claims without a receipt, leaks.

    Days, links and words of their own are an agent's to write; `check` names those too.
    """
    named = _without_names(body, facts)
    found = (*_amounts(named, facts), *_claims(named, facts, receipts, _languages(facts)), *_leaks(named))
    return tuple(dict.fromkeys(found))


def _languages(facts: Facts) -> tuple[str, ...]:
    return tuple(language for language in dict.fromkeys((facts["language"], "en")) if language in available())


def _without_names(body: str, facts: Facts) -> str:
    """The text without the names that stand in the facts: a plan may be called "$29 Plan", an invoice 2026-11-03."""
    values = [*_valued(facts, "product"), *_valued(facts, "invoice")]
    names = {str(entry[key]) for entry in values for key in ("product", "invoice") if key in entry}
    names |= {facts["sign_off"], facts["brand"]}
    for name in sorted(filter(re.compile(r"\w").search, names), key=len, reverse=True):
        body = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", "•", body)
    return body


# --- amounts --------------------------------------------------------------------------------------------------------


def _amounts(body: str, facts: Facts) -> Iterator[str]:
    allowed = [Money(value["amount"], value["currency"]) for value in _valued(facts, "currency")]
    for token, number in _written(body):
        if not any(_same(money, token, number) for money in allowed):
            yield f"{token} {number} is not an amount of this plan"


def _written(text: str) -> Iterator[tuple[str, str]]:
    """Currency and number of every amount; three capital letters count only when they are a currency."""
    for found in _AMOUNT.finditer(text):
        token, number = found["c1"] or found["c2"], found["n1"] or found["n2"]
        if not token.isalpha() or token in _codes():
            yield token, number


def _same(money: Money, token: str, number: str) -> bool:
    if parse_decimal(number.replace("’", "'"), money.currency) != Money(abs(money.amount), money.currency):
        return False
    symbols = _symbols(money.currency.upper())
    return token in symbols or (not token.isalpha() and any(token == re.sub("[A-Z]", "", symbol) for symbol in symbols))


@lru_cache(maxsize=1)
def _codes() -> frozenset[str]:
    return frozenset(Locale("en").currencies)


@lru_cache(maxsize=256)
def _symbols(code: str) -> frozenset[str]:
    return frozenset({code, *(get_currency_symbol(code, locale) for locale in (*LANGUAGES, "en_GB"))})


def _valued(value: Any, key: str) -> Iterator[Mapping[str, Any]]:
    """Every mapping below `value` that has `key`."""
    if isinstance(value, Mapping):
        if key in value:
            yield value
        for inner in value.values():
            yield from _valued(inner, key)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _valued(inner, key)


# --- days -----------------------------------------------------------------------------------------------------------


def _days(body: str, facts: Facts, languages: Sequence[str]) -> Iterator[str]:
    named = (value["day"] for value in _valued(facts, "day"))
    allowed = {date.fromisoformat(moment) for moment in (*named, facts["today"])}
    for quote, year, month, day in _dated(body, languages):
        if not any((d.month, d.day) == (month, day) and year in (None, d.year) for d in allowed):
            yield f'"{quote}" is not a date of this plan'


def _dated(body: str, languages: Sequence[str]) -> Iterator[tuple[str, int | None, int, int]]:
    for found in (*_WIDE_DAY.finditer(body), *_ISO_DAY.finditer(body)):
        yield found[0], int(found[1]) if found[1] else None, int(found[2]), int(found[3])
    for language in languages:
        months, pattern = _months(language)
        for found in pattern.finditer(body) if pattern else ():
            name = (found["m1"] or found["m2"]).casefold()
            year = found["y1"] or found["y2"]
            yield found[0].strip(), int(year) if year else None, months[name], int(found["d1"] or found["d2"])


@lru_cache(maxsize=len(LANGUAGES))
def _months(language: str) -> tuple[dict[str, int], re.Pattern[str] | None]:
    """Month names with their numbers, and the pattern of a day beside one; none where months are numbers."""
    if language in {"ja", "zh", "ko"}:
        return {}, None
    locale = Locale(language)
    names = {
        name.rstrip(".").casefold(): number
        for form in locale.months.values()
        for width in ("wide", "abbreviated")
        for number, name in form[width].items()
    }
    month = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    of, year = r"\.?\s+(?:de\s+|of\s+)?", r"(?:,?\s+(?:de\s+)?(?P<{}>\d{{4}}))?"
    before = rf"\b(?P<d1>\d{{1,2}})(?:st|nd|rd|th|er)?{of}(?P<m1>{month})\b{year.format('y1')}"
    after = rf"\b(?P<m2>{month})\.?\s+(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?\b{year.format('y2')}"
    return names, re.compile(f"{before}|{after}", re.IGNORECASE)


# --- links and what never belongs in a reply ------------------------------------------------------------------------


def _links(body: str, facts: Facts) -> Iterator[str]:
    ours = set(facts.get("links", {}).values())
    for found in _LINK.finditer(body):
        link = found[0].rstrip(".,;:!?。")
        if link not in ours and not _SESSION.search(link):
            yield f"{link} is not a link of this plan"
    if any(name not in LINKS for name in FIELD.findall(body)) or "{{" in body or "{%" in body:
        yield "a placeholder was left in the text"


def _leaks(body: str) -> Iterator[str]:
    text = _LINK.sub(" ", body)
    if _SESSION.search(body):
        yield "a portal session link opens the account to whoever has it"
    if _ADDRESS.search(text):
        yield "an e-mail address stands in the text"
    if _VENDOR_ID.search(text):
        yield "an internal id stands in the text"
    if _CARD_NUMBER.search(text):
        yield "a long number stands in the text"


def _words(body: str, languages: Sequence[str]) -> Iterator[str]:
    text = _LINK.sub(" ", body)
    for language in languages:
        for found in phrases(language).claims.forbidden.finditer(text):
            yield f'the word "{found[0]}" does not belong in a reply'


# --- claims ---------------------------------------------------------------------------------------------------------


def _claims(body: str, facts: Facts, receipts: Sequence[Receipt], languages: Sequence[str]) -> Iterator[str]:
    proven, refunds = _proven(facts, receipts)
    for sentence in sentences(body, languages):
        said = {claim for language in languages for claim in claims_in(sentence, language)}
        for claim in sorted(said - proven):
            yield _CLAIM_WORDS[claim]
        if said & proven.intersection(_REFUND_CLAIMS):
            for token, number in _written(sentence):
                if not any(_same(money, token, number) for money in refunds):
                    yield f"{token} {number} is not an amount that was refunded"


def sentences(body: str, languages: Sequence[str]) -> list[str]:
    """The sentences of a text; the point of `12. November` ends none."""
    months = {name for language in languages for name in _months(language)[0]}
    pieces: list[str] = []
    for piece in _SENTENCE.split(body):
        opens = piece.split(" ", 1)[0].strip(".,").casefold()
        if pieces and re.search(r"\d\.\Z", pieces[-1]) and opens in months:
            pieces[-1] += f" {piece}"
        else:
            pieces.append(piece)
    return [piece for piece in pieces if piece.strip()]


def claims_in(sentence: str, language: str) -> frozenset[str]:
    """What one sentence says has happened: refunded, on_its_way, canceled, credited."""
    claims = phrases(language).claims
    return frozenset(
        name
        for name, pattern in claims.done.items()
        for found in pattern.finditer(sentence)
        if claims.future is None or not claims.future.search(sentence[: found.start()])
    )


def _proven(facts: Facts, receipts: Sequence[Receipt]) -> tuple[frozenset[str], tuple[Money, ...]]:
    """The claims that Stripe's state or a receipt bears out, and the amounts that were or are being refunded."""
    proven = set(facts["proven"])
    before = facts["values"].get("refund_amount")
    refunds = [before] if before and proven.intersection(_REFUND_CLAIMS) else []
    outcomes = {receipt.step_id: receipt for receipt in receipts}
    for step in facts["steps"]:
        told = outcome_phrase(step, outcomes.get(step["id"])) if step["part"] == "action" else None
        if told in {"done.refund", "outcome.refund_pending"}:
            proven |= set(_REFUND_CLAIMS) if told == "done.refund" else {"on_its_way"}
            refunds.append(step["values"]["amount"])
        elif told == f"done.{step['phrase']}" and step["phrase"] in _PROVES:
            proven.add(_PROVES[step["phrase"]])
    return frozenset(proven), tuple(Money(value["amount"], value["currency"]) for value in refunds)
