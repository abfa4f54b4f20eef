"""The service `engine.invitations`: codes that let people into a room. Their rules are in `admission_rules`."""

import hashlib
import re
import secrets

from chinwag.engine.model.access import require_member
from chinwag.engine.model.clock import Clock
from chinwag.engine.model.commands import AcceptInvitation, CreateInvitation, RevokeInvitation
from chinwag.engine.model.errors import Invalid, NotFound
from chinwag.engine.model.ids import NOBODY, InvitationId, RoomId, UserId
from chinwag.engine.model.limits import refuse_bad_page
from chinwag.engine.model.store import Store
from chinwag.engine.model.store_admissions import InvitationPage
from chinwag.engine.model.values import Invitation, Member, Role, Room
from chinwag.engine.rooms.registry import RoomRegistry
from chinwag.engine.rooms.room_service import RoomService

MOST_INVITATION_USES = 1_000_000
MOST_INVITATION_S = 10 * 365 * 86_400.0

_CODE = re.compile(r"[A-Za-z0-9_-]{22}")
"""What `secrets.token_urlsafe(16)` gives: 128 random bits."""


class Invitations(RoomService):
    """What can be done with invitations."""

    def __init__(self, *, store: Store, registry: RoomRegistry, clock: Clock) -> None:
        super().__init__(store=store, registry=registry)
        self._clock = clock

    async def create(
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

    async def accept(self, code: str, user_id: UserId) -> tuple[Room, Member]:
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

    async def get(self, code: str) -> tuple[Room, Invitation]:
        """What a code invites to, for whoever holds it. Raises `NotFound("invitation")` as `accept` does."""
        room, invitation = await self._invited(code)
        if not invitation.is_good(self._clock()):
            raise NotFound("invitation")
        return room, invitation

    async def of_room(self, room_id: RoomId, viewer: UserId, *, skip: int = 0, limit: int) -> InvitationPage:
        """The room's invitations that are good, the newest first: all for a MODERATOR, else the viewer's own.

        Their codes are not known any more. Raises `Invalid` ("limit", "skip"), `NotFound` or `NotAMember`.
        """
        refuse_bad_page(limit, skip)
        found = await self._store.invitations(
            room_id, viewer, all_from=Role.MODERATOR, now_us=self._clock(), skip=skip, limit=limit
        )
        require_member(found.access)
        return found

    async def revoke(self, room_id: RoomId, caller: UserId, invitation_id: InvitationId) -> None:
        """End an invitation. Its maker may, and a MODERATOR.

        Raises `NotFound` (room, or "invitation" for one that is not good any more), `NotAMember` or `RoleNeeded`.
        """
        require_member(await self._store.access(room_id, caller))
        found = await self._store.invitation_to(room_id, invitation_id)
        if found is None or not found.is_good(self._clock()):
            raise NotFound("invitation")
        await self._ask(room_id, RevokeInvitation(caller=caller, invitation=found))

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
