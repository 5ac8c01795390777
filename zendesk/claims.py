"""Who sends this action right now? A claim is stored with the intent, and only its holder writes the outcome down.

Stripe's own keys make a second call harmless there; Zendesk knows none, so that a note or a reply waits for the claim
of another runner. A claim ends with its call, with its process, or, when nobody can tell, with its time.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta

from integrations.jobs import runner
from integrations.store.approvals import Action

LEASE = timedelta(seconds=60)  # longer than a call with all that it asks on the way
_live: set[str] = set()  # claims of calls that run in this process


@contextlib.contextmanager
def claim() -> Iterator[str]:
    """A new claim, alive until the block ends."""
    token = f"{runner()}/{secrets.token_hex(6)}"
    _live.add(token)
    try:
        yield token
    finally:
        _live.discard(token)


def seconds_left(action: Action, now: datetime) -> float:
    """How long somebody else's call may still run; 0 when there is none."""
    if action.claim is None or action.claimed_until is None or action.claimed_until <= now or _ended(action.claim):
        return 0.0
    return (action.claimed_until - now).total_seconds()


def _ended(token: str) -> bool:
    """Calls of this process are known; whoever held our slot before us is gone."""
    mine = runner()
    if token.startswith(f"{mine}/"):
        return token not in _live
    return token.partition("/")[0] == mine.partition("/")[0] != "none"
