"""A WebSocket behind an ASGI server, as the engine's `Transport` and as a source of messages.

Sessions hand over whole frames as they go onto a bare socket (`websocket.frame_text`); an ASGI server wants messages,
and frames them itself. So the frames are opened here: that costs this path a little, and the other and every front
nothing.

One task reads it (`receive`), one writes (`QueuedTransport`).
"""

import math
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Protocol

import structlog
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable

from chinwag.engine.connections.transport import ConnectionLost
from chinwag.http.carriers.queued_transport import QueuedTransport
from chinwag.http.carriers.socket_transport import Take
from chinwag.http.carriers.websocket import CloseCode, Incoming, Opcode, ProtocolFailure

if TYPE_CHECKING:
    from hypercorn.typing import WebsocketCloseEvent, WebsocketSendEvent

log = structlog.get_logger("chinwag.http")

_FAILURES: Final = frozenset({CloseCode.PROTOCOL_ERROR, CloseCode.INVALID_TEXT, CloseCode.TOO_BIG})
"""With these codes a server says what the client did wrong (`StrictWebSocket`); a client's own do not get here."""


class Connection(Protocol):
    """The connection below, as far as the ASGI server lets it be seen."""

    last_received: float
    """When bytes last came, on Trio's clock: pongs never reach an ASGI application."""

    def abort(self) -> None:
        """Close the socket at once; whoever waits on it gets an error. Again: does nothing."""
        ...


class AsgiTransport(QueuedTransport):
    """One WebSocket connection after its handshake. Implements `chinwag.engine.connections.transport.Transport`."""

    def __init__(
        self, receive: ASGIReceiveCallable, send: ASGISendCallable, *, connection: Connection | None = None
    ) -> None:
        """Without `connection` a silent peer is not noticed; the ASGI server has to see to it."""
        super().__init__()
        self._receive = receive
        self._send = send
        self._connection = connection

    @property
    def last_received(self) -> float:
        """When the peer was last heard of, infinity where nobody knows."""
        return math.inf if self._connection is None else self._connection.last_received

    def ping(self) -> bytes:
        """Nothing: pings are the ASGI server's business, and `last_received` tells whether they were answered."""
        return b""

    async def receive(self) -> list[Incoming]:
        """Wait for a message. Raises `ConnectionLost` at the end; the ASGI server answers control frames itself.

        Raises `ProtocolFailure` when the server says that the client broke the protocol. The connection lives on then
        for as long as it takes to say goodbye.
        """
        if self._ended:
            raise ConnectionLost
        event = await self._receive()
        if event["type"] == "websocket.receive":
            text, data = event.get("text"), event.get("bytes")
            return [text if text is not None else data or b""]
        if event["type"] == "websocket.disconnect" and event["code"] in _FAILURES:
            raise ProtocolFailure(event["code"], "")
        self._ended = True
        self._notify()
        raise ConnectionLost

    async def deliver(self, take: Take) -> None:
        """Hand every message to `take`, awaiting what it returns first. Raises `ConnectionLost` at the end."""
        while True:
            for item in await self.receive():
                waiting = take(item)
                if waiting is not None:
                    await waiting

    async def finish(self, timeout_s: float) -> None:
        """Wait, at most `timeout_s`, for the end of a connection that was said goodbye to."""
        with trio.move_on_after(timeout_s):
            while not self._ended:
                try:
                    await self.receive()
                except (ConnectionLost, ProtocolFailure):
                    log.debug("peer closed")

    # --- pieces ---

    async def _write(self, data: bytes) -> None:
        for opcode, payload in server_frames(data):
            if opcode == Opcode.TEXT:
                await self._send(_message(text=payload.decode()))
            elif opcode == Opcode.BINARY:
                await self._send(_message(data=payload))
            elif opcode == Opcode.CLOSE:
                code = struct.unpack_from("!H", payload)[0] if payload else CloseCode.NORMAL
                close: WebsocketCloseEvent = {"type": "websocket.close", "code": code, "reason": payload[2:].decode()}
                await self._send(close)

    def _drop(self) -> None:
        """One that has ended in order is left to end in order."""
        if self._connection is not None and not self._ended:
            self._connection.abort()


def _message(*, text: str | None = None, data: bytes | None = None) -> "WebsocketSendEvent":
    return {"type": "websocket.send", "text": text, "bytes": data}


def server_frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Opcode and payload of each frame in `data`: whole frames, as a server makes them (not masked, not in parts)."""
    position = 0
    while position < len(data):
        opcode = data[position] & 0x0F
        length = data[position + 1]
        position += 2
        if length == 126:
            (length,) = struct.unpack_from("!H", data, position)
            position += 2
        elif length == 127:
            (length,) = struct.unpack_from("!Q", data, position)
            position += 8
        yield opcode, data[position : position + length]
        position += length
