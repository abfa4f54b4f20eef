"""The guarded stream and the first request head, on memory streams with a virtual clock and on real sockets."""

import pytest
import trio
import trio.testing

from chinwag.http.head import BadRequest
from chinwag.http.streams import SEND_STEP_BYTES, GuardedStream, read_head, reset
from tests.http.peers import connected

HEAD = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
TOO_MUCH = 64 * 1024 * 1024
"""More than the buffers of a connection take."""


# --- GuardedStream ---


async def test_prefix_is_received_first_in_the_sizes_asked_for() -> None:
    async with connected() as (client, server):
        guarded = GuardedStream(server, prefix=b"before")
        await client.send_all(b"after")
        await client.send_eof()
        assert await guarded.receive_some(4) == b"befo"
        assert await guarded.receive_some() == b"re"
        assert await guarded.receive_some() == b"after"
        assert await guarded.receive_some() == b""
        assert guarded.socket is server.socket


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


# --- read_head ---


async def test_a_head_is_found_whole_by_bytes_and_with_bytes_to_spare() -> None:
    for chunk in (1, 7, 1000):
        for spare in (b"", b"body \r\n\r\n"):
            client, server = trio.testing.memory_stream_pair()
            data = HEAD + spare
            pieces = [data[start : start + chunk] for start in range(0, len(data), chunk)]
            async with trio.open_nursery() as nursery:

                async def send(to: trio.abc.SendStream = client, pieces: list[bytes] = pieces) -> None:
                    for piece in pieces:
                        await to.send_all(piece)
                        await trio.testing.wait_all_tasks_blocked()

                nursery.start_soon(send)
                received = await read_head(server, max_bytes=len(HEAD), timeout_s=10)
                assert received is not None
                assert received.head.path == "/x"
                assert received.raw[: received.size] == HEAD
                assert spare.startswith(received.leftover)
                assert received.raw == HEAD + received.leftover


async def test_a_head_without_an_end_is_refused_at_the_limit() -> None:
    client, server = trio.testing.memory_stream_pair()
    await client.send_all(b"x" * 101)
    with pytest.raises(BadRequest) as caught:
        await read_head(server, max_bytes=100, timeout_s=10)
    assert caught.value.status == 431


async def test_a_head_has_a_time_to_arrive_in_all(autojump_clock: trio.testing.MockClock) -> None:
    client, server = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def dribble() -> None:
            while True:
                await client.send_all(b"x")
                await trio.sleep(1)

        nursery.start_soon(dribble)
        with pytest.raises(BadRequest) as caught:
            await read_head(server, max_bytes=1000, timeout_s=10)
        assert caught.value.status == 408
        assert trio.current_time() == 10
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("start", [b"", HEAD[:-1]])
async def test_a_client_that_leaves_has_no_head(start: bytes) -> None:
    client, server = trio.testing.memory_stream_pair()
    await client.send_all(start)
    await client.send_eof()
    assert await read_head(server, max_bytes=1000, timeout_s=10) is None
    async with connected() as (peer, stream):
        await peer.send_all(start)
        reset(peer)
        assert await read_head(stream, max_bytes=1000, timeout_s=10) is None
