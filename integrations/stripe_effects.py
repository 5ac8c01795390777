"""What did this installation itself change at Stripe since a moment, by Stripe's own record?

Stripe's events name the idempotency key of the request that caused them, and our keys begin with our installation: so
neither another installation's writes nor anything that people wrote into metadata is taken for ours. Events go back 30
days. https://docs.stripe.com/api/events
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from integrations.errors import Garbled
from integrations.stripe_fields import dig, reference
from integrations.stripe_requests import PAGE, Params, StripeRequests

_PATH = "/v1/events"
# One for each kind of write that takes a key; what else the write caused carries the same key and is left out.
TYPES = (
    "refund.created", "credit_note.created", "customer.updated", "customer.subscription.updated",
    "customer.subscription.resumed", "invoice.updated", "invoice.paid", "invoice.voided",
    "invoice.marked_uncollectible", "invoice.sent", "payment_intent.canceled", "checkout.session.expired",
    "subscription_schedule.released",
)  # fmt: skip
_MOST_PAGES = 1000
_TICKET = re.compile(r"[0-9]{1,18}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """`action`: the part of the key after the installation. Minor units; None where the event tells no sum."""

    action: str
    event: str
    object: str
    at: datetime
    status: str | None = None
    amount: int | None = None
    currency: str | None = None
    charge: str | None = None
    customer: str | None = None
    ticket: int | None = None
    refund: str | None = None  # through which the money goes back


def effects_of(
    requests: StripeRequests, installation: str, since: datetime, seconds: float
) -> tuple[Effect, ...]:  # fmt: skip
    """Oldest first, one an action. `seconds`: for each page. Raises OutsideError when not all could be read."""
    found: dict[str, Effect] = {}
    after: Params = {}
    for _ in range(_MOST_PAGES):
        params: Params = {"limit": PAGE, "created": {"gte": int(since.timestamp())}, "types": list(TYPES), **after}
        answer = requests.get(_PATH, params, time.monotonic() + seconds)
        page = answer.get("data")
        if not isinstance(page, list):
            raise Garbled(service="stripe", method="GET", path=_PATH, status=200)
        for event in page:
            effect = _effect(event, installation)
            # The page begins with the newest; of one write the event with a sum says most.
            if effect is not None and (effect.amount is not None or effect.action not in found):
                found[effect.action] = effect
        last = reference(page[-1]) if page else None
        if answer.get("has_more") is not True or last is None:
            return tuple(sorted(found.values(), key=lambda one: (one.at, one.action)))
        after = {"starting_after": last}
    raise Garbled(service="stripe", method="GET", path=_PATH, status=200)


def _effect(event: object, installation: str) -> Effect | None:
    if not isinstance(event, dict):
        return None
    key, changed, created = dig(event, "request", "idempotency_key"), dig(event, "data", "object"), event.get("created")
    if not isinstance(key, str) or not key.startswith(installation + ":") or not isinstance(created, int):
        return None
    kind, identifier = str(event.get("type")), reference(changed)
    if not isinstance(changed, dict) or identifier is None:
        return None
    moved = {"refund.created": "amount", "credit_note.created": "amount"}.get(kind)
    amount, currency = changed.get(moved) if moved else None, changed.get("currency")
    ticket = dig(changed, "metadata", "zendesk_ticket")
    status = changed.get("status")
    whole = isinstance(amount, int) and isinstance(currency, str) and len(currency) == 3
    return Effect(
        action=key.removeprefix(installation + ":")[:60], event=kind, object=identifier[:80],
        at=datetime.fromtimestamp(created, UTC), status=status[:40] if isinstance(status, str) else None,
        amount=amount if whole else None, currency=currency if whole else None,
        charge=reference(changed.get("charge")), refund=_refund(kind, changed),
        customer=identifier if kind == "customer.updated" else reference(changed.get("customer")),
        ticket=int(ticket) if isinstance(ticket, str) and _TICKET.match(ticket) else None,
    )  # fmt: skip


def _refund(kind: str, changed: Mapping[str, object]) -> str | None:
    made = changed.get("refunds") if kind == "credit_note.created" else None
    if isinstance(made, list) and made and isinstance(made[0], dict):
        return reference(made[0].get("refund"))
    return reference(changed) if kind == "refund.created" else None
