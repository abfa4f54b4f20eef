"""The fast lane on real sockets: what it takes, what it refuses, and what clients may do to it."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import structlog
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chinwag.engine.errors import EngineError
from chinwag.http.chunked import MAX_EXTENSION_BYTES, MAX_LINE_BYTES, MAX_TRAILER_BYTES
from chinwag.http.head import RequestHead
from chinwag.http.lane import BATCH_REQUESTS, Lane
from chinwag.http.lane_head import MAX_EMPTY_LINES, MAX_FIELDS
from chinwag.http.listener import ListenerConfig
from chinwag.http.messages import HttpRequest, HttpResponse
from chinwag.http.refusals import HttpRefusal

LONG_S = 60.0
"""A limit that a passing test never reaches."""
SHORT_S = 0.05
"""A limit that a test waits for."""
BODY_LIMIT = 1000

GET = b"GET /hello?q=1 HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nworld"
CHUNKS = (
    b"POST /chunks HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
    b"5\r\nhello\r\n1;name=value\r\n \r\n005\r\nworld\r\n0\r\nX-Trailer: t\r\n\r\n"
)
UPGRADE = (
    b"GET /ws?room_id=7 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Echo:
    """Answers with what it was asked. `/wait/NAME` waits for its event, `/big` answers with megabytes."""

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
        if request.path == "/big":
            body = bytes(16 * 1024 * 1024)
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
            },
            head=request.method == "HEAD",
        )

    def refuse(self, request: HttpRequest, error: EngineError) -> HttpResponse:
        status = error.status if isinstance(error, HttpRefusal) else 500
        return answer({"refused": error.message, "path": request.path, "host": request.host}, status=status)

    def streams(self, _: HttpRequest) -> bool:
        return False


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

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.unread = b""
        self.reads = 0

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
        raw, _, self.unread = self.unread.partition(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").split("\r\n")
        headers = [(name, value) for name, value in (line.split(": ", 1) for line in lines)]
        status = int(first.split()[1])
        length = 0 if head or status in (100, 204) else int({k.lower(): v for k, v in headers}["content-length"])
        while len(self.unread) < length:
            await self._more()
        body, self.unread = self.unread[:length], self.unread[length:]
        return Answer(status, [(name.lower(), value) for name, value in headers], body)

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
    def __init__(self, port: int, lane: Lane, echo: Echo) -> None:
        self.port = port
        self.lane = lane
        self.echo = echo

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            yield Client(stream)

    async def ask(self, data: bytes) -> Answer:
        """Send bytes on a new connection; the first answer."""
        async with self.client() as client:
            return await client.ask(data)

    async def refused(self, data: bytes) -> int:
        """The status with which these bytes are refused. It is the last answer, says so, and the connection ends."""
        async with self.client() as client:
            await client.send(data)
            refused = await client.answer()
            assert refused.headers["connection"] == "close"
            assert await client.ended()
            return refused.status


async def no_upgrade(head: RequestHead, stream: trio.SocketStream, early: bytes) -> None:
    raise AssertionError("nobody asked for a WebSocket")


Upgraded = Callable[[RequestHead, trio.SocketStream, bytes], Any]


@asynccontextmanager
async def serving(limits: ListenerConfig | None = None, on_upgrade: Upgraded = no_upgrade) -> AsyncIterator[Server]:
    echo = Echo()
    lane = Lane(echo, on_upgrade, limits or ListenerConfig(max_body_bytes=BODY_LIMIT))
    with trio.fail_after(LONG_S / 2):
        async with lane.running(), trio.open_nursery() as nursery:
            listeners: list[trio.SocketListener] = await nursery.start(
                partial(trio.serve_tcp, lane.serve_connection, 0, host="127.0.0.1")
            )
            yield Server(listeners[0].socket.getsockname()[1], lane, echo)
            nursery.cancel_scope.cancel()


async def all_quiet() -> None:
    """Return when every task waits and nothing more comes of what was sent."""
    await trio.testing.wait_all_tasks_blocked(cushion=0.02)


# --- requests and answers ---


async def test_a_request_arrives_as_it_was_sent() -> None:
    async with serving() as server:
        got = await server.ask(
            b"POST /a%20b?c=%20d&e HTTP/1.1\r\nhost: chat.example:80\r\nX-A: 1\r\nx-a:2 \r\nX-B:\xe9\r\n"
            b"CONTENT-LENGTH: 3\r\n\r\n\x00\xff\n"
        )
    assert got.status == 200
    assert got.json["method"] == "POST"
    assert (got.json["path"], got.json["query"], got.json["host"]) == ("/a%20b", "c=%20d&e", "chat.example:80")
    assert got.json["headers"] == {"host": "chat.example:80", "x-a": "1, 2", "x-b": "é", "content-length": "3"}
    assert got.json["body"] == "\x00\xff\n"
    assert got.json["client"] == "127.0.0.1"
    assert got.json["client"] == "127.0.0.1"
    assert got.headers["date"].endswith(" GMT")
    assert "server" not in got.headers
    assert "connection" not in got.headers


async def test_a_connection_serves_one_request_after_the_other() -> None:
    async with serving() as server, server.client() as client:
        for request in (GET, POST, CHUNKS, GET):
            assert (await client.ask(request)).status == 200
        assert server.echo.asked == ["/hello", "/hello", "/chunks", "/hello"]


async def test_head_has_the_length_and_not_the_body() -> None:
    async with serving() as server, server.client() as client:
        await client.send(GET.replace(b"GET", b"HEAD") + GET)
        assert int((await client.answer(head=True)).headers["content-length"]) > 0
        assert (await client.answer()).json["method"] == "GET"


@pytest.mark.parametrize("method", ["OPTIONS", "PATCH", "PROPFIND", "FOO", "get", "M-SEARCH", "X!#$%&'*+.^_`|~"])
async def test_any_method_is_for_the_application_to_judge(method: str) -> None:
    async with serving() as server, server.client() as client:
        for data in (GET, POST):
            got = await client.ask(data.replace(b"GET", b"POST").replace(b"POST", method.encode()))
            assert got.json["method"] == method
            assert got.json["body"] == ("world" if data is POST else "")


async def test_a_body_may_come_in_chunks() -> None:
    async with serving() as server:
        got = await server.ask(CHUNKS)
    assert got.json["body"] == "hello world"
    assert "x-trailer" not in got.json["headers"]


@pytest.mark.parametrize(
    "request_", [GET, POST, CHUNKS, b"\r\n\r\n" + GET], ids=["GET", "POST", "chunks", "empty lines"]
)
async def test_a_request_may_come_byte_by_byte(request_: bytes) -> None:
    async with serving() as server, server.client() as client:
        for index in range(len(request_)):
            await client.send(request_[index : index + 1])
            await trio.testing.wait_all_tasks_blocked()
        assert (await client.answer()).status == 200
        assert (await client.ask(GET)).status == 200


PIPELINE = b"".join([GET, POST, b"\r\n", CHUNKS, GET.replace(b"GET", b"FOO"), POST, b"\r\n\r\n", CHUNKS, GET])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, len(PIPELINE) - 1), max_size=12, unique=True).map(sorted))
def test_however_requests_are_cut_the_answers_are_the_same(cuts: list[int]) -> None:
    pieces = [PIPELINE[a:b] for a, b in zip([0, *cuts], [*cuts, len(PIPELINE)], strict=True)]

    async def run() -> list[tuple[str, str, str]]:
        async with serving() as server, server.client() as client:
            client.stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
            for piece in pieces:
                await client.send(piece)
                await trio.testing.wait_all_tasks_blocked()
            got = [(await client.answer()).json for _ in range(7)]
            await client.stream.send_eof()
            assert await client.ended()
            return [(each["method"], each["path"], each["body"]) for each in got]

    posted, chunked = ("POST", "/hello", "world"), ("POST", "/chunks", "hello world")
    asked = ("GET", "/hello", "")
    assert trio.run(run) == [asked, posted, chunked, ("FOO", "/hello", ""), posted, chunked, asked]


async def test_a_half_closed_client_gets_its_answer() -> None:
    async with serving() as server, server.client() as client:
        await client.send(GET)
        await client.stream.send_eof()
        assert (await client.answer()).status == 200
        assert await client.ended()


async def test_an_answer_that_would_split_its_head_is_a_500() -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving() as server:
            assert await server.refused(GET.replace(b"/hello", b"/unsendable")) == 500
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["an answer could not be sent"]


# --- pipelining ---


def request(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


async def test_answers_come_in_order_and_together() -> None:
    async with serving() as server, server.client() as client:
        paths = [f"/{number}" for number in range(20)]
        await client.send(b"".join(map(request, paths)))
        await all_quiet()
        assert [(await client.answer()).json["path"] for _ in paths] == paths
        assert client.reads == 1


async def test_more_requests_than_a_batch_are_all_answered() -> None:
    async with serving() as server, server.client() as client:
        paths = [f"/{number}" for number in range(BATCH_REQUESTS * 3 + 1)]
        await client.send(b"".join(map(request, paths)))
        assert [(await client.answer()).json["path"] for _ in paths] == paths


async def test_an_answer_does_not_wait_for_the_next_one() -> None:
    async with serving() as server, server.client() as client:
        await client.send(request("/fast/1") + request("/wait/a") + request("/fast/2") + request("/wait/b"))
        assert (await client.answer()).json["path"] == "/fast/1"
        await all_quiet()
        # Nothing is begun before what came before it has ended.
        assert server.echo.asked == ["/fast/1", "/wait/a"]
        server.echo.event("a").set()
        assert (await client.answer()).json["path"] == "/wait/a"
        assert (await client.answer()).json["path"] == "/fast/2"
        server.echo.event("b").set()
        assert (await client.answer()).json["path"] == "/wait/b"


async def test_a_client_that_sends_ahead_is_held_up_and_loses_nothing() -> None:
    count = 200_000
    async with serving() as server, server.client() as client, trio.open_nursery() as nursery:
        sent = trio.Event()

        async def flood() -> None:
            await client.send(request("/wait/a") + request("/x") * count)
            sent.set()

        nursery.start_soon(flood)
        await all_quiet()
        assert not sent.is_set()
        assert server.echo.asked == ["/wait/a"]
        server.echo.event("a").set()
        for _ in range(count // 100):
            await client.answer()
        nursery.cancel_scope.cancel()


async def test_a_busy_pipeline_does_not_hold_up_others() -> None:
    async with serving() as server, server.client() as busy, server.client() as other, trio.open_nursery() as nursery:

        async def read_all() -> None:
            while True:
                await busy.answer()

        nursery.start_soon(read_all)
        nursery.start_soon(busy.send, request("/busy") * 20_000)
        assert (await other.ask(request("/other"))).json["path"] == "/other"
        assert server.echo.asked.index("/other") < 20_000
        nursery.cancel_scope.cancel()


async def test_a_refusal_comes_after_the_answers_before_it() -> None:
    async with serving() as server, server.client() as client:
        await client.send(GET + POST + b"nonsense\r\n\r\n" + GET)
        assert (await client.answer()).status == 200
        assert (await client.answer()).status == 200
        assert (await client.answer()).status == 400
        assert await client.ended()


# --- the end of a connection ---


async def test_a_connection_is_closed_when_the_client_asks_for_it() -> None:
    async with serving() as server, server.client() as client:
        await client.send(GET.replace(b"Host", b"Connection: x, Close\r\nHost") + GET)
        assert (await client.answer()).headers["connection"] == "close"
        assert await client.ended()
        assert len(server.echo.asked) == 1


async def test_http_1_0_closes_unless_asked_not_to() -> None:
    old = b"GET /old HTTP/1.0\r\n\r\n"
    async with serving() as server, server.client() as client:
        got = await client.ask(old.replace(b"\r\n\r\n", b"\r\nConnection: Keep-Alive\r\n\r\n"))
        assert (got.status, got.headers["connection"]) == (200, "keep-alive")
        assert (await client.ask(old)).headers["connection"] == "close"
        assert await client.ended()


@pytest.mark.parametrize("start", [b"", GET[:20], b"\r\n", POST[:-1], CHUNKS[:-9]])
async def test_a_client_that_leaves_early_leaves_no_trace(start: bytes) -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving() as server:
            async with server.client() as client:
                await client.send(start)
                await all_quiet()
            assert (await server.ask(GET)).status == 200
            assert server.echo.asked == ["/hello"]
    assert [entry for entry in logs if entry["log_level"] != "debug"] == []


async def test_a_handler_ends_its_work_when_the_client_has_left() -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving() as server:
            async with server.client() as client:
                await client.send(request("/wait/a"))
                await all_quiet()
                client.stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            await all_quiet()
            server.echo.event("a").set()
            assert (await server.ask(GET)).status == 200
            assert server.echo.finished == ["/wait/a", "/hello"]
            assert not server.echo.cancelled
    assert [entry for entry in logs if entry["log_level"] != "debug"] == []


# --- time ---


def limits(
    *,
    head_timeout_s: float = LONG_S,
    body_timeout_s: float = LONG_S,
    send_timeout_s: float = LONG_S,
    keep_alive_timeout_s: float = LONG_S,
) -> ListenerConfig:
    return ListenerConfig(
        max_body_bytes=BODY_LIMIT,
        head_timeout_s=head_timeout_s,
        body_timeout_s=body_timeout_s,
        send_timeout_s=send_timeout_s,
        keep_alive_timeout_s=keep_alive_timeout_s,
    )


@pytest.mark.parametrize("start", [b"", GET[:20], b"\r\n"], ids=["silent", "half a head", "an empty line"])
async def test_a_first_head_that_does_not_come_is_408(start: bytes) -> None:
    async with serving(limits(head_timeout_s=SHORT_S)) as server:
        assert await server.refused(start) == 408


async def test_a_later_head_that_does_not_come_whole_is_408() -> None:
    async with serving(limits(head_timeout_s=SHORT_S)) as server, server.client() as client:
        assert (await client.ask(GET)).status == 200
        await client.send(GET[:20])
        assert (await client.answer()).status == 408
        assert await client.ended()


async def test_a_head_in_a_trickle_is_408_all_the_same() -> None:
    quick = limits(head_timeout_s=SHORT_S)
    async with serving(quick) as server, server.client() as client, trio.open_nursery() as nursery:

        async def trickle() -> None:
            await client.send(b"GET / HTTP/1.1\r\nX-Slow: ")
            while True:
                await client.send(b"x")
                await trio.sleep(SHORT_S / 10)

        nursery.start_soon(trickle)
        assert (await client.answer()).status == 408
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("start", [POST[:-1], CHUNKS[:-9], CHUNKS[:-20]])
async def test_a_body_that_does_not_come_is_408_in_the_front_s_shape(start: bytes) -> None:
    async with serving(limits(body_timeout_s=SHORT_S)) as server, server.client() as client:
        assert (await client.ask(GET)).status == 200
        got = await client.ask(start)
        assert got.status == 408
        assert "refused" in got.json
        assert await client.ended()


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    async with serving(limits(keep_alive_timeout_s=SHORT_S)) as server, server.client() as client:
        assert (await client.ask(GET)).status == 200
        await client.send(b"\r\n")  # what some clients send after a body is no beginning of a request
        assert await client.ended()


async def test_a_slow_handler_is_under_no_limit_of_the_client_s() -> None:
    quick = limits(head_timeout_s=SHORT_S, body_timeout_s=SHORT_S, keep_alive_timeout_s=SHORT_S, send_timeout_s=SHORT_S)
    async with serving(quick) as server, server.client() as client:
        await client.send(request("/wait/a"))
        await trio.sleep(SHORT_S * 3)
        server.echo.event("a").set()
        assert (await client.answer()).json["path"] == "/wait/a"


async def test_a_client_that_takes_nothing_is_reset() -> None:
    async with serving(limits(send_timeout_s=SHORT_S)) as server, server.client() as client:
        await client.send(request("/big"))
        await trio.sleep(SHORT_S * 3)
        with pytest.raises(trio.BrokenResourceError):
            while await client.stream.receive_some():
                pass


async def test_a_client_that_takes_its_time_gets_everything() -> None:
    async with serving() as server, server.client() as client:
        await client.send(request("/big"))
        await all_quiet()
        assert len((await client.answer()).body) == 16 * 1024 * 1024
        assert (await client.ask(GET)).status == 200


async def test_a_client_that_does_not_read_does_not_delay_others() -> None:
    async with serving() as server, server.client() as blocked, server.client() as other:
        await blocked.send(request("/big"))
        await all_quiet()
        for _ in range(3):
            assert (await other.ask(GET)).status == 200


# --- shutdown ---


async def test_shutdown_closes_what_is_idle_and_lets_requests_finish() -> None:
    async with (
        serving() as server,
        server.client() as silent,
        server.client() as half_a_head,
        server.client() as idle,
        server.client() as asking,
        server.client() as sending,
    ):
        await half_a_head.send(GET[:20])
        assert (await idle.ask(GET)).status == 200
        await asking.send(request("/wait/a") + request("/next"))
        await sending.send(POST[:-2])
        await all_quiet()
        await server.lane.begin_shutdown()
        for client in (silent, half_a_head, idle):
            assert await client.ended()
        server.echo.event("a").set()
        await sending.send(POST[-2:])
        for client in (asking, sending):
            assert (await client.answer()).headers["connection"] == "close"
            assert await client.ended()
        assert "/next" not in server.echo.asked


# --- bodies and their bounds ---


async def test_a_body_of_just_the_limit_is_taken_and_a_longer_one_is_413() -> None:
    async with serving() as server:
        head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n"
        got = await server.ask(head.format(BODY_LIMIT).encode() + b"x" * BODY_LIMIT)
        assert len(got.json["body"]) == BODY_LIMIT
        # Refused for what it declares: nothing of the body was sent.
        assert await server.refused(head.format(BODY_LIMIT + 1).encode()) == 413
        assert await server.refused(head.format("9" * 18).encode()) == 413


async def test_a_chunked_body_is_bounded_as_it_comes() -> None:
    async with serving() as server:
        head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        got = await server.ask(head + b"1\r\nx\r\n" * BODY_LIMIT + b"0\r\n\r\n")
        assert len(got.json["body"]) == BODY_LIMIT
        assert await server.refused(head + b"1\r\nx\r\n" * BODY_LIMIT + b"1\r\n") == 413
        assert await server.refused(head + b"%x\r\n" % (BODY_LIMIT + 1)) == 413


async def test_a_refusal_reaches_a_client_that_is_still_sending() -> None:
    async with serving() as server, server.client() as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" + bytes(200_000))
        assert (await client.answer()).status == 413
        assert await client.ended()


# --- expectations ---

EXPECT = POST.replace(b"Host", b"Expect: 100-Continue\r\nHost")


async def test_a_client_that_waits_for_100_is_told_to_continue() -> None:
    async with serving() as server, server.client() as client:
        await client.send(GET + EXPECT[:-5])
        assert (await client.answer()).status == 200
        assert (await client.answer()).status == 100
        await client.send(b"wor")
        await all_quiet()
        await client.send(b"ld")
        assert (await client.answer()).json["body"] == "world"


async def test_a_client_that_does_not_wait_for_100_gets_none() -> None:
    async with serving() as server:
        assert (await server.ask(EXPECT)).status == 200
        assert (await server.ask(EXPECT.replace(b"1.1", b"1.0"))).status == 200


async def test_a_body_that_would_be_refused_is_not_asked_for() -> None:
    async with serving() as server:
        assert await server.refused(EXPECT[:-5].replace(b": 5", b": 5000")) == 413
        assert await server.refused(EXPECT.replace(b"100-Continue", b"a-miracle")) == 417


async def test_zeros_before_a_length_do_not_hide_the_body() -> None:
    async with serving() as server, server.client() as client:
        head = b"POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: %s\r\n\r\nworld"
        for length in (b"05", b"0" * 20 + b"5", b"0" * 5_000 + b"5"):
            await client.send(head % length + GET)
            assert (await client.answer()).json["body"] == "world"
            assert (await client.answer()).json["method"] == "GET"


# --- what is no request ---

HEAD = b"POST / HTTP/1.1\r\nHost: h\r\n"
CHUNKED_HEAD = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

MALFORMED: Sequence[bytes] = [
    # Two ideas of where the body ends.
    HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    HEAD + b"Content-Length: 5, 5\r\n\r\nhello",
    HEAD + b"Content-Length: +5\r\n\r\nhello",
    HEAD + b"Content-Length: -5\r\n\r\nhello",
    HEAD + b"Content-Length: 0x5\r\n\r\nhello",
    HEAD + b"Content-Length: 5 5\r\n\r\nhello",
    HEAD + b"Content-Length:\r\n\r\n",
    HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
    HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"Transfer-Encoding: identity\r\n\r\n",
    HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    HEAD + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    HEAD + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n",
    HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    # Field lines.
    HEAD + b"X : y\r\n\r\n",
    HEAD + b" X: y\r\n\r\n",
    HEAD + b"X: y\r\n z\r\n\r\n",
    HEAD + b"X: y\r\n\tz\r\n\r\n",
    HEAD + b"X: y\nZ: z\r\n\r\n",
    HEAD + b"X: y\rZ: z\r\n\r\n",
    HEAD + b"X: a\0b\r\n\r\n",
    HEAD + b"X: a\x01b\r\n\r\n",
    HEAD + b"X: a\x7fb\r\n\r\n",
    HEAD + b"X\0: y\r\n\r\n",
    HEAD + b"X(: y\r\n\r\n",
    HEAD + b"\xe9: y\r\n\r\n",
    HEAD + b": y\r\n\r\n",
    HEAD + b"X\r\n\r\n",
    HEAD.replace(b"\r\n", b"\n") + b"\n",
    HEAD.replace(b"\r\n", b"\n"),
    # Host.
    b"GET / HTTP/1.1\r\n\r\n",
    HEAD + b"Host: h\r\n\r\n",
    HEAD + b"Host: other\r\n\r\n",
    HEAD.replace(b": h", b": a b") + b"\r\n",
    HEAD.replace(b": h", b": a/b") + b"\r\n",
    HEAD.replace(b": h", b": user@h") + b"\r\n",
    HEAD.replace(b": h", b": \xe9") + b"\r\n",
    # Request lines and targets.
    b"GET /\r\n\r\n",
    b"GET / \r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /  HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
    b"GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET / http/1.1\r\nHost: h\r\n\r\n",
    b"GET / RTSP/1.0\r\nHost: h\r\n\r\n",
    b"SOURCE / ICE/1.0\r\nHost: h\r\n\r\n",
    b"GET / HTTP/11\r\nHost: h\r\n\r\n",
    b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /\xe9 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /a\0 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET a HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET ?a HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET http:///a HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET http://u@h/a HTTP/1.1\r\nHost: h\r\n\r\n",
    b"G(T / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"hello\r\n\r\n",
    b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03",
    b" GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    # Line ends before a request.
    b"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"\rGET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"\r\n" * (MAX_EMPTY_LINES + 1) + GET,
    # Chunks.
    CHUNKED_HEAD + b"\r\n",
    CHUNKED_HEAD + b"x\r\nhello\r\n0\r\n\r\n",
    CHUNKED_HEAD + b"-5\r\nhello\r\n0\r\n\r\n",
    CHUNKED_HEAD + b"+5\r\nhello\r\n0\r\n\r\n",
    CHUNKED_HEAD + b"0x5\r\nhello\r\n0\r\n\r\n",
    CHUNKED_HEAD + b"5 \r\nhello\r\n0\r\n\r\n",
    CHUNKED_HEAD + b" 5\r\nhello\r\n0\r\n\r\n",
    CHUNKED_HEAD + b"5\nhello\r\n0\r\n\r\n",
    CHUNKED_HEAD + b"5\n",
    CHUNKED_HEAD + b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    CHUNKED_HEAD + b"5\r\nhello0\r\n\r\n",
    CHUNKED_HEAD + b"5\r\nhello\n0\r\n\r\n",
    CHUNKED_HEAD + b"5\r\nhello\r0\r\n\r\n",
    CHUNKED_HEAD + b"4\r\nhello\r\n0\r\n\r\n",
    CHUNKED_HEAD + b"0" * 17 + b"\r\n\r\n",
    CHUNKED_HEAD + b"5;" + b"x" * MAX_LINE_BYTES,
    CHUNKED_HEAD + (b"1;" + b"x" * 200 + b"\r\nx\r\n") * (MAX_EXTENSION_BYTES // 200 + 1),
    CHUNKED_HEAD + b"0\r\nX : y\r\n\r\n",
    CHUNKED_HEAD + b"0\r\nX: y\r\n z\r\n\r\n",
    CHUNKED_HEAD + b"0\r\nX: a\0\r\n\r\n",
    CHUNKED_HEAD + b"0\r\nX: " + b"x" * MAX_TRAILER_BYTES,
    CHUNKED_HEAD + b"0\r\n" + b"X: y\r\n" * (MAX_TRAILER_BYTES // 6 + 1),
]


@pytest.mark.parametrize("data", MALFORMED)
async def test_what_two_readers_could_take_for_different_things_is_400(data: bytes) -> None:
    async with serving() as server, server.client() as client:
        await client.send(GET + data + GET)
        assert (await client.answer()).status == 200
        refused = await client.answer()
        assert refused.status == 400
        assert refused.headers["connection"] == "close"
        assert await client.ended()
        assert server.echo.asked == ["/hello"]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505),
        (b"GET / HTTP/0.9\r\nHost: h\r\n\r\n", 505),
        (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        (b"GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", 405),
    ],
)
async def test_what_is_not_spoken_here_is_named(data: bytes, status: int) -> None:
    async with serving() as server:
        assert await server.refused(data) == status


async def test_a_head_has_a_limit_that_is_exact() -> None:
    async with serving(ListenerConfig(max_head_bytes=len(GET))) as server:
        assert (await server.ask(GET)).status == 200
        longer = GET.replace(b"/hello", b"/hello!")
        assert await server.refused(longer) == 431
        assert await server.refused(longer[:-1]) == 431


async def test_a_head_has_only_so_many_fields() -> None:
    async with serving() as server:
        fields = b"".join(b"X-%d: y\r\n" % number for number in range(MAX_FIELDS))
        assert (await server.ask(GET[:-2] + fields[: fields.rindex(b"X-")] + b"\r\n")).status == 200
        assert await server.refused(GET[:-2] + fields + b"\r\n") == 431


async def test_empty_lines_before_a_request_are_overlooked() -> None:
    async with serving() as server, server.client() as client:
        assert (await client.ask(b"\r\n" * MAX_EMPTY_LINES + GET)).status == 200
        assert (await client.ask(b"\r\n" + GET)).status == 200


async def test_an_absolute_target_s_host_counts() -> None:
    async with serving() as server:
        for target, path, query in (("/a?b", "/a", "b"), ("", "/", ""), ("?b", "/", "b")):
            got = await server.ask(f"GET HTTP://messenger.example:80{target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            assert (got.json["host"], got.json["path"], got.json["query"]) == ("messenger.example:80", path, query)


async def test_the_server_as_a_whole_has_options() -> None:
    async with serving() as server:
        assert (await server.ask(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")).json["path"] == "*"


async def test_a_refusal_knows_what_it_is_about_when_that_can_be_told() -> None:
    async with serving() as server:
        got = await server.ask(b"GET /known HTTP/1.1\r\nHost: chat.example\r\nX : y\r\n\r\n")
        assert (got.status, got.json["path"], got.json["host"]) == (400, "/known", "chat.example")
        got = await server.ask(b"\x16\x03\x01\r\n\r\n")
        assert (got.status, list(got.json)) == (400, ["error"])


# --- upgrades ---


@pytest.mark.parametrize("before", [b"", GET, GET + POST], ids=["first", "second", "third"])
async def test_an_upgrade_is_handed_over_with_what_follows_it(before: bytes) -> None:
    got: list[tuple[RequestHead, bytes]] = []

    async def on_upgrade(head: RequestHead, stream: trio.SocketStream, early: bytes) -> None:
        got.append((head, early))
        await stream.send_all(b"mine " + await stream.receive_some())
        await stream.aclose()

    async with serving(on_upgrade=on_upgrade) as server, server.client() as client:
        await client.send(before + UPGRADE + b"early")
        for _ in range(before.count(b"HTTP/1.1")):
            assert (await client.answer()).status == 200
        await all_quiet()
        await client.send(b"later")
        data = b""
        while more := await client.stream.receive_some():
            data += more
        assert data == b"mine later"
        [(head, early)] = got
        assert early == b"early"
        assert (head.method, head.target, head.path, head.query) == ("GET", "/ws?room_id=7", "/ws", "room_id=7")
        assert head.http_version == "1.1"
        assert head.tokens("connection") == {"upgrade"}
        assert head.headers[0] == ("host", "h")


async def test_an_upgrade_to_anything_else_is_an_ordinary_request() -> None:
    async with serving() as server, server.client() as client:
        asks = POST.replace(b"Host", b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: \r\nHost")
        for _ in range(2):
            assert (await client.ask(asks)).json["body"] == "world"
