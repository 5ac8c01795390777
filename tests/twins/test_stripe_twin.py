"""Does the Stripe twin refuse, remember and count as Stripe does?"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from integrations.twins.stripe_twin import DEFAULT_KEY, StripeTwin, World

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = 86_400


@pytest.fixture
def twin() -> Iterator[StripeTwin]:
    with StripeTwin(clock=lambda: NOW) as running:
        yield running
        assert running.crashes == []


@pytest.fixture
def world(twin: StripeTwin) -> World:
    return World(twin)


@pytest.fixture
def charge(world: World) -> dict[str, Any]:
    return world.charge(world.customer("ann@example.com", id="cus_ann"), 2900, id="ch_one")


@pytest.fixture
def subscription(world: World) -> dict[str, Any]:
    customer = world.customer("ann@example.com", id="cus_ann")
    price = world.price(world.product("Pro"), 2900, id="price_pro")
    return world.subscription(customer, price, created=int(NOW.timestamp()) - 40 * DAY, id="sub_one", item_id="si_one")


def call(
    twin: StripeTwin,
    method: str,
    path: str,
    params: dict[str, Any] | None = None,
    *,
    key: str = DEFAULT_KEY,
    idempotency: str | None = None,
    **headers: str,
) -> requests.Response:
    sent = {"Authorization": f"Bearer {key}", **headers}
    if idempotency is not None:
        sent["Idempotency-Key"] = idempotency
    where = {"data": params} if method == "POST" else {"params": params}
    return requests.request(method, twin.url + path, headers=sent, timeout=5, **where)


def error(answer: requests.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Request-Id"].startswith("req_")
    found: dict[str, Any] = answer.json()["error"]
    return found


def ids(answer: requests.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [made["id"] for made in answer.json()["data"]]


# -- keys and versions --------------------------------------------------------------------------------------------
def test_without_a_key_everything_is_refused_with_401(twin: StripeTwin) -> None:
    assert requests.get(twin.url + "/v1/customers", timeout=5).status_code == 401
    assert "Invalid API Key" in error(call(twin, "GET", "/v1/customers", key="sk_test_wrong"), 401)["message"]


def test_a_restricted_key_hears_which_permission_is_missing(twin: StripeTwin, charge: dict[str, Any]) -> None:
    key = twin.add_key("rk_test_reader0000000001", ["rak_charge_read"])

    assert call(twin, "GET", "/v1/charges/ch_one", key=key).status_code == 200
    said = error(call(twin, "POST", "/v1/refunds", {"charge": "ch_one"}, key=key), 403)["message"]

    assert "Having the 'rak_refund_write' permission would allow" in said
    assert key not in said
    assert twin.refunds() == []


def test_write_permission_includes_read(twin: StripeTwin, charge: dict[str, Any]) -> None:
    key = twin.add_key("rk_test_writer0000000001", ["rak_charge_write"])

    assert call(twin, "GET", "/v1/charges", key=key).status_code == 200
    assert call(twin, "POST", "/v1/refunds", {"charge": "ch_one"}, key=key).status_code == 200


def test_an_object_of_the_other_mode_is_named_as_such(twin: StripeTwin) -> None:
    World(twin, live=True).customer("ann@example.com", id="cus_live")

    said = error(call(twin, "GET", "/v1/customers/cus_live"), 404)

    assert said["code"] == "resource_missing"
    assert "exists in live mode, but a test mode key was used" in said["message"]
    assert ids(call(twin, "GET", "/v1/customers")) == []


def test_another_api_version_is_refused(twin: StripeTwin) -> None:
    answer = call(twin, "GET", "/v1/customers", **{"Stripe-Version": "2020-08-27"})

    assert "Invalid Stripe API version" in error(answer, 400)["message"]


def test_an_unknown_route_is_404_and_an_unplayed_parameter_is_loud(twin: StripeTwin, subscription: Any) -> None:
    assert "Unrecognized request URL" in error(call(twin, "GET", "/v1/nothing"), 404)["message"]
    answer = call(twin, "POST", "/v1/subscriptions/sub_one", {"trial_end": "now"})
    assert error(answer, 501)["code"] == "not_modelled"


# -- parameters, lists, expansion -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "params", "code", "param"),
    [
        ("/v1/customers", {"mail": "x"}, "parameter_unknown", "mail"),
        ("/v1/customers", {"limit": "ten"}, "parameter_invalid_integer", "limit"),
        ("/v1/customers", {"limit": "101"}, "parameter_invalid_integer", "limit"),
        ("/v1/customers", {"limit": "0"}, "parameter_invalid_integer", "limit"),
        ("/v1/customers", {"email": ""}, "parameter_invalid_empty", "email"),
        ("/v1/subscriptions", {"status": "dead"}, None, "status"),
        ("/v1/customers/search", {}, "parameter_missing", "query"),
        ("/v1/customers", {"expand[]": "data.nonsense"}, "property_cannot_be_expanded", "expand"),
        ("/v1/subscriptions", {"expand[]": "data.items.data.price.product"}, "property_expansion_max_depth", "expand"),
        ("/v1/subscriptions", {"expand[]": "customer"}, "property_cannot_be_expanded", "expand"),
        ("/v1/customers", {"starting_after": "cus_gone"}, "resource_missing", "starting_after"),
    ],
)
def test_a_wrong_parameter_is_refused(
    twin: StripeTwin, path: str, params: dict[str, str], code: str | None, param: str
) -> None:
    said = error(call(twin, "GET", path, params), 400)

    assert (said.get("code"), said["param"]) == (code, param)


def test_the_email_filter_minds_case_and_search_does_not(twin: StripeTwin, world: World) -> None:
    world.customer("Ann@Example.com", id="cus_ann")

    assert ids(call(twin, "GET", "/v1/customers", {"email": "ann@example.com"})) == []
    assert ids(call(twin, "GET", "/v1/customers", {"email": "Ann@Example.com"})) == ["cus_ann"]
    assert ids(call(twin, "GET", "/v1/customers/search", {"query": 'email:"ann@example.com"'})) == ["cus_ann"]


def test_search_lags_behind_by_the_clock_of_the_twin(twin: StripeTwin, world: World, subscription: Any) -> None:
    twin.search_lag = 60
    world.customer("new@example.com", id="cus_new")
    call(twin, "POST", "/v1/subscriptions/sub_one", {"metadata[github]": "ann"})
    query = {"query": "metadata['github']:'ann'"}

    assert ids(call(twin, "GET", "/v1/customers/search", {"query": "email:'new@example.com'"})) == []
    assert ids(call(twin, "GET", "/v1/subscriptions/search", query)) == []
    twin.advance(timedelta(seconds=60))
    assert ids(call(twin, "GET", "/v1/customers/search", {"query": "email:'new@example.com'"})) == ["cus_new"]
    assert ids(call(twin, "GET", "/v1/subscriptions/search", query)) == ["sub_one"]


@pytest.mark.parametrize("query", ["email", 'colour:"red"', 'email:"a" AND name:"b" OR name:"c"', "metadata:'x'", ""])
def test_a_query_that_stripe_would_not_parse_is_refused(twin: StripeTwin, query: str) -> None:
    assert call(twin, "GET", "/v1/customers/search", {"query": query}).status_code == 400


def test_lists_come_newest_first_and_page_on(twin: StripeTwin, world: World) -> None:
    for number in range(5):
        world.customer("ann@example.com", id=f"cus_{number}", created=1000 + number)

    first = call(twin, "GET", "/v1/customers", {"limit": "2"})
    last = call(twin, "GET", "/v1/customers", {"limit": "3", "starting_after": "cus_3"})

    assert (ids(first), first.json()["has_more"]) == (["cus_4", "cus_3"], True)
    assert (ids(last), last.json()["has_more"]) == (["cus_2", "cus_1", "cus_0"], False)
    assert ids(call(twin, "GET", "/v1/customers", {"ending_before": "cus_2", "limit": "1"})) == ["cus_3"]
    assert ids(call(twin, "GET", "/v1/customers", {"created[gte]": "1003"})) == ["cus_4", "cus_3"]


def test_canceled_subscriptions_hide_unless_asked_for(twin: StripeTwin, world: World, subscription: Any) -> None:
    world.subscription("cus_ann", "price_pro", id="sub_gone", status="canceled", paid_periods=1)

    assert ids(call(twin, "GET", "/v1/subscriptions", {"customer": "cus_ann"})) == ["sub_one"]
    assert set(ids(call(twin, "GET", "/v1/subscriptions", {"status": "all"}))) == {"sub_one", "sub_gone"}
    assert ids(call(twin, "GET", "/v1/subscriptions", {"status": "ended"})) == ["sub_gone"]


@pytest.mark.parametrize("name", ["expand[]", "expand[0]"])
def test_both_spellings_of_expand_fill_the_field(twin: StripeTwin, subscription: Any, name: str) -> None:
    found = call(twin, "GET", "/v1/subscriptions/sub_one", {name: "items.data.price.product"}).json()

    assert found["items"]["data"][0]["price"]["product"]["name"] == "Pro"
    assert found["customer"] == "cus_ann"


def test_refunds_and_payments_are_only_sent_when_expanded(twin: StripeTwin, world: World, charge: Any) -> None:
    world.refund(charge, 100)

    assert "refunds" not in call(twin, "GET", "/v1/charges/ch_one").json()
    found = call(twin, "GET", "/v1/charges", {"expand[]": "data.refunds"}).json()["data"][0]
    assert [made["amount"] for made in found["refunds"]["data"]] == [100]


def test_a_deleted_customer_is_three_fields_and_unlisted(twin: StripeTwin, world: World) -> None:
    world.customer("ann@example.com", id="cus_gone", deleted=True)

    assert call(twin, "GET", "/v1/customers/cus_gone").json() == {
        "id": "cus_gone",
        "object": "customer",
        "deleted": True,
    }
    assert ids(call(twin, "GET", "/v1/customers", {"email": "ann@example.com"})) == []


# -- idempotency ------------------------------------------------------------------------------------------------------
def test_the_same_key_replays_the_answer_without_a_second_effect(twin: StripeTwin, charge: Any) -> None:
    first = call(twin, "POST", "/v1/refunds", {"charge": "ch_one", "amount": "500"}, idempotency="k")
    again = call(twin, "POST", "/v1/refunds", {"charge": "ch_one", "amount": "500"}, idempotency="k")

    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.content == first.content
    assert [made["amount"] for made in twin.refunds()] == [500]


def test_the_same_key_with_other_parameters_is_an_idempotency_error(twin: StripeTwin, charge: Any) -> None:
    call(twin, "POST", "/v1/refunds", {"charge": "ch_one", "amount": "500"}, idempotency="k")

    said = error(call(twin, "POST", "/v1/refunds", {"charge": "ch_one", "amount": "501"}, idempotency="k"), 400)

    assert said["type"] == "idempotency_error"
    assert len(twin.refunds()) == 1


def test_a_key_whose_request_still_runs_is_a_conflict(twin: StripeTwin, charge: Any) -> None:
    twin.faults.add("latency", seconds=0.3, path="/v1/refunds")
    slow = threading.Thread(
        target=call, args=(twin, "POST", "/v1/refunds", {"charge": "ch_one"}), kwargs={"idempotency": "k"}
    )
    slow.start()
    while not twin.idempotency.running:
        threading.Event().wait(0.002)

    said = error(call(twin, "POST", "/v1/refunds", {"charge": "ch_one"}, idempotency="k"), 409)
    slow.join()

    assert said["code"] == "idempotency_key_in_use"
    assert len(twin.refunds()) == 1


def test_a_key_remembers_a_500_and_a_refusal_but_not_a_failed_validation(twin: StripeTwin, charge: Any) -> None:
    twin.break_next("/v1/refunds")
    for _ in range(2):
        assert call(twin, "POST", "/v1/refunds", {"charge": "ch_one"}, idempotency="broken").status_code == 500
    refused = call(twin, "POST", "/v1/refunds", {"charge": "ch_one"}, idempotency="refused")
    replayed = call(twin, "POST", "/v1/refunds", {"charge": "ch_one"}, idempotency="refused")
    call(twin, "POST", "/v1/refunds", {"charge": "ch_one", "amount": "x"}, idempotency="unused")
    afresh = call(twin, "POST", "/v1/refunds", {"charge": "ch_one"}, idempotency="unused")

    assert len(twin.refunds()) == 1
    assert replayed.headers["Idempotent-Replayed"] == "true"
    assert replayed.json() == refused.json()
    assert error(afresh, 400)["code"] == "charge_already_refunded"


def test_a_key_is_forgotten_after_a_day(twin: StripeTwin, charge: Any) -> None:
    call(twin, "POST", "/v1/refunds", {"charge": "ch_one", "amount": "500"}, idempotency="k")
    twin.advance(timedelta(hours=24))
    call(twin, "POST", "/v1/refunds", {"charge": "ch_one", "amount": "500"}, idempotency="k")

    assert [made["amount"] for made in twin.refunds()] == [500, 500]


# -- refunds ----------------------------------------------------------------------------------------------------------
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


# -- subscriptions ------------------------------------------------------------------------------------------------------
def test_stopping_the_renewal_and_taking_it_back(twin: StripeTwin, subscription: Any) -> None:
    end = subscription["items"]["data"][0]["current_period_end"]
    stopped = call(twin, "POST", "/v1/subscriptions/sub_one", {"cancel_at_period_end": "true"}).json()
    wrong = call(twin, "POST", "/v1/subscriptions/sub_one", {"cancel_at": ""}).json()
    kept = call(twin, "POST", "/v1/subscriptions/sub_one", {"cancel_at_period_end": "false"}).json()

    assert (stopped["cancel_at_period_end"], stopped["cancel_at"], stopped["status"]) == (True, end, "active")
    assert wrong["cancel_at"] == end
    assert (kept["cancel_at_period_end"], kept["cancel_at"], kept["canceled_at"]) == (False, None, None)


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


# -- invoices -------------------------------------------------------------------------------------------------------------
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


# -- portal and checkout ----------------------------------------------------------------------------------------------
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


# -- seeds, ledger, webhooks --------------------------------------------------------------------------------------------
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
    import stripe
    from integrations.twins.server import Request, Response, Twin

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
