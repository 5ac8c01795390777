"""Is a seeded world coherent, and does the ledger tell what happened to it?"""

from __future__ import annotations

from typing import Any

import pytest
import requests
import stripe

from integrations.twins.server import Request, Response, Twin
from integrations.twins.stripe_twin import StripeTwin, World
from testkit.stripe_calls import NOW, call


# -- seeds, ledger, webhooks -----------------------------------------------------------------------------------------
def test_a_subscription_brings_its_paid_past(twin: StripeTwin, world: World, subscription: Any) -> None:
    found = call(twin, "GET", "/v1/invoices", {"customer": "cus_ann", "expand[]": "data.payments"}).json()["data"]
    charges = {made["payment_intent"]: made for made in call(twin, "GET", "/v1/charges").json()["data"]}

    assert [made["billing_reason"] for made in found] == ["subscription_cycle", "subscription_create"]
    for invoice in found:
        intent = invoice["payments"]["data"][0]["payment"]["payment_intent"]
        assert charges[intent]["created"] == invoice["status_transitions"]["paid_at"] == invoice["created"]
        assert invoice["parent"]["subscription_details"]["subscription"] == "sub_one"
    item = subscription["items"]["data"][0]
    assert item["current_period_start"] <= NOW.timestamp() < item["current_period_end"]


@pytest.mark.parametrize(
    ("status", "invoice"),
    [("past_due", "open"), ("unpaid", "open"), ("incomplete", "open"), ("incomplete_expired", "void")],
)
def test_a_subscription_without_payment_ends_in_an_unpaid_invoice(
    twin: StripeTwin, world: World, status: str, invoice: str
) -> None:
    price = world.price(world.product("Pro"), 2900)
    made = world.subscription(world.customer("a@example.com"), price, status=status, decline="insufficient_funds")

    latest = twin.store.objects[made["latest_invoice"]]
    assert latest["status"] == invoice
    assert [one["failure_code"] for one in twin.store.of_kind("charge")][-1] == "card_declined"


def test_a_json_seed_fills_partial_objects_and_keeps_their_ids(twin: StripeTwin) -> None:
    seed = {
        "objects": [
            {"object": "product", "id": "prod_1", "name": "Pro"},
            {
                "object": "price",
                "id": "price_1",
                "product": "prod_1",
                "unit_amount": 2900,
                "currency": "usd",
                "recurring": {"interval": "year"},
            },
            {"object": "customer", "id": "cus_1", "email": "ann@example.com"},
            {
                "object": "subscription",
                "id": "sub_1",
                "customer": "cus_1",
                "created": 1_790_000_000,
                "items": [{"price": "price_1", "quantity": 2}],
            },
            {"object": "payment_intent", "id": "pi_1", "customer": "cus_1", "amount": 5800, "currency": "usd"},
            {
                "object": "charge",
                "id": "ch_1",
                "customer": "cus_1",
                "amount": 5800,
                "payment_intent": "pi_1",
                "_twin": {"next_refunds": [{"status": "pending"}]},
            },
            {
                "object": "invoice",
                "id": "in_1",
                "customer": "cus_1",
                "amount": 5800,
                "status": "paid",
                "subscription": "sub_1",
                "number": "ABCD-0001",
            },
            {
                "object": "invoice_payment",
                "id": "inpay_1",
                "invoice": "in_1",
                "payment_intent": "pi_1",
                "amount_paid": 5800,
            },
            {"object": "refund", "id": "re_1", "charge": "ch_1", "amount": 800},
            {
                "object": "dispute",
                "id": "du_1",
                "charge": "ch_1",
                "status": "warning_needs_response",
                "amount": 5800,
                "currency": "usd",
            },
            {"object": "billing_portal.configuration", "id": "bpc_1", "is_default": True, "active": True},
            {"object": "checkout.session", "id": "cs_test_1", "mode": "payment"},
        ],
        "keys": {"rk_test_seeded": ["rak_charge_write"]},
    }

    answer = requests.post(twin.url + "/_twin/seed", json=seed, timeout=5)
    state = requests.get(twin.url + "/_twin/state", timeout=5).json()

    assert answer.json()["ids"][:3] == ["prod_1", "price_1", "cus_1"]
    for kind, name in (("subscriptions", "sub_1"), ("invoices", "in_1"), ("charges", "ch_1")):
        assert [made["id"] for made in state[kind]] == [name]
    for path in (
        "subscriptions/sub_1",
        "invoices/in_1",
        "charges/ch_1",
        "refunds/re_1",
        "disputes/du_1",
        "invoice_payments/inpay_1",
        "billing_portal/configurations/bpc_1",
        "checkout/sessions/cs_test_1",
    ):
        assert call(twin, "GET", f"/v1/{path}").status_code == 200, path
    made = call(twin, "POST", "/v1/refunds", {"charge": "ch_1"}, key="rk_test_seeded").json()
    assert (made["amount"], made["status"]) == (5000, "pending")


def test_a_seed_of_an_unknown_kind_is_refused(twin: StripeTwin) -> None:
    answer = requests.post(twin.url + "/_twin/seed", json={"objects": [{"object": "spaceship"}]}, timeout=5)

    assert (answer.status_code, "spaceship" in answer.text) == (400, True)


def test_a_lost_answer_keeps_its_effect_and_the_key_finds_it(twin: StripeTwin, charge: Any) -> None:
    twin.faults.add("reset_after", path="/v1/refunds")
    with pytest.raises(requests.ConnectionError):
        call(twin, "POST", "/v1/refunds", {"charge": "ch_one"}, idempotency="k")

    again = call(twin, "POST", "/v1/refunds", {"charge": "ch_one"}, idempotency="k")

    assert again.headers["Idempotent-Replayed"] == "true"
    assert [(entry.status, entry.effect, entry.fault) for entry in twin.wire] == [
        (None, "refund 29.00 usd on ch_one", "reset_after"),
        (200, None, None),
    ]


def test_a_stale_read_answers_from_before_the_last_write(twin: StripeTwin, subscription: Any) -> None:
    twin.faults.add("stale", path="/v1/subscriptions/sub_one")
    call(twin, "POST", "/v1/subscriptions/sub_one", {"cancel_at_period_end": "true"})

    stale = call(twin, "GET", "/v1/subscriptions/sub_one").json()
    fresh = call(twin, "GET", "/v1/subscriptions/sub_one").json()

    assert (stale["cancel_at_period_end"], fresh["cancel_at_period_end"]) == (False, True)


def test_a_refund_is_delivered_as_a_signed_webhook_that_the_sdk_accepts(twin: StripeTwin, charge: Any) -> None:
    heard: list[Request] = []

    class Listener(Twin):
        def handle(self, request: Request) -> Response:
            heard.append(request)
            return Response()

    with Listener() as listener:
        twin.webhooks.url, twin.webhooks.secret = listener.url + "/hook", "whsec_test"
        call(twin, "POST", "/v1/refunds", {"charge": "ch_one"})
        twin.webhooks.join()

    assert twin.webhooks.answers == [200, 200]
    for request in heard:
        stripe.WebhookSignature.verify_header(
            request.body.decode(), request.headers["stripe-signature"], "whsec_test", None
        )
    assert {request.json()["type"] for request in heard} == {"refund.created", "charge.refunded"}
