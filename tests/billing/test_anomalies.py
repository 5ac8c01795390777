"""Anomalies as a whole: whose records are looked at, what is never said, people, the portal, and the time it takes."""

import re
from datetime import timedelta
from time import process_time

import pytest

from billing.anomalies import find_anomalies
from billing.identity import identify
from billing.policy import Policy
from billing.records import PortalConfiguration
from billing.snapshot import Hint, Missing, Why
from tests.billing.builders import (
    NOW,
    PORTAL,
    charge,
    checkout_session,
    customer,
    dispute,
    duplicate,
    invoice,
    ordinary,
    paid_period,
    refund,
    snapshot,
    subscription,
    ticket,
)

POLICY = Policy()


def anomalies(world, evidence=None, policy=POLICY):
    """Code -> objects; the objects of several anomalies with one code stand behind each other."""
    evidence = evidence or ticket()
    found = {}
    for one in find_anomalies(evidence, world, identify(evidence, world, policy=policy), policy):
        found.setdefault(one.code, []).extend(one.objects)
    return found


# --- nothing where nothing is -------------------------------------------------------------------------------------


def test_an_ordinary_customer_has_no_anomaly():
    assert anomalies(ordinary()) == {}


def test_the_classical_duplicate_has_exactly_one():
    assert anomalies(duplicate()) == {"duplicate_active_subscription": ["sub_A", "sub_B"]}


# --- people -------------------------------------------------------------------------------------------------------


def test_several_customers_of_one_address_are_named_and_their_letter_case_too():
    same = [customer(), customer(id="cus_B", created="2026-02-01")]
    assert anomalies(snapshot(*same)) == {"several_customers": ["cus_B", "cus_A"]}
    mixed = [customer(), customer(id="cus_B", email="Maya@oliva.example", created="2026-02-01")]
    found = anomalies(snapshot(*mixed))
    assert found["several_customers"] == found["email_case_variant"] == ["cus_B", "cus_A"]


def test_all_customers_of_the_address_are_named_also_beyond_five():
    many = [customer(id=f"cus_{n}") for n in range(7)]
    assert len(anomalies(snapshot(*many))["several_customers"]) == 7


def test_two_customers_that_the_operator_named_are_several():
    evidence = ticket(email=None, requester={"named_by_operator": True})
    hints = [Hint(object=id, found=True, customer=id, typed=True) for id in ("cus_A", "cus_B")]
    found = anomalies(snapshot(customer(), customer(id="cus_B", email="b@else.example"), *hints), evidence)
    assert sorted(found["several_customers"]) == ["cus_A", "cus_B"]
    assert "identity_mismatch" not in found
    assert "email_case_variant" not in found


@pytest.mark.parametrize(
    ("hint", "objects"),
    [
        (Hint(object="cus_Gone", found=True, customer="cus_Gone", deleted=True), ["cus_Gone"]),
        (Hint(object="sub_Gone", found=True, customer="cus_Gone", deleted=True), ["cus_Gone"]),
        (Hint(object="cus_Gone", found=False, deleted=True), ["cus_Gone"]),
    ],
)
def test_an_id_that_leads_to_a_deleted_customer_names_that_customer(hint, objects):
    found = anomalies(ordinary(hint))
    assert found == {"customer_deleted": objects}


def test_a_deleted_customer_of_the_address_is_named():
    assert anomalies(snapshot(customer(deleted=True)))["customer_deleted"] == ["cus_A"]


def test_somebody_elses_id_is_repeated_as_written_and_nothing_more():
    foreign = Hint(object="in_Else", found=True, customer="cus_X")
    other = subscription(id="sub_X", customer="cus_X", status="past_due")
    records = [
        customer(id="cus_X", email="sam@else.example", name="Sam"),
        other,
        paid_period(other, "2026-11-03", amount_refunded=2900, refunds=(refund(),)),
        dispute(charge="ch_X_1103"),
        checkout_session(customer="cus_X"),
        foreign,
    ]
    evidence = ticket(wishes=("refund", "cancel", "restore_access", "explain_charge"), codes=("TXT_HOLD",))
    assert anomalies(snapshot(*records), evidence) == {"identity_mismatch": ["in_Else"]}
    assert anomalies(ordinary(*records), evidence)["identity_mismatch"] == ["in_Else"]
    told = find_anomalies(evidence, ordinary(*records), identify(evidence, ordinary(*records)), POLICY)
    assert not any("X" in object for one in told for object in one.objects)


def test_nothing_found_at_all_is_said_once_and_names_nothing():
    assert anomalies(snapshot()) == {"no_customer": []}


def test_a_guests_checkout_is_something():
    found = anomalies(snapshot(checkout_session(customer=None)))
    assert found == {"checkout_abandoned": ["cs_A"]}


@pytest.mark.parametrize("email", ["sam@else.example", None])
def test_a_strangers_guest_checkout_is_not_looked_at(email):
    paid = {"status": "complete", "payment_status": "paid", "payment_intent": "pi_A", "email": email}
    assert anomalies(snapshot(checkout_session(customer=None, **paid), charge(customer=None))) == {"no_customer": []}


@pytest.mark.parametrize(("livemode", "word"), [(True, "test"), (False, "live")])
def test_an_id_of_the_other_mode_is_said(livemode, word):
    world = snapshot(Hint(object="sub_T", found=False, wrong_mode=True), livemode=livemode)
    evidence = ticket()
    found = {a.code: a for a in find_anomalies(evidence, world, identify(evidence, world), POLICY)}
    assert found["wrong_mode"].objects == ()
    assert word in found["wrong_mode"].says


# --- the portal, unknown values, cut lists ------------------------------------------------------------------------


def test_a_missing_or_inactive_portal_is_said_and_an_unread_one_is_not():
    assert anomalies(ordinary(portal=None)) == {"portal_missing": []}
    assert anomalies(ordinary(portal=PortalConfiguration(id="bpc_B", active=False))) == {"portal_missing": []}
    assert anomalies(ordinary(Missing(part="portal", why=Why.NOT_PERMITTED), portal=None)) == {}


@pytest.mark.parametrize(
    "asked",
    [
        {"wishes": ("cancel",)},
        {"codes": ("TXT_CANNOT_CANCEL",)},
        {"wishes": ("update_card",)},
        {"wishes": ("invoice",)},
        {"wishes": ("tax_id",)},
        {"wishes": ("change_seats",)},
        {"wishes": ("change_plan",)},
        {"codes": ("TXT_ACCOUNT_EMAIL",)},
    ],
)
def test_a_feature_that_is_asked_for_and_off_names_the_configuration(asked):
    bare = PortalConfiguration(id="bpc_B")
    assert anomalies(ordinary(portal=bare), ticket(**asked)) == {"portal_feature_off": ["bpc_B"]}
    assert anomalies(ordinary(portal=PORTAL), ticket(**asked)) == {}
    assert anomalies(ordinary(portal=bare)) == {}


@pytest.mark.parametrize(
    ("record", "object"),
    [
        (subscription(id="sub_N", status="hibernating"), "sub_N"),
        (subscription(id="sub_N", status="incomplete_expired", collection_method="by_pigeon"), "sub_N"),
        (subscription(id="sub_N", status="canceled", paused_type="moon"), "sub_N"),
        (invoice("in_N", status="maybe", subscription=None), "in_N"),
        (invoice("in_N", status="void", collection_method="by_pigeon", subscription=None), "in_N"),
        (charge("ch_N", status="maybe"), "ch_N"),
        (charge("ch_N", created="2026-11-03", invoice="in_A_1103", refunds=(refund("re_N", status="maybe"),)), "re_N"),
        (dispute("dp_N", charge="ch_A_1103", status="maybe"), "dp_N"),
        (checkout_session("cs_N", status="maybe", payment_status="paid"), "cs_N"),
        (checkout_session("cs_N", status="complete", payment_status="maybe"), "cs_N"),
    ],
)
def test_a_value_this_version_does_not_know_names_its_object(record, object):
    assert anomalies(ordinary(record))["unknown_value"] == [object]


def test_a_checkout_session_without_a_status_is_not_unknown():
    assert "unknown_value" not in anomalies(ordinary(checkout_session(status=None, payment_status="paid")))


def test_a_list_that_was_cut_short_is_said_and_one_that_was_not_read_is_not():
    assert anomalies(ordinary(Missing(part="charges", why=Why.CUT_OFF))) == {"list_truncated": []}
    assert anomalies(ordinary(Missing(part="charges", why=Why.NO_ANSWER))) == {}


# --- properties of all of them ------------------------------------------------------------------------------------


def crowd(size):
    """One customer with `size` subscriptions in many states, two invoices and three charges each."""
    statuses = ("active", "past_due", "canceled", "trialing", "paused", "unpaid", "incomplete")
    records = []
    for n in range(size):
        one = subscription(id=f"sub_{n}", status=statuses[n % 7], metadata={"org": str(n % 9)}, quantity=1 + n % 2)
        records += [one, paid_period(one, "2026-10-03"), paid_period(one, "2026-11-03", amount_refunded=100)]
        records += [
            charge(f"ch_x{n}", status="failed", created=NOW - timedelta(minutes=n)),
            dispute(f"dp_{n}", charge=f"ch_{n}_1103", status="won"),
        ]
    return snapshot(customer(), *records)


def test_what_is_said_is_one_sentence_without_an_address():
    evidence = ticket(wishes=("cancel", "explain_charge", "restore_access"), codes=("TXT_HOLD", "TXT_DUP_TWICE"))
    world = crowd(30)
    told = find_anomalies(evidence, world, identify(evidence, world), POLICY)
    assert len(told) > 50
    for one in told:
        assert one.says[0].isupper() or one.says[0].isdigit()
        assert one.says.endswith(".")
        assert "@" not in one.says
        assert not re.search(r"\b(stolen|lost|fraud|risk)\b", one.says)


def test_each_code_names_the_same_objects_once():
    evidence = ticket(codes=("TXT_HOLD",))
    world = crowd(30)
    told = find_anomalies(evidence, world, identify(evidence, world), POLICY)
    assert len({(one.code, one.objects) for one in told}) == len(told)


def test_the_time_grows_with_the_records_and_not_with_their_square():
    evidence = ticket(codes=("TXT_HOLD",), wishes=("explain_charge",))

    def spent(size):
        world = crowd(size)
        who = identify(evidence, world)
        begun = process_time()
        find_anomalies(evidence, world, who, POLICY)
        return process_time() - begun

    small = min(spent(100) for _ in range(3))
    large = min(spent(800) for _ in range(3))
    assert large < 8 * small * 3
