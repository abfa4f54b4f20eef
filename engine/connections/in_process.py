"""A connection without a socket: for embedding, for bots in the same process, and for tests.

    async with open_client(engine, user_id=bot.id, family_id=log_in.family_id) as client:
        async for event in client:
            if isinstance(event, MessagePosted):
                ...

It hears of all of its user's rooms, or of those that it asks for. A client has what any other has: an inbox that is
bounded in bytes, beyond which it is a slow consumer and is closed. What it has read is not kept.
"""

import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec
import trio

from chinwag.engine.connections.admission import Admission
from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.connections.connections import Connections
from chinwag.engine.connections.session import Session
from chinwag.engine.connections.transport import ConnectionLost
from chinwag.engine.connections.wires import LINES, Wire
from chinwag.engine.model.events import Event, PresenceChanged, UserEvent
from chinwag.engine.model.ids import FamilyId, RoomId, UserId
from chinwag.engine.model.positions import Position
from chinwag.engine.model.tasks import Spawn

UNBOUNDED = 1 << 62
INBOX_BYTES = 1024 * 1024
"""What a client has not read yet and is still taken from its session. Beyond it the session's own bounds judge it."""


class EventDialect:
    """The dialect of clients in the process: every event, as JSON that decodes to the same event."""

    def __init__(self, *user_events: type[UserEvent]) -> None:
        """`user_events`: which of the events that are published to people a client hears of."""
        self.user_events = user_events

    def encode(self, event: Event) -> bytes:
        """Nothing is left out."""
        return _encode(event)


EVENT_LINES = Wire(EventDialect(), LINES)
PRESENCE_LINES = Wire(EventDialect(PresenceChanged), LINES)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Event).decode


class InProcessTransport:
    """A `Transport` into a buffer, from which its reader takes."""

    def __init__(self, *, take_bytes: int = UNBOUNDED, inbox_bytes: int = UNBOUNDED) -> None:
        """`inbox_bytes` bounds what is in the buffer. `take_bytes` bounds what goes into it altogether, for tests: a
        client that stops reading for good."""
        self.written = bytearray()
        """The bytes that were written, and not taken out yet."""
        self.last_received = float("inf")
        self.goodbye_reason: CloseReason | None = None
        self._left = take_bytes
        self._inbox_bytes = inbox_bytes
        self._gone = False
        self._changed = trio.Event()

    def try_send(self, data: bytes | memoryview) -> int:
        """See `Transport`."""
        if self._gone:
            raise ConnectionLost
        taken = min(len(data), self._left, max(0, self._inbox_bytes - len(self.written)))
        self._left -= taken
        self.written += data[:taken]
        if taken:
            self._notify()
        return taken

    async def wait_writable(self) -> None:
        """See `Transport`."""
        while not self._left or len(self.written) >= self._inbox_bytes:
            if self._gone:
                raise ConnectionLost
            await self._changed.wait()
        await trio.lowlevel.checkpoint()

    def take(self) -> bytes:
        """All that was written and not taken out yet, which makes room for more."""
        taken = bytes(self.written)
        if taken:
            self.written.clear()
            self._notify()
        return taken

    def ping(self) -> bytes:
        """Nobody needs to be asked whether they are there."""
        return b""

    def goodbye(self, reason: CloseReason) -> bytes:
        """No bytes; the reason is noted, and the reader ends."""
        self.goodbye_reason = reason
        self._notify()
        return b""

    def abort(self) -> None:
        """See `Transport`."""
        self._gone = True
        self._notify()

    def unblock(self, take_bytes: int = UNBOUNDED) -> None:
        """Take so many more bytes."""
        self._left += take_bytes
        self._notify()

    async def changed(self) -> None:
        """Return when anything was written or taken out, or the connection ended."""
        await self._changed.wait()

    async def until_gone(self) -> None:
        """The reader of a connection on which nothing comes in. Returns when it ends."""
        while not self._gone and self.goodbye_reason is None:
            await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class InProcessClient:
    """The client's end of a connection. One task reads from it at a time; a read that is cancelled loses nothing."""

    def __init__(self, session: Session, transport: InProcessTransport, refused: tuple[RoomId, ...]) -> None:
        self.session = session
        self.transport = transport
        self.refused = refused
        self._unread: deque[Event] = deque()
        self._line = b""
        """The beginning of an event of which the rest has not come yet."""

    @property
    def closed_with(self) -> CloseReason | None:
        """Why the engine ended the connection, None while it has not."""
        return self.session.close_reason

    def received(self) -> list[Event]:
        """What came and was not read yet. Never waits."""
        self._take()
        events = list(self._unread)
        self._unread.clear()
        return events

    async def receive(self, count: int) -> list[Event]:
        """Wait until `count` events have come that were not read yet, and return all that have.

        Raises `ConnectionLost` when the connection ends before; what did come is then there for `received`.
        """
        await self._arrived(count)
        return self.received()

    def __aiter__(self) -> "InProcessClient":
        return self

    async def __anext__(self) -> Event:
        """The next event. The iteration ends with the connection, once all is read: `closed_with` says why."""
        try:
            await self._arrived(1)
        except ConnectionLost:
            raise StopAsyncIteration from None
        return self._unread.popleft()

    async def _arrived(self, count: int) -> None:
        """Return when so many events are unread. What comes meanwhile stays here, also when this is cancelled."""
        await trio.lowlevel.checkpoint()
        self._take()
        while len(self._unread) < count:
            if not self.session.open:
                raise ConnectionLost
            await self.transport.changed()
            self._take()

    def _take(self) -> None:
        taken = self.transport.take()
        if taken:
            *lines, self._line = (self._line + taken).split(b"\n")
            self._unread.extend(map(_decode, lines))


class HasConnections(Protocol):
    """What a client needs of an engine, which knows this module's service and is not known here."""

    @property
    def connections(self) -> Connections:
        """Where it connects."""
        ...

    @property
    def spawn(self) -> Spawn:
        """Starts the task that serves it."""
        ...


@contextlib.asynccontextmanager
async def open_client(
    engine: HasConnections,
    *,
    user_id: UserId,
    family_id: FamilyId,
    room_ids: Sequence[RoomId] | None = None,
    follow: bool | None = None,
    presence: bool = False,
    expires_at: float = float("inf"),
    resume: bool = False,
    since: Position | None = None,
    inbox_bytes: int = INBOX_BYTES,
    source: str = "",
) -> AsyncIterator[InProcessClient]:
    """Connect a user in this process; leaving the block disconnects. Raises as `Connections.admit`.

    Without `room_ids` it hears of all of the user's rooms, and of those that the user joins later (`follow`; with
    `room_ids` it has to be asked for). `presence`: whether it hears of others' coming and going. A client that has more
    than `inbox_bytes` and the session's outbox unread, or reads nothing for too long while the inbox is full, is closed
    as a slow consumer. `source` is where whoever it speaks for comes from, as in `Admission`.
    """
    admitted = await engine.connections.admit(
        Admission(
            user_id=user_id,
            family_id=family_id,
            expires_at=expires_at,
            wire=PRESENCE_LINES if presence else EVENT_LINES,
            room_ids=room_ids,
            follow=room_ids is None if follow is None else follow,
            resume=resume,
            since=since,
            source=source,
        )
    )
    transport = InProcessTransport(inbox_bytes=inbox_bytes)
    ended = trio.Event()

    async def serve() -> None:
        try:
            async with engine.connections.attach(admitted, transport):
                await transport.until_gone()
        finally:
            ended.set()

    engine.spawn(serve)
    try:
        yield InProcessClient(admitted.session, transport, admitted.refused)
    finally:
        transport.abort()
        with trio.CancelScope(shield=True):
            await ended.wait()
