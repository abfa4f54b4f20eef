"""Connections to a listener of a front's own: bounded until they are somebody's, counted, and each on its own.

What a front's function raises costs its connection alone, and is counted. Whoever has not logged in by the end of the
time for that is cut off, and so are all of them at shutdown: nobody waits for a visitor.
"""

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
import trio

from chinwag.engine.connections.transport import LOST
from chinwag.engine.engine import Engine
from chinwag.http.api.listeners import FrontListener
from chinwag.http.api.rate_limits import address_key
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


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitorLimits:
    """Bounds of connections that have not logged in, for each listener. What comes after is bounded by the sessions."""

    log_in_s: float = 30.0
    """For a log-in, from the beginning; then the connection is closed."""
    most: int = 1000
    """At a time. Beyond it a connection is closed as soon as it was accepted."""
    most_per_source: int | None = 50
    """Of them from one source; None: any number."""


class _Connection:
    """See `FrontConnection`."""

    def __init__(self, owner: "FrontConnections", stream: GuardedStream, address: str, deadline: float) -> None:
        self.stream = stream
        self.source = address_key(address)
        self.scope = trio.CancelScope(deadline=deadline)
        """Ends it when it is late to log in."""
        self._address = address
        self._owner = owner

    def logged_in(self) -> None:
        """See `FrontConnection`."""
        self._owner.forget_visitor(self)
        if not self.scope.cancel_called:
            self.scope.deadline = math.inf

    def broke_rules(self, reason: str) -> None:
        """See `FrontConnection`."""
        self._owner.bad_clients.report(reason, client=self._address, protocol=self._owner.listener.title)


class FrontConnections:
    """Serves what was accepted at one listener. A `ConnectionServer`, and a `StatsSource`."""

    def __init__(
        self,
        listener: FrontListener,
        engine: Engine,
        *,
        limits: VisitorLimits | None = None,
        config: ListenerConfig | None = None,
        bad_clients: BadClients | None = None,
    ) -> None:
        self.listener = listener
        self.bad_clients = bad_clients or BadClients()
        self._engine = engine
        self._limits = limits or VisitorLimits()
        self._send_timeout_s = (config or ListenerConfig()).send_timeout_s
        self._visitors: set[_Connection] = set()
        self._visitors_from: dict[str, int] = {}
        self._stopping = False
        self._open = 0
        self._accepted = 0
        self._refused = 0
        self._late = 0
        self._failed = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """See `ConnectionServer`. There is nothing to be kept running."""
        yield

    async def serve_connection(self, stream: AcceptedStream) -> None:
        """See `ConnectionServer`."""
        assert not isinstance(stream, SecureStream), "a front's listener is plain"
        connection = _Connection(
            self,
            GuardedStream(stream, send_timeout_s=self._send_timeout_s),
            peer_address(stream),
            trio.current_time() + self._limits.log_in_s,
        )
        if self._stopping or self._is_crowded(connection.source):
            self._refused += 1
            reset(stream)
            return
        self._accepted += 1
        self._open += 1
        self._visitors.add(connection)
        self._visitors_from[connection.source] = self._visitors_from.get(connection.source, 0) + 1
        try:
            with connection.scope, connection.stream.scope:
                await self._serve(connection)
                await _finish(connection.stream)
            if connection.scope.cancelled_caught and not self._stopping:
                self._late += 1
        finally:
            self._open -= 1
            self.forget_visitor(connection)

    async def begin_shutdown(self) -> None:
        """See `ConnectionServer`: nobody logs in any more. The others are told by the end of their sessions."""
        self._stopping = True
        for connection in self._visitors:
            connection.scope.cancel()

    def forget_visitor(self, connection: _Connection) -> None:
        """It is somebody's, or over. Twice is fine."""
        if connection in self._visitors:
            self._visitors.discard(connection)
            left = self._visitors_from.pop(connection.source) - 1
            if left:
                self._visitors_from[connection.source] = left

    def readings(self) -> Iterator[Reading]:
        """See `StatsSource`."""
        counts = (
            ("connections", "Connections open at a front's own listener", "gauge", self._open),
            ("visitors", "Of them those that have not logged in", "gauge", len(self._visitors)),
            ("accepted", "Connections served at a front's own listener", "counter", self._accepted),
            ("refused", "Connections refused there, because too many had not logged in", "counter", self._refused),
            ("late", "Connections closed there, because they did not log in in time", "counter", self._late),
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
        except* Exception:
            self._failed += 1
            log.exception("connection ended by an error", listener=self.listener.name)

    def _is_crowded(self, source: str) -> bool:
        most = self._limits.most_per_source
        return len(self._visitors) >= self._limits.most or (
            most is not None and bool(source) and self._visitors_from.get(source, 0) >= most
        )


async def _finish(stream: GuardedStream) -> None:
    """Close in order: what was written last is to arrive, whatever the client still sends."""
    with trio.move_on_after(LINGER_S):
        try:
            await stream.finish(LINGER_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # the client was faster
