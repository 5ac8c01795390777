"""Which bucket is it, how sure are we, and what speaks for and against?

Additive log-odds of text and state: each row of the explanation is its real contribution. State may overrule
text; text may only lower what may be done.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from billing.evidence import Bucket, TicketEvidence, Wish
from billing.identity import Level
from billing.reading.scoring import log_odds, weights
from billing.situations import TELLING, Scene, Situation, explained, situations
from billing.situations.duplicates import DUPLICATE_WORDS


class Band(StrEnum):
    """What the confidence allows: propose, propose with a question, or hand to a person."""

    SUGGEST = "suggest"
    CHECK = "check"
    PERSON = "person"


class Source(StrEnum):
    STRIPE = "stripe"
    TICKET = "ticket"
    ZENDESK = "zendesk"
    AGENT = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One reason for (weight > 0) or against (weight < 0) the chosen bucket, in log-odds."""

    code: str
    says: str
    weight: float
    source: Source
    objects: tuple[str, ...] = ()
    quote: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """`situation` names the line of the situation table that was recognised (`duplicate_same_price`, …) or None."""

    bucket: Bucket
    confidence: float  # calibrated, 0..1
    band: Band
    signals_for: tuple[Signal, ...]
    signals_against: tuple[Signal, ...]
    why: str
    would_change: str | None = None
    second: tuple[Bucket, float] | None = None
    situation: str | None = None
    needs_human: bool = False


# --- the judgement ------------------------------------------------------------------------------------------------

_SEVEN: tuple[Bucket, ...] = tuple(bucket for bucket in Bucket if bucket is not Bucket.UNDECIDED)
_TEMPERATURE = 1.0  # with state; the text alone has its own, in reading/weights.toml
_RIVAL = 0.4  # what a line that lost still weighs for its bucket
_NOTHING_KNOWN = 0.28
_SUGGEST, _CHECK, _MARGIN = 0.85, 0.60, 0.25
_SECOND_READER = 0.5  # what a language model's other opinion takes from the bucket that was decided without it
_WORDS = {
    Bucket.DUPLICATE_SUBSCRIPTION: "a duplicate subscription",
    Bucket.TEAM_SEATS: "seats or teams",
    Bucket.FAILED_PAYMENT: "a payment that does not complete",
    Bucket.SELF_SERVE_GAP: "something the customer should be able to do alone",
    Bucket.PRODUCT_FAILURE: "something paid and not delivered",
    Bucket.OTHER_BILLING: "another question about money",
    Bucket.NOT_BILLING: "not about billing",
    Bucket.UNDECIDED: "unclear",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weighing:
    """The log-odds of each bucket and the rows they are made of; a row names the bucket it counts for."""

    odds: Mapping[Bucket, float]
    rows: tuple[tuple[Bucket, Signal], ...]
    temperature: float

    def less(self, bucket: Bucket, row: Signal) -> _Weighing:
        """With one more row against the bucket."""
        odds = {**self.odds, bucket: self.odds[bucket] + row.weight}
        return replace(self, odds=odds, rows=(*self.rows, (bucket, row)))

    def chances(self) -> dict[Bucket, float]:
        return _chances(self.odds, self.temperature)


def _chances(odds: Mapping[Bucket, float], temperature: float) -> dict[Bucket, float]:
    highest = max(odds.values())
    powers = {b: math.exp((value - highest) / temperature) for b, value in odds.items()}
    whole = sum(powers.values())
    return {b: power / whole for b, power in powers.items()}


def diagnose(scene: Scene, lines: tuple[Situation, ...], correction: Bucket | None = None) -> Diagnosis:
    """Weigh text and state; `lines` are those of `telling`.

    `correction` is an agent's own word: it sets the bucket and grants no right.
    """
    leaning = log_odds(scene.evidence)
    weighing = _weigh(scene, leaning, lines)
    chances = weighing.chances()
    ranked = sorted(chances, key=lambda b: (-chances[b], _SEVEN.index(b)))
    bucket = correction or _first(scene, ranked[0], chances, lines)
    line = next((line for line in lines if line.bucket is bucket), None)
    second = next(b for b in ranked if b is not bucket)
    confidence = 1.0 if correction else chances.get(bucket, chances[ranked[0]])
    doubts = _doubts(scene, line)
    if correction is None and not _concur(bucket, leaning) and (line is None or line.strength < TELLING):
        doubts = (*doubts, "the words point elsewhere")
    margin = 1.0 if correction else confidence - chances[second]
    human = _needs_human(scene, bucket, line, (confidence, margin, leaning))
    other = _other_reading(scene.evidence, bucket) if correction is None else None
    if other is not None:  # after bucket, line and person: it changes what is shown, never what may be done
        weighing = weighing.less(bucket, other)
        confidence = weighing.chances()[bucket]
        doubts = (*doubts, "a language model reads the words otherwise")
    return Diagnosis(
        bucket=bucket,
        confidence=round(confidence, 4),
        band=_band(confidence, margin, human, bool(doubts)),
        signals_for=_rows(weighing, bucket, correction, positive=True),
        signals_against=_rows(weighing, bucket, correction, positive=False),
        why=_why(scene, bucket, line, doubts),
        would_change=line.would_change if line else _open_question(scene, bucket),
        second=(second, round(chances[second], 4)),
        situation=line.name if line else None,
        needs_human=human,
    )


def telling(scene: Scene) -> tuple[Situation, ...]:
    """The situations that words have not vetoed, best first."""
    return tuple(line for line in situations(scene, log_odds(scene.evidence)) if line.strength + line.affinity > 0.5)


def _weigh(scene: Scene, leaning: Mapping[Bucket, float], lines: tuple[Situation, ...]) -> _Weighing:
    left = explained(lines, leaning)
    odds: dict[Bucket, float] = {bucket: left.get(bucket, 0.0) for bucket in _SEVEN}
    shares = {bucket: left[bucket] / value if value else 1.0 for bucket, value in leaning.items()}
    rows = [(b, replace(row, weight=row.weight * shares.get(b, 1.0))) for b, row in _text_rows(scene.evidence)]
    seen: set[Bucket] = set()
    for position, line in enumerate(lines):
        if line.bucket in seen:
            continue
        seen.add(line.bucket)
        weight = (line.strength + line.affinity) * (1.0 if position == 0 else _RIVAL)
        odds[line.bucket] += weight
        row = Signal(code=line.name, says=line.says, weight=weight, source=Source.STRIPE, objects=line.objects)
        rows.append((line.bucket, row))
    for bucket, row in (*_not_ours(leaning, lines), *_interactions(scene, leaning, lines)):
        odds[bucket] += row.weight
        rows.append((bucket, row))
    return _Weighing(odds=odds, rows=tuple(rows), temperature=_TEMPERATURE if lines else weights().temperature)


def _text_rows(evidence: TicketEvidence) -> Iterator[tuple[Bucket, Signal]]:
    """Every signal's real share: scaled down where its group runs into the cap."""
    table = weights()
    sums: dict[tuple[str, Bucket], float] = {}
    for signal in evidence.signals:
        for bucket, weight in signal.weights.items():
            sums[signal.group, bucket] = sums.get((signal.group, bucket), 0.0) + weight
    for signal in evidence.signals:
        for bucket, weight in signal.weights.items():
            total, cap = sums[signal.group, bucket], table.caps.get(signal.group, table.caps["default"])
            share = weight * cap / abs(total) if abs(total) > cap else weight
            says = f"The ticket says: {signal.quote.strip()[:80]}" if signal.quote.strip() else _sounds(bucket, weight)
            source = Source.ZENDESK if signal.group == "machine" else Source.TICKET
            yield bucket, Signal(code=signal.code, says=says, weight=share, source=source, quote=signal.quote)


def _sounds(bucket: Bucket, weight: float) -> str:
    """A signal without a quote: no one phrase of the text carries it."""
    about = "that are not about billing" if bucket is Bucket.NOT_BILLING else f"about {_WORDS[bucket]}"
    return f"As a whole it reads {'like' if weight > 0 else 'unlike'} tickets {about}."


def _not_ours(leaning: Mapping[Bucket, float], lines: tuple[Situation, ...]) -> Iterator[tuple[Bucket, Signal]]:
    """State tells which billing question it is, hardly whether it is one: nearly everybody who writes has a plan."""
    share = 2.0 * _chances(leaning, weights().temperature)[Bucket.NOT_BILLING] - 1.0
    if lines and share > 0.0:
        says = "The words are not about money; what Stripe shows does not change that."
        weight = share * (lines[0].strength + lines[0].affinity)
        yield Bucket.NOT_BILLING, Signal(code="words_not_billing", says=says, weight=weight, source=Source.TICKET)


def _interactions(
    scene: Scene, leaning: Mapping[Bucket, float], lines: tuple[Situation, ...]
) -> Iterator[tuple[Bucket, Signal]]:
    """What words and state say together: a claim that Stripe was asked about, and denied."""
    if not scene.known or not scene.readable:
        return
    buckets = {line.bucket for line in lines}
    accounted = buckets.union(*(line.overrules for line in lines if line.strength + line.affinity >= TELLING))
    denied = bool(scene.subscriptions) and not scene.speaks("TXT_TWO_ACCOUNTS")
    twice = scene.speaks(*DUPLICATE_WORDS) or max(leaning, key=lambda b: leaning[b]) is Bucket.DUPLICATE_SUBSCRIPTION
    if denied and twice and Bucket.DUPLICATE_SUBSCRIPTION not in accounted:
        says = "Stripe shows one subscription and no payment that was taken twice."
        yield Bucket.DUPLICATE_SUBSCRIPTION, _row("claims_twice_found_once", says, -4.0)
        yield Bucket.OTHER_BILLING, _row("claims_twice_found_once", says, 1.5 if lines else 3.0)
    if scene.speaks("TXT_PAID", "TXT_NO_ACCESS") and lines and lines[0].bucket is Bucket.FAILED_PAYMENT:
        says = "The ticket says it was paid; Stripe shows a payment that did not complete."
        yield Bucket.PRODUCT_FAILURE, _row("claims_paid_found_failed", says, -1.5)
    unpaid = scene.speaks("TXT_DECLINED", "TXT_PAST_DUE", "TXT_PENDING")
    if unpaid and scene.live and Bucket.FAILED_PAYMENT not in buckets:
        says = "Everything is paid in Stripe; no payment is open or failed."
        yield Bucket.FAILED_PAYMENT, _row("claims_failed_found_paid", says, -1.5)


def _row(code: str, says: str, weight: float) -> Signal:
    return Signal(code=code, says=says, weight=weight, source=Source.STRIPE)


def _first(scene: Scene, best: Bucket, chances: Mapping[Bucket, float], lines: tuple[Situation, ...]) -> Bucket:
    """The likeliest bucket, or UNDECIDED when neither words nor state tell anything."""
    if not lines and scene.evidence.instructions_to_machine and not scene.evidence.has_text:
        return Bucket.NOT_BILLING  # nothing but words for a machine (codebook, section 2.0)
    if not lines and (not scene.evidence.has_text or chances[best] < _NOTHING_KNOWN):
        return Bucket.UNDECIDED
    if not scene.evidence.has_text and lines[0].strength < 3.0 and not scene.evidence.requester.named_by_operator:
        return Bucket.UNDECIDED
    return best


def _other_reading(evidence: TicketEvidence, bucket: Bucket) -> Signal | None:
    """The row of a second reader who does not agree; one who agrees proves nothing."""
    told = evidence.second_reading
    if told is None or told.bucket is bucket or bucket is Bucket.UNDECIDED:
        return None
    says = f"A language model reads it as {_WORDS[told.bucket]}."
    return Signal(code="second_reader", says=says, weight=-_SECOND_READER, source=Source.TICKET, quote=told.quote)


def _doubts(scene: Scene, line: Situation | None) -> tuple[str, ...]:
    """What keeps the judgement from being a plain suggestion, without needing a person."""
    doubts = []
    if line is not None and line.name == "cancel_claimed":
        doubts.append("the ticket claims a cancellation that Stripe does not show")
    if scene.evidence.instructions_to_machine:
        doubts.append("the ticket carries instructions to a machine")
    if scene.found("identity_mismatch"):
        doubts.append("an id in the ticket belongs to somebody else")
    if scene.speaks("TXT_LEGAL_THREAT"):
        doubts.append("legal steps are mentioned")
    if scene.speaks("TXT_PLAN_CHANGED_BY_THEM") and scene.found("plan_changed", "proration_charge"):
        doubts.append("Stripe's records do not say who changed the plan")
    if line is not None and line.tie:
        doubts.append("the customer has to say which one is meant")
    if scene.known and not scene.readable:
        doubts.append("not all of Stripe could be read")
    return tuple(doubts)


def _needs_human(
    scene: Scene, bucket: Bucket, line: Situation | None, sure: tuple[float, float, Mapping[Bucket, float]]
) -> bool:
    """design/codes.md, needs_human."""
    evidence = scene.evidence
    if not evidence.has_text and not evidence.requester.named_by_operator:
        return True
    if bucket is Bucket.NOT_BILLING:
        return sure[0] < _CHECK and not _only_words(scene, sure[2])
    if bucket is Bucket.UNDECIDED or (line is not None and line.person is not None):
        return True
    if needs_write(scene, bucket) and (not scene.known or scene.identity.distrusted):
        return True
    if needs_write(scene, bucket) and line is None and scene.found("unknown_value"):
        return True
    agrees = line is not None and scene.identity.level is Level.VERIFIED and _concur(bucket, sure[2])
    return not agrees and (sure[0] < _CHECK or sure[1] < _MARGIN)


def _concur(bucket: Bucket, leaning: Mapping[Bucket, float]) -> bool:
    """The words point at the bucket, or at nothing in particular."""
    return leaning.get(bucket, 0.0) >= max(leaning.values()) - 0.5


def _only_words(scene: Scene, leaning: Mapping[Bucket, float]) -> bool:
    return not scene.live and _concur(Bucket.NOT_BILLING, leaning)


_WRITES = (Wish.REFUND, Wish.CANCEL, Wish.KEEP, Wish.PAY, Wish.CHANGE_SEATS, Wish.CHANGE_PLAN)


def needs_write(scene: Scene, bucket: Bucket) -> bool:
    """Whether what is asked for would have to be written to Stripe."""
    asked = scene.wants(*_WRITES) or scene.wants_refund or scene.wants_cancel or scene.wants_to_stay
    return asked or bucket is Bucket.DUPLICATE_SUBSCRIPTION


def _band(confidence: float, margin: float, human: bool, doubted: bool) -> Band:
    if human:
        return Band.PERSON
    return Band.SUGGEST if confidence >= _SUGGEST and margin >= _MARGIN and not doubted else Band.CHECK


def _rows(weighing: _Weighing, bucket: Bucket, correction: Bucket | None, *, positive: bool) -> tuple[Signal, ...]:
    """Rows of the bucket by sign; what counts for another bucket counts against this one."""
    rows = [row for for_bucket, row in weighing.rows if for_bucket is bucket and (row.weight > 0) is positive]
    if not positive:
        rows += [
            replace(row, weight=-row.weight) for other, row in weighing.rows if other is not bucket and row.weight > 0
        ]
    elif correction is not None:
        rows.append(Signal(code="agent_correction", says="An agent chose this.", weight=9.0, source=Source.AGENT))
    found = [replace(row, weight=round(row.weight, 3)) for row in rows if abs(row.weight) >= 0.05]
    return tuple(sorted(found, key=lambda row: (-abs(row.weight), row.code)))


def _why(scene: Scene, bucket: Bucket, line: Situation | None, doubts: tuple[str, ...]) -> str:
    if line is not None:
        return line.says if not doubts else f"{line.says[:-1]}; {doubts[0]}."
    if bucket is Bucket.UNDECIDED:
        return "Neither the ticket nor Stripe says what this is about."
    if bucket is Bucket.NOT_BILLING:
        return "The ticket is not about a charge, plan or subscription with us."
    found = "Stripe shows nothing that stands out" if scene.known else "no customer was found under this address"
    return f"The ticket reads like {_WORDS[bucket]}; {found}."


def _open_question(scene: Scene, bucket: Bucket) -> str | None:
    if bucket is Bucket.NOT_BILLING:
        return None
    if not scene.known:
        return "A mail from the billing address, or the customer's record, would show the state."
    return "An anomaly in Stripe, or one sentence more from the customer, would decide it."
