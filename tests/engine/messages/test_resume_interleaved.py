"""Resuming while others post, leave and come back, in thousands of interleavings."""

import random
from collections.abc import Sequence

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.connections.in_process import InProcessClient
from chinwag.engine.engine import EngineConfig
from chinwag.engine.model.events import Event, MessagePosted, MessageReplayed, Resumed, RoomLeft
from chinwag.engine.model.ids import MessageId, RoomId, UserId
from chinwag.engine.model.store import Missed
from chinwag.engine.model.values import Role, Room
from chinwag.engine.testing import MemoryStore
from chinwag.engine.testing.harness import EngineHarness, Person, open_harness, texts
from tests.engine.messages.test_resume import all_of
from tests.examples import seeds


class ChaoticStore(MemoryStore):
    """As a real store, where a commit is seen by readers before it is released, and a snapshot is old when it arrives.

    How long each step takes is left to the dice, in checkpoints. The order of commits and releases is kept.
    """

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self.dice = dice

    async def dawdle(self) -> None:
        for _ in range(self.dice.choice((0, 0, 1, 2, 5))):
            await trio.lowlevel.checkpoint()

    async def _run(self) -> None:
        try:
            while self._queue:
                await self.dawdle()
                batch = [self._queue.popleft() for _ in range(self.dice.randint(1, len(self._queue)))]
                for unit in batch:
                    self._tables.apply(unit.writes)
                await self.dawdle()  # readers see it already; nobody has been told
                for unit in batch:
                    if unit.then is not None:
                        unit.then()
                    unit.released()
                    if self.dice.random() < 0.3:
                        await self.dawdle()
        finally:
            self._running = False

    async def missed(
        self, room_ids: Sequence[RoomId], viewer: UserId, *, since: MessageId | None, limit: int, moment: bool = False
    ) -> dict[RoomId, Missed]:
        await self.dawdle()
        answer = await super().missed(room_ids, viewer, since=since, limit=limit, moment=moment)
        await self.dawdle()
        return answer


@seeds(8)
async def test_messages_posted_while_the_replay_is_read_come_once_and_in_order(
    autojump_clock: MockClock, seed: int
) -> None:
    """Many short lives of one client, each broken off at a random moment and resumed from the last id it got."""
    dice = random.Random(seed)
    store = ChaoticStore(dice)
    config = EngineConfig(room_idle_s=1e9)
    async with open_harness(store, config=config) as h:
        ann, bob = await h.join("ann"), await h.join("bob")
        for _ in range(120):
            rooms = [await h.room(f"{n}", ann, bob) for n in range(dice.randint(1, 3))]
            await interleave(h, dice, ann, bob, rooms)


async def interleave(h: EngineHarness, dice: random.Random, ann: Person, bob: Person, rooms: list[Room]) -> None:
    position = (await h.post(rooms[0], ann, "start")).id
    expected: dict[RoomId, list[int]] = {room.id: [] for room in rooms}
    heard: dict[RoomId, list[int]] = {room.id: [] for room in rooms}
    writing = True

    async def write(room: Room) -> None:
        for _ in range(40):
            message = await h.post(room, ann, "x")
            expected[room.id].append(message.seq)
            for _ in range(dice.choice((0, 0, 1, 3))):
                await trio.lowlevel.checkpoint()

    def hear(events: list[Event]) -> None:
        nonlocal position
        recovered = {event.room_id: event.recovered for event in events if isinstance(event, Resumed)}
        for event in events:
            if isinstance(event, MessagePosted | MessageReplayed):
                assert event.message.id > position, "ids rise on every connection"
                position = event.message.id
                heard[event.room_id].append(event.message.seq)
        assert all(recovered.values()), "every position that a client has is good"

    async def live_once() -> None:
        client = await h.connect(bob, *rooms, since=position, take_bytes=dice.choice((1 << 40, 300, 2_000)))
        for _ in range(dice.choice((0, 1, 3, 10, 30))):
            if dice.random() < 0.3:
                client.transport.unblock(dice.choice((100, 1_000)))
            await trio.lowlevel.checkpoint()
        client.transport.abort()
        hear(client.received())

    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as writers:
            for room in rooms:
                writers.start_soon(write, room)

            async def reconnect() -> None:
                while writing:
                    await live_once()

            nursery.start_soon(reconnect)
        writing = False
    client = await h.connect(bob, *rooms, since=position)
    hear(await all_of(client))
    client.transport.abort()
    first = expected[rooms[0].id][0]
    assert first == 2
    assert heard == expected


async def test_removals_and_returns_during_a_resume_never_show_what_was_said_in_between(
    autojump_clock: MockClock,
) -> None:
    dice = random.Random(11)
    async with open_harness(ChaoticStore(dice)) as h:
        ann, bob = await h.join("ann"), await h.join("bob")
        for _ in range(150):
            room, other = await h.room("tea", ann, bob), await h.room("other", ann, bob)
            position = (await h.post(room, ann, "start")).id
            for n in range(dice.randrange(4)):
                await h.post(room, ann, f"{n}")
            clients: list[InProcessClient] = []

            async def come_back(room: Room = room, other: Room = other, position: MessageId = position) -> None:
                clients.append(await h.connect(bob, room, other, since=position))  # noqa: B023

            async with trio.open_nursery() as nursery:
                nursery.start_soon(come_back)
                for _ in range(dice.randrange(12)):
                    await trio.lowlevel.checkpoint()
                await h.engine.rooms.remove_member(room.id, ann.id, bob.id)
                heard_before = clients[0].received() if clients else []
                await h.post(room, ann, "secret")
            [client] = clients
            events = heard_before + await all_of(client)
            assert "secret" not in texts(events)
            left = [index for index, event in enumerate(events) if isinstance(event, RoomLeft)]
            after = events[left[0] :] if left else []
            assert not [event for event in after if isinstance(event, MessagePosted) and event.room_id == room.id]
            await h.engine.rooms.add_member(room.id, ann.id, bob.id, Role.MEMBER)
            client.transport.abort()
            await wait_all_tasks_blocked()
