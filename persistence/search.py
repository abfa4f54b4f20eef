"""Search in SQLite: which messages contain a text, ignoring case as `str.casefold` does, in any script.

Three places are looked at, in one snapshot, so that a search is complete whatever the index is behind:
- the trigram index holds the messages up to a watermark, apart from the stale ones (edited or deleted since);
- the tail, messages above the watermark, and the stale ones are compared one by one;
- a text of one or two characters has no trigram: all messages that the viewer may see are compared, newest first.

The `Indexer` moves the watermark, in small transactions between two commits. It keeps behind on purpose: indexing a
message takes several times what storing it does, and nobody waits for the index. While commits keep coming it takes a
small share of the writer's time; with nothing else to do it takes all.
"""

import time
from collections.abc import Callable

import apsw
import structlog
import trio

from chinwag.engine.errors import EngineError
from chinwag.engine.ids import RoomId, UserId
from chinwag.persistence.actor import PersistenceActor
from chinwag.persistence.queries import messages, sqlite_text
from chinwag.persistence.queries import search as queries
from chinwag.persistence.rows import Row
from chinwag.persistence.sqlite_errors import engine_error, write_transaction
from chinwag.persistence.threads import ConnectionThreads

log = structlog.get_logger("chinwag.persistence")

TRIGRAM = 3
"""Characters that a text must have for the index to be of use."""
LIKE_PATTERN_BYTES = 50_000
"""SQLite's limit for a LIKE pattern (SQLITE_MAX_LIKE_PATTERN_LENGTH)."""
LONG_TAIL_ROWS = 5_000
"""With more rows to compare one by one, a search first has the indexer catch up."""
CATCH_UP_S = 0.1
"""But not for longer than this. Comparing a row takes 0.2 µs and indexing it 9 µs (measured with 50 characters), so it
pays for the searches that follow only."""
OWN_SHARE = 4
"""A short text is looked for room by room when the viewer's rooms hold less than one message in so many."""

SLICE_S = 0.003
"""What one transaction of the indexer should take: a commit may have to wait for it."""
FIRST_SLICE_ROWS = 64
LARGEST_SLICE_ROWS = 4_096
DELAY_S = 0.2
"""From the first new message to its indexing, so that the messages of a burst are indexed together."""
REST = 40
"""While commits keep coming, the indexer rests so many times as long as it worked. (With 9 it cost a fifth of the
commits at 50 clients: what it changes, the next commit has to sync.)"""
RETRY_S = 5.0
"""Until it tries again when the store takes no writes."""


def case_folded(text: str) -> str | None:
    """What goes into the column `folded`: None where folding does no more than put A to Z into lower case."""
    if text.isascii():
        return None
    folded = text.casefold()
    ascii_lower = text.encode("utf-8", "surrogatepass").lower()  # of bytes: touches A to Z alone
    return None if folded.encode("utf-8", "surrogatepass") == ascii_lower else folded


def like_pattern(folded: str) -> str:
    """A LIKE pattern, with the escape character `\\`, for texts that contain `folded` literally."""
    escaped = folded.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def phrase(folded: str) -> str:
    """An FTS5 query for texts that contain `folded` literally."""
    escaped = folded.replace('"', '""')
    return f'"{escaped}"'


def find(
    all_rows: Callable[[str, tuple[object, ...]], list[Row]],
    viewer: UserId,
    text: str,
    room_id: RoomId | None,
    limit: int,
) -> list[Row]:
    """The rows of the newest `limit` messages that contain `text` and that the viewer may see, highest id first.

    `all_rows(query, arguments)` reads; all calls have to see one snapshot. A snapshot is what makes watermark, stale
    rows, index and messages agree.
    """
    folded = text.casefold()
    if "\0" in folded:
        return []  # no message contains it, and FTS5 would stop reading there
    pattern = like_pattern(folded)
    too_long = len(pattern.encode("utf-8", "surrogatepass")) > LIKE_PATTERN_BYTES

    def compare(query: str, *more: object) -> list[Row]:
        if too_long:
            return all_rows(query.replace(queries.CONTAINS, queries.CONTAINS_LONG), (viewer, folded, *more))
        return all_rows(query, (viewer, pattern, *more))

    if len(folded) >= TRIGRAM:
        indexed_row = all_rows(queries.INDEXED_ROW, ())[0][0]
        rows = compare(queries.TAIL, room_id, indexed_row, limit)
        rows += compare(queries.STALE, room_id, indexed_row, limit)
        rows += all_rows(queries.INDEXED, (viewer, phrase(folded), room_id, indexed_row, limit))
    elif room_id is not None:
        rows = compare(queries.SHORT_IN_ROOM, room_id, limit)
    else:
        ((reach,),) = all_rows(queries.REACH, (viewer,))
        ((total,),) = all_rows(messages.LAST_ROW, ())
        few = reach * OWN_SHARE < total
        rows = compare(queries.SHORT_IN_OWN if few else queries.SHORT_IN_ALL, limit)
    rows.sort(key=lambda row: row[0], reverse=True)
    return rows[:limit]


class Indexer:
    """Keeps the trigram index of one SQLite store. Its state belongs to the event loop's thread."""

    def __init__(self, connection: apsw.Connection, writer: ConnectionThreads, actor: PersistenceActor) -> None:
        """`connection` is read here, before the thread of `writer` has any work."""
        self._writer = writer
        self._actor = actor
        self._indexed_row: int = connection.execute(queries.INDEXED_ROW).get
        self._stale: int = connection.execute(queries.STALE_COUNT).get
        self._last_row: int = max(self._indexed_row, connection.execute(messages.LAST_ROW).get)
        self._slice_rows = FIRST_SLICE_ROWS
        self._work = trio.Event()
        self.paused = False
        """Set by tests that want the index to stay behind."""

    @property
    def last_row(self) -> int:
        """The highest row that a message ever had."""
        return self._last_row

    @property
    def backlog(self) -> int:
        """How many rows a search has to compare one by one."""
        return self._last_row - self._indexed_row + self._stale

    def committed(self, new_rows: int, stale_rows: int) -> None:
        """So many messages were added, and so many more are stale."""
        self._last_row += new_rows
        self._stale += stale_rows
        if self.backlog:
            self._work.set()

    async def run(self) -> None:
        """Index what is committed, for ever."""
        if self.backlog:
            self._work.set()
        while True:
            await self._work.wait()
            self._work = trio.Event()
            await trio.sleep(DELAY_S)
            while self.backlog and not self.paused:
                commits = self._actor.commits
                started = time.perf_counter()
                try:
                    await self.step()
                except EngineError as error:
                    log.warning("indexing failed", reason=error.message)
                    await trio.sleep(RETRY_S)
                else:
                    if self._actor.commits != commits:
                        await trio.sleep(REST * (time.perf_counter() - started))

    async def catch_up(self) -> None:
        """Wait until a search has little to compare one by one, if that is soon; then, and else, search."""
        with trio.move_on_after(CATCH_UP_S):
            while self.backlog > LONG_TAIL_ROWS and not self.paused:
                try:
                    await self.step(urgent=True)
                except EngineError:
                    return  # a store that takes no writes can still be searched

    async def step(self, *, rows: int | None = None, urgent: bool = False) -> None:
        """Index a slice: up to `rows` stale ones, and as many new ones."""

        async def work() -> None:
            count = rows or self._slice_rows
            bound = min(self._indexed_row + count, self._last_row)
            started = time.perf_counter()
            try:
                forgotten = await self._writer.run(_index_slice, self._indexed_row, bound, count)
            except apsw.Error as error:
                raise engine_error(error) from error
            seconds = time.perf_counter() - started
            if rows is None:
                fitting = int(count * SLICE_S / max(seconds, SLICE_S / 4))
                self._slice_rows = min(max(fitting, 1), LARGEST_SLICE_ROWS)
            self._indexed_row = bound
            self._stale -= forgotten

        await self._actor.between_commits(work, urgent=urgent)


def _index_slice(connection: apsw.Connection, indexed_row: int, bound: int, count: int) -> int:
    """Mend up to `count` stale entries, then index the rows up to `bound`. Returns how many were mended."""
    execute = connection.execute
    # What is lost of the index in a power cut is lost together with its watermark, and made again: no need to wait for
    # the disk. The next commit of messages syncs the log as a whole.
    execute("PRAGMA synchronous = NORMAL")
    try:
        with write_transaction(connection):
            forgotten = 0
            stale_bound = execute(sqlite_text(queries.STALE_BOUND), (count,)).get
            if stale_bound is not None:
                execute(sqlite_text(queries.DROP_STALE_ENTRIES), (stale_bound,))
                execute(sqlite_text(queries.INDEX_STALE), (stale_bound,))
                execute(sqlite_text(queries.FORGET_STALE), (stale_bound,))
                forgotten = connection.changes()
            if bound > indexed_row:
                execute(sqlite_text(queries.INDEX_TAIL), (indexed_row, bound))
                execute(sqlite_text(queries.SET_INDEXED_ROW), (bound,))
    finally:
        execute("PRAGMA synchronous = FULL")
    return forgotten
