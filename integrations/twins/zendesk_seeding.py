"""How is a Zendesk account described in JSON?  The seed of POST /_twin/seed.

{"groups": [{"id", "name"}], "users": [{"name", "email", "role", "groups": [..], "identities": [{"value", ..}], ..}],
 "ticket_fields": [{"title", "type", ..}], "webhooks": [{"endpoint", "secret", "kind"}],
 "tickets": [{"subject", "requester_id" | "requester": {"name", "email"}, "comments": [{"body", ..}], "deliver", ..}],
 "switches": {"auto_deliver": false, ..}, "launch": agent id}
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from integrations.twins.zendesk_account import ZendeskAccount

_SWITCHES = frozenset({"auto_deliver", "update_limit", "account_limit", "delivery_timeout"})
_COMMENT = frozenset({"body", "author_id", "public", "channel", "flags", "via"})


def seed_desk(twin: ZendeskAccount, wanted: dict[str, Any]) -> dict[str, Any]:
    """Take in one seed; the numbers given to what had none are in the answer. Raises ValueError on unknown words."""
    known = {"groups", "users", "ticket_fields", "webhooks", "tickets", "switches", "launch"}
    if unknown := set(wanted) - known:
        raise ValueError(f"unknown in the seed: {sorted(unknown)}")
    _switch(twin, wanted.get("switches", {}))
    groups = [twin.add_group(each["name"], each.get("id")) for each in wanted.get("groups", [])]
    users = [_user(twin, dict(each)) for each in wanted.get("users", [])]
    fields = [_field(twin, dict(each)) for each in wanted.get("ticket_fields", [])]
    hooks = [twin.add_webhook(**each) for each in wanted.get("webhooks", [])]
    made = [_ticket(twin, dict(each)) for each in wanted.get("tickets", [])]
    return {
        "groups": [each["id"] for each in groups],
        "users": [each["id"] for each in users],
        "ticket_fields": [each["id"] for each in fields],
        "webhooks": [each["id"] for each in hooks],
        "tickets": [each["id"] for each in made],
    }


def _switch(twin: ZendeskAccount, switches: dict[str, Any]) -> None:
    for name, value in switches.items():
        if name == "search_lag":
            twin.search_lag = timedelta(seconds=float(value))
        elif name in _SWITCHES:
            setattr(twin, name, value)
        else:
            raise ValueError(f"unknown switch: {name}")


def _user(twin: ZendeskAccount, given: dict[str, Any]) -> dict[str, Any]:
    identities = given.pop("identities", [])
    user = twin.add_user(given.pop("name"), given.pop("email", None), user_id=given.pop("id", None), **given)
    for each in identities:
        kept = dict(each)
        twin.add_identity(user["id"], kept.pop("value"), kind=kept.pop("type", "email"), **kept)
    return user


def _field(twin: ZendeskAccount, given: dict[str, Any]) -> dict[str, Any]:
    return twin.add_field(given.pop("title"), given.pop("type", "text"), field_id=given.pop("id", None), **given)


def _ticket(twin: ZendeskAccount, given: dict[str, Any]) -> dict[str, Any]:
    comments = given.pop("comments", None) or [{"body": given.pop("description", given["subject"])}]
    for each in comments:
        if unknown := set(each) - _COMMENT:
            raise ValueError(f"unknown in a comment: {sorted(unknown)}")
    requester = given.pop("requester", None)
    if requester is not None:
        held = twin.desk.by_email(requester["email"]) or twin.add_user(requester["name"], requester["email"])
        given["requester_id"] = held["id"]
    first, fields = comments[0], {each["id"]: each["value"] for each in given.pop("custom_fields", [])}
    deliver = bool(given.pop("deliver", False))
    ticket = twin.add_ticket(
        given.pop("subject"),
        first["body"],
        given.pop("requester_id"),
        ticket_id=given.pop("id", None),
        deliver=False,
        author_id=first.get("author_id"),
        flags=first.get("flags", ()),
        channel=first.get("channel", "email"),
        **given,
    )
    for held in ticket["custom_fields"]:
        held["value"] = fields.get(held["id"], held["value"])
    for each in comments[1:]:
        twin.add_comment(
            ticket["id"],
            each.get("author_id", ticket["requester_id"]),
            each["body"],
            public=each.get("public", True),
            channel=each.get("channel", "email"),
            flags=each.get("flags", ()),
            via=each.get("via"),
        )
    if deliver:
        twin.announce(ticket["id"])
    return ticket
