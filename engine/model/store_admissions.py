"""The part of `Store` about who may come into a room, and how somebody stands to it: access, bans, invitations."""

from typing import Protocol

from chinwag.engine.model.ids import InvitationId, RoomId, UserId
from chinwag.engine.model.values import Ban, Invitation, Member, Record, Role, Room


class Access(Record):
    """How a viewer stands to a room: `room` is None when there is none, `member` None for a stranger."""

    room: Room | None
    member: Member | None


# --- writes -------------------------------------------------------------------------------------------------------


class PutBan(Record):
    """Bans a user, or who is banned already anew: one ban per room and user. Unique: id."""

    ban: Ban


class DeleteBan(Record):
    """Rejected when the user is not banned."""

    ban: Ban


class InsertInvitation(Record):
    """Unique: digest ("invitation")."""

    invitation: Invitation


class UseInvitation(Record):
    """Counts one use. Rejected when there is none left."""

    digest: bytes


class EndInvitation(Record):
    """Ends an invitation (`expires_us` 0). No-op when there is none."""

    digest: bytes


class EndInvitationsOf(Record):
    """Ends all invitations that a user made, to one room or (None) to any."""

    user_id: UserId
    room_id: RoomId | None


class EndInvitationsOfMembers(Record):
    """Ends the invitations to a room whose makers are plain members of it, or not in it."""

    room_id: RoomId


AdmissionWrite = (
    PutBan | DeleteBan | InsertInvitation | UseInvitation | EndInvitation | EndInvitationsOf | EndInvitationsOfMembers
)


# --- what reads return --------------------------------------------------------------------------------------------


class BanPage(Record):
    """A part of a room's bans, the newest first, and how many there are in all."""

    access: Access
    bans: tuple[Ban, ...] = ()
    total: int = 0


class InvitationPage(Record):
    """A part of a room's invitations, the newest first, and how many there are in all."""

    access: Access
    invitations: tuple[Invitation, ...] = ()
    total: int = 0


class AdmissionStore(Protocol):
    """See `chinwag.engine.model.store` for what every implementation promises."""

    async def ban(self, room_id: RoomId, user_id: UserId) -> Ban | None: ...

    async def bans(self, room_id: RoomId, viewer: UserId, *, skip: int, limit: int) -> BanPage: ...

    async def invitation(self, digest: bytes) -> Invitation | None:
        """By the SHA-256 of its code: good, used up, or ended."""
        ...

    async def invitation_to(self, room_id: RoomId, invitation_id: InvitationId) -> Invitation | None:
        """One invitation to this room: good, used up, or ended."""
        ...

    async def invitations(
        self, room_id: RoomId, viewer: UserId, *, all_from: Role, now_us: int, skip: int, limit: int
    ) -> InvitationPage:
        """Those that are good at `now_us`: all for a viewer who has the role `all_from`, else the viewer's own."""
        ...
