"""Does the sidebar show the follow-up that was prepared when the issue behind a ticket was closed?"""

from __future__ import annotations

import pytest

from tests.zendesk import cards
from tests.zendesk.cards import NOW
from zendesk.view import Viewer, render_card

ANA = Viewer(id=7, name="Ana Ruiz", role="agent", needed="agent or admin")
NEWS = {
    "id": "op_1", "outcome": "fixed", "at": "2026-11-22T10:00:00Z", "locale": "en", "body": "Hello,\n\n<b>fixed</b>",
    "title": "x", "issue": {"number": 412, "url": "https://github.com/acme/web/issues/412"},
}  # fmt: skip


@pytest.mark.parametrize("state", ["duplicate", "done"])
@pytest.mark.parametrize("lang", ["en", "de"])
def test_the_draft_stands_ready_to_be_put_in_the_box_and_is_only_text(state: str, lang: str) -> None:
    card = cards.merged(getattr(cards, state)(), news=NEWS)
    html = render_card(card, agent=ANA, now=NOW, lang=lang)
    assert html.count('id="draft"') == 1
    assert "&lt;b&gt;fixed" in html
    assert 'data-insert="draft"' in html
    assert "#412" in html


@pytest.mark.parametrize("news", [None, NEWS | {"body": None}])
def test_without_a_draft_nothing_of_it_is_shown(news: dict[str, object] | None) -> None:
    card = cards.merged(cards.duplicate(), news=news)
    assert 'id="draft"' not in render_card(card, agent=ANA, now=NOW)


def test_an_address_that_is_none_is_no_link() -> None:
    wrong = NEWS | {"issue": {"number": 412, "url": "javascript:alert(1)"}}
    assert "javascript:" not in render_card(cards.merged(cards.duplicate(), news=wrong), agent=ANA, now=NOW)
