"""From a ticket's text to evidence: what was written, claimed and asked. Nothing here looks anything up."""

from __future__ import annotations

from billing.evidence import IdentifierKind, Requester, TicketEvidence, TicketText
from billing.reading.codes import TextCode
from billing.reading.gate import has_role_line, is_bulk_mail, is_machine_mail
from billing.reading.identifiers import identifiers_in
from billing.reading.language import identify_language
from billing.reading.model import model_signal
from billing.reading.newest import newest_part, visible, without_markup
from billing.reading.phrases import BY_CHARACTERS, claims, instruction_spans, wishes
from billing.reading.redact import redacted
from billing.reading.scoring import weighed
from billing.reading.view import Span, View, character_view, word_view

TEXT_LIMIT = 4_000
_SUBJECT_LIMIT = 300
_SPARE = 100  # a card number across the limit is seen whole before the cut
_LATIN = ("en", "es", "fr", "de", "pt")
_NOT_OURS = frozenset(
    {
        TextCode.TXT_PITCH,
        TextCode.TXT_LOGIN,
        TextCode.TXT_FEATURE,
        TextCode.TXT_INTEGRATOR,
        TextCode.TXT_SECURITY_REPORT,
        TextCode.TXT_NEWSLETTER,
        TextCode.TXT_GAME_MONEY,
        TextCode.TXT_JOB,
        TextCode.TXT_MACHINE,
        TextCode.TXT_LEGAL_THREAT,
    }
)
_EMPTY_WORDS = frozenset(
    "hi hello hey dear team support sir madam there thanks thank you please help re fw fwd aw wg tr rv test hola "
    "gracias bonjour merci "
    "salut hallo danke bitte ola oi obrigado obrigada urgent no subject none n a "
    "any update updates question questions reply answer response bump um ruckruf".split()
)
_EMPTY_CHARACTERS = frozenset(
    "你好您谢谢请问客服在吗こんにちはおせわになっておりますありがとう안녕하세요감사합니다문의드립니다"
)


def read_ticket(text: TicketText, requester: Requester, ticket_id: int | None) -> TicketEvidence:
    """Pure and deterministic; a few milliseconds for any input, however large or odd."""
    seen_subject, seen_body = visible(text.subject[:_SUBJECT_LIMIT]), visible(text.body)
    subject = _safe(without_markup(seen_subject).replace("\n", " ").strip(), _SUBJECT_LIMIT)
    body = _safe(newest_part(without_markup(seen_body)), TEXT_LIMIT)
    whole = f"{subject}\n{body}" if subject else body
    shown, instructed = _without_instructions(whole, f"{seen_subject}\n{seen_body}")
    words, characters = word_view(shown), character_view(shown)
    language, certain = identify_language(shown, words, requester.locale)
    views = _views(language, certain, words, characters)
    said = claims(views)
    asked = wishes(views)
    machine = is_machine_mail(text, requester, subject, body) or (
        is_bulk_mail(text.headers) and not asked and not said.keys() - _NOT_OURS - {TextCode.TXT_BILLING_WORD}
    )
    identifiers = identifiers_in(whole, language)
    if any(found.kind is IdentifierKind.AMOUNT and not found.value.endswith("?") for found in identifiers):
        said.setdefault(TextCode.TXT_BILLING_WORD, "")  # a sum with its currency is about money
    _add_gate_codes(said, words, subject, machine=machine, instructed=instructed, certain=certain)
    signals = weighed(said)
    model = model_signal(words.units)
    return TicketEvidence(
        ticket_id=ticket_id,
        requester=requester,
        subject=subject,
        text=body,
        language=language,
        signals=(*signals, model) if model else tuple(signals),
        wishes=() if machine else asked,
        identifiers=identifiers,
        machine_mail=machine,
        instructions_to_machine=instructed,
        has_text=bool(asked) or _says_something(words),
        asked_at=text.written_at,
    )


def _safe(text: str, limit: int) -> str:
    return redacted(text[: limit + _SPARE])[:limit].rstrip()


def _views(language: str, certain: bool, words: View, characters: View) -> tuple[tuple[tuple[str, ...], View], ...]:
    """The ticket's own language and English, which people mix in; an uncertain Latin text is tried in all five."""
    if language in BY_CHARACTERS:
        return ((language,), characters), (("en",), words)
    if language == "en" and certain:
        return ((("en",), words),)
    return (((language, "en") if certain else _LATIN, words),)


def _without_instructions(text: str, everything: str) -> tuple[str, bool]:
    """Blanks each sentence that addresses a machine and the rest of its line, so that it cannot pose as a claim."""
    instructed = has_role_line(everything) or bool(instruction_spans(everything))
    if not instructed:
        return text, False
    lines: list[str] = []
    for line in text.split("\n"):
        spans = instruction_spans(line)
        lines.append(line[: _sentence_start(line, spans[0])] if spans else "" if has_role_line(line) else line)
    return "\n".join(lines), True


def _sentence_start(line: str, span: Span) -> int:
    return max(line.rfind(mark, 0, span[0]) for mark in ".!?。！？:") + 1


def _add_gate_codes(
    said: dict[TextCode, str], words: View, subject: str, *, machine: bool, instructed: bool, certain: bool
) -> None:
    """`certain`: the language is one we read; in another one the lack of a billing word says nothing."""
    if machine:
        said[TextCode.TXT_MACHINE] = subject
    if instructed:
        said[TextCode.TXT_INSTRUCTIONS] = ""
    if (
        said.keys()
        - _NOT_OURS
        - {TextCode.TXT_BILLING_WORD, TextCode.TXT_INSTRUCTIONS, TextCode.TXT_QUALITY, TextCode.TXT_NO_ACCESS}
    ):
        said.setdefault(TextCode.TXT_BILLING_WORD, "")
    nothing_else = instructed and not words.units  # a mail of words for a machine only is not about billing
    if nothing_else or (certain and TextCode.TXT_BILLING_WORD not in said and words.units):
        said[TextCode.TXT_NO_BILLING_WORD] = ""


def _says_something(words: View) -> bool:
    """Two words beyond greetings; in unspaced scripts four characters."""
    count = 0
    for unit in words.units:
        if ord(unit[0]) >= 0x3040:
            count += sum(letter not in _EMPTY_CHARACTERS for letter in unit) / 2 >= 2 and 2
        else:
            count += unit not in _EMPTY_WORDS
    return count >= 2
