"""Which facts may a reply state? A JSON document that stands alone: it is stored between the draft and the last word.

Values: money `{"amount", "currency"}`, a day `{"day"}`, a card `{"brand", "last4"}`, or plain text and numbers.
Who is not proven to be the payer gets none of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from billing.decision import Decision
from billing.evidence import Bucket, Wish
from billing.identity import Level
from billing.money import Money
from billing.policy import Policy
from billing.records import Charge, Invoice, Subscription
from billing.replies import ALIASES, available
from billing.replies.own import Own, own
from billing.replies.steps import SILENT, step_facts
from billing.replies.values import Values, card_value, clean, day_value, money_value

_BY_INVOICE = frozenset({"price_changed", "discount_ended", "metered_usage", "tax_on_invoice"})
_DUPLICATES = frozenset({"duplicate_same_price", "duplicate_across_customers", "duplicate_email_case"})
_PROVEN = {
    "already_refunded": ("refunded", "on_its_way"),
    "partly_refunded": ("refunded",),
    "refund_pending": ("on_its_way",),
    "cancellation_scheduled": ("canceled",),
    "wants_to_stay": ("canceled",),
    "already_canceled": ("canceled",),
    "canceled_for_nonpayment": ("canceled",),
    "charged_after_cancellation": ("canceled",),
    "canceled_after_trial": ("canceled",),
    "open_invoice_after_end": ("canceled",),
}
_CALLS_FOR_MORE = frozenset({
    "situation.account_deleted", "situation.cancel_claimed", "situation.cancel_wanted", "situation.card_replaced",
    "situation.charged_after_cancellation", "situation.coupon_missed_seat", "situation.paid_twice",
    "situation.wants_to_stay",
})  # fmt: skip
_ENDS_CREDIT = frozenset({"reverse_balance_credit", "refund_charge"})
_NAME = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def reply_facts(decision: Decision, policy: Policy) -> dict[str, Any]:
    """Everything a reply to this decision may say, in any language, before and after the plan is applied."""
    language = offered(decision.evidence.language, policy)
    shown = _may_be_told(decision)
    found = own(decision.snapshot, decision.identity.candidates, decision.diagnosis)
    guest = any(p.step.kind == "send_checkout_link" for p in decision.plan.steps)
    known = shown or guest
    steps = [s for s in (step_facts(p, found, decision.plan) for p in decision.plan.steps) if s["part"] != SILENT]
    if not shown:
        allowed = [s for s in steps if s["part"] in {"ask", "hand_over"} or s["phrase"] == "link.checkout"]
        steps = [{**step, "values": {}} for step in allowed]
    opening = _opening(decision, known)
    steps = [step for step in steps if step["part"] != "explain" or _adds(decision, opening, step)]
    steps += _not_refunded(decision, found) if shown else []
    return {
        "schema": 1,
        "language": language,
        "region": decision.evidence.requester.locale,
        "today": decision.snapshot.taken_at.date().isoformat(),
        "name": first_name(decision.evidence.requester.name) if shown or not decision.identity.distrusted else None,
        "bucket": decision.diagnosis.bucket.value,
        "situation": decision.diagnosis.situation,
        "shown": shown,
        "opening": opening,
        "values": _values(decision, found) if shown else {},
        "steps": _completed(decision, opening, steps, shown=shown),
        "stays": _stays(decision, found) if shown else None,
        "proven": list(_PROVEN.get(opening.partition(".")[2], ())) if shown else [],
        "brand": clean(policy.brand_name),
        "sign_off": clean(policy.sign_off) or clean(policy.brand_name),
    }


def offered(language: str, policy: Policy) -> str:
    """The language itself when the policy and the phrase tables have it, else English."""
    short = language.lower().replace("_", "-").partition("-")[0]
    return short if short in available() and short in policy.languages else "en"


def first_name(name: str | None) -> str | None:
    """What a person is greeted with: the first word of a name in letters; the whole name where families come first.

    None for what does not look like a name: an address, a number, one letter, a sentence.
    """
    plain = clean(name or "", 60)
    if _CJK.search(plain):
        return plain if len(plain) <= 20 and not re.search(r"[^\w\s・·]|\d", plain) else None
    words = plain.split()
    if not words or len(words) > 5 or not _NAME.fullmatch(words[0]) or not 1 < len(words[0]) <= 24:
        return None
    return words[0][:1].upper() + words[0][1:]


def _may_be_told(decision: Decision) -> bool:
    """Whether the one who reads the reply is the payer, as far as anybody can tell."""
    asked_to_prove = any(getattr(p.step, "question", "") == "write_from_billing_address" for p in decision.plan.steps)
    known = decision.identity.level in {Level.VERIFIED, Level.MATCHED} and bool(decision.identity.candidates)
    return known and not decision.identity.distrusted and not asked_to_prove


def _opening(decision: Decision, known: bool) -> str:
    bucket, situation = decision.diagnosis.bucket, decision.diagnosis.situation
    if known and situation is not None and bucket is not Bucket.NOT_BILLING:
        return f"situation.{ALIASES.get(situation, situation)}"
    return f"bucket.{bucket.value if bucket in {Bucket.PRODUCT_FAILURE, Bucket.NOT_BILLING} else 'other'}"


def _adds(decision: Decision, opening: str, step: Mapping[str, object]) -> bool:
    """Whether a topic says more than the opening: a recognised situation tells its own story, save its credit."""
    if opening.startswith("bucket.") or step["phrase"] != "situation.credit_balance":
        return opening in {step["phrase"], "bucket.other", "bucket.product_failure"}
    owners = (c for c in decision.snapshot.customers if c.id in decision.identity.candidates)
    return any(c.balance < 0 for c in owners) and not any(p.step.kind in _ENDS_CREDIT for p in decision.plan.steps)


def _not_refunded(decision: Decision, found: Own) -> list[dict[str, object]]:
    """Who asked for money that is outside our own rules is told so, and no more: a person may make an exception."""
    refunding = any(p.step.kind in {"refund_charge", "create_credit_note"} for p in decision.plan.steps)
    late = [entry for entry in decision.plan.blocked if entry.why == "outside_policy"]
    if not late or refunding or Wish.REFUND not in decision.evidence.wishes:
        return []
    charge = found.charges.get(late[0].object or "")
    return [_said("explain", "refund_charge", "refund.outside_policy") | {"values": _of_payment(charge, None)}]


def _completed(
    decision: Decision, opening: str, steps: list[dict[str, object]], *, shown: bool
) -> list[dict[str, object]]:
    """A reply always tells what comes next: a question, or that a person answers."""
    parts = {step["part"] for step in steps}
    if "ask" in parts or "hand_over" in parts:
        return steps
    level, bucket = decision.identity.level, decision.diagnosis.bucket
    if not shown and bucket is not Bucket.NOT_BILLING and not steps:
        unproven = level in {Level.MISMATCH, Level.UNKNOWN} or decision.identity.distrusted
        question = "write_from_billing_address" if unproven else "what_happened"
        return [_said("ask", "ask_customer", f"ask.{question}")]
    if bucket is Bucket.UNDECIDED:
        return [*steps, _said("ask", "ask_customer", "ask.what_happened")]
    if decision.diagnosis.needs_human or _unanswered(opening, parts):
        return [*steps, _said("hand_over", "hand_over", "closing.hand_over")]
    return steps


def _unanswered(opening: str, parts: set[object]) -> bool:
    """Whether the reply would end without anything that helps."""
    if opening == "situation.invoice_overpaid":
        return parts <= {"link"}
    return parts <= {"explain"} and (opening in _CALLS_FOR_MORE or opening.startswith("bucket."))


def _said(part: str, kind: str, phrase: str) -> dict[str, object]:
    return {"id": None, "kind": kind, "part": part, "phrase": phrase, "values": {}}


# --- values -------------------------------------------------------------------------------------------------------


def _values(decision: Decision, found: Own) -> Values:
    situation = decision.diagnosis.situation or ""
    subscription = _subject(decision, found)
    invoice = found.invoice()
    charge = found.charge(decision.plan.affected_charges)
    values: Values = {}
    if subscription is not None:
        values |= _of_subscription(subscription, found)
        if charge is None and invoice is None:
            charge = found.newest_paid(subscription.id)
    if situation not in _DUPLICATES or _paid_for_the_second(decision, charge, values):
        values |= _of_payment(None if situation in _BY_INVOICE else charge, invoice)
    values |= _of_invoice(found, charge, invoice, subscription)
    if charge is not None and situation.endswith(("refunded", "refund_pending", "refund_failed")):
        values |= _of_refund(charge)
    return {name: value for name, value in values.items() if value not in (None, "")}


def _paid_for_the_second(decision: Decision, charge: Charge | None, values: Values) -> bool:
    """Whether the charge that is given back came with the newer subscription, so that "on top of" is true."""
    started = values.get("started")
    if charge is None or charge.id not in decision.plan.affected_charges or not isinstance(started, Mapping):
        return False
    return charge.created.date().isoformat() >= str(started["day"])


def _subject(decision: Decision, found: Own) -> Subscription | None:
    acted_on = (p.step.object for p in decision.plan.steps if p.step.object)
    names = (*decision.plan.kept, *decision.plan.extra, *found.objects, *acted_on)
    named = next((found.subscriptions[name] for name in names if name in found.subscriptions), None)
    invoice = found.invoice()
    if named is None and invoice is not None:
        return found.subscriptions.get(invoice.subscription or "")
    return named


def _of_subscription(subscription: Subscription, found: Own) -> Values:
    group = [found.subscriptions[name] for name in found.objects if name in found.subscriptions]
    end = subscription.cancel_at or subscription.current_period_end
    ended = subscription.ended_at or subscription.canceled_at
    return {
        "product": clean(found.product(subscription.id)),
        "count": len(group) if len(group) > 1 else None,
        "started": day_value(max(s.created for s in group)) if len(group) > 1 else None,
        "seats": sum(item.quantity for item in subscription.items) or None,
        "end": day_value(end if subscription.live else ended),
        "trial_end": day_value(subscription.trial_end),
        "canceled": day_value(subscription.canceled_at),
    }


def _of_payment(charge: Charge | None, invoice: Invoice | None) -> Values:
    if charge is not None:
        return {
            "amount": money_value(Money(charge.amount, charge.currency)),
            "date": day_value(charge.created),
            "card": card_value(charge),
        }
    if invoice is not None and invoice.total > 0:
        paid = invoice.paid_at or invoice.created
        return {"amount": money_value(Money(invoice.total, invoice.currency)), "date": day_value(paid)}
    return {}


def _of_invoice(
    found: Own, charge: Charge | None, invoice: Invoice | None, subscription: Subscription | None
) -> Values:
    values: Values = {}
    named = invoice or found.invoices.get((charge.invoice if charge else None) or "")
    if named is not None and named.number:
        values["invoice"] = clean(named.number, 40)
    due = invoice if invoice and invoice.status == "open" else None
    due = due or found.open_invoice(subscription.id if subscription else "")
    if due is not None and due.amount_remaining > 0:
        values["open_amount"] = money_value(Money(due.amount_remaining, due.currency))
        values["due"] = day_value(due.due_date)
    return values


def _of_refund(charge: Charge) -> Values:
    newest = max(charge.refunds, key=lambda refund: (refund.created, refund.id), default=None)
    if newest is not None:
        money = Money(newest.amount, newest.currency)
        return {"refund_amount": money_value(money), "refund_date": day_value(newest.created)}
    return {"refund_amount": money_value(Money(charge.amount_refunded, charge.currency))}


def _stays(decision: Decision, found: Own) -> Values | None:
    """The subscription that is kept beside one that is stopped, when it renews."""
    stopping = any(p.step.kind in {"schedule_cancellation", "cancel_subscription"} for p in decision.plan.steps)
    kept = next((found.subscriptions[name] for name in decision.plan.kept if name in found.subscriptions), None)
    if not stopping or kept is None or kept.ending or kept.status not in {"active", "trialing"}:
        return None
    return {"product": clean(found.product(kept.id)), "date": day_value(kept.current_period_end)}
