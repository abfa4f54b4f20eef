"""The head of an HTTP/2 request, judged by the lane's rules. No I/O.

h2 has judged it already by RFC 9113: pseudo-header fields, fields that belong to a connection, names in lower case, one
host. What it lets pass is judged here, so that no request means anything over HTTP/2 that it would not over HTTP/1.1:
characters of methods, paths, hosts and values, lengths, and how much there may be of all that.
"""

import re
from collections.abc import Iterable
from typing import Final

from chinwag.http.api.cors import METHODS
from chinwag.http.api.refusals import ExpectationFailed, HeadTooLarge, HttpRefusal, MalformedRequest, MethodNotAllowed
from chinwag.http.api.values import BodySource, HttpRequest
from chinwag.http.carriers.websocket import VERSION
from chinwag.http.lane.parsing import HOST, MAX_FIELDS, declared_length

FIELD_BYTES: Final = 4
"""What a field takes in HTTP/1.1 beside its name and value: heads have one limit in both."""

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PATH = re.compile(rb"/[!\x22$-~]*")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


class Http2Head:
    """A request head that passed, or why it did not. `length` is that of the body, None when only its end will tell."""

    __slots__ = ("client", "expects_continue", "headers", "host", "length", "method", "refusal", "target", "websocket")

    def __init__(self, fields: Iterable[tuple[bytes, bytes]], *, client: str, max_bytes: int) -> None:
        """`fields` are as h2 has them, pseudo-header fields first; `max_bytes` bounds all of them together."""
        self.client = client
        self.method = "GET"
        self.target = "/"
        self.host = ""
        self.headers: dict[str, str] = {}
        """By name; fields that came more than once are joined by ", "."""
        self.length: int | None = None
        self.expects_continue = False
        self.websocket = False
        """Whether it asks for a WebSocket (RFC 8441)."""
        self.refusal: HttpRefusal | None = None
        try:
            self._read(list(fields), max_bytes)
        except HttpRefusal as refusal:
            self.refusal = refusal

    def request(self, body: bytes = b"", stream: BodySource | None = None) -> HttpRequest:
        """The request with its body. A refused one is what could be told of it until then."""
        path, _, query = self.target.partition("?")
        return HttpRequest(
            method="GET" if self.websocket else self.method,
            path=path,
            query=query,
            headers=self.headers,
            body=body,
            host=self.host,
            client=self.client,
            secure=True,
            stream=stream,
        )

    def _read(self, fields: list[tuple[bytes, bytes]], max_bytes: int) -> None:
        pseudo = {name: value for name, value in fields if name.startswith(b":")}
        method = pseudo[b":method"]
        path = pseudo.get(b":path", b"/")
        if _TOKEN.fullmatch(method) is None:
            raise MalformedRequest("the method is malformed")
        self.method = method.decode("ascii")
        if _PATH.fullmatch(path) is not None or (path == b"*" and method == b"OPTIONS"):
            self.target = path.decode("ascii")
        else:
            raise MalformedRequest("the request's target is malformed")
        if sum(len(name) + len(value) + FIELD_BYTES for name, value in fields) > max_bytes:
            raise HeadTooLarge(f"the request's head is larger than {max_bytes} bytes")
        if len(fields) > MAX_FIELDS:
            raise HeadTooLarge(f"the request has more than {MAX_FIELDS} header fields")
        self._read_fields(fields)
        self._read_host(pseudo.get(b":authority"))
        if pseudo.get(b":scheme", b"https") not in (b"https", b"http"):
            raise MalformedRequest("the scheme is neither https nor http")
        if "content-length" in self.headers:
            self.length = declared_length(self.headers["content-length"])
        expect = self.headers.get("expect")
        if expect is not None:
            if expect.lower() != "100-continue":
                raise ExpectationFailed
            self.expects_continue = True
        if method == b"CONNECT":
            self._read_connect(pseudo.get(b":protocol"))

    def _read_fields(self, fields: list[tuple[bytes, bytes]]) -> None:
        headers = self.headers
        for raw_name, raw_value in fields:
            if raw_name.startswith(b":"):
                continue
            if _TOKEN.fullmatch(raw_name) is None or _VALUE.fullmatch(raw_value) is None:
                raise MalformedRequest("a header field is malformed")
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1").strip(" \t")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value

    def _read_host(self, authority: bytes | None) -> None:
        """Of a request that has both, h2 has seen to it that they are the same."""
        host = self.headers.get("host", "") if authority is None else authority.decode("latin-1")
        if HOST.fullmatch(host) is None:
            raise MalformedRequest("the host is malformed")
        self.host = self.headers["host"] = host

    def _read_connect(self, protocol: bytes | None) -> None:
        if protocol != b"websocket":
            raise MethodNotAllowed(METHODS)
        if self.headers.get("sec-websocket-version") != VERSION:
            raise HttpRefusal(f"only WebSocket version {VERSION} is spoken here", (("sec-websocket-version", VERSION),))
        if self.length is not None:  # it would be taken for frames
            raise MalformedRequest("an opening handshake has no body")
        self.websocket = True
