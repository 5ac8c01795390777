"""How do tests let the product live through hours of bad luck in minutes? Kills and database crashes, counted."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from testkit.ledgers import check_once, notes_of
from testkit.nursery import alive
from testkit.postgres import PostgresServer
from testkit.rig import Rig, wait_for
from testkit.storm import Crowd, lose_answers, storms
from testkit.worlds import Duplicate, duplicate, plan_of

# Vendors that grant much: these runs are about crashes, not about our own patience with small accounts.
POLICY = """
[refunds]
hold_seconds = 0
per_agent_per_day = {usd = 100000000}
[stripe]
reads_per_second = 300
writes_per_second = 100
"""


@dataclass(frozen=True, slots=True)
class Toll:
    """What a run cost: SIGKILLs or restarts, approvals that took effect once, seconds, lost answers by vendor."""

    blows: int
    effects: int
    seconds: float
    lost: dict[str, int]


def kill_again_and_again(rig: Rig, *, kills: int, batch: int, seconds: float = 40.0) -> Toll:
    """Batches of approvals under SIGKILLs and lost answers until there were so many kills; then everything is checked.

    The reading of a batch meets kills for 15 seconds, its approvals for up to `seconds`.
    """
    began, blows, seeds = time.monotonic(), 0, list[Duplicate]()
    price, crowd = plan_of(rig), Crowd(rig, patience=300)
    lose_answers(rig)
    while blows < kills:
        if seeds:
            rig.kill_all()
        fresh = [duplicate(rig, price, len(seeds) + number) for number in range(batch)]
        tickets = [seed.ticket for seed in fresh]
        seeds += fresh
        with storms(rig, seed=blows + 7, seconds=15) as reading:
            crowd.deliver_all(tickets)
            crowd.wait_for_cards(10, at_most=15)
        crowd.wait_for_cards(batch)
        rig.kill_all()
        with storms(rig, seed=blows + 8, seconds=seconds) as applying:
            crowd.approve_all(tickets)
            for ticket in tickets:
                rig.finished(crowd.approved[ticket], crowd.token, 120)
        blows += sum(one.kills for one in (*reading, *applying))
        print(f"\n{blows} kills, {len(seeds)} approvals, {time.monotonic() - began:.0f} s, requests {crowd.tries}")
    check_once(rig, seeds, crowd)
    return Toll(blows, len(rig.stripe.refunds()), time.monotonic() - began, _lost(rig))


def crash_the_database(rig: Rig, server: PostgresServer, *, deliveries: int, approvals: int, seed: int = 5) -> Toll:
    """PostgreSQL crashes every 5 to 20 seconds while webhooks and approvals come; the same processes see it through."""
    began, price = time.monotonic(), plan_of(rig)
    seeds = [duplicate(rig, price, number) for number in range(approvals)]
    asker = rig.requester("curious@acme.example")["id"]
    others = [
        int(rig.zendesk.add_ticket("How to export", "How do I export my board as a file?", asker, deliver=False)["id"])
        for _ in range(approvals)
    ]
    rig.start()
    processes = {rig.web, *rig.workers}
    crowd = Crowd(rig, token=rig.launch(), patience=900)
    tickets = [one.ticket for one in seeds]
    rounds = [*tickets, *others] * max(1, deliveries // (2 * approvals))
    random.Random(seed).shuffle(rounds)
    with crashes(server, seed) as count, ThreadPoolExecutor(1) as beside:
        delivering = beside.submit(crowd.deliver_all, rounds)
        crowd.deliver_all(tickets)
        crowd.approve_all(tickets)
        delivering.result()
        delivered = time.monotonic() - began
        wait_for(lambda: sum(notes_of(rig, "enrich").values()) >= 2 * approvals, 900, "not every ticket was read")
        for approval in crowd.approved.values():
            rig.finished(approval, crowd.token, 300)
    wait_for(lambda: rig.get("/readyz", token=None).status_code == 200, 30, "not ready after the last crash")
    check_once(rig, seeds, crowd, seconds=600, others=others)
    assert {rig.web, *rig.workers} == processes
    assert all(alive(pid) for pid in processes), "a process had to be started again"
    print(f"\n{len(rounds) + approvals} deliveries in {crowd.tries['webhook']} requests, accepted in {delivered:.0f} s")
    return Toll(len(count), len(rig.stripe.refunds()), time.monotonic() - began, _lost(rig))


@contextmanager
def crashes(server: PostgresServer, seed: int) -> Iterator[list[float]]:
    """Immediate stop and start, again and again; the moments of the crashes. At the end the server runs."""
    over, when, chance = threading.Event(), list[float](), random.Random(seed)

    def rage() -> None:
        while not over.wait(chance.uniform(5, 20)):
            when.append(time.monotonic())
            server.stop("immediate")
            server.start()

    thread = threading.Thread(target=rage, daemon=True)
    thread.start()
    try:
        yield when
    finally:
        over.set()
        thread.join(90)
        assert server.running()


def _lost(rig: Rig) -> dict[str, int]:
    return {twin.service: sum(fault.hits for fault in twin.faults.armed) for twin in rig.twins}
