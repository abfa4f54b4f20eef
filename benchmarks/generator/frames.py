"""WebSocket frames as a client sends them, built once; and what the generator has to know of a server's.

Every message of a run carries a number of fixed width behind `MARK`. So a run's frames differ in eight bytes, which a
join puts between ready-made halves, masked as RFC 6455 demands. (A mask of zero would be quicker to make and would not
be fair: some servers then skip the unmasking.)
"""

import re
from typing import Final

try:
    from websockets.speedups import apply_mask as apply_mask
except ImportError:  # the C extension was not built for this platform
    from websockets.utils import apply_mask as apply_mask

TEXT: Final = 0x1
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

DIGITS: Final = 8
"""Width of a number: a run ends before a hundred million messages."""
NUMBER: Final = re.compile(rb'"content": ?"(\d{8}) ')
"""Finds the number in whatever JSON a server makes of a message, with or without a space after the colon."""

_MASK: Final = bytes((0x37, 0xFA, 0x21, 0x3D))
_CHUNK: Final = 10_000


def masked_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A whole client frame."""
    return _header(len(payload), opcode) + _MASK + apply_mask(payload, _MASK)


def _header(length: int, opcode: int) -> bytes:
    if length < 126:
        return bytes((0x80 | opcode, 0x80 | length))
    if length <= 0xFFFF:
        return bytes((0x80 | opcode, 0xFE)) + length.to_bytes(2, "big")
    return bytes((0x80 | opcode, 0xFF)) + length.to_bytes(8, "big")


def _turned(by: int) -> bytes:
    return _MASK[by % 4 :] + _MASK[: by % 4]


class _MaskedNumbers:
    """The numbers from 0 on, masked at one of the four offsets; shared by all frames, made as far as needed."""

    def __init__(self, offset: int) -> None:
        self._mask = _turned(offset)
        self._made: list[bytes] = []

    def between(self, first: int, stop: int) -> list[bytes]:
        made = self._made
        while len(made) < stop:
            start = len(made)
            made += [apply_mask(b"%08d" % number, self._mask) for number in range(start, start + _CHUNK)]
        return made[first:stop]


_NUMBERS: Final = tuple(_MaskedNumbers(offset) for offset in range(4))


class NumberedFrames:
    """The frames `before NUMBER after`, for any run of numbers at the cost of one join."""

    def __init__(self, before: bytes, after: bytes) -> None:
        length = len(before) + DIGITS + len(after)
        self._head = _header(length, TEXT) + _MASK + apply_mask(before, _MASK)
        self._tail = apply_mask(after, _turned(len(before) + DIGITS))
        self._numbers = _NUMBERS[len(before) % 4]

    def batch(self, first: int, stop: int) -> bytes:
        """The frames with the numbers `first` to `stop` - 1, joined; at least one."""
        return self._head + (self._tail + self._head).join(self._numbers.between(first, stop)) + self._tail


def chat_message(room: str, size: int) -> tuple[bytes, bytes]:
    """A ChatterStack `send_message` around its number; its text has `size` characters, ten at least."""
    before = b'{"event":"send_message","data":{"room_id":"%s","content":"' % room.encode()
    return before, b" " + b"x" * max(1, size - DIGITS - 1) + b'"}}'


def server_frame(data: bytes, start: int) -> tuple[int, int, int] | None:
    """The frame at `start`: its opcode, where its payload begins and where it ends. None while it is not all there."""
    if len(data) - start < 2:
        return None
    length = data[start + 1] & 0x7F
    begin = start + 2
    if length == 126:
        begin = start + 4
        length = int.from_bytes(data[start + 2 : begin], "big")
    elif length == 127:
        begin = start + 10
        length = int.from_bytes(data[start + 2 : begin], "big")
    if begin > len(data) or begin + length > len(data):
        return None
    return data[start] & 0x0F, begin, begin + length
