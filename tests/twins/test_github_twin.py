"""Does the GitHub twin behave as GitHub's pages say, and does it count and refuse what matters?"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
import requests

from integrations.twins.github_markdown import scan
from integrations.twins.github_twin import GitHubTwin
from integrations.twins.outgoing import app_key, private_pem

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
REPO = "repos/acme/web"


class Caller:
    """A client of the twin with one token."""

    def __init__(self, twin: GitHubTwin, token: str | None) -> None:
        self.twin = twin
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["X-GitHub-Api-Version"] = "2022-11-28"
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        if body is not None:
            more["json"] = body
        return self.session.request(method, f"{self.twin.url}/{path}", timeout=5, allow_redirects=False, **more)

    def create(self, title: str = "Checkout lets a subscriber buy twice", **more: Any) -> requests.Response:
        return self.call("POST", f"{REPO}/issues", {"title": title, **more})


@pytest.fixture
def twin() -> Iterator[GitHubTwin]:
    with GitHubTwin(clock=lambda: NOON) as running:
        running.add_repository("acme/web", labels=["billing-gap"])
        running.add_repository("acme/secret")
        running.add_repository("acme/open", private=False)
        running.add_installation(["acme/web"])
        yield running
        assert running.crashes == []


def signed(twin: GitHubTwin, key: str | None = None, **change: Any) -> str:
    seconds = int(twin.now().timestamp())
    claims = {"iat": seconds - 30, "exp": seconds + 540, "iss": str(twin.app["id"])} | change
    return jwt.encode(claims, key or twin.app_private_key, algorithm="RS256")


@pytest.fixture
def app(twin: GitHubTwin) -> Caller:
    made = Caller(twin, signed(twin)).call("POST", "app/installations/91/access_tokens", {})
    assert made.status_code == 201, made.text
    return Caller(twin, made.json()["token"])


# -- tokens --------------------------------------------------------------------------------------------------
def test_an_installation_token_lives_an_hour_and_writes_as_the_bot(twin: GitHubTwin, app: Caller) -> None:
    made = app.create(labels=["billing-gap"])
    assert made.status_code == 201, made.text
    assert made.json()["user"]["login"] == "billing-desk[bot]"
    assert made.json()["performed_via_github_app"]["slug"] == "billing-desk"
    assert [entry.effect for entry in twin.writes()][-1] == "issue acme/web#1 created"
    twin.advance(timedelta(hours=1))
    assert app.create().status_code == 401


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"iat": 61}, "iat"),
        ({"exp": 601}, "too far"),
        ({"exp": -1}, "exp"),
        ({"iss": "1"}, "Integration not found"),
        ({"iat": None}, "iat"),
    ],
)
def test_an_app_token_with_wrong_times_or_issuer_is_refused(
    twin: GitHubTwin, change: dict[str, Any], says: str
) -> None:
    seconds = int(twin.now().timestamp())
    right = {"iat": seconds, "exp": seconds + 540, "iss": str(twin.app["id"])}
    wrong = right | {name: value + seconds if isinstance(value, int) else value for name, value in change.items()}
    claims = {name: value for name, value in wrong.items() if value is not None}
    token = jwt.encode(claims, twin.app_private_key, algorithm="RS256")
    answer = Caller(twin, token).call("POST", "app/installations/91/access_tokens", {})
    assert answer.status_code in {401, 404}
    assert says in answer.json()["message"]


def test_an_app_token_at_the_edges_of_time_is_taken(twin: GitHubTwin) -> None:
    seconds = int(twin.now().timestamp())
    answer = Caller(twin, signed(twin, iat=seconds + 60, exp=seconds + 600)).call("GET", "app")
    assert (answer.status_code, answer.json()["slug"]) == (200, "billing-desk")


def test_an_app_token_signed_by_another_key_is_refused(twin: GitHubTwin) -> None:
    stranger = signed(twin, private_pem(app_key(8)))
    assert Caller(twin, signed(twin)).call("GET", "app").status_code == 200
    assert Caller(twin, stranger).call("GET", "app").status_code == 401


def test_a_repository_outside_the_token_is_hidden_and_a_missing_right_is_named(twin: GitHubTwin, app: Caller) -> None:
    assert app.call("GET", "repos/acme/secret").status_code == 404
    assert app.call("GET", "repos/acme/none").status_code == 404
    assert app.call("GET", "repos/acme/open").json()["visibility"] == "public"
    refused = app.call("POST", "repos/acme/open/issues", {"title": "t"})
    assert (refused.status_code, refused.json()["message"]) == (403, "Resource not accessible by integration")
    reader = Caller(twin, twin.add_token(repositories=["acme/web"], permissions={"issues": "read"}))
    refused = reader.create()
    assert (refused.status_code, refused.json()["message"]) == (403, "Resource not accessible by personal access token")
    assert refused.headers["X-Accepted-GitHub-Permissions"] == "issues=write"
    assert Caller(twin, None).call("POST", "repos/acme/open/issues", {"title": "t"}).status_code == 401
    assert Caller(twin, "ghs_unknown").call("GET", REPO).json()["message"] == "Bad credentials"


def test_user_is_for_people_not_for_installations(twin: GitHubTwin, app: Caller) -> None:
    assert app.call("GET", "user").status_code == 403
    fine = twin.add_token("github_pat_x", login="mona")
    assert Caller(twin, fine).call("GET", "user").json()["login"] == "mona"
    classic = Caller(twin, twin.add_token("ghp_x")).call("GET", "user")
    assert classic.headers["X-OAuth-Scopes"] == "repo"


def test_an_installation_token_may_be_narrowed_but_not_widened(twin: GitHubTwin) -> None:
    asking, path = Caller(twin, signed(twin)), "app/installations/91/access_tokens"
    narrow = asking.call("POST", path, {"permissions": {"issues": "read"}})
    assert narrow.json()["permissions"] == {"issues": "read", "metadata": "read"}
    refused: list[dict[str, Any]] = [
        {"permissions": {"contents": "write"}},
        {"repositories": ["secret"]},
        {"permission": {}},
    ]
    for wanted in refused:
        assert asking.call("POST", path, wanted).status_code == 422
    assert asking.call("POST", "app/installations/5/access_tokens", {}).status_code == 404


# -- issues --------------------------------------------------------------------------------------------------
def test_issues_are_listed_by_creator_state_label_and_time(twin: GitHubTwin, app: Caller) -> None:
    twin.add_issue("acme/web", "by a person", labels=["gap: x"])
    twin.advance(timedelta(minutes=10))
    number = app.create(labels=["billing-gap", "gap: x"]).json()["number"]
    app.call("PATCH", f"{REPO}/issues/{number}", {"state": "closed"})

    def listed(**query: str) -> list[int]:
        return [each["number"] for each in app.call("GET", f"{REPO}/issues", params=query).json()]

    assert listed() == [1]
    assert listed(creator="app/billing-desk", state="all") == [number]
    assert listed(creator="billing-desk[bot]", state="all") == [number]
    assert listed(labels="GAP: x", state="all") == [2, 1]
    assert listed(labels="gap: x,billing-gap", state="all") == [2]
    assert listed(state="all", since="2026-11-22T12:05:00Z") == [2]
    assert listed(state="all", sort="created", direction="asc") == [1, 2]
    assert app.call("GET", f"{REPO}/issues", params={"author": "x"}).status_code == 422


def test_pages_are_found_by_the_link_header(twin: GitHubTwin, app: Caller) -> None:
    for number in range(5):
        twin.add_issue("acme/web", f"issue {number}")
    answer = app.call("GET", f"{REPO}/issues", params={"per_page": "2"})
    seen = [each["number"] for each in answer.json()]
    while "next" in answer.links:
        answer = app.session.get(answer.links["next"]["url"], timeout=5)
        seen += [each["number"] for each in answer.json()]
    assert seen == [5, 4, 3, 2, 1]


def test_search_never_sees_what_was_just_created(twin: GitHubTwin, app: Caller) -> None:
    twin.add_issue("acme/web", "old checkout issue")
    app.create("new checkout issue")
    twin.advance(timedelta(minutes=50))
    found = app.call("GET", "search/issues", params={"q": "repo:acme/web checkout"}).json()
    assert [each["title"] for each in found["items"]] == ["old checkout issue"]
    twin.index_search()
    assert app.call("GET", "search/issues", params={"q": "checkout"}).json()["total_count"] == 2


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"title": " "},
        {"title": "x" * 257},
        {"title": "t", "body": "x" * 65_537},
        {"title": "t", "label": ["a"]},
        {"title": "t", "labels": ["x" * 51]},
    ],
)
def test_a_wrong_issue_is_refused_and_not_counted(twin: GitHubTwin, app: Caller, wanted: dict[str, Any]) -> None:
    before = len(twin.writes())
    assert app.call("POST", f"{REPO}/issues", wanted).status_code == 422
    assert len(twin.writes()) == before


def test_changing_and_commenting_leave_their_traces(twin: GitHubTwin, app: Caller) -> None:
    app.create()
    twin.advance(timedelta(seconds=5))
    closed = app.call("PATCH", f"{REPO}/issues/1", {"state": "closed", "state_reason": "not_planned"}).json()
    assert (closed["state_reason"], closed["closed_at"]) == ("not_planned", "2026-11-22T12:00:05Z")
    opened = app.call("PATCH", f"{REPO}/issues/1", {"state": "open", "labels": ["a"]}).json()
    assert (opened["state_reason"], opened["closed_at"], opened["labels"][0]["name"]) == ("reopened", None, "a")
    said = app.call("POST", f"{REPO}/issues/1/comments", {"body": "3 tickets"})
    assert said.status_code == 201
    app.call("PATCH", f"{REPO}/issues/comments/{said.json()['id']}", {"body": "10 tickets"})
    assert [each["body"] for each in app.call("GET", f"{REPO}/issues/1/comments").json()] == ["10 tickets"]
    assert app.call("GET", f"{REPO}/issues/1").json()["comments"] == 1
    assert app.call("POST", f"{REPO}/issues/1/comments", {"text": "x"}).status_code == 422


def test_labels_are_unique_without_regard_to_case(app: Caller) -> None:
    made = app.call("POST", f"{REPO}/labels", {"name": "gap: portal", "color": "b60205", "description": "d"})
    assert made.status_code == 201
    twice = app.call("POST", f"{REPO}/labels", {"name": "GAP: portal", "color": "b60205"})
    assert (twice.status_code, twice.json()["errors"][0]["code"]) == (422, "already_exists")
    assert app.call("POST", f"{REPO}/labels", {"name": "x", "color": "#b60205"}).status_code == 422
    assert app.call("GET", f"{REPO}/labels/gap: portal").json()["color"] == "b60205"
    assert app.call("GET", f"{REPO}/labels/none").status_code == 404
    assert {each["name"] for each in app.call("GET", f"{REPO}/labels").json()} == {"billing-gap", "gap: portal"}


def test_transferred_deleted_and_switched_off_issues_answer_301_410_410(twin: GitHubTwin, app: Caller) -> None:
    twin.add_repository("acme/quiet", has_issues=False)
    twin.add_installation(["acme/web", "acme/quiet"])
    for title in ("a", "b"):
        twin.add_issue("acme/web", title)
    twin.transfer_issue("acme/web", 1, "acme/open")
    twin.delete_issue("acme/web", 2)
    moved = app.call("GET", f"{REPO}/issues/1")
    assert (moved.status_code, moved.headers["Location"]) == (301, f"{twin.url}/repos/acme/open/issues/1")
    assert app.call("GET", f"{REPO}/issues/2").status_code == 410
    token = Caller(twin, signed(twin)).call("POST", "app/installations/91/access_tokens", {}).json()["token"]
    quiet = Caller(twin, token)
    assert quiet.call("GET", "repos/acme/quiet").json()["has_issues"] is False
    assert quiet.call("POST", "repos/acme/quiet/issues", {"title": "t"}).status_code == 410


# -- limits --------------------------------------------------------------------------------------------------
def test_creations_beyond_the_secondary_limit_are_refused_with_a_wait(twin: GitHubTwin, app: Caller) -> None:
    twin.creations_per_minute = 3
    statuses = [app.create(f"t{number}").status_code for number in range(4)]
    assert statuses == [201, 201, 201, 403]
    refused = app.create("again")
    assert refused.headers["retry-after"] == "60"
    assert "secondary rate limit" in refused.json()["message"]
    assert int(refused.headers["x-ratelimit-remaining"]) > 0
    twin.advance(timedelta(seconds=61))
    assert app.create("later").status_code == 201
    twin.creations_per_minute = None
    assert {app.create(f"u{number}").status_code for number in range(5)} == {201}


def test_the_primary_limit_shows_in_the_headers_and_then_refuses(twin: GitHubTwin, app: Caller) -> None:
    before = int(app.call("GET", REPO).headers["x-ratelimit-remaining"])
    assert int(app.call("GET", REPO).headers["x-ratelimit-remaining"]) == before - 1
    twin.requests_per_hour = twin.hub.used
    refused = app.call("GET", REPO)
    assert (refused.status_code, refused.headers["x-ratelimit-remaining"]) == (403, "0")
    assert refused.headers["X-GitHub-Request-Id"]


def test_an_unknown_version_and_a_missing_user_agent_are_refused(twin: GitHubTwin, app: Caller) -> None:
    assert app.call("GET", REPO, headers={"X-GitHub-Api-Version": "2019-01-01"}).status_code == 400
    assert app.call("GET", REPO, headers={"User-Agent": ""}).status_code == 403


def test_a_create_whose_answer_is_lost_is_found_again_through_the_list(twin: GitHubTwin, app: Caller) -> None:
    twin.faults.add("hang_after", method="POST", path="/repos/acme/web/issues", seconds=0.01)
    with pytest.raises(requests.RequestException):
        app.create(body="<!-- marker -->")
    found = app.call("GET", f"{REPO}/issues", params={"creator": "app/billing-desk", "state": "all"}).json()
    assert [each["body"] for each in found] == ["<!-- marker -->"]


# -- webhooks ------------------------------------------------------------------------------------------------
@pytest.fixture
def desk() -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    received: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/webhooks/github", received
    server.shutdown()
    server.server_close()


def rightly_signed(headers: dict[str, str], body: bytes, secret: str) -> bool:
    return headers["x-hub-signature-256"] == "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def test_closing_an_issue_calls_the_hook_and_a_redelivery_keeps_its_id(
    twin: GitHubTwin, desk: tuple[str, list[tuple[dict[str, str], bytes]]]
) -> None:
    url, received = desk
    twin.add_issue("acme/web", "t")
    twin.add_hook(url, "hooksecret")
    twin.close_issue("acme/web", 1)
    twin.settle()
    twin.redeliver(twin.deliveries[0])
    (first, body), (second, _) = received
    assert rightly_signed(first, body, "hooksecret")
    assert first["x-github-delivery"] == second["x-github-delivery"]
    document = json.loads(body)
    assert (first["x-github-event"], document["action"]) == ("issues", "closed")
    assert (document["issue"]["state_reason"], document["repository"]["full_name"]) == ("completed", "acme/web")


@pytest.mark.parametrize("tamper", ["body", "signature"])
def test_a_tampered_hook_no_longer_verifies(
    twin: GitHubTwin, desk: tuple[str, list[tuple[dict[str, str], bytes]]], tamper: str
) -> None:
    url, received = desk
    twin.add_issue("acme/web", "t")
    twin.deliver(url, "hooksecret", repository="acme/web", number=1, tamper=tamper)
    assert not rightly_signed(*received[0], "hooksecret")


# -- Markdown ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ask @octocat", "mentions"),
        ("team @acme/web", "mentions"),
        ("see #12", "references"),
        ("acme/web#3", "references"),
        ("GH-7", "references"),
        ("fixes #1", "closing"),
        ("![x](http://e.example/p.png)", "images"),
        ("<img src=//e.example>", "images"),
        ("[a](b)", "links"),
        ("http://evil.example", "links"),
        ("[a]: b", "links"),
        ("www.evil.example", "links"),
        ("<details>", "html_tags"),
        ("```\nx\n```\n@after", "mentions"),
        ("``` `\n@notafence", "mentions"),
        ("<div>\n```\n@inhtml\n```", "mentions"),
        ("`a\n\n@b`", "mentions"),
        ("\\`@escaped`", "mentions"),
        ("``@open`", "mentions"),
        ("```\n~~~\n```\n@x", "mentions"),
        ("<!-- @open", "mentions"),
        ("<!-->\n@x -->", "mentions"),
        ("<div>\n```\n\n```\n<!--\n```\n@x\n-->", "mentions"),
        ("<!-- a --> @x", "mentions"),
    ],
)
def test_live_markdown_is_found(text: str, kind: str) -> None:
    assert getattr(scan(text), kind)


@pytest.mark.parametrize(
    "text",
    [
        "plain words, mail a@b.example and 5 # of 6",
        "```\n@a #1 ![x](y) http://e.example\n```",
        "~~~~ text\n@a\n```\n~~~\n~~~~",
        "`@a` and ``#1 ` @b``",
        "<!-- gap=1 -->\ntext",
        "````\n```\n@a\n```\n````",
    ],
)
def test_fenced_and_plain_text_is_dead(text: str) -> None:
    assert scan(text).nothing


def test_a_hidden_marker_and_an_open_fence_are_reported() -> None:
    assert scan("<!-- billing-desk gap=1 -->\n```\nx").comments == ["billing-desk gap=1"]
    assert scan("```\nx").unclosed_fence


@pytest.mark.parametrize(
    "text",
    [
        "`" * 60_000,
        "` `` " * 12_000,
        "<!--" * 15_000,
        "[" * 60_000,
        "@" * 60_000,
        "<!--\n" * 12_000 + "-->",
        "a/" * 30_000 + "#1",
        "http://" * 8_000,
    ],
)
def test_hostile_markdown_is_scanned_in_linear_time(text: str) -> None:
    started = time.perf_counter()
    scan(text)
    assert time.perf_counter() - started < 2


def test_the_state_route_shows_what_is_live_in_every_issue(twin: GitHubTwin, app: Caller) -> None:
    app.create(body="cc @octocat\n```\n@quiet\n```")
    twin.add_comment("acme/web", 1, "see #2")
    held = requests.get(f"{twin.url}/_twin/state", timeout=5).json()["repositories"]["acme/web"]["issues"][0]
    assert held["live"]["mentions"] == ["octocat"]
    assert twin.live("acme/web", 1).references == ["#2"]


def test_a_seed_in_json_makes_repositories_tokens_and_issues(twin: GitHubTwin) -> None:
    requests.post(f"{twin.url}/_twin/reset", timeout=5)
    seed = {
        "repositories": [{"full_name": "acme/web"}],
        "installations": [{"id": 91, "repositories": ["acme/web"]}],
        "tokens": [{"value": "github_pat_seed", "repositories": ["acme/web"]}],
        "issues": [{"repository": "acme/web", "title": "t", "labels": ["a"]}],
    }
    assert requests.post(f"{twin.url}/_twin/seed", json=seed, timeout=5).json()["issues"] == [1]
    assert Caller(twin, "github_pat_seed").call("GET", f"{REPO}/issues/1").json()["title"] == "t"
