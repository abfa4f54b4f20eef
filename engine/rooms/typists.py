"""Where users are typing: so that it can end in all of their rooms at once, when their last connection does."""

from chinwag.engine.model.ids import RoomId, UserId


class Typists:
    """The rooms in which each user was said to be typing within the last seconds. All rooms of an engine share it."""

    def __init__(self) -> None:
        self._rooms: dict[UserId, set[RoomId]] = {}

    def began(self, user_id: UserId, room_id: RoomId) -> None:
        """The others of a room were told that a user types."""
        self._rooms.setdefault(user_id, set()).add(room_id)

    def ended(self, user_id: UserId, room_id: RoomId) -> None:
        """It is over by now, whether or not the user has said so."""
        rooms = self._rooms.get(user_id)
        if rooms is not None:
            rooms.discard(room_id)
            if not rooms:
                del self._rooms[user_id]

    def rooms_of(self, user_id: UserId) -> tuple[RoomId, ...]:
        """Where a user may be typing."""
        return tuple(self._rooms.get(user_id, ()))

    def __len__(self) -> int:
        """How many users may be typing."""
        return len(self._rooms)
