"""Where does a phrase pattern stand in a text? A linear matcher over words or, for unspaced scripts, characters.

A pattern is a row of elements separated by blanks. An element is alternatives joined by `|`; `word*` is a prefix,
`a+b` are neighbours, `#` is a number. `..` between elements allows up to four words between them, `..9` up to nine.
No regular expression runs over alternatives, so the cost grows with the number of hits times the gap, never worse.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Span = tuple[int, int]

_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W_]+|[$€£¥₩]|[.!?;…。！？；，,、\n]|['’]")  # disjoint classes: linear
_SENTENCE_END = frozenset(".!?;…。！？；\n")
_CLAUSE_END = frozenset(",，、")
_MAX_SPANS = 12
_LONGEST_PREFIX = 14
WORD_GAP, CHARACTER_GAP = 4, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One place of a pattern; `gap` is how many units may stand before it."""

    alternatives: tuple[str, ...]
    gap: int


Pattern = tuple[Element, ...]


def plain(text: str) -> str:
    """Case and accents removed, so that typed and untyped accents meet."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in folded if not unicodedata.combining(letter))


def compile_pattern(source: str, *, sets: Mapping[str, str], by_words: bool) -> Pattern:
    """Raises ValueError for a pattern that names an unknown set or is empty."""
    elements: list[Element] = []
    gap = 0
    for part in source.split():
        if part.startswith(".."):
            gap = int(part[2:]) if len(part) > 2 else (WORD_GAP if by_words else CHARACTER_GAP)
            continue
        elements.append(Element(alternatives=tuple(_alternatives(part, sets, by_words)), gap=gap))
        gap = 0
    if not elements:
        raise ValueError(f"empty pattern: {source!r}")
    return tuple(elements)


def _alternatives(part: str, sets: Mapping[str, str], by_words: bool) -> list[str]:
    found: list[str] = []
    for choice in part.split("|"):
        if choice.startswith("@"):
            if choice[1:] not in sets:
                raise ValueError(f"unknown set {choice}")
            found += _alternatives("|".join(sets[choice[1:]].split()), sets, by_words)
        elif choice:
            found.append(
                plain(choice).replace("-", "+") if by_words else unicodedata.normalize("NFKC", choice.casefold())
            )
    return found


@dataclass(slots=True)
class View:
    """A text cut into units (words or characters) with the place of each in the original."""

    text: str
    units: list[str]
    places: list[Span]
    sentence: list[int]
    clause: list[int]
    joined: str = ""  # only for characters: the units as one string
    _index: dict[str, list[Span]] = field(default_factory=dict)
    _cache: dict[tuple[str, ...], list[Span]] = field(default_factory=dict)

    def quote(self, span: Span) -> str:
        return self.text[self.places[span[0]][0] : self.places[span[1] - 1][1]]

    def find(self, pattern: Pattern, *, within_clause: bool = False) -> list[Span]:
        """Up to twelve spans of units, in text order; a span never crosses the end of a sentence (or clause)."""
        border = self.clause if within_clause else self.sentence
        spans = self._places(pattern[0].alternatives)
        for element in pattern[1:]:
            if not spans:
                return []
            spans = _chain(spans, self._places(element.alternatives), element.gap, border)
        if within_clause and len(pattern) == 1:
            return spans[:_MAX_SPANS]
        return [span for span in spans if border[span[0]] == border[span[1] - 1]][:_MAX_SPANS]

    def _places(self, alternatives: tuple[str, ...]) -> list[Span]:
        known = self._cache.get(alternatives)
        if known is None:
            look = self._character_places if self.joined else self._word_places
            known = sorted({span for choice in alternatives for span in look(choice)})
            self._cache[alternatives] = known
        return known

    def _word_places(self, choice: str) -> list[Span]:
        if "+" not in choice:
            return self._index.get(choice, [])
        parts = choice.split("+")
        spans: list[Span] = []
        for start, end in self._index.get(parts[0], []):
            stop = end + len(parts) - 1
            if stop <= len(self.units) and all(map(_same_word, self.units[start:stop], parts)):
                spans.append((start, stop))
        return spans

    def _character_places(self, choice: str) -> list[Span]:
        if choice.startswith("#"):
            rest = choice[1:]
            numbers = self._index.get("#", [])
            return [(start, end + len(rest)) for start, end in numbers if self.joined.startswith(rest, end)]
        spans: list[Span] = []
        at = self.joined.find(choice)
        while at >= 0:
            spans.append((at, at + len(choice)))
            at = self.joined.find(choice, at + 1)
        return spans


def _same_word(unit: str, part: str) -> bool:
    return unit.startswith(part[:-1]) if part.endswith("*") else unit == part


def _chain(spans: Sequence[Span], nexts: Sequence[Span], gap: int, border: Sequence[int]) -> list[Span]:
    """Every span continued by a next one that starts at most `gap` units later in the same sentence."""
    longest: dict[int, int] = {}
    starts = [start for start, _ in nexts]
    for start, end in spans:
        for index in range(bisect_left(starts, end), len(starts)):
            if starts[index] > end + gap or border[starts[index]] != border[end - 1]:
                break
            stop = nexts[index][1]
            longest[stop] = max(start, longest.get(stop, -1))
    return sorted((start, stop) for stop, start in longest.items())


def word_view(text: str) -> View:
    """Words for alphabetic scripts: `don't` is `dont`, French `l'abonnement` is `l abonnement`."""
    view = View(text=text, units=[], places=[], sentence=[], clause=[])
    sentence = clause = 0
    glue = False
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token in _SENTENCE_END:
            wrapped = token == "\n" and _is_wrapped(text, match.start())
            sentence, clause = (sentence, clause) if wrapped else (sentence + 1, clause + 1)
        elif token in _CLAUSE_END:
            clause += 1
        elif token in "'’":
            glue = bool(view.places) and view.places[-1][1] == match.start() and len(view.units[-1]) > 2
            continue
        elif glue and view.places[-1][1] + 1 == match.start():
            view.units[-1] += plain(token)
            view.places[-1] = (view.places[-1][0], match.end())
        else:
            view.units.append(plain(token))
            view.places.append(match.span())
            view.sentence.append(sentence)
            view.clause.append(clause)
        glue = False
    _index_words(view)
    return view


def _is_wrapped(text: str, at: int) -> bool:
    """A mail program broke the line in the middle of a sentence."""
    line_start = text.rfind("\n", max(0, at - 200), at) + 1
    following = text[at + 1 : at + 2]
    return at - line_start >= 55 and following.islower()


def _index_words(view: View) -> None:
    """Places of each word and of each beginning of a word; built per different word, since words repeat."""
    for at, word in enumerate(view.units):
        view._index.setdefault(word, []).append((at, at + 1))
    for word, spans in list(view._index.items()):
        if word[0].isdigit():
            view._index.setdefault("#", []).extend(spans)
        for length in range(2, min(len(word), _LONGEST_PREFIX) + 1):
            view._index.setdefault(word[:length] + "*", []).extend(spans)


def character_view(text: str) -> View:
    """Characters without blanks, for Japanese, Chinese and Korean."""
    view = View(text=text, units=[], places=[], sentence=[], clause=[])
    sentence = clause = 0
    for at, letter in enumerate(text):
        if letter in _SENTENCE_END and not (letter == "." and _inside_number(text, at)):
            sentence, clause = sentence + 1, clause + 1
        elif letter in _CLAUSE_END:
            clause += 1
        if letter.isspace():
            continue
        view.units.append(letter.casefold()[:1])
        view.places.append((at, at + 1))
        view.sentence.append(sentence)
        view.clause.append(clause)
    view.joined = "".join(view.units) or "\0"
    numbers = [at for at, unit in enumerate(view.units) if unit.isdigit()]
    first = [at for at in numbers if at == 0 or not view.units[at - 1].isdigit()]
    last = [at + 1 for at in numbers if at + 1 == len(view.units) or not view.units[at + 1].isdigit()]
    view._index["#"] = list(zip(first, last, strict=True))
    return view


def _inside_number(text: str, at: int) -> bool:
    return text[at - 1 : at].isdigit() and text[at + 1 : at + 2].isdigit()
