"""The messenger's WebSocket: all of a user's messages, and one kind of frame to send some.

Source: messenger spec, "WebSocket Protocol". Everything malformed is answered with an `error` frame, and the socket
stays open.
"""

from collections.abc import Awaitable, Sequence

import msgspec
from msgspec.structs import replace

from chinwag.engine import Admitted, Engine, Session, post_command
from chinwag.engine.model.errors import EngineError, Invalid, NotFound
from chinwag.engine.model.events import Event, MessagePosted, MessageReplayed, PresenceChanged, Resumed
from chinwag.engine.model.ids import RoomId
from chinwag.engine.model.values import Message, RoomKind, Status
from chinwag.http.api.decoding import BodyReader, QueryReader
from chinwag.http.api.front import SocketRequest
from chinwag.http.api.requests import no_such_id
from chinwag.http.fronts.messenger import wire
from chinwag.http.fronts.messenger.errors import words
from chinwag.http.fronts.messenger.requests import MessageFrame
from chinwag.http.kit.links import Links
from chinwag.http.kit.socket_commands import ResumeQuery, SocketReply, tell_room
from chinwag.http.kit.uuid_ids import IDS

_read_query = QueryReader(ResumeQuery)
_read_frame = BodyReader(MessageFrame, what="frame")


class MessengerDialect:
    """Engine events in the messenger's words. What the API does not know is left out."""

    user_events = (PresenceChanged,)

    def __init__(self, links: Links) -> None:
        self._links = links

    def encode(self, event: Event) -> bytes:
        """See `Dialect`."""
        match event:
            case MessagePosted(message=message, room_kind=kind) | MessageReplayed(message=message, room_kind=kind):
                return wire.message_frame(message, kind, self._links)
            case PresenceChanged(user_id=user_id, presence=presence):
                return wire.presence_frame(user_id, presence)
            case Resumed(room_id=room_id, room_kind=kind, recovered=recovered, replayed=replayed):
                return wire.resumed_frame(room_id, kind, recovered=recovered, replayed=replayed)
            case _:
                return b""


class MessengerWords:
    """See `SocketWords`. One for each kind of room, since a message alone does not tell."""

    def __init__(self, kind: RoomKind, links: Links) -> None:
        self._kind = kind
        self._links = links

    def posted(self, message: Message, status: Status) -> bytes:  # noqa: ARG002  the spec has no status
        return wire.message_frame(message, self._kind, self._links)

    def refused(self, error: EngineError, *, room_id: RoomId | None, client_id: str | None) -> bytes:  # noqa: ARG002
        return wire.error_frame(words(error), client_id=client_id)


class MessengerSocket:
    """The front's side of a WebSocket."""

    def __init__(self, links: Links) -> None:
        self.dialect = MessengerDialect(links)
        self._words = {kind: MessengerWords(kind, links) for kind in RoomKind}

    async def admit(self, engine: Engine, request: SocketRequest) -> Admitted:
        """Everybody with a token is admitted, to all of their conversations and groups."""
        query = _read_query(request.query)
        wanted = replace(request.admission(), resume=query.resumes, since=query.position(IDS), list_present=True)
        return await engine.connections.admit(wanted)

    def greeting(self, admitted: Admitted) -> Sequence[bytes]:
        """Who is online; whoever comes or goes after that has a frame of their own."""
        return [wire.presence_list_frame(admitted.present)]

    def receive(self, engine: Engine, session: Session, message: str | bytes) -> Awaitable[None] | None:
        """One frame of the client. What has to be awaited is what kind of room it is for, when that room sleeps, or a
        place in its mailbox, when that is full."""
        if isinstance(message, bytes):
            _refuse(session, Invalid("frame", "must be text, not binary"))
            return None
        try:
            frame = _read_frame(message)
        except Invalid as invalid:
            _refuse(session, invalid, client_id=_client_id(message))
            return None
        place = frame.conversation_id or frame.group_id or ""
        number = IDS.decode(place)
        if number is None:
            field = "group_id" if frame.conversation_id is None else "conversation_id"
            _refuse(session, no_such_id(IDS, field, place, RoomId), client_id=frame.client_id)
            return None
        room_id = RoomId(number)
        kind = engine.rooms.known_kind(room_id)
        if kind is None:
            return self._post_later(engine, session, room_id, frame)
        return self._post(engine, session, room_id, kind, frame)

    def _post(
        self, engine: Engine, session: Session, room_id: RoomId, kind: RoomKind, frame: MessageFrame
    ) -> Awaitable[None] | None:
        if kind is not (RoomKind.GROUP if frame.conversation_id is None else RoomKind.DIRECT):
            _refuse(session, NotFound("room"), client_id=frame.client_id)
            return None
        command = post_command(session.user_id, text=frame.content, key=frame.client_id)
        reply = SocketReply(self._words[kind], engine, session, room_id, frame.client_id)
        return tell_room(engine, session, room_id, command, reply)

    async def _post_later(self, engine: Engine, session: Session, room_id: RoomId, frame: MessageFrame) -> None:
        try:
            kind = await engine.rooms.kind(room_id, session.user_id)
        except EngineError as error:
            _refuse(session, error, client_id=frame.client_id)
            return
        waiting = self._post(engine, session, room_id, kind, frame) if session.open else None
        if waiting is not None:
            await waiting


class _Named(msgspec.Struct, frozen=True):
    """What an unacceptable frame is called by its sender, if that can be read."""

    client_id: str | None = None


_decode_named = msgspec.json.Decoder(_Named).decode


def _client_id(message: str) -> str | None:
    try:
        return _decode_named(message).client_id
    except (msgspec.MsgspecError, RecursionError):
        return None


def _refuse(session: Session, error: EngineError, *, client_id: str | None = None) -> None:
    session.say(wire.error_frame(words(error), client_id=client_id))
