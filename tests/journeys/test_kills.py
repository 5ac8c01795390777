"""Does each approved step take effect exactly once when processes die at any moment and answers are lost?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.ledgers import check_once
from testkit.rig import Rig, rigged
from testkit.storm import Crowd, lose_answers, storms
from testkit.worlds import duplicate, plan_of

MANY = 150
# Vendors that grant much: the test is about crashes, not about our own patience with small accounts.
POLICY = """
[refunds]
hold_seconds = 0
per_agent_per_day = {usd = 100000000}
[stripe]
reads_per_second = 300
writes_per_second = 100
"""


@pytest.fixture
def wide_rig(tmp_path: Path, store_url: str) -> Iterator[Rig]:
    """A rig whose agent may approve any number of refunds, at vendors that grant many requests."""
    with rigged(tmp_path, store_url, policy=POLICY) as made:
        made.zendesk.account_limit = 1_000_000
        yield made


@pytest.mark.long
@pytest.mark.timeout(300)
def test_150_approvals_take_effect_once_while_processes_are_killed_and_answers_are_lost(wide_rig: Rig) -> None:
    rig, began, kills = wide_rig, time.monotonic(), 0
    price = plan_of(rig)
    seeds = [duplicate(rig, price, number) for number in range(MANY)]
    tickets = [seed.ticket for seed in seeds]
    crowd = Crowd(rig)
    lose_answers(rig)
    with storms(rig, seed=7, seconds=15) as raging:
        crowd.deliver_all(tickets)
        crowd.wait_for_cards(10, at_most=15)
    kills += sum(one.kills for one in raging)
    crowd.wait_for_cards(MANY)
    enriched = time.monotonic()
    rig.kill_all()
    with storms(rig, seed=8, seconds=40) as raging:
        crowd.approve_all(tickets)
        check_once(rig, seeds, crowd)
    kills += sum(one.kills for one in raging)
    lost = {twin.service: sum(fault.hits for fault in twin.faults.armed) for twin in rig.twins}
    print(f"\n{kills} kills, requests {crowd.tries}, lost answers {lost}, plans that changed {crowd.changed}")
    print(f"enriched after {enriched - began:.1f} s, all done after {time.monotonic() - began:.1f} s")
    assert kills >= 40
    assert all(lost.values())
