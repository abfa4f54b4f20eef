"""What the engine's room and message methods have in common."""

from collections.abc import Callable, Sequence

from chinwag.engine.connections.fanout import Fanout
from chinwag.engine.connections.session import Session
from chinwag.engine.encryption.room_keys import RoomKeys
from chinwag.engine.files.files import Files
from chinwag.engine.messages.searches import SearchLane
from chinwag.engine.model.commands import AcceptInvitation, AddMember, JoinRoom, RoomCommand, SetMemberRole
from chinwag.engine.model.errors import Invalid
from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.store import Store
from chinwag.engine.model.values import Member, User
from chinwag.engine.rooms.registry import RoomRegistry


class RoomCalls:
    """Base of the parts of `Engine`, which sets these."""

    fanout: Fanout[Session]
    keys: RoomKeys
    files: Files
    _store: Store
    _searches: SearchLane
    _registry: RoomRegistry
    _new_id: Callable[[], int]

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


def refuse_unstorable(text: str, field: str = "text") -> None:
    """Raise `Invalid` for what no store takes: the NUL character, and lone surrogates."""
    if "\0" in text:
        raise Invalid(field, "must not contain the NUL character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Invalid(field, "is not valid Unicode") from None
