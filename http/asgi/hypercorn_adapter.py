"""hypercorn and an ASGI application as the server of accepted connections: HTTP/1.1 and its WebSockets, on request.

hypercorn's own `serve` owns its sockets. Here the listener accepts them; what is left of hypercorn is its HTTP/1.1, the
ASGI lifespan, and the word that the server is stopping. Its gaps are closed here, from outside its code:

- What it reads is judged and rewritten by the lane's rules first (`RequestFilter`): h11 lets more pass than they do.
- It sends in a shield without a deadline: `GuardedStream` has one.
- It sends pings but never looks for pongs: the application is told when bytes came (`state["connection"]`).
- Its WebSockets always offer permessage-deflate and inflate without a bound, count a message's characters, go on
  gathering one that is too long, and end without a close code when the client breaks the protocol: `StrictWebSocket`
  reads them by the lane's parser.
- It waits for ever to tell an application something that has ended, and its pings and idle timers outlive a connection
  by their whole interval: `_Tasks`.
- It closes a socket as soon as it has answered, and what is unread then resets the connection: `FilteredStream`.

That relies on hypercorn's insides, so its version is bounded in pyproject.toml.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final, Protocol, cast

import h11
import structlog
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import Request, Response
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection
from hypercorn.protocol.http_stream import HTTPStream
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
)
from hypercorn.utils import LifespanTimeoutError, parse_socket_addr, wrap_app

from chinwag.engine.model.errors import EngineError
from chinwag.http.api.values import HttpRequest, HttpResponse
from chinwag.http.asgi.filtered_stream import FilteredStream
from chinwag.http.asgi.hypercorn_websocket import StrictWebSocket
from chinwag.http.asgi.request_filter import RequestFilter
from chinwag.http.carriers.websocket import HandshakeRefused, accept_upgrade
from chinwag.http.lane.answers import Answers
from chinwag.http.lane.head import refusal
from chinwag.http.listener.bad_clients import BadClients
from chinwag.http.listener.listener import ListenerConfig
from chinwag.http.listener.streams import AcceptedStream, GuardedStream, SecureStream

log = structlog.get_logger("chinwag.http")

_REQUESTS_PER_CONNECTION: Final = 1_000_000
"""hypercorn closes a connection after so many. Its default of a thousand would only cost busy clients a reconnect."""


class Service(Protocol):
    """What a server says by itself, without its application: `HttpService`."""

    def refuse(self, request: HttpRequest, error: EngineError, /) -> HttpResponse:
        """The answer to a request that is refused for its form."""
        ...

    def opens_socket(self, request: HttpRequest, /) -> bool:
        """Whether a WebSocket may be asked for with this request's path."""
        ...


def hypercorn_config(config: ListenerConfig) -> Config:
    """The settings that matter to a connection that is handed over; those of sockets and processes are not used."""
    settings = Config()
    settings.h11_max_incomplete_size = config.max_head_bytes
    settings.keep_alive_timeout = config.keep_alive_timeout_s
    settings.keep_alive_max_requests = _REQUESTS_PER_CONNECTION
    # A limit on silence would end server-sent events and long uploads' answers, as their clients have nothing to say.
    # A head is bounded by `FilteredStream`; a slow body by the application (BODY_TIMEOUT_S).
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
    """Serves HTTP/1.1 and WebSockets with an ASGI application, within its lifespan. A `ConnectionServer`.

    The scopes' state holds "connection", a `GuardedStream` or `SecureStream`, and "continue", to be awaited before a
    body is read. Methods are as they were sent: they are case-sensitive (RFC 9110 section 9.1).
    """

    def __init__(
        self,
        app: ASGIFramework,
        config: ListenerConfig | None = None,
        *,
        service: Service | None = None,
        bad_clients: BadClients | None = None,
    ) -> None:
        """Without a `service` every path may be a WebSocket's, and refusals are worded as `head.refusal` does."""
        self._limits = config or ListenerConfig()
        self._config = hypercorn_config(self._limits)
        self._app = wrap_app(app, self._config.wsgi_max_body_size, "asgi")
        self._service = service
        self._bad_clients = bad_clients or BadClients()
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

    async def serve_connection(self, stream: AcceptedStream) -> None:
        """Answer requests on one connection until it ends. Closes the stream."""
        if self._stopping:
            return
        opens_socket = _anything if self._service is None else self._service.opens_socket
        secure = isinstance(stream, SecureStream)
        below = stream if isinstance(stream, SecureStream) else self._guarded(stream)
        requests = RequestFilter(self._limits.max_head_bytes, opens_socket, secure=secure)
        filtered = FilteredStream(below, requests, self._limits.head_timeout_s)
        received = b""
        with trio.CancelScope() as scope:
            self._opening.add(scope)
            try:
                received = await filtered.receive_some()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            finally:
                self._opening.discard(scope)
        if received:
            connection = _HypercornConnection(self._app, self._config, self._context, self._state, filtered, received)
            with filtered.guarded.scope:
                await connection.run(self)

    def _guarded(self, stream: trio.SocketStream) -> GuardedStream:
        return GuardedStream(stream, send_timeout_s=self._limits.send_timeout_s)

    def refuse_request(self, requests: RequestFilter, client: str, status: int) -> bytes:
        """What is answered to a request of bad form, and is the last on its connection."""
        error = requests.refusal
        if requests.left:
            return b""
        if error is None:  # the lane's rules found nothing, and h11 something
            self._bad_clients.report("h11 refuses the request", client=client, protocol="HTTP/1.1")
            return refusal(status, HTTPStatus(status).phrase, secure=requests.secure)
        if error.breaks_rules:
            self._bad_clients.report(error.message, client=client, protocol="HTTP/1.1")
        if self._service is None or requests.refused is None:
            return refusal(error.status, error.message, error.headers, secure=requests.secure)
        return Answers().encode(self._service.refuse(requests.refused, error), close=True)

    def refuse_handshake(self, refused: HandshakeRefused, client: str, *, secure: bool) -> bytes:
        """What is answered to a WebSocket's opening handshake that is none, and is the last on its connection."""
        if refused.breaks_rules:
            self._bad_clients.report(refused.message, client=client, protocol="WebSocket")
        return refusal(refused.status, refused.message, refused.headers, secure=secure)

    async def begin_shutdown(self) -> None:
        """Close idle connections now, and the others after the response that is under way."""
        self._stopping = True
        for scope in self._opening:
            scope.cancel()
        await self._context.terminated.set()


def _anything(_: HttpRequest) -> bool:
    return True


class _HypercornConnection(TCPServer):
    """hypercorn's connection, on a stream whose first request was read."""

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        state: dict[str, Any],
        stream: FilteredStream,
        received: bytes,
    ) -> None:
        # hypercorn's annotation names its own stream; what it asks of one is here.
        super().__init__(app, config, context, state, cast("trio.SSLStream[trio.SocketStream]", stream))
        self._filtered = stream
        self._received = received
        self._over = False
        """Whether nothing is read any more."""

    async def run(self, server: HypercornServer) -> None:  # type: ignore[override]  # nobody else runs it
        """See `TCPServer.run`, from which this differs in the protocol and tasks it makes."""
        guarded = self._filtered.guarded
        socket = guarded.socket
        try:
            client = parse_socket_addr(socket.family, socket.getpeername())
            own = parse_socket_addr(socket.family, socket.getsockname())
            tasks = _Tasks()
            async with tasks:
                self._task_group = tasks
                protocol = _Http1(
                    self.app,
                    self.config,
                    self.context,
                    tasks,
                    ConnectionState({**self.state, "connection": self._filtered.below}),
                    isinstance(self._filtered.below, SecureStream),
                    client,
                    own,
                    self.protocol_send,
                )
                protocol.requests = self._filtered.requests
                protocol.owner = server
                self.protocol = protocol  # type: ignore[assignment]  # it has all that is used of a ProtocolWrapper
                await protocol.initiate()
                await self.idle_task.restart(tasks, self._idle_timeout)
                await protocol.handle(RawData(self._received))
                self._received = b""
                await self._read_data()
                # Whoever pings, or waits for the connection to be idle for too long, would hold it for all that time.
                self._over = True
                await self.idle_task.stop()
                tasks.end_helpers()
        except OSError:
            log.debug("client left")
        finally:
            await self._close()

    async def protocol_send(self, event: Event) -> None:
        """See `TCPServer.protocol_send`. A connection that is over is not waited for to be idle."""
        if not (self._over and isinstance(event, Updated)):
            await super().protocol_send(event)


class _Http1(H11Protocol):
    """HTTP/1.1 as the filter understood it, with strict WebSockets, and without upgrades to HTTP/2."""

    requests: RequestFilter
    owner: HypercornServer
    _refused = False

    async def _create_stream(self, _: h11.Request) -> None:
        """See `H11Protocol._create_stream`, which knows one kind of WebSocket, and methods in capitals alone."""
        head = self.requests.heads.popleft()
        self.connection_state["continue"] = self._tell_to_go_on
        headers = head.resolved_fields()
        kind: type[HTTPStream | StrictWebSocket] = HTTPStream
        if self.requests.upgraded and not self.requests.heads:  # the last one that was passed on
            try:
                accept_upgrade(head.as_request_head())
            except HandshakeRefused as error:
                self.requests.ended = True
                await self.send(RawData(self.owner.refuse_handshake(error, self._client, secure=self.requests.secure)))
                await self.send(Closed())
                return
            kind = StrictWebSocket
            headers = [*_AGREED, *(each for each in headers if each[0] not in _NOT_NEGOTIATED)]
            self.connection = H11WSConnection(cast("h11.Connection", self.connection))
        self.stream = kind(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
                http_version=head.version,
                method=head.method,
                raw_path=head.target.encode("ascii"),
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1
        await self.context.mark_request()

    async def stream_send(self, event: StreamEvent) -> None:
        """See `H11Protocol.stream_send`. The last answer of a connection that the server ends says so."""
        if isinstance(event, Response) and self.context.terminated.is_set():
            event = replace(event, headers=[*event.headers, (b"connection", b"close")])
        await super().stream_send(event)

    @property
    def _client(self) -> str:
        return "" if self.client is None else self.client[0]

    async def _check_protocol(self, event: h11.Request) -> None:
        """Upgrade to nothing."""

    async def _send_error_response(self, status_code: int) -> None:
        """See `H11Protocol`. It is called for what the filter refused, and the connection closed after it; h11 goes on
        complaining until it is."""
        if self._refused:
            return
        self._refused = True
        answer = self.owner.refuse_request(self.requests, self._client, status_code)
        if answer:
            await self.send(RawData(answer))

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        """hypercorn tells a client to go on (Expect: 100-continue) at once; here that is for the application to say, by
        `state["continue"]`, because some requests are refused before their body is looked at."""
        if not isinstance(event, h11.InformationalResponse) or event.status_code != HTTPStatus.CONTINUE:
            await super()._send_h11_event(event)

    async def _tell_to_go_on(self) -> None:
        if isinstance(self.connection, h11.Connection) and self.connection.they_are_waiting_for_100_continue:
            await super()._send_h11_event(h11.InformationalResponse(status_code=100, headers=[]))


_AGREED: Final = [("connection", "upgrade"), ("upgrade", "websocket")]
_NOT_NEGOTIATED: Final = frozenset({"connection", "upgrade", "sec-websocket-extensions", "sec-websocket-protocol"})
"""What hypercorn would take apart, and fail on, for nothing: what the upgrade is to was looked at before, and neither
extension nor subprotocol is ever agreed on."""


class _Tasks(TaskGroup):
    """A connection's tasks. An application that has ended is told nothing more, and holds nobody up."""

    def __init__(self) -> None:
        super().__init__()
        self._helpers: set[trio.CancelScope] = set()

    def spawn(self, func: Callable[..., Awaitable[None]], *args: Any) -> None:
        """See `TaskGroup.spawn`. What hypercorn starts by this is its own: pings."""

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
