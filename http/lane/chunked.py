"""A chunked body (RFC 9112 section 7.1), decoded strictly and within bounds. No I/O.

Everything that is not exactly in the grammar is refused: where two readers see different ends of a body, a request can
be smuggled. What the sender can add without bound to a body that is bounded (extensions, trailers) is bounded, too.
"""

import re
from typing import Final

from chinwag.http.api.refusals import BodyTooLarge, MalformedRequest

MAX_LINE_BYTES: Final = 256
"""Of a chunk's size and extensions, without the line end."""
MAX_EXTENSION_BYTES: Final = 4096
"""Over all chunks of a body. Nobody uses them; a flood of them is an attack."""
MAX_TRAILER_BYTES: Final = 8192
"""Of all trailer fields. They are checked and dropped."""

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")


class ChunkedBody:
    """Takes a body's bytes as they come."""

    __slots__ = ("_chunks", "_extension_bytes", "_limit_bytes", "_missing", "_rest", "_size_bytes", "_trailer_bytes")

    def __init__(self, limit_bytes: int) -> None:
        """`limit_bytes` bounds the decoded body."""
        self._limit_bytes = limit_bytes
        self._chunks: list[bytes] = []
        self._rest = b""
        """The beginning of a line, or of a chunk's line end."""
        self._missing = 0
        """Bytes of the current chunk that have not come, and its line end; 0 between chunks, -1 in the trailer."""
        self._size_bytes = 0
        self._extension_bytes = 0
        self._trailer_bytes = 0

    def take(self) -> bytes:
        """What was decoded since the last time; it is not kept. For a body that is passed on while it comes."""
        data = b"".join(self._chunks)
        self._chunks.clear()
        return data

    @property
    def body(self) -> bytes:
        """The body, once `feed` has said that it is whole."""
        return b"".join(self._chunks)

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes. When the body is whole, return those that come after it, else None.

        Raises `MalformedRequest`, and `BodyTooLarge` as soon as a chunk's size says so.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        position = 0
        while True:
            if self._missing > 2:
                chunk = data[position : position + self._missing - 2]
                self._chunks.append(chunk)
                self._missing -= len(chunk)
                position += len(chunk)
                if self._missing > 2:
                    return None
            if self._missing > 0:
                end = data[position : position + 2]
                if not b"\r\n".startswith(end):
                    raise MalformedRequest("a chunk is longer than it says")
                if len(end) < 2:
                    self._rest = end
                    return None
                position += 2
                self._missing = 0
            end_of_line = data.find(b"\r\n", position)
            line = data[position : end_of_line if end_of_line >= 0 else len(data)]
            self._judge_length(line)
            if end_of_line < 0:
                self._rest = line
                return None
            position = end_of_line + 2
            if self._missing == 0:
                self._begin_chunk(line)
            elif line:
                self._take_trailer(line)
            else:
                return data[position:]

    def _judge_length(self, line: bytes) -> None:
        """Bound a line that may still be unfinished, and find a bare line end in it before it is waited for."""
        if len(line) > (MAX_LINE_BYTES if self._missing == 0 else MAX_TRAILER_BYTES) or b"\n" in line:
            raise MalformedRequest("a line of the chunked body is malformed")

    def _begin_chunk(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise MalformedRequest("a chunk's size is malformed")
        self._extension_bytes += len(match[2] or b"")
        if self._extension_bytes > MAX_EXTENSION_BYTES:
            raise MalformedRequest("the chunks have too many extensions")
        size = int(match[1], 16)
        self._size_bytes += size
        if self._size_bytes > self._limit_bytes:
            raise BodyTooLarge(self._limit_bytes)
        self._missing = size + 2 if size else -1

    def _take_trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line) + 2
        if self._trailer_bytes > MAX_TRAILER_BYTES or _TRAILER.fullmatch(line) is None:
            raise MalformedRequest("a trailer field is malformed")
