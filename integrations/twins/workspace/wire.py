"""What went over the wire, of all three services, as short lines without anybody's address?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

from integrations.twins.server import Entry, Twin
from integrations.twins.zendesk_delivery import Delivery
from integrations.twins.zendesk_twin import ZendeskTwin

LONGEST = 120
NAMES = {"stripe": "Stripe", "zendesk": "Zendesk", "github": "GitHub"}
_ADDRESS = re.compile(r"([A-Za-z0-9])[A-Za-z0-9._%+-]*@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)")
_OBJECT = re.compile(r"\b([a-z]{2,6}(?:_test|_sched)?)_[A-Za-z0-9]{8,}([A-Za-z0-9]{4})\b")
_DULL = re.compile(r"(expand(\[\d*\])?|limit|page\[size\]|per_page|include|sort)=")


class Wiretap:
    """All lines so far in the order they were seen; `epoch` grows when the record begins anew."""

    def __init__(self, twins: Sequence[Twin], zendesk: ZendeskTwin) -> None:
        self._twins, self._zendesk = twins, zendesk
        self.epoch = 0
        self._lines: list[dict[str, Any]] = []
        self._taken = {twin.service: 0 for twin in twins}
        self._tried: dict[str, int] = {}

    def forget(self) -> None:
        """To be called when the twins' own records have been cleared."""
        self.epoch += 1
        self._taken = dict.fromkeys(self._taken, 0)
        self._lines.clear()
        self._tried.clear()

    def after(self, number: int) -> list[dict[str, Any]]:
        """The lines with a higher number."""
        fresh: list[tuple[datetime, dict[str, Any]]] = []
        for twin in self._twins:
            fresh += self._entries(twin)
        for delivery in list(self._zendesk.deliveries):
            fresh += self._attempts(delivery)
        for at, line in sorted(fresh, key=lambda one: one[0]):
            self._lines.append({"number": len(self._lines) + 1, "at": at.astimezone(UTC).isoformat(), **line})
        return self._lines[number:]

    def _entries(self, twin: Twin) -> list[tuple[datetime, dict[str, Any]]]:
        with twin.lock:
            # By place, not by number: a slow request is recorded after younger ones. A shorter record was cleared.
            taken = self._taken[twin.service] if self._taken[twin.service] <= len(twin.wire) else 0
            entries, self._taken[twin.service] = twin.wire[taken:], len(twin.wire)
        return [(entry.at, _line(entry)) for entry in entries]

    def _attempts(self, delivery: Delivery) -> list[tuple[datetime, dict[str, Any]]]:
        known, tried = self._tried.get(delivery.invocation_id, 0), len(delivery.attempts)
        self._tried[delivery.invocation_id] = tried
        sent = datetime.fromisoformat(delivery.headers["x-zendesk-webhook-signature-timestamp"])
        path = "/" + delivery.url.split("/", 3)[-1]
        lines = []
        for number, attempt in enumerate(delivery.attempts[known:], start=known):
            line = {
                "service": "Zendesk",
                "method": "POST",
                "target": f"{path} (ticket {delivery.ticket_id})",
                "status": attempt.status,
                "effect": None,
                "fault": attempt.error,
                "incoming": True,
            }
            lines.append((sent if number == 0 else self._zendesk.now(), line))
        return lines


def _line(entry: Entry) -> dict[str, Any]:
    return {
        "service": NAMES.get(entry.service, entry.service),
        "method": entry.method,
        "target": shortened(entry.target),
        "status": entry.status,
        "effect": None if entry.effect is None else masked(entry.effect),
        "fault": entry.fault,
        "incoming": False,
    }


def masked(text: str) -> str:
    """Addresses keep their first letter and their domain, ids of objects their kind and last four characters."""
    return _OBJECT.sub(r"\1_…\2", _ADDRESS.sub(r"\1…@\2", text))


def shortened(target: str) -> str:
    """A request target as a person reads it: decoded, without page sizes and expansions, masked, not too long."""
    path, _, query = target.partition("?")
    kept = [part for part in query.split("&") if part and not _DULL.match(unquote_plus(part))]
    text = masked(unquote_plus("&".join(kept)))
    whole = masked(unquote_plus(path)) + (f"?{text}" if text else "")
    return whole if len(whole) <= LONGEST else whole[: LONGEST - 1] + "…"
