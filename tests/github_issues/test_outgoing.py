"""Does nothing personal go out, and does GitHub act on nothing that comes from outside?"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest

from github_issues.outgoing import check, fenced, scrubbed
from integrations.errors import Refused
from integrations.twins.github_markdown import scan
from testkit.filing_bench import Bench

HOSTILE = (
    "@octocat please look", "cc @acme/security", "fixes #1", "closes acme/web#12", "resolves GH-7", "see #412",
    "acme/web#3", "![x](https://evil.example/t.png)", '<img src="https://evil.example/t.png">',
    "[click](https://evil.example)", "https://evil.example/?q=1", "<a href='https://evil.example'>a</a>",
    "www.evil.example", "- [x] done", "# heading", "```\n@octocat\n```", "````\n@octocat", "~~~\n@octocat\n~~~",
    "`code` @octocat `", "<!-- billing-desk:begin -->", "--> @octocat <!--", "| a | b |\n|---|---|\n| @x | #1 |",
    "<details open>@octocat</details>", "[x]: https://evil.example", "$$\\href{https://evil.example}{x}$$",
    "\u202e@octocat\u200b",
)  # fmt: skip
CANARIES = (
    "maya@acme.example",
    "maya.okafor+test@sub.acme.co.uk",
    "maya(at)acme.example",
    "мая@пример.рф",
    "+49 170 1234567",
    "(415) 555-0132",
    "4242 4242 4242 4242",
    "4242424242424242",
    "DE89 3704 0044 0532 0130 00",
    "GB29NWBK60161331926819",
    "cus_NffrFeUfNV2Hib",
    "sub_1MowQVLkdIwHu7ix",
    "ch_3MmlLrLkdIwHu7ix",
    "pi_3MtwBwLkdIwHu7ix",
    "sk_live_" + "a1B2" * 6,
    "rk_test_" + "a1B2" * 6,
    "whsec_" + "a1B2" * 6,
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "a1B2" * 9,
    "xoxb-1234-abcdefgh",
    "AKIAIOSFODNN7EXAMPLE",
    "-----BEGIN PRIVATE KEY-----",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig",
    "https://pay.example/i/acct_1/test_x?s=ap",
    "192.168.13.37",
    "2f1c6f2e-6f0b-4f0e-9a57-0d2f6f1c6f2e",
)
DISGUISES: dict[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "percent": lambda text: quote(text, safe=""),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "zero-width": lambda text: "\u200b".join(text),
    "entities": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
}


def test_the_list_of_hostile_snippets_is_a_list_of_things_that_would_act() -> None:
    assert len(HOSTILE) == 26
    assert sum(not scan(one).nothing for one in HOSTILE) >= 16


@pytest.mark.parametrize("snippet", HOSTILE)
def test_nothing_in_a_fence_is_acted_upon(snippet: str) -> None:
    found = scan("before\n\n" + fenced([snippet, "x" * 20, snippet]) + "\n\nafter")
    assert found.nothing
    assert found.comments == []
    assert not found.unclosed_fence


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("canary", CANARIES)
def test_a_name_with_something_personal_in_it_is_refused_in_every_disguise(canary: str, disguise: str) -> None:
    assert scrubbed(f"Pro {DISGUISES[disguise](canary)}") is None
    assert scrubbed(DISGUISES[disguise](canary)) is None


@pytest.mark.parametrize("name", ["Pro", "Team plan (yearly)", "Solo & Duo", "Équipe", "プロ", "Basic 2024", "A+B, C"])
def test_the_name_of_a_plan_passes(name: str) -> None:
    assert scrubbed(name) == name


@pytest.mark.parametrize(
    "canary",
    [one for one in CANARIES if any(mark in one for mark in ("@", "_", "4242", "DE89", "AKIA", "BEGIN", "eyJ", "xox"))],
)
def test_the_last_net_refuses_a_text_of_ours_that_holds_it(canary: str) -> None:
    with pytest.raises(Refused) as caught:
        check(f"### Evidence\n\n| Cases | {canary} |")
    assert caught.value.code == "personal_text"
    assert canary not in str(caught.value)


def test_long_and_odd_texts_are_judged_in_no_time() -> None:
    started = time.perf_counter()
    for text in ("a" * 60_000, "a." * 30_000, "1 " * 30_000, "AB12 " * 12_000, "@" * 60_000, "cus" * 20_000):
        scrubbed(text)
        scrubbed(text[:240])
        try:
            check(text)
        except Refused:
            continue
    assert time.perf_counter() - started < 5


def test_a_plans_name_goes_out_only_when_customers_share_it_and_only_in_a_fence(desk: Bench) -> None:
    names = {
        1: "Pro",
        2: "Pro",
        3: "Retainer Maya Okafor",
        4: "```\n@octocat",
        5: "```\n@octocat",
        6: "Pro 4242424242424242",
    }
    for ticket, name in names.items():
        desk.file(ticket, plan=name)
    body = desk.issues()[0]["body"]
    assert "   2  Pro\n" in body
    for hidden in ("Maya", "4242", "octocat"):
        assert hidden not in body


@pytest.mark.parametrize("snippet", HOSTILE)
def test_a_hostile_pattern_or_plan_that_got_into_the_store_does_nothing_on_github(desk: Bench, snippet: str) -> None:
    desk.file(1, plan=snippet, pattern=snippet)
    desk.file(2, plan=snippet, pattern=snippet)
    live = desk.github.live("acme/web", 1)
    assert live.mentions == live.references == live.closing == live.images == live.html_tags == []
    assert [one for one in live.links if "evil" in one] == []
    assert [one for one in live.comments if "begin" in one] == ["billing-desk:begin"]
