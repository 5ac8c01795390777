"""What do Zendesk's answers hold, of what we read? Unknown keys are dropped, absent ones have a default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from marshmallow import EXCLUDE, Schema, fields, post_load, pre_load

DISTRUST_FLAGS = frozenset({0, 2, 3, 11, 14, 20, 21, 22})
"""Comment flags after which the author is not who they seem to be (developer.zendesk.com, ticket comments)."""

MARK = "billing_desk"
"""Our key in the audit metadata of each ticket update."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldValue:
    """One custom field of a ticket. `value` None: not set."""

    id: int
    value: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A ticket without its comments. `updated_stamp` is `updated_at` verbatim, as safe updates want it back."""

    id: int
    subject: str = ""
    description: str = ""
    status: str = ""
    channel: str = ""
    requester_id: int | None = None
    submitter_id: int | None = None
    assignee_id: int | None = None
    organization_id: int | None = None
    brand_id: int | None = None
    group_id: int | None = None
    recipient: str | None = None
    external_id: str | None = None
    from_messaging_channel: bool = False
    tags: tuple[str, ...] = ()
    custom_fields: tuple[FieldValue, ...] = ()
    created_at: datetime | None = None
    updated_stamp: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Our mark beside a comment: which action wrote it, at which stage."""

    op: str
    stage: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """One comment. `source_address`: the From address of the mail it came by, None for other channels."""

    id: int
    author_id: int | None = None
    public: bool = True
    created_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    plain_body: str = ""
    channel: str = ""
    source_address: str | None = None
    source_relation: str | None = None
    flags: frozenset[int] = frozenset()
    operation: Operation | None = None
    audit_id: int | None = None

    @property
    def distrusted(self) -> bool:
        """True when a flag says that the author may be somebody else."""
        return bool(self.flags & DISTRUST_FLAGS)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person. `role`: end-user, agent or admin; `ticket_restriction` None: sees every ticket."""

    id: int
    email: str | None = field(default=None, repr=False)
    name: str = field(default="", repr=False)
    role: str = ""
    role_type: int | None = None
    custom_role_id: int | None = None
    active: bool = True  # False: deleted
    suspended: bool = False
    verified: bool = False
    shared: bool = False
    locale: str | None = None
    ticket_restriction: str | None = None
    organization_id: int | None = None
    default_group_id: int | None = None
    external_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserIdentity:
    """One address or account of a person. `verification_method`: none, low, embed, sso or full."""

    id: int
    type: str = ""
    value: str = field(default="", repr=False)
    primary: bool = False
    verification_method: str = "none"
    deliverable_state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMembership:
    """That an agent belongs to a group."""

    group_id: int
    user_id: int | None = None
    default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group of agents."""

    id: int
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A webhook of the account; its id is a ULID."""

    id: str
    name: str = ""
    status: str = ""
    endpoint: str = ""
    http_method: str = ""
    request_format: str = ""
    subscriptions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketField:
    """A ticket field. `tag` is a checkbox's; `options` the tags of a drop-down."""

    id: int
    type: str = ""
    title: str = ""
    active: bool = True
    tag: str | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A ticket trigger. `notifies`: ids of the webhooks that it calls."""

    id: int
    active: bool = False
    notifies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AppInstallation:
    """An app installed in this account."""

    id: int
    app_id: int
    enabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AppJob:
    """The state of an app's upload: queued, working, completed, failed or killed."""

    status: str = ""
    app_id: int | None = None


def _id(**options: Any) -> fields.Integer:
    return fields.Integer(strict=True, **{"load_default": None, "allow_none": True, **options})


def _text(default: str | None = "", **options: Any) -> fields.String:
    return fields.String(load_default=default, allow_none=True, **options)


def _flag(default: bool = False) -> fields.Boolean:
    return fields.Boolean(load_default=default, allow_none=True)


class _Schema(Schema):
    class Meta:
        unknown = EXCLUDE

    kind: type[Any]
    tuples: tuple[str, ...] = ()

    @post_load
    def make(self, loaded: dict[str, Any], **_: Any) -> Any:
        present = {name: value for name, value in loaded.items() if value is not None}
        for name in self.tuples:
            present[name] = tuple(present.get(name, ()))
        return self.kind(**present)


class FieldValueSchema(_Schema):
    kind = FieldValue
    id = fields.Integer(strict=True, required=True)
    value = fields.Raw(load_default=None, allow_none=True)


class TicketSchema(_Schema):
    kind = Ticket
    tuples = ("tags", "custom_fields")
    id = fields.Integer(strict=True, required=True)
    subject = _text()
    description = _text()
    status = _text()
    channel = _text()
    requester_id = _id()
    submitter_id = _id()
    assignee_id = _id()
    organization_id = _id()
    brand_id = _id()
    group_id = _id()
    recipient = _text(None)
    external_id = _text(None)
    from_messaging_channel = _flag()
    tags = fields.List(fields.String(), load_default=list, allow_none=True)
    custom_fields = fields.List(fields.Nested(FieldValueSchema), load_default=list, allow_none=True)
    created_at = fields.AwareDateTime(default_timezone=UTC, load_default=None, allow_none=True)
    updated_stamp = _text(data_key="updated_at")

    @pre_load
    def flatten(self, raw: Any, **_: Any) -> Any:
        return {**raw, "channel": _inner(raw, "via", "channel")} if isinstance(raw, Mapping) else raw


class CommentSchema(_Schema):
    kind = Comment
    id = fields.Integer(strict=True, required=True)
    author_id = _id()
    public = _flag(True)
    created_at = fields.AwareDateTime(default_timezone=UTC, load_default=None, allow_none=True)
    plain_body = _text()
    channel = _text()
    source_address = _text(None)
    source_relation = _text(None)
    flags = fields.List(fields.Integer(strict=True), load_default=list, allow_none=True)
    operation = fields.Raw(load_default=None, allow_none=True)
    audit_id = _id()

    @pre_load
    def flatten(self, raw: Any, **_: Any) -> Any:
        """Brings what sits deep in `via` and `metadata` to the top; `plain_body` falls back on `body`."""
        if not isinstance(raw, Mapping):
            return raw
        return {
            **raw,
            "plain_body": raw.get("plain_body") or raw.get("body"),
            "channel": _inner(raw, "via", "channel"),
            "source_address": _inner(raw, "via", "source", "from", "address"),
            "source_relation": _inner(raw, "via", "source", "rel"),
            "flags": _inner(raw, "metadata", "flags"),
            "operation": _operation(raw),
        }

    @post_load
    def make(self, loaded: dict[str, Any], **_: Any) -> Comment:
        present = {name: value for name, value in loaded.items() if value is not None}
        return Comment(**{**present, "flags": frozenset(present.get("flags", ()))})


class UserSchema(_Schema):
    kind = User
    id = fields.Integer(strict=True, required=True)
    email = _text(None)
    name = _text()
    role = _text()
    role_type = _id()
    custom_role_id = _id()
    active = _flag(True)
    suspended = _flag()
    verified = _flag()
    shared = _flag()
    locale = _text(None)
    ticket_restriction = _text(None)
    organization_id = _id()
    default_group_id = _id()
    external_id = _text(None)


class UserIdentitySchema(_Schema):
    kind = UserIdentity
    id = fields.Integer(strict=True, required=True)
    type = _text()
    value = _text()
    primary = _flag()
    verification_method = _text("none")
    deliverable_state = _text(None)


class GroupMembershipSchema(_Schema):
    kind = GroupMembership
    group_id = fields.Integer(strict=True, required=True)
    user_id = _id()
    default = _flag()


class GroupSchema(_Schema):
    kind = Group
    id = fields.Integer(strict=True, required=True)
    name = _text()


class WebhookSchema(_Schema):
    kind = Webhook
    tuples = ("subscriptions",)
    id = fields.String(required=True)
    name = _text()
    status = _text()
    endpoint = _text()
    http_method = _text()
    request_format = _text()
    subscriptions = fields.List(fields.String(), load_default=list, allow_none=True)


class TicketFieldSchema(_Schema):
    kind = TicketField
    tuples = ("options",)
    id = fields.Integer(strict=True, required=True)
    type = _text()
    title = _text()
    active = _flag(True)
    tag = _text(None)
    options = fields.List(fields.String(), load_default=list, allow_none=True)

    @pre_load
    def flatten(self, raw: Any, **_: Any) -> Any:
        if not isinstance(raw, Mapping):
            return raw
        options = raw.get("custom_field_options") or ()
        return {**raw, "options": [option.get("value") for option in options if isinstance(option, Mapping)]}


class TriggerSchema(_Schema):
    kind = Trigger
    tuples = ("notifies",)
    id = fields.Integer(strict=True, required=True)
    active = _flag()
    notifies = fields.List(fields.String(), load_default=list)

    @pre_load
    def flatten(self, raw: Any, **_: Any) -> Any:
        actions = raw.get("actions") if isinstance(raw, Mapping) else None
        if not isinstance(actions, list):
            return raw
        calls = [one.get("value") for one in actions if _inner(one, "field") == "notification_webhook"]
        return {**raw, "notifies": [value[0] for value in calls if isinstance(value, list) and value]}


class AppInstallationSchema(_Schema):
    kind = AppInstallation
    id = fields.Integer(strict=True, required=True)
    app_id = fields.Integer(strict=True, required=True)
    enabled = _flag()


class AppJobSchema(_Schema):
    kind = AppJob
    status = _text()
    app_id = _id()


def _inner(raw: Any, *keys: str) -> Any:
    """What lies at the end of the keys; None as soon as one is missing."""
    for key in keys:
        raw = raw.get(key) if isinstance(raw, Mapping) else None
    return raw


def _operation(raw: Mapping[str, Any]) -> Operation | None:
    """Our mark: beside a comment it is in `metadata.custom`, as the audit has it."""
    mark = _inner(raw, "metadata", "custom", MARK)
    op, stage = _inner(mark, "op"), _inner(mark, "stage")
    return Operation(op=op, stage=stage if isinstance(stage, str) else "") if isinstance(op, str) and op else None
