"""What may be called, with what, and what comes back? OpenAPI 3.1 of contract section 4, from the schemas in use."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

from flask import Blueprint, Response
from marshmallow import Schema, fields, missing, validate

from github_issues import webhook as gap_events
from zendesk import schemas, stripe_events, webhook
from zendesk.refusals import STATUS

ERRORS: Mapping[int, str] = {
    400: "The body could not be read.",
    401: "The token, signature or link is missing, wrong or too old.",
    403: "Not allowed to this agent, or not without somebody else.",
    404: "There is no such thing.",
    409: "The state has moved on.",
    413: "The body is larger than 1 MiB.",
    422: "The body is JSON, and a field is not what it must be.",
    500: "Something broke on our side.",
    503: "The store or an upstream does not answer; `Retry-After` says when to come again.",
}
_JSON, _HTML = "application/json", "text/html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method at one address. `answers`: what each status that is no error means; `errors`: statuses of ERRORS."""

    method: str
    path: str
    says: str
    answers: Mapping[int, str]
    errors: tuple[int, ...] = ()
    who: str | None = "page"  # name of a security scheme; several joined by a comma; None: anyone
    body: type[Schema] | tuple[type[Schema], ...] | None = None
    form: type[Schema] | None = None
    query: Mapping[str, str] | None = None
    gives: tuple[str, ...] = (_JSON, _HTML)
    result: str = "Card"
    asks: bool = True  # the store or an upstream, which may not answer


class LaunchForm(Schema):
    """Zendesk's signed form post."""

    token = fields.Str(required=True, metadata={"description": "RS256 token of Zendesk's signed iframe"})


_CARD = {200: "the card"}
_TICKET = (401, 403, 404)
# fmt: off
ROUTES: tuple[Route, ...] = (
    Route(
        method="post", path="/webhooks/zendesk", says="A delivery of Zendesk's webhook.", who="zendeskSignature",
        answers={202: "accepted: durable before this answer", 200: "seen before, or caused by ourselves"},
        errors=(400, 401, 413), body=(webhook.EventSchema, webhook.TriggerSchema), gives=(_JSON,), result="Delivery",
    ),
    Route(
        method="post", path="/webhooks/stripe", says="An event of Stripe's webhook.", who="stripeSignature",
        answers={202: "accepted: durable before this answer", 200: "seen before"},
        errors=(400, 401, 404, 413), body=stripe_events.StripeEventSchema, gives=(_JSON,), result="Delivery",
    ),
    Route(
        method="post", path="/webhooks/github", says="An event of GitHub's webhook.", who="githubSignature",
        answers={202: "accepted: durable before this answer", 200: "seen before, or not about an issue of ours"},
        errors=(400, 401, 404, 413), body=gap_events.EventSchema, gives=(_JSON,), result="Delivery",
    ),
    Route(
        method="post", path="/zendesk/sidebar", says="Zendesk opens the sidebar.", who=None,
        answers={200: "the page, with a page token in it", 401: "a static page without any detail"}, errors=(413,),
        form=LaunchForm,
        query={"origin": "our Zendesk's origin", "app_guid": "the app's id in the page",
                              "colorScheme": "light or dark"}, gives=(_HTML,),
    ),
    Route(
        method="post", path="/api/session", says="A fresh page token while the old one is valid.",
        answers={200: "the token"}, errors=(401, 403), gives=(_JSON,), result="Token",
    ),
    Route(
        method="get", path="/api/tickets/{ticket_id}/card", says="The card of a ticket.",
        answers={200: "the card", 202: "the first reading is still running"}, errors=_TICKET,
    ),
    Route(
        method="post", path="/api/tickets/{ticket_id}/refresh", says="Read Stripe and Zendesk again.",
        answers={202: "the card as it is now"}, errors=_TICKET,
    ),
    Route(
        method="post", path="/api/tickets/{ticket_id}/correction", says="The agent's own classification; plans anew.",
        answers={202: "the card as it is now"}, errors=(*_TICKET, 413, 422), body=schemas.CorrectionSchema,
    ),
    Route(
        method="post", path="/api/tickets/{ticket_id}/choose", says="The agent chooses among candidates.",
        answers={202: "the card as it is now"}, errors=(*_TICKET, 413, 422), body=schemas.ChoiceSchema,
    ),
    Route(
        method="post", path="/api/tickets/{ticket_id}/lookup", says="The agent looks somebody up by hand.",
        answers={202: "the card as it is now"}, errors=(*_TICKET, 413, 422), body=schemas.LookupSchema,
    ),
    Route(
        method="post", path="/api/tickets/{ticket_id}/handover", says="Hand the ticket to a person with a note.",
        answers=_CARD, errors=_TICKET,
    ),
    Route(
        method="post", path="/api/tickets/{ticket_id}/approvals", says="Approve steps of exactly this plan.",
        answers={202: "approved; the run has an id"}, errors=(*_TICKET, 409, 413, 422), body=schemas.ApprovalSchema,
        result="Approved",
    ),
    Route(
        method="get", path="/api/approvals/{approval_id}", says="How far a run is, as a document or as events.",
        answers={200: "the state of each step"}, errors=_TICKET, gives=(_JSON, _HTML, "text/event-stream"),
        result="Approval",
    ),
    Route(
        method="post", path="/api/approvals/{approval_id}/second", says="The second pair of eyes.",
        answers={202: "the run", 200: "the card, as HTML"}, errors=(*_TICKET, 409), result="Approval",
    ),
    Route(
        method="post", path="/api/approvals/{approval_id}/cancel", says="Stop what has not been sent.",
        answers={202: "the run", 200: "the card, as HTML"}, errors=(*_TICKET, 409), result="Approval",
    ),
    Route(
        method="post", path="/api/approvals/{approval_id}/go", says="Do not wait for the hold to end.",
        answers={202: "the run", 200: "the card, as HTML"}, errors=(*_TICKET, 409), result="Approval",
    ),
    Route(
        method="post", path="/api/approvals/{approval_id}/undo", says="Reverse a reversible step.",
        answers={200: "the run"}, errors=(*_TICKET, 409, 413, 422), body=schemas.UndoSchema, result="Approval",
    ),
    Route(
        method="get", path="/api/gaps", says="The ledger of product gaps.", answers={200: "the ledger"},
        errors=(400, 401, 403), who="page,link", result="Gaps",
        query={"week": "adds the report of this week, like 2026-W47"},
    ),
    Route(
        method="get", path="/gaps", says="A week's report and the ledger as a page.", answers={200: "the page"},
        errors=(400, 401, 403), who="page,link", gives=(_HTML,),
        query={"week": "this week by default, like 2026-W47", "format": "markdown: the report as Markdown"},
    ),
    Route(
        method="get", path="/setup", says="The checks of doctor as a page.", answers={200: "the page"},
        errors=(401, 403), who="page,link", gives=(_HTML,),
    ),
    Route(
        method="get", path="/static/{name}", says="A file of the page; its address changes with its content.",
        answers={200: "the file"}, errors=(404,), who=None, gives=("text/css", "text/javascript", "image/svg+xml"),
        asks=False,
    ),
    Route(
        method="get", path="/openapi.json", says="This document.", answers={200: "the document"}, who=None,
        gives=(_JSON,), result="Document", asks=False,
    ),
    Route(
        method="get", path="/healthz", says="Whether the process lives.", answers={200: "it lives"}, who=None,
        gives=(_JSON,), result="Health", asks=False,
    ),
    Route(
        method="get", path="/readyz", says="Whether the store answers and its schema is current.",
        answers={200: "ready", 503: "not ready; `failing` names the parts"}, who=None, gives=(_JSON,),
        result="Readiness", asks=False,
    ),
    Route(
        method="get", path="/metrics", says="Prometheus text format 0.0.4.", answers={200: "the figures"}, who=None,
        errors=(401,), gives=("text/plain",), asks=False,
    ),
)
_SECURITY = {
    "githubSignature": {
        "type": "apiKey", "in": "header", "name": "X-Hub-Signature-256",
        "description": "sha256=hex(HMAC-SHA256(secret, body))",
    },
    "stripeSignature": {
        "type": "apiKey", "in": "header", "name": "Stripe-Signature",
        "description": "t=seconds,v1=hex(HMAC-SHA256(secret, t.body)); good for 300 seconds",
    },
    "page": {"type": "http", "scheme": "bearer", "description": "the page token of the sidebar"},
    "link": {"type": "apiKey", "in": "query", "name": "sig", "description": "a link of ours, good for seven days"},
    "zendeskSignature": {
        "type": "apiKey", "in": "header", "name": "X-Zendesk-Webhook-Signature",
        "description": "base64(HMAC-SHA256(secret, timestamp + body)); the timestamp is in a header of its own",
    },
}
# fmt: on


def blueprint() -> Blueprint:
    routes = Blueprint("openapi", __name__)

    @routes.get("/openapi.json")
    def openapi() -> Response:
        return Response(_text(), mimetype=_JSON)

    return routes


@cache
def _text() -> str:
    return json.dumps(document())


def document() -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "billing-desk", "version": metadata.version("billing-desk")},
        "paths": paths,
        "components": {"schemas": _results(), "securitySchemes": _SECURITY},
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.says,
        "operationId": _name(route),
        "parameters": [*_path_parameters(route.path), *_query(route.query or {})],
        "responses": _responses(route),
        "security": [{name: []} for name in route.who.split(",")] if route.who else [],
    }
    content = {}
    if route.body is not None:
        several = route.body if isinstance(route.body, tuple) else (route.body,)
        shapes = [to_json_schema(one()) for one in several]
        content[_JSON] = {"schema": shapes[0] if len(shapes) == 1 else {"oneOf": shapes}}
    if route.form is not None:
        content["application/x-www-form-urlencoded"] = {"schema": to_json_schema(route.form())}
    if content:
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _name(route: Route) -> str:
    words = [part.strip("{}").replace(".", "_") for part in route.path.split("/") if part]
    return "_".join([route.method, *words])


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    number, text = {"type": "integer", "minimum": 0}, {"type": "string"}
    return [
        {"name": name, "in": "path", "required": True, "schema": number if name == "ticket_id" else text}
        for name in names
    ]


def _query(query: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": name == "origin", "description": says, "schema": {"type": "string"}}
        for name, says in query.items()
    ]


def _responses(route: Route) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, says in route.answers.items():
        responses[str(status)] = {"description": says, "content": _contents(route)}
    errors = [*route.errors, 500, *([503] if route.asks else [])]
    for status in errors:
        codes = sorted(code for code, its in STATUS.items() if its == status)
        description = f"{ERRORS[status]} Codes: {', '.join(codes)}." if codes else ERRORS[status]
        content: dict[str, Any] = {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
        if _HTML in route.gives and route.path.startswith("/api/tickets"):
            content[_HTML] = {"schema": {"type": "string"}}
        responses[str(status)] = {"description": description, "content": content}
    return dict(sorted(responses.items()))


def _contents(route: Route) -> dict[str, Any]:
    shape = {"$ref": f"#/components/schemas/{route.result}"}
    return {media: {"schema": shape if media == _JSON else {"type": "string"}} for media in route.gives}


# --- from marshmallow to JSON Schema --------------------------------------------------------------------------------


def to_json_schema(schema: Schema) -> dict[str, Any]:
    """The few field types that our bodies use. Raises TypeError for another one, so that nothing is told wrongly."""
    shown = {field.data_key or name: _field(field) for name, field in schema.fields.items()}
    required = [field.data_key or name for name, field in schema.fields.items() if field.required]
    document: dict[str, Any] = {"type": "object", "properties": shown}
    if required:
        document["required"] = sorted(required)
    return document


def _field(field: Any) -> dict[str, Any]:
    shape = _type(field)
    for rule in _rules(field):
        shape |= _rule(rule, shape)
    if field.allow_none:
        types = shape["type"] if isinstance(shape["type"], list) else [shape["type"]]
        shape["type"] = [*types, "null"]
    default = field.load_default
    if default is not missing:
        shape["default"] = default() if callable(default) else default
    if "description" in field.metadata:
        shape["description"] = field.metadata["description"]
    return shape


def _type(field: Any) -> dict[str, Any]:
    match field:
        case fields.Nested():
            return to_json_schema(field.schema)
        case fields.List():
            return {"type": "array", "items": _field(field.inner)}
        case fields.Dict():
            return {"type": "object"}
        case fields.Bool():
            return {"type": "boolean"}
        case webhook.Whole():
            return {"type": ["integer", "string"], "pattern": "^[0-9]{1,19}$"}
        case fields.Int():
            return {"type": "integer"}
        case fields.Str():
            return {"type": "string"}
        case _:
            raise TypeError(f"no JSON Schema for {type(field).__name__}")


def _rules(field: Any) -> Iterable[Any]:
    given = field.validate
    return given if isinstance(given, list | tuple) else [given] if given is not None else []


def _rule(rule: Any, shape: Mapping[str, Any]) -> dict[str, Any]:
    match rule:
        case validate.Length():
            least, most = ("minItems", "maxItems") if shape["type"] == "array" else ("minLength", "maxLength")
            limits = {least: rule.min, most: rule.max}
        case validate.Range():
            limits = {"minimum": rule.min, "maximum": rule.max}
        case validate.OneOf():
            return {"enum": list(rule.choices)}
        case validate.Regexp():
            # ECMA has no \Z, and its patterns match anywhere where Python's `match` begins at the start.
            return {"pattern": "^" + str(rule.regex.pattern).replace(r"\Z", "$").replace("\x00", r"\u0000")}
        case _:
            raise TypeError(f"no JSON Schema for {type(rule).__name__}")
    return {name: limit for name, limit in limits.items() if limit is not None}


# --- what comes back ------------------------------------------------------------------------------------------------


def _results() -> dict[str, Any]:
    text, whole = {"type": "string"}, {"type": "integer"}
    sums = {"type": "object", "additionalProperties": whole, "description": "minor units by currency"}
    return {
        "Error": _object(error=_object(code=text, message=text, request_id=text)),
        "Delivery": _object(status={"enum": ["accepted", "already_seen", "ignored"]}),
        "Token": _object(token=text),
        "Card": _object(ticket_id=whole, state=text, version=whole),
        "Approved": _object(approval_id=text, state=text),
        "Approval": _object(
            id=text, ticket_id=whole, state=text, money_moved=sums, money_pending=sums,
            steps={"type": "array", "items": _object(id=text, kind=text, state=text)},
        ),
        "Gaps": _object(
            gaps={
                "type": "array",
                "items": _object(
                    kind=text, repository=text, tickets=whole, customers=whole, refunded=sums, at_risk=sums,
                    first_seen=text, last_seen=text,
                ),
            }
        ),
        "Health": _object(status=text),
        "Readiness": _object(
            status=text,
            failing={"type": "array", "items": text},
            worker_age_seconds={"type": ["integer", "null"], "description": "since a worker's last sign of life"},
        ),
        "Document": {"type": "object"},
    }  # fmt: skip


def _object(**properties: Any) -> dict[str, Any]:
    """An object with these properties, all of them there; keys are only ever added."""
    return {"type": "object", "properties": properties, "required": list(properties)}
