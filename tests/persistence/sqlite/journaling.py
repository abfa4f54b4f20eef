"""What the tests of the journal share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import apsw
import trio

from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.store import (
    InsertMember,
    InsertMessage,
    InsertRoom,
    InsertUser,
    Write,
)
from chinwag.engine.testing import make_member, make_message, make_room, make_user
from chinwag.persistence.sqlite.store import SqliteStore

ANN = UserId(1)
ROOMS = [RoomId(100 + n) for n in range(12)]
NEVER = 1_000_000
"""A number of units that no commit has."""


def world() -> list[Write]:
    """Ann is in all ROOMS."""
    made: list[Write] = [InsertUser(user=make_user(ANN, "ann"), password_hash="hash")]
    for room in ROOMS:
        made += [InsertRoom(room=make_room(room, ANN)), InsertMember(room_id=room, member=make_member(ANN))]
    return made


def post(room: RoomId, seq: int, *, key: str | None = None, id: int | None = None) -> InsertMessage:  # noqa: A002
    """Message number `seq` of a room; ids rise with the sequence first, then with the room."""
    number = 1000 * seq + room if id is None else id
    return InsertMessage(message=make_message(number, room, seq, ANN, f"hello {seq} in {room}", key=key))


async def commit_at_once(store: SqliteStore, units: Sequence[Sequence[Write]]) -> list[str]:
    """Commit units in one transaction; how each of them ended."""
    ended: dict[int, str] = {}
    over = trio.Event()

    def end(number: int, error: Exception | None = None) -> None:
        ended[number] = "committed" if error is None else getattr(error, "code", repr(error))
        if len(ended) == len(units):
            over.set()

    for number, unit in enumerate(units):
        # All are queued in one step of the event loop, before the persistence actor's next.
        store.commit_soon(unit, partial(end, number), partial(end, number))
    with trio.fail_after(10):
        await over.wait()
    return [ended[number] for number in range(len(units))]


async def post_everywhere(store: SqliteStore, seq: int) -> None:
    """One message in each room, by one commit."""
    assert set(await commit_at_once(store, [[post(room, seq)] for room in ROOMS])) == {"committed"}


async def post_everywhere_but(store: SqliteStore, seq: int, *gone: RoomId) -> None:
    units = [[post(room, seq)] for room in ROOMS if room not in gone]
    assert set(await commit_at_once(store, units)) == {"committed"}


def stored_and_journaled(path: Path) -> tuple[int, int]:
    """How many messages another process sees in their table, and how many entries in the journal."""
    connection = apsw.Connection(str(path))
    try:
        return (
            connection.execute("SELECT count(*) FROM messages").get,
            connection.execute("SELECT count(*) FROM journal").get,
        )
    finally:
        connection.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process's connection is about to write, and lets nobody else."""
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


async def history(store: SqliteStore, room: RoomId) -> list[int]:
    page = await store.history(room, ANN, skip=0, limit=10_000)
    return [message.seq for message in reversed(page.messages)]


GOOD: list[object] = [1, 1100, ROOMS[0], 1, ANN, None, None, "hello", None, None, 5, None, None, None]
