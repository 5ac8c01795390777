"""Which tables are there? Plain SQLAlchemy tables, the same on both databases; migrations/ builds them.

Every time is UTC. Amounts are minor units. JSON columns hold what the contract calls the card, a plan, a receipt.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)


class UtcTime(sa.TypeDecorator[datetime]):
    """A UTC time on both databases; SQLite itself keeps no zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# Every accepted webhook delivery; (source, key) makes each one count once.
delivery = sa.Table(
    "delivery",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("source", sa.String(16), nullable=False),
    sa.Column("key", sa.String(200), nullable=False),
    sa.Column("ticket_id", sa.BigInteger),
    sa.Column("state", sa.String(16), nullable=False),  # accepted, done, ignored, quarantined
    sa.Column("reason", sa.String(80)),
    sa.Column("body", sa.JSON),  # ids only, never text
    sa.Column("received_at", UtcTime, nullable=False),
    sa.UniqueConstraint("source", "key"),
    sa.Index("ix_delivery_ticket", "ticket_id"),
)

# One card a ticket: what the sidebar shows at once. `version` counts every change (compare-and-swap).
card = sa.Table(
    "card",
    metadata,
    sa.Column("ticket_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("requests", sa.Integer, nullable=False),  # how often reading was asked for: part of the job's key
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("document", sa.JSON),  # contract section 5; null while the first enrichment runs
    sa.Column("plan", sa.JSON),  # the frozen plan, so that what is approved is what is applied
    sa.Column("approval_id", sa.String(40)),  # the newest approval
    sa.Column("correction", sa.String(32)),  # the bucket an agent chose
    sa.Column("chosen", sa.String(64)),  # the customer an agent chose
    sa.Column("lookup", sa.String(320)),  # what an agent looked up by hand
    sa.Column("noted", sa.String(40)),  # operation id of the enrichment note, stored before it is written
    sa.Column("noted_at", UtcTime),  # when the note was seen on the ticket
    sa.Column("as_of", UtcTime),
    sa.Column("round", sa.Integer, nullable=False, server_default="1"),  # counts up when a run of its plan is stopped
    sa.Column("written", sa.JSON),  # the tags and field values we wrote on the ticket last
    sa.Column("requested_at", UtcTime, nullable=False),
    sa.Column("updated_at", UtcTime, nullable=False),
)

# Which tickets' cards show this customer or charge: an event of Stripe's names no ticket.
card_object = sa.Table(
    "card_object",
    metadata,
    sa.Column("object", sa.String(80), primary_key=True),
    sa.Column("ticket_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Index("ix_card_object_ticket", "ticket_id"),
)

approval = sa.Table(
    "approval",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("ticket_id", sa.BigInteger, nullable=False),
    sa.Column("customer", sa.String(64)),
    sa.Column("digest", sa.String(80), nullable=False),
    sa.Column("round", sa.Integer, nullable=False),  # counts up when a plan that was stopped is approved anew
    sa.Column("request_hash", sa.String(64), nullable=False),
    sa.Column("agent_id", sa.BigInteger, nullable=False),
    sa.Column("agent_name", sa.String(120), nullable=False),
    sa.Column("second_agent_id", sa.BigInteger),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(80)),
    sa.Column("plan", sa.JSON, nullable=False),
    sa.Column("follow_up", sa.JSON, nullable=False),
    sa.Column("checked_at", UtcTime),  # when the facts were read again and found the same
    sa.Column("hold_until", UtcTime),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),  # of reading the facts again
    sa.Column("problem", sa.String(200)),  # why it stopped, for a person
    sa.Column("reply_state", sa.String(16), nullable=False, default="waiting"),  # waiting, ready, sent, none
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("finished_at", UtcTime),
    sa.UniqueConstraint("ticket_id", "digest", "round"),
)

# One row for every approved step, written before the first byte leaves: the intent, and later the outcome.
action = sa.Table(
    "action",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("approval_id", sa.String(40), sa.ForeignKey("approval.id"), nullable=False),
    sa.Column("step_id", sa.String(16), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("step", sa.JSON, nullable=False),
    sa.Column("key", sa.String(120), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("amount", sa.BigInteger),
    sa.Column("currency", sa.String(3)),
    sa.Column("agent_id", sa.BigInteger, nullable=False),
    sa.Column("customer", sa.String(64)),
    sa.Column("receipt", sa.JSON),
    sa.Column("reason", sa.String(80)),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("sent_at", UtcTime),  # the first time
    sa.Column("before", sa.JSON),  # what a reversible step found, stored before it was changed
    sa.Column("claim", sa.String(80)),  # who sends it; only that runner may write the outcome down
    sa.Column("claimed_until", UtcTime),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("updated_at", UtcTime, nullable=False),
    sa.UniqueConstraint("approval_id", "step_id"),
    sa.UniqueConstraint("key"),
    sa.Index("ix_action_spent", "currency", "created_at"),
)

# One row that every approval writes first, so that limits are counted and reserved in one order.
gate = sa.Table(
    "gate",
    metadata,
    sa.Column("name", sa.String(16), primary_key=True),
    sa.Column("passes", sa.BigInteger, nullable=False),
)

gap = sa.Table(
    "gap",
    metadata,
    sa.Column("fingerprint", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("repository", sa.String(140), nullable=False),
    sa.Column("issue_number", sa.BigInteger),
    sa.Column("issue_url", sa.String(300)),
    sa.Column("issue_state", sa.String(16)),
    sa.Column("creating", sa.String(40)),  # operation id of a creation whose answer is not known yet
    sa.Column("creating_at", UtcTime),
    sa.Column("milestone", sa.Integer, nullable=False, default=0),  # highest milestone that was commented
    sa.Column("first_seen", UtcTime, nullable=False),
    sa.Column("last_seen", UtcTime, nullable=False),
    sa.Column("issue_repository", sa.String(140)),  # where the issue is, when it was moved or its repository renamed
    sa.Column("issue_reason", sa.String(16)),  # completed, not_planned, duplicate, reopened
    sa.Column("issue_owner", sa.String(60)),  # login of the first assignee
    sa.Column("issue_closed_at", UtcTime),  # of the last closing, kept while it is open again
    sa.Column("issue_updated_at", UtcTime),
    sa.Column("came_back_at", UtcTime),  # when we opened it again: once and never more
    sa.Column("block_lost_at", UtcTime),  # when people were seen to have edited the managed block away
    sa.Column("said", sa.JSON),  # keys of the comments that stand on the issue
)

gap_ticket = sa.Table(
    "gap_ticket",
    metadata,
    sa.Column("fingerprint", sa.String(64), sa.ForeignKey("gap.fingerprint"), primary_key=True),
    sa.Column("ticket_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("customer_hash", sa.String(64)),
    sa.Column("pattern", sa.String(80), nullable=False),
    sa.Column("refunded", sa.JSON, nullable=False),  # currency -> minor units
    sa.Column("at_risk", sa.JSON, nullable=False),  # currency -> minor units a month
    sa.Column("seen_at", UtcTime, nullable=False),
    sa.Column("charges", sa.Integer),  # how many refunds `refunded` sums up
    sa.Column("seconds", sa.Integer),  # from the reading of the facts to the approval
    sa.Column("plan", sa.String(80)),  # name of the product in Stripe
    sa.Column("every", sa.String(16)),  # month, year …
    sa.Column("promised", sa.Boolean),  # whether the reply promised news
)

# What became of the gap behind a ticket: one row a ticket, written over when the issue changes its mind.
gap_news = sa.Table(
    "gap_news",
    metadata,
    sa.Column("fingerprint", sa.String(64), sa.ForeignKey("gap.fingerprint"), primary_key=True),
    sa.Column("ticket_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("outcome", sa.String(16), nullable=False),  # fixed, not_planned, duplicate, withdrawn
    sa.Column("closed_at", UtcTime, nullable=False),  # the closing that it is about
    sa.Column("state", sa.String(16), nullable=False),  # waiting, told, left
    sa.Column("reason", sa.String(40)),  # why it was left
    sa.Column("locale", sa.String(16)),
    sa.Column("body", sa.Text),  # the prepared follow-up; null when there is none
    sa.Column("changed_at", UtcTime, nullable=False),
    sa.Index("ix_gap_news_ticket", "ticket_id"),
)

correction = sa.Table(
    "correction",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("ticket_id", sa.BigInteger, nullable=False),
    sa.Column("agent_id", sa.BigInteger, nullable=False),
    sa.Column("was", sa.String(32), nullable=False),
    sa.Column("bucket", sa.String(32), nullable=False),
    sa.Column("why", sa.String(400), nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
)

# Append-only; each row carries the hash of the one before.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("actor", sa.String(40), nullable=False),
    sa.Column("event", sa.String(40), nullable=False),
    sa.Column("ticket_id", sa.BigInteger),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)

# Ids that Zendesk gave to what we installed: webhook, fields, app.
installed = sa.Table(
    "installed",
    metadata,
    sa.Column("name", sa.String(60), primary_key=True),
    sa.Column("value", sa.String(2000), nullable=False),
    sa.Column("at", UtcTime, nullable=False),
)

# How far periodic work has come: one text a name (a cursor, a hash, a time).
mark = sa.Table(
    "mark",
    metadata,
    sa.Column("name", sa.String(60), primary_key=True),
    sa.Column("value", sa.String(2000), nullable=False),
    sa.Column("at", UtcTime, nullable=False),
)
