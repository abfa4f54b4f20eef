"""Sessions of all of a user's rooms: nothing said after a joining is missed, nothing from before it is heard."""

import random
from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.connections.admission import Admission, Admitted
from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.connections.in_process import (
    EVENT_LINES,
    EventDialect,
    InProcessClient,
    InProcessTransport,
)
from chinwag.engine.connections.wires import LINES, Wire
from chinwag.engine.model.errors import Forbidden, LimitReached, NotAMember, NotFound
from chinwag.engine.model.events import (
    Event,
    MemberAdded,
    MemberRemoved,
    MessagePosted,
    MessageReplayed,
    Resumed,
    RoomDeleted,
    RoomJoined,
    RoomLeft,
)
from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.store import Access, Write
from chinwag.engine.model.values import Role, Room
from chinwag.engine.testing import MemoryStore
from chinwag.engine.testing.harness import EngineHarness, Person, open_harness, texts


async def all_of(client: InProcessClient) -> list[Event]:
    """What has come once nothing more happens."""
    await wait_all_tasks_blocked()
    return client.received()


class GatedStore(MemoryStore):
    """The next read of membership after a gate was set stops at its end until that is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.gate: trio.Event | None = None
        self.late = False
        """Whether a read of rooms stops at its beginning instead."""

    async def _pass(self) -> None:
        gate, self.gate = self.gate, None
        if gate is not None:
            await gate.wait()

    async def room_ids_of(self, viewer: UserId) -> list[RoomId]:
        if self.late:
            await self._pass()
        found = await super().room_ids_of(viewer)
        await self._pass()
        return found

    async def access(self, room_id: RoomId, viewer: UserId) -> Access:
        found = await super().access(room_id, viewer)
        await self._pass()
        return found


# --- all rooms ---


async def test_all_of_a_users_rooms_are_heard_however_many(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    rooms = [await h.room(f"{n}", ann, bob) for n in range(300)]
    strange = await h.room("strange", ann)
    client = await h.connect(bob, everywhere=True)
    for room in (*rooms, strange):
        await h.post(room, ann, room.name)
    assert texts(await all_of(client)) == [room.name for room in rooms]


async def test_a_user_without_rooms_is_admitted_and_hears_of_the_first_one(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    client = await h.connect(bob, everywhere=True)
    resumed = await h.connect(bob, everywhere=True, resume=True)
    tea = await h.room("tea", ann, bob)
    await h.post(tea, ann, "welcome")
    for each in (client, resumed):
        events = await all_of(each)
        assert [type(event) for event in events] == [RoomJoined, MessagePosted]


async def test_without_follow_a_session_stays_with_the_rooms_it_has(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    client = await h.connect(bob, await h.room("tea", ann, bob))
    await h.post(await h.room("cake", ann, bob), ann, "unheard")
    assert texts(await all_of(client)) == []


async def test_a_direct_room_that_somebody_else_opens_is_heard_of_at_once(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    clients = [await h.connect(each, everywhere=True) for each in (ann, bob)]
    room = await h.engine.rooms.direct(ann.id, bob.id)
    await h.post(room, ann, "psst")
    for client in clients:
        assert texts(await all_of(client)) == ["psst"]


async def test_who_is_added_hears_what_comes_and_who_is_removed_does_not(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    tea = await h.room("tea", ann)
    client = await h.connect(bob, everywhere=True)
    for n in range(3):
        await h.post(tea, ann, f"before {n}")
        await h.engine.rooms.add_member(tea.id, ann.id, bob.id, Role.MEMBER)
        await h.post(tea, ann, f"during {n}")
        await h.engine.rooms.remove_member(tea.id, ann.id, bob.id)
    assert texts(await all_of(client)) == ["during 0", "during 1", "during 2"]


async def test_a_deleted_room_is_heard_of_no_more(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    tea = await h.room("tea", ann, bob)
    client = await h.connect(bob, everywhere=True)
    await h.engine.rooms.delete(tea.id, ann.id)
    assert [type(event) for event in await all_of(client)] == [RoomLeft, RoomDeleted]
    assert not h.engine.connections.hears_of(client.session, tea.id)


async def test_all_rooms_resume_and_each_says_how(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    rooms = [await h.room(f"{n}", ann, bob) for n in range(3)]
    position = await h.post(rooms[0], ann, "known")
    for room in rooms:
        await h.post(room, ann, f"missed in {room.name}")
    client = await h.connect(bob, everywhere=True, since=position.id)
    events = await all_of(client)
    assert texts(events) == [f"missed in {room.name}" for room in rooms]
    ends = [event for event in events if isinstance(event, Resumed)]
    assert {(end.room_id, end.recovered, end.replayed) for end in ends} == {(room.id, True, 1) for room in rooms}


async def test_a_room_joined_while_the_rooms_are_read_is_heard_of(autojump_clock: MockClock) -> None:
    store = GatedStore()
    async with open_harness(store) as h:
        ann, bob = await h.join("ann"), await h.join("bob")
        tea = await h.room("tea", ann, bob)
        clients: list[InProcessClient] = []

        async def connect() -> None:
            clients.append(await h.connect(bob, everywhere=True))

        gate = store.gate = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connect)
            await wait_all_tasks_blocked()
            assert gate.statistics().tasks_waiting == 1
            cake = await h.room("cake", ann, bob)
            for room in (cake, tea):
                await h.post(room, ann, f"in {room.name}")
            gate.set()
        [client] = clients
        await h.post(cake, ann, "more")
        # What was said in tea before it was known to be his is in its history; a room is heard from its joining on.
        assert texts(await all_of(client)) == ["in cake", "more"]
        await h.post(tea, ann, "tea")
        assert texts(await all_of(client)) == ["tea"]


async def test_what_was_said_between_a_leaving_and_a_return_is_not_heard_without_follow_either(
    autojump_clock: MockClock,
) -> None:
    store = GatedStore()
    async with open_harness(store) as h:
        ann, bob = await h.join("ann"), await h.join("bob")
        tea = await h.room("tea", ann, bob)
        sessions: list[Admitted] = []

        async def connect() -> None:
            admitted = await h.engine.connections.admit(
                Admission(user_id=bob.id, family_id=bob.family_id, wire=EVENT_LINES)
            )
            sessions.append(admitted)

        first = store.gate = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connect)
            await wait_all_tasks_blocked()
            await h.engine.rooms.remove_member(tea.id, ann.id, bob.id)  # the first list says that bob is a member
            second = store.gate = trio.Event()
            store.late = True
            first.set()
            await wait_all_tasks_blocked()
            await h.post(tea, ann, "secret")
            await h.engine.rooms.add_member(tea.id, ann.id, bob.id, Role.MEMBER)  # and so does the second
            await h.post(tea, ann, "at last")
            second.set()
        transport = InProcessTransport()
        h.serve(sessions[0], transport, transport.until_gone)
        client = InProcessClient(sessions[0].session, transport, ())
        assert texts(await all_of(client)) == ["at last"]


@pytest.mark.parametrize("back", [False, True])
async def test_who_is_removed_while_the_rooms_are_read_hears_nothing_unless_they_are_back(
    autojump_clock: MockClock, back: bool
) -> None:
    store = GatedStore()
    async with open_harness(store) as h:
        ann, bob = await h.join("ann"), await h.join("bob")
        tea = await h.room("tea", ann, bob)
        clients: list[InProcessClient] = []

        async def connect() -> None:
            clients.append(await h.connect(bob, everywhere=True))

        first = store.gate = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connect)
            await wait_all_tasks_blocked()
            await h.engine.rooms.remove_member(tea.id, ann.id, bob.id)  # the first list says that bob is a member
            second = store.gate = trio.Event()
            first.set()
            await wait_all_tasks_blocked()
            assert second.statistics().tasks_waiting == 1  # the second says that he is not
            await h.post(tea, ann, "secret")
            if back:
                await h.engine.rooms.add_member(tea.id, ann.id, bob.id, Role.MEMBER)
            await h.post(tea, ann, "at last")
            second.set()
        [client] = clients
        await h.post(tea, ann, "afterwards")
        assert texts(await all_of(client)) == (["at last", "afterwards"] if back else [])


class ChaoticStore(MemoryStore):
    """Every read and commit takes some number of turns of the event loop."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self._dice = dice

    async def _dawdle(self) -> None:
        for _ in range(self._dice.choice((0, 0, 1, 2, 5))):
            await trio.lowlevel.checkpoint()

    async def room_ids_of(self, viewer: UserId) -> list[RoomId]:
        await self._dawdle()
        found = await super().room_ids_of(viewer)
        await self._dawdle()
        return found

    async def access(self, room_id: RoomId, viewer: UserId) -> Access:
        await self._dawdle()
        found = await super().access(room_id, viewer)
        await self._dawdle()
        return found

    async def commit(self, writes: Sequence[Write], then: object = None) -> None:
        self.delay_s = self._dice.choice((0.0, 0.0, 0.001))
        await super().commit(writes, then)  # type: ignore[arg-type]


class Tape:
    """A room's events as its admin saw them: what was said while somebody was a member."""

    def __init__(self, events: Sequence[Event], person: Person, *, member_at_start: bool) -> None:
        self.said: list[int] = []
        member = member_at_start
        for event in events:
            if isinstance(event, MemberAdded) and event.member.user_id == person.id:
                member = True
            elif isinstance(event, MemberRemoved) and event.user_id == person.id:
                member = False
            elif isinstance(event, MessagePosted) and member:
                self.said.append(event.message.id)


@pytest.mark.parametrize("seed", range(4))
async def test_joining_and_leaving_at_any_moment_of_a_connect_loses_and_leaks_nothing(
    autojump_clock: MockClock, seed: int
) -> None:
    dice = random.Random(seed)
    async with open_harness(ChaoticStore(dice)) as h:
        ann, bob = await h.join("ann"), await h.join("bob")
        for round_ in range(40):
            member_at_start = dice.random() < 0.5
            room = await h.room("tea", ann, *([bob] if member_at_start else []))
            witness = await h.connect(ann, room)
            clients: list[InProcessClient] = []
            positions: dict[str, int] = {}

            async def change(room: Room = room, member: bool = member_at_start) -> None:
                for n in range(30):
                    if dice.random() < 0.3:
                        if member:
                            await h.engine.rooms.remove_member(room.id, ann.id, bob.id)
                        else:
                            await h.engine.rooms.add_member(room.id, ann.id, bob.id, Role.MEMBER)
                        member = not member
                    else:
                        await h.post(room, ann, f"{n}")

            async def connect(
                clients: list[InProcessClient] = clients, positions: dict[str, int] = positions, round_: int = round_
            ) -> None:
                for _ in range(dice.randrange(20)):
                    await trio.lowlevel.checkpoint()
                positions["before"] = h.engine.connections._fanout.published
                clients.append(await h.connect(bob, everywhere=round_ % 2 == 0, resume=False))
                if round_ % 2:
                    await follow_when_possible(clients[0])
                positions["after"] = h.engine.connections._fanout.published

            async def follow_when_possible(client: InProcessClient, room: Room = room) -> None:
                client.session.follows = True
                try:
                    await h.engine.connections.follow(client.session, room.id)
                except NotAMember:
                    return  # RoomJoined will do it, should they join

            async with trio.open_nursery() as nursery:
                nursery.start_soon(change)
                nursery.start_soon(connect)
            [client] = clients
            events = await all_of(client)
            heard = [event.message.id for event in events if isinstance(event, MessagePosted | MessageReplayed)]
            said = Tape(await all_of(witness), bob, member_at_start=member_at_start).said
            assert heard == sorted(set(heard))
            assert set(heard) <= {each for each in said if each > positions["before"]}
            assert {each for each in said if each > positions["after"]} <= set(heard)
            for each in (client, witness):
                each.transport.abort()
            await wait_all_tasks_blocked()


# --- one more room ---


async def test_an_open_session_follows_and_unfollows_a_room(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    tea = await h.room("tea", ann, bob)
    client = await h.connect(bob)
    await h.post(tea, ann, "1")
    await h.engine.connections.follow(client.session, tea.id)
    await h.engine.connections.follow(client.session, tea.id)
    await h.post(tea, ann, "2")
    h.engine.connections.unfollow(client.session, tea.id)
    h.engine.connections.unfollow(client.session, tea.id)
    await h.post(tea, ann, "3")
    assert texts(await all_of(client)) == ["2"]


async def test_a_room_that_is_not_ones_own_is_not_followed(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    tea = await h.room("tea", ann)
    client = await h.connect(bob)
    with pytest.raises(NotAMember):
        await h.engine.connections.follow(client.session, tea.id)
    with pytest.raises(NotFound, match="room"):
        await h.engine.connections.follow(client.session, RoomId(1))
    await h.post(tea, ann, "secret")
    assert await all_of(client) == []


async def test_who_is_removed_while_it_is_looked_up_whether_they_may_follow_hears_nothing(
    autojump_clock: MockClock,
) -> None:
    store = GatedStore()
    async with open_harness(store) as h:
        ann, bob = await h.join("ann"), await h.join("bob")
        tea = await h.room("tea", ann, bob)
        client = await h.connect(bob)
        refused: list[NotAMember] = []

        async def follow() -> None:
            try:
                await h.engine.connections.follow(client.session, tea.id)
            except NotAMember as error:
                refused.append(error)

        gate = store.gate = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            await wait_all_tasks_blocked()
            await h.engine.rooms.remove_member(tea.id, ann.id, bob.id)
            gate.set()
        assert len(refused) == 1
        await h.post(tea, ann, "secret")
        assert texts(await all_of(client)) == []


async def test_a_session_that_ended_while_it_was_looked_up_follows_nothing(autojump_clock: MockClock) -> None:
    store = GatedStore()
    async with open_harness(store) as h:
        ann = await h.join("ann")
        tea = await h.room("tea", ann)
        client = await h.connect(ann)
        gate = store.gate = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(h.engine.connections.follow, client.session, tea.id)
            await wait_all_tasks_blocked()
            client.transport.abort()
            await wait_all_tasks_blocked()
            gate.set()
        assert len(h.engine.connections) == 0
        assert not h.engine.connections.hears_of(client.session, tea.id)


# --- how many ---


async def test_a_user_has_so_many_connections_of_a_kind_and_an_ended_one_counts_no_more(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    other_kind = Wire(EventDialect(), LINES)
    clients = [await h.connect(ann, everywhere=True, most=2) for _ in range(2)]
    await h.connect(ann, everywhere=True, most=2, wire=other_kind)
    await h.connect(bob, everywhere=True, most=2)
    for everywhere in (True, False):
        with pytest.raises(LimitReached) as refused:
            await h.connect(ann, everywhere=everywhere, most=2)
        assert refused.value.what == "connections"
    clients[0].session.close(CloseReason.TOKEN_INVALID)
    await h.connect(ann, everywhere=True, most=2)


async def test_of_many_connections_at_once_no_more_than_allowed_are_admitted(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    outcomes: list[bool] = []

    async def connect() -> None:
        try:
            await h.connect(ann, everywhere=True, most=5)
            outcomes.append(True)
        except LimitReached:
            outcomes.append(False)

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(connect)
    assert outcomes.count(True) == 5
    assert len(h.engine.connections) == 5


async def test_a_refused_connection_leaves_no_trace(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    tea = await h.room("tea", ann)
    with pytest.raises(Forbidden):
        await h.connect(bob, tea, follow=True)
    assert len(h.engine.connections) == 0
