"""Charges, payment intents, disputes and early fraud warnings."""

from __future__ import annotations

from integrations.twins.stripe_twin.refusals import Refusal
from integrations.twins.stripe_twin.response_types import Obj
from integrations.twins.stripe_twin.routing import Call, route

CANCELABLE = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action", "processing")


@route("GET", "/v1/charges", "ChargeListParams", "charge", models="customer payment_intent")
def list_charges(call: Call) -> Obj:
    return call.page(
        call.where("charge", customer=call.params.get("customer"), payment_intent=call.params.get("payment_intent"))
    )


@route("GET", "/v1/charges/search", "ChargeSearchParams", "charge")
def search_charges(call: Call) -> Obj:
    return call.search("charge")


@route("GET", "/v1/charges/{}", "ChargeRetrieveParams", "charge")
def retrieve_charge(call: Call) -> Obj:
    return call.own("charge")


@route("GET", "/v1/payment_intents", "PaymentIntentListParams", "payment_intent", models="customer")
def list_payment_intents(call: Call) -> Obj:
    return call.page(call.where("payment_intent", customer=call.params.get("customer")))


@route("GET", "/v1/payment_intents/search", "PaymentIntentSearchParams", "payment_intent")
def search_payment_intents(call: Call) -> Obj:
    return call.search("payment_intent")


@route("GET", "/v1/payment_intents/{}", "PaymentIntentRetrieveParams", "payment_intent")
def retrieve_payment_intent(call: Call) -> Obj:
    return call.own("payment_intent")


@route(
    "POST", "/v1/payment_intents/{}/cancel", "PaymentIntentCancelParams", "payment_intent", models="cancellation_reason"
)
def cancel_payment_intent(call: Call) -> Obj:
    """Releases a hold; an intent that belongs to an invoice is the invoice's to cancel."""
    made = call.own("payment_intent")
    if made["status"] not in CANCELABLE:
        raise Refusal(
            400,
            f"You cannot cancel this PaymentIntent because it has a status of {made['status']}. "
            f"Only a PaymentIntent with one of the following statuses may be canceled: {', '.join(CANCELABLE)}.",
            code="payment_intent_unexpected_state",
            payment_intent=dict(made),
        )
    if any(link["payment"].get("payment_intent") == made["id"] for link in call.where("invoice_payment")):
        raise Refusal(
            400,
            "You cannot cancel a PaymentIntent that was created by an invoice. Void the invoice.",
            code="payment_intent_unexpected_state",
        )
    call.touch(made)
    if made["status"] == "requires_capture" and (charge := call.store.find(made["latest_charge"])) is not None:
        charge |= {"refunded": True, "amount_refunded": charge["amount"]}
    made |= {
        "status": "canceled",
        "canceled_at": call.now,
        "amount_capturable": 0,
        "cancellation_reason": call.params.get("cancellation_reason"),
    }
    call.effect(f"canceled payment intent {made['id']}")
    call.emit("payment_intent.canceled", made)
    return made


@route("GET", "/v1/disputes", "DisputeListParams", "dispute", models="charge payment_intent")
def list_disputes(call: Call) -> Obj:
    return call.page(
        call.where("dispute", charge=call.params.get("charge"), payment_intent=call.params.get("payment_intent"))
    )


@route("GET", "/v1/disputes/{}", "DisputeRetrieveParams", "dispute")
def retrieve_dispute(call: Call) -> Obj:
    return call.own("dispute")


@route(
    "GET",
    "/v1/radar/early_fraud_warnings",
    "radar.EarlyFraudWarningListParams",
    "radar.early_fraud_warning",
    area="radar",
    models="charge payment_intent",
)
def list_warnings(call: Call) -> Obj:
    return call.page(
        call.where(
            "radar.early_fraud_warning",
            charge=call.params.get("charge"),
            payment_intent=call.params.get("payment_intent"),
        )
    )


@route(
    "GET",
    "/v1/radar/early_fraud_warnings/{}",
    "radar.EarlyFraudWarningRetrieveParams",
    "radar.early_fraud_warning",
    area="radar",
)
def retrieve_warning(call: Call) -> Obj:
    return call.own("radar.early_fraud_warning")
