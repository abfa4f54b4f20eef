"""Who is told that somebody came or went: who shares a room with them, on connections that have a word for it."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.connections.in_process import PRESENCE_LINES, InProcessClient
from chinwag.engine.connections.presence import GRACE_S
from chinwag.engine.model.errors import StoreUnavailable
from chinwag.engine.model.events import PresenceChanged
from chinwag.engine.model.ids import UserId
from chinwag.engine.model.values import Presence
from chinwag.engine.testing import MemoryStore
from chinwag.engine.testing.harness import EngineHarness, Person, open_harness

ONLINE, OFFLINE = Presence.ONLINE, Presence.OFFLINE


async def news(client: InProcessClient) -> list[tuple[str, Presence]]:
    """Who came and went since the last look."""
    await wait_all_tasks_blocked()
    return [(event.username, event.presence) for event in client.received() if isinstance(event, PresenceChanged)]


async def watch(h: EngineHarness, person: Person) -> InProcessClient:
    """A connection that hears of presence, and of no room."""
    client = await h.connect(person, wire=PRESENCE_LINES)
    await wait_all_tasks_blocked()
    return client


async def test_peers_are_told_of_the_first_connection_and_of_the_end_of_the_grace_after_the_last(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob, eve = await h.join("ann"), await h.join("bob"), await h.join("eve")
    tea, cake = await h.room("tea", ann, bob), await h.room("cake", ann, bob)  # two rooms, and told once
    await h.room("other", ann, eve)
    bobs, eves = await watch(h, bob), await watch(h, eve)
    await h.connect(bob, tea)
    assert await news(eves) == []  # bob is no peer of eve's
    clients = [await h.connect(ann, tea), await h.connect(ann, cake)]
    assert (await news(bobs), await news(eves)) == ([("ann", ONLINE)], [("ann", ONLINE)])
    for client in clients:
        client.transport.abort()
    await trio.sleep(GRACE_S - 2.0)
    assert await news(bobs) == []
    back = await h.connect(ann, tea)
    await trio.sleep(GRACE_S * 2)
    assert await news(bobs) == []  # a reconnect does not flicker
    back.transport.abort()
    await trio.sleep(GRACE_S + 2.0)
    assert (await news(bobs), await news(eves)) == ([("ann", OFFLINE)], [("ann", OFFLINE)])


async def test_nobody_is_told_of_themselves_and_other_formats_of_nobody(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    tea = await h.room("tea", ann, bob)
    anns, deaf = await watch(h, ann), await h.connect(bob, tea)
    assert await news(anns) == [("bob", ONLINE)]
    assert await news(deaf) == []


class CountingStore(MemoryStore):
    """Counts who was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[UserId] = []
        self.gate: trio.Event | None = None
        self.failing = False

    async def peers_of(self, user_id: UserId) -> set[UserId]:
        self.asked.append(user_id)
        if self.failing:
            raise StoreUnavailable("away")
        if self.gate is not None:
            await self.gate.wait()
        return await super().peers_of(user_id)


async def test_where_nobody_wants_to_know_nothing_is_read(autojump_clock: MockClock) -> None:
    store = CountingStore()
    async with open_harness(store) as h:
        ann, bob = await h.join("ann"), await h.join("bob")
        tea = await h.room("tea", ann, bob)
        for person in (ann, bob):
            client = await h.connect(person, tea)
            await h.engine.presence.declare(person.id, OFFLINE)
            client.transport.abort()
        await trio.sleep(GRACE_S * 2)
        assert store.asked == []


async def test_who_comes_and_goes_while_others_are_told_is_told_of_as_they_are_then(autojump_clock: MockClock) -> None:
    store = CountingStore()
    async with open_harness(store) as h:
        ann, bob = await h.join("ann"), await h.join("bob")
        crowd = [await h.join(f"guest{n}") for n in range(20)]
        tea = await h.room("tea", ann, bob, *crowd)
        bobs = await watch(h, bob)
        store.asked.clear()
        gate = store.gate = trio.Event()
        clients = [await h.connect(each, tea) for each in (ann, *crowd)]
        await wait_all_tasks_blocked()
        assert store.asked == [ann.id]  # one at a time
        for client in clients[1:]:
            client.transport.abort()
        await trio.sleep(GRACE_S * 2)
        store.gate = None
        gate.set()
        told = await news(bobs)
        assert told[0] == ("ann", ONLINE)
        assert set(told[1:]) == {(f"guest{n}", OFFLINE) for n in range(20)}
        assert len(told) == 21


async def test_a_store_in_trouble_costs_the_news_and_nothing_else(autojump_clock: MockClock) -> None:
    store = CountingStore()
    async with open_harness(store) as h:
        ann, bob = await h.join("ann"), await h.join("bob")
        tea = await h.room("tea", ann, bob)
        bobs = await watch(h, bob)
        store.failing = True
        client = await h.connect(ann, tea)
        assert await news(bobs) == []
        store.failing = False
        client.transport.abort()
        await trio.sleep(GRACE_S + 2.0)
        assert await news(bobs) == [("ann", OFFLINE)]


@pytest.mark.parametrize("connected", [False, True])
async def test_what_is_declared_is_told_when_it_changes_what_is_seen(
    h: EngineHarness, autojump_clock: MockClock, connected: bool
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    tea = await h.room("tea", ann, bob)
    bobs = await watch(h, bob)
    await h.engine.accounts.authenticate(ann.family_id, ann.id)
    if connected:
        await h.connect(ann, tea)
        assert await news(bobs) == [("ann", ONLINE)]
    declare = h.engine.presence.declare
    as_connected, otherwise = (ONLINE, OFFLINE) if connected else (OFFLINE, ONLINE)
    for declared, told in (
        (as_connected, []),
        (otherwise, [("ann", otherwise)]),
        (otherwise, []),
        (None, [("ann", as_connected)]),
        (None, []),
    ):
        await declare(ann.id, declared)
        assert await news(bobs) == told


async def test_who_declared_themselves_online_and_comes_is_not_told_of_again(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    tea = await h.room("tea", ann, bob)
    bobs = await watch(h, bob)
    await h.engine.presence.declare(ann.id, ONLINE)
    assert await news(bobs) == [("ann", ONLINE)]
    client = await h.connect(ann, tea)
    assert await news(bobs) == []
    await h.engine.presence.declare(ann.id, OFFLINE)
    assert await news(bobs) == [("ann", OFFLINE)]
    client.transport.abort()
    await trio.sleep(GRACE_S + 2.0)
    assert await news(bobs) == []
    assert (await h.engine.accounts.user(ann.id)).declared is None
