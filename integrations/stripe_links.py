"""Which links go into a reply? Fetched for one reply and kept nowhere: most of them let their holder in."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

from billing.plan import Plan
from billing.steps import (
    SendCheckoutLink,
    SendInvoiceCopy,
    SendInvoiceLink,
    SendPortalLogin,
    Step,
)
from integrations import stripe_schemas as schemas
from integrations.errors import OutsideError
from integrations.stripe_fields import dig
from integrations.stripe_requests import StripeRequests, loaded

PORTAL_PATH = "/v1/billing_portal/configurations"
PORTAL_PARAMS: dict[str, Any] = {"active": "true", "is_default": "true", "limit": 1}


def links_of(requests: StripeRequests, chosen: Plan, seconds: float) -> dict[str, str]:
    """By placeholder of the reply; a link that cannot be had within the time is left out."""
    ends = time.monotonic() + seconds
    links: dict[str, str] = {}
    for planned in chosen.steps:
        try:
            name, link = _link(requests, planned.step, ends)
        except OutsideError:
            continue
        if name and isinstance(link, str) and link.startswith("https://"):
            links.setdefault(name, link)
    return links


def _link(requests: StripeRequests, step: Step, ends: float) -> tuple[str, object]:
    match step:
        case SendPortalLogin():
            configurations = requests.get(PORTAL_PATH, dict(PORTAL_PARAMS), ends).get("data")
            portals, _ = loaded(schemas.PORTAL.load, configurations)
            return "portal_link", portals[0].login_page_url if portals else None
        case SendInvoiceLink() | SendInvoiceCopy():
            return _document(requests, step.object or "", ends)
        case SendCheckoutLink() if step.target and step.target.startswith("cs_"):
            session = requests.get(f"/v1/checkout/sessions/{quote(step.target, safe='')}", {}, ends)
            return "checkout_link", session.get("url") or dig(session, "after_expiration", "recovery", "url")
        case _:
            return "", None


def _document(requests: StripeRequests, identifier: str, ends: float) -> tuple[str, object]:
    if identifier.startswith(("ch_", "py_")):
        return "receipt_link", requests.get(f"/v1/charges/{quote(identifier, safe='')}", {}, ends).get("receipt_url")
    invoice = requests.get(f"/v1/invoices/{quote(identifier, safe='')}", {}, ends)
    return "invoice_link", invoice.get("hosted_invoice_url") or invoice.get("invoice_pdf")
