"""The guarded stream, on real sockets. What is over TLS is tested with the servers."""

import pytest
import trio
import trio.testing

from chinwag.http.listener.streams import SEND_STEP_BYTES, GuardedStream, reset
from tests.http.peers import connected

TOO_MUCH = 64 * 1024 * 1024
"""More than the buffers of a connection take."""


async def test_everything_is_sent_to_a_client_that_reads() -> None:
    data = bytes(range(256)) * (5 * SEND_STEP_BYTES // 256) + b"tail"
    received = bytearray()
    async with connected() as (client, server), trio.open_nursery() as nursery:

        async def send() -> None:
            guarded = GuardedStream(server)
            await guarded.send_all(data)
            await guarded.send_all(b"")
            await guarded.wait_send_all_might_not_block()
            await guarded.send_eof()

        nursery.start_soon(send)
        async for piece in client:
            received += piece
    assert received == data


async def test_a_send_that_makes_no_progress_ends_by_itself_also_in_a_shield() -> None:
    async with connected() as (_, server):
        guarded = GuardedStream(server, send_timeout_s=0.05)
        with trio.CancelScope(shield=True), pytest.raises(trio.BrokenResourceError, match="too little"):
            await guarded.send_all(bytes(TOO_MUCH))
        assert server.socket.fileno() == -1
        with pytest.raises(trio.ClosedResourceError):
            await guarded.send_all(b"more")


async def test_waiting_to_send_ends_by_itself_too() -> None:
    async with connected() as (_, server):
        with trio.move_on_after(0.05):
            await server.send_all(bytes(TOO_MUCH))
        with pytest.raises(trio.BrokenResourceError, match="nothing"):
            await GuardedStream(server, send_timeout_s=0.05).wait_send_all_might_not_block()


async def test_abort_ends_a_send_and_a_receive_in_progress() -> None:
    ended: list[str] = []
    async with connected() as (_, server), trio.open_nursery() as nursery:
        guarded = GuardedStream(server)

        async def send() -> None:
            with trio.CancelScope(shield=True), pytest.raises(trio.ClosedResourceError):
                await guarded.send_all(bytes(TOO_MUCH))
            ended.append("send")

        async def receive() -> None:
            with trio.CancelScope(shield=True), pytest.raises(trio.ClosedResourceError):
                await guarded.receive_some()
            ended.append("receive")

        nursery.start_soon(send)
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked(cushion=0.02)
        guarded.abort()
        guarded.abort()
    assert sorted(ended) == ["receive", "send"]


async def test_reset_reaches_the_peer_as_a_broken_connection() -> None:
    async with connected() as (client, server):
        reset(server)
        reset(server)
        with pytest.raises(trio.BrokenResourceError):
            await client.receive_some()
