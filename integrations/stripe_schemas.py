"""What do we take from Stripe's customers, subscriptions and portal? marshmallow at the border, records behind it.

Every schema loads one object of API version 2026-10-28.endive. Fields that a stand-in or an older account leaves out
have defaults, and the places they had before (the plan, the subscription's own period) are looked at too.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from marshmallow import ValidationError, fields, post_load

from billing import records
from integrations.stripe_fields import (
    Epoch,
    Ref,
    StripeObject,
    dig,
    flag,
    listed,
    metadata,
    moment,
    nested,
    optional_text,
    optional_whole,
    present,
    raw,
    ref,
    reference,
    text,
    time,
    whole,
    whole_or_none,
)

_ENDED_SCHEDULES = frozenset({"released", "canceled", "completed"})
Document = dict[str, Any]


class CustomerSchema(StripeObject):
    created = time()
    email = optional_text()
    name = optional_text()
    deleted = flag()
    livemode = flag()
    metadata = metadata()
    currency = optional_text()
    balance = optional_whole()
    address = nested()
    invoice_settings = nested()
    customer_account = ref()

    @post_load
    def build(self, data: Document, **kwargs: Any) -> records.Customer:
        return records.Customer(
            id=data["id"], created=data["created"] or datetime.fromtimestamp(0, UTC), email=data["email"],
            name=data["name"], deleted=bool(data["deleted"]), livemode=bool(data["livemode"]),
            metadata=data["metadata"] or {}, currency=data["currency"], balance=data["balance"] or 0,
            country=text(dig(data["address"], "country")), customer_account=data["customer_account"],
            default_payment_method=reference(dig(data["invoice_settings"], "default_payment_method")),
        )  # fmt: skip


def _price(item: Document, currency: str | None) -> records.Price:
    """An item's price, or its plan where that is all there is. Raises ValidationError."""
    price = item.get("price") or item.get("plan")
    if isinstance(price, str):
        price = {"id": price}
    if not isinstance(price, dict) or not isinstance(price.get("id"), str):
        raise ValidationError("no price")
    recurring = price.get("recurring") or price  # a plan carries interval and usage type itself
    product = price.get("product")
    identifier = reference(product) or price["id"]
    sold_in = text(price.get("currency")) or currency
    if sold_in is None:
        raise ValidationError("no currency")
    unit = price.get("unit_amount", price.get("amount"))
    return records.Price(
        id=price["id"], product=identifier, product_name=text(dig(product, "name")) or identifier, currency=sold_in,
        unit_amount=whole_or_none(unit), interval=text(dig(recurring, "interval")),
        interval_count=whole(dig(recurring, "interval_count"), 1),
        usage_type=text(dig(recurring, "usage_type")) or "licensed", nickname=text(price.get("nickname")),
    )  # fmt: skip


def _item(item: Document, whole_period: tuple[Any, Any], start: datetime, currency: str | None) -> Any:
    """A subscription item. Without any period, it ends where it starts: the reader then works it out."""
    if not isinstance(item.get("id"), str):
        raise ValidationError("no id")
    begins = moment(item.get("current_period_start", whole_period[0])) or start
    return records.SubscriptionItem(
        id=item["id"], price=_price(item, currency), quantity=whole(item.get("quantity"), 1),
        current_period_start=begins,
        current_period_end=moment(item.get("current_period_end", whole_period[1])) or begins,
    )  # fmt: skip


def _discount(document: object) -> records.Discount:
    if isinstance(document, str):
        return records.Discount(id=document)
    coupon = dig(document, "source", "coupon") or dig(document, "coupon")
    percent = dig(coupon, "percent_off")
    return records.Discount(
        id=reference(document) or "", coupon=reference(coupon), end=moment(dig(document, "end")),
        percent_off=float(percent) if isinstance(percent, int | float) else None,
        amount_off=whole_or_none(dig(coupon, "amount_off")), duration=text(dig(coupon, "duration")),
    )  # fmt: skip


def _discounts(data: Document) -> tuple[records.Discount, ...]:
    several = data["discounts"]
    several = several.get("data") if isinstance(several, dict) else several
    found = [*(several if isinstance(several, list) else []), data["discount"]]
    return tuple(_discount(one) for one in found if isinstance(one, dict | str) and one)


def _schedule(value: Any) -> records.Schedule | None:
    if isinstance(value, str):
        return records.Schedule(id=value, status="active")
    identifier, status = reference(value), text(dig(value, "status")) or "active"
    if identifier is None or status in _ENDED_SCHEDULES:
        return None
    now = dig(value, "current_phase", "start_date")
    phases = listed(dig(value, "phases"))
    left = [one for one in phases if now is None or whole(one.get("end_date"), whole(now) + 1) > whole(now)]
    return records.Schedule(
        id=identifier, status=status, end_behavior=text(dig(value, "end_behavior")) or "release", phases=len(left) or 1
    )


class SubscriptionSchema(StripeObject):
    customer = Ref(required=True)
    status = fields.Str(required=True)
    created = Epoch(required=True)
    start_date = time()
    items = raw()
    currency = optional_text()
    current_period_start = raw()
    current_period_end = raw()
    livemode = flag()
    collection_method = optional_text()
    cancel_at = time()
    cancel_at_period_end = flag()
    canceled_at = time()
    ended_at = time()
    cancellation_details = nested()
    trial_start = time()
    trial_end = time()
    trial_settings = nested()
    pause_collection = nested()
    status_details = nested()
    schedule = raw()
    discounts = raw()
    discount = raw()
    default_payment_method = ref()
    latest_invoice = ref()
    pending_update = present()
    billing_mode = nested()
    automatic_tax = nested()
    transfer_data = present()
    on_behalf_of = present()
    application_fee_percent = present()
    managed_payments = nested()
    metadata = metadata()

    @post_load
    def build(self, data: Document, **kwargs: Any) -> records.Subscription:
        plain = {
            name: data[name]
            for name in (
                "id", "customer", "status", "created", "cancel_at", "canceled_at", "ended_at",
                "trial_start", "trial_end", "default_payment_method", "latest_invoice",
            )
        }  # fmt: skip
        start = data["start_date"] or data["created"]
        period = data["current_period_start"], data["current_period_end"]
        items = tuple(_item(one, period, start, data["currency"]) for one in listed(data["items"]))
        currency = data["currency"] or (items[0].price.currency if items else None)
        if currency is None:
            raise ValidationError("no currency")
        return records.Subscription(
            **plain, **_contract(data), start_date=start, items=items, currency=currency,
            livemode=bool(data["livemode"]), collection_method=data["collection_method"] or "charge_automatically",
            cancel_at_period_end=bool(data["cancel_at_period_end"]),
            cancellation_reason=text(dig(data["cancellation_details"], "reason")),
            trial_missing_card=text(dig(data["trial_settings"], "end_behavior", "missing_payment_method")),
            pause_collection=text(dig(data["pause_collection"], "behavior")),
            paused_type=text(dig(data["status_details"], "paused", "subscription", "type")),
            discounts=_discounts(data), metadata=data["metadata"] or {},
        )  # fmt: skip


def _contract(data: Document) -> dict[str, Any]:
    """What decides whether the subscription may be touched at all."""
    return {
        "schedule": _schedule(data["schedule"]),
        "pending_update": bool(data["pending_update"]),
        "billing_mode": text(dig(data["billing_mode"], "type")) or "classic",
        "automatic_tax": bool(dig(data["automatic_tax"], "enabled")),
        "connected": bool(data["transfer_data"] or data["on_behalf_of"] or data["application_fee_percent"]),
        "managed_payments": bool(dig(data["managed_payments"], "enabled")),
    }


class CheckoutSessionSchema(StripeObject):
    customer = ref()
    status = optional_text()
    payment_status = optional_text()
    created = Epoch(required=True)
    mode = optional_text()
    customer_details = nested()
    customer_email = optional_text()
    subscription = ref()
    invoice = ref()
    payment_intent = ref()
    amount_total = optional_whole()
    currency = optional_text()
    expires_at = time()
    after_expiration = nested()
    metadata = metadata()

    @post_load
    def build(self, data: Document, **kwargs: Any) -> records.CheckoutSession:
        email = text(dig(data.pop("customer_details"), "email")) or data.pop("customer_email")
        data.pop("customer_email", None)
        recovery = dig(data.pop("after_expiration"), "recovery", "url")
        data["metadata"], data["mode"] = data["metadata"] or {}, data["mode"] or "subscription"
        data["payment_status"] = data["payment_status"] or ("paid" if data["status"] == "complete" else "unpaid")
        return records.CheckoutSession(**data, email=email, recoverable=isinstance(recovery, str))


class PortalSchema(StripeObject):
    active = flag(True)
    login_page = nested()
    features = nested()

    @post_load
    def build(self, data: Document, **kwargs: Any) -> records.PortalConfiguration:
        features = data["features"]

        def on(name: str) -> bool:
            """Where nothing is told of any feature, none is called off: that would be filed as a gap."""
            return bool(dig(features, name, "enabled")) if features else True

        updates = dig(features, "customer_update", "allowed_updates")
        login = data["login_page"]
        return records.PortalConfiguration(
            id=data["id"], active=data["active"] is not False,
            login_page_url=text(dig(login, "url")) if dig(login, "enabled") else None,
            cancel=on("subscription_cancel"), update_payment_method=on("payment_method_update"),
            invoice_history=on("invoice_history"), customer_update=on("customer_update"),
            tax_id_update=not features or (on("customer_update") and isinstance(updates, list) and "tax_id" in updates),
            subscription_update=on("subscription_update"),
        )  # fmt: skip


CUSTOMER, SUBSCRIPTION = CustomerSchema(), SubscriptionSchema()
CHECKOUT_SESSION, PORTAL = CheckoutSessionSchema(), PortalSchema()
