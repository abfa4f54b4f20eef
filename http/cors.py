"""Cross-origin requests, by the Fetch standard. No credentials: tokens travel in headers, so any origin may ask."""

import re
from collections.abc import Mapping, Sequence

from chinwag.http.messages import Header

MAX_AGE_S = 7200
"""How long a browser may remember a preflight's answer; Chromium allows no more."""
DEFAULT_HEADERS = "authorization, content-type, x-auth-token, idempotency-key"
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_HEADER_LIST = re.compile(r"[\w!#$%&'*+.^`|~-]+(\s*,\s*[\w!#$%&'*+.^`|~-]+)*", re.ASCII)


class Cors:
    """Which origins may read answers. None given: any."""

    def __init__(self, origins: Sequence[str] = ()) -> None:
        """`origins` as a browser sends them: `https://chat.example.org`."""
        self._any = not origins or "*" in origins
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)

    def headers(self, origin: str | None) -> list[Header]:
        """The headers that any answer gets, errors too. `origin` is the request's Origin header."""
        if self._any:
            if origin is None:
                return []
            return [("access-control-allow-origin", "*"), ("access-control-expose-headers", "*")]
        headers = [("vary", "Origin")]
        if origin is not None and origin.lower() in self._origins:
            headers += [("access-control-allow-origin", origin), ("access-control-expose-headers", "*")]
        return headers

    def preflight(self, headers: Mapping[str, str], methods: str) -> list[Header]:
        """More headers for the answer to a preflight; `methods` is the resource's Allow value."""
        asked = headers.get("access-control-request-headers", "")
        return [
            ("access-control-allow-methods", methods),
            ("access-control-allow-headers", asked if _HEADER_LIST.fullmatch(asked) else DEFAULT_HEADERS),
            ("access-control-max-age", str(MAX_AGE_S)),
        ]
