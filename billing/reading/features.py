"""Which numbered features has a text? Shared by the offline training script and the reader: both must agree exactly."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

SLOTS = 1 << 15
_READ = 900  # characters: the request stands at the beginning, and the time stays near a millisecond or two
_SPACED_SIZES, _UNSPACED_SIZES = (3, 4, 5), (1, 2, 3)


def _is_unspaced(word: str) -> bool:
    return ord(word[0]) >= 0x3040


def _units(words: list[str]) -> Iterator[str]:
    previous = "^"
    for word in words:
        unspaced = _is_unspaced(word)
        if not unspaced:
            yield "w" + word
            yield "b" + previous + " " + word
            previous = word
        padded = word if unspaced else f"<{word}>"
        for size in _UNSPACED_SIZES if unspaced else _SPACED_SIZES:
            for at in range(max(0, len(padded) - size + 1)):
                yield "c" + padded[at : at + size]


def features(words: list[str]) -> dict[int, float]:
    """Slot -> value, unit length in all; words and their neighbours, and pieces of words."""
    budget = _READ
    taken: list[str] = []
    for word in words:
        budget -= len(word) + 1
        if budget < 0:
            break
        taken.append("0" if word[0].isdigit() else word[:40])
    found = {zlib.crc32(unit.encode()) % SLOTS for unit in _units(taken)}
    value = len(found) ** -0.5 if found else 0.0
    return dict.fromkeys(found, value)
