"""The gateway: from an upgrade request to a session, and back and forth between WebSocket and session.

Who may connect is decided before the handshake is answered, so a refusal is an HTTP status with the front's own words.
After it, one task per connection reads: it answers pings and close frames and hands messages to the front's dialect.
Writing is the session's business. An answer that takes over its connection (`EventStream`) is served in the same way.
"""

from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final, NamedTuple, Protocol

import structlog
import trio

from chinwag.engine.connections.admission import Admitted
from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.connections.session import Session
from chinwag.engine.connections.transport import LOST, Transport
from chinwag.engine.connections.wires import Wire
from chinwag.engine.engine import Engine
from chinwag.engine.model.errors import EngineError, InternalError, Unauthenticated
from chinwag.http.api.front import Front, LobbyEndpoint, SocketEndpoint, SocketRequest, Visitor
from chinwag.http.api.rate_limits import address_key
from chinwag.http.api.refusals import NoSuchEndpoint
from chinwag.http.api.service import HttpService
from chinwag.http.api.values import EventStream, HttpRequest, HttpResponse
from chinwag.http.carriers.event_stream import SocketEventStream, StreamEventStream, end_when_unheard
from chinwag.http.carriers.lobby import (
    First,
    Lobby,
    Place,
    VisitorTransport,
    goodbye,
    receive_first,
    turn_away,
)
from chinwag.http.carriers.poller import Poller
from chinwag.http.carriers.socket_transport import SocketTransport, Take
from chinwag.http.carriers.stream_transport import StreamTransport, WebSocketStream
from chinwag.http.carriers.websocket import (
    WEB_SOCKET,
    Close,
    HandshakeRefused,
    Incoming,
    Opcode,
    Ping,
    ProtocolFailure,
    accept_upgrade,
    close_frame,
    frame,
)
from chinwag.http.lane.answers import Answers
from chinwag.http.lane.head import RequestHead
from chinwag.http.listener.bad_clients import BadClients
from chinwag.http.listener.listener import ListenerConfig
from chinwag.http.listener.streams import AcceptedStream, SecureStream, peer_address, refuse, send_last
from chinwag.http.operations.access_log import AccessLog

log = structlog.get_logger("chinwag.http")

_REASONS: Final = {
    reason.code: reason for reason in (CloseReason.PROTOCOL_ERROR, CloseReason.INVALID_TEXT, CloseReason.TOO_BIG)
}
FINISH_S: Final = 1.0
"""How long a connection that said goodbye may take to close its side."""


class MessageTransport(Transport, Protocol):
    """A `Transport` that is a source of messages as well."""

    async def deliver(self, take: Take) -> None:
        """Hand every message to `take` until the client's close frame, awaiting what it returns before the next.

        Raises `ConnectionLost` at the end of the connection, `ProtocolFailure` for a broken rule.
        """
        ...

    async def finish(self, timeout_s: float) -> None:
        """After goodbye was said: wait for the peer's end, at most this long, and close."""
        ...


class WebSocketTransport(MessageTransport, VisitorTransport, Protocol):
    """A transport of messages, from the first on."""


class Granted(NamedTuple):
    """A WebSocket that may be opened, for a session, or for a client in the lobby that has yet to log in. It has to be
    served, or abandoned."""

    request: HttpRequest
    front: Front
    admission: Admitted | Place

    def abandon(self) -> None:
        """Nobody will serve it."""
        if isinstance(self.admission, Place):
            self.admission.leave()
        else:
            self.admission.session.abandon()


class Gateway:
    """Takes over connections that ask for a WebSocket."""

    def __init__(
        self,
        engine: Engine,
        service: HttpService,
        *,
        poller: Poller | None = None,
        config: ListenerConfig | None = None,
        bad_clients: BadClients | None = None,
        access_log: AccessLog | None = None,
        lobby: Lobby | None = None,
    ) -> None:
        """`poller` reads the raw sockets; it has to be running. Without one every connection's task reads by itself.

        Of `config` the limits of messages and of sends count, for all but an ASGI server, which has bounds of its own.
        With `access_log` each connection that is served is written down.
        """
        self._engine = engine
        self._service = service
        self._poller = poller
        self._limits = config or ListenerConfig()
        self._bad_clients = bad_clients or BadClients()
        self._access_log = access_log
        self.lobby = Lobby() if lobby is None else lobby
        """For those who log in by their first frame."""
        self._answers = Answers()
        self._wires: dict[str, Wire] = {}
        """By the name of the front."""

    async def upgrade(self, head: RequestHead, stream: AcceptedStream, leftover: bytes) -> Awaitable[None] | None:
        """Answer an upgrade request. When it was granted, what is returned serves the connection until it ends."""
        request = self._service.seen(_as_http(head, stream))
        try:
            handshake = accept_upgrade(head)
        except HandshakeRefused as refused:
            if self._access_log is not None:
                self._access_log.refused(request, self._service.locate(request), refused.status)
            if refused.breaks_rules:
                self._bad_clients.report(refused.message, client=request.client, protocol="WebSocket")
            await refuse(stream, refused.status, refused.message, refused.headers, secure=request.secure)
            return None
        granted = await self.ask(request)
        if isinstance(granted, HttpResponse):
            await send_last(stream, self._answers.encode(granted, close=True))
            return None
        try:
            with trio.move_on_after(self._limits.send_timeout_s) as sending:
                await stream.send_all(handshake)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            granted.abandon()  # the client left while it was being admitted
            return None
        except BaseException:  # cancellation too: a session that nobody will run must not stay subscribed
            granted.abandon()
            raise
        if sending.cancelled_caught:
            granted.abandon()
            return None
        if isinstance(stream, SecureStream):
            return self.serve_stream(granted, stream, leftover)
        transport = SocketTransport(
            stream, leftover=leftover, poller=self._poller, max_message_bytes=self._limits.max_message_bytes
        )
        return self.serve(granted, transport)

    async def ask(self, request: HttpRequest) -> Granted | HttpResponse:
        """Decide who asks for a WebSocket, and whether they may. What refuses it is an answer over HTTP."""
        request = self._service.seen(request)
        front = self._service.socket_front(request)
        if front is None or self._service.socket_endpoint(front) is None:
            return self._service.refuse(request, NoSuchEndpoint())
        try:
            return Granted(request, front, await self._admit(request, front))
        except EngineError as error:
            await self._service.pace(request, error)
            return self._service.refuse(request, error)
        except (Exception, SystemExit):
            # A bug in a front's endpoint or the engine. It costs this request, as it does in `HttpService.handle`.
            log.exception("upgrade failed", front=front.name)
            return self._service.refuse(request, InternalError())

    async def _admit(self, request: HttpRequest, front: Front) -> Admitted | Place:
        endpoint = self._service.socket_endpoint(front)
        assert endpoint is not None
        if isinstance(endpoint, LobbyEndpoint) and self._service.socket_token(request, front) is None:
            await self._service.admit_visitor(request, front)
            return self.lobby.enter(address_key(request.client))
        claims = await self._service.authenticate_socket(request, front)
        admitted = await endpoint.admit(
            self._engine,
            SocketRequest(
                user_id=claims.user_id,
                family_id=claims.family_id,
                expires_at=self._service.tokens.deadline(claims),
                query=request.query,
                wire=self._wire(front, endpoint),
                source=address_key(request.client),
            ),
        )
        if not isinstance(admitted, Admitted):
            raise TypeError(f"an endpoint admits by an Admitted, not by {type(admitted).__name__}")
        return admitted

    def _wire(self, front: Front, endpoint: SocketEndpoint) -> Wire:
        wire = self._wires.get(front.name)
        if wire is None:
            wire = self._wires[front.name] = Wire(endpoint.dialect, WEB_SOCKET)
        return wire

    def serve(self, granted: Granted, transport: WebSocketTransport) -> Awaitable[None]:
        """Serve a WebSocket that was granted, and whose handshake was answered, until it ends. To be awaited.

        Every frame between a connection's task and its read is there for each idle connection: there are few.
        """
        request, front, admission = granted
        endpoint = self._service.socket_endpoint(front)
        assert endpoint is not None
        if isinstance(admission, Place):
            assert isinstance(endpoint, LobbyEndpoint)
            return self._serve_visitor(granted, admission, endpoint, transport)
        return self._serve_admitted(request, front, endpoint, admission, transport)

    def _serve_admitted(
        self,
        request: HttpRequest,
        front: Front,
        endpoint: SocketEndpoint,
        admitted: Admitted,
        transport: WebSocketTransport,
        first: First | None = None,
    ) -> Awaitable[None]:
        """`first` has what the client said already after it had logged in."""
        session = admitted.session
        try:
            greeting = tuple(endpoint.greeting(admitted))
            if not all(isinstance(body, bytes) for body in greeting):
                raise TypeError("a greeting is of bytes")
        except (Exception, SystemExit):
            log.exception("greeting failed", front=front.name, user=session.user_id)
            greeting = ()
            session.close(CloseReason.INTERNAL_ERROR)
        attached = self._engine.connections.attach(admitted, transport, greeting)
        take = partial(_take, self._engine, endpoint, session)
        serving = _serve(attached, front.name, transport, take, self._bad_clients, first)
        if self._access_log is None:
            return serving
        return self._access_log.socket(request, self._service.locate(request), session, serving)

    async def _serve_visitor(
        self, granted: Granted, place: Place, endpoint: LobbyEndpoint, transport: WebSocketTransport
    ) -> None:
        """Wait for what a client says first, let it log in by that, and serve it from then on."""
        request, front, _ = granted
        entered: tuple[Admitted, First] | None = None
        last = b""
        end = "left"
        try:
            with place.scope:
                first = await receive_first(transport)
                visitor = Visitor(
                    query=request.query,
                    wire=self._wire(front, endpoint),
                    tokens=self._service.tokens,
                    source=place.source,
                )
                entered = await endpoint.log_in(self._engine, visitor, first.message), first
            if entered is None and self.lobby.closed:
                last = goodbye(transport)
            elif entered is None:
                end = "late"
                last = self._refused(endpoint, Unauthenticated("nothing was said in time"))
        except LOST:
            transport.abort()
            return
        except ProtocolFailure as failure:
            self._bad_clients.report(failure.reason, client=request.client, protocol="WebSocket")
            last = close_frame(failure.code, failure.reason)
        except EngineError as error:
            end = "turned_away"
            last = self._refused(endpoint, error)
        except (Exception, SystemExit):
            log.exception("log-in failed", front=front.name)
            last = transport.goodbye(CloseReason.INTERNAL_ERROR)
        finally:
            place.leave()
            self.lobby.count("admitted" if entered else end)
        if entered is None:
            await turn_away(transport, last)
            return
        admitted, first = entered
        try:
            serving = self._serve_admitted(request, front, endpoint, admitted, transport, first)
        except BaseException:  # a session that nobody will run must not stay subscribed
            admitted.session.abandon()
            raise
        del granted, entered, admitted, first, request
        await serving

    @staticmethod
    def _refused(endpoint: LobbyEndpoint, error: EngineError) -> bytes:
        refusal = endpoint.refusal(error)
        told = WEB_SOCKET.frame(refusal.body, None, None) if refusal.body else b""
        return told + close_frame(refusal.code, error.message)

    async def serve_stream(self, granted: Granted, stream: WebSocketStream, leftover: bytes = b"") -> None:
        """`serve` over a stream that is no bare socket."""
        transport = StreamTransport(stream, leftover=leftover, max_message_bytes=self._limits.max_message_bytes)
        serving = self.serve(granted, transport)
        del granted, leftover
        async with transport.open():
            await serving

    # --- answers that take over their connection ---

    def events_on(self, events: EventStream, stream: AcceptedStream) -> Awaitable[None]:
        """Write what a session is told after the head of its answer, until either side ends it. To be awaited."""
        end_when_unheard(stream.socket, 2 * self._engine.config.limits.ping_interval_s)
        if isinstance(stream, SecureStream):
            return self.events_over(events, stream)
        return self.serve_events(events, SocketEventStream(stream, poller=self._poller))

    async def events_over(self, events: EventStream, stream: WebSocketStream) -> None:
        """The same over a stream that is no bare socket."""
        transport = StreamEventStream(stream)
        serving = self.serve_events(events, transport)
        del events
        async with transport.open():
            await serving

    def serve_events(self, events: EventStream, transport: MessageTransport) -> Awaitable[None]:
        """The same over any transport."""
        attached = self._engine.connections.attach(events.admitted, transport, events.greeting)
        return _serve(attached, "event stream", transport, _ignore, self._bad_clients)


async def _serve(
    attached: AbstractAsyncContextManager[Session],
    name: str,
    transport: MessageTransport,
    take: Take,
    bad_clients: BadClients,
    first: First | None = None,
) -> None:
    """Read until either side says goodbye, then end the connection in order. Of `first` the rest is taken before."""
    async with attached as session:
        try:
            if first is not None:
                await _take_rest(first, take)
                first = None
            await transport.deliver(take)
        except ProtocolFailure as failure:
            reason = _REASONS.get(failure.code)
            words = failure.reason or ("" if reason is None else reason.text)
            bad_clients.report(words, user=session.user_id, protocol="WebSocket")
            session.finish(close_frame(failure.code, failure.reason), reason)
        except (Exception, SystemExit) as bug:
            if isinstance(bug, LOST):
                raise
            # What is left is a bug in handling a message: the client is told by a close code, instead of being cut off.
            log.exception("message failed", front=name, user=session.user_id)
            session.close(CloseReason.INTERNAL_ERROR)
        with trio.move_on_after(FINISH_S):
            await session.drained()
        await transport.finish(FINISH_S)


async def _take_rest(first: First, take: Take) -> None:
    for item in first.rest:
        waiting = take(item)
        if waiting is not None:
            await waiting
    if first.failure is not None:
        raise first.failure


def _take(engine: Engine, endpoint: SocketEndpoint, session: Session, item: Incoming) -> Awaitable[None] | None:
    """Act on one message or control frame."""
    if type(item) is str or type(item) is bytes:
        if not session.open:
            return None
        waiting = endpoint.receive(engine, session, item)
        return waiting if waiting is not None or not session.behind else session.caught_up()
    if isinstance(item, Ping):
        session.send(frame(Opcode.PONG, item.payload))
    elif isinstance(item, Close):
        session.finish(item.answer())
    return None


def _ignore(_: Incoming) -> None:
    """What a client says that is not listened to."""


def _as_http(head: RequestHead, stream: AcceptedStream) -> HttpRequest:
    """The upgrade request in the form that the route tables know. Its path stays as it was on the wire."""
    path = head.target.partition("?")[0] if head.target.startswith("/") else head.path
    names = dict.fromkeys(name for name, _ in head.headers)
    return HttpRequest(
        method=head.method,
        path=path,
        query=head.query,
        headers={name: head.header(name) or "" for name in names},
        host=head.header("host") or "",
        client=peer_address(stream),
        secure=isinstance(stream, SecureStream),
    )
