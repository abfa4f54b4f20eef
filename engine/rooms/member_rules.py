"""The rules about who is in a room and what it is like: coming by being added or joining, going, roles, settings.

Invitations and bans are in `admission_rules`.
"""

from typing import NamedTuple

from msgspec.structs import replace

from chinwag.engine.model.commands import (
    AddMember,
    DeleteRoom,
    JoinRoom,
    RemoveMember,
    RestoreMember,
    SetMemberRole,
    UpdateProfile,
    UpdateRoom,
)
from chinwag.engine.model.errors import Banned, Conflict, Forbidden, Invalid, LimitReached, NotFound, RoleNeeded
from chinwag.engine.model.events import (
    Event,
    MemberRemoved,
    MessagePosted,
    RoleChanged,
    RoomDeleted,
    RoomKeyChanged,
    RoomLeft,
    RoomUpdated,
)
from chinwag.engine.model.ids import MAX_ID, BanId, UserId
from chinwag.engine.model.store import DeleteMember, InsertMessage, InsertRoomKey, KeyVersion, SetRole, Write
from chinwag.engine.model.store import DeleteRoom as DeleteRoomRows
from chinwag.engine.model.store import UpdateRoom as UpdateRoomRow
from chinwag.engine.model.store_admissions import DeleteBan, EndInvitationsOf, EndInvitationsOfMembers, PutBan
from chinwag.engine.model.values import Ban, KeyCustody, Member, Role, Room, RoomKey, RoomKind, User
from chinwag.engine.rooms.direct_rules import PairRules
from chinwag.engine.rooms.memory import Outcome, new_member


class Change(NamedTuple):
    """What goes into an outcome bit by bit."""

    events: list[Event]
    writes: list[Write]

    def add(self, outcome: Outcome) -> None:
        """Append what another rule leads to."""
        self.events.extend(outcome.events)
        self.writes.extend(outcome.writes)

    def outcome(self, answer: object = None) -> Outcome:
        """All of it."""
        return Outcome(answer=answer, events=tuple(self.events), writes=tuple(self.writes))


class MemberRules(PairRules):
    """A part of `RoomState`."""

    # --- coming ---

    def _add_member(self, command: AddMember, now_us: int) -> Outcome:
        caller = self._member(command.caller)
        if self.room.kind is RoomKind.DIRECT:
            raise Invalid("room_id", "a direct room has exactly two members")
        if caller.role < Role.ADMIN:
            raise RoleNeeded(Role.ADMIN.name, "only an admin may add members")
        if command.role >= Role.OWNER:
            raise Invalid("role", "a room has one owner, who hands it over to a member")
        if command.user.id in self._members:
            raise Conflict("member", "already a member")
        return self._admit(command.user, command.role, now_us)

    def _join(self, command: JoinRoom, now_us: int) -> Outcome:
        member = self._members.get(command.user.id)
        if member is not None:
            return Outcome(answer=member)
        if self.room.kind is RoomKind.DIRECT or self.room.private:
            raise Forbidden("a private room is joined only by invitation")
        if self._bans.get(command.user.id) is not None:
            raise Banned
        return self._admit(command.user, Role.MEMBER, now_us)

    def _restore_member(self, command: RestoreMember, now_us: int) -> Outcome:
        if self.room.kind is not RoomKind.DIRECT:
            raise Forbidden("nobody comes back to a group by themselves")
        member = self._members.get(command.user.id)
        if member is not None:
            return Outcome(answer=member)
        return self._return(new_member(command.user, Role.MEMBER, now_us), now_us)

    def _admit(self, user: User, role: Role, now_us: int) -> Outcome:
        """Let a user in whom nothing keeps out, or who was asked in by somebody who may lift their ban."""
        most = self.room.max_members
        if most is not None and len(self._members) >= most:
            raise LimitReached("members", f"the room takes at most {most} members")
        # Nobody's joining changes any status: what all others have read stays READ, what they have not stays SENT, and
        # needs the newcomer's receipt too.
        member = replace(
            new_member(user, role, now_us),
            delivered_seq=self._receipts.delivered.reached_by_others,
            read_seq=self._receipts.read.reached_by_others,
        )
        change = Change([], [])
        change.add(self._enter(member))
        ban = self._bans.get(user.id)
        if ban is not None:
            self._lift(change, ban)
        self._announce(change, member, joined_text(user), now_us)
        return change.outcome(member)

    # --- going ---

    def _remove_member(self, command: RemoveMember, now_us: int) -> Outcome:
        caller = self._member(command.caller)
        leaver = self._members.get(command.user_id)
        left = command.caller == command.user_id
        if not left:
            self._check_may_remove(caller, leaver)
        if leaver is None:
            raise NotFound("member")
        change = Change([], [])
        self._take_out(change, leaver, command.next_key, now_us, removed_by=None if left else caller)
        return change.outcome()

    def _take_out(
        self, change: Change, leaver: Member, next_key: RoomKey | None, now_us: int, *, removed_by: Member | None
    ) -> None:
        """End a membership; who was removed stays out. Raises `Conflict("room_key")` before anything has changed."""
        key = self._take_key(next_key)
        user_id = leaver.user_id
        change.events.extend(self._end_typing(leaver))
        text = f"{shown_name(leaver)} left" if removed_by is None else f"{shown_name(leaver)} was removed"
        self._announce(change, leaver, text, now_us)
        self._leave(leaver)
        change.events.append(
            MemberRemoved(room_id=self.room.id, user_id=user_id, username=leaver.username, room_kind=self.room.kind)
        )
        change.events.append(RoomLeft(room_id=self.room.id, user_id=user_id))
        change.writes.append(DeleteMember(room_id=self.room.id, user_id=user_id))
        if self._may_invite(leaver):
            self._end_invitations_of(change, user_id)
        if removed_by is not None:
            self._keep_out(change, leaver, removed_by, now_us)
        self._hand_on(change, leaver)
        if key is not None:
            change.events.append(RoomKeyChanged(room_id=self.room.id, version=key.version))
            change.writes.append(InsertRoomKey(key=key))
        change.events.extend(self._status_events())

    def _take_key(self, key: RoomKey | None) -> RoomKey | None:
        """In server custody nobody leaves without the room getting the next key, in the same commit."""
        if self.room.custody is KeyCustody.CLIENT:
            return None
        if key is None or key.version != self._key.version + 1:
            raise Conflict("room_key", f"the room's next key has version {self._key.version + 1}")
        self._key = KeyVersion(version=key.version, changed_us=key.created_us)
        return key

    def _check_may_remove(self, caller: Member, other: Member | None) -> None:
        if self.room.kind is RoomKind.DIRECT:
            raise Forbidden("nobody is removed from a direct room")
        if caller.role < Role.MODERATOR:
            raise RoleNeeded(Role.MODERATOR.name, "only a moderator may remove members")
        if caller.role < Role.ADMIN and other is not None and other.role > Role.MEMBER:
            raise RoleNeeded(Role.ADMIN.name, "only an admin may remove moderators and admins")

    def _hand_on(self, change: Change, leaver: Member) -> None:
        """A group that lost its owner belongs to the highest role from now on, and of several to the longest there."""
        if leaver.role < Role.ADMIN or any(member.role is Role.OWNER for member in self._members.values()):
            return
        heir = min(self._members.values(), key=lambda each: (-each.role, each.joined_us, each.user_id), default=None)
        if heir is not None:
            self._set_role(change, heir, Role.OWNER)

    # --- roles and settings ---

    def _set_member_role(self, command: SetMemberRole) -> Outcome:
        caller = self._member_with(command.caller, Role.OWNER, "only the owner may change roles")
        if command.user_id == command.caller:
            raise Invalid("user_id", "the owner hands the room over by making somebody else its owner")
        member = self._members.get(command.user_id)
        if member is None:
            raise NotFound("member")
        change = Change([], [])
        if command.role is Role.OWNER:
            # Not an ADMIN, who could take the room back by removing the new owner.
            self._set_role(change, caller, Role.MODERATOR)
        if command.role is not member.role:
            self._set_role(change, member, command.role)
        return change.outcome(self._members[member.user_id])

    def _update_room(self, command: UpdateRoom, now_us: int) -> Outcome:
        caller = self._member(command.caller)
        if self.room.kind is RoomKind.DIRECT:
            raise Invalid("room_id", "a direct room has no settings")
        if caller.role < Role.MODERATOR:
            raise RoleNeeded(Role.MODERATOR.name, "only a moderator may change the room")
        if command.max_members is not None and command.max_members < len(self._members):
            raise Invalid("max_members", f"there are {len(self._members)} members already")
        if command.max_members is not None and command.max_members > MAX_ID:
            raise Invalid("max_members", f"must be at most {MAX_ID}")
        if command.summary_threshold is not None and not 1 <= command.summary_threshold <= MAX_ID:
            raise Invalid("summary_threshold", f"must be from 1 to {MAX_ID}")
        asked = _merged(self.room, command)
        if asked == self.room:
            return Outcome(answer=self.room)
        closed = asked.private and not self.room.private
        self.room = replace(asked, updated_us=now_us)
        change = Change([RoomUpdated(room_id=self.room.id, room=self.room)], [UpdateRoomRow(room=self.room)])
        if closed:
            self._end_invitations_of_members(change)
        return change.outcome(self.room)

    def _update_profile(self, command: UpdateProfile) -> Outcome:
        user = command.user
        member = self._members.get(user.id)
        if member is not None:
            self._members[user.id] = replace(member, display_name=user.display_name, avatar_url=user.avatar_url)
        absent = self._absent.get(user.id)
        if absent is not None:
            self._absent[user.id] = replace(absent, display_name=user.display_name, avatar_url=user.avatar_url)
        if self.knows(user.id):
            self._show_profile(user)
        return Outcome()

    def _delete_room(self, command: DeleteRoom, now_us: int) -> Outcome:
        if self.room.kind is RoomKind.DIRECT:
            left = self._remove_member(RemoveMember(caller=command.caller, user_id=command.caller), now_us)
            return replace(left, answer=False)
        least = command.least
        self._member_with(command.caller, least, f"to delete the room one has to be its {least.name.lower()}")
        self.deleted = True
        room_id = self.room.id
        gone = tuple(RoomLeft(room_id=room_id, user_id=member.user_id) for member in self._members.values())
        return Outcome(
            answer=True, events=(*gone, RoomDeleted(room_id=room_id)), writes=(DeleteRoomRows(room_id=room_id),)
        )

    # --- pieces ---

    def _set_role(self, change: Change, member: Member, role: Role) -> None:
        changed = replace(member, role=role)
        self._members[member.user_id] = changed
        change.events.append(RoleChanged(room_id=self.room.id, user_id=member.user_id, role=role))
        change.writes.append(SetRole(room_id=self.room.id, user_id=member.user_id, role=role))
        if self._may_invite(member) and not self._may_invite(changed):
            self._end_invitations_of(change, member.user_id)

    def _may_invite(self, member: Member) -> bool:
        """Whether this member has the right to make invitations."""
        return member.role >= Role.MODERATOR or not self.room.private

    def _end_invitations_of(self, change: Change, maker: UserId) -> None:
        """The codes of who has lost the right to make them end, also for whoever comes with one in this very turn."""
        self._forget_invitations({maker})
        change.writes.append(EndInvitationsOf(user_id=maker, room_id=self.room.id))

    def _end_invitations_of_members(self, change: Change) -> None:
        """The room was made private: the codes of plain members end."""
        self._forget_invitations({each.user_id for each in self._members.values() if not self._may_invite(each)})
        change.writes.append(EndInvitationsOfMembers(room_id=self.room.id))

    def _forget_invitations(self, makers: set[UserId]) -> None:
        for digest, invitation in self._invitations.items():
            if invitation is not None and invitation.created_by in makers:
                self._invitations[digest] = None

    def _keep_out(self, change: Change, user: User | Member, caller: Member, now_us: int) -> Ban:
        """Ban somebody, or who is banned already anew."""
        ban = Ban(
            id=BanId(self._new_id(now_us)),
            room_id=self.room.id,
            user_id=user.user_id if isinstance(user, Member) else user.id,
            banned_by=caller.user_id,
            created_us=now_us,
            username=user.username,
            display_name=user.display_name,
            avatar_url=user.avatar_url,
        )
        self._bans[ban.user_id] = ban
        change.writes.append(PutBan(ban=ban))
        return ban

    def _lift(self, change: Change, ban: Ban) -> None:
        """End a ban."""
        self._bans[ban.user_id] = None
        change.writes.append(DeleteBan(ban=ban))

    def _announce(self, change: Change, member: Member, text: str, now_us: int) -> None:
        """Post the SYSTEM message of a coming or going, where the room has such."""
        if not self.room.announces or self.room.kind is RoomKind.DIRECT:
            return
        message = self._announcement(member, text, now_us)
        change.events.append(MessagePosted(room_id=self.room.id, message=message))
        change.writes.append(InsertMessage(message=message))


def shown_name(who: User | Member) -> str:
    """What a person is called in a SYSTEM message."""
    return who.display_name or who.username


def joined_text(who: User | Member) -> str:
    """The SYSTEM message of somebody's joining."""
    return f"{shown_name(who)} joined"


def _merged(room: Room, command: UpdateRoom) -> Room:
    """The room with the settings that the command names."""
    return replace(
        room,
        name=room.name if command.name is None else command.name,
        description=room.description if command.description is None else command.description,
        private=room.private if command.private is None else command.private,
        max_members=room.max_members if command.max_members is None else command.max_members,
        auto_summary=room.auto_summary if command.auto_summary is None else command.auto_summary,
        summary_threshold=(room.summary_threshold if command.summary_threshold is None else command.summary_threshold),
    )
