"""The part of `testing.MemoryStore` about who may come into a room."""

from abc import ABC, abstractmethod

from msgspec.structs import replace

from chinwag.engine.model.ids import InvitationId, RoomId, UserId
from chinwag.engine.model.store_admissions import BanPage, InvitationPage
from chinwag.engine.model.values import Ban, Invitation, Role
from chinwag.engine.testing.tables import Tables


class MemoryAdmissions(ABC):
    """See `AdmissionStore`. Base of `MemoryStore`, which has the tables."""

    @abstractmethod
    async def _read(self) -> Tables:
        """The tables, as a read sees them."""

    async def ban(self, room_id: RoomId, user_id: UserId) -> Ban | None:
        tables = await self._read()
        ban = tables.bans.get((room_id, user_id))
        return None if ban is None else _named(tables, ban)

    async def bans(self, room_id: RoomId, viewer: UserId, *, skip: int, limit: int) -> BanPage:
        tables = await self._read()
        access = tables.access(room_id, viewer)
        if access.member is None:
            return BanPage(access=access)
        found = [_named(tables, ban) for ban in tables.bans.values() if ban.room_id == room_id]
        found.sort(key=lambda ban: ban.id, reverse=True)
        return BanPage(access=access, bans=tuple(found[skip : skip + limit]), total=len(found))

    async def invitation(self, digest: bytes) -> Invitation | None:
        return (await self._read()).invitations.get(digest)

    async def invitation_to(self, room_id: RoomId, invitation_id: InvitationId) -> Invitation | None:
        tables = await self._read()
        digest = tables.invitation_ids.get(invitation_id)
        invitation = None if digest is None else tables.invitations[digest]
        return invitation if invitation is not None and invitation.room_id == room_id else None

    async def invitations(
        self, room_id: RoomId, viewer: UserId, *, all_from: Role, now_us: int, skip: int, limit: int
    ) -> InvitationPage:
        tables = await self._read()
        access = tables.access(room_id, viewer)
        if access.member is None:
            return InvitationPage(access=access)
        sees_all = access.member.role >= all_from
        found = [
            each
            for each in tables.invitations.values()
            if each.room_id == room_id and each.is_good(now_us) and (sees_all or each.created_by == viewer)
        ]
        found.sort(key=lambda invitation: invitation.id, reverse=True)
        return InvitationPage(access=access, invitations=tuple(found[skip : skip + limit]), total=len(found))

    async def ended_invitations(self, *, by_us: int, limit: int) -> list[InvitationId]:
        ended = [each for each in (await self._read()).invitations.values() if each.expires_us <= by_us]
        ended.sort(key=lambda invitation: (invitation.expires_us, invitation.id))
        return [invitation.id for invitation in ended[:limit]]


def _named(tables: Tables, ban: Ban) -> Ban:
    """With the user's present names."""
    user = tables.users[ban.user_id].user
    return replace(ban, username=user.username, display_name=user.display_name, avatar_url=user.avatar_url)
