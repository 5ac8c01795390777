"""Which parts of a text must never be stored? Card numbers, card codes, passwords and keys become a bracketed word."""

from __future__ import annotations

import re

_DIGIT_RUN = re.compile(r"\d(?:[ .\-\u2010-\u2015]{0,2}\d)*")  # each step eats a digit: linear
_GROUP = re.compile(r"\d+")
_CARD_STARTS = "23456"
_SHORTEST, _LONGEST = 13, 19
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_KEY = re.compile(
    r"(?<![A-Za-z0-9_])(?:(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{6,256}|whsec_[A-Za-z0-9+/=]{8,256}"
    r"|gh[pousr]_[A-Za-z0-9]{16,256}|github_pat_[A-Za-z0-9_]{16,256}|xox[abposr]-[A-Za-z0-9-]{8,256}"
    r"|AKIA[A-Z0-9]{16}|eyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,2000}(?:\.[A-Za-z0-9_-]{0,2000})?)"
)
_PRIVATE_KEY = "-----BEGIN "
_CARD_CODE = re.compile(
    r"\b(?:cvv2?|cvc2?|csc|security code|prüfziffer|código de seguridad|código de segurança)"
    r"(?: is| ist| es|:| =|=| -)? ?(\d{3,4})\b",
    re.I,
)
_PASSWORD = re.compile(
    r"\b(?:password|passwd|passwort|kennwort|mot de passe|contraseña|senha|パスワード|密码|密碼|비밀번호)"
    r" ?(?:is|ist|est|es|é|は|是)? ?[:=：] ?(\S{3,100})",
    re.I,
)


def redacted(text: str) -> str:
    """The text with bracketed words instead of card numbers and secrets; a second pass changes nothing."""
    text = _DIGIT_RUN.sub(lambda match: _without_cards(match.group()), text)
    text = _KEY.sub("[key removed]", _without_private_keys(text))
    text = _CARD_CODE.sub(lambda match: _cut(match, "[card code removed]"), text)
    return _PASSWORD.sub(lambda match: _cut(match, "[password removed]"), text)


def _cut(match: re.Match[str], word: str) -> str:
    start, end = match.start(1) - match.start(), match.end(1) - match.start()
    found = match.group()
    return found if found[start:].startswith("[") else found[:start] + word + found[end:]


def _without_private_keys(text: str) -> str:
    start = text.find(_PRIVATE_KEY)
    while start >= 0:
        end = text.find("-----END", start)
        close = text.find("-----", end + 8) + 5 if end >= 0 else len(text)
        text = text[:start] + "[key removed]" + text[max(close, end) :]
        start = text.find(_PRIVATE_KEY, start)
    return text


def _without_cards(run: str) -> str:
    """Looks at whole groups of digits, so that an order number in front of a card does not hide it."""
    groups = list(_GROUP.finditer(run))
    pieces: list[str] = []
    kept = at = 0
    while at < len(groups):
        stop = _card_end(groups, at)
        if stop:
            pieces += [run[kept : groups[at].start()], "[card number removed]"]
            kept = groups[stop - 1].end()
        at = stop or at + 1
    return "".join(pieces) + run[kept:]


def _card_end(groups: list[re.Match[str]], at: int) -> int:
    """Index after the last group of a card number that starts at group `at`, the longest one; 0 for none."""
    digits = ""
    found = 0
    for index in range(at, min(at + _LONGEST, len(groups))):
        digits += groups[index].group()
        if len(digits) > _LONGEST:
            break
        if len(digits) >= _SHORTEST and digits[0] in _CARD_STARTS and _luhn(digits):
            found = index + 1
    return found


def _luhn(digits: str) -> bool:
    values = [int(letter) for letter in reversed(digits)]
    return (sum(values[::2]) + sum(_DOUBLED[value] for value in values[1::2])) % 10 == 0
