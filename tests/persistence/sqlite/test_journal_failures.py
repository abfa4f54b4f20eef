"""The journal: the end of a process at any moment, a flush that fails, entries that are damaged."""

import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import apsw
import msgspec
import pytest
import trio
from structlog.testing import capture_logs

from chinwag.engine.model.errors import StoreUnavailable
from chinwag.engine.model.ids import MessageId, RoomId
from chinwag.engine.model.store import (
    DeleteMessage,
    InsertMessage,
    WriteRejected,
)
from chinwag.engine.testing import make_message
from chinwag.persistence.errors import CannotOpen
from chinwag.persistence.sqlite import journal
from chinwag.persistence.sqlite import opening as sqlite_open
from chinwag.persistence.sqlite.journal import MIN_UNITS, Journal
from chinwag.persistence.sqlite.store import open_sqlite_store
from tests.persistence.sqlite.journaling import (
    ANN,
    GOOD,
    ROOMS,
    commit_at_once,
    history,
    locked,
    post,
    post_everywhere,
    post_everywhere_but,
    stored_and_journaled,
    world,
)

pytestmark = pytest.mark.usefixtures("never_flushes_by_itself")


WRITER = """
import os, signal, sys, trio
from pathlib import Path
from chinwag.persistence.sqlite import journal
from chinwag.persistence.sqlite import store as sqlite
from chinwag.persistence.sqlite.store import open_sqlite_store
from tests.persistence.sqlite.journaling import post_everywhere, world

path, max_messages, dies_before = sys.argv[1:]
sqlite.FLUSH_DELAY_S = 3600.0
journal.MAX_MESSAGES = int(max_messages)
flushes = 0

def watch(connection):
    def note(cursor, statement, values):
        global flushes
        flushes += statement.startswith("DELETE FROM journal")
        if flushes == 10 and dies_before and statement.startswith(dies_before):
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    connection.exec_trace = note

async def main():
    async with open_sqlite_store(Path(path), prepare_writer=watch) as store:
        await store.commit(world())
        for seq in range(1, 1_000_000):
            await post_everywhere(store, seq)
            print(seq, flush=True)

trio.run(main)
"""
"""Posts until it is killed. Or it does that itself, in its tenth flush, as soon as it comes to a statement."""


async def answers_until_a_kill(path: Path, *, max_messages: int, dies_before: str = "") -> int:
    """Run WRITER, and kill it should it not do that itself. Returns how many of its commits were answered."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", WRITER, str(path), str(max_messages), dies_before], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    output = b""
    with trio.fail_after(30):
        async for chunk in process.stdout:
            output += chunk
            if not dies_before and output.count(b"\n") >= 100:
                process.kill()
        await process.wait()
    await process.stdout.aclose()
    assert process.returncode == -signal.SIGKILL, "the writer ended by itself"
    return int(output.rpartition(b"\n")[0].split()[-1])


async def check_that_nothing_is_lost_or_doubled(path: Path, answered: int) -> None:
    """A store that was killed has all that was answered, and at most one commit more, whole; and it goes on."""
    async with open_sqlite_store(path) as store:
        assert stored_and_journaled(path)[1] == 0, "flushed at the start, and nothing set aside"
        kept = await history(store, ROOMS[0])
        assert kept in (list(range(1, answered + 1)), list(range(1, answered + 2)))
        await post_everywhere(store, len(kept) + 1)
        for room in ROOMS:
            assert await history(store, room) == [*kept, len(kept) + 1]


async def test_what_was_answered_survives_a_kill(path: Path) -> None:
    answered = await answers_until_a_kill(path, max_messages=journal.MAX_MESSAGES)
    assert stored_and_journaled(path)[1] > 0, "nothing was in the journal: the test tells nothing"
    with capture_logs() as logs:
        await check_that_nothing_is_lost_or_doubled(path, answered)
    assert [entry["event"] for entry in logs] == ["journal flushed"]


async def test_what_was_answered_survives_a_kill_while_the_journal_is_emptied_all_the_time(path: Path) -> None:
    answered = await answers_until_a_kill(path, max_messages=len(ROOMS))
    assert stored_and_journaled(path)[0] > 0, "the journal was never emptied: the test tells nothing"
    await check_that_nothing_is_lost_or_doubled(path, answered)


@pytest.mark.parametrize("statement", ["DELETE FROM journal", "COMMIT"])
async def test_a_kill_in_the_middle_of_emptying_the_journal_loses_and_doubles_nothing(
    path: Path, statement: str
) -> None:
    answered = await answers_until_a_kill(path, max_messages=len(ROOMS), dies_before=statement)
    assert stored_and_journaled(path)[1] > 0, "it was not killed in time"
    await check_that_nothing_is_lost_or_doubled(path, answered)


async def test_the_journal_is_empty_after_an_ordinary_end(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        await post_everywhere(store, 1)
        assert stored_and_journaled(path) == (0, 1)
    assert stored_and_journaled(path) == (len(ROOMS), 0)


def delete_room(path: Path, room: RoomId) -> None:
    """Delete a room as somebody with a shell would."""
    other = apsw.Connection(str(path))
    other.execute("DELETE FROM members WHERE room_id = ?", (room,))
    other.execute("DELETE FROM rooms WHERE id = ?", (room,))
    other.close()


def quarantined(path: Path) -> list[bytes]:
    connection = apsw.Connection(str(path))
    try:
        return [row[0] for row in connection.execute("SELECT messages FROM journal WHERE quarantined = 1")]
    finally:
        connection.close()


async def test_a_message_that_has_lost_its_place_is_set_aside_and_costs_no_other(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        await post_everywhere(store, 1)
        delete_room(path, ROOMS[4])
        with capture_logs() as logs:
            assert await history(store, ROOMS[5]) == [1]
        assert [(entry["event"], entry["id"]) for entry in logs] == [("journaled message rejected", 1104)]
        assert stored_and_journaled(path) == (len(ROOMS) - 1, 1)
        (entry,) = quarantined(path)
        assert b"hello 1 in 104" in entry
        ended = await commit_at_once(store, [[post(room, 2)] for room in ROOMS])
        assert ended == ["committed"] * 4 + ["write_rejected"] + ["committed"] * 7
        assert await history(store, ROOMS[5]) == [1, 2]
    async with open_sqlite_store(path):
        assert len(quarantined(path)) == 1


async def test_a_message_that_lost_its_place_between_a_crash_and_the_next_start_is_set_aside(path: Path) -> None:
    crashed = path.with_name("crashed.db")
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        await post_everywhere(store, 1)
        for suffix in ("", "-wal"):  # what a crash would leave
            shutil.copyfile(f"{path}{suffix}", f"{crashed}{suffix}")
    delete_room(crashed, ROOMS[4])
    assert stored_and_journaled(crashed) == (0, 1)
    with capture_logs() as logs:
        async with open_sqlite_store(crashed) as store:
            assert stored_and_journaled(crashed) == (len(ROOMS) - 1, 1)
            assert [await history(store, room) for room in ROOMS[3:6]] == [[1], [], [1]]
            await post_everywhere_but(store, 2, ROOMS[4])
    assert [entry["event"] for entry in logs] == ["journaled message rejected", "journal flushed"]
    (entry,) = quarantined(crashed)
    assert b"hello 1 in 104" in entry
    with capture_logs() as logs:
        async with open_sqlite_store(crashed) as store:
            assert await history(store, ROOMS[5]) == [1, 2]
    assert logs == []


@pytest.mark.parametrize("failure", [apsw.FullError, apsw.IOError], ids=["no space", "a broken disk"])
@pytest.mark.parametrize("statement", ["DELETE FROM journal", "COMMIT"])
@pytest.mark.parametrize("homeless", [False, True], ids=["all fit", "one does not"])
async def test_a_journal_that_cannot_be_emptied_to_the_end_stays_as_it_was(
    path: Path, failure: type[apsw.Error], statement: str, homeless: bool
) -> None:
    connections: list[apsw.Connection] = []
    failed: list[int] = []

    def fail(_: apsw.Cursor, text: str, __: object) -> bool:
        if text.startswith(statement):
            failed.append(connections[0].execute("SELECT count(*) FROM messages").get)
            raise failure("forced by the test")
        return True

    async with open_sqlite_store(path, prepare_writer=connections.append) as store:
        store.indexer.paused = True
        await store.commit(world())
        await post_everywhere(store, 1)
        if homeless:
            delete_room(path, ROOMS[4])
        fitting = [room for room in ROOMS if not (homeless and room == ROOMS[4])]
        connections[0].exec_trace = fail
        with pytest.raises(StoreUnavailable):
            await history(store, ROOMS[0])
        with pytest.raises(StoreUnavailable):
            await store.commit([DeleteMessage(room_id=ROOMS[0], message_id=MessageId(1100), deleted_us=5)])
        assert failed == [len(fitting)] * 2, "it was to fail when they had been moved"
        assert stored_and_journaled(path) == (0, 1)
        assert (store.journaled, store.search_backlog) == (len(ROOMS), 0)
        connections[0].exec_trace = None
        assert [await history(store, room) for room in fitting] == [[1]] * len(fitting)
        assert stored_and_journaled(path) == (len(fitting), homeless)
        assert (store.journaled, store.search_backlog) == (0, len(ROOMS))
        await post_everywhere_but(store, 2, *set(ROOMS).difference(fitting))
        assert [await history(store, room) for room in fitting] == [[1, 2]] * len(fitting)


async def test_the_indexer_knows_of_what_was_moved_before_a_commit_failed(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        store.indexer.paused = True
        await store.commit(world())
        await post_everywhere(store, 1)
        delete_room(path, ROOMS[4])
        with pytest.raises(WriteRejected):
            await store.commit([post(ROOMS[4], 2)])
        assert store.search_backlog == len(ROOMS)
        await store.commit([post(ROOMS[5], 2)])
        assert store.search_backlog == len(ROOMS) + 1
        assert await history(store, ROOMS[5]) == [1, 2]


@pytest.mark.parametrize(
    "damaged",
    [
        b"\x9f\xc1",
        msgspec.msgpack.encode([GOOD]).replace(b"hello", b"hel\xffo"),
        msgspec.msgpack.encode([GOOD[:-1]]),
        msgspec.msgpack.encode([["1", *GOOD[1:]]]),
        msgspec.msgpack.encode([[1 << 63, *GOOD[1:]]]),
        msgspec.msgpack.encode([[*GOOD[:2], [], *GOOD[3:]]]),
        msgspec.msgpack.encode(GOOD),
        msgspec.msgpack.encode({}),
        b"",
    ],
    ids=["no MessagePack", "no UTF-8", "a value short", "a text", "too large", "a list", "one row", "a map", "empty"],
)
async def test_a_damaged_entry_is_set_aside_and_costs_no_other(path: Path, damaged: bytes) -> None:
    async with open_sqlite_store(path) as store:
        await store.commit(world())
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO journal (messages) VALUES (?)", (damaged,))
    connection.execute("INSERT INTO journal (messages) VALUES (?)", (msgspec.msgpack.encode([GOOD]),))
    connection.close()
    with capture_logs() as logs:
        async with open_sqlite_store(path) as store:
            assert await history(store, ROOMS[0]) == [1]
            await post_everywhere(store, 2)
    assert [entry["event"] for entry in logs] == ["damaged row", "journal flushed"]
    assert stored_and_journaled(path) == (1 + len(ROOMS), 1)
    assert quarantined(path) == [damaged]
    with capture_logs() as logs:
        async with open_sqlite_store(path) as store:
            assert await history(store, ROOMS[0]) == [1, 2]
    assert logs == []


ENTRY_OF_SCHEMA_4 = bytes.fromhex(
    "92 "  # two rows
    "9e "  # of fourteen values
    "0b  cd03e9  64  07  01 "  # row 11, id 1001, room 100, sequence 7, author 1
    "a16b  c402ff01 "  # key "k" and digest
    "a753747261c39f65  a773747261737365 "  # text "Straße", folded "strasse"
    "d937 5b7b2275726c223a222f662f31222c226d696d655f74 "  # attachments
    "797065223a22696d6167652f706e67222c2273697a655f6279746573223a377d5d "
    "cd1389  cd1771  c0 "  # created 5001, edited 6001, not deleted
    "b17b227265706c795f746f223a313030307d "  # extras
    "9e "  # fourteen again
    "0c  cf0010000000000000  65  cd012c  01 "  # row 12, id 1 << 52, room 101, sequence 300, author 1
    "c0  c0  a0  c0  c0 "  # neither key nor digest, no text, not folded, no attachments
    "cd138a  c0  cf00060a24181e4000  c0 "  # created 5002, not edited, deleted 1700000000000000, no extras
)


async def test_an_entry_that_was_written_before_this_release_comes_into_the_right_columns(path: Path) -> None:
    """Not to be brought up to date: when `MessageRow` changes, entries like this one may still be in a journal."""
    async with open_sqlite_store(path) as store:
        await store.commit(world())
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO journal (messages) VALUES (?)", (ENTRY_OF_SCHEMA_4,))
    connection.close()
    with capture_logs() as logs:
        async with open_sqlite_store(path):
            pass
    assert [entry["event"] for entry in logs] == ["journal flushed"]
    connection = apsw.Connection(str(path))
    cursor = connection.execute("SELECT * FROM messages ORDER BY row")
    columns = [name for name, _ in cursor.get_description()]
    first, second = [dict(zip(columns, row, strict=True)) for row in cursor]
    connection.close()
    assert (
        first.items()
        >= {
            "row": 11,
            "id": 1001,
            "room_id": 100,
            "seq": 7,
            "author_id": 1,
            "key": "k",
            "digest": b"\xff\x01",
            "text": "Straße",
            "folded": "strasse",
            "attachments": '[{"url":"/f/1","mime_type":"image/png","size_bytes":7}]',
            "created_us": 5001,
            "edited_us": 6001,
            "deleted_us": None,
            "extras": '{"reply_to":1000}',
        }.items()
    )
    assert (
        second.items()
        >= {
            "row": 12,
            "id": 1 << 52,
            "room_id": 101,
            "seq": 300,
            "author_id": 1,
            "key": None,
            "digest": None,
            "text": "",
            "folded": None,
            "attachments": None,
            "created_us": 5002,
            "edited_us": None,
            "deleted_us": 1_700_000_000_000_000,
            "extras": None,
        }.items()
    )


async def test_a_database_that_cannot_be_emptied_of_its_journal_does_not_open(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_open, "BUSY_MS", 1)
    async with open_sqlite_store(path) as store:
        await store.commit(world())
    with locked(path):
        async with open_sqlite_store(path) as store:
            assert await history(store, ROOMS[0]) == []  # the lock alone keeps nobody out
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO journal (messages) VALUES (?)", (msgspec.msgpack.encode([GOOD]),))
    connection.close()
    with locked(path), pytest.raises(CannotOpen):
        async with open_sqlite_store(path):
            pytest.fail("it opened")
    async with open_sqlite_store(path) as store:
        assert await history(store, ROOMS[0]) == [1]


async def test_a_bug_while_the_journal_is_emptied_at_the_end_closes_the_database_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a bug")

    with capture_logs() as logs, monkeypatch.context() as patch:
        async with open_sqlite_store(path) as store:
            await store.commit(world())
            await post_everywhere(store, 1)
            patch.setattr(Journal, "flush", broken)
    assert [entry["event"] for entry in logs] == ["journal not flushed"]
    assert not [each for each in threading.enumerate() if each.name.startswith("chinwag-writer")]
    async with open_sqlite_store(path) as store:
        assert await history(store, ROOMS[0]) == [1]


async def test_without_space_the_journal_waits_and_nothing_of_it_is_lost(path: Path) -> None:
    connections: list[apsw.Connection] = []
    async with open_sqlite_store(path, prepare_writer=connections.append) as store:
        store.indexer.paused = True
        await store.commit(world())
        await post_everywhere(store, 1)
        pages = connections[0].execute("PRAGMA page_count").get
        connections[0].execute(f"PRAGMA max_page_count = {pages}")
        big = [[InsertMessage(message=make_message(2000 + room, room, 2, ANN, "x" * 4000))] for room in ROOMS]
        assert set(await commit_at_once(store, big)) == {"store_unavailable"}
        connections[0].execute("PRAGMA max_page_count = 100000")
        assert await history(store, ROOMS[0]) == [1]
        assert set(await commit_at_once(store, big)) == {"committed"}
        assert await history(store, ROOMS[0]) == [1, 2]


async def test_a_reader_is_told_when_the_journal_cannot_be_emptied(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_open, "BUSY_MS", 1)
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        await commit_at_once(store, [[post(room, 1)] for room in ROOMS[:MIN_UNITS]])
        with locked(path):
            with pytest.raises(StoreUnavailable):
                await history(store, ROOMS[0])
            assert await history(store, ROOMS[-1]) == []
        assert await history(store, ROOMS[0]) == [1]
