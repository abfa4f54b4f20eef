"""Event streams over a bare socket, a stream (TLS, HTTP/2) and an ASGI server. What a session writes goes out as it is.

The client has nothing to say once it has asked: what it sends is dropped, its end is noticed. It answers no pings, so
comments go out to keep what is between from taking the connection for dead, and silence means nothing. A stream has no
goodbye: it ends, and the client comes back by itself.
"""

import math
import socket
from typing import Final, Protocol

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable

from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.connections.transport import ConnectionLost
from chinwag.http.carriers.poller import Poller
from chinwag.http.carriers.queued_transport import QueuedTransport
from chinwag.http.carriers.socket_transport import SocketTransport, Take
from chinwag.http.carriers.stream_transport import StreamTransport, WebSocketStream
from chinwag.http.carriers.websocket import Incoming

PING: Final = b":\n\n"
"""A comment, which no client shows to anybody."""


class Unheard:
    """Hears nothing. A `Parser`."""

    __slots__ = ("finished",)

    def __init__(self) -> None:
        self.finished = False

    def feed(self, _: bytes) -> tuple[Incoming, ...]:
        """Nothing."""
        return ()


class SocketEventStream(SocketTransport):
    """An event stream over a bare socket. Implements `chinwag.engine.connections.transport.Transport`."""

    __slots__ = ("_unheard",)

    def __init__(self, stream: trio.SocketStream, *, poller: Poller | None = None) -> None:
        self._unheard = Unheard()
        super().__init__(stream, poller=poller, parser=self._unheard)
        self.last_received = math.inf

    def ping(self) -> bytes:
        """A comment."""
        return PING

    def goodbye(self, _: CloseReason) -> bytes:
        """Nothing: the stream ends, once what was written before is out."""
        self._unheard.finished = True
        self.end_reading()
        return b""

    def _read(self) -> bytes | None:
        data = super()._read()
        self.last_received = math.inf
        return data


class StreamEventStream(StreamTransport):
    """An event stream over TLS or HTTP/2. Implements `chinwag.engine.connections.transport.Transport`."""

    def __init__(self, stream: WebSocketStream) -> None:
        super().__init__(stream, parser=Unheard())
        self._reading = trio.CancelScope()

    @property
    def last_received(self) -> float:
        """Infinity."""
        return math.inf

    def ping(self) -> bytes:
        """A comment."""
        return PING

    def goodbye(self, _: CloseReason) -> bytes:
        """Nothing: the stream ends, once what was written before is out."""
        self._reading.cancel()
        return b""

    async def deliver(self, take: Take) -> None:
        """Wait for either side's end. Raises `ConnectionLost` when it is the client's."""
        with self._reading:
            await super().deliver(take)


class Abortable(Protocol):
    """The connection below an ASGI server."""

    def abort(self) -> None:
        """Close the socket at once; whoever waits on it gets an error. Again: does nothing."""
        ...


class AsgiEventStream(QueuedTransport):
    """An event stream behind an ASGI server. Implements `chinwag.engine.connections.transport.Transport`."""

    last_received = math.inf

    def __init__(
        self, receive: ASGIReceiveCallable, send: ASGISendCallable, *, connection: Abortable | None = None
    ) -> None:
        """The head of the answer was sent. Without `connection` a client that takes nothing is the server's to end."""
        super().__init__()
        self._receive = receive
        self._send = send
        self._connection = connection
        self._reading = trio.CancelScope()

    def ping(self) -> bytes:
        """A comment."""
        return PING

    def goodbye(self, _: CloseReason) -> bytes:
        """Nothing: the stream ends, once what was written before is out."""
        self._reading.cancel()
        return b""

    async def deliver(self, take: Take) -> None:  # noqa: ARG002  there are no messages
        """Wait for either side's end. Raises `ConnectionLost` when it is the client's."""
        with self._reading:
            while (await self._receive())["type"] != "http.disconnect":
                pass
            self._ended = True
            self._notify()
            raise ConnectionLost

    async def finish(self, timeout_s: float) -> None:
        """End the answer, once what waits for the writer is out."""
        with trio.move_on_after(timeout_s):
            while self._waiting_bytes:
                await self._changed.wait()
            self._ended = True
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    # --- pieces ---

    async def _write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    def _drop(self) -> None:
        """One that has ended in order is left to end in order."""
        if self._connection is not None and not self._ended:
            self._connection.abort()


def end_when_unheard(connection: socket.socket | trio.socket.SocketType, timeout_s: float) -> None:
    """Let the system end a connection whose client acknowledges nothing for so long, where it can: who answers no pings
    and vanishes without a word is noticed by nothing else."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None:
        connection.setsockopt(socket.IPPROTO_TCP, option, int(timeout_s * 1000))
