"""Byte streams of accepted connections: sockets, and TLS over them, whose sends end by themselves."""

import ssl
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import trio

from chinwag.http.lane.head import refusal

READ_BYTES: Final = 64 * 1024

DEFAULT_SEND_TIMEOUT_S: Final = 30.0

SEND_STEP_BYTES: Final = 64 * 1024
"""How much a client has to take within the send timeout. Less than this per timeout is as good as not reading."""

_ENDING_S: Final = 1.0
"""How long the server of a connection may go on after its stream was closed: nothing it says can be heard any more."""

LINGER_S: Final = 2.0
LINGER_BYTES: Final = 256 * 1024
"""How long, and how much, to read from a client that got its last answer: closing a socket that holds unread bytes
resets the connection, and the reset can overtake the answer (RFC 9112 section 9.6)."""

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

    hypercorn sends inside a shield without a deadline, and TLS has no use for a send that was cancelled: a client that
    stops reading would block its sender for ever, and the server's shutdown with it. Here each step of a send has a
    deadline of its own, and `abort` ends it from outside.
    """

    def __init__(self, stream: trio.SocketStream, *, send_timeout_s: float = DEFAULT_SEND_TIMEOUT_S) -> None:
        self._stream = stream
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

    async def finish(self, max_bytes: int) -> None:
        """See `finish`."""
        await self.send_eof()
        await discard(self, max_bytes)

    async def aclose(self) -> None:
        """Close the socket. What the kernel has not delivered yet it goes on delivering."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """The same, without a checkpoint."""
        self.end_within(_ENDING_S)
        self._stream.socket.close()

    def abort(self) -> None:
        """Close the socket at once and drop what was not delivered; a send or receive in progress gets an error."""
        self.end_within(_ENDING_S)
        reset(self._stream)

    def end_within(self, seconds: float) -> None:
        """Cancel `scope` after this time, if it is not over by then."""
        self.scope.deadline = min(self.scope.deadline, trio.current_time() + seconds)


class SecureStream(trio.abc.Stream):
    """TLS over a socket. Its sends end by themselves, as a `GuardedStream`'s do.

    One task sends at a time, and one receives. A receive may be cancelled without harm; a send may not, nor need it be.
    """

    def __init__(
        self,
        stream: trio.SocketStream,
        context: ssl.SSLContext,
        *,
        send_timeout_s: float = DEFAULT_SEND_TIMEOUT_S,
    ) -> None:
        self.guarded = GuardedStream(stream, send_timeout_s=send_timeout_s)
        """The socket below."""
        # `https_compatible`: many a client ends without the alert that says so, and HTTP knows its lengths itself.
        self._tls = trio.SSLStream(self.guarded, context, server_side=True, https_compatible=True)

    async def do_handshake(self) -> None:
        """Agree on keys. Raises BrokenResourceError when the client does not; its cause is what OpenSSL says."""
        await self._tls.do_handshake()

    @property
    def protocol(self) -> str | None:
        """What the client wants to speak, of what was offered (ALPN); None when it did not say."""
        chosen: str | None = self._tls.selected_alpn_protocol()
        return chosen

    @property
    def socket(self) -> trio.socket.SocketType:
        """The socket below."""
        return self.guarded.socket

    @property
    def closed(self) -> bool:
        """Whether the socket was closed by this side."""
        return self.guarded.closed

    @property
    def last_received(self) -> float:
        """When bytes last arrived, on Trio's clock."""
        return self.guarded.last_received

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive 1 to `max_bytes` bytes, b"" at the end of the stream."""
        return bytes(await self._tls.receive_some(max_bytes))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `GuardedStream.send_all`. Encrypts a piece at a time, or it would hold everything twice."""
        with memoryview(data) as view:
            for start in range(0, max(len(view), 1), SEND_STEP_BYTES):
                await self._tls.send_all(view[start : start + SEND_STEP_BYTES])

    async def wait_send_all_might_not_block(self) -> None:
        """See `GuardedStream`."""
        await self._tls.wait_send_all_might_not_block()

    async def finish(self, max_bytes: int) -> None:
        """See `finish`. TLS has a word of its own for it, which a client that is still sending may not hear."""
        try:
            await self._tls.unwrap()
        except trio.BrokenResourceError:
            await self.guarded.finish(max_bytes)

    async def aclose(self) -> None:
        """Close the socket. What the kernel has not delivered yet it goes on delivering."""
        await self.guarded.aclose()

    def close(self) -> None:
        """The same, without a checkpoint."""
        self.guarded.close()

    def abort(self) -> None:
        """Close the socket at once and drop what was not delivered; a send or receive in progress gets an error."""
        self.guarded.abort()


AcceptedStream = trio.SocketStream | SecureStream
"""A connection as a server gets it: plain, or with TLS and after its handshake."""


async def finish(stream: AcceptedStream, max_bytes: int) -> None:
    """Tell the peer that nothing more comes, then read and drop until its end, at most `max_bytes`.

    The caller sets the time limit, and closes the stream. Raises `BrokenResourceError` and `ClosedResourceError` when
    the peer has gone or the stream was closed meanwhile.
    """
    if isinstance(stream, SecureStream):
        await stream.finish(max_bytes)
    else:
        await stream.send_eof()
        await discard(stream, max_bytes)


async def send_last(stream: AcceptedStream, data: bytes) -> None:
    """Send the last bytes of a connection and close it. Bounded in time, whatever the client does."""
    with trio.move_on_after(LINGER_S):
        try:
            await stream.send_all(data)
            await finish(stream, LINGER_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # the client has gone; there is nobody to tell
        finally:
            await trio.aclose_forcefully(stream)


async def refuse(
    stream: AcceptedStream, status: int, message: str, headers: Iterable[tuple[str, str]] = (), *, secure: bool = False
) -> None:
    """Answer a request with an error as `refusal` words it, then close. Bounded in time, whatever the client does."""
    await send_last(stream, refusal(status, message, headers, secure=secure))


async def discard(stream: trio.abc.ReceiveStream, max_bytes: int) -> None:
    """Read and drop until the peer closes its end, at most `max_bytes`. The caller sets the time limit."""
    dropped = 0
    while dropped < max_bytes and (data := await stream.receive_some(READ_BYTES)):
        dropped += len(data)


def peer_address(stream: AcceptedStream) -> str:
    """The address of the other end; "" when it has left."""
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:
        return ""
