"""The part of `Store` about rooms' keys: the server's own, and those that members seal for each other."""

from typing import Protocol

from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.values import MemberKey, Record, RoomKey


class InsertRoomKey(Record):
    """Unique: room and version ("room_key")."""

    key: RoomKey


class InsertKeyVersion(Record):
    """Who introduced a version of a room's key in client custody. Unique: room and version ("room_key")."""

    room_id: RoomId
    version: int
    made_by: UserId


class PutMemberKey(Record):
    """Stores a key sealed for one member, in place of an earlier one of the same version."""

    key: MemberKey


KeyWrite = InsertRoomKey | InsertKeyVersion | PutMemberKey


class KeyVersion(Record):
    """The newest version of a room's key in the room's custody, 0 when there is none; and when the server made it, 0
    in client custody."""

    version: int = 0
    changed_us: int = 0


class KeyStore(Protocol):
    """See `chinwag.engine.model.store` for what every implementation promises."""

    async def room_keys(self, room_id: RoomId) -> list[RoomKey]:
        """All versions of a room's key in server custody, rising."""
        ...

    async def latest_room_key(self) -> RoomKey | None:
        """One key of the room in server custody that was made last, None when there is no such room."""
        ...

    async def key_version(self, room_id: RoomId) -> KeyVersion: ...

    async def key_maker(self, room_id: RoomId, version: int) -> UserId | None:
        """Who introduced a version of the room's key in client custody; None when it is not known."""
        ...

    async def member_keys(self, room_id: RoomId, user_id: UserId) -> list[MemberKey]:
        """All versions of a room's key that were sealed for this user, rising."""
        ...
