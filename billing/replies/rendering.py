"""How do facts and receipts become sentences? A claim is made only where a receipt proves it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from babel import Locale

from billing.amounts import amount, day, locale_for
from billing.money import Money
from billing.plan import Receipt
from billing.replies import FIELD, LINKS, Phrases, phrases

Facts = Mapping[str, Any]  # the JSON document that facts.py writes

_ON_ITS_WAY = frozenset({"pending", "requires_action", None})
_STOPPED = frozenset({"skipped", "canceled", "undone"})  # somebody's decision, not a failure: nothing is said
_NOT_HAPPENED = _STOPPED | {"refused", "unknown"}


_RESOLVED = {  # what an opening says that is no longer so once this was done
    "situation.card_replaced": {"done.pay"},
    "situation.collection_paused": {"done.resume_collection"},
    "situation.paused_for_nonpayment": {"done.resume"},
    "situation.paused_trial_end": {"done.resume"},
}
_STOPS = frozenset({"stop", "stop_extra", "end_now"})


class Untold(Exception):
    """The language lacks a phrase that English has: the whole reply is told in English, never in two languages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One language to speak in. `today` decides whether a day needs its year."""

    words: Phrases
    locale: Locale
    today: date

    def say(self, key: str, values: Facts) -> str | None:
        """The first variant of a phrase whose fields are all known, filled; None when there is none.

        Raises Untold where only English has the phrase.
        """
        section, _, name = key.partition(".")
        variants = self.words.variants(section, name)
        if not variants and phrases("en").variants(section, name):
            raise Untold(key)
        for variant in variants:
            fields = [field for field in FIELD.findall(variant) if field not in LINKS]
            if all(field in values for field in fields):
                return self._filled(variant, {field: self._told(values[field]) for field in fields})
        return None

    def first(self, keys: Iterable[str], values: Facts) -> str | None:
        """The first of several phrases that can be said."""
        return next((said for key in keys if (said := self.say(key, values)) is not None), None)

    def _filled(self, variant: str, told: Mapping[str, str]) -> str:
        return FIELD.sub(lambda found: told.get(found[1], found[0]), variant)

    def _told(self, value: Any) -> str:
        if not isinstance(value, Mapping):
            return str(value)
        if "day" in value:
            return day(date.fromisoformat(value["day"]), self.locale, self.today)
        if "last4" in value:
            return self.say("frame.card", value) or ""
        return amount(Money(value["amount"], value["currency"]), self.locale)


def voice(facts: Facts, language: str) -> Voice:
    return Voice(
        words=phrases(language),
        locale=locale_for(language, facts["region"]),
        today=date.fromisoformat(facts["today"]),
    )


def render(facts: Facts, receipts: Sequence[Receipt] | None, language: str) -> tuple[str, str]:
    """The reply before (`receipts` None) or after the plan was applied, with the language it came out in."""
    try:
        return _rendered(facts, receipts, voice(facts, language)), language
    except Untold:
        return _rendered(facts, receipts, voice(facts, "en")), "en"


def _rendered(facts: Facts, receipts: Sequence[Receipt] | None, speaker: Voice) -> str:
    outcomes = None if receipts is None else {receipt.step_id: receipt for receipt in receipts}
    became = _became(facts, outcomes)
    talk = [_asked(step, became) for step in facts["steps"] if _stands(step, outcomes, became)]
    greeting = speaker.say("frame.greeting", {"name": facts["name"]} if facts["name"] else {})
    paragraphs = (
        speaker.words.space.join(_told(speaker, facts, talk, became)),
        speaker.words.space.join(_actions(speaker, facts, became)),
        "\n".join(_of(speaker, talk, "link")),
        speaker.words.space.join(_unique((
            *_of(speaker, talk, "wait", "wait.other"),
            *_of(speaker, talk, "ask", "ask.what_happened"),
            *_of(speaker, talk, "hand_over", "closing.hand_over"),
        ))),
    )  # fmt: skip
    return "\n\n".join(filter(None, (greeting, *paragraphs, facts["sign_off"])))


def _became(facts: Facts, outcomes: Mapping[str, Receipt] | None) -> list[tuple[str, Facts]]:
    """What is said of each step that writes to Stripe, with its values."""
    told: list[tuple[str, Facts]] = []
    for step in facts["steps"]:
        if step["part"] != "action" or not step["phrase"]:
            continue
        key = f"plan.{step['phrase']}" if outcomes is None else outcome_phrase(step, outcomes.get(step["id"]))
        if key is not None:
            told.append((key, step["values"]))
    return told


def _told(speaker: Voice, facts: Facts, talk: Sequence[Facts], became: Sequence[tuple[str, Facts]]) -> list[str]:
    """What happened, and what else the plan wants explained; nothing that was put right meanwhile."""
    if _RESOLVED.get(facts["opening"], set()).intersection(key for key, _ in became):
        return []
    said = [speaker.first((facts["opening"], "bucket.other"), facts["values"])]
    topics = (step for step in talk if step["part"] == "explain" and step["phrase"] != facts["opening"])
    return _unique((*said, *(speaker.say(topic["phrase"], facts["values"] | topic["values"]) for topic in topics)))


def _of(speaker: Voice, talk: Sequence[Facts], part: str, otherwise: str = "") -> list[str]:
    """The sentences of one part; a code that the phrase tables do not know is said as `otherwise`."""
    return _unique(speaker.first((s["phrase"], otherwise), s["values"]) for s in talk if s["part"] == part)


def _unique(sentences: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(sentence for sentence in sentences if sentence))


def _stands(step: Facts, outcomes: Mapping[str, Receipt] | None, became: Sequence[tuple[str, Facts]]) -> bool:
    """Words and links are said unless a receipt says that the step did not happen, or there is nothing left to end."""
    if step["phrase"] == "link.portal_cancel" and _stops(became):
        return False
    receipt = (outcomes or {}).get(step["id"])
    return receipt is None or receipt.outcome not in _NOT_HAPPENED


def _asked(step: Facts, became: Sequence[tuple[str, Facts]]) -> Facts:
    """Which one is to stay is no question any more once the other one is stopped: what is left is a last word."""
    if step["phrase"] == "ask.which_plan" and _stops(became):
        return {**step, "phrase": "ask.keep_other"}
    return step


def _stops(became: Sequence[tuple[str, Facts]]) -> bool:
    return any(key.partition(".")[2] in _STOPS for key, _ in became)


def _actions(speaker: Voice, facts: Facts, became: Sequence[tuple[str, Facts]]) -> list[str]:
    said = [speaker.say(key, values) for key, values in became]
    if any(said) and facts["stays"]:
        said.append(speaker.say("closing.stays", facts["stays"]))
    return _unique(said)


def outcome_phrase(step: Facts, receipt: Receipt | None) -> str | None:
    """The phrase for what became of a step that writes to Stripe; None when nothing is to be said."""
    if receipt is None or receipt.outcome in _STOPPED:
        return None
    refund = step["phrase"] == "refund"
    if receipt.outcome == "refused":
        return "outcome.refund_failed" if refund else "outcome.unfinished"
    if receipt.outcome != "done":
        return "outcome.refund_unknown" if refund else "outcome.unfinished"
    return _refunded(receipt.status) if refund else f"done.{step['phrase']}"


def _refunded(status: str | None) -> str:
    """By the refund's own status; a word of Stripe's that is not known proves nothing."""
    if status == "succeeded":
        return "done.refund"
    if status in _ON_ITS_WAY:
        return "outcome.refund_pending"
    return "outcome.refund_failed" if status in {"failed", "canceled"} else "outcome.refund_unknown"
