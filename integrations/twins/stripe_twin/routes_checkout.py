"""Checkout sessions and the customer portal."""

from __future__ import annotations

from integrations.twins.stripe_twin.refusals import Refusal, invalid
from integrations.twins.stripe_twin.response_types import Obj, empty_branch
from integrations.twins.stripe_twin.routes_customers import living
from integrations.twins.stripe_twin.routing import Call, route

FEATURES = {
    "payment_method_update": "payment_method_update",
    "subscription_cancel": "subscription_cancel",
    "subscription_update": "subscription_update",
    "subscription_update_confirm": "subscription_update",
    "subscription_pause": "subscription_pause",
    "customer_update": "customer_update",
}


@route(
    "GET",
    "/v1/checkout/sessions",
    "checkout.SessionListParams",
    "checkout.session",
    area="checkout_session",
    models="customer customer_details payment_intent subscription status",
)
def list_sessions(call: Call) -> Obj:
    names = ("customer", "payment_intent", "subscription", "status")
    email = call.params.get("customer_details", {}).get("email")
    found = call.where("checkout.session", **{name: call.params.get(name) for name in names})
    return call.page(made for made in found if email in (None, (made["customer_details"] or {}).get("email")))


@route("GET", "/v1/checkout/sessions/{}", "checkout.SessionRetrieveParams", "checkout.session", area="checkout_session")
def retrieve_session(call: Call) -> Obj:
    return call.own("checkout.session")


@route(
    "GET", "/v1/checkout/sessions/{}/line_items", "checkout.SessionLineItemListParams", "item", area="checkout_session"
)
def list_session_lines(call: Call) -> Obj:
    held = call.own("checkout.session").get("line_items") or {"data": []}
    return call.page(held["data"])


@route(
    "POST",
    "/v1/checkout/sessions/{}/expire",
    "checkout.SessionExpireParams",
    "checkout.session",
    area="checkout_session",
)
def expire_session(call: Call) -> Obj:
    made = call.own("checkout.session")
    if made["status"] != "open":
        raise Refusal(
            400,
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session '
            f'has a status of "{made["status"]}".',
        )
    call.touch(made)
    made |= {"status": "expired", "url": None}
    call.effect(f"expired checkout session {made['id']}")
    call.emit("checkout.session.expired", made)
    return made


@route(
    "GET",
    "/v1/billing_portal/configurations",
    "billing_portal.ConfigurationListParams",
    "billing_portal.configuration",
    area="customer_portal",
    models="active is_default",
)
def list_configurations(call: Call) -> Obj:
    return call.page(
        call.where(
            "billing_portal.configuration", active=call.params.get("active"), is_default=call.params.get("is_default")
        )
    )


@route(
    "GET",
    "/v1/billing_portal/configurations/{}",
    "billing_portal.ConfigurationRetrieveParams",
    "billing_portal.configuration",
    area="customer_portal",
)
def retrieve_configuration(call: Call) -> Obj:
    return call.own("billing_portal.configuration")


@route(
    "POST",
    "/v1/billing_portal/configurations/{}",
    "billing_portal.ConfigurationUpdateParams",
    "billing_portal.configuration",
    area="customer_portal",
    models="active features login_page",
)
def update_configuration(call: Call) -> Obj:
    made = call.own("billing_portal.configuration")
    call.touch(made)
    for name, wanted in call.params.get("features", {}).items():
        made["features"][name] = {**(made["features"].get(name) or {}), **wanted}
    if "login_page" in call.params:
        enabled = call.params["login_page"]["enabled"]
        url = f"https://billing.stripe.test/p/login/{made['id']}" if enabled else None
        made["login_page"] = {"enabled": enabled, "url": url}
    made["active"] = call.params.get("active", made["active"])
    call.effect(f"updated portal configuration {made['id']}")
    call.emit("billing_portal.configuration.updated", made)
    return made


@route(
    "POST",
    "/v1/billing_portal/sessions",
    "billing_portal.SessionCreateParams",
    "billing_portal.session",
    area="customer_portal",
    models="customer configuration return_url locale flow_data after_expiration",
)
def create_portal_session(call: Call) -> Obj:
    """The url is a bearer credential: whoever has it is the customer."""
    if "customer" not in call.params:
        raise invalid("Missing required param: customer.", code="parameter_missing", param="customer")
    owner = living(call, call.params["customer"], "customer")
    chosen = _configuration(call)
    flow = _flow(call, owner, chosen)
    made = call.new(
        "billing_portal.session",
        customer=owner["id"],
        configuration=chosen["id"],
        return_url=call.params.get("return_url"),
        locale=call.params.get("locale"),
        flow=flow,
    )
    made["url"] = f"https://billing.stripe.test/p/session/{made['id']}"
    if "after_expiration" in call.params:
        made["after_expiration"] = _after_expiration(call, chosen)
    call.effect(f"portal session for {owner['id']}")
    call.emit("billing_portal.session.created", made)
    return made


def _configuration(call: Call) -> Obj:
    if "configuration" in call.params:
        chosen = call.get("billing_portal.configuration", call.params["configuration"], "configuration")
        if not chosen["active"]:
            raise Refusal(400, f"The configuration {chosen['id']} is not active.", param="configuration")
        return chosen
    found = call.where("billing_portal.configuration", is_default=True, active=True)
    if not found:
        mode = "live" if call.live else "test"
        raise Refusal(
            400,
            f"No configuration provided and your {mode} mode default configuration has not been "
            "created. Provide a configuration or create your default by saving your customer portal settings in "
            f"{mode} mode at https://dashboard.stripe.com/settings/billing/portal.",
        )
    return found[0]


def _flow(call: Call, owner: Obj, chosen: Obj) -> Obj | None:
    """The deep link of the session. Refused when its feature is off or its subscription is not the customer's."""
    given = call.params.get("flow_data")
    if given is None:
        return None
    kind = given["type"]
    feature = chosen["features"].get(FEATURES[kind]) or {}
    if not feature.get("enabled"):
        raise Refusal(
            400,
            f"The {FEATURES[kind]} feature is disabled in the portal configuration {chosen['id']}.",
            param="flow_data[type]",
        )
    if kind.startswith("subscription_"):
        if kind not in given:
            raise invalid(
                f"Missing required param: flow_data[{kind}].", code="parameter_missing", param=f"flow_data[{kind}]"
            )
        bound = call.get("subscription", given[kind]["subscription"], f"flow_data[{kind}][subscription]")
        if bound["customer"] != owner["id"] or bound["status"] in ("canceled", "incomplete_expired"):
            raise Refusal(
                400,
                f"The subscription {bound['id']} is not a current one of the customer {owner['id']}.",
                param=f"flow_data[{kind}][subscription]",
            )
    made = empty_branch("billing_portal.session", "flow")
    after = {
        **empty_branch("billing_portal.session", "flow", "after_completion"),
        "type": "portal_homepage",
        **given.get("after_completion", {}),
    }
    made |= {"type": kind, "after_completion": after}
    if kind in given and kind in made:
        made[kind] = {**empty_branch("billing_portal.session", "flow", kind), **given[kind]}
    return made


def _after_expiration(call: Call, chosen: Obj) -> Obj:
    given = call.params["after_expiration"]
    if not chosen["login_page"]["enabled"]:
        raise Refusal(
            400,
            "after_expiration needs a portal configuration whose login page is enabled.",
            param="after_expiration[type]",
        )
    login = empty_branch("billing_portal.session", "after_expiration", "customer_login")
    return {
        **empty_branch("billing_portal.session", "after_expiration"),
        "type": given["type"],
        "customer_login": {**login, **given.get("customer_login", {})},
    }
