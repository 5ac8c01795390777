"""What does the ticket say, who wrote it, and how far is that proven?

Text is a stranger's: it may lower what may be done, it never selects an object, an amount or a recipient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Bucket(StrEnum):
    """What a ticket is about: the seed's five, and three honest others (codebook, data/labels.md section 2)."""

    DUPLICATE_SUBSCRIPTION = "duplicate_subscription"
    TEAM_SEATS = "team_seats"
    FAILED_PAYMENT = "failed_payment"
    SELF_SERVE_GAP = "self_serve_gap"
    PRODUCT_FAILURE = "product_failure"
    OTHER_BILLING = "other_billing"
    NOT_BILLING = "not_billing"
    UNDECIDED = "undecided"


class Verification(StrEnum):
    """Zendesk's `verification_method` of the requester's e-mail identity, strongest first."""

    FULL = "full"
    SSO = "sso"
    EMBED = "embed"
    LOW = "low"
    NONE = "none"


class Wish(StrEnum):
    """What is asked for, in the order asked; a complaint without a request has none."""

    REFUND = "refund"
    CANCEL = "cancel"
    KEEP = "keep"  # stay subscribed, take a cancellation back
    INVOICE = "invoice"
    TAX_ID = "tax_id"
    UPDATE_CARD = "update_card"
    PAY = "pay"
    RESTORE_ACCESS = "restore_access"
    EXPLAIN_CHARGE = "explain_charge"
    CHANGE_SEATS = "change_seats"
    CHANGE_PLAN = "change_plan"
    REFUND_STATUS = "refund_status"


class IdentifierKind(StrEnum):
    EMAIL = "email"
    STRIPE_ID = "stripe_id"
    INVOICE_NUMBER = "invoice_number"
    LAST4 = "last4"
    AMOUNT = "amount"  # value: "2900 usd" (minor units), or "2900 ?" when the currency is not named
    DATE = "date"  # value: ISO date
    GITHUB_LOGIN = "github_login"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """Something in the text that may name an object: a hint for reading, never a selection."""

    kind: IdentifierKind
    value: str
    quote: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSignal:
    """One thing the words say: a stable code, the quoted span, and its log-odds per bucket.

    `group` caps what correlated signals may add up to together.
    """

    code: str
    quote: str
    group: str
    weights: Mapping[Bucket, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketText:
    """The comment that carries the request, as Zendesk holds it, before anything was read out of it."""

    subject: str
    body: str
    channel: str = "email"
    headers: Mapping[str, str] = field(default_factory=dict)
    written_at: datetime | None = None  # None: the ticket's description, or not told


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """Who asks. `email` None: nobody is named. `named_by_operator`: a person at our side chose whom to look up."""

    email: str | None = None
    name: str | None = None
    locale: str | None = None
    verification: Verification = Verification.NONE
    comment_flags: frozenset[int] = frozenset()
    author_is_requester: bool = True
    sender_address: str | None = None  # the From address of the mail that carries the request, when known
    named_by_operator: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondReading:
    """How somebody else reads the words, with the span that decided. It can only take confidence away."""

    bucket: Bucket
    quote: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketEvidence:
    """All that the core knows of a ticket. `text`: the newest part, at most 4,000 characters, no card numbers."""

    ticket_id: int | None = None
    requester: Requester = Requester()
    subject: str = ""
    text: str = ""
    language: str = "en"  # ISO 639-1, of the text; the reply is written in it
    signals: tuple[TextSignal, ...] = ()
    wishes: tuple[Wish, ...] = ()
    identifiers: tuple[Identifier, ...] = ()
    machine_mail: bool = False  # auto-reply, bounce, newsletter …
    instructions_to_machine: bool = False  # text that addresses an assistant or system
    has_text: bool = False  # False: nothing to act on was written
    asked_at: datetime | None = None  # when the customer wrote what was read; None: not told
    second_reading: SecondReading | None = None

    def codes(self) -> frozenset[str]:
        """The codes of all signals, for predicates such as `TXT_CLAIMS_CANCELLED in evidence.codes()`."""
        return frozenset(signal.code for signal in self.signals)
