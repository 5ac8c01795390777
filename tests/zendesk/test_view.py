"""Does every state of the card come out as inert, well-formed HTML that says the money before it moves?"""

from __future__ import annotations

import gzip
import json
import re
from datetime import datetime, timedelta
from html import unescape
from html.parser import HTMLParser

import pytest

from billing.decision import decide
from billing.policy import Policy
from tests.billing import builders
from tests.zendesk import cards
from tests.zendesk.cards import NOW, STATES
from zendesk import assets
from zendesk.card import to_card
from zendesk.view import Viewer, render_card, render_page
from zendesk.wording import LANGUAGES, catalogue, language

ANA = Viewer(id=7, name="Ana Ruiz", role="agent", needed="agent or admin")
BO = Viewer(id=9, name="Bo Lind", role="agent")
LEE = Viewer(id=8, name="Lee", role="light agent", may_approve=False, needed="Billing agent")
SDK = "https://static.zdassets.com/zendesk_app_framework_sdk/2.0/zaf_sdk.min.js"
VOID = {"meta", "link", "input", "br", "use", "line", "rect", "circle", "path", "img"}


class Tree(HTMLParser):
    """Tags with their attributes; complains about what is not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.faults: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        self.faults += [f"never closed: {tag}" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(names) != len(set(names)):
            self.faults.append(f"attribute twice: {tag} {names}")
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"closed out of order: {tag}")

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in {"script", "style"}:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag]


def shown(name: str, lang: str = "en", agent: Viewer = ANA) -> str:
    build, view = STATES[name]
    return render_card(build(), view=view, lang=lang, agent=agent, now=NOW)


def words(html: str) -> str:
    return Tree(html).text


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", STATES)
def test_every_state_is_one_well_formed_fragment(name: str, lang: str) -> None:
    for agent in (ANA, BO, LEE):
        tree = Tree(shown(name, lang, agent))
        assert tree.faults == []
        assert tree.tags[0][0] == "main"
        assert tree.tags[0][1]["id"] == "card"
        assert len(tree.all("main")) == len(tree.all("h1")) == 1
        ids = [attrs["id"] for _, attrs in tree.tags if "id" in attrs]
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", STATES)
def test_no_state_holds_style_attributes_scripts_or_what_htmx_would_evaluate(name: str) -> None:
    for tag, attrs in Tree(shown(name)).tags:
        assert tag not in {"script", "style", "img", "iframe", "object", "link", "base"}
        for key, value in attrs.items():
            assert key != "style"
            assert not key.startswith(("on", "hx-on", "data-hx-", "hx-vals", "hx-headers"))
            if key.startswith("hx-"):
                assert not re.search(r"js:|javascript:|\[", value)
            if key in {"href", "action"}:
                assert re.match(r"(https://|/api/|#)", value)


@pytest.mark.parametrize("name", STATES)
def test_every_form_posts_without_script_to_the_address_that_htmx_uses(name: str) -> None:
    for form in Tree(shown(name)).all("form"):
        way = form["method"]
        assert form[f"hx-{way}"] == form["action"]
        assert form["hx-target"] == "#card"


@pytest.mark.parametrize("name", [name for name, (_, view) in STATES.items() if view == "glance"])
def test_the_first_view_has_no_filled_button(name: str) -> None:
    assert "btn--fill" not in shown(name)


def test_the_first_view_offers_the_review_and_says_that_nothing_runs() -> None:
    assert "Review 5 steps" in words(shown("glance"))
    assert "Nothing runs until you approve." in words(shown("glance"))


def test_the_verdict_shows_exactly_three_effects() -> None:
    html = shown("glance")
    strip = html[html.index('<dl class="effects">') : html.index("</dl>")]
    assert re.findall(r"<dd>(.*?)</dd>", strip) == ["$29.00", "\u2212$29.00", "No change"]


@pytest.mark.parametrize(
    ("name", "lang", "label"),
    [
        ("review", "en", "Approve and refund $29.00"),
        ("review", "de", "Freigeben und 29,00\u00a0$ erstatten"),
        ("over-limit", "en", "Approve and refund $290.00"),
        ("failed-review", "en", "Approve 4 steps"),
        ("person-chosen", "en", "Hand to Billing leads"),
        ("second-needed", "en", "Ask a second person: Approve and refund $290.00"),
        ("busy", "en", "Approve and refund $29.00 USD"),
    ],
)
def test_the_button_names_the_money(name: str, lang: str, label: str) -> None:
    html = shown(name, lang)
    found = re.search(r'<button class="btn btn--fill btn--lg"[^>]*>(.*?)</button>', html)
    assert found
    assert unescape(found[1]) == label


def test_the_button_knows_what_it_says_without_the_refund() -> None:
    form = next(form for form in Tree(shown("review")).all("form") if form.get("id") == "approve")
    texts = json.loads(form["data-texts"])
    with_refund, without = texts["chosen"]["s3"], texts["chosen"][""]
    assert (with_refund["go"], with_refund["type"], with_refund["sum"][1]) == (
        "Approve and refund $29.00", "29.00", "$29.00",
    )  # fmt: skip
    assert "is final" in with_refund["note"]
    assert (without["go"], without["sum"][1]) == (None, "$0.00")
    assert "final" not in without["note"]
    assert texts["count"][4] == "Approve 4 steps"


def test_the_approval_form_sends_digest_steps_reply_and_choices() -> None:
    tree = Tree(shown("over-limit"))
    fields = [*tree.all("input"), *tree.all("textarea")]
    inside = {"plan_digest", "confirm"}
    sent = {a["name"] for a in fields if a.get("form") == "approve" or a.get("name") in inside}
    assert sent == {"plan_digest", "steps", "follow_up_body", "deliver", "file_issue", "confirm"}
    assert [a["value"] for a in fields if a.get("name") == "steps"] == ["s1", "s2", "s3", "s4", "s5"]


def test_above_the_one_click_limit_the_amount_is_typed() -> None:
    assert "Type 290.00 to approve." in words(shown("over-limit"))
    go = next(a for a in Tree(shown("over-limit")).all("button") if a.get("id") == "go")
    assert go["aria-disabled"] == "true"
    assert "disabled" not in go


@pytest.mark.parametrize("name", ["stale", "person-review"])
def test_a_plan_that_cannot_be_approved_has_a_dead_button(name: str) -> None:
    card = cards.stale() if name == "stale" else cards.merged(cards.person(), plan=cards.duplicate()["plan"])
    html = render_card(card, view="review", agent=ANA, now=NOW)
    assert any("disabled" in a for a in Tree(html).all("button") if a.get("id") == "go")


def test_a_changed_state_offers_a_new_plan() -> None:
    assert "Billing changed at 10:02." in words(shown("stale"))
    assert 'action="/api/tickets/48213/refresh?view=review"' in shown("stale")


def test_an_agent_without_the_role_sees_which_role_is_missing_and_cannot_approve() -> None:
    for name in ("glance", "review"):
        html = shown(name, agent=LEE)
        assert "needs the role Billing agent . Your role is light agent" in words(html)
        assert "/approvals" not in html


def test_the_skeleton_polls_for_the_card() -> None:
    root = Tree(shown("loading")).tags[0][1]
    assert root["hx-get"] == "/api/tickets/48213/card?view=glance"
    assert root["hx-trigger"] == "every 1s"


def test_only_a_run_that_goes_on_polls() -> None:
    polling = {name for name in STATES if "hx-trigger" in Tree(shown(name)).tags[0][1]}
    assert polling == {"loading", "running", "hold", "waiting-second", "filed-later"}


def test_an_issue_that_github_does_not_take_is_waited_for_without_a_spinner_and_asked_after_once_a_minute() -> None:
    html = shown("filed-later")
    assert "The issue will be filed when GitHub answers." in words(html)
    assert 'id="step-s5" data-s="later"' in html
    assert 'data-s="run"' not in html
    assert Tree(html).tags[0][1]["hx-trigger"] == "every 60s"


@pytest.mark.parametrize(("seconds", "pace"), [(5, "every 4s"), (25, "every 60s"), (1900, None)])
def test_a_slow_issue_is_asked_after_less_and_less(seconds: int, pace: str | None) -> None:
    card = cards.filed_later()
    card["approval"]["steps"][4]["reason"] = None
    at = datetime.fromisoformat(card["approval"]["finished_at"]) + timedelta(seconds=seconds)
    tree = Tree(render_card(card, agent=ANA, now=at))
    assert tree.tags[0][1].get("hx-trigger") == pace


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("stopped", "An agent stopped it in time. Steps done so far stand and can be undone below."),
        ("stopped-at-once", "An agent stopped it in time. Nothing has run."),
    ],
)
def test_what_an_agent_stopped_is_no_alarm_and_says_how_to_go_on(name: str, told: str) -> None:
    html = shown(name)
    assert "Stopped by an agent" in words(html)
    assert told in words(html)
    assert "tag--danger" not in html
    assert 'role="alert"' not in html
    assert "Make a new plan" in words(html)


def test_what_was_stopped_because_billing_changed_says_so() -> None:
    assert "It was stopped. Billing changed in between." in words(shown("stopped-by-a-change"))
    assert 'role="alert"' in shown("stopped-by-a-change")


def test_after_a_new_message_the_earlier_receipt_stands_above_the_new_plan() -> None:
    text = words(shown("asked-again"))
    assert "$29.00 given back before, 10:02 · Ana Ruiz" in text
    assert "12 Nov charge refunded · $29.00 · re_3QXkPzR8" in text
    assert "Review 2 steps" in text


def test_a_run_shows_the_steps_in_their_tenses() -> None:
    text = words(shown("running"))
    assert "Billing portal link made" in text
    assert "Stopping the extra subscription" in text
    assert "Refund the 12 Nov charge" in text


def test_the_hold_counts_down_and_can_be_stopped_or_cut_short() -> None:
    html = shown("hold")
    assert "Refund starts in 7 s." in words(html)
    assert '<progress max="10" value="7"' in html
    assert 'action="/api/approvals/ap_7Hq28F2C/cancel"' in html
    assert 'action="/api/approvals/ap_7Hq28F2C/go"' in html


def test_the_countdown_is_in_no_live_region() -> None:
    html = shown("hold")
    assert "role=" not in html.replace('role="group"', "")
    assert "aria-live" not in html
    assert "7" not in Tree(html).tags[0][1]["data-say"]


def test_done_is_a_receipt_with_what_can_still_be_undone() -> None:
    text = words(shown("done"))
    assert "Fixed in 14 s" in text
    assert "Maya was refunded $29.00 ." in text
    assert "re_3QX9aT2eZv8fK" in text
    steps = [a["value"] for a in Tree(shown("done")).all("input") if a.get("name") == "step"]
    assert steps == ["s2", "s5"]


def test_a_refund_is_never_offered_for_undoing() -> None:
    card = cards.done()
    assert not any(row["undoable"] for row in card["approval"]["steps"] if row["id"] == "s3")
    assert "Undo: 12 Nov" not in words(shown("done"))


def test_a_colleague_sees_who_handled_it_and_nothing_to_click_but_refresh() -> None:
    html = shown("handled")
    assert "Bo Lind handled this at 10:02" in words(html)
    assert [form["action"] for form in Tree(html).all("form")] == ["/api/tickets/48213/refresh?view=glance"]


@pytest.mark.parametrize("name", ["refused", "unknown-step", "stopped", "error", "stale", "refused-approval", "closed"])
def test_every_failure_says_that_no_money_moved(name: str) -> None:
    assert "No money moved." in words(shown(name))


def test_a_failure_after_the_refund_says_what_moved() -> None:
    assert "$29.00 moved." in words(shown("partly"))
    assert "Zendesk refused the note" in words(shown("partly"))
    assert "No money moved" not in words(shown("partly"))


def test_an_unknown_outcome_is_shown_as_unknown() -> None:
    assert "Step 3: outcome not known" in words(shown("unknown-step"))
    assert 'data-s="unknown"' in shown("unknown-step")


def test_a_state_of_a_step_that_we_do_not_know_is_not_shown_as_done() -> None:
    card = cards.running()
    card["approval"]["steps"][0]["state"] = "teleported"
    assert Tree(render_card(card, agent=ANA, now=NOW)).text.count("Unknown:") == 1


def test_the_second_person_can_confirm_and_the_first_cannot() -> None:
    assert "/api/approvals/ap_7Hq28F2C/second" not in shown("waiting-second", agent=ANA)
    assert "someone else must confirm" in words(shown("waiting-second", agent=ANA))
    html = shown("waiting-second", agent=BO)
    assert "/api/approvals/ap_7Hq28F2C/second" in html
    assert "Approve and refund $29.00" in words(html)


def test_two_matching_customers_wait_for_a_choice() -> None:
    radios = [a for a in Tree(shown("person-glance")).all("input") if a.get("name") == "customer"]
    assert [a["value"] for a in radios] == ["cus_Lk41Q", "cus_Pq9rT"]
    assert not any("checked" in a for a in radios)


def test_another_of_several_customers_can_be_taken_after_one_was_chosen() -> None:
    card = cards.merged(cards.chosen_person())
    assert len(card["customer"]["candidates"]) == 2
    radios = [
        attrs for attrs in Tree(render_card(card, agent=ANA, now=NOW)).all("input") if attrs.get("name") == "customer"
    ]
    assert [one["value"] for one in radios if "checked" in one] == ["cus_Lk41Q"]


def test_a_write_never_hides_behind_handing_over() -> None:
    card = cards.chosen_person()
    assert "Hand to Billing leads" in words(render_card(card, view="review", agent=ANA, now=NOW))
    stop = cards.duplicate()["plan"]["steps"][1] | {"id": "s9"}
    card["plan"]["steps"].append(stop)
    go = re.search(r'id="go"[^>]*>([^<]*)<', render_card(card, view="review", agent=ANA, now=NOW))
    assert go is not None
    assert go[1] == "Approve 3 steps"


def test_a_single_subscription_that_is_to_end_is_not_called_extra() -> None:
    evidence = builders.ticket("please cancel my subscription", codes=(), wishes=("cancel",))
    card = to_card(decide(evidence, builders.ordinary(), Policy()), Policy())
    assert any(step["kind"] == "schedule_cancellation" for step in card["plan"]["steps"])
    assert {row["role"] for row in card["billing_state"]["subscriptions"]} == {None}


def test_two_readings_are_told_only_when_both_are_likely() -> None:
    card = cards.person()
    assert "Two readings fit" in words(render_card(card, agent=ANA, now=NOW))
    card["decision"] |= {"confidence": 0.97, "second": {"bucket": "other_billing", "confidence": 0.02}}
    assert "A person decides" in words(render_card(card, agent=ANA, now=NOW))


def test_what_is_said_twice_is_shown_once_and_the_gravest_first() -> None:
    card = cards.duplicate()
    card["billing_state"]["anomalies"] = [
        {"code": code, "says": says, "objects": []}
        for code, says in (("paid_and_active", "Paid."), ("card_expired", "Expired."), ("card_expired", "Expired."))
    ]
    text = words(render_card(card, view="review", agent=ANA, now=NOW))
    assert text.count("Expired.") == 1
    assert text.index("Expired.") < text.index("Paid.")


def test_blocked_steps_are_named_with_their_reason() -> None:
    assert "Off: Refund and Cancel now." in words(shown("person-review"))


def test_an_unidentified_sender_gets_a_look_up() -> None:
    html = shown("empty")
    assert 'action="/api/tickets/48250/lookup?view=glance"' in html
    assert "maya.okafor@brightpath.example" in words(html)


def test_github_down_does_not_block_the_rest() -> None:
    html = shown("partial")
    assert "GitHub did not answer." in words(html)
    assert not any("disabled" in a for a in Tree(html).all("button") if a.get("id") == "go")
    assert "Not read: disputes (our key may not read this)." in words(html)


def test_the_last_good_card_of_a_failed_reading_can_be_read_but_not_approved() -> None:
    card = cards.merged(cards.duplicate(), state="failed", error={"code": "upstream_no_answer", "message": "Down."})
    assert "Show it (read only)" in words(render_card(card, agent=ANA, now=NOW))
    html = render_card(card, view="review", agent=ANA, now=NOW)
    assert any("disabled" in a for a in Tree(html).all("button") if a.get("id") == "go")


@pytest.mark.parametrize("name", ["hostile-glance", "hostile-review", "hostile-run"])
def test_hostile_texts_stay_inert(name: str) -> None:
    html = shown(name)
    assert not re.search("[\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]", html)
    tree = Tree(html)
    assert "alert(1)" in tree.text or "alert(1)" in html
    assert not any("alert" in key or "onmouseover" in key for _, attrs in tree.tags for key in attrs)
    assert "{{ 7*7 }}" in unescape(html)
    assert "javascript:" not in html


def test_a_card_with_nothing_but_what_must_be_there_is_shown() -> None:
    assert "Not billing" in words(shown("bare"))
    assert "Nothing to approve" in words(shown("bare"))


def test_a_review_fragment_weighs_at_most_six_kilobytes() -> None:
    for name in ("review", "failed-review", "team-review", "person-review", "busy", "over-limit"):
        assert len(gzip.compress(shown(name).encode())) <= 6 * 1024, name


def test_the_first_load_weighs_at_most_thirty_kilobytes_without_the_sdk() -> None:
    page = render_page(token="t" * 200, sdk_url=SDK, lang="en", ticket_id=48213, card=cards.duplicate(), now=NOW)
    parts = [page.encode(), *(assets.content(name) for name in ("app.css", "htmx.min.js", "sidebar.js"))]
    assert sum(len(gzip.compress(part)) for part in parts) <= 30 * 1024


@pytest.mark.parametrize("card", [None, cards.duplicate()])
def test_the_page_is_well_formed_and_has_no_script_but_files_and_one_block_of_json(card: cards.Card | None) -> None:
    html = render_page(token="to</script>ken", scheme="dark", lang="de-AT", sdk_url=SDK, card=card, now=NOW)
    tree = Tree(html.removeprefix("<!doctype html>"))
    assert tree.faults == []
    scripts = tree.all("script")
    assert [bool(a.get("src")) for a in scripts].count(False) == 1
    assert next(a for a in scripts if not a.get("src"))["type"] == "application/json"
    assert all("integrity" in a for a in scripts if a.get("src", "").startswith("/static/"))
    assert tree.all("html") == [{"lang": "de", "data-scheme": "dark"}]
    assert not any("style" in attrs for _, attrs in tree.tags)
    assert "to\\u003c/script\\u003eken" in html


def test_a_scheme_from_the_address_is_taken_only_when_known() -> None:
    assert 'data-scheme="' not in render_page(token="t", scheme='"><script>', sdk_url=SDK, now=NOW)


def test_both_languages_hold_the_same_texts_with_the_same_places() -> None:
    english, german = catalogue("en"), catalogue("de")
    assert english.keys() == german.keys()
    for key, text in english.items():
        forms = [(text, german[key])] if isinstance(text, str) else [(text[n], german[key][n]) for n in text]  # type: ignore[index]  # the same form, checked by the keys above
        for one, other in forms:
            assert set(re.findall(r"\{(\w+)\}", one)) == set(re.findall(r"\{(\w+)\}", other)), key


def test_the_copy_keeps_its_tone() -> None:
    for lang in LANGUAGES:
        for key, text in catalogue(lang).items():
            for form in [text] if isinstance(text, str) else text.values():
                assert not re.search(r"!|\b(please|bitte|oops|AI|KI)\b", form), key


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("de-AT", "de"), ("de", "de"), ("en-US", "en"), ("fr", "en"), ("", "en"), (None, "en"), ("DE_de;q=1", "de")],
)
def test_a_locale_falls_back_to_a_language_we_have(tag: str | None, expected: str) -> None:
    assert language(tag) == expected


def test_an_issue_says_how_it_stands_who_has_it_and_when_it_was_last_met() -> None:
    text = words(shown("review"))
    assert "#412 · open · assigned to growth" in text
    assert "Tickets 14 Last 20 Nov" in text
    gap = {"existing_issue": {"number": 412, "cases": 14, "url": "", "state": "closed"}}
    text = words(render_card(cards.merged(cards.duplicate(), product_gap=gap), view="review", now=NOW))
    assert "#412 · closed · no owner" in text


def test_a_payment_that_is_tried_again_says_when_in_place_of_disputes_that_are_none() -> None:
    text = words(shown("failed-review"))
    assert "Next try 26 Nov" in text
    assert "Disputes None" not in text


@pytest.mark.parametrize(
    ("change", "told"),
    [({}, True), ({"amount_refunded": 100}, False), ({"disputed": True}, False), ({"id": "ch_9"}, False)],
)
def test_what_was_just_read_of_a_charge_stands_beside_its_refund_only_where_it_is_so(
    change: dict[str, object], told: bool
) -> None:
    card = cards.duplicate()
    card["billing_state"]["charges"][3] |= change
    assert ("Not refunded or disputed" in words(render_card(card, view="review", now=NOW))) is told
