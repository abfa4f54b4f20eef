"""The one place that decides whether a viewer may read a room, and what standing they have in it."""

from collections.abc import Iterable

from msgspec.structs import replace

from chinwag.engine.model.errors import NotAMember, NotFound
from chinwag.engine.model.ids import UserId
from chinwag.engine.model.store import Access
from chinwag.engine.model.values import Member, Role, Room, RoomKind


def require_member(access: Access) -> Room:
    """The room, for its members. Raises `NotFound("room")` or `NotAMember`."""
    if access.room is None:
        raise NotFound("room")
    if access.member is None:
        raise NotAMember
    return access.room


def require_author(access: Access, author: UserId) -> Room:
    """The room, for who may write in it: its members, and of a direct room also who has left it.

    Raises as `require_member`.
    """
    if access.room is not None and author in access.room.pair:
        return access.room
    return require_member(access)


def with_equal_roles(room: Room, members: Iterable[Member]) -> tuple[Member, ...]:
    """A room's members as they stand to each other: those of a direct room are equals, whatever an older release
    stored."""
    if room.kind is not RoomKind.DIRECT:
        return tuple(members)
    return tuple(each if each.role is Role.MEMBER else replace(each, role=Role.MEMBER) for each in members)
