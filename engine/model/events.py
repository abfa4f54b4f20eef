"""What happened, in the past tense. A dialect encodes each event, or leaves it out.

An event belongs to a room (`RoomEvent`), and goes to sessions that are subscribed to it; or it belongs to people
(`UserEvent`), and goes to their sessions whatever these are subscribed to. Every class says who gets it (`audience`).
"""

import enum
from typing import ClassVar

from chinwag.engine.model.ids import MessageId, RoomId, UserId
from chinwag.engine.model.positions import Position
from chinwag.engine.model.values import Member, Message, Presence, Reaction, Record, Role, Room, RoomKind, Status


class Audience(enum.Enum):
    """Who gets an event: sessions subscribed to the room, those of others, those of one user there, or those of people
    wherever they are."""

    ROOM = enum.auto()
    OTHERS = enum.auto()
    USER_IN_ROOM = enum.auto()
    USER = enum.auto()


class RoomEvent(Record, tag=True):
    """Base of all events of a room."""

    audience: ClassVar[Audience] = Audience.ROOM
    per_recipient: ClassVar[bool] = False
    """Whether its body differs by recipient: then it holds what each of them is to be told, and a dialect that has it
    is asked once for each user who is connected."""
    room_id: RoomId

    @property
    def addressee(self) -> UserId:
        """The user an `OTHERS` or `USER_IN_ROOM` audience is about."""
        raise TypeError(f"{type(self).__name__} is addressed to the whole room")

    @property
    def position(self) -> Position | None:
        """Where who got this event, and all before it, can resume from; None where it is no place to resume from."""
        return None


class UserEvent(Record, tag=True):
    """Base of what people are told. Whom, says who publishes it (`Publisher.publish_to`)."""

    audience: ClassVar[Audience] = Audience.USER
    per_recipient: ClassVar[bool] = False
    """See `RoomEvent.per_recipient`."""

    @property
    def addressee(self) -> UserId:
        """The user that an event within a room's turn is for."""
        raise TypeError(f"{type(self).__name__} is addressed to whom its publisher says")

    @property
    def position(self) -> Position | None:
        """See `RoomEvent.position`."""
        return None


class MembershipEvent(UserEvent):
    """What somebody is told of their own membership of a room. It is published within the room's turn, in order with
    the room's events, and every session of theirs gets it, also where a dialect has no word for it."""

    room_id: RoomId
    user_id: UserId

    @property
    def addressee(self) -> UserId:
        return self.user_id


class MessagePosted(RoomEvent):
    """`room_kind` is for dialects that tell direct rooms from groups."""

    message: Message
    room_kind: RoomKind = RoomKind.GROUP

    @property
    def position(self) -> Position:
        return Position.of_message(self.message.id)


class MessageEdited(RoomEvent):
    """A message has another text: the message as it is now, and how far it got."""

    message: Message
    status: Status


class MessageDeleted(RoomEvent):
    """A message is gone; its `seq` stays taken."""

    message_id: MessageId
    author_id: UserId
    seq: int


class MemberAdded(RoomEvent):
    """Somebody is in the room from now on: added, joined, or back in a direct room."""

    member: Member


class MemberRemoved(RoomEvent):
    """The last event that the removed user's sessions get from the room."""

    user_id: UserId
    username: str
    room_kind: RoomKind = RoomKind.GROUP


class RoleChanged(RoomEvent):
    """A member has another role."""

    user_id: UserId
    role: Role


class ReactionAdded(RoomEvent):
    """A member reacted to a message."""

    message_id: MessageId
    reaction: Reaction


class ReactionRemoved(RoomEvent):
    """A member took a reaction back."""

    message_id: MessageId
    user_id: UserId
    emoji: str


class RoomUpdated(RoomEvent):
    """The room's name or settings changed: the room as it is now."""

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
    """A member types, or still does."""

    audience = Audience.OTHERS
    user_id: UserId
    username: str

    @property
    def addressee(self) -> UserId:
        return self.user_id


class TypingStopped(RoomEvent):
    """They type no more: they stopped, posted, left, or their time was over."""

    audience = Audience.OTHERS
    user_id: UserId
    username: str

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

    @property
    def position(self) -> Position:
        return Position.of_message(self.message.id)


class Resumed(RoomEvent):
    """Ends one session's replay of a room. With `recovered` False nothing was replayed: the client has to reload."""

    recovered: bool
    replayed: int
    room_kind: RoomKind = RoomKind.GROUP
    reached: Position | None = None
    """On the last one of a session: where the client is, now that it knows of all its rooms how they were resumed."""

    @property
    def position(self) -> Position | None:
        return self.reached


class RoomJoined(MembershipEvent):
    """The user was added to a room."""

    room: Room


class RoomLeft(MembershipEvent):
    """The user is in a room no longer: left, removed, or the room was deleted."""


class PresenceChanged(UserEvent):
    """A user came or went. For those who share a room with them."""

    user_id: UserId
    username: str
    presence: Presence


Event = (
    MessagePosted
    | MessageEdited
    | MessageDeleted
    | ReactionAdded
    | ReactionRemoved
    | RoomUpdated
    | RoomKeyChanged
    | MemberKeyReplaced
    | MemberAdded
    | MemberRemoved
    | RoleChanged
    | StatusAdvanced
    | TypingStarted
    | TypingStopped
    | RoomDeleted
    | MessageReplayed
    | Resumed
    | RoomJoined
    | RoomLeft
    | PresenceChanged
)
