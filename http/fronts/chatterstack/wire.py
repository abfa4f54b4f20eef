"""ChatterStack's objects and socket events, as its spec shows them, out of the engine's values. Pure functions.

The order of the fields is the spec's; what the spec leaves out and its clients use comes after. Ids are decimal
strings, times RFC 3339 in UTC.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from chinwag.engine.model import values as model
from chinwag.engine.model.errors import Refused
from chinwag.engine.model.ids import MessageId, RoomId, UserId
from chinwag.http.fronts.chatterstack.ids import Id
from chinwag.http.kit.links import Links
from chinwag.http.kit.times import rfc3339

StatusName = Literal["SENT", "DELIVERED", "READ"]
RoleName = Literal["ADMIN", "MEMBER"]
PresenceName = Literal["ONLINE", "OFFLINE"]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]

_STATUSES: dict[model.Status, StatusName] = {
    model.Status.SENT: "SENT",
    model.Status.DELIVERED: "DELIVERED",
    model.Status.READ: "READ",
}
_encode = msgspec.json.Encoder().encode

REMEMBERED = 16_384
"""Of how many messages the JSON is remembered."""
REMEMBERED_TEXT = 1_000
"""Longer texts, in characters, are not remembered: so they take some 10 MB as a rule, and never ten times as much."""


# --- objects ------------------------------------------------------------------------------------------------------


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user's profile. `email` is null for a user who registered without one, by another front."""

    id: Id
    username: str
    email: str | None
    status: PresenceName
    created_at: Time


class TokenPair(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str
    refresh_token: str


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """A room. A direct room (`is_group` false) is named `dm:ID1:ID2`, the lower id first."""

    id: Id
    name: str
    is_group: bool
    description: str
    created_by: Id
    created_at: Time


class Rooms(msgspec.Struct, frozen=True, kw_only=True):
    rooms: list[Room]


class Member(msgspec.Struct, frozen=True, kw_only=True):
    user_id: Id
    username: str
    role: RoleName
    joined_at: Time


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    mime_type: str
    size_bytes: int


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message. `updated_at` is `created_at` until it is edited; `client_id` is there when its sender gave one."""

    id: Id
    room_id: Id
    sender_id: Id
    content: str
    attachments: list[Attachment]
    status: StatusName
    created_at: Time
    updated_at: Time
    username: str
    client_id: str | UnsetType = UNSET


class Messages(msgspec.Struct, frozen=True, kw_only=True):
    messages: list[Message]


def user(u: model.User, presence: model.Presence) -> User:
    """Never holds the password or its hash: the engine's user has neither."""
    return User(
        id=str(u.id),
        username=u.username,
        email=u.email,
        status="ONLINE" if presence is model.Presence.ONLINE else "OFFLINE",
        created_at=rfc3339(u.created_us),
    )


def room(r: model.Room) -> Room:
    return Room(
        id=str(r.id),
        name=r.shown_name,
        is_group=r.kind is not model.RoomKind.DIRECT,
        description=r.description,
        created_by=str(r.created_by),
        created_at=rfc3339(r.created_us),
    )


def member(m: model.Member) -> Member:
    """The spec has two roles: whoever may do less than an ADMIN is a MEMBER."""
    return Member(
        user_id=str(m.user_id),
        username=m.username,
        role="ADMIN" if m.role >= model.Role.ADMIN else "MEMBER",
        joined_at=rfc3339(m.joined_us),
    )


def attachment(a: model.Attachment, links: Links) -> Attachment:
    return Attachment(url=links.attachment(a), mime_type=a.mime_type, size_bytes=a.size_bytes)


def message(m: model.Message, status: model.Status, links: Links) -> Message:
    created_at = rfc3339(m.created_us)
    return Message(
        id=str(m.id),
        room_id=str(m.room_id),
        sender_id=str(m.author_id),
        content=m.text or m.shown_text,
        attachments=[attachment(each, links) for each in m.attachments] if m.attachments else [],
        status=_STATUSES[status],
        created_at=created_at,
        updated_at=created_at if m.edited_us is None else rfc3339(m.edited_us),
        username=m.author_name,
        client_id=UNSET if m.key is None else m.key,
    )


def messages(viewed: Iterable[model.ViewedMessage], links: Links) -> msgspec.Raw:
    """A `Messages`, encoded. Readers of a room mostly ask for the same messages, so each one's JSON is remembered."""
    return msgspec.Raw(b'{"messages":[%b]}' % b",".join([_json(one.message, one.status, links) for one in viewed]))


def _json(m: model.Message, status: model.Status, links: Links) -> bytes:
    if len(m.text) > REMEMBERED_TEXT:
        return _encode(message(m, status, links))
    return _remembered_json(m, status, links)


@lru_cache(maxsize=REMEMBERED)
def _remembered_json(m: model.Message, status: model.Status, links: Links) -> bytes:
    return _encode(message(m, status, links))


# --- socket events ------------------------------------------------------------------------------------------------


class ReceiveMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="receive_message"):
    data: Message


class MessageUpdated(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="message.updated"):
    data: Message


class MessageStatusData(msgspec.Struct, frozen=True, kw_only=True):
    room_id: Id
    message_id: Id
    status: StatusName


class MessageStatus(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="message.status"):
    data: MessageStatusData


class MessageDeletedData(msgspec.Struct, frozen=True, kw_only=True):
    """`id` is `message_id` once more: that is where ChatterStack's own web client looks."""

    room_id: Id
    message_id: Id
    id: Id


class MessageDeleted(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="message.deleted"):
    data: MessageDeletedData


class TypingData(msgspec.Struct, frozen=True, kw_only=True):
    room_id: Id
    user_id: Id
    username: str


class TypingStart(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="typing_start"):
    data: TypingData


class TypingStop(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="typing_stop"):
    data: TypingData


class RoomAdded(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="room_added"):
    data: Room


class RoomRemovedData(msgspec.Struct, frozen=True, kw_only=True):
    room_id: Id


class RoomRemoved(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="room_removed"):
    data: RoomRemovedData


class ResumedData(msgspec.Struct, frozen=True, kw_only=True):
    """`recovered` false: nothing was replayed, reload the room. `replayed` is how many messages were sent again."""

    room_id: Id
    recovered: bool
    replayed: int


class Resumed(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="resumed"):
    data: ResumedData


class ErrorData(msgspec.Struct, frozen=True, kw_only=True):
    """`code` is stable, `message` for people; `room_id` and `client_id` say what it is about, where that is known."""

    message: str
    code: str
    room_id: Id | UnsetType = UNSET
    client_id: str | UnsetType = UNSET


class Error(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="error"):
    data: ErrorData


def receive_message(m: model.Message, links: Links, status: model.Status = model.Status.SENT) -> bytes:
    """A message that was posted (or is replayed)."""
    return _encode(ReceiveMessage(data=message(m, status, links)))


def message_updated(m: model.Message, status: model.Status, links: Links) -> bytes:
    """A message whose text was edited: the whole message as it is now."""
    return _encode(MessageUpdated(data=message(m, status, links)))


def message_status(room_id: RoomId, message_id: MessageId, status: model.Status) -> bytes:
    """How far one of the recipient's own messages got."""
    data = MessageStatusData(room_id=str(room_id), message_id=str(message_id), status=_STATUSES[status])
    return _encode(MessageStatus(data=data))


def message_deleted(room_id: RoomId, message_id: MessageId) -> bytes:
    """A message that is gone."""
    data = MessageDeletedData(room_id=str(room_id), message_id=str(message_id), id=str(message_id))
    return _encode(MessageDeleted(data=data))


def typing_start(room_id: RoomId, user_id: UserId, username: str) -> bytes:
    """Somebody else in the room began to type."""
    return _encode(TypingStart(data=TypingData(room_id=str(room_id), user_id=str(user_id), username=username)))


def typing_stop(room_id: RoomId, user_id: UserId, username: str) -> bytes:
    """Somebody else in the room stopped typing."""
    return _encode(TypingStop(data=TypingData(room_id=str(room_id), user_id=str(user_id), username=username)))


def room_added(added: model.Room) -> bytes:
    """The recipient was added to a room."""
    return _encode(RoomAdded(data=room(added)))


def room_removed(room_id: RoomId) -> bytes:
    """The recipient is no longer in a room: removed from it, or the room is gone."""
    return _encode(RoomRemoved(data=RoomRemovedData(room_id=str(room_id))))


def resumed(room_id: RoomId, *, recovered: bool, replayed: int) -> bytes:
    """What became of the request to resume in one room."""
    return _encode(Resumed(data=ResumedData(room_id=str(room_id), recovered=recovered, replayed=replayed)))


class _Named(msgspec.Struct, frozen=True):
    """What an unacceptable frame says it is about, as far as that can be read."""

    room_id: Id | UnsetType = UNSET
    client_id: str | UnsetType = UNSET


class _Whatever(msgspec.Struct, frozen=True):
    data: _Named


_decode_named = msgspec.json.Decoder(_Whatever).decode


def frame_error(refused: Refused, frame: str) -> bytes:
    """A frame was refused as a whole. Names the room and the client's id, where the frame does."""
    try:
        named = _decode_named(frame).data
    except (msgspec.MsgspecError, RecursionError):
        named = _Named()
    data = ErrorData(message=refused.message, code=refused.code, room_id=named.room_id, client_id=named.client_id)
    return _encode(Error(data=data))


def error(message: str, code: str, *, room_id: RoomId | None = None, client_id: str | None = None) -> bytes:
    """Something that the recipient sent was refused. The socket stays open."""
    data = ErrorData(
        message=message,
        code=code,
        room_id=UNSET if room_id is None else str(room_id),
        client_id=UNSET if client_id is None else client_id,
    )
    return _encode(Error(data=data))
