"""Invoices, their payments, and pending invoice items."""

from __future__ import annotations

from integrations.twins.stripe_twin import acts, seats
from integrations.twins.stripe_twin.payments import collect, recover
from integrations.twins.stripe_twin.refusals import Refusal, invalid, not_modelled
from integrations.twins.stripe_twin.response_types import Obj, empty_branch
from integrations.twins.stripe_twin.routes_customers import living
from integrations.twins.stripe_twin.routing import Call, route
from integrations.twins.stripe_twin.store import ident, in_range

PREVIEW_DETAILS = {"items", "proration_date", "proration_behavior", "cancel_now", "cancel_at_period_end"}


@route(
    "GET",
    "/v1/invoices",
    "InvoiceListParams",
    "invoice",
    models="customer subscription status collection_method due_date",
)
def list_invoices(call: Call) -> Obj:
    params = call.params
    found = call.where(
        "invoice",
        customer=params.get("customer"),
        status=params.get("status"),
        collection_method=params.get("collection_method"),
    )
    wanted = params.get("subscription")
    return call.page(
        made
        for made in found
        if wanted in (None, seats.subscription_of(made)) and in_range(made["due_date"], params.get("due_date"))
    )


@route("GET", "/v1/invoices/search", "InvoiceSearchParams", "invoice")
def search_invoices(call: Call) -> Obj:
    return call.search("invoice")


@route("GET", "/v1/invoices/{}", "InvoiceRetrieveParams", "invoice")
def retrieve_invoice(call: Call) -> Obj:
    return call.own("invoice")


@route("GET", "/v1/invoices/{}/lines", "InvoiceLineItemListParams", "line_item", area="invoice")
def list_lines(call: Call) -> Obj:
    return call.page(call.own("invoice")["lines"]["data"])


@route(
    "POST",
    "/v1/invoices/create_preview",
    "InvoiceCreatePreviewParams",
    "invoice",
    reads=True,
    models="customer subscription subscription_details preview_mode",
)
def preview_invoice(call: Call) -> Obj:
    """The next bill: pending items, prorations of the proposed change, the next period. Writes nothing."""
    details = call.params.get("subscription_details", {})
    if unknown := set(details) - PREVIEW_DETAILS:
        raise not_modelled(f"subscription_details[{min(unknown)}]")
    bound = (
        call.get("subscription", call.params["subscription"], "subscription")
        if ("subscription" in call.params)
        else None
    )
    wanted = call.params.get("customer") or (None if bound is None else str(bound["customer"]))
    if wanted is None:
        raise invalid("You must provide one of customer or subscription.", code="parameter_missing", param="customer")
    owner = living(call, wanted, "customer")
    ended = ("canceled", "incomplete_expired")
    if bound is not None and (bound["customer"] != owner["id"] or bound["status"] in ended):
        raise Refusal(400, f"No upcoming invoices for customer: {owner['id']}", code="invoice_upcoming_none")
    lines = [seats.pending_line(call, one, bound) for one in seats.pending(call, owner["id"], ident(bound))]
    if bound is not None:
        lines += _next_lines(call, bound, details)
    if not lines:
        raise Refusal(400, f"No upcoming invoices for customer: {owner['id']}", code="invoice_upcoming_none")
    made = acts.build_invoice(
        call, owner, lines[0]["currency"], lines, subscription=ident(bound), reason="upcoming", metadata={}
    )
    balance = min(int(owner["balance"]), 0)
    made["starting_balance"] = int(owner["balance"])
    made["amount_due"] = made["amount_remaining"] = max(int(made["total"]) + balance, 0)
    made["id"] = f"upcoming_{made['id']}"
    return made


def _next_lines(call: Call, bound: Obj, details: Obj) -> list[Obj]:
    at = int(details.get("proration_date", call.now))
    prorates = details.get("proration_behavior", "create_prorations") != "none"
    changed = (
        {id(item): (before, after) for item, before, after in seats.planned(call, bound, details["items"])}
        if (details.get("items"))
        else {}
    )
    stops = details.get("cancel_now") or details.get("cancel_at_period_end") or bound["cancel_at"] is not None
    lines: list[Obj] = []
    for item in bound["items"]["data"]:
        before, after = changed.get(id(item), (int(item["quantity"] or 0),) * 2)
        if details.get("cancel_now"):
            after = 0
        if before != after and prorates:
            for quantity, sign in ((before, -1), (after, 1)):
                if amount := sign * seats.share(item, quantity, at):
                    lines.append(
                        acts.line(
                            call,
                            amount,
                            bound["currency"],
                            at,
                            item["current_period_end"],
                            item=item,
                            price=item["price"],
                            quantity=quantity,
                            proration=True,
                        )
                    )
        if not stops and after:
            lines.append(_next_period(call, {**item, "quantity": after}))
    return lines


def _next_period(call: Call, item: Obj) -> Obj:
    recurring, start = item["price"]["recurring"], int(item["current_period_end"])
    return acts.item_line(
        call, item, start, acts.add_interval(start, recurring["interval"], recurring["interval_count"])
    )


@route("POST", "/v1/invoices/{}", "InvoiceUpdateParams", "invoice", models="auto_advance metadata description")
def update_invoice(call: Call) -> Obj:
    made = call.touch(call.own("invoice"))
    if "auto_advance" in call.params:
        if made["status"] not in ("draft", "open"):
            raise Refusal(
                400, "You can only change auto_advance of draft and open invoices.", code="invoice_not_editable"
            )
        made["auto_advance"] = call.params["auto_advance"]
    if "description" in call.params:
        if made["status"] != "draft":
            raise Refusal(
                400, "Finalized invoices can't be updated in this way", code="invoice_not_editable", param="description"
            )
        made["description"] = call.params["description"]
    call.merge_metadata(made)
    call.effect(f"invoice {made['id']}: {', '.join(sorted(call.params)) or 'nothing changed'}")
    call.emit("invoice.updated", made)
    return made


@route(
    "POST", "/v1/invoices/{}/pay", "InvoicePayParams", "invoice", models="payment_method off_session paid_out_of_band"
)
def pay_invoice(call: Call) -> Obj:
    made = call.own("invoice")
    if made["status"] == "paid":
        raise Refusal(400, "Invoice is already paid", code="invoice_already_paid")
    if made["status"] not in ("open", "uncollectible"):
        raise Refusal(
            400, f"This invoice cannot be paid, because its status is {made['status']}.", code="invoice_not_editable"
        )
    call.touch(made)
    if call.params.get("paid_out_of_band"):
        made["amount_paid_off_stripe"] = made["amount_remaining"]
        acts.mark_paid(made, call.now, int(made["amount_remaining"]))
        recover(call, made)
        call.effect(f"invoice {made['id']} marked as paid out of band")
        call.emit("invoice.paid", made)
        return made
    due = int(made["amount_remaining"])
    refused = collect(call, made, call.params.get("payment_method"))
    if refused is not None:
        if refused.status == 402:
            call.effect(f"payment of {made['id']} declined: {refused.error.get('code')}")
        raise refused
    call.effect(f"charged {acts.money(due, made['currency'])} for {made['id']}")
    return made


@route("POST", "/v1/invoices/{}/void", "InvoiceVoidInvoiceParams", "invoice")
def void_invoice(call: Call) -> Obj:
    made = _open(call, "open", "uncollectible", deed="void")
    made["status"], made["auto_advance"], made["next_payment_attempt"] = "void", False, None
    made["status_transitions"]["voided_at"] = call.now
    _cancel_payment(call, made)
    recover(call, made)
    call.effect(f"voided invoice {made['id']}")
    call.emit("invoice.voided", made)
    return made


@route("POST", "/v1/invoices/{}/mark_uncollectible", "InvoiceMarkUncollectibleParams", "invoice")
def write_off(call: Call) -> Obj:
    """The subscription of a written-off latest invoice becomes active again: that is Stripe, not a slip."""
    made = _open(call, "open", deed="mark as uncollectible")
    made["status"], made["auto_advance"], made["next_payment_attempt"] = "uncollectible", False, None
    made["status_transitions"]["marked_uncollectible_at"] = call.now
    reason = {**empty_branch("invoice", "status_details", "uncollectible"), "reason": "user_forgiven"}
    made["status_details"] = {"uncollectible": reason}
    recover(call, made)
    call.effect(f"invoice {made['id']} marked uncollectible")
    call.emit("invoice.marked_uncollectible", made)
    return made


def _open(call: Call, *allowed: str, deed: str) -> Obj:
    made = call.own("invoice")
    if made["status"] not in allowed:
        raise Refusal(
            400,
            f"You can only {deed} invoices with status {' or '.join(allowed)}; this invoice is {made['status']}.",
            code="invoice_not_editable",
        )
    return call.touch(made)


def _cancel_payment(call: Call, made: Obj) -> None:
    for link in call.where("invoice_payment", invoice=made["id"], status="open"):
        link["status"] = "canceled"
        link["status_transitions"]["canceled_at"] = call.now
        intent = call.store.find(link["payment"].get("payment_intent"))
        if intent is not None and intent["status"] != "succeeded":
            intent |= {"status": "canceled", "canceled_at": call.now, "cancellation_reason": "void_invoice"}


@route("POST", "/v1/invoices/{}/send", "InvoiceSendInvoiceParams", "invoice")
def send_invoice(call: Call) -> Obj:
    made = call.own("invoice")
    if made["collection_method"] != "send_invoice":
        raise Refusal(400, "You can only manually send an invoice if its collection method is 'send_invoice'.")
    if made["status"] not in ("draft", "open", "paid"):
        raise Refusal(400, f"An invoice with status {made['status']} cannot be sent.", code="invoice_not_editable")
    call.touch(made)
    if made["status"] == "draft":
        acts.finalize(call, made, call.now)
    call.effect(f"sent invoice {made['id']} to {made['customer_email']}")
    call.emit("invoice.sent", made)
    return made


@route(
    "GET",
    "/v1/invoice_payments",
    "InvoicePaymentListParams",
    "invoice_payment",
    area="invoice",
    models="invoice payment status",
)
def list_invoice_payments(call: Call) -> Obj:
    wanted = call.params.get("payment", {})
    found = call.where("invoice_payment", invoice=call.params.get("invoice"), status=call.params.get("status"))
    return call.page(
        made for made in found if all(made["payment"].get(name) == value for name, value in wanted.items())
    )


@route("GET", "/v1/invoice_payments/{}", "InvoicePaymentRetrieveParams", "invoice_payment", area="invoice")
def retrieve_invoice_payment(call: Call) -> Obj:
    return call.own("invoice_payment")


@route(
    "GET", "/v1/invoiceitems", "InvoiceItemListParams", "invoiceitem", area="invoice", models="customer pending invoice"
)
def list_invoice_items(call: Call) -> Obj:
    pending = call.params.get("pending")
    found = call.where("invoiceitem", customer=call.params.get("customer"), invoice=call.params.get("invoice"))
    return call.page(made for made in found if pending in (None, made["invoice"] is None))
