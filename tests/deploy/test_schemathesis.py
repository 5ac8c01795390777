"""Does any request that our OpenAPI document allows, or nearly allows, break the server or get an undocumented answer?

Schemathesis makes the requests out of the document that the running application serves; twins stand for the vendors.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import UTC
from typing import Any

import hypothesis
import pytest
import schemathesis
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from integrations.store.tables import approval
from integrations.twins.zendesk_delivery import sign
from testkit.indoors import Indoors, indoors
from testkit.rig import WEBHOOK_SECRET
from testkit.worlds import duplicate
from zendesk.links import signed_link

EXAMPLES = 4  # of each operation and mode
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
STRIPE, GITHUB = "whsec_" + "s" * 24, "g" * 24


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Indoors]:
    folder = tmp_path_factory.mktemp("desk")
    with indoors(folder, stripe_webhook_secrets=(STRIPE,), github_webhook_secrets=(GITHUB,)) as made:
        made.world.portal_configuration()
        rig: Any = made
        ticket = duplicate(rig, made.world.price(made.world.product("Pro"), 2900)).ticket
        made.card(ticket)
        yield made


def _ticket(desk: Indoors) -> int:
    return int(desk.zendesk.state()["tickets"][0]["id"])


def _approval(desk: Indoors) -> str:
    """A run that was approved: the first time this is asked, the ticket's own plan is."""
    with desk.product.engine.connect() as connection:
        found = connection.execute(sa.select(approval.c.id)).scalar()
    if found is None:
        shown = desk.get(f"/api/tickets/{_ticket(desk)}/card").get_json()
        body = {
            "plan_digest": shown["plan"]["digest"], "steps": [one["id"] for one in shown["plan"]["steps"]],
            "follow_up": {"body": "Done.", "deliver": "none"}, "file_issue": True,
        }  # fmt: skip
        found = desk.post(f"/api/tickets/{_ticket(desk)}/approvals", body).get_json()["approval_id"]
    return str(found)


def signed(desk: Indoors, path: str, body: bytes) -> dict[str, str]:
    """The headers with which the vendor of this webhook would send the body."""
    if path == "/webhooks/stripe":
        now = int(desk.clock().timestamp())
        digest = hmac.new(STRIPE.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
        return {"Stripe-Signature": f"t={now},v1={digest}"}
    if path == "/webhooks/github":
        digest = hmac.new(GITHUB.encode(), body, hashlib.sha256).hexdigest()
        return {"X-Hub-Signature-256": f"sha256={digest}", "X-GitHub-Delivery": digest[:32], "X-GitHub-Event": "issues"}
    moment = desk.clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "X-Zendesk-Webhook-Signature": sign(WEBHOOK_SECRET, moment, body),
        "X-Zendesk-Webhook-Signature-Timestamp": moment,
        "X-Zendesk-Webhook-Id": "01J", "X-Zendesk-Webhook-Invocation-Id": hashlib.sha256(body).hexdigest()[:26],
    }  # fmt: skip


def send(desk: Indoors, case: Any, *, known: bool) -> None:
    """Send one made-up request as somebody who may, check what comes back against the document."""
    if known:
        real = {"ticket_id": _ticket(desk), "approval_id": _approval(desk)}
        case.path_parameters = {**case.path_parameters, **{k: v for k, v in real.items() if "{" + k in case.path}}
    headers = {"Authorization": f"Bearer {desk.page_token()}"}
    if case.path.startswith("/webhooks/") and isinstance(case.body, dict | list):
        case.media_type = "application/octet-stream"
        body = json.dumps(case.body).encode()
        headers |= signed(desk, case.path, body) | {"Content-Type": "application/json"}
        answer = desk.client.open(case.formatted_path, method=case.method, data=body, headers=headers)
        documented = case.operation.definition.raw["responses"]
        assert str(answer.status_code) in documented, (case.path, answer.status_code)
        assert answer.status_code not in (500, 503)
        return
    case.call_and_validate(headers=headers, checks=CHECKS)


def modes(operation: Any) -> Iterator[tuple[Any, bool]]:
    """Requests that keep to the document, and such that nearly do. What takes long to make up is left out.

    The right bodies of Zendesk's webhook are sent by tests/zendesk/test_openapi.py; every name is a static file's name.
    """
    if operation.path != "/webhooks/zendesk":
        yield operation.as_strategy(generation_mode=GenerationMode.POSITIVE), True
    if (operation.body or operation.path_parameters or operation.query) and operation.path != "/static/{name}":
        # A wrong body gets no further than the address unless that is right.
        yield operation.as_strategy(generation_mode=GenerationMode.NEGATIVE), bool(operation.body)


@pytest.mark.timeout(300)  # about 10 s alone
def test_no_request_that_the_document_allows_breaks_the_server_or_gets_an_undocumented_answer(desk: Indoors) -> None:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", desk.client.application)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:
        for strategy, known in modes(operation):
            run(lambda case, known=known: send(desk, case, known=known), strategy)


def run(one: Callable[[Any], None], strategy: Any) -> None:
    @hypothesis.settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @hypothesis.given(case=strategy)
    def every(case: Any) -> None:
        one(case)

    every()


def test_pages_behind_a_link_answer_as_documented_whatever_the_link(desk: Indoors) -> None:
    for page in ("gaps", "setup"):
        good = signed_link(desk.settings, page, desk.clock()).partition("=")[2]
        for link, status in ((good, 200), (good[:-3], 401), ("x" * 3000, 401), ("\x00ü", 401)):
            answer = desk.client.get(f"/{page}", query_string={"sig": link})
            assert answer.status_code == status, (page, link[:20])
