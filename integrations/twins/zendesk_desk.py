"""What does the Zendesk twin hold?  Tables of objects in the vendor's JSON shape, and builders to seed them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from integrations.twins.zendesk_text import html_of, plain_of, sanitised

Thing = dict[str, Any]

STATUSES = ("new", "open", "pending", "hold", "solved", "closed")
ROLE_TYPES = {"custom": 0, "light_agent": 1, "chat_agent": 2, "contributor": 3, "admin": 4, "billing_admin": 5}
DISTRUST_FLAGS = frozenset({0, 2, 3, 11, 14, 20, 21, 22})


@dataclass(slots=True)
class Desk:
    """Everything one Zendesk account remembers."""

    subdomain: str
    account_id: int = 12514403
    users: dict[int, Thing] = field(default_factory=dict)
    identities: dict[int, list[Thing]] = field(default_factory=dict)
    groups: dict[int, Thing] = field(default_factory=dict)
    memberships: list[Thing] = field(default_factory=list)
    tickets: dict[int, Thing] = field(default_factory=dict)
    comments: dict[int, list[Thing]] = field(default_factory=dict)
    audits: dict[int, list[Thing]] = field(default_factory=dict)
    fields: dict[int, Thing] = field(default_factory=dict)
    custom_statuses: dict[int, Thing] = field(default_factory=dict)
    webhooks: dict[str, Thing] = field(default_factory=dict)
    triggers: dict[int, Thing] = field(default_factory=dict)
    signing_secrets: dict[str, str] = field(default_factory=dict)
    apps: dict[int, Thing] = field(default_factory=dict)
    uploads: dict[int, bytes] = field(default_factory=dict)
    jobs: dict[str, Thing] = field(default_factory=dict)
    installations: dict[int, Thing] = field(default_factory=dict)
    clients: dict[str, Thing] = field(default_factory=dict)
    tokens: dict[str, Thing] = field(default_factory=dict)
    api_tokens: set[str] = field(default_factory=set)
    idempotency: dict[str, tuple[datetime, bytes, Thing]] = field(default_factory=dict)
    updates: list[tuple[datetime, int, int]] = field(default_factory=list)
    calls: list[datetime] = field(default_factory=list)
    mails: list[Thing] = field(default_factory=list)
    pushed: list[Thing] = field(default_factory=list)
    service_user: int = 0
    last_number: int = 360_000_000

    def number(self) -> int:
        self.last_number += 1
        return self.last_number

    def by_email(self, address: str) -> Thing | None:
        wanted = address.strip().lower()
        for user_id, identities in self.identities.items():
            if any(each["type"] == "email" and each["value"] == wanted for each in identities):
                return self.users[user_id]
        return None

    def groups_of(self, user_id: int) -> set[int]:
        return {each["group_id"] for each in self.memberships if each["user_id"] == user_id}


def text_of(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def api_url(desk: Desk, path: str) -> str:
    return f"https://{desk.subdomain}.zendesk.com/api/v2/{path}.json"


def new_group(desk: Desk, now: datetime, name: str, *, group_id: int | None = None) -> Thing:
    number = group_id or desk.number()
    made = {
        "id": number,
        "url": api_url(desk, f"groups/{number}"),
        "name": name,
        "description": "",
        "default": False,
        "deleted": False,
        "is_public": True,
        "created_at": text_of(now),
        "updated_at": text_of(now),
    }
    desk.groups[number] = made
    return made


def new_user(
    desk: Desk,
    now: datetime,
    name: str,
    email: str | None,
    *,
    user_id: int | None = None,
    role: str = "end-user",
    verification_method: str = "full",
    groups: Iterable[int] = (),
    **more: Any,
) -> Thing:
    """A user with one primary e-mail identity. `more` overrides fields of the user as the API shows them."""
    number, moment = user_id or desk.number(), text_of(now)
    email = email.lower() if email is not None else None
    user: Thing = {
        "id": number,
        "url": api_url(desk, f"users/{number}"),
        "name": name,
        "email": email,
        "alias": None,
        "active": True,
        "suspended": False,
        "verified": verification_method != "none",
        "shared": False,
        "shared_agent": False,
        "role": role,
        "role_type": 4 if role == "admin" else None,
        "custom_role_id": None,
        "ticket_restriction": "requested" if role == "end-user" else None,
        "default_group_id": None,
        "locale": "en-US",
        "locale_id": 1,
        "time_zone": "UTC",
        "iana_time_zone": "Etc/UTC",
        "external_id": None,
        "organization_id": None,
        "only_private_comments": False,
        "restricted_agent": role == "end-user",
        "moderator": role != "end-user",
        "tags": [],
        "user_fields": {},
        "phone": None,
        "shared_phone_number": None,
        "photo": None,
        "notes": "",
        "details": "",
        "signature": None,
        "two_factor_auth_enabled": None,
        "chat_only": False,
        "report_csv": False,
        "last_login_at": None,
        "created_at": moment,
        "updated_at": moment,
    }
    if role in {"light agent", "light_agent"}:
        user |= {
            "role": "agent",
            "role_type": ROLE_TYPES["light_agent"],
            "only_private_comments": True,
            "ticket_restriction": "groups" if groups else None,
        }
    if unknown := set(more) - set(user):
        raise ValueError(f"unknown user fields: {sorted(unknown)}")
    desk.users[number] = user | more
    desk.identities[number] = []
    if email is not None:
        new_identity(desk, now, number, email, verification_method=verification_method, primary=True)
    for group_id in groups:
        join_group(desk, now, number, group_id)
    return desk.users[number]


def join_group(desk: Desk, now: datetime, user_id: int, group_id: int) -> None:
    if group_id not in desk.groups:
        new_group(desk, now, f"Group {group_id}", group_id=group_id)
    first = not desk.groups_of(user_id)
    number, moment = desk.number(), text_of(now)
    desk.memberships.append(
        {
            "id": number,
            "url": api_url(desk, f"group_memberships/{number}"),
            "user_id": user_id,
            "group_id": group_id,
            "default": first,
            "created_at": moment,
            "updated_at": moment,
        }
    )
    if first:
        desk.users[user_id]["default_group_id"] = group_id


def new_identity(
    desk: Desk,
    now: datetime,
    user_id: int,
    value: str,
    *,
    kind: str = "email",
    verification_method: str = "full",
    primary: bool = False,
) -> Thing:
    number, moment = desk.number(), text_of(now)
    reserved = value.rsplit("@", 1)[-1].lower() in {"example.com", "example.org", "example.net"}
    made = {
        "id": number,
        "url": api_url(desk, f"users/{user_id}/identities/{number}"),
        "user_id": user_id,
        "type": kind,
        "value": value.lower() if kind == "email" else value,
        "primary": primary,
        "verified": verification_method != "none",
        "verification_method": verification_method,
        "verified_at": moment if verification_method != "none" else None,
        "deliverable_state": "reserved_example" if reserved else "deliverable",
        "undeliverable_count": 0,
        "created_at": moment,
        "updated_at": moment,
    }
    desk.identities[user_id].append(made)
    return made


def via_of(channel: str, sender: Thing | None = None, *, to: str | None = None) -> Thing:
    """The via object; for e-mail `sender` is the user the message claims to be from."""
    source: Thing = {"from": {}, "to": {}, "rel": None}
    if channel == "email" and sender is not None:
        source["from"] = {"address": sender["email"], "name": sender["name"], "original_recipients": [to] if to else []}
        source["to"] = {"address": to, "name": "Support", "email_ccs": []}
    return {"channel": channel, "source": source}


def new_ticket(
    desk: Desk, now: datetime, subject: str, requester_id: int, *, ticket_id: int | None = None, **more: Any
) -> Thing:
    """A ticket without comments. `more` overrides fields as the API shows them."""
    number, moment = ticket_id or max(desk.tickets, default=0) + 1, text_of(now)
    ticket: Thing = {
        "id": number,
        "url": api_url(desk, f"tickets/{number}"),
        "external_id": None,
        "via": via_of("web"),
        "created_at": moment,
        "updated_at": moment,
        "generated_timestamp": int(now.timestamp()),
        "type": None,
        "subject": subject,
        "raw_subject": subject,
        "description": "",
        "priority": None,
        "status": "new",
        "recipient": None,
        "requester_id": requester_id,
        "submitter_id": requester_id,
        "assignee_id": None,
        "organization_id": None,
        "group_id": None,
        "collaborator_ids": [],
        "follower_ids": [],
        "email_cc_ids": [],
        "forum_topic_id": None,
        "problem_id": None,
        "has_incidents": False,
        "is_public": True,
        "due_at": None,
        "tags": [],
        "custom_fields": [{"id": each, "value": None} for each in desk.fields],
        "satisfaction_rating": None,
        "sharing_agreement_ids": [],
        "custom_status_id": None,
        "followup_ids": [],
        "ticket_form_id": None,
        "brand_id": 1,
        "allow_channelback": False,
        "allow_attachments": True,
        "from_messaging_channel": False,
    }
    if unknown := set(more) - set(ticket):
        raise ValueError(f"unknown ticket fields: {sorted(unknown)}")
    ticket.update(more)
    ticket["custom_status_id"] = ticket["custom_status_id"] or default_status(desk, ticket["status"])
    desk.tickets[number], desk.comments[number], desk.audits[number] = ticket, [], []
    return ticket


def new_comment(
    desk: Desk,
    now: datetime,
    ticket_id: int,
    author_id: int,
    text: str,
    *,
    public: bool = True,
    markup: str | None = None,
    via: Thing | None = None,
    flags: Iterable[int] = (),
    custom: Thing | None = None,
    events: Iterable[Thing] = (),
    actor_id: int | None = None,
) -> Thing:
    """A comment and its audit. `markup` given: an HTML body, and the plain text is read from it."""
    ticket, flagged = desk.tickets[ticket_id], sorted(set(flags))
    body = plain_of(markup) if markup is not None else text
    metadata: Thing = {"system": {"client": "twin", "ip_address": "192.0.2.1"}, "custom": custom or {}}
    if flagged:
        metadata |= {
            "flags": flagged,
            "flags_options": {str(flag): {"trusted": False} for flag in flagged},
            "trusted": not DISTRUST_FLAGS.intersection(flagged),
        }
    via = via or ticket["via"]
    comment: Thing = {
        "id": desk.number(),
        "type": "Comment",
        "author_id": author_id,
        "body": body,
        "html_body": sanitised(markup) if markup is not None else html_of(text),
        "plain_body": body,
        "public": public,
        "attachments": [],
        "audit_id": 0,
        "via": via,
        "created_at": text_of(now),
        "metadata": metadata,
    }
    spoken = {name: comment[name] for name in ("id", "type", "author_id", "body", "html_body", "plain_body", "public")}
    comment["audit_id"] = new_audit(desk, now, ticket_id, actor_id or author_id, [spoken, *events], metadata, via)["id"]
    desk.comments[ticket_id].append(comment)
    ticket["description"] = ticket["description"] or body
    ticket["is_public"] = any(each["public"] for each in desk.comments[ticket_id])
    return comment


def new_audit(
    desk: Desk, now: datetime, ticket_id: int, author_id: int, events: list[Thing], metadata: Thing, via: Thing
) -> Thing:
    audit = {
        "id": desk.number(),
        "ticket_id": ticket_id,
        "created_at": text_of(now),
        "author_id": author_id,
        "metadata": metadata,
        "events": events,
        "via": via,
    }
    desk.audits[ticket_id].append(audit)
    return audit


def touch(ticket: Thing, now: datetime) -> None:
    """Move updated_at on. Whole seconds, and always later than before, so that every lost update shows."""
    before = datetime.fromisoformat(ticket["updated_at"])
    after = max(now.replace(microsecond=0), before + timedelta(seconds=1))
    ticket["updated_at"], ticket["generated_timestamp"] = text_of(after), int(now.timestamp())


def default_status(desk: Desk, category: str) -> int | None:
    fits = (number for number, each in desk.custom_statuses.items() if each["status_category"] == category)
    return next(fits, None)
