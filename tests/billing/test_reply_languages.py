"""Does every language say what English says: the same phrases with the same fields, clean, and nothing too early?"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

import pytest

from billing.amounts import locale_for
from billing.replies import FIELD, LANGUAGES, LINKS, phrases
from billing.replies.claims import claims_in, sentences
from billing.replies.rendering import Voice
from billing.reply import check, draft, final
from tests.billing.replying import POLICY, decisions, receipt

OTHERS = [language for language in LANGUAGES if language != "en"]
MONEY, DAY = {"amount": 290_000, "currency": "usd"}, {"day": "2026-11-12"}
VALUES = {
    "name": "Maya", "brand": "Visa", "last4": "4242", "card": {"brand": "Visa", "last4": "4242"},
    "product": "Pro Plus", "invoice": "OLIVA-0007", "count": 2, "seats": 1,
    **dict.fromkeys(("amount", "open_amount", "refund_amount"), MONEY),
    **dict.fromkeys(("date", "started", "end", "trial_end", "canceled", "refund_date", "due", "until"), DAY),
}  # fmt: skip
# what a promise must never say: each language's own words for something that is already done
DONE_WORDS = {
    "de": r"\b(?:haben wir|wir haben|wurden?|worden|erstattet|gekündigt|beendet|gutgeschrieben|unterwegs)\b",
    "es": r"\b(?:hemos|ha sido|han sido|ya está|se ha|reembolsad\w+|cancelad\w+|acreditad\w+|en camino)\b",
    "fr": r"\b(?:nous avons|a été|ont été|remboursé\w*|résilié\w*|crédité\w*|en route)\b",
    "pt": r"\b(?:foi|foram|já está|reembolsamos|reembolsad\w+|cancelad\w+|creditamos|a caminho)\b",
    "ja": "(?:しました|されました|ました。|済み(?!として)|処理中|手続き中)",
    "zh": "(?:已|了。|正在|完成了|处理中)",
    "ko": "(?:했습니다|되었습니다|드렸습니다|었습니다|았습니다|처리 중|진행 중)",
}
PROVEN_BY = {
    "done.refund": {"refunded"}, "outcome.refund_pending": {"on_its_way"}, "done.credit": {"credited"},
    "done.stop": {"canceled"}, "done.stop_extra": {"canceled"}, "done.end_now": {"canceled"},
}  # fmt: skip
CLAIMED = [
    ("de", "refunded", "Ihr Geld wurde zurücküberwiesen."),
    ("de", "on_its_way", "Wir haben eine Erstattung veranlasst."),
    ("de", "canceled", "Ich habe Ihr Abo heute gekündigt."),
    ("es", "refunded", "Ya le hemos devuelto 29,00 US$."),
    ("es", "on_its_way", "El reembolso ya se ha enviado."),
    ("es", "canceled", "Cancelamos su suscripción ayer."),
    ("fr", "refunded", "Vous avez été remboursé."),
    ("fr", "on_its_way", "Votre remboursement a bien été effectué."),
    ("fr", "canceled", "J’ai résilié votre abonnement."),
    ("pt", "refunded", "O valor foi estornado."),
    ("pt", "on_its_way", "Iniciamos o reembolso hoje."),
    ("pt", "canceled", "Cancelamos a sua assinatura."),
    ("ja", "refunded", "全額を返金いたしました。"),
    ("ja", "on_its_way", "返金の手続きをいたしました。"),
    ("ja", "canceled", "ご契約はキャンセルされました。"),
    ("zh", "refunded", "我们已经为您全额退款。"),
    ("zh", "on_its_way", "我们已为您提交退款。"),
    ("zh", "canceled", "您的订阅取消了。"),
    ("ko", "refunded", "전액 환불되었습니다."),
    ("ko", "on_its_way", "환불을 접수했습니다."),
    ("ko", "canceled", "구독을 취소해 드렸습니다."),
]
NOT_CLAIMED = [
    ("de", "Der Betrag wird Ihnen auf Ihre Karte (Visa, Endziffern 4242) erstattet."),
    ("de", "Ihr Abo wurde noch nicht gekündigt."),
    ("es", "El importe será reembolsado."),
    ("es", "Su suscripción no está cancelada."),
    ("fr", "Vous serez remboursé sous 10 jours, ce montant sera remboursé."),
    ("fr", "Votre abonnement n’est pas encore résilié."),
    ("pt", "O valor será reembolsado."),
    ("pt", "Sua assinatura não foi cancelada."),
    ("ja", "返金しましたら、ご連絡いたします。"),
    ("ja", "まだ返金していません。"),
    ("zh", "退款完成后，我们会与您联系。"),
    ("zh", "我们还没有退款。"),
    ("ko", "환불되었는지 확인하겠습니다."),
    ("ko", "아직 환불되지 않았습니다."),
]
FORBIDDEN = [
    ("de", "Die Karte wurde als gestohlen gemeldet."), ("de", "Das Risiko ist hoch."),
    ("es", "La tarjeta es robada."), ("es", "Es un fraude."),
    ("fr", "La carte a été volée."), ("fr", "Un paiement frauduleux."),
    ("pt", "O cartão foi perdido."), ("pt", "Há um risco."),
    ("ja", "カードの紛失の届けがあります。"), ("zh", "该卡被盗。"), ("ko", "도난 카드입니다."),
    *((language, "failed_payment です 결제") for language in OTHERS),
]  # fmt: skip


def _told(language: str, variant: str) -> str:
    """A variant with every field filled but the links, as a reply would say it."""
    speaker = Voice(words=phrases(language), locale=locale_for(language), today=date(2026, 11, 22))
    known = {field: speaker._told(VALUES[field]) for field in FIELD.findall(variant) if field not in LINKS}
    return speaker._filled(variant, known)


def _said(text: str, language: str) -> set[str]:
    return {claim for sentence in sentences(text, (language,)) for claim in claims_in(sentence, language)}


def _in(language: str, name: str):
    found = decisions()[name]
    return replace(found, evidence=replace(found.evidence, language=language))


@pytest.mark.parametrize("language", OTHERS)
def test_every_language_has_the_keys_and_in_each_variant_the_fields_of_english(language):
    english, own = phrases("en").texts, phrases(language).texts
    assert own.keys() == english.keys()
    for key, variants in english.items():
        assert [sorted(set(FIELD.findall(text))) for text in own[key]] == [
            sorted(set(FIELD.findall(text))) for text in variants
        ], key


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_is_empty_or_left_in_english_and_no_text_is_said_in_two_places_of_one_phrase(language):
    english = phrases("en").texts
    for key, variants in phrases(language).texts.items():
        assert all(text.strip() for text in variants), key
        assert not set(variants) & set(english[key]), key
        assert len(set(variants)) == len(variants), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_clean(language):
    spaced = re.compile(r"[\s\u3000]{2}|^\s|\s$")
    for key, variants in phrases(language).texts.items():
        for variant in variants:
            text = _told(language, variant)
            assert set(FIELD.findall(text)) <= set(LINKS), key
            assert not re.search(r"[{}]", FIELD.sub("", text)), key
            assert not re.search("[!！¡]", text), (key, text)
            assert not spaced.search(text), (key, text)
            assert not phrases(language).claims.forbidden.search(text), (key, text)
            ends = "：:,. 。" if key == "frame.greeting" else ".。?？"
            assert key == "frame.card" or text[-1] in ends or variant.endswith("_link}"), (key, text)


@pytest.mark.parametrize("language", ["ja", "zh"])
def test_sentences_follow_each_other_without_a_space_where_the_script_has_none(language):
    assert phrases(language).space == ""
    for key, variants in phrases(language).texts.items():
        for variant in variants:
            assert not re.search(r"[。？，、！：] ", variant), key


@pytest.mark.parametrize("language", OTHERS)
def test_a_promise_has_no_word_for_something_done(language):
    words = re.compile(DONE_WORDS[language], re.IGNORECASE)
    for key, variants in phrases(language).texts.items():
        if key.startswith("plan."):
            for variant in variants:
                assert not words.search(variant), (key, variant)


@pytest.mark.parametrize("language", LANGUAGES)
def test_only_the_sentence_that_a_receipt_or_stripe_bears_out_is_a_claim(language):
    for key, variants in phrases(language).texts.items():
        if key.startswith("situation."):
            continue  # what Stripe shows already: the drafts of every situation are checked in test_reply
        for variant in variants:
            assert _said(_told(language, variant), language) == PROVEN_BY.get(key, set()), (key, variant)


@pytest.mark.parametrize(("language", "claim", "text"), CLAIMED)
def test_an_agents_own_words_are_seen_as_a_claim(language, claim, text):
    assert claim in _said(text, language)


@pytest.mark.parametrize(("language", "text"), NOT_CLAIMED)
def test_a_promise_a_question_or_a_denial_is_no_claim(language, text):
    assert _said(text, language) == set()


@pytest.mark.parametrize(("language", "text"), FORBIDDEN)
def test_words_of_stripe_and_codes_are_recognised_in_every_language(language, text):
    assert phrases(language).claims.forbidden.search(text)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "name", ["duplicate_same_price", "cancel_wanted", "card_expired", "invoice_wanted", "already_refunded", "trialing"]
)
def test_draft_and_last_word_read_cleanly_and_pass_the_check(language, name):
    decision = _in(language, name)
    reply = draft(decision, POLICY)
    bodies = [(reply.body, [])]
    for outcome, status in (("done", "succeeded"), ("done", "pending"), ("refused", None), ("unknown", None)):
        receipts = [receipt(planned, outcome, status) for planned in decision.plan.steps]
        bodies.append((final(reply.facts, receipts, POLICY), receipts))
    for body, receipts in bodies:
        assert check(body, reply.facts, receipts) == (), body
        assert not re.search(r"[{}]", FIELD.sub(lambda m: "" if m[1] in LINKS else m[0], body)), body
        assert not re.search(r"[^\S\n]{2}|[!！¡]", body), body


@pytest.mark.parametrize("language", OTHERS)
def test_a_single_seat_is_told_without_a_plural(language):
    said = [_told(language, phrases(language).variants(*key.split("."))[0]) for key in ("plan.seats", "done.seats")]
    plural = r"\b1 (?:Plätze|plazas|places|licenças)\b"
    assert not any(re.search(plural, text) for text in said), said
