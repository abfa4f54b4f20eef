"""How fast work is done that nobody waits for, between the commits that somebody does. Pure: times are handed in."""

from collections import deque
from typing import Final, NamedTuple

BOUND_S: Final = 5.0
"""As old as the oldest piece of work should get. The nearer it comes, the shorter the rests."""
REST: Final = 40.0
"""With work that is new, the rest is so many times as long as the work took. (With 9 the search index cost a fifth of
the commits at 50 clients: what it changes, the next commit has to sync.)"""
LEAST_REST: Final = 1.0
"""Commits get half of the time however old the work is."""
PATIENCE_S: Final = 0.25
"""So long new work waits for a moment without commits; old work waits for none."""
SLICE_S: Final = 0.005
"""What one piece should compute: a commit may have to wait for it."""
OLD_SLICES: Final = 4
"""Pieces of old work are so many times as large."""
LEAST_ROWS: Final = 256
"""No piece is smaller: its costs are mostly those of any piece."""
MOST_ROWS: Final = 4_096
MOST_GROWTH: Final = 4
MARK_S: Final = 0.25
MOST_MARKS: Final = 64


class Pace:
    """The size of the next piece of work, and the rest before it. Both depend on the age of the work."""

    def __init__(self) -> None:
        self._fitting = LEAST_ROWS

    def rows(self, age_s: float) -> int:
        """How many rows the next piece should have."""
        return min(int(self._fitting * (1 + (OLD_SLICES - 1) * (1 - _newness(age_s)))), MOST_ROWS)

    def worked(self, rows: int, computed_s: float) -> None:
        """A piece of so many rows took so long: of processor time, which grows with the rows. (What a busy process
        makes a thread wait does not, and would shrink the pieces without shortening it.)"""
        fitting = rows * SLICE_S / max(computed_s, SLICE_S / MOST_GROWTH)
        self._fitting = min(max(int(fitting), LEAST_ROWS), MOST_ROWS)

    @staticmethod
    def rest_s(worked_s: float, age_s: float) -> float:
        """How long to rest after a piece that took so long, waiting included."""
        return worked_s * max(LEAST_REST, REST * _newness(age_s))

    @staticmethod
    def patience_s(age_s: float) -> float:
        """How long to wait for a moment without commits."""
        return PATIENCE_S * _newness(age_s)


def _newness(age_s: float) -> float:
    """1 for new work, 0 for what is as old as it may get."""
    return max(0.0, 1.0 - age_s / BOUND_S)


class _Mark(NamedTuple):
    """What was added from a time on begins with a number."""

    first: int
    at_s: float


class Backlog:
    """How much there is to do, and how old the oldest of it is. First come, first done."""

    def __init__(self, size: int, now_s: float) -> None:
        self._added = 0
        self._done = 0
        self._marks: deque[_Mark] = deque()
        self.add(size, now_s)

    @property
    def size(self) -> int:
        """What is not done yet."""
        return self._added - self._done

    def add(self, count: int, now_s: float) -> None:
        """So much more is to be done."""
        if self._added == self._done:
            self._marks.clear()
        if not self._marks or (now_s - self._marks[-1].at_s >= MARK_S and len(self._marks) < MOST_MARKS):
            self._marks.append(_Mark(self._added, now_s))
        self._added += count

    def take(self, count: int) -> None:
        """So much is done."""
        self._done += count
        while len(self._marks) > 1 and self._marks[1].first <= self._done:
            self._marks.popleft()

    def age_s(self, now_s: float) -> float:
        """Since when the oldest waits, give or take `MARK_S`; 0 when there is nothing to do."""
        return now_s - self._marks[0].at_s if self.size else 0.0
