"""What happens when an invoice is charged to a payment method?"""

from __future__ import annotations

from datetime import UTC, datetime

from integrations.twins.stripe_twin import acts
from integrations.twins.stripe_twin.refusals import Refusal
from integrations.twins.stripe_twin.response_types import Obj
from integrations.twins.stripe_twin.routing import Call

RECOVERS = ("past_due", "unpaid", "incomplete")


def method_for(call: Call, invoice: Obj, wanted: str | None) -> Obj:
    """The given method, else the invoice's, the subscription's, the customer's default. Raises Refusal."""
    owner = call.store.objects[invoice["customer"]]
    details: Obj = (invoice["parent"] or {}).get("subscription_details") or {}
    bound = call.store.find(details.get("subscription")) or {}
    chosen = (
        wanted or invoice["default_payment_method"] or bound.get("default_payment_method") or acts.default_method(owner)
    )
    if chosen is None:
        raise Refusal(
            400,
            "There is no `default_payment_method` set on this Customer or Invoice. Please attach a "
            "payment method, or set a default.",
            code="missing",
        )
    method = call.get("payment_method", chosen, "payment_method")
    if method["customer"] != owner["id"]:
        raise Refusal(
            400,
            f"The payment method {method['id']} does not belong to the customer {owner['id']}.",
            param="payment_method",
        )
    return method


def collect(call: Call, invoice: Obj, wanted: str | None) -> Refusal | None:
    """Charge the open invoice. None: paid. A Refusal is what the payer's bank said; the attempt stays on record."""
    try:
        method = method_for(call, invoice, wanted)
    except Refusal as refused:
        return refused
    owner = call.store.objects[invoice["customer"]]
    intent, link = _intent_of(call, invoice, owner, method)
    invoice["attempted"] = True
    invoice["attempt_count"] += 1
    if call.store.directive(method["id"], "requires_action"):
        intent |= {"status": "requires_action", "payment_method": method["id"]}
        return _asks_customer(intent)
    decline = _decline(call, method)
    advice = call.store.directive(method["id"], "advice")
    charge = acts.new_charge(
        call,
        intent,
        owner,
        int(intent["amount"]),
        invoice["currency"],
        method,
        call.now,
        decline=decline,
        advice=advice,
    )
    intent["payment_method"] = method["id"]
    if decline is not None:
        call.emit("invoice.payment_failed", invoice)
        return _declined(charge, decline, advice, intent)
    link |= {"status": "paid", "amount_paid": int(intent["amount"])}
    link["status_transitions"]["paid_at"] = call.now
    acts.mark_paid(invoice, call.now, int(intent["amount"]))
    recover(call, invoice)
    call.emit("invoice.paid", invoice)
    return None


def _intent_of(call: Call, invoice: Obj, owner: Obj, method: Obj) -> tuple[Obj, Obj]:
    """The invoice's unfinished intent and its link, or fresh ones."""
    for link in call.where("invoice_payment", invoice=invoice["id"], status="open"):
        intent = call.store.find(link["payment"].get("payment_intent"))
        if intent is not None and intent["status"] not in ("succeeded", "canceled"):
            intent["amount"] = link["amount_requested"] = int(invoice["amount_remaining"])
            return intent, link
    amount = int(invoice["amount_remaining"])
    intent = acts.new_intent(call, owner["id"], amount, invoice["currency"], method, call.now)
    return intent, acts.new_invoice_payment(call, invoice, intent, paid=False, at=call.now)


def _decline(call: Call, method: Obj) -> str | None:
    chosen = call.store.directive(method["id"], "decline")
    if chosen is not None:
        return str(chosen)
    today = datetime.fromtimestamp(call.now, UTC)
    card = method.get("card")
    expired = card is not None and (card["exp_year"], card["exp_month"]) < (today.year, today.month)
    return "expired_card" if expired else None


def _asks_customer(intent: Obj) -> Refusal:
    return Refusal(
        402,
        "This payment requires additional user action before it can be completed successfully.",
        kind="card_error",
        code="invoice_payment_intent_requires_action",
        payment_intent=dict(intent),
    )


def _declined(charge: Obj, decline: str, advice: str | None, intent: Obj) -> Refusal:
    refused = Refusal(
        402,
        "Your card was declined.",
        kind="card_error",
        code=charge["failure_code"],
        charge=charge["id"],
        decline_code=decline,
        payment_intent=dict(intent),
    )
    if advice is not None:
        refused.error["advice_code"] = advice
    return refused


def recover(call: Call, invoice: Obj) -> None:
    """A settled latest invoice makes its subscription active again, and the customer no longer delinquent."""
    details: Obj = (invoice["parent"] or {}).get("subscription_details") or {}
    bound = call.store.find(details.get("subscription"))
    owner = call.store.objects[invoice["customer"]]
    owner["delinquent"] = False
    if bound is not None and bound["latest_invoice"] == invoice["id"] and bound["status"] in RECOVERS:
        call.touch(bound)
        bound["status"] = "active"
        call.emit("customer.subscription.updated", bound)
