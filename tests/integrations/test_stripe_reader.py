"""Does the reader find the right customers, read their whole state in bounded time, and say what it could not read?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.evidence import Identifier, IdentifierKind, Requester, TicketEvidence
from billing.plan import Plan, PlannedStep
from billing.snapshot import BillingSnapshot, Why
from billing.steps import (
    SendCheckoutLink,
    SendInvoiceCopy,
    SendInvoiceLink,
    SendPortalLogin,
)
from integrations.errors import Failed, Forbidden, OutsideError, Unauthorized
from integrations.http import CappedSession
from integrations.stripe_reader import StripeReader
from integrations.twins.stripe_twin import DEFAULT_KEY, StripeTwin, World

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = 86_400
ANN = "ann@example.com"
PERMISSIONS = [
    "rak_customer_read", "rak_subscription_read", "rak_invoice_read", "rak_charge_read", "rak_payment_method_read",
    "rak_payment_intent_read", "rak_checkout_session_read", "rak_product_read", "rak_dispute_read", "rak_radar_read",
    "rak_credit_note_read", "rak_portal_read", "rak_billing_portal_read", "rak_customer_portal_read",
]  # fmt: skip


@pytest.fixture
def twin() -> Iterator[StripeTwin]:
    with StripeTwin(clock=lambda: NOW) as running:
        yield running
        assert running.crashes == []


@pytest.fixture
def world(twin: StripeTwin) -> World:
    return World(twin)


def reader(twin: StripeTwin, *, key: str = DEFAULT_KEY, seconds: float = 5.0) -> StripeReader:
    return StripeReader(key, twin.url, session=CappedSession(total_seconds=seconds))


def ticket(*ids: str, email: str | None = ANN, operator: bool = False, **other: IdentifierKind) -> TicketEvidence:
    named = [Identifier(kind=IdentifierKind.STRIPE_ID, value=one, quote=one) for one in ids]
    named += [Identifier(kind=kind, value=value, quote=value) for value, kind in other.items()]
    return TicketEvidence(requester=Requester(email=email, named_by_operator=operator), identifiers=tuple(named))


def read(twin: StripeTwin, evidence: TicketEvidence | None = None, **kwargs: Any) -> BillingSnapshot:
    return reader(twin).snapshot(evidence or ticket(), now=NOW, **kwargs)


def missing(snapshot: BillingSnapshot) -> dict[str, Why]:
    return {one.part: one.why for one in snapshot.missing}


def subscriber(world: World, email: str = ANN, **fields: Any) -> dict[str, Any]:
    """A monthly subscriber since 40 days: two paid invoices."""
    product = world.product("Pro", id=fields.pop("product", "prod_pro"))
    price = world.price(product, 2900)
    customer = world.customer(email, "Ann", id=fields.pop("id", "cus_ann"))
    world.subscription(customer, price, created=world.now - 40 * DAY, **fields)
    return customer


# --- who ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [ANN, "Ann@Example.com", "ANN@EXAMPLE.COM"])
@pytest.mark.parametrize("asked", [ANN, "Ann@Example.com", "aNN@example.com"])
def test_a_customer_is_found_whatever_the_letter_case_of_either_address(
    twin: StripeTwin, world: World, stored: str, asked: str
) -> None:
    subscriber(world, stored)
    snapshot = read(twin, ticket(email=asked))
    assert [customer.id for customer in snapshot.customers] == ["cus_ann"]
    assert snapshot.missing == ()


def test_every_customer_of_the_address_is_read_and_the_sixth_is_noted(twin: StripeTwin, world: World) -> None:
    for number in range(6):
        world.customer(ANN, id=f"cus_{number}", created=world.now - number)
    snapshot = read(twin)
    assert [customer.id for customer in snapshot.customers] == [f"cus_{number}" for number in range(5)]
    assert missing(snapshot) == {"customers": Why.CUT_OFF}


def test_the_search_index_is_asked_only_when_both_spellings_find_nobody(twin: StripeTwin, world: World) -> None:
    subscriber(world)
    read(twin, ticket(email="Ann@example.com"))
    assert not any("search" in entry.target for entry in twin.wire)
    read(twin, ticket(email="nobody@example.com"))
    assert sum("search" in entry.target for entry in twin.wire) == 1


def test_a_look_alike_address_finds_nobody(twin: StripeTwin, world: World) -> None:
    subscriber(world, "kim@example.com")
    assert read(twin, ticket(email="\u212aim@example.com")).customers == ()  # the Kelvin sign lowers to k


def test_a_stand_in_that_ignores_filters_shows_nothing_of_others(twin: StripeTwin, world: World) -> None:
    subscriber(world)
    subscriber(world, "eve@example.com", id="cus_eve", product="prod_eve")
    every = {name: [dict(one) for one in twin.store.of_kind(name)] for name in ("customer", "subscription", "charge")}
    for path, kind in (("customers", "customer"), ("subscriptions", "subscription"), ("charges", "charge")):
        twin.faults.add("status", path=f"/v1/{path}", times=None, status=200, body={"data": every[kind]})
    snapshot = read(twin)
    assert [customer.id for customer in snapshot.customers] == ["cus_ann"]
    assert {s.customer for s in snapshot.subscriptions} == {"cus_ann"}
    assert {c.customer for c in snapshot.charges} == {"cus_ann"}


def named_objects(world: World) -> dict[str, str]:
    """One id of each kind for cus_ann."""
    twin = world.twin
    charge = world.charge("cus_ann", 500, id="ch_one")
    world.refund(charge, 100, id="re_one")
    world.dispute(world.charge("cus_ann", 600, id="ch_two"), id="dp_one")
    world.checkout_session("cus_ann", id="cs_test_one")
    world.payment_method("cus_ann", id="pm_one")
    return {
        "cus": "cus_ann", "sub": twin.store.of_kind("subscription")[0]["id"],
        "in": twin.store.of_kind("invoice")[0]["id"], "ch": "ch_one", "pi": charge["payment_intent"],
        "re": "re_one", "cs_test": "cs_test_one", "dp": "dp_one", "pm": "pm_one",
    }  # fmt: skip


@pytest.mark.parametrize("prefix", ["cus", "sub", "in", "ch", "pi", "re", "cs_test", "dp", "pm"])
def test_an_id_in_the_text_leads_to_its_customer_and_shows_nothing_of_a_foreign_one(
    twin: StripeTwin, world: World, prefix: str
) -> None:
    subscriber(world)
    identifier = named_objects(world)[prefix]
    mine = read(twin, ticket(identifier)).hints
    assert [(h.object, h.found, h.customer, h.same_email) for h in mine] == [(identifier, True, "cus_ann", True)]
    foreign = read(twin, ticket(identifier, email="bob@example.com"))
    assert [(h.found, h.customer, h.same_email) for h in foreign.hints] == [(True, "cus_ann", False)]
    assert (foreign.customers, foreign.subscriptions, foreign.charges, foreign.invoices) == ((), (), (), ())
    assert (foreign.checkout_sessions, foreign.payment_methods) == ((), ())
    assert not any("customer=cus_ann" in entry.target for entry in twin.wire[-20:] if entry.number > len(twin.wire) - 5)


def test_an_id_that_is_not_there_and_one_of_the_other_mode_are_told_apart(twin: StripeTwin, world: World) -> None:
    World(twin, live=True).customer(ANN, id="cus_live")
    hints = {hint.object: hint for hint in read(twin, ticket("cus_live", "ch_none")).hints}
    assert (hints["cus_live"].found, hints["cus_live"].wrong_mode) == (False, True)
    assert (hints["ch_none"].found, hints["ch_none"].wrong_mode) == (False, False)


def test_a_deleted_customer_is_a_hint_and_its_state_is_not_asked_for(twin: StripeTwin, world: World) -> None:
    subscriber(world)["deleted"] = True
    snapshot = read(twin, ticket("cus_ann"))
    assert [(hint.found, hint.deleted, hint.same_email) for hint in snapshot.hints] == [(True, True, False)]
    assert snapshot.customers == ()
    named = read(twin, ticket(email=None, operator=True), lookup="cus_ann")
    assert [customer.deleted for customer in named.customers] == [True]
    assert named.missing == ()


def test_at_most_five_ids_of_a_text_are_followed_and_odd_ones_never_leave(twin: StripeTwin) -> None:
    wild = ["ch_1%2F..", "cus_a/../../v1/charges", "ch_x?expand=y", *(f"ch_none{n}" for n in range(9))]
    read(twin, ticket(*wild))
    asked = [entry.target for entry in twin.wire if entry.target.startswith("/v1/charges/")]
    assert len(asked) == 5
    assert all(target.partition("?")[0].removeprefix("/v1/charges/ch_none").isdecimal() for target in asked)


def test_an_operator_may_name_an_id_an_address_a_login_or_an_invoice_number(twin: StripeTwin, world: World) -> None:
    subscriber(world)["metadata"] = {"github": "OctoCat"}
    number = str(twin.store.of_kind("invoice")[0]["number"])
    for lookup in ("cus_ann", "Ann@example.com", "@octocat", "octocat", number):
        snapshot = read(twin, ticket(email=None, operator=True), lookup=lookup)
        assert [customer.id for customer in snapshot.customers] == ["cus_ann"], lookup
        assert [(hint.object, hint.customer) for hint in snapshot.hints] == [(lookup, "cus_ann")]
        assert len(snapshot.subscriptions) == 1
    nobody = read(twin, ticket(email=None, operator=True), lookup='x" OR email:"ann@example.com')
    assert nobody.customers == ()


def test_an_operator_may_name_an_id_with_an_underscore_in_it(twin: StripeTwin, world: World) -> None:
    world.customer("bo@example.com", "Bo", id="cus_bo_2")
    for lookup, found in (("cus_bo_2", ["cus_bo_2"]), ("cus_bo_3", []), ("xy_bo_2", [])):
        snapshot = read(twin, ticket(email=None, operator=True), lookup=lookup)
        assert [customer.id for customer in snapshot.customers] == found, lookup


def test_a_login_or_number_in_the_text_is_only_a_hint_and_only_when_the_address_finds_nobody(
    twin: StripeTwin, world: World
) -> None:
    subscriber(world)["metadata"] = {"github_login": "octocat"}
    evidence = ticket(email="bob@example.com", octocat=IdentifierKind.GITHUB_LOGIN)
    snapshot = read(twin, evidence)
    assert [(hint.object, hint.customer, hint.same_email) for hint in snapshot.hints] == [("octocat", "cus_ann", False)]
    assert snapshot.customers == ()
    assert read(twin, ticket(octocat=IdentifierKind.GITHUB_LOGIN)).hints == ()


def test_guest_sessions_of_the_address_are_kept_and_those_of_others_are_not(twin: StripeTwin, world: World) -> None:
    world.checkout_session(email=ANN, id="cs_test_guest")
    world.checkout_session(email="eve@example.com", id="cs_test_eve")
    other = world.customer("eve@example.com", id="cus_eve")
    world.checkout_session(other, email=ANN, id="cs_test_foreign")
    assert [session.id for session in read(twin).checkout_sessions] == ["cs_test_guest"]


# --- the state ----------------------------------------------------------------------------------------------------


def test_subscriptions_arrive_with_every_field_that_decides(twin: StripeTwin, world: World) -> None:
    customer = subscriber(world, status="trialing", trial_end=world.now + 5 * DAY)
    made = twin.store.of_kind("subscription")[0]
    coupon = {"id": "SAVE20", "object": "coupon", "percent_off": 20.0, "duration": "forever"}
    made["discounts"] = [{"id": "di_1", "object": "discount", "source": {"type": "coupon", "coupon": coupon}}]
    made |= {
        "pause_collection": {"behavior": "void", "resumes_at": None}, "application_fee_percent": 3.0,
        "trial_settings": {"end_behavior": {"missing_payment_method": "cancel"}}, "metadata": {"org": "acme"},
        "collection_method": "send_invoice", "cancel_at": world.now + 9 * DAY,
    }  # fmt: skip
    made["cancellation_details"]["reason"] = "payment_failed"
    twin.check_responses = False
    world.schedule(made, end_behavior="cancel", id="sub_sched_one")
    (found,) = read(twin).subscriptions
    assert (found.status, found.collection_method, found.currency) == ("trialing", "send_invoice", "usd")
    assert found.trial_end == NOW + timedelta(days=5)
    assert (found.pause_collection, found.trial_missing_card) == ("void", "cancel")
    assert (found.cancellation_reason, found.connected, found.metadata) == ("payment_failed", True, {"org": "acme"})
    assert found.schedule is not None
    assert (found.schedule.id, found.schedule.end_behavior, found.schedule.phases) == ("sub_sched_one", "cancel", 1)
    (discount,) = found.discounts
    assert (discount.coupon, discount.percent_off, discount.duration) == ("SAVE20", 20.0, "forever")
    (item,) = found.items
    assert (item.price.product, item.price.product_name, item.price.unit_amount) == ("prod_pro", "Pro", 2900)
    assert (item.price.interval, item.price.interval_count, item.quantity) == ("month", 1, 1)
    assert found.billing_mode == "flexible"
    assert customer["id"] == found.customer


def test_a_pause_says_of_which_type_it_is(twin: StripeTwin, world: World) -> None:
    subscriber(world)
    made = twin.store.of_kind("subscription")[0]
    made["status"] = "paused"
    made["status_details"] = {"paused": {"type": "subscription", "subscription": {"type": "pause_requested"}}}
    twin.check_responses = False
    (found,) = read(twin).subscriptions
    assert (found.status, found.paused_type, found.live) == ("paused", "pause_requested", True)


def test_charges_are_joined_to_their_invoices_and_one_off_charges_are_not(twin: StripeTwin, world: World) -> None:
    customer = subscriber(world)
    world.charge(customer, 700, id="ch_single", presentment_details={
        "presentment_amount": 650, "presentment_currency": "eur",
    }, application_fee_amount=30, description="top-up")  # fmt: skip
    snapshot = read(twin)
    invoices = {invoice.id: invoice for invoice in snapshot.invoices}
    assert len(invoices) == 2
    billed = {charge.id: charge.invoice for charge in snapshot.charges}
    assert billed.pop("ch_single") is None
    assert set(billed.values()) == set(invoices)
    single = next(charge for charge in snapshot.charges if charge.id == "ch_single")
    assert (single.presentment_amount, single.presentment_currency, single.connected) == (650, "eur", True)
    assert (single.amount, single.refundable, single.description) == (700, 700, "top-up")
    assert (single.method_type, single.brand, single.last4) == ("card", "visa", "4242")
    assert {i.billing_reason for i in invoices.values()} == {"subscription_create", "subscription_cycle"}
    assert {i.subscription for i in invoices.values()} == {snapshot.subscriptions[0].id}
    for invoice in invoices.values():
        assert (invoice.status, invoice.amount_paid) == ("paid", 2900)
        assert invoice.paid_at
        assert invoice.lines[0].price


def test_a_declined_payment_arrives_with_its_reason_intent_and_advice(twin: StripeTwin, world: World) -> None:
    subscriber(world, status="past_due", decline="insufficient_funds", advice="try_again_later")
    snapshot = read(twin)
    failed = next(charge for charge in snapshot.charges if charge.status == "failed")
    assert (failed.failure_code, failed.decline_code) == ("card_declined", "insufficient_funds")
    assert (failed.outcome_type, failed.advice_code) == ("issuer_declined", "try_again_later")
    intent = next(one for one in snapshot.payment_intents if one.status == "requires_payment_method")
    assert (intent.invoice, intent.decline_code) == (failed.invoice, "insufficient_funds")
    opened = next(invoice for invoice in snapshot.invoices if invoice.status == "open")
    assert (opened.id, opened.amount_remaining, opened.attempt_count) == (failed.invoice, 2900, 1)


def test_refunds_disputes_warnings_credit_notes_balance_and_pending_items_are_read(
    twin: StripeTwin, world: World
) -> None:
    customer = subscriber(world)
    first, second = twin.store.of_kind("charge")[:2]
    world.refund(first, 900, status="pending", id="re_part", reason="duplicate")["metadata"] = {"zendesk_ticket": "7"}
    world.dispute(second, id="dp_one", status="warning_needs_response")
    world.early_fraud_warning(second, id="issfr_one")
    subscription = twin.store.of_kind("subscription")[0]
    world.invoiceitem(customer, -400, subscription=subscription, proration=True, id="ii_one", description="Unused")
    invoice = twin.store.of_kind("invoice")[0]
    invoice["post_payment_credit_notes_amount"] = 500
    world.new("credit_note", id="cn_one", invoice=invoice["id"], customer="cus_ann", amount=500, currency="usd",
              status="issued", refunds=[], metadata={})  # fmt: skip
    customer["balance"] = -250
    world.new("customer_balance_transaction", id="cbtxn_one", customer="cus_ann", amount=-250, currency="usd",
              type="adjustment", metadata={})  # fmt: skip
    snapshot = read(twin)
    assert snapshot.missing == ()
    refund = next(charge.refunds[0] for charge in snapshot.charges if charge.id == first["id"])
    assert (refund.id, refund.amount, refund.status, refund.reason) == ("re_part", 900, "pending", "duplicate")
    assert refund.metadata == {"zendesk_ticket": "7"}
    (dispute,) = snapshot.disputes
    assert (dispute.id, dispute.charge, dispute.is_charge_refundable) == ("dp_one", second["id"], True)
    assert dispute.due_by == NOW + timedelta(days=7)
    (warning,) = snapshot.early_fraud_warnings
    assert (warning.id, warning.charge, warning.actionable) == ("issfr_one", second["id"], True)
    assert [(p.id, p.amount, p.proration, p.subscription) for p in snapshot.pending_items] == [
        ("ii_one", -400, True, subscription["id"])
    ]
    assert [(n.id, n.amount) for n in snapshot.credit_notes] == [("cn_one", 500)]
    assert [(b.id, b.amount) for b in snapshot.balance_transactions] == [("cbtxn_one", -250)]
    assert snapshot.customers[0].balance == -250


def test_a_warning_about_somebody_elses_charge_is_not_kept(twin: StripeTwin, world: World) -> None:
    subscriber(world)
    world.early_fraud_warning(world.charge(world.customer("eve@example.com"), 100), id="issfr_eve")
    assert read(twin).early_fraud_warnings == ()


def test_where_the_account_has_many_warnings_the_newest_charges_are_asked_for_singly(
    twin: StripeTwin, world: World
) -> None:
    subscriber(world)
    mine = twin.store.of_kind("charge")[-1]
    world.early_fraud_warning(mine, id="issfr_mine", created=world.now - 10)
    other = world.charge(world.customer("eve@example.com"), 100)
    for _ in range(101):
        world.early_fraud_warning(other)
    assert [warning.id for warning in read(twin).early_fraud_warnings] == ["issfr_mine"]


def test_proration_lines_and_metered_lines_are_marked(twin: StripeTwin, world: World) -> None:
    customer = world.customer(ANN)
    metered = world.price(world.product("API"), 10, usage_type="metered")
    subscription = world.subscription(customer, metered, created=world.now - 3 * DAY)
    line = twin.store.of_kind("invoice")[0]["lines"]["data"][0]
    (invoice,) = read(twin).invoices
    assert [x.metered for x in invoice.lines] == [True]
    line["parent"]["subscription_item_details"]["proration"] = True
    (invoice,) = read(twin).invoices
    assert [x.proration for x in invoice.lines] == [True]
    assert invoice.subscription == subscription["id"]


def test_the_rest_of_a_long_invoices_lines_is_read_for_the_newest_three(twin: StripeTwin, world: World) -> None:
    customer = world.customer(ANN)
    for number in range(4):
        made = world.invoice(customer, 100, created=world.now - number)
        whole = [{**made["lines"]["data"][0], "id": f"il_{number}_{n}"} for n in range(12)]
        made["lines"] = {**made["lines"], "data": whole[:10], "has_more": True}
        path = f"/v1/invoices/{made['id']}/lines"
        twin.faults.add("status", path=path, times=None, status=200, body={"data": whole, "has_more": False})
    snapshot = read(twin)
    assert [len(invoice.lines) for invoice in snapshot.invoices] == [12, 12, 12, 10]
    assert missing(snapshot) == {"invoice_lines": Why.CUT_OFF}


def test_a_long_list_is_paged_and_its_end_is_noted_as_cut_off(twin: StripeTwin, world: World) -> None:
    customer = world.customer(ANN)
    for number in range(130):
        world.charge(customer, 100, created=world.now - 90 * DAY - number)
    snapshot = read(twin)
    assert (len(snapshot.charges), snapshot.missing) == (130, ())
    for number in range(180):
        world.charge(customer, 100, created=world.now - 91 * DAY - number)
    snapshot = read(twin)
    assert (len(snapshot.charges), missing(snapshot)) == (300, {"charges": Why.CUT_OFF})
    times = [charge.created for charge in snapshot.charges]
    assert times == sorted(times, reverse=True)


def test_the_portal_is_read_with_its_features_and_kept_for_fifteen_minutes(twin: StripeTwin, world: World) -> None:
    world.portal_configuration(cancel=False)
    reading = reader(twin)
    portal = reading.snapshot(ticket(), now=NOW).portal
    assert portal is not None
    assert (portal.cancel, portal.update_payment_method, portal.invoice_history) == (False, True, True)
    assert portal.login_page_url == f"https://billing.stripe.test/p/login/{portal.id}"
    for later, asked in ((14, 1), (16, 2)):
        reading.snapshot(ticket(), now=NOW + timedelta(minutes=later))
        assert sum("configurations" in entry.target for entry in twin.wire) == asked


def test_one_customer_costs_eleven_requests_at_first_and_nine_later(twin: StripeTwin, world: World) -> None:
    world.portal_configuration()
    subscriber(world)
    reading = reader(twin)
    reading.snapshot(ticket(), now=NOW)
    assert len(twin.wire) == 11
    reading.snapshot(ticket(), now=NOW)
    # customers and sessions by address; five lists; pending items of a live subscription, warnings on a recent charge
    assert len(twin.wire) - 11 == 9
    assert reading.requests_made == 20
    twin.advance(timedelta(days=70))
    twin.store.of_kind("subscription")[0]["status"] = "canceled"
    reading.snapshot(ticket(), now=twin.now())
    assert len(twin.wire) - 20 == 9  # portal and name anew, and nothing that this state does not ask for


# --- what cannot be read ---------------------------------------------------------------------------------------------

PARTS = {
    "subscriptions": "/v1/subscriptions", "invoices": "/v1/invoices", "charges": "/v1/charges",
    "payment_methods": "/v1/customers/cus_ann/payment_methods", "checkout_sessions": "/v1/checkout/sessions",
    "portal": "/v1/billing_portal/configurations", "disputes": "/v1/disputes",
    "early_fraud_warnings": "/v1/radar/early_fraud_warnings", "pending_items": "/v1/invoiceitems",
    "payment_intents": "/v1/payment_intents", "credit_notes": "/v1/credit_notes",
    "balance_transactions": "/v1/customers/cus_ann/balance_transactions",
}  # fmt: skip


def everything(world: World) -> None:
    """A state that asks for every part."""
    world.portal_configuration()
    customer = subscriber(world, status="past_due")
    paid = next(one for one in world.store.of_kind("charge") if one["status"] == "succeeded")
    world.dispute(paid)
    world.charge(customer, 300)
    customer["balance"] = -100
    world.store.of_kind("invoice")[0]["post_payment_credit_notes_amount"] = 5


@pytest.mark.parametrize(
    ("kind", "why", "more"),
    [
        ("status", Why.UNREADABLE, {"status": 404, "body": {"error": {"message": "Unrecognized request URL"}}}),
        ("status", Why.NOT_PERMITTED, {"status": 403, "body": {"error": {"message": "no rak_dispute_read"}}}),
        ("status", Why.NO_ANSWER, {"status": 500}),
        ("rate_limited", Why.NO_ANSWER, {}),
        ("json_list", Why.NO_ANSWER, {}),
        ("reset_before", Why.NO_ANSWER, {}),
    ],
)
@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_fails_is_missing_with_the_reason_and_the_rest_is_read(
    twin: StripeTwin, world: World, part: str, kind: str, why: Why, more: dict[str, Any]
) -> None:
    everything(world)
    twin.faults.add(kind, path=PARTS[part], times=None, **more)
    snapshot = read(twin)
    lost = missing(snapshot)
    assert lost.pop(part) is why
    assert lost == {}
    assert len(snapshot.customers) == 1
    assert not snapshot.subscriptions if part == "subscriptions" else snapshot.subscriptions


@pytest.mark.parametrize("kind", ["html_200", "bad_json", "empty", "json_null", "truncated", "html_502"])
def test_one_broken_answer_is_asked_for_again(twin: StripeTwin, world: World, kind: str) -> None:
    subscriber(world)
    twin.faults.add(kind, path="/v1/charges")
    twin.faults.add(kind, path="/v1/customers")
    snapshot = read(twin)
    assert (len(snapshot.charges), missing(snapshot)) == (2, {})
    assert len(snapshot.customers) == 1


@pytest.mark.parametrize("kind", ["hang_before", "drip", "drip_header"])
@pytest.mark.parametrize("part", ["charges", "portal", "early_fraud_warnings", "checkout_sessions"])
def test_a_part_that_hangs_costs_bounded_time_and_only_itself(
    twin: StripeTwin, world: World, part: str, kind: str
) -> None:
    everything(world)
    twin.faults.add(kind, path=PARTS[part], times=None)
    began = time.monotonic()
    snapshot = reader(twin, seconds=1.6).snapshot(ticket(), now=NOW)
    assert time.monotonic() - began < 2.2
    assert missing(snapshot) == {part: Why.NO_ANSWER}
    assert len(snapshot.subscriptions) == 1


def test_a_stripe_that_hangs_altogether_raises_in_time(twin: StripeTwin, world: World) -> None:
    subscriber(world)
    twin.faults.add("hang_before", times=None)
    began = time.monotonic()
    with pytest.raises(OutsideError):
        reader(twin, seconds=0.8).snapshot(ticket("cus_ann"), now=NOW)
    assert time.monotonic() - began < 1.4


def test_total_failure_raises_and_says_nothing_of_the_address(twin: StripeTwin) -> None:
    twin.faults.add("html_502", times=None)
    with pytest.raises(Failed) as failed:
        read(twin)
    assert ANN not in str(failed.value)
    assert "ann" not in repr(failed.value.__cause__)
    twin.faults.clear()
    with pytest.raises(Unauthorized):
        reader(twin, key="sk_test_wrong").snapshot(ticket(), now=NOW)


def test_an_id_helps_when_the_list_of_customers_does_not_answer(twin: StripeTwin, world: World) -> None:
    subscriber(world)
    twin.faults.add("status", path=r"/v1/customers", status=500, times=2)
    snapshot = read(twin, ticket("cus_ann"))
    assert [customer.id for customer in snapshot.customers] in (["cus_ann"], [])
    assert missing(snapshot).get("customers", Why.NO_ANSWER) is Why.NO_ANSWER


def test_a_search_that_is_not_offered_means_nobody_and_one_that_breaks_means_unsure(twin: StripeTwin) -> None:
    twin.faults.add("status", path="/v1/customers/search", status=400, body={"error": {"message": "not in India"}})
    assert read(twin).missing == ()
    twin.faults.add("status", path="/v1/customers/search", times=None, status=500)
    assert missing(read(twin)) == {"customers": Why.NO_ANSWER}


@pytest.mark.parametrize(
    ("lacking", "part"),
    [
        ("rak_subscription_read", "subscriptions"), ("rak_charge_read", "charges"), ("rak_dispute_read", "disputes"),
        ("rak_payment_method_read", "payment_methods"), ("rak_radar_read", "early_fraud_warnings"),
        ("rak_credit_note_read", "credit_notes"), ("rak_payment_intent_read", "payment_intents"),
    ],
)  # fmt: skip
def test_a_key_without_one_permission_loses_only_that_part(
    twin: StripeTwin, world: World, lacking: str, part: str
) -> None:
    everything(world)
    key = twin.add_key("rk_test_narrow", [one for one in PERMISSIONS if one != lacking])
    lost = missing(reader(twin, key=key).snapshot(ticket(), now=NOW))
    lost.pop("portal", None)
    lost.pop("checkout_sessions", None)
    assert lost == {part: Why.NOT_PERMITTED}


def test_a_key_that_may_not_read_customers_raises(twin: StripeTwin) -> None:
    key = twin.add_key("rk_test_none", ["rak_charge_read"])
    with pytest.raises(Forbidden):
        reader(twin, key=key).snapshot(ticket(), now=NOW)


def test_a_product_without_a_name_is_called_by_its_id(twin: StripeTwin, world: World) -> None:
    subscriber(world)
    twin.faults.add("status", path="/v1/products", status=404, times=None)
    snapshot = read(twin)
    assert snapshot.subscriptions[0].items[0].price.product_name == "prod_pro"
    assert snapshot.missing == ()


def test_an_expansion_that_is_refused_costs_the_expansion_and_is_noted(twin: StripeTwin, world: World) -> None:
    subscriber(world)
    refused = {"error": {"message": "Having the 'rak_x_read' permission would allow", "type": "invalid_request_error"}}
    twin.faults.add("status", path="/v1/charges", status=403, body=refused)
    snapshot = read(twin)
    assert (len(snapshot.charges), missing(snapshot)) == (2, {"charges": Why.NOT_PERMITTED})


def test_one_object_of_a_wrong_shape_is_left_out_and_noted(twin: StripeTwin, world: World) -> None:
    subscriber(world)
    twin.check_responses = False
    twin.store.of_kind("charge")[0]["amount"] = "29.00"
    snapshot = read(twin)
    assert (len(snapshot.charges), missing(snapshot)) == (1, {"charges": Why.UNREADABLE})


def test_a_page_that_fails_ends_the_list_and_keeps_what_was_read(twin: StripeTwin, world: World) -> None:
    customer = world.customer(ANN)
    for number in range(120):
        world.charge(customer, 100, created=world.now - 90 * DAY - number)
    page = [dict(one) for one in twin.store.where("charge")[:100]]
    twin.faults.add("status", path="/v1/charges", status=200, body={"data": page, "has_more": True})
    twin.faults.add("status", path="/v1/charges", status=500, times=None)
    snapshot = read(twin)
    assert (len(snapshot.charges), missing(snapshot)) == (100, {"charges": Why.NO_ANSWER})


# --- links ----------------------------------------------------------------------------------------------------------


def plan_of(*steps: Any) -> Plan:
    return Plan(steps=tuple(
        PlannedStep(id=f"s{n}", step=step, says="", title="", running="", done="") for n, step in enumerate(steps)
    ))  # fmt: skip


def test_links_are_fetched_by_placeholder_and_one_that_fails_is_left_out(twin: StripeTwin, world: World) -> None:
    world.portal_configuration(id="bpc_one")
    customer = subscriber(world)
    invoice, charge = twin.store.of_kind("invoice")[0], twin.store.of_kind("charge")[0]
    session = world.checkout_session(customer, id="cs_test_open")
    found = reader(twin).links(plan_of(
        SendPortalLogin(customer="cus_ann"), SendInvoiceLink(invoice=invoice["id"]),
        SendInvoiceCopy(document=charge["id"]), SendCheckoutLink(target=session["id"]), SendCheckoutLink(target=None),
    ))  # fmt: skip
    assert found == {
        "portal_link": "https://billing.stripe.test/p/login/bpc_one", "invoice_link": invoice["hosted_invoice_url"],
        "receipt_link": charge["receipt_url"], "checkout_link": session["url"],
    }  # fmt: skip
    assert reader(twin).links(plan_of(SendInvoiceLink(invoice="in_none"))) == {}
    twin.faults.add("status", path="/v1/checkout", status=200, body={"url": "javascript:x", "after_expiration": 5})
    assert reader(twin).links(plan_of(SendCheckoutLink(target=session["id"]))) == {}
