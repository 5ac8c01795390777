"""Refunds: never more than is left, never on a lost or open dispute, never twice."""

from __future__ import annotations

from integrations.twins.stripe_twin import acts
from integrations.twins.stripe_twin.refusals import Refusal, invalid
from integrations.twins.stripe_twin.response_types import Obj, empty_branch
from integrations.twins.stripe_twin.routing import Call, route


@route(
    "POST",
    "/v1/refunds",
    "RefundCreateParams",
    "refund",
    area="refund",
    models="charge payment_intent amount reason metadata",
)
def create_refund(call: Call) -> Obj:
    charge = _charge_of(call)
    amount = _amount(call, charge)
    made = refund(call, charge, amount, call.params.get("reason"))
    call.merge_metadata(made)
    return made


def refund(call: Call, charge: Obj, amount: int, reason: str | None) -> Obj:
    """Make the refund as the charge's next directive says (default: succeeded), and settle the charge.

    `ends` in the directive: what becomes of it `after` so many seconds, like {"status": "failed", "after": 3600}.
    """
    call.touch(charge)
    directives = call.store.directives.get(charge["id"], {})
    waiting = directives.get("next_refunds") or [{}]
    outcome = dict(waiting[0])
    if directives.get("next_refunds"):
        directives["next_refunds"] = waiting[1:]
    made = call.new(
        "refund",
        amount=amount,
        charge=charge["id"],
        payment_intent=charge["payment_intent"],
        currency=charge["currency"],
        reason=reason,
        status="succeeded",
        metadata={},
    )
    if charge["payment_method_details"] is not None and charge["payment_method_details"]["type"] == "card":
        card = {**empty_branch("refund", "destination_details", "card"), "type": "refund"}
        made["destination_details"] = {**empty_branch("refund", "destination_details"), "type": "card", "card": card}
    ends = outcome.pop("ends", None)
    if ends is not None:
        call.store.directives[made["id"]] = {"ends": {**ends, "at": call.now + int(ends.get("after", 0))}}
    made |= outcome
    acts.settle_charge(call.store, charge)
    call.effect(f"refund {acts.money(amount, charge['currency'])} on {charge['id']}")
    call.emit("refund.created", made)
    if made["status"] not in ("failed", "canceled"):
        call.emit("charge.refunded", charge)
    return made


def _charge_of(call: Call) -> Obj:
    """The charge to refund: as named, or the successful one of the intent. Raises Refusal."""
    named, intent_id = call.params.get("charge"), call.params.get("payment_intent")
    if named is None and intent_id is None:
        raise invalid(
            "One of the following params should be provided for this request: payment_intent or charge.",
            code="parameter_missing",
        )
    if named is not None:
        charge = call.get("charge", named, "charge")
        if intent_id not in (None, charge["payment_intent"]):
            raise invalid("The charge does not belong to the payment_intent.", param="charge")
        return charge
    intent = call.get("payment_intent", str(intent_id), "payment_intent")
    charge_found = call.store.find(intent["latest_charge"])
    if charge_found is None or charge_found["status"] != "succeeded":
        raise Refusal(
            400,
            f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
            code="charge_not_refundable",
        )
    return charge_found


def _amount(call: Call, charge: Obj) -> int:
    """What to refund. Raises Refusal with Stripe's codes."""
    check_refundable(call, charge)
    left = int(charge["amount_captured"]) - acts.refunded_total(call.store, charge["id"])
    amount = int(call.params.get("amount", left))
    if amount <= 0:
        raise invalid("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    if amount > left:
        currency = charge["currency"]
        raise Refusal(
            400,
            f"Refund amount ({acts.money(amount, currency)}) is greater than unrefunded amount on "
            f"charge ({acts.money(left, currency)})",
            param="amount",
        )
    return amount


def check_refundable(call: Call, charge: Obj) -> None:
    """Raises Refusal when nothing of this charge may be refunded."""
    if charge["status"] != "succeeded" or not charge["captured"]:
        raise Refusal(
            400,
            f"Charge {charge['id']} cannot be refunded: it is "
            f"{'not captured' if charge['status'] == 'succeeded' else charge['status']}.",
            code="charge_not_refundable",
            param="charge",
        )
    left = int(charge["amount_captured"]) - acts.refunded_total(call.store, charge["id"])
    if left <= 0 or charge["refunded"]:
        raise Refusal(
            400, f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded", param="charge"
        )
    blocking = [made for made in call.where("dispute", charge=charge["id"]) if not made["is_charge_refundable"]]
    if blocking:
        raise Refusal(
            400,
            f"Charge {charge['id']} has been charged back; cannot issue a refund.",
            code="charge_disputed",
            param="charge",
        )
    if call.store.directive(charge["id"], "balance_insufficient"):
        raise Refusal(
            400, "Insufficient funds in your Stripe balance to refund this amount.", code="balance_insufficient"
        )


@route("GET", "/v1/refunds", "RefundListParams", "refund", models="charge payment_intent")
def list_refunds(call: Call) -> Obj:
    return call.page(
        call.where("refund", charge=call.params.get("charge"), payment_intent=call.params.get("payment_intent"))
    )


@route("GET", "/v1/charges/{}/refunds", "ChargeListRefundsParams", "refund")
def list_charge_refunds(call: Call) -> Obj:
    return call.page(call.where("refund", charge=call.own("charge")["id"]))


@route("GET", "/v1/refunds/{}", "RefundRetrieveParams", "refund")
def retrieve_refund(call: Call) -> Obj:
    return call.own("refund")


@route("POST", "/v1/refunds/{}", "RefundUpdateParams", "refund", models="metadata")
def update_refund(call: Call) -> Obj:
    made = call.touch(call.own("refund"))
    if call.merge_metadata(made):
        call.effect(f"refund {made['id']}: metadata")
    call.emit("refund.updated", made)
    return made


@route("POST", "/v1/refunds/{}/cancel", "RefundCancelParams", "refund")
def cancel_refund(call: Call) -> Obj:
    made = call.own("refund")
    if made["status"] != "requires_action":
        raise Refusal(400, f"You can only cancel refunds in the requires_action state; this one is {made['status']}.")
    call.touch(made)
    made["status"] = "canceled"
    charge = call.store.find(made["charge"])
    if charge is not None:
        acts.settle_charge(call.store, charge)
    call.effect(f"canceled refund {made['id']}")
    call.emit("refund.updated", made)
    return made
