"""How does the twin tell a listener about an event? Signed as Stripe signs, in a thread, best effort.

https://docs.stripe.com/webhooks#verify-manually
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

WAIT_SECONDS = 5.0


@dataclass(slots=True)
class Webhooks:
    """Where events go; no url, no delivery. `answers` holds the listener's statuses (None: no answer).

    Stripe may deliver an event several times (`copies`) and in any order: with `holding`, body and signature of each
    are kept in `held`, for `release` to send in the order that it is given.
    """

    url: str | None = None
    secret: str = "whsec_twin"
    answers: list[int | None] = field(default_factory=list)
    copies: int = 1
    holding: bool = False
    held: list[tuple[bytes, str]] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def deliver(self, event: dict[str, Any], now: int) -> None:
        if self.url is None and not self.holding:
            return
        body = json.dumps(event).encode()
        sent = [(body, self.signature(body, now))] * self.copies
        if self.holding:
            self.held += sent
        else:
            self._send(sent)

    def release(self, order: Callable[[list[tuple[bytes, str]]], Iterable[tuple[bytes, str]]] = reversed) -> None:
        """Send what was held, by default the newest first."""
        sent, self.held = list(order(self.held)), []
        self._send(sent)

    def _send(self, sent: Iterable[tuple[bytes, str]]) -> None:
        if self.url is None:
            return
        for body, signature in sent:
            thread = threading.Thread(target=self._post, args=(self.url, body, signature), daemon=True)
            self.threads.append(thread)
            thread.start()

    def signature(self, body: bytes, now: int) -> str:
        digest = hmac.new(self.secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
        return f"t={now},v1={digest}"

    def join(self) -> None:
        """Wait until everything sent so far has been answered."""
        for thread in self.threads:
            thread.join(WAIT_SECONDS)
        self.threads.clear()

    def _post(self, url: str, body: bytes, signature: str) -> None:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=WAIT_SECONDS)
        try:
            headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": signature}
            connection.request("POST", parts.path or "/", body, headers)
            answer = connection.getresponse()
            answer.read()
            self.answers.append(answer.status)
        except OSError:
            self.answers.append(None)
        finally:
            connection.close()
