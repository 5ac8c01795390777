"""What does the GitHub twin hold?  Repositories, issues, labels, installations and tokens in GitHub's JSON shape."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Thing = dict[str, Any]

API = "https://api.github.com"
WEB = "https://github.com"


@dataclass(slots=True)
class Repository:
    """One repository with what hangs on it. Issue numbers are shared with pull requests and never reused."""

    owner: str
    name: str
    number: int
    private: bool = True
    has_issues: bool = True
    archived: bool = False
    issues: dict[int, Thing] = field(default_factory=dict)
    comments: dict[int, list[Thing]] = field(default_factory=dict)
    labels: dict[str, Thing] = field(default_factory=dict)
    transferred: dict[int, str] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)
    last_issue: int = 0

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"


@dataclass(slots=True)
class Grant:
    """What a token may do. `kind`: installation, fine_grained or classic. `repositories` None: all of the owner's."""

    kind: str
    login: str
    permissions: dict[str, str]
    repositories: frozenset[str] | None
    expires: datetime | None = None
    user_type: str = "User"


@dataclass(slots=True)
class Hub:
    """Everything the twin remembers."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    installations: dict[int, Thing] = field(default_factory=dict)
    creations: list[datetime] = field(default_factory=list)
    indexed: set[int] = field(default_factory=set)
    renamed: dict[str, int] = field(default_factory=dict)  # old full name -> the repository's number
    used: int = 0
    last_number: int = 5_000_000

    def number(self) -> int:
        self.last_number += 1
        return self.last_number

    def find(self, owner: str, name: str) -> Repository | None:
        return self.repositories.get(f"{owner}/{name}".lower())


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def account(login: str, kind: str = "User", number: int = 0) -> Thing:
    return {
        "login": login,
        "id": number or sum(login.encode()) * 7919,
        "node_id": f"U_{login}",
        "type": kind,
        "url": f"{API}/users/{login}",
        "html_url": f"{WEB}/{login.removesuffix('[bot]')}",
        "site_admin": False,
    }


def label_json(repository: Repository, label: Thing) -> Thing:
    return label | {"url": f"{API}/repos/{repository.full_name}/labels/{label['name']}"}


def new_label(
    hub: Hub, repository: Repository, name: str, color: str = "ededed", description: str | None = None
) -> Thing:
    number = hub.number()
    made = {
        "id": number,
        "node_id": f"LA_{number}",
        "name": name,
        "color": color,
        "default": False,
        "description": description,
    }
    repository.labels[name.lower()] = made
    return made


def new_issue(
    hub: Hub,
    repository: Repository,
    now: datetime,
    author: Thing,
    title: str,
    body: str | None,
    *,
    labels: list[str],
    app: Thing | None = None,
    pull_request: bool = False,
) -> Thing:
    repository.last_issue += 1
    number, moment, unique = repository.last_issue, stamp(now), hub.number()
    at = f"{API}/repos/{repository.full_name}"
    made: Thing = {
        "id": unique,
        "node_id": f"I_{unique}",
        "number": number,
        "url": f"{at}/issues/{number}",
        "repository_url": at,
        "labels_url": f"{at}/issues/{number}/labels{{/name}}",
        "comments_url": f"{at}/issues/{number}/comments",
        "events_url": f"{at}/issues/{number}/events",
        "html_url": f"{WEB}/{repository.full_name}/issues/{number}",
        "title": title,
        "body": body,
        "user": author,
        "state": "open",
        "state_reason": None,
        "locked": False,
        "active_lock_reason": None,
        "assignee": None,
        "assignees": [],
        "milestone": None,
        "comments": 0,
        "type": None,
        "labels": [],
        "created_at": moment,
        "updated_at": moment,
        "closed_at": None,
        "closed_by": None,
        "author_association": "NONE",
        "performed_via_github_app": app,
    }
    if pull_request:
        made["pull_request"] = {"url": f"{at}/pulls/{number}"}
    repository.issues[number], repository.comments[number] = made, []
    set_labels(hub, repository, made, labels)
    return made


def set_labels(hub: Hub, repository: Repository, issue: Thing, names: list[str]) -> None:
    """Labels that do not exist yet are made, as GitHub does."""
    held = [repository.labels.get(name.lower()) or new_label(hub, repository, name) for name in dict.fromkeys(names)]
    issue["labels"] = [label_json(repository, each) for each in held]


def new_comment(
    hub: Hub, repository: Repository, issue: Thing, now: datetime, author: Thing, body: str, app: Thing | None = None
) -> Thing:
    number, moment = hub.number(), stamp(now)
    at = f"{API}/repos/{repository.full_name}"
    made = {
        "id": number,
        "node_id": f"IC_{number}",
        "url": f"{at}/issues/comments/{number}",
        "body": body,
        "html_url": f"{issue['html_url']}#issuecomment-{number}",
        "issue_url": issue["url"],
        "user": author,
        "created_at": moment,
        "updated_at": moment,
        "author_association": "NONE",
        "performed_via_github_app": app,
    }
    repository.comments[issue["number"]].append(made)
    issue["comments"] += 1
    issue["updated_at"] = moment
    return made


def repository_json(repository: Repository, permissions: Thing) -> Thing:
    return {
        "id": repository.number,
        "node_id": f"R_{repository.number}",
        "name": repository.name,
        "full_name": repository.full_name,
        "owner": account(repository.owner, "Organization"),
        "private": repository.private,
        "visibility": "private" if repository.private else "public",
        "html_url": f"{WEB}/{repository.full_name}",
        "url": f"{API}/repos/{repository.full_name}",
        "has_issues": repository.has_issues,
        "archived": repository.archived,
        "disabled": False,
        "fork": False,
        "default_branch": "main",
        "permissions": permissions,
        "open_issues_count": sum(each["state"] == "open" for each in repository.issues.values()),
    }
