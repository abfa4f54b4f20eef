"""The fast lane: HTTP/1.1 on plain sockets, with nothing between a request and `HttpService.handle`.

One task per connection reads a request, has it answered, and writes the answer; then the next. So answers are in order,
requests that change something never overtake each other (RFC 9112 section 9.3.2), and a client that sends ahead is
read no further than one buffer while a handler works: the rest waits in the kernel, and in the client. Nobody reads
while a handler runs, so a client that leaves cannot cancel a commit under way; what it asked for is done and the answer
dropped. Answers to requests that came together leave together, unless a handler has to wait.

Time is watched from outside, once a tick for all connections: no timer is set or cleared for a request.
"""

import enum
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Final, Protocol, TypeVar

import structlog
import trio

from chinwag.engine.errors import EngineError, InternalError
from chinwag.http.answers import CONTINUE, Answers
from chinwag.http.bodies import STREAM_STEP_BYTES, UNREAD_BYTES, UNREAD_S
from chinwag.http.chunked import ChunkedBody
from chinwag.http.coroutines import calling_before_it_waits
from chinwag.http.head import RequestHead, refusal
from chinwag.http.lane_head import (
    CHUNKED,
    HEAD_END,
    LaneHead,
    guess_request,
    judge_unfinished,
    parse_lane_head,
    skip_empty_lines,
)
from chinwag.http.listener import ListenerConfig
from chinwag.http.messages import Content, HttpRequest, HttpResponse
from chinwag.http.refusals import (
    BodyTimeout,
    BodyTooLarge,
    HeadTimeout,
    HeadTooLarge,
    HttpRefusal,
    IncompleteBody,
    MalformedRequest,
)
from chinwag.http.streams import READ_BYTES, discard, reset

log = structlog.get_logger("chinwag.http")
T = TypeVar("T")

BATCH_BYTES: Final = 64 * 1024
"""Answers to pipelined requests that are held back to be written together; more are written at once."""
BATCH_REQUESTS: Final = 32
"""How many pipelined requests are answered before other connections have their turn."""
LINGER_S: Final = 2.0
LINGER_BYTES: Final = 256 * 1024
"""How long, and how much, to read from a client that got its last answer: closing a socket that holds unread bytes
resets the connection, and the reset can overtake the answer (RFC 9112 section 9.6)."""
TICK_S: Final = 1.0
"""How often time limits are looked at, and so how exact they are. Shorter limits are looked at more often."""


class Handler(Protocol):
    """Who answers: `HttpService`."""

    async def handle(self, request: HttpRequest, /) -> HttpResponse:
        """The answer to a request, whatever it is."""
        ...

    def refuse(self, request: HttpRequest, error: EngineError, /) -> HttpResponse:
        """The answer to a request that the server itself refuses."""
        ...

    def streams(self, request: HttpRequest, /) -> bool:
        """Whether `handle` reads the body of this request from `request.stream`. Asked only of bodies still to come."""
        ...


OnUpgrade = Callable[[RequestHead, trio.SocketStream, bytes], Awaitable[Awaitable[None] | None]]
"""Answers an opening handshake (`accept_upgrade`, `refuse`); what it returns runs the connection until it ends.

The bytes are what the client sent after the head. The stream is closed at the end, if it is not already.
"""


class Phase(enum.Enum):
    """What a connection waits for, and so which time limit it is under."""

    IDLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    HANDLER = enum.auto()
    SENDING = enum.auto()
    LEAVING = enum.auto()


_IDLE, _HEAD, _BODY, _HANDLER, _SENDING, _LEAVING = Phase


class _TimeOver(Exception):
    """The sweep woke a reader: its client was too slow, or the server stops."""


class _Gone(Exception):
    """The client left, or its connection was reset. There is nobody to answer."""


class Lane:
    """All connections of one server on the fast lane. A `ConnectionServer`."""

    def __init__(self, handler: Handler, on_upgrade: OnUpgrade, config: ListenerConfig | None = None) -> None:
        self._handler = handler
        self._on_upgrade = on_upgrade
        self._limits = config or ListenerConfig()
        self._time_limits: dict[Phase, float] = {
            _IDLE: self._limits.keep_alive_timeout_s,
            _HEAD: self._limits.head_timeout_s,
            _BODY: self._limits.body_timeout_s,
            _SENDING: self._limits.send_timeout_s,
        }
        self._answers = Answers()
        self._connections: set[_Connection] = set()
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

    async def serve_connection(self, stream: trio.SocketStream) -> Awaitable[None] | None:
        """Answer requests until the client leaves, does wrong or is too slow, or asks for a WebSocket.

        Then the handshake is answered, and returned is what runs the WebSocket: an idle one holds nothing of this.
        """
        connection = _Connection(stream, self)
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
                if head.wants_websocket:
                    if answers:
                        await connection.send(answers)
                    upgrade = head.as_request_head()
                    continue
                # Then its body.
                body = b""
                if head.length:
                    if 0 < head.length <= len(data) and head.length <= self._limits.max_body_bytes:
                        body, data = data[: head.length], data[head.length :]
                    elif self._handler.streams(head.request(b"", connection.client)):
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
                work = self._handler.handle(head.request(body, connection.client))
                if answers:
                    response = await calling_before_it_waits(work, connection.sender(answers))
                else:
                    response = await work
                if self.stopping or not head.keep_alive:
                    answers.append(self._answers.encode(response, close=True))
                    if response.content is not None:
                        await self._send_content(connection, response.content, answers)
                    await connection.leave(answers)
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
        except _TimeOver:
            if self.stopping or connection.phase is _IDLE:
                return None
            late = HeadTimeout() if connection.phase is _HEAD else BodyTimeout()
            await self._refuse(connection, head, data, late, answers)
        except ValueError:
            log.exception("an answer could not be sent")
            await self._refuse(connection, head, data, InternalError(), answers)
        except (_Gone, OSError):
            log.debug("client left")
        finally:
            self._connections.discard(connection)
        return None if upgrade is None else await self._on_upgrade(upgrade, stream, data)

    async def _read_body(
        self, connection: "_Connection", head: LaneHead, data: bytes, answers: list[bytes]
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

    async def _pass_on(
        self, connection: "_Connection", head: LaneHead, data: bytes, answers: list[bytes]
    ) -> bytes | None:
        """Answer a request whose handler reads the body itself. What comes after it; None when the connection ends.

        It ends after its answer when the handler did not want all of the body: where the next request begins is then
        known only to who reads the rest, and that is more than anybody owes a client.
        """
        if answers:
            await connection.send(answers)
        connection.phase = _HANDLER
        body = _LaneBody(connection, head, data)
        response = await self._handler.handle(head.request(b"", connection.client, body))
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
            await connection.leave(answers)
        else:
            await connection.leave(answers, unread_bytes=UNREAD_BYTES, unread_s=UNREAD_S)
        return None

    async def _send_content(self, connection: "_Connection", content: Content, answers: list[bytes]) -> None:
        """Send what is ready and then a content, piece by piece. Raises `_Gone` when it ends early: the client has its
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
            raise _Gone

    async def _read_more(self, connection: "_Connection") -> bytes:
        data = await connection.read()
        if not data:
            raise _Gone
        return data

    async def _refuse(
        self,
        connection: "_Connection",
        head: LaneHead | None,
        data: bytes,
        error: EngineError,
        answers: list[bytes],
    ) -> None:
        """Answer a request that will not be looked at, in its front's shape if it can be told, and close."""
        request = guess_request(data) if head is None else head.request(b"", connection.client)
        if request is not None:
            answers.append(self._answers.encode(self._handler.refuse(request, error), close=True))
        else:
            answers.append(refusal(error.status if isinstance(error, HttpRefusal) else 500, error.message))
        try:
            await connection.leave(answers)
        except (_Gone, OSError):
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


class _Connection:
    """One socket: reads and writes that say what they wait for, so that the sweep can end them."""

    __slots__ = ("_client", "_fileno", "_lane", "_stream", "fresh", "phase", "since")

    def __init__(self, stream: trio.SocketStream, lane: Lane) -> None:
        self._stream = stream
        # Asked for at each call, never kept: after a close it is -1, while the kernel gives the number to the next
        # connection. Reading and writing by the number saves a checkpoint and an exception for each request.
        self._fileno: Callable[[], int] = stream.socket.fileno
        self._lane = lane
        self._client: str | None = None
        self.phase = _HEAD
        self.since = lane.now
        """When the phase began, by the lane's time; of sending, when the client last took something."""
        self.fresh = True
        """Until a first head has come."""

    def enter(self, phase: Phase) -> None:
        """Wait for something else from now on."""
        self.phase = phase
        self.since = self._lane.now

    @property
    def now(self) -> float:
        """The lane's time."""
        return self._lane.now

    @property
    def client(self) -> str:
        """The peer's address; "" when it has left."""
        if self._client is None:
            try:
                self._client = str(self._stream.socket.getpeername()[0])
            except OSError:
                self._client = ""
        return self._client

    async def read(self) -> bytes:
        """Wait for bytes; b"" at the end of the stream. Raises `_TimeOver` when woken by the sweep."""
        try:
            while True:
                # Waiting first saves the read that fails, which is the usual one.
                await trio.lowlevel.wait_readable(self._fileno())
                try:
                    return os.read(self._fileno(), READ_BYTES)
                except BlockingIOError:
                    continue
        except trio.ClosedResourceError:
            raise (_Gone if self._fileno() == -1 else _TimeOver) from None
        except ValueError:  # what trio makes of a descriptor of -1
            raise _Gone from None

    def wake_reader(self) -> None:
        """End a `read` that waits. Does nothing to one that has just got something."""
        if self._fileno() != -1:
            trio.lowlevel.notify_closing(self._fileno())

    def sender(self, answers: list[bytes]) -> Callable[[], None]:
        """A function that sends as many of the answers as go without waiting."""

        def send() -> None:
            data = b"".join(answers)
            try:
                taken = os.write(self._fileno(), data)
            except OSError:  # full, or gone: found out about again when the rest is sent
                taken = 0
            answers[:] = [data[taken:]] if taken < len(data) else []

        return send

    async def send(self, answers: list[bytes]) -> None:
        """Write all answers, and empty the list. Raises `OSError` or `_Gone` when the client is gone."""
        data = answers[0] if len(answers) == 1 else b"".join(answers)
        answers.clear()
        try:
            taken = os.write(self._fileno(), data)
        except BlockingIOError:
            taken = 0
        if taken < len(data):
            await self._send_rest(memoryview(data)[taken:])

    async def _send_rest(self, data: memoryview) -> None:
        self.enter(_SENDING)
        try:
            while data:
                await trio.lowlevel.wait_writable(self._fileno())
                try:
                    taken = os.write(self._fileno(), data)
                except BlockingIOError:
                    continue
                self.since = self._lane.now
                data = data[taken:]
        except (trio.ClosedResourceError, ValueError):
            raise _Gone from None

    async def leave(
        self, answers: list[bytes], *, unread_bytes: int = LINGER_BYTES, unread_s: float = LINGER_S
    ) -> None:
        """Write the last answers, close this side, and read on for a moment so that no reset overtakes them."""
        await self.send(answers)
        self.phase = _LEAVING
        with trio.move_on_after(unread_s):
            try:
                await self._stream.send_eof()
                await discard(self._stream, unread_bytes)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise _Gone from None

    def reset(self) -> None:
        """Close at once and drop what was not delivered."""
        reset(self._stream)


class _LaneBody:
    """The body of one request, read when its handler asks for more. A `BodySource`."""

    __slots__ = (
        "_chunked",
        "_connection",
        "_data",
        "_expected",
        "_missing",
        "_step_bytes",
        "_waited_s",
        "declared_bytes",
        "rest",
        "whole",
    )

    def __init__(self, connection: _Connection, head: LaneHead, data: bytes) -> None:
        """`data` is what came with the head."""
        self._connection = connection
        self._data = data
        self._chunked = ChunkedBody(sys.maxsize) if head.length == CHUNKED else None
        self._missing = head.length
        self.declared_bytes = None if head.length == CHUNKED else head.length
        self._expected = head.expects_continue and not data
        """Whether the client still waits to be told to go on."""
        self._step_bytes = 0
        self._waited_s = 0.0
        """What came since progress was last noted, and how long it was waited for."""
        self.whole = False
        """Whether all of it was read: `rest` is then what came after it."""
        self.rest = b""

    async def read(self) -> bytes:
        """See `BodySource.read`."""
        while not self.whole:
            if self._expected:
                self._expected = False
                await self._send_continue()
            data, self._data = self._data, b""
            if data:
                piece = self._decode(data)
                if piece:
                    return piece
            else:
                self._data = await self._more()
        return b""

    def _decode(self, data: bytes) -> bytes:
        """The part of `data` that is body."""
        if self._chunked is not None:
            try:
                rest = self._chunked.feed(data)
            except BodyTooLarge:  # of a size that no memory has
                raise MalformedRequest("a chunk's size is malformed") from None
            if rest is not None:
                self.whole, self.rest = True, rest
            return self._chunked.take()
        piece = data[: self._missing]
        self._missing -= len(piece)
        if not self._missing:
            self.whole, self.rest = True, data[len(piece) :]
        return piece

    async def _more(self) -> bytes:
        connection = self._connection
        began = connection.now
        connection.phase = _BODY
        connection.since = began - self._waited_s
        try:
            data = await connection.read()
        except _TimeOver:
            raise BodyTimeout from None
        except (_Gone, OSError):
            raise IncompleteBody from None
        finally:
            connection.phase = _HANDLER
        if not data:
            raise IncompleteBody
        self._step_bytes += len(data)
        self._waited_s += connection.now - began
        if self._step_bytes >= STREAM_STEP_BYTES:
            self._step_bytes = 0
            self._waited_s = 0.0
        return data

    async def _send_continue(self) -> None:
        try:
            await self._connection.send([CONTINUE])
        except (_Gone, OSError):
            raise IncompleteBody from None
        finally:
            self._connection.phase = _HANDLER
