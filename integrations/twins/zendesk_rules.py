"""What does Zendesk's API refuse, in which envelope, and how does it page?

Stricter than the real API on purpose: a request key that is not in the property list is refused, where Zendesk would
ignore it in silence and the misspelling would live on.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from integrations.twins.server import Request, Response
from integrations.twins.zendesk_desk import Desk, Thing

# -- the property lists (Support OAS 2025-04; webhooks and apps from the reference pages) --------------------
TICKET_UPDATE = frozenset(
    "additional_collaborators assignee_email assignee_id attribute_value_ids collaborator_ids comment "
    "custom_fields custom_status_id due_at email_ccs external_id followers group_id metadata organization_id "
    "priority problem_id requester_id safe_update sharing_agreement_ids status subject tags type updated_stamp".split()
)
TICKET_CREATE = (TICKET_UPDATE - {"safe_update", "updated_stamp"}) | frozenset(
    "brand_id collaborators description email_cc_ids follower_ids macro_ids raw_subject recipient requester "
    "submitter_id ticket_form_id via via_followup_source_id".split()
)
COMMENT = frozenset("author_id body html_body public uploads".split())
TAGS = frozenset("tags updated_stamp safe_update".split())
TICKET_FIELD = frozenset(
    "active agent_can_edit agent_description collapsed_for_agents custom_field_options custom_statuses "
    "description editable_in_portal position raw_description raw_title raw_title_in_portal "
    "regexp_for_validation relationship_filter relationship_target_type required required_in_portal "
    "sub_type_id tag title title_in_portal type visible_in_portal".split()
)
WEBHOOK = frozenset(
    "authentication custom_headers description endpoint external_source http_method name request_format status "
    "subscriptions".split()
)
TOKEN_REQUEST = frozenset("client_id client_secret code expires_in grant_type redirect_uri scope".split())
INSTALLATION = frozenset("app_id enabled group_restrictions role_restrictions settings".split())
APP = frozenset("name short_description upload_id".split())
NOTIFY = frozenset("agent_id app_id body event".split())


class Refused(Exception):
    """The request is answered with an error; carries the answer."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status}: {body}")
        self.response = Response(status, body, headers or {})


# -- the four envelopes --------------------------------------------------------------------------------------
def not_authenticated() -> Refused:
    return Refused(401, {"error": "Couldn't authenticate you"}, {"WWW-Authenticate": 'Basic realm="Web Password"'})


def token_refused() -> Refused:
    says = "The access token provided is expired, revoked, malformed or invalid for other reasons."
    return Refused(401, {"error": "invalid_token", "error_description": says})


def scope_missing(wanted: Sequence[str]) -> Refused:
    says = f"You are missing the following required scopes: {', '.join(wanted)}"
    return Refused(403, {"error": "Forbidden", "description": says})


def access_denied() -> Refused:
    says = "You do not have access to this page. Please contact the account owner of this help desk for further help."
    return Refused(403, {"error": {"title": "Forbidden", "message": says}})


def not_found() -> Refused:
    return Refused(404, {"error": "RecordNotFound", "description": "Not found"})


def no_endpoint() -> Refused:
    return Refused(404, {"error": "InvalidEndpoint", "description": "Not found"})


def invalid(field: str, says: str, code: str = "InvalidValue") -> Refused:
    details = {field: [{"description": says, "error": code}]}
    return Refused(422, {"error": "RecordInvalid", "description": "Record validation errors", "details": details})


def listed(status: int, code: str, title: str, detail: str) -> Refused:
    return Refused(status, {"errors": [{"code": code, "title": title, "detail": detail}]})


def conflict() -> Refused:
    says = "Safe Update prevented the update as the ticket was changed after the given updated_stamp."
    return Refused(409, {"error": "UpdateConflict", "description": says})


def too_many(retry_after: int, says: str) -> Refused:
    return Refused(429, {"error": "TooManyRequests", "description": says}, {"Retry-After": str(retry_after)})


# -- one call in hand ----------------------------------------------------------------------------------------
@dataclass(slots=True)
class Call:
    """A request that is being handled: who acts, on which desk, at what time."""

    desk: Desk
    request: Request
    actor: Thing
    now: datetime
    effect: Callable[[str], None]
    base: str
    created: Callable[[int], None]
    update_limit: bool = True
    account_updates_per_minute: int = 100
    headers: dict[str, str] | None = None

    @property
    def query(self) -> dict[str, str]:
        return dict(self.request.query)

    def json(self, *, root: str | None = None, known: Iterable[str] = ()) -> dict[str, Any]:
        """The body, or its part under `root`, with no key outside `known`."""
        try:
            document = self.request.json()
        except ValueError:
            says = "The request body is malformed"
            raise Refused(400, {"error": {"title": "Invalid JSON", "message": says}}) from None
        if "json" not in self.request.headers.get("content-type", ""):
            raise Refused(415, {"error": {"title": "Unsupported Media Type", "message": "Content-Type must be JSON"}})
        if root is not None:
            known_keys(document, {root}, "body")
            document = document.get(root)
            if document is None:
                raise Refused(400, {"error": {"title": "Invalid attribute", "message": f"{root} is required"}})
        return known_keys(document, known, root or "body")


def known_keys(document: Any, known: Iterable[str], where: str) -> dict[str, Any]:
    if not isinstance(document, dict):
        says = f"You passed an invalid value for the {where} attribute. Invalid parameter: {where} must be an object"
        raise Refused(400, {"error": {"title": "Invalid attribute", "message": says}})
    unknown = sorted(set(document) - set(known))
    if unknown:
        says = f"{where}: {', '.join(unknown)} is not a property the real API knows (it would be ignored in silence)"
        raise Refused(400, {"error": {"title": "Unknown attribute", "message": says}})
    return document


def whole_number(value: Any, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(field, f"{field}: must be an integer")
    return value


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_of(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


# -- paging --------------------------------------------------------------------------------------------------
def page_of(call: Call, name: str, items: list[Thing], *, cursor_only: bool = False) -> dict[str, Any]:
    """One page under `name`: cursor when page[size] or page[after] is sent, by number otherwise."""
    if cursor_only or any(key.startswith("page[") for key in call.query):
        return _cursor_page(call, name, items)
    size, number = _positive(call, "per_page", 100), _positive(call, "page", 1)
    size = min(size, 100)
    if size * number > 10_000 and number > 1:
        says = "Offset pagination is not available beyond the first 10,000 records"
        raise listed(400, "InvalidPaginationDepth", "Invalid page", says)
    part = items[size * (number - 1) : size * number]
    where = f"{call.base}{call.request.path}?per_page={size}&page="
    more, fewer = size * number < len(items), number > 1
    return {
        name: part,
        "count": len(items),
        "next_page": f"{where}{number + 1}" if more else None,
        "previous_page": f"{where}{number - 1}" if fewer else None,
    }


def _cursor_page(call: Call, name: str, items: list[Thing]) -> dict[str, Any]:
    size = _positive(call, "page[size]", 100)
    if size > 100:
        says = "page[size] must not exceed 100"
        raise listed(400, "InvalidPaginationParameter", "page[size] parameter is invalid", says)
    start = uncursor(call.query["page[after]"]) if call.query.get("page[after]") else 0
    part, more = items[start : start + size], start + size < len(items)
    after, before = cursor(start + len(part)), cursor(start)
    kept = "&".join(f"{key}={value}" for key, value in call.request.query if key != "page[after]")
    where = f"{call.base}{call.request.path}?{kept}"
    meta = {"has_more": more, "after_cursor": after if part else None, "before_cursor": before if part else None}
    return {name: part, "meta": meta, "links": {"next": f"{where}&page[after]={after}" if more else None, "prev": None}}


def cursor(position: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"at": position}).encode()).decode()


def uncursor(text: str) -> int:
    try:
        return int(json.loads(base64.urlsafe_b64decode(text))["at"])
    except (ValueError, LookupError, TypeError):
        says = "the cursor is malformed"
        raise listed(400, "InvalidCursor", "page[after] parameter is invalid", says) from None


def _positive(call: Call, key: str, usual: int) -> int:
    text = call.query.get(key, str(usual))
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise listed(400, "InvalidPaginationParameter", f"{key} parameter is invalid", f"{key} must be above 0")
    return int(text)
