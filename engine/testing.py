"""Test helpers that ship with the engine: for its own tests, and for those of whoever embeds it.

`MemoryStore` is a whole `Store` in dictionaries: the fake that passes the same contract suite as the real drivers. It
has no threads, so it works under trio's autojump clock, and it fails or dawdles on demand.
"""

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar, assert_never

import trio
from msgspec.structs import replace

from chinwag.engine.errors import EngineError, StoreUnavailable
from chinwag.engine.ids import FamilyId, MessageId, RoomId, UserId
from chinwag.engine.model import (
    Attachment,
    Family,
    Member,
    Message,
    Receipts,
    RefreshToken,
    Role,
    Room,
    RoomKind,
    User,
    receipt_floor,
)
from chinwag.engine.store import (
    Access,
    Credentials,
    DeleteMember,
    DeleteMessage,
    DeleteRoom,
    DuplicateKey,
    FoundMessage,
    InsertFamily,
    InsertMember,
    InsertMessage,
    InsertRefreshToken,
    InsertRoom,
    InsertUser,
    KeyedMessage,
    MessagePage,
    Missed,
    RevokeFamilies,
    RevokeFamily,
    RoomMembers,
    RoomSnapshot,
    SetDeclaredPresence,
    SetRole,
    SetWatermarks,
    SpendRefreshToken,
    UpdateMessageText,
    Write,
    WriteRejected,
)

__all__ = ["MemoryStore", "make_member", "make_message", "make_room", "make_user"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

# --- values -------------------------------------------------------------------------------------------------------


def make_user(user_id: int, username: str = "", *, email: str | None = None) -> User:
    """A user, made at the microsecond of its id; without a name it is called "user-ID"."""
    return User(id=UserId(user_id), username=username or f"user-{user_id}", email=email, created_us=user_id)


def make_room(room_id: int, created_by: int, *, name: str = "", direct_key: str | None = None) -> Room:
    """A group named "room-ID", or a direct room when it has a key."""
    return Room(
        id=RoomId(room_id),
        kind=RoomKind.GROUP if direct_key is None else RoomKind.DIRECT,
        name=name or f"room-{room_id}",
        description="",
        created_by=UserId(created_by),
        created_us=room_id,
        direct_key=direct_key,
    )


def make_member(user_id: int, *, role: Role = Role.MEMBER, joined_us: int = 1) -> Member:
    """A member at the start of a room. (The store fills in the name.)"""
    return Member(user_id=UserId(user_id), username="", role=role, joined_us=joined_us)


def make_message(
    message_id: int,
    room_id: int,
    seq: int,
    author_id: int,
    text: str = "hello",
    *,
    key: str | None = None,
    attachments: tuple[Attachment, ...] = (),
) -> Message:
    """A message, made at the microsecond of its id. (The store fills in the author's name.)"""
    return Message(
        id=MessageId(message_id),
        room_id=RoomId(room_id),
        seq=seq,
        author_id=UserId(author_id),
        author_name="",
        text=text,
        created_us=message_id,
        key=key,
        attachments=attachments,
    )


# --- the store ----------------------------------------------------------------------------------------------------


class MemoryStore:
    """A `Store` in dictionaries, lost when it goes out of scope. See the promises of `chinwag.engine.store`.

    Knobs for tests, to be set at any time: `delay_s` (what every commit takes, in trio's seconds, virtual ones under a
    mock clock), `fail_next_commits`, and `unavailable`. As in the real store, commits that wait together are applied
    together, and one whose caller was cancelled is applied all the same.
    """

    def __init__(self) -> None:
        self.delay_s = 0.0
        """How long each round of commits takes before it is applied."""
        self.unavailable = False
        """While True every commit, read and check raises `StoreUnavailable`."""
        self.commits = 0
        """How many calls of `commit` were applied."""
        self._tables = _Tables()
        self._queue: deque[_Unit] = deque()
        self._running = False
        self._failures: deque[EngineError] = deque()

    def fail_next_commits(self, count: int, error: EngineError) -> None:
        """The next `count` commits raise `error`, with nothing applied; those after them work again."""
        self._failures.extend([error] * count)

    async def commit(self, writes: Sequence[Write], then: Callable[[], None] | None = None) -> None:
        """See `Store`. The place in the order is taken at the call, before anything is waited for."""
        released = trio.Event()
        unit = _Unit(tuple(writes), then, released.set)
        self._enqueue(unit)
        await released.wait()
        if unit.error is not None:
            raise unit.error

    def commit_soon(
        self, writes: Sequence[Write], then: Callable[[], None], failed: Callable[[Exception], None]
    ) -> None:
        """See `Store`."""

        def released() -> None:
            if unit.error is not None:
                failed(unit.error)

        unit = _Unit(tuple(writes), then, released)
        self._enqueue(unit)

    def _enqueue(self, unit: "_Unit") -> None:
        self._queue.append(unit)
        if not self._running:
            self._running = True
            trio.lowlevel.spawn_system_task(self._run, name="memory store")

    async def _run(self) -> None:
        """Apply what is queued, in order, until nothing is. A task of its own, so that no caller's end disturbs it."""
        try:
            while self._queue:
                await trio.sleep(self.delay_s)  # a checkpoint, also when it is 0
                for _ in range(len(self._queue)):
                    unit = self._queue.popleft()
                    try:
                        self._apply(unit)
                    except Exception as error:  # noqa: BLE001  whatever it is, it belongs to this unit's caller
                        unit.error = error
                    unit.released()
        finally:
            self._running = False

    def _apply(self, unit: "_Unit") -> None:
        if self.unavailable:
            raise StoreUnavailable("the store was told to be unavailable")
        if self._failures:
            raise self._failures.popleft()
        self._tables.apply(unit.writes)
        self.commits += 1
        if unit.then is not None:
            unit.then()

    async def _read(self) -> "_Tables":
        await trio.lowlevel.checkpoint()
        if self.unavailable:
            raise StoreUnavailable("the store was told to be unavailable")
        return self._tables

    async def check(self) -> None:
        await self._read()

    async def highest_id(self) -> int:
        return (await self._read()).highest_id

    async def user(self, user_id: UserId) -> User | None:
        found = (await self._read()).users.get(user_id)
        return found.user if found else None

    async def user_by_email(self, email: str) -> User | None:
        tables = await self._read()
        user_id = tables.emails.get(email.casefold())
        return tables.users[user_id].user if user_id is not None else None

    async def credentials(self, identifier: str) -> Credentials | None:
        tables = await self._read()
        folded = identifier.casefold()
        user_id = tables.emails.get(folded, tables.usernames.get(folded))
        return tables.users[user_id] if user_id is not None else None

    async def users(self, user_ids: Sequence[UserId]) -> list[User]:
        tables = await self._read()
        return [tables.users[user_id].user for user_id in set(user_ids) if user_id in tables.users]

    async def family(self, family_id: FamilyId) -> Family | None:
        return (await self._read()).families.get(family_id)

    async def refresh_token(self, digest: bytes) -> RefreshToken | None:
        return (await self._read()).refresh_tokens.get(digest)

    async def access(self, room_id: RoomId, viewer: UserId) -> Access:
        return (await self._read()).access(room_id, viewer)

    async def direct_room(self, direct_key: str) -> Room | None:
        tables = await self._read()
        room_id = tables.direct_keys.get(direct_key)
        return tables.rooms[room_id] if room_id is not None else None

    async def rooms_of(self, viewer: UserId, *, name_contains: str, limit: int) -> list[Room]:
        tables = await self._read()
        needle = name_contains.casefold()
        rooms = [room for room in tables.rooms_of(viewer) if needle in room.name.casefold()]
        rooms.sort(key=lambda room: tables.last_activity(room.id), reverse=True)
        return rooms[:limit]

    async def members(self, room_id: RoomId, viewer: UserId) -> RoomMembers:
        tables = await self._read()
        access = tables.access(room_id, viewer)
        return RoomMembers(access=access, members=tables.members_of(room_id) if access.member else ())

    async def room_snapshot(self, room_id: RoomId, *, recent: int) -> RoomSnapshot | None:
        tables = await self._read()
        room = tables.rooms.get(room_id)
        if room is None:
            return None
        messages = tables.messages_of(room_id)
        return RoomSnapshot(
            room=room,
            members=tables.members_of(room_id),
            last_seq=messages[-1].message.seq if messages else 0,
            recent=tuple(messages[max(0, len(messages) - recent) :]),
        )

    async def message(self, room_id: RoomId, message_id: MessageId) -> Message | None:
        tables = await self._read()
        place = tables.places.get(message_id)
        return tables.stored(place).message if place is not None and place[0] == room_id else None

    async def keyed_message(self, room_id: RoomId, author_id: UserId, key: str) -> KeyedMessage | None:
        tables = await self._read()
        place = tables.keys.get((room_id, author_id, key))
        return tables.stored(place) if place is not None else None

    async def history(self, room_id: RoomId, viewer: UserId, *, skip: int, limit: int) -> MessagePage:
        tables = await self._read()
        access = tables.access(room_id, viewer)
        if access.member is None:
            return MessagePage(access=access)
        newest_first = tables.living(room_id)[::-1]
        return MessagePage(
            access=access, receipts=tables.receipts(room_id), messages=tuple(newest_first[skip : skip + limit])
        )

    async def window(self, room_id: RoomId, viewer: UserId, *, around: MessageId, limit: int) -> MessagePage:
        tables = await self._read()
        access = tables.access(room_id, viewer)
        if access.member is None:
            return MessagePage(access=access)
        living = tables.living(room_id)
        at = next((index for index, message in enumerate(living) if message.id == around), None)
        chosen: list[Message] = []
        if at is not None:
            before = living[max(0, at - limit // 2) : at]
            chosen = before + living[at : at + limit - len(before)]
        return MessagePage(access=access, receipts=tables.receipts(room_id), messages=tuple(chosen))

    async def missed(
        self, room_ids: Sequence[RoomId], viewer: UserId, *, since: MessageId | None, limit: int
    ) -> dict[RoomId, Missed]:
        tables = await self._read()
        place = tables.places.get(since) if since is not None else None
        known = place is not None and tables.access(place[0], viewer).member is not None
        answer: dict[RoomId, Missed] = {}
        for room_id in room_ids:
            access = tables.access(room_id, viewer)
            if access.member is None:
                answer[room_id] = Missed(access=access)
                continue
            messages: tuple[Message, ...] | None = None
            if known and since is not None:
                messages = tuple(message for message in tables.living(room_id) if message.id > since)
            answer[room_id] = Missed(
                access=access,
                last_seq=max((stored.message.seq for stored in tables.messages_of(room_id)), default=0),
                receipts=tables.receipts(room_id),
                messages=messages if messages is not None and len(messages) <= limit else None,
            )
        return answer

    async def search(
        self, viewer: UserId, *, text: str, room_id: RoomId | None, limit: int
    ) -> tuple[Access | None, list[FoundMessage]]:
        tables = await self._read()
        access = tables.access(room_id, viewer) if room_id is not None else None
        rooms = [room.id for room in tables.rooms_of(viewer) if room_id in (None, room.id)]
        needle = text.casefold()
        found = [message for room in rooms for message in tables.living(room) if needle in message.text.casefold()]
        found.sort(key=lambda message: message.id, reverse=True)
        return access, [
            FoundMessage(message=message, receipts=tables.receipts(message.room_id)) for message in found[:limit]
        ]


class _Unit:
    """One call of `commit` on its way."""

    __slots__ = ("error", "released", "then", "writes")

    def __init__(
        self, writes: tuple[Write, ...], then: Callable[[], None] | None, released: Callable[[], None]
    ) -> None:
        self.writes = writes
        self.then = then
        self.released = released
        self.error: Exception | None = None


def _new_id(write: Write) -> int | None:
    """The id that a write brings into the store."""
    match write:
        case InsertUser():
            return write.user.id
        case InsertFamily():
            return write.family.id
        case InsertRoom():
            return write.room.id
        case InsertMessage():
            return write.message.id
        case _:
            return None


class _Tables:
    """The rows, their unique keys, and every write and read over them. Synchronous; nothing here waits."""

    def __init__(self) -> None:
        self.highest_id = 0
        self.users: dict[UserId, Credentials] = {}
        self.usernames: dict[str, UserId] = {}
        self.emails: dict[str, UserId] = {}
        self.families: dict[FamilyId, Family] = {}
        self.refresh_tokens: dict[bytes, RefreshToken] = {}
        self.rooms: dict[RoomId, Room] = {}
        self.direct_keys: dict[str, RoomId] = {}
        self.members: dict[RoomId, dict[UserId, Member]] = {}
        self.messages: dict[RoomId, dict[int, KeyedMessage]] = {}
        self.places: dict[MessageId, tuple[RoomId, int]] = {}
        self.keys: dict[tuple[RoomId, UserId, str], tuple[RoomId, int]] = {}
        self._undo: list[Callable[[], object]] = []

    # - writing

    def apply(self, writes: Sequence[Write]) -> None:
        """All of `writes` in order, or an exception and none."""
        self._undo.clear()
        try:
            for write in writes:
                self._write(write)
        except BaseException:
            for undo in reversed(self._undo):
                undo()
            raise
        self.highest_id = max((self.highest_id, *filter(None, map(_new_id, writes))))

    def _write(self, write: Write) -> None:
        match write:
            case InsertUser(user=user):
                self._insert(self.users, user.id, Credentials(user=user, password_hash=write.password_hash), "id")
                self._insert(self.usernames, user.username.casefold(), user.id, "username")
                if user.email is not None:
                    self._insert(self.emails, user.email.casefold(), user.id, "email")
            case SetDeclaredPresence():
                old = self._existing(self.users, write.user_id)
                self._put(self.users, write.user_id, replace(old, user=replace(old.user, declared=write.declared)))
            case InsertFamily(family=family):
                self._existing(self.users, family.user_id)
                self._insert(self.families, family.id, family, "id")
            case InsertRefreshToken(token=token):
                self._existing(self.families, token.family_id)
                self._existing(self.users, token.user_id)
                self._insert(self.refresh_tokens, token.digest, token, "id")
            case SpendRefreshToken():
                token = self._existing(self.refresh_tokens, write.digest)
                if token.spent_us is not None:
                    raise WriteRejected("the refresh token is spent")
                self._put(self.refresh_tokens, write.digest, replace(token, spent_us=write.spent_us))
                for other in list(self.refresh_tokens.values()):
                    expired = other.family_id == token.family_id and other.expires_us < write.spent_us
                    if expired and other.digest != token.digest:
                        self._remove(self.refresh_tokens, other.digest)
            case RevokeFamily():
                self._revoke(self._existing(self.families, write.family_id), write.revoked_us)
            case RevokeFamilies():
                for family in list(self.families.values()):
                    if family.user_id == write.user_id:
                        self._revoke(family, write.revoked_us)
            case InsertRoom(room=room):
                self._existing(self.users, room.created_by)
                self._insert(self.rooms, room.id, room, "id")
                if room.direct_key is not None:
                    self._insert(self.direct_keys, room.direct_key, room.id, "direct_key")
                self._put(self.members, room.id, {})
                self._put(self.messages, room.id, {})
            case DeleteRoom():
                self._delete_room(self._existing(self.rooms, write.room_id))
            case InsertMember(room_id=room_id, member=member):
                members = self._existing(self.members, room_id)
                name = self._existing(self.users, member.user_id).user.username
                self._insert(members, member.user_id, replace(member, username=name), "member")
            case DeleteMember():
                self._remove(self._existing(self.members, write.room_id), write.user_id)
            case SetRole():
                members = self._existing(self.members, write.room_id)
                self._put(members, write.user_id, replace(self._existing(members, write.user_id), role=write.role))
            case SetWatermarks():
                members = self._existing(self.members, write.room_id)
                member = self._existing(members, write.user_id)
                delivered = max(member.delivered_seq, write.delivered_seq)
                read = max(member.read_seq, write.read_seq)
                self._put(members, write.user_id, replace(member, delivered_seq=delivered, read_seq=read))
            case InsertMessage():
                self._insert_message(write)
            case UpdateMessageText():
                stored = self._living(write.room_id, write.message_id)
                edited = replace(stored.message, text=write.text, edited_us=write.edited_us)
                self._put(self.messages[write.room_id], edited.seq, replace(stored, message=edited))
            case DeleteMessage():
                stored = self._living(write.room_id, write.message_id)
                tombstone = replace(stored.message, text="", attachments=(), deleted_us=write.deleted_us)
                self._put(self.messages[write.room_id], tombstone.seq, replace(stored, message=tombstone))
            case _:
                assert_never(write)

    def _insert_message(self, write: InsertMessage) -> None:
        message = write.message
        messages = self._existing(self.messages, message.room_id)
        name = self._existing(self.users, message.author_id).user.username
        at = (message.room_id, message.seq)
        stored = KeyedMessage(message=replace(message, author_name=name), digest=write.digest)
        if message.key is not None:
            self._insert(self.keys, (message.room_id, message.author_id, message.key), at, "idempotency_key")
        self._insert(self.places, message.id, at, "id")
        self._insert(messages, message.seq, stored, "seq")

    def _delete_room(self, room: Room) -> None:
        for message in (stored.message for stored in self.messages[room.id].values()):
            self._remove(self.places, message.id)
            if message.key is not None:
                self._remove(self.keys, (room.id, message.author_id, message.key))
        if room.direct_key is not None:
            self._remove(self.direct_keys, room.direct_key)
        self._remove(self.messages, room.id)
        self._remove(self.members, room.id)
        self._remove(self.rooms, room.id)

    def _revoke(self, family: Family, revoked_us: int) -> None:
        if family.revoked_us is None:
            self._put(self.families, family.id, replace(family, revoked_us=revoked_us))

    def _living(self, room_id: RoomId, message_id: MessageId) -> KeyedMessage:
        room_there, seq = self._existing(self.places, message_id)
        stored = self.messages[room_there][seq]
        if room_there != room_id or stored.message.deleted_us is not None:
            raise WriteRejected("the message is gone")
        return stored

    # Every change of a dictionary goes through the next three, which note how to take it back.

    def _insert(self, table: dict[K, V], key: K, value: V, name: str) -> None:
        if key in table:
            raise DuplicateKey(name)
        self._put(table, key, value)

    def _put(self, table: dict[K, V], key: K, value: V) -> None:
        if key in table:
            old = table[key]
            self._undo.append(lambda: table.__setitem__(key, old))
        else:
            self._undo.append(lambda: table.__delitem__(key))
        table[key] = value

    def _remove(self, table: dict[K, V], key: K) -> None:
        old = self._existing(table, key)
        self._undo.append(lambda: table.__setitem__(key, old))
        del table[key]

    def _existing(self, table: dict[K, V], key: K) -> V:
        if key not in table:
            raise WriteRejected("the row is gone")
        return table[key]

    # - reading

    def access(self, room_id: RoomId, viewer: UserId) -> Access:
        return Access(room=self.rooms.get(room_id), member=self.members.get(room_id, {}).get(viewer))

    def rooms_of(self, viewer: UserId) -> list[Room]:
        return [self.rooms[room_id] for room_id, members in self.members.items() if viewer in members]

    def members_of(self, room_id: RoomId) -> tuple[Member, ...]:
        members = self.members[room_id].values()
        return tuple(sorted(members, key=lambda member: (member.joined_us, member.user_id)))

    def stored(self, place: tuple[RoomId, int]) -> KeyedMessage:
        room_id, seq = place
        return self.messages[room_id][seq]

    def messages_of(self, room_id: RoomId) -> list[KeyedMessage]:
        """All of a room's messages, tombstones too, rising by seq."""
        return [stored for _, stored in sorted(self.messages[room_id].items())]

    def living(self, room_id: RoomId) -> list[Message]:
        """A room's messages without tombstones, rising by seq."""
        return [keyed.message for keyed in self.messages_of(room_id) if keyed.message.deleted_us is None]

    def receipts(self, room_id: RoomId) -> Receipts:
        members = self.members[room_id].values()
        return Receipts(
            delivered=receipt_floor(sorted((member.delivered_seq, member.user_id) for member in members)),
            read=receipt_floor(sorted((member.read_seq, member.user_id) for member in members)),
        )

    def last_activity(self, room_id: RoomId) -> int:
        """The id of the room's last message, or its own while it has none: ids rise with time."""
        messages = self.messages_of(room_id)
        return messages[-1].message.id if messages else room_id
