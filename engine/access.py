"""The one place that decides whether a viewer may read a room."""

from chinwag.engine.errors import NotAMember, NotFound
from chinwag.engine.model import Room
from chinwag.engine.store import Access


def admit(access: Access) -> Room:
    """The room, for its members. Raises `NotFound("room")` or `NotAMember`."""
    if access.room is None:
        raise NotFound("room")
    if access.member is None:
        raise NotAMember
    return access.room
