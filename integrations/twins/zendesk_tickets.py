"""How does Zendesk read and change a ticket?  Show, update under safe update, create, tags, comments, audits, lists."""

from __future__ import annotations

import copy
import hashlib
from datetime import timedelta
from typing import Any

from integrations.twins.server import Response
from integrations.twins.zendesk_changes import (
    apply_properties,
    check_comment,
    check_properties,
    check_tags,
    write_comment,
)
from integrations.twins.zendesk_desk import Thing, new_audit, new_ticket, new_user, touch, via_of
from integrations.twins.zendesk_rules import (
    TAGS,
    TICKET_CREATE,
    TICKET_UPDATE,
    Call,
    Refused,
    access_denied,
    conflict,
    cursor,
    invalid,
    known_keys,
    listed,
    moment_of,
    not_found,
    page_of,
    too_many,
    uncursor,
    whole_number,
)

IDEMPOTENCY_LIFE = timedelta(hours=2)


def reachable(call: Call, ticket_id: str) -> Thing:
    """The ticket, when the acting user may see it."""
    ticket = call.desk.tickets.get(int(ticket_id))
    if ticket is None:
        raise not_found()
    if not may_see(call, call.actor, ticket):
        raise access_denied()
    return ticket


def may_see(call: Call, user: Thing, ticket: Thing) -> bool:
    match user["ticket_restriction"]:
        case None:
            return True
        case "groups":
            return ticket["group_id"] in call.desk.groups_of(user["id"])
        case "assigned":
            return bool(ticket["assignee_id"] == user["id"])
        case "organization":
            return bool(ticket["organization_id"] and ticket["organization_id"] == user["organization_id"])
        case _:
            return bool(ticket["requester_id"] == user["id"])


def show(call: Call, ticket_id: str) -> Response:
    ticket = reachable(call, ticket_id)
    wanted = {each for each in call.query.get("include", "").split(",") if each}
    shown: dict[str, Any] = {"ticket": dict(ticket)}
    if "comment_count" in wanted:
        shown["ticket"]["comment_count"] = len(call.desk.comments[ticket["id"]])
    if "users" in wanted:
        people = {ticket[name] for name in ("requester_id", "submitter_id", "assignee_id")} - {None}
        shown["users"] = [call.desk.users[number] for number in sorted(people)]
    if "groups" in wanted:
        shown["groups"] = [call.desk.groups[ticket["group_id"]]] if ticket["group_id"] in call.desk.groups else []
    if "custom_statuses" in wanted:
        shown["custom_statuses"] = list(call.desk.custom_statuses.values())
    return Response(200, shown)


def update(call: Call, ticket_id: str) -> Response:
    """PUT: comment, tags, fields and status in one go; nothing is changed when any part is refused."""
    ticket = reachable(call, ticket_id)
    wanted = call.json(root="ticket", known=TICKET_UPDATE)
    _before_update(call, ticket, wanted)
    check_properties(call, wanted)
    comment = check_comment(call, wanted["comment"]) if "comment" in wanted else None
    custom = _custom(wanted)
    events = apply_properties(call, ticket, wanted)
    if comment is not None:
        write_comment(call, ticket, comment, custom, events)
        audit = call.desk.audits[ticket["id"]][-1]
    else:
        metadata = {"system": {"client": "twin", "ip_address": "192.0.2.1"}, "custom": custom}
        audit = new_audit(call.desk, call.now, ticket["id"], call.actor["id"], events, metadata, via_of("api"))
    touch(ticket, call.now)
    call.effect(f"ticket {ticket['id']} updated: {', '.join(sorted(set(wanted) - {'safe_update', 'updated_stamp'}))}")
    return Response(200, {"ticket": ticket, "audit": audit})


def create(call: Call) -> Response:
    """POST with the only Idempotency-Key that Zendesk honours; keys live two hours."""
    key, digest = call.request.headers.get("idempotency-key"), hashlib.sha256(call.request.body).digest()
    known = call.desk.idempotency.get(key or "")
    if key and known and call.now - known[0] < IDEMPOTENCY_LIFE:
        if known[1] != digest:
            says = "Request parameters do not match the given idempotency key"
            raise Refused(400, {"error": "IdempotentRequestError", "description": says})
        return Response(201, known[2], {"x-idempotency-lookup": "hit"})
    made = _create(call)
    headers = {"Location": made["ticket"]["url"]}
    if key:
        call.desk.idempotency[key] = (call.now, digest, copy.deepcopy(made))
        headers["x-idempotency-lookup"] = "miss"
    return Response(201, made, headers)


def _create(call: Call) -> dict[str, Any]:
    wanted = call.json(root="ticket", known=TICKET_CREATE)
    if "comment" not in wanted and "description" not in wanted:
        raise invalid("base", "Description: cannot be blank", "BlankValue")
    comment = check_comment(call, wanted.get("comment", {"body": wanted.get("description")}), creating=True)
    check_properties(call, wanted)
    source = _followup_source(call, wanted)
    requester = _requester(call, wanted)
    ticket = new_ticket(call.desk, call.now, str(wanted.get("subject") or ""), requester["id"], via=via_of("api"))
    ticket["submitter_id"] = wanted.get("submitter_id", call.actor["id"])
    if source is not None:
        ticket["via"] = via_of("api") | {"source": {"from": {"ticket_id": source["id"]}, "to": {}, "rel": "follow_up"}}
        source["followup_ids"].append(ticket["id"])
    events = apply_properties(call, ticket, wanted)
    comment.setdefault("author_id", requester["id"])
    write_comment(call, ticket, comment, _custom(wanted), events)
    call.effect(f"ticket {ticket['id']} created")
    call.created(ticket["id"])
    return {"ticket": ticket, "audit": call.desk.audits[ticket["id"]][-1]}


def show_tags(call: Call, ticket_id: str) -> Response:
    return Response(200, {"tags": reachable(call, ticket_id)["tags"]})


def change_tags(call: Call, ticket_id: str) -> Response:
    """PUT adds, POST sets, DELETE removes; each is an update of its own."""
    ticket = reachable(call, ticket_id)
    wanted = known_keys(call.json(known=TAGS), TAGS, "body")
    tags = check_tags(wanted.get("tags"))
    _before_update(call, ticket, wanted)
    method, before = call.request.method, list(ticket["tags"])
    if method == "DELETE":
        after = [tag for tag in before if tag not in tags]
    else:
        after = sorted({*tags} | ({*before} if method == "PUT" else set()))
    apply_properties(call, ticket, {"tags": after})
    touch(ticket, call.now)
    call.effect(f"ticket {ticket['id']} tags: {' '.join(ticket['tags'])}")
    return Response(201 if method == "POST" else 200, {"tags": ticket["tags"]})


def list_comments(call: Call, ticket_id: str) -> Response:
    ticket = reachable(call, ticket_id)
    comments = list(call.desk.comments[ticket["id"]])
    order = call.query.get("sort", call.query.get("sort_order", ""))
    if order not in {"", "created_at", "-created_at", "asc", "desc"}:
        raise listed(400, "InvalidParameter", "sort is not valid", "sort must be created_at or -created_at")
    if order in {"-created_at", "desc"}:
        comments.reverse()
    page = page_of(call, "comments", comments)
    if "users" in call.query.get("include", "").split(","):
        authors = {comment["author_id"] for comment in page["comments"]}
        page["users"] = [call.desk.users[number] for number in sorted(authors) if number in call.desk.users]
    return Response(200, page)


def list_audits(call: Call, ticket_id: str) -> Response:
    return Response(200, page_of(call, "audits", call.desk.audits[reachable(call, ticket_id)["id"]]))


def list_tickets(call: Call) -> Response:
    seen = [ticket for ticket in call.desk.tickets.values() if may_see(call, call.actor, ticket)]
    return Response(200, page_of(call, "tickets", seen))


def requested_by(call: Call, user_id: str) -> Response:
    theirs = [ticket for ticket in call.desk.tickets.values() if ticket["requester_id"] == int(user_id)]
    return Response(200, page_of(call, "tickets", [ticket for ticket in theirs if may_see(call, call.actor, ticket)]))


def export(call: Call) -> Response:
    """The incremental cursor export: by time of change, from start_time or a cursor on."""
    size = min(int(call.query.get("per_page", "1000")), 1000)
    if "cursor" in call.query:
        start = uncursor(call.query["cursor"])
    elif not call.query.get("start_time", "").isdigit():
        raise Refused(400, {"error": {"title": "Invalid", "message": "start_time or cursor is required"}})
    else:
        start = int(call.query["start_time"]) * 1000 - 1
        if start / 1000 > call.now.timestamp() - 60:
            raise invalid("base", "Too recent start_time. Use a start_time older than 1 minute.", "InvalidStartTime")
    fresh = sorted((ticket for ticket in call.desk.tickets.values() if _rank(ticket) > start), key=_rank)
    part = fresh[:size]
    after = cursor(_rank(part[-1]) if part else start)
    return Response(
        200,
        {
            "tickets": part,
            "after_cursor": after,
            "before_cursor": None,
            "after_url": f"{call.base}{call.request.path}?cursor={after}",
            "before_url": None,
            "end_of_stream": len(fresh) <= size,
        },
    )


def _rank(ticket: Thing) -> int:
    """Milliseconds of the last change, made unique by the ticket's number."""
    return int(moment_of(ticket["updated_at"]).timestamp()) * 1000 + int(ticket["id"]) % 1000


def _custom(wanted: Thing) -> Thing:
    custom = wanted.get("metadata", {})
    if not isinstance(custom, dict):
        raise invalid("metadata", "Metadata: must be an object")
    return custom


def _before_update(call: Call, ticket: Thing, wanted: Thing) -> None:
    if ticket["status"] == "closed":
        raise invalid("status", "Status: closed prevents ticket update", "InvalidValue")
    _count_update(call, ticket)
    if "safe_update" not in wanted:
        return
    if "updated_stamp" not in wanted:
        raise invalid("updated_stamp", "Updated stamp: is required for a safe update", "BlankValue")
    try:
        stale = moment_of(str(wanted["updated_stamp"])) != moment_of(ticket["updated_at"])
    except ValueError:
        raise invalid("updated_stamp", "Updated stamp: is not a time") from None
    if stale:
        raise conflict()


def _count_update(call: Call, ticket: Thing) -> None:
    """30 in 10 minutes by one user on one ticket, 100 a minute in the account."""
    call.desk.updates = [each for each in call.desk.updates if call.now - each[0] < timedelta(minutes=10)]
    mine = [at for at, user, number in call.desk.updates if (user, number) == (call.actor["id"], ticket["id"])]
    recent = [at for at, _, _ in call.desk.updates if call.now - at < timedelta(minutes=1)]
    if call.update_limit and len(mine) >= 30:
        raise too_many(int((mine[0] + timedelta(minutes=10) - call.now).total_seconds()) + 1, "Ticket update limit")
    if call.update_limit and len(recent) >= call.account_updates_per_minute:
        raise too_many(int((recent[0] + timedelta(minutes=1) - call.now).total_seconds()) + 1, "Account update limit")
    call.desk.updates.append((call.now, call.actor["id"], ticket["id"]))


def _requester(call: Call, wanted: Thing) -> Thing:
    if "requester_id" in wanted:
        return call.desk.users[whole_number(wanted["requester_id"], "requester_id")]
    if "requester" not in wanted:
        return call.actor
    given = known_keys(wanted["requester"], {"name", "email", "locale_id"}, "requester")
    address = str(given.get("email", ""))
    return call.desk.by_email(address) or new_user(
        call.desk, call.now, str(given.get("name") or address), address, verification_method="none"
    )


def _followup_source(call: Call, wanted: Thing) -> Thing | None:
    if "via_followup_source_id" not in wanted:
        return None
    source = call.desk.tickets.get(whole_number(wanted["via_followup_source_id"], "via_followup_source_id"))
    if source is None or source["status"] != "closed":
        raise invalid("via_followup_source_id", "Follow-up source: must be a closed ticket")
    return source
