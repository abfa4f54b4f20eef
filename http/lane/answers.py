"""An `HttpResponse` as the bytes of an HTTP/1.1 response."""

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from chinwag.http.api.values import HttpResponse

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_CLOSE: Final = "connection: close\r\n"
_KEEP_ALIVE: Final = "connection: keep-alive\r\n"


class Answers:
    """Encodes responses. Keeps the Date header for as long as it is true."""

    __slots__ = ("_date", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._date = ""

    def encode(self, response: HttpResponse, *, close: bool = False, keep_alive: bool = False) -> bytes:
        """A whole response. `close`: the last on its connection; `keep_alive`: say that it is not, to HTTP/1.0.

        Raises ValueError when a header holds a line end, or anything that is not Latin-1: it was made of something that
        should not have got so far.
        """
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._date = f"date: {formatdate(second, usegmt=True)}\r\n"
        headers = response.headers
        if close:
            headers = _ending(response)
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
        if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
            raise ValueError(f"a header of the answer holds a line end: {headers!r}")
        status_line = _STATUS_LINES.get(response.status) or f"HTTP/1.1 {response.status} \r\n"
        connection = _CLOSE if close and headers is response.headers else _KEEP_ALIVE if keep_alive else ""
        head = f"{status_line}{self._date}{response.fixed.lines}{lines}{connection}\r\n"
        return head.encode("latin-1") + response.body


def _ending(response: HttpResponse) -> list[tuple[str, str]]:
    """The headers of the last response on a connection; a Connection header that it has gets "close" added."""
    if not any(name == "connection" for name, _ in response.headers):
        return response.headers
    return [(name, f"close, {value}" if name == "connection" else value) for name, value in response.headers]
