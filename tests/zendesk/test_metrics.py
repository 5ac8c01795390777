"""Does Prometheus get figures that are true, well formed, and name nobody?"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from integrations import metrics
from integrations.http import Observation
from integrations.metrics import FAMILIES, MOST_SERIES, Registry, Sample, exposition, render
from integrations.store import database
from integrations.store.tables import card, correction
from integrations.twins.zendesk_delivery import sign
from testkit.indoors import NOBODY, Indoors, indoors
from testkit.rig import WEBHOOK_SECRET
from testkit.worlds import Duplicate, duplicate
from zendesk import opening
from zendesk.applying import Applying
from zendesk.gaps import GapFiling

LINE = re.compile(r'(billing_desk_[a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? (-?[0-9.e+-]+|\+Inf)')
NAMES = {
    "cards_total", "card_seconds", "upstream_seconds", "runs_total", "money_moved_minor", "holds_stopped_total",
    "overrides_total", "issues_total", "oldest_job_seconds", "parked_steps", "webhook_rejected_total",
    "stripe_reads_spent", "stripe_reads_granted", "worker_age_seconds",
}  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path, policy="[refunds]\nhold_seconds = 0\n") as made:
        yield made


@pytest.fixture
def seeded(desk: Indoors) -> Duplicate:
    rig: Any = desk
    desk.world.portal_configuration()
    return duplicate(rig, desk.world.price(desk.world.product("Pro"), 2900))


def read(text: str) -> dict[str, float]:
    """Every series by its name without the prefix, after every line's form was checked."""
    found: dict[str, float] = {}
    assert text.endswith("\n")
    for line in text.rstrip("\n").split("\n"):
        if line.startswith("#"):
            assert re.fullmatch(r"# (HELP|TYPE) billing_desk_[a-z_]+ .+", line), line
            continue
        match = LINE.fullmatch(line)
        assert match, line
        name = match[1].removeprefix("billing_desk_") + (f"{{{match[2]}}}" if match[2] else "")
        assert name not in found, name
        found[name] = float(match[3])
    return found


def scraped(desk: Indoors) -> dict[str, float]:
    answer = desk.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return read(answer.text)


def approve(desk: Indoors, ticket: int) -> str:
    shown = desk.card(ticket)
    body = {
        "plan_digest": shown["plan"]["digest"], "steps": [one["id"] for one in shown["plan"]["steps"]],
        "follow_up": {"body": "Done.", "deliver": "none"}, "file_issue": True,
    }  # fmt: skip
    answer = desk.post(f"/api/tickets/{ticket}/approvals", body)
    assert answer.status_code == 202, answer.text
    return str(answer.get_json()["approval_id"])


def test_every_promised_name_is_there_with_help_and_type(desk: Indoors) -> None:
    text = desk.client.get("/metrics").text
    assert {family.name for family in FAMILIES} >= NAMES
    for family in FAMILIES:
        assert text.count(f"# TYPE billing_desk_{family.name} {family.kind}\n") == 1
        assert text.count(f"# HELP billing_desk_{family.name} ") == 1


def test_a_card_is_counted_under_its_bucket_and_state(desk: Indoors, seeded: Duplicate) -> None:
    desk.deliver(seeded.ticket)
    assert scraped(desk)['cards_total{bucket="undecided",outcome="enriching"}'] == 1
    desk.work()
    found = scraped(desk)
    assert found['cards_total{bucket="duplicate_subscription",outcome="ready"}'] == 1
    assert 'cards_total{bucket="undecided",outcome="enriching"}' not in found


def test_a_run_its_money_and_its_issue_are_read_from_the_store(desk: Indoors, seeded: Duplicate) -> None:
    approval_id = approve(desk, seeded.ticket)
    applying = Applying(desk.product.desk)
    for _ in range(20):
        if applying.turn(approval_id) is None:
            break
    found = scraped(desk)
    assert found['runs_total{result="done"}'] == 1
    assert found['money_moved_minor{currency="usd",kind="refund_charge"}'] == 2900
    assert found['issues_total{action="waiting"}'] == 1
    filing = GapFiling(desk.product.desk)
    with desk.product.engine.connect() as connection:
        (action_id,) = connection.execute(sa.text("SELECT id FROM action WHERE kind = 'file_issue'")).scalars()
    filing.turn(action_id)
    found = scraped(desk)
    assert found['issues_total{action="created"}'] == 1
    assert found['issues_total{action="waiting"}'] == 0
    # A second process, which has counted nothing, tells the same.
    other = read(exposition(desk.product.engine, desk.clock(), Registry()))
    assert {name: other[name] for name in found if name.startswith(("cards", "runs", "money", "issues"))} == {
        name: value for name, value in found.items() if name.startswith(("cards", "runs", "money", "issues"))
    }


def test_a_run_stopped_by_an_agent_counts_and_moves_nothing(desk: Indoors, seeded: Duplicate) -> None:
    approval_id = approve(desk, seeded.ticket)
    assert scraped(desk)["holds_stopped_total"] == 0
    assert desk.post(f"/api/approvals/{approval_id}/cancel").status_code == 202
    found = scraped(desk)
    assert found["holds_stopped_total"] == 1
    assert not [name for name in found if name.startswith("money_moved_minor")]


def test_corrections_are_counted_by_what_they_changed(desk: Indoors) -> None:
    row = {"ticket_id": 1, "agent_id": 2, "why": "", "evidence": {}, "at": desk.clock()}
    with desk.product.engine.begin() as connection:
        for bucket in ("team_seats", "team_seats", "failed_payment"):
            connection.execute(correction.insert().values(**row, was="undecided", bucket=bucket))
    found = scraped(desk)
    assert found['overrides_total{from="undecided",to="team_seats"}'] == 2
    assert found['overrides_total{from="undecided",to="failed_payment"}'] == 1


def test_the_oldest_job_ages_until_it_is_done(desk: Indoors, seeded: Duplicate) -> None:
    assert scraped(desk)["oldest_job_seconds"] == 0
    desk.deliver(seeded.ticket)
    desk.clock.advance(timedelta(seconds=90))
    assert scraped(desk)["oldest_job_seconds"] == 90
    desk.work()
    assert scraped(desk)["oldest_job_seconds"] == 0
    with desk.product.engine.begin() as connection:  # asked for again, and nobody reads
        connection.execute(sa.update(card).values(requested_at=desk.clock() + timedelta(seconds=1)))
    desk.clock.advance(timedelta(seconds=31))
    assert scraped(desk)["oldest_job_seconds"] == 30


def test_a_refused_delivery_is_counted_by_its_reason(desk: Indoors, seeded: Duplicate) -> None:
    def counted(reason: str) -> float:
        return scraped(desk).get(f'webhook_rejected_total{{reason="{reason}"}}', 0)

    reasons = ("signature", "stale", "missing", "shape")
    before = {reason: counted(reason) for reason in reasons}
    made = desk.zendesk.deliver_webhook(seeded.ticket, NOBODY, secret=WEBHOOK_SECRET)
    desk.post_webhook(made.headers, made.body + b" ")
    desk.post_webhook({}, b"{}")
    stamp = desk.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
    signature = sign(WEBHOOK_SECRET, stamp, b"[]")
    named = {"X-Zendesk-Webhook-Signature": signature, "X-Zendesk-Webhook-Signature-Timestamp": stamp}
    assert desk.post_webhook(named, b"[]").status_code == 400
    desk.clock.advance(timedelta(minutes=6))
    desk.post_webhook(made.headers, made.body)
    after = {reason: counted(reason) - before[reason] for reason in reasons}
    assert after == {"signature": 1, "stale": 1, "missing": 1, "shape": 1}


def test_an_attempt_at_an_upstream_is_timed_by_service_and_status(desk: Indoors) -> None:
    registry = Registry()
    for seconds, status, failure in ((0.07, 200, None), (0.3, 200, None), (9.9, None, "Unreachable")):
        seen = Observation("zendesk", "GET", "/api/v2/tickets/{id}", status, seconds, 1, failure)
        shown = str(seen.status or seen.failure)
        registry.record("upstream_seconds", seen.seconds, service=seen.service, status=shown)
    found = read(render(registry.samples()))
    assert found['upstream_seconds_bucket{service="zendesk",status="200",le="0.1"}'] == 1
    assert found['upstream_seconds_bucket{service="zendesk",status="200",le="0.5"}'] == 2
    assert found['upstream_seconds_bucket{service="zendesk",status="200",le="+Inf"}'] == 2
    assert found['upstream_seconds_count{service="zendesk",status="200"}'] == 2
    assert found['upstream_seconds_sum{service="zendesk",status="200"}'] == pytest.approx(0.37)
    assert found['upstream_seconds_count{service="zendesk",status="Unreachable"}'] == 1


def test_the_wired_clients_are_observed(desk: Indoors) -> None:
    def count() -> float:
        return scraped(desk).get('upstream_seconds_count{service="zendesk",status="200"}', 0)

    before = count()
    opening.zendesk_client(desk.settings).user(int(desk.agent["id"]))
    assert count() > before


def test_a_timed_call_is_counted_also_when_it_fails() -> None:
    def broken(number: int) -> int:
        raise KeyError(number)

    def count() -> float:
        return read(render(metrics.PROCESS.samples())).get("card_seconds_count", 0)

    before = count()
    assert metrics.timed("card_seconds", abs)(-3) == 3
    with pytest.raises(KeyError):
        metrics.timed("card_seconds", broken)(1)
    assert count() == before + 2


def test_without_the_store_the_process_still_answers(desk: Indoors, tmp_path: Path) -> None:
    away = sa.create_engine(f"sqlite:///{tmp_path / 'no' / 'such.db'}")
    found = read(exposition(away, desk.clock()))
    away.dispose()
    assert found["store_up"] == 0
    assert not [name for name in found if name.startswith("cards_total")]
    assert scraped(desk)["store_up"] == 1


def test_nothing_is_lost_between_threads() -> None:
    registry = Registry()

    def count() -> None:
        for _ in range(500):
            registry.record("webhook_rejected_total", reason="stale")
            registry.record("card_seconds", 0.2)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    found = read(render(registry.samples()))
    assert found['webhook_rejected_total{reason="stale"}'] == 4000
    assert found["card_seconds_count"] == 4000


@pytest.mark.parametrize(
    ("name", "labels"),
    [("nope", {}), ("webhook_rejected_total", {}), ("webhook_rejected_total", {"reason": "a", "ticket": "7"}),
     ("card_seconds", {"ticket": "7"}), ("cards_total", {"bucket": "x", "outcome": "y"})],
)  # fmt: skip
def test_only_declared_names_and_labels_are_counted(name: str, labels: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="no such labels"):
        Registry().record(name, 1, **labels)


def test_a_label_that_is_no_code_cannot_fill_the_memory() -> None:
    registry = Registry()
    for number in range(MOST_SERIES + 50):
        registry.record("webhook_rejected_total", reason=str(number))
    registry.record("webhook_rejected_total", reason="0")
    found = read(render(registry.samples()))
    assert len(found) == MOST_SERIES
    assert found['webhook_rejected_total{reason="0"}'] == 2


def test_a_label_value_is_escaped() -> None:
    text = render([Sample("webhook_rejected_total", (("reason", 'a"b\\c\nd'),), 1)])
    assert 'reason="a\\"b\\\\c\\nd"' in text
    read(text)


def test_nobody_is_named(desk: Indoors, seeded: Duplicate) -> None:
    approve(desk, seeded.ticket)
    text = desk.client.get("/metrics").text
    assert "@" not in text
    for name in (seeded.customer, seeded.charge, seeded.kept, "Maya"):
        assert name not in text


def test_the_figures_are_the_same_on_postgresql(postgres_database: str) -> None:
    engine = database.open_engine(postgres_database)
    try:
        database.upgrade(engine)
        now = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
        row = {"ticket_id": 7, "version": 1, "requests": 1, "requested_at": now, "updated_at": now}
        with engine.begin() as connection:
            document = {"decision": {"bucket": "team_seats"}}
            connection.execute(sa.insert(card).values(**row, state="ready", document=document))
            connection.execute(sa.insert(card).values(**(row | {"ticket_id": 8}), state="enriching"))
        found = read(exposition(engine, now + timedelta(seconds=5), Registry()))
    finally:
        engine.dispose()
    assert found['cards_total{bucket="team_seats",outcome="ready"}'] == 1
    assert found['cards_total{bucket="undecided",outcome="enriching"}'] == 1
    assert found["oldest_job_seconds"] == 5
    assert found["store_up"] == 1
