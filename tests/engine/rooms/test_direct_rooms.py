"""Direct rooms as their two users see them: equals, who leave as they like, and are back with the next message."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from chinwag.engine.actors.mailbox import Ask
from chinwag.engine.engine import EngineConfig
from chinwag.engine.model.commands import PostMessage, RemoveMember, RoomCommand
from chinwag.engine.model.errors import NotAMember, NotTheAuthor, StoreUnavailable
from chinwag.engine.model.events import MemberAdded, MemberRemoved, MessagePosted, RoomJoined, RoomLeft
from chinwag.engine.model.store import SetRole
from chinwag.engine.model.values import Member, Role, Room, RoomKind, RoomOverview, Sealed
from chinwag.engine.testing.harness import EngineHarness, Person, open_harness, texts

IDLE_S = 2.0


async def pair(h: EngineHarness) -> tuple[Person, Person, Room]:
    """Ann, Bob, and their room, with one message of Ann's that Bob has not read."""
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.engine.rooms.direct(ann.id, bob.id)
    await h.post(room, ann, "first")
    return ann, bob, room


async def leave(h: EngineHarness, room: Room, *leavers: Person) -> None:
    for leaver in leavers:
        await h.engine.rooms.remove_member(room.id, leaver.id, leaver.id)


async def overview(h: EngineHarness, viewer: Person) -> RoomOverview | None:
    """Of the viewer's only room, None when it is in no list."""
    rooms = (await h.engine.rooms.overviews(viewer.id, limit=9)).rooms
    return rooms[0] if rooms else None


async def members(h: EngineHarness, room: Room, viewer: Person) -> dict[str, Member]:
    return {each.username: each for each in await h.engine.rooms.members(room.id, viewer.id)}


# --- coming back ---


@pytest.mark.parametrize("asleep", [True, False])
async def test_a_message_brings_back_who_left_live_and_with_one_unread(autojump_clock: MockClock, asleep: bool) -> None:
    async with open_harness(config=EngineConfig(room_idle_s=IDLE_S)) as h:
        ann, bob, room = await pair(h)
        follower = await h.connect(bob, everywhere=True)
        named = await h.connect(bob, room)
        elsewhere = await h.connect(bob)
        await leave(h, room, bob)
        assert await overview(h, bob) is None
        if asleep:
            await trio.sleep(2 * IDLE_S)
            assert h.engine.rooms.active_count() == 0
        for client in (follower, named, elsewhere):
            client.received()
        second = await h.post(room, ann, "are you there?")
        for client in (follower, named):
            joined, posted = client.received()
            assert joined == RoomJoined(room_id=room.id, user_id=bob.id, room=room)
            assert isinstance(posted, MessagePosted)
            assert (posted.message, posted.room_kind) == (second, RoomKind.DIRECT)
        assert [type(event) for event in elsewhere.received()] == [RoomJoined]
        found = await overview(h, bob)
        assert found is not None
        assert (found.unread, found.last_message) == (1, second)
        history = await h.engine.messages.history(room.id, bob.id, skip=0, limit=9)
        assert [viewed.message.text for viewed in history] == ["are you there?", "first"]
        await h.post(room, ann, "more")
        assert [texts(client.received()) for client in (follower, named, elsewhere)] == [["more"], ["more"], []]


async def test_a_message_of_who_left_brings_both_back(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob, room = await pair(h)
    await leave(h, room, ann, bob)
    clients = [await h.connect(person, everywhere=True) for person in (ann, bob)]
    posted = await h.post(room, bob, "sorry")
    for client in clients:
        events = client.received()
        assert [type(event) for event in events].count(RoomJoined) == 1
        assert texts(events) == ["sorry"]
        assert isinstance(events[-1], MessagePosted)
    assert set(await members(h, room, ann)) == {"ann", "bob"}
    shown = [await overview(h, person) for person in (ann, bob)]
    assert [None if each is None else (each.unread, each.last_message) for each in shown] == [(1, posted), (0, posted)]


async def test_a_socket_that_stopped_listening_hears_no_more_when_its_user_is_back(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob, room = await pair(h)
    client = await h.connect(bob, room)
    await leave(h, room, bob)
    h.engine.connections.unfollow(client.session, room.id)
    client.received()
    await h.post(room, ann, "x")
    assert [type(event) for event in client.received()] == [RoomJoined]


async def test_a_group_is_not_heard_again_by_whoever_named_it_before(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.room("tea", ann, bob)
    client = await h.connect(bob, room)
    await leave(h, room, bob)
    await h.engine.rooms.add_member(room.id, ann.id, bob.id, Role.MEMBER)
    await h.post(room, ann, "x")
    assert [type(event) for event in client.received()] == [MemberRemoved, RoomLeft, RoomJoined]


async def test_encrypted_content_brings_back_too(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob, room = await pair(h)
    await leave(h, room, bob)
    command = await h.engine.messages.sealed_command(
        room.id, bob.id, sealed=Sealed(data="AAAA", iv="BBBB", key_version=1)
    )
    assert (await h.engine.messages.submit(room.id, command)).message.opaque
    assert set(await members(h, room, ann)) == {"ann", "bob"}
    eve = await h.join("eve")
    with pytest.raises(NotAMember):
        await h.engine.messages.sealed_command(room.id, eve.id, sealed=Sealed(data="AAAA", iv="BBBB", key_version=1))


async def test_what_kind_of_room_it_is_is_told_who_left_it_and_no_stranger(autojump_clock: MockClock) -> None:
    async with open_harness(config=EngineConfig(room_idle_s=IDLE_S)) as h:
        _, bob, room = await pair(h)
        await leave(h, room, bob)
        await trio.sleep(2 * IDLE_S)
        eve = await h.join("eve")
        assert await h.engine.rooms.kind(room.id, bob.id) is RoomKind.DIRECT
        with pytest.raises(NotAMember):
            await h.engine.rooms.kind(room.id, eve.id)
        with pytest.raises(NotAMember):  # to read it they have to come back
            await h.engine.messages.history(room.id, bob.id, skip=0, limit=9)


async def test_leaving_and_writing_at_once_loses_no_message_and_leaves_nobody_half_in(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob, room = await pair(h)
    clients = {person.id: await h.connect(person, everywhere=True) for person in (ann, bob)}
    commands: list[RoomCommand] = [
        RemoveMember(caller=bob.id, user_id=bob.id),
        PostMessage(author=ann.id, text="1"),
        RemoveMember(caller=ann.id, user_id=ann.id),
        RemoveMember(caller=bob.id, user_id=bob.id),
        PostMessage(author=bob.id, text="2"),
        RemoveMember(caller=ann.id, user_id=ann.id),
        PostMessage(author=ann.id, text="3"),
    ]
    slots = [Ask() for _ in commands]
    for command, slot in zip(commands, slots, strict=True):
        h.engine.rooms.tell(room.id, command, slot)
    for slot in slots:
        await slot.result()
    stored = {member.user_id for member in await h.engine.rooms.members(room.id, ann.id)}
    assert stored == {ann.id, bob.id}
    for client in clients.values():
        assert texts(client.received()) == ["1", "2", "3"]
    assert [each.message.text for each in await h.engine.messages.history(room.id, bob.id, skip=0, limit=3)] == [
        "3",
        "2",
        "1",
    ]


async def test_a_lost_commit_brings_nobody_back_and_the_next_one_does(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob, room = await pair(h)
    await leave(h, room, bob)
    h.store.fail_next_commits(1, StoreUnavailable("full"))
    with pytest.raises(StoreUnavailable):
        await h.post(room, ann, "lost", key="k")
    assert await overview(h, bob) is None
    await h.post(room, ann, "lost", key="k")
    found = await overview(h, bob)
    assert found is not None
    assert found.unread == 1


async def test_an_old_retry_brings_nobody_back(h: EngineHarness, autojump_clock: MockClock) -> None:
    """Its key is older than what is in memory: only the database can tell that it is one."""
    ann, bob, room = await pair(h)
    first = await h.post(room, ann, "keyed", key="k")
    for n in range(250):
        await h.post(room, ann, f"{n}")
    await leave(h, room, bob)
    assert await h.post(room, ann, "keyed", key="k") == first
    assert await overview(h, bob) is None


@pytest.mark.parametrize("by", ["a message", "opening it"])
async def test_who_was_deactivated_does_not_come_back_until_they_are_active_again(
    h: EngineHarness, autojump_clock: MockClock, by: str
) -> None:
    ann, bob, room = await pair(h)
    await leave(h, room, bob)

    async def call() -> None:
        if by == "a message":
            await h.post(room, ann, "hello?")
        else:
            assert await h.engine.rooms.direct(ann.id, bob.id) == room

    await h.engine.accounts.set_active(bob.id, False)
    await call()
    assert set(await members(h, room, ann)) == {"ann"}
    await h.engine.accounts.set_active(bob.id, True)
    await call()
    assert set(await members(h, room, ann)) == {"ann", "bob"}


async def test_who_comes_back_has_the_name_they_have_by_then(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob, room = await pair(h)
    await leave(h, room, bob)
    await h.engine.accounts.update_profile(bob.id, display_name="Bobby")
    client = await h.connect(ann, room)
    await h.post(room, bob, "it's me")
    added, posted = client.received()
    assert isinstance(added, MemberAdded)
    assert isinstance(posted, MessagePosted)
    assert (added.member.display_name, posted.message.author_display_name) == ("Bobby", "Bobby")


# --- equals ---


async def delete_as_admin(h: EngineHarness, room: Room, person: Person) -> bool:
    return await h.engine.rooms.delete(room.id, person.id)


async def delete_as_owner(h: EngineHarness, room: Room, person: Person) -> bool:
    return await h.engine.rooms.delete(room.id, person.id, least=Role.OWNER)


@pytest.mark.parametrize("delete", [delete_as_admin, delete_as_owner])
async def test_deleting_a_direct_room_is_leaving_it_for_either_and_both(
    h: EngineHarness, autojump_clock: MockClock, delete: Callable[[EngineHarness, Room, Person], Awaitable[bool]]
) -> None:
    ann, bob, room = await pair(h)
    assert not await delete(h, room, bob)
    assert await overview(h, bob) is None
    found = await overview(h, ann)
    assert found is not None
    assert found.last_message is not None
    assert not await delete(h, room, ann)
    assert await h.engine.rooms.direct(bob.id, ann.id) == room
    history = await h.engine.messages.history(room.id, bob.id, skip=0, limit=9)
    assert [viewed.message.text for viewed in history] == ["first"]


async def test_roles_that_an_older_release_stored_are_neither_shown_nor_of_any_use(
    autojump_clock: MockClock,
) -> None:
    async with open_harness(config=EngineConfig(room_idle_s=IDLE_S)) as h:
        ann, bob, room = await pair(h)
        mine = await h.post(room, bob, "mine")
        await trio.sleep(2 * IDLE_S)
        await h.store.commit([SetRole(room_id=room.id, user_id=ann.id, role=Role.OWNER)])
        with pytest.raises(NotTheAuthor):
            await h.engine.messages.delete(room.id, ann.id, mine.id)
        assert {each.role for each in (await members(h, room, ann)).values()} == {Role.MEMBER}
        found = await overview(h, ann)
        assert found is not None
        assert found.member.role is Role.MEMBER
