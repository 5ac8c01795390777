"""Is the reader's model made the same way on every run, and does it carry what the texts teach?"""

from __future__ import annotations

from pathlib import Path

from billing.reading.model import unpacked
from billing.reading.scoring import BUCKETS
from deploy.train.train_reader import CLASSES, HERE, additions, check, read_texts, train, write

TEXTS = [HERE / "seeds.tsv", HERE / "tickets.tsv"]


def few(tmp_path: Path, every: int) -> Path:
    lines = [line for path in TEXTS for line in path.read_text("utf-8").splitlines()]
    chosen = tmp_path / "few.tsv"
    chosen.write_text("\n".join(lines[::every]) + "\n", "utf-8")
    return chosen


def test_two_runs_over_the_same_texts_write_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.bin", "two.bin"):
        write(*train(read_texts([few(tmp_path, 150)])), tmp_path / name)
    assert (tmp_path / "one.bin").read_bytes() == (tmp_path / "two.bin").read_bytes()
    assert len(unpacked((tmp_path / "one.bin").read_bytes())[1]) == len(BUCKETS)


def test_a_trained_model_adds_most_to_the_bucket_of_a_text_it_has_seen(tmp_path: Path) -> None:
    examples = read_texts([few(tmp_path, 100)])
    model = train(examples)
    totals = [[rule + more for rule, more in zip(e.rules, additions(e, *model), strict=True)] for e in examples]
    right = [odds.index(max(odds)) == example.gold for odds, example in zip(totals, examples, strict=True)]
    assert sum(right) > 0.9 * len(right)


def test_a_subject_is_parted_from_its_body_and_each_text_has_a_bucket_and_a_language(tmp_path: Path) -> None:
    lines = [line.split("\t") for path in TEXTS for line in path.read_text("utf-8").splitlines()]
    assert all(len(line) == 3 and line[0] in CLASSES and len(line[1]) == 2 and line[2].strip() for line in lines)
    assert len({line[2] for line in lines}) == len({(line[0], line[2]) for line in lines}), "one text, two buckets"
    parted = tmp_path / "parted.tsv"
    parted.write_text("dup\ten\tTwo charges :: I was charged twice.\n", "utf-8")
    assert read_texts([parted])[0].rules[0] > 1


def test_the_estimate_reads_each_text_with_a_model_that_has_not_seen_it(tmp_path: Path) -> None:
    report = check(read_texts([few(tmp_path, 200)]))
    accuracy = float(report.split("accuracy ")[1].split("\n")[0])
    assert 0.3 < accuracy < 1.0
    assert "temperature 1.0" in report
