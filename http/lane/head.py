"""An HTTP/1.1 request head as frozen values, and a response that refuses one. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from chinwag.http.api.values import API_HEADERS, HSTS


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
    """ "1.0" or "1.1"."""

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


def refusal(status: int, message: str, headers: Iterable[tuple[str, str]] = (), *, secure: bool = False) -> bytes:
    """A whole HTTP/1.1 response that says no and ends the connection: a JSON object with one member, "error".

    `secure` tells whether the client asked by https.
    """
    body = msgspec.json.encode({"error": message})
    extra = (*headers, HSTS) if secure else tuple(headers)
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
