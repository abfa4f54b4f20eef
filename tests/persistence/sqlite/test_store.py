"""The SQLite store: opening, closing, restarts, full disks, damaged rows. What it stores, the contract suite tests."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
import trio
from msgspec.structs import replace
from structlog.testing import capture_logs
from trio.testing import wait_all_tasks_blocked

from chinwag.engine.model.errors import EngineError, StoreUnavailable
from chinwag.engine.model.ids import MessageId, RoomId, UserId
from chinwag.engine.model.store import (
    DeleteRoom,
    InsertMember,
    InsertMessage,
    InsertRoom,
    InsertSummary,
    InsertUser,
    SetWatermarks,
    Store,
    Write,
)
from chinwag.engine.model.values import Attachment, KeyCustody, MessageKind
from chinwag.engine.testing import make_member, make_message, make_room, make_summary, make_user
from chinwag.persistence.errors import CannotOpen
from chinwag.persistence.sqlite import opening as sqlite_open
from chinwag.persistence.sqlite.store import open_sqlite_store

ANN, ROOM = UserId(1), RoomId(10)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chinwag.db"


def world() -> list[Write]:
    """Ann is in ROOM."""
    return [
        InsertUser(user=make_user(ANN, "ann"), password_hash="hash"),
        InsertRoom(room=make_room(ROOM, ANN)),
        InsertMember(room_id=ROOM, member=make_member(ANN)),
    ]


def post(seq: int, text: str = "hello") -> InsertMessage:
    """Message number `seq` of ROOM, with the id 1000 + seq."""
    return InsertMessage(message=make_message(1000 + seq, ROOM, seq, ANN, text))


async def history(store: Store) -> list[int]:
    page = await store.history(ROOM, ANN, skip=0, limit=10_000)
    return [message.seq for message in reversed(page.messages)]


async def cannot_open(path: Path) -> str:
    with pytest.raises(CannotOpen) as caught:
        async with open_sqlite_store(path):
            pytest.fail("it opened")
    assert "\n" not in caught.value.message
    return caught.value.message


# --- opening ------------------------------------------------------------------------------------------------------


async def test_a_path_may_be_text(tmp_path: Path) -> None:
    async with open_sqlite_store(str(tmp_path / "data" / "chinwag.db")) as store:
        await store.check()
    assert (tmp_path / "data" / "chinwag.db").is_file()


@pytest.mark.parametrize("name", ["", ".", "new/.."])
async def test_a_folder_in_place_of_a_file_is_refused_with_the_name_to_give(tmp_path: Path, name: str) -> None:
    (tmp_path / "new").mkdir()
    said = await cannot_open(tmp_path / name)
    assert "cannot be opened: it is a folder" in said and f"{tmp_path / name / 'chinwag.db'}" in said
    assert [path.name for path in await trio.Path(tmp_path).iterdir()] == ["new"]  # nothing was made for it


async def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for below in ("chinwag.db", "more/chinwag.db"):
        said = await cannot_open(tmp_path / "file" / below)
        assert "cannot be written" in said and f"{tmp_path / 'file'} is a file" in said


async def test_a_database_in_memory_is_refused_with_what_there_is_instead() -> None:
    assert "MemoryStore" in await cannot_open(Path(":memory:"))


async def test_the_folder_is_made_if_need_be(tmp_path: Path) -> None:
    async with open_sqlite_store(tmp_path / "a" / "b" / "chinwag.db") as store:
        await store.check()


async def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    await trio.Path(path).write_text("Dear diary, " * 1000)
    assert "not a database" in await cannot_open(path)
    assert await trio.Path(path).read_text() == "Dear diary, " * 1000


async def test_another_program_s_database_is_refused(path: Path) -> None:
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE users (name)")
    other.close()
    assert "already exists" in await cannot_open(path)


async def test_a_database_of_newer_code_is_refused(path: Path) -> None:
    async with open_sqlite_store(path):
        pass
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO schema_versions (version, name) VALUES (999, 'from_the_future')")
    connection.close()
    message = await cannot_open(path)
    assert "newer version" in message
    assert "999" in message


async def test_a_second_server_on_the_same_database_is_refused(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        assert f"served by another process ({os.getpid()})" in await cannot_open(path)
        await store.commit(world())
    async with open_sqlite_store(path) as store:
        assert await store.user(ANN) is not None


async def test_an_sqlite_with_a_known_corruption_bug_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    assert "SQLite 3.51.2 is too old" in await cannot_open(path)
    assert not await trio.Path(path).exists()


async def test_what_the_block_raises_comes_out_as_it_is(path: Path) -> None:
    with pytest.raises(LookupError):
        async with open_sqlite_store(path):
            raise LookupError


# --- closing and opening again ------------------------------------------------------------------------------------


async def test_everything_is_there_after_a_restart(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        await store.commit([post(1), post(2), SetWatermarks(room_id=ROOM, user_id=ANN, delivered_seq=2, read_seq=1)])
        before = await store.room_snapshot(ROOM, recent=9)
    async with open_sqlite_store(path) as store:
        assert await store.room_snapshot(ROOM, recent=9) == before
        await store.commit([post(3)])
        assert await history(store) == [1, 2, 3]
        assert await store.highest_id() == 1003


async def test_closing_commits_what_is_queued(path: Path) -> None:
    called: list[int] = []
    with trio.CancelScope() as scope:
        async with open_sqlite_store(path) as store, trio.open_nursery() as nursery:
            await store.commit(world())
            for seq in range(1, 50):
                nursery.start_soon(store.commit, [post(seq)], lambda: called.append(1))
            await trio.lowlevel.checkpoint()
            scope.cancel()
    with pytest.raises(StoreUnavailable):
        await store.commit([post(99)])
    with pytest.raises(StoreUnavailable):
        await store.check()
    async with open_sqlite_store(path) as store:
        assert await history(store) == list(range(1, 50))
    assert len(called) == 49


async def test_a_row_is_never_given_twice(path: Path) -> None:
    """Else a message could inherit the place of a deleted one in the search index."""
    for _ in range(2):
        async with open_sqlite_store(path) as store:
            if await store.user(ANN) is None:
                await store.commit(world())
            else:
                await store.commit(world()[1:])
            await store.commit([post(1, "first needle"), post(2, "second needle")])
            while store.search_backlog:
                await store.indexer.step()
            store.indexer.paused = True
            await store.commit([DeleteRoom(room_id=ROOM)])
    async with open_sqlite_store(path) as store:
        store.indexer.paused = True
        await store.commit([*world()[1:], post(1, "something else")])
        found = (await store.search(ANN, text="needle", room_id=None, limit=9)).messages
        assert found == ()
        found = (await store.search(ANN, text="something", room_id=None, limit=9)).messages
        assert [entry.message.id for entry in found] == [1001]


WRITER = """
import sys, trio
from pathlib import Path
from chinwag.engine.model.store import InsertMember, InsertMessage, InsertRoom, InsertUser
from chinwag.engine.testing import make_summary, make_member, make_message, make_room, make_user
from chinwag.persistence.sqlite.store import open_sqlite_store

async def main() -> None:
    async with open_sqlite_store(Path(sys.argv[1])) as store:
        await store.commit([
            InsertUser(user=make_user(1, "ann"), password_hash=""),
            InsertRoom(room=make_room(10, 1)),
            InsertMember(room_id=10, member=make_member(1)),
        ])
        for seq in range(1, 1_000_000):
            message = make_message(1000 + seq, 10, seq, 1, f"number {seq}")
            await store.commit([InsertMessage(message=message)], lambda: print(seq, flush=True))

trio.run(main)
"""


async def test_what_was_answered_survives_a_kill(path: Path) -> None:
    process = await trio.lowlevel.open_process([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    output = b""
    while output.count(b"\n") < 200:
        chunk = await process.stdout.receive_some()
        assert chunk, "the writer ended by itself"
        output += chunk
    process.send_signal(signal.SIGKILL)
    async for chunk in process.stdout:
        output += chunk
    await process.wait()
    await process.stdout.aclose()
    answered = int(output.rpartition(b"\n")[0].split()[-1])
    async with open_sqlite_store(path) as store:
        kept = await history(store)
        assert kept == list(range(1, len(kept) + 1))
        assert len(kept) >= answered
        found = (await store.search(ANN, text="number", room_id=None, limit=100_000)).messages
        assert len(found) == len(kept)
    connection = apsw.Connection(str(path))
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    connection.close()


# --- failing writes -----------------------------------------------------------------------------------------------


async def test_a_failing_write_in_a_batch_fails_alone(path: Path) -> None:
    outcomes: dict[int, str] = {}

    async def commit(n: int, write: Write) -> None:
        try:
            await store.commit([write], lambda: outcomes.update({n: "committed"}))
        except EngineError as error:
            outcomes[n] = error.code

    async with open_sqlite_store(path) as store:
        await store.commit(world())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(commit, 0, post(1))
            await wait_all_tasks_blocked()
            for n in range(1, 101):  # they wait for the first one, and so come as one batch
                nursery.start_soon(commit, n, post(1) if n == 50 else post(1 + n))
        assert outcomes.pop(50) == "duplicate_key"
        assert set(outcomes.values()) == {"committed"}
        assert len(await history(store)) == 100
        assert store.statistics().failed_units == 1


async def test_a_full_database_refuses_writes_and_goes_on_when_there_is_space(path: Path) -> None:
    limits: list[apsw.Connection] = []
    async with open_sqlite_store(path, prepare_writer=limits.append) as store:
        await store.commit(world())
        pages = limits[0].execute("PRAGMA page_count").get
        limits[0].execute(f"PRAGMA max_page_count = {pages + 20}")
        stored, called = 0, 0

        def count() -> None:
            nonlocal called
            called += 1

        with capture_logs() as logs, pytest.raises(StoreUnavailable):
            for seq in range(1, 1000):
                await store.commit([post(seq, "x" * 2000)], count)
                stored = seq
        assert 0 < stored == called < 999
        assert [entry["log_level"] for entry in logs if entry["event"] == "store takes no writes"] == ["warning"]
        for _ in range(3):  # it goes on refusing, and reading goes on
            with pytest.raises(StoreUnavailable):
                await store.commit([post(stored + 1, "x" * 2000)])
            assert await history(store) == list(range(1, stored + 1))
        await store.check()
        limits[0].execute("PRAGMA max_page_count = 100000")
        await store.commit([post(stored + 1, "x" * 2000)])
        assert await history(store) == list(range(1, stored + 2))


async def test_a_full_database_fails_a_batch_at_once(path: Path) -> None:
    limits: list[apsw.Connection] = []
    outcomes: list[str] = []

    async def commit(seq: int) -> None:
        try:
            await store.commit([post(seq, "x" * 3000)])
            outcomes.append("committed")
        except StoreUnavailable:
            outcomes.append("refused")

    async with open_sqlite_store(path, prepare_writer=limits.append) as store:
        await store.commit(world())
        pages = limits[0].execute("PRAGMA page_count").get
        limits[0].execute(f"PRAGMA max_page_count = {pages + 5}")
        async with trio.open_nursery() as nursery:
            for seq in range(1, 51):
                nursery.start_soon(commit, seq)
        assert outcomes.count("committed") == len(await history(store))
        assert "refused" in outcomes


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_refuses_writes_and_goes_on_when_there_is_space(tiny_disk: Path) -> None:
    async with open_sqlite_store(tiny_disk / "chinwag.db") as store:
        store.indexer.paused = True
        await store.commit(world())
        (tiny_disk / "ballast").write_bytes(bytes(1_000_000))
        stored = 0
        with pytest.raises(StoreUnavailable):
            for seq in range(1, 1000):
                await store.commit([post(seq, "x" * 2000)])
                stored = seq
        assert await history(store) == list(range(1, stored + 1))
        (tiny_disk / "ballast").unlink()
        await store.commit([post(stored + 1)])
        assert await history(store) == list(range(1, stored + 2))


async def test_a_database_that_another_process_locks_is_unavailable_until_it_lets_go(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_open, "BUSY_MS", 1)
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        shell = apsw.Connection(str(path))
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable):
            await store.commit([post(1)])
        assert await history(store) == []
        shell.execute("ROLLBACK")
        shell.close()
        await store.commit([post(1)])
        assert await history(store) == [1]


# --- damaged rows -------------------------------------------------------------------------------------------------


async def test_one_damaged_row_breaks_no_list_and_is_reported_once(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        summary = make_summary(50, ROOM, first_us=1, last_us=2)
        await store.commit([*world(), *(post(seq, "needle") for seq in range(1, 6)), InsertSummary(summary=summary)])
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE messages SET attachments = '[{\"url\": 5}]' WHERE seq = 2")
    connection.execute("UPDATE messages SET attachments = x'ff00' WHERE seq = 3")
    connection.execute("UPDATE messages SET text = CAST(x'ff6e6565646c65' AS TEXT) WHERE seq = 4")
    connection.execute("UPDATE messages SET extras = '{\"kind\":' WHERE seq = 1")
    connection.execute('UPDATE messages SET extras = \'{"kind":99,"reply_to":1001}\' WHERE seq = 5')
    connection.execute("UPDATE members SET role = 77")
    connection.execute("UPDATE rooms SET custody = 77")
    connection.execute("UPDATE users SET declared = 'x'")
    connection.execute("UPDATE summaries SET participants = '[\"x\"]', keywords = x'00'")
    connection.close()
    async with open_sqlite_store(path) as store:
        with capture_logs() as logs:
            for _ in range(2):
                assert await history(store) == [1, 2, 3, 5]
                found = (await store.search(ANN, text="needle", room_id=ROOM, limit=9)).messages
                assert [entry.message.seq for entry in found] == [5, 3, 2, 1]
                assert all(entry.message.attachments == () for entry in found)
                assert all((entry.message.kind, entry.message.reply_to) == (MessageKind.TEXT, None) for entry in found)
                summaries = await store.summaries(ROOM, automatic=None, after_us=None, before_us=None, limit=9)
                assert summaries == [replace(summary, participants=(), keywords=())]
                listed = await store.overviews(ANN, kind=None, name_contains="", skip=0, limit=9)
                assert [(entry.room.id, entry.room.custody) for entry in listed.rooms] == [(ROOM, KeyCustody.CLIENT)]
                assert await store.message(ROOM, MessageId(1004)) is None
                assert len((await store.members(ROOM, ANN)).members) == 1
                assert await store.user(ANN) is not None
        damaged = [(entry["what"], entry["id"]) for entry in logs if entry["event"] == "damaged row"]
        assert len(damaged) == len(set(damaged))
        assert {what for what, _ in damaged} == {"message", "member", "room", "summary", "text", "user"}
        assert {row_id for what, row_id in damaged if what == "message"} == {1001, 1002, 1003, 1005}


async def test_a_plain_message_takes_no_room_for_what_it_does_not_have(path: Path) -> None:
    plain, file = post(1), Attachment(url="/f", mime_type="image/png", size_bytes=7)
    reply = InsertMessage(message=make_message(1002, ROOM, 2, ANN, attachments=(file,), reply_to=1001))
    async with open_sqlite_store(path) as store:
        await store.commit([*world(), plain, reply])
    connection = apsw.Connection(str(path))
    rows = connection.execute("SELECT attachments, extras FROM messages ORDER BY seq").fetchall()
    connection.close()
    assert rows == [(None, None), ('[{"url":"/f","mime_type":"image/png","size_bytes":7}]', '{"reply_to":1001}')]


async def test_a_cancelled_read_leaves_the_store_usable(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        await store.commit([*world(), *(post(seq) for seq in range(1, 500))])
        for _ in range(20):
            with trio.CancelScope() as scope:
                scope.cancel()
                await history(store)
            assert scope.cancelled_caught
        assert len(await history(store)) == 499


async def test_commits_are_observed(path: Path) -> None:
    observed: list[tuple[int, float]] = []
    async with open_sqlite_store(path, observe=lambda writes, seconds: observed.append((writes, seconds))) as store:
        await store.commit(world())
        await store.commit([post(1)])
    assert [writes for writes, _ in observed] == [3, 1]
    assert all(seconds > 0 for _, seconds in observed)


async def test_a_clean_stop_leaves_one_file_with_everything(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        await store.commit(world())
        await store.commit([post(1)])
    assert not path.with_name(path.name + "-wal").exists()
    copy = path.with_name("copy.db")
    await trio.Path(copy).write_bytes(await trio.Path(path).read_bytes())
    async with open_sqlite_store(copy) as store:
        assert await history(store) == [1]


async def test_commits_wait_for_the_disk_also_after_indexing(path: Path) -> None:
    """A kill cannot tell, only a power cut could: so this looks at the setting."""
    connections: list[apsw.Connection] = []
    async with open_sqlite_store(path, prepare_writer=connections.append) as store:
        full = 2
        assert connections[0].execute("PRAGMA synchronous").get == full
        await store.commit([*world(), post(1)])
        await store.indexer.step()
        assert connections[0].execute("PRAGMA synchronous").get == full


async def test_a_database_file_that_was_deleted_is_not_well(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        await store.check()
        await trio.Path(path).unlink()
        with pytest.raises(StoreUnavailable):
            await store.check()


async def test_the_check_does_not_wait_for_what_others_read(path: Path) -> None:
    release = threading.Event()
    async with open_sqlite_store(path) as store, trio.open_nursery() as nursery:
        for _ in range(20):  # more than there are readers
            nursery.start_soon(store._readers.run, lambda _: release.wait(10))
        for _ in range(50):  # and more than there are threads for everything else
            nursery.start_soon(trio.to_thread.run_sync, release.wait, 10)
        await wait_all_tasks_blocked()
        try:
            with trio.fail_after(5):
                await store.check()
            assert not release.is_set()
        finally:
            release.set()
