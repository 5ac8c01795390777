"""Does each approved step take effect exactly once when processes die at any moment and answers are lost?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from testkit.ledgers import check_once
from testkit.rig import Rig, rigged
from testkit.storm import Crowd, lose_answers, storms
from testkit.worlds import duplicate, plan_of

MANY = 150
POLICY = "[refunds]\nhold_seconds = 0\nper_agent_per_day = {usd = 100000000}\n"


@pytest.fixture
def wide_rig(tmp_path: Path, store_url: str) -> Iterator[Rig]:
    """A rig whose agent may approve any number of refunds."""
    with rigged(tmp_path, store_url, policy=POLICY) as made:
        yield made


@pytest.mark.timeout(300)
def test_150_approvals_take_effect_once_while_processes_are_killed_and_answers_are_lost(wide_rig: Rig) -> None:
    rig, began = wide_rig, time.monotonic()
    price = plan_of(rig)
    seeds = [duplicate(rig, price, number) for number in range(MANY)]
    crowd = Crowd(rig)
    lose_answers(rig)
    seeded = time.monotonic()
    with storms(rig, seed=7) as raging:
        crowd.serve([seed.ticket for seed in seeds])
        stormed = time.monotonic()
    check_once(rig, seeds, crowd)
    ended = time.monotonic()
    kills = {"web": raging[0].kills, "worker": raging[1].kills if len(raging) > 1 else 0}
    print(f"\nseed {seeded - began:.1f} s, storm {stormed - seeded:.1f} s, settled {ended - stormed:.1f} s")
    print(f"kills {kills}, client requests {crowd.tries}, plan_changed {crowd.changed}")
    print("calls", Counter(f"{t.service} {e.method}" for t in (rig.stripe, rig.zendesk, rig.github) for e in t.wire))
    print("lost answers", {t.service: sum(f.hits for f in t.faults.armed) for t in (rig.stripe, rig.zendesk, rig.github)})
    assert raging[0].kills > 10
