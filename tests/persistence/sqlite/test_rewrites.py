"""What a former release stored in another form is brought over behind the running server, also when that is killed."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from unicodedata import normalize

import apsw
import msgspec
import pytest
import trio

from chinwag.engine.model.ids import MessageId, RoomId, UserId
from chinwag.engine.model.store import InsertMessage, UpdateMessage
from chinwag.engine.testing import make_message
from chinwag.persistence.folding import FOLD_ANEW
from chinwag.persistence.sqlite import search_index
from chinwag.persistence.sqlite.former_names import BRING_OVER
from chinwag.persistence.sqlite.rewrites import BroughtOver, Rewrite, Rewriter
from chinwag.persistence.sqlite.store import SqliteStore, open_sqlite_store
from tests.persistence.databases import PEOPLE, database_of_version
from tests.persistence.sqlite.journaling import locked

ANN = UserId(1)
ROOM = RoomId(10)
TEXTS = [
    "re\u0301sume\u0301",
    "plain",
    "\u0130stanbul",
    "normalize",
    "\u1112\u1161\u11ab",
    "r\u00e9sum\u00e9",
    "Stra\u00dfe",
]
"""A message each. Some have another folded form than before, some the same, some none of their own."""


def folded_before(text: str) -> str | None:
    """What releases before schema 5 stored."""
    folded = text.casefold()
    ascii_lower = text.encode().lower().decode()
    return None if folded == ascii_lower else folded


def old_database(path: Path, texts: Sequence[str] = TEXTS, *, journaled: Sequence[str] = ()) -> None:
    """A database of schema 4 with a room of these messages, all indexed, and with others in the journal."""
    connection = database_of_version(
        path,
        4,
        f"""
        {PEOPLE}
        INSERT INTO rooms (id, kind, name, description, created_by, created_us) VALUES (10, 1, 'tea', '', 1, 10);
        INSERT INTO members (room_id, user_id, role, joined_us, delivered_seq, read_seq) VALUES (10, 1, 30, 10, 0, 0);
        INSERT INTO search_rooms (room_id, indexed_seq) VALUES (10, {len(texts)});
        UPDATE search_state SET indexed_row = {len(texts)};
        """,
    )
    with connection:
        connection.executemany(
            "INSERT INTO messages (row, id, room_id, seq, author_id, text, folded, created_us)"
            " VALUES (?1, 1000 + ?1, 10, ?1, 1, ?2, ?3, ?1)",
            [(n, text, folded_before(text)) for n, text in enumerate(texts, start=1)],
        )
        connection.execute(
            "INSERT INTO message_index (rowid, folded)"
            " SELECT 1 << 32 | seq, coalesce(folded, lower(text)) FROM messages"
        )
    if journaled:
        rows = [
            (n, 1000 + n, ROOM, n, ANN, None, None, text, folded_before(text), None, n, None, None, None)
            for n, text in enumerate(journaled, start=len(texts) + 1)
        ]
        connection.execute("INSERT INTO journal (messages) VALUES (?)", (msgspec.msgpack.encode(rows),))
    connection.close()


@pytest.fixture(autouse=True)
def small_rooms_are_indexed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_index, "INDEXED_ROOM_MESSAGES", 1)


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is brought over, but by the test."""

    async def sleep(_: Rewriter) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(Rewriter, "run", sleep)


async def find(store: SqliteStore, text: str) -> list[str]:
    found = await store.search(ANN, text=text, room_id=None, limit=99)
    assert found.complete
    return [each.message.text for each in found.messages]


async def finish(store: SqliteStore) -> None:
    with trio.fail_after(10):
        while store.rewriter.unfinished:  # noqa: ASYNC110  it tells nobody when it is done
            await trio.sleep(0.01)


async def bring_names_over(store: SqliteStore) -> None:
    """What comes before the texts."""
    while BRING_OVER.name in store.rewriter.unfinished:
        await store.rewriter.step()


async def test_texts_of_a_former_release_are_found_once_they_are_brought_over(path: Path) -> None:
    old_database(path, journaled=["cafe\u0301"])
    async with open_sqlite_store(path) as store:
        assert await find(store, "caf\u00e9") == ["cafe\u0301"]  # the journal's are few, and folded at the start
        await finish(store)
        for _ in range(2):
            assert await find(store, "R\u00c9SUM\u00c9") == ["r\u00e9sum\u00e9", "re\u0301sume\u0301"]
            assert await find(store, "re\u0301sume\u0301") == ["r\u00e9sum\u00e9", "re\u0301sume\u0301"]
            assert await find(store, "istanbul") == ["\u0130stanbul"]
            assert await find(store, "\ud55c") == ["\u1112\u1161\u11ab"]
            assert await find(store, "STRASSE") == ["Stra\u00dfe"]
            assert await find(store, "plain") == ["plain"]
            while store.search_backlog:
                await store.indexer.step(rows=2)
    async with open_sqlite_store(path) as store:
        assert store.rewriter.unfinished == []


@pytest.mark.usefixtures("paused")
async def test_it_goes_on_where_it_was_when_the_server_is_killed_in_the_middle(path: Path) -> None:
    old_database(path)
    steps = 0
    while True:
        async with open_sqlite_store(path) as store:
            store.indexer.paused = True
            if not store.rewriter.unfinished:
                break
            await bring_names_over(store)
            await store.rewriter.step(rows=2)
            steps += 1
            if steps == 2:
                assert await find(store, "istanbul") == ["\u0130stanbul"]
                assert await find(store, "\ud55c") == []  # not its turn yet
                await store.commit([InsertMessage(message=make_message(5000, ROOM, 8, ANN, "na\u0308me"))])
                await store.commit([UpdateMessage(message=make_message(1005, ROOM, 5, ANN, "o\u0308l"))])
    assert steps == 5  # eight messages by two, and the look that finds no more
    async with open_sqlite_store(path) as store:
        assert await find(store, "n\u00e4me") == ["na\u0308me"]
        assert await find(store, "\u00f6l") == ["o\u0308l"]
        assert await find(store, "R\u00c9SUM\u00c9") == ["r\u00e9sum\u00e9", "re\u0301sume\u0301"]


@pytest.mark.usefixtures("paused")
async def test_only_what_folds_differently_is_indexed_anew(path: Path) -> None:
    old_database(path)
    async with open_sqlite_store(path) as store:
        store.indexer.paused = True
        await bring_names_over(store)
        await store.rewriter.step(rows=100)
        assert store.search_backlog == 3


async def test_a_store_that_takes_no_writes_is_brought_over_when_it_does(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_database(path)
    monkeypatch.setattr("chinwag.persistence.sqlite.background.RETRY_S", 0.01)
    monkeypatch.setattr("chinwag.persistence.sqlite.opening.BUSY_MS", 1)
    async with open_sqlite_store(path) as store:
        with locked(path):
            await trio.sleep(0.05)
            assert FOLD_ANEW.name in store.rewriter.unfinished
        await finish(store)
        assert await find(store, "istanbul") == ["\u0130stanbul"]


async def test_a_damaged_message_holds_nothing_up(path: Path) -> None:
    old_database(path)
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE messages SET text = CAST(x'c3e9' AS TEXT) WHERE id = 1001")
    connection.close()
    async with open_sqlite_store(path) as store:
        await finish(store)
        assert await find(store, "istanbul") == ["\u0130stanbul"]


async def test_nothing_is_begun_in_a_new_store(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        assert store.rewriter.unfinished == []


# --- any rewrite --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("paused")
async def test_rewrites_are_done_one_after_the_other_and_each_keeps_its_place(path: Path) -> None:
    async with open_sqlite_store(path):
        pass
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO rewrites VALUES ('first', 0), ('second', 1)")
    connection.close()
    seen: list[tuple[str, int]] = []

    def rewrite(name: str, keys: Iterator[int]) -> Rewrite:
        def step(_: apsw.Connection, after: int, count: int) -> BroughtOver:
            seen.append((name, after))
            key = next(keys, None)
            return BroughtOver(rows=0 if key is None else count, after=key)

        return Rewrite(name=name, step=step)

    rewrites = [rewrite("absent", iter([1])), rewrite("first", iter([5, 7])), rewrite("second", iter([3]))]
    async with open_sqlite_store(path) as store:
        store.rewriter._rewrites = rewrites
        while set(store.rewriter.unfinished) != set():
            await store.rewriter.step(rows=1)
        await store.rewriter.step(rows=1)
    assert seen == [("first", 0), ("first", 5), ("first", 7), ("second", 1), ("second", 3)]


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_folded_the_second_time_stays_as_it_is(text: str) -> None:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE messages (row INTEGER PRIMARY KEY, id INTEGER, room_id, seq, text, folded)")
    connection.execute("CREATE TABLE search_rooms (number, room_id, indexed_seq)")
    connection.execute("CREATE TABLE search_stale (entry INTEGER PRIMARY KEY)")
    connection.execute("INSERT INTO messages VALUES (1, ?, 10, 1, ?, ?)", (MessageId(7), text, folded_before(text)))
    for _ in range(2):
        assert FOLD_ANEW.step(connection, 0, 10).after == 1
        [[column]] = connection.execute("SELECT coalesce(folded, lower(text)) FROM messages").fetchall()
        assert normalize("NFC", text).casefold().replace("i\u0307", "i") == column
