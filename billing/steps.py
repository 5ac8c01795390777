"""Which single acts exist, and how is one written down? Frozen values with the ids and amounts they are about.

Nothing here can move money. The executor (integrations/stripe_executor.py) matches on the step and ends in
`assert_never`, so a new kind that it does not know fails type checking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import ClassVar, Union, get_args

from billing.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """`kind` is the contract's code; `moves` says that the step writes to Stripe; `object` is what it acts on."""

    kind: ClassVar[str]
    reversible: ClassVar[bool] = True
    moves: ClassVar[bool] = False
    acts_on: ClassVar[str] = ""  # the name of the field that is the contract's `object`

    @property
    def object(self) -> str | None:
        return getattr(self, self.acts_on) if self.acts_on else None

    @property
    def money(self) -> Money | None:
        """The amount the step moves, or None."""
        return getattr(self, "amount", None)


# --- steps that leave Stripe as it is ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SendPortalLogin(_Step):
    kind: ClassVar[str] = "send_portal_login"
    acts_on: ClassVar[str] = "customer"
    customer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePortalSession(_Step):
    """`flow`: payment_method_update, subscription_cancel, subscription_update or None."""

    kind: ClassVar[str] = "create_portal_session"
    acts_on: ClassVar[str] = "customer"
    customer: str
    flow: str | None = None
    subscription: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendInvoiceLink(_Step):
    kind: ClassVar[str] = "send_invoice_link"
    acts_on: ClassVar[str] = "invoice"
    invoice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendInvoiceCopy(_Step):
    """`document` is an invoice, or a charge where a receipt is the only document."""

    kind: ClassVar[str] = "send_invoice_copy"
    acts_on: ClassVar[str] = "document"
    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendCheckoutLink(_Step):
    """`target` is a checkout session that can be recovered, a price, or None: the product's own sign-up page."""

    kind: ClassVar[str] = "send_checkout_link"
    acts_on: ClassVar[str] = "target"
    target: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskCustomer(_Step):
    kind: ClassVar[str] = "ask_customer"
    acts_on: ClassVar[str] = "about"
    question: str  # a stable code of reply.py: which_plan, which_account, write_from_billing_address …
    about: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver(_Step):
    kind: ClassVar[str] = "hand_over"
    acts_on: ClassVar[str] = "about"
    reason: str
    about: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explain(_Step):
    kind: ClassVar[str] = "explain"
    acts_on: ClassVar[str] = "about"
    topic: str  # a stable code of reply.py: seats, proration, hold, scheduled_end, dispute …
    about: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(_Step):
    kind: ClassVar[str] = "wait"
    acts_on: ClassVar[str] = "about"
    reason: str
    about: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteInternalNote(_Step):
    kind: ClassVar[str] = "write_internal_note"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileIssue(_Step):
    """`gap` is a kind of the gap catalogue."""

    kind: ClassVar[str] = "file_issue"
    gap: str


# --- reversible writes --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Write(_Step):
    moves: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleCancellation(_Write):
    kind: ClassVar[str] = "schedule_cancellation"
    acts_on: ClassVar[str] = "subscription"
    subscription: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoCancellation(_Write):
    """`clears` is the one field that is set: cancel_at_period_end or cancel_at."""

    kind: ClassVar[str] = "undo_cancellation"
    acts_on: ClassVar[str] = "subscription"
    subscription: str
    clears: str = "cancel_at_period_end"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldInvoice(_Write):
    kind: ClassVar[str] = "hold_invoice"
    acts_on: ClassVar[str] = "invoice"
    invoice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResendInvoice(_Write):
    kind: ClassVar[str] = "resend_invoice"
    acts_on: ClassVar[str] = "invoice"
    invoice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseCollection(_Write):
    kind: ClassVar[str] = "pause_collection"
    acts_on: ClassVar[str] = "subscription"
    subscription: str
    behavior: str = "keep_as_draft"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeCollection(_Write):
    kind: ClassVar[str] = "resume_collection"
    acts_on: ClassVar[str] = "subscription"
    subscription: str


# --- writes that cannot be taken back -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Final(_Write):
    reversible: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelSubscription(_Final):
    """At once, `prorate=false`, `invoice_now=false`."""

    kind: ClassVar[str] = "cancel_subscription"
    acts_on: ClassVar[str] = "subscription"
    subscription: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeQuantity(_Final):
    kind: ClassVar[str] = "change_quantity"
    acts_on: ClassVar[str] = "subscription"
    subscription: str
    item: str
    quantity: int
    proration_behavior: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePlan(_Final):
    kind: ClassVar[str] = "change_plan"
    acts_on: ClassVar[str] = "subscription"
    subscription: str
    item: str
    price: str
    proration_behavior: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundCharge(_Final):
    """`reason`: duplicate or requested_by_customer; never fraudulent, which blocks the card and address."""

    kind: ClassVar[str] = "refund_charge"
    acts_on: ClassVar[str] = "charge"
    charge: str
    amount: Money
    reason: str = "requested_by_customer"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateCreditNote(_Final):
    """`settle`: refund, credit (the customer's balance) or open (reduces what is still due)."""

    kind: ClassVar[str] = "create_credit_note"
    acts_on: ClassVar[str] = "invoice"
    invoice: str
    amount: Money
    settle: str = "refund"
    reason: str = "order_change"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantBalanceCredit(_Final):
    """`amount` is positive; Stripe's entry is its negative."""

    kind: ClassVar[str] = "grant_balance_credit"
    acts_on: ClassVar[str] = "customer"
    customer: str
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class ReverseBalanceCredit(_Final):
    kind: ClassVar[str] = "reverse_balance_credit"
    acts_on: ClassVar[str] = "customer"
    customer: str
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class PayInvoice(_Final):
    kind: ClassVar[str] = "pay_invoice"
    acts_on: ClassVar[str] = "invoice"
    invoice: str
    amount: Money
    payment_method: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeSubscription(_Final):
    kind: ClassVar[str] = "resume_subscription"
    acts_on: ClassVar[str] = "subscription"
    subscription: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkInvoicePaid(_Final):
    kind: ClassVar[str] = "mark_invoice_paid"
    acts_on: ClassVar[str] = "invoice"
    invoice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VoidInvoice(_Final):
    kind: ClassVar[str] = "void_invoice"
    acts_on: ClassVar[str] = "invoice"
    invoice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkUncollectible(_Final):
    kind: ClassVar[str] = "mark_uncollectible"
    acts_on: ClassVar[str] = "invoice"
    invoice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelPaymentIntent(_Final):
    kind: ClassVar[str] = "cancel_payment_intent"
    acts_on: ClassVar[str] = "payment_intent"
    payment_intent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireCheckoutSession(_Final):
    kind: ClassVar[str] = "expire_checkout_session"
    acts_on: ClassVar[str] = "checkout_session"
    checkout_session: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseSchedule(_Final):
    """The only irreversible step that may precede a reversible one."""

    kind: ClassVar[str] = "release_schedule"
    acts_on: ClassVar[str] = "schedule"
    schedule: str


Step = Union[  # noqa: UP007 - get_args below wants the tuple, and the executor matches on exactly these
    SendPortalLogin, CreatePortalSession, SendInvoiceLink, SendInvoiceCopy, SendCheckoutLink, AskCustomer, HandOver,
    Explain, Wait, WriteInternalNote, FileIssue, ScheduleCancellation, UndoCancellation, HoldInvoice, ResendInvoice,
    PauseCollection, ResumeCollection, CancelSubscription, ChangeQuantity, ChangePlan, RefundCharge, CreateCreditNote,
    GrantBalanceCredit, ReverseBalanceCredit, PayInvoice, ResumeSubscription, MarkInvoicePaid, VoidInvoice,
    MarkUncollectible, CancelPaymentIntent, ExpireCheckoutSession, ReleaseSchedule,
]  # fmt: skip

KINDS: Mapping[str, type[Step]] = {step.kind: step for step in get_args(Step)}


def encode(step: Step) -> dict[str, object]:
    """The step as JSON: `kind` and its own fields. `decode` gives it back."""
    document: dict[str, object] = {"kind": step.kind}
    for spec in fields(step):
        value = getattr(step, spec.name)
        if isinstance(value, Money):
            document[spec.name] = {"amount": value.amount, "currency": value.currency}
        elif isinstance(value, datetime):
            document[spec.name] = value.isoformat()
        elif value is not None:
            document[spec.name] = value
    return document


def decode(document: Mapping[str, object]) -> Step:
    """The step that `encode` wrote down. Raises ValueError for a kind or a field this version does not know."""
    step_type = KINDS.get(str(document.get("kind")))
    if step_type is None:
        raise ValueError("unknown step kind")
    values: dict[str, object] = {}
    for name, value in document.items():
        if name == "kind":
            continue
        if isinstance(value, Mapping):
            value = Money(value["amount"], value["currency"])
        elif name == "until" and isinstance(value, str):
            value = datetime.fromisoformat(value)
        values[name] = value
    try:
        return step_type(**values)  # type: ignore[arg-type]  # the dataclass itself refuses unknown or missing fields
    except TypeError as error:
        raise ValueError(f"not a {step_type.kind} step") from error
