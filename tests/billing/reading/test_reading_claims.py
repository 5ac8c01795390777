"""Which claims do the phrase rules find, and do they quote the ticket exactly?"""

import pytest

from billing.evidence import Bucket, Requester, TicketEvidence, TicketText
from billing.reading import TextCode, read_ticket, score
from billing.reading.phrases import phrasebook
from billing.reading.scoring import BUCKETS, log_odds, weights
from billing.reading.view import character_view, compile_pattern, word_view


def read(body: str, subject: str = "") -> TicketEvidence:
    return read_ticket(TicketText(subject=subject, body=body), Requester(), None)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("My bank shows that you billed me twice.", TextCode.TXT_DUP_TWICE),
        ("We have two subscriptions running.", TextCode.TXT_DUP_SUBSCRIPTIONS),
        ("I want to keep both subscriptions.", TextCode.TXT_WANTS_SEVERAL),
        ("We have five members in our workspace.", TextCode.TXT_TEAM),
        ("Visa keeps getting declined.", TextCode.TXT_DECLINED),
        ("I cancelled this in May.", TextCode.TXT_CLAIMS_CANCELLED),
        ("I cancelled in May and was charged in June.", TextCode.TXT_CHARGED_AFTER_CANCEL),
        ("There is no cancel button.", TextCode.TXT_CANNOT_CANCEL),
        ("I paid and still have the free plan.", TextCode.TXT_NO_ACCESS),
        ("I forgot to cancel.", TextCode.TXT_FORGOT_CANCEL),
        ("I do not recognise this charge.", TextCode.TXT_UNKNOWN_CHARGE),
        ("The price went up from 10 to 15.", TextCode.TXT_PRICE_ROSE),
        ("It was an unauthorized payment.", TextCode.TXT_FRAUD_UNAUTHORISED),
        ("My bank opened a chargeback.", TextCode.TXT_DISPUTE),
        ("The refund was promised but has not arrived.", TextCode.TXT_REFUND_STATUS),
        ("Me cobraron dos veces.", TextCode.TXT_DUP_TWICE),
        ("La tarjeta fue rechazada.", TextCode.TXT_DECLINED),
        ("J'ai été débité deux fois.", TextCode.TXT_DUP_TWICE),
        ("Le renouvellement automatique s'est fait sans prévenir.", TextCode.TXT_RENEWAL_SURPRISE),
        ("Es wurde doppelt abgebucht.", TextCode.TXT_DUP_TWICE),
        ("Trotz Kündigung wurde abgebucht.", TextCode.TXT_CHARGED_AFTER_CANCEL),
        ("Fui cobrado duas vezes.", TextCode.TXT_DUP_TWICE),
        ("Meu cartão foi recusado.", TextCode.TXT_DECLINED),
        ("二重に請求されています。", TextCode.TXT_DUP_TWICE),
        ("カードが拒否されました。", TextCode.TXT_DECLINED),
        ("被扣款两次。", TextCode.TXT_DUP_TWICE),
        ("付了钱还是免费版。", TextCode.TXT_NO_ACCESS),
        ("두 번 결제되었습니다.", TextCode.TXT_DUP_TWICE),
        ("카드가 거절됩니다.", TextCode.TXT_DECLINED),
    ],
)
def test_a_claim_is_found(body: str, code: TextCode) -> None:
    assert code in read(body).codes()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("I was never charged twice-a-month, all fine.", TextCode.TXT_DECLINED),
        ("Please cancel my plan.", TextCode.TXT_CLAIMS_CANCELLED),
        ("I have not cancelled.", TextCode.TXT_CLAIMS_CANCELLED),
        ("The cancel button does not work.", TextCode.TXT_NO_ACCESS),
        ("My card does not work.", TextCode.TXT_NO_ACCESS),
        ("I have not paid.", TextCode.TXT_PAID),
    ],
)
def test_a_denied_or_different_claim_is_not_found(body: str, code: TextCode) -> None:
    assert code not in read(body).codes()


def test_every_quote_is_a_piece_of_the_ticket() -> None:
    evidence = read("I cancelled in May, but you charged me twice. Card declined? No access either!", "Two charges")
    whole = f"{evidence.subject}\n{evidence.text}"
    assert [signal.quote for signal in evidence.signals if signal.quote not in whole] == []


@pytest.mark.parametrize("language", ["en", "es", "fr", "de", "pt", "ja", "zh", "ko"])
def test_every_rule_of_every_language_has_a_weight_and_a_pattern(language: str) -> None:
    for rule in phrasebook(language).rules:
        assert rule.patterns
        assert TextCode(rule.name) in weights().codes


def test_every_code_has_a_weight_or_comes_from_the_model() -> None:
    assert set(TextCode) - set(weights().codes) == {TextCode.TXT_MODEL}


@pytest.mark.parametrize("source", ["", "..3", "@MISSING pay"])
def test_a_malformed_pattern_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match=r"pattern|set"):
        compile_pattern(source, sets={}, by_words=True)


def test_a_match_never_crosses_the_end_of_a_sentence_and_a_veto_not_a_comma() -> None:
    pattern = compile_pattern("not ..3 cancel", sets={}, by_words=True)
    assert word_view("I do not want to cancel").find(pattern)
    assert not word_view("I do not. Please cancel").find(pattern)
    assert word_view("not now, cancel").find(pattern)
    assert not word_view("not now, cancel").find(pattern, within_clause=True)
    assert character_view("不要取消").find(compile_pattern("不 ..2 取消", sets={}, by_words=False))


def test_a_line_that_a_mail_program_wrapped_is_one_sentence() -> None:
    pattern = compile_pattern("charged ..2 twice", sets={}, by_words=True)
    assert word_view("I looked at the statement of my bank and saw that I was charged\nfor it twice").find(pattern)
    assert not word_view("I was charged\ntwice").find(pattern)


def test_the_score_is_a_distribution_and_caps_hold() -> None:
    evidence = read("charged twice. two subscriptions. double payment. monthly and yearly. bought it again.")
    odds = score(evidence)
    assert set(odds) == set(BUCKETS)
    assert sum(odds.values()) == pytest.approx(1.0)
    assert max(odds, key=lambda bucket: odds[bucket]) is Bucket.DUPLICATE_SUBSCRIPTION
    table = weights()
    groups = {signal.group for signal in evidence.signals}
    limit = table.prior[Bucket.DUPLICATE_SUBSCRIPTION] + sum(table.caps.get(g, table.caps["default"]) for g in groups)
    assert log_odds(evidence)[Bucket.DUPLICATE_SUBSCRIPTION] <= limit


def test_the_model_speaks_once_with_capped_weights() -> None:
    (model,) = [signal for signal in read("why was I charged twice").signals if signal.group == "model"]
    assert model.code == TextCode.TXT_MODEL
    assert set(model.weights) == set(BUCKETS)
    assert max(abs(weight) for weight in model.weights.values()) <= 3.0


def test_reading_is_deterministic() -> None:
    assert read("I was charged twice, please refund") == read("I was charged twice, please refund")
