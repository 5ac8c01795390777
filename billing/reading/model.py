"""What does the linear model think? Hashed weights, trained offline by deploy/train/train_reader.py, one byte each."""

from __future__ import annotations

import struct
from functools import cache
from importlib.resources import files

from billing.evidence import Bucket, TextSignal
from billing.reading.codes import TextCode
from billing.reading.features import SLOTS, features
from billing.reading.scoring import BUCKETS

MAGIC = b"BDRM1\0"
_HEADER = struct.Struct("<6sIf7f")  # magic, slots, scale of one step, intercepts in the order of BUCKETS
_CAP = 3.0
_LEAST_WORDS = 1


@cache
def _model() -> tuple[float, tuple[float, ...], memoryview]:
    return unpacked((files("billing.reading") / "model.bin").read_bytes())


def unpacked(raw: bytes) -> tuple[float, tuple[float, ...], memoryview]:
    """What `packed` wrote. Raises ValueError when the file belongs to another version of the features."""
    magic, slots, scale, *intercepts = _HEADER.unpack_from(raw)
    table = memoryview(raw)[_HEADER.size :].cast("b")
    if magic != MAGIC or slots != SLOTS or len(table) != SLOTS * len(BUCKETS):
        raise ValueError("model.bin does not fit features.py: run deploy/train/train_reader.py")
    return scale, tuple(intercepts), table


def packed(scale: float, intercepts: list[float], table: bytes) -> bytes:
    """The file's bytes; `table` holds slots x buckets signed bytes."""
    return _HEADER.pack(MAGIC, SLOTS, scale, *intercepts) + table


def model_signal(words: list[str]) -> TextSignal | None:
    """Log-odds per bucket around their mean, capped; None when there is nothing to read."""
    if len(words) < _LEAST_WORDS:
        return None
    scale, intercepts, table = _model()
    totals = [0] * len(BUCKETS)
    found = features(words)
    for slot in found:
        row = table[slot * 7 : slot * 7 + 7]
        for place in range(7):
            totals[place] += row[place]
    value = next(iter(found.values()), 0.0)
    raw = [intercept + total * scale * value for intercept, total in zip(intercepts, totals, strict=True)]
    middle = sum(raw) / len(raw)
    weights: dict[Bucket, float] = {
        bucket: round(max(-_CAP, min(_CAP, value - middle)), 3) for bucket, value in zip(BUCKETS, raw, strict=True)
    }
    return TextSignal(code=TextCode.TXT_MODEL, quote="", group="model", weights=weights)
