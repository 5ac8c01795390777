"""How does a Zendesk account look before any ticket?  Its custom statuses and ticket fields."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from integrations.twins.zendesk_desk import Desk, Thing, api_url, text_of


def fill_custom_statuses(desk: Desk, now: datetime) -> None:
    for label in ("New", "Open", "Pending", "On-hold", "Solved"):
        category, number, moment = label.replace("On-hold", "hold").lower(), desk.number(), text_of(now)
        desk.custom_statuses[number] = {
            "id": number,
            "status_category": category,
            "agent_label": label,
            "raw_agent_label": label,
            "end_user_label": label,
            "raw_end_user_label": label,
            "description": "",
            "raw_description": "",
            "end_user_description": "",
            "active": True,
            "default": True,
            "created_at": moment,
            "updated_at": moment,
        }


def new_field(desk: Desk, now: datetime, title: str, kind: str, *, field_id: int | None = None, **more: Any) -> Thing:
    number, moment = field_id or desk.number(), text_of(now)
    made: Thing = {
        "id": number,
        "url": api_url(desk, f"ticket_fields/{number}"),
        "type": kind,
        "title": title,
        "raw_title": title,
        "description": "",
        "raw_description": "",
        "position": 9999,
        "active": True,
        "required": False,
        "collapsed_for_agents": False,
        "regexp_for_validation": None,
        "title_in_portal": title,
        "raw_title_in_portal": title,
        "visible_in_portal": False,
        "editable_in_portal": False,
        "required_in_portal": False,
        "agent_can_edit": True,
        "tag": None,
        "created_at": moment,
        "updated_at": moment,
        "removable": True,
        "agent_description": None,
    }
    if kind in {"tagger", "multiselect"}:
        made["custom_field_options"] = []
    made.update(more)
    for option in made.get("custom_field_options", []):
        option.setdefault("id", desk.number())
        option.setdefault("raw_name", option["name"])
        option.setdefault("default", False)
    desk.fields[number] = made
    for ticket in desk.tickets.values():
        ticket["custom_fields"].append({"id": number, "value": None})
    return made
