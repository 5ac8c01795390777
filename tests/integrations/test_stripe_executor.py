"""Does every approved step take effect exactly once at Stripe, whatever breaks, and end as an honest receipt?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, get_args
from urllib.parse import parse_qsl

import pytest
import responses

from billing import steps
from billing.money import Money
from billing.plan import Receipt
from billing.steps import Step
from integrations.errors import OutsideError
from integrations.http import CappedSession
from integrations.stripe_executor import StripeExecutor
from integrations.twins.server import Entry, Request, Response, Twin
from integrations.twins.stripe_twin import DEFAULT_KEY, StripeTwin, World

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = 86_400
KEY = "desk-1:act_7"
Obj = dict[str, Any]


def usd(amount: int) -> Money:
    return Money(amount, "usd")


@pytest.fixture
def twin() -> Iterator[StripeTwin]:
    with StripeTwin(clock=lambda: NOW) as running:
        build(World(running))
        yield running
        assert running.crashes == []


def build(world: World) -> None:
    """One object behind every step."""
    world.portal_configuration()
    price = world.price(world.product("Pro", id="prod_pro"), 2900, id="price_pro")
    customer = world.customer("ann@example.com", "Ann", id="cus_ann", currency="usd")
    world.payment_method(customer, default=True)
    for name in ("sub_live", "sub_ending", "sub_held", "sub_planned", "sub_over", "sub_paused"):
        world.subscription(customer, price, created=world.now - 40 * DAY, id=name, item_id=f"si_{name}")
    objects = world.store.objects
    objects["sub_ending"] |= {
        "cancel_at_period_end": True, "cancel_at": objects["sub_ending"]["items"]["data"][0]["current_period_end"],
    }  # fmt: skip
    objects["sub_held"]["pause_collection"] = {"behavior": "void", "resumes_at": None}
    objects["sub_over"] |= {"status": "canceled", "ended_at": world.now - DAY}
    objects["sub_paused"]["status"] = "paused"
    objects["sub_paused"]["status_details"] = {
        "paused": {"type": "subscription", "subscription": {"type": "pause_requested"}, "transitioned_at": world.now}
    }
    world.schedule("sub_planned", id="sub_sched_one")
    for name in ("in_open", "in_void", "in_off", "in_elsewhere", "in_hold"):
        world.invoice(customer, 2900, id=name)
    world.invoice(customer, 700, id="in_send", collection_method="send_invoice")
    world.invoice(customer, 900, status="paid", id="in_paid")
    world.charge(customer, 2900, id="ch_one")
    world.charge(customer, 2900, id="ch_hold", captured=False)
    world.checkout_session(customer, id="cs_test_open")


def executor(twin: Twin, *, key: str = DEFAULT_KEY, seconds: float = 5.0) -> StripeExecutor:
    return StripeExecutor(key, twin.url, session=CappedSession(total_seconds=seconds))


def perform(twin: Twin, step: Step, *, key: str = KEY, action: str = "act_7", seconds: float = 5.0) -> Receipt:
    return executor(twin, seconds=seconds).perform(step, step_id="s1", action=action, ticket=42, key=key)


def look(twin: Twin, step: Step) -> Receipt | None:
    return executor(twin).look(step, step_id="s1", action="act_7")


REFUND = steps.RefundCharge(charge="ch_one", amount=usd(900), reason="duplicate")
PAY = steps.PayInvoice(invoice="in_open", amount=usd(2900))
MARKS = {"metadata[billing_desk_action]": "act_7", "metadata[zendesk_ticket]": "42"}
# step, method and path, parameters on the wire, and what the twin says changed
WRITES: list[tuple[Step, str, dict[str, str], str]] = [
    (steps.ScheduleCancellation(subscription="sub_live"), "POST /v1/subscriptions/sub_live",
     {"cancel_at_period_end": "true", **MARKS}, "cancel at period end"),
    (steps.UndoCancellation(subscription="sub_ending"), "POST /v1/subscriptions/sub_ending",
     {"cancel_at_period_end": "false", **MARKS}, "no longer cancels"),
    (steps.PauseCollection(subscription="sub_live"), "POST /v1/subscriptions/sub_live",
     {"pause_collection[behavior]": "keep_as_draft", **MARKS}, "collection paused (keep_as_draft)"),
    (steps.ResumeCollection(subscription="sub_held"), "POST /v1/subscriptions/sub_held",
     {"pause_collection": "", **MARKS}, "collection resumed"),
    (steps.ChangeQuantity(subscription="sub_live", item="si_sub_live", quantity=3), "POST /v1/subscriptions/sub_live",
     {"items[0][id]": "si_sub_live", "items[0][quantity]": "3", "proration_behavior": "none", **MARKS},
     "quantity 1 -> 3"),
    (steps.CancelSubscription(subscription="sub_live"), "DELETE /v1/subscriptions/sub_live",
     {"invoice_now": "false", "prorate": "false"}, "canceled subscription sub_live"),
    (steps.ResumeSubscription(subscription="sub_paused"), "POST /v1/subscriptions/sub_paused/resume",
     {"billing_cycle_anchor[type]": "unchanged", "payment_behavior": "resume_on_payment_success"},
     "resumed subscription sub_paused: active"),
    (steps.ReleaseSchedule(schedule="sub_sched_one"), "POST /v1/subscription_schedules/sub_sched_one/release",
     {"preserve_cancel_date": "true"}, "released schedule"),
    (REFUND, "POST /v1/refunds", {"charge": "ch_one", "amount": "900", "reason": "duplicate", **MARKS},
     "refund 9.00 usd on ch_one"),
    (steps.CreateCreditNote(invoice="in_paid", amount=usd(400), settle="refund"), "POST /v1/credit_notes",
     {"invoice": "in_paid", "amount": "400", "refund_amount": "400", "reason": "order_change", "email_type": "none",
      **MARKS}, "credit note 4.00 usd on in_paid"),
    (steps.CreateCreditNote(invoice="in_paid", amount=usd(400), settle="credit"), "POST /v1/credit_notes",
     {"invoice": "in_paid", "amount": "400", "credit_amount": "400", "reason": "order_change", "email_type": "none",
      **MARKS}, "credit note 4.00 usd on in_paid"),
    (steps.CreateCreditNote(invoice="in_open", amount=usd(400), settle="open"), "POST /v1/credit_notes",
     {"invoice": "in_open", "amount": "400", "reason": "order_change", "email_type": "none", **MARKS},
     "credit note 4.00 usd on in_open"),
    (steps.GrantBalanceCredit(customer="cus_ann", amount=usd(500)), "POST /v1/customers/cus_ann/balance_transactions",
     {"amount": "-500", "currency": "usd", **MARKS}, "balance -5.00 usd on cus_ann"),
    (steps.ReverseBalanceCredit(customer="cus_ann", amount=usd(500)), "POST /v1/customers/cus_ann/balance_transactions",
     {"amount": "500", "currency": "usd", **MARKS}, "balance 5.00 usd on cus_ann"),
    (steps.HoldInvoice(invoice="in_hold"), "POST /v1/invoices/in_hold", {"auto_advance": "false", **MARKS},
     "invoice in_hold: auto_advance"),
    (steps.ResendInvoice(invoice="in_send"), "POST /v1/invoices/in_send/send", {}, "sent invoice in_send"),
    (PAY, "POST /v1/invoices/in_open/pay", {}, "charged 29.00 usd for in_open"),
    (steps.MarkInvoicePaid(invoice="in_elsewhere"), "POST /v1/invoices/in_elsewhere/pay",
     {"paid_out_of_band": "true"}, "paid out of band"),
    (steps.VoidInvoice(invoice="in_void"), "POST /v1/invoices/in_void/void", {}, "voided invoice in_void"),
    (steps.MarkUncollectible(invoice="in_off"), "POST /v1/invoices/in_off/mark_uncollectible", {},
     "invoice in_off marked uncollectible"),
    (steps.ExpireCheckoutSession(checkout_session="cs_test_open"), "POST /v1/checkout/sessions/cs_test_open/expire",
     {}, "expired checkout session"),
    (steps.CancelPaymentIntent(payment_intent="ch_hold"), "POST /v1/payment_intents/", {}, "canceled payment intent"),
    (steps.CreatePortalSession(customer="cus_ann", flow="payment_method_update"), "POST /v1/billing_portal/sessions",
     {"customer": "cus_ann", "after_expiration[type]": "customer_login", "flow_data[type]": "payment_method_update"},
     "portal session for cus_ann"),
    (steps.CreatePortalSession(customer="cus_ann", flow="subscription_cancel", subscription="sub_live"),
     "POST /v1/billing_portal/sessions",
     {"customer": "cus_ann", "after_expiration[type]": "customer_login", "flow_data[type]": "subscription_cancel",
      "flow_data[subscription_cancel][subscription]": "sub_live"}, "portal session for cus_ann"),
]  # fmt: skip
QUIET: list[Step] = [
    steps.SendPortalLogin(customer="cus_ann"), steps.SendInvoiceLink(invoice="in_open"),
    steps.SendInvoiceCopy(document="in_paid"), steps.SendCheckoutLink(), steps.AskCustomer(question="which_plan"),
    steps.HandOver(reason="x"), steps.Explain(topic="seats"), steps.Wait(reason="x"), steps.WriteInternalNote(),
    steps.FileIssue(gap="x"),
]  # fmt: skip
named = pytest.mark.parametrize(
    ("step", "call", "params", "effect"), WRITES, ids=[f"{n}-{row[0].kind}" for n, row in enumerate(WRITES)]
)
each_write = pytest.mark.parametrize(
    "step", [row[0] for row in WRITES], ids=[f"{n}-{row[0].kind}" for n, row in enumerate(WRITES)]
)


def sent(entry: Entry) -> dict[str, str]:
    _, _, query = entry.target.partition("?")
    return dict(parse_qsl(entry.request_body.decode() or query, keep_blank_values=True))


def test_every_kind_of_step_is_in_these_tables() -> None:
    told = {type(row[0]) for row in WRITES} | {type(step) for step in QUIET} | {steps.ChangePlan}
    assert told == set(get_args(Step))


@named
def test_a_step_takes_effect_once_with_its_key_and_parameters_and_a_replay_changes_nothing(
    twin: StripeTwin, step: Step, call: str, params: dict[str, str], effect: str
) -> None:
    receipt = perform(twin, step)
    assert (receipt.outcome, receipt.step_id, receipt.reason) == ("done", "s1", None)
    assert receipt.object
    assert receipt.at is not None
    (entry,) = twin.writes()
    assert f"{entry.method} {entry.target.partition('?')[0]}".startswith(call)
    assert sent(entry) == params
    assert entry.idempotency_key == (None if entry.method == "DELETE" else KEY)
    assert effect in (entry.effect or "")
    before = deepcopy(twin.store.objects)
    again = perform(twin, step)
    assert (again.outcome, again.object) == ("done", receipt.object)
    assert twin.store.objects == before


@pytest.mark.parametrize("step", QUIET, ids=[step.kind for step in QUIET])
def test_steps_that_live_in_the_reply_send_nothing(twin: StripeTwin, step: Step) -> None:
    assert perform(twin, step).outcome == "done"
    assert look(twin, step) is None
    assert twin.wire == []


def test_a_plan_change_names_item_and_price() -> None:
    step = steps.ChangePlan(subscription="sub_1", item="si_1", price="price_2")
    url = "https://api.stripe.com/v1/subscriptions/sub_1"
    body: Obj = {"id": "sub_1", "object": "subscription", "status": "active", "metadata": {}, "schedule": None}
    with responses.RequestsMock() as wire:
        wire.get(url, json=body)
        wire.post(url, json=body)
        stripe = StripeExecutor(DEFAULT_KEY, "https://api.stripe.com", session=CappedSession(total_seconds=5))
        receipt = stripe.perform(step, step_id="s1", action="a", ticket=None, key=KEY)
        posted = dict(parse_qsl(str(wire.calls[1].request.body)))
        assert wire.calls[1].request.headers["Idempotency-Key"] == KEY
    assert receipt.outcome == "done"
    assert posted == {
        "metadata[billing_desk_action]": "a", "items[0][id]": "si_1", "items[0][price]": "price_2",
        "proration_behavior": "none",
    }  # fmt: skip


# --- what Stripe or the state refuses ------------------------------------------------------------------------------


def over(twin: StripeTwin) -> Step:
    return steps.ScheduleCancellation(subscription="sub_over")


def scheduled(twin: StripeTwin) -> Step:
    return steps.ScheduleCancellation(subscription="sub_planned")


def ending(twin: StripeTwin) -> Step:
    return steps.ScheduleCancellation(subscription="sub_ending")


def too_much(twin: StripeTwin) -> Step:
    World(twin).refund("ch_one", 2500)
    return REFUND


def refunded(twin: StripeTwin) -> Step:
    World(twin).refund("ch_one")
    return REFUND


def disputed(twin: StripeTwin) -> Step:
    World(twin).dispute("ch_one")
    return REFUND


def other_currency(twin: StripeTwin) -> Step:
    return steps.RefundCharge(charge="ch_one", amount=Money(900, "jpy"))


def credit_in_other_currency(twin: StripeTwin) -> Step:
    return steps.CreateCreditNote(invoice="in_paid", amount=Money(900, "jpy"))


def amount_moved(twin: StripeTwin) -> Step:
    return steps.PayInvoice(invoice="in_open", amount=usd(2800))


def pay_other_currency(twin: StripeTwin) -> Step:
    return steps.PayInvoice(invoice="in_open", amount=Money(2900, "eur"))


def pay_void(twin: StripeTwin) -> Step:
    twin.store.objects["in_open"]["status"] = "void"
    return PAY


def pay_paid(twin: StripeTwin) -> Step:
    return steps.PayInvoice(invoice="in_paid", amount=usd(900))


def declined(twin: StripeTwin) -> Step:
    method = twin.store.objects["cus_ann"]["invoice_settings"]["default_payment_method"]
    twin.store.directives[method] = {"decline": "insufficient_funds"}
    return PAY


def nowhere(twin: StripeTwin) -> Step:
    return steps.RefundCharge(charge="ch_none", amount=usd(900))


def void_paid(twin: StripeTwin) -> Step:
    return steps.VoidInvoice(invoice="in_paid")


def chargeless(twin: StripeTwin) -> Step:
    twin.store.objects["ch_hold"]["payment_intent"] = None
    return steps.CancelPaymentIntent(payment_intent="ch_hold")


@pytest.mark.parametrize(
    ("state", "reason", "asked"),
    [
        (over, "already_canceled", False), (scheduled, "schedule_managed", False),
        (ending, "already_scheduled", False),
        (too_much, "amount_too_large", True), (refunded, "charge_already_refunded", True),
        (disputed, "charge_disputed", True), (other_currency, "currency_differs", False),
        (credit_in_other_currency, "currency_differs", False), (amount_moved, "amount_changed", False),
        (pay_other_currency, "currency_differs", False), (pay_void, "invoice_not_open", False),
        (pay_paid, "invoice_already_paid", True), (declined, "card_declined", True),
        (nowhere, "resource_missing", False), (void_paid, "invoice_not_editable", True),
        (chargeless, "no_payment_intent", False),
    ],
)  # fmt: skip
def test_what_no_longer_holds_is_refused_with_its_code(
    twin: StripeTwin, state: Callable[[StripeTwin], Step], reason: str, asked: bool
) -> None:
    receipt = perform(twin, state(twin))
    assert (receipt.outcome, receipt.reason, receipt.object, receipt.at) == ("refused", reason, None, None)
    assert any(entry.method != "GET" for entry in twin.wire) is asked
    assert [entry.effect for entry in twin.writes() if "declined" not in (entry.effect or "")] == []


def test_an_ended_subscription_is_canceled_already(twin: StripeTwin) -> None:
    receipt = perform(twin, steps.CancelSubscription(subscription="sub_over"))
    assert (receipt.outcome, receipt.object, receipt.status) == ("done", "sub_over", "canceled")
    assert twin.writes() == []


def test_a_refund_on_its_way_says_so(twin: StripeTwin) -> None:
    twin.store.directives["ch_one"] = {"next_refunds": [{"status": "pending", "pending_reason": "insufficient_funds"}]}
    receipt = perform(twin, REFUND)
    assert (receipt.outcome, receipt.status, receipt.object) == ("done", "pending", twin.refunds()[0]["id"])


@pytest.mark.parametrize(
    ("becomes", "outcome", "status"),
    [("succeeded", "done", "succeeded"), ("pending", "done", "pending"), ("failed", "refused", "failed")],
)
def test_a_credit_note_that_refunds_names_the_refund_and_ends_as_it_does(
    twin: StripeTwin, becomes: str, outcome: str, status: str
) -> None:
    for one in twin.store.of_kind("charge"):
        twin.store.directives[one["id"]] = {"next_refunds": [{"status": becomes}]}
    step = steps.CreateCreditNote(invoice="in_paid", amount=usd(400), settle="refund")
    for receipt in (perform(twin, step), look(twin, step), perform(twin, step)):
        assert receipt is not None
        assert (receipt.outcome, receipt.status, receipt.refund) == (outcome, status, twin.refunds()[0]["id"])
        assert (receipt.object or "").startswith("cn_")
    assert len(twin.refunds()) == 1


def test_a_credit_note_stands_although_its_refund_cannot_be_read_and_is_followed(twin: StripeTwin) -> None:
    step = steps.CreateCreditNote(invoice="in_paid", amount=usd(400), settle="refund")
    body = {"error": {"message": "The key may not", "type": "invalid_request_error"}}
    twin.faults.add("status", method="GET", path="/v1/refunds/.*", status=403, body=body)
    receipt = perform(twin, step)
    assert (receipt.outcome, receipt.status, receipt.refund) == ("done", "pending", twin.refunds()[0]["id"])


@pytest.mark.parametrize(
    ("status", "error", "outcome", "reason"),
    [
        (401, {"code": "api_key_expired"}, "refused", "unauthorized"),
        (403, {}, "refused", "not_permitted"), (404, {}, "refused", "not_found"),
        (402, {"code": "card_declined"}, "refused", "card_declined"), (400, {}, "refused", "stripe_400"),
        (400, {"type": "idempotency_error"}, "unknown", "idempotency_error"),
        (409, {"code": "idempotency_key_in_use"}, "unknown", "idempotency_key_in_use"),
        (409, {}, "unknown", "conflict"),
        (429, {"code": "lock_timeout"}, "unknown", "rate_limited"), (500, {}, "unknown", "upstream_failed"),
    ],
)  # fmt: skip
def test_each_answer_to_a_write_gives_one_outcome(
    twin: StripeTwin, status: int, error: dict[str, str], outcome: str, reason: str
) -> None:
    body = {"error": {"message": "ann@example.com 4242", "type": "invalid_request_error", **error}}
    twin.faults.add("status", method="POST", status=status, body=body)
    receipt = perform(twin, REFUND)
    assert (receipt.outcome, receipt.reason) == (outcome, reason)
    assert "ann" not in repr(receipt)


def test_a_key_without_the_permission_is_told_so(twin: StripeTwin) -> None:
    key = twin.add_key("rk_test_reads", ["rak_charge_read"])
    receipt = executor(twin, key=key).perform(REFUND, step_id="s1", action="a", ticket=None, key=KEY)
    assert (receipt.outcome, receipt.reason) == ("refused", "not_permitted")


# --- what breaks ----------------------------------------------------------------------------------------------------

AFTER = ["hang_after", "reset_after", "close_after", "truncated", "empty", "json_null", "json_list", "html_200",
         "bad_json", "huge", "drip"]  # fmt: skip
BEFORE = ["reset_before", "hang_before", "redirect", "html_502"]


@pytest.mark.parametrize("fault", AFTER)
def test_a_lost_answer_leaves_the_outcome_unknown_and_both_looking_and_replaying_find_the_one_refund(
    twin: StripeTwin, fault: str
) -> None:
    twin.faults.add(fault, method="POST", megabytes=20)
    receipt = perform(twin, REFUND, seconds=0.7)
    assert (receipt.outcome, receipt.object) == ("unknown", None)
    found = look(twin, REFUND)
    assert found is not None
    assert (found.outcome, found.object) == ("done", twin.refunds()[0]["id"])
    assert perform(twin, REFUND).object == found.object
    assert len(twin.refunds()) == 1


@pytest.mark.parametrize("fault", BEFORE)
def test_a_write_that_never_arrived_is_unknown_too_and_the_replay_does_it_once(twin: StripeTwin, fault: str) -> None:
    twin.faults.add(fault, method="POST")
    assert perform(twin, REFUND, seconds=0.7).outcome == "unknown"
    assert look(twin, REFUND) is None
    assert perform(twin, REFUND).outcome == "done"
    assert len(twin.refunds()) == 1


@each_write
def test_whatever_the_step_a_lost_answer_ends_in_one_effect(twin: StripeTwin, step: Step) -> None:
    twin.faults.add("reset_after", path="/v1/.*", method="POST")
    twin.faults.add("reset_after", path="/v1/.*", method="DELETE")
    assert perform(twin, step).outcome == "unknown"
    found = look(twin, step)
    assert perform(twin, step).outcome == "done"
    assert [entry.fault for entry in twin.writes()] == ["reset_after"]
    assert found is None if step.kind in {"resend_invoice", "create_portal_session"} else found is not None
    assert found is None or found.outcome == "done"


def test_a_stored_500_is_replayed_for_ever_and_looking_still_finds_the_effect(twin: StripeTwin) -> None:
    twin.break_next("/v1/refunds")
    for _ in range(2):
        assert perform(twin, REFUND).outcome == "unknown"
    found = look(twin, REFUND)
    assert found is not None
    assert found.outcome == "done"
    assert len(twin.refunds()) == 1


def test_a_redirect_takes_neither_key_nor_body_to_another_host(twin: StripeTwin) -> None:
    class Foreign(Twin):
        def handle(self, request: Request) -> Response:
            return Response(200, {"id": "re_evil", "object": "refund", "status": "succeeded"})

    with Foreign() as foreign:
        for status in (302, 307):
            twin.faults.add("redirect", method="POST", status=status, location=f"{foreign.url}/v1/refunds")
            receipt = perform(twin, REFUND)
            assert (receipt.outcome, receipt.reason) == ("unknown", "redirected")
        assert foreign.wire == []
    assert twin.refunds() == []


def test_a_server_that_is_down_leaves_the_outcome_open(twin: StripeTwin) -> None:
    stripe = executor(twin)
    twin.stop()
    receipt = stripe.perform(REFUND, step_id="s1", action="a", ticket=None, key=KEY)
    assert (receipt.outcome, receipt.reason) == ("unknown", "no_answer")
    with pytest.raises(OutsideError) as raised:
        stripe.look(REFUND, step_id="s1", action="a")
    assert "127.0.0.1" not in str(raised.value)


@pytest.mark.parametrize("body", [None, [], {}, {"id": 5}, {"object": "refund"}, {"data": 5}, {"data": [5]}, "text"])
def test_an_answer_of_a_wrong_shape_never_raises_out_of_a_write(twin: StripeTwin, body: Any) -> None:
    for method in ("POST", "GET"):
        twin.faults.clear()
        twin.faults.add("status", method=method, times=None, status=200, body=body if body is not None else b"null")
        for step, *_ in WRITES:
            assert perform(twin, step).outcome in ("unknown", "done", "refused")
    with pytest.raises(OutsideError):
        look(twin, steps.PayInvoice(invoice="in_open", amount=usd(1)))


def test_a_step_takes_no_longer_than_its_deadline_however_many_requests_it_needs(twin: StripeTwin) -> None:
    twin.faults.add("latency", times=None, seconds=0.4)
    twin.faults.add("hang_after", method="DELETE")
    began = time.monotonic()
    receipt = perform(twin, steps.CancelSubscription(subscription="sub_live"), seconds=0.6)
    assert receipt.outcome == "unknown"
    assert time.monotonic() - began < 0.9


# --- taking back ----------------------------------------------------------------------------------------------------

PAIRS: list[tuple[str, Step, Step]] = [
    ("sub_live", steps.ScheduleCancellation(subscription="sub_live"), steps.UndoCancellation(subscription="sub_live")),
    ("sub_ending", steps.UndoCancellation(subscription="sub_ending"),
     steps.ScheduleCancellation(subscription="sub_ending")),
    ("sub_live", steps.PauseCollection(subscription="sub_live"), steps.ResumeCollection(subscription="sub_live")),
    ("cus_ann", steps.GrantBalanceCredit(customer="cus_ann", amount=usd(500)),
     steps.ReverseBalanceCredit(customer="cus_ann", amount=usd(500))),
]  # fmt: skip


@pytest.mark.parametrize(("name", "step", "opposite"), PAIRS, ids=[pair[1].kind for pair in PAIRS])
def test_a_step_and_its_opposite_leave_everything_as_it_was(
    twin: StripeTwin, name: str, step: Step, opposite: Step
) -> None:
    def state() -> Obj:
        made = deepcopy(twin.store.objects[name])
        made.pop("metadata")
        made.pop("canceled_at", None)
        made.pop("cancellation_details", None)
        made.pop("invoice_credit_balance", None)
        return made

    before = state()
    assert perform(twin, step).outcome == "done"
    assert state() != before
    assert perform(twin, opposite, key=f"{KEY}:undo").outcome == "done"
    assert state() == before
    assert len(twin.writes()) == 2
