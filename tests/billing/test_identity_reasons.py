"""Why is somebody verified, matched or not? An agent reads exactly these words, in this order, beside the level."""

from __future__ import annotations

import pytest

from billing.identity import Level, foreign_hints, identify, mixes_alphabets, same_address
from billing.policy import Policy, Products
from billing.snapshot import Hint
from tests.billing.builders import charge, customer, identity, invoice, ordinary, snapshot, subscription, ticket

EQUAL = "the requester's e-mail equals the customer's"
PROVEN = (EQUAL, "Zendesk verified that address")
UNPROVEN = (EQUAL, "Zendesk has not verified that address")
ANOTHER_AUTHOR = "somebody else than the requester wrote the request"
ANOTHER_SENDER = "the mail came from another address than the requester's"
NO_CUSTOMER = "no customer has the requester's e-mail"


def theirs(**fields):
    return Hint(**({"object": "in_X", "found": True, "customer": "cus_X"} | fields))


@pytest.mark.parametrize(
    ("asked", "world", "why"),
    [
        (ticket(), ordinary(), PROVEN),
        (ticket(verification="none"), ordinary(), UNPROVEN),
        (ticket(requester={"author_is_requester": False}), ordinary(), (*PROVEN, ANOTHER_AUTHOR)),
        (ticket(requester={"sender_address": "sam@else.example"}), ordinary(), (*PROVEN, ANOTHER_SENDER)),
        (ticket(flags=(14,)), ordinary(), (*PROVEN, "the mail may not have been sent by the user")),
        (ticket(requester={"named_by_operator": True}), ordinary(), ("the customer was named by the operator",)),
        (
            ticket(),
            snapshot(theirs(same_email=True)),
            (*PROVEN, "the customer's own record could not be read"),
        ),
        (ticket(), snapshot(theirs()), ("an id in the text leads to a customer with another e-mail",)),
        (ticket(), snapshot(), (NO_CUSTOMER,)),
        (ticket(email=None), snapshot(), ("nobody is named",)),
        (
            ticket(email="m\u0430ya@oliva.example"),
            snapshot(),
            (NO_CUSTOMER, "the address mixes letters of two alphabets"),
        ),
        (ticket(), snapshot(theirs(deleted=True)), (NO_CUSTOMER, "an id in the text leads to a deleted customer")),
        (
            ticket(),
            snapshot(theirs(found=False, wrong_mode=True)),
            (NO_CUSTOMER, "an id in the text belongs to the other mode, test or live"),
        ),
    ],
)
def test_the_reasons_are_these_sentences_in_this_order(asked, world, why):
    assert identify(asked, world).why == why


@pytest.mark.parametrize("world", [snapshot(theirs()), snapshot(), ordinary()])
def test_a_doubt_about_the_sender_is_named_and_kept_at_every_level(world):
    doubted = identify(ticket(flags=(14,), requester={"author_is_requester": False}), world)
    assert doubted.distrusted
    assert doubted.why[-2:] == ("the mail may not have been sent by the user", ANOTHER_AUTHOR)
    plain = identify(ticket(), world)
    assert plain.distrusted is False
    assert doubted.level is (Level.MATCHED if plain.level is Level.VERIFIED else plain.level)


# --- several customers ------------------------------------------------------------------------------------------------

A, B = customer(), customer(id="cus_B", created="2026-02-01")
SEVERAL = "2 customers have this address"


@pytest.mark.parametrize(
    ("records", "chosen", "reason"),
    [
        ((), "cus_A", "an agent chose one of them"),
        ((subscription(),), None, "one of them has live subscriptions"),
        (
            (subscription(metadata={"org": "acme"}), subscription(id="sub_B", customer="cus_B", created="2026-01-01")),
            None,
            "the product is bound to one of them",
        ),
        (
            (subscription(), subscription(id="sub_B", customer="cus_B", created="2026-11-12")),
            None,
            "the subscription that stays belongs to one of them",
        ),
        ((), None, "nothing says which of them is meant"),
    ],
)
def test_how_one_of_several_customers_was_chosen_is_said(records, chosen, reason):
    found = identify(ticket(), snapshot(A, B, *records), chosen=chosen)
    assert found.why == (*PROVEN, SEVERAL, reason)
    assert (found.chosen is None) == (reason == "nothing says which of them is meant")


def test_two_customers_that_the_product_is_bound_to_leave_the_choice_open():
    policy = Policy(products=Products(owner_keys=("org",)))
    bound = customer(id="cus_B", metadata={"org": "acme"})
    owner = subscription(metadata={"org": "acme"})
    idle = subscription(id="sub_B", customer="cus_B", created="2026-01-01")
    found = identify(ticket(), snapshot(A, bound, owner, idle), policy=policy)
    assert "the product is bound to one of them" not in found.why


# --- who comes first --------------------------------------------------------------------------------------------------


def order(*records):
    return identify(ticket(), snapshot(*records)).candidates


def test_more_live_subscriptions_come_before_newer_ones():
    two = (subscription(created="2026-01-11"), subscription(id="sub_A2", created="2026-01-12", metadata={"org": "x"}))
    newer = subscription(id="sub_B", customer="cus_B", created="2026-11-20")
    assert order(A, B, *two, newer) == ("cus_A", "cus_B")


def test_without_anything_live_the_newer_record_comes_first():
    ended = subscription(id="sub_A", status="canceled", created="2026-10-01", ended_at="2026-10-02")
    assert order(A, B) == ("cus_B", "cus_A")
    assert order(A, B, ended) == ("cus_A", "cus_B")
    assert order(A, B, ended, invoice(customer="cus_B", subscription=None, created="2026-10-05")) == ("cus_B", "cus_A")
    assert order(A, B, ended, charge(customer="cus_B", created="2026-10-05")) == ("cus_B", "cus_A")


def test_an_older_thing_never_makes_a_customer_look_less_recent():
    old = (invoice(subscription=None, created="2025-03-03"), charge(created="2025-03-03"))
    newest = customer(created="2026-05-01")
    assert order(newest, B, *old, subscription(status="canceled", created="2025-03-03")) == ("cus_A", "cus_B")


# --- addresses and foreign ids ----------------------------------------------------------------------------------------


def test_one_side_that_mixes_alphabets_is_enough_to_differ():
    composed, apart = "j\u043ers\u00e9@oliva.example", "j\u043erse\u0301@oliva.example"
    assert not same_address(composed, apart)
    assert same_address("jors\u00e9@oliva.example", "jorse\u0301@oliva.example")


def test_a_letter_without_a_name_is_of_no_alphabet():
    assert not mixes_alphabets("a\U000e0100b@oliva.example")
    assert not mixes_alphabets("a\U0003fffdb@oliva.example")


def test_what_belongs_to_a_candidate_is_not_foreign():
    world = ordinary(theirs())
    assert foreign_hints(ticket(), world, identity("cus_X")) == ()
    assert foreign_hints(ticket(), world, identity("cus_A")) == (theirs(),)
