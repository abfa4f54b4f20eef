"""However a connection over HTTP/1.1 ends, and whatever it was in the middle of, nothing of it is left."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import pytest
import structlog
import trio

from chinwag.http.listener.listener import ListenerConfig
from tests.http.echo_server import (
    BODY_LIMIT,
    CHUNKS,
    GET,
    LONG_S,
    POST,
    SHORT_S,
    WAYS,
    Client,
    all_quiet,
    request,
    serving,
)
from tests.http.listener.leftovers import Census

PATIENT = ListenerConfig(max_body_bytes=BODY_LIMIT, head_timeout_s=LONG_S, body_timeout_s=LONG_S, send_timeout_s=LONG_S)
HASTY_S = 0.3
"""A limit that a handshake keeps, on a busy machine too."""
HASTY = ListenerConfig(
    max_body_bytes=BODY_LIMIT,
    head_timeout_s=HASTY_S,
    body_timeout_s=HASTY_S,
    send_timeout_s=HASTY_S,
    keep_alive_timeout_s=HASTY_S,
)


async def nothing(_: Client) -> None:
    """Say nothing at all."""


async def half_a_head(client: Client) -> None:
    await client.send(GET[:20])


async def half_a_body(client: Client) -> None:
    await client.send(POST[:-1])


async def half_a_chunk(client: Client) -> None:
    await client.send(CHUNKS[:-20])


async def not_reading(client: Client) -> None:
    await client.send(request("/big"))


async def not_reading_a_pipeline(client: Client) -> None:
    await client.send(request("/some") * 90)


async def idle(client: Client) -> None:
    assert (await client.ask(GET)).status == 200


async def malformed(client: Client) -> None:
    await client.send(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n" + bytes(10_000))


Attack = Callable[[Client], Awaitable[None]]
ATTACKS: list[Attack] = [
    nothing,
    half_a_head,
    half_a_body,
    half_a_chunk,
    not_reading,
    not_reading_a_pipeline,
    idle,
    malformed,
]


@pytest.fixture(autouse=True)
def nobody_lingers(monkeypatch: pytest.MonkeyPatch) -> None:
    """For longer than a test can wait."""
    for module in ("lane.lane", "listener.streams", "asgi.filtered_stream"):
        monkeypatch.setattr(f"chinwag.http.{module}.LINGER_S", SHORT_S)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_left_of_a_connection_that_its_client_ends(way: str, end: str, attack: Attack) -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(PATIENT, way=way) as server:
            await server.ask(GET)  # what is made once is made
            await all_quiet()
            census = Census()
            async with server.client() as client:
                await attack(client)
                await all_quiet()
                if end == "reset":
                    client.tcp.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    client.tcp.socket.close()
            await census.nothing_left()
    said = [entry["event"] for entry in logs if entry["log_level"] != "debug"]
    assert said == (["bad client"] if attack is malformed else [])


@pytest.mark.parametrize("end", ["half", "stay"])
@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_left_of_connections_whose_clients_do_not_end_them(way: str, end: str) -> None:
    """Time does: also for a client that has closed its side, which nobody sees while a send to it is under way."""
    with structlog.testing.capture_logs() as logs:
        async with serving(HASTY, way=way) as server, AsyncExitStack() as clients:
            await server.ask(GET)
            await trio.sleep(SHORT_S)
            census = Census()
            for attack in ATTACKS:
                client = await clients.enter_async_context(server.client())
                with suppress(trio.BrokenResourceError):  # its time was over before it was done
                    await attack(client)
                    if end == "half":
                        await client.tcp.send_eof()
            await census.only_mine(len(ATTACKS))
    assert [entry["event"] for entry in logs if entry["log_level"] != "debug"] == ["bad client"]


@pytest.mark.parametrize("end", ["close", "half", "stay"])
async def test_nothing_is_left_of_handshakes_that_came_to_nothing(end: str) -> None:
    async with serving(HASTY, way="lane over TLS") as server, AsyncExitStack() as clients:
        await server.ask(GET)
        await trio.sleep(SHORT_S)
        census = Census()
        openings = [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", bytes(5)]
        for opening in openings:
            tcp = await clients.enter_async_context(await trio.open_tcp_stream("127.0.0.1", server.port))
            with suppress(trio.BrokenResourceError):
                await tcp.send_all(opening)
                if end == "half":
                    await tcp.send_eof()
            if end == "close":
                await tcp.aclose()
        await census.only_mine(0 if end == "close" else len(openings))
        assert server.bad_clients.total == 2  # those that said what is no TLS


@pytest.mark.parametrize("when", ["idle", "half a head", "half a body"])
@pytest.mark.parametrize("way", ["lane over TLS", "hypercorn over TLS"])
async def test_garbage_in_place_of_tls_ends_the_connection(way: str, when: str) -> None:
    starts = {"idle": GET, "half a head": GET[:10], "half a body": POST[:-1]}
    async with serving(PATIENT, way=way) as server:
        await server.ask(GET)
        await all_quiet()
        census = Census()
        async with server.client() as client:
            await client.send(starts[when])
            if when == "idle":
                await client.answer()
            await client.tcp.send_all(b"\x17\x03\x03\x00\x20" + bytes(32))  # a record that was never encrypted
            await census.only_mine(1)
        await census.nothing_left()
