"""The storage that the engine needs, as an interface. `chinwag.persistence` implements it, `testing` in memory.

Promises of every implementation:
- `commit` applies its writes all or none, in order, and returns once they are durable. Calls are committed in the order
  in which they were made, and `then` callbacks run in that order on the event loop's thread, each before anything that
  was committed later is released. This is what makes ids rise strictly on every connection (see `docs/promises.md`).
- Reads see everything that was committed before they were called. They take a snapshot: one call, one moment.
- A read that takes a `viewer` also returns how the viewer stands to the room (`Access`), and reads nothing else when
  the viewer is no member. Who may see what is decided by the engine.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from chinwag.engine.model.errors import EngineError
from chinwag.engine.model.ids import FamilyId, FileId, MessageId, RoomId, UserId
from chinwag.engine.model.store_admissions import Access as Access
from chinwag.engine.model.store_admissions import AdmissionStore, AdmissionWrite
from chinwag.engine.model.store_admissions import InsertInvitation as InsertInvitation
from chinwag.engine.model.store_admissions import UseInvitation as UseInvitation
from chinwag.engine.model.store_jobs import JobStore, JobWrite, Savepoint
from chinwag.engine.model.store_keys import InsertKeyVersion as InsertKeyVersion
from chinwag.engine.model.store_keys import InsertRoomKey as InsertRoomKey
from chinwag.engine.model.store_keys import KeyStore, KeyWrite
from chinwag.engine.model.store_keys import KeyVersion as KeyVersion
from chinwag.engine.model.store_keys import PutMemberKey as PutMemberKey
from chinwag.engine.model.store_search import NO_DEADLINE, SearchStore
from chinwag.engine.model.store_search import FoundMessages as FoundMessages
from chinwag.engine.model.values import (
    Deployment,
    Family,
    FoundRooms,
    Member,
    Message,
    Presence,
    Receipts,
    Record,
    RefreshToken,
    Role,
    Room,
    RoomKind,
    RoomOverview,
    StoredFile,
    Summary,
    User,
)

UNREAD_BOUND = 1_000
"""Unread messages are counted no further than this."""


class DuplicateKey(EngineError):
    """A write clashed with a unique key; nothing of its commit was applied. `key` names which:

    "username", "email", "direct_key", "member", "idempotency_key", "seq", "invitation", "room_key", "deployment", "id".
    """

    code = "duplicate_key"

    def __init__(self, key: str) -> None:
        super().__init__(f"duplicate {key}")
        self.key = key


class WriteRejected(EngineError):
    """A write's precondition did not hold (a token already spent, a row that is gone); nothing was applied."""

    code = "write_rejected"


# --- writes: one value per row that changes -----------------------------------------------------------------------


class InsertDeployment(Record):
    """Unique: there is one ("deployment")."""

    deployment: Deployment


class InsertUser(Record):
    """Unique: username and e-mail, each by its key (`names.key`, `addresses.key`)."""

    user: User
    password_hash: str


class SetDeclaredPresence(Record):
    user_id: UserId
    declared: Presence | None


class UpdateUser(Record):
    """Replaces display name, avatar, public key, last log-in and `active` of a user. The rest stays as it is."""

    user: User


class ReplacePasswordHash(Record):
    """Another hash of the same password. Changes nothing when `before` is not what is stored any more."""

    user_id: UserId
    before: str
    password_hash: str


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


class UpdateRoom(Record):
    """Replaces everything about a room but its id, kind, maker, making and direct key."""

    room: Room


class DeleteRoom(Record):
    """Removes the room with all that is in it: members, messages, bans, invitations, files, keys, summaries, index."""

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
    read_us: int | None = None
    """When `read_seq` was raised; None leaves what is stored."""


class InsertFile(Record):
    file: StoredFile


class ReplaceFile(Record):
    """Replaces a file's bytes and what is said of them: name, type, size, digest, blob, thumbnail, `cleaned`. Rejected
    unless its bytes are in `blob` until then."""

    file: StoredFile
    blob: str


class DeleteFile(Record):
    """Removes a file's row. No error when there is none."""

    file_id: FileId


class InsertSummary(Record):
    summary: Summary


class InsertMessage(Record):
    """Unique: id; (room, seq); (room, author, idempotency key) where there is a key.

    `digest` fingerprints what was sent under the key, so that a retry can be told from other content.
    """

    message: Message
    digest: bytes | None = None


class UpdateMessage(Record):
    """Replaces text, kind, reply, sealed content, reactions and time of edit of a living message; the search goes by
    the new text."""

    message: Message


class SetReactions(Record):
    """Replaces a living message's reactions. All else of `message` has to be as it is stored."""

    message: Message


class DeleteMessage(Record):
    """Leaves a tombstone: id, seq, author, times and key stay; text, attachments, kind, reply, sealed content and
    reactions go."""

    room_id: RoomId
    message_id: MessageId
    deleted_us: int


Write = (
    InsertDeployment
    | InsertUser
    | UpdateUser
    | SetDeclaredPresence
    | ReplacePasswordHash
    | InsertFamily
    | InsertRefreshToken
    | SpendRefreshToken
    | RevokeFamily
    | RevokeFamilies
    | InsertRoom
    | UpdateRoom
    | DeleteRoom
    | InsertMember
    | DeleteMember
    | SetRole
    | SetWatermarks
    | InsertMessage
    | UpdateMessage
    | SetReactions
    | DeleteMessage
    | InsertFile
    | ReplaceFile
    | DeleteFile
    | InsertSummary
    | KeyWrite
    | AdmissionWrite
    | JobWrite
)
NOT_IN_SAVEPOINTS = (InsertMessage, DeleteRoom, Savepoint)  # see `Savepoint`


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
    key: KeyVersion = KeyVersion()


class RoomMembers(Record):
    access: Access
    members: tuple[Member, ...] = ()
    """Ordered by joining time, then user id."""


class MessagePage(Record):
    """Messages of one room without tombstones, with what their status derives from."""

    access: Access
    receipts: Receipts | None = None
    messages: tuple[Message, ...] = ()


class CountedPage(Record):
    """A `MessagePage` and how many messages there are in all within the same bounds."""

    page: MessagePage
    total: int = 0


class Overviews(Record):
    """A part of a member's list of rooms, and how many rooms the whole list has."""

    rooms: tuple[RoomOverview, ...]
    total: int
    complete: bool = True
    """Whether all names were looked at before the time was over; else `total` is the least there are."""


class Missed(Record):
    """What a viewer missed in one room. `messages` is None when there are more than were asked for."""

    access: Access
    last_seq: int = 0
    receipts: Receipts | None = None
    messages: tuple[Message, ...] | None = ()


class Store(AdmissionStore, JobStore, KeyStore, SearchStore, Protocol):
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

    async def deployment(self) -> Deployment | None:
        """What the store belongs to, None before that has a name."""
        ...

    async def user(self, user_id: UserId) -> User | None: ...

    async def user_by_email(self, email: str) -> User | None:
        """By the address's key (`addresses.key`)."""
        ...

    async def credentials(self, identifier: str) -> list[Credentials]:
        """Whose username or e-mail it is, by their keys; who has it as username comes first.

        That is nobody or one user, as a rule. Accounts that former releases took may be more: a username that is
        somebody else's address, or names that were told apart once. The one that has it letter by letter comes first
        then.
        """
        ...

    async def users(self, user_ids: Sequence[UserId]) -> list[User]:
        """Those that exist, in no particular order."""
        ...

    async def active_users(self, *, after: UserId, limit: int) -> list[User]:
        """Users whose accounts are active and whose ids are higher than `after`, by rising id."""
        ...

    async def peers_of(self, user_id: UserId) -> set[UserId]:
        """Everybody who shares a room with a user, without the user."""
        ...

    async def file(self, file_id: FileId) -> StoredFile | None: ...

    async def files_of(self, room_id: RoomId) -> list[StoredFile]:
        """All files of a room, in no particular order."""
        ...

    async def avatars_of(self, user_id: UserId) -> list[StoredFile]:
        """All files of a user's that belong to no room, in no particular order."""
        ...

    async def summaries(
        self, room_id: RoomId, *, automatic: bool | None, after_us: int | None, before_us: int | None, limit: int
    ) -> list[Summary]:
        """Newest first; only those whose messages lie within the bounds (each included, None: no bound)."""
        ...

    async def family(self, family_id: FamilyId) -> Family | None: ...

    async def refresh_token(self, digest: bytes) -> RefreshToken | None: ...

    async def access(self, room_id: RoomId, viewer: UserId) -> Access: ...

    async def direct_room(self, direct_key: str) -> Room | None: ...

    async def open_rooms_named(self, name: str, *, limit: int) -> list[Room]:
        """Groups that are not private and have this name, but for the case of ASCII letters. Oldest first."""
        ...

    async def rooms_of(
        self, viewer: UserId, *, name_contains: str, limit: int, within_s: float = NO_DEADLINE
    ) -> FoundRooms:
        """The viewer's rooms whose name contains the text, as in `search`; "" matches all. Latest activity first."""
        ...

    async def room_ids_of(self, viewer: UserId) -> list[RoomId]:
        """All rooms that the viewer is a member of, in no particular order."""
        ...

    async def members(self, room_id: RoomId, viewer: UserId) -> RoomMembers: ...

    async def room_snapshot(self, room_id: RoomId, *, recent: int) -> RoomSnapshot | None:
        """None when there is no such room. `recent` is how many of the newest messages to load."""
        ...

    async def message(self, room_id: RoomId, message_id: MessageId) -> Message | None:
        """One message of this room (tombstones too)."""
        ...

    async def find_message(self, message_id: MessageId, viewer: UserId) -> MessagePage | None:
        """The message alone, whatever room of the viewer's it is in; None for tombstones and for anybody else."""
        ...

    async def keyed_message(self, room_id: RoomId, author_id: UserId, key: str) -> KeyedMessage | None:
        """The message that this author first sent to this room under `key` (tombstones too)."""
        ...

    async def history(self, room_id: RoomId, viewer: UserId, *, skip: int, limit: int) -> MessagePage:
        """Newest first, leaving out the `skip` newest."""
        ...

    async def history_between(
        self,
        room_id: RoomId,
        viewer: UserId,
        *,
        after_us: int | None,
        before_us: int | None,
        skip: int,
        limit: int,
    ) -> CountedPage:
        """Newest first, of the messages made after and before these times (each excluded, None: no bound), leaving out
        the `skip` newest. `created_us` rises with `seq`, so the bounds are found by bisection, and counting costs the
        tombstones alone."""
        ...

    async def has_opaque(self, room_id: RoomId, *, after_us: int | None, before_us: int | None) -> bool:
        """Whether among the messages within these bounds (each excluded, None: no bound) is one that is opaque."""
        ...

    async def overviews(
        self,
        viewer: UserId,
        *,
        kind: RoomKind | None,
        name_contains: str,
        skip: int,
        limit: int,
        within_s: float = NO_DEADLINE,
    ) -> Overviews:
        """The viewer's rooms, latest activity first; of one kind or all. `name_contains` as for `rooms_of`."""
        ...

    async def overview(self, room_id: RoomId, viewer: UserId) -> RoomOverview | None:
        """One of the viewer's rooms as it stands in that list, None when it is not the viewer's."""
        ...

    async def window(self, room_id: RoomId, viewer: UserId, *, around: MessageId, limit: int) -> MessagePage:
        """Up to `limit` messages, oldest first: at most `limit // 2` before `around`, then it and what follows, as
        many as remain of `limit`. No messages when `around` is not a (living) message of this room."""
        ...

    async def missed(
        self, room_ids: Sequence[RoomId], viewer: UserId, *, since: MessageId | None, limit: int, moment: bool = False
    ) -> dict[RoomId, Missed]:
        """What came after `since` in each room, rising by seq, without tombstones, all in one snapshot.

        Without `since`, or when it is no message of any room the viewer is a member of (but with `moment` any number is
        one), every `messages` is None where the viewer is a member: there is no way on. So it is of a room with more.
        """
        ...
