"""May this agent approve exactly this plan? The only door to a Stripe write.

One transaction compares and swaps the card's version, counts and reserves the limits, stores one intent for every
step and enqueues the work. Of any number of clicks, tabs, agents and processes one wins; the others get its answer.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from billing.guard import Cleared, Refused
from billing.money import Money, parse_decimal, totals
from billing.plan import (
    Plan,
    PlannedStep,
    Receipt,
    running_order,
)
from billing.policy import Refunds, limit
from billing.reply import same_words, untrue
from billing.steps import encode
from integrations.errors import OutsideError
from integrations.jobs import Job
from integrations.store import approvals, audit, cards
from zendesk.agents import Agent
from zendesk.desk import Desk
from zendesk.plans import digest_of, thaw
from zendesk.refusals import Refusal
from zendesk.status import card_document

NOT_ALONE = {"needs_other_step": "One of these steps needs another step of the plan that was left out."}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the agent sent (contract section 6); `steps` in any order, `confirm` as typed."""

    plan_digest: str
    steps: tuple[str, ...]
    body: str
    deliver: str  # draft, public_reply, none
    file_issue: bool
    confirm: str | None = None

    def hash(self, agent: Agent) -> str:
        """The same approval sent twice is one approval: agent, plan, steps and what goes with it."""
        document = [agent.id, self.plan_digest, sorted(self.steps), self.body, self.deliver, self.file_issue]
        return hashlib.sha256(json.dumps(document).encode()).hexdigest()


def approve(desk: Desk, ticket_id: int, agent: Agent, request: Request) -> str:
    """The id of the approval. Raises Refusal with a code of the contract; then nothing was reserved or sent."""
    desk.agents.check_may_approve(agent)
    try:
        return _approve(desk, ticket_id, agent, request)
    except Refusal as refusal:
        if refusal.code == "plan_changed":
            refusal.extra |= _as_it_is(desk, ticket_id)
        raise


def _as_it_is(desk: Desk, ticket_id: int) -> dict[str, Any]:
    """The card and its new plan, beside the words that the plan is another one."""
    with desk.engine.connect() as connection:
        stored = cards.read(connection, ticket_id)
    document = card_document(desk, stored) if stored else {}
    return {"card": document or None, "plan": document.get("plan")}


def _approve(desk: Desk, ticket_id: int, agent: Agent, request: Request) -> str:
    with desk.engine.connect() as connection:
        stored = cards.read(connection, ticket_id)
        known = approvals.of_plan(connection, ticket_id, request.plan_digest)
    if known is not None and not _void(known):
        return _same(known, request, agent)
    if stored is None or stored.plan is None or stored.document is None:
        raise Refusal("not_found", "There is no plan for this ticket yet. Refresh the card.")
    plan = thaw(stored.plan)
    if digest_of(stored) != request.plan_digest:
        raise Refusal("plan_changed", "The plan is another one by now. Nothing was done.")
    chosen = _chosen_steps(plan, request)
    _check_requirements(chosen)
    refunds = _refunds(chosen)
    _check_confirmation(desk.policy.refunds, refunds, request.confirm)
    _check_reply(_planned(stored), chosen, request)
    try:
        checked_at = _read_again(desk, ticket_id, plan, [step.id for step in chosen])
        with desk.engine.begin() as connection:
            return _record(desk, connection, stored, plan, agent, request, checked_at)
    except (IntegrityError, Refusal):
        # Another click may have stored the same approval since our look: what it has changed by now, and what it has
        # spent of the limits, is not held against the same wish.
        with desk.engine.connect() as connection:
            winner = approvals.of_plan(connection, ticket_id, request.plan_digest)
        if winner is None:
            raise
        if _void(winner):
            raise Refusal("plan_changed", "This approval was stopped. The plan has to be approved anew.") from None
        return _same(winner, request, agent)


def second(desk: Desk, approval_id: str, agent: Agent) -> None:
    """Another agent agrees to an approval above the second-approval limit."""
    desk.agents.check_may_approve(agent)
    now = desk.now()
    with desk.engine.begin() as connection:
        approval = approvals.read(connection, approval_id)
        if approval is None:
            raise Refusal("not_found", "There is no such approval.")
        if approval.agent_id == agent.id:
            raise Refusal("not_allowed", "Somebody else has to agree: you gave the first approval.")
        if not approvals.change(
            connection, approval_id, was=["waiting_second"], state="applying", second_agent_id=agent.id
        ):
            raise Refusal("already_approved", "This approval does not wait for a second person any more.")
        _audit(connection, now, agent, "second_approval", approval.ticket_id, {"approval": approval_id})
        _enqueue(desk, connection, approval_id, approval.customer, approval.ticket_id)


def stop(desk: Desk, approval_id: str, agent: Agent) -> None:
    """Stop what has not been sent: the hold, and every step after it."""
    desk.agents.check_may_approve(agent)
    now = desk.now()
    with desk.engine.begin() as connection:
        approval = approvals.read(connection, approval_id)
        if approval is None:
            raise Refusal("not_found", "There is no such approval.")
        stopped = 0
        for action in approvals.actions(connection, approval_id):
            stopped += approvals.change_action(
                connection, action.id, now, was=["pending", "holding"], state="canceled", reason="stopped_by_agent"
            )
        if not stopped:
            raise Refusal("too_late", "Nothing is left to stop: every step was sent already.")
        if approvals.change(connection, approval_id, was=["waiting_second"], state="stopped", finished_at=now):
            cards.change(
                connection, approval.ticket_id, now, version=None, state="ready", round=cards.NEXT_ROUND
            )  # fmt: skip
        approvals.change(
            connection, approval_id, was=["holding", "applying"], state="applying", reason="stopped_by_agent"
        )
        _audit(connection, now, agent, "stopped", approval.ticket_id, {"approval": approval_id, "steps": stopped})


def go(desk: Desk, approval_id: str, agent: Agent) -> None:
    """Skip the rest of the hold."""
    desk.agents.check_may_approve(agent)
    now = desk.now()
    with desk.engine.begin() as connection:
        approval = approvals.read(connection, approval_id)
        if approval is None:
            raise Refusal("not_found", "There is no such approval.")
        if not approvals.change(connection, approval_id, was=["holding"], hold_until=now):
            raise Refusal("too_late", "Nothing is on hold.")
        _audit(connection, now, agent, "hold_skipped", approval.ticket_id, {"approval": approval_id})


def _void(known: approvals.Approval) -> bool:
    """Whether it stands in nobody's way. In dry run the first answer is the answer, as if it had been applied."""
    return known.state == "stopped" and known.reason != approvals.DRY_RUN


def _same(known: approvals.Approval, request: Request, agent: Agent) -> str:
    if known.request_hash == request.hash(agent):
        return known.id
    raise Refusal(
        "already_approved", f"{known.agent_name} approved this plan already. Nothing runs twice.", approval_id=known.id
    )


def _chosen_steps(plan: Plan, request: Request) -> tuple[PlannedStep, ...]:
    known = {step.id for step in plan.steps}
    foreign = sorted(set(request.steps) - known)
    if foreign or not request.steps:
        raise Refusal("invalid", "steps must name one or more steps of this plan.")
    left_out = [step for step in plan.steps if step.id not in request.steps and not step.optional]
    if left_out:
        raise Refusal("invalid", f"Step {left_out[0].id} belongs to every way this plan can go and cannot be skipped.")
    return tuple(step for step in plan.steps if step.id in request.steps)


def _check_requirements(steps: tuple[PlannedStep, ...]) -> None:
    for step in steps:
        if "requester_verified" in step.requires and step.step.moves:
            raise Refusal(
                "requester_not_verified",
                "The requester's address is not verified in Zendesk, so nothing may be changed in Stripe.",
            )


def _refunds(steps: tuple[PlannedStep, ...]) -> dict[str, int]:
    return totals(step.step.money for step in steps if step.step.money is not None)


def _check_confirmation(policy: Refunds, moved: Mapping[str, int], confirm: str | None) -> None:
    for currency, amount in moved.items():
        if amount <= limit(policy.one_click_limit, currency):
            continue
        money = Money(amount, currency)
        if confirm is None or parse_decimal(confirm, currency) != money:
            raise Refusal(
                "confirmation_needed",
                f"This is above the one-click limit. Type the amount to approve: {money.decimal:f}.",
                confirm=f"{money.decimal:f}",
            )


def _check_reply(planned: Mapping[str, Any], steps: tuple[PlannedStep, ...], request: Request) -> None:
    """An edited reply may say what these steps will have done when it is read, and nothing beyond."""
    if request.deliver == "none" or not planned["facts"] or same_words(request.body, planned["planned"]):
        return
    done = [Receipt(step_id=step.id, outcome="done", status="succeeded") for step in steps]
    if problems := untrue(request.body, planned["facts"], done):
        more = f" And {len(problems) - 1} more." if len(problems) > 1 else ""
        message = f"The reply cannot go out as it is: {problems[0]}.{more} Nothing was done."
        raise Refusal("reply_claims", message, claims=list(problems))


def _read_again(desk: Desk, ticket_id: int, plan: Plan, steps: list[str]) -> datetime:
    """Read the facts once more; Refusal when they moved or cannot be read. When they were read."""
    try:
        verdict = desk.recheck(ticket_id, plan, steps)
    except OutsideError as error:
        raise Refusal(
            "upstream_no_answer", f"{error.service.capitalize()} did not answer, so nothing was done. Try again."
        ) from error
    if isinstance(verdict, Refused):
        raise Refusal("invalid", NOT_ALONE.get(verdict.reason, "These steps cannot run for this requester."))
    if not isinstance(verdict, Cleared):
        raise Refusal("plan_changed", "The billing state changed since this plan was made. Nothing was done.")
    return desk.now()


def _record(
    desk: Desk, connection: sa.Connection, stored: cards.StoredCard, plan: Plan, agent: Agent, request: Request,
    checked_at: datetime,
) -> str:  # fmt: skip
    now = desk.now()
    approvals.pass_gate(connection)
    chosen = _chosen_steps(plan, request)
    moved = _refunds(chosen)
    customer = ((stored.document or {}).get("customer") or {}).get("chosen")
    _check_limits(desk, connection, agent, customer, moved, now)
    four_eyes = any(amount > limit(desk.policy.refunds.second_approval_above, c) for c, amount in moved.items())
    busy = approvals.under_way(connection, stored.ticket_id)
    if busy is not None and busy.digest != request.plan_digest:
        still = "a step of it waits for a person" if busy.state in approvals.ENDED else "it is still running"
        raise Refusal("already_approved", f"{busy.agent_name} approved another plan for this ticket; {still}.")
    current = cards.read(connection, stored.ticket_id)
    if current is None or current.plan is None or digest_of(current) != request.plan_digest:
        raise Refusal("plan_changed", "The plan is another one by now. Nothing was done.")
    approval_id = "ap_" + secrets.token_hex(16)
    row = {
        "id": approval_id, "ticket_id": stored.ticket_id, "customer": customer, "digest": request.plan_digest,
        "round": stored.round, "request_hash": request.hash(agent), "agent_id": agent.id,
        "agent_name": agent.name[:120], "state": "waiting_second" if four_eyes else "applying",
        "plan": dict(stored.plan or {}),
        "follow_up": {"body": request.body, "deliver": request.deliver, **_planned(stored)},
        "checked_at": checked_at, "attempts": 0, "reply_state": "waiting", "created_at": now,
    }  # fmt: skip
    actions = _actions(desk, approval_id, plan, request, agent, customer, now)
    body = {"approval": approval_id, "digest": request.plan_digest, "steps": sorted(request.steps), "moved": moved}
    if desk.policy.dry_run:
        _record_only(connection, current, row, actions)
        _audit(connection, now, agent, "approved_in_dry_run", stored.ticket_id, body)
        return approval_id
    approvals.insert(connection, row, actions)
    cards.change(connection, stored.ticket_id, now, version=None, state="applying", approval_id=approval_id)
    _audit(connection, now, agent, "approved", stored.ticket_id, body)
    if not four_eyes:
        _enqueue(desk, connection, approval_id, customer, stored.ticket_id)
    return approval_id


def _record_only(
    connection: sa.Connection, card: cards.StoredCard, row: dict[str, Any], actions: list[dict[str, Any]]
) -> None:
    """Dry run: the approval ends where it begins. No job exists that could run it, now or after the dry run."""
    row |= {"state": "stopped", "reason": approvals.DRY_RUN, "finished_at": row["created_at"], "reply_state": "none"}
    for action in actions:
        if action["state"] == "pending":  # what the agent left out is skipped already, without a reason
            action |= {"state": "skipped", "reason": approvals.DRY_RUN}
    approvals.insert(connection, row, actions)
    cards.change(
        connection, card.ticket_id, row["created_at"], version=None, approval_id=row["id"], round=cards.NEXT_ROUND
    )


def _planned(stored: cards.StoredCard) -> dict[str, Any]:
    """Our own draft and its facts: an unedited reply is written anew from the receipts."""
    document = stored.document or {}
    follow_up = document.get("follow_up") or {}
    planned = {"planned": follow_up.get("body", ""), "facts": follow_up.get("facts")}
    return planned | {"asked_at": document.get("asked_at")}  # which message this answers


def _actions(
    desk: Desk, approval_id: str, plan: Plan, request: Request, agent: Agent, customer: str | None, now: datetime
) -> list[dict[str, Any]]:
    rows = []
    for position, planned in enumerate(running_order(plan.steps)):
        wanted = planned.id in request.steps and (request.file_issue or planned.step.kind != "file_issue")
        rows.append(_action(desk, approval_id, planned.id, position, encode(planned.step), agent, customer, now))
        rows[-1].update(
            state="pending" if wanted else "skipped",
            amount=planned.step.money.amount if planned.step.money else None,
            currency=planned.step.money.currency if planned.step.money else None,
        )
    if request.deliver == "public_reply":
        rows.append(_action(desk, approval_id, "reply", len(rows), {"kind": "public_reply"}, agent, customer, now))
    return rows


def _action(
    desk: Desk, approval_id: str, step_id: str, position: int, step: dict[str, Any], agent: Agent,
    customer: str | None, now: datetime,
) -> dict[str, Any]:  # fmt: skip
    identifier = "ac_" + secrets.token_hex(16)
    return {
        "id": identifier, "approval_id": approval_id, "step_id": step_id, "position": position, "kind": step["kind"],
        "step": step, "key": f"{desk.installation}:{identifier}", "state": "pending", "amount": None,
        "currency": None, "reason": None, "agent_id": agent.id, "customer": customer, "attempts": 0, "created_at": now,
        "updated_at": now,
    }  # fmt: skip


def _check_limits(
    desk: Desk, connection: sa.Connection, agent: Agent, customer: str | None, moved: Mapping[str, int], now: datetime
) -> None:
    policy = desk.policy.refunds
    day, month = now - timedelta(days=1), now - timedelta(days=30)
    for currency, amount in moved.items():
        tests = [
            ("one step", limit(policy.per_step, currency), amount),
            (
                "you in 24 hours",
                limit(policy.per_agent_per_day, currency),
                amount + approvals.spent(connection, currency, day, agent_id=agent.id),
            ),
            (
                "everybody in 24 hours",
                limit(policy.per_day, currency),
                amount + approvals.spent(connection, currency, day),
            ),
        ]
        if customer is not None:
            spent = approvals.spent(connection, currency, month, customer=customer)
            tests.append(("one customer in 30 days", limit(policy.per_customer_30_days, currency), amount + spent))
        for whose, most, reached in tests:
            if reached > most:
                money = Money(most, currency).plain()
                raise Refusal("limit_exceeded", f"The limit for {whose} is {money}. Nothing was done.")


def _audit(
    connection: sa.Connection, now: datetime, agent: Agent, event: str, ticket_id: int, body: Mapping[str, Any]
) -> None:
    audit.append(connection, at=now, actor=f"agent:{agent.id}", event=event, ticket_id=ticket_id, body=body)


def _enqueue(desk: Desk, connection: sa.Connection, approval_id: str, customer: str | None, ticket_id: int) -> None:
    mine = approvals.partition(customer, ticket_id)
    desk.queue.put(connection, Job(queue="apply", key=f"apply:{approval_id}", argument=approval_id, partition=mine))
