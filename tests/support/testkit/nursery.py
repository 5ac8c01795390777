"""How do tests start, kill and restart the real processes quickly? A parent that imported everything forks them.

Run as `python -m testkit.nursery`: each line on stdin is `{"name", "arguments", "environment"}`; the child runs the
command line with them, and its pid is printed. The fork happens before any thread or connection exists.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any


def main() -> None:
    import app  # everything heavy is imported once, here
    from billing.evidence import Requester, TicketText
    from billing.reading import read_ticket

    read_ticket(TicketText(subject="", body="Please refund one of the two charges."), Requester(), None)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _become(order, app)
        print(pid, flush=True)


def _become(order: dict[str, Any], app: Any) -> None:
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(order["environment"])
    sys.argv = ["billing-desk", *order["arguments"]]
    try:
        app.main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(getattr(sys.exception(), "code", 1) or 0)


class Nursery:
    """Starts children of the forking parent; use as a context manager."""

    def __init__(self, root: Path) -> None:
        paths = os.pathsep.join([str(root), str(root / "tests" / "support")])
        self._parent = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "testkit.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )
        self._lock = threading.Lock()
        self.pids: list[int] = []

    def start(self, arguments: list[str], environment: dict[str, str], log: Path) -> int:
        order = {"arguments": arguments, "environment": environment, "log": str(log)}
        assert self._parent.stdin
        assert self._parent.stdout
        with self._lock:
            self._parent.stdin.write(json.dumps(order) + "\n")
            self._parent.stdin.flush()
            pid = int(self._parent.stdout.readline())
            self.pids.append(pid)
        return pid

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self.pids:
            kill(pid)
        self._parent.kill()
        with self._parent:  # closes the pipes and waits
            pass


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal; nothing happens when the process is gone."""
    if pid <= 0:
        return  # never started: 0 would mean the caller's own process group
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main()
