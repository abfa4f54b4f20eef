"""The engine's methods about who may come into a room: invitations and bans. Their rules are in `admission_rules`."""

import hashlib
import re
import secrets

from chinwag.engine.model.access import admit, with_equal_roles
from chinwag.engine.model.commands import (
    AcceptInvitation,
    BanMember,
    CreateInvitation,
    RevokeInvitation,
    UnbanMember,
)
from chinwag.engine.model.errors import Invalid, NotFound, RoleNeeded
from chinwag.engine.model.ids import InvitationId, RoomId, UserId, now_us
from chinwag.engine.model.store_admissions import BanPage, InvitationPage
from chinwag.engine.model.values import Ban, Invitation, Member, Role, Room
from chinwag.engine.rooms.room_calls import RoomCalls

NOBODY = UserId(0)
"""No user has this id."""
MOST_INVITATION_USES = 1_000_000
MOST_INVITATION_S = 10 * 365 * 86_400.0

_CODE = re.compile(r"[A-Za-z0-9_-]{22}")
"""What `secrets.token_urlsafe(16)` gives: 128 random bits."""


class Admissions(RoomCalls):
    """What can be done with invitations and bans. A part of `Engine`."""

    # --- invitations ---

    async def create_invitation(
        self, room_id: RoomId, caller: UserId, *, max_uses: int, lifetime_s: float
    ) -> tuple[Invitation, str]:
        """Make a code that lets up to `max_uses` users join, within `lifetime_s` seconds; the code is known only now.

        Any member may invite to an open group, a MODERATOR to a private one; and when they may not any more, the code
        has ended. Raises `Invalid`, `NotFound`, `NotAMember` or `RoleNeeded`.
        """
        if not 1 <= max_uses <= MOST_INVITATION_USES:
            raise Invalid("max_uses", f"must be from 1 to {MOST_INVITATION_USES}")
        if not 0 < lifetime_s <= MOST_INVITATION_S:
            raise Invalid("lifetime_s", f"must be above 0, and at most {MOST_INVITATION_S:.0f}")
        code = secrets.token_urlsafe(16)
        command = CreateInvitation(
            caller=caller, digest=_digest(code), max_uses=max_uses, lifetime_us=int(lifetime_s * 1_000_000)
        )
        invitation = await self._ask(room_id, command)
        assert isinstance(invitation, Invitation)
        return invitation, code

    async def accept_invitation(self, code: str, user_id: UserId) -> tuple[Room, Member]:
        """Join the room that a code invites to; who is a member already uses nothing up.

        Raises `NotFound("invitation")` for one that is unknown, expired, used up, ended or of a deleted room, `Banned`
        unless a MODERATOR made it after the ban, `LimitReached("members")`, and `Invalid("user_id")` for an unknown
        user.
        """
        room, invitation = await self._invited(code)
        [user] = await self._users([user_id], field="user_id")
        try:
            return room, await self._ask_for_member(room.id, AcceptInvitation(user=user, digest=invitation.digest))
        except NotFound:
            raise NotFound("invitation") from None

    async def invitation(self, code: str) -> tuple[Room, Invitation]:
        """What a code invites to, for whoever holds it. Raises `NotFound("invitation")` as `accept_invitation` does."""
        room, invitation = await self._invited(code)
        if not invitation.is_good(now_us()):
            raise NotFound("invitation")
        return room, invitation

    async def invitations(self, room_id: RoomId, viewer: UserId, *, skip: int = 0, limit: int) -> InvitationPage:
        """The room's invitations that are good, the newest first: all for a MODERATOR, else the viewer's own.

        Their codes are not known any more. Raises `NotFound` or `NotAMember`.
        """
        found = await self._store.invitations(
            room_id, viewer, all_from=Role.MODERATOR, now_us=now_us(), skip=skip, limit=limit
        )
        admit(found.access)
        return found

    async def revoke_invitation(self, room_id: RoomId, caller: UserId, invitation_id: InvitationId) -> None:
        """End an invitation. Its maker may, and a MODERATOR.

        Raises `NotFound` (room, or "invitation" for one that is not good any more), `NotAMember` or `RoleNeeded`.
        """
        admit(await self._store.access(room_id, caller))
        found = await self._store.invitation_to(room_id, invitation_id)
        if found is None or not found.is_good(now_us()):
            raise NotFound("invitation")
        await self._ask(room_id, RevokeInvitation(caller=caller, invitation=found))

    # --- bans ---

    async def ban_member(self, room_id: RoomId, caller: UserId, user_id: UserId) -> Ban:
        """Keep somebody out of a group, whether or not they are in it. A MODERATOR may, of lower roles.

        Raises `Invalid("user_id")` for oneself, `NotFound` (room or user), `NotAMember`, `RoleNeeded`, or `Forbidden`
        for the owner and in a direct room.
        """
        admit(await self._store.access(room_id, caller))  # a stranger learns nothing about users either
        user = await self._store.user(user_id)
        if user is None:
            raise NotFound("user")
        ban = await self.keys.take_out(room_id, BanMember(caller=caller, user=user), self._ask)
        assert isinstance(ban, Ban)
        return ban

    async def unban_member(self, room_id: RoomId, caller: UserId, user_id: UserId) -> None:
        """Let somebody come by the ordinary ways again. A MODERATOR may.

        Raises `NotFound` (room, or "ban" for who is not banned), `NotAMember`, `RoleNeeded`, or `Forbidden` in a direct
        room.
        """
        await self._ask(room_id, UnbanMember(caller=caller, user_id=user_id))

    async def bans(self, room_id: RoomId, viewer: UserId, *, skip: int = 0, limit: int) -> BanPage:
        """Who is banned from a room, the newest ban first. For a MODERATOR.

        Raises `NotFound`, `NotAMember` or `RoleNeeded`.
        """
        found = await self._store.bans(room_id, viewer, skip=skip, limit=limit)
        room, member = admit(found.access), found.access.member
        if member is None or with_equal_roles(room, (member,))[0].role < Role.MODERATOR:
            raise RoleNeeded(Role.MODERATOR.name, "only a moderator sees who is banned")
        return found

    # --- pieces ---

    async def _invited(self, code: str) -> tuple[Room, Invitation]:
        """An invitation, good or not, and its room. Raises `NotFound("invitation")`."""
        invitation = await self._store.invitation(_digest(code)) if _CODE.fullmatch(code) else None
        room = None if invitation is None else (await self._store.access(invitation.room_id, NOBODY)).room
        if invitation is None or room is None:
            raise NotFound("invitation")
        return room, invitation


def _digest(code: str) -> bytes:
    """A code has 128 random bits, so a fast hash protects it as well as a slow one would."""
    return hashlib.sha256(code.encode()).digest()
