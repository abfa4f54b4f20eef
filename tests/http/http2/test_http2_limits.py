"""What an HTTP/2 client may cost: floods are cut off, and nothing of a connection is left when it has ended."""

import random
import struct
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import pytest
import structlog
import trio
import trio.testing
from h2.errors import ErrorCodes
from h2.events import StreamReset
from h2.exceptions import ProtocolError

from chinwag.http.http2.connection import MAX_HANDLERS, MAX_STREAMS, MAX_UNSENT_BYTES
from chinwag.http.http2.frames import (
    FRAMES_AT_ONCE,
    FRAMES_PER_S,
    FRAMES_PER_STEP,
    PREFACE,
    FrameAllowance,
    TooManyFrames,
)
from chinwag.http.listener.listener import ListenerConfig
from tests.http.echo_server import LONG_S, SHORT_S, SOME_BYTES, Server, all_quiet, serving
from tests.http.http2.http2_client import Http2, frame, request
from tests.http.listener.leftovers import Census
from tests.http.listener.test_connection_ends import HASTY, PATIENT

WAY = "lane over TLS"

# --- floods ---


DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
ACK, END_STREAM, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8
GET = b"\x82\x84\x87\x41\x01h"
"""A request of "/", compressed."""
PING_FRAME = frame(PING, payload=b"12345678")

FLOODS: dict[str, list[bytes]] = {
    "PING": [PING_FRAME],
    "PONG": [frame(PING, payload=b"12345678", flags=ACK)],
    "SETTINGS": [frame(SETTINGS)],
    "SETTINGS that change": [frame(SETTINGS, payload=struct.pack("!HI", 1, size)) for size in (100, 4000)],
    "PRIORITY": [frame(PRIORITY, 5, struct.pack("!IB", 3, 1))],
    "PRIORITY of many streams": [frame(PRIORITY, number, struct.pack("!IB", 1, 1)) for number in range(3, 2003, 2)],
    "WINDOW_UPDATE": [frame(WINDOW_UPDATE, payload=struct.pack("!I", 1))],
    "RST_STREAM": [frame(RST_STREAM, 1, struct.pack("!I", 8))],
    "unknown": [frame(0xEE, payload=b"x")],
    "empty DATA": [frame(DATA, 3)],
    "padded DATA": [frame(DATA, 3, b"\x05" + bytes(5), PADDED)],
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_of_frames_is_cut_off(name: str) -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(PATIENT, way=WAY) as server, server.client("h2") as client:
            http = Http2(client.stream)
            if "DATA" in name:
                await http.begin(request())
                await http.begin(request(method="POST"), end=False)
            times = (FRAMES_AT_ONCE + 1000) // len(FLOODS[name])
            with suppress(trio.BrokenResourceError):
                await http.raw(*FLOODS[name] * times)
            assert await http.last_words() == ErrorCodes.ENHANCE_YOUR_CALM
    said = [entry for entry in logs if entry["log_level"] != "debug"]
    assert [(entry["event"], entry["reason"]) for entry in said] == [
        ("bad client", "too many frames that ask for nothing")
    ]


@pytest.mark.parametrize("name", FLOODS)
async def test_some_of_them_are_no_flood(name: str) -> None:
    async with serving(PATIENT, way=WAY) as server, server.client("h2") as client:
        http = Http2(client.stream)
        assert (await http.ask(request())).status == 200
        await http.begin(request(method="POST"), end=False)
        if name != "empty DATA":
            await http.raw(*(FLOODS[name] * 10)[:100])
        assert (await http.ask(request())).status == 200
        assert server.bad_clients.total == 0


async def test_headers_without_an_end_are_cut_off() -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(PATIENT, way=WAY) as server, server.client("h2") as client:
            http = Http2(client.stream)
            with suppress(trio.BrokenResourceError):
                await http.raw(frame(HEADERS, 1, b"\x82"), *[frame(CONTINUATION, 1, b"\x87")] * 200)
            assert await http.last_words() == ErrorCodes.PROTOCOL_ERROR
    assert [entry["event"] for entry in logs if entry["log_level"] != "debug"] == ["bad client"]


async def test_streams_beyond_those_allowed_are_refused_and_harm_no_other() -> None:
    async with serving(PATIENT, way=WAY) as server, server.client("h2") as client:
        http = Http2(client.stream)
        for _ in range(MAX_STREAMS + 50):  # at once, before it can know how many there may be
            http.connection.send_headers(http.next_id, request("/wait/a"), end_stream=True)
            http.next_id += 2
        streams = range(1, http.next_id, 2)
        for stream_id in streams[MAX_STREAMS:]:
            assert (await http.until(StreamReset, stream_id)).error_code == ErrorCodes.REFUSED_STREAM
        server.echo.event("a").set()
        for stream_id in streams[:MAX_STREAMS]:
            assert (await http.answer(stream_id)).status == 200
        assert (await http.ask(request())).status == 200
        assert server.bad_clients.total == 0


async def test_a_client_that_opens_and_resets_without_pause_is_cut_off() -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(PATIENT, way=WAY) as server, server.client("h2") as client:
            http = Http2(client.stream)
            for _ in range(2 * FRAMES_AT_ONCE):
                http.connection.send_headers(http.next_id, request("/wait/a"), end_stream=True)
                http.connection.reset_stream(http.next_id)
                http.next_id += 2
            with suppress(trio.BrokenResourceError):
                await http.flush()
            assert await http.last_words() == ErrorCodes.ENHANCE_YOUR_CALM
            assert len(server.echo.asked) <= MAX_STREAMS
    assert [entry["event"] for entry in logs if entry["log_level"] != "debug"] == ["bad client"]


async def test_what_is_no_http_2_ends_the_connection() -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(PATIENT, way=WAY) as server:
            for data in (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", bytes(100), PREFACE + b"\xff" * 100):
                async with server.client("h2") as client:
                    await client.send(data)
                    while await client.stream.receive_some():
                        pass
    assert [entry["event"] for entry in logs if entry["log_level"] != "debug"] == ["bad client"] * 3


@pytest.mark.parametrize(
    "sent",
    [
        frame(HEADERS, 1, bytes(16_385))[:9],
        frame(HEADERS, 1, bytes(16_000)) + frame(CONTINUATION, 1, bytes(16_000)) * 4,
        frame(HEADERS, 1, b"\x20" * 100, flags=END_HEADERS),
        frame(HEADERS, 1, b"\x3f\x01\x3f\x01\x3f\x01", flags=END_HEADERS),
        frame(HEADERS, 1, b"\xff" * 100, flags=END_HEADERS),
        frame(HEADERS, 1, b"\x40\x00\x00" * 5000, flags=END_HEADERS),
    ],
    ids=["a frame", "a head", "table sizes", "larger table sizes", "a number", "nameless fields"],
)
async def test_what_would_take_too_long_to_read_ends_the_connection(sent: bytes) -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(PATIENT, way=WAY) as server, server.client("h2") as client:
            http = Http2(client.stream)
            with suppress(trio.BrokenResourceError):
                await http.raw(sent)
            assert await http.last_words() != 0
    assert [entry["event"] for entry in logs if entry["log_level"] != "debug"] == ["bad client"]


@pytest.mark.parametrize("seed", range(3))
async def test_no_frames_hurt_the_server(seed: int) -> None:
    """Whatever they are, and in whatever order: a connection goes on, or ends with one line."""
    chance = random.Random(seed)

    def any_frame() -> bytes:
        kind = chance.choice((DATA, HEADERS, HEADERS, PRIORITY, RST_STREAM, SETTINGS, 5, PING, 7, WINDOW_UPDATE, 9, 99))
        payload = chance.randbytes(chance.choice((0, 1, 4, 5, 6, 8, 12, 40)))
        if kind == HEADERS and chance.random() < 0.7:
            payload = GET + payload[: chance.choice((0, 0, 0, 5))]
        return frame(
            kind,
            chance.choice((0, 1, 3, 3, 5, 7, 2)),
            payload,
            chance.choice((0, 1, 4, 5, 5, 37, chance.randrange(256))),
        )

    with structlog.testing.capture_logs() as logs:
        async with serving(PATIENT, way=WAY) as server, trio.open_nursery() as nursery:

            async def one() -> None:
                async with server.client("h2") as client:
                    good = [
                        frame(HEADERS, 2 * n + 1, GET, END_HEADERS | END_STREAM) for n in range(chance.randrange(4))
                    ]
                    bad = [any_frame() for _ in range(chance.randrange(1, 20))]
                    with suppress(trio.BrokenResourceError):
                        await client.send(PREFACE + frame(SETTINGS) + b"".join(good))
                        await client.send(b"".join(bad))
                        await all_quiet()

            for _ in range(40):
                nursery.start_soon(one)
        assert set(server.echo.asked) == {"/"}
    said = {entry["event"] for entry in logs if entry["log_level"] != "debug"}
    assert said == {"bad client"}


def test_the_allowance_grows_with_time_and_with_answers() -> None:
    allowance = FrameAllowance(0.0)
    allowance.feed(PREFACE[:5], 0.0)
    allowance.feed(PREFACE[5:] + PING_FRAME * FRAMES_AT_ONCE, 0.0)
    with pytest.raises(TooManyFrames):
        allowance.feed(PING_FRAME, 0.0)
    allowance.feed(PING_FRAME * (FRAMES_PER_S - 1), 1.0)
    for _ in range(FRAMES_AT_ONCE):
        allowance.answered()
        allowance.feed(PING_FRAME, 1.0)
        allowance.sent(16_384)
        allowance.feed(PING_FRAME * 8, 1.0)


def test_frames_are_counted_however_they_are_cut() -> None:
    data = PREFACE + frame(DATA, 1, b"x" * 300) + frame(HEADERS, 3, b"y") + frame(DATA, 1) * FRAMES_AT_ONCE
    for step in (1, 7, 1000, len(data)):
        allowance = FrameAllowance(0.0)
        for start in range(0, len(data), step):
            pieces = allowance.feed(data[start : start + step], 0.0)
            assert b"".join(pieces) == data[start : start + step]
            assert all(len(piece) <= 300 + len(PREFACE) + 9 * (FRAMES_PER_STEP + 3) for piece in pieces)
        with pytest.raises(TooManyFrames):
            allowance.feed(frame(DATA, 1), 0.0)


# --- answers that nobody takes ---


async def test_unsent_answers_of_one_connection_are_bounded() -> None:
    async with serving(PATIENT, way=WAY) as server, server.client("h2") as client:
        http = Http2(client.stream, window=0)
        for _ in range(MAX_STREAMS):
            await http.begin(request("/some"))
        await all_quiet()
        assert len(server.echo.asked) <= MAX_UNSENT_BYTES // SOME_BYTES + MAX_HANDLERS + 1 < MAX_STREAMS
        http.connection.update_settings({4: 2**20})
        http.connection.increment_flow_control_window(2**30)
        for stream_id in range(1, http.next_id, 2):
            assert len((await http.answer(stream_id)).body) == SOME_BYTES


@pytest.mark.parametrize("leaves", [True, False])
async def test_what_waits_for_room_is_not_begun_for_a_client_that_does_not_want_it_any_more(leaves: bool) -> None:
    async with serving(PATIENT, way=WAY) as server:
        async with server.client("h2") as client:
            http = Http2(client.stream, window=0)
            streams = [await http.begin(request("/some")) for _ in range(MAX_STREAMS)]
            await all_quiet()
            begun = len(server.echo.asked)
            if not leaves:
                for stream_id in reversed(streams):  # or each that is begun would make room for another
                    http.connection.reset_stream(stream_id)
                await http.flush()
                await all_quiet()
                http.connection.update_settings({4: 2**20})
                assert (await http.ask(request("/hello"))).status == 200
        await all_quiet()
        assert len(server.echo.asked) == begun + (not leaves)


async def test_an_answer_that_is_not_taken_resets_its_stream_alone() -> None:
    limits = ListenerConfig(send_timeout_s=SHORT_S)
    async with serving(limits, way=WAY) as server, server.client("h2") as client:
        http = Http2(client.stream, window=0)
        stuck = await http.begin(request("/some"))
        await http.until(StreamReset, stuck)
        http.connection.update_settings({4: 1000})
        assert (await http.ask(request())).status == 200
        assert server.bad_clients.total == 0


async def test_an_answer_that_is_taken_in_crumbs_is_not_waited_for_without_end() -> None:
    limits = ListenerConfig(send_timeout_s=SHORT_S)
    async with serving(limits, way=WAY) as server, server.client("h2") as client, trio.open_nursery() as nursery:
        http = Http2(client.stream, window=0)
        http.opens_windows = False
        stuck = await http.begin(request("/some"))

        async def crumbs() -> None:
            with suppress(ProtocolError):  # it is reset
                while True:
                    http.connection.increment_flow_control_window(1, stuck)
                    await http.flush()
                    await trio.sleep(SHORT_S / 5)

        nursery.start_soon(crumbs)
        with trio.fail_after(LONG_S / 4):
            await http.until(StreamReset, stuck)
        nursery.cancel_scope.cancel()


# --- every end frees all it had ---


async def window_0(http: Http2) -> None:
    for _ in range(90):
        await http.begin(request("/some"))


async def not_reading(http: Http2) -> None:
    http.connection.increment_flow_control_window(2**30)
    for _ in range(90):
        await http.begin(request("/some"))


async def bodies_that_do_not_come(http: Http2) -> None:
    for _ in range(90):
        stream_id = await http.begin(request(method="POST", content_length="500"), end=False)
        http.connection.send_data(stream_id, b"x" * 100)
    await http.flush()


async def half_a_head(http: Http2) -> None:
    await http.raw(frame(HEADERS, 1, b"\x82"))


async def half_a_frame(http: Http2) -> None:
    await http.flush()
    await http.stream.send_all(PING_FRAME[:12])


async def nothing(http: Http2) -> None:
    await http.flush()


async def the_preface_by_half(http: Http2) -> None:
    await http.stream.send_all(PREFACE[:10])


async def resets(http: Http2) -> None:
    for _ in range(50):
        stream_id = await http.begin(request("/some"))
        http.connection.reset_stream(stream_id)
        await http.flush()


Attack = Callable[[Http2], Awaitable[None]]
ATTACKS: list[Attack] = [
    window_0,
    not_reading,
    bodies_that_do_not_come,
    half_a_head,
    half_a_frame,
    nothing,
    the_preface_by_half,
    resets,
]


@pytest.fixture
def nobody_lingers(monkeypatch: pytest.MonkeyPatch) -> None:
    """For longer than a test can wait."""
    for name in ("LINGER_S", "UNREAD_S"):
        monkeypatch.setattr(f"chinwag.http.http2.connection.{name}", SHORT_S)


@pytest.mark.usefixtures("nobody_lingers")
@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("end", ["close", "reset", "TLS end"])
async def test_nothing_is_left_of_a_connection_that_its_client_ends(attack: Attack, end: str) -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(PATIENT, way=WAY) as server:
            await warmed_up(server)
            census = Census()
            async with server.client("h2") as client:
                await attack(Http2(client.stream, window=0 if attack is window_0 else 2**20))
                await all_quiet()
                if end == "TLS end":
                    assert isinstance(client.stream, trio.SSLStream)
                    with trio.move_on_after(SHORT_S), suppress(trio.BrokenResourceError):
                        await client.stream.unwrap()
                elif end == "reset":
                    client.tcp.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    client.tcp.socket.close()
            await census.nothing_left()
    assert [entry for entry in logs if entry["log_level"] != "debug"] == []


@pytest.mark.usefixtures("nobody_lingers")
@pytest.mark.parametrize("end", ["half", "stay"])
async def test_nothing_is_left_of_connections_whose_clients_do_not_end_them(end: str) -> None:
    """Time does: also for a client that has closed its side, which nobody sees while a send to it is under way."""
    with structlog.testing.capture_logs() as logs:
        async with serving(HASTY, way=WAY) as server, AsyncExitStack() as clients:
            await warmed_up(server)
            census = Census()
            for attack in ATTACKS:
                client = await clients.enter_async_context(server.client("h2"))
                with suppress(trio.BrokenResourceError):  # its time was over before it was done
                    await attack(Http2(client.stream, window=0 if attack is window_0 else 2**20))
                    if end == "half":
                        await client.tcp.send_eof()
            await census.only_mine(len(ATTACKS))
    assert [entry for entry in logs if entry["log_level"] != "debug"] == []


async def warmed_up(server: Server) -> None:
    """What is made once is made."""
    async with server.client("h2") as client:
        assert (await Http2(client.stream).ask(request())).status == 200
    await trio.sleep(SHORT_S)
