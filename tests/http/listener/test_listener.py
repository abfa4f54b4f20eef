"""The listener on real sockets: what clients may do to it, and how it ends, with the lane and with hypercorn."""

import errno
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import pytest
import structlog
import trio
import trio.testing
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope
from quart import request
from quart_trio import QuartTrio

from chinwag.engine.model.errors import EngineError
from chinwag.http.api.values import HttpRequest, HttpResponse
from chinwag.http.asgi.hypercorn_adapter import HypercornServer
from chinwag.http.lane.head import RequestHead
from chinwag.http.lane.lane import Lane, OnUpgrade
from chinwag.http.listener.listener import ConnectionServer, ListenerConfig, serve
from chinwag.http.listener.streams import AcceptedStream

LONG_S = 60.0
"""A limit that a passing test never reaches."""

SHORT_S = 0.05
"""A limit that a test waits for."""

GET = b"GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"
UPGRADE = (
    b"GET /ws?room_id=7 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

Handler = Callable[[Scope, ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]


@dataclass
class Server:
    port: int
    shutdown: trio.Event
    finished: trio.Event

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def ask(self, data: bytes) -> "Answer":
        """Send bytes on a new connection and read until the server closes it."""
        async with await self.connect() as client:
            await client.send_all(data)
            return await read_answer(client)

    async def stop(self) -> None:
        self.shutdown.set()
        await self.finished.wait()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


async def read_answer(client: trio.SocketStream) -> Answer:
    """Read one response, to the end its Content-Length gives, or else to the end of the stream."""
    data = b""
    while True:
        head, mark, body = data.partition(b"\r\n\r\n")
        if mark:
            lines = head.decode().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
            length = headers.get("content-length")
            if length is not None and len(body) >= int(length):
                return Answer(int(lines[0].split()[1]), headers, body)
        more = await client.receive_some()
        assert more, f"the stream ended within a response: {data!r}"
        data += more


async def reads_to_the_end(client: trio.SocketStream) -> bool:
    """Whether the server has closed: reads what is there, to the end of the stream or a reset."""
    try:
        while await client.receive_some():
            pass
    except trio.BrokenResourceError:
        pass
    return True


class Greeter:
    """Says hello to everything, on the lane."""

    async def handle(self, _: HttpRequest) -> HttpResponse:
        return HttpResponse(status=200, headers=[("content-length", "5")], body=b"hello")

    def refuse(self, _: HttpRequest, error: EngineError) -> HttpResponse:
        raise AssertionError(f"nothing is refused here, but for {error}")

    def opens_socket(self, _: HttpRequest) -> bool:
        return True

    def streams(self, _: HttpRequest) -> bool:
        return False


async def greet(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """An application that says hello to everything and knows no lifespan."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello", "more_body": False})


async def flood(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """An application whose response does not fit into any socket buffer."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(64):
        await send({"type": "http.response.body", "body": bytes(1024 * 1024), "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def application(handler: Handler) -> ASGIFramework:
    """An ASGI application that answers HTTP with `handler` and has a lifespan in which nothing happens."""

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await handler(scope, receive, send)

    return app


@asynccontextmanager
async def serving(
    app: ASGIFramework | None = None,
    *,
    on_upgrade: OnUpgrade | None = None,
    config: ListenerConfig | None = None,
    wrap: Callable[[trio.SocketListener], trio.abc.Listener[trio.SocketStream]] = lambda listener: listener,
) -> AsyncIterator[Server]:
    """A server on a free port; it is shut down at the end, and no test takes longer than `LONG_S` / 4.

    With `on_upgrade` it is the fast lane, which says hello; without, hypercorn with `app`.
    """
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    server = Server(port, trio.Event(), trio.Event())
    connections: ConnectionServer
    if on_upgrade is not None:
        connections = Lane(Greeter(), on_upgrade, config)
    else:
        connections = HypercornServer(app or application(greet), config)

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        await serve(
            [wrap(listener)],
            connections,
            shutdown=server.shutdown,
            config=config,
            task_status=task_status,
        )
        server.finished.set()

    with trio.fail_after(LONG_S / 4):
        async with trio.open_nursery() as nursery:
            await nursery.start(run)
            yield server
            server.shutdown.set()


async def all_quiet() -> None:
    """Return when every task waits and nothing more comes of what was sent."""
    await trio.testing.wait_all_tasks_blocked(cushion=0.02)


# --- HTTP, by hypercorn ---


async def test_quart_answers_requests_on_one_connection() -> None:
    app = QuartTrio(__name__)
    served: list[str] = []

    @app.before_serving
    async def starting() -> None:
        served.append("started")

    @app.after_serving
    async def stopping() -> None:
        served.append("stopped")

    @app.post("/echo/<name>")
    async def echo(name: str) -> dict[str, str]:
        served.append(name)
        body = await request.get_data(as_text=True)
        return {"name": name, "body": str(body), "query": request.query_string.decode()}

    async with serving(app) as server:
        assert served == ["started"]
        async with await server.connect() as client:
            for name in ("ann", "bob"):
                head = f"POST /echo/{name}?x=%20 HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n".encode()
                await client.send_all(head + b"first")
                await all_quiet()
                await client.send_all(b" half")
                answer = await read_answer(client)
                assert answer.status == 200
                assert json.loads(answer.body) == {"name": name, "body": "first half", "query": "x=%20"}
                assert "server" not in answer.headers
        await server.stop()
        assert served == ["started", "ann", "bob", "stopped"]


async def test_an_exception_in_the_application_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        raise RuntimeError("a bug")

    async with serving(application(broken)) as server:
        assert (await server.ask(GET)).status == 500
        assert (await server.ask(GET)).status == 500
    assert "a bug" in caplog.text


async def test_a_client_that_does_not_read_is_dropped_after_the_send_timeout() -> None:
    dropped = trio.Event()

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        while (await receive())["type"] != "http.disconnect":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(flood, scope, receive, send)
                while (await receive())["type"] != "http.disconnect":
                    pass
                dropped.set()
                nursery.cancel_scope.cancel()
            return

    config = ListenerConfig(send_timeout_s=SHORT_S, grace_s=LONG_S)
    async with serving(application(app), config=config) as server, await server.connect() as client:
        await client.send_all(GET)
        await dropped.wait()
        assert await reads_to_the_end(client)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 200_000, 431),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03", 400),
        (GET[:20], 408),
    ],
    ids=["too large", "no host", "TLS", "half a head"],
)
async def test_what_is_refused_reaches_no_application_and_has_a_shape_of_its_own(data: bytes, status: int) -> None:
    async with serving(config=ListenerConfig(head_timeout_s=SHORT_S)) as server:
        answer = await server.ask(data)
    assert answer.status == status
    assert answer.headers["connection"] == "close"
    assert answer.headers["content-type"] == "application/json"
    assert list(json.loads(answer.body)) == ["error"]


# --- upgrades ---


async def test_a_bug_in_one_connection_is_logged_and_ends_no_other() -> None:
    async def on_upgrade(head: RequestHead, stream: AcceptedStream, leftover: bytes) -> None:
        if leftover == b"crash":
            raise RuntimeError("a bug")
        await stream.send_all(await stream.receive_some())

    with structlog.testing.capture_logs() as logs:
        async with serving(on_upgrade=on_upgrade) as server, await server.connect() as other:
            await other.send_all(UPGRADE)
            async with await server.connect() as client:
                await client.send_all(UPGRADE + b"crash")
                assert await reads_to_the_end(client)
            await other.send_all(b"still here")
            assert await other.receive_some() == b"still here"
            assert (await server.ask(GET)).body == b"hello"
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("connection ended by an error", "error")]


# --- accepting ---


class Exhausted(trio.abc.Listener[trio.SocketStream]):
    """A listener whose first accept finds no file descriptor free."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self.listener = listener
        self.failed = False

    async def accept(self) -> trio.SocketStream:
        if not self.failed:
            self.failed = True
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return await self.listener.accept()

    async def aclose(self) -> None:
        await self.listener.aclose()


async def test_running_out_of_descriptors_does_not_end_the_server(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(wrap=Exhausted) as server:
        assert (await server.ask(GET)).body == b"hello"
    assert "EMFILE" in caplog.text


# --- the application's lifespan ---


async def test_an_application_without_lifespan_is_served() -> None:
    async def leaves_at_once(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "http":
            await greet(scope, receive, send)

    for app in (greet, leaves_at_once):  # the one raises, the other returns
        async with serving(app) as server:
            assert (await server.ask(GET)).body == b"hello"


async def test_an_application_that_cannot_start_is_an_error() -> None:
    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(BaseExceptionGroup) as caught:
        async with serving(app):
            pytest.fail("it started")
    assert caught.group_contains(Exception, match="no database")


async def test_an_application_that_does_not_stop_is_left_behind() -> None:
    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await trio.sleep_forever()

    with structlog.testing.capture_logs() as logs:
        async with serving(app, config=ListenerConfig(app_shutdown_timeout_s=SHORT_S)) as server:
            await server.stop()
    assert [entry["event"] for entry in logs] == ["application did not stop in time"]


# --- shutdown ---


async def test_shutdown_closes_what_is_idle_without_waiting_for_the_grace_period() -> None:
    async with serving(config=ListenerConfig(grace_s=LONG_S)) as server:
        async with (
            await server.connect() as silent,
            await server.connect() as half_a_head,
            await server.connect() as idle,
            await server.connect() as half_closed,
        ):
            await half_a_head.send_all(GET[:20])
            for client in (idle, half_closed):
                await client.send_all(GET)
                assert (await read_answer(client)).body == b"hello"
            await half_closed.send_eof()
            await all_quiet()
            await server.stop()
            for client in (silent, half_a_head, idle, half_closed):
                assert await reads_to_the_end(client)
        with pytest.raises(OSError, match="connect"):
            await server.connect()


async def test_shutdown_lets_a_request_finish() -> None:
    asked, answer_now = trio.Event(), trio.Event()

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        asked.set()
        await answer_now.wait()
        await greet(scope, receive, send)

    async with serving(application(app), config=ListenerConfig(grace_s=LONG_S)) as server:
        async with await server.connect() as client:
            await client.send_all(GET)
            await asked.wait()
            server.shutdown.set()
            await all_quiet()
            assert not server.finished.is_set()
            answer_now.set()
            assert (await read_answer(client)).body == b"hello"
            assert await reads_to_the_end(client)
        await server.finished.wait()


async def test_shutdown_lets_a_websocket_finish() -> None:
    ended = trio.Event()

    async def on_upgrade(head: RequestHead, stream: AcceptedStream, leftover: bytes) -> None:
        await server.shutdown.wait()
        await stream.send_all(b"goodbye")
        assert await stream.receive_some() == b"bye"
        ended.set()

    async with serving(on_upgrade=on_upgrade, config=ListenerConfig(grace_s=LONG_S)) as server:
        async with await server.connect() as client:
            await client.send_all(UPGRADE)
            await all_quiet()
            server.shutdown.set()
            assert await client.receive_some() == b"goodbye"
            await client.send_all(b"bye")
            await server.finished.wait()
        assert ended.is_set()


async def test_shutdown_ends_what_outlasts_the_grace_period() -> None:
    cancelled: list[str] = []

    async def hangs(name: str) -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            cancelled.append(name)
            raise

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await hangs("request")

    async def on_upgrade(head: RequestHead, stream: AcceptedStream, leftover: bytes) -> None:
        await hangs("websocket")

    config = ListenerConfig(grace_s=SHORT_S)
    for data, running in (
        (GET, serving(application(app), config=config)),
        (UPGRADE, serving(on_upgrade=on_upgrade, config=config)),
    ):
        async with running as server, await server.connect() as client:
            await client.send_all(data)
            await all_quiet()
            await server.stop()
            assert await reads_to_the_end(client)
    assert cancelled == ["request", "websocket"]


@pytest.mark.parametrize("half_closed", [False, True])
async def test_a_client_that_does_not_read_cannot_hold_up_the_shutdown(half_closed: bool) -> None:
    config = ListenerConfig(grace_s=SHORT_S, send_timeout_s=LONG_S)
    async with (
        serving(application(flood), config=config) as server,
        await server.connect() as client,
        await server.connect() as late,
    ):
        await client.send_all(GET)
        await late.send_all(GET[:-2])
        if half_closed:
            await client.send_eof()
        await all_quiet()
        await late.send_all(GET[-2:])  # a request that arrives with the shutdown
        await server.stop()


async def test_a_client_that_does_not_read_cannot_hold_up_a_cancellation() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    start = partial(
        serve,
        [listener],
        HypercornServer(application(flood), ListenerConfig(send_timeout_s=LONG_S)),
        shutdown=trio.Event(),
    )
    # The client outlives the server: its leaving would free the blocked send.
    with trio.fail_after(LONG_S / 4):
        async with await trio.open_tcp_stream("127.0.0.1", port) as client, trio.open_nursery() as nursery:
            await nursery.start(start)
            await client.send_all(GET)
            await all_quiet()
            nursery.cancel_scope.cancel()


async def test_a_bug_while_being_cancelled_is_logged_and_does_not_end_the_server() -> None:
    async def on_upgrade(head: RequestHead, stream: AcceptedStream, leftover: bytes) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise RuntimeError("a bug on the way out")

    with structlog.testing.capture_logs() as logs:
        config = ListenerConfig(grace_s=SHORT_S)
        async with serving(on_upgrade=on_upgrade, config=config) as server, await server.connect() as client:
            await client.send_all(UPGRADE)
            await all_quiet()
            await server.stop()
    assert [entry["event"] for entry in logs] == ["connection ended by an error"]
