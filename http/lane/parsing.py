"""The head of an HTTP/1.1 request, parsed by httptools and judged by RFC 9112. No I/O.

A head is parsed whole, by a parser of its own: nothing of one request can leak into the next, and a connection that is
idle holds no parser. llhttp, which httptools wraps, is strict about field lines (bare CR or LF, NUL and other control
characters, blanks before the colon, folded lines) and about Content-Length. What it lets pass is judged here: the form
of the request line, HTTP/0.9, other protocols' names, transfer codings, Host, and the forms of a target.
"""

import re
from typing import Final
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser

from chinwag.http.api.cors import METHODS
from chinwag.http.api.refusals import (
    ExpectationFailed,
    HeadTooLarge,
    MalformedRequest,
    MethodNotAllowed,
    VersionNotSupported,
)
from chinwag.http.api.values import BodySource, HttpRequest
from chinwag.http.lane.head import RequestHead

HEAD_END: Final = b"\r\n\r\n"

MAX_FIELDS: Final = 100
"""More header fields than any client sends; each costs a call back from the parser."""

MAX_EMPTY_LINES: Final = 8
"""How many empty lines before a request line are overlooked: RFC 9112 section 2.2 asks for at least one."""

CHUNKED: Final = -1
"""The length of a body that is sent in chunks."""

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!\x22$-~]+) HTTP/(\d)\.(\d)\r\n")
_ABSOLUTE_FORM = re.compile(r"https?://([^/?#@]*)", re.IGNORECASE)
HOST: Final = re.compile(
    r"(?:\[[0-9A-Za-z._~!$&'()*+,;=:-]+\]|(?:[0-9A-Za-z._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?"
)
"""A host, an address of IPv6 in brackets, and a port if there is one (RFC 3986, section 3.2)."""
_HOST_LINE = re.compile(rb"\r\nhost:[ \t]*([!-~]*)[ \t]*\r\n", re.IGNORECASE)

_NAMES: Final[dict[bytes, str]] = {}
"""Field names as they came, and as they are used. Filled with the first that come, and never beyond `_MAX_NAMES`."""
_MAX_NAMES: Final = 512


class LaneHead:
    """A request head that passed. `length` is that of the body, `CHUNKED` when only the body itself will tell."""

    __slots__ = ("expects_continue", "fields", "headers", "host", "keep_alive", "length", "method", "target", "version")

    def __init__(self, method: str, target: str, version: str) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.fields: list[tuple[str, str]] = []
        """As they came, names in lower case."""
        self.headers: dict[str, str] = {}
        """By name; fields that came more than once are joined by ", "."""
        self.host = ""
        self.length = 0
        self.keep_alive = True
        self.expects_continue = False

    # --- httptools' callbacks ---

    def on_header(self, raw_name: bytes, raw_value: bytes) -> None:
        name = _NAMES.get(raw_name)
        if name is None:
            name = raw_name.decode("latin-1").lower()
            if len(_NAMES) < _MAX_NAMES:
                _NAMES[raw_name] = name
        value = raw_value.decode("latin-1").strip(" \t")
        self.fields.append((name, value))
        headers = self.headers
        headers[name] = f"{headers[name]}, {value}" if name in headers else value

    # --- what it is good for ---

    def resolved_fields(self) -> list[tuple[str, str]]:
        """The fields, with the host that counts: that of an absolute target goes before the header's."""
        return [(name, self.host if name == "host" else value) for name, value in self.fields]

    @property
    def wants_websocket(self) -> bool:
        """Whether the request asks for a WebSocket, well or badly."""
        upgrade = self.headers.get("upgrade")
        return upgrade is not None and "websocket" in _tokens(upgrade)

    def request(
        self, body: bytes, client: str, stream: BodySource | None = None, *, secure: bool = False
    ) -> HttpRequest:
        """The request with its body."""
        path, _, query = self.target.partition("?")
        return HttpRequest(
            method=self.method,
            path=path,
            query=query,
            headers=self.headers,
            body=body,
            host=self.host,
            client=client,
            secure=secure,
            stream=stream,
        )

    def as_request_head(self) -> RequestHead:
        """The same as the gateway knows it."""
        path, _, query = self.target.partition("?")
        return RequestHead(
            method=self.method,
            target=self.target,
            path=unquote(path),
            query=query,
            headers=tuple(self.resolved_fields()),
            http_version=self.version,
        )


def parse_lane_head(data: bytes) -> LaneHead:
    """Parse a head: from the request line to the empty line, both included, and nothing else.

    Raises `HttpRefusal`s: after any of them the rest of the connection has no meaning. `data` has no empty line before
    its end.
    """
    line = _REQUEST_LINE.match(data)
    if line is None:
        raise MalformedRequest("the request line is malformed")
    method, target, major, minor = line.groups()
    if major != b"1" or minor not in b"01":
        raise VersionNotSupported("HTTP/1.1 is spoken here, and over TLS also HTTP/2")
    head = LaneHead(method.decode("ascii"), target.decode("ascii"), "1.1" if minor == b"1" else "1.0")
    _parse_fields(head, data)
    headers = head.headers
    if len(head.fields) > MAX_FIELDS:
        raise HeadTooLarge(f"the request has more than {MAX_FIELDS} header fields")
    host = headers.get("host")
    if host is None:
        if head.version == "1.1":
            raise MalformedRequest("the Host header is missing")
    elif len(head.fields) != len(headers) and sum(name == "host" for name, _ in head.fields) > 1:
        raise MalformedRequest("the Host header is repeated")
    elif HOST.fullmatch(host) is None:
        raise MalformedRequest("the Host header is malformed")
    else:
        head.host = host
    if not head.target.startswith("/"):
        _resolve_target(head)
    _judge_framing(head)
    if "connection" in headers:
        options = _tokens(headers["connection"])
        head.keep_alive = "close" not in options and (head.version == "1.1" or "keep-alive" in options)
    else:
        head.keep_alive = head.version == "1.1"
    return head


def _parse_fields(head: LaneHead, data: bytes) -> None:
    """Let httptools take the head apart into `head`, and judge it."""
    try:
        HttpRequestParser(head).feed_data(data)
    except HttpParserUpgrade:
        return  # whether there is an upgrade, and to what, is decided elsewhere
    except HttpParserInvalidMethodError:
        # A method that llhttp does not know is for the application to refuse, as it does for any that it has not.
        if head.method == "GET":
            raise MalformedRequest("the request line is malformed") from None
        method, head.method = head.method, "GET"
        _parse_fields(head, b"GET" + data[len(method) :])
        head.method = method
    except HttpParserError as error:
        raise MalformedRequest(f"the request is malformed: {str(error)[:100]}") from None


def _resolve_target(head: LaneHead) -> None:
    """RFC 9112 section 3.2: a target that is not a path. Of an absolute one, the authority counts, not Host."""
    if head.target == "*" and head.method == "OPTIONS":
        return
    if head.method == "CONNECT":
        raise MethodNotAllowed(METHODS)
    absolute = _ABSOLUTE_FORM.match(head.target)
    if absolute is None or not absolute[1] or HOST.fullmatch(absolute[1]) is None:
        raise MalformedRequest("the request's target is malformed")
    rest = head.target[absolute.end() :]
    if rest.startswith(("#", "@")):
        raise MalformedRequest("the request's target is malformed")
    head.host = absolute[1]
    head.target = rest if rest.startswith("/") else f"/{rest}"


def _judge_framing(head: LaneHead) -> None:
    """RFC 9112 sections 6.1 and 6.3: where the body ends, beyond doubt. llhttp refused both lengths at once already."""
    headers = head.headers
    length = headers.get("content-length")
    if length is not None:
        head.length = declared_length(length)
    coding = headers.get("transfer-encoding")
    if coding is not None:
        if length is not None:
            raise MalformedRequest("the request has a Content-Length and a Transfer-Encoding")
        if head.version == "1.0":
            raise MalformedRequest("HTTP/1.0 has no Transfer-Encoding")
        if coding.lower() != "chunked":
            raise MalformedRequest("the only Transfer-Encoding that is taken is chunked")
        head.length = CHUNKED
    expect = headers.get("expect")
    if expect is not None and head.version == "1.1":
        if expect.lower() != "100-continue":
            raise ExpectationFailed
        head.expects_continue = True


def declared_length(value: str) -> int:
    """What a Content-Length header says. Any number of zeros may come first; nobody has a body of more digits.

    Raises `MalformedRequest`, for a list of equal lengths too.
    """
    if not (value.isascii() and value.isdecimal()):
        raise MalformedRequest("the Content-Length header is malformed")
    return int((value.lstrip("0") or "0")[:20])


def _tokens(value: str) -> set[str]:
    return {token.strip(" \t") for token in value.lower().split(",")}


# --- before a head is whole ---


def skip_empty_lines(data: bytes) -> bytes:
    """`data` without the empty lines that it begins with; all of it when nothing else has come yet.

    Raises `MalformedRequest` for too many, and for anything like a line end that is none.
    """
    rest = data.lstrip(b"\r\n")
    skipped = data[: len(data) - len(rest)]
    lines, half = divmod(len(skipped), 2)
    if lines > MAX_EMPTY_LINES or skipped != b"\r\n" * lines + b"\r"[:half] or (half and rest):
        raise MalformedRequest("the request line is malformed")
    return rest or data


def judge_unfinished(data: bytes, max_bytes: int) -> None:
    """Raise what is certain already about the beginning of a head, so that nobody has to wait for the time limit."""
    if len(data) >= max_bytes:
        raise HeadTooLarge(f"the request's head is larger than {max_bytes} bytes")
    if data[0] >= 0x7F or data[0] <= 0x20:  # a TLS client's first byte, for one
        raise MalformedRequest("this is not HTTP")
    if data.count(b"\n") != data.count(b"\r\n"):
        raise MalformedRequest("a line does not end with CR LF")


def guess_request(data: bytes, *, secure: bool) -> HttpRequest | None:
    """What a request that is refused was about, for the shape of the refusal; None when it cannot be told."""
    line = re.match(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) +(?:https?://[^/? ]*)?(/[!-~]*)", data)
    if line is None:
        return None
    host = _HOST_LINE.search(data)
    path, _, query = line[2].decode("ascii").partition("?")
    return HttpRequest(
        method=line[1].decode("ascii"),
        path=path,
        query=query,
        host="" if host is None else host[1].decode("ascii"),
        secure=secure,
    )
