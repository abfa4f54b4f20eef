"""A WebSocket over a TCP socket, as the engine's `Transport` and as a source of messages.

Who owns it: one task reads (`receive`); sends come from anywhere in the same thread and never wait. The stream that it
is made of stays the owner of the file descriptor and should not be used beside it.
"""

import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Final, Protocol, cast

import outcome
import trio

from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.connections.transport import ConnectionLost
from chinwag.http.carriers.poller import Poller
from chinwag.http.carriers.websocket import (
    DEFAULT_MAX_MESSAGE_BYTES,
    FrameParser,
    Incoming,
    Opcode,
    ProtocolFailure,
    close_frame,
    frame,
)
from chinwag.http.listener.streams import discard, reset

MESSAGE_READ_BYTES: Final = 16 * 1024
"""What is read of one client before the others get their turn: some hundred small messages, or some milliseconds of the
worst that 16 KiB can hold."""
FINISH_BYTES: Final = 1024 * 1024
"""How much a client may still send while its close frame is awaited."""
PING: Final = frame(Opcode.PING, b"")
"""Any byte that comes back is a sign of life."""


class Parser(Protocol):
    """Makes messages of a client's bytes."""

    @property
    def finished(self) -> bool:
        """Whether nothing more is to be read."""
        ...

    def feed(self, data: bytes, /) -> Sequence[Incoming]:
        """What these bytes complete. Raises `ProtocolFailure`."""
        ...


Take = Callable[[Incoming], Awaitable[None] | None]
"""Acts on one message. What it returns, if anything, has to be awaited before the next one."""

_Rest = tuple[Awaitable[None] | None, Sequence[Incoming], ProtocolFailure | None]
"""What a connection's task has to do itself: await something, then take what remained of a read, then fail."""


class SocketTransport:
    """One WebSocket connection after its handshake. Implements `chinwag.engine.connections.transport.Transport`."""

    __slots__ = (
        "_aborted",
        "_blocked",
        "_descriptor",
        "_fileno",
        "_leftover",
        "_parked",
        "_parser",
        "_poller",
        "_stream",
        "_take",
        "last_received",
    )

    def __init__(
        self,
        stream: trio.SocketStream,
        *,
        leftover: bytes = b"",
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
        poller: Poller | None = None,
        parser: Parser | None = None,
    ) -> None:
        """`leftover` was read from `stream` after the request head; `max_message_bytes` bounds a message received.
        `parser` reads what comes, if that is no WebSocket's.

        With a `poller`, which has to be running, `deliver` needs no task to be woken for a read.
        """
        self._stream = stream
        self._poller = poller
        self._parked: trio.lowlevel.Task | None = None
        self._take: Take | None = None
        self._descriptor = -1
        # Asked for at each call, never kept: after a close it is -1, while the kernel gives the number to the next
        # connection. `os.write` on it is the one public way to a send that does not wait; a duplicate of the socket
        # would cost a second descriptor for each connection.
        self._fileno: Callable[[], int] = stream.socket.fileno
        self._leftover = leftover
        self._parser = parser or FrameParser(max_message_bytes)
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
        if self._aborted:
            raise ConnectionLost
        try:
            await trio.lowlevel.wait_writable(self._fileno())
        except (trio.ClosedResourceError, trio.BusyResourceError, OSError, ValueError) as error:
            raise ConnectionLost from error

    def ping(self) -> bytes:
        """An empty ping; any byte that comes back is a sign of life."""
        return PING

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
        self._wake(outcome.Error(ConnectionLost()))
        if self._blocked:
            reset(self._stream)
        else:
            self._stream.socket.close()

    async def deliver(self, take: Take) -> None:
        """Read until the client's close frame, handing each message to `take` as it comes.

        What `take` returns is awaited before anything more is read. Raises `ConnectionLost` at the end of the stream
        and after `abort`, and `ProtocolFailure` when the client broke the protocol, after what came before was taken.
        """
        if self._leftover:
            data, self._leftover = self._leftover, b""
            await trio.lowlevel.checkpoint()
            await self._take_all(take, *self._parse(data))
        while not self._parser.finished:
            if self._poller is None:
                await self._take_all(take, *self._parse(await self._read_when_ready()))
            else:
                # Reading is done in the poller's step; this task is only woken for what has to wait, and at the end.
                self._park(take, self._poller)
                waiting, items, failure = cast("_Rest", await trio.lowlevel.wait_task_rescheduled(self._give_up))
                if waiting is not None:
                    await waiting
                await self._take_all(take, items, failure)

    async def receive(self) -> Sequence[Incoming]:
        """Wait for bytes, and return what they complete: any number of messages and control frames, also none.

        Raises as `deliver` does, and `ConnectionLost` when nothing more may follow (a close frame or a failure came).
        """
        if self._leftover:
            data, self._leftover = self._leftover, b""
            await trio.lowlevel.checkpoint()
            return self._parser.feed(data)
        if self._parser.finished:
            raise ConnectionLost
        return self._parser.feed(await self._read_when_ready())

    def end_reading(self) -> None:
        """Let `deliver` return, once the parser is finished: what the client still says does not matter. A connection
        without a poller goes on until it is aborted."""
        self._wake(outcome.Value((None, (), None)))

    async def _read_when_ready(self) -> bytes:
        try:
            while not self._aborted:
                # Waiting first saves the read that fails, which is the usual one: a client that has just been read
                # has seldom sent again. Measured at 21 against 25 microseconds for a message there and back.
                await trio.lowlevel.wait_readable(self._fileno())
                data = self._read()
                if data is not None:
                    return data
        except (trio.ClosedResourceError, trio.BusyResourceError, OSError, ValueError) as error:
            raise ConnectionLost from error
        raise ConnectionLost

    def _read(self) -> bytes | None:
        """What is there, None when it is nothing. Raises `ConnectionLost` at the end."""
        try:
            data = os.read(self._fileno(), MESSAGE_READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise ConnectionLost from error
        if not data:
            raise ConnectionLost
        self.last_received = trio.current_time()
        return data

    def _parse(self, data: bytes) -> tuple[Sequence[Incoming], ProtocolFailure | None]:
        try:
            return self._parser.feed(data), None
        except ProtocolFailure as failure:
            return failure.before, failure

    async def _take_all(self, take: Take, items: Iterable[Incoming], failure: ProtocolFailure | None) -> None:
        for item in items:
            waiting = take(item)
            if waiting is not None:
                await waiting
        if failure is not None:
            raise failure

    # --- reading in the poller's step ---

    def _park(self, take: Take, poller: Poller) -> None:
        """Let the poller's step read, for the connection's task, which is about to wait until it is woken.

        Every idle connection is in this state: hence methods and slots. Closures and a coroutine for them would be
        shorter, and 600 bytes more.
        """
        descriptor = self._fileno()
        if descriptor < 0:
            raise ConnectionLost
        poller.add(descriptor, self._on_readable)
        self._descriptor = descriptor
        self._take = take
        self._parked = trio.lowlevel.current_task()

    def _on_readable(self) -> None:
        take = self._take
        if take is None:
            return
        try:
            data = self._read()
            if data is None:
                return
            items, failure = self._parse(data)
            rest = iter(items)
            for item in rest:
                waiting = take(item)
                if self._parked is None:  # it ended the connection
                    if isinstance(waiting, Coroutine):
                        waiting.close()
                    return
                if waiting is not None:
                    self._wake(outcome.Value((waiting, tuple(rest), failure)))
                    return
            if failure is not None or self._parser.finished:
                self._wake(outcome.Value((None, (), failure)))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - raised where the connection's own task waits
            self._wake(outcome.Error(error))

    def _wake(self, result: outcome.Outcome[_Rest]) -> None:
        """Let the connection's task go on. Does nothing when it already does."""
        parked = self._stop_watching()
        if parked is not None:
            trio.lowlevel.reschedule(parked, result)

    def _give_up(self, _: object) -> trio.lowlevel.Abort:
        self._stop_watching()
        return trio.lowlevel.Abort.SUCCEEDED

    def _stop_watching(self) -> trio.lowlevel.Task | None:
        parked, self._parked = self._parked, None
        self._take = None
        if parked is not None and self._poller is not None:
            self._poller.discard(self._descriptor, self._on_readable)
        return parked

    async def finish(self, timeout_s: float) -> None:
        """End the connection politely, after the close frame was sent: half-close, await the peer's end, then close.

        The server closes first (RFC 6455 section 7.1.1), yet reads on for at most `timeout_s`: unread bytes would turn
        the close into a reset, which can overtake the close frame. Called by the task that reads, as nobody else may
        read meanwhile. Raises nothing but `trio.Cancelled`; the socket is closed in any case.
        """
        try:
            with trio.move_on_after(timeout_s):
                await self._stream.send_eof()
                await discard(self._stream, FINISH_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the peer was faster
        finally:
            self.abort()
