"""Which objects might the text name? Hints with a validator each: addresses, ids, numbers, amounts, dates, logins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from billing.evidence import Identifier, IdentifierKind
from billing.money import parse_decimal

_MOST_PER_KIND = 20
_LOCAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%&'*+/=?^_`{|}~-")
_DOMAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")
_STRIPE_ID = re.compile(
    r"(?<![A-Za-z0-9_])(?:sub_sched|cus|sub|si|in|ii|il|ch|pyr|py|pi|re|pm|seti|dp|du|cn|cs_test|"
    r"cs_live)_[A-Za-z0-9]{8,80}(?![A-Za-z0-9])"
)
_INVOICE_NUMBER = re.compile(r"(?<![A-Za-z0-9-])(?=[0-9]{0,7}[A-Z])[A-Z0-9]{8}-\d{4}(?![\w-])")
_LAST4 = re.compile(
    r"(?:ending(?: in| with)?|ends(?: in| with)?|last (?:4|four)(?: digits)?(?: are| is|:| of my card)?|endet auf|"
    r"endend auf|letzte(?:n)? (?:4|vier)(?: ziffern)?"
    r"|se termin(?:e|ant) par|finissant par|terminad[ao] (?:en|em)|termina (?:en|em)|acaba en|con final|com final|"
    r"final|末尾|下4桁|下四桁|尾号|尾號|末四位"
    r"|끝자리|끝번호|[*•x·]{2,12}) ?(?::|は|が|是|is)? ?[#*•x·]{0,12}[ -]?(\d{4})(?!\d|[.,]\d|-\d)",
    re.I,
)
_SYMBOLS = {
    "us$": "usd",
    "r$": "brl",
    "a$": "aud",
    "c$": "cad",
    "ca$": "cad",
    "nz$": "nzd",
    "hk$": "hkd",
    "$": "usd",
    "€": "eur",
    "£": "gbp",
    "₩": "krw",
    "₹": "inr",
    "元": "cny",
    "円": "jpy",
    "원": "krw",
    "zł": "pln",
}
_NAMES = {
    "dollar": "usd",
    "dollars": "usd",
    "bucks": "usd",
    "dolares": "usd",
    "dólares": "usd",
    "euro": "eur",
    "euros": "eur",
    "pounds": "gbp",
    "quid": "gbp",
    "reais": "brl",
    "yen": "jpy",
    "yuan": "cny",
    "rmb": "cny",
    "块": "cny",
    "块钱": "cny",
    "美元": "usd",
    "美金": "usd",
    "ドル": "usd",
    "달러": "usd",
    "人民币": "cny",
    "欧元": "eur",
    "유로": "eur",
    "ユーロ": "eur",
    "rupees": "inr",
    "kr": "?",
}
_ISO = frozenset(
    "usd eur gbp jpy cny krw brl inr cad aud nzd chf sek nok dkk pln mxn clp ars cop sgd hkd twd try zar czk huf "
    "ils thb idr php vnd".split()
)
_NUMBER = r"\d{1,9}(?:[.,' ]\d{3}){0,3}(?:[.,]\d{1,3})?(?!\d)"
_BEFORE = r"us\$|r\$|a\$|ca?\$|nz\$|hk\$|[$€£¥₩₹]|" + "|".join(sorted(_ISO))
_AFTER = r"[$€£₩₹元円원]|块钱|块|zł|" + "|".join(
    sorted([*_ISO, *(name for name in _NAMES if not name.startswith("块"))], key=len, reverse=True)
)
_AMOUNT = re.compile(
    rf"(?<![\w.,])(?:(?P<before>{_BEFORE}) ?(?P<first>{_NUMBER})|(?P<second>{_NUMBER}) ?(?P<after>{_AFTER})(?![a-z]))",
    re.I,
)
_BARE = re.compile(r"(?<![\w.,$€£¥₩₹/:-])\d{1,6}[.,]\d{2}(?![\w.,/:%-])")
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january januar janvier enero janeiro",
            "feb february februar février fevrier febrero fevereiro",
            "mar march märz mars marzo março",
            "apr april avril abril",
            "may mai mayo maio",
            "jun june juni juin junio junho",
            "jul july juli juillet julio julho",
            "aug august août aout agosto",
            "sep sept september septembre septiembre setembro",
            "oct october oktober octobre octubre outubro okt",
            "nov november novembre noviembre novembro",
            "dec december dezember décembre diciembre dezembro dez dic",
        ),
        start=1,
    )
    for name in names.split()
}
_YEAR_FIRST = re.compile(r"(?<![\d/.-])(20\d\d)(?:[-/.]|年 ?|년 ?)(\d{1,2})(?:[-/.]|月 ?|월 ?)(\d{1,2})(?!\d)")
_YEAR_LAST = re.compile(r"(?<![\d/.-])(\d{1,2})([-/.])(\d{1,2})\2(20\d\d)(?!\d)")
_DAY_MONTH = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|\.|er|º)?(?: of| de)? ([^\W\d_]{3,10})\.?,?(?: de| del)? (20\d\d)(?!\d)", re.I
)
_MONTH_DAY = re.compile(r"(?<![^\W_])([^\W\d_]{3,10})\.? (\d{1,2})(?:st|nd|rd|th)?,? (20\d\d)(?!\d)", re.I)
_GITHUB_PAGE = re.compile(r"(?<![\w.-])github\.com/([A-Za-z0-9-]{1,40})(?![A-Za-z0-9-])", re.I)
_GITHUB_NAME = re.compile(r"(?<![\w.@/+-])@([A-Za-z0-9-]{1,40})(?![\w.@-])")
_GITHUB_PAGES = frozenset(
    "orgs features settings issues pulls marketplace login about pricing apps sponsors topics "
    "explore notifications".split()
)


def identifiers_in(text: str, language: str) -> tuple[Identifier, ...]:
    """In the order of their kinds, then of the text; each value once, at most twenty of a kind."""
    found: dict[tuple[IdentifierKind, str], Identifier] = {}
    counts: dict[IdentifierKind, int] = {}
    for kind, value, quote in _all(text, language):
        if (kind, value) not in found and counts.get(kind, 0) < _MOST_PER_KIND:
            counts[kind] = counts.get(kind, 0) + 1
            found[kind, value] = Identifier(kind=kind, value=value, quote=quote)
    return tuple(found.values())


def _all(text: str, language: str) -> Iterator[tuple[IdentifierKind, str, str]]:
    for address in _emails(text):
        yield IdentifierKind.EMAIL, address, address
    for match in _STRIPE_ID.finditer(text):
        yield IdentifierKind.STRIPE_ID, match.group(), match.group()
    for match in _INVOICE_NUMBER.finditer(text):
        yield IdentifierKind.INVOICE_NUMBER, match.group(), match.group()
    for match in _LAST4.finditer(text):
        yield IdentifierKind.LAST4, match.group(1), match.group()
    for value, quote in _amounts(text, language):
        yield IdentifierKind.AMOUNT, value, quote
    for day, quote in _dates(text):
        yield IdentifierKind.DATE, day.isoformat(), quote
    for match in (*_GITHUB_PAGE.finditer(text), *_GITHUB_NAME.finditer(text)):
        if _is_login(match.group(1)):
            yield IdentifierKind.GITHUB_LOGIN, match.group(1), match.group()


def _emails(text: str) -> Iterator[str]:
    """Grows to both sides of each `@`, at most 64 and 190 characters: linear, unlike the textbook expression."""
    at = text.find("@")
    while at >= 0:
        start, end = at, at + 1
        while start > max(0, at - 64) and text[start - 1] in _LOCAL:
            start -= 1
        while end < min(len(text), at + 190) and text[end] in _DOMAIN:
            end += 1
        address = text[start:end].lstrip(".'`*{|=/").rstrip(".-")
        if _is_email(address):
            yield address
        at = text.find("@", at + 1)


def _is_email(address: str) -> bool:
    local, _, domain = address.partition("@")
    labels = domain.split(".")
    return (
        bool(local)
        and ".." not in address
        and not local.endswith(".")
        and len(labels) > 1
        and all(label and not label.startswith("-") and not label.endswith("-") for label in labels)
        and len(labels[-1]) > 1
        and labels[-1].isalpha()
    )


def _amounts(text: str, language: str) -> Iterator[tuple[str, str]]:
    named: set[int] = set()
    for match in _AMOUNT.finditer(text):
        currency = _currency((match["before"] or match["after"]).casefold(), language)
        number = "first" if match["first"] else "second"
        named.add(match.end(number))
        money = parse_decimal(match[number], "usd" if currency == "?" else currency)
        if money is not None:
            yield f"{money.amount} {currency}", match.group()
    for match in _BARE.finditer(text):
        money = parse_decimal(match.group(), "usd")
        if money is not None and match.end() not in named and not _may_be_date(match.group()):
            yield f"{money.amount} ?", match.group()


def _may_be_date(number: str) -> bool:
    """`30.11` may be a day; nobody can tell without a currency."""
    first, second = number.replace(",", ".").split(".")
    return 1 <= int(first) <= 31 and 1 <= int(second) <= 12 and len(first) == 2


def _currency(name: str, language: str) -> str:
    if name == "¥":
        return "cny" if language == "zh" else "jpy"
    return _SYMBOLS.get(name) or _NAMES.get(name) or (name if name in _ISO else "?")


def _dates(text: str) -> Iterator[tuple[date, str]]:
    """Only dates with a year and one reading: `03/04/2026` is none, `30.11.2026` is one."""
    for match in _YEAR_FIRST.finditer(text):
        yield from _valid(int(match[1]), int(match[2]), int(match[3]), match.group())
    for match in _YEAR_LAST.finditer(text):
        first, second = int(match[1]), int(match[3])
        if match[2] == "." or first > 12 or first == second:
            yield from _valid(int(match[4]), second, first, match.group())
        elif second > 12:
            yield from _valid(int(match[4]), first, second, match.group())
    for match in _DAY_MONTH.finditer(text):
        yield from _valid(int(match[3]), _MONTHS.get(match[2].casefold(), 0), int(match[1]), match.group())
    for match in _MONTH_DAY.finditer(text):
        yield from _valid(int(match[3]), _MONTHS.get(match[1].casefold(), 0), int(match[2]), match.group())


def _valid(year: int, month: int, day: int, quote: str) -> Iterator[tuple[date, str]]:
    try:
        yield date(year, month, day), quote
    except ValueError:  # the thirtieth of February, or a word that is no month
        return


def _is_login(name: str) -> bool:
    tidy = not name.startswith("-") and not name.endswith("-") and "--" not in name
    return tidy and len(name) <= 39 and name.casefold() not in _GITHUB_PAGES
