"""An HTTP request and its answer, as plain values. No server, no framework: both servers speak these.

The server decodes everything but the body as latin-1, so nothing is lost: `path` and `query` are what was on the wire,
still percent-encoded. Whoever needs text out of them decodes it (`routing`, `decoding`).
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Final, Protocol

import msgspec

from chinwag.engine.connections.admission import Admitted

Header = tuple[str, str]


class BodySource(Protocol):
    """A server's side of a body that is still to come. It is read by one task."""

    @property
    def declared_bytes(self) -> int | None:
        """The Content-Length; None when only the end will tell."""
        ...

    async def read(self) -> bytes:
        """The next piece, b"" at the end and from then on.

        The first call tells a client that waits for it (Expect: 100-continue) to go on. Raises `BodyTimeout`,
        `IncompleteBody` and `MalformedRequest`; after any of them nothing more is to be read.
        """
        ...


class Content(Protocol):
    """The body of an answer, read while it is sent."""

    @property
    def size_bytes(self) -> int:
        """The Content-Length."""
        ...

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """Its pieces, together `size_bytes`. Whoever iterates closes the generator."""
        ...


class EventStream(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an answer that takes over the connection: what a session is told, for as long as it lasts. Somebody
    has to serve the session, or abandon it. `greeting` are bodies in its dialect."""

    admitted: Admitted
    greeting: tuple[bytes, ...] = ()


class FixedHeaders:
    """Headers that many answers share, made ready once for both servers."""

    __slots__ = ("headers", "lines", "raw")

    def __init__(self, *headers: Header) -> None:
        """Names are in lower case."""
        self.headers = headers
        self.lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        """As they stand in a head of HTTP/1.1."""
        self.raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        """As an ASGI server takes them."""


NOSNIFF: Final[Header] = ("x-content-type-options", "nosniff")
NO_REFERRER: Final[Header] = ("referrer-policy", "no-referrer")
"""Addresses of pages and files may hold a token or a signature: they are told to nobody."""
HSTS: Final[Header] = ("strict-transport-security", "max-age=31536000")
"""A year in which a browser asks this host by https alone. Said over https only, as RFC 6797 section 7.2 wants it."""
API_HEADERS: Final = FixedHeaders(NOSNIFF, NO_REFERRER, ("content-security-policy", "frame-ancestors 'none'"))
"""What every answer has that has nothing stricter."""


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request, complete with its body, unless that is a `stream`: then `body` is empty, and the handler reads it.

    `method` is in capitals. `query` comes without its question mark. `headers` has lower-case names; a header that came
    more than once is joined by ", ". `host` is the Host header as sent, "" when there was none; `client` the peer's
    address, whose limits the request counts for when it has no token.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""
    host: str = ""
    client: str = ""
    secure: bool = False
    stream: BodySource | None = None

    @property
    def origin(self) -> str:
        """Where the client found this server: "https://example.org"."""
        return f"https://{self.host}" if self.secure else f"http://{self.host}"


class HttpResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. `headers` is complete up to what belongs to the connection (Date, Connection): the answer to HEAD has
    the Content-Length of the GET and no body, so a server sends both as they are. With `content` that is the body; with
    `events` they follow `body`, and the answer has no length. `fixed` are further headers, and none of `headers`."""

    status: int
    headers: list[Header]
    fixed: FixedHeaders = API_HEADERS
    body: bytes = b""
    content: Content | None = None
    events: EventStream | None = None
