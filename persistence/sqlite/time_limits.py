"""Reads that may take no longer than so many seconds."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import apsw

STEPS: Final = 50_000
"""SQLite asks about the time after so many of its own steps: some thousand rows. Each time it needs Python's lock, and
that may be taken for a while: with a tenth of this a search in a busy process takes several times as long."""


class OutOfTime(Exception):
    """The time is over. What was read until then stands."""


class TimeLimit:
    """A time limit that begins now. Used by one thread."""

    def __init__(self, seconds: float) -> None:
        """`math.inf`: none."""
        self._at = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._at

    def check(self) -> None:
        """Raise `OutOfTime` when the time is over."""
        if self.is_over:
            raise OutOfTime

    @contextmanager
    def interrupting(self, connection: apsw.Connection) -> Iterator[None]:
        """Interrupt what the block runs on a connection when the time is over; `OutOfTime` comes out then.

        Statements that take few steps are not: between them, `check`.
        """
        if self._at == math.inf:
            yield
            return
        connection.set_progress_handler(lambda: self.is_over, STEPS)
        try:
            yield
        except apsw.InterruptError:
            self.check()
            raise  # by who closes the store
        finally:
            connection.set_progress_handler(None)
