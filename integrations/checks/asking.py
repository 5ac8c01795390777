"""How is one part asked without breaking or delaying the others? Bounded, in parallel, with the clocks noted."""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from statistics import median
from typing import Any

import requests

from integrations.checks.report import Ability, Check, State
from integrations.errors import OutsideError, RateLimited, Unauthorized, Unreachable
from integrations.http import CappedSession

CALL_SECONDS = 5.0
"""The longest that one upstream call may take."""


@dataclass(slots=True)
class Clocks:
    """How far our clock is from those of the upstreams, out of the `Date` of their answers."""

    now: Callable[[], datetime]
    seen: list[float] = field(default_factory=list)

    def listen(self, session: CappedSession) -> None:
        """Note the clock of each answer that comes through this session."""
        session.hooks["response"].append(self._note)

    def _note(self, response: requests.Response, **_: Any) -> None:
        try:
            then = email.utils.parsedate_to_datetime(response.headers.get("Date", ""))
        except ValueError:
            return
        if then.tzinfo is not None:
            self.seen.append((self.now() - then.astimezone(UTC)).total_seconds())

    def skew(self) -> float | None:
        """Seconds that our clock is ahead (behind: negative); None when nobody answered."""
        return median(list(self.seen)) if self.seen else None


Part = Callable[[], Sequence[Check]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """Some checks that are made one after the other. `stands_for`: what is said when they do not end in time."""

    ask: Part
    stands_for: Check


def gather(inquiries: Sequence[Inquiry], seconds: float) -> list[Check]:
    """All at once; a part that has not ended after `seconds`, or that broke, is one FAIL in its place."""
    answers: list[Sequence[Check] | None] = [None] * len(inquiries)
    ends = time.monotonic() + seconds

    def run(number: int, inquiry: Inquiry) -> None:
        try:
            answers[number] = inquiry.ask()
        except Exception as error:  # a slip of ours must not hide what the other checks found
            told = f"the check itself broke ({type(error).__name__})"
            answers[number] = [
                replace(inquiry.stands_for, evidence=told, fix="Report this as an issue of billing-desk.")
            ]

    # Daemons: a peer that hangs must not keep the command from ending.
    threads = [
        threading.Thread(target=run, args=(number, inquiry), daemon=True) for number, inquiry in enumerate(inquiries)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    found: list[Check] = []
    for inquiry, answer in zip(inquiries, answers, strict=True):
        found.extend([inquiry.stands_for] if answer is None else answer)
    return found


def late(group: str, name: str, seconds: float, ability: Ability = Ability.NONE) -> Check:
    """What stands in the place of a part that gave no answer."""
    return Check(
        group=group, name=name, state=State.FAIL, evidence=f"no answer within {seconds:.0f} s",
        fix="Run billing-desk doctor again; if it stays, look at that service's status page.", ability=ability,
    )  # fmt: skip


def failed(group: str, name: str, error: OutsideError, fix: str, ability: Ability = Ability.NONE) -> Check:
    """A FAIL whose evidence is how the upstream failed us; `fix` is for a definite no only."""
    if isinstance(error, Unreachable | RateLimited) or error.retryable or not fix:
        fix = "Check the address, the network and that service's status page, then run doctor again."
    return Check(group=group, name=name, state=State.FAIL, evidence=said(error), fix=fix, ability=ability)


def said(error: OutsideError) -> str:
    """The failure in a few words, free of bodies and keys."""
    if isinstance(error, Unreachable):
        return "did not answer" + (" in time" if error.timed_out else "")
    if isinstance(error, Unauthorized):
        return "the credentials were rejected"
    status = f" (status {error.status})" if error.status is not None else ""
    return f"{error.kind}{status}"
