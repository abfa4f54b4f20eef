"""A bare HTTP/2 client, which sends what it likes: h2 with its own judgement switched off, and frames by the byte."""

import struct
from typing import TypeVar

import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

from tests.http.echo_server import Answer, ClientStream

Field = tuple[str | bytes, str | bytes]
Fields = list[Field]
T = TypeVar("T", bound=Event)


def frame(kind: int, stream_id: int = 0, payload: bytes = b"", flags: int = 0) -> bytes:
    """RFC 9113 section 4.1."""
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream_id) + payload


def request(path: str = "/hello", method: str = "GET", **more: str) -> Fields:
    """The fields of a request; `more` are headers, with underscores for hyphens."""
    fields: Fields = [(":method", method), (":scheme", "https"), (":path", path), (":authority", "h")]
    return fields + [(name.replace("_", "-"), value) for name, value in more.items()]


def status_of(event: ResponseReceived) -> int:
    """The status of an answer that has begun."""
    return int({str(name): value for name, value in event.headers or ()}[":status"])


class Http2:
    """One connection."""

    def __init__(self, stream: ClientStream, *, window: int | None = None) -> None:
        """`window` is how much of an answer each stream takes at first."""
        self.stream = stream
        self.connection = H2Connection(
            H2Configuration(header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False)
        )
        self.connection.initiate_connection()
        if window is not None:
            self.connection.update_settings({4: window})
        self.events: list[Event] = []
        self.next_id = 1
        self.opens_windows = True
        """Whether what comes makes room for more at once."""
        self._sending = trio.Lock()

    async def flush(self) -> None:
        """Send what there is to send."""
        async with self._sending:
            data = self.connection.data_to_send()
            if data:
                await self.stream.send_all(data)

    async def raw(self, *frames: bytes) -> None:
        """Send frames, right or wrong."""
        await self.flush()
        await self.stream.send_all(b"".join(frames))

    async def begin(self, fields: Fields, *, end: bool = True) -> int:
        """Send a request's head; its stream."""
        stream_id = self.next_id
        self.next_id += 2
        self.connection.send_headers(stream_id, fields, end_stream=end)
        await self.flush()
        return stream_id

    async def more(self) -> bool:
        """Read something. False at the end of the connection, however it comes."""
        await self.flush()
        try:
            data = await self.stream.receive_some()
            events = self.connection.receive_data(bytes(data)) if data else []
            for event in events:
                if isinstance(event, DataReceived) and self.opens_windows:
                    self.connection.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            self.events += events
            await self.flush()
        except (trio.BrokenResourceError, ProtocolError):
            return False
        return bool(data)

    async def until(self, kind: type[T], stream_id: int) -> T:
        """The next event of this kind on a stream."""
        await self.flush()
        while True:
            for index, event in enumerate(self.events):
                if isinstance(event, kind) and getattr(event, "stream_id", None) == stream_id:
                    del self.events[index]
                    return event
            assert await self.more(), f"the connection was closed: {self.events}"

    async def answer(self, stream_id: int) -> Answer:
        """The whole answer on a stream."""
        head: list[tuple[str, str]] = []
        body = bytearray()
        while True:
            for event in self.events:
                if getattr(event, "stream_id", None) != stream_id:
                    continue
                if isinstance(event, ResponseReceived):
                    head = [(str(name), str(value)) for name, value in event.headers or ()]
                elif isinstance(event, DataReceived):
                    body += event.data or b""
                elif isinstance(event, StreamEnded):
                    return Answer(int(dict(head)[":status"]), head, bytes(body))
                assert not isinstance(event, StreamReset), event
            self.events = [event for event in self.events if getattr(event, "stream_id", None) != stream_id]
            assert await self.more(), "the connection was closed"

    async def ask(self, fields: Fields, body: bytes = b"") -> Answer:
        """A request and its answer."""
        stream_id = await self.begin(fields, end=not body)
        if body:
            self.connection.send_data(stream_id, body, end_stream=True)
        return await self.answer(stream_id)

    async def outcome(self, fields: Fields) -> int | str:
        """The status with which a request is answered; "closed" when that is the end of the connection."""
        stream_id = await self.begin(fields)
        while True:
            for event in self.events:
                if isinstance(event, ResponseReceived) and event.stream_id == stream_id:
                    return status_of(event)
                if isinstance(event, ConnectionTerminated):
                    return "closed"
            if not await self.more():
                return "closed"

    async def last_words(self) -> int:
        """Read to the end; the error code of the server's GOAWAY."""
        while await self.more():
            pass
        [last] = [event for event in self.events if isinstance(event, ConnectionTerminated)]
        return int(last.error_code or 0)
