"""What do the words claim and ask? Phrase rules as files, one per language, matched into coded spans.

`<language>.toml` holds sets (`@NAME`), `[rules]` code -> patterns, `[wishes]` wish -> patterns and `[instructions]`.
A pattern that starts with `!` is a veto: it removes the matches it touches within one clause ("don't cancel",
"cancelled last month").
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from billing.evidence import Wish
from billing.reading.codes import TextCode
from billing.reading.language import SUPPORTED
from billing.reading.view import Pattern, Span, View, character_view, compile_pattern, word_view

BY_CHARACTERS = frozenset({"ja", "zh", "ko"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`name` is said when one of `patterns` stands in the text untouched by every one of `vetoes`."""

    name: str
    patterns: tuple[Pattern, ...]
    vetoes: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrasebook:
    rules: tuple[Rule, ...]
    wishes: tuple[Rule, ...]
    instructions: Rule


@cache
def phrasebook(language: str) -> Phrasebook:
    """Read once per process from the package. Raises ValueError for a code, wish or set that does not exist."""
    source = tomllib.loads((files("billing.reading") / f"{language}.toml").read_text("utf-8"))
    sets = {
        name: " ".join(words) if isinstance(words, list) else words for name, words in source.get("sets", {}).items()
    }
    by_words = language not in BY_CHARACTERS

    def rule(name: str, patterns: Iterable[str]) -> Rule:
        said = tuple(compile_pattern(p, sets=sets, by_words=by_words) for p in patterns if not p.startswith("!"))
        vetoes = tuple(compile_pattern(p[1:], sets=sets, by_words=by_words) for p in patterns if p.startswith("!"))
        return Rule(name=name, patterns=said, vetoes=vetoes)

    return Phrasebook(
        rules=tuple(rule(TextCode(code), patterns) for code, patterns in source["rules"].items()),
        wishes=tuple(rule(Wish(wish), patterns) for wish, patterns in source["wishes"].items()),
        instructions=rule("instructions", source["instructions"]["any"]),
    )


@cache
def _merged(languages: tuple[str, ...], part: str) -> tuple[Rule, ...]:
    """The rules of several languages under one name, so that each language's vetoes hold for all of them."""
    patterns: dict[str, list[Pattern]] = {}
    vetoes: dict[str, list[Pattern]] = {}
    for language in languages:
        book = phrasebook(language)
        for rule in book.rules if part == "rules" else book.wishes:
            patterns.setdefault(rule.name, []).extend(rule.patterns)
            vetoes.setdefault(rule.name, []).extend(rule.vetoes)
    return tuple(Rule(name=name, patterns=tuple(said), vetoes=tuple(vetoes[name])) for name, said in patterns.items())


def first_match(rule: Rule, view: View) -> Span | None:
    """The earliest span that no veto touches."""
    spans = sorted(span for pattern in rule.patterns for span in view.find(pattern))
    if not spans:
        return None
    vetoes = [span for pattern in rule.vetoes for span in view.find(pattern, within_clause=True)]
    for start, end in spans:
        if not any(start < stop and begin < end for begin, stop in vetoes):
            return start, end
    return None


def claims(views: Sequence[tuple[tuple[str, ...], View]]) -> dict[TextCode, str]:
    """Each code once with the words that said it; a view is read in all languages named beside it."""
    said: dict[TextCode, str] = {}
    for languages, view in views:
        for rule in _merged(languages, "rules"):
            if TextCode(rule.name) not in said and (span := first_match(rule, view)):
                said[TextCode(rule.name)] = view.quote(span)
    return said


def wishes(views: Sequence[tuple[tuple[str, ...], View]]) -> tuple[Wish, ...]:
    """In the order asked, each once."""
    asked: dict[Wish, int] = {}
    for languages, view in views:
        for rule in _merged(languages, "wishes"):
            if span := first_match(rule, view):
                place = view.places[span[0]][0]
                asked[Wish(rule.name)] = min(place, asked.get(Wish(rule.name), place))
    return tuple(sorted(asked, key=lambda wish: (asked[wish], wish)))


def instruction_spans(text: str) -> list[Span]:
    """Places in the text (not units) that address an assistant or a system, in any of the eight languages."""
    views = dict.fromkeys((language for language in SUPPORTED if language not in BY_CHARACTERS), word_view(text))
    if any(letter >= "\u3040" for letter in text):
        views |= dict.fromkeys(sorted(BY_CHARACTERS), character_view(text))
    places: list[Span] = []
    for language, view in views.items():
        for pattern in phrasebook(language).instructions.patterns:
            places += [(view.places[start][0], view.places[end - 1][1]) for start, end in view.find(pattern)]
    return sorted(places)
