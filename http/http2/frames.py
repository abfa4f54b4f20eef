"""How many frames an HTTP/2 client may send that ask for nothing, and how large any may be. No I/O.

A frame takes a client nine bytes, and the server a good part of a tenth of a millisecond, and often an answer. So those
that carry neither a request nor a body are counted before anybody looks at them: PING, SETTINGS, PRIORITY,
WINDOW_UPDATE, RST_STREAM, CONTINUATION, and whatever is unknown. Each takes one from an allowance, which grows again
with time, and with what the client gets: who downloads has windows to open.

A frame that is too large is seen at its header: h2 would wait for all of it first, and keep it. So is a head that goes
on and on.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from hpack import Decoder, HeaderTuple
from hpack.exceptions import HPACKDecodingError

FRAMES_AT_ONCE: Final = 1000
"""The allowance at the beginning, and at most."""
FRAMES_PER_S: Final = 100
FRAMES_PER_ANSWER: Final = 2
FRAMES_PER_STEP: Final = 32
"""Of the smallest requests, some milliseconds' work."""
BYTES_PER_FRAME: Final = 2048
"""Some clients open their windows again after each 4 KiB, that of the stream and that of the connection."""

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_FRAME_BYTES: Final = 16_384
"""HTTP/2's own beginning of SETTINGS_MAX_FRAME_SIZE, which this server leaves as it is."""
MAX_HEAD_BYTES: Final = 65_536
"""Of a compressed head, over all its frames. It is taken apart in one step, and nobody else is served meanwhile."""
MAX_TABLE_UPDATES: Final = 2
"""RFC 7541 section 4.2: more at the beginning of a head say nothing that the last of them does not."""
_HEADER_BYTES: Final = 9
_DATA: Final = 0x0
_HEADERS: Final = 0x1
_CONTINUATION: Final = 0x9


class TooManyFrames(Exception):
    """The client sends frames and frames, and no requests."""


class FrameTooLarge(Exception):
    """A frame is larger than was allowed, or several that are one head."""


class FrameAllowance:
    """One connection's frames. Fed with all bytes that come, it finds where each frame begins."""

    __slots__ = ("_head_bytes", "_left", "_partial", "_skip", "_updated")

    def __init__(self, now: float) -> None:
        """`now` is Trio's time, here and everywhere."""
        self._left = float(FRAMES_AT_ONCE)
        self._updated = now
        self._skip = len(PREFACE)
        """Bytes to come that are no frame's header."""
        self._partial = b""
        """The beginning of a frame's header."""
        self._head_bytes = 0
        """Of the head that came last, so far."""

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """Count the frames that begin in these bytes. Raises `TooManyFrames` and `FrameTooLarge`.

        Returns the same bytes in pieces of not too many frames, between which others should have their turn.
        """
        idle = frames = 0
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        before = skipped - len(self._partial)
        rest = self._partial + data[skipped:]
        cuts = [0]
        position, end = 0, len(rest)
        while end - position >= _HEADER_BYTES:
            length = rest[position] << 16 | rest[position + 1] << 8 | rest[position + 2]
            kind = rest[position + 3]
            if kind == _HEADERS:
                self._head_bytes = length
            elif kind == _CONTINUATION:
                self._head_bytes += length
            if length > MAX_FRAME_BYTES or self._head_bytes > MAX_HEAD_BYTES:
                raise FrameTooLarge
            if kind not in (_DATA, _HEADERS) or (kind == _DATA and not length):
                idle += 1
            position += _HEADER_BYTES + length
            frames += 1
            if frames % FRAMES_PER_STEP == 0:
                cuts.append(before + position)
        self._partial = rest[position:]
        self._skip += max(0, position - end)
        self.spend(idle, now)
        return [data[start:stop] for start, stop in pairwise([*cuts, len(data)]) if start < stop]

    def spend(self, frames: int, now: float) -> None:
        """Take some off the allowance. Raises `TooManyFrames`."""
        self._left = min(FRAMES_AT_ONCE, self._left + (now - self._updated) * FRAMES_PER_S) - frames
        self._updated = now
        if self._left < 0:
            raise TooManyFrames

    def answered(self) -> None:
        """The client got an answer."""
        self._left += FRAMES_PER_ANSWER

    def sent(self, size_bytes: int) -> None:
        """The client got so much of a body."""
        self._left += FRAMES_PER_ANSWER + size_bytes / BYTES_PER_FRAME


class HeadDecoder(Decoder):
    """hpack's, but for heads that are nothing but changes of the table's size: it would follow each of them."""

    def decode(self, data: bytes, raw: bool = False) -> Iterable[HeaderTuple]:
        """See `Decoder.decode`."""
        position, updates = 0, 0
        while position < len(data) and data[position] & 0xE0 == 0x20:
            updates += 1
            if updates > MAX_TABLE_UPDATES:
                raise HPACKDecodingError("too many changes of the table's size")
            more = data[position] & 0x1F == 0x1F
            position += 1
            while more and position < len(data):
                more = data[position] >= 0x80
                position += 1
        return super().decode(data, raw)
