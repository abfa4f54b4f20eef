"""The messenger's objects and socket frames, as its spec shows them, out of the engine's values. Pure functions.

Fields and their order are the spec's, also where it shows one thing in two ways. Ids are UUIDs, times RFC 3339 in UTC.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from chinwag.engine.model import values as model
from chinwag.engine.model.ids import RoomId, UserId
from chinwag.http.kit.links import Links
from chinwag.http.kit.times import rfc3339
from chinwag.http.kit.uuid_ids import IDS, UuidText

Id = UuidText
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]

_encode = msgspec.json.Encoder().encode
_id = IDS.encode


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """That something was done."""

    message: str


# --- users --------------------------------------------------------------------------------------------------------


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    username: str
    email: str | None
    created_at: Time


class User(msgspec.Struct, frozen=True, kw_only=True):
    """`email` is null for a user who registered without one, by another front."""

    id: Id
    username: str
    email: str | None


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    user: NewUser
    access_token: str
    refresh_token: str


class LoggedIn(msgspec.Struct, frozen=True, kw_only=True):
    user: User
    access_token: str
    refresh_token: str


class Refreshed(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str


def new_user(u: model.User) -> NewUser:
    return NewUser(id=_id(u.id), username=u.username, email=u.email, created_at=rfc3339(u.created_us))


def user(u: model.User) -> User:
    return User(id=_id(u.id), username=u.username, email=u.email)


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who can be written to. `email` is empty but for oneself and people one shares a room with."""

    id: Id
    username: str
    email: str
    created_at: Time
    updated_at: Time


def contact(u: model.User, *, known: bool) -> Contact:
    """`known`: the address may be shown. (What is shown of a user here does not change: neither does `updated_at`.)"""
    made = rfc3339(u.created_us)
    email = u.email or ""
    return Contact(id=_id(u.id), username=u.username, email=email if known else "", created_at=made, updated_at=made)


# --- conversations ------------------------------------------------------------------------------------------------


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """Two users' own room. The first of `participants` is who asks; `updated_at` is when it was last written in."""

    id: Id
    participants: list[Id]
    created_at: Time
    updated_at: Time


class ConversationDetails(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    participants: list[Id]
    created_at: Time


class Conversations(msgspec.Struct, frozen=True, kw_only=True):
    conversations: list[Conversation]


class OneConversation(msgspec.Struct, frozen=True, kw_only=True):
    conversation: Conversation


class OneConversationDetails(msgspec.Struct, frozen=True, kw_only=True):
    conversation: ConversationDetails


def conversation(r: model.Room, viewer: UserId, active_us: int) -> Conversation:
    return Conversation(
        id=_id(r.id),
        participants=_participants(r, viewer),
        created_at=rfc3339(r.created_us),
        updated_at=rfc3339(active_us),
    )


def conversation_details(r: model.Room, viewer: UserId) -> ConversationDetails:
    return ConversationDetails(id=_id(r.id), participants=_participants(r, viewer), created_at=rfc3339(r.created_us))


def _participants(r: model.Room, viewer: UserId) -> list[Id]:
    """Both of them, also when the other one has left: as soon as either asks for the conversation, they are back."""
    return [_id(viewer), _id(r.peer_of(viewer))]


# --- groups -------------------------------------------------------------------------------------------------------


class Group(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    name: str
    created_by: Id
    members: list[Id]
    created_at: Time


class Groups(msgspec.Struct, frozen=True, kw_only=True):
    groups: list[Group]


class OneGroup(msgspec.Struct, frozen=True, kw_only=True):
    group: Group


def group(r: model.Room, member_ids: Sequence[UserId]) -> Group:
    return Group(
        id=_id(r.id),
        name=r.name,
        created_by=_id(r.created_by),
        members=[_id(member_id) for member_id in member_ids],
        created_at=rfc3339(r.created_us),
    )


# --- messages -----------------------------------------------------------------------------------------------------


class ConversationMessage(msgspec.Struct, frozen=True, kw_only=True):
    """`client_id` is there when its sender gave one."""

    id: Id
    sender_id: Id
    conversation_id: Id
    content: str
    created_at: Time
    client_id: str | UnsetType = UNSET


class GroupMessage(msgspec.Struct, frozen=True, kw_only=True):
    """`client_id` is there when its sender gave one."""

    id: Id
    sender_id: Id
    group_id: Id
    content: str
    created_at: Time
    client_id: str | UnsetType = UNSET


class ConversationMessages(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first. `next_cursor` is null at the end."""

    messages: list[ConversationMessage]
    next_cursor: Time | None


class GroupMessages(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first. `next_cursor` is null at the end."""

    messages: list[GroupMessage]
    next_cursor: Time | None


class OneConversationMessage(msgspec.Struct, frozen=True, kw_only=True):
    message: ConversationMessage


class OneGroupMessage(msgspec.Struct, frozen=True, kw_only=True):
    message: GroupMessage


def message(m: model.Message, kind: model.RoomKind, links: Links) -> ConversationMessage | GroupMessage:
    client_id = UNSET if m.key is None else m.key
    if kind is model.RoomKind.DIRECT:
        return ConversationMessage(
            id=_id(m.id),
            sender_id=_id(m.author_id),
            conversation_id=_id(m.room_id),
            content=content(m, links),
            created_at=rfc3339(m.created_us),
            client_id=client_id,
        )
    return GroupMessage(
        id=_id(m.id),
        sender_id=_id(m.author_id),
        group_id=_id(m.room_id),
        content=content(m, links),
        created_at=rfc3339(m.created_us),
        client_id=client_id,
    )


def one_message(m: model.Message, kind: model.RoomKind, links: Links) -> OneConversationMessage | OneGroupMessage:
    shown = message(m, kind, links)
    return OneGroupMessage(message=shown) if isinstance(shown, GroupMessage) else OneConversationMessage(message=shown)


def messages(
    page: Iterable[model.Message], kind: model.RoomKind, next_us: int | None, links: Links
) -> dict[str, object]:
    """A `ConversationMessages` or `GroupMessages`; `next_us` is where the next page begins."""
    return {
        "messages": [message(each, kind, links) for each in page],
        "next_cursor": None if next_us is None else rfc3339(next_us),
    }


def content(m: model.Message, links: Links) -> str:
    """The text, or what stands for it, and a line for each attachment: its name, if it has one, and where it is."""
    if not m.attachments:
        return m.shown_text
    lines = [m.shown_text, *(f"{each.name} {links.attachment(each)}".lstrip() for each in m.attachments)]
    return "\n".join(filter(None, lines))


# --- the socket ---------------------------------------------------------------------------------------------------


class MessageData(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a conversation or of a group: the other of the two ids is null."""

    id: Id
    sender_id: Id
    conversation_id: Id | None
    group_id: Id | None
    content: str
    created_at: Time
    client_id: str | UnsetType = UNSET


class MessageFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    data: MessageData


class ResumedData(msgspec.Struct, frozen=True, kw_only=True):
    """`recovered` false: nothing was replayed, reload it. `replayed` is how many messages were sent again."""

    conversation_id: Id | None
    group_id: Id | None
    recovered: bool
    replayed: int


class ResumedFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="resumed"):
    data: ResumedData


class PresenceListFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="presence_list"):
    """Who of those that the recipient shares a conversation or group with is online."""

    data: list[Id]


class PresenceData(msgspec.Struct, frozen=True, kw_only=True):
    user_id: Id
    status: Literal["online", "offline"]


class PresenceFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="presence"):
    data: PresenceData


class ErrorFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """`client_id` says which of the client's messages it is about, where that is known."""

    message: str
    client_id: str | UnsetType = UNSET


def message_frame(m: model.Message, kind: model.RoomKind, links: Links) -> bytes:
    """A message that was posted (or is replayed)."""
    direct = kind is model.RoomKind.DIRECT
    room_id = _id(m.room_id)
    data = MessageData(
        id=_id(m.id),
        sender_id=_id(m.author_id),
        conversation_id=room_id if direct else None,
        group_id=None if direct else room_id,
        content=content(m, links),
        created_at=rfc3339(m.created_us),
        client_id=UNSET if m.key is None else m.key,
    )
    return _encode(MessageFrame(data=data))


def resumed_frame(room_id: RoomId, kind: model.RoomKind, *, recovered: bool, replayed: int) -> bytes:
    """What became of the request to resume in one conversation or group."""
    direct = kind is model.RoomKind.DIRECT
    data = ResumedData(
        conversation_id=_id(room_id) if direct else None,
        group_id=None if direct else _id(room_id),
        recovered=recovered,
        replayed=replayed,
    )
    return _encode(ResumedFrame(data=data))


def presence_list_frame(online: Iterable[UserId]) -> bytes:
    """Who is online, told once at the beginning."""
    return _encode(PresenceListFrame(data=[_id(user_id) for user_id in online]))


def presence_frame(user_id: UserId, presence: model.Presence) -> bytes:
    """Somebody came or went."""
    online = presence is model.Presence.ONLINE
    return _encode(PresenceFrame(data=PresenceData(user_id=_id(user_id), status="online" if online else "offline")))


def error_frame(words: str, *, client_id: str | None = None) -> bytes:
    """Something that the recipient sent was refused. The socket stays open."""
    return _encode(ErrorFrame(message=words, client_id=UNSET if client_id is None else client_id))
