"""Does the Zendesk twin behave as Zendesk's pages say, and is it stricter where that finds mistakes?"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
import requests

from integrations.twins.zendesk_twin import ZendeskTwin

# Property names of Zendesk's Support OAS (2025-04): an answer may only carry these.
OAS: dict[str, set[str]] = {
    "ticket": set(
        "allow_attachments allow_channelback assignee_email assignee_id attribute_value_ids brand_id collaborator_ids "
        "collaborators comment created_at custom_fields custom_status_id description due_at email_cc_ids email_ccs "
        "external_id follower_ids followers followup_ids forum_topic_id from_messaging_channel generated_timestamp "
        "group_id has_incidents id is_public macro_id macro_ids metadata organization_id priority problem_id "
        "raw_subject recipient requester requester_id safe_update satisfaction_rating sharing_agreement_ids status "
        "subject submitter_id tags ticket_form_id type updated_at updated_stamp url via via_followup_source_id via_id "
        "voice_comment".split()
    ),
    "comment": set(
        "attachments audit_id author_id body created_at html_body id metadata plain_body public type uploads "
        "via".split()
    ),
    "audit": set("author_id created_at events id metadata ticket_id via".split()),
    "user": set(
        "active alias chat_only created_at custom_role_id default_group_id details email external_id iana_time_zone id "
        "last_login_at locale locale_id moderator name notes only_private_comments organization_id phone photo "
        "remote_photo_url report_csv restricted_agent role role_type shared shared_agent shared_phone_number signature "
        "suspended tags ticket_restriction time_zone two_factor_auth_enabled updated_at url user_fields "
        "verified".split()
    ),
    "identity": set(
        "created_at deliverable_state id primary type undeliverable_count updated_at url user_id value "
        "verification_method verified verified_at".split()
    ),
    "group_membership": set("created_at default group_id id updated_at url user_id".split()),
    "custom_status": set(
        "active agent_label created_at default description end_user_description end_user_label id raw_agent_label "
        "raw_description raw_end_user_description raw_end_user_label status_category updated_at".split()
    ),
}
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SECRET = "whs_literal_key="


class Agent:
    """A client of the twin that signs in as Zendesk's basic legacy way or with a token."""

    def __init__(self, twin: ZendeskTwin, authorization: str | None) -> None:
        self.twin = twin
        self.session = requests.Session()
        self.session.trust_env = False
        if authorization:
            self.session.headers["Authorization"] = authorization

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        if body is not None:
            more["json"] = body
        return self.session.request(method, f"{self.twin.url}/api/v2/{path}", timeout=5, allow_redirects=False, **more)

    def get(self, path: str, **more: Any) -> Any:
        answer = self.call("GET", path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def update(self, ticket_id: int, **properties: Any) -> requests.Response:
        return self.call("PUT", f"tickets/{ticket_id}.json", {"ticket": properties})


@pytest.fixture
def twin() -> Iterator[ZendeskTwin]:
    with ZendeskTwin(clock=lambda: NOON) as running:
        yield running
        assert running.crashes == []


def bearer(twin: ZendeskTwin, scope: str = "tickets:read tickets:write users:read", **more: Any) -> str:
    wanted = {
        "grant_type": "client_credentials",
        "client_id": twin.client_id,
        "client_secret": twin.client_secret,
        "scope": scope,
    } | more
    answer = requests.post(f"{twin.url}/oauth/tokens", json=wanted, timeout=5)
    assert answer.status_code == 201, answer.text
    return f"Bearer {answer.json()['access_token']}"


@pytest.fixture
def agent(twin: ZendeskTwin) -> Iterator[Agent]:
    made = Agent(twin, bearer(twin))
    yield made
    made.session.close()


@pytest.fixture
def admin(twin: ZendeskTwin) -> Iterator[Agent]:
    made = Agent(twin, bearer(twin, "read write"))
    yield made
    made.session.close()


@pytest.fixture
def ticket(twin: ZendeskTwin) -> dict[str, Any]:
    person = twin.add_user("Mara Lind", "Mara@Customer.example")
    return twin.add_ticket("Charged twice", "Please refund one of them", person["id"], tags=["vip"])


class Listener:
    """A small endpoint for deliveries: answers the statuses given, then 202."""

    def __init__(self, *answers: tuple[int, dict[str, str]]) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.answers = list(answers)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.received.append(({name.lower(): value for name, value in self.headers.items()}, body))
                status, headers = outer.answers.pop(0) if outer.answers else (202, {})
                self.send_response(status)
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/webhooks/zendesk"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


# -- who is calling -----------------------------------------------------------------------------------------
def test_client_credentials_give_a_token_that_ends(twin: ZendeskTwin, ticket: dict[str, Any]) -> None:
    agent = Agent(twin, bearer(twin, expires_in=600))
    assert agent.call("GET", f"tickets/{ticket['id']}").status_code == 200
    twin.advance(timedelta(seconds=601))
    answer = agent.call("GET", f"tickets/{ticket['id']}")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")


def test_an_unknown_scope_is_granted_silently_and_then_forbidden_everywhere(twin: ZendeskTwin) -> None:
    agent = Agent(twin, bearer(twin, "tickets.read"))
    assert agent.get("oauth/tokens/current.json")["token"]["scopes"] == []
    answer = agent.call("GET", "tickets/1.json")
    assert answer.status_code == 403
    assert "tickets:read" in answer.json()["description"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"client_secret": "wrong"}, 401),
        ({"grant_type": "password"}, 400),
        ({"scopes": "read"}, 400),
        ({"expires_in": 300}, 400),
        ({"expires_in": 172_800}, 400),
    ],
)
def test_a_wrong_token_request_is_refused(twin: ZendeskTwin, change: dict[str, Any], status: int) -> None:
    wanted = {
        "grant_type": "client_credentials",
        "client_id": twin.client_id,
        "client_secret": twin.client_secret,
        "scope": "read",
    } | change
    assert requests.post(f"{twin.url}/oauth/tokens", json=wanted, timeout=5).status_code == status


def test_users_me_answers_200_for_nobody_where_every_other_path_answers_401(twin: ZendeskTwin) -> None:
    nobody = Agent(twin, None)
    assert nobody.get("users/me.json")["user"]["id"] is None
    password = Agent(twin, "Basic " + base64.b64encode(b"x@y.example:secret").decode())
    assert password.get("users/me.json")["user"]["name"] == "Anonymous user"
    for each in (nobody, password):
        answer = each.call("GET", "tickets/1.json")
        assert (answer.status_code, answer.json()) == (401, {"error": "Couldn't authenticate you"})


def test_email_and_token_work_until_the_day_they_end(twin: ZendeskTwin) -> None:
    name = f"billing-desk@acme.example/token:{twin.api_token}".encode()
    legacy = Agent(twin, "Basic " + base64.b64encode(name).decode())
    assert legacy.get("users/me.json")["user"]["id"] == twin.desk.service_user
    twin.set_clock(datetime(2027, 4, 30, tzinfo=UTC))
    assert legacy.call("GET", "users/me.json").status_code == 401


def test_audits_need_the_global_read_scope(agent: Agent, admin: Agent, ticket: dict[str, Any]) -> None:
    assert agent.call("GET", f"tickets/{ticket['id']}/audits.json").status_code == 403
    assert admin.get(f"tickets/{ticket['id']}/audits.json")["audits"][0]["ticket_id"] == ticket["id"]


def test_an_agent_restricted_to_groups_does_not_see_other_groups(twin: ZendeskTwin) -> None:
    billing, sales = twin.add_group("Billing"), twin.add_group("Sales")
    person = twin.add_user("Mara", "mara@customer.example")
    near = twin.add_ticket("a", "a", person["id"], group_id=billing["id"])
    far = twin.add_ticket("b", "b", person["id"], group_id=sales["id"])
    limited = twin.add_agent("Lee", "lee@acme.example", groups=[billing["id"]], ticket_restriction="groups")
    assert (twin.may_see(limited["id"], near["id"]), twin.may_see(limited["id"], far["id"])) == (True, False)
    lee = Agent(twin, "Basic " + base64.b64encode(f"lee@acme.example/token:{twin.api_token}".encode()).decode())
    assert lee.call("GET", f"tickets/{far['id']}").status_code == 403
    assert lee.get(f"users/{limited['id']}/group_memberships")["group_memberships"][0]["group_id"] == billing["id"]
    assert lee.get(f"users/{limited['id']}")["user"]["default_group_id"] == billing["id"]


# -- reading -------------------------------------------------------------------------------------------------
def test_answers_carry_only_names_the_published_description_knows(
    twin: ZendeskTwin, admin: Agent, ticket: dict[str, Any]
) -> None:
    number, person = ticket["id"], ticket["requester_id"]
    shown = admin.get(f"tickets/{number}", params={"include": "users"})
    twin.add_group("Billing", 77)
    worker = twin.add_agent("Lee", "lee@acme.example", groups=[77])
    parts = [
        ("ticket", shown["ticket"]),
        ("user", shown["users"][0]),
        ("comment", admin.get(f"tickets/{number}/comments")["comments"][0]),
        ("audit", admin.get(f"tickets/{number}/audits")["audits"][0]),
        ("identity", admin.get(f"users/{person}/identities")["identities"][0]),
        ("group_membership", admin.get(f"users/{worker['id']}/group_memberships")["group_memberships"][0]),
        ("custom_status", admin.get("custom_statuses")["custom_statuses"][0]),
    ]
    assert {kind: sorted(set(part) - OAS[kind]) for kind, part in parts} == {kind: [] for kind, _ in parts}


def test_comments_are_paged_by_cursor_newest_first_with_their_authors(
    twin: ZendeskTwin, agent: Agent, ticket: dict[str, Any]
) -> None:
    for number in range(4):
        twin.add_comment(ticket["id"], ticket["requester_id"], f"more {number}")
    path, bodies, query = f"tickets/{ticket['id']}/comments.json", [], {"page[size]": "2", "sort": "-created_at"}
    while True:
        page = agent.get(path, params=query | {"include": "users"})
        bodies += [each["plain_body"] for each in page["comments"]]
        assert [each["id"] for each in page["users"]] == [ticket["requester_id"]]
        if not page["meta"]["has_more"]:
            break
        assert page["meta"]["after_cursor"] in page["links"]["next"]
        query["page[after]"] = page["meta"]["after_cursor"]
    assert bodies == ["more 3", "more 2", "more 1", "more 0", "Please refund one of them"]
    answer = agent.call("GET", path, params={"page[size]": "101"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "InvalidPaginationParameter")


def test_a_flagged_comment_shows_its_flags_and_its_sender(twin: ZendeskTwin, agent: Agent) -> None:
    person = twin.add_user("Mara", "mara@customer.example", verification_method="none")
    made = twin.add_ticket("x", "y", person["id"], flags=[14])
    comment = agent.get(f"tickets/{made['id']}/comments")["comments"][0]
    assert comment["metadata"]["flags"] == [14]
    assert comment["metadata"]["flags_options"] == {"14": {"trusted": False}}
    assert comment["via"]["source"]["from"]["address"] == "mara@customer.example"
    identity = agent.get(f"users/{person['id']}/identities")["identities"][0]
    assert (identity["verification_method"], identity["verified"]) == ("none", False)


def test_signing_in_and_reading_leave_no_write_on_the_record(
    twin: ZendeskTwin, agent: Agent, ticket: dict[str, Any]
) -> None:
    agent.get(f"tickets/{ticket['id']}")
    assert len(twin.wire) == 2
    assert twin.writes() == []


def test_search_is_blind_for_young_tickets_and_the_export_is_not(
    twin: ZendeskTwin, agent: Agent, ticket: dict[str, Any]
) -> None:
    query = {"query": f"type:ticket requester:{ticket['requester_id']} status<solved"}
    assert agent.get("search.json", params=query)["count"] == 0
    twin.advance(timedelta(minutes=2))
    assert agent.get("search.json", params=query)["results"][0]["id"] == ticket["id"]
    start = int(NOON.timestamp())
    page = agent.get("incremental/tickets/cursor.json", params={"start_time": start})
    assert ([each["id"] for each in page["tickets"]], page["end_of_stream"]) == ([ticket["id"]], True)
    again = agent.get("incremental/tickets/cursor.json", params={"cursor": page["after_cursor"]})
    assert again["tickets"] == []
    assert agent.update(ticket["id"], priority="high").status_code == 200
    changed = agent.get("incremental/tickets/cursor.json", params={"cursor": page["after_cursor"]})
    assert [each["id"] for each in changed["tickets"]] == [ticket["id"]]


# -- writing -------------------------------------------------------------------------------------------------
def test_one_put_writes_note_tags_and_fields_and_keeps_the_metadata_beside_audit_and_comment(
    twin: ZendeskTwin, agent: Agent, ticket: dict[str, Any]
) -> None:
    options = [{"name": "Duplicate", "value": "billing_duplicate"}]
    field = twin.add_field("Bucket", "tagger", custom_field_options=options)
    mark = {"billing_desk": {"op": "0f1e", "stage": "enrich"}}
    answer = agent.update(
        ticket["id"],
        comment={"html_body": "<p>Two <b>active</b> subscriptions</p>", "public": False},
        tags=["vip", "billing_desk"],
        custom_fields=[{"id": field["id"], "value": "billing_duplicate"}],
        metadata=mark,
        updated_stamp=ticket["updated_at"],
        safe_update=True,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["audit"]["metadata"]["custom"] == mark
    assert answer.json()["ticket"]["tags"] == ["billing_desk", "billing_duplicate", "vip"]
    newest = agent.get(f"tickets/{ticket['id']}/comments", params={"sort": "-created_at"})["comments"][0]
    assert (newest["metadata"]["custom"], newest["public"]) == (mark, False)
    assert newest["plain_body"] == "Two active subscriptions"
    assert len([entry for entry in twin.writes() if "updated" in str(entry.effect)]) == 1
    assert twin.state()["mails"] == []


def test_a_safe_update_with_an_old_stamp_is_a_409_and_changes_nothing(
    twin: ZendeskTwin, agent: Agent, ticket: dict[str, Any]
) -> None:
    stamp = ticket["updated_at"]
    twin.add_comment(ticket["id"], ticket["requester_id"], "and one more thing")
    for flag in (True, False):  # false protects as well: only leaving it out forces
        answer = agent.update(ticket["id"], tags=["mine"], updated_stamp=stamp, safe_update=flag)
        assert answer.status_code == 409
    assert agent.get(f"tickets/{ticket['id']}/tags")["tags"] == ["vip"]
    assert agent.update(ticket["id"], tags=["mine"], updated_stamp=stamp).status_code == 200


def test_of_many_safe_updates_at_once_exactly_one_wins(twin: ZendeskTwin, ticket: dict[str, Any]) -> None:
    statuses: list[int] = []
    token, stamp = bearer(twin), ticket["updated_at"]

    def write(tag: str) -> None:
        mine = Agent(twin, token)
        statuses.append(mine.update(ticket["id"], tags=[tag], updated_stamp=stamp, safe_update=True).status_code)

    threads = [threading.Thread(target=write, args=(f"t{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [409] * 7


def test_two_updates_in_one_second_still_collide(agent: Agent, ticket: dict[str, Any]) -> None:
    stamp = ticket["updated_at"]
    statuses = [
        agent.update(ticket["id"], tags=[tag], updated_stamp=stamp, safe_update=True).status_code
        for tag in ("one", "two")
    ]
    assert statuses == [200, 409]


@pytest.mark.parametrize(
    "properties",
    [
        {"tag": ["x"]},
        {"comment": {"html": "x"}},
        {"comment": {"body": "a", "html_body": "b"}},
        {"comment": {"body": " "}},
        {"tags": ["Big Words"]},
        {"tags": "one"},
        {"custom_fields": [{"id": 1, "value": "x"}]},
        {"status": "done"},
        {"status": "new"},
        {"assignee_id": 5},
        {"safe_update": True},
        {"comment": {"body": "x" * 65_537}},
        {"metadata": "x"},
        {"custom_status_id": 1},
    ],
)
def test_what_zendesk_would_ignore_or_refuse_is_refused(
    twin: ZendeskTwin, agent: Agent, ticket: dict[str, Any], properties: dict[str, Any]
) -> None:
    before = twin.state()["tickets"]
    assert agent.update(ticket["id"], **properties).status_code in {400, 422}
    assert twin.state()["tickets"] == before


def test_placeholders_come_alive_in_body_and_stay_dead_in_html_body(agent: Agent, ticket: dict[str, Any]) -> None:
    text = "Hi {{ticket.requester.name}} {{7*7}} {% assign a = 1 %}<script>alert(1)</script>"
    path = f"tickets/{ticket['id']}/comments"
    agent.update(ticket["id"], comment={"body": text, "public": False})
    assert agent.get(path)["comments"][-1]["plain_body"] == "Hi Mara Lind  "
    agent.update(ticket["id"], comment={"html_body": f"<p onclick='x'>{text}</p>", "public": False})
    newest = agent.get(path)["comments"][-1]
    assert "{{ticket.requester.name}}" in newest["plain_body"]
    assert "script" not in newest["html_body"]
    assert "onclick" not in newest["html_body"]


def test_a_public_reply_is_mailed_to_the_requester(twin: ZendeskTwin, agent: Agent, ticket: dict[str, Any]) -> None:
    agent.update(ticket["id"], comment={"html_body": "<p>Done</p>", "public": True}, status="pending")
    assert [mail["to"] for mail in twin.state()["mails"]] == ["mara@customer.example"]
    assert agent.get(f"tickets/{ticket['id']}")["ticket"]["status"] == "pending"


def test_a_closed_ticket_refuses_updates_and_takes_a_follow_up(twin: ZendeskTwin, agent: Agent) -> None:
    person = twin.add_user("Mara", "mara@customer.example")
    closed = twin.add_ticket("old", "old", person["id"], status="closed")
    answer = agent.update(closed["id"], tags=["x"])
    assert (answer.status_code, answer.json()["error"]) == (422, "RecordInvalid")
    wanted = {
        "ticket": {
            "subject": "again",
            "comment": {"body": "x"},
            "requester_id": person["id"],
            "via_followup_source_id": closed["id"],
        }
    }
    made = agent.call("POST", "tickets.json", wanted)
    assert made.status_code == 201
    assert agent.get(f"tickets/{closed['id']}")["ticket"]["followup_ids"] == [made.json()["ticket"]["id"]]


def test_the_idempotency_key_of_a_ticket_creation_is_honoured(twin: ZendeskTwin, agent: Agent) -> None:
    wanted = {"ticket": {"subject": "s", "comment": {"body": "b"}, "requester": {"name": "N", "email": "n@c.example"}}}
    answers = [agent.call("POST", "tickets.json", wanted, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    agent.update(answers[0].json()["ticket"]["id"], tags=["later"])
    answers.append(agent.call("POST", "tickets.json", wanted, headers={"Idempotency-Key": "k"}))
    assert [each.headers["x-idempotency-lookup"] for each in answers] == ["miss", "hit", "hit"]
    assert answers[0].json() == answers[1].json() == answers[2].json()
    assert len(twin.desk.tickets) == 1
    wanted["ticket"]["subject"] = "other"
    assert agent.call("POST", "tickets.json", wanted, headers={"Idempotency-Key": "k"}).status_code == 400
    twin.advance(timedelta(hours=2))
    renewed = Agent(twin, bearer(twin))
    late = renewed.call("POST", "tickets.json", wanted, headers={"Idempotency-Key": "k"})
    assert late.headers["x-idempotency-lookup"] == "miss"


def test_thirty_updates_of_one_ticket_in_ten_minutes_are_the_limit(
    twin: ZendeskTwin, agent: Agent, ticket: dict[str, Any]
) -> None:
    statuses = [agent.update(ticket["id"], priority="low").status_code for _ in range(31)]
    assert statuses == [200] * 30 + [429]
    refused = agent.update(ticket["id"], priority="low")
    assert 0 < int(refused.headers["Retry-After"]) <= 601
    assert "total=100" in refused.headers["zendesk-ratelimit-tickets-update"]
    twin.update_limit = False
    assert agent.update(ticket["id"], priority="low").status_code == 200


def test_tags_are_added_set_and_removed_at_their_own_address(agent: Agent, ticket: dict[str, Any]) -> None:
    path = f"tickets/{ticket['id']}/tags.json"
    assert agent.call("PUT", path, {"tags": ["b"]}).json()["tags"] == ["b", "vip"]
    assert agent.call("DELETE", path, {"tags": ["vip"]}).json()["tags"] == ["b"]
    assert agent.call("POST", path, {"tags": ["c"]}).json()["tags"] == ["c"]
    stale = {"tags": ["d"], "updated_stamp": ticket["created_at"], "safe_update": "true"}
    assert agent.call("PUT", path, stale).status_code == 409


def test_errors_come_in_four_envelopes(agent: Agent) -> None:
    assert agent.call("GET", "tickets/99.json").json() == {"error": "RecordNotFound", "description": "Not found"}
    assert agent.call("GET", "nonsense.json").json()["error"] == "InvalidEndpoint"
    broken = agent.call("PUT", "tickets/99.json", {"wrong": {}})
    assert broken.status_code in {400, 404}
    assert Agent(agent.twin, None).call("GET", "x").json() == {"error": "Couldn't authenticate you"}


def test_a_fault_between_effect_and_answer_leaves_the_note_on_the_ticket(
    twin: ZendeskTwin, agent: Agent, ticket: dict[str, Any]
) -> None:
    twin.faults.add("reset_after", method="PUT", path="/api/v2/tickets")
    with pytest.raises(requests.ConnectionError):
        agent.update(ticket["id"], comment={"body": "note", "public": False})
    assert len(twin.desk.comments[ticket["id"]]) == 2
    assert twin.writes()[-1].status is None


def test_stale_reads_answer_from_before_the_last_write(twin: ZendeskTwin, agent: Agent, ticket: dict[str, Any]) -> None:
    twin.faults.add("stale", method="GET", path="/api/v2/tickets", times=1)
    agent.update(ticket["id"], tags=["new"])
    path = f"tickets/{ticket['id']}/tags"
    assert [agent.get(path)["tags"] for _ in range(2)] == [["vip"], ["new"]]


def test_a_light_agent_writes_private_comments_only_and_installs_nothing(
    twin: ZendeskTwin, ticket: dict[str, Any]
) -> None:
    made = twin.add_user("Lia", "lia@acme.example", role="light agent")
    assert (made["role"], made["role_type"]) == ("agent", 1)
    light = Agent(twin, "Basic " + base64.b64encode(f"lia@acme.example/token:{twin.api_token}".encode()).decode())
    light.update(ticket["id"], comment={"body": "hello", "public": True})
    assert twin.desk.comments[ticket["id"]][-1]["public"] is False
    assert light.call("GET", "webhooks").status_code == 403
    twin.desk.users[made["id"]]["suspended"] = True
    assert light.call("GET", f"tickets/{ticket['id']}").status_code == 401


# -- installing ----------------------------------------------------------------------------------------------
def test_a_webhook_is_made_changed_and_its_secret_read_and_reset(twin: ZendeskTwin) -> None:
    setup = Agent(twin, bearer(twin, "webhooks:read webhooks:write"))
    wanted = {
        "name": "b",
        "status": "active",
        "endpoint": "https://desk.example/webhooks/zendesk",
        "http_method": "POST",
        "request_format": "json",
        "subscriptions": ["zen:event-type:ticket.created"],
    }
    made = setup.call("POST", "webhooks", {"webhook": wanted})
    assert made.status_code == 201, made.text
    number = made.json()["webhook"]["id"]
    assert [each["id"] for each in setup.get("webhooks")["webhooks"]] == [number]
    assert setup.call("PATCH", f"webhooks/{number}", {"webhook": {"status": "inactive"}}).status_code == 204
    first = setup.get(f"webhooks/{number}/signing_secret")["signing_secret"]
    second = setup.call("POST", f"webhooks/{number}/signing_secret").json()["signing_secret"]
    assert first["algorithm"] == "SHA256"
    assert first["secret"] != second["secret"]
    other = {"webhook": {"subscriptions": ["conditional_ticket_events"]}}
    assert setup.call("PATCH", f"webhooks/{number}", other).status_code == 400
    assert setup.call("POST", "webhooks", {"webhook": wanted | {"endpoint": "http://desk.example"}}).status_code == 400


def package(**change: Any) -> bytes:
    manifest = {"author": {"name": "a"}, "defaultLocale": "en", "frameworkVersion": "2.0", "location": {}} | change
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("translations/en.json", "{}")
    return held.getvalue()


def test_an_app_is_uploaded_created_polled_and_installed(twin: ZendeskTwin) -> None:
    setup = Agent(twin, bearer(twin, "apps:read apps:write"))
    assert setup.call("POST", "apps/validate", files={"file": package()}).status_code == 200
    bad = setup.call("POST", "apps/uploads.json", files={"uploaded_data": package(frameworkVersion="2")})
    assert bad.status_code == 400
    upload = setup.call("POST", "apps/uploads.json", files={"uploaded_data": package()}).json()["id"]
    wanted = {"name": "Desk", "short_description": "d", "upload_id": upload}
    job = setup.call("POST", "apps.json", wanted).json()["job_id"]
    seen = [setup.get(f"apps/job_statuses/{job}.json")["status"] for _ in range(2)]
    assert seen == ["working", "completed"]
    app = setup.get(f"apps/job_statuses/{job}")["app_id"]
    made = setup.call("POST", "apps/installations.json", {"app_id": app, "settings": {"name": "Desk"}})
    assert made.status_code == 201
    assert app in {each["app_id"] for each in setup.get("apps/installations")["installations"]}
    for path in ("public_key", "public_key.pem"):
        assert setup.call("GET", f"apps/{app}/{path}").text == twin.public_key_pem


def test_ticket_fields_are_for_admins_and_their_option_values_are_unique(twin: ZendeskTwin, admin: Agent) -> None:
    options = [{"name": "A", "value": "a"}]
    wanted = {"ticket_field": {"type": "tagger", "title": "Bucket", "custom_field_options": options}}
    made = admin.call("POST", "ticket_fields", wanted)
    assert made.status_code == 201, made.text
    assert admin.call("POST", "ticket_fields", wanted).status_code == 422
    assert [each["title"] for each in admin.get("ticket_fields")["ticket_fields"]] == ["Bucket"]


# -- Zendesk's own calls -------------------------------------------------------------------------------------
def rightly_signed(headers: dict[str, str], body: bytes, secret: str) -> bool:
    stamp = headers["x-zendesk-webhook-signature-timestamp"]
    wanted = base64.b64encode(hmac.new(secret.encode(), stamp.encode() + body, hashlib.sha256).digest()).decode()
    return headers["x-zendesk-webhook-signature"] == wanted


@pytest.mark.parametrize("kind", ["event", "trigger"])
def test_a_delivery_is_signed_over_timestamp_and_body(twin: ZendeskTwin, ticket: dict[str, Any], kind: str) -> None:
    with Listener() as desk:
        twin.deliver_webhook(ticket["id"], desk.url, kind=kind, secret=SECRET)
        headers, body = desk.received[0]
        assert rightly_signed(headers, body, SECRET)
        assert headers["x-zendesk-account-id"] == str(twin.desk.account_id)
        document = json.loads(body)
        if kind == "trigger":
            assert document == {"ticket_id": str(ticket["id"]), "source": "trigger"}
        else:
            assert (document["type"], document["event"]) == ("zen:event-type:ticket.created", {})
            assert (document["detail"]["id"], document["detail"]["status"]) == (str(ticket["id"]), "NEW")


@pytest.mark.parametrize("tamper", ["body", "signature", "timestamp"])
def test_a_tampered_delivery_no_longer_verifies(twin: ZendeskTwin, ticket: dict[str, Any], tamper: str) -> None:
    with Listener() as desk:
        twin.deliver_webhook(ticket["id"], desk.url, secret=SECRET, tamper=tamper)
        assert not rightly_signed(*desk.received[0], SECRET)


def test_a_new_ticket_is_delivered_by_itself_and_tried_again_under_the_same_id(twin: ZendeskTwin) -> None:
    waited: list[float] = []
    twin.delivery_wait = waited.append
    with Listener((503, {"Retry-After": "7"}), (409, {})) as desk:
        twin.add_webhook(desk.url, secret=SECRET)
        twin.add_ticket("s", "t", twin.add_user("Mara", "mara@customer.example")["id"])
        twin.settle()
        assert [each.status for each in twin.deliveries[0].attempts] == [503, 409, 202]
        assert len({headers["x-zendesk-webhook-invocation-id"] for headers, _ in desk.received}) == 1
        assert waited[0] == 7.0
        twin.auto_deliver = False
        twin.add_ticket("s", "t", twin.desk.service_user)
        assert len(twin.deliveries) == 1


def test_a_500_or_a_503_without_retry_after_is_not_tried_again(twin: ZendeskTwin, ticket: dict[str, Any]) -> None:
    with Listener((500, {}), (503, {})) as desk:
        for status in (500, 503):
            sent = twin.deliver_webhook(ticket["id"], desk.url, secret=SECRET, retries=True)
            assert [each.status for each in sent.attempts] == [status]


def test_the_launch_token_carries_the_claims_of_a_first_page_load(twin: ZendeskTwin) -> None:
    token = twin.launch_token(4711)
    audience = f"https://acme.zendesk.com/api/v2/apps/installations/{twin.installation_id}.json"
    claims = jwt.decode(
        token,
        twin.public_key_pem,
        algorithms=["RS256"],
        audience=audience,
        options={"verify_iat": False, "verify_exp": False},
    )
    assert (claims["iss"], claims["sub"]) == ("acme.zendesk.com", "https://acme.zendesk.com/api/v2/users/4711.json")
    assert claims["context"] == {"product": "support", "location": "ticket_sidebar"}
    assert (claims["iat"], claims["exp"]) == (int(NOON.timestamp()), int(NOON.timestamp()) + 300)
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(twin.launch_token(4711, key_number=1), twin.public_key_pem, algorithms=["RS256"], audience=audience)
    changed = jwt.decode(twin.launch_token(1, sub="9", leave_out=("exp",)), options={"verify_signature": False})
    assert (changed["sub"], "exp" in changed) == ("9", False)


def test_a_seed_in_json_and_the_state_route_work_from_another_process(twin: ZendeskTwin) -> None:
    seed = {
        "groups": [{"id": 5, "name": "Billing"}],
        "users": [
            {"id": 20, "name": "Lee", "email": "lee@acme.example", "role": "agent", "groups": [5], "locale": "de"},
            {
                "id": 30,
                "name": "Mara",
                "email": "m@c.example",
                "verification_method": "low",
                "identities": [{"value": "m2@c.example", "verification_method": "none"}],
            },
        ],
        "tickets": [
            {
                "id": 48213,
                "subject": "s",
                "requester_id": 30,
                "group_id": 5,
                "tags": ["vip"],
                "comments": [{"body": "first", "flags": [21]}, {"body": "note", "author_id": 20, "public": False}],
            }
        ],
        "launch": 20,
    }
    answer = requests.post(f"{twin.url}/_twin/seed", json=seed, timeout=5)
    assert answer.status_code == 200, answer.text
    assert answer.json()["token"].count(".") == 2
    held = requests.get(f"{twin.url}/_twin/state", timeout=5).json()["tickets"][0]
    assert (held["id"], held["tags"], len(held["comments"])) == (48213, ["vip"], 2)
    assert held["comments"][0]["metadata"]["flags"] == [21]
    assert requests.post(f"{twin.url}/_twin/seed", json={"ticket": []}, timeout=5).status_code == 400
