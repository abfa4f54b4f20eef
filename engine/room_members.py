"""The rules about who is in a room and what it is like: roles, comings and goings, invitations, settings."""

from typing import NamedTuple

from msgspec.structs import replace

from chinwag.engine.commands import (
    AcceptInvitation,
    AddMember,
    CreateInvitation,
    DeleteRoom,
    JoinRoom,
    RemoveMember,
    RestoreMember,
    SetMemberRole,
    UpdateProfile,
    UpdateRoom,
)
from chinwag.engine.errors import Conflict, Forbidden, Invalid, LimitReached, NotFound, RoleNeeded
from chinwag.engine.events import (
    Event,
    MemberAdded,
    MemberRemoved,
    MessagePosted,
    RoleChanged,
    RoomDeleted,
    RoomJoined,
    RoomKeyChanged,
    RoomLeft,
    RoomUpdated,
)
from chinwag.engine.model import KeyCustody, Member, Role, Room, RoomKey, RoomKind, User
from chinwag.engine.room_memory import Outcome, RoomMemory
from chinwag.engine.store import (
    DeleteMember,
    InsertInvitation,
    InsertMember,
    InsertMessage,
    InsertRoomKey,
    KeyVersion,
    SetRole,
    UseInvitation,
    Write,
)
from chinwag.engine.store import DeleteRoom as DeleteRoomRows
from chinwag.engine.store import UpdateRoom as UpdateRoomRow


class _Change(NamedTuple):
    """What goes into an outcome bit by bit."""

    events: list[Event]
    writes: list[Write]


class MemberRules(RoomMemory):
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
        return self._admit(command.user, Role.MEMBER, now_us)

    def _restore_member(self, command: RestoreMember, now_us: int) -> Outcome:
        member = self._members.get(command.user.id)
        if member is not None:
            return Outcome(answer=member)
        return self._admit(command.user, Role.MEMBER, now_us, unlimited=True)

    def _create_invitation(self, command: CreateInvitation) -> Outcome:
        caller = self._member(command.caller)
        if self.room.kind is RoomKind.DIRECT:
            raise Invalid("room_id", "a direct room has exactly two members")
        if self.room.private and caller.role < Role.MODERATOR:
            raise RoleNeeded(Role.MODERATOR.name, "only a moderator may invite to a private room")
        return Outcome(answer=command.invitation, writes=(InsertInvitation(invitation=command.invitation),))

    def _accept_invitation(self, command: AcceptInvitation, now_us: int) -> Outcome:
        member = self._members.get(command.user.id)
        if member is not None:
            return Outcome(answer=member)
        invitation = self._invitations.get(command.digest)
        if (
            invitation is None
            or invitation.room_id != self.room.id
            or invitation.expires_us <= now_us
            or invitation.uses >= invitation.max_uses
        ):
            raise NotFound("invitation")
        joined = self._admit(command.user, Role.MEMBER, now_us)
        self._invitations[command.digest] = replace(invitation, uses=invitation.uses + 1)
        return replace(joined, writes=(*joined.writes, UseInvitation(digest=command.digest)))

    def _admit(self, user: User, role: Role, now_us: int, *, unlimited: bool = False) -> Outcome:
        most = self.room.max_members
        if most is not None and len(self._members) >= most and not unlimited:
            raise LimitReached("members", f"the room takes at most {most} members")
        # Nobody's joining changes any status: what all others have read stays READ, what they have not stays SENT, and
        # needs the newcomer's receipt too.
        member = replace(
            new_member(user, role, now_us),
            delivered_seq=self._receipts.delivered.reached_by_others,
            read_seq=self._receipts.read.reached_by_others,
        )
        self._members[user.id] = member
        self._former.discard(user.id)
        self._receipts = self._derive_receipts()
        change = _Change(
            [
                MemberAdded(room_id=self.room.id, member=member),
                RoomJoined(room_id=self.room.id, user_id=user.id, room=self.room),
            ],
            [InsertMember(room_id=self.room.id, member=member)],
        )
        self._announce(change, member, joined_text(user), now_us)
        return Outcome(answer=member, events=tuple(change.events), writes=tuple(change.writes))

    # --- going ---

    def _remove_member(self, command: RemoveMember, now_us: int) -> Outcome:
        caller = self._member(command.caller)
        leaver = self._members.get(command.user_id)
        left = command.caller == command.user_id
        if not left:
            self._check_may_remove(caller, leaver)
        if leaver is None:
            raise NotFound("member")
        key = self._take_key(command.next_key)
        change = _Change([], [])
        text = f"{shown_name(leaver)} left" if left else f"{shown_name(leaver)} was removed"
        self._announce(change, leaver, text, now_us)
        del self._members[leaver.user_id]
        self._former.add(leaver.user_id)
        self._typing.pop(leaver.user_id, None)
        change.events.append(MemberRemoved(room_id=self.room.id, user_id=leaver.user_id, username=leaver.username))
        change.events.append(RoomLeft(room_id=self.room.id, user_id=leaver.user_id))
        change.writes.append(DeleteMember(room_id=self.room.id, user_id=leaver.user_id))
        self._hand_on(change, leaver)
        if key is not None:
            change.events.append(RoomKeyChanged(room_id=self.room.id, version=key.version))
            change.writes.append(InsertRoomKey(key=key))
        change.events.extend(self._status_events())
        return Outcome(events=tuple(change.events), writes=tuple(change.writes))

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

    def _hand_on(self, change: _Change, leaver: Member) -> None:
        """A group that lost its owner belongs to the highest role from now on, and of several to the longest there."""
        highest = Role.OWNER if self.room.kind is RoomKind.GROUP else Role.ADMIN
        if leaver.role < Role.ADMIN or any(member.role >= highest for member in self._members.values()):
            return
        heir = min(self._members.values(), key=lambda each: (-each.role, each.joined_us, each.user_id), default=None)
        if heir is not None:
            self._set_role(change, heir, highest)

    # --- roles and settings ---

    def _set_member_role(self, command: SetMemberRole) -> Outcome:
        caller = self._member_with(command.caller, Role.OWNER, "only the owner may change roles")
        if command.user_id == command.caller:
            raise Invalid("user_id", "the owner hands the room over by making somebody else its owner")
        member = self._members.get(command.user_id)
        if member is None:
            raise NotFound("member")
        change = _Change([], [])
        if command.role is Role.OWNER:
            # Not an ADMIN, who could take the room back by removing the new owner.
            self._set_role(change, caller, Role.MODERATOR)
        if command.role is not member.role:
            self._set_role(change, member, command.role)
        return Outcome(answer=self._members[member.user_id], events=tuple(change.events), writes=tuple(change.writes))

    def _update_room(self, command: UpdateRoom, now_us: int) -> Outcome:
        self._member_with(command.caller, Role.MODERATOR, "only a moderator may change the room")
        if self.room.kind is RoomKind.DIRECT:
            raise Invalid("room_id", "a direct room has no settings")
        if command.max_members is not None and command.max_members < len(self._members):
            raise Invalid("max_members", f"there are {len(self._members)} members already")
        if command.summary_threshold is not None and command.summary_threshold < 1:
            raise Invalid("summary_threshold", "must be at least 1")
        asked = _merged(self.room, command)
        if asked == self.room:
            return Outcome(answer=self.room)
        self.room = replace(asked, updated_us=now_us)
        return Outcome(
            answer=self.room,
            events=(RoomUpdated(room_id=self.room.id, room=self.room),),
            writes=(UpdateRoomRow(room=self.room),),
        )

    def _update_profile(self, command: UpdateProfile) -> Outcome:
        user = command.user
        member = self._members.get(user.id)
        if member is not None:
            self._members[user.id] = replace(member, display_name=user.display_name, avatar_url=user.avatar_url)
        if self.knows(user.id):
            self._show_profile(user)
        return Outcome()

    def _delete_room(self, command: DeleteRoom) -> Outcome:
        least = command.least
        self._member_with(command.caller, least, f"to delete the room one has to be its {least.name.lower()}")
        self.deleted = True
        room_id = self.room.id
        left = tuple(RoomLeft(room_id=room_id, user_id=member.user_id) for member in self._members.values())
        return Outcome(events=(*left, RoomDeleted(room_id=room_id)), writes=(DeleteRoomRows(room_id=room_id),))

    # --- pieces ---

    def _set_role(self, change: _Change, member: Member, role: Role) -> None:
        self._members[member.user_id] = replace(member, role=role)
        change.events.append(RoleChanged(room_id=self.room.id, user_id=member.user_id, role=role))
        change.writes.append(SetRole(room_id=self.room.id, user_id=member.user_id, role=role))

    def _announce(self, change: _Change, member: Member, text: str, now_us: int) -> None:
        """Post the SYSTEM message of a coming or going, where the room has such."""
        if not self.room.announces or self.room.kind is RoomKind.DIRECT:
            return
        message = self._announcement(member, text, now_us)
        change.events.append(MessagePosted(room_id=self.room.id, message=message))
        change.writes.append(InsertMessage(message=message))


def new_member(user: User, role: Role, joined_us: int) -> Member:
    """A user's place at the start of a room."""
    return Member(
        user_id=user.id,
        username=user.username,
        role=role,
        joined_us=joined_us,
        display_name=user.display_name,
        avatar_url=user.avatar_url,
    )


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
        max_members=room.max_members if command.max_members is None else command.max_members,
        auto_summary=room.auto_summary if command.auto_summary is None else command.auto_summary,
        summary_threshold=(room.summary_threshold if command.summary_threshold is None else command.summary_threshold),
    )
