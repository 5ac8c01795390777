"""How is one field of a Stripe object read? Liberal about what is absent, strict about what has a wrong type.

A missing or null field takes its default; a field of a wrong type raises ValidationError, which refuses the object.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields

_LAST_SECOND = 253_402_300_799  # the end of the year 9999


def moment(value: object) -> datetime | None:
    """Unix seconds to a UTC time; None stays None. Raises ValidationError."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LAST_SECOND:
        raise ValidationError("not a Unix time")
    return datetime.fromtimestamp(value, UTC)


def whole(value: object, default: int = 0) -> int:
    """A whole number; None takes the default. Raises ValidationError for anything else, floats included."""
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValidationError("not a whole number")
    return value


def whole_or_none(value: object) -> int | None:
    return None if value is None else whole(value)


def text(value: object) -> str | None:
    """The text, None for anything else: only for words that nothing is decided by when they are absent."""
    return value if isinstance(value, str) else None


def reference(value: object) -> str | None:
    """The id of an expandable field, expanded or not."""
    return text(value.get("id")) if isinstance(value, dict) else text(value)


def dig(document: object, *path: str) -> Any:
    """The value at a path of keys, None as soon as something is not an object."""
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def listed(value: object) -> list[dict[str, Any]]:
    """The objects of a Stripe list, of a plain list, or none."""
    found = value.get("data") if isinstance(value, dict) else value
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


class Epoch(fields.Field[datetime]):
    """Unix seconds to a UTC time."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> datetime:
        found = moment(value)
        if found is None:
            raise ValidationError("not a Unix time")
        return found


class Ref(fields.Field[str]):
    """The id of an expandable field, expanded or not."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        found = reference(value)
        if found is None:
            raise ValidationError("neither an id nor an object")
        return found


class Present(fields.Field[bool]):
    """Whether the field holds anything at all."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        return bool(value)


class Words(fields.Field[dict[str, str]]):
    """Metadata. What is not text is left out: Stripe sends texts only, and nothing else is compared with it."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> dict[str, str]:
        if not isinstance(value, dict):
            raise ValidationError("not an object")
        return {key: word for key, word in value.items() if isinstance(key, str) and isinstance(word, str)}


def optional_text() -> Any:
    return fields.Str(load_default=None, allow_none=True)


def optional_whole(default: int | None = None) -> Any:
    return fields.Int(strict=True, load_default=default, allow_none=True)


def amount() -> Any:
    return fields.Int(strict=True, required=True)


def flag(default: bool | None = False) -> Any:
    return fields.Bool(load_default=default, allow_none=True)


def time() -> Any:
    return Epoch(load_default=None, allow_none=True)


def ref() -> Any:
    return Ref(load_default=None, allow_none=True)


def present() -> Any:
    return Present(load_default=False, allow_none=True)


def nested() -> Any:
    return fields.Dict(load_default=dict, allow_none=True)


def raw() -> Any:
    return fields.Raw(load_default=None, allow_none=True)


def metadata() -> Any:
    return Words(load_default=dict, allow_none=True)


class StripeObject(Schema):
    """Fields that we do not read are dropped."""

    class Meta:
        unknown = EXCLUDE

    id = fields.Str(required=True)
