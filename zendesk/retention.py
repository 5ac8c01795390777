"""How long do texts about people stay? As policy.toml says after a ticket's last activity; the record stays."""

from __future__ import annotations

import logging
from datetime import timedelta

from integrations import jobs
from integrations.store import approvals, audit, erasing
from integrations.store.erasing import Erased
from zendesk.desk import Desk

log = logging.getLogger(__name__)
RUNS_KEPT = timedelta(days=7)  # the engine's memory of ended runs; longer than any period of upkeep


def prune(desk: Desk) -> None:
    """Erase what is older than the policy's days, a few hundred tickets a transaction; safe to cut short."""
    now = desk.now()
    before = now - timedelta(days=desk.policy.retention_days)
    tickets = 0
    while True:
        with desk.engine.begin() as connection:
            found = erasing.resting(connection, before)
            for ticket_id in found:
                erasing.erase(connection, ticket_id, now)
        tickets += len(found)
        if not found:
            break
    with desk.engine.begin() as connection:
        deliveries = erasing.empty_deliveries(connection, before)
    log.info("texts_pruned", extra={"kind": "ticket", "count": tickets})
    log.info("texts_pruned", extra={"kind": "delivery", "count": deliveries})


def prune_runs(desk: Desk) -> None:
    """Delete the engine's memory of runs that ended a while ago; only inside a worker, which has the engine."""
    runs = jobs.prune(before=(desk.now() - RUNS_KEPT).isoformat())
    log.info("runs_pruned", extra={"count": runs})


def redact(desk: Desk, ticket_id: int, operator: str) -> Erased | None:
    """Erase one ticket's texts now, with an entry in the audit; None when something of it is open and needs them."""
    now = desk.now()
    with desk.engine.begin() as connection:
        approvals.pass_gate(connection)  # nobody approves a plan of it meanwhile
        if erasing.is_open(connection, ticket_id):
            return None
        erased = erasing.erase(connection, ticket_id, now, customer_too=True)
        if erased.anything:
            body = {"approvals": erased.approvals, "corrections": erased.corrections, "news": erased.news}
            audit.append(
                connection, at=now, actor=operator, event="redacted", ticket_id=ticket_id, body=body
            )  # fmt: skip
    return erased
