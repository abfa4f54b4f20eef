"""The events of the chatrooms socket: what a client may send, what it is told, and the engine's events in these words.

Source: chatrooms spec, "WebSocket Events". Every frame is `{"event": ..., "data": {...}}`.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from chinwag.engine.model.errors import EngineError
from chinwag.engine.model.events import (
    Event,
    MemberAdded,
    MemberKeyReplaced,
    MemberRemoved,
    MembershipEvent,
    MessageDeleted,
    MessageEdited,
    MessagePosted,
    MessageReplayed,
    PresenceChanged,
    ReactionAdded,
    ReactionRemoved,
    Resumed,
    RoleChanged,
    RoomDeleted,
    RoomEvent,
    RoomJoined,
    RoomKeyChanged,
    RoomLeft,
    RoomUpdated,
    TypingStarted,
    TypingStopped,
)
from chinwag.engine.model.ids import RoomId
from chinwag.engine.model.values import Message, Presence, Status, User
from chinwag.http.fronts.chatrooms import wire
from chinwag.http.fronts.chatrooms.errors import details, status_and_code, words
from chinwag.http.fronts.chatrooms.requests import MAX_CLIENT_ID, Emoji, Id, SendMessage
from chinwag.http.kit.links import Links
from chinwag.http.kit.times import rfc3339
from chinwag.http.kit.uuid_ids import UuidText

_to_json = msgspec.json.Encoder().encode

# --- from the client ----------------------------------------------------------------------------------------------

ClientId = Annotated[str, Meta(min_length=1, max_length=MAX_CLIENT_ID)]


class InChatroom(msgspec.Struct, frozen=True, kw_only=True):
    chatroom_id: UuidText


class SendMessageData(SendMessage, frozen=True, kw_only=True):
    chatroom_id: UuidText


class MessageReadData(msgspec.Struct, frozen=True, kw_only=True):
    chatroom_id: UuidText
    message_id: Id


class ReactionData(msgspec.Struct, frozen=True, kw_only=True):
    chatroom_id: UuidText
    message_id: Id
    emoji: Emoji


class JoinChatroom(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="join_chatroom"):
    data: InChatroom


class LeaveChatroom(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="leave_chatroom"):
    data: InChatroom


class SendMessageFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="send_message"):
    data: SendMessageData


class TypingStart(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="typing_start"):
    data: InChatroom


class TypingStop(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="typing_stop"):
    data: InChatroom


class MessageRead(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="message_read"):
    data: MessageReadData


class AddReaction(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="add_reaction"):
    data: ReactionData


class RemoveReaction(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="remove_reaction"):
    data: ReactionData


class Ping(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="ping"):
    """Is anybody there? What else it holds does not matter."""

    data: Any = None


Frame = (
    JoinChatroom
    | LeaveChatroom
    | SendMessageFrame
    | TypingStart
    | TypingStop
    | MessageRead
    | AddReaction
    | RemoveReaction
    | Ping
)

# --- to the client ------------------------------------------------------------------------------------------------


class MessageData(msgspec.Struct, frozen=True, kw_only=True):
    message: wire.Message


class MessageDeletedData(msgspec.Struct, frozen=True, kw_only=True):
    chatroom_id: wire.Id
    message_id: wire.Id


class ReactionAddedData(msgspec.Struct, frozen=True, kw_only=True):
    chatroom_id: wire.Id
    message_id: wire.Id
    reaction: wire.Reaction


class ReactionRemovedData(msgspec.Struct, frozen=True, kw_only=True):
    chatroom_id: wire.Id
    message_id: wire.Id
    user_id: wire.Id
    emoji: str


class JoiningUser(msgspec.Struct, frozen=True, kw_only=True):
    id: wire.Id
    username: str
    display_name: str
    avatar_url: str | None


class UserJoinedData(msgspec.Struct, frozen=True, kw_only=True):
    chatroom_id: wire.Id
    user: JoiningUser


class UserLeftData(msgspec.Struct, frozen=True, kw_only=True):
    chatroom_id: wire.Id
    user_id: wire.Id


class TypingData(msgspec.Struct, frozen=True, kw_only=True):
    chatroom_id: wire.Id
    user_id: wire.Id
    username: str
    is_typing: bool


class PresenceData(msgspec.Struct, frozen=True, kw_only=True):
    user_id: wire.Id
    username: str


class RoleData(msgspec.Struct, frozen=True, kw_only=True):
    chatroom_id: wire.Id
    user_id: wire.Id
    role: wire.RoleName


class ChatroomUpdatedData(msgspec.Struct, frozen=True, kw_only=True):
    chatroom_id: wire.Id
    name: str
    description: str | None
    max_members: int | None
    auto_summary_enabled: bool
    summary_threshold: int


class ChatroomAddedData(msgspec.Struct, frozen=True, kw_only=True):
    chatroom_id: wire.Id
    name: str


class ChatroomData(msgspec.Struct, frozen=True, kw_only=True):
    chatroom_id: wire.Id


class ConnectedData(msgspec.Struct, frozen=True, kw_only=True):
    user_id: wire.Id
    username: str
    timestamp: wire.Time


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """An event that says all by its name."""


class KeyData(msgspec.Struct, frozen=True, kw_only=True):
    chatroom_id: wire.Id
    key_version: int


class ResumedData(msgspec.Struct, frozen=True, kw_only=True):
    """`recovered` false: nothing was sent again, reload the chatroom."""

    chatroom_id: wire.Id
    recovered: bool
    replayed: int


class ErrorData(msgspec.Struct, frozen=True, kw_only=True):
    """`details` names `chatroom_id` and `client_id` where they are known, and the wrong fields."""

    code: str
    message: str
    details: dict[str, Any]


def event_body(name: str, data: msgspec.Struct) -> bytes:
    """An event's body."""
    return b'{"event":"%b","data":%b}' % (name.encode(), _to_json(data))


PONG: Final = event_body("pong", Nothing())


def connected_event(user: User, now_us: int) -> bytes:
    """The first event of all."""
    data = ConnectedData(user_id=wire.encode(user.id), username=user.username, timestamp=rfc3339(now_us))
    return event_body("connected", data)


def error_event(error: EngineError, *, room_id: RoomId | None = None, client_id: str | None = None) -> bytes:
    """Something that the client sent was refused. The socket stays open."""
    _status, code = status_and_code(error)
    about = details(error)
    if room_id is not None:
        about["chatroom_id"] = wire.encode(room_id)
    if client_id is not None:
        about["client_id"] = client_id
    return event_body("error", ErrorData(code=code, message=words(error), details=about))


class ChatroomsDialect:
    """Engine events in the words of this API. What the API does not know is left out."""

    user_events = (PresenceChanged,)

    def __init__(self, links: Links) -> None:
        self._links = links

    def encode(self, event: Event) -> bytes:
        """See `Dialect`."""
        named = _named(event, self._links)
        return b"" if named is None else event_body(*named)


class ChatroomsWords:
    """See `SocketWords`."""

    def __init__(self, links: Links) -> None:
        self._links = links

    def posted(self, message: Message, status: Status) -> bytes:  # noqa: ARG002  this API has no status
        return event_body("message_received", _message(message, self._links))

    def refused(self, error: EngineError, *, room_id: RoomId | None, client_id: str | None) -> bytes:
        return error_event(error, room_id=room_id, client_id=client_id)


def _message(message: Message, links: Links) -> MessageData:
    return MessageData(message=wire.message(message, links))


def _typing(event: TypingStarted | TypingStopped, *, is_typing: bool) -> TypingData:
    return TypingData(
        chatroom_id=wire.encode(event.room_id),
        user_id=wire.encode(event.user_id),
        username=event.username,
        is_typing=is_typing,
    )


def _named(event: Event, links: Links) -> tuple[str, msgspec.Struct] | None:
    """The name and data of an event."""
    match event:
        case MessagePosted(message=message) | MessageReplayed(message=message):
            return "message_received", _message(message, links)
        case TypingStarted():
            return "typing_indicator", _typing(event, is_typing=True)
        case TypingStopped():
            return "typing_indicator", _typing(event, is_typing=False)
        case PresenceChanged(user_id=user_id, username=username, presence=presence):
            name = "user_online" if presence is Presence.ONLINE else "user_offline"
            return name, PresenceData(user_id=wire.encode(user_id), username=username)
        case MessageEdited(message=message):
            return "message_edited", _message(message, links)
        case ReactionAdded(message_id=message_id, reaction=reaction):
            return "reaction_added", ReactionAddedData(
                chatroom_id=wire.encode(event.room_id),
                message_id=wire.encode(message_id),
                reaction=wire.reaction(reaction),
            )
        case ReactionRemoved(message_id=message_id, user_id=user_id, emoji=emoji):
            return "reaction_removed", ReactionRemovedData(
                chatroom_id=wire.encode(event.room_id),
                message_id=wire.encode(message_id),
                user_id=wire.encode(user_id),
                emoji=emoji,
            )
        case MessageDeleted(message_id=message_id):
            return "message_deleted", MessageDeletedData(
                chatroom_id=wire.encode(event.room_id), message_id=wire.encode(message_id)
            )
        case _:
            return _of_room(event, links)


def _of_room(event: RoomEvent | MembershipEvent, links: Links) -> tuple[str, msgspec.Struct] | None:
    chatroom_id = wire.encode(event.room_id)
    match event:
        case MemberAdded(member=member):
            user = JoiningUser(
                id=wire.encode(member.user_id),
                username=member.username,
                display_name=wire.display_name(member),
                avatar_url=wire.avatar(member.avatar_url, links),
            )
            return "user_joined", UserJoinedData(chatroom_id=chatroom_id, user=user)
        case MemberRemoved(user_id=user_id):
            return "user_left", UserLeftData(chatroom_id=chatroom_id, user_id=wire.encode(user_id))
        case RoleChanged(user_id=user_id, role=role):
            return "role_changed", RoleData(chatroom_id=chatroom_id, user_id=wire.encode(user_id), role=wire.role(role))
        case RoomUpdated(room=room):
            return "chatroom_updated", ChatroomUpdatedData(
                chatroom_id=chatroom_id,
                name=room.name,
                description=room.description or None,
                max_members=room.max_members,
                auto_summary_enabled=room.auto_summary,
                summary_threshold=room.summary_threshold,
            )
        case RoomJoined(room=room):
            return "chatroom_added", ChatroomAddedData(chatroom_id=chatroom_id, name=room.shown_name)
        case RoomLeft():
            return "chatroom_removed", ChatroomData(chatroom_id=chatroom_id)
        case RoomDeleted():
            return "chatroom_deleted", ChatroomData(chatroom_id=chatroom_id)
        case RoomKeyChanged(version=version):
            return "room_key_changed", KeyData(chatroom_id=chatroom_id, key_version=version)
        case MemberKeyReplaced(version=version):
            return "key_replaced", KeyData(chatroom_id=chatroom_id, key_version=version)
        case Resumed(recovered=recovered, replayed=replayed):
            return "resumed", ResumedData(chatroom_id=chatroom_id, recovered=recovered, replayed=replayed)
        case _:
            return None
