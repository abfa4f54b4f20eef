"""Where events go: what services and actors that have something to say are handed."""

from collections.abc import Iterable, Set
from typing import Protocol

from chinwag.engine.model.events import Event, UserEvent
from chinwag.engine.model.ids import RoomId, UserId


class Publisher(Protocol):
    """Delivers events to whoever is to hear of them. Never waits."""

    def publish(self, room_id: RoomId, events: Iterable[Event]) -> None:
        """Deliver what one turn, or one commit, made happen in a room, in order. What people are told of their own
        membership (`MembershipEvent`) is among it."""
        ...

    def publish_to(self, user_ids: Set[UserId], event: UserEvent) -> None:
        """Tell these people, on those of their connections that have a word for it."""
        ...

    def is_heard(self, kind: type[UserEvent]) -> bool:
        """Whether anybody at all is connected who has a word for such events. Where nobody is, who is to hear of it
        need not be worked out."""
        ...
