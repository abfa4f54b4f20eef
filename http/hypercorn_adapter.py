"""hypercorn and an ASGI application as the server of accepted connections: TLS, HTTP/2, or plain HTTP/1.1 on request.

hypercorn's own `serve` owns its sockets. Here the listener accepts them; what is left of hypercorn is its protocols,
the ASGI lifespan, and the word that the server is stopping. Its gaps are closed here, from outside its code:

- It sends in a shield without a deadline: `GuardedStream` has one.
- It sends pings but never looks for pongs: the application is told when bytes came (`state["connection"]`).
- It always offers permessage-deflate and inflates without a bound: it never sees a client's offer.
- It counts a message's characters, and goes on gathering one that is too long: `MessageLimit`.
- It waits for ever to tell an application something that has ended, and its pings and idle timers outlive a connection
  by their whole interval: `_Tasks`.
- It would speak HTTP/2 without TLS: nobody asks for that, and it is one more way in.
"""

import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from http import HTTPStatus
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any, Final, cast

import h11
import structlog
import trio
from h2.events import RequestReceived
from hypercorn.config import Config
from hypercorn.events import RawData
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import FrameTooLargeError, WebsocketBuffer, WSStream
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.task_group import TaskGroup, _handle
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import (
    AppWrapper,
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    ConnectionState,
    Scope,
)
from hypercorn.utils import LifespanTimeoutError, parse_socket_addr, wrap_app

from chinwag.http.head import BadRequest
from chinwag.http.listener import ListenerConfig
from chinwag.http.streams import GuardedStream, read_head, refuse

if TYPE_CHECKING:
    from wsproto.events import Message

log = structlog.get_logger("chinwag.http")

MAX_STREAMS: Final = 100
"""Requests at once on one HTTP/2 connection."""
MAX_RUNNING: Final = 2 * MAX_STREAMS
"""Calls of the application at once for one connection. Streams that a client resets free their place in `MAX_STREAMS`
at once, while what they asked for runs to its end: a client that opens and resets without pause is cut off here."""

_REQUESTS_PER_CONNECTION: Final = 1_000_000
"""hypercorn closes a connection after so many. Its default of a thousand would only cost busy clients a reconnect."""
_EXTENSIONS: Final = b"sec-websocket-extensions"

Alpn = str
Stream = GuardedStream | trio.SSLStream[GuardedStream]


def hypercorn_config(config: ListenerConfig) -> Config:
    """The settings that matter to a connection that is handed over; those of sockets and processes are not used."""
    settings = Config()
    settings.h11_max_incomplete_size = config.max_head_bytes
    settings.h2_max_header_list_size = config.max_head_bytes
    settings.h2_max_concurrent_streams = MAX_STREAMS
    settings.keep_alive_timeout = config.keep_alive_timeout_s
    settings.keep_alive_max_requests = _REQUESTS_PER_CONNECTION
    # A limit on silence would end server-sent events and long uploads' answers, as their clients have nothing to say.
    # A next request's head is bounded by the keep-alive timeout; a slow body by the application (BODY_TIMEOUT_S).
    settings.read_timeout = None
    settings.include_server_header = False
    settings.accesslog = None
    settings.errorlog = logging.getLogger("hypercorn.error")  # as it is: a name would get a handler of hypercorn's own
    settings.startup_timeout = config.startup_timeout_s
    settings.shutdown_timeout = config.app_shutdown_timeout_s
    settings.websocket_max_message_size = config.max_message_bytes
    settings.websocket_ping_interval = config.ping_interval_s
    return settings


class HypercornServer:
    """Serves HTTP and WebSockets with an ASGI application, within its lifespan. A `ConnectionServer`.

    The scopes' state holds "connection", a `GuardedStream`, and for a WebSocket "messages", its `MessageLimit`.
    """

    def __init__(
        self, app: ASGIFramework, config: ListenerConfig | None = None, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self._limits = config or ListenerConfig()
        self._config = hypercorn_config(self._limits)
        self._app = wrap_app(app, self._config.wsgi_max_body_size, "asgi")
        self._tls = tls
        self._context = WorkerContext(None)
        self._state: dict[str, Any] = {}
        self._opening: set[trio.CancelScope] = set()
        self._stopping = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start the application, and stop it on the way out, each within the configured time.

        Raises what hypercorn does, in a group, when the application says that it cannot start (`LifespanFailureError`)
        or does not say anything in time (`LifespanTimeoutError`). One that knows no lifespan is served without.
        """
        lifespan = Lifespan(self._app, self._config, self._state)
        ended = trio.Event()

        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            try:
                await lifespan.handle_lifespan(task_status=task_status)
            finally:
                ended.set()

        async with trio.open_nursery() as nursery:
            await nursery.start(run)
            # hypercorn's calls fail on the channel that it closes when an application returns from a lifespan it does
            # not know, instead of raising as the ASGI specification asks.
            if not lifespan.startup.is_set():
                await lifespan.wait_for_startup()
            if lifespan.shutdown.is_set():  # the application has left already, and perhaps raises: let that come first
                await ended.wait()
                await trio.lowlevel.checkpoint()
            try:
                yield
            finally:
                with trio.CancelScope(shield=True):  # bounded by the timeout, also when the server was cancelled
                    await self._stop(lifespan)
                nursery.cancel_scope.cancel()

    async def _stop(self, lifespan: Lifespan) -> None:
        if lifespan.shutdown.is_set():
            return
        try:
            await lifespan.wait_for_shutdown()
        except LifespanTimeoutError:
            log.error("application did not stop in time", timeout_s=self._config.shutdown_timeout)
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            log.debug("application has left its lifespan already")

    async def serve_connection(self, stream: trio.SocketStream) -> None:
        """Answer requests on one connection until it ends. Closes the stream."""
        guarded = GuardedStream(stream, send_timeout_s=self._limits.send_timeout_s)
        if self._stopping:
            return
        opened: tuple[Stream, Alpn, bytes] | None = None
        with trio.CancelScope() as scope:
            self._opening.add(scope)
            try:
                opened = await self._open(guarded)
            finally:
                self._opening.discard(scope)
        if opened is not None:
            with guarded.scope:
                await _HypercornConnection(self._app, self._config, self._context, self._state, guarded, *opened).run()

    async def _open(self, guarded: GuardedStream) -> tuple[Stream, Alpn, bytes] | None:
        """Shake hands and read the first head: the stream, what it speaks and what was read. None when it has ended."""
        stream: Stream = guarded
        if self._tls is not None:
            stream = trio.SSLStream(guarded, self._tls, server_side=True, https_compatible=True)
            try:
                with trio.fail_after(self._limits.head_timeout_s):
                    await stream.do_handshake()
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                return None
            if stream.selected_alpn_protocol() == "h2":
                return stream, "h2", b""
        try:
            received = await read_head(
                stream, max_bytes=self._limits.max_head_bytes, timeout_s=self._limits.head_timeout_s
            )
            if received is None:
                return None
            if received.head.http_version not in ("1.0", "1.1"):
                raise BadRequest(
                    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 is spoken here, and over TLS also HTTP/2"
                )
        except BadRequest as error:
            await refuse(stream, error.status, error.message)
            return None
        return stream, "http/1.1", received.raw

    async def begin_shutdown(self) -> None:
        """Close idle connections now, and the others after the response that is under way."""
        self._stopping = True
        for scope in self._opening:
            scope.cancel()
        await self._context.terminated.set()


class _HypercornConnection(TCPServer):
    """hypercorn's connection, on a stream whose handshake was made and whose first bytes were read."""

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        state: dict[str, Any],
        guarded: GuardedStream,
        stream: Stream,
        alpn: Alpn,
        received: bytes,
    ) -> None:
        # hypercorn's annotation names its own stream; it tells the two kinds apart by their methods.
        super().__init__(app, config, context, state, cast("trio.SSLStream[trio.SocketStream]", stream))
        self._guarded = guarded
        self._alpn = alpn
        self._received = received

    async def run(self) -> None:
        """See `TCPServer.run`, from which this differs in the protocols and tasks it makes."""
        socket = self._guarded.socket
        try:
            client = parse_socket_addr(socket.family, socket.getpeername())
            server = parse_socket_addr(socket.family, socket.getsockname())
            tasks = _Tasks(self._guarded.abort)
            kind = _Http2 if self._alpn == "h2" else _Http1
            async with tasks:
                self._task_group = tasks
                self.protocol = kind(  # type: ignore[assignment]  # it has all that is used of a ProtocolWrapper
                    self.app,
                    self.config,
                    self.context,
                    tasks,
                    ConnectionState({**self.state, "connection": self._guarded}),
                    isinstance(self.stream, trio.SSLStream),
                    client,
                    server,
                    self.protocol_send,
                )
                await self.protocol.initiate()
                await self.idle_task.restart(tasks, self._idle_timeout)
                if self._received:
                    await self.protocol.handle(RawData(self._received))
                    self._received = b""
                await self._read_data()
                # Whoever pings, or waits for the connection to be idle for too long, would hold it for all that time.
                await self.idle_task.stop()
                tasks.end_helpers()
        except OSError:
            log.debug("client left")
        finally:
            await self._close()


class MessageLimit(WebsocketBuffer):
    """Gathers one WebSocket's messages, by bytes, and keeps nothing of one that is too long."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self.on_too_long: Callable[[], None] = _nobody
        """Told, again and again, while a message that is too long goes on."""

    def extend(self, event: "Message[Any]") -> None:
        """Take a piece of a message. Raises what hypercorn answers with code 1009."""
        text = isinstance(event.data, str)
        self.length += len(event.data.encode()) if text else len(event.data)
        if self.length > self.max_length:
            self.value = None
            self.on_too_long()
            raise FrameTooLargeError
        if self.value is None:
            self.value = StringIO() if text else BytesIO()
        self.value.write(event.data)


def _nobody() -> None:
    """Nobody is to be told."""


class _Http1(H11Protocol):
    """HTTP/1.1 without offers of WebSocket extensions, and without upgrades to HTTP/2."""

    async def _create_stream(self, request: h11.Request) -> None:
        messages = MessageLimit(self.config.websocket_max_message_size)
        self.connection_state["messages"] = messages
        headers = _without_extensions(request.headers.raw_items())
        await super()._create_stream(
            h11.Request(
                method=request.method, target=request.target, headers=headers, http_version=request.http_version
            )
        )
        if isinstance(self.stream, WSStream):
            self.stream.buffer = messages

    async def _check_protocol(self, event: h11.Request) -> None:
        """Upgrade to nothing."""


class _Http2(H2Protocol):
    """HTTP/2 without offers of WebSocket extensions."""

    async def _create_stream(self, request: RequestReceived) -> None:
        messages = MessageLimit(self.config.websocket_max_message_size)
        self.connection_state["messages"] = messages
        request.headers = _without_extensions(request.headers)
        await super()._create_stream(request)
        stream = self.streams.get(request.stream_id)
        if isinstance(stream, WSStream):
            stream.buffer = messages


def _without_extensions(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """RFC 6455 section 9.1: a server may decline any extension, and does so by not mentioning it."""
    return [(name, value) for name, value in headers if name.lower() != _EXTENSIONS]


class _Tasks(TaskGroup):
    """A connection's tasks. An application that has ended is told nothing more, and holds nobody up."""

    def __init__(self, abort: Callable[[], None]) -> None:
        super().__init__()
        self._abort = abort
        self._running = 0
        self._helpers: set[trio.CancelScope] = set()

    def spawn(self, func: Callable[..., Awaitable[None]], *args: Any) -> None:
        """See `TaskGroup.spawn`. What hypercorn starts by this is its own: pings, and the sender of HTTP/2."""

        async def help_out() -> None:
            with trio.CancelScope() as scope:
                self._helpers.add(scope)
                try:
                    await func(*args)
                finally:
                    self._helpers.discard(scope)

        super().spawn(help_out)

    def end_helpers(self) -> None:
        """Cancel hypercorn's own tasks; those of the application end by themselves."""
        for scope in tuple(self._helpers):
            scope.cancel()

    async def spawn_app(
        self, app: AppWrapper, config: Config, scope: Scope, send: Callable[[ASGISendEvent | None], Awaitable[None]]
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """See `TaskGroup.spawn_app`."""
        to_app, from_server = trio.open_memory_channel[ASGIReceiveEvent](config.max_app_queue_size)
        self._running += 1
        if self._running > MAX_RUNNING:
            log.warning("connection with too many requests at once dropped")
            self._abort()

        async def run(
            scope: Scope,
            receive: ASGIReceiveCallable,
            send: ASGISendCallable,
            sync_spawn: Callable[..., Any],
            call_soon: Callable[..., Any],
        ) -> None:
            try:
                await app(scope, receive, send, sync_spawn, call_soon)
            finally:
                self._running -= 1
                from_server.close()

        async def tell(event: ASGIReceiveEvent) -> None:
            try:
                await to_app.send(event)
            except trio.BrokenResourceError:
                log.debug("application has ended", unheard=event["type"])

        super().spawn(
            _handle, run, config, scope, from_server.receive, send, trio.to_thread.run_sync, trio.from_thread.run
        )
        return tell
