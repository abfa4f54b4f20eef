"""The part of `Store` that searches messages."""

import math
from typing import Final, Protocol

from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.store_admissions import Access
from chinwag.engine.model.values import FoundMessage, Record

NO_DEADLINE: Final = math.inf
"""Seconds for a read that may take any time."""
SEARCHES_AT_ONCE: Final = 2
"""A store has as many threads for them. They mostly compute, so more would only take the processor from others."""


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

        One text contains another when its folded form does (`model.text.folded`). What was found within `within_s`
        seconds is returned, and is not complete when that was not enough time. There are threads of their own for
        `SEARCHES_AT_ONCE` of these, and of the lists of rooms by their names.
        """
        ...
