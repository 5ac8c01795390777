"""Did a machine write this, and does it talk to a machine? Headers and subject lines first, words second."""

from __future__ import annotations

from collections.abc import Mapping

from billing.evidence import Requester, TicketText

_SENDERS = (
    "mailer-daemon",
    "postmaster",
    "no-reply",
    "noreply",
    "no_reply",
    "donotreply",
    "do-not-reply",
    "bounce",
    "bounces",
    "notifications",
    "notification",
    "dmarc",
    "abuse-report",
    "auto-reply",
    "autoreply",
    "calendar-notification",
)
_SUBJECTS = (
    "automatic reply",
    "auto reply",
    "auto-reply",
    "autoreply",
    "auto response",
    "out of office",
    "out of the office",
    "undeliverable",
    "undelivered mail",
    "delivery status notification",
    "mail delivery failed",
    "delivery failure",
    "returned mail",
    "failure notice",
    "report domain:",
    "invitation:",
    "updated invitation:",
    "accepted:",
    "declined: invitation",
    "tentative:",
    "canceled event",
    "abwesenheitsnotiz",
    "automatische antwort",
    "abwesend",
    "unzustellbar",
    "réponse automatique",
    "absence du bureau",
    "non remis",
    "respuesta automática",
    "fuera de la oficina",
    "no se puede entregar",
    "resposta automática",
    "fora do escritório",
    "自動返信",
    "自動応答",
    "不在通知",
    "自动回复",
    "自動回覆",
    "自动答复",
    "系统退信",
    "자동 회신",
    "자동 응답",
    "부재중",
    "자동응답",
)
_OPENINGS = (
    "i am out of the office",
    "i'm out of the office",
    "i am currently out",
    "i'm currently out of",
    "this is an automated",
    "this is an automatic",
    "your message could not be delivered",
    "message could not be delivered",
    "ich bin derzeit nicht",
    "ich bin bis",
    "je suis absent",
    "je suis actuellement absent",
    "estoy fuera de la oficina",
    "estou fora do escritório",
    "estarei ausente",
    "只今不在",
    "本邮件为系统自动",
    "这是一封自动",
    "현재 부재중",
    "the following message to",
    "this is the mail system at",
)
_ROLE_LINES = (
    "system:",
    "assistant:",
    "developer:",
    "[system]",
    "<|im_start|>",
    "<|system|>",
    "[inst]",
    "### instruction",
    "### system",
    "<<sys>>",
    "<system>",
)


def is_machine_mail(ticket: TicketText, requester: Requester, subject: str, text: str) -> bool:
    """Certain marks only: an automatic sender, an auto-submission header, or the words of a bounce or absence note."""
    headers = {name.casefold(): value.casefold().strip() for name, value in ticket.headers.items()}
    if _by_headers(headers) or _is_automatic_sender(requester, headers):
        return True
    lowered = subject.casefold().strip()
    return lowered.startswith(_SUBJECTS) or text[:160].casefold().lstrip().startswith(_OPENINGS)


def is_bulk_mail(headers: Mapping[str, str]) -> bool:
    """List headers: a newsletter, or a person whose mail came through a group address; the words must tell."""
    names = {name.casefold(): value.casefold().strip() for name, value in headers.items()}
    return "list-unsubscribe" in names or "list-id" in names or names.get("precedence", "") in {"bulk", "list", "junk"}


def _by_headers(headers: Mapping[str, str]) -> bool:
    return (
        headers.get("auto-submitted", "no").split(";")[0].strip() not in {"no", ""}
        or headers.get("precedence", "") == "auto_reply"
        or "x-autoreply" in headers
        or "x-autorespond" in headers
        or "x-failed-recipients" in headers
        or headers.get("return-path", "") == "<>"
        or headers.get("content-type", "").startswith(("multipart/report", "text/calendar"))
    )


def _is_automatic_sender(requester: Requester, headers: Mapping[str, str]) -> bool:
    written = headers.get("from", "").rpartition("<")[2]
    for address in (requester.sender_address, written):
        local = (address or "").casefold().partition("@")[0].partition("+")[0].strip()
        if local in _SENDERS or local.startswith(("no-reply", "noreply", "bounce-", "bounces-", "mailer-daemon")):
            return True
    return False


def has_role_line(text: str) -> bool:
    """A line that opens like a prompt: `system:`, `[INST]`."""
    return any(line.strip().casefold().startswith(_ROLE_LINES) for line in text.split("\n"))
