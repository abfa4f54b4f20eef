"""HTTP/1.1 requests on their way to another parser: judged by the lane's rules, and rewritten in one form. No I/O.

Two parsers that read the same bytes differently are how requests get past checks. So what goes on to the other one is
not what came, but what was understood: one request line, one field per line, one length or chunks without extensions.
What the lane would refuse is refused here, whatever the other parser thinks of it: in its place comes a line that no
parser takes, so that the refusal stands where it belongs, after the answers to the requests before it.
"""

import sys
from collections import deque
from collections.abc import Callable
from typing import Final

from chinwag.http.api.refusals import BodyTooLarge, HeadTooLarge, HttpRefusal, MalformedRequest
from chinwag.http.api.values import HttpRequest
from chinwag.http.lane.chunked import ChunkedBody
from chinwag.http.lane.parsing import (
    CHUNKED,
    HEAD_END,
    LaneHead,
    guess_request,
    judge_unfinished,
    parse_lane_head,
    skip_empty_lines,
)

POISON: Final = b"\x00\r\n\r\n"
"""No request line and no chunk's size."""


class RequestFilter:
    """One connection's requests, as they come."""

    def __init__(self, max_head_bytes: int, opens_socket: Callable[[HttpRequest], bool], *, secure: bool) -> None:
        """`opens_socket` says whether a WebSocket may be asked for where it is; else the upgrade is ignored.
        `secure`: whether the connection is inside TLS."""
        self.secure = secure
        self._max_head_bytes = max_head_bytes
        self._opens_socket = opens_socket
        self._unread = b""
        """The beginning of a head."""
        self._missing = 0
        """Bytes of a body of declared length that have not come."""
        self._chunks: ChunkedBody | None = None
        self._chunked_request: HttpRequest | None = None
        self.heads: deque[LaneHead] = deque()
        """Of the requests that were passed on, for who serves them to take, each once."""
        self.ended = False
        """Whether nothing is passed on any more."""
        self.left = False
        """Whether the client has said that nothing more comes."""
        self.refusal: HttpRefusal | None = None
        """Why, when it was for what the client sent."""
        self.refused: HttpRequest | None = None
        """What was refused, as far as that can be told."""
        self.upgraded = False
        """Whether a WebSocket was asked for: what follows is no HTTP, and is passed on as it is."""

    @property
    def in_head(self) -> bool:
        """Whether a head has begun to arrive and is not whole."""
        return self._unread.strip(b"\r\n") != b""

    def feed(self, data: bytes) -> bytes:
        """Take what came, and return what may be passed on: often less, at a head's end more. b"" for nothing."""
        return data if self.upgraded else self._judge(data)

    def refuse(self, refusal: HttpRefusal) -> bytes:
        """Refuse what is arriving, or what was to arrive: the bytes to pass on instead. Nothing else is taken then."""
        self.ended = True
        self.refusal = refusal
        self.refused = (
            guess_request(self._unread, secure=self.secure) if self._chunks is None else self._chunked_request
        )
        self._unread = b""
        return POISON

    def _judge(self, data: bytes) -> bytes:
        passed: list[bytes] = []
        try:
            while data and not self.ended and not self.upgraded:
                if self._missing:
                    piece = data[: self._missing]
                    passed.append(piece)
                    self._missing -= len(piece)
                    data = data[len(piece) :]
                elif self._chunks is not None:
                    data = self._feed_chunks(self._chunks, data, passed)
                else:
                    data = self._feed_head(self._unread + data, passed)
        except HttpRefusal as refusal:
            passed.append(self.refuse(refusal))
        if self.upgraded:
            passed.append(data)
        return b"".join(passed)

    def _feed_head(self, data: bytes, passed: list[bytes]) -> bytes:
        """Take a head, if it is whole; what comes after it."""
        self._unread = data
        self._unread = data = skip_empty_lines(data)
        if data[0] in b"\r\n":
            return b""
        end = data.find(HEAD_END)
        if end < 0:
            judge_unfinished(data, self._max_head_bytes)
            return b""
        end += len(HEAD_END)
        if end > self._max_head_bytes:
            raise HeadTooLarge(f"the request's head is larger than {self._max_head_bytes} bytes")
        head = parse_lane_head(data[:end])
        self._unread = b""
        self.heads.append(head)
        passed.append(_written(head))
        if head.length == CHUNKED:
            self._chunks = ChunkedBody(sys.maxsize)  # how long it may be is for who reads it to say
            self._chunked_request = head.request(b"", "", secure=self.secure)
        else:
            self._missing = head.length
        self.upgraded = head.wants_websocket and self._opens_socket(head.request(b"", ""))
        return data[end:]

    def _feed_chunks(self, chunks: ChunkedBody, data: bytes, passed: list[bytes]) -> bytes:
        """Take a part of a chunked body; what comes after its end."""
        try:
            rest = chunks.feed(data)
        except BodyTooLarge:  # of a size that no memory has
            raise MalformedRequest("a chunk's size is malformed") from None
        finally:
            piece = chunks.take()
            if piece:
                passed.append(b"%x\r\n%b\r\n" % (len(piece), piece))
        if rest is None:
            return b""
        passed.append(b"0\r\n\r\n")
        self._chunks = None
        self._chunked_request = None
        return rest


def _written(head: LaneHead) -> bytes:
    """A head in the form that is passed on."""
    lines = [f"{head.method} {head.target} HTTP/{head.version}"]
    lines += [f"{name}: {value}" for name, value in head.resolved_fields() if name != "content-length"]
    if "content-length" in head.headers:
        lines.append(f"content-length: {head.length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
