"""The engine's nouns: immutable values that travel between actors, store and fronts.

Times are microseconds since 1970 UTC and end in `_us`. Sequences count a room's messages from 1 without holes; a
deleted message keeps its sequence as a tombstone (`deleted_us` set, no text).
"""

import enum
from typing import dataclass_transform

import msgspec

from chinwag.engine.model.ids import BanId, FamilyId, FileId, InvitationId, MessageId, RoomId, SummaryId, UserId


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of the engine's values: frozen, keyword-only, compared by content. (A tenth of a dataclass's cost.)"""


class Role(enum.IntEnum):
    """What a member may do in a room. Ordered: a higher role may do all that a lower one may."""

    MEMBER = 0
    MODERATOR = 10
    ADMIN = 20
    OWNER = 30


class RoomKind(enum.IntEnum):
    """A direct room is for two users, equals for ever, who come back to it as they like; a group has any number."""

    DIRECT = 0
    GROUP = 1


class KeyCustody(enum.IntEnum):
    """Who holds the keys that a room's messages are encrypted with: its members alone, or the server for them."""

    CLIENT = 0
    SERVER = 1


class MessageKind(enum.IntEnum):
    """What a message is. SYSTEM ones are written by the room itself, in the name of the member they are about."""

    TEXT = 0
    IMAGE = 1
    FILE = 2
    SYSTEM = 3


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
    """An account. `declared` is the presence the user set by hand, None when it follows the open connections.

    `public_key` is an RSA key as PEM text. Who is not `active` can neither log in nor use a token.
    """

    id: UserId
    username: str
    email: str | None
    created_us: int
    declared: Presence | None = None
    display_name: str | None = None
    avatar_url: str | None = None
    public_key: str | None = None
    last_login_us: int | None = None
    active: bool = True


class Room(Record):
    """A room. `direct_key` names a direct room by its pair ("dm:LOWER:HIGHER") and is None for a group.

    A `private` group is joined only by invitation, any other by whoever knows its id. `max_members` is None where there
    is no limit. One that `announces` has a SYSTEM message for everyone who joins or leaves. With `auto_summary` a
    summary is made after each `summary_threshold` messages. `updated_us`: the last change of these settings.
    """

    id: RoomId
    kind: RoomKind
    name: str
    description: str
    created_by: UserId
    created_us: int
    direct_key: str | None = None
    private: bool = True
    max_members: int | None = None
    auto_summary: bool = False
    summary_threshold: int = 50
    custody: KeyCustody = KeyCustody.CLIENT
    announces: bool = False
    updated_us: int | None = None

    @property
    def shown_name(self) -> str:
        """The name; of a direct room its key: one of an old database has no name."""
        return self.direct_key or self.name

    @property
    def pair(self) -> tuple[UserId, ...]:
        """The two users of a direct room, also when they have left it; nobody for a group."""
        if self.direct_key is None:
            return ()
        _prefix, lower, higher = self.direct_key.split(":")
        return UserId(int(lower)), UserId(int(higher))

    def peer_of(self, user_id: UserId) -> UserId:
        """The other user of a direct room, also when either has left it."""
        if self.direct_key is None:
            raise ValueError("a group has no pair of users")
        lower, higher = self.pair
        return lower if higher == user_id else higher


def direct_key(one: UserId, other: UserId) -> str:
    """The name of two users' direct room, the same from either side."""
    lower, higher = sorted((one, other))
    return f"dm:{lower}:{higher}"


class Member(Record):
    """One user's place in one room. Both watermarks are sequences: all up to and including it got there.

    `read_us` is when `read_seq` was last raised, None when it never was. The names and the avatar are the user's.
    """

    user_id: UserId
    username: str
    role: Role
    joined_us: int
    delivered_seq: int = 0
    read_seq: int = 0
    read_us: int | None = None
    display_name: str | None = None
    avatar_url: str | None = None


class Attachment(Record):
    """A file that a message points to: one somewhere else, by `url`, or with `file_id` an uploaded one.

    Of the first kind everything is what the sender claims. Of the second `url` is "" (a front makes one that expires),
    the rest is known, and `has_thumbnail` tells that a small picture of it was made.
    """

    url: str
    mime_type: str
    size_bytes: int
    name: str = ""
    file_id: FileId | None = None
    has_thumbnail: bool = False


class Sealed(Record):
    """Content as a client encrypted it, kept bit for bit. With `key_version` 0 `data` is plain text.

    `data` and `iv` are the texts the client sent (Base64 as a rule; nobody but the key's holder looks into them).
    """

    data: str
    iv: str
    key_version: int


class Reaction(Record):
    """One user's emoji on one message. `username` is as it was then."""

    user_id: UserId
    username: str
    emoji: str
    created_us: int


ENCRYPTED_PLACEHOLDER = "[encrypted message]"
"""What is shown of a message that only its readers can decrypt, to clients that know nothing of encryption."""


class Message(Record):
    """One message. `seq` is its place in the room; `key` the sender's idempotency key, if any.

    `text` is what the server can read: the text itself also of a `sealed` message whose key the server holds, "" of one
    that is opaque to it. Within a room `created_us` rises strictly with `seq`. `reply_to` is in the same room.
    """

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
    kind: MessageKind = MessageKind.TEXT
    reply_to: MessageId | None = None
    sealed: Sealed | None = None
    reactions: tuple[Reaction, ...] = ()
    author_display_name: str | None = None
    author_avatar_url: str | None = None

    @property
    def opaque(self) -> bool:
        """True when the server cannot read it."""
        return self.sealed is not None and not self.text and self.deleted_us is None

    @property
    def shown_text(self) -> str:
        """The text, or the placeholder for an opaque message: for fronts that know no encryption."""
        return ENCRYPTED_PLACEHOLDER if self.opaque else self.text


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


class FoundMessage(Record):
    """A message that a search found, as the store has it."""

    message: Message
    receipts: Receipts
    folded: str
    """The text that was searched: the message's, as `model.text.folded` makes it."""


class SearchResults(Record):
    """Messages that contain what was looked for, newest first."""

    messages: tuple[ViewedMessage, ...]
    complete: bool
    """Whether everything was looked at before the time was over. Else there may be more, newer ones too."""


class FoundRooms(Record):
    """A member's rooms, latest activity first."""

    rooms: tuple[Room, ...]
    complete: bool = True
    """Whether all names were looked at before the time was over."""


class RoomOverview(Record):
    """A room in its member's list. `unread` counts living messages of others after the member's read watermark, without
    SYSTEM messages, up to a bound of 1,000; `active_us` is when its last message was made, or else the room."""

    room: Room
    member: Member
    member_ids: tuple[UserId, ...]
    last_message: Message | None
    unread: int
    active_us: int


class Invitation(Record):
    """A code that lets its bearers join a room. The code is never stored, only its SHA-256 (`digest`).

    It is good until `expires_us`: 0 once it was revoked, or its maker has lost the right to make it. `maker_role` is
    what its maker was when it was made.
    """

    id: InvitationId
    room_id: RoomId
    digest: bytes
    created_by: UserId
    created_us: int
    expires_us: int
    max_uses: int
    uses: int = 0
    maker_role: Role = Role.MEMBER

    def is_good(self, now_us: int) -> bool:
        """Whether it lets anybody in."""
        return self.expires_us > now_us and self.uses < self.max_uses


class Ban(Record):
    """A user who is kept out of a room until they are invited anew. The names and the avatar are the user's.

    Ids rise over bans and invitations alike, whatever the clock says: they tell which of the two was made first.
    """

    id: BanId
    room_id: RoomId
    user_id: UserId
    banned_by: UserId
    created_us: int
    username: str = ""
    display_name: str | None = None
    avatar_url: str | None = None


class StoredFile(Record):
    """An uploaded file. `room_id` is None for an avatar. `blob` names its bytes in the blob store, `thumbnail` those of
    a small picture of it; `digest` is the SHA-256 of the bytes.

    Other files are kept byte for byte; an avatar is `cleaned`: written anew by the server, of nothing but its pixels.
    (Those that releases before this rule took are not, until they are opened.)
    """

    id: FileId
    owner_id: UserId
    room_id: RoomId | None
    name: str
    mime_type: str
    size_bytes: int
    digest: bytes
    blob: str
    thumbnail: str | None
    created_us: int
    cleaned: bool = False


class Summary(Record):
    """What was said in a room, in short: of `message_count` messages from `first_us` to `last_us`.

    `left_out` counts the messages in that time that the server cannot read. `sentiment` is from -1 to 1; `language` an
    ISO 639-1 code, "und" when it could not be told.
    """

    id: SummaryId
    room_id: RoomId
    text: str
    automatic: bool
    message_count: int
    left_out: int
    first_us: int
    last_us: int
    last_seq: int
    participants: tuple[UserId, ...]
    keywords: tuple[str, ...]
    sentiment: float
    language: str
    created_us: int


class RoomKey(Record):
    """One version of a room's key in server custody: 32 bytes, sealed with the server's master key."""

    room_id: RoomId
    version: int
    sealed: bytes
    created_us: int


class MemberKey(Record):
    """One version of a room's key sealed for one member, by another (client custody): text that only they can open."""

    room_id: RoomId
    version: int
    user_id: UserId
    sealed: str
    sealed_by: UserId
    created_us: int


class ListedBlob(Record):
    """A committed blob, in a list. `written_us` is when the last of its bytes were written, in microseconds since 1970
    by the blob store's clock."""

    name: str
    written_us: int


class Deployment(Record):
    """A server, or several over one store. `id` is random and stays the same for ever."""

    id: str
    created_us: int


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
