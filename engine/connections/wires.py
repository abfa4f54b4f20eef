"""What is said, and how it travels: a dialect makes the bodies of events, a carrier frames them, a wire is the pair.

A dialect is pure and knows no connection. It is asked once for each event, whoever is connected; but for an event whose
body differs by recipient it is asked once for each user who is. A carrier frames a body, once for all connections where
the frame is the same for all.
"""

from collections.abc import Collection, Sequence
from typing import Final, Protocol, runtime_checkable

import structlog

from chinwag.engine.connections.transport import Transport
from chinwag.engine.model.events import Event, UserEvent
from chinwag.engine.model.ids import UserId

log = structlog.get_logger("chinwag.engine")


class Dialect(Protocol):
    """How one API says things. Pure. Dialects are compared by identity: make one object and share it."""

    @property
    def user_events(self) -> Collection[type[UserEvent]]:
        """Which of the events that are published to people (`publish_to`) it has a word for. Always the same."""
        return ()

    def encode(self, event: Event) -> bytes:
        """The event's body, without any framing; b"" when this dialect has no such event."""
        ...


@runtime_checkable
class PersonalDialect(Dialect, Protocol):
    """A dialect that has events whose bodies differ by recipient (`per_recipient`)."""

    personal_events: frozenset[type]
    """The classes of those that it has. For any other nobody's body is made."""

    def encode_for(self, event: Event, user_id: UserId) -> bytes:
        """The body of such an event for one user, from what the event holds; b"" when there is nothing to tell them."""
        ...


class Carrier(Protocol):
    """How one kind of connection frames bodies. One object is shared by all of its connections."""

    per_session: bool = False
    """Whether frames differ by session, as where they hold a number or a topic of its own."""

    def frame(self, body: bytes, event: Event | None, transport: Transport | None) -> bytes:
        """A body, never empty, ready to be written. `event` is what it says; None for what no event says (a greeting,
        an answer). `transport` is the session's where frames differ by session, else it may be None."""
        ...


class Lines:
    """Bodies without line ends, one to a line."""

    per_session = False

    def frame(self, body: bytes, event: Event | None, transport: Transport | None) -> bytes:  # noqa: ARG002
        """See `Carrier`."""
        return body + b"\n"


LINES: Final = Lines()


class Wire:
    """A dialect over a carrier. Compared by identity: make one for each pair, and share it."""

    __slots__ = ("carrier", "dialect", "encode", "frame", "per_session", "personal", "personal_events", "user_events")

    def __init__(self, dialect: Dialect, carrier: Carrier) -> None:
        self.dialect = dialect
        self.carrier = carrier
        self.encode = dialect.encode
        self.frame = carrier.frame
        self.per_session = carrier.per_session
        self.user_events = dialect.user_events
        self.personal = dialect if isinstance(dialect, PersonalDialect) else None
        self.personal_events = frozenset[type]() if self.personal is None else self.personal.personal_events

    def body(self, event: Event, user_id: UserId) -> bytes:
        """What the dialect says of an event to a user."""
        if not event.per_recipient:
            return self.encode(event)
        if self.personal is None or type(event) not in self.personal_events:
            return b""
        return self.personal.encode_for(event, user_id)

    def has_personal(self, events: Sequence[Event]) -> bool:
        """Whether the dialect has any of these events for each user in words of their own."""
        return any(event.per_recipient and type(event) in self.personal_events for event in events)

    def frames(self, events: Sequence[Event]) -> bytes:
        """What all connections with this wire are told by a run of events, of which none is `per_recipient`. For
        carriers whose frames are the same for all."""
        encode, frame = self.encode, self.frame
        if len(events) == 1:
            event = events[0]
            body = encode(event)
            return frame(body, event, None) if body else b""
        return b"".join([frame(body, event, None) for event in events if (body := encode(event))])


class Bodies:
    """One run of events in the words of each dialect that is asked for them: made once for each."""

    __slots__ = ("_by_dialect", "_by_user", "events")

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self._by_dialect: dict[Dialect, list[bytes]] = {}
        self._by_user: dict[tuple[Dialect, UserId], list[bytes]] | None = None

    def of(self, wire: Wire) -> list[bytes]:
        """A body for each event, b"" where there is none to tell, or it is each user's own."""
        bodies = self._by_dialect.get(wire.dialect)
        if bodies is None:
            bodies = [b"" if event.per_recipient else wire.encode(event) for event in self.events]
            self._by_dialect[wire.dialect] = bodies
        return bodies

    def for_user(self, wire: Wire, user_id: UserId) -> list[bytes]:
        """A body for each event, as this user is told of it."""
        if self._by_user is None:
            self._by_user = {}
        key = (wire.dialect, user_id)
        bodies = self._by_user.get(key)
        if bodies is None:
            bodies = [
                wire.body(event, user_id) if event.per_recipient else shared
                for event, shared in zip(self.events, self.of(wire), strict=True)
            ]
            self._by_user[key] = bodies
        return bodies

    def frames(self, wire: Wire) -> bytes:
        """`Wire.frames`, from bodies that other carriers of the dialect share."""
        frame = wire.frame
        return b"".join(
            [frame(body, event, None) for body, event in zip(self.of(wire), self.events, strict=True) if body]
        )
