"""An HTTP/1.1 request head as frozen values, and how it is parsed. No I/O.

The rules of RFC 9112 are h11's; this module adds what a listener needs to choose a server for the connection before any
of them has seen the request.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote

import h11
import msgspec

from chinwag.http.messages import API_HEADERS

HEAD_END = re.compile(rb"\n\r?\n")
"""The empty line after the header fields, as h11 finds it: RFC 9112 section 2.2 lets a lone LF end a line."""

_ABSOLUTE_FORM = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
"""Scheme and authority of a target in absolute form, which RFC 9112 section 3.2.2 obliges a server to accept."""


class BadRequest(Exception):
    """The bytes are not a request this server can take. Answer `status` with `message`, then close."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHead:
    """Request line and header fields, before anything is known of a body."""

    method: str
    """As sent: methods are case-sensitive (RFC 9110 section 9.1)."""
    target: str
    """The request target, raw: "/a%20b?c=d"; "*" for a server-wide OPTIONS; host and port for CONNECT."""
    path: str
    """The target's path, percent-decoded once, U+FFFD where that is not UTF-8. "/" if an absolute target has none."""
    query: str
    """What follows the first "?", raw and without it; "" when there is none."""
    headers: tuple[tuple[str, str], ...]
    """Names in lower case, values as Latin-1 and without surrounding blanks, in the order of arrival."""
    http_version: str
    """ "1.0" or "1.1" (or another version that h11 lets pass, such as the "2.0" of an HTTP/2 preface)."""

    def header(self, name: str) -> str | None:
        """The value of a header field, None when it is absent. `name` is lower case.

        Several lines of one field are joined with ", " (RFC 9110 section 5.3), so that whoever expects one value never
        takes the first of two for it.
        """
        values = [value for known, value in self.headers if known == name]
        return ", ".join(values) if values else None

    def count(self, name: str) -> int:
        """How many lines carry this field. `name` is lower case."""
        return sum(known == name for known, _ in self.headers)

    def tokens(self, name: str) -> frozenset[str]:
        """The members of a field that is a list of tokens, such as Connection or Upgrade, in lower case."""
        members = (self.header(name) or "").split(",")
        return frozenset(token for member in members if (token := member.strip().lower()))


def parse_head(data: bytes) -> RequestHead:
    """Parse a whole request head, from the request line to the empty line. What follows it is not looked at.

    Raises `BadRequest`: 400 when it breaks RFC 9112 or is incomplete, 501 for a transfer coding other than chunked.
    """
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=max(len(data), 1))
    try:
        connection.receive_data(data)
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        status = error.error_status_hint
        message = "unsupported transfer coding" if status == HTTPStatus.NOT_IMPLEMENTED else "malformed request head"
        raise BadRequest(status, message) from error
    if not isinstance(event, h11.Request):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "incomplete request head")
    target = event.target.decode("ascii")
    origin_form = target
    absolute = _ABSOLUTE_FORM.match(target)
    if absolute is not None:
        origin_form = target[absolute.end() :]
        if not origin_form.startswith("/"):
            origin_form = "/" + origin_form
    elif not target.startswith("/") and target != "*" and event.method != b"CONNECT":
        raise BadRequest(HTTPStatus.BAD_REQUEST, "malformed request target")
    path, _, query = origin_form.partition("?")
    return RequestHead(
        method=event.method.decode("ascii"),
        target=target,
        path=unquote(path),
        query=query,
        headers=tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in event.headers),
        http_version=event.http_version.decode("ascii"),
    )


def refusal(status: int, message: str, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """A whole HTTP/1.1 response that says no and ends the connection: a JSON object with one member, "error"."""
    body = msgspec.json.encode({"error": message})
    extra = tuple(headers)
    # RFC 9110 section 7.8: whoever sends Upgrade must name it in Connection too.
    upgrades = any(name.lower() == "upgrade" for name, _ in extra)
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close, Upgrade" if upgrades else "Connection: close",
        *(f"{name}: {value}" for name, value in (*API_HEADERS.headers, *extra)),
        "\r\n",
    ]
    return "\r\n".join(lines).encode("latin-1") + body
