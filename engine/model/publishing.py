"""Where events go: what services and actors that have something to say are handed."""

from collections.abc import Iterable
from typing import Protocol

from chinwag.engine.model.events import Event
from chinwag.engine.model.ids import RoomId


class Publisher(Protocol):
    """Delivers events to whoever is to hear of them. Never waits."""

    def publish(self, room_id: RoomId, events: Iterable[Event]) -> None:
        """Deliver what one turn, or one commit, made happen in a room, in order."""
        ...
