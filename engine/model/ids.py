"""Ids: 53-bit integers that rise for ever.

An id is 41 bits of milliseconds since 2025-01-01 UTC followed by 12 bits of sequence. It fits a JSON number and sorts
in the order of creation. One `IdSource` serves the whole process, so ids rise strictly over all rooms; after a restart
it goes on above the highest id in the store, also when the clock was set back meanwhile.
"""

from typing import NewType, Protocol

from chinwag.engine.model.clock import Clock

UserId = NewType("UserId", int)
RoomId = NewType("RoomId", int)
MessageId = NewType("MessageId", int)
FamilyId = NewType("FamilyId", int)
"""One log-in: the family of refresh tokens that descend from it, and the access tokens issued beside them."""
FileId = NewType("FileId", int)
InvitationId = NewType("InvitationId", int)
BanId = NewType("BanId", int)
SummaryId = NewType("SummaryId", int)

NOBODY = UserId(0)
"""No user has this id."""

EPOCH_MS = 1_735_689_600_000
"""2025-01-01T00:00:00Z in Unix milliseconds."""
SEQUENCE_BITS = 12
MAX_ID = (1 << 53) - 1


class NewId(Protocol):
    """Where ids come from: see `IdSource`."""

    def __call__(self, now_us: int | None = None) -> int: ...


class IdSource:
    """Hands out ids, each larger than every one before it."""

    __slots__ = ("_clock", "_last", "_next_us")

    def __init__(self, *, clock: Clock, above: int = 0) -> None:
        """`above`: the highest id that was ever handed out, 0 when there is none."""
        self._last = above
        self._next_us = 0
        """When the millisecond after the one last looked at begins: until then the clock adds nothing to `_last`."""
        self._clock = clock

    @property
    def last(self) -> int:
        """The highest id handed out so far."""
        return self._last

    def __call__(self, now_us: int | None = None) -> int:
        """The next id. More than 4,096 in one millisecond borrow from the next one.

        `now_us`: what the clock said a moment ago, where that is known.
        """
        if now_us is None:
            now_us = self._clock()
        if now_us >= self._next_us:
            now_ms = now_us // 1000
            self._next_us = (now_ms + 1) * 1000
            self._last = max(self._last + 1, (now_ms - EPOCH_MS) << SEQUENCE_BITS)
        else:
            self._last += 1
        return self._last
