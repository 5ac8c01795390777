"""One answer for a ticket: headline, one sentence, gap; the same input gives the same answer."""

from __future__ import annotations

import pytest

from billing.decision import decide
from billing.policy import Policy
from tests.billing.builders import customer, duplicate, ordinary, paid_period, snapshot, subscription, ticket

TWICE = ticket("Twice!", codes=("TXT_DUP_TWICE",))


def test_the_headline_names_what_happened_and_the_lede_what_we_would_do():
    found = decide(TWICE, duplicate(), Policy())
    assert found.headline == "Paying twice for Pro"
    assert found.lede == "Refund the 12 Nov charge and stop Pro at 12 Dec."
    assert found.gap == "no_duplicate_guard"


def test_the_same_input_gives_the_same_answer():
    assert decide(TWICE, duplicate(), Policy()) == decide(TWICE, duplicate(), Policy())


def test_a_long_product_name_still_fits_the_headline():
    from tests.billing.builders import price

    long = price(product_name="The Extraordinarily Long Professional Plan")
    one, two = subscription(price=long), subscription(id="sub_B", price=long, created="2026-11-12")
    world = snapshot(customer(), one, two, paid_period(one, "2026-11-03"), paid_period(two, "2026-11-12"))
    assert decide(TWICE, world, Policy()).headline == "Paying twice"


@pytest.mark.parametrize(
    ("email", "headline"), [("new@else.example", "No customer found"), ("maya@oliva.example", "Wants to cancel")]
)
def test_nobody_found_is_the_headline_where_a_customer_is_needed(email, headline):
    from billing.evidence import Bucket, TextSignal

    signal = TextSignal(code="TXT_WANTS_CANCEL", quote="cancel", group="cancel", weights={Bucket.SELF_SERVE_GAP: 2.0})
    from dataclasses import replace

    asked = replace(ticket("cancel", email=email, wishes=("cancel",)), signals=(signal,))
    world = ordinary() if email.startswith("maya") else snapshot()
    assert decide(asked, world, Policy()).headline == headline


def test_the_chosen_customer_is_the_one_that_general_steps_are_about():
    world = ordinary(customer("cus_B"), subscription(id="sub_B", customer="cus_B", created="2026-11-12"))
    asked = ticket("Card", wishes=("update_card",))
    for chosen in ("cus_A", "cus_B"):
        found = decide(asked, world, Policy(), chosen=chosen)
        assert found.identity.chosen == chosen
        assert ("create_portal_session", chosen) in [(p.step.kind, p.step.object) for p in found.plan.steps]
