"""Lanes: work of one kind that must not crowd out other work, shared out fairly among those who ask for it.

A lane does a bounded number of pieces at once. Who has to wait waits in a queue of their own key (an account, an
address), and the queues take turns; so whoever asks a thousand times at once waits behind themselves, and somebody else
waits for one piece of work of each key. Queues are bounded, each and all together: when all places are taken, the last
of the longest queue gives its place to whoever has fewer waiting.
"""

from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from chinwag.engine.errors import Overloaded


@dataclass(eq=False, slots=True)
class _Waiter:
    admitted: trio.Event
    refused: bool = False


class FairLane:
    """At most `at_once` pieces of work at a time, with fair queues for the others."""

    def __init__(self, name: str, *, at_once: int, waiting: int, waiting_per_key: int) -> None:
        """`name` says in refusals what there is too much of. `waiting`: places in all queues together."""
        self._name = name
        self._at_once = at_once
        self._most_waiting = waiting
        self._most_per_key = waiting_per_key
        self._running = 0
        self._waiting = 0
        self._queues: OrderedDict[Hashable, deque[_Waiter]] = OrderedDict()
        """By key, whose turn comes next first. No queue is empty."""

    @property
    def running(self) -> int:
        """Pieces of work under way."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return self._waiting

    @asynccontextmanager
    async def turn(self, key: Hashable) -> AsyncIterator[None]:
        """Do one piece of work within the block, once it is this key's turn. Raises `Overloaded` when there is no place
        to wait, or the place had to be given to somebody who had fewer."""
        await self._admit(key)
        try:
            yield
        finally:
            self._running -= 1
            self._admit_next()

    async def _admit(self, key: Hashable) -> None:
        if self._running < self._at_once and not self._waiting:
            self._running += 1
            return
        waiter = self._enqueue(key)
        try:
            await waiter.admitted.wait()
        except trio.Cancelled:
            self._give_up(key, waiter)
            raise
        if waiter.refused:
            raise Overloaded(f"too much {self._name} at once")

    def _enqueue(self, key: Hashable) -> _Waiter:
        queue = self._queues.get(key)
        mine = 0 if queue is None else len(queue)
        if mine >= self._most_per_key or (self._waiting >= self._most_waiting and not self._make_room(mine)):
            raise Overloaded(f"too much {self._name} at once")
        waiter = _Waiter(trio.Event())
        self._queues.setdefault(key, deque()).append(waiter)
        self._waiting += 1
        return waiter

    def _make_room(self, fewer_than: int) -> bool:
        """Take the last place of the longest queue, if that has more than somebody with so many would have then."""
        queue = max(self._queues.values(), key=len)
        if len(queue) <= fewer_than + 1:
            return False
        last = queue.pop()
        self._waiting -= 1
        last.refused = True
        last.admitted.set()
        return True

    def _admit_next(self) -> None:
        while self._waiting and self._running < self._at_once:
            key, queue = next(iter(self._queues.items()))
            waiter = queue.popleft()
            if queue:
                self._queues.move_to_end(key)
            else:
                del self._queues[key]
            self._waiting -= 1
            self._running += 1
            waiter.admitted.set()

    def _give_up(self, key: Hashable, waiter: _Waiter) -> None:
        if waiter.refused:
            return
        queue = self._queues.get(key)
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            self._waiting -= 1
            if not queue:
                del self._queues[key]
        else:  # it was admitted in the same moment: hand the place on
            self._running -= 1
            self._admit_next()
