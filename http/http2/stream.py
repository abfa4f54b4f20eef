"""One stream of an HTTP/2 connection: a body as it comes, and an answer as the client takes it.

Both directions have windows that the other side opens. Ours is opened again by what is read, so what a stream holds is
bounded; who does not open theirs has a time to do so, or the stream is reset.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final, Protocol

import trio
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError

from chinwag.http.api.bodies import Patience
from chinwag.http.api.refusals import BodyTimeout, BodyTooLarge, IncompleteBody, MalformedRequest
from chinwag.http.http2.frames import MAX_FRAME_BYTES
from chinwag.http.http2.head import Http2Head

WINDOW_BYTES: Final = 65_535
"""HTTP/2's own beginning of a stream's window: so much of a body may come before anybody reads it."""
SMALL_BODY_BYTES: Final = WINDOW_BYTES // 2
"""A body that is longer waits for its turn to be read into memory."""
TAKEN_STEP_BYTES: Final = 1024
"""How much a client has to make room for within the send timeout, or for all that is left."""

Fields = Iterable[tuple[bytes, bytes]]


class StreamGone(Exception):
    """The stream or its connection has ended. There is nobody to answer."""


class Link(Protocol):
    """The connection that a stream is of."""

    protocol: H2Connection
    large_bodies: trio.Semaphore
    """Whoever reads a large body into memory has one of these."""
    body_timeout_s: float
    send_timeout_s: float

    @property
    def last_received(self) -> float:
        """When bytes last arrived, on Trio's clock."""
        ...

    async def flush(self) -> None:
        """Send what the protocol has to say. Raises `StreamGone` when the connection has ended."""
        ...

    def flush_soon(self) -> None:
        """The same, from where nobody can wait."""
        ...

    def delivered(self, size_bytes: int) -> None:
        """So much of a body was sent."""
        ...


class Http2Stream:
    """A request's stream. The connection's reader puts in what comes; one task reads it and answers."""

    def __init__(self, link: Link, stream_id: int, head: Http2Head, *, whole: bool) -> None:
        """`whole`: the request has no body."""
        self.id = stream_id
        self.head = head
        self.whole = False
        """Whether all of the body has come."""
        self.gone = False
        """Whether the client reset it, or its connection ended."""
        self.answered = False
        """Whether our side has ended."""
        self.unsent_bytes = 0
        """What its answer takes in memory, until it is sent."""
        self._link = link
        self._pieces: deque[bytes] = deque()
        self._came_bytes = 0
        self._unread_bytes = 0
        self._came = trio.Event()
        self._window_opened = trio.Event()
        self._patience = Patience(link.send_timeout_s, TAKEN_STEP_BYTES)
        if whole:
            self.end()

    # --- the reader's side; nothing here waits ---

    def feed(self, data: bytes, padding_bytes: int) -> None:
        """A part of the body came. The window is opened again for the padding at once, for the rest as it is read."""
        if data and not self.gone:
            self._pieces.append(data)
            self._came_bytes += len(data)
            self._unread_bytes += len(data)
        self._open_our_window(padding_bytes)
        self._notify()

    def end(self) -> None:
        """The body is whole. h2 sees whether it is as long as it says, but not when it ends without a DATA frame."""
        self.whole = True
        if self.head.length not in (None, self._came_bytes) and self.head.refusal is None:
            self.head.refusal = MalformedRequest("the request's body is not as long as it says")
        self._notify()

    def lose(self) -> None:
        """The client does not want it any more, or is gone."""
        self.gone = True
        self._pieces.clear()
        self._notify()
        self.open_window()

    def open_window(self) -> None:
        """The client may take more."""
        self._window_opened.set()
        self._window_opened = trio.Event()

    def reset(self, error: ErrorCodes) -> None:
        """End it from this side, if it has not ended. Who has the answer in hand is to `flush`."""
        if not self.gone:
            self.lose()
            try:
                self._link.protocol.reset_stream(self.id, error)
            except ProtocolError:
                return  # it was over already

    # --- the body ---

    async def read(self) -> bytes:
        """The next piece of the body; b"" at its end. Raises `StreamGone`; `MalformedRequest` for a wrong length."""
        while not self._pieces:
            if self.gone:
                raise StreamGone
            if self.whole:
                if self.head.refusal is not None:
                    raise self.head.refusal
                return b""
            await self._came.wait()
        data = self._pieces.popleft()
        self._unread_bytes -= len(data)
        self._open_our_window(len(data))
        if not self.whole:
            await self._link.flush()
        return data

    async def until_gone(self) -> None:
        """Return when the client does not want the answer any more, or is gone."""
        while not self.gone:
            await self._came.wait()

    async def read_all(self, limit_bytes: int) -> bytes:
        """The whole body. Raises `BodyTooLarge`, `BodyTimeout`, `StreamGone`."""
        if self.head.length is not None and self.head.length > limit_bytes:
            raise BodyTooLarge(limit_bytes)
        if self.head.expects_continue:
            await self.go_on()
        with trio.move_on_after(self._link.body_timeout_s):
            while not (self.whole or self.gone or self._unread_bytes > SMALL_BODY_BYTES):
                await self._came.wait()
            if self.whole:
                return await self._read_all(limit_bytes)
        if self._unread_bytes <= SMALL_BODY_BYTES and not self.gone:
            raise BodyTimeout
        async with self._link.large_bodies:
            with trio.move_on_after(self._link.body_timeout_s):
                return await self._read_all(limit_bytes)
        raise BodyTimeout

    async def _read_all(self, limit_bytes: int) -> bytes:
        pieces: list[bytes] = []
        size_bytes = 0
        while piece := await self.read():
            size_bytes += len(piece)
            if size_bytes > limit_bytes:
                raise BodyTooLarge(limit_bytes)
            pieces.append(piece)
        return b"".join(pieces)

    async def drop_rest(self, most_bytes: int, most_s: float) -> None:
        """After the answer: take what the client still sends, within bounds, and reset the stream if that is not all.

        Many look for an answer only after they have sent everything.
        """
        dropped = 0
        with trio.move_on_after(most_s):
            while not self.whole and dropped < most_bytes:
                dropped += len(await self.read())
        if not self.whole:
            self.reset(ErrorCodes.NO_ERROR)
            await self._link.flush()

    async def go_on(self) -> None:
        """Tell a client that waits for it (Expect: 100-continue) to send the body."""
        if not self.whole and not self._pieces:
            await self.send_head(100, ())

    # --- the answer ---

    async def send_head(self, status: int, fields: Fields, *, end: bool = False) -> None:
        """The head of the answer; with `end` that is all. Raises `StreamGone`."""
        if self.gone:
            raise StreamGone
        self.answered = end
        try:
            self._link.protocol.send_headers(self.id, [(b":status", b"%d" % status), *fields], end_stream=end)
        except ProtocolError:
            raise StreamGone from None
        await self._link.flush()

    async def send(self, data: bytes, *, end: bool = False) -> None:
        """A part of the answer's body, at the pace of the client; with `end` the last. Raises `StreamGone`."""
        protocol = self._link.protocol
        view = memoryview(data)
        try:
            while view:
                # However large frames the client would take: other streams have their turn in between.
                size = min(
                    protocol.local_flow_control_window(self.id), protocol.max_outbound_frame_size, MAX_FRAME_BYTES
                )
                if self.gone:
                    raise StreamGone
                if size <= 0:
                    await self._wait_for_window()
                    continue
                piece, view = bytes(view[:size]), view[size:]
                self.answered = end and not view
                protocol.send_data(self.id, piece, end_stream=self.answered)
                self._patience.note(len(piece))
                self._link.delivered(len(piece))
                await self._link.flush()
            if end and not self.answered:
                self.answered = True
                protocol.end_stream(self.id)
                await self._link.flush()
        except ProtocolError:  # the stream has ended under our hands
            raise StreamGone from None

    async def _wait_for_window(self) -> None:
        began = trio.current_time()
        with trio.move_on_after(self._patience.left_s) as waiting:
            await self._window_opened.wait()
        self._patience.note(0, trio.current_time() - began)
        if waiting.cancelled_caught:
            self.reset(ErrorCodes.CANCEL)
            await self._link.flush()
            raise StreamGone

    # --- pieces ---

    def _open_our_window(self, size_bytes: int) -> None:
        if size_bytes and not self.whole and not self.gone:
            try:
                self._link.protocol.increment_flow_control_window(size_bytes, self.id)
            except ProtocolError:
                return  # the stream is over

    def _notify(self) -> None:
        self._came.set()
        self._came = trio.Event()


class Http2Body:
    """The body of a request whose handler reads it. A `BodySource`."""

    def __init__(self, stream: Http2Stream, timeout_s: float) -> None:
        self._stream = stream
        self._patience = Patience(timeout_s)
        self._expected = stream.head.expects_continue
        self.declared_bytes = stream.head.length

    async def read(self) -> bytes:
        """See `BodySource.read`."""
        began = trio.current_time()
        data: bytes | None = None
        try:
            if self._expected:
                self._expected = False
                await self._stream.go_on()
            with trio.move_on_after(self._patience.left_s):
                data = await self._stream.read()
        except StreamGone:
            raise IncompleteBody from None
        if data is None:
            raise BodyTimeout
        self._patience.note(len(data), trio.current_time() - began)
        return data


class Tunnel:
    """A stream that carries a WebSocket (RFC 8441). A `WebSocketStream`."""

    def __init__(self, stream: Http2Stream, link: Link) -> None:
        self._stream = stream
        self._link = link

    @property
    def last_received(self) -> float:
        """When bytes last arrived on the connection, on Trio's clock."""
        return self._link.last_received

    async def receive_some(self, _: int) -> bytes:
        """See `WebSocketStream`."""
        try:
            return await self._stream.read()
        except StreamGone:
            raise trio.BrokenResourceError from None

    async def send_all(self, data: bytes) -> None:
        """See `WebSocketStream`."""
        try:
            await self._stream.send(data)
        except StreamGone:
            raise trio.BrokenResourceError from None

    async def finish(self, max_bytes: int) -> None:
        """See `WebSocketStream`."""
        dropped = 0
        try:
            await self._stream.send(b"", end=True)
            while dropped < max_bytes and (data := await self._stream.read()):
                dropped += len(data)
        except StreamGone:
            raise trio.BrokenResourceError from None

    def close(self) -> None:
        """See `WebSocketStream`."""
        if not (self._stream.answered and self._stream.whole):
            self._stream.reset(ErrorCodes.NO_ERROR)
            self._link.flush_soon()

    def abort(self) -> None:
        """See `WebSocketStream`."""
        if not (self._stream.answered and self._stream.whole):
            self._stream.reset(ErrorCodes.CANCEL)
            self._link.flush_soon()


class OneWayTunnel(Tunnel):
    """A stream that carries an answer without an end. A `WebSocketStream` on which nothing comes in."""

    async def receive_some(self, _: int) -> bytes:
        """Wait for the client to end it."""
        await self._stream.until_gone()
        return b""

    async def finish(self, _: int) -> None:
        """See `WebSocketStream`."""
        try:
            await self._stream.send(b"", end=True)
        except StreamGone:
            raise trio.BrokenResourceError from None
