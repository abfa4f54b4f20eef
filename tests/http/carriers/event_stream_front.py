"""ChatterStack's API with one more route, which streams events; and a client that reads them as the standard says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final, NamedTuple

import msgspec
import trio
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset

from chinwag.engine.connections.wires import Wire
from chinwag.engine.model.errors import Forbidden
from chinwag.engine.model.events import Event, MessagePosted, MessageReplayed, Resumed, UserEvent
from chinwag.http.api.requests import Reply, Request
from chinwag.http.api.routing import EVENT_STREAM, Route
from chinwag.http.fronts.chatterstack import FRONT as CHATTERSTACK
from chinwag.http.kit.event_stream import EventStreamCarrier, open_event_stream
from tests.http.echo_server import ClientStream
from tests.http.http2.http2_client import Http2, request, status_of
from tests.http.served import Served
from tests.http.service_api import Person


class Texts:
    """Says the texts of messages."""

    user_events: tuple[type[UserEvent], ...] = ()

    def encode(self, event: Event) -> bytes:
        match event:
            case MessagePosted(message=message) | MessageReplayed(message=message):
                return message.text.encode()
            case Resumed(recovered=recovered):
                return b"all" if recovered else b"reload"
        return b""


def name(event: Event) -> str:
    return "resumed" if isinstance(event, Resumed) else "message posted"


WIRE: Final = Wire(Texts(), EventStreamCarrier(name))


class EventsQuery(msgspec.Struct, frozen=True):
    greet: str | None = None


async def events(call: Request[None, EventsQuery]) -> Reply:
    """Everything that happens."""
    greeting = [] if call.query.greet is None else [call.query.greet.encode()]
    return await open_event_stream(call, WIRE, greeting=greeting)


FRONT: Final = replace(
    CHATTERSTACK,
    routes=(
        *CHATTERSTACK.routes,
        Route("GET", "/events", events, query=EventsQuery, media_type=EVENT_STREAM, errors=(Forbidden,)),
    ),
)


class Told(NamedTuple):
    """An event as a page sees it."""

    name: str
    data: str


class EventSource:
    """What a browser makes of a stream (WHATWG HTML, section 9.2.6)."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.last_id = ""
        self.retry_ms: int | None = None
        self.comments = 0
        self.connections = 0
        self._line = b""
        self._name = ""
        self._id = ""
        self._data: list[str] = []

    def begin(self) -> None:
        """A new connection: what was not whole is dropped."""
        self.connections += 1
        self._line, self._name, self._data, self._id = b"", "", [], self.last_id

    def feed(self, data: bytes) -> None:
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            self._take(line.decode())

    def _take(self, line: str) -> None:
        if not line:
            self.last_id = self._id
            if self._data:
                self.told.append(Told(self._name or "message", "\n".join(self._data)))
            self._name, self._data = "", []
            return
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "":
                self.comments += 1
            case "event":
                self._name = value
            case "data":
                self._data.append(value)
            case "id":
                self._id = value
            case "retry":
                self.retry_ms = int(value)

    @property
    def texts(self) -> list[str]:
        return [each.data for each in self.told if each.name == "message posted"]


class Stream:
    """One connection of an event source, after the head of its answer."""

    def __init__(self, source: EventSource, stream: ClientStream, http: Http2 | None, stream_id: int) -> None:
        self.source = source
        self.stream = stream
        self.http = http
        self.id = stream_id
        self.status = 0
        self.headers: dict[str, str] = {}
        self.data = b""
        """What came and was not looked at yet."""
        self.ended = False
        """Whether the last chunk has come."""

    async def open(self) -> None:
        """Read the head."""
        if self.http is not None:
            head = await self.http.until(ResponseReceived, self.id)
            self.status = status_of(head)
            self.headers = {str(key): str(value) for key, value in head.headers or ()}
            return
        while b"\r\n\r\n" not in self.data:
            piece = bytes(await self.stream.receive_some())
            assert piece, self.data
            self.data += piece
        head_bytes, _, rest = self.data.partition(b"\r\n\r\n")
        first, *lines = head_bytes.decode("latin-1").split("\r\n")
        self.status = int(first.split(" ")[1])
        self.headers = {key.lower(): value for key, value in (line.split(": ", 1) for line in lines)}
        self.data = b""
        self._feed(rest)

    async def more(self) -> bool:
        """Read something. False at the end of the stream."""
        if self.http is None:
            try:
                piece = bytes(await self.stream.receive_some())
            except trio.BrokenResourceError:
                return False
            self._feed(piece)
            return bool(piece) and not self.ended
        while True:
            for index, event in enumerate(self.http.events):
                if getattr(event, "stream_id", None) != self.id:
                    continue
                del self.http.events[index]
                if isinstance(event, DataReceived):
                    self.source.feed(event.data or b"")
                    return True
                if isinstance(event, StreamEnded | StreamReset):
                    return False
                break
            else:
                if not await self.http.more():
                    return False

    def _feed(self, piece: bytes) -> None:
        if self.headers.get("transfer-encoding") != "chunked":
            self.source.feed(piece)
            return
        self.data += piece
        while b"\r\n" in self.data:
            size, _, rest = self.data.partition(b"\r\n")
            length = int(size, 16)
            self.ended = length == 0
            if len(rest) < length + 2:
                return
            self.source.feed(rest[:length])
            self.data = rest[length + 2 :]

    async def until(self, count: int) -> None:
        """Read until so many messages have come."""
        while len(self.source.texts) < count:
            assert await self.more(), self.source.told

    async def to_the_end(self) -> None:
        while await self.more():
            pass


@asynccontextmanager
async def streaming(
    served: Served,
    person: Person,
    source: EventSource | None = None,
    *,
    http2: bool = False,
    path: str = "/v1/events",
    version: str = "1.1",
    method: str = "GET",
    **headers: str,
) -> AsyncIterator[Stream]:
    """Ask for the events as a browser does: with the last id that came, if one did. `headers` with underscores."""
    source = source or EventSource()
    source.begin()
    if source.last_id:
        headers["last_event_id"] = source.last_id
    headers["authorization"] = f"Bearer {person.token}"
    async with served.stream("h2" if http2 else "http/1.1") as stream:
        if http2:
            http = Http2(stream)
            opened = Stream(source, stream, http, await http.begin(request(path, method, **headers)))
        else:
            lines = "".join(f"{key.replace('_', '-')}: {value}\r\n" for key, value in headers.items())
            await stream.send_all(f"{method} {path} HTTP/{version}\r\nHost: h\r\n{lines}\r\n".encode())
            opened = Stream(source, stream, None, 0)
        await opened.open()
        yield opened
