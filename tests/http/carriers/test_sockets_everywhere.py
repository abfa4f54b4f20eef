"""WebSockets in every way that they are served: plain, inside TLS, by hypercorn, and in streams of HTTP/2."""

import json
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import pytest
import structlog
import trio
import trio.testing
from h2.events import StreamReset

from chinwag.engine.connections.limits import SessionLimits
from chinwag.engine.engine import EngineConfig
from chinwag.http.carriers.websocket import Opcode
from chinwag.http.settings import ServerName
from tests.http.echo_server import all_quiet
from tests.http.http2.http2_client import Http2, request
from tests.http.listener.leftovers import Census
from tests.http.malformed import HARMLESS
from tests.http.peers import client_frame, text
from tests.http.served import (
    BODY_LIMIT,
    MESSAGE_LIMIT,
    Served,
    close_code,
    connecting,
    serving,
    upgrade,
    wire,
)
from tests.http.service_api import Person

WAYS: Final = ["lane", "hypercorn", "lane over TLS", "hypercorn over TLS"]
HTTP_2: Final = "HTTP/2"


@pytest.fixture
async def served(way: str) -> AsyncIterator[Served]:
    server: ServerName = "hypercorn" if way.startswith("hypercorn") else "lane"
    async with serving(server=server, secure=way.endswith("TLS") or way == HTTP_2) as running:
        yield running


over_http_1 = pytest.mark.parametrize("way", WAYS)
everywhere = pytest.mark.parametrize("way", [*WAYS, HTTP_2])


async def somebody(served: Served) -> tuple[Person, str]:
    """Ann, and a room of hers."""
    ann = await served.api.person("ann")
    return ann, await served.api.room(ann)


def saying(room: str, content: str) -> bytes:
    return text(f'{{"event":"send_message","data":{{"room_id":"{room}","content":"{content}"}}}}')


# --- with a client of another make ---


@over_http_1
async def test_a_message_that_is_too_long_is_1009_by_its_bytes(served: Served) -> None:
    ann, room = await somebody(served)
    async with served.websocket(ann, room) as ws:
        await ws.send_message("ä" * (MESSAGE_LIMIT // 2))  # just the limit, and no event
        assert "error" in await ws.get_message()
        await ws.send_message("ä" * (MESSAGE_LIMIT // 2 + 1))
        assert await close_code(ws) == 1009


@over_http_1
async def test_a_body_that_is_too_long_is_413(served: Served) -> None:
    """The listener's limit, as that of messages, whoever serves."""
    for size, status in ((BODY_LIMIT, b"400"), (BODY_LIMIT + 1, b"413")):
        async with served.stream() as stream:
            head = f"POST /v1/auth/login HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n"
            await stream.send_all(head.encode() + b" " * size)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 " + status)


@over_http_1
async def test_a_client_that_answers_no_pings_is_dropped(served: Served) -> None:
    ann, room = await somebody(served)
    async with served.websocket(ann, room) as ws:
        [session] = served.api.engine.connections
        transport = session._transport
        assert transport is not None
        before = transport.last_received
        await ws.send_message("anything")
        await ws.get_message()
        assert before < transport.last_received <= trio.current_time()
        session.check(trio.current_time() + 1000)
        assert await close_code(ws) == 4410


@pytest.mark.parametrize("way", WAYS[:3])
async def test_a_blocked_reader_does_not_delay_others(served: Served) -> None:
    ann, slow = await served.api.person("ann"), await served.api.person("slow")
    room = await served.api.room(ann, slow)
    async with served.websocket(ann, room) as ws, served.stream() as stream:
        await stream.send_all(upgrade(slow, room))
        await served.until_sessions(2)
        words = "x" * 4000
        while len(served.api.engine.connections) == 2 and not served.api.engine.connections.stats.slow_consumers:
            await served.api.post(ann, room, words)
            assert words in await ws.get_message()
        await served.api.post(ann, room, "the end")
        assert "the end" in await ws.get_message()


@pytest.mark.parametrize("server", ["lane", "hypercorn"])
async def test_who_talks_and_never_listens_is_read_no_further_and_closed(server: ServerName) -> None:
    """The answers to its own mistakes fill its outbox; then its time runs out."""
    nonsense = text(json.dumps({"event": "send_message", "data": {"room_id": "0", "client_id": "x" * 200}}))
    limits = SessionLimits(pause_bytes=50_000, outbox_bytes=400_000)
    async with serving(server=server, engine=EngineConfig(limits=limits)) as served, trio.open_nursery() as nursery:
        ann, room = await somebody(served)
        async with served.stream() as stream:
            stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
            await stream.send_all(upgrade(ann, room))
            await served.until_sessions(1)
            [session] = served.api.engine.connections

            async def babble() -> None:
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    while True:
                        await stream.send_all(nonsense * 100)

            nursery.start_soon(babble)
            while not session.behind:  # noqa: ASYNC110 - there is no event for it
                await trio.sleep(0.01)
            await trio.testing.wait_all_tasks_blocked(0.05)  # it cannot say any more
            was_open, waiting_bytes = session.open, session.outbox_bytes
            session.check(trio.current_time() + limits.blocked_s + 1)
            assert (was_open, session.open) == (True, False)
            assert limits.pause_bytes < waiting_bytes < limits.outbox_bytes
            session.check(trio.current_time() + 1000)  # and it cannot be said goodbye to
            await served.until_sessions(0)


# --- by the byte ---


@everywhere
async def test_what_is_said_comes_back(way: str, served: Served) -> None:
    ann, room = await somebody(served)
    async with wire(served, ann, room, http2=way == HTTP_2) as ws:
        await ws.send(saying(room, "hello"))
        await ws.until(b'"content":"hello"')
        await ws.send(client_frame(Opcode.PING, b"are you there"))
        await ws.until(b"\x8a\x0dare you there")
        await ws.send(client_frame(Opcode.CLOSE, struct.pack("!H", 4321) + b"goodbye"))
        assert await ws.close_code() == 4321
    await served.until_sessions(0)


@everywhere
async def test_many_frames_in_one_piece_are_many_messages(way: str, served: Served) -> None:
    ann, room = await somebody(served)
    count = 200
    async with wire(served, ann, room, saying(room, "early"), http2=way == HTTP_2) as ws:
        await ws.send(b"".join(saying(room, f"number {number}.") for number in range(count)))
        await ws.until(f"number {count - 1}.".encode())
        numbers = [ws.received.index(f"number {number}.".encode()) for number in range(count)]
        assert numbers == sorted(numbers)
        assert ws.received.index(b"early") < numbers[0]


@everywhere
async def test_a_frame_in_many_pieces_is_one_message(way: str, served: Served) -> None:
    ann, room = await somebody(served)
    async with wire(served, ann, room, http2=way == HTTP_2) as ws:
        data = saying(room, "x" * 3000)
        for start in range(0, len(data), 100):
            await ws.send(data[start : start + 100])
            await trio.testing.wait_all_tasks_blocked()
        await ws.until(b"x" * 3000)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (client_frame(Opcode.TEXT, b"\xff"), 1007),
        (client_frame(Opcode.TEXT, b"x", masked=False), 1002),
        (client_frame(Opcode.TEXT, b"x" * (MESSAGE_LIMIT + 1)), 1009),
    ],
)
@everywhere
async def test_who_breaks_the_protocol_is_told_and_has_one_line(
    way: str, served: Served, sent: bytes, code: int
) -> None:
    ann, room = await somebody(served)
    with structlog.testing.capture_logs() as logs:
        async with wire(served, ann, room, http2=way == HTTP_2) as ws:
            await ws.send(saying(room, "before"))
            await ws.until(b"before")
            await ws.send(sent)
            assert await ws.close_code() == code
        await served.until_sessions(0)
    said = [entry for entry in logs if entry["log_level"] not in ("debug", "info")]
    assert [(entry["event"], entry["user"], entry["protocol"]) for entry in said] == [
        ("bad client", int(ann.id), "WebSocket")
    ]


@over_http_1
async def test_whatever_else_a_handshake_carries_it_is_answered(served: Served) -> None:
    ann, room = await somebody(served)
    wrong: dict[bytes, bytes] = {}
    with structlog.testing.capture_logs() as logs:
        for line in HARMLESS:
            async with served.stream() as stream:
                await stream.send_all(upgrade(ann, room)[:-2] + line + b"\r\n\r\n")
                answer = bytes(await stream.receive_some())
                if not answer.startswith(b"HTTP/1.1 101 ") or b"sec-websocket-protocol" in answer.lower():
                    wrong[line] = answer
        await served.until_sessions(0)
    assert wrong == {}
    assert [entry for entry in logs if entry["log_level"] not in ("debug", "info")] == []


@over_http_1
async def test_a_handshake_that_is_none_is_refused_with_one_line(served: Served) -> None:
    ann, room = await somebody(served)
    twice = upgrade(ann, room).replace(b"Sec-WebSocket-Key:", b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Key:")
    with structlog.testing.capture_logs() as logs:
        async with served.stream() as stream:
            await stream.send_all(twice)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 400 ")
    said = [entry for entry in logs if entry["log_level"] not in ("debug", "info")]
    assert [(entry["event"], entry["reason"], entry["client"]) for entry in said] == [
        ("bad client", "header sec-websocket-key is repeated", "127.0.0.1")
    ]
    assert len(served.api.engine.connections) == 0


@everywhere
async def test_who_may_not_is_refused_over_http(way: str, served: Served) -> None:
    ann, room = await somebody(served)
    eve = await served.api.person("eve")
    async with served.stream("h2" if way == HTTP_2 else "http/1.1") as stream:
        if way == HTTP_2:
            assert await Http2(stream).outcome(connecting(eve, room)) == 403
        else:
            await stream.send_all(upgrade(eve, room))
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 403 ")
    assert len(served.api.engine.connections) == 0
    async with wire(served, ann, room, http2=way == HTTP_2):
        assert len(served.api.engine.connections) == 1


@everywhere
async def test_the_end_of_the_server_is_told_as_1012(way: str, served: Served) -> None:
    ann, room = await somebody(served)
    async with wire(served, ann, room, http2=way == HTTP_2) as ws, trio.open_nursery() as nursery:
        nursery.start_soon(served.api.engine.close_sessions)
        await ws.until(struct.pack("!H", 1012))
        await ws.send(client_frame(Opcode.CLOSE, struct.pack("!H", 1012)))
        assert await ws.close_code() == 1012


@everywhere
@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("reading", [True, False])
async def test_nothing_is_left_of_a_client_that_leaves_without_a_word(
    way: str, served: Served, end: str, reading: bool
) -> None:
    ann, bob = await served.api.person("ann"), await served.api.person("bob")
    room = await served.api.room(ann, bob)
    async with wire(served, ann, room, http2=way == HTTP_2):
        pass  # what is made once is made
    await served.api.post(ann, room, "the room is awake")
    await served.until_sessions(0)
    await all_quiet()
    census = Census()
    async with wire(served, bob, room, http2=way == HTTP_2) as ws:
        if not reading:
            for _ in range(300):
                await served.api.post(ann, room, "x" * 4000)
        tcp = ws.stream.transport_stream if isinstance(ws.stream, trio.SSLStream) else ws.stream
        if end == "reset":
            tcp.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await tcp.aclose()
    await served.until_sessions(0)
    await census.nothing_left()


# --- beside other requests of one HTTP/2 connection ---


@pytest.mark.parametrize("way", [HTTP_2])
async def test_a_socket_and_requests_share_a_connection(served: Served) -> None:
    ann, room = await somebody(served)
    async with wire(served, ann, room, http2=True) as ws:
        assert ws.http is not None
        assert (await ws.http.ask(request("/healthz"))).status == 200
        await ws.send(client_frame(Opcode.CLOSE, b""))
        while await ws.more():
            pass
        assert (await ws.http.ask(request("/healthz"))).status == 200  # the connection goes on
        again = await ws.http.begin(
            connecting(ann, room, ("sec-websocket-extensions", "permessage-deflate")), end=False
        )
        ws.http.connection.reset_stream(again)
        await ws.http.flush()
        await served.until_sessions(0)
        assert (await ws.http.ask(request("/healthz"))).status == 200


@pytest.mark.parametrize("way", [HTTP_2])
async def test_a_socket_whose_window_stays_closed_is_a_slow_consumer(served: Served) -> None:
    ann, slow = await served.api.person("ann"), await served.api.person("slow")
    room = await served.api.room(ann, slow)
    async with served.stream("h2") as stream:
        http = Http2(stream, window=0)
        stuck = await http.begin(connecting(slow, room), end=False)
        await served.until_sessions(1)
        [session] = served.api.engine.connections
        while session.open:
            await served.api.post(ann, room, "x" * 4000)
            session.check(trio.current_time() + (25 if session.outbox_bytes else 0))
        session.check(trio.current_time() + 1000)  # and it cannot be said goodbye to
        await http.until(StreamReset, stuck)
        await served.until_sessions(0)
        assert (await http.outcome(request("/healthz"))) == 200
