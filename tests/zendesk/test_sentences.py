"""Does a German agent read German? Every sentence of the core that the card shows, in all situations of the table."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from billing.decision import decide
from billing.evidence import Bucket
from billing.gap import CATALOGUE
from billing.identity import REASONS
from billing.policy import Policy
from billing.proposals.table import TABLE
from billing.steps import KINDS
from tests.billing import builders
from tests.billing.worlds import WORLDS
from tests.zendesk.cards import NOW
from zendesk.card import to_card
from zendesk.refusals import STATUS
from zendesk.sentences import localized, texts
from zendesk.status import SAYS
from zendesk.view import render_card
from zendesk.wording import LANGUAGES, Wording, catalogue

GERMAN = Wording(lang="de", now=NOW)
TEXTS = (
    "charged twice this month", "please cancel my subscription", "I want my money back", "my card was declined",
    "send me the invoice", "why is the amount higher", "I paid and have no access", "how many seats do we pay for",
    "I want to keep my plan", "hello",
)  # fmt: skip


def said(card: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Where the card shows a sentence of the core, and the sentence."""
    decision, plan = card["decision"], card["plan"]
    for key in ("headline", "lede", "why", "would_change"):
        yield f"decision.{decision['situation']}.{key}", decision[key] or ""
    for row in (*decision["for"], *decision["against"]):
        yield f"signal.{row['code']}", row["says"]
    for row in card["billing_state"]["anomalies"]:
        yield f"anomaly.{row['code']}", row["says"]
    for step in plan["steps"]:
        for tense in ("title", "running", "done", "detail"):
            yield f"step.{step['kind']}.{step.get('topic')}.{tense}", step[tense]
    yield "plan.untouched", plan["untouched"] or ""
    for says in card["customer"]["why"]:
        yield "customer.why", says


@cache
def pairs() -> tuple[tuple[str, str, str], ...]:
    """Every sentence as the core says it and as a German agent reads it."""
    found = []
    for build in WORLDS.values():
        for text in TEXTS:
            for correction in (
                (None, *(b for b in Bucket if b is not Bucket.UNDECIDED)) if text == TEXTS[0] else (None,)
            ):
                evidence = builders.ticket(text, email="maya@oliva.example")
                card = to_card(decide(evidence, build(), Policy(), correction=correction), Policy())
                german = dict(localized(card, GERMAN))
                for (where, english), (_, shown) in zip(said(card), said(german), strict=True):
                    found.append((where, english, shown))
    return tuple(found)


def test_no_english_sentence_is_left_in_any_situation() -> None:
    left = {f"{where}: {english}" for where, english, shown in pairs() if english and english == shown}
    assert left == set()


def test_no_place_of_a_sentence_stays_empty_or_unfilled() -> None:
    bad = {f"{where}: {shown}" for where, english, shown in pairs() if "{" in shown or (english and len(shown) < 4)}
    assert bad == set()


def test_the_catalogue_knows_every_situation_and_every_kind_of_step() -> None:
    known = texts("de")
    missing = [f"step.{kind}.{tense}" for kind in KINDS for tense in ("title", "running", "done", "detail")]
    assert [key for key in missing if key not in known] == []
    duplicates = {n for n in TABLE if n.startswith("duplicate_")} | {"monthly_and_annual", "two_tiers"}
    assert [n for n in set(TABLE) - duplicates if f"says.{n}" not in known or f"headline.{n}" not in known] == []


def test_a_headline_fits_its_line() -> None:
    assert [text for key, text in texts("de").items() if key.startswith("headline.") and len(text) > 32] == []


def test_an_english_agent_reads_the_core_s_own_words_with_amounts_as_everywhere_on_the_card() -> None:
    card = to_card(decide(builders.ticket(TEXTS[0]), WORLDS["1"](), Policy()), Policy())
    card["decision"]["lede"] = "Take 29.00 USD back from Plan 10 PRO, 1.234 KWD not known here."
    shown = dict(localized(card, Wording(lang="en", now=NOW)))
    assert shown["decision"]["lede"] == "Take $29.00 back from Plan 10 PRO, 1.234 KWD not known here."
    assert shown["handoff"] == card["handoff"]
    for (_, english), (_, told) in zip(said(card), said(shown), strict=True):
        assert told == english.replace("29.00 USD", "$29.00")


def test_every_reason_for_an_identity_and_every_gap_has_german_words() -> None:
    known = texts("de")
    wanted = [*(f"identity.{code}" for code in REASONS), *(f"gap.{kind}" for kind in CATALOGUE)]
    assert [key for key in wanted if key not in known] == []


def test_a_german_agent_copies_a_german_summary_that_shows_no_more_than_the_english_one() -> None:
    evidence = builders.ticket(TEXTS[0], email="maya@oliva.example")
    card = to_card(decide(evidence, WORLDS["1"](), Policy()), Policy())
    shown = dict(localized(card, GERMAN))["handoff"]["sections"]
    assert list(shown) == ["KUNDE", "ABRECHNUNG", "EINORDNUNG", "SCHRITTE", "ANTWORT", "PRODUKTLÜCKE"]
    assert shown["KUNDE"] == [
        "Maya Oliva / maya@oliva.example", "cus_A (über E-Mail gefunden, Absender bestätigt)",
        "Zendesk hat diese Adresse bestätigt.",
    ]  # fmt: skip
    assert "sub_A  Pro monatlich  29,00\xa0$ / Monat  Aktiv  seit 3. Sep, verlängert sich am 3. Dez" in "".join(
        shown["ABRECHNUNG"]
    )
    assert "Rechnungen: 4 bezahlt, 0 offen" in shown["ABRECHNUNG"]
    assert any(line.endswith("29,00\xa0$  Nicht rücknehmbar") for line in shown["SCHRITTE"])
    assert "Geld hinaus: 29,00\xa0$; Umsatz im Monat: \u221229,00\xa0$" in shown["SCHRITTE"]
    assert shown["ANTWORT"][0] == "Hi Maya,"
    stranger = to_card(decide(builders.ticket(TEXTS[0], email="who@else.example"), WORLDS["1"](), Policy()), Policy())
    hidden = dict(localized(stranger, GERMAN))["handoff"]["sections"]
    assert hidden["ABRECHNUNG"] == ["nicht gezeigt: es ist nicht belegt, dass der Absender hier zahlt"]
    assert "sub_" not in str(hidden)


def test_a_code_from_a_later_version_keeps_the_core_s_words() -> None:
    card = to_card(decide(builders.ticket(TEXTS[0]), WORLDS["1"](), Policy()), Policy())
    card["billing_state"]["anomalies"] = [{"code": "brand_new", "says": "Something new.", "objects": []}]
    card["decision"]["situation"] = "brand_new"
    card["plan"]["steps"][0] |= {"kind": "brand_new", "title": "Do something new"}
    html = render_card(card, view="review", lang="de", now=NOW)
    assert "Something new." in html
    assert "Do something new" in html


def test_the_meaning_of_a_foreign_reply_is_told_in_the_agent_s_language() -> None:
    card = to_card(decide(builders.ticket(TEXTS[0]), WORLDS["1"](), Policy()), Policy())
    html = render_card(card, view="review", lang="de", now=NOW)
    assert "Auf Deutsch zeigen" in html
    assert '<p class="hint pre" lang="de">' in html
    assert "Show in English" not in render_card(card, view="review", lang="en", now=NOW)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_refusal_reason_and_blocked_code_has_a_sentence(lang: str) -> None:
    known = catalogue(lang)
    blocked = (
        "disputed already_refunded nothing_refundable payment_processing identity connected_account unknown_value "
        "schedule_managed outside_policy portal_missing not_permitted"
    ).split()
    wanted = [*(f"refusal.{code}" for code in STATUS), *(f"reason.{code}" for code in SAYS)]
    wanted += [*(f"blocked.{code}" for code in blocked), *(f"kind.{kind}" for kind in KINDS)]
    assert [key for key in wanted if key not in known] == []
    assert CATALOGUE
