"""The engine's methods about rooms: making and changing them, who is in them, invitations."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from functools import partial

from chinwag.engine.access import admit
from chinwag.engine.commands import (
    AcceptInvitation,
    AddMember,
    CreateInvitation,
    DeleteRoom,
    JoinRoom,
    RemoveMember,
    RestoreMember,
    SetMemberRole,
    UpdateRoom,
)
from chinwag.engine.errors import Invalid, LimitReached, NotFound
from chinwag.engine.events import Event, MessagePosted, RoomJoined
from chinwag.engine.ids import InvitationId, MessageId, RoomId, UserId, now_us
from chinwag.engine.model import (
    FoundRooms,
    Invitation,
    KeyCustody,
    Member,
    Message,
    MessageKind,
    Role,
    Room,
    RoomKind,
    RoomOverview,
    User,
    direct_key,
)
from chinwag.engine.room_calls import RoomCalls, refuse_unstorable
from chinwag.engine.room_members import joined_text, new_member
from chinwag.engine.searches import search_text
from chinwag.engine.store import DuplicateKey, InsertMember, InsertMessage, InsertRoom, Overviews, Write

NOBODY = UserId(0)
"""No user has this id."""
MOST_INVITATION_USES = 1_000_000
MOST_INVITATION_S = 10 * 365 * 86_400.0

_CODE = re.compile(r"[A-Za-z0-9_-]{22}")
"""What `secrets.token_urlsafe(16)` gives: 128 random bits."""


class Rooms(RoomCalls):
    """What can be done with rooms and their members. A part of `Engine`."""

    # --- making and changing ---

    async def create_room(
        self,
        creator: UserId,
        *,
        name: str,
        description: str = "",
        member_ids: Sequence[UserId] = (),
        private: bool = True,
        max_members: int | None = None,
        auto_summary: bool = False,
        summary_threshold: int = 50,
        custody: KeyCustody = KeyCustody.CLIENT,
        announces: bool = False,
    ) -> Room:
        """Make a group; its creator is OWNER, the others are members (repeated ones count once).

        The settings are those of `Room`. Raises `Invalid("member_ids")`, naming those that do not exist, `Invalid` for
        a setting, and `LimitReached("members")` for more members than `max_members`.
        """
        refuse_unstorable(name, "name")
        refuse_unstorable(description, "description")
        if max_members is not None and max_members < 1:
            raise Invalid("max_members", "must be at least 1")
        if summary_threshold < 1:
            raise Invalid("summary_threshold", "must be at least 1")
        others = [user_id for user_id in dict.fromkeys(member_ids) if user_id != creator]
        if max_members is not None and 1 + len(others) > max_members:
            raise LimitReached("members", f"the room takes at most {max_members} members")
        users = await self._users([creator, *others], field="member_ids")
        room = Room(
            id=RoomId(self._new_id()),
            kind=RoomKind.GROUP,
            name=name,
            description=description,
            created_by=creator,
            created_us=now_us(),
            private=private,
            max_members=max_members,
            auto_summary=auto_summary,
            summary_threshold=summary_threshold,
            custody=custody,
            announces=announces,
        )
        await self._insert_room(room, users)
        return room

    async def direct_room(self, caller: UserId, peer: UserId) -> Room:
        """The room of two users, made when there is none. A side that had left is a member again.

        Raises `Invalid("user_id")` for oneself, `NotFound("user")` for an unknown peer.
        """
        if caller == peer:
            raise Invalid("user_id", "a direct room needs somebody else")
        key = direct_key(caller, peer)
        users = {user.id: user for user in await self._store.users([caller, peer])}
        if len(users) != 2:
            raise NotFound("user")
        room = await self._store.direct_room(key)
        if room is None:
            room = Room(
                id=RoomId(self._new_id()),
                kind=RoomKind.DIRECT,
                name=key,
                description="",
                created_by=caller,
                created_us=now_us(),
                direct_key=key,
            )
            try:
                await self._insert_room(room, [users[caller], users[peer]])
                return room
            except DuplicateKey:
                made_meanwhile = await self._store.direct_room(key)
                if made_meanwhile is None:
                    raise
                room = made_meanwhile
        for user in users.values():
            await self._ask(room.id, RestoreMember(user=user))
        return room

    async def update_room(
        self,
        room_id: RoomId,
        caller: UserId,
        *,
        name: str | None = None,
        description: str | None = None,
        max_members: int | None = None,
        auto_summary: bool | None = None,
        summary_threshold: int | None = None,
    ) -> Room:
        """Change a group's settings; None leaves one as it is. A MODERATOR may.

        Raises `Invalid` (also `Invalid("max_members")` below the present count), `NotFound`, `NotAMember` or
        `RoleNeeded`.
        """
        refuse_unstorable(name or "", "name")
        refuse_unstorable(description or "", "description")
        command = UpdateRoom(
            caller=caller,
            name=name,
            description=description,
            max_members=max_members,
            auto_summary=auto_summary,
            summary_threshold=summary_threshold,
        )
        room = await self._ask(room_id, command)
        assert isinstance(room, Room)
        return room

    async def delete_room(self, room_id: RoomId, caller: UserId, *, least: Role = Role.ADMIN) -> None:
        """Delete a room with everything in it. Who has the role `least` may. Raises `NotFound`, `NotAMember` or
        `RoleNeeded`."""
        files = await self.files.of_room(room_id)
        await self._ask(room_id, DeleteRoom(caller=caller, least=least))
        await self.files.forget(files)

    # --- looking at them ---

    async def room(self, room_id: RoomId, viewer: UserId) -> Room:
        """A room that the viewer is a member of. Raises `NotFound` or `NotAMember`."""
        return admit(await self._store.access(room_id, viewer))

    async def room_kind(self, room_id: RoomId, viewer: UserId) -> RoomKind:
        """What kind of room it is: of a room that is awake without waiting, and without asking who wants to know.

        Raises `NotFound`, and for one that sleeps `NotAMember`.
        """
        known = self.known_kind(room_id)
        return (await self.room(room_id, viewer)).kind if known is None else known

    def known_kind(self, room_id: RoomId) -> RoomKind | None:
        """The kind of a room that is awake, None when it would have to be read. Never waits."""
        actor = self._registry.awake(room_id)
        state = None if actor is None else actor.seen
        return None if state is None else state.room.kind

    async def rooms_of(self, viewer: UserId, *, name_contains: str = "", limit: int) -> FoundRooms:
        """The viewer's rooms, latest activity first; with a text, those with it in their name.

        The text is trimmed, and a blank one is none. With one this is a search: see `Engine.search`, also for what it
        raises, about "name_contains".
        """
        text = search_text(name_contains, "name_contains")
        if not text:
            return await self._store.rooms_of(viewer, name_contains="", limit=limit)
        async with self._searches.turn(viewer) as deadline:
            return await self._store.rooms_of(viewer, name_contains=text, limit=limit, within_s=deadline.left_s)

    async def overviews(
        self, viewer: UserId, *, kind: RoomKind | None = None, name_contains: str = "", skip: int = 0, limit: int
    ) -> Overviews:
        """The viewer's rooms with last message and unread count, latest activity first, and how many there are.

        `name_contains` as for `rooms_of`.
        """
        text = search_text(name_contains, "name_contains")
        read = partial(self._store.overviews, viewer, kind=kind, name_contains=text, skip=skip, limit=limit)
        if not text:
            return await read()
        async with self._searches.turn(viewer) as deadline:
            return await read(within_s=deadline.left_s)

    async def overview(self, room_id: RoomId, viewer: UserId) -> RoomOverview:
        """One of the viewer's rooms as it stands in that list. Raises `NotFound` or `NotAMember`."""
        found = await self._store.overview(room_id, viewer)
        if found is None:
            admit(await self._store.access(room_id, viewer))
            raise NotFound("room")  # the viewer became a member between the two
        return found

    async def members(self, room_id: RoomId, viewer: UserId) -> tuple[Member, ...]:
        """All members, in the order of joining. Raises `NotFound` or `NotAMember`."""
        found = await self._store.members(room_id, viewer)
        admit(found.access)
        return found.members

    # --- coming and going ---

    async def add_member(self, room_id: RoomId, caller: UserId, user_id: UserId, role: Role) -> Member:
        """An ADMIN may. Raises `Invalid("user_id")` for an unknown user, `Conflict` for a member,
        `LimitReached("members")`, and `NotFound`, `NotAMember` or `RoleNeeded`."""
        await self.room(room_id, caller)  # a stranger learns nothing about users either
        [user] = await self._users([user_id], field="user_id")
        return await self._ask_for_member(room_id, AddMember(caller=caller, user=user, role=role))

    async def join_room(self, room_id: RoomId, user_id: UserId) -> Member:
        """Join a group that is not private; a member stays as they are.

        Raises `NotFound("room")`, `Forbidden` for a private or direct room, `LimitReached("members")`, and
        `Invalid("user_id")` for an unknown user.
        """
        [user] = await self._users([user_id], field="user_id")
        return await self._ask_for_member(room_id, JoinRoom(user=user))

    async def remove_member(self, room_id: RoomId, caller: UserId, user_id: UserId) -> None:
        """Leave, or remove somebody: an ADMIN anybody, a MODERATOR plain members. Raises `NotFound` (room or member),
        `NotAMember` or `RoleNeeded`."""
        await self.keys.remove_member(room_id, RemoveMember(caller=caller, user_id=user_id), self._ask)

    async def set_member_role(self, room_id: RoomId, caller: UserId, user_id: UserId, role: Role) -> Member:
        """Give another member of a group a role. The OWNER may, who by giving OWNER away becomes an ADMIN.

        Raises `NotFound` (room or member), `NotAMember`, `RoleNeeded`, or `Invalid("user_id")` for oneself.
        """
        command = SetMemberRole(caller=caller, user_id=user_id, role=role)
        return await self._ask_for_member(room_id, command)

    # --- invitations ---

    async def create_invitation(
        self, room_id: RoomId, caller: UserId, *, max_uses: int, lifetime_s: float
    ) -> tuple[Invitation, str]:
        """Make a code that lets up to `max_uses` users join, within `lifetime_s` seconds; the code is known only now.

        Any member may invite to an open group, a MODERATOR to a private one. Raises `Invalid`, `NotFound`, `NotAMember`
        or `RoleNeeded`.
        """
        if not 1 <= max_uses <= MOST_INVITATION_USES:
            raise Invalid("max_uses", f"must be from 1 to {MOST_INVITATION_USES}")
        if not 0 < lifetime_s <= MOST_INVITATION_S:
            raise Invalid("lifetime_s", f"must be above 0, and at most {MOST_INVITATION_S:.0f}")
        code = secrets.token_urlsafe(16)
        now = now_us()
        invitation = Invitation(
            id=InvitationId(self._new_id()),
            room_id=room_id,
            digest=_digest(code),
            created_by=caller,
            created_us=now,
            expires_us=now + int(lifetime_s * 1_000_000),
            max_uses=max_uses,
        )
        await self._ask(room_id, CreateInvitation(caller=caller, invitation=invitation))
        return invitation, code

    async def accept_invitation(self, code: str, user_id: UserId) -> tuple[Room, Member]:
        """Join the room that a code invites to; who is a member already uses nothing up.

        Raises `NotFound("invitation")` for one that is unknown, expired, used up or of a deleted room,
        `LimitReached("members")`, and `Invalid("user_id")` for an unknown user.
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
        if invitation.expires_us <= now_us() or invitation.uses >= invitation.max_uses:
            raise NotFound("invitation")
        return room, invitation

    # --- pieces ---

    async def _invited(self, code: str) -> tuple[Room, Invitation]:
        """An invitation, used up or not, and its room. Raises `NotFound("invitation")`."""
        invitation = await self._store.invitation(_digest(code)) if _CODE.fullmatch(code) else None
        room = None if invitation is None else (await self._store.access(invitation.room_id, NOBODY)).room
        if invitation is None or room is None:
            raise NotFound("invitation")
        return room, invitation

    async def _ask_for_member(
        self, room_id: RoomId, command: AddMember | JoinRoom | AcceptInvitation | SetMemberRole
    ) -> Member:
        member = await self._ask(room_id, command)
        assert isinstance(member, Member)
        return member

    async def _users(self, user_ids: Sequence[UserId], *, field: str) -> list[User]:
        found = {user.id: user for user in await self._store.users(user_ids)}
        unknown = [str(user_id) for user_id in user_ids if user_id not in found]
        if unknown:
            raise Invalid(field, f"unknown user: {', '.join(unknown)}")
        return [found[user_id] for user_id in user_ids]

    async def _insert_room(self, room: Room, users: Sequence[User]) -> None:
        """Store a new room, its creator first, and tell the others' sessions."""
        owner = Role.OWNER if room.kind is RoomKind.GROUP else Role.ADMIN
        writes: list[Write] = [InsertRoom(room=room), *self.keys.for_new_room(room)]
        events: list[Event] = []
        for user in users:
            role = owner if user.id == room.created_by else Role.MEMBER
            writes.append(InsertMember(room_id=room.id, member=new_member(user, role, room.created_us)))
            events.append(RoomJoined(room_id=room.id, user_id=user.id, room=room))
        if room.announces:
            for seq, user in enumerate(users[1:], start=1):
                message = self._announcement(room, user, seq)
                writes.append(InsertMessage(message=message))
                events.append(MessagePosted(room_id=room.id, message=message))
        await self._store.commit(writes, lambda: self.fanout.publish(room.id, events))

    def _announcement(self, room: Room, user: User, seq: int) -> Message:
        """That somebody is in the room from its beginning."""
        return Message(
            id=MessageId(self._new_id()),
            room_id=room.id,
            seq=seq,
            author_id=user.id,
            author_name=user.username,
            text=joined_text(user),
            created_us=room.created_us + seq,
            kind=MessageKind.SYSTEM,
            author_display_name=user.display_name,
            author_avatar_url=user.avatar_url,
        )


def _digest(code: str) -> bytes:
    """A code has 128 random bits, so a fast hash protects it as well as a slow one would."""
    return hashlib.sha256(code.encode()).digest()
