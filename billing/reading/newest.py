"""What did the writer write now? The newest part of a mail, without quotes, forwards, signatures and hidden text.

Everything is cut to 20,000 characters before it is looked at and scanned line by line, so the time stays linear.
"""

from __future__ import annotations

import re
import unicodedata

INPUT_LIMIT = 20_000
_LINE_LIMIT = 1_500

_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})
_TAGS = frozenset(
    "a abbr b blockquote body br center code div em font footer h1 h2 h3 h4 head header hr html i img li meta ol p pre "
    "script section small span strong style sub sup table tbody td th thead title tr u ul".split()
)
_BLOCKS = frozenset("blockquote br div h1 h2 h3 h4 hr li p pre table tr ul ol".split())
_INVISIBLE = ("display:none", "visibility:hidden", "font-size:0", "opacity:0", "mso-hide:all", "max-height:0")
_TAG_LIMIT = 600

_WROTE = tuple(
    "wrote:|writes:|schrieb:|schreibt:|geschrieben:|a écrit :|a écrit:|écrit :|escribió:|escribio:|escribe:|escreveu:|"
    "escreveu :|さんは書きました:|のメッセージ:|が書きました:|写道:|寫道:|님이 작성:|님이 작성했습니다:|작성:".split(
        "|"
    )
)
_FORWARDS = tuple(
    "original message|forwarded message|begin forwarded message|ursprüngliche nachricht|weitergeleitete nachricht|"
    "message d'origine|message original|message transféré|début du message|mensaje original|mensaje reenviado|"
    "mensagem original|mensagem encaminhada|元のメッセージ|転送メッセージ|转发的邮件|原始邮件|转发邮件|"
    "원본 메시지|원본 메일|"
    "전달된 메시지|please type your reply above this line|reply above this line".split("|")
)
_HEADER_KEYS = frozenset(
    "from sent to subject cc date reply-to von gesendet an betreff datum de envoyé à objet date enviado para asunto "
    "assunto fecha data enviada 差出人 送信日時 宛先 件名 日付 发件人 发送时间 收件人 主题 日期 "
    "寄件者 收件者 主旨 보낸사람 "
    "받는사람 제목 날짜 보낸날짜".split()
)
_DEVICE_LINES = (
    "sent from my ",
    "get outlook for",
    "sent from outlook",
    "sent from mail for",
    "sent via ",
    "von meinem ",
    "gesendet von",
    "holen sie sich outlook",
    "envoyé de mon",
    "envoyé depuis",
    "envoyé à partir",
    "enviado desde mi",
    "enviado desde",
    "enviado do meu",
    "enviado de meu",
    "obter o outlook",
    "obtener outlook",
    "télécharger outlook",
    "iphoneから送信",
    "ipadから送信",
    "发自我的",
    "發自我的",
    "从我的",
    "나의 iphone에서",
    "내 iphone에서",
    "iphone에서 보냄",
)
_DISCLAIMERS = (
    "this email and any",
    "this e-mail and any",
    "this message and any",
    "this message is intended",
    "this email is confidential",
    "this e-mail is confidential",
    "the information contained in this",
    "confidentiality notice",
    "disclaimer:",
    "diese e-mail enthält",
    "diese nachricht enthält",
    "diese e-mail ist vertraulich",
    "ce message et toutes",
    "ce message est confidentiel",
    "ce courriel",
    "este mensaje y sus",
    "este mensaje es confidencial",
    "este correo electrónico",
    "aviso legal",
    "esta mensagem",
    "este e-mail é confidencial",
    "aviso de confidencialidade",
    "aviso de confidencialidad",
    "本邮件及其附件",
    "本郵件",
    "このメールには機密",
    "本メールは",
    "본 메일은",
    "이 메일에는",
    "이 이메일은",
)
_SIGN_OFFS = frozenset(
    "best|best regards|kind regards|warm regards|regards|cheers|thanks|thank you|many thanks|sincerely|yours sincerely|"
    "thanks in advance|all the best|mit freundlichen grüßen|mit freundlichen grüssen|freundliche grüße|viele grüße|"
    "liebe grüße|beste grüße|gruß|grüße|mfg|danke|cordialement|bien cordialement|bien à vous|cdlt|merci|salutations|"
    "saludos|un saludo|saludos cordiales|atentamente|gracias|muchas gracias|atenciosamente|att|abraços|obrigado|"
    "obrigada|grato|grata|よろしくお願いします|よろしくお願いいたします|宜しくお願い致します|以上|谢谢|此致|感谢|감사합니다|"
    "수고하세요".split("|")
)


def visible(text: str) -> str:
    """At most 20,000 characters, NFKC, without invisible characters; markup and what it hides are still there."""
    cut = unicodedata.normalize("NFKC", text[:INPUT_LIMIT])[:INPUT_LIMIT]
    cut = cut.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    unseen = [letter for letter in set(cut) if letter not in "\n\t" and unicodedata.category(letter) in _UNSEEN]
    return cut.translate(dict.fromkeys(map(ord, unseen)))


def without_markup(text: str) -> str:
    """Drops comments, known HTML tags and what stands inside hidden elements; `<name@example.com>` stays."""
    if "<" not in text:
        return text
    return _without_tags(text)


def newest_part(body: str) -> str:
    """What was written now; `body` is `visible` text without markup."""
    lines = body.split("\n", _LINE_LIMIT)[:_LINE_LIMIT]
    kept: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        skip = _quote_opening(lines, at)
        if skip or _ends_the_message(line):
            if _has_words(kept) or not skip or skip > 100:
                break
            at += skip  # the answer stands below the quotation
            continue
        if not line.startswith((">", "|>")) and not line.casefold().startswith(_DEVICE_LINES):
            kept.append(line)
        at += 1
    return "\n".join(_without_sign_off(kept)).strip()


def _quote_opening(lines: list[str], at: int) -> int:
    """How many lines the opening of a quotation takes; 0 when none starts here, 101 when nothing below is new."""
    line = lines[at].strip().lstrip("*_ ").casefold()
    if not line or line.startswith(">"):
        return 0
    bare = line.strip("-_=*> :")
    if line != bare and bare.startswith(_FORWARDS) and len(bare) < 80:
        return 101
    if _header_lines(lines, at) >= 3:
        return 101
    for more in range(min(3, len(lines) - at)):
        ending = lines[at + more].strip().rstrip("*_ ").casefold()
        if ending.endswith(_WROTE) and sum(len(part) for part in lines[at : at + more + 1]) < 300:
            return more + 1 if more == 0 or _opens_attribution(line) else 0
        if not ending:
            break
    return 0


def _opens_attribution(line: str) -> bool:
    return line.startswith(("on ", "am ", "le ", "el ", "em ", "on\t", "20", "в ", "在", "於")) or line[:1].isdigit()


def _header_lines(lines: list[str], at: int) -> int:
    """How many of the next six lines look like `From: …`."""
    count = 0
    for line in lines[at : at + 6]:
        key = line.strip().lstrip("*> ")[:16].split(":", 1)
        if len(key) == 2 and key[0].strip(" *").replace(" ", "").casefold() in _HEADER_KEYS:
            count += 1
        elif count == 0:
            break
    return count


def _ends_the_message(line: str) -> bool:
    lowered = line.casefold()
    return lowered in {"--", "—", "__", "___"} or lowered.startswith(_DISCLAIMERS) or set(lowered) in ({"_"}, {"="})


def _has_words(lines: list[str]) -> bool:
    return any(letter.isalnum() for line in lines for letter in line[:200])


def _without_sign_off(lines: list[str]) -> list[str]:
    """Cuts `Best regards` and up to five short lines under it; lines with digits or an address stay."""
    filled = [at for at, line in enumerate(lines) if line]
    for position in range(max(0, len(filled) - 6), len(filled)):
        at = filled[position]
        below = [lines[later] for later in filled[position + 1 :]]
        if position == 0 or lines[at].casefold().strip(" ,.!。、") not in _SIGN_OFFS:
            continue
        if all(len(line) <= 40 and not line.endswith("?") for line in below):
            return lines[:at] + [line for line in below if "@" in line or any(letter.isdigit() for letter in line)]
    return lines


def _without_tags(text: str) -> str:
    kept: list[str] = []
    at = 0
    hidden: str | None = None
    while (opening := text.find("<", at)) >= 0:
        if hidden is None:
            kept.append(text[at:opening])
        if text.startswith("<!--", opening):
            closing = text.find("-->", opening)
            at = len(text) if closing < 0 else closing + 3
            continue
        closing = text.find(">", opening, opening + _TAG_LIMIT)
        name = _tag_name(text[opening + 1 : closing]) if closing > 0 else ""
        if not name:
            kept.append("<" if hidden is None else "")
            at = opening + 1
            continue
        hidden = _still_hidden(hidden, name, text[opening + 1 : closing])
        kept.append("\n" if name in _BLOCKS and hidden is None else "")
        at = closing + 1
    return "".join(kept) + (text[at:] if hidden is None else "")


def _tag_name(inside: str) -> str:
    name = re.split(r"[\s/>]", inside.strip("/ ")[:20].casefold(), maxsplit=1)[0]
    return name if name in _TAGS else ""


def _still_hidden(hidden: str | None, name: str, inside: str) -> str | None:
    if hidden is not None:
        return None if inside.lstrip().startswith("/") and name == hidden else hidden
    styles = "".join(inside.split()).casefold()
    opens = not inside.lstrip().startswith("/") and not inside.endswith("/")
    if opens and (
        name in {"script", "style", "head", "title"}
        or any(mark in styles for mark in _INVISIBLE)
        or _bare_hidden(inside)
    ):
        return name
    return None


def _bare_hidden(inside: str) -> bool:
    return "hidden" in inside.casefold().split()[1:]
