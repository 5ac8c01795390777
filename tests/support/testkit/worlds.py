"""Which Stripe and Zendesk states do journeys start from?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from testkit.rig import Rig


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """One person, two live Pro subscriptions; `charge` is the extra one's payment."""

    email: str
    ticket: int
    customer: str
    kept: str
    extra: str
    charge: str


def extra_invoice(rig: Any, seeded: Duplicate) -> str:
    """The invoice of the extra subscription."""
    return next(
        str(one["id"])
        for one in rig.stripe.state()["invoices"]
        if one["parent"]["subscription_details"]["subscription"] == seeded.extra
    )


def plan_of(rig: Rig) -> Any:
    """The Pro price, made once."""
    known = [one for one in rig.stripe.state().get("prices", []) if one["unit_amount"] == 2900]
    if known:
        return known[0]
    rig.world.portal_configuration()
    return rig.world.price(rig.world.product("Pro"), 2900)


def duplicate(rig: Rig, price: Any, number: int = 1) -> Duplicate:
    """Charged twice this month, by a verified requester."""
    email = f"maya{number}@acme.example"
    customer = rig.world.customer(email, "Maya Okafor")
    rig.world.payment_method(customer)
    now = rig.stripe.now()
    kept = rig.world.subscription(customer, price, created=now - timedelta(days=80))
    extra = rig.world.subscription(customer, price, created=now - timedelta(days=10))
    charges = [c for c in rig.stripe.state()["charges"] if c["customer"] == customer["id"]]
    newest = max(charges, key=lambda c: c["created"])
    text = "Hi, I was charged twice this month for Pro. Please refund one."
    ticket = rig.ticket(email, "Charged twice this month??", text)
    return Duplicate(
        email=email, ticket=ticket, customer=customer["id"], kept=kept["id"], extra=extra["id"], charge=newest["id"]
    )
