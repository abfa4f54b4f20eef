"""A WebSocket over a TCP socket, as the engine's `Transport` and as a source of messages.

Who owns it: one task reads (`receive`); sends come from anywhere in the same thread and never wait. The stream that it
is made of stays the owner of the file descriptor and should not be used beside it.
"""

import os
from collections.abc import Callable
from typing import Final

import trio

from chinwag.engine.transport import CloseReason, ConnectionLost
from chinwag.http.streams import READ_BYTES, discard, reset
from chinwag.http.websocket import DEFAULT_MAX_MESSAGE_BYTES, FrameParser, Incoming, Opcode, close_frame, frame

_FINISH_BYTES: Final = 1024 * 1024
"""How much a client may still send while its close frame is awaited."""
_PING: Final = frame(Opcode.PING, b"")


class SocketTransport:
    """One WebSocket connection after its handshake. Implements `chinwag.engine.transport.Transport`."""

    __slots__ = ("_aborted", "_blocked", "_fileno", "_leftover", "_parser", "_stream", "last_received")

    def __init__(
        self, stream: trio.SocketStream, *, leftover: bytes = b"", max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES
    ) -> None:
        """`leftover` was read from `stream` after the request head; `max_message_bytes` bounds a message received."""
        self._stream = stream
        # Asked for at each call, never kept: after a close it is -1, while the kernel gives the number to the next
        # connection. `os.write` on it is the one public way to a send that does not wait; a duplicate of the socket
        # would cost a second descriptor for each connection.
        self._fileno: Callable[[], int] = stream.socket.fileno
        self._leftover = leftover
        self._parser = FrameParser(max_message_bytes)
        self._aborted = False
        self._blocked = False
        """Whether the kernel refused bytes last time, so that it holds some that the peer does not take."""
        self.last_received: float = trio.current_time()
        """When bytes last arrived, on Trio's clock."""

    def try_send(self, data: bytes | memoryview) -> int:
        """Hand over as much of `data` (frames, whole or in part) as goes without waiting; see `Transport`."""
        try:
            taken = os.write(self._fileno(), data)
        except BlockingIOError:
            self._blocked = True
            return 0
        except OSError as error:
            raise ConnectionLost from error
        self._blocked = taken < len(data)
        return taken

    async def wait_writable(self) -> None:
        """Return when `try_send` may take more; see `Transport`."""
        try:
            await trio.lowlevel.wait_writable(self._fileno())
        except (trio.ClosedResourceError, trio.BusyResourceError, OSError, ValueError) as error:
            raise ConnectionLost from error

    def ping(self) -> bytes:
        """An empty ping; any byte that comes back is a sign of life."""
        return _PING

    def goodbye(self, reason: CloseReason) -> bytes:
        """The close frame for `reason`."""
        return close_frame(reason.code, reason.text)

    def abort(self) -> None:
        """Drop the connection at once; see `Transport`.

        What the kernel took is still delivered, the goodbye among it, unless the peer was not taking anything.
        """
        if self._aborted:
            return
        self._aborted = True
        if self._blocked:
            reset(self._stream)
        else:
            self._stream.socket.close()

    async def receive(self) -> list[Incoming]:
        """Wait for bytes, and return what they complete: any number of messages and control frames, also none.

        Raises `ConnectionLost` at the end of the stream, after `abort`, and when nothing more may follow (a close
        frame or a failure came); `ProtocolFailure` when the client broke the protocol.
        """
        if self._leftover:
            data, self._leftover = self._leftover, b""
            await trio.lowlevel.checkpoint()
            return self._parser.feed(data)
        if self._parser.finished:
            raise ConnectionLost
        try:
            while True:
                # Waiting first saves the read that fails, which is the usual one: a client that has just been read
                # has seldom sent again. Measured at 21 against 25 microseconds for a message there and back.
                await trio.lowlevel.wait_readable(self._fileno())
                try:
                    data = os.read(self._fileno(), READ_BYTES)
                except BlockingIOError:
                    continue
                break
        except (trio.ClosedResourceError, OSError, ValueError) as error:
            raise ConnectionLost from error
        if not data:
            raise ConnectionLost
        self.last_received = trio.current_time()
        return self._parser.feed(data)

    async def finish(self, timeout_s: float) -> None:
        """End the connection politely, after the close frame was sent: half-close, await the peer's end, then close.

        The server closes first (RFC 6455 section 7.1.1), yet reads on for at most `timeout_s`: unread bytes would turn
        the close into a reset, which can overtake the close frame. Called by the task that reads, as nobody else may
        read meanwhile. Raises nothing but `trio.Cancelled`; the socket is closed in any case.
        """
        try:
            with trio.move_on_after(timeout_s):
                await self._stream.send_eof()
                await discard(self._stream, _FINISH_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the peer was faster
        finally:
            self.abort()
