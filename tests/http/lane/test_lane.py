"""What is the lane's own: parsing however the bytes come, pipelines, and WebSockets that are handed over."""

import pytest
import structlog
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chinwag.http.lane.head import RequestHead
from chinwag.http.lane.lane import BATCH_REQUESTS
from chinwag.http.listener.streams import AcceptedStream
from tests.examples import examples
from tests.http.echo_server import CHUNKS, GET, POST, UPGRADE, all_quiet, request, serving

LANES = ("lane", "lane over TLS")


PIPELINE = b"".join([GET, POST, b"\r\n", CHUNKS, GET.replace(b"GET", b"FOO"), POST, b"\r\n\r\n", CHUNKS, GET])


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, len(PIPELINE) - 1), max_size=12, unique=True).map(sorted))
def test_however_requests_are_cut_the_answers_are_the_same(cuts: list[int]) -> None:
    pieces = [PIPELINE[a:b] for a, b in zip([0, *cuts], [*cuts, len(PIPELINE)], strict=True)]

    async def run() -> list[tuple[str, str, str]]:
        async with serving() as server, server.client() as client:
            client.tcp.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
            for piece in pieces:
                await client.send(piece)
                await trio.testing.wait_all_tasks_blocked()
            got = [(await client.answer()).json for _ in range(7)]
            await client.tcp.send_eof()
            assert await client.ended()
            return [(each["method"], each["path"], each["body"]) for each in got]

    posted, chunked = ("POST", "/hello", "world"), ("POST", "/chunks", "hello world")
    asked = ("GET", "/hello", "")
    assert trio.run(run) == [asked, posted, chunked, ("FOO", "/hello", ""), posted, chunked, asked]


async def test_an_answer_that_would_split_its_head_is_a_500() -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving() as server:
            assert await server.refused(GET.replace(b"/hello", b"/unsendable")) == 500
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["an answer could not be sent"]


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


async def test_http_1_0_closes_unless_asked_not_to() -> None:
    old = b"GET /old HTTP/1.0\r\n\r\n"
    async with serving() as server, server.client() as client:
        got = await client.ask(old.replace(b"\r\n\r\n", b"\r\nConnection: Keep-Alive\r\n\r\n"))
        assert (got.status, got.headers["connection"]) == (200, "keep-alive")
        assert (await client.ask(old)).headers["connection"] == "close"
        assert await client.ended()


# --- upgrades ---


@pytest.mark.parametrize("before", [b"", GET, GET + POST], ids=["first", "second", "third"])
async def test_an_upgrade_is_handed_over_with_what_follows_it(before: bytes) -> None:
    got: list[tuple[RequestHead, bytes]] = []

    async def on_upgrade(head: RequestHead, stream: AcceptedStream, early: bytes) -> None:
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
