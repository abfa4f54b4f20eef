"""The journal: what goes through it, and that its readers do not notice. What a store promises, the contract suite
tests, once with every commit of nothing but messages through the journal.
"""

import inspect
import threading
from collections.abc import Sequence
from pathlib import Path

import apsw
import pytest
import trio
from structlog.testing import capture_logs

from chinwag.engine.model.errors import StoreUnavailable
from chinwag.engine.model.ids import FamilyId, FileId, InvitationId, MessageId, UserId
from chinwag.engine.model.store import (
    DeleteMessage,
    InsertMessage,
    Write,
)
from chinwag.engine.model.values import Role, Sealed
from chinwag.engine.testing import make_message
from chinwag.persistence.group_commit import FLUSH, DriverWrite
from chinwag.persistence.sqlite import journal
from chinwag.persistence.sqlite import opening as sqlite_open
from chinwag.persistence.sqlite import store as sqlite
from chinwag.persistence.sqlite.journal import MIN_UNITS
from chinwag.persistence.sqlite.store import SqliteDriver, SqliteStore, open_sqlite_store
from tests.persistence.sqlite.journaling import (
    ANN,
    ROOMS,
    commit_at_once,
    history,
    locked,
    post,
    post_everywhere,
    stored_and_journaled,
    world,
)

pytestmark = pytest.mark.usefixtures("never_flushes_by_itself")


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
    monkeypatch.setattr(sqlite_open, "BUSY_MS", 1)
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
        assert await store.highest_id() == 8000 + ROOMS[-1]
        await behind()
        overviews = await store.overviews(ANN, kind=None, name_contains="", skip=0, limit=100)
        assert {each.last_message.seq for each in overviews.rooms if each.last_message} == {9}


async def test_a_message_is_found_by_its_id_alone_and_only_a_new_one_needs_the_journal_moved(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        await post_everywhere(store, 1)
        await history(store, ROOMS[0])
        await post_everywhere(store, 2)
        assert stored_and_journaled(path) == (len(ROOMS), 1)
        for room in ROOMS:
            found = await store.find_message(MessageId(1000 + room), ANN)
            assert found is not None and [each.room_id for each in found.messages] == [room]
        assert stored_and_journaled(path) == (len(ROOMS), 1)
        assert await store.find_message(MessageId(2000 + ROOMS[0] - 1), ANN) is None
        assert stored_and_journaled(path) == (len(ROOMS), 1)
        found = await store.find_message(MessageId(2000 + ROOMS[0]), ANN)  # the first in it
        assert found is not None and [each.seq for each in found.messages] == [2]
        assert stored_and_journaled(path) == (2 * len(ROOMS), 0)
        assert await store.find_message(MessageId(2000 + ROOMS[-1]), ANN) is not None


async def test_a_list_of_rooms_is_in_the_order_of_what_was_committed(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        order = ROOMS[::2] + ROOMS[1::2]  # neither the order in which they were made, nor the reverse
        await commit_at_once(store, [[post(room, 1, id=2000 + n)] for n, room in enumerate(order)])
        assert stored_and_journaled(path) == (0, 1)
        listed = await store.rooms_of(ANN, name_contains="", limit=100)
        assert [each.id for each in listed.rooms] == order[::-1]


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
    "after": ANN,
    "after_us": None,
    "all_from": Role.MODERATOR,
    "around": MessageId(1100),
    "author_id": ANN,
    "automatic": None,
    "before_us": None,
    "by_us": 0,
    "digest": b"digest",
    "direct_key": "dm:1:2",
    "email": "ann@example.org",
    "family_id": FamilyId(1),
    "file_id": FileId(1),
    "identifier": "ann",
    "invitation_id": InvitationId(1),
    "key": "key",
    "kind": None,
    "limit": 10,
    "moment": False,
    "message_id": MessageId(999_999),  # one of those that may be in the journal, for which all of it is moved
    "name": "a job",
    "name_contains": "",
    "names": [],
    "now_us": 0,
    "recent": 10,
    "room_id": ROOMS[0],
    "room_ids": ROOMS,
    "since": MessageId(1100),
    "skip": 0,
    "text": "hello",
    "user_id": ANN,
    "user_ids": [ANN],
    "version": 1,
    "viewer": ANN,
    "within_s": 60.0,
}
"""What a read of the store can be asked with, by the names of its parameters."""
READING = ("chinwag-reader", "chinwag-search")
"""Names of the threads that read."""


async def test_a_read_empties_the_journal_if_and_only_if_it_looks_at_messages(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: set[str | None] = set()

    def note(operation: int, table: str | None, *_: object) -> int:
        if operation == apsw.SQLITE_READ and threading.current_thread().name.startswith(READING):
            looked_at.add(table)
        return apsw.SQLITE_OK

    def watch(connection: apsw.Connection) -> None:
        connection.authorizer = note

    monkeypatch.setattr(apsw, "connection_hooks", [watch])
    monkeypatch.setattr(
        sqlite_open, "STATEMENTS", 0
    )  # SQLite asks when it prepares a statement, so each has to be anew
    reads = {name for name, _ in inspect.getmembers(SqliteStore, inspect.iscoroutinefunction) if name[0] != "_"}
    looking: set[str] = set()
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        for seq, name in enumerate(sorted(reads - {"commit", "check", "search"}), start=1):
            await post_everywhere(store, seq)
            assert store.journaled
            looked_at.clear()
            read = getattr(store, name)
            await read(**{parameter: ARGUMENTS[parameter] for parameter in inspect.signature(read).parameters})
            assert ("messages" in looked_at) == (store.journaled == 0), name
            if "messages" in looked_at:
                looking.add(name)
    assert {"history", "has_opaque", "rooms_of"} < looking < reads


async def test_a_search_finds_what_is_in_the_journal_and_leaves_it_there(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        for seq in (1, 2):
            await post_everywhere(store, seq)
        assert stored_and_journaled(path) == (0, 2)
        everywhere = await store.search(ANN, text="HELLO 2", room_id=None, limit=100)
        assert [each.message.room_id for each in everywhere.messages] == ROOMS[::-1]
        there = await store.search(ANN, text="hello", room_id=ROOMS[3], limit=100)
        assert [each.message.seq for each in there.messages] == [2, 1]
        assert {each.message.author_name for each in there.messages} == {"ann"}
        assert (await store.search(UserId(2), text="hello", room_id=None, limit=100)).messages == ()
        assert stored_and_journaled(path) == (0, 2)
        journaled = there.messages
        await history(store, ROOMS[0])
        assert stored_and_journaled(path) == (2 * len(ROOMS), 0)
        assert (await store.search(ANN, text="hello", room_id=ROOMS[3], limit=100)).messages == journaled
        await post_everywhere(store, 3)
        newest = await store.search(ANN, text="hello", room_id=ROOMS[3], limit=2)
        assert [each.message.seq for each in newest.messages] == [3, 2]


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
    monkeypatch.setattr(sqlite_open, "BUSY_MS", 1)
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
