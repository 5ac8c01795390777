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
    "no_card_expiry_notice": (
        "Give a test account with an active plan a card that runs out this month.",
        "Open the account page and the mails of the last 30 days.",
        "Neither says so. Expected: the date, and a link to replace the card.",
    ),
    "no_renewal_notice": (
        "Give a test account a yearly plan, and move its test clock to a week before the renewal.",
        "Open the account page and the mails.",
        "Nothing names the day and the amount. Expected: both, with a way to cancel, 30 and 7 days before.",
    ),
    "no_trial_end_notice": (
        "Start a trial with a test account, and move its test clock to the day before it ends.",
        "Open the product and the mails.",
        "Nothing names the first payment. Expected: its date and amount, with a way to cancel.",
    ),
    "no_org_billing": (
        "Sign in to two test accounts of one organisation, each with a paid plan of its own.",
        "Try to put both on one bill, and then to name another billing owner.",
        "One of the two cannot be done. Expected: one bill, with a list of members and an owner who can change.",
    ),
    "no_price_change_notice": (
        "Give a test account a plan with a discount that ends with this period.",
        "Open the account page and the mails, then move its test clock past the renewal.",
        "The new amount shows for the first time on the invoice. Expected: both amounts and the date, 30 days before.",
    ),
    "no_refund_status": (
        "Refund the last payment of a test account.",
        "Open its invoices and the mails.",
        "The refund is not there. Expected: its date, its state, and when it should arrive.",
    ),
    "plan_changed_without_consent": (
        "Take a test account whose plan has a newer version, and run the job that moves or downgrades plans.",
        "Open the account page and the mails.",
        "The plan is another one, and nothing says who changed it. Expected: a notice in time, and a way to decline.",
    ),
    "no_hold_explanation": (
        "Begin to pay with a test card that asks for confirmation, break off, and pay again.",
        "Read what the checkout and its mails say about the first attempt.",
        "They say nothing. Expected: that a hold may show at the bank, and for how long.",
    ),
    "no_tax_id_entry": (
        "Buy a plan with a test account, and look for the tax number and the company name in the checkout.",
        "Look for the same in the account, before the next invoice.",
        "One of them cannot be entered. Expected: both, in both places.",
    ),
    "billed_without_service": (
        "Block or close a test account with an active plan in each way the product offers.",
        "Move its test clock past the renewal.",
        "An invoice is paid. Expected: collection is paused while there is no service.",
    ),
}
