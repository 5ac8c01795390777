"""Which bucket is it, how sure are we, and what speaks for and against?

Additive log-odds of text and state: each row of the explanation is its real contribution. State may overrule
text; text may only lower what may be done.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from billing.evidence import Bucket


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
