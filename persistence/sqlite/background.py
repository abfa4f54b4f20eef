"""Work of the writing thread that nobody waits for: in small steps between two commits, at `pacing.Pace`."""

import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import apsw
import structlog
import trio

from chinwag.engine.model.errors import EngineError
from chinwag.persistence.group_commit import GroupCommit
from chinwag.persistence.pacing import Pace
from chinwag.persistence.sqlite.errors import engine_error, write_transaction
from chinwag.persistence.sqlite.threads import ConnectionThreads

log = structlog.get_logger("chinwag.persistence")


class Done(Protocol):
    """What came of a piece of work."""

    @property
    def rows(self) -> int:
        """How many rows it was: fewer than asked for when there are no more."""
        ...


T = TypeVar("T", bound=Done)

RETRY_S: Final = 5.0
"""Until a step that failed is tried again."""


class BackgroundWork:
    """One kind of such work. Used by one task at a time, on the event loop's thread."""

    def __init__(self, what: str, writer: ConnectionThreads, actor: GroupCommit) -> None:
        """`what` names it in the log: "indexing"."""
        self._what = what
        self._writer = writer
        self._actor = actor
        self._pace = Pace()
        self._worked_s = 0.0

    async def step(
        self, work: Callable[[apsw.Connection, int], T], *, rows: int | None = None, age_s: float = 0.0
    ) -> T:
        """Have the writing thread call `work(connection, rows)` in a transaction, between two commits.

        Without `rows` there are so many as fit. `age_s` is the age of the work. Raises the engine's errors, and apsw's
        for what only a bug can cause.
        """
        count = self._pace.rows(age_s) if rows is None else rows
        results: list[T] = []

        def timed(connection: apsw.Connection) -> tuple[T, float, float]:
            began, began_cpu = time.perf_counter(), time.thread_time()
            result = _in_transaction(connection, work, count)
            return result, time.perf_counter() - began, time.thread_time() - began_cpu

        async def between() -> None:
            result, self._worked_s, computed_s = await self._writer.run(timed)
            if result.rows >= count:  # what a smaller one takes tells little about it
                self._pace.worked(result.rows, computed_s)
            results.append(result)

        try:
            await self._actor.between_commits(between, patience_s=self._pace.patience_s(age_s))
        except apsw.Error as error:
            raise engine_error(error) from error
        return results[0]

    async def try_step(self, step: Callable[[], Awaitable[object]], *, age_s: float = 0.0) -> None:
        """Do a `step` and rest, if commits are coming; or log why it failed, and wait for better times."""
        commits = self._actor.commits
        try:
            await step()
        except EngineError as error:
            log.warning(f"{self._what} failed", reason=error.message)
            await trio.sleep(RETRY_S)
        except Exception:
            # The store is whole without it, only slower, or as it was before. A bug in it must not end the store.
            log.exception(f"{self._what} failed")
            await trio.sleep(RETRY_S)
        else:
            if self._actor.commits != commits:
                await trio.sleep(self._pace.rest_s(self._worked_s, age_s))


def _in_transaction(connection: apsw.Connection, work: Callable[[apsw.Connection, int], T], count: int) -> T:
    # What a power cut takes of such work it takes together with the mark of how far it came, and it is done again: no
    # need to wait for the disk. The next commit of messages syncs the log as a whole.
    connection.execute("PRAGMA synchronous = NORMAL")
    try:
        with write_transaction(connection):
            return work(connection, count)
    finally:
        connection.execute("PRAGMA synchronous = FULL")
