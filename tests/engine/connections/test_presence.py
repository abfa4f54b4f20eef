"""Presence: counted in sessions, with a grace period for reconnects, and what a user declares by hand."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.connections.in_process import PRESENCE_LINES, InProcessTransport
from chinwag.engine.connections.presence import GRACE_S
from chinwag.engine.model.events import PresenceChanged
from chinwag.engine.model.ids import UserId
from chinwag.engine.model.values import Presence, User
from chinwag.engine.testing import MemoryStore
from chinwag.engine.testing.harness import EngineHarness, open_harness

ANN = UserId(1)


async def test_the_first_session_brings_a_user_online_and_the_last_takes_them_off_after_the_grace(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    presence = h.engine.presence
    presence.arrive(ANN)
    presence.arrive(ANN)
    presence.depart(ANN, 100.0)
    presence.sweep(1000.0)
    assert presence.connected(ANN) is Presence.ONLINE
    presence.depart(ANN, 1000.0)
    presence.sweep(1000.0 + GRACE_S - 0.1)
    assert presence.connected(ANN) is Presence.ONLINE
    presence.sweep(1000.0 + GRACE_S)
    assert presence.connected(ANN) is Presence.OFFLINE


async def test_who_comes_back_within_the_grace_stays(h: EngineHarness, autojump_clock: MockClock) -> None:
    presence = h.engine.presence
    presence.arrive(ANN)
    presence.depart(ANN, 0.0)
    presence.arrive(ANN)
    presence.sweep(1000.0)
    assert presence.connected(ANN) is Presence.ONLINE


async def test_what_is_declared_wins(h: EngineHarness, autojump_clock: MockClock) -> None:
    presence = h.engine.presence
    presence.arrive(ANN)
    user = User(id=ANN, username="ann", email=None, created_us=0, declared=Presence.OFFLINE)
    assert presence.of(user) is Presence.OFFLINE
    assert presence.connected(ANN) is Presence.ONLINE


async def test_a_user_is_online_while_connected_and_offline_a_grace_later(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    assert h.engine.presence.of(ann.user) is Presence.OFFLINE
    first, second = await h.connect(ann), await h.connect(ann)
    await wait_all_tasks_blocked()
    assert h.engine.presence.of(ann.user) is Presence.ONLINE
    first.transport.abort()
    await trio.sleep(GRACE_S + 2)
    assert h.engine.presence.of(ann.user) is Presence.ONLINE
    second.transport.abort()
    await trio.sleep(GRACE_S - 1)
    assert h.engine.presence.of(ann.user) is Presence.ONLINE
    await trio.sleep(3)
    assert h.engine.presence.of(ann.user) is Presence.OFFLINE


async def test_what_was_declared_holds_until_the_user_next_comes_or_goes(
    h: EngineHarness, autojump_clock: MockClock
) -> None:
    ann = await h.join("ann")
    accounts = h.engine.accounts
    await h.engine.presence.declare(ann.id, Presence.ONLINE)
    assert h.engine.presence.of(await accounts.user(ann.id)) is Presence.ONLINE
    client = await h.connect(ann)
    await wait_all_tasks_blocked()
    assert (await accounts.user(ann.id)).declared is None
    await h.engine.presence.declare(ann.id, Presence.OFFLINE)
    assert h.engine.presence.of(await accounts.user(ann.id)) is Presence.OFFLINE
    await trio.sleep(60)
    assert h.engine.presence.of(await accounts.user(ann.id)) is Presence.OFFLINE
    client.transport.abort()
    await trio.sleep(GRACE_S + 2)
    assert (await accounts.user(ann.id)).declared is None


async def test_a_session_that_ends_with_a_bug_is_counted_out(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann = await h.join("ann")

    admitted = await h.admit(ann)
    with pytest.raises(ZeroDivisionError):
        async with h.engine.connections.attach(admitted, InProcessTransport()):
            await trio.lowlevel.checkpoint()
            raise ZeroDivisionError
    await trio.sleep(GRACE_S + 2)
    assert h.engine.presence.of(ann.user) is Presence.OFFLINE


async def test_a_bug_about_one_user_does_not_keep_the_news_of_others(autojump_clock: MockClock) -> None:
    class Buggy(MemoryStore):
        bad: UserId | None = None

        async def peers_of(self, user_id: UserId) -> set[UserId]:
            if user_id == self.bad:
                raise RuntimeError("a bug")
            return await super().peers_of(user_id)

    store = Buggy()
    async with open_harness(store) as h:
        ann, bob, cat = [await h.join(name) for name in ("ann", "bob", "cat")]
        room = await h.room("tea", ann, bob, cat)
        watching = await h.connect(ann, room, wire=PRESENCE_LINES)
        await wait_all_tasks_blocked()
        watching.received()
        store.bad = bob.id
        for person in (bob, cat):
            await h.connect(person, room)
        await wait_all_tasks_blocked()
        assert [event.user_id for event in watching.received() if isinstance(event, PresenceChanged)] == [cat.id]
