"""Search in SQLite: which messages contain a text, ignoring case as `str.casefold` does, in any script.

What a search costs depends on what its caller may see, not on what else the store holds; and whatever is found was
compared (LIKE), so the index only has to name every message that might match:
- The viewer's rooms are taken in the order of their newest messages, and compared directly, newest first, for a start.
  Once there are enough matches, what is older than all of them is left out. Common words end here.
- For the rest the trigram index is asked which of the text's trigrams is rare, in all of the store or in one large
  room, whose entries are one range of the index. It stops counting at a bound, and what has the trigram is compared.
- Where none is rare, the text is likely to be common; then, and for a text of one or two characters, which has no
  trigram, the viewer's messages are compared directly.
- Messages that the index does not hold yet, and stale entries (edited since), are compared directly as well. All that
  is read in one snapshot, so a search is complete whatever the index is behind.

The `Indexer` follows the commits, in small transactions between two of them. It keeps behind on purpose: indexing a
message takes several times what storing it does, and nobody waits for the index. While commits keep coming it takes a
small share of the writer's time; with nothing else to do it takes all.
"""

import json
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

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
TRIGRAMS = 16
"""So many of a long text's trigrams are tried."""
LIKE_PATTERN_BYTES = 50_000
"""SQLite's limit for a LIKE pattern (SQLITE_MAX_LIKE_PATTERN_LENGTH)."""
SEQ_BITS = 32
"""Of an index entry's rowid; the room's number is above them."""
LAST_ENTRY = (1 << 63) - 1

INDEXED_ROOM_MESSAGES = 32
"""A room enters the index with this message. Comparing fewer takes no longer than one look into the index."""
LARGE_ROOM_MESSAGES = 1_000
"""A room with more is looked up in the index by itself. Comparing so many takes 0.3 to 0.6 ms."""
FIRST_GROUP_MESSAGES = 1_000
"""So many are compared before the index is asked."""
GROUP_GROWTH = 8
"""The next group of rooms, or part of a large one, is so many times larger: what was found before may make it
superfluous."""
FIRST_BOUND = 64
BOUND_GROWTH = 8
"""A trigram's entries are counted up to a bound; if no trigram has fewer, up to so many times more, until the last
bound. Counting takes 0.05 µs an entry."""
RARE_SHARE = 4
"""The last bound in a large room: a trigram that one message in so many has saves little any more."""
RARE_ENTRIES = 500
RARE_SHARE_ANYWHERE = 8
"""The last bound in the whole store: so many, or one for so many messages of the viewer. Each is looked at, whoever may
see it."""
OWN_SHARE = 4
"""A short text is looked for room by room when the viewer's rooms hold less than one message in so many."""

LONG_TAIL_ROWS = 5_000
"""With more messages to index, a search first has the indexer catch up."""
CATCH_UP_S = 0.1
"""But not for longer than this. Comparing a message takes 0.3 µs and indexing it 9 µs (measured with 50 characters), so
it pays for the searches that follow only."""

SLICE_S = 0.003
"""What one transaction of the indexer should take: a commit may have to wait for it."""
FIRST_SLICE_ROWS = 64
LARGEST_SLICE_ROWS = 4_096
DELAY_S = 0.2
"""From the first new message to its indexing, so that the messages of a burst are indexed together."""
REST = 40
"""While commits keep coming, the indexer rests so many times as long as it worked. (With 9 it cost a fifth of the
commits at 50 clients: what it changes, the next commit has to sync.)"""
PATIENCE_S = 1.0
"""How long a slice waits for a moment without commits."""
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


def trigrams_of(folded: str) -> list[str]:
    """FTS5 queries for trigrams of a text, each of them once: all, or some from everywhere in a long one."""
    distinct = list(dict.fromkeys(folded[at : at + TRIGRAM] for at in range(len(folded) - TRIGRAM + 1)))
    chosen = distinct[:: -(-len(distinct) // TRIGRAMS)] if distinct else []
    escaped = (trigram.replace('"', '""') for trigram in chosen)
    return [f'"{trigram}"' for trigram in escaped]


AllRows = Callable[[str, tuple[object, ...]], list[Row]]


def find(all_rows: AllRows, viewer: UserId, text: str, room_id: RoomId | None, limit: int) -> list[Row]:
    """The rows of the newest `limit` messages that contain `text` and that the viewer may see, highest id first.

    `all_rows(query, arguments)` reads; all calls have to see one snapshot. A snapshot is what makes members, stale
    entries, index and messages agree.
    """
    folded = text.casefold()
    if "\0" in folded:
        return []  # no message contains it, and FTS5 would stop reading there
    search = _Search(all_rows, viewer, folded, limit)
    search.run(room_id)
    return search.newest()


class _Reach(NamedTuple):
    """A room that the viewer may see."""

    room_id: RoomId
    last_seq: int
    last_row: int
    number: int | None
    """Its entries are `entry(0)` < rowid <= `entry(indexed_seq)`; None: it has none."""
    indexed_seq: int

    def entry(self, seq: int) -> int:
        assert self.number is not None
        return self.number << SEQ_BITS | seq


class _Search:
    """One search, in one snapshot."""

    def __init__(self, all_rows: AllRows, viewer: UserId, folded: str, limit: int) -> None:
        self._all_rows = all_rows
        self._viewer = viewer
        self._limit = limit
        self._trigrams = trigrams_of(folded)
        pattern = like_pattern(folded)
        self._too_long = len(pattern.encode("utf-8", "surrogatepass")) > LIKE_PATTERN_BYTES
        self._pattern = folded if self._too_long else pattern
        self._found: dict[int, Row] = {}  # by messages.row
        self._floor = 0  # a messages.row: what is not above it is too old

    def newest(self) -> list[Row]:
        """What was found, newest first."""
        return [self._found[row] for row in sorted(self._found, reverse=True)]

    def run(self, room_id: RoomId | None) -> None:
        """Look through the viewer's rooms, or one of them."""
        if room_id is None:
            rows = self._all_rows(queries.REACH, (self._viewer,))
        else:
            rows = self._all_rows(queries.REACH_IN_ROOM, (self._viewer, room_id))
        rooms = [_Reach(*row) for row in rows]
        if room_id is not None:
            for room in rooms:
                self._in_room(room)
            return
        if not self._trigrams and self._is_a_good_part(rooms):
            self._compare(queries.IN_ALL, self._viewer, self._limit)
            return
        group: list[_Reach] = []
        size, enough, first = 0, FIRST_GROUP_MESSAGES, True
        for room in rooms:
            if size >= enough:
                self._in_group(group)
                if first and not self._floor and self._rare_anywhere(rooms):
                    return
                group, size, enough, first = [], 0, enough * GROUP_GROWTH, False
            if room.last_row <= self._floor:
                break  # so are the next ones
            group.append(room)
            size += min(room.last_seq, LARGE_ROOM_MESSAGES)
        self._in_group(group)

    def _is_a_good_part(self, rooms: Iterable[_Reach]) -> bool:
        total = int(self._all_rows(messages.LAST_ROW, ())[0][0])
        return sum(room.last_seq for room in rooms) * OWN_SHARE >= total

    # - comparing

    def _compare(self, query: str, first: object, *more: object) -> int:
        """Read messages that contain the text. Returns how many there were, too old ones included."""
        if self._too_long:
            query = query.replace(queries.CONTAINS, queries.CONTAINS_LONG)
        rows = self._all_rows(query, (first, self._pattern, *more))
        self._found.update((row[-1], row[:-1]) for row in rows)
        if len(self._found) >= self._limit:
            kept = sorted(self._found, reverse=True)[: self._limit]
            self._found = {row: self._found[row] for row in kept}
            self._floor = kept[-1] if kept else self._floor
        return len(rows)

    def _in_group(self, rooms: Iterable[_Reach]) -> None:
        small: list[tuple[RoomId, int, int]] = []
        for room in rooms:
            if room.last_seq <= LARGE_ROOM_MESSAGES:
                small.append((room.room_id, 0, room.last_seq))
            elif room.last_row > self._floor:
                self._in_room(room)
        self._in_parts(small)

    def _in_parts(self, parts: list[tuple[RoomId, int, int]]) -> None:
        if parts:
            self._compare(queries.IN_ROOMS, json.dumps(parts), self._floor, self._limit)

    def _in_room(self, room: _Reach) -> None:
        """Its newest messages and those that are not indexed yet; and then the older ones."""
        middle = max(0, min(room.indexed_seq, room.last_seq - LARGE_ROOM_MESSAGES)) if self._trigrams else 0
        count = self._compare(queries.IN_ROOM, room.room_id, middle, room.last_seq, self._limit)
        if middle == 0 or count >= self._limit:
            return
        oldest = self._seq_at_floor(room, middle)
        size = LARGE_ROOM_MESSAGES
        while middle > oldest and count < self._limit:
            size *= GROUP_GROWTH
            after = max(oldest, middle - size)
            count += self._in_indexed_part(room, after, middle)
            middle = after

    def _in_indexed_part(self, room: _Reach, after: int, last: int) -> int:
        entries = (room.entry(after), room.entry(last))
        trigram = self._rare_trigram(*entries, (last - after) // RARE_SHARE)
        if trigram is None:
            return self._compare(queries.IN_ROOM, room.room_id, after, last, self._limit)
        self._compare(queries.STALE, json.dumps([(room.room_id, *entries)]), self._limit)
        return self._compare(queries.ENTRIES_IN_ROOM, room.room_id, *entries, self._limit, trigram)

    def _seq_at_floor(self, room: _Reach, last: int) -> int:
        """The last sequence up to `last` that is too old. Rows rise with the sequence, so this bisects."""
        if not self._floor:
            return 0

        def row_of(seq: int) -> int:
            return int(self._all_rows(messages.ROW_FROM_SEQ, (room.room_id, seq))[0][0])

        return bisect_right(range(1, last + 1), self._floor, key=row_of)

    # - the index

    def _rare_trigram(self, after: int, last: int, highest: int) -> str | None:
        """A trigram with no more than `highest` entries in a part of the index, and about as rare as there is one."""
        bound = min(FIRST_BOUND, highest)
        while True:
            for trigram in self._trigrams:
                if not self._all_rows(queries.MORE_ENTRIES, (trigram, after, last, bound)):
                    return trigram
            if bound == highest:
                return None
            bound = min(bound * BOUND_GROWTH, highest)

    def _rare_anywhere(self, rooms: Sequence[_Reach]) -> bool:
        """Finish the search by a trigram that is rare in the whole store, if there is one."""
        reach = sum(room.last_seq for room in rooms)
        trigram = self._rare_trigram(0, LAST_ENTRY, max(RARE_ENTRIES, reach // RARE_SHARE_ANYWHERE))
        if trigram is None:
            return False
        self._compare(queries.ENTRIES, self._viewer, self._limit, trigram)
        self._in_parts(
            [(room.room_id, room.indexed_seq, room.last_seq) for room in rooms if room.indexed_seq < room.last_seq]
        )
        indexed = [(room.room_id, room.entry(0), room.entry(room.indexed_seq)) for room in rooms if room.indexed_seq]
        self._compare(queries.STALE, json.dumps(indexed), self._limit)
        return True


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
        """The highest row that a message in the table ever had."""
        return self._last_row

    @property
    def backlog(self) -> int:
        """How many messages and stale entries the index is behind."""
        return self._last_row - self._indexed_row + self._stale

    def committed(self, stored_row: int, stale_rows: int) -> None:
        """All messages up to a row are in their table, and so many more are stale."""
        self._last_row = stored_row
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
                    await self._step_when_quiet()
                except EngineError as error:
                    log.warning("indexing failed", reason=error.message)
                    await trio.sleep(RETRY_S)
                except Exception:
                    # Searches are complete without the index, only slower. A bug in it must not end the store.
                    log.exception("indexing failed")
                    await trio.sleep(RETRY_S)
                else:
                    if self._actor.commits != commits:
                        await trio.sleep(REST * (time.perf_counter() - started))

    async def _step_when_quiet(self) -> None:
        """Index a slice when no commit is queued; when one always is, between two of them all the same."""
        with trio.move_on_after(PATIENCE_S) as waiting:
            await self.step()
        if waiting.cancelled_caught:
            await self.step(urgent=True)

    async def catch_up(self) -> None:
        """Wait until a search has little to compare one by one, if that is soon; then, and else, search."""
        with trio.move_on_after(CATCH_UP_S):
            while self.backlog > LONG_TAIL_ROWS and not self.paused:
                try:
                    await self.step(urgent=True)
                except EngineError:
                    return  # what is not indexed is compared one by one

    async def step(self, *, rows: int | None = None, urgent: bool = False) -> None:
        """Index a slice: up to `rows` stale ones, and as many new ones."""

        async def work() -> None:
            count = rows or self._slice_rows
            bound = min(self._indexed_row + count, self._last_row)
            started = time.perf_counter()
            try:
                bound, forgotten = await self._writer.run(_index_slice, self._indexed_row, bound, count)
            except apsw.Error as error:
                raise engine_error(error) from error
            seconds = time.perf_counter() - started
            if rows is None:
                fitting = int(count * SLICE_S / max(seconds, SLICE_S / 4))
                self._slice_rows = min(max(fitting, 1), LARGEST_SLICE_ROWS)
            self._indexed_row = bound
            self._stale -= forgotten

        await self._actor.between_commits(work, urgent=urgent)


def _index_slice(connection: apsw.Connection, indexed_row: int, bound: int, count: int) -> tuple[int, int]:
    """Mend up to `count` stale entries, then index about `count` messages of the rows up to `bound`.

    Returns the row that it came to, and how many entries were mended.
    """
    execute = connection.execute
    # What is lost of the index in a power cut is lost together with its watermarks, and made again: no need to wait for
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
                bound = _index_messages(connection, indexed_row, bound, count)
                execute(sqlite_text(queries.SET_INDEXED_ROW), (bound,))
    finally:
        execute("PRAGMA synchronous = FULL")
    return bound, forgotten


def _index_messages(connection: apsw.Connection, indexed_row: int, bound: int, count: int) -> int:
    """Index about `count` messages of the rows up to `bound`; returns the row that it came to.

    A room that enters the index brings all its older messages with it, so that may be before `bound`.
    """
    execute = connection.execute
    parts: dict[RoomId, list[int]] = {}  # of rooms in the index: number, room, and sequences: after, up to
    work = 0
    rows: list[Any] = execute(sqlite_text(queries.NEXT_MESSAGES), (indexed_row, bound)).fetchall()
    for row, room_id, seq, number, after in rows:
        part = parts.get(room_id)
        if part is None and number is not None:
            part = parts[room_id] = [number, room_id, after, after]
        if part is None and seq >= INDEXED_ROOM_MESSAGES:
            added: int = execute(sqlite_text(queries.ADD_ROOM), (room_id,)).get
            part = parts[room_id] = [added, room_id, 0, 0]
        if part is not None and seq > part[-1]:
            work += seq - part[-1]
            part[-1] = seq
            if work >= count:
                bound = row
                break
    if parts:
        # In the order of entries: FTS5 writes a segment whenever they fall.
        ordered = json.dumps(sorted(parts.values()))
        execute(sqlite_text(queries.INDEX_MESSAGES), (ordered,))
        execute(sqlite_text(queries.SET_INDEXED_SEQS), (ordered,))
    return bound
