"""Rewrites: what former releases stored in another form, brought over behind the running server.

A migration that would have to change many rows adds a row to the table `rewrites` in their place, and a `Rewrite` of
that name does the rest, a few rows at a time between commits. How far it came is committed together with the rows, so
it goes on there after a restart or a crash. Until it is through, both forms are in the table.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import apsw
import structlog

from chinwag.persistence.group_commit import GroupCommit
from chinwag.persistence.queries import rewrites as queries
from chinwag.persistence.queries import sqlite_text
from chinwag.persistence.sqlite.background import BackgroundWork
from chinwag.persistence.sqlite.threads import ConnectionThreads

log = structlog.get_logger("chinwag.persistence")


class BroughtOver(NamedTuple):
    """What one step did."""

    rows: int
    """So many were looked at."""
    after: int | None
    """The key of the last row that was looked at; None when there was none."""
    stale: int = 0
    """Entries of the search index that are stale now."""


class Rewrite(NamedTuple):
    """One rewrite."""

    name: str
    """As the migration wrote it."""
    step: Callable[[apsw.Connection, int, int], BroughtOver]
    """`step(connection, after, count)` brings over the next `count` rows whose key is above `after`, in the order of
    their keys, within a transaction of the caller's. To do it twice is no harm."""


class Rewriter:
    """Does the rewrites of one SQLite store that are not through."""

    def __init__(
        self,
        connection: apsw.Connection,
        writer: ConnectionThreads,
        actor: GroupCommit,
        rewrites: Sequence[Rewrite],
        on_stale: Callable[[int], None],
    ) -> None:
        """`connection` is read here, before the thread of `writer` has any work. `on_stale` is told of the number of
        entries that are stale."""
        self._rewrites = rewrites
        self._after: dict[str, int] = {str(name): int(after) for name, after in connection.execute(queries.UNFINISHED)}
        self._work = BackgroundWork("rewriting", writer, actor)
        self._on_stale = on_stale

    @property
    def unfinished(self) -> list[str]:
        """The names of those that are not through."""
        return list(self._after)

    async def run(self) -> None:
        """Do what there is to do, one after the other."""
        for rewrite in self._rewrites:
            if rewrite.name in self._after:
                log.info("rewriting", what=rewrite.name, after=self._after[rewrite.name])
                while rewrite.name in self._after:
                    await self._work.try_step(self.step)
                log.info("rewritten", what=rewrite.name)

    async def step(self, *, rows: int | None = None) -> None:
        """Bring over a few rows of the first that is not through, if there is one: up to `rows`."""
        rewrite = next((each for each in self._rewrites if each.name in self._after), None)
        if rewrite is None:
            return
        name, step, after = rewrite.name, rewrite.step, self._after[rewrite.name]

        def work(connection: apsw.Connection, count: int) -> BroughtOver:
            brought = step(connection, after, count)
            if brought.after is None:
                connection.execute(sqlite_text(queries.FINISH), (name,))
            else:
                connection.execute(sqlite_text(queries.ADVANCE), (name, brought.after))
            return brought

        brought = await self._work.step(work, rows=rows)
        if brought.after is None:
            del self._after[name]
        else:
            self._after[name] = brought.after
        self._on_stale(brought.stale)
