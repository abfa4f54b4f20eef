"""The fast lane: HTTP/1.1 with nothing between a request and `HttpService.handle`, on plain sockets and over TLS.

One task per connection reads a request, has it answered, and writes the answer; then the next. So answers are in order,
requests that change something never overtake each other (RFC 9112 section 9.3.2), and a client that sends ahead is
read no further than one buffer while a handler works: the rest waits in the kernel, and in the client. Nobody reads
while a handler runs, so a client that leaves cannot cancel a commit under way; what it asked for is done and the answer
dropped. Answers to requests that came together leave together, unless a handler has to wait.

Time is watched from outside, once a tick for all connections: no timer is set or cleared for a request.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, Protocol

import structlog
import trio

from chinwag.engine.model.errors import EngineError, InternalError
from chinwag.http.api.bodies import UNREAD_BYTES, UNREAD_S
from chinwag.http.api.refusals import BodyTimeout, BodyTooLarge, HeadTimeout, HeadTooLarge, HttpRefusal
from chinwag.http.api.values import Content, EventStream, HttpRequest, HttpResponse
from chinwag.http.lane.answers import CONTINUE, Answers
from chinwag.http.lane.body import LaneBody
from chinwag.http.lane.chunked import ChunkedBody
from chinwag.http.lane.connection import Connection, ConnectionPhase, Gone, PlainConnection, SecureConnection, TimeOver
from chinwag.http.lane.head import RequestHead, refusal
from chinwag.http.lane.parsing import (
    CHUNKED,
    HEAD_END,
    LaneHead,
    guess_request,
    judge_unfinished,
    parse_lane_head,
    skip_empty_lines,
)
from chinwag.http.listener.bad_clients import BadClients
from chinwag.http.listener.listener import ListenerConfig
from chinwag.http.listener.streams import LINGER_BYTES, LINGER_S, AcceptedStream, SecureStream

log = structlog.get_logger("chinwag.http")

BATCH_BYTES: Final = 64 * 1024
"""Answers to pipelined requests that are held back to be written together; more are written at once."""
BATCH_REQUESTS: Final = 32
"""How many pipelined requests are answered before other connections have their turn."""
TICK_S: Final = 1.0
"""How often time limits are looked at, and so how exact they are. Shorter limits are looked at more often."""


class Handler(Protocol):
    """Who answers: `HttpService`."""

    def handle(self, request: HttpRequest, /) -> Coroutine[Any, Any, HttpResponse]:
        """The answer to a request, whatever it is."""
        ...

    def refuse(self, request: HttpRequest, error: EngineError, /) -> HttpResponse:
        """The answer to a request that the server itself refuses."""
        ...

    def opens_socket(self, request: HttpRequest, /) -> bool:
        """Whether a WebSocket may be asked for here; else the upgrade is ignored. Asked only of requests that do."""
        ...

    def streams(self, request: HttpRequest, /) -> bool:
        """Whether `handle` reads the body of this request from `request.stream`. Asked only of bodies still to come."""
        ...


OnUpgrade = Callable[[RequestHead, AcceptedStream, bytes], Awaitable[Awaitable[None] | None]]
"""Answers an opening handshake, good or bad; what it returns runs the connection until it ends.

The bytes are what the client sent after the head. The stream is closed at the end, if it is not already.
"""

OnEvents = Callable[[EventStream, AcceptedStream], Awaitable[None]]
"""Makes what runs the connection after the head of an answer that takes it over."""


_IDLE, _HEAD, _BODY, _HANDLER, _SENDING = (
    ConnectionPhase.IDLE,
    ConnectionPhase.HEAD,
    ConnectionPhase.BODY,
    ConnectionPhase.HANDLER,
    ConnectionPhase.SENDING,
)


class Lane:
    """All connections of one server on the fast lane. A `ConnectionServer`."""

    def __init__(
        self,
        handler: Handler,
        on_upgrade: OnUpgrade,
        config: ListenerConfig | None = None,
        *,
        on_events: OnEvents | None = None,
        bad_clients: BadClients | None = None,
    ) -> None:
        """Without `on_events` no answer may take over its connection."""
        self._handler = handler
        self._on_events = on_events
        self._on_upgrade = on_upgrade
        self._limits = config or ListenerConfig()
        self._bad_clients = bad_clients or BadClients()
        self._time_limits: dict[ConnectionPhase, float] = {
            _IDLE: self._limits.keep_alive_timeout_s,
            _HEAD: self._limits.head_timeout_s,
            _BODY: self._limits.body_timeout_s,
            _SENDING: self._limits.send_timeout_s,
        }
        self._answers = Answers()
        self._connections: set[Connection] = set()
        self.now = 0.0
        """Trio's time at the last tick: near enough for limits of seconds, and free."""
        self.stopping = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch the time within the block."""
        self.now = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tick_forever)
            yield
            nursery.cancel_scope.cancel()

    async def begin_shutdown(self) -> None:
        """Close connections on which no request has begun to be served, and the others after their answer."""
        self.stopping = True
        for connection in self._connections:
            if connection.phase is _IDLE or connection.phase is _HEAD:
                connection.wake_reader()

    # --- a connection's life ---

    async def serve_connection(self, stream: AcceptedStream) -> Awaitable[None] | None:
        """Answer requests until the client leaves, does wrong or is too slow, or asks for a WebSocket.

        Then the handshake is answered, and returned is what runs the WebSocket: an idle one holds nothing of this.
        It is the same with an answer that takes over the connection.
        """
        connection = (
            SecureConnection(stream, self) if isinstance(stream, SecureStream) else PlainConnection(stream, self)
        )
        self._connections.add(connection)
        data = b""
        answers: list[bytes] = []
        answered = 0
        head: LaneHead | None = None
        upgrade: RequestHead | None = None
        try:
            while upgrade is None:
                # First a whole head.
                while True:
                    begun = False
                    if data:
                        if data[0] <= 0x20:
                            data = skip_empty_lines(data)
                        begun = data[0] not in b"\r\n"
                        if begun:
                            end = data.find(HEAD_END)
                            if end >= 0:
                                break
                            judge_unfinished(data, self._limits.max_head_bytes)
                    if answers:
                        await connection.send(answers)
                    answered = 0
                    if self.stopping:
                        return None
                    phase = _HEAD if begun or connection.fresh else _IDLE
                    if connection.phase is not phase:
                        connection.enter(phase)
                    more = await connection.read()
                    if not more:
                        return None
                    data = data + more if data else more
                    del more
                end += len(HEAD_END)
                if end > self._limits.max_head_bytes:
                    raise HeadTooLarge(f"the request's head is larger than {self._limits.max_head_bytes} bytes")
                head = parse_lane_head(data[:end])
                data = data[end:]
                connection.fresh = False
                if head.wants_websocket and self._handler.opens_socket(head.request(b"", connection.client)):
                    if answers:
                        await connection.send(answers)
                    upgrade = head.as_request_head()
                    continue
                # Then its body.
                body = b""
                if head.length:
                    if 0 < head.length <= len(data) and head.length <= self._limits.max_body_bytes:
                        body, data = data[: head.length], data[head.length :]
                    elif self._handler.streams(head.request(b"", connection.client, secure=connection.secure)):
                        rest = await self._pass_on(connection, head, data, answers)
                        if rest is None:
                            return None
                        data = rest
                        head = None
                        continue
                    elif head.length > self._limits.max_body_bytes:
                        raise BodyTooLarge(self._limits.max_body_bytes)
                    else:
                        if head.expects_continue and not data:
                            answers.append(CONTINUE)
                        body, data = await self._read_body(connection, head, data, answers)
                # Then its answer.
                connection.phase = _HANDLER
                work = self._handler.handle(head.request(body, connection.client, secure=connection.secure))
                response = await (connection.answering(work, answers) if answers else work)
                if response.events is not None:
                    return await self._give_over(connection, stream, response, response.events, answers)
                if self.stopping or not head.keep_alive:
                    answers.append(self._answers.encode(response, close=True))
                    if response.content is not None:
                        await self._send_content(connection, response.content, answers)
                    await connection.leave(answers, unread_bytes=LINGER_BYTES, unread_s=LINGER_S)
                    return None
                answers.append(self._answers.encode(response, keep_alive=head.version == "1.0"))
                if response.content is not None:
                    await self._send_content(connection, response.content, answers)
                answered += 1
                large = len(response.body) >= BATCH_BYTES
                # Or a connection that waits for its next request would keep the last one and its answer for so long.
                head = None
                del body, work, response
                if large or answered >= BATCH_REQUESTS:
                    await connection.send(answers)
                    await trio.lowlevel.checkpoint()
                    answered = 0
        except HttpRefusal as refused:
            await self._refuse(connection, head, data, refused, answers)
        except TimeOver:
            if self.stopping or connection.phase is _IDLE:
                return None
            late = HeadTimeout() if connection.phase is _HEAD else BodyTimeout()
            await self._refuse(connection, head, data, late, answers)
        except ValueError:
            log.exception("an answer could not be sent")
            await self._refuse(connection, head, data, InternalError(), answers)
        except (Gone, OSError):
            log.debug("client left")
        finally:
            self._connections.discard(connection)
        return None if upgrade is None else await self._on_upgrade(upgrade, stream, data)

    async def _give_over(
        self,
        connection: Connection,
        stream: AcceptedStream,
        response: HttpResponse,
        events: EventStream,
        answers: list[bytes],
    ) -> Awaitable[None]:
        """Send the head of an answer that takes over its connection. What is returned runs it to its end."""
        try:
            assert self._on_events is not None, "nobody serves event streams here"
            answers.append(self._answers.encode(response, close=True))
            await connection.send(answers)
            return self._on_events(events, stream)
        except BaseException:  # cancellation too: a session that nobody will run must not stay subscribed
            events.admitted.session.abandon()
            raise

    async def _read_body(
        self, connection: Connection, head: LaneHead, data: bytes, answers: list[bytes]
    ) -> tuple[bytes, bytes]:
        """The body, of which `data` is the beginning, and what comes after it."""
        if head.length == CHUNKED:
            chunked = ChunkedBody(self._limits.max_body_bytes)
            rest = chunked.feed(data)
            if rest is None:
                if answers:
                    await connection.send(answers)
                connection.enter(_BODY)
            while rest is None:
                rest = chunked.feed(await self._read_more(connection))
            return chunked.body, rest
        if answers:
            await connection.send(answers)
        connection.enter(_BODY)
        pieces = [data]
        missing = head.length - len(data)
        while missing > 0:
            pieces.append(await self._read_more(connection))
            missing -= len(pieces[-1])
        whole = b"".join(pieces)
        return whole[: head.length], whole[head.length :]

    async def _pass_on(self, connection: Connection, head: LaneHead, data: bytes, answers: list[bytes]) -> bytes | None:
        """Answer a request whose handler reads the body itself. What comes after it; None when the connection ends.

        It ends after its answer when the handler did not want all of the body: where the next request begins is then
        known only to who reads the rest, and that is more than anybody owes a client.
        """
        if answers:
            await connection.send(answers)
        connection.phase = _HANDLER
        body = LaneBody(connection, head, data)
        response = await self._handler.handle(head.request(b"", connection.client, body, secure=connection.secure))
        connection.phase = _HANDLER
        ends = self.stopping or not head.keep_alive or not body.whole
        answers.append(self._answers.encode(response, close=ends, keep_alive=not ends and head.version == "1.0"))
        if response.content is not None:
            await self._send_content(connection, response.content, answers)
        elif not ends:
            await connection.send(answers)
        if not ends:
            return body.rest
        if body.whole:
            await connection.leave(answers, unread_bytes=LINGER_BYTES, unread_s=LINGER_S)
        else:
            await connection.leave(answers, unread_bytes=UNREAD_BYTES, unread_s=UNREAD_S)
        return None

    async def _send_content(self, connection: Connection, content: Content, answers: list[bytes]) -> None:
        """Send what is ready and then a content, piece by piece. Raises `Gone` when it ends early: the client has its
        length already, and can be told of the failure only by the end of the connection."""
        await connection.send(answers)
        missing = content.size_bytes
        try:
            async with aclosing(content.chunks()) as chunks:
                connection.phase = _HANDLER
                async for chunk in chunks:
                    await connection.send([chunk])
                    missing -= len(chunk)
                    connection.phase = _HANDLER
        except EngineError as error:
            log.error("a file could not be sent", reason=error.message)
        if missing:
            connection.reset()
            raise Gone

    async def _read_more(self, connection: Connection) -> bytes:
        data = await connection.read()
        if not data:
            raise Gone
        return data

    async def _refuse(
        self,
        connection: Connection,
        head: LaneHead | None,
        data: bytes,
        error: EngineError,
        answers: list[bytes],
    ) -> None:
        """Answer a request that will not be looked at, in its front's shape if it can be told, and close."""
        if isinstance(error, HttpRefusal) and error.breaks_rules:
            self._bad_clients.report(error.message, client=connection.client, protocol="HTTP/1.1")
        request = (
            guess_request(data, secure=connection.secure)
            if head is None
            else head.request(b"", connection.client, secure=connection.secure)
        )
        if request is not None:
            answers.append(self._answers.encode(self._handler.refuse(request, error), close=True))
        else:
            status = error.status if isinstance(error, HttpRefusal) else 500
            answers.append(refusal(status, error.message, secure=connection.secure))
        try:
            await connection.leave(answers, unread_bytes=LINGER_BYTES, unread_s=LINGER_S)
        except (Gone, OSError):
            log.debug("client left before its refusal")

    # --- time ---

    async def _tick_forever(self) -> None:
        tick_s = min([TICK_S, *(limit_s / 4 for limit_s in self._time_limits.values())])
        while True:
            await trio.sleep(tick_s)
            self.now = now = trio.current_time()
            limits = self._time_limits
            for connection in tuple(self._connections):
                limit_s = limits.get(connection.phase)
                if limit_s is not None and now - connection.since >= limit_s:
                    if connection.phase is _SENDING:
                        connection.reset()
                    else:
                        connection.wake_reader()
