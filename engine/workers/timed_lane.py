"""A lane whose turns are bounded in time: how long one waits for it, and how long it lasts."""

from collections.abc import AsyncIterator, Hashable
from contextlib import AsyncExitStack, asynccontextmanager

import trio

from chinwag.engine.model.errors import Overloaded
from chinwag.engine.workers.lanes import FairLane


class Deadline:
    """When something has to end, by Trio's clock."""

    def __init__(self, seconds: float) -> None:
        self._at = trio.current_time() + seconds

    @property
    def left_s(self) -> float:
        """Seconds until then, 0 once it is over."""
        return max(0.0, self._at - trio.current_time())


class TimedLane:
    """A `FairLane` in which nobody waits for ever, and each turn has a deadline."""

    def __init__(self, lane: FairLane, *, longest_wait_s: float, turn_s: float) -> None:
        """Who has waited for `longest_wait_s` is told to try again; a turn's deadline comes `turn_s` after it began."""
        self.lane = lane
        self._longest_wait_s = longest_wait_s
        self._turn_s = turn_s

    @asynccontextmanager
    async def turn(self, key: Hashable) -> AsyncIterator[Deadline]:
        """Work within the block, once it is this key's turn. Who works looks at the deadline.

        Raises `Overloaded` when too many wait, or it has taken too long.
        """
        async with AsyncExitStack() as stack:
            with trio.move_on_after(self._longest_wait_s) as waiting:
                await stack.enter_async_context(self.lane.turn(key))
            if waiting.cancelled_caught:
                raise Overloaded(f"too much {self.lane.name} at once")
            yield Deadline(self._turn_s)
