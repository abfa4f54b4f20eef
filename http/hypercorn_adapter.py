"""hypercorn as the HTTP server of connections that were accepted, and partly read, by somebody else.

hypercorn's own `serve` owns its sockets and takes every connection from its first byte. Here the listener accepts and
looks first; what is left of hypercorn is `TCPServer` for each connection, the ASGI lifespan, and the word that the
server is stopping. WebSockets never pass through it: there they would neither be checked for life nor bounded in
memory.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import structlog
import trio
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope
from hypercorn.utils import LifespanTimeoutError, wrap_app

from chinwag.http.streams import GuardedStream

if TYPE_CHECKING:
    from hypercorn.typing import WebsocketResponseBodyEvent, WebsocketResponseStartEvent

log = structlog.get_logger("chinwag.http")

_REQUESTS_PER_CONNECTION: Final = 1_000_000
"""hypercorn closes a connection after so many. Its default of a thousand would only cost busy clients a reconnect."""


def hypercorn_config(
    *, max_head_bytes: int, keep_alive_timeout_s: float, startup_timeout_s: float, shutdown_timeout_s: float
) -> Config:
    """The settings that matter to a connection that is handed over; those of sockets and processes are not used."""
    config = Config()
    config.h11_max_incomplete_size = max_head_bytes
    config.keep_alive_timeout = keep_alive_timeout_s
    config.keep_alive_max_requests = _REQUESTS_PER_CONNECTION
    # A limit on silence would end server-sent events and long uploads' answers, as their clients have nothing to say.
    # A next request's head is bounded by the keep-alive timeout; a slow body by the application (Quart: BODY_TIMEOUT).
    config.read_timeout = None
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")  # as it is: a name would get a handler of hypercorn's own
    config.startup_timeout = startup_timeout_s
    config.shutdown_timeout = shutdown_timeout_s
    return config


class HypercornAdapter:
    """Serves HTTP on given streams with an ASGI application, within the application's lifespan."""

    def __init__(self, app: ASGIFramework, config: Config) -> None:
        self._app = wrap_app(_without_websockets(app), config.wsgi_max_body_size, "asgi")
        self._config = config
        self._context = WorkerContext(None)
        self._state: dict[str, Any] = {}

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Start the application, and stop it on the way out, each within the configured time.

        Raises what hypercorn does, in a group, when the application says that it cannot start (`LifespanFailureError`)
        or does not say anything in time (`LifespanTimeoutError`). One that knows no lifespan is served without.
        """
        lifespan = Lifespan(self._app, self._config, self._state)
        ended = trio.Event()

        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            try:
                await lifespan.handle_lifespan(task_status=task_status)
            finally:
                ended.set()

        async with trio.open_nursery() as nursery:
            await nursery.start(run)
            # hypercorn's calls fail on the channel that it closes when an application returns from a lifespan it does
            # not know, instead of raising as the ASGI specification asks.
            if not lifespan.startup.is_set():
                await lifespan.wait_for_startup()
            if lifespan.shutdown.is_set():  # the application has left already, and perhaps raises: let that come first
                await ended.wait()
                await trio.lowlevel.checkpoint()
            try:
                yield
            finally:
                with trio.CancelScope(shield=True):  # bounded by the timeout, also when the server was cancelled
                    await self._stop(lifespan)
                nursery.cancel_scope.cancel()

    async def _stop(self, lifespan: Lifespan) -> None:
        if lifespan.shutdown.is_set():
            return
        try:
            await lifespan.wait_for_shutdown()
        except LifespanTimeoutError:
            log.error("application did not stop in time", timeout_s=self._config.shutdown_timeout)
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            log.debug("application has left its lifespan already")

    async def serve_connection(self, stream: GuardedStream) -> None:
        """Answer requests on one connection until it ends. Closes the stream."""
        # hypercorn's annotation names its TLS stream; it tells the two apart by their methods.
        server = TCPServer(
            self._app, self._config, self._context, self._state, cast("trio.SSLStream[trio.SocketStream]", stream)
        )
        with stream.scope:
            await server.run()

    async def begin_shutdown(self) -> None:
        """Close idle connections now, and the others after the response that is under way."""
        await self._context.terminated.set()


def _without_websockets(app: ASGIFramework) -> ASGIFramework:
    """`app`, except that a WebSocket is refused with words instead of reaching it."""

    async def http_only(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "websocket":
            await _refuse_websocket(receive, send)
        else:
            await app(scope, receive, send)

    return http_only


async def _refuse_websocket(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Say why a connection that already served a request cannot become a WebSocket; it ends with the answer."""
    await receive()  # websocket.connect
    body = msgspec.json.encode({"error": "open a new connection for a WebSocket"})
    start: WebsocketResponseStartEvent = {
        "type": "websocket.http.response.start",
        "status": HTTPStatus.UPGRADE_REQUIRED,
        "headers": [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close, upgrade"),
            (b"upgrade", b"websocket"),
        ],
    }
    end: WebsocketResponseBodyEvent = {"type": "websocket.http.response.body", "body": body, "more_body": False}
    await send(start)
    await send(end)
