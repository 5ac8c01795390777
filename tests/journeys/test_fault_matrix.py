"""Does every trouble that can meet a call end as it must: one effect, or none with a definite no, or a shown unknown?

Generated: each row of `testkit.trouble` at each of four calls (a read and a write of Stripe, a note in Zendesk, an
issue at GitHub) on both stores, once and for good. What counts is what the vendors' twins hold.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterator
from datetime import timedelta
from itertools import cycle, product
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from integrations.store import approvals
from integrations.twins.server import Twin
from testkit.indoors import NOBODY
from testkit.rig import WEBHOOK_SECRET
from testkit.stage import PATIENT, Stage, staged
from testkit.trouble import BRIEF, CANARY, GITHUB, STRIPE, TROUBLES, ZENDESK, End, Trouble
from testkit.worlds import Duplicate, duplicate, plan_of
from zendesk.parked import resume

POLICY = "[refunds]\nhold_seconds = 0\n"
STEP = {STRIPE: "refund_charge", ZENDESK: "write_internal_note", GITHUB: "file_issue"}
ONCE, FOR_GOOD = (
    [
        pytest.param(trouble, column, id=f"{trouble.name} at {column}")
        for trouble, column in product(TROUBLES, STEP)
        if trouble.met(column, once=once)
    ]
    for once in (True, False)
)
READS = [  # by turns the read that finds the customer and one of those that follow
    pytest.param(trouble, path, id=f"{trouble.name} at {path}")
    for trouble, path in zip(TROUBLES, cycle(("/v1/charges", "/v1/customers")), strict=False)
    if trouble.reads and STRIPE in trouble.at
]
# What never leaves: a vendor's text, a key, a page of a proxy, a trace.
SECRET = re.compile(rf"{CANARY}|rk_test_|sk_live_|Bad Gateway|Sign in to the network|Traceback|4242424242424242|ghp_")


class Scenes:
    """The openings of all plays, each made once and then gone back to: `card`, `approved`, `paid`."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        stage.clear()
        rig: Any = stage.desk
        self._seeded = duplicate(rig, plan_of(rig))
        self.card = stage.desk.card(self._seeded.ticket)
        self._kept = {"card": stage.keep()}
        self._approval = stage.approve(self._seeded.ticket)
        self._kept["approved"] = stage.keep()
        stage.run(self._approval)
        self._kept["paid"] = stage.keep()

    def show(self, name: str) -> tuple[Duplicate, str]:
        self.stage.back_to(self._kept[name])
        return self._seeded, self._approval


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def theatre(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenes]:
    folder: Path = tmp_path_factory.mktemp("stage")
    server = str(request.getfixturevalue("postgres_url")) if request.param == "postgresql" else None
    with staged(folder, server, policy=POLICY) as made:
        yield Scenes(made)


@pytest.fixture
def scenes(theatre: Scenes) -> Iterator[Scenes]:
    """Afterwards no twin has crashed."""
    yield theatre
    assert [twin.crashes for twin in theatre.stage.twins] == [[], [], []]


# --- writes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("trouble", "column"), ONCE)
def test_a_write_that_trouble_meets_once_takes_effect_once_or_is_refused(
    scenes: Scenes, trouble: Trouble, column: str
) -> None:
    seeded, approval_id = begun(scenes, trouble, column, times=1)
    stage = scenes.stage
    play(stage, approval_id, column)
    # The note is written without tags and fields where Zendesk takes no such update; a second refusal is final.
    ended = {End.REFUSED: "refused", End.PARKED: "refused", End.REUSED: "unknown"}.get(trouble.ends(column), "done")
    if column == ZENDESK and trouble.name in {"400", "403", "404"}:
        ended = "done"
    assert stage.step(approval_id, STEP[column]).state == ended
    assert effects(stage, seeded, column) == (ended == "done")
    check_shown(stage, seeded, approval_id, STEP[column])


@pytest.mark.parametrize(("trouble", "column"), FOR_GOOD)
def test_a_write_that_trouble_meets_for_good_is_found_refused_or_shown_as_unknown(
    scenes: Scenes, trouble: Trouble, column: str
) -> None:
    seeded, approval_id = begun(scenes, trouble, column, times=None)
    stage, end = scenes.stage, trouble.ends(column)
    waits = play(stage, approval_id, column)
    # Behind a wrong address not even the first write gets through; a fault meets the one that it was meant for.
    kind = "schedule_cancellation" if trouble.base and column == STRIPE else STEP[column]
    state, later = stage.step(approval_id, kind).state, "sending" if column == GITHUB else "unknown"
    expected = {End.LOST: ("done", 1), End.LATER: (later, 0)}.get(end, ("refused", 0))
    assert (state, effects(stage, seeded, column)) == expected
    if end in {End.LATER, End.BUSY}:
        assert all(wait > 0 for wait in waits)
        assert sum(waits) > 3600, "it gave up although nothing was answered for less than an hour"
    assert tries(stage, column) <= 30
    calm(stage)
    check_shown(stage, seeded, approval_id, kind)
    if end is End.PARKED:
        resume(stage.desk.product.desk, stage.step(approval_id, kind).id, "operator:me")
        play(stage, approval_id, column)
        expected = ("done", 1)
    play(stage, approval_id, column)
    assert effects(stage, seeded, column) == (column == GITHUB if end is End.LATER else expected[1])


def begun(scenes: Scenes, trouble: Trouble, column: str, times: int | None) -> tuple[Duplicate, str]:
    """An approved plan whose step of this column the trouble will meet."""
    stage = scenes.stage
    seeded, approval_id = scenes.show("paid" if column == GITHUB else "approved")
    twin, door, method, path = place(stage, column)
    if trouble.base:
        stage.restart(bases={door: trouble.base.format(port=twin.port)})
        if times is not None:  # the address is right again after one try
            play(stage, approval_id, column, most=3)
            stage.restart()
        return seeded, approval_id
    if trouble.hangs:
        stage.restart(seconds=BRIEF)
    trouble.arm(twin, method, path, times)
    return seeded, approval_id


def place(stage: Stage, column: str) -> tuple[Twin, str, str, str]:
    desk = stage.desk
    return {
        STRIPE: (desk.stripe, "stripe_write", "POST", "/v1/refunds"),
        ZENDESK: (desk.zendesk, "zendesk", "PUT", "/api/v2/tickets/"),
        GITHUB: (desk.github, "github", "POST", "/repos/acme/web/issues"),
    }[column]


def play(stage: Stage, approval_id: str, column: str, most: int = 80) -> list[float]:
    if column == GITHUB:
        return stage.file(stage.step(approval_id, "file_issue").id, most=most)
    return stage.run(approval_id, most=most)


def calm(stage: Stage) -> None:
    """Everything works again, in a new process."""
    for twin in stage.twins:
        twin.faults.clear()
    stage.restart()


def effects(stage: Stage, seeded: Duplicate, column: str) -> int:
    if column == STRIPE:
        assert all(refund["charge"] == seeded.charge for refund in stage.desk.stripe.refunds())
        return len(stage.desk.stripe.refunds())
    if column == ZENDESK:
        return stage.notes(seeded.ticket, "write_internal_note")
    return len(stage.issues())


def tries(stage: Stage, column: str) -> int:
    twin, _, method, path = place(stage, column)
    return sum(one.method == method and one.target.startswith(path) for one in twin.wire)


def check_shown(stage: Stage, seeded: Duplicate, approval_id: str, kind: str) -> None:
    """The agent sees the step as it is, money is counted as the twin counts it, and no vendor's text leaks."""
    shown, state = stage.document(approval_id), stage.step(approval_id, kind).state
    step = next(one for one in shown["steps"] if one["kind"] == kind)
    assert step["state"] == state
    paid = sum(refund["amount"] for refund in stage.desk.stripe.refunds())
    assert shown["money_moved"] == ({"usd": paid} if paid else {})
    assert step["reason"] or state == "done"
    if kind != "file_issue":
        ends = {"unknown": {"needs_person"}, "refused": {"partly_done", "stopped"}, "done": {"done"}}
        held = stage.step(approval_id, kind).held
        assert shown["state"] in ({"needs_person"} if held else ends[state])
    assert SECRET.findall(stage.everything_shown(seeded.ticket, approval_id)) == []


# --- reads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("trouble", "path"), READS)
def test_a_read_that_fails_names_what_is_missing_and_nothing_is_approved_on_it(
    scenes: Scenes, trouble: Trouble, path: str
) -> None:
    seeded, _ = scenes.show("card")
    stage, desk = scenes.stage, scenes.stage.desk
    base = {"stripe_read": trouble.base.format(port=desk.stripe.port)} if trouble.base else {}
    stage.restart(seconds=4 * BRIEF if trouble.hangs else PATIENT, bases=base)
    if not trouble.base:
        trouble.arm(desk.stripe, "GET", path, None)
    answer = desk.post(f"/api/tickets/{seeded.ticket}/approvals", stage.body(scenes.card))
    assert answer.status_code in {409, 503}, answer.text
    desk.deliver(seeded.ticket)
    desk.work()
    shown = desk.get(f"/api/tickets/{seeded.ticket}/card").get_json()
    if shown["state"] == "failed":
        assert (shown["error"]["code"], shown["error"]["money_moved"]) == ("stripe_no_answer", False)
    else:
        assert shown["billing_state"]["missing"] or trouble.name == "an unknown word"
        assert "refund_charge" not in {step["kind"] for step in shown["plan"]["steps"]}
    assert SECRET.findall(stage.everything_shown(seeded.ticket) + answer.text) == []
    assert desk.stripe_writes() == []
    calm(stage)
    assert desk.post(f"/api/tickets/{seeded.ticket}/refresh").status_code == 202
    desk.work()
    card = desk.card(seeded.ticket)
    assert card["plan"]["digest"] == scenes.card["plan"]["digest"]
    assert desk.post(f"/api/tickets/{seeded.ticket}/approvals", stage.body(card)).status_code == 202


# --- what Stripe remembers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("after_effect", "ends"), [(True, ("done", 1)), (False, ("unknown", 0))])
def test_a_500_that_stripe_keeps_under_the_key_is_read_back_and_never_gets_another_key(
    scenes: Scenes, after_effect: bool, ends: tuple[str, int]
) -> None:
    seeded, approval_id = scenes.show("approved")
    stage = scenes.stage
    stage.desk.stripe.break_next("/v1/refunds", after_effect=after_effect)
    stage.run(approval_id)
    assert (stage.step(approval_id, "refund_charge").state, effects(stage, seeded, STRIPE)) == ends
    keys = {one.idempotency_key for one in stage.desk.stripe.wire if one.target.startswith("/v1/refunds")} - {None}
    assert keys == {stage.step(approval_id, "refund_charge").key}
    check_shown(stage, seeded, approval_id, "refund_charge")


def test_a_step_that_a_crash_cut_short_is_not_left_under_way_when_the_plan_is_stopped(scenes: Scenes) -> None:
    seeded, approval_id = scenes.show("approved")
    stage, step = scenes.stage, scenes.stage.step(approval_id, "send_portal_login")
    now = stage.desk.clock()
    with stage.desk.product.engine.begin() as connection:
        approvals.change_action(connection, step.id, now, state="sending", sent_at=now)
    stage.desk.world.refund(seeded.charge, 2900)
    stage.desk.clock.advance(timedelta(minutes=2))
    stage.run(approval_id)
    shown = stage.document(approval_id)
    assert (shown["state"], shown["reason"]) == ("stopped", "plan_changed")
    assert {one["state"] for one in shown["steps"]} <= {"canceled", "skipped"}
    assert stage.desk.stripe_writes() == []


# --- deliveries -----------------------------------------------------------------------------------------------------


def test_a_delivery_that_comes_five_times_makes_one_job_and_one_note(scenes: Scenes) -> None:
    seeded, _ = scenes.show("card")
    desk = scenes.stage.desk
    before = scenes.stage.jobs()
    sent = desk.zendesk.deliver_webhook(seeded.ticket, NOBODY, secret=WEBHOOK_SECRET)
    answers = [desk.post_webhook(sent.headers, sent.body).status_code for _ in range(5)]
    assert answers == [202, 200, 200, 200, 200]
    desk.work()
    assert scenes.stage.jobs() == before + 1
    assert scenes.stage.notes(seeded.ticket, "enrich") == 1


def test_a_delivery_that_comes_late_brings_no_older_state_back(scenes: Scenes) -> None:
    seeded, _ = scenes.show("card")
    desk = scenes.stage.desk
    early = desk.zendesk.deliver_webhook(seeded.ticket, NOBODY, secret=WEBHOOK_SECRET)
    desk.world.refund(seeded.charge, 2900)
    assert "refund_charge" not in {step["kind"] for step in desk.card(seeded.ticket)["plan"]["steps"]}
    assert desk.post_webhook(early.headers, early.body).status_code == 202
    desk.work()
    shown = desk.get(f"/api/tickets/{seeded.ticket}/card").get_json()
    assert "refund_charge" not in {step["kind"] for step in shown["plan"]["steps"]}


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_delivery_of_another_time_is_refused_with_a_hint_at_its_age(scenes: Scenes, minutes: int) -> None:
    seeded, _ = scenes.show("card")
    desk = scenes.stage.desk
    stamp = (desk.clock() + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = desk.deliver(seeded.ticket, timestamp=stamp)
    assert answer.status_code == 401
    assert "too old" in answer.get_json()["error"]["message"]


# --- the store ------------------------------------------------------------------------------------------------------


def test_a_store_that_takes_no_writes_still_shows_and_nothing_is_sent_that_it_could_not_record(
    scenes: Scenes,
) -> None:
    seeded, approval_id = scenes.show("approved")
    stage, desk = scenes.stage, scenes.stage.desk
    engine = desk.product.engine
    sa.event.listen(engine, "connect", read_only)
    engine.dispose()
    refused = desk.deliver(seeded.ticket)
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert stage.document(approval_id)["state"] == "applying"
    with pytest.raises(sa.exc.SQLAlchemyError):
        stage.run(approval_id)
    assert desk.stripe_writes() == []
    stage.restart()
    assert desk.deliver(seeded.ticket).status_code == 202
    stage.run(approval_id)
    assert effects(stage, seeded, STRIPE) == 1


def read_only(connection: Any, _record: object) -> None:
    """What a full disk amounts to: reading goes on, writing does not."""
    sqlite = isinstance(connection, sqlite3.Connection)
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only = ON" if sqlite else "SET default_transaction_read_only = on")
    connection.commit()


def test_a_delivery_waits_for_a_locked_store_and_is_not_lost(scenes: Scenes) -> None:
    seeded, _ = scenes.show("card")
    stage, held = scenes.stage, threading.Event()

    def hold() -> None:
        other = sa.create_engine(stage.desk.product.engine.url)
        with other.connect() as connection:
            if other.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.exec_driver_sql("LOCK TABLE delivery, card IN ACCESS EXCLUSIVE MODE")
            held.set()
            released.wait(5)
            connection.rollback()
        other.dispose()

    released, holder = threading.Event(), threading.Thread(target=hold)
    holder.start()
    assert held.wait(5)
    threading.Timer(0.2, released.set).start()
    before = stage.jobs()
    assert stage.desk.deliver(seeded.ticket).status_code == 202
    holder.join()
    assert stage.jobs() == before + 1
