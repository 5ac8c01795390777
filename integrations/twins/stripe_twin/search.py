"""Which objects does a Stripe search query find, given that the index lags behind?

Grammar: clauses `field:"value"`, `field~"part"`, `field>10`, `metadata["key"]:"value"`, `-field:…`, joined by AND or by
OR, never both. Text compares without regard to case. https://docs.stripe.com/search
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from integrations.twins.stripe_twin.refusals import invalid
from integrations.twins.stripe_twin.response_types import Obj
from integrations.twins.stripe_twin.store import Store, newest_first

FIELDS: dict[str, frozenset[str]] = {
    "customer": frozenset({"created", "email", "metadata", "name", "phone"}),
    "subscription": frozenset({"created", "metadata", "status"}),
    "invoice": frozenset(
        {
            "created",
            "currency",
            "customer",
            "last_finalization_error_code",
            "last_finalization_error_type",
            "metadata",
            "number",
            "receipt_number",
            "status",
            "subscription",
            "total",
        }
    ),
    "charge": frozenset(
        {
            "amount",
            "created",
            "currency",
            "customer",
            "disputed",
            "metadata",
            "refunded",
            "status",
            "billing_details.address.postal_code",
            "payment_method_details.card.last4",
            "payment_method_details.card.brand",
            "payment_method_details.card.exp_month",
            "payment_method_details.card.exp_year",
            "payment_method_details.card.fingerprint",
        }
    ),
    "payment_intent": frozenset({"amount", "created", "currency", "customer", "metadata", "status"}),
    "price": frozenset({"active", "currency", "lookup_key", "metadata", "product", "type"}),
    "product": frozenset({"active", "description", "metadata", "name", "shippable", "url"}),
}
QUOTED = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
CLAUSE = re.compile(
    rf"\s*(?P<no>-)?(?P<field>[a-z_0-9.]+)(?:\[(?P<key>{QUOTED})\])?\s*(?P<op>:|~|>=|<=|>|<)\s*"
    rf"""(?P<value>{QUOTED}|[^\s"']+)"""
)
JOINER = re.compile(r"\s+(AND|OR)\s+|\s*$", re.IGNORECASE)


def found_by(store: Store, kind: str, query: str, *, live: bool, now: int, lag: int) -> list[Obj]:
    """Newest first; objects changed less than `lag` seconds ago are seen as they were before. Raises Refusal."""
    test = _compile(kind, query)
    seen = [
        version
        for made in store.of_kind(kind)
        if store.live[made["id"]] == live
        for version in _indexed(store, made, now, lag)
    ]
    return newest_first(made for made in seen if made.get("deleted") is not True and test(made))


def _indexed(store: Store, made: Obj, now: int, lag: int) -> list[Obj]:
    if lag <= 0 or now - store.changed_at[made["id"]] >= lag:
        return [made]
    before = store.before_change.get(made["id"])
    return [] if before is None else [before]


def _compile(kind: str, query: str) -> Callable[[Obj], bool]:
    tests: list[Callable[[Obj], bool]] = []
    joiners: set[str] = set()
    position = 0
    while True:
        clause = CLAUSE.match(query, position)
        if clause is None:
            raise invalid(f"We were unable to parse your search query: {query}", param="query")
        tests.append(_clause(kind, clause))
        joiner = JOINER.match(query, clause.end())
        if joiner is None:
            raise invalid(f"We were unable to parse your search query: {query}", param="query")
        if joiner[1] is None:
            break
        joiners.add(joiner[1].upper())
        position = joiner.end()
    if len(joiners) > 1:
        raise invalid("You cannot combine AND and OR in one search query", param="query")
    combine = any if joiners == {"OR"} else all
    return lambda made: combine(test(made) for test in tests)


def _clause(kind: str, clause: re.Match[str]) -> Callable[[Obj], bool]:
    name, operator = clause["field"], clause["op"]
    key = None if clause["key"] is None else _unquoted(clause["key"])
    if name not in FIELDS[kind] or (name == "metadata") != (key is not None):
        raise invalid(f"Field `{name}` is an unsupported search field for resource `{kind}s`.", param="query")
    wanted, negated = _unquoted(clause["value"]), clause["no"] is not None
    return lambda made: _compare(_value(made, name, key), operator, wanted) != negated


def _value(made: Obj, name: str, key: str | None) -> Any:
    if key is not None:
        return (made.get("metadata") or {}).get(key)
    if name == "subscription":
        return ((made.get("parent") or {}).get("subscription_details") or {}).get("subscription")
    value: Any = made
    for step in name.split("."):
        value = (value or {}).get(step)
    return value


def _compare(value: Any, operator: str, wanted: str) -> bool:
    if wanted.lower() == "null":
        return value is None
    if value is None:
        return False
    if isinstance(value, bool):
        return str(value).lower() == wanted.lower()
    if isinstance(value, int):
        if not re.fullmatch(r"-?\d+", wanted):
            raise invalid(f"Invalid number in search query: {wanted}", param="query")
        number = int(wanted)
        return {
            ":": value == number,
            ">": value > number,
            "<": value < number,
            ">=": value >= number,
            "<=": value <= number,
        }.get(operator, False)
    text, part = str(value).lower(), wanted.lower()
    return part in text if operator == "~" else operator == ":" and text == part


def _unquoted(text: str) -> str:
    if text[:1] in "\"'" and text[:1] == text[-1:]:
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text
