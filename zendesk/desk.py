"""What do the use cases work with? One value that app.py builds, and the two questions that all of them ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

import sqlalchemy as sa

from billing.decision import Decision, decide
from billing.diagnosis import Band
from billing.evidence import Bucket, TicketEvidence
from billing.guard import Stale, Verdict, recheck
from billing.plan import Plan
from billing.policy import Policy
from billing.reading import read_ticket
from billing.snapshot import BillingSnapshot
from github_issues.filing import Filing
from integrations.jobs import Queue
from integrations.language_model import LanguageModel
from integrations.settings import Settings
from integrations.store import cards
from integrations.store.cards import StoredCard
from integrations.stripe_executor import StripeExecutor
from integrations.stripe_reader import StripeReader
from integrations.zendesk_client import ZendeskClient
from integrations.zendesk_schemas import Ticket
from zendesk.agents import Agents
from zendesk.reads import Reads
from zendesk.tickets import read_request

# Waits before a write is tried again; after the last one a person decides (design/engine.md section 5).
LADDER = tuple(timedelta(seconds=s) for s in (5, 30, 120, 600, 3600, 21600))


class Depth(Enum):
    """How much of Stripe a reading asks for: reads are granted by the month."""

    WHOLE = auto()
    IF_BILLING = auto()  # of a ticket that is clearly not about billing, only whose it is
    WHOSE = auto()  # only whose it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A ticket with what was decided about it just now."""

    ticket: Ticket
    evidence: TicketEvidence
    decision: Decision
    sparing: bool = False  # only whose it is was read, to save Stripe's reads


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """`executor` or `filing` None: that part is not configured, which shows and breaks nothing else."""

    settings: Settings
    policy: Policy
    engine: sa.Engine
    queue: Queue
    zendesk: ZendeskClient
    reader: StripeReader
    reads: Reads
    executor: StripeExecutor | None
    filing: Filing | None
    agents: Agents
    now: Callable[[], datetime]
    installation: str  # prefix of every idempotency key
    language_model: LanguageModel | None = None
    ladder: tuple[timedelta, ...] = LADDER

    def read(self, ticket_id: int, depth: Depth = Depth.WHOLE) -> Reading:
        """Read the ticket and Stripe and decide, with what agents chose for this ticket before.

        Raises OutsideError; a missing part of Stripe does not raise.
        """
        with self.engine.connect() as connection:
            stored = cards.read(connection, ticket_id)
        try:
            return self._read(ticket_id, stored, depth)
        finally:
            self.reads.settle()

    def _read(self, ticket_id: int, stored: StoredCard | None, depth: Depth) -> Reading:
        ticket, text, requester = read_request(self.zendesk, ticket_id)
        evidence = read_ticket(text, requester, ticket_id)
        correction, chosen, lookup = (stored.correction, stored.chosen, stored.lookup) if stored else (None, None, None)
        if correction or chosen or lookup:
            depth = Depth.WHOLE
        if depth is Depth.WHOSE or (depth is Depth.IF_BILLING and self._clearly_not_billing(evidence)):
            decision = decide(evidence, self.reader.who(evidence, now=self.now()), self.policy)
            billing = decision.diagnosis.bucket is not Bucket.NOT_BILLING
            if depth is Depth.WHOSE or not billing:
                return Reading(ticket=ticket, evidence=evidence, decision=decision, sparing=billing)
        if self.language_model is not None:
            evidence = replace(evidence, second_reading=self.language_model.read(evidence))
        snapshot = self.reader.snapshot(evidence, now=self.now(), lookup=lookup)
        decision = decide(
            evidence, snapshot, self.policy, chosen=chosen, correction=Bucket(correction) if correction else None
        )
        return Reading(ticket=ticket, evidence=evidence, decision=decision)

    def _clearly_not_billing(self, evidence: TicketEvidence) -> bool:
        """By the words alone, with nothing in them that leads to Stripe."""
        if evidence.identifiers:
            return False
        told = decide(evidence, BillingSnapshot(taken_at=self.now()), self.policy).diagnosis
        return told.bucket is Bucket.NOT_BILLING and told.band is Band.SUGGEST

    def links(self, plan: Plan, document: Mapping[str, Any]) -> dict[str, str]:
        """The links that this plan's reply may hold, fetched now and kept nowhere; what cannot be had is left out."""
        return self.reader.links(plan)

    def recheck(self, ticket_id: int, plan: Plan, steps: Sequence[str]) -> Verdict:
        """Read everything anew and compare with the plan. When it moved, the card already shows the new plan."""
        from zendesk.enrichment import store_reading  # the other direction of this import is the usual one

        reading = replace(self, language_model=None).read(ticket_id)  # its word moves no plan
        verdict = recheck(plan, steps, reading.decision)
        if isinstance(verdict, Stale):
            store_reading(self, reading)
        return verdict
