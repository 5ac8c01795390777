"""The core's one answer for a ticket: who is this, what happened, what is the safest fix, what do we reply."""

from __future__ import annotations

from dataclasses import dataclass

from billing.diagnosis import Diagnosis
from billing.evidence import TicketEvidence
from billing.identity import Identity
from billing.plan import Plan
from billing.snapshot import Anomaly, BillingSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`gap` is a kind of the gap catalogue or None when nothing is missing in the product."""

    evidence: TicketEvidence
    snapshot: BillingSnapshot
    identity: Identity
    anomalies: tuple[Anomaly, ...]
    diagnosis: Diagnosis
    plan: Plan
    gap: str | None
    headline: str  # <= 32 characters
    lede: str
