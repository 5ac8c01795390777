"""What is missing in the product when support has to do this by hand? A closed catalogue, one issue for each kind.

Titles and texts name no customer, amount or vendor id: they go to a repository that strangers may read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

QUIET_DAYS = 14
QUIET = f"No new ticket of this kind for {QUIET_DAYS} days after release (checked automatically)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """`title` has the product as its subject, present tense, at most 72 characters. `done_when` are check boxes."""

    kind: str
    title: str
    happens: str
    should: str
    done_when: tuple[str, ...]


def fingerprint(kind: str, repository: str) -> str:
    """One stable name for a gap in a repository (`owner/name`, letter case ignored): 16 hexadecimal digits.

    Raises KeyError for a kind that is not in the catalogue.
    """
    named = f"billing-desk\n{CATALOGUE[kind].kind}\n{repository.strip().lower()}"
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def _gap(kind: str, title: str, happens: str, should: str, *done_when: str) -> Gap:
    return Gap(kind=kind, title=title, happens=happens, should=should, done_when=(*done_when, QUIET))


_GAPS = (
    _gap(
        "no_duplicate_guard",
        "Checkout lets an active subscriber buy the same plan again",
        "Checkout takes an order from somebody who already pays for the same plan. Two subscriptions are billed from "
        "then on, and the account page shows one of them.",
        'Checkout notices the live subscription and offers "Manage plan" in place of "Buy".',
        "A signed-in subscriber cannot start a second subscription to a plan they have",
        "Payment links and guest checkouts look for a live subscription by e-mail before they charge",
        "Two clicks or two tabs end in one subscription",
    ),
    _gap(
        "no_billing_portal",
        "Customers have no page on which to manage their billing",
        "Nothing in the product leads to billing settings: cards, invoices and cancellations all go through support.",
        "Every paying customer reaches a billing portal from the account page, and from a link that works signed out.",
        "The default portal configuration is active and has a login page",
        "The account page links to it",
        "Receipts and payment mails link to it",
    ),
    _gap(
        "no_cancellation_flow",
        "The product offers no way to cancel a subscription",
        "Customers find no button that ends their plan, or it is switched off, so they write to us or to their bank.",
        "A customer ends a plan in two clicks, keeps what is paid for, and gets the end date in writing.",
        "Cancelling at the end of the period is switched on in the portal",
        "The account page shows the end date and lets the customer take it back",
        "A mail confirms every cancellation",
    ),
    _gap(
        "no_seat_explanation",
        "The product does not explain how seats are billed",
        "Adding or removing people changes the bill by an amount that nobody announced: part of a period, at once or "
        "at renewal.",
        "Before a seat is added or removed, the product shows what is charged today, what later, and on which date.",
        "The dialog that changes seats shows the amount due now and the next renewal",
        "Invoice lines say which people and days they pay for",
    ),
    _gap(
        "no_usage_visibility",
        "Customers cannot see their usage before it is billed",
        "Usage is counted all month and appears for the first time on the invoice.",
        "The account page shows the usage of the current period, what it will cost, and warns at a limit.",
        "Current usage and its price stand on the account page",
        "A warning goes out at a threshold that the customer sets",
    ),
    _gap(
        "no_invoice_access",
        "Customers cannot get their invoices by themselves",
        "Invoices and receipts are not in the account, or go to an address that the customer cannot change.",
        "Every past invoice can be downloaded in the account, and the address for new ones can be set there.",
        "Invoice history is switched on in the portal",
        "The billing e-mail address can be changed without support",
    ),
    _gap(
        "access_not_granted",
        "A paid order does not unlock the plan",
        "The payment succeeds and the subscription is active, but the account stays on the free plan.",
        "Access follows the state of the subscription, and a missed message is made up for within minutes.",
        "A paid order unlocks the plan within one minute",
        "A regular comparison with the payment provider finds and repairs accounts that differ",
        "A failed unlock raises an alert",
    ),
    _gap(
        "charged_after_cancellation",
        "A cancelled plan is charged again",
        "A customer cancels, and a later payment is taken all the same.",
        "After a cancellation takes effect nothing is charged any more, whichever way it was cancelled.",
        "Every way to cancel in the product ends the subscription at the payment provider",
        "A payment after the end date raises an alert before the customer writes",
    ),
    _gap(
        "no_payment_recovery",
        "A failed payment leaves customers without a way to pay",
        "A payment fails or a checkout is left, and the product does not say what is open or how to finish it.",
        "The customer sees that a payment failed, why in plain words, and a link to pay or to change the card.",
        "A mail with a payment link follows each failed payment",
        "The account page shows the open invoice and its link",
        "An abandoned checkout can be taken up again",
    ),
    _gap(
        "no_card_expiry_notice",
        "Customers are not told that their card is about to expire",
        "The card on file runs out, the renewal fails, and the customer learns of it by losing access.",
        "A notice goes out before the card runs out, with a link to replace it.",
        "A mail goes out 30 and 7 days before the card expires",
        "The account page shows the expiry with a link to replace the card",
    ),
    _gap(
        "no_renewal_notice",
        "Customers are not told before a yearly plan renews",
        "A year after the purchase a large amount is charged without any word before.",
        "A notice goes out in time to decide, with the amount, the date and a way to cancel.",
        "A mail goes out 30 and 7 days before a yearly renewal",
        "The account page always shows the next renewal and its amount",
    ),
    _gap(
        "no_trial_end_notice",
        "Customers are not told before a trial turns into a paid plan",
        "The trial ends and the first payment is taken without any word before.",
        "A notice goes out before the first payment, with the amount, the date and a way to cancel.",
        "A mail goes out 3 days before a trial ends",
        "The trial banner shows the date and the amount of the first payment",
    ),
    _gap(
        "deletion_keeps_billing",
        "Deleting an account leaves its subscription running",
        "The account is gone, so the customer cannot sign in, but the subscription goes on being charged.",
        "Deleting an account ends its subscription, after telling the customer so.",
        "Deletion ends every live subscription of the account",
        "A regular comparison finds live subscriptions without an account",
    ),
    _gap(
        "upgrade_opens_second_subscription",
        "An upgrade opens a second subscription beside the first",
        "Choosing another plan or interval starts a new checkout; the old plan is charged on.",
        "A change of plan replaces the old one, and shows what is charged or credited before it happens.",
        "Changing plan or interval updates the subscription that exists",
        "The dialog shows the amount due now and the next renewal",
    ),
    _gap(
        "no_org_billing",
        "Organisations cannot pay for their members in one place",
        "Colleagues each pay for themselves, or one person pays for several workspaces without an overview.",
        "An organisation has one bill, a list of who is on it, and an owner who can be changed.",
        "Personal plans can be moved into an organisation",
        "The billing owner can be changed without support",
        "One invoice lists all members or workspaces",
    ),
    _gap(
        "no_price_change_notice",
        "Customers are not told before their price changes",
        "A renewal costs more than the one before: the price rose, or a discount ran out, without any word.",
        "A notice goes out before the first renewal at another amount, with both amounts and the date.",
        "A mail goes out 30 days before a price change or the end of a discount",
        "The account page shows when a discount ends",
    ),
    _gap(
        "no_refund_status",
        "Customers cannot see where their refund is",
        "A refund is on its way, and the account shows nothing of it, so customers ask again.",
        "The account shows each refund with its date, its state and when it should arrive.",
        "Invoice history shows refunds and their state",
        "A mail says when a refund was sent, and when one failed",
    ),
    _gap(
        "plan_changed_without_consent",
        "The product changes plans without asking the customer",
        "A plan was changed by the system: a migration, a downgrade or an upgrade that nobody chose.",
        "No plan changes without the customer's consent or a notice in time, and the account shows who changed it.",
        "Every change of plan records who asked for it",
        "Migrations announce themselves and can be declined",
    ),
    _gap(
        "no_hold_explanation",
        "The product does not explain a temporary hold on a card",
        "A second line on the bank's page is an authorisation that will vanish, and looks like a second charge.",
        "Checkout says that a hold may show, and for how long.",
        "Checkout and its mails mention holds after a failed or repeated attempt",
        "Authorisations that are not needed are released at once",
    ),
    _gap(
        "no_tax_id_entry",
        "Customers cannot put their tax number or company on invoices",
        "A tax number, a company name or an address can only be added by support, often after the invoice is final.",
        "Both can be entered at checkout and in the account, before the first invoice.",
        "Checkout collects tax numbers",
        "Tax numbers and billing details can be edited in the portal",
    ),
    _gap(
        "billed_without_service",
        "Customers are billed while the service is withheld",
        "Payments go on while the account is blocked, closed or without service.",
        "When the service is withheld, billing stops at the same moment.",
        "Blocking an account pauses collection",
        "A regular comparison finds payments from accounts without service",
    ),
)

CATALOGUE: Mapping[str, Gap] = MappingProxyType({gap.kind: gap for gap in _GAPS})
