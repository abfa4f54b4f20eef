"""The chatrooms API's objects, as its spec shows them, out of the engine's values. Pure functions.

Ids are UUIDs, times RFC 3339 in UTC. Every success is `{"success": true, "data": ..., "message": "..."}`.
"""

from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from chinwag.engine.model import values as model
from chinwag.engine.model.ids import UserId
from chinwag.http.kit.links import FileLinks
from chinwag.http.kit.times import rfc3339
from chinwag.http.kit.uuid_ids import IDS, UuidText

T = TypeVar("T")
RoleName = Literal["owner", "moderator", "member"]
KindName = Literal["text", "image", "file", "system"]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Id = UuidText

_KINDS: dict[model.MessageKind, KindName] = {
    model.MessageKind.TEXT: "text",
    model.MessageKind.IMAGE: "image",
    model.MessageKind.FILE: "file",
    model.MessageKind.SYSTEM: "system",
}
KIND_OF = {name: kind for kind, name in _KINDS.items()}
ROLE_OF = {"owner": model.Role.OWNER, "moderator": model.Role.MODERATOR, "member": model.Role.MEMBER}

encode = IDS.encode


class Success(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """The envelope of every answer with data."""

    success: Literal[True] = True
    data: T
    message: str = "OK"


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope of an answer that has nothing to tell but that it is done."""

    success: Literal[True] = True
    message: str


# --- users --------------------------------------------------------------------------------------------------------


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    username: str
    email: str | None
    display_name: str
    avatar_url: str | None
    is_verified: bool
    created_at: Time


class LoggedInUser(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    username: str
    display_name: str
    avatar_url: str | None
    last_login: Time | None


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    username: str
    email: str | None
    display_name: str
    avatar_url: str | None
    public_key: str | None
    is_verified: bool
    created_at: Time
    last_login: Time | None


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    user: NewUser
    access_token: str
    refresh_token: str
    expires_in: int


class LoggedIn(msgspec.Struct, frozen=True, kw_only=True):
    user: LoggedInUser
    access_token: str
    refresh_token: str
    expires_in: int


class Refreshed(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str
    expires_in: int


class Avatar(msgspec.Struct, frozen=True, kw_only=True):
    avatar_url: str


def display_name(user: model.User | model.Member | model.Ban) -> str:
    """Who gave none is called by their username."""
    return user.display_name or user.username


def avatar(address: str | None, links: FileLinks) -> str | None:
    """Where a user's picture is, None when there is none."""
    return None if address is None else links.own(address)


def new_user(u: model.User, links: FileLinks) -> NewUser:
    return NewUser(
        id=encode(u.id),
        username=u.username,
        email=u.email,
        display_name=display_name(u),
        avatar_url=avatar(u.avatar_url, links),
        is_verified=False,
        created_at=rfc3339(u.created_us),
    )


def logged_in_user(u: model.User, links: FileLinks) -> LoggedInUser:
    return LoggedInUser(
        id=encode(u.id),
        username=u.username,
        display_name=display_name(u),
        avatar_url=avatar(u.avatar_url, links),
        last_login=optional_time(u.last_login_us),
    )


def profile(u: model.User, links: FileLinks) -> Profile:
    return Profile(
        id=encode(u.id),
        username=u.username,
        email=u.email,
        display_name=display_name(u),
        avatar_url=avatar(u.avatar_url, links),
        public_key=u.public_key,
        is_verified=False,
        created_at=rfc3339(u.created_us),
        last_login=optional_time(u.last_login_us),
    )


# --- chatrooms ----------------------------------------------------------------------------------------------------


class Pagination(msgspec.Struct, frozen=True, kw_only=True):
    page: int
    limit: int
    total: int
    pages: int


class LastMessage(msgspec.Struct, frozen=True, kw_only=True):
    """`content` is `encrypted_data` as it was sent: plain text where `key_version` is 0."""

    id: Id
    content: str
    user_id: Id
    username: str
    created_at: Time


class ListedChatroom(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    name: str
    description: str | None
    is_private: bool
    member_count: int
    last_message: LastMessage | None
    unread_count: int
    role: RoleName
    joined_at: Time


class Chatrooms(msgspec.Struct, frozen=True, kw_only=True):
    chatrooms: list[ListedChatroom]
    pagination: Pagination


class Chatroom(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    name: str
    description: str | None
    owner_id: Id
    is_private: bool
    max_members: int | None
    member_count: int
    encryption_enabled: bool
    key_custody: Literal["client", "server"]
    auto_summary_enabled: bool
    summary_threshold: int
    created_at: Time
    updated_at: Time


class OneChatroom(msgspec.Struct, frozen=True, kw_only=True):
    chatroom: Chatroom


class Member(msgspec.Struct, frozen=True, kw_only=True):
    user_id: Id
    username: str
    display_name: str
    avatar_url: str | None
    role: RoleName
    joined_at: Time
    last_read_at: Time | None
    is_online: bool


class ChatroomDetails(msgspec.Struct, frozen=True, kw_only=True):
    chatroom: Chatroom
    members: list[Member]
    user_role: RoleName


class OneMember(msgspec.Struct, frozen=True, kw_only=True):
    member: Member


class JoinedChatroom(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    name: str
    description: str | None
    member_count: int
    role: RoleName


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    chatroom: JoinedChatroom


def pagination(page: int, limit: int, total: int) -> Pagination:
    """Where a page of a list of `total` stands."""
    return Pagination(page=page, limit=limit, total=total, pages=-(-total // limit))


def role(r: model.Role) -> RoleName:
    """The spec has three roles: an ADMIN that is not the owner is a moderator."""
    if r >= model.Role.OWNER:
        return "owner"
    return "moderator" if r >= model.Role.MODERATOR else "member"


def custody(c: model.KeyCustody) -> Literal["client", "server"]:
    return "server" if c is model.KeyCustody.SERVER else "client"


def listed_chatroom(o: model.RoomOverview) -> ListedChatroom:
    return ListedChatroom(
        id=encode(o.room.id),
        name=o.room.shown_name,
        description=o.room.description or None,
        is_private=o.room.private,
        member_count=len(o.member_ids),
        last_message=None if o.last_message is None else last_message(o.last_message),
        unread_count=o.unread,
        role=role(o.member.role),
        joined_at=rfc3339(o.member.joined_us),
    )


def last_message(m: model.Message) -> LastMessage:
    return LastMessage(
        id=encode(m.id),
        content=m.text if m.sealed is None else m.sealed.data,
        user_id=encode(m.author_id),
        username=m.author_name,
        created_at=rfc3339(m.created_us),
    )


def chatroom(r: model.Room, owner: UserId, member_count: int) -> Chatroom:
    direct = r.kind is model.RoomKind.DIRECT
    return Chatroom(
        id=encode(r.id),
        name=r.shown_name,
        description=r.description or None,
        owner_id=encode(owner),
        is_private=r.private,
        max_members=2 if direct else r.max_members,
        member_count=member_count,
        encryption_enabled=True,
        key_custody=custody(r.custody),
        auto_summary_enabled=r.auto_summary,
        summary_threshold=r.summary_threshold,
        created_at=rfc3339(r.created_us),
        updated_at=rfc3339(r.updated_us or r.created_us),
    )


def member(m: model.Member, links: FileLinks, *, online: bool) -> Member:
    return Member(
        user_id=encode(m.user_id),
        username=m.username,
        display_name=display_name(m),
        avatar_url=avatar(m.avatar_url, links),
        role=role(m.role),
        joined_at=rfc3339(m.joined_us),
        last_read_at=optional_time(m.read_us),
        is_online=online,
    )


def joined_chatroom(r: model.Room, m: model.Member, member_count: int) -> JoinedChatroom:
    return JoinedChatroom(
        id=encode(r.id),
        name=r.shown_name,
        description=r.description or None,
        member_count=member_count,
        role=role(m.role),
    )


# --- messages -----------------------------------------------------------------------------------------------------


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """With `key_version` 0 `encrypted_data` is plain text."""

    encrypted_data: str
    iv: str
    key_version: int


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """URLs expire. One from a socket needs an access token besides; one from HTTP is made out to who asked."""

    filename: str
    file_type: str
    file_size: int
    encrypted_url: str
    thumbnail_url: str | None


class Reaction(msgspec.Struct, frozen=True, kw_only=True):
    user_id: Id
    username: str
    emoji: str
    created_at: Time


class Message(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    chatroom_id: Id
    user_id: Id
    username: str
    display_name: str
    avatar_url: str | None
    content: Content
    message_type: KindName
    reply_to: Id | None
    attachments: list[Attachment]
    reactions: list[Reaction]
    edited_at: Time | None
    created_at: Time
    client_id: str | msgspec.UnsetType = msgspec.UNSET


class OneMessage(msgspec.Struct, frozen=True, kw_only=True):
    message: Message


class MessagesPagination(msgspec.Struct, frozen=True, kw_only=True):
    """`next_before` is the `before` that the next messages come with, also when new ones arrive meanwhile; null at the
    end. (Pages by number move on with each new message.)"""

    page: int
    limit: int
    total: int
    has_more: bool
    next_before: Time | None


class Messages(msgspec.Struct, frozen=True, kw_only=True):
    messages: list[Message]
    pagination: MessagesPagination


def message(m: model.Message, links: FileLinks) -> Message:
    sealed = m.sealed
    return Message(
        id=encode(m.id),
        chatroom_id=encode(m.room_id),
        user_id=encode(m.author_id),
        username=m.author_name,
        display_name=m.author_display_name or m.author_name,
        avatar_url=avatar(m.author_avatar_url, links),
        content=Content(encrypted_data=m.text, iv="", key_version=0)
        if sealed is None
        else Content(encrypted_data=sealed.data, iv=sealed.iv, key_version=sealed.key_version),
        message_type=_KINDS[m.kind],
        reply_to=None if m.reply_to is None else encode(m.reply_to),
        attachments=[attachment(each, links) for each in m.attachments],
        reactions=[reaction(each) for each in m.reactions],
        edited_at=optional_time(m.edited_us),
        created_at=rfc3339(m.created_us),
        client_id=msgspec.UNSET if m.key is None else m.key,
    )


def attachment(a: model.Attachment, links: FileLinks) -> Attachment:
    return Attachment(
        filename=a.name or a.url.rpartition("/")[2],
        file_type=a.mime_type,
        file_size=a.size_bytes,
        encrypted_url=links.attachment(a),
        thumbnail_url=links.attachment(a, thumbnail=True) if a.has_thumbnail else None,
    )


def reaction(r: model.Reaction) -> Reaction:
    return Reaction(user_id=encode(r.user_id), username=r.username, emoji=r.emoji, created_at=rfc3339(r.created_us))


# --- search, files, health ----------------------------------------------------------------------------------------


class Context(msgspec.Struct, frozen=True, kw_only=True):
    before: str
    match: str
    after: str


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    message: Message
    relevance_score: float
    matched_terms: list[str]
    context: Context


class SearchResults(msgspec.Struct, frozen=True, kw_only=True):
    """`total_is_exact` false: there are at least so many. `encrypted_left_out`: some messages cannot be searched.
    `complete` false: the search took too long and ended, so that there may be more."""

    results: list[SearchResult]
    total_results: int
    search_time_ms: int
    total_is_exact: bool
    encrypted_left_out: bool
    complete: bool


class File(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    filename: str
    file_type: str
    file_size: int
    encrypted_url: str
    thumbnail_url: str | None
    upload_date: Time


class OneFile(msgspec.Struct, frozen=True, kw_only=True):
    file: File


ServiceState = Literal["healthy", "unhealthy", "not_configured"]


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The spec's names. Chinwag keeps all in one database, and has neither Redis nor MongoDB."""

    database: ServiceState
    redis: ServiceState
    mongodb: ServiceState


class Health(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["healthy", "unhealthy"]
    timestamp: Time
    version: str
    services: Services


def optional_time(us: int | None) -> str | None:
    """A time that may be missing."""
    return None if us is None else rfc3339(us)
