"""How does every state look? `make gallery OUT=folder` writes a picture of each and sheets like the design's."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from testkit import chromium
from tests.zendesk.cards import NOW, STATES
from zendesk import assets
from zendesk.view import Viewer, render_card

ANA = Viewer(id=7, name="Ana Ruiz", role="agent", needed="agent or admin")
LIGHT_AGENT = Viewer(id=8, name="Lee", role="light agent", may_approve=False, needed="Billing agent")


def still(name: str, scheme: str = "light") -> str:
    """One state as a page without scripts, with the style sheet inside."""
    lang = "de" if name.endswith("-de") else "en"
    build, view = STATES[name.removeprefix("denied-").removesuffix("-de")]
    agent = LIGHT_AGENT if name.startswith("denied-") else ANA
    body = render_card(build(), view=view, lang=lang, agent=agent, now=NOW)
    css = assets.content("app.css").decode()
    return (
        f'<!doctype html><html lang="{lang}" data-scheme="{scheme}"><head><meta charset="utf-8"><title>{name}</title>'
        f"<style>{css} :root {{ --font: Inter, system-ui }}</style></head><body>{assets.sprite()}{body}</body></html>"
    )


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
            page = browser.new_page(viewport={"width": width, "height": 400}, device_scale_factor=1.5)
            for name in names:
                picture(page, out / f"{name}-{width}-{scheme}.html", still(name, scheme), width)
            for sheet, parts in SHEETS.items():
                if set(parts) <= set(names):
                    side_by_side(page, out, sheet, [f"{part}-{width}-{scheme}.png" for part in parts], width)
            page.close()
        browser.close()


def picture(page: Page, path: Path, html: str, width: int) -> None:
    path.write_text(html, encoding="utf-8")
    page.set_viewport_size({"width": width, "height": 200})
    page.goto(path.as_uri())
    page.set_viewport_size({"width": width, "height": page.evaluate("document.body.scrollHeight")})
    page.wait_for_timeout(200)  # the skeleton appears after 150 ms
    page.screenshot(path=path.with_suffix(".png"), full_page=True)


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
