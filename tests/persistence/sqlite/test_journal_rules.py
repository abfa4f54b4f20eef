"""The journal: no rule of the table of messages is weakened by it."""

from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from chinwag.engine.model.ids import MessageId, RoomId, UserId
from chinwag.engine.model.store import (
    DeleteMessage,
    DeleteRoom,
    InsertMessage,
    Write,
)
from chinwag.engine.testing import make_message
from chinwag.persistence.sqlite import journal
from chinwag.persistence.sqlite.store import open_sqlite_store
from tests.examples import examples
from tests.persistence.sqlite.journaling import (
    ANN,
    GOOD,
    NEVER,
    ROOMS,
    commit_at_once,
    history,
    post,
    post_everywhere,
    stored_and_journaled,
    world,
)

pytestmark = pytest.mark.usefixtures("never_flushes_by_itself")


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


@settings(max_examples=examples(30))
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
                    found = (await store.search(ANN, text="hello", room_id=room, limit=1000)).messages
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
