"""What all searches share: whose turn it is, and when one has to end.

A search may compare all messages that its caller can see. So searches have places of their own (and a store gives them
threads of their own), which are shared out fairly among users, and a time limit: after that a search is answered with
what was found so far, and says that it is not complete.
"""

from typing import Final

from chinwag.engine.model.store_search import SEARCHES_AT_ONCE
from chinwag.engine.workers.lanes import FairLane
from chinwag.engine.workers.timed_lane import TimedLane

WAITING: Final = 256
WAITING_PER_USER: Final = 8
LONGEST_WAIT_S: Final = 10.0
"""Whoever has waited for so long is told to try again."""
SEARCH_S: Final = 2.0
"""From the beginning of a search's turn until it is answered with what was found."""


def search_lane() -> TimedLane:
    """The lane of an engine's searches; its keys are users."""
    lane = FairLane("searching", at_once=SEARCHES_AT_ONCE, waiting=WAITING, waiting_per_key=WAITING_PER_USER)
    return TimedLane(lane, longest_wait_s=LONGEST_WAIT_S, turn_s=SEARCH_S)
