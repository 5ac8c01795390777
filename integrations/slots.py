"""Which worker is alive? A held lock is the sign of life, and its name is the engine's executor id.

SQLite: a file lock beside the database (one machine by design). PostgreSQL: an advisory lock on a connection of its
own. The kernel or the server frees it when the process dies; design/engine.md section 4.3 has the measurements.
"""

from __future__ import annotations

import fcntl
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import psycopg

_SPACE = 7411  # our half of PostgreSQL's two-part advisory lock number
SLOTS = 256
_HELD: list[IO[str]] = []  # a file that is forgotten is closed, and its lock with it


class SlotLost(Exception):
    """Another process holds the slot that was ours."""


class Slot:
    """One of `slot-0` … `slot-255`, taken for the life of the process."""

    def __init__(self, url: str, state: Path) -> None:
        self._url, self._state = url, state
        self._file: IO[str] | None = None
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None
        self._free_before: set[str] = set()
        self.name = ""
        self.born = 0  # milliseconds since the epoch

    @property
    def _sqlite(self) -> bool:
        return self._url.startswith("sqlite")

    def claim(self) -> str:
        """Take the first free slot. A replacement so takes a dead worker's slot and its runs."""
        self.born = int(time.time() * 1000)
        if self._sqlite:
            self._state.mkdir(parents=True, exist_ok=True)
        else:
            self._connection = self._connect()
        for number in range(SLOTS):
            name = f"slot-{number}"
            if self._take(name):
                self.name = name
                return name
        raise RuntimeError("no free executor slot")

    def held(self) -> bool:
        """Whether the slot is ours. False while the database is away. Raises SlotLost when somebody else has it."""
        if self._connection is None:
            return True
        try:
            self._connection.execute("select 1")
            return True
        except psycopg.Error:
            pass
        try:
            self._connection = self._connect()
            taken = self._take(self.name)
        except psycopg.Error:
            return False
        if not taken:
            raise SlotLost
        return True

    def dead(self, names: Iterable[str]) -> set[str]:
        """Those of `names` whose lock was free now and the last time: one look may catch a restart half-way."""
        free = {name for name in names if self._is_free(name)}
        twice, self._free_before = free & self._free_before, free
        return twice

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._connection is not None:
            self._connection.close()

    def _take(self, name: str) -> bool:
        if self._connection is not None:
            return _lock(self._connection, name)
        handle = self._lock_file(name)
        if handle is not None:
            self._file = handle
        return handle is not None

    def _is_free(self, name: str) -> bool:
        if not self._sqlite:
            with self._connect() as connection:
                return _lock(connection, name)
        handle = self._lock_file(name)
        if handle is not None:
            handle.close()
        return handle is not None

    def _lock_file(self, name: str) -> IO[str] | None:
        handle = (self._state / f"{name}.lock").open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            return None
        return handle

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            self._url, autocommit=True, connect_timeout=5, keepalives_idle=10, keepalives_interval=5, keepalives_count=3
        )


def folder(url: str) -> Path:
    """Where the locks of live workers are: beside the database. With PostgreSQL they need no folder."""
    path = Path(url.removeprefix("sqlite:///"))
    return path.with_name(path.name + ".slots") if url.startswith("sqlite") else Path(".")


def alone(url: str) -> bool:
    """Take the SQLite file for this process, for as long as it lives; False when another process has it.

    Counting live slots first would let two in that start at the same instant.
    """
    path = folder(url)
    path.mkdir(parents=True, exist_ok=True)
    handle = (path / "serve.lock").open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return False
    _HELD.append(handle)
    return True


def live(url: str) -> int:
    """How many workers hold a slot now. Raises psycopg.Error, OSError."""
    if not url.startswith("sqlite"):
        statement = (
            "select count(*) from pg_locks where locktype = 'advisory' and granted and classid = %s"
            " and database = (select oid from pg_database where datname = current_database())"
        )
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
            row = connection.execute(statement, (_SPACE,)).fetchone()
        return int(str(row[0])) if row else 0
    return sum(_held(path) for path in folder(url).glob("slot-*.lock"))


def _held(path: Path) -> bool:
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _lock(connection: psycopg.Connection[tuple[object, ...]], name: str) -> bool:
    number = zlib.crc32(f"billing-desk:{name}".encode()) - 2**31
    row = connection.execute("select pg_try_advisory_lock(%s, %s)", (_SPACE, number)).fetchone()
    return bool(row and row[0])
