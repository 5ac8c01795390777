"""How do invoices, payments and refunds come about and hang together? Used by the routes and by the seeds alike."""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from integrations.twins.stripe_twin.response_types import Obj, empty_branch, skeleton
from integrations.twins.stripe_twin.store import Store, ident, list_of

ZERO_DECIMAL = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"}
)
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})


class Maker(Protocol):
    """What can make stored objects: a call, or the builder of a world."""

    @property
    def store(self) -> Store: ...
    @property
    def now(self) -> int: ...
    @property
    def live(self) -> bool: ...
    def new(self, kind: str, **fields: Any) -> Obj: ...
    def unsaved(self, kind: str, **fields: Any) -> Obj: ...


def add_interval(start: int, interval: str, count: int) -> int:
    """The moment `count` days, weeks, months or years later; months end on their last day where needed."""
    if interval in ("day", "week"):
        return start + count * 86_400 * (7 if interval == "week" else 1)
    begun = datetime.fromtimestamp(start, UTC)
    months = begun.month - 1 + count * (12 if interval == "year" else 1)
    year, month = begun.year + months // 12, months % 12 + 1
    day = min(begun.day, calendar.monthrange(year, month)[1])
    return int(begun.replace(year=year, month=month, day=day).timestamp())


def money(amount: int, currency: str) -> str:
    """The amount in words of an error message: 29.00 usd, 500 jpy."""
    digits = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    whole, rest = divmod(abs(amount), 10**digits)
    sign = "-" if amount < 0 else ""
    return f"{sign}{whole}{f'.{rest:0{digits}d}' if digits else ''} {currency}"


def line(
    maker: Maker,
    amount: int,
    currency: str,
    start: int,
    end: int,
    *,
    price: Obj | None = None,
    item: Obj | None = None,
    quantity: int = 1,
    proration: bool = False,
    invoice_item: str | None = None,
    description: str | None = None,
) -> Obj:
    """An invoice line; with `item` it belongs to a subscription."""
    made = maker.unsaved(
        "line_item",
        amount=amount,
        subtotal=amount,
        currency=currency,
        quantity=quantity,
        quantity_decimal=str(quantity),
        description=description,
        period={"start": start, "end": end},
    )
    if price is not None:
        made["pricing"] = pricing_of(price)
    if item is not None:
        details = {
            **empty_branch("line_item", "parent", "subscription_item_details"),
            "proration": proration,
            "subscription": item["subscription"],
            "subscription_item": item["id"],
            "invoice_item": invoice_item,
        }
        whole = {**empty_branch("line_item", "parent"), "type": "subscription_item_details"}
        made["parent"] = {**whole, "subscription_item_details": details}
        made["subscription"] = item["subscription"]
    return made


def pricing_of(price: Obj) -> Obj:
    """How a line or a pending item names its price."""
    return {
        "type": "price_details",
        "unit_amount_decimal": price["unit_amount_decimal"],
        "price_details": {"price": price["id"], "product": price["product"]},
    }


def item_line(maker: Maker, item: Obj, start: int, end: int) -> Obj:
    price, quantity = item["price"], int(item.get("quantity") or 0)
    return line(
        maker,
        int(price["unit_amount"] or 0) * quantity,
        price["currency"],
        start,
        end,
        price=price,
        item=item,
        quantity=quantity,
    )


def build_invoice(
    maker: Maker,
    customer: Obj,
    currency: str,
    lines: Sequence[Obj],
    *,
    subscription: str | None = None,
    reason: str = "manual",
    **fields: Any,
) -> Obj:
    """An unsaved draft invoice over these lines; the customer's balance is not yet applied."""
    total = sum(int(made["amount"]) for made in lines)
    due = max(total, 0)
    made = maker.unsaved(
        "invoice",
        customer=customer["id"],
        customer_email=customer["email"],
        customer_name=customer["name"],
        currency=currency,
        status="draft",
        billing_reason=reason,
        collection_method="charge_automatically",
        subtotal=total,
        subtotal_excluding_tax=total,
        total=total,
        total_excluding_tax=total,
        amount_due=due,
        amount_remaining=due,
        period_start=min((one["period"]["start"] for one in lines), default=maker.now),
        period_end=max((one["period"]["end"] for one in lines), default=maker.now),
        auto_advance=True,
    )
    made |= fields
    if subscription is not None:
        made["parent"] = _parent(subscription)
    for one in lines:
        one["invoice"] = made["id"]
    made["lines"] = list_of(list(lines), f"/v1/invoices/{made['id']}/lines")
    return made


def _parent(subscription: str) -> Obj:
    details = {**empty_branch("invoice", "parent", "subscription_details"), "subscription": subscription}
    whole = {**empty_branch("invoice", "parent"), "type": "subscription_details"}
    return {**whole, "subscription_details": {**details, "metadata": {}}}


def finalize(maker: Maker, invoice: Obj, at: int) -> None:
    """Draft becomes open (or paid, when nothing is due), with number and links."""
    customer = maker.store.objects[invoice["customer"]]
    sequence = int(customer.get("next_invoice_sequence") or 1)
    customer["next_invoice_sequence"] = sequence + 1
    invoice["number"] = invoice.get("number") or f"{customer['invoice_prefix']}-{sequence:04d}"
    invoice["hosted_invoice_url"] = f"https://invoice.stripe.test/i/{invoice['id']}"
    invoice["invoice_pdf"] = f"https://pay.stripe.test/invoice/{invoice['id']}/pdf"
    invoice["status_transitions"] |= {"finalized_at": at}
    invoice["status"], invoice["ending_balance"] = "open", invoice["starting_balance"]
    invoice["effective_at"] = at
    if invoice["total"] < 0:
        adjust_balance(
            maker, customer, int(invoice["total"]), invoice["currency"], "applied_to_invoice", invoice=invoice["id"]
        )
    if invoice["amount_remaining"] == 0:
        mark_paid(invoice, at, 0)


def mark_paid(invoice: Obj, at: int, amount: int) -> None:
    """The invoice is settled with this much money."""
    invoice |= {
        "status": "paid",
        "amount_paid": invoice["amount_paid"] + amount,
        "amount_remaining": 0,
        "auto_advance": False,
        "attempted": True,
        "next_payment_attempt": None,
    }
    invoice["status_transitions"] |= {"paid_at": at}


def new_intent(
    maker: Maker, customer: str | None, amount: int, currency: str, method: Obj | None, at: int, **fields: Any
) -> Obj:
    made = maker.new(
        "payment_intent",
        customer=customer,
        amount=amount,
        currency=currency,
        created=at,
        status="requires_payment_method",
        payment_method_types=["card"],
        capture_method="automatic",
        confirmation_method="automatic",
        payment_method=ident(method),
    )
    made["client_secret"] = f"{made['id']}_secret_twin"
    made |= fields
    return made


def new_charge(
    maker: Maker,
    intent: Obj | None,
    customer: Obj | None,
    amount: int,
    currency: str,
    method: Obj | None,
    at: int,
    *,
    decline: str | None = None,
    advice: str | None = None,
    id: str = "",
) -> Obj:
    """A charge, and what it makes of its intent. `decline` is a decline code of the issuer."""
    paid = decline is None
    made = maker.new(
        "charge",
        id=id or maker.store.fresh_id("charge", maker.live),
        amount=amount,
        currency=currency,
        created=at,
        captured=paid,
        paid=paid,
        amount_captured=amount if paid else 0,
        status="succeeded" if paid else "failed",
        outcome=_outcome(decline, advice),
        customer=ident(customer),
        payment_intent=ident(intent),
        payment_method=ident(method),
        payment_method_details=method_details(method),
    )
    made["billing_details"] |= {"email": customer and customer["email"], "name": customer and customer["name"]}
    made["receipt_url"] = f"https://pay.stripe.test/receipts/{made['id']}" if paid else None
    if decline is not None:
        made |= {"failure_code": failure_code(decline), "failure_message": "Your card was declined."}
    if intent is not None:
        intent |= {"latest_charge": made["id"], "amount_received": amount if paid else 0}
        intent["status"] = "succeeded" if paid else "requires_payment_method"
        intent["last_payment_error"] = None if paid else payment_error(made, decline, advice, method)
    return made


def _outcome(decline: str | None, advice: str | None) -> Obj:
    paid = decline is None
    return {
        **empty_branch("charge", "outcome"),
        "type": "authorized" if paid else "issuer_declined",
        "network_status": "approved_by_network" if paid else "declined_by_network",
        "risk_level": "normal",
        "reason": decline,
        "advice_code": advice,
        "seller_message": "Payment complete." if paid else "The bank declined the payment.",
    }


def default_method(owner: Obj | None) -> str | None:
    """The id of the customer's default payment method for invoices."""
    found = None if owner is None else (owner["invoice_settings"] or {}).get("default_payment_method")
    return None if found is None else str(found)


def failure_code(decline: str) -> str:
    own = ("expired_card", "incorrect_cvc", "processing_error", "incorrect_number")
    return decline if decline in own else "card_declined"


def payment_error(charge: Obj, decline: str | None, advice: str | None, method: Obj | None) -> Obj:
    empty = {
        name: value for name, value in empty_branch("payment_intent", "last_payment_error").items() if value is not None
    }
    return {
        **empty,
        "type": "card_error",
        "code": charge["failure_code"],
        "decline_code": decline,
        "advice_code": advice,
        "charge": charge["id"],
        "message": "Your card was declined.",
        "payment_method": method,
    }


def method_details(method: Obj | None) -> Obj:
    """What a charge keeps of the payment method it used."""
    if method is None or method["type"] != "card":
        return {**empty_branch("charge", "payment_method_details"), "type": method["type"] if method else "card"}
    card = empty_branch("charge", "payment_method_details", "card")
    card |= {
        name: method["card"][name]
        for name in ("brand", "last4", "exp_month", "exp_year", "fingerprint", "funding", "country")
    }
    return {**empty_branch("charge", "payment_method_details"), "type": "card", "card": card}


def new_invoice_payment(maker: Maker, invoice: Obj, intent: Obj, *, paid: bool, at: int) -> Obj:
    amount = int(intent["amount"])
    return maker.new(
        "invoice_payment",
        invoice=invoice["id"],
        amount_requested=amount,
        created=at,
        amount_paid=amount if paid else None,
        currency=invoice["currency"],
        is_default=True,
        status="paid" if paid else "open",
        payment={"type": "payment_intent", "payment_intent": intent["id"]},
        status_transitions={"canceled_at": None, "paid_at": at if paid else None},
    )


def adjust_balance(maker: Maker, customer: Obj, amount: int, currency: str, kind: str, **fields: Any) -> Obj:
    """An entry in the customer's credit balance; negative is money the customer has with us."""
    customer["balance"] = int(customer["balance"]) + amount
    customer["currency"] = customer["currency"] or currency
    balances = customer.get("invoice_credit_balance") or {}
    balances[currency] = balances.get(currency, 0) + amount
    customer["invoice_credit_balance"] = balances
    return maker.new(
        "customer_balance_transaction",
        customer=customer["id"],
        amount=amount,
        currency=currency,
        type=kind,
        ending_balance=customer["balance"],
        metadata={},
        **fields,
    )


def new_item(
    maker: Maker, subscription: str, price: Obj, quantity: int | None, start: int, end: int, **fields: Any
) -> Obj:
    """A subscription item; kept inside its subscription, not on its own."""
    made = maker.unsaved(
        "subscription_item",
        subscription=subscription,
        price=price,
        plan=plan_of(price),
        quantity=quantity,
        current_period_start=start,
        current_period_end=end,
    )
    return {**made, "created": start, **fields}


def plan_of(price: Obj) -> Obj:
    """The legacy plan that Stripe still sends beside a price."""
    recurring = price["recurring"] or {}
    return {
        **skeleton("plan"),
        "id": price["id"],
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring.get("interval", "month"),
        "interval_count": recurring.get("interval_count", 1),
        "livemode": price["livemode"],
        "metadata": price["metadata"],
        "product": price["product"],
        "billing_scheme": price["billing_scheme"],
        "usage_type": recurring.get("usage_type", "licensed"),
    }


def refunded_total(store: Store, charge: str) -> int:
    """What is or will be refunded of a charge; failed and canceled refunds give the money back."""
    return sum(
        int(made["amount"])
        for made in store.where("refund", charge=charge)
        if made["status"] not in ("failed", "canceled")
    )


def settle_charge(store: Store, charge: Obj) -> None:
    """Make the charge's refund fields agree with its refunds."""
    total = refunded_total(store, charge["id"])
    charge["amount_refunded"] = total
    charge["refunded"] = charge["amount_captured"] > 0 and total >= charge["amount_captured"]
