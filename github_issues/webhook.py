"""Is it really GitHub who calls, and about which issue? The signature and the few fields of a delivery that we read.

Vendor pages: docs.github.com/webhooks (validating deliveries; events and payloads, `issues`). A delivery only says "go
and look at this issue": what it claims about the state is not believed, so order and repetition do not matter.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from integrations.store.tables import gap

ACTIONS = frozenset({"closed", "reopened", "deleted", "transferred", "edited", "assigned", "unassigned"})
_SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}")
_NUMBER = validate.Range(min=1, max=2**63 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An `issues` event: what happened, to which issue of which repository (`owner/name`)."""

    action: str
    number: int
    repository: str


class _Issue(Schema):
    class Meta:
        unknown = EXCLUDE

    number = fields.Int(strict=True, required=True, validate=_NUMBER)


class _Repository(Schema):
    class Meta:
        unknown = EXCLUDE

    full_name = fields.Str(required=True, validate=validate.Regexp(r"[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}\Z"))


class EventSchema(Schema):
    """The `issues` event."""

    class Meta:
        unknown = EXCLUDE

    action = fields.Str(required=True, validate=validate.Length(1, 40))
    issue = fields.Nested(_Issue, required=True)
    repository = fields.Nested(_Repository, required=True)


_EVENT = EventSchema()


def trusted(secrets: Sequence[str], signature: str | None, body: bytes) -> bool:
    """Whether the header is the HMAC-SHA256 of exactly these bytes under one of the secrets, in constant time."""
    if signature is None or not _SIGNATURE.fullmatch(signature):
        return False
    expected = ["sha256=" + hmac.new(one.encode(), body, hashlib.sha256).hexdigest() for one in secrets if one]
    return sum(hmac.compare_digest(one, signature) for one in expected) > 0  # every secret is compared


def read(document: Mapping[str, Any]) -> Event:
    """The event. Raises ValueError for another shape."""
    try:
        found = _EVENT.load(dict(document))
    except ValidationError as error:
        raise ValueError("unknown shape") from error
    return Event(action=found["action"], number=found["issue"]["number"], repository=found["repository"]["full_name"])


def gap_of(connection: sa.Connection, event: Event) -> str | None:
    """The fingerprint of the gap whose issue this is; None for an issue that is not ours."""
    where = sa.func.lower(sa.func.coalesce(gap.c.issue_repository, gap.c.repository))
    mine = sa.select(gap.c.fingerprint).where(gap.c.issue_number == event.number, where == event.repository.lower())
    return connection.execute(mine).scalars().first()
