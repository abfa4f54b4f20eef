"""SIGTERM and SIGINT: sockets hear 1012, requests end, exit code 0 within ten seconds, whatever clients do."""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import trio

from tests.e2e.client import Api, Person, api_of
from tests.e2e.hostile import fill_bulky, post_bulky, raw, raw_websocket
from tests.e2e.listeners import OVER_TLS_TOO, Listener, Stream, half_close
from tests.e2e.processes import LIMIT_S, serving

pytestmark = OVER_TLS_TOO
RESTART = 1012


@pytest.mark.listeners("lane", reason="a signal is a signal: the next test is over each listener")
async def test_ctrl_c_ends_it_in_order_and_loses_nothing(listener: Listener, tmp_path: Path) -> None:
    await end_it(listener, tmp_path, signal.SIGINT)


async def test_the_end_is_in_order_and_loses_nothing(listener: Listener, tmp_path: Path) -> None:
    await end_it(listener, tmp_path, signal.SIGTERM)


async def end_it(listener: Listener, tmp_path: Path, how: signal.Signals) -> None:
    """Sockets hear 1012; posts under way are answered or cleanly refused; what was answered is there afterwards."""
    acknowledged: list[str] = []
    with serving(tmp_path / "data", listener=listener) as server:
        async with api_of(server) as api:
            ann, bob = await api.person("ann"), await api.person("bob")
            room = await api.room(ann, bob)
            codes: list[int] = []
            busy = trio.Event()

            async def listen() -> None:
                async with api.socket(bob, room) as socket:
                    codes.append(await socket.closed())

            async def post(name: str) -> None:
                async with api_of(server) as own:
                    for number in range(100_000):
                        body = {"content": f"{name} {number}"}
                        try:
                            answer = await own.ask("POST", f"/rooms/{room}/messages", as_=ann, json=body)
                        except httpx2.TransportError:
                            return
                        if answer.status_code != 201:
                            assert answer.status_code == 503
                            assert list(answer.json()) == ["error"]
                            assert "retry-after" in answer.headers
                            return
                        acknowledged.append(answer.json()["id"])
                        if len(acknowledged) > 50:
                            busy.set()

            with trio.fail_after(LIMIT_S):
                async with trio.open_nursery() as nursery:
                    for _ in range(5):
                        nursery.start_soon(listen)
                    for name in ("a", "b", "c", "d"):
                        nursery.start_soon(post, name)
                    await busy.wait()
                    server.process.send_signal(how)
            assert codes == [RESTART] * 5
            assert await server.ended() == 0
    with serving(tmp_path / "data", listener=listener) as server:
        async with api_of(server) as api:
            stored: set[str] = set()
            page = 1
            while chunk := await api.history(bob, room, page=page):
                stored |= {message["id"] for message in chunk}
                page += 1
            assert stored >= set(acknowledged)


async def test_new_connections_are_refused_once_it_ends(listener: Listener, tmp_path: Path) -> None:
    with serving(tmp_path / "data", listener=listener) as server:
        async with api_of(server) as api:
            ann = await api.person("ann")
            room = await api.room(ann)
            async with api.socket(ann, room) as socket:
                server.terminate()
                assert await socket.closed() == RESTART
            assert await server.ended() == 0
            with pytest.raises(ConnectionRefusedError):
                await server.connect()


Hindrance = Callable[[Api, Person, str], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def a_websocket_that_never_reads_and_is_flooded(api: Api, ann: Person, room: str) -> AsyncIterator[None]:
    async def flood() -> None:
        async with api_of(api.server) as own:
            try:
                while True:
                    await post_bulky(own, ann, room)
            except (httpx2.TransportError, AssertionError):
                return

    async with raw_websocket(api, ann, room), trio.open_nursery() as nursery:
        nursery.start_soon(flood)
        await api.metric_reaches("chinwag_outbox_bytes", 1)
        yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def a_websocket_that_never_answers_the_close(api: Api, ann: Person, room: str) -> AsyncIterator[None]:
    async with raw_websocket(api, ann, room):
        yield


@asynccontextmanager
async def a_replay_that_nobody_reads(api: Api, ann: Person, room: str) -> AsyncIterator[None]:
    ids = await fill_bulky(api, ann, room, 300)
    async with raw_websocket(api, ann, room, since=ids[0]) as stream:
        await stream.receive_some(1)
        yield


@asynccontextmanager
async def a_large_answer_that_nobody_reads(api: Api, ann: Person, room: str) -> AsyncIterator[None]:
    await fill_bulky(api, ann, room, 400)
    async with raw(api.server) as stream:
        request = f"GET /v1/rooms/{room}/messages?limit=1000 HTTP/1.1\r\nHost: h\r\nX-Auth-Token: {ann.token}\r\n\r\n"
        await stream.send_all(request.encode())
        assert await stream.receive_some(1) == b"H"  # it is on its way
        yield


@asynccontextmanager
async def a_request_whose_body_never_comes(api: Api, ann: Person, room: str) -> AsyncIterator[None]:
    async with raw(api.server) as stream:
        head = f"POST /v1/rooms/{room}/messages HTTP/1.1\r\nHost: h\r\nX-Auth-Token: {ann.token}\r\n"
        await stream.send_all(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        yield


async def answered(stream: Stream) -> None:
    await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
    received = b""
    while not received.endswith(b"}"):
        received += await stream.receive_some()
    assert received.startswith(b"HTTP/1.1 200 ")


@asynccontextmanager
async def an_idle_keep_alive(api: Api, ann: Person, room: str) -> AsyncIterator[None]:
    async with raw(api.server) as stream:
        await answered(stream)
        yield


@asynccontextmanager
async def a_half_sent_second_request(api: Api, ann: Person, room: str) -> AsyncIterator[None]:
    async with raw(api.server) as stream:
        await answered(stream)
        await stream.send_all(b"POST /v1/rooms HTTP/1.1\r\nHos")
        yield


@asynccontextmanager
async def a_half_sent_head(api: Api, ann: Person, room: str) -> AsyncIterator[None]:
    async with raw(api.server) as stream:
        await stream.send_all(b"GET /v1/rooms HTTP/1.1\r\nHo")
        yield


@asynccontextmanager
async def a_connection_that_says_nothing(api: Api, ann: Person, room: str) -> AsyncIterator[None]:
    async with raw(api.server):
        yield


@asynccontextmanager
async def half_closed_sockets(api: Api, ann: Person, room: str) -> AsyncIterator[None]:
    async with raw(api.server) as silent, raw(api.server) as asking, raw_websocket(api, ann, room) as websocket:
        await half_close(silent)
        await answered(asking)
        await half_close(asking)
        await half_close(websocket)
        yield


HINDRANCES: list[Hindrance] = [
    a_websocket_that_never_reads_and_is_flooded,
    a_websocket_that_never_answers_the_close,
    a_replay_that_nobody_reads,
    a_large_answer_that_nobody_reads,
    a_request_whose_body_never_comes,
    an_idle_keep_alive,
    a_half_sent_second_request,
    a_half_sent_head,
    a_connection_that_says_nothing,
    half_closed_sockets,
]


async def test_no_client_holds_up_the_end(listener: Listener, tmp_path: Path) -> None:
    """All of the above at once."""
    with serving(tmp_path / "data", listener=listener) as server:
        async with api_of(server) as api:
            ann = await api.person("ann")
            rooms = [(hindrance, await api.room(ann)) for hindrance in HINDRANCES]
            ready: list[str] = []
            all_ready, over = trio.Event(), trio.Event()

            async def hinder(hindrance: Hindrance, room: str) -> None:
                async with hindrance(api, ann, room):
                    ready.append(hindrance.__name__)
                    if len(ready) == len(HINDRANCES):
                        all_ready.set()
                    await over.wait()

            with trio.fail_after(2 * LIMIT_S):
                async with trio.open_nursery() as nursery:
                    for hindrance, room in rooms:
                        nursery.start_soon(hinder, hindrance, room)
                    await all_ready.wait()
                    server.terminate()
                    assert await server.ended() == 0
                    over.set()


async def test_the_last_words_reach_a_client_that_reads_late(listener: Listener, tmp_path: Path) -> None:
    """What was sent before the end, and the goodbye after it, are still delivered by the kernel."""
    with serving(tmp_path / "data", listener=listener) as server:
        async with api_of(server) as api:
            ann = await api.person("ann")
            room = await api.room(ann)
            async with raw_websocket(api, ann, room) as stream:
                await api.post(ann, room, "last words")
                server.terminate()
                goodbye = RESTART.to_bytes(2, "big") + b"server is shutting down"
                received = b""
                with trio.fail_after(LIMIT_S):
                    while not received.endswith(goodbye):
                        data = await stream.receive_some()
                        assert data, received
                        received += data
                assert b"last words" in received
            assert await server.ended() == 0
