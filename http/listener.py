"""The listener: accepts connections, reads the first request head, and decides who serves the connection.

A WebSocket upgrade goes to the gateway (`on_upgrade`) with the raw socket; everything else to hypercorn, which keeps
the connection to its end, keep-alive included. Nothing a client does on one connection ends another, or delays the
server's end for longer than the grace period.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import structlog
import trio
from hypercorn.typing import ASGIFramework

from chinwag.http.head import BadRequest, RequestHead
from chinwag.http.hypercorn_adapter import HypercornAdapter, hypercorn_config
from chinwag.http.streams import DEFAULT_SEND_TIMEOUT_S, GuardedStream, ReceivedHead, read_head, refuse, reset
from chinwag.http.websocket import wants_websocket

log = structlog.get_logger("chinwag.http")

OnUpgrade: TypeAlias = Callable[[RequestHead, trio.SocketStream, bytes], Awaitable[None]]
"""Answers an opening handshake (`accept_upgrade`, `refuse`) and runs the connection until it ends.

The bytes are what the client sent after the head. The stream is closed when this returns, if it is not already.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerConfig:
    """Limits of one listener."""

    max_head_bytes: int = 32 * 1024
    """Of a request head, first or later; beyond it the answer is 431."""
    head_timeout_s: float = 10.0
    """For a connection's first request head to arrive; beyond it the answer is 408."""
    send_timeout_s: float = DEFAULT_SEND_TIMEOUT_S
    """For a client to take a step of a response (`streams.SEND_STEP_BYTES`); beyond it the connection is dropped."""
    keep_alive_timeout_s: float = 30.0
    """For a next request on a connection; beyond it the connection is closed."""
    startup_timeout_s: float = 60.0
    """For the application's start."""
    grace_s: float = 5.0
    """For requests and WebSockets to end after `shutdown` was set; what remains is cut off."""
    app_shutdown_timeout_s: float = 10.0
    """For the application's own stop, after the last connection."""


async def serve(
    listeners: Sequence[trio.abc.Listener[trio.SocketStream]],
    *,
    app: ASGIFramework,
    on_upgrade: OnUpgrade,
    shutdown: trio.Event,
    config: ListenerConfig | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `shutdown` is set, then return within the grace period and the application's shutdown timeout.

    Takes over the listeners and closes them. Reports `started` once the application has started and connections are
    accepted. On `shutdown`: no more connections; those that are idle or have sent no whole head are closed; requests
    and WebSockets under way may end within the grace period, then their sockets are closed and their tasks cancelled.
    """
    settings = config or ListenerConfig()
    adapter = HypercornAdapter(
        app,
        hypercorn_config(
            max_head_bytes=settings.max_head_bytes,
            keep_alive_timeout_s=settings.keep_alive_timeout_s,
            startup_timeout_s=settings.startup_timeout_s,
            shutdown_timeout_s=settings.app_shutdown_timeout_s,
        ),
    )
    connections = _Connections(adapter=adapter, on_upgrade=on_upgrade, config=settings)
    try:
        async with adapter.lifespan(), trio.open_nursery() as handlers:
            try:
                async with trio.open_nursery() as accepting:
                    # Its answer to running out of file descriptors is to log, wait a moment and accept again.
                    accepting.start_soon(
                        partial(trio.serve_listeners, connections.handle, list(listeners), handler_nursery=handlers)
                    )
                    task_status.started()
                    await shutdown.wait()
                    accepting.cancel_scope.cancel()
                connections.stop_reading_heads()
                await adapter.begin_shutdown()
                with trio.move_on_after(settings.grace_s):
                    await connections.wait_until_none()
            finally:
                # First the sockets: hypercorn sends in a shield, where only an error reaches it.
                connections.abort()
                handlers.cancel_scope.cancel()
    finally:
        for listener in listeners:  # also those that the application's start kept from being served
            await trio.aclose_forcefully(listener)


@dataclass(slots=True, kw_only=True)
class _Connections:
    """The connections that are open, and what each of them needs to be ended."""

    adapter: HypercornAdapter
    on_upgrade: OnUpgrade
    config: ListenerConfig
    streams: set[trio.SocketStream] = field(default_factory=set)
    reading_heads: set[trio.CancelScope] = field(default_factory=set)
    none_left: trio.Event = field(default_factory=trio.Event)
    """Set when the last connection ends after `stop_reading_heads`."""
    stopping: bool = False

    async def handle(self, stream: trio.SocketStream) -> None:
        """Run one connection. Whatever goes wrong stays here; a bug is logged."""
        self.streams.add(stream)
        try:
            await self._run(stream)
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

    async def _run(self, stream: trio.SocketStream) -> None:
        try:
            received = await self._read_head(stream)
        except BadRequest as error:
            await refuse(stream, error.status, error.message)
            return
        if received is None:
            return
        if wants_websocket(received.head):
            await self.on_upgrade(received.head, stream, received.leftover)
        else:
            guarded = GuardedStream(stream, prefix=received.raw, send_timeout_s=self.config.send_timeout_s)
            await self.adapter.serve_connection(guarded)

    async def _read_head(self, stream: trio.SocketStream) -> ReceivedHead | None:
        if self.stopping:
            return None
        with trio.CancelScope() as scope:
            self.reading_heads.add(scope)
            try:
                return await read_head(
                    stream, max_bytes=self.config.max_head_bytes, timeout_s=self.config.head_timeout_s
                )
            finally:
                self.reading_heads.discard(scope)
        return None

    def stop_reading_heads(self) -> None:
        """Let go of connections on which no request has begun to be served."""
        self.stopping = True
        for scope in self.reading_heads:
            scope.cancel()
        if not self.streams:
            self.none_left.set()

    async def wait_until_none(self) -> None:
        """Return when the last connection has ended, after `stop_reading_heads`."""
        await self.none_left.wait()

    def abort(self) -> None:
        """Close every socket at once, dropping what was not delivered."""
        for stream in self.streams:
            reset(stream)
