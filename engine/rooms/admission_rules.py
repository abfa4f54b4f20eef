"""The rules about invitations and bans: who may ask somebody into a group, and who is kept out of it.

Who was removed stays out until somebody who may invites them anew: by adding them, by lifting the ban, or by an
invitation that a MODERATOR made after it. A code ends with its maker's right to make it, and stays ended when they get
that right again. What the store knows of an invitation or a ban is recalled at the start of the turn, so nothing can
come between the look at it and the joining.
"""

from msgspec.structs import replace

from chinwag.engine.model.commands import AcceptInvitation, BanMember, CreateInvitation, RevokeInvitation, UnbanMember
from chinwag.engine.model.errors import Banned, Forbidden, Invalid, NotFound, RoleNeeded
from chinwag.engine.model.ids import InvitationId, UserId
from chinwag.engine.model.store import InsertInvitation, UseInvitation
from chinwag.engine.model.store_admissions import EndInvitation
from chinwag.engine.model.values import Ban, Invitation, Member, Role, RoomKind
from chinwag.engine.rooms.member_rules import Change, MemberRules
from chinwag.engine.rooms.memory import Outcome


class AdmissionRules(MemberRules):
    """A part of `RoomState`."""

    # --- invitations ---

    def _create_invitation(self, command: CreateInvitation, now_us: int) -> Outcome:
        caller = self._member(command.caller)
        if self.room.kind is RoomKind.DIRECT:
            raise Invalid("room_id", "a direct room has exactly two members")
        if not self._may_invite(caller):
            raise RoleNeeded(Role.MODERATOR.name, "only a moderator may invite to a private room")
        invitation = Invitation(
            id=InvitationId(self._new_id(now_us)),  # in the turn: it tells whether a ban came before it
            room_id=self.room.id,
            digest=command.digest,
            created_by=caller.user_id,
            created_us=now_us,
            expires_us=now_us + command.lifetime_us,
            max_uses=command.max_uses,
            maker_role=caller.role,
        )
        return Outcome(answer=invitation, writes=(InsertInvitation(invitation=invitation),))

    def _revoke_invitation(self, command: RevokeInvitation) -> Outcome:
        caller = self._member(command.caller)
        invitation = command.invitation
        if invitation.room_id != self.room.id:
            raise NotFound("invitation")
        if invitation.created_by != caller.user_id and caller.role < Role.MODERATOR:
            raise RoleNeeded(Role.MODERATOR.name, "only its maker or a moderator may revoke an invitation")
        if invitation.digest in self._invitations:
            self._invitations[invitation.digest] = None
        return Outcome(writes=(EndInvitation(digest=invitation.digest),))

    def _accept_invitation(self, command: AcceptInvitation, now_us: int) -> Outcome:
        member = self._members.get(command.user.id)
        if member is not None:
            return Outcome(answer=member)
        invitation = self._invitations.get(command.digest)
        if invitation is None or invitation.room_id != self.room.id or not invitation.is_good(now_us):
            raise NotFound("invitation")
        maker = self._members.get(invitation.created_by)
        if maker is None or not self._may_invite(maker):
            raise NotFound("invitation")
        ban = self._bans.get(command.user.id)
        if ban is not None and not _lifts(invitation, maker, ban):
            raise Banned
        joined = self._admit(command.user, Role.MEMBER, now_us)
        self._invitations[command.digest] = replace(invitation, uses=invitation.uses + 1)
        return replace(joined, writes=(*joined.writes, UseInvitation(digest=command.digest)))

    # --- bans ---

    def _ban(self, command: BanMember, now_us: int) -> Outcome:
        caller = self._banner(command.caller)
        if command.user.id == caller.user_id:
            raise Invalid("user_id", "nobody bans themselves")
        other = self._members.get(command.user.id)
        change = Change([], [])
        if other is None:
            return change.outcome(self._keep_out(change, command.user, caller, now_us))
        if other.role is Role.OWNER:
            raise Forbidden("the owner cannot be banned")
        if other.role >= caller.role:
            higher = Role.OWNER if other.role is Role.ADMIN else Role.ADMIN
            raise RoleNeeded(higher.name, "only who has a higher role may ban a member")
        self._take_out(change, other, command.next_key, now_us, removed_by=caller)
        return change.outcome(self._bans[command.user.id])

    def _unban(self, command: UnbanMember) -> Outcome:
        self._banner(command.caller)
        ban = self._bans.get(command.user_id)
        if ban is None:
            raise NotFound("ban")
        change = Change([], [])
        self._lift(change, ban)
        return change.outcome()

    def _banner(self, caller_id: UserId) -> Member:
        """A caller who may ban."""
        caller = self._member(caller_id)
        if self.room.kind is RoomKind.DIRECT:
            raise Forbidden("nobody is banned from a direct room")
        if caller.role < Role.MODERATOR:
            raise RoleNeeded(Role.MODERATOR.name, "only a moderator may ban")
        return caller


def _lifts(invitation: Invitation, maker: Member, ban: Ban) -> bool:
    """Whether an invitation lets somebody in who is banned: its maker was a MODERATOR, and is, and made it since."""
    return invitation.id > ban.id and min(invitation.maker_role, maker.role) >= Role.MODERATOR
