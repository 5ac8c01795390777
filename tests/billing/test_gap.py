"""The catalogue of what is missing in the product."""

import re

import pytest

from billing.gap import CATALOGUE, fingerprint

KINDS = """
no_duplicate_guard no_billing_portal no_cancellation_flow no_seat_explanation no_usage_visibility no_invoice_access
access_not_granted charged_after_cancellation no_payment_recovery no_card_expiry_notice no_renewal_notice
no_trial_end_notice deletion_keeps_billing upgrade_opens_second_subscription no_org_billing no_price_change_notice
no_refund_status plan_changed_without_consent no_hold_explanation no_tax_id_entry billed_without_service
""".split()


def test_the_catalogue_holds_exactly_the_kinds_of_the_contract():
    assert sorted(CATALOGUE) == sorted(KINDS)
    assert all(gap.kind == kind for kind, gap in CATALOGUE.items())


@pytest.mark.parametrize("kind", KINDS)
def test_a_title_is_one_short_sentence_about_the_product(kind):
    title = CATALOGUE[kind].title
    assert 20 <= len(title) <= 72
    assert title[0].isupper()
    assert not title.endswith(".")


@pytest.mark.parametrize("kind", KINDS)
def test_the_texts_name_nobody_and_no_amount(kind):
    gap = CATALOGUE[kind]
    text = " ".join((gap.title, gap.happens, gap.should, *gap.done_when))
    assert "@" not in text
    assert not re.search(r"\b(cus|sub|in|ch|pi)_\w+", text)
    assert not re.search(r"[$€£]|\d[.,]\d\d\b", text)


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_box_is_ticked_by_the_product(kind):
    *ours, last = CATALOGUE[kind].done_when
    assert ours
    assert "14 days" in last
    assert "checked automatically" in last


def test_titles_are_told_apart():
    assert len({gap.title for gap in CATALOGUE.values()}) == len(CATALOGUE)


def test_a_fingerprint_is_stable_and_belongs_to_one_kind_in_one_repository():
    assert fingerprint("no_duplicate_guard", "acme/web") == fingerprint("no_duplicate_guard", " Acme/Web ")
    prints = {fingerprint(kind, repository) for kind in KINDS for repository in ("acme/web", "acme/app")}
    assert len(prints) == 2 * len(KINDS)
    assert all(re.fullmatch(r"[0-9a-f]{16}", one) for one in prints)


def test_the_fingerprint_of_an_issue_filed_before_does_not_change():
    assert fingerprint("no_duplicate_guard", "acme/web") == "22b728b88a13c69b"


def test_a_kind_outside_the_catalogue_has_no_fingerprint():
    with pytest.raises(KeyError):
        fingerprint("no_coffee", "acme/web")
