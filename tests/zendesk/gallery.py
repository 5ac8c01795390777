"""How does every state look? `python tests/zendesk/gallery.py OUT_DIR [NAME...]` writes HTML and pictures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.zendesk.cards import NOW, STATES
from zendesk import assets
from zendesk.view import Viewer, render_card

ANA = Viewer(id=7, name="Ana Ruiz", role="agent", needed="agent or admin")
LIGHT_AGENT = Viewer(id=8, name="Lee", role="light agent", may_approve=False, needed="Billing agent")


def still(name: str, scheme: str = "light", lang: str = "en") -> str:
    """One state as a page without scripts, with the style sheet inside."""
    build, view = STATES[name.removeprefix("denied-")]
    agent = LIGHT_AGENT if name.startswith("denied-") else ANA
    body = render_card(build(), view=view, lang=lang, agent=agent, now=NOW)
    css = assets.content("app.css").decode()
    return (
        f'<!doctype html><html lang="{lang}" data-scheme="{scheme}"><head><meta charset="utf-8"><title>{name}</title>'
        f"<style>{css} :root {{ --font: Inter, system-ui }}</style></head><body>{assets.sprite()}{body}</body></html>"
    )


def main(out: Path, names: Sequence[str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        for width, scheme in ((320, "light"), (320, "dark"), (420, "light"), (420, "dark")):
            page = browser.new_page(viewport={"width": width, "height": 400}, device_scale_factor=1.5)
            for name in names:
                path = out / f"{name}-{width}-{scheme}.html"
                path.write_text(still(name, scheme), encoding="utf-8")
                page.set_viewport_size({"width": width, "height": 200})
                page.goto(path.as_uri())
                page.set_viewport_size({"width": width, "height": page.evaluate("document.body.scrollHeight")})
                page.wait_for_timeout(200)
                page.screenshot(path=path.with_suffix(".png"), full_page=True)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or [*STATES, "denied-glance", "denied-review"])
