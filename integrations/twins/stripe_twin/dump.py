"""What is in the account, as JSON for a page or a test in another process?"""

from __future__ import annotations

from typing import Any

from integrations.twins.stripe_twin.response_types import Obj
from integrations.twins.stripe_twin.store import Store

LISTED = {
    "customers": "customer",
    "subscriptions": "subscription",
    "invoices": "invoice",
    "charges": "charge",
    "refunds": "refund",
    "disputes": "dispute",
    "credit_notes": "credit_note",
    "payment_intents": "payment_intent",
    "payment_methods": "payment_method",
    "checkout_sessions": "checkout.session",
    "portal_sessions": "billing_portal.session",
    "balance_transactions": "customer_balance_transaction",
    "schedules": "subscription_schedule",
    "products": "product",
    "prices": "price",
}


def dump(store: Store) -> dict[str, Any]:
    """Every kind as a list, oldest first."""
    return {name: [_whole(made) for made in store.of_kind(kind)] for name, kind in LISTED.items()}


def _whole(made: Obj) -> Obj:
    return dict(made)
