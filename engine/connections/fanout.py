"""Fan-out: who hears of what, encoded once per wire format and written once per turn.

A plain registry, not an actor: subscribing a user with a thousand rooms wakes nobody. It is used only from the event
loop's thread, and nothing in it waits. Events are published in commit order over all rooms, so on every connection
message ids rise strictly.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from typing import Generic, Protocol, TypeVar, cast

import structlog

from chinwag.engine.model.events import (
    Audience,
    Event,
    MemberRemoved,
    MessagePosted,
    RoomDeleted,
    RoomJoined,
    UserEvent,
)
from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.values import RoomKind

log = structlog.get_logger("chinwag.engine")


class WireFormat(Protocol):
    """How one kind of connection says things. Formats are compared by identity: make one object and share it."""

    @property
    def user_events(self) -> Collection[type[UserEvent]]:
        """Which of the events that are published to people (`publish_to`) it has a word for. Always the same."""
        return ()

    def encode(self, event: Event) -> bytes:
        """The event ready to be written, framing included; b"" when this format has no such event."""
        ...


class Subscriber(Protocol):
    """A session, as the fan-out sees it. `deliver` never waits and never changes the registry.

    One that `follows` hears of every room that its user joins, from that moment on.
    """

    user_id: UserId
    wire: WireFormat
    follows: bool

    def deliver(self, data: bytes, events: list[Event]) -> None:
        """Write `data`, or keep `events` for later while missed messages are still being replayed."""
        ...


_ROOM = Audience.ROOM  # in Python 3.11 to look a member up in its class takes 0.2 µs

S = TypeVar("S", bound=Subscriber)


class Fanout(Generic[S]):
    """Sessions by room and wire format, and by user."""

    def __init__(self, *, published: int = 0) -> None:
        """`published`: the highest id that was in the store at the start."""
        self.published = published
        """The newest message's id that was published. Ids rise: what is above it has still to be delivered, also when
        a reader of the store sees it already."""
        self._by_room: dict[RoomId, dict[WireFormat, dict[S, None]]] = {}
        self._by_user: dict[UserId, dict[S, None]] = {}
        self._rooms_of: dict[S, set[RoomId]] = {}
        self._left: dict[S, set[RoomId]] = {}
        """Direct rooms that a session heard of when its user left them: it does again when they are back."""
        self._hearing: Counter[type[UserEvent]] = Counter()
        """How many sessions have a word for a kind of event."""
        self.endings = 0
        """How many departures were published: members removed, rooms deleted."""
        self.deliveries = 0
        """Writes handed to sessions so far, one per session and turn."""
        self.events = 0
        """Events published so far."""

    # --- who is there ---

    def add(self, session: S) -> None:
        """Make a session reachable as one of its user's."""
        self._by_user.setdefault(session.user_id, {})[session] = None
        self._rooms_of[session] = set()
        self._hearing.update(session.wire.user_events)

    def discard(self, session: S) -> None:
        """Forget a session and all its subscriptions. Twice is fine."""
        rooms = self._rooms_of.pop(session, None)
        if rooms is None:
            return
        self._left.pop(session, None)
        for room_id in tuple(rooms):
            self._drop(session, room_id)
        self._hearing.subtract(session.wire.user_events)
        sessions = self._by_user[session.user_id]
        del sessions[session]
        if not sessions:
            del self._by_user[session.user_id]

    def subscribe(self, session: S, room_id: RoomId) -> None:
        """Let a session hear of a room from now on."""
        self._forget_left(session, room_id)
        self._rooms_of[session].add(room_id)
        self._by_room.setdefault(room_id, {}).setdefault(session.wire, {})[session] = None

    def unsubscribe(self, session: S, room_id: RoomId) -> None:
        """Let a session hear no more of a room. Does nothing when it did not."""
        self._forget_left(session, room_id)
        rooms = self._rooms_of.get(session)
        if rooms is not None and room_id in rooms:
            rooms.remove(room_id)
            self._drop(session, room_id)

    def is_subscribed(self, session: S, room_id: RoomId) -> bool:
        """Whether a session hears of a room."""
        return room_id in self._rooms_of.get(session, ())

    def sessions_of(self, user_id: UserId) -> tuple[S, ...]:
        """All sessions of a user."""
        return tuple(self._by_user.get(user_id, ()))

    def __iter__(self) -> Iterator[S]:
        """All sessions, as they are at this moment."""
        return iter(tuple(self._rooms_of))

    def __len__(self) -> int:
        return len(self._rooms_of)

    # --- what they hear ---

    def publish(self, room_id: RoomId, events: Iterable[Event]) -> None:
        """Deliver a turn's events in order: one write per session for each run of events with the same audience."""
        run: list[Event] = []
        for event in events:
            if type(event) is MessagePosted:
                self.published = event.message.id
                if not run or run[0].audience is _ROOM:
                    run.append(event)
                    continue
            if run and not _same_audience(run[0], event):
                self._deliver(room_id, run)
                run = []
            run.append(event)
            if type(event) is RoomJoined:
                for session in self._by_user.get(event.user_id, ()):
                    if session.follows or event.room_id in self._left.get(session, ()):
                        self.subscribe(session, event.room_id)
            elif isinstance(event, MemberRemoved | RoomDeleted):
                # What follows in this turn is not for who has just left.
                self._deliver(room_id, run)
                run = []
                self._end_subscriptions(room_id, event)
        if run:
            self._deliver(room_id, run)

    def is_heard(self, kind: type[UserEvent]) -> bool:
        """See `Publisher`."""
        return self._hearing[kind] > 0

    def publish_to(self, user_ids: Set[UserId], event: UserEvent) -> None:
        """See `Publisher`."""
        self.events += 1
        told = [cast("Event", event)]  # every class of them is one of the events
        encoded: dict[WireFormat, bytes] = {}
        there = user_ids if len(user_ids) <= len(self._by_user) else self._by_user.keys() & user_ids
        for user_id in there:
            for session in self._by_user.get(user_id, ()):
                wire = session.wire
                if type(event) not in wire.user_events:
                    continue
                if wire not in encoded:
                    encoded[wire] = _encoded(wire, told)
                if encoded[wire]:
                    self.deliveries += 1
                    session.deliver(encoded[wire], told)

    def _deliver(self, room_id: RoomId, run: list[Event]) -> None:
        """One write per session for events that all have the same audience."""
        self.events += len(run)
        if run[0].audience is _ROOM:
            for wire, sessions in self._by_room.get(room_id, {}).items():
                data = _encoded(wire, run)
                if data:
                    self.deliveries += len(sessions)
                    for session in sessions:
                        session.deliver(data, run)
            return
        encoded: dict[WireFormat, bytes] = {}
        for session in self._audience(room_id, run[0]):
            wire = session.wire
            if wire not in encoded:
                encoded[wire] = _encoded(wire, run)
            if encoded[wire]:
                self.deliveries += 1
                session.deliver(encoded[wire], run)

    def _audience(self, room_id: RoomId, event: Event) -> list[S]:
        if event.audience is Audience.OTHERS:
            by_wire = self._by_room.get(room_id, {})
            return [each for sessions in by_wire.values() for each in sessions if each.user_id != event.addressee]
        sessions = self._by_user.get(event.addressee, {})
        if event.audience is Audience.USER_IN_ROOM:
            return [each for each in sessions if room_id in self._rooms_of[each]]
        return list(sessions)

    def _end_subscriptions(self, room_id: RoomId, event: MemberRemoved | RoomDeleted) -> None:
        self.endings += 1
        if isinstance(event, MemberRemoved):
            for session in self.sessions_of(event.user_id):
                heard = self.is_subscribed(session, room_id)
                self.unsubscribe(session, room_id)
                if heard and event.room_kind is RoomKind.DIRECT:
                    self._left.setdefault(session, set()).add(room_id)
        else:
            for sessions in tuple(self._by_room.get(room_id, {}).values()):
                for session in tuple(sessions):
                    self.unsubscribe(session, room_id)

    def _forget_left(self, session: S, room_id: RoomId) -> None:
        if session in self._left:
            self._left[session].discard(room_id)
            if not self._left[session]:
                del self._left[session]

    def _drop(self, session: S, room_id: RoomId) -> None:
        by_wire = self._by_room.get(room_id)
        if by_wire is None:
            return
        sessions = by_wire.get(session.wire)
        if sessions is not None:
            sessions.pop(session, None)
            if not sessions:
                del by_wire[session.wire]
                if not by_wire:
                    del self._by_room[room_id]


def _encoded(wire: WireFormat, events: Sequence[Event]) -> bytes:
    """What a format makes of a run of events."""
    try:
        return b"".join(map(wire.encode, events))
    except Exception:
        # A bug in one format must cost neither the other formats' sessions the events, nor the room its turn, nor leave
        # somebody subscribed who was removed.
        log.exception("events could not be encoded", wire=type(wire).__name__)
        return b""


def _same_audience(one: Event, other: Event) -> bool:
    if one.audience is not other.audience:
        return False
    return one.audience is Audience.ROOM or one.addressee == other.addressee
