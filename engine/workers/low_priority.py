"""Threads for long computations, which leave the processor to the event loop when that wants it.

Python's lock is not enough for this: what computes without holding it (hashing a password) competes with the event loop
for the core, and the kernel would give each of them the same time.
"""

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import trio

T = TypeVar("T")

NICENESS = 5
"""A core that is wanted by an ordinary thread too gives one of these about a quarter of its time; at 10 it would be a
ninth, too little for who waits for it."""


class LowPriorityThreads:
    """So many threads; calls that find none free wait for one, first come, first served."""

    def __init__(self, count: int, *, name: str) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name, initializer=give_way, initargs=(NICENESS,))

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call `function(*args)` in one of the threads. Who is cancelled leaves it to run to its end unattended."""
        done = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def wake(_: Future[T]) -> None:
            with suppress(trio.RunFinishedError):  # then nobody waits any more
                token.run_sync_soon(done.set)

        future = self._pool.submit(function, *args)
        future.add_done_callback(wake)
        try:
            await done.wait()
        finally:
            future.cancel()  # does nothing to one that has begun
        return future.result()


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def give_way(niceness: int) -> None:
    """Put the calling thread behind the process's others when there is too little processor time, for good. `niceness`
    is from 1 to 19. Only Linux has a priority for each thread; elsewhere nothing changes."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):  # some sandboxes forbid it, and all works without
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + niceness)
