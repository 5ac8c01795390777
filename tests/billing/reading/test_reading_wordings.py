"""Is a wish understood however it is worded? Ordinary wordings in eight languages, none taken from the phrase rules."""

from __future__ import annotations

import pytest

from billing.evidence import Requester, TicketText
from billing.reading import read_ticket

REFUND = (
    "Could I get the 29 dollars back please?", "Please give me one of those back.", "I'd like November's payment returned.",
    "Send my money back.", "Can you reverse the last payment?", "I expect a full reimbursement.",
    "Kindly credit it back to my card.", "I want my 29 back.", "Please return the extra 29 euros.", "I demand a refund now",
    "Is there any way to get a refund for this month?", "Please undo this charge.", "pls refund asap", "Can I have that money back?",
    "Bitte überweisen Sie mir den Betrag zurück.", "Ich hätte gern mein Geld wieder.", "Ich bitte um Erstattung der 29 Euro.",
    "Bitte eine davon zurückbuchen.", "Können Sie mir das zurückerstatten?", "Ich will die 29 Euro zurück.", "Bitte erstatten Sie den Betrag.",
    "Bitte storniert die Abbuchung und gebt mir das Geld zurück.", "Erstattet mir bitte die letzte Zahlung.",
    "Devuélvanme el dinero, por favor.", "Quisiera que me reembolsen el último cargo.", "¿Me pueden regresar los 29 dólares?",
    "Solicito la devolución del importe.", "Quiero que me devuelvan lo cobrado.", "Quiero recuperar mi dinero.", "Reembolsen el pago.",
    "¿Pueden reintegrarme el pago de noviembre?", "Necesito un reembolso.",
    "Je voudrais être remboursé.", "Merci de me rendre mon argent.", "Pouvez-vous me rembourser les 29 euros ?",
    "Je demande le remboursement du dernier prélèvement.", "Je souhaite récupérer la somme débitée.", "Remboursez-moi l'un des deux.",
    "Pouvez-vous annuler ce prélèvement et me restituer l'argent ?", "Je veux qu'on me rembourse.",
    "Quero meu dinheiro de volta.", "Podem devolver o valor cobrado?", "Solicito o estorno da última cobrança.", "Por favor, estornem o pagamento.",
    "Gostaria de ser reembolsada.", "Preciso que me devolvam os 29 reais.", "Dá para reembolsar?",
    "返金をお願いします。", "お金を返してください。", "払い戻しは可能でしょうか。", "片方を返金していただけますか。", "2900円を返してほしいです。",
    "返金対応お願いいたします。", "返金を希望します。",
    "请退款。", "能把钱退给我吗？", "我要退钱", "麻烦把多扣的钱退回来。", "希望退还29元。", "可以退吗？", "申请退费",
    "환불해 주세요.", "돈을 돌려주세요.", "환불 부탁드립니다.", "결제 취소하고 환불받고 싶어요.", "29달러를 돌려받고 싶습니다.", "환불 가능한가요?",
)  # fmt: skip
CANCEL = (
    "Please end my subscription.", "I'd like to cancel.", "Stop renewing my plan.", "How do I unsubscribe from the paid plan?",
    "Please close my account and stop billing me.", "I don't want to continue with Pro.", "Kill my subscription.",
    "I no longer need the subscription, please cancel it.", "Can you turn off auto-renew?",
    "Bitte kündigt mein Abo.", "Ich möchte mein Abonnement beenden.", "Hiermit kündige ich.", "Wie kann ich das Abo loswerden?",
    "Bitte verlängert mein Abo nicht.", "Ich will nicht mehr verlängern.", "Bitte stellt das Abo ein.", "Kündigen Sie bitte meinen Vertrag.",
    "Quiero darme de baja.", "Por favor cancelen mi plan.", "No quiero que se renueve.", "Deseo anular mi suscripción.",
    "¿Cómo cancelo la suscripción?", "Quiero dejar de pagar la suscripción.", "Den de baja mi cuenta.",
    "Je souhaite résilier mon abonnement.", "Merci d'arrêter mon abonnement.", "Je ne veux plus être abonnée.", "Comment me désabonner ?",
    "Veuillez mettre fin à mon abonnement.", "Je veux annuler mon forfait.",
    "Quero cancelar minha assinatura.", "Por favor, encerrem meu plano.", "Não quero mais renovar.", "Como faço para cancelar?", "Cancelem meu plano.",
    "解約したいです。", "サブスクを止めたいです。", "退会手続きをお願いします。", "自動更新を停止してください。", "キャンセルさせてください。",
    "我想取消订阅。", "请帮我关闭自动续费。", "怎么退订？", "不想再续费了。",
    "구독을 해지하고 싶습니다.", "자동결제 꺼주세요.", "구독 취소 부탁드려요.", "해지 방법 알려주세요.",
)  # fmt: skip
KEEP = (
    "I changed my mind and want to stay on Pro.", "Please undo the cancellation.", "I'd like to keep my subscription after all.",
    "Don't cancel it, please.", "Can I take back my cancellation?",
    "Ich möchte doch bleiben.", "Bitte nehmt die Kündigung zurück.", "Ich will mein Abo behalten.",
    "Quiero quedarme con el plan.", "¿Pueden anular la cancelación?", "Ya no quiero cancelar.",
    "Je souhaite finalement rester abonné.", "Pouvez-vous annuler ma résiliation ?", "Je veux garder mon abonnement.",
    "Mudei de ideia e quero continuar com o plano.", "Podem desfazer o cancelamento?",
    "解約を取り消したいです。", "やっぱり継続したいです。", "我不想取消了，想继续用。", "请撤销取消。", "해지를 철회하고 싶어요.", "계속 이용하고 싶습니다.",
)  # fmt: skip
INVOICE = (
    "Can I get a receipt for my last payment?", "Please send me the October invoice.", "Where do I download my invoices?",
    "Ich brauche eine Rechnung.", "Bitte schicken Sie mir die Rechnung als PDF.", "Wo finde ich meine Rechnungen?",
    "Necesito la factura de octubre.", "¿Dónde descargo mis facturas?", "J'ai besoin d'une facture.", "Pouvez-vous m'envoyer ma facture ?",
    "Preciso da nota fiscal.", "Podem me enviar o recibo?", "請求書をダウンロードしたいです。", "领收书在哪里？需要发票。", "발票".replace("발票", "영수증") + " 보내주세요.",
)  # fmt: skip
UPDATE_CARD = (
    "How do I change my credit card?", "I need to replace the card on file.", "I have a new card, where do I enter it?",
    "Wie kann ich meine Kreditkarte ändern?", "Ich habe eine neue Karte.", "¿Cómo cambio mi tarjeta?", "Quiero actualizar mi tarjeta.",
    "Comment changer de carte bancaire ?", "Como troco o cartão?", "カードを変更したいです。", "怎么换信用卡？", "카드를 바꾸고 싶어요.",
)  # fmt: skip
REFUND_STATUS = (
    "Where is my refund?", "I still haven't received the refund you promised.", "Any news on my refund?",
    "Wo bleibt meine Erstattung?", "Die Erstattung ist noch nicht da.", "¿Dónde está mi reembolso?", "El reembolso nunca llegó.",
    "Je n'ai toujours pas reçu mon remboursement.", "Où en est mon remboursement ?", "Cadê meu reembolso?", "O estorno ainda não caiu.",
    "返金はいつになりますか。", "返金がまだ届きません。", "退款什么时候到账？", "退款还没收到。", "환불이 아직 안 들어왔어요.", "환불은 언제 되나요?",
)  # fmt: skip
RESTORE = (
    "I paid but the app still says free.", "My premium is gone although I paid.", "Ich habe bezahlt, sehe aber nur die kostenlose Version.",
    "He pagado y sigo sin acceso.", "J'ai payé mais je suis toujours en version gratuite.", "Paguei e continuo na versão gratuita.",
    "支払ったのに無料のままです。", "付了钱还是免费版。", "결제했는데 아직 무료 버전이에요.",
)  # fmt: skip
TABLE = {
    "refund": REFUND, "cancel": CANCEL, "keep": KEEP, "invoice": INVOICE, "update_card": UPDATE_CARD,
    "refund_status": REFUND_STATUS,
}  # fmt: skip


def read(text: str):
    return read_ticket(TicketText(subject="", body=text), Requester(email=None), None)


@pytest.mark.parametrize(("wish", "text"), [(wish, text) for wish, texts in TABLE.items() for text in texts])
def test_an_ordinary_wording_of_a_wish_is_understood(wish, text):
    assert wish in read(text).wishes


@pytest.mark.parametrize("text", RESTORE)
def test_paid_and_still_free_is_missing_access(text):
    assert "TXT_NO_ACCESS" in read(text).codes()


@pytest.mark.parametrize("text", [*REFUND_STATUS, *KEEP, *INVOICE, *UPDATE_CARD])
def test_no_money_is_asked_for_where_none_is(text):
    assert "refund" not in read(text).wishes


@pytest.mark.parametrize("text", [*REFUND, *KEEP, *INVOICE, *UPDATE_CARD, *REFUND_STATUS, *RESTORE])
def test_nothing_is_cancelled_that_was_not_asked_to_end(text):
    assert "cancel" not in read(text).wishes
