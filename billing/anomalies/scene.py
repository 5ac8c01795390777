"""What do all rules look at? The requester's own records, joined once, and the claims of the text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from billing.evidence import TicketEvidence, Wish
from billing.identity import Identity, same_address
from billing.joins import Joins, join
from billing.money import Money
from billing.policy import Policy
from billing.reading.codes import TextCode
from billing.snapshot import Anomaly, BillingSnapshot

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ABOUT_AN_AMOUNT = frozenset(
    {
        TextCode.TXT_EXPLAIN,
        TextCode.TXT_TAX,
        TextCode.TXT_USAGE,
        TextCode.TXT_PRICE_ROSE,
        TextCode.TXT_PRICE_QUESTION,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """`joins` holds the requester's customers and guest sessions only; whom a hint leads to is not in it."""

    evidence: TicketEvidence
    snapshot: BillingSnapshot
    identity: Identity
    policy: Policy
    joins: Joins
    codes: frozenset[str]
    wishes: frozenset[Wish]

    @property
    def now(self) -> datetime:
        return self.snapshot.taken_at

    def says(self, *codes: TextCode) -> bool:
        """Whether the text makes one of these claims."""
        return not self.codes.isdisjoint(codes)

    def wants(self, *wishes: Wish) -> bool:
        return not self.wishes.isdisjoint(wishes)

    def asks_about_an_amount(self) -> bool:
        return self.wants(Wish.EXPLAIN_CHARGE) or not self.codes.isdisjoint(_ABOUT_AN_AMOUNT)


def scene_of(evidence: TicketEvidence, snapshot: BillingSnapshot, identity: Identity, policy: Policy) -> Scene:
    address = evidence.requester.email
    guests = {s.id for s in snapshot.checkout_sessions if s.customer is None and same_address(s.email, address)}
    return Scene(
        evidence=evidence,
        snapshot=snapshot,
        identity=identity,
        policy=policy,
        joins=join(snapshot, identity.candidates, guests=guests),
        codes=evidence.codes(),
        wishes=frozenset(evidence.wishes),
    )


def anomaly(code: str, says: str, objects: Iterable[str | None] = ()) -> Anomaly:
    """Objects in the order given, each once; None (nothing there) is left out."""
    return Anomaly(code=code, says=says, objects=tuple(dict.fromkeys(o for o in objects if o)))


def day(moment: datetime) -> str:
    """`12 Nov 2026`, in UTC."""
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def money(amount: int, currency: str) -> str:
    """`29.00 USD`."""
    return Money(amount, currency).plain()
