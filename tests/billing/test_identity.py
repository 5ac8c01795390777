"""Who is asking: the four levels, distrust, look-alikes, and which customer is meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.identity import Level, foreign_hints, identify, mixes_alphabets, own_customers, same_address
from billing.policy import Policy, Products
from billing.snapshot import Hint
from tests.billing.builders import charge, customer, invoice, ordinary, snapshot, subscription, ticket

OTHER = "sam@else.example"


def theirs(**fields):
    return Hint(**({"object": "in_X", "found": True, "customer": "cus_X"} | fields))


# --- levels -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verification", ["full", "sso"])
def test_an_equal_and_verified_address_is_verified(verification):
    found = identify(ticket(verification=verification), ordinary())
    assert found.level is Level.VERIFIED
    assert (found.candidates, found.chosen, found.distrusted) == (("cus_A",), "cus_A", False)


@pytest.mark.parametrize("verification", ["embed", "low", "none"])
def test_an_equal_address_that_zendesk_has_not_verified_is_matched(verification):
    found = identify(ticket(verification=verification), ordinary())
    assert found.level is Level.MATCHED
    assert not found.distrusted


@pytest.mark.parametrize("flag", [0, 2, 3, 11, 14, 20, 21, 22])
def test_a_distrust_flag_is_never_verified(flag):
    found = identify(ticket(flags=(flag,)), ordinary())
    assert found.level is Level.MATCHED
    assert found.distrusted


@pytest.mark.parametrize("flag", [1, 4, 5, 16, 17, 18])
def test_other_flags_say_nothing_about_the_author(flag):
    assert identify(ticket(flags=(flag,)), ordinary()).level is Level.VERIFIED


@pytest.mark.parametrize("requester", [{"author_is_requester": False}, {"sender_address": OTHER}])
def test_another_author_or_sender_is_distrusted(requester):
    found = identify(ticket(requester=requester), ordinary())
    assert found.level is Level.MATCHED
    assert found.distrusted


def test_the_requesters_own_sender_address_in_another_case_is_fine():
    assert identify(ticket(requester={"sender_address": "MAYA@oliva.example"}), ordinary()).level is Level.VERIFIED


def test_a_sender_without_a_named_requester_is_distrusted():
    assert identify(ticket(email=None, requester={"sender_address": OTHER}), ordinary()).distrusted


def test_letter_case_does_not_matter():
    assert identify(ticket(email="Maya@Oliva.example"), ordinary()).level is Level.VERIFIED


def test_an_id_of_somebody_else_is_a_mismatch_and_gives_no_customer():
    found = identify(ticket(), snapshot(theirs()))
    assert found.level is Level.MISMATCH
    assert found.candidates == ()
    assert found.chosen is None


def test_a_record_without_a_customer_proves_nothing():
    assert identify(ticket(), snapshot(theirs(customer=None))).level is Level.MISMATCH


def test_an_own_customer_stays_verified_beside_somebody_elses_id():
    found = identify(ticket(), ordinary(theirs()))
    assert found.level is Level.VERIFIED
    assert found.candidates == ("cus_A",)


def test_a_customer_found_by_an_id_with_the_same_address_is_the_requesters():
    stored = customer(id="cus_B", email="maya@oliva.example ")
    found = identify(ticket(), snapshot(stored, theirs(customer="cus_B", same_email=True)))
    assert (found.level, found.candidates) == (Level.VERIFIED, ("cus_B",))


def test_a_customer_with_the_same_address_that_could_not_be_read_is_still_the_requesters():
    found = identify(ticket(), snapshot(theirs(same_email=True)))
    assert (found.level, found.candidates, found.chosen) == (Level.MATCHED, ("cus_X",), "cus_X")


def test_the_readers_word_does_not_make_a_look_alike_equal():
    alike = customer(id="cus_X", email="m\u0430ya@oliva.example")
    assert identify(ticket(), snapshot(alike, theirs(same_email=True))).level is Level.MISMATCH


@pytest.mark.parametrize(
    ("email", "hints", "note"),
    [
        ("maya@oliva.example", (), "no customer"),
        (None, (), "nobody is named"),
        ("m\u0430ya@oliva.example", (), "two alphabets"),
        ("maya@oliva.example", (theirs(deleted=True),), "deleted"),
        ("maya@oliva.example", (theirs(found=False, wrong_mode=True),), "other mode"),
    ],
)
def test_nothing_found_is_unknown_and_says_why(email, hints, note):
    found = identify(ticket(email=email), snapshot(*hints))
    assert found.level is Level.UNKNOWN
    assert note in " ".join(found.why)


def test_a_deleted_customer_is_no_candidate():
    assert identify(ticket(), snapshot(customer(deleted=True))).level is Level.UNKNOWN


def test_the_reasons_name_no_address():
    found = identify(ticket(flags=(14,), requester={"sender_address": OTHER}), ordinary(theirs()))
    assert "@" not in " ".join(found.why)


# --- the operator's word ------------------------------------------------------------------------------------------


def test_a_customer_named_by_the_operator_is_matched_at_best():
    by_address = ticket(requester={"named_by_operator": True})
    assert identify(by_address, ordinary()).level is Level.MATCHED
    by_id = ticket(email=None, requester={"named_by_operator": True})
    found = identify(by_id, ordinary(theirs(object="sub_A", customer="cus_A", typed=True)))
    assert found.level is Level.MATCHED
    assert found.chosen == "cus_A"
    assert "named by the operator" in " ".join(found.why)


def test_a_look_up_by_hand_shows_a_stranger_to_the_agent_and_proves_nothing():
    stranger = customer(id="cus_X", email=OTHER)
    found = identify(ticket(), snapshot(customer(), stranger, theirs(typed=True)))
    assert (found.level, found.chosen, found.candidates) == (Level.MISMATCH, "cus_X", ("cus_X",))
    assert "looked up by hand" in found.why[0]


def test_a_look_up_of_the_requesters_own_customer_changes_nothing():
    mine = theirs(object="cus_A", customer="cus_A", typed=True)
    assert identify(ticket(), ordinary(mine)) == identify(ticket(), ordinary())


def test_a_look_up_that_finds_nobody_leaves_the_requesters_own_customer():
    nothing = theirs(object="sub_none", found=False, customer=None, typed=True)
    assert identify(ticket(), ordinary(nothing)) == identify(ticket(), ordinary())


def test_an_operator_who_names_nothing_that_exists_finds_nobody():
    nobody = ticket(email=None, requester={"named_by_operator": True})
    assert identify(nobody, ordinary(theirs(found=False, customer=None))).level is Level.UNKNOWN


# --- addresses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("maya@oliva.example", "MAYA@OLIVA.example", True),
        (" maya@oliva.example", "maya@oliva.example\n", True),
        ("maya+pro@oliva.example", "maya@oliva.example", False),
        ("maya@oliva.test", "maya@oliva.example", False),
        ("maya@oliva.example.", "maya@oliva.example", False),
        ("m.aya@oliva.example", "maya@oliva.example", False),
        ("m\u0430ya@oliva.example", "maya@oliva.example", False),  # Cyrillic a
        ("m\u0430ya@oliva.example", "m\u0430ya@oliva.example", False),  # equal, but nobody writes so
        ("\uff4daya@oliva.example", "maya@oliva.example", False),  # full-width m
        ("\u212aim@oliva.example", "kim@oliva.example", False),  # Kelvin sign
        ("ma\u00df@oliva.example", "mass@oliva.example", False),
        ("jos\u00e9@oliva.example", "jose\u0301@oliva.example", True),
        ("jos\u00e9@oliva.example", "Jos\u00c9@oliva.example", True),
        ("jos\u00e9@oliva.example", "jose@oliva.example", False),
        ("\u0438\u0432\u0430\u043d@oliva.example", "\u0438\u0432\u0430\u043d@oliva.example", True),  # all Cyrillic
        ("\u674e@oliva.example", "\u674e@oliva.example", True),
        (None, "maya@oliva.example", False),
        ("", "", False),
    ],
)
def test_two_addresses_are_one_only_apart_from_letter_case(one, other, equal):
    assert same_address(one, other) is equal
    assert same_address(other, one) is equal


def test_a_part_that_mixes_look_alike_alphabets_is_seen():
    assert mixes_alphabets("p\u0430ypal@mail.example")
    assert mixes_alphabets("pay@p\u03b1ypal.example")
    assert not mixes_alphabets("\u0438\u0432\u0430\u043d@mail.example")
    assert not mixes_alphabets("\u674e.lee@mail.example")
    assert not mixes_alphabets("maya_1+x@mail.example")


@given(st.text(max_size=30), st.text(max_size=30))
def test_comparing_addresses_is_symmetric_and_never_raises(one, other):
    assert same_address(one, other) == same_address(other, one)


@given(st.from_regex(r"[a-z0-9._+-]{1,20}@[a-z0-9-]{1,20}\.example", fullmatch=True))
def test_an_ascii_address_equals_itself_in_any_letter_case(address):
    assert same_address(address, address.upper())


# --- several customers --------------------------------------------------------------------------------------------


def several(*records, **fields):
    return identify(ticket(), snapshot(customer(), customer(id="cus_B", created="2026-02-01"), *records), **fields)


def test_all_customers_of_an_address_are_kept_and_none_is_taken_silently():
    found = several()
    assert found.candidates == ("cus_B", "cus_A")
    assert found.chosen is None
    assert found.level is Level.VERIFIED


def test_the_most_active_comes_first():
    assert several(subscription()).candidates == ("cus_A", "cus_B")
    assert several(charge()).candidates == ("cus_A", "cus_B")
    assert several(invoice(subscription=None)).candidates == ("cus_A", "cus_B")


def test_at_most_five_are_candidates():
    many = [customer(id=f"cus_{n}", created=f"2026-01-{n + 1:02d}") for n in range(7)]
    assert identify(ticket(), snapshot(*many)).candidates == ("cus_6", "cus_5", "cus_4", "cus_3", "cus_2")


def test_an_agents_choice_counts_when_it_is_a_candidate():
    assert several(chosen="cus_A").chosen == "cus_A"
    assert several(chosen="cus_X").chosen is None
    assert identify(ticket(), ordinary(), chosen="cus_X").chosen == "cus_A"


def test_the_only_one_with_live_subscriptions_is_meant():
    assert several(subscription(), subscription(id="sub_B", customer="cus_B", status="canceled")).chosen == "cus_A"


def test_the_one_that_the_product_is_bound_to_is_meant():
    bound = subscription(metadata={"org": "acme"})
    found = several(bound, subscription(id="sub_B", customer="cus_B", created="2026-01-01"))
    assert found.chosen == "cus_A"
    carrying = customer(id="cus_C", metadata={"app_account": "9"})
    policy = Policy(products=Products(owner_keys=("app_account",)))
    assert identify(ticket(), snapshot(customer(), carrying), policy=policy).chosen == "cus_C"


def test_among_duplicates_the_keepers_customer_is_meant():
    assert several(subscription(), subscription(id="sub_B", customer="cus_B", created="2026-11-12")).chosen == "cus_A"


def test_a_tie_among_duplicates_chooses_nobody():
    assert several(subscription(), subscription(id="sub_B", customer="cus_B")).chosen is None


# --- what belongs to whom -----------------------------------------------------------------------------------------


def test_own_customers_are_all_of_the_address_and_no_other():
    world = snapshot(customer(), customer(id="cus_X", email=OTHER), theirs())
    assert [c.id for c in own_customers(ticket(), world)] == ["cus_A"]


@pytest.mark.parametrize(
    ("hint", "foreign"),
    [
        (theirs(), True),
        (theirs(customer=None), True),
        (theirs(customer="cus_A"), False),
        (theirs(same_email=True), False),
        (theirs(deleted=True), False),
        (theirs(found=False), False),
    ],
)
def test_only_what_was_found_at_somebody_else_is_foreign(hint, foreign):
    world = ordinary(hint)
    assert foreign_hints(ticket(), world, identify(ticket(), world)) == ((hint,) if foreign else ())


def test_what_the_operator_names_is_not_foreign_and_the_rest_of_the_text_is():
    operator = ticket(email=None, requester={"named_by_operator": True})
    mine, other = theirs(object="sub_A", customer="cus_A", typed=True), theirs()
    world = ordinary(mine, other)
    assert foreign_hints(operator, world, identify(operator, world)) == (other,)
