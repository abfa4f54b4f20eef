"""A server that answers with what it was asked, in every way that HTTP/1.1 is served; and a client of bare bytes.

The ways are the fast lane and hypercorn, each plain and inside TLS.
"""

import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import trio
import trio.testing

from chinwag.engine.model.errors import EngineError
from chinwag.http.api.refusals import HttpRefusal, NoSuchEndpoint
from chinwag.http.api.values import HSTS, EventStream, HttpRequest, HttpResponse
from chinwag.http.asgi.app import ChinwagApp
from chinwag.http.asgi.hypercorn_adapter import HypercornServer
from chinwag.http.carriers.gateway import Granted
from chinwag.http.carriers.stream_transport import WebSocketStream
from chinwag.http.http2.connection import Http2Server
from chinwag.http.lane.head import RequestHead
from chinwag.http.lane.lane import Lane
from chinwag.http.listener.bad_clients import BadClients
from chinwag.http.listener.listener import ConnectionServer, ListenerConfig, serve
from chinwag.http.listener.secure_server import SecureServer
from chinwag.http.listener.streams import AcceptedStream
from chinwag.http.listener.tls import load_tls
from tests.http.listener.certificates import Certificate

LONG_S: Final = 60.0
"""A limit that a passing test never reaches."""
SHORT_S: Final = 0.05
"""A limit that a test waits for."""
BODY_LIMIT: Final = 1000
BIG_BYTES: Final = 16 * 1024 * 1024
"""More than the buffers of a connection take."""
SOME_BYTES: Final = 128 * 1024

GET: Final = b"GET /hello?q=1 HTTP/1.1\r\nHost: h\r\n\r\n"
POST: Final = b"POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nworld"
CHUNKS: Final = (
    b"POST /chunks HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
    b"5\r\nhello\r\n1;name=value\r\n \r\n005\r\nworld\r\n0\r\nX-Trailer: t\r\n\r\n"
)
UPGRADE: Final = (
    b"GET /ws?room_id=7 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def request(path: str, method: str = "GET") -> bytes:
    """A request without a body."""
    return f"{method} {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


PLAIN: Final = ("lane", "hypercorn")
WAYS: Final = (*PLAIN, "lane over TLS", "hypercorn over TLS")

ClientStream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


@cache
def tls() -> tuple[Certificate, ssl.SSLContext]:
    """A certificate for all tests of a process, and the server's context: to make one takes longer than most tests."""
    with TemporaryDirectory() as folder:
        certificate = Certificate(Path(folder))
        return certificate, load_tls(certificate.cert, certificate.key)


@cache
def client_context(*protocols: str) -> ssl.SSLContext:
    """A client's, which trusts it. (To read the system's own certificates takes longer than a handshake.)"""
    return tls()[0].client(*protocols)


class Echo:
    """Answers with what it was asked. `/wait/NAME` waits for its event; `/big` and `/some` answer with more or less."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.finished: list[str] = []
        self.events: dict[str, trio.Event] = {}
        self.cancelled = False

    def event(self, name: str) -> trio.Event:
        return self.events.setdefault(name, trio.Event())

    async def handle(self, request: HttpRequest) -> HttpResponse:
        self.asked.append(request.path)
        if request.path.startswith("/wait/"):
            try:
                await self.event(request.path[6:]).wait()
            except trio.Cancelled:
                self.cancelled = True
                raise
        self.finished.append(request.path)
        if request.path == "/unsendable":
            return HttpResponse(status=200, headers=[("x-header", "a\r\nset-cookie: b"), ("content-length", "0")])
        if request.path in ("/big", "/some"):
            body = bytes(BIG_BYTES if request.path == "/big" else SOME_BYTES)
            return HttpResponse(status=200, headers=[("content-length", str(len(body)))], body=body)
        return answer(
            {
                "method": request.method,
                "path": request.path,
                "query": request.query,
                "host": request.host,
                "body": request.body.decode("latin-1"),
                "headers": dict(request.headers),
                "client": request.client,
                "secure": request.secure,
            },
            head=request.method == "HEAD",
        )

    def refuse(self, request: HttpRequest, error: EngineError) -> HttpResponse:
        status = error.status if isinstance(error, HttpRefusal) else 500
        refused = answer({"refused": error.message, "path": request.path, "host": request.host}, status=status)
        if request.secure:
            refused.headers.append(HSTS)
        return refused

    def opens_socket(self, request: HttpRequest) -> bool:
        return request.path == "/ws"

    def streams(self, _: HttpRequest) -> bool:
        return False


class NoSockets:
    """Opens no WebSockets over HTTP/2."""

    async def ask(self, request: HttpRequest) -> Granted | HttpResponse:
        return answer({"refused": NoSuchEndpoint().message, "path": request.path}, status=404)

    async def serve_stream(self, granted: Granted, _: WebSocketStream) -> None:
        raise AssertionError(f"{granted} was not granted here")

    async def events_over(self, events: EventStream, _: WebSocketStream) -> None:
        raise AssertionError(f"{events} were not answered here")


def answer(value: object, *, status: int = 200, head: bool = False) -> HttpResponse:
    body = json.dumps(value).encode()
    headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
    return HttpResponse(status=status, headers=headers, body=b"" if head else body)


class Answer:
    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = dict(headers)
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """A raw connection that reads whole answers."""

    def __init__(self, stream: ClientStream) -> None:
        self.stream = stream
        self.unread = bytearray()
        self.reads = 0

    @property
    def tcp(self) -> trio.SocketStream:
        return self.stream.transport_stream if isinstance(self.stream, trio.SSLStream) else self.stream

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def _more(self) -> None:
        data = await self.stream.receive_some()
        assert data, f"the stream ended early: {self.unread!r}"
        self.reads += 1
        self.unread += data

    async def answer(self, *, head: bool = False) -> Answer:
        while b"\r\n\r\n" not in self.unread:
            await self._more()
        first, *lines = self._take(self.unread.index(b"\r\n\r\n") + 4).decode("latin-1").split("\r\n")[:-2]
        headers = [(name.lower(), value) for name, value in (line.split(": ", 1) for line in lines)]
        status = int(first.split()[1])
        length = 0 if head or status in (100, 204) else int(dict(headers)["content-length"])
        while len(self.unread) < length:
            await self._more()
        return Answer(status, headers, self._take(length))

    def _take(self, size: int) -> bytes:
        data = bytes(self.unread[:size])
        del self.unread[:size]
        return data

    async def ended(self) -> bool:
        """Whether the server closes, politely or not, without another byte."""
        try:
            data = await self.stream.receive_some()
        except trio.BrokenResourceError:
            return not self.unread
        return not self.unread + data

    async def ask(self, data: bytes) -> Answer:
        await self.send(data)
        return await self.answer()


class Server:
    def __init__(self, port: int, server: ConnectionServer, echo: Echo, bad_clients: BadClients, *, tls: bool) -> None:
        self.port = port
        self.server = server
        self.echo = echo
        self.bad_clients = bad_clients
        self.tls = tls

    @asynccontextmanager
    async def client(self, *protocols: str) -> AsyncIterator[Client]:
        """A connection. Inside TLS, it offers these protocols (ALPN), HTTP/1.1 if there are none."""
        context = client_context(*(protocols or ("http/1.1",))) if self.tls else None
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as tcp:
            if context is None:
                yield Client(tcp)
                return
            secure = trio.SSLStream(tcp, context, server_hostname="127.0.0.1", https_compatible=True)
            await secure.do_handshake()
            yield Client(secure)
            await trio.aclose_forcefully(secure)

    async def ask(self, data: bytes) -> Answer:
        """Send bytes on a new connection; the first answer."""
        async with self.client() as client:
            return await client.ask(data)

    async def refused(self, data: bytes) -> int:
        """The status with which these bytes are refused. It is the last answer, says so, and the connection ends."""
        async with self.client() as client:
            await client.send(data)
            refused = await client.answer()
            assert refused.headers["connection"].lower() == "close"
            assert await client.ended()
            return refused.status


async def no_upgrade(head: RequestHead, stream: AcceptedStream, early: bytes) -> None:
    raise AssertionError("nobody asked for a WebSocket")


Upgraded = Callable[[RequestHead, AcceptedStream, bytes], Any]


def connection_server(
    way: str, echo: Echo, limits: ListenerConfig, on_upgrade: Upgraded, bad_clients: BadClients
) -> ConnectionServer:
    server: ConnectionServer
    if way.startswith("lane"):
        server = Lane(echo, on_upgrade, limits, bad_clients=bad_clients)
    else:
        app = ChinwagApp(echo, max_body_bytes=limits.max_body_bytes, body_timeout_s=limits.body_timeout_s)
        server = HypercornServer(app, limits, service=echo, bad_clients=bad_clients)
    if not way.endswith("TLS"):
        return server
    http2 = Http2Server(echo, NoSockets(), limits, bad_clients=bad_clients)
    return SecureServer(tls()[1], server, http2, limits, bad_clients=bad_clients)


@asynccontextmanager
async def serving(
    limits: ListenerConfig | None = None, on_upgrade: Upgraded = no_upgrade, *, way: str = "lane"
) -> AsyncIterator[Server]:
    """A server on a free port. No test takes longer than `LONG_S` / 2."""
    echo, bad_clients = Echo(), BadClients()
    limits = limits or ListenerConfig(max_body_bytes=BODY_LIMIT, grace_s=SHORT_S)
    server = connection_server(way, echo, limits, on_upgrade, bad_clients)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    shutdown = trio.Event()

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        await serve([listener], server, shutdown=shutdown, config=limits, task_status=task_status)

    with trio.fail_after(LONG_S / 2):
        async with trio.open_nursery() as nursery:
            await nursery.start(run)
            yield Server(port, server, echo, bad_clients, tls=way.endswith("TLS"))
            nursery.cancel_scope.cancel()


async def all_quiet() -> None:
    """Return when every task waits and nothing more comes of what was sent."""
    await trio.testing.wait_all_tasks_blocked(cushion=0.02)
