"""Clients that never read: each is closed as a slow consumer, within bounded memory, and costs nobody else anything."""

from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
import trio

from tests.e2e.client import api_of
from tests.e2e.hostile import ATTACHMENTS, BULKY_BYTES, fill_bulky, raw_websocket, read_to_the_end
from tests.e2e.listeners import Listener
from tests.e2e.processes import LIMIT_S, Server, serving

CLOSED = "chinwag_slow_consumers_closed_total"
MOST_MESSAGES = 3000
"""Far more than an outbox and the kernel's buffers hold."""
MIB = 1024 * 1024
RSS_GROWTH_BYTES = 160 * MIB
"""Generous: SQLite's page caches are most of it."""


@pytest.fixture(scope="module")
def busy_server(listener: Listener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("busy") / "data", listener=listener) as server:
        yield server


async def test_clients_that_never_read_are_closed_and_the_others_get_everything_in_order(busy_server: Server) -> None:
    async with api_of(busy_server) as api:
        ann, bob, slow = await api.person("ann"), await api.person("bob"), await api.person("slow")
        room = await api.room(ann, bob, slow)
        closed_before, rss_before = await api.metric(CLOSED), busy_server.rss_bytes
        sent: list[str] = []
        received: list[str] = []

        async def send() -> None:
            async with api.socket(ann, room) as socket, trio.open_nursery() as nursery:
                closed = trio.Event()
                nursery.start_soon(watch, closed)
                more = 100  # so that there are some after the last one was closed, too
                while more and len(sent) < MOST_MESSAGES:
                    more -= closed.is_set()
                    sent.append(f"{len(sent)}" if more else "the end")
                    await socket.send("send_message", room_id=room, content=sent[-1], attachments=ATTACHMENTS)
                    assert (await socket.expect("receive_message"))["content"] == sent[-1]
                nursery.cancel_scope.cancel()

        async def watch(closed: trio.Event) -> None:
            await api.metric_reaches(CLOSED, closed_before + 3)
            closed.set()

        async def listen() -> None:
            async with api.socket(bob, room) as socket:
                while "the end" not in received[-1:]:
                    received.append((await socket.expect("receive_message"))["content"])

        with trio.fail_after(2 * LIMIT_S):
            async with AsyncExitStack() as stack:
                streams = [await stack.enter_async_context(raw_websocket(api, slow, room)) for _ in range(3)]
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(listen)
                    nursery.start_soon(send)
                assert len(sent) < MOST_MESSAGES
                assert received == sent
                assert await api.metric(CLOSED) == closed_before + 3
                for stream in streams:  # each has its end, with less than all in it
                    assert len(await read_to_the_end(stream)) < len(sent) * BULKY_BYTES
        await api.all_gone()
        assert busy_server.rss_bytes - rss_before < RSS_GROWTH_BYTES
        assert "slow consumer" in busy_server.log


async def test_a_slow_client_that_comes_back_recovers_what_it_missed(busy_server: Server) -> None:
    async with api_of(busy_server) as api:
        ann, slow = await api.person("ann"), await api.person("slow")
        room = await api.room(ann, slow)
        closed_before = await api.metric(CLOSED)
        first = await api.post(ann, room, "first")
        ids: list[str] = []
        with trio.fail_after(2 * LIMIT_S):
            async with raw_websocket(api, slow, room):
                while await api.metric(CLOSED) == closed_before:
                    ids += await fill_bulky(api, ann, room, 50)
            async with api.socket(slow, room, since=first["id"]) as socket:
                assert [message["id"] for message in await socket.messages(len(ids))] == ids
                assert (await socket.expect("resumed"))["recovered"] is True
