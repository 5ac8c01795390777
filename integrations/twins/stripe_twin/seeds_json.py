"""How does one partial JSON object become a stored object that the SDK would accept?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from integrations.twins.stripe_twin import acts
from integrations.twins.stripe_twin.response_types import Obj, class_of, completed
from integrations.twins.stripe_twin.store import born, list_of

if TYPE_CHECKING:
    from integrations.twins.stripe_twin.seeds import World


def filled(world: World, given: Obj) -> Obj:
    """Store the object under its own id. Fields that follow from others are derived where they are not given."""
    kind = str(given["object"])
    directives = given.pop("_twin", None)
    given.setdefault("id", world.store.fresh_id(kind, world.live))
    if kind in _PREPARE:
        _PREPARE[kind](world, given)
    owner = class_of(kind)
    stamps: dict[str, Any] = {"livemode": world.live, "created": world.now, "metadata": {}}
    known = completed(owner, {}, kind)
    for name, value in stamps.items():
        if name in known:
            given.setdefault(name, value)
    made = completed(owner, given, kind)
    live = bool(made.get("livemode", world.live))
    world.store.put(made, live=live, at=born(made) or world.now)
    if directives is not None:
        world.store.directives[made["id"]] = dict(directives)
    if kind == "refund" and made.get("charge") in world.store.objects:
        acts.settle_charge(world.store, world.store.objects[made["charge"]])
    if kind == "dispute" and made["charge"] in world.store.objects:
        world.store.objects[made["charge"]]["disputed"] = True
    return made


def _customer(world: World, given: Obj) -> None:
    given.setdefault("invoice_prefix", str(given["id"]).replace("_", "").upper()[-8:])
    given.setdefault("next_invoice_sequence", 1)
    given.setdefault("tax_exempt", "none")
    given.setdefault("invoice_settings", {})


def _price(world: World, given: Obj) -> None:
    if given.get("unit_amount") is not None:
        given.setdefault("unit_amount_decimal", str(given["unit_amount"]))
    given.setdefault("active", True)
    given.setdefault("type", "recurring" if given.get("recurring") else "one_time")
    if given.get("recurring"):
        given["recurring"] = {"interval": "month", "interval_count": 1, "usage_type": "licensed", **given["recurring"]}


def _product(world: World, given: Obj) -> None:
    given.setdefault("active", True)
    given.setdefault("type", "service")


def _subscription(world: World, given: Obj) -> None:
    """`items` may be a plain list of {"price": id, "quantity": n, "current_period_start": …, …}."""
    items = given.get("items", [])
    wanted = items["data"] if isinstance(items, dict) else items
    started = int(given.get("created", world.now))
    made = [_item(world, str(given["id"]), dict(item), started) for item in wanted]
    more = bool(items.get("has_more")) if isinstance(items, dict) else False
    given["items"] = list_of(made, f"/v1/subscription_items?subscription={given['id']}", has_more=more)
    given.setdefault("status", "active")
    given.setdefault("collection_method", "charge_automatically")
    given.setdefault("start_date", started)
    given.setdefault("billing_cycle_anchor", started)
    given.setdefault("billing_mode", {"type": "flexible"})
    given.setdefault("cancellation_details", {})
    if made:
        given.setdefault("currency", made[0]["price"]["currency"])


def _item(world: World, subscription: str, item: Obj, started: int) -> Obj:
    price = item.pop("price")
    price = price if isinstance(price, dict) else world.store.get("price", price, live=world.live, param="price")
    recurring = price.get("recurring") or {"interval": "month", "interval_count": 1}
    start = int(item.pop("current_period_start", started))
    end = acts.add_interval(start, recurring["interval"], recurring["interval_count"])
    end = int(item.pop("current_period_end", end))
    return acts.new_item(
        world,
        subscription,
        completed(class_of("price"), price, "price"),
        item.pop("quantity", 1),
        start,
        end,
        **{name: value for name, value in item.items() if name != "plan"},
    )


def _invoice(world: World, given: Obj) -> None:
    """`amount` is short for one line; `subscription` for the parent."""
    total = int(given.pop("amount", given.get("total", given.get("amount_due", 0))))
    status = given.setdefault("status", "open")
    currency = given.setdefault("currency", "usd")
    given.setdefault("total", total)
    given.setdefault("subtotal", total)
    given.setdefault("amount_due", max(total, 0))
    given.setdefault("amount_paid", given["amount_due"] if status == "paid" else 0)
    given.setdefault("amount_remaining", given["amount_due"] - given["amount_paid"])
    given.setdefault("collection_method", "charge_automatically")
    given.setdefault("billing_reason", "manual")
    subscription = given.pop("subscription", None)
    if subscription is not None:
        details = {"subscription": subscription, "metadata": {}}
        given.setdefault("parent", {"type": "subscription_details", "subscription_details": details})
    if "lines" not in given:
        at = int(given.get("created", world.now))
        given["lines"] = list_of([acts.line(world, total, currency, at, at)], f"/v1/invoices/{given['id']}/lines")


def _charge(world: World, given: Obj) -> None:
    paid = given.setdefault("status", "succeeded") == "succeeded"
    given.setdefault("captured", paid)
    given.setdefault("paid", paid)
    given.setdefault("amount_captured", given["amount"] if given["captured"] else 0)
    given.setdefault("currency", "usd")
    given.setdefault("payment_method_details", acts.method_details(world.store.find(given.get("payment_method"))))


def _refund(world: World, given: Obj) -> None:
    given.setdefault("status", "succeeded")
    paid = world.store.find(given.get("charge"))
    if paid is not None:
        given.setdefault("amount", int(paid["amount_captured"]) - acts.refunded_total(world.store, paid["id"]))
        given.setdefault("currency", paid["currency"])
        given.setdefault("payment_intent", paid["payment_intent"])


def _invoice_payment(world: World, given: Obj) -> None:
    """`payment_intent` is short for the payment."""
    intent = given.pop("payment_intent", None)
    if intent is not None:
        given.setdefault("payment", {"type": "payment_intent", "payment_intent": intent})
    given.setdefault("status", "paid")
    amount = given.setdefault("amount_requested", given.get("amount_paid") or 0)
    given.setdefault("amount_paid", amount if given["status"] == "paid" else None)
    given.setdefault("is_default", True)
    given.setdefault("currency", "usd")


def _dispute(world: World, given: Obj) -> None:
    given.setdefault("is_charge_refundable", str(given.get("status", "")).startswith("warning_"))


_PREPARE = {
    "customer": _customer,
    "price": _price,
    "product": _product,
    "subscription": _subscription,
    "invoice": _invoice,
    "charge": _charge,
    "refund": _refund,
    "invoice_payment": _invoice_payment,
    "dispute": _dispute,
}
