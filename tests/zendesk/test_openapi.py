"""Does the description say what the application does: every route, every body, every status it promises?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from marshmallow import Schema, fields, validate

from testkit.indoors import Indoors, indoors
from zendesk.openapi import ROUTES, document, to_json_schema

# Contract section 4: what each route promises to answer.
PROMISED = {
    ("post", "/webhooks/zendesk"): {202, 200, 401, 400, 503},
    ("post", "/zendesk/sidebar"): {200, 401},
    ("post", "/api/session"): {200, 401},
    ("get", "/api/tickets/{ticket_id}/card"): {200, 202, 403, 404},
    ("post", "/api/tickets/{ticket_id}/refresh"): {202},
    ("post", "/api/tickets/{ticket_id}/approvals"): {202, 409, 403, 422},
    ("get", "/api/approvals/{approval_id}"): {200},
    ("post", "/api/approvals/{approval_id}/second"): {202},
    ("post", "/api/approvals/{approval_id}/cancel"): {202},
    ("post", "/api/approvals/{approval_id}/undo"): {200, 409},
    ("post", "/api/tickets/{ticket_id}/correction"): {202},
    ("get", "/api/gaps"): {200},
    ("get", "/gaps"): {200},
    ("get", "/openapi.json"): {200},
    ("get", "/healthz"): {200},
    ("get", "/readyz"): {200, 503},
    ("get", "/metrics"): {200},
}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path, github_webhook_secrets=("g" * 24,)) as made:
        yield made


def described() -> dict[tuple[str, str], Any]:
    return {(method, path): one for path, methods in document()["paths"].items() for method, one in methods.items()}


def registered(desk: Indoors) -> set[tuple[str, str]]:
    """Method and address of every rule of the real application, with `{name}` for Flask's `<int:name>`."""
    rules = desk.client.application.url_map.iter_rules()
    return {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in rules
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from [value["$ref"]] if "$ref" in value else []
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def test_every_route_is_described_and_every_description_has_its_route(desk: Indoors) -> None:
    assert set(described()) == registered(desk)
    assert len(described()) == len(ROUTES)


def test_every_status_that_the_contract_promises_is_described() -> None:
    found = {name: {int(status) for status in one["responses"]} for name, one in described().items()}
    assert {name: promised - found[name] for name, promised in PROMISED.items() if promised - found[name]} == {}


def test_anyone_gets_the_document_and_it_is_the_one_we_make(desk: Indoors) -> None:
    answer = desk.client.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert answer.get_json() == document()
    assert answer.get_json()["openapi"].startswith("3.1.")


def test_every_reference_leads_somewhere_and_every_operation_has_its_own_name() -> None:
    made = document()
    for found in references(made):
        assert found.removeprefix("#/components/schemas/") in made["components"]["schemas"], found
    names = [one["operationId"] for one in described().values()]
    assert len(set(names)) == len(names)
    for name, one in described().items():
        assert {n for entry in one["security"] for n in entry} <= set(made["components"]["securitySchemes"]), name
        assert all(answer["description"] for answer in one["responses"].values()), name
        in_path = re.findall(r"{(\w+)}", name[1])
        assert [p["name"] for p in one["parameters"] if p["in"] == "path"] == in_path


def test_the_security_told_is_the_security_found(desk: Indoors) -> None:
    """Without any credential: 401 exactly where a credential is told, no 401 elsewhere but at the launch."""
    for (method, path), one in described().items():
        answer = desk.client.open(re.sub(r"{\w+}", "1", path), method=method.upper())
        assert (answer.status_code == 401) == (bool(one["security"]) or path == "/zendesk/sidebar"), path
        assert str(answer.status_code) in one["responses"], path


def test_bodies_without_their_fields_are_refused_as_told(desk: Indoors) -> None:
    ticket = desk.ticket("maya@acme.example", "Charged twice", "I was charged twice.")
    desk.card(ticket)
    tried = 0
    for (method, path), one in described().items():
        if "{ticket_id}" not in path or "requestBody" not in one:
            continue
        schema = one["requestBody"]["content"]["application/json"]["schema"]
        assert schema["required"], path
        answer = desk.post(path.replace("{ticket_id}", str(ticket)), {})
        assert answer.status_code == 422, path
        assert answer.get_json()["error"]["message"].split()[0] in schema["required"], path
        assert str(answer.status_code) in one["responses"], method
        tried += 1
    assert tried == 4


def test_the_webhook_takes_what_it_is_told_to_take(desk: Indoors) -> None:
    event, trigger = described()["post", "/webhooks/zendesk"]["requestBody"]["content"]["application/json"]["schema"][
        "oneOf"
    ]
    assert event["required"] == ["detail", "id", "type", "zendesk_event_version"]
    assert trigger["required"] == ["ticket_id"]
    assert trigger["properties"]["ticket_id"]["type"] == ["integer", "string"]
    assert event["properties"]["detail"]["properties"]["id"]["type"] == ["integer", "string"]


class _Every(Schema):
    text = fields.Str(required=True, validate=[validate.Length(2, 9), validate.Regexp(r"a[0-9]+\Z")])
    chosen = fields.Str(load_default=None, allow_none=True, validate=validate.OneOf(["x", "y"]))
    yes = fields.Bool(load_default=False)
    number = fields.Int(validate=validate.Range(min=1), load_default=lambda: 3)
    several = fields.List(fields.Str(validate=validate.Length(max=4)), required=True, validate=validate.Length(1, 5))


def test_the_converter_keeps_type_rule_default_and_null() -> None:
    assert to_json_schema(_Every()) == {
        "type": "object",
        "required": ["several", "text"],
        "properties": {
            "text": {"type": "string", "minLength": 2, "maxLength": 9, "pattern": "^a[0-9]+$"},
            "chosen": {"type": ["string", "null"], "enum": ["x", "y"], "default": None},
            "yes": {"type": "boolean", "default": False},
            "number": {"type": "integer", "minimum": 1, "default": 3},
            "several": {
                "type": "array",
                "items": {"type": "string", "maxLength": 4},
                "minItems": 1,
                "maxItems": 5,
            },
        },
    }


def test_a_field_or_rule_that_the_converter_does_not_know_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(TypeError):
        to_json_schema(Schema.from_dict({"one": fields.Decimal()})())
    with pytest.raises(TypeError):
        to_json_schema(Schema.from_dict({"one": fields.Str(validate=validate.Email())})())
