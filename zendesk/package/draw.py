"""How are the app's two logos drawn? Run this file to write them anew; it is not part of the package.

A receipt with a tick on it, in straight lines and discs, smoothed by sampling each pixel sixteen times.
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path

GREEN, WHITE, GREY = (3, 54, 61), (255, 255, 255), (188, 199, 201)
TICK = (31, 139, 92)
FINE = 4  # samples a pixel, each way
Colour = tuple[int, int, int]


def colour_at(x: float, y: float) -> Colour | None:
    """The colour at a point of the unit square; None is transparent."""
    if not _in_round_box(x, y, 0.0, 0.0, 1.0, 1.0, 0.2):
        return None
    if _in_disc(x, y, 0.68, 0.7, 0.19):
        drawn = _near(x, y, 0.59, 0.71, 0.655, 0.775, 0.026) or _near(x, y, 0.655, 0.775, 0.78, 0.63, 0.026)
        return WHITE if drawn else TICK
    if _in_disc(x, y, 0.68, 0.7, 0.225):
        return GREEN
    paper = 0.26 <= x <= 0.74 and 0.18 <= y <= 0.8 - 0.045 * abs(((x - 0.26) / 0.08) % 2 - 1)
    if not paper:
        return GREEN
    lines = ((0.3, 0.66), (0.42, 0.66), (0.54, 0.5))
    return GREY if any(_near(x, y, 0.34, at, end, at, 0.02) for at, end in lines) else WHITE


def png(size: int) -> bytes:
    """The logo as an RGBA image of `size` pixels each way."""
    rows = b"".join(b"\0" + b"".join(_pixel(column, row, size) for column in range(size)) for row in range(size))
    header = struct.pack(">IIBBBBB", size, size, 8, 6, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def _pixel(column: int, row: int, size: int) -> bytes:
    found = [
        colour_at((column + (i + 0.5) / FINE) / size, (row + (j + 0.5) / FINE) / size)
        for i in range(FINE)
        for j in range(FINE)
    ]
    seen = [colour for colour in found if colour is not None]
    if not seen:
        return b"\0\0\0\0"
    mixed = (round(sum(colour[part] for colour in seen) / len(seen)) for part in range(3))
    return bytes([*mixed, round(255 * len(seen) / len(found))])


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _in_disc(x: float, y: float, cx: float, cy: float, radius: float) -> bool:
    return math.hypot(x - cx, y - cy) <= radius


def _in_round_box(x: float, y: float, left: float, top: float, right: float, bottom: float, radius: float) -> bool:
    cx, cy = min(max(x, left + radius), right - radius), min(max(y, top + radius), bottom - radius)
    return _in_disc(x, y, cx, cy, radius)


def _near(x: float, y: float, x1: float, y1: float, x2: float, y2: float, distance: float) -> bool:
    """Whether a point is within `distance` of a stretch."""
    long = (x2 - x1) ** 2 + (y2 - y1) ** 2
    along = min(1.0, max(0.0, ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / long))
    return math.hypot(x - x1 - along * (x2 - x1), y - y1 - along * (y2 - y1)) <= distance


if __name__ == "__main__":
    assets = Path(__file__).parent / "assets"
    for name, pixels in (("logo.png", 320), ("logo-small.png", 128)):
        (assets / name).write_bytes(png(pixels))
