"""A request's body on the fast lane, read when its handler asks for more."""

import math
import sys

from chinwag.http.api.bodies import Patience
from chinwag.http.api.refusals import BodyTimeout, BodyTooLarge, IncompleteBody, MalformedRequest
from chinwag.http.lane.answers import CONTINUE
from chinwag.http.lane.chunked import ChunkedBody
from chinwag.http.lane.connection import Connection, ConnectionPhase, Gone, TimeOver
from chinwag.http.lane.parsing import CHUNKED, LaneHead


class LaneBody:
    """The body of one request. A `BodySource`."""

    __slots__ = (
        "_chunked",
        "_connection",
        "_data",
        "_expected",
        "_missing",
        "_patience",
        "declared_bytes",
        "rest",
        "whole",
    )

    def __init__(self, connection: Connection, head: LaneHead, data: bytes) -> None:
        """`data` is what came with the head."""
        self._connection = connection
        self._data = data
        self._chunked = ChunkedBody(sys.maxsize) if head.length == CHUNKED else None
        self._missing = head.length
        self.declared_bytes = None if head.length == CHUNKED else head.length
        self._expected = head.expects_continue and not data
        """Whether the client still waits to be told to go on."""
        self._patience = Patience(math.inf)  # the lane's sweep knows the limit
        self.whole = False
        """Whether all of it was read: `rest` is then what came after it."""
        self.rest = b""

    async def read(self) -> bytes:
        """See `BodySource.read`."""
        while not self.whole:
            if self._expected:
                self._expected = False
                await self._send_continue()
            data, self._data = self._data, b""
            if data:
                piece = self._decode(data)
                if piece:
                    return piece
            else:
                self._data = await self._more()
        return b""

    def _decode(self, data: bytes) -> bytes:
        """The part of `data` that is body."""
        if self._chunked is not None:
            try:
                rest = self._chunked.feed(data)
            except BodyTooLarge:  # of a size that no memory has
                raise MalformedRequest("a chunk's size is malformed") from None
            if rest is not None:
                self.whole, self.rest = True, rest
            return self._chunked.take()
        piece = data[: self._missing]
        self._missing -= len(piece)
        if not self._missing:
            self.whole, self.rest = True, data[len(piece) :]
        return piece

    async def _more(self) -> bytes:
        connection = self._connection
        began = connection.now
        connection.phase = ConnectionPhase.BODY
        connection.since = began - self._patience.waited_s
        try:
            data = await connection.read()
        except TimeOver:
            raise BodyTimeout from None
        except (Gone, OSError):
            raise IncompleteBody from None
        finally:
            connection.phase = ConnectionPhase.HANDLER
        if not data:
            raise IncompleteBody
        self._patience.note(len(data), connection.now - began)
        return data

    async def _send_continue(self) -> None:
        try:
            await self._connection.send([CONTINUE])
        except (Gone, OSError):
            raise IncompleteBody from None
        finally:
            self._connection.phase = ConnectionPhase.HANDLER
