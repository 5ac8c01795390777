"""Does the real SDK, at its own pin, get through every call of the Stripe twin, and does every answer fit its types?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
import stripe

from integrations.twins.stripe_twin import API_VERSION, DEFAULT_KEY, StripeTwin, World
from integrations.twins.stripe_twin.response_types import problems, skeleton
from integrations.twins.stripe_twin.routing import ROUTES, matching
from integrations.twins.stripe_twin.store import PREFIXES

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = 86_400
MARK: Any = {"metadata": {"seen": "yes"}}
Do = Callable[[Any, dict[str, str]], Any]


def build(twin: StripeTwin) -> dict[str, str]:
    """A world with at least one object behind every call; returns the ids by name."""
    world = World(twin)
    now = twin.unix()
    product = world.product("Pro", id="prod_pro")
    price = world.price(product, 2900, id="price_pro")
    customer = world.customer("ann@example.com", "Ann", id="cus_ann")
    method = world.payment_method(customer, id="pm_ann", default=True)
    world.subscription(customer, price, created=now - 40 * DAY, id="sub_live", item_id="si_live", metadata={"org": "a"})
    world.subscription(customer, price, created=now - 40 * DAY, id="sub_other")
    world.subscription(customer, price, created=now - 40 * DAY, id="sub_third")
    world.subscription(customer, price, created=now - 40 * DAY, id="sub_planned")
    world.schedule("sub_planned", id="sub_sched_one")
    world.subscription(customer, price, created=now - 40 * DAY, status="past_due", id="sub_due")
    for name in ("in_open", "in_void", "in_off", "in_update"):
        world.invoice(customer, 500, id=name)
    world.invoice(customer, 700, id="in_send", collection_method="send_invoice")
    paid = world.invoice(customer, 900, status="paid", id="in_paid")
    world.invoiceitem(customer, 250, id="ii_one", subscription="sub_live", proration=True)
    charge = world.charge(customer, 1500, id="ch_one")
    held = world.charge(customer, 1500, id="ch_held", captured=False)
    disputed = world.charge(customer, 1600, id="ch_disputed")
    world.dispute(disputed, id="du_one")
    world.early_fraud_warning(disputed, id="issfr_one")
    world.refund(world.charge(customer, 1700, id="ch_back"), 100, id="re_old")
    world.refund(world.charge(customer, 1700), 100, id="re_action", status="requires_action")
    world.checkout_session(customer, id="cs_test_open00000001")
    world.portal_configuration(id="bpc_one")
    for kind, name in (("payout", "po_one"), ("transfer", "tr_one"), ("coupon", "half")):
        world.new(kind, id=name)
    endpoint = twin.add_webhook_endpoint("https://example.com/webhooks/stripe", ["refund.created"])
    link = next(one for one in twin.store.of_kind("invoice_payment") if one["invoice"] == paid["id"])
    return {
        "intent": charge["payment_intent"],
        "held": held["payment_intent"],
        "method": method["id"],
        "endpoint": endpoint["id"],
        "link": link["id"],
        "number": paid["number"],
        "line": paid["lines"]["data"][0]["id"],
    }


CALLS: list[tuple[str, Do]] = [
    (
        "customers by e-mail",
        lambda v1, at: v1.customers.list({"email": "ann@example.com", "limit": 100, "expand": ["data.subscriptions"]}),
    ),
    ("customer", lambda v1, at: v1.customers.retrieve("cus_ann", {"expand": ["subscriptions", "tax_ids"]})),
    ("customer search", lambda v1, at: v1.customers.search({"query": 'email:"ANN@example.com"'})),
    ("methods", lambda v1, at: v1.customers.payment_methods.list("cus_ann", {"limit": 20})),
    ("method of customer", lambda v1, at: v1.customers.payment_methods.retrieve("cus_ann", at["method"])),
    ("method", lambda v1, at: v1.payment_methods.retrieve(at["method"], {"expand": ["customer"]})),
    (
        "credit",
        lambda v1, at: v1.customers.balance_transactions.create(
            "cus_ann", {"amount": -500, "currency": "usd", "metadata": {"zb_action": "1"}}
        ),
    ),
    ("credits", lambda v1, at: v1.customers.balance_transactions.list("cus_ann")),
    ("products", lambda v1, at: v1.products.list({"active": True})),
    ("product search", lambda v1, at: v1.products.search({"query": 'name:"pro"'})),
    ("product", lambda v1, at: v1.products.retrieve("prod_pro")),
    ("prices", lambda v1, at: v1.prices.list({"product": "prod_pro", "expand": ["data.product"]})),
    ("price search", lambda v1, at: v1.prices.search({"query": 'product:"prod_pro"'})),
    ("price", lambda v1, at: v1.prices.retrieve("price_pro", {"expand": ["product"]})),
    ("account", lambda v1, at: v1.accounts.retrieve_current()),
    (
        "subscriptions",
        lambda v1, at: v1.subscriptions.list(
            {
                "customer": "cus_ann",
                "status": "all",
                "limit": 100,
                "expand": ["data.discounts", "data.schedule", "data.latest_invoice"],
            }
        ),
    ),
    ("subscription search", lambda v1, at: v1.subscriptions.search({"query": "metadata['org']:'a'"})),
    (
        "subscription",
        lambda v1, at: v1.subscriptions.retrieve(
            "sub_live", {"expand": ["customer", "items.data.price.product", "latest_invoice.payments"]}
        ),
    ),
    (
        "stop renewal",
        lambda v1, at: v1.subscriptions.update(
            "sub_live",
            {
                "cancel_at_period_end": True,
                "cancellation_details": {"comment": "extra"},
                "metadata": {"zb_action": "2"},
            },
        ),
    ),
    ("undo", lambda v1, at: v1.subscriptions.update("sub_live", {"cancel_at_period_end": False})),
    ("cancel at", lambda v1, at: v1.subscriptions.update("sub_live", {"cancel_at": 1_900_000_000})),
    ("clear cancel at", lambda v1, at: v1.subscriptions.update("sub_live", {"cancel_at": ""})),
    (
        "seats",
        lambda v1, at: v1.subscriptions.update(
            "sub_live", {"items": [{"id": "si_live", "quantity": 3}], "proration_behavior": "always_invoice"}
        ),
    ),
    (
        "pause collection",
        lambda v1, at: v1.subscriptions.update(
            "sub_live", {"pause_collection": {"behavior": "void", "resumes_at": 1_900_000_000}}
        ),
    ),
    ("collect again", lambda v1, at: v1.subscriptions.update("sub_live", {"pause_collection": ""})),
    ("pause", lambda v1, at: v1.subscriptions.pause("sub_other")),
    ("resume", lambda v1, at: v1.subscriptions.resume("sub_other", {"billing_cycle_anchor": {"type": "now"}})),
    (
        "cancel",
        lambda v1, at: v1.subscriptions.cancel(
            "sub_third", {"invoice_now": True, "prorate": True, "cancellation_details": {"feedback": "unused"}}
        ),
    ),
    ("schedules", lambda v1, at: v1.subscription_schedules.list({"customer": "cus_ann"})),
    ("schedule", lambda v1, at: v1.subscription_schedules.retrieve("sub_sched_one", {"expand": ["subscription"]})),
    ("release", lambda v1, at: v1.subscription_schedules.release("sub_sched_one", {"preserve_cancel_date": True})),
    ("invoices", lambda v1, at: v1.invoices.list({"customer": "cus_ann", "limit": 100, "expand": ["data.payments"]})),
    ("invoice search", lambda v1, at: v1.invoices.search({"query": f'number:"{at["number"]}"'})),
    (
        "invoice",
        lambda v1, at: v1.invoices.retrieve(
            "in_paid", {"expand": ["customer", "payments.data.payment.payment_intent"]}
        ),
    ),
    ("lines", lambda v1, at: v1.invoices.line_items.list("in_paid")),
    (
        "preview",
        lambda v1, at: v1.invoices.create_preview(
            {
                "customer": "cus_ann",
                "subscription": "sub_live",
                "subscription_details": {
                    "items": [{"id": "si_live", "quantity": 1}],
                    "proration_date": int(NOW.timestamp()) + 5,
                },
            }
        ),
    ),
    ("update invoice", lambda v1, at: v1.invoices.update("in_update", {"auto_advance": False})),
    ("pay", lambda v1, at: v1.invoices.pay("in_open", {"expand": ["payments"]})),
    ("void", lambda v1, at: v1.invoices.void_invoice("in_void")),
    ("write off", lambda v1, at: v1.invoices.mark_uncollectible("in_off")),
    ("send", lambda v1, at: v1.invoices.send_invoice("in_send")),
    (
        "invoice payments",
        lambda v1, at: v1.invoice_payments.list(
            {"payment": {"type": "payment_intent", "payment_intent": at["intent"]}}
        ),
    ),
    ("invoice payment", lambda v1, at: v1.invoice_payments.retrieve(at["link"], {"expand": ["invoice"]})),
    ("pending items", lambda v1, at: v1.invoice_items.list({"customer": "cus_ann", "pending": True})),
    ("charges", lambda v1, at: v1.charges.list({"customer": "cus_ann", "limit": 100, "expand": ["data.refunds"]})),
    (
        "charge search",
        lambda v1, at: v1.charges.search({"query": 'payment_method_details.card.last4:"4242" AND amount:1500'}),
    ),
    ("charge", lambda v1, at: v1.charges.retrieve("ch_one", {"expand": ["customer", "refunds", "payment_intent"]})),
    ("intents", lambda v1, at: v1.payment_intents.list({"customer": "cus_ann", "expand": ["data.latest_charge"]})),
    ("intent search", lambda v1, at: v1.payment_intents.search({"query": 'customer:"cus_ann"'})),
    ("intent", lambda v1, at: v1.payment_intents.retrieve(at["intent"], {"expand": ["latest_charge"]})),
    ("cancel intent", lambda v1, at: v1.payment_intents.cancel(at["held"], {"cancellation_reason": "duplicate"})),
    ("disputes", lambda v1, at: v1.disputes.list({"charge": "ch_disputed"})),
    ("dispute", lambda v1, at: v1.disputes.retrieve("du_one", {"expand": ["charge.customer"]})),
    ("warnings", lambda v1, at: v1.radar.early_fraud_warnings.list({"charge": "ch_disputed"})),
    ("warning", lambda v1, at: v1.radar.early_fraud_warnings.retrieve("issfr_one", {"expand": ["charge"]})),
    (
        "refund",
        lambda v1, at: v1.refunds.create(
            {
                "charge": "ch_one",
                "amount": 400,
                "reason": "duplicate",
                "metadata": {"zb_action": "3"},
                "expand": ["charge"],
            }
        ),
    ),
    ("refund of intent", lambda v1, at: v1.refunds.create({"payment_intent": at["intent"]})),
    ("refunds", lambda v1, at: v1.refunds.list({"charge": "ch_one"})),
    ("refunds of charge", lambda v1, at: stripe_list(v1, "/v1/charges/ch_one/refunds")),
    ("refund by id", lambda v1, at: v1.refunds.retrieve("re_old", {"expand": ["charge.customer"]})),
    ("refund metadata", lambda v1, at: v1.refunds.update("re_old", {"metadata": {"zb_action": "4"}})),
    ("cancel refund", lambda v1, at: v1.refunds.cancel("re_action")),
    (
        "credit note preview",
        lambda v1, at: v1.credit_notes.preview({"invoice": "in_paid", "amount": 300, "refund_amount": 300}),
    ),
    (
        "credit note",
        lambda v1, at: v1.credit_notes.create(
            {
                "invoice": "in_paid",
                "refund_amount": 100,
                "credit_amount": 200,
                "reason": "duplicate",
                "email_type": "none",
                "lines": [{"type": "invoice_line_item", "invoice_line_item": at["line"], "amount": 300}],
            }
        ),
    ),
    ("credit notes", lambda v1, at: v1.credit_notes.list({"customer": "cus_ann"})),
    ("credit note by id", lambda v1, at: v1.credit_notes.retrieve(v1.credit_notes.list().data[0].id)),
    ("sessions", lambda v1, at: v1.checkout.sessions.list({"customer": "cus_ann", "limit": 20})),
    (
        "sessions by e-mail",
        lambda v1, at: v1.checkout.sessions.list({"customer_details": {"email": "ann@example.com"}}),
    ),
    (
        "session",
        lambda v1, at: v1.checkout.sessions.retrieve(
            "cs_test_open00000001", {"expand": ["customer", "subscription", "invoice", "payment_intent"]}
        ),
    ),
    ("session lines", lambda v1, at: v1.checkout.sessions.line_items.list("cs_test_open00000001")),
    ("expire session", lambda v1, at: v1.checkout.sessions.expire("cs_test_open00000001")),
    (
        "portal configurations",
        lambda v1, at: v1.billing_portal.configurations.list({"active": True, "is_default": True, "limit": 1}),
    ),
    ("portal configuration", lambda v1, at: v1.billing_portal.configurations.retrieve("bpc_one")),
    (
        "portal configuration changed",
        lambda v1, at: v1.billing_portal.configurations.update(
            "bpc_one", {"features": {"invoice_history": {"enabled": True}}}
        ),
    ),
    (
        "portal session",
        lambda v1, at: v1.billing_portal.sessions.create(
            {
                "customer": "cus_ann",
                "return_url": "https://example.com",
                "locale": "auto",
                "flow_data": {"type": "subscription_cancel", "subscription_cancel": {"subscription": "sub_live"}},
                "after_expiration": {"type": "customer_login"},
            }
        ),
    ),
    ("events", lambda v1, at: v1.events.list({"types": ["refund.created", "customer.subscription.*"]})),
    ("event", lambda v1, at: v1.events.retrieve(v1.events.list({"limit": 1}).data[0].id)),
    ("webhook endpoints", lambda v1, at: v1.webhook_endpoints.list().data[0]),
    ("payout", lambda v1, at: v1.payouts.update("po_one", MARK)),
    ("transfer", lambda v1, at: v1.transfers.update("tr_one", MARK)),
    ("product changed", lambda v1, at: v1.products.update("prod_pro", MARK)),
    ("price changed", lambda v1, at: v1.prices.update("price_pro", MARK)),
    ("coupon", lambda v1, at: v1.coupons.update("half", MARK)),
    ("endpoint changed", lambda v1, at: v1.webhook_endpoints.update(at["endpoint"], MARK)),
    ("payment method changed", lambda v1, at: v1.payment_methods.update("pm_ann", MARK)),
    ("dispute changed", lambda v1, at: v1.disputes.update("du_one", MARK)),
]


def stripe_list(v1: Any, path: str) -> Any:
    """A call that the typed services of this SDK no longer offer."""
    return v1._requestor.request("get", path, params={}, options={}, base_address="api")


@pytest.fixture(scope="module")
def twin() -> Iterator[StripeTwin]:
    with StripeTwin(clock=lambda: NOW) as running:
        yield running


@pytest.fixture(scope="module")
def world(twin: StripeTwin) -> dict[str, str]:
    return build(twin)


@pytest.fixture(scope="module")
def client(twin: StripeTwin) -> stripe.StripeClient:
    return stripe.StripeClient(DEFAULT_KEY, base_addresses={"api": twin.url}, stripe_version=API_VERSION)


def test_the_sdk_gets_through_every_call_and_every_route_was_called(
    twin: StripeTwin, world: dict[str, str], client: stripe.StripeClient
) -> None:
    for name, do in CALLS:  # in order: a later call works on what an earlier one made
        assert do(client.v1, world) is not None, name
        assert twin.crashes == [], name
    called = {
        found[0].template + found[0].method
        for entry in twin.wire
        if entry.status == 200 and (found := matching(entry.method, urlsplit(entry.target).path)) is not None
    }

    assert {made.template + made.method for made in ROUTES} - called == set()


def test_the_twin_speaks_the_version_that_the_sdk_pins() -> None:
    assert stripe.api_version == API_VERSION


@pytest.mark.parametrize("kind", sorted(PREFIXES))
def test_an_empty_object_of_this_kind_fits_the_sdk(kind: str) -> None:
    assert problems(skeleton(kind)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"surprise": 1}, "not a field"),
        ({"amount": "12"}, "expected int"),
        ({"status": "lost_in_space"}, "not one of"),
        ({"currency": None}, "null not allowed"),
        ({"customer": {"id": "re_1", "object": "refund"}}, "expected"),
    ],
)
def test_the_response_check_sees_a_wrong_field(change: dict[str, Any], said: str) -> None:
    found = problems({**skeleton("charge"), **change})

    assert any(said in line for line in found), found


def test_a_twin_that_answers_against_the_sdk_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with StripeTwin() as broken:
        World(broken).customer("a@example.com", id="cus_bad")["delinquent"] = "maybe"
        with pytest.raises(stripe.APIError):
            stripe.StripeClient(DEFAULT_KEY, base_addresses={"api": broken.url}).v1.customers.retrieve("cus_bad")
    assert "delinquent" in broken.crashes[0]
