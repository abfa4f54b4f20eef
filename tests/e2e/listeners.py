"""The ways into a server: the fast lane, hypercorn, and TLS. One suite runs over all of them.

A test that uses the fixture `listener`, or another that does (`server`, `api`, `ann`), runs over `PLAIN`, or over those
that its marker `listeners` names. `OVER_TLS_TOO` is for the core: what a client notices of a different server.
"""

from pathlib import Path
from typing import Any, Final

import pytest
import trio

from tests.http.listener.certificates import Certificate

LOCALHOST: Final = "127.0.0.1"
PLAIN: Final = ("lane", "hypercorn")

OVER_TLS_TOO: Final = pytest.mark.listeners(*PLAIN, "tls", reason="core: HTTP/2, and WebSockets inside TLS")

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class Listener:
    """One way in: what `chinwag serve` is told, and how a client connects."""

    def __init__(self, name: str, options: tuple[str, ...] = ()) -> None:
        self.name = name
        self.options = options
        self.scheme = "http"
        self.http_options: dict[str, Any] = {"verify": False}
        """For an HTTP client; over TLS it speaks HTTP/2."""
        self.http1_options: dict[str, Any] = {"verify": False}

    async def connect(self, port: int, *, receive_buffer_bytes: int | None = None) -> Stream:
        """A connection that speaks HTTP/1.1. With a small buffer the kernel takes hardly anything for the client."""
        socket = trio.socket.socket()
        if receive_buffer_bytes is not None:
            socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, receive_buffer_bytes)
        try:
            await socket.connect((LOCALHOST, port))
        except BaseException:
            socket.close()
            raise
        return trio.SocketStream(socket)


class SecureListener(Listener):
    """TLS, by a certificate that only its clients trust."""

    def __init__(self, folder: Path) -> None:
        certificate = Certificate(folder)
        super().__init__("tls", certificate.options)
        self.scheme = "https"
        self.http_options = {"verify": certificate.client(), "http2": True}
        self.http1_options = {"verify": certificate.client()}
        self._context = certificate.client("http/1.1")

    async def connect(self, port: int, *, receive_buffer_bytes: int | None = None) -> Stream:
        tcp = await super().connect(port, receive_buffer_bytes=receive_buffer_bytes)
        assert isinstance(tcp, trio.SocketStream)
        secure = trio.SSLStream(tcp, self._context, server_hostname=LOCALHOST, https_compatible=True)
        try:
            await secure.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(secure)
            raise
        return secure


LANE: Final = Listener("lane")
HYPERCORN: Final = Listener("hypercorn", ("--server", "hypercorn"))


async def half_close(stream: Stream) -> None:
    """Say that no more will be sent. Inside TLS that can only be said by the TCP connection below."""
    await (stream.transport_stream if isinstance(stream, trio.SSLStream) else stream).send_eof()
