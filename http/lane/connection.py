"""A connection of the fast lane: reads and writes that say what they wait for, so that the lane's sweep can end them.

There are two kinds. A plain socket is read and written by its file descriptor, which saves a checkpoint and an
exception for each request. TLS goes through Trio's stream: there bytes that are ready do not show at the socket.
"""

import abc
import enum
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

import trio

from chinwag.http.lane.coroutines import calling_before_it_waits
from chinwag.http.listener.streams import READ_BYTES, SecureStream, discard, peer_address, reset

T = TypeVar("T")


class ConnectionPhase(enum.Enum):
    """What a connection waits for, and so which time limit it is under."""

    IDLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    HANDLER = enum.auto()
    SENDING = enum.auto()
    LEAVING = enum.auto()


_HEAD, _HANDLER, _SENDING, _LEAVING = (
    ConnectionPhase.HEAD,
    ConnectionPhase.HANDLER,
    ConnectionPhase.SENDING,
    ConnectionPhase.LEAVING,
)


class TimeOver(Exception):
    """The sweep woke a reader: its client was too slow, or the server stops."""


class Gone(Exception):
    """The client left, or its connection was reset. There is nobody to answer."""


class Clock(Protocol):
    """The lane."""

    now: float
    """Trio's time at the last tick: near enough for limits of seconds, and free."""


class Connection(abc.ABC):
    """What the lane needs of one."""

    __slots__ = ("_clock", "client", "fresh", "phase", "since")

    secure: bool
    """Whether nobody on the way can read it."""

    def __init__(self, client: str, clock: Clock) -> None:
        self.client = client
        """The peer's address; "" when it has left."""
        self._clock = clock
        self.phase = _HEAD
        self.since = clock.now
        """When the phase began, by the lane's time; of sending, when the client last took something."""
        self.fresh = True
        """Until a first head has come."""

    def enter(self, phase: ConnectionPhase) -> None:
        """Wait for something else from now on."""
        self.phase = phase
        self.since = self._clock.now

    @property
    def now(self) -> float:
        """The lane's time."""
        return self._clock.now

    @abc.abstractmethod
    async def read(self) -> bytes:
        """Wait for bytes; b"" at the end. Raises `TimeOver` when woken by the sweep, `Gone` and `OSError`."""

    @abc.abstractmethod
    def wake_reader(self) -> None:
        """End a `read` that waits. Does nothing to one that has just got something."""

    @abc.abstractmethod
    def answering(self, work: Coroutine[Any, Any, T], answers: list[bytes]) -> Awaitable[T]:
        """Await `work`; the answers before it are sent, at the latest, when it has to wait for something."""

    @abc.abstractmethod
    async def send(self, answers: list[bytes]) -> None:
        """Write all answers, and empty the list. Raises `OSError` or `Gone` when the client is gone."""

    @abc.abstractmethod
    async def leave(self, answers: list[bytes], *, unread_bytes: int, unread_s: float) -> None:
        """Write the last answers, close this side, and read on for a moment so that no reset overtakes them."""

    @abc.abstractmethod
    def reset(self) -> None:
        """Close at once and drop what was not delivered."""


class PlainConnection(Connection):
    """A bare socket."""

    __slots__ = ("_fileno", "_stream")

    secure = False

    def __init__(self, stream: trio.SocketStream, clock: Clock) -> None:
        super().__init__(peer_address(stream), clock)
        self._stream = stream
        # Asked for at each call, never kept: after a close it is -1, while the kernel gives the number to the next
        # connection.
        self._fileno: Callable[[], int] = stream.socket.fileno

    async def read(self) -> bytes:
        """See `Connection`."""
        try:
            while True:
                # Waiting first saves the read that fails, which is the usual one.
                await trio.lowlevel.wait_readable(self._fileno())
                try:
                    return os.read(self._fileno(), READ_BYTES)
                except BlockingIOError:
                    continue
        except trio.ClosedResourceError:
            raise (Gone if self._fileno() == -1 else TimeOver) from None
        except ValueError:  # what trio makes of a descriptor of -1
            raise Gone from None

    def wake_reader(self) -> None:
        """See `Connection`."""
        if self._fileno() != -1:
            trio.lowlevel.notify_closing(self._fileno())

    def answering(self, work: Coroutine[Any, Any, T], answers: list[bytes]) -> Awaitable[T]:
        """See `Connection`. What the kernel does not take at once is left to be sent with the next answer."""

        def send_what_goes() -> None:
            data = b"".join(answers)
            try:
                taken = os.write(self._fileno(), data)
            except OSError:  # full, or gone: found out about again when the rest is sent
                taken = 0
            answers[:] = [data[taken:]] if taken < len(data) else []

        return calling_before_it_waits(work, send_what_goes)

    async def send(self, answers: list[bytes]) -> None:
        """See `Connection`."""
        data = answers[0] if len(answers) == 1 else b"".join(answers)
        answers.clear()
        try:
            taken = os.write(self._fileno(), data)
        except BlockingIOError:
            taken = 0
        if taken < len(data):
            await self._send_rest(memoryview(data)[taken:])

    async def _send_rest(self, data: memoryview) -> None:
        self.enter(_SENDING)
        try:
            while data:
                await trio.lowlevel.wait_writable(self._fileno())
                try:
                    taken = os.write(self._fileno(), data)
                except BlockingIOError:
                    continue
                self.since = self._clock.now
                data = data[taken:]
        except (trio.ClosedResourceError, ValueError):
            raise Gone from None

    async def leave(self, answers: list[bytes], *, unread_bytes: int, unread_s: float) -> None:
        """See `Connection`."""
        await self.send(answers)
        self.phase = _LEAVING
        with trio.move_on_after(unread_s):
            try:
                await self._stream.send_eof()
                await discard(self._stream, unread_bytes)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise Gone from None

    def reset(self) -> None:
        """See `Connection`."""
        reset(self._stream)


_LOST: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


class SecureConnection(Connection):
    """A connection over TLS. Its sends have their deadlines from the stream below, not from the lane's sweep."""

    __slots__ = ("_reading", "_stream")

    secure = True

    def __init__(self, stream: SecureStream, clock: Clock) -> None:
        super().__init__(peer_address(stream), clock)
        self._stream = stream
        self._reading: trio.CancelScope | None = None

    async def read(self) -> bytes:
        """See `Connection`."""
        try:
            with trio.CancelScope() as self._reading:
                return await self._stream.receive_some(READ_BYTES)
        except _LOST:
            raise Gone from None
        finally:
            self._reading = None
        raise TimeOver

    def wake_reader(self) -> None:
        """See `Connection`."""
        if self._reading is not None:
            self._reading.cancel()

    async def answering(self, work: Coroutine[Any, Any, T], answers: list[bytes]) -> T:
        """See `Connection`. TLS cannot be written without waiting, so they are sent first, whether it waits or not."""
        try:
            await self.send(answers)
        except BaseException:  # whatever it is: a coroutine that nobody awaits has to be closed
            work.close()
            raise
        return await work

    async def send(self, answers: list[bytes]) -> None:
        """See `Connection`."""
        data = b"".join(answers)
        answers.clear()
        self.phase = _HANDLER
        try:
            await self._stream.send_all(data)
        except _LOST:
            raise Gone from None

    async def leave(self, answers: list[bytes], *, unread_bytes: int, unread_s: float) -> None:
        """See `Connection`."""
        await self.send(answers)
        self.phase = _LEAVING
        with trio.move_on_after(unread_s):
            try:
                await self._stream.finish(unread_bytes)
            except _LOST:
                raise Gone from None

    def reset(self) -> None:
        """See `Connection`."""
        self._stream.abort()
