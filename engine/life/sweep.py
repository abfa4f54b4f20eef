"""The sweep: one task looks at the time for everybody, so that nobody needs a timer of their own."""

from collections.abc import Callable, Sequence
from typing import Final

import structlog
import trio

log = structlog.get_logger("chinwag.engine")

SWEEP_S: Final = 1.0
"""How often time is looked at: token expiry, pings, blocked clients, presence, idle rooms."""

Duty = Callable[[float], None]
"""What is due at a time, in `trio.current_time()` seconds. Never waits."""


async def sweep_forever(duties: Sequence[Duty]) -> None:
    """Do what is due, about once a second, until cancelled."""
    while True:
        await trio.sleep(SWEEP_S)
        now = trio.current_time()
        for duty in duties:
            try:
                duty(now)
            except Exception:
                # A bug in one duty must not end time for the others: the next second tries again.
                log.exception("sweep failed", duty=getattr(duty, "__qualname__", repr(duty)))
