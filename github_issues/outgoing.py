"""May this text leave for a repository? Foreign words are refused on the slightest doubt; our own pass a last net.

Vendor page followed: github.github.com/gfm (fenced code blocks). Every expression below runs over a text that was cut
to a fixed length first, or has bounded repeats only, so that no input makes it slow.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from integrations.errors import Refused

MOST_FOREIGN = 60  # letters of a name that comes from Stripe
_SPACES = re.compile(r"\s+")
_KEYS = re.compile(
    r"[srp]k_(?:live|test)_|whsec_|gh[pousr]_|github_pat_|xox[a-z]-|AKIA[0-9A-Z]{8}|eyJ[A-Za-z0-9_-]{8}|-----BEGIN|sk-ant-"
)
_VENDOR_ID = re.compile(
    r"(?<![A-Za-z0-9])(?:cus|sub|ch|py|in|ii|il|pi|pm|seti|src|card|ba|btok|tok|re|pyr|txn|cs|si|acct|evt|dp|du|cn|prod"
    r"|price|plan|pmc|bpc|bps|promo|sched|issfr|we|req|mandate|person)_[A-Za-z0-9]{4}"
)
_EMAIL = re.compile(r"[^\s@<>|()\[\]]{1,64}@[A-Za-z0-9.\-\u00a1-\uffff]{1,63}\.[A-Za-z\u00a1-\uffff]{2}")
_DIGITS = re.compile(r"(?<![A-Za-z0-9])[0-9](?:[ .\-]?[0-9]){11,18}(?![A-Za-z0-9])")
_QUERY = re.compile(r"://[^\s?]{1,300}\?")  # an address that carries something; ours carry nothing
_MARK = re.compile(r"<!-- billing-desk (?:gap|signature|said)=[0-9a-z.-]{1,64} -->")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_DOUBTFUL = re.compile(
    r"@|\(at\)|\[at\]|://|www\.|[A-Za-z0-9-]\.[A-Za-z]{2,10}(?:/|\Z|\s)|%[0-9A-Fa-f]{2}|&#?[A-Za-z0-9]{1,12};|[<>{}\\]"
    r"|[0-9](?:[ .,()/+\-]{0,3}[0-9]){4}|[A-Za-z0-9+/_=-]{16}|_[A-Za-z0-9]{6}"
)


def scrubbed(text: str) -> str | None:
    """Words from outside that may stand in a fence: one short line of letters. None for anything doubtful."""
    if len(text) > 4 * MOST_FOREIGN:
        return None
    for form in _forms(text):
        if _DOUBTFUL.search(form) or _KEYS.search(form) or _VENDOR_ID.search(form):
            return None
    odd = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}
    if any(unicodedata.category(letter) in odd for letter in text):
        return None
    line = _SPACES.sub(" ", text).strip()
    return line if 0 < len(line) <= MOST_FOREIGN else None


def fenced(lines: list[str]) -> str:
    """The lines as a block in which GitHub acts on nothing: its fence is longer than any run of backticks in them."""
    text = "\n".join(line.replace("\r", " ").replace("\n", " ") for line in lines)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def check(text: str) -> str:
    """A text of our own making, given back. Raises Refused `personal_text` when something slipped in all the same."""
    bare = _MARK.sub("", text)  # hexadecimal digits of ours are no card number
    held = (
        _EMAIL.search(bare)
        or _KEYS.search(bare)
        or _VENDOR_ID.search(bare)
        or _IBAN.search(bare)
        or _QUERY.search(bare)
        or any(_luhn(found[0]) for found in _DIGITS.finditer(bare))
    )
    if held:
        raise Refused(service="github", method="POST", path="/repos/{owner}/{repository}/issues", code="personal_text")
    return text


def _forms(text: str) -> Iterator[str]:
    """The text as it stands and as it reads with its disguises off: letters, entities, escapes, base64."""
    seen = unicodedata.normalize("NFKC", text)
    yield text
    yield seen
    yield html.unescape(html.unescape(seen))
    yield unquote_to_bytes(unquote_to_bytes(seen)).decode("utf-8", "replace")
    yield "".join(letter for letter in seen if unicodedata.category(letter) != "Cf")
    for word in re.findall(r"[A-Za-z0-9+/_=-]{8,240}", seen):
        try:
            yield base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True).decode()
        except (binascii.Error, ValueError):
            continue


def _luhn(digits: str) -> bool:
    """Whether the digits are a payment card's by their check digit."""
    total = 0
    for place, letter in enumerate(reversed([one for one in digits if one.isdigit()])):
        doubled = int(letter) * (1 + place % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0
