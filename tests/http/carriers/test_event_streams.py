"""Answers that are streams of events, in every way that the server serves: from the question to either side's end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
import trio
import trio.testing

from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.connections.limits import SessionLimits
from chinwag.engine.engine import EngineConfig
from chinwag.http.api.cors import Cors
from chinwag.http.api.openapi import describe
from chinwag.http.carriers.event_stream import AsgiEventStream
from chinwag.http.kit.event_stream import RETRY_MS
from chinwag.http.settings import ServerName
from tests.http.carriers.asgi_server import AsgiServer
from tests.http.carriers.event_stream_front import FRONT, EventSource, Told, streaming
from tests.http.echo_server import LONG_S, SHORT_S, all_quiet
from tests.http.listener.leftovers import Census
from tests.http.served import Served, serving
from tests.http.service_api import Person

WAYS: Final = ["lane", "hypercorn", "lane over TLS", "hypercorn over TLS", "HTTP/2"]
everywhere = pytest.mark.parametrize("way", WAYS)
ENGINE: Final = EngineConfig(limits=SessionLimits(closing_s=LONG_S), shutdown_spread_s=SHORT_S)
"""A stream that does not end by itself when it should is not ended by the engine within any test."""
HASTY: Final = EngineConfig(limits=SessionLimits(outbox_bytes=100_000, closing_s=0.5), shutdown_spread_s=SHORT_S)


def h2(way: str) -> bool:
    return way == "HTTP/2"


@asynccontextmanager
async def serving_in(way: str, engine: EngineConfig) -> AsyncIterator[Served]:
    server: ServerName = "hypercorn" if way.startswith("hypercorn") else "lane"
    cors = Cors(["https://app.example"])
    async with serving(server=server, secure="TLS" in way or h2(way), front=FRONT, engine=engine, cors=cors) as running:
        yield running


@pytest.fixture
async def served(way: str) -> AsyncIterator[Served]:
    async with serving_in(way, ENGINE) as running:
        yield running


async def somebody(served: Served) -> tuple[Person, str]:
    """Ann, and a room of hers."""
    ann = await served.api.person("ann")
    return ann, await served.api.room(ann)


@everywhere
async def test_what_happens_is_told_as_it_happens(way: str, served: Served) -> None:
    ann, room = await somebody(served)
    source = EventSource()
    async with streaming(
        served, ann, source, http2=h2(way), path="/v1/events?greet=hello", origin="https://app.example"
    ) as s:
        assert s.status == 200
        assert s.headers["content-type"] == "text/event-stream"
        assert s.headers["cache-control"] == "no-store"
        assert s.headers["access-control-allow-origin"] == "https://app.example"
        assert "content-length" not in s.headers
        await served.api.post(ann, room, "one")
        await served.api.post(ann, room, "two\nlines")
        later = await served.api.room(ann, name="later")
        await served.api.post(ann, later, "of a room that came later")
        await s.until(3)
    assert source.told[0] == Told("message", "hello")
    assert source.texts == ["one", "two\nlines", "of a room that came later"]
    assert source.retry_ms == RETRY_MS


@everywhere
async def test_a_client_that_left_is_noticed_at_once(way: str, served: Served) -> None:
    ann, _ = await somebody(served)
    async with streaming(served, ann, http2=h2(way)):
        await served.until_sessions(1)
    await served.until_sessions(0)


@everywhere
async def test_nothing_is_missed_and_nothing_comes_twice_over_many_breaks(way: str, served: Served) -> None:
    """Messages are posted while the client is there, while it is away, and while it is being told what it missed."""
    ann, room = await somebody(served)
    source = EventSource()
    posted: list[str] = []

    async def post(count: int) -> None:
        for _ in range(count):
            posted.append(f"message {len(posted)}")
            await served.api.post(ann, room, posted[-1])

    await served.api.post(ann, room, "before the first connection")
    async with streaming(served, ann, source, http2=h2(way)) as s:  # and is cut off before anything was said
        while not source.last_id:
            assert await s.more()
    for round_ in range(6):
        await post(3 * round_)
        async with streaming(served, ann, source, http2=h2(way)) as s, trio.open_nursery() as nursery:
            nursery.start_soon(post, 4)
            await s.until(max(0, len(posted) - 2))
    async with streaming(served, ann, source, http2=h2(way)) as s:
        await s.until(len(posted))
    assert source.texts == posted
    assert source.connections == 8
    assert Told("resumed", "reload") not in source.told


@everywhere
async def test_who_has_to_reload_is_told_so_once(way: str, served: Served) -> None:
    ann, room = await somebody(served)
    source = EventSource()
    source.last_id = "of another server"
    async with streaming(served, ann, source, http2=h2(way)) as s:
        while not source.told:
            assert await s.more()
    assert source.told == [Told("resumed", "reload")]
    await served.api.post(ann, room, "missed")
    async with streaming(served, ann, source, http2=h2(way)) as s:
        await s.until(1)
        while len(source.told) < 3:
            assert await s.more()
    assert source.told[1:] == [Told("message posted", "missed"), Told("resumed", "all")]


@everywhere
async def test_a_reader_that_takes_nothing_is_closed_and_delays_nobody(way: str) -> None:
    async with serving_in(way, HASTY) as served:
        ann, slow = await served.api.person("ann"), await served.api.person("slow")
        room = await served.api.room(ann, slow)
        source = EventSource()
        async with streaming(served, slow, http2=h2(way)), streaming(served, ann, source, http2=h2(way)) as s:
            count = 0
            while len(served.api.engine.connections) == 2 and not served.api.engine.connections.stats.slow_consumers:
                await served.api.post(ann, room, "x" * 4000)
                count += 1
                await s.until(count)
            await served.until_sessions(1)
            await served.api.post(ann, room, "the end")
            await s.until(count + 1)
        assert source.texts[-1] == "the end"


@everywhere
async def test_at_shutdown_the_stream_ends_in_order_with_all_that_was_said(way: str, served: Served) -> None:
    ann, room = await somebody(served)
    source = EventSource()
    async with streaming(served, ann, source, http2=h2(way)) as s, trio.open_nursery() as nursery:
        await served.api.post(ann, room, "last words")
        served.shutdown.set()
        nursery.start_soon(served.api.engine.close_sessions)
        await s.to_the_end()
    assert source.texts == ["last words"]
    await served.until_sessions(0)


@everywhere
async def test_the_stream_ends_with_its_token(way: str, served: Served) -> None:
    ann, room = await somebody(served)
    source = EventSource()
    async with streaming(served, ann, source, http2=h2(way)) as s:
        await served.api.post(ann, room, "while it is good")
        await all_quiet()
        [session] = served.api.engine.connections
        session.check(session.expires_at)
        await s.to_the_end()
    assert source.texts == ["while it is good"]


@everywhere
async def test_comments_keep_the_stream_alive_and_silence_ends_none(way: str, served: Served) -> None:
    ann, _ = await somebody(served)
    source = EventSource()
    async with streaming(served, ann, source, http2=h2(way)) as s:
        await all_quiet()
        [session] = served.api.engine.connections
        for later in (100, 200):
            session.check(trio.current_time() + later)
        while source.comments < 2:
            assert await s.more()
        assert session.open
    assert source.told == []


@everywhere
async def test_head_is_answered_like_get_and_opens_nothing(way: str, served: Served) -> None:
    ann, _ = await somebody(served)
    async with streaming(served, ann, http2=h2(way), method="HEAD") as s:
        assert (s.status, s.headers["content-type"]) == (200, "text/event-stream")
        assert "content-length" not in s.headers
        await served.until_sessions(0)


@pytest.mark.parametrize("way", WAYS[:4])
async def test_http_1_0_is_told_by_the_end_of_the_connection(served: Served) -> None:
    ann, room = await somebody(served)
    source = EventSource()
    async with streaming(served, ann, source, version="1.0") as s:
        assert "transfer-encoding" not in s.headers
        assert s.headers["connection"] == "close"
        await served.api.post(ann, room, "old")
        await s.until(1)


@everywhere
async def test_who_may_not_is_refused_as_anywhere(way: str, served: Served) -> None:
    ann, _ = await somebody(served)
    nobody = Person(ann.id, "ann", "no token", "")
    async with streaming(served, nobody, http2=h2(way)) as s:
        assert s.status == 401
        assert s.headers["content-type"] == "application/json"


@pytest.mark.parametrize("way", ["lane", "lane over TLS"])
async def test_answers_before_it_in_a_pipeline_come_first(served: Served) -> None:
    ann, room = await somebody(served)
    async with served.stream() as stream:
        head = f"Host: h\r\nAuthorization: Bearer {ann.token}\r\n\r\n"
        await stream.send_all(f"GET /openapi.json HTTP/1.1\r\n{head}GET /v1/events HTTP/1.1\r\n{head}".encode())
        data = b""
        await served.until_sessions(1)
        await served.api.post(ann, room, "after both")
        while b"after both" not in data:
            data += bytes(await stream.receive_some())
    assert data.startswith(b"HTTP/1.1 200 ")
    assert data.index(b"application/json") < data.index(b"text/event-stream") < data.index(b"after both")


@everywhere
async def test_nothing_is_left_of_streams_that_ended(way: str, served: Served) -> None:
    ann, room = await somebody(served)

    async def one() -> None:
        async with streaming(served, ann, http2=h2(way)) as s:
            await served.api.post(ann, room, "hello")
            await s.until(1)
        await served.until_sessions(0)

    await one()
    await all_quiet()
    census = Census()
    for _ in range(3):
        await one()
    await all_quiet()
    await census.nothing_left()


def test_its_documentation_says_what_it_is() -> None:
    operation = describe(FRONT)["paths"]["/events"]["get"]
    assert list(operation["responses"]["200"]["content"]) == ["text/event-stream"]
    assert "Last-Event-ID" in [each["name"] for each in operation["parameters"]]
    assert not {"206", "304", "416"} & set(operation["responses"])


async def test_behind_an_asgi_server_what_waits_is_out_before_the_end() -> None:
    server = AsgiServer()
    server.taking = False
    transport = AsgiEventStream(server.receive, server.send, connection=server)
    with trio.fail_after(LONG_S):
        async with transport.open(), trio.open_nursery() as nursery:
            transport.try_send(b"data: one\n\n")
            await trio.testing.wait_all_tasks_blocked()
            transport.try_send(b"data: two\n\n")
            transport.goodbye(CloseReason.RESTART)
            nursery.start_soon(transport.finish, LONG_S)
            await trio.testing.wait_all_tasks_blocked()
            server.taking = True
            server.resumed.set()
    assert [each["body"] for each in server.sent] == [b"data: one\n\n", b"data: two\n\n", b""]
    assert [each["more_body"] for each in server.sent] == [True, True, False]
    assert not server.aborted
