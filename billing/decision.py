"""The core's one answer for a ticket: who is this, what happened, what is the safest fix, what do we reply."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from billing.anomalies import find_anomalies
from billing.contract import WRITES
from billing.diagnosis import Band, Diagnosis, diagnose, telling
from billing.evidence import Bucket, TicketEvidence
from billing.identity import Identity, Level, identify
from billing.plan import Plan
from billing.policy import Policy
from billing.proposals import gap_behind, propose
from billing.situations.scene import Scene
from billing.situations.situation import Situation
from billing.snapshot import Anomaly, BillingSnapshot

_HEADLINES = {
    Bucket.DUPLICATE_SUBSCRIPTION: "No duplicate found",
    Bucket.TEAM_SEATS: "A question about seats",
    Bucket.FAILED_PAYMENT: "A payment does not go through",
    Bucket.SELF_SERVE_GAP: "Could be done in the portal",
    Bucket.PRODUCT_FAILURE: "The product let them down",
    Bucket.OTHER_BILLING: "A question about money",
    Bucket.NOT_BILLING: "Not a billing ticket",
    Bucket.UNDECIDED: "Nothing to go by yet",
}
_LISTS = (
    "customers", "siblings", "subscriptions", "invoices", "charges", "payment_methods", "payment_intents",
    "checkout_sessions", "disputes", "early_fraud_warnings", "credit_notes", "balance_transactions", "pending_items",
)  # fmt: skip
_STRANGERS = {Level.MISMATCH: "Found, but not theirs", Level.UNKNOWN: "No customer found"}


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


def decide(
    evidence: TicketEvidence,
    snapshot: BillingSnapshot,
    policy: Policy,
    *,
    chosen: str | None = None,
    correction: Bucket | None = None,
) -> Decision:
    """The whole judgement over one ticket and one snapshot; the same input gives the same answer."""
    snapshot = newest_first(snapshot)
    identity = identify(evidence, snapshot, chosen, policy)
    anomalies = find_anomalies(evidence, snapshot, identity, policy)
    scene = Scene(evidence=evidence, snapshot=snapshot, identity=identity, anomalies=anomalies, policy=policy)
    lines = telling(scene)
    diagnosis = diagnose(scene, lines, correction)
    line = next((x for x in lines if x.name == diagnosis.situation and x.bucket is diagnosis.bucket), None)
    plan = propose(scene, diagnosis, line)
    if any(entry.why == "identity" and entry.step in WRITES for entry in plan.blocked):
        diagnosis = replace(diagnosis, needs_human=True, band=Band.PERSON)  # a write is called for, and may not be
    filed = any(planned.step.kind == "file_issue" for planned in plan.steps)
    return Decision(
        evidence=evidence,
        snapshot=snapshot,
        identity=identity,
        anomalies=anomalies,
        diagnosis=diagnosis,
        plan=plan,
        gap=gap_behind(diagnosis, line, snapshot) if filed else None,
        headline=_headline(diagnosis, identity, line),
        lede=_lede(scene, plan, diagnosis),
    )


def newest_first(snapshot: BillingSnapshot) -> BillingSnapshot:
    """Stripe promises no order within one second: equal times are put by id here, so that two reads agree."""
    lists: dict[str, Any] = {
        name: tuple(sorted(getattr(snapshot, name), key=lambda record: (record.created, record.id), reverse=True))
        for name in _LISTS
    }
    return replace(snapshot, **lists)


def _headline(diagnosis: Diagnosis, identity: Identity, line: Situation | None) -> str:
    if line is not None:
        return line.headline
    if diagnosis.bucket not in {Bucket.NOT_BILLING, Bucket.UNDECIDED} and identity.level in _STRANGERS:
        return _STRANGERS[identity.level]
    return _HEADLINES[diagnosis.bucket]


def _lede(scene: Scene, plan: Plan, diagnosis: Diagnosis) -> str:
    """What we would do, in one sentence; what happened, when nothing is to be done."""
    writes = [planned.title for planned in plan.steps if planned.step.moves]
    if writes:
        rest = [title[0].lower() + title[1:] for title in writes[:-1]]
        return f"{writes[-1]}{' and ' + ', '.join(rest) if rest else ''}."
    offered = [p.says for p in plan.steps if p.step.kind not in {"write_internal_note", "file_issue", "explain"}]
    return offered[0] if offered else diagnosis.why
