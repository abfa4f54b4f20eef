"""The client in the same process: nothing is lost, nothing read is kept, and a slow one is closed like any other."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.connections.in_process import InProcessClient, open_client
from chinwag.engine.connections.limits import SessionLimits
from chinwag.engine.connections.transport import ConnectionLost
from chinwag.engine.engine import EngineConfig
from chinwag.engine.model.events import Event, MessagePosted, RoomJoined, RoomLeft
from chinwag.engine.model.values import Role, Room
from chinwag.engine.testing.harness import EngineHarness, Person, open_harness, texts


@pytest.fixture
async def h() -> AsyncIterator[EngineHarness]:
    limits = SessionLimits(outbox_bytes=20_000)
    async with open_harness(config=EngineConfig(limits=limits)) as opened:
        yield opened


def connection(h: EngineHarness, person: Person, **more: Any) -> Any:
    return open_client(h.engine, user_id=person.id, family_id=person.family_id, **more)


async def scene(h: EngineHarness) -> tuple[Person, Room]:
    ann = await h.join("ann")
    return ann, await h.room("tea", ann)


async def test_a_read_that_is_cancelled_loses_nothing(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, room = await scene(h)
    async with connection(h, ann) as client:
        for n in range(5):
            await h.post(room, ann, f"{n}")
            with trio.move_on_after(1):
                await client.receive(100)
        with trio.CancelScope() as scope:
            scope.cancel()
            await client.receive(1)
        assert texts(await client.receive(5)) == ["0", "1", "2", "3", "4"]


async def test_an_iteration_that_is_cancelled_goes_on_where_it_was(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, room = await scene(h)
    heard: list[Event] = []

    async def listen(client: InProcessClient) -> None:
        async for event in client:
            heard.append(event)

    async with connection(h, ann) as client:
        for n in range(3):
            with trio.move_on_after(1):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(listen, client)
                    await h.post(room, ann, f"{n}a")
            await h.post(room, ann, f"{n}b")
        heard += await client.receive(1)
    assert texts(heard) == ["0a", "0b", "1a", "1b", "2a", "2b"]


async def test_what_was_read_is_not_kept(h: EngineHarness) -> None:
    ann, room = await scene(h)
    async with connection(h, ann) as client:
        for _ in range(100):
            await h.post(room, ann, "x" * 1000)
            await client.receive(1)
        assert not client.transport.written
        assert client.received() == []
        assert client.closed_with is None


@pytest.mark.parametrize("inbox_bytes", [1, 10, 1_000])
async def test_a_small_inbox_delays_and_loses_nothing(h: EngineHarness, inbox_bytes: int) -> None:
    ann, room = await scene(h)
    async with connection(h, ann, inbox_bytes=inbox_bytes) as client:
        for n in range(10):
            await h.post(room, ann, f"{n}")
        await wait_all_tasks_blocked()
        assert len(client.transport.written) <= inbox_bytes
        assert texts(await client.receive(10)) == [f"{n}" for n in range(10)]


async def test_a_client_that_does_not_read_is_closed_and_costs_no_more_than_its_bounds(h: EngineHarness) -> None:
    ann, room = await scene(h)
    async with connection(h, ann, inbox_bytes=5_000) as client:
        while client.closed_with is None:
            await h.post(room, ann, "x" * 1_000)
            await wait_all_tasks_blocked()
            assert len(client.transport.written) <= 5_000
        assert client.closed_with is CloseReason.SLOW_CONSUMER
        with pytest.raises(ConnectionLost):
            await client.receive(100)
        assert texts(client.received())[0] == "x" * 1_000  # what did come can still be read


async def test_a_client_whose_inbox_stays_full_is_closed_in_time(h: EngineHarness, autojump_clock: MockClock) -> None:
    ann, room = await scene(h)
    async with connection(h, ann, inbox_bytes=10) as client:
        await h.post(room, ann, "hello")
        await trio.sleep(SessionLimits().blocked_s + 2)
        assert client.closed_with is CloseReason.SLOW_CONSUMER


async def test_an_iteration_ends_with_the_connection_once_all_is_read(h: EngineHarness) -> None:
    ann, room = await scene(h)
    async with connection(h, ann) as client:
        await h.post(room, ann, "last words")
        await h.engine.accounts.log_out(ann.id, ann.family_id)
        assert texts([event async for event in client]) == ["last words"]
        assert client.closed_with is CloseReason.TOKEN_INVALID


async def test_a_client_hears_of_all_rooms_of_its_user_and_of_those_joined_later(h: EngineHarness) -> None:
    ann, bob = await h.join("ann"), await h.join("bob")
    tea, chess = await h.room("tea", ann, bob), await h.room("chess", ann)
    async with connection(h, bob) as client:
        await h.post(tea, ann, "milk")
        await h.post(chess, ann, "unheard")
        await h.engine.rooms.add_member(chess.id, ann.id, bob.id, Role.MEMBER)
        await h.post(chess, ann, "e4")
        await h.engine.rooms.remove_member(tea.id, ann.id, bob.id)
        await h.post(tea, ann, "unheard")
        await wait_all_tasks_blocked()
        heard = [event for event in client.received() if isinstance(event, MessagePosted | RoomJoined | RoomLeft)]
        assert [type(event) for event in heard] == [MessagePosted, RoomJoined, MessagePosted, RoomLeft]
        assert texts(heard) == ["milk", "e4"]


@pytest.mark.parametrize("follow", [None, False, True])
async def test_a_client_of_some_rooms_hears_of_others_if_it_asked_for_those_to_come(
    h: EngineHarness, follow: bool | None
) -> None:
    ann = await h.join("ann")
    tea, other = await h.room("tea", ann), await h.room("other", ann)
    async with connection(h, ann, room_ids=[tea.id], follow=follow) as client:
        later = await h.room("later", ann)
        for room in (tea, other, later):
            await h.post(room, ann, room.name)
        await wait_all_tasks_blocked()
        assert texts(client.received()) == (["tea", "later"] if follow else ["tea"])


async def test_an_error_in_the_block_comes_out_as_it_is_and_disconnects(h: EngineHarness) -> None:
    ann, _room = await scene(h)
    with pytest.raises(ValueError, match="mine"):
        async with connection(h, ann):
            raise ValueError("mine")
    assert len(h.engine.connections) == 0
