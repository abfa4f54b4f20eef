"""Readiness of many sockets, told by one task.

Trio arms its epoll anew for every wait, and every wake resumes a task through all of its coroutines: some 15 µs for a
read of a few bytes, which is what a chat connection sends. Here the sockets stay armed in an epoll of our own, whose
descriptor Trio waits for, and a ready socket costs a call. Where there is no epoll (`available`), a connection's own
task has to wait and read.
"""

import contextlib
import select
from collections.abc import Callable
from typing import Final

import structlog
import trio

log = structlog.get_logger("chinwag.http")

available: Final = hasattr(select, "epoll")
"""Whether this system has epoll."""

AT_ONCE: Final = 512
"""Sockets served before everybody else gets a turn."""


class Poller:
    """Calls back, on the event loop's thread, for each socket that has something to read. Level-triggered."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}

    def __len__(self) -> int:
        return len(self._callbacks)

    def add(self, descriptor: int, on_readable: Callable[[], None]) -> None:
        """Call `on_readable` whenever the descriptor has data, an end, or an error, until `discard`.

        It must read (or discard): what stays unread is announced again. It must not wait.
        """
        self._epoll.register(descriptor, select.EPOLLIN)
        self._callbacks[descriptor] = on_readable

    def discard(self, descriptor: int, on_readable: Callable[[], None]) -> None:
        """Announce a descriptor no more, if it is still this callback's. To be called before it is closed.

        One that somebody else has closed is forgotten by the system, and its number may be another connection's by now.
        """
        if self._callbacks.get(descriptor) == on_readable:
            del self._callbacks[descriptor]
            with contextlib.suppress(OSError):
                self._epoll.unregister(descriptor)

    async def run(self) -> None:
        """Announce, for ever. What a callback raises is logged, and its descriptor discarded."""
        epoll, callbacks = self._epoll, self._callbacks
        try:
            while True:
                await trio.lowlevel.wait_readable(epoll.fileno())
                for descriptor, _ in epoll.poll(0, AT_ONCE):
                    on_readable = callbacks.get(descriptor)
                    if on_readable is None:
                        continue  # discarded by a callback before it
                    try:
                        on_readable()
                    except Exception:
                        # A bug about one connection. All others are read by this task, too.
                        log.exception("reading a connection failed")
                        self.discard(descriptor, on_readable)
        finally:
            epoll.close()
