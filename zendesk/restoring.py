"""What if the store is an old copy? Before a worker applies anything, it learns from Stripe what it has forgotten.

A store that was at work a moment ago cannot be an old copy. Any other one is compared with Stripe's own record of this
installation's writes: a step that the store has not sent yet is settled as done, one that it does not know is written
down and counts against the limits. Until that has succeeded, applying waits; everything else goes on.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from billing.money import Money
from billing.plan import Impact, Plan, Receipt
from billing.steps import RefundCharge, encode
from integrations.errors import Forbidden, OutsideError, Refused
from integrations.metrics import WORKER_SEEN
from integrations.store import approvals, audit, marks
from integrations.store.approvals import OPEN, Action
from integrations.stripe_effects import Effect
from zendesk.applying import WRITTEN
from zendesk.desk import Desk
from zendesk.notes import Writer
from zendesk.plans import freeze
from zendesk.settling import settle
from zendesk.webhook import ask

log = logging.getLogger(__name__)
ALIVE = "alive"
BEAT_SECONDS = 60.0
AT_WORK = timedelta(minutes=3)  # a sign of life younger than this: the store is not an old copy
OVERLAP = timedelta(hours=1)
WAIT_SECONDS = 5.0
FOUND = "found_after_restore"
_NO_PLAN = Plan(steps=(), impact=Impact(refund={}, mrr={}), blocked=(), affected_charges=(), kept=(), extra=())
_ACTION = re.compile(r"[A-Za-z0-9_]{1,40}")


class Restoring:
    """In front of the handler that applies, which is called only once this store is known to be up to date."""

    def __init__(self, desk: Desk, apply: Callable[[str], float | None]) -> None:
        self._desk, self._apply, self._writer = desk, apply, Writer(desk)
        self._lock = threading.Lock()
        self._current = False

    def turn(self, approval_id: str) -> float | None:
        """The handler of the queue "apply"."""
        return self._apply(approval_id) if self._is_current() else WAIT_SECONDS

    def beat(self) -> None:
        """Two signs of life, once a minute: a worker is there; and what it works on is no old copy."""
        self._sign(WORKER_SEEN)
        if self._is_current():
            self._sign(ALIVE)

    def _sign(self, name: str) -> None:
        now = self._desk.now()
        with self._desk.engine.begin() as connection:
            marks.write(connection, name, now.isoformat(), now)

    def _is_current(self) -> bool:
        with self._lock:
            if not self._current:
                try:
                    self._catch_up()
                except OutsideError as error:
                    log.warning("catching_up_waits", extra={"service": error.service, "failure": error.kind})
                    return False
                self._current = True
        return True

    def _catch_up(self) -> None:
        desk, now = self._desk, self._desk.now()
        with desk.engine.connect() as connection:
            beat, written = marks.read(connection, ALIVE), audit.last_at(connection)
        times = [datetime.fromisoformat(beat)] if beat else []
        times += [written] if written else []
        if not times or abs(now - max(times)) < AT_WORK:
            return
        try:
            effects = desk.reader.effects(desk.installation, min(now, max(times)) - OVERLAP)
        except Forbidden:
            # Without this permission nobody could ever apply again; `doctor` names what is missing.
            log.error("catching_up_not_permitted", extra={"service": "stripe"})
            return
        for effect in effects:
            self._take_in(effect)
        with desk.engine.connect() as connection:
            unfinished = approvals.unfinished(connection)
        for approval_id in unfinished:
            self._find_written(approval_id)
        log.info("caught_up", extra={"count": len(effects)})

    def _take_in(self, effect: Effect) -> None:
        """What Stripe shows of one key: known and settled, known and open, or forgotten."""
        identifier = effect.action.partition(":")[0]
        if not _ACTION.fullmatch(identifier):
            return
        with self._desk.engine.begin() as connection:
            approvals.pass_gate(connection)  # another worker may be doing the same
            action = approvals.read_action(connection, identifier)
            if action is None:
                self._record(connection, identifier, effect)
            elif action.state in OPEN and ":" not in effect.action:
                # What became of a credit note's refund the event does not say: it is asked about.
                status = "pending" if action.kind == "create_credit_note" and effect.refund else effect.status
                self._settle(connection, action, effect.object, effect.at, status=status, refund=effect.refund)

    def _settle(
        self, connection: Connection, action: Action, object_: str, at: datetime, *, status: str | None = None,
        refund: str | None = None,
    ) -> None:  # fmt: skip
        approval, now = approvals.read(connection, action.approval_id), self._desk.now()
        if approval is None:
            return
        approvals.change_action(connection, action.id, now, was=OPEN, sent_at=action.sent_at or at)
        receipt = Receipt(step_id=action.step_id, outcome="done", object=object_, status=status, at=at, refund=refund)
        settle(self._desk, connection, approval, action, receipt)
        body = {"action": action.id, "approval": approval.id, "step": action.kind, "receipt": object_}
        audit.append(connection, at=now, actor="system", event=FOUND, ticket_id=approval.ticket_id, body=body)

    def _record(self, connection: Connection, identifier: str, effect: Effect) -> None:
        """An approval of a time that this store has lost: who gave it is not known, what it moved is."""
        now, ticket_id = self._desk.now(), effect.ticket or 0
        approval_id = "ap_" + hashlib.sha256(identifier.encode()).hexdigest()[:32]
        row = {
            "id": approval_id, "ticket_id": ticket_id, "customer": effect.customer, "digest": f"{FOUND}:{identifier}",
            "round": 1, "request_hash": "", "agent_id": 0, "agent_name": "unknown", "state": "done", "reason": FOUND,
            "plan": freeze(_NO_PLAN), "follow_up": {"body": "", "deliver": "none"}, "attempts": 0,
            "reply_state": "none", "created_at": effect.at, "finished_at": now,
        }  # fmt: skip
        receipt = {"outcome": "done", "object": effect.object, "status": effect.status, "at": effect.at.isoformat()}
        action = {
            "id": identifier, "approval_id": approval_id, "step_id": "s1", "position": 0, **_step(effect),
            "key": f"{self._desk.installation}:{identifier}", "state": "done", "amount": effect.amount,
            "currency": effect.currency, "agent_id": 0, "customer": effect.customer, "receipt": receipt,
            "attempts": 0, "sent_at": effect.at, "created_at": effect.at, "updated_at": now,
        }  # fmt: skip
        approvals.insert(connection, row, [action])
        body = {
            "action": identifier, "approval": approval_id, "step": effect.event, "object": effect.charge,
            "receipt": effect.object, "amount": effect.amount, "currency": effect.currency,
        }  # fmt: skip
        audit.append(connection, at=now, actor="system", event=FOUND, ticket_id=effect.ticket, body=body)
        if effect.ticket:
            ask(self._desk, connection, effect.ticket)

    def _find_written(self, approval_id: str) -> None:
        """Notes and replies are Zendesk's: those that stand on the ticket already are not written again."""
        with self._desk.engine.connect() as connection:
            approval, actions = approvals.read(connection, approval_id), approvals.actions(connection, approval_id)
        for action in actions:
            if approval is None or action.kind not in WRITTEN or action.state not in OPEN:
                continue
            try:
                found = self._writer.look(approval, action)
            except Refused as error:
                if error.retryable:
                    raise
                continue  # a ticket that is gone: applying will say so
            if found is not None:
                with self._desk.engine.begin() as connection:
                    self._settle(connection, action, str(found.object), self._desk.now())


def _step(effect: Effect) -> dict[str, object]:
    if effect.event == "refund.created" and effect.charge and effect.amount and effect.currency:
        step = encode(RefundCharge(charge=effect.charge, amount=Money(effect.amount, effect.currency)))
        return {"kind": "refund_charge", "step": step}
    return {"kind": FOUND, "step": {"kind": FOUND, "event": effect.event}}
