"""Which request or job is this thread working for? One name that logs, error reports and upstream calls carry."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TypeVar

_R = TypeVar("_R")
_name: ContextVar[str] = ContextVar("working_for", default="")


def begin(name: str) -> None:
    """From here on this thread works for `name`: a request's id, or a job's queue and argument."""
    _name.set(name)


def current() -> str:
    """The name, or empty outside of requests and jobs."""
    return _name.get()


@contextlib.contextmanager
def working_for(name: str) -> Iterator[None]:
    token = _name.set(name)
    try:
        yield
    finally:
        _name.reset(token)


def reference(name: str | None = None) -> str:
    """The short code that agents read out, like 7F3K-Q2; found in logs and error reports. Empty without a name."""
    of = current() if name is None else name
    if not of:
        return ""
    code = base64.b32encode(hashlib.sha256(of.encode()).digest()).decode()[:6]
    return f"{code[:4]}-{code[4:]}"


def job(queue: str, call: Callable[[str], _R]) -> Callable[[str], _R]:
    """The same handler of a queue, working for `queue:argument`."""

    def run(argument: str) -> _R:
        with working_for(f"{queue}:{argument}"):
            return call(argument)

    return run
