"""A WebSocket whose bytes cannot be written without waiting: they wait in a queue, for a task that writes.

What waits here is bounded; beyond that it stays in the session's outbox, whose own bounds then judge the client.
"""

import abc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.connections.transport import ConnectionLost
from chinwag.http.carriers.websocket import close_frame

QUEUE_BYTES: Final = 64 * 1024
"""Once so much waits for the writer, no more is taken. What a kernel's send buffer is to a bare socket."""


class QueuedTransport(abc.ABC):
    """The side of `chinwag.engine.connections.transport.Transport` that sends.

    One task reads, one writes (started by `open`); `try_send` comes from anywhere in the same thread and never waits.
    """

    def __init__(self) -> None:
        self._queue = bytearray()
        self._writing_bytes = 0
        """What the writer has taken out of the queue and not written yet."""
        self._changed = trio.Event()
        """Set, and replaced, whenever the queue grows or shrinks or the connection ends."""
        self._scope = trio.CancelScope()
        self._aborted = False
        self._ended = False
        """Whether the connection is over, in order."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Run the writer within the block. An abort ends the block, quietly, wherever it waits."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write_forever)
                yield
                nursery.cancel_scope.cancel()

    @property
    def _waiting_bytes(self) -> int:
        return len(self._queue) + self._writing_bytes

    def try_send(self, data: bytes | memoryview) -> int:
        """Take whole frames, all or none of them; see `Transport`."""
        if self._aborted or self._ended:
            raise ConnectionLost
        if self._waiting_bytes >= QUEUE_BYTES:
            return 0
        self._queue += data
        self._notify()
        return len(data)

    async def wait_writable(self) -> None:
        """Return when `try_send` may take more; see `Transport`."""
        while self._waiting_bytes >= QUEUE_BYTES:
            if self._aborted or self._ended:
                raise ConnectionLost
            await self._changed.wait()

    def goodbye(self, reason: CloseReason) -> bytes:
        """The close frame for `reason`."""
        return close_frame(reason.code, reason.text)

    def abort(self) -> None:
        """Drop the connection at once; see `Transport`."""
        if self._aborted:
            return
        self._aborted = True
        self._notify()
        self._scope.cancel()
        self._drop()

    @abc.abstractmethod
    async def _write(self, data: bytes) -> None:
        """Write whole frames, in the time that a client has for it. Raises one of `LOST` when it is gone."""

    @abc.abstractmethod
    def _drop(self) -> None:
        """Close what is below, at once."""

    async def _write_forever(self) -> None:
        while True:
            while self._queue:
                data = bytes(self._queue)
                self._queue.clear()
                self._writing_bytes = len(data)
                await self._write(data)
                self._writing_bytes = 0
                self._notify()
            await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
