"""Sessions: one per connection, whatever it speaks.

A session owns its user, its outbox and its transport. Nobody ever waits for it: what cannot be written at once goes
into an outbox that is bounded in bytes, and a session that exceeds the bound, or stays blocked, is a slow consumer and
is closed. A connection has one task, its reader (`Connections.open`), and only while it is blocked a second one, its
writer, and a queue: that is what keeps an idle connection small. Time is watched from outside, by `Session.check`, for
all sessions at once.
"""

import sys
from collections import deque
from collections.abc import Sequence

import structlog
import trio

from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.connections.fanout import Fanout
from chinwag.engine.connections.limits import SessionLimits, SessionStats
from chinwag.engine.connections.phases import SessionPhase
from chinwag.engine.connections.transport import LOST, Transport
from chinwag.engine.connections.wires import Wire
from chinwag.engine.messages.resume import Replay
from chinwag.engine.model.events import (
    Event,
    MembershipEvent,
    MessagePosted,
    RoomEvent,
    RoomJoined,
    RoomLeft,
    UserEvent,
)
from chinwag.engine.model.ids import FamilyId, RoomId, UserId
from chinwag.engine.model.tasks import Spawn

log = structlog.get_logger("chinwag.engine")


_LIVE, _HELD = SessionPhase.LIVE, SessionPhase.HELD  # in Python 3.11 to look a member up in its class takes 0.2 µs


ENTRY_BYTES = 256
"""What a piece in an outbox takes besides its bytes: many small ones must count for what they cost."""

REPLAY_CHUNK = 50
"""Messages encoded at a time, so that a long replay does not hold up the event loop."""


class Session:
    """One connection of one user. Made by `Connections.admit`; `begin` makes it live."""

    __slots__ = (
        "_blocked_since",
        "_close_deadline",
        "_drained",
        "_fanout",
        "_held",
        "_last_ping",
        "_late",
        "_limits",
        "_outbox",
        "_outbox_bytes",
        "_partial",
        "_progress",
        "_replay_bytes",
        "_source",
        "_spawn",
        "_stats",
        "_transport",
        "_unanswered",
        "_writing",
        "close_reason",
        "expires_at",
        "family_id",
        "follows",
        "open",
        "phase",
        "user_id",
        "wire",
    )

    def __init__(
        self,
        *,
        user_id: UserId,
        family_id: FamilyId | None,
        expires_at: float,
        wire: Wire,
        fanout: Fanout["Session"],
        limits: SessionLimits,
        stats: SessionStats,
        spawn: Spawn,
        follows: bool = False,
        source: str = "",
    ) -> None:
        """`expires_at`: when its token ends, in `trio.current_time()` seconds. `spawn` starts its writer. `follows`:
        whether it hears of rooms that its user joins later. It counts for its `source` until it is abandoned."""
        self.user_id = user_id
        self.family_id = family_id
        self.expires_at = expires_at
        self.wire = wire
        self.follows = follows
        self.phase = SessionPhase.HELD
        self.open = True
        """True until the session is closed from either side: what it says still counts. (Asked for each frame.)"""
        self.close_reason: CloseReason | None = None
        self._fanout = fanout
        self._limits = limits
        self._stats = stats
        self._source = sys.intern(source)  # many come from one
        stats.count_from(source, 1)
        self._spawn = spawn
        self._transport: Transport | None = None
        self._held: list[Event] = []
        self._late: bytearray | None = None
        """What was said by `say_message` since the replay began, framed."""
        self._outbox: deque[memoryview] | None = None
        """Made when there is something to put in: an empty one takes 760 bytes."""
        self._outbox_bytes = 0
        self._partial = False
        self._blocked_since = float("inf")
        self._close_deadline = float("inf")
        self._last_ping = trio.current_time()
        self._drained: trio.Event | None = None
        self._unanswered = 0
        self._replay_bytes = 0
        self._progress: trio.Event | None = None
        self._writing = False

    def expect_replay(self, size_bytes: int) -> None:
        """Count a replay of this size as under way, until the session is live or over."""
        self._replay_bytes = size_bytes
        self._stats.replaying_bytes += size_bytes

    # --- out ---

    @property
    def outbox_bytes(self) -> int:
        """Bytes that wait for the client."""
        return self._outbox_bytes

    def deliver(self, data: bytes, events: list[Event]) -> None:
        """Fan-out's entrance: write now, or keep the events while the replay goes on. Never waits."""
        if self.phase is _LIVE:
            transport = self._transport
            if transport is None or self._outbox:
                self._write(data)
                return
            try:  # as `_write` does, with a call less: nearly every delivery ends here
                taken = transport.try_send(data)
            except Exception as error:  # noqa: BLE001 - of any kind: it costs this session alone
                self._not_sent(transport, error)
                return
            if taken != len(data):
                self._keep_rest(data, taken)
        elif self.phase is _HELD:
            self._held.extend(events)
            if len(self._held) > self._limits.held_events:
                self.close(CloseReason.SLOW_CONSUMER)

    def deliver_bodies(self, bodies: list[bytes], events: list[Event]) -> None:
        """Fan-out's entrance where frames are this session's own: see `Subscriber`. Never waits."""
        if self.phase is not _LIVE:
            self.deliver(b"", events)
            return
        frame, transport = self.wire.frame, self._transport
        try:
            data = b"".join([frame(body, event, transport) for body, event in zip(bodies, events, strict=True) if body])
        except Exception:
            # A bug in a carrier must not reach the room that is fanning out: it costs this session these events.
            log.exception("events could not be framed", user=self.user_id)
            return
        self._write(data)

    def joined_while_held(self, room_id: RoomId) -> bool:
        """Whether the last that was heard of this membership, since the session was made and before it went live, is
        that it began."""
        for event in reversed(self._held):
            if isinstance(event, MembershipEvent) and event.room_id == room_id:
                return isinstance(event, RoomJoined)
        return False

    def forget_absences(self) -> None:
        """Drop what is held of rooms from after their user had left and before they came back: it was subscribed by a
        list of rooms that was old already."""
        absent: set[RoomId] = set()
        kept: list[Event] = []
        for event in self._held:
            if isinstance(event, RoomLeft):
                absent.add(event.room_id)
            elif isinstance(event, RoomJoined):
                absent.discard(event.room_id)
            elif isinstance(event, RoomEvent) and event.room_id in absent:
                continue
            kept.append(event)
        self._held = kept

    def say(self, *bodies: bytes) -> None:
        """Tell the client what no event says: bodies in its dialect, which its carrier frames, in one write. Never
        waits; does nothing once the session is closing."""
        if self.open and self._transport is not None:
            self._write(self._framed(bodies))

    def say_message(self, body: bytes) -> None:
        """`say` a message that no fan-out brings. While missed ones are being replayed it waits for their end: a client
        whose connection breaks goes on from the highest id that it got, and would lose those in between."""
        if self.phase is not _HELD:
            self.say(body)
            return
        if self._late is None:
            self._late = bytearray()
        self._late += self._framed((body,))
        if len(self._late) > self._limits.outbox_bytes:
            self.close(CloseReason.SLOW_CONSUMER)

    def send(self, data: bytes) -> None:
        """Write bytes of the carrier's own (the answer to a ping) in order, without waiting. Does nothing once the
        session is closing."""
        if self.open:
            self._write(data)

    async def drained(self) -> None:
        """Return when the outbox is empty or the session over: backpressure for who produces more on demand."""
        while self._outbox and self.phase is not SessionPhase.CLOSED:
            if self._drained is None:
                self._drained = trio.Event()
            await self._drained.wait()

    def close(self, reason: CloseReason) -> None:
        """Stop delivering at once, tell the client why, and end within the closing time. Never waits."""
        if not self.open:
            return
        self._end_as(SessionPhase.CLOSING)
        self.close_reason = reason
        self._stats.closed_by_reason[reason] = self._stats.closed_by_reason.get(reason, 0) + 1
        if reason is CloseReason.SLOW_CONSUMER:
            self._stats.slow_consumers += 1
            log.warning("slow consumer closed", user=self.user_id, outbox_bytes=self._outbox_bytes)
        self._close_deadline = trio.current_time() + self._limits.closing_s
        self._held.clear()
        self._late = None
        if self._progress is not None:
            self._progress.set()
        if self._transport is None:
            return
        if reason is not CloseReason.RESTART:
            self._forget_unsent()
        self._write(self._transport.goodbye(reason))

    def finish(self, last: bytes, reason: CloseReason | None = None) -> None:
        """End as the protocol wants it: write `last` (an answer to the peer's own goodbye) and deliver nothing more.

        `reason` says what the peer did wrong, None when it just leaves.
        """
        if not self.open:
            return
        if reason is not None:
            self.close_reason = reason
            self._stats.closed_by_reason[reason] = self._stats.closed_by_reason.get(reason, 0) + 1
        self._write(last)
        self._end_as(SessionPhase.CLOSING)
        self._close_deadline = trio.current_time() + self._limits.closing_s
        self._held.clear()
        self._late = None

    # --- in ---

    def asked(self) -> None:
        """A command of this session's is under way."""
        self._unanswered += 1

    def answered(self) -> None:
        """One of them has its outcome."""
        self._unanswered -= 1
        if self._progress is not None and not self.behind:
            self._progress.set()

    @property
    def behind(self) -> bool:
        """Whether to read the client no further for now: see `caught_up`."""
        return self._unanswered >= self._limits.unanswered or self._outbox_bytes > self._limits.pause_bytes

    async def caught_up(self) -> None:
        """Return when the client's commands are answered and what it got is taken, or the session is over."""
        while self.behind and self.open:
            if self._progress is None or self._progress.is_set():
                self._progress = trio.Event()
            await self._progress.wait()

    # --- life ---

    def begin(self, transport: Transport, replay: Replay, greeting: Sequence[bytes] = ()) -> None:
        """Serve a connection from now on: greet (bodies), tell what was missed, go live. Never waits.

        Whoever reads from the connection calls `abandon` when it has ended.
        """
        if self.phase is SessionPhase.CLOSED:  # abandoned before its transport came: at shutdown, or as unclaimed
            transport.abort()
            return
        self._transport = transport
        self._last_ping = trio.current_time()
        if self.phase is SessionPhase.CLOSING:
            self._write(transport.goodbye(self.close_reason or CloseReason.RESTART))
            return
        if greeting:
            self.say(*greeting)
        if replay.messages or len(self._held) > REPLAY_CHUNK:
            self._spawn(self._catch_up, replay)
        else:
            self._go_live(replay)

    def abandon(self) -> None:
        """Forget the session at once and drop its transport. Twice is fine."""
        self._replay_is_over()
        if self.phase is not SessionPhase.CLOSED:
            self._stats.count_from(self._source, -1)
        self._end_as(SessionPhase.CLOSED)
        self._fanout.discard(self)
        self._outbox = None
        self._outbox_bytes = 0
        self._held.clear()
        self._late = None
        if self._drained is not None:
            self._drained.set()
        if self._progress is not None:
            self._progress.set()
        if self._transport is not None:
            self._transport.abort()

    def check(self, now: float) -> None:
        """Apply all rules about time. Called about once a second for every session."""
        transport = self._transport
        limits = self._limits
        if transport is None:
            if now - self._last_ping >= limits.unclaimed_s:
                self.abandon()
        elif self.phase is SessionPhase.CLOSED:
            return
        elif self.phase is SessionPhase.CLOSING:
            if now >= self._close_deadline:
                transport.abort()
        elif now >= self.expires_at:
            self.close(CloseReason.TOKEN_INVALID)
        elif now - self._blocked_since >= limits.blocked_s:
            self.close(CloseReason.SLOW_CONSUMER)
        elif now - self._last_ping >= limits.ping_interval_s:
            if now - transport.last_received >= 2 * limits.ping_interval_s:
                self.close(CloseReason.PING_TIMEOUT)
                return
            self._last_ping = now
            ping = transport.ping()
            if ping:
                self.send(ping)

    # --- pieces ---

    async def _catch_up(self, replay: Replay) -> None:
        """Write what was missed, and what is held meanwhile, in portions and at the client's pace; then go live."""
        messages = replay.messages
        try:
            for start in range(0, len(messages), REPLAY_CHUNK):
                # Who is removed while the replay goes on gets no more of it either.
                mine = [each for each in messages[start : start + REPLAY_CHUNK] if self._hears_of(each.room_id)]
                await self._write_portion(mine)
            await self._write_portion(self._results(replay))
            while len(self._held) > REPLAY_CHUNK and self.phase is SessionPhase.HELD:
                portion, self._held = self._held[:REPLAY_CHUNK], self._held[REPLAY_CHUNK:]
                await self._write_portion([event for event in portion if self._is_news(event, replay)])
            if self.phase is SessionPhase.HELD:
                self._go_live(replay, resumed=True)
        finally:
            if self.phase is SessionPhase.HELD:  # a bug ended the replay: without it the session would be held for ever
                self.close(CloseReason.INTERNAL_ERROR)

    async def _write_portion(self, events: Sequence[Event]) -> None:
        self.send(self._told(events))
        await trio.lowlevel.checkpoint()
        await self.drained()

    def _results(self, replay: Replay) -> list[Event]:
        """How each room was resumed, but for those that the user has left meanwhile."""
        return [each for each in replay.results if self._hears_of(each.room_id)]

    def _go_live(self, replay: Replay, *, resumed: bool = False) -> None:
        """Say how each room was resumed (unless that is done), then what has happened since; then deliver directly."""
        fresh: list[Event] = [] if resumed else self._results(replay)
        fresh.extend(event for event in self._held if self._is_news(event, replay))
        data = self._told(fresh) + (self._late or b"")
        self._held = []
        self._late = None
        self._replay_is_over()
        self.phase = SessionPhase.LIVE
        self.send(data)

    def _told(self, events: Sequence[Event]) -> bytes:
        """What this session alone is told of events: held ones, and replayed ones."""
        wire, transport = self.wire, self._transport
        return b"".join(
            [wire.frame(body, event, transport) for event in events if (body := wire.body(event, self.user_id))]
        )

    def _framed(self, bodies: Sequence[bytes]) -> bytes:
        frame, transport = self.wire.frame, self._transport
        return b"".join([frame(body, None, transport) for body in bodies if body])

    def _replay_is_over(self) -> None:
        self._stats.replaying_bytes -= self._replay_bytes
        self._replay_bytes = 0

    def _is_news(self, event: Event, replay: Replay) -> bool:
        if isinstance(event, MessagePosted) and event.message.seq <= replay.known_seq.get(event.room_id, -1):
            return False  # it was committed before the replay was read, and published after: the replay has it
        # Held events of a room that turned out not to be the user's, or that they left meanwhile, are not theirs.
        return isinstance(event, UserEvent) or self._hears_of(event.room_id)

    def _hears_of(self, room_id: RoomId) -> bool:
        return self._fanout.is_subscribed(self, room_id)

    def _write(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or not data:
            return
        if not self._outbox:
            try:
                taken = transport.try_send(data)
            except Exception as error:  # noqa: BLE001 - of any kind: it costs this session alone
                self._not_sent(transport, error)
                return
            if taken != len(data):
                self._keep_rest(data, taken)
            return
        if self._outbox_bytes > self._limits.outbox_bytes and self.open:
            self.close(CloseReason.SLOW_CONSUMER)
            return
        self._outbox.append(memoryview(data))
        self._outbox_bytes += len(data) + ENTRY_BYTES

    def _not_sent(self, transport: Transport, error: Exception) -> None:
        """The reader notices, and ends the session. A bug in a transport must not reach the room that fans out."""
        if not isinstance(error, LOST):
            log.error("transport failed", user=self.user_id, exc_info=error)
        transport.abort()

    def _keep_rest(self, data: bytes, taken: int) -> None:
        """The peer did not take all of it: the rest waits for the writer."""
        self._partial = taken > 0
        self._outbox = deque([memoryview(data)[taken:]])  # a view: the others' outboxes share the bytes
        self._outbox_bytes = len(data) - taken + ENTRY_BYTES
        self._blocked_since = trio.current_time()
        if not self._writing:  # it still is after `_forget_unsent` took everything away from it
            self._writing = True
            self._spawn(self._flush)

    async def _flush(self) -> None:
        """The writer: lives while the outbox is not empty."""
        transport = self._transport
        assert transport is not None
        try:
            while self._outbox:
                await transport.wait_writable()
                while self._outbox:
                    chunk = self._outbox[0]
                    taken = transport.try_send(chunk)
                    if taken:
                        self._blocked_since = trio.current_time()
                        self._outbox_bytes -= taken
                    if taken < len(chunk):
                        self._partial = self._partial or taken > 0
                        self._outbox[0] = chunk[taken:]
                        break
                    self._outbox.popleft()
                    self._outbox_bytes -= ENTRY_BYTES
                    self._partial = False
        except LOST:
            transport.abort()
            self._outbox = None
            self._outbox_bytes = 0
        else:
            self._outbox = None
        finally:
            self._writing = False
            self._blocked_since = float("inf")
            if self._drained is not None:
                self._drained.set()
                self._drained = None
            if self._progress is not None:
                self._progress.set()

    def _end_as(self, phase: SessionPhase) -> None:
        self.phase = phase
        self.open = False

    def _forget_unsent(self) -> None:
        """Drop what waits, but for the rest of what the peer already has the beginning of: half a frame is no frame."""
        if self._outbox:
            head = self._outbox[0]
            self._outbox.clear()
            if self._partial:
                self._outbox.append(head)
            self._outbox_bytes = sum(len(chunk) + ENTRY_BYTES for chunk in self._outbox)
