"""Server-Sent Events (WHATWG HTML, section 9.2): what the stream is made of, and the answer that opens one.

    EVENTS = Wire(MyDialect(), EventStreamCarrier())

    async def events(request: Request[None, None]) -> Reply:
        return await open_event_stream(request, EVENTS)

    Route("GET", "/events", events, media_type=EVENT_STREAM)

Each event that can be resumed from has its position as `id:`. A client that was cut off says it in Last-Event-ID, as
browsers do by themselves, and is told first what it missed; a new one learns at once where it is.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from chinwag.engine.connections.admission import Admission
from chinwag.engine.connections.transport import Transport
from chinwag.engine.connections.wires import Wire
from chinwag.engine.model.events import Event
from chinwag.engine.model.ids import RoomId
from chinwag.engine.model.positions import Position
from chinwag.http.api.requests import Reply, Request
from chinwag.http.api.routing import EVENT_STREAM
from chinwag.http.api.values import EventStream, Header, HttpResponse

RETRY_MS: Final = 2_000
"""How long a client waits before it comes back. What it is told is a constant, since browsers vary it not at all: at a
shutdown it is the spread of the goodbyes that keeps all from coming back at once."""
HEADERS: Final[tuple[Header, ...]] = (
    ("content-type", EVENT_STREAM),
    ("cache-control", "no-store"),
    ("x-accel-buffering", "no"),  # nginx would keep events until it has a page of them
)


def _unnamed(_: Event) -> str:
    return ""


class EventStreamCarrier:
    """Bodies as the data of events. A `Carrier`."""

    per_session = False

    def __init__(self, name: Callable[[Event], str] = _unnamed) -> None:
        """`name` is what clients listen for (`event:`), a word in one line; "" is what they know as `message`."""
        self._name = name

    def frame(self, body: bytes, event: Event | None, transport: Transport | None) -> bytes:  # noqa: ARG002
        """See `Carrier`. The body is UTF-8; one of several lines arrives as it is, its line ends as line feeds."""
        head = b""
        if event is not None:
            name, position = self._name(event), event.position
            if name:
                head = b"event: %b\n" % name.encode()
            if position is not None:
                head += b"id: %b\n" % str(position).encode()
        if b"\n" in body or b"\r" in body:
            body = b"\ndata: ".join(body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"))
        return b"%bdata: %b\n\n" % (head, body)


def opening(position: Position | None) -> bytes:
    """The first bytes of a stream: how soon to come back, and where the client is (an id that comes with no data)."""
    start = b"" if position is None else b"id: %b\n" % str(position).encode()
    return b"retry: %d\n%b\n" % (RETRY_MS, start)


async def open_event_stream(
    request: Request[Any, Any],
    wire: Wire,
    *,
    room_ids: Sequence[RoomId] | None = None,
    greeting: Sequence[bytes] = (),
    most: int | None = None,
) -> Reply:
    """Answer with what happens in the caller's rooms (all of them, or these) from now on, after what was missed.

    The route needs a token; the stream ends with it. `greeting` are bodies to say first; `most` is how many streams
    with this wire the caller may have. Raises as `Connections.admit`.
    """
    last = request.headers.get("last-event-id", "")
    admitted = await request.engine.connections.admit(
        Admission(
            user_id=request.user,
            family_id=request.claims.family_id,
            expires_at=request.expires_at,
            wire=wire,
            room_ids=room_ids,
            follow=room_ids is None,
            resume=bool(last),
            since=Position.parse(last),
            most=most,
            source=request.source,
        )
    )
    # One that resumes stays where it is until it was told more, or a break in between would lose the rest.
    first = opening(None if last else admitted.position)
    events = EventStream(admitted=admitted, greeting=tuple(greeting))
    return Reply(raw=HttpResponse(status=200, headers=list(HEADERS), body=first, events=events))
