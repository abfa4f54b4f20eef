"""The journal: what goes through it is as good as what does not, at every moment. What a store promises, the contract
suite tests, once with every message through the journal."""

import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from chinwag.engine.errors import StoreUnavailable
from chinwag.engine.ids import MessageId, RoomId, UserId
from chinwag.engine.store import (
    DeleteMessage,
    DeleteRoom,
    InsertMember,
    InsertMessage,
    InsertRoom,
    InsertUser,
    Write,
    WriteRejected,
)
from chinwag.engine.testing import make_member, make_message, make_room, make_user
from chinwag.persistence import journal, sqlite
from chinwag.persistence.errors import CannotOpen
from chinwag.persistence.journal import MIN_UNITS, Journal
from chinwag.persistence.sqlite import SqliteStore, open_sqlite_store

ANN = UserId(1)
ROOMS = [RoomId(100 + n) for n in range(12)]
NEVER = 1_000_000
"""A number of units that no commit has."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chinwag.db"


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


async def history(store: SqliteStore, room: RoomId) -> list[int]:
    page = await store.history(room, ANN, skip=0, limit=10_000)
    return [message.seq for message in reversed(page.messages)]


@pytest.fixture(autouse=True)
def never_flushes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is moved into the table for want of other work."""
    monkeypatch.setattr(sqlite, "FLUSH_DELAY_S", 3600.0)


# --- what goes where ----------------------------------------------------------------------------------------------


async def test_a_commit_of_many_rooms_goes_to_the_journal_and_of_few_to_the_table(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        await commit_at_once(store, [[post(room, 1)] for room in ROOMS[: MIN_UNITS - 1]])
        assert stored_and_journaled(path) == (MIN_UNITS - 1, 0)
        await commit_at_once(store, [[post(room, 2)] for room in ROOMS[:MIN_UNITS]])
        assert stored_and_journaled(path) == (MIN_UNITS - 1, 1)


async def test_any_other_commit_takes_the_journal_to_the_table_with_it(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        await post_everywhere(store, 1)
        assert stored_and_journaled(path) == (0, 1)
        await store.commit([DeleteMessage(room_id=ROOMS[3], message_id=MessageId(1103), deleted_us=5)])
        assert stored_and_journaled(path) == (len(ROOMS), 0)
        assert [await history(store, room) for room in ROOMS[2:5]] == [[1], [], [1]]


async def test_a_full_journal_is_emptied_by_the_next_commit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MAX_MESSAGES", 2 * len(ROOMS))
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        seen = []
        for seq in range(1, 5):
            await post_everywhere(store, seq)
            seen.append(stored_and_journaled(path))
        assert seen == [(0, 1), (0, 2), (3 * len(ROOMS), 0), (3 * len(ROOMS), 1)]


async def test_much_text_fills_the_journal_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MAX_CHARACTERS", 20)
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        await post_everywhere(store, 1)
        await post_everywhere(store, 2)
        assert stored_and_journaled(path) == (2 * len(ROOMS), 0)


async def test_a_quiet_store_empties_its_journal_and_indexes_what_was_in_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "FLUSH_DELAY_S", 0.01)
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        await post_everywhere(store, 1)
        with trio.fail_after(10):
            while stored_and_journaled(path) != (len(ROOMS), 0) or store.search_backlog:  # noqa: ASYNC110 - another process's view
                await trio.sleep(0.01)


# --- reading ------------------------------------------------------------------------------------------------------


async def test_a_reader_of_a_room_finds_what_was_committed(path: Path) -> None:
    room = ROOMS[5]
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        seq = 0

        async def behind() -> None:
            nonlocal seq
            seq += 1
            await commit_at_once(store, [[post(each, seq, key=f"key {seq}")] for each in ROOMS])
            assert stored_and_journaled(path)[1] == 1

        await behind()
        snapshot = await store.room_snapshot(room, recent=10)
        assert snapshot is not None
        assert snapshot.last_seq == 1
        await behind()
        assert await history(store, room) == [1, 2]
        await behind()
        found = await store.message(room, MessageId(3000 + room))
        assert found is not None
        await behind()
        keyed = await store.keyed_message(room, ANN, "key 4")
        assert keyed is not None
        assert keyed.message.seq == 4
        await behind()
        between = await store.history_between(room, ANN, after_us=None, before_us=None, skip=0, limit=100)
        assert len(between.page.messages) == 5
        await behind()
        window = await store.window(room, ANN, around=MessageId(6000 + room), limit=3)
        assert 6 in [each.seq for each in window.messages]
        await behind()
        missed = await store.missed(ROOMS, ANN, since=MessageId(6000 + ROOMS[-1]), limit=100)
        assert {len(missed[each].messages or ()) for each in ROOMS} == {1}
        await behind()
        _, hits = await store.search(ANN, text="hello 8", room_id=None, limit=100)
        assert len(hits) == len(ROOMS)
        await behind()
        assert await store.highest_id() == 9000 + ROOMS[-1]
        await behind()
        overviews = await store.overviews(ANN, kind=None, name_contains="", skip=0, limit=100)
        assert {each.last_message.seq for each in overviews.rooms if each.last_message} == {10}
        await behind()
        listed = await store.rooms_of(ANN, name_contains="", limit=100)
        assert [each.id for each in listed] == ROOMS[::-1]


async def test_reading_another_room_or_no_messages_leaves_the_journal_alone(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        await commit_at_once(store, [[post(room, 1)] for room in ROOMS[:MIN_UNITS]])
        assert await history(store, ROOMS[-1]) == []
        assert await store.user(ANN) is not None
        assert len(await store.room_ids_of(ANN)) == len(ROOMS)
        await store.check()
        assert stored_and_journaled(path) == (0, 1)


async def test_many_readers_at_once_share_the_commit_that_empties_the_journal(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        await post_everywhere(store, 1)
        commits = store.statistics().commits
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(history, store, ROOMS[0])
        assert store.statistics().commits <= commits + 2


# --- rules --------------------------------------------------------------------------------------------------------


async def test_a_key_that_is_in_the_journal_is_taken(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        await commit_at_once(store, [[post(room, 1, key="k")] for room in ROOMS])
        assert stored_and_journaled(path) == (0, 1)
        ended = await commit_at_once(
            store, [[post(room, 2, key="k" if n == 4 else "l")] for n, room in enumerate(ROOMS)]
        )
        assert ended == ["committed"] * 4 + ["duplicate_key"] + ["committed"] * 7
        assert await history(store, ROOMS[4]) == [1]
        assert await history(store, ROOMS[5]) == [1, 2]


async def test_a_key_that_is_in_the_table_is_taken(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        await store.commit([*world(), post(ROOMS[4], 1, key="k")])
        ended = await commit_at_once(store, [[post(room, 2, key="k")] for room in ROOMS])
        assert ended == ["committed"] * 4 + ["duplicate_key"] + ["committed"] * 7


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (post(ROOMS[4], 1, id=9999), "duplicate_key"),  # the sequence
        (post(ROOMS[4], 2, id=1104), "duplicate_key"),  # the id
        (post(RoomId(999), 1), "write_rejected"),
        (InsertMessage(message=make_message(9999, ROOMS[4], 2, UserId(77), "hello")), "write_rejected"),
    ],
    ids=["sequence", "id", "room", "author"],
)
async def test_what_the_table_would_refuse_is_refused_alone(path: Path, bad: Write, code: str) -> None:
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        await post_everywhere(store, 1)
        units: list[list[Write]] = [[post(room, 2)] for room in ROOMS]
        units[4] = [bad]
        ended = await commit_at_once(store, units)
        assert ended == ["committed"] * 4 + [code] + ["committed"] * 7
        assert await history(store, ROOMS[4]) == [1]


async def test_a_deleted_room_takes_no_more_messages_and_one_that_was_forgotten_does(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "CACHE_LIMIT", 3)
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        await post_everywhere(store, 1)
        await post_everywhere(store, 2)
        await store.commit([DeleteRoom(room_id=ROOMS[0])])
        ended = await commit_at_once(store, [[post(room, 3)] for room in ROOMS])
        assert ended == ["write_rejected"] + ["committed"] * 11
        assert await history(store, ROOMS[1]) == [1, 2, 3]


class Plan(msgspec.Struct, frozen=True):
    """One commit: for each of its units the room, how many messages, and under which key."""

    units: list[tuple[int, int, int]]
    edits: bool


plans = st.lists(
    st.builds(
        Plan,
        units=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2), st.integers(0, 4)), min_size=1, max_size=5),
        edits=st.booleans(),
    ),
    max_size=8,
)


@settings(max_examples=30, deadline=None)
@given(plans)
def test_whatever_is_committed_ends_as_without_a_journal(commits: list[Plan]) -> None:
    async def play(min_units: int) -> object:
        outcomes: list[list[str]] = []
        next_id = 1_000_000
        seqs = dict.fromkeys(ROOMS, 0)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "chinwag.db"
            async with open_sqlite_store(path, journal_min_units=min_units) as store:
                await store.commit(world())
                for plan in commits:
                    units: list[list[Write]] = []
                    for number, count, key in plan.units:
                        room = ROOMS[number]
                        unit: list[Write] = []
                        for n in range(count):
                            next_id += 1
                            seqs[room] += 1
                            name = f"key {key}" if key and n == 0 else None
                            unit.append(post(room, seqs[room], key=name, id=next_id))
                        units.append(unit)
                    if plan.edits:
                        units.append([DeleteMessage(room_id=ROOMS[0], message_id=MessageId(next_id), deleted_us=7)])
                    outcomes.append(await commit_at_once(store, units))
            connection = apsw.Connection(str(path))
            kept = list(connection.execute("SELECT * FROM messages ORDER BY row"))
            connection.close()
        return outcomes, kept

    async def both() -> None:
        assert await play(1) == await play(NEVER)

    trio.run(both)


# --- the end of a process, and what can go wrong ------------------------------------------------------------------

WRITER = """
import sys, trio
from pathlib import Path
from chinwag.persistence import sqlite
from chinwag.persistence.sqlite import open_sqlite_store
from tests.persistence.test_journal import post_everywhere, world

sqlite.FLUSH_DELAY_S = 3600.0

async def main() -> None:
    async with open_sqlite_store(Path(sys.argv[1])) as store:
        await store.commit(world())
        for seq in range(1, 1_000_000):
            await post_everywhere(store, seq)
            print(seq, flush=True)

trio.run(main)
"""


async def test_what_was_answered_survives_a_kill(path: Path) -> None:
    process = await trio.lowlevel.open_process([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    output = b""
    while output.count(b"\n") < 100:
        chunk = await process.stdout.receive_some()
        assert chunk, "the writer ended by itself"
        output += chunk
    process.kill()
    async for chunk in process.stdout:
        output += chunk
    await process.wait()
    await process.stdout.aclose()
    answered = int(output.rpartition(b"\n")[0].split()[-1])
    assert stored_and_journaled(path)[1] > 0, "nothing was in the journal: the test tells nothing"
    with capture_logs() as logs:
        async with open_sqlite_store(path) as store:
            assert stored_and_journaled(path)[1] == 0
            for room in ROOMS:
                kept = await history(store, room)
                assert kept == list(range(1, len(kept) + 1))
                assert len(kept) >= answered
            await post_everywhere(store, len(kept) + 2)
    assert [entry["event"] for entry in logs] == ["journal flushed"]


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


async def test_the_indexer_knows_of_what_was_moved_before_a_commit_failed(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        store.indexer.paused = True
        await store.commit(world())
        await post_everywhere(store, 1)
        delete_room(path, ROOMS[4])
        with pytest.raises(WriteRejected):
            await store.commit([post(ROOMS[4], 2)])
        await store.commit([post(ROOMS[5], 2)])
        assert store.search_backlog == len(ROOMS) + 1
        assert await history(store, ROOMS[5]) == [1, 2]


GOOD: list[object] = [1, 1100, ROOMS[0], 1, ANN, None, None, "hello", None, None, 5, None, None, None]


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


async def test_rooms_that_are_forgotten_in_a_commit_are_not_forgotten_too_early(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "CACHE_LIMIT", 2)
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        units = [[post(room, 1)] for room in ROOMS]
        ended = await commit_at_once(store, [*units, [post(ROOMS[0], 1, id=9999)]])
        assert ended == ["committed"] * len(ROOMS) + ["duplicate_key"]


async def test_a_database_that_cannot_be_emptied_of_its_journal_does_not_open(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_MS", 1)
    async with open_sqlite_store(path) as store:
        await store.commit(world())
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO journal (messages) VALUES (?)", (msgspec.msgpack.encode([GOOD]),))
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(CannotOpen):
        async with open_sqlite_store(path):
            pytest.fail("it opened")
    connection.execute("ROLLBACK")
    connection.close()
    async with open_sqlite_store(path) as store:
        assert await history(store, ROOMS[0]) == [1]


async def test_a_bug_while_the_journal_is_emptied_at_the_end_closes_the_database_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a bug")

    with capture_logs() as logs:
        async with open_sqlite_store(path) as store:
            await store.commit(world())
            await post_everywhere(store, 1)
            monkeypatch.setattr(Journal, "flush", broken)
    assert [entry["event"] for entry in logs] == ["journal not flushed"]
    assert not [each for each in threading.enumerate() if each.name.startswith("chinwag-writer")]
    monkeypatch.undo()
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
    monkeypatch.setattr(sqlite, "BUSY_MS", 1)
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        await commit_at_once(store, [[post(room, 1)] for room in ROOMS[:MIN_UNITS]])
        other = apsw.Connection(str(path))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable):
            await history(store, ROOMS[0])
        assert await history(store, ROOMS[-1]) == []
        other.execute("ROLLBACK")
        other.close()
        assert await history(store, ROOMS[0]) == [1]
