"""Where is the end of the audit chain kept besides the store, so that a shortened or replaced store is noticed?

Once a day in the log, among the store's own marks, and as a line of the file that BILLING_DESK_AUDIT_HEADS names.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from integrations.store import audit, marks
from integrations.store.audit import Head
from zendesk.desk import Desk

log = logging.getLogger(__name__)
MARK = "audit_head"
_TAIL_BYTES = 4096


def keep(desk: Desk) -> None:
    """Tell today's end of the chain. Raises OSError when the file cannot be written: the task is tried again."""
    now = desk.now()
    with desk.engine.begin() as connection:
        end = audit.head(connection)
        if end is None:
            return
        marks.write(connection, MARK, end.words, now)
    log.info("audit_head", extra={"count": end.number, "digest": end.words})
    if desk.settings.audit_heads_path:
        line = f"{now.isoformat(timespec='seconds')} {end.words}\n"
        handle = os.open(desk.settings.audit_heads_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(line)


def kept(desk: Desk) -> list[Head]:
    """The newest head of each place that can be read back. Raises ValueError for a line that is no head."""
    with desk.engine.connect() as connection:
        remembered = marks.read(connection, MARK)
    words = [remembered] if remembered else []
    path = Path(desk.settings.audit_heads_path)
    if desk.settings.audit_heads_path and path.is_file():
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode("ascii", errors="replace").split("\n")
        whole = [line for line in lines[:-1] if line.strip()]  # a line without its end was cut off by a crash
        words += [line.rpartition(" ")[2] for line in whole[-1:]]
    return [Head.of(one) for one in words]
