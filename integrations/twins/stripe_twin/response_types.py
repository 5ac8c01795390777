"""Does this object have the shape the SDK's classes promise, what does an empty one look like, what can be expanded?

All three answers come from the annotations of the installed stripe package, so the twin follows the pinned SDK.
"""

from __future__ import annotations

import copy
import functools
import inspect
import types
from decimal import Decimal
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin

from stripe._list_object import ListObject
from stripe._object_classes import OBJECT_CLASSES, get_object_class
from stripe._stripe_object import StripeObject, UntypedStripeObject

Obj = dict[str, Any]
# Stripe leaves these out unless they are expanded, and each is a sub-list or a big branch.
INCLUDABLE: dict[str, frozenset[str]] = {
    "charge": frozenset({"refunds"}),
    "customer": frozenset({"subscriptions", "sources", "tax_ids", "tax", "cash_balance"}),
    "invoice": frozenset({"payments"}),
    "checkout.session": frozenset({"line_items"}),
    "price": frozenset({"tiers", "currency_options"}),
    "search_result": frozenset({"total_count"}),
}
# Nullable in the SDK, but Stripe fills them in on every object of the kind.
FILLED: dict[str, Obj] = {
    "customer": {"balance": 0, "delinquent": False, "tax_exempt": "none", "next_invoice_sequence": 1},
    "refund": {"status": "succeeded"},
}
ALIASES = {"RefundResource": "refund"}


@functools.cache
def class_of(kind: str) -> type[StripeObject]:
    """The SDK class of an object kind. Raises LookupError."""
    if kind not in OBJECT_CLASSES:
        raise LookupError(f"unknown object kind {kind!r}")
    return get_object_class("V1", kind)


@functools.cache
def fields_of(owner: Any) -> dict[str, Any]:
    hidden = ("OBJECT_NAME", "deleted")
    return {
        name: kind
        for name, kind in inspect.get_annotations(owner).items()
        if not name.startswith("_") and name not in hidden
    }


@functools.cache
def kinds_by_class() -> dict[str, str]:
    """Class name -> object kind, top-level kinds first where two classes share a name."""
    names = {name: kind for kind, (_, name) in sorted(OBJECT_CLASSES.items(), key=lambda pair: "." not in pair[0])}
    return {**names, **ALIASES}


def skeleton(kind: str) -> Obj:
    """An object of this kind with every field Stripe always sends, at its emptiest value."""
    return copy.deepcopy(_skeleton(kind))


@functools.cache
def _skeleton(kind: str) -> Obj:
    return completed(class_of(kind), {"object": kind}, kind)


def empty_branch(kind: str, *steps: str) -> Obj:
    """The emptiest nested object at a path of a kind: empty_branch("charge", "outcome")."""
    owner: Any = class_of(kind)
    for step in steps:
        inner = [below for arm in _arms(fields_of(owner)[step]) for below in (arm, *get_args(arm))]
        owner = next(arm for arm in inner if isinstance(arm, type) and issubclass(arm, StripeObject))
    return copy.deepcopy(_empty(owner))


def _empty(owner: Any) -> Obj:
    return {name: _empty_value(kind) for name, kind in fields_of(owner).items()}


def _empty_value(kind: Any) -> Any:
    arms = _arms(kind)
    if type(None) in arms:
        return None
    literal = next((arm for arm in arms if get_origin(arm) is Literal), None)
    if literal is not None:
        return get_args(literal)[0]
    first = arms[0]
    if get_origin(first) is list:
        return []
    if _is_list_object(first):
        return {"object": "list", "data": [], "has_more": False, "url": ""}
    if isinstance(first, type) and issubclass(first, StripeObject):
        return {} if first is UntypedStripeObject else _empty(first)
    return {bool: False, int: 0, float: 0.0, str: "", Decimal: "0"}.get(first, {})


def _arms(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _is_list_object(kind: Any) -> bool:
    return get_origin(kind) is ListObject or (isinstance(kind, ForwardRef) and "ListObject" in kind.__forward_arg__)


# -- expand -------------------------------------------------------------------------------------------------------
def list_item(kind: Any) -> str | None:
    """The class name of the objects in a list field."""
    for arm in _arms(kind):
        if get_origin(arm) is ListObject:
            inner = get_args(arm)[0]
            return inner.__forward_arg__ if isinstance(inner, ForwardRef) else str(inner.__name__)
    return None


def references(kind: Any) -> list[str]:
    """The object kinds an id in this field may stand for; empty: not an id of an object."""
    inner = [item for arm in _arms(kind) if get_origin(arm) is list for item in _arms(get_args(arm)[0])]
    arms = [*_arms(kind), *inner]
    if str not in arms:
        return []
    names = [arm.__forward_arg__.rpartition(".")[2] for arm in arms if isinstance(arm, ForwardRef)]
    return [kinds_by_class()[name] for name in names if name in kinds_by_class()]


# -- complete -----------------------------------------------------------------------------------------------------
def completed(owner: Any, given: Obj, kind: str | None = None) -> Obj:
    """A partial object with its missing fields at their emptiest, at every depth the SDK names a class for."""
    left_out = INCLUDABLE.get(kind or "", frozenset())
    declared_fields = fields_of(owner)
    made = {
        name: _empty_value(declared)
        for name, declared in declared_fields.items()
        if name not in left_out and name not in given
    }
    if "metadata" in made and kind is not None:
        made["metadata"] = {}
    made |= {name: value for name, value in FILLED.get(kind or "", {}).items() if name in made}
    for name, value in given.items():
        made[name] = _complete_value(declared_fields[name], value) if name in declared_fields else value
    return made


def _complete_value(declared: Any, value: Any) -> Any:
    if isinstance(value, list):
        inner = next((get_args(arm)[0] for arm in _arms(declared) if get_origin(arm) is list), None)
        return [value_ if inner is None else _complete_value(inner, value_) for value_ in value]
    if not isinstance(value, dict):
        return value
    if value.get("object") == "list":
        return {**value, "data": [_complete_value(None, item) for item in value["data"]]}
    if "object" in value:
        return completed(class_of(str(value["object"])), value, str(value["object"]))
    for arm in _arms(declared):
        if isinstance(arm, type) and issubclass(arm, StripeObject) and arm is not UntypedStripeObject:
            return completed(arm, value)
    return value


# -- check --------------------------------------------------------------------------------------------------------
def problems(value: Obj, path: str = "") -> list[str]:
    """What is wrong with a response object (or list), in words; empty means it fits the SDK."""
    kind = value.get("object")
    if kind in ("list", "search_result"):
        return [line for at, item in enumerate(value["data"]) for line in problems(item, f"{path}.data[{at}]")]
    if value.get("deleted") is True:
        return [] if set(value) == {"id", "object", "deleted"} else [f"{path}: a deleted object has three fields"]
    try:
        return _check_fields(value, class_of(str(kind)), path or str(kind), INCLUDABLE.get(str(kind), frozenset()))
    except LookupError as unknown:
        return [f"{path}: {unknown}"]


def _check_fields(value: Obj, owner: Any, path: str, left_out: frozenset[str] = frozenset()) -> list[str]:
    fields = fields_of(owner)
    found = [f"{path}.{name}: not a field of the SDK's {owner.__name__}" for name in value if name not in fields]
    found += [
        f"{path}.{name}: missing"
        for name, kind in fields.items()
        if name not in value and name not in left_out and type(None) not in _arms(kind)
    ]
    for name in value.keys() & fields.keys():
        found += _check(fields[name], value[name], f"{path}.{name}")
    return found


def _check(kind: Any, value: Any, path: str) -> list[str]:
    arms = _arms(kind)
    if value is None:
        return [] if type(None) in arms else [f"{path}: null not allowed"]
    words = [word for arm in arms if get_origin(arm) is Literal for word in get_args(arm)]
    if words and isinstance(value, str):
        return [] if value in words else [f"{path}: {value!r} is not one of {words[:12]}"]
    if isinstance(value, dict) and "object" in value and any(isinstance(arm, ForwardRef) for arm in arms):
        return _check_reference(arms, value, path)
    best: list[str] | None = None
    for arm in arms:
        found = _check_one(arm, value, path)
        if not found:
            return []
        best = found if best is None or len(found) < len(best) else best
    return best or []


def _check_reference(arms: tuple[Any, ...], value: Obj, path: str) -> list[str]:
    names = {arm.__forward_arg__.rpartition(".")[2] for arm in arms if isinstance(arm, ForwardRef)}
    kinds = {kinds_by_class().get(name) for name in names}
    if value["object"] not in kinds and value["object"] != "list":
        return [f"{path}: a {value['object']} where {sorted(names)} is expected"]
    return problems(value, path)


def _check_one(kind: Any, value: Any, path: str) -> list[str]:
    if kind is type(None) or get_origin(kind) is Literal:
        return [f"{path}: {value!r} does not fit {kind}"]
    if _is_list_object(kind):
        right = isinstance(value, dict) and value.get("object") == "list"
        return problems(value, path) if right else [f"{path}: expected a list object"]
    if get_origin(kind) is list:
        if not isinstance(value, list):
            return [f"{path}: expected a list"]
        return [line for at, item in enumerate(value) for line in _check(get_args(kind)[0], item, f"{path}[{at}]")]
    if isinstance(kind, ForwardRef):
        return [f"{path}: {value!r} where an object {kind.__forward_arg__} is expected"]
    if get_origin(kind) is UntypedStripeObject:
        return [] if isinstance(value, dict) else [f"{path}: expected a map"]
    return _check_plain(kind, value, path)


def _check_plain(kind: Any, value: Any, path: str) -> list[str]:
    if isinstance(kind, type) and issubclass(kind, StripeObject):
        if not isinstance(value, dict):
            return [f"{path}: expected an object"]
        return [] if kind is UntypedStripeObject else _check_fields(value, kind, path)
    expected = {float: (int, float), Decimal: (str,)}.get(kind, (kind,))
    if not isinstance(kind, type):
        return []
    if not isinstance(value, expected) or (isinstance(value, bool) and kind is not bool):
        return [f"{path}: expected {kind.__name__}, got {value!r}"]
    return []
