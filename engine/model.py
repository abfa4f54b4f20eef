"""The engine's nouns: immutable values that travel between actors, store and fronts.

Times are microseconds since 1970 UTC and end in `_us`. Sequences count a room's messages from 1 without holes; a
deleted message keeps its sequence as a tombstone (`deleted_us` set, no text).
"""

import enum
from typing import dataclass_transform

import msgspec

from chinwag.engine.ids import FamilyId, MessageId, RoomId, UserId


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of the engine's values: frozen, keyword-only, compared by content. (A tenth of a dataclass's cost.)"""


class Role(enum.IntEnum):
    """What a member may do in a room. Ordered: a higher role may do all that a lower one may."""

    MEMBER = 0
    ADMIN = 20


class RoomKind(enum.IntEnum):
    """A direct room has exactly two members for ever; a group has any number."""

    DIRECT = 0
    GROUP = 1


class Status(enum.IntEnum):
    """How far a message got: committed, delivered to all other members, read by all other members."""

    SENT = 0
    DELIVERED = 1
    READ = 2


class Presence(enum.IntEnum):
    """Whether a user is there."""

    OFFLINE = 0
    ONLINE = 1


class User(Record):
    """An account. `declared` is the presence the user set by hand, None when it follows the open connections."""

    id: UserId
    username: str
    email: str | None
    created_us: int
    declared: Presence | None = None


class Room(Record):
    """A room. `direct_key` names a direct room by its pair ("dm:LOWER:HIGHER") and is None for a group."""

    id: RoomId
    kind: RoomKind
    name: str
    description: str
    created_by: UserId
    created_us: int
    direct_key: str | None = None


class Member(Record):
    """One user's place in one room. Both watermarks are sequences: all up to and including it got there."""

    user_id: UserId
    username: str
    role: Role
    joined_us: int
    delivered_seq: int = 0
    read_seq: int = 0


class Attachment(Record):
    """A file that a message points to. `size_bytes` is what the sender claims."""

    url: str
    mime_type: str
    size_bytes: int


class Message(Record):
    """One message. `seq` is its place in the room; `key` the sender's idempotency key, if any."""

    id: MessageId
    room_id: RoomId
    seq: int
    author_id: UserId
    author_name: str
    text: str
    created_us: int
    attachments: tuple[Attachment, ...] = ()
    key: str | None = None
    edited_us: int | None = None
    deleted_us: int | None = None


class ReceiptFloor(Record):
    """How far everyone in a room got, and how far everyone but the one member that is furthest behind.

    `lowest` is the smallest watermark over all members and `lowest_user` who holds it; `second` is the smallest over
    the others. Two numbers answer "all other members" for every author. In a room of one, `second` is -1.
    """

    lowest: int
    lowest_user: UserId
    second: int

    @property
    def reached_by_others(self) -> int:
        """The highest sequence up to which any member's messages got to all others; 0 for a room of one."""
        return max(self.second, 0)

    def without(self, user: UserId) -> int:
        """The smallest watermark over all members but `user`; -1 when there is nobody else."""
        return self.second if user == self.lowest_user else self.lowest


def receipt_floor(watermarks: list[tuple[int, UserId]]) -> ReceiptFloor:
    """The floor of `(sequence, user)` pairs, one per member, in any order. No members at all count as nobody else."""
    lowest, lowest_user, second = -1, UserId(0), -1
    for seq, user in watermarks:
        if lowest_user == 0 or seq < lowest:
            lowest, lowest_user, second = seq, user, lowest
        elif second == -1 or seq < second:
            second = seq
    return ReceiptFloor(lowest=lowest, lowest_user=lowest_user, second=second)


class Receipts(Record):
    """A room's two receipt floors; they derive the status of any message."""

    delivered: ReceiptFloor
    read: ReceiptFloor

    def status_of(self, message: Message) -> Status:
        """SENT until every other member got it (DELIVERED) or read it (READ). Alone in a room it stays SENT."""
        if self.read.without(message.author_id) >= message.seq:
            return Status.READ
        if self.delivered.without(message.author_id) >= message.seq:
            return Status.DELIVERED
        return Status.SENT


class ViewedMessage(Record):
    """A message as its readers see it: with the status that the room's receipts give it."""

    message: Message
    status: Status


class Family(Record):
    """One log-in of one user. `revoked_us` is set by log-out or when a spent refresh token was used again."""

    id: FamilyId
    user_id: UserId
    created_us: int
    revoked_us: int | None = None


class RefreshToken(Record):
    """A refresh token as stored: never the secret, only its SHA-256."""

    digest: bytes
    family_id: FamilyId
    user_id: UserId
    expires_us: int
    spent_us: int | None = None
