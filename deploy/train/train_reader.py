"""How is the reader's linear model made? `python -m deploy.train.train_reader [texts.tsv ...]` writes model.bin.

Plain Python, no package needed. Texts are tab-separated lines `bucket, language, text`, written for this purpose; in a
whole ticket ` :: ` parts the subject from the body. The model is a multinomial logistic regression on the hashed
features of billing/reading/features.py, weights in one byte. It is fitted on top of what the phrase rules say of the
same text, so it learns what the rules miss and where they mislead. Train again after a rule or its weight has changed.
The rules count for less while training: many were written beside these texts and know them better than new ones.

With `--check` it prints an estimate instead of writing the file: each text is read by a model that has not seen it nor
its neighbours in the file, which were written in one breath. The result is the same on every run.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from billing.evidence import Requester, TicketText
from billing.reading import read_ticket
from billing.reading.codes import TextCode
from billing.reading.features import SLOTS, features
from billing.reading.model import packed
from billing.reading.scoring import BUCKETS, log_odds, weights
from billing.reading.view import word_view

HERE = Path(__file__).parent
TARGET = HERE.parents[1] / "billing" / "reading" / "model.bin"
CLASSES = ("dup", "team", "pay", "gap", "product", "other", "not")
ROUNDS, RATE, DECAY = 25, 2.0, 5e-5
TRUST = 0.7  # share of the rules' log-odds while training, chosen on 112 texts that no rule had been written beside
NEIGHBOURS, FOLDS = 8, 4
Table = dict[int, list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """`rules` are the log-odds that the phrase rules give, in full; the model adds to them."""

    found: dict[int, float]
    rules: list[float]
    gold: int
    language: str
    text: str


def read_texts(paths: Sequence[Path]) -> list[Example]:
    lines = [line for path in paths for line in path.read_text("utf-8").splitlines() if line.strip()]
    return [_example(*line.split("\t", 2)) for line in lines]


def _example(bucket: str, language: str, text: str) -> Example:
    subject, _, body = text.rpartition(" :: ")
    evidence = read_ticket(TicketText(subject=subject, body=body), Requester(), None)
    said = tuple(signal for signal in evidence.signals if signal.code != TextCode.TXT_MODEL)
    odds = log_odds(replace(evidence, signals=said))
    return Example(
        found=features(word_view(f"{subject}\n{body}").units),
        rules=[odds[name] for name in BUCKETS],
        gold=CLASSES.index(bucket),
        language=language,
        text=text,
    )


def additions(example: Example, table: Table, intercepts: Sequence[float]) -> list[float]:
    """What the model alone says, in log-odds."""
    totals = list(intercepts)
    for slot, value in example.found.items():
        row = table.get(slot)
        if row:
            for place, weight in enumerate(row):
                totals[place] += weight * value
    return totals


def probabilities(totals: Sequence[float]) -> list[float]:
    highest = max(totals)
    powers = [math.exp(total - highest) for total in totals]
    whole = sum(powers)
    return [power / whole for power in powers]


def train(examples: Sequence[Example]) -> tuple[Table, list[float]]:
    """Stochastic gradient descent in a fixed order that mixes the classes; weight decay per visit."""
    table: Table = {}
    intercepts = [0.0] * len(BUCKETS)
    order = sorted(range(len(examples)), key=lambda index: (index * 7919) % len(examples))
    for turn in range(ROUNDS):
        rate = RATE / (1 + 0.2 * turn)
        kept = 1 - rate * DECAY
        for index in order:
            example = examples[index]
            added = additions(example, table, intercepts)
            chances = probabilities([TRUST * rule + more for rule, more in zip(example.rules, added, strict=True)])
            steps = [rate * ((place == example.gold) - chance) for place, chance in enumerate(chances)]
            intercepts = [old + 0.02 * step for old, step in zip(intercepts, steps, strict=True)]
            for slot, value in example.found.items():
                row = table.setdefault(slot, [0.0] * len(BUCKETS))
                for place, step in enumerate(steps):
                    row[place] = row[place] * kept + step * value
    return table, intercepts


def write(table: Table, intercepts: list[float], target: Path) -> None:
    largest = max(abs(weight) for row in table.values() for weight in row)
    scale = largest / 127
    steps = bytearray(SLOTS * len(BUCKETS))
    for slot, row in table.items():
        for place, weight in enumerate(row):
            steps[slot * len(BUCKETS) + place] = round(weight / scale) & 0xFF
    target.write_bytes(packed(scale, intercepts, bytes(steps)))


def foretold(examples: Sequence[Example]) -> list[list[float]]:
    """Log-odds of rules and model for each example, the model trained without its neighbourhood."""
    result: list[list[float]] = [[]] * len(examples)
    cap = weights().caps["model"]
    for fold in range(FOLDS):
        inside = [index // NEIGHBOURS % FOLDS == fold for index in range(len(examples))]
        model = train([example for example, held in zip(examples, inside, strict=True) if not held])
        for index, example in enumerate(examples):
            if inside[index]:
                added = additions(example, *model)
                middle = sum(added) / len(added)
                capped = [max(-cap, min(cap, value - middle)) for value in added]
                result[index] = [rule + more for rule, more in zip(example.rules, capped, strict=True)]
    return result


def check(examples: Sequence[Example]) -> str:
    """Accuracy, log-loss and how often the sure ones are right at a few temperatures, and accuracy by language."""
    told = foretold(examples)
    right = [odds.index(max(odds)) == example.gold for odds, example in zip(told, examples, strict=True)]
    lines = [f"{len(examples)} texts, accuracy {sum(right) / len(right):.3f}"]
    for tenths in range(7, 16):
        chances = [probabilities([value * 10 / tenths for value in odds]) for odds in told]
        loss = -sum(math.log(c[e.gold]) for c, e in zip(chances, examples, strict=True)) / len(examples)
        sure = [hit for hit, chance in zip(right, chances, strict=True) if max(chance) >= 0.85]
        lines.append(
            f"temperature {tenths / 10}: log-loss {loss:.3f}, {len(sure) / len(right):.3f} at >= .85 are "
            f"right in {sum(sure) / max(1, len(sure)):.3f}"
        )
    for language in sorted({example.language for example in examples}):
        own = [hit for hit, example in zip(right, examples, strict=True) if example.language == language]
        lines.append(f"{language} {len(own)} {sum(own) / len(own):.3f}")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("texts", nargs="*", type=Path, default=[HERE / "seeds.tsv", HERE / "tickets.tsv"])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--target", type=Path, default=TARGET)
    chosen = parser.parse_args()
    examples = read_texts(chosen.texts)
    if chosen.check:
        sys.stdout.write(check(examples))
    else:
        write(*train(examples), chosen.target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
