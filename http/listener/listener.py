"""The listener: accepts connections, hands each to a server, and ends them all in good time.

Nothing a client does on one connection ends another, or delays the server's end for longer than the grace period.
"""

from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple, Protocol

import structlog
import trio

from chinwag.http.listener.streams import DEFAULT_SEND_TIMEOUT_S, AcceptedStream, reset

log = structlog.get_logger("chinwag.http")

BACKLOG: Final = 4096
"""Connections that may wait to be accepted: a reconnect of everybody at once is the worst moment to refuse some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerConfig:
    """Limits of one listener and its connections."""

    max_head_bytes: int = 32 * 1024
    """Of a request line and header fields; beyond it the answer is 431."""
    max_body_bytes: int = 1024 * 1024
    """Of a body; beyond it the answer is 413."""
    max_message_bytes: int = 1024 * 1024
    """Of a WebSocket message from a client; beyond it the connection is closed with 1009."""
    head_timeout_s: float = 10.0
    """For a head to arrive, from its first byte; a connection's first, from the beginning. Then the answer is 408."""
    body_timeout_s: float = 30.0
    """For a body to arrive, from the end of its head; then the answer is 408."""
    send_timeout_s: float = DEFAULT_SEND_TIMEOUT_S
    """For a client to take something of its answer; then the connection is reset."""
    keep_alive_timeout_s: float = 75.0
    """For a next request; then the connection is closed."""
    ping_interval_s: float = 20.0
    """Between hypercorn's pings on a WebSocket; the gateway's are the session's (`SessionLimits`)."""
    startup_timeout_s: float = 60.0
    """For an ASGI application's start."""
    grace_s: float = 5.0
    """For requests and WebSockets to end after `shutdown` was set; what remains is cut off."""
    app_shutdown_timeout_s: float = 10.0
    """For an ASGI application's own stop, after the last connection."""


class Ports(NamedTuple):
    """What a server listens on: the port of HTTP, and host and port of each listener of a front's own, by its name."""

    http: int
    own: tuple[tuple[str, str, int], ...] = ()


class CannotListen(Exception):
    """A port cannot be opened. The message says which and why, in one line."""


async def open_listeners(host: str, port: int) -> list[trio.SocketListener]:
    """Listen at every address of a host. Raises `CannotListen`."""
    try:
        return await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
    except OSError as error:
        why = "unknown host" if isinstance(error, trio.socket.gaierror) else error.strerror or error
        raise CannotListen(f"cannot listen on {shown_address(host, port)}: {why}") from error


def shown_address(host: str, port: int) -> str:
    """HOST:PORT, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class ConnectionServer(Protocol):
    """What serves accepted connections: the lane, hypercorn, or with TLS whoever speaks what the client asks for."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Serve within the block."""
        ...

    async def serve_connection(self, stream: AcceptedStream) -> Awaitable[None] | None:
        """Serve one connection until it ends. What this returns, if anything, is still to be awaited.

        So a connection that becomes something else (a WebSocket) keeps nothing of what it was while it is that.
        """
        ...

    async def begin_shutdown(self) -> None:
        """Close connections on which nothing is under way; let the others end what is."""
        ...


async def serve(
    listeners: Sequence[trio.abc.Listener[trio.SocketStream]],
    server: ConnectionServer,
    *,
    shutdown: trio.Event,
    config: ListenerConfig | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `shutdown` is set, then return within the grace period and the server's own time to stop.

    Takes over the listeners and closes them. Reports `started` once connections are accepted. On `shutdown`: no more
    connections; those that are idle or have sent no whole head are closed; requests and WebSockets under way may end
    within the grace period, then their sockets are closed and their tasks cancelled.
    """
    grace_s = (config or ListenerConfig()).grace_s
    connections = _Connections(server)
    try:
        async with server.running(), trio.open_nursery() as handlers:
            try:
                async with trio.open_nursery() as accepting:
                    # Its answer to running out of file descriptors is to log, wait a moment and accept again.
                    accepting.start_soon(
                        partial(trio.serve_listeners, connections.handle, list(listeners), handler_nursery=handlers)
                    )
                    task_status.started()
                    await shutdown.wait()
                    accepting.cancel_scope.cancel()
                connections.stopping = True
                await server.begin_shutdown()
                with trio.move_on_after(grace_s):
                    await connections.wait_until_none()
            finally:
                # First the sockets: hypercorn sends in a shield, where only an error reaches it.
                connections.abort()
                handlers.cancel_scope.cancel()
    finally:
        for listener in listeners:  # also those that the server's start kept from being served
            await trio.aclose_forcefully(listener)


@dataclass(slots=True)
class _Connections:
    """The connections that are open."""

    server: ConnectionServer
    streams: set[trio.SocketStream] = field(default_factory=set)
    none_left: trio.Event = field(default_factory=trio.Event)
    """Set when the last connection ends after `stopping` was set."""
    stopping: bool = False

    async def handle(self, stream: trio.SocketStream) -> None:
        """Run one connection. Whatever goes wrong stays here; a bug is logged."""
        self.streams.add(stream)
        try:
            rest = await self.server.serve_connection(stream)
            if rest is not None:
                await rest
        except Exception:
            log.exception("connection ended by an error")
        except BaseExceptionGroup as group:
            # Cancellation and a bug on the way out: only the former is for the nursery.
            cancelled, bugs = group.split(trio.Cancelled)
            if bugs is not None:
                log.error("connection ended by an error", exc_info=bugs)
            if cancelled is not None:
                raise cancelled from None
        finally:
            self.streams.discard(stream)
            stream.socket.close()
            if self.stopping and not self.streams:
                self.none_left.set()

    async def wait_until_none(self) -> None:
        """Return when the last connection has ended, after `stopping` was set."""
        if self.streams:
            await self.none_left.wait()

    def abort(self) -> None:
        """Close every socket at once, dropping what was not delivered."""
        for stream in self.streams:
            reset(stream)
