"""What is the safest fix? From the recognised situation to a plan, in the seed's order, and nothing beyond it."""

from __future__ import annotations

from billing.diagnosis import Diagnosis, Source, needs_write
from billing.evidence import Bucket
from billing.identity import Level
from billing.plan import Plan
from billing.proposals import steps
from billing.proposals.draft import Draft
from billing.proposals.table import TABLE
from billing.situations.scene import Scene
from billing.situations.self_serve import portal_gap
from billing.situations.situation import Situation
from billing.snapshot import BillingSnapshot

_SUSPECT = frozenset({Level.MISMATCH, Level.UNKNOWN})


def propose(scene: Scene, diagnosis: Diagnosis, line: Situation | None) -> Plan:
    """The plan for the situation that the diagnosis names; without one, what the bucket alone justifies: no money."""
    corrected = any(signal.source is Source.AGENT for signal in diagnosis.signals_for)
    draft = Draft(scene, line, cautious=diagnosis.needs_human, corrected=corrected)
    if diagnosis.bucket is Bucket.NOT_BILLING:
        return draft.finish()
    if line is not None:
        TABLE[line.name](draft, line)
    _identity(draft, diagnosis)
    if line is None and scene.known and draft.trusted:
        _general(draft, diagnosis)
    if diagnosis.needs_human and not any(p.step.kind in {"hand_over", "ask_customer"} for p in draft.steps):
        steps.hand_over(draft, line.person or "two_readings" if line else "undecided", None, diagnosis.why)
    steps.note(draft)
    gap = gap_behind(diagnosis, line, scene.snapshot)
    if gap is not None and draft.trusted:
        steps.issue(draft, gap)
    return draft.finish()


def gap_behind(diagnosis: Diagnosis, situation: Situation | None, snapshot: BillingSnapshot) -> str | None:
    """What is missing in the product, as a kind of the gap catalogue; None when nothing is."""
    if situation is not None:
        return situation.gap
    missing = snapshot.portal is None and not snapshot.lacks("portal") and bool(snapshot.customers)
    if diagnosis.bucket is Bucket.SELF_SERVE_GAP and missing:
        return "no_billing_portal"
    said = {signal.code for signal in diagnosis.signals_for}
    if diagnosis.bucket is Bucket.PRODUCT_FAILURE and snapshot.customers:
        if "TXT_PLAN_CHANGED_BY_THEM" in said:
            return "plan_changed_without_consent"
        if "TXT_BANNED" in said:
            return "billed_without_service"
    return None


def _identity(draft: Draft, diagnosis: Diagnosis) -> None:
    """Who is not proven is asked to write from the billing address; what they want is blocked, not shown."""
    scene = draft.scene
    if draft.trusted:
        return
    if scene.wants_refund:
        draft.block("refund_charge", None, "identity")
    if scene.wants_cancel:
        draft.block("schedule_cancellation", None, "identity")
    question = scene.identity.level not in _SUSPECT or needs_write(scene, diagnosis.bucket)
    about_state = diagnosis.bucket not in {Bucket.TEAM_SEATS, Bucket.OTHER_BILLING, Bucket.UNDECIDED}
    if any(p.step.kind == "send_checkout_link" for p in draft.steps):
        return
    if question or about_state or scene.identity.level is Level.MISMATCH:
        steps.ask(draft, "write_from_billing_address")
    else:
        steps.hand_over(
            draft, "question", None, "Nobody with this address is a customer; a person answers the question."
        )


def _general(draft: Draft, diagnosis: Diagnosis) -> None:
    """The bucket is known, and Stripe shows nothing that stands out."""
    scene = draft.scene
    subscription = scene.live[0].id if len(scene.live) == 1 else None
    for odd in scene.subscriptions.values():
        if scene.wants_cancel and scene.unknown(odd.id):
            draft.block("schedule_cancellation", odd.id, "unknown_value")
    match diagnosis.bucket:
        case Bucket.SELF_SERVE_GAP:
            steps.portal(draft, scene.focus)
        case Bucket.FAILED_PAYMENT:
            steps.portal(draft, scene.focus, "payment_method_update")
        case Bucket.DUPLICATE_SUBSCRIPTION:
            steps.explain(
                draft, "no_duplicate", subscription, "Stripe shows no second subscription and no second payment."
            )
            steps.ask(draft, "which_account")
        case Bucket.TEAM_SEATS:
            steps.explain(draft, "seats", subscription, "The seats and what each of them costs.")
        case Bucket.UNDECIDED:
            steps.hand_over(draft, "undecided", None, "A person reads the ticket.")
        case _:
            steps.hand_over(draft, diagnosis.bucket.value, subscription, "A person decides; Stripe shows nothing odd.")


__all__ = ["gap_behind", "portal_gap", "propose"]
