"""A batch of the engine's writes as one SQLite transaction. Runs in the writer's thread."""

import json
from collections.abc import Sequence
from typing import Final, NamedTuple, assert_never

import apsw
import structlog

from chinwag.engine.model import addresses, names
from chinwag.engine.model.errors import StoreUnavailable
from chinwag.engine.model.store import (
    NOT_IN_SAVEPOINTS,
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
from chinwag.engine.model.values import Role
from chinwag.persistence.folding import folded_column
from chinwag.persistence.group_commit import DriverWrite, Flush
from chinwag.persistence.queries import (
    accounts,
    bans,
    files,
    invitations,
    jobs,
    keys,
    messages,
    rooms,
    search,
    sqlite_text,
    summaries,
)
from chinwag.persistence.rows import extras_text, list_text
from chinwag.persistence.sqlite.errors import engine_error, write_transaction
from chinwag.persistence.sqlite.former_names import make_way
from chinwag.persistence.sqlite.journal import Journal
from chinwag.persistence.sqlite.message_rows import MessageRow, insert_rows, row_of

log = structlog.get_logger("chinwag.persistence")


class Applied(NamedTuple):
    """What `apply_units` did."""

    added: int
    """Messages that were committed, be it to the journal."""
    stale: int
    """Rows of the search index that are stale now."""
    refused: int = 0
    """Savepoints that were refused, while the rest of their commits stands."""


NOTHING_APPLIED: Final = Applied(added=0, stale=0)


def apply_units(
    connection: apsw.Connection, units: Sequence[Sequence[DriverWrite]], last_row: int, journal: Journal
) -> Applied:
    """Commit all writes of all units, in order, or none.

    `last_row` is the highest row a message ever had. Raises the engine's errors, and apsw's for what only a bug can
    cause.
    """
    try:
        journaled = journal.commit(units, last_row)
        if journaled is not None:
            return Applied(added=journaled, stale=0)
        try:
            batch = _apply(connection, units, last_row, journal)
        except _FlushRejected:
            journal.flush_what_fits()
            batch = _apply(connection, units, last_row, journal)
    except apsw.Error as error:
        refined = engine_error(error)
        if refined is error:
            raise
        raise refined from error
    return Applied(added=batch.last_row - last_row, stale=batch.stale_rows, refused=batch.refused)


class _FlushRejected(Exception):
    """The table refuses a message of the journal."""


def _apply(
    connection: apsw.Connection, units: Sequence[Sequence[DriverWrite]], last_row: int, journal: Journal
) -> "_Batch":
    """Flush the journal and write all units, in one transaction."""
    batch = _Batch(connection, last_row)
    with write_transaction(connection):
        try:
            journal.flush()
        except apsw.ConstraintError as error:
            raise _FlushRejected from error
        for writes in units:
            journal.note_table_writes(writes)
            for write in writes:
                batch.add(write)
        batch.insert_messages()
    journal.clear()
    return batch


class _Batch:
    def __init__(self, connection: apsw.Connection, last_row: int) -> None:
        self._connection = connection
        self._messages: list[MessageRow] = []  # consecutive new ones
        self.last_row = last_row
        self.stale_rows = 0
        self.refused = 0

    def add(self, write: DriverWrite) -> None:
        if type(write) is InsertMessage:
            self.last_row += 1
            self._messages.append(row_of(write, self.last_row))
        else:
            if self._messages:
                self.insert_messages()
            self._write(write)

    def insert_messages(self) -> None:
        """Insert what `add` has gathered."""
        insert_rows(self._connection, self._messages)
        self._messages = []

    def _execute(self, query: str, *values: object) -> int:
        """Run one statement; returns how many rows it changed."""
        self._connection.execute(sqlite_text(query), values)
        return self._connection.changes()

    def _change(self, what: str, query: str, *values: object) -> None:
        """Run one statement that must change a row."""
        if not self._execute(query, *values):
            raise WriteRejected(f"the {what} is gone")

    def _write(self, write: DriverWrite) -> None:
        match write:
            case Flush():
                pass  # the journal is flushed by now
            case SetWatermarks():
                self._change(
                    "member",
                    rooms.SET_WATERMARKS,
                    write.room_id,
                    write.user_id,
                    write.delivered_seq,
                    write.read_seq,
                    write.read_us,
                )
            case UpdateMessage(message=message):
                self._change(
                    "message",
                    messages.UPDATE_MESSAGE,
                    message.room_id,
                    message.id,
                    message.text,
                    folded_column(message.text),
                    extras_text(message),
                    message.edited_us,
                )
                self.stale_rows += self._execute(search.MARK_STALE, message.id)
            case SetReactions(message=message):
                self._change("message", messages.SET_EXTRAS, message.room_id, message.id, extras_text(message))
            case DeleteMessage():
                self._change("message", messages.DELETE_MESSAGE, write.room_id, write.message_id, write.deleted_us)
                self.stale_rows += self._execute(search.MARK_STALE, write.message_id)
            case InsertMember(member=member):
                self._execute(
                    rooms.INSERT_MEMBER,
                    write.room_id,
                    member.user_id,
                    int(member.role),
                    member.joined_us,
                    member.delivered_seq,
                    member.read_seq,
                    member.read_us,
                )
            case DeleteMember():
                self._change("member", rooms.DELETE_MEMBER, write.room_id, write.user_id)
            case SetRole():
                self._change("member", rooms.SET_ROLE, write.room_id, write.user_id, int(write.role))
            case InsertRoom(room=room):
                self._execute(
                    rooms.INSERT_ROOM,
                    room.id,
                    int(room.kind),
                    room.name,
                    room.description,
                    room.created_by,
                    room.created_us,
                    room.direct_key,
                    room.private,
                    room.max_members,
                    room.auto_summary,
                    room.summary_threshold,
                    int(room.custody),
                    room.announces,
                    room.updated_us,
                )
            case UpdateRoom(room=room):
                self._change(
                    "room",
                    rooms.UPDATE_ROOM,
                    room.id,
                    room.name,
                    room.description,
                    room.private,
                    room.max_members,
                    room.auto_summary,
                    room.summary_threshold,
                    int(room.custody),
                    room.announces,
                    room.updated_us,
                )
            case DeleteRoom():
                self._delete_room(write)
            case InsertUser(user=user):
                make_way(self._connection, user.username, user.email)
                self._execute(
                    accounts.INSERT_USER,
                    user.id,
                    user.username,
                    names.key(user.username),
                    user.email,
                    None if user.email is None else addresses.key(user.email),
                    write.password_hash,
                    None if user.declared is None else int(user.declared),
                    user.created_us,
                    user.display_name,
                    user.avatar_url,
                    user.public_key,
                    user.last_login_us,
                    user.active,
                )
            case UpdateUser(user=user):
                self._change(
                    "user",
                    accounts.UPDATE_USER,
                    user.id,
                    user.display_name,
                    user.avatar_url,
                    user.public_key,
                    user.last_login_us,
                    user.active,
                )
            case SetDeclaredPresence():
                declared = None if write.declared is None else int(write.declared)
                self._change("user", accounts.SET_DECLARED, write.user_id, declared)
            case InsertDeployment(deployment=deployment):
                self._execute(accounts.INSERT_DEPLOYMENT, deployment.id, deployment.created_us)
            case ReplacePasswordHash():
                self._execute(accounts.REPLACE_PASSWORD_HASH, write.user_id, write.before, write.password_hash)
            case InsertFamily(family=family):
                self._execute(accounts.INSERT_FAMILY, family.id, family.user_id, family.created_us, family.revoked_us)
            case InsertRefreshToken(token=token):
                self._execute(
                    accounts.INSERT_REFRESH_TOKEN,
                    token.digest,
                    token.family_id,
                    token.user_id,
                    token.expires_us,
                    token.spent_us,
                )
            case SpendRefreshToken():
                self._change("unspent token", accounts.SPEND_REFRESH_TOKEN, write.digest, write.spent_us)
                self._execute(accounts.FORGET_EXPIRED_TOKENS, write.digest, write.spent_us)
            case RevokeFamily():
                self._change("family", accounts.REVOKE_FAMILY, write.family_id, write.revoked_us)
            case RevokeFamilies():
                self._execute(accounts.REVOKE_FAMILIES, write.user_id, write.revoked_us)
            case Savepoint():
                self._write_savepoint(write)
            case SetCursor():
                self._execute(jobs.SET_CURSOR, write.name, write.position)
            case DeleteInvitations():
                self._execute(invitations.FORGET_INVITATIONS, json.dumps(write.invitation_ids))
                if write.invitation_ids:
                    self._execute(rooms.REMEMBER_ID, max(write.invitation_ids))
            case InsertInvitation(invitation=invitation):
                self._execute(
                    invitations.INSERT_INVITATION,
                    invitation.id,
                    invitation.room_id,
                    invitation.digest,
                    invitation.created_by,
                    invitation.created_us,
                    invitation.expires_us,
                    invitation.max_uses,
                    invitation.uses,
                    int(invitation.maker_role),
                )
            case UseInvitation():
                self._change("invitation's last use", invitations.USE_INVITATION, write.digest)
            case EndInvitation():
                self._execute(invitations.END_INVITATION, write.digest)
            case EndInvitationsOf(user_id=maker, room_id=None):
                self._execute(invitations.END_ALL_INVITATIONS_OF, maker)
            case EndInvitationsOf(user_id=maker, room_id=room_id):
                self._execute(invitations.END_INVITATIONS_OF, maker, room_id)
            case EndInvitationsOfMembers():
                self._execute(invitations.END_INVITATIONS_BELOW, write.room_id, int(Role.MODERATOR))
            case PutBan(ban=ban):
                self._execute(bans.PUT_BAN, ban.id, ban.room_id, ban.user_id, ban.banned_by, ban.created_us)
            case DeleteBan(ban=ban):
                self._change("ban", bans.DELETE_BAN, ban.room_id, ban.user_id)
                self._execute(rooms.REMEMBER_ID, ban.id)
            case InsertFile(file=file):
                self._execute(
                    files.INSERT_FILE,
                    file.id,
                    file.owner_id,
                    file.room_id,
                    file.name,
                    file.mime_type,
                    file.size_bytes,
                    file.digest,
                    file.blob,
                    file.thumbnail,
                    file.created_us,
                    file.cleaned,
                )
            case ReplaceFile(file=file):
                self._change(
                    "file as it was",
                    files.REPLACE_FILE,
                    file.id,
                    write.blob,
                    file.name,
                    file.mime_type,
                    file.size_bytes,
                    file.digest,
                    file.blob,
                    file.thumbnail,
                    file.cleaned,
                )
            case DeleteFile():
                self._execute(files.DELETE_FILE, write.file_id)
            case InsertSummary(summary=summary):
                self._execute(
                    summaries.INSERT_SUMMARY,
                    summary.id,
                    summary.room_id,
                    summary.text,
                    summary.automatic,
                    summary.message_count,
                    summary.left_out,
                    summary.first_us,
                    summary.last_us,
                    summary.last_seq,
                    list_text(summary.participants),
                    list_text(summary.keywords),
                    summary.sentiment,
                    summary.language,
                    summary.created_us,
                )
            case InsertRoomKey(key=room_key):
                self._execute(
                    keys.INSERT_ROOM_KEY, room_key.room_id, room_key.version, room_key.sealed, room_key.created_us
                )
            case InsertKeyVersion():
                self._execute(keys.INSERT_KEY_VERSION, write.room_id, write.version, write.made_by)
            case PutMemberKey(key=key):
                self._execute(
                    keys.PUT_MEMBER_KEY,
                    key.room_id,
                    key.version,
                    key.user_id,
                    key.sealed,
                    key.sealed_by,
                    key.created_us,
                )
            case InsertMessage():
                raise AssertionError("messages are gathered by `add`")
            case _:
                assert_never(write)

    def _write_savepoint(self, savepoint: Savepoint) -> None:
        """Write a part of a commit that may be refused, and then leaves the rest as it is."""
        stale_rows = self.stale_rows
        self._connection.execute("SAVEPOINT part")
        try:
            for write in savepoint.writes:
                if isinstance(write, NOT_IN_SAVEPOINTS):
                    raise WriteRejected(f"{type(write).__name__} cannot be part of a savepoint")
                self._write(write)
        except Exception as error:
            if isinstance(error, apsw.Error) and isinstance(engine_error(error), StoreUnavailable):
                raise
            # Whatever is wrong with the part is no business of the rest of the commit.
            self._connection.execute("ROLLBACK TO part")
            self.stale_rows = stale_rows
            self.refused += 1
            log.error("a part of a commit was refused", writes=len(savepoint.writes), exc_info=error)
        self._connection.execute("RELEASE part")

    def _delete_room(self, write: DeleteRoom) -> None:
        self.stale_rows += self._execute(search.MARK_ROOM_STALE, write.room_id)
        self._execute(rooms.REMEMBER_HIGHEST_ID, write.room_id)
        self._execute(rooms.DELETE_MESSAGES, write.room_id)
        self._execute(rooms.DELETE_MEMBERS, write.room_id)
        self._execute(invitations.DELETE_INVITATIONS, write.room_id)
        self._execute(files.DELETE_FILES, write.room_id)
        self._execute(summaries.DELETE_SUMMARIES, write.room_id)
        self._execute(keys.DELETE_ROOM_KEYS, write.room_id)
        self._execute(keys.DELETE_MEMBER_KEYS, write.room_id)
        self._execute(keys.DELETE_KEY_VERSIONS, write.room_id)
        self._execute(bans.DELETE_BANS, write.room_id)
        self._change("room", rooms.DELETE_ROOM, write.room_id)
