"""What could the customer be told when the gap behind their ticket was closed? Drafts for the agent, never sent by us.

Each text says no more than the issue's state does, names no date and promises nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

GREETING: Mapping[str, str] = {
    "en": "Hello,", "es": "Hola:", "fr": "Bonjour,", "de": "Guten Tag,", "pt": "Olá,", "ja": "こんにちは。",
    "zh": "您好：", "ko": "안녕하세요.",
}  # fmt: skip
BODY: Mapping[str, Mapping[str, str]] = {
    "fixed": {
        "en": "When you wrote to us about your billing, part of the cause was in our product. That part has been fixed "
        "since. You don't need to do anything. If you see it again, just answer this message.",
        "es": "Cuando nos escribió sobre su facturación, parte de la causa estaba en nuestro producto. Esa parte ya se "
        "ha corregido. No tiene que hacer nada. Si vuelve a ocurrirle, responda a este mensaje.",
        "fr": "Lorsque vous nous avez écrit au sujet de votre facturation, une partie de la cause venait de notre "
        "produit. Elle a été corrigée depuis. Vous n'avez rien à faire. Si cela se reproduit, répondez à ce message.",
        "de": "Als Sie uns wegen Ihrer Abrechnung geschrieben haben, lag ein Teil der Ursache in unserem Produkt. "
        "Dieser Teil ist inzwischen behoben. Sie müssen nichts tun. Sollte es wieder vorkommen, antworten Sie auf "
        "diese Nachricht.",
        "pt": "Quando nos escreveu sobre a sua cobrança, parte da causa estava no nosso produto. Essa parte já foi "
        "corrigida. Não precisa de fazer nada. Se voltar a acontecer, responda a esta mensagem.",
        "ja": "以前お問い合わせいただいた請求の件では、原因の一部が当社の製品にありました。"
        "その部分はその後修正されました。お客様に行っていただくことはありません。"
        "再び発生した場合は、このメッセージにご返信ください。",
        "zh": "您之前就账单问题联系我们时，部分原因出在我们的产品上。该问题现已修复，您无需进行任何操作。"
        "如果再次出现，请直接回复此消息。",
        "ko": "이전에 결제와 관련하여 문의하셨을 때 원인의 일부가 저희 제품에 있었습니다. 그 부분은 이후 "
        "수정되었습니다. 따로 하실 일은 없습니다. 다시 발생하면 이 메시지에 답장해 주세요.",
    },
    "not_planned": {
        "en": "When you wrote to us about your billing, we passed the cause on to our product team. They have looked "
        "at it and don't plan a change for now. If it affects you again, answer this message and we will sort it out "
        "for you.",
        "es": "Cuando nos escribió sobre su facturación, trasladamos la causa a nuestro equipo de producto. La ha "
        "estudiado y por ahora no prevé ningún cambio. Si vuelve a afectarle, responda a este mensaje y lo "
        "resolveremos.",
        "fr": "Lorsque vous nous avez écrit au sujet de votre facturation, nous avons transmis la cause à notre équipe "
        "produit. Elle l'a examinée et ne prévoit pas de changement pour le moment. Si cela vous concerne à nouveau, "
        "répondez à ce message et nous nous en occuperons.",
        "de": "Als Sie uns wegen Ihrer Abrechnung geschrieben haben, haben wir die Ursache an unser Produktteam "
        "weitergegeben. Es hat sie geprüft und plant vorerst keine Änderung. Sollte es Sie wieder betreffen, "
        "antworten Sie auf diese Nachricht, und wir kümmern uns darum.",
        "pt": "Quando nos escreveu sobre a sua cobrança, transmitimos a causa à nossa equipa de produto. A equipa "
        "analisou-a e, por agora, não prevê nenhuma alteração. Se voltar a afetá-lo, responda a esta mensagem e nós "
        "tratamos do assunto.",
        "ja": "以前お問い合わせいただいた請求の件の原因は、製品チームに伝えました。検討の結果、"
        "現時点では変更の予定はありません。再び影響がある場合は、このメッセージにご返信ください。こちらで対応いたします。",
        "zh": "您之前就账单问题联系我们时，我们已将原因转告产品团队。团队经过评估，目前没有更改的计划。"
        "如果您再次受到影响，请回复此消息，我们会为您处理。",
        "ko": "이전에 결제와 관련하여 문의하신 원인을 제품 팀에 전달했습니다. 검토 결과 현재로서는 변경 계획이 "
        "없습니다. 다시 영향을 받으시면 이 메시지에 답장해 주세요. 저희가 처리해 드리겠습니다.",
    },
    "duplicate": {
        "en": "When you wrote to us about your billing, we passed the cause on to our product team. They follow it "
        "together with another topic now. If it affects you again, answer this message and we will sort it out for "
        "you.",
        "es": "Cuando nos escribió sobre su facturación, trasladamos la causa a nuestro equipo de producto. Ahora la "
        "trata junto con otro tema. Si vuelve a afectarle, responda a este mensaje y lo resolveremos.",
        "fr": "Lorsque vous nous avez écrit au sujet de votre facturation, nous avons transmis la cause à notre équipe "
        "produit. Elle la suit désormais avec un autre sujet. Si cela vous concerne à nouveau, répondez à ce message "
        "et nous nous en occuperons.",
        "de": "Als Sie uns wegen Ihrer Abrechnung geschrieben haben, haben wir die Ursache an unser Produktteam "
        "weitergegeben. Es verfolgt sie nun zusammen mit einem anderen Thema. Sollte es Sie wieder betreffen, "
        "antworten Sie auf diese Nachricht, und wir kümmern uns darum.",
        "pt": "Quando nos escreveu sobre a sua cobrança, transmitimos a causa à nossa equipa de produto. A equipa "
        "trata-a agora em conjunto com outro tema. Se voltar a afetá-lo, responda a esta mensagem e nós tratamos do "
        "assunto.",
        "ja": "以前お問い合わせいただいた請求の件の原因は、製品チームに伝えました。"
        "現在は別の件と合わせて取り組んでいます。再び影響がある場合は、このメッセージにご返信ください。こちらで対応いたします。",
        "zh": "您之前就账单问题联系我们时，我们已将原因转告产品团队。团队目前将其与另一事项一并跟进。"
        "如果您再次受到影响，请回复此消息，我们会为您处理。",
        "ko": "이전에 결제와 관련하여 문의하신 원인을 제품 팀에 전달했습니다. 지금은 다른 사안과 함께 다루고 있습니다. "
        "다시 영향을 받으시면 이 메시지에 답장해 주세요. 저희가 처리해 드리겠습니다.",
    },
}
# What agents write when they promise to come back; looked for in our own outgoing replies only.
_PROMISES = (
    "let you know", "keep you posted", "keep you updated", "get back to you", "will inform you", "write to you again",
    "le avisaremos", "te avisaremos", "le informaremos", "nous vous tiendrons", "nous vous informerons",
    "nous reviendrons vers vous", "geben ihnen bescheid", "melden uns", "halten sie auf dem laufenden",
    "informieren wir sie", "avisaremos", "manteremos", "voltaremos a contactar", "お知らせ", "ご連絡いたします",
    "ご連絡します", "通知您", "告知您", "알려 드리", "알려드리", "연락드리", "연락 드리",
)  # fmt: skip
_SPACES = re.compile(r"\s+")


def letter(outcome: str, locale: str | None, sign_off: str) -> tuple[str, str]:
    """The language and the draft for an outcome (fixed, not_planned, duplicate); English where we have no other."""
    language = (locale or "en").replace("_", "-").partition("-")[0].lower()
    language = language if language in GREETING else "en"
    return language, "\n\n".join(filter(None, (GREETING[language], BODY[outcome][language], sign_off)))


def promises(reply: str) -> bool:
    """Whether a reply of ours promises to come back with news."""
    text = _SPACES.sub(" ", reply[:20_000].casefold())
    return any(words in text for words in _PROMISES)
