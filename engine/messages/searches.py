"""What all searches share: how long a query may be, whose turn it is, and when one has to end.

A search may compare all messages that its caller can see. So searches have places of their own (and a store gives them
threads of their own), which are shared out fairly among users, and a time limit: after that a search is answered with
what was found so far, and says that it is not complete.
"""

import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import trio

from chinwag.engine.model.errors import Invalid, Overloaded, Rule
from chinwag.engine.model.ids import UserId
from chinwag.engine.workers.lanes import FairLane

MOST_QUERY_CHARACTERS: Final = 200
"""After trimming. Comparing costs the text's length times the query's at worst."""
SEARCHES_AT_ONCE: Final = 2
"""A store has as many threads for them. They mostly compute, so more would only take the processor from others."""
WAITING: Final = 256
WAITING_PER_USER: Final = 8
LONGEST_WAIT_S: Final = 10.0
"""Whoever has waited for so long is told to try again."""
NO_DEADLINE: Final = math.inf
"""Seconds for a read that may take any time."""
SEARCH_S: Final = 2.0
"""From the beginning of a search's turn until it is answered with what was found."""


def search_text(text: str, field: str) -> str:
    """The text of a search, trimmed; "" when it is blank. Raises `Invalid(field)` for a longer one than is taken."""
    text = text.strip()
    if len(text) > MOST_QUERY_CHARACTERS:
        raise Invalid(field, f"must have at most {MOST_QUERY_CHARACTERS} characters", rule=Rule.LENGTH)
    return text


class Deadline:
    """When something has to end, by Trio's clock."""

    def __init__(self, seconds: float) -> None:
        self._at = trio.current_time() + seconds

    @property
    def left_s(self) -> float:
        """Seconds until then, 0 once it is over."""
        return max(0.0, self._at - trio.current_time())


class SearchLane:
    """Whose search is next."""

    def __init__(self) -> None:
        self.lane = FairLane("searching", at_once=SEARCHES_AT_ONCE, waiting=WAITING, waiting_per_key=WAITING_PER_USER)

    @asynccontextmanager
    async def turn(self, viewer: UserId) -> AsyncIterator[Deadline]:
        """Search within the block, once it is this user's turn. Raises `Overloaded` when too many wait, or it has taken
        too long."""
        async with AsyncExitStack() as stack:
            with trio.move_on_after(LONGEST_WAIT_S) as waiting:
                await stack.enter_async_context(self.lane.turn(viewer))
            if waiting.cancelled_caught:
                raise Overloaded("too much searching at once")
            yield Deadline(SEARCH_S)
