"""What goes on by itself: where the periodic work stands, and what it follows."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from integrations.store.tables import UtcTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mark",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("value", sa.String(length=2000), nullable=False),
        sa.Column("at", UtcTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_mark")),
    )
    gap_columns: tuple[sa.Column[Any], ...] = (
        sa.Column("issue_repository", sa.String(length=140)),
        sa.Column("issue_reason", sa.String(length=16)),
        sa.Column("issue_owner", sa.String(length=60)),
        sa.Column("issue_closed_at", UtcTime(timezone=True)),
        sa.Column("issue_updated_at", UtcTime(timezone=True)),
        sa.Column("came_back_at", UtcTime(timezone=True)),
        sa.Column("block_lost_at", UtcTime(timezone=True)),
        sa.Column("said", sa.JSON()),
    )
    for column in gap_columns:
        op.add_column("gap", column)
    op.add_column("card", sa.Column("written", sa.JSON()))
    gap_ticket_columns: tuple[sa.Column[Any], ...] = (
        sa.Column("charges", sa.Integer()),
        sa.Column("seconds", sa.Integer()),
        sa.Column("plan", sa.String(length=80)),
        sa.Column("every", sa.String(length=16)),
        sa.Column("promised", sa.Boolean()),
    )
    for column in gap_ticket_columns:
        op.add_column("gap_ticket", column)
    op.create_table(
        "gap_news",
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("ticket_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("closed_at", UtcTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=40)),
        sa.Column("locale", sa.String(length=16)),
        sa.Column("body", sa.Text()),
        sa.Column("changed_at", UtcTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["fingerprint"], ["gap.fingerprint"], name=op.f("fk_gap_news_fingerprint")),
        sa.PrimaryKeyConstraint("fingerprint", "ticket_id", name=op.f("pk_gap_news")),
    )
    op.create_index("ix_gap_news_ticket", "gap_news", ["ticket_id"])
    op.add_column("card", sa.Column("round", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("action", sa.Column("before", sa.JSON(), nullable=True))
    op.add_column("action", sa.Column("claim", sa.String(length=80), nullable=True))
    op.add_column("action", sa.Column("claimed_until", UtcTime(timezone=True), nullable=True))
    op.create_table(
        "card_object",
        sa.Column("object", sa.String(length=80), nullable=False),
        sa.Column("ticket_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", UtcTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("object", "ticket_id", name=op.f("pk_card_object")),
    )
    op.create_index("ix_card_object_ticket", "card_object", ["ticket_id"])
