"""Is this document the card that the contract promises? Keys, types, minor units and closed lists, by hand.

The lists are copied from the contract's annex (codes), not imported from the product: a code that the product renames
must fail here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

STEP_KINDS = frozenset(
    """send_portal_login create_portal_session send_invoice_link send_invoice_copy send_checkout_link ask_customer
    hand_over explain wait write_internal_note file_issue schedule_cancellation undo_cancellation hold_invoice
    resend_invoice pause_collection resume_collection cancel_subscription change_quantity change_plan refund_charge
    create_credit_note grant_balance_credit reverse_balance_credit pay_invoice resume_subscription mark_invoice_paid
    void_invoice mark_uncollectible cancel_payment_intent expire_checkout_session release_schedule""".split()
)
IRREVERSIBLE = frozenset(
    """cancel_subscription change_quantity change_plan refund_charge create_credit_note grant_balance_credit
    reverse_balance_credit pay_invoice resume_subscription mark_invoice_paid void_invoice mark_uncollectible
    cancel_payment_intent expire_checkout_session release_schedule""".split()
)
WITH_MONEY = frozenset(
    "refund_charge create_credit_note grant_balance_credit reverse_balance_credit pay_invoice".split()
)
ANOMALIES = frozenset(
    """several_customers email_case_variant customer_deleted identity_mismatch no_customer wrong_mode
    duplicate_active_subscription overlapping_plans duplicate_charge invoice_overpaid pending_authorization
    multiple_seats separate_workspaces separate_users seat_proration proration_charge pending_proration card_expired
    hard_decline soft_decline payment_blocked authentication_required payment_processing first_payment_incomplete
    incomplete_expired checkout_abandoned past_due unpaid_after_retries canceled_for_nonpayment paused_for_nonpayment
    paused_trial_end card_newer_than_failure invoice_overdue open_invoice_after_cancellation recovered_on_retry
    cancellation_scheduled charged_after_cancellation portal_missing portal_feature_off schedule_managed
    collection_paused trialing trial_converted annual_renewal already_canceled paid_without_subscription
    paid_and_active dispute_open dispute_inquiry dispute_closed early_fraud_warning already_refunded partly_refunded
    refund_pending refund_failed price_changed discount_ended plan_changed credit_balance tax_on_invoice metered_usage
    connected_account_charge several_currencies other_currency_shown unknown_value list_truncated""".split()
)
GAPS = frozenset(
    """no_duplicate_guard no_billing_portal no_cancellation_flow no_seat_explanation no_usage_visibility
    no_invoice_access access_not_granted charged_after_cancellation no_payment_recovery no_card_expiry_notice
    no_renewal_notice no_trial_end_notice deletion_keeps_billing upgrade_opens_second_subscription no_org_billing
    no_price_change_notice no_refund_status plan_changed_without_consent no_hold_explanation no_tax_id_entry
    billed_without_service""".split()
)
BLOCKED = frozenset(
    """disputed already_refunded nothing_refundable payment_processing identity connected_account unknown_value
    schedule_managed outside_policy portal_missing not_permitted""".split()
)
BUCKETS = frozenset(
    """duplicate_subscription team_seats failed_payment self_serve_gap product_failure other_billing not_billing
    undecided""".split()
)
STATES = frozenset("enriching ready partial needs_human applying done failed".split())
LEVELS = frozenset("verified matched mismatch unknown".split())
NO_OBJECTS = frozenset("no_customer wrong_mode portal_missing list_truncated".split())

Check = Callable[[Any], bool]


def faults(card: Any) -> list[str]:
    """What is wrong with it; an empty list for a card of the contract."""
    found: list[str] = []

    def want(where: str, value: Any, right: bool) -> None:
        if not right:
            found.append(f"{where}: {value!r}"[:200])

    if not isinstance(card, dict):
        return ["the card is no object"]
    top = {"ticket_id", "state", "as_of", "customer", "billing_state", "decision", "plan", "follow_up", "product_gap"}
    want("keys", sorted(top - set(card)), top <= set(card))
    if found:
        return found
    want("ticket_id", card["ticket_id"], card["ticket_id"] is None or _whole(card["ticket_id"]))
    want("state", card["state"], card["state"] in STATES)
    want("as_of", card["as_of"], _moment(card["as_of"]))
    _customer(card["customer"], want)
    _billing(card["billing_state"], want)
    _decision(card["decision"], want)
    _plan(card["plan"], want)
    reply = card["follow_up"]
    want("follow_up.locale", reply["locale"], bool(re.fullmatch(r"[a-z]{2}", reply["locale"])))
    want("follow_up.body", reply["body"], isinstance(reply["body"], str))
    gap = card["product_gap"]
    if gap is not None:
        want("product_gap.kind", gap["kind"], gap["kind"] in GAPS)
        want("product_gap.text", gap, bool(gap["title"]) and bool(gap["body"]))
        want("product_gap.existing_issue", gap["existing_issue"], _issue(gap["existing_issue"]))
        want("product_gap on no billing", card["decision"]["bucket"], card["decision"]["bucket"] != "not_billing")
    _units(card, "", want)
    return found


def _customer(part: Any, want: Callable[[str, Any, bool], None]) -> None:
    want("identity", part["identity"], part["identity"] in LEVELS)
    want("why", part["why"], _texts(part["why"]))
    for one in part["candidates"]:
        want("candidate", one, {"id", "name", "email", "stripe_url"} <= set(one) and one["id"].startswith("cus_"))
        want("stripe_url", one, one["stripe_url"].startswith("https://dashboard.stripe.com/"))
    ids = [one["id"] for one in part["candidates"]]
    want("chosen", part["chosen"], part["chosen"] is None or part["chosen"] in ids)
    want("nothing of others", part, part["identity"] in {"verified", "matched"} or not ids)


def _billing(part: Any, want: Callable[[str, Any, bool], None]) -> None:
    prefixes = {"subscriptions": "sub_", "invoices": "in_", "charges": ("ch_", "py_")}
    for name, prefix in prefixes.items():
        want(name, part[name], isinstance(part[name], list) and all(one["id"].startswith(prefix) for one in part[name]))
    want("payment_method", part["payment_method"], part["payment_method"] is None or "id" in part["payment_method"])
    for one in part["anomalies"]:
        want("anomaly", one, set(one) >= {"code", "says", "objects"} and one["code"] in ANOMALIES and bool(one["says"]))
        named = _texts(one["objects"]) and (bool(one["objects"]) or one["code"] in {*NO_OBJECTS, "portal_feature_off"})
        want("anomaly.objects", one, named)
    for one in part["missing"]:
        want("missing", one, set(one) >= {"part", "why"} and bool(one["part"]) and bool(one["why"]))


def _decision(part: Any, want: Callable[[str, Any, bool], None]) -> None:
    want("bucket", part["bucket"], part["bucket"] in BUCKETS)
    sure = part["confidence"]
    want("confidence", sure, isinstance(sure, float | int) and not isinstance(sure, bool) and 0 <= sure <= 1)
    want("decision.why", part["why"], isinstance(part["why"], str) and bool(part["why"]))
    for side, sign in (("for", 1), ("against", -1)):
        for one in part[side]:
            shape = bool(one["says"]) and _texts(one["objects"]) and isinstance(one["weight"], float | int)
            want(f"decision.{side}", one, shape and one["weight"] * sign >= 0)


def _plan(part: Any, want: Callable[[str, Any, bool], None]) -> None:
    want("digest", part["digest"], bool(re.fullmatch(r"sha256:[0-9a-f]{64}", part["digest"])))
    ids = [step["id"] for step in part["steps"]]
    want("step ids", ids, len(ids) == len(set(ids)))
    refunds: dict[str, int] = {}
    for step in part["steps"]:
        kind = step["kind"]
        want("step kind", kind, kind in STEP_KINDS)
        want("step says", step, bool(step["says"]) and _texts(step["requires"]))
        want("step object", step, step["object"] is None or isinstance(step["object"], str))
        want("step reversible", step, step["reversible"] is (kind not in IRREVERSIBLE))
        want("step money", step, ("amount" in step) == ("currency" in step) == (kind in WITH_MONEY))
        if "amount" in step:
            want("step amount", step, _whole(step["amount"]) and step["amount"] > 0 and _currency(step["currency"]))
        if kind == "refund_charge":
            want("refund of a charge", step, str(step["object"]).startswith(("ch_", "py_")))
        if kind in {"refund_charge", "create_credit_note"}:
            refunds[step["currency"]] = refunds.get(step["currency"], 0) + step["amount"]
    impact = part["revenue_impact"]
    for name in ("refund", "mrr"):
        want(f"impact.{name}", impact[name], all(_currency(c) and _whole(a) for c, a in impact[name].items()))
    want("impact.refund is the sum of the steps", (impact["refund"], refunds), impact["refund"] == refunds)
    want("impact.mrr is never a gain", impact["mrr"], all(amount <= 0 for amount in impact["mrr"].values()))
    for one in part["blocked"]:
        want("blocked", one, one["step"] in STEP_KINDS and one["why"] in BLOCKED and "object" in one)


def _units(value: Any, where: str, want: Callable[[str, Any, bool], None]) -> None:
    """No fraction stands for money, and every time is UTC, at any depth."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name.startswith("amount") or name in {"refunded", "paid_amount"}:
                whole = inner is None or _whole(inner) or isinstance(inner, Mapping)  # an amount with its currency
                want(f"{where}.{name} in minor units", inner, whole)
            if name.endswith(("_at", "_end", "_start", "created", "as_of", "since", "due_by", "due_date")):
                want(f"{where}.{name} as a time", inner, inner is None or not isinstance(inner, str) or _moment(inner))
            if name == "currency":
                want(f"{where}.currency", inner, _currency(inner))
            _units(inner, f"{where}.{name}", want)
    elif isinstance(value, list):
        for inner in value:
            _units(inner, where + "[]", want)


def _issue(value: Any) -> bool:
    return value is None or (_whole(value["number"]) and value["url"].startswith("http"))


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _currency(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"[a-z]{3}", value))


def _moment(value: Any) -> bool:
    if not isinstance(value, str) or not value.endswith("Z"):
        return False
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
