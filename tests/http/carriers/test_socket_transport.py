"""The transport of a WebSocket on a real socket."""

import pytest
import trio
import trio.testing

from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.connections.transport import ConnectionLost, Transport
from chinwag.http.carriers.socket_transport import SocketTransport
from chinwag.http.carriers.websocket import Close, Opcode, Ping, ProtocolFailure, frame_text
from tests.http.peers import client_frame, connected, text

FULL = bytes(1024 * 1024)


def fill(transport: SocketTransport) -> int:
    """Send until the kernel takes no more; return how much it took."""
    taken = 0
    while sent := transport.try_send(FULL):
        taken += sent
    return taken


async def test_it_is_a_transport() -> None:
    async with connected() as (_, server):
        transport: Transport = SocketTransport(server)
        assert transport.goodbye(CloseReason.SLOW_CONSUMER) == b"\x88\x0f\x11\x38slow consumer"
        for reason in CloseReason:
            assert transport.goodbye(reason).startswith(b"\x88")


async def test_messages_are_received_as_they_come() -> None:
    async with connected() as (client, server):
        transport = SocketTransport(server, leftover=text("early") + text("cut in two")[:5])
        await client.send_all(text("cut in two")[5:] + client_frame(Opcode.PING, b"p") + text("next")[:3])
        assert await transport.receive() == ["early"]
        assert await transport.receive() == ["cut in two", Ping(b"p")]
        await client.send_all(text("next")[3:4])
        assert await transport.receive() == []
        await client.send_all(text("next")[4:])
        assert await transport.receive() == ["next"]


async def test_the_last_bytes_are_remembered_by_their_time(autojump_clock: trio.testing.MockClock) -> None:
    async with connected() as (client, server):
        transport = SocketTransport(server)
        assert transport.last_received == trio.current_time()
        await trio.sleep(5)
        await client.send_all(text("x"))
        await transport.receive()
        assert transport.last_received >= 5


async def test_nothing_follows_a_close_frame() -> None:
    async with connected() as (client, server):
        transport = SocketTransport(server)
        await client.send_all(client_frame(Opcode.CLOSE, b"\x03\xe8") + text("ignored"))
        assert await transport.receive() == [Close(1000)]
        with pytest.raises(ConnectionLost):
            await transport.receive()


async def test_a_failure_carries_what_came_before_it() -> None:
    async with connected() as (client, server):
        transport = SocketTransport(server, max_message_bytes=10)
        await client.send_all(text("fine") + text("longer than ten"))
        with pytest.raises(ProtocolFailure) as caught:
            await transport.receive()
        assert (caught.value.code, caught.value.before) == (1009, ("fine",))
        with pytest.raises(ConnectionLost):
            await transport.receive()


async def test_the_end_of_the_stream_is_a_lost_connection() -> None:
    async with connected() as (client, server):
        transport = SocketTransport(server)
        await client.send_eof()
        with pytest.raises(ConnectionLost):
            await transport.receive()


async def test_sending_never_waits_and_goes_on_when_the_peer_reads() -> None:
    async with connected() as (client, server), trio.open_nursery() as nursery:
        transport = SocketTransport(server)
        frame = frame_text(b"hello")
        assert transport.try_send(frame) == len(frame)
        taken = len(frame) + fill(transport)
        waited = trio.Event()

        async def wait() -> None:
            await transport.wait_writable()
            waited.set()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked(cushion=0.02)
        assert not waited.is_set()
        received = b""
        while len(received) < taken:
            received += await client.receive_some()
        assert received.startswith(frame)
        await waited.wait()
        assert transport.try_send(frame) == len(frame)


async def test_a_reset_by_the_peer_is_a_lost_connection_for_all_calls() -> None:
    async with connected() as (client, server):
        transport = SocketTransport(server)
        gone = SocketTransport(client)
        fill(gone)
        gone.abort()  # it was not being read, so this is a reset
        while True:
            try:
                await transport.receive()
            except (ConnectionLost, ProtocolFailure):
                break
        with pytest.raises(ConnectionLost):
            while True:
                transport.try_send(b"x")


@pytest.mark.parametrize("full", [False, True])
async def test_abort_wakes_whoever_waits_and_ends_every_call(full: bool) -> None:
    lost: list[str] = []
    async with connected() as (_, server), trio.open_nursery() as nursery:
        transport = SocketTransport(server)
        if full:
            fill(transport)

        async def receive() -> None:
            with pytest.raises(ConnectionLost):
                await transport.receive()
            lost.append("receive")

        async def wait_writable() -> None:
            with pytest.raises(ConnectionLost):
                while True:
                    await transport.wait_writable()
            lost.append("wait_writable")

        nursery.start_soon(receive)
        if full:
            nursery.start_soon(wait_writable)
        await trio.testing.wait_all_tasks_blocked(cushion=0.02)
        transport.abort()
        transport.abort()
        with pytest.raises(ConnectionLost):
            transport.try_send(b"x")
        with pytest.raises(ConnectionLost):
            await transport.wait_writable()
    assert sorted(lost) == (["receive", "wait_writable"] if full else ["receive"])
    with pytest.raises(ConnectionLost):
        await transport.receive()


async def test_a_second_wait_for_writing_is_refused() -> None:
    async with connected() as (_, server), trio.open_nursery() as nursery:
        transport = SocketTransport(server)
        fill(transport)

        async def wait() -> None:
            with pytest.raises(ConnectionLost):
                await transport.wait_writable()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await wait()
        transport.abort()


async def test_the_goodbye_arrives_before_an_abort_takes_effect() -> None:
    async with connected() as (client, server):
        transport = SocketTransport(server)
        goodbye = transport.goodbye(CloseReason.RESTART)
        assert transport.try_send(goodbye) == len(goodbye)
        transport.abort()
        received = b""
        while more := await client.receive_some():
            received += more
        assert received == goodbye


async def test_finishing_waits_for_the_peer_to_close() -> None:
    async with connected() as (client, server), trio.open_nursery() as nursery:
        transport = SocketTransport(server)
        transport.try_send(transport.goodbye(CloseReason.RESTART))
        nursery.start_soon(transport.finish, 60)
        assert (await client.receive_some()).startswith(b"\x88")
        await client.send_all(text("still talking") + client_frame(Opcode.CLOSE, b"\x03\xe9"))
        assert await client.receive_some() == b""
        assert server.socket.fileno() != -1
        await client.aclose()
    assert server.socket.fileno() == -1


async def test_finishing_does_not_wait_for_ever() -> None:
    async with connected() as (_, server):
        await SocketTransport(server).finish(0.05)
        assert server.socket.fileno() == -1


async def test_finishing_a_lost_connection_is_no_error() -> None:
    async with connected() as (_, server):
        transport = SocketTransport(server)
        transport.abort()
        await transport.finish(60)
