"""Does the set-up page say what doctor says, to those who may know it, without asking everybody at every reload?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from integrations.checks.report import Check, Report, State
from testkit.indoors import Indoors, indoors
from zendesk import gaps_page
from zendesk.links import VALID, signed_link
from zendesk.setup_page import Examiner, _html

PUBLIC = "https://billing.acme.example"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path, github_repository="", github_token="", stripe_write_key="") as made:
        yield made


def link_of(desk: Indoors) -> str:
    return signed_link(desk.settings, "setup", desk.clock())


def test_the_page_opens_by_its_link_and_says_what_doctor_says(desk: Indoors) -> None:
    answer = desk.client.get(link_of(desk))
    assert answer.status_code == 200
    for said in ("Set-up", "Zendesk", "acme.zendesk.com", "Write key", "STRIPE_WRITE_KEY is not set", "Check again"):
        assert said in answer.text, said
    assert "none is running: nothing is read" in answer.text
    assert "Mend: Start billing-desk serve." in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert "'unsafe" not in answer.headers["Content-Security-Policy"]


def test_nobody_gets_in_without_a_good_link(desk: Indoors) -> None:
    other = gaps_page.signed_link(desk.settings, desk.clock()).replace("/gaps?", "/setup?")
    for path in ("/setup", "/setup?sig=", "/setup?sig=x.y.z", other):
        assert desk.client.get(path).status_code == 401, path
    link = link_of(desk)
    desk.clock.advance(VALID + timedelta(seconds=1))
    assert desk.client.get(link).status_code == 401
    assert len(desk.stripe.wire) == 0


def test_an_admin_may_open_it_with_the_page_token_and_an_agent_not(desk: Indoors) -> None:
    assert desk.get("/setup").status_code == 403
    admin = desk.zendesk.add_agent("Ada Root", "ada@acme.example", role="admin")
    assert desk.get("/setup", desk.page_token(int(admin["id"]))).status_code == 200


def test_many_reloads_are_one_examination(desk: Indoors) -> None:
    asked: list[int] = []

    def ask() -> Report:
        asked.append(1)
        return Report(checks=())

    examiner = Examiner(ask, desk.clock)
    for _ in range(5):
        examiner.report()
    assert len(asked) == 1


def test_problems_and_warnings_are_counted_and_what_comes_from_outside_is_text(desk: Indoors) -> None:
    def check(state: State, evidence: str = "seen", fix: str = "") -> Check:
        return Check(group="Zendesk", name="One", state=state, evidence=evidence, fix=fix)

    checks = (check(State.OK), check(State.OK), check(State.FAIL, "<img src=x>", "Do it."), check(State.SKIP))
    html = _html(Report(checks=(*checks, check(State.WARN))), desk.clock(), "?sig=abc")
    assert "2 of 4 checks pass." in html
    assert "<b>1 problem</b>" in html
    assert "1 warning." in html
    assert "<img" not in html
    assert "Mend: Do it." in html
    assert 'href="?sig=abc"' in html
