"""The service `engine.rooms`: making and changing rooms, who is in them."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from msgspec.structs import replace

from chinwag.engine.actors.mailbox import ReplyTo
from chinwag.engine.encryption.room_keys import RoomKeys
from chinwag.engine.files.files import Files
from chinwag.engine.model import names
from chinwag.engine.model.access import require_author, require_member, with_equal_roles
from chinwag.engine.model.clock import Clock
from chinwag.engine.model.commands import (
    AddMember,
    DeleteRoom,
    JoinRoom,
    RemoveMember,
    RestoreMember,
    RoomCommand,
    SetMemberRole,
    UpdateRoom,
)
from chinwag.engine.model.commits import Commits
from chinwag.engine.model.errors import Invalid, LimitReached, NotFound
from chinwag.engine.model.events import Event, MessagePosted, RoomJoined
from chinwag.engine.model.ids import MAX_ID, MessageId, NewId, RoomId, UserId
from chinwag.engine.model.limits import MOST_DESCRIPTION_CHARACTERS, refuse_bad_page, refuse_no_text, search_text, sized
from chinwag.engine.model.storable import refuse_unstorable
from chinwag.engine.model.store import DuplicateKey, InsertMember, InsertMessage, InsertRoom, Overviews, Store, Write
from chinwag.engine.model.values import (
    FoundRooms,
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
from chinwag.engine.rooms.actor import RoomStats
from chinwag.engine.rooms.member_rules import joined_text
from chinwag.engine.rooms.memory import new_member
from chinwag.engine.rooms.registry import RoomRegistry
from chinwag.engine.rooms.room_service import RoomService
from chinwag.engine.workers.timed_lane import TimedLane

MOST_OF_A_NAME: Final = 10
"""Open groups of one name that are looked at: nothing keeps people from giving the same name."""


class Rooms(RoomService):
    """What can be done with rooms and their members."""

    def __init__(
        self,
        *,
        store: Store,
        registry: RoomRegistry,
        commits: Commits,
        new_id: NewId,
        keys: RoomKeys,
        files: Files,
        searches: TimedLane,
        clock: Clock,
    ) -> None:
        super().__init__(store=store, registry=registry)
        self._commits = commits
        self._new_id = new_id
        self._keys = keys
        self._files = files
        self._searches = searches
        self._clock = clock

    # --- making and changing ---

    async def create(
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
        name = names.visible(name, "name")
        _check_description(description)
        if max_members is not None and not 1 <= max_members <= MAX_ID:
            raise Invalid("max_members", f"must be from 1 to {MAX_ID}")
        if not 1 <= summary_threshold <= MAX_ID:
            raise Invalid("summary_threshold", f"must be from 1 to {MAX_ID}")
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
            created_us=self._clock(),
            private=private,
            max_members=max_members,
            auto_summary=auto_summary,
            summary_threshold=summary_threshold,
            custody=custody,
            announces=announces,
        )
        await self._insert_room(room, users)
        return room

    async def direct(self, caller: UserId, peer: UserId) -> Room:
        """The room of two users, made when there is none. A side that had left is a member again, unless their account
        was deactivated.

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
                created_us=self._clock(),
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
            if user.active:
                await self._ask(room.id, RestoreMember(user=user))
        return room

    async def update(
        self,
        room_id: RoomId,
        caller: UserId,
        *,
        name: str | None = None,
        description: str | None = None,
        private: bool | None = None,
        max_members: int | None = None,
        auto_summary: bool | None = None,
        summary_threshold: int | None = None,
    ) -> Room:
        """Change a group's settings; None leaves one as it is. A MODERATOR may. Making it private ends the invitations
        that plain members made.

        Raises `Invalid` (also `Invalid("max_members")` below the present count), `NotFound`, `NotAMember` or
        `RoleNeeded`.
        """
        if name is not None:
            name = names.visible(name, "name")
        if description is not None:
            _check_description(description)
        command = UpdateRoom(
            caller=caller,
            name=name,
            description=description,
            private=private,
            max_members=max_members,
            auto_summary=auto_summary,
            summary_threshold=summary_threshold,
        )
        room = await self._ask(room_id, command)
        assert isinstance(room, Room)
        return room

    async def delete(self, room_id: RoomId, caller: UserId, *, least: Role = Role.ADMIN) -> bool:
        """Delete a room with everything in it. Who has the role `least` may. A direct room belongs to two: the caller
        leaves it, and it stays. Returns whether it is deleted. Raises `NotFound`, `NotAMember` or `RoleNeeded`."""
        files = await self._files.of_room(room_id)
        deleted = bool(await self._ask(room_id, DeleteRoom(caller=caller, least=least)))
        if deleted:
            await self._files.forget(files)
        return deleted

    # --- looking at them ---

    async def get(self, room_id: RoomId, viewer: UserId) -> Room:
        """A room that the viewer is a member of. Raises `NotFound` or `NotAMember`."""
        return require_member(await self._store.access(room_id, viewer))

    async def kind(self, room_id: RoomId, viewer: UserId) -> RoomKind:
        """What kind of room it is, for who wants to write in it: of a room that is awake without waiting, and without
        asking who wants to know.

        Raises `NotFound`, and for one that sleeps `NotAMember`.
        """
        known = self.known_kind(room_id)
        return require_author(await self._store.access(room_id, viewer), viewer).kind if known is None else known

    def known_kind(self, room_id: RoomId) -> RoomKind | None:
        """The kind of a room that is awake, None when it would have to be read. Never waits."""
        actor = self._registry.awake(room_id)
        state = None if actor is None else actor.working_state
        return None if state is None else state.room.kind

    async def open_named(self, name: str) -> tuple[Room, ...]:
        """Groups of this name that anybody may join, oldest first, `MOST_OF_A_NAME` at most. Names that differ by the
        case of ASCII letters alone are the same. Raises `Invalid("name")` for what is no name."""
        return tuple(await self._store.open_rooms_named(names.visible(name, "name"), limit=MOST_OF_A_NAME))

    async def of(self, viewer: UserId, *, name_contains: str = "", limit: int) -> FoundRooms:
        """The viewer's rooms, latest activity first; with a text, those with it in their name.

        The text is trimmed, and a blank one is none. With one this is a search, with the limits and errors of
        `Messages.search`, about "name_contains". Raises `Invalid("limit")`.
        """
        refuse_bad_page(limit)
        text = search_text(name_contains, "name_contains")
        if not text:
            return await self._store.rooms_of(viewer, name_contains="", limit=limit)
        async with self._searches.turn(viewer) as deadline:
            return await self._store.rooms_of(viewer, name_contains=text, limit=limit, within_s=deadline.left_s)

    async def overviews(
        self, viewer: UserId, *, kind: RoomKind | None = None, name_contains: str = "", skip: int = 0, limit: int
    ) -> Overviews:
        """The viewer's rooms with last message and unread count, latest activity first, and how many there are.

        `name_contains` as for `of`. Raises `Invalid` ("limit", "skip").
        """
        refuse_bad_page(limit, skip)
        text = search_text(name_contains, "name_contains")
        read = partial(self._store.overviews, viewer, kind=kind, name_contains=text, skip=skip, limit=limit)
        if not text:
            found = await read()
        else:
            async with self._searches.turn(viewer) as deadline:
                found = await read(within_s=deadline.left_s)
        return replace(found, rooms=tuple(map(_as_they_stand, found.rooms)))

    async def overview(self, room_id: RoomId, viewer: UserId) -> RoomOverview:
        """One of the viewer's rooms as it stands in that list. Raises `NotFound` or `NotAMember`."""
        found = await self._store.overview(room_id, viewer)
        if found is None:
            require_member(await self._store.access(room_id, viewer))
            raise NotFound("room")  # the viewer became a member between the two
        return _as_they_stand(found)

    async def members(self, room_id: RoomId, viewer: UserId) -> tuple[Member, ...]:
        """All members, in the order of joining. Raises `NotFound` or `NotAMember`."""
        found = await self._store.members(room_id, viewer)
        return with_equal_roles(require_member(found.access), found.members)

    # --- coming and going ---

    async def add_member(self, room_id: RoomId, caller: UserId, user_id: UserId, role: Role) -> Member:
        """An ADMIN may, also when the user is banned, which ends with it.

        Raises `Invalid("user_id")` for an unknown user, `Conflict` for a member, `LimitReached("members")`, and
        `NotFound`, `NotAMember` or `RoleNeeded`.
        """
        await self.get(room_id, caller)  # a stranger learns nothing about users either
        [user] = await self._users([user_id], field="user_id")
        return await self._ask_for_member(room_id, AddMember(caller=caller, user=user, role=role))

    async def join(self, room_id: RoomId, user_id: UserId) -> Member:
        """Join a group that is not private; a member stays as they are.

        Raises `NotFound("room")`, `Forbidden` for a private or direct room, `Banned`, `LimitReached("members")`, and
        `Invalid("user_id")` for an unknown user.
        """
        [user] = await self._users([user_id], field="user_id")
        return await self._ask_for_member(room_id, JoinRoom(user=user))

    async def remove_member(self, room_id: RoomId, caller: UserId, user_id: UserId) -> None:
        """Leave, or remove somebody, which bans them: an ADMIN anybody, a MODERATOR plain members.

        Raises `NotFound` (room or member), `NotAMember` or `RoleNeeded`.
        """
        await self._keys.take_out(room_id, RemoveMember(caller=caller, user_id=user_id), self._ask)

    async def set_member_role(self, room_id: RoomId, caller: UserId, user_id: UserId, role: Role) -> Member:
        """Give another member of a group a role. The OWNER may, who by giving OWNER away becomes a MODERATOR.

        Raises `NotFound` (room or member), `NotAMember`, `RoleNeeded`, or `Invalid("user_id")` for oneself.
        """
        command = SetMemberRole(caller=caller, user_id=user_id, role=role)
        return await self._ask_for_member(room_id, command)

    # --- commands ---

    def tell(self, room_id: RoomId, command: RoomCommand, reply: ReplyTo | None = None) -> None:
        """Send a room a command without waiting. Raises `Overloaded` (then `wait_for_space`) or `ActorStopped`."""
        self._registry.actor(room_id).tell(command, reply)

    def is_full(self, room_id: RoomId) -> bool:
        """Whether a room's mailbox takes nothing more at the moment."""
        return self._registry.actor(room_id).full

    async def wait_for_space(self, room_id: RoomId) -> None:
        """Backpressure: return when the room's mailbox takes commands again."""
        await self._registry.actor(room_id).wait_space()

    # --- counters ---

    @property
    def stats(self) -> RoomStats:
        """What all rooms together did."""
        return self._registry.stats

    def active_count(self) -> int:
        """How many rooms are in memory."""
        return len(self._registry)

    def mailbox_depths(self) -> list[int]:
        """Commands queued, per room in memory."""
        return [actor.queued for actor in self._registry]

    def restarts(self) -> int:
        """How often rooms were restarted after a crash."""
        return self._registry.restarts

    # --- pieces ---

    async def _insert_room(self, room: Room, users: Sequence[User]) -> None:
        """Store a new room, its creator first, and tell the others' sessions."""
        owner = Role.OWNER if room.kind is RoomKind.GROUP else Role.MEMBER
        writes: list[Write] = [InsertRoom(room=room), *self._keys.for_new_room(room)]
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
        await self._commits.commit(writes, events)

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


def _as_they_stand(overview: RoomOverview) -> RoomOverview:
    """With the role that the viewer has by the room's kind."""
    return replace(overview, member=with_equal_roles(overview.room, (overview.member,))[0])


def _check_description(text: str) -> None:
    refuse_no_text(text, "description")
    refuse_unstorable(text, "description")
    sized(text, "description", least=0, most=MOST_DESCRIPTION_CHARACTERS)
