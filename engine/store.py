"""The storage that the engine needs, as an interface. `chinwag.persistence` implements it, `testing` in memory.

Promises of every implementation:
- `commit` applies its writes all or none, in order, and returns once they are durable. Calls are committed in the order
  in which they were made, and `then` callbacks run in that order on the event loop's thread, each before anything that
  was committed later is released. This is what makes ids rise strictly on every connection (see `docs/design.md`).
- Reads see everything that was committed before they were called. They take a snapshot: one call, one moment.
- A read that takes a `viewer` also returns how the viewer stands to the room (`Access`), and reads nothing else when
  the viewer is no member. Who may see what is decided by the engine.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from chinwag.engine.errors import EngineError
from chinwag.engine.ids import FamilyId, MessageId, RoomId, UserId
from chinwag.engine.model import (
    Family,
    Member,
    Message,
    Presence,
    Receipts,
    Record,
    RefreshToken,
    Role,
    Room,
    User,
)


class DuplicateKey(EngineError):
    """A write clashed with a unique key; nothing of its commit was applied. `key` names which:

    "username", "email", "direct_key", "member", "idempotency_key", "seq", "id".
    """

    code = "duplicate_key"

    def __init__(self, key: str) -> None:
        super().__init__(f"duplicate {key}")
        self.key = key


class WriteRejected(EngineError):
    """A write's precondition did not hold (a token already spent, a row that is gone); nothing was applied."""

    code = "write_rejected"


# --- writes: one value per row that changes -----------------------------------------------------------------------


class InsertUser(Record):
    """Unique: username and e-mail, each ignoring case (`str.casefold`)."""

    user: User
    password_hash: str


class SetDeclaredPresence(Record):
    user_id: UserId
    declared: Presence | None


class InsertFamily(Record):
    family: Family


class InsertRefreshToken(Record):
    token: RefreshToken


class SpendRefreshToken(Record):
    """Rejected (`WriteRejected`) unless the token exists and is unspent: of two concurrent uses one wins.

    The family's tokens that had expired by then are forgotten.
    """

    digest: bytes
    spent_us: int


class RevokeFamily(Record):
    family_id: FamilyId
    revoked_us: int


class RevokeFamilies(Record):
    """All of one user's families that are not revoked yet."""

    user_id: UserId
    revoked_us: int


class InsertRoom(Record):
    """Unique: `direct_key` among direct rooms."""

    room: Room


class DeleteRoom(Record):
    """Removes the room with its members and messages, also from the search index."""

    room_id: RoomId


class InsertMember(Record):
    """Unique: one membership per room and user."""

    room_id: RoomId
    member: Member


class DeleteMember(Record):
    room_id: RoomId
    user_id: UserId


class SetRole(Record):
    room_id: RoomId
    user_id: UserId
    role: Role


class SetWatermarks(Record):
    """Raises a member's watermarks; a value below the stored one leaves that one as it is."""

    room_id: RoomId
    user_id: UserId
    delivered_seq: int
    read_seq: int


class InsertMessage(Record):
    """Unique: id; (room, seq); (room, author, idempotency key) where there is a key.

    `digest` fingerprints what was sent under the key, so that a retry can be told from other content.
    """

    message: Message
    digest: bytes | None = None


class UpdateMessageText(Record):
    room_id: RoomId
    message_id: MessageId
    text: str
    edited_us: int


class DeleteMessage(Record):
    """Leaves a tombstone: id, seq, author and key stay; text and attachments go."""

    room_id: RoomId
    message_id: MessageId
    deleted_us: int


Write = (
    InsertUser
    | SetDeclaredPresence
    | InsertFamily
    | InsertRefreshToken
    | SpendRefreshToken
    | RevokeFamily
    | RevokeFamilies
    | InsertRoom
    | DeleteRoom
    | InsertMember
    | DeleteMember
    | SetRole
    | SetWatermarks
    | InsertMessage
    | UpdateMessageText
    | DeleteMessage
)


# --- what reads return --------------------------------------------------------------------------------------------


class Credentials(Record):
    user: User
    password_hash: str


class KeyedMessage(Record):
    """A stored message with the fingerprint of what was first sent under its key (None without a key)."""

    message: Message
    digest: bytes | None


class RoomSnapshot(Record):
    """All that a room actor starts from. `recent` rises by seq and holds tombstones too."""

    room: Room
    members: tuple[Member, ...]
    last_seq: int
    recent: tuple[KeyedMessage, ...]


class Access(Record):
    """How a viewer stands to a room: `room` is None when there is none, `member` None for a stranger."""

    room: Room | None
    member: Member | None


class RoomMembers(Record):
    access: Access
    members: tuple[Member, ...] = ()
    """Ordered by joining time, then user id."""


class MessagePage(Record):
    """Messages of one room without tombstones, with what their status derives from."""

    access: Access
    receipts: Receipts | None = None
    messages: tuple[Message, ...] = ()


class Missed(Record):
    """What a viewer missed in one room. `messages` is None when there are more than were asked for."""

    access: Access
    last_seq: int = 0
    receipts: Receipts | None = None
    messages: tuple[Message, ...] | None = ()


class FoundMessage(Record):
    message: Message
    receipts: Receipts


class Store(Protocol):
    """See the module's promises. Reads and `commit` raise `StoreUnavailable` when the store does not answer."""

    async def commit(self, writes: Sequence[Write], then: Callable[[], None] | None = None) -> None:
        """Make `writes` durable, run `then`, return. Raises `DuplicateKey`, `WriteRejected` or `StoreUnavailable`, in
        each case with nothing applied and `then` not called. An exception that `then` raises comes out here."""
        ...

    def commit_soon(
        self, writes: Sequence[Write], then: Callable[[], None], failed: Callable[[Exception], None]
    ) -> None:
        """`commit` for who does not wait: later `then` is called, or `failed` with what `commit` would have raised.

        Both on the event loop's thread; they must not wait, nor may `failed` raise. Raises `StoreUnavailable` when
        closed.
        """
        ...

    async def check(self) -> None:
        """Return when the store answers a read, raise `StoreUnavailable` when it does not."""
        ...

    async def highest_id(self) -> int:
        """The highest id in the store, 0 when it is empty."""
        ...

    async def user(self, user_id: UserId) -> User | None: ...

    async def user_by_email(self, email: str) -> User | None:
        """Ignores case."""
        ...

    async def credentials(self, identifier: str) -> Credentials | None:
        """By e-mail or username, ignoring case. A username that looks like somebody's e-mail does not win over it."""
        ...

    async def users(self, user_ids: Sequence[UserId]) -> list[User]:
        """Those that exist, in no particular order."""
        ...

    async def family(self, family_id: FamilyId) -> Family | None: ...

    async def refresh_token(self, digest: bytes) -> RefreshToken | None: ...

    async def access(self, room_id: RoomId, viewer: UserId) -> Access: ...

    async def direct_room(self, direct_key: str) -> Room | None: ...

    async def rooms_of(self, viewer: UserId, *, name_contains: str, limit: int) -> list[Room]:
        """The viewer's rooms whose name contains the text (ignoring case; "" matches all), latest activity first."""
        ...

    async def members(self, room_id: RoomId, viewer: UserId) -> RoomMembers: ...

    async def room_snapshot(self, room_id: RoomId, *, recent: int) -> RoomSnapshot | None:
        """None when there is no such room. `recent` is how many of the newest messages to load."""
        ...

    async def message(self, room_id: RoomId, message_id: MessageId) -> Message | None:
        """One message of this room (tombstones too)."""
        ...

    async def keyed_message(self, room_id: RoomId, author_id: UserId, key: str) -> KeyedMessage | None:
        """The message that this author first sent to this room under `key` (tombstones too)."""
        ...

    async def history(self, room_id: RoomId, viewer: UserId, *, skip: int, limit: int) -> MessagePage:
        """Newest first, leaving out the `skip` newest."""
        ...

    async def window(self, room_id: RoomId, viewer: UserId, *, around: MessageId, limit: int) -> MessagePage:
        """Up to `limit` messages, oldest first: at most `limit // 2` before `around`, then it and what follows, as
        many as remain of `limit`. No messages when `around` is not a (living) message of this room."""
        ...

    async def missed(
        self, room_ids: Sequence[RoomId], viewer: UserId, *, since: MessageId | None, limit: int
    ) -> dict[RoomId, Missed]:
        """What came after `since` in each room, rising by seq, without tombstones, all in one snapshot.

        With `since` None, or when `since` is no message of any room the viewer is a member of, every `messages` is None
        where the viewer is a member: there is no position to go on from. A room with more than `limit` has None too.
        """
        ...

    async def search(
        self, viewer: UserId, *, text: str, room_id: RoomId | None, limit: int
    ) -> tuple[Access | None, list[FoundMessage]]:
        """Messages whose text contains `text`, ignoring case (`str.casefold` of both), newest (highest id) first, in
        the rooms the viewer is a member of, or in `room_id` alone (then with the viewer's `Access` to it)."""
        ...
