"""How does a test put a store back to what it was? Every row of our own tables, on either database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from integrations.store.tables import metadata

Backup = dict[str, list[dict[str, Any]]]


def backup(engine: sa.Engine) -> Backup:
    with engine.connect() as connection:
        return {
            table.name: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
            for table in metadata.sorted_tables
        }


def restore(engine: sa.Engine, kept: Backup) -> None:
    """As an operator would: nobody works meanwhile, and what came after the copy is gone."""
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(sa.delete(table))
        for table in metadata.sorted_tables:
            if kept[table.name]:
                connection.execute(sa.insert(table), kept[table.name])
