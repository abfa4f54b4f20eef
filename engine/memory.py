"""A connection without a socket: for embedding, for bots in the same process, and for tests.

async with open_client(engine, user_id=ann.id, family_id=log_in.family_id, room_ids=[room.id]) as client:
    await engine.post_message(room.id, ann.id, text="hello")
    [posted] = await client.receive(1)
"""

import contextlib
from collections.abc import AsyncIterator, Sequence

import msgspec
import trio

from chinwag.engine.engine import Engine
from chinwag.engine.events import Event
from chinwag.engine.ids import FamilyId, MessageId, RoomId, UserId
from chinwag.engine.session import Session
from chinwag.engine.transport import CloseReason, ConnectionLost

UNBOUNDED = 1 << 62


class EventLines:
    """The wire format of memory clients: every event, as one line of JSON that decodes to the same event."""

    def __init__(self, *, wants_presence: bool = False) -> None:
        """`wants_presence`: whether a client hears of others' coming and going."""
        self.wants_presence = wants_presence

    def encode(self, event: Event) -> bytes:
        """Nothing is left out."""
        return _encode(event) + b"\n"


EVENT_LINES = EventLines()
PRESENCE_LINES = EventLines(wants_presence=True)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Event).decode


class MemoryTransport:
    """A `Transport` into a buffer. `take_bytes` bounds what it takes before it blocks, as a client that never reads."""

    def __init__(self, *, take_bytes: int = UNBOUNDED) -> None:
        self.written = bytearray()
        """All bytes taken so far."""
        self.last_received = float("inf")
        self.goodbye_reason: CloseReason | None = None
        self._left = take_bytes
        self._gone = False
        self._changed = trio.Event()

    def try_send(self, data: bytes | memoryview) -> int:
        """See `Transport`."""
        if self._gone:
            raise ConnectionLost
        taken = min(len(data), self._left)
        self._left -= taken
        self.written += data[:taken]
        if taken:
            self._notify()
        return taken

    async def wait_writable(self) -> None:
        """See `Transport`."""
        while not self._left:
            if self._gone:
                raise ConnectionLost
            await self._changed.wait()
        await trio.lowlevel.checkpoint()

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
        """Return when anything was written, or the connection ended."""
        await self._changed.wait()

    async def until_gone(self) -> None:
        """The reader of a connection on which nothing comes in. Returns when it ends."""
        while not self._gone and self.goodbye_reason is None:
            await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class MemoryClient:
    """The far end of a memory connection."""

    def __init__(self, session: Session, transport: MemoryTransport, refused: tuple[RoomId, ...]) -> None:
        self.session = session
        self.transport = transport
        self.refused = refused
        self._read = 0

    @property
    def closed_with(self) -> CloseReason | None:
        """Why the engine ended the connection, None while it has not."""
        return self.session.close_reason

    def received(self) -> list[Event]:
        """What came since the last look. Never waits."""
        whole = self.transport.written.rfind(b"\n") + 1
        lines = bytes(self.transport.written[self._read : whole]).splitlines()
        self._read = max(whole, self._read)
        return [_decode(line) for line in lines]

    async def receive(self, count: int) -> list[Event]:
        """Wait until `count` more events have come, and return all that have. Raises `ConnectionLost` at the end."""
        events = self.received()
        while len(events) < count:
            if not self.session.open:
                raise ConnectionLost
            await self.transport.changed()
            events += self.received()
        return events


@contextlib.asynccontextmanager
async def open_client(
    engine: Engine,
    *,
    user_id: UserId,
    family_id: FamilyId,
    room_ids: Sequence[RoomId] | None,
    follow: bool = False,
    presence: bool = False,
    expires_at: float = float("inf"),
    resume: bool = False,
    since: MessageId | None = None,
    take_bytes: int = UNBOUNDED,
) -> AsyncIterator[MemoryClient]:
    """Connect a user in this process; leaving the block disconnects. Raises as `Engine.connect`.

    `presence`: whether the client hears of others' coming and going.
    """
    connected = await engine.connect(
        user_id=user_id,
        family_id=family_id,
        expires_at=expires_at,
        wire=PRESENCE_LINES if presence else EVENT_LINES,
        room_ids=room_ids,
        follow=follow,
        resume=resume,
        since=since,
    )
    transport = MemoryTransport(take_bytes=take_bytes)
    client = MemoryClient(connected.session, transport, connected.refused)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(engine.serve_session, connected, transport, transport.until_gone)
        try:
            yield client
        finally:
            transport.abort()
