"""The transport of a WebSocket behind an ASGI server, which is played by the tests."""

import math
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from chinwag.engine.connections.close_reasons import CloseReason
from chinwag.engine.connections.transport import ConnectionLost, Transport
from chinwag.http.carriers.asgi_transport import AsgiTransport, server_frames
from chinwag.http.carriers.queued_transport import QUEUE_BYTES
from chinwag.http.carriers.websocket import Opcode, ProtocolFailure, close_frame, frame, frame_text
from tests.http.carriers.asgi_server import AsgiServer

RECEIVE: dict[str, Any] = {"type": "websocket.receive", "bytes": None, "text": None}
DISCONNECT = {"type": "websocket.disconnect", "code": 1006}


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[AsgiServer, AsgiTransport]]:
    server = AsgiServer()
    transport = AsgiTransport(server.receive, server.send, connection=server)
    with trio.fail_after(10):
        async with transport.open():
            yield server, transport


async def all_quiet() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_it_is_a_transport() -> None:
    async with connected() as (_, transport):
        as_transport: Transport = transport
        assert as_transport.ping() == b""
        assert as_transport.goodbye(CloseReason.SLOW_CONSUMER) == b"\x88\x0f\x11\x38slow consumer"


@pytest.mark.parametrize("code", [1002, 1007, 1009])
async def test_a_client_that_broke_the_protocol_is_said_goodbye_to_before_the_end(code: int) -> None:
    async with connected() as (server, transport):
        await server.to_app.send({**RECEIVE, "text": "before"})
        await server.to_app.send({"type": "websocket.disconnect", "code": code})
        assert await transport.receive() == ["before"]
        with pytest.raises(ProtocolFailure) as caught:
            await transport.receive()
        assert caught.value.code == code
        last = close_frame(code)
        assert transport.try_send(last) == len(last)
        await all_quiet()
        assert server.sent == [{"type": "websocket.close", "code": code, "reason": ""}]
        await server.to_app.send(DISCONNECT)
        await transport.finish(10)
        transport.abort()
        assert not server.aborted  # it has ended in order


async def test_frames_become_messages_in_order() -> None:
    async with connected() as (server, transport):
        sizes = (0, 1, 125, 126, 65_535, 65_536)
        data = b"".join(frame_text(b"x" * size) for size in sizes)
        assert transport.try_send(data) == len(data)
        await all_quiet()
        data = frame(Opcode.BINARY, b"\0\xff")
        assert transport.try_send(memoryview(data)) == len(data)
        transport.try_send(frame_text("tschüß".encode()))
        await all_quiet()
        *texts, binary, last = server.sent
        assert [len(event["text"]) for event in texts] == list(sizes)
        assert (binary["bytes"], binary["text"]) == (b"\0\xff", None)
        assert last["text"] == "tschüß"


@given(payloads=st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=300)), max_size=20))
def test_frames_come_apart_as_they_were_put_together(payloads: list[tuple[int, bytes]]) -> None:
    data = b"".join(frame(Opcode(opcode), payload) for opcode, payload in payloads)
    assert list(server_frames(data)) == payloads


@pytest.mark.parametrize("reason", CloseReason)
async def test_a_goodbye_becomes_a_close_with_its_code(reason: CloseReason) -> None:
    async with connected() as (server, transport):
        transport.try_send(frame_text(b"last") + transport.goodbye(reason))
        await all_quiet()
        assert server.sent[1] == {"type": "websocket.close", "code": reason.code, "reason": reason.text}


async def test_a_close_without_a_code_is_a_normal_one() -> None:
    async with connected() as (server, transport):
        transport.try_send(close_frame())
        await all_quiet()
        assert server.sent == [{"type": "websocket.close", "code": 1000, "reason": ""}]


async def test_what_waits_is_bounded_and_whole() -> None:
    async with connected() as (server, transport):
        server.taking = False
        data = frame_text(b"x" * 10_000)
        taken = 0
        while transport.try_send(data):
            taken += 1
            assert taken * len(data) < 2 * QUEUE_BYTES
        # One that does not fit is taken whole or not at all, so the bound is exceeded by less than one.
        assert QUEUE_BYTES <= taken * len(data) < QUEUE_BYTES + len(data)
        writable = trio.Event()

        async def wait() -> None:
            await transport.wait_writable()
            writable.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await all_quiet()
            assert not writable.is_set()
            server.taking = True
            server.resumed.set()
        await all_quiet()
        assert len(server.texts) == taken
        assert transport.try_send(data) == len(data)


async def test_messages_are_received_one_by_one_and_then_the_end() -> None:
    async with connected() as (server, transport):
        for event in ({**RECEIVE, "text": ""}, {**RECEIVE, "text": "ä"}, {**RECEIVE, "bytes": b"\xff"}, DISCONNECT):
            server.to_app.send_nowait(event)
        assert [await transport.receive() for _ in range(3)] == [[""], ["ä"], [b"\xff"]]
        for _ in range(2):
            with pytest.raises(ConnectionLost):
                await transport.receive()
        with pytest.raises(ConnectionLost):
            transport.try_send(frame_text(b"x"))


async def test_an_abort_ends_whatever_waits_and_drops_the_connection() -> None:
    server = AsgiServer()
    server.taking = False
    transport = AsgiTransport(server.receive, server.send, connection=server)
    with trio.fail_after(10):
        async with transport.open(), trio.open_nursery() as nursery:
            transport.try_send(frame_text(b"x"))
            nursery.start_soon(transport.receive)
            await all_quiet()
            transport.abort()
            transport.abort()
    assert server.aborted == 1
    with pytest.raises(ConnectionLost):
        transport.try_send(frame_text(b"x"))


async def test_a_connection_that_has_ended_is_not_dropped() -> None:
    async with connected() as (server, transport):
        server.to_app.send_nowait(DISCONNECT)
        with pytest.raises(ConnectionLost):
            await transport.receive()
        transport.abort()
    assert server.aborted == 0


async def test_a_wait_for_writing_ends_with_the_connection() -> None:
    async with connected() as (server, transport):
        server.taking = False
        while transport.try_send(frame_text(bytes(60_000))):
            pass
        server.to_app.send_nowait(DISCONNECT)

        async def wait() -> None:
            with pytest.raises(ConnectionLost):
                await transport.wait_writable()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await all_quiet()
            with pytest.raises(ConnectionLost):
                await transport.receive()


async def test_finishing_waits_for_the_peer_s_end_and_not_for_ever(autojump_clock: MockClock) -> None:
    async with connected() as (server, transport):
        server.to_app.send_nowait({**RECEIVE, "text": "still talking"})
        started = trio.current_time()
        await transport.finish(5)
        assert trio.current_time() == started + 5
        server.to_app.send_nowait(DISCONNECT)
        await transport.finish(5)
        assert trio.current_time() == started + 5


async def test_silence_is_known_from_the_connection_below() -> None:
    async with connected() as (server, transport):
        server.last_received = 7.0
        assert transport.last_received == 7.0
        alone = AsgiTransport(server.receive, server.send)
        assert alone.last_received == math.inf


def test_a_close_frame_s_code_is_big_endian() -> None:
    assert list(server_frames(close_frame(4408, "slow"))) == [(Opcode.CLOSE, struct.pack("!H", 4408) + b"slow")]
