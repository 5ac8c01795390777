"""Who is asking, and how far is that proven? The level gates what may be proposed (design/codes.md, identity)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from billing.evidence import TicketEvidence, Verification
from billing.families import carries_owner, groups_in
from billing.joins import Joins, join
from billing.policy import Policy
from billing.records import Customer
from billing.snapshot import BillingSnapshot, Hint

# What an agent reads beside the level, by code; `{n}` is the number of candidates.
REASONS = {
    "same_email": "the requester's e-mail equals the customer's",
    "address_verified": "Zendesk verified that address",
    "address_not_verified": "Zendesk has not verified that address",
    "named_by_operator": "the customer was named by the operator",
    "looked_up": "looked up by hand: the customer has another e-mail than the requester",
    "record_unread": "the customer's own record could not be read",
    "comment_not_trusted": "Zendesk is not sure that the comment can be trusted",
    "author_outside_conversation": "the author is not part of the conversation",
    "author_not_signed_in": "the author was not signed in",
    "on_behalf": "the comment was submitted on somebody's behalf",
    "mail_not_by_user": "the mail may not have been sent by the user",
    "reply_to_suspended": "the reply-to user is suspended",
    "reply_to_differs": "From and Reply-to differ",
    "ownership_unconfirmed": "the ownership of the address is not confirmed",
    "another_author": "somebody else than the requester wrote the request",
    "another_sender": "the mail came from another address than the requester's",
    "id_of_another": "an id in the text leads to a customer with another e-mail",
    "no_customer": "no customer has the requester's e-mail",
    "nobody_named": "nobody is named",
    "mixed_alphabets": "the address mixes letters of two alphabets",
    "id_of_deleted": "an id in the text leads to a deleted customer",
    "id_of_other_mode": "an id in the text belongs to the other mode, test or live",
    "several": "{n} customers have this address",
    "chosen_by_agent": "an agent chose one of them",
    "one_is_live": "one of them has live subscriptions",
    "one_is_bound": "the product is bound to one of them",
    "one_stays": "the subscription that stays belongs to one of them",
    "nothing_tells": "nothing says which of them is meant",
}
# Zendesk's comment flags that say "this may not be the requester" (api-reference/ticketing/tickets/ticket_comments)
DISTRUST = {
    0: "comment_not_trusted",
    2: "author_outside_conversation",
    3: "author_not_signed_in",
    11: "on_behalf",
    14: "mail_not_by_user",
    20: "reply_to_suspended",
    21: "reply_to_differs",
    22: "ownership_unconfirmed",
}
MOST_CANDIDATES = 5
_PROVEN = frozenset({Verification.FULL, Verification.SSO})
_CONFUSABLE = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC"})
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_DEFAULT_POLICY = Policy()


class Level(StrEnum):
    VERIFIED = "verified"
    MATCHED = "matched"
    MISMATCH = "mismatch"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """`candidates` are the requester's customers, most active first; `chosen` None: a person has to pick.

    `distrusted`: a comment flag or a foreign sender forbids every write, whatever the e-mail says.
    """

    level: Level
    reasons: tuple[str, ...]  # codes of REASONS
    candidates: tuple[str, ...] = ()
    chosen: str | None = None
    distrusted: bool = False

    @property
    def why(self) -> tuple[str, ...]:
        """The reasons as sentences."""
        return tuple(REASONS[code].format(n=len(self.candidates)) for code in self.reasons)


def identify(
    evidence: TicketEvidence, snapshot: BillingSnapshot, chosen: str | None = None, policy: Policy = _DEFAULT_POLICY
) -> Identity:
    """Compare the requester's address with the customers found; `chosen` is the customer an agent picked, if any."""
    doubts = _doubts(evidence)
    own = [customer.id for customer in own_customers(evidence, snapshot)]
    unread = [] if own else _unread(snapshot)
    if not own and not unread:
        return _nobody(evidence, snapshot, doubts)
    joins = join(snapshot, own or unread)
    candidates = _most_active_first(own or unread, joins)
    picked, how = _choose(candidates, joins, chosen, policy)
    level, why = _level(evidence, doubts)
    looked_up = {
        customer.id for customer in snapshot.customers if not same_address(customer.email, evidence.requester.email)
    }
    if looked_up.intersection(own) and not evidence.requester.named_by_operator:
        level, why = Level.MISMATCH, ("looked_up",)
    if unread:
        level, why = Level.MATCHED, (*why, "record_unread")
    return Identity(
        level=level,
        reasons=(*why, *doubts, *how),
        candidates=candidates,
        chosen=picked,
        distrusted=bool(doubts),
    )


def own_customers(evidence: TicketEvidence, snapshot: BillingSnapshot) -> tuple[Customer, ...]:
    """Every customer with the requester's address; or those looked up by hand, when they have another one.

    Never both: what two people pay for is not a duplicate.
    """
    present = [customer for customer in snapshot.customers if not customer.deleted]
    own = tuple(customer for customer in present if same_address(customer.email, evidence.requester.email))
    typed = {hint.customer for hint in snapshot.hints if hint.found and hint.typed}
    if typed <= {customer.id for customer in own}:
        return own
    return tuple(customer for customer in present if customer.id in typed) or own


def _unread(snapshot: BillingSnapshot) -> list[str]:
    """Customers with the requester's e-mail by the reader's word only: an id led there, no record came to compare."""
    read = {customer.id for customer in snapshot.customers}
    same = (hint.customer for hint in snapshot.hints if hint.found and hint.same_email and not hint.deleted)
    return [customer for customer in same if customer and customer not in read]


def same_address(one: str | None, other: str | None) -> bool:
    """Whether two e-mail addresses are one, apart from letter case.

    Plus-addresses and other domains differ. So does whatever only looks alike: a non-ASCII letter never equals an
    ASCII one (the Kelvin sign, full-width letters), and a part that mixes alphabets equals nothing, itself included.
    """
    if not one or not other:
        return False
    one, other = one.strip(), other.strip()
    if one.isascii() and other.isascii():
        return one.lower() == other.lower()
    if one.isascii() or other.isascii() or mixes_alphabets(one) or mixes_alphabets(other):
        return False
    return unicodedata.normalize("NFC", one).lower() == unicodedata.normalize("NFC", other).lower()


def mixes_alphabets(address: str) -> bool:
    """A name or a domain label holds letters of two alphabets that look alike, e.g. Latin with one Cyrillic letter."""
    labels = unicodedata.normalize("NFKC", address).replace("@", ".").split(".")
    return any(len(_alphabets(label)) > 1 for label in labels)


def _alphabets(label: str) -> frozenset[str]:
    names = {unicodedata.name(letter, "").partition(" ")[0] for letter in label if letter.isalpha()}
    return _CONFUSABLE.intersection(names)


# --- how far is it proven -----------------------------------------------------------------------------------------


def _doubts(evidence: TicketEvidence) -> tuple[str, ...]:
    requester = evidence.requester
    found = [code for flag, code in DISTRUST.items() if flag in requester.comment_flags]
    if not requester.author_is_requester:
        found.append("another_author")
    if requester.sender_address and not same_address(requester.sender_address, requester.email):
        found.append("another_sender")
    return tuple(found)


def _level(evidence: TicketEvidence, doubts: Sequence[str]) -> tuple[Level, tuple[str, ...]]:
    requester = evidence.requester
    if requester.named_by_operator:
        return Level.MATCHED, ("named_by_operator",)
    if requester.verification not in _PROVEN:
        return Level.MATCHED, ("same_email", "address_not_verified")
    return (Level.MATCHED if doubts else Level.VERIFIED), ("same_email", "address_verified")


def _nobody(evidence: TicketEvidence, snapshot: BillingSnapshot, doubts: tuple[str, ...]) -> Identity:
    found = [hint for hint in snapshot.hints if hint.found and not hint.deleted]
    if found:
        why = ("id_of_another",)
        return Identity(level=Level.MISMATCH, reasons=why + doubts, distrusted=bool(doubts))
    notes = ["no_customer" if evidence.requester.email else "nobody_named"]
    if evidence.requester.email and mixes_alphabets(evidence.requester.email):
        notes.append("mixed_alphabets")
    if any(hint.deleted for hint in snapshot.hints):
        notes.append("id_of_deleted")
    if any(hint.wrong_mode for hint in snapshot.hints):
        notes.append("id_of_other_mode")
    return Identity(level=Level.UNKNOWN, reasons=(*notes, *doubts), distrusted=bool(doubts))


# --- which of them ------------------------------------------------------------------------------------------------


def _most_active_first(customers: Sequence[str], joins: Joins) -> tuple[str, ...]:
    """By live subscriptions, then by the newest thing that happened; at most five."""
    live = dict.fromkeys(customers, 0)
    newest = {id: joins.customers[id].created if id in joins.customers else _LONG_AGO for id in customers}
    for subscription in joins.subscriptions.values():
        live[subscription.customer] += subscription.live
        newest[subscription.customer] = max(newest[subscription.customer], subscription.created)
    for invoice in joins.invoices.values():
        newest[invoice.customer] = max(newest[invoice.customer], invoice.created)
    for charge in joins.charges.values():
        newest[charge.customer or ""] = max(newest[charge.customer or ""], charge.created)
    order = sorted(live, key=lambda id: (live[id], newest[id], id), reverse=True)
    return tuple(order[:MOST_CANDIDATES])


def _choose(
    candidates: tuple[str, ...], joins: Joins, chosen: str | None, policy: Policy
) -> tuple[str | None, tuple[str, ...]]:
    if len(candidates) == 1:
        return candidates[0], ()
    if chosen in candidates:
        return chosen, ("several", "chosen_by_agent")
    paying = {subscription.customer for subscription in joins.live}.intersection(candidates)
    if len(paying) == 1:
        return paying.pop(), ("several", "one_is_live")
    bearing = {s.customer for s in joins.live if carries_owner(s.metadata, policy)}
    bearing |= {c.id for c in joins.customers.values() if carries_owner(c.metadata, policy)}
    bearing &= paying or set(candidates)
    if len(bearing) == 1:
        return bearing.pop(), ("several", "one_is_bound")
    keepers = [group.keeper for group in groups_in(joins, policy)]
    homes = {joins.subscriptions[keeper].customer for keeper in keepers if keeper is not None}
    if len(homes) == 1 and None not in keepers:
        return homes.pop(), ("several", "one_stays")
    return None, ("several", "nothing_tells")


def foreign_hints(evidence: TicketEvidence, snapshot: BillingSnapshot, identity: Identity) -> tuple[Hint, ...]:
    """What ids in the text led to and belongs to somebody else: of these nothing but the id as written may be said."""
    own = {customer.id for customer in own_customers(evidence, snapshot)}.union(identity.candidates, _unread(snapshot))
    return tuple(hint for hint in snapshot.hints if hint.found and not hint.deleted and hint.customer not in own)
