"""SQLite's errors as the engine's, and transactions that are over when they fail."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import apsw

from chinwag.engine.model.errors import StoreUnavailable
from chinwag.engine.model.store import DuplicateKey, WriteRejected

_UNIQUE = "UNIQUE constraint failed: "
_FOREIGN_KEY = "FOREIGN KEY constraint failed"
_KEYS = {
    "deployment.only": "deployment",
    "users.id": "id",
    "users.username_fold": "username",
    "users.email_fold": "email",
    "families.id": "id",
    "refresh_tokens.digest": "id",
    "rooms.id": "id",
    "rooms.direct_key": "direct_key",
    "members.room_id, members.user_id": "member",
    "messages.id": "id",
    "messages.room_id, messages.seq": "seq",
    "messages.room_id, messages.author_id, messages.key": "idempotency_key",
    "invitations.id": "id",
    "invitations.digest": "invitation",
    "bans.id": "id",
    "files.id": "id",
    "summaries.id": "id",
    "room_keys.room_id, room_keys.version": "room_key",
    "key_versions.room_id, key_versions.version": "room_key",
}
"""The columns that SQLite names when a unique key clashes, and the key's name for the engine."""

_BLAMES_THE_STATEMENT = (
    apsw.SQLError,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.RangeError,
    apsw.TooBigError,
    apsw.MisuseError,
    apsw.BindingsError,
    apsw.ThreadingViolationError,
    apsw.ConnectionClosedError,
    apsw.CursorClosedError,
    apsw.IncompleteExecutionError,
)
"""These say something about what was asked; all others say that the database cannot be used at the moment."""


def engine_error(error: apsw.Error) -> Exception:
    """The engine's error for SQLite's. One that only a bug can cause stays what it is."""
    if isinstance(error, apsw.ConstraintError):
        text = str(error)
        if text.startswith(_UNIQUE) and (key := _KEYS.get(text.removeprefix(_UNIQUE))):
            return DuplicateKey(key)
        if text.startswith(_FOREIGN_KEY):
            return WriteRejected("a row that the write refers to is gone")
    if isinstance(error, _BLAMES_THE_STATEMENT):
        return error
    return StoreUnavailable(f"the database cannot be used: {error}")


@contextmanager
def write_transaction(connection: apsw.Connection) -> Iterator[None]:
    """Commit at the end, or roll back: whatever happens, the connection is out of the transaction afterwards."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk makes SQLite roll back by itself
            with suppress(apsw.Error):  # it leaves the transaction even when it reports an error
                connection.execute("ROLLBACK")
        raise
