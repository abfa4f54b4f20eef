"""A store in memory.

`MemoryStore` is a whole `Store` in dictionaries: the fake that passes the same contract suite as the real drivers. It
has no threads, so it works under trio's autojump clock, and it fails or dawdles on demand.
"""

from collections import deque
from collections.abc import Callable, Sequence

import trio

from chinwag.engine.model import addresses, names
from chinwag.engine.model.errors import EngineError, StoreUnavailable
from chinwag.engine.model.ids import FamilyId, FileId, MessageId, RoomId, UserId
from chinwag.engine.model.store import (
    Access,
    CountedPage,
    Credentials,
    FoundMessages,
    KeyedMessage,
    KeyVersion,
    MessagePage,
    Missed,
    Overviews,
    RoomMembers,
    RoomSnapshot,
    Write,
)
from chinwag.engine.model.store_search import NO_DEADLINE
from chinwag.engine.model.values import (
    Deployment,
    Family,
    FoundRooms,
    MemberKey,
    Message,
    RefreshToken,
    Room,
    RoomKey,
    RoomKind,
    RoomOverview,
    StoredFile,
    Summary,
    User,
)
from chinwag.engine.testing.admissions import MemoryAdmissions
from chinwag.engine.testing.tables import Tables


class MemoryStore(MemoryAdmissions):
    """A `Store` in dictionaries, lost when it goes out of scope. See the promises of `chinwag.engine.model.store`.

    Knobs for tests, to be set at any time: `delay_s` and `search_s` (what every commit and search takes, in trio's
    seconds, virtual ones under a mock clock), `fail_next_commits`, and `unavailable`. As in the real store, commits
    that wait together are applied together, and one whose caller was cancelled is applied all the same.
    """

    def __init__(self) -> None:
        self.delay_s = 0.0
        """How long each round of commits takes before it is applied."""
        self.unavailable = False
        """While True every commit, read and check raises `StoreUnavailable`."""
        self.search_s = 0.0
        """How long each search takes, in trio's seconds. One that has less time finds what it would, and is not
        complete."""
        self.commits = 0
        """How many calls of `commit` were applied."""
        self._tables = Tables()
        self._queue: deque[_Unit] = deque()
        self._running = False
        self._failures: deque[EngineError] = deque()

    @property
    def refused_savepoints(self) -> int:
        """How many parts of commits were refused, while the rest stood."""
        return self._tables.refused_savepoints

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

    async def _read(self) -> Tables:
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
        user_id = tables.emails.get(addresses.key(email))
        return tables.users[user_id].user if user_id is not None else None

    async def credentials(self, identifier: str) -> list[Credentials]:
        tables = await self._read()
        found = (tables.usernames.get(names.key(identifier)), tables.emails.get(addresses.key(identifier)))
        return [tables.users[user_id] for user_id in dict.fromkeys(found) if user_id is not None]

    async def users(self, user_ids: Sequence[UserId]) -> list[User]:
        tables = await self._read()
        return [tables.users[user_id].user for user_id in set(user_ids) if user_id in tables.users]

    async def active_users(self, *, after: UserId, limit: int) -> list[User]:
        users = [each.user for each in (await self._read()).users.values()]
        return sorted((user for user in users if user.active and user.id > after), key=lambda user: user.id)[:limit]

    async def peers_of(self, user_id: UserId) -> set[UserId]:
        tables = await self._read()
        rooms = [tables.members_of(room.id) for room in tables.rooms_of(user_id)]
        return {member.user_id for members in rooms for member in members} - {user_id}

    async def file(self, file_id: FileId) -> StoredFile | None:
        return (await self._read()).files.get(file_id)

    async def files_of(self, room_id: RoomId) -> list[StoredFile]:
        return [each for each in (await self._read()).files.values() if each.room_id == room_id]

    async def avatars_of(self, user_id: UserId) -> list[StoredFile]:
        files = (await self._read()).files.values()
        return [each for each in files if each.owner_id == user_id and each.room_id is None]

    async def named_blobs(self, names: Sequence[str]) -> set[str]:
        files = (await self._read()).files.values()
        return {blob for each in files for blob in (each.blob, each.thumbnail) if blob is not None}.intersection(names)

    async def cursor(self, name: str) -> str | None:
        return (await self._read()).cursors.get(name)

    async def summaries(
        self, room_id: RoomId, *, automatic: bool | None, after_us: int | None, before_us: int | None, limit: int
    ) -> list[Summary]:
        tables = await self._read()
        found = [
            summary
            for summary in tables.summaries.values()
            if summary.room_id == room_id
            and automatic in (None, summary.automatic)
            and (after_us is None or summary.first_us >= after_us)
            and (before_us is None or summary.last_us <= before_us)
        ]
        return sorted(found, key=lambda summary: summary.id, reverse=True)[:limit]

    async def room_keys(self, room_id: RoomId) -> list[RoomKey]:
        keys = (await self._read()).room_keys.values()
        return sorted((key for key in keys if key.room_id == room_id), key=lambda key: key.version)

    async def latest_room_key(self) -> RoomKey | None:
        keys = (await self._read()).room_keys
        return keys[max(keys)] if keys else None

    async def key_version(self, room_id: RoomId) -> KeyVersion:
        return (await self._read()).key_version(room_id)

    async def key_maker(self, room_id: RoomId, version: int) -> UserId | None:
        return (await self._read()).key_makers.get((room_id, version))

    async def member_keys(self, room_id: RoomId, user_id: UserId) -> list[MemberKey]:
        keys = (await self._read()).member_keys.values()
        found = (key for key in keys if (key.room_id, key.user_id) == (room_id, user_id))
        return sorted(found, key=lambda key: key.version)

    async def deployment(self) -> Deployment | None:
        return (await self._read()).deployments.get(1)

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

    async def open_rooms_named(self, name: str, *, limit: int) -> list[Room]:
        rooms = (await self._read()).rooms.values()
        found = (room for room in rooms if not room.private and room.kind is RoomKind.GROUP)
        # The bytes' `lower` knows ASCII alone.
        named = (room for room in found if room.name.encode().lower() == name.encode().lower())
        return sorted(named, key=lambda room: room.id)[:limit]

    async def rooms_of(
        self, viewer: UserId, *, name_contains: str, limit: int, within_s: float = NO_DEADLINE
    ) -> FoundRooms:
        rooms, complete = await self._rooms(viewer, None, name_contains, within_s)
        return FoundRooms(rooms=tuple(rooms[:limit]), complete=complete)

    async def room_ids_of(self, viewer: UserId) -> list[RoomId]:
        return [room.id for room in (await self._read()).rooms_of(viewer)]

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
            last_seq=tables.last_seq(room_id),
            recent=tuple(messages[max(0, len(messages) - recent) :]),
            key=tables.key_version(room_id),
        )

    async def message(self, room_id: RoomId, message_id: MessageId) -> Message | None:
        tables = await self._read()
        place = tables.places.get(message_id)
        return tables.stored(place).message if place is not None and place[0] == room_id else None

    async def find_message(self, message_id: MessageId, viewer: UserId) -> MessagePage | None:
        tables = await self._read()
        place = tables.places.get(message_id)
        if place is None:
            return None
        room_id, message = place[0], tables.stored(place).message
        access = tables.access(room_id, viewer)
        if access.member is None or message.deleted_us is not None:
            return None
        return MessagePage(access=access, receipts=tables.receipts(room_id), messages=(message,))

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
        tables = await self._read()
        access = tables.access(room_id, viewer)
        if access.member is None:
            return CountedPage(page=MessagePage(access=access))
        newest_first = [
            message
            for message in tables.living(room_id)[::-1]
            if (after_us is None or message.created_us > after_us)
            and (before_us is None or message.created_us < before_us)
        ]
        page = MessagePage(
            access=access, receipts=tables.receipts(room_id), messages=tuple(newest_first[skip : skip + limit])
        )
        return CountedPage(page=page, total=len(newest_first))

    async def has_opaque(self, room_id: RoomId, *, after_us: int | None, before_us: int | None) -> bool:
        return any(
            message.opaque
            and (after_us is None or message.created_us > after_us)
            and (before_us is None or message.created_us < before_us)
            for message in (await self._read()).living(room_id)
        )

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
        rooms, complete = await self._rooms(viewer, kind, name_contains, within_s)
        chosen = tuple(self._tables.overview(room, viewer) for room in rooms[skip : skip + limit])
        return Overviews(rooms=chosen, total=len(rooms), complete=complete)

    async def overview(self, room_id: RoomId, viewer: UserId) -> RoomOverview | None:
        tables = await self._read()
        access = tables.access(room_id, viewer)
        return tables.overview(access.room, viewer) if access.room is not None and access.member is not None else None

    async def _rooms(
        self, viewer: UserId, kind: RoomKind | None, name_contains: str, within_s: float
    ) -> tuple[list[Room], bool]:
        """The viewer's rooms of a kind, with a text in their name, and whether all were looked at in time."""
        tables = await self._read()
        complete = await self._search_for(within_s) if name_contains else True
        needle = names.key(name_contains)
        rooms = [
            room for room in tables.rooms_of(viewer) if kind in (None, room.kind) and needle in names.key(room.name)
        ]
        return rooms, complete

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
        self, room_ids: Sequence[RoomId], viewer: UserId, *, since: MessageId | None, limit: int, moment: bool = False
    ) -> dict[RoomId, Missed]:
        tables = await self._read()
        place = tables.places.get(since) if since is not None else None
        known = moment or (place is not None and tables.access(place[0], viewer).member is not None)
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
                last_seq=tables.last_seq(room_id),
                receipts=tables.receipts(room_id),
                messages=messages if messages is not None and len(messages) <= limit else None,
            )
        return answer

    async def search(
        self, viewer: UserId, *, text: str, room_id: RoomId | None, limit: int, within_s: float = NO_DEADLINE
    ) -> FoundMessages:
        tables = await self._read()
        complete = await self._search_for(within_s)
        access = tables.access(room_id, viewer) if room_id is not None else None
        found = tables.containing(text, viewer, room_id)
        return FoundMessages(access=access, messages=tuple(found[:limit]), complete=complete)

    async def _search_for(self, within_s: float) -> bool:
        """Take the time that a search takes; returns whether that is as long as it needs."""
        if self.search_s:
            await trio.sleep(min(self.search_s, within_s))
        return self.search_s <= within_s


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
