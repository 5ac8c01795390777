"""How does every state look? `make gallery OUT=folder` writes a picture of each and sheets like the design's."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from testkit import chromium
from testkit.indoors import indoors
from tests.github_issues import test_issue_page
from tests.zendesk import test_gaps_week
from tests.zendesk.cards import (
    NOW,
    STATES,
    Card,
    charge,
    chosen_person,
    duplicate,
    failed_payment,
    subscription,
    team_seats,
)
from zendesk import assets
from zendesk.timeline import timeline
from zendesk.view import Viewer, _environment, render_card
from zendesk.wording import Wording

ANA = Viewer(id=7, name="Ana Ruiz", role="agent", needed="agent or admin")
LIGHT_AGENT = Viewer(id=8, name="Lee", role="light agent", may_approve=False, needed="Billing agent")


def still(name: str, scheme: str = "light") -> str:
    """One state as a page without scripts, with the style sheet inside."""
    lang = "de" if name.endswith("-de") else "en"
    build, view = STATES[name.removeprefix("denied-").removesuffix("-de")]
    agent = LIGHT_AGENT if name.startswith("denied-") else ANA
    body = render_card(build(), view=view, lang=lang, agent=agent, now=NOW)
    return page(scheme, name, body, lang)


def page(scheme: str, name: str, body: str, lang: str = "en") -> str:
    css = assets.content("app.css").decode()
    return (
        f'<!doctype html><html lang="{lang}" data-scheme="{scheme}"><head><meta charset="utf-8"><title>{name}</title>'
        f"<style>{css} :root {{ --font: Inter, system-ui }}</style></head><body>{assets.sprite()}{body}</body></html>"
    )


def _pro(status: str = "active", **more: Any) -> Card:
    return subscription("sub_1", "2026-08-05T09:00:00Z", "2026-12-03T09:00:00Z", status=status, **more)


def shapes() -> Iterator[tuple[str, Card]]:
    """The shapes of history on the design's sheet of timelines."""
    for name, build in (("Duplicate", duplicate), ("Failed payment", failed_payment), ("Team seats", team_seats),
                        ("Dispute", chosen_person)):  # fmt: skip
        yield name, build()["billing_state"]
    ended = _pro("canceled", ended_at="2026-11-05T09:00:00Z", current_period_end="2026-11-05T09:00:00Z")
    paid = [charge("ch_1", "2026-09-05T09:00:00Z", "sub_1"), charge("ch_2", "2026-10-05T09:00:00Z", "sub_1")]
    back = [{"charge": "ch_2", "amount": 2900, "currency": "usd", "created": "2026-10-20T09:00:00Z"}]
    yield "Refunded and cancelled", {"subscriptions": [ended], "charges": paid, "refunds": back}
    begun = subscription("sub_1", "2026-11-06T09:00:00Z", "2026-12-06T09:00:00Z", status="incomplete",
                         trial_end="2026-11-20T09:00:00Z")  # fmt: skip
    yield "Trial, first payment unfinished", {
        "subscriptions": [begun], "charges": [charge("ch_1", "2026-11-20T09:00:00Z", "sub_1", status="failed")],
    }  # fmt: skip
    old = _pro("canceled", product_name="Starter", amount=1200, ended_at="2026-10-15T09:00:00Z")
    new = subscription("sub_2", "2026-10-15T09:00:00Z", "2026-12-05T09:00:00Z")
    yield "Upgrade with proration", {
        "subscriptions": [old, new],
        "charges": [*paid, charge("ch_3", "2026-10-15T09:00:00Z", "sub_2", amount=1142),
                    charge("ch_4", "2026-11-05T09:00:00Z", "sub_2")],
    }  # fmt: skip


def lanes(scheme: str) -> str:
    """All shapes as one page."""
    say = Wording(lang="en", now=NOW)
    drawn = "".join(
        f'<section class="sec"><div class="sec__h"><h2>{name}</h2></div>{_figure(state, say)}</section>'
        for name, state in shapes()
    )
    return page(scheme, "timelines", f'<main class="card" id="card">{drawn}</main>')


def _figure(state: Card, say: Wording) -> str:
    template = _environment().get_template("timeline.html")
    return template.render(drawing=timeline(state, NOW, say), say=say)


SHEETS = {
    "cases": ("review", "failed-review", "team-review", "person-review"),
    "glance": ("glance", "failed-glance", "team-glance", "person-glance"),
    "run": ("running", "hold", "done", "refused", "handled"),
    "states": ("loading", "empty", "denied-glance", "error", "stale", "partial", "over-limit"),
    "german": ("review-de", "hold-de", "done-de", "refused-de"),
}
SHEET = """<!doctype html><style>body{margin:0;padding:16px;background:#8a9099;display:flex;gap:16px;align-items:start}
img{width:%dpx}</style>%s"""


def main(out: Path, names: Sequence[str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium.find(), chromium_sandbox=chromium.sandboxed(), args=list(chromium.FLAGS)
        )
        for width, scheme in ((320, "light"), (320, "dark"), (420, "light"), (420, "dark")):
            tab = browser.new_page(viewport={"width": width, "height": 400}, device_scale_factor=1.5)
            for name in names:
                picture(tab, out / f"{name}-{width}-{scheme}.html", still(name, scheme), width)
            if "review" in names:
                picture(tab, out / f"timelines-{width}-{scheme}.html", lanes(scheme), width)
            for sheet, parts in SHEETS.items():
                if set(parts) <= set(names):
                    side_by_side(tab, out, sheet, [f"{part}-{width}-{scheme}.png" for part in parts], width)
            tab.close()
        for_the_product_team(browser, out)
        browser.close()


def picture(page: Page, path: Path, html: str, width: int) -> None:
    path.write_text(html, encoding="utf-8")
    page.set_viewport_size({"width": width, "height": 200})
    page.goto(path.as_uri())
    page.set_viewport_size({"width": width, "height": page.evaluate("document.body.scrollHeight")})
    page.wait_for_timeout(200)  # the skeleton appears after 150 ms
    page.screenshot(path=path.with_suffix(".png"), full_page=True)


def for_the_product_team(browser: Browser, out: Path) -> None:
    """An issue as GitHub shows it, and the report of a week."""
    page = browser.new_page(viewport={"width": 896, "height": 400}, device_scale_factor=1.5)
    picture(page, out / "issue.html", test_issue_page.picture(), 896)
    page.close()
    for scheme in ("light", "dark"):
        page = browser.new_page(viewport={"width": 1246, "height": 952}, color_scheme=scheme)
        with tempfile.TemporaryDirectory() as folder, indoors(Path(folder), public_url=test_gaps_week.PUBLIC) as desk:
            desk.clock.moment = test_gaps_week.NOW
            test_gaps_week.lived(desk)
            test_gaps_week.show(desk, page)
            page.screenshot(path=out / f"report-{scheme}.png", full_page=True)
        page.close()


def side_by_side(page: Page, out: Path, sheet: str, pictures: Sequence[str], width: int) -> None:
    """Like the pictures of the design, to be laid beside them."""
    path = out / f"sheet-{sheet}-{'-'.join(pictures[0].removesuffix('.png').split('-')[-2:])}.html"
    path.write_text(SHEET % (width, "".join(f'<img src="{name}">' for name in pictures)), encoding="utf-8")
    page.set_viewport_size({"width": (width + 16) * len(pictures) + 16, "height": 200})
    page.goto(path.as_uri())
    page.screenshot(path=path.with_suffix(".png"), full_page=True)


if __name__ == "__main__":
    more = ["denied-glance", "denied-review", *SHEETS["german"]]
    main(Path(sys.argv[1]), sys.argv[2:] or [*STATES, *more])
