"""Do 500 tickets over 12 gaps, filed by two workers that lose answers and restart, end as exactly 12 issues?"""

from __future__ import annotations

import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from billing.gap import CATALOGUE
from billing.money import Money
from github_issues.ledger import ledger
from github_issues.pace import NotYet
from integrations.errors import OutsideError, RateLimited
from integrations.store.tables import gap_ticket
from testkit.filing_bench import WEB, Bench, bench

TICKETS, KINDS = 500, sorted(CATALOGUE)[:12]


class Crowd:
    """Two workers take tickets from one list; what fails goes back to its end, as the queue does it."""

    def __init__(self, desk: Bench) -> None:
        dice = random.Random(12)
        self.desk, self.lock = desk, threading.Lock()
        self.waiting = [
            (ticket, KINDS[ticket % 12] if ticket <= 12 else dice.choice(KINDS)) for ticket in range(1, TICKETS + 1)
        ]
        self.lost = 0

    def work(self) -> None:
        filing, done = self.desk.another(), 0
        while job := self._next():
            ticket, kind = job
            currency = ("usd", "eur", "jpy")[ticket % 3]
            seen = self.desk.occurrence(ticket, refunded={currency: 100 + ticket}, at_risk={"usd": ticket})
            try:
                filing.file(kind, seen, customer=f"cus_{ticket % 100}")
                done += 1
            except OutsideError as error:
                self._back(job, error)
            if done % 60 == 59:  # killed and started again: nothing is in its memory
                filing = self.desk.another()

    def _next(self) -> tuple[int, str] | None:
        with self.lock:
            return self.waiting.pop(0) if self.waiting else None

    def _back(self, job: tuple[int, str], error: OutsideError) -> None:
        with self.lock:
            self.waiting.append(job)
            self.lost += not isinstance(error, NotYet)
            asked = error.retry_after if isinstance(error, RateLimited) else None
            self.desk.clock.advance(timedelta(seconds=max(0.5, asked or 0.5)))


def test_five_hundred_tickets_over_twelve_gaps_are_exactly_twelve_issues(tmp_path: Path) -> None:
    with bench(tmp_path) as desk:
        desk.github.creations_per_minute = desk.github.creations_per_hour = None
        crowd = Crowd(desk)
        # The first writes are creations: their answers are lost in any case.
        desk.github.faults.add("reset_after", method="POST", path=f"/repos/{WEB}/issues", times=4)
        for method, share in (("POST", 0.2), ("PATCH", 0.05), ("GET", 0.01)):
            desk.github.faults.probability("reset_after", share, method=method, path=f"/repos/{WEB}/issues")
        with ThreadPoolExecutor(2) as pool:
            for worker in [pool.submit(crowd.work) for _ in range(2)]:
                worker.result()
        desk.github.faults.clear()
        for kind in KINDS:  # comments that are still unsaid
            desk.patiently(lambda kind=kind: desk.filing.catch_up(desk.row(kind).fingerprint))
        assert crowd.lost > 10
        issues = desk.issues()
        assert len(issues) == 12
        assert {label["name"] for one in issues for label in one["labels"] if label["name"].startswith("gap:")} == {
            f"gap:{kind}" for kind in KINDS
        }
        _agree(desk, issues)


def _agree(desk: Bench, issues: list[dict[str, object]]) -> None:
    """The figures in each block are those of the store; milestones were spoken of once each."""
    with desk.engine.connect() as connection:
        total = connection.execute(sa.select(sa.func.count()).select_from(gap_ticket)).scalar_one()
        rows = {row["issue"]["number"]: row for row in ledger(connection)}
    assert total == TICKETS
    for issue in issues:
        row, body = rows[issue["number"]], str(issue["body"])
        found = re.search(r"\| Cases \| \*\*(\d+)\*\*", body)
        assert found is not None
        assert int(found[1]) == row["tickets"]
        amounts = ", ".join(Money(amount, currency).plain() for currency, amount in row["refunded"].items())
        assert f"| Refunded | {amounts} in {row['tickets']} charges |" in body
        assert f"| Still at risk | {Money(row['at_risk']['usd'], 'usd').plain()} a month |" in body
        spoken = [one.partition("\n")[0] for one in desk.comments(int(str(issue["number"])))]
        assert len(spoken) == len(set(spoken)) <= 3
