"""The trigram index of an SQLite store, which follows the commits.

It keeps behind on purpose: indexing a message takes several times what storing it does, and nobody waits for the index,
since a search compares what it does not hold. So messages are gathered for a while and indexed in few transactions,
between two commits; the older what waits gets, the more of the writer's time the index takes (`pacing`), so that it is
never more than some seconds behind.
"""

import json
from typing import Final, NamedTuple

import apsw
import trio

from chinwag.persistence.group_commit import GroupCommit
from chinwag.persistence.pacing import Backlog
from chinwag.persistence.queries import messages, sqlite_text
from chinwag.persistence.queries import search as queries
from chinwag.persistence.sqlite.background import BackgroundWork
from chinwag.persistence.sqlite.threads import ConnectionThreads

INDEXED_ROOM_MESSAGES = 32
"""A room enters the index with this message. Comparing fewer takes no longer than one look into the index."""
DELAY_S = 1.0
"""From the first new message to its indexing, so that many are indexed together: in slices of 64 a message takes twice
the time that it takes in slices of 1,024."""
MOST_MORE: Final = 4
"""Rooms that enter the index bring older messages with them: at most so many times more than were asked for."""


class Indexer:
    """Keeps the trigram index of one SQLite store. Its state belongs to the event loop's thread."""

    def __init__(self, connection: apsw.Connection, writer: ConnectionThreads, actor: GroupCommit) -> None:
        """`connection` is read here, before the thread of `writer` has any work."""
        self._indexed_row: int = connection.execute(queries.INDEXED_ROW).get
        self._stale: int = connection.execute(queries.STALE_COUNT).get
        self._last_row: int = max(self._indexed_row, connection.execute(messages.LAST_ROW).get)
        self._backlog = Backlog(self._last_row - self._indexed_row + self._stale, trio.current_time())
        self._background = BackgroundWork("indexing", writer, actor)
        self._work = trio.Event()
        self.paused = False
        """Set by tests that want the index to stay behind."""

    @property
    def last_row(self) -> int:
        """The highest row that a message in the table ever had."""
        return self._last_row

    @property
    def backlog(self) -> int:
        """How many messages and stale entries the index is behind."""
        return self._backlog.size

    def committed(self, stored_row: int, stale_rows: int) -> None:
        """All messages up to a row are in their table, and so many more are stale."""
        more = stored_row - self._last_row + stale_rows
        if more:
            self._last_row = stored_row
            self._stale += stale_rows
            self._backlog.add(more, trio.current_time())
            self._work.set()

    def add_stale(self, stale_rows: int) -> None:
        """So many more entries are stale."""
        self.committed(self._last_row, stale_rows)

    async def run(self) -> None:
        """Index what is committed, for ever."""
        if self.backlog:
            self._work.set()
        while True:
            await self._work.wait()
            self._work = trio.Event()
            await trio.sleep(DELAY_S)
            while self.backlog and not self.paused:
                await self._background.try_step(self.step, age_s=self._age_s())

    async def step(self, *, rows: int | None = None) -> None:
        """Index a slice: up to `rows` stale ones, and about as many new ones."""
        indexed_row, last_row, has_stale = self._indexed_row, self._last_row, self._stale > 0

        def work(connection: apsw.Connection, count: int) -> _Indexed:
            forgotten = _mend(connection, count) if has_stale else 0
            row, added = _index_messages(connection, indexed_row, last_row, count)
            return _Indexed(row, forgotten, forgotten + added)

        indexed = await self._background.step(work, rows=rows, age_s=self._age_s())
        self._backlog.take(indexed.row - indexed_row + indexed.forgotten)
        self._indexed_row = indexed.row
        self._stale -= indexed.forgotten

    def _age_s(self) -> float:
        return self._backlog.age_s(trio.current_time())


class _Indexed(NamedTuple):
    row: int
    """All messages up to it are indexed."""
    forgotten: int
    """So many stale entries were mended."""
    rows: int
    """Of both together, with what a room that entered the index brought along."""


# Both hand Python's lock back and forth once per statement, whatever the rows: in a busy process that takes longer than
# the rows do.


def _mend(connection: apsw.Connection, count: int) -> int:
    """Mend up to `count` stale entries; returns how many there were."""
    bound = connection.execute(sqlite_text(queries.STALE_BOUND), (count,)).get
    if bound is None:
        return 0
    connection.execute(sqlite_text(queries.DROP_STALE_ENTRIES), (bound,))
    connection.execute(sqlite_text(queries.INDEX_STALE), (bound,))
    connection.execute(sqlite_text(queries.FORGET_STALE), (bound,))
    return connection.changes()


def _index_messages(connection: apsw.Connection, indexed_row: int, last_row: int, count: int) -> tuple[int, int]:
    """Index about `count` of the messages after a row and up to another. Returns the row that it came to, and how many
    messages that were: those of small rooms, which are not in the index, count too.

    A room that enters the index brings all its older messages with it.
    """
    if indexed_row == last_row:
        return indexed_row, 0
    while True:
        bound = min(indexed_row + count, last_row)
        found: str = connection.execute(
            sqlite_text(queries.NEXT_PARTS), (indexed_row, bound, INDEXED_ROOM_MESSAGES)
        ).get
        parts: list[tuple[int, int | None, int, int]] = json.loads(found)
        work = sum(last - after for _room, _number, after, last in parts)
        if work <= MOST_MORE * count or count == 1:
            break
        count = max(1, count * count // work)
    if any(number is None for _room, number, _after, _last in parts):
        connection.execute(sqlite_text(queries.ADD_ROOMS), (found,))
    if parts:
        connection.execute(sqlite_text(queries.INDEX_MESSAGES), (found,))
        connection.execute(sqlite_text(queries.SET_INDEXED_SEQS), (found,))
    connection.execute(sqlite_text(queries.SET_INDEXED_ROW), (bound,))
    return bound, max(work, bound - indexed_row)
