from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from chinwag.engine.model.store import Store
from chinwag.engine.testing import MemoryStore
from chinwag.engine.testing.harness import EngineHarness, RoomHarness, open_harness
from chinwag.persistence.sqlite.journal import MIN_UNITS
from chinwag.persistence.sqlite.store import open_sqlite_store
from tests.engine.stores.stores import JOURNAL, MEMORY, SQLITE, world


@pytest.fixture
async def h(autojump_clock: MockClock) -> AsyncIterator[EngineHarness]:
    """An engine on a memory store, under virtual time."""
    # pytest-trio takes the clock from the test's own arguments, not from its fixtures'.
    assert isinstance(trio.lowlevel.current_clock(), MockClock), "the test has to ask for autojump_clock too"
    async with open_harness() as harness:
        yield harness


@pytest.fixture
async def room(h: EngineHarness) -> RoomHarness:
    """One room, made by who joins first."""
    return RoomHarness(h)


@pytest.fixture(params=[MEMORY, SQLITE, JOURNAL])
async def empty(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A store with nothing in it."""
    if request.param == MEMORY:
        yield MemoryStore()
    else:
        min_units = MIN_UNITS if request.param == SQLITE else 1
        async with open_sqlite_store(tmp_path / "chinwag.db", journal_min_units=min_units) as store:
            yield store


@pytest.fixture
async def store(empty: Store) -> Store:
    """Ann and Bob are in ROOM; Ann and Cat are in OTHER."""
    await empty.commit(world())
    return empty
