"""What is asked for, in which order, and what is only told or denied?"""

import pytest

from billing.evidence import Requester, TicketText, Wish
from billing.reading import read_ticket


def asked(body: str, subject: str = "") -> tuple[Wish, ...]:
    return read_ticket(TicketText(subject=subject, body=body), Requester(), None).wishes


@pytest.mark.parametrize(
    ("body", "wish"),
    [
        ("Please cancel my plan.", Wish.CANCEL),
        ("I want my money back.", Wish.REFUND),
        ("Could you send me the invoice for June?", Wish.INVOICE),
        ("How do I update my credit card?", Wish.UPDATE_CARD),
        ("Please add two seats to our team.", Wish.CHANGE_SEATS),
        ("Why was I charged 40 dollars?", Wish.EXPLAIN_CHARGE),
        ("Where is my refund? It was promised a week ago.", Wish.REFUND_STATUS),
        ("I would like to downgrade to the basic plan.", Wish.CHANGE_PLAN),
        ("Please reactivate my account, it was paid.", Wish.RESTORE_ACCESS),
        ("Our VAT number is missing.", Wish.TAX_ID),
        ("I want to keep my subscription.", Wish.KEEP),
        ("How can I pay this invoice by wire transfer?", Wish.PAY),
        ("Quiero cancelar mi suscripción.", Wish.CANCEL),
        ("Solicito el reembolso.", Wish.REFUND),
        ("Necesito la factura de mayo.", Wish.INVOICE),
        ("Je voudrais résilier mon abonnement.", Wish.CANCEL),
        ("Merci de me rembourser.", Wish.REFUND),
        ("Comment changer ma carte bancaire ?", Wish.UPDATE_CARD),
        ("Ich möchte mein Abo kündigen.", Wish.CANCEL),
        ("Bitte erstatten Sie mir den Betrag.", Wish.REFUND),
        ("Können Sie mir die Rechnung zusenden?", Wish.INVOICE),
        ("Quero cancelar a assinatura.", Wish.CANCEL),
        ("Gostaria do reembolso.", Wish.REFUND),
        ("解約したいです。", Wish.CANCEL),
        ("返金をお願いします。", Wish.REFUND),
        ("領収書をください。", Wish.INVOICE),
        ("我想取消订阅。", Wish.CANCEL),
        ("请退款。", Wish.REFUND),
        ("需要开发票。", Wish.INVOICE),
        ("구독을 해지하고 싶어요.", Wish.CANCEL),
        ("환불해 주세요.", Wish.REFUND),
        ("영수증 부탁드립니다.", Wish.INVOICE),
    ],
)
def test_a_plain_request_is_heard(body: str, wish: Wish) -> None:
    assert wish in asked(body)


@pytest.mark.parametrize(
    "body",
    [
        "I cancelled last month and you still charged me.",
        "Please don't cancel my plan.",
        "I forgot to cancel in time.",
        "I never wanted to cancel anything.",
        "After cancelling I got a bill.",
        "Unsubscribe me from the newsletter.",
        "Por favor no cancelen mi plan.",
        "Olvidé cancelar la prueba.",
        "Je ne veux pas résilier, juste comprendre.",
        "J'ai oublié de résilier.",
        "Bitte nicht kündigen, ich bleibe.",
        "Ich habe vergessen zu kündigen.",
        "Esqueci de cancelar o teste.",
        "Não quero cancelar.",
        "解約したくないです。",
        "先月解約しましたが請求されました。",
        "不要取消我的订阅。",
        "忘了取消试用。",
        "我已经取消了订阅。",
        "취소하지 말아 주세요.",
        "해지하는 것을 깜빡했어요.",
        "지난달에 해지했는데 결제됐어요.",
    ],
)
def test_history_and_negation_are_no_request_to_cancel(body: str) -> None:
    assert Wish.CANCEL not in asked(body)


@pytest.mark.parametrize(
    "body",
    [
        "I don't want a refund, only an explanation.",
        "What is your refund policy?",
        "You refunded the wrong one.",
        "Where is my refund?",
        "¿Dónde está el reembolso prometido?",
        "Wann kommt die zugesagte Erstattung?",
    ],
)
def test_a_refund_that_is_only_mentioned_is_not_asked_for(body: str) -> None:
    assert Wish.REFUND not in asked(body)


def test_wishes_come_in_the_order_they_were_written() -> None:
    assert asked("Please cancel my plan. And I want my money back.")[:2] == (Wish.CANCEL, Wish.REFUND)
    assert asked("I want a refund. After that please cancel my plan.")[:2] == (Wish.REFUND, Wish.CANCEL)


def test_a_complaint_without_a_request_has_no_wish() -> None:
    assert asked("The picture quality is awful.") == ()
