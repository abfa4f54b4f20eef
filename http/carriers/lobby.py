"""The lobby: connections that are not yet anybody's, because their clients say who they are in what they send first.

Nobody has authenticated them, so they are bounded: how many there are, in all and from one source, and for how long.
They have no session. Pings are answered and rules kept meanwhile, and what came after the first message is handed on.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import trio

from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.connections.transport import LOST, ConnectionLost, Transport
from chinwag.engine.model.errors import ActorStopped, Overloaded, TooManyConnections
from chinwag.http.carriers.websocket import Close, Incoming, Opcode, Ping, Pong, ProtocolFailure, frame
from chinwag.http.operations.metrics import Reading

FINISH_S: Final = 1.0
"""How long one that was turned away may take to close its side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LobbyLimits:
    """Bounds of connections that have not logged in. What comes after is bounded by the sessions."""

    most: int = 1_000
    """Beyond it a new one is refused."""
    most_per_source: int | None = 50
    """The same for those from one address; None: any number."""
    patience_s: float = 10.0
    """How long a client may take to say who it is, where nothing else is said."""


class VisitorTransport(Transport, Protocol):
    """A `Transport` as the lobby reads it."""

    async def receive(self) -> Sequence[Incoming]:
        """Wait for bytes, and return what they complete. Raises `ConnectionLost`, and `ProtocolFailure`."""
        ...

    async def finish(self, timeout_s: float) -> None:
        """After the last was said: wait for the peer's end, at most this long, and close."""
        ...


class First(NamedTuple):
    """What a client said first, and what it said after that in the same breath."""

    message: str | bytes
    rest: Sequence[Incoming]
    failure: ProtocolFailure | None


class Place:
    """One connection's place in the lobby, from before its handshake is answered. Somebody has to `leave` it."""

    __slots__ = ("_lobby", "scope", "source")

    def __init__(self, lobby: "Lobby", source: str, patience_s: float) -> None:
        self._lobby: Lobby | None = lobby
        self.source = source
        self.scope = trio.CancelScope(deadline=trio.current_time() + patience_s)
        """To wait in: it is cancelled when the time is over, and when the lobby is emptied."""

    @property
    def left(self) -> bool:
        """Whether it was left already."""
        return self._lobby is None

    def leave(self) -> None:
        """It is somebody's connection now, which may take as long as it likes, or has ended. Again: does nothing."""
        lobby, self._lobby = self._lobby, None
        if lobby is not None:
            lobby.forget(self)
            if not self.scope.cancel_called:
                self.scope.deadline = math.inf


class Lobby:
    """All connections of one server that are not yet anybody's. A `StatsSource`."""

    def __init__(self, limits: LobbyLimits | None = None) -> None:
        self.closed = False
        """Whether the server shuts down."""
        self._limits = limits or LobbyLimits()
        self._places: set[Place] = set()
        self._by_source: Counter[str] = Counter()
        self._ends: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._places)

    def enter(self, source: str, patience_s: float | None = None) -> Place:
        """A place for one more, for `patience_s` (None: as the limits say).

        Raises `Overloaded`, `TooManyConnections` and, during the shutdown, `ActorStopped`.
        """
        limits = self._limits
        if self.closed:
            raise ActorStopped("the server is shutting down")
        if source and limits.most_per_source is not None and self._by_source[source] >= limits.most_per_source:
            self.count("refused")
            raise TooManyConnections("too many connections from the same address that have not logged in")
        if len(self._places) >= limits.most:
            self.count("refused")
            raise Overloaded("too many connections that have not logged in")
        place = Place(self, source, limits.patience_s if patience_s is None else patience_s)
        self._places.add(place)
        self._by_source[source] += 1
        return place

    def forget(self, place: Place) -> None:
        """See `Place.leave`."""
        self._places.discard(place)
        self._by_source[place.source] -= 1
        if not self._by_source[place.source]:
            del self._by_source[place.source]

    def close(self) -> None:
        """Let nobody in any more, and tell those who wait that the server shuts down."""
        self.closed = True
        for place in tuple(self._places):
            place.scope.cancel()

    def count(self, end: str) -> None:
        """How it ended for one: "refused" at the door, "late", "turned_away", "left", "admitted"."""
        self._ends[end] += 1

    def readings(self) -> Iterator[Reading]:
        """See `StatsSource`."""
        yield Reading(
            name="lobby_connections", help="Connections that have not logged in", kind="gauge", value=len(self)
        )
        for end, count in self._ends.items():
            yield Reading(
                name="lobby_ends",
                help="Connections that were to log in by what they say first, by how that ended",
                kind="counter",
                value=count,
                labels={"end": end},
            )


async def receive_first(transport: VisitorTransport) -> First:
    """Wait for a client's first message. Raises `ConnectionLost` when it leaves before, and `ProtocolFailure`."""
    while True:
        items: Sequence[Incoming]
        failure: ProtocolFailure | None = None
        try:
            items = await transport.receive()
        except ProtocolFailure as broken:
            items, failure = broken.before, broken
        for index, item in enumerate(items):
            match item:
                case str() | bytes():
                    return First(item, items[index + 1 :], failure)
                case Ping(payload=payload):
                    _send(transport, frame(Opcode.PONG, payload))
                case Pong():
                    continue
                case Close():
                    await turn_away(transport, item.answer())
                    raise ConnectionLost
        if failure is not None:
            raise failure


async def turn_away(transport: VisitorTransport, last: bytes) -> None:
    """Say the last words to somebody who has no session, and end the connection. Bounded in time; raises nothing."""
    with trio.CancelScope(shield=True):
        try:
            _send(transport, last)
            await transport.finish(FINISH_S)
        except LOST:
            return  # it was faster
        finally:
            transport.abort()


def goodbye(transport: Transport) -> bytes:
    """What those are told who wait when the server shuts down."""
    return transport.goodbye(CloseReason.RESTART)


def _send(transport: Transport, data: bytes) -> None:
    """Write a few bytes. Who does not take so much is gone: there is no outbox for those who are nobody."""
    if transport.try_send(data) < len(data):
        raise ConnectionLost
