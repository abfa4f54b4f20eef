"""Lanes: work of one kind that must not crowd out other work, shared out fairly among those who ask for it.

A lane does a bounded number of pieces at once. Who has to wait waits in a queue of their own key (an account, an
address), and the queues take turns; so whoever asks a thousand times at once waits behind themselves, and somebody else
waits for one piece of work of each key. Where one may have many keys (accounts at one address), these are a group: the
groups take turns, and within each its queues. Queues are bounded, each and all together: when all places are taken, the
group with the most waiting gives one up, the last of its longest queue, to whoever has fewer.
"""

from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from chinwag.engine.model.errors import Overloaded


@dataclass(eq=False, slots=True)
class _Waiter:
    admitted: trio.Event
    refused: bool = False


@dataclass(eq=False, slots=True)
class _Group:
    """The queues of one group, by key, whose turn comes next first. No queue is empty."""

    queues: OrderedDict[Hashable, deque[_Waiter]] = field(default_factory=OrderedDict)
    waiting: int = 0

    def length(self, key: Hashable) -> int:
        return len(self.queues.get(key, ()))

    def longest(self) -> int:
        return max(map(len, self.queues.values()), default=0)

    def add(self, key: Hashable, waiter: _Waiter) -> None:
        self.queues.setdefault(key, deque()).append(waiter)
        self.waiting += 1

    def take_next(self) -> _Waiter:
        key, queue = next(iter(self.queues.items()))
        waiter = queue.popleft()
        self.waiting -= 1
        self.queues.move_to_end(key)
        if not queue:
            del self.queues[key]
        return waiter

    def take_last_of_longest(self) -> _Waiter:
        key = max(self.queues, key=self.length)
        waiter = self.queues[key][-1]
        self.remove(key, waiter)
        return waiter

    def remove(self, key: Hashable, waiter: _Waiter) -> bool:
        """Whether it was there."""
        queue = self.queues.get(key)
        if queue is None or waiter not in queue:
            return False
        queue.remove(waiter)
        self.waiting -= 1
        if not queue:
            del self.queues[key]
        return True


class FairLane:
    """At most `at_once` pieces of work at a time, with fair queues for the others."""

    def __init__(self, name: str, *, at_once: int, waiting: int, waiting_per_key: int) -> None:
        """`name` says in refusals what there is too much of. `waiting`: places in all queues together."""
        self.name = name
        self.refused = 0
        """How many found no place to wait, or had to give theirs up."""
        self._at_once = at_once
        self._most_waiting = waiting
        self._most_per_key = waiting_per_key
        self._running = 0
        self._waiting = 0
        self._groups: OrderedDict[Hashable, _Group] = OrderedDict()
        """Whose turn comes next first. No group is empty."""

    @property
    def running(self) -> int:
        """Pieces of work under way."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return self._waiting

    @asynccontextmanager
    async def turn(self, key: Hashable, *, group: Hashable = None) -> AsyncIterator[None]:
        """Do one piece of work within the block, once it is this key's turn; a key without a group is one by itself.

        Raises `Overloaded` when there is no place to wait, or the place had to be given to somebody who had fewer.
        """
        await self._admit(key, (key,) if group is None else group)
        try:
            yield
        finally:
            self._running -= 1
            self._admit_next()

    async def _admit(self, key: Hashable, group: Hashable) -> None:
        if self._running < self._at_once and not self._waiting:
            self._running += 1
            return
        waiter = self._enqueue(key, group)
        try:
            await waiter.admitted.wait()
        except trio.Cancelled:
            self._give_up(key, group, waiter)
            raise
        if waiter.refused:
            raise self._refusal()

    def _enqueue(self, key: Hashable, group: Hashable) -> _Waiter:
        mine = self._groups.get(group) or _Group()
        if mine.length(key) >= self._most_per_key:
            raise self._refusal()
        if self._waiting >= self._most_waiting and not self._make_room(key, mine):
            raise self._refusal()
        waiter = _Waiter(trio.Event())
        mine.add(key, waiter)
        self._groups[group] = mine
        self._waiting += 1
        return waiter

    def _refusal(self) -> Overloaded:
        self.refused += 1
        return Overloaded(f"too much {self.name} at once")

    def _make_room(self, key: Hashable, mine: _Group) -> bool:
        """Take a place from who has more waiting than the newcomer would have then. False when nobody has."""
        victims = max(self._groups.values(), key=lambda group: group.waiting, default=mine)
        if mine.waiting < victims.waiting:
            too_many = victims.waiting > mine.waiting + 1
        else:
            victims = mine
            too_many = mine.longest() > mine.length(key) + 1
        if not too_many:
            return False
        last = victims.take_last_of_longest()
        self._waiting -= 1
        last.refused = True
        last.admitted.set()
        return True

    def _admit_next(self) -> None:
        while self._waiting and self._running < self._at_once:
            name, group = next(iter(self._groups.items()))
            waiter = group.take_next()
            self._groups.move_to_end(name)
            if not group.waiting:
                del self._groups[name]
            self._waiting -= 1
            self._running += 1
            waiter.admitted.set()

    def _give_up(self, key: Hashable, group: Hashable, waiter: _Waiter) -> None:
        if waiter.refused:
            return
        mine = self._groups.get(group)
        if mine is not None and mine.remove(key, waiter):
            self._waiting -= 1
            if not mine.waiting:
                del self._groups[group]
        else:  # it was admitted in the same moment: hand the place on
            self._running -= 1
            self._admit_next()
