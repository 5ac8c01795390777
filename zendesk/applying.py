"""How does an approved plan take effect, exactly once, whatever breaks?

`Applying.turn` does the next bit and says when to be called again; the engine calls it until nothing is left. A step's
intent (frozen parameters, key) is stored before the first byte leaves. Its outcome is done, refused or unknown; an
unknown one is looked up first and replayed with the same key while Stripe still keeps it, then a person decides. What
was only asked to come later keeps its place; what was refused for our credentials waits for them, with all behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from billing.guard import Cleared
from billing.plan import Receipt
from billing.steps import KINDS, decode
from integrations.errors import OutsideError
from integrations.jobs import Job
from integrations.store import approvals, audit, cards
from integrations.store.approvals import (
    ASK_A_PERSON,
    LEFT_TO_A_PERSON,
    NOT_LET_IN,
    OPEN,
    RATE_LIMITED,
    RESUMED,
    Action,
    Approval,
)
from zendesk import claims
from zendesk.desk import Desk
from zendesk.notes import Writer
from zendesk.plans import thaw
from zendesk.settling import money_moved, note_audit, settle

FRESH = timedelta(seconds=60)  # facts read this long ago still count as read before the first write
REPLAYABLE = timedelta(hours=23)  # Stripe keeps an idempotency key for 24 hours at least
# A service that only says "later" is asked so often, at the end once an hour: for about a day.
MOST_TRIES, LONGEST_WAIT = 28, timedelta(hours=1)
SOON = 0.0
WRITTEN = frozenset({"write_internal_note", "public_reply"})  # these go to Zendesk
FAILED_LATER = frozenset({"refund_failed", "refund_canceled"})  # Stripe took the refund, and it did not arrive


class Applying:
    """Runs approvals. Safe to call at any time, in any process, as often as one likes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._writer = Writer(desk)

    def turn(self, approval_id: str) -> float | None:
        """Do the next bit of the approval; seconds until the next call, or None when it has ended."""
        with self._desk.engine.connect() as connection:
            approval = approvals.read(connection, approval_id)
            actions = approvals.actions(connection, approval_id)
        if approval is None or approval.state in {*approvals.ENDED, "waiting_second"}:
            return None
        untouched = not any(action.sent_at and (_moves(action) or action.kind in WRITTEN) for action in actions)
        if self._desk.policy.dry_run and any(_is_open(action) for action in actions):
            return self._end_in_dry_run(approval, actions, untouched)
        if untouched:
            again = self._check_facts(approval, actions)
            if again is not None:
                return again if again > 0 else SOON
        for action in actions:
            if action.held:
                break  # what follows was approved together with it, and waits as well
            if _is_open(action):
                return self._next(approval, actions, action)
        self._finish(approval, actions)
        return None

    # --- before the first write -----------------------------------------------------------------------------------

    def _check_facts(self, approval: Approval, actions: tuple[Action, ...]) -> float | None:
        """None when the facts are known to be as approved; else seconds, after which the approval goes on or ended."""
        now = self._desk.now()
        if approval.reason == "stopped_by_agent" or (approval.checked_at and now - approval.checked_at < FRESH):
            return None
        try:
            steps = [a.step_id for a in actions if a.kind in KINDS and a.state != "skipped"]
            verdict = self._desk.recheck(approval.ticket_id, thaw(approval.plan), steps)
        except OutsideError as error:
            return self._facts_unread(approval, actions, error.service)
        if isinstance(verdict, Cleared):
            with self._desk.engine.begin() as connection:
                approvals.change(connection, approval.id, checked_at=self._desk.now())
            return None
        self._stop(approval, actions, "plan_changed")
        return SOON

    def _facts_unread(self, approval: Approval, actions: tuple[Action, ...], service: str) -> float:
        if approval.attempts >= 3:
            self._stop(approval, actions, f"{service}_no_answer")
            return SOON
        with self._desk.engine.begin() as connection:
            approvals.change(connection, approval.id, attempts=approval.attempts + 1)
        return min(30.0, self._desk.ladder[0].total_seconds() * float(2**approval.attempts))

    def _stop(self, approval: Approval, actions: tuple[Action, ...], reason: str) -> None:
        """End an approval of which nothing was sent."""
        now = self._desk.now()
        with self._desk.engine.begin() as connection:
            for action in actions:
                harmless = not _moves(action) and action.kind not in WRITTEN  # a crash may have left it as sending
                was = OPEN if harmless else ("pending", "holding")
                approvals.change_action(connection, action.id, now, was=was, state="canceled", reason=reason)
            approvals.change(connection, approval.id, state="stopped", reason=reason, finished_at=now)
            cards.change(connection, approval.ticket_id, now, version=None, state="ready", round=cards.NEXT_ROUND)
            body = {"approval": approval.id, "reason": reason}
            audit.append(connection, at=now, actor="system", event="stopped", ticket_id=approval.ticket_id, body=body)

    def _end_in_dry_run(self, approval: Approval, actions: tuple[Action, ...], untouched: bool) -> float:
        """Approved before the dry run began: nothing more goes out. What went out is looked up, else a person looks."""
        if untouched:
            self._stop(approval, actions, approvals.DRY_RUN)
            return SOON
        busy = max((claims.seconds_left(action, self._desk.now()) for action in actions if _is_open(action)), default=0)
        if busy > 0:  # by a process that has not heard of the dry run
            return min(busy, 5.0)
        for action in actions:
            if not _is_open(action):
                continue
            receipt = Receipt(step_id=action.step_id, outcome="canceled", reason=approvals.DRY_RUN)
            if action.state in {"sending", "unknown"}:
                lost = Receipt(step_id=action.step_id, outcome="unknown", reason=ASK_A_PERSON)
                receipt = self._look(approval, action) or lost
            self._settle(approval, action, receipt)
        return SOON

    # --- one step ---------------------------------------------------------------------------------------------------

    def _next(self, approval: Approval, actions: tuple[Action, ...], action: Action) -> float:
        if self._void(action, actions):
            receipt = Receipt(step_id=action.step_id, outcome="canceled", reason="earlier_step_failed")
            self._settle(approval, action, receipt)
            return SOON
        if action.state in {"pending", "holding"}:
            waiting = self._hold(approval, actions, action)
            if waiting is not None:
                return waiting
            return self._send(approval, action)
        return self._resend(approval, action)

    def _void(self, action: Action, actions: tuple[Action, ...]) -> bool:
        """A Stripe write, or the reply that speaks of it, does not follow one that failed or stayed unknown."""
        if action.state not in {"pending", "holding"} or not (_moves(action) or action.kind == "public_reply"):
            return False
        earlier = [one for one in actions if one.position < action.position and _moves(one)]
        return any(one.state in {"refused", "unknown", "canceled"} for one in earlier)

    def _hold(self, approval: Approval, actions: tuple[Action, ...], action: Action) -> float | None:
        """Seconds to wait before the first step that cannot be taken back; None when it may go."""
        seconds = self._desk.policy.refunds.hold_seconds
        if not _final(action) or seconds <= 0:
            return None
        if any(one.position < action.position and _final(one) and one.sent_at for one in actions):
            return None
        now, whole = self._desk.now(), timedelta(seconds=seconds)
        if approval.hold_until is None or approval.hold_until - now > whole:  # it begins, or the clock was put back
            with self._desk.engine.begin() as connection:
                was, until = ["applying", "holding"], now + whole
                approvals.change(connection, approval.id, was=was, state="holding", hold_until=until)
                approvals.change_action(connection, action.id, now, was=["pending"], state="holding")
            return min(1.0, float(seconds))
        left = (approval.hold_until - now).total_seconds()
        return min(1.0, left) if left > 0 else None

    def _send(self, approval: Approval, action: Action) -> float:
        """The first call: the intent is durable before it, and a stop that came first wins."""
        now = self._desk.now()
        # An operator resumed it: perhaps in an old copy of the store, and it went out in the time that was lost.
        if action.reason == RESUMED and (found := self._look(approval, action)) is not None:
            return self._conclude(approval, action, found, None)
        with claims.claim() as token:
            with self._desk.engine.begin() as connection:
                approvals.change(connection, approval.id, was=["holding"], state="applying")
                if not approvals.claim(connection, action, now, token, now + claims.LEASE, ["pending", "holding"]):
                    return SOON
                note_audit(self._desk, connection, approval, action, "sending")
            since = None  # what had to wait does not come on top of what somebody gave back meanwhile
            if action.reason in {RESUMED, RATE_LIMITED}:
                since = approval.checked_at or approval.created_at
            receipt = self._perform(approval, action, since)
            if receipt.outcome == "unknown" and receipt.reason == RATE_LIMITED:
                return self._later(approval, action, token)
            return self._conclude(approval, replace(action, attempts=0), receipt, token)

    def _later(self, approval: Approval, action: Action, token: str) -> float:
        """Told to come later: nothing was done. It stands as before the call and keeps its place, for a day."""
        now, attempts = self._desk.now(), action.attempts + 1
        if attempts >= MOST_TRIES:
            self._settle(approval, action, Receipt(step_id=action.step_id, outcome="refused", reason="too_busy"), token)
            return SOON
        with self._desk.engine.begin() as connection:
            approvals.settle_action(
                connection, action.id, now, was=["sending"], claim=token, state="pending", reason=RATE_LIMITED,
                attempts=attempts, sent_at=None,
            )  # fmt: skip
        rung = self._desk.ladder[min(attempts, len(self._desk.ladder)) - 1]
        return min(rung, LONGEST_WAIT).total_seconds()

    def _resend(self, approval: Approval, action: Action) -> float:
        """A call whose outcome is not known: look first, replay with the same key, or hand it to a person."""
        now = self._desk.now()
        left = claims.seconds_left(action, now)
        if left > 0 and action.kind in WRITTEN:
            return min(left, 5.0)
        found = self._look(approval, action)
        if found is not None:
            return self._conclude(approval, action, found, None)
        old = action.sent_at is not None and now - action.sent_at > REPLAYABLE
        if action.attempts > len(self._desk.ladder) or (old and _moves(action)):
            self._settle(approval, action, Receipt(step_id=action.step_id, outcome="unknown", reason=ASK_A_PERSON))
            return SOON
        with claims.claim() as token:
            with self._desk.engine.begin() as connection:
                if not approvals.claim(connection, action, now, token, now + claims.LEASE, ["sending", "unknown"]):
                    return SOON
            receipt = self._perform(approval, action)
            if receipt.reason in NOT_LET_IN:  # says nothing about the call before it
                receipt = replace(receipt, outcome="unknown", reason=ASK_A_PERSON)
            return self._conclude(approval, action, receipt, token)

    def _perform(self, approval: Approval, action: Action, since: datetime | None = None) -> Receipt:
        if action.kind in WRITTEN:
            return self._writer.perform(approval, action, self._card_state_after(approval))
        if self._desk.executor is None:
            return self._without_stripe(action)
        return self._desk.executor.perform(
            decode(action.step), step_id=action.step_id, action=action.id, ticket=approval.ticket_id, key=action.key,
            remember=lambda before: self._remember(action, before), since=since,
        )  # fmt: skip

    def _without_stripe(self, action: Action) -> Receipt:
        """No key that writes: what lives in the reply, the note and the issue is done all the same."""
        if _moves(action) or action.kind == "create_portal_session":
            return Receipt(step_id=action.step_id, outcome="refused", reason="not_configured")
        step = decode(action.step)
        return Receipt(step_id=action.step_id, outcome="done", object=step.object, at=self._desk.now())

    def _card_state_after(self, approval: Approval) -> str:
        """How the card will stand if everything that is still open succeeds."""
        with self._desk.engine.connect() as connection:
            actions = approvals.actions(connection, approval.id)
        return _card_state(ended_as(replace(one, state="done") if _is_open(one) else one for one in actions))

    def _remember(self, action: Action, before: Mapping[str, Any]) -> None:
        with self._desk.engine.begin() as connection:
            approvals.remember(connection, action.id, before)

    def _look(self, approval: Approval, action: Action) -> Receipt | None:
        """What the upstream shows of an earlier call of ours; None when it shows nothing or does not answer."""
        try:
            if action.kind in WRITTEN:
                return self._writer.look(approval, action)
            if self._desk.executor is None or not _moves(action):
                return None
            return self._desk.executor.look(decode(action.step), step_id=action.step_id, action=action.id)
        except OutsideError:
            return None

    def _conclude(self, approval: Approval, action: Action, receipt: Receipt, token: str | None) -> float:
        """Only an attempt that ended without an answer climbs the ladder; one that a crash cut short does not."""
        if receipt.outcome != "unknown" or receipt.reason in LEFT_TO_A_PERSON:
            self._settle(approval, action, receipt, token)
            return SOON
        now, attempts = self._desk.now(), action.attempts + 1
        with self._desk.engine.begin() as connection:
            approvals.settle_action(
                connection, action.id, now, was=["sending", "unknown"], claim=token, state="unknown",
                reason=receipt.reason, attempts=attempts,
            )  # fmt: skip
        return self._desk.ladder[attempts - 1].total_seconds() if attempts <= len(self._desk.ladder) else SOON

    def _settle(self, approval: Approval, action: Action, receipt: Receipt, token: str | None = None) -> None:
        with self._desk.engine.begin() as connection:
            settle(self._desk, connection, approval, action, receipt, token)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _finish(self, approval: Approval, actions: tuple[Action, ...]) -> None:
        now = self._desk.now()
        state = ended_as(actions)
        with self._desk.engine.begin() as connection:
            if not approvals.change(
                connection, approval.id, was=["applying", "holding"], state=state, finished_at=now,
                reply_state=_reply_state(approval, actions, state),
            ):  # fmt: skip
                return
            self._hand_to_github(connection, actions)
            another = {"round": cards.NEXT_ROUND} if state == "stopped" else {}
            left = "ready" if _stopped_in_time(state, actions) else _card_state(state)
            cards.change(connection, approval.ticket_id, now, version=None, state=left, **another)
            body = {"approval": approval.id, "state": state, "moved": money_moved(actions)}
            audit.append(connection, at=now, actor="system", event="finished", ticket_id=approval.ticket_id, body=body)

    def _hand_to_github(self, connection: sa.Connection, actions: tuple[Action, ...]) -> None:
        """GitHub has jobs of its own, so that it never delays a customer; the ticket's sums are known by now."""
        now = self._desk.now()
        for action in actions:
            if action.kind == "file_issue" and approvals.change_action(
                connection, action.id, now, was=["pending"], state="sending", sent_at=now
            ):
                job = Job(queue="gap", key=f"gap:{action.id}", argument=action.id, partition="github")
                self._desk.queue.put(connection, job)


def ended_as(actions: Iterable[Action]) -> str:
    """The approval's end state: from its Stripe steps, the note and the reply; GitHub has its own time."""
    counted = [action for action in actions if action.kind != "file_issue" and action.state != "skipped"]
    states = {action.state for action in counted}
    if "unknown" in states or any(action.held or action.reason in FAILED_LATER for action in counted):
        return "needs_person"
    if states <= {"done", "undone"}:
        return "done"
    changed = any(action.state in {"done", "undone"} and (_moves(action)) for action in counted)
    return "partly_done" if changed else "stopped"


def _stopped_in_time(ended: str, actions: Iterable[Action]) -> bool:
    """An agent stopped it and nothing failed: the way is free for a new plan, and that is no failure."""
    reasons = {action.reason for action in actions if action.state in {"canceled", "refused"}}
    return ended in {"stopped", "partly_done"} and reasons == {"stopped_by_agent"}


def _card_state(ended: str) -> str:
    return {"done": "done", "needs_person": "needs_human"}.get(ended, "failed")


def _reply_state(approval: Approval, actions: Iterable[Action], state: str) -> str:
    deliver = approval.follow_up["deliver"]
    if deliver == "none" or state in {"stopped", "needs_person"}:
        return "none"
    if deliver == "public_reply":
        return "sent" if any(a.kind == "public_reply" and a.state == "done" for a in actions) else "none"
    return "ready"


def _is_open(action: Action) -> bool:
    """Whether the approval has to wait for the step: not for GitHub, and not for what a person must decide."""
    decided = action.state == "unknown" and action.reason in LEFT_TO_A_PERSON
    return action.kind != "file_issue" and action.state in OPEN and not decided


def _moves(action: Action) -> bool:
    return action.kind in KINDS and KINDS[action.kind].moves


def _final(action: Action) -> bool:
    return _moves(action) and not KINDS[action.kind].reversible
