"""What do we take from Stripe's invoices, charges and all else that says where money went?

Amounts are whole minor units or the object is refused. What older versions of the API named elsewhere (the invoice
of a charge, the subscription of an invoice) is read there too.
"""

from __future__ import annotations

from typing import Any

from marshmallow import fields, post_load

from billing import records
from integrations.stripe_fields import (
    Epoch,
    Ref,
    StripeObject,
    amount,
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

Document = dict[str, Any]


def _invoice_payment(document: Document) -> records.InvoicePayment:
    payment = document.get("payment")
    return records.InvoicePayment(
        id=text(document.get("id")) or "", status=text(document.get("status")) or "",
        amount_paid=whole(document.get("amount_paid")),
        payment_intent=reference(dig(payment, "payment_intent")), charge=reference(dig(payment, "charge")),
        payment_record=reference(dig(payment, "payment_record")),
        paid_at=moment(dig(document, "status_transitions", "paid_at")),
    )  # fmt: skip


def line(document: Document) -> records.InvoiceLine:
    """One invoice line. Whether it is metered is known from the price: the reader fills it in."""
    parent, priced = document.get("parent"), dig(document, "pricing", "price_details") or document
    proration = dig(parent, "subscription_item_details", "proration") or dig(
        parent, "invoice_item_details", "proration"
    )
    return records.InvoiceLine(
        id=text(document.get("id")) or "", amount=whole(document.get("amount")),
        description=text(document.get("description")) or "", proration=bool(proration or document.get("proration")),
        price=reference(dig(priced, "price")),
        product=reference(dig(priced, "product")) or reference(dig(priced, "price", "product")),
        quantity=whole_or_none(document.get("quantity")),
        period_start=moment(dig(document, "period", "start")), period_end=moment(dig(document, "period", "end")),
        metered=dig(priced, "price", "recurring", "usage_type") == "metered",
    )  # fmt: skip


class InvoiceSchema(StripeObject):
    customer = Ref(required=True)
    status = optional_text()
    created = Epoch(required=True)
    currency = fields.Str(required=True)
    number = optional_text()
    parent = nested()
    subscription = ref()
    billing_reason = optional_text()
    collection_method = optional_text()
    subtotal = optional_whole()
    total = optional_whole()
    total_taxes = raw()
    total_discount_amounts = raw()
    amount_due = optional_whole()
    amount_paid = optional_whole()
    amount_remaining = optional_whole()
    amount_overpaid = optional_whole()
    starting_balance = optional_whole()
    pre_payment_credit_notes_amount = optional_whole()
    post_payment_credit_notes_amount = optional_whole()
    period_start = time()
    period_end = time()
    due_date = time()
    status_transitions = nested()
    attempt_count = optional_whole()
    next_payment_attempt = time()
    auto_advance = flag(True)
    payments = raw()
    lines = raw()
    on_behalf_of = present()
    metadata = metadata()

    @post_load
    def build(self, data: Document, **kwargs: Any) -> records.Invoice:
        counted = (
            "amount_paid", "amount_overpaid", "starting_balance", "pre_payment_credit_notes_amount",
            "post_payment_credit_notes_amount", "attempt_count",
        )  # fmt: skip
        plain = (
            "id", "customer", "created", "currency", "number", "billing_reason", "period_start", "period_end",
            "due_date", "next_payment_attempt",
        )  # fmt: skip
        values: dict[str, Any] = {name: data[name] for name in plain} | {name: data[name] or 0 for name in counted}
        bound = reference(dig(data["parent"], "subscription_details", "subscription")) or data["subscription"]
        return records.Invoice(
            **values, **_totals(data), status=data["status"] or "draft", subscription=bound,
            collection_method=data["collection_method"] or "charge_automatically",
            tax=sum(whole(one.get("amount")) for one in listed(data["total_taxes"])),
            discount_amount=sum(whole(one.get("amount")) for one in listed(data["total_discount_amounts"])),
            paid_at=moment(dig(data["status_transitions"], "paid_at")), auto_advance=data["auto_advance"] is not False,
            payments=tuple(_invoice_payment(one) for one in listed(data["payments"])),
            lines=tuple(line(one) for one in listed(data["lines"])), connected=bool(data["on_behalf_of"]),
            metadata=data["metadata"] or {},
        )  # fmt: skip


def _totals(data: Document) -> dict[str, Any]:
    """The four amounts that follow from each other where some are absent."""
    paid = data["amount_paid"] or 0
    known = next((data[name] for name in ("total", "amount_due", "subtotal") if data[name] is not None), paid)
    due = data["amount_due"] if data["amount_due"] is not None else max(0, known)
    left = 0 if data["status"] in {"paid", "void"} else max(0, due - paid)
    remaining = data["amount_remaining"] if data["amount_remaining"] is not None else left
    subtotal = data["subtotal"] if data["subtotal"] is not None else known
    return {"subtotal": subtotal, "total": known, "amount_due": due, "amount_remaining": remaining}


class RefundSchema(StripeObject):
    amount = amount()
    currency = fields.Str(required=True)
    status = optional_text()
    created = Epoch(required=True)
    charge = ref()
    reason = optional_text()
    pending_reason = optional_text()
    failure_reason = optional_text()
    destination_details = nested()
    metadata = metadata()

    @post_load
    def build(self, data: Document, **kwargs: Any) -> records.Refund:
        bank = text(dig(data.pop("destination_details"), "card", "reference"))
        data["status"], data["metadata"] = data["status"] or "unknown", data["metadata"] or {}
        return records.Refund(**data, reference=bank)


class ChargeSchema(StripeObject):
    customer = ref()
    status = fields.Str(required=True)
    created = Epoch(required=True)
    amount = amount()
    currency = fields.Str(required=True)
    captured = flag(None)
    amount_captured = optional_whole()
    amount_refunded = optional_whole()
    refunded = flag()
    disputed = flag()
    dispute = present()
    payment_intent = ref()
    invoice = ref()
    refunds = raw()
    payment_method = ref()
    payment_method_details = nested()
    failure_code = optional_text()
    outcome = nested()
    description = optional_text()
    transfer_data = present()
    on_behalf_of = present()
    application_fee = present()
    application_fee_amount = present()
    source_transfer = present()
    presentment_details = nested()
    metadata = metadata()

    @post_load
    def build(self, data: Document, **kwargs: Any) -> records.Charge:
        method, outcome, shown = data["payment_method_details"], data["outcome"], data["presentment_details"]
        plain = ("id", "customer", "status", "created", "amount", "currency", "payment_intent", "invoice",
                 "payment_method", "failure_code", "description")  # fmt: skip
        connect = ("transfer_data", "on_behalf_of", "application_fee", "application_fee_amount", "source_transfer")
        return records.Charge(
            **{name: data[name] for name in plain}, **_settled(data),
            disputed=bool(data["disputed"] or data["dispute"]),
            method_type=text(dig(method, "type")), brand=text(dig(method, "card", "brand")),
            last4=text(dig(method, "card", "last4")), outcome_type=text(dig(outcome, "type")),
            decline_code=text(dig(outcome, "reason")), advice_code=text(dig(outcome, "advice_code")),
            connected=any(data[name] for name in connect),
            presentment_amount=whole_or_none(dig(shown, "presentment_amount")),
            presentment_currency=text(dig(shown, "presentment_currency")), metadata=data["metadata"] or {},
        )  # fmt: skip


def _settled(data: Document) -> dict[str, Any]:
    """What was captured and given back. Absent fields take what the status and the refunds say."""
    refunds = tuple(_REFUND.load(one) for one in listed(data["refunds"]))
    captured = data["status"] == "succeeded" if data["captured"] is None else data["captured"]
    taken = data["amount_captured"]
    given = data["amount_refunded"]
    if given is None:
        given = sum(one.amount for one in refunds if one.status not in {"failed", "canceled"})
    return {
        "refunds": refunds,
        "captured": captured,
        "amount_captured": taken if taken is not None else data["amount"] if captured else 0,
        "amount_refunded": given,
        "refunded": bool(data["refunded"]),
    }


class PaymentMethodSchema(StripeObject):
    customer = ref()
    type = fields.Str(required=True)
    created = Epoch(required=True)
    card = nested()

    @post_load
    def build(self, data: Document, **kwargs: Any) -> records.PaymentMethod:
        card = data["card"]
        return records.PaymentMethod(
            id=data["id"], customer=data["customer"] or "", type=data["type"], created=data["created"],
            brand=text(dig(card, "brand")), last4=text(dig(card, "last4")),
            exp_month=whole_or_none(dig(card, "exp_month")), exp_year=whole_or_none(dig(card, "exp_year")),
        )  # fmt: skip


class PaymentIntentSchema(StripeObject):
    customer = ref()
    status = fields.Str(required=True)
    created = Epoch(required=True)
    amount = amount()
    currency = fields.Str(required=True)
    latest_charge = ref()
    last_payment_error = nested()

    @post_load
    def build(self, data: Document, **kwargs: Any) -> records.PaymentIntent:
        problem = data.pop("last_payment_error")
        return records.PaymentIntent(
            **data, last_error_code=text(dig(problem, "code")), decline_code=text(dig(problem, "decline_code"))
        )


class DisputeSchema(StripeObject):
    charge = Ref(required=True)
    status = fields.Str(required=True)
    amount = amount()
    currency = fields.Str(required=True)
    created = Epoch(required=True)
    reason = optional_text()
    evidence_details = nested()
    is_charge_refundable = flag()

    @post_load
    def build(self, data: Document, **kwargs: Any) -> records.Dispute:
        due_by = moment(dig(data.pop("evidence_details"), "due_by"))
        data["is_charge_refundable"] = bool(data["is_charge_refundable"])
        return records.Dispute(**data, due_by=due_by)


class EarlyFraudWarningSchema(StripeObject):
    charge = Ref(required=True)
    actionable = flag(True)
    created = Epoch(required=True)
    fraud_type = optional_text()

    @post_load
    def build(self, data: Document, **kwargs: Any) -> records.EarlyFraudWarning:
        return records.EarlyFraudWarning(**{**data, "actionable": bool(data["actionable"])})


class CreditNoteSchema(StripeObject):
    invoice = Ref(required=True)
    customer = Ref(required=True)
    amount = amount()
    currency = fields.Str(required=True)
    status = fields.Str(required=True)
    created = Epoch(required=True)
    refunds = raw()

    @post_load
    def build(self, data: Document, **kwargs: Any) -> records.CreditNote:
        refunds = tuple(name for one in listed(data.pop("refunds")) if (name := reference(one.get("refund"))))
        return records.CreditNote(**data, refunds=refunds)


class BalanceTransactionSchema(StripeObject):
    customer = Ref(required=True)
    amount = amount()
    currency = fields.Str(required=True)
    created = Epoch(required=True)
    type = optional_text()
    invoice = ref()

    @post_load
    def build(self, data: Document, **kwargs: Any) -> records.BalanceTransaction:
        return records.BalanceTransaction(**{**data, "type": data["type"] or "adjustment"})


class PendingItemSchema(StripeObject):
    customer = Ref(required=True)
    amount = amount()
    currency = fields.Str(required=True)
    date = Epoch(required=True)
    parent = nested()
    subscription = ref()
    proration = flag()
    description = optional_text()

    @post_load
    def build(self, data: Document, **kwargs: Any) -> records.PendingItem:
        bound = reference(dig(data["parent"], "subscription_details", "subscription")) or data["subscription"]
        return records.PendingItem(
            id=data["id"], customer=data["customer"], amount=data["amount"], currency=data["currency"],
            created=data["date"], subscription=bound, proration=bool(data["proration"]),
            description=data["description"] or "",
        )  # fmt: skip


_REFUND = RefundSchema()
INVOICE, CHARGE, REFUND = InvoiceSchema(), ChargeSchema(), _REFUND
PAYMENT_METHOD, PAYMENT_INTENT = PaymentMethodSchema(), PaymentIntentSchema()
DISPUTE, EARLY_FRAUD_WARNING = DisputeSchema(), EarlyFraudWarningSchema()
CREDIT_NOTE, BALANCE_TRANSACTION, PENDING_ITEM = CreditNoteSchema(), BalanceTransactionSchema(), PendingItemSchema()
