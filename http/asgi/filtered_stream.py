"""A connection as hypercorn sees it: it reads what the lane's rules let pass, and ends as the lane's connections do."""

import math
from typing import Final

import trio

from chinwag.http.api.refusals import HeadTimeout
from chinwag.http.asgi.request_filter import RequestFilter
from chinwag.http.listener.streams import LINGER_BYTES, LINGER_S, GuardedStream, SecureStream

_ENDING_S: Final = 1.0
"""How long a reader that is not reading may take, beyond `LINGER_S`, to notice that its connection has ended."""


class FilteredStream:
    """What hypercorn asks of a stream: one task reads, others send in turn, and any may close."""

    def __init__(self, stream: GuardedStream | SecureStream, requests: RequestFilter, head_timeout_s: float) -> None:
        self.below = stream
        self.guarded = stream.guarded if isinstance(stream, SecureStream) else stream
        self.requests = requests
        self._head_timeout_s = head_timeout_s
        self._head_since: float | None = trio.current_time()
        """Since when a head has been awaited that has a time to arrive."""
        self._receiving: trio.CancelScope | None = None
        self._leaving = trio.Event()
        """Set when hypercorn wants to close and the reader has to linger before that."""
        self._lingered = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for something to pass on; b"" at the end."""
        requests = self.requests
        while not (requests.ended or self._leaving.is_set()):
            deadline = math.inf if self._head_since is None else self._head_since + self._head_timeout_s
            data: bytes | None = None
            with trio.CancelScope(deadline=deadline) as self._receiving:
                data = await self.below.receive_some(max_bytes)
            self._receiving = None
            if data is None:
                if self._leaving.is_set():
                    break
                return requests.refuse(HeadTimeout())
            if not data:
                requests.left = True
                return b""
            passed = requests.feed(data)
            if not requests.in_head:
                self._head_since = None if passed else self._head_since
            elif passed or self._head_since is None:
                self._head_since = trio.current_time()
            if passed:
                return passed
        await self._leaving.wait()  # a refusal is answered after the requests before it
        try:
            with trio.move_on_after(LINGER_S):
                await self.below.finish(LINGER_BYTES)
        finally:
            self._lingered = True
        return b""

    async def send_all(self, data: bytes) -> None:
        """Send, unless the last was sent."""
        if self._leaving.is_set():
            raise trio.ClosedResourceError
        await self.below.send_all(data)

    async def aclose(self) -> None:
        """Close. Where the client may still be sending, its reader lingers first, and only the call after that closes:
        hypercorn makes one when nothing of a connection runs any more."""
        lingers = (self.requests.ended or self.requests.upgraded) and not self._lingered and not self.guarded.closed
        if not lingers:
            await self.below.aclose()
            return
        self._leaving.set()
        self.guarded.end_within(LINGER_S + _ENDING_S)
        if self._receiving is not None:
            self._receiving.cancel()
        await trio.lowlevel.checkpoint()
