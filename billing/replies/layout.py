"""How do lines fit a terminal? Columns are counted as a terminal counts them: wide letters take two, marks none."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

_CELLS = re.compile(r" {2,}")


def width_of(text: str) -> int:
    return sum(_columns(letter) for letter in text)


def _columns(letter: str) -> int:
    if unicodedata.category(letter) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(letter) in {"W", "F"} else 1


def columns(lines: Sequence[str], most: int) -> Iterator[str]:
    """Neighbouring lines of as many cells (two spaces apart) are set under each other, when they fit `most`.

    Numbered lines stand together whatever they hold: a missing cell in the middle is left empty.
    """
    block: list[list[str]] = []
    for line in lines:
        cells = _CELLS.split(line)
        if block and (len(cells) == 1 or _kind(cells) != _kind(block[0])):
            yield from _aligned(block, most)
            block = []
        if len(cells) > 1:
            block.append(cells)
        else:
            yield line
    if block:
        yield from _aligned(block, most)


def _kind(cells: Sequence[str]) -> int:
    return 0 if cells[0].split(" ", 1)[0].isdigit() else len(cells)


def _aligned(block: Sequence[Sequence[str]], most: int) -> Iterator[str]:
    most_cells = max(len(row) for row in block)
    block = [[row[0], *[""] * (most_cells - len(row)), *row[1:]] for row in block]
    widths = [max(width_of(row[position]) for row in block) for position in range(len(block[0]))]
    fits = sum(widths) + 2 * (len(widths) - 1) <= most
    for row in block:
        cells = [cell + " " * (widths[n] - width_of(cell)) for n, cell in enumerate(row)] if fits else row
        yield "  ".join(cell for cell in cells if fits or cell).rstrip()


def wrapped(line: str, width: int, *, first: str, rest: str) -> Iterator[str]:
    """The line in pieces of at most `width` columns, opened by `first` and `rest`; long words are cut."""
    opening, room = first, width - len(first)
    while width_of(line) > room:
        cut = _cut(line, room)
        yield opening + line[:cut].rstrip()
        line = line[cut:].lstrip()
        opening, room = rest, width - len(rest)
    if line:
        yield opening + line


def _cut(line: str, room: int) -> int:
    """Where to break a line that is too wide: after the last space that fits, else before the letter that does not."""
    used, last, count = _columns(line[0]), 0, 0
    while used <= room:
        if line[count] == " " or _columns(line[count]) == 2:
            last = count + 1
        count += 1
        used += _columns(line[count])
    return last if last > room // 3 else max(1, count)
