"""Credit notes: an invoice-level correction that reduces what is owed first and gives back the rest."""

from __future__ import annotations

from integrations.twins.stripe_twin import acts
from integrations.twins.stripe_twin.refusals import Refusal, invalid, not_modelled
from integrations.twins.stripe_twin.response_types import Obj, empty_branch, skeleton
from integrations.twins.stripe_twin.routes_refunds import refund
from integrations.twins.stripe_twin.routing import Call, route
from integrations.twins.stripe_twin.store import list_of

PLAYED = "invoice amount lines refund_amount credit_amount out_of_band_amount reason memo email_type metadata"


@route("GET", "/v1/credit_notes", "CreditNoteListParams", "credit_note", models="customer invoice")
def list_credit_notes(call: Call) -> Obj:
    return call.page(
        call.where("credit_note", customer=call.params.get("customer"), invoice=call.params.get("invoice"))
    )


@route("GET", "/v1/credit_notes/preview", "CreditNotePreviewParams", "credit_note", models=PLAYED)
def preview_credit_note(call: Call) -> Obj:
    return _build(call)


@route("GET", "/v1/credit_notes/{}", "CreditNoteRetrieveParams", "credit_note")
def retrieve_credit_note(call: Call) -> Obj:
    return call.own("credit_note")


@route("POST", "/v1/credit_notes", "CreditNoteCreateParams", "credit_note", models=PLAYED)
def create_credit_note(call: Call) -> Obj:
    invoice = call.get("invoice", call.params["invoice"], "invoice")
    made = _build(call)
    charge = _paid_by(call, invoice) if call.params.get("refund_amount") else None
    call.touch(invoice)
    call.store.put(made, live=call.live, at=call.now)
    call.merge_metadata(made)
    pre = int(made["pre_payment_amount"])
    invoice["pre_payment_credit_notes_amount"] += pre
    invoice["post_payment_credit_notes_amount"] += int(made["post_payment_amount"])
    invoice["amount_remaining"] -= pre
    invoice["amount_due"] -= pre
    if pre and invoice["amount_remaining"] == 0:
        acts.mark_paid(invoice, call.now, 0)
    _give_back(call, invoice, made, charge)
    call.effect(f"credit note {acts.money(made['amount'], made['currency'])} on {invoice['id']}")
    call.emit("credit_note.created", made)
    return made


def _give_back(call: Call, invoice: Obj, made: Obj, charge: Obj | None) -> None:
    if charge is not None:
        given = refund(call, charge, call.params["refund_amount"], None)
        made["refunds"] = [
            {
                **empty_branch("credit_note", "refunds"),
                "amount_refunded": given["amount"],
                "refund": given["id"],
                "type": "refund",
                "payment_record_refund": None,
            }
        ]
    if credit := call.params.get("credit_amount"):
        owner = call.store.objects[invoice["customer"]]
        entry = acts.adjust_balance(call, owner, -credit, invoice["currency"], "credit_note", credit_note=made["id"])
        made["customer_balance_transaction"] = entry["id"]


def _build(call: Call) -> Obj:
    """The credit note of the call, not stored. Raises Refusal where the amounts do not fit the invoice."""
    invoice = call.get("invoice", call.params["invoice"], "invoice")
    if invoice["status"] not in ("open", "paid"):
        raise Refusal(
            400,
            f"You can only create a credit note for an invoice that is open or paid; this one is {invoice['status']}.",
        )
    amount, lines = _lines(call, invoice)
    pre = min(amount, int(invoice["amount_remaining"]))
    post = amount - pre
    _check_post(call, invoice, post)
    number = len(call.where("credit_note", invoice=invoice["id"])) + 1
    made = call.unsaved(
        "credit_note",
        invoice=invoice["id"],
        customer=invoice["customer"],
        currency=invoice["currency"],
        amount=amount,
        subtotal=amount,
        total=amount,
        total_excluding_tax=amount,
        subtotal_excluding_tax=amount,
        pre_payment_amount=pre,
        post_payment_amount=post,
        status="issued",
        reason=call.params.get("reason"),
        memo=call.params.get("memo"),
        number=f"{invoice['number']}-CN-{number:02d}",
        metadata={},
        out_of_band_amount=call.params.get("out_of_band_amount"),
        type="mixed" if pre and post else "pre_payment" if pre else "post_payment",
    )
    made["pdf"] = f"https://pay.stripe.test/credit_notes/{made['id']}/pdf"
    made["lines"] = list_of(lines, f"/v1/credit_notes/{made['id']}/lines")
    return made


def _check_post(call: Call, invoice: Obj, post: int) -> None:
    """The three ways to give back must add up to what was paid too much, and not exceed what is left."""
    back = sum(int(call.params.get(name, 0)) for name in ("refund_amount", "credit_amount", "out_of_band_amount"))
    if back != post:
        message = f"The sum of credit amount, refund amount and out of band amount ({back}) must equal the post payment"
        raise Refusal(400, f"{message} amount ({post}).")
    left = _creditable(call, invoice)
    if post > left:
        raise Refusal(400, f"The credit note exceeds what may still be credited ({left}).", param="amount")


def _creditable(call: Call, invoice: Obj) -> int:
    """What was paid less what credit notes and plain refunds already gave back."""
    refunded = sum(acts.refunded_total(call.store, charge["id"]) for charge in _charges(call, invoice))
    others = sum(
        int(note["post_payment_amount"]) - _refunded_by(note)
        for note in call.where("credit_note", invoice=invoice["id"])
        if note["status"] != "void"
    )
    return int(invoice["amount_paid"]) - refunded - others


def _refunded_by(note: Obj) -> int:
    return sum(int(one["amount_refunded"]) for one in note["refunds"])


def _lines(call: Call, invoice: Obj) -> tuple[int, list[Obj]]:
    wanted = call.params.get("lines")
    if wanted is None:
        amount = call.params.get("amount")
        if amount is None or amount <= 0:
            raise invalid("You must provide an amount or lines.", code="parameter_missing", param="amount")
        return amount, [_line(call, amount, None)]
    known = {one["id"]: one for one in invoice["lines"]["data"]}
    made = []
    for number, given in enumerate(wanted):
        if given["type"] != "invoice_line_item" or "amount" not in given:
            raise not_modelled(f"lines[{number}] other than an invoice_line_item with an amount")
        if given.get("invoice_line_item") not in known:
            raise Refusal(
                400,
                f"No such line item: '{given.get('invoice_line_item')}'",
                code="resource_missing",
                param=f"lines[{number}][invoice_line_item]",
            )
        made.append(_line(call, given["amount"], given["invoice_line_item"]))
    return sum(int(one["amount"]) for one in made), made


def _line(call: Call, amount: int, source: str | None) -> Obj:
    return {
        **skeleton("credit_note_line_item"),
        "id": call.store.fresh_id("credit_note_line_item"),
        "amount": amount,
        "livemode": call.live,
        "type": "invoice_line_item" if source else "custom_line_item",
        "invoice_line_item": source,
    }


def _charges(call: Call, invoice: Obj) -> list[Obj]:
    intents = {link["payment"].get("payment_intent") for link in call.where("invoice_payment", invoice=invoice["id"])}
    return [charge for charge in call.where("charge", status="succeeded") if charge["payment_intent"] in intents]


def _paid_by(call: Call, invoice: Obj) -> Obj:
    found = _charges(call, invoice)
    wanted = int(call.params["refund_amount"])
    for charge in found:
        if int(charge["amount_captured"]) - acts.refunded_total(call.store, charge["id"]) >= wanted:
            return charge
    raise Refusal(400, "The refund amount exceeds what is left on the invoice's payment.", param="refund_amount")
