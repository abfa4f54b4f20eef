"""The runner of jobs: work behind what people wait for, such as expiry, retention and deliveries.

A job does a bounded step at a time. What it has done is in the store (its cursor, or the rows that are gone), so that a
process that is killed between two steps, or in one, goes on where the last commit was: a step may be done twice, and
has to be made so that this does no harm. A job is woken by time, or by a nudge; each has a task of its own, so that
none waits for another. What a step raises costs that job a pause, which doubles while it goes on failing.

Deliveries, of rows that an observer (`model.commits`) added to commits, go behind a cursor:

    async def deliver() -> More:
        due = await rows_after(int(await store.cursor("deliveries") or 0), limit=100)
        for row in due:
            await send(row)  # may happen twice, so `row.id` goes with it
        if due:
            await store.commit([SetCursor(name="deliveries", position=str(due[-1].id))])
        return More.NOW if len(due) == 100 else More.LATER

    deliveries = Job("deliveries", deliver)  # the observer's `committed` is `deliveries.nudge`
"""

import enum
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Final

import structlog
import trio

from chinwag.engine.model.errors import EngineError

log = structlog.get_logger("chinwag.engine")

RETRY_S: Final = 1.0
"""The pause after a failed step, doubled with each that fails after it."""
MOST_RETRY_S: Final = 300.0
REST_S: Final = 0.05
"""Between two steps, so that a job that has a lot to do leaves the store to those who wait for it."""
ENDING_S: Final = 1.0
"""How long a step may take to finish at shutdown."""


class More(enum.Enum):
    """What a step found: is there more to do at once, or not before the next time or nudge?"""

    NOW = enum.auto()
    LATER = enum.auto()


class Job:
    """One kind of work. `nudge` and the counters belong to the event loop's thread."""

    def __init__(
        self,
        name: str,
        step: Callable[[], Awaitable[More]],
        *,
        every_s: float = math.inf,
        first_s: float = 0.0,
    ) -> None:
        """`name` is for logs and metrics. `step()` does a bounded piece. It is called `first_s` after the start, then
        again at once while there is more, else after `every_s` or a nudge, whichever is first."""
        self.name = name
        self.steps = 0
        """Steps that were done."""
        self.failures = 0
        """Steps that raised."""
        self.failing = False
        """Whether the last one did."""
        self._step = step
        self._every_s = every_s
        self._first_s = first_s
        self._nudged = trio.Event()

    def nudge(self) -> None:
        """There is something to do. Never waits; as often as you like. It does not cut short a pause after failures."""
        self._nudged.set()

    async def run(self, ending: trio.Event) -> None:
        """Step, until the event at the latest. A step that is going on then may finish."""
        pause_s = 0.0
        await _first_of(ending, self._nudged, self._first_s)
        while not ending.is_set():
            self._nudged = trio.Event()
            try:
                more = await self._step()
            except Exception as error:  # noqa: BLE001 - logged and tried again: it must not end the other jobs
                pause_s = min(pause_s * 2 or RETRY_S, MOST_RETRY_S)
                self._failed(error, pause_s)
                with trio.move_on_after(pause_s):
                    await ending.wait()
                continue
            self.steps += 1
            pause_s = 0.0
            if self.failing:
                self.failing = False
                log.info("job works again", job=self.name)
            if more is More.NOW:
                with trio.move_on_after(REST_S):
                    await ending.wait()
            else:
                await _first_of(ending, self._nudged, self._every_s)

    def _failed(self, error: Exception, pause_s: float) -> None:
        self.failures += 1
        if not isinstance(error, EngineError):
            log.error("job failed", job=self.name, retry_s=pause_s, exc_info=error)
        elif not self.failing:  # a store that is away for an hour is one line
            log.warning("job failed", job=self.name, retry_s=pause_s, reason=error.message)
        self.failing = True


class JobRunner:
    """Runs an engine's jobs. Iterating gives them."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        """Raises ValueError for two of one name: their cursors would be one."""
        self._jobs = tuple(jobs)
        if len({job.name for job in self._jobs}) < len(self._jobs):
            raise ValueError("two jobs have one name")
        self._ending = trio.Event()
        self._ended = trio.Event()

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs)

    async def run(self) -> None:
        """Run all, until `stop`, and then until the steps that are going on are done."""
        try:
            async with trio.open_nursery() as nursery:
                for job in self._jobs:
                    nursery.start_soon(job.run, self._ending)
        finally:
            self._ended.set()

    def stop(self) -> None:
        """Begin no step any more. Never waits."""
        self._ending.set()

    async def ended(self) -> None:
        """Return when no step is going on any more, after `stop`; after `ENDING_S` at the latest. What still goes on
        then ends with the engine's tasks, and is done again at the next start."""
        with trio.move_on_after(ENDING_S) as ending:
            await self._ended.wait()
        if ending.cancelled_caught:
            log.warning("jobs did not finish in time")


async def _first_of(one: trio.Event, other: trio.Event, within_s: float) -> None:
    """Return when either event is set, or the time is over."""
    with trio.move_on_after(within_s):
        async with trio.open_nursery() as nursery:

            async def until(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(until, one)
            nursery.start_soon(until, other)
