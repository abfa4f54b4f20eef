"""Search in SQLite: which messages contain a text, by their folded forms, in any script.

What a search costs depends on what its caller may see, not on what else the store holds; and whatever is found was
compared, so the index (`search_index`) only has to name every message that might match:
- The viewer's rooms are taken in the order of their newest messages, and compared directly, newest first, for a start.
  Once there are enough matches, what is older than all of them is left out. Common words end here.
- For the rest the trigram index is asked which of the text's trigrams is rare, in all of the store or in one large
  room, whose entries are one range of the index. It stops counting at a bound, and what has the trigram is compared.
- Where none is rare, the text is likely to be common; then, and for a text of one or two characters, which has no
  trigram, the viewer's messages are compared directly.
- Messages that the index does not hold yet, stale entries (edited since), and what is still in the journal, are
  compared directly as well. All that is read in one snapshot, so a search is complete whatever the index is behind.

To compare a text with another costs the product of their lengths at worst, in steps of a nanosecond; queries are short
(`engine.messages.searches`). Every step of a search only adds to what was found, so that it can end at any time.
"""

import json
from bisect import bisect_right
from collections.abc import Callable, Container, Iterable, Sequence
from typing import NamedTuple

from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.text import folded
from chinwag.persistence.folding import searched_text
from chinwag.persistence.queries import messages
from chinwag.persistence.queries import search as queries
from chinwag.persistence.rows import Row
from chinwag.persistence.sqlite.message_rows import MessageRow
from chinwag.persistence.sqlite.time_limits import OutOfTime

TRIGRAM = 3
"""Characters that a text must have for the index to be of use."""
TRIGRAMS = 16
"""So many of a long text's trigrams are tried."""
SEQ_BITS = 32
"""Of an index entry's rowid; the room's number is above them."""
LAST_ENTRY = (1 << 63) - 1

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


def trigrams_of(text: str) -> list[str]:
    """FTS5 queries for trigrams of a folded text, each of them once: all, or some from everywhere in a long one."""
    distinct = list(dict.fromkeys(text[at : at + TRIGRAM] for at in range(len(text) - TRIGRAM + 1)))
    chosen = distinct[:: -(-len(distinct) // TRIGRAMS)] if distinct else []
    escaped = (trigram.replace('"', '""') for trigram in chosen)
    return [f'"{trigram}"' for trigram in escaped]


ReadInto = Callable[[list[Row], str, tuple[object, ...]], None]


class Found(NamedTuple):
    """What a search came to."""

    rows: list[int]
    """Of messages, newest first."""
    complete: bool


def find(read: ReadInto, viewer: UserId, text: str, room_id: RoomId | None, limit: int) -> Found:
    """The newest `limit` messages in the table that contain `text` and that the viewer may see.

    `read(rows, query, arguments)` appends the rows of the answer; all calls have to see one snapshot, which is what
    makes members, stale entries, index and messages agree. When it raises `OutOfTime`, what was found by then, the rows
    of this answer included, is not complete.
    """
    needle = folded(text)
    if "\0" in needle or not _is_unicode(needle) or limit <= 0:
        return Found([], complete=True)  # no message contains NUL, and FTS5 would stop reading there
    search = _Search(read, viewer, needle, limit)
    try:
        search.run(room_id)
    except OutOfTime:
        return Found(search.newest(), complete=False)
    return Found(search.newest(), complete=True)


def find_journaled(
    journaled: Sequence[MessageRow], last_row: int, text: str, rooms: Container[RoomId], limit: int
) -> list[MessageRow]:
    """The same of messages in the journal, in rooms of the viewer's. `last_row` is the last in the snapshot's table:
    others may have come there since they were in the journal."""
    needle = folded(text)
    found: list[MessageRow] = []
    for row in reversed(journaled):
        if row.row <= last_row or len(found) == limit:
            break
        if row.room_id in rooms and needle in searched_text(row.text, row.folded):
            found.append(row)
    return found


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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

    def __init__(self, read: ReadInto, viewer: UserId, needle: str, limit: int) -> None:
        self._read = read
        self._viewer = viewer
        self._limit = limit
        self._trigrams = trigrams_of(needle)
        self._needle = needle.encode()
        self._found: set[int] = set()  # of messages.row
        self._floor = 0  # a messages.row: what is not above it is too old

    def newest(self) -> list[int]:
        """What was found, newest first."""
        return sorted(self._found, reverse=True)[: self._limit]

    def run(self, room_id: RoomId | None) -> None:
        """Look through the viewer's rooms, or one of them."""
        if room_id is None:
            rows = self._all(queries.REACH, self._viewer)
        else:
            rows = self._all(queries.REACH_IN_ROOM, self._viewer, room_id)
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
        return sum(room.last_seq for room in rooms) * OWN_SHARE >= self._number(messages.LAST_ROW)

    def _number(self, query: str, *values: object) -> int:
        [(number,)] = self._all(query, *values)
        return int(number)

    def _all(self, query: str, *values: object) -> list[Row]:
        rows: list[Row] = []
        self._read(rows, query, values)
        return rows

    # - comparing

    def _compare(self, query: str, first: object, *more: object) -> int:
        """Find messages that contain the text. Returns how many there were, too old ones included."""
        rows: list[Row] = []
        try:
            self._read(rows, query, (first, self._needle, *more))
        finally:
            self._found.update(row for (row,) in rows)
        if len(self._found) >= self._limit:
            kept = self.newest()
            self._found = set(kept)
            self._floor = kept[-1]
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
            self._compare(queries.IN_ROOMS, json.dumps(parts), self._floor)

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
        self._compare(queries.STALE, json.dumps([(room.room_id, *entries)]))
        return self._compare(queries.ENTRIES_IN_ROOM, room.room_id, *entries, trigram)

    def _seq_at_floor(self, room: _Reach, last: int) -> int:
        """The last sequence up to `last` that is too old. Rows rise with the sequence, so this bisects."""
        if not self._floor:
            return 0
        return bisect_right(
            range(1, last + 1), self._floor, key=lambda seq: self._number(messages.ROW_FROM_SEQ, room.room_id, seq)
        )

    # - the index

    def _rare_trigram(self, after: int, last: int, highest: int) -> str | None:
        """A trigram with no more than `highest` entries in a part of the index, and about as rare as there is one."""
        bound = min(FIRST_BOUND, highest)
        while True:
            for trigram in self._trigrams:
                if not self._all(queries.MORE_ENTRIES, trigram, after, last, bound):
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
        self._compare(queries.ENTRIES, self._viewer, trigram)
        self._in_parts(
            [(room.room_id, room.indexed_seq, room.last_seq) for room in rooms if room.indexed_seq < room.last_seq]
        )
        indexed = [(room.room_id, room.entry(0), room.entry(room.indexed_seq)) for room in rooms if room.indexed_seq]
        self._compare(queries.STALE, json.dumps(indexed))
        return True
