"""What belongs to the merchant and not to a customer? Webhook endpoints are listed; the rest only guards its door.

Changing payouts, transfers, prices and the like is no part of this twin: each call asks for its permission as Stripe
does, and an object that does not exist is a 404. https://docs.stripe.com/api/webhook_endpoints
"""

from __future__ import annotations

from collections.abc import Callable

from integrations.twins.stripe_twin.response_types import Obj
from integrations.twins.stripe_twin.routing import Call, route


@route("GET", "/v1/webhook_endpoints", "WebhookEndpointListParams", "webhook_endpoint", area="webhook")
def list_webhook_endpoints(call: Call) -> Obj:
    return call.page(call.where("webhook_endpoint"))


def _changing(kind: str) -> Callable[[Call], Obj]:
    def change(call: Call) -> Obj:
        held = call.touch(call.own(kind))
        call.merge_metadata(held)
        call.effect(f"changed {kind} {held['id']}")
        return held

    return change


for _path, _params, _kind, _area in (
    ("payouts/{}", "Payout", "payout", "payout"),
    ("transfers/{}", "Transfer", "transfer", "transfer"),
    ("products/{}", "Product", "product", "product"),
    ("prices/{}", "Price", "price", "plan"),
    ("coupons/{}", "Coupon", "coupon", "coupon"),
    ("webhook_endpoints/{}", "WebhookEndpoint", "webhook_endpoint", "webhook"),
    ("payment_methods/{}", "PaymentMethod", "payment_method", "payment_method"),
    ("disputes/{}", "Dispute", "dispute", "dispute"),
):
    route("POST", f"/v1/{_path}", f"{_params}UpdateParams", _kind, area=_area, models="metadata")(_changing(_kind))
