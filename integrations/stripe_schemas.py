"""What do we take from Stripe's answers? marshmallow at the border, frozen records behind it.

Every schema loads one object of API version 2026-10-28.endive into its record; fields we do not read are dropped,
a field of a wrong type refuses the object. Expandable fields arrive as an id or as the object.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load

from billing import records


class Epoch(fields.Field[datetime]):
    """Unix seconds to a UTC time."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> datetime:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 253_402_300_800:
            raise ValidationError("not a Unix time")
        return datetime.fromtimestamp(value, UTC)


class Ref(fields.Field[str]):
    """The id of an expandable field, expanded or not."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        identifier = value.get("id") if isinstance(value, dict) else value
        if not isinstance(identifier, str):
            raise ValidationError("neither an id nor an object")
        return identifier


class Present(fields.Field[bool]):
    """Whether the field holds anything at all."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        return bool(value)


def _text() -> Any:
    return fields.Str(load_default=None, allow_none=True)


def _whole(default: int | None = 0) -> Any:
    return fields.Int(strict=True, load_default=default, allow_none=True)


def _flag() -> Any:
    return fields.Bool(load_default=False, allow_none=True)


def _time() -> Any:
    return Epoch(load_default=None, allow_none=True)


def _ref() -> Any:
    return Ref(load_default=None, allow_none=True)


def _present() -> Any:
    return Present(load_default=False, allow_none=True)


def _nested() -> Any:
    return fields.Dict(load_default=dict, allow_none=True)


def _metadata() -> Any:
    return fields.Dict(keys=fields.Str(), values=fields.Str(), load_default=dict, allow_none=True)


class _Object(Schema):
    class Meta:
        unknown = EXCLUDE

    id = fields.Str(required=True)


def _dig(document: Any, *path: str) -> Any:
    """The value at a path of keys, None as soon as something is not an object."""
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _moment(value: Any) -> datetime | None:
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int) and not isinstance(value, bool) else None


def _whole_or(value: Any, default: int = 0) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _listed(value: Any) -> list[Any]:
    """The objects of a Stripe list, of a plain list, or none."""
    found = value.get("data") if isinstance(value, dict) else value
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


class CustomerSchema(_Object):
    created = _time()
    email = _text()
    name = _text()
    deleted = _flag()
    livemode = _flag()
    metadata = _metadata()
    currency = _text()
    balance = _whole()
    address = _nested()
    invoice_settings = _nested()
    customer_account = _ref()

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> records.Customer:
        return records.Customer(
            id=data["id"], created=data["created"] or datetime.fromtimestamp(0, UTC), email=data["email"],
            name=data["name"], deleted=bool(data["deleted"]), livemode=bool(data["livemode"]),
            metadata=data["metadata"] or {}, currency=data["currency"], balance=data["balance"] or 0,
            country=_string(_dig(data["address"], "country")), customer_account=data["customer_account"],
            default_payment_method=_ref_id(_dig(data["invoice_settings"], "default_payment_method")),
        )  # fmt: skip


def _ref_id(value: Any) -> str | None:
    return _string(value.get("id")) if isinstance(value, dict) else _string(value)


class PriceSchema(_Object):
    product = Ref(required=True)
    currency = fields.Str(required=True)
    unit_amount = _whole(None)
    recurring = _nested()
    nickname = _text()

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> records.Price:
        recurring = data["recurring"]
        return records.Price(
            id=data["id"], product=data["product"], product_name=data["product"], currency=data["currency"],
            unit_amount=data["unit_amount"], interval=_string(_dig(recurring, "interval")),
            interval_count=_whole_or(_dig(recurring, "interval_count"), 1),
            usage_type=_string(_dig(recurring, "usage_type")) or "licensed", nickname=data["nickname"],
        )  # fmt: skip


class ItemSchema(_Object):
    price = fields.Nested(PriceSchema, required=True)
    quantity = _whole(1)
    current_period_start = Epoch(required=True)
    current_period_end = Epoch(required=True)

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> records.SubscriptionItem:
        return records.SubscriptionItem(**{**data, "quantity": 1 if data["quantity"] is None else data["quantity"]})


def _discount(document: dict[str, Any]) -> records.Discount:
    coupon = _dig(document, "source", "coupon") or document.get("coupon")
    detail = coupon if isinstance(coupon, dict) else {}
    percent = detail.get("percent_off")
    return records.Discount(
        id=str(document.get("id", "")), coupon=_ref_id(coupon), end=_moment(document.get("end")),
        percent_off=float(percent) if isinstance(percent, int | float) else None,
        amount_off=detail.get("amount_off") if isinstance(detail.get("amount_off"), int) else None,
        duration=_string(detail.get("duration")),
    )  # fmt: skip


def _schedule(value: Any) -> records.Schedule | None:
    if isinstance(value, str):
        return records.Schedule(id=value, status="active")
    if not isinstance(value, dict) or not isinstance(value.get("id"), str):
        return None
    return records.Schedule(
        id=value["id"], status=_string(value.get("status")) or "active",
        end_behavior=_string(value.get("end_behavior")) or "release", phases=len(_listed(value.get("phases"))) or 1,
    )  # fmt: skip


class SubscriptionSchema(_Object):
    customer = Ref(required=True)
    status = fields.Str(required=True)
    created = Epoch(required=True)
    start_date = _time()
    items = _nested()
    currency = fields.Str(required=True)
    livemode = _flag()
    collection_method = _text()
    cancel_at = _time()
    cancel_at_period_end = _flag()
    canceled_at = _time()
    ended_at = _time()
    cancellation_details = _nested()
    trial_start = _time()
    trial_end = _time()
    trial_settings = _nested()
    pause_collection = _nested()
    status_details = _nested()
    schedule = fields.Raw(load_default=None, allow_none=True)
    discounts = fields.Raw(load_default=list, allow_none=True)
    default_payment_method = _ref()
    latest_invoice = _ref()
    pending_update = _present()
    billing_mode = _nested()
    automatic_tax = _nested()
    transfer_data = _present()
    on_behalf_of = _present()
    application_fee_percent = _present()
    managed_payments = _nested()
    metadata = _metadata()

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> records.Subscription:
        plain = {
            name: data[name]
            for name in (
                "id", "customer", "status", "created", "currency", "cancel_at", "canceled_at", "ended_at",
                "trial_start", "trial_end", "default_payment_method", "latest_invoice",
            )
        }  # fmt: skip
        return records.Subscription(
            **plain, start_date=data["start_date"] or data["created"], livemode=bool(data["livemode"]),
            items=tuple(_ITEM.load(item) for item in _listed(data["items"])),
            collection_method=data["collection_method"] or "charge_automatically",
            cancel_at_period_end=bool(data["cancel_at_period_end"]),
            cancellation_reason=_string(_dig(data["cancellation_details"], "reason")),
            trial_missing_card=_string(_dig(data["trial_settings"], "end_behavior", "missing_payment_method")),
            pause_collection=_string(_dig(data["pause_collection"], "behavior")),
            paused_type=_string(_dig(data["status_details"], "paused", "subscription", "type")),
            schedule=_schedule(data["schedule"]),
            discounts=tuple(_discount(one) for one in _listed(data["discounts"])),
            pending_update=bool(data["pending_update"]),
            billing_mode=_string(_dig(data["billing_mode"], "type")) or "classic",
            automatic_tax=bool(_dig(data["automatic_tax"], "enabled")),
            connected=bool(data["transfer_data"] or data["on_behalf_of"] or data["application_fee_percent"]),
            managed_payments=bool(_dig(data["managed_payments"], "enabled")), metadata=data["metadata"] or {},
        )  # fmt: skip


def _invoice_payment(document: dict[str, Any]) -> records.InvoicePayment:
    payment = document.get("payment")
    return records.InvoicePayment(
        id=str(document.get("id", "")), status=_string(document.get("status")) or "",
        amount_paid=_whole_or(document.get("amount_paid")),
        payment_intent=_ref_id(_dig(payment, "payment_intent")), charge=_ref_id(_dig(payment, "charge")),
        payment_record=_ref_id(_dig(payment, "payment_record")),
        paid_at=_moment(_dig(document, "status_transitions", "paid_at")),
    )  # fmt: skip


def _line(document: dict[str, Any]) -> records.InvoiceLine:
    parent, price = document.get("parent"), _dig(document, "pricing", "price_details")
    proration = _dig(parent, "subscription_item_details", "proration") or _dig(
        parent, "invoice_item_details", "proration"
    )
    return records.InvoiceLine(
        id=str(document.get("id", "")), amount=_whole_or(document.get("amount")),
        description=_string(document.get("description")) or "", proration=bool(proration),
        price=_ref_id(_dig(price, "price")), product=_ref_id(_dig(price, "product")),
        quantity=document.get("quantity") if isinstance(document.get("quantity"), int) else None,
        period_start=_moment(_dig(document, "period", "start")), period_end=_moment(_dig(document, "period", "end")),
        metered=_dig(price, "meter") is not None or bool(document.get("metered")),
    )  # fmt: skip


class InvoiceSchema(_Object):
    customer = Ref(required=True)
    status = fields.Str(required=True, allow_none=True)
    created = Epoch(required=True)
    currency = fields.Str(required=True)
    number = _text()
    parent = _nested()
    billing_reason = _text()
    collection_method = _text()
    subtotal = _whole()
    total = _whole()
    total_taxes = fields.Raw(load_default=list, allow_none=True)
    total_discount_amounts = fields.Raw(load_default=list, allow_none=True)
    amount_due = _whole()
    amount_paid = _whole()
    amount_remaining = _whole()
    amount_overpaid = _whole()
    starting_balance = _whole()
    pre_payment_credit_notes_amount = _whole()
    post_payment_credit_notes_amount = _whole()
    period_start = _time()
    period_end = _time()
    due_date = _time()
    status_transitions = _nested()
    attempt_count = _whole()
    next_payment_attempt = _time()
    auto_advance = fields.Bool(load_default=True, allow_none=True)
    payments = fields.Raw(load_default=None, allow_none=True)
    lines = fields.Raw(load_default=None, allow_none=True)
    on_behalf_of = _present()
    metadata = _metadata()

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> records.Invoice:
        whole = (
            "subtotal", "total", "amount_due", "amount_paid", "amount_remaining", "amount_overpaid",
            "starting_balance", "pre_payment_credit_notes_amount", "post_payment_credit_notes_amount",
            "attempt_count",
        )  # fmt: skip
        plain = (
            "id", "customer", "created", "currency", "number", "billing_reason", "period_start", "period_end",
            "due_date", "next_payment_attempt",
        )  # fmt: skip
        values: dict[str, Any] = {name: data[name] for name in plain} | {name: data[name] or 0 for name in whole}
        return records.Invoice(
            **values,
            status=data["status"] or "draft",
            subscription=_ref_id(_dig(data["parent"], "subscription_details", "subscription")),
            collection_method=data["collection_method"] or "charge_automatically",
            tax=sum(_whole_or(one.get("amount")) for one in _listed(data["total_taxes"])),
            discount_amount=sum(_whole_or(one.get("amount")) for one in _listed(data["total_discount_amounts"])),
            paid_at=_moment(_dig(data["status_transitions"], "paid_at")), auto_advance=bool(data["auto_advance"]),
            payments=tuple(_invoice_payment(one) for one in _listed(data["payments"])),
            lines=tuple(_line(one) for one in _listed(data["lines"])), connected=bool(data["on_behalf_of"]),
            metadata=data["metadata"] or {},
        )  # fmt: skip


class RefundSchema(_Object):
    amount = fields.Int(strict=True, required=True)
    currency = fields.Str(required=True)
    status = _text()
    created = Epoch(required=True)
    charge = _ref()
    reason = _text()
    pending_reason = _text()
    failure_reason = _text()
    destination_details = _nested()
    metadata = _metadata()

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> records.Refund:
        reference = _string(_dig(data.pop("destination_details"), "card", "reference"))
        data["status"], data["metadata"] = data["status"] or "unknown", data["metadata"] or {}
        return records.Refund(**data, reference=reference)


class ChargeSchema(_Object):
    customer = _ref()
    status = fields.Str(required=True)
    created = Epoch(required=True)
    amount = fields.Int(strict=True, required=True)
    currency = fields.Str(required=True)
    captured = _flag()
    amount_captured = _whole()
    amount_refunded = _whole()
    refunded = _flag()
    disputed = _flag()
    payment_intent = _ref()
    refunds = fields.Raw(load_default=None, allow_none=True)
    payment_method = _ref()
    payment_method_details = _nested()
    failure_code = _text()
    outcome = _nested()
    description = _text()
    transfer_data = _present()
    on_behalf_of = _present()
    application_fee = _present()
    application_fee_amount = _present()
    source_transfer = _present()
    presentment_details = _nested()
    metadata = _metadata()

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> records.Charge:
        method, outcome = data["payment_method_details"], data["outcome"]
        plain = ("id", "customer", "status", "created", "amount", "currency", "payment_intent", "payment_method",
                 "failure_code", "description")  # fmt: skip
        connect = ("transfer_data", "on_behalf_of", "application_fee", "application_fee_amount", "source_transfer")
        shown = _dig(data["presentment_details"], "presentment_amount")
        return records.Charge(
            **{name: data[name] for name in plain}, captured=bool(data["captured"]),
            amount_captured=data["amount_captured"] or 0, amount_refunded=data["amount_refunded"] or 0,
            refunded=bool(data["refunded"]), disputed=bool(data["disputed"]),
            refunds=tuple(_REFUND.load(one) for one in _listed(data["refunds"])),
            method_type=_string(_dig(method, "type")), brand=_string(_dig(method, "card", "brand")),
            last4=_string(_dig(method, "card", "last4")), outcome_type=_string(_dig(outcome, "type")),
            decline_code=_string(_dig(outcome, "reason")),
            advice_code=_string(_dig(outcome, "advice_code")), connected=any(data[name] for name in connect),
            presentment_amount=shown if isinstance(shown, int) else None,
            presentment_currency=_string(_dig(data["presentment_details"], "presentment_currency")),
            metadata=data["metadata"] or {},
        )  # fmt: skip


class PaymentMethodSchema(_Object):
    customer = _ref()
    type = fields.Str(required=True)
    created = Epoch(required=True)
    card = _nested()

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> records.PaymentMethod:
        card = data["card"]
        month, year = _dig(card, "exp_month"), _dig(card, "exp_year")
        return records.PaymentMethod(
            id=data["id"], customer=data["customer"] or "", type=data["type"], created=data["created"],
            brand=_string(_dig(card, "brand")), last4=_string(_dig(card, "last4")),
            exp_month=month if isinstance(month, int) else None, exp_year=year if isinstance(year, int) else None,
        )  # fmt: skip


class PaymentIntentSchema(_Object):
    customer = _ref()
    status = fields.Str(required=True)
    created = Epoch(required=True)
    amount = fields.Int(strict=True, required=True)
    currency = fields.Str(required=True)
    latest_charge = _ref()
    last_payment_error = _nested()

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> records.PaymentIntent:
        problem = data.pop("last_payment_error")
        return records.PaymentIntent(
            **data, last_error_code=_string(_dig(problem, "code")), decline_code=_string(_dig(problem, "decline_code"))
        )


class CheckoutSessionSchema(_Object):
    customer = _ref()
    status = _text()
    payment_status = fields.Str(required=True)
    created = Epoch(required=True)
    mode = fields.Str(load_default="subscription")
    customer_details = _nested()
    customer_email = _text()
    subscription = _ref()
    invoice = _ref()
    payment_intent = _ref()
    amount_total = _whole(None)
    currency = _text()
    expires_at = _time()
    after_expiration = _nested()
    metadata = _metadata()

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> records.CheckoutSession:
        email = _string(_dig(data.pop("customer_details"), "email")) or data["customer_email"]
        recovery = _dig(data.pop("after_expiration"), "recovery", "url")
        data.pop("customer_email")
        data["metadata"] = data["metadata"] or {}
        return records.CheckoutSession(**data, email=email, recoverable=isinstance(recovery, str))


class DisputeSchema(_Object):
    charge = Ref(required=True)
    status = fields.Str(required=True)
    amount = fields.Int(strict=True, required=True)
    currency = fields.Str(required=True)
    created = Epoch(required=True)
    reason = _text()
    evidence_details = _nested()
    is_charge_refundable = _flag()

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> records.Dispute:
        due_by = _moment(_dig(data.pop("evidence_details"), "due_by"))
        data["is_charge_refundable"] = bool(data["is_charge_refundable"])
        return records.Dispute(**data, due_by=due_by)


class EarlyFraudWarningSchema(_Object):
    charge = Ref(required=True)
    actionable = _flag()
    created = Epoch(required=True)
    fraud_type = _text()

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> records.EarlyFraudWarning:
        return records.EarlyFraudWarning(**{**data, "actionable": bool(data["actionable"])})


class CreditNoteSchema(_Object):
    invoice = Ref(required=True)
    customer = Ref(required=True)
    amount = fields.Int(strict=True, required=True)
    currency = fields.Str(required=True)
    status = fields.Str(required=True)
    created = Epoch(required=True)
    refunds = fields.Raw(load_default=list, allow_none=True)

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> records.CreditNote:
        refunds = tuple(r for one in _listed(data.pop("refunds")) if (r := _ref_id(one.get("refund"))))
        return records.CreditNote(**data, refunds=refunds)


class BalanceTransactionSchema(_Object):
    customer = Ref(required=True)
    amount = fields.Int(strict=True, required=True)
    currency = fields.Str(required=True)
    created = Epoch(required=True)
    type = fields.Str(load_default="adjustment")
    invoice = _ref()

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> records.BalanceTransaction:
        return records.BalanceTransaction(**data)


class PendingItemSchema(_Object):
    customer = Ref(required=True)
    amount = fields.Int(strict=True, required=True)
    currency = fields.Str(required=True)
    date = Epoch(required=True)
    parent = _nested()
    proration = _flag()
    description = _text()

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> records.PendingItem:
        return records.PendingItem(
            id=data["id"], customer=data["customer"], amount=data["amount"], currency=data["currency"],
            created=data["date"], subscription=_ref_id(_dig(data["parent"], "subscription_details", "subscription")),
            proration=bool(data["proration"]), description=data["description"] or "",
        )  # fmt: skip


class PortalSchema(_Object):
    active = _flag()
    login_page = _nested()
    features = _nested()

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> records.PortalConfiguration:
        features = data["features"]

        def on(name: str) -> bool:
            return bool(_dig(features, name, "enabled"))

        updates = _dig(features, "customer_update", "allowed_updates")
        login = data["login_page"]
        return records.PortalConfiguration(
            id=data["id"], active=bool(data["active"]),
            login_page_url=_string(_dig(login, "url")) if _dig(login, "enabled") else None,
            cancel=on("subscription_cancel"), update_payment_method=on("payment_method_update"),
            invoice_history=on("invoice_history"), customer_update=on("customer_update"),
            tax_id_update=on("customer_update") and isinstance(updates, list) and "tax_id" in updates,
            subscription_update=on("subscription_update"),
        )  # fmt: skip


_ITEM, _REFUND = ItemSchema(), RefundSchema()
CUSTOMER, SUBSCRIPTION, INVOICE, CHARGE = CustomerSchema(), SubscriptionSchema(), InvoiceSchema(), ChargeSchema()
PAYMENT_METHOD, PAYMENT_INTENT = PaymentMethodSchema(), PaymentIntentSchema()
CHECKOUT_SESSION, DISPUTE, EARLY_FRAUD_WARNING = CheckoutSessionSchema(), DisputeSchema(), EarlyFraudWarningSchema()
CREDIT_NOTE, BALANCE_TRANSACTION, PENDING_ITEM = CreditNoteSchema(), BalanceTransactionSchema(), PendingItemSchema()
PORTAL, REFUND = PortalSchema(), RefundSchema()
