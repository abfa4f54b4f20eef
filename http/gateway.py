"""The WebSocket gateway: from an upgrade request to a session, and back and forth between socket and session.

Who may connect is decided before the handshake is answered, so a refusal is an HTTP status with the front's own words.
After it, one task per connection reads: it answers pings and close frames and hands messages to the front's dialect.
Writing is the session's business.
"""

import time
from collections.abc import Awaitable
from functools import partial
from typing import Final, Protocol

import msgspec
import structlog
import trio

from chinwag.engine.connections import Connected
from chinwag.engine.engine import Engine
from chinwag.engine.errors import EngineError, InternalError
from chinwag.engine.session import Session
from chinwag.engine.transport import LOST, CloseReason, Transport
from chinwag.http.access_log import AccessLog
from chinwag.http.front import Front, SocketEndpoint, SocketRequest
from chinwag.http.head import RequestHead
from chinwag.http.messages import HttpRequest, HttpResponse
from chinwag.http.poller import Poller
from chinwag.http.rate_limits import address_key
from chinwag.http.service import HttpService
from chinwag.http.socket_transport import SocketTransport, Take
from chinwag.http.streams import discard, refuse
from chinwag.http.websocket import (
    DEFAULT_MAX_MESSAGE_BYTES,
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

log = structlog.get_logger("chinwag.http")

_REASONS: Final = {
    reason.code: reason for reason in (CloseReason.PROTOCOL_ERROR, CloseReason.INVALID_TEXT, CloseReason.TOO_BIG)
}
FINISH_S: Final = 1.0
"""How long a connection that said goodbye may take to close its side."""
LINGER_BYTES: Final = 64 * 1024


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


class Gateway:
    """Takes over connections that ask for a WebSocket."""

    def __init__(
        self,
        engine: Engine,
        service: HttpService,
        *,
        poller: Poller | None = None,
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
        access_log: AccessLog | None = None,
    ) -> None:
        """`poller` reads the raw sockets; it has to be running. Without one every connection's task reads by itself.

        `max_message_bytes` bounds a client's message on those sockets; an ASGI server has a bound of its own. With
        `access_log` each connection that is served is written down.
        """
        self._engine = engine
        self._service = service
        self._poller = poller
        self._max_message_bytes = max_message_bytes
        self._access_log = access_log

    async def upgrade(self, head: RequestHead, stream: trio.SocketStream, leftover: bytes) -> Awaitable[None] | None:
        """Answer an upgrade request. When it was granted, what is returned serves the connection until it ends."""
        request = self._service.seen(_as_http(head, stream))
        front = self._service.socket_front(request)
        if front is None or self._service.socket_endpoint(front) is None:
            response = await self._service.handle(request)
            await _answer(stream, response)
            return None
        try:
            handshake = accept_upgrade(head)
        except HandshakeRefused as refused:
            if self._access_log is not None:
                self._access_log.refused(request, self._service.locate(request), refused.status)
            await refuse(stream, refused.status, refused.message, refused.headers)
            return None
        try:
            connected = await self.admit(request, front)
        except EngineError as error:
            await self._service.pace(request, error)
            await _answer(stream, self._service.refuse(request, error))
            return None
        except Exception:
            log.exception("upgrade failed", front=front.name)
            await _answer(stream, self._service.refuse(request, InternalError()))
            return None
        try:
            await stream.send_all(handshake)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            connected.session.abandon()  # the client left while it was being admitted
            return None
        except BaseException:  # cancellation too: a session that nobody will run must not stay subscribed
            connected.session.abandon()
            raise
        transport = SocketTransport(
            stream, leftover=leftover, poller=self._poller, max_message_bytes=self._max_message_bytes
        )
        return self.serve(request, front, connected, transport)

    async def admit(self, request: HttpRequest, front: Front) -> Connected:
        """Decide who asks and whether they may. Raises `EngineError`s, which are answered over HTTP."""
        endpoint = self._service.socket_endpoint(front)
        assert endpoint is not None
        claims = await self._service.authenticate_socket(request, front)
        return await endpoint.admit(
            self._engine,
            SocketRequest(
                user_id=claims.user_id,
                family_id=claims.family_id,
                expires_at=trio.current_time() + claims.expires_at - time.time(),
                query=request.query,
                source=address_key(request.client),
            ),
        )

    def serve(
        self, request: HttpRequest, front: Front, connected: Connected, transport: MessageTransport
    ) -> Awaitable[None]:
        """Serve a connection that was admitted, and whose handshake was answered, until it ends. To be awaited.

        Every frame between a connection's task and its read is there for each idle connection: there are few.
        """
        endpoint = self._service.socket_endpoint(front)
        assert endpoint is not None
        session = connected.session
        connected = msgspec.structs.replace(connected, greeting=endpoint.greeting(connected))
        take = partial(_take, self._engine, endpoint, session)
        serving = self._engine.serve_session(connected, transport, partial(_pump, front, session, transport, take))
        if self._access_log is None:
            return serving
        return self._access_log.socket(request, self._service.locate(request), session, serving)


async def _pump(front: Front, session: Session, transport: MessageTransport, take: Take) -> None:
    """Read until either side says goodbye, then end the connection in order."""
    try:
        await transport.deliver(take)
    except ProtocolFailure as failure:
        session.finish(close_frame(failure.code, failure.reason), _REASONS.get(failure.code))
    except Exception as bug:
        if isinstance(bug, LOST):
            raise
        log.exception("message failed", front=front.name, user=session.user_id)
        session.close(CloseReason.INTERNAL_ERROR)
    with trio.move_on_after(FINISH_S):
        await session.drained()
    await transport.finish(FINISH_S)


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


def _as_http(head: RequestHead, stream: trio.SocketStream) -> HttpRequest:
    """The upgrade request in the form that the route tables know. Its path stays as it was on the wire."""
    path = head.target.partition("?")[0] if head.target.startswith("/") else head.path
    names = dict.fromkeys(name for name, _ in head.headers)
    return HttpRequest(
        method=head.method,
        path=path,
        query=head.query,
        headers={name: head.header(name) or "" for name in names},
        host=head.header("host") or "",
        client=_peer(stream),
    )


def _peer(stream: trio.SocketStream) -> str:
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:
        return ""  # it has left


async def _answer(stream: trio.SocketStream, response: HttpResponse) -> None:
    """Write a whole HTTP response and close, reading on for a moment so that no reset overtakes it."""
    head = [f"HTTP/1.1 {response.status} ", "connection: close"]
    head += [f"{name}: {value}" for name, value in (*response.fixed.headers, *response.headers)]
    with trio.move_on_after(FINISH_S):
        try:
            await stream.send_all("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + response.body)
            await stream.send_eof()
            await discard(stream, LINGER_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            log.debug("client left before its refusal")
    await trio.aclose_forcefully(stream)
