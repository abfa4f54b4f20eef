"""The real server in this process, in every way that it serves: real sockets, the in-memory store."""

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from chinwag.engine.engine import EngineConfig
from chinwag.http.api.cors import Cors
from chinwag.http.api.front import Front
from chinwag.http.carriers.lobby import Lobby
from chinwag.http.fronts.chatterstack import FRONT
from chinwag.http.listener.listener import ListenerConfig
from chinwag.http.server import listening
from chinwag.http.settings import ServerName
from tests.http.echo_server import SHORT_S, ClientStream, client_context, tls
from tests.http.http2.http2_client import Field, Http2, status_of
from tests.http.service_api import Api, Person, open_api

LIMIT_S: Final = 20.0
MESSAGE_LIMIT: Final = 10_000
BODY_LIMIT: Final = 20_000


class Served:
    """A server, and how to reach it."""

    def __init__(self, api: Api, port: int, shutdown: trio.Event, *, secure: bool) -> None:
        self.api = api
        self.port = port
        self.shutdown = shutdown
        self.secure = secure

    @asynccontextmanager
    async def stream(self, protocol: str = "http/1.1") -> AsyncIterator[ClientStream]:
        """A connection; inside TLS if the server has it."""
        context = client_context(protocol)
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as tcp:
            if not self.secure:
                yield tcp
                return
            secure = trio.SSLStream(tcp, context, server_hostname="127.0.0.1", https_compatible=True)
            await secure.do_handshake()
            yield secure
            await trio.aclose_forcefully(secure)

    @asynccontextmanager
    async def websocket(self, person: Person, room: str) -> AsyncIterator[WebSocketConnection]:
        """An independent client's WebSocket over HTTP/1.1."""
        async with self.stream() as stream, trio.open_nursery() as nursery:
            headers = [(b"authorization", f"Bearer {person.token}".encode())]
            yield await wrap_client_stream(nursery, stream, "127.0.0.1", f"/ws?room_id={room}", extra_headers=headers)
            nursery.cancel_scope.cancel()

    async def until_sessions(self, number: int) -> None:
        """Wait until there are so many. The test's time is the limit."""
        while len(self.api.engine.connections) != number:  # noqa: ASYNC110 - there is no event for it
            await trio.sleep(0.01)


@asynccontextmanager
async def serving(
    config: ListenerConfig | None = None,
    *,
    server: ServerName = "lane",
    secure: bool = False,
    engine: EngineConfig | None = None,
    front: Front = FRONT,
    cors: Cors | None = None,
    lobby: Lobby | None = None,
) -> AsyncIterator[Served]:
    """The front is ChatterStack's, or one made of it."""
    with trio.fail_after(LIMIT_S):
        async with open_api((front,), config=engine, cors=cors) as api:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = listeners[0].socket.getsockname()[1]
            bounds = config or ListenerConfig(
                max_message_bytes=MESSAGE_LIMIT, max_body_bytes=BODY_LIMIT, grace_s=SHORT_S
            )
            context = tls()[1] if secure else None
            async with listening(
                api.engine, api.service, listeners, bounds, server=server, tls=context, lobby=lobby
            ) as shutdown:
                yield Served(api, port, shutdown, secure=secure)


async def close_code(ws: WebSocketConnection) -> int:
    """Read to the end; the close code."""
    try:
        while True:
            await ws.get_message()
    except ConnectionClosed as closed:
        assert closed.reason is not None
        return int(closed.reason.code)


def upgrade(person: Person, room: str) -> bytes:
    """What asks for a WebSocket over HTTP/1.1."""
    return (
        f"GET /ws?room_id={room} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"X-Auth-Token: {person.token}\r\n\r\n"
    ).encode()


def connecting(person: Person, room: str, *more: Field) -> list[Field]:
    """The fields that ask for one over HTTP/2 (RFC 8441)."""
    return [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", f"/ws?room_id={room}"),
        (":authority", "127.0.0.1"),
        ("sec-websocket-version", "13"),
        ("authorization", f"Bearer {person.token}"),
        *more,
    ]


class Wire:
    """A WebSocket's bytes as they are, over HTTP/1.1 or in a stream of HTTP/2."""

    def __init__(self, stream: ClientStream, http: Http2 | None, stream_id: int) -> None:
        self.stream = stream
        self.http = http
        self.id = stream_id
        self.received = b""

    async def send(self, data: bytes) -> None:
        if self.http is None:
            await self.stream.send_all(data)
            return
        for start in range(0, len(data), 16_384):
            piece = data[start : start + 16_384]
            while self.http.connection.local_flow_control_window(self.id) < len(piece):
                assert await self.http.more()
            self.http.connection.send_data(self.id, piece)
            await self.http.flush()

    async def more(self) -> bool:
        """Read something. False at the end."""
        if self.http is None:
            try:
                data = bytes(await self.stream.receive_some())
            except trio.BrokenResourceError:
                return False
            self.received += data
            return bool(data)
        while True:
            for index, event in enumerate(self.http.events):
                if getattr(event, "stream_id", None) == self.id:
                    del self.http.events[index]
                    if isinstance(event, DataReceived):
                        self.received += event.data or b""
                        return True
                    if isinstance(event, StreamEnded | StreamReset):
                        return False
                    break
            else:
                if not await self.http.more():
                    return False

    async def until(self, words: bytes) -> None:
        """Read until this has come."""
        while words not in self.received:
            assert await self.more(), self.received[-200:]

    async def close_code(self) -> int:
        """Read to the end; the code of the close frame, which is the last of all."""
        while await self.more():
            pass
        at = self.received.rindex(b"\x88")
        return int(struct.unpack_from("!H", self.received, at + 2)[0])


@asynccontextmanager
async def wire(served: Served, person: Person, room: str, early: bytes = b"", *, http2: bool) -> AsyncIterator[Wire]:
    """A WebSocket after its handshake; `early` was sent with it."""
    async with served.stream("h2" if http2 else "http/1.1") as stream:
        if http2:
            http = Http2(stream)
            stream_id = await http.begin(connecting(person, room), end=False)
            opened = Wire(stream, http, stream_id)
            if early:
                await opened.send(early)
            assert status_of(await http.until(ResponseReceived, stream_id)) == 200
        else:
            opened = Wire(stream, None, 0)
            await opened.send(upgrade(person, room) + early)
            await opened.until(b"\r\n\r\n")
            head, _, opened.received = opened.received.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 ")
        yield opened
