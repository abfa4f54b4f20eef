"""The wall clock: a value that the engine hands to whoever has to know the time, so that a test can set it.

How long something takes, and when something is due within the process, is measured by Trio's clock, which never goes
back. This one is for times that are stored and shown.
"""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Gives microseconds since 1970, UTC: the unit of every time in the engine and the store."""


def wall_clock() -> int:
    """The real one."""
    return time.time_ns() // 1000
