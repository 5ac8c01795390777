"""Which Stripe objects exist, in which mode, and how are they listed?

Objects are plain dicts as Stripe answers them, with ids in place of other objects. Directives (what a payment method or
a charge will do next) are the twin's own and never leave it.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from integrations.twins.stripe_twin.refusals import invalid, missing
from integrations.twins.stripe_twin.response_types import INCLUDABLE, Obj

PREFIXES = {
    "customer": "cus",
    "subscription": "sub",
    "subscription_item": "si",
    "invoice": "in",
    "line_item": "il",
    "invoiceitem": "ii",
    "invoice_payment": "inpay",
    "charge": "ch",
    "payment_intent": "pi",
    "payment_method": "pm",
    "webhook_endpoint": "we",
    "refund": "re",
    "dispute": "du",
    "credit_note": "cn",
    "checkout.session": "cs",
    "price": "price",
    "product": "prod",
    "subscription_schedule": "sub_sched",
    "customer_balance_transaction": "cbtxn",
    "radar.early_fraud_warning": "issfr",
    "billing_portal.configuration": "bpc",
    "billing_portal.session": "bps",
    "event": "evt",
    "plan": "plan",
    "account": "acct",
    "coupon": "coupon",
    "discount": "di",
    "promotion_code": "promo",
    "item": "li",
    "credit_note_line_item": "cnli",
    "balance_transaction": "txn",
}
PAGE_NAMES = frozenset({"limit", "starting_after", "ending_before", "expand"})


@dataclass(slots=True)
class Store:
    """All objects of the account by id, in order of arrival."""

    objects: dict[str, Obj] = field(default_factory=dict)
    live: dict[str, bool] = field(default_factory=dict)
    changed_at: dict[str, int] = field(default_factory=dict)
    before_change: dict[str, Obj] = field(default_factory=dict)
    directives: dict[str, dict[str, Any]] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def fresh_id(self, kind: str, live: bool = False) -> str:
        """A deterministic id that looks like Stripe's: sub_1TwinA0000000007."""
        mode = ("live_" if live else "test_") if kind == "checkout.session" else ""
        while True:
            made = f"{PREFIXES.get(kind, 'obj')}_{mode}1TwinA{next(self.numbers):010d}"
            if made not in self.objects:
                return made

    def put(self, made: Obj, *, live: bool, at: int) -> Obj:
        """Take in an object; its place in lists follows `created`, then arrival."""
        self.objects[made["id"]] = made
        self.live[made["id"]] = live
        self.changed_at[made["id"]] = at
        return made

    def touch(self, changed: Obj, at: int) -> None:
        """Call before changing an object: search keeps seeing the old one until the lag has passed."""
        self.before_change[changed["id"]] = copy.deepcopy(changed)
        self.changed_at[changed["id"]] = at

    def of_kind(self, kind: str) -> list[Obj]:
        return [found for found in self.objects.values() if found["object"] == kind]

    def get(self, kind: str, wanted: str, *, live: bool, param: str = "id") -> Obj:
        """The object of that kind and id. Raises Refusal resource_missing, naming the other mode if it is there."""
        found = self.objects.get(wanted)
        if found is None or found["object"] != kind:
            raise missing(kind, wanted, param)
        if self.live[wanted] != live:
            raise missing(kind, wanted, param, other_mode="live" if live else "test")
        return found

    def find(self, wanted: str | None) -> Obj | None:
        return self.objects.get(wanted) if wanted else None

    def where(self, kind: str, **fields: Any) -> list[Obj]:
        """Objects of a kind whose fields equal the given ones; None values do not filter. Newest first."""
        asked = {name: value for name, value in fields.items() if value is not None}
        return newest_first(
            found for found in self.of_kind(kind) if all(found.get(name) == value for name, value in asked.items())
        )

    def directive(self, owner: str, name: str) -> Any:
        return self.directives.get(owner, {}).get(name)


def newest_first(found: Iterable[Obj]) -> list[Obj]:
    """By `created`, newest first; of two made in the same second the later one comes first."""
    arrived = list(found)[::-1]
    return sorted(arrived, key=born, reverse=True)


def born(made: Obj) -> int:
    """When the object was made, unix seconds; 0 for kinds without a time."""
    return int(made["created"] if "created" in made else made.get("date") or 0)


def ident(made: Obj | None) -> str | None:
    return None if made is None else str(made["id"])


def in_range(value: int | None, wanted: Any) -> bool:
    """Does a time fit a filter: an exact second or {"gt":…, "gte":…, "lt":…, "lte":…}?"""
    if wanted is None:
        return True
    if value is None:
        return False
    if isinstance(wanted, int):
        return value == wanted
    tests: dict[str, Callable[[int, int], bool]] = {
        "gt": lambda a, b: a > b,
        "gte": lambda a, b: a >= b,
        "lt": lambda a, b: a < b,
        "lte": lambda a, b: a <= b,
    }
    return all(tests[name](value, bound) for name, bound in wanted.items())


def page(found: list[Obj], params: dict[str, Any], url: str) -> Obj:
    """One page of a list that is already newest first. Raises Refusal on a bad limit or cursor."""
    limit = _limit(params)
    after, before = params.get("starting_after"), params.get("ending_before")
    if after is not None and before is not None:
        raise invalid("You cannot parameterize this list with both ending_before and starting_after.")
    inside = [made for made in found if in_range(born(made), params.get("created"))]
    if after is not None:
        start = _position(found, inside, after, "starting_after") + 1
        rest = inside[start:]
        return list_of(rest[:limit], url, has_more=len(rest) > limit)
    if before is not None:
        rest = inside[: _position(found, inside, before, "ending_before")]
        return list_of(rest[-limit:], url, has_more=len(rest) > limit)
    return list_of(inside[:limit], url, has_more=len(inside) > limit)


def list_of(found: list[Obj], url: str, *, has_more: bool = False) -> Obj:
    return {"object": "list", "data": found, "has_more": has_more, "url": url}


def _limit(params: dict[str, Any]) -> int:
    limit = int(params.get("limit", 10))
    if limit < 1:
        raise invalid("Invalid limit: must be at least 1", code="parameter_invalid_integer", param="limit")
    if limit > 100:
        raise invalid(
            f"This value must be less than or equal to 100 (it currently is '{limit}').",
            code="parameter_invalid_integer",
            param="limit",
        )
    return limit


def _position(found: list[Obj], inside: list[Obj], cursor: str, param: str) -> int:
    for position, made in enumerate(inside):
        if made["id"] == cursor:
            return position
    raise missing(found[0]["object"] if found else "object", cursor, param)


def plain(made: Obj) -> Obj:
    """The object as it is answered without expansion."""
    left_out = INCLUDABLE.get(str(made.get("object")), frozenset())
    return {name: value for name, value in made.items() if name not in left_out}
