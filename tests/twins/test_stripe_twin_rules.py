"""Does the Stripe twin move refunds, subscriptions, invoices and sessions only as Stripe would?"""

from __future__ import annotations

from typing import Any

import pytest

from integrations.twins.stripe_twin import StripeTwin, World
from testkit.stripe_calls import DAY, NOW, call, error, ids


# -- refunds ---------------------------------------------------------------------------------------------------------
def test_refunds_add_up_and_never_exceed_the_charge(twin: StripeTwin, charge: Any) -> None:
    call(twin, "POST", "/v1/refunds", {"charge": "ch_one", "amount": "2000"})
    said = error(call(twin, "POST", "/v1/refunds", {"charge": "ch_one", "amount": "901"}), 400)
    call(twin, "POST", "/v1/refunds", {"payment_intent": charge["payment_intent"]})

    assert "greater than unrefunded amount" in said["message"]
    found = call(twin, "GET", "/v1/charges/ch_one").json()
    assert (found["amount_refunded"], found["refunded"]) == (2900, True)
    assert error(call(twin, "POST", "/v1/refunds", {"charge": "ch_one"}), 400)["code"] == "charge_already_refunded"


def test_a_pending_refund_counts_and_a_failed_one_gives_the_money_back(twin: StripeTwin, world: World) -> None:
    world.charge(
        world.customer("a@example.com"),
        2900,
        id="ch_p",
        next_refunds=[{"status": "pending", "pending_reason": "insufficient_funds"}],
    )
    made = call(twin, "POST", "/v1/refunds", {"charge": "ch_p"}).json()

    assert (made["status"], made["pending_reason"]) == ("pending", "insufficient_funds")
    assert error(call(twin, "POST", "/v1/refunds", {"charge": "ch_p"}), 400)["code"] == "charge_already_refunded"
    twin.settle_refund(made["id"], "failed", failure_reason="lost_or_stolen_card")
    found = call(twin, "GET", "/v1/charges/ch_p").json()
    assert (found["amount_refunded"], found["refunded"]) == (0, False)


@pytest.mark.parametrize(
    ("status", "code"),
    [("needs_response", "charge_disputed"), ("lost", "charge_disputed"), ("warning_needs_response", None)],
)
def test_a_dispute_blocks_a_refund_and_an_inquiry_does_not(
    twin: StripeTwin, world: World, charge: Any, status: str, code: str | None
) -> None:
    world.dispute(charge, status)

    answer = call(twin, "POST", "/v1/refunds", {"charge": "ch_one"})

    assert answer.json().get("error", {}).get("code") == code
    assert len(twin.refunds()) == (0 if code else 1)


def test_an_uncaptured_or_failed_charge_is_not_refundable(twin: StripeTwin, world: World, charge: Any) -> None:
    world.charge("cus_ann", 100, id="ch_held", captured=False)
    world.charge("cus_ann", 100, id="ch_failed", decline="insufficient_funds")

    for name in ("ch_held", "ch_failed"):
        assert error(call(twin, "POST", "/v1/refunds", {"charge": name}), 400)["code"] == "charge_not_refundable"
    assert error(call(twin, "POST", "/v1/refunds", {"charge": "ch_none"}), 400)["code"] == "resource_missing"
    assert error(call(twin, "POST", "/v1/refunds", {}), 400)["code"] == "parameter_missing"


def test_a_yen_charge_is_refunded_in_whole_yen(twin: StripeTwin, world: World) -> None:
    world.charge(world.customer("a@example.com"), 500, "jpy", id="ch_yen")

    said = error(call(twin, "POST", "/v1/refunds", {"charge": "ch_yen", "amount": "50000"}), 400)
    made = call(twin, "POST", "/v1/refunds", {"charge": "ch_yen", "amount": "500"}).json()

    assert "(50000 jpy)" in said["message"]
    assert (made["amount"], made["currency"]) == (500, "jpy")
    assert twin.writes()[-1].effect == "refund 500 jpy on ch_yen"


@pytest.mark.parametrize(
    "metadata",
    [{f"metadata[k{number}]": "v" for number in range(51)}, {f"metadata[{'k' * 41}]": "v"}, {"metadata[k]": "v" * 501}],
)
def test_too_much_metadata_is_refused_before_any_effect(twin: StripeTwin, charge: Any, metadata: Any) -> None:
    assert call(twin, "POST", "/v1/refunds", {"charge": "ch_one", **metadata}).status_code == 400
    assert twin.writes() == []


# -- subscriptions ---------------------------------------------------------------------------------------------------
def test_stopping_the_renewal_and_taking_it_back(twin: StripeTwin, subscription: Any) -> None:
    end = subscription["items"]["data"][0]["current_period_end"]
    stopped = call(twin, "POST", "/v1/subscriptions/sub_one", {"cancel_at_period_end": "true"}).json()
    wrong = call(twin, "POST", "/v1/subscriptions/sub_one", {"cancel_at": ""}).json()
    kept = call(twin, "POST", "/v1/subscriptions/sub_one", {"cancel_at_period_end": "false"}).json()

    assert (stopped["cancel_at_period_end"], stopped["cancel_at"], stopped["status"]) == (True, end, "active")
    assert wrong["cancel_at"] == end
    assert (kept["cancel_at_period_end"], kept["cancel_at"], kept["canceled_at"]) == (False, None, None)


def test_a_refused_update_changes_nothing(twin: StripeTwin, subscription: Any) -> None:
    wrong = {"cancel_at_period_end": "true", "items[0][id]": "si_gone", "items[0][quantity]": "2"}

    said = error(call(twin, "POST", "/v1/subscriptions/sub_one", wrong), 400)

    assert (said["code"], said["param"]) == ("resource_missing", "items[0][id]")
    assert subscription["cancel_at"] is None
    assert twin.writes() == []


def test_a_portal_cancellation_sets_only_cancel_at_and_only_that_clears_it(
    twin: StripeTwin, world: World, subscription: Any
) -> None:
    subscription["cancel_at"] = int(NOW.timestamp()) + DAY

    wrong = call(twin, "POST", "/v1/subscriptions/sub_one", {"cancel_at_period_end": "false"}).json()
    right = call(twin, "POST", "/v1/subscriptions/sub_one", {"cancel_at": ""}).json()

    assert (wrong["cancel_at"] is not None, right["cancel_at"]) == (True, None)


def test_canceled_is_the_end(twin: StripeTwin, subscription: Any) -> None:
    assert call(twin, "DELETE", "/v1/subscriptions/sub_one").json()["status"] == "canceled"

    assert error(call(twin, "DELETE", "/v1/subscriptions/sub_one"), 404)["code"] == "resource_missing"
    said = error(call(twin, "POST", "/v1/subscriptions/sub_one", {"cancel_at_period_end": "false"}), 400)["message"]
    assert "canceled subscription can only update" in said
    assert call(twin, "POST", "/v1/subscriptions/sub_one", {"metadata[a]": "b"}).json()["metadata"] == {"a": "b"}


def test_canceling_leaves_open_invoices_open_and_payable(twin: StripeTwin, world: World, subscription: Any) -> None:
    world.invoice("cus_ann", 900, id="in_open", subscription=subscription)
    call(twin, "DELETE", "/v1/subscriptions/sub_one")

    found = call(twin, "GET", "/v1/invoices/in_open").json()
    assert (found["status"], found["auto_advance"]) == ("open", False)
    assert call(twin, "POST", "/v1/invoices/in_open/pay").json()["status"] == "paid"


def test_a_schedule_must_be_released_before_a_cancellation(twin: StripeTwin, world: World, subscription: Any) -> None:
    world.schedule(subscription, id="sub_sched_one")
    said = error(call(twin, "POST", "/v1/subscriptions/sub_one", {"cancel_at_period_end": "true"}), 400)["message"]
    call(twin, "POST", "/v1/subscription_schedules/sub_sched_one/release")

    assert "managed by the subscription schedule" in said
    assert "update the schedule instead" in said
    assert call(twin, "POST", "/v1/subscriptions/sub_one", {"cancel_at_period_end": "true"}).status_code == 200
    assert call(twin, "POST", "/v1/subscription_schedules/sub_sched_one/release").status_code == 400


def test_fewer_seats_leave_a_credit_waiting_and_none_leaves_nothing(twin: StripeTwin, world: World) -> None:
    customer = world.customer("ann@example.com", id="cus_team")
    price = world.price(world.product("Team"), 1000)
    start = int(NOW.timestamp())
    world.subscription(customer, price, 5, created=start, id="sub_team", item_id="si_team")
    half = start + (world.object("sub_team")["items"]["data"][0]["current_period_end"] - start) // 2
    change = {"items[0][id]": "si_team", "items[0][quantity]": "3", "proration_date": str(half)}

    call(twin, "POST", "/v1/subscriptions/sub_team", {**change, "proration_behavior": "none"})
    assert ids(call(twin, "GET", "/v1/invoiceitems", {"pending": "true"})) == []
    call(twin, "POST", "/v1/subscriptions/sub_team", {**change, "items[0][quantity]": "1"})
    waiting = call(twin, "GET", "/v1/invoiceitems", {"customer": "cus_team", "pending": "true"}).json()["data"]

    assert sum(one["amount"] for one in waiting) == -1000
    preview = call(twin, "POST", "/v1/invoices/create_preview", {"subscription": "sub_team"}).json()
    assert (preview["total"], len(twin.writes())) == (0, 2)


def test_pausing_needs_flexible_billing_and_resuming_needs_a_pause(twin: StripeTwin, subscription: Any) -> None:
    assert call(twin, "POST", "/v1/subscriptions/sub_one/resume").status_code == 400
    paused = call(twin, "POST", "/v1/subscriptions/sub_one/pause").json()
    resumed = call(twin, "POST", "/v1/subscriptions/sub_one/resume", {"billing_cycle_anchor[type]": "unchanged"}).json()
    subscription["billing_mode"]["type"] = "classic"

    assert paused["status_details"]["paused"]["subscription"]["type"] == "pause_requested"
    assert (paused["status"], resumed["status"]) == ("paused", "active")
    assert call(twin, "POST", "/v1/subscriptions/sub_one/pause").status_code == 400


# -- invoices --------------------------------------------------------------------------------------------------------
def test_paying_a_past_due_invoice_with_a_good_card_revives_the_subscription(twin: StripeTwin, world: World) -> None:
    customer = world.customer("ann@example.com", id="cus_ann")
    bad = world.payment_method(
        customer, id="pm_bad", decline="insufficient_funds", advice="try_again_later", default=True
    )
    price = world.price(world.product("Pro"), 2900)
    made = world.subscription(
        customer,
        price,
        created=int(NOW.timestamp()) - 40 * DAY,
        status="past_due",
        payment_method=bad,
        decline="insufficient_funds",
    )
    path = f"/v1/invoices/{made['latest_invoice']}"

    said = error(call(twin, "POST", f"{path}/pay"), 402)
    world.payment_method(customer, id="pm_good")
    paid = call(twin, "POST", f"{path}/pay", {"payment_method": "pm_good", "expand[]": "payments"}).json()

    assert (said["code"], said["decline_code"], said["advice_code"]) == (
        "card_declined",
        "insufficient_funds",
        "try_again_later",
    )
    assert (paid["status"], paid["attempt_count"], paid["amount_remaining"]) == ("paid", 3, 0)
    assert [link["status"] for link in paid["payments"]["data"]] == ["paid"]
    assert call(twin, "GET", f"/v1/subscriptions/{made['id']}").json()["status"] == "active"
    assert error(call(twin, "POST", f"{path}/pay"), 400)["code"] == "invoice_already_paid"


def test_an_expired_card_and_a_card_that_wants_the_customer_are_refused(twin: StripeTwin, world: World) -> None:
    customer = world.customer("ann@example.com", id="cus_ann")
    world.payment_method(customer, id="pm_old", exp_year=2026, exp_month=10)
    world.payment_method(customer, id="pm_3ds", requires_action=True)
    world.invoice(customer, 900, id="in_one")

    old = error(call(twin, "POST", "/v1/invoices/in_one/pay", {"payment_method": "pm_old"}), 402)
    asks = error(call(twin, "POST", "/v1/invoices/in_one/pay", {"payment_method": "pm_3ds"}), 402)

    assert (old["code"], asks["code"]) == ("expired_card", "invoice_payment_intent_requires_action")
    assert call(twin, "POST", "/v1/invoices/in_one/pay").status_code == 400


@pytest.mark.parametrize(
    ("status", "deed", "after"),
    [
        ("open", "void", "void"),
        ("uncollectible", "void", "void"),
        ("paid", "void", None),
        ("draft", "void", None),
        ("open", "mark_uncollectible", "uncollectible"),
        ("paid", "mark_uncollectible", None),
        ("void", "mark_uncollectible", None),
        ("void", "pay", None),
        ("draft", "pay", None),
    ],
)
def test_an_invoice_moves_only_along_its_states(
    twin: StripeTwin, world: World, status: str, deed: str, after: str | None
) -> None:
    world.invoice(world.customer("ann@example.com"), 900, id="in_one", status=status)

    answer = call(twin, "POST", f"/v1/invoices/in_one/{deed}")

    assert answer.status_code == (200 if after else 400)
    assert call(twin, "GET", "/v1/invoices/in_one").json()["status"] == (after or status)


def test_writing_off_the_latest_invoice_revives_the_subscription(twin: StripeTwin, world: World) -> None:
    price = world.price(world.product("Pro"), 2900)
    made = world.subscription(world.customer("a@example.com"), price, status="past_due", paid_periods=1, id="sub_due")
    call(twin, "POST", f"/v1/invoices/{made['latest_invoice']}/mark_uncollectible")

    assert call(twin, "GET", "/v1/subscriptions/sub_due").json()["status"] == "active"


def test_a_credit_note_must_add_up_and_refunds_the_charge(twin: StripeTwin, world: World) -> None:
    world.invoice(world.customer("ann@example.com", id="cus_ann"), 900, status="paid", id="in_paid")

    uneven = call(twin, "POST", "/v1/credit_notes", {"invoice": "in_paid", "amount": "300", "refund_amount": "200"})
    call(twin, "POST", "/v1/credit_notes", {"invoice": "in_paid", "amount": "300", "refund_amount": "300"})
    too_much = call(twin, "POST", "/v1/credit_notes", {"invoice": "in_paid", "amount": "700", "refund_amount": "700"})

    assert "must equal the post payment amount" in error(uneven, 400)["message"]
    assert [made["amount"] for made in twin.refunds()] == [300]
    assert too_much.status_code == 400


# -- portal and checkout ---------------------------------------------------------------------------------------------
def test_a_portal_session_needs_a_configuration_and_its_feature(twin: StripeTwin, world: World) -> None:
    world.customer("ann@example.com", id="cus_ann")
    without = error(call(twin, "POST", "/v1/billing_portal/sessions", {"customer": "cus_ann"}), 400)["message"]
    world.portal_configuration(cancel=False)
    flow = {
        "customer": "cus_ann",
        "flow_data[type]": "subscription_cancel",
        "flow_data[subscription_cancel][subscription]": "sub_x",
    }

    assert "No configuration provided and your test mode default configuration has not been created" in without
    assert call(twin, "POST", "/v1/billing_portal/sessions", {"customer": "cus_ann"}).json()["url"]
    assert "disabled" in error(call(twin, "POST", "/v1/billing_portal/sessions", flow), 400)["message"]


def test_only_an_open_checkout_session_expires(twin: StripeTwin, world: World) -> None:
    world.checkout_session(email="ann@example.com", id="cs_test_one0000000")

    assert call(twin, "POST", "/v1/checkout/sessions/cs_test_one0000000/expire").json()["status"] == "expired"
    assert call(twin, "POST", "/v1/checkout/sessions/cs_test_one0000000/expire").status_code == 400
    assert ids(call(twin, "GET", "/v1/checkout/sessions", {"customer_details[email]": "ann@example.com"})) == [
        "cs_test_one0000000"
    ]
