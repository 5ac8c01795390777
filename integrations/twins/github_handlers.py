"""How does GitHub answer about repositories, issues, comments and labels?"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from integrations.twins.github_auth import Refused, demand, invalid, known
from integrations.twins.github_tables import (
    API,
    Grant,
    Hub,
    Repository,
    Thing,
    account,
    label_json,
    new_comment,
    new_issue,
    new_label,
    repository_json,
    set_labels,
    stamp,
)
from integrations.twins.server import Request, Response

ISSUE_NEW = frozenset("title body assignee assignees milestone labels type".split())
ISSUE_CHANGE = ISSUE_NEW | {"state", "state_reason"}
LABEL_NEW, LABEL_CHANGE = frozenset({"name", "color", "description"}), frozenset({"new_name", "color", "description"})
BODY_LIMIT, TITLE_LIMIT, LABEL_LIMIT = 65_536, 256, 50


@dataclass(slots=True)
class Call:
    """A request in hand about one repository."""

    hub: Hub
    request: Request
    repository: Repository
    grant: Grant | None
    now: datetime
    effect: Callable[[str], None]
    count_creation: Callable[[], None]
    app: Thing
    base: str
    happened: Callable[[str, str, Repository, Thing, Thing], None]

    @property
    def query(self) -> dict[str, str]:
        return dict(self.request.query)

    @property
    def author(self) -> Thing:
        return account(self.grant.login, self.grant.user_type) if self.grant else account("ghost")

    @property
    def through(self) -> Thing | None:
        """The app the writing goes through, as `performed_via_github_app` shows it."""
        if self.grant is None or self.grant.kind != "installation":
            return None
        return {name: self.app[name] for name in ("id", "slug", "name", "node_id")}

    def issues(self, level: str) -> None:
        demand(self.grant, self.repository, "issues", level)
        if not self.repository.has_issues:
            raise Refused(410, "Issues are disabled for this repo")
        if level == "write" and self.repository.archived:
            raise Refused(403, "Repository was archived so is read-only.")


# -- repositories, paging ------------------------------------------------------------------------------------
def show_repository(call: Call) -> Response:
    demand(call.grant, call.repository, "metadata", "read")
    level = call.grant.permissions.get("issues", "") if call.grant else ""
    rights = {
        "admin": False,
        "maintain": False,
        "push": level == "write" and call.grant is not None and call.grant.kind != "installation",
        "triage": level == "write",
        "pull": True,
    }
    return Response(200, repository_json(call.repository, rights))


def paged(call: Call, items: list[Thing]) -> Response:
    """One page with GitHub's Link header."""
    size, number = _count(call, "per_page", 30), _count(call, "page", 1)
    size = min(size, 100)
    last = max(1, -(-len(items) // size))

    def link(page: int, name: str) -> str:
        kept = [(key, value) for key, value in call.request.query if key != "page"]
        return f'<{call.base}{call.request.path}?{urlencode([*kept, ("page", str(page))])}>; rel="{name}"'

    links = [link(number - 1, "prev")] if number > 1 else []
    links += [link(number + 1, "next"), link(last, "last")] if number < last else []
    links += [link(1, "first")] if number > 1 else []
    part: list[Any] = items[size * (number - 1) : size * number]
    return Response(200, part, {"Link": ", ".join(links)} if links else {})


def _count(call: Call, name: str, usual: int) -> int:
    text = call.query.get(name, "")
    return max(1, int(text)) if re.fullmatch(r"[0-9]{1,6}", text) else usual


# -- issues --------------------------------------------------------------------------------------------------
def _issue(call: Call, number: str) -> Thing:
    wanted = int(number)
    if wanted in call.repository.transferred:
        place = call.repository.transferred[wanted].replace(API, call.base)
        raise Refused(301, "Moved Permanently", {"Location": place}, url=place)
    if wanted in call.repository.deleted:
        raise Refused(410, "This issue was deleted")
    if wanted not in call.repository.issues:
        raise Refused(404, "Not Found")
    return call.repository.issues[wanted]


def list_issues(call: Call) -> Response:
    """Pull requests are issues too, as with the real one; without `state` only the open ones are listed."""
    call.issues("read")
    query = call.query
    unknown = set(query) - {
        "state",
        "labels",
        "creator",
        "since",
        "sort",
        "direction",
        "per_page",
        "page",
        "assignee",
        "mentioned",
        "milestone",
        "type",
    }
    if unknown:
        raise Refused(422, f"Invalid request. {', '.join(sorted(unknown))} is not a query parameter of this list.")
    state, sort = query.get("state", "open"), query.get("sort", "created")
    if state not in {"open", "closed", "all"} or sort not in {"created", "updated", "comments"}:
        raise invalid("Issue", "state" if sort in {"created", "updated", "comments"} else "sort", "invalid")
    found = [each for each in call.repository.issues.values() if _wanted(each, query, state)]
    key = "comments" if sort == "comments" else f"{sort}_at"
    found.sort(key=lambda each: (each[key], each["number"]), reverse=query.get("direction", "desc") == "desc")
    return paged(call, found)


def _wanted(issue: Thing, query: dict[str, str], state: str) -> bool:
    names = {label["name"].lower() for label in issue["labels"]}
    asked = {name.strip().lower() for name in query.get("labels", "").split(",") if name.strip()}
    creator = query.get("creator")
    if creator is not None:
        login = f"{creator.removeprefix('app/')}[bot]" if creator.startswith("app/") else creator
        if issue["user"]["login"].lower() != login.lower():
            return False
    since = query.get("since")
    if since is not None and datetime.fromisoformat(issue["updated_at"]) < datetime.fromisoformat(since):
        return False
    return state in {"all", issue["state"]} and asked <= names


def create_issue(call: Call) -> Response:
    call.issues("write")
    wanted = known(call.request, ISSUE_NEW)
    _check_issue(wanted, creating=True)
    call.count_creation()
    issue = new_issue(
        call.hub,
        call.repository,
        call.now,
        call.author,
        wanted["title"],
        wanted.get("body"),
        labels=_names(wanted.get("labels", [])),
        app=call.through,
    )
    issue["assignees"] = [account(login) for login in wanted.get("assignees", [])]
    call.effect(f"issue {call.repository.full_name}#{issue['number']} created")
    call.happened("issues", "opened", call.repository, issue, call.author)
    return Response(201, dict(issue), {"Location": issue["url"]})


def show_issue(call: Call, number: str) -> Response:
    call.issues("read")
    return Response(200, _issue(call, number))


def change_issue(call: Call, number: str) -> Response:
    call.issues("write")
    issue, wanted = _issue(call, number), known(call.request, ISSUE_CHANGE)
    _check_issue(wanted, creating=False)
    before = issue["state"]
    for name in ("title", "body", "milestone", "type"):
        if name in wanted:
            issue[name] = wanted[name]
    if "labels" in wanted:
        set_labels(call.hub, call.repository, issue, _names(wanted["labels"]))
    if "assignees" in wanted:
        issue["assignees"] = [account(login) for login in wanted["assignees"]]
    if "state" in wanted:
        move(issue, wanted["state"], wanted.get("state_reason"), call.now, call.author)
    issue["updated_at"] = stamp(call.now)
    call.effect(f"issue {call.repository.full_name}#{number} changed: {', '.join(sorted(wanted))}")
    action = {"closed": "closed", "open": "reopened"}[issue["state"]] if issue["state"] != before else "edited"
    call.happened("issues", action, call.repository, issue, call.author)
    return Response(200, dict(issue))


def move(issue: Thing, state: str, reason: str | None, now: datetime, actor: Thing) -> None:
    """Close or open again, with the fields that go with it."""
    if state != issue["state"]:
        closed = state == "closed"
        issue |= {"state": state, "closed_at": stamp(now) if closed else None, "closed_by": actor if closed else None}
        issue["state_reason"] = (reason or "completed") if closed else "reopened"
    elif reason is not None:
        issue["state_reason"] = reason


def _check_issue(wanted: Thing, *, creating: bool) -> None:
    title, body = wanted.get("title"), wanted.get("body")
    if (creating or "title" in wanted) and (not isinstance(title, str) or not title.strip()):
        raise invalid("Issue", "title", "missing_field")
    if isinstance(title, str) and len(title) > TITLE_LIMIT:
        raise invalid("Issue", "title", "custom", "title is too long (maximum is 256 characters)")
    if body is not None and (not isinstance(body, str) or len(body) > BODY_LIMIT):
        raise invalid("Issue", "body", "custom", "body is too long (maximum is 65536 characters)")
    if wanted.get("state", "open") not in {"open", "closed"}:
        raise invalid("Issue", "state", "invalid")
    if wanted.get("state_reason") not in {None, "completed", "not_planned", "duplicate", "reopened"}:
        raise invalid("Issue", "state_reason", "invalid")


def _names(labels: Any) -> list[str]:
    names = [each.get("name") if isinstance(each, dict) else each for each in labels]
    for name in names:
        _check_label_name(name)
    return [str(name) for name in names]


# -- comments ------------------------------------------------------------------------------------------------
def list_comments(call: Call, number: str) -> Response:
    call.issues("read")
    since = datetime.fromisoformat(call.query.get("since", "1970-01-01T00:00:00Z"))
    held = call.repository.comments[_issue(call, number)["number"]]
    return paged(call, [each for each in held if datetime.fromisoformat(each["updated_at"]) >= since])


def create_comment(call: Call, number: str) -> Response:
    call.issues("write")
    issue, body = _issue(call, number), _comment_body(call)
    call.count_creation()
    made = new_comment(call.hub, call.repository, issue, call.now, call.author, body, call.through)
    call.effect(f"comment on {call.repository.full_name}#{number} created")
    return Response(201, dict(made), {"Location": made["url"]})


def change_comment(call: Call, comment_id: str) -> Response:
    call.issues("write")
    for held in call.repository.comments.values():
        for comment in held:
            if comment["id"] == int(comment_id):
                comment |= {"body": _comment_body(call), "updated_at": stamp(call.now)}
                call.effect(f"comment {comment_id} changed")
                return Response(200, dict(comment))
    raise Refused(404, "Not Found")


def _comment_body(call: Call) -> str:
    body = known(call.request, frozenset({"body"})).get("body")
    if not isinstance(body, str) or not body.strip():
        raise invalid("IssueComment", "body", "missing_field")
    if len(body) > BODY_LIMIT:
        raise invalid("IssueComment", "body", "custom", "body is too long (maximum is 65536 characters)")
    return body


# -- labels --------------------------------------------------------------------------------------------------
def list_labels(call: Call) -> Response:
    call.issues("read")
    return paged(call, [label_json(call.repository, each) for each in call.repository.labels.values()])


def create_label(call: Call) -> Response:
    call.issues("write")
    wanted = known(call.request, LABEL_NEW)
    _check_label_name(wanted.get("name"))
    if wanted["name"].lower() in call.repository.labels:
        raise invalid("Label", "name", "already_exists")
    _check_label(wanted)
    made = new_label(
        call.hub, call.repository, wanted["name"], wanted.get("color", "ededed"), wanted.get("description")
    )
    call.effect(f"label {made['name']} created")
    return Response(201, label_json(call.repository, made))


def show_label(call: Call, name: str) -> Response:
    call.issues("read")
    return Response(200, label_json(call.repository, _label(call, name)))


def change_label(call: Call, name: str) -> Response:
    call.issues("write")
    held, wanted = _label(call, name), known(call.request, LABEL_CHANGE)
    _check_label(wanted)
    held |= {key: value for key, value in wanted.items() if key != "new_name"}
    if "new_name" in wanted:
        _check_label_name(wanted["new_name"])
        held["name"] = wanted["new_name"]
        call.repository.labels[held["name"].lower()] = call.repository.labels.pop(name.lower())
    call.effect(f"label {name} changed")
    return Response(200, label_json(call.repository, held))


def issue_labels(call: Call, number: str) -> Response:
    """GET lists, POST adds, PUT replaces."""
    method = call.request.method
    call.issues("read" if method == "GET" else "write")
    issue = _issue(call, number)
    if method != "GET":
        wanted = _names(known(call.request, frozenset({"labels"})).get("labels", []))
        before = [each["name"] for each in issue["labels"]] if method == "POST" else []
        set_labels(call.hub, call.repository, issue, [*before, *wanted])
        issue["updated_at"] = stamp(call.now)
        call.effect(f"issue {call.repository.full_name}#{number} labels")
    held: list[Any] = issue["labels"]
    return Response(200, list(held))


def remove_label(call: Call, number: str, name: str) -> Response:
    call.issues("write")
    issue = _issue(call, number)
    kept = [each["name"] for each in issue["labels"] if each["name"].lower() != name.lower()]
    if len(kept) == len(issue["labels"]):
        raise Refused(404, "Label does not exist")
    set_labels(call.hub, call.repository, issue, kept)
    call.effect(f"issue {call.repository.full_name}#{number} labels")
    held: list[Any] = issue["labels"]
    return Response(200, list(held))


def _label(call: Call, name: str) -> Thing:
    if name.lower() not in call.repository.labels:
        raise Refused(404, "Not Found")
    return call.repository.labels[name.lower()]


def _check_label_name(name: Any) -> None:
    if not isinstance(name, str) or not name.strip():
        raise invalid("Label", "name", "missing_field")
    if len(name) > LABEL_LIMIT:
        raise invalid("Label", "name", "custom", "name is too long (maximum is 50 characters)")


def _check_label(wanted: Thing) -> None:
    if not re.fullmatch(r"[0-9a-fA-F]{6}", wanted.get("color", "ededed")):
        raise invalid("Label", "color", "invalid")
    if len(wanted.get("description") or "") > 100:
        raise invalid("Label", "description", "custom", "description is too long (maximum is 100 characters)")
