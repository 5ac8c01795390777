"""What tree of parameters does a form-encoded query or body hold? `items[0][id]=x`, `expand[]=y`, `expand[1]=z`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Union
from urllib.parse import parse_qsl

from integrations.twins.stripe_twin.refusals import invalid

Node = Union[str, "dict[str, Node]"]  # the quoted form, because on 3.11 an alias cannot name itself
KEY = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")


def parse_body(body: bytes) -> list[tuple[str, str]]:
    """The pairs of a form body. Raises Refusal when it is not UTF-8."""
    try:
        return parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=2000)
    except ValueError as broken:
        raise invalid(f"Invalid request body: {broken}") from broken


def parse_tree(pairs: Iterable[tuple[str, str]]) -> dict[str, Node]:
    """The nested form of the pairs; list positions stay keys ("0", "1") until the types tell lists from maps."""
    root: dict[str, Node] = {}
    for name, value in pairs:
        found = KEY.match(name)
        if found is None:
            raise invalid(f"Invalid parameter name: {name}", param=name)
        _put(root, [found[1], *re.findall(r"\[([^\[\]]*)\]", found[2])], value, name)
    return root


def _put(node: dict[str, Node], steps: list[str], value: str, name: str) -> None:
    for step in steps[:-1]:
        below = node.setdefault(step or str(len(node)), {})
        if isinstance(below, str):
            raise invalid(f"Invalid parameter: {name} is given both as a value and as an object", param=name)
        node = below
    last = steps[-1] or str(len(node))
    if isinstance(node.get(last), dict):
        raise invalid(f"Invalid parameter: {name} is given both as a value and as an object", param=name)
    node[last] = value
