"""Search finds exactly the texts that contain what is looked for, however far the index is behind."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unicodedata import normalize

import apsw
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chinwag.engine.model.ids import MessageId, RoomId
from chinwag.engine.model.store import (
    DeleteMember,
    DeleteMessage,
    DeleteRoom,
    InsertMember,
    InsertMessage,
    InsertRoom,
    SetReactions,
    UpdateMessage,
    Write,
)
from chinwag.engine.model.text import folded
from chinwag.engine.model.values import Reaction
from chinwag.engine.testing import MemoryStore, make_member, make_message, make_room
from chinwag.persistence.folding import folded_column, searched_text
from chinwag.persistence.rows import Row
from chinwag.persistence.sqlite import search as search_module
from chinwag.persistence.sqlite import search_index
from chinwag.persistence.sqlite.reads import Snapshot
from chinwag.persistence.sqlite.store import SqliteStore, open_sqlite_store
from tests.examples import examples
from tests.persistence.sqlite.searching import ANN, BOB, ROOMS, find, post, world


async def index_all(store: SqliteStore, *, rows: int) -> None:
    """Index what there is, so many rows at a time."""
    while store.search_backlog:
        await store.indexer.step(rows=rows)


def edit(room: RoomId, message_id: int, text: str) -> UpdateMessage:
    return UpdateMessage(message=make_message(message_id, room, 1, ANN, text))


def indexed(path: Path) -> list[int]:
    """The sequences that the index has entries for."""
    connection = apsw.Connection(str(path))
    try:
        entries = connection.execute("SELECT id FROM message_index_docsize ORDER BY id")
        return [int(entry) & 0xFFFFFFFF for (entry,) in entries]
    finally:
        connection.close()


@contextmanager
def small_numbers(large_room: int) -> Iterator[None]:
    """All rooms are indexed, and a few messages make a large room, a full group, a trigram that is not rare."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_index, "INDEXED_ROOM_MESSAGES", 2)
        patch.setattr(search_module, "LARGE_ROOM_MESSAGES", large_room)
        patch.setattr(search_module, "FIRST_GROUP_MESSAGES", 1)
        patch.setattr(search_module, "RARE_ENTRIES", 3)
        patch.setattr(search_module, "FIRST_BOUND", 1)
        patch.setattr(search_module, "RARE_SHARE", 1)
        yield


@pytest.fixture
def index_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """A room is in the index from its first message, and the index is asked about all but the newest."""
    monkeypatch.setattr(search_index, "INDEXED_ROOM_MESSAGES", 1)
    monkeypatch.setattr(search_module, "LARGE_ROOM_MESSAGES", 1)


# --- the property -------------------------------------------------------------------------------------------------

ALPHABET = "aAbsSßẞkK\u212aİiıIσςΣéÉe\u0301\u0345ΑаАдДŉ京都東い가\u1100\u1161ﬃ%_'\"\\*^-() .0🐎𐐀𐐨\n"
TEXTS = (
    st.sampled_from(["needle", "the needle", "Needles and needless", "haystack"])
    | st.text(ALPHABET, max_size=12)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
)
STEPS = st.one_of(
    st.tuples(st.just("post"), st.integers(0, 2), TEXTS),
    st.tuples(st.just("post"), st.integers(0, 1), TEXTS),
    st.tuples(st.just("post"), st.integers(0, 1), TEXTS),
    st.tuples(st.just("edit"), st.integers(0, 20), TEXTS),
    st.tuples(st.just("delete"), st.integers(0, 20), st.none()),
    st.tuples(st.just("index"), st.integers(1, 40), st.none()),
    st.tuples(st.just("leave"), st.integers(0, 5), st.none()),
    st.tuples(st.just("drop"), st.integers(0, 5), st.none()),
)


@settings(max_examples=examples(60), suppress_health_check=list(HealthCheck))
@given(
    st.lists(STEPS, min_size=12, max_size=40),
    st.lists(st.text(ALPHABET, min_size=1, max_size=5), max_size=4),
    st.sampled_from([1, 2, 1_000]),
    st.data(),
)
def test_search_is_containment_of_folded_texts(
    steps: list[tuple[str, int, str | None]], needles: list[str], large_room: int, data: st.DataObject
) -> None:
    """The same writes go to the store and to the fake, whose search is `folded() in folded()` by definition."""

    async def check() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with open_sqlite_store(Path(folder) / "chinwag.db") as store:
                store.indexer.paused = True
                fake = MemoryStore()
                await store.commit(world())
                await fake.commit(world())
                texts: list[str] = []
                for write in await scenario(store, texts):
                    await fake.commit([write])
                parts = [data.draw(parts_of(text)) for text in texts[:3] if text]
                for needle in [*needles, *parts, "needle", "%", "_", "ss"]:
                    for room in (None, *ROOMS):
                        assert await find(store, needle, room=room) == await find(fake, needle, room=room), needle
                    for room in (None, ROOMS[0]):
                        for limit in (1, 2):
                            expected = await find(fake, needle, room=room, limit=limit)
                            assert await find(store, needle, room=room, limit=limit) == expected, needle

    async def scenario(store: SqliteStore, texts: list[str]) -> list[Write]:
        """Carry the steps out on the store; returns the writes."""
        done: list[Write] = []
        living: list[tuple[MessageId, RoomId]] = []
        seqs = dict.fromkeys(ROOMS, 0)
        rooms = list(ROOMS)
        for number, (kind, n, text) in enumerate(steps):
            write: Write
            if kind == "index":
                await store.indexer.step(rows=n)
                continue
            if kind == "post" and text is not None and ROOMS[n] in rooms:
                seqs[ROOMS[n]] += 1
                write = InsertMessage(message=make_message(1000 + number, ROOMS[n], seqs[ROOMS[n]], BOB, text))
                living.append((MessageId(1000 + number), ROOMS[n]))
                texts.append(text)
            elif kind == "edit" and text is not None and living:
                message, room = living[n % len(living)]
                write = edit(room, message, text)
                texts.append(text)
            elif kind == "delete" and living:
                message, room = living.pop(n % len(living))
                write = DeleteMessage(room_id=room, message_id=message, deleted_us=1)
            elif (
                kind == "leave" and n == 0 and ROOMS[1] in rooms and not any(isinstance(w, DeleteMember) for w in done)
            ):
                write = DeleteMember(room_id=ROOMS[1], user_id=ANN)
            elif kind == "drop" and n == 0 and ROOMS[0] in rooms:
                rooms.remove(ROOMS[0])
                living = [(message, room) for message, room in living if room != ROOMS[0]]
                write = DeleteRoom(room_id=ROOMS[0])
            else:
                continue
            await store.commit([write])
            done.append(write)
        return done

    with small_numbers(large_room):
        trio.run(check)


@st.composite
def parts_of(draw: st.DrawFn, text: str) -> str:
    """One to five characters of a text, in another case perhaps."""
    start = draw(st.integers(0, len(text) - 1))
    part = text[start : start + draw(st.integers(1, 5))]
    return draw(st.sampled_from([part, part.upper(), part.lower(), folded(part), normalize("NFD", part)]))


@given(TEXTS)
def test_folded_is_kept_only_where_sqlite_would_not_come_to_the_same(text: str) -> None:
    ascii_lower = "".join(chr(ord(char) + 32) if "A" <= char <= "Z" else char for char in text)
    column = folded_column(text)
    assert (column is None) == (ascii_lower == folded(text))
    assert searched_text(text, column) == folded(text)


# --- the index ----------------------------------------------------------------------------------------------------


async def test_the_indexer_catches_up_by_itself(store: SqliteStore) -> None:
    store.indexer.paused = False
    await store.commit([post(seq, f"needle {seq}") for seq in range(1, 301)])
    assert store.search_backlog > 0
    while store.search_backlog:  # noqa: ASYNC110  the indexer tells nobody when it is done
        await trio.sleep(0.01)
    assert len(await find(store, "needle", limit=999)) == 300


@pytest.mark.usefixtures("index_everything")
async def test_edits_deletions_and_dropped_rooms_leave_nothing_in_the_index(store: SqliteStore, tmp_path: Path) -> None:
    await store.commit([post(seq, f"needle {seq}") for seq in range(1, 11)])
    await store.indexer.step(rows=100)
    assert indexed(tmp_path / "chinwag.db") == list(range(1, 11))
    await store.commit([edit(ROOMS[0], 1001, "hay")])
    await store.commit([DeleteMessage(room_id=ROOMS[0], message_id=MessageId(1002), deleted_us=1)])
    assert store.search_backlog == 2
    reaction = Reaction(user_id=BOB, username="bob", emoji="👍", created_us=1)
    reacted = replace(make_message(1003, ROOMS[0], 3, ANN, "needle 3"), reactions=(reaction,))
    await store.commit([SetReactions(message=reacted)])
    assert store.search_backlog == 2  # its text is as it was
    assert await find(store, "needle") == [1000 + n for n in range(10, 2, -1)]
    await index_all(store, rows=1)
    assert indexed(tmp_path / "chinwag.db") == [1, *range(3, 11)]
    assert await find(store, "hay") == [1001]
    await store.commit([DeleteRoom(room_id=ROOMS[0])])
    assert await find(store, "needle") == []
    await index_all(store, rows=3)
    assert indexed(tmp_path / "chinwag.db") == []


@pytest.mark.parametrize("newest", ROOMS[:2], ids=["in a large room", "anywhere"])
async def test_an_edited_message_is_found_by_its_new_text_only(store: SqliteStore, newest: RoomId) -> None:
    """Whether the index is asked about its room, or, after a room with newer messages, about the whole store."""

    def there(number: int, text: str) -> InsertMessage:
        return InsertMessage(message=make_message(10_000 + number, ROOMS[1], number, ANN, text))

    await store.commit([post(seq, "zebra" if seq in (2, 4) else "horse") for seq in range(1, 1_101)])
    await store.commit([there(number, "horse") for number in range(1, 1_101)])
    if newest == ROOMS[0]:
        await store.commit([InsertMessage(message=make_message(20_000, ROOMS[0], 1_101, ANN, "horse"))])
    await index_all(store, rows=1_000)
    for message, text in ((1002, "giraffe"), (1003, "zebra")):
        await store.commit([edit(ROOMS[0], message, text)])
    await store.commit([there(1_101, "a zebra")] if newest == ROOMS[1] else [])  # the index does not hold it yet
    tail = [11_101] if newest == ROOMS[1] else []
    for backlog in (2 + len(tail), 0):
        assert store.search_backlog == backlog
        assert await find(store, "zebra") == [*tail, 1004, 1003]
        assert await find(store, "zebra", room=ROOMS[0]) == [1004, 1003]
        assert await find(store, "giraffe") == await find(store, "giraffe", room=ROOMS[0]) == [1002]
        await index_all(store, rows=10)


@pytest.mark.usefixtures("index_everything")
async def test_what_is_edited_before_it_was_indexed_is_indexed_once(store: SqliteStore) -> None:
    await store.commit([post(1, "needle"), post(2, "needle")])
    await store.commit([edit(ROOMS[0], 1001, "thread")])
    assert store.search_backlog == 2
    await store.indexer.step(rows=100)
    assert await find(store, "needle") == [1002]
    assert await find(store, "thread") == [1001]


@pytest.mark.usefixtures("index_everything")
@pytest.mark.parametrize("indexed_rows", [0, 3, 10])
async def test_a_restart_in_the_middle_of_indexing_loses_nothing(tmp_path: Path, indexed_rows: int) -> None:
    path = tmp_path / "chinwag.db"
    async with open_sqlite_store(path) as store:
        store.indexer.paused = True
        await store.commit([*world(), *(post(seq, f"needle {seq}") for seq in range(1, 11))])
        if indexed_rows:
            await store.indexer.step(rows=indexed_rows)
        await store.commit([edit(ROOMS[0], 1002, "hay")])
    expected = [1000 + n for n in range(10, 0, -1) if n != 2]
    async with open_sqlite_store(path) as store:
        store.indexer.paused = True
        assert store.search_backlog == 10 - indexed_rows + (1 if indexed_rows >= 2 else 0)
        assert await find(store, "needle") == expected
        await store.commit([post(11, "needle")])
        await index_all(store, rows=2)
        assert await find(store, "needle") == [1011, *expected]


async def test_short_texts_are_found_in_few_rooms_of_many_and_in_most_of_few(store: SqliteStore) -> None:
    """Both ways of looking for them: through the viewer's rooms, and through all messages."""
    others = [InsertMessage(message=make_message(2000 + n, ROOMS[2], n, BOB, "xy")) for n in range(1, 51)]
    await store.commit([post(1, "xy"), post(2, "yx"), post(3, "XY"), *others])
    assert await find(store, "xy") == [1003, 1001]  # one message in eighteen is Ann's to see
    found = (await store.search(BOB, text="XY", room_id=None, limit=3)).messages
    assert [entry.message.id for entry in found] == [2050, 2049, 2048]


# --- what it costs ------------------------------------------------------------------------------------------------


@contextmanager
def compared(store: SqliteStore) -> Iterator[list[int]]:
    """The numbers of rows that SQLite compared, per statement, in what a searcher runs in this block."""
    counts: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        original = Snapshot._read_into

        def counting(self: Snapshot, rows: list[Row], query: str, values: tuple[object, ...]) -> None:
            calls = 0

            def instr(*arguments: object) -> int:
                nonlocal calls
                calls += 1
                text, part = arguments
                assert isinstance(text, bytes)
                assert isinstance(part, bytes)
                return text.find(part) + 1

            self._connection.create_scalar_function("instr", instr, 2, deterministic=True)
            try:
                original(self, rows, query, values)
            finally:
                self._connection.create_scalar_function("instr", None, 2)
            counts.append(calls)

        patch.setattr(Snapshot, "_read_into", counting)
        yield counts


def others(count: int, text: str, start: int = 1) -> list[Write]:
    """Messages where Ann cannot see them."""
    return [
        InsertMessage(message=make_message(100_000 + seq, ROOMS[2], seq, BOB, text))
        for seq in range(start, start + count)
    ]


@pytest.mark.parametrize("word", ["needle", "ne"])
async def test_what_others_write_is_not_compared(store: SqliteStore, word: str) -> None:
    await store.commit([*(post(seq, f"needle {seq}") for seq in range(1, 41)), *others(3_000, "needle")])
    await index_all(store, rows=1_000)
    with compared(store) as counts:
        assert len(await find(store, word)) == 40
    assert sum(counts) == 40


async def test_a_common_word_is_found_in_the_newest_messages(store: SqliteStore) -> None:
    await store.commit([post(seq, "needle") for seq in range(1, 3_001)])
    await index_all(store, rows=1_000)
    for room in (None, ROOMS[0]):
        with compared(store) as counts:
            assert await find(store, "needle", room=room, limit=20) == [1000 + n for n in range(3_000, 2_980, -1)]
        assert sum(counts) == 20


@pytest.mark.parametrize("room", [None, ROOMS[0]])
async def test_a_rare_word_of_a_large_room_is_found_by_the_index(store: SqliteStore, room: RoomId | None) -> None:
    """Though the word is common elsewhere."""
    await store.commit([post(seq, "zebra" if seq == 7 else "horse") for seq in range(1, 3_001)])
    await store.commit(others(1_000, "zebra"))
    await index_all(store, rows=1_000)
    with compared(store) as counts:
        assert await find(store, "zebra", room=room) == [1007]
    assert sum(counts) == search_module.LARGE_ROOM_MESSAGES + 1


async def test_a_word_that_is_rare_everywhere_is_found_in_many_rooms_at_once(store: SqliteStore) -> None:
    rooms = [RoomId(n) for n in range(50_000, 50_100)]
    await store.commit([InsertRoom(room=make_room(room, ANN)) for room in rooms])
    await store.commit([InsertMember(room_id=room, member=make_member(ANN)) for room in rooms])
    for seq in range(1, 51):
        await store.commit(
            [
                InsertMessage(
                    message=make_message(
                        100_000 + seq * 1_000 + at, room, seq, ANN, "zebra" if (seq, at) == (9, 50) else "horse"
                    )
                )
                for at, room in enumerate(rooms)
            ]
        )
    await index_all(store, rows=1_000)
    with compared(store) as counts:
        assert await find(store, "zebra") == [109_050]
    assert sum(counts) <= search_module.FIRST_GROUP_MESSAGES + 1


async def test_rooms_that_enter_the_index_together_make_no_large_slice(store: SqliteStore) -> None:
    """They bring their older messages with them, and do so one after the other."""
    rooms = [RoomId(50_000 + n) for n in range(100)]
    await store.commit([InsertRoom(room=make_room(room, ANN)) for room in rooms])
    last = search_index.INDEXED_ROOM_MESSAGES
    for seq in range(1, last + 1):
        messages = [make_message(seq * 1_000_000 + room, room, seq, ANN, "needle") for room in rooms]
        await store.commit([InsertMessage(message=message) for message in messages])
    await store.indexer.step(rows=100 * (last - 1))  # nothing to be indexed yet
    assert store.search_backlog == 100
    await store.indexer.step(rows=50)
    assert 100 - store.search_backlog <= search_index.MOST_MORE * 50 / last
    await index_all(store, rows=50)
    assert store.search_backlog == 0


async def test_small_rooms_are_not_in_the_index(store: SqliteStore, tmp_path: Path) -> None:
    last = search_index.INDEXED_ROOM_MESSAGES
    await store.commit([post(seq, "needle") for seq in range(1, last)])
    await index_all(store, rows=5)
    assert indexed(tmp_path / "chinwag.db") == []
    await store.commit([post(last, "needle")])
    await index_all(store, rows=5)
    assert indexed(tmp_path / "chinwag.db") == list(range(1, last + 1))
