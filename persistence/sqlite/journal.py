"""The journal: messages of many rooms, committed in one piece.

A room's messages are found by an index of room and sequence. A commit that holds a few messages of each of a hundred
rooms changes a hundred pages of that index. So such a commit becomes one row of the table `journal`, an *entry*, and
its messages come into their table later, thousands at once: the journal is *flushed*. Then a page of the index is
written once for many of a room's messages. (What that saves: docs/benchmarks.md.)

Rules:
- Both are transactions of one database, the commit with `synchronous = FULL` like any other. A message is in the
  journal or in its table, never in both: it is moved within a transaction. So nothing depends on when that happens, nor
  on whether the process lives to do it: what is left over is flushed at the next start.
- Who reads messages has the journal flushed first (`FLUSH`). So does every commit that is not of the kind above.
- No rule of the table is weakened: a commit that would break one goes to the table at once, which refuses it.
- An entry outlives the process, and the release. Whoever changes `MessageRow` has to go on decoding what was written
  before: the number of values in a row tells which. What an older release folded is folded anew.
- What cannot be decoded, or has no place in the table, is kept, and marked as quarantined.
"""

from collections.abc import Sequence
from typing import Final

import apsw
import msgspec
import structlog

from chinwag.engine.model.ids import MessageId, RoomId, UserId
from chinwag.engine.model.store import DeleteRoom, InsertMessage
from chinwag.engine.model.values import Message
from chinwag.persistence.folding import UNSEARCHED, folded_column
from chinwag.persistence.group_commit import DriverWrite
from chinwag.persistence.queries import accounts, messages, sqlite_text
from chinwag.persistence.queries import journal as queries
from chinwag.persistence.sqlite.errors import write_transaction
from chinwag.persistence.sqlite.message_rows import MessageRow, insert_rows, row_of

log = structlog.get_logger("chinwag.persistence")

MIN_UNITS: Final = 8
"""A commit of fewer units (turns of rooms) goes to the table at once: it changes few pages."""
MAX_MESSAGES: Final = 8_000
"""With as many in the journal, the next commit flushes it. That takes some 20 to 30 ms."""
MAX_CHARACTERS: Final = 4_000_000
"""And with as much text."""
CACHE_LIMIT: Final = 100_000
"""Rooms, and authors, that need not be looked up again."""

_Key = tuple[RoomId, UserId, str]
"""An idempotency key, which is its author's in one room."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[MessageRow]).decode


class Journal:
    """The journal of one database, and what is in it. Used by the writing thread only, except where a method says
    otherwise; made before that thread has any work."""

    def __init__(self, connection: apsw.Connection, *, min_units: int = MIN_UNITS) -> None:
        """Reads what the last process left. `min_units`: how many units make a commit one for the journal."""
        self._connection = connection
        self._min_units = min_units
        self._rows: list[MessageRow] = []
        self._rooms: set[RoomId] = set()
        self._characters = 0
        # What the rules of the table look at.
        self._keys: set[_Key] = set()
        self._last_id: int = connection.execute(messages.LAST_ID).get
        self._last_seqs: dict[RoomId, int] = {}
        self._authors: set[UserId] = set()
        for number, entry in list(connection.execute(queries.ENTRIES)):
            try:
                rows = _decode(entry)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                log.error("damaged row", what="journal", id=number, damage=str(error))
                connection.execute(sqlite_text(queries.QUARANTINE), (number,))
            else:
                self._add([row._replace(folded=_folded_now(row)) for row in rows])
                self._last_id = max([self._last_id, *(row.id for row in rows)])

    def __len__(self) -> int:
        """How many messages wait for their place in the table. Any thread may ask."""
        return len(self._rows)

    def holds(self, room_id: RoomId) -> bool:
        """Whether messages of a room are among them. Any thread may ask."""
        return room_id in self._rooms

    def may_hold(self, message_id: MessageId) -> bool:
        """Whether a message may be among them: ids rise in the order of commit, so all of the table's are lower, and a
        look for an older message need not wait. Any thread may ask."""
        rows = self._rows
        return bool(rows) and message_id >= rows[0].id

    def messages(self) -> list[MessageRow]:
        """What is in the journal, in the order of commit. Any thread may ask.

        A snapshot of the table that is taken afterwards has all of the acknowledged messages that are not among these,
        and maybe some that are.
        """
        return self._rows[:]

    def commit(self, units: Sequence[Sequence[DriverWrite]], last_row: int) -> int | None:
        """Commit units to the journal and return how many messages they hold; None, and nothing has happened, when they
        have to go to the table.

        The messages' rows are numbered from `last_row` + 1. Raises apsw's errors, and then nothing is committed.
        """
        if len(units) < self._min_units or len(self) >= MAX_MESSAGES or self._characters >= MAX_CHARACTERS:
            return None
        if len(self._last_seqs) >= CACHE_LIMIT:
            self._last_seqs.clear()
        if len(self._authors) >= CACHE_LIMIT:
            self._authors.clear()
        rows: list[MessageRow] = []
        for writes in units:
            for write in writes:
                if type(write) is not InsertMessage or not self._admit(write.message):
                    return None
                last_row += 1
                rows.append(row_of(write, last_row))
        with write_transaction(self._connection):
            self._connection.execute(sqlite_text(queries.INSERT_ENTRY), (_encode(rows),))
        self._add(rows)
        return len(rows)

    def note_table_writes(self, unit: Sequence[DriverWrite]) -> None:
        """Forget what is remembered of rooms whose messages go to the table directly.

        To be called for each unit that does, within its transaction. When that is rolled back no harm is done: what is
        not remembered is looked up.
        """
        room_id = None
        for write in unit:
            if type(write) is InsertMessage:
                message = write.message
                if message.id > self._last_id:
                    self._last_id = message.id
                if message.room_id != room_id:  # most units are about one room
                    room_id = message.room_id
                    self._last_seqs.pop(room_id, None)
            elif type(write) is DeleteRoom:
                self._last_seqs.pop(write.room_id, None)

    def flush(self) -> None:
        """Move everything into the table, within a transaction of the caller's; `clear` once that is committed.

        Raises `apsw.ConstraintError` when the table refuses one of the messages: `flush_what_fits` then.
        """
        if self._rows:
            insert_rows(self._connection, self._rows)
            self._connection.execute(queries.DELETE_FLUSHED)

    def clear(self) -> None:
        """The journal was flushed."""
        self._rows = []
        self._rooms = set()
        self._characters = 0
        self._keys = set()

    def flush_what_fits(self) -> None:
        """Move into the table what it takes, in a transaction of its own, and quarantine the rest: messages of a room
        that was deleted by other means than ours, and what a bug made. On their account nobody else's may wait."""
        rejected: list[MessageRow] = []
        with write_transaction(self._connection):
            for row in self._rows:
                try:
                    insert_rows(self._connection, [row])
                except apsw.ConstraintError as error:
                    rejected.append(row)
                    log.error("journaled message rejected", id=row.id, room=row.room_id, reason=str(error))
            self._connection.execute(queries.DELETE_FLUSHED)
            if rejected:
                self._connection.execute(sqlite_text(queries.INSERT_QUARANTINED), (_encode(rejected),))
        self.clear()
        self._last_seqs.clear()
        self._authors.clear()

    def _admit(self, message: Message) -> bool:
        """Check a message against the rules of its table, and remember it as committed.

        Should its commit fail, or go to the table, what is remembered only sends later messages to the table that need
        not go there, until `note_table_writes` or `clear`.
        """
        last_seq = self._last_seqs.get(message.room_id)
        if last_seq is None:
            if message.room_id in self._rooms:
                return False  # the table does not tell
            last_seq = self._connection.execute(sqlite_text(messages.LAST_SEQ_IN_ROOM), (message.room_id,)).get
            if last_seq is None:
                return False  # there is no such room
        if message.author_id not in self._authors:
            if self._connection.execute(sqlite_text(accounts.USER_EXISTS), (message.author_id,)).get is None:
                return False
            self._authors.add(message.author_id)
        if message.seq <= last_seq or message.id <= self._last_id:
            return False
        self._last_seqs[message.room_id] = message.seq
        self._last_id = message.id
        return message.key is None or self._claim_key((message.room_id, message.author_id, message.key))

    def _claim_key(self, key: _Key) -> bool:
        """Whether nobody has used an idempotency key yet; from now on somebody has."""
        if key in self._keys or self._connection.execute(sqlite_text(messages.ID_OF_KEYED), key).get is not None:
            return False
        self._keys.add(key)
        return True

    def _add(self, rows: list[MessageRow]) -> None:
        self._rows += rows
        self._rooms.update([RoomId(row.room_id) for row in rows])
        self._characters += sum([len(row.text) for row in rows])


def _folded_now(row: MessageRow) -> str | None:
    return UNSEARCHED if row.folded == UNSEARCHED else folded_column(row.text)
