"""What the engine reads, from one SQLite snapshot. Runs in a reader's thread."""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from chinwag.engine.model import names
from chinwag.engine.model.ids import FileId, InvitationId, MessageId, RoomId, UserId
from chinwag.engine.model.store import (
    UNREAD_BOUND,
    Access,
    CountedPage,
    FoundMessages,
    KeyedMessage,
    KeyVersion,
    MessagePage,
    Missed,
    Overviews,
    RoomMembers,
    RoomSnapshot,
)
from chinwag.engine.model.store_admissions import BanPage, InvitationPage
from chinwag.engine.model.values import (
    Ban,
    FoundMessage,
    FoundRooms,
    Invitation,
    KeyCustody,
    MemberKey,
    Message,
    ReceiptFloor,
    Receipts,
    Role,
    Room,
    RoomKey,
    RoomKind,
    RoomOverview,
    StoredFile,
    Summary,
    receipt_floor,
)
from chinwag.persistence.folding import searched_text
from chinwag.persistence.queries import (
    bans,
    files,
    invitations,
    jobs,
    keys,
    messages,
    rooms,
    search,
    summaries,
)
from chinwag.persistence.rows import Row
from chinwag.persistence.sqlite.account_reads import AccountReads
from chinwag.persistence.sqlite.message_rows import MessageRow
from chinwag.persistence.sqlite.search import Found, find, find_journaled
from chinwag.persistence.sqlite.time_limits import OutOfTime, TimeLimit

_ROOMS_BETWEEN_CHECKS = 200
MAX_INTEGER = (1 << 63) - 1
"""SQLite's largest. Whoever asks to skip more skips everything."""
_ROOM_WIDTH = rooms.ROOM_COLUMNS.count(",") + 1


class Snapshot(AccountReads):
    """The reads of `Store`, over one connection that is in a transaction: so all that a call reads is one moment."""

    # - rooms

    def access(self, room_id: RoomId, viewer: UserId) -> Access:
        row = self._one(rooms.ACCESS, room_id, viewer)
        if row is None:
            return Access(room=None, member=None)
        member = row[_ROOM_WIDTH:]
        return Access(
            room=self._reader.room(row[:_ROOM_WIDTH]),
            member=self._reader.member(member) if member[0] is not None else None,
        )

    def direct_room(self, direct_key: str) -> Room | None:
        row = self._one(rooms.ROOM_BY_DIRECT_KEY, direct_key)
        return self._reader.room(row) if row else None

    def open_rooms_named(self, name: str, limit: int) -> list[Room]:
        return [self._reader.room(row) for row in self._all(rooms.OPEN_NAMED, (name, limit))]

    def rooms_of(self, viewer: UserId, name_contains: str, limit: int, within_s: float) -> FoundRooms:
        found, complete = self._rooms(viewer, None, name_contains, within_s)
        return FoundRooms(rooms=tuple(found[:limit]), complete=complete)

    def overviews(
        self, viewer: UserId, kind: RoomKind | None, name_contains: str, skip: int, limit: int, within_s: float
    ) -> Overviews:
        found, complete = self._rooms(viewer, kind, name_contains, within_s)
        page = tuple(self._overview(room, viewer) for room in found[skip : skip + limit])
        return Overviews(rooms=page, total=len(found), complete=complete)

    def overview(self, room_id: RoomId, viewer: UserId) -> RoomOverview | None:
        access = self.access(room_id, viewer)
        return self._overview(access.room, viewer) if access.room is not None and access.member is not None else None

    def _rooms(
        self, viewer: UserId, kind: RoomKind | None, name_contains: str, within_s: float
    ) -> tuple[list[Room], bool]:
        """The viewer's rooms of a kind, with a text in their name, and whether all were looked at in time."""
        needle = names.key(name_contains)
        time_limit = TimeLimit(within_s)
        rows: list[Row] = []
        found: list[Room] = []
        try:
            with time_limit.interrupting(self._connection):
                self._read_into(rows, rooms.ROOMS_OF, (viewer,))
            for number, row in enumerate(rows):
                if number % _ROOMS_BETWEEN_CHECKS == 0:
                    time_limit.check()
                room = self._reader.room(row)
                if kind in (None, room.kind) and (not needle or needle in names.key(room.name)):
                    found.append(room)
        except OutOfTime:
            return found, False
        return found, True

    def _overview(self, room: Room, viewer: UserId) -> RoomOverview:
        member = self.access(room.id, viewer).member
        assert member is not None
        last_created = self._one(messages.LAST_CREATED, room.id)
        return RoomOverview(
            room=room,
            member=member,
            member_ids=tuple(UserId(user_id) for (user_id,) in self._all(rooms.MEMBER_IDS, (room.id,))),
            last_message=next(iter(self._messages(messages.HISTORY, room.id, 1, 0)), None),
            unread=self._count(messages.UNREAD, room.id, member.read_seq, viewer, UNREAD_BOUND),
            active_us=last_created[0] if last_created else room.created_us,
        )

    def room_ids_of(self, viewer: UserId) -> list[RoomId]:
        return [RoomId(room_id) for (room_id,) in self._all(rooms.ROOM_IDS_OF, (viewer,))]

    def members(self, room_id: RoomId, viewer: UserId) -> RoomMembers:
        access = self.access(room_id, viewer)
        if access.member is None:
            return RoomMembers(access=access)
        members = tuple(map(self._reader.member, self._all(rooms.MEMBERS, (room_id,))))
        return RoomMembers(access=access, members=members)

    def room_snapshot(self, room_id: RoomId, recent: int) -> RoomSnapshot | None:
        row = self._one(rooms.ROOM, room_id)
        if row is None:
            return None
        room = self._reader.room(row)
        newest_first = self._all(messages.RECENT, (room_id, recent))
        return RoomSnapshot(
            room=room,
            members=tuple(map(self._reader.member, self._all(rooms.MEMBERS, (room_id,)))),
            last_seq=self._last_seq(room_id),
            recent=tuple(map(self._keyed, reversed(newest_first))),
            key=self._key_version(room),
        )

    def receipts(self, room_id: RoomId) -> Receipts:
        return Receipts(
            delivered=self._floor(rooms.DELIVERED_FLOOR, room_id), read=self._floor(rooms.READ_FLOOR, room_id)
        )

    def _floor(self, query: str, room_id: RoomId) -> ReceiptFloor:
        return receipt_floor([(seq, UserId(user_id)) for seq, user_id in self._all(query, (room_id,))])

    # - messages

    def _last_seq(self, room_id: RoomId) -> int:
        row = self._one(messages.LAST_SEQ, room_id)
        return row[0] if row else 0

    def _keyed(self, row: Row) -> KeyedMessage:
        return KeyedMessage(message=self._reader.message(row[:-1]), digest=row[-1])

    def _messages(self, query: str, *values: object) -> list[Message]:
        return list(map(self._reader.message, self._all(query, values)))

    def message(self, room_id: RoomId, message_id: MessageId) -> Message | None:
        row = self._one(messages.MESSAGE, room_id, message_id)
        return self._reader.message(row) if row else None

    def find_message(self, message_id: MessageId, viewer: UserId) -> MessagePage | None:
        found = self._messages(messages.FIND, message_id, viewer)
        if not found:
            return None
        room_id = found[0].room_id
        return MessagePage(access=self.access(room_id, viewer), receipts=self.receipts(room_id), messages=tuple(found))

    def keyed_message(self, room_id: RoomId, author_id: UserId, key: str) -> KeyedMessage | None:
        row = self._one(messages.KEYED_MESSAGE, room_id, author_id, key)
        return self._keyed(row) if row else None

    def history(self, room_id: RoomId, viewer: UserId, skip: int, limit: int) -> MessagePage:
        access = self.access(room_id, viewer)
        if access.member is None:
            return MessagePage(access=access)
        page = self._messages(messages.HISTORY, room_id, min(limit, MAX_INTEGER), min(skip, MAX_INTEGER))
        return MessagePage(access=access, receipts=self.receipts(room_id), messages=tuple(page))

    def history_between(
        self, room_id: RoomId, viewer: UserId, after_us: int | None, before_us: int | None, skip: int, limit: int
    ) -> CountedPage:
        access = self.access(room_id, viewer)
        if access.member is None:
            return CountedPage(page=MessagePage(access=access))
        after, last = self._sequences_between(room_id, after_us, before_us)
        page: list[Message] = []
        total = 0
        if after < last:
            tombstones = self._one(messages.TOMBSTONES_BETWEEN, room_id, after, last)
            total = last - after - (tombstones[0] if tombstones else 0)
            bounds = min(limit, MAX_INTEGER), min(skip, MAX_INTEGER)
            page = self._messages(messages.HISTORY_BETWEEN, room_id, after, last, *bounds)
        receipts = self.receipts(room_id)
        return CountedPage(page=MessagePage(access=access, receipts=receipts, messages=tuple(page)), total=total)

    def has_opaque(self, room_id: RoomId, after_us: int | None, before_us: int | None) -> bool:
        after, last = self._sequences_between(room_id, after_us, before_us)
        return self._one(messages.OPAQUE_BETWEEN, room_id, after, last) is not None

    def _sequences_between(self, room_id: RoomId, after_us: int | None, before_us: int | None) -> tuple[int, int]:
        """The messages between two times: those with a sequence above the first and up to the second."""
        sequences = range(1, self._last_seq(room_id) + 1)

        def created_us(seq: int) -> int:
            found = self._one(messages.CREATED_FROM_SEQ, room_id, seq)
            return int(found[0]) if found else MAX_INTEGER

        # Sequences without holes: how many messages come before a bound is also the last one's sequence.
        after = 0 if after_us is None else bisect_right(sequences, after_us, key=created_us)
        last = len(sequences) if before_us is None else bisect_left(sequences, before_us, key=created_us)
        return after, last

    def window(self, room_id: RoomId, viewer: UserId, around: MessageId, limit: int) -> MessagePage:
        access = self.access(room_id, viewer)
        if access.member is None:
            return MessagePage(access=access)
        chosen: list[Message] = []
        middle = self._one(messages.SEQ_OF_LIVING, room_id, around)
        if middle is not None:
            before = self._messages(messages.BEFORE, room_id, middle[0], limit // 2)
            chosen = before[::-1] + self._messages(messages.FROM, room_id, middle[0], limit - len(before))
        return MessagePage(access=access, receipts=self.receipts(room_id), messages=tuple(chosen))

    def missed(
        self, room_ids: Sequence[RoomId], viewer: UserId, since: MessageId | None, limit: int, moment: bool
    ) -> dict[RoomId, Missed]:
        position = None
        if since is not None and moment:
            position = self._one(messages.POSITION_OF_MOMENT, since) or (0,)
        elif since is not None:
            position = self._one(messages.POSITION, since, viewer)
        answer: dict[RoomId, Missed] = {}
        for room_id in room_ids:
            access = self.access(room_id, viewer)
            if access.member is None:
                answer[room_id] = Missed(access=access)
                continue
            last_seq = self._last_seq(room_id)
            after: tuple[Message, ...] | None = None
            if position is not None:
                after = self._after(room_id, position[0], last_seq, limit)
            answer[room_id] = Missed(access=access, last_seq=last_seq, receipts=self.receipts(room_id), messages=after)
        return answer

    def _after(self, room_id: RoomId, row: int, last_seq: int, limit: int) -> tuple[Message, ...] | None:
        """The living messages of a room that were committed after `row`, None when there are more than `limit`."""
        seq = self._seq_at(room_id, row, last_seq)
        if seq == last_seq:
            return ()
        found = self._messages(messages.FROM, room_id, seq + 1, limit + 1)
        return tuple(found) if len(found) <= limit else None

    def _seq_at(self, room_id: RoomId, row: int, last_seq: int) -> int:
        """The sequence of a room's last message that was committed no later than `row`, 0 when there is none.

        Rows rise with the sequence, so this bisects: however old a position is, it costs a few look-ups.
        """

        def row_of(seq: int) -> int:
            found = self._one(messages.ROW_FROM_SEQ, room_id, seq)
            return int(found[0]) if found else MAX_INTEGER

        return bisect_right(range(1, last_seq + 1), row, key=row_of)

    # - what else a room has

    def invitation(self, digest: bytes) -> Invitation | None:
        row = self._one(invitations.INVITATION, digest)
        return self._reader.invitation(row) if row else None

    def invitation_to(self, room_id: RoomId, invitation_id: InvitationId) -> Invitation | None:
        row = self._one(invitations.INVITATION_TO, room_id, invitation_id)
        return self._reader.invitation(row) if row else None

    def invitations(
        self, room_id: RoomId, viewer: UserId, all_from: Role, now_us: int, skip: int, limit: int
    ) -> InvitationPage:
        access = self.access(room_id, viewer)
        if access.member is None:
            return InvitationPage(access=access)
        query, count = invitations.INVITATIONS, invitations.COUNT_INVITATIONS
        bounds: tuple[int, ...] = (room_id, now_us)
        if access.member.role < all_from:
            query, count = invitations.INVITATIONS_OF, invitations.COUNT_INVITATIONS_OF
            bounds = (*bounds, viewer)
        found = self._all(query, (*bounds, min(limit, MAX_INTEGER), min(skip, MAX_INTEGER)))
        return InvitationPage(
            access=access, invitations=tuple(map(self._reader.invitation, found)), total=self._count(count, *bounds)
        )

    def ban(self, room_id: RoomId, user_id: UserId) -> Ban | None:
        row = self._one(bans.BAN, room_id, user_id)
        return self._reader.ban(row) if row else None

    def bans(self, room_id: RoomId, viewer: UserId, skip: int, limit: int) -> BanPage:
        access = self.access(room_id, viewer)
        if access.member is None:
            return BanPage(access=access)
        found = self._all(bans.BANS, (room_id, min(limit, MAX_INTEGER), min(skip, MAX_INTEGER)))
        return BanPage(
            access=access, bans=tuple(map(self._reader.ban, found)), total=self._count(bans.COUNT_BANS, room_id)
        )

    def _count(self, query: str, *values: object) -> int:
        row = self._one(query, *values)
        return row[0] if row else 0

    def file(self, file_id: FileId) -> StoredFile | None:
        row = self._one(files.FILE, file_id)
        return self._reader.file(row) if row else None

    def files_of(self, room_id: RoomId) -> list[StoredFile]:
        return list(map(self._reader.file, self._all(files.FILES_OF_ROOM, (room_id,))))

    def avatars_of(self, user_id: UserId) -> list[StoredFile]:
        return list(map(self._reader.file, self._all(files.AVATARS_OF_USER, (user_id,))))

    def named_blobs(self, names: Sequence[str]) -> set[str]:
        return {row[0] for row in self._all(files.NAMED_BLOBS, (json.dumps(names),))}

    def cursor(self, name: str) -> str | None:
        row = self._one(jobs.CURSOR, name)
        return row[0] if row else None

    def ended_invitations(self, by_us: int, limit: int) -> list[InvitationId]:
        return [InvitationId(row[0]) for row in self._all(invitations.ENDED_INVITATIONS, (by_us, limit))]

    def summaries(
        self, room_id: RoomId, automatic: bool | None, after_us: int | None, before_us: int | None, limit: int
    ) -> list[Summary]:
        after = -MAX_INTEGER if after_us is None else max(min(after_us, MAX_INTEGER), -MAX_INTEGER)
        before = MAX_INTEGER if before_us is None else max(min(before_us, MAX_INTEGER), -MAX_INTEGER)
        found = self._all(summaries.SUMMARIES, (room_id, automatic, after, before, min(limit, MAX_INTEGER)))
        return list(map(self._reader.summary, found))

    def room_keys(self, room_id: RoomId) -> list[RoomKey]:
        return list(map(self._reader.room_key, self._all(keys.ROOM_KEYS, (room_id,))))

    def latest_room_key(self) -> RoomKey | None:
        row = self._one(keys.LATEST_ROOM_KEY)
        return self._reader.room_key(row) if row else None

    def key_version(self, room_id: RoomId) -> KeyVersion:
        row = self._one(rooms.ROOM, room_id)
        return self._key_version(self._reader.room(row)) if row else KeyVersion()

    def _key_version(self, room: Room) -> KeyVersion:
        query = keys.NEWEST_ROOM_KEY if room.custody is KeyCustody.SERVER else keys.NEWEST_MEMBER_KEY
        row = self._one(query, room.id)
        return KeyVersion(version=row[0], changed_us=row[1]) if row else KeyVersion()

    def key_maker(self, room_id: RoomId, version: int) -> UserId | None:
        row = self._one(keys.KEY_MAKER, room_id, version)
        return UserId(row[0]) if row else None

    def member_keys(self, room_id: RoomId, user_id: UserId) -> list[MemberKey]:
        return list(map(self._reader.member_key, self._all(keys.MEMBER_KEYS, (room_id, user_id))))

    # - search

    def search(
        self,
        viewer: UserId,
        text: str,
        room_id: RoomId | None,
        limit: int,
        within_s: float,
        journaled: Sequence[MessageRow],
    ) -> FoundMessages:
        access = self.access(room_id, viewer) if room_id is not None else None
        if access is not None and access.member is None:
            return FoundMessages(access=access)
        newest = self._find_journaled(journaled, viewer, text, room_id, limit) if journaled else []
        found = self._find(viewer, text, room_id, limit - len(newest), TimeLimit(within_s))
        older = self._all(search.FOUND, (json.dumps(found.rows),)) if found.rows else []
        return FoundMessages(
            access=access, messages=tuple(self._found_messages([*newest, *older])), complete=found.complete
        )

    def _find(self, viewer: UserId, text: str, room_id: RoomId | None, limit: int, time_limit: TimeLimit) -> Found:
        def read_into(rows: list[Row], query: str, values: tuple[object, ...]) -> None:
            time_limit.check()
            with time_limit.interrupting(self._connection):
                self._read_into(rows, query, values)

        return find(read_into, viewer, text, room_id, limit)

    def _find_journaled(
        self, journaled: Sequence[MessageRow], viewer: UserId, text: str, room_id: RoomId | None, limit: int
    ) -> list[Row]:
        """As they would be in the table: with `_found_messages`' columns."""
        reach = {room_id} if room_id is not None else set(self.room_ids_of(viewer))
        last = self._one(messages.LAST_ROW)
        assert last is not None
        found: list[Row] = []
        for row in find_journaled(journaled, last[0], text, reach, limit):
            author = self.user(UserId(row.author_id))
            shown = (author.username, author.display_name, author.avatar_url) if author else (None, None, None)
            found.append(
                (
                    *(row.id, row.room_id, row.seq, row.author_id, shown[0], row.text, row.created_us, row.attachments),
                    *(row.key, row.edited_us, row.deleted_us, row.extras, shown[1], shown[2], row.folded),
                )
            )
        return found

    def _found_messages(self, rows: Sequence[Row]) -> Iterator[FoundMessage]:
        """Of a message's columns and `folded`."""
        receipts: dict[RoomId, Receipts] = {}
        for row in rows:
            message = self._reader.message(row[:-1])
            if message.room_id not in receipts:
                receipts[message.room_id] = self.receipts(message.room_id)
            yield FoundMessage(
                message=message, receipts=receipts[message.room_id], folded=searched_text(message.text, row[-1])
            )
