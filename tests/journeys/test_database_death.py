"""Do deliveries and approvals survive a PostgreSQL that crashes under running processes?"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from testkit.nursery import alive
from testkit.postgres import PostgresServer
from testkit.rig import WEBHOOK_SECRET, Rig, rigged, wait_for
from testkit.storm import Crowd
from testkit.worlds import duplicate, plan_of

DOWN_SECONDS = 4.0
APPROVALS = 6


@pytest.fixture
def mortal_rig(tmp_path: Path, own_postgres: PostgresServer) -> Iterator[Rig]:
    """A rig on a server of its own."""
    with rigged(tmp_path, own_postgres.url()) as made:
        made.zendesk.account_limit = 1_000_000
        yield made


@pytest.mark.timeout(240)
def test_nothing_accepted_is_lost_and_nothing_runs_twice_when_postgresql_dies_for_four_seconds(
    mortal_rig: Rig, own_postgres: PostgresServer
) -> None:
    rig, price = mortal_rig, plan_of(mortal_rig)
    approving = [duplicate(rig, price, number) for number in range(APPROVALS)]
    arriving = [duplicate(rig, price, number) for number in range(APPROVALS, APPROVALS + 10)]
    rig.start()
    before = {rig.web, *rig.workers}
    crowd = Crowd(rig, token=rig.launch())
    crowd.deliver_all([seed.ticket for seed in approving])
    crowd.wait_for_cards(APPROVALS)
    for seed in approving:
        crowd.approve(seed.ticket)
    own_postgres.stop("immediate")
    down = threading.Timer(DOWN_SECONDS, own_postgres.start)
    down.start()
    answers = [deliver(rig, seed.ticket) for seed in arriving]
    while down.is_alive():
        answers.append(deliver(rig, arriving[0].ticket))
        down.join(0.2)
    refused = [(answer, seconds) for answer, seconds in answers if answer.status_code == 503]
    assert refused, "the database was back before anything was delivered"
    for answer, seconds in refused:
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json()["error"]["code"] == "store_unavailable"
        assert seconds < 8
    down.join()
    assert rig.get("/healthz", token=None).status_code == 200
    for seed in arriving:
        crowd.deliver(seed.ticket)
    wait_for(lambda: rig.get("/readyz", token=None).status_code == 200, 20, "not ready after the database came back")
    for seed in arriving:
        assert rig.card(seed.ticket, crowd.token, 60)["plan"]["steps"]
    for approval_id in crowd.approved.values():
        assert rig.finished(approval_id, crowd.token, 90)["state"] == "done"
    assert sorted(refund["charge"] for refund in rig.stripe.refunds()) == sorted(seed.charge for seed in approving)
    assert {rig.web, *rig.workers} == before
    assert all(alive(pid) for pid in before)
    verified = rig.cli("audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    print(f"\n{len(refused)} deliveries refused, the slowest after {max(seconds for _, seconds in refused):.1f} s")


def deliver(rig: Rig, ticket_id: int) -> tuple[requests.Response, float]:
    """The raw answer to a delivery, and how long it took."""
    made = rig.zendesk.deliver_webhook(ticket_id, "http://127.0.0.1:9/", secret=WEBHOOK_SECRET)
    began = time.monotonic()
    answer = requests.post(rig.url + "/webhooks/zendesk", data=made.body, headers=made.headers, timeout=30)
    return answer, time.monotonic() - began
