"""What did Stripe hold at one moment, and what follows from the ids alone?

A snapshot is flat: every record names its customer. It holds the customers of the requester's address (all of
them), and apart from those what was found only through an id in the text (`hints`), of which nothing may be shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from billing.records import (
    BalanceTransaction,
    Charge,
    CheckoutSession,
    CreditNote,
    Customer,
    Dispute,
    EarlyFraudWarning,
    Invoice,
    PaymentIntent,
    PaymentMethod,
    PendingItem,
    PortalConfiguration,
    Subscription,
)


class Why(StrEnum):
    """Why a part of the picture is missing."""

    NOT_PERMITTED = "not_permitted"
    NO_ANSWER = "no_answer"
    UNREADABLE = "unreadable"
    CUT_OFF = "cut_off"  # the list is longer than what was read
    NOT_READ = "not_read"  # the quick tier did not ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A part that was not (fully) read: its name is the record list's name, e.g. `charges`, `disputes`, `portal`."""

    part: str
    why: Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """An object that an id in the text (or the operator) led to.

    `customer` None: it has none, or nothing was found. `same_email`: its customer's e-mail equals the requester's.
    `found` False with `wrong_mode` True: a test id in live mode or the reverse. `typed`: a person at our side looked it
    up by hand; it is not the text that led there.
    """

    object: str  # the id as written
    found: bool
    customer: str | None = None
    same_email: bool = False
    wrong_mode: bool = False
    deleted: bool = False
    typed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingSnapshot:
    """All lists are newest first, as Stripe gives them. `taken_at` is "now" for every decision."""

    taken_at: datetime
    livemode: bool = False
    customers: tuple[Customer, ...] = ()
    hints: tuple[Hint, ...] = ()
    siblings: tuple[Customer, ...] = ()  # maybe the same payer (name, company domain, card): shown, never merged
    subscriptions: tuple[Subscription, ...] = ()
    invoices: tuple[Invoice, ...] = ()
    charges: tuple[Charge, ...] = ()
    payment_methods: tuple[PaymentMethod, ...] = ()
    payment_intents: tuple[PaymentIntent, ...] = ()
    checkout_sessions: tuple[CheckoutSession, ...] = ()
    disputes: tuple[Dispute, ...] = ()
    early_fraud_warnings: tuple[EarlyFraudWarning, ...] = ()
    credit_notes: tuple[CreditNote, ...] = ()
    balance_transactions: tuple[BalanceTransaction, ...] = ()
    pending_items: tuple[PendingItem, ...] = ()
    portal: PortalConfiguration | None = None
    missing: tuple[Missing, ...] = ()

    def lacks(self, part: str) -> bool:
        """Whether `part` was not read in full, so that its absence proves nothing."""
        return any(missing.part == part for missing in self.missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """One thing that stands out: a code of design/codes.md, a sentence for the agent, and exactly the objects."""

    code: str
    says: str
    objects: tuple[str, ...] = field(default=())
