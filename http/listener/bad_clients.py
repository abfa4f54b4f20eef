"""The log of clients that break the rules of their protocol: a line for each, and only so many lines for all of them.

Whoever can send bytes can send bad ones, as fast as the network lets them: a line each, or a traceback, would fill the
disk. What is not written is counted, and the next line says how many those were.
"""

from collections.abc import Iterator
from typing import Final

import structlog
import trio

from chinwag.http.operations.metrics import Reading

log = structlog.get_logger("chinwag.http")

LINES_AT_ONCE: Final = 10
"""So many lines are written without a pause between them."""
LINES_PER_S: Final = 2.0


class BadClients:
    """What one server has to say about its bad clients. A `StatsSource`."""

    def __init__(self) -> None:
        self.total = 0
        """Bad clients so far."""
        self._unsaid = 0
        self._lines = float(LINES_AT_ONCE)
        self._since = 0.0
        """How many lines may be written, as of this time on Trio's clock."""

    def report(self, reason: str, **who: object) -> None:
        """A client broke a rule, and its connection ends, or will not be spoken of again.

        `reason` is in our words: what the client sent may be a secret of somebody's.
        """
        self.total += 1
        now = trio.current_time()
        self._lines = min(LINES_AT_ONCE, self._lines + (now - self._since) * LINES_PER_S)
        self._since = now
        if self._lines < 1:
            self._unsaid += 1
            return
        self._lines -= 1
        if self._unsaid:
            who["unsaid"] = self._unsaid
            self._unsaid = 0
        log.warning("bad client", reason=reason, **who)

    def readings(self) -> Iterator[Reading]:
        """See `StatsSource`."""
        yield Reading(
            name="bad_clients", help="Connections that broke their protocol's rules", kind="counter", value=self.total
        )
