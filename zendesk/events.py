"""How does one follow an approval without asking again and again? A short stream of events, one for each change.

Asking again is the main way (a stream holds a web thread), so there are few streams, and each one ends by itself.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flask import Response, g, request
from sqlalchemy.exc import SQLAlchemyError

from integrations.store.approvals import ENDED
from zendesk.answers import said

MEDIA_TYPE = "text/event-stream"
MOST_STREAMS = 4
LONGEST_SECONDS = 25.0
POLL_SECONDS = 0.5
Reader = Callable[[], Mapping[str, Any] | None]


def wants_events() -> bool:
    return request.accept_mimetypes.best == MEDIA_TYPE


class Streams:
    """The streams of this process. `sleep` and `clock` (monotonic seconds) are for tests."""

    def __init__(
        self, most: int = MOST_STREAMS, *, sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._places = threading.BoundedSemaphore(most)
        self._sleep, self._clock = sleep, clock

    def answer(self, read: Reader) -> Response:
        """The stream of what `read` gives, or 503 when all places are taken."""
        if not self._places.acquire(blocking=False):
            return _busy()
        leave = _once(self._places.release)
        answer = Response(self._events(read, leave), mimetype=MEDIA_TYPE)
        answer.call_on_close(leave)  # a stream that was never begun
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["X-Accel-Buffering"] = "no"
        return answer

    def _events(self, read: Reader, leave: Callable[[], None]) -> Iterator[str]:
        try:
            yield from events(read, sleep=self._sleep, clock=self._clock)
        finally:
            leave()


def events(read: Reader, *, sleep: Callable[[float], None], clock: Callable[[], float]) -> Iterator[str]:
    """One event for each change, until the approval has ended, is gone, the store is away or the time is over."""
    ends, last, number = clock() + LONGEST_SECONDS, "", 0
    while True:
        try:
            document = read()
        except SQLAlchemyError:
            return  # the client asks again, and then hears why
        if document is None:
            return
        text = json.dumps(document, default=str, separators=(",", ":"))
        if text != last:
            last, number = text, number + 1
            yield f"id: {number}\nevent: progress\ndata: {text}\n\n"
        if document.get("state") in ENDED or clock() + POLL_SECONDS > ends:
            return
        sleep(POLL_SECONDS)


def _once(call: Callable[[], None]) -> Callable[[], None]:
    lock, waiting = threading.Lock(), [call]

    def run() -> None:
        with lock:
            due = [waiting.pop()] if waiting else []
        for one in due:
            one()

    return run


def _busy() -> Response:
    message = "Too many pages follow a run at once. Ask for the state without a stream."
    envelope = {"code": "too_many_streams", "message": message, "request_id": g.get("request_id", "")}
    answer = said({"error": envelope}, 503)
    answer.headers["Retry-After"] = "2"
    return answer
