"""How do tests kill processes again and again, and what does a client that never gives up see meanwhile?"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import requests
import sqlalchemy as sa

from testkit.nursery import alive, kill
from testkit.rig import WEBHOOK_SECRET, Rig, wait_for

SHORTEST, LONGEST = 0.25, 0.7  # seconds of life, counted from the first answer
CLIENTS = 2  # few, so that a click has a chance within the short life of a process
PATIENCE = 90.0
LOST = 0.15


class Storm:
    """Starts a process, kills it a moment after it answers, starts it again; the last one stays alive."""

    def __init__(self, start: Callable[[], int], answers: Callable[[], bool], seed: int) -> None:
        self._start, self._answers = start, answers
        self._random = random.Random(seed)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._rage, daemon=True)
        self.kills = 0
        self.births = 0.0  # seconds from fork to first answer, all together

    def begin(self) -> None:
        self._thread.start()

    def calm(self) -> None:
        """No more kills."""
        self._over.set()

    def end(self) -> None:
        """No more kills; returns when the process that stays has answered."""
        self.calm()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _rage(self) -> None:
        while True:
            began = time.monotonic()
            pid = self._start()
            wait_for(self._answers, 60, "the process does not answer")
            self.births += time.monotonic() - began
            if self._over.wait(self._random.uniform(SHORTEST, LONGEST)):
                return
            kill(pid)
            wait_for(partial(_gone, pid), 10, "SIGKILL did not end the process")
            self.kills += 1


def _gone(pid: int) -> bool:
    return not alive(pid)


def _calm(raging: list[Storm]) -> None:
    for one in raging:
        one.calm()


@contextmanager
def storms(rig: Rig, seed: int, seconds: float) -> Iterator[list[Storm]]:
    """Web processes, and on PostgreSQL workers too, die again and again for so long; then one of each lives on."""
    raging = [Storm(rig.start_web, lambda: _answers(rig), seed)]
    if not rig.database_url.startswith("sqlite"):
        (rig.folder / "worker.log").touch()
        raging.append(_worker_storm(rig, seed + 1))
    calm = threading.Timer(seconds, partial(_calm, raging))
    calm.start()
    for one in raging:
        one.begin()
    try:
        yield raging
    finally:
        calm.cancel()
        for one in raging:
            one.end()


def _worker_storm(rig: Rig, seed: int) -> Storm:
    log, seen = rig.folder / "worker.log", [0]

    def start() -> int:
        seen[0] = log.read_text(encoding="utf-8").count("worker is running")
        return rig.start_worker()

    return Storm(start, lambda: log.read_text(encoding="utf-8").count("worker is running") > seen[0], seed)


def lose_answers(rig: Rig, share: float = LOST) -> None:
    """So many write answers of each vendor are lost after the write took effect."""
    rig.stripe.faults.probability("reset_after", share, seed=1, method="POST")
    rig.zendesk.faults.probability("reset_after", share, seed=2, method="PUT", path="/api/v2/tickets/")
    for number, method in enumerate(("POST", "PATCH")):
        rig.github.faults.probability("reset_after", share, seed=3 + number, method=method, path="/repos/")


@dataclass
class Crowd:
    """One stubborn client for each ticket, a few at a time; `tries` counts requests, `approved` maps ticket to id."""

    rig: Rig
    token: str = ""
    patience: float = PATIENCE
    tries: dict[str, int] = field(default_factory=lambda: {"webhook": 0, "card": 0, "approval": 0})
    accepted: dict[int, float] = field(default_factory=dict)
    approved: dict[int, str] = field(default_factory=dict)
    changed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def deliver_all(self, tickets: list[int]) -> None:
        """Deliver every ticket's webhook until it was taken."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(self.deliver, tickets))

    def wait_for_cards(self, number: int, at_most: float = PATIENCE) -> None:
        """Until so many tickets have a card with a plan, or the time is over."""
        end = time.monotonic() + at_most
        while time.monotonic() < end and len(self._stored_cards()) < number:
            time.sleep(0.2)

    def approve_all(self, tickets: list[int]) -> None:
        """Approve every ticket's plan as its card comes."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            self.token = self._launched()
            approving = [pool.submit(self.approve, ticket) for ticket in self._as_cards_come(tickets)]
            for one in approving:
                one.result()

    def _as_cards_come(self, tickets: list[int]) -> Iterator[int]:
        """The tickets in the order in which their cards are stored: agents do not stare at empty cards."""
        left, end = set(tickets), time.monotonic() + self.patience
        while left:
            ready = left & self._stored_cards()
            yield from sorted(ready)
            left -= ready
            assert time.monotonic() < end, f"no card after {self.patience} s for {sorted(left)}"
            time.sleep(0.1)

    def _stored_cards(self) -> set[int]:
        engine = sa.create_engine(self.rig.database_url.replace("postgresql://", "postgresql+psycopg://", 1))
        stored = sa.text("select ticket_id from card where plan is not null and state in ('ready', 'applying')")
        try:
            with engine.connect() as connection:
                return set(connection.execute(stored).scalars())
        except sa.exc.OperationalError:
            return set()  # the database is down right now
        finally:
            engine.dispose()

    def deliver(self, ticket: int) -> None:
        """Deliver as Zendesk does: the very same invocation again until it was taken."""
        url = self.rig.url + "/webhooks/zendesk"
        sent = self.rig.zendesk.deliver_webhook(ticket, url, secret=WEBHOOK_SECRET)
        end = time.monotonic() + self.patience
        self._count("webhook")
        while sent.status not in {200, 202}:
            assert time.monotonic() < end, f"ticket {ticket} was not taken: {sent.status}"
            time.sleep(0.05)
            self._count("webhook")
            self.rig.zendesk.redeliver(sent)
        self.accepted[ticket] = time.monotonic()

    def approve(self, ticket: int) -> None:
        """Wait for the card and approve it until there is an approval; a lost answer is asked for again."""
        end = time.monotonic() + self.patience
        card: dict[str, Any] | None = None
        while time.monotonic() < end:
            if card is None:
                card = self._card(ticket)
            if card is None:
                time.sleep(0.15)
                continue
            self._count("approval")
            answer = self.rig.approve(card, self.token)
            if answer.status_code == 202:
                self.approved[ticket] = answer.json()["approval_id"]
                return
            if answer.status_code in {0, 500, 502, 503}:
                time.sleep(0.1)
                continue
            code = answer.json()["error"]["code"]
            assert code == "plan_changed", f"{code}: {answer.text}"
            self.changed += 1
            card = None
        raise AssertionError(f"ticket {ticket} was not approved in {self.patience} s; card: {card}")

    def _card(self, ticket: int) -> dict[str, Any] | None:
        self._count("card")
        answer = self.rig.get(f"/api/tickets/{ticket}/card", token=self.token)
        if answer.status_code != 200:
            return None
        card: dict[str, Any] = answer.json()
        return card if card.get("plan") and card["plan"]["steps"] else None

    def _launched(self) -> str:
        end = time.monotonic() + self.patience
        while True:
            try:
                return self.rig.launch()
            except (requests.RequestException, AssertionError):
                assert time.monotonic() < end
                time.sleep(0.1)

    def _count(self, what: str) -> None:
        with self.lock:
            self.tries[what] += 1


def _answers(rig: Rig) -> bool:
    return rig.get("/healthz", token=None).status_code == 200
