"""Who gets in through the sidebar's routes, and what does everybody else get?"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from testkit.indoors import ORIGIN, SECRET_KEY, Indoors, indoors
from testkit.rig import READ_KEY, WEBHOOK_SECRET, WRITE_KEY
from testkit.worlds import duplicate

MAYA = "maya1@acme.example"
DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path) as made:
        yield made


@pytest.fixture
def seeded(desk: Indoors) -> int:
    """A ticket whose card is ready and proposes a refund."""
    rig: Any = desk
    desk.world.portal_configuration()
    ticket = duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900)).ticket
    assert desk.card(ticket)["decision"]["bucket"] == "duplicate_subscription"
    return ticket


def code_of(answer: TestResponse) -> tuple[int, str]:
    """Status and code of an error, after everything that holds for every error was checked."""
    document = answer.get_json()
    assert set(document["error"]) == {"code", "message", "request_id"}, document
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", document["error"]["code"])
    assert document["error"]["request_id"] == answer.headers["X-Request-Id"]
    assert document["error"]["message"].endswith((".", "!", "?"))
    innocent(answer.get_data(as_text=True))
    return answer.status_code, str(document["error"]["code"])


def innocent(text: str) -> None:
    """No e-mail address, secret or trace."""
    for secret in (READ_KEY, WRITE_KEY, WEBHOOK_SECRET, SECRET_KEY, "Traceback", ".py", "sqlalchemy", "SELECT "):
        assert secret not in text
    assert not re.search(r"[\w.+-]+@[\w-]+\.\w", text), text


# --- launch ---------------------------------------------------------------------------------------------------------


def test_a_right_launch_is_answered_with_the_page_and_a_token_that_opens_the_card(desk: Indoors, seeded: int) -> None:
    answer = desk.launch(desk.zendesk.launch_token(desk.agent["id"]))
    assert answer.status_code == 200
    start = answer.text.index('id="boot"')
    boot = json.loads(answer.text[answer.text.index(">", start) + 1 : answer.text.index("</script>", start)])
    assert desk.get(f"/api/tickets/{seeded}/card", boot["token"]).status_code == 200


def test_the_page_is_framed_by_zendesk_only_kept_by_nobody_and_sets_no_cookie(desk: Indoors) -> None:
    answer = desk.launch(desk.zendesk.launch_token(desk.agent["id"]))
    assert answer.headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self' https://static.zdassets.com; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors https://acme.zendesk.com"
    )
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in answer.headers
    assert "X-Frame-Options" not in answer.headers
    for inline in re.findall(r"<script(?![^>]*\bsrc=)([^>]*)>", answer.text):
        assert 'type="application/json"' in inline
    assert not re.search(r"<style|\son\w+=|javascript:", answer.text)


LAUNCHES: dict[str, Callable[[Indoors], str]] = {
    "nothing": lambda d: "",
    "letters": lambda d: "abc.def.ghi",
    "a stranger's key": lambda d: d.zendesk.launch_token(d.agent["id"], key_number=1),
    "another installation": lambda d: d.zendesk.launch_token(
        d.agent["id"], aud=f"{ORIGIN}/api/v2/apps/installations/1.json"
    ),
    "an audience list": lambda d: d.zendesk.launch_token(
        d.agent["id"], aud=[f"{ORIGIN}/api/v2/apps/installations/{d.zendesk.installation_id}.json", "x"]
    ),
    "another issuer": lambda d: d.zendesk.launch_token(d.agent["id"], iss="evil.zendesk.com"),
    "no end": lambda d: d.zendesk.launch_token(d.agent["id"], leave_out=("exp",)),
    "no audience": lambda d: d.zendesk.launch_token(d.agent["id"], leave_out=("aud",)),
    "no issuer": lambda d: d.zendesk.launch_token(d.agent["id"], leave_out=("iss",)),
    "the year 33658": lambda d: d.zendesk.launch_token(d.agent["id"], exp=10**12),
    "expired": lambda d: d.zendesk.launch_token(
        d.agent["id"], iat=int(d.clock().timestamp()) - 400, exp=int(d.clock().timestamp()) - 100
    ),
    "from the future": lambda d: d.zendesk.launch_token(d.agent["id"], iat=int(d.clock().timestamp()) + 60),
    "too large": lambda d: d.zendesk.launch_token(d.agent["id"], padding="x" * 20_000),
    "a customer": lambda d: d.zendesk.launch_token(d.requester("cust@acme.example")),
    "nobody": lambda d: d.zendesk.launch_token(987654321),
    "a suspended agent": lambda d: d.zendesk.launch_token(
        d.zendesk.add_agent("Sus", "sus@acme.example", suspended=True)["id"]
    ),
    "a deleted agent": lambda d: d.zendesk.launch_token(
        d.zendesk.add_agent("Del", "del@acme.example", active=False)["id"]
    ),
}


@pytest.mark.parametrize("name", LAUNCHES)
def test_a_wrong_launch_gets_one_static_page_without_any_detail(
    desk: Indoors, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = LAUNCHES[name](desk)
    answer = desk.launch(token)
    assert answer.status_code == 401
    assert answer.text == (
        "<!doctype html><title>Billing</title><p>This page opens only inside Zendesk. Reload the app.</p>"
    )
    assert "frame-ancestors https://acme.zendesk.com" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert not token or token not in caplog.text


def test_a_launch_token_opens_once(desk: Indoors) -> None:
    token = desk.zendesk.launch_token(desk.agent["id"])
    assert [desk.launch(token).status_code for _ in range(3)] == [200, 401, 401]


def test_a_launch_token_without_an_id_opens_once_too(desk: Indoors) -> None:
    token = desk.zendesk.launch_token(desk.agent["id"], leave_out=("jti",))
    assert [desk.launch(token).status_code for _ in range(2)] == [200, 401]


@pytest.mark.parametrize(
    "origin",
    [None, "", "https://evil.example", "http://acme.zendesk.com", "https://acme.zendesk.com.evil.example",
     "https://acme.zendesk.com/", "https://ACME.zendesk.com", "https://acme.zendesk.com:8443", "null"],
)  # fmt: skip
def test_the_page_opens_only_for_our_zendesk_as_its_origin(desk: Indoors, origin: str | None) -> None:
    token = desk.zendesk.launch_token(desk.agent["id"])
    assert desk.launch(token, origin).status_code == 401
    assert desk.launch(token).status_code == 200  # the refusal did not use the token up


@pytest.mark.parametrize("order", [(ORIGIN, "https://evil.example"), ("https://evil.example", ORIGIN)])
def test_two_origins_are_refused_because_the_page_might_believe_the_other_one(
    desk: Indoors, order: tuple[str, str]
) -> None:
    query = "&".join(f"origin={one}" for one in order)
    token = desk.zendesk.launch_token(desk.agent["id"])
    assert desk.client.post(f"/zendesk/sidebar?{query}", data={"token": token}).status_code == 401


def test_a_launch_is_a_small_form_with_one_token(desk: Indoors) -> None:
    token, query = desk.zendesk.launch_token(desk.agent["id"]), {"origin": ORIGIN}
    post = desk.client.post
    assert post("/zendesk/sidebar", query_string=query, json={"token": token}).status_code == 401
    assert post("/zendesk/sidebar", query_string=query | {"token": token}).status_code == 401
    assert post("/zendesk/sidebar", query_string=query, data={"token": [token, token]}).status_code == 401
    assert post("/zendesk/sidebar", query_string=query, data={"token": token, "x": "y" * 17_000}).status_code == 401
    multipart = post("/zendesk/sidebar", query_string=query, data={"token": token}, content_type="multipart/form-data")
    assert multipart.status_code == 401
    assert desk.launch(token).status_code == 200


def test_a_launch_by_get_is_no_launch(desk: Indoors) -> None:
    token = desk.zendesk.launch_token(desk.agent["id"])
    answer = desk.client.get("/zendesk/sidebar", query_string={"origin": ORIGIN, "token": token})
    assert answer.status_code == 405
    assert desk.launch(token).status_code == 200


@pytest.mark.parametrize("scheme", ["dark", "light", '"><script>alert(1)</script>', ""])
def test_the_colour_scheme_is_one_of_two_words_or_left_out(desk: Indoors, scheme: str) -> None:
    query = {"origin": ORIGIN, "colorScheme": scheme}
    token = desk.zendesk.launch_token(desk.agent["id"])
    page = desk.client.post("/zendesk/sidebar", query_string=query, data={"token": token}).text
    assert re.findall(r'data-scheme="([^"]*)"', page) == ([scheme] if scheme in {"dark", "light"} else [])
    assert "alert(1)" not in page


# --- session --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer x", "Basic abc", "Bearer " + "x" * 4000, "Bearer é", "bearer a b c"],
)
@pytest.mark.parametrize("path", ["/api/tickets/1/card", "/api/session", "/api/approvals/ap_1"])
def test_without_a_session_every_route_answers_401(desk: Indoors, header: str | None, path: str) -> None:
    method = desk.client.post if path == "/api/session" else desk.client.get
    answer = method(path, headers={"Authorization": header} if header is not None else {})
    assert code_of(answer) == (401, "unauthorized")
    assert desk.asked() == 0


def test_every_route_that_writes_wants_a_session_before_it_reads_the_body(desk: Indoors) -> None:
    paths = [str(rule) for rule in desk.client.application.url_map.iter_rules() if str(rule).startswith("/api/")]
    assert len(paths) > 10
    for path in paths:
        filled = path.replace("<int:ticket_id>", "1").replace("<approval_id>", "ap_1")
        answers = [desk.client.post(filled, data=b"{"), desk.client.get(filled)]
        assert {answer.status_code for answer in answers} <= {401, 404, 405}
        assert 401 in {answer.status_code for answer in answers}, path
    assert desk.asked() == 0


def test_a_session_slides_for_eight_hours_and_then_ends(desk: Indoors, seeded: int) -> None:
    token, path = desk.page_token(), f"/api/tickets/{seeded}/card"
    began = desk.clock()
    while desk.clock() + timedelta(minutes=14) <= began + timedelta(hours=8):
        desk.clock.advance(timedelta(minutes=14))
        answer = desk.post("/api/session", token=token)
        assert answer.status_code == 200
        token = answer.get_json()["token"]
    assert desk.get(path, token).status_code == 200
    desk.clock.moment = began + timedelta(hours=8, seconds=1)
    assert code_of(desk.get(path, token)) == (401, "unauthorized")
    assert code_of(desk.post("/api/session", token=token)) == (401, "unauthorized")


def test_a_token_that_was_not_renewed_ends_after_fifteen_minutes(desk: Indoors, seeded: int) -> None:
    token = desk.page_token()
    desk.clock.advance(timedelta(minutes=15))
    assert desk.get(f"/api/tickets/{seeded}/card", token).status_code == 200
    desk.clock.advance(timedelta(seconds=1))
    assert desk.get(f"/api/tickets/{seeded}/card", token).status_code == 401
    assert desk.post("/api/session", token=token).status_code == 401


# --- rights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("field", "value"), [("suspended", True), ("active", False), ("role", "end-user")])
def test_an_agent_who_lost_the_role_is_out_within_a_minute_and_at_once_when_money_moves(
    desk: Indoors, seeded: int, field: str, value: Any
) -> None:
    token = desk.page_token()
    card = desk.get(f"/api/tickets/{seeded}/card", token).get_json()
    desk.zendesk.desk.users[desk.agent["id"]][field] = value
    body = {"plan_digest": card["plan"]["digest"], "steps": [step["id"] for step in card["plan"]["steps"]]}
    assert code_of(desk.post(f"/api/tickets/{seeded}/approvals", body, token)) == (403, "not_allowed")
    desk.clock.advance(timedelta(seconds=60))
    assert code_of(desk.get(f"/api/tickets/{seeded}/card", token)) == (403, "not_allowed")
    assert desk.stripe_writes() == []


def test_a_customers_token_opens_nothing(desk: Indoors, seeded: int) -> None:
    customer = desk.zendesk.desk.by_email(MAYA)
    assert customer is not None
    assert code_of(desk.get(f"/api/tickets/{seeded}/card", desk.page_token(customer["id"]))) == (403, "not_allowed")


RESTRICTED = ["card", "refresh", "approvals", "correction", "choose", "lookup", "handover"]


@pytest.mark.parametrize("restriction", ["groups", "assigned", "requested", "organization", "a_new_word"])
@pytest.mark.parametrize("route", RESTRICTED)
def test_an_agent_who_may_not_open_the_ticket_gets_403_and_none_of_its_facts(
    desk: Indoors, seeded: int, restriction: str, route: str
) -> None:
    other = desk.zendesk.add_agent("Lee", "lee@acme.example", ticket_restriction=restriction)["id"]
    token = desk.page_token(other)
    for html in (False, True):
        path = f"/api/tickets/{seeded}/{route}"
        answer = desk.get(path, token, html=html) if route == "card" else desk.post(path, {}, token, html=html)
        assert answer.status_code == 403
        assert not re.search(r"maya|Pro\b|29\.00|cus_|sub_|ch_", answer.text, re.IGNORECASE), answer.text
    stored = desk.stored(seeded)
    assert stored is not None
    assert stored.correction is None
    assert desk.stripe_writes() == []


@pytest.mark.parametrize("restriction", [None, "groups", "assigned"])
def test_an_agent_who_may_open_the_ticket_sees_the_card(desk: Indoors, seeded: int, restriction: str | None) -> None:
    group = desk.zendesk.add_group("Billing")["id"]
    other = desk.zendesk.add_agent("Lee", "lee@acme.example", ticket_restriction=restriction, groups=[group])["id"]
    desk.zendesk.desk.tickets[seeded] |= {"group_id": group, "assignee_id": other}
    assert desk.get(f"/api/tickets/{seeded}/card", desk.page_token(other)).status_code == 200


def test_an_approval_cannot_be_seen_or_touched_by_an_agent_who_may_not_open_its_ticket(
    desk: Indoors, seeded: int
) -> None:
    card = desk.get(f"/api/tickets/{seeded}/card").get_json()
    body = {"plan_digest": card["plan"]["digest"], "steps": [step["id"] for step in card["plan"]["steps"]]}
    approved = desk.post(f"/api/tickets/{seeded}/approvals", body)
    assert approved.status_code == 202, approved.text
    path = "/api/approvals/" + approved.get_json()["approval_id"]
    token = desk.page_token(desk.zendesk.add_agent("Lee", "lee@acme.example", ticket_restriction="groups")["id"])
    assert code_of(desk.get(path, token)) == (403, "no_access_to_ticket")
    for verb in ("second", "cancel", "go", "undo"):
        assert code_of(desk.post(f"{path}/{verb}", {"step": "s1"}, token)) == (403, "no_access_to_ticket")
    assert desk.get(path).status_code == 200


# --- what is not there, and what is not right -----------------------------------------------------------------------


@pytest.mark.parametrize("ticket", ["999", "9223372036854775808", "9" * 30])
@pytest.mark.parametrize("html", [False, True])
def test_a_ticket_that_zendesk_does_not_know_is_404_in_both_faces(desk: Indoors, ticket: str, html: bool) -> None:
    answer = desk.get(f"/api/tickets/{ticket}/card", html=html)
    assert answer.status_code == 404
    assert answer.mimetype == ("text/html" if html else "application/json")
    assert desk.jobs() == []


@pytest.mark.parametrize(
    "path", ["/api/tickets/x/card", "/api/tickets/-1/card", "/api/tickets/1.5/card", "/api/nothing"]
)
def test_what_is_no_address_is_404(desk: Indoors, path: str) -> None:
    assert code_of(desk.get(path)) == (404, "not_found")


@pytest.mark.parametrize("approval", ["ap_unknown", "..%2f..", "%00", "'%20OR%201=1", "x" * 500])
def test_an_unknown_approval_is_404(desk: Indoors, approval: str) -> None:
    for answer in (desk.get(f"/api/approvals/{approval}"), desk.post(f"/api/approvals/{approval}/cancel")):
        assert code_of(answer) == (404, "not_found")


WRONG: list[tuple[str, Any]] = [
    ("approvals", {}),
    ("approvals", []),
    ("approvals", "text"),
    ("approvals", {"plan_digest": "sha256:short", "steps": ["s1"]}),
    ("approvals", {"plan_digest": DIGEST + "\n", "steps": ["s1"]}),
    ("approvals", {"plan_digest": DIGEST, "steps": []}),
    ("approvals", {"plan_digest": DIGEST, "steps": "s1"}),
    ("approvals", {"plan_digest": DIGEST, "steps": ["s"] * 51}),
    ("approvals", {"plan_digest": DIGEST, "steps": [{"id": "s1"}]}),
    ("approvals", {"plan_digest": DIGEST, "steps": ["s1"], "confirm": 29}),
    ("approvals", {"plan_digest": DIGEST, "steps": ["s1"], "file_issue": "perhaps"}),
    ("approvals", {"plan_digest": DIGEST, "steps": ["s1"], "follow_up": {"deliver": "sms"}}),
    ("approvals", {"plan_digest": DIGEST, "steps": ["s1"], "follow_up": {"body": "x" * 20_001}}),
    ("approvals", {"plan_digest": DIGEST, "steps": ["s1"], "follow_up": {"body": "half \ud800"}}),
    ("approvals", {"plan_digest": DIGEST, "steps": ["s1"], "follow_up": {"body": "zero \x00"}}),
    ("correction", {}),
    ("correction", {"bucket": "undecided"}),
    ("correction", {"bucket": "refund everything"}),
    ("correction", {"bucket": "team_seats", "why": "x" * 401}),
    ("correction", {"bucket": "team_seats", "why": "half \ud800"}),
    ("correction", {"bucket": "team_seats", "why": "zero \x00"}),
    ("choose", {"customer": "sub_1"}),
    ("choose", {"customer": "cus_1' OR 1=1"}),
    ("choose", {"customer": "cus_" + "x" * 100}),
    ("choose", {"customer": None}),
    ("lookup", {"query": "ab"}),
    ("lookup", {"query": "x" * 255}),
    ("lookup", {"query": "half \ud800"}),
    ("lookup", {"query": "zero \x00"}),
    ("lookup", {"query": ["a@b.example"]}),
]


@pytest.mark.parametrize(
    ("route", "body"), WRONG, ids=lambda value: str(value)[:40].encode("ascii", "replace").decode()
)
def test_a_body_that_is_not_right_is_422_with_a_sentence(desk: Indoors, seeded: int, route: str, body: Any) -> None:
    answer = desk.post(f"/api/tickets/{seeded}/{route}", body)
    assert code_of(answer) == (422, "invalid")
    assert len(answer.get_json()["error"]["message"]) > 20


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"bucket": ' + b"9" * 5000 + b"}"])
def test_a_body_that_is_no_json_is_422(desk: Indoors, seeded: int, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {desk.page_token()}", "Content-Type": "application/json"}
    answer = desk.client.post(f"/api/tickets/{seeded}/correction", data=body, headers=headers)
    assert code_of(answer) == (422, "invalid")


def test_a_body_above_a_megabyte_is_413(desk: Indoors, seeded: int) -> None:
    answer = desk.post(f"/api/tickets/{seeded}/correction", {"bucket": "team_seats", "why": "x" * 1_100_000})
    assert code_of(answer) == (413, "too_large")


def test_a_form_says_the_same_as_json(desk: Indoors, seeded: int) -> None:
    headers = {"Authorization": f"Bearer {desk.page_token()}", "Accept": "text/html"}
    card = desk.get(f"/api/tickets/{seeded}/card").get_json()
    wrong = desk.client.post(f"/api/tickets/{seeded}/correction", data={"bucket": "nonsense"}, headers=headers)
    assert (wrong.status_code, wrong.mimetype) == (422, "text/html")
    form = {
        "plan_digest": card["plan"]["digest"], "steps": [step["id"] for step in card["plan"]["steps"]],
        "follow_up_body": "Hello", "deliver": "draft", "file_issue": "on",
    }  # fmt: skip
    answer = desk.client.post(f"/api/tickets/{seeded}/approvals", data=form, headers=headers)
    assert (answer.status_code, answer.mimetype) == (202, "text/html")
    shown = desk.get(f"/api/tickets/{seeded}/card").get_json()["approval"]
    assert shown["reply"]["deliver"] == "draft"
    assert {step["kind"] for step in shown["steps"]} >= {step["kind"] for step in card["plan"]["steps"]}


def test_a_correction_by_form_and_by_json_is_kept_and_plans_anew(desk: Indoors, seeded: int) -> None:
    headers = {"Authorization": f"Bearer {desk.page_token()}"}
    form = desk.client.post(f"/api/tickets/{seeded}/correction", data={"bucket": "other_billing"}, headers=headers)
    assert form.get_json()["decision"]["bucket"] == "other_billing"
    answer = desk.post(f"/api/tickets/{seeded}/correction", {"bucket": "failed_payment", "why": "I know"})
    assert answer.get_json()["decision"]["bucket"] == "failed_payment"
    assert desk.stripe_writes() == []


# --- the card -------------------------------------------------------------------------------------------------------


def test_while_the_first_reading_runs_the_card_is_202_and_asked_for_once(desk: Indoors) -> None:
    ticket = desk.ticket(MAYA, "Charged twice", "I was charged twice.")
    for html in (False, True, False):
        answer = desk.get(f"/api/tickets/{ticket}/card", html=html)
        assert answer.status_code == 202
    assert answer.get_json()["state"] == "enriching"
    assert desk.jobs() == [f"enrich:{ticket}:1"]


def test_opening_the_card_again_asks_stripe_nothing(desk: Indoors, seeded: int) -> None:
    desk.get(f"/api/tickets/{seeded}/card")
    asked = desk.asked()
    assert desk.get(f"/api/tickets/{seeded}/card").status_code == 200
    assert desk.get(f"/api/tickets/{seeded}/card", html=True).status_code == 200
    assert desk.asked() == asked


def test_refresh_reads_again_and_answers_202(desk: Indoors, seeded: int) -> None:
    before = len(desk.stripe.wire)
    desk.clock.advance(timedelta(seconds=30))
    answer = desk.post(f"/api/tickets/{seeded}/refresh")
    assert answer.status_code == 202
    assert answer.get_json()["as_of"] == desk.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
    assert len(desk.stripe.wire) > before


# --- errors ---------------------------------------------------------------------------------------------------------


def test_the_request_id_of_the_caller_is_kept_when_it_is_one(desk: Indoors) -> None:
    for given, kept in (("abc-12345", True), ("short", False), ("x" * 65, False), ("a b c d e f", False)):
        headers = {"Authorization": f"Bearer {desk.page_token()}", "X-Request-Id": given}
        answer = desk.client.get("/api/tickets/999/card", headers=headers)
        assert (answer.headers["X-Request-Id"] == given) is kept
        assert code_of(answer) == (404, "not_found")


@pytest.mark.parametrize("html", [False, True])
def test_when_zendesk_does_not_answer_it_is_503_in_both_faces(desk: Indoors, seeded: int, html: bool) -> None:
    token = desk.page_token()
    desk.zendesk.stop()
    answer = desk.get(f"/api/tickets/{seeded}/card", token, html=html)
    desk.clock.advance(timedelta(minutes=2))
    answer = desk.get(f"/api/tickets/{seeded}/card", token, html=html)
    assert answer.status_code == 503
    assert answer.mimetype == ("text/html" if html else "application/json")
    assert int(answer.headers["Retry-After"]) > 0
    assert desk.zendesk.url not in answer.text
    if not html:
        assert code_of(answer) == (503, "upstream_no_answer")


@pytest.mark.parametrize("html", [False, True])
def test_a_bug_of_ours_is_answered_without_its_text(
    desk: Indoors, seeded: int, html: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"maya@acme.example {READ_KEY}")

    monkeypatch.setattr("zendesk.sidebar.card_document", broken)
    answer = desk.get(f"/api/tickets/{seeded}/card", html=html)
    assert answer.status_code == 500
    innocent(answer.text)
    if not html:
        assert code_of(answer) == (500, "server_error")


def test_an_error_as_html_is_the_card_with_the_sentence(desk: Indoors, seeded: int) -> None:
    body = {"plan_digest": DIGEST, "steps": ["s1"]}
    for path, status in (("approvals", 409), ("correction", 422)):
        answer = desk.post(f"/api/tickets/{seeded}/{path}", body, html=True)
        assert (answer.status_code, answer.mimetype) == (status, "text/html")
        assert "no-store" in answer.headers["Cache-Control"]
        assert "Traceback" not in answer.text
        assert len(answer.text) > 200
    envelope = desk.post(f"/api/tickets/{seeded}/approvals", body).get_json()["error"]
    assert envelope["code"] == "plan_changed"


def test_no_access_as_html_shows_nothing_of_the_ticket(desk: Indoors, seeded: int) -> None:
    answer = desk.client.get(f"/api/tickets/{seeded}/card", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.mimetype) == (401, "text/html")
    assert "maya" not in answer.text.lower()
