"""HTTP/1.1 in every way that it is served: what is taken, what is answered, and how a connection ends."""

import pytest
import structlog
import trio
import trio.testing

from tests.http.echo_server import BODY_LIMIT, CHUNKS, GET, POST, WAYS, all_quiet, request, serving

pytestmark = pytest.mark.parametrize("way", WAYS)


# --- requests and answers ---


async def test_a_request_arrives_as_it_was_sent(way: str) -> None:
    async with serving(way=way) as server:
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


async def test_a_connection_serves_one_request_after_the_other(way: str) -> None:
    async with serving(way=way) as server, server.client() as client:
        for request in (GET, POST, CHUNKS, GET):
            assert (await client.ask(request)).status == 200
        assert server.echo.asked == ["/hello", "/hello", "/chunks", "/hello"]


async def test_head_has_the_length_and_not_the_body(way: str) -> None:
    async with serving(way=way) as server, server.client() as client:
        await client.send(GET.replace(b"GET", b"HEAD") + GET)
        assert int((await client.answer(head=True)).headers["content-length"]) > 0
        assert (await client.answer()).json["method"] == "GET"


@pytest.mark.parametrize("method", ["OPTIONS", "PATCH", "PROPFIND", "FOO", "get", "M-SEARCH", "X!#$%&'*+.^_`|~"])
async def test_any_method_is_for_the_application_to_judge(way: str, method: str) -> None:
    async with serving(way=way) as server, server.client() as client:
        for data in (GET, POST):
            got = await client.ask(data.replace(b"GET", b"POST").replace(b"POST", method.encode()))
            assert got.json["method"] == method
            assert got.json["body"] == ("world" if data is POST else "")


async def test_a_body_may_come_in_chunks(way: str) -> None:
    async with serving(way=way) as server:
        got = await server.ask(CHUNKS)
    assert got.json["body"] == "hello world"
    assert "x-trailer" not in got.json["headers"]


@pytest.mark.parametrize(
    "request_", [GET, POST, CHUNKS, b"\r\n\r\n" + GET], ids=["GET", "POST", "chunks", "empty lines"]
)
async def test_a_request_may_come_byte_by_byte(way: str, request_: bytes) -> None:
    async with serving(way=way) as server, server.client() as client:
        for index in range(len(request_)):
            await client.send(request_[index : index + 1])
            await trio.testing.wait_all_tasks_blocked()
        assert (await client.answer()).status == 200
        assert (await client.ask(GET)).status == 200


async def test_a_half_closed_client_gets_its_answer(way: str) -> None:
    if way == "hypercorn over TLS":
        pytest.skip("hypercorn reads while a handler works, and TLS that ends without saying so is broken")
    async with serving(way=way) as server, server.client() as client:
        await client.send(GET)
        await client.tcp.send_eof()
        assert (await client.answer()).status == 200
        assert await client.ended()


# --- pipelining ---


async def test_a_refusal_comes_after_the_answers_before_it(way: str) -> None:
    async with serving(way=way) as server, server.client() as client:
        await client.send(GET + POST + b"nonsense\r\n\r\n" + GET)
        assert (await client.answer()).status == 200
        assert (await client.answer()).status == 200
        assert (await client.answer()).status == 400
        assert await client.ended()


# --- the end of a connection ---


async def test_a_connection_is_closed_when_the_client_asks_for_it(way: str) -> None:
    async with serving(way=way) as server, server.client() as client:
        await client.send(GET.replace(b"Host", b"Connection: x, Close\r\nHost") + GET)
        assert (await client.answer()).headers["connection"] == "close"
        assert await client.ended()
        assert len(server.echo.asked) == 1


@pytest.mark.parametrize("start", [b"", GET[:20], b"\r\n", POST[:-1], CHUNKS[:-9]])
async def test_a_client_that_leaves_early_leaves_no_trace(way: str, start: bytes) -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(way=way) as server:
            async with server.client() as client:
                await client.send(start)
                await all_quiet()
            assert (await server.ask(GET)).status == 200
            assert server.echo.asked == ["/hello"]
    assert [entry for entry in logs if entry["log_level"] != "debug"] == []


async def test_a_handler_ends_its_work_when_the_client_has_left(way: str) -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(way=way) as server:
            async with server.client() as client:
                await client.send(request("/wait/a"))
                await all_quiet()
                client.tcp.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            await all_quiet()
            server.echo.event("a").set()
            assert (await server.ask(GET)).status == 200
            assert server.echo.finished == ["/wait/a", "/hello"]
            assert not server.echo.cancelled
    assert [entry for entry in logs if entry["log_level"] != "debug"] == []


# --- bodies and their bounds ---


async def test_a_body_of_just_the_limit_is_taken_and_a_longer_one_is_413(way: str) -> None:
    async with serving(way=way) as server:
        head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n"
        got = await server.ask(head.format(BODY_LIMIT).encode() + b"x" * BODY_LIMIT)
        assert len(got.json["body"]) == BODY_LIMIT
        # Refused for what it declares: nothing of the body was sent.
        assert (await server.ask(head.format(BODY_LIMIT + 1).encode())).status == 413
        assert (await server.ask(head.format("9" * 18).encode())).status == 413


async def test_a_chunked_body_is_bounded_as_it_comes(way: str) -> None:
    async with serving(way=way) as server:
        head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        got = await server.ask(head + b"1\r\nx\r\n" * BODY_LIMIT + b"0\r\n\r\n")
        assert len(got.json["body"]) == BODY_LIMIT
        assert (await server.ask(head + b"1\r\nx\r\n" * (BODY_LIMIT + 1))).status == 413
        if way.startswith("lane"):  # it looks at what a chunk says of itself, an ASGI application at what has come
            assert (await server.ask(head + b"%x\r\n" % (BODY_LIMIT + 1))).status == 413


async def test_a_refusal_reaches_a_client_that_is_still_sending(way: str) -> None:
    async with serving(way=way) as server, server.client() as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" + bytes(200_000))
        assert (await client.answer()).status == 413
        assert (await server.ask(GET)).status == 200


# --- expectations ---

EXPECT = POST.replace(b"Host", b"Expect: 100-Continue\r\nHost")


async def test_a_client_that_waits_for_100_is_told_to_continue(way: str) -> None:
    async with serving(way=way) as server, server.client() as client:
        await client.send(GET + EXPECT[:-5])
        assert (await client.answer()).status == 200
        assert (await client.answer()).status == 100
        await client.send(b"wor")
        await all_quiet()
        await client.send(b"ld")
        assert (await client.answer()).json["body"] == "world"


async def test_a_client_that_does_not_wait_for_100_gets_none(way: str) -> None:
    async with serving(way=way) as server:
        assert (await server.ask(EXPECT)).status == 200
        assert (await server.ask(EXPECT.replace(b"1.1", b"1.0"))).status == 200


async def test_a_body_that_would_be_refused_is_not_asked_for(way: str) -> None:
    async with serving(way=way) as server:
        assert (await server.ask(EXPECT[:-5].replace(b": 5", b": 5000"))).status == 413
        assert (await server.ask(EXPECT.replace(b"100-Continue", b"a-miracle"))).status == 417


async def test_zeros_before_a_length_do_not_hide_the_body(way: str) -> None:
    async with serving(way=way) as server, server.client() as client:
        head = b"POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: %s\r\n\r\nworld"
        for length in (b"05", b"0" * 20 + b"5", b"0" * 5_000 + b"5"):
            await client.send(head % length + GET)
            assert (await client.answer()).json["body"] == "world"
            assert (await client.answer()).json["method"] == "GET"
