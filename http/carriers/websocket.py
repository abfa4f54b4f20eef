"""The server's side of RFC 6455, without I/O: the opening handshake, frames in, frames out.

Strict where the RFC says MUST: a peer that breaks a rule is told which (close code and reason), and nothing it sends
afterwards is looked at. No extension is ever negotiated: the reserved bits stay reserved, and no message can inflate.

The parser's hot path is a read that holds many whole, masked, unfragmented text frames. Everything else (control
frames, fragments, frames that a read cuts in two) takes a second path that keeps state between calls.
"""

import base64
import binascii
import codecs
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from http import HTTPStatus
from typing import Final, TypeAlias

from chinwag.engine.connections.transport import Transport
from chinwag.engine.model.events import Event
from chinwag.http.lane.head import RequestHead

try:
    from websockets.speedups import apply_mask
except ImportError:  # the C extension was not built for this platform
    from websockets.utils import apply_mask

DEFAULT_MAX_MESSAGE_BYTES: Final = 1024 * 1024

MAX_CONTROL_BYTES: Final = 125
"""RFC 6455 section 5.5: a control frame's payload fits the one-byte length."""

MAX_REASON_BYTES: Final = MAX_CONTROL_BYTES - 2
"""What a close code leaves of a control frame for words."""

PINGS_AT_ONCE: Final = 64
"""Messages in one read after which, of pings in a row, only the last is reported: a read may hold thousands."""

_ACCEPT_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455 section 1.3."""

_KEY_BYTES: Final = 16
"""RFC 6455 section 4.1: a client's key is a nonce of this size, before base64."""

VERSION: Final = "13"


class Opcode(IntEnum):
    """RFC 6455 section 5.2. The missing numbers are reserved."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class CloseCode(IntEnum):
    """RFC 6455 section 7.4.1, as far as this module sends them."""

    NORMAL = 1000
    PROTOCOL_ERROR = 1002
    INVALID_TEXT = 1007
    TOO_BIG = 1009


@dataclass(frozen=True, slots=True)
class Ping:
    """The peer asks for a sign of life: answer `frame(Opcode.PONG, payload)`."""

    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Pong:
    """The peer's answer to a ping, or a heartbeat of its own accord (RFC 6455 section 5.5.3)."""

    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Close:
    """The peer ends the connection, or confirms that we did: nothing follows. `code` is None when it gave none."""

    code: int | None = None
    reason: str = ""

    def answer(self) -> bytes:
        """The close frame to confirm it with: the same code, no words (RFC 6455 section 5.5.1)."""
        return close_frame(self.code)


Incoming: TypeAlias = str | bytes | Ping | Pong | Close
"""What a client can send: a text message, a binary message, a control frame."""


class ProtocolFailure(Exception):
    """The client broke the protocol: send `close_frame(code, reason)` and end the connection."""

    def __init__(self, code: int, reason: str, before: Sequence[Incoming] = ()) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason
        self.before: tuple[Incoming, ...] = tuple(before)
        """What had arrived whole, in order, in the same call as the fault. It is as good as any other message."""


class HandshakeRefused(Exception):
    """The request is no opening handshake this server takes: answer `status` with `headers` and `message`."""

    def __init__(self, status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.headers = headers

    @property
    def breaks_rules(self) -> bool:
        """Whether the request is wrong, and does not just ask for what there is not here."""
        return self.status == HTTPStatus.BAD_REQUEST


class _Fault(Exception):
    """A broken rule, before the messages that preceded it are known."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


# --- frames in ---

_FIN: Final = 0x80
_RESERVED_BITS: Final = 0x70
_MASKED: Final = 0x80
_LENGTH_16: Final = 126
_LENGTH_64: Final = 127

_WHOLE_TEXT: Final = _FIN | Opcode.TEXT
_MASKED_16: Final = _MASKED | _LENGTH_16

_INVALID_TEXT: Final = "text is not valid UTF-8"

_OPCODES: Final = frozenset(Opcode)


def _decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")()


@dataclass(slots=True)
class _Partial:
    """A message of which something is still missing. `data` is unmasked, and valid UTF-8 so far if it is text."""

    opcode: Opcode
    data: bytearray = field(default_factory=bytearray)
    decoder: codecs.IncrementalDecoder = field(default_factory=_decoder)
    """Only checks, so that bad text is refused at its first bad byte; its output would take more room than `data`."""
    fin: bool = False
    """Whether the frame that is being read is the last one."""
    missing: int = 0
    """Bytes of the current frame's payload that have not arrived; 0 between frames."""
    mask: bytes = b""
    """The current frame's masking key, turned so that it starts at the next byte."""


class FrameParser:
    """Turns the bytes of one client into messages and control frames.

    Holds at most one unfinished message of `max_message_bytes` and one unfinished control frame. Time and memory are
    linear in the bytes, however they are cut.
    """

    __slots__ = ("_finished", "_inline_limit", "_max_message_bytes", "_partial", "_rest")

    def __init__(self, max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES) -> None:
        """`max_message_bytes` bounds the payload of a message, over all its fragments; at least 0."""
        self._max_message_bytes = max_message_bytes
        self._inline_limit = min(max_message_bytes, 0xFFFF)
        self._rest = b""
        """The start of a frame whose header, or whose whole if it is a control frame, has not arrived."""
        self._partial: _Partial | None = None
        self._finished = False

    @property
    def finished(self) -> bool:
        """True after a close frame or a failure: `feed` ignores what follows (RFC 6455 sections 1.4 and 7.1.7)."""
        return self._finished

    def feed(self, data: bytes) -> list[Incoming]:
        """Take what the socket gave and return, in order, what it completes: often nothing, sometimes hundreds.

        Raises `ProtocolFailure` when the client breaks a rule, as soon as the bytes show it.
        """
        if self._finished:
            return []
        if self._rest:
            data = self._rest + data
            self._rest = b""
        found: list[Incoming] = []
        try:
            self._parse(data, found)
        except _Fault as fault:
            self._finish()
            raise ProtocolFailure(fault.code, fault.reason, found) from None
        except UnicodeDecodeError:
            self._finish()
            raise ProtocolFailure(CloseCode.INVALID_TEXT, _INVALID_TEXT, found) from None
        return found

    def _finish(self) -> None:
        self._finished = True
        self._partial = None
        self._rest = b""

    def _parse(self, data: bytes, found: list[Incoming]) -> None:
        position = 0
        end = len(data)
        append = found.append
        limit = self._inline_limit
        if self._partial is not None and self._partial.missing:
            position = self._continue(self._partial, data, 0, found)
        while position < end:
            # A whole text frame, seen from here without a call; 8 is the longest header looked at. Any that is not
            # whole, or breaks a rule, fails one of these tests and is judged below.
            if end - position >= 8 and data[position] == _WHOLE_TEXT and self._partial is None:
                second = data[position + 1]
                length = second - _MASKED
                start = position + 6
                if second == _MASKED_16:
                    length = data[position + 2] << 8 | data[position + 3]
                    start = position + 8
                    if length < _LENGTH_16:
                        length = -1
                stop = start + length
                if 0 <= length <= limit and stop <= end and second <= _MASKED_16:
                    append(apply_mask(data[start:stop], data[start - 4 : start]).decode())
                    position = stop
                    continue
            after = self._frame(data, position, found)
            if after < 0:
                self._rest = data[position:]
                return
            if self._finished:
                return
            position = after

    def _frame(self, data: bytes, position: int, found: list[Incoming]) -> int:
        """Judge the frame at `position` and take what is there of it; return where to go on, -1 to wait for more.

        Each rule is applied as soon as its bytes are there, so that a client that waits for an answer to a bad header
        gets it, and no room is made for a message that is too big.
        """
        available = len(data) - position
        opcode, fin = self._judge_first(data[position])
        if available < 2:
            return -1
        second = data[position + 1]
        length = second & 0x7F
        if not second & _MASKED:
            raise _Fault(CloseCode.PROTOCOL_ERROR, "client frame is not masked")
        if opcode >= Opcode.CLOSE and length > MAX_CONTROL_BYTES:
            raise _Fault(CloseCode.PROTOCOL_ERROR, "control frame is too long")
        start = position + 2
        if length == _LENGTH_16:
            if available < 4:
                return -1
            (length,) = struct.unpack_from("!H", data, start)
            start += 2
            if length < _LENGTH_16:
                raise _Fault(CloseCode.PROTOCOL_ERROR, "length is not in its shortest form")
        elif length == _LENGTH_64:
            if available < 10:
                return -1
            (length,) = struct.unpack_from("!Q", data, start)
            start += 8
            if length >> 63:
                raise _Fault(CloseCode.PROTOCOL_ERROR, "length has its top bit set")
            if length <= 0xFFFF:
                raise _Fault(CloseCode.PROTOCOL_ERROR, "length is not in its shortest form")
        if opcode < Opcode.CLOSE:
            gathered = len(self._partial.data) if self._partial is not None else 0
            if gathered + length > self._max_message_bytes:
                raise _Fault(CloseCode.TOO_BIG, f"message exceeds {self._max_message_bytes} bytes")
        start += 4
        if start > len(data):
            return -1
        mask = data[start - 4 : start]
        if opcode >= Opcode.CLOSE:
            stop = start + length
            if stop > len(data):
                return -1
            control = self._control(opcode, apply_mask(data[start:stop], mask))
            if opcode is Opcode.PING and len(found) >= PINGS_AT_ONCE and isinstance(found[-1], Ping):
                found[-1] = control  # a flood; RFC 6455 section 5.5.3: only the newest ping needs an answer
            else:
                found.append(control)
            return stop
        partial = self._partial
        if partial is None:
            stop = start + length
            if fin and stop <= len(data):  # nothing to keep for later
                payload = apply_mask(data[start:stop], mask)
                found.append(payload.decode() if opcode is Opcode.TEXT else payload)
                return stop
            partial = self._partial = _Partial(opcode)
        partial.fin = fin
        partial.mask = mask
        partial.missing = length
        return self._continue(partial, data, start, found)

    def _judge_first(self, first: int) -> tuple[Opcode, bool]:
        """RFC 6455 sections 5.2 and 5.4: what the first byte may be, given what came before."""
        number = first & 0x0F
        fin = bool(first & _FIN)
        if first & _RESERVED_BITS:
            raise _Fault(CloseCode.PROTOCOL_ERROR, "reserved bit is set")
        if number not in _OPCODES:
            raise _Fault(CloseCode.PROTOCOL_ERROR, f"reserved opcode {number:#x}")
        opcode = Opcode(number)
        if opcode >= Opcode.CLOSE:
            if not fin:
                raise _Fault(CloseCode.PROTOCOL_ERROR, "control frame is fragmented")
        elif opcode is Opcode.CONTINUATION:
            if self._partial is None:
                raise _Fault(CloseCode.PROTOCOL_ERROR, "continuation of nothing")
        elif self._partial is not None:
            raise _Fault(CloseCode.PROTOCOL_ERROR, "message starts inside another")
        return opcode, fin

    def _continue(self, partial: _Partial, data: bytes, start: int, found: list[Incoming]) -> int:
        """Take the part of the current frame's payload that is there; return where it ends."""
        stop = min(start + partial.missing, len(data))
        taken = stop - start
        piece = apply_mask(data[start:stop], partial.mask)
        partial.missing -= taken
        complete = partial.fin and not partial.missing
        if partial.opcode is Opcode.TEXT:
            partial.decoder.decode(piece, complete)
        partial.data += piece
        if complete:
            found.append(partial.data.decode() if partial.opcode is Opcode.TEXT else bytes(partial.data))
            self._partial = None
        elif partial.missing:
            turn = taken % 4
            partial.mask = partial.mask[turn:] + partial.mask[:turn]
        return stop

    def _control(self, opcode: Opcode, payload: bytes) -> Ping | Pong | Close:
        if opcode is Opcode.PING:
            return Ping(payload)
        if opcode is Opcode.PONG:
            return Pong(payload)
        close = _parse_close(payload)
        self._finish()
        return close


def _parse_close(payload: bytes) -> Close:
    """RFC 6455 sections 5.5.1 and 7.4: nothing, or a code that may be sent and a reason in UTF-8."""
    if not payload:
        return Close()
    if len(payload) == 1:
        raise _Fault(CloseCode.PROTOCOL_ERROR, "close frame has half a code")
    code = payload[0] << 8 | payload[1]
    if not _may_be_sent(code):
        raise _Fault(CloseCode.PROTOCOL_ERROR, f"close code {code} may not be sent")
    return Close(code, payload[2:].decode())


def _may_be_sent(code: int) -> bool:
    """Whether a close code may be on the wire: registered ones but 1004, 1005, 1006, 1015, and those of applications.

    RFC 6455 section 7.4.2; 1012 to 1014 were registered after it.
    """
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


# --- frames out ---


_pack_16: Final = struct.Struct("!BBH").pack


def _header(opcode: Opcode, fin: bool, length: int) -> bytes:
    first = (_FIN if fin else 0) | opcode
    if length < _LENGTH_16:
        return bytes((first, length))
    if length <= 0xFFFF:
        return _pack_16(first, _LENGTH_16, length)
    return struct.pack("!BBQ", first, _LENGTH_64, length)


_SHORT_TEXT_HEADERS: Final = tuple(_header(Opcode.TEXT, True, length) for length in range(_LENGTH_16))


def frame_text(payload: bytes) -> bytes:
    """One unfragmented text message. `payload` is UTF-8, which is not checked here."""
    length = len(payload)
    if length < _LENGTH_16:
        return _SHORT_TEXT_HEADERS[length] + payload
    if length <= 0xFFFF:  # most events: without a call of `_header`
        return _pack_16(_WHOLE_TEXT, _LENGTH_16, length) + payload
    return _header(Opcode.TEXT, True, length) + payload


class WebSocketText:
    """Bodies as text messages, one each. A `Carrier`."""

    per_session = False

    def frame(self, body: bytes, event: Event | None, transport: Transport | None) -> bytes:  # noqa: ARG002
        """See `Carrier`. The body is UTF-8, which is not checked here."""
        length = len(body)
        if _LENGTH_16 <= length <= 0xFFFF:  # most events: without a call of `frame_text`
            return _pack_16(_WHOLE_TEXT, _LENGTH_16, length) + body
        return frame_text(body)


WEB_SOCKET: Final = WebSocketText()


def frame(opcode: Opcode, payload: bytes, fin: bool = True) -> bytes:
    """Any frame as a server sends it: not masked. Raises ValueError for a control frame the RFC does not allow."""
    if opcode >= Opcode.CLOSE and (len(payload) > MAX_CONTROL_BYTES or not fin):
        raise ValueError(f"a control frame is whole and holds at most {MAX_CONTROL_BYTES} bytes")
    return _header(opcode, fin, len(payload)) + payload


def close_frame(code: int | None = None, reason: str = "") -> bytes:
    """A close frame; without a code, an empty one. A reason that does not fit is cut at a character's end.

    Raises ValueError for a code that may not be sent.
    """
    if code is None:
        return frame(Opcode.CLOSE, b"")
    if not _may_be_sent(code):
        raise ValueError(f"close code {code} may not be sent")
    words = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore").encode()
    return frame(Opcode.CLOSE, struct.pack("!H", code) + words)


# --- the opening handshake ---


def wants_websocket(head: RequestHead) -> bool:
    """Whether a request asks for a WebSocket, well or badly: its Upgrade header names the protocol."""
    return "websocket" in head.tokens("upgrade")


def accept_upgrade(head: RequestHead) -> bytes:
    """Check a client's opening handshake (RFC 6455 section 4.2.1) and return the 101 response to it.

    Extensions and subprotocols that it offers are left out of the answer, which declines them (sections 4.2.2 and 9.1).
    Raises `HandshakeRefused`.
    """
    if head.method != "GET":
        raise HandshakeRefused(
            HTTPStatus.METHOD_NOT_ALLOWED, "a WebSocket is opened with GET", headers=(("Allow", "GET"),)
        )
    if head.http_version != "1.1":
        raise HandshakeRefused(HTTPStatus.BAD_REQUEST, "a WebSocket needs HTTP/1.1")
    for name in ("host", "sec-websocket-key", "sec-websocket-version"):
        if head.count(name) > 1:
            raise HandshakeRefused(HTTPStatus.BAD_REQUEST, f"header {name} is repeated")
    if not wants_websocket(head):
        raise HandshakeRefused(HTTPStatus.UPGRADE_REQUIRED, "this is a WebSocket endpoint", headers=_UPGRADE_HEADERS)
    if head.header("sec-websocket-version") != VERSION:
        raise HandshakeRefused(
            HTTPStatus.UPGRADE_REQUIRED, f"only WebSocket version {VERSION} is spoken here", headers=_UPGRADE_HEADERS
        )
    if "upgrade" not in head.tokens("connection"):
        raise HandshakeRefused(HTTPStatus.BAD_REQUEST, "header connection does not name upgrade")
    if head.header("content-length") not in (None, "0") or head.header("transfer-encoding") is not None:
        # The bytes of a body would be taken for frames.
        raise HandshakeRefused(HTTPStatus.BAD_REQUEST, "an opening handshake has no body")
    key = (head.header("sec-websocket-key") or "").encode("latin-1")
    try:
        nonce = base64.b64decode(key, validate=True)
    except binascii.Error:
        nonce = b""
    if len(nonce) != _KEY_BYTES:
        raise HandshakeRefused(HTTPStatus.BAD_REQUEST, f"header sec-websocket-key is not base64 of {_KEY_BYTES} bytes")
    # SHA-1 is what the protocol prescribes; it proves that the server speaks it and protects nothing.
    accept = base64.b64encode(hashlib.sha1(key + _ACCEPT_GUID, usedforsecurity=False).digest())
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + accept,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


_UPGRADE_HEADERS: Final = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", VERSION))
"""RFC 9110 section 15.5.22 and RFC 6455 section 4.4: what to ask for instead."""
