"""How does a test run the demo? The real process, and the twins' ledgers beside it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from testkit.rig import ROOT, wait_for


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo: its workspace's address and those of the three twins."""

    url: str
    twins: dict[str, str]

    def state(self, service: str) -> Any:
        return requests.get(self.twins[service] + "/_twin/state", timeout=10).json()

    def refunds(self) -> set[str]:
        return {refund["id"] for refund in self.state("stripe")["refunds"]}

    def writes(self) -> list[dict[str, Any]]:
        """What Stripe was asked for and did, in order."""
        return [entry for entry in self._wire() if entry["effect"]]

    def sent(self, method: str, path: str) -> int:
        """How often Stripe was asked this, whatever it answered."""
        return sum(entry["method"] == method and entry["target"].startswith(path) for entry in self._wire())

    def tickets(self) -> list[int]:
        found = requests.get(self.url + "/tickets", timeout=10).json()["tickets"]
        return [int(ticket["id"]) for ticket in found]

    def start_over(self) -> None:
        """What the button does; faults that a test armed go too."""
        assert requests.post(self.url + "/reset", json={}, timeout=30).ok

    def break_stripe(self, kind: str, **fault: Any) -> None:
        """Arm a fault of integrations/twins/faults.py."""
        answer = requests.post(self.twins["stripe"] + "/_twin/faults", json={"kind": kind, **fault}, timeout=10)
        assert answer.ok, answer.text

    def _wire(self) -> list[dict[str, Any]]:
        return list(requests.get(self.twins["stripe"] + "/_twin/wire", timeout=10).json()["entries"])


@contextmanager
def running_demo(folder: Path) -> Iterator[Demo]:
    """`billing-desk demo` in an empty folder, stopped as a visitor stops it."""
    out, err = folder / "out", folder / "err"
    with out.open("w") as told, err.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "demo"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=told,
            stderr=said,
        )
        try:
            wait_for(lambda: "Open http" in out.read_text(), 60, lambda: err.read_text())
            twins = dict(re.findall(r"(stripe|zendesk|github) (http://\S+)", err.read_text()))
            found = re.search(r"http://\S+", out.read_text())
            assert found
            yield Demo(found.group(), twins)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)
