"""Byte streams of accepted connections: reading the first request head, answering without an application, and a wrapper
that keeps one client from holding up a server that waits for its sends.
"""

import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import trio

from chinwag.http.head import HEAD_END, BadRequest, RequestHead, parse_head, refusal

READ_BYTES: Final = 64 * 1024

DEFAULT_SEND_TIMEOUT_S: Final = 30.0

SEND_STEP_BYTES: Final = 64 * 1024
"""How much a client has to take within the send timeout. Less than this per timeout is as good as not reading."""

_ENDING_S: Final = 1.0
"""How long the server of a connection may go on after its stream was closed: nothing it says can be heard any more."""

_LINGER_S: Final = 2.0
_LINGER_BYTES: Final = 256 * 1024
"""How long, and how much, to read from a client that was refused, before its socket is closed."""

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: close drops what the kernel still holds, instead of offering it to a peer for minutes."""


def reset(stream: trio.SocketStream) -> None:
    """Close a socket at once and tell the peer by a TCP reset; whatever waits on it ends. Again: does nothing."""
    if stream.socket.fileno() == -1:
        return
    with suppress(OSError):  # some systems refuse options on a socket that the peer has reset
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, _RESET_ON_CLOSE)
    stream.socket.close()


class GuardedStream(trio.abc.HalfCloseableStream):
    """A socket whose sends end by themselves, even in a scope that is shielded from cancellation.

    hypercorn sends inside a shield without a deadline: a client that stops reading would block its sender for ever, and
    the server's shutdown with it. Here each step of a send has a deadline of its own, and `abort` ends it from outside.
    """

    def __init__(
        self, stream: trio.SocketStream, *, prefix: bytes = b"", send_timeout_s: float = DEFAULT_SEND_TIMEOUT_S
    ) -> None:
        """`prefix` was already read from `stream` and is received first."""
        self._stream = stream
        self._prefix = prefix
        self._send_timeout_s = send_timeout_s
        self.last_received: float = trio.current_time()
        """When bytes last arrived, on Trio's clock."""
        self.scope = trio.CancelScope()
        """For whoever serves the stream to run in: it is cancelled soon after the stream was closed.

        hypercorn can close a connection while its reader waits for a response that was sent already, for ever."""

    @property
    def socket(self) -> trio.socket.SocketType:
        """The wrapped stream's socket; hypercorn asks it for the addresses of both ends."""
        return self._stream.socket

    @property
    def closed(self) -> bool:
        """Whether the socket was closed by this side."""
        return self._stream.socket.fileno() == -1

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive 1 to `max_bytes` bytes, b"" at the end of the stream."""
        if self._prefix:
            await trio.lowlevel.checkpoint()
            size = len(self._prefix) if max_bytes is None else max_bytes
            data, self._prefix = self._prefix[:size], self._prefix[size:]
            return data
        data = bytes(await self._stream.receive_some(max_bytes))
        self.last_received = trio.current_time()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything. BrokenResourceError, and the socket is closed, when the client does not take it in time."""
        with memoryview(data) as view:
            for start in range(0, max(len(view), 1), SEND_STEP_BYTES):
                with trio.move_on_after(self._send_timeout_s) as step:
                    try:
                        await self._stream.send_all(view[start : start + SEND_STEP_BYTES])
                    except trio.BusyResourceError:  # `send_eof` by another task: hypercorn's sends wait for each other
                        raise trio.BrokenResourceError("the connection is being closed") from None
                if step.cancelled_caught:
                    self.abort()
                    raise trio.BrokenResourceError(f"the client took too little for {self._send_timeout_s} s")

    async def wait_send_all_might_not_block(self) -> None:
        """Wait, at most the send timeout, until the socket takes something."""
        with trio.move_on_after(self._send_timeout_s) as wait:
            await self._stream.wait_send_all_might_not_block()
        if wait.cancelled_caught:
            self.abort()
            raise trio.BrokenResourceError(f"the client took nothing for {self._send_timeout_s} s")

    async def send_eof(self) -> None:
        """Tell the client that nothing more comes; it may still send."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close the socket. What the kernel has not delivered yet it goes on delivering."""
        self._end_soon()
        await self._stream.aclose()

    def abort(self) -> None:
        """Close the socket at once and drop what was not delivered; a send or receive in progress gets an error."""
        self._end_soon()
        reset(self._stream)

    def _end_soon(self) -> None:
        self.scope.deadline = min(self.scope.deadline, trio.current_time() + _ENDING_S)


@dataclass(frozen=True, slots=True)
class ReceivedHead:
    """A connection's first request head and the bytes that came with it."""

    head: RequestHead
    raw: bytes
    """All that was read, from the connection's first byte."""
    size: int
    """How much of `raw` is the head."""

    @property
    def leftover(self) -> bytes:
        """What was read beyond the head: a body's start, or frames of a client that did not wait for the handshake."""
        return self.raw[self.size :]


async def read_head(stream: trio.abc.ReceiveStream, *, max_bytes: int, timeout_s: float) -> ReceivedHead | None:
    """Read the first request head of a connection; None when the client left before it was complete.

    Raises `BadRequest`: 431 for more than `max_bytes`, 408 when it takes longer than `timeout_s` to arrive, 400 and 501
    as `parse_head` does. Holds at most `max_bytes` and one read.
    """
    received = bytearray()
    with trio.move_on_after(timeout_s):
        while True:
            try:
                data = await stream.receive_some(READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not data:
                return None
            searched = max(0, len(received) - 2)  # the mark may have been cut after its first two bytes
            received += data
            if received[0] <= 0x20:  # no method starts so; a TLS client's first message does
                raise BadRequest(HTTPStatus.BAD_REQUEST, "malformed request head")
            end = HEAD_END.search(received, searched)
            size = end.end() if end is not None else len(received)
            if size > max_bytes:
                raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"request head exceeds {max_bytes} bytes")
            if end is not None:
                raw = bytes(received)
                return ReceivedHead(parse_head(raw[:size]), raw, size)
    raise BadRequest(HTTPStatus.REQUEST_TIMEOUT, f"request head took longer than {timeout_s:g} s")


async def refuse(stream: trio.abc.Stream, status: int, message: str, headers: Iterable[tuple[str, str]] = ()) -> None:
    """Answer a request with an error as `refusal` words it, then close. Bounded in time, whatever the client does.

    Reads on for a moment: closing a socket that holds unread bytes resets the connection, and the reset can overtake
    the answer (RFC 9112 section 9.6).
    """
    with trio.move_on_after(_LINGER_S):
        try:
            await stream.send_all(refusal(status, message, headers))
            if isinstance(stream, trio.abc.HalfCloseableStream):  # TLS cannot close one direction alone
                await stream.send_eof()
            await discard(stream, _LINGER_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # the client has gone; there is nobody to tell
    await trio.aclose_forcefully(stream)


async def discard(stream: trio.abc.ReceiveStream, max_bytes: int) -> None:
    """Read and drop until the peer closes its end, at most `max_bytes`. The caller sets the time limit."""
    dropped = 0
    while dropped < max_bytes and (data := await stream.receive_some(READ_BYTES)):
        dropped += len(data)
