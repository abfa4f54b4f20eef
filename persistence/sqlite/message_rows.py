"""New messages as rows of their table, many at a time."""

from collections.abc import Sequence
from itertools import chain
from typing import Annotated, NamedTuple

import apsw
from msgspec import Meta

from chinwag.engine.model.store import InsertMessage
from chinwag.engine.model.values import MessageKind
from chinwag.persistence.folding import UNSEARCHED, folded_column
from chinwag.persistence.queries import messages
from chinwag.persistence.rows import attachments_text, extras_text

Int64 = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]


class MessageRow(NamedTuple):
    """One message in the table: the columns of `messages.INSERT_MESSAGE`, in their order."""

    row: Int64
    id: Int64
    room_id: Int64
    seq: Int64
    author_id: Int64
    key: str | None
    digest: bytes | None
    text: str
    folded: str | None
    attachments: str | None
    created_us: Int64
    edited_us: Int64 | None
    deleted_us: Int64 | None
    extras: str | None


_INSERT, _, _COLUMNS = messages.INSERT_MESSAGE.partition("VALUES")
_ONE = f"({', '.join('?' * _COLUMNS.count('$'))})"
_INSERTS = {count: f"{_INSERT} VALUES {', '.join([_ONE] * count)}" for count in (256, 64, 16, 4, 1)}
"""Statements that insert so many messages at once. SQLite is entered without Python's global lock, and getting that
back for each row costs more than the row as soon as the event loop is busy: 53,000 rows/s by executemany, 223,000 like
this, beside a loop that computes 10 µs between system calls. (In an idle process it is 300,000 and 235,000.)"""
_SYSTEM = MessageKind.SYSTEM  # in Python 3.11 to look a member up in its class takes 0.2 µs


def row_of(write: InsertMessage, row: int) -> MessageRow:
    """A new message's row. `row` is its number in the order of commit."""
    message = write.message
    values = (
        row,
        message.id,
        message.room_id,
        message.seq,
        message.author_id,
        message.key,
        write.digest,
        message.text,
        folded_column(message.text) if message.kind is not _SYSTEM else UNSEARCHED,
        attachments_text(message.attachments) if message.attachments else None,
        message.created_us,
        message.edited_us,
        message.deleted_us,
        extras_text(message),
    )
    return tuple.__new__(MessageRow, values)  # a third of what its own constructor costs


def insert_rows(connection: apsw.Connection, rows: Sequence[MessageRow]) -> None:
    """Insert messages, as many at once as there are."""
    done = 0
    for count, statement in _INSERTS.items():
        while len(rows) - done >= count:
            connection.execute(statement, tuple(chain.from_iterable(rows[done : done + count])))
            done += count
