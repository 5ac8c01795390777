"""What do GitHub's answers hold, of what we read? Unknown keys are dropped, absent ones have a default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from marshmallow import EXCLUDE, Schema, fields, post_load, pre_load


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One issue. `state`: open or closed; `creator`: the login of who opened it (`name[bot]` for an App).

    `repository`: `owner/name` where it is now, empty when the answer does not tell; `assignee`: the first one's login.
    """

    number: int
    repository: str = ""
    assignee: str | None = None
    id: int | None = None
    title: str = ""
    body: str = field(default="", repr=False)
    state: str = ""
    state_reason: str | None = None
    labels: tuple[str, ...] = ()
    html_url: str = ""
    creator: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    closed_at: datetime | None = None
    pull_request: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueComment:
    """One comment under an issue."""

    id: int
    html_url: str = ""
    body: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A label of the repository; `color` is six hex digits."""

    name: str
    color: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """The repository as the credentials see it; `permissions` are those that are granted."""

    full_name: str = ""
    private: bool = False
    archived: bool = False
    has_issues: bool = True
    permissions: frozenset[str] = frozenset()


def _text(default: str | None = "") -> fields.String:
    return fields.String(load_default=default, allow_none=True)


def _time() -> fields.AwareDateTime:
    return fields.AwareDateTime(default_timezone=UTC, load_default=None, allow_none=True)


class _Schema(Schema):
    class Meta:
        unknown = EXCLUDE

    kind: type[Any]

    @post_load
    def make(self, loaded: dict[str, Any], **_: Any) -> Any:
        return self.kind(**{name: value for name, value in loaded.items() if value is not None})


class IssueSchema(_Schema):
    kind = Issue
    number = fields.Integer(strict=True, required=True)
    repository = _text()
    assignee = _text(None)
    id = fields.Integer(strict=True, load_default=None, allow_none=True)
    title = _text()
    body = _text()
    state = _text()
    state_reason = _text(None)
    labels = fields.Raw(load_default=())
    html_url = _text()
    creator = _text()
    created_at = _time()
    updated_at = _time()
    closed_at = _time()
    pull_request = fields.Boolean(load_default=False)

    @pre_load
    def flatten(self, raw: Any, **_: Any) -> Any:
        """Labels are objects, or plain names in old answers; `pull_request` is there for pull requests only."""
        if not isinstance(raw, Mapping):
            return raw
        labels = raw.get("labels") or ()
        names = (label.get("name") if isinstance(label, Mapping) else label for label in labels)
        user, assignee, at = raw.get("user"), raw.get("assignee"), raw.get("repository_url")
        return {
            **raw,
            "repository": "/".join(at.split("/")[-2:]) if isinstance(at, str) and "/repos/" in at else None,
            "assignee": assignee.get("login") if isinstance(assignee, Mapping) else None,
            "labels": tuple(name for name in names if isinstance(name, str)),
            "creator": user.get("login") if isinstance(user, Mapping) else None,
            "pull_request": raw.get("pull_request") is not None,
        }


class IssueCommentSchema(_Schema):
    kind = IssueComment
    id = fields.Integer(strict=True, required=True)
    html_url = _text()
    body = _text()


class LabelSchema(_Schema):
    kind = Label
    name = fields.String(required=True)
    color = _text()
    description = _text()


class RepositorySchema(_Schema):
    kind = Repository
    full_name = _text()
    private = fields.Boolean(load_default=False, allow_none=True)
    archived = fields.Boolean(load_default=False, allow_none=True)
    has_issues = fields.Boolean(load_default=True, allow_none=True)
    permissions = fields.Raw(load_default=frozenset())

    @pre_load
    def flatten(self, raw: Any, **_: Any) -> Any:
        if not isinstance(raw, Mapping):
            return raw
        permissions = raw.get("permissions")
        granted = permissions.items() if isinstance(permissions, Mapping) else ()
        return {**raw, "permissions": frozenset(name for name, value in granted if value is True)}
