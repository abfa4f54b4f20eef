"""What sockets of all fronts have in common: the answers to a client's commands."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.connections.in_process import EVENT_LINES
from chinwag.engine.messages.messages import post_command
from chinwag.engine.model.commands import StartTyping
from chinwag.engine.model.errors import EngineError
from chinwag.engine.model.events import Event, MessagePosted, MessageReplayed, TypingStarted, TypingStopped
from chinwag.engine.model.ids import RoomId
from chinwag.engine.model.values import Message, Status
from chinwag.engine.testing.harness import open_harness, texts
from chinwag.http.kit.socket_commands import SocketReply, tell_room


class Words:
    def posted(self, message: Message, status: Status) -> bytes:
        return EVENT_LINES.encode(MessageReplayed(room_id=message.room_id, message=message, status=status))

    def refused(self, error: EngineError, *, room_id: RoomId | None, client_id: str | None) -> bytes:
        raise AssertionError((error, room_id, client_id))


async def test_a_retry_during_a_replay_is_answered_after_it(autojump_clock: MockClock) -> None:
    """The client's position is the highest id that it got. If the answer came first, a break would lose the rest."""
    async with open_harness() as h:
        ann = await h.join("ann")
        room = await h.room("tea", ann)
        position = (await h.post(room, ann, "start")).id
        missed = [(await h.post(room, ann, f"missed {n}")).text for n in range(350)]
        mine = await h.post(room, ann, "mine", key="k")
        client = await h.connect(ann, room, since=position, take_bytes=5_000)
        await wait_all_tasks_blocked()
        reply = SocketReply(Words(), h.engine, client.session, room.id)
        assert tell_room(h.engine, client.session, room.id, post_command(ann.id, text="mine", key="k"), reply) is None
        heard: list[Event] = []
        while client.session.outbox_bytes or client.session._held or not heard:
            client.transport.unblock(5_000)
            await wait_all_tasks_blocked()
            heard += client.received()
        messages = [event.message.id for event in heard if isinstance(event, MessagePosted | MessageReplayed)]
        assert messages[:-1] == sorted(set(messages))
        assert messages[-1] == mine.id
        assert texts(heard) == [*missed, "mine", "mine"]


async def test_typing_that_a_room_hears_of_when_its_user_is_gone_already_ends_with_it(
    autojump_clock: MockClock,
) -> None:
    async with open_harness() as h:
        ann, bob = await h.join("ann"), await h.join("bob")
        room = await h.room("tea", ann, bob)
        watching, client = await h.connect(bob, room), await h.connect(ann, room)
        await h.post(room, bob, "awake")
        watching.received()
        h.store.delay_s = 1.0
        h.engine.rooms.tell(room.id, post_command(bob.id, text="busy"))
        await wait_all_tasks_blocked()  # the room is in a turn, and takes nothing more until it is committed
        reply = SocketReply(Words(), h.engine, client.session, room.id)
        assert tell_room(h.engine, client.session, room.id, StartTyping(user_id=ann.id), reply) is None
        client.transport.abort()
        await trio.sleep(1.5)
        assert [type(event) for event in watching.received()] == [MessagePosted, TypingStarted, TypingStopped]
