"""Does the Zendesk client read what is there, and write without overwriting, doubling or leaking?"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses
from responses import matchers

from integrations.errors import Conflict, Failed, Forbidden, Garbled, NotFound, RateLimited, Refused, Unauthorized
from integrations.http import Door
from integrations.zendesk_client import ApiToken, OAuthClient, ZendeskClient, escape_html, neutral
from integrations.zendesk_schemas import Operation

BASE = "https://acme.zendesk.com"
TICKET = f"{BASE}/api/v2/tickets/5"
COMMENTS = f"{TICKET}/comments"
STAMP = "2026-11-22T10:00:00Z"


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def client(wire: responses.RequestsMock) -> ZendeskClient:
    wire.post(f"{BASE}/oauth/tokens", json=token("first"), status=201)
    return ZendeskClient(door(), OAuthClient(client_id="desk", client_secret="s3cret"))


def door() -> Door:
    return Door("zendesk", BASE, total_seconds=5.0, read_attempts=1)


def token(value: str, scope: str = "tickets:read tickets:write users:read", **more: Any) -> dict[str, Any]:
    return {"access_token": value, "token_type": "bearer", "scope": scope, "expires_in": 1800, **more}


def ticket(**changes: Any) -> dict[str, Any]:
    return {
        "ticket": {
            "id": 5,
            "subject": "Charged twice",
            "status": "open",
            "requester_id": 7,
            "tags": ["vip"],
            "via": {"channel": "email"},
            "custom_fields": [{"id": 1, "value": None}],
            "updated_at": STAMP,
            "brand_new_key": {"x": 1},
            **changes,
        }
    }


def comment(id: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": id,
        "author_id": 7,
        "public": True,
        "created_at": f"2026-11-22T10:00:{id:02d}Z",
        "plain_body": "Hello",
        **changes,
    }


def marked(op: str) -> dict[str, Any]:
    return comment(9, audit_id=77, metadata={"custom": {"billing_desk": {"op": op, "stage": "enrich"}}})


def sent(wire: responses.RequestsMock, method: str) -> list[Any]:
    return [
        json.loads(call.request.body or "{}")
        for call in wire.calls
        if call.request.method == method and "/oauth/" not in str(call.request.url)
    ]


def test_a_ticket_is_read_with_whatever_is_missing_or_new(wire: responses.RequestsMock, client: ZendeskClient) -> None:
    wire.get(TICKET, json=ticket())
    read = client.ticket(5)
    assert (read.id, read.channel, read.tags, read.updated_stamp) == (5, "email", ("vip",), STAMP)
    wire.replace(responses.GET, TICKET, json={"ticket": {"id": 5, "tags": None, "via": None}})
    assert client.ticket(5).tags == ()


@pytest.mark.parametrize(
    "answer", [{"ticket": {"id": "5"}}, {"ticket": {"id": 5.5}}, {"ticket": None}, [], None, {"ticket": {"id": True}}]
)
def test_an_answer_of_another_shape_is_garbled(
    wire: responses.RequestsMock, client: ZendeskClient, answer: object
) -> None:
    wire.get(TICKET, json=answer)
    with pytest.raises(Garbled):
        client.ticket(5)


def test_comments_come_newest_first_with_their_trust_and_origin(
    wire: responses.RequestsMock, client: ZendeskClient
) -> None:
    mail = {"channel": "email", "source": {"from": {"address": "jane@example.org"}, "rel": None}}
    rows = [comment(1, via=mail, metadata={"flags": [14], "flags_options": {"14": {}}}), comment(2, public=False)]
    wire.get(COMMENTS, json={"comments": rows})
    newest, oldest = client.comments(5)
    assert (newest.id, newest.public, newest.flags, newest.distrusted) == (2, False, frozenset(), False)
    assert (oldest.source_address, oldest.channel, oldest.flags, oldest.distrusted) == (
        "jane@example.org",
        "email",
        frozenset({14}),
        True,
    )
    assert parse_qs(urlsplit(str(wire.calls[-1].request.url)).query) == {"sort": ["-created_at"], "page[size]": ["100"]}


def test_paging_follows_the_cursor_and_never_the_address(wire: responses.RequestsMock, client: ZendeskClient) -> None:
    url = f"{BASE}/api/v2/users/3/group_memberships"
    first = {
        "group_memberships": [{"group_id": 1}],
        "meta": {"has_more": True, "after_cursor": "abc"},
        "links": {"next": "https://evil.example/steal"},
    }
    wire.get(url, json=first, match=[matchers.query_param_matcher({"page[size]": "100"})])
    second = {"group_memberships": [{"group_id": 2}], "meta": {"has_more": False, "after_cursor": "abc"}}
    wire.get(url, json=second, match=[matchers.query_param_matcher({"page[size]": "100", "page[after]": "abc"})])
    assert [membership.group_id for membership in client.group_memberships(3)] == [1, 2]


def test_a_person_and_their_identities_are_read(wire: responses.RequestsMock, client: ZendeskClient) -> None:
    person = {"id": 7, "email": "jane@example.org", "role": "agent", "active": True, "suspended": False}
    wire.get(f"{BASE}/api/v2/users/7", json={"user": {**person, "custom_role_id": 44, "ticket_restriction": "groups"}})
    rows = [{"id": 1, "type": "email", "value": "jane@example.org", "primary": True, "verification_method": "full"}]
    wire.get(f"{BASE}/api/v2/users/7/identities", json={"identities": [*rows, {"id": 2}]})
    user = client.user(7)
    assert (user.role, user.active, user.custom_role_id, user.ticket_restriction) == ("agent", True, 44, "groups")
    assert "jane" not in repr(user)
    assert [one.verification_method for one in client.identities(7)] == ["full", "none"]


def test_one_put_carries_comment_tags_fields_mark_and_collision_guard(
    wire: responses.RequestsMock, client: ZendeskClient
) -> None:
    wire.get(TICKET, json=ticket())
    wire.put(TICKET, json={**ticket(updated_at="2026-11-22T10:00:05Z"), "audit": {"id": 99}})
    update = client.update_ticket(
        5, operation_id="op-1", stage="enrich", note_html="<b>Paid</b>", add_tags=["billing_desk"], fields={1: "x"}
    )
    assert (update.audit_id, update.updated_stamp, update.repeated) == (99, "2026-11-22T10:00:05Z", False)
    assert sent(wire, "PUT") == [
        {
            "ticket": {
                "comment": {"html_body": "<b>Paid</b>", "public": False},
                "tags": ["billing_desk", "vip"],
                "custom_fields": [{"id": 1, "value": "x"}],
                "metadata": {"billing_desk": {"op": "op-1", "stage": "enrich", "v": 1}},
                "updated_stamp": STAMP,
                "safe_update": True,
            }
        }
    ]


def test_tags_that_are_there_already_are_not_sent(wire: responses.RequestsMock, client: ZendeskClient) -> None:
    wire.get(TICKET, json=ticket())
    wire.put(TICKET, json=ticket())
    client.update_ticket(5, operation_id="o", stage="s", public_reply_html="Hi", add_tags=["vip"])
    body = sent(wire, "PUT")[0]["ticket"]
    assert "tags" not in body
    assert body["comment"]["public"] is True


def test_a_collision_is_recomputed_from_the_fresh_ticket(wire: responses.RequestsMock, client: ZendeskClient) -> None:
    wire.get(TICKET, json=ticket())
    wire.get(TICKET, json=ticket(tags=["vip", "angry"], updated_at="2026-11-22T10:01:00Z"))
    wire.get(COMMENTS, json={"comments": [comment(1)]})
    wire.put(TICKET, status=409, json={"error": "UpdateConflict"})
    wire.put(TICKET, json=ticket())
    client.update_ticket(5, operation_id="o", stage="s", note_html="x", add_tags=["ours"])
    last = sent(wire, "PUT")[1]["ticket"]
    assert last["tags"] == ["angry", "ours", "vip"]
    assert last["updated_stamp"] == "2026-11-22T10:01:00Z"


def test_after_three_collisions_the_write_is_given_up(wire: responses.RequestsMock, client: ZendeskClient) -> None:
    wire.get(TICKET, json=ticket())
    wire.get(COMMENTS, json={"comments": [comment(1)]})
    wire.put(TICKET, status=409, json={"error": "UpdateConflict"})
    with pytest.raises(Conflict):
        client.update_ticket(5, operation_id="o", stage="s", note_html="x")
    assert len(sent(wire, "PUT")) == 3


def test_a_collision_with_our_own_earlier_write_is_that_write(
    wire: responses.RequestsMock, client: ZendeskClient
) -> None:
    wire.get(TICKET, json=ticket())
    wire.get(COMMENTS, json={"comments": [marked("o")]})
    wire.put(TICKET, status=409, json={"error": "UpdateConflict"})
    assert client.update_ticket(5, operation_id="o", stage="s", note_html="x").repeated
    assert len(sent(wire, "PUT")) == 1


def test_a_lost_answer_is_found_by_its_mark_and_not_written_twice(
    wire: responses.RequestsMock, client: ZendeskClient
) -> None:
    wire.get(TICKET, json=ticket())
    wire.put(TICKET, body=requests.ConnectionError("reset"))
    wire.get(COMMENTS, json={"comments": [comment(1), marked("op-1")]})
    update = client.update_ticket(5, operation_id="op-1", stage="enrich", note_html="x")
    assert (update.audit_id, update.repeated) == (77, True)
    assert len(sent(wire, "PUT")) == 1


@pytest.mark.parametrize("found", [{"json": {"comments": []}}, {"status": 500}])
def test_an_unknown_outcome_without_a_mark_stays_unknown(
    wire: responses.RequestsMock, client: ZendeskClient, found: dict[str, Any]
) -> None:
    wire.get(TICKET, json=ticket())
    wire.put(TICKET, status=502, body="<html>")
    wire.get(COMMENTS, **found)
    with pytest.raises(Failed) as caught:
        client.update_ticket(5, operation_id="op-1", stage="enrich", note_html="x")
    assert caught.value.unknown_outcome
    assert caught.value.method == "PUT"


def test_a_repetition_after_an_unknown_outcome_looks_first(wire: responses.RequestsMock, client: ZendeskClient) -> None:
    wire.get(COMMENTS, json={"comments": [marked("op-1")]})
    assert client.update_ticket(5, operation_id="op-1", stage="enrich", note_html="x", look_first=True).repeated
    assert sent(wire, "PUT") == []
    found = client.find_operation(5, "op-1")
    assert found is not None
    assert found.operation == Operation(op="op-1", stage="enrich")
    assert client.find_operation(5, "op-2") is None


def test_a_closed_ticket_is_refused_without_a_write(wire: responses.RequestsMock, client: ZendeskClient) -> None:
    wire.get(TICKET, json=ticket(status="closed"))
    with pytest.raises(Refused) as caught:
        client.update_ticket(5, operation_id="o", stage="s", note_html="x")
    assert caught.value.code == "ticket_closed"


def test_a_ticket_closed_meanwhile_is_told_by_the_answer(wire: responses.RequestsMock, client: ZendeskClient) -> None:
    wire.get(TICKET, json=ticket())
    details = {"status": [{"description": "Status: closed prevents ticket update", "error": "Invalid"}]}
    wire.put(TICKET, status=422, json={"error": "RecordInvalid", "details": details})
    with pytest.raises(Refused) as caught:
        client.update_ticket(5, operation_id="o", stage="s", note_html="x")
    assert caught.value.code == "ticket_closed"


def test_a_second_kind_of_comment_or_a_tag_with_spaces_is_a_mistake(client: ZendeskClient) -> None:
    with pytest.raises(ValueError, match="one comment"):
        client.update_ticket(5, operation_id="o", stage="s", note_html="x", public_reply_html="y")
    with pytest.raises(ValueError, match="tag"):
        client.update_ticket(5, operation_id="o", stage="s", add_tags=["two words"])


@pytest.mark.parametrize(
    "hostile",
    [
        "{{ticket.requester.email}}",
        "{{{x}}}",
        "{% raw %}",
        "&#123;&#123;x",
        "&#x7b;{x",
        "&lcub;&lbrace;x",
        "{&percnt; x",
        "{&#37; x",
    ],
)
def test_no_placeholder_survives_in_what_is_written(
    wire: responses.RequestsMock, client: ZendeskClient, hostile: str
) -> None:
    wire.get(TICKET, json=ticket())
    wire.put(TICKET, json=ticket())
    client.update_ticket(5, operation_id="o", stage="s", note_html=f"<p>{hostile}</p>", fields={1: hostile})
    body = sent(wire, "PUT")[0]["ticket"]
    for written in (body["comment"]["html_body"], body["custom_fields"][0]["value"], escape_html(hostile)):
        unescaped = html.unescape(written)
        assert "{{" not in unescaped
        assert "{%" not in unescaped


def test_escaping_leaves_text_readable() -> None:
    assert escape_html('<b>"Tom" & {x}') == "&lt;b&gt;&quot;Tom&quot; &amp; {x}"
    assert neutral("a {b} c") == "a {b} c"


def test_the_token_is_fetched_once_and_sent_as_bearer(wire: responses.RequestsMock, client: ZendeskClient) -> None:
    wire.get(TICKET, json=ticket())
    client.ticket(5)
    client.ticket(5)
    exchanges = [call for call in wire.calls if "/oauth/tokens" in str(call.request.url)]
    assert len(exchanges) == 1
    assert json.loads(exchanges[0].request.body or "") == {
        "grant_type": "client_credentials",
        "client_id": "desk",
        "client_secret": "s3cret",
        "scope": "tickets:read tickets:write users:read",
    }
    assert wire.calls[-1].request.headers["Authorization"] == "Bearer first"


def test_a_rejected_token_is_replaced_once(wire: responses.RequestsMock, client: ZendeskClient) -> None:
    wire.post(f"{BASE}/oauth/tokens", json=token("second"))
    wire.get(TICKET, status=401, json={"error": "invalid_token"})
    wire.get(TICKET, json=ticket())
    assert client.ticket(5).id == 5
    assert wire.calls[-1].request.headers["Authorization"] == "Bearer second"


def test_a_token_that_is_rejected_again_is_reported(wire: responses.RequestsMock, client: ZendeskClient) -> None:
    wire.get(TICKET, status=401, json={"error": "invalid_token"})
    with pytest.raises(Unauthorized):
        client.ticket(5)
    assert sum("tickets" in str(call.request.url) for call in wire.calls) == 2


def test_when_no_token_can_be_had_a_write_is_known_not_to_have_happened(wire: responses.RequestsMock) -> None:
    wire.post(f"{BASE}/oauth/tokens", status=503, body="down")
    client = ZendeskClient(door(), OAuthClient(client_id="desk", client_secret="s3cret"))
    with pytest.raises(Exception, match="no answer") as caught:
        client.create_webhook(name="x", endpoint="https://x", subscriptions=[])
    assert getattr(caught.value, "unknown_outcome", None) is False
    assert "s3cret" not in str(caught.value) + repr(client) + repr(OAuthClient(client_id="a", client_secret="s3cret"))


def test_a_403_names_the_scope_that_was_not_granted(wire: responses.RequestsMock) -> None:
    wire.post(f"{BASE}/oauth/tokens", json=token("narrow", scope="tickets:read users:read"))
    wire.get(TICKET, json=ticket())
    wire.put(TICKET, status=403, json={"error": {"title": "Forbidden", "message": "jane@example.org may not"}})
    client = ZendeskClient(door(), OAuthClient(client_id="desk", client_secret="s3cret"))
    with pytest.raises(Forbidden) as caught:
        client.update_ticket(5, operation_id="o", stage="s", note_html="x")
    assert caught.value.permission == "tickets:write"
    assert "jane" not in str(caught.value)


def test_the_legacy_token_is_sent_as_basic(wire: responses.RequestsMock) -> None:
    wire.get(TICKET, json=ticket())
    ZendeskClient(door(), ApiToken(email="bot@acme.test", token="tok")).ticket(5)
    expected = base64.b64encode(b"bot@acme.test/token:tok").decode()
    assert wire.calls[-1].request.headers["Authorization"] == f"Basic {expected}"


def test_a_limit_says_when_to_come_back(wire: responses.RequestsMock, client: ZendeskClient) -> None:
    wire.get(TICKET, status=429, headers={"Retry-After": "41"}, json={})
    with pytest.raises(RateLimited) as caught:
        client.ticket(5)
    assert caught.value.retry_after == 41
    wire.replace(responses.GET, TICKET, status=429, headers={"ratelimit-reset": "12"}, json={})
    with pytest.raises(RateLimited) as caught:
        client.ticket(5)
    assert caught.value.retry_after == 12


@pytest.mark.parametrize(
    ("envelope", "code"),
    [
        ({"error": {"title": "Forbidden", "message": "jane@example.org"}}, None),
        ({"error": "RecordNotFound", "description": "Not found"}, "RecordNotFound"),
        ({"errors": [{"code": "NotFound", "title": "x"}]}, "NotFound"),
        ({"error": "Couldn't authenticate you"}, None),
    ],
)
def test_all_four_error_envelopes_are_understood(
    wire: responses.RequestsMock, client: ZendeskClient, envelope: dict[str, Any], code: str | None
) -> None:
    wire.get(TICKET, status=404, json=envelope)
    with pytest.raises(NotFound) as caught:
        client.ticket(5)
    assert caught.value.code == code


class TestProbe:
    def test_nobody_is_not_taken_for_a_working_account(
        self, wire: responses.RequestsMock, client: ZendeskClient
    ) -> None:
        wire.get(f"{BASE}/api/v2/users/me", json={"user": {"id": None, "name": "Anonymous user"}})
        with pytest.raises(Unauthorized) as caught:
            client.probe()
        assert caught.value.code == "anonymous_user"

    def test_it_reads_a_resource_and_compares_scopes(self, wire: responses.RequestsMock, client: ZendeskClient) -> None:
        wire.get(f"{BASE}/api/v2/users/me", json={"user": {"id": 3, "role": "agent"}})
        wire.get(f"{BASE}/api/v2/tickets", json={"tickets": []})
        current = f"{BASE}/api/v2/oauth/tokens/current.json"
        wire.get(current, json={"token": {"scopes": ["tickets:read", "write"]}})
        probe = client.probe()
        assert (probe.user_id, probe.role, probe.missing) == (3, "agent", frozenset({"users:read"}))
        wire.replace(responses.GET, current, status=404, json={"error": "RecordNotFound"})
        assert client.probe().missing == frozenset()

    def test_a_resource_that_may_not_be_read_is_reported(
        self, wire: responses.RequestsMock, client: ZendeskClient
    ) -> None:
        wire.get(f"{BASE}/api/v2/users/me", json={"user": {"id": 3, "role": "agent"}})
        wire.get(f"{BASE}/api/v2/tickets", status=403, json={"error": "Forbidden"})
        with pytest.raises(Forbidden):
            client.probe()


class TestSettingUp:
    def test_webhooks_are_listed_created_and_changed(self, wire: responses.RequestsMock, client: ZendeskClient) -> None:
        url = f"{BASE}/api/v2/webhooks"
        wire.get(url, json={"webhooks": [{"id": "01H", "name": "billing-desk", "subscriptions": ["a"]}]})
        wire.post(url, json={"webhook": {"id": "01J"}}, status=201)
        wire.put(f"{url}/01H", status=204)
        wire.get(f"{url}/01H/signing_secret", json={"signing_secret": {"algorithm": "SHA256", "secret": "dGVzdA=="}})
        assert client.webhooks()[0].subscriptions == ("a",)
        wanted: dict[str, Any] = {"name": "n", "endpoint": "https://desk.test/x", "subscriptions": ["t"]}
        assert client.create_webhook(**wanted).id == "01J"
        client.update_webhook("01H", **wanted)
        assert sent(wire, "PUT") == sent(wire, "POST")
        assert client.webhook_signing_secret("01H") == "dGVzdA=="

    def test_ticket_fields_are_listed_and_created(self, wire: responses.RequestsMock, client: ZendeskClient) -> None:
        url = f"{BASE}/api/v2/ticket_fields"
        options = [{"name": "Refund", "value": "billing_refund"}]
        row = {"id": 4, "type": "tagger", "title": "Billing", "custom_field_options": options}
        wire.get(url, json={"ticket_fields": [row]})
        wire.post(url, json={"ticket_field": row}, status=201)
        assert client.ticket_fields()[0].options == ("billing_refund",)
        made = client.create_ticket_field(type="tagger", title="Billing", options={"billing_refund": "Refund"})
        assert made.id == 4
        assert sent(wire, "POST")[0]["ticket_field"]["custom_field_options"] == options

    def test_the_public_key_is_a_pem_or_an_error(self, wire: responses.RequestsMock, client: ZendeskClient) -> None:
        url = f"{BASE}/api/v2/apps/8/public_key.pem"
        wire.get(url, body="-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n")
        assert client.public_key(8).startswith("-----BEGIN PUBLIC KEY-----\n")
        wire.replace(responses.GET, url, body="<html>sign in</html>")
        with pytest.raises(Garbled):
            client.public_key(8)

    def test_an_app_is_uploaded_created_and_installed(
        self, wire: responses.RequestsMock, client: ZendeskClient
    ) -> None:
        wire.post(f"{BASE}/api/v2/apps/uploads", json={"id": 12}, status=201)
        wire.post(f"{BASE}/api/v2/apps", json={"job_id": "j1"}, status=202)
        wire.get(f"{BASE}/api/v2/apps/job_statuses/j1", json={"status": "completed", "app_id": 8})
        wire.post(f"{BASE}/api/v2/apps/installations", json={"id": 21, "app_id": 8, "enabled": True})
        wire.get(f"{BASE}/api/v2/apps/installations", json={"installations": [{"id": 21, "app_id": 8}]})
        upload = client.upload_app(b"PK zip")
        assert b"PK zip" in (wire.calls[-1].request.body or b"")
        assert client.app_job(client.save_app(upload, name="Billing desk")).app_id == 8
        assert client.install_app(8, {"name": "Billing desk"}).id == 21
        assert client.app_installations()[0].app_id == 8
