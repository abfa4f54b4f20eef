"""hypercorn and an ASGI application as the server of accepted connections: TLS, HTTP/2, or plain HTTP/1.1 on request.

hypercorn's own `serve` owns its sockets. Here the listener accepts them; what is left of hypercorn is its protocols,
the ASGI lifespan, and the word that the server is stopping. Its gaps are closed here, from outside its code:

- It sends in a shield without a deadline: `GuardedStream` has one.
- It sends pings but never looks for pongs: the application is told when bytes came (`state["connection"]`).
- Its WebSockets always offer permessage-deflate and inflate without a bound, count a message's characters, go on
  gathering one that is too long, and end without a close code when the client breaks the protocol: `StrictWebSocket`
  reads them by the lane's parser.
- It waits for ever to tell an application something that has ended, and its pings and idle timers outlive a connection
  by their whole interval: `_Tasks`.
- It drops an HTTP/2 connection when a body comes for a request that it has refused or answered: `_Http2`.
- It would speak HTTP/2 without TLS: nobody asks for that, and it is one more way in.
"""

import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, Final, cast

import h11
import structlog
import trio
from h2.events import DataReceived, RequestReceived
from h2.events import Event as H2Event
from hypercorn.config import Config
from hypercorn.events import RawData
from hypercorn.protocol.events import Body, Data, EndData, Request
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h2 import H2Protocol, StreamBuffer
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
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
    H11SendableEvent,
    Scope,
    WebsocketAcceptEvent,
)
from hypercorn.utils import LifespanTimeoutError, filter_pseudo_headers, parse_socket_addr, wrap_app
from priority.priority import DuplicateStreamError
from wsproto.connection import Connection
from wsproto.events import CloseConnection, Pong
from wsproto.frame_protocol import CloseReason

from chinwag.http.head import BadRequest
from chinwag.http.listener import ListenerConfig
from chinwag.http.streams import GuardedStream, read_head, refuse
from chinwag.http.websocket import Close, FrameParser, Incoming, Ping, ProtocolFailure

log = structlog.get_logger("chinwag.http")

MAX_STREAMS: Final = 100
"""Requests at once on one HTTP/2 connection."""
MAX_RUNNING: Final = 2 * MAX_STREAMS
"""Calls of the application at once for one connection. Streams that a client resets free their place in `MAX_STREAMS`
at once, while what they asked for runs to its end: a client that opens and resets without pause is cut off here."""

_REQUESTS_PER_CONNECTION: Final = 1_000_000
"""hypercorn closes a connection after so many. Its default of a thousand would only cost busy clients a reconnect."""

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

    The scopes' state holds "connection", a `GuardedStream`, and for HTTP/1.1 "continue", to be awaited before a body is
    read.
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


class StrictWebSocket(WSStream):
    """hypercorn's WebSocket, with the lane's parser in place of wsproto's: the same rules, limits and close codes.

    A client that breaks a rule is told which. The application then gets "websocket.disconnect" with that code, after
    all messages that came before, and may take its time to end: what still comes is dropped meanwhile.
    """

    connection: Connection

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._parser = FrameParser(self.config.websocket_max_message_size)
        self._decided = trio.Event()
        """Set once the application has accepted or denied."""

    async def handle(self, event: StreamEvent) -> None:
        """See `WSStream.handle`. A client that does not wait for the handshake's answer is read once it is there."""
        if not isinstance(event, Body | Data):
            await super().handle(event)
        elif not self.closed:
            await self._decided.wait()
            if self.handshake.accepted and not self.closed:
                await self._read(event.data)

    async def app_send(self, message: ASGISendEvent | None) -> None:
        """See `WSStream.app_send`, which leaves an HTTP/2 stream open when the client was the one to close."""
        if message is None and not self.closed and self.state is ASGIWebsocketState.CONNECTED:
            await self._send_wsproto_event(CloseConnection(code=CloseReason.INTERNAL_ERROR))  # if it is open
            await self.send(EndData(stream_id=self.stream_id))
        await super().app_send(message)
        if message is None or self.state is not ASGIWebsocketState.HANDSHAKE:
            self._decided.set()

    async def _accept(self, message: WebsocketAcceptEvent) -> None:
        # RFC 6455 section 9.1: a server may decline any extension, and does so by not mentioning it.
        self.handshake.extensions = None
        await super()._accept(message)

    async def _send_pings(self) -> None:
        """See `WSStream._send_pings`, which asks a client at once that has only just spoken."""
        await self.context.sleep(self.config.websocket_ping_interval or 0.0)  # with none this is not called
        await super()._send_pings()

    async def _read(self, data: bytes) -> None:
        failure: ProtocolFailure | None = None
        incoming: Sequence[Incoming]
        try:
            incoming = self._parser.feed(data)
        except ProtocolFailure as broken:
            incoming, failure = broken.before, broken
        for item in incoming:
            if isinstance(item, str):
                await self._tell({"type": "websocket.receive", "bytes": None, "text": item})
            elif isinstance(item, bytes):
                await self._tell({"type": "websocket.receive", "bytes": item, "text": None})
            elif isinstance(item, Ping):
                await self._send_wsproto_event(Pong(payload=item.payload))
            elif isinstance(item, Close):
                code = CloseReason.NO_STATUS_RCVD if item.code is None else item.code
                await self._send_wsproto_event(CloseConnection(code=code))
                await self._tell({"type": "websocket.disconnect", "code": CloseReason.NORMAL_CLOSURE})
        if failure is not None:
            await self._send_wsproto_event(CloseConnection(code=failure.code, reason=failure.reason))
            await self._tell({"type": "websocket.disconnect", "code": failure.code})

    async def _tell(self, event: ASGIReceiveEvent) -> None:
        assert self.app_put is not None  # it has accepted
        await self.app_put(event)


def _strict_websocket(protocol: H11Protocol | H2Protocol, stream_id: int) -> StrictWebSocket:
    """A WebSocket on a connection of either protocol."""
    return StrictWebSocket(
        protocol.app,
        protocol.config,
        protocol.context,
        protocol.task_group,
        protocol.ssl,
        protocol.client,
        protocol.server,
        protocol.stream_send,
        stream_id,
    )


class _Http1(H11Protocol):
    """HTTP/1.1 with strict WebSockets, and without upgrades to HTTP/2."""

    async def _create_stream(self, request: h11.Request) -> None:
        """See `H11Protocol._create_stream`, which knows one kind of WebSocket."""
        self.connection_state["continue"] = self._tell_to_go_on
        if not _asks_for_websocket(request):
            await super()._create_stream(request)
            return
        self.stream = _strict_websocket(self, STREAM_ID)
        self.connection = H11WSConnection(cast("h11.Connection", self.connection))
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(request.headers),
                http_version=request.http_version.decode(),
                method="GET",
                raw_path=request.target,
                state=self.connection_state,
            )
        )
        await self.context.mark_request()

    async def _check_protocol(self, event: h11.Request) -> None:
        """Upgrade to nothing."""

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        """hypercorn tells a client to go on (Expect: 100-continue) at once; here that is for the application to say, by
        `state["continue"]`, because some requests are refused before their body is looked at."""
        if not isinstance(event, h11.InformationalResponse) or event.status_code != HTTPStatus.CONTINUE:
            await super()._send_h11_event(event)

    async def _tell_to_go_on(self) -> None:
        if isinstance(self.connection, h11.Connection) and self.connection.they_are_waiting_for_100_continue:
            await super()._send_h11_event(h11.InformationalResponse(status_code=100, headers=[]))


def _asks_for_websocket(request: h11.Request) -> bool:
    """hypercorn's conditions: the last of either header counts, as there."""
    headers = dict(request.headers)
    tokens = [token.strip() for token in headers.get(b"connection", b"").lower().split(b",")]
    upgrade = headers.get(b"upgrade", b"").strip().lower()
    return b"upgrade" in tokens and upgrade == b"websocket" and request.method.upper() == b"GET"


class _Http2(H2Protocol):
    """HTTP/2 with strict WebSockets, and without an error for what still comes on a stream that has ended."""

    async def _handle_events(self, events: Sequence[H2Event]) -> None:
        """See `H2Protocol._handle_events`, which fails, and all streams with it, on a body that comes too late.

        So would a request that came after the shutdown began, or one that was answered before its body was read.
        """
        for event in events:
            if isinstance(event, DataReceived) and event.stream_id not in self.streams:
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                await self._flush()
            else:
                await super()._handle_events([event])

    async def _create_stream(self, request: RequestReceived) -> None:
        """See `H2Protocol._create_stream`, which knows one kind of WebSocket."""
        headers = dict(request.headers)
        if headers[b":method"].upper() != b"CONNECT":
            await super()._create_stream(request)
            return
        stream = self.streams[request.stream_id] = _strict_websocket(self, request.stream_id)
        self.stream_buffers[request.stream_id] = StreamBuffer(self.context.event_class)
        with suppress(DuplicateStreamError):  # its PRIORITY frame came first
            self.priority.insert_stream(request.stream_id)
            self.priority.block(request.stream_id)
        await stream.handle(
            Request(
                stream_id=request.stream_id,
                headers=filter_pseudo_headers(request.headers),
                http_version="2",
                method="CONNECT",
                raw_path=headers.get(b":path", b""),  # a CONNECT that is no WebSocket's has none
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1
        await self.context.mark_request()


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
