"""Does each approved step take effect exactly once when processes die at any moment and answers are lost?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.chaos import POLICY, kill_again_and_again
from testkit.rig import Rig, rigged

MANY = 150


@pytest.fixture
def wide_rig(tmp_path: Path, store_url: str) -> Iterator[Rig]:
    """A rig whose agent may approve any number of refunds, at vendors that grant many requests."""
    with rigged(tmp_path, store_url, policy=POLICY) as made:
        made.zendesk.account_limit = 1_000_000
        yield made


@pytest.mark.long
@pytest.mark.timeout(300)
def test_150_approvals_take_effect_once_while_processes_are_killed_and_answers_are_lost(wide_rig: Rig) -> None:
    toll = kill_again_and_again(wide_rig, kills=20, batch=MANY, seconds=25)
    print(f"\n{toll}")
    assert toll.effects >= MANY
    assert toll.lost["stripe"]
    assert toll.lost["zendesk"]  # GitHub gets one write for many tickets: often none of them is lost
