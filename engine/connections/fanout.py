"""Fan-out: who hears of what, encoded once per dialect, framed once per wire and written once per turn.

A plain registry, not an actor: subscribing a user with a thousand rooms wakes nobody. It is used only from the event
loop's thread, and nothing in it waits. Events are published in commit order over all rooms, so on every connection
message ids rise strictly.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Set
from typing import Generic, Protocol, TypeVar, cast

import structlog

from chinwag.engine.connections.wires import Bodies, Wire
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


class Subscriber(Protocol):
    """A session, as the fan-out sees it. `deliver` never waits and never changes the registry.

    One that `follows` hears of every room that its user joins, from that moment on.
    """

    user_id: UserId
    wire: Wire
    follows: bool

    def deliver(self, data: bytes, events: list[Event]) -> None:
        """Write `data`, or keep `events` for later while missed messages are still being replayed."""
        ...

    def deliver_bodies(self, bodies: list[bytes], events: list[Event]) -> None:
        """The same where what this session gets differs from what others with its wire get: it frames the bodies, one
        for each of the events and b"" for none, by itself."""
        ...


_ROOM = Audience.ROOM  # in Python 3.11 to look a member up in its class takes 0.2 µs

S = TypeVar("S", bound=Subscriber)


class Fanout(Generic[S]):
    """Sessions by room and wire, and by user."""

    def __init__(self, *, published: int = 0) -> None:
        """`published`: the highest id that was in the store at the start."""
        self.published = published
        """The newest message's id that was published. Ids rise: what is above it has still to be delivered, also when
        a reader of the store sees it already."""
        self._by_room: dict[RoomId, dict[Wire, dict[S, None]]] = {}
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
        if type(events) is list and len(events) == 1 and type(events[0]) is MessagePosted:  # what most turns are
            self.published = events[0].message.id
            self._deliver(room_id, events)
            return
        run: list[Event] = []
        personal = False
        for event in events:
            if type(event) is MessagePosted:
                self.published = event.message.id
                if not run or run[0].audience is _ROOM:
                    run.append(event)
                    continue
            if run and not _same_audience(run[0], event):
                self._deliver(room_id, run, personal=personal)
                run, personal = [], False
            run.append(event)
            personal = personal or event.per_recipient
            if type(event) is RoomJoined:
                for session in self._by_user.get(event.user_id, ()):
                    if session.follows or event.room_id in self._left.get(session, ()):
                        self.subscribe(session, event.room_id)
            elif isinstance(event, MemberRemoved | RoomDeleted):
                # What follows in this turn is not for who has just left.
                self._deliver(room_id, run, personal=personal)
                run, personal = [], False
                self._end_subscriptions(room_id, event)
        if run:
            self._deliver(room_id, run, personal=personal)

    def is_heard(self, kind: type[UserEvent]) -> bool:
        """See `Publisher`."""
        return self._hearing[kind] > 0

    def publish_to(self, user_ids: Set[UserId], event: UserEvent) -> None:
        """See `Publisher`."""
        self.events += 1
        there = user_ids if len(user_ids) <= len(self._by_user) else self._by_user.keys() & user_ids
        kind = type(event)
        sessions = [
            session
            for user_id in there
            for session in self._by_user.get(user_id, ())
            if kind in session.wire.user_events
        ]
        told = [cast("Event", event)]  # every class of them is one of the events
        self._tell(sessions, told, personal=event.per_recipient)

    def _deliver(self, room_id: RoomId, run: list[Event], *, personal: bool = False) -> None:
        """One write per session for events that all have the same audience. `personal`: some are `per_recipient`."""
        self.events += len(run)
        if run[0].audience is not _ROOM:
            self._tell(self._audience(room_id, run[0]), run, personal=personal)
            return
        by_wire = self._by_room.get(room_id)
        if by_wire is None:
            return
        # With one wire in a room, which is usual, nothing is made but the frames.
        bodies = Bodies(run) if personal or len(by_wire) > 1 else None
        for wire, sessions in by_wire.items():
            if wire.per_session or (personal and wire.has_personal(run)):
                self._tell_each(wire, sessions, bodies or Bodies(run))
                continue
            try:
                data = wire.frames(run) if bodies is None else bodies.frames(wire)
            except Exception:  # noqa: BLE001 - logged
                _log_failed(wire)
                continue
            if data:
                self.deliveries += len(sessions)
                for session in sessions:
                    session.deliver(data, run)

    def _tell(self, sessions: Collection[S], run: list[Event], *, personal: bool) -> None:
        """One write for each of these sessions, whatever their wires."""
        if not sessions:
            return
        bodies = Bodies(run)
        framed: dict[Wire, bytes] = {}
        for session in sessions:
            wire = session.wire
            if wire.per_session or (personal and wire.has_personal(run)):
                self._tell_each(wire, (session,), bodies)
                continue
            if wire not in framed:
                try:
                    framed[wire] = bodies.frames(wire)
                except Exception:  # noqa: BLE001 - logged
                    _log_failed(wire)
                    framed[wire] = b""
            if framed[wire]:
                self.deliveries += 1
                session.deliver(framed[wire], run)

    def _tell_each(self, wire: Wire, sessions: Iterable[S], bodies: Bodies) -> None:
        """One write for each session that gets other frames than the others with its wire."""
        run = bodies.events
        for session in sessions:
            try:
                mine = bodies.for_user(wire, session.user_id)
            except Exception:  # noqa: BLE001 - logged
                _log_failed(wire)  # once, and not for each of perhaps thousands
                return
            if any(mine):
                self.deliveries += 1
                session.deliver_bodies(mine, run)

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


def _log_failed(wire: Wire) -> None:
    """A bug in one dialect must cost neither the other dialects' sessions the events, nor the room its turn, nor leave
    somebody subscribed who was removed."""
    log.exception("events could not be encoded", dialect=type(wire.dialect).__name__)


def _same_audience(one: Event, other: Event) -> bool:
    if one.audience is not other.audience:
        return False
    return one.audience is Audience.ROOM or one.addressee == other.addressee
