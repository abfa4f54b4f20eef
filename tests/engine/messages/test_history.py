"""A page of history is the same from wherever it comes: a room awake, what was read while it slept, the store."""

import contextlib

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from chinwag.engine.actors.mailbox import Ask
from chinwag.engine.engine import EngineConfig
from chinwag.engine.model.commands import StartTyping
from chinwag.engine.model.errors import EngineError, NotAMember, NotFound, StoreUnavailable
from chinwag.engine.model.ids import MessageId, RoomId, UserId
from chinwag.engine.model.values import Role, Room, Status, ViewedMessage
from chinwag.engine.rooms.memory import RECENT_MESSAGES
from chinwag.engine.testing.harness import EngineHarness, Person, RoomHarness, open_harness
from tests.examples import examples

IDLE_S = 10.0
PAGES = [(0, 1), (0, 50), (1, 2), (3, 50)]


async def stored(h: EngineHarness, room_id: RoomId, viewer: UserId, skip: int, limit: int) -> object:
    """What the store says: a page, or the class of the refusal."""
    page = await h.store.history(room_id, viewer, skip=skip, limit=limit)
    if page.access.room is None:
        return NotFound
    if page.access.member is None:
        return NotAMember
    assert page.receipts is not None
    return [ViewedMessage(message=each, status=page.receipts.status_of(each)) for each in page.messages]


async def told(h: EngineHarness, room_id: RoomId, viewer: UserId, skip: int, limit: int) -> object:
    """What the engine says."""
    try:
        return await h.engine.messages.history(room_id, viewer, skip=skip, limit=limit)
    except EngineError as refusal:
        return type(refusal)


OPERATIONS = st.tuples(
    st.sampled_from(
        ["post", "post", "post", "edit", "delete", "read", "add", "remove", "sleep", "fail", "delete room"]
    ),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 9),
)


@settings(max_examples=examples(60))
@given(operations=st.lists(OPERATIONS, min_size=5, max_size=25))
def test_the_engine_says_what_the_store_says(operations: list[tuple[str, int, int, int]]) -> None:
    async def run() -> None:
        async with open_harness(config=EngineConfig(room_idle_s=IDLE_S)) as h:
            people = [await h.join(name) for name in ("ann", "bob", "cat")]
            room = await h.room("tea", *people[:2])
            for name, who, whom, pick in operations:
                h.store.delay_s = 2.0
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(operate, h, room, name, people[who], people[whom], pick)
                    await trio.sleep(1)  # in the middle of the commit
                    await compare(h, room, people)
                await compare(h, room, people)

    trio.run(run, clock=MockClock(autojump_threshold=0))


async def compare(h: EngineHarness, room: Room, people: list[Person]) -> None:
    for person in people:
        for skip, limit in PAGES:
            expected = await stored(h, room.id, person.id, skip, limit)
            assert await told(h, room.id, person.id, skip, limit) == expected


async def operate(h: EngineHarness, room: Room, name: str, who: Person, whom: Person, pick: int) -> None:
    engine = h.engine
    rows = h.store._tables.messages_of(room.id) if room.id in h.store._tables.rooms else []
    message_id = rows[pick % len(rows)].message.id if rows else MessageId(1)
    with contextlib.suppress(EngineError):
        match name:
            case "post":
                await engine.messages.post(room.id, who.id, text=f"text {pick}")
            case "fail":
                h.store.fail_next_commits(1, StoreUnavailable("the disk is full"))
                await engine.messages.post(room.id, who.id, text="lost")
            case "edit":
                await engine.messages.edit(room.id, who.id, message_id, text=f"edited {pick}")
            case "delete":
                await engine.messages.delete(room.id, who.id, message_id)
            case "read":
                await engine.messages.mark_read(room.id, who.id, message_id)
            case "add":
                await engine.rooms.add_member(room.id, who.id, whom.id, Role.MEMBER)
            case "remove":
                await engine.rooms.remove_member(room.id, who.id, whom.id)
            case "delete room":
                await engine.rooms.delete(room.id, who.id)
            case "sleep":
                await trio.sleep(2 * IDLE_S)


async def test_an_awake_room_answers_without_the_store(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    message = await room.h.post(room.room, ann.person, "hello")
    eve = await room.h.join("eve")
    room.h.store.unavailable = True
    page = await room.h.engine.messages.history(room.id, bob.user, skip=0, limit=50)
    assert page == [ViewedMessage(message=message, status=Status.SENT)]
    with pytest.raises(NotAMember):
        await room.h.engine.messages.history(room.id, eve.id, skip=0, limit=50)


async def test_a_page_beyond_what_a_room_remembers_comes_from_the_store(
    room: RoomHarness, autojump_clock: MockClock
) -> None:
    ann = await room.join("ann")
    for n in range(RECENT_MESSAGES + 3):
        await room.h.post(room.room, ann.person, f"{n}")
    history = room.h.engine.messages.history
    newest = await history(room.id, ann.user, skip=0, limit=RECENT_MESSAGES)
    all_of_them = await history(room.id, ann.user, skip=0, limit=RECENT_MESSAGES + 50)
    assert len(all_of_them) == RECENT_MESSAGES + 3
    assert all_of_them[:RECENT_MESSAGES] == newest
    oldest = await history(room.id, ann.user, skip=RECENT_MESSAGES - 1, limit=50)
    assert [each.message.text for each in oldest] == ["3", "2", "1", "0"]


async def test_reading_wakes_no_room_and_a_sleeping_one_is_read_once(autojump_clock: MockClock) -> None:
    async with open_harness(config=EngineConfig(room_idle_s=IDLE_S)) as h:
        ann, bob = await h.join("ann"), await h.join("bob")
        room = await h.room("tea", ann, bob)
        await h.post(room, ann, "hello")
        await trio.sleep(2 * IDLE_S)
        assert h.engine.rooms.active_count() == 0
        first = await h.engine.messages.history(room.id, ann.id, skip=0, limit=50)
        assert h.engine.rooms.active_count() == 0
        h.store.unavailable = True
        assert await h.engine.messages.history(room.id, ann.id, skip=0, limit=50) == first
        with pytest.raises(EngineError):  # whether bob is a member nobody has asked yet
            await h.engine.messages.history(room.id, bob.id, skip=0, limit=50)


async def test_a_room_that_wakes_forgets_what_was_read_while_it_slept(autojump_clock: MockClock) -> None:
    async with open_harness(config=EngineConfig(room_idle_s=IDLE_S)) as h:
        ann = await h.join("ann")
        room = await h.room("tea", ann)
        assert await h.engine.messages.history(room.id, ann.id, skip=0, limit=50) == []
        await h.post(room, ann, "hello")
        await trio.sleep(2 * IDLE_S)
        assert len(await h.engine.messages.history(room.id, ann.id, skip=0, limit=50)) == 1


async def test_typing_changes_no_page(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann = await room.join("ann")
    slot = Ask()
    room.h.engine.rooms.tell(room.id, StartTyping(user_id=ann.user), slot)
    await slot.result()
    assert await room.h.engine.messages.history(room.id, ann.user, skip=0, limit=50) == []
