"""Cross-origin requests, by the Fetch standard. No credentials: tokens travel in headers, so any origin may ask."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import idna

from chinwag.http.api.values import Header

MAX_AGE_S = 7200
"""How long a browser may remember a preflight's answer; Chromium allows no more."""
DEFAULT_HEADERS = "authorization, content-type, x-auth-token, idempotency-key"
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HEADER_LIST = re.compile(r"[\w!#$%&'*+.^`|~-]+(\s*,\s*[\w!#$%&'*+.^`|~-]+)*", re.ASCII)


def canonical_origin(origin: str) -> str | None:
    """An origin as all its spellings are compared (RFC 6454 section 6.2): scheme, host and port; None for what is none,
    such as "null"."""
    try:
        parts = urlsplit(origin.strip().rstrip("/"))
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not parts.scheme or not host or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except UnicodeError:
            return None
    default = _DEFAULT_PORTS.get(parts.scheme)
    return f"{parts.scheme}://{host}:{default if port is None else port}"


class Cors:
    """Which origins may read answers. None given: any."""

    def __init__(self, origins: Sequence[str] = ()) -> None:
        """`origins` as a browser sends them: `https://chat.example.org`."""
        self._any = not origins or "*" in origins
        self._origins = frozenset(filter(None, map(canonical_origin, origins)))

    def headers(self, origin: str | None) -> list[Header]:
        """The headers that any answer gets, errors too. `origin` is the request's Origin header."""
        if self._any:
            if origin is None:
                return []
            return [("access-control-allow-origin", "*"), ("access-control-expose-headers", "*")]
        headers = [("vary", "Origin")]
        if origin is not None and canonical_origin(origin) in self._origins:
            headers += [("access-control-allow-origin", origin), ("access-control-expose-headers", "*")]
        return headers

    def lets_connect(self, origin: str | None) -> bool:
        """Whether a page of this origin may open a WebSocket, which no CORS header keeps it from. Who sends no Origin
        header is no browser, and no page uses it without its user's knowledge."""
        return self._any or origin is None or canonical_origin(origin) in self._origins

    def preflight(self, headers: Mapping[str, str], methods: str) -> list[Header]:
        """More headers for the answer to a preflight; `methods` is the resource's Allow value."""
        asked = headers.get("access-control-request-headers", "")
        return [
            ("access-control-allow-methods", methods),
            ("access-control-allow-headers", asked if _HEADER_LIST.fullmatch(asked) else DEFAULT_HEADERS),
            ("access-control-max-age", str(MAX_AGE_S)),
        ]
