"""The service `engine.bans`: who is kept out of a room. Its rules are in `admission_rules`."""

from chinwag.engine.encryption.room_keys import RoomKeys
from chinwag.engine.model.access import require_member, with_equal_roles
from chinwag.engine.model.commands import BanMember, UnbanMember
from chinwag.engine.model.errors import NotFound, RoleNeeded
from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.limits import refuse_bad_page
from chinwag.engine.model.store import Store
from chinwag.engine.model.store_admissions import BanPage
from chinwag.engine.model.values import Ban, Role
from chinwag.engine.rooms.registry import RoomRegistry
from chinwag.engine.rooms.room_service import RoomService


class Bans(RoomService):
    """What can be done with bans."""

    def __init__(self, *, store: Store, registry: RoomRegistry, keys: RoomKeys) -> None:
        super().__init__(store=store, registry=registry)
        self._keys = keys

    async def add(self, room_id: RoomId, caller: UserId, user_id: UserId) -> Ban:
        """Keep somebody out of a group, whether or not they are in it. A MODERATOR may, of lower roles.

        Raises `Invalid("user_id")` for oneself, `NotFound` (room or user), `NotAMember`, `RoleNeeded`, or `Forbidden`
        for the owner and in a direct room.
        """
        require_member(await self._store.access(room_id, caller))  # a stranger learns nothing about users either
        user = await self._store.user(user_id)
        if user is None:
            raise NotFound("user")
        ban = await self._keys.take_out(room_id, BanMember(caller=caller, user=user), self._ask)
        assert isinstance(ban, Ban)
        return ban

    async def lift(self, room_id: RoomId, caller: UserId, user_id: UserId) -> None:
        """Let somebody come by the ordinary ways again. A MODERATOR may.

        Raises `NotFound` (room, or "ban" for who is not banned), `NotAMember`, `RoleNeeded`, or `Forbidden` in a direct
        room.
        """
        await self._ask(room_id, UnbanMember(caller=caller, user_id=user_id))

    async def of_room(self, room_id: RoomId, viewer: UserId, *, skip: int = 0, limit: int) -> BanPage:
        """Who is banned from a room, the newest ban first. For a MODERATOR.

        Raises `Invalid` ("limit", "skip"), `NotFound`, `NotAMember` or `RoleNeeded`.
        """
        refuse_bad_page(limit, skip)
        found = await self._store.bans(room_id, viewer, skip=skip, limit=limit)
        room, member = require_member(found.access), found.access.member
        if member is None or with_equal_roles(room, (member,))[0].role < Role.MODERATOR:
            raise RoleNeeded(Role.MODERATOR.name, "only a moderator sees who is banned")
        return found
