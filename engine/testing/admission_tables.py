"""The rows of `testing.MemoryStore` that say who may come into a room, and those that they refer to."""

from collections.abc import Callable
from typing import assert_never

from msgspec.structs import replace

from chinwag.engine.model.ids import InvitationId, RoomId, UserId
from chinwag.engine.model.store import Credentials, DuplicateKey, WriteRejected
from chinwag.engine.model.store_admissions import (
    AdmissionWrite,
    DeleteBan,
    EndInvitation,
    EndInvitationsOf,
    EndInvitationsOfMembers,
    InsertInvitation,
    PutBan,
    UseInvitation,
)
from chinwag.engine.model.store_jobs import DeleteInvitations
from chinwag.engine.model.values import Ban, Invitation, Member, Role, Room
from chinwag.engine.testing.changes import UndoableTables


class AdmissionTables(UndoableTables):
    """Base of `Tables`."""

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[UserId, Credentials] = {}
        self.rooms: dict[RoomId, Room] = {}
        self._members: dict[RoomId, dict[UserId, Member]] = {}
        self.invitations: dict[bytes, Invitation] = {}
        self.bans: dict[tuple[RoomId, UserId], Ban] = {}
        self.invitation_ids: dict[InvitationId, bytes] = {}

    def _write_admission(self, write: AdmissionWrite | DeleteInvitations) -> None:
        match write:
            case PutBan(ban=ban):
                self._existing(self.rooms, ban.room_id)
                self._existing(self.users, ban.user_id)
                self._existing(self.users, ban.banned_by)
                if any(each.id == ban.id for each in self.bans.values()):
                    raise DuplicateKey("id")
                self._put(self.bans, (ban.room_id, ban.user_id), ban)
            case DeleteBan(ban=ban):
                self._remove(self.bans, (ban.room_id, ban.user_id))
            case InsertInvitation(invitation=invitation):
                self._existing(self.rooms, invitation.room_id)
                self._existing(self.users, invitation.created_by)
                self._insert(self.invitation_ids, invitation.id, invitation.digest, "id")
                self._insert(self.invitations, invitation.digest, invitation, "invitation")
            case UseInvitation():
                invitation = self._existing(self.invitations, write.digest)
                if invitation.uses >= invitation.max_uses:
                    raise WriteRejected("the invitation is used up")
                self._put(self.invitations, write.digest, replace(invitation, uses=invitation.uses + 1))
            case EndInvitation():
                self._end_invitations(lambda each: each.digest == write.digest)
            case EndInvitationsOf():
                self._end_invitations(
                    lambda each: each.created_by == write.user_id and write.room_id in (None, each.room_id)
                )
            case EndInvitationsOfMembers():
                members = self._members.get(write.room_id, {}).values()
                may = {member.user_id for member in members if member.role >= Role.MODERATOR}
                self._end_invitations(lambda each: each.room_id == write.room_id and each.created_by not in may)
            case DeleteInvitations():
                for invitation_id in self.invitation_ids.keys() & set(write.invitation_ids):
                    self._remove(self.invitations, self.invitation_ids[invitation_id])
                    self._remove(self.invitation_ids, invitation_id)
            case _:
                assert_never(write)

    def _end_invitations(self, ends: Callable[[Invitation], bool]) -> None:
        for invitation in [each for each in self.invitations.values() if ends(each)]:
            self._put(self.invitations, invitation.digest, replace(invitation, expires_us=0))
