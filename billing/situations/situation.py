"""What is one line of the situation table, once it was recognised?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from billing.evidence import Bucket
from billing.situations.wording import short


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A recognised line with the objects that play a part in it; every id belongs to the requester.

    `strength` is the log-odds that Stripe's state alone gives the bucket, `affinity` what the words add or take.
    """

    name: str
    bucket: Bucket
    strength: float
    headline: str  # <= 32 characters
    says: str  # one sentence: what happened
    objects: tuple[str, ...] = ()
    affinity: float = 0.0
    gap: str | None = None
    keep: tuple[str, ...] = ()  # subscriptions that stay
    extra: tuple[str, ...] = ()  # subscriptions that go
    subscription: str | None = None
    invoice: str | None = None
    charges: tuple[str, ...] = ()  # affected ones, newest first
    owed: tuple[tuple[str, int], ...] = ()  # charge and what of it may be given back, in its minor unit
    session: str | None = None
    dispute: str | None = None
    customer: str | None = None
    tie: bool = False  # the keeper cannot be told: ask
    overrules: tuple[Bucket, ...] = ()  # what the words seem to say instead, and this state explains
    person: str | None = None  # why a person has to decide, or None
    would_change: str | None = None


def situations_of(bucket: Bucket, strength: float) -> Callable[..., Situation]:
    """Builds lines of one family, `(name, headline, says, **fields)`; a field may say another bucket or strength."""

    def build(name: str, headline: str, says: str, **fields: Any) -> Situation:
        opening: dict[str, Any] = {"bucket": bucket, "strength": strength}
        return Situation(name=name, headline=short(headline), says=says, **(opening | fields))

    return build
