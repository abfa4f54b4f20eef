"""The echo server, asked by an independent client and by raw sockets."""

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket

from chinwag.http.carriers.websocket import Opcode, frame, frame_text
from chinwag.http.echo import serve_echo
from tests.http.peers import client_frame, text

LIMIT = 200_000

HANDSHAKE = (
    "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@asynccontextmanager
async def echoing() -> AsyncIterator[int]:
    """The port of an echo server; no test takes longer than the limit here."""
    with trio.fail_after(15):
        async with trio.open_nursery() as nursery:
            start = partial(serve_echo, "127.0.0.1", 0, max_message_bytes=LIMIT)
            listeners: list[trio.SocketListener] = await nursery.start(start)
            yield listeners[0].socket.getsockname()[1]
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def websocket(port: int) -> AsyncIterator[WebSocketConnection]:
    async with open_websocket("127.0.0.1", port, "/", use_ssl=False) as client:
        yield client


class Raw:
    """A client that sends what it likes."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.unread = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def read(self, size: int) -> bytes:
        while len(self.unread) < size:
            more = await self.stream.receive_some()
            assert more, "the stream ended early"
            self.unread += more
        data, self.unread = self.unread[:size], self.unread[size:]
        return data

    async def rest(self) -> bytes:
        """Everything to the end of the stream."""
        while more := await self.stream.receive_some():
            self.unread += more
        return self.unread


@asynccontextmanager
async def raw(port: int, early: bytes = b"") -> AsyncIterator[Raw]:
    """A raw client after its handshake; `early` is sent with it."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        client = Raw(stream)
        await client.send(HANDSHAKE.encode() + early)
        while not client.unread.endswith(b"\r\n\r\n") and b"\r\n\r\n" not in client.unread:
            client.unread += await stream.receive_some()
        head, _, client.unread = client.unread.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        yield client


async def test_messages_come_back_as_they_were() -> None:
    messages: list[str | bytes] = ["", "hällo", "x" * 126, "y" * 70_000, b"", b"\x00\xff", b"z" * 65536]
    async with echoing() as port, websocket(port) as client:
        for message in messages:
            await client.send_message(message)
            assert await client.get_message() == message


async def test_pings_come_back_as_pongs() -> None:
    async with echoing() as port, websocket(port) as client:
        await client.ping(b"are you there")  # returns when the pong with this payload came


async def test_the_client_closes() -> None:
    async with echoing() as port, websocket(port) as client:
        await client.aclose(code=4321, reason="enough")
        assert client.closed is not None
        assert client.closed.code == 4321
        with pytest.raises(ConnectionClosed):
            await client.get_message()


async def test_several_clients_are_served_at_once() -> None:
    async with echoing() as port, websocket(port) as ann, websocket(port) as bob:
        await ann.send_message("from ann")
        await bob.send_message("from bob")
        assert await bob.get_message() == "from bob"
        assert await ann.get_message() == "from ann"


async def test_what_is_no_handshake_is_refused() -> None:
    async with echoing() as port:
        for request, status in (
            (HANDSHAKE.replace("13", "8"), b"426"),
            (HANDSHAKE.replace("GET", "PUT"), b"405"),
            (HANDSHAKE.replace("Host: h\r\n", ""), b"400"),
            (HANDSHAKE.replace("Host: h\r\n", "Host: h\r\nContent-Length: 1\r\n"), b"400"),
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", b"426"),
        ):
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(request.encode())
                assert (await Raw(stream).rest()).startswith(b"HTTP/1.1 " + status)


async def test_frames_sent_with_the_handshake_are_answered() -> None:
    async with echoing() as port, raw(port, text("early")) as client:
        assert await client.read(7) == frame_text(b"early")


async def test_fragments_with_a_ping_between_them() -> None:
    async with echoing() as port, raw(port) as client:
        await client.send(client_frame(Opcode.TEXT, "grü".encode()[:3], fin=False))
        await client.send(client_frame(Opcode.PING, b"p" * 125))
        pong = frame(Opcode.PONG, b"p" * 125)
        assert await client.read(len(pong)) == pong
        await client.send(client_frame(Opcode.CONTINUATION, "grüße".encode()[3:]))
        echo = frame_text("grüße".encode())
        assert await client.read(len(echo)) == echo


async def test_frames_byte_by_byte() -> None:
    async with echoing() as port, raw(port) as client:
        for byte in text("slow") + client_frame(Opcode.BINARY, b"\xff"):
            await client.send(bytes((byte,)))
        assert await client.read(9) == frame_text(b"slow") + frame(Opcode.BINARY, b"\xff")


async def test_a_pong_is_not_answered() -> None:
    async with echoing() as port, raw(port) as client:
        await client.send(client_frame(Opcode.PONG, b"unasked") + text("x"))
        assert await client.read(3) == frame_text(b"x")


@pytest.mark.parametrize("payload", [b"", struct.pack("!H", 1000), struct.pack("!H", 4999) + b"why"])
async def test_a_close_code_comes_back_and_then_the_end(payload: bytes) -> None:
    async with echoing() as port, raw(port) as client:
        await client.send(text("last") + client_frame(Opcode.CLOSE, payload) + text("ignored"))
        assert await client.rest() == frame_text(b"last") + frame(Opcode.CLOSE, payload[:2])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (client_frame(Opcode.TEXT, b"", reserved=4), 1002),
        (client_frame(Opcode.TEXT, b"x", masked=False), 1002),
        (client_frame(Opcode.CLOSE, struct.pack("!H", 1005)), 1002),
        (client_frame(Opcode.TEXT, b"\xed\xa0\x80"), 1007),
        (client_frame(Opcode.TEXT, b"x" * (LIMIT + 1))[:14], 1009),
    ],
)
async def test_a_fault_is_named_after_what_came_before_it(data: bytes, code: int) -> None:
    async with echoing() as port, raw(port) as client:
        await client.send(text("before") + data)
        answer = await client.rest()
        assert answer.startswith(frame_text(b"before") + b"\x88")
        (sent,) = struct.unpack_from("!H", answer, len(frame_text(b"before")) + 2)
        assert sent == code


async def test_a_client_that_leaves_does_not_disturb_the_others() -> None:
    async with echoing() as port, raw(port) as stays:
        async with raw(port) as leaves:
            await leaves.send(text("cut off")[:4])
        async with await trio.open_tcp_stream("127.0.0.1", port):
            pass
        await stays.send(text("still here"))
        assert await stays.read(12) == frame_text(b"still here")


async def test_a_client_that_does_not_read_is_not_read_either() -> None:
    message = client_frame(Opcode.BINARY, bytes(LIMIT), mask=b"\0\0\0\0")
    sent = 0
    async with echoing() as port, raw(port) as client:
        async with trio.open_nursery() as nursery:

            async def flood() -> None:
                nonlocal sent
                while True:
                    await client.send(message)
                    sent += 1

            nursery.start_soon(flood)
            await trio.testing.wait_all_tasks_blocked(cushion=0.05)
            nursery.cancel_scope.cancel()
        # Blocked: both directions are full, and nothing gathers in between. Once it reads, all of it comes back.
        echo = frame(Opcode.BINARY, bytes(LIMIT))
        for _ in range(sent):
            assert await client.read(len(echo)) == echo
