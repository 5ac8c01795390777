"""How is the reader's linear model made? `python deploy/train/train_reader.py [seeds.tsv ...]` writes model.bin.

Plain Python, no package needed. Seeds are tab-separated lines `bucket, language, text`, written for this purpose. The
model is a multinomial logistic regression on the hashed features of billing/reading/features.py, weights in one byte.
With `--check` it prints a five-fold estimate instead of writing the file. The result is the same on every run.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from billing.reading.features import SLOTS, features
from billing.reading.model import packed
from billing.reading.scoring import BUCKETS
from billing.reading.view import word_view

HERE = Path(__file__).parent
TARGET = HERE.parents[1] / "billing" / "reading" / "model.bin"
CLASSES = ("dup", "team", "pay", "gap", "product", "other", "not")
ROUNDS, RATE, DECAY = 40, 2.0, 2e-4

Example = tuple[dict[int, float], int]


def read_seeds(paths: Sequence[Path]) -> list[Example]:
    examples: list[Example] = []
    for path in paths:
        for line in path.read_text("utf-8").splitlines():
            if line.strip():
                bucket, _, text = line.split("\t", 2)
                examples.append((features(word_view(text).units), CLASSES.index(bucket)))
    return examples


def probabilities(found: dict[int, float], table: dict[int, list[float]], intercepts: list[float]) -> list[float]:
    totals = list(intercepts)
    for slot, value in found.items():
        row = table.get(slot)
        if row:
            for place, weight in enumerate(row):
                totals[place] += weight * value
    highest = max(totals)
    powers = [math.exp(total - highest) for total in totals]
    whole = sum(powers)
    return [power / whole for power in powers]


def train(examples: Sequence[Example]) -> tuple[dict[int, list[float]], list[float]]:
    """Stochastic gradient descent in a fixed order that mixes the classes; weight decay per visit."""
    table: dict[int, list[float]] = {}
    intercepts = [0.0] * len(BUCKETS)
    order = sorted(range(len(examples)), key=lambda index: (index * 7919) % len(examples))
    for turn in range(ROUNDS):
        rate = RATE / (1 + 0.1 * turn)
        for index in order:
            found, gold = examples[index]
            chances = probabilities(found, table, intercepts)
            errors = [(place == gold) - chance for place, chance in enumerate(chances)]
            for place, error in enumerate(errors):
                intercepts[place] += 0.02 * rate * error
            for slot, value in found.items():
                row = table.setdefault(slot, [0.0] * len(BUCKETS))
                for place, error in enumerate(errors):
                    row[place] += rate * (error * value - DECAY * row[place])
    return table, intercepts


def write(table: dict[int, list[float]], intercepts: list[float], target: Path) -> None:
    largest = max(abs(weight) for row in table.values() for weight in row)
    scale = largest / 127
    steps = bytearray(SLOTS * len(BUCKETS))
    for slot, row in table.items():
        for place, weight in enumerate(row):
            steps[slot * len(BUCKETS) + place] = round(weight / scale) & 0xFF
    target.write_bytes(packed(scale, intercepts, bytes(steps)))


def check(examples: Sequence[Example], folds: int = 5) -> float:
    """Share of seeds that a model trained on the other folds reads right."""
    hits = 0
    for fold in range(folds):
        table, intercepts = train([example for index, example in enumerate(examples) if index % folds != fold])
        for found, gold in examples[fold::folds]:
            chances = probabilities(found, table, intercepts)
            hits += chances.index(max(chances)) == gold
    return hits / len(examples)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("seeds", nargs="*", type=Path, default=[HERE / "seeds.tsv"])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--target", type=Path, default=TARGET)
    chosen = parser.parse_args()
    examples = read_seeds(chosen.seeds)
    if chosen.check:
        sys.stdout.write(f"{len(examples)} seeds, five-fold accuracy {check(examples):.3f}\n")
    else:
        write(*train(examples), chosen.target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
