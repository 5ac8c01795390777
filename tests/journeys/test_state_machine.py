"""Does money move exactly once in any order of approvals, crashes, lost answers, clock jumps and outside changes?

Hypothesis plays agents, workers, killers, the network, the clock, the bank and a colleague in Stripe's dashboard
against the product in this process. The twin's refunds are the truth; after every move our books must agree with them,
and when all is calm every approval ends by itself. BILLING_DESK_STORM=1000 plays that many games instead of a few.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from billing.plan import Receipt
from integrations.store import approvals, audit
from integrations.store.tables import action as actions
from integrations.store.tables import approval as approvals_table
from integrations.stripe_executor import StripeExecutor
from testkit.stage import Kept, Stage, staged
from zendesk import parked
from zendesk.applying import Applying

GAMES = int(os.environ.get("BILLING_DESK_STORM", "0"))
FEW = {"sqlite": 5, "postgresql": 3}
MARK = "billing_desk_action"
# Two refunds of each currency fit into an agent's day, three into everybody's; one does not fit into a step.
PRICES = {"usd": 2900, "jpy": 3000, "kwd": 8900}
AGENT_CAP, DAY_CAP = {"usd": 6000, "jpy": 6500, "kwd": 18_000}, {"usd": 9000, "jpy": 9500, "kwd": 27_000}
POLICY = f"""
[refunds]
hold_seconds = 10
per_step = {{usd = 4000, jpy = 4000, kwd = 10000}}
per_agent_per_day = {{usd = {AGENT_CAP["usd"]}, jpy = {AGENT_CAP["jpy"]}, kwd = {AGENT_CAP["kwd"]}}}
per_day = {{usd = {DAY_CAP["usd"]}, jpy = {DAY_CAP["jpy"]}, kwd = {DAY_CAP["kwd"]}}}
"""
# (currency, price, twice): pay twice for one thing, or want to leave; the last one is too dear for a step.
TICKETS = (
    ("usd", 2900, True), ("usd", 2900, True), ("usd", 2900, True), ("usd", 2900, True), ("jpy", 3000, True),
    ("jpy", 3000, True), ("jpy", 3000, True), ("kwd", 8900, True), ("kwd", 8900, True), ("usd", 2900, False),
    ("jpy", 3000, False), ("usd", 5900, True),
)  # fmt: skip
LOST = ("reset_after", "close_after", "truncated", "empty", "json_null", "json_list", "html_200")
LATER = ("reset_before", "rate_limited", "html_502", "status")
JUMPS = (-26 * 3600, -3600, -90, 5, 30, 130, 700, 4000, 22_000, 23 * 3600 + 1800, 25 * 3600, 72 * 3600)
ticket, agent = st.integers(0, len(TICKETS) - 1), st.integers(0, 1)
which = st.integers(0, 5)  # of the approvals that are under way


class Killed(BaseException):
    """SIGKILL: nothing of ours may catch it."""


class Opening:
    """Twelve read tickets and two agents, gone back to for each game."""

    def __init__(self, stage: Stage) -> None:
        stage.clear()
        self.stage, desk = stage, stage.desk
        desk.world.portal_configuration()
        self.tickets = [self._seed(number, *one) for number, one in enumerate(TICKETS)]
        self.agents = [desk.agent["id"], desk.zendesk.add_agent("Ben Ito", "ben@acme.example")["id"]]
        self.seen: Counter[str] = Counter()  # over all games: were they worth playing?
        for one in self.tickets:
            desk.card(one)
        self.kept: Kept = stage.keep()

    def _seed(self, number: int, currency: str, price: int, twice: bool) -> int:
        desk = self.stage.desk
        sold = desk.world.price(desk.world.product(f"Pro {number}"), price, currency=currency)
        email = f"maya{number}@acme.example"
        customer, now = desk.world.customer(email, "Maya Okafor"), desk.stripe.now()
        desk.world.payment_method(customer)
        for days in (80, 10) if twice else (10,):
            desk.world.subscription(customer, sold, created=now - timedelta(days=days))
        text = "I was charged twice this month. Please refund one." if twice else "Please cancel my subscription."
        return desk.ticket(email, "Billing", text)


class Game(RuleBasedStateMachine):
    """One game. The rules are moves of somebody outside; none of them may break a promise."""

    def __init__(self, opening: Opening) -> None:
        super().__init__()
        self.opening, self.stage = opening, opening.stage
        self.stage.back_to(opening.kept)

    # --- agents -----------------------------------------------------------------------------------------------------

    @initialize(tickets=st.lists(ticket, min_size=3, max_size=5, unique=True), agent=agent)
    def begin(self, tickets: list[int], agent: int) -> None:
        """No game without some work under way."""
        for one in tickets:
            self.approve(one, agent)

    @rule(ticket=ticket, agent=agent)
    def approve(self, ticket: int, agent: int) -> None:
        """Approve what the card shows; a second click or agent meets the first one's approval."""
        number, token = self.opening.tickets[ticket], self._token(agent)
        card = self.stage.desk.get(f"/api/tickets/{number}/card", token).get_json()
        if not card.get("plan") or not card["plan"]["steps"]:
            return
        body = self.stage.body(card, file_issue=False)
        answer = self.stage.desk.post(f"/api/tickets/{number}/approvals", body, token)
        assert answer.status_code in {202, 403, 409, 422, 503}, answer.text
        again = self.stage.desk.post(f"/api/tickets/{number}/approvals", body, token)
        self.opening.seen[f"approval {answer.status_code} {(answer.get_json().get('error') or {}).get('code')}"] += 1
        if answer.status_code == 202:
            self._check_caps(agent)
            if again.status_code == 202:
                assert again.get_json()["approval_id"] == answer.get_json()["approval_id"]

    @rule(which=which, agent=agent, act=st.sampled_from(["cancel", "go", "second"]))
    def interfere(self, which: int, agent: int, act: str) -> None:
        for one in self._under_way(which):
            answer = self.stage.desk.post(f"/api/approvals/{one}/{act}", {}, self._token(agent))
            assert answer.status_code in {202, 403, 409, 503}, answer.text
            self.opening.seen[f"{act} {answer.status_code}"] += 1

    @rule(ticket=ticket)
    def read_again(self, ticket: int) -> None:
        assert self.stage.desk.deliver(self.opening.tickets[ticket]).status_code == 202
        self.stage.desk.work()

    # --- workers ----------------------------------------------------------------------------------------------------

    @rule(which=which, most=st.integers(1, 6))
    def work(self, which: int, most: int) -> None:
        """Some turns of an approval, with the clock moved as it asks for."""
        for one in self._under_way(which):
            self.stage.run(one, most=most)

    @rule(which=which, after=st.booleans())
    def work_and_die_while_sending(self, which: int, after: bool) -> None:
        """The process is killed at its next write, before the first byte or once the answer is there."""
        desk: Any = self.stage.desk.product.desk
        mortal = Applying(dataclasses.replace(desk, executor=Dying(desk.executor, after)))
        for one in self._under_way(which):
            try:
                for _ in range(6):
                    mortal.turn(one)
            except Killed:
                self.opening.seen["killed"] += 1
                self.stage.restart()

    @rule()
    def restart(self) -> None:
        self.stage.restart()

    # --- the world --------------------------------------------------------------------------------------------------

    @rule(kind=st.sampled_from(LOST + LATER), path=st.sampled_from(["/v1/refunds", "/v1/subscriptions", "/v1/"]))
    def break_a_write(self, kind: str, path: str) -> None:
        self.stage.desk.stripe.faults.add(kind, method="POST", path=path)

    @rule(kind=st.sampled_from(LATER), path=st.sampled_from(["/v1/refunds", "/v1/charges", "/v1/customers"]))
    def break_a_read(self, kind: str, path: str) -> None:
        self.stage.desk.stripe.faults.add(kind, method="GET", path=path, times=2)

    @rule(kind=st.sampled_from(LOST + LATER))
    def break_a_note(self, kind: str) -> None:
        self.stage.desk.zendesk.faults.add(kind, method="PUT", path="/api/v2/tickets/")

    @rule(which=which, status=st.sampled_from([401, 403]), path=st.sampled_from(["/v1/refunds", "/v1/", "/api/v2/"]))
    def work_with_refused_credentials(self, which: int, status: int, path: str) -> None:
        zendesk = path.startswith("/api")
        twin = self.stage.desk.zendesk if zendesk else self.stage.desk.stripe
        twin.faults.add("status", method="PUT" if zendesk else "POST", path=path, times=2, status=status)
        self.work(which, 6)

    @rule(which=which)
    def resume(self, which: int) -> None:
        """An operator has a step that waits for a person go on, whether or not the trouble is over."""
        with self.stage.desk.product.engine.connect() as connection:
            found = parked.waiting(connection)
        if found:
            one = found[which % len(found)]
            parked.resume(self.stage.desk.product.desk, one.action.id, "operator:ben")
            self.opening.seen[f"resumed {one.action.reason}"] += 1
            self.stage.run(one.approval.id, most=6)

    @rule(after_effect=st.booleans())
    def fail_for_good_under_the_key(self, after_effect: bool) -> None:
        self.stage.desk.stripe.break_next("/v1/refunds", after_effect=after_effect)

    @rule(seconds=st.sampled_from(JUMPS))
    def jump(self, seconds: int) -> None:
        self.stage.desk.clock.advance(timedelta(seconds=seconds))

    @rule(ticket=ticket, share=st.sampled_from([1, 3]))
    def refund_by_hand(self, ticket: int, share: int) -> None:
        """A colleague refunds the newest charge, or a third of it, in Stripe's dashboard."""
        charge = self._newest_charge(ticket)
        left = charge["amount_captured"] - charge["amount_refunded"]
        amount = left // share // 10 * 10
        if amount > 0:
            self.stage.desk.world.refund(charge["id"], amount)

    @rule(pick=st.integers(0, 30), status=st.sampled_from(["succeeded", "failed"]))
    def bank_settles(self, pick: int, status: str) -> None:
        """A refund of ours ends later on."""
        ours = self._ours()
        if ours:
            made = list(ours.values())[pick % len(ours)]
            if made["status"] in {"succeeded", "pending"}:
                self.stage.desk.stripe.settle_refund(made["id"], status)

    # --- promises ---------------------------------------------------------------------------------------------------

    @invariant()
    def no_action_took_effect_twice(self) -> None:
        marks = [refund["metadata"].get(MARK) for refund in self.stage.desk.stripe.refunds()]
        ours = [mark for mark in marks if mark]
        assert len(ours) == len(set(ours))

    @invariant()
    def our_books_agree_with_stripe(self) -> None:
        """What is done is there, as approved; what is there is done, or shown as not yet known; else nothing is."""
        ours, rows = self._ours(), self._actions()
        assert ours.keys() <= rows.keys()
        for name, row in rows.items():
            if row.kind != "refund_charge":
                continue
            made = ours.get(name)
            if row.state == "done":
                assert made is not None, "done, but Stripe has no such refund"
                assert (made["id"], made["charge"]) == (row.receipt["object"], row.step["charge"])
                assert (made["amount"], made["currency"]) == (row.amount, row.currency)
            elif made is not None:
                assert row.state in {"sending", "unknown"} or made["status"] == "failed", row.state
        done = [row for row in rows.values() if row.kind == "refund_charge" and row.state == "done"]
        for currency in PRICES:
            booked = sum(row.amount for row in done if row.currency == currency)
            paid = sum(ours[row.id]["amount"] for row in done if ours[row.id]["currency"] == currency)
            assert booked == paid

    @invariant()
    def no_twin_has_crashed(self) -> None:
        assert [twin.crashes for twin in self.stage.twins] == [[], [], []]

    def teardown(self) -> None:
        """When all is well again every approval ends by itself, and then the books agree to the last unit."""
        for twin in self.stage.twins:
            twin.faults.clear()
        self.stage.desk.stripe.broken.clear()
        self.stage.restart()
        for number in range(len(TICKETS)):
            for one in self._approvals(number):
                self.stage.run(one, most=200)
                state = self.stage.approval(one).state
                assert state in {*approvals.ENDED, "waiting_second"}, state
        self._resume_what_was_held()
        self.no_action_took_effect_twice()
        self.our_books_agree_with_stripe()
        rows = self._actions().values()
        for row in rows:
            self.opening.seen[f"{row.kind} {row.state} {row.reason}"] += row.sent_at is not None
            assert row.state not in {"sending", "pending", "holding"} or row.kind == "file_issue"
            assert row.state != "unknown" or row.reason == "ask_a_person"
        with self.stage.desk.product.engine.connect() as connection:
            assert audit.first_broken(connection) is None

    # --- how to look ------------------------------------------------------------------------------------------------

    def _resume_what_was_held(self) -> None:
        """Once nothing refuses our credentials any more, what waits for them goes on to its end."""
        desk = self.stage.desk.product.desk
        for _ in range(8):
            with desk.engine.connect() as connection:
                held = [one for one in parked.waiting(connection) if one.action.held]
            for one in held:
                self.opening.seen[f"resumed at the end {one.action.reason}"] += 1
                parked.resume(desk, one.action.id, "operator:ben")
                self.stage.run(one.approval.id, most=200)
            if not held:
                return
        raise AssertionError("what was held never goes on")

    def _token(self, agent: int) -> str:
        return self.stage.desk.page_token(self.opening.agents[agent])

    def _under_way(self, which: int) -> list[str]:
        """One approval that has not ended, if there is any."""
        with self.stage.desk.product.engine.connect() as connection:
            found = approvals.unfinished(connection)
        return [found[which % len(found)]] if found else []

    def _approvals(self, ticket: int) -> list[str]:
        mine = approvals_table.c.ticket_id == self.opening.tickets[ticket]
        with self.stage.desk.product.engine.connect() as connection:
            found = connection.execute(sa.select(approvals_table.c.id).where(mine).order_by(approvals_table.c.round))
            return [str(one) for one in found.scalars()]

    def _actions(self) -> dict[str, Any]:
        with self.stage.desk.product.engine.connect() as connection:
            return {row.id: row for row in connection.execute(sa.select(actions))}

    def _ours(self) -> dict[str, dict[str, Any]]:
        """The refunds at Stripe that carry our mark, by action."""
        found = self.stage.desk.stripe.refunds()
        return {refund["metadata"][MARK]: refund for refund in found if refund["metadata"].get(MARK)}

    def _newest_charge(self, ticket: int) -> Mapping[str, Any]:
        email = f"maya{ticket}@acme.example"
        store = self.stage.desk.stripe.store
        (customer,) = [one["id"] for one in store.of_kind("customer") if one["email"] == email]
        mine = [one for one in store.of_kind("charge") if one["customer"] == customer]
        return max(mine, key=lambda charge: int(charge["created"]))

    def _check_caps(self, agent: int) -> None:
        """After a yes: what moved, may have or will stays within the step's, the agent's and the day's cap."""
        since = self.stage.desk.clock() - timedelta(days=1)
        spent = [
            row
            for row in self._actions().values()
            if row.kind == "refund_charge" and row.state in approvals.SPENT and row.created_at >= since
        ]
        for currency, price in PRICES.items():
            paid = [row for row in spent if row.currency == currency]
            assert all(0 < row.amount <= price for row in paid)  # less where somebody gave a part back by hand
            assert sum(row.amount for row in paid) <= DAY_CAP[currency]
            mine = [row for row in paid if row.agent_id == self.opening.agents[agent]]
            assert sum(row.amount for row in mine) <= AGENT_CAP[currency]


@dataclass
class Dying:
    """An executor whose process is killed at the next write: before it leaves, or once the answer is there."""

    real: StripeExecutor
    after: bool

    def perform(self, *args: Any, **kwargs: Any) -> Receipt:
        if self.after:
            self.real.perform(*args, **kwargs)
        raise Killed

    def look(self, *args: Any, **kwargs: Any) -> Receipt | None:
        return self.real.look(*args, **kwargs)


@pytest.fixture(params=["sqlite", "postgresql"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Opening]]:
    server = str(request.getfixturevalue("postgres_url")) if request.param == "postgresql" else None
    with staged(tmp_path, server, policy=POLICY) as stage:
        yield request.param, Opening(stage)


@pytest.mark.long
@pytest.mark.timeout(0 if GAMES else 300)
def test_no_order_of_events_moves_money_twice_or_loses_count_of_it(opening: tuple[str, Opening]) -> None:
    store, first = opening
    games = settings(
        max_examples=GAMES or FEW[store], stateful_step_count=60 if GAMES else 40, deadline=None,
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if GAMES else [])],  # shrinking may take minutes
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(lambda: Game(first), settings=games)
    print("\n" + "\n".join(f"{count:6} {what}" for what, count in sorted(first.seen.items())))
