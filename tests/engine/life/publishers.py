"""A publisher that needs no connections."""

from collections.abc import Iterable, Set

from chinwag.engine.model.events import Event, MessagePosted, UserEvent
from chinwag.engine.model.ids import RoomId, UserId


class Heard:
    """Notes in `log` what is published of rooms: a message by its text, all else by its kind."""

    def __init__(self, log: list[str] | None = None) -> None:
        self.log: list[str] = [] if log is None else log

    def publish(self, room_id: RoomId, events: Iterable[Event]) -> None:
        assert room_id
        self.log += [f"{note_of(event)} heard" for event in events]

    def publish_to(self, user_ids: Set[UserId], event: UserEvent) -> None:
        raise AssertionError(f"{event} was published to {user_ids}")

    def is_heard(self, kind: type[UserEvent]) -> bool:
        return kind is not UserEvent


def note_of(event: Event) -> str:
    return event.message.text if isinstance(event, MessagePosted) else type(event).__name__
