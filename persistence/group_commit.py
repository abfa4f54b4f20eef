"""The persistence actor: group commit.

Rules:
- `commit` queues its unit before its first suspension point, so the order of calls is the order of commits.
- The loop takes what is queued, has the driver apply it as one transaction, and then, on the event loop's thread and in
  order, runs each unit's `then` and wakes its caller. Nothing that was committed later is released earlier.
- A batch that fails through one of its units is tried again unit by unit: the bad one fails alone. A batch that fails
  because the store takes no writes at all fails as a whole, at once, and the loop goes on with the next.
- Whatever happens to a caller, its unit is committed and its `then` runs: a cancelled caller gives up the answer only.
- Every commit ends: by the driver's answer, or with `StoreUnavailable` when the loop is gone.

The loop is the only one that uses the driver, so what else needs the writing connection (the search indexer) runs
between two commits, in `between_commits`.
"""

import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
import trio

from chinwag.engine.model.errors import EngineError, InternalError, StoreUnavailable
from chinwag.engine.model.store import Write
from chinwag.engine.model.values import Record

log = structlog.get_logger("chinwag.persistence")

WRITES_PER_COMMIT = 4_000
"""One commit takes no unit more once it holds this many writes. It bounds what a caller waits for others' rows: some
20 ms. A single larger unit still goes through, in a commit of its own."""


class Flush(Record):
    """Asks the driver to make everything that was committed before readable. Changes nothing else."""


DriverWrite = Write | Flush
FLUSH: Final = (Flush(),)
"""A unit for `GroupCommit.commit`. The statistics leave it out."""


class Driver(Protocol):
    """What the actor needs of a database."""

    async def apply(self, units: Sequence[Sequence[DriverWrite]]) -> None:
        """Make all writes of all units durable, in order, as one transaction; or raise, with nothing applied.

        They need not be readable before a `Flush` was applied too.

        Raises `StoreUnavailable` when the store takes no writes at the moment, whatever they are. Any other exception
        means that one of the units cannot be applied. The driver is usable afterwards in both cases.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistenceStatistics:
    """What the actor did since it was started."""

    commits: int
    """Transactions that were committed."""
    units: int
    """Calls of `commit` and `commit_soon` whose writes were committed."""
    writes: int
    """Single writes in them."""
    failed_units: int
    """Calls that were answered with an error, `then`'s own excepted."""
    queued_units: int
    """Calls that wait for their transaction, or are in it."""


class _Unit:
    """One call of `commit` or `commit_soon` on its way.

    `task` is who waits for it, None once nobody does; `failed` is who is told of an error instead.
    """

    __slots__ = ("error", "failed", "task", "then", "writes")

    def __init__(
        self,
        writes: Sequence[DriverWrite],
        then: Callable[[], None] | None,
        *,
        task: trio.lowlevel.Task | None = None,
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        self.writes = writes
        self.then = then
        self.task = task
        self.failed = failed
        self.error: Exception | None = None

    def abandon(self, _: object) -> trio.lowlevel.Abort:
        """The caller was cancelled: it no longer waits, and the unit goes its way."""
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED


class _Job:
    """Something to be run between two commits."""

    __slots__ = ("done", "error", "function", "urgent")

    def __init__(self, function: Callable[[], Awaitable[None]]) -> None:
        self.function = function
        self.urgent = False
        self.done = trio.Event()
        self.error: Exception | None = None


class GroupCommit:
    """Gathers commits into transactions. `run` is its loop; `close` lets it end once everything queued is committed."""

    def __init__(
        self,
        driver: Driver,
        *,
        observe: Callable[[int, float], None] | None = None,
        writes_per_commit: int = WRITES_PER_COMMIT,
    ) -> None:
        """`observe(writes, seconds)` is called once per committed transaction, on the event loop's thread."""
        self._driver = driver
        self._observe = observe
        self._writes_per_commit = writes_per_commit
        self._queue: deque[_Unit] = deque()
        self._jobs: deque[_Job] = deque()
        self._in_flight: Sequence[_Unit] = ()
        self._sleeper: trio.lowlevel.Task | None = None
        self._closed = False
        self._available = True
        self._commits = self._units = self._writes = self._failed_units = 0

    @property
    def commits(self) -> int:
        """Transactions committed so far."""
        return self._commits

    def statistics(self) -> PersistenceStatistics:
        """A snapshot of the counters, for the metrics endpoint."""
        return PersistenceStatistics(
            commits=self._commits,
            units=self._units,
            writes=self._writes,
            failed_units=self._failed_units,
            queued_units=len(self._queue) + len(self._in_flight),
        )

    async def commit(self, writes: Sequence[DriverWrite], then: Callable[[], None] | None = None) -> None:
        """See `Store.commit`. `writes` must not be changed afterwards, also not by a caller that was cancelled."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        unit = _Unit(writes, then, task=trio.lowlevel.current_task())
        self._queue.append(unit)
        self._wake()
        # One wake per commit and nothing else: a trio.Event or a memory channel costs several times as much here.
        await trio.lowlevel.wait_task_rescheduled(unit.abandon)
        if unit.error is not None:
            raise unit.error

    def commit_soon(
        self, writes: Sequence[DriverWrite], then: Callable[[], None], failed: Callable[[Exception], None]
    ) -> None:
        """See `Store.commit_soon`. `writes` must not be changed afterwards."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        self._queue.append(_Unit(writes, then, failed=failed))
        self._wake()

    async def between_commits(self, function: Callable[[], Awaitable[None]], *, patience_s: float = math.inf) -> None:
        """Await `function()` in the loop, while no commit is running; what it raises comes out here.

        It waits until no commit is queued, for `patience_s` seconds; from then on for one commit at most, and for those
        who came before. A caller that is cancelled takes back what has not begun yet. Raises `StoreUnavailable` once
        the actor is closed.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        job = _Job(function)
        self._jobs.append(job)
        self._wake()
        try:
            with trio.move_on_after(patience_s):
                await job.done.wait()
            if not job.done.is_set():
                job.urgent = True
                self._wake()
                await job.done.wait()
        finally:
            if job in self._jobs:
                self._jobs.remove(job)
        if job.error is not None:
            raise job.error

    def close(self) -> None:
        """Take no more commits; the loop ends as soon as it has committed what is queued."""
        self._closed = True
        self._wake()

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Commit until `close`, then what is left. Cancellation does not end it: only the queue's end does."""
        with trio.CancelScope(shield=True):
            try:
                while True:
                    if self._queue:
                        await self._commit(self._take())
                    job = self._next_job()
                    if job is not None:
                        await self._do(job)
                    elif not self._queue:
                        if self._closed:
                            return
                        self._sleeper = trio.lowlevel.current_task()
                        await trio.lowlevel.wait_task_rescheduled(_stay)
            finally:
                self._closed = True
                gone = StoreUnavailable("the store is closed")
                for unit in (*self._in_flight, *self._queue):
                    self._release(unit, gone)
                for job in self._jobs:
                    job.error = gone
                    job.done.set()
                self._queue.clear()

    def _wake(self) -> None:
        if self._sleeper is not None:
            sleeper, self._sleeper = self._sleeper, None
            trio.lowlevel.reschedule(sleeper)

    def _next_job(self) -> _Job | None:
        """The first job, or while commits are queued the first urgent one."""
        job = next((each for each in self._jobs if each.urgent or not self._queue), None)
        if job is not None:
            self._jobs.remove(job)
        return job

    def _take(self) -> list[_Unit]:
        """The next batch: everything queued, up to the bound on its writes."""
        queue = self._queue
        batch = [queue.popleft()]
        room = self._writes_per_commit - len(batch[0].writes)
        while queue and (room := room - len(queue[0].writes)) >= 0:
            batch.append(queue.popleft())
        return batch

    async def _commit(self, batch: list[_Unit]) -> None:
        self._in_flight = batch
        error = await self._try(batch)
        if error is None or len(batch) == 1 or isinstance(error, StoreUnavailable):
            self._release_all(batch, error)
        else:
            for unit in batch:
                if not isinstance(error, StoreUnavailable):
                    error = await self._try([unit])
                self._release_all([unit], error)
        self._in_flight = ()

    async def _try(self, batch: Sequence[_Unit]) -> Exception | None:
        """Apply a batch as one transaction; returns why it could not be, None when it is durable."""
        units = [unit.writes for unit in batch if unit.writes]
        if not units:
            return None
        started = time.perf_counter()
        try:
            await self._driver.apply(units)
        except StoreUnavailable as error:
            if self._available:
                self._available = False
                log.warning("store takes no writes", reason=error.message, units=len(batch))
            return error
        except EngineError as error:
            return error
        except Exception as error:
            # A bug in the driver, or one unit's: it must not end the actor. Of a batch each is tried alone next.
            if len(batch) == 1:
                log.error("write failed unexpectedly", exc_info=error)
                internal = InternalError()
                internal.__cause__ = error
                return internal
            return error
        seconds = time.perf_counter() - started
        if not self._available:
            self._available = True
            log.info("store takes writes again")
        writes = sum([len(unit) for unit in units if unit is not FLUSH])
        self._commits += 1
        self._writes += writes
        if self._observe is not None:
            self._observe(writes, seconds)
        return None

    def _release_all(self, units: Sequence[_Unit], error: Exception | None) -> None:
        counted = sum([unit.writes is not FLUSH for unit in units])
        if error is None:
            self._units += counted
            for unit in units:
                self._release(unit, None)
        else:
            self._failed_units += counted
            for unit in units:
                # Each caller its own exception: raising one object in several tasks would mix up their tracebacks.
                self._release(unit, StoreUnavailable(error.message) if type(error) is StoreUnavailable else error)

    def _release(self, unit: _Unit, error: Exception | None) -> None:
        """Answer one unit, on the event loop's thread."""
        if error is None and unit.then is not None:
            try:
                unit.then()
            except Exception as raised:
                error = raised
                if unit.task is None and unit.failed is None:
                    log.error("callback of a cancelled commit failed", exc_info=raised)
        if unit.failed is not None:
            if error is not None:
                unit.failed(error)
        elif unit.task is not None:
            unit.error = error
            trio.lowlevel.reschedule(unit.task)
            unit.task = None

    async def _do(self, job: _Job) -> None:
        try:
            await job.function()
        except Exception as error:  # noqa: BLE001  it is its caller's, whatever it is
            job.error = error
        job.done.set()


def _stay(_: object) -> trio.lowlevel.Abort:
    """The loop sleeps in a shielded scope; should something cancel it all the same, it goes on sleeping."""
    return trio.lowlevel.Abort.FAILED
