"""How does the twin tell a listener about an event? Signed as Stripe signs, in a thread, best effort.

https://docs.stripe.com/webhooks#verify-manually
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

WAIT_SECONDS = 5.0


@dataclass(slots=True)
class Webhooks:
    """Where events go; no url, no delivery. `answers` holds the listener's statuses (None: no answer)."""

    url: str | None = None
    secret: str = "whsec_twin"
    answers: list[int | None] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def deliver(self, event: dict[str, Any], now: int) -> None:
        if self.url is None:
            return
        body = json.dumps(event).encode()
        thread = threading.Thread(target=self._post, args=(self.url, body, self.signature(body, now)), daemon=True)
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
