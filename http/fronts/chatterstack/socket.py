"""ChatterStack's WebSocket: which rooms a connection hears of, what a client may send, how events look.

Source: chatterstack spec, "WebSocket Gateway". Everything malformed is answered with an `error` event, and the socket
stays open.
"""

from collections.abc import Awaitable, Sequence
from typing import Annotated, assert_never, cast

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from chinwag.engine import Admitted, Engine, Session, post_command
from chinwag.engine.model.commands import RoomCommand, StartTyping, StopTyping
from chinwag.engine.model.errors import EngineError, Forbidden, Invalid
from chinwag.engine.model.events import (
    Event,
    MessageDeleted,
    MessageEdited,
    MessagePosted,
    MessageReplayed,
    Resumed,
    RoomJoined,
    RoomLeft,
    StatusAdvanced,
    TypingStarted,
    TypingStopped,
)
from chinwag.engine.model.ids import RoomId
from chinwag.engine.model.values import Attachment, Message, Status
from chinwag.http.api.decoding import BodyReader, QueryReader
from chinwag.http.api.front import SocketRequest
from chinwag.http.api.requests import no_such_id
from chinwag.http.fronts.chatterstack import wire
from chinwag.http.fronts.chatterstack.errors import words
from chinwag.http.fronts.chatterstack.ids import IDS, Id
from chinwag.http.fronts.chatterstack.requests import AttachmentIn, SendMessage
from chinwag.http.kit.idempotency import MOST_CHARACTERS
from chinwag.http.kit.links import Links
from chinwag.http.kit.socket_commands import ResumeQuery, SocketReply, tell_room

MAX_ROOMS = 1000
"""Rooms that one connection may ask for."""


class SocketQuery(ResumeQuery, frozen=True, kw_only=True):
    """What may stand in the socket's address."""

    room_id: Annotated[tuple[str, ...], Meta(max_length=MAX_ROOMS)] = ()


class SendMessageData(SendMessage, frozen=True, kw_only=True):
    """A message to a room. `client_id` makes a retry safe, as `Idempotency-Key` does over HTTP."""

    room_id: Id
    client_id: Annotated[str, Meta(min_length=1, max_length=MOST_CHARACTERS)] | None = None


class InRoom(msgspec.Struct, frozen=True, kw_only=True):
    room_id: Id


class SendMessageFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="send_message"):
    data: SendMessageData


class TypingStartFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="typing_start"):
    data: InRoom


class TypingStopFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="typing_stop"):
    data: InRoom


Frame = SendMessageFrame | TypingStartFrame | TypingStopFrame

_read_query = QueryReader(SocketQuery)
_read_frame = BodyReader(cast("type[Frame]", Frame), what="frame")


class ChatterstackDialect:
    """Engine events in ChatterStack's words. What the API does not know is left out."""

    user_events = ()

    def __init__(self, links: Links) -> None:
        self._links = links

    def encode(self, event: Event) -> bytes:
        """See `Dialect`."""
        if type(event) is MessagePosted:  # nearly all are
            return wire.receive_message(event.message, self._links)
        return _other(event, self._links)


def _other(event: Event, links: Links) -> bytes:
    match event:
        case MessageReplayed(message=message, status=status):
            return wire.receive_message(message, links, status)
        case StatusAdvanced(room_id=room_id, message_id=message_id, status=status):
            return wire.message_status(room_id, message_id, status)
        case TypingStarted(room_id=room_id, user_id=user_id, username=username):
            return wire.typing_start(room_id, user_id, username)
        case TypingStopped(room_id=room_id, user_id=user_id, username=username):
            return wire.typing_stop(room_id, user_id, username)
        case MessageEdited(message=message, status=status):
            return wire.message_updated(message, status, links)
        case MessageDeleted(room_id=room_id, message_id=message_id):
            return wire.message_deleted(room_id, message_id)
        case RoomJoined(room=room):
            return wire.room_added(room)
        case RoomLeft(room_id=room_id):
            return wire.room_removed(room_id)
        case Resumed(room_id=room_id, recovered=recovered, replayed=replayed):
            return wire.resumed(room_id, recovered=recovered, replayed=replayed)
        case _:
            return b""


class ChatterstackWords:
    """See `SocketWords`."""

    def __init__(self, links: Links) -> None:
        self._links = links

    def posted(self, message: Message, status: Status) -> bytes:
        return wire.receive_message(message, self._links, status)

    def refused(self, error: EngineError, *, room_id: RoomId | None, client_id: str | None) -> bytes:
        return _refused(error, room_id=room_id, client_id=client_id)


class ChatterstackSocket:
    """The front's side of a WebSocket."""

    def __init__(self, links: Links) -> None:
        self.dialect = ChatterstackDialect(links)
        self._words = ChatterstackWords(links)

    async def admit(self, engine: Engine, request: SocketRequest) -> Admitted:
        """At least one `room_id` has to be a room of the caller's; the others are refused one by one, in `greeting`.

        Raises `Invalid` without any `room_id`, `Forbidden` when none is the caller's.
        """
        query = _read_query(request.query)
        if not any(query.room_id):
            raise Invalid("room_id", "at least one is required")
        room_ids = [RoomId(decoded) for text in query.room_id if (decoded := IDS.decode(text)) is not None]
        if not room_ids:
            raise Forbidden("not a member of any of these rooms")
        wanted = replace(
            request.admission(), room_ids=room_ids, follow=False, resume=query.resumes, since=query.position(IDS)
        )
        return await engine.connections.admit(wanted)

    def greeting(self, admitted: Admitted) -> Sequence[bytes]:
        """An `error` event for each room that was asked for and is not the caller's."""
        refused = Forbidden("not a member of this room")
        return [wire.error(refused.message, refused.code, room_id=room_id) for room_id in admitted.refused]

    def receive(self, engine: Engine, session: Session, message: str | bytes) -> Awaitable[None] | None:
        """One frame of the client. What has to be awaited is a place in a room's mailbox, when that is full."""
        if isinstance(message, bytes):
            _refuse(session, Invalid("frame", "must be text, not binary"))
            return None
        try:
            frame = _read_frame(message)
        except Invalid as invalid:
            session.say(wire.frame_error(invalid, message))
            return None
        client_id = None
        command: RoomCommand
        if isinstance(frame, SendMessageFrame):
            data = frame.data
            client_id = data.client_id
            attachments = tuple(map(_attachment, data.attachments)) if data.attachments else ()
            command = post_command(session.user_id, text=data.content, attachments=attachments, key=client_id)
        elif isinstance(frame, TypingStartFrame):
            command = StartTyping(user_id=session.user_id)
        elif isinstance(frame, TypingStopFrame):
            command = StopTyping(user_id=session.user_id)
        else:
            assert_never(frame)
        number = IDS.decode(frame.data.room_id)
        if number is None:
            _refuse(session, no_such_id(IDS, "data.room_id", frame.data.room_id, RoomId), client_id=client_id)
            return None
        room_id = RoomId(number)
        reply = SocketReply(self._words, engine, session, room_id, client_id)
        return tell_room(engine, session, room_id, command, reply)


def _attachment(given: AttachmentIn) -> Attachment:
    return Attachment(url=given.url, mime_type=given.mime_type, size_bytes=given.size_bytes)


def _refuse(session: Session, error: EngineError, *, client_id: str | None = None) -> None:
    session.say(_refused(error, client_id=client_id))


def _refused(error: EngineError, *, room_id: RoomId | None = None, client_id: str | None = None) -> bytes:
    return wire.error(words(error), error.code, room_id=room_id, client_id=client_id)
