"""Does every state of the card keep what the design promises about reading it: axe, widths, spacing, long words?

Each state is our own rendering with our own style sheet in the real Chromium, without a server: `tests.zendesk.cards`.
Checks 1, 2, 3, 13 and 15 of the sidebar's acceptance list; the others are in test_acceptance.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.zendesk.cards import NOW, STATES, done, duplicate, merged, running
from zendesk import assets
from zendesk.refusals import STATUS
from zendesk.view import Viewer, render_card
from zendesk.wording import LANGUAGES, catalogue

AXE = Path(__file__).parents[1] / "support" / "axe" / "axe.min.js"
TEMPLATES = Path(assets.__file__).parent / "templates"
ANA = Viewer(id=7, name="Ana Ruiz", role="agent", needed="agent or admin")
LEE = Viewer(id=8, name="Lee", role="light agent", may_approve=False, needed="Billing agent")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
CHECKED = f"""async () => {{
  const found = await axe.run(document, {{ runOnly: {RULES}, resultTypes: ['violations'] }});
  return found.violations.map(one => `${{one.id}}: ${{one.nodes.map(node => node.target).join(' ')}}`);
}}"""
SHOW = """([html, lang]) => {
  document.documentElement.lang = lang;
  document.getElementById('room').innerHTML = html;
  document.querySelectorAll('details').forEach(one => { one.open = true; });
}"""
# Every word grows by two letters in five, as German and Finnish do to English.
LONGER = """() => {
  const walk = document.createTreeWalker(document.getElementById('room'), NodeFilter.SHOW_TEXT);
  for (let one = walk.nextNode(); one; one = walk.nextNode())
    one.data = one.data.replace(/[A-Za-z]{3,}/g, word => word + 'éö'.repeat(Math.ceil(word.length * 0.2)));
}"""
SPACED = """() => {
  const style = document.createElement('style');
  style.textContent = '* { line-height: 1.5 !important; letter-spacing: .12em !important; }'
    + '* { word-spacing: .16em !important; } p { margin-bottom: 2em !important; }';
  document.head.append(style);
}"""
# What sticks out of the page, and text that a box without scroll bars hides.
CUT = """width => {
  const out = [...document.querySelectorAll('#room *')].filter(one => {
    if (one.closest('.vh, svg, [hidden], [popover]')) return false;
    const box = one.getBoundingClientRect(), style = getComputedStyle(one);
    if (box.width && (box.right > width + 0.5 || box.left < -0.5)) return true;
    return style.overflowX === 'hidden' && style.textOverflow !== 'ellipsis' && one.scrollWidth > one.clientWidth + 1;
  });
  const wide = document.documentElement.scrollWidth > width ? ['the page'] : [];
  return [...wide, ...out.slice(0, 3).map(one => one.outerHTML.slice(0, 120))];
}"""
ROOMS = {f"{width}-{scheme}": (width, scheme) for width in (320, 420) for scheme in ("light", "dark")}


def states() -> Iterator[tuple[str, str, str]]:
    """Every drawn state as (name, HTML, language): English all, and German where the words are many."""
    for name, (build, view) in STATES.items():
        yield name, render_card(build(), view=view, agent=ANA, now=NOW), "en"
    for view in ("glance", "review"):
        yield f"denied-{view}", render_card(duplicate(), view=view, agent=LEE, now=NOW), "en"


@pytest.fixture
def room(open_page: Callable[..., Page]) -> Callable[[int, str], Page]:
    """An empty page with our style sheet, as wide as the tray."""

    def opened(width: int, scheme: str) -> Page:
        page = open_page(viewport={"width": width, "height": 5000})  # all in view: the bar covers nothing
        css = assets.content("app.css").decode()
        page.set_content(
            f'<!doctype html><html lang="en" data-scheme="{scheme}"><head><meta charset="utf-8"><title>Billing</title>'
            f'<style>{css}</style></head><body>{assets.sprite()}<div id="room"></div></body></html>'
        )
        return page

    return opened


@pytest.mark.parametrize("name", ROOMS)
def test_axe_finds_nothing_in_any_state(room: Callable[[int, str], Page], name: str) -> None:
    page = room(*ROOMS[name])
    page.add_script_tag(path=AXE)
    found: dict[str, Any] = {}
    for state, html, lang in states():
        page.evaluate(SHOW, [html, lang])
        if violations := page.evaluate(CHECKED):
            found[state] = violations
    assert found == {}


@pytest.mark.parametrize("change", ["", SPACED, LONGER], ids=["as it is", "wide spacing", "longer words"])
def test_nothing_sticks_out_at_258_pixels(room: Callable[[int, str], Page], change: str) -> None:
    page = room(258, "light")
    if change == SPACED:
        page.evaluate(SPACED)
    found: dict[str, Any] = {}
    for state, html, lang in states():
        page.evaluate(SHOW, [html, lang])
        if change == LONGER:
            page.evaluate(LONGER)
        if cut := page.evaluate(CUT, 258):
            found[state] = cut
    assert found == {}


def test_german_sticks_out_nowhere_either(room: Callable[[int, str], Page]) -> None:
    page = room(258, "light")
    found: dict[str, Any] = {}
    for name, (build, view) in STATES.items():
        page.evaluate(SHOW, [render_card(build(), view=view, lang="de", agent=ANA, now=NOW), "de"])
        if cut := page.evaluate(CUT, 258):
            found[name] = cut
    assert found == {}


def test_no_template_holds_a_style_attribute_inline_script_or_what_htmx_would_evaluate() -> None:
    for path in TEMPLATES.glob("*.html"):
        source = path.read_text()
        assert not re.search(r"\bstyle=|\bon[a-z]+=|hx-on|hx-vals|hx-headers|[\"']js:|javascript:", source), path.name
        assert not re.search(r"hx-trigger=\"[^\"]*\[", source), path.name
        inline = [tag for tag in re.findall(r"<script[^>]*>", source) if "src=" not in tag]
        assert inline in ([], ['<script type="application/json" id="boot">']), path.name


def test_the_countdown_is_in_no_live_region(room: Callable[[int, str], Page]) -> None:
    page = room(320, "light")
    page.evaluate(SHOW, [render_card(STATES["hold"][0](), agent=ANA, now=NOW), "en"])
    live = "[role=status], [role=alert], [role=log], [role=timer], [aria-live]"
    assert page.locator("#hold-t").count() == 1
    assert page.evaluate("live => document.getElementById('hold-t').closest(live)", live) is None


def test_forced_colours_keep_the_borders_that_carry_meaning(open_page: Callable[..., Page]) -> None:
    page = open_page(viewport={"width": 320, "height": 800}, forced_colors="active")
    html = render_card(duplicate(), view="review", agent=ANA, now=NOW)
    page.set_content(f"<style>{assets.content('app.css').decode()}</style>{assets.sprite()}<div id='room'>{html}</div>")
    for what in (".tag", ".note", ".effects", ".btn--fill"):
        assert page.locator(what).first.evaluate("one => getComputedStyle(one).borderTopStyle") == "solid", what


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_refusal_says_whether_money_moved(lang: str) -> None:
    none, some = str(catalogue(lang)["error.no_money"]), "29"
    for code in STATUS:
        error = {"code": code, "message": "It was refused.", "at": "2026-11-22T10:02:00Z"}
        for card in (duplicate(), running(), {"ticket_id": 1, "state": "failed"}):
            html = render_card(merged(card, error=error), view="review", lang=lang, agent=ANA, now=NOW)
            assert none.rstrip(".") in html, code
        html = render_card(merged(done(), error=error), lang=lang, agent=ANA, now=NOW)
        assert (none not in html and some in html) or code in {"unauthorized", "no_access_to_ticket"}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_failure_says_whether_money_moved(lang: str) -> None:
    for name in ("error", "stale", "refused-approval", "refused", "stopped", "unknown-step", "closed", "empty"):
        html = render_card(STATES[name][0](), view=STATES[name][1], lang=lang, agent=ANA, now=NOW)
        assert str(catalogue(lang)["error.no_money"]).rstrip(".") in html, name
