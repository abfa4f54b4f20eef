"""Connections to a listener of a front's own: in the lobby until they are somebody's, counted, and each on its own.

What a front's function raises costs its connection alone, and is counted. Whoever has not logged in by the end of the
time for that is cut off, and so are all of them at shutdown: nobody waits for who may never log in.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import structlog
import trio

from chinwag.engine.connections.transport import LOST
from chinwag.engine.engine import Engine
from chinwag.engine.model.errors import EngineError
from chinwag.http.api.listeners import FrontListener
from chinwag.http.api.rate_limits import address_key
from chinwag.http.carriers.lobby import Lobby, Place
from chinwag.http.listener.bad_clients import BadClients
from chinwag.http.listener.listener import ListenerConfig
from chinwag.http.listener.streams import (
    LINGER_BYTES,
    LINGER_S,
    AcceptedStream,
    GuardedStream,
    SecureStream,
    peer_address,
    reset,
)
from chinwag.http.operations.metrics import Reading

log = structlog.get_logger("chinwag.http")


class _Connection:
    """See `FrontConnection`."""

    def __init__(self, owner: "FrontConnections", stream: GuardedStream, place: Place, address: str) -> None:
        self.stream = stream
        self.source = place.source
        self.place = place
        self._address = address
        self._owner = owner

    def logged_in(self) -> None:
        """See `FrontConnection`."""
        self.place.leave()

    def broke_rules(self, reason: str) -> None:
        """See `FrontConnection`."""
        self._owner.bad_clients.report(reason, client=self._address, protocol=self._owner.listener.title)


class FrontConnections:
    """Serves what was accepted at one listener. A `ConnectionServer`, and a `StatsSource`."""

    def __init__(
        self,
        listener: FrontListener,
        engine: Engine,
        lobby: Lobby,
        *,
        config: ListenerConfig | None = None,
        bad_clients: BadClients | None = None,
    ) -> None:
        self.listener = listener
        self.bad_clients = bad_clients or BadClients()
        self._engine = engine
        self._lobby = lobby
        self._send_timeout_s = (config or ListenerConfig()).send_timeout_s
        self._open = 0
        self._accepted = 0
        self._failed = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """See `ConnectionServer`. There is nothing to be kept running."""
        yield

    async def serve_connection(self, stream: AcceptedStream) -> None:
        """See `ConnectionServer`."""
        assert not isinstance(stream, SecureStream), "a front's listener is plain"
        address = peer_address(stream)
        try:
            place = self._lobby.enter(address_key(address), self.listener.log_in_s)
        except EngineError:
            reset(stream)
            return
        connection = _Connection(self, GuardedStream(stream, send_timeout_s=self._send_timeout_s), place, address)
        self._accepted += 1
        self._open += 1
        end = "left"
        try:
            with place.scope, connection.stream.scope:
                await self._serve(connection)
                await _finish(connection.stream)
            if place.scope.cancelled_caught and not self._lobby.closed:
                end = "late"
        finally:
            self._open -= 1
            self._lobby.count("admitted" if place.left else end)
            place.leave()

    async def begin_shutdown(self) -> None:
        """See `ConnectionServer`. The lobby lets nobody in; the others are told by the end of their sessions."""

    def readings(self) -> Iterator[Reading]:
        """See `StatsSource`."""
        counts = (
            ("connections", "Connections open at a front's own listener", "gauge", self._open),
            ("accepted", "Connections served at a front's own listener", "counter", self._accepted),
            ("failed", "Connections ended there by an error", "counter", self._failed),
        )
        for name, text, kind, value in counts:
            labels = {"listener": self.listener.name}
            yield Reading(name=f"listener_{name}", help=text, kind=kind, value=value, labels=labels)  # type: ignore[arg-type]

    async def _serve(self, connection: _Connection) -> None:
        try:
            await self.listener.serve(self._engine, connection)
        except* LOST:
            log.debug("peer closed", listener=self.listener.name)
        except* (Exception, SystemExit):
            self._failed += 1
            log.exception("connection ended by an error", listener=self.listener.name)


async def _finish(stream: GuardedStream) -> None:
    """Close in order: what was written last is to arrive, whatever the client still sends."""
    with trio.move_on_after(LINGER_S):
        try:
            await stream.finish(LINGER_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # the client was faster
