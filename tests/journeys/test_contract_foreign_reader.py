"""Does every word of the contract hold for somebody who read only the contract? What a second examination found."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from integrations.twins.server import Request, Response
from testkit.indoors import Indoors, indoors
from testkit.rig import REPOSITORY, WEBHOOK_SECRET
from testkit.stage import Stage, staged
from testkit.worlds import Duplicate, duplicate


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("reader"), policy="[refunds]\nhold_seconds = 0\n") as made:
        yield made


@pytest.fixture
def stage(theatre: Stage) -> Stage:
    theatre.clear()
    return theatre


def seeded(desk: Indoors) -> Duplicate:
    rig: Any = desk
    desk.world.portal_configuration()
    return duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900))


def test_a_plan_that_changed_comes_back_as_the_new_plan_which_can_be_approved(stage: Stage) -> None:
    found = seeded(stage.desk)
    card = stage.desk.card(found.ticket)
    stage.desk.world.refund(found.charge, 500)
    path, body = f"/api/tickets/{found.ticket}/approvals", stage.body(card)
    answer = stage.desk.post(path, body)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (409, "plan_changed")
    plan = answer.get_json()["plan"]
    assert plan["digest"] not in {None, card["plan"]["digest"]}
    assert plan["revenue_impact"]["refund"] == {"usd": 2400}
    again = body | {"plan_digest": plan["digest"], "steps": [step["id"] for step in plan["steps"]]}
    again["follow_up"] = {"body": answer.get_json()["card"]["follow_up"]["body"], "deliver": "draft"}
    assert stage.desk.post(path, again).status_code == 202


def test_a_trigger_without_an_invocation_that_runs_again_has_the_ticket_read_again(stage: Stage) -> None:
    ticket = stage.desk.ticket("maya@acme.example", "Charged twice", "I was charged twice.")
    body = json.dumps({"ticket_id": ticket, "source": "trigger"}).encode()

    def deliver() -> int:
        stamp = f"{stage.desk.clock():%Y-%m-%dT%H:%M:%SZ}"
        signature = hmac.new(WEBHOOK_SECRET.encode(), stamp.encode() + body, hashlib.sha256).digest()
        headers = {
            "X-Zendesk-Webhook-Signature": base64.b64encode(signature).decode(),
            "X-Zendesk-Webhook-Signature-Timestamp": stamp,
        }
        return stage.desk.post_webhook(headers, body).status_code

    assert [deliver(), deliver()] == [202, 200]
    stage.desk.clock.advance(timedelta(hours=1))
    assert [deliver(), deliver()] == [202, 200]


@pytest.mark.parametrize("answer", [Response(404, {"message": "Not Found"}), Response(200, {"id": 1, "name": "web"})])
def test_a_github_that_tells_nothing_about_the_repository_gets_the_issue_as_everybody_may_read_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, answer: Response
) -> None:
    usual = stage.desk.github.handle

    def handle(request: Request) -> Response:
        return answer if request.path == f"/repos/{REPOSITORY}" else usual(request)

    monkeypatch.setattr(stage.desk.github, "handle", handle)
    approval = stage.approve(seeded(stage.desk).ticket)
    stage.run(approval)
    stage.file(stage.step(approval, "file_issue").id)
    (issue,) = stage.issues()
    assert "Cases | **1**" in issue["body"]
    assert "/agent/tickets/" not in issue["body"]


@pytest.mark.parametrize("role", ["agent", "admin"])
def test_a_group_may_approve_by_its_name_and_nobody_else(tmp_path: Path, role: str) -> None:
    with indoors(tmp_path, policy='[people]\napprove = ["Billing Leads"]\n') as desk:
        ticket = desk.card(seeded(desk).ticket)["ticket_id"]
        leads, others = (desk.zendesk.add_group(name)["id"] for name in ("Billing leads", role))
        lead, other = (
            int(desk.zendesk.add_agent(name, f"{name}@acme.example", role=role, groups=[group])["id"])
            for name, group in (("lee", leads), ("mo", others))
        )
        for group in (leads, others):
            desk.zendesk.desk.tickets[ticket]["group_id"] = group
            body = {"plan_digest": "sha256:" + "0" * 64, "steps": ["s1"], "follow_up": {"body": "", "deliver": "none"}}
            answers = [
                desk.post(f"/api/tickets/{ticket}/approvals", body, desk.page_token(one)) for one in (lead, other)
            ]
            codes = [answer.get_json()["error"]["code"] for answer in answers]
            assert codes[0] != "not_allowed"
            assert codes[1] in {"not_allowed", "no_access_to_ticket"}


def test_a_group_that_is_called_like_a_role_gives_nobody_its_rights(tmp_path: Path) -> None:
    with indoors(tmp_path, policy='[people]\napprove = ["admin"]\n') as desk:
        ticket = desk.card(seeded(desk).ticket)["ticket_id"]
        group = desk.zendesk.add_group("admin")["id"]
        agent = int(desk.zendesk.add_agent("Mo", "mo@acme.example", groups=[group], ticket_restriction=None)["id"])
        body = {"plan_digest": "sha256:" + "0" * 64, "steps": ["s1"], "follow_up": {"body": "", "deliver": "none"}}
        answer = desk.post(f"/api/tickets/{ticket}/approvals", body, desk.page_token(agent))
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, "not_allowed")


def test_without_a_key_that_writes_only_what_stripe_would_have_done_is_left_undone(stage: Stage) -> None:
    card = stage.desk.card(seeded(stage.desk).ticket)
    assert card["integrations"]["stripe_write"] is True
    approval = stage.approve(card["ticket_id"])
    product = stage.desk.product
    desk = dataclasses.replace(product.desk, executor=None)
    stage.desk.product = dataclasses.replace(product, desk=desk)
    stage.run(approval)
    states = {step["kind"]: (step["state"], step["reason"]) for step in stage.document(approval)["steps"]}
    assert states["send_portal_login"] == states["write_internal_note"] == ("done", None)
    assert states["schedule_cancellation"] == ("refused", "not_configured")
    assert states["refund_charge"][0] == "canceled"
    assert stage.desk.stripe_writes() == []
