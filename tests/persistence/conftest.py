from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chinwag.persistence.sqlite import store as sqlite
from chinwag.persistence.sqlite.store import SqliteStore, open_sqlite_store
from tests.persistence.sqlite.searching import world


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chinwag.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    """A store with people, rooms and no messages, whose index stays behind until it is told to go on."""
    async with open_sqlite_store(path) as store:
        store.indexer.paused = True
        await store.commit(world())
        yield store


@pytest.fixture
def never_flushes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is moved into the table for want of other work."""
    monkeypatch.setattr(sqlite, "FLUSH_DELAY_S", 3600.0)
