from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from chinwag.engine.harness import EngineHarness, RoomHarness, open_harness


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
