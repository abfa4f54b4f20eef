"""Counting what is there, to see that as much is there again later."""

from pathlib import Path

import trio


class Census:
    """Tasks and open descriptors of the process, when it is made and afterwards."""

    def __init__(self) -> None:
        self._before = self._now()

    async def nothing_left(self) -> None:
        """Return when there is no more than at the beginning. Whoever asks sets the limit."""
        await self.only_mine(0)

    async def only_mine(self, sockets: int) -> None:
        """Likewise, but for so many sockets of the test's own."""
        tasks_before, descriptors_before = self._before
        while True:
            tasks, descriptors = self._now()
            if tasks <= tasks_before and descriptors <= descriptors_before + sockets:
                return
            await trio.sleep(0.01)

    @staticmethod
    def _now() -> tuple[int, int]:
        return trio.lowlevel.current_statistics().tasks_living, len(list(Path("/proc/self/fd").iterdir()))
