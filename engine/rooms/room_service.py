"""What the services that send rooms commands have in common."""

from collections.abc import Sequence

from chinwag.engine.model.commands import AcceptInvitation, AddMember, JoinRoom, RoomCommand, SetMemberRole
from chinwag.engine.model.errors import Invalid
from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.store import Store
from chinwag.engine.model.values import Member, User
from chinwag.engine.rooms.registry import RoomRegistry


class RoomService:
    """Base of the services over rooms: a store to read from, and the rooms that are awake."""

    def __init__(self, *, store: Store, registry: RoomRegistry) -> None:
        self._store = store
        self._registry = registry

    async def _ask(self, room_id: RoomId, command: RoomCommand) -> object:
        return await self._registry.ask(room_id, command)

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
