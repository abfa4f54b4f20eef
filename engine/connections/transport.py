"""The lower half of a connection, as a session sees it: bytes out without waiting, and ways to end it."""

import enum
from typing import Protocol

import trio


class CloseReason(enum.Enum):
    """Why the server ends a connection: WebSocket close code, and words for the client's log."""

    GOING_AWAY = (1001, "server is shutting down")
    PROTOCOL_ERROR = (1002, "protocol error")
    INVALID_TEXT = (1007, "text is not valid UTF-8")
    TOO_BIG = (1009, "message too big")
    INTERNAL_ERROR = (1011, "internal error")
    TOKEN_INVALID = (4401, "token expired or revoked")
    SLOW_CONSUMER = (4408, "slow consumer")
    TOO_MANY = (4409, "too many connections")
    PING_TIMEOUT = (4410, "no answer to pings")

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text


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
