"""Corners of the core that no ordinary ticket reaches, each with the reason why it is there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from billing.evidence import Requester, TicketText
from billing.policy import Policy
from billing.reading import read_ticket
from billing.situations.scene import Scene
from billing.situations.wording import short
from billing.snapshot import Anomaly
from tests.billing.builders import (
    charge,
    customer,
    dispute,
    duplicate,
    identity,
    invoice,
    ordinary,
    paid_period,
    payment_intent,
    snapshot,
    subscription,
    ticket,
)
from tests.billing.judging import judge, kinds, writes

LATE = ticket("Is it paid?", codes=("TXT_PENDING",))


def scene(world, *anomalies):
    return Scene(evidence=ticket(), snapshot=world, identity=identity(), anomalies=anomalies, policy=Policy())


def names(found):
    return [line.name for line in found]


def test_a_headline_that_is_too_long_ends_with_a_whole_word():
    assert short("One word and another word that do not fit at all") == "One word and another word that"


def test_a_subscription_without_items_is_of_no_family():
    bare = subscription(items=())
    assert not scene(ordinary()).same_family(bare, subscription())


def test_an_id_that_leads_nowhere_names_no_subscription():
    assert scene(ordinary()).subscription_behind("re_unknown") is None


def test_a_deleted_customer_gets_no_portal_even_beside_a_paid_charge():
    world = snapshot(customer(deleted=True), charge("ch_1"))
    found = judge(ticket("Invoice?", codes=("TXT_INVOICE",), wishes=("invoice",)), world)
    assert {"send_portal_login", "create_portal_session"}.isdisjoint(kinds(found))


def test_a_payment_intent_of_another_customer_is_not_waited_for():
    from billing.situations import payments

    world = ordinary(payment_intent("pi_Z", "processing", customer="cus_Z"))
    odd = Anomaly(code="payment_processing", says="", objects=("pi_Z",))
    assert "payment_processing" not in names(payments.recognise(scene(world, odd)))


def test_an_anomaly_about_objects_of_somebody_else_makes_no_situation():
    from billing.situations import duplicates, other, seats, trust

    codes = ("duplicate_charge", "separate_users", "annual_renewal", "already_refunded")
    strangers = tuple(Anomaly(code=code, says="", objects=("xx_1", "xx_2")) for code in codes)
    found = [
        line for part in (duplicates, seats, other, trust) for line in part.recognise(scene(ordinary(), *strangers))
    ]
    assert not {"paid_twice", "separate_users", "annual_renewal", "already_refunded"} & {*names(found)}


def test_a_seat_that_was_credited_already_is_not_credited_again():
    from tests.billing.worlds import coupon_then_seat

    world = coupon_then_seat()
    corrected = tuple(replace(i, post_payment_credit_notes_amount=i.amount_paid) for i in world.invoices)
    found = judge(ticket("A seat cost 12", codes=("TXT_TEAM",)), replace(world, invoices=corrected))
    assert writes(found) == []


def test_two_different_one_off_payments_are_no_pair():
    world = snapshot(customer(), charge("ch_1", amount=2900), charge("ch_2", amount=4900, created="2026-11-04"))
    found = judge(ticket("Twice!", codes=("TXT_DUP_TWICE",)), world)
    assert found.diagnosis.situation != "two_purchases"
    assert writes(found) == []


def test_a_deleted_account_with_two_plans_is_asked_about():
    from tests.billing.builders import ULTRA

    other_plan = subscription(id="sub_U", price=ULTRA, created="2026-11-01")
    world = ordinary(other_plan, paid_period(other_plan, "2026-11-01"))
    found = judge(ticket("I deleted my account", codes=("TXT_ACCOUNT_DELETED",)), world)
    assert "ask_customer" in kinds(found)
    assert writes(found) == []


def test_an_open_invoice_of_a_live_subscription_is_refused_a_void():
    from billing.proposals import steps
    from billing.proposals.draft import Draft

    open_one = invoice("in_O", status="open")
    assert not steps.void(Draft(scene(ordinary(open_one)), None), open_one)


def test_a_charge_that_is_not_theirs_is_not_refunded():
    from billing.proposals import money
    from billing.proposals.draft import Draft

    assert not money.refund(Draft(scene(ordinary()), None), "ch_Z", 2900)


REFUND = ticket("I was charged twice, refund one.", codes=("TXT_DUP_TWICE", "TXT_WANTS_REFUND"), wishes=("refund",))


@pytest.mark.parametrize(
    "doubt",
    [
        {"disputes": (dispute(charge="ch_B_1112", status="warning_under_review"),)},
        {"charges": "disputed"},
        {"charges": "pending"},
    ],
)
def test_a_duplicate_charge_in_doubt_is_not_refunded(doubt):
    world = duplicate()
    match doubt:
        case {"charges": "disputed"}:
            charges = tuple(replace(c, disputed=c.id == "ch_B_1112") for c in world.charges)
            world = replace(world, charges=charges)
        case {"charges": _}:
            charges = tuple(replace(c, amount_refunded=c.amount_captured) for c in world.charges)
            world = replace(world, charges=charges)
        case _:
            world = replace(world, **doubt)
    found = judge(REFUND, world)
    assert "refund_charge" not in kinds(found)
    assert any(entry.step == "refund_charge" for entry in found.plan.blocked)


def test_a_first_payment_without_an_open_invoice_starts_a_checkout():
    fresh = subscription(status="incomplete", created="2026-11-22T05:00")
    found = judge(ticket("Payment fails", codes=("TXT_DECLINED",)), snapshot(customer(), fresh))
    assert "send_checkout_link" in kinds(found)


def test_an_american_date_with_one_reading_is_a_date():
    body = TicketText(subject="", body="You charged me on 11/30/2026 for the plan.")
    found = read_ticket(body, Requester(), None).identifiers
    assert "2026-11-30" in {entry.value for entry in found if entry.kind == "date"}
