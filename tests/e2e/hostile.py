"""Clients that do not behave: raw sockets that stop reading, stop writing, or never finish what they began."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from tests.e2e.client import Api, Json, Person, closing
from tests.e2e.listeners import Stream
from tests.e2e.processes import LIMIT_S, Server

ATTACHMENTS: Final = [{"url": f"https://h.example/{'x' * 2000}", "mime_type": "a/b", "size_bytes": 1}] * 10
"""With these a message is 20 kB on the wire, and search has nothing to do with it."""
BULKY_BYTES: Final = 20_000
SMALL_BUFFER_BYTES: Final = 4096


@asynccontextmanager
async def raw(server: Server) -> AsyncIterator[Stream]:
    """A connection whose kernel buffers hardly anything for the client."""
    async with closing(await server.connect(receive_buffer_bytes=SMALL_BUFFER_BYTES)) as stream:
        yield stream


@asynccontextmanager
async def raw_websocket(api: Api, person: Person, room: str, *, since: str | None = None) -> AsyncIterator[Stream]:
    """A WebSocket after its handshake, from which nothing more is read."""
    async with raw(api.server) as stream:
        await stream.send_all(handshake(person, room, since=since))
        await head_of_answer(stream)
        yield stream


def handshake(person: Person, room: str, *, since: str | None = None, more: str = "") -> bytes:
    """What asks for a WebSocket; `more` are further header lines."""
    query = f"room_id={room}" + (f"&since={since}" if since else "")
    return (
        f"GET /ws?{query} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"X-Auth-Token: {person.token}\r\n{more}\r\n"
    ).encode()


async def head_of_answer(stream: Stream) -> bytes:
    """The head with which a WebSocket was granted, and nothing after it."""
    received = b""
    with trio.fail_after(LIMIT_S):
        while not received.endswith(b"\r\n\r\n"):
            received += await stream.receive_some(1)
    assert received.startswith(b"HTTP/1.1 101 ")
    return received


async def read_to_the_end(stream: Stream) -> bytes:
    """All that still comes, until the server's end of the connection or its reset."""
    received = bytearray()
    with trio.fail_after(LIMIT_S):
        try:
            async for data in stream:
                received += data
        except trio.BrokenResourceError:
            pass
    return bytes(received)


async def post_bulky(api: Api, author: Person, room: str, text: str = "") -> Json:
    """A message of `BULKY_BYTES`."""
    body = {"content": text, "attachments": ATTACHMENTS}
    answer = await api.ask("POST", f"/rooms/{room}/messages", as_=author, json=body)
    assert answer.status_code == 201, answer.text
    message: Json = answer.json()
    return message


async def fill_bulky(api: Api, author: Person, room: str, count: int) -> list[str]:
    """Post many of them, fast; their ids."""
    ids: list[str] = []
    async with api.socket(author, room) as socket, trio.open_nursery() as nursery:

        async def send() -> None:
            for number in range(count):
                await socket.send("send_message", room_id=room, content=f"{number}", attachments=ATTACHMENTS)

        nursery.start_soon(send)
        ids += [message["id"] for message in await socket.messages(count)]
    return ids
