"""HTTP/2 over TLS, with nothing but h2's protocol between a request and `HttpService.handle`.

One task per connection reads; each request has a task that answers it. What h2 leaves to its user is done here:
windows, deadlines, bounds on what a client may have under way, and an end that frees everything. Streams have no
priorities (RFC 9113 section 5.3.2): they send a frame each in turn.

As on the lane, a client that leaves, or resets a stream, cancels nothing that a handler has begun.
"""

import math
from contextlib import aclosing, suppress
from email.utils import formatdate
from typing import Final, Protocol

import structlog
import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from chinwag.engine.model.errors import EngineError, InternalError
from chinwag.http.api.bodies import UNREAD_BYTES, UNREAD_S
from chinwag.http.api.refusals import HttpRefusal
from chinwag.http.api.values import Content, EventStream, HttpRequest, HttpResponse
from chinwag.http.carriers.gateway import Granted
from chinwag.http.carriers.stream_transport import WebSocketStream
from chinwag.http.http2.frames import MAX_FRAME_BYTES, FrameAllowance, FrameTooLarge, HeadDecoder, TooManyFrames
from chinwag.http.http2.head import Http2Head
from chinwag.http.http2.stream import WINDOW_BYTES, Http2Body, Http2Stream, OneWayTunnel, StreamGone, Tunnel
from chinwag.http.lane.lane import Handler
from chinwag.http.listener.bad_clients import BadClients
from chinwag.http.listener.listener import ListenerConfig
from chinwag.http.listener.streams import LINGER_BYTES, LINGER_S, SecureStream, peer_address

log = structlog.get_logger("chinwag.http")

MAX_STREAMS: Final = 100
"""Requests at once on one connection; those beyond are refused, and may be tried again. One whose client resets its
stream counts until it has run to its end: who opens and resets without pause gets no more work done than others."""
STREAMS_IN_ONE_READ: Final = 2000
"""More than can be opened by what is read at once. h2 would end a connection for one stream too many."""
MAX_LARGE_BODIES: Final = 4
"""Bodies of one connection that are read into memory at once; the others wait in their windows."""
MAX_HANDLERS: Final = 32
MAX_UNSENT_BYTES: Final = 4 * 1024 * 1024
"""Of answers that one client does not take; beyond it, no more of its requests are begun. What is begun is answered, so
that at most as many answers as there may be handlers come on top of it."""
CONNECTION_WINDOW_BYTES: Final = 1024 * 1024
"""How much may be on its way to us, over all streams of a connection: each has a window of its own."""
CLOSED_STREAMS_KEPT: Final = 1000
"""How many streams that are over h2 remembers, to tell what is late from what is wrong."""
HEADER_TABLE_BYTES: Final = 4096
"""What is kept of the fields that were sent, to send them shorter, however much more the client would keep."""
READ_BYTES: Final = 16 * 1024
"""What is read at once."""

_CONNECTION_FIELDS: Final = frozenset({"connection", "upgrade"})
"""What HTTP/2 forbids (RFC 9113 section 8.2.2), of what an answer may hold."""


class Sockets(Protocol):
    """Who opens WebSockets: `Gateway`."""

    async def ask(self, request: HttpRequest, /) -> Granted | HttpResponse:
        """Whether one may be opened, or the answer that refuses it."""
        ...

    async def serve_stream(self, granted: Granted, stream: WebSocketStream, /) -> None:
        """Serve one that was granted until it ends."""
        ...

    async def events_over(self, events: EventStream, stream: WebSocketStream, /) -> None:
        """Tell what a session is told until either side ends it."""
        ...


class _Protocol(H2Connection):
    MAX_CLOSED_STREAMS = CLOSED_STREAMS_KEPT


class Http2Server:
    """All connections of one server that speak HTTP/2."""

    def __init__(
        self,
        handler: Handler,
        sockets: Sockets,
        config: ListenerConfig | None = None,
        *,
        bad_clients: BadClients | None = None,
    ) -> None:
        self.handler = handler
        self.sockets = sockets
        self.limits = config or ListenerConfig()
        self.bad_clients = bad_clients or BadClients()
        self._connections: set[_Connection] = set()
        self.stopping = False

    async def serve_connection(self, stream: SecureStream) -> None:
        """Serve one connection, after its handshake, until it ends. Closes the stream."""
        connection = _Connection(stream, self)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
            stream.close()

    async def begin_shutdown(self) -> None:
        """Close connections on which no request is under way, and the others after the answers to those that are."""
        self.stopping = True
        for connection in self._connections:
            connection.end_when_idle()


class _Connection:
    """One connection: reads, and hands what comes to the streams. A `Link`."""

    def __init__(self, stream: SecureStream, server: Http2Server) -> None:
        self._stream = stream
        self._server = server
        self._limits = limits = server.limits
        self._client = peer_address(stream)
        self.protocol: H2Connection = _Protocol(H2Configuration(client_side=False, header_encoding=None))
        self.protocol.decoder = HeadDecoder(self.protocol.DEFAULT_MAX_HEADER_LIST_SIZE)
        self.protocol.local_settings = self._settings(MAX_STREAMS)
        self.large_bodies = trio.Semaphore(MAX_LARGE_BODIES)
        self.body_timeout_s = limits.body_timeout_s
        self.send_timeout_s = limits.send_timeout_s
        self._allowance = FrameAllowance(trio.current_time())
        self._streams: dict[int, Http2Stream] = {}
        self._running = 0
        self._nursery: trio.Nursery | None = None
        self._sending = trio.Lock()
        self._deadline = trio.current_time() + limits.head_timeout_s
        """Until when the client has to say something; infinity while a request is under way."""
        self._receiving: trio.CancelScope | None = None
        self._ending = False
        self._unread_bytes = 0
        """What came since the connection's window was last opened."""
        self._handlers = trio.Semaphore(MAX_HANDLERS)
        self._unsent_bytes = 0
        self._sent = trio.Event()
        """Set, and replaced, when an answer is sent or given up."""
        self._gone = False
        self._reported = False

    def _settings(self, streams: int) -> Settings:
        values = {
            SettingCodes.MAX_CONCURRENT_STREAMS: streams,
            SettingCodes.MAX_HEADER_LIST_SIZE: self._limits.max_head_bytes,
            SettingCodes.MAX_FRAME_SIZE: MAX_FRAME_BYTES,
            SettingCodes.ENABLE_CONNECT_PROTOCOL: 1,
        }
        return Settings(client=False, initial_values=values)

    # --- a `Link` ---

    @property
    def last_received(self) -> float:
        """When bytes last arrived, on Trio's clock."""
        return self._stream.last_received

    async def flush(self) -> None:
        """See `Link.flush`."""
        async with self._sending:  # taken and sent in one: h2's bytes have an order
            data = self.protocol.data_to_send()
            if data and not self._gone:
                try:
                    await self._stream.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    self._lose()
                    self._stream.abort()  # for the reader to notice
        if self._gone:
            raise StreamGone

    def flush_soon(self) -> None:
        """See `Link.flush_soon`."""
        if self._nursery is not None and not self._gone:
            self._nursery.start_soon(self._flush_quietly)

    def delivered(self, size_bytes: int) -> None:
        """See `Link.delivered`."""
        self._allowance.sent(size_bytes)

    # --- its life ---

    async def run(self) -> None:
        """Serve until the end: the client's, or ours. Returns when nothing of it is left."""
        async with trio.open_nursery() as self._nursery:
            try:
                await self._read()
            except StreamGone:
                log.debug("client left")
            finally:
                self._lose()
                self._stream.close()

    def end_when_idle(self) -> None:
        """End at once, if no request is under way."""
        if not self._streams:
            self._ending = True
            if self._receiving is not None:
                self._receiving.cancel()

    async def _read(self) -> None:
        self.protocol.initiate_connection()
        self.protocol.local_settings = self._settings(STREAMS_IN_ONE_READ)  # what it judges by, unlike what it has said
        self.protocol.increment_flow_control_window(CONNECTION_WINDOW_BYTES - WINDOW_BYTES)
        await self.flush()
        error = ErrorCodes.NO_ERROR
        try:
            while not self._ending:
                data = await self._receive()
                if data is None:
                    break
                for piece in self._allowance.feed(data, trio.current_time()):
                    try:
                        events = self.protocol.receive_data(piece)
                    except ProtocolError as failure:  # it has its last word ready
                        self._report(f"a rule of HTTP/2 is broken: {type(failure).__name__}")
                        await self._leave()
                        return
                    for event in events:
                        self._take(event)
                    self._open_our_window()
                    await self.flush()  # where others have their turn
        except TooManyFrames:
            self._report("too many frames that ask for nothing")
            error = ErrorCodes.ENHANCE_YOUR_CALM
        except FrameTooLarge:
            self._report("a frame, or a head, is too large")
            error = ErrorCodes.FRAME_SIZE_ERROR
        self.protocol.close_connection(error)
        await self._leave()

    async def _receive(self) -> bytes | None:
        """What the client says; None when it had nothing to say for too long, or the server stops."""
        try:
            with trio.CancelScope(deadline=self._deadline) as self._receiving:
                data = await self._stream.receive_some(READ_BYTES)
                if data:
                    return data
                raise StreamGone
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise StreamGone from None
        finally:
            self._receiving = None
        return None

    def _wait_until(self, deadline: float) -> None:
        self._deadline = deadline
        if self._receiving is not None:
            self._receiving.deadline = deadline

    async def _leave(self) -> None:
        """Send the last, and read on for a moment so that no reset overtakes it."""
        with trio.move_on_after(LINGER_S):
            await self.flush()
            async with self._sending:  # and for good
                try:
                    await self._stream.finish(LINGER_BYTES)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return

    def _lose(self) -> None:
        """Nobody is there any more."""
        self._gone = True
        for stream in self._streams.values():
            stream.lose()
        self._sent.set()

    def _take(self, event: Event) -> None:
        """Act on what the client said. Raises `TooManyFrames`, and `StreamGone` when it says that it leaves."""
        match event:
            case RequestReceived():
                self._begin(event)
            case DataReceived():
                assert event.stream_id is not None
                size_bytes = event.flow_controlled_length or 0
                data = event.data or b""
                self._unread_bytes += size_bytes
                if not data and size_bytes:
                    self._allowance.spend(1, trio.current_time())
                stream = self._streams.get(event.stream_id)
                if stream is not None:
                    stream.feed(data, size_bytes - len(data))
            case StreamEnded():
                assert event.stream_id is not None
                stream = self._streams.get(event.stream_id)
                if stream is not None:
                    stream.end()
            case StreamReset():
                assert event.stream_id is not None
                stream = self._streams.get(event.stream_id)
                if stream is not None:
                    stream.lose()
                    self._sent.set()  # it may wait for its turn to be answered
                    self._sent = trio.Event()
            case WindowUpdated():
                stream = self._streams.get(event.stream_id or 0)
                for each in self._streams.values() if stream is None else (stream,):
                    each.open_window()
            case RemoteSettingsChanged():
                encoder = self.protocol.encoder
                if encoder.header_table_size > HEADER_TABLE_BYTES:
                    encoder.header_table_size = HEADER_TABLE_BYTES
                for each in self._streams.values():
                    each.open_window()
            case ConnectionTerminated():
                raise StreamGone
            case _:
                return

    def _open_our_window(self) -> None:
        """Of the connection: the streams' own bound what may wait in memory."""
        if self._unread_bytes >= CONNECTION_WINDOW_BYTES // 2:
            self.protocol.increment_flow_control_window(self._unread_bytes)
            self._unread_bytes = 0

    def _begin(self, event: RequestReceived) -> None:
        assert event.stream_id is not None and event.headers is not None and self._nursery is not None
        if self._server.stopping or self._running >= MAX_STREAMS:
            with suppress(ProtocolError):  # its client has reset it already
                self.protocol.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
            self._allowance.spend(1, trio.current_time())
            return
        head = Http2Head(event.headers, client=self._client, max_bytes=self._limits.max_head_bytes)
        stream = Http2Stream(self, event.stream_id, head, whole=event.stream_ended is not None)
        self._streams[stream.id] = stream
        self._wait_until(math.inf)
        self._running += 1
        self._nursery.start_soon(self._serve, stream)

    def _report(self, reason: str) -> None:
        if not self._reported:
            self._reported = True
            self._server.bad_clients.report(reason, client=self._client, protocol="HTTP/2")

    # --- a request's life ---

    async def _serve(self, stream: Http2Stream) -> None:
        """Answer one request. Whatever its client does meanwhile ends here."""
        try:
            if stream.head.websocket:
                await self._serve_socket(stream)
            else:
                await self._respond(stream, await self._answer(stream))
            self._let_go(stream)
            self._allowance.answered()
            await stream.drop_rest(UNREAD_BYTES, UNREAD_S)
        except StreamGone:
            log.debug("client left")
        except Exception:  # a bug costs its own stream, and none of those that share the connection
            log.exception("request ended by an error")
            stream.reset(ErrorCodes.INTERNAL_ERROR)
            self.flush_soon()
        finally:
            self._let_go(stream)
            self._running -= 1
            self._streams.pop(stream.id, None)
            if not self._streams:
                self._wait_until(trio.current_time() + self._limits.keep_alive_timeout_s)
                if self._server.stopping:
                    self.end_when_idle()

    async def _answer(self, stream: Http2Stream) -> HttpResponse:
        head, handler = stream.head, self._server.handler
        if head.refusal is not None:
            return self._refuse(head, head.refusal)
        if not stream.whole and handler.streams(head.request()):
            return await handler.handle(head.request(stream=Http2Body(stream, self.body_timeout_s)))
        try:
            body = await stream.read_all(self._limits.max_body_bytes)
        except HttpRefusal as refusal:
            return self._refuse(head, refusal)
        async with self._handlers:
            while self._unsent_bytes > MAX_UNSENT_BYTES and not stream.gone:
                await self._sent.wait()
            if stream.gone:  # and nothing was begun
                raise StreamGone
            response = await handler.handle(head.request(body))
            stream.unsent_bytes = len(response.body)
            self._unsent_bytes += stream.unsent_bytes
        return response

    def _let_go(self, stream: Http2Stream) -> None:
        """Its answer is sent, or nobody wants it."""
        if stream.unsent_bytes:
            self._unsent_bytes -= stream.unsent_bytes
            stream.unsent_bytes = 0
            self._sent.set()
            self._sent = trio.Event()

    def _refuse(self, head: Http2Head, refusal: HttpRefusal) -> HttpResponse:
        if refusal.breaks_rules:
            self._report(refusal.message)
        return self._server.handler.refuse(head.request(), refusal)

    async def _respond(self, stream: Http2Stream, response: HttpResponse) -> None:
        """Send an answer, and what may follow it."""
        if response.events is None:
            await self._send(stream, response)
            return
        try:
            await stream.send_head(response.status, _encoded(response))
            await stream.send(response.body)
        except BaseException:  # cancellation too: a session that nobody will run must not stay subscribed
            response.events.admitted.session.abandon()
            raise
        await self._server.sockets.events_over(response.events, OneWayTunnel(stream, self))

    async def _send(self, stream: Http2Stream, response: HttpResponse) -> None:
        try:
            fields = _encoded(response)
        except ValueError:
            log.exception("an answer could not be sent")
            response = self._server.handler.refuse(stream.head.request(), InternalError())
            fields = _encoded(response)
        if response.content is not None:
            await stream.send_head(response.status, fields)
            await self._send_content(stream, response.content)
            return
        await stream.send_head(response.status, fields, end=not response.body)
        await stream.send(response.body, end=bool(response.body))

    async def _send_content(self, stream: Http2Stream, content: Content) -> None:
        """Send a content piece by piece. When that fails the stream is reset: the client has its length already."""
        missing = content.size_bytes
        try:
            async with aclosing(content.chunks()) as chunks:
                async for chunk in chunks:
                    await stream.send(chunk)
                    missing -= len(chunk)
        except EngineError as error:
            log.error("a file could not be sent", reason=error.message)
        if missing:
            stream.reset(ErrorCodes.INTERNAL_ERROR)
            await self.flush()
            raise StreamGone
        await stream.send(b"", end=True)

    async def _serve_socket(self, stream: Http2Stream) -> None:
        granted = await self._server.sockets.ask(stream.head.request())
        if isinstance(granted, HttpResponse):
            await self._send(stream, granted)
            return
        try:
            await stream.send_head(200, ())
        except BaseException:  # cancellation too: a session that nobody will run must not stay subscribed
            granted.abandon()
            raise
        await self._server.sockets.serve_stream(granted, Tunnel(stream, self))

    async def _flush_quietly(self) -> None:
        try:
            await self.flush()
        except StreamGone:
            log.debug("client left")


def _encoded(response: HttpResponse) -> list[tuple[bytes, bytes]]:
    """The fields of an answer. Raises ValueError when one cannot be sent, as `Answers.encode` does."""
    fields = [
        (name, value) for name, value in (*response.fixed.headers, *response.headers) if name not in _CONNECTION_FIELDS
    ]
    fields.append(("date", formatdate(usegmt=True)))
    if any("\r" in value or "\n" in value or "\0" in value for _, value in fields):
        raise ValueError("a header of the answer holds a line end")
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
