"""In which language is a text written? Scripts first, then function words and the words of billing mail."""

from __future__ import annotations

from functools import cache

from billing.reading.view import View

SUPPORTED = ("en", "es", "fr", "de", "pt", "ja", "zh", "ko")
_LATIN = ("en", "es", "fr", "de", "pt")
_WORDS = {
    "en": "the and is are was to of in for my your you we it this that have has with not but please can how why when "
    "hello hi thanks what which want need would still get got from been would could do does did i me our after on at "
    "charged charge refund subscription cancel account invoice billed payment card twice don cant dont didnt tried",
    "es": "el la los las un una y es son que de del en por para mi su con no pero quiero hola gracias cuando como "
    "porque se me he ha han sin ya mas este esta lo le al cuenta factura suscripcion pago tarjeta cobro "
    "cobraron cancelar "
    "reembolso donde dos veces pague ustedes necesito puedo hace meses buenos dias tengo estoy nos mes",
    "fr": "le la les un une et est sont que de des du en pour mon ma mes votre vos avec ne pas mais je vous nous "
    "bonjour merci comment pourquoi quand sur ce cette ai a ete il c j l d n qu au aux abonnement facture carte "
    "paiement "
    "remboursement remboursez preleve prelevement resilier annuler compte fois deux mois toujours plus suis",
    "de": "der die das und ist sind war ein eine einen mein meine ihr ihre mit nicht aber ich wir sie bitte hallo "
    "danke wie warum wann auf fur zu von im in dem den habe haben hat wurde wurden noch schon kein keine "
    "rechnung abo konto "
    "zahlung karte kundigen kundigung zweimal doppelt abgebucht geld zuruck seit trotz guten tag uber mehr kann mochte",
    "pt": "o a os as um uma e sao que de do da dos das em no na por para meu minha seu sua com nao mas eu voces ola oi "
    "obrigado obrigada quando como porque se ja foi ainda mais este esta isso ao conta fatura assinatura "
    "pagamento cartao cobranca cobrado cobraram cancelar reembolso estorno duas vezes plano quero preciso bom "
    "dia tenho estou mes boleto",
}
_OTHERS = {  # languages we do not write: the reply goes out in English
    "it": "il gli che di per con non sono ho hai del della ciao grazie abbonamento fattura pagamento rimborso perche",
    "nl": "het een van en is niet ik wij heb hebben mijn voor met op aan abonnement factuur betaling graag",
    "pl": "nie jest sie na do za mam moje prosze faktura platnosc subskrypcja dziekuje dlaczego",
    "tr": "bir ve bu icin ben abonelik fatura odeme iptal iade lutfen merhaba neden",
    "sv": "och att det en ett jag inte har med for abonnemang faktura betalning tack hej",
}
_MARKS = {"es": "ñ¿¡", "pt": "ãõ", "de": "äöüß", "fr": "èêœùîû"}


@cache
def _homes() -> dict[str, list[str]]:
    """Word -> languages that use it: `de` and `la` belong to several and count for each in part."""
    homes: dict[str, list[str]] = {}
    for language, words in (_WORDS | _OTHERS).items():
        for word in words.split():
            homes.setdefault(word, []).append(language)
    return homes


def identify_language(text: str, words: View, locale: str | None) -> tuple[str, bool]:
    """ISO 639-1 code, one of the eight, and whether the text itself settled it (else the locale or "en" did)."""
    script = _by_script(text)
    if script:
        return script, True
    scores = dict.fromkeys((*_WORDS, *_OTHERS), 0.0)
    for unit in words.units[:600]:
        homes = _homes().get(unit, ())
        for lang in homes:
            scores[lang] += 1.0 / len(homes)
    lowered = text[:2000].casefold()
    for lang, marks in _MARKS.items():
        scores[lang] += 1.5 * sum(mark in lowered for mark in marks)
    best = max(scores, key=lambda lang: (scores[lang], lang == "en"))
    runner = max((score for lang, score in scores.items() if lang != best), default=0.0)
    if scores[best] < 1.0 or scores[best] - runner < 0.5:
        return _of_locale(locale, best if scores[best] >= 0.5 else "en"), False
    return (best if best in _WORDS else "en"), scores[best] >= 2.0


def _by_script(text: str) -> str | None:
    hangul = kana = han = latin = 0
    for letter in text[:4000]:
        code = ord(letter)
        if 0xAC00 <= code <= 0xD7A3 or 0x1100 <= code <= 0x11FF:
            hangul += 1
        elif 0x3041 <= code <= 0x30FF and letter != "・":
            kana += 1
        elif 0x4E00 <= code <= 0x9FFF or 0x3400 <= code <= 0x4DBF:
            han += 1
        elif letter.isalpha():
            latin += 1
    if (hangul + kana + han) * 4 < latin or hangul + kana + han < 2:
        return None  # a name or a word in another script does not make the letter
    if hangul >= max(kana, han):
        return "ko"
    return "ja" if kana else "zh"


def _of_locale(locale: str | None, otherwise: str) -> str:
    """`pt-BR` names Portuguese; a locale outside the eight says nothing."""
    code = (locale or "").casefold()[:2]
    if otherwise in _LATIN and code in _LATIN:
        return code
    return otherwise if otherwise in SUPPORTED else "en"
