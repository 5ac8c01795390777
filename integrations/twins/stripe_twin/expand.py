"""What does an answer look like with these expansions?

A path is checked against the SDK's types first, so a wrong one is refused even when the list is empty.
"""

from __future__ import annotations

from typing import Any, ForwardRef, get_args

from integrations.twins.stripe_twin.refusals import invalid
from integrations.twins.stripe_twin.response_types import (
    INCLUDABLE,
    Obj,
    class_of,
    fields_of,
    kinds_by_class,
    list_item,
    references,
)
from integrations.twins.stripe_twin.store import Store, list_of, newest_first, plain

MAX_LEVELS = 4
SUBLIST = 10
ENDED = ("canceled", "incomplete_expired")


def check_paths(paths: list[str], kind: str, *, listed: bool) -> None:
    """Raises Refusal on a path too deep or unknown. `kind` is that of the object, or of the list's items."""
    for path in paths:
        steps = path.split(".")
        if len(steps) > MAX_LEVELS:
            raise invalid(
                f"You cannot expand more than {MAX_LEVELS} levels of a property. Property: {path}",
                code="property_expansion_max_depth",
                param="expand",
            )
        if listed and steps[0] not in ("data", "total_count"):
            raise _unexpandable(path)
        if steps != ["total_count"]:
            _check_path(class_of(kind), kind, steps[1:] if listed else steps, path)


def expanded(store: Store, answer: Obj, paths: list[str]) -> Obj:
    """A copy of the answer with every path, already checked, filled in."""
    shown: Any = _present(answer)
    for path in paths:
        shown = _fill(store, shown, path.split("."))
    return dict(shown)


def _present(answer: Obj) -> Obj:
    if answer.get("object") in ("list", "search_result"):
        return {**answer, "data": [plain(made) for made in answer["data"]]}
    return plain(answer)


def _unexpandable(path: str) -> Exception:
    return invalid(f"This property cannot be expanded ({path}).", code="property_cannot_be_expanded", param="expand")


def _check_path(owner: Any, kind: str | None, steps: list[str], path: str) -> None:
    if not steps:
        raise _unexpandable(path)
    declared = fields_of(owner).get(steps[0])
    if declared is None:
        raise _unexpandable(path)
    item, rest = list_item(declared), steps[1:]
    if item is not None:
        if rest[:1] == ["data"]:
            below = kinds_by_class()[item]
            if rest[1:]:
                _check_path(class_of(below), below, rest[1:], path)
            elif steps[0] not in INCLUDABLE.get(kind or "", frozenset()):
                raise _unexpandable(path)
        elif rest or steps[0] not in INCLUDABLE.get(kind or "", frozenset()):
            raise _unexpandable(path)
        return
    kinds = references(declared)
    if kinds:
        if rest:
            _check_path(class_of(kinds[0]), kinds[0], rest, path)
        return
    if not rest:
        if steps[0] in INCLUDABLE.get(kind or "", frozenset()):
            return
        raise _unexpandable(path)
    _check_path(_inline(declared, path), None, rest, path)


def _inline(declared: Any, path: str) -> Any:
    """The class of an object that is always sent whole: an inner class, or a named one such as an item's price."""
    for arm in (declared, *get_args(declared)):
        name = arm.__forward_arg__ if isinstance(arm, ForwardRef) else arm
        if isinstance(name, str) and name in kinds_by_class():
            return class_of(kinds_by_class()[name])
        if isinstance(arm, type) and arm is not type(None) and hasattr(arm, "__annotations__"):
            return arm
        for inner in get_args(arm):
            if isinstance(inner, type) and hasattr(inner, "__annotations__"):
                return inner
    raise _unexpandable(path)


def _fill(store: Store, value: Any, steps: list[str]) -> Any:
    """The value with the path below it filled in; copies only what it changes."""
    if isinstance(value, list):
        return [_fill(store, item, steps) for item in value]
    if isinstance(value, str):
        found = store.find(value)
        value = value if found is None else _deleted(found) or plain(found)
    if not steps or not isinstance(value, dict):
        return value
    name = steps[0]
    if name in INCLUDABLE.get(str(value.get("object")), frozenset()) and value.get(name) is None:
        value = {**value, name: _included(store, value, name)}
    if name == "total_count":
        return {**value, name: len(value.get("data", []))}
    below = value.get(name)
    if below is None:
        return value
    return {**value, name: _fill(store, below, steps[1:])}


def _deleted(found: Obj) -> Obj | None:
    if found.get("deleted") is True:
        return {"id": found["id"], "object": found["object"], "deleted": True}
    return None


def _included(store: Store, owner: Obj, name: str) -> Any:
    """What Stripe puts into a field that it only sends when it is expanded."""
    whole = store.find(owner["id"])
    if whole is not None and whole.get(name) is not None:
        return whole[name]
    urls = {
        "refunds": f"/v1/charges/{owner['id']}/refunds",
        "payments": f"/v1/invoice_payments?invoice={owner['id']}",
        "subscriptions": f"/v1/customers/{owner['id']}/subscriptions",
    }
    found: list[Obj] = []
    if name == "refunds":
        found = store.where("refund", charge=owner["id"])
    elif name == "payments":
        found = store.where("invoice_payment", invoice=owner["id"])
    elif name == "subscriptions":
        every = store.where("subscription", customer=owner["id"])
        found = newest_first(made for made in every if made["status"] not in ENDED)
    elif name in ("tax", "cash_balance", "currency_options", "tiers"):
        return None
    url = urls.get(name, f"/v1/{name}")
    return list_of([plain(made) for made in found[:SUBLIST]], url, has_more=len(found) > SUBLIST)
