"""A WebSocket over a stream that is no bare socket: TLS, or one stream of an HTTP/2 connection.

The frames are the session's and our own parser's, as over a bare socket (`socket_transport`). But such a stream is
written by a task of its own, and read by the connection's task, not by the poller.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import structlog
import trio

from chinwag.engine.connections.transport import LOST, ConnectionLost
from chinwag.http.carriers.queued_transport import QueuedTransport
from chinwag.http.carriers.socket_transport import FINISH_BYTES, MESSAGE_READ_BYTES, PING, Parser, Take
from chinwag.http.carriers.websocket import DEFAULT_MAX_MESSAGE_BYTES, FrameParser, Incoming, ProtocolFailure

log = structlog.get_logger("chinwag.http")

_ENDED: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


class WebSocketStream(Protocol):
    """The stream below: `SecureStream`, or a tunnel through HTTP/2. Its sends have a deadline of their own."""

    @property
    def last_received(self) -> float:
        """When bytes last arrived, on Trio's clock."""
        ...

    async def receive_some(self, max_bytes: int, /) -> bytes:
        """Wait for bytes; b"" at the end. Raises `BrokenResourceError` or `ClosedResourceError` when it is gone."""
        ...

    async def send_all(self, data: bytes, /) -> None:
        """Send everything, or raise as `receive_some` does."""
        ...

    async def finish(self, max_bytes: int, /) -> None:
        """Say that nothing more comes, and read and drop until the peer's end."""
        ...

    def close(self) -> None:
        """Close it at once; what was sent is still delivered."""
        ...

    def abort(self) -> None:
        """Close it at once, and drop what was not delivered."""
        ...


class StreamTransport(QueuedTransport):
    """One WebSocket connection after its handshake. Implements `chinwag.engine.connections.transport.Transport`."""

    def __init__(
        self,
        stream: WebSocketStream,
        *,
        leftover: bytes = b"",
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
        parser: Parser | None = None,
    ) -> None:
        """`leftover` was read from `stream` after the request head; `max_message_bytes` bounds a message received.
        `parser` reads what comes, if that is no WebSocket's."""
        super().__init__()
        self._stream = stream
        self._leftover = leftover
        self._parser: Parser = parser or FrameParser(max_message_bytes)

    @property
    def last_received(self) -> float:
        """When bytes last arrived, on Trio's clock."""
        return self._stream.last_received

    def ping(self) -> bytes:
        """An empty ping; any byte that comes back is a sign of life."""
        return PING

    async def deliver(self, take: Take) -> None:
        """See `MessageTransport`."""
        data, self._leftover = self._leftover, b""
        await self._take_all(take, data)
        del data
        while not self._parser.finished:
            # Not kept in a variable: an idle connection would hold the last bytes that it got.
            await self._take_all(take, await self._receive())

    async def receive(self) -> Sequence[Incoming]:
        """Wait for bytes, and return what they complete. Raises as `deliver` does, for a broken rule at once."""
        data, self._leftover = self._leftover, b""
        if not data and self._parser.finished:
            raise ConnectionLost
        return self._parser.feed(data or await self._receive())

    async def _receive(self) -> bytes:
        try:
            data = await self._stream.receive_some(MESSAGE_READ_BYTES)
        except _ENDED as error:
            raise ConnectionLost from error
        if not data:
            raise ConnectionLost
        return data

    async def _take_all(self, take: Take, data: bytes) -> None:
        failure: ProtocolFailure | None = None
        items: Sequence[Incoming]
        try:
            items = self._parser.feed(data)
        except ProtocolFailure as broken:
            items, failure = broken.before, broken
        for item in items:
            waiting = take(item)
            if waiting is not None:
                await waiting
        if failure is not None:
            raise failure

    async def finish(self, timeout_s: float) -> None:
        """See `MessageTransport`. What waits for the writer, the close frame above all, is sent before."""
        try:
            with trio.move_on_after(timeout_s):
                while self._waiting_bytes:
                    await self._changed.wait()
                await self._stream.finish(FINISH_BYTES)
        except _ENDED:
            log.debug("peer closed")  # it was faster
        finally:
            self._ended = True
            self.abort()

    async def _write(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except LOST:
            self.abort()

    def _drop(self) -> None:
        if self._waiting_bytes:
            self._stream.abort()
        else:
            self._stream.close()
