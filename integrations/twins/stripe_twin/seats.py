"""What do changes of a subscription's items cost, and how do pending items become invoices?

Proration is by the second over the item's current period, rounded half up; no taxes, no discounts.
"""

from __future__ import annotations

from typing import Any

from integrations.twins.stripe_twin import acts
from integrations.twins.stripe_twin.payments import collect
from integrations.twins.stripe_twin.refusals import Refusal, invalid, missing, not_modelled
from integrations.twins.stripe_twin.response_types import Obj, empty_branch
from integrations.twins.stripe_twin.routing import Call


def subscription_of(invoice: Obj) -> str | None:
    """The subscription an invoice belongs to."""
    details: Obj = (invoice["parent"] or {}).get("subscription_details") or {}
    found = details.get("subscription")
    return None if found is None else str(found)


def change_items(call: Call, made: Obj) -> str:
    """Apply `items`, with prorations as asked for; always_invoice bills and charges them at once."""
    plan = planned(call, made, call.params["items"])
    behavior = call.params.get("proration_behavior", "create_prorations")
    at = int(call.params.get("proration_date", call.now))
    if behavior != "none" and made["status"] != "trialing":
        for item, before, after in plan:
            _prorate(call, made, item, before, after, at)
    words = []
    for item, before, after in plan:
        item["quantity"] = after
        words.append(f"{item['id']} quantity {before} -> {after}")
    made["items"]["data"] = [item for item, _, after in plan if after != 0] + [
        item for item in made["items"]["data"] if all(item is not changed for changed, _, _ in plan)
    ]
    if behavior == "always_invoice" and (invoice := invoice_pending(call, made, reason="subscription_update")):
        words.append(f"invoiced {acts.money(invoice['total'], invoice['currency'])}")
    return ", ".join(words)


def planned(call: Call, made: Obj, wanted: list[Obj]) -> list[tuple[Obj, int, int]]:
    """(item, quantity before, quantity after); 0 removes it. Raises Refusal."""
    found: list[tuple[Obj, int, int]] = []
    known = {item["id"]: item for item in made["items"]["data"]}
    for number, given in enumerate(wanted):
        if "id" not in given:
            raise not_modelled("adding subscription items")
        if extra := set(given) - {"id", "quantity", "deleted", "price"}:
            raise not_modelled(f"items[{number}][{min(extra)}]")
        item = known.get(given["id"])
        if item is None:
            raise missing("subscription_item", given["id"], f"items[{number}][id]")
        if given.get("price", item["price"]["id"]) != item["price"]["id"]:
            raise not_modelled("price changes of a subscription item")
        after = 0 if given.get("deleted") else given.get("quantity", item["quantity"])
        if after < 0:
            raise invalid("Invalid non-negative integer", param=f"items[{number}][quantity]")
        found.append((item, int(item["quantity"] or 0), after))
    if all(after == 0 and given.get("deleted") for (_, _, after), given in zip(found, wanted, strict=True)) and (
        len(found) == len(known)
    ):
        raise Refusal(400, "A subscription must have at least one active plan.")
    return found


def share(item: Obj, quantity: int, at: int) -> int:
    """The price of this many units from `at` to the end of the item's period, in minor units."""
    start, end = int(item["current_period_start"]), int(item["current_period_end"])
    whole = int(item["price"]["unit_amount"] or 0) * quantity
    left = min(max(end - at, 0), end - start)
    return (2 * whole * left + (end - start)) // (2 * (end - start)) if end > start else 0


def _prorate(call: Call, made: Obj, item: Obj, before: int, after: int, at: int) -> None:
    for quantity, sign, words in ((before, -1, "Unused time on"), (after, 1, "Remaining time on")):
        amount = sign * share(item, quantity, at)
        if amount:
            pending_item(call, made, item, amount, quantity, at, f"{words} {quantity} x {item['price']['id']}")


def pending_item(call: Call, made: Obj, item: Obj, amount: int, quantity: int, at: int, words: str) -> Obj:
    details = {
        **empty_branch("invoiceitem", "parent", "subscription_details"),
        "subscription": made["id"],
        "subscription_item": item["id"],
    }
    return call.new(
        "invoiceitem",
        customer=made["customer"],
        amount=amount,
        currency=made["currency"],
        date=call.now,
        proration=True,
        quantity=quantity,
        quantity_decimal=str(quantity),
        description=words,
        metadata={},
        parent={"type": "subscription_details", "subscription_details": details},
        pricing=acts.pricing_of(item["price"]),
        period={"start": at, "end": item["current_period_end"]},
    )


def pending(call: Call, customer: str, subscription: str | None) -> list[Obj]:
    """Items waiting for the next invoice of this subscription (or of none)."""
    return [
        one
        for one in call.where("invoiceitem", customer=customer)
        if one["invoice"] is None and _owner(one) in (None, subscription)
    ]


def _owner(one: Obj) -> str | None:
    details: Obj = (one["parent"] or {}).get("subscription_details") or {}
    return details.get("subscription")


def pending_line(call: Call, one: Obj, made: Obj | None) -> Obj:
    """The invoice line that a pending item becomes."""
    found: Any = (one["parent"] or {}).get("subscription_details") or {}
    items = made["items"]["data"] if made is not None else []
    item = next((item for item in items if item["id"] == found.get("subscription_item")), None)
    return acts.line(
        call,
        one["amount"],
        one["currency"],
        one["period"]["start"],
        one["period"]["end"],
        item=item,
        price=None if item is None else item["price"],
        quantity=one["quantity"],
        proration=one["proration"],
        invoice_item=one["id"],
        description=one["description"],
    )


def invoice_pending(call: Call, made: Obj, reason: str = "subscription_update") -> Obj | None:
    """Bill what is pending now, and charge it. A negative total becomes credit of the customer."""
    waiting = pending(call, made["customer"], made["id"])
    if not waiting:
        return None
    owner = call.store.objects[made["customer"]]
    lines = [pending_line(call, one, made) for one in waiting]
    invoice = acts.build_invoice(
        call, owner, made["currency"], lines, subscription=made["id"], reason=reason, metadata={}
    )
    call.store.put(invoice, live=call.live, at=call.now)
    for one in waiting:
        one["invoice"] = invoice["id"]
    acts.finalize(call, invoice, call.now)
    made["latest_invoice"] = invoice["id"]
    if invoice["status"] == "open" and collect(call, invoice, None) is not None and made["status"] == "active":
        made["status"] = "past_due"
    return invoice


def begin_period(call: Call, made: Obj) -> Obj:
    """Start a new period now and put its invoice up for payment."""
    lines = []
    for item in made["items"]["data"]:
        recurring = item["price"]["recurring"]
        end = acts.add_interval(call.now, recurring["interval"], recurring["interval_count"])
        item |= {"current_period_start": call.now, "current_period_end": end}
        lines.append(acts.item_line(call, item, call.now, end))
    made["billing_cycle_anchor"] = call.now
    invoice = acts.build_invoice(
        call,
        call.store.objects[made["customer"]],
        made["currency"],
        lines,
        subscription=made["id"],
        reason="subscription_cycle",
        metadata={},
    )
    call.store.put(invoice, live=call.live, at=call.now)
    acts.finalize(call, invoice, call.now)
    made["latest_invoice"] = invoice["id"]
    return invoice


def credit_unused(call: Call, made: Obj) -> None:
    """cancel with prorate: the unused rest of the period becomes a pending credit."""
    for item in made["items"]["data"]:
        amount = share(item, int(item["quantity"] or 0), call.now)
        if amount and made["status"] != "trialing":
            pending_item(call, made, item, -amount, int(item["quantity"] or 0), call.now, "Unused time")


def drop_prorations(call: Call, made: Obj) -> None:
    """cancel with both flags false: pending prorations of the subscription are forgotten."""
    for one in pending(call, made["customer"], made["id"]):
        if one["proration"] and _owner(one) == made["id"]:
            del call.store.objects[one["id"]]
