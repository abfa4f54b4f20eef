"""The chatrooms WebSocket: who may connect, and what becomes of what a client sends.

A socket hears of a chatroom once it sent `join_chatroom`; with `since=` in its address, of all of its user's chatrooms
at once, after what it missed. Everything malformed is answered with an `error` event, and the socket stays open.
"""

from collections.abc import Awaitable, Sequence
from typing import cast

import msgspec
from msgspec.structs import replace

from chinwag.engine import Admitted, Engine, Session, post_command
from chinwag.engine.model import commands
from chinwag.engine.model.errors import EngineError, Invalid, Rule
from chinwag.engine.model.ids import RoomId
from chinwag.http.api.decoding import BodyReader, QueryReader
from chinwag.http.api.front import SocketRequest
from chinwag.http.api.requests import no_such_id
from chinwag.http.fronts.chatrooms import wire
from chinwag.http.fronts.chatrooms.posting import as_sealed, content_command, message_id
from chinwag.http.fronts.chatrooms.requests import SendMessage
from chinwag.http.fronts.chatrooms.socket_wire import (
    PONG,
    AddReaction,
    ChatroomData,
    ChatroomsDialect,
    ChatroomsWords,
    Frame,
    JoinChatroom,
    LeaveChatroom,
    MessageRead,
    Ping,
    RemoveReaction,
    SendMessageData,
    SendMessageFrame,
    TypingStart,
    TypingStop,
    connected_event,
    error_event,
    event_body,
)
from chinwag.http.kit.links import Links
from chinwag.http.kit.socket_commands import ResumeQuery, SocketReply, tell_room
from chinwag.http.kit.uuid_ids import IDS

MOST_SOCKETS = 5
"""Connections of one user at a time. Source: chatrooms spec, "Rate Limiting"."""

_read_frame = BodyReader(cast("type[Frame]", Frame), what="frame")


class _Named(msgspec.Struct, frozen=True):
    """What an unacceptable frame says it is about, as far as that can be read."""

    chatroom_id: str | None = None
    client_id: str | None = None


class _Whatever(msgspec.Struct, frozen=True):
    data: _Named


_read_query = QueryReader(ResumeQuery)
_decode_named = msgspec.json.Decoder(_Whatever).decode


class ChatroomsSocket:
    """The front's side of a WebSocket."""

    def __init__(self, links: Links) -> None:
        self.dialect = ChatroomsDialect(links)
        self._words = ChatroomsWords(links)

    async def admit(self, engine: Engine, request: SocketRequest) -> Admitted:
        """Raises `TooManyConnections` for a sixth socket of one user."""
        query = _read_query(request.query)
        wanted = replace(
            request.admission(),
            room_ids=None if query.resumes else (),
            follow=False,
            resume=query.resumes,
            since=query.position(IDS),
            most=MOST_SOCKETS,
        )
        return await engine.connections.admit(wanted)

    def greeting(self, admitted: Admitted) -> Sequence[bytes]:
        """Whom the server takes the client for."""
        return [connected_event(admitted.user, admitted.at_us)]

    def receive(self, engine: Engine, session: Session, message: str | bytes) -> Awaitable[None] | None:
        """One frame of the client. Joining a chatroom, and posting what is encrypted or has files, are awaited."""
        if isinstance(message, bytes):
            session.say(error_event(Invalid("frame", "must be text, not binary", rule=Rule.FORMAT)))
            return None
        try:
            frame = _read_frame(message)
        except Invalid as invalid:
            session.say(_refused(invalid, message))
            return None
        if isinstance(frame, Ping):
            session.say(PONG)
            return None
        client_id = frame.data.client_id if isinstance(frame, SendMessageFrame) else None
        number = IDS.decode(frame.data.chatroom_id)
        if number is None:
            error = no_such_id(IDS, "data.chatroom_id", frame.data.chatroom_id, RoomId)
            session.say(error_event(error, client_id=client_id))
            return None
        room_id = RoomId(number)
        match frame:
            case JoinChatroom():
                return _join(engine, session, room_id)
            case LeaveChatroom():
                engine.connections.unfollow(session, room_id)
                session.say(event_body("chatroom_left", ChatroomData(chatroom_id=wire.encode(room_id))))
                return None
            case SendMessageFrame(data=data):
                reply = SocketReply(self._words, engine, session, room_id, client_id)
                if data.attachments or data.content.key_version:
                    return _post_later(engine, session, room_id, data, reply)
                try:
                    command = _plain_post(session, data)
                except EngineError as error:
                    reply.refuse(error)
                    return None
                return tell_room(engine, session, room_id, command, reply)
            case _:
                reply = SocketReply(self._words, engine, session, room_id)
                try:
                    other = _command(session, frame)
                except EngineError as error:
                    reply.refuse(error)
                    return None
                return tell_room(engine, session, room_id, other, reply)


def _plain_post(session: Session, data: SendMessageData) -> commands.PostMessage:
    """A message of plain text costs no look-up."""
    return post_command(
        session.user_id,
        text=data.content.data,
        kind=wire.KIND_OF[data.message_type],
        reply_to=None if data.reply_to is None else message_id(data.reply_to),
        sealed=as_sealed(data.content) if data.content.iv else None,
        key=data.client_id,
    )


def _command(
    session: Session, frame: TypingStart | TypingStop | MessageRead | AddReaction | RemoveReaction
) -> commands.RoomCommand:
    user_id = session.user_id
    match frame:
        case TypingStart():
            return commands.StartTyping(user_id=user_id)
        case TypingStop():
            return commands.StopTyping(user_id=user_id)
        case MessageRead(data=data):
            return commands.AdvanceReceipts(caller=user_id, message_id=message_id(data.message_id), read=True)
        case AddReaction(data=data):
            return commands.AddReaction(caller=user_id, message_id=message_id(data.message_id), emoji=data.emoji)
        case RemoveReaction(data=data):
            return commands.RemoveReaction(caller=user_id, message_id=message_id(data.message_id), emoji=data.emoji)


async def _join(engine: Engine, session: Session, room_id: RoomId) -> None:
    try:
        await engine.connections.follow(session, room_id)
    except EngineError as error:
        session.say(error_event(error, room_id=room_id))
    else:
        session.say(event_body("chatroom_joined", ChatroomData(chatroom_id=wire.encode(room_id))))


async def _post_later(engine: Engine, session: Session, room_id: RoomId, data: SendMessage, reply: SocketReply) -> None:
    """Post what needs a look at the store first: keys, or files."""
    try:
        command = await content_command(engine, room_id, session.user_id, data, key=data.client_id)
    except EngineError as error:
        reply.refuse(error)
        return
    # Who was logged out or cut off meanwhile has said nothing.
    waiting = tell_room(engine, session, room_id, command, reply) if session.open else None
    if waiting is not None:
        await waiting


def _refused(invalid: Invalid, frame: str) -> bytes:
    """A frame was refused as a whole. Names the chatroom and the client's id, where the frame does."""
    try:
        named = _decode_named(frame).data
    except (msgspec.MsgspecError, RecursionError):
        named = _Named()
    number = None if named.chatroom_id is None else IDS.decode(named.chatroom_id)
    return error_event(invalid, room_id=None if number is None else RoomId(number), client_id=named.client_id)
