"""The ASGI application: QuartTrio around `HttpService`, for hypercorn and anything else that speaks ASGI.

Quart keeps what it is good at, the application's life cycle. Requests do not pass through its routing, contexts and
second task: the fronts' tables are the routing, and a client that leaves must not cancel a commit under way.
WebSockets become sessions like those of bare sockets, with another transport (`asgi_transport`).
"""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, WebsocketScope
from msgspec.structs import replace
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection, TrioASGIWebsocketConnection

from chinwag.engine.model.errors import EngineError
from chinwag.http.api.bodies import UNREAD_BYTES, UNREAD_S, Patience
from chinwag.http.api.refusals import BodyTimeout, BodyTooLarge, IncompleteBody
from chinwag.http.api.values import Content, EventStream, HttpRequest, HttpResponse
from chinwag.http.carriers.asgi_transport import AsgiTransport
from chinwag.http.carriers.event_stream import AsgiEventStream
from chinwag.http.carriers.gateway import Gateway
from chinwag.http.lane.lane import Handler
from chinwag.http.listener.streams import DEFAULT_SEND_TIMEOUT_S, GuardedStream, SecureStream

if TYPE_CHECKING:
    from hypercorn.typing import WebsocketResponseStartEvent

log = structlog.get_logger("chinwag.http")

MAX_BODY_BYTES = 1024 * 1024
BODY_TIMEOUT_S = 30.0
DRAIN_S = 2.0
"""How long a refused body is still read, so that the client gets to see the answer instead of a reset connection."""
_CONNECTION_HEADERS = frozenset({"connection", "upgrade"})


class Disconnected(Exception):
    """The client left before its request was complete."""


class ChinwagApp(QuartTrio):
    """One `HttpService` as an ASGI application."""

    def __init__(
        self,
        service: Handler,
        gateway: Gateway | None = None,
        *,
        max_body_bytes: int = MAX_BODY_BYTES,
        body_timeout_s: float = BODY_TIMEOUT_S,
        send_timeout_s: float = DEFAULT_SEND_TIMEOUT_S,
    ) -> None:
        """Without a gateway there are no WebSockets. `send_timeout_s` is for a client to take a piece of a file."""
        super().__init__(__name__, static_folder=None, root_path=str(Path(__file__).parent))
        self.asgi_http_class = ServiceConnection
        self.asgi_websocket_class = SocketConnection
        self.service = service
        self.gateway = gateway
        self.max_body_bytes = max_body_bytes
        self.body_timeout_s = body_timeout_s
        self.send_timeout_s = send_timeout_s


class ServiceConnection(TrioASGIHTTPConnection):
    """One request of one ASGI server."""

    app: ChinwagApp
    scope: HTTPScope

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Read the request, have it answered, send the answer."""
        request = to_request(self.scope)
        if _has_body(self.scope) and self.app.service.streams(request):
            await self._pass_on(request, receive, send)
            return
        try:
            refuse_if_declared_too_large(request, self.app.max_body_bytes)
            await _tell_to_go_on(self.scope)
            with trio.fail_after(self.app.body_timeout_s):
                body = await read_body(receive, limit_bytes=self.app.max_body_bytes)
        except Disconnected:
            return
        except trio.TooSlowError:
            await self._refuse(request, BodyTimeout(), send)
        except BodyTooLarge as error:
            await self._refuse(request, error, send, receive)
        else:
            response = await self.app.service.handle(replace(request, body=body) if body else request)
            if response.events is not None:
                await self._give_over(response, response.events, receive, send)
                return
            await self._send(response, send)
            if response.content is None or await self._send_content(response.content, send):
                await _send_body(response.body, send)

    async def _give_over(
        self, response: HttpResponse, events: EventStream, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Send the head of an answer that takes over its connection, and then what its session is told."""
        connection: GuardedStream | SecureStream | None = self.scope["state"].get("connection")
        try:
            assert self.app.gateway is not None, "nobody serves event streams here"
            await self._send(response, send)
            await _send_body(response.body, send, more=True)
        except BaseException:  # cancellation too: a session that nobody will run must not stay subscribed
            events.admitted.session.abandon()
            raise
        transport = AsgiEventStream(receive, send, connection=connection)
        async with transport.open():
            await self.app.gateway.serve_events(events, transport)

    async def _pass_on(self, request: HttpRequest, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer a request whose handler reads the body itself."""
        body = AsgiBody(request, receive, partial(_tell_to_go_on, self.scope), timeout_s=self.app.body_timeout_s)
        response = await self.app.service.handle(replace(request, stream=body))
        await self._send(response, send)
        if response.content is not None and not await self._send_content(response.content, send):
            return
        if body.begun and not body.ended:
            await _send_body(response.body, send, more=True)
            await body.discard()
            await _send_body(b"", send)
        else:
            await _send_body(response.body, send)

    async def _send_content(self, content: Content, send: ASGISendCallable) -> bool:
        """Send a content piece by piece. False when that has failed: the client left, takes nothing, or there is
        nothing to send. The connection is then ended, which is all that can still be told to a client."""
        connection: GuardedStream | SecureStream | None = self.scope["state"].get("connection")
        missing = content.size_bytes
        try:
            async with aclosing(content.chunks()) as chunks:
                async for chunk in chunks:
                    if connection is not None and connection.closed:
                        break
                    # HTTP/2 has a window of its own for each stream, which a client need not open.
                    with trio.fail_after(self.app.send_timeout_s):
                        await _send_body(chunk, send, more=True)
                    missing -= len(chunk)
        except EngineError as error:
            log.error("a file could not be sent", reason=error.message)
        except trio.TooSlowError:
            log.debug("client takes nothing of a file")
        if missing and connection is not None:
            connection.abort()
        return not missing

    async def _refuse(
        self,
        request: HttpRequest,
        error: EngineError,
        send: ASGISendCallable,
        receive: ASGIReceiveCallable | None = None,
    ) -> None:
        """Answer without a handler. Given `receive`, read on for a moment: the client is still sending."""
        response = self.app.service.refuse(request, error)
        await self._send(response, send)
        await _send_body(response.body, send, more=receive is not None)
        if receive is not None:
            with trio.move_on_after(DRAIN_S):
                message = await receive()
                while message["type"] == "http.request" and message.get("more_body", False):
                    message = await receive()
            await _send_body(b"", send)

    async def _send(self, response: HttpResponse, send: ASGISendCallable) -> None:
        headers = _raw_headers(response, self.scope)
        await send({"type": "http.response.start", "status": response.status, "headers": headers})


class SocketConnection(TrioASGIWebsocketConnection):
    """One WebSocket of one ASGI server."""

    app: ChinwagApp
    scope: WebsocketScope

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Decide who may connect, then serve the session until it ends."""
        await receive()  # websocket.connect
        gateway = self.app.gateway
        request = to_request(self.scope)
        if gateway is None:
            await self._deny(await self.app.service.handle(request), send)
            return
        granted = await gateway.ask(request)
        if isinstance(granted, HttpResponse):
            await self._deny(granted, send)
            return
        try:
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        except BaseException:  # cancellation too: a session that nobody will run must not stay subscribed
            granted.abandon()
            raise
        transport = AsgiTransport(receive, send, connection=self.scope["state"].get("connection"))
        async with transport.open():
            await gateway.serve(granted, transport)

    async def _deny(self, response: HttpResponse, send: ASGISendCallable) -> None:
        start: WebsocketResponseStartEvent = {
            "type": "websocket.http.response.start",
            "status": response.status,
            "headers": _raw_headers(response, self.scope),
        }
        await send(start)
        await send({"type": "websocket.http.response.body", "body": response.body, "more_body": False})


def to_request(scope: HTTPScope | WebsocketScope) -> HttpRequest:
    """The request of an ASGI scope, without its body."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    path = scope["raw_path"].decode("latin-1")
    if not path.startswith("/") and path != "*":  # "http://host/path", which a server has to accept
        path = "/" + path.partition("://")[2].partition("/")[2]
    client = scope["client"]
    return HttpRequest(
        method=scope["method"] if scope["type"] == "http" else "GET",
        path=path,
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        host=headers.get("host", headers.get(":authority", "")),
        client="" if client is None else client[0],
        secure=scope["scheme"] in ("https", "wss"),
    )


def _raw_headers(response: HttpResponse, scope: HTTPScope | WebsocketScope) -> list[tuple[bytes, bytes]]:
    """A response's headers for an ASGI server. hypercorn closes a connection on which it denied a WebSocket."""
    first = scope["http_version"].startswith("1")
    headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in response.headers
        if first or name not in _CONNECTION_HEADERS  # which HTTP/2 forbids
    ]
    headers += response.fixed.raw
    if first and scope["type"] == "websocket":
        headers.append((b"connection", b"close"))
    return headers


class AsgiBody:
    """The body of one request, read when its handler asks for more. A `BodySource`."""

    def __init__(
        self,
        request: HttpRequest,
        receive: ASGIReceiveCallable,
        tell_to_go_on: Callable[[], Awaitable[None]],
        *,
        timeout_s: float,
    ) -> None:
        declared = request.headers.get("content-length", "")
        self.declared_bytes = int(declared[:20]) if declared.isdecimal() else None
        self._receive = receive
        self._tell_to_go_on = tell_to_go_on
        self._patience = Patience(timeout_s)
        self.begun = "expect" not in request.headers
        """Whether the client sends: one that waits to be told so has not begun."""
        self.ended = False
        """Whether nothing more comes."""

    async def read(self) -> bytes:
        """See `BodySource.read`."""
        if not self.begun:
            self.begun = True
            await self._tell_to_go_on()
        while not self.ended:
            data = await self._next()
            if data:
                return data
        return b""

    async def discard(self) -> None:
        """Read and drop the rest, within bounds."""
        dropped = 0
        with trio.move_on_after(UNREAD_S):
            while not self.ended and dropped < UNREAD_BYTES:
                message = await self._receive()
                if message["type"] != "http.request":
                    return
                dropped += len(message.get("body", b""))
                self.ended = not message.get("more_body", False)

    async def _next(self) -> bytes:
        began = trio.current_time()
        with trio.move_on_after(self._patience.left_s) as waiting:
            message = await self._receive()
        if waiting.cancelled_caught:
            raise BodyTimeout
        if message["type"] != "http.request":
            self.ended = True
            raise IncompleteBody
        data = message.get("body", b"")
        self.ended = not message.get("more_body", False)
        self._patience.note(len(data), trio.current_time() - began)
        return data


def _has_body(scope: HTTPScope) -> bool:
    """Whether a body may follow. In HTTP/2 one needs no length; that costs those requests a look at their route."""
    if not scope["http_version"].startswith("1"):
        return scope["method"] not in ("GET", "HEAD")
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


async def _tell_to_go_on(scope: HTTPScope) -> None:
    """Tell a client that waits for it (Expect: 100-continue) to send the body."""
    tell = scope["state"].get("continue")
    if tell is not None:
        await tell()


def refuse_if_declared_too_large(request: HttpRequest, limit_bytes: int) -> None:
    """Raise BodyTooLarge for a body that says itself that it is."""
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > limit_bytes:
        raise BodyTooLarge(limit_bytes)


async def read_body(receive: ASGIReceiveCallable, *, limit_bytes: int) -> bytes:
    """The whole body. Raises BodyTooLarge as soon as that is known, Disconnected when the client leaves."""
    chunks: list[bytes] = []
    size_bytes = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        chunk = message.get("body", b"")
        size_bytes += len(chunk)
        if size_bytes > limit_bytes:
            raise BodyTooLarge(limit_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _send_body(body: bytes, send: ASGISendCallable, *, more: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
