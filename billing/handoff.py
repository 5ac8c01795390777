"""What does a colleague need to know in a minute? The seed's six sections, as lines and as text of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from billing.decision import Decision
from billing.diagnosis import Band, Signal
from billing.evidence import Bucket
from billing.gap import CATALOGUE
from billing.identity import Level
from billing.money import Money, totals
from billing.plan import (
    Plan,
    PlannedStep,
    Receipt,
    running_order,
)
from billing.policy import Policy
from billing.records import Charge, Dispute, Invoice, Subscription
from billing.replies.layout import columns, wrapped
from billing.replies.own import Own, own
from billing.replies.values import clean
from billing.reply import draft, final

_MOST = 8  # subscriptions and anomalies that are listed; the rest is counted
_BUCKETS = {
    Bucket.DUPLICATE_SUBSCRIPTION: "Duplicate subscription or payment",
    Bucket.TEAM_SEATS: "Seats, members or workspaces",
    Bucket.FAILED_PAYMENT: "Payment that does not complete",
    Bucket.SELF_SERVE_GAP: "Missing self-serve control",
    Bucket.PRODUCT_FAILURE: "Product failure",
    Bucket.OTHER_BILLING: "Another question about money",
    Bucket.NOT_BILLING: "Not about billing",
    Bucket.UNDECIDED: "Undecided",
}
_BANDS = {Band.SUGGEST: "strong evidence", Band.CHECK: "check before approving", Band.PERSON: "a person decides"}
_LEVELS = {
    Level.VERIFIED: "matched by e-mail, ticket sender verified",
    Level.MATCHED: "matched by e-mail, ticket sender not verified",
    Level.MISMATCH: "belongs to another address",
    Level.UNKNOWN: "no customer found",
}
_LOOKED_UP = "looked up by the operator, no ticket sender to verify"
_HIDDEN = "not shown: the requester is not known to be the payer"
_REFUNDS = frozenset({"refund_charge", "create_credit_note"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Handoff:
    """Plain text, unescaped. Cells of a line stand two spaces apart; a line that opens with a number is a step."""

    sections: tuple[tuple[str, tuple[str, ...]], ...]

    def as_mapping(self) -> dict[str, list[str]]:
        return {name: list(lines) for name, lines in self.sections}

    def text(self, width: int = 80) -> str:
        """No line is wider than `width` columns; Chinese, Japanese and Korean letters take two."""
        blocks = (f"{name}\n" + "\n".join(_laid_out(lines, width)) for name, lines in self.sections)
        return "\n\n".join(blocks)


def handoff(decision: Decision, policy: Policy, receipts: Sequence[Receipt] = ()) -> Handoff:
    """CUSTOMER … PRODUCT GAP. Of a customer who is not the requester's nothing is shown."""
    shown = decision.identity.level in {Level.VERIFIED, Level.MATCHED}
    found = own(decision.snapshot, decision.identity.candidates if shown else (), decision.diagnosis)
    reply = draft(decision, policy)
    body = final(reply.facts, receipts, policy) if receipts else reply.body
    sections = (
        ("CUSTOMER", _customer(decision, shown)),
        ("BILLING STATE", _state(decision, found) if shown else (_HIDDEN,)),
        ("DECISION", _decision(decision)),
        ("ACTION TAKEN", _actions(decision.plan, receipts, shown)),
        ("FOLLOW-UP", tuple(line for line in body.split("\n") if line)),
        ("PRODUCT GAP", _gap(decision.gap)),
    )
    return Handoff(sections=tuple((name, tuple(lines)) for name, lines in sections))


# --- who ------------------------------------------------------------------------------------------------------------


def _customer(decision: Decision, shown: bool) -> Iterator[str]:
    requester, identity = decision.evidence.requester, decision.identity
    people = [c for c in decision.snapshot.customers if shown and c.id in identity.candidates]
    operator = requester.named_by_operator
    names = (people[0].name, people[0].email) if operator and people else (requester.name, requester.email)
    named = " / ".join(filter(None, (clean(name or "") for name in names)))
    yield named or ("a look-up by the operator" if operator else "nobody is named")
    if not shown:
        yield _LEVELS[identity.level]
    for customer in people:
        chosen = identity.chosen == customer.id and len(identity.candidates) > 1
        yield f"{customer.id} ({_LOOKED_UP if operator else _LEVELS[identity.level]})" + (", chosen" if chosen else "")
    for reason in identity.why[1:] if shown or operator else identity.why:
        yield clean(reason, 200)


# --- what is there --------------------------------------------------------------------------------------------------


def _state(decision: Decision, found: Own) -> Iterator[str]:
    listed = sorted(found.subscriptions.values(), key=lambda s: (not s.live, -s.created.timestamp(), s.id))
    yield from (_subscription(s, found) for s in listed[:_MOST])
    if len(listed) > _MOST:
        yield f"and {len(listed) - _MOST} more subscriptions"
    if not listed:
        yield "subscriptions: none"
    yield _invoices(tuple(found.invoices.values()))
    yield _given_back(tuple(found.charges.values()), decision.snapshot.disputes)
    for anomaly in decision.anomalies[:_MOST]:
        yield f"anomaly: {clean(anomaly.says, 200)}"
    if len(decision.anomalies) > _MOST:
        yield f"and {len(decision.anomalies) - _MOST} more anomalies"
    if not decision.anomalies:
        yield "anomalies: none"
    for missing in decision.snapshot.missing:
        yield f"not read in full: {missing.part.replace('_', ' ')} ({missing.why.value.replace('_', ' ')})"


def _subscription(subscription: Subscription, found: Own) -> str:
    item = subscription.items[0] if subscription.items else None
    price = item.price if item else None
    amount = ""
    if price is not None and price.unit_amount is not None and item is not None:
        seats = f" x {item.quantity}" if item.quantity != 1 else ""
        amount = Money(price.unit_amount, price.currency).plain() + seats
    product = clean(found.product(subscription.id) or (price.product if price else ""), 30)
    plan = " ".join(filter(None, (product, _every(subscription))))
    since = f"since {subscription.created:%Y-%m-%d}, {_next(subscription)}"
    return "  ".join(filter(None, (subscription.id, plan, amount, subscription.status, since)))


def _every(subscription: Subscription) -> str:
    price = subscription.items[0].price if subscription.items else None
    if price is None or price.interval is None:
        return ""
    if price.interval_count != 1:
        return f"every {price.interval_count} {price.interval}s"
    return {"day": "daily", "week": "weekly", "month": "monthly", "year": "yearly"}.get(price.interval, price.interval)


def _next(subscription: Subscription) -> str:
    if not subscription.live:
        ended = subscription.ended_at or subscription.canceled_at
        return f"ended {ended:%Y-%m-%d}" if ended else "not live"
    if subscription.ending:
        return f"ends {subscription.cancel_at or subscription.current_period_end:%Y-%m-%d}"
    return f"next {subscription.current_period_end:%Y-%m-%d}"


def _invoices(invoices: Sequence[Invoice]) -> str:
    paid = sum(i.status == "paid" for i in invoices)
    waiting = [i for i in invoices if i.status == "open" and i.amount_remaining > 0]
    owed = totals(Money(i.amount_remaining, i.currency) for i in waiting)
    failed = sum(i.attempt_count > 0 for i in waiting)
    return f"invoices: {paid} paid, {len(waiting)} open{_sum(owed)}, {failed} failed"


def _sum(amounts: dict[str, int]) -> str:
    return f" ({_amounts(amounts)})" if amounts else ""


def _amounts(amounts: dict[str, int]) -> str:
    return " + ".join(Money(amount, currency).plain() for currency, amount in amounts.items())


def _given_back(charges: Sequence[Charge], disputes: Sequence[Dispute]) -> str:
    back = totals(Money(c.amount_refunded, c.currency) for c in charges)
    names = {charge.id for charge in charges}
    open_ones = [f"{d.id} {d.status.replace('_', ' ')}" for d in disputes if d.charge in names]
    return f"refunds: {_amounts(back) if back else 'none'}; disputes: {', '.join(open_ones) or 'none'}"


# --- what we make of it ---------------------------------------------------------------------------------------------


def _decision(decision: Decision) -> Iterator[str]:
    diagnosis = decision.diagnosis
    band = _BANDS[Band.PERSON if diagnosis.needs_human else diagnosis.band]
    yield f"{_BUCKETS[diagnosis.bucket]} ({band}, {diagnosis.confidence:.0%})"
    yield f"why: {clean(diagnosis.why, 300)}"
    reasons = _said(diagnosis.signals_for, {diagnosis.why})
    yield from (f"for: {says}" for says in reasons[:3])
    yield from (f"against: {says}" for says in _said(diagnosis.signals_against, {diagnosis.why, *reasons})[:2])
    if diagnosis.would_change:
        yield f"would change it: {clean(diagnosis.would_change, 200)}"


def _said(signals: Sequence[Signal], known: set[str]) -> list[str]:
    """Each sentence once, strongest first: one phrase may count for a bucket and against two others."""
    return [clean(says, 200) for says in dict.fromkeys(signal.says for signal in signals) if says not in known]


# --- what is done ---------------------------------------------------------------------------------------------------


def _actions(plan: Plan, receipts: Sequence[Receipt], shown: bool) -> Iterator[str]:
    outcomes = {receipt.step_id: receipt for receipt in receipts}
    if not plan.steps:
        yield "none; nothing is proposed"
    elif not receipts:
        yield f"none yet; {len(plan.steps)} step{'s' if len(plan.steps) > 1 else ''}, safest first:"
    for number, planned in enumerate(running_order(plan.steps), start=1):
        last = _outcome(outcomes.get(planned.id)) if receipts else _undo(planned)
        money = planned.step.money
        yield "  ".join(filter(None, (f"{number} {clean(planned.title)}", money.plain() if money else "", last)))
    for blocked in plan.blocked:
        about = f" {blocked.object}" if blocked.object and shown else ""
        yield f"not offered: {blocked.step.replace('_', ' ')}{about} ({blocked.why.replace('_', ' ')})"
    yield _impact(plan, outcomes if receipts else None)
    if plan.untouched:
        yield clean(plan.untouched, 200)


def _undo(planned: PlannedStep) -> str:
    if not planned.step.reversible:
        return "FINAL"
    if planned.step.kind == "write_internal_note":
        return "stays"  # Zendesk keeps every note
    return f"undo until {planned.undo_until:%Y-%m-%d}" if planned.undo_until else "can be undone"


def _outcome(receipt: Receipt | None) -> str:
    if receipt is None:
        return "not approved"
    notes = ", ".join(filter(None, (receipt.object, receipt.status, receipt.reason)))
    return receipt.outcome + (f" ({clean(notes, 60)})" if notes else "")


def _impact(plan: Plan, outcomes: dict[str, Receipt] | None) -> str:
    """What it costs: as planned, or (with receipts) only what was done and did not fail."""
    if outcomes is None:
        out, mrr = dict(plan.impact.refund), dict(plan.impact.mrr)
    else:
        done = [p for p in plan.steps if (r := outcomes.get(p.id)) and r.outcome == "done" and r.status not in _FAILED]
        moved = [p.step.money for p in done if p.step.kind in _REFUNDS and p.step.money]
        out = totals(moved)
        stopped = any(p.step.kind in {"schedule_cancellation", "cancel_subscription"} for p in done)
        mrr = dict(plan.impact.mrr) if stopped else {}
    given = f"money out {_amounts(out)}" if out else "no money out"
    lost = f"revenue {_amounts(mrr)} a month" if mrr else "revenue unchanged"
    return f"{given}, {lost}"


_FAILED = frozenset({"failed", "canceled"})


def _gap(kind: str | None) -> Iterator[str]:
    if kind is None or kind not in CATALOGUE:
        yield "none"
        return
    yield f"{kind}: {CATALOGUE[kind].title}"
    yield f"should be: {CATALOGUE[kind].should}"


# --- layout ---------------------------------------------------------------------------------------------------------


def _laid_out(lines: Sequence[str], width: int) -> Iterator[str]:
    for line in columns(lines, width - 4):
        step = line[:1].isdigit() and line.split(" ", 1)[0].isdigit()
        yield from wrapped(line, width, first="  " if step else "- ", rest="    " if step else "  ")
