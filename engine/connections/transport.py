"""The lower half of a connection, as a session sees it: bytes out without waiting, and ways to end it."""

from typing import Protocol

import trio

from chinwag.engine.connections.close_reasons import CloseReason


class ConnectionLost(Exception):
    """The peer is gone: nothing can be written any more."""


LOST = (ConnectionLost, OSError, trio.ClosedResourceError, trio.BrokenResourceError)
"""What a transport may raise when the peer is gone; a session treats them alike."""


class Transport(Protocol):
    """One connection. No call but `wait_writable` ever waits, so that no actor is held up by a client."""

    @property
    def last_received(self) -> float:
        """When the peer was last heard of, in `trio.current_time()` seconds; infinity where silence means nothing."""
        ...

    def try_send(self, data: bytes | memoryview) -> int:
        """Hand over as much of `data` (framed by the session's carrier) as goes without waiting.

        Returns how many bytes were taken, 0 when none can be now. Raises one of `LOST` when the peer is gone.
        """
        ...

    async def wait_writable(self) -> None:
        """Return when `try_send` may take more. Raises one of `LOST` when the peer is gone."""
        ...

    def ping(self) -> bytes:
        """The bytes that ask the peer for a sign of life; b"" when the protocol has none."""
        ...

    def goodbye(self, reason: CloseReason) -> bytes:
        """The bytes that tell the peer why the connection ends; b"" when the protocol has none."""
        ...

    def abort(self) -> None:
        """Drop the connection at once. Whoever waits on it gets `ConnectionLost`. Calling it again does nothing."""
        ...
