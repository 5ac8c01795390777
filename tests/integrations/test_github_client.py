"""Does the GitHub client write slowly, once at a time, and say plainly why something was not done?"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
import requests
import responses
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from responses import matchers

from integrations.errors import Failed, Forbidden, Garbled, Moved, NotFound, RateLimited, Refused, Unreachable
from integrations.github_client import AccessToken, AppKey, GitHubClient, app_jwt
from integrations.http import Door

BASE = "https://api.github.com"
REPO = f"{BASE}/repos/acme/web"
ISSUES = f"{REPO}/issues"
ISSUE = {
    "number": 412,
    "id": 1,
    "title": "No billing portal",
    "body": "text",
    "state": "open",
    "labels": [{"name": "billing-gap"}, "plain"],
    "html_url": "https://github.com/acme/web/issues/412",
    "user": {"login": "desk[bot]"},
    "created_at": "2026-11-22T10:00:00Z",
}
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


class Hand:
    """A clock turned by hand; sleeping turns it."""

    def __init__(self) -> None:
        self.now = 50.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def client(clock: Hand) -> GitHubClient:
    return GitHubClient(door(), "acme/web", AccessToken(token="tok"), clock=clock, sleep=clock.sleep)


def door() -> Door:
    return Door("github", BASE, total_seconds=5.0, read_attempts=1)


def body(wire: responses.RequestsMock, index: int = -1) -> Any:
    return json.loads(wire.calls[index].request.body or "null")


def test_an_issue_is_created_and_read(wire: responses.RequestsMock, client: GitHubClient) -> None:
    wire.post(ISSUES, json=ISSUE, status=201)
    wire.get(f"{ISSUES}/412", json={**ISSUE, "body": None, "state": "closed", "state_reason": "completed"})
    made = client.create_issue(title="No billing portal", body="text", labels=["billing-gap"])
    assert (made.number, made.labels, made.creator, made.pull_request) == (
        412,
        ("billing-gap", "plain"),
        "desk[bot]",
        False,
    )
    assert body(wire) == {"title": "No billing portal", "body": "text", "labels": ["billing-gap"]}
    headers = wire.calls[-1].request.headers
    assert headers["Authorization"] == "Bearer tok"
    assert headers["X-GitHub-Api-Version"] == "2022-11-28"
    read = client.issue(412)
    assert (read.body, read.state, read.state_reason) == ("", "closed", "completed")


def test_creations_keep_their_distance_and_other_writes_a_smaller_one(
    wire: responses.RequestsMock, client: GitHubClient, clock: Hand
) -> None:
    wire.post(ISSUES, json=ISSUE, status=201)
    wire.post(f"{ISSUES}/412/comments", json={"id": 3}, status=201)
    wire.patch(f"{ISSUES}/412", json=ISSUE)
    client.create_issue(title="a", body="b")
    assert clock.slept == []
    client.comment(412, "again")
    client.update_issue(412, body="new")
    client.update_issue(412, state="closed", state_reason="completed", labels=["x"])
    assert clock.slept == [pytest.approx(4.0), pytest.approx(4.0), pytest.approx(1.0)]
    assert body(wire) == {"state": "closed", "state_reason": "completed", "labels": ["x"]}
    assert body(wire, -2) == {"body": "new"}


def test_the_distance_can_be_configured(wire: responses.RequestsMock, clock: Hand) -> None:
    wire.post(ISSUES, json=ISSUE, status=201)
    quick = GitHubClient(
        door(), "acme/web", AccessToken(token="t"), create_spacing_seconds=0, clock=clock, sleep=clock.sleep
    )
    quick.create_issue(title="a", body="b")
    quick.create_issue(title="a", body="b")
    assert clock.slept == []


def test_listing_pages_by_count_and_leaves_pull_requests_out(
    wire: responses.RequestsMock, client: GitHubClient
) -> None:
    query = {
        "labels": "gap:no_billing_portal",
        "state": "all",
        "sort": "created",
        "direction": "desc",
        "creator": "app/desk",
        "since": "2026-11-22T09:00:00Z",
        "per_page": "100",
    }
    first = [{**ISSUE, "number": number} for number in range(100)]
    second = [{**ISSUE, "number": 500}, {**ISSUE, "number": 501, "pull_request": {"url": "x"}}]
    next_page = {"Link": '<https://evil.example/>; rel="next"'}
    wire.get(ISSUES, json=first, headers=next_page, match=[matchers.query_param_matcher({**query, "page": "1"})])
    wire.get(ISSUES, json=second, match=[matchers.query_param_matcher({**query, "page": "2"})])
    since = datetime(2026, 11, 22, 9, tzinfo=UTC)
    found = client.issues_by_label("gap:no_billing_portal", creator="app/desk", since=since)
    assert len(found) == 101
    assert found[-1].number == 500


@pytest.mark.parametrize(
    ("status", "headers", "answer", "pause"),
    [
        (429, {"Retry-After": "17"}, {}, 17),
        (403, {"Retry-After": "30"}, {"message": "You have exceeded a secondary rate limit"}, 30),
        (403, {}, {"message": "You have exceeded a secondary rate limit."}, 60),
        (429, {}, {}, 60),
    ],
)
def test_a_limit_names_the_pause_and_nothing_more_is_sent_until_it_is_over(
    wire: responses.RequestsMock,
    client: GitHubClient,
    clock: Hand,
    status: int,
    headers: dict[str, str],
    answer: dict[str, str],
    pause: int,
) -> None:
    wire.post(ISSUES, status=status, headers=headers, json=answer)
    with pytest.raises(RateLimited) as caught:
        client.create_issue(title="a", body="b")
    assert caught.value.retry_after == pause
    clock.now += pause - 1
    with pytest.raises(RateLimited) as caught:
        client.create_issue(title="a", body="b")
    assert caught.value.retry_after == pytest.approx(1)
    assert len(wire.calls) == 1
    clock.now += 2
    wire.replace(responses.POST, ISSUES, json=ISSUE, status=201)
    assert client.create_issue(title="a", body="b").number == 412


def test_an_exhausted_budget_waits_for_its_reset(wire: responses.RequestsMock, client: GitHubClient) -> None:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 120)}
    wire.get(REPO, status=403, headers=headers, json={"message": "API rate limit exceeded"})
    with pytest.raises(RateLimited) as caught:
        client.repository()
    assert caught.value.retry_after == pytest.approx(120, abs=5)


def test_a_missing_permission_is_named(wire: responses.RequestsMock, client: GitHubClient) -> None:
    headers = {"X-Accepted-GitHub-Permissions": "issues=write; pull_requests=write"}
    wire.post(ISSUES, status=403, headers=headers, json={"message": "Resource not accessible by integration"})
    with pytest.raises(Forbidden) as caught:
        client.create_issue(title="a", body="b")
    assert caught.value.permission == "issues=write"


@pytest.mark.parametrize(("status", "kind"), [(301, Moved), (404, NotFound), (410, NotFound), (422, Refused)])
def test_a_repository_or_issue_that_is_gone_has_its_own_error(
    wire: responses.RequestsMock, client: GitHubClient, status: int, kind: type[Exception]
) -> None:
    elsewhere = {"Location": "https://elsewhere.example/repos/a/b/issues/1"}
    wire.get(f"{ISSUES}/1", status=status, headers=elsewhere, json={})
    with pytest.raises(kind) as caught:
        client.issue(1)
    assert type(caught.value) is kind
    assert len(wire.calls) == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"body": requests.ConnectionError("reset")}, Unreachable),
        ({"status": 502, "body": "<html>"}, Failed),
        ({"status": 201, "body": "<html>"}, Garbled),
        ({"status": 201, "json": {"number": "412"}}, Garbled),
    ],
)
def test_a_creation_of_unknown_outcome_is_not_repeated(
    wire: responses.RequestsMock, client: GitHubClient, answer: dict[str, Any], kind: type[Exception]
) -> None:
    wire.post(ISSUES, **answer)
    with pytest.raises(kind) as caught:
        client.create_issue(title="a", body="b")
    assert getattr(caught.value, "unknown_outcome", None) is True
    assert len(wire.calls) == 1


def test_the_repository_shows_what_may_be_done(wire: responses.RequestsMock, client: GitHubClient) -> None:
    permissions = {"pull": True, "push": False, "triage": True}
    wire.get(REPO, json={"full_name": "acme/web", "private": True, "permissions": permissions})
    repository = client.repository()
    assert (repository.private, repository.permissions) == (True, frozenset({"pull", "triage"}))


def test_a_label_is_created_only_when_it_is_missing(wire: responses.RequestsMock, client: GitHubClient) -> None:
    wire.get(f"{REPO}/labels", json=[{"name": "bug", "color": "ff0000"}])
    wire.get(f"{REPO}/labels/gap%3Ano_portal", status=404, json={})
    wire.post(f"{REPO}/labels", json={"name": "gap:no_portal", "color": "ededed"}, status=201)
    assert client.ensure_label("gap:no_portal").name == "gap:no_portal"
    assert client.labels()[0].name == "bug"
    wire.replace(responses.GET, f"{REPO}/labels/gap%3Ano_portal", json={"name": "gap:no_portal", "color": "00ff00"})
    assert client.ensure_label("gap:no_portal").color == "00ff00"
    assert sum(call.request.method == "POST" for call in wire.calls) == 1


def test_a_label_created_by_somebody_else_meanwhile_is_taken(
    wire: responses.RequestsMock, client: GitHubClient
) -> None:
    wire.get(f"{REPO}/labels/x", status=404, json={})
    wire.get(f"{REPO}/labels/x", json={"name": "x"})
    wire.post(f"{REPO}/labels", status=422, json={"message": "Validation", "errors": [{"code": "already_exists"}]})
    assert client.ensure_label("x").name == "x"


class TestApp:
    """A GitHub App's credentials."""

    TOKENS = f"{BASE}/app/installations/99/access_tokens"

    def client(self, clock: Hand) -> GitHubClient:
        app = AppKey(app_id="7", installation_id="99", private_key=PEM)
        return GitHubClient(door(), "acme/web", app, clock=clock, sleep=clock.sleep)

    def answer(self, value: str) -> dict[str, Any]:
        then = datetime.fromtimestamp(time.time() + 3600, UTC)
        return {"token": value, "expires_at": then.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def test_its_proof_is_short_lived_and_issued_a_minute_ago(self) -> None:
        now = datetime.now(UTC)
        proof = app_jwt(AppKey(app_id="7", installation_id="99", private_key=PEM), now)
        claims = jwt.decode(proof, KEY.public_key(), algorithms=["RS256"])
        assert claims["iss"] == "7"
        assert claims["iat"] == int(now.timestamp()) - 60
        assert claims["exp"] <= now.timestamp() + 600

    def test_its_token_is_limited_to_the_repository_cached_and_renewed(
        self, wire: responses.RequestsMock, clock: Hand
    ) -> None:
        wire.post(self.TOKENS, json=self.answer("ghs_first"), status=201)
        wire.post(self.TOKENS, json=self.answer("ghs_second"), status=201)
        wire.get(REPO, json={"full_name": "acme/web"})
        client = self.client(clock)
        client.repository()
        client.repository()
        assert body(wire, 0) == {"repositories": ["web"]}
        assert wire.calls[-1].request.headers["Authorization"] == "Bearer ghs_first"
        clock.now += 2900
        client.repository()
        assert wire.calls[-1].request.headers["Authorization"] == "Bearer ghs_second"

    def test_a_revoked_token_is_replaced_once(self, wire: responses.RequestsMock, clock: Hand) -> None:
        wire.post(self.TOKENS, json=self.answer("ghs_first"), status=201)
        wire.post(self.TOKENS, json=self.answer("ghs_second"), status=201)
        wire.get(REPO, status=401, json={"message": "Bad credentials"})
        wire.get(REPO, json={"full_name": "acme/web"})
        assert self.client(clock).repository().full_name == "acme/web"

    def test_its_secrets_do_not_show(self) -> None:
        shown = repr(AppKey(app_id="7", installation_id="99", private_key=PEM)) + repr(AccessToken(token="tok"))
        assert "PRIVATE" not in shown
        assert "'tok'" not in shown
