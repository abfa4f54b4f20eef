"""What tests need of the other end of a connection: a pair of sockets, and frames as a client sends them."""

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from chinwag.http.carriers.websocket import Opcode

MASK = b"\x37\xfa\x21\x3d"


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[trio.SocketStream, trio.SocketStream]]:
    """The client's and the server's end of one TCP connection; both are closed at the end."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        client = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        server = await listener.accept()
    async with client, server:
        yield client, server


def xor(payload: bytes, mask: bytes) -> bytes:
    """Masking as RFC 6455 section 5.3 words it, independent of the code under test."""
    keys = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload) ^ int.from_bytes(keys)).to_bytes(len(payload))


def client_frame(
    opcode: int, payload: bytes, *, fin: bool = True, mask: bytes = MASK, reserved: int = 0, masked: bool = True
) -> bytes:
    """A frame as a client sends it; `reserved` sets the three reserved bits."""
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    flag = 0x80 if masked else 0
    if len(payload) < 126:
        header = bytes((first, flag | len(payload)))
    elif len(payload) < 65536:
        header = struct.pack("!BBH", first, flag | 126, len(payload))
    else:
        header = struct.pack("!BBQ", first, flag | 127, len(payload))
    return header + (mask + xor(payload, mask) if masked else payload)


def text(words: str) -> bytes:
    """A whole text message as a client sends it."""
    return client_frame(Opcode.TEXT, words.encode())
