"""How long a search takes, and whom that holds up."""

import os
import threading
from pathlib import Path

import apsw
import pytest
import trio

from chinwag.engine.model.errors import StoreUnavailable
from chinwag.engine.model.ids import MessageId, RoomId
from chinwag.engine.model.store import InsertMember, InsertRoom
from chinwag.engine.model.store_search import SEARCHES_AT_ONCE
from chinwag.engine.testing import make_member, make_room
from chinwag.persistence.sqlite import time_limits
from chinwag.persistence.sqlite.reads import Snapshot
from chinwag.persistence.sqlite.store import SEARCHER_NICENESS, SqliteStore, open_sqlite_store
from tests.persistence.sqlite.searching import ANN, ROOMS, find, post, world


class Clock:
    """In place of the module `time`: a second passes each time that somebody looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1
        return self.now


@pytest.mark.parametrize("room", [None, ROOMS[0]], ids=["everywhere", "in a large room"])
async def test_a_search_out_of_time_has_what_it_found_until_then(
    store: SqliteStore, room: RoomId | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the newest messages first, whatever statement it was in; and the connection is as good as before."""
    await store.commit([post(seq, "needle" if seq % 10 == 0 else "hay") for seq in range(1, 3_001)])
    whole = await find(store, "needle", room=room, limit=1_000)
    assert len(whole) == 300
    monkeypatch.setattr(time_limits, "STEPS", 500)
    found: list[MessageId] = []
    for seconds in (1, 5, 10, 20, 40, 80, 160, 1_000_000):
        monkeypatch.setattr(time_limits, "time", Clock())
        search = await store.search(ANN, text="needle", room_id=room, limit=1_000, within_s=seconds)
        ids = [each.message.id for each in search.messages]
        assert ids == whole[: len(ids)]
        assert len(ids) >= len(found)
        assert search.complete == (ids == whole)
        found = ids
        assert await find(store, "needle", room=room, limit=1_000) == whole
    assert found == whole


async def test_names_that_take_too_long_to_look_at_are_left_out(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = [RoomId(50_000 + n) for n in range(1_000)]
    await store.commit([InsertRoom(room=make_room(room, ANN, name="tea")) for room in rooms])
    await store.commit([InsertMember(room_id=room, member=make_member(ANN)) for room in rooms])
    monkeypatch.setattr(time_limits, "time", Clock())
    found = await store.overviews(ANN, kind=None, name_contains="tea", skip=0, limit=5, within_s=4)
    assert [each.room.id for each in found.rooms] == rooms[:-6:-1]
    assert 0 < found.total < 1_000
    assert not found.complete


async def test_searches_that_take_long_hold_nobody_else_up(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.commit([post(1, "needle")])
    go_on = threading.Event()
    under_way = threading.Semaphore(0)
    original = Snapshot.search

    def wait(self: Snapshot, *arguments: object) -> object:
        under_way.release()
        go_on.wait(10)
        return original(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Snapshot, "search", wait)
    async with trio.open_nursery() as nursery:
        for _ in range(SEARCHES_AT_ONCE + 3):
            nursery.start_soon(find, store, "needle")
        for _ in range(SEARCHES_AT_ONCE):
            await trio.to_thread.run_sync(under_way.acquire)
        with trio.fail_after(5):
            await store.check()
            assert await store.user(ANN) is not None
            assert len((await store.history(ROOMS[0], ANN, skip=0, limit=9)).messages) == 1
            await store.commit([post(2, "needle")])
        go_on.set()


async def test_a_search_stands_behind_what_else_needs_the_processor(store: SqliteStore) -> None:
    def niceness(_: apsw.Connection) -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert await store._searchers.run(niceness) == min(own + SEARCHER_NICENESS, 19)
    assert await store._readers.run(niceness) == own


async def test_a_search_that_the_end_of_the_store_interrupts_is_no_answer(tmp_path: Path) -> None:
    ended: list[bool] = []

    async def search(store: SqliteStore) -> None:
        try:
            while True:
                assert (await store.search(ANN, text="aaab", room_id=None, limit=9)).complete
        except StoreUnavailable:
            ended.append(True)

    async with trio.open_nursery() as nursery, open_sqlite_store(tmp_path / "chinwag.db") as store:
        await store.commit([*world(), *(post(seq, "a" * 4_000) for seq in range(1, 2_001))])
        nursery.start_soon(search, store)
        await trio.sleep(0.01)
    assert ended == [True]
