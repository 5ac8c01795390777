"""Which fields of Stripe's objects do we read? Stripe's words, frozen, with local joins already made by the reader.

Amounts are minor units of the object's `currency`; times are UTC; enums stay Stripe's strings, because Stripe may
add values: a value that is not in the lists of `KNOWN` is an `unknown_value` and blocks what depends on it.
Shapes: API version 2026-10-28.endive (https://docs.stripe.com/api).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

Metadata = Mapping[str, str]

LIVE = frozenset({"active", "trialing", "past_due", "unpaid", "paused"})

KNOWN: Mapping[str, frozenset[str]] = {
    "subscription.status": LIVE | {"incomplete", "incomplete_expired", "canceled"},
    "invoice.status": frozenset({"draft", "open", "paid", "uncollectible", "void"}),
    "charge.status": frozenset({"succeeded", "pending", "failed"}),
    "refund.status": frozenset({"pending", "requires_action", "succeeded", "failed", "canceled"}),
    "dispute.status": frozenset(
        {
            "needs_response", "under_review", "won", "lost", "prevented",
            "warning_needs_response", "warning_under_review", "warning_closed",
        }
    ),
    "checkout_session.status": frozenset({"open", "complete", "expired"}),
    "checkout_session.payment_status": frozenset({"paid", "unpaid", "no_payment_required"}),
    "collection_method": frozenset({"charge_automatically", "send_invoice"}),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    id: str
    created: datetime
    email: str | None = None
    name: str | None = None
    deleted: bool = False
    livemode: bool = False
    metadata: Metadata = field(default_factory=dict)
    currency: str | None = None
    balance: int = 0  # negative: credit for the next invoice
    country: str | None = None
    default_payment_method: str | None = None
    customer_account: str | None = None  # accounts-as-customers: unsupported, ask a person


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    id: str
    product: str  # prod_…
    product_name: str  # the product's name, or its id when it could not be read
    currency: str
    unit_amount: int | None  # per seat; None for tiered or decimal prices
    interval: str | None = None  # day, week, month, year; None for one-off prices
    interval_count: int = 1
    usage_type: str = "licensed"  # or metered
    nickname: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionItem:
    id: str
    price: Price
    quantity: int
    current_period_start: datetime
    current_period_end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Discount:
    id: str
    coupon: str | None = None
    percent_off: float | None = None
    amount_off: int | None = None
    duration: str | None = None  # once, repeating, forever
    end: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    id: str
    status: str
    end_behavior: str = "release"
    phases: int = 1  # phases not over yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    id: str
    customer: str
    status: str
    created: datetime
    start_date: datetime
    items: tuple[SubscriptionItem, ...]
    currency: str
    livemode: bool = False
    collection_method: str = "charge_automatically"
    cancel_at: datetime | None = None
    cancel_at_period_end: bool = False
    canceled_at: datetime | None = None
    ended_at: datetime | None = None
    cancellation_reason: str | None = None  # cancellation_requested, payment_disputed, payment_failed, …
    trial_start: datetime | None = None
    trial_end: datetime | None = None
    trial_missing_card: str | None = None  # trial_settings.end_behavior.missing_payment_method
    pause_collection: str | None = None  # its behavior
    paused_type: str | None = None  # status_details.paused.subscription.type
    schedule: Schedule | None = None
    discounts: tuple[Discount, ...] = ()
    default_payment_method: str | None = None
    latest_invoice: str | None = None
    pending_update: bool = False
    billing_mode: str = "flexible"
    automatic_tax: bool = False
    connected: bool = False  # transfer_data, on_behalf_of or application fee
    managed_payments: bool = False
    metadata: Metadata = field(default_factory=dict)

    @property
    def live(self) -> bool:
        return self.status in LIVE

    @property
    def current_period_end(self) -> datetime:
        """The nearest end of any item's period (subscription level left the API in basil)."""
        return min(item.current_period_end for item in self.items) if self.items else self.start_date

    @property
    def current_period_start(self) -> datetime:
        return max(item.current_period_start for item in self.items) if self.items else self.start_date

    @property
    def ending(self) -> bool:
        """A cancellation is scheduled; flexible billing sets only `cancel_at`."""
        return self.live and (self.cancel_at_period_end or self.cancel_at is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicePayment:
    """One way an invoice was (to be) paid: exactly one of the ids is set."""

    id: str
    status: str  # open, paid, canceled
    amount_paid: int = 0
    payment_intent: str | None = None
    charge: str | None = None
    payment_record: str | None = None
    paid_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLine:
    id: str
    amount: int
    description: str = ""
    proration: bool = False
    price: str | None = None
    product: str | None = None
    quantity: int | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None
    metered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    id: str
    customer: str
    status: str
    created: datetime
    currency: str
    number: str | None = None
    subscription: str | None = None
    billing_reason: str | None = None
    collection_method: str = "charge_automatically"
    subtotal: int = 0
    total: int = 0
    tax: int = 0
    amount_due: int = 0
    amount_paid: int = 0
    amount_remaining: int = 0
    amount_overpaid: int = 0
    starting_balance: int = 0
    pre_payment_credit_notes_amount: int = 0
    post_payment_credit_notes_amount: int = 0
    period_start: datetime | None = None
    period_end: datetime | None = None
    due_date: datetime | None = None
    paid_at: datetime | None = None
    attempt_count: int = 0
    next_payment_attempt: datetime | None = None
    auto_advance: bool = True
    discount_amount: int = 0
    payments: tuple[InvoicePayment, ...] = ()
    lines: tuple[InvoiceLine, ...] = ()
    connected: bool = False
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    id: str
    amount: int
    currency: str
    status: str
    created: datetime
    charge: str | None = None
    reason: str | None = None
    pending_reason: str | None = None
    failure_reason: str | None = None
    reference: str | None = None  # the bank's trace number
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    id: str
    customer: str | None
    status: str
    created: datetime
    amount: int
    currency: str
    captured: bool = True
    amount_captured: int = 0
    amount_refunded: int = 0
    refunded: bool = False
    disputed: bool = False
    payment_intent: str | None = None
    invoice: str | None = None  # joined locally over the invoice's payments
    refunds: tuple[Refund, ...] = ()
    payment_method: str | None = None
    method_type: str | None = None  # card, sepa_debit, …
    brand: str | None = None
    last4: str | None = None
    failure_code: str | None = None
    decline_code: str | None = None
    outcome_type: str | None = None  # authorized, manual_review, issuer_declined, blocked, invalid
    advice_code: str | None = None  # do_not_try_again, try_again_later, confirm_card_data
    description: str | None = None
    connected: bool = False  # transfer_data, on_behalf_of, application fee, source_transfer
    presentment_amount: int | None = None
    presentment_currency: str | None = None
    metadata: Metadata = field(default_factory=dict)

    @property
    def refundable(self) -> int:
        """What is left to refund, in minor units: captured, less refunded, for a succeeded charge only.

        Stripe counts a pending refund in `amount_refunded`; should it not, the larger of the two views counts.
        """
        if self.status != "succeeded" or not self.captured:
            return 0
        live = sum(r.amount for r in self.refunds if r.status in {"pending", "requires_action", "succeeded"})
        return max(0, self.amount_captured - max(self.amount_refunded, live))


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethod:
    id: str
    customer: str
    type: str
    created: datetime
    brand: str | None = None
    last4: str | None = None
    exp_month: int | None = None
    exp_year: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentIntent:
    id: str
    customer: str | None
    status: str
    created: datetime
    amount: int
    currency: str
    latest_charge: str | None = None
    invoice: str | None = None  # joined locally
    last_error_code: str | None = None
    decline_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutSession:
    id: str
    customer: str | None
    status: str | None
    payment_status: str
    created: datetime
    mode: str = "subscription"
    email: str | None = None
    subscription: str | None = None
    invoice: str | None = None
    payment_intent: str | None = None
    amount_total: int | None = None
    currency: str | None = None
    expires_at: datetime | None = None
    recoverable: bool = False  # after_expiration.recovery.url was offered
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    id: str
    charge: str
    status: str
    amount: int
    currency: str
    created: datetime
    reason: str | None = None
    due_by: datetime | None = None
    is_charge_refundable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyFraudWarning:
    id: str
    charge: str
    actionable: bool
    created: datetime
    fraud_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNote:
    id: str
    invoice: str
    customer: str
    amount: int
    currency: str
    status: str
    created: datetime
    refunds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceTransaction:
    """A change of a customer's credit balance; negative amounts are credit."""

    id: str
    customer: str
    amount: int
    currency: str
    created: datetime
    type: str = "adjustment"
    invoice: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingItem:
    """An invoice item that waits for the next invoice."""

    id: str
    customer: str
    amount: int
    currency: str
    created: datetime
    subscription: str | None = None
    proration: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalConfiguration:
    """The account's default customer portal; features as switched on there."""

    id: str
    active: bool = True
    login_page_url: str | None = None
    cancel: bool = False
    update_payment_method: bool = False
    invoice_history: bool = False
    customer_update: bool = False
    tax_id_update: bool = False
    subscription_update: bool = False
