"""TLS in front of the servers of connections: shakes hands, and lets ALPN say who serves.

HTTP/2 is served by `Http2Server`. Who does not ask for it speaks HTTP/1.1 with the server of plain connections.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import structlog
import trio

from chinwag.http.http2.connection import Http2Server
from chinwag.http.listener.bad_clients import BadClients
from chinwag.http.listener.listener import ConnectionServer, ListenerConfig
from chinwag.http.listener.streams import AcceptedStream, SecureStream, peer_address

log = structlog.get_logger("chinwag.http")


class SecureServer:
    """All connections of one server with TLS. A `ConnectionServer`."""

    def __init__(
        self,
        context: ssl.SSLContext,
        http1: ConnectionServer,
        http2: Http2Server,
        config: ListenerConfig | None = None,
        *,
        bad_clients: BadClients | None = None,
    ) -> None:
        self._context = context
        self._http1 = http1
        self._http2 = http2
        self._limits = config or ListenerConfig()
        self._bad_clients = bad_clients or BadClients()
        self._shaking: set[trio.CancelScope] = set()
        self._stopping = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve within the block."""
        async with self._http1.running():
            yield

    async def begin_shutdown(self) -> None:
        """See `ConnectionServer`. A handshake is nothing that is under way."""
        self._stopping = True
        for scope in self._shaking:
            scope.cancel()
        await self._http1.begin_shutdown()
        await self._http2.begin_shutdown()

    async def serve_connection(self, stream: AcceptedStream) -> Awaitable[None] | None:
        """See `ConnectionServer`."""
        assert isinstance(stream, trio.SocketStream)
        if self._stopping:
            return None
        secure = SecureStream(stream, self._context, send_timeout_s=self._limits.send_timeout_s)
        if not await self._shake_hands(secure):
            return None
        if secure.protocol == "h2":
            await self._http2.serve_connection(secure)
            return None
        return await self._http1.serve_connection(secure)

    async def _shake_hands(self, stream: SecureStream) -> bool:
        with trio.move_on_after(self._limits.head_timeout_s) as scope:
            self._shaking.add(scope)
            try:
                await stream.do_handshake()
            except trio.ClosedResourceError:
                return False
            except trio.BrokenResourceError as error:
                # Who opens a connection and closes it again is a load balancer that looks whether anybody is there.
                cause = error.__cause__
                if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError) and cause.reason:
                    words = cause.reason.lower().replace("_", " ")
                    self._bad_clients.report(words, client=peer_address(stream), protocol="TLS")
                return False
            finally:
                self._shaking.discard(scope)
            return True
        return False
