"""Typing ends at once: with the message, with the last connection, with the membership. Nothing stale comes later."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.connections.in_process import InProcessClient, InProcessTransport
from chinwag.engine.messages.messages import post_command
from chinwag.engine.model.commands import PostMessage, StartTyping, StopTyping, Typing
from chinwag.engine.model.errors import StoreUnavailable
from chinwag.engine.model.events import Event, MemberRemoved, MessagePosted, TypingStarted, TypingStopped
from chinwag.engine.model.values import Room
from chinwag.engine.rooms.state import TYPING_TTL_S
from chinwag.engine.testing.harness import EngineHarness, Person, RoomHarness

LONG_S = 3 * TYPING_TTL_S


async def types(h: EngineHarness, person: Person, *rooms: Room) -> None:
    for room in rooms:
        h.engine.rooms.tell(room.id, StartTyping(user_id=person.id))
    await wait_all_tasks_blocked()


def heard(client: InProcessClient) -> list[type[Event]]:
    return [type(event) for event in client.received()]


async def test_a_message_ends_typing_at_once_and_for_good(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    assert await room.ask(StartTyping(user_id=ann.user)) == Typing(user_id=ann.user)
    await trio.sleep(0.2)
    await room.h.post(room.room, ann.person, "there")
    assert heard(bob.client) == [TypingStarted, TypingStopped, MessagePosted]
    assert heard(ann.client)[-1] is MessagePosted
    await room.ask(StopTyping(user_id=ann.user))
    await trio.sleep(LONG_S)
    assert bob.received() == []


async def test_who_goes_on_typing_after_a_message_is_typing_until_they_stop(
    room: RoomHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    await room.ask(StartTyping(user_id=ann.user))
    await room.ask(PostMessage(author=ann.user, text="one"))
    await trio.sleep(TYPING_TTL_S / 2)
    await room.ask(StartTyping(user_id=ann.user))
    await trio.sleep(TYPING_TTL_S / 2 + 1)  # the first one's time is over
    assert heard(bob.client) == [TypingStarted, TypingStopped, MessagePosted, TypingStarted]
    await trio.sleep(TYPING_TTL_S)
    assert heard(bob.client) == [TypingStopped]


async def test_a_message_that_is_not_stored_ends_no_typing(room: RoomHarness, autojump_clock: MockClock) -> None:
    """Or nobody would hear of the end: what a turn says of it is lost with its commit."""
    ann, bob = await room.join("ann"), await room.join("bob")
    await room.ask(StartTyping(user_id=ann.user))
    room.h.store.fail_next_commits(1, StoreUnavailable("full"))
    with pytest.raises(StoreUnavailable):
        await room.h.post(room.room, ann.person, "lost")
    assert heard(bob.client) == [TypingStarted]
    await trio.sleep(TYPING_TTL_S + 0.001)
    assert heard(bob.client) == [TypingStopped]


async def test_typing_that_began_in_a_turn_that_was_lost_has_not_begun(
    room: RoomHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    room.h.store.fail_next_commits(1, StoreUnavailable("full"))
    slots = [room.tell(StartTyping(user_id=ann.user)), room.tell(post_command(bob.user, text="lost"))]
    for slot in slots:
        with pytest.raises(StoreUnavailable):
            await slot.result()
    await room.h.post(room.room, ann.person, "there")
    assert heard(bob.client) == [MessagePosted]


async def test_the_end_of_the_last_connection_ends_typing_in_all_rooms_and_that_of_another_in_none(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    rooms = [await h.room(name, ann, bob) for name in ("tea", "coffee")]
    watching = [await h.connect(bob, room) for room in rooms]
    phone, laptop = await h.connect(ann, *rooms), await h.connect(ann)
    await types(h, ann, *rooms)
    started = trio.current_time()
    phone.transport.abort()
    await wait_all_tasks_blocked()
    assert [heard(client) for client in watching] == [[TypingStarted], [TypingStarted]]
    laptop.transport.abort()
    await wait_all_tasks_blocked()
    assert [heard(client) for client in watching] == [[TypingStopped], [TypingStopped]]
    assert trio.current_time() == started
    await trio.sleep(LONG_S)
    assert [client.received() for client in watching] == [[], []]
    assert len(h.engine._registry.typists) == 0


async def test_who_came_back_at_once_types_anew(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.room("tea", ann, bob)
    watching = await h.connect(bob, room)
    for _ in range(2):
        client = await h.connect(ann, room)
        await types(h, ann, room)
        client.transport.abort()
        await wait_all_tasks_blocked()
    assert heard(watching) == [TypingStarted, TypingStopped] * 2


async def test_who_is_logged_out_types_no_more_though_their_client_has_not_said_goodbye(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    room = await h.room("tea", ann, bob)
    watching = await h.connect(bob, room)
    h.serve(await h.admit(ann, room), InProcessTransport(), trio.sleep_forever)
    await types(h, ann, room)
    await h.engine.accounts.log_out(ann.id, ann.family_id)
    await wait_all_tasks_blocked()
    assert heard(watching) == [TypingStarted, TypingStopped]


async def test_a_member_who_is_removed_types_no_more(room: RoomHarness, autojump_clock: MockClock) -> None:
    ann, bob = await room.join("ann"), await room.join("bob")
    await room.ask(StartTyping(user_id=bob.user))
    ann.received()
    await room.h.engine.rooms.remove_member(room.id, ann.user, bob.user)
    assert heard(ann.client)[:2] == [TypingStopped, MemberRemoved]
    await trio.sleep(LONG_S)
    assert ann.received() == []
