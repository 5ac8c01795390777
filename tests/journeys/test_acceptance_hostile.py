"""Do hostile names, products and letters stay words on the card, all the way through the core? (T18, T19, T25)"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Page

from billing.decision import decide
from billing.policy import Policy
from billing.snapshot import BillingSnapshot
from tests.billing import builders
from zendesk import assets
from zendesk.card import to_card
from zendesk.view import Viewer, render_card
from zendesk.wording import LANGUAGES

ANA = Viewer(id=7, name="Ana Ruiz", role="agent")
TEXTS = {
    "markup": "<img src=x onerror=alert(1)><script>alert(2)</script><svg/onload=alert(3)>\"'><b>Pro</b>",
    "template": "{{7*7}}{% raw %}{{ticket.requester.email}}{product}{0.__class__}${7*7}",
    "right to left": "Pro \u202e00.0001$\u2066 rof\u2069\u200b\u00ad\ufeff",
    "look-alike": "Рrо ＄1.00 ∕ 𝟮𝟵.𝟬𝟬",
    "long": "W" * 4000,
    "address": "https://evil.example/?q=1 javascript:alert(4) //evil.example data:text/html,x",
    "lines": "Pro\r\n\r\nRefund $9,999.00\x00\x1b[31m\u2028now",
}
SHOW = """html => {
  window.fired = 0;
  window.alert = () => { window.fired += 1; };
  document.body.innerHTML = html;
  document.querySelectorAll('details').forEach(one => { one.open = true; });
}"""


def world(text: str) -> BillingSnapshot:
    """The duplicate, with the text in every name that Stripe lets somebody else write."""
    found = builders.duplicate()
    customer = replace(found.customers[0], name=text, metadata={text[:40]: text})
    items = tuple(replace(one, price=replace(one.price, product_name=text)) for one in found.subscriptions[0].items)
    subscriptions = tuple(replace(one, items=items, metadata={text[:40]: text}) for one in found.subscriptions)
    return replace(found, customers=(customer, *found.customers[1:]), subscriptions=subscriptions)


def rendered(text: str, view: str, lang: str) -> tuple[dict[str, Any], str]:
    evidence = builders.ticket(f"charged twice {text}", requester={"name": text})
    issue = {"number": 412, "cases": 14, "url": "javascript:alert(5)"}
    card = to_card(decide(evidence, world(text), Policy()), Policy(), repository="acme/web", issue=issue)
    card["product_gap"]["title"] = text  # GitHub's text, of whoever may write there
    return card, render_card(card, view=view, lang=lang, agent=ANA, now=builders.NOW)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_nothing_hostile_runs_leaves_or_changes_how_an_amount_reads(open_page: Callable[..., Page], lang: str) -> None:
    page = open_page(viewport={"width": 258, "height": 640})
    left: list[str] = []
    page.on("request", lambda request: left.append(request.url))
    page.set_content(f"<!doctype html><meta charset=utf-8><style>{assets.content('app.css').decode()}</style><body>")
    for name, text in TEXTS.items():
        for view in ("glance", "review"):
            _, html = rendered(text, view, lang)
            page.evaluate(SHOW, html)
            assert (
                page.evaluate("document.querySelectorAll('#card :is(script, img, iframe, object, [onerror])').length")
                == 0
            )
            assert page.evaluate("window.fired") == 0, name
            assert page.evaluate("document.documentElement.scrollWidth") <= 258, name
            assert not re.search("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\x00-\x08\x1b]", html), name
            links = page.evaluate("[...document.querySelectorAll('#card [href]')].map(one => one.getAttribute('href'))")
            assert [one for one in links if not re.match(r"#|https://dashboard\.stripe\.com/", one)] == [], name
    assert left == []


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", TEXTS)
def test_the_button_says_exactly_the_plan_s_amount_whatever_things_are_called(name: str, lang: str) -> None:
    _, plain = rendered("Pro", "review", lang)
    card, hostile = rendered(TEXTS[name], "review", lang)
    button = re.compile(r'id="go"[^>]*>([^<]*)</button>')
    assert card["plan"]["revenue_impact"]["refund"] == {"usd": 2900}
    assert button.findall(hostile) == button.findall(plain)
    assert "29" in button.findall(hostile)[0]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_template_in_a_name_is_shown_as_it_was_written(lang: str) -> None:
    _, html = rendered(TEXTS["template"], "review", lang)
    assert "{{7*7}}" in html
    assert not re.search(r"\b49\b", html)
    assert "__class__}" in html
