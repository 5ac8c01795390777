"""Does the product keep its promises through hundreds of crashes? `make chaos`: minutes, never in `make test`.

Sizes come from the environment: BILLING_DESK_KILLS (300), BILLING_DESK_DELIVERIES (2000), BILLING_DESK_APPROVALS (100).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from testkit.chaos import POLICY, Toll, crash_the_database, kill_again_and_again
from testkit.postgres import PostgresServer
from testkit.rig import rigged

KILLS, DELIVERIES, APPROVALS = (
    int(os.environ.get(f"BILLING_DESK_{name}", standard))
    for name, standard in (("KILLS", "300"), ("DELIVERIES", "2000"), ("APPROVALS", "100"))
)


def told(what: str, toll: Toll) -> None:
    lost = f"lost answers {toll.lost}"
    print(
        f"\n{what}: {toll.blows} crashes, {toll.effects} effects, {lost}, {toll.seconds:.0f} s, none twice, none lost"
    )


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_approvals_take_effect_once_through_hundreds_of_kills(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    url = str(request.getfixturevalue("postgres_database")) if store == "postgresql" else None
    with rigged(tmp_path, url, policy=POLICY) as rig:
        rig.zendesk.account_limit = 1_000_000
        toll = kill_again_and_again(rig, kills=KILLS, batch=60)
        assert toll.blows >= KILLS
        told(f"kills on {store}", toll)


def test_nothing_is_lost_or_done_twice_while_postgresql_crashes_again_and_again(
    tmp_path: Path, own_postgres: PostgresServer
) -> None:
    with rigged(tmp_path, own_postgres.url(), policy=POLICY) as rig:
        rig.zendesk.account_limit = 1_000_000
        told("PostgreSQL", crash_the_database(rig, own_postgres, deliveries=DELIVERIES, approvals=APPROVALS))
