"""Does the Stripe twin check keys and parameters, page, expand, search and remember as Stripe does?"""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
import requests

from integrations.twins.stripe_twin import StripeTwin, World
from testkit.stripe_calls import call, error, ids


# -- keys and versions -----------------------------------------------------------------------------------------------
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
    answer = call(twin, "GET", "/v1/customers", version="2020-08-27")

    assert "Invalid Stripe API version" in error(answer, 400)["message"]


def test_an_unknown_route_is_404_and_an_unplayed_parameter_is_loud(twin: StripeTwin, subscription: Any) -> None:
    assert "Unrecognized request URL" in error(call(twin, "GET", "/v1/nothing"), 404)["message"]
    answer = call(twin, "POST", "/v1/subscriptions/sub_one", {"trial_end": "now"})
    assert error(answer, 501)["code"] == "not_modelled"


# -- parameters, lists, expansion ------------------------------------------------------------------------------------
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


# -- idempotency -----------------------------------------------------------------------------------------------------
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
