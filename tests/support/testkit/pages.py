"""What does the real browser look like to a test, and which of a page's complaints fail it?"""

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from testkit import chromium

CSP_WORDS = ("Content Security Policy", "Content-Security-Policy")


@dataclass(frozen=True, slots=True)
class BrowserSession:
    browser: Browser
    loop: asyncio.AbstractEventLoop


@dataclass(slots=True)
class Complaints:
    """Page errors and CSP refusals seen by every page of one test."""

    seen: list[str] = field(default_factory=list)

    def listen_to(self, context: BrowserContext) -> None:
        context.on("weberror", lambda error: self.seen.append(f"page error: {error.error}"))
        context.on("console", lambda message: self._hear(message.type, message.text))

    def verdict(self, expected: Sequence[str]) -> str:
        """Empty when all that was seen was expected (regular expressions) and all that was expected was seen."""
        surprising = [text for text in self.seen if not any(re.search(pattern, text) for pattern in expected)]
        missing = [pattern for pattern in expected if not any(re.search(pattern, text) for text in self.seen)]
        lines = [f"not expected: {text}" for text in surprising]
        return "\n".join(lines + [f"expected but not seen: {pattern}" for pattern in missing])

    def _hear(self, kind: str, text: str) -> None:
        if kind == "error" and any(words in text for words in CSP_WORDS):
            self.seen.append(f"refused by CSP: {text}")


@contextmanager
def running_browser() -> Iterator[BrowserSession]:
    with sync_playwright() as playwright:
        loop = asyncio.get_running_loop()
        browser = playwright.chromium.launch(
            executable_path=chromium.find(), chromium_sandbox=chromium.sandboxed(), args=list(chromium.FLAGS)
        )
        session = BrowserSession(browser, loop)
        asyncio._set_running_loop(None)
        yield session
        with in_browser_loop(session):
            browser.close()
        asyncio._set_running_loop(loop)


@contextmanager
def in_browser_loop(session: BrowserSession) -> Iterator[None]:
    """Playwright's event loop counts as running only inside.

    Between its calls Playwright leaves the loop marked as running in this thread, and then `asyncio.run` and every
    synchronous call of DBOS refuse to work, in this test and in all later ones of the process.
    """
    asyncio._set_running_loop(session.loop)
    try:
        yield
    finally:
        asyncio._set_running_loop(None)


def open_context(session: BrowserSession, complaints: Complaints, **options: object) -> tuple[BrowserContext, Page]:
    context = session.browser.new_context(**options)  # type: ignore[arg-type]  # the vendor's options, passed through
    context.set_default_timeout(15_000)
    complaints.listen_to(context)
    return context, context.new_page()
