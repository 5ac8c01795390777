"""How do tests start, kill and restart the real processes quickly? A parent that imported everything forks them.

Run as `python -m testkit.nursery`: each line on stdin is an `Order`; the child runs the command line with it, and its
pid is printed. The fork happens before any thread or connection exists. One parent serves all tests of a worker.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, TypedDict

ROOT = Path(__file__).resolve().parents[3]


class Order(TypedDict):
    """`environment` is all there is. `code`: the file that gets the exit code."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    stdin: str
    stdout: str
    stderr: str
    code: str


def main() -> None:
    import app  # everything heavy is imported once, here
    from billing.evidence import Requester, TicketText
    from billing.reading import read_ticket

    read_ticket(TicketText(subject="", body="Please refund one of the two charges."), Requester(), None)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        order: Order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _become(order, app)
        print(pid, flush=True)


def _become(order: Order, app: Any) -> None:
    os.dup2(os.open(order["stdin"], os.O_RDONLY), 0)
    for number, stream in ((1, order["stdout"]), (2, order["stderr"])):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv = ["billing-desk", *order["arguments"]]
    try:
        app.main()
    finally:
        ended = getattr(sys.exception(), "code", 1) or 0
        sys.stdout.flush()
        sys.stderr.flush()
        if order["code"]:
            Path(order["code"]).write_text(str(ended), encoding="utf-8")
        os._exit(ended)


class _Parent:
    """The forking process."""

    def __init__(self) -> None:
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "testkit.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )
        self._lock = threading.Lock()
        atexit.register(self._end)

    def fork(self, order: Order) -> int:
        assert self._process.stdin
        assert self._process.stdout
        with self._lock:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())

    def _end(self) -> None:
        self._process.kill()
        with self._process:  # closes the pipes and waits
            pass


_parent = functools.cache(_Parent)


class Nursery:
    """Starts children of the forking parent; use as a context manager, which leaves none alive."""

    def __init__(self) -> None:
        self.pids: list[int] = []

    def start(self, arguments: list[str], environment: dict[str, str], log: Path) -> int:
        """A process that goes on by itself, in this one's folder and with these variables beside this one's."""
        order = Order(
            arguments=arguments, environment={**os.environ, **environment}, folder=str(ROOT), stdin=os.devnull,
            stdout=str(log), stderr=str(log), code="",
        )  # fmt: skip
        pid = _parent().fork(order)
        self.pids.append(pid)
        return pid

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self.pids:
            kill(pid)


def run_to_end(
    arguments: list[str], environment: dict[str, str], *, folder: Path = ROOT, text: str = "", seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """One command to its end. `environment` is all it has; `text` is its stdin."""
    with tempfile.TemporaryDirectory() as place:
        files = {name: Path(place) / name for name in ("stdin", "stdout", "stderr", "code")}
        for name in ("stdin", "stdout", "stderr"):
            files[name].write_text(text if name == "stdin" else "", encoding="utf-8")
        paths = {name: str(path) for name, path in files.items()}
        order: Any = {"arguments": arguments, "environment": environment, "folder": str(folder), **paths}
        pid, end = _parent().fork(order), time.monotonic() + seconds
        while alive(pid):
            if time.monotonic() > end:
                kill(pid)
                raise TimeoutError(f"billing-desk {' '.join(arguments)} did not end in {seconds} s")
            time.sleep(0.005)
        code = int(files["code"].read_text(encoding="utf-8"))
        return subprocess.CompletedProcess(
            arguments, code, files["stdout"].read_text(encoding="utf-8"), files["stderr"].read_text(encoding="utf-8")
        )


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
