"""Do these parameters fit the SDK's own parameter types, and what are they once decoded?

The installed stripe package carries a TypedDict for every call; walking it catches unknown names, wrong types, missing
names and bad enum values, and can never drift from the pinned SDK. `Literal[…] | str` is read as a closed enum.
"""

from __future__ import annotations

import functools
import importlib
import re
import types
from decimal import Decimal
from typing import Any, ForwardRef, Literal, NotRequired, Required, Union, get_args, get_origin

import typing_extensions
from stripe._request_options import RequestOptions
from stripe._stripe_object import UntypedStripeObject

from integrations.twins.stripe_twin.form import Node
from integrations.twins.stripe_twin.refusals import Refusal, invalid

OPTIONAL = {NotRequired, typing_extensions.NotRequired}
WRAPPERS = OPTIONAL | {Required, typing_extensions.Required}
MAPS = (dict, UntypedStripeObject)
INTEGER = re.compile(r"-?\d{1,18}")


@functools.cache
def typed_dict(name: str) -> Any:
    """The TypedDict of a call: "CustomerListParams", "checkout.SessionListParams"."""
    area, _, plain = name.rpartition(".")
    return getattr(importlib.import_module(f"stripe.params.{area}" if area else "stripe.params"), plain)


@functools.cache
def fields_of(declared: Any) -> dict[str, tuple[Any, bool]]:
    """Field name -> (type, is it required) without the SDK's request options."""
    found: dict[str, tuple[Any, bool]] = {}
    optional_all = not getattr(declared, "__total__", True)
    for name, annotation in declared.__annotations__.items():
        if name in RequestOptions.__annotations__:
            continue
        bare = _resolve(annotation, declared.__module__)
        optional = get_origin(bare) in OPTIONAL or optional_all
        if get_origin(bare) in WRAPPERS:
            bare = _resolve(get_args(bare)[0], declared.__module__)
        found[name] = (bare, not optional)
    return found


@functools.cache
def _resolve(annotation: Any, module: str) -> Any:
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        names = dict(vars(importlib.import_module(module)))
        return eval(annotation, names)  # noqa: S307  text from the installed SDK, as typing itself does
    return annotation


def decode(params: str, tree: dict[str, Node]) -> dict[str, Any]:
    """The decoded parameters of a call. Raises Refusal as Stripe does."""
    return _decode_object(typed_dict(params), tree, "")


def _decode_object(declared: Any, tree: dict[str, Node], path: str) -> dict[str, Any]:
    fields = fields_of(declared)
    for name in tree:
        if name not in fields:
            full = _join(path, name)
            raise invalid(f"Received unknown parameter: {full}", code="parameter_unknown", param=full)
    for name, (_, required) in fields.items():
        if required and name not in tree:
            full = _join(path, name)
            raise invalid(f"Missing required param: {full}.", code="parameter_missing", param=full)
    module = declared.__module__
    return {name: _decode(fields[name][0], node, _join(path, name), module) for name, node in tree.items()}


def _decode(declared: Any, node: Node, path: str, module: str) -> Any:
    declared = _resolve(declared, module)
    origin = get_origin(declared)
    if origin in (Union, types.UnionType):
        return _decode_union([_resolve(arm, module) for arm in get_args(declared)], node, path, module)
    if origin is list:
        return _decode_list(get_args(declared)[0], node, path, module)
    if origin in MAPS or declared in MAPS:
        return _decode_map(node, path)
    if hasattr(declared, "__total__"):
        if isinstance(node, str):
            raise invalid("Invalid object", param=path)
        return _decode_object(declared, node, path)
    if isinstance(node, dict):
        raise invalid(f"Invalid string: {sorted(node)}", param=path)
    return _decode_scalar(declared, node, path)


def _decode_union(arms: list[Any], node: Node, path: str, module: str) -> Any:
    words = [word for arm in arms if get_origin(arm) is Literal for word in get_args(arm)]
    if isinstance(node, str):
        if node in words:
            return node
        if any(word != "" for word in words):
            arms = [arm for arm in arms if arm is not str]
    problem: Refusal | None = None
    for arm in arms:
        if get_origin(arm) is Literal or arm is type(None):
            continue
        try:
            return _decode(arm, node, path, module)
        except Refusal as refused:
            if problem is None or isinstance(node, dict) == _takes_objects(arm):
                problem = refused
    shown = [word for word in words if word != ""]
    if shown and isinstance(node, str):
        raise invalid(f"Invalid {path}: must be one of {', '.join(shown)}", param=path)
    raise problem or invalid(f"Invalid value for {path}", param=path)


def _takes_objects(arm: Any) -> bool:
    return hasattr(arm, "__total__") or get_origin(arm) in (list, *MAPS)


def _decode_list(item: Any, node: Node, path: str, module: str) -> list[Any]:
    if isinstance(node, str) or any(not key.isdigit() for key in node):
        raise invalid("Invalid array", param=path)
    ordered = sorted(node.items(), key=lambda pair: int(pair[0]))
    return [_decode(item, below, f"{path}[{key}]", module) for key, below in ordered]


def _decode_map(node: Node, path: str) -> dict[str, str]:
    if isinstance(node, str) or any(isinstance(value, dict) for value in node.values()):
        raise invalid("Invalid hash", param=path)
    if path.endswith("metadata"):
        _check_metadata(node, path)
    return {key: str(value) for key, value in node.items()}


def _check_metadata(node: dict[str, Node], path: str) -> None:
    if len(node) > 50:
        raise invalid("You can only set 50 metadata keys", param=path)
    for key, value in node.items():
        if len(key) > 40:
            raise invalid(f"Metadata keys must be at most 40 characters long: {key}", param=path)
        if len(value) > 500:
            raise invalid(f"Metadata values must be at most 500 characters long: {path}[{key}]", param=path)


def _decode_scalar(declared: Any, text: str, path: str) -> Any:
    if get_origin(declared) is Literal:
        if text not in get_args(declared):
            shown = ", ".join(str(word) for word in get_args(declared))
            raise invalid(f"Invalid {path}: must be one of {shown}", param=path)
        return text
    if declared is bool:
        if text not in ("true", "false"):
            raise invalid(f"Invalid boolean: {text}", param=path)
        return text == "true"
    if declared is int:
        if not INTEGER.fullmatch(text):
            raise invalid(f"Invalid integer: {text}", code="parameter_invalid_integer", param=path)
        return int(text)
    if declared in (float, Decimal):
        if not re.fullmatch(r"-?\d+(\.\d+)?", text):
            raise invalid(f"Invalid decimal: {text}", param=path)
        return float(text) if declared is float else text
    if declared is str:
        if text == "":
            raise invalid(
                f"You passed an empty string for '{path}'. We assume empty values are an attempt to unset a "
                f"parameter; however '{path}' cannot be unset.",
                code="parameter_invalid_empty",
                param=path,
            )
        return text
    raise TypeError(f"no rule to decode {declared!r} at {path}")


def _join(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name
