"""How does Zendesk show users, groups, fields and statuses, and how does it search?"""

from __future__ import annotations

import re
from datetime import timedelta

from integrations.twins.server import Response
from integrations.twins.zendesk_desk import Thing
from integrations.twins.zendesk_fields import new_field
from integrations.twins.zendesk_rules import (
    TICKET_FIELD,
    Call,
    Refused,
    invalid,
    known_keys,
    moment_of,
    not_found,
    page_of,
)
from integrations.twins.zendesk_tickets import may_see

FIELD_TYPES = frozenset(
    "checkbox date decimal integer lookup multiselect partialcreditcard regexp tagger text textarea".split()
)
_OPTION = frozenset({"id", "name", "value", "raw_name", "position", "default"})
_TERM = re.compile(r'(?:(\w+)\s*(:|<=|>=|<|>))?("[^"]*"|\S+)')
SEARCH_LIMIT = 1000
_ORDER = ("new", "open", "pending", "hold", "solved", "closed")


def _user(call: Call, user_id: str) -> Thing:
    user = call.desk.users.get(int(user_id))
    if user is None:
        raise not_found()
    return user


def show_user(call: Call, user_id: str) -> Response:
    return Response(200, {"user": _user(call, user_id)})


def show_me(call: Call) -> Response:
    return Response(200, {"user": call.actor})


def list_identities(call: Call, user_id: str) -> Response:
    return Response(200, page_of(call, "identities", call.desk.identities[_user(call, user_id)["id"]]))


def list_memberships(call: Call, user_id: str) -> Response:
    number = _user(call, user_id)["id"]
    theirs = [each for each in call.desk.memberships if each["user_id"] == number]
    return Response(200, page_of(call, "group_memberships", theirs))


def list_groups_of(call: Call, user_id: str) -> Response:
    numbers = call.desk.groups_of(_user(call, user_id)["id"])
    return Response(200, page_of(call, "groups", [call.desk.groups[number] for number in sorted(numbers)]))


def list_groups(call: Call) -> Response:
    return Response(200, page_of(call, "groups", list(call.desk.groups.values())))


def show_group(call: Call, group_id: str) -> Response:
    if int(group_id) not in call.desk.groups:
        raise not_found()
    return Response(200, {"group": call.desk.groups[int(group_id)]})


def list_fields(call: Call) -> Response:
    return Response(200, page_of(call, "ticket_fields", list(call.desk.fields.values())))


def show_field(call: Call, field_id: str) -> Response:
    if int(field_id) not in call.desk.fields:
        raise not_found()
    return Response(200, {"ticket_field": call.desk.fields[int(field_id)]})


def delete_field(call: Call, field_id: str) -> Response:
    if call.actor["role"] != "admin":
        raise Refused(403, {"error": {"title": "Forbidden", "message": "Only admins may delete ticket fields"}})
    if call.desk.fields.pop(int(field_id), None) is None:
        raise not_found()
    call.effect(f"ticket field {field_id} removed")
    return Response(204)


def create_field(call: Call) -> Response:
    if call.actor["role"] != "admin":
        raise Refused(403, {"error": {"title": "Forbidden", "message": "Only admins may create ticket fields"}})
    wanted = dict(call.json(root="ticket_field", known=TICKET_FIELD))
    kind, title = wanted.pop("type", None), wanted.pop("title", None)
    if kind not in FIELD_TYPES:
        raise invalid("type", f"Type: {kind} is invalid")
    if not isinstance(title, str) or not title.strip():
        raise invalid("title", "Title: cannot be blank", "BlankValue")
    values = [
        known_keys(option, _OPTION, "custom_field_options")["value"]
        for option in wanted.get("custom_field_options", [])
    ]
    if kind == "tagger" and not values:
        raise invalid("custom_field_options", "Custom field options: cannot be blank", "BlankValue")
    taken = {option["value"] for field in call.desk.fields.values() for option in field.get("custom_field_options", [])}
    if len(set(values)) != len(values) or taken.intersection(values):
        raise invalid("custom_field_options", "Tag values must be unique over all fields", "DuplicateValue")
    made = new_field(call.desk, call.now, title, kind, **wanted)
    call.effect(f"ticket field {made['id']} created")
    return Response(201, {"ticket_field": made}, {"Location": made["url"]})


def list_custom_statuses(call: Call) -> Response:
    wanted = {each for each in call.query.get("status_categories", "").split(",") if each}
    held = [each for each in call.desk.custom_statuses.values() if not wanted or each["status_category"] in wanted]
    return Response(200, {"custom_statuses": held})


def search(call: Call, lag: timedelta) -> Response:
    """Offset only, 1,000 results at most, and blind for what is younger than the index's lag."""
    query = call.query.get("query", "")
    if not query.strip():
        raise Refused(400, {"error": "invalid", "description": "Missing query parameter"})
    found = [
        ticket | {"result_type": "ticket"}
        for ticket in call.desk.tickets.values()
        if may_see(call, call.actor, ticket)
        and moment_of(ticket["created_at"]) <= call.now - lag
        and all(_fits(call, ticket, term) for term in _TERM.findall(query))
    ]
    size = min(int(call.query.get("per_page", "100")), 100)
    if size * int(call.query.get("page", "1")) > SEARCH_LIMIT:
        raise Refused(
            422,
            {
                "error": "invalid",
                "description": "Invalid search: Requested response size was greater than Search Response Limits",
            },
        )
    return Response(200, page_of(call, "results", found) | {"facets": None})


def _fits(call: Call, ticket: Thing, term: tuple[str, str, str]) -> bool:
    key, sign, value = term[0], term[1], term[2].strip('"')
    match key:
        case "type":
            return value == "ticket"
        case "requester":
            user = call.desk.by_email(value)
            return str(ticket["requester_id"]) == value or bool(user and user["id"] == ticket["requester_id"])
        case "status" if sign != ":" and value in _ORDER:
            have, mark = _ORDER.index(ticket["status"]), _ORDER.index(value)
            return {"<": have < mark, ">": have > mark, "<=": have <= mark, ">=": have >= mark}[sign]
        case "status":
            return bool(ticket["status"] == value)
        case "tags":
            return value in ticket["tags"]
        case "":
            words = f"{ticket['subject']} " + " ".join(each["body"] for each in call.desk.comments[ticket["id"]])
            return value.lower() in words.lower()
        case _:
            raise Refused(422, {"error": "invalid", "description": f"Invalid search: {key} is not known to this twin"})
