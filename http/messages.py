"""An HTTP request and its answer, as plain values. No server, no framework: both servers speak these.

The server decodes everything but the body as latin-1, so nothing is lost: `path` and `query` are what was on the wire,
still percent-encoded. Whoever needs text out of them decodes it (`routing`, `requests`).
"""

from collections.abc import Mapping

import msgspec

Header = tuple[str, str]


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request, complete with its body.

    `method` is in capitals. `query` comes without its question mark. `headers` has lower-case names; a header that came
    more than once is joined by ", ". `host` is the Host header as sent, "" when there was none.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""
    host: str = ""


class HttpResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. `headers` is complete up to what belongs to the connection (Date, Connection): the answer to HEAD has
    the Content-Length of the GET and no body, so a server sends both as they are."""

    status: int
    headers: list[Header]
    body: bytes = b""
