"""New messages as rows of their table, many at a time."""

from collections.abc import Sequence
from typing import Any, Final

import apsw

from chinwag.engine.model import MessageKind
from chinwag.engine.store import InsertMessage
from chinwag.persistence.queries import messages
from chinwag.persistence.rows import attachments_text, extras_text
from chinwag.persistence.search import case_folded

_INSERT, _, _COLUMNS = messages.INSERT_MESSAGE.partition("VALUES")
WIDTH: Final = _COLUMNS.count("$")
"""How many values a row has."""
_INSERTS = {
    count: f"{_INSERT} VALUES {', '.join(['(' + ', '.join('?' * WIDTH) + ')'] * count)}"
    for count in (256, 64, 16, 4, 1)
}
"""Statements that insert so many messages at once. SQLite is entered without Python's global lock, and getting that
back for each row costs more than the row as soon as the event loop is busy: 53,000 rows/s by executemany, 223,000 like
this, beside a loop that computes 10 µs between system calls. (In an idle process it is 300,000 and 235,000.)"""
_UNSEARCHED = MessageKind.SYSTEM
"""The search compares "" in place of such messages' text."""


def values_of(write: InsertMessage, row: int) -> tuple[Any, ...]:
    """A new message's values, in the order of the columns. `row` is its number in the order of commit."""
    message = write.message
    return (
        row,
        message.id,
        message.room_id,
        message.seq,
        message.author_id,
        message.key,
        write.digest,
        message.text,
        case_folded(message.text) if message.kind is not _UNSEARCHED else "",
        attachments_text(message.attachments) if message.attachments else None,
        message.created_us,
        message.edited_us,
        message.deleted_us,
        extras_text(message),
    )


def insert_rows(connection: apsw.Connection, values: Sequence[Any]) -> None:
    """Insert rows whose values stand one after the other's."""
    done = 0
    for count, statement in _INSERTS.items():
        size = count * WIDTH
        while len(values) - done >= size:
            connection.execute(statement, values[done : done + size])
            done += size
