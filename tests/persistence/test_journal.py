"""The journal: what goes through it is as good as what does not, at every moment. What a store promises, the contract
suite tests, once with every commit of nothing but messages through the journal."""

import inspect
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from chinwag.engine.ids import FamilyId, FileId, MessageId, RoomId, UserId
from chinwag.engine.model import Sealed
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
from chinwag.persistence.actor import FLUSH, DriverWrite
from chinwag.persistence.errors import CannotOpen
from chinwag.persistence.journal import MIN_UNITS, Journal
from chinwag.persistence.sqlite import SqliteDriver, SqliteStore, open_sqlite_store

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


async def test_a_quiet_store_that_could_not_empty_its_journal_tries_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_MS", 1)
    monkeypatch.setattr(sqlite, "FLUSH_DELAY_S", 0.001)
    monkeypatch.setattr(sqlite, "FLUSH_RETRY_S", 0.05)
    tries: list[float] = []
    succeeded = trio.Event()
    apply = SqliteDriver.apply

    async def watched(driver: SqliteDriver, units: Sequence[Sequence[DriverWrite]]) -> None:
        if FLUSH not in units:
            return await apply(driver, units)
        tries.append(trio.current_time())
        if len(tries) == 1:
            with locked(path):
                return await apply(driver, units)
        await apply(driver, units)
        return succeeded.set()

    monkeypatch.setattr(SqliteDriver, "apply", watched)
    with capture_logs() as logs:
        async with open_sqlite_store(path) as store:
            await store.commit(world())
            await post_everywhere(store, 1)
            with trio.fail_after(10):
                await succeeded.wait()
            assert stored_and_journaled(path) == (len(ROOMS), 0)
    assert [entry["event"] for entry in logs] == ["journal not flushed"]
    assert len(tries) == 2
    assert tries[1] - tries[0] >= sqlite.FLUSH_RETRY_S


# --- reading ------------------------------------------------------------------------------------------------------


async def test_a_reader_finds_what_was_committed(path: Path) -> None:
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


async def test_a_list_of_rooms_is_in_the_order_of_what_was_committed(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        order = ROOMS[::2] + ROOMS[1::2]  # neither the order in which they were made, nor the reverse
        await commit_at_once(store, [[post(room, 1, id=2000 + n)] for n, room in enumerate(order)])
        assert stored_and_journaled(path) == (0, 1)
        listed = await store.rooms_of(ANN, name_contains="", limit=100)
        assert [each.id for each in listed] == order[::-1]


async def test_a_message_that_only_clients_can_read_is_found_at_once(path: Path) -> None:
    sealed = Sealed(data="c2VjcmV0", iv="bm9uY2U=", key_version=1)
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        opaque = make_message(2000, ROOMS[-1], 1, ANN, "", sealed=sealed)
        units: list[list[Write]] = [[post(room, 1)] for room in ROOMS[:-1]]
        await commit_at_once(store, [*units, [InsertMessage(message=opaque)]])
        assert stored_and_journaled(path) == (0, 1)
        assert await store.has_opaque(ROOMS[-1], after_us=None, before_us=None)
        assert not await store.has_opaque(ROOMS[0], after_us=None, before_us=None)


ARGUMENTS: dict[str, object] = {
    "after_us": None,
    "around": MessageId(1100),
    "author_id": ANN,
    "automatic": None,
    "before_us": None,
    "digest": b"digest",
    "direct_key": "dm:1:2",
    "email": "ann@example.org",
    "family_id": FamilyId(1),
    "file_id": FileId(1),
    "identifier": "ann",
    "key": "key",
    "kind": None,
    "limit": 10,
    "message_id": MessageId(1100),
    "name_contains": "",
    "recent": 10,
    "room_id": ROOMS[0],
    "room_ids": ROOMS,
    "since": MessageId(1100),
    "skip": 0,
    "text": "hello",
    "user_id": ANN,
    "user_ids": [ANN],
    "viewer": ANN,
}
"""What a read of the store can be asked with, by the names of its parameters."""


async def test_a_read_empties_the_journal_if_and_only_if_it_looks_at_messages(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: set[str | None] = set()

    def note(operation: int, table: str | None, *_: object) -> int:
        if operation == apsw.SQLITE_READ and threading.current_thread().name.startswith("chinwag-reader"):
            looked_at.add(table)
        return apsw.SQLITE_OK

    def watch(connection: apsw.Connection) -> None:
        connection.authorizer = note

    monkeypatch.setattr(apsw, "connection_hooks", [watch])
    monkeypatch.setattr(sqlite, "STATEMENTS", 0)  # SQLite asks when it prepares a statement, so each has to be anew
    reads = {name for name, _ in inspect.getmembers(SqliteStore, inspect.iscoroutinefunction) if name[0] != "_"}
    looking: set[str] = set()
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        for seq, name in enumerate(sorted(reads - {"commit", "check"}), start=1):
            await post_everywhere(store, seq)
            assert store.journaled
            looked_at.clear()
            read = getattr(store, name)
            await read(**{parameter: ARGUMENTS[parameter] for parameter in inspect.signature(read).parameters})
            assert ("messages" in looked_at) == (store.journaled == 0), name
            if "messages" in looked_at:
                looking.add(name)
    assert {"history", "search", "has_opaque", "rooms_of"} < looking < reads


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
        got: list[list[int]] = []

        async def read() -> None:
            got.append(await history(store, ROOMS[0]))

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(read)
        assert got == [[1]] * 100
        assert stored_and_journaled(path) == (len(ROOMS), 0)
        assert store.statistics().commits <= commits + 2


async def test_what_readers_have_emptied_is_no_commit_of_anybody_in_the_statistics(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_MS", 1)
    observed: list[int] = []
    async with open_sqlite_store(path, observe=lambda writes, _: observed.append(writes)) as store:
        await store.commit(world())
        await post_everywhere(store, 1)
        before = store.statistics()
        assert (before.units, before.failed_units) == (1 + len(ROOMS), 0)
        assert before.writes == sum(observed) == len(world()) + len(ROOMS)
        with locked(path), pytest.raises(StoreUnavailable):
            await history(store, ROOMS[0])
        assert store.statistics() == before
        assert await history(store, ROOMS[0]) == [1]
        after = store.statistics()
        assert (after.units, after.writes, after.failed_units) == (before.units, before.writes, before.failed_units)
        assert sum(observed) == before.writes


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


async def test_an_id_that_was_left_in_the_journal_at_the_start_is_taken(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        await store.commit(world())
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO journal (messages) VALUES (?)", (msgspec.msgpack.encode([GOOD]),))
    connection.close()
    async with open_sqlite_store(path) as store:
        units: list[list[Write]] = [[post(room, 2)] for room in ROOMS]
        units[0] = [post(ROOMS[0], 2, id=1100)]  # the first: a higher id before it would hide what this is about
        assert await commit_at_once(store, units) == ["duplicate_key"] + ["committed"] * 11


async def test_an_id_that_went_to_the_table_directly_is_taken(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        await store.commit([*world(), post(ROOMS[4], 1, id=1500)])
        units = [[post(ROOMS[0], 1, id=1500)], *([post(room, 2)] for room in ROOMS[1:])]
        assert await commit_at_once(store, units) == ["duplicate_key"] + ["committed"] * 11


async def test_a_deleted_room_takes_no_more_messages_though_the_journal_had_some(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        await post_everywhere(store, 1)
        await store.commit([DeleteRoom(room_id=ROOMS[0])])
        ended = await commit_at_once(store, [[post(room, 2)] for room in ROOMS])
        assert ended == ["write_rejected"] + ["committed"] * 11
        assert await history(store, ROOMS[1]) == [1, 2]


async def test_a_sequence_is_taken_also_while_the_message_is_in_the_journal_and_its_room_forgotten(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "CACHE_LIMIT", 3)
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        await post_everywhere(store, 1)
        units = [[post(room, 2)] for room in ROOMS]
        units[4] = [post(ROOMS[4], 1, id=9999)]
        assert stored_and_journaled(path) == (0, 1)
        assert await commit_at_once(store, units) == ["committed"] * 4 + ["duplicate_key"] + ["committed"] * 7
        assert await history(store, ROOMS[4]) == [1]


async def test_a_sequence_that_comes_twice_in_one_commit_is_refused_also_when_that_holds_too_many_rooms_to_remember(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "CACHE_LIMIT", 2)
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        units = [[post(room, 1)] for room in ROOMS]
        ended = await commit_at_once(store, [*units, [post(ROOMS[0], 1, id=9999)]])
        assert ended == ["committed"] * len(ROOMS) + ["duplicate_key"]


class Posts(msgspec.Struct, frozen=True):
    """A unit that posts: in which room, how many messages, under which key the first of them, and what is wrong."""

    room: int
    count: int
    key: int
    flaw: str


class Other(msgspec.Struct, frozen=True):
    """A unit that does something else with a room."""

    room: int
    deletes: bool
    """The room; else, its last message."""


class Plan(msgspec.Struct, frozen=True):
    """One commit, and the room whose messages are read afterwards."""

    units: list[Posts | Other]
    reads: int | None


class Plans(msgspec.Struct, frozen=True):
    commits: list[Plan]
    remembered: int
    """`CACHE_LIMIT`."""


numbers = st.integers(0, 3)
flaws = st.sampled_from(["", "", "", "", "sequence again", "id again", "id falls"])
posts = st.builds(Posts, room=numbers, count=st.integers(1, 2), key=st.integers(0, 4), flaw=flaws)
others = st.builds(Other, room=numbers, deletes=st.sampled_from([False, False, True]))
units_of_posts = st.lists(posts, min_size=1, max_size=5)
units_of_all = st.lists(posts | others, min_size=1, max_size=5)
plans = st.builds(
    Plans,
    commits=st.lists(
        st.builds(Plan, units=units_of_posts | units_of_posts | units_of_all, reads=st.none() | numbers), max_size=8
    ),
    remembered=st.sampled_from([2, journal.CACHE_LIMIT]),
)


class Player:
    """Plays a plan, in the same way whatever becomes of it."""

    def __init__(self) -> None:
        self._seqs = dict.fromkeys(ROOMS, 0)
        self._last_id = 1_000_000
        self._low_id = 10_000

    def unit(self, plan: Posts | Other) -> list[Write]:
        room = ROOMS[plan.room]
        if isinstance(plan, Other):
            delete = DeleteMessage(room_id=room, message_id=MessageId(self._last_id), deleted_us=7)
            return [DeleteRoom(room_id=room) if plan.deletes else delete]
        return [self._post(room, f"key {plan.key}" if plan.key and not n else None, plan) for n in range(plan.count)]

    def _post(self, room: RoomId, key: str | None, plan: Posts) -> Write:
        if plan.flaw != "sequence again":
            self._seqs[room] += 1
        if plan.flaw == "id falls":
            self._low_id += 1
            return post(room, self._seqs[room], key=key, id=self._low_id)
        if plan.flaw != "id again":
            self._last_id += 1
        return post(room, self._seqs[room], key=key, id=self._last_id)


@settings(max_examples=30, deadline=None)
@given(plans)
def test_whatever_is_committed_ends_as_without_a_journal(plans: Plans) -> None:
    async def play(min_units: int) -> object:
        seen: list[object] = []
        player = Player()
        with TemporaryDirectory() as folder:
            path = Path(folder) / "chinwag.db"
            async with open_sqlite_store(path, journal_min_units=min_units) as store:
                await store.commit(world())
                for plan in plans.commits:
                    seen.append(await commit_at_once(store, [player.unit(unit) for unit in plan.units]))
                    if plan.reads is not None:
                        seen.append(await history(store, ROOMS[plan.reads]))
                for room in (None, *ROOMS[:4]):
                    _, found = await store.search(ANN, text="hello", room_id=room, limit=1000)
                    seen.append([each.message for each in found])
            connection = apsw.Connection(str(path))
            kept = list(connection.execute("SELECT * FROM messages ORDER BY row"))
            set_aside = list(connection.execute("SELECT * FROM journal"))
            connection.close()
        return seen, kept, set_aside

    async def both() -> None:
        assert await play(1) == await play(NEVER)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "CACHE_LIMIT", plans.remembered)
        trio.run(both)


# --- the end of a process, and what can go wrong ------------------------------------------------------------------

WRITER = """
import os, signal, sys, trio
from pathlib import Path
from chinwag.persistence import journal, sqlite
from chinwag.persistence.sqlite import open_sqlite_store
from tests.persistence.test_journal import post_everywhere, world

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
    monkeypatch.setattr(sqlite, "BUSY_MS", 1)
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
    monkeypatch.setattr(sqlite, "BUSY_MS", 1)
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        await commit_at_once(store, [[post(room, 1)] for room in ROOMS[:MIN_UNITS]])
        with locked(path):
            with pytest.raises(StoreUnavailable):
                await history(store, ROOMS[0])
            assert await history(store, ROOMS[-1]) == []
        assert await history(store, ROOMS[0]) == [1]
