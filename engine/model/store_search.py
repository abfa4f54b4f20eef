"""The part of `Store` that searches messages."""

from typing import Protocol

from chinwag.engine.messages.searches import NO_DEADLINE
from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.store_admissions import Access
from chinwag.engine.model.values import FoundMessage, Record


class FoundMessages(Record):
    """What a search of messages found. `access` is how the viewer stands to the room, where one was named."""

    access: Access | None
    messages: tuple[FoundMessage, ...] = ()
    complete: bool = True
    """Whether everything was looked at. Else the time was over, and there may be more, newer ones too."""


class SearchStore(Protocol):
    """See `Store` for what holds of all reads."""

    async def search(
        self, viewer: UserId, *, text: str, room_id: RoomId | None, limit: int, within_s: float = NO_DEADLINE
    ) -> FoundMessages:
        """Messages whose text contains `text`, newest (highest id) first, in the rooms the viewer is a member of, or in
        `room_id` alone (then with the viewer's `Access` to it). A SYSTEM message counts as having no text.

        One text contains another when its folded form does (`engine.text.folded`). What was found within `within_s`
        seconds is returned, and is not complete when that was not enough time. There are threads of their own for
        `engine.searches.SEARCHES_AT_ONCE` of these, and of the lists of rooms by their names.
        """
        ...
