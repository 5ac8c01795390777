"""How does a developer see the gap with their own eyes? Steps in a test account, by kind of gap."""

from __future__ import annotations

from collections.abc import Mapping

_SUBSCRIBER = "Sign in to a test account with an active plan."

STEPS: Mapping[str, tuple[str, ...]] = {
    "no_duplicate_guard": (
        _SUBSCRIBER,
        "Open the pricing page and choose the same plan again.",
        'The checkout completes. Expected: it stops and offers "Manage plan".',
    ),
    "no_billing_portal": (
        _SUBSCRIBER,
        "Look for cards, invoices and the plan in the account.",
        "There is no such page. Expected: a link to the billing portal.",
    ),
    "no_cancellation_flow": (
        _SUBSCRIBER,
        "Try to end the plan without writing to anybody.",
        "There is no way. Expected: two clicks, and the end date in writing.",
    ),
    "no_seat_explanation": (
        "Sign in as the owner of a test team with one paid seat.",
        "Add a second person.",
        "The amount is not told before. Expected: what is charged now, and from when.",
    ),
    "no_usage_visibility": (
        "Sign in to a test account with a metered plan, and use it.",
        "Open the account page.",
        "The usage is not there. Expected: this period's usage and what it will cost.",
    ),
    "no_invoice_access": (
        _SUBSCRIBER,
        "Look for the last invoice, and for the address that invoices go to.",
        "One of them is missing. Expected: every invoice to download, and an address to change.",
    ),
    "access_not_granted": (
        "Pay for a plan with a test account, and hold the message of the payment provider back.",
        "Open the account after ten minutes.",
        "It is still on the free plan. Expected: access follows within minutes.",
    ),
    "charged_after_cancellation": (
        "Cancel the plan of a test account in each way the product offers.",
        "Move its test clock past the end of the period.",
        "An invoice is paid. Expected: none.",
    ),
    "no_payment_recovery": (
        "Give a test account a card that is declined, and move its test clock past the renewal.",
        "Open the account page and the mails.",
        "Nothing says what is open. Expected: the reason in plain words and a link to pay.",
    ),
    "upgrade_opens_second_subscription": (
        _SUBSCRIBER,
        "Choose a larger plan or another interval.",
        "Two subscriptions are active. Expected: one, changed.",
    ),
    "deletion_keeps_billing": (
        _SUBSCRIBER,
        "Delete the account.",
        "The subscription is still active. Expected: it has ended, and the dialog said so.",
    ),
}
