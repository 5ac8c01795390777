"""How do we reach the database, and is its schema this version's?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from integrations.store import tables

# SQLite's one writer is waited for so long. Whoever delivers a webhook gives up after ten seconds, so that a request
# has to be answered with 503 before; a job is tried again, and the engine repeats its own writes for ever.
BUSY_MILLISECONDS = 5000


class SchemaMismatch(Exception):
    """The store's schema is not this version's; the text says what to do."""


def open_engine(url: str, *, pool: int = 20) -> sa.Engine:
    """An engine for `sqlite:///…` (WAL, FULL, immediate transactions) or `postgresql://…` (psycopg, pre-ping)."""
    if url.startswith("sqlite"):
        engine = sa.create_engine(url, pool_size=pool, max_overflow=5)
        sa.event.listen(engine, "connect", _prepare_sqlite)
        return engine
    return sa.create_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1),
        pool_size=pool,
        max_overflow=5,
        pool_pre_ping=True,
        pool_timeout=5,
        connect_args={"connect_timeout": 5, "options": "-c statement_timeout=30000"},
    )


def upgrade(engine: sa.Engine) -> None:
    """Bring our tables to this version; safe to repeat, to interrupt, and to run twice at once."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            # The driver opens a transaction before rows change but not before tables do: half a schema would stay.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('billing-desk migrate'))"))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        present = connection.execute(sa.select(tables.gate.c.name)).first()
        if present is None:
            connection.execute(sa.insert(tables.gate).values(name="money", passes=0))


def check_schema(engine: sa.Engine) -> None:
    """Raise SchemaMismatch with one sentence unless the store is at exactly this version's schema."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current is None:
        raise SchemaMismatch("The store is empty. Run billing-desk migrate first.")
    if current != head:
        known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
        if current in known:
            raise SchemaMismatch("The store's schema is older than this version. Run billing-desk migrate.")
        raise SchemaMismatch("The store's schema is newer. Install the version that made it.")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # IMMEDIATE: a transaction that starts by reading and then writes fails at once under load otherwise.
    connection.isolation_level = "IMMEDIATE"
    for pragma in (f"busy_timeout={BUSY_MILLISECONDS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
