"""What is on the card? A decision as the JSON document of contract section 5; the page and the API show the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from billing.decision import Decision
from billing.diagnosis import Band, Signal
from billing.evidence import Bucket
from billing.gap import CATALOGUE
from billing.handoff import handoff
from billing.identity import Identity
from billing.money import Money, totals
from billing.plan import Plan, PlannedStep
from billing.policy import Policy, limit
from billing.records import Charge, Customer, Invoice, Subscription
from billing.reply import draft
from billing.snapshot import BillingSnapshot
from billing.steps import (
    AskCustomer,
    Explain,
    HandOver,
    Step,
    Wait,
)
from integrations.correlation import reference

STRIPE_DASHBOARD = "https://dashboard.stripe.com"


def to_card(
    decision: Decision, policy: Policy, *, repository: str | None = None, issue: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The card of a decision.

    `repository`: where product issues go, None when GitHub is not configured; `issue`: the gap's issue as known.
    """
    evidence, snapshot = decision.evidence, decision.snapshot
    reply = draft(decision, policy)
    return {
        "ticket_id": evidence.ticket_id,
        "state": state_of(decision),
        "as_of": stamp(snapshot.taken_at),
        "asked_at": stamp(evidence.asked_at),
        "customer": _customer(decision),
        "billing_state": _billing_state(decision),
        "decision": _decision(decision),
        "plan": _plan(decision.plan, policy),
        "follow_up": {"locale": reply.locale, "body": reply.body, "english": reply.english, "facts": reply.facts},
        "product_gap": _gap(decision, repository, issue),
        "handoff": {"sections": handoff(decision, policy).as_mapping()},
        "approval": None,
        "news": None,  # what became of the product gap after the answer
        "error": None,
    }


def error_document(
    ticket_id: int, last: Mapping[str, Any] | None, code: str, message: str, now: datetime
) -> dict[str, Any]:
    """The card when a reading failed: what did not answer, over the last good card if there is one."""
    document = dict(last) if last else {"ticket_id": ticket_id, "as_of": None}
    document |= {
        "ticket_id": ticket_id,
        "state": "failed",
        "error": {
            "code": code,
            "message": message,
            "reference": reference() or None,
            "money_moved": False,
            "at": stamp(now),
        },
    }
    return document


def state_of(decision: Decision) -> str:
    """ready, partial (a part of Stripe is missing) or needs_human."""
    if decision.diagnosis.needs_human or decision.diagnosis.band is Band.PERSON:
        return "needs_human"
    return "partial" if any(part.why != "not_read" for part in decision.snapshot.missing) else "ready"


def stamp(time: datetime | None) -> str | None:
    """RFC 3339 in UTC, whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if time else None


def _customer(decision: Decision) -> dict[str, Any]:
    identity, snapshot = decision.identity, decision.snapshot
    by_id = {customer.id: customer for customer in snapshot.customers}
    shown = [by_id[one] for one in identity.candidates if one in by_id] if _may_show(identity) else []
    chosen = by_id.get(identity.chosen or "") if _may_show(identity) else None
    named = chosen or (shown[0] if shown else None)
    return {
        "identity": identity.level.value,
        "why": list(identity.why),
        "reasons": list(identity.reasons),
        "candidates": [_candidate(customer, snapshot) for customer in shown],
        "chosen": chosen.id if chosen else None,
        "name": (named.name if named else None) or decision.evidence.requester.name,
        "email": (named.email if named else None) or decision.evidence.requester.email,
        "since": stamp(named.created) if named else None,
        "paid": totals(
            Money(charge.amount_captured - charge.amount_refunded, charge.currency)
            for charge in snapshot.charges
            if charge.status == "succeeded"
        )
        if _may_show(identity)
        else {},
        "siblings": [{"id": one.id, "says": "maybe the same payer"} for one in snapshot.siblings],
    }


def _may_show(identity: Identity) -> bool:
    """Nothing leaves of the account that only the text led to; what an agent looked up by hand may be seen."""
    return bool(identity.candidates)


def _candidate(customer: Customer, snapshot: BillingSnapshot) -> dict[str, Any]:
    live = [s for s in snapshot.subscriptions if s.customer == customer.id and s.live]
    paid = [c for c in snapshot.charges if c.customer == customer.id and c.status == "succeeded"]
    plural = "" if len(live) == 1 else "s"
    nothing = "Not read" if snapshot.lacks("charges") else "No payments"
    summary = f"{len(live)} live subscription{plural}, {len(paid)} paid" if live or paid else nothing
    return {
        "id": customer.id, "name": customer.name, "email": customer.email,
        "stripe_url": stripe_url("customers", customer.id, customer.livemode), "summary": summary,
        "live": len(live), "paid": len(paid),
    }  # fmt: skip


def stripe_url(kind: str, identifier: str, livemode: bool) -> str:
    return f"{STRIPE_DASHBOARD}/{'' if livemode else 'test/'}{kind}/{identifier}"


def _billing_state(decision: Decision) -> dict[str, Any]:
    if not _may_show(decision.identity):
        return {
            "subscriptions": [], "invoices": [], "charges": [], "payment_method": None, "disputes": [], "refunds": [],
            "anomalies": _anomalies(decision), "missing": _missing(decision.snapshot),
        }  # fmt: skip
    snapshot, plan = decision.snapshot, decision.plan
    names = {customer.id: customer.name for customer in snapshot.customers}
    subscription_of = {invoice.id: invoice.subscription for invoice in snapshot.invoices}
    return {
        "subscriptions": [_subscription(one, names, plan) for one in snapshot.subscriptions],
        "invoices": [_invoice(one, snapshot) for one in snapshot.invoices],
        "charges": [_charge(one, subscription_of, plan) for one in snapshot.charges],
        "payment_method": _payment_method(decision),
        "disputes": [
            {"id": d.id, "charge": d.charge, "status": d.status, "amount": d.amount, "currency": d.currency,
             "reason": d.reason, "created": stamp(d.created), "due_by": stamp(d.due_by)}
            for d in snapshot.disputes
        ],
        "refunds": [
            {"id": r.id, "charge": charge.id, "amount": r.amount, "currency": r.currency, "status": r.status,
             "created": stamp(r.created)}
            for charge in snapshot.charges for r in charge.refunds
        ],
        "anomalies": _anomalies(decision),
        "missing": _missing(snapshot),
    }  # fmt: skip


def _anomalies(decision: Decision) -> list[dict[str, Any]]:
    return [{"code": one.code, "says": one.says, "objects": list(one.objects)} for one in decision.anomalies]


def _missing(snapshot: BillingSnapshot) -> list[dict[str, str]]:
    return [{"part": one.part, "why": one.why.value} for one in snapshot.missing]


def _subscription(subscription: Subscription, names: Mapping[str, str | None], plan: Plan) -> dict[str, Any]:
    item = subscription.items[0] if subscription.items else None
    price = item.price if item else None
    amount = sum((i.price.unit_amount or 0) * i.quantity for i in subscription.items)
    return {
        "id": subscription.id, "status": subscription.status, "customer": subscription.customer,
        "customer_name": names.get(subscription.customer),
        "product": price.product if price else None, "product_name": price.product_name if price else None,
        "price": price.id if price else None, "amount": amount, "currency": subscription.currency,
        "interval": price.interval if price else None, "interval_count": price.interval_count if price else 1,
        "quantity": sum(i.quantity for i in subscription.items),
        "created": stamp(subscription.created),
        "current_period_start": stamp(subscription.current_period_start),
        "current_period_end": stamp(subscription.current_period_end),
        "cancel_at": stamp(subscription.cancel_at), "cancel_at_period_end": subscription.cancel_at_period_end,
        "canceled_at": stamp(subscription.canceled_at), "ended_at": stamp(subscription.ended_at),
        "trial_end": stamp(subscription.trial_end),
        "role": _role(subscription.id, plan),
        "stripe_url": stripe_url("subscriptions", subscription.id, subscription.livemode),
    }  # fmt: skip


def _role(name: str, plan: Plan) -> str | None:
    """Extra is what stands beside one that is kept; the only one, to be ended as its owner asked, is not."""
    if name in plan.kept:
        return "kept"
    return "extra" if plan.kept and name in plan.extra else None


def _invoice(invoice: Invoice, snapshot: BillingSnapshot) -> dict[str, Any]:
    charge = next((charge.id for charge in snapshot.charges if charge.invoice == invoice.id), None)
    return {
        "id": invoice.id, "number": invoice.number, "status": invoice.status, "customer": invoice.customer,
        "subscription": invoice.subscription, "amount_due": invoice.amount_due, "amount_paid": invoice.amount_paid,
        "amount_remaining": invoice.amount_remaining, "currency": invoice.currency, "created": stamp(invoice.created),
        "paid_at": stamp(invoice.paid_at), "due_date": stamp(invoice.due_date),
        "billing_reason": invoice.billing_reason, "attempt_count": invoice.attempt_count,
        "next_payment_attempt": stamp(invoice.next_payment_attempt), "charge": charge,
        "period_start": stamp(invoice.period_start), "period_end": stamp(invoice.period_end),
    }  # fmt: skip


def _charge(charge: Charge, subscription_of: Mapping[str, str | None], plan: Plan) -> dict[str, Any]:
    return {
        "id": charge.id, "status": charge.status, "amount": charge.amount,
        "amount_refunded": charge.amount_refunded, "currency": charge.currency, "created": stamp(charge.created),
        "captured": charge.captured, "disputed": charge.disputed, "customer": charge.customer,
        "invoice": charge.invoice, "subscription": subscription_of.get(charge.invoice or ""),
        "brand": charge.brand, "last4": charge.last4, "failure": charge.decline_code or charge.failure_code,
        "affected": charge.id in plan.affected_charges,
    }  # fmt: skip


def _payment_method(decision: Decision) -> dict[str, Any] | None:
    snapshot = decision.snapshot
    chosen = next((c for c in snapshot.customers if c.id == decision.identity.chosen), None)
    methods = [m for m in snapshot.payment_methods if chosen is None or m.customer == chosen.id]
    default = chosen.default_payment_method if chosen else None
    method = next((m for m in methods if m.id == default), methods[0] if methods else None)
    if method is None:
        return None
    return {
        "id": method.id, "type": method.type, "brand": method.brand, "last4": method.last4,
        "exp_month": method.exp_month, "exp_year": method.exp_year,
    }  # fmt: skip


def _decision(decision: Decision) -> dict[str, Any]:
    diagnosis = decision.diagnosis
    return {
        "bucket": diagnosis.bucket.value,
        "confidence": round(diagnosis.confidence, 3),
        "band": diagnosis.band.value,
        "for": _signals(diagnosis.signals_for),
        "against": _signals(diagnosis.signals_against),
        "why": diagnosis.why,
        "would_change": diagnosis.would_change,
        "situation": diagnosis.situation,
        "headline": decision.headline,
        "lede": decision.lede,
        "second": {"bucket": diagnosis.second[0].value, "confidence": round(diagnosis.second[1], 3)}
        if diagnosis.second
        else None,
    }


def _signals(signals: Iterable[Signal]) -> list[dict[str, Any]]:
    return [
        {"says": s.says, "objects": list(s.objects), "weight": round(s.weight, 2), "source": s.source.value,
         "quote": s.quote, "code": s.code}
        for s in signals
    ]  # fmt: skip


def _plan(plan: Plan, policy: Policy) -> dict[str, Any]:
    moved = totals(step.step.money for step in plan.steps if step.step.money is not None)
    typed = [Money(a, c) for c, a in moved.items() if a > limit(policy.refunds.one_click_limit, c)]
    return {
        "digest": plan.digest,
        "steps": [_step(step) for step in plan.steps],
        "revenue_impact": {"refund": dict(plan.impact.refund), "mrr": dict(plan.impact.mrr)},
        "blocked": [{"step": one.step, "object": one.object, "why": one.why} for one in plan.blocked],
        "untouched": plan.untouched,
        "confirm": f"{typed[0].decimal:f}" if typed else None,
        "second_approval": any(a > limit(policy.refunds.second_approval_above, c) for c, a in moved.items()),
        "hold_seconds": policy.refunds.hold_seconds,
    }


def _step(planned: PlannedStep) -> dict[str, Any]:
    step = planned.step
    document: dict[str, Any] = {
        "id": planned.id, "kind": step.kind, "says": planned.says, "object": step.object,
        "reversible": step.reversible, "requires": list(planned.requires), "title": planned.title,
        "running": planned.running, "done": planned.done, "detail": planned.detail or planned.says,
        "final": not step.reversible, "optional": planned.optional, "undo_until": stamp(planned.undo_until),
        "writes": step.moves,
    }  # fmt: skip
    if step.money is not None:
        document |= {"amount": step.money.amount, "currency": step.money.currency}
    if isinstance(flow := getattr(step, "flow", None), str):
        document["flow"] = flow
    if topic := topic_of(step):
        document["topic"] = topic
    return document


def topic_of(step: Step) -> str | None:
    """The code of what a step asks, explains, waits for or hands over; None for steps that say nothing."""
    if isinstance(step, AskCustomer):
        return step.question
    if isinstance(step, Explain):
        return step.topic
    return step.reason if isinstance(step, Wait | HandOver) else None


def _gap(decision: Decision, repository: str | None, issue: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if decision.gap is None or decision.diagnosis.bucket is Bucket.NOT_BILLING:
        return None
    gap = CATALOGUE[decision.gap]
    return {
        "kind": decision.gap, "title": gap.title, "body": f"{gap.happens}\n\n{gap.should}", "repository": repository,
        "labels": ["billing-gap", f"gap:{decision.gap}"], "existing_issue": dict(issue) if issue else None,
    }  # fmt: skip
