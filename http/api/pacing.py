"""Refusals are answered at a pace: who is refused and asks again at once, on many connections, is slowed down.

To refuse costs little, but a crowd that gets its refusals at once asks again at once, and takes the processor from
everybody else. So the refusals to one address are spaced out: an answer waits for its moment, and its client with it.
Pure: the time is handed in, and who waits is the caller.
"""

from collections import OrderedDict
from typing import Final

APART_S: Final = 0.01
"""Between two refusals to one address."""
LONGEST_S: Final = 2.0
"""No refusal waits longer: beyond so many at once the others are not spaced out any further."""
KEPT: Final = 10_000


class Pacer:
    """When refusals may be answered, by address."""

    def __init__(self, *, apart_s: float = APART_S, longest_s: float = LONGEST_S, kept: int = KEPT) -> None:
        """`kept`: how many addresses are remembered; beyond it the least recent go."""
        self._apart_s = apart_s
        self._longest_s = longest_s
        self._kept = kept
        self._next: OrderedDict[str, float] = OrderedDict()
        """When the next refusal may be answered; the most recently refused address last."""

    def __len__(self) -> int:
        return len(self._next)

    def delay_s(self, address: str, now: float) -> float:
        """How long the refusal that is due now has to wait."""
        moment = min(max(now, self._next.get(address, now)), now + self._longest_s)
        self._next[address] = moment + self._apart_s
        self._next.move_to_end(address)
        if len(self._next) > self._kept:
            self._next.popitem(last=False)
        return moment - now
