"""The journal: messages of many rooms, committed in one piece.

A room's messages are found by an index of room and sequence. A commit that holds a few messages of each of a hundred
rooms changes a hundred pages of that index, and to write those out took half of the server's time in many small rooms.
So such a commit becomes one row of the table `journal`, and its messages come into their table later, thousands at
once: then a page of the index is written once for many of a room's messages. (250 rooms of two with 4 messages in
flight in each: 24 instead of 29 µs of server CPU for a message, everything included.)

Rules:
- Both are transactions of one database, the commit with `synchronous = FULL` like any other. A message is in the
  journal or in its table, never in both: it is moved within a transaction. So nothing depends on when that happens, nor
  on whether the process lives to do it: what is left over is moved at the next start.
- Whoever reads messages has the journal emptied first (`SETTLE`). So does every commit that is not of the kind above.
- No rule of the table is weakened: a commit that would break one goes to the table at once, which refuses it.
"""

from collections.abc import Sequence
from typing import Final

import apsw
import msgspec
import structlog

from chinwag.engine.ids import RoomId, UserId
from chinwag.engine.model import Message
from chinwag.engine.store import DeleteRoom, InsertMessage
from chinwag.persistence.actor import StoredWrite
from chinwag.persistence.message_rows import ROOM, TEXT, MessageRow, insert_rows, row_of
from chinwag.persistence.queries import accounts, messages, sqlite_text
from chinwag.persistence.queries import journal as queries
from chinwag.persistence.sqlite_errors import write_transaction

log = structlog.get_logger("chinwag.persistence")

FROM_UNITS: Final = 8
"""A commit of fewer units (turns of rooms) goes to the table at once: it changes few pages."""
MOST_MESSAGES: Final = 8_000
"""With as many in the journal, the next commit empties it. That takes it some 20 to 30 ms."""
MOST_CHARACTERS: Final = 4_000_000
"""And with as much text."""
REMEMBERED: Final = 100_000
"""Rooms, and authors, that need not be looked up again."""

_Key = tuple[RoomId, UserId, str]
"""An idempotency key, which is its author's in one room."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[MessageRow]).decode


class Journal:
    """What is in the journal of one database, kept in memory too. For the writer's thread, if nothing else is said."""

    def __init__(self, connection: apsw.Connection, *, from_units: int = FROM_UNITS) -> None:
        """Reads what the last process left. `from_units`: how many units make a commit one for the journal."""
        self._connection = connection
        self._from_units = from_units
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
                self._add(_decode(entry))
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                log.error("damaged row", what="journal", id=number, damage=str(error))
                connection.execute(sqlite_text(queries.SET_ASIDE), (number,))

    def __len__(self) -> int:
        """How many messages wait for their place in the table. May be asked from any thread."""
        return len(self._rows)

    def holds(self, room_id: RoomId) -> bool:
        """Whether messages of a room are among them. May be asked from any thread."""
        return room_id in self._rooms

    def commit(self, units: Sequence[Sequence[StoredWrite]], last_row: int) -> int:
        """Commit units to the journal, if they are of its kind: returns how many messages they hold, 0 if they are not.

        Their rows are numbered from `last_row` + 1. Raises apsw's errors, and then nothing is committed.
        """
        if len(units) < self._from_units or len(self) >= MOST_MESSAGES or self._characters >= MOST_CHARACTERS:
            return 0
        if len(self._last_seqs) >= REMEMBERED:
            self._last_seqs.clear()
        if len(self._authors) >= REMEMBERED:
            self._authors.clear()
        rows: list[MessageRow] = []
        for writes in units:
            for write in writes:
                if type(write) is not InsertMessage or not self._fits(write.message):
                    return 0
                last_row += 1
                rows.append(row_of(write, last_row))
        with write_transaction(self._connection):
            self._connection.execute(sqlite_text(queries.INSERT_ENTRY), (_encode(rows),))
        self._add(rows)
        return len(rows)

    def goes_to_table(self, unit: Sequence[StoredWrite]) -> None:
        """To be told of what is written otherwise."""
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

    def empty(self) -> None:
        """Move everything into the table, within a transaction of the caller's; `forget` it once that is committed.

        Raises `apsw.ConstraintError` when one of the messages has no place there: `rescue` the others.
        """
        if self._rows:
            insert_rows(self._connection, self._rows)
            self._connection.execute(queries.EMPTY)

    def forget(self) -> None:
        """The journal was emptied."""
        self._rows = []
        self._rooms = set()
        self._characters = 0
        self._keys = set()

    def rescue(self) -> None:
        """Move into the table what has a place there, and set the rest aside: messages of a room that was deleted by
        other means than ours, and what a bug made. On their account nobody else's may wait for ever."""
        homeless: list[MessageRow] = []
        with write_transaction(self._connection):
            for row in self._rows:
                try:
                    insert_rows(self._connection, [row])
                except apsw.ConstraintError as error:
                    homeless.append(row)
                    log.error("message has no place", row=row[0], id=row[1], room=row[2], reason=str(error))
            self._connection.execute(queries.EMPTY)
            if homeless:
                self._connection.execute(sqlite_text(queries.INSERT_ASIDE), (_encode(homeless),))
        self.forget()
        self._last_seqs.clear()
        self._authors.clear()

    def _fits(self, message: Message) -> bool:
        """Whether a message breaks no rule of its table, when those that were asked about before are in it.

        They need not come into it: then this is too strict, until what is asked about goes to the table.
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
        return message.key is None or self._is_new((message.room_id, message.author_id, message.key))

    def _is_new(self, key: _Key) -> bool:
        """Whether no message was committed under an idempotency key yet."""
        if key in self._keys or self._connection.execute(sqlite_text(messages.ID_OF_KEYED), key).get is not None:
            return False
        self._keys.add(key)
        return True

    def _add(self, rows: list[MessageRow]) -> None:
        self._rows += rows
        self._rooms.update([RoomId(row[ROOM]) for row in rows])
        self._characters += sum([len(row[TEXT]) for row in rows])
