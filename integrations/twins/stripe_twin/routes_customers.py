"""Customers, their payment methods and credit balance, the catalogue, events and the account."""

from __future__ import annotations

from integrations.twins.stripe_twin import acts
from integrations.twins.stripe_twin.refusals import Refusal, invalid
from integrations.twins.stripe_twin.response_types import Obj
from integrations.twins.stripe_twin.routing import Call, route


def living(call: Call, wanted: str, param: str = "id") -> Obj:
    """A customer that is not deleted. Raises Refusal."""
    found = call.get("customer", wanted, param)
    if found.get("deleted") is True:
        raise Refusal(
            404 if param == "id" else 400, f"No such customer: '{wanted}'", code="resource_missing", param=param
        )
    return found


@route("GET", "/v1/customers", "CustomerListParams", "customer", models="email")
def list_customers(call: Call) -> Obj:
    """The email filter is exact and minds upper and lower case."""
    found = call.where("customer", email=call.params.get("email"))
    return call.page(made for made in found if made.get("deleted") is not True)


@route("GET", "/v1/customers/search", "CustomerSearchParams", "customer")
def search_customers(call: Call) -> Obj:
    return call.search("customer")


@route("GET", "/v1/customers/{}", "CustomerRetrieveParams", "customer")
def retrieve_customer(call: Call) -> Obj:
    found = call.own("customer")
    if found.get("deleted") is True:
        return {"id": found["id"], "object": "customer", "deleted": True}
    return found


@route(
    "GET",
    "/v1/customers/{}/payment_methods",
    "CustomerPaymentMethodListParams",
    "payment_method",
    models="type allow_redisplay",
)
def list_payment_methods(call: Call) -> Obj:
    owner = living(call, call.ids[0])
    return call.page(
        call.where(
            "payment_method",
            customer=owner["id"],
            type=call.params.get("type"),
            allow_redisplay=call.params.get("allow_redisplay"),
        )
    )


@route("GET", "/v1/customers/{}/payment_methods/{}", "CustomerPaymentMethodRetrieveParams", "payment_method")
def retrieve_customer_payment_method(call: Call) -> Obj:
    owner, found = living(call, call.ids[0]), call.get("payment_method", call.ids[1])
    if found["customer"] != owner["id"]:
        raise Refusal(404, f"No such PaymentMethod: '{found['id']}'", code="resource_missing", param="payment_method")
    return found


@route("GET", "/v1/payment_methods/{}", "PaymentMethodRetrieveParams", "payment_method")
def retrieve_payment_method(call: Call) -> Obj:
    return call.own("payment_method")


@route(
    "GET",
    "/v1/customers/{}/balance_transactions",
    "CustomerBalanceTransactionListParams",
    "customer_balance_transaction",
    area="customer",
)
def list_balance_transactions(call: Call) -> Obj:
    owner = living(call, call.ids[0])
    return call.page(call.where("customer_balance_transaction", customer=owner["id"]))


@route(
    "POST",
    "/v1/customers/{}/balance_transactions",
    "CustomerBalanceTransactionCreateParams",
    "customer_balance_transaction",
    area="customer",
    models="amount currency description metadata",
)
def create_balance_transaction(call: Call) -> Obj:
    """Negative amounts are credit for the next invoice; the balance has one currency, the customer's."""
    owner = living(call, call.ids[0])
    amount, currency = call.params["amount"], call.params["currency"].lower()
    if amount == 0:
        raise invalid("The amount of a customer balance transaction cannot be zero", param="amount")
    if owner["currency"] not in (None, currency):
        raise Refusal(
            400, f"The currency {currency} does not match the customer's currency {owner['currency']}", param="currency"
        )
    call.touch(owner)
    made = acts.adjust_balance(call, owner, amount, currency, "adjustment", description=call.params.get("description"))
    call.merge_metadata(made)
    call.effect(f"balance {acts.money(amount, currency)} on {owner['id']}")
    call.emit("customer.updated", owner)
    return made


@route("GET", "/v1/products", "ProductListParams", "product", models="active")
def list_products(call: Call) -> Obj:
    return call.page(call.where("product", active=call.params.get("active")))


@route("GET", "/v1/products/search", "ProductSearchParams", "product")
def search_products(call: Call) -> Obj:
    return call.search("product")


@route("GET", "/v1/products/{}", "ProductRetrieveParams", "product")
def retrieve_product(call: Call) -> Obj:
    return call.own("product")


@route("GET", "/v1/prices", "PriceListParams", "price", area="plan", models="active currency product type")
def list_prices(call: Call) -> Obj:
    names = ("active", "currency", "product", "type")
    return call.page(call.where("price", **{name: call.params.get(name) for name in names}))


@route("GET", "/v1/prices/search", "PriceSearchParams", "price", area="plan")
def search_prices(call: Call) -> Obj:
    return call.search("price")


@route("GET", "/v1/prices/{}", "PriceRetrieveParams", "price", area="plan")
def retrieve_price(call: Call) -> Obj:
    return call.own("price")


@route("GET", "/v1/events", "EventListParams", "event", models="type types")
def list_events(call: Call) -> Obj:
    wanted = call.params.get("types") or ([call.params["type"]] if "type" in call.params else None)
    return call.page(made for made in call.where("event") if wanted is None or _is_type(made["type"], wanted))


def _is_type(name: str, wanted: list[str]) -> bool:
    return any(name == one or (one.endswith("*") and name.startswith(one[:-1])) for one in wanted)


@route("GET", "/v1/events/{}", "EventRetrieveParams", "event")
def retrieve_event(call: Call) -> Obj:
    return call.own("event")


@route("GET", "/v1/account", "AccountRetrieveCurrentParams", "account")
def retrieve_account(call: Call) -> Obj:
    return call.twin.account
