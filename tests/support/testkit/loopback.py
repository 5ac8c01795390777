"""Which connections may a test make? Only those that stay on this machine.

The guard stands on the methods of `socket.socket` and on the name look-ups. It cannot see what a C library (libpq) or a
child process does; those get their addresses from our fixtures, and Chromium has a rule of its own (chromium.py).
"""

import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")

_attempts: list[str] = []


class OutsideConnection(RuntimeError):
    """A test tried to leave the machine. Not an OSError, so that no client takes it for a network fault and retries."""


def install() -> None:
    """Puts the guard up for the rest of the process, and removes proxies, which would carry loopback traffic away."""
    for variable in PROXY_VARIABLES:
        os.environ.pop(variable, None)
    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, _guarded_method(getattr(socket.socket, name), _first_argument))
    socket.socket.sendto = _guarded_method(socket.socket.sendto, _last_argument)  # type: ignore[method-assign]  # replacing it is the point
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        setattr(socket, name, _guarded_lookup(getattr(socket, name)))


def take_attempts() -> list[str]:
    """The refused connections since the last call, also those whose exception somebody swallowed."""
    taken = _attempts[:]
    _attempts.clear()
    return taken


@contextmanager
def attempts_expected() -> Iterator[None]:
    """For the guard's own tests: what is refused inside does not fail the test."""
    before = take_attempts()
    try:
        yield
    finally:
        _attempts[:] = before


def _guarded_method(original: Callable[..., Any], pick_address: Callable[[tuple[Any, ...]], Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, *arguments: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _refuse_outside(pick_address(arguments)[0])
        return original(self, *arguments)

    return guarded


def _guarded_lookup(original: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(host: Any, *arguments: Any, **options: Any) -> Any:
        _refuse_outside(host)
        return original(host, *arguments, **options)

    return guarded


def _first_argument(arguments: tuple[Any, ...]) -> Any:
    return arguments[0]


def _last_argument(arguments: tuple[Any, ...]) -> Any:
    return arguments[-1]


def _refuse_outside(host: Any) -> None:
    name = host.decode() if isinstance(host, bytes | bytearray) else host
    if not _is_loopback(name):
        _attempts.append(str(name))
        raise OutsideConnection(f"a test tried to reach {name!r}, which is not this machine")


def _is_loopback(host: str | None) -> bool:
    # None and "" stand for this machine in getaddrinfo; the wildcard addresses are what a server binds to.
    if not host or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
