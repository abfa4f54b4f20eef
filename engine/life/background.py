"""Tasks beside everything else, in one nursery that no failure may end."""

from collections.abc import Awaitable, Callable

import structlog
import trio

log = structlog.get_logger("chinwag.engine")


class Background:
    """Starts tasks of an engine's. What one raises is logged, and costs nobody else anything."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def spawn(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        """Start `task(*args)`, which ends with the engine at the latest."""
        self._nursery.start_soon(_guarded, task, args)


async def _guarded(task: Callable[..., Awaitable[None]], args: tuple[object, ...]) -> None:
    try:
        await task(*args)
    except Exception:
        # The nursery is shared by all rooms and sessions: what escapes into it would end them all.
        log.exception("task failed", task=getattr(task, "__qualname__", repr(task)))
