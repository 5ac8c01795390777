"""Which stores does every journey run on?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.rig import Rig, rigged


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store: SQLite in one run, PostgreSQL in the other."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'desk.db'}"
    return str(request.getfixturevalue("postgres_database"))


@pytest.fixture
def rig(tmp_path: Path, store_url: str) -> Iterator[Rig]:
    """The product, migrated and configured for the twins; tests seed and start it."""
    with rigged(tmp_path, store_url) as made:
        yield made


@pytest.fixture
def small_rig(tmp_path: Path) -> Iterator[Rig]:
    """The same on SQLite only, where the store makes no difference."""
    with rigged(tmp_path) as made:
        yield made
