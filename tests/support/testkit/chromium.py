"""Which Chromium do the tests drive, and how does it get onto the machine?

Run as a script it installs one where none is found and prints its path; the fixtures only look for it.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_APPLICATIONS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # Names and addresses outside this machine do not resolve: the page itself cannot leave either.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]",
)


class NoChromium(RuntimeError):
    """No browser that answers; the message is one sentence that says what to do."""


def find() -> str:
    """The path of a Chromium that answers. Raises NoChromium."""
    chosen = os.environ.get("CHROMIUM")
    if chosen:
        if not _answers(chosen):
            raise NoChromium(f"CHROMIUM names {chosen!r}, which does not run as a Chromium.")
        return chosen
    for candidate in _candidates():
        if _answers(candidate):
            return candidate
    raise NoChromium("No Chromium found: run `make chromium`, install one, or set CHROMIUM to its path.")


def install() -> str:
    """Finds a Chromium or installs one. Raises NoChromium when every way failed."""
    if os.environ.get("CHROMIUM"):
        return find()
    for command_lines in (None, *_ways_to_install()):
        for command_line in command_lines or ():
            if subprocess.run(command_line, stdin=subprocess.DEVNULL, env=_quiet_apt()).returncode != 0:
                break
        try:
            return find()
        except NoChromium:
            continue
    raise NoChromium("No Chromium could be installed here: install one by hand, or set CHROMIUM to its path.")


def sandboxed() -> bool:
    """Chromium refuses its own sandbox to root, and to nobody else."""
    return os.geteuid() != 0


def _candidates() -> Iterator[str]:
    yield from (path for path in map(shutil.which, NAMES) if path)
    yield from MAC_APPLICATIONS
    with sync_playwright() as playwright:
        yield playwright.chromium.executable_path


def _answers(path: str) -> bool:
    # Asked, not only looked for: Ubuntu's chromium-browser is a script that tells to install a snap.
    if not Path(path).exists() and not shutil.which(path):
        return False
    try:
        finished = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return finished.returncode == 0 and re.search(r"(Chromium|Chrome)\D* \d+\.", finished.stdout) is not None


def _ways_to_install() -> Iterator[list[list[str]]]:
    root = os.geteuid() == 0
    if root and shutil.which("apt-get"):
        yield [
            ["apt-get", "update"],
            ["apt-get", "install", "-y", "--no-install-recommends", "chromium", "fonts-liberation"],
        ]
    # --with-deps asks the system's package manager for libraries, which only root may do.
    yield [[sys.executable, "-m", "playwright", "install", *(["--with-deps"] if root else []), "chromium"]]


def _quiet_apt() -> dict[str, str]:
    return {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}


if __name__ == "__main__":
    try:
        print(install())
    except NoChromium as problem:
        sys.exit(str(problem))
