"""What happened in a room, in the past tense. A wire format encodes each event, or leaves it out.

Every event class says who gets it (`audience`); an audience that concerns one user is addressed by `user_id`.
"""

import enum
from typing import ClassVar

from chinwag.engine.model.ids import MessageId, RoomId, UserId
from chinwag.engine.model.values import Member, Message, Presence, Reaction, Record, Role, Room, RoomKind, Status


class Audience(enum.Enum):
    """Who gets an event: sessions subscribed to the room, those of others, those of one user there, or anywhere, or
    those of everybody who shares a room with a user."""

    ROOM = enum.auto()
    OTHERS = enum.auto()
    USER_IN_ROOM = enum.auto()
    USER = enum.auto()
    PEERS = enum.auto()

    @property
    def reaches_anywhere(self) -> bool:
        """True for what a user is told whether or not a session is subscribed to the room."""
        return self is Audience.USER or self is Audience.PEERS


class RoomEvent(Record, tag=True):
    """Base of all events of a room."""

    audience: ClassVar[Audience] = Audience.ROOM
    room_id: RoomId

    @property
    def addressee(self) -> UserId:
        """The user an `OTHERS`, `USER_IN_ROOM` or `USER` audience is about."""
        raise TypeError(f"{type(self).__name__} is addressed to the whole room")


class MessagePosted(RoomEvent):
    """`room_kind` is for wire formats that tell direct rooms from groups."""

    message: Message
    room_kind: RoomKind = RoomKind.GROUP


class MessageEdited(RoomEvent):
    message: Message
    status: Status


class MessageDeleted(RoomEvent):
    message_id: MessageId
    author_id: UserId
    seq: int


class MemberAdded(RoomEvent):
    member: Member


class MemberRemoved(RoomEvent):
    """The last event that the removed user's sessions get from the room."""

    user_id: UserId
    username: str
    room_kind: RoomKind = RoomKind.GROUP


class RoleChanged(RoomEvent):
    user_id: UserId
    role: Role


class ReactionAdded(RoomEvent):
    message_id: MessageId
    reaction: Reaction


class ReactionRemoved(RoomEvent):
    message_id: MessageId
    user_id: UserId
    emoji: str


class RoomUpdated(RoomEvent):
    room: Room


class RoomKeyChanged(RoomEvent):
    """The room has a new key: messages are to be encrypted with `version` from now on."""

    version: int


class MemberKeyReplaced(RoomEvent):
    """A key that was sealed for a member (client custody) was replaced by another one of the same version."""

    audience = Audience.USER_IN_ROOM
    user_id: UserId
    version: int

    @property
    def addressee(self) -> UserId:
        return self.user_id


class PresenceChanged(RoomEvent):
    """A user came or went. Not about a room: `room_id` is 0."""

    audience = Audience.PEERS
    user_id: UserId
    username: str
    presence: Presence

    @property
    def addressee(self) -> UserId:
        return self.user_id


class StatusAdvanced(RoomEvent):
    """A message of `author_id` got further: all other members have it now, or have read it."""

    audience = Audience.USER_IN_ROOM
    author_id: UserId
    message_id: MessageId
    status: Status

    @property
    def addressee(self) -> UserId:
        return self.author_id


class TypingStarted(RoomEvent):
    audience = Audience.OTHERS
    user_id: UserId
    username: str

    @property
    def addressee(self) -> UserId:
        return self.user_id


class TypingStopped(RoomEvent):
    audience = Audience.OTHERS
    user_id: UserId
    username: str

    @property
    def addressee(self) -> UserId:
        return self.user_id


class RoomJoined(RoomEvent):
    """Goes to every session of a user who was added to a room."""

    audience = Audience.USER
    user_id: UserId
    room: Room

    @property
    def addressee(self) -> UserId:
        return self.user_id


class RoomLeft(RoomEvent):
    """Goes to every session of a user who is in a room no longer: left, removed, or the room was deleted."""

    audience = Audience.USER
    user_id: UserId

    @property
    def addressee(self) -> UserId:
        return self.user_id


class RoomDeleted(RoomEvent):
    """The room is gone with all that was in it; its subscriptions end with this event."""


class MessageReplayed(RoomEvent):
    """A message that one session missed. Sent to that session only, before its live events go on."""

    message: Message
    status: Status
    room_kind: RoomKind = RoomKind.GROUP


class Resumed(RoomEvent):
    """Ends one session's replay of a room. With `recovered` False nothing was replayed: the client has to reload."""

    recovered: bool
    replayed: int
    room_kind: RoomKind = RoomKind.GROUP


Event = (
    MessagePosted
    | MessageEdited
    | MessageDeleted
    | ReactionAdded
    | ReactionRemoved
    | RoomUpdated
    | RoomKeyChanged
    | MemberKeyReplaced
    | PresenceChanged
    | MemberAdded
    | MemberRemoved
    | RoleChanged
    | StatusAdvanced
    | TypingStarted
    | TypingStopped
    | RoomJoined
    | RoomLeft
    | RoomDeleted
    | MessageReplayed
    | Resumed
)
