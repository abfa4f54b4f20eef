"""The rows of `testing.MemoryStore`: dictionaries, their unique keys, and every write over them."""

from collections.abc import Sequence
from typing import assert_never

from msgspec.structs import replace

from chinwag.engine.model import addresses, names
from chinwag.engine.model.ids import FamilyId, FileId, MessageId, RoomId, SummaryId, UserId
from chinwag.engine.model.store import (
    NOT_IN_SAVEPOINTS,
    UNREAD_BOUND,
    Access,
    Credentials,
    DeleteFile,
    DeleteMember,
    DeleteMessage,
    DeleteRoom,
    InsertDeployment,
    InsertFamily,
    InsertFile,
    InsertInvitation,
    InsertKeyVersion,
    InsertMember,
    InsertMessage,
    InsertRefreshToken,
    InsertRoom,
    InsertRoomKey,
    InsertSummary,
    InsertUser,
    KeyedMessage,
    KeyVersion,
    PutMemberKey,
    ReplaceFile,
    ReplacePasswordHash,
    RevokeFamilies,
    RevokeFamily,
    SetDeclaredPresence,
    SetReactions,
    SetRole,
    SetWatermarks,
    SpendRefreshToken,
    UpdateMessage,
    UpdateRoom,
    UpdateUser,
    UseInvitation,
    Write,
    WriteRejected,
)
from chinwag.engine.model.store_admissions import (
    DeleteBan,
    EndInvitation,
    EndInvitationsOf,
    EndInvitationsOfMembers,
    PutBan,
)
from chinwag.engine.model.store_jobs import DeleteInvitations, Savepoint, SetCursor
from chinwag.engine.model.text import folded
from chinwag.engine.model.values import (
    Deployment,
    Family,
    FoundMessage,
    KeyCustody,
    Member,
    MemberKey,
    Message,
    MessageKind,
    Receipts,
    RefreshToken,
    Room,
    RoomKey,
    RoomOverview,
    StoredFile,
    Summary,
    User,
    receipt_floor,
)
from chinwag.engine.testing.admission_tables import AdmissionTables


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
        case InsertInvitation():
            return write.invitation.id
        case PutBan():
            return write.ban.id
        case InsertFile():
            return write.file.id
        case InsertSummary():
            return write.summary.id
        case _:
            return None


class Tables(AdmissionTables):
    """The rows, their unique keys, and every write and read over them. Synchronous; nothing here waits.

    Names and avatars are the users' alone: messages and members are given them when they are read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.highest_id = 0
        self.refused_savepoints = 0
        self.deployments: dict[int, Deployment] = {}
        self.cursors: dict[str, str] = {}
        self.usernames: dict[str, UserId] = {}
        self.emails: dict[str, UserId] = {}
        self.families: dict[FamilyId, Family] = {}
        self.refresh_tokens: dict[bytes, RefreshToken] = {}
        self.direct_keys: dict[str, RoomId] = {}
        self._messages: dict[RoomId, dict[int, KeyedMessage]] = {}
        self.places: dict[MessageId, tuple[RoomId, int]] = {}
        self.keys: dict[tuple[RoomId, UserId, str], tuple[RoomId, int]] = {}
        self.files: dict[FileId, StoredFile] = {}
        self.summaries: dict[SummaryId, Summary] = {}
        self.room_keys: dict[tuple[RoomId, int], RoomKey] = {}
        self.key_makers: dict[tuple[RoomId, int], UserId] = {}
        self.member_keys: dict[tuple[RoomId, UserId, int], MemberKey] = {}

    # - writing

    def apply(self, writes: Sequence[Write]) -> None:
        """All of `writes` in order, or an exception and none."""
        new_ids: list[int] = []
        with self._all_or_none():
            for write in writes:
                if isinstance(write, Savepoint):
                    if self._applied_whole(write):
                        new_ids += filter(None, map(_new_id, write.writes))
                else:
                    self._write(write)
                    new_ids += filter(None, (_new_id(write),))
        self.highest_id = max((self.highest_id, *new_ids))

    def _applied_whole(self, savepoint: Savepoint) -> bool:
        """Apply a part of a commit that may be refused, and then leaves the rest as it is."""
        try:
            with self._all_or_none_of_part():
                for write in savepoint.writes:
                    if isinstance(write, NOT_IN_SAVEPOINTS):
                        raise WriteRejected(f"{type(write).__name__} cannot be part of a savepoint")
                    self._write(write)
        except Exception:  # noqa: BLE001 - whatever is wrong with the part is no business of the rest of the commit
            self.refused_savepoints += 1
            return False
        return True

    def _write(self, write: Write) -> None:
        match write:
            case Savepoint():
                raise AssertionError("no part of another")
            case SetCursor():
                self._put(self.cursors, write.name, write.position)
            case InsertDeployment(deployment=deployment):
                self._insert(self.deployments, 1, deployment, "deployment")
            case InsertUser(user=user):
                self._insert(self.users, user.id, Credentials(user=user, password_hash=write.password_hash), "id")
                self._insert(self.usernames, names.key(user.username), user.id, "username")
                if user.email is not None:
                    self._insert(self.emails, addresses.key(user.email), user.id, "email")
            case UpdateUser(user=user):
                old = self._existing(self.users, user.id)
                changed = replace(
                    old.user,
                    display_name=user.display_name,
                    avatar_url=user.avatar_url,
                    public_key=user.public_key,
                    last_login_us=user.last_login_us,
                    active=user.active,
                )
                self._put(self.users, user.id, replace(old, user=changed))
            case SetDeclaredPresence():
                old = self._existing(self.users, write.user_id)
                self._put(self.users, write.user_id, replace(old, user=replace(old.user, declared=write.declared)))
            case ReplacePasswordHash():
                old = self._existing(self.users, write.user_id)
                if old.password_hash == write.before:
                    self._put(self.users, write.user_id, replace(old, password_hash=write.password_hash))
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
            case InsertRoom() | UpdateRoom() | DeleteRoom():
                self._write_room(write)
            case InsertMember() | DeleteMember() | SetRole() | SetWatermarks():
                self._write_member(write)
            case InsertMessage():
                self._insert_message(write)
            case UpdateMessage(message=new):
                self._change_message(
                    self._living(new.room_id, new.id),
                    text=new.text,
                    edited_us=new.edited_us,
                    kind=new.kind,
                    reply_to=new.reply_to,
                    sealed=new.sealed,
                    reactions=new.reactions,
                )
            case SetReactions(message=new):
                self._change_message(self._living(new.room_id, new.id), reactions=new.reactions)
            case DeleteMessage():
                self._change_message(
                    self._living(write.room_id, write.message_id),
                    text="",
                    attachments=(),
                    deleted_us=write.deleted_us,
                    kind=MessageKind.TEXT,
                    reply_to=None,
                    sealed=None,
                    reactions=(),
                )
            case PutBan() | DeleteBan() | InsertInvitation() | UseInvitation():
                self._write_admission(write)
            case EndInvitation() | EndInvitationsOf() | EndInvitationsOfMembers() | DeleteInvitations():
                self._write_admission(write)
            case InsertFile(file=file):
                self._existing(self.users, file.owner_id)
                if file.room_id is not None:
                    self._existing(self.rooms, file.room_id)
                self._insert(self.files, file.id, file, "id")
            case ReplaceFile(file=file):
                before = self._existing(self.files, file.id)
                if before.blob != write.blob:
                    raise WriteRejected("the file's bytes are others by now")
                kept = replace(file, owner_id=before.owner_id, room_id=before.room_id, created_us=before.created_us)
                self._put(self.files, file.id, kept)
            case DeleteFile():
                self._remove_all(self.files, self.files.keys() & {write.file_id})
            case InsertSummary(summary=summary):
                self._existing(self.rooms, summary.room_id)
                self._insert(self.summaries, summary.id, summary, "id")
            case InsertRoomKey(key=room_key):
                self._existing(self.rooms, room_key.room_id)
                self._insert(self.room_keys, (room_key.room_id, room_key.version), room_key, "room_key")
            case InsertKeyVersion():
                self._existing(self.rooms, write.room_id)
                self._existing(self.users, write.made_by)
                self._insert(self.key_makers, (write.room_id, write.version), write.made_by, "room_key")
            case PutMemberKey(key=key):
                self._existing(self.rooms, key.room_id)
                self._existing(self.users, key.user_id)
                self._existing(self.users, key.sealed_by)
                self._put(self.member_keys, (key.room_id, key.user_id, key.version), key)
            case _:
                assert_never(write)

    def _write_room(self, write: InsertRoom | UpdateRoom | DeleteRoom) -> None:
        match write:
            case InsertRoom(room=room):
                self._existing(self.users, room.created_by)
                self._insert(self.rooms, room.id, room, "id")
                if room.direct_key is not None:
                    self._insert(self.direct_keys, room.direct_key, room.id, "direct_key")
                self._put(self._members, room.id, {})
                self._put(self._messages, room.id, {})
            case UpdateRoom(room=room):
                old = self._existing(self.rooms, room.id)
                changed = replace(
                    room,
                    kind=old.kind,
                    created_by=old.created_by,
                    created_us=old.created_us,
                    direct_key=old.direct_key,
                )
                self._put(self.rooms, room.id, changed)
            case DeleteRoom():
                self._delete_room(self._existing(self.rooms, write.room_id))
            case _:
                assert_never(write)

    def _delete_room(self, room: Room) -> None:
        for message in (stored.message for stored in self._messages[room.id].values()):
            self._remove(self.places, message.id)
            if message.key is not None:
                self._remove(self.keys, (room.id, message.author_id, message.key))
        for invitation in [each for each in self.invitations.values() if each.room_id == room.id]:
            self._remove(self.invitations, invitation.digest)
            self._remove(self.invitation_ids, invitation.id)
        self._remove_all(self.bans, [key for key in self.bans if key[0] == room.id])
        self._remove_all(self.key_makers, [key for key in self.key_makers if key[0] == room.id])
        self._remove_all(self.files, [each.id for each in self.files.values() if each.room_id == room.id])
        self._remove_all(self.summaries, [each.id for each in self.summaries.values() if each.room_id == room.id])
        self._remove_all(self.room_keys, [key for key in self.room_keys if key[0] == room.id])
        self._remove_all(self.member_keys, [key for key in self.member_keys if key[0] == room.id])
        if room.direct_key is not None:
            self._remove(self.direct_keys, room.direct_key)
        self._remove(self._messages, room.id)
        self._remove(self._members, room.id)
        self._remove(self.rooms, room.id)

    def _write_member(self, write: InsertMember | DeleteMember | SetRole | SetWatermarks) -> None:
        members = self._existing(self._members, write.room_id)
        match write:
            case InsertMember(member=member):
                self._existing(self.users, member.user_id)
                self._insert(members, member.user_id, member, "member")
            case DeleteMember():
                self._remove(members, write.user_id)
            case SetRole():
                self._put(members, write.user_id, replace(self._existing(members, write.user_id), role=write.role))
            case SetWatermarks():
                member = self._existing(members, write.user_id)
                if write.read_seq > member.read_seq:
                    read_us = member.read_us if write.read_us is None else write.read_us
                    member = replace(member, read_seq=write.read_seq, read_us=read_us)
                delivered = max(member.delivered_seq, write.delivered_seq)
                self._put(members, write.user_id, replace(member, delivered_seq=delivered))
            case _:
                assert_never(write)

    def _insert_message(self, write: InsertMessage) -> None:
        message = write.message
        messages = self._existing(self._messages, message.room_id)
        self._existing(self.users, message.author_id)
        at = (message.room_id, message.seq)
        if message.key is not None:
            self._insert(self.keys, (message.room_id, message.author_id, message.key), at, "idempotency_key")
        self._insert(self.places, message.id, at, "id")
        self._insert(messages, message.seq, KeyedMessage(message=message, digest=write.digest), "seq")

    def _change_message(self, stored: KeyedMessage, **changes: object) -> None:
        message = replace(stored.message, **changes)
        self._put(self._messages[message.room_id], message.seq, replace(stored, message=message))

    def _revoke(self, family: Family, revoked_us: int) -> None:
        if family.revoked_us is None:
            self._put(self.families, family.id, replace(family, revoked_us=revoked_us))

    def _living(self, room_id: RoomId, message_id: MessageId) -> KeyedMessage:
        room_there, seq = self._existing(self.places, message_id)
        stored = self._messages[room_there][seq]
        if room_there != room_id or stored.message.deleted_us is not None:
            raise WriteRejected("the message is gone")
        return stored

    # - reading

    def access(self, room_id: RoomId, viewer: UserId) -> Access:
        member = self._members.get(room_id, {}).get(viewer)
        return Access(room=self.rooms.get(room_id), member=self._named_member(member) if member else None)

    def rooms_of(self, viewer: UserId) -> list[Room]:
        """All rooms of a user, latest activity first."""
        rooms = [self.rooms[room_id] for room_id, members in self._members.items() if viewer in members]
        return sorted(rooms, key=lambda room: self._last_activity(room.id), reverse=True)

    def key_version(self, room_id: RoomId) -> KeyVersion:
        room = self.rooms.get(room_id)
        if room is None:
            return KeyVersion()
        if room.custody is KeyCustody.SERVER:
            made = {version: key.created_us for (of, version), key in self.room_keys.items() if of == room_id}
        else:
            made = {version: 0 for of, _, version in self.member_keys if of == room_id}
        newest = max(made, default=0)
        return KeyVersion(version=newest, changed_us=made.get(newest, 0))

    def members_of(self, room_id: RoomId) -> tuple[Member, ...]:
        """A room's members by joining time, then user id."""
        members = sorted(self._members[room_id].values(), key=lambda member: (member.joined_us, member.user_id))
        return tuple(map(self._named_member, members))

    def stored(self, place: tuple[RoomId, int]) -> KeyedMessage:
        room_id, seq = place
        return self._named(self._messages[room_id][seq])

    def messages_of(self, room_id: RoomId) -> list[KeyedMessage]:
        """All of a room's messages, tombstones too, rising by seq."""
        return [self._named(stored) for _, stored in sorted(self._messages[room_id].items())]

    def living(self, room_id: RoomId) -> list[Message]:
        """A room's messages without tombstones, rising by seq."""
        return [keyed.message for keyed in self.messages_of(room_id) if keyed.message.deleted_us is None]

    def containing(self, text: str, viewer: UserId, room_id: RoomId | None) -> list[FoundMessage]:
        """The living messages of a user's rooms, or of one of them, that contain a text; newest first."""
        needle = folded(text)
        rooms = [room.id for room in self.rooms_of(viewer) if room_id in (None, room.id)]
        found = [
            FoundMessage(message=message, receipts=self.receipts(room), folded=searched)
            for room in rooms
            for message in self.living(room)
            if needle in (searched := "" if message.kind is MessageKind.SYSTEM else folded(message.text))
        ]
        return sorted(found, key=lambda each: each.message.id, reverse=True)

    def overview(self, room: Room, viewer: UserId) -> RoomOverview:
        """A room as it stands in a member's list."""
        living = self.living(room.id)
        member = self._named_member(self._members[room.id][viewer])
        unread = [
            message
            for message in living
            if message.seq > member.read_seq and message.author_id != viewer and message.kind is not MessageKind.SYSTEM
        ]
        return RoomOverview(
            room=room,
            member=member,
            member_ids=tuple(each.user_id for each in self.members_of(room.id)),
            last_message=living[-1] if living else None,
            unread=min(len(unread), UNREAD_BOUND),
            active_us=self.active_us(room.id),
        )

    def receipts(self, room_id: RoomId) -> Receipts:
        members = self._members[room_id].values()
        return Receipts(
            delivered=receipt_floor(sorted((member.delivered_seq, member.user_id) for member in members)),
            read=receipt_floor(sorted((member.read_seq, member.user_id) for member in members)),
        )

    def last_seq(self, room_id: RoomId) -> int:
        """The sequence of the room's last message (a tombstone too), 0 while it has none."""
        return max(self._messages[room_id], default=0)

    def active_us(self, room_id: RoomId) -> int:
        """When the room's last message was made, or else the room."""
        messages = self._messages[room_id]
        return messages[max(messages)].message.created_us if messages else self.rooms[room_id].created_us

    def _last_activity(self, room_id: RoomId) -> int:
        """The id of the room's last message, or its own while it has none: ids rise with time."""
        messages = self._messages[room_id]
        return messages[max(messages)].message.id if messages else room_id

    def _named(self, stored: KeyedMessage) -> KeyedMessage:
        user = self._user(stored.message.author_id)
        message = replace(
            stored.message,
            author_name=user.username,
            author_display_name=user.display_name,
            author_avatar_url=user.avatar_url,
        )
        return replace(stored, message=message)

    def _named_member(self, member: Member) -> Member:
        user = self._user(member.user_id)
        return replace(member, username=user.username, display_name=user.display_name, avatar_url=user.avatar_url)

    def _user(self, user_id: UserId) -> User:
        return self.users[user_id].user
