"""How well do text, and text with Stripe's state, tell the bucket? `python deploy/eval/evaluate.py FILE.jsonl`.

Reads labelled tickets in the format of the codebook: one JSON object per line with `id, lang, subject, body,
from_email, bucket, secondary, contestable, tags`. Tickets tagged `must_abstain` count only for abstention. Prints
macro-F1 over seven classes and over the five seed buckets, each strict, lenient (the secondary counts when
contestable) and clear-only, accuracy, expected calibration error and accuracy by coverage. With `--states` each
ticket is judged once more with each of its `deciding_states` (worlds in states.py) and once without any, and the
share and accuracy of the Suggest band and the final steps in states that allow none are counted too. `known_state`
leaves out the judgements without a customer, where a request for a write has to go to a person. tickets_own.jsonl
holds 282 tickets written for this; rules were mended while looking at `split` looked_at, never at the others.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from billing.decision import Decision, decide
from billing.diagnosis import Band
from billing.evidence import Bucket, Requester, TicketEvidence, TicketText, Verification
from billing.policy import Policy
from billing.reading import read_ticket, score
from billing.reading.scoring import BUCKETS

SEED_BUCKETS = BUCKETS[:5]
FINAL_ALLOWED = {
    "MULTI_ACTIVE_SAME", "DUP_CHARGE_ONE_SUB", "MULTI_ACTIVE_DIFF_PLAN", "CANCELED_BEFORE_CHARGE",
    "PLAN_CHANGED_BY_SYSTEM",
}  # fmt: skip
Ticket = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    ticket: str
    language: str
    gold: Bucket
    secondary: Bucket | None
    contestable: bool
    guess: Bucket
    sure: float
    read_language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One ticket in one state; `final` are the steps that cannot be taken back."""

    row: Row
    state: str
    suggested: bool
    overturned: bool  # the state proves another bucket than the text's own label
    final: tuple[str, ...]


def tickets(path: Path) -> list[Ticket]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def read(ticket: Ticket, requester: Requester) -> TicketEvidence:
    return read_ticket(TicketText(subject=ticket["subject"] or "", body=ticket["body"] or ""), requester, None)


def _row(ticket: Ticket, gold: str, guess: Bucket, sure: float, language: str) -> Row:
    return Row(
        ticket=ticket["id"],
        language=ticket["lang"],
        gold=Bucket(gold),
        secondary=Bucket(ticket["secondary"]) if ticket.get("secondary") else None,
        contestable=bool(ticket["contestable"]),
        guess=guess,
        sure=sure,
        read_language=language,
    )


def rows(path: Path) -> tuple[list[Row], list[bool]]:
    """Scored tickets, and for each `must_abstain` ticket whether it was found empty."""
    scored: list[Row] = []
    abstained: list[bool] = []
    for ticket in tickets(path):
        evidence = read(ticket, Requester(email=ticket.get("from_email")))
        if "must_abstain" in ticket.get("tags", ()):
            abstained.append(not evidence.has_text)
            continue
        odds = score(evidence)
        guess = max(odds, key=lambda bucket: odds[bucket])
        scored.append(_row(ticket, ticket["bucket"], guess, odds[guess], evidence.language))
    return scored, abstained


def judged(path: Path) -> list[Judged]:
    """Each ticket with no customer, and with each of its deciding states; the writer is the proven customer."""
    from deploy.eval.states import MAYA, STATES

    found: list[Judged] = []
    for ticket in tickets(path):
        if "must_abstain" in ticket.get("tags", ()):
            continue
        evidence = read(ticket, Requester(email=MAYA, verification=Verification.FULL))
        for state, gold in {"": ticket["bucket"], **ticket["deciding_states"]}.items():
            answer = decide(evidence, STATES[state or "NO_CUSTOMER"](), Policy())
            found.append(_judged(ticket, state, gold, answer))
    return found


def _judged(ticket: Ticket, state: str, gold: str, answer: Decision) -> Judged:
    diagnosis = answer.diagnosis
    return Judged(
        row=_row(ticket, gold, diagnosis.bucket, diagnosis.confidence, answer.evidence.language),
        state=state,
        suggested=diagnosis.band is Band.SUGGEST,
        overturned=gold != ticket["bucket"],
        final=tuple(p.step.kind for p in answer.plan.steps if not p.step.reversible),
    )


def state_report(found: Sequence[Judged]) -> dict[str, object]:
    all_rows = [entry.row for entry in found]
    suggested = [entry.row for entry in found if entry.suggested]
    known = [entry for entry in found if entry.state]
    rash = [entry for entry in found if entry.final and entry.state not in FINAL_ALLOWED]
    return {
        "state_scenarios": len(found),
        "state_accuracy": round(accuracy(all_rows), 3),
        "state_macro_f1_7": round(macro(all_rows, BUCKETS), 3),
        "state_overturns": round(accuracy([entry.row for entry in found if entry.overturned]), 3),
        "state_calibration_error": round(calibration_error(all_rows), 3),
        "state_accuracy_at_coverage": {share: round(value, 3) for share, value in coverage(all_rows).items()},
        "suggest_coverage": round(len(suggested) / max(1, len(found)), 3),
        "suggest_accuracy": round(accuracy(suggested), 3),
        "suggest_coverage_known_state": round(sum(entry.suggested for entry in known) / max(1, len(known)), 3),
        "suggest_accuracy_known_state": round(accuracy([entry.row for entry in known if entry.suggested]), 3),
        "state_accuracy_known_state": round(accuracy([entry.row for entry in known]), 3),
        "final_where_none_is_allowed": [f"{e.row.ticket} {e.state} {'+'.join(e.final)}" for e in rash],
    }


def lenient(row: Row) -> Row:
    """The same row, with the secondary as gold when it was guessed and the ticket is contestable."""
    if row.contestable and row.guess == row.secondary:
        return Row(**{name: getattr(row, name) for name in Row.__slots__} | {"gold": row.guess})
    return row


def f1_by_class(scored: Sequence[Row]) -> dict[Bucket, float]:
    """F1 of each class that occurs as gold or guess."""
    result: dict[Bucket, float] = {}
    for bucket in BUCKETS:
        hits = sum(row.gold == row.guess == bucket for row in scored)
        named = sum(row.guess == bucket for row in scored) + sum(row.gold == bucket for row in scored)
        if named:
            result[bucket] = 2 * hits / named
    return result


def macro(scored: Sequence[Row], classes: Sequence[Bucket]) -> float:
    found = f1_by_class(scored)
    kept = [found[bucket] for bucket in classes if bucket in found]
    return sum(kept) / len(kept) if kept else 0.0


def accuracy(scored: Sequence[Row]) -> float:
    return sum(row.gold == row.guess for row in scored) / len(scored) if scored else 0.0


def calibration_error(scored: Sequence[Row], bins: int = 10) -> float:
    """Expected calibration error of the top probability over equal-width bins."""
    total = 0.0
    for number in range(bins):
        inside = [row for row in scored if number / bins < row.sure <= (number + 1) / bins]
        if inside:
            total += abs(accuracy(inside) * len(inside) - sum(row.sure for row in inside))
    return total / len(scored) if scored else 0.0


def coverage(scored: Sequence[Row]) -> dict[str, float]:
    """Accuracy of the surest 80, 70, 50 and 30 %."""
    ordered = sorted(scored, key=lambda row: -row.sure)
    return {f"{share:.0%}": accuracy(ordered[: max(1, round(share * len(ordered)))]) for share in (0.8, 0.7, 0.5, 0.3)}


def report(scored: Sequence[Row], abstained: Sequence[bool]) -> dict[str, object]:
    views = {
        "strict": list(scored),
        "lenient": [lenient(row) for row in scored],
        "clear": [row for row in scored if not row.contestable],
    }
    billing = [row for row in scored if row.gold is not Bucket.NOT_BILLING]
    foreign = [row for row in scored if row.gold is Bucket.NOT_BILLING]
    return {
        "tickets": len(scored),
        "macro_f1_7": {name: round(macro(view, BUCKETS), 3) for name, view in views.items()},
        "macro_f1_5": {name: round(macro(view, SEED_BUCKETS), 3) for name, view in views.items()},
        "accuracy": {name: round(accuracy(view), 3) for name, view in views.items()},
        "accuracy_english": round(accuracy([row for row in scored if row.language == "en"]), 3),
        "accuracy_other_languages": round(accuracy([row for row in scored if row.language != "en"]), 3),
        "language_right": round(sum(row.language == row.read_language for row in scored) / max(1, len(scored)), 3),
        "f1": {bucket.value: round(value, 3) for bucket, value in f1_by_class(scored).items()},
        "billing_missed": round(sum(row.guess is Bucket.NOT_BILLING for row in billing) / max(1, len(billing)), 3),
        "not_billing_called_billing": round(
            sum(row.guess is not Bucket.NOT_BILLING for row in foreign) / max(1, len(foreign)), 3
        ),
        "calibration_error": round(calibration_error(scored), 3),
        "accuracy_at_coverage": {share: round(value, 3) for share, value in coverage(scored).items()},
        "abstained": f"{sum(abstained)}/{len(abstained)}",
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument(
        "--errors", action="store_true", help="list the tickets that were read otherwise (open sets only)"
    )
    parser.add_argument("--states", action="store_true", help="judge each ticket with its deciding states too")
    chosen = parser.parse_args(arguments)
    scored, abstained = rows(chosen.file)
    figures = report(scored, abstained)
    found = judged(chosen.file) if chosen.states else []
    if found:
        figures |= state_report(found)
    if chosen.json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        sys.stdout.writelines(f"{name:28} {value}\n" for name, value in figures.items())
    if chosen.errors:
        said = [("text", row) for row in scored] + [(entry.state or "no state", entry.row) for entry in found]
        sys.stdout.writelines(
            f"{row.ticket} {row.language} {state} {row.gold.value} -> {row.guess.value} {row.sure:.2f}\n"
            for state, row in said
            if row.gold != row.guess
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
