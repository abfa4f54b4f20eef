"""Bodies that are passed on while they come.

A route with `streams` gets its body piece by piece (`Request.stream`): a server reads from the client when the handler
asks for more, and so no more than one read is in memory. A server provides a `BodySource`; the limit is kept here,
alike for all servers.
"""

from collections.abc import AsyncIterator
from typing import Final

from chinwag.http.api.refusals import BodyTooLarge, IncompleteBody
from chinwag.http.api.values import BodySource

STREAM_STEP_BYTES: Final = 16 * 1024
"""How much of a streamed body has to arrive within the body timeout, again and again. Time that the handler takes does
not count."""
UNREAD_BYTES: Final = 16 * 1024 * 1024
UNREAD_S: Final = 5.0
"""How much of a streamed body that the handler did not want, and how long, is read and dropped, so that the client gets
to see the answer: many look for one only after they have sent everything."""


class Patience:
    """The time for which a client is waited for, by its progress: so long for each `step_bytes`, again and again."""

    __slots__ = ("_step_bytes", "_taken_bytes", "_timeout_s", "waited_s")

    def __init__(self, timeout_s: float, step_bytes: int = STREAM_STEP_BYTES) -> None:
        self._timeout_s = timeout_s
        self._step_bytes = step_bytes
        self._taken_bytes = 0
        self.waited_s = 0.0
        """How long it was waited for since progress was last noted."""

    @property
    def left_s(self) -> float:
        """How long it may still be waited for."""
        return self._timeout_s - self.waited_s

    def note(self, size_bytes: int, waited_s: float = 0.0) -> None:
        """So many bytes came, or went, after so long a wait."""
        self.waited_s += waited_s
        self._taken_bytes += size_bytes
        if self._taken_bytes >= self._step_bytes:
            self._taken_bytes = 0
            self.waited_s = 0.0


class WholeBody:
    """A body that is there already, as a `BodySource`."""

    def __init__(self, body: bytes) -> None:
        self.declared_bytes: int | None = len(body)
        self._body = body

    async def read(self) -> bytes:
        """All of it, once."""
        body, self._body = self._body, b""
        return body


class BodyStream(AsyncIterator[bytes]):
    """A body for a handler: its pieces, up to a limit. What went wrong once goes wrong again: a body that was cut off
    can never be taken for a whole one."""

    def __init__(self, source: BodySource, limit_bytes: int) -> None:
        self._source = source
        self._limit_bytes = limit_bytes
        self._size_bytes = 0
        # A body that says itself that it is too large is refused before anything of it is read.
        too_large = source.declared_bytes is not None and source.declared_bytes > limit_bytes
        self._error: Exception | None = BodyTooLarge(limit_bytes) if too_large else None

    async def __anext__(self) -> bytes:
        """The next piece. Raises what `BodySource.read` does, and `BodyTooLarge`."""
        if self._error is not None:
            raise self._error
        try:
            data = await self._source.read()
            self._size_bytes += len(data)
            if self._size_bytes > self._limit_bytes:
                raise BodyTooLarge(self._limit_bytes)
        except Exception as error:
            self._error = error
            raise
        except BaseException:
            self._error = IncompleteBody()
            raise
        if not data:
            raise StopAsyncIteration
        return data
