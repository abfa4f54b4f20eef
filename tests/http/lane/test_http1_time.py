"""How long clients may take, and how the server's end finds them, in every way that HTTP/1.1 is served."""

import pytest
import trio
import trio.testing

from chinwag.http.listener.listener import ListenerConfig
from tests.http.echo_server import (
    BIG_BYTES,
    BODY_LIMIT,
    CHUNKS,
    GET,
    LONG_S,
    POST,
    SHORT_S,
    WAYS,
    all_quiet,
    request,
    serving,
)

pytestmark = pytest.mark.parametrize("way", WAYS)


def short(way: str) -> float:
    """A limit that a test waits for, and that a handshake keeps on a busy machine."""
    return 6 * SHORT_S if way.endswith("TLS") else SHORT_S


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
async def test_a_first_head_that_does_not_come_is_408(way: str, start: bytes) -> None:
    async with serving(limits(head_timeout_s=short(way)), way=way) as server:
        assert await server.refused(start) == 408


async def test_a_later_head_that_does_not_come_whole_is_408(way: str) -> None:
    async with serving(limits(head_timeout_s=short(way)), way=way) as server, server.client() as client:
        assert (await client.ask(GET)).status == 200
        await client.send(GET[:20])
        assert (await client.answer()).status == 408
        assert await client.ended()


async def test_a_head_in_a_trickle_is_408_all_the_same(way: str) -> None:
    quick = limits(head_timeout_s=short(way))
    async with serving(quick, way=way) as server, server.client() as client, trio.open_nursery() as nursery:

        async def trickle() -> None:
            await client.send(b"GET / HTTP/1.1\r\nX-Slow: ")
            while True:
                await client.send(b"x")
                await trio.sleep(SHORT_S / 10)

        nursery.start_soon(trickle)
        assert (await client.answer()).status == 408
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("start", [POST[:-1], CHUNKS[:-9], CHUNKS[:-20]])
async def test_a_body_that_does_not_come_is_408_in_the_front_s_shape(way: str, start: bytes) -> None:
    async with serving(limits(body_timeout_s=short(way)), way=way) as server, server.client() as client:
        assert (await client.ask(GET)).status == 200
        got = await client.ask(start)
        assert got.status == 408
        assert "refused" in got.json
        assert await client.ended()


async def test_an_idle_connection_is_closed_without_a_word(way: str) -> None:
    async with serving(limits(keep_alive_timeout_s=short(way)), way=way) as server, server.client() as client:
        assert (await client.ask(GET)).status == 200
        await client.send(b"\r\n")  # what some clients send after a body is no beginning of a request
        assert await client.ended()


async def test_a_slow_handler_is_under_no_limit_of_the_client_s(way: str) -> None:
    quick = limits(
        head_timeout_s=short(way), body_timeout_s=short(way), keep_alive_timeout_s=short(way), send_timeout_s=short(way)
    )
    async with serving(quick, way=way) as server, server.client() as client:
        await client.send(request("/wait/a"))
        await trio.sleep(short(way) * 3)
        server.echo.event("a").set()
        assert (await client.answer()).json["path"] == "/wait/a"


async def test_a_client_that_takes_nothing_is_reset(way: str) -> None:
    async with serving(limits(send_timeout_s=short(way)), way=way) as server, server.client() as client:
        await client.send(request("/big"))
        while not server.echo.finished:  # noqa: ASYNC110 - a busy machine may take longer than the limit
            await trio.sleep(SHORT_S)
        await trio.sleep(short(way) * 3)
        with pytest.raises(trio.BrokenResourceError):
            while await client.stream.receive_some():
                pass


async def test_a_client_that_takes_its_time_gets_everything(way: str) -> None:
    async with serving(way=way) as server, server.client() as client:
        await client.send(request("/big"))
        await all_quiet()
        assert len((await client.answer()).body) == BIG_BYTES
        assert (await client.ask(GET)).status == 200


async def test_a_client_that_does_not_read_does_not_delay_others(way: str) -> None:
    async with serving(way=way) as server, server.client() as blocked, server.client() as other:
        await blocked.send(request("/big"))
        await all_quiet()
        for _ in range(3):
            assert (await other.ask(GET)).status == 200


# --- shutdown ---


async def test_shutdown_closes_what_is_idle_and_lets_requests_finish(way: str) -> None:
    async with (
        serving(way=way) as server,
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
        await server.server.begin_shutdown()
        for client in (silent, half_a_head, idle):
            assert await client.ended()
        server.echo.event("a").set()
        await sending.send(POST[-2:])
        for client in (asking, sending):
            assert (await client.answer()).headers["connection"] == "close"
            assert await client.ended()
        assert "/next" not in server.echo.asked
