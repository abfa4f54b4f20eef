"""ChatterStack's WebSocket: which rooms a connection hears of, what a client may send, how events look.

Source: chatterstack spec, "WebSocket Gateway". Everything malformed is answered with an `error` event, and the socket
stays open.
"""

from collections.abc import Awaitable
from typing import Annotated, cast

import msgspec
from msgspec import Meta

from chinwag.engine.commands import Posted, RoomCommand, StartTyping, StopTyping
from chinwag.engine.engine import Connected, Engine, post_command
from chinwag.engine.errors import EngineError, Forbidden, Invalid, NotFound, Overloaded
from chinwag.engine.events import (
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
from chinwag.engine.ids import MessageId, RoomId
from chinwag.engine.mailbox import ReplyTo
from chinwag.engine.model import Attachment
from chinwag.engine.session import Session
from chinwag.http.front import SocketRequest
from chinwag.http.fronts.chatterstack import wire
from chinwag.http.fronts.chatterstack.ids import IDS
from chinwag.http.fronts.chatterstack.requests import MAX_IDEMPOTENCY_KEY, Id, SendMessage
from chinwag.http.requests import BodyReader, QueryReader
from chinwag.http.websocket import frame_text

MAX_ROOMS = 1000
"""Rooms that one connection may ask for."""


class SocketQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What may stand in the socket's address."""

    room_id: Annotated[tuple[str, ...], Meta(max_length=MAX_ROOMS)] = ()
    since: str | None = None


class SendMessageData(SendMessage, frozen=True, kw_only=True):
    """A message to a room. `client_id` makes a retry safe, as `Idempotency-Key` does over HTTP."""

    room_id: Id
    client_id: Annotated[str, Meta(min_length=1, max_length=MAX_IDEMPOTENCY_KEY)] | None = None


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


class ChatterstackWire:
    """Engine events as WebSocket frames in ChatterStack's words. What the API does not know is left out."""

    def encode(self, event: Event) -> bytes:
        """See `WireFormat`."""
        text = _text(event)
        return frame_text(text) if text else b""


def _text(event: Event) -> bytes:
    match event:
        case MessagePosted(message=message):
            return wire.receive_message(message)
        case MessageReplayed(message=message, status=status):
            return wire.receive_message(message, status)
        case StatusAdvanced(room_id=room_id, message_id=message_id, status=status):
            return wire.message_status(room_id, message_id, status)
        case TypingStarted(room_id=room_id, user_id=user_id, username=username):
            return wire.typing_start(room_id, user_id, username)
        case TypingStopped(room_id=room_id, user_id=user_id, username=username):
            return wire.typing_stop(room_id, user_id, username)
        case MessageEdited(message=message, status=status):
            return wire.message_updated(message, status)
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


WIRE = ChatterstackWire()


class SocketReply:
    """The outcome of a socket's command. The message itself is the answer, and arrives by fan-out."""

    __slots__ = ("_client_id", "_engine", "_room_id", "_session")

    def __init__(self, engine: Engine, session: Session, room_id: RoomId, client_id: str | None = None) -> None:
        self._engine = engine
        self._session = session
        self._room_id = room_id
        self._client_id = client_id
        session.asked()

    def answer(self, value: object) -> None:
        """Tell the sender what no fan-out tells: the first message again, or one to a room that it does not follow."""
        self._session.answered()
        if not isinstance(value, Posted):
            return
        if value.is_retry or not self._engine.fanout.is_subscribed(self._session, self._room_id):
            status = value.receipts.status_of(value.message)
            self._session.send(frame_text(wire.receive_message(value.message, status)))

    def refuse(self, error: EngineError) -> None:
        """Say why not."""
        self._session.answered()
        text = wire.error(error.message, error.code, room_id=self._room_id, client_id=self._client_id)
        self._session.send(frame_text(text))


class ChatterstackSocket:
    """The front's side of a WebSocket."""

    async def admit(self, engine: Engine, request: SocketRequest) -> Connected:
        """At least one `room_id` has to be a room of the caller's; the others are refused one by one, in `greeting`.

        Raises `Invalid` without any `room_id`, `Forbidden` when none is the caller's.
        """
        query = _read_query(request.query)
        if not any(query.room_id):
            raise Invalid("room_id", "at least one is required")
        room_ids = [RoomId(decoded) for text in query.room_id if (decoded := IDS.decode(text)) is not None]
        if not room_ids:
            raise Forbidden("not a member of any of these rooms")
        since = None if query.since is None else IDS.decode(query.since)
        return await engine.connect(
            user_id=request.user_id,
            family_id=request.family_id,
            expires_at=request.expires_at,
            wire=WIRE,
            room_ids=room_ids,
            resume=query.since is not None,
            since=None if since is None else MessageId(since),
        )

    def greeting(self, connected: Connected) -> bytes:
        """An `error` event for each room that was asked for and is not the caller's."""
        refused = Forbidden("not a member of this room")
        return b"".join(
            frame_text(wire.error(refused.message, refused.code, room_id=room_id)) for room_id in connected.refused
        )

    def receive(self, engine: Engine, session: Session, message: str | bytes) -> Awaitable[None] | None:
        """One frame of the client. What has to be awaited is a place in a room's mailbox, when that is full."""
        if isinstance(message, bytes):
            _refuse(session, Invalid("frame", "must be text, not binary"))
            return None
        try:
            frame = _read_frame(message)
        except Invalid as invalid:
            session.send(frame_text(wire.frame_error(invalid, message)))
            return None
        number = IDS.decode(frame.data.room_id)
        client_id = frame.data.client_id if isinstance(frame, SendMessageFrame) else None
        if number is None:
            _refuse(session, NotFound("room"), client_id=client_id)
            return None
        room_id = RoomId(number)
        reply = SocketReply(engine, session, room_id, client_id)
        command = _command(session, frame)
        try:
            engine.tell_room(room_id, command, reply)
        except Overloaded:
            return _tell_later(engine, session, room_id, command, reply)
        except EngineError as error:
            reply.refuse(error)
        return None


def _command(session: Session, frame: Frame) -> RoomCommand:
    match frame:
        case SendMessageFrame(data=data):
            attachments: tuple[Attachment, ...] = ()
            if data.attachments:
                attachments = tuple(
                    Attachment(url=each.url, mime_type=each.mime_type, size_bytes=each.size_bytes)
                    for each in data.attachments
                )
            return post_command(session.user_id, text=data.content, attachments=attachments, key=data.client_id)
        case TypingStartFrame():
            return StartTyping(user_id=session.user_id)
        case TypingStopFrame():
            return StopTyping(user_id=session.user_id)


async def _tell_later(engine: Engine, session: Session, room_id: RoomId, command: RoomCommand, reply: ReplyTo) -> None:
    """Wait until a room's mailbox has space: the client, which is read no further, feels it as backpressure."""
    while True:
        try:
            await engine.wait_for_room(room_id)
            if not session.open:
                return  # logged out meanwhile, or cut off: what they said no longer counts
            engine.tell_room(room_id, command, reply)
            return
        except Overloaded as overloaded:
            if not engine.room_is_full(room_id):
                reply.refuse(overloaded)  # parked after crashes: waiting would be in vain
                return
        except EngineError as error:
            reply.refuse(error)
            return


def _refuse(session: Session, error: EngineError, *, client_id: str | None = None) -> None:
    session.send(frame_text(wire.error(error.message, error.code, client_id=client_id)))
