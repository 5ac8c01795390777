"""Which values may a ticket take, and what follows from a change?  Checked first, applied afterwards."""

from __future__ import annotations

import re
from typing import Any

from integrations.twins.zendesk_desk import STATUSES, Thing, default_status, new_comment, via_of
from integrations.twins.zendesk_rules import COMMENT, Call, invalid, known_keys, whole_number
from integrations.twins.zendesk_text import plain_of, resolve_placeholders

COMMENT_LIMIT = 65_536
COMMENTS_LIMIT = 5_000
_TAG = re.compile(r"[^\s,;\"'<>&A-Z]{1,80}")
_CHOICES = {
    "status": frozenset(STATUSES),
    "priority": frozenset({"urgent", "high", "normal", "low", None}),
    "type": frozenset({"problem", "incident", "question", "task", None}),
}
_COPIED = (
    "subject",
    "priority",
    "type",
    "group_id",
    "assignee_id",
    "external_id",
    "due_at",
    "organization_id",
    "problem_id",
    "requester_id",
    "brand_id",
    "recipient",
    "ticket_form_id",
)


def check_properties(call: Call, wanted: Thing) -> None:
    """Refuse what does not fit; nothing has been changed when this raises."""
    for name, choices in _CHOICES.items():
        if name in wanted and wanted[name] not in choices:
            raise invalid(name, f"{name.capitalize()}: {wanted[name]} is not included in the list")
    if wanted.get("status") == "new":
        raise invalid("status", "Status: cannot be set back to new")
    for name, table in (
        ("group_id", call.desk.groups),
        ("requester_id", call.desk.users),
        ("assignee_id", call.desk.users),
        ("submitter_id", call.desk.users),
        ("custom_status_id", call.desk.custom_statuses),
    ):
        if wanted.get(name) is not None and whole_number(wanted[name], name) not in table:
            raise invalid(name, f"{name}: {wanted[name]} is invalid")
    assignee = call.desk.users.get(wanted.get("assignee_id") or 0)
    if assignee is not None and assignee["role"] == "end-user":
        raise invalid("assignee_id", "Assignee: must be an agent")
    if "tags" in wanted:
        check_tags(wanted["tags"])
    if "custom_fields" in wanted:
        _check_fields(call, wanted["custom_fields"])


def check_tags(tags: Any) -> list[str]:
    if not isinstance(tags, list) or not all(isinstance(tag, str) and _TAG.fullmatch(tag) for tag in tags):
        raise invalid("tags", "Tags: must be a list of lower-case words (the real API would rewrite them)")
    return tags


def _check_fields(call: Call, fields: Any) -> None:
    if not isinstance(fields, list):
        raise invalid("custom_fields", "Custom fields: must be a list of objects with id and value")
    for each in fields:
        known = known_keys(each, {"id", "value"}, "custom_fields")
        field = call.desk.fields.get(whole_number(known.get("id"), "custom_fields.id"))
        if field is None:
            raise invalid("custom_fields", f"Custom field {known.get('id')} does not exist (ignored by the real API)")
        options = {option["value"] for option in field.get("custom_field_options", [])}
        value = known.get("value")
        if field["type"] == "tagger" and value is not None and value not in options:
            raise invalid("custom_fields", f"{field['title']}: {value} is not one of its options")
        if field["type"] == "checkbox" and not isinstance(value, bool):
            raise invalid("custom_fields", f"{field['title']}: must be true or false")
        if field["type"] == "integer" and value is not None and not re.fullmatch(r"-?[0-9]{1,12}", str(value)):
            raise invalid("custom_fields", f"{field['title']}: must be an integer")


def check_comment(call: Call, comment: Any, *, creating: bool = False) -> Thing:
    """The comment as it will be written: placeholders resolved and HTML stripped in `body`. A copy."""
    known = dict(known_keys(comment, COMMENT, "comment"))
    given = [name for name in ("body", "html_body") if known.get(name) is not None]
    if len(given) != 1:
        raise invalid("comment", "Comment: exactly one of body and html_body is needed", "BlankValue")
    text = known[given[0]]
    if not isinstance(text, str) or not text.strip():
        raise invalid("comment", "Comment body: cannot be blank", "BlankValue")
    if len(text.encode()) > COMMENT_LIMIT:
        raise invalid("comment", "Comment body: is too long (maximum is 65536 bytes)", "ValueTooLong")
    if not isinstance(known.get("public", True), bool):
        raise invalid("comment", "Comment public: must be true or false")
    if "author_id" in known and whole_number(known["author_id"], "author_id") not in call.desk.users:
        raise invalid("comment", "Comment author: is invalid")
    if known.get("uploads"):
        raise invalid("comment", "Comment uploads: this twin holds no uploads")
    if creating and known.get("public") is False and call.actor["role"] == "end-user":
        raise invalid("comment", "Comment: an end user cannot write an internal note")
    return known


def write_comment(call: Call, ticket: Thing, comment: Thing, custom: Thing, events: list[Thing]) -> Thing:
    public = bool(comment.get("public", True)) and not call.actor["only_private_comments"]
    author: int = comment["author_id"] if "author_id" in comment else call.actor["id"]
    if len(call.desk.comments[ticket["id"]]) >= COMMENTS_LIMIT:
        raise invalid("comment", "Comment: a ticket holds at most 5000 comments")
    markup = comment.get("html_body")
    text = "" if markup is not None else _resolved(call, ticket, str(comment["body"]))
    made = new_comment(
        call.desk,
        call.now,
        ticket["id"],
        author,
        text,
        public=public,
        markup=markup,
        custom=custom,
        via=via_of("api"),
        events=events,
        actor_id=call.actor["id"],
    )
    if public and author != ticket["requester_id"]:
        requester = call.desk.users[ticket["requester_id"]]
        call.desk.mails.append(
            {
                "ticket_id": ticket["id"],
                "comment_id": made["id"],
                "to": requester["email"],
                "plain_body": made["plain_body"],
            }
        )
    return made


def _resolved(call: Call, ticket: Thing, body: str) -> str:
    """`body` as Zendesk keeps it: tags stripped, {{placeholders}} filled in for every reader."""
    requester = call.desk.users[ticket["requester_id"]]
    values = {
        "ticket.id": str(ticket["id"]),
        "ticket.title": ticket["subject"],
        "ticket.status": ticket["status"],
        "ticket.tags": " ".join(ticket["tags"]),
        "ticket.description": ticket["description"],
        "ticket.link": f"https://{call.desk.subdomain}.zendesk.com/hc/requests/{ticket['id']}",
        "ticket.requester.name": requester["name"],
        "ticket.requester.email": requester["email"] or "",
        "ticket.requester.first_name": requester["name"].split(" ")[0],
        "ticket.requester.id": str(requester["id"]),
        "current_user.name": call.actor["name"],
        "current_user.email": call.actor["email"] or "",
        "ticket.account": call.desk.subdomain,
    }
    return resolve_placeholders(plain_of(body.replace("\n", "<br>")) if "<" in body else body, values)


def apply_properties(call: Call, ticket: Thing, wanted: Thing) -> list[Thing]:
    """Write checked properties; the audit events that tell of it."""
    before = {name: ticket[name] for name in (*_COPIED, "status", "tags", "custom_status_id") if name in ticket}
    for name in _COPIED:
        if name in wanted:
            ticket[name] = wanted[name]
    if "subject" in wanted:
        ticket["raw_subject"] = wanted["subject"]
    if wanted.get("custom_status_id") is not None:
        ticket["custom_status_id"] = wanted["custom_status_id"]
        ticket["status"] = call.desk.custom_statuses[wanted["custom_status_id"]]["status_category"]
    elif "status" in wanted:
        ticket["status"] = wanted["status"]
        ticket["custom_status_id"] = default_status(call.desk, wanted["status"])
    if "tags" in wanted:
        ticket["tags"] = sorted(set(wanted["tags"]))
    _apply_fields(call, ticket, wanted)
    return [
        {"id": call.desk.number(), "type": "Change", "field_name": name, "value": ticket[name], "previous_value": old}
        for name, old in before.items()
        if ticket[name] != old
    ]


def _apply_fields(call: Call, ticket: Thing, wanted: Thing) -> None:
    """Drop-down values and tags follow each other, as they do in Zendesk."""
    given = {each["id"]: each.get("value") for each in wanted.get("custom_fields", [])}
    tags = set(ticket["tags"])
    for held in ticket["custom_fields"]:
        field = call.desk.fields[held["id"]]
        linked = field["type"] == "tagger"
        if held["id"] in given:
            if linked:
                tags -= {held["value"]}
                tags |= {given[held["id"]]} - {None}
            elif field["type"] == "checkbox" and field["tag"]:
                tags = tags | {field["tag"]} if given[held["id"]] else tags - {field["tag"]}
            held["value"] = given[held["id"]]
        elif linked and "tags" in wanted and held["value"] not in tags:
            held["value"] = None
    ticket["tags"] = sorted(tags)
